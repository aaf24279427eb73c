"""The token for the first administrator: in a file that only the gateway's user can read, until it is used."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.identity.files import write_private

FILE: Final = "bootstrap-token"
_PREFIX: Final = "qgb_"


def write_bootstrap_token(data_dir: Path, random: Callable[[int], bytes]) -> Path:
    """The file with the token; made where there is none."""
    path = data_dir / FILE
    if not path.exists():
        token = _PREFIX + base64.urlsafe_b64encode(random(24)).decode("ascii")
        write_private(path, token.encode("ascii") + b"\n")
    return path


def read_bootstrap_token(data_dir: Path) -> str | None:
    """The token, or None where there is none (any more)."""
    try:
        return (data_dir / FILE).read_text("ascii").strip() or None
    except FileNotFoundError:
        return None


def remove_bootstrap_token(data_dir: Path) -> None:
    """Once there is an administrator, it opens nothing."""
    (data_dir / FILE).unlink(missing_ok=True)
