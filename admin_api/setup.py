"""Puts together what the API works with."""

from __future__ import annotations

import base64
import os
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from admin_api.approvals.approvers import ApproverDirectory
from admin_api.auth.passwords import Passwords
from admin_api.auth.throttle import Throttle
from admin_api.auth.tokens import AdminTokens
from admin_api.context import Context
from admin_api.db import Database, store_url
from admin_api.exchange.tokens import agent_issuer
from admin_api.gateways.fleet import Fleet
from admin_api.gateways.reports import Reports
from admin_api.migrate import prepare
from admin_api.oidc.verifier import OidcVerifiers
from admin_api.snapshots.service import SnapshotPublisher
from gateway.approvals.instances import Instances
from gateway.config import Config, ControlPlaneSettings, Secret
from gateway.control.approval_wire import LEASE
from gateway.control.port import DataPlane
from gateway.control.sealing import Sealer
from gateway.control.signing import SnapshotSigner
from gateway.errors import ConfigurationError
from gateway.identity.files import INSTALL_KEY, load_or_create_secret

SEALING_KEY = "sealing.key"
"""File in ``data_dir`` with the key that seals secrets in the store, where the configuration gives none."""


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def open_database(config: Config, settings: ControlPlaneSettings) -> Database:
    """The store, not connected yet."""
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Database(store_url(None if settings.database is None else settings.database.reveal(), config.data_dir))


async def build_context(
    config: Config,
    settings: ControlPlaneSettings,
    plane: DataPlane,
    *,
    clock: Callable[[], datetime] = now,
    passwords: Passwords | None = None,
    oidc: OidcVerifiers | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Context:
    """Open the store, bring it up to date, and put it in force. Raises ``ConfigurationError``."""
    database = open_database(config, settings)
    try:
        await prepare(database)
        master = make_sealer(settings.key, config.data_dir)
        # Gateways get the key that opens documents' secrets. What signs must not follow from what they have.
        sealer = Sealer(master.derive(b"documents"))
        tokens = AdminTokens(
            database,
            master,
            issuer=settings.issuer,
            lifetime=settings.access_token_ttl,
            clock=clock,
            new_id=lambda prefix: f"{prefix}-{secrets.token_hex(8)}",
        )
        await tokens.load()
        publisher = SnapshotPublisher(
            database=database,
            plane=plane,
            sealer=sealer,
            signer=SnapshotSigner(master.derive(b"snapshot-signing")),
            clock=clock,
            issuers=lambda: [agent_issuer(tokens)],
        )
        fleet = Fleet(
            publisher,
            Reports(database, clock=clock),
            Instances(plane.desk, lease=LEASE),
        )
        context = Context(
            config=config,
            settings=settings,
            database=database,
            plane=plane,
            audit=plane.audit,
            publisher=publisher,
            fleet=fleet,
            sealer=sealer,
            install_secret=load_or_create_secret(config.data_dir / INSTALL_KEY),
            passwords=passwords or Passwords(),
            throttle=Throttle(monotonic),
            refusals=Throttle(monotonic),
            tokens=tokens,
            oidc=oidc or OidcVerifiers(settings.oidc, clock=lambda: clock().timestamp(), monotonic=monotonic),
            approvers=ApproverDirectory(database, plane, frozenset(issuer.issuer for issuer in settings.oidc)),
            environ=os.environ,
            clock=clock,
        )
        plane.desk.standing = context.approvers.standing
        await fleet.start()
    except BaseException:
        await database.close()
        raise
    return context


def make_sealer(key: Secret | None, data_dir: Path) -> Sealer:
    """The sealer by the configured key (32 bytes in base64), or by one that is made on first use."""
    if key is None:
        return Sealer.load_or_create(data_dir / SEALING_KEY)
    try:
        return Sealer(base64.b64decode(key.reveal(), validate=True))
    except ValueError:
        raise ConfigurationError("control_plane.key: write 32 random bytes in base64") from None
