"""Data definition, accounts and maintenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from gateway.domain.statement import Action, ObjectRef, SessionEffect, StatementFacts
from gateway.sql.dialect import Found
from gateway.sql.embedded import note_calls, note_expressions
from gateway.sql.facts import collect, unknown
from gateway.sql.lexer import Kind, Token
from gateway.sql.mysql.queries import query_facts
from gateway.sql.mysql.reader import MySqlReader
from gateway.sql.mysql.splitting import created
from gateway.sql.mysql.walk import MySqlWalk
from gateway.sql.scope import Rows
from gateway.sql.values import CONSTANT, NamedValue, Value

Handler = Callable[[MySqlReader], Found]

_OWN_ENGINES: Final = frozenset(
    "innodb myisam aria memory heap archive blackhole rocksdb tokudb ndb ndbcluster columnstore default".split()
)
"""Storage engines whose tables hold their own rows and nothing else."""
_ELSEWHERE: Final = frozenset({"union", "directory", "connection", "secondary_engine", "tablespace"})
"""Table options that make a table show other tables, files or servers."""
_ACCOUNT_KINDS: Final = frozenset({"user", "role"})
_INDEX_WORDS: Final = frozenset({"unique", "fulltext", "spatial", "vector", "index"})
_MOVES: Final = frozenset("rename change exchange import convert union tablespace discard".split())


def _facts(walk: MySqlWalk, kind: str, action: Action, **changes: object) -> Found:
    facts = StatementFacts(
        kind=kind,
        actions=frozenset({action}),
        objects_written=frozenset(walk.objects_written),
        reads_everything=walk.reads_everything,
        opaque=tuple(walk.opaque),
        session_effects=frozenset({SessionEffect.CATALOG}),
    )
    return replace(facts, **changes), True  # type: ignore[arg-type]


def _new_object(walk: MySqlWalk, name: Sequence[str], kind: str) -> ObjectRef:
    """Where an object that does not exist yet will be."""
    schema = name[-2] if len(name) > 1 else walk.default_schema
    if not schema:
        walk.opaque["no database is selected"] = None
    return ObjectRef(schema, name[-1] if name else "", kind)


def _create(reader: MySqlReader) -> Found:
    kind, index = created(reader.tokens)
    replaces = any(t.value == "replace" for t in reader.tokens[1:3])
    temporary = any(t.value == "temporary" for t in reader.tokens[1:index])
    reader.at = index
    actions = {Action.CREATE} | ({Action.ALTER} if replaces else set())
    walk = reader.walk()
    if kind in _INDEX_WORDS:
        return _create_index(reader, walk, actions)
    reader.words("if", "not", "exists")
    match kind:
        case "table":
            return _create_table(reader, walk, actions, temporary=temporary)
        case "view":
            return _create_view(reader, walk, actions)
        case "sequence":
            walk.objects_written.add(_new_object(walk, reader.name(), "sequence"))
        case "database" | "schema":
            name = reader.one_name()
            walk.objects_written.add(ObjectRef(name, name, "database"))
        case "user" | "role":
            actions.add(Action.GRANT)
        case _:
            # Servers, tablespaces and all that carries code.
            walk.unknown(f"definition of {kind or 'an object'}")
    return _facts(walk, "create", Action.CREATE, actions=frozenset(actions), copies_data=bool(walk.opaque), detail=kind)


def _create_index(reader: MySqlReader, walk: MySqlWalk, actions: set[Action]) -> Found:
    at = reader.find("on")
    if at < 0:
        return unknown("syntax not understood", "create"), True
    reader.at = at + 1
    reference, _ = reader.resolve(walk, reader.name())
    walk.objects_written.add(reference)
    note_calls(walk, reader.rest())
    return _facts(walk, "create", Action.CREATE, actions=frozenset(actions), detail="index")


def _create_table(reader: MySqlReader, walk: MySqlWalk, actions: set[Action], *, temporary: bool) -> Found:
    effects = {SessionEffect.CATALOG} | ({SessionEffect.TEMPORARY_OBJECTS} if temporary else set())
    walk.objects_written.add(_new_object(walk, reader.name(), "table"))
    rest = reader.rest()
    query = _query_in(rest)
    _note_options(walk, rest if query < 0 else rest[:query])
    note_expressions(walk, rest if query < 0 else rest[:query])
    common: dict[str, object] = {
        "actions": frozenset(actions),
        "session_effects": frozenset(effects),
        "detail": "table",
    }
    if query < 0:
        return _facts(walk, "create", Action.CREATE, copies_data=bool(walk.opaque), **common)
    return _from_query(walk, rest[query:], common)


def _query_in(tokens: Sequence[Token]) -> int:
    """Where the query of CREATE TABLE … SELECT begins, or -1."""
    depth = 0
    for index, (kind, value, _) in enumerate(tokens):
        if kind is Kind.PUNCTUATION:
            if value == "(":
                inner = index + 1
                while inner < len(tokens) and tokens[inner].value == "(":
                    inner += 1
                begins = inner < len(tokens) and tokens[inner].kind is Kind.WORD
                if not depth and begins and tokens[inner].value in ("select", "with", "values", "table"):
                    return index
                depth += 1
            elif value == ")":
                depth -= 1
        elif kind is Kind.WORD and not depth and value in ("select", "with", "values", "table"):
            if value == "with" and index + 1 < len(tokens) and tokens[index + 1].value == "system":
                continue
            if value == "values" and (index + 1 >= len(tokens) or tokens[index + 1].value not in ("(", "row")):
                continue
            return index
    return -1


def _from_query(walk: MySqlWalk, tokens: Sequence[Token], common: Mapping[str, object]) -> Found:
    inner, _ = query_facts(MySqlWalk(walk.session, walk.catalog), tokens, "create")
    facts, _ = _facts(walk, "create", Action.CREATE, **common)
    return (
        replace(
            inner,
            kind="create",
            actions=inner.actions | facts.actions,
            objects_written=inner.objects_written | facts.objects_written,
            session_effects=inner.session_effects | facts.session_effects,
            opaque=(*inner.opaque, *facts.opaque),
            reads_everything=inner.reads_everything or facts.reads_everything,
            outputs=None,
            copies_data=True,
            detail=facts.detail,
        ),
        True,
    )


def _create_view(reader: MySqlReader, walk: MySqlWalk, actions: set[Action]) -> Found:
    walk.objects_written.add(_new_object(walk, reader.name(), "view"))
    reader.group()
    if not reader.take("as"):
        return unknown("syntax not understood", "create"), True
    tokens = reader.rest()
    values = [t.value for t in tokens]
    for tail in (["with", "check", "option"], *(["with", w, "check", "option"] for w in ("local", "cascaded"))):
        if values[-len(tail) :] == tail:
            tokens = tokens[: -len(tail)]
            break
    return _from_query(
        walk,
        tokens,
        {"actions": frozenset(actions), "session_effects": frozenset({SessionEffect.CATALOG}), "detail": "view"},
    )


def _note_options(walk: MySqlWalk, tokens: Sequence[Token]) -> None:
    """Table options that put the rows somewhere else, or show somebody else's."""
    for index, (kind, value, _) in enumerate(tokens):
        following = [token.value.lower() for token in tokens[index + 1 : index + 3]]
        if kind is not Kind.WORD or not following:
            continue
        engine = following[-1] if following[0] == "=" else following[0]
        foreign = value == "engine" and engine not in _OWN_ENGINES
        if foreign or (value in _ELSEWHERE and following[0] in ("=", "(")):
            walk.unknown("a table that may show something else")


