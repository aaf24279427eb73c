"""Samples of collections, path by path, for ``querygate classify``.

Driven like the catalog's reading: commands are yielded, replies sent in.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from bson import Decimal128
from bson.datetime_ms import DatetimeMS

from gateway.protocol.optional import MAX_SAMPLE_CHARACTERS, ColumnSort, SampledColumn, SampledTable, SampleSeen
from gateway_mongodb.catalog import MAX_PATHS, batches, type_name

_SORTS: Final = {
    "string": ColumnSort.TEXT,
    "int": ColumnSort.NUMBER,
    "long": ColumnSort.NUMBER,
    "double": ColumnSort.NUMBER,
    "decimal": ColumnSort.NUMBER,
    "date": ColumnSort.DATE,
}
_MAX_DEPTH: Final = 20
_MAX_ELEMENTS: Final = 20
"""Elements of an array that are looked at."""


def read_samples(
    database: str, *, rows: int, seen: SampleSeen
) -> Generator[tuple[str, dict[str, Any]], Mapping[str, Any], None]:
    """Some documents of every collection of a database, one collection at a time."""
    listed = yield from batches(database, {"listCollections": 1, "cursor": {"batchSize": 1000}})
    names = sorted(
        item["name"] for item in listed if item.get("type") != "view" and not item["name"].startswith("system.")
    )
    for number, name in enumerate(names, 1):
        reply = yield (
            database,
            {
                "aggregate": name,
                "pipeline": [{"$sample": {"size": rows}}],
                "cursor": {"batchSize": rows},
                "maxTimeMS": 20_000,
            },
        )
        if reply.get("ok") == 1:
            found = table(database, name, reply["cursor"]["firstBatch"])
        else:
            problem = f"the server answered with error {reply.get('codeName') or reply.get('code') or 'unknown'}"
            found = SampledTable(database, name, (), problem=problem)
        seen(found, number, len(names))


def table(database: str, name: str, documents: list[Mapping[str, Any]]) -> SampledTable:
    """What was found at each path; arrays are no steps."""
    types: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for document in documents:
        _collect(document, "", 0, types, values)
    columns = tuple(
        SampledColumn(path, kind, _SORTS.get(kind, ColumnSort.OTHER), tuple(values.get(path, ())))
        for path, kind in types.items()
        if kind not in ("object", "null")
    )
    return SampledTable(database, name, columns, rows=len(documents))


def _collect(value: Any, path: str, depth: int, types: dict[str, str], values: dict[str, list[str]]) -> None:
    if depth > _MAX_DEPTH or len(types) >= MAX_PATHS:
        return
    if isinstance(value, list):
        for item in value[:_MAX_ELEMENTS]:
            _collect(item, path, depth + 1, types, values)
        return
    if path and types.get(path) in (None, "null"):
        types[path] = type_name(value)
    if isinstance(value, Mapping):
        for key, item in value.items():
            _collect(item, f"{path}.{key}" if path else str(key), depth + 1, types, values)
    elif types.get(path) in _SORTS and value is not None:
        values.setdefault(path, []).append(_text(value)[:MAX_SAMPLE_CHARACTERS])


def _text(value: Any) -> str:
    if isinstance(value, Decimal128):
        return str(value.to_decimal())
    if isinstance(value, DatetimeMS):
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
