"""The store: SQLite beside the gateway by default, PostgreSQL where the configuration says so.

One transaction per request, and writers one after the other: what a change is checked against cannot change before it
is committed. Tables are made by migrations only (``admin_api.migrate``).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import DateTime, Dialect, TypeDecorator, event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from gateway.config.resolve import is_loopback
from gateway.errors import ConfigurationError

FILE: Final = "control.db"
"""The default store's file in ``data_dir``."""

_BEGIN: Final = "querygate_begin"
_WRITERS: Final = 0x51474154
"""The advisory lock that writers take in PostgreSQL."""
_BUSY_TIMEOUT: Final = 5000
_PATIENCE: Final = 30.0
"""Seconds that a writer waits for others of this process."""
_MODES: Final = ("disable", "require", "verify-ca", "verify-full")

metadata = SQLModel.metadata
metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Moment(TypeDecorator[datetime]):
    """A time with its zone, kept in UTC. SQLite, which has no zones, gets it as UTC without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """The engine and its transactions."""

    def __init__(self, url: URL) -> None:
        """Connects to nothing yet."""
        arguments = {} if _is_sqlite(url) else {"ssl": _tls(url)}
        self.url = url.set(query={})
        self.engine: AsyncEngine = create_async_engine(
            self.url, pool_pre_ping=not _is_sqlite(url), connect_args=arguments
        )
        if _is_sqlite(url):
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)
        # Whoever stands in the queue waits for one turn at most behind what is urgent.
        self._queue, self._turn = asyncio.Lock(), asyncio.Lock()
        self._writing = self.engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})

    @property
    def is_sqlite(self) -> bool:
        """Whether the store is a file beside the gateway."""
        return _is_sqlite(self.url)

    @asynccontextmanager
    async def transaction(self, *, write: bool = False, urgent: bool = False) -> AsyncIterator[AsyncSession]:
        """A transaction: committed at the end of the block, rolled back where it raises.

        ``write`` waits for others that write, 503 after a while; ``urgent`` goes ahead of those that wait. A block that
        writes must not open another one that does.
        """
        async with AsyncExitStack() as stack:
            if write:
                await self._take_turn(stack, urgent)
            engine = self._writing if write else self.engine
            session = await stack.enter_async_context(AsyncSession(engine, expire_on_commit=False))
            await stack.enter_async_context(session.begin())
            if write and not self.is_sqlite:
                await session.exec(text("SELECT pg_advisory_xact_lock(:number)"), params={"number": _WRITERS})  # type: ignore[call-overload]
            yield session

    async def _take_turn(self, stack: AsyncExitStack, urgent: bool) -> None:
        """Wait here, where it takes neither a connection nor, as SQLite's own lock does, looking every 100 ms."""
        try:
            async with asyncio.timeout(_PATIENCE):
                if not urgent:
                    await stack.enter_async_context(self._queue)
                await stack.enter_async_context(self._turn)
        except TimeoutError:
            raise PoolTimeout("others were writing all the time") from None

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def store_url(setting: str | None, data_dir: Path) -> URL:
    """The engine's address from the setting: ``postgresql://…`` or, where there is none, a file in ``data_dir``.

    Raises ``ConfigurationError`` without the setting in it: it holds a password.
    """
    if setting is None:
        return URL.create("sqlite+aiosqlite", database=str(data_dir / FILE))
    try:
        url = make_url(setting)
    except ArgumentError:
        raise ConfigurationError("control_plane.database: not a database URL") from None
    if url.drivername not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise ConfigurationError("control_plane.database: write postgresql://user:password@host/database")
    if url.query.get("sslmode", "disable") not in _MODES:
        raise ConfigurationError(f"control_plane.database: sslmode is one of {', '.join(_MODES)}")
    unknown = url.query.keys() - {"sslmode", "sslrootcert"}
    if unknown:
        raise ConfigurationError(f"control_plane.database: unknown parameter {', '.join(sorted(unknown))}")
    return url.set(drivername="postgresql+asyncpg")


def _tls(url: URL) -> ssl.SSLContext | bool:
    """What asyncpg takes for libpq's words. Unlike there, nothing said means verified TLS, but for this machine."""
    local = url.host is None or is_loopback(url.host)
    mode = url.query.get("sslmode", "disable" if local else "verify-full")
    if mode == "disable":
        return False
    authority = url.query.get("sslrootcert")
    context = ssl.create_default_context(cafile=None if authority is None else str(authority))
    context.check_hostname = mode == "verify-full"
    if mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _prepare_sqlite(connection: Any, _: object) -> None:
    # The driver's own transaction control begins too late and ends too early; ours is in _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_TIMEOUT}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
