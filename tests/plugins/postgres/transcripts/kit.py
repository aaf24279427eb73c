"""A relay, a fake host, and a small language to write down what they say to each other.

A transcript is a list of lines::

    == title
    given masked                            the host's attitude, see ``Host.given``
    >> client Query('select 1')             bytes come from the client (messages joined by " + ")
    << server Query('select 1')             and this goes to the server: every effect must be written down, in order
    >> server Ready('I')
    << client Ready('I')
    << record success 'select 1'

Neighbouring sends to one side are one line. Asks are answered by the host at once and do not appear, unless it holds
them back (``given hold rulings``): then they appear as ``<< ask ruling`` and ``>> answer`` gives the answer.
"""

from __future__ import annotations

import re
import shlex
import struct
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.approvals.errors import ApprovalRefused
from gateway.domain.approval import ApprovalNote, ApprovalRule, GrantScope
from gateway.domain.audit import StatementRecord
from gateway.domain.decision import Decision, Obligations
from gateway.domain.decision import Effect as PolicyEffect
from gateway.domain.identity import Login, Proof
from gateway.domain.masking import ColumnMask, MaskingFunction, MaskingPlan, MaskSpec
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action
from gateway.errors import (
    AccessDenied,
    AuditError,
    GatewayError,
    GatewayShutdown,
    MaskingError,
    PolicyEvaluationError,
    StatementCancelled,
)
from gateway.protocol.adapter import Limits, Opened, RelaySettings, State, UpstreamHandle
from gateway.protocol.effects import (
    ApprovalPending,
    Ask,
    AskApproval,
    AskAuthenticate,
    AskCancel,
    AskCancelUpstream,
    AskCommit,
    AskKill,
    AskLogin,
    AskOpen,
    AskPlan,
    AskReconnect,
    AskRuling,
    BeginAgain,
    CatalogChanged,
    Close,
    Effect,
    GoOn,
    Identified,
    Record,
    RecordSession,
    Reidentified,
    SendDownstream,
    SendUpstream,
    SetDeadline,
    Watching,
    WithdrawApproval,
)
from gateway.sql.analyse import analyse
from gateway.sql.state import NameResolution
from gateway_postgres.relay import PostgresRelay
from gateway_postgres.session import probe
from gateway_postgres.wire import backend, frontend
from gateway_postgres.wire.codec import frame
from gateway_postgres.wire.startup import StartupMessage

SESSION = "s"
PRIVATE = b"querygate " + bytes(range(8)).hex().encode()
_PROBE = probe(PRIVATE)
_PROBE_MARK = frame(0x7F)


def random(size: int) -> bytes:
    """The same bytes every time."""
    return bytes(value % 256 for value in range(size))


def settings(**changes: object) -> RelaySettings:
    """What a relay is made with; a clock that stands still."""
    values: dict[str, object] = {
        "session_id": SESSION,
        "client_address": "192.0.2.1:5000",
        "tls": True,
        "tls_required": True,
        "tls_certificate": None,
        "fixed_resource": None,
        "resolve_resource": lambda name: name in ("shop-prod", "shop-own"),
        "now": lambda: 0,
        "random": random,
        "masking_function": masking_function,
        "limits": Limits(),
    }
    return RelaySettings(**(values | changes))  # type: ignore[arg-type]


def masking_function(spec: MaskSpec) -> MaskingFunction:
    """``redact`` hides all; ``fails`` raises at the first value; ``broken`` raises when it is compiled."""

    def constant(kind: object) -> str:
        if spec.function == "redact":
            return "****"
        if spec.function == "broken":
            raise RuntimeError("a plugin's bug")
        raise LookupError

    def apply(value: object, kind: object, domain: str) -> str:
        raise RuntimeError("a plugin's bug")

    return MaskingFunction(spec, 100, False, constant, apply)


class Book:
    """Rulings by state and text, as the gateway keeps them."""

    def __init__(self) -> None:
        self.masked = False
        self.epoch: object = object()
        self.rulings: dict[tuple[Hashable, bytes], Ruling] = {}

    def intern(self, state: State) -> State:
        return state

    def find(self, state: Hashable, key: bytes) -> Ruling | None:
        return self.rulings.get((state, key))


