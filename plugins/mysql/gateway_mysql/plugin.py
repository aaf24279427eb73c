"""The entry point: MySQL and MariaDB as a protocol of the gateway (plugin ``mysql``)."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from secrets import token_bytes

from cryptography.hazmat.primitives.asymmetric import rsa

from gateway import hookimpl
from gateway.domain.audit import BoundValues
from gateway.domain.decision import Effect
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.statement import Analysis, StatementFacts
from gateway.errors import RemoteProtocolError, UpstreamError
from gateway.protocol.adapter import (
    CatalogView,
    Exchange,
    Farewell,
    Preamble,
    ReadExactly,
    RelaySettings,
    StartTls,
    StatementAnalyser,
    UpstreamHandle,
    Write,
)
from gateway.protocol.optional import SampleSeen
from gateway.sql.catalog import Catalog
from gateway.sql.offload import Analyser
from gateway.sql.state import UNKNOWN_MYSQL_RESOLUTION, MySqlResolution
from gateway_mysql.catalog import CATALOG_QUERIES, build_catalog
from gateway_mysql.core import QUIT_COMMAND
from gateway_mysql.estimate import estimate, may_be_estimated
from gateway_mysql.known import KnownServers
from gateway_mysql.options import UpstreamOptions
from gateway_mysql.parameters import Bound
from gateway_mysql.relay import MySqlRelay
from gateway_mysql.sampling import sample
from gateway_mysql.session import PROBE, read_probe
from gateway_mysql.wire.capabilities import Capability, asked, offered
from gateway_mysql.wire.handshake import MAX_LOGIN_PAYLOAD, Greeting, SslRequest, fresh_nonce
from gateway_mysql.wire.messages import ERR, Err, Status
from gateway_mysql.wire.packets import HEADER, packet
from gateway_mysql.wire.scramble import CACHING_SHA2
from gateway_mysql.wire.upstream import (
    MAX_PACKET,
    UTF8MB4,
    LoginOptions,
    LoginResult,
    possible,
    refusal,
    run_queries,
    upstream_login,
)

API_VERSION = 1

_RSA_BITS = 2048
_OWN = LoginOptions(asked(Capability.DEPRECATE_EOF, tls=False), UTF8MB4, {b"program_name": b"querygate"})
_READING = ("SET SESSION TRANSACTION READ ONLY", "SET NAMES utf8mb4", "SET SESSION lock_wait_timeout = 1")
"""How the gateway's own session is set up before it reads a catalog."""


