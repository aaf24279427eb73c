"""How a message of the client gets its ruling, an approval where it needs one, and the audit's word."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.domain.audit import StatementRecord
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, opaque_analysis
from gateway.errors import GatewayError
from gateway.protocol.effects import AskApproval, AskRuling, SendUpstream
from gateway_postgres.copied import not_as_rows, spelling_of
from gateway_postgres.core import Core
from gateway_postgres.parameters import BoundParameters
from gateway_postgres.pipeline import Kind, Pending, Portal
from gateway_postgres.session import probe

_FAILED: Final = 0x45  # E
"""ReadyForQuery's status in a transaction that only ROLLBACK can end."""


class Permits:
    """What the host has answered for the message that waits; an answer is good for the message that asked, no other."""

    __slots__ = ("_core", "approved", "intent", "permitted", "ruling", "state")

    def __init__(self, core: Core) -> None:
        self._core = core
        self.ruling: Ruling | None = None
        """The answer for the message that waited."""
        self.intent: StatementRecord | GatewayError | None = None
        """The record that was committed for the message that waited, or why it could not be."""
        self.approved: tuple[StatementRecord, GatewayError | None] | None = None
        """The record whose approval the message waited for, and why it was not given, if so."""
        self.permitted: StatementRecord | None = None
        """The record of the message that waits for a transaction around it."""
        self.state = core.tracker.state
        """The session state that the last ruling was made for."""

    def rule(self, text: bytes, facts: Analysis | None = None) -> Ruling | None:
        """The ruling for a text, or None after asking for it (or for the session's state)."""
        ruling = self.ruling
        if ruling is not None:
            self.ruling = None
            return ruling
        core, tracker = self._core, self._core.tracker
        state = tracker.state
        if tracker.dirty and facts is None:
            if core.pipeline.unsynced or tracker.transaction == _FAILED:
                state = replace(state, search_path=None)
            else:
                core.waiting_for_drain = True
                probe_if_idle(core)
                return None
        if core.catalog_uncertain and core.masked:
            # The catalog shows a schema change only when its transaction has ended.
            state = replace(state, search_path=None)
        fetches = core.cursors.any and facts is None and b"fetch" in text.lower()
        if fetches:
            # Not kept: what it means changes with the cursors.
            state = core.cursors.state(state)
        self.state = state
        if facts is not None:
            key = b"\0%s\0%s" % (facts.statements[0].kind.encode(), text)
            found = core.rulings.find(state, key)
            ask = AskRuling(text.decode("latin-1"), state, key, facts)
        elif tracker.codec == "utf-8" and not tracker.text_unsure and not fetches:
            found = core.rulings.find(state, text)
            ask = None
        else:
            found = ask = None
        if found is not None:
            return found
        if ask is None:
            decoded = tracker.decode(text)
            if decoded is not None:
                ask = AskRuling(decoded, state, text if tracker.codec == "utf-8" and not fetches else None)
            else:
                facts = opaque_analysis("unreadable", Action.UNKNOWN, "the text may mean something else to the server")
                ask = AskRuling(text.decode("latin-1"), state, None, facts)
        core.ask_down = ask
        core.effects.append(ask)
        return None

    def permit(self, ruling: Ruling, text: str, portal: Portal | None = None) -> StatementRecord | bytes | None:
        """The record to run under, an error to refuse with, or None after asking for an approval or for the audit."""
        intent = self.intent
        if ruling.plain and intent is None and ruling.refusal is None and (portal is None or portal.refusal is None):
            return self._intended(ruling, self._begin(ruling, text, portal))
        if intent is not None:
            self.intent = self._core.intent = None
            if isinstance(intent, StatementRecord):
                intent.intent = False
                return intent
            return self._core.refuse(self._begin(ruling, text, portal), intent)
        approved, self.approved = self.approved, None
        if approved is not None:
            record, error = approved
            self._core.intent = None
            if error is not None:
                return self._core.refuse(record, error)
            if portal is not None:
                portal.approval = record.approval
        else:
            record = self._begin(ruling, text, portal)
            if ruling.refusal is not None:
                return self._core.refuse(record, ruling.refusal)
            if portal is not None and portal.refusal is not None:
                return self._core.refuse(record, portal.refusal)
            if ruling.as_rows and (portal is not None or spelling_of(ruling, self._core.tracker.codec) is None):
                return self._core.refuse(record, not_as_rows())
            if ruling.approvals:
                if portal is None or portal.approval is None:
                    self._ask_approval(ruling, record, portal)
                    return None
                record.approval = portal.approval  # the rest of the rows of what was approved
        if ruling.allowance is not None and (portal is None or not portal.begun):
            used_up = ruling.allowance.begin(len(ruling.analysis.statements))
            if used_up is not None:
                return self._core.refuse(record, used_up)
            if portal is not None:
                portal.begun = True
        return self._intended(ruling, record)

    def _intended(self, ruling: Ruling, record: StatementRecord) -> StatementRecord | None:
        """The record to run under, or None after asking for the audit's word where the ruling wants it first."""
        if not ruling.intent:
            return record
        # The ruling is kept for the second time round, so that nothing can change between intent and deed.
        self.ruling = ruling
        self._core.intend(record)
        return None

    def _begin(self, ruling: Ruling, text: str, portal: Portal | None) -> StatementRecord:
        core = self._core
        record = core.begin(ruling, text)
        if portal is not None and portal.parameters:
            record.parameters = portal.parameters
            record.bound = BoundParameters(portal.bound, portal.prepared.types, core.tracker.codec)
        return record

    def _ask_approval(self, ruling: Ruling, record: StatementRecord, portal: Portal | None) -> None:
        # As with an intent: the ruling is kept for the second time round.
        self.ruling = ruling
        core = self._core
        core.intent = record
        state = self.state if portal is None else portal.prepared.state
        ahead = tuple([pending.record for pending in core.pipeline.queue if pending.record is not None])
        exact = core.said + (b"" if portal is None else _exact(portal))
        core.ask_down = ask = AskApproval(record, state, exact, ahead)
        core.effects.append(ask)


def probe_if_idle(core: Core) -> None:
    """Ask the server for the session's state as soon as nothing is under way."""
    if core.waiting_for_drain and not core.pipeline.queue:
        core.effects.append(SendUpstream(probe(core.private_name)))
        core.pipeline.expect(Pending(Kind.PROBE))


def _exact(portal: Portal) -> bytes:
    """What a portal's parameters are, for an approval: ``1`` as a number is not ``1`` as a text."""
    types = portal.prepared.wanted
    return b"%d %b%b" % (len(types), types, portal.bound)
