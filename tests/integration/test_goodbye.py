"""The gateway's own conversations with databases end with its goodbye, not when the server hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.domain.resource import Resource, UpstreamCredentials, UpstreamTls, UpstreamTlsMode
from gateway.protocol.adapter import ProtocolAdapter
from gateway.server import upstream
from gateway.server.upstream import Upstreams
from gateway.testing.shop import Shop
from gateway.testing.shop_mariadb import MariaDbShop
from gateway_mysql.plugin import MySqlAdapter
from gateway_postgres.plugin import PostgresAdapter


class Lingering:
    """Stands in front of a server, and does not hang up on the client when the server does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.said = b""
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)

        async def answers() -> None:
            while data := await from_server.read(65536):
                writer.write(data)

        answering = asyncio.create_task(answers())
        while data := await reader.read(65536):
            self.said += data
            to_server.write(data)
        await answering  # the server has hung up by now
        for side in (to_server, writer):
            side.close()
            await side.wait_closed()
        self.gone.set()


@pytest.mark.parametrize(
    ("protocol", "make", "goodbye"),
    [
        ("mysql", MySqlAdapter, b"\x01\0\0\0\x01"),
        ("postgres", PostgresAdapter, b"X\0\0\0\x04"),
    ],
)
def test_a_catalog_is_there_before_the_server_hangs_up(
    shop_database: Shop,
    mariadb_shop: MariaDbShop,
    protocol: str,
    make: Callable[[], ProtocolAdapter],
    goodbye: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "PARTING_TIMEOUT", 0.5)
    shop = mariadb_shop if protocol == "mysql" else shop_database

    async def play() -> None:
        between = Lingering(shop.server.port)
        server = await asyncio.start_server(between.serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            plain = UpstreamTls(UpstreamTlsMode.DISABLE)
            resource = Resource("shop", protocol, "127.0.0.1", port, database=shop.database, tls=plain)
            credentials = UpstreamCredentials(shop.user, shop.password)
            catalog = await Upstreams().introspect(resource, make(), credentials, shop.database)
            assert any(column.table == "customers" for column in catalog.columns())
            await between.gone.wait()
            assert between.said.endswith(goodbye)

    asyncio.run(play())
