"""What the gateway knows of each database: its catalog, the labels of its columns, and the epoch of both.

A catalog is read when the first session opens, again after a schema change went through the gateway, and at an
interval. Until it could be read, nothing resolves, and nobody under a mask gets anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from weakref import WeakValueDictionary

import structlog

from gateway.domain.resource import Resource
from gateway.domain.statement import ColumnRef, ObjectRef
from gateway.errors import (
    GatewayError,
    UpstreamAuthenticationError,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.policy.paths import WHOLE, LabelledPath
from gateway.policy.snapshot import Snapshot
from gateway.protocol.adapter import CatalogView
from gateway.rulings import Epoch

_log = structlog.get_logger("querygate.databases")

Read = Callable[[Resource, str], Awaitable[CatalogView]]
Classify = Callable[[Resource, CatalogView], Awaitable[Mapping[ColumnRef, frozenset[str]]]]

REFRESH_INTERVAL = 60.0
"""Seconds between readings of a catalog that nobody is known to have changed."""
DEBOUNCE = 0.5
"""Seconds to wait after a schema change for those that follow it, where nobody waits for the catalog."""
RETRY_PAUSE = 2.0
"""Seconds after a failed reading in which nobody tries again: whoever asks meanwhile gets the same failure."""


class Database:
    """One database of one resource."""

    def __init__(self, resource: Resource, name: str, snapshot: Callable[[], Snapshot]) -> None:
        self.resource = resource
        self.name = name
        self.catalog: CatalogView | None = None
        self.epoch = Epoch()
        self.changes = 1
        """How many schema changes, or changes of the snapshot, were seen."""
        self.read_changes = 0
        """How many of them the catalog is sure to show: those seen before its reading began."""
        self.read_at = -math.inf
        """When the reading of the catalog began, by the clock of ``Databases``."""
        self.reading = asyncio.Lock()
        self.failure: GatewayError | None = None
        """Why the last reading failed."""
        self.failed_at = 0.0
        self._snapshot = snapshot
        self._labels: Mapping[ColumnRef, frozenset[str]] = MappingProxyType({})
        self._columns: tuple[ColumnRef, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether something changed since the reading of the catalog began."""
        return self.read_changes != self.changes

    def labels_of(self, column: ColumnRef) -> frozenset[str]:
        """The labels of a stored column; a column that the catalog lacks is looked up by its name alone."""
        found = self._labels.get(column)
        return self._snapshot().label_index(self.resource.name).labels_of(column) if found is None else found

    def paths_of(self, schema: str, table: str) -> tuple[LabelledPath, ...]:
        """The labelled paths of a collection: those that the configuration names, whether a document has them or not,
        and those that other classifiers found in the catalog."""
        index = self._snapshot().label_index(self.resource.name)
        found = [
            LabelledPath(tuple(column.column.split(".")), label)
            for column, labels in self._labels.items()
            if (column.schema, column.table) == (schema, table) and column.column != WHOLE
            for label in labels - index.labels_of(column)
        ]
        return (*index.paths(schema, table), *found)

    def has_columns_labelled(self, target: ObjectRef, labels: frozenset[str]) -> bool:
        """Whether an object may have columns with one of these labels. A table that is not found: yes.

        A view counts by its own columns: what is behind them keeps its labels whatever is done to the view.
        """
        if not target.schema or target.kind not in ("table", "view") or self.catalog is None or self.stale:
            return True
        columns = [column for column in self._columns if (column.schema, column.table) == (target.schema, target.name)]
        return (not columns and target.kind == "table") or any(
            not labels.isdisjoint(self.labels_of(column)) for column in columns
        )

    def all_labels(self) -> frozenset[str]:
        """Every label that anything in this database may carry."""
        configured = self._snapshot().label_index(self.resource.name).all_labels
        return configured.union(*self._labels.values())

    def changed(self) -> None:
        """A schema change went through: every ruling is void, and the catalog is to be read again."""
        self.changes += 1
        self.epoch = Epoch()

    def use(self, catalog: CatalogView, labels: Mapping[ColumnRef, frozenset[str]], changes: int) -> None:
        """Take a catalog that was just read; its reading began when ``changes`` had been seen."""
        self.read_changes = changes
        self.failure = None
        labels = _spread(labels, catalog)
        if self.catalog is None or self.catalog.version != catalog.version or labels != self._labels:
            self.catalog = catalog
            self._columns = tuple(catalog.columns())
            self._labels = labels
            self.epoch = Epoch()

    def renew(self) -> None:
        """The snapshot changed: labels and rulings are void."""
        self._labels = MappingProxyType({})
        self.failure = None
        self.changed()


