"""A relay between a client and a server that are nothing but bytes, with a host that answers every question at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.domain.decision import Decision, Obligations
from gateway.domain.decision import Effect as PolicyEffect
from gateway.domain.identity import AccessToken, Login
from gateway.domain.masking import ColumnMask, MaskingFunction, MaskingPlan, MaskSpec, Value, ValueKind
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, StatementFacts
from gateway.errors import AccessDenied, AuditError, MaskingError
from gateway.identity.scram import derive_verifier
from gateway.identity.sha2 import sha2_verifier
from gateway.protocol.adapter import CatalogView, Limits, Opened, RelaySettings, State, UpstreamHandle
from gateway.protocol.effects import (
    Ask,
    AskApproval,
    AskCancelUpstream,
    AskCommit,
    AskKill,
    AskLogin,
    AskOpen,
    AskPlan,
    AskRuling,
    BeginAgain,
    Close,
    Effect,
    Record,
    SendDownstream,
    SendUpstream,
)
from gateway_mysql.relay import MySqlRelay
from gateway_mysql.wire.capabilities import NONE, Capability
from gateway_mysql.wire.codec import encode_string
from gateway_mysql.wire.commands import Command
from gateway_mysql.wire.handshake import Greeting, HandshakeResponse
from gateway_mysql.wire.messages import ColumnDefinition, Eof, Ok
from gateway_mysql.wire.packets import packet
from gateway_mysql.wire.scramble import CACHING_SHA2, NATIVE, sha2_scramble

NONCE = bytes(range(1, 21))
SECRET = "a-token"
C = Capability
CLIENT = C.PROTOCOL_41 | C.SECURE_CONNECTION | C.PLUGIN_AUTH | C.CONNECT_WITH_DB | C.MULTI_RESULTS | C.LONG_PASSWORD
SERVER = CLIENT | C.DEPRECATE_EOF | C.SESSION_TRACK | C.PLUGIN_AUTH_LENENC | C.CONNECT_ATTRS | C.TRANSACTIONS
TOKEN = AccessToken(
    "t", Principal("ana@example.com"), derive_verifier(SECRET, salt=b"salty salt"), sha2=sha2_verifier(SECRET.encode())
)


class Book:
    """Rulings that are never found, so that every statement is asked about."""

    def __init__(self, *, masked: bool) -> None:
        self.masked = masked
        self.epoch: object = None

    def intern(self, state: State) -> State:
        return state

    def find(self, state: Hashable, key: bytes) -> Ruling | None:
        return None


class Bed:
    """One session. ``down`` and ``up`` are what was sent to each side; ``records`` what the audit got."""

    def __init__(
        self,
        *,
        masked: bool = False,
        deprecate_eof: bool = False,
        obligations: Obligations | None = None,
        more: Capability = NONE,
    ) -> None:
        self.book = Book(masked=masked)
        self.down, self.up = b"", b""
        self.records: list[Record] = []
        self.asked: list[Ask] = []
        self.closed = False
        self.again: list[BeginAgain] = []
        self.denied = "denied"
        self.audit_broken = self.no_plan = False
        self.found = True
        self.facts = StatementFacts(kind="SELECT", actions=frozenset({Action.READ}))
        self.obligations = obligations or Obligations()
        self.catalog: CatalogView | None = None
        self.more = more
        """What client and server can do beyond what all do here."""
        self.flags = CLIENT | more | (C.DEPRECATE_EOF if deprecate_eof else C(0))
        self.offered = self.server_flags = SERVER | more
        """What the gateway promises the client, and what the server can do."""
        self.parameters: dict[str, str] = {}
        """The resource's."""
        settings = RelaySettings(
            session_id="s",
            client_address="127.0.0.1:1",
            tls=False,
            tls_required=False,
            tls_certificate=None,
            fixed_resource=None,
            resolve_resource=lambda name: name == "shop-prod",
            now=iter(range(1, 1 << 40)).__next__,
            random=bytes,
            masking_function=masking_function,
            limits=Limits(max_message=40 << 20, max_statement=1 << 20),
        )
        self.relay = MySqlRelay(settings, _no_key)

    # --- the three parties --------------------------------------------------------------------------------------

    def client(self, data: bytes, *, step: int = 0) -> None:
        """The client sends bytes, ``step`` at a time (0: at once)."""
        self._feed(self.relay.receive_downstream, data, step)

    def server(self, data: bytes, *, step: int = 0) -> None:
        """The server sends bytes."""
        self._feed(self.relay.receive_upstream, data, step)

    def _feed(self, receive: Callable[[bytes], list[Effect]], data: bytes, step: int) -> None:
        for start in range(0, len(data), step or max(len(data), 1)):
            self.run(receive(data[start : start + step] if step else data))

    def run(self, effects: list[Effect]) -> None:
        """As the driver does it: what is to be sent goes out before questions are answered."""
        asks: list[Ask] = []
        for effect in effects:
            match effect:
                case SendDownstream():
                    self.down += bytes(effect.data)
                case SendUpstream():
                    self.up += bytes(effect.data)
                case Record():
                    self.records.append(effect)
                case Close():
                    self.closed = True
                case BeginAgain():
                    self.again.append(effect)
                case AskLogin() | AskOpen() | AskRuling() | AskPlan() | AskCommit() | AskKill() | AskCancelUpstream():
                    asks.append(effect)
                case _:
                    pass
        for ask in asks:
            self.asked.append(ask)
            self.run(self.relay.answer(ask, self.answer(ask)))

    def answer(self, ask: Ask) -> object:
        match ask:
            case AskLogin():
                return Login(b"salt", 4096, (TOKEN,))
            case AskOpen():
                greeting = Greeting(b"10.11.2-MariaDB", 7, NONCE, self.server_flags, 45, 2, NATIVE)
                return Opened(
                    resource=Resource(
                        "shop-prod", "mysql", "127.0.0.1", 3306, database="shop", parameters=self.parameters
                    ),
                    principal=ask.principal,
                    credentials=UpstreamCredentials("gateway", "secret"),
                    database="shop",
                    handle=UpstreamHandle(tls=False, greeting=greeting.encode()),
                    catalog=lambda: self.catalog,
                    rulings=self.book,
                )
            case AskRuling():
                return self._ruling(ask)
            case AskPlan():
                if self.no_plan:
                    return MaskingError("no plan")
                mask = ColumnMask(MaskSpec("redact"), frozenset({"pii.email"}))
                return MaskingPlan(tuple(mask if "email" in column.name else None for column in ask.columns))
            case AskCommit():
                return AuditError("full") if self.audit_broken else None
            case AskKill():
                return self.found
            case AskApproval() | AskCancelUpstream():
                return None
            case _:
                raise AssertionError(ask)

    def _ruling(self, ask: AskRuling) -> Ruling:
        refused = re.search(self.denied, ask.text)
        return Ruling(
            decision=Decision(PolicyEffect.ALLOW, "all is well", obligations=self.obligations),
            analysis=ask.facts or Analysis((self.facts,)),
            refusal=AccessDenied("no", message="not that") if refused else None,
            masked=self.book.masked,
            redact_messages=self.book.masked,
            intent="intent" in ask.text,
        )

    # --- conversations ------------------------------------------------------------------------------------------

    def log_in(self, *, step: int = 0) -> None:
        """From the greeting to the answer of the first probe; nothing is left in ``down`` and ``up``."""
        greeting = Greeting(b"x", 99, NONCE, self.offered, 45, 2, CACHING_SHA2)
        self.client(packet(greeting.encode(), 0), step=step)
        proof = sha2_scramble(SECRET.encode(), NONCE)
        response = HandshakeResponse(self.flags, 1 << 24, 45, b"ana@example.com", proof, b"shop-prod", CACHING_SHA2)
        self.client(packet(response.encode(), 1), step=step)
        assert self.up, "nothing was sent to the server"
        self.accept(step=step)
        self.probe(step=step)
        assert self.down == packet(b"\1\3", 2) + packet(Ok().encode(), 3)
        self.down = self.up = b""

    def accept(self, *, step: int = 0) -> None:
        """The server accepts the gateway's login."""
        self.server(packet(Ok().encode(), 2), step=step)

    def probe(self, *, step: int = 0) -> None:
        """The server answers the gateway's own question."""
        cells: list[bytes | None] = [b"73686f70", b"STRICT_TRANS_TABLES", b"utf8mb4", b"0", b"10.11.2-MariaDB"]
        self.server(self.rows([column("x")] * 5, [cells]), step=step)

    def rows(
        self,
        columns: list[ColumnDefinition],
        rows: list[list[bytes | None]],
        *,
        status: int = 2,
        sequence: int = 1,
    ) -> bytes:
        """A result in text, as this session's server sends it."""
        deprecate_eof = bool(self.flags & C.DEPRECATE_EOF)
        payloads = [bytes((len(columns),)), *(item.encode() for item in columns)]
        if not deprecate_eof:
            payloads.append(Eof(status=2).encode())
        payloads += [b"".join(map(_cell, row)) for row in rows]
        payloads.append(Ok(status=status).encode(0xFE) if deprecate_eof else Eof(status=status).encode())
        return b"".join(packet(payload, sequence + index) for index, payload in enumerate(payloads))

    def outcomes(self) -> list[str]:
        return [effect.record.outcome.value for effect in self.records if not effect.record.intent]


def query(text: str) -> bytes:
    return packet(bytes((Command.QUERY,)) + text.encode(), 0)


def column(name: str, kind: int = 253) -> ColumnDefinition:
    encoded = name.encode()
    return ColumnDefinition(b"shop", b"customers", b"customers", encoded, encoded, 45, 400, kind, 0, 0)


def _cell(cell: bytes | None) -> bytes:
    return b"\xfb" if cell is None else encode_string(cell)


def masking_function(spec: MaskSpec) -> MaskingFunction:
    """Shows five characters whatever a value is; ``long`` masks make rows longer than packets, ``broken`` ones fail."""

    def apply(value: Value, kind: ValueKind, domain: str) -> Value:
        if value == "broken":
            raise ValueError("it holds a secret")
        return "*" * (17 << 20) if value == "long" else f"<{len(str(value))}>"

    def constant(kind: ValueKind) -> Value | None:
        raise LookupError

    return MaskingFunction(spec, 90, False, constant, apply)


def _no_key() -> RSAPrivateKey:
    raise AssertionError("no RSA key is needed here")
