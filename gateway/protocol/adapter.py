"""What a protocol plugin gives the host."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gateway.domain.decision import Effect as PolicyEffect
from gateway.domain.masking import MaskingFunction, MaskSpec
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Analysis, ColumnRef
from gateway.errors import GatewayError
from gateway.protocol.effects import Ask, Effect

State = TypeVar("State", bound=Hashable)
"""A protocol's own session state."""

# --- before a session: exact reads on the raw socket, so that no byte sent in clear can end up inside TLS -----------


@dataclass(slots=True)
class Peek:
    """Look at the first ``size`` bytes without taking them."""

    size: int


@dataclass(slots=True)
class ReadExactly:
    """Take exactly ``size`` bytes."""

    size: int


@dataclass(slots=True)
class Write:
    """Send bytes in clear."""

    data: bytes


@dataclass(slots=True)
class StartTls:
    """Hand the socket to TLS; nothing may be read in clear after this. ``alpn`` must be what the client selected."""

    alpn: str | None = None
    initial: bytes = b""
    """For the relay, before whatever comes through TLS: what the preamble itself said and was told."""


PreambleStep = Peek | ReadExactly | Write | StartTls
Preamble = Generator[PreambleStep, bytes, bytes]
"""Yields steps, gets the bytes of a Peek or ReadExactly sent in, returns bytes that belong to the relay.

Raise ``RemoteProtocolError`` to hang up. After StartTls the generator is sent ``b""`` and must return.
"""

Exchange = Generator[bytes, bytes, object]
"""A whole conversation with an upstream as a generator: yields bytes to send (may be empty), gets bytes received,
returns its result. Raises ``UpstreamError`` where the upstream refuses. ``b""`` sent in means that it hung up."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """The result of an exchange that ends with a word to which there is no answer: nobody waits for one."""

    result: object
    word: bytes


@dataclass(frozen=True, slots=True)
class UpstreamHandle:
    """How an upstream connection came to be, as far as authentication needs it."""

    tls: bool
    certificate: bytes | None = None
    """DER of the server's certificate, for channel binding."""
    greeting: bytes = b""
    """What the server said before TLS, where it speaks first (see ``optional.ServerSpeaksFirst``)."""


class CatalogView(Protocol):
    """What the host needs of a protocol's catalog, whatever its shape."""

    @property
    def version(self) -> str:
        """Changes with every change of content."""

    def columns(self) -> Sequence[ColumnRef]:
        """Every stored column, for classification."""

    def related_columns(self, column: ColumnRef) -> frozenset[ColumnRef]:
        """The other columns that hold the same data, such as a partition's: a label on one of them is on all."""


