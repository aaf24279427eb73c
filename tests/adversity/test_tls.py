"""TLS on both sides: certificates that are not trusted, names that do not match, clients that do not speak it."""

from __future__ import annotations

import shutil
import socket
import ssl
import stat
import struct
import time
from collections.abc import Iterator

import asyncpg
import pytest

from gateway.testing.servers import PostgresServer
from gateway.testing.servers.certificates import write_certificates
from tests.adversity.bed import Bed, bed_in, prepare
from tests.fixtures.servers import start_postgres
from tests.fixtures.waiting import eventually


@pytest.fixture(scope="module")
def tls_server() -> Iterator[PostgresServer]:
    with start_postgres(tls=True, settings={"fsync": "off"}) as server:
        prepare(server)
        yield server


@pytest.fixture(scope="module")
def tls_bed(tls_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A gateway with TLS on both sides, and resources whose certificates cannot be believed."""
    folder = tmp_path_factory.mktemp("tls")
    assert tls_server.ca_path is not None
    shutil.copy(tls_server.ca_path, folder / "ca.pem")
    (folder / "others").mkdir()
    write_certificates(folder / "others")
    with bed_in(folder, tls_server) as made:
        del made.document["tls"]
        good = made.document["resources"][0] | {"tls": {"mode": "verify-full", "ca": "ca.pem"}}
        other = {"mode": "verify-full", "ca": "others/ca.pem"}
        made.document["resources"] = [
            good,
            good | {"name": "untrusted", "tls": other},
            # An address of this machine that the certificate does not name.
            good | {"name": "misnamed", "address": f"127.0.0.2:{tls_server.port}"},
        ]
        tls_server.psql("ALTER SYSTEM SET listen_addresses = '127.0.0.1,127.0.0.2'")
        tls_server.restart()
        made.start()
        yield made


def _trust(bed: Bed) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=next((bed.folder / "data").glob("*.crt")))


def test_encrypted_from_end_to_end(tls_bed: Bed) -> None:
    bed = tls_bed

    async def story() -> None:
        session = await bed.connect(ssl=_trust(bed))
        assert await session.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is True

    bed.run(story())


@pytest.mark.parametrize(
    ("database", "detail"), [("untrusted", "verify failed|self-signed|unable to get"), ("misnamed", "127.0.0.2")]
)
def test_a_database_that_is_not_who_it_should_be(tls_bed: Bed, database: str, detail: str) -> None:
    bed = tls_bed
    before = bed.descriptors()

    async def story() -> None:
        with pytest.raises(asyncpg.PostgresError) as caught:
            await bed.connect(database=database, ssl=_trust(bed))
        assert caught.value.sqlstate == "08006"
        text = str(caught.value.as_dict())
        for inside in ("127.0.0", "certificate", "verify", str(bed.server.port)):
            assert inside not in text

    bed.run(story())
    line = _logged(bed, "a session was refused", f'"resource": "{database}"')
    assert any(word in line for word in detail.split("|")), line
    eventually(lambda: bed.descriptors() <= before + 1)


def test_the_key_of_the_own_pair_is_private(tls_bed: Bed) -> None:
    keys = list((tls_bed.folder / "data").glob("*.key"))
    assert len(keys) > 1, "the pair's, and those for masks and tokens"
    for path in keys:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_clients_without_tls_are_sent_away(tls_bed: Bed) -> None:
    bed = tls_bed

    async def story() -> None:
        with pytest.raises(asyncpg.PostgresError, match="connect with TLS"):
            await bed.connect(ssl=False)

    bed.run(story())


@pytest.mark.parametrize("rest", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"])
def test_handshakes_that_lead_nowhere_leave_nothing(tls_bed: Bed, rest: bytes) -> None:
    bed = tls_bed
    before = bed.descriptors()
    clients = [socket.create_connection(("127.0.0.1", bed.port)) for _ in range(20)]
    for client in clients:
        client.sendall(struct.pack("!II", 8, 80877103))
        assert client.recv(1) == b"S"
        client.sendall(rest)

    async def story() -> None:
        start = time.monotonic()
        session = await bed.connect(ssl=_trust(bed))
        assert await session.fetchval("SELECT 1") == 1
        assert time.monotonic() - start < 2

    bed.run(story())
    for client in clients:
        client.settimeout(8)
        try:
            while client.recv(1000):
                pass
        except ConnectionResetError:
            pass
        client.close()
    eventually(lambda: bed.descriptors() <= before + 1)
    eventually(lambda: bed.health()[1]["sessions"] == 0)


def _logged(bed: Bed, *texts: str) -> str:
    """The last line of the gateway's log with all texts; the client may hear of it before the log does."""

    def look() -> str:
        lines = (line for line in reversed(bed.log().splitlines()) if all(text in line for text in texts))
        return next(lines, "")

    return eventually(look, told=lambda: f"not in the log: {texts}")
