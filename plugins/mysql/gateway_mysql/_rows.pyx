# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The row kernels on raw memory. ``_rows_reference`` is the specification: same names, results and errors.

Every read is bounds-checked against the row, every row against the given range. The size of a masked row is bounded
before it is written: it is at most its old size plus what the masks of its columns can add, since a cell that is
replaced adds its new length and only takes away its old one, which may be zero.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memcpy

from gateway.errors import MaskingError
from gateway.masking.cells import Computed, Constant, Partial

include "gateway/masking/row_buffers.pxi"

COMPILED = True

cdef enum:
    HEADER = 4
    FULL = 0xFFFFFF
    MAX_COLUMNS = 0xFFFF
    MAX_CELL = 0x7FFFFFFF
    PREFIX = 9            # the longest length before a string

cdef enum Kind:
    PASS = 0
    CONSTANT = 1
    PARTIAL = 2
    COMPUTED = 3

cdef struct Cell:
    Kind kind
    bint null             # a constant NULL
    int width             # of a binary column: its size, 0 length-encoded, -1 one byte of length
    Py_ssize_t first
    Py_ssize_t last
    Bytes wire            # the replacement with its length before it; for a partial mask the run alone
    Py_ssize_t wire_size
    Py_ssize_t masked     # in the call at hand


cdef struct Span:
    Py_ssize_t begin
    Py_ssize_t stop


cdef inline Py_ssize_t packet_size(Bytes p) noexcept nogil:
    return <Py_ssize_t>p[0] | (<Py_ssize_t>p[1] << 8) | (<Py_ssize_t>p[2] << 16)


cdef inline bint is_row(int first, Py_ssize_t size, Py_ssize_t eof_limit) noexcept nogil:
    return not (first == 0xFF or (first == 0xFE and size < eof_limit))


cdef inline Py_ssize_t write_length(unsigned char* p, Py_ssize_t size) noexcept nogil:
    cdef int index
    if size < 0xFB:
        p[0] = <unsigned char>size
        return 1
    if size < 0x10000:
        p[0] = 0xFC
        p[1] = <unsigned char>(size & 0xFF)
        p[2] = <unsigned char>(size >> 8)
        return 3
    if size < 0x1000000:
        p[0] = 0xFD
        p[1] = <unsigned char>(size & 0xFF)
        p[2] = <unsigned char>((size >> 8) & 0xFF)
        p[3] = <unsigned char>(size >> 16)
        return 4
    p[0] = 0xFE
    for index in range(8):
        p[1 + index] = <unsigned char>((size >> (8 * index)) & 0xFF)
    return 9


cdef int find_string(Bytes row, Py_ssize_t size, Py_ssize_t position, Span* span) except -1:
    """Where the length-encoded string at ``position`` begins and ends."""
    cdef Py_ssize_t left = size - position
    cdef int first, width, index
    cdef uint64_t length
    if left < 1:
        raise MaskingError("a row is shorter than its columns")
    first = row[position]
    if first < 0xFB:
        span.begin = position + 1
        length = <uint64_t>first
    elif 0xFC <= first <= 0xFE:
        width = 2 if first == 0xFC else 3 if first == 0xFD else 8
        if left < 1 + width:
            raise MaskingError("a row is shorter than its columns")
        span.begin = position + 1 + width
        length = 0
        for index in range(width):
            length |= <uint64_t>row[position + 1 + index] << (8 * index)
    else:
        raise MaskingError("a row holds what is no length")
    if length > <uint64_t>(size - span.begin):
        raise MaskingError("a row is shorter than its columns")
    span.stop = span.begin + <Py_ssize_t>length
    return 0


