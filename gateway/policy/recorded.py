"""A statement as the audit recorded it, made into a request that policies can be asked about again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.audit.facts import FactsForm, facts_from_form
from gateway.audit.ocsf import ActorForm, DecisionForm, EndpointForm, SessionForm, UserForm, WhoForm
from gateway.domain.decision import SessionContext
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.resource import Resource
from gateway.domain.statement import Analysis

STATEMENT: Final = "statement"
_KINDS: Final = {1: PrincipalKind.HUMAN, 4: PrincipalKind.SERVICE}


class _Named(msgspec.Struct, frozen=True):
    name: str = ""


class _Metadata(msgspec.Struct, frozen=True):
    sequence: int
    uid: str
    event_code: str


class _Query(msgspec.Struct, frozen=True):
    query_string: str = ""
    uid: str = ""


class _Unmapped(msgspec.Struct, frozen=True):
    session: SessionForm
    statements: list[FactsForm] = []
    decision: DecisionForm = DecisionForm(effect="")


class _Line(msgspec.Struct, frozen=True):
    metadata: _Metadata
    time: int
    actor: ActorForm
    src_endpoint: EndpointForm
    dst_endpoint: EndpointForm
    unmapped: _Unmapped
    database: _Named = _Named()
    query_info: _Query = _Query()
    status_detail: str = ""


_decoder = msgspec.json.Decoder(_Line)


@dataclass(frozen=True, slots=True)
class RecordedStatement:
    """One execution. ``key`` is equal for executions that policies cannot tell apart, time and text aside."""

    id: str
    sequence: int
    time: datetime
    text: str
    outcome: str
    principal: Principal
    resource: Resource
    session: SessionContext
    analysis: Analysis
    decision: DecisionForm
    key: bytes


def read_statement(line: bytes) -> RecordedStatement | None:
    """The statement in an event's line; None for other events. Raises ``ValueError`` for one that cannot be read."""
    try:
        event = _decoder.decode(line)
    except msgspec.ValidationError:
        return None  # events of other kinds have another shape
    except msgspec.DecodeError as error:
        raise ValueError(f"not an event: {error}") from None
    if event.metadata.event_code != STATEMENT or not event.unmapped.session.authenticated:
        return None
    facts = tuple(facts_from_form(form) for form in event.unmapped.statements)
    source, target, details = event.src_endpoint, event.dst_endpoint, event.unmapped.session
    key = msgspec.json.encode(
        (
            event.actor,
            source.ip,
            target,
            event.database.name,
            details,
            event.query_info.uid,
            event.unmapped.statements,
            event.unmapped.decision,
        )
    )
    return RecordedStatement(
        id=event.metadata.uid,
        sequence=event.metadata.sequence,
        time=datetime.fromtimestamp(event.time / 1000, UTC),
        text=event.query_info.query_string,
        outcome=event.status_detail,
        principal=_principal(event.actor.user, details),
        resource=Resource(
            name=target.name,
            protocol=target.svc_name,
            host=target.hostname,
            port=target.port,
            environment=target.zone,
            labels=MappingProxyType(details.resource_labels),
        ),
        session=SessionContext(
            id=event.actor.session.get("uid", ""),
            protocol=target.svc_name,
            client_address=source.ip or source.name,
            tls=details.tls,
            user=details.user or event.actor.user.name,
            database=event.database.name or None,
            application=event.actor.app_name,
            resource=target.name,
        ),
        analysis=Analysis(statements=facts, fingerprint=event.query_info.uid),
        decision=event.unmapped.decision,
        key=key,
    )


def _principal(user: UserForm, details: SessionForm) -> Principal:
    above: Principal | None = None
    for person in reversed(details.acts_for):
        above = _acted_for(person, above)
    return Principal(
        name=user.name,
        kind=_KINDS.get(user.type_id, PrincipalKind.AGENT),
        groups=frozenset(group.name for group in user.groups),
        attributes=MappingProxyType(details.attributes),
        acts_for=above,
    )


def _acted_for(person: WhoForm, above: Principal | None) -> Principal:
    attributes: Mapping[str, str] = MappingProxyType(person.attributes)
    return Principal(person.name, PrincipalKind(person.kind), frozenset(person.groups), attributes, above)
