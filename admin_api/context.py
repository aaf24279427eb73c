"""Everything that requests share, made once and handed to the application: no module-level state."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from admin_api.db import Database
from gateway.config import Config, ControlPlaneSettings
from gateway.control.document import Sections
from gateway.control.port import DataPlane
from gateway.control.sealing import Sealer
from gateway.domain.audit import AdminRecord

if TYPE_CHECKING:
    from admin_api.approvals.approvers import ApproverDirectory
    from admin_api.auth.passwords import Passwords
    from admin_api.auth.throttle import Throttle
    from admin_api.auth.tokens import AdminTokens
    from admin_api.gateways.fleet import Fleet
    from admin_api.oidc.verifier import OidcVerifiers


class AuditTrail(Protocol):
    """Where changes are recorded. Raises ``AuditError`` where that cannot be done."""

    def record_admin(self, record: AdminRecord) -> None:
        """Put what an administrator does into the log."""

    async def commit(self) -> None:
        """Return when all that was recorded is on disk."""


class Publisher(Protocol):
    """Brings a changed store to the gateways."""

    def whole(self, sections: Sections) -> Sections:
        """The store's sections as they are published: with the issuers of bearer tokens, which are not in its tables.

        What a check works out for them serves when they are published.
        """

    async def publish(self, revision: int) -> None:
        """The store has a new revision, committed. Does not raise: what fails is tried again."""


@dataclass(slots=True, kw_only=True)
class Context:
    """``install_secret`` is what the salts of access tokens come from; ``clock`` gives aware UTC times."""

    config: Config
    settings: ControlPlaneSettings
    database: Database
    plane: DataPlane
    audit: AuditTrail
    publisher: Publisher
    fleet: Fleet
    sealer: Sealer
    install_secret: bytes
    passwords: Passwords
    throttle: Throttle
    refusals: Throttle
    """Bounds how many refused requests of unknown callers are recorded."""
    tokens: AdminTokens
    oidc: OidcVerifiers
    approvers: ApproverDirectory
    environ: Mapping[str, str]
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    random: Callable[[int], bytes] = secrets.token_bytes

    async def close(self) -> None:
        """Let go of everything: what was to be written is, and whoever waits is answered."""
        await self.fleet.stop()
        await self.database.close()

    def sign(self, purpose: str, content: bytes) -> bytes:
        """A keyed digest, 16 bytes, for values that go out and must come back unchanged."""
        key = hmac.digest(self.install_secret, b"admin-api:" + purpose.encode(), hashlib.sha256)
        return hmac.digest(key, content, hashlib.sha256)[:16]

    def new_id(self, prefix: str) -> str:
        """An id that sorts by its time: prefix, milliseconds, 8 random bytes."""
        milliseconds = int(self.clock().timestamp() * 1000)
        return f"{prefix}-{milliseconds:012x}{self.random(8).hex()}"
