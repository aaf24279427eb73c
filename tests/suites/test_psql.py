"""psql prints the same through the gateway as directly: results, messages, error positions, exit codes."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.testing.shop import Shop, copy_shop
from tests.fixtures.waiting import eventually
from tests.suites.endpoints import Endpoint

DESCRIPTIONS = r"""
\d
\dt+ public.*
\dv+
\dm
\di+ orders*
\ds
\dn+
\dT+
\df+ customer_email
\sf customer_email
\sv order_overview
\d customers
\d+ orders
\d orders_2024
\d+ order_overview
\d top_customers
\d staff
\d contractors
\dp customers
\ddp
\dx
\dL
\dO
\dc pg_catalog.utf8_to_latin1
\dC date
\do pg_catalog.@>
\da pg_catalog.max
\dew
\dP
\drds
\dconfig work_mem
\db
\du
\l shop_psql
\d nothing_of_that_name
"""

RESULTS = r"""
SELECT id, full_name, city, balance, vip, preferences FROM customers ORDER BY id LIMIT 5;
\x
SELECT * FROM products ORDER BY id LIMIT 2;
\x
SELECT 'a' AS "A b", NULL, '', E'tab\there', 'two
lines', '{1,2}'::int[], '\x00ff'::bytea, 'Grüße, 数据, 😀';
SELECT 1 AS one; SELECT 2 AS two \; SELECT 3 AS three;
SELECT FROM customers LIMIT 3;
TABLE products LIMIT 1;
VALUES (1, 'x'), (2, 'y');
\gdesc
SELECT 1::int2, 2::numeric(10,2), now()::date \gdesc
SELECT 42 AS answer, 'it''s' AS words \gset my_
\echo :my_answer :'my_words' :"my_words"
SELECT :my_answer + 1 AS "after", :'my_words' AS w;
SELECT 'SELECT ' || n || ' AS "from gexec"' FROM generate_series(1, 3) n \gexec
SELECT city, vip, count(*) FROM customers GROUP BY 1, 2 ORDER BY 1, 2 \crosstabview
\pset format csv
SELECT 1 AS a, 'x,y' AS b;
\pset format html
SELECT '<b>' AS a;
\pset format aligned
\if :{?my_answer}
SELECT 'chosen' AS branch;
\endif
EXPLAIN (COSTS OFF) SELECT * FROM customers WHERE id = 3;
SHOW standard_conforming_strings;
SELECT 1 AS after_an_empty_statement;;
"""

ERRORS = r"""
SELECT nothing FROM customers;
SELECT full_name FROM customers
  WHERE city = 'Rome'
    AND no_such_column > 3;
\errverbose
SELECT 1/0;
\errverbose
SELEC 1;
SELECT 'unterminated;
';
INSERT INTO products (sku, name, category, price) VALUES ('X', 'x', 'x', -1);
\errverbose
INSERT INTO order_items VALUES (1, 1, 1, 1, 1), (1, 1, 1, 1, 1);
SELECT * FROM no_such_table;
DO $$ BEGIN RAISE NOTICE 'noted %', 1; RAISE WARNING 'warned'; RAISE EXCEPTION 'stopped'
  USING ERRCODE = 'QG001', DETAIL = 'a detail', HINT = 'a hint'; END $$;
\set VERBOSITY verbose
SELECT 'x'::int;
\set VERBOSITY sqlstate
SELECT 'x'::int;
\set SHOW_CONTEXT always
\set VERBOSITY default
CREATE FUNCTION pg_temp.deep(n int) RETURNS int LANGUAGE plpgsql AS
$$ BEGIN IF n = 0 THEN RAISE 'deep'; END IF; RETURN pg_temp.deep(n - 1); END $$;
SELECT pg_temp.deep(2);
SELECT 1; SELECT 1/0; SELECT 2;
SELECT 1 \; SELECT 1/0 \; SELECT 2;
SELECT 'still here' AS state;
"""

TRANSACTIONS = r"""
BEGIN;
CREATE TABLE scratch (id int PRIMARY KEY, note text);
INSERT INTO scratch VALUES (1, 'one'), (2, 'two');
SAVEPOINT here;
INSERT INTO scratch VALUES (1, 'again');
SELECT 'refused by the server, the transaction has failed';
ROLLBACK TO here;
UPDATE scratch SET note = upper(note) RETURNING *;
COMMIT;
\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO scratch VALUES (3, 'three');
INSERT INTO scratch VALUES (3, 'again');
COMMIT;
SELECT * FROM scratch ORDER BY id;
\set ON_ERROR_ROLLBACK off
\set AUTOCOMMIT off
DELETE FROM scratch;
ROLLBACK;
SELECT count(*) FROM scratch;
COMMIT;
\set AUTOCOMMIT on
SET search_path = pg_temp, public;
CREATE TEMPORARY TABLE scratch AS SELECT 'temporary' AS kind;
SELECT * FROM scratch;
SELECT * FROM public.scratch;
RESET search_path;
SET ROLE pg_read_all_data;
SELECT current_user, session_user;
INSERT INTO public.scratch VALUES (9, 'no right to');
RESET ROLE;
PREPARE two (int) AS SELECT * FROM public.scratch WHERE id > $1;
EXECUTE two (1);
DEALLOCATE two;
EXECUTE two (1);
DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 5);
FETCH 2 FROM c;
MOVE 1 IN c;
FETCH ALL FROM c;
CLOSE c;
MERGE INTO public.scratch t USING (VALUES (1), (7)) s(id) ON t.id = s.id
  WHEN MATCHED THEN UPDATE SET note = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'new');
