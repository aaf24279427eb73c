"""Commands as text: for the audit and for fingerprints."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bson import json_util

from gateway_mongodb._texts_reference import LEFT_OUT
from gateway_mongodb.commands import SECRET

if TYPE_CHECKING or os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
    from gateway_mongodb._texts_reference import COMPILED, command_text
else:
    try:
        from gateway_mongodb._texts import COMPILED, command_text
    except ImportError:
        from gateway_mongodb._texts_reference import COMPILED, command_text

__all__ = ["COMPILED", "command_text", "fingerprint", "normalised_text"]

_KEEP: Final = frozenset("$exists $type $meta multi limit upsert ordered remove new".split())
"""Fields whose values a normalised text keeps: they are no literals of the user's."""
_NAMES: Final = frozenset(
    """from localField foreignField as coll db into connectFromField connectToField key collection viewOn ns path
    distanceField on""".split()
)
_JSON: Final = json_util.RELAXED_JSON_OPTIONS


def normalised_text(command: Mapping[str, Any]) -> str:
    """A command as relaxed Extended JSON with literals replaced by ``?``; several alike in an array are one."""
    name = str(next(iter(command), ""))
    if name.lower() in SECRET:
        return json_util.dumps({name: "?"}, json_options=_JSON)
    shown = {
        key: value if key == name else _normalised(value, str(key), 0)
        for key, value in command.items()
        if key not in LEFT_OUT
    }
    return json_util.dumps(shown, json_options=_JSON)


def fingerprint(database: str, normalised: str) -> str:
    """Hex digest, equal for commands that differ in literals only."""
    return hashlib.sha256(f"{database}\0{normalised}".encode()).hexdigest()[:32]


def _normalised(value: Any, key: str, depth: int) -> Any:
    if depth > 60:
        return "?"
    if isinstance(value, Mapping):
        return {name: _normalised(item, str(name), depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_normalised(item, key, depth + 1) for item in value]
        return items[:1] if items and all(item == items[0] for item in items) else items
    if isinstance(value, str):
        return value if value.startswith("$") or key in _NAMES else "?"
    return value if key in _KEEP else "?"
