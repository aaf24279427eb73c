"""Statement facts as the audit keeps them, and back.

The form holds everything that a policy can look at, so that another set of policies can later be asked what it would
have said. Only the lineage of result columns (``StatementFacts.outputs``) is left out: it decides masks of results,
which are gone, and would double the size of an event.

Objects are written as dotted text. A part that is empty or holds a dot, a colon or a quote stands in double quotes,
with quotes doubled, so that the text always has one reading: ``public.customers``, ``""."odd.name"``. An object that is
not a table has its kind before it: ``view:public.active_customers``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from gateway.domain.statement import (
    Action,
    Analysis,
    ColumnRef,
    ObjectRef,
    Predicate,
    SessionEffect,
    StatementFacts,
)

_NEEDS_QUOTES = re.compile(r'[.:"]|^$')
_PART = re.compile(r'"((?:[^"]|"")*)"|([^.:"]+)')


class FactsForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """One statement's facts in JSON. Lists are sorted; what is empty or false is left out."""

    kind: str
    actions: list[str]
    reads: list[str] = []
    writes: list[str] = []
    functions: list[str] = []
    columns_read: dict[str, list[str]] = {}
    """Column names (as they are) by the name of their object."""
    columns_written: dict[str, list[str]] = {}
    columns_filtered: dict[str, list[str]] = {}
    predicate: str = Predicate.NOT_APPLICABLE.value
    reads_everything: bool = False
    copies_data: bool = False
    opaque: list[str] = []
    session_effects: list[str] = []
    detail: str = ""


def facts_form(facts: StatementFacts) -> FactsForm:
    """The form of one statement's facts."""
    return FactsForm(
        kind=facts.kind,
        actions=sorted(action.value for action in facts.actions),
        reads=sorted(_object_text(item) for item in facts.objects_read),
        writes=sorted(_object_text(item) for item in facts.objects_written),
        functions=sorted(_object_text(item) for item in facts.functions),
        columns_read=_by_object(facts.columns_read),
        columns_written=_by_object(facts.columns_written),
        columns_filtered=_by_object(facts.columns_filtered),
        predicate=facts.predicate.value,
        reads_everything=facts.reads_everything,
        copies_data=facts.copies_data,
        opaque=list(facts.opaque),
        session_effects=sorted(effect.value for effect in facts.session_effects),
        detail=facts.detail,
    )


def facts_from_form(form: FactsForm) -> StatementFacts:
    """The facts behind a form, with ``outputs`` unknown. Raises ``ValueError`` on a word that is not known."""
    return StatementFacts(
        kind=form.kind,
        actions=frozenset(Action(action) for action in form.actions),
        objects_read=frozenset(_parse_object(item) for item in form.reads),
        objects_written=frozenset(_parse_object(item) for item in form.writes),
        functions=frozenset(_parse_object(item) for item in form.functions),
        columns_read=_columns(form.columns_read),
        columns_written=_columns(form.columns_written),
        columns_filtered=_columns(form.columns_filtered),
        predicate=Predicate(form.predicate),
        reads_everything=form.reads_everything,
        copies_data=form.copies_data,
        opaque=tuple(form.opaque),
        session_effects=frozenset(SessionEffect(effect) for effect in form.session_effects),
        detail=form.detail,
    )


class _RecordedQuery(msgspec.Struct):
    uid: str = ""


class _RecordedUnmapped(msgspec.Struct):
    statements: list[FactsForm] = []


class _RecordedStatement(msgspec.Struct):
    query_info: _RecordedQuery
    unmapped: _RecordedUnmapped


def analysis_from_line(line: bytes) -> Analysis:
    """The analysis that a recorded statement was decided on, from its whole event.

    Raises ``ValueError`` where the line is no statement event.
    """
    try:
        recorded = msgspec.json.decode(line, type=_RecordedStatement)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a recorded statement: {error}") from None
    statements = tuple(facts_from_form(form) for form in recorded.unmapped.statements)
    return Analysis(statements=statements, fingerprint=recorded.query_info.uid)


def _quote(part: str) -> str:
    if _NEEDS_QUOTES.search(part) is None:
        return part
    return '"' + part.replace('"', '""') + '"'


def _object_text(item: ObjectRef) -> str:
    name = f"{_quote(item.schema)}.{_quote(item.name)}"
    return name if item.kind == "table" else f"{_quote(item.kind)}:{name}"


def _by_object(columns: Iterable[ColumnRef]) -> dict[str, list[str]]:
    form: dict[str, list[str]] = {}
    names: list[str] = []
    before: tuple[str, str] | None = None
    for schema, table, column in sorted([(column.schema, column.table, column.column) for column in columns]):
        if (schema, table) != before:
            before = (schema, table)
            names = form[f"{_quote(schema)}.{_quote(table)}"] = []
        names.append(column)
    return form


def _columns(form: Mapping[str, list[str]]) -> frozenset[ColumnRef]:
    columns: set[ColumnRef] = set()
    for text, names in form.items():
        item = _parse_object(text)
        columns.update(ColumnRef(item.schema, item.name, name) for name in names)
    return frozenset(columns)


def _split(text: str) -> tuple[list[str], str]:
    """The parts of a dotted name and the separators between them."""
    parts: list[str] = []
    separators = ""
    position = 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(f"not a recorded name: {text!r}")
        quoted, plain = match.groups()
        parts.append(plain if quoted is None else quoted.replace('""', '"'))
        position = match.end()
        if position == len(text):
            return parts, separators
        separators += text[position]
        position += 1


def _parse_object(text: str) -> ObjectRef:
    match _split(text):
        case [schema, name], ".":
            return ObjectRef(schema, name)
        case [kind, schema, name], ":.":
            return ObjectRef(schema, name, kind)
        case _:
            raise ValueError(f"not a recorded object: {text!r}")
