"""Bringing the store's tables to this version, by Alembic. The migrations are part of the package."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from admin_api import tables
from admin_api.db import Database
from gateway.errors import ConfigurationError

_FOLDER: Final = Path(__file__).parent / "migrations"


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without a file."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config


async def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the tables to a revision, the newest one by default."""
    # It tells every step and every plugin of its own; what matters is said by whoever asked for the upgrade.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), revision))


async def downgrade(database: Database, revision: str) -> None:
    """Take the tables back to a revision; what later ones added is lost."""
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(alembic_config(sync), revision))


async def current(database: Database) -> str | None:
    """The revision that the tables are at; None for an empty database."""
    async with database.engine.connect() as connection:
        return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())


def newest() -> str | None:
    """The revision that this version works with."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


async def drift(database: Database) -> list[object]:
    """What differs between the tables and the models: nothing, or a migration is missing."""
    async with database.engine.connect() as connection:
        return await connection.run_sync(
            lambda sync: list(
                compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), tables.metadata)
            )
        )


async def prepare(database: Database) -> None:
    """What ``querygate serve`` does: an embedded store is brought up to date, a shared one must be already.

    Raises ``ConfigurationError`` where somebody has to run ``querygate admin migrate``, or an older gateway meets newer
    tables.
    """
    found, wanted = await current(database), newest()
    if found == wanted:
        return
    known = {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
    if found is not None and found not in known:
        raise ConfigurationError("the store was made by a newer version of Querygate; upgrade this one")
    if not database.is_sqlite:
        raise ConfigurationError(
            "the store's tables are not of this version; run: querygate admin migrate --config FILE"
        )
    await upgrade(database)
