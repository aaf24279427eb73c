"""OCSF objects that audit events are made of, and how the domain's values map to them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

import msgspec

from gateway.domain.decision import Decision, Effect, Mode, SessionContext
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.resource import Resource
from gateway.domain.statement import Action
from gateway.errors import GatewayError

READ: Final = 1
UPDATE: Final = 2
CONNECT: Final = 3
QUERY: Final = 4
WRITE: Final = 5
CREATE: Final = 6
DELETE: Final = 7
OTHER: Final = 99

# A text may do several things; the event carries the gravest. The complete set stands in the facts.
_ACTIVITIES: Final = (
    (DELETE, frozenset({Action.DELETE, Action.TRUNCATE, Action.DROP})),
    (CREATE, frozenset({Action.CREATE})),
    (UPDATE, frozenset({Action.UPDATE, Action.ALTER, Action.GRANT, Action.REVOKE})),
    (WRITE, frozenset({Action.INSERT, Action.MERGE, Action.COPY_IN})),
    (READ, frozenset({Action.READ, Action.COPY_OUT})),
)


class NamedForm(msgspec.Struct, frozen=True):
    """A group, policy or table by name."""

    name: str


class UserForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """OCSF ``user``. ``type`` only where ``type_id`` is 99."""

    name: str
    type_id: int
    type: str = ""
    groups: list[NamedForm] = []


class ActorForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """OCSF ``actor``."""

    user: UserForm
    session: dict[str, str] = {}
    app_name: str = ""


class EndpointForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """OCSF ``network_endpoint``. ``name`` is the resource's name, ``zone`` its environment."""

    name: str = ""
    ip: str = ""
    hostname: str = ""
    port: int = 0
    svc_name: str = ""
    zone: str = ""


class DatabaseForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """OCSF ``database``. ``type_id``: 1 relational, 6 NoSQL."""

    type_id: int
    name: str = ""


class WhoForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody that the actor acts for."""

    name: str
    kind: str
    groups: list[str] = []
    attributes: dict[str, str] = {}


class SessionForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """``unmapped.session``: what OCSF has no attribute for."""

    gateway: str
    tls: bool
    authenticated: bool = True
    user: str = ""
    """The user name as the client gave it, where it is not the actor's name."""
    attributes: dict[str, str] = {}
    acts_for: list[WhoForm] = []
    resource_labels: dict[str, str] = {}


class PolicyForm(msgspec.Struct, frozen=True):
    """OCSF ``policy``: the one that decided."""

    name: str
    is_applied: bool


class PolicyHitForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A policy that matched, whether it decided or not."""

    policy: str
    effect: str
    mode: str = Mode.ENFORCE.value


class MaskForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A masking function that a policy asks for."""

    function: str
    arguments: dict[str, str | int | bool] = {}


class DecisionForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """``unmapped.decision``: the answer of all policies together and what it obliges to."""

    effect: str
    reason: str = ""
    refusal: str = ""
    policies: list[PolicyHitForm] = []
    masks: dict[str, list[MaskForm]] = {}
    row_limit: int | None = None
    timeout: float | None = None
    inference: bool = True


def activity(actions: Iterable[Action]) -> int:
    """The Datastore Activity ``activity_id`` for what a text does."""
    present = frozenset(actions)
    return next((number for number, members in _ACTIVITIES if members & present), QUERY)


def user_form(principal: Principal | None, claimed: str) -> UserForm:
    """Who acts; without a principal, the name that the client claimed."""
    if principal is None:
        return UserForm(name=claimed or "unknown", type_id=0)
    groups = [NamedForm(name=group) for group in sorted(principal.groups)]
    match principal.kind:
        case PrincipalKind.HUMAN:
            return UserForm(name=principal.name, type_id=1, groups=groups)
        case PrincipalKind.SERVICE:
            return UserForm(name=principal.name, type_id=4, groups=groups)
        case PrincipalKind.AGENT:
            return UserForm(name=principal.name, type_id=OTHER, type="Agent", groups=groups)


def who_form(principal: Principal) -> WhoForm:
    """Somebody in the chain of those acted for."""
    return WhoForm(
        name=principal.name,
        kind=principal.kind.value,
        groups=sorted(principal.groups),
        attributes=dict(sorted(principal.attributes.items())),
    )


def database_form(context: SessionContext, resource: Resource | None) -> DatabaseForm:
    """The database as the client named it, or the resource's own."""
    name = context.database or (None if resource is None else resource.database) or ""
    return DatabaseForm(name=name, type_id=6 if context.protocol == "mongodb" else 1)


def resource_endpoint(context: SessionContext, resource: Resource | None) -> EndpointForm:
    """The database server, as far as it is known yet."""
    if resource is None:
        return EndpointForm(svc_name=context.protocol)
    return EndpointForm(
        name=resource.name,
        hostname=resource.host,
        port=resource.port,
        svc_name=context.protocol,
        zone=resource.environment,
    )


def client_endpoint(address: str) -> EndpointForm:
    """``10.0.0.7:50123``, ``[fe80::1]:50123`` or anything else that a listener calls its peer."""
    host, _, port = address.rpartition(":")
    for candidate, number in ((host.strip("[]"), port), (address.strip("[]"), "")):
        try:
            ip = ipaddress.ip_address(candidate)
        except ValueError:
            continue
        # An IPv6 address without a port also has a last colon: brackets tell the two apart.
        if number and ip.version == 6 and not host.startswith("["):
            continue
        return EndpointForm(ip=str(ip), port=int(number) if number.isascii() and number.isdigit() else 0)
    return EndpointForm(name=address or "unknown")


def decision_form(decision: Decision, refusal: GatewayError | None) -> DecisionForm:
    """The decision with all that matched. Why something was allowed is said by the policies alone."""
    obligations = decision.obligations
    return DecisionForm(
        effect=decision.effect.value,
        reason="" if refusal is None and decision.effect is Effect.ALLOW else decision.reason,
        refusal="" if refusal is None else f"{type(refusal).__name__}: {refusal}",
        policies=[
            PolicyHitForm(policy=hit.policy, effect=hit.effect.value, mode=hit.mode.value) for hit in decision.hits
        ],
        masks={
            label: [
                MaskForm(function=spec.function, arguments=dict(spec.arguments))
                for spec in sorted(specs, key=lambda spec: (spec.function, repr(spec.arguments)))
            ]
            for label, specs in sorted(obligations.masks.items())
        },
        row_limit=obligations.row_limit,
        timeout=obligations.timeout,
        inference=obligations.inference,
    )
