"""Facts of any statement, by its first words. Queries go to the walk; the rest is told from its tokens.

A list of what is known: a statement that is not on it is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.domain.statement import Action, ObjectRef, OutputColumn, SessionEffect, StatementFacts
from gateway.sql import copying, definitions
from gateway.sql.catalog import Catalog
from gateway.sql.facts import QUERY_WORDS, WRITE_WORDS, query_facts, unknown
from gateway.sql.lexer import Kind, Token
from gateway.sql.reader import Reader
from gateway.sql.settings import setting_effects
from gateway.sql.state import NameResolution

Found = tuple[StatementFacts, bool]
"""Facts, and whether the literals of the text matter to them."""

_TRANSACTION_WORDS = frozenset("begin start commit end rollback abort savepoint release".split())
_EVERY_EFFECT = frozenset(SessionEffect)
NO_EFFECTS = frozenset[SessionEffect]()
DECLARING = frozenset({"declare", "declare_hold"})
"""Kinds of statements that name a cursor."""
_CURSOR_READS = frozenset({Action.READ, Action.CURSOR, Action.LOCK})


def statement_facts(tokens: Sequence[Token], state: NameResolution, catalog: Catalog | None) -> Found:
    """The facts of one statement's tokens. May raise ``RecursionError``."""
    reader = Reader(tokens, state, catalog)
    first = reader.word()
    if first in QUERY_WORDS or first in WRITE_WORDS or reader.at_mark("("):
        return query_facts(tokens, _head(tokens), state, catalog)
    handler = _HANDLERS.get(first)
    if handler is None:
        return unknown("statement not known"), True
    return handler(reader)


def _head(tokens: Sequence[Token]) -> str:
    """The kind of a query: its first word behind parentheses."""
    for token in tokens:
        if token.kind is Kind.WORD:
            return "select" if token.value in ("values", "table") else token.value
    return "select"


def plain(kind: str, *actions: Action, detail: str = "", effects: Iterable[SessionEffect] = ()) -> Found:
    """A statement that reads nothing."""
    facts = StatementFacts(kind=kind, actions=frozenset(actions), detail=detail, session_effects=frozenset(effects))
    return facts, True


# --- the session ------------------------------------------------------------------------------------------------------


def _setting_name(reader: Reader) -> str:
    """The setting that SET, RESET or SHOW names, by the name SHOW gives it."""
    if reader.take("time") and reader.take("zone"):
        return "timezone"
    if reader.take("transaction"):
        return "transaction_isolation" if reader.take("isolation") else "transaction"
    if reader.words("session", "characteristics"):
        return "session_characteristics"
    if reader.words("session", "authorization"):
        return "session_authorization"
    if reader.words("xml", "option"):
        return "xmloption"
    for spelled, name in (("names", "client_encoding"), ("schema", "search_path"), ("constraints", "constraints")):
        if reader.take(spelled):
            return name
    return ".".join(reader.name()).lower()


def _set(reader: Reader) -> Found:
    reader.next()
    if not reader.at_words("session", "characteristics") and not reader.at_words("session", "authorization"):
        _ = reader.take("session") or reader.take("local")
    name = _setting_name(reader)
    if not name:
        return unknown("setting not known", "set"), True
    action = (
        Action.TRANSACTION
        # SET CONSTRAINTS … IMMEDIATE does what COMMIT would do.
        if name in ("transaction", "transaction_isolation", "session_characteristics", "constraints")
        else Action.SET
    )
    return plain("set", action, detail=name, effects=setting_effects(name))


def _reset(reader: Reader) -> Found:
    reader.next()
    name = _setting_name(reader)
    return plain("reset", Action.SET, detail=name, effects=setting_effects(name))


def _show(reader: Reader) -> Found:
    reader.next()
    name = _setting_name(reader)
    count = 3 if name == "all" else 1
    # A name with a dot is a setting of somebody's own, and may hold anything.
    own = "." in name
    facts = StatementFacts(
        kind="show",
        actions=frozenset({Action.SHOW}),
        outputs=tuple(OutputColumn(name, proven=not own) for _ in range(count)),
        reads_everything=own,
        opaque=("user-defined setting",) if own else (),
        detail=name,
    )
    return facts, True


def _discard(reader: Reader) -> Found:
    reader.next()
    what = reader.word()
    effects: frozenset[SessionEffect] = {
        "plans": frozenset[SessionEffect](),
        "sequences": frozenset[SessionEffect](),
        "temp": frozenset({SessionEffect.TEMPORARY_OBJECTS}),
        "temporary": frozenset({SessionEffect.TEMPORARY_OBJECTS}),
    }.get(what, _EVERY_EFFECT - {SessionEffect.CATALOG})
    return plain("discard", Action.SET, detail=what, effects=effects)


def _transaction(reader: Reader) -> Found:
    kind = reader.word()
    if kind == "start":
        kind = "begin"
    elif kind == "end":
        kind = "commit"
    elif kind == "abort":
        kind = "rollback"
    return plain(kind, Action.TRANSACTION)


def _notify(reader: Reader) -> Found:
    kind = reader.word()
    reader.next()
    return plain(kind, Action.NOTIFY, detail=".".join(reader.name()))


# --- prepared statements and cursors ----------------------------------------------------------------------------------