@dataclass
class Host:
    """Answers a relay's questions. Facts are those of the real analysis; attitudes are given by the transcript."""

    book: Book = field(default_factory=Book)
    mask: str = "redact"
    holds: set[str] = field(default_factory=set)
    audit_broken: bool = False
    no_plan: bool = False
    redact: bool = False
    rules: list[tuple[re.Pattern[str], Callable[[Ruling], None]]] = field(default_factory=list)
    asked: list[AskRuling] = field(default_factory=list)
    approvals: list[AskApproval] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def given(self, words: list[str]) -> None:
        """``masked [function]``, ``redacted``, ``hold KIND``, ``release KIND``, ``no plan``, ``a plan``,
        ``audit broken``, ``policy changed``.

        For texts (or reasons why the relay itself calls one opaque) that match: ``deny RE [message]``, ``intent RE``,
        ``limit N RE``, ``changes N RE``, ``timeout N RE``, ``warn RE message``, ``approval RE``.
        """
        match words:
            case ["masked", *function]:
                self.book.masked, self.mask = True, function[0] if function else "redact"
            case ["redacted"]:
                self.redact = True
            case ["hold", kind]:
                self.holds.add(kind)
            case ["release", kind]:
                self.holds.discard(kind)
            case ["no", "plan"]:
                self.no_plan = True
            case ["a", "plan"]:
                self.no_plan = False
            case ["audit", "broken"]:
                self.audit_broken = True
            case ["policy", "changed"]:
                self.book.epoch = object()
                self.book.rulings.clear()
            case ["deny", pattern, *message]:
                text = message[0] if message else None
                self._rule(pattern, lambda r: setattr(r, "refusal", AccessDenied("a policy", message=text)))
            case ["intent", pattern]:
                self._rule(pattern, lambda r: setattr(r, "intent", True))
            case ["limit", number, pattern]:
                self._oblige(pattern, Obligations(row_limit=int(number)))
            case ["changes", number, pattern]:
                self._oblige(pattern, Obligations(changes=int(number)))
            case ["timeout", number, pattern]:
                self._oblige(pattern, Obligations(timeout=float(number)))
            case ["approval", pattern]:
                rules = frozenset({ApprovalRule("four eyes", frozenset({"dba"}))})
                self._rule(pattern, lambda r: setattr(r, "approvals", rules))
            case ["warn", pattern, message]:
                self._rule(pattern, lambda r: setattr(r, "warnings", (message,)))
            case _:
                raise ValueError(f"the host does not know {words}")

    def _rule(self, pattern: str, change: Callable[[Ruling], None]) -> None:
        self.rules.append((re.compile(pattern), change))

    def _oblige(self, pattern: str, obligations: Obligations) -> None:
        self._rule(pattern, lambda r: setattr(r, "decision", replace(r.decision, obligations=obligations)))

    def answer(self, ask: Ask) -> object:
        match ask:
            case AskLogin():
                return Login(b"salt", 1, (), password=True)
            case AskAuthenticate():
                return Proof(Principal(ask.session.user))
            case AskOpen():
                return self.opened()
            case AskRuling():
                return self._ruling(ask)
            case AskCommit():
                return AuditError("the disk is full") if self.audit_broken else None
            case AskApproval():
                self.approvals.append(ask)
                ask.record.approval = ApprovalNote("r1", GrantScope.ONCE, ("dora@example.com",))
                return ask.record.approval
            case AskPlan():
                if self.no_plan:
                    return MaskingError("no plan")
                mask = ColumnMask(MaskSpec(self.mask), frozenset({"pii.email"}))
                return MaskingPlan(tuple(mask if "email" in column.name else None for column in ask.columns))
            case AskCancel() | AskCancelUpstream() | AskKill():
                return None
            case AskReconnect():
                return UpstreamHandle(tls=False)

    def opened(self) -> Opened:
        """The upstream is connected."""
        return Opened(
            resource=Resource("shop-prod", "postgres", "127.0.0.1", 5432),
            principal=Principal("ana@example.com"),
            credentials=UpstreamCredentials("gateway", "secret"),
            database="shop",
            handle=UpstreamHandle(tls=False),
            catalog=lambda: None,
            rulings=self.book,
        )

    def _ruling(self, ask: AskRuling) -> object:
        self.asked.append(ask)
        assert isinstance(ask.state, NameResolution | None)
        analysis = ask.facts or analyse(ask.text, ask.state or NameResolution(), None)
        masked = self.book.masked
        ruling = Ruling(
            decision=Decision(PolicyEffect.ALLOW, "all is well"),
            analysis=analysis,
            refusal=None,
            masked=masked,
            redact_messages=self.redact,
            intent=False,
            epoch=self.book.epoch,
        )
        if not analysis.actions.isdisjoint({Action.FUNCTION_CALL, Action.REPLICATE}) and not self.holds & {"bypass"}:
            ruling.refusal = AccessDenied("not named by a policy")
        reasons = [reason for facts in ask.facts.statements for reason in facts.opaque] if ask.facts else []
        for pattern, change in self.rules:
            if pattern.search(" ".join([ask.text, *reasons])):
                change(ruling)
        ruling = replace(ruling)  # so that what is derived from the changed fields is derived again
        if ask.key is not None:
            self.book.rulings[ask.state, ask.key] = ruling
        return ruling


