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


def clean_text(text: str) -> str:
    """The text with ``\\udcXX`` written out for every lone surrogate."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _clean(value: object) -> object:
    match value:
        case str():
            return clean_text(value)
        case list():
            return [_clean(item) for item in value]
        case dict():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case _:
            return value
