"""Sampling as a pure conversation: what happens when the server does not play along."""

from __future__ import annotations

import struct

import pytest

from gateway.domain.resource import UpstreamCredentials
from gateway.errors import UpstreamError, UpstreamUnavailable
from gateway.protocol.adapter import UpstreamHandle
from gateway.protocol.optional import ColumnSort, SampledTable
from gateway_postgres.sampling import sample
from gateway_postgres.wire.codec import frame

READY = frame(ord("Z"), b"I")
LOGGED_IN = frame(ord("R"), struct.pack("!I", 0)) + READY
REFUSED = frame(ord("E"), b"SERROR\0C42501\0Msecret value\0\0") + READY


def row(*values: str | None) -> bytes:
    cells = [b"\xff\xff\xff\xff" if v is None else struct.pack("!I", len(v.encode())) + v.encode() for v in values]
    return frame(ord("D"), struct.pack("!H", len(cells)), *cells)


def column(table: str, name: str, category: str = "S", *, rows: int = 10, plain: str = "t") -> bytes:
    return row("public", table, "r", str(rows), name, "text", "text", category, None, plain)


def converse(*answers: bytes) -> tuple[list[SampledTable], list[str]]:
    """The tables seen and the queries sent, given the server's answers after the login."""
    tables: list[SampledTable] = []
    exchange = sample(
        UpstreamCredentials("gateway"),
        "shop",
        UpstreamHandle(tls=False),
        rows=3,
        seen=lambda table, number, of: tables.append(table),
        random=bytes,
    )
    next(exchange)
    sent = [exchange.send(LOGGED_IN)]
    try:
        for answer in answers:
            sent.append(exchange.send(answer))
    except StopIteration:
        pass
    return tables, [text[5:-1].decode() for text in sent]


SETTINGS = (READY,) * 5


def test_reads_only_in_a_read_only_session() -> None:
    _, sent = converse(*SETTINGS)
    assert sent[0] == "SET default_transaction_read_only = on"
    assert any(text.startswith("SET statement_timeout") for text in sent[:5])


def test_a_setting_that_is_refused_ends_it() -> None:
    with pytest.raises(UpstreamError, match="42501"):
        converse(REFUSED)


def test_a_table_that_is_refused_is_passed_over_and_its_error_text_is_not_repeated() -> None:
    catalog = column("a", "x") + column("b", "y") + READY
    tables, sent = converse(*SETTINGS, catalog, REFUSED, row("v") + row(None) + READY)
    assert [(table.name, table.rows, table.problem) for table in tables] == [
        ("a", 0, "the server answered with SQLSTATE 42501"),
        ("b", 2, ""),
    ]
    assert tables[1].columns[0].values == ("v",)
    assert sent[-1] == 'SELECT pg_catalog.left("y"::pg_catalog.text, 256) FROM ONLY "public"."b" LIMIT 3'


def test_types_of_somebodys_own_are_not_looked_at() -> None:
    tables, sent = converse(*SETTINGS, column("a", "x", plain="f") + READY)
    assert len(sent) == 6
    assert tables[0].columns[0].sort is ColumnSort.OTHER


def test_a_large_table_is_sampled_and_read_whole_where_that_finds_nothing() -> None:
    tables, sent = converse(*SETTINGS, column("a", "x", rows=1_000_000) + READY, READY, row("v") + READY)
    assert "TABLESAMPLE SYSTEM (0.001200) LIMIT 3" in sent[-2]
    assert sent[-1].endswith('FROM ONLY "public"."a" LIMIT 3')
    assert tables[0].rows == 1


def test_names_are_quoted() -> None:
    _, sent = converse(*SETTINGS, column('a"; DROP', 'x"y') + READY)
    assert sent[-1] == 'SELECT pg_catalog.left("x""y"::pg_catalog.text, 256) FROM ONLY "public"."a""; DROP" LIMIT 3'


def test_a_server_that_hangs_up_is_gone() -> None:
    with pytest.raises(UpstreamUnavailable):
        converse(*SETTINGS, column("a", "x") + READY, b"")