cdef class RowMask:
    """How the rows of one result are masked; see the reference."""

    cdef readonly Py_ssize_t column_count
    cdef readonly tuple maskers
    cdef readonly tuple labels
    cdef readonly object widths
    cdef bint binary
    cdef Cell* cells
    cdef list kept       # the bytes that cells point into
    cdef list calls      # per column, what to call, or None
    cdef Py_ssize_t growth   # bytes that all constant and partial masks of a row can add to it

    def __init__(self, maskers, widths=None, labels=None):
        cdef Py_ssize_t index, count = len(maskers)
        cdef bytes wire
        cdef int width
        if self.cells != NULL:
            raise ValueError("a row mask cannot be changed")
        if count > MAX_COLUMNS or (widths is not None and len(widths) != count):
            raise ValueError("a row mask needs one entry for each column, at most 65535")
        self.maskers = tuple(maskers)
        self.labels = (((),) * count) if labels is None else tuple(labels)
        if len(self.labels) != count:
            raise ValueError("a row mask needs one entry for each column, at most 65535")
        self.widths = None if widths is None else tuple(widths)
        self.binary = widths is not None
        self.kept = []
        self.calls = []
        self.growth = 0
        self.cells = <Cell*>PyMem_Malloc((count + 1) * sizeof(Cell))
        if self.cells == NULL:
            raise MemoryError()
        for index, masker in enumerate(self.maskers):
            width = 0 if widths is None else self.widths[index]
            self.cells[index].kind = PASS
            self.cells[index].null = False
            self.cells[index].width = width
            self.cells[index].first = self.cells[index].last = 0
            self.cells[index].wire = NULL
            self.cells[index].wire_size = 0
            call = None
            if masker is None:
                pass
            elif isinstance(masker, Constant):
                value = masker.value
                if value is None:
                    self.cells[index].null = True
                    wire = b"" if self.binary else b"\xfb"
                else:
                    wire = framed(value, width)
                self._keep(index, CONSTANT, wire)
                self.growth += len(wire)
            elif isinstance(masker, Partial):
                if width:
                    raise ValueError("a partial mask needs a column of text")
                self._keep(index, PARTIAL, bytes(masker.run))
                # More shown characters than any value can have mean the same as that many.
                self.cells[index].first = min(masker.first, MAX_CELL)
                self.cells[index].last = min(masker.last, MAX_CELL)
                # What is shown takes no more room than it took before; the run and a longer length can add.
                self.growth += len(masker.run) + PREFIX
                call = masker.otherwise
            elif isinstance(masker, Computed):
                self.cells[index].kind = COMPUTED
                call = masker.compute
            else:
                raise TypeError("not a cell mask")
            self.calls.append(call)
        # Last, so that a mask that could not be made masks nothing and passes nothing.
        self.column_count = count

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


cdef bytes framed(bytes value, int width):
    """A value with the length that its column needs before it."""
    cdef unsigned char prefix[9]
    fits(PyBytes_GET_SIZE(value), width)
    if width > 0:
        return value
    return PyBytes_FromStringAndSize(<char*>prefix, write_length(prefix, PyBytes_GET_SIZE(value))) + value


cdef int fits(Py_ssize_t size, int width) except -1:
    if (width > 0 and size != width) or (width == -1 and size > 0xFA):
        raise MaskingError("a masked value does not fit its column")
    return 0


def scan_rows(buf, Py_ssize_t start, Py_ssize_t end, Py_ssize_t eof_limit, Py_ssize_t max_rows=-1):
    """Skip complete rows; see the reference."""
    cdef _Input source = lock(buf, start, end)
    cdef Bytes data = source.data
    cdef Py_ssize_t position = start, rows = 0, size, stop
    while rows != max_rows and end - position > HEADER:
        size = packet_size(data + position)
        if size == 0 or not is_row(data[position + HEADER], size, eof_limit):
            break
        stop = position
        while size == FULL and end - stop >= HEADER + size + HEADER:
            stop += HEADER + size
            size = packet_size(data + stop)
        if size == FULL or end - stop < HEADER + size:
            break
        position = stop + HEADER + size
        rows += 1
    return position, rows


def mask_rows(
    buf,
    Py_ssize_t start,
    Py_ssize_t end,
    RowMask row_mask not None,
    Py_ssize_t eof_limit,
    Py_ssize_t sequence,
    Py_ssize_t max_rows=-1,
):
    """Mask complete rows of one packet each; see the reference."""
    cdef _Input source = lock(buf, start, end)
    cdef Bytes data = source.data
    cdef _Output output = _Output.__new__(_Output)
    cdef Py_ssize_t position = start, rows = 0, masked = 0, size, begin, cells
    cdef unsigned char* header
    row_mask.begin()
    while rows != max_rows and end - position > HEADER:
        size = packet_size(data + position)
        if size == 0 or not is_row(data[position + HEADER], size, eof_limit) or size == FULL:
            break
        if size > end - position - HEADER:
            break
        begin = output.used
        output.reserve(HEADER)
        output.used += HEADER
        cells = mask_row(data + position + HEADER, size, row_mask, output)
        if output.used - begin - HEADER >= FULL:
            # Its cells are counted already: once more without it, which is as rare as rows of 16 MiB.
            return mask_rows(buf, start, end, row_mask, eof_limit, sequence, rows)
        header = output.data + begin
        header[0] = <unsigned char>((output.used - begin - HEADER) & 0xFF)
        header[1] = <unsigned char>(((output.used - begin - HEADER) >> 8) & 0xFF)
        header[2] = <unsigned char>((output.used - begin - HEADER) >> 16)
        header[3] = <unsigned char>((sequence + rows) & 0xFF)
        masked += cells
        position += HEADER + size
        rows += 1
    return position, rows, row_mask.counted(masked), PyBytes_FromStringAndSize(<char*>output.data, output.used)