def _prepare(reader: Reader) -> Found:
    reader.next()
    if reader.take("transaction"):
        return plain("prepare_transaction", Action.TRANSACTION)
    name = reader.one_name()
    reader.skip_group()
    if not name or not reader.take("as"):
        return unknown("syntax not understood", "prepare"), True
    inner, matter = statement_facts(reader.rest(), reader.state, reader.catalog)
    return (
        replace(
            inner,
            kind="prepare",
            actions=inner.actions | {Action.PREPARE},
            outputs=None,
            session_effects=inner.session_effects | {SessionEffect.PREPARED_STATEMENTS},
            detail=name,
        ),
        matter,
    )


def _execute(reader: Reader) -> Found:
    reader.next()
    return replace(unknown("prepared statement", "execute"), detail=reader.one_name()), True


def _deallocate(reader: Reader) -> Found:
    reader.next()
    if not reader.at_end(1):
        reader.take("prepare")
    everything = reader.at_word("all")
    name = "all" if everything else reader.one_name()
    return plain("deallocate", Action.PREPARE, detail=name, effects=[SessionEffect.PREPARED_STATEMENTS])


def _declare(reader: Reader) -> Found:
    reader.next()
    name = reader.one_name()
    hold = False
    while not reader.at_end() and not reader.at_word("for"):
        # WITH HOLD; WITHOUT is another word, and nothing else here begins with WITH.
        hold = hold or reader.at_word("with")
        reader.next()
    if not name or not reader.take("for"):
        return unknown("syntax not understood", "declare"), True
    inner, matter = statement_facts(reader.rest(), reader.state, reader.catalog)
    if not inner.actions & {Action.READ, Action.UNKNOWN}:
        return unknown("syntax not understood", "declare"), True
    return (
        replace(
            inner,
            kind="declare_hold" if hold else "declare",
            actions=inner.actions | {Action.CURSOR},
            session_effects=inner.session_effects | {SessionEffect.CURSORS},
            detail=name,
        ),
        matter,
    )


def _fetch(reader: Reader) -> Found:
    """The rows are those of a query that was seen before, at DECLARE or inside a function."""
    kind, name = reader.word(), reader.last_name()
    declared = _declared(reader.state, name) if kind == "fetch" else None
    if declared is not None:
        facts = replace(
            declared, kind=kind, actions=frozenset({Action.READ, Action.CURSOR}), session_effects=NO_EFFECTS
        )
        return facts, True
    facts = StatementFacts(
        kind=kind,
        actions=frozenset({Action.CURSOR}),
        reads_everything=kind == "fetch",
        opaque=("cursor",) if kind == "fetch" else (),
        session_effects=frozenset({SessionEffect.CURSORS}) if kind == "close" else NO_EFFECTS,
        detail=name,
    )
    return facts, True


def _declared(state: NameResolution, name: str) -> StatementFacts | None:
    """The facts of the query behind a cursor; None where there is none that is certain."""
    named = [facts for cursor, facts in state.cursors if cursor == name]
    first = named[0] if named else None
    if first is None or first.outputs is None or first.opaque or not first.actions <= _CURSOR_READS:
        return None
    same = all(
        facts is not None and facts.outputs == first.outputs and facts.columns_read == first.columns_read
        for facts in named
    )
    return first if same and not first.reads_everything else None


def _explain(reader: Reader) -> Found:
    """Without ANALYZE the statement is planned, not run."""
    reader.next()
    runs = False
    if reader.at_mark("(") and not reader.begins_query_in_parentheses():
        options = reader.group()
        for index, token in enumerate(options):
            if token.kind is Kind.WORD and token.value in ("analyze", "analyse"):
                following = options[index + 1].value.lower() if index + 1 < len(options) else ","
                runs = runs or following not in ("false", "off", "0", "no")
    else:
        while True:
            if reader.take("analyze") or reader.take("analyse"):
                runs = True
            elif not reader.take("verbose"):
                break
    rest = reader.rest()
    if not rest:
        return unknown("syntax not understood", "explain"), True
    inner, matter = statement_facts(rest, reader.state, reader.catalog)
    plan = OutputColumn("QUERY PLAN", proven=not inner.opaque)
    return (
        replace(
            inner,
            kind="explain",
            actions=(inner.actions if runs or Action.UNKNOWN in inner.actions else frozenset()) | {Action.EXPLAIN},
            outputs=(plan,),
            copies_data=inner.copies_data and runs,
            session_effects=inner.session_effects if runs else frozenset(),
        ),
        matter,
    )


# --- code -------------------------------------------------------------------------------------------------------------


def _do(reader: Reader) -> Found:
    found = unknown("DO block", "do")
    return replace(found, actions=found.actions | {Action.CALL}), True


def _call(reader: Reader) -> Found:
    reader.next()
    name = reader.name()
    facts = unknown(f"procedure {name[-1] if name else ''}".strip(), "call")
    schema = name[-2] if len(name) > 1 else ""
    function = ObjectRef(schema, name[-1] if name else "", "function")
    return replace(facts, actions=frozenset({Action.CALL}), functions=frozenset({function})), True


def _load(reader: Reader) -> Found:
    found = unknown("shared library", "load")
    return replace(found, actions=found.actions | {Action.CALL}), True


_HANDLERS: Mapping[str, Callable[[Reader], Found]] = {
    "set": _set,
    "reset": _reset,
    "show": _show,
    "discard": _discard,
    **dict.fromkeys(_TRANSACTION_WORDS, _transaction),
    **dict.fromkeys(("listen", "unlisten", "notify"), _notify),
    "prepare": _prepare,
    "execute": _execute,
    "deallocate": _deallocate,
    "declare": _declare,
    **dict.fromkeys(("fetch", "move", "close"), _fetch),
    "explain": _explain,
    "do": _do,
    "call": _call,
    "load": _load,
    "copy": copying.copy,
    **definitions.HANDLERS,
}
