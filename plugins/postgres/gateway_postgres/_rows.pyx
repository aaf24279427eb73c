# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The row kernels on raw memory. ``_rows_reference`` is the specification: same names, results and errors.

Every read is bounds-checked against the message, every message against the given range. The size of a masked row is
bounded before it is written: it is at most its old size plus what the masks of its columns can add, since a cell that
is replaced adds its new length and only takes away its old one, which may be zero.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from gateway.errors import MaskingError, MessageTooLarge, RemoteProtocolError
from gateway.masking.cells import Computed, Constant, Partial

include "gateway/masking/row_buffers.pxi"
include "plugins/postgres/gateway_postgres/lengths.pxi"

COMPILED = True

cdef enum:
    HEADER = 5
    MAX_LENGTH = 0x7FFFFFFF
    MAX_COLUMNS = 0xFFFF

cdef enum Kind:
    PASS = 0
    CONSTANT = 1
    PARTIAL = 2
    COMPUTED = 3

cdef struct Cell:
    Kind kind
    Py_ssize_t first
    Py_ssize_t last
    Bytes wire            # the replacement with its length before it; for a partial mask the run alone
    Py_ssize_t wire_size
    Py_ssize_t masked     # in the call at hand


cdef class RowMask:
    """How the rows of one result are masked; see the reference."""

    cdef readonly Py_ssize_t column_count
    cdef readonly tuple maskers
    cdef readonly tuple labels
    cdef Cell* cells
    cdef list kept       # the bytes that cells point into
    cdef list calls      # per column, what to call, or None
    cdef Py_ssize_t growth   # bytes that all constant and partial masks of a row can add to it

    def __init__(self, column_count, maskers, labels=None):
        cdef Py_ssize_t index
        cdef bytes wire
        if self.cells != NULL:
            raise ValueError("a row mask cannot be changed")
        if not 0 <= column_count <= MAX_COLUMNS or len(maskers) != column_count:
            raise ValueError("a row mask needs one entry for each column, at most 65535")
        self.maskers = tuple(maskers)
        self.labels = (((),) * column_count) if labels is None else tuple(labels)
        if len(self.labels) != column_count:
            raise ValueError("a row mask needs one entry for each column, at most 65535")
        self.kept = []
        self.calls = []
        self.growth = 0
        self.cells = <Cell*>PyMem_Malloc((column_count + 1) * sizeof(Cell))
        if self.cells == NULL:
            raise MemoryError()
        for index, masker in enumerate(self.maskers):
            self.cells[index].kind = PASS
            self.cells[index].first = self.cells[index].last = 0
            self.cells[index].wire = NULL
            self.cells[index].wire_size = 0
            call = None
            if masker is None:
                pass
            elif isinstance(masker, Constant):
                value = masker.value
                wire = b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value
                self._keep(index, CONSTANT, wire)
                self.growth += len(wire)
            elif isinstance(masker, Partial):
                self._keep(index, PARTIAL, bytes(masker.run))
                # More shown characters than any value can have mean the same as that many.
                self.cells[index].first = min(masker.first, MAX_LENGTH)
                self.cells[index].last = min(masker.last, MAX_LENGTH)
                # What is shown takes no more room than it took before; only the run can add.
                self.growth += len(masker.run)
                call = masker.otherwise
            elif isinstance(masker, Computed):
                self.cells[index].kind = COMPUTED
                call = masker.compute
            else:
                raise TypeError("not a cell mask")
            self.calls.append(call)
        # Last, so that a mask that could not be made masks nothing and passes nothing.
        self.column_count = column_count

    def __cinit__(self):
        self.column_count = -1

    def __dealloc__(self):
        PyMem_Free(self.cells)

    cdef void begin(self) noexcept:
        """Count from 0 again."""
        cdef Py_ssize_t index
        for index in range(self.column_count):
            self.cells[index].masked = 0

    cdef tuple counted(self, Py_ssize_t masked):
        """For each column how many of its cells were masked since ``begin``; empty where ``masked`` says none."""
        cdef Py_ssize_t index
        return tuple([self.cells[index].masked for index in range(self.column_count)]) if masked else ()

    cdef int _keep(self, Py_ssize_t index, Kind kind, bytes wire) except -1:
        self.kept.append(wire)
        self.cells[index].kind = kind
        self.cells[index].wire = <Bytes>PyBytes_AS_STRING(wire)
        self.cells[index].wire_size = PyBytes_GET_SIZE(wire)
        return 0


