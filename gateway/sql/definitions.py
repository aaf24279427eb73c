"""Data definition, privileges and maintenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from gateway.domain.statement import Action, ObjectRef, SessionEffect, StatementFacts
from gateway.sql.embedded import note_calls, note_expressions
from gateway.sql.facts import query_facts, unknown
from gateway.sql.lexer import Kind, Token
from gateway.sql.reader import Reader, resolve_object
from gateway.sql.walk import Walk

Found = tuple[StatementFacts, bool]

_NOISE = frozenset(
    "or replace global local temp temporary unlogged unique recursive constraint trusted procedural".split()
)
_ROLE_WORDS = frozenset({"role", "user", "group", "owned"})
_CODE_WORDS = frozenset(
    """function procedure routine aggregate operator cast trigger event rule policy extension language transform
    conversion access server subscription publication foreign""".split()
)
"""Objects that carry code, or a way out of the database: what they will do cannot be told from the statement."""
_MOVES = frozenset({"attach", "detach", "inherit", "no", "rename", "schema", "using", "generated", "owner"})


def _names(reader: Reader) -> list[list[str]]:
    names: list[list[str]] = []
    while True:
        reader.take("only")
        name = reader.name()
        if name:
            names.append(name)
        if reader.at_mark("*"):
            reader.next()
        if not reader.at_mark(","):
            return names
        reader.next()


def _object_kind(reader: Reader) -> tuple[str, bool]:
    """The sort of object that CREATE, ALTER or DROP names, and whether it is temporary."""
    temporary = False
    while reader.word() in _NOISE:
        temporary = temporary or reader.word() in ("temp", "temporary")
        reader.next()
    kind = reader.word()
    reader.next()
    if kind == "materialized" and reader.take("view"):
        kind = "view"
    elif kind == "foreign" and reader.take("table"):
        kind = "foreign table"
    return kind, temporary


def _facts(walk: Walk, kind: str, action: Action, **changes: object) -> Found:
    facts = StatementFacts(
        kind=kind,
        actions=frozenset({action}),
        objects_written=frozenset(walk.objects_written),
        reads_everything=walk.reads_everything,
        opaque=tuple(walk.opaque),
        session_effects=frozenset({SessionEffect.CATALOG}),
    )
    return replace(facts, **changes), True  # type: ignore[arg-type]


def _create(reader: Reader) -> Found:
    reader.next()
    replaces = reader.at_words("or", "replace")
    kind, temporary = _object_kind(reader)
    walk = Walk(reader.state, reader.catalog)
    effects = {SessionEffect.CATALOG}
    if temporary:
        effects.add(SessionEffect.TEMPORARY_OBJECTS)
    actions = {Action.CREATE} | ({Action.ALTER} if replaces else set())
    if kind in ("table", "view", "foreign table", "sequence", "index"):
        return _create_relation(reader, walk, kind, actions, effects)
    if kind in _ROLE_WORDS:
        actions.add(Action.GRANT)
    if kind in _CODE_WORDS:
        walk.unknown(f"definition of {kind}")
    elif kind == "domain":
        note_expressions(walk, reader.rest())
    elif kind == "type":
        _create_type(reader, walk)
    elif kind == "statistics":
        on = reader.find("on")
        note_calls(walk, reader.tokens[on + 1 :] if on >= 0 else reader.rest())
    elif kind == "schema" and any(t.kind is Kind.WORD and t.value in ("create", "grant") for t in reader.rest()):
        # The elements of a schema are statements of their own.
        walk.unknown("elements of a schema")
    return _facts(
        walk,
        "create",
        Action.CREATE,
        actions=frozenset(actions),
        session_effects=frozenset(effects),
        copies_data=bool(walk.opaque),
        detail=kind,
    )


def _create_type(reader: Reader, walk: Walk) -> None:
    """Composite types and enumerations are data; ranges and base types name functions."""
    reader.name()
    if not reader.at_end() and not (reader.take("as") and (reader.at_word("enum") or reader.at_mark("("))):
        walk.unknown("definition of a type with functions")


def _create_relation(reader: Reader, walk: Walk, kind: str, actions: set[Action], effects: set[SessionEffect]) -> Found:
    reader.take("concurrently")
    reader.words("if", "not", "exists")
    if kind == "index":
        if not reader.at_word("on"):
            reader.name()
        if not reader.take("on"):
            return unknown("syntax not understood", "create"), True
        reader.take("only")
        reference, _ = resolve_object(walk, reader.name())
        walk.objects_written.add(reference)
        note_calls(walk, _without_method(reader.rest()))
        return _facts(walk, "create", Action.CREATE, actions=frozenset(actions), detail=kind)
    name = reader.name()
    temporary = SessionEffect.TEMPORARY_OBJECTS in effects or (len(name) > 1 and name[0].startswith("pg_temp"))
    if temporary:
        effects.add(SessionEffect.TEMPORARY_OBJECTS)
    walk.objects_written.add(_new_object(walk, name, kind, temporary))
    common: dict[str, object] = {"actions": frozenset(actions), "session_effects": frozenset(effects), "detail": kind}
    start = reader.find("as")
    query_at = start + 1 if start >= 0 else -1
    if kind == "foreign table":
        walk.unknown("foreign table")
        return _facts(walk, "create", Action.CREATE, **common)
    if kind == "sequence" or (query_at < 0 and kind == "table"):
        note_expressions(walk, reader.rest())
        return _facts(walk, "create", Action.CREATE, copies_data=reader.has("generated") or reader.has("of"), **common)
    if query_at < 0:
        return unknown("syntax not understood", "create"), True
    return _create_from_query(reader, walk, query_at, kind, common)


def _without_method(tokens: list[Token]) -> list[Token]:
    """What follows ``ON table`` in CREATE INDEX, from the keys on."""
    uses = len(tokens) > 1 and tokens[0].kind is Kind.WORD and tokens[0].value == "using"
    return tokens[2:] if uses else tokens


def _create_from_query(reader: Reader, walk: Walk, query_at: int, kind: str, common: dict[str, object]) -> Found:
    tokens = list(reader.tokens[query_at:])
    if tokens and tokens[0].value == "execute":
        return unknown("prepared statement", "create"), True
    for tail in (("with", "no", "data"), ("with", "data"), ("with", "check", "option")):
        if [token.value for token in tokens[-len(tail) :]] == list(tail):
            tokens = tokens[: -len(tail)]
    for level in ("local", "cascaded"):
        if [token.value for token in tokens[-4:]] == ["with", level, "check", "option"]:
            tokens = tokens[:-4]
    inner, _ = query_facts(tokens, "create", reader.state, reader.catalog)
    facts, _ = _facts(walk, "create", Action.CREATE, **common)
    return (
        replace(
            inner,
            kind="create",
            actions=(inner.actions | facts.actions),
            objects_written=inner.objects_written | facts.objects_written,
            session_effects=inner.session_effects | facts.session_effects,
            outputs=None,
            copies_data=True,
            detail=kind,
        ),
        True,
    )


def _new_object(walk: Walk, name: list[str], kind: str, temporary: bool) -> ObjectRef:
    """Where an object that does not exist yet will be."""
    sort = "view" if kind == "view" else "table"
    if temporary or not name:
        return ObjectRef("pg_temp" if temporary else "", name[-1] if name else "", sort)
    if len(name) > 1:
        return ObjectRef(name[-2], name[-1], sort)
    if walk.path is None or walk.catalog is None:
        walk.opaque["search_path is not known"] = None
        return ObjectRef("", name[-1], sort)
    schema = next((s for s in walk.path if s != "pg_catalog" and walk.catalog.has_schema(s)), "")
    return ObjectRef(schema, name[-1], sort)


def _alter(reader: Reader) -> Found:
    reader.next()
    kind, _ = _object_kind(reader)
    walk = Walk(reader.state, reader.catalog)
    actions = {Action.ALTER}
    copies = False
    if kind in ("table", "view", "index", "sequence", "foreign table"):
        reader.words("if", "exists")
        reader.take("only")
        if not reader.at_words("all", "in"):
            reference, _ = resolve_object(walk, reader.name())
            walk.objects_written.add(reference)
        # Renamed, moved or attached, the same data is found under a name without labels.
        copies = reader.has(*_MOVES)
        # The options of a foreign table say whose data it shows.
        if kind == "foreign table" or reader.has("options"):
            walk.unknown("foreign table")
        if reader.has("generated") or (reader.has("using") and reader.has("type")):
            walk.unknown("computed column")
        note_expressions(walk, reader.rest())
        if reader.has("owner"):
            actions.add(Action.GRANT)
    elif kind in _ROLE_WORDS or kind == "default":
        actions |= {Action.GRANT, Action.REVOKE}
    elif kind == "system":
        actions.add(Action.SET)
        walk.unknown("server configuration")
    elif kind in _CODE_WORDS:
        walk.unknown(f"definition of {kind}")
        copies = True
    elif kind in ("schema", "type", "database"):
        copies = reader.has("rename")
    elif kind == "domain":
        note_expressions(walk, reader.rest())
    return _facts(walk, "alter", Action.ALTER, actions=frozenset(actions), copies_data=copies, detail=kind)


def _drop(reader: Reader) -> Found:
    reader.next()
    kind, _ = _object_kind(reader)
    walk = Walk(reader.state, reader.catalog)
    actions = {Action.DROP}
    reader.take("concurrently")
    reader.words("if", "exists")
    if kind in ("table", "view", "index", "sequence", "foreign table"):
        for name in _names(reader):
            if kind == "index":
                walk.objects_written.add(ObjectRef(name[-2] if len(name) > 1 else "", name[-1], "index"))
            else:
                reference, _ = resolve_object(walk, name)
                walk.objects_written.add(reference)
    elif kind in _ROLE_WORDS:
        actions.add(Action.REVOKE)
    else:
        walk.objects_written |= {ObjectRef(n[-2] if len(n) > 1 else "", n[-1], kind) for n in _names(reader)}
    return _facts(walk, "drop", Action.DROP, actions=frozenset(actions), detail=kind)


def _listed(kind: str, action: Action, *skip: str) -> Callable[[Reader], Found]:
    """A statement that names relations: TRUNCATE, LOCK, VACUUM …"""

    def handler(reader: Reader) -> Found:
        reader.next()
        if reader.at_mark("("):
            reader.skip_group()
        while reader.word() in skip:
            reader.next()
        walk = Walk(reader.state, reader.catalog)
        for name in _names(reader):
            reference, _ = resolve_object(walk, name)
            walk.objects_written.add(reference)
        return _facts(walk, kind, action, session_effects=frozenset())

    return handler


def _simple(kind: str, *actions: Action, reason: str = "") -> Callable[[Reader], Found]:
    def handler(reader: Reader) -> Found:
        facts = StatementFacts(
            kind=kind,
            actions=frozenset(actions),
            opaque=(reason,) if reason else (),
            reads_everything=bool(reason),
            copies_data=bool(reason),
            session_effects=frozenset({SessionEffect.CATALOG}) if reason else frozenset(),
        )
        return facts, True

    return handler


def _privileges(kind: str, action: Action) -> Callable[[Reader], Found]:
    def handler(reader: Reader) -> Found:
        walk = Walk(reader.state, reader.catalog)
        at = reader.find("on")
        if at >= 0:
            reader.at = at + 1
            if reader.take("table") or not reader.at_word(
                *_CODE_WORDS,
                "all",
                "schema",
                "database",
                "sequence",
                "type",
                "domain",
                "tablespace",
                "large",
                "parameter",
            ):
                for name in _names(reader):
                    reference, _ = resolve_object(walk, name)
                    walk.objects_written.add(reference)
        return _facts(walk, kind, action, session_effects=frozenset())

    return handler


HANDLERS: Mapping[str, Callable[[Reader], Found]] = {
    "create": _create,
    "alter": _alter,
    "drop": _drop,
    "truncate": _listed("truncate", Action.TRUNCATE, "table"),
    "lock": _listed("lock", Action.LOCK, "table"),
    "vacuum": _simple("vacuum", Action.MAINTAIN),
    "analyze": _simple("analyze", Action.MAINTAIN),
    "analyse": _simple("analyze", Action.MAINTAIN),
    "reindex": _simple("reindex", Action.MAINTAIN),
    "cluster": _simple("cluster", Action.MAINTAIN),
    "checkpoint": _simple("checkpoint", Action.MAINTAIN),
    "comment": _simple("comment", Action.MAINTAIN),
    "refresh": _simple("refresh", Action.MAINTAIN),
    "grant": _privileges("grant", Action.GRANT),
    "revoke": _privileges("revoke", Action.REVOKE),
    "reassign": _simple("reassign", Action.ALTER, Action.GRANT),
    "security": _simple("security_label", Action.ALTER),
    "import": _simple("import", Action.CREATE, reason="foreign schema"),
}
