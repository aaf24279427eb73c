"""Where servers keep what is used again: copies of programs, and data directories ready to be copied."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.testing.servers.account import Account
from gateway.testing.servers.errors import ServerUnavailable

CACHE_VARIABLE = "QUERYGATE_SERVERS_CACHE"


def cache_folder(account: Account) -> Path:
    """The cache of the present user, made if missing, and open to ``account``.

    ``QUERYGATE_SERVERS_CACHE`` names it; otherwise it is in the user's cache folder, and for root, whose home nobody
    else may enter, in the folder for temporary files. A folder that somebody else could have prepared is refused.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        folder = Path(named).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    if not account.dropped:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "querygate" / "servers"
        with suppress(OSError):
            home.mkdir(parents=True, exist_ok=True)
            if os.access(home, os.W_OK | os.X_OK):
                return home
    folder = temporary_root(account) / f"querygate-servers-{os.geteuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o755)
    status = folder.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o170022 != 0o040000:
        raise PermissionError(f"{folder} is not a folder that only the present user can write; remove it")
    return folder


def temporary_root(account: Account) -> Path:
    """A folder for temporary files that ``account`` can enter, whatever ``TMPDIR`` says."""
    for folder in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - entries get fresh names
        if folder.is_dir() and account.can_enter(folder):
            return folder
    raise PermissionError(f"{account.name} cannot enter any folder for temporary files")


def temporary_folder(account: Account, prefix: str) -> Path:
    """A new folder of the present user, in which ``account`` can find names that it knows."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=temporary_root(account)))
    folder.chmod(0o711)
    return folder


@contextmanager
def server_folder(directory: Path | None, account: Account, prefix: str) -> Iterator[Path]:
    """``directory``, or a temporary folder, which is removed if what is done there fails.

    Raises ``ServerUnavailable`` if ``account`` cannot enter it.
    """
    folder = temporary_folder(account, prefix) if directory is None else directory.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not account.can_enter(folder):
            raise ServerUnavailable(f"the account {account.name} cannot enter {folder}; choose another folder")
        yield folder
    except BaseException:
        if directory is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Hold a lock between processes, so that parallel test runs prepare a thing once."""
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepared(folder: Path, name: str, prepare: Callable[[Path], None]) -> Path:
    """``folder/name``, made by ``prepare`` if it is not there; whoever looks sees it whole or not at all."""
    target = folder / name
    if target.exists():
        return target
    with locked(folder, name):
        if not target.exists():
            scratch = folder / f"{name}.{os.getpid()}.partial"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(mode=0o755)
            try:
                prepare(scratch)
                scratch.rename(target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return target


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with owners and modes, without reading it through Python."""
    subprocess.run(
        ["/bin/cp", "--archive", "--reflink=auto", os.fspath(source), os.fspath(target)],
        check=True,
        capture_output=True,
    )