def _spread(labels: Mapping[ColumnRef, frozenset[str]], catalog: CatalogView) -> Mapping[ColumnRef, frozenset[str]]:
    """The labels, with those that a column shares with others that hold the same data."""
    everywhere = dict(labels)
    for column, own in labels.items():
        for other in catalog.related_columns(column):
            everywhere[other] = everywhere.get(other, frozenset()) | own
    return MappingProxyType(everywhere)


class Databases:
    """All databases that sessions have asked for."""

    def __init__(
        self,
        read: Read,
        classify: Classify,
        snapshot: Callable[[], Snapshot],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._classify = classify
        self._snapshot = snapshot
        self._clock = clock
        self._known: dict[tuple[str, str], Database] = {}
        """Those whose catalog could be read. Names come from clients, so a name alone must not stay."""
        self._used: WeakValueDictionary[tuple[str, str], Database] = WeakValueDictionary()
        """All that anybody still uses, read or not."""
        self._wanted = asyncio.Event()

    def get(self, resource: Resource, name: str) -> Database:
        """The database, known or not."""
        key = (resource.name, name)
        database = self._used.get(key)
        if database is None or database.resource != resource:
            database = self._used[key] = Database(resource, name, self._snapshot)
        return database

    async def refresh(self, database: Database, *, max_age: float = math.inf) -> None:
        """Read the catalog if it is stale or was read ``max_age`` seconds ago.

        Several callers share a reading and its failure, which is logged once. Raises ``GatewayError``.
        """
        await self._refresh(database, read_after=self._clock() - max_age)

    async def _refresh(self, database: Database, *, read_after: float = -math.inf) -> None:
        if not database.stale and database.read_at > read_after:
            return
        async with database.reading:
            if not database.stale and database.read_at > read_after:
                return
            if database.failure is not None and self._clock() - database.failed_at < RETRY_PAUSE:
                raise database.failure
            began = self._clock()
            changes = database.changes  # one that comes while we read leaves the database stale
            try:
                catalog = await self._read_twice(database)
                labels = await self._classify(database.resource, catalog)
            except GatewayError as error:
                database.failure, database.failed_at = error, self._clock()
                _report(database, error)
                raise
            database.use(catalog, labels, changes)
            database.read_at = began
            self._known[database.resource.name, database.name] = database

    async def _read_twice(self, database: Database) -> CatalogView:
        """The catalog. A database that answers with an error is asked again: what it listed may be gone meanwhile."""
        try:
            return await self._read(database.resource, database.name)
        except (UpstreamUnavailable, UpstreamTimeout, UpstreamAuthenticationError):
            raise
        except UpstreamError as error:
            _log.info("reading the catalog again", resource=database.resource.name, error=str(error))
            return await self._read(database.resource, database.name)

    async def try_refresh(self, database: Database) -> None:
        """As ``refresh``, for callers who can go on without."""
        with contextlib.suppress(GatewayError):
            await self.refresh(database)

    def want(self, database: Database) -> None:
        """Have a stale catalog read in the background, soon."""
        if database.stale:
            self._wanted.set()

    async def refresh_for_ever(self) -> None:
        """Read all catalogs again at an interval, and stale ones soon after somebody wanted it.

        Statements go on with the old ones meanwhile.
        """
        while True:
            read_after = -math.inf
            try:
                async with asyncio.timeout(REFRESH_INTERVAL):
                    await self._wanted.wait()
                await asyncio.sleep(DEBOUNCE)
            except TimeoutError:
                read_after = self._clock()
            self._wanted.clear()
            for database in list(self._known.values()):
                try:
                    await self._refresh(database, read_after=read_after)
                except GatewayError:
                    pass  # reported where it happened
                except Exception as error:  # noqa: BLE001 - one database's trouble is not the others'
                    _report(database, error)

    def paths_of(self, resource: Resource, schema: str, table: str) -> tuple[LabelledPath, ...]:
        """The labelled paths of a collection in any database of the resource."""
        known = [database for database in self._used.values() if database.resource.name == resource.name]
        return tuple(dict.fromkeys(path for database in known for path in database.paths_of(schema, table)))

    def labels_of(self, resource: Resource, column: ColumnRef) -> frozenset[str]:
        """The labels of a column in any database of the resource."""
        known = [database for database in self._used.values() if database.resource.name == resource.name]
        return frozenset[str]().union(*(database.labels_of(column) for database in known))

    def renew(self) -> None:
        """The snapshot changed."""
        resources = self._snapshot().resources
        for key, database in list(self._known.items()):
            if resources.get(database.resource.name) != database.resource:
                del self._known[key]
        for database in list(self._used.values()):
            database.renew()


def _report(database: Database, error: Exception) -> None:
    _log.warning("cannot read the catalog", resource=database.resource.name, database=database.name, error=str(error))