_ASKS: dict[type, str] = {
    AskRuling: "rulings",
    AskApproval: "approvals",
    AskCommit: "commits",
    AskPlan: "plans",
    AskCancelUpstream: "cancels",
    AskCancel: "cancels",
    AskLogin: "logins",
    AskAuthenticate: "passwords",
    AskOpen: "opens",
}


_FAILURES: dict[str, GatewayError] = {
    "failure": PolicyEvaluationError("the host failed"),
    "rejected": ApprovalRefused("request r1 is rejected", message="the statement was rejected by an approver"),
    "cancelled": StatementCancelled("the client cancelled it"),
}


class Stage:
    """A relay with its host; collects what comes out as lines of the transcript's language."""

    def __init__(self, host: Host | None = None, **changes: object) -> None:
        self.host = host or Host()
        self.relay = PostgresRelay(settings(**changes))
        self.lines: list[str] = []
        self.waiting: list[Ask] = []
        self.records: list[StatementRecord] = []
        self.deadline: SetDeadline | None = None
        self.closed = False
        self._told = False
        self._client = b""
        self._server = b""

    # --- events -------------------------------------------------------------------------------------------------

    def client(self, data: bytes) -> None:
        self.carry_out(self.relay.receive_downstream(data))

    def server(self, data: bytes) -> None:
        self.carry_out(self.relay.receive_upstream(data))

    def carry_out(self, effects: list[Effect]) -> None:
        """As the driver does: writes first, then the questions."""
        asks: list[Ask] = []
        for effect in effects:
            match effect:
                case SendDownstream():
                    self._client += bytes(effect.data)
                case SendUpstream():
                    self._server += bytes(effect.data)
                case Close():
                    self.closed = True
                case SetDeadline():
                    self.deadline = effect if effect.seconds is not None else None
                    self._line(f"deadline {'off' if effect.seconds is None else effect.seconds:}")
                case Record():
                    self.records.append(effect.record)
                    self._line(_shown_record(effect.record))
                case RecordSession():
                    self._line(f"session {effect.kind.value}")
                case CatalogChanged():
                    self._line("catalog changed")
                case WithdrawApproval():
                    self._line("withdraw")
                case Watching():
                    self._line("watching")
                case BeginAgain():
                    self._line("begins again")
                case GoOn():
                    self._line("goes on")
                case Identified():
                    proof = "" if effect.token is None else f" by token {effect.token.id}"
                    self._line(f"identified {effect.principal.name}{proof}")
                case Reidentified():
                    self._line("identified once more")
                case _:
                    asks.append(effect)
        for ask in asks:
            kind = _ASKS[type(ask)]
            if kind in self.host.holds:
                self.waiting.append(ask)
                self._line(f"ask {kind.removesuffix('s')}")
            else:
                if isinstance(ask, AskCancelUpstream):
                    self._line("cancel")
                self.carry_out(self.relay.answer(ask, self.host.answer(ask)))

    def _line(self, line: str) -> None:
        self.lines.append(line)

    def settle(self) -> list[str]:
        """What came out since the last time: what was sent, then what else happened."""
        lines = []
        if self._server:
            lines.append("server " + " + ".join(shown_frontend(self._server)))
        if self._client:
            lines.append("client " + " + ".join(shown_backend(self._client)))
        lines += self.lines
        if self.closed and not self._told:
            self._told = True
            lines.append("close")
        self._client = self._server = b""
        self.lines = []
        return lines

    # --- short cuts ---------------------------------------------------------------------------------------------

    def open(self, *, probed: bool = True) -> None:
        """Log in, up to an open session."""
        self.client(StartupMessage(3 << 16, {"user": "ana@example.com", "database": "shop-prod"}).encode())
        self.client(frame(ord("p"), b"token\0"))
        self.server(GREETING)
        if probed:
            self.server(ProbeAnswer("public", "none", "gateway"))
        self.settle()

    def play(self, line: str) -> None:
        """Carry out one ``>>`` or ``given`` line."""
        words = line.split(maxsplit=2)
        match words:
            case ["given", *_]:
                self.host.given(shlex.split(line)[1:])
            case [">>", "client", "eof"]:
                self.carry_out(self.relay.eof_downstream())
            case [">>", "server", "eof"]:
                self.carry_out(self.relay.eof_upstream())
            case [">>", "client", messages]:
                self.client(built(messages))
            case [">>", "server", messages]:
                self.server(built(messages))
            case [">>", "pending"]:
                pending = ApprovalPending("r1", "waiting for an approval: request r1")
                self.carry_out(self.relay.answer(self.waiting[0], pending))
            case [">>", "answer", *how]:
                ask = self.waiting.pop(0)
                self.carry_out(self.relay.answer(ask, _FAILURES[how[0]] if how else self.host.answer(ask)))
            case [">>", "deadline"]:
                assert self.deadline is not None, "no deadline is set"
                self.carry_out(self.relay.deadline_expired(self.deadline.token))
            case [">>", "terminate"]:
                self.carry_out(self.relay.terminate(GatewayShutdown("an administrator")))
            case _:
                raise ValueError(f"not a line of a transcript: {line}")


