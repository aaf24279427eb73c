"""The secret behind keyed masking functions.

One key of 32 random bytes per installation. Each function and each domain (the labels of a column) works with a subkey
of its own (HMAC-SHA-256 over unambiguously framed names), so that what a mask makes of a value in one domain says
nothing about another domain. Gateways that shall mask alike need the same key file.
"""

from __future__ import annotations

import hmac
import os
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import ConfigurationError

KEY_SIZE = 32


@dataclass(frozen=True, slots=True)
class MaskingKeys:
    """Key material for masking functions. Raises ``ConfigurationError`` for a key that is not 32 bytes long."""

    key: bytes = field(repr=False)
    _subkeys: dict[tuple[str, str], bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_SIZE:
            raise ConfigurationError(f"a masking key has {KEY_SIZE} bytes, not {len(self.key)}")

    def digest(self, function: str, domain: str, data: bytes) -> bytes:
        """32 bytes that depend on all three and that nobody without the key can compute."""
        subkey = self._subkeys.get((function, domain))
        if subkey is None:
            framed = b"".join(len(part).to_bytes(4, "big") + part for part in (function.encode(), domain.encode()))
            subkey = self._subkeys[function, domain] = hmac.digest(self.key, framed, "sha256")
        return hmac.digest(subkey, data, "sha256")


def load_or_create_key(path: Path, *, random: Callable[[int], bytes] = os.urandom) -> MaskingKeys:
    """Read the key file, or make it (mode 0600) where there is none.

    Two processes that start together end up with one key: the file appears whole, and the first one stays.
    Raises ``ConfigurationError`` if the file cannot be used: another size, not a regular file, or readable by others.
    """
    try:
        if not path.exists():
            _create(path, random(KEY_SIZE))
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"masking key {path}: not a regular file")
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError(f"masking key {path}: others may read it; run: chmod 600 {path}")
            key = file.read(KEY_SIZE + 1)
    except OSError as error:
        raise ConfigurationError(f"masking key {path}: {error.strerror or error}") from error
    if len(key) != KEY_SIZE:
        raise ConfigurationError(f"masking key {path}: not a key of {KEY_SIZE} bytes")
    return MaskingKeys(key)


def _create(path: Path, key: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp gives mode 0600.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, does not replace a key that another process made in the meantime.
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink(missing_ok=True)
