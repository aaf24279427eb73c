"""One MySQL session from the first byte to the last: startup, then both directions of the open session.

Pure: bytes and answers in, effects out. Nothing here raises on bad input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.domain.approval import ApprovalNote
from gateway.domain.masking import MaskingPlan
from gateway.domain.ruling import Ruling
from gateway.errors import GatewayError, ProtocolError
from gateway.protocol.adapter import RelaySettings
from gateway.protocol.core import as_error
from gateway.protocol.effects import (
    ApprovalPending,
    Ask,
    AskApproval,
    AskCancelUpstream,
    AskCommit,
    AskKill,
    AskPlan,
    AskRuling,
    BeginAgain,
    Close,
    Effect,
    GoOn,
    SendDownstream,
    SendUpstream,
    SetDeadline,
)
from gateway_mysql.core import QUIT_COMMAND, Core
from gateway_mysql.results import ServerStream
from gateway_mysql.startup import Beginning, Startup
from gateway_mysql.statements import ClientStream
from gateway_mysql.wire.compression import Compression, ServerCompression
from gateway_mysql.wire.handshake import fresh_nonce

MAX_HELD: Final = 64 * 1024
"""Bytes of the client that may wait inside the relay before it is no longer read, so that its hanging up is noticed."""
_TURN: Final = 1024 * 1024
"""Bytes that are unpacked before the driver sees to it that they go somewhere; one frame may be 16 MiB more."""

PARTING: Final = 1.0
PARTING_IDLE: Final = 60.0
"""Seconds after the last answer of a session whose token has expired, for the client's next command to be answered;
with a transaction open, and without."""
_PARTING: Final = -1

StartupEvent = Callable[[Startup], None]


class MySqlRelay:
    """The state machine of one session; implements ``gateway.protocol.adapter.Relay``."""

    __slots__ = (
        "_beginning",
        "_client",
        "_compression",
        "_core",
        "_expired",
        "_more_down",
        "_more_up",
        "_parting",
        "_private_key",
        "_server",
        "_startup",
        "_upstream_compression",
        "cancel_key",
        "threads",
        "upstream_cancel_key",
    )

    def __init__(
        self, settings: RelaySettings, private_key: Callable[[], RSAPrivateKey], again: Beginning | None = None
    ) -> None:
        self.cancel_key: bytes | None = None
        """Never one: cancelling is a statement here."""
        self.upstream_cancel_key: bytes | None = None
        self.threads: tuple[int, ...] = ()
        """The numbers that clients know the session by: the greeting's, and the server's (CONNECTION_ID())."""
        self._private_key = private_key
        self._beginning: Beginning | None = None
        """What a later login on this connection builds on."""
        self._startup: Startup | None = Startup(settings, private_key, again)
        self._core: Core | None = None
        self._expired: GatewayError | None = None
        """Why the session ends when the command under way has been answered."""
        self._parting = False
        """It has been: the session ends with the client's next word, or after some time."""
        self._client: ClientStream | None = None
        self._server: ServerStream | None = None
        self._compression: Compression | None = None if again is None else again.compression
        """What the client's side is compressed by."""
        self._upstream_compression: ServerCompression | None = None
        self._more_down = False
        """More of the client's frames are there than were unpacked at once."""
        self._more_up = False

    @property
    def idle(self) -> bool:
        """Whether nothing is running, asked for or half sent, and no transaction is open."""
        core, client = self._core, self._client
        if core is None or client is None or client.blocked or client.held.size:
            return False
        if self._compression is not None and self._compression.held:
            return False
        return not core.tracker.in_transaction

    @property
    def wants_downstream(self) -> bool:
        """Whether the client should be read from."""
        client = self._client
        if client is None:
            return True
        packed = 0 if self._compression is None else self._compression.held
        return not self._more_down and (client.held.size + packed < MAX_HELD or not client.blocked)

    @property
    def wants_upstream(self) -> bool:
        """Whether the database should be read from."""
        core = self._core
        return core is None or (core.ask_up is None and not self._more_up)

    # --- events -------------------------------------------------------------------------------------------------

    def receive_downstream(self, data: bytes) -> list[Effect]:
        """Take bytes from the client."""
        client, core = self._client, self._core
        if client is None or core is None:
            return self._start_up(lambda startup: self._begin(startup, data))
        return self._receive(core, client, data)

    def _begin(self, startup: Startup, data: bytes) -> None:
        """Take bytes of a client that is logging in, which is compressed if it did so before."""
        compression = self._compression
        if compression is None:
            startup.receive_downstream(data)
            return
        compression.feed(data)
        startup.receive_downstream(b"")
        while not startup.over and (plain := compression.take()) is not None:
            startup.receive_downstream(plain)

    def _receive(self, core: Core, client: ClientStream, data: bytes, *, plain: bool = False) -> list[Effect]:
        """Take bytes of an open session; ``plain`` says that no compression is around them any more."""
        if core.closed or core.abandoned:
            return []
        if self._expired is not None:
            return self._part(core, data, self._expired)
        try:
            if self._compression is None or plain:
                client.receive(data)
            else:
                self._compression.feed(data)
        except GatewayError as error:
            self._fail(core, error)
        return self._take(core)

    def _unpack(self, core: Core, packed: list[Effect]) -> None:
        """Take what is compressed, frame by frame, as far as it has its turn. ``packed`` gets finished effects."""
        upstream, compression = self._upstream_compression, self._compression
        if upstream is not None and self._server is not None:
            self._more_up = self._unpack_answer(core, self._server, upstream)
            if self._more_up:
                core.effects.append(GoOn(downstream=False))
        if compression is not None and self._client is not None:
            self._more_down = self._unpack_commands(core, self._client, compression, packed)
            if self._more_down:
                core.effects.append(GoOn(downstream=True))

    @staticmethod
    def _unpack_answer(core: Core, server: ServerStream, compression: ServerCompression) -> bool:
        """Give the server's frames to whom they are for; whether there are more for the next turn."""
        taken = 0
        while not core.closed and core.ask_up is None:
            if taken >= _TURN and compression.ready:
                return True
            data = compression.take()
            if data is None:
                return False
            taken += len(data)
            server.receive(data)
        return False

    def _unpack_commands(
        self, core: Core, client: ClientStream, compression: Compression, packed: list[Effect]
    ) -> bool:
        """The same of the client's, of which none has its turn while an earlier command is not answered."""
        taken = 0
        while not (core.closed or core.abandoned or client.blocked or self._expired is not None):
            if taken >= _TURN and compression.ready:
                return True
            if core.effects:
                # An answer's frames are numbered behind those of its own command.
                packed += self._encoded(core.effects)
                core.effects = []
            data = compression.take()
            if data is None:
                return False
            taken += len(data)
            client.receive(data)
        return False

    def receive_upstream(self, data: bytes) -> list[Effect]:
        """Take bytes from the database."""
        server, core = self._server, self._core
        if server is None or core is None:
            return self._start_up(lambda startup: startup.receive_upstream(data))
        if core.closed:
            return []
        try:
            if self._upstream_compression is None:
                server.receive(data)
            else:
                self._upstream_compression.feed(data)
        except GatewayError as error:
            self._fail(core, error)
        return self._take(core)

    def answer(self, ask: Ask, result: object) -> list[Effect]:
        """Take the answer to a question."""
        client, server, core = self._client, self._server, self._core
        if client is None or server is None or core is None:
            return self._start_up(lambda startup: startup.answer(ask, result))
        if core.closed:
            return []
        try:
            self._answer(core, client, server, ask, result)
        except GatewayError as error:
            self._fail(core, error)
        return self._take(core)

    @staticmethod
    def _answer(core: Core, client: ClientStream, server: ServerStream, ask: Ask, result: object) -> None:
        if isinstance(result, ApprovalPending):
            return  # the question stays open, and there is no way to tell the client
        if ask is core.ask_up:
            core.ask_up = None
        if ask is core.ask_down:
            core.ask_down = None
        match ask:
            case AskRuling():
                if isinstance(result, Ruling):
                    client.ruled(result)
                else:
                    raise as_error(result)
            case AskCommit():
                client.committed(ask, None if result is None else as_error(result))
            case AskApproval():
                client.approved(ask.record, None if isinstance(result, ApprovalNote) else as_error(result))
            case AskKill():
                client.killed(found=result is True)
            case AskPlan():
                server.planned(ask, result if isinstance(result, MaskingPlan) else as_error(result))
            case AskCancelUpstream():
                core.cancelled()
                client.resume()
            case _:
                raise ProtocolError(f"an answer to {type(ask).__name__} came in an open session")

    def eof_downstream(self) -> list[Effect]:
        """The client hung up."""
        core, client = self._core, self._client
        if core is None or client is None:
            return self._start_up(lambda startup: startup.fail_silently())
        if core.closed or core.abandoned:
            return []
        client.abandon()
        if not core.closed:
            core.cancel()
        return self._take(core)

    def eof_upstream(self) -> list[Effect]:
        """The database hung up."""
        core, server = self._core, self._server
        if core is None or server is None:
            return self._start_up(lambda startup: startup.receive_upstream(b""))
        server.lost()
        return self._take(core)

    def deadline_expired(self, token: int) -> list[Effect]:
        """A statement's time is over."""
        core, server = self._core, self._server
        if core is None or server is None or core.closed:
            return []
        if token == _PARTING and self._expired is not None:
            self._fail(core, self._expired)
        else:
            server.expire(token)
        return self._take(core)

    def terminate(self, error: GatewayError) -> list[Effect]:
        """End the session from the gateway's side."""
        core = self._core
        if core is None:
            return self._start_up(lambda startup: startup.refuse(error))
        if not core.closed:
            self._fail(core, error)
        return self._take(core)

    def expire(self, error: GatewayError) -> list[Effect]:
        """What let the client in is over: what it sent ahead will never run."""
        core, client = self._core, self._client
        if core is None or client is None or (client.blocked and core.pending is None):
            return self.terminate(error)
        self._expired = error
        if client.held.size:
            client.held.take()
        return self._take(core)

    def _part(self, core: Core, data: bytes, error: GatewayError) -> list[Effect]:
        """The client wants something though its token has expired."""
        if not self._parting:
            return []
        if self._compression is not None:
            self._compression.feed(data)
            self._compression.take()  # the answer's frames are numbered behind the command's
        self._fail(core, error, answered=1)
        return self._take(core)

    # --- phases -------------------------------------------------------------------------------------------------

    def _start_up(self, event: StartupEvent) -> list[Effect]:
        startup = self._startup
        if startup is None:
            return []
        try:
            event(startup)
        except GatewayError as error:
            startup.refuse(error)
        effects = self._encoded(startup.effects)
        startup.effects = []
        if startup.open is not None:
            self._open(startup, startup.open, effects)
        return effects

    def _open(self, startup: Startup, core: Core, effects: list[Effect]) -> None:
        """The upstream is logged in: from here on commands flow."""
        self._startup = None
        self._beginning = startup.beginning
        self._core = core
        self._client = client = ClientStream(core)
        self._server = ServerStream(core, client)
        # What came after an earlier login has been decoded already.
        plain = self._compression is not None
        self._compression = startup.compression
        self._upstream_compression = startup.upstream_compression
        self.threads = (startup.thread, startup.upstream_thread)
        self.upstream_cancel_key = startup.upstream_thread.to_bytes(4, "little")
        effects += self._take(core)
        if startup.upstream_rest:
            effects += self.receive_upstream(startup.upstream_rest)
        rest = startup.take_downstream()
        if rest:
            effects += self._receive(core, client, rest, plain=plain)

    def _fail(self, core: Core, error: GatewayError, answered: int = 0) -> None:
        """End the session with a native error, and whatever still runs for it in the database.

        ``answered`` is the number of the packet that answers a command which nobody else has seen.
        """
        if core.closed:
            return
        running = core.pending is not None
        core.effects.append(SendUpstream(QUIT_COMMAND))
        client, server = self._client, self._server
        # An error between commands has the number 0.
        sequence = answered if client is None or server is None or not client.blocked else server.number
        core.fail(error, sequence)
        if running:
            core.effects.append(AskCancelUpstream())

    def _take(self, core: Core) -> list[Effect]:
        packed: list[Effect] = []
        if self._compression is not None or self._upstream_compression is not None:
            try:
                self._unpack(core, packed)
            except GatewayError as error:
                self._fail(core, error)
        if self._expired is not None and not self._parting and self._client is not None and not self._client.blocked:
            # Not at once: an answer to its next command is what every client understands. Locks are not kept for that.
            self._parting = True
            core.effects.append(SetDeadline(PARTING if core.tracker.in_transaction else PARTING_IDLE, _PARTING))
        effects, core.effects = core.effects, []
        if core.again is not None and self._beginning is not None and self._client is not None:
            again = self._beginning.again(
                core.again, fresh_nonce(core.settings.random), self._client.held.take(), self._compression
            )
            core.again = None
            settings, key = core.settings, self._private_key
            effects.append(BeginAgain(lambda session: MySqlRelay(replace(settings, session_id=session), key, again)))
        return packed + self._encoded(effects) if packed else self._encoded(effects)

    def _encoded(self, effects: list[Effect]) -> list[Effect]:
        compression, upstream = self._compression, self._upstream_compression
        if compression is None and upstream is None:
            return effects
        packed: list[Effect] = []
        for effect in effects:
            if compression is not None and isinstance(effect, SendDownstream):
                if frames := compression.pack(bytes(effect.data)):
                    packed.append(SendDownstream(frames))
            elif compression is not None and isinstance(effect, Close):
                if rest := compression.rest():
                    packed.append(SendDownstream(rest))
                packed.append(effect)
            elif upstream is not None and isinstance(effect, SendUpstream):
                packed.append(SendUpstream(upstream.command(bytes(effect.data))))
            else:
                packed.append(effect)
        return packed