@dataclass(frozen=True, slots=True)
class Transcript:
    """One dialogue of a file."""

    title: str
    place: str
    lines: tuple[str, ...]

    def run(self) -> None:
        """Play it; ``AssertionError`` shows how it really went."""
        stage = Stage()
        stage.open()
        really: list[str] = []
        for line in self.lines:
            if line.startswith("<<"):
                continue
            stage.play(line)
            really.append(line)
            really += [f"<< {out}" for out in stage.settle()]
        assert really == list(self.lines), "\n".join(["it really went:", *really])


def transcripts(folder: Path) -> list[Transcript]:
    """All dialogues in the folder's ``*.txt`` files."""
    found: list[Transcript] = []
    for path in sorted(folder.glob("*.txt")):
        title, start = "", 0
        lines: list[str] = []
        for number, line in enumerate([*path.read_text().splitlines(), "== "], start=1):
            if line.startswith("== "):
                if lines:
                    found.append(Transcript(title, f"{path.stem}:{start}", tuple(lines)))
                title, lines, start = line[3:], [], number
            elif line.strip() and not line.startswith("#"):
                lines.append(line.rstrip())
    return found


# --- messages --------------------------------------------------------------------------------------------------------


def _bytes(text: str) -> bytes:
    return text.encode()


def Fields(*names: str, oid: int = 0) -> bytes:
    """RowDescription of text columns."""
    columns = (backend.FieldDescription(_bytes(name), oid, 0, 25, -1, -1, 0) for name in names)
    return backend.RowDescription(tuple(columns)).encode()


def DataRow(*values: str | None) -> bytes:
    return backend.DataRow(tuple(None if value is None else _bytes(value) for value in values)).encode()


def ProbeAnswer(*values: str, status: str = "I") -> bytes:
    """What the server says to a probe; fewer than three values: it failed."""
    one = frame(ord("1")) + frame(ord("2"))
    two = CommandComplete("SHOW") + frame(ord("3")) * 2
    answers = b"".join(one + DataRow(value) + two for value in values)
    return answers + (b"" if len(values) == 3 else Error("25P02", "the transaction is aborted")) + Ready(status)


def CommandComplete(tag: str) -> bytes:
    return backend.CommandComplete(tag).encode()


def Ready(status: str) -> bytes:
    return backend.ReadyForQuery(backend.TransactionStatus(status)).encode()


