"""Facts of any statement, by its first words. Queries and writes go to the walk; the rest is told from its tokens.

A list of what is known: a statement that is not on it is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from gateway.domain.statement import Action, ObjectRef, OutputColumn, SessionEffect
from gateway.sql.catalog import Catalog
from gateway.sql.dialect import Found
from gateway.sql.facts import collect, unknown
from gateway.sql.lexer import Kind, Token
from gateway.sql.mysql import definitions, show
from gateway.sql.mysql.queries import QUERY_WORDS, evaluate, query_facts
from gateway.sql.mysql.reader import MySqlReader
from gateway.sql.mysql.settings import set_facts
from gateway.sql.mysql.splitting import is_compound
from gateway.sql.mysql.walk import MySqlWalk
from gateway.sql.mysql.writes import WRITE_WORDS, comma_separated, write_facts
from gateway.sql.rebuilt import Unsupported
from gateway.sql.state import MySqlResolution
from gateway.sql.utility import plain


def statement_facts(tokens: Sequence[Token], state: MySqlResolution, catalog: Catalog | None) -> Found:
    """The facts of one statement's tokens. May raise ``RecursionError``."""
    if is_compound(tokens):
        found = unknown("stored or compound code", _first(tokens))
        return replace(found, actions=found.actions | _code_actions(tokens)), True
    reader = MySqlReader(tokens, state, catalog)
    first = reader.word()
    if first == "with" and _writes_behind_with(tokens):
        return write_facts(MySqlWalk(state, catalog), tokens)
    if first in QUERY_WORDS or reader.at_mark("("):
        return query_facts(MySqlWalk(state, catalog), tokens, "select")
    if first in WRITE_WORDS:
        return write_facts(MySqlWalk(state, catalog), tokens)
    handler = _HANDLERS.get(first)
    if handler is None:
        return unknown("statement not known"), True
    return handler(reader)


def _first(tokens: Sequence[Token]) -> str:
    return tokens[0].value if tokens[0].kind is Kind.WORD else "unknown"


def _code_actions(tokens: Sequence[Token]) -> frozenset[Action]:
    match _first(tokens):
        case "create":
            return frozenset({Action.CREATE})
        case "alter":
            return frozenset({Action.ALTER})
        case _:
            return frozenset({Action.CALL})


def _writes_behind_with(tokens: Sequence[Token]) -> bool:
    depth = 0
    for kind, value, _ in tokens:
        if kind is Kind.PUNCTUATION:
            depth += {"(": 1, ")": -1}.get(value, 0)
        elif kind is Kind.WORD and not depth:
            if value in ("update", "delete"):
                return True
            if value in ("select", "values", "table"):
                return False
    return False


def _simple(kind: str, *actions: Action, reason: str = "") -> Callable[[MySqlReader], Found]:
    def handler(reader: MySqlReader) -> Found:
        if reason:
            found = unknown(reason, kind)
            return replace(found, actions=found.actions | frozenset(actions)), True
        return plain(kind, *actions, detail=reader.word(1))

    return handler


# --- the session ------------------------------------------------------------------------------------------------------


def _set(reader: MySqlReader) -> Found:
    reader.next()
    if reader.take("statement"):
        return _set_statement(reader)
    return set_facts(reader.walk(), reader.rest())


def _set_statement(reader: MySqlReader) -> Found:
    """SET STATEMENT v = x FOR statement: the settings hold while the statement runs."""
    end = reader.find("for")
    if end < 0:
        return unknown("syntax not understood", "set"), True
    settings, _ = set_facts(reader.walk(), reader.tokens[reader.at : end])
    if settings.session_effects or settings.opaque or settings.columns_read:
        return unknown("settings for one statement", "set"), True
    inner, matter = statement_facts(reader.tokens[end + 1 :], reader.state, reader.catalog)
    return replace(inner, actions=inner.actions | {Action.SET}), matter


def _use(reader: MySqlReader) -> Found:
    reader.next()
    name = reader.one_name()
    if not name or not reader.at_end():
        return unknown("syntax not understood", "use"), True
    return plain("use", Action.SET, detail=name, effects=[SessionEffect.NAME_RESOLUTION])


def _transaction(reader: MySqlReader) -> Found:
    kind = reader.word()
    if kind == "start" and reader.word(1) != "transaction":
        return _simple("replication", Action.REPLICATE)(reader)
    return plain({"start": "begin", "xa": "xa"}.get(kind, kind), Action.TRANSACTION)


