"""How a command of the client gets its ruling, an approval where it needs one, and the audit's word."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.audit import StatementRecord
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, opaque_analysis
from gateway.errors import GatewayError, MaskedValueWrittenBack
from gateway.protocol.effects import AskApproval, AskRuling
from gateway_mysql import changes
from gateway_mysql.core import Core
from gateway_mysql.parameters import Arguments
from gateway_mysql.pending import Prepared
from gateway_mysql.session import is_diagnostic
from gateway_mysql.wire.commands import Parameter


class Permits:
    """What the host has answered for the command that waits; an answer is good for the command that asked, no other."""

    __slots__ = ("_core", "approved", "intent", "killed", "permitted", "ruling", "state")

    def __init__(self, core: Core) -> None:
        self._core = core
        self.ruling: Ruling | None = None
        """The answer for the command that waited."""
        self.intent: StatementRecord | GatewayError | None = None
        """The record that was committed for the command that waited, or why it could not be."""
        self.approved: tuple[StatementRecord, GatewayError | None] | None = None
        """The record whose approval the command waited for, and why it was not given, if so."""
        self.permitted: StatementRecord | None = None
        """The record of the change that waited until it could be taken back."""
        self.killed: bool | None = None
        """Whether the session that was to be killed was found."""
        self.state = core.tracker.state
        """The session state that the last ruling was made for."""

    def rule(self, text: bytes, facts: Analysis | None = None, prepared: Prepared | None = None) -> Ruling | None:
        """The ruling for a text, or None after asking for it (or for the session's state)."""
        ruling = self.ruling
        if ruling is not None:
            self.ruling = None
            return ruling
        core, tracker = self._core, self._core.tracker
        state = tracker.state
        if tracker.dirty and facts is None:
            if prepared is None and is_diagnostic(text):
                state = replace(state, known=False)
            else:
                core.probe()
                return None
        if prepared is not None:
            # The server keeps the names' meaning, but looks at its tables anew.
            state = replace(prepared.state, temporary_objects=state.temporary_objects)
        self.state = state
        decoded, certain = tracker.decode(text)
        keyed = tracker.keyed and certain
        key: bytes | None = None
        if facts is not None:
            key = b"\0%s\0%s" % (facts.statements[0].kind.encode(), text)
        elif keyed:
            key = text
        if key is not None:
            found = core.rulings.find(state, key)
            if found is not None:
                return found
        if facts is None and not certain:
            facts = opaque_analysis("unreadable", Action.UNKNOWN, "the text may mean something else to the server")
        core.ask_down = ask = AskRuling(decoded, state, key, facts)
        core.effects.append(ask)
        return None

    def _unfit(self, ruling: Ruling, arguments: Arguments | None) -> GatewayError | None:
        """Why a statement may not run whatever its text is: what it is bound to, or what could not be counted."""
        error = changes.unfit(ruling, self._core.opened.catalog)
        if error is not None:
            return error
        if ruling.sentinels is not None and arguments is not None and arguments.count:
            values = arguments.values
            if values is None:
                return MaskedValueWrittenBack("parameters that cannot be read may be what a mask shows")
            if any(ruling.sentinels.holds(self._shown(value)) for value in values if value is not None):
                return MaskedValueWrittenBack("a parameter is what a mask shows")
        return None

    def _shown(self, value: Parameter) -> str:
        return self._core.tracker.decode(value)[0] if isinstance(value, bytes) else str(value)

    def permit(
        self,
        ruling: Ruling,
        text: str,
        prepared: Prepared | None = None,
        arguments: Arguments | None = None,
        attributes: bytes = b"",
    ) -> StatementRecord | bytes | None:
        """The record to run under, an error to refuse with, or None after asking for an approval or for the audit."""
        core = self._core
        intent = self.intent
        if intent is not None:
            self.intent = core.intent = None
            if isinstance(intent, StatementRecord):
                intent.intent = False
                return intent
            return core.refuse(self._begin(ruling, text, arguments), intent)
        approved, self.approved = self.approved, None
        if approved is not None:
            record, error = approved
            core.intent = None
            if error is not None:
                return core.refuse(record, error)
        else:
            record = self._begin(ruling, text, arguments)
            if ruling.refusal is not None:
                return core.refuse(record, ruling.refusal)
            if ruling.plain:
                return self._intended(ruling, record)
            unfit = self._unfit(ruling, arguments)
            if unfit is not None:
                return core.refuse(record, unfit)
            if ruling.approvals:
                # The ruling is kept for the second time round, so that nothing can change between question and deed.
                self.ruling = ruling
                core.intent = record
                state = self.state if prepared is None else prepared.state
                exact = attributes if arguments is None else arguments.exact()
                core.ask_down = asked = AskApproval(record, state, exact)
                core.effects.append(asked)
                return None
        if ruling.allowance is not None:
            used_up = ruling.allowance.begin(len(ruling.analysis.statements))
            if used_up is not None:
                return core.refuse(record, used_up)
        return self._intended(ruling, record)

    def _intended(self, ruling: Ruling, record: StatementRecord) -> StatementRecord | None:
        """The record to run under, or None after asking for the audit's word where the ruling wants it first."""
        if not ruling.intent:
            return record
        self.ruling = ruling
        self._core.intend(record)
        return None

    def _begin(self, ruling: Ruling, text: str, arguments: Arguments | None) -> StatementRecord:
        record = self._core.begin(ruling, text)
        if arguments is not None:
            record.parameters, record.bound = arguments.count, arguments.bound
        return record
