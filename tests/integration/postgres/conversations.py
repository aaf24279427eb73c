"""What the differential test says to a server: a few hundred statements, each in several ways.

A conversation is a name and its steps; a step is bytes to send and the types of the messages to wait for, in order.
All of a list are held in one session, one after the other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.integration.postgres.raw import (
    COPY_DONE,
    COPY_FAIL,
    FLUSH,
    SYNC,
    bind,
    close,
    copy_data,
    describe,
    execute,
    extended,
    function_call,
    parse,
    query,
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """``steps``: (what to send, which message types to wait for)."""

    name: str
    steps: tuple[tuple[bytes, str], ...]


PLAIN = """
SELECT 1
SELECT 1 AS a, 'x'::text AS b, NULL AS c, 1.5::numeric, 2.5::float8, true, '\\x00ff'::bytea, '2024-02-29'::date
SELECT '12:34:56.789'::time, '2024-02-29 01:02:03+00'::timestamptz, interval '1 day 2 hours', '{1,2,NULL}'::int[]
SELECT '{"a": [1, 2]}'::jsonb, '{"a": 1}'::json, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '10.0.0.1/8'::inet
SELECT point(1,2), box(point(0,0),point(1,1)), int4range(1,5), '<a/>'::text, 'abc'::char(5), 'n'::name, 'x'::"char"
SELECT 'grüße ∮ 😀', E'tab\\there', U&'\\0441\\043B\\043E\\043D', $tag$dollar 'quoted'$tag$
SELECT
SELECT FROM customers LIMIT 3
SELECT * FROM customers ORDER BY id LIMIT 5
SELECT id, full_name, email, balance, vip, preferences, created_at IS NOT NULL FROM customers ORDER BY id LIMIT 20
SELECT c FROM customers c ORDER BY id LIMIT 2
SELECT count(*), sum(balance), avg(balance) FROM customers
SELECT city, count(*) FROM customers GROUP BY city ORDER BY 1
SELECT o.id, c.full_name FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id, o.placed_at LIMIT 10
SELECT * FROM order_overview ORDER BY id LIMIT 3
SELECT * FROM customer_contacts ORDER BY id LIMIT 3
SELECT customer_email(1)
SELECT sku, tags, price FROM products ORDER BY id LIMIT 10
SELECT * FROM staff ORDER BY id LIMIT 4
SELECT * FROM contractors ORDER BY id LIMIT 4
SELECT tableoid::regclass, id FROM orders ORDER BY id LIMIT 5
SELECT ctid FROM products ORDER BY id LIMIT 2
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 50) SELECT sum(n) FROM t
WITH w AS (SELECT id FROM customers WHERE vip) SELECT count(*) FROM w
SELECT generate_series(1, 200)
SELECT repeat('x', 5000), g FROM generate_series(1, 20) g
SELECT g, md5(g::text), repeat(md5(g::text), g % 7) FROM generate_series(1, 500) g
SELECT unnest(ARRAY['a', NULL, '']), 1
SELECT row(1, 'a', NULL), ARRAY[row(1, 2)]
SELECT CASE WHEN vip THEN 'v' ELSE 'n' END, coalesce(phone, '-') FROM customers ORDER BY id LIMIT 5
SELECT DISTINCT status FROM orders ORDER BY 1
SELECT id, rank() OVER (ORDER BY balance DESC) FROM customers ORDER BY id LIMIT 5
SELECT * FROM (VALUES (1, 'one'), (2, NULL)) AS v(a, b)
VALUES (1, 2), (3, 4)
TABLE products
SELECT 1 UNION SELECT 2 EXCEPT SELECT 2
SELECT EXISTS (SELECT 1 FROM customers WHERE false)
SELECT 1 WHERE false
SHOW server_version_num
SHOW search_path
SHOW transaction_isolation
SHOW ALL
EXPLAIN (COSTS OFF) SELECT * FROM customers WHERE id = 1
EXPLAIN (COSTS OFF, FORMAT JSON) SELECT count(*) FROM orders
SET application_name = 'differential'
SET DateStyle = 'SQL, DMY'
SELECT '2024-02-29'::date
RESET DateStyle
SET TimeZone = 'Asia/Tokyo'
SELECT '2024-02-29 00:00+00'::timestamptz
RESET ALL
SET standard_conforming_strings = off
SELECT 'a\\\\b'
SET standard_conforming_strings = on
SELECT 'a\\\\b'
SET client_min_messages = debug1
SELECT 2 AS with_debug_messages
RESET client_min_messages
SET search_path = pg_catalog
SELECT count(*) > 0 FROM pg_class
SELECT count(*) FROM products
RESET search_path
SELECT count(*) FROM products
CREATE TEMP TABLE work (id int PRIMARY KEY, note text, amount numeric(10, 2) DEFAULT 0)
CREATE TEMP TABLE IF NOT EXISTS work (id int)
INSERT INTO work VALUES (1, 'one', 1.5), (2, NULL, 2), (3, '', NULL)
INSERT INTO work SELECT g, 'n' || g, g FROM generate_series(4, 60) g
INSERT INTO work VALUES (1, 'again') ON CONFLICT (id) DO NOTHING
INSERT INTO work VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET note = excluded.note RETURNING *
INSERT INTO work VALUES (1, 'twice')
UPDATE work SET amount = amount + 1 WHERE id <= 3
UPDATE work SET note = 'x' WHERE false
UPDATE work SET note = note RETURNING id, note
DELETE FROM work WHERE id > 50
DELETE FROM work WHERE id = 3 RETURNING *
SELECT * FROM work ORDER BY id LIMIT 10
ALTER TABLE work ADD COLUMN extra int[]
SELECT * FROM work ORDER BY id LIMIT 2
CREATE TEMP VIEW work_view AS SELECT id, note FROM work
SELECT * FROM work_view ORDER BY 1 LIMIT 2
CREATE INDEX ON work (note)
CREATE FUNCTION pg_temp.f(x int) RETURNS int LANGUAGE sql AS 'SELECT x + 1'
SELECT pg_temp.f(41)
DO $$ BEGIN RAISE NOTICE 'from a block, %', 42; RAISE WARNING 'and a warning'; END $$
DO $$ BEGIN RAISE EXCEPTION 'custom' USING ERRCODE = 'QX001', HINT = 'a hint', DETAIL = 'a detail'; END $$
DO $$ BEGIN FOR i IN 1..50 LOOP RAISE NOTICE 'line %', i; END LOOP; END $$
PREPARE p (int) AS SELECT $1 * 2
EXECUTE p (21)
DEALLOCATE p
EXECUTE p (21)
LISTEN differential
UNLISTEN *
ANALYZE work
TRUNCATE work
DROP VIEW work_view
DROP TABLE work
DROP TABLE work
DROP TABLE IF EXISTS work
SELECT 1/0
SELECT * FROM no_such_table
SELECT no_such_column FROM customers
SELECT no_such_function(1)
SELEC 1
SELECT 'unterminated
SELECT 'x'::int
SELECT 1::int + 'y'
SELECT sqrt(-1::float8), 2
SELECT g / (g - 300) FROM generate_series(1, 400) g
INSERT INTO customers (id, full_name, created_at) VALUES (999, 'nobody', '2024-01-01 00:00Z')
INSERT INTO products (id, sku, name, category, price) VALUES (999, 'x', 'y', 'z', -1)
GRANT SELECT ON no_such_table TO nobody
SET no_such_setting = 1
SET work_mem = 'nonsense'
VACUUM no_such_table
CREATE TABLE pg_catalog.nope (a int)
BEGIN
SELECT 'in a transaction'
SAVEPOINT s
SELECT 1/0
SELECT 'refused, the transaction has failed'
ROLLBACK TO s
SELECT 'again'
RELEASE s
COMMIT
COMMIT
ROLLBACK
BEGIN
SELECT 1/0
COMMIT
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY
SHOW transaction_isolation
CREATE TABLE not_in_read_only (a int)
ROLLBACK
BEGIN
SET LOCAL search_path = pg_temp
SHOW search_path
ROLLBACK
SHOW search_path
BEGIN
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
SELECT 1
ROLLBACK
BEGIN
DECLARE cur SCROLL CURSOR FOR SELECT g, g * 2 FROM generate_series(1, 30) g
FETCH 5 FROM cur
FETCH BACKWARD 2 FROM cur
MOVE 10 IN cur
FETCH ALL FROM cur
CLOSE cur
FETCH 1 FROM cur
ROLLBACK
DISCARD TEMP
-- only a comment
;
SELECT 1 /* comment */ -- another
""".strip("\n").split("\n")
"""One statement a line."""

MULTIPLE = (
    "SELECT 1; SELECT 2",
    "SELECT 1;; ;SELECT 2;",
    "SELECT 1; SELECT 1/0; SELECT 3",
    "CREATE TEMP TABLE m (a int); INSERT INTO m VALUES (1); SELECT * FROM m; DROP TABLE m",
    "BEGIN; SELECT 1; COMMIT; SELECT 2",
    "BEGIN; SELECT 1/0; COMMIT",
    "ROLLBACK",
    "SELECT 1; BEGIN; SELECT 2; ROLLBACK; SELECT 3",
    "SET search_path = pg_catalog; SHOW search_path; RESET search_path",
    "SELECT 1; SELEC 2",
    "DO $$ BEGIN RAISE NOTICE 'first'; END $$; SELECT 1; DO $$ BEGIN RAISE NOTICE 'second'; END $$",
    "",
    " ",
)

PARAMETERS: tuple[tuple[str, tuple[bytes | None, ...]], ...] = (
    ("SELECT $1::int + $2::int", (b"40", b"2")),
    ("SELECT $1::text, $2::text", (b"", None)),
    ("SELECT $1::text || $1::text", ("ü😀".encode(),)),
    ("SELECT * FROM customers WHERE id = $1", (b"7",)),
    ("SELECT * FROM customers WHERE id = ANY($1) ORDER BY id", (b"{1,2,3}",)),
    ("SELECT id FROM orders WHERE customer_id = $1 AND total > $2 ORDER BY 1 LIMIT 5", (b"3", b"10.5")),
    ("SELECT $1::int", (b"not a number",)),
    ("SELECT $1::date, $2::timestamptz, $3::numeric, $4::bool", (b"2024-01-01", b"2024-01-01 00:00+00", b"1e10", b"t")),
    ("SELECT $1::jsonb -> 'a'", (b'{"a": {"b": 1}}',)),
    ("SELECT 1/$1::int", (b"0",)),
    ("SELECT length($1::bytea)", (b"\\x000102",)),
    ("SELECT $1", (b"untyped",)),
    ("SELECT $2::int", (b"1", b"2")),
    ("SELECT $1::int", ()),
    ("SELECT generate_series(1, $1::int)", (b"30",)),
)


def _int(value: int) -> bytes:
    return struct.pack("!i", value)


def _binary_copy(*values: int) -> bytes:
    rows = b"".join(struct.pack("!h", 1) + struct.pack("!i", 4) + _int(value) for value in values)
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows + struct.pack("!h", -1)


def _pipelines() -> Iterator[tuple[str, tuple[tuple[bytes, str], ...]]]:
    """Conversations about the protocol rather than about SQL."""
    one, two, bad = (extended(f"SELECT {text}") for text in ("1", "2", "1/0"))
    yield "pipeline of three", ((one + two + one + SYNC, "Z"),)
    yield "pipeline with an error in the middle", ((one + bad + two + SYNC + two + SYNC, "ZZ"),)
    yield "pipeline with a syntax error", ((one + parse("SELEC") + bind() + execute() + SYNC, "Z"),)
    yield "syncs only", ((SYNC + SYNC + SYNC, "ZZZ"),)
    yield (
        "flush shows what is ready",
        ((parse("SELECT 5") + FLUSH, "1"), (bind() + FLUSH, "2"), (execute() + FLUSH, "C"), (SYNC, "Z")),
    )
    yield "flush after an error", ((parse("SELEC") + FLUSH, "E"), (bind() + execute() + SYNC, "Z"))
    yield "named statement", ((parse("SELECT $1::int * 3", "s1", (23,)) + describe("s1", what="S") + SYNC, "Z"),)
    yield "used in text", ((bind(b"5", name="s1") + describe() + execute() + SYNC, "Z"),)
    yield "used in binary", ((bind(_int(5), name="s1", given=1, formats=(1,)) + describe() + execute() + SYNC, "Z"),)
    yield "used many times", ((b"".join(bind(b"%d" % i, name="s1") + execute() for i in range(50)) + SYNC, "Z"),)
    yield "defined twice", ((parse("SELECT 9", "s1") + SYNC, "Z"), (bind(b"5", name="s1") + execute() + SYNC, "Z"))
    yield (
        "defined twice, at once",
        ((parse("SELECT 9", "s1") + SYNC + bind(b"6", name="s1") + describe() + execute() + SYNC, "ZZ"),),
    )
    yield "closed", ((close("s1") + SYNC, "Z"), (bind(b"5", name="s1") + SYNC, "Z"), (close("s1") + SYNC, "Z"))
    yield (
        "closed after an error",
        (
            (parse("SELECT 7", "s2") + SYNC, "Z"),
            (parse("SELEC") + close("s2") + SYNC + bind(name="s2") + execute() + SYNC, "ZZ"),
            (close("s2") + SYNC, "Z"),
        ),
    )
    yield "described but unknown", ((describe("nobody", what="S") + SYNC, "Z"), (describe("nobody") + SYNC, "Z"))
    yield "executed but unknown", ((execute("nobody") + SYNC, "Z"),)
    yield (
        "portal by portions",
        (
            (query("BEGIN"), "Z"),
            (
                parse("SELECT generate_series(1, 25)") + bind(portal="c1") + describe("c1") + execute("c1", 10) + SYNC,
                "Z",
            ),
            (execute("c1", 10) + SYNC, "Z"),
            (parse("SELECT 'between'") + bind() + execute() + execute("c1", 10) + SYNC, "Z"),
            (execute("c1", 10) + SYNC, "Z"),
            (close("c1", what="P") + SYNC, "Z"),
            (execute("c1") + SYNC, "Z"),
            (query("ROLLBACK"), "Z"),
        ),
    )
    yield (
        "unnamed portal by portions",
        (
            (query("BEGIN"), "Z"),
            (parse("SELECT generate_series(1, 5)") + bind() + execute(rows=2) + FLUSH, "s"),
            (execute(rows=2) + FLUSH, "s"),
            (execute() + SYNC, "Z"),
            (query("COMMIT"), "Z"),
        ),
    )
    yield (
        "unnamed statement lives over Sync",
        (
            (query("BEGIN"), "Z"),
            (query("SET LOCAL search_path = public, pg_temp"), "Z"),
            (parse("SELECT $1::int") + SYNC, "Z"),
            (bind(b"1") + describe() + execute() + SYNC, "Z"),
            (bind(b"2") + describe() + execute() + SYNC, "Z"),
            (query("COMMIT"), "Z"),
            (bind(b"3") + execute() + SYNC, "Z"),
        ),
    )
    yield (
        "portal is gone after the transaction",
        ((parse("SELECT 1") + bind(portal="c2") + SYNC + execute("c2") + SYNC, "ZZ"),),
    )
    yield (
        "transaction in one pipeline",
        (
            (extended("BEGIN") + extended("SELECT 1") + extended("SAVEPOINT a") + SYNC, "Z"),
            (extended("SELECT 1/0") + SYNC, "Z"),
            (extended("SELECT 2") + SYNC, "Z"),
            (extended("ROLLBACK TO a") + extended("SELECT 3") + SYNC, "Z"),
            (extended("COMMIT") + SYNC, "Z"),
        ),
    )
    yield (
        "implicit transaction is undone",
        (
            (query("CREATE TEMP TABLE u (a int)"), "Z"),
            (extended("INSERT INTO u VALUES (1)") + extended("SELECT 1/0") + SYNC, "Z"),
            (query("SELECT count(*) FROM u"), "Z"),
        ),
    )
    yield "queries sent at once", ((query("SELECT 1") + query("SELECT 1/0") + query("SELECT 2"), "ZZZ"),)
    yield (
        "query inside a pipeline",
        ((parse("SELECT 1", "s3") + query("SELECT 2") + bind(name="s3") + execute() + SYNC, "ZZ"),),
    )
    yield "query inside a failed pipeline", ((parse("SELEC") + query("SELECT 2") + SYNC, "Z"),)
    yield (
        "mixed result formats",
        ((parse("SELECT 1, 'a', 2") + bind(formats=(1, 0, 1)) + describe() + execute() + SYNC, "Z"),),
    )
    yield "wrong number of result formats", ((parse("SELECT 1, 2, 3") + bind(formats=(1, 0)) + execute() + SYNC, "Z"),)
    yield (
        "setting changed in a pipeline",
        (
            (
                extended("SET search_path = pg_catalog")
                + extended("SHOW search_path")
                + extended("RESET search_path")
                + SYNC,
                "Z",
            ),
        ),
    )
    yield (
        "notification to itself",
        (
            (query("LISTEN differential"), "Z"),
            (query("NOTIFY differential, 'payload'"), "Z"),
            (query("BEGIN; NOTIFY differential, 'a'; NOTIFY differential, 'b'; COMMIT"), "Z"),
            (query("UNLISTEN *"), "Z"),
        ),
    )
    yield (
        "function call",
        ((function_call(177, b"40", b"2"), "Z"), (function_call(154, b"1", b"0"), "Z"), (function_call(999_999), "Z")),
    )


def _copies() -> Iterator[tuple[str, tuple[tuple[bytes, str], ...]]]:
    yield "table for COPY", ((query("CREATE TEMP TABLE k (a int); CREATE TEMP TABLE l (a int, b text)"), "Z"),)
    yield "COPY in", ((query("COPY k FROM STDIN"), "G"), (copy_data(b"1\n2\n") + copy_data(b"3\n") + COPY_DONE, "Z"))
    yield "COPY in, sent ahead", ((query("COPY k FROM STDIN") + copy_data(b"4\n") + COPY_DONE, "Z"),)
    yield (
        "COPY in, cut anywhere",
        ((query("COPY k FROM STDIN") + b"".join(map(copy_data, (b"5", b"", b"5\n5", b"6\n"))) + COPY_DONE, "Z"),),
    )
    yield "COPY in, given up", ((query("COPY k FROM STDIN"), "G"), (copy_data(b"7\n") + COPY_FAIL, "Z"))
    yield (
        "COPY in, bad row",
        ((query("COPY k FROM STDIN"), "G"), (copy_data(b"8\nnine\n") + COPY_DONE, "Z"), (query("SELECT 1"), "Z")),
    )
    yield "COPY in, unknown table", ((query("COPY nobody FROM STDIN") + copy_data(b"1\n") + COPY_DONE, "Z"),)
    yield (
        "COPY in, sync and flush inside",
        ((query("COPY k FROM STDIN"), "G"), (SYNC + FLUSH + copy_data(b"9\n") + COPY_DONE, "Z")),
    )
    yield (
        "COPY in csv",
        (
            (query("COPY l FROM STDIN (FORMAT csv, HEADER)"), "G"),
            (copy_data(b'a,b\n1,"x, ""y"""\n2,\n') + COPY_DONE, "Z"),
        ),
    )
    yield (
        "COPY in binary",
        ((query("COPY k FROM STDIN (FORMAT binary)"), "G"), (copy_data(_binary_copy(10, 11)) + COPY_DONE, "Z")),
    )
    yield (
        "COPY in bad binary",
        ((query("COPY k FROM STDIN (FORMAT binary)"), "G"), (copy_data(b"rubbish") + COPY_DONE, "Z")),
    )
    yield (
        "two COPY in one text",
        (
            (query("COPY k FROM STDIN; COPY l FROM STDIN; SELECT 1"), "G"),
            (copy_data(b"12\n") + COPY_DONE, "G"),
            (copy_data(b"3\tz\n") + COPY_DONE, "Z"),
        ),
    )
    yield (
        "COPY in, extended",
        (
            (parse("COPY k FROM STDIN") + bind() + describe() + execute() + SYNC, "G"),
            (copy_data(b"13\n") + COPY_DONE + SYNC, "Z"),
        ),
    )
    yield (
        "COPY in, extended, all at once",
        ((extended("COPY k FROM STDIN") + copy_data(b"14\n") + COPY_DONE + SYNC, "Z"),),
    )
    yield (
        "COPY in, extended, sync before the data",
        ((extended("COPY k FROM STDIN") + SYNC + copy_data(b"15\n") + COPY_DONE + SYNC, "Z"),),
    )
    yield (
        "COPY in, extended, bad row",
        (
            (extended("COPY k FROM STDIN"), "G"),
            (copy_data(b"x\n") + COPY_DONE + SYNC, "Z"),
            (query("SELECT 2"), "Z"),
        ),
    )
    yield (
        "COPY in, extended, given up in a pipeline",
        (
            (extended("SELECT 1") + extended("COPY k FROM STDIN"), "G"),
            (COPY_FAIL + extended("SELECT 2") + SYNC, "Z"),
        ),
    )
    yield (
        "COPY in, extended, something after it",
        (
            (extended("COPY k FROM STDIN"), "G"),
            (copy_data(b"16\n") + COPY_DONE + extended("SELECT 3") + SYNC, "Z"),
        ),
    )
    yield "COPY in, extended, unknown table", ((extended("COPY nobody FROM STDIN") + SYNC, "Z"),)
    yield "COPY messages outside COPY", ((copy_data(b"1\n") + COPY_DONE + COPY_FAIL + query("SELECT 4"), "Z"),)
    yield "COPY out", ((query("COPY (SELECT a FROM k ORDER BY a) TO STDOUT"), "Z"),)
    yield "COPY out csv", ((query("COPY l TO STDOUT (FORMAT csv, HEADER)"), "Z"),)
    yield (
        "COPY out binary",
        ((query("COPY (SELECT id, full_name FROM customers ORDER BY id) TO STDOUT (FORMAT binary)"), "Z"),),
    )
    yield (
        "COPY out, many rows",
        ((query("COPY (SELECT g, md5(g::text) FROM generate_series(1, 2000) g) TO STDOUT"), "Z"),),
    )
    yield (
        "COPY out, error in the middle",
        ((query("COPY (SELECT 1 / (50 - g) FROM generate_series(1, 60) g) TO STDOUT"), "Z"),),
    )
    yield "COPY out, extended", ((extended("COPY k TO STDOUT") + extended("SELECT 5") + SYNC, "Z"),)
    yield "what arrived", ((query("SELECT a FROM k ORDER BY 1"), "Z"), (query("SELECT * FROM l ORDER BY 1"), "Z"))


def conversations() -> list[Conversation]:
    """All of them, in the order in which one session has to hold them."""
    result = []
    for number, text in enumerate(PLAIN):
        result.append(Conversation(f"simple {number}: {text[:50]}", ((query(text), "Z"),)))
    result += [Conversation(f"several: {text[:50]}", ((query(text), "Z"),)) for text in MULTIPLE]
    result += [Conversation(name, steps) for name, steps in _copies()]
    for number, text in enumerate(PLAIN):
        result.append(Conversation(f"extended {number}: {text[:50]}", ((extended(text) + SYNC, "Z"),)))
    for text in PLAIN:
        if text.upper().startswith(("SELECT", "WITH", "VALUES", "TABLE")):
            result.append(Conversation(f"binary: {text[:50]}", ((extended(text, formats=(1,)) + SYNC, "Z"),)))
    for text, values in PARAMETERS:
        result.append(Conversation(f"parameters: {text}", ((extended(text, *values) + SYNC, "Z"),)))
    result += [Conversation(name, steps) for name, steps in _pipelines()]
    return result
