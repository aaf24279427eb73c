"""One MySQL session from the first byte to the last: startup, then both directions of the open session.

Pure: bytes and answers in, effects out. Nothing here raises on bad input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.domain.approval import ApprovalNote
from gateway.domain.masking import MaskingPlan
from gateway.domain.ruling import Ruling
from gateway.errors import GatewayError, ProtocolError
from gateway.protocol.adapter import RelaySettings
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
    Effect,
    SendDownstream,
    SendUpstream,
)
from gateway_mysql.core import QUIT_COMMAND, Core
from gateway_mysql.results import ServerStream, lost
from gateway_mysql.startup import Beginning, Startup
from gateway_mysql.statements import ClientStream
from gateway_mysql.wire.compression import Compression
from gateway_mysql.wire.handshake import fresh_nonce

MAX_HELD = 64 * 1024
"""Bytes of the client that may wait inside the relay before it is no longer read, so that its hanging up is noticed."""

StartupEvent = Callable[[Startup], None]


class MySqlRelay:
    """The state machine of one session; implements ``gateway.protocol.adapter.Relay``."""

    __slots__ = (
        "_beginning",
        "_client",
        "_compression",
        "_core",
        "_private_key",
        "_server",
        "_startup",
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
        self._client: ClientStream | None = None
        self._server: ServerStream | None = None
        self._compression: Compression | None = None if again is None else again.compression

    @property
    def idle(self) -> bool:
        """Whether nothing is running, asked for or half sent, and no transaction is open."""
        core, client = self._core, self._client
        if core is None or client is None or client.blocked or client.held.size:
            return False
        return not core.tracker.in_transaction

    @property
    def wants_downstream(self) -> bool:
        """Whether the client should be read from."""
        client = self._client
        return client is None or client.held.size < MAX_HELD or not client.blocked

    @property
    def wants_upstream(self) -> bool:
        """Whether the database should be read from."""
        core = self._core
        return core is None or core.ask_up is None

    # --- events -------------------------------------------------------------------------------------------------

    def receive_downstream(self, data: bytes) -> list[Effect]:
        """Take bytes from the client."""
        client, core = self._client, self._core
        if client is None or core is None:
            return self._start_up(lambda startup: startup.receive_downstream(self._decoded(data)))
        return self._receive(core, client, data)

    def _receive(self, core: Core, client: ClientStream, data: bytes, *, plain: bool = False) -> list[Effect]:
        """Take bytes of an open session; ``plain`` says that no compression is around them any more."""
        if core.closed or core.abandoned:
            return []
        try:
            client.receive(data if plain else self._decoded(data))
        except GatewayError as error:
            self._fail(core, error)
        return self._take(core)

    def _decoded(self, data: bytes) -> bytes:
        return data if self._compression is None else self._compression.decode(data)

    def receive_upstream(self, data: bytes) -> list[Effect]:
        """Take bytes from the database."""
        server, core = self._server, self._core
        if server is None or core is None:
            return self._start_up(lambda startup: startup.receive_upstream(data))
        if core.closed:
            return []
        try:
            server.receive(data)
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
                    raise _as_error(result)
            case AskCommit():
                client.committed(ask, None if result is None else _as_error(result))
            case AskApproval():
                client.approved(ask.record, None if isinstance(result, ApprovalNote) else _as_error(result))
            case AskKill():
                client.killed(found=result is True)
            case AskPlan():
                server.planned(ask, result if isinstance(result, MaskingPlan) else _as_error(result))
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
        core = self._core
        if core is None:
            return self._start_up(lambda startup: startup.receive_upstream(b""))
        lost(core)
        return self._take(core)

    def deadline_expired(self, token: int) -> list[Effect]:
        """A statement's time is over."""
        core, server = self._core, self._server
        if core is None or server is None or core.closed:
            return []
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
        self.threads = (startup.thread, startup.upstream_thread)
        self.upstream_cancel_key = startup.upstream_thread.to_bytes(4, "little")
        if startup.upstream_rest:
            effects += self.receive_upstream(startup.upstream_rest)
        rest = startup.take_downstream()
        if rest:
            effects += self._receive(core, client, rest, plain=plain)

    def _fail(self, core: Core, error: GatewayError) -> None:
        """End the session with a native error, and whatever still runs for it in the database."""
        if core.closed:
            return
        running = core.pending is not None
        core.effects.append(SendUpstream(QUIT_COMMAND))
        client = self._client
        # An error between commands has the number 0, in an answer's place the first of it.
        core.fail(error, client.sequence if client is not None and client.blocked else 0)
        if running:
            core.effects.append(AskCancelUpstream())

    def _take(self, core: Core) -> list[Effect]:
        effects, core.effects = core.effects, []
        if core.again is not None and self._beginning is not None and self._client is not None:
            again = self._beginning.again(
                core.again, fresh_nonce(core.settings.random), self._client.held.take(), self._compression
            )
            core.again = None
            settings, key = core.settings, self._private_key
            effects.append(BeginAgain(lambda session: MySqlRelay(replace(settings, session_id=session), key, again)))
        return self._encoded(effects)

    def _encoded(self, effects: list[Effect]) -> list[Effect]:
        compression = self._compression
        if compression is None:
            return effects
        return [
            SendDownstream(compression.encode(bytes(effect.data))) if isinstance(effect, SendDownstream) else effect
            for effect in effects
        ]


def _as_error(result: object) -> GatewayError:
    return result if isinstance(result, GatewayError) else GatewayError(f"no usable answer: {type(result).__name__}")
