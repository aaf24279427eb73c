"""Files that hold secrets or verifiers: nobody else may read them, and nobody ever sees half of one."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.errors import ConfigurationError

PRIVATE: Final = 0o600
SECRET_SIZE: Final = 32

_WRITABLE_BY_OTHERS: Final = 0o022

INSTALL_KEY: Final = "identity.key"
"""File in ``data_dir`` with the installation's own secret, from which salts are derived."""


def write_private(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` with mode 0600, replacing what was there in one step. On disk when it returns."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, PRIVATE)
    try:
        try:
            os.fchmod(descriptor, PRIVATE)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # Without this the new name may be gone after a power failure.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive lock that belongs to ``path`` (a file beside it). Waits for other processes."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def refuse_foreign_writers(path: Path, mode: int) -> None:
    """``ConfigurationError`` if the group or everybody may write the file: they could make themselves anybody."""
    if mode & _WRITABLE_BY_OTHERS:
        raise ConfigurationError(f"{path}: other users may write this file; run chmod go-w on it")


def load_or_create_secret(path: Path, *, random: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
    """The installation's own secret (32 bytes) at ``path``, made on first use.

    Salts are derived from it. Losing it makes issued tokens unusable over SCRAM until they are issued anew.
    ``ConfigurationError`` if the file is damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        try:
            secret = path.read_bytes()
        except FileNotFoundError:
            secret = random(SECRET_SIZE)
            write_private(path, secret)
    if len(secret) != SECRET_SIZE:
        raise ConfigurationError(f"{path}: not the {SECRET_SIZE} bytes that it must hold")
    return secret
