"""JSON for the audit: deterministic, and never failing because of a strange character."""

from __future__ import annotations

import msgspec

_encoder = msgspec.json.Encoder()


def to_json(value: object) -> bytes:
    """Encode a value that msgspec knows.

    Text from a wire may hold lone surrogates (bytes that are no UTF-8, kept by ``surrogateescape``). They have no JSON
    form; they are written as ``\\udcXX`` in the text, so that an odd byte cannot keep a statement out of the audit.
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_clean(msgspec.to_builtins(value)))


def _clean(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case list():
            return [_clean(item) for item in value]
        case dict():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case _:
            return value
