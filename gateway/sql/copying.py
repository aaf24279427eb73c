"""COPY, in all its forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.domain.statement import Action, ColumnRef, OutputColumn, StatementFacts
from gateway.sql.copyspelling import spelling
from gateway.sql.facts import query_facts, unknown
from gateway.sql.lexer import Kind
from gateway.sql.reader import Reader, resolve_object
from gateway.sql.rebuilt import quote
from gateway.sql.scope import Source
from gateway.sql.walk import Walk

_TABLE: Final = "r"
"""relkind of an ordinary table."""


def copy(reader: Reader) -> tuple[StatementFacts, bool]:
    """Facts of a COPY. ``detail`` is where the data goes or comes from: stdin, stdout, file or program."""
    reader.next()
    binary = reader.take("binary")
    facts, matter = _copy_query(reader) if reader.at_mark("(") else _copy_table(reader)
    return replace(facts, copied=None) if binary else facts, matter


def _place(reader: Reader) -> str:
    if reader.at_word("stdin", "stdout"):
        return reader.next().value
    if reader.at_word("program"):
        return "program"
    return "file" if reader.peek().kind is Kind.STRING else ""


def _copy_query(reader: Reader) -> tuple[StatementFacts, bool]:
    query = reader.group()
    end = reader.peek(-1).start
    if not query or not reader.take("to"):
        return unknown("syntax not understood", "copy"), True
    place = _place(reader)
    first = query[0].value if query[0].kind in (Kind.WORD, Kind.PUNCTUATION) else ""
    if first not in ("select", "with", "values", "table", "insert", "update", "delete", "merge", "("):
        return unknown("syntax not understood", "copy"), True
    inner, _ = query_facts(query, first, reader.state, reader.catalog)
    facts = _placed(replace(inner, kind="copy", actions=inner.actions | {Action.COPY_OUT}), place)
    one = not any(token.kind is Kind.PUNCTUATION and token.value == ";" for token in query)
    if place == "stdout" and one and inner.actions == {Action.READ} and inner.outputs is not None:
        facts = replace(facts, copied=spelling(reader, "", query[0].start, end))
    return facts, True


def _copy_table(reader: Reader) -> tuple[StatementFacts, bool]:
    name = reader.name()
    listed = [token.value for token in reader.group() if token.kind in (Kind.WORD, Kind.QUOTED)]
    direction = reader.next()
    if not name or direction.kind is not Kind.WORD or direction.value not in ("from", "to"):
        return unknown("syntax not understood", "copy"), True
    place = _place(reader)
    walk = Walk(reader.state, reader.catalog)
    reference, relation = resolve_object(walk, name)
    if relation is None:
        walk.unknown("relation not in the catalog")
    source = walk.source(relation, name[-1])
    if direction.value == "from":
        if relation is not None and relation.rewritten:
            walk.unknown("rewrite rule")
        columns = listed or [column.name for column in source.columns]
        facts = StatementFacts(
            kind="copy",
            actions=frozenset({Action.COPY_IN}),
            objects_written=frozenset({reference}),
            columns_written=frozenset(relation.reference(c) for c in columns) if relation else frozenset(),
            reads_everything=walk.reads_everything,
            opaque=tuple(walk.opaque),
        )
        return _placed(facts, place), True
    generated = {column.name for column in relation.columns if column.generated is not None} if relation else set()
    columns = listed or [column.name for column in source.columns if column.name not in generated]
    outputs = [_output(walk, source, column) for column in columns]
    facts = StatementFacts(
        kind="copy",
        actions=frozenset({Action.COPY_OUT, Action.READ}),
        objects_read=frozenset({reference}),
        columns_read=frozenset[ColumnRef]().union(*(output.sources for output in outputs)),
        outputs=tuple(outputs) if relation is not None else None,
        reads_everything=walk.reads_everything,
        opaque=tuple(walk.opaque),
    )
    facts = _placed(facts, place)
    if place == "stdout" and relation is not None and relation.kind == _TABLE and columns and not walk.opaque:
        # COPY sends the table's own rows, not those of its children.
        table = f"{quote(relation.schema)}.{quote(relation.name)}"
        query = " ".join(("SELECT", ", ".join(map(quote, columns)), "FROM ONLY", table))
        facts = replace(facts, copied=spelling(reader, query, 0, 0))
    return facts, True


def _output(walk: Walk, source: Source, name: str) -> OutputColumn:
    values = source.by_name.get(name)
    if values is None:
        walk.unknown("column not found")
        return OutputColumn(name)
    return OutputColumn(name, values[0].sources, values[0].proven, values[0].bare and values[0].proven)


def _placed(facts: StatementFacts, place: str) -> StatementFacts:
    if place in ("stdin", "stdout"):
        return replace(facts, detail=place)
    # What a program or a file of the server's gets, or gives, nobody sees here.
    actions = facts.actions | {Action.CALL} if place == "program" else facts.actions
    reason = f"server {place}" if place else "syntax not understood"
    return replace(
        facts,
        actions=actions,
        copies_data=facts.copies_data or Action.COPY_OUT in actions,
        opaque=(*facts.opaque, reason),
        detail=place,
    )
