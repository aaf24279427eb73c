"""Keys of commands, made from BSON without decoding, and what no command may have.

The function exists twice: compiled (``_keys``) and in plain Python (``_keys_reference``), which is the specification.
``QUERYGATE_PURE_PYTHON=1`` in the environment forces the second.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway_mongodb._keys_reference import value_size

if TYPE_CHECKING or os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
    from gateway_mongodb._keys_reference import COMPILED, cache_key
else:
    try:
        from gateway_mongodb._keys import COMPILED, cache_key
    except ImportError:
        from gateway_mongodb._keys_reference import COMPILED, cache_key

__all__ = ["COMPILED", "cache_key", "names_twice"]

_MAX_DEPTH = 200
_DATA = frozenset({b"documents", b"document"})
"""What is stored as it is: fields that occur twice in it are the database's business."""


def names_twice(body: bytes, sequences: Sequence[tuple[str, bytes]] = ()) -> bool:
    """Whether a document in a command has two fields of one name, or is malformed.

    The analysis would believe one of the two, the database perhaps the other one. What is merely stored is not looked
    at. Arguments are as for ``cache_key``.
    """
    try:
        return _twice(body, 0, len(body), 0) or any(
            _twice_in_sequence(data) for name, data in sequences if name.encode() not in _DATA
        )
    except (IndexError, ValueError):
        return True


def _twice_in_sequence(data: bytes) -> bool:
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "little")
        if size < 5 or size > len(data) - position or _twice(data, position, position + size, 1):
            return True
        position += size
    return False


def _twice(data: bytes, start: int, stop: int, depth: int) -> bool:
    if depth > _MAX_DEPTH or stop - start < 5:
        return True
    seen: set[bytes] = set()
    position, end = start + 4, stop - 1
    while position < end:
        kind = data[position]
        value = data.index(b"\0", position + 1, end) + 1
        name = data[position + 1 : value - 1]
        following = value + value_size(kind, data, value, end)
        if name in seen or following > end:
            return True
        seen.add(name)
        if kind in (3, 4) and name not in _DATA and _twice(data, value, following, depth + 1):
            return True
        position = following
    return False
