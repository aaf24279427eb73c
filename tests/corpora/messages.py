"""Attacks that are made of messages: pipelines, portals, formats, startup parameters, calls by number."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.corpora.canaries import needles
from tests.corpora.stage import MASKED, Stage
from tests.corpora.wire import Client, Closed, frame, frames

SYNC, FLUSH = frame(b"S"), frame(b"H")


@dataclass(frozen=True, slots=True)
class MessageAttack:
    """``rounds`` are sent one after the other, each answered to ReadyForQuery before the next."""

    name: str
    rounds: Sequence[bytes]
    startup: Mapping[str, str] = field(default_factory=dict)


def parse(text: str, name: str = "", *types: int) -> bytes:
    """Parse."""
    numbers = struct.pack(f"!h{len(types)}i", len(types), *types)
    return frame(b"P", name.encode(), b"\0", text.encode(), b"\0", numbers)


def bind(portal: str = "", statement: str = "", formats: Sequence[int] = (0,), values: Sequence[bytes] = ()) -> bytes:
    """Bind, parameters as text."""
    given = struct.pack("!h", len(values)) + b"".join(struct.pack("!i", len(value)) + value for value in values)
    codes = struct.pack(f"!h{len(formats)}h", len(formats), *formats)
    return frame(b"B", portal.encode(), b"\0", statement.encode(), b"\0\0\0", given, codes)


def describe(kind: str, name: str = "") -> bytes:
    """Describe."""
    return frame(b"D", kind.encode(), name.encode(), b"\0")


def execute(portal: str = "", limit: int = 0) -> bytes:
    """Execute."""
    return frame(b"E", portal.encode(), b"\0", struct.pack("!i", limit))


def close(kind: str, name: str) -> bytes:
    """Close."""
    return frame(b"C", kind.encode(), name.encode(), b"\0")


def query(text: str | bytes) -> bytes:
    """Query."""
    return frame(b"Q", text.encode() if isinstance(text, str) else text, b"\0")


def call(function: int, *arguments: bytes) -> bytes:
    """FunctionCall with text arguments and a text result."""
    values = b"".join(struct.pack("!i", len(value)) + value for value in arguments)
    return frame(b"F", struct.pack("!ihh", function, 0, len(arguments)), values, struct.pack("!h", 0))


_EMAIL = "SELECT email FROM customers"
_PLAIN = "SELECT name FROM customers"
_WIDE = (
    "SELECT id, email, income, born, card, key_material, ref_uuid, balance, credit, aliases, secret_doc FROM customers"
)

ATTACKS: Sequence[MessageAttack] = (
    MessageAttack("no Describe", [parse(_WIDE) + bind() + execute() + SYNC]),
    MessageAttack("no Describe, binary", [parse(_WIDE) + bind(formats=(1,)) + execute() + SYNC]),
    MessageAttack("no formats", [parse(_WIDE) + bind(formats=()) + execute() + SYNC]),
    MessageAttack("mixed formats", [parse(_WIDE) + bind(formats=(0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1)) + execute() + SYNC]),
    MessageAttack("too few formats", [parse(_WIDE) + bind(formats=(1, 1)) + execute() + SYNC]),
    MessageAttack("unknown format", [parse(_WIDE) + bind(formats=(7,)) + execute() + SYNC]),
    MessageAttack("row by row", [parse(_WIDE, "s") + bind("p", "s") + execute("p", 1) * 4 + SYNC]),
    MessageAttack(
        "row by row in a transaction",
        [
            query("BEGIN"),
            parse(_WIDE) + bind("p") + execute("p", 1) + SYNC,
            execute("p", 1) + SYNC,
            execute("p") + SYNC,
        ],
    ),
    MessageAttack(
        "another portal under a known name",
        [
            parse(_PLAIN, "a") + parse(_EMAIL, "b") + SYNC,
            query("BEGIN"),
            bind("p", "a") + describe("P", "p") + close("P", "p") + bind("p", "b") + execute("p") + SYNC,
        ],
    ),
    MessageAttack(
        "another statement under a known name",
        [
            parse(_PLAIN, "s") + describe("S", "s") + SYNC,
            close("S", "s") + parse(_EMAIL, "s") + bind("p", "s") + execute("p") + SYNC,
            bind("", "s") + execute() + SYNC,
        ],
    ),
    MessageAttack(
        "a statement that exists already",
        [
            parse(_PLAIN, "s") + SYNC,
            parse(_EMAIL, "s") + bind("", "s") + execute() + SYNC,
            bind("", "s") + execute() + SYNC,
        ],
    ),
    MessageAttack(
        "a statement that exists already, the other way round",
        [parse(_EMAIL, "s") + SYNC, parse(_PLAIN, "s") + SYNC + bind("", "s") + execute() + SYNC],
    ),
    MessageAttack(
        "described by another's name",
        [parse(_EMAIL, "s") + parse(_PLAIN, "t") + describe("S", "t") + bind("", "s") + execute() + SYNC],
    ),
    MessageAttack(
        "two statements in one pipeline",
        [parse(_PLAIN) + bind() + describe("P") + execute() + parse(_EMAIL) + bind() + execute() + SYNC],
    ),
    MessageAttack(
        "portals in turns",
        [
            parse(_PLAIN, "a")
            + parse(_EMAIL, "b")
            + bind("p", "a")
            + bind("q", "b")
            + execute("p", 1)
            + execute("q", 1)
            + execute("p", 1)
            + execute("q", 2)
            + SYNC
        ],
    ),
    MessageAttack(
        "the path changes between Parse and Bind",
        [
            query("SET search_path = lab"),
            parse(_EMAIL, "s") + SYNC,
            query("SET search_path = public"),
            bind("", "s") + execute() + SYNC,
        ],
    ),
    MessageAttack(
        "the path changes inside a pipeline",
        [
            query("SET search_path = lab"),
            parse(_EMAIL, "s")
            + describe("S", "s")
            + parse("SET search_path = public", "t")
            + bind("", "t")
            + execute()
            + bind("", "s")
            + execute()
            + SYNC,
        ],
    ),
    MessageAttack(
        "the path changes by a function inside a pipeline",
        [
            query("SET search_path = lab"),
            parse(_EMAIL, "s")
            + describe("S", "s")
            + parse("SELECT set_config('search_path', 'public', false)", "t")
            + bind("", "t")
            + execute()
            + bind("", "s")
            + execute()
            + SYNC,
        ],
    ),
    MessageAttack(
        "the path changes by a parameter",
        [
            query("SET search_path = lab"),
            parse("SELECT set_config($1, $2, false)")
            + bind(values=(b"search_path", b"public"))
            + execute()
            + parse(_EMAIL)
            + bind()
            + execute()
            + SYNC,
            query(_EMAIL),
        ],
    ),
    MessageAttack("the path of the startup packet", [query(_EMAIL)], {"options": "-c search_path=lab,public"}),
    MessageAttack(
        "the path of the startup packet, tables", [query("SELECT tax_number FROM customers")], {"search_path": "public"}
    ),
    MessageAttack(
        "strings of the startup packet",
        [query("SELECT 'a\\' || email || 'b' FROM customers"), query("SELECT '\\', email, '\\' FROM customers")],
        {"options": "-c standard_conforming_strings=off"},
    ),
    MessageAttack("dates of the startup packet", [query("SELECT born FROM customers")], {"DateStyle": "German"}),
    MessageAttack(
        "encoding of the startup packet", [query("SELECT email FROM customers")], {"client_encoding": "SJIS"}
    ),
    MessageAttack(
        "debugging from the startup packet",
        [query("SELECT id FROM customers WHERE email > 'a'")],
        {"options": "-c debug_print_parse=on -c client_min_messages=log -c log_statement_stats=on"},
    ),
    MessageAttack(
        "a text that is not text",
        [query(b"SELECT email AS \xff FROM customers"), query(b"SELECT '\xc3', email FROM customers")],
    ),
    MessageAttack("two texts in one Query", [frame(b"Q", b"SELECT 1\0" + _EMAIL.encode() + b"\0")]),
    MessageAttack(
        "a statement of the protocol run by SQL",
        [parse(_EMAIL, "s") + SYNC, query("EXECUTE s"), query("EXPLAIN ANALYZE EXECUTE s")],
    ),
    MessageAttack(
        "a portal of the protocol fetched by SQL",
        [query("BEGIN"), parse(_EMAIL) + bind("p") + SYNC, query("FETCH ALL FROM p")],
    ),
    MessageAttack(
        "a cursor of SQL run by the protocol",
        [
            query("BEGIN"),
            query("DECLARE c CURSOR FOR SELECT email FROM customers"),
            describe("P", "c") + execute("c") + SYNC,
        ],
    ),
    MessageAttack(
        "a cursor of a function run by the protocol",
        [query("BEGIN"), query("SELECT cursor_of()"), describe("P", "shared") + execute("shared") + SYNC],
    ),
    MessageAttack(
        "a parameter that is SQL",
        [parse("SELECT query_to_xml($1, true, false, '')") + bind(values=(_EMAIL.encode(),)) + execute() + SYNC],
    ),
    MessageAttack(
        "a parameter beside a value",
        [parse("SELECT $1::text || email FROM customers") + bind(values=(b"x",)) + execute() + SYNC],
    ),
    MessageAttack(
        "a parameter as a position",
        [parse("SELECT email FROM customers ORDER BY $1::int") + bind(values=(b"1",)) + execute() + SYNC],
    ),
    MessageAttack(
        "types of parameters",
        [parse("SELECT coalesce($1, email) FROM customers", "", 25) + bind(values=(b"",)) + execute() + SYNC],
    ),
    MessageAttack("a call by number: query_to_xml", [call(2923, _EMAIL.encode(), b"t", b"f", b"")]),
    MessageAttack("a call by number: table_to_xml", [call(2922, b"customers", b"t", b"f", b"")]),
    MessageAttack("a call by number: pg_read_file", [call(2625, b"postgresql.conf"), call(3826, b"../server.log")]),
    MessageAttack(
        "a copy by the extended protocol",
        [parse("COPY customers TO STDOUT") + bind() + describe("P") + execute() + SYNC],
    ),
    MessageAttack(
        "a binary copy by the extended protocol",
        [parse("COPY customers TO STDOUT (FORMAT binary)") + bind(formats=(1,)) + execute() + SYNC],
    ),
    MessageAttack(
        "a refused statement, and one behind it",
        [parse("DO 'BEGIN END'") + bind() + execute() + parse(_EMAIL) + bind() + execute() + SYNC + query(_EMAIL)],
    ),
    MessageAttack("several questions at once", [query(_PLAIN) + query(_EMAIL) + query(_PLAIN) + query(_WIDE)]),
    MessageAttack("Flush in between", [parse(_EMAIL) + FLUSH + bind() + FLUSH + execute() + FLUSH + SYNC]),
    MessageAttack(
        "a table that becomes another while it is prepared",
        [
            query("CREATE TABLE lab.swap (email text)"),
            parse("SELECT email FROM lab.swap", "s") + describe("S", "s") + SYNC,
            query("DROP TABLE lab.swap"),
            query("CREATE VIEW lab.swap AS SELECT email FROM customers"),
            bind("", "s") + execute() + SYNC,
        ],
    ),
    MessageAttack(
        "a parameter that is a row without columns",
        [
            parse(
                "SELECT x FROM (SELECT * FROM unnest(ARRAY[$1::hollow]) t"
                " CROSS JOIN (SELECT id, email FROM customers) c) AS q(p, x)"
            )
            + bind(values=(b"()",))
            + execute()
            + SYNC,
        ],
    ),
    MessageAttack(
        "a portal of the protocol under the name of a cursor that failed",
        [
            query("BEGIN"),
            parse(_EMAIL) + bind("c") + SYNC,
            query("SAVEPOINT a"),
            query("DECLARE c CURSOR FOR SELECT name FROM customers"),
            query("ROLLBACK TO a"),
            query("FETCH ALL FROM c"),
        ],
    ),
    MessageAttack(
        "a cursor that was not closed, since the pipeline had failed before",
        [
            query("DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers"),
            parse("SELECT 1/0")
            + bind()
            + execute()
            + parse("CLOSE c", "x")
            + bind("", "x")
            + execute()
            + SYNC
            + parse("DECLARE c CURSOR WITH HOLD FOR SELECT name FROM customers")
            + bind()
            + execute()
            + SYNC
            + parse("FETCH ALL FROM c")
            + bind()
            + execute()
            + SYNC,
            query("FETCH ALL FROM c"),
        ],
    ),
    MessageAttack(
        "a FETCH that was bound before its cursor became another",
        [
            query("BEGIN"),
            query("DECLARE c CURSOR FOR SELECT name FROM customers"),
            parse("FETCH ALL FROM c", "f") + bind("p", "f") + describe("P", "p") + SYNC,
            query("CLOSE c"),
            query("DECLARE c CURSOR FOR SELECT email FROM customers"),
            execute("p") + SYNC,
            bind("", "f") + execute() + SYNC,
        ],
    ),
    MessageAttack(
        "a FETCH that was prepared in another transaction",
        [
            query("BEGIN"),
            query("DECLARE c CURSOR FOR SELECT name FROM customers"),
            parse("FETCH ALL FROM c", "f") + describe("S", "f") + bind("", "f") + execute() + SYNC,
            query("COMMIT"),
            query("BEGIN"),
            query("DECLARE c CURSOR FOR SELECT email FROM customers"),
            bind("", "f") + execute() + SYNC,
        ],
    ),
    MessageAttack(
        "cursors in one pipeline",
        [
            query("BEGIN"),
            parse("DECLARE c CURSOR FOR SELECT name FROM customers")
            + bind()
            + execute()
            + parse("CLOSE c")
            + bind()
            + execute()
            + parse("DECLARE c CURSOR FOR SELECT email FROM customers")
            + bind()
            + execute()
            + parse("FETCH ALL FROM c")
            + bind(formats=(1,))
            + execute()
            + SYNC,
        ],
    ),
    MessageAttack(
        "closing a cursor of the name all",
        [
            query('DECLARE "all" CURSOR WITH HOLD FOR SELECT name FROM customers'),
            query("DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers"),
            query('CLOSE "all"'),
            query("DECLARE c CURSOR WITH HOLD FOR SELECT name FROM customers"),
            query("FETCH ALL FROM c"),
        ],
    ),
    MessageAttack(
        "replication", [query("IDENTIFY_SYSTEM"), query("SHOW search_path"), query(_EMAIL)], {"replication": "database"}
    ),
    MessageAttack(
        "logical replication",
        [
            query("CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL test_decoding"),
            query("START_REPLICATION SLOT s LOGICAL 0/0"),
        ],
        {"replication": "database"},
    ),
    MessageAttack("a base backup", [query("BASE_BACKUP")], {"replication": "true"}),
)


def run_messages(stage: Stage, database: str) -> list[tuple[str, list[str]]]:
    """Every attack's name and the canaries that came, through the gateway."""
    find = needles().find
    return [(one.name, _run(partial(stage.masked, database, MASKED, **one.startup), one, find)) for one in ATTACKS]


def run_messages_unguarded(stage: Stage, database: str) -> list[tuple[str, list[str]]]:
    """The same at the server itself."""
    find = needles().find
    return [(one.name, _run(partial(stage.direct, database, **one.startup), one, find)) for one in ATTACKS]


def _run(connect: Callable[[], Client], attack: MessageAttack, find: Callable[[bytes], list[str]]) -> list[str]:
    received = b""
    with contextlib.suppress(Closed), connect() as client:
        try:
            for data in attack.rounds:
                client.send(data)
                for kind, _ in frames(data):
                    if kind in (b"S", b"Q", b"F"):
                        client.read_until_ready()
        finally:
            received = bytes(client.received)
    return find(received)
