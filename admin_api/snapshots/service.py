"""Publishing: after every change of the store, a new snapshot is built, signed, kept, put in force here and announced.

With several replicas on one database, whoever comes first builds the snapshot of a revision; the others find it there.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from admin_api.db import Database
from admin_api.documents.sections import read_sections
from admin_api.gateways.commands import CommandRepository, revoke_command
from admin_api.revision import current_revision
from admin_api.snapshots.models import SnapshotRow
from admin_api.snapshots.repository import SnapshotRepository, compress, signed_bytes
from gateway.control.document import Sections, SnapshotDocument, canonical
from gateway.control.port import DataPlane
from gateway.control.sealing import Sealer
from gateway.control.signing import SignedSnapshot, SnapshotSigner
from gateway.errors import ConfigurationError
from gateway.server.tasks import Tasks

_log = structlog.get_logger("querygate.snapshots")

POLL: Final = 0.5
"""Seconds between looks for what other replicas published; a replica alone with its file need not look."""
RETRY: Final = 2.0
"""Seconds after which a publication that failed is tried again."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What gateways are told: the newest snapshot and the newest command."""

    name: str = ""
    number: int = 0
    command: int = 0


class SnapshotPublisher:
    """Implements ``admin_api.context.Publisher``. ``issuers`` gives the issuers of bearer tokens for gateways."""

    def __init__(
        self,
        *,
        database: Database,
        plane: DataPlane,
        sealer: Sealer,
        signer: SnapshotSigner,
        clock: Callable[[], datetime],
        issuers: Callable[[], Sequence[Mapping[str, object]]] = tuple,
    ) -> None:
        self._database = database
        self._plane = plane
        self._sealer = sealer
        self._signer = signer
        self._clock = clock
        self._issuers = issuers
        self._tasks = Tasks()
        self._publishing = asyncio.Lock()
        self._tokens: frozenset[str] = frozenset()
        """Ids of the tokens in the last snapshot."""
        self._changed = asyncio.Event()
        self.announced = Announced()

    @property
    def signing_key(self) -> str:
        """The public half of the key that snapshots are signed with."""
        return self._signer.public_key

    def whole(self, sections: Sections) -> Sections:
        """The store's sections, and the one of snapshots that is not in its tables."""
        return {**sections, "issuers": list(self._issuers())}

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Put the store's present state in force. Raises ``ConfigurationError`` where it cannot be used."""
        await self._publish()
        self._tasks.start(self._follow(), name="snapshots")

    async def stop(self) -> None:
        """Let go; whoever waits for changes is answered."""
        await self._tasks.cancel()
        self._tell(self.announced)

    async def publish(self, revision: int) -> None:
        """The store has a new revision, committed. Does not raise: what fails is tried again."""
        try:
            await self._publish(after=revision)
        except Exception as error:  # noqa: BLE001 - the change is committed, and there is nobody to tell but the log
            _log.error("a snapshot could not be published; it is tried again", revision=revision, error=str(error))

    async def commanded(self) -> None:
        """There is a new command, committed."""
        async with self._database.transaction() as session:
            newest = await CommandRepository(session).newest()
        self._tell(Announced(self.announced.name, self.announced.number, newest))

    async def wait(self, snapshot: str, command: int, seconds: float) -> Announced:
        """Return when the newest snapshot or command is another one, or after some seconds."""
        try:
            async with asyncio.timeout(seconds):
                while self.announced.name == snapshot and self.announced.command == command:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.announced

    # --- publishing ---------------------------------------------------------------------------------------------

    async def _publish(self, after: int | None = None) -> None:
        """Publish the newest revision. ``after``: unless this one, or a later one, is in force already."""
        async with self._publishing:
            if after is not None and self.announced.number > after:
                # Changes that are committed while another one is published share the next snapshot.
                return
            async with self._database.transaction() as session:
                sections = await read_sections(session)
                number = await current_revision(session) + 1
                known = await SnapshotRepository(session).find(number)
            tokens = frozenset(str(token["id"]) for token in sections["tokens"])
            if revoked := self._tokens - tokens:
                # Ahead of the snapshot, which takes longer with every principal.
                await self._revoke(sorted(revoked))
            row = known or await self._build(number, sections)
            document = SignedSnapshot.decode(signed_bytes(row), trusted=self._signer.public_key).document
            await self._plane.use_snapshot(document, self._sealer)
            self._tokens = tokens
            async with self._database.transaction() as session:
                newest = await CommandRepository(session).newest()
            self._tell(Announced(row.name, row.number, newest))

    async def _build(self, number: int, sections: Sections) -> SnapshotRow:
        whole = self.whole(sections)
        moment = self._clock()

        def build() -> tuple[SnapshotDocument, bytes, str]:
            document = SnapshotDocument.build(number=number, created=moment, sections=whole)
            lasting = {name: documents for name, documents in document.sections.items() if name != "tokens"}
            return document, compress(self._signer.sign(document).encode()), _digest(lasting)

        document, signed, documents = await asyncio.to_thread(build)
        row = SnapshotRow(
            number=number,
            name=document.name,
            documents=documents,
            created_at=document.created,
            size=len(document.body),
            signed=signed,
        )
        async with self._database.transaction(write=True, urgent=True) as session:
            repository = SnapshotRepository(session)
            if (known := await repository.find(number)) is not None:
                return known
            await repository.add(row)
        return row

    async def _revoke(self, ids: list[str]) -> None:
        self._plane.revoke_tokens(ids, "the access token was revoked")
        async with self._database.transaction(write=True, urgent=True) as session:
            await CommandRepository(session).add(revoke_command(ids, "the access token was revoked"), self._clock())
        await self.commanded()

    async def _follow(self) -> None:
        """Retry what failed, and take over what other replicas did."""
        while True:
            await asyncio.sleep(RETRY if self._database.is_sqlite else POLL)
            try:
                async with self._database.transaction() as session:
                    wanted = await current_revision(session) + 1
                    command = await CommandRepository(session).newest()
                if wanted != self.announced.number:
                    if not self._publishing.locked():  # somebody is at it, with what is newest by then
                        await self._publish()
                elif command != self.announced.command:
                    await self._obey(self.announced.command)
            except ConfigurationError as error:
                _log.error("the store's state cannot be put in force", error=str(error))
            except Exception as error:  # noqa: BLE001 - the database may be back at the next look
                _log.warning("the store cannot be followed", error=repr(error))

    async def _obey(self, after: int) -> None:
        """Commands that another replica took count for the data plane beside us too."""
        async with self._database.transaction() as session:
            commands = await CommandRepository(session).beyond(after)
        for command in commands:
            command.carry_out(self._plane)
        await self.commanded()

    def _tell(self, announced: Announced) -> None:
        self.announced = announced
        self._changed.set()
        self._changed = asyncio.Event()


def _digest(value: object) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()
