"""What a ruling for a command is remembered by: the specification of ``_keys.pyx`` and its fallback.

The key keeps every name and every operator, and of literals in filters and updates only the type: a find by ``_id`` has
the same key whatever the id. Whatever is not known to be without meaning is kept byte for byte, so that two commands
with one key have the same facts and shapes. It is made from BSON, without decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from gateway_mongodb.wire import types

COMPILED = False
MAX_KEY: Final = 16_384
"""Longer keys are not worth keeping."""
MAX_DEPTH: Final = 40
_LENGTH: Final = Struct("<i")
_STRINGS: Final = (types.STRING, types.CODE, types.SYMBOL)

_EXACT: Final = 0
_DROP: Final = 1
_NAME: Final = 2
_FILTER: Final = 3
_PIPELINE: Final = 4
_STATEMENTS: Final = 5
_UPDATE: Final = 6
_FIELD: Final = 7
_VALUES: Final = 8
_FILTERS: Final = 9
_OPERATOR: Final = 10
_STAGE: Final = 11
_STATEMENT: Final = 12
_TOP: Final = 13

RULES: Final[dict[int, dict[bytes, int]]] = {
    _TOP: {
        **dict.fromkeys(
            (
                b"lsid $clusterTime txnNumber autocommit startTransaction maxTimeMS comment readConcern writeConcern"
                b" $readPreference apiVersion apiStrict apiDeprecationErrors"
            ).split(),
            _DROP,
        ),
        **dict.fromkeys(b"limit skip batchSize ordered documents singleBatch cursor".split(), _NAME),
        **dict.fromkeys(b"filter query".split(), _FILTER),
        b"update": _UPDATE,
        b"pipeline": _PIPELINE,
        b"updates": _STATEMENTS,
        b"deletes": _STATEMENTS,
    },
    _STATEMENT: {b"q": _FILTER, b"u": _UPDATE},
    _FILTER: {b"$and": _FILTERS, b"$nor": _FILTERS},
    _FIELD: {
        **dict.fromkeys(b"$eq $ne $gt $gte $lt $lte $size $mod $all".split(), _NAME),
        b"$in": _VALUES,
        b"$nin": _VALUES,
        b"$not": _FIELD,
    },
    _UPDATE: dict.fromkeys(
        b"$set $setOnInsert $inc $mul $min $max $unset $currentDate $push $addToSet $pop $pullAll".split(), _OPERATOR
    ),
    _STAGE: {b"$match": _FILTER, b"$limit": _NAME, b"$skip": _NAME},
}


class _Unkeyed(ValueError):
    """Nothing that a ruling should be remembered by."""


def cache_key(body: bytes, sequences: Sequence[str | tuple[str, bytes]] = ()) -> bytes | None:
    """What a ruling for the command is remembered by; None where every such command has to be looked at.

    ``body`` is the BSON of the command's body, ``sequences`` its document sequences: name and documents, one after the
    other. Equal keys mean equal facts and shapes.
    """
    out: list[bytes] = []
    try:
        _document(body, 0, len(body), _TOP, 0, out)
        for sequence in sequences:
            if isinstance(sequence, str):
                if sequence != "documents":
                    return None
                out.append(b"\x01documents\0")
            else:
                _sequence(*sequence, out)
    except (_Unkeyed, IndexError, ValueError):
        return None
    key = b"".join(out)
    return key if len(key) <= MAX_KEY else None


def _sequence(name: str, data: bytes, out: list[bytes]) -> None:
    out.append(b"\x01" + name.encode() + b"\0")
    if name == "documents":
        return
    if name not in ("updates", "deletes"):
        raise _Unkeyed
    position = 0
    while position < len(data):
        size = _LENGTH.unpack_from(data, position)[0] if len(data) - position >= 5 else 0
        if size < 5 or size > len(data) - position:
            raise _Unkeyed
        _document(data, position, position + size, _STATEMENT, 1, out)
        position += size


def _document(data: bytes, start: int, stop: int, mode: int, depth: int, out: list[bytes]) -> None:
    """A document, or an array of them, in one of the modes; the end is marked, so that keys say where it was."""
    if depth > MAX_DEPTH or stop - start < 5 or data[stop - 1]:
        raise _Unkeyed
    rules = RULES.get(mode, {})
    position, end = start + 4, stop - 1
    first = True
    while position < end:
        kind = data[position]
        name_end = data.index(b"\0", position + 1, end)
        name = data[position + 1 : name_end]
        value = name_end + 1
        following = value + value_size(kind, data, value, end)
        if following > end:
            raise _Unkeyed
        rule = rules.get(name, _EXACT)
        if mode == _TOP and first:
            rule = _EXACT
        elif mode == _FILTER and not name.startswith(b"$"):
            rule = _FIELD
        elif mode == _OPERATOR:
            rule = _NAME
        elif mode in (_STATEMENTS, _FILTERS, _PIPELINE):
            rule = {_STATEMENTS: _STATEMENT, _FILTERS: _FILTER, _PIPELINE: _STAGE}[mode]
        elif mode == _UPDATE and first and not name.startswith(b"$"):
            _replacement(data, start, stop, out)
            return
        first = False
        if rule != _DROP:
            _element(data, position, value, following, kind, rule, depth, out)
        position = following
    out.append(b"\0")


def _replacement(data: bytes, start: int, stop: int, out: list[bytes]) -> None:
    """A document that takes another's place: its fields say nothing, unless one is an operator after all."""
    position, end = start + 4, stop - 1
    while position < end:
        value = data.index(b"\0", position + 1, end) + 1
        if data[position + 1] == 0x24:
            raise _Unkeyed
        position = value + value_size(data[position], data, value, end)
    out.append(b"\xfd")