class MySqlAdapter:
    """Implements ``gateway.protocol.adapter.ProtocolAdapter``."""

    name = "mysql"
    db_system = "mysql"
    default_port = 3306
    alpn: Sequence[str] = ()
    enforces = frozenset(Effect)

    def __init__(self) -> None:
        self._servers = KnownServers()
        self._key: rsa.RSAPrivateKey | None = None

    def _private_key(self) -> rsa.RSAPrivateKey:
        """What clients without TLS encrypt their password with; made when the first of them asks."""
        if self._key is None:
            self._key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        return self._key

    def preamble(self, *, tls: bool, resource: str | None) -> Preamble:
        """Greet, and begin TLS where the client asks for it. The relay is given the greeting first.

        The client's first packet is read with its exact size, so whatever it sends behind a request for TLS in clear is
        read by TLS as its handshake, which fails.
        """
        greeting = packet(self._greeting(resource, tls=tls).encode(), 0)
        yield Write(greeting)
        header = yield ReadExactly(HEADER)
        size = int.from_bytes(header[:3], "little")
        if size > MAX_LOGIN_PAYLOAD:
            raise RemoteProtocolError("the client's answer to the greeting is too long")
        payload = yield ReadExactly(size)
        if tls and header[3] == 1 and SslRequest.decode(payload) is not None:
            yield StartTls(initial=greeting)
            return b""
        return greeting + header + payload

    def _greeting(self, resource: str | None, *, tls: bool) -> Greeting:
        return Greeting(
            version=self._servers.version(resource),
            # Far from the numbers that servers give, so that a number means one session.
            thread=0x8000_0000 | int.from_bytes(token_bytes(4), "little") >> 1,
            nonce=fresh_nonce(token_bytes),
            capabilities=offered(self._servers.capabilities(resource), tls=tls),
            charset=UTF8MB4,
            status=int(Status.AUTOCOMMIT),
            plugin=CACHING_SHA2,
        )

    def create_relay(self, settings: RelaySettings) -> MySqlRelay:
        """A fresh state machine for one session."""
        return MySqlRelay(settings, self._private_key)

    def upstream_preamble(self, *, tls: bool) -> Preamble:
        """Not used: the server speaks first."""
        return _greeted(_OWN.capabilities, UpstreamOptions(), tls=tls)

    def upstream_greeting(self, resource: Resource, options: Hashable, *, tls: bool) -> Preamble:
        """Read the greeting, and ask for TLS, which the server must offer. ``options`` are capabilities."""
        settings = UpstreamOptions.read(resource.parameters)
        if isinstance(options, Capability):
            return _greeted(options, settings, tls=tls)
        # The gateway's own connections are over in no time: they are never compressed.
        return _greeted(_OWN.capabilities, UpstreamOptions(), tls=tls)

    def meet(self, resource: Resource, credentials: UpstreamCredentials, handle: UpstreamHandle) -> Exchange:
        """Log in and out; the greeting is remembered."""
        return self._meet(resource, credentials, handle)

    def _meet(
        self, resource: Resource, credentials: UpstreamCredentials, handle: UpstreamHandle
    ) -> Generator[bytes, bytes, Farewell]:
        login = yield from _log_in(credentials, handle)
        self._servers.met(resource.name, login.greeting)
        return Farewell(None, QUIT_COMMAND)

    def introspect(
        self, resource: Resource, credentials: UpstreamCredentials, database: str, handle: UpstreamHandle
    ) -> Exchange:
        """Log in, read the catalog of all databases that the gateway's user can see, log out."""
        return self._introspect(resource, credentials, handle)

    def _introspect(
        self, resource: Resource, credentials: UpstreamCredentials, handle: UpstreamHandle
    ) -> Generator[bytes, bytes, Farewell]:
        login = yield from _log_in(credentials, handle)
        self._servers.met(resource.name, login.greeting)
        results = yield from run_queries((*_READING, *CATALOG_QUERIES), login.capabilities)
        catalog = build_catalog(results[len(_READING) :])
        return Farewell(catalog, QUIT_COMMAND)

    def initial_state(
        self, resource: Resource, credentials: UpstreamCredentials, database: str, handle: UpstreamHandle
    ) -> Exchange:
        """Log in as a session does, ask what texts and names mean in it, log out."""
        return _initial_state(credentials, database, handle)

    def may_estimate(self, facts: StatementFacts, text: str, state: Hashable) -> bool:
        """Whether the optimizer can be asked about the statement without running anybody's code."""
        return may_be_estimated(facts, text, _resolution(state))

    def estimate(
        self,
        resource: Resource,
        credentials: UpstreamCredentials,
        database: str,
        handle: UpstreamHandle,
        text: str,
        state: Hashable,
        bound: BoundValues | None,
    ) -> Exchange:
        """Log in, have the server explain the statement, log out; the rows that it would look at."""
        if bound is not None and not isinstance(bound, Bound):
            raise TypeError("parameters of another protocol")
        return _estimate(credentials, handle, text, _resolution(state), bound)

    def sample(
        self,
        resource: Resource,
        credentials: UpstreamCredentials,
        database: str,
        handle: UpstreamHandle,
        *,
        rows: int,
        seen: SampleSeen,
    ) -> Exchange:
        """Log in, read some rows of every table, log out."""
        return _sample(credentials, database, handle, rows=rows, seen=seen)

    def cancel(self, key: bytes) -> bytes:
        """Not used: cancelling takes a login."""
        return b""

    def cancel_exchange(self, credentials: UpstreamCredentials, handle: UpstreamHandle, key: bytes) -> Exchange:
        """KILL QUERY."""
        return _cancel(credentials, handle, int.from_bytes(key, "little"))

    def create_analyser(self) -> StatementAnalyser:
        """The shared SQL analysis in the mysql dialect."""
        return _Analyser()


