"""Expressions inside definitions run when nobody looks, so calls of unknown code in them are noted."""

from __future__ import annotations

import pytest

from tests.gateway.sql.shop import facts


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (id serial PRIMARY KEY, a numeric(9, 2) DEFAULT 0.5 CHECK (a > 0), b time DEFAULT now())",
        "CREATE TABLE t (a varchar(20) DEFAULT 'x'::character varying(20) REFERENCES orders (id))",
        "CREATE TABLE t (a int, b text, CONSTRAINT c UNIQUE (a, b), CHECK (lower(b) = b AND a IN (1, 2)))",
        "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY (START 5))",
        "CREATE TABLE t (LIKE orders INCLUDING ALL)",
        "CREATE DOMAIN d AS text CHECK (length(VALUE) > 3)",
        "CREATE INDEX i ON orders USING btree (lower(note), id) WHERE id > 3",
        "CREATE INDEX ON orders USING gin (note gin_trgm_ops) WITH (fastupdate = off)",
        "CREATE STATISTICS s (mcv) ON id, note FROM orders",
        "CREATE TYPE pair AS (a int, b int)",
        "CREATE TYPE mood AS ENUM ('x')",
        "ALTER TABLE orders ADD COLUMN x int DEFAULT 3",
    ],
)
def test_plain_definitions_are_understood(text: str) -> None:
    assert facts(text).opaque == ()


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (a text DEFAULT leak(1))",
        "CREATE TABLE t (a text DEFAULT public.leak(1))",
        'CREATE TABLE t (a text DEFAULT "leak"(1))',
        "CREATE TABLE t (a text CHECK (leak(1) > 'x'))",
        "CREATE TABLE t (a int, CHECK (a > 0 AND leak(a) = 'x'))",
        "CREATE TABLE t (a int, b text GENERATED ALWAYS AS (steady(a)) STORED)",
        "CREATE TABLE t (a text DEFAULT (1 OPERATOR(public.+) 2))",
        "CREATE DOMAIN d AS text DEFAULT leak(1)",
        "CREATE DOMAIN d AS int CHECK (leak(VALUE) = 'x')",
        "ALTER DOMAIN d SET DEFAULT leak(1)",
        "CREATE INDEX ON orders (steady(id))",
        "CREATE INDEX ON orders (id) WHERE steady(id) = 'x'",
        "CREATE STATISTICS s ON (steady(id)), id FROM orders",
        "CREATE TYPE r AS RANGE (SUBTYPE = int, SUBTYPE_DIFF = leak)",
        "CREATE TYPE b (INPUT = leak, OUTPUT = leak)",
        "ALTER TABLE orders ADD COLUMN x text DEFAULT leak(3)",
        "ALTER TABLE orders ALTER COLUMN note SET DEFAULT leak(3)",
        "ALTER FOREIGN TABLE orders ALTER COLUMN note OPTIONS (column_name 'x')",
        "ALTER TABLE orders OPTIONS (SET table_name 'x')",
    ],
)
def test_calls_of_unknown_code_are_noted(text: str) -> None:
    assert facts(text).opaque
