"""Commands as text: for the audit and for fingerprints."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from bson import json_util

from gateway_mongodb._texts_reference import LEFT_OUT, secret_text
from gateway_mongodb.commands import ON_DOCUMENTS, SECRET
from gateway_mongodb.wire.codec import decode

if TYPE_CHECKING or os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
    from gateway_mongodb._texts_reference import COMPILED, command_text
else:
    try:
        from gateway_mongodb._texts import COMPILED, command_text
    except ImportError:
        from gateway_mongodb._texts_reference import COMPILED, command_text

__all__ = ["COMPILED", "command_text", "fingerprint", "normalised_text", "shown_text"]


class _Part(Enum):
    """What a part of a command is made of: which of its values are the user's literals depends on that."""

    COMMAND = "command"
    """The command's own fields."""
    EXPRESSION = "expression"
    """Stages and expressions, where ``$name`` is a path."""
    FILTER = "filter"
    """Conditions: every value is a literal, but what is inside ``$expr``."""
    VALUE = "value"
    """Documents: every value is a literal, and so is a text that begins with a dollar sign."""


_SWITCHES: Final = frozenset("multi limit upsert ordered remove new".split())
"""Fields of commands whose numbers and truth values are kept: they are no literals of the user's."""
_MEANS: Final = frozenset({"$exists", "$type", "$meta"})
"""The same of operators."""
_PARTS: Final = {
    **dict.fromkeys("updates deletes ops nsInfo explain".split(), _Part.COMMAND),
    **dict.fromkeys("pipeline projection fields sort indexes".split(), _Part.EXPRESSION),
    **dict.fromkeys("filter query q arrayFilters validator".split(), _Part.FILTER),
}
"""Fields of commands; all others hold values."""
_NAMED: Final = frozenset("key viewOn collection ns".split())
"""Fields of commands whose texts are names of things."""
_NAMES: Final = {
    operator: frozenset(names.split())
    for operator, names in {
        "$lookup": "from localField foreignField as",
        "$graphLookup": "from connectFromField connectToField as depthField",
        "$unionWith": "coll",
        "$out": "db coll",
        "$merge": "into on",
        "into": "db coll",
        "$unwind": "path includeArrayIndex",
        "$geoNear": "distanceField includeLocs key",
        "$map": "as",
        "$filter": "as",
    }.items()
}
"""The same in stages and expressions, by operator."""
_JSON: Final = json_util.RELAXED_JSON_OPTIONS


_EXPLAIN: Final = b"\x03explain\0"
_PASSWORDS: Final = tuple(b"\x02%b\0" % name for name in (b"pwd", b"password", b"passwd", b"passphrase", b"secret"))
"""How a field that holds a password as a text begins in BSON."""


def shown_text(body: bytes, sequences: Sequence[tuple[str, bytes]] = ()) -> str:
    """The command's text as the audit and an approver may have it: without credentials.

    A command that is explained is like one that runs. One that is not about documents and holds a field that is called
    as a password (a misspelt createUser) tells no more than its name.
    """
    if body.startswith(_EXPLAIN, 4) or _holds_password(body, sequences):
        command = decode(body)
        name = str(next(iter(command)))
        explained = command[name]
        inner = next(iter(explained), "") if isinstance(explained, Mapping) else ""
        ran = str(inner or name).lower()
        if ran in SECRET or (ran not in ON_DOCUMENTS and _holds_password(body, sequences)):
            return secret_text(name, command)
    return command_text(body, sequences)


def _holds_password(body: bytes, sequences: Sequence[tuple[str, bytes]]) -> bool:
    for field in _PASSWORDS:
        if field in body:
            return True
    return any(field in data for _, data in sequences for field in _PASSWORDS)


def normalised_text(command: Mapping[str, Any]) -> str:
    """A command as relaxed Extended JSON with literals replaced by ``?``; several alike in an array are one."""
    name = str(next(iter(command), ""))
    if name.lower() in SECRET:
        return json_util.dumps({name: "?"}, json_options=_JSON)
    return json_util.dumps(_command(command, 0), json_options=_JSON)


def fingerprint(database: str, normalised: str) -> str:
    """Hex digest, equal for commands that differ in literals only."""
    return hashlib.sha256(f"{database}\0{normalised}".encode()).hexdigest()[:32]


def _command(command: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """A command, be it inside another one. The value of its first field is a name, or stands for nothing."""
    name = next(iter(command), "")
    return {
        key: value
        if key == name and not isinstance(value, Mapping | list | tuple)
        else _normalised(value, str(key), _Part.COMMAND, str(name), depth)
        for key, value in command.items()
        if key not in LEFT_OUT
    }


def _normalised(value: Any, key: str, part: _Part, owner: str, depth: int) -> Any:
    """The value of the field ``key``. ``part`` is what the field's document is, ``owner`` the field that holds that."""
    if depth > 60:
        return "?"
    if isinstance(value, Mapping):
        inside = _inside(key, part, value)
        if inside is _Part.COMMAND and key == "explain":
            return _command(value, depth + 1)
        return {name: _normalised(item, str(name), inside, key, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        within = _inside(key, part, value)
        items = [_item(item, key, part, within, owner, depth) for item in value]
        return items[:1] if items and all(item == items[0] for item in items) else items
    if isinstance(value, str):
        return value if _is_name(value, key, part, owner) else "?"
    kept = _SWITCHES if part is _Part.COMMAND else _MEANS
    return value if key in kept and part is not _Part.VALUE else "?"


def _item(item: Any, key: str, part: _Part, within: _Part, owner: str, depth: int) -> Any:
    """One of an array: a document is what the field holds, anything else is as if it stood alone."""
    if isinstance(item, Mapping):
        return {name: _normalised(value, str(name), within, key, depth + 1) for name, value in item.items()}
    return _normalised(item, key, part, owner, depth + 1)


def _is_name(text: str, key: str, part: _Part, owner: str) -> bool:
    match part:
        case _Part.COMMAND:
            return key in _NAMED
        case _Part.EXPRESSION:
            return (text.startswith("$") and key != "$literal") or key in _NAMES.get(owner, ())
        case _Part.FILTER | _Part.VALUE:
            return False


def _inside(key: str, part: _Part, value: Any) -> _Part:
    """What the document or array in a field is made of."""
    match part:
        case _Part.COMMAND if key in ("u", "update", "updateMods") and isinstance(value, list | tuple):
            return _Part.EXPRESSION  # an update by a pipeline
        case _Part.COMMAND:
            return _PARTS.get(key, _Part.VALUE)
        case _Part.EXPRESSION if key == "$literal":
            return _Part.VALUE
        case _Part.EXPRESSION if key in ("$match", "query", "restrictSearchWithMatch"):
            return _Part.FILTER
        case _Part.FILTER if key == "$expr":
            return _Part.EXPRESSION
        case _:
            return part
