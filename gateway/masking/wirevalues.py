"""Masking functions on wire values: how a type travels, and a mask compiled to work on it.

A protocol lists its types as codecs; here they meet masking functions. Nothing here is of one database.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from gateway.domain.masking import MaskingFunction, Value, ValueKind
from gateway.errors import MaskingError
from gateway.masking.cells import CellMask, Computed, Constant, Partial
from gateway.masking.shown import PartialText

TEXT_FORMAT: Final = 0
BINARY_FORMAT: Final = 1

UNCOVERED: Final = (ValueError, ArithmeticError, struct.error)
"""What codecs raise for a value that they do not cover."""

V = TypeVar("V", bound=Value)


class Codec(Protocol):
    """How the values of one type travel. ``encoding`` is Python's name of the session's character set."""

    @property
    def kind(self) -> ValueKind:
        """What masking functions are told."""

    def decode(self, wire: bytes, wire_format: int, encoding: str) -> Value:
        """From wire bytes. Raises one of ``UNCOVERED`` for what it does not cover."""

    def encode(self, value: Value, wire_format: int, encoding: str) -> bytes:
        """To wire bytes. Raises one of ``UNCOVERED``, and ``TypeError`` for a value that is not of the kind."""


@dataclass(frozen=True, slots=True)
class Scalar(Generic[V]):
    """A type whose text form is ASCII in every encoding."""

    kind: ValueKind
    python_type: type[V]
    from_text: Callable[[str], V]
    to_text: Callable[[V], str]
    from_binary: Callable[[bytes], V]
    to_binary: Callable[[V], bytes]

    def decode(self, wire: bytes, wire_format: int, encoding: str) -> Value:
        return self.from_binary(wire) if wire_format == BINARY_FORMAT else self.from_text(wire.decode("ascii"))

    def encode(self, value: Value, wire_format: int, encoding: str) -> bytes:
        # Exactly this type: a bool is an int to Python, and a datetime a date.
        if not isinstance(value, self.python_type) or type(value) is not self.python_type:
            raise TypeError(f"{type(value).__name__} is not of the kind {self.kind}")
        binary = self.to_binary(value)
        # The binary form has the type's limits, so it is made even where it is not sent.
        return binary if wire_format == BINARY_FORMAT else self.to_text(value).encode("ascii")


@dataclass(frozen=True, slots=True)
class Text:
    """A type that travels as text in both forms, in binary after ``prefix``.

    ``padded`` values (``char(n)``) end in spaces that are not part of them.
    """

    kind: ValueKind = ValueKind.TEXT
    prefix: bytes = b""
    padded: bool = False

    def decode(self, wire: bytes, wire_format: int, encoding: str) -> Value:
        if wire_format == BINARY_FORMAT:
            if not wire.startswith(self.prefix):
                raise ValueError("unknown version of the binary form")
            wire = wire[len(self.prefix) :]
        text = wire.decode(encoding)
        return text.rstrip(" ") if self.padded else text

    def encode(self, value: Value, wire_format: int, encoding: str) -> bytes:
        if type(value) is not str:
            raise TypeError(f"{type(value).__name__} is not of the kind {self.kind}")
        if "\0" in value:
            raise ValueError("text cannot hold NUL")
        wire = value.encode(encoding)
        return self.prefix + wire if wire_format == BINARY_FORMAT else wire


def compile_cell(
    mask: MaskingFunction, codec: Codec, wire_format: int, domain: str, *, encoding: str = "utf-8"
) -> CellMask:
    """Make a masking function work on the wire values of one result column, without changing their type or format.

    ``domain`` is the key domain for keyed functions, ``encoding`` Python's name of the session's character set. A value
    that the codec does not cover, or a result that the type cannot hold, becomes NULL.

    Raises ``MaskingError`` where nothing can be compiled, and its ``Computed`` masks do for a function that fails or
    returns what is not of the column's kind. No message holds a value.
    """
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise MaskingError(f"unknown encoding {encoding}") from None
    name = mask.spec.function
    has_constant, replacement, failure = True, None, ""
    try:
        replacement = mask.constant(codec.kind)
    except LookupError:
        has_constant = False
    except Exception as error:  # noqa: BLE001 - a plugin raises anything; the column is refused either way
        failure = type(error).__name__
    if failure:
        raise MaskingError(f'masking function "{name}" failed: {failure}')
    if has_constant:
        return Constant(_encode(name, codec, replacement, wire_format, encoding))
    compute = _computed(mask, codec, wire_format, domain, encoding)
    if isinstance(mask.apply, PartialText) and isinstance(codec, Text) and not codec.padded:
        run = _encode(name, codec, mask.apply.run, TEXT_FORMAT, encoding)
        return Constant(None) if run is None else Partial(mask.apply.first, mask.apply.last, run, compute)
    return Computed(compute)


def _computed(
    mask: MaskingFunction, codec: Codec, wire_format: int, domain: str, encoding: str
) -> Callable[[bytes], bytes | None]:
    apply, kind, name = mask.apply, codec.kind, mask.spec.function

    def compute(wire: bytes) -> bytes | None:
        try:
            value = codec.decode(wire, wire_format, encoding)
        except UNCOVERED:
            return None
        result, failure = None, ""
        try:
            result = apply(value, kind, domain)
        except Exception as error:  # noqa: BLE001 - a plugin raises anything; its message may hold the value
            failure = type(error).__name__
        # Outside the handler, so that the error does not carry the plugin's along.
        if failure:
            raise MaskingError(f'masking function "{name}" failed: {failure}')
        return _encode(name, codec, result, wire_format, encoding)

    return compute


def _encode(name: str, codec: Codec, value: Value | None, wire_format: int, encoding: str) -> bytes | None:
    """Wire bytes, or None for NULL and for what the type cannot hold."""
    if value is None:
        return None
    failure = ""
    try:
        return codec.encode(value, wire_format, encoding)
    except UNCOVERED:
        return None
    except TypeError as error:
        failure = str(error)
    raise MaskingError(f'masking function "{name}" returned what is not of the column: {failure}')
