"""The types of BSON elements (bsonspec.org, version 1.1), and the sizes that they fix."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DOUBLE: Final = 0x01
STRING: Final = 0x02
DOCUMENT: Final = 0x03
ARRAY: Final = 0x04
BINARY: Final = 0x05
UNDEFINED: Final = 0x06
OBJECT_ID: Final = 0x07
BOOLEAN: Final = 0x08
DATE: Final = 0x09
NULL: Final = 0x0A
REGEX: Final = 0x0B
DB_POINTER: Final = 0x0C
CODE: Final = 0x0D
SYMBOL: Final = 0x0E
CODE_WITH_SCOPE: Final = 0x0F
INT32: Final = 0x10
TIMESTAMP: Final = 0x11
INT64: Final = 0x12
DECIMAL128: Final = 0x13
MIN_KEY: Final = 0xFF
MAX_KEY: Final = 0x7F

FIXED_SIZES: Final[Mapping[int, int]] = MappingProxyType(
    {
        DOUBLE: 8,
        UNDEFINED: 0,
        OBJECT_ID: 12,
        BOOLEAN: 1,
        DATE: 8,
        NULL: 0,
        INT32: 4,
        TIMESTAMP: 8,
        INT64: 8,
        DECIMAL128: 16,
        MIN_KEY: 0,
        MAX_KEY: 0,
    }
)
"""Bytes of a value, where its type tells; other values tell it themselves, or end with a zero byte."""
