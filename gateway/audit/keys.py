"""The key that the audit signs checkpoints with."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.audit.notes import NoteError, Signer, VerifierKey
from gateway.audit.storage import Storage
from gateway.errors import AuditError

SIGNING_KEY_NAME: Final = "audit-signing.key"
PUBLIC_KEY_NAME: Final = "key.pub"
_SIZE: Final = 32


def load_signer(
    path: Path,
    directory: Path,
    gateway_name: str,
    storage: Storage,
    *,
    has_log: bool,
    random: Callable[[int], bytes] = os.urandom,
    new_uid: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> Signer:
    """What signs the checkpoints of the log in ``directory``: the private key is in ``path``, made on the first call.

    The log's name is chosen with its first start and stands in ``key.pub`` from then on. Raises ``AuditError`` where
    the key is not the one that has signed so far, since nobody could tell such a log from a forged one.
    """
    public = directory / PUBLIC_KEY_NAME
    again = f"put it back, or move {directory} away to begin a new log"
    try:
        known = read_public_key(directory)
        if known is None and has_log:
            raise AuditError(f"{public} is missing; {again}")
        if known is not None and has_log and not path.exists():
            raise AuditError(f"{path}, the key that the audit log in {directory} was signed with, is missing; {again}")
        seed = _load(path, random)
        name = f"querygate.audit/{re.sub(r'[^0-9A-Za-z._-]', '-', gateway_name)}/{new_uid()}"
        signer = Signer(name if known is None else known.name, seed)
        if known is None or (known != signer.key and not has_log):
            storage.replace(public, f"{signer.key}\n".encode())
        elif known != signer.key:
            raise AuditError(f"{path} is not the key that the audit log in {directory} was signed with; {again}")
    except OSError as error:
        raise AuditError(f"cannot use {error.filename or path}: {error.strerror}") from None
    except ValueError as error:
        raise AuditError(f"{path}: {error}") from None
    return signer


def read_public_key(directory: Path) -> VerifierKey | None:
    """The key that a log says it is signed with; None where it says nothing. Raises ``AuditError``."""
    path = directory / PUBLIC_KEY_NAME
    try:
        return VerifierKey.parse(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (NoteError, UnicodeDecodeError) as error:
        raise AuditError(f"{path}: {error}") from None


def _load(path: Path, random: Callable[[int], bytes]) -> bytes:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        key = path.read_bytes()
    else:
        key = random(_SIZE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
    if len(key) != _SIZE:
        raise ValueError(f"the key must have {_SIZE} bytes, not {len(key)}")
    return key
