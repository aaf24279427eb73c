"""Making an administrator without the API, from the machine itself."""

from __future__ import annotations

import getpass
import secrets
import time

from admin_api.admins.models import AdminIn, AdminRow
from admin_api.admins.repository import AdminRepository
from admin_api.auth.bootstrap import remove_bootstrap_token
from admin_api.auth.passwords import Passwords
from admin_api.db import Database
from admin_api.migrate import prepare
from admin_api.setup import now
from gateway.config import Config
from gateway.errors import ConfigurationError


async def create_offline(database: Database, config: Config, wanted: AdminIn) -> None:
    """Keep a new account. Raises ``ConfigurationError`` where the name is taken.

    It is not in the audit, which belongs to the running gateway: ``created_by`` says who it was.
    """
    await prepare(database)
    password = await Passwords().hash(wanted.password)
    moment, who = now(), f"{getpass.getuser()} (querygate admin create)"
    async with database.transaction(write=True) as session:
        admins = AdminRepository(session)
        if await admins.find(wanted.name) is not None:
            raise ConfigurationError(f'there is an administrator "{wanted.name}" already')
        await admins.save(
            AdminRow(
                id=f"adm-{int(time.time() * 1000):012x}{secrets.token_hex(8)}",
                name=wanted.name,
                password=password,
                roles=[role.value for role in wanted.roles],
                groups=wanted.groups,
                created_at=moment,
                created_by=who,
                updated_at=moment,
                updated_by=who,
            )
        )
    remove_bootstrap_token(config.data_dir)
