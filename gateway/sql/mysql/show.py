"""SHOW and DESCRIBE: the schema, the server's state, and a few that show statements and messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.domain.statement import Action, OutputColumn, StatementFacts
from gateway.sql.dialect import Found
from gateway.sql.embedded import note_calls
from gateway.sql.facts import unknown
from gateway.sql.lexer import Kind
from gateway.sql.mysql.reader import MySqlReader

_HARMLESS: Final = frozenset(
    """all authors binary character charset client_statistics collation columns contributors count create database
    databases engines errors events extended fields full function global grants index indexes index_statistics keys
    local locales master open package parse_tree plugins privileges procedure profile profiles query_response_time
    relaylog replica replicas schemas session slave slaves status storage table table_statistics tables triggers
    user_statistics user_variables variables warnings engine processlist explain binlog""".split()
)
_MESSAGES: Final = ("Level", "Code", "Message")
_PROCESSES: Final = ("Id", "User", "Host", "db", "Command", "Time", "State", "Info")


def show(reader: MySqlReader) -> Found:
    """SHOW …."""
    reader.next()
    while reader.at_word("full", "extended", "global", "session", "local", "storage", "all", "open"):
        reader.next()
    what = reader.word()
    facts = StatementFacts("show", frozenset({Action.SHOW}), detail=what)
    match what:
        case "warnings" | "errors":
            # Messages quote values.
            return _showing(facts, _MESSAGES, hidden={"Message"}), True
        case "count":
            return facts, True
        case "processlist":
            names = (*_PROCESSES, "Progress") if reader.state.mariadb else _PROCESSES
            return _showing(facts, names, hidden={"Info", "State"}), True
        case "engine":
            return _showing(facts, ("Type", "Name", "Status"), hidden={"Status"}), True
        case "grants":
            # With the hash of the account's password.
            return _showing(facts, ("Grants",), hidden={"Grants"}), True
        case "profiles":
            return _showing(facts, ("Query_ID", "Duration", "Query"), hidden={"Query"}), True
        case "create" if reader.word(1) == "user":
            return _showing(facts, ("CREATE USER",), hidden={"CREATE USER"}), True
        case "binlog" | "relaylog" | "explain" | "analyze" | "user_variables" | "parse_tree" | "":
            return unknown("statements of others", "show"), True
    if what not in _HARMLESS:
        return unknown("statement not known", "show"), True
    return _filtered(reader, facts), True


def columns(reader: MySqlReader) -> Found:
    """DESCRIBE table [column]."""
    return StatementFacts("show", frozenset({Action.SHOW}), detail="columns"), True


def _showing(facts: StatementFacts, names: Sequence[str], *, hidden: set[str]) -> StatementFacts:
    outputs = tuple(OutputColumn(name, proven=name not in hidden) for name in names)
    return replace(facts, outputs=outputs, reads_everything=True)


def _filtered(reader: MySqlReader, facts: StatementFacts) -> StatementFacts:
    """WHERE may hold any expression."""
    at = reader.find("where")
    if at < 0:
        return facts
    condition = reader.tokens[at + 1 :]
    walk = reader.walk()
    note_calls(walk, condition)
    queries = any(t.kind is Kind.WORD and t.value in ("select", "values", "with", "table") for t in condition)
    if queries or any(t.kind is Kind.VARIABLE and not t.value.startswith("@@") for t in condition):
        walk.unknown("query in SHOW")
    if not walk.opaque:
        return facts
    return replace(
        facts, opaque=tuple(walk.opaque), reads_everything=True, actions=facts.actions | walk.actions, outputs=None
    )
