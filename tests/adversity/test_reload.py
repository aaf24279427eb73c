"""SIGHUP under running sessions: what the new configuration says counts from the next statement."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.testing.servers import PostgresServer
from tests.adversity.bed import ANA, BOB, ENVIRONMENT, RESOURCE, Bed, bed_in, run_cli
from tests.fixtures.waiting import eventually, eventually_in_loop

NO_ITEMS = {"name": "no-items", "effect": "deny", "match": {"actions": ["insert"]}, "message": "closed for today"}
MASK = {
    "name": "mask",
    "effect": "mask",
    "match": {"labels": ["pii.*"], "groups": ["staff"]},
    "mask": {"function": "redact"},
}


@pytest.fixture(scope="module")
def module_bed(sturdy_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    sturdy_server.psql("TRUNCATE items", database="adversity")
    with bed_in(tmp_path_factory.mktemp("reload"), sturdy_server) as made:
        made.start()
        yield made


@pytest.fixture
def fresh_bed(module_bed: Bed) -> Iterator[Bed]:
    """The running gateway; its configuration is put back afterwards."""
    original = copy.deepcopy(module_bed.document)
    yield module_bed
    module_bed.document = original
    _reload(module_bed)


def _reload(bed: Bed, *, message: str = "the configuration was read again") -> None:
    before = bed.log().count(message)
    bed.reload()
    eventually(lambda: bed.log().count(message) > before, told=lambda: bed.log()[-2000:])


async def _ended(session: asyncpg.Connection, within: float = 1.0) -> None:
    """The gateway ends the session, by 57P01, in that time."""
    await eventually_in_loop(session.is_closed, within=within)


def test_a_new_deny_counts_for_running_sessions(fresh_bed: Bed) -> None:
    bed = fresh_bed

    async def story() -> None:
        session = await bed.connect()
        prepared = await session.prepare("INSERT INTO items VALUES ($1, 'x')")
        await prepared.fetch(10)
        await session.execute("INSERT INTO items VALUES (11, 'x')")
        bed.document["policies"].append(NO_ITEMS)
        await asyncio.to_thread(_reload, bed)
        for attempt in (prepared.fetch(12), session.execute("INSERT INTO items VALUES (13, 'x')")):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="closed for today"):
                await attempt
        assert await session.fetchval("SELECT count(*) FROM items WHERE id IN (12, 13)") == 0
        await session.close()

    bed.run(story())


def test_a_new_mask_counts_for_running_sessions(fresh_bed: Bed) -> None:
    bed = fresh_bed

    async def story() -> None:
        session = await bed.connect()
        prepared = await session.prepare("SELECT email FROM people WHERE id = $1")
        assert await prepared.fetchval(1) == "secret1@example.com"
        async with session.transaction():
            cursor = await session.cursor("SELECT email FROM people ORDER BY id")
            assert (await cursor.fetch(1))[0]["email"] == "secret1@example.com"
            bed.document["policies"].append(MASK)
            await asyncio.to_thread(_reload, bed)
            seen = await _everything(cursor.fetch(1))
            assert "secret" not in seen, "not even through a cursor that was opened before"
        seen = await _everything(prepared.fetch(2)) + await _everything(session.fetch("SELECT email FROM people"))
        assert "secret" not in seen
        await session.close()

    bed.run(story())


async def _everything(attempt: Any) -> str:
    try:
        return str([tuple(row.values()) for row in await attempt])
    except asyncpg.PostgresError as error:
        return str(error.as_dict())


def test_a_broken_file_changes_nothing(fresh_bed: Bed) -> None:
    bed = fresh_bed

    async def story() -> None:
        session = await bed.connect()
        good = bed.document
        bed.document = good | {"policies": [*good["policies"], NO_ITEMS | {"effect": "dney"}]}
        await asyncio.to_thread(_reload, bed, message="the configuration was not taken over")
        assert re.search(r"querygate\.yaml:\d+: policies\[1\]", bed.log()), "file, line and key are in the log"
        bed.path.unlink()
        bed.document = good
        await session.execute("INSERT INTO items VALUES (20, 'x')")
        await session.close()

    bed.run(story())


def test_who_is_gone_from_the_configuration_is_gone(fresh_bed: Bed) -> None:
    bed = fresh_bed

    async def story() -> None:
        ana, bob = await bed.connect(ANA), await bed.connect(BOB)
        bed.document["principals"] = [item for item in bed.document["principals"] if item["name"] != BOB]
        await asyncio.to_thread(_reload, bed)
        await _ended(bob)
        assert await ana.fetchval("SELECT 1") == 1, "others go on"
        with pytest.raises(asyncpg.InvalidPasswordError):
            await bed.connect(BOB)
        await ana.close()

    bed.run(story())


def test_a_changed_principal_has_to_come_back(fresh_bed: Bed) -> None:
    bed = fresh_bed

    async def story() -> None:
        bob = await bed.connect(BOB)
        bed.document["principals"][1]["groups"] = ["interns"]
        await asyncio.to_thread(_reload, bed)
        await _ended(bob)

    bed.run(story())


def test_a_revoked_token_ends_its_sessions(fresh_bed: Bed) -> None:
    bed = fresh_bed
    created = run_cli(
        "token", "create", "-p", BOB, "--config", str(bed.path), env=dict(ENVIRONMENT) | _path_environment()
    )
    assert created.returncode == 0, created.stderr
    token = created.stdout.strip().splitlines()[-1]

    async def story() -> None:
        bob = await bed.connect(BOB, password=token)
        ana = await bed.connect(ANA)
        bed.document["principals"][1].pop("token")
        store = bed.folder / "data" / "tokens.json"
        listed = run_cli("token", "list", "--config", str(bed.path), env=dict(ENVIRONMENT) | _path_environment())
        found = re.search(r"^(\S+)\s+bob@", listed.stdout, re.MULTILINE)
        assert found, listed.stdout
        revoked = run_cli(
            "token", "revoke", found[1], "--config", str(bed.path), env=dict(ENVIRONMENT) | _path_environment()
        )
        assert revoked.returncode == 0, revoked.stderr + store.read_text()
        await asyncio.to_thread(_reload, bed)
        await _ended(bob)
        assert await ana.fetchval("SELECT 1") == 1
        await ana.close()

    bed.run(story())


def _path_environment() -> dict[str, str]:
    import os

    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


def test_a_removed_resource_ends_its_sessions(fresh_bed: Bed) -> None:
    bed = fresh_bed

    async def story() -> None:
        session = await bed.connect()
        bed.document["resources"][0]["name"] = "another-name"
        bed.document["classifications"] = []
        await asyncio.to_thread(_reload, bed)
        await _ended(session)
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await bed.connect(database=RESOURCE)

    bed.run(story())


def test_what_needs_a_restart_is_said(fresh_bed: Bed) -> None:
    bed = fresh_bed
    bed.document["limits"] = bed.document["limits"] | {"max_sessions": 5}
    _reload(bed)
    assert '"keys": ["limits"]' in bed.log()


def test_reloading_under_load_breaks_nothing(fresh_bed: Bed) -> None:
    bed = fresh_bed

    async def story() -> None:
        sessions = [await bed.connect() for _ in range(5)]
        done = False

        async def work(session: asyncpg.Connection) -> int:
            rounds = 0
            while not done:
                assert await session.fetchval("SELECT $1::int", rounds) == rounds
                rounds += 1
            return rounds

        workers = [asyncio.create_task(work(session)) for session in sessions]
        for number in range(6):
            first = bed.document["policies"][0]
            bed.document["policies"] = [first, NO_ITEMS] if number % 2 else [first]
            await asyncio.to_thread(_reload, bed)
        done = True
        assert min(await asyncio.gather(*workers)) > 0
        for session in sessions:
            await session.close()

    bed.run(story())


def test_the_shared_folder_is_tidy(module_bed: Bed) -> None:
    assert Path(module_bed.folder / "data").stat().st_mode & 0o077 == 0
