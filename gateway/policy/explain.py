"""Asks the gateway's own chain what it would do with a statement, without running it.

The chain is the one that serves sessions (``gateway.chain``), so an explanation cannot differ from what happens, except
in what only a running statement has: the server's description of its result, and a session that has changed its
``search_path`` or made temporary tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from gateway.assembly import GATEWAY, Inspection, inspect
from gateway.chain import MaskingRefusal, Scope
from gateway.config import Config, TlsMode
from gateway.domain.decision import Decision, Effect, SessionContext
from gateway.domain.masking import ColumnMask, PathMask, ResultColumn
from gateway.domain.resource import Resource
from gateway.domain.ruling import Ruling
from gateway.domain.statement import ColumnRef, OutputColumn, StatementFacts
from gateway.errors import AccessDenied, ConfigurationError, GatewayError
from gateway.policy.explanation import ExplainedColumn, ExplainedStatement, Explanation
from gateway.policy.paths import WHOLE
from gateway.policy.problems import suggestion
from gateway.protocol.adapter import Exchange, UpstreamHandle
from gateway.protocol.effects import AskPlan, AskRuling
from gateway.protocol.optional import TellsInitialState

TOLD: Final = 5.0
"""Seconds for which what a database told serves for further questions."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks for what, and from where."""

    principal: str
    resource: str
    text: str
    database: str | None = None
    application: str = ""
    client_address: str = "127.0.0.1"


async def explain(config: Config, question: Question) -> Explanation:
    """The explanation. Raises ``ConfigurationError`` for an unknown name and ``UpstreamError`` without a catalog."""
    return await Explanations(config).explain(question)