def _element(
    data: bytes, position: int, value: int, stop: int, kind: int, rule: int, depth: int, out: list[bytes]
) -> None:
    if rule == _NAME:
        out.append(data[position:value])
    elif rule == _EXACT:
        out.append(data[position:stop])
    elif rule == _VALUES:
        out.append(data[position:value])
        if kind != types.ARRAY:
            out.append(data[value:stop])
        else:
            _kinds(data, value, stop, out)
    elif kind == types.ARRAY and rule in (_FILTERS, _PIPELINE, _STATEMENTS):
        out.append(data[position:value])
        _document(data, value, stop, rule, depth + 1, out)
    elif kind == types.DOCUMENT and rule == _FIELD:
        out.append(data[position:value])
        if data[value + 4] and data[value + 5 : value + 6] == b"$":
            _document(data, value, stop, _FIELD, depth + 1, out)
        else:
            out.append(b"\xfe")
    elif kind == types.DOCUMENT and rule in (_FILTER, _UPDATE, _OPERATOR, _STATEMENT, _STAGE):
        out.append(data[position:value])
        _document(data, value, stop, rule, depth + 1, out)
    elif rule == _FIELD and kind not in (types.DOCUMENT, types.REGEX):
        out.append(data[position:value])
    else:
        out.append(data[position:stop])


def _kinds(data: bytes, start: int, stop: int, out: list[bytes]) -> None:
    """The types of an array's elements, whatever their number; one with a regular expression is kept whole."""
    found = set()
    position, end = start + 4, stop - 1
    while position < end:
        kind = data[position]
        value = data.index(b"\0", position + 1, end) + 1
        position = value + value_size(kind, data, value, end)
        found.add(kind)
    if position > end or types.REGEX in found:
        out.append(data[start:stop])
    else:
        out.append(bytes(sorted(found)) + b"\0")


def value_size(kind: int, data: bytes, start: int, end: int) -> int:
    """Bytes of a value that begins at ``start``. Raises ``ValueError`` for a type that no key is made of."""
    size = types.FIXED_SIZES.get(kind)
    if size is not None:
        return size
    if kind == types.REGEX:
        return data.index(b"\0", data.index(b"\0", start, end) + 1, end) + 1 - start
    if end - start < 4:
        raise _Unkeyed
    stated: int = _LENGTH.unpack_from(data, start)[0]
    if stated < 0:
        raise _Unkeyed
    if kind in _STRINGS:
        return 4 + stated
    if kind in (types.DOCUMENT, types.ARRAY):
        return max(stated, 5)
    if kind == types.BINARY:
        return 5 + stated
    if kind == types.DB_POINTER:
        return 16 + stated
    if kind == types.CODE_WITH_SCOPE and stated >= 14:
        return stated
    raise _Unkeyed
