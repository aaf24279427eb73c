"""The entry point: PostgreSQL as a protocol of the gateway (plugin ``postgres``)."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from secrets import token_bytes

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
    Peek,
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
from gateway.sql.state import UNKNOWN_RESOLUTION, NameResolution
from gateway_postgres.catalog import CATALOG_QUERIES, build_catalog
from gateway_postgres.estimate import estimate, may_be_estimated
from gateway_postgres.parameters import BoundParameters
from gateway_postgres.relay import PostgresRelay
from gateway_postgres.sampling import sample
from gateway_postgres.session import PROBE_TEXTS, initial_state
from gateway_postgres.wire.frontend import Terminate
from gateway_postgres.wire.startup import CancelRequest, GssEncRequest, SslRequest
from gateway_postgres.wire.upstream import run_queries, upstream_login

API_VERSION = 1

_TLS_RECORD = 0x16
_SSL_REQUEST = SslRequest().encode()
_GSS_REQUEST = GssEncRequest().encode()
_ALPN = "postgresql"
_READING = (
    "SET default_transaction_read_only = on",
    # Well below deadlock_timeout: where a schema change holds what the catalog's functions want to look at, it is the
    # gateway that gives way, never a client.
    "SET lock_timeout = '200ms'",
    "SET statement_timeout = '20s'",
)
"""How the gateway's own session is set up before it reads a catalog."""


class PostgresAdapter:
    """Implements ``gateway.protocol.adapter.ProtocolAdapter``."""

    name = "postgres"
    db_system = "postgresql"
    default_port = 5432
    alpn: Sequence[str] = (_ALPN,)
    enforces = frozenset(Effect)

    def preamble(self, *, tls: bool, resource: str | None) -> Preamble:
        """TLS at once (PostgreSQL 17), after SSLRequest, or none; GSSENCRequest is declined (documentation 55.2.10-11).

        Requests are read with their exact size, so whatever a client sends behind an SSLRequest in clear is read by
        TLS as its handshake, which fails.
        """
        first = yield Peek(1)
        if first and first[0] == _TLS_RECORD:
            if not tls:
                raise RemoteProtocolError("the client began TLS, which this listener does not offer")
            yield StartTls(_ALPN)
            return b""
        for _ in range(3):
            request = yield ReadExactly(8)
            if request == _SSL_REQUEST:
                if tls:
                    yield Write(b"S")
                    yield StartTls()
                    return b""
                yield Write(b"N")
            elif request == _GSS_REQUEST:
                yield Write(b"N")
            else:
                return request
        raise RemoteProtocolError("the client keeps asking for encryption")

    def create_relay(self, settings: RelaySettings) -> PostgresRelay:
        """A fresh state machine for one session."""
        return PostgresRelay(settings)

    def upstream_preamble(self, *, tls: bool) -> Preamble:
        """Ask the database for TLS; it must agree."""
        if tls:
            yield Write(_SSL_REQUEST)
            answer = yield ReadExactly(1)
            if answer != b"S":
                raise UpstreamError("the database does not offer TLS, which the resource's configuration demands")
            yield StartTls()
        return b""

    def introspect(
        self, resource: Resource, credentials: UpstreamCredentials, database: str, handle: UpstreamHandle
    ) -> Exchange:
        """Log in, read the catalog, log out."""
        return _introspect(credentials, database, handle)

    def initial_state(
        self, resource: Resource, credentials: UpstreamCredentials, database: str, handle: UpstreamHandle
    ) -> Exchange:
        """Log in as a session does, ask how names are resolved, log out."""
        return _initial_state(credentials, database, handle)

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
        return sample(credentials, database, handle, rows=rows, seen=seen, random=token_bytes)

    def may_estimate(self, facts: StatementFacts, text: str, state: Hashable) -> bool:
        """Whether asking the planner about the statement is sure to run nobody's code."""
        return may_be_estimated(facts, _resolution(state))

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
        """Log in, ask the planner how many rows a statement is about, log out."""
        if bound is not None and not isinstance(bound, BoundParameters):
            raise TypeError("parameters of another protocol")
        return estimate(credentials, database, handle, text, _resolution(state), bound, random=token_bytes)

    def cancel(self, key: bytes) -> bytes:
        """A CancelRequest."""
        return CancelRequest(int.from_bytes(key[:4], "big"), key[4:]).encode()

    def create_analyser(self) -> StatementAnalyser:
        """The shared SQL analysis in the postgres dialect."""
        return _Analyser()


class _Analyser:
    """The shared SQL analysis behind the host's contract, which knows nothing of what a state or a catalog is."""

    def __init__(self) -> None:
        self._analyser = Analyser()

    def analyse_now(self, text: str, state: Hashable, catalog: CatalogView | None) -> Analysis | None:
        return self._analyser.analyse_now(text, _resolution(state), _catalog(catalog))

    async def analyse(self, text: str, state: Hashable, catalog: CatalogView | None) -> Analysis:
        return await self._analyser.analyse(text, _resolution(state), _catalog(catalog))

    def close(self) -> None:
        self._analyser.close()


def _resolution(state: Hashable) -> NameResolution:
    return state if isinstance(state, NameResolution) else UNKNOWN_RESOLUTION


def _catalog(catalog: CatalogView | None) -> Catalog | None:
    return catalog if isinstance(catalog, Catalog) else None


def _introspect(
    credentials: UpstreamCredentials, database: str, handle: UpstreamHandle
) -> Generator[bytes, bytes, Farewell]:
    parameters = {
        "user": credentials.username,
        "database": database,
        "application_name": "querygate",
        "client_encoding": "UTF8",
    }
    login = yield from upstream_login(parameters, credentials.password, handle, random=token_bytes)
    results = yield from run_queries((*_READING, *CATALOG_QUERIES), leftover=login.leftover)
    catalog = build_catalog(results[len(_READING) :])
    return Farewell(catalog, Terminate().encode())


def _initial_state(
    credentials: UpstreamCredentials, database: str, handle: UpstreamHandle
) -> Generator[bytes, bytes, Farewell]:
    parameters = {"user": credentials.username, "database": database, "client_encoding": "UTF8"}
    login = yield from upstream_login(parameters, credentials.password, handle, random=token_bytes)
    answers = yield from run_queries(PROBE_TEXTS, leftover=login.leftover)
    state = initial_state(login.parameters, [rows[0][0] or "" for rows in answers])
    return Farewell(state, Terminate().encode())


@hookimpl
def register_protocols() -> list[PostgresAdapter]:
    """PostgreSQL 12 and later, protocol 3.0 and 3.2."""
    return [PostgresAdapter()]
