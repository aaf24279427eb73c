"""What the gateway knows of each database: its catalog, the labels of its columns, and the epoch of both.

A catalog is read when the first session opens, again after a schema change went through the gateway, and at an
interval. Until it could be read, nothing resolves, and nobody under a mask gets anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import structlog

from gateway.domain.resource import Resource
from gateway.domain.statement import ColumnRef
from gateway.errors import GatewayError
from gateway.policy.snapshot import Snapshot
from gateway.protocol.adapter import CatalogView
from gateway.rulings import Epoch

_log = structlog.get_logger("querygate.databases")

Read = Callable[[Resource, str], Awaitable[CatalogView]]
Classify = Callable[[Resource, CatalogView], Awaitable[Mapping[ColumnRef, frozenset[str]]]]

REFRESH_INTERVAL = 60.0
"""Seconds between readings of a catalog that nobody is known to have changed."""
_DEBOUNCE = 0.5


class Database:
    """One database of one resource."""

    def __init__(self, resource: Resource, name: str, snapshot: Callable[[], Snapshot]) -> None:
        self.resource = resource
        self.name = name
        self.catalog: CatalogView | None = None
        self.epoch = Epoch()
        self.stale = True
        """A schema change was seen since the catalog was read."""
        self.reading = asyncio.Lock()
        self._snapshot = snapshot
        self._labels: Mapping[ColumnRef, frozenset[str]] = MappingProxyType({})

    def labels_of(self, column: ColumnRef) -> frozenset[str]:
        """The labels of a stored column; a column that the catalog lacks is looked up by its name alone."""
        found = self._labels.get(column)
        return self._snapshot().label_index(self.resource.name).labels_of(column) if found is None else found

    def all_labels(self) -> frozenset[str]:
        """Every label that anything in this database may carry."""
        configured = self._snapshot().label_index(self.resource.name).all_labels
        return configured.union(*self._labels.values())

    def changed(self) -> None:
        """A schema change went through: every ruling is void, and the catalog is to be read again."""
        self.stale = True
        self.epoch = Epoch()

    def use(self, catalog: CatalogView, labels: Mapping[ColumnRef, frozenset[str]]) -> None:
        """Take a catalog that was just read."""
        self.stale = False
        if self.catalog is None or self.catalog.version != catalog.version or labels != self._labels:
            self.catalog = catalog
            self._labels = labels
            self.epoch = Epoch()

    def renew(self) -> None:
        """The snapshot changed: labels and rulings are void."""
        self._labels = MappingProxyType({})
        self.changed()


class Databases:
    """All databases that sessions have asked for."""

    def __init__(self, read: Read, classify: Classify, snapshot: Callable[[], Snapshot]) -> None:
        self._read = read
        self._classify = classify
        self._snapshot = snapshot
        self._known: dict[tuple[str, str], Database] = {}
        self._refreshes: set[asyncio.Task[None]] = set()

    def get(self, resource: Resource, name: str) -> Database:
        """The database, known or not."""
        key = (resource.name, name)
        database = self._known.get(key)
        if database is None or database.resource != resource:
            database = self._known[key] = Database(resource, name, self._snapshot)
        return database

    async def refresh(self, database: Database) -> None:
        """Read the catalog if it is stale; several callers share one reading. Raises ``GatewayError``."""
        async with database.reading:
            if not database.stale:
                return
            database.stale = False  # a change that comes while we read makes it stale again
            try:
                catalog = await self._read(database.resource, database.name)
                labels = await self._classify(database.resource, catalog)
            except BaseException:
                database.stale = True
                raise
            changed_meanwhile = database.stale
            database.use(catalog, labels)
            database.stale = changed_meanwhile

    async def try_refresh(self, database: Database) -> None:
        """As ``refresh``, for callers who can go on without; what fails is logged."""
        try:
            await self.refresh(database)
        except GatewayError as error:
            _log.warning(
                "cannot read the catalog", resource=database.resource.name, database=database.name, error=str(error)
            )

    async def refresh_for_ever(self) -> None:
        """Read all catalogs again at an interval."""
        while True:
            await asyncio.sleep(REFRESH_INTERVAL)
            for database in list(self._known.values()):
                database.stale = True
                await self.try_refresh(database)

    def labels_of(self, resource: Resource, column: ColumnRef) -> frozenset[str]:
        """The labels of a column in any database of the resource."""
        known = [database for database in self._known.values() if database.resource.name == resource.name]
        return frozenset[str]().union(*(database.labels_of(column) for database in known))

    def renew(self) -> None:
        """The snapshot changed."""
        for database in self._known.values():
            database.renew()
