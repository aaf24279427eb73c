# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Rows as COPY sends them, on raw memory. ``_copied_reference`` is the specification: same names, results and errors.

Every read is checked against its message, and the room for a line is made before it is written: a value becomes at
most twice as long, and two quotes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy

from gateway.errors import RemoteProtocolError

include "gateway/masking/row_buffers.pxi"
include "plugins/postgres/gateway_postgres/lengths.pxi"

COMPILED = True

cdef Bytes LETTERS = b"btnvfr"


cdef class Spelling:
    """How values of one result are spelt. ``forced`` has one byte for each column: 1 quotes it whatever is in it."""

    cdef readonly bint csv
    cdef readonly bytes null
    cdef readonly bytes forced
    cdef unsigned char delimiter
    cdef unsigned char quote
    cdef unsigned char escape
    cdef unsigned char letters[256]   # what stands behind the backslash; 0 where there is none

    def __init__(self, csv, bytes delimiter, bytes null, bytes quote, bytes escape, bytes forced):
        cdef int code
        if not len(delimiter) == len(quote) == len(escape) == 1:
            raise ValueError("delimiter, quote and escape are one byte each")
        self.csv = csv
        self.null = null
        self.forced = forced
        self.delimiter = delimiter[0]
        self.quote = quote[0]
        self.escape = escape[0]
        for code in range(256):
            self.letters[code] = 0
        for code in range(6):
            self.letters[8 + code] = LETTERS[code]
        self.letters[0x5C] = 0x5C
        if not self.letters[self.delimiter]:
            self.letters[self.delimiter] = self.delimiter

    cdef bint quoted(self, Bytes value, Py_ssize_t size, Py_ssize_t column) noexcept:
        if self.forced[column]:
            return True
        if size == PyBytes_GET_SIZE(self.null) and not memcmp(value, PyBytes_AS_STRING(self.null), size):
            return True
        if size == 2 and PyBytes_GET_SIZE(self.forced) == 1 and value[0] == 0x5C and value[1] == 0x2E:
            return True
        return size > 0 and (
            memchr(value, self.delimiter, size) != NULL
            or memchr(value, self.quote, size) != NULL
            or memchr(value, 0x0A, size) != NULL
            or memchr(value, 0x0D, size) != NULL
        )

    cdef unsigned char* write(self, unsigned char* to, Bytes value, Py_ssize_t size, Py_ssize_t column) noexcept:
        """Spell one value; returns the position behind it."""
        cdef Py_ssize_t index
        cdef unsigned char byte, letter
        if not self.csv:
            for index in range(size):
                byte = value[index]
                letter = self.letters[byte]
                if letter:
                    to[0] = 0x5C
                    to[1] = letter
                    to += 2
                else:
                    to[0] = byte
                    to += 1
            return to
        if not self.quoted(value, size, column):
            memcpy(to, value, size)
            return to + size
        to[0] = self.quote
        to += 1
        for index in range(size):
            byte = value[index]
            if byte == self.quote or byte == self.escape:
                to[0] = self.escape
                to += 1
            to[0] = byte
            to += 1
        to[0] = self.quote
        return to + 1

    def spell(self, bytes value, Py_ssize_t column):
        """One value that is not NULL."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
        cdef unsigned char* place = <unsigned char*>malloc(2 * size + 2)
        if place == NULL:
            raise MemoryError()
        try:
            if not 0 <= column < PyBytes_GET_SIZE(self.forced):
                raise IndexError(column)
            end = self.write(place, <Bytes>PyBytes_AS_STRING(value), size, column)
            return PyBytes_FromStringAndSize(<char*>place, end - place)
        finally:
            free(place)


def copied_rows(bytes buf, Py_ssize_t start, Py_ssize_t end, Spelling spelling):
    """The complete DataRow messages between ``start`` and ``end``, values in text form, as CopyData messages.

    Raises ``RemoteProtocolError`` at anything else.
    """
    cdef Py_ssize_t position, stop, size, column
    cdef Py_ssize_t columns = PyBytes_GET_SIZE(spelling.forced)
    cdef Py_ssize_t null_size = PyBytes_GET_SIZE(spelling.null)
    cdef Bytes data = lock(buf, start, end).data
    cdef Bytes null = <Bytes>PyBytes_AS_STRING(spelling.null)
    cdef _Output output = _Output()
    cdef unsigned char* line
    cdef unsigned char* to
    position = start
    while position < end:
        if end - position < 7 or data[position] != 0x44:
            raise RemoteProtocolError("DataRow: incomplete or another message")
        size = read_length(data + position + 1)
        if size < 6 or size > end - position - 1 or ((data[position + 5] << 8) | data[position + 6]) != columns:
            raise RemoteProtocolError("DataRow: its length or number of columns is not what was announced")
        stop = position + 1 + size
        output.reserve(2 * size + columns * (null_size + 3) + 6)
        line = output.data + output.used
        to = line + 5
        position += 7
        for column in range(columns):
            if stop - position < 4:
                raise RemoteProtocolError("DataRow: shorter than its columns")
            size = read_length(data + position)
            position += 4
            if size < -1 or size > stop - position:
                raise RemoteProtocolError("DataRow: shorter than its columns")
            if column:
                to[0] = spelling.delimiter
                to += 1
            if size < 0:
                memcpy(to, null, null_size)
                to += null_size
            else:
                to = spelling.write(to, data + position, size, column)
                position += size
        if position != stop:
            raise RemoteProtocolError("DataRow: longer than its columns")
        to[0] = 0x0A
        to += 1
        line[0] = 0x64
        write_length(line + 1, <uint32_t>(to - line - 1))
        output.used += to - line
    return PyBytes_FromStringAndSize(<char*>output.data, output.used)