class RulingBook(Protocol):
    """Rulings already made for this principal, resource and database."""

    masked: bool
    """Whether the principal is under a mask on this database (may change with a ruling)."""

    @property
    def epoch(self) -> object:
        """Changes identity when the snapshot or the catalog changes: rulings of another epoch are void."""

    def find(self, state: Hashable, key: bytes) -> Ruling | None:
        """The ruling for a statement's bytes in a session state, by exact text or by template. Well under 1 µs."""

    def intern(self, state: State) -> State:
        """The object that stands for all session states equal to this one; ``find`` knows it without comparing."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer to ``AskOpen``: the upstream is connected (TCP and TLS), nothing of the protocol is spoken yet."""

    resource: Resource
    principal: Principal
    credentials: UpstreamCredentials
    database: str
    handle: UpstreamHandle
    catalog: Callable[[], CatalogView | None]
    """The newest catalog of this database; None where there is none (then nothing can be resolved)."""
    rulings: RulingBook


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """What a relay is created with. ``now`` gives Unix nanoseconds; ``random`` gives that many random bytes."""

    session_id: str
    client_address: str
    tls: bool
    tls_required: bool
    tls_certificate: bytes | None
    """DER of the gateway's own certificate, for channel binding."""
    fixed_resource: str | None
    """The resource of a listener of its own."""
    resolve_resource: Callable[[str], bool]
    """Whether a resource of that name and this protocol exists."""
    now: Callable[[], int]
    random: Callable[[int], bytes]
    masking_function: Callable[[MaskSpec], MaskingFunction]
    limits: Limits


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds. Every one is enforced before memory is taken."""

    max_message: int = 256 * 1024 * 1024
    max_statement: int = 64 * 1024 * 1024
    max_startup: int = 10_000
    login_timeout: float = 30.0


class Relay(Protocol):
    """One session's state machine. It never raises on bad input: failure is an effect.

    ``cancel_key`` is what a cancel request must present, ``upstream_cancel_key`` what the database wants to see in one;
    ``idle`` is True between statements outside a transaction, when a session may be ended without hurting anybody.
    """

    cancel_key: bytes | None
    upstream_cancel_key: bytes | None

    @property
    def idle(self) -> bool:
        """Whether nothing is running and no transaction is open."""

    def receive_downstream(self, data: bytes) -> list[Effect]:
        """Take bytes from the client."""

    def receive_upstream(self, data: bytes) -> list[Effect]:
        """Take bytes from the database."""

    def eof_downstream(self) -> list[Effect]:
        """The client hung up. Without a ``Close`` in the answer the session goes on until what runs has ended."""

    def eof_upstream(self) -> list[Effect]:
        """The database hung up."""

    def answer(self, ask: Ask, result: object) -> list[Effect]:
        """Take the answer to a question: what the question's docstring says, or an exception."""

    @property
    def wants_downstream(self) -> bool:
        """Whether the client should be read from; False while its next message waits for something."""

    @property
    def wants_upstream(self) -> bool:
        """Whether the database should be read from."""

    def deadline_expired(self, token: int) -> list[Effect]:
        """The time set by ``SetDeadline`` is over."""

    def terminate(self, error: GatewayError) -> list[Effect]:
        """End the session from the gateway's side with a native error (drain, revoked token, login timeout)."""

    def expire(self, error: GatewayError) -> list[Effect]:
        """What let the client in is over: from now on no statement is taken, and ``error`` says why.

        What the database works at may finish; the session ends after it, open transactions with it. A protocol in which
        a client can prove itself anew in an open session may wait for that instead.
        """


class StatementAnalyser(Protocol):
    """Turns texts into facts. Never raises for a text: what it cannot analyse is opaque."""

    def analyse_now(self, text: str, state: Hashable, catalog: CatalogView | None) -> Analysis | None:
        """The facts, or None where the text is too long to be analysed without holding up the event loop."""

    async def analyse(self, text: str, state: Hashable, catalog: CatalogView | None) -> Analysis:
        """The facts, worked out in another process."""

    def close(self) -> None:
        """End the other processes."""


class ProtocolAdapter(Protocol):
    """One protocol. Stateless; everything about a session lives in its relay."""

    name: str
    db_system: str
    """OpenTelemetry ``db.system.name``."""
    default_port: int
    enforces: frozenset[PolicyEffect]
    """Effects this protocol can enforce; loading a policy with another one for such a resource fails."""
    alpn: Sequence[str]

    def preamble(self, *, tls: bool, resource: str | None) -> Preamble:
        """The part before TLS. ``tls`` says whether the listener has a certificate, ``resource`` whose alone it is."""

    def create_relay(self, settings: RelaySettings) -> Relay:
        """A fresh state machine for one session."""

    def upstream_preamble(self, *, tls: bool) -> Preamble:
        """The client side of TLS negotiation: the same steps, on the connection to the database."""

    def introspect(
        self, resource: Resource, credentials: UpstreamCredentials, database: str, handle: UpstreamHandle
    ) -> Exchange:
        """Log in, read the catalog, log out. Returns a ``CatalogView``."""

    def cancel(self, key: bytes) -> bytes:
        """The bytes that cancel the upstream query whose key is ``key``; the connection is closed afterwards."""

    def create_analyser(self) -> StatementAnalyser:
        """What turns this protocol's texts into facts; made once, shared by all sessions."""