TABLE public.scratch ORDER BY id;
DROP TABLE scratch, public.scratch;
VACUUM customers;
DISCARD ALL;
"""

COPIES = r"""
CREATE TABLE copied (id int, note text);
\copy copied FROM 'in.txt'
\copy copied (id, note) FROM 'in.csv' WITH (FORMAT csv, HEADER)
SELECT * FROM copied ORDER BY id;
\copy copied TO 'out.bin' WITH (FORMAT binary)
TRUNCATE copied;
\copy copied FROM 'out.bin' WITH (FORMAT binary)
\copy (SELECT * FROM copied ORDER BY id) TO STDOUT
\copy (SELECT * FROM copied ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE *)
COPY copied TO STDOUT;
COPY copied FROM STDIN;
20	twenty
21	\N
\.
\copy copied FROM 'broken.txt'
\copy copied FROM 'missing.txt'
COPY copied FROM STDIN \; SELECT count(*) FROM copied;
22	in the middle
\.
\copy (SELECT n, repeat('x', 200) FROM generate_series(1, 5000) n) TO 'big.txt'
\copy copied FROM 'big.txt'
SELECT count(*), max(id), min(length(note)) FROM copied;
\copy copied TO PROGRAM 'wc -l'
DROP TABLE copied;
"""

LARGE_OBJECTS = r"""
\lo_import in.csv 'a comment'
SELECT obj_description(oid, 'pg_largeobject') FROM pg_largeobject_metadata;
\lo_export :LASTOID exported.csv
\lo_unlink :LASTOID
SELECT count(*) FROM pg_largeobject_metadata;
\! cmp in.csv exported.csv && echo the same
"""

LOOPS = r"""
CREATE TEMPORARY SEQUENCE turn;
SELECT 1 / (3 - nextval('turn')) AS counting_down \watch 0.05
SELECT 'ended by the error' AS watch;
"""

FETCHING = r"""
\set FETCH_COUNT 100
\pset format unaligned
SELECT n, md5(n::text) FROM generate_series(1, 1050) n;
SELECT 1 / (500 - n) FROM generate_series(1, 1000) n;
SELECT 'after' AS state;
"""

NOTIFICATIONS = r"""
LISTEN news;
NOTIFY news, 'first';
SELECT pg_notify('news', 'second');
UNLISTEN news;
NOTIFY news, 'unheard';
SELECT 1;
"""

CONNECTIONS = r"""
\conninfo
\encoding
SELECT current_database(), current_user, inet_server_port() IS NOT NULL AS over_tcp;
\c postgres
SELECT current_database();
\encoding LATIN1
SELECT length('é'), 'é' AS accent;
SHOW client_encoding;
\encoding UTF8
SHOW application_name;
SET application_name = 'renamed';
SHOW application_name;
"""

PARAMETERS = r"""
SELECT $1::text, $2::int + 1 \bind 'it''s' 41 \g
SELECT $1::int / $2::int \bind 1 0 \g
"""

SCRIPTS = {
    "descriptions": DESCRIPTIONS,
    "results": RESULTS,
    "errors": ERRORS,
    "transactions": TRANSACTIONS,
    "copies": COPIES,
    "large objects": LARGE_OBJECTS,
    "loops": LOOPS,
    "fetching": FETCHING,
    "notifications": NOTIFICATIONS,
    "connections": CONNECTIONS,
}

# What cannot be equal: the port, process ids, OIDs, moments, and the reference in an error of the login, which the
# gateway answers itself.
_VOLATILE = (
    (re.compile(r'(at port|, port) "?\d+"?'), r"\1 PORT"),
    (re.compile(r"server process with PID \d+"), "server process with PID N"),
    (re.compile(r"(lo_import|lo_unlink) \d+"), r"\1 OID"),
    (re.compile(r"\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}"), "MOMENT"),
    (re.compile(r"SSL connection \(.*\)"), "SSL connection"),
    (re.compile(r"^HINT:  Reference \w+: an administrator can look it up in the audit\.\n", re.MULTILINE), ""),
)


@dataclass(frozen=True, slots=True)
class Printed:
    """What psql left behind."""

    output: str
    messages: str
    status: int


class Psql:
    """Runs psql in a folder of its own against a database."""

    def __init__(self, endpoint: Endpoint, database: str, folder: Path) -> None:
        self._command = [endpoint.program("psql"), "--no-psqlrc", "--echo-queries"]
        self._environment = {**endpoint.variables(database), "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        self._environment |= {"HOME": str(folder), "PGAPPNAME": "psql"}
        self._folder = folder

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start psql and do not wait."""
        return subprocess.Popen(
            [*self._command, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, script: str = "") -> Printed:
        """Run psql to its end, with ``script`` as its input."""
        process = self.start(*arguments)
        try:
            output, messages = process.communicate(script, timeout=45)
        finally:
            process.kill()
        for pattern, substitute in _VOLATILE:
            output, messages = pattern.sub(substitute, output), pattern.sub(substitute, messages)
        return Printed(output, messages, process.returncode)


@dataclass(frozen=True, slots=True)
class Pair:
    """psql on both ways, each on a database of its own with the same name and content, and the same files."""

    direct: Psql
    gateway: Psql


@pytest.fixture
def database(shop_template: Shop) -> Iterator[str]:
    """A fresh shop for each run; see ``_fresh``."""
    yield "shop_psql"
    shop_template.server.drop_database("shop_psql")


@pytest.fixture
def pair(direct: Endpoint, through_gateway: Endpoint, database: str, tmp_path: Path) -> Pair:
    folders = (tmp_path / "direct", tmp_path / "gateway")
    for folder in folders:
        folder.mkdir()
        (folder / "in.txt").write_text("1\tone\n2\ttab\\there\n3\t\\N\n")
        (folder / "in.csv").write_text('id,note\n4,"four, and more"\n5,"two\nlines"\n')
        (folder / "broken.txt").write_text("6\tsix\nseven\tseven\n")
    return Pair(Psql(direct, database, folders[0]), Psql(through_gateway, database, folders[1]))


def _fresh(shop_template: Shop, database: str) -> None:
    shop_template.server.drop_database(database)
    copy_shop(shop_template, database)


def _same(pair: Pair, shop_template: Shop, database: str, *arguments: str, script: str = "") -> Printed:
    """Run it both ways on equal databases; what both printed."""
    _fresh(shop_template, database)
    expected = pair.direct.run(*arguments, script=script)
    _fresh(shop_template, database)
    found = pair.gateway.run(*arguments, script=script)
    assert found.messages == expected.messages
    assert found.output == expected.output
    assert found.status == expected.status
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(pair: Pair, shop_template: Shop, database: str, name: str) -> None:
    printed = _same(pair, shop_template, database, script=SCRIPTS[name])
    assert printed.output
    assert printed.status == 0


def test_parameters(pair: Pair, shop_template: Shop, database: str) -> None:
    # \bind came with psql 16; an older one says that it does not know it, which must be equal too.
    _same(pair, shop_template, database, script=PARAMETERS)


def test_a_script_stops_at_the_first_error(pair: Pair, shop_template: Shop, database: str, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text("CREATE TABLE one (id int);\nSELECT 1/0;\nSELECT 'never';\n")
    printed = _same(pair, shop_template, database, "--set=ON_ERROR_STOP=1", "--single-transaction", f"--file={script}")
    assert printed.status == 3
    assert "never" not in printed.output


def test_an_unknown_database_ends_the_script(pair: Pair, shop_template: Shop, database: str) -> None:
    printed = _same(pair, shop_template, database, script="\\c no_such_database\nSELECT 'never';\n")
    assert printed.status == 2
    assert 'database "no_such_database" does not exist' in printed.messages


def test_commands_on_the_command_line(pair: Pair, shop_template: Shop, database: str) -> None:
    arguments = ("--no-align", "--command=SELECT 1; SELECT 2", "--command=SELECT 1/0", "--command=SELECT 3")
    assert "3" in _same(pair, shop_template, database, *arguments).output.split()


def test_a_large_result(pair: Pair, shop_template: Shop, database: str) -> None:
    query = "SELECT n, repeat(md5(n::text), 5) FROM generate_series(1, 60000) n"
    printed = _same(pair, shop_template, database, "--tuples-only", "--no-align", f"--command={query}")
    assert printed.output.count("\n") == 60_000 + 1  # and the query itself


def test_a_long_value(pair: Pair, shop_template: Shop, database: str) -> None:
    printed = _same(
        pair, shop_template, database, "--tuples-only", "--no-align", "--command=SELECT repeat('x', 20000000)"
    )
    assert len(printed.output) > 20_000_000


def test_ctrl_c_cancels_the_statement(
    pair: Pair, through_gateway: Endpoint, shop_template: Shop, database: str
) -> None:
    _fresh(shop_template, database)
    printed = []
    for psql in (pair.direct, pair.gateway):
        process = psql.start("--command=SELECT pg_sleep(40)", "--command=SELECT 'still connected' AS state")
        _wait_until_sleeping(through_gateway)
        process.send_signal(signal.SIGINT)
        printed.append((*process.communicate(timeout=20), process.returncode))
    assert printed[1] == printed[0]
    assert "canceling statement due to user request" in printed[1][1]


def _wait_until_sleeping(endpoint: Endpoint) -> None:
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(40)' AND state = 'active'"
    eventually(lambda: endpoint.postgres.psql(sleeping).strip() == "1")