def Error(code: str, message: str, **more: str) -> bytes:
    return backend.ErrorResponse({"S": "ERROR", "V": "ERROR", "C": code, "M": message, **more}).encode()


def Fatal(code: str, message: str) -> bytes:
    return backend.ErrorResponse({"S": "FATAL", "V": "FATAL", "C": code, "M": message}).encode()


def Notice(message: str) -> bytes:
    return backend.NoticeResponse({"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": message}).encode()


def Bind(portal: str = "", statement: str = "", *formats: int) -> bytes:
    return frontend.Bind(_bytes(portal), _bytes(statement), result_formats=formats).encode()


def _empty(letter: str) -> Callable[[], bytes]:
    return lambda: frame(ord(letter))


_WORDS: dict[str, Callable[..., bytes]] = {
    "Query": lambda sql: frontend.Query(_bytes(sql)).encode(),
    "Parse": lambda name, sql: frontend.Parse(_bytes(name), _bytes(sql)).encode(),
    "Bind": Bind,
    "Describe": lambda what, name="": frame(ord("D"), _bytes(what + name + "\0")),
    "Close": lambda what, name="": frame(ord("C"), _bytes(what + name + "\0")),
    "Execute": lambda portal="", rows=0: frontend.Execute(_bytes(portal), rows).encode(),
    "CopyData": lambda data: frame(ord("d"), _bytes(data)),
    "CopyFail": lambda reason: frontend.CopyFail(_bytes(reason)).encode(),
    "FunctionCall": lambda oid: frontend.FunctionCall(oid).encode(),
    "CopyIn": lambda: backend.CopyInResponse(0, (0,)).encode(),
    "CopyOut": lambda: backend.CopyOutResponse(0, (0,)).encode(),
    "CopyBoth": lambda: backend.CopyBothResponse(0, ()).encode(),
    "ParameterDescription": lambda: backend.ParameterDescription(()).encode(),
    "ParameterStatus": lambda name, value: backend.ParameterStatus(name, value).encode(),
    "Notification": lambda pid, channel, text: backend.NotificationResponse(
        pid, _bytes(channel), _bytes(text)
    ).encode(),
    "FunctionResult": lambda value: backend.FunctionCallResponse(_bytes(value)).encode(),
    "Raw": lambda letter, body: frame(ord(letter), body),
    "Bytes": lambda data: data,
}
_EMPTY_FRONTEND = {"Sync": "S", "Flush": "H", "CopyDone": "c", "Terminate": "X"}
_EMPTY_BACKEND = {
    "ParseComplete": "1",
    "BindComplete": "2",
    "CloseComplete": "3",
    "NoData": "n",
    "PortalSuspended": "s",
    "EmptyQuery": "I",
    "CopyDone": "c",
}
_VOCABULARY: dict[str, object] = {
    **_WORDS,
    **{name: _empty(letter) for name, letter in (_EMPTY_FRONTEND | _EMPTY_BACKEND).items()},
    **{word.__name__: word for word in (Fields, DataRow, ProbeAnswer, CommandComplete, Ready, Error, Fatal, Notice)},
}

GREETING = (
    frame(ord("R"), bytes(4))
    + backend.ParameterStatus("client_encoding", "UTF8").encode()
    + backend.ParameterStatus("standard_conforming_strings", "on").encode()
    + backend.BackendKeyData(4711, b"\1\2\3\4").encode()
    + Ready("I")
)


def built(text: str) -> bytes:
    """Bytes of messages as a transcript writes them."""
    value = eval(text, {"__builtins__": {}}, dict(_VOCABULARY))
    assert isinstance(value, bytes)
    return value


def split(data: bytes) -> list[tuple[str, bytes]]:
    """Whole messages; what is left over is one of type ``?``."""
    messages: list[tuple[str, bytes]] = []
    position = 0
    while position < len(data):
        if len(data) - position < 5:
            return [*messages, ("?", data[position:])]
        kind, length = struct.unpack_from("!cI", data, position)
        end = position + 1 + length
        if end > len(data):
            return [*messages, ("?", data[position:])]
        messages.append((kind.decode("latin-1"), data[position + 5 : end]))
        position = end
    return messages


def _call(name: str, *arguments: object, **named: object) -> str:
    words = [repr(argument) for argument in arguments] + [f"{key}={value!r}" for key, value in named.items()]
    return f"{name}({', '.join(words)})"


