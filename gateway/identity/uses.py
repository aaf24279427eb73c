"""When issued tokens were last used, for gateways that nobody else keeps it for: a small file, written now and then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from gateway.identity.files import write_private

FILE: Final = "token-uses.json"
INTERVAL: Final = 10.0
"""Seconds between writes, at most one where somebody logged in."""
_KEPT: Final = 100_000


class TokenUses:
    """Unix seconds by token id, in ``data_dir``. Losing the file loses nothing that counts."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE

    def read(self) -> dict[str, float]:
        """What is known; nothing where the file is not there or damaged."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, float])
        except (OSError, msgspec.MsgspecError):
            return {}

    def add(self, uses: Mapping[str, float]) -> None:
        """Write new uses. Raises ``OSError``."""
        if uses:
            known = {**self.read(), **uses}
            newest = dict(sorted(known.items(), key=lambda item: item[1])[-_KEPT:])
            write_private(self._path, msgspec.json.encode(newest))
