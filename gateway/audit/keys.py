"""The key behind ``literals: hash``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.errors import ConfigurationError

KEY_NAME: Final = "audit-literals.key"
_SIZE: Final = 32


def load_literal_key(data_dir: Path, random: Callable[[int], bytes] = os.urandom) -> bytes:
    """The key kept in ``data_dir``, made on the first call: 32 random bytes in a file that only its owner can read.

    Whoever has the key can test guesses of a literal, so it must not travel with the log. Raises ``ConfigurationError``
    where the file cannot be used.
    """
    path = data_dir / KEY_NAME
    try:
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
    except OSError as error:
        raise ConfigurationError(f"{path}: the key for audit.literals cannot be used: {error.strerror}") from None
    if len(key) != _SIZE:
        raise ConfigurationError(f"{path}: the key for audit.literals must have {_SIZE} bytes, not {len(key)}")
    return key