def shown_frontend(data: bytes) -> list[str]:
    """Client-side messages as a transcript writes them."""
    return [_shown_frontend(kind, body) for kind, body in split(data.replace(_PROBE, _PROBE_MARK))]


def _shown_frontend(kind: str, body: bytes) -> str:
    for name, letter in _EMPTY_FRONTEND.items():
        if kind == letter:
            return _call(name)
    words = body.decode("latin-1").split("\0")
    match kind:
        case "\x7f":
            return "Probe()"
        case "Q":
            return _call("Query", words[0])
        case "P":
            return _call("Parse", words[0], words[1])
        case "B":
            bound = frontend.Bind.decode(body)
            return _call("Bind", bound.portal.decode(), bound.statement.decode(), *bound.result_formats)
        case "D" | "C":
            return _call("Describe" if kind == "D" else "Close", words[0][:1], words[0][1:])
        case "E":
            execute = frontend.Execute.decode(body)
            name = "<private>" if execute.portal == PRIVATE else execute.portal.decode()
            return _call("Execute", name, execute.max_rows)
        case "d":
            return _call("CopyData", body.decode("latin-1"))
        case "f":
            return _call("CopyFail", words[0])
        case "F":
            return _call("FunctionCall", frontend.FunctionCall.decode(body).function)
        case _:
            return _call("Bytes", body) if kind == "?" else _call("Raw", kind, body)


def shown_backend(data: bytes) -> list[str]:
    """Server-side messages as a transcript writes them."""
    return [_shown_backend(kind, body) for kind, body in split(data)]


def _shown_backend(kind: str, body: bytes) -> str:
    for name, letter in _EMPTY_BACKEND.items():
        if kind == letter:
            return _call(name)
    match kind:
        case "T":
            return _call("Fields", *(column.name.decode() for column in backend.RowDescription.decode(body).fields))
        case "D":
            values = backend.DataRow.decode(body).values
            return _call("DataRow", *(None if value is None else bytes(value).decode() for value in values))
        case "C":
            return _call("CommandComplete", body[:-1].decode())
        case "Z":
            return _call("Ready", body.decode())
        case "E":
            return _shown_error(backend.ErrorResponse.decode(body))
        case "N":
            return _call("Notice", backend.NoticeResponse.decode(body).message)
        case "A":
            heard = backend.NotificationResponse.decode(body)
            return _call("Notification", heard.pid, heard.channel.decode(), heard.payload.decode())
        case "S":
            status = backend.ParameterStatus.decode(body)
            return _call("ParameterStatus", status.name, status.value)
        case "d":
            return _call("CopyData", body.decode("latin-1"))
        case "G" | "H" | "W":
            return _call({"G": "CopyIn", "H": "CopyOut", "W": "CopyBoth"}[kind])
        case "t":
            return _call("ParameterDescription")
        case "V":
            value = backend.FunctionCallResponse.decode(body).value
            return _call("FunctionResult", None if value is None else bytes(value).decode())
        case "K":
            return _call("Key", backend.BackendKeyData.decode(body).pid)
        case "R":
            return _call("Authentication", struct.unpack("!I", body[:4])[0])
        case "v":
            negotiated = backend.NegotiateProtocolVersion.decode(body)
            return _call("Negotiate", negotiated.version & 0xFFFF, *negotiated.unknown_options)
        case _:
            return _call("Bytes", body) if kind == "?" else _call("Raw", kind, body)


def _shown_error(response: backend.ErrorResponse) -> str:
    known = {"S", "V", "C", "M"}
    more = {letter: text for letter, text in response.fields.items() if letter not in known}
    hint = re.fullmatch(r"Reference (\S+): .*", more.get("H", ""))
    if hint is not None:
        more = {"reference": hint[1]}
    return _call("Fatal" if response.severity == "FATAL" else "Error", response.code, response.message, **more)


def _shown_record(record: StatementRecord) -> str:
    parts = [f"record {record.outcome.value} {record.text!r}"]
    if record.code:
        parts.append(record.code)
    if record.rows:
        parts.append(f"rows={record.rows}")
    if record.masked_cells:
        parts.append(f"masked={record.masked_cells}")
    if record.intent:
        parts.append("intent")
    return " ".join(parts)
