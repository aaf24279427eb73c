"""Character sets: what bytes mean, by the names and collation numbers that the protocol uses."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

BINARY: Final = 63
"""The collation number of columns whose bytes are not text."""

CODECS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "utf8mb4": "utf-8",
        "utf8mb3": "utf-8",
        "utf8": "utf-8",
        "ascii": "ascii",
        "latin1": "cp1252",
        "latin2": "iso8859-2",
        "latin5": "iso8859-9",
        "latin7": "iso8859-13",
        "cp1250": "cp1250",
        "cp1251": "cp1251",
        "cp1256": "cp1256",
        "cp1257": "cp1257",
        "cp850": "cp850",
        "cp852": "cp852",
        "cp866": "cp866",
        "greek": "iso8859-7",
        "hebrew": "iso8859-8",
        "koi8r": "koi8-r",
        "koi8u": "koi8-u",
        "binary": "latin-1",
    }
)
"""Python's names of character sets whose characters hold no ASCII byte that is not that character, so that quotes are
where they seem to be. sjis, gbk, big5 and cp932 are not among them."""


def is_utf8(charset: str) -> bool:
    """Whether a text in this character set may be looked up by its bytes."""
    return charset.startswith("utf8")


def codec_of(collation: int) -> str:
    """Python's name of a collation's character set; ``ascii`` for those not known, so that only ASCII is decoded.

    Numbers are those of the servers' tables of collations: MySQL 8.4 and MariaDB 11.4.
    """
    if (
        collation in (33, 45, 46, 76, 83)
        or 192 <= collation <= 247
        or 255 <= collation <= 323
        or 576 <= collation <= 647  # MariaDB: nopad and further UCA collations of utf8mb3 and utf8mb4
        or 1057 <= collation <= 1271
        or 2048 <= collation < 2560  # MariaDB's uca1400
    ):
        return "utf-8"
    if collation in (5, 8, 15, 31, 47, 48, 49, 94):
        return "cp1252"
    return "ascii"