def scan_rows(buf, Py_ssize_t start, Py_ssize_t end, Py_ssize_t max_rows=-1):
    """Skip complete DataRow messages; see the reference."""
    cdef _Input source = lock(buf, start, end)
    cdef Bytes data = source.data
    cdef Py_ssize_t position = start, rows = 0, length
    while rows != max_rows and end - position >= HEADER and data[position] == c"D":
        length = read_length(data + position + 1)
        if length < 4 or length > end - position - 1:
            break
        position += 1 + length
        rows += 1
    return position, rows


def mask_rows(buf, Py_ssize_t start, Py_ssize_t end, RowMask row_mask not None, Py_ssize_t max_rows=-1):
    """Mask complete DataRow messages; see the reference."""
    cdef _Input source = lock(buf, start, end)
    cdef Bytes data = source.data
    cdef _Output output = _Output.__new__(_Output)
    cdef Py_ssize_t position = start, rows = 0, masked = 0, length
    row_mask.begin()
    while rows != max_rows and end - position >= HEADER and data[position] == c"D":
        length = read_length(data + position + 1)
        if length < 6:
            raise MaskingError("a row is too short for its column count")
        if length > end - position - 1:
            break
        masked += mask_row(data + position, 1 + length, row_mask, output)
        position += 1 + length
        rows += 1
    return position, rows, row_mask.counted(masked), PyBytes_FromStringAndSize(<char*>output.data, output.used)


cdef Py_ssize_t mask_row(Bytes row, Py_ssize_t size, RowMask mask, _Output output) except -1:
    """Append one masked row of ``size`` bytes, header included. Returns the number of masked cells."""
    cdef Py_ssize_t columns = mask.column_count
    cdef Py_ssize_t begin = output.used
    cdef Py_ssize_t position = HEADER + 2
    cdef Py_ssize_t copied = 0      # everything before this is in the output
    cdef Py_ssize_t masked = 0
    cdef Py_ssize_t index, length, following, span
    cdef Cell* cell
    cdef unsigned char* to
    if ((<Py_ssize_t>row[HEADER] << 8) | row[HEADER + 1]) != columns:
        raise MaskingError("a row has another number of columns than its description")
    output.reserve(size + mask.growth)
    for index in range(columns):
        if size - position < 4:
            raise MaskingError("a row is shorter than its columns")
        length = read_length(row + position)
        following = position + 4
        if length > 0:
            following += length
        if length < -1 or following > size:
            raise MaskingError("a row is shorter than its columns")
        cell = &mask.cells[index]
        if cell.kind != PASS and length != -1:
            span = position - copied
            memcpy(output.data + output.used, row + copied, span)
            output.used += span
            if cell.kind == CONSTANT:
                memcpy(output.data + output.used, cell.wire, cell.wire_size)
                output.used += cell.wire_size
            elif cell.kind == PARTIAL and is_ascii(row + position + 4, length):
                to = output.data + output.used
                if 2 * (cell.first + cell.last) > length:
                    write_length(to, <uint32_t>cell.wire_size)
                    memcpy(to + 4, cell.wire, cell.wire_size)
                    output.used += 4 + cell.wire_size
                else:
                    span = cell.first + cell.wire_size + cell.last
                    write_length(to, <uint32_t>span)
                    memcpy(to + 4, row + position + 4, cell.first)
                    memcpy(to + 4 + cell.first, cell.wire, cell.wire_size)
                    memcpy(to + 4 + cell.first + cell.wire_size, row + following - cell.last, cell.last)
                    output.used += 4 + span
            else:
                compute_cell(
                    <object>mask.calls[index], row + position + 4, length, size - following + mask.growth, output
                )
            cell.masked += 1
            masked += 1
            copied = following
        position = following
    if position != size:
        raise MaskingError("a row is longer than its columns")
    span = size - copied
    memcpy(output.data + output.used, row + copied, span)
    output.used += span
    length = output.used - begin - 1
    if length > MAX_LENGTH:
        raise MaskingError("a masked row is too long for a message")
    write_length(output.data + begin + 1, <uint32_t>length)
    return masked