# --- prepared statements and code -------------------------------------------------------------------------------------


def _text_facts(reader: MySqlReader) -> Found | None:
    """The facts of the statement whose text is the string here; None where it is no string."""
    token = reader.peek()
    if token.kind is not Kind.STRING or not reader.at_end(1):
        return None
    from gateway.sql.analyse import analyse

    found = analyse(token.value, reader.state, reader.catalog, dialect="mysql").statements
    return (found[0], True) if len(found) == 1 else None


def _prepare(reader: MySqlReader) -> Found:
    reader.next()
    name = reader.one_name()
    if not name or not reader.take("from"):
        return unknown("syntax not understood", "prepare"), True
    found = _text_facts(reader)
    inner = found[0] if found is not None else unknown("text that is not in the statement", "prepare")
    effects = inner.session_effects | {SessionEffect.PREPARED_STATEMENTS}
    actions = inner.actions | {Action.PREPARE}
    return (
        replace(inner, kind="prepare", actions=actions, outputs=None, session_effects=effects, detail=name),
        True,
    )


def _execute(reader: MySqlReader) -> Found:
    reader.next()
    if reader.take("immediate"):
        found = _text_facts(reader)
        return found if found is not None else (unknown("text that is not in the statement", "execute"), True)
    return replace(unknown("prepared statement", "execute"), detail=reader.one_name()), True


def _deallocate(reader: MySqlReader) -> Found:
    reader.next()
    reader.take("prepare")
    name = reader.one_name()
    return plain("deallocate", Action.PREPARE, detail=name, effects=[SessionEffect.PREPARED_STATEMENTS])


def _drop(reader: MySqlReader) -> Found:
    if reader.word(1) == "prepare":
        reader.next()
        return _deallocate(reader)
    return definitions.drop(reader)


def _call(reader: MySqlReader) -> Found:
    reader.next()
    name = reader.name()
    facts = unknown(f"procedure {name[-1] if name else ''}".strip(), "call")
    schema = name[-2] if len(name) > 1 else reader.walk().default_schema
    function = ObjectRef(schema, name[-1] if name else "", "function")
    return replace(facts, actions=frozenset({Action.CALL}), functions=frozenset({function})), True


def _do(reader: MySqlReader) -> Found:
    """DO evaluates expressions and shows nothing."""
    reader.next()
    walk = reader.walk()
    try:
        for part in comma_separated(reader.rest()):
            walk.use_as_filter(evaluate(walk, part))
    except Unsupported as error:
        return unknown(str(error), "do"), True
    walk.actions.add(Action.READ)
    return collect(walk, "do", None), True


def _handler(reader: MySqlReader) -> Found:
    found = unknown("handler", "handler")
    return replace(found, actions=frozenset({Action.CURSOR, Action.READ})), True


def _signal(reader: MySqlReader) -> Found:
    """A message may be put together from a variable."""
    kind = reader.word()
    if any(token.kind is Kind.VARIABLE for token in reader.tokens):
        return unknown("a message from a variable", kind), True
    return plain(kind, Action.SET)


def _diagnostics(reader: MySqlReader) -> Found:
    return plain("get_diagnostics", Action.SHOW)


# --- files ------------------------------------------------------------------------------------------------------------


def _load(reader: MySqlReader) -> Found:
    """LOAD DATA | XML [LOCAL] INFILE 'x' INTO TABLE t …; LOAD INDEX INTO CACHE."""
    reader.next()
    if reader.at_word("index"):
        return plain("load_index", Action.MAINTAIN)
    if not reader.at_word("data", "xml"):
        return unknown("syntax not understood", "load"), True
    local = reader.has("local")
    walk = reader.walk()
    at = reader.find("table")
    if at < 0:
        return unknown("syntax not understood", "load"), True
    reader.at = at + 1
    reference, relation = reader.resolve(walk, reader.name())
    walk.objects_written.add(reference)
    if relation is not None:
        walk.written |= frozenset(relation.reference(column.name) for column in relation.columns)
    assigned = reader.find("set")
    if assigned >= 0 and reader.tokens[assigned - 1].value != "character":
        for part in comma_separated(reader.tokens[assigned + 1 :]):
            try:
                value = evaluate(walk, part[next((i for i, t in enumerate(part) if t.value == "="), 0) + 1 :])
            except Unsupported as error:
                return unknown(str(error), "load"), True
            walk.copies_data = walk.copies_data or bool(value.sources) or not value.proven
    if not local:
        walk.unknown("server file")
    walk.actions.add(Action.COPY_IN)
    if reader.has("replace"):
        walk.actions.add(Action.DELETE)
    return replace(collect(walk, "load", None), detail="stdin" if local else "file"), True


