"""Commands of an open session, one after the other: decided, forwarded, answered.

Every command waits for the answer to the one before it, as servers have it too.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.domain.approval import ApprovalNote
from gateway.domain.audit import Outcome, StatementRecord
from gateway.domain.ruling import Ruling
from gateway.errors import (
    GatewayError,
    LimitExceeded,
    LocalProtocolError,
    MaskedValueWrittenBack,
    RemoteProtocolError,
)
from gateway.guardrails.changes import changes
from gateway.protocol.adapter import Opened
from gateway.protocol.effects import (
    Ask,
    AskApproval,
    AskCommit,
    AskPlan,
    AskReconnect,
    AskRuling,
    WithdrawApproval,
)
from gateway_mongodb.claims import Claims, NotYours
from gateway_mongodb.core import Core
from gateway_mongodb.errors import CURSOR_NOT_FOUND, code_of, error_document, plain_error
from gateway_mongodb.exchange import Exchange
from gateway_mongodb.limits import check_changes, holds_sentinel, with_time_limit
from gateway_mongodb.local import LOCAL, answer
from gateway_mongodb.requests import Request
from gateway_mongodb.rulings import CursorUnknown, known_masks, known_ruling, take_plan, take_ruling

_NO_TIME_LIMIT: Final = frozenset({"getMore", "killCursors", "endSessions", "commitTransaction", "abortTransaction"})


class Execution:
    """What the client runs, and what the database answers."""

    __slots__ = ("_claims", "_core", "_exchange", "_intent")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._claims = Claims(core)
        self._exchange = Exchange(core, self._claims)
        self._intent: StatementRecord | None = None
        """The record of the current command while the audit is told of it first."""

    # --- state ----------------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether none is, and no transaction is open."""
        return self._core.current is None and not self._claims.in_transaction

    def ready(self, max_message: int) -> None:
        """The database takes commands."""
        self._exchange.ready(max_message)

    def start_over(self) -> None:
        """A new connection to the database: nothing of the old one counts."""
        self._exchange.start_over()

    def _opened(self) -> Opened:
        opened = self._core.opened
        if opened is None:
            raise LocalProtocolError("a command came before the session was open")
        return opened

    # --- ends -----------------------------------------------------------------------------------------------------

    def abandon(self) -> bool:
        """The client is gone. Whether something runs whose outcome is worth waiting for."""
        request = self._core.current
        if request is None:
            return False
        if self._exchange.running:
            return self._exchange.abandon(request)
        self._give_up(request)
        return False

    def lose(self) -> None:
        """The session ends with a command under way: whether it happened is not known."""
        if self._exchange.running:
            self._exchange.lose()
        elif self._core.current is not None:
            self._give_up(self._core.current)

    def _give_up(self, request: Request) -> None:
        """A command that the database has not got will never run."""
        core = self._core
        if isinstance(core.ask, AskApproval):
            core.effects.append(WithdrawApproval())
        if request.record is not None:
            core.skip(request.record)
        core.current = self._intent = None

    def fail(self, error: GatewayError) -> None:
        """The session ends from the gateway's side: who waits for an answer is told."""
        request = self._core.current
        if request is not None and self._exchange.may_speak and self._core.opened is not None:
            self._core.say(request, error_document(error, reference=self._core.settings.session_id))
        self.lose()

    def expire(self, reply: dict[str, Any], error: GatewayError) -> bool:
        """No statement may begin any more: one that waits for an approval is refused with ``reply``.

        False where a statement runs that has no end of its own: a reply that goes on for as long as its cursor.
        """
        core, request = self._core, self._core.current
        if request is None or self._exchange.running:
            return request is None or not request.msg.exhaust_allowed
        if isinstance(core.ask, AskApproval):
            core.ask = None
            core.effects.append(WithdrawApproval())
            if request.record is not None:
                core.finish(request.record, Outcome.REFUSED, str(code_of(error).number))
            core.say(request, reply)
            core.current = None
        return True

    def undo(self, request: Request) -> None:
        """The session ends with a transaction open, which the database would otherwise keep for a minute."""
        scan = request.scan
        if self._claims.in_transaction and scan.lsid is not None and scan.autocommit_off:
            self._exchange.abort(scan.lsid, scan.txn_number)

    # --- from the client ------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> None:
        """A command from the client."""
        core = self._core
        core.current = request
        if request.name in LOCAL:
            principal = self._opened().principal
            core.say(request, answer(request.name, core.settings.client_address, principal))
            core.current = None
            return
        self.resume()

    def resume(self) -> None:
        """Go on with the current command as far as possible."""
        request = self._core.current
        if request is None or self._exchange.running:
            return
        core = self._core
        if core.generation != core.deployment.generation:
            core.put(AskReconnect())
            return
        try:
            self._decide(request)
        except RemoteProtocolError:
            raise
        except GatewayError as error:
            self._refuse(request, error)

    def _decide(self, request: Request) -> None:
        core, opened = self._core, self._opened()
        ruling = request.ruling
        if ruling is None:
            ruling = known_ruling(core, opened, request)
            if ruling is None:
                return
            request.ruling = ruling
        if ruling.refusal is not None:
            self._refuse(request, ruling.refusal)
            return
        if not request.checked:
            reply = self._claims.check(request)
            if reply is not None:
                self._answer_here(request, reply)
                return
            request.checked = True
        if ruling.masked and not request.masks_known and not known_masks(core, opened, request, ruling):
            return
        if not request.permitted and not self._permitted(request, ruling):
            return
        record = request.record
        if ruling.intent and record is not None and not record.intent and not request.committed:
            record.intent = True
            self._intent = record
            core.put(AskCommit((record,)))
            return
        if request.name == "killOp" and not request.probed:
            self._exchange.ask(self._claims.question(request))
            return
        self._forward(request, ruling)

    def _permitted(self, request: Request, ruling: Ruling) -> bool:
        """Budgets, limits of changes and approvals; False while an approval is being asked for."""
        core = self._core
        if request.record is None:
            request.record = core.begin(ruling, request.described())
        if ruling.approvals and request.cursor is None and request.record.approval is None:
            core.put(AskApproval(request.record, request.scan.database, request.approved_bytes()))
            return False
        if ruling.sentinels is not None and holds_sentinel(request.command(), ruling.sentinels):
            raise MaskedValueWrittenBack("the command writes what a mask has shown")
        most = ruling.decision.obligations.changes
        if most is not None and changes(ruling.analysis.statements[0]):
            check_changes(request.command(), most)
        if ruling.allowance is not None and request.cursor is None:
            used_up = ruling.allowance.begin()
            if used_up is not None:
                raise used_up
        request.permitted = True
        return True

    def answered(self, ask: Ask, result: object) -> None:
        """The answer to a question."""
        request = self._core.current
        if request is None:
            return
        try:
            self._take_answer(request, ask, result)
        except RemoteProtocolError:
            raise
        except GatewayError as error:
            self._refuse(request, error)
            return
        self.resume()

    def _take_answer(self, request: Request, ask: Ask, result: object) -> None:
        if isinstance(result, GatewayError) and not isinstance(ask, AskCommit):
            raise result
        match ask:
            case AskRuling():
                take_ruling(request, result)
            case AskPlan():
                take_plan(self._core, request, ask.ruling, result)
            case AskApproval():
                if not isinstance(result, ApprovalNote) or request.record is None:
                    raise LocalProtocolError(f"{type(result).__name__} is no approval")
                request.record.approval = result
            case AskCommit():
                record, self._intent = self._intent, None
                if record is not None:
                    record.intent = False
                request.committed = True
                if isinstance(result, GatewayError):
                    raise result
            case _:
                raise LocalProtocolError(f"an answer to {type(ask).__name__} came in an open session")

    # --- to the database ------------------------------------------------------------------------------------------

    def _forward(self, request: Request, ruling: Ruling) -> None:
        record = request.record
        if record is None:
            raise LocalProtocolError("a command goes to the database without a record")
        timeout = ruling.decision.obligations.timeout
        if timeout is not None and request.name not in _NO_TIME_LIMIT:
            body = with_time_limit(request.msg.body, request.scan.max_time, timeout)
            if body is not request.msg.body:
                request.replace_body(body)
        cursor = request.cursor
        if cursor is not None and cursor.over is not None:
            self._over_limit(request, cursor.over, record)
            return
        self._exchange.forward(request, record)

    def _answer_here(self, request: Request, reply: dict[str, Any]) -> None:
        """The gateway knows the answer."""
        core, ruling = self._core, request.ruling
        if ruling is not None:
            record = request.record or core.begin(ruling, request.described())
            core.finish(record, Outcome.SUCCESS)
        core.say(request, reply)
        core.current = None

    def _refuse(self, request: Request, error: GatewayError) -> None:
        core = self._core
        core.current = None
        if isinstance(error, CursorUnknown):
            core.say(request, plain_error(CURSOR_NOT_FOUND, f"cursor id {request.scan.value} not found"))
            return
        ruling = request.ruling
        if ruling is None:
            core.say(request, error_document(error, reference=core.settings.session_id))
            return
        record = request.record or core.begin(ruling, request.described())
        core.refuse(request, record, error)
        self._forget_cursor(request)

    def _forget_cursor(self, request: Request) -> None:
        """Drivers take an error for the end of their cursor and do not close it: it would stay open in the database."""
        number = request.scan.value
        if request.cursor is not None and isinstance(number, int):
            self._core.shared.cursors.drop(self._core.resource, number)
            self._exchange.kill(f"{request.scan.database}.{request.command().get('collection', '')}", number)

    def _over_limit(self, request: Request, error: LimitExceeded, record: StatementRecord) -> None:
        """The rows that a limit allows have been sent, and there are more."""
        core = self._core
        core.finish(record, Outcome.LIMITED, str(code_of(error).number))
        core.say(request, error_document(error, reference=record.id))
        if isinstance(request.scan.value, int):
            core.shared.cursors.drop(core.resource, request.scan.value)
        core.current = None

    # --- from the database ----------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes from the database."""
        self._exchange.receive(data)
        request, found = self._core.current, self._exchange.take_answer()
        if request is None or found is None:
            return
        if not self._claims.own_operation(found):
            self._refuse(request, NotYours("killOp for an operation that is not the client's own"))
            return
        request.probed = True
        self.resume()