cdef int compute_cell(object call, Bytes value, Py_ssize_t size, Py_ssize_t rest, _Output output) except -1:
    """Append the cell that ``call`` makes and see that ``rest`` bytes have room behind it."""
    cdef Py_ssize_t length
    result = call(PyBytes_FromStringAndSize(<const char*>value, size))
    if result is None:
        output.reserve(4 + rest)
        memcpy(output.data + output.used, b"\xff\xff\xff\xff", 4)
        output.used += 4
        return 0
    if not PyBytes_CheckExact(result):
        raise MaskingError("a masking function returned something else than bytes")
    length = PyBytes_GET_SIZE(result)
    if length > MAX_LENGTH:
        raise MaskingError("a masked row is too long for a message")
    output.reserve(4 + length + rest)
    write_length(output.data + output.used, <uint32_t>length)
    memcpy(output.data + output.used + 4, PyBytes_AS_STRING(result), length)
    output.used += 4 + length
    return 0


def count_cells(buf, Py_ssize_t start, Py_ssize_t end, bytes weights not None, Py_ssize_t limit=-1):
    """Count the cells of complete DataRow messages that are not NULL; see the reference."""
    cdef _Input source = lock(buf, start, end)
    cdef Bytes data = source.data
    cdef Bytes weight = <Bytes>PyBytes_AS_STRING(weights)
    cdef Py_ssize_t columns = PyBytes_GET_SIZE(weights)
    cdef Py_ssize_t position = start, rows = 0, cells = 0, length, found
    while end - position >= HEADER and data[position] == c"D":
        length = read_length(data + position + 1)
        if length < 6:
            raise MaskingError("a row is too short for its column count")
        if length > end - position - 1:
            break
        found = count_row(data + position, 1 + length, weight, columns)
        if limit >= 0 and cells + found > limit:
            break
        cells += found
        position += 1 + length
        rows += 1
    return position, rows, cells


cdef Py_ssize_t count_row(Bytes row, Py_ssize_t size, Bytes weight, Py_ssize_t columns) except -1:
    cdef Py_ssize_t position = HEADER + 2, cells = 0, index, length
    if ((<Py_ssize_t>row[HEADER] << 8) | row[HEADER + 1]) != columns:
        raise MaskingError("a row has another number of columns than its description")
    for index in range(columns):
        if size - position < 4:
            raise MaskingError("a row is shorter than its columns")
        length = read_length(row + position)
        position += 4
        if length > 0:
            position += length
        if length < -1 or position > size:
            raise MaskingError("a row is shorter than its columns")
        if length >= 0 and weight[index]:
            cells += 1
            if weight[index] == 2:
                cells += length // 16
    if position != size:
        raise MaskingError("a row is longer than its columns")
    return cells


def split_backend(buf, Py_ssize_t start, Py_ssize_t end, Py_ssize_t limit=MAX_LENGTH):
    """Cut what a server sent into complete messages; see the reference."""
    return split(buf, start, end, limit, c"D")


def split_frontend(buf, Py_ssize_t start, Py_ssize_t end, Py_ssize_t limit=MAX_LENGTH):
    """Cut what a client sent into complete messages; see the reference."""
    return split(buf, start, end, limit, c"d")


cdef list split(object buf, Py_ssize_t start, Py_ssize_t end, Py_ssize_t limit, int run):
    cdef _Input source = lock(buf, start, end)
    cdef Bytes data = source.data
    cdef list entries = []
    cdef Py_ssize_t position = start, first = start, count = 0, length
    cdef int kind = -1
    while end - position >= HEADER:
        length = read_length(data + position + 1)
        if length < 4:
            raise RemoteProtocolError("a message states a length that is too short")
        if length > limit:
            raise MessageTooLarge("a message states a length above the limit")
        if length > end - position - 1:
            break
        if data[position] == kind and (kind == run or kind == c"d"):
            count += 1
        else:
            if count:
                entries.append((kind, first, position, count))
            kind = data[position]
            first = position
            count = 1
        position += 1 + length
    if count:
        entries.append((kind, first, position, count))
    return entries
