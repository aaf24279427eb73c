"""What is known of a MongoDB server's collections: views with their pipelines, sampled paths, validators.

The catalog is read over the wire by whoever holds the connection: ``read_catalog`` yields commands and is sent replies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.domain.statement import ColumnRef
from gateway.errors import UpstreamError
from gateway_mongodb.abstract import WHOLE

SYSTEM_DATABASES: Final = frozenset({"admin", "config", "local"})
SAMPLE: Final = 50
"""Documents looked at for the paths of a collection, from either end of it."""
MAX_PATHS: Final = 2000
"""Paths kept of one collection."""
MAX_COLLECTIONS: Final = 5000
_MAX_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class View:
    """A view: its pipeline over another collection or view of the same database."""

    on: str
    pipeline: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection or view. ``paths`` maps sampled paths to the names of their BSON types."""

    database: str
    name: str
    view: View | None = None
    paths: Mapping[str, str] = field(default_factory=dict)
    options: str = ""
    """Validator and the like as text: a change of them is a change of the catalog."""


class MongoCatalog:
    """Implements ``gateway.protocol.adapter.CatalogView``."""

    def __init__(self, collections: Iterable[Collection], *, sharded: bool = False) -> None:
        self._collections = {(item.database, item.name): item for item in collections}
        self.sharded = sharded
        """Whether it was read from a router: documents then have keys that resume tokens show."""
        text = [
            (item.database, item.name, item.options, repr(item.view), sorted(item.paths))
            for _, item in sorted(self._collections.items())
        ]
        self._version = hashlib.sha256(json.dumps([sharded, text]).encode()).hexdigest()

    @property
    def version(self) -> str:
        """Changes with every change of content."""
        return self._version

    def columns(self) -> Sequence[ColumnRef]:
        """Every sampled path of every stored collection, with the documents that contain it."""
        return [
            ColumnRef(item.database, item.name, path)
            for item in self._collections.values()
            if item.view is None
            for path in (WHOLE, *item.paths)
        ]

    def related_columns(self, column: ColumnRef) -> frozenset[ColumnRef]:
        """What contains a path contains its data."""
        if column.column == WHOLE:
            return frozenset()
        steps = column.column.split(".")
        above = {ColumnRef(column.schema, column.table, ".".join(steps[:n])) for n in range(1, len(steps))}
        return frozenset(above | {ColumnRef(column.schema, column.table, WHOLE)})

    def find(self, database: str, name: str) -> Collection | None:
        """A collection or view; None where there was none when the catalog was read."""
        return self._collections.get((database, name))

    def names(self, database: str) -> Iterable[str]:
        """All collections and views of a database."""
        return [name for schema, name in self._collections if schema == database]

    def has_path(self, ref: ColumnRef) -> bool:
        """Whether a document with the path is known (of the whole document: yes)."""
        if ref.column in (WHOLE, "_id"):
            return True
        item = self._collections.get((ref.schema, ref.table))
        if item is None:
            return False
        if ref.column in item.paths:
            return True
        plain = ".".join(step for step in ref.column.split(".") if not step.isdecimal())
        return plain in item.paths


# --- reading ----------------------------------------------------------------------------------------------------------

Conversation = Generator[tuple[str, dict[str, Any]], Mapping[str, Any], Any]
"""Yields (database, command), is sent the decoded reply (``ok: 0`` where the server refused)."""


def read_catalog() -> Generator[tuple[str, dict[str, Any]], Mapping[str, Any], MongoCatalog]:
    """Read the catalog of all databases but the server's own. Raises ``UpstreamError`` where the server refuses."""
    hello = yield "admin", {"hello": 1}
    listed = yield "admin", {"listDatabases": 1, "nameOnly": True}
    names = [item["name"] for item in must(listed)["databases"] if item["name"] not in SYSTEM_DATABASES]
    found: list[Collection] = []
    for database in names:
        items = yield from batches(database, {"listCollections": 1, "cursor": {"batchSize": 1000}})
        for item in items:
            if len(found) >= MAX_COLLECTIONS:
                raise UpstreamError(f"the server has more than {MAX_COLLECTIONS} collections")
            found.append((yield from _collection(database, item)))
    return MongoCatalog(found, sharded=hello.get("msg") == "isdbgrid")


def _collection(
    database: str, item: Mapping[str, Any]
) -> Generator[tuple[str, dict[str, Any]], Mapping[str, Any], Collection]:
    name, options = item["name"], item.get("options", {})
    shown = repr(sorted((key, value) for key, value in options.items()))
    if item.get("type") == "view":
        return Collection(database, name, View(options["viewOn"], tuple(options.get("pipeline", ()))), options=shown)
    paths: dict[str, str] = {}
    if not name.startswith("system."):
        # The oldest and the newest, not any: a catalog that differs each time would void every ruling.
        for order in (1, -1):
            command = {"find": name, "sort": {"$natural": order}, "limit": SAMPLE, "singleBatch": True}
            reply = yield database, {**command, "maxTimeMS": 5000}
            if reply.get("ok") == 1:
                for document in reply["cursor"]["firstBatch"]:
                    collect_paths(document, paths)
    return Collection(database, name, paths=paths, options=shown)


def collect_paths(document: Mapping[str, Any], paths: dict[str, str]) -> None:
    """Add the paths of a document, with the names of their BSON types."""
    pending: list[tuple[str, Any, int]] = [("", document, 0)]
    while pending and len(paths) < MAX_PATHS:
        prefix, value, depth = pending.pop()
        if isinstance(value, list):
            pending.extend((prefix, item, depth) for item in value[:20])
            continue
        if prefix and (paths.get(prefix) in (None, "null")):
            paths[prefix] = type_name(value)
        if isinstance(value, Mapping) and depth < _MAX_STEPS:
            pending.extend((f"{prefix}.{key}" if prefix else str(key), item, depth + 1) for key, item in value.items())


def type_name(value: Any) -> str:
    """The word that ``$type`` has for a value's type, as far as it matters to people."""
    known = {
        "str": "string",
        "int": "int",
        "Int64": "long",
        "float": "double",
        "bool": "bool",
        "datetime": "date",
        "DatetimeMS": "date",
        "NoneType": "null",
        "bytes": "binData",
        "Binary": "binData",
        "UUID": "binData",
        "ObjectId": "objectId",
        "Decimal128": "decimal",
        "Regex": "regex",
        "Timestamp": "timestamp",
    }
    return "object" if isinstance(value, Mapping) else known.get(type(value).__name__, "other")


def batches(
    database: str, command: dict[str, Any]
) -> Generator[tuple[str, dict[str, Any]], Mapping[str, Any], list[Mapping[str, Any]]]:
    """All documents of a cursor."""
    reply = must((yield database, command))
    cursor = reply["cursor"]
    found = list(cursor["firstBatch"])
    while cursor["id"]:
        name = cursor["ns"].partition(".")[2]
        cursor = must((yield database, {"getMore": cursor["id"], "collection": name}))["cursor"]
        found += cursor["nextBatch"]
    return found


def must(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """The reply. Raises ``UpstreamError`` where it is a refusal; its text, which may quote values, is not repeated."""
    if reply.get("ok") != 1:
        raise UpstreamError(f"the server answered with error {reply.get('codeName') or reply.get('code') or 'unknown'}")
    return reply
