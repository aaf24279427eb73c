"""The store's tables: made, taken back and made again by migrations alone, and equal to the models."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect

from admin_api.db import Database, store_url
from admin_api.migrate import current, downgrade, drift, newest, prepare, upgrade
from admin_api.tables import metadata
from gateway.errors import ConfigurationError
from gateway.testing.servers import PostgresServer
from tests.fixtures.admin import fresh_store


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "sqlite":
        return store_url(None, tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return store_url(fresh_store(server), tmp_path)


async def _tables(database: Database) -> set[str]:
    async with database.engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


def test_up_down_and_up_again_without_drift(url: Any) -> None:
    async def story() -> None:
        database = Database(url)
        try:
            await upgrade(database)
            assert await current(database) == newest()
            assert await drift(database) == [], "a migration is missing"
            assert await _tables(database) == set(metadata.tables) | {"alembic_version"}
            await downgrade(database, "base")
            assert await _tables(database) == {"alembic_version"}
            await upgrade(database)
            assert await drift(database) == []
        finally:
            await database.close()

    asyncio.run(story())


def test_an_embedded_store_is_brought_up_to_date_and_a_shared_one_is_not(url: Any) -> None:
    async def story() -> None:
        database = Database(url)
        try:
            if database.is_sqlite:
                await prepare(database)
                assert await current(database) == newest()
            else:
                with pytest.raises(ConfigurationError, match="querygate admin migrate"):
                    await prepare(database)
                assert await _tables(database) == set()
        finally:
            await database.close()

    asyncio.run(story())


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async def story() -> None:
        database = Database(store_url(None, tmp_path))
        try:
            await prepare(database)
            async with database.engine.begin() as connection:
                await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
            with pytest.raises(ConfigurationError, match="newer version"):
                await prepare(database)
        finally:
            await database.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    "setting", ["mysql://u:hidden@h/d", "not a url hidden", "postgresql://u:hidden@h/d?sslmode=no"]
)
def test_a_store_that_cannot_be_used_is_refused_without_its_password(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ConfigurationError, match=r"control_plane\.database") as caught:
        store_url(setting, tmp_path)
    assert "hidden" not in str(caught.value)


def test_a_shared_store_is_reached_over_verified_tls(tmp_path: Path, postgres_server: PostgresServer) -> None:
    if not postgres_server.tls:
        pytest.skip("this PostgreSQL is built without TLS")

    async def encrypted(parameters: str) -> bool:
        database = Database(store_url(f"{fresh_store(postgres_server)}{parameters}", tmp_path))
        try:
            async with database.engine.connect() as connection:
                asked = await connection.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
                return bool(asked.scalar_one())
        finally:
            await database.close()

    assert asyncio.run(encrypted(f"?sslmode=verify-full&sslrootcert={postgres_server.ca_path}"))
    assert asyncio.run(encrypted("?sslmode=require"))
    assert not asyncio.run(encrypted(""))
    with pytest.raises(OSError, match="certificate"):
        asyncio.run(encrypted("?sslmode=verify-full"))
