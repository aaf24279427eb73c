"""Queries at random over the vault: nested, renamed, joined, united, aggregated, and mostly valid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

TEXT, NUMBER, DATE, JSON = "text", "number", "date", "json"


@dataclass(frozen=True, slots=True)
class Source:
    """Something to select from, and its columns with their types."""

    sql: str
    columns: tuple[tuple[str, str], ...]


TABLES: Sequence[Source] = (
    Source(
        "customers",
        (
            *(("id", NUMBER), ("name", TEXT), ("city", TEXT), ("email", TEXT), ("phone", TEXT), ("card", TEXT)),
            *(("income", NUMBER), ("balance", NUMBER), ("credit", NUMBER), ("born", DATE), ("joined", DATE)),
            ("secret_doc", JSON),
        ),
    ),
    Source("staff", (("id", NUMBER), ("name", TEXT), ("salary", NUMBER), ("home_email", TEXT), ("hired", DATE))),
    Source("products", (("id", NUMBER), ("name", TEXT), ("category", TEXT), ("price", NUMBER), ("attributes", JSON))),
    Source("contacts", (("contact_id", NUMBER), ("name", TEXT), ("address", TEXT), ("phone", TEXT))),
    Source("contact_names", (("contact_id", NUMBER), ("name", TEXT))),
    Source("contact_cache", (("id", NUMBER), ("cached", TEXT), ("cached_tax", TEXT))),
    Source("documents", (("id", NUMBER), ("title", TEXT), ("body", TEXT))),
    Source("visits_2024", (("id", NUMBER), ("page", TEXT), ("visitor", TEXT), ("at", DATE))),
    Source("tickets", (("id", NUMBER), ("topic", TEXT), ("ticket_key", TEXT), ("loud", TEXT))),
    Source("lab.customers", (("id", NUMBER), ("name", TEXT), ("email", TEXT), ("phone", TEXT))),
)
_NAMES = ("id", "name", "email", "x", "y", "note", "phone", "customers")

_CALLS: dict[str, Sequence[tuple[str, str]]] = {
    TEXT: (
        *(("upper({})", TEXT), ("reverse({})", TEXT), ("left({}, 9)", TEXT), ("substr({}, 3, 12)", TEXT)),
        *(("concat({}, '-')", TEXT), ("length({})", NUMBER), ("initcap({})", TEXT), ("replace({}, '.', '')", TEXT)),
        *(
            ("{} || 'z'", TEXT),
            ("coalesce({}, 'none')", TEXT),
            ("to_jsonb({})", JSON),
            ("encode({}::bytea, 'hex')", TEXT),
        ),
        *(
            ("(ARRAY[{}])[1]", TEXT),
            ("({}::text)", TEXT),
            ("max({}) OVER ()", TEXT),
            ("lag({}) OVER (ORDER BY 1)", TEXT),
        ),
        *(("CASE WHEN true THEN {} END", TEXT), ("(SELECT {})", TEXT), ("nullif({}, '')", TEXT)),
    ),
    NUMBER: (
        *(("{} + 1", NUMBER), ("{}::text", TEXT), ("round({} * 1.0)", NUMBER), ("-{}", NUMBER), ("{} / 2", NUMBER)),
        *(("coalesce({}, 0)", NUMBER), ("sum({}) OVER ()", NUMBER), ("to_char({}, '999999999999')", TEXT)),
        *(("greatest({}, 0)", NUMBER), ("jsonb_build_object('v', {})", JSON), ("(SELECT {})", NUMBER)),
    ),
    DATE: (("{} + 1", DATE), ("{}::text", TEXT), ("to_char({}, 'YYYYMMDD')", TEXT), ("(SELECT {})", DATE)),
    JSON: (("{} ->> 'code'", TEXT), ("{}::text", TEXT), ("jsonb_pretty({})", TEXT), ("{} -> 'list'", JSON)),
}
_AGGREGATES: dict[str, Sequence[tuple[str, str]]] = {
    TEXT: (("max({})", TEXT), ("string_agg({}, ',')", TEXT), ("count({})", NUMBER), ("min({})", TEXT)),
    NUMBER: (("sum({})", NUMBER), ("max({})", NUMBER), ("avg({})", NUMBER)),
    DATE: (("max({})", DATE), ("min({})", DATE)),
    JSON: (("jsonb_agg({})::text", TEXT), ("count({})", NUMBER)),
}
_ROWS: Sequence[tuple[str, str]] = (
    *(("to_jsonb({})::text", TEXT), ("row_to_json({})::text", TEXT), ("{}::text", TEXT), ("to_jsonb({})", JSON)),
    *(("concat({})", TEXT), ("to_jsonb({}) ->> 'email'", TEXT), ("format('%s', {})", TEXT)),
)


@st.composite
def _expression(draw: st.DrawFn, alias: str, columns: Sequence[tuple[str, str]]) -> tuple[str, str]:
    if draw(st.integers(0, 9)) == 0:
        template, kind = draw(st.sampled_from(_ROWS))
        return template.format(alias), kind
    name, kind = draw(st.sampled_from(columns))
    sql = f"{alias}.{name}"
    for _ in range(draw(st.integers(0, 2))):
        template, kind = draw(st.sampled_from(_CALLS[kind]))
        sql = template.format(f"({sql})" if " " in sql else sql)
    return sql, kind


@st.composite
def selects(draw: st.DrawFn, depth: int = 3) -> Source:
    """A SELECT with one to four columns; their names are chosen to mislead."""
    source = draw(_sources(depth))
    alias = draw(st.sampled_from(("a", "b", "customers", "name")))
    ordinary = draw(st.booleans())
    items: list[tuple[str, str]] = []
    aggregated = ordinary and draw(st.integers(0, 3)) == 0
    for _ in range(draw(st.integers(1, 4))):
        if aggregated:
            name, kind = draw(st.sampled_from(source.columns))
            template, kind = draw(st.sampled_from(_AGGREGATES[kind]))
            items.append((template.format(f"{alias}.{name}"), kind))
        else:
            items.append(draw(_expression(alias, source.columns)))
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=len(items), max_size=len(items), unique=True))
    listed = ", ".join(f"{sql} AS {name}" for (sql, _), name in zip(items, names, strict=True))
    columns = tuple((name, kind) for name, (_, kind) in zip(names, items, strict=True))
    return Source(f"SELECT {listed} FROM {source.sql} AS {alias}", columns)


@st.composite
def _sources(draw: st.DrawFn, depth: int) -> Source:
    kind = draw(st.integers(0, 6)) if depth > 0 else 0
    if kind <= 1:
        return draw(st.sampled_from(TABLES))
    inner = draw(selects(depth - 1))
    if kind == 2:
        return Source(f"({inner.sql})", inner.columns)
    if kind == 3:
        other = draw(selects(depth - 1))
        if [t for _, t in other.columns] == [t for _, t in inner.columns]:
            return Source(f"({inner.sql} UNION ALL {other.sql})", inner.columns)
        return Source(f"({inner.sql} LIMIT 5)", inner.columns)
    if kind == 4:
        return Source(f"(WITH customers AS ({inner.sql}) SELECT * FROM customers)", inner.columns)
    if kind == 5:
        text = ", ".join(f"q.{name}" for name, _ in reversed(inner.columns))
        return Source(f"(SELECT {text} FROM ({inner.sql}) AS q)", tuple(reversed(inner.columns)))
    extra = draw(st.sampled_from(TABLES))
    name, typed = draw(st.sampled_from(extra.columns))
    joined = f"(SELECT q.*, l.w FROM ({inner.sql}) AS q, LATERAL (SELECT {name} AS w FROM {extra.sql}) AS l)"
    return Source(joined, (*inner.columns, ("w", typed)))


@st.composite
def statements(draw: st.DrawFn) -> str:
    """A whole statement."""
    chosen = draw(selects())
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return f"WITH q AS ({chosen.sql}) SELECT to_jsonb(q) FROM q"
    if kind == 1:
        return f"SELECT * FROM ({chosen.sql}) AS q ORDER BY 1"
    if kind == 2:
        names = ", ".join(f"c{i}" for i in range(len(chosen.columns)))
        return f"SELECT c0, q FROM ({chosen.sql}) AS q({names})"
    return chosen.sql
