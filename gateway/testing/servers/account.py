"""Under which account a server runs: database servers refuse root."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gateway.testing.servers.errors import ServerUnavailable


@dataclass(frozen=True, slots=True)
class Account:
    """A user id and group id. ``dropped`` is True where the present process is root and the server must not be."""

    name: str
    uid: int
    gid: int
    dropped: bool

    @classmethod
    def present(cls) -> Self:
        """The account of this process, root or not."""
        return cls(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), dropped=False)

    def own(self, *paths: Path) -> None:
        """Give files and folders (not what is in them) to this account."""
        if self.dropped:
            for path in paths:
                os.chown(path, self.uid, self.gid)

    def run(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        timeout: float = 60,
        text: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end as this account, in ``/``, with both outputs in ``stdout``; ``text`` is its input.

        ``PermissionError`` if the account cannot reach the program.
        """
        return subprocess.run(
            [os.fspath(part) for part in command],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            env=dict(environment) if environment is not None else None,
            timeout=timeout,
            check=False,
            user=self.uid if self.dropped else None,
            group=self.gid if self.dropped else None,
            extra_groups=() if self.dropped else None,
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether the mode bits of the folder and of all above it let this account in."""
        return not self.dropped or all(self._may_enter(place) for place in (folder, *folder.parents))

    def _may_enter(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        if status.st_gid == self.gid:
            return bool(status.st_mode & 0o010)
        return bool(status.st_mode & 0o001)


def server_account(*preferred: str) -> Account:
    """The account for a server: the present one, or for root the first of ``preferred`` that exists."""
    if os.geteuid() != 0:
        return Account.present()
    for name in preferred:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, dropped=True)
    raise ServerUnavailable(
        f"root cannot run a database server, and none of the accounts {', '.join(preferred)} exists;"
        " run as an ordinary user, or create one of them"
    )
