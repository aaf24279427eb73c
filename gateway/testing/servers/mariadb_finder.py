"""Where MariaDB's programs can be: a folder that the caller names, the system's packages, a download."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from gateway.testing.servers import apt
from gateway.testing.servers.account import Account
from gateway.testing.servers.errors import ServerUnavailable
from gateway.testing.servers.installation import Installation, Source
from gateway.testing.servers.places import cache_folder, prepared

BASEDIR_VARIABLE = "QUERYGATE_MARIADB_BASEDIR"
_PACKAGES = ("mariadb-server-core", "mariadb-server", "mariadb-client-core", "mariadb-common")


def mariadb_sources(account: Account) -> tuple[Source, ...]:
    """All sources, best first."""
    return (
        Source(
            BASEDIR_VARIABLE,
            lambda: _named(account),
            hint=f"set {BASEDIR_VARIABLE} to a folder with sbin/mariadbd, bin/mariadb and share/mysql",
        ),
        Source("/usr/sbin/mariadbd", lambda: _system(account), hint="apt-get install mariadb-server (as root)"),
        Source("apt-get download", lambda: _apt(account), remote=True, hint="Debian's apt-get and dpkg-deb (no root)"),
    )


def server_program(installation: Installation) -> Path:
    """``mariadbd`` of an installation, whose ``bindir`` is the folder of the clients."""
    return installation.bindir.parent / "sbin" / "mariadbd"


def share_folder(installation: Installation) -> Path:
    """The folder with the scripts for a new data directory, and the server's messages."""
    return installation.bindir.parent / "share" / "mysql"


def plugin_folder(installation: Installation) -> Path:
    """The folder with the server's plugins."""
    return installation.bindir.parent / "lib" / "mysql" / "plugin"


def _named(account: Account) -> Iterator[Installation]:
    if folder := os.environ.get(BASEDIR_VARIABLE):
        yield _installation(Path(folder), BASEDIR_VARIABLE, account)


def _system(account: Account) -> Iterator[Installation]:
    if Path("/usr/sbin/mariadbd").exists():
        yield _installation(Path("/usr"), "system packages", account)


def _apt(account: Account) -> Iterator[Installation]:
    root = prepared(cache_folder(account), "apt-mariadb", _download_packages)
    yield _installation(root / "usr", "apt-get download", account, root / "usr/lib" / apt.multiarch())


def _download_packages(target: Path) -> None:
    needed = {
        name
        for package in ("mariadb-server-core", "mariadb-client-core")
        for name in apt.depends(package)
        if name.startswith(("lib", "zlib"))
    }
    apt.fetch([*_PACKAGES, *sorted(needed)], target)
    # Some libraries go to /lib, which is a link to /usr/lib on a running system.
    for library in (target / "lib" / apt.multiarch()).glob("*.so*"):
        library.rename(target / "usr/lib" / apt.multiarch() / library.name)


def _installation(base: Path, source: str, account: Account, library_path: Path | None = None) -> Installation:
    found = Installation(base / "bin", (0, 0), tls=True, source=source, library_path=library_path)
    program = server_program(found)
    try:
        told = account.run([program, "--no-defaults", "--version"], environment=found.environment(), timeout=20).stdout
    except OSError as error:
        raise ServerUnavailable(f"{program}: {error.strerror or error} (as {account.name})") from error
    version = re.search(r"Ver (\d+)\.(\d+)\.\d+-MariaDB", told)
    if version is None:
        raise ServerUnavailable(f"{program} does not run: {told.strip()[-200:]}")
    return Installation(base / "bin", (int(version[1]), int(version[2])), True, source, library_path)
