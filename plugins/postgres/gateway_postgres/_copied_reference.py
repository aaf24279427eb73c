"""Rows as COPY sends them, in plain Python: the specification of ``_copied.pyx`` and its fallback."""

from __future__ import annotations

from struct import Struct

from gateway.errors import RemoteProtocolError

COMPILED = False

_LENGTH = Struct("!i")
_COUNT = Struct("!H")
_DATA_ROW = ord("D")
_COPY_DATA = b"d"
_LETTERS = {8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r"}
_END_OF_DATA = b"\\."


class Spelling:
    """How values of one result are spelt. ``forced`` has one byte for each column: 1 quotes it whatever is in it."""

    __slots__ = ("_escaped", "csv", "delimiter", "escape", "forced", "null", "quote")

    def __init__(self, csv: bool, delimiter: bytes, null: bytes, quote: bytes, escape: bytes, forced: bytes) -> None:
        if not len(delimiter) == len(quote) == len(escape) == 1:
            raise ValueError("delimiter, quote and escape are one byte each")
        self.csv = csv
        self.delimiter = delimiter
        self.null = null
        self.quote = quote
        self.escape = escape
        self.forced = forced
        escaped = {code: b"\\" + letter for code, letter in _LETTERS.items()}
        escaped[ord("\\")] = b"\\\\"
        escaped.setdefault(delimiter[0], b"\\" + delimiter)
        self._escaped = escaped

    def spell(self, value: bytes, column: int) -> bytes:
        """One value that is not NULL."""
        if not self.csv:
            escaped = self._escaped
            return b"".join(escaped.get(code) or bytes((code,)) for code in value)
        quoted = (
            bool(self.forced[column])
            or value == self.null
            or (len(self.forced) == 1 and value == _END_OF_DATA)
            or any(mark in value for mark in (self.delimiter, self.quote, b"\n", b"\r"))
        )
        if not quoted:
            return value
        inside = value
        if self.escape != self.quote:
            inside = inside.replace(self.escape, self.escape * 2)
        return self.quote + inside.replace(self.quote, self.escape + self.quote) + self.quote


def copied_rows(buf: bytes, start: int, end: int, spelling: Spelling) -> bytes:
    """The complete DataRow messages between ``start`` and ``end``, values in text form, as CopyData messages.

    Raises ``RemoteProtocolError`` at anything else.
    """
    if not 0 <= start <= end <= len(buf):
        raise ValueError("range outside the buffer")
    output = bytearray()
    position = start
    while position < end:
        if end - position < 7 or buf[position] != _DATA_ROW:
            raise RemoteProtocolError("DataRow: incomplete or another message")
        stop = position + 1 + _LENGTH.unpack_from(buf, position + 1)[0]
        if stop > end or _COUNT.unpack_from(buf, position + 5)[0] != len(spelling.forced):
            raise RemoteProtocolError("DataRow: its length or number of columns is not what was announced")
        line = _spelt(buf, position + 7, stop, spelling)
        output += _COPY_DATA + _LENGTH.pack(4 + len(line)) + line
        position = stop
    return bytes(output)


def _spelt(buf: bytes, position: int, stop: int, spelling: Spelling) -> bytes:
    values = []
    for column in range(len(spelling.forced)):
        if stop - position < 4:
            raise RemoteProtocolError("DataRow: shorter than its columns")
        size = _LENGTH.unpack_from(buf, position)[0]
        position += 4
        if size < -1 or size > stop - position:
            raise RemoteProtocolError("DataRow: shorter than its columns")
        if size < 0:
            values.append(spelling.null)
        else:
            values.append(spelling.spell(bytes(buf[position : position + size]), column))
            position += size
    if position != stop:
        raise RemoteProtocolError("DataRow: longer than its columns")
    return spelling.delimiter.join(values) + b"\n"