def _alter(reader: MySqlReader) -> Found:
    kind, index = created(reader.tokens)
    reader.at = index
    walk = reader.walk()
    actions = {Action.ALTER}
    copies = False
    match kind:
        case "ignore" | "table":
            if kind == "ignore":
                reader.take("table")
            reader.words("if", "exists")
            reference, _ = reader.resolve(walk, reader.name())
            walk.objects_written.add(reference)
            rest = reader.rest()
            _note_options(walk, rest)
            note_expressions(walk, rest)
            # Renamed or exchanged, the same data is found under a name without labels.
            copies = reader.has(*_MOVES)
            if reader.has("drop"):
                actions |= {Action.DROP} if reader.has("partition", "column") else set()
            if reader.has("truncate"):
                actions.add(Action.TRUNCATE)
        case "view":
            found = _create_view(reader, walk, {Action.CREATE, Action.ALTER})
            return replace(found[0], kind="alter"), True
        case "database" | "schema" | "sequence":
            pass
        case "user" | "role":
            actions |= {Action.GRANT, Action.REVOKE}
        case _:
            walk.unknown(f"definition of {kind or 'an object'}")
            copies = True
    return _facts(walk, "alter", Action.ALTER, actions=frozenset(actions), copies_data=copies, detail=kind)


def drop(reader: MySqlReader) -> Found:
    """DROP …."""
    reader.next()
    reader.take("temporary")
    kind = reader.word()
    reader.next()
    walk = reader.walk()
    actions = {Action.DROP}
    if kind == "tables":
        kind = "table"
    reader.words("if", "exists")
    if kind in ("table", "view", "sequence"):
        for name in reader.names():
            reference, _ = reader.resolve(walk, name)
            walk.objects_written.add(reference)
        walk.opaque.clear()  # what is dropped need not exist
        walk.reads_everything = False
    elif kind == "index":
        at = reader.find("on")
        if at >= 0:
            reader.at = at + 1
            reference, _ = reader.resolve(walk, reader.name())
            walk.objects_written.add(reference)
    elif kind in _ACCOUNT_KINDS:
        actions.add(Action.REVOKE)
    else:
        walk.objects_written |= {_new_object(walk, name, kind) for name in reader.names()}
    return _facts(walk, "drop", Action.DROP, actions=frozenset(actions), detail=kind)