# --- plans ------------------------------------------------------------------------------------------------------------

_EXPLAINED: Final = frozenset({"select", "with", "insert", "replace", "update", "delete", "values", "table"})


def _explain(reader: MySqlReader) -> Found:
    """EXPLAIN [EXTENDED | PARTITIONS | FORMAT=x | ANALYZE] statement; DESCRIBE table; ANALYZE [FORMAT=x] statement."""
    runs = reader.word() == "analyze"
    reader.next()
    if runs and reader.at_word("table", "local", "no_write_to_binlog"):
        return definitions.maintain("analyze")(reader)
    more = 0
    one = False
    while True:
        if reader.take("extended") or reader.take("partitions"):
            more += 1
        elif reader.take("analyze"):
            runs = True
        elif reader.at_word("format") and reader.at_mark("=", 1):
            one = reader.peek(2).value.lower() not in ("traditional", "default")
            reader.at += 3
        elif reader.at_word("into"):
            return unknown("plan into a variable", "explain"), True
        else:
            break
    if not runs and not reader.at_word(*_EXPLAINED) and not reader.at_mark("("):
        if reader.at_word("for"):
            return unknown("the plan of another session", "explain"), True
        return show.columns(reader)
    inner, matter = statement_facts(reader.rest(), reader.state, reader.catalog)
    width = 1 if one else 12 if not reader.state.mariadb else 13 if runs else 10 + more
    plan = OutputColumn("plan", proven=not inner.opaque)
    return (
        replace(
            inner,
            kind="explain",
            actions=(inner.actions if runs or Action.UNKNOWN in inner.actions else frozenset()) | {Action.EXPLAIN},
            outputs=(plan,) * width,
            copies_data=inner.copies_data and runs,
            session_effects=inner.session_effects if runs else frozenset(),
        ),
        matter,
    )


def _kill(reader: MySqlReader) -> Found:
    """Whose session it is only the relay can tell."""
    reader.next()
    while reader.at_word("hard", "soft", "connection", "query", "id"):
        reader.next()
    token = reader.peek()
    plain_id = token.kind is Kind.NUMBER and reader.at_end(1)
    if not plain_id:
        return unknown("computed session id", "kill"), True
    return plain("kill", Action.SHOW, detail=token.value)


def _flush(reader: MySqlReader) -> Found:
    kind = reader.word()
    if reader.has("lock") or reader.has("export"):
        return plain(kind, Action.MAINTAIN, Action.LOCK, detail=reader.word(1))
    return plain(kind, Action.MAINTAIN, detail=reader.word(1))


def _reset(reader: MySqlReader) -> Found:
    if reader.word(1) in ("master", "slave", "replica", "binary"):
        return plain("reset", Action.REPLICATE, detail=reader.word(1))
    return plain("reset", Action.MAINTAIN, detail=reader.word(1))


_HANDLERS: Final[Mapping[str, Callable[[MySqlReader], Found]]] = {
    "set": _set,
    "use": _use,
    **dict.fromkeys(("begin", "start", "commit", "rollback", "savepoint", "release", "xa"), _transaction),
    "prepare": _prepare,
    "execute": _execute,
    "deallocate": _deallocate,
    "call": _call,
    "do": _do,
    "handler": _handler,
    **dict.fromkeys(("signal", "resignal"), _signal),
    "get": _diagnostics,
    "load": _load,
    **dict.fromkeys(("explain", "describe", "desc", "analyze"), _explain),
    "show": show.show,
    "help": _simple("help", Action.SHOW),
    "kill": _kill,
    "flush": _flush,
    "reset": _reset,
    "shutdown": _simple("shutdown", Action.MAINTAIN, reason="the end of the server"),
    "restart": _simple("restart", Action.MAINTAIN, reason="the end of the server"),
    **dict.fromkeys(("install", "uninstall"), _simple("install", reason="code of the server")),
    **dict.fromkeys(("change", "stop", "purge"), _simple("replication", Action.REPLICATE)),
    "binlog": _simple("binlog", Action.REPLICATE, reason="events of a binary log"),
    **definitions.HANDLERS,
    "drop": _drop,
}