def mask_payload(bytes row not None, RowMask row_mask not None):
    """Mask one row without its packet headers; see the reference."""
    cdef _Output output = _Output.__new__(_Output)
    cdef Py_ssize_t masked
    row_mask.begin()
    masked = mask_row(<Bytes>PyBytes_AS_STRING(row), PyBytes_GET_SIZE(row), row_mask, output)
    return PyBytes_FromStringAndSize(<char*>output.data, output.used), row_mask.counted(masked)


cdef Py_ssize_t mask_row(Bytes row, Py_ssize_t size, RowMask mask, _Output output) except -1:
    """Append one masked row of ``size`` bytes, without its header. Returns the number of masked cells."""
    cdef Py_ssize_t columns = mask.column_count
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t copied = 0      # everything before this is in the output
    cdef Py_ssize_t masked = 0
    cdef Py_ssize_t index, bit, begin = output.used
    cdef Span span
    cdef Cell* cell
    cdef bint null
    if columns < 0:
        raise MaskingError("a row mask that was never made")
    output.reserve(size + mask.growth)
    if mask.binary:
        position = 1 + (columns + 9) // 8
        if size < position or row[0]:
            raise MaskingError("a row is shorter than its columns")
    for index in range(columns):
        cell = &mask.cells[index]
        if mask.binary:
            bit = index + 2
            if (row[1 + bit // 8] >> (bit % 8)) & 1:
                continue
            if cell.width > 0:
                span.begin = position
                span.stop = position + cell.width
            elif cell.width == -1:
                if position >= size:
                    raise MaskingError("a row is shorter than its columns")
                span.begin = position + 1
                span.stop = position + 1 + row[position]
            else:
                find_string(row, size, position, &span)
            if span.stop > size:
                raise MaskingError("a row is shorter than its columns")
        else:
            if position < size and row[position] == 0xFB:
                position += 1
                continue
            find_string(row, size, position, &span)
        if cell.kind != PASS:
            output.put(row + copied, position - copied)
            null = mask_cell(mask, index, row + span.begin, span.stop - span.begin, size - span.stop, output)
            if null and mask.binary:
                # The bitmap is in the output already: it comes before every cell.
                output.data[begin + 1 + bit // 8] |= <unsigned char>(1 << (bit % 8))
            cell.masked += 1
            masked += 1
            copied = span.stop
        position = span.stop
    if position != size:
        raise MaskingError("a row is longer than its columns")
    output.put(row + copied, size - copied)
    return masked


cdef int mask_cell(RowMask mask, Py_ssize_t index, Bytes value, Py_ssize_t size, Py_ssize_t rest, _Output output) except -1:
    """Append the replacement of a cell and see that ``rest`` bytes have room behind it. Returns whether it is NULL."""
    cdef Cell* cell = &mask.cells[index]
    cdef Py_ssize_t length
    if cell.kind == CONSTANT:
        output.put(cell.wire, cell.wire_size)
        return cell.null
    if cell.kind == PARTIAL and is_ascii(value, size):
        if 2 * (cell.first + cell.last) > size:
            output.used += write_length(output.data + output.used, cell.wire_size)
            output.put(cell.wire, cell.wire_size)
        else:
            output.used += write_length(output.data + output.used, cell.first + cell.wire_size + cell.last)
            output.put(value, cell.first)
            output.put(cell.wire, cell.wire_size)
            output.put(value + size - cell.last, cell.last)
        return 0
    result = (<object>mask.calls[index])(PyBytes_FromStringAndSize(<const char*>value, size))
    if result is None:
        output.reserve(1 + rest + mask.growth)
        if not mask.binary:
            output.data[output.used] = 0xFB
            output.used += 1
        return 1
    if not PyBytes_CheckExact(result):
        raise MaskingError("a masking function returned something else than bytes")
    length = PyBytes_GET_SIZE(result)
    fits(length, cell.width)
    output.reserve(PREFIX + length + rest + mask.growth)
    if cell.width <= 0:
        output.used += write_length(output.data + output.used, length)
    output.put(<Bytes>PyBytes_AS_STRING(result), length)
    return 0