def _rename(reader: MySqlReader) -> Found:
    """RENAME TABLE a TO b, …; RENAME USER."""
    reader.next()
    if reader.take("user"):
        return _facts(reader.walk(), "rename", Action.GRANT, session_effects=frozenset(), detail="user")
    if not (reader.take("table") or reader.take("tables")):
        return unknown("syntax not understood", "rename"), True
    reader.words("if", "exists")
    walk = reader.walk()
    while name := reader.name():
        reference, _ = reader.resolve(walk, name)
        walk.objects_written.add(reference)
        while reader.at_word("wait", "nowait") or reader.peek().kind is Kind.NUMBER:
            reader.next()
        if not reader.take("to"):
            return unknown("syntax not understood", "rename"), True
        walk.objects_written.add(_new_object(walk, reader.name(), "table"))
        if not reader.at_mark(","):
            break
        reader.next()
    return _facts(walk, "rename", Action.ALTER, copies_data=True, detail="table")


def _truncate(reader: MySqlReader) -> Found:
    reader.next()
    reader.take("table")
    walk = reader.walk()
    reference, _ = reader.resolve(walk, reader.name())
    walk.objects_written.add(reference)
    return _facts(walk, "truncate", Action.TRUNCATE, session_effects=frozenset())


def _lock(reader: MySqlReader) -> Found:
    """LOCK TABLES a [AS x] READ, b WRITE; LOCK INSTANCE FOR BACKUP."""
    reader.next()
    walk = reader.walk()
    if reader.take("tables") or reader.take("table"):
        while name := reader.name():
            reference, _ = reader.resolve(walk, name)
            walk.objects_written.add(reference)
            while not reader.at_end() and not reader.at_mark(","):
                reader.next()
            reader.next()
    return _facts(walk, "lock", Action.LOCK, session_effects=frozenset())


def maintain(kind: str) -> Handler:
    """ANALYZE, CHECK, CHECKSUM, OPTIMIZE, REPAIR TABLE, CACHE INDEX."""

    def handler(reader: MySqlReader) -> Found:
        return StatementFacts(kind, frozenset({Action.MAINTAIN})), True

    return handler


def _checksum(reader: MySqlReader) -> Found:
    """A checksum is computed from all of a table."""
    reader.next()
    walk = reader.walk()
    if not (reader.take("table") or reader.take("tables")):
        return unknown("syntax not understood", "checksum"), True
    for name in reader.names():
        reference, relation = reader.resolve(walk, name)
        walk.objects_read.add(reference)
        row = walk.source(relation, name[-1]).everything()
        walk.read |= row.sources
        walk.filtered |= row.sources
    walk.actions |= {Action.MAINTAIN, Action.READ}
    checksum = Value(frozenset(walk.read), proven=not walk.opaque)
    return collect(walk, "checksum", Rows([NamedValue("Table", CONSTANT), NamedValue("Checksum", checksum)])), True


def _privileges(kind: str, action: Action) -> Handler:
    def handler(reader: MySqlReader) -> Found:
        walk = reader.walk()
        at = reader.find("on")
        if at >= 0:
            reader.at = at + 1
            reader.take("table")
            name = reader.name()
            if name and not reader.at_mark("*") and not reader.at_mark(".*"):
                reference, _ = reader.resolve(walk, name)
                walk.objects_written.add(reference)
                walk.opaque.clear()
                walk.reads_everything = False
        return _facts(walk, kind, action, session_effects=frozenset())

    return handler


def _unlock(reader: MySqlReader) -> Found:
    return StatementFacts("unlock", frozenset({Action.LOCK})), True


HANDLERS: Final[Mapping[str, Handler]] = {
    "create": _create,
    "alter": _alter,
    "rename": _rename,
    "truncate": _truncate,
    "lock": _lock,
    "unlock": _unlock,
    **{kind: maintain(kind) for kind in ("check", "optimize", "repair", "cache")},
    "checksum": _checksum,
    "grant": _privileges("grant", Action.GRANT),
    "revoke": _privileges("revoke", Action.REVOKE),
}