def _greeted(wanted: Capability, settings: UpstreamOptions, *, tls: bool) -> Preamble:
    header = yield ReadExactly(HEADER)
    payload = yield ReadExactly(int.from_bytes(header[:3], "little"))
    if payload[:1] == bytes((ERR,)):
        raise refusal(Err.decode(payload))
    greeting = Greeting.decode(payload)
    if tls:
        if not greeting.capabilities & Capability.SSL:
            raise UpstreamError("the database does not offer TLS, which the resource's configuration demands")
        flags = possible(wanted | settings.choose(greeting.capabilities), greeting.capabilities)
        yield Write(packet(SslRequest(flags, MAX_PACKET, UTF8MB4).encode(), 1))
        yield StartTls(initial=payload)
    return payload


class _Analyser:
    """The shared SQL analysis behind the host's contract, which knows nothing of what a state or a catalog is."""

    def __init__(self) -> None:
        self._analyser = Analyser(dialect="mysql")

    def analyse_now(self, text: str, state: Hashable, catalog: CatalogView | None) -> Analysis | None:
        return self._analyser.analyse_now(text, _resolution(state), _catalog(catalog))

    async def analyse(self, text: str, state: Hashable, catalog: CatalogView | None) -> Analysis:
        return await self._analyser.analyse(text, _resolution(state), _catalog(catalog))

    def close(self) -> None:
        self._analyser.close()


def _resolution(state: Hashable) -> MySqlResolution:
    return state if isinstance(state, MySqlResolution) else UNKNOWN_MYSQL_RESOLUTION


def _catalog(catalog: CatalogView | None) -> Catalog | None:
    return catalog if isinstance(catalog, Catalog) else None


def _log_in(
    credentials: UpstreamCredentials, handle: UpstreamHandle, database: str = ""
) -> Generator[bytes, bytes, LoginResult]:
    greeting = Greeting.decode(handle.greeting)
    user, password = credentials.username, credentials.password
    result = yield from upstream_login(greeting, user, password, database, _OWN, tls=handle.tls)
    return result


def _initial_state(
    credentials: UpstreamCredentials, database: str, handle: UpstreamHandle
) -> Generator[bytes, bytes, Farewell]:
    login = yield from _log_in(credentials, handle, database)
    ((cells,),) = yield from run_queries((PROBE,), login.capabilities)
    return Farewell(read_probe([None if cell is None else cell.encode() for cell in cells]), QUIT_COMMAND)


def _estimate(
    credentials: UpstreamCredentials, handle: UpstreamHandle, text: str, state: MySqlResolution, bound: Bound | None
) -> Generator[bytes, bytes, Farewell]:
    login = yield from _log_in(credentials, handle, state.database or "")
    arguments = None if bound is None else bound.arguments()
    rows = None
    if bound is None or arguments is not None:
        rows = yield from estimate(login.capabilities, text, state, arguments)
    return Farewell(rows, QUIT_COMMAND)


def _sample(
    credentials: UpstreamCredentials, database: str, handle: UpstreamHandle, *, rows: int, seen: SampleSeen
) -> Generator[bytes, bytes, Farewell]:
    login = yield from _log_in(credentials, handle)
    yield from sample(login.capabilities, database, rows=rows, seen=seen)
    return Farewell(None, QUIT_COMMAND)


def _cancel(credentials: UpstreamCredentials, handle: UpstreamHandle, thread: int) -> Generator[bytes, bytes, Farewell]:
    login = yield from _log_in(credentials, handle)
    yield from run_queries((f"KILL QUERY {thread}",), login.capabilities)
    return Farewell(None, QUIT_COMMAND)


@hookimpl
def register_protocols() -> list[MySqlAdapter]:
    """MySQL 5.7 and later, MariaDB 10.2 and later."""
    return [MySqlAdapter()]
