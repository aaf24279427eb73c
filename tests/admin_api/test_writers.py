"""Many who change the store at once: one after the other, in nobody's way, and in force when they are told so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as StoreTimeout
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.db import Database, store_url
from admin_api.revision import current_revision
from admin_api.snapshots import service
from tests.fixtures.admin import StartApi, with_owner
from tests.fixtures.waiting import eventually_in_loop

MANY = 40
T = TypeVar("T")


def with_database(folder: Path, story: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        database = Database(store_url(None, folder))
        try:
            async with database.transaction(write=True) as session:
                await execute(session, "CREATE TABLE turns (name TEXT)")
            return await story(database)
        finally:
            await database.close()

    return asyncio.run(run())


async def execute(session: AsyncSession, statement: str) -> Any:
    return await (await session.connection()).execute(text(statement))


async def write(database: Database, name: str, *, urgent: bool = False) -> None:
    async with database.transaction(write=True, urgent=urgent) as session:
        await execute(session, f"INSERT INTO turns VALUES ('{name}')")


async def turns(database: Database) -> list[str]:
    async with database.transaction() as session:
        return list((await execute(session, "SELECT name FROM turns ORDER BY rowid")).scalars())


def test_writers_that_wait_keep_no_reader_from_reading(tmp_path: Path) -> None:
    async def story(database: Database) -> list[str]:
        async with database.transaction(write=True) as session:
            await execute(session, "INSERT INTO turns VALUES ('first')")
            waiting = [asyncio.ensure_future(write(database, f"w{number}")) for number in range(MANY)]
            for _ in range(20):
                async with asyncio.timeout(10):
                    assert await turns(database) == [], "what is not committed is not seen"
        await asyncio.gather(*waiting)
        return await turns(database)

    assert with_database(tmp_path, story) == ["first", *(f"w{number}" for number in range(MANY))]


def test_what_is_urgent_does_not_stand_in_the_queue(tmp_path: Path) -> None:
    async def story(database: Database) -> list[str]:
        async with database.transaction(write=True):
            waiting = [asyncio.ensure_future(write(database, f"w{number}")) for number in range(5)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waiting.append(asyncio.ensure_future(write(database, "urgent", urgent=True)))
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        return await turns(database)

    assert with_database(tmp_path, story).index("urgent") <= 1


def test_nobody_waits_for_ever_and_who_gives_up_is_in_nobody_s_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("admin_api.db._PATIENCE", 0.05)

    async def story(database: Database) -> list[str]:
        async with database.transaction(write=True) as session:
            for urgent in (False, True):
                with pytest.raises(StoreTimeout):
                    await write(database, "late", urgent=urgent)
            gone = asyncio.ensure_future(write(database, "gone"))
            await asyncio.sleep(0)
            gone.cancel()
            await execute(session, "INSERT INTO turns VALUES ('first')")
        await write(database, "next")
        return await turns(database)

    assert with_database(tmp_path, story) == ["first", "next"]


def test_changes_at_once_are_in_force_when_they_are_answered_and_share_a_snapshot(
    start_api: StartApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RETRY", 3600)
    api = with_owner(start_api())
    plane, first, looks = api.context.plane, asyncio.Event(), 0
    publisher = cast(service.SnapshotPublisher, api.context.publisher)
    use, used = plane.use_snapshot, 0
    before = api.get("/v1/snapshots").json()["items"][0]["number"]

    async def slowly(*arguments: Any) -> None:
        nonlocal used
        used += 1
        if used == 1:
            await first.wait()
        await use(*arguments)

    async def counted(session: AsyncSession) -> int:
        nonlocal looks
        looks += 1
        return await current_revision(session)

    monkeypatch.setattr(plane, "use_snapshot", slowly)

    async def create(client: httpx2.AsyncClient, number: int) -> bool:
        name = f"person-{number}@example.com"
        answer = await client.post("/v1/principals", json={"name": name})
        assert answer.status_code == 201, answer.text
        return name in api.assembly.gateway.snapshot.principals

    async def story() -> list[bool]:
        transport = httpx2.ASGITransport(app=api.app)
        headers = {"Authorization": f"Bearer {api.token}"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://admin", headers=headers) as client:
            changes = [asyncio.ensure_future(create(client, number)) for number in range(10)]
            async with asyncio.timeout(30):
                while len((await client.get("/v1/principals")).json()["items"]) < 10:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert not any(change.done() for change in changes), "none of them is in force yet"
            # Whoever looks for what failed comes upon it meanwhile, and has nothing to add.
            monkeypatch.setattr(service, "RETRY", 0)
            monkeypatch.setattr(service, "current_revision", counted)
            follower = asyncio.ensure_future(publisher._follow())
            await eventually_in_loop(lambda: looks > 1)
            monkeypatch.setattr(service, "RETRY", 3600)
            first.set()
            results = list(await asyncio.gather(*changes))
            follower.cancel()
            return results

    assert api.run(story()) == [True] * 10
    published = [item["number"] for item in api.get("/v1/snapshots").json()["items"] if item["number"] > before]
    assert used == len(published) == 2
    assert published[0] == before + 10
