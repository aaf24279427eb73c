"""What is known of databases: readings that are shared, changes that come meanwhile, failures, and forgetting."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest

from gateway.databases import RETRY_PAUSE, Database, Databases
from gateway.domain.resource import Resource
from gateway.domain.statement import ColumnRef, ObjectRef
from gateway.errors import UpstreamError, UpstreamUnavailable
from gateway.policy.compile import compile_policies
from gateway.policy.labels import Classification
from gateway.policy.snapshot import Snapshot
from gateway.protocol.adapter import CatalogView

SHOP = Resource("shop", "postgres", "127.0.0.1", 5432)
EMAIL = ColumnRef("public", "people", "email")


@dataclass(frozen=True)
class FakeCatalog:
    version: str

    def columns(self) -> tuple[ColumnRef, ...]:
        return (EMAIL,)

    def related_columns(self, column: ColumnRef) -> frozenset[ColumnRef]:
        return frozenset()


def version_of(database: Database) -> str:
    return "" if database.catalog is None else database.catalog.version


@dataclass
class World:
    """A database server whose catalog a test controls. ``gate`` holds readings up while it is not set."""

    version: str = "1"
    down: bool = False
    stumbles: int = 0
    """Readings that the server will answer with an error."""
    readings: int = 0
    now: float = 100.0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    resources: list[Resource] = field(default_factory=lambda: [SHOP])
    label: str = "pii.email"

    def __post_init__(self) -> None:
        self.gate.set()
        self.change()
        self.databases = Databases(self._read, self._classify, lambda: self.snapshot, clock=lambda: self.now)

    def change(self) -> None:
        labels = [Classification("shop", self.label, "public", "people", "email")] if self.label else []
        self.snapshot = Snapshot.build(
            resources=self.resources, principals=[], classifications=labels, policies=compile_policies([])
        )

    async def _read(self, resource: Resource, name: str) -> CatalogView:
        self.readings += 1
        version = self.version  # what a reading shows is what was there when it began
        await self.gate.wait()
        if self.down:
            raise UpstreamUnavailable("down")
        if self.stumbles:
            self.stumbles -= 1
            raise UpstreamError("the server answered with an error")
        return FakeCatalog(version)

    async def _classify(self, resource: Resource, catalog: object) -> Mapping[ColumnRef, frozenset[str]]:
        return MappingProxyType({EMAIL: self.snapshot.label_index(resource.name).labels_of(EMAIL)})


def test_many_who_ask_share_one_reading() -> None:
    async def story() -> None:
        world = World()
        database = world.databases.get(SHOP, "shop")
        await asyncio.gather(*(world.databases.refresh(database) for _ in range(20)))
        assert world.readings == 1
        assert version_of(database) == "1"
        assert world.databases.get(SHOP, "shop") is database

    asyncio.run(story())


def test_a_change_during_a_reading_is_read_too() -> None:
    """Somebody creates a view while the catalog is read: nobody may go on with what was read before."""

    async def story() -> None:
        world = World()
        database = world.databases.get(SHOP, "shop")
        world.gate.clear()
        first = asyncio.create_task(world.databases.refresh(database))
        await asyncio.sleep(0)
        world.version = "2"
        database.changed()
        second = asyncio.create_task(world.databases.refresh(database))
        await asyncio.sleep(0)
        world.gate.set()
        await asyncio.gather(first, second)
        assert version_of(database) == "2"
        assert not database.stale

    asyncio.run(story())


def test_while_a_reading_runs_the_old_catalog_is_not_fresh() -> None:
    """A second session must wait for the reading that a first one began, not decide by the old catalog."""

    async def story() -> None:
        world = World()
        database = world.databases.get(SHOP, "shop")
        await world.databases.refresh(database)
        world.version = "2"
        database.changed()
        world.gate.clear()
        first = asyncio.create_task(world.databases.refresh(database))
        await asyncio.sleep(0)
        assert database.stale
        world.gate.set()
        await first
        assert not database.stale

    asyncio.run(story())


def test_every_change_ends_the_epoch() -> None:
    async def story() -> None:
        world = World()
        database = world.databases.get(SHOP, "shop")
        epochs = {id(epoch): epoch for epoch in (database.epoch,)}
        await world.databases.refresh(database)
        epochs[id(database.epoch)] = database.epoch
        database.changed()
        epochs[id(database.epoch)] = database.epoch
        after_change = database.epoch
        await world.databases.refresh(database)
        assert database.epoch is after_change, "what was read is what was known"
        assert len(epochs) == 3

    asyncio.run(story())


def test_a_failure_is_shared_and_not_repeated_at_once() -> None:
    async def story() -> None:
        world = World(down=True)
        database = world.databases.get(SHOP, "shop")
        answers = await asyncio.gather(*(world.databases.refresh(database) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(answer, UpstreamUnavailable) for answer in answers)
        assert world.readings == 1
        world.down = False
        with pytest.raises(UpstreamUnavailable):
            await world.databases.refresh(database)
        world.now += RETRY_PAUSE
        await world.databases.refresh(database)
        assert version_of(database) == "1"

    asyncio.run(story())


def test_a_new_snapshot_brings_new_labels_and_another_try() -> None:
    async def story() -> None:
        world = World()
        database = world.databases.get(SHOP, "shop")
        await world.databases.refresh(database)
        assert database.labels_of(EMAIL) == {"pii.email"}
        epoch = database.epoch
        world.label = "secret.email"
        world.change()
        world.databases.renew()
        assert database.epoch is not epoch
        assert database.labels_of(EMAIL) == {"secret.email"}, "even before anything is read again"
        world.down = True
        with pytest.raises(UpstreamUnavailable):
            await world.databases.refresh(database)
        world.down = False
        world.databases.renew()
        await world.databases.refresh(database)
        assert world.databases.labels_of(SHOP, EMAIL) == {"secret.email"}

    asyncio.run(story())


def test_names_that_lead_nowhere_are_forgotten_with_their_sessions() -> None:
    async def story() -> None:
        world = World(down=True)
        for number in range(50):
            await world.databases.try_refresh(world.databases.get(SHOP, f"made-up-{number}"))
        gc.collect()
        assert len(world.databases._used) == 0
        assert not world.databases._known

    asyncio.run(story())


def test_one_that_could_not_be_read_follows_the_snapshot_while_somebody_uses_it() -> None:
    async def story() -> None:
        world = World(down=True)
        used = world.databases.get(SHOP, "shop")
        await world.databases.try_refresh(used)
        epoch = used.epoch
        world.databases.renew()
        assert used.epoch is not epoch, "or rulings of the old snapshot would go on"
        assert world.databases.get(SHOP, "shop") is used

    asyncio.run(story())


def test_a_removed_resource_is_not_asked_again() -> None:
    async def story() -> None:
        world = World()
        await world.databases.refresh(world.databases.get(SHOP, "shop"))
        world.resources = []
        world.label = ""
        world.change()
        world.databases.renew()
        assert not world.databases._known

    asyncio.run(story())


class Partitioned(FakeCatalog):
    """A catalog with a table and its partition."""

    def columns(self) -> tuple[ColumnRef, ...]:
        return (EMAIL, PARTITION, OTHER)

    def related_columns(self, column: ColumnRef) -> frozenset[ColumnRef]:
        return {EMAIL: frozenset({PARTITION}), PARTITION: frozenset({EMAIL})}.get(column, frozenset())


PARTITION = ColumnRef("public", "people_2024", "email")
OTHER = ColumnRef("public", "orders", "note")


def partitioned() -> Database:
    world = World()
    database = world.databases.get(SHOP, "shop")
    database.use(Partitioned("1"), {EMAIL: frozenset({"pii.email"})}, database.changes)
    return database


def test_a_label_on_a_table_is_on_its_partitions() -> None:
    database = partitioned()
    assert database.labels_of(PARTITION) == {"pii.email"}
    assert database.labels_of(OTHER) == frozenset()


def test_which_objects_may_have_labelled_columns() -> None:
    database = partitioned()
    masked = frozenset({"pii.email"})
    assert database.has_columns_labelled(ObjectRef("public", "people_2024"), masked)
    assert not database.has_columns_labelled(ObjectRef("public", "orders"), masked)
    assert not database.has_columns_labelled(ObjectRef("public", "people"), frozenset({"other"}))
    assert not database.has_columns_labelled(ObjectRef("public", "new_view", "view"), masked)
    for unknown in (ObjectRef("", "orders"), ObjectRef("public", "nowhere"), ObjectRef("public", "f", "function")):
        assert database.has_columns_labelled(unknown, masked)
    database.changed()
    assert database.has_columns_labelled(ObjectRef("public", "orders"), masked)


def test_a_server_that_stumbles_over_a_change_is_asked_again() -> None:
    async def story() -> None:
        world = World(stumbles=1)
        database = world.databases.get(SHOP, "shop")
        await world.databases.refresh(database)
        assert (version_of(database), world.readings) == ("1", 2)
        database.changed()
        world.stumbles = 2
        with pytest.raises(UpstreamError):
            await world.databases.refresh(database)
        assert world.readings == 4, "but not for ever"

    asyncio.run(story())