class Explanations:
    """Answers many questions about one configuration.

    What a database told of its tables, and of how sessions begin, serves for ``TOLD`` seconds. ``clock`` gives
    monotonic seconds.
    """

    def __init__(self, config: Config, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Loads plugins, which takes a while. Raises ``ConfigurationError``."""
        self.config = config
        self.databases: set[tuple[str, str]] = set()
        """Resource and name of those whose catalogs are kept."""
        self._inspection = inspect(config, clock=clock)
        self._clock = clock
        self._states: dict[tuple[str, str], tuple[float, Hashable]] = {}

    async def explain(self, question: Question) -> Explanation:
        """As the function does."""
        config, inspection = self.config, self._inspection
        principal = config.principals.get(question.principal)
        if principal is None:
            hint = suggestion(question.principal, config.principals)
            raise ConfigurationError(f'there is no principal "{question.principal}" in {config.path}{hint}')
        resource = find_resource(config, question.resource)
        database = question.database or resource.database or resource.name
        session = SessionContext(
            id="explain",
            protocol=resource.protocol,
            client_address=question.client_address,
            tls=config.tls.mode is not TlsMode.DISABLE,
            user=principal.name,
            # As a client spells it that goes through a shared listener.
            database=resource.name if question.database is None else f"{resource.name}/{question.database}",
            application=question.application,
            resource=resource.name,
        )
        # Read first, and not by the chain, which goes on without a catalog where it can.
        known = inspection.databases.get(resource, database)
        await inspection.databases.refresh(known, max_age=TOLD)
        self.databases.add((resource.name, database))
        try:
            _, _, admitted = await inspection.chain.admit(session, principal, resource.name, question.database)
        except AccessDenied as error:
            denied = Decision(Effect.DENY, str(error), error.message)
            return Explanation(
                principal, resource, database, denied, refusal=str(error), client_message=_for_client(error)
            )
        state = await self._state(resource, database)
        analyser = inspection.components.protocols[resource.protocol].create_analyser()
        try:
            scope = await inspection.chain.scope(session, principal, resource, database, admitted, analyser)
            ruling = await inspection.chain.rule(scope, AskRuling(question.text, state))
        finally:
            analyser.close()
        refusal = ruling.refusal
        return Explanation(
            principal=principal,
            resource=resource,
            database=database,
            session=admitted,
            statements=tuple(
                [await _statement(inspection, scope, ruling, facts) for facts in ruling.analysis.statements]
            ),
            decision=ruling.decision,
            refusal=None if refusal is None else str(refusal),
            client_message=None if refusal is None else _for_client(refusal),
            masking_refusal=isinstance(refusal, MaskingRefusal),
            redacts_messages=ruling.redact_messages,
        )

    async def _state(self, resource: Resource, database: str) -> Hashable:
        """How names are resolved in a session that has just begun; None where the protocol does not tell."""
        known = self._states.get((resource.name, database))
        now = self._clock()
        if known is not None and now - known[0] < TOLD:
            return known[1]
        state = await _initial_state(self._inspection, resource, database)
        self._states[resource.name, database] = now, state
        return state


def find_resource(config: Config, name: str) -> Resource:
    """The resource. Raises ``ConfigurationError`` where there is none of that name."""
    resource = config.resources.get(name)
    if resource is None:
        raise ConfigurationError(f'there is no resource "{name}" in {config.path}{suggestion(name, config.resources)}')
    return resource


async def _initial_state(inspection: Inspection, resource: Resource, database: str) -> Hashable:
    """How names are resolved in a session that has just begun; None where the protocol does not tell."""
    adapter = inspection.components.protocols[resource.protocol]
    if not isinstance(adapter, TellsInitialState):
        return None
    asked = adapter
    credentials = await inspection.dispatcher.provide_upstream_credentials(resource, GATEWAY)

    def begin(handle: UpstreamHandle) -> Exchange:
        return asked.initial_state(resource, credentials, database, handle)

    state: Hashable = await inspection.upstreams.exchange(
        resource, adapter, begin, doing="asking for the session's state"
    )
    return state


async def _statement(inspection: Inspection, scope: Scope, ruling: Ruling, facts: StatementFacts) -> ExplainedStatement:
    database = scope.database
    touched = facts.columns_read | facts.columns_written
    labels = frozenset[str]().union(*map(database.labels_of, touched))
    if facts.reads_everything or facts.opaque:
        labels |= database.all_labels()
    if facts.outputs is None:
        return ExplainedStatement(facts, labels, None)
    masks: tuple[ColumnMask | None, ...] = (None,) * len(facts.outputs)
    below: tuple[tuple[PathMask, ...], ...] = ((),) * len(facts.outputs)
    if ruling.masked:
        # As if the server said of every column that it is an expression.
        described = [ResultColumn(o.name, frozenset(), True, False, o, document=o.document) for o in facts.outputs]
        plan = await inspection.chain.plan(scope, AskPlan(ruling, described))
        masks, below = plan.columns, plan.below or below
    columns: list[ExplainedColumn] = []
    for output, mask, inside in zip(facts.outputs, masks, below, strict=True):
        columns.append(ExplainedColumn(output, _labels(scope, output), mask))
        columns += [_inside(output, path) for path in inside]
    return ExplainedStatement(facts, labels, tuple(columns))


def _inside(output: OutputColumn, path: PathMask) -> ExplainedColumn:
    """A labelled path in a document of the result."""
    steps = ".".join(path.steps)
    name = steps if output.name == WHOLE else f"{output.name}.{steps}"
    sources = frozenset(
        ColumnRef(s.schema, s.table, steps if s.column == WHOLE else f"{s.column}.{steps}") for s in output.sources
    )
    return ExplainedColumn(OutputColumn(name, sources, proven=True, bare=True), path.mask.labels, path.mask)


def _labels(scope: Scope, output: OutputColumn) -> frozenset[str] | None:
    if not output.proven:
        return None
    return frozenset[str]().union(*map(scope.database.labels_of, output.sources))


def _for_client(error: GatewayError) -> str:
    """What the client reads, as far as it does not depend on the protocol."""
    written = error.message if isinstance(error, AccessDenied) else None
    return written or error.client_message
