"""COPY TO STDOUT under masks, by the drivers and shells that people export with.

The oracle is the server itself: a direct COPY of the same rows in which the masked columns are the constants that the
mask shows, byte for byte.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import subprocess

import asyncpg
import psycopg
import psycopg2
import pytest
from psycopg import errors

from gateway.testing.shop import Shop
from tests.fixtures.gateway import ANALYST, RESOURCE, RunningGateway
from tests.fixtures.waiting import eventually
from tests.integration.postgres.raw import SYNC, RawClient, extended, kinds, query
from tests.integration.postgres.raw import errors as raw_errors

NASTY = (
    "(VALUES (1, 'plain'), (2, NULL), (3, ''), (4, E'tab\\there'), (5, E'a\\nb\\rc'), (6, 'x,y;z|'), (7, '\"quoted\"'),"
    " (8, '\\.'), (9, '\\N'), (10, E'\\b\\f\\v\\x01\\x7f'), (11, 'ü€😀'), (12, 'NULL'), (13, ''''), (14, '\\'),"
    " (15, '****'))"
    " AS v (n, nasty)"
)
OPTIONS = (
    "",
    "CSV",
    "WITH (FORMAT csv, HEADER)",
    "(FORMAT csv, DELIMITER ';', NULL 'NULL', FORCE_QUOTE *)",
    "(FORMAT csv, QUOTE '''', ESCAPE '\\', FORCE_QUOTE (n))",
    "(DELIMITER '|', NULL '')",
    "DELIMITER E'\\x01' NULL AS 'nothing'",
    "(HEADER true)",
)


def exported(conninfo: str, statement: str) -> bytes:
    with psycopg.connect(conninfo) as connection, connection.cursor().copy(statement.encode()) as copy:
        return b"".join(map(bytes, copy))


@pytest.mark.parametrize("options", OPTIONS)
def test_masked_columns_are_masked_and_all_others_byte_for_byte_what_copy_sends(
    plain_gateway: RunningGateway, shop_database: Shop, options: str
) -> None:
    if options == "(HEADER true)" and int(shop_database.psql("SHOW server_version_num")) < 150000:
        options = ""  # before 15 only CSV had a header
    person = plain_gateway.conninfo(ANALYST)
    rows = f"FROM customers, {NASTY} WHERE id < 4 ORDER BY id, n"
    masked = exported(person, f"COPY (SELECT id, email, n, nasty, card_number AS card {rows}) TO STDOUT {options}")
    shown = f"id, '****' AS email, n, nasty, CASE WHEN card_number IS NOT NULL THEN '****' END AS card {rows}"
    assert masked == exported(shop_database.dsn(), f"COPY (SELECT {shown}) TO STDOUT {options}")
    assert masked.count(b"****") > 40


def test_one_column_on_a_line_of_its_own(plain_gateway: RunningGateway, shop_database: Shop) -> None:
    """A lone ``\\.`` in CSV would end the data for whoever reads them."""
    statement = (
        f"COPY (SELECT nasty FROM {NASTY}, customers WHERE id = 1 AND email IS NOT NULL ORDER BY n) TO STDOUT CSV"
    )
    assert exported(plain_gateway.conninfo(ANALYST), statement) == exported(shop_database.dsn(), statement)


def test_a_table_gives_its_own_columns_and_rows(plain_gateway: RunningGateway, shop_database: Shop) -> None:
    masked = exported(plain_gateway.conninfo(ANALYST), "COPY customers TO STDOUT (FORMAT csv, HEADER)").splitlines()
    direct = exported(shop_database.dsn(), "COPY customers TO STDOUT (FORMAT csv, HEADER)").splitlines()
    assert masked[0] == direct[0]
    assert len(masked) == len(direct)
    assert masked[1] != direct[1]
    assert not any(b"@example.com" in line for line in masked)
    columns = masked[0].decode().split(",")
    kept = columns.index("id"), columns.index("full_name")
    for ours, theirs in zip(masked, direct, strict=True):
        assert [ours.split(b",")[index] for index in kept] == [theirs.split(b",")[index] for index in kept]


def test_psql_exports_to_a_file(plain_gateway: RunningGateway, shop_database: Shop) -> None:
    psql = str(shop_database.server.bindir / "psql")
    command = r"\copy (SELECT id, email FROM customers ORDER BY id LIMIT 2) TO STDOUT CSV HEADER"
    done = subprocess.run(
        [psql, "-X", plain_gateway.conninfo(ANALYST), "-c", command], capture_output=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == [b"id,email", b"1,****", b"2,****"]


def test_psycopg2_and_asyncpg_export(plain_gateway: RunningGateway) -> None:
    with psycopg2.connect(plain_gateway.conninfo(ANALYST)) as connection, connection.cursor() as cursor:
        taken = io.StringIO()
        cursor.copy_expert("COPY (SELECT id, email FROM customers ORDER BY id LIMIT 1) TO STDOUT", taken)
        assert taken.getvalue() == "1\t****\n"
        assert cursor.rowcount == 1

    async def work() -> tuple[str, bytes]:
        opened = await asyncpg.connect(
            host="127.0.0.1",
            port=plain_gateway.port,
            user=ANALYST,
            password=plain_gateway.token,
            database=RESOURCE,
            ssl=False,
        )
        try:
            written = io.BytesIO()
            tag = await opened.copy_from_table("customers", columns=["id", "email"], output=written, format="csv")
            return tag, written.getvalue()
        finally:
            await opened.close()

    tag, data = asyncio.run(work())
    assert tag == "COPY 200"
    assert data.splitlines()[0].endswith(b",****")
    assert data.count(b"\n") == 200


def test_the_session_goes_on_and_errors_come_where_copy_has_them(plain_gateway: RunningGateway) -> None:
    with psycopg.connect(plain_gateway.conninfo(ANALYST)) as connection:
        failing = "COPY (SELECT email, 1 / (id - 150) FROM customers ORDER BY id) TO STDOUT"
        with pytest.raises(errors.DivisionByZero), connection.cursor().copy(failing) as copy:
            list(copy)
        connection.rollback()
        with connection.cursor().copy("COPY (SELECT email FROM customers WHERE id = 0) TO STDOUT") as copy:
            assert list(copy) == []
        assert connection.execute("SELECT count(*) FROM customers").fetchone() == (200,)


def test_many_rows_are_masked_as_they_come(plain_gateway: RunningGateway, shop_database: Shop) -> None:
    many = "generate_series(1, 500) AS g (i)"
    masked = exported(
        plain_gateway.conninfo(ANALYST),
        f"COPY (SELECT id, email, i FROM customers, {many} ORDER BY id, i) TO STDOUT",
    )
    assert masked == b"".join(b"%d\t****\t%d\n" % pair for pair in itertools.product(range(1, 201), range(1, 501)))


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT email FROM customers) TO STDOUT (FORMAT binary)",
        "COPY customers (email) TO STDOUT; SELECT 1",
        "COPY (SELECT email FROM customers) TO STDOUT (ENCODING 'LATIN1')",
    ],
)
def test_what_cannot_be_masked_is_refused(plain_gateway: RunningGateway, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="COPY"):
        exported(plain_gateway.conninfo(ANALYST), statement)


def test_the_extended_protocol_is_refused_and_nothing_of_it_runs(plain_gateway: RunningGateway) -> None:
    gateway = plain_gateway
    with RawClient.connect(gateway.port, user=ANALYST, password=gateway.token, database=RESOURCE) as client:
        answer = client.ask(extended("COPY customers (email) TO STDOUT") + SYNC)
        assert kinds(answer) in ("12nEZ", "12EZ")
        assert "simple protocol" in raw_errors(answer)[0]["M"]
        answer = client.ask(query("COPY (SELECT email FROM customers WHERE id < 3) TO STDOUT"))
        assert kinds(answer) == "HddcCZ"
        assert [body for kind, body in answer if kind in "HdcC"] == [
            b"\0\0\1\0\0",
            b"****\n",
            b"****\n",
            b"",
            b"COPY 2\0",
        ]


def test_the_audit_has_the_statement_as_it_was_sent(plain_gateway: RunningGateway) -> None:
    statement = "COPY (SELECT email, 'seen-by-the-audit' FROM customers LIMIT 7) TO STDOUT"
    exported(plain_gateway.conninfo(ANALYST), statement)
    eventually(lambda: "seen-by-the-audit" in plain_gateway.audit_text())
    (line,) = (line for line in plain_gateway.audit_text().splitlines() if "seen-by-the-audit" in line)
    assert json.loads(line)
