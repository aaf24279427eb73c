"""Functions under a key: the same value in the same domain always becomes the same, and nobody can compute it back.

They are for bare columns only. Over an expression, whoever writes the expression chooses values and sees what becomes
of them (``CASE WHEN id = 7 THEN tax_number ELSE '123' END``), and finds the value behind a mask by trying all.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from uuid import UUID

from gateway.domain.masking import MaskingFunction, MaskSpec, Value, ValueKind
from gateway.masking.arguments import Arguments
from gateway.masking.keys import MaskingKeys
from gateway.masking.sentinels import ShownTokens
from gateway.masking.whole import REDACTED

HASH_STRICTNESS = 80
TOKENISE_STRICTNESS = 70

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_DIGITS = "0123456789"
_BASE32 = frozenset("abcdefghijklmnopqrstuvwxyz234567")
_UNKNOWN = "?"
_CHUNK = 2
"""Bytes of key stream for a character: the bias of 65536 modulo 26 is below 0.04 %."""


@dataclass(frozen=True, slots=True)
class _Hash:
    keys: MaskingKeys
    length: int
    prefix: str

    def constant(self, kind: ValueKind) -> Value | None:
        if kind in (ValueKind.TEXT, ValueKind.INTEGER, ValueKind.UUID):
            raise LookupError(kind)
        return None

    def apply(self, value: Value, kind: ValueKind, domain: str) -> Value | None:
        match kind, value:
            case ValueKind.TEXT, str():
                digest = self.keys.digest("hash", domain, b"t" + _encode(value))
                return self.prefix + base64.b32encode(digest).decode("ascii").lower()[: self.length]
            case ValueKind.INTEGER, int():
                digest = self.keys.digest("hash", domain, b"i%d" % value)
                return int.from_bytes(digest[:4], "big") >> 1
            case ValueKind.UUID, UUID():
                digest = self.keys.digest("hash", domain, b"u" + value.bytes)
                # RFC 9562: version 8 is for values made in a way of one's own.
                number = int.from_bytes(digest[:16], "big") & ~(0xF000 << 64 | 0xC000 << 48)
                return UUID(int=number | 8 << 76 | 2 << 62)
            case _:
                return None

    def shows(self, text: str) -> bool:
        """Whether a text looks like a hash of a text."""
        return (
            len(text) == len(self.prefix) + self.length
            and text.startswith(self.prefix)
            and _BASE32.issuperset(text[len(self.prefix) :])
        )


@dataclass(frozen=True, slots=True)
class _Tokenise:
    keys: MaskingKeys
    keep: int
    shown: ShownTokens

    def constant(self, kind: ValueKind) -> Value | None:
        if kind in (ValueKind.TEXT, ValueKind.INTEGER):
            raise LookupError(kind)
        return None

    def apply(self, value: Value, kind: ValueKind, domain: str) -> Value | None:
        match kind, value:
            case ValueKind.TEXT, str():
                token = self._text(value, domain)
                self.shown.add(token)
                return token
            case ValueKind.INTEGER, int():
                digits = self._characters(str(abs(value)), domain, b"i")
                # A leading zero would be lost, and with it a digit.
                number = int(digits if digits[0] != "0" else "9" + digits[1:])
                number = -number if value < 0 else number
                self.shown.add(str(number))
                return number
            case _:
                return None

    def _text(self, value: str, domain: str) -> str:
        keep = self.keep if 2 * self.keep <= len(value) else 0
        hidden, shown = value[: len(value) - keep], value[len(value) - keep :]
        if not any(character.isalnum() for character in hidden):
            # Nothing of it would change.
            return REDACTED
        # The key stream depends on the whole value, so that equal beginnings do not show.
        return self._characters(hidden, domain, b"t" + _encode(shown) + b"\0") + shown

    def _characters(self, text: str, domain: str, context: bytes) -> str:
        data = context + _encode(text)
        stream = b""
        while len(stream) < _CHUNK * len(text):
            block = len(stream).to_bytes(4, "big")
            stream += self.keys.digest("tokenise", domain, block + data)
        numbers = (int.from_bytes(stream[i : i + _CHUNK], "big") for i in range(0, _CHUNK * len(text), _CHUNK))
        return "".join(_replace(character, number) for character, number in zip(text, numbers, strict=True))


def hash_(spec: MaskSpec, keys: MaskingKeys) -> MaskingFunction:
    """``hash``: ``prefix`` and ``length`` characters of base32 for text, 31 bits for integers, a UUID for a UUID.

    Other kinds become NULL. 16 characters (80 bits) by default.
    """
    arguments = Arguments(spec)
    length = arguments.integer("length", default=16, minimum=8, maximum=52)
    prefix = arguments.text("prefix", default="", minimum=0, maximum=32)
    arguments.done()
    function = _Hash(keys, length, prefix)
    return MaskingFunction(spec, HASH_STRICTNESS, True, function.constant, function.apply, function.shows)


def tokenise(spec: MaskSpec, keys: MaskingKeys) -> MaskingFunction:
    """``tokenise``: every digit becomes a digit and every letter a letter of the same case; ASCII separators stay.

    The last ``keep`` characters stay too, unless that is more than half. Integers keep their sign and number of digits
    (and none of these); other kinds become NULL.
    """
    arguments = Arguments(spec)
    keep = arguments.integer("keep", default=0, minimum=0, maximum=16)
    arguments.done()
    shown = ShownTokens()
    function = _Tokenise(keys, keep, shown)
    strictness = TOKENISE_STRICTNESS + max(0, 9 - keep)
    return MaskingFunction(spec, strictness, True, function.constant, function.apply, shown.holds)


def _encode(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _replace(character: str, number: int) -> str:
    if character.isalpha():
        letters = _UPPER if character.isupper() else _LOWER
        return letters[number % len(letters)]
    if character.isnumeric():
        return _DIGITS[number % len(_DIGITS)]
    return character if character.isascii() else _UNKNOWN
