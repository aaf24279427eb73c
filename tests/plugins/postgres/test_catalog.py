"""The catalog as it is read from a real server."""

from __future__ import annotations

import time

import psycopg
import pytest

from gateway.domain.statement import ColumnRef
from gateway.sql.analyse import analyse
from gateway.sql.functions import COUNTS, KEYWORD_FUNCTIONS, PURE
from gateway.sql.state import NameResolution
from gateway.testing.servers import PostgresServer
from gateway_postgres.catalog import CATALOG_QUERIES, Row, build_catalog

_SCHEMA = """
CREATE TABLE people (id int PRIMARY KEY, email text, short text GENERATED ALWAYS AS (lower(email)) STORED);
ALTER TABLE people ADD COLUMN gone int;
ALTER TABLE people DROP COLUMN gone;
ALTER TABLE people ADD COLUMN late text;
CREATE VIEW addresses AS SELECT p.id, upper(p.email) AS email FROM people p;
CREATE VIEW shouting AS SELECT email || '!' AS loud FROM addresses;
CREATE TABLE parts (id int, secret text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE FUNCTION mine(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE OPERATOR ### (LEFTARG = int, FUNCTION = mine, RIGHTARG = NONE);
"""


def _read(server: PostgresServer, database: str) -> list[list[Row]]:
    results: list[list[Row]] = []
    with psycopg.connect(
        host=server.host, port=server.port, user=server.superuser, password=server.password, dbname=database
    ) as connection:
        for query in CATALOG_QUERIES:
            result = connection.pgconn.exec_(query.encode())
            results.append(
                [
                    tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
                    for row in range(result.ntuples)
                ]
            )
    return results


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


@pytest.fixture(scope="module")
def rows(postgres_server: PostgresServer) -> list[list[Row]]:
    postgres_server.create_database("catalogued")
    schema = _SCHEMA.replace("(LEFTARG = int, FUNCTION = mine, RIGHTARG = NONE)", "(RIGHTARG = int, FUNCTION = mine)")
    postgres_server.psql(schema, database="catalogued")
    return _read(postgres_server, "catalogued")


def test_views_generated_columns_and_partitions_are_explained(rows: list[list[Row]]) -> None:
    catalog = build_catalog(rows)

    shouting = catalog.relation("public", "shouting")
    assert shouting is not None
    origin = catalog.origin(shouting.oid, 1)
    assert origin is not None
    assert origin.known
    assert ColumnRef("public", "people", "email") in origin.columns
    people = catalog.relation("public", "people")
    assert people is not None
    short = catalog.origin(people.oid, 3)
    assert short is not None
    assert ColumnRef("public", "people", "email") in short.columns
    # The number of a dropped column is not given again.
    late = catalog.origin(people.oid, 5)
    assert late is not None
    assert late.columns == {ColumnRef("public", "people", "late")}
    assert catalog.origin(people.oid, 4) is None
    assert catalog.related_columns(ColumnRef("public", "parts", "secret")) == {ColumnRef("public", "parts_1", "secret")}
    assert [function.volatility for function in catalog.functions("mine")] == ["s"]
    assert "###" in catalog.contents.operators
    assert catalog.has_schema("public")


def test_reading_twice_gives_the_same_version(postgres_server: PostgresServer, rows: list[list[Row]]) -> None:
    assert build_catalog(_read(postgres_server, "catalogued")).version == build_catalog(rows).version


def test_reading_is_quick(postgres_server: PostgresServer, rows: list[list[Row]]) -> None:
    began = time.perf_counter()
    build_catalog(_read(postgres_server, "catalogued"))
    assert time.perf_counter() - began < 3.0
    assert len(CATALOG_QUERIES) <= 6


def test_rows_of_another_shape_are_refused(rows: list[list[Row]]) -> None:
    with pytest.raises(ValueError, match="expected"):
        build_catalog(rows[:-1])
    with pytest.raises(ValueError, match="NULL"):
        build_catalog([rows[0], [(None,) * 6], *rows[2:]])


def test_the_list_of_pure_functions_names_functions_of_the_server(postgres_server: PostgresServer) -> None:
    text = postgres_server.psql("SELECT proname FROM pg_proc UNION SELECT 'x'", database="postgres")
    there = set(text.split())
    recent = {"array_reverse", "casefold", "crc32", "json_scalar", "merge_action", "uuidv7", "xmltext", "gamma"}

    missing = (PURE | COUNTS) - there - KEYWORD_FUNCTIONS - recent
    # What is left are functions that only newer or older versions have.
    assert len(missing) < 60
    assert not missing & {"lower", "sum", "to_char", "jsonb_build_object", "pg_get_expr"}


def test_a_schema_change_that_is_not_committed_holds_nobody_up(
    postgres_server: PostgresServer, rows: list[list[Row]]
) -> None:
    with psycopg.connect(
        host=postgres_server.host,
        port=postgres_server.port,
        user=postgres_server.superuser,
        password=postgres_server.password,
        dbname="catalogued",
    ) as changing:
        changing.execute("ALTER TABLE people ADD COLUMN fresh int")
        started = time.monotonic()
        catalog = build_catalog(_read(postgres_server, "catalogued"))
        assert time.monotonic() - started < 5
        changing.rollback()
    # What cannot be looked at now may hold anything; what does not depend on it is known as ever.
    email = analyse("SELECT email FROM public.addresses", NameResolution(), catalog).statements[0]
    short = analyse("SELECT short FROM public.people", NameResolution(), catalog).statements[0]
    assert email.outputs is None or not email.outputs[0].proven
    assert short.outputs is not None
    assert ColumnRef("public", "people", "email") in short.outputs[0].sources
    assert ColumnRef("public", "people", "late") in short.outputs[0].sources
    secret = analyse("SELECT secret FROM public.parts", NameResolution(), catalog).statements[0]
    assert secret.outputs is not None
    assert secret.outputs[0].proven
