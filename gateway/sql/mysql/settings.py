"""SET: variables, and what changing them has to do with the meaning of later statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.domain.statement import Action, Predicate, SessionEffect, StatementFacts
from gateway.sql.dialect import Found
from gateway.sql.facts import collect, unknown
from gateway.sql.lexer import Kind, Token
from gateway.sql.mysql.queries import evaluate
from gateway.sql.mysql.walk import MySqlWalk
from gateway.sql.mysql.writes import comma_separated
from gateway.sql.rebuilt import Unsupported

_LANGUAGE: Final = frozenset({"sql_mode", "character_set_client", "character_set_connection", "collation_connection"})
_SCOPES: Final = frozenset({"global", "session", "local", "persist", "persist_only"})


def setting_effects(name: str) -> frozenset[SessionEffect]:
    """What changing a variable does to the meaning of later statements."""
    if name in _LANGUAGE or name in ("names", "charset"):
        return frozenset({SessionEffect.LANGUAGE})
    return frozenset()


def set_facts(walk: MySqlWalk, tokens: Sequence[Token]) -> Found:
    """The facts of SET … without SET."""
    words = [t.value if t.kind is Kind.WORD else "" for t in tokens[:3]] + [""] * 3
    if words[0] in _SCOPES and words[1] == "transaction":
        words = [*words[1:], ""]
    match words:
        case ["transaction", *_]:
            return _done("set", Action.TRANSACTION, "transaction")
        case ["password", *_] | ["default", "role", *_]:
            return _done("set", Action.GRANT, words[0])
        case ["role", *_] if len(tokens) > 1 and tokens[1].value != "=":
            return _done("set", Action.SET, "role", frozenset({SessionEffect.NAME_RESOLUTION}))
    try:
        for part in comma_separated(tokens):
            _assign(walk, part)
    except Unsupported as error:
        return unknown(str(error), "set"), True
    walk.actions.add(Action.SET)
    return collect(walk, "set", None, Predicate.NOT_APPLICABLE), True


def _done(kind: str, action: Action, detail: str, effects: frozenset[SessionEffect] = frozenset()) -> Found:
    return StatementFacts(kind, frozenset({action}), detail=detail, session_effects=effects), True


def _assign(walk: MySqlWalk, tokens: Sequence[Token]) -> None:
    """One assignment: ``@v = x``, ``@@session.v = x``, ``GLOBAL v = x``, ``NAMES utf8mb4``, ``CHARACTER SET x``."""
    first = tokens[0] if tokens else None
    if first is None:
        raise Unsupported("syntax not understood")
    if first.kind is Kind.VARIABLE and not first.value.startswith("@@"):
        value = evaluate(walk, _right(tokens, 1))
        if value.sources:
            walk.copies_data = True
        return
    if first.kind is Kind.VARIABLE:
        scope, _, name = first.value.removeprefix("@@").rpartition(".")
        _system(walk, name, tokens[1:], scope)
        return
    if first.kind not in (Kind.WORD, Kind.QUOTED):
        raise Unsupported("syntax not understood")
    words = [t.value if t.kind is Kind.WORD else "" for t in tokens[:2]] + ["", ""]
    if words[0] == "names" or words[0] == "charset" or (words[0] == "character" and words[1] in ("set", "")):
        if any(t.kind not in (Kind.WORD, Kind.STRING) for t in tokens):
            raise Unsupported("syntax not understood")
        walk.settings.add("names")
        walk.effects |= setting_effects("names")
        return
    at = 1 if words[0] in _SCOPES and len(tokens) > 1 and tokens[1].kind in (Kind.WORD, Kind.QUOTED) else 0
    name = tokens[at].value
    rest = tokens[at + 1 :]
    if len(rest) > 2 and rest[0].value == ".":
        name, rest = rest[1].value, rest[2:]
    _system(walk, name, rest, words[0] if at else "")


def _right(tokens: Sequence[Token], at: int) -> Sequence[Token]:
    if len(tokens) <= at + 1 or tokens[at].value not in ("=", ":="):
        raise Unsupported("syntax not understood")
    return tokens[at + 1 :]


def _system(walk: MySqlWalk, name: str, tokens: Sequence[Token], scope: str) -> None:
    right = _right(tokens, 0)
    walk.settings.add(name)
    if scope in ("global", "persist", "persist_only"):
        walk.actions.add(Action.MAINTAIN)
    walk.effects |= setting_effects(name)
    if len(right) == 1 and right[0].kind in (Kind.WORD, Kind.STRING, Kind.NUMBER, Kind.PARAMETER):
        return
    value = evaluate(walk, right)
    if value.sources or not value.proven:
        walk.copies_data = True
