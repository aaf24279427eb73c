# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The elements of a BSON document, compiled. ``_elements_reference`` is the specification; both must agree on every input."""

from libc.string cimport memchr
from libc.stdint cimport int32_t

from gateway.errors import RemoteProtocolError

COMPILED = True


cdef inline Py_ssize_t _int32(const unsigned char* data, Py_ssize_t at) noexcept nogil:
    return <int32_t>(
        (<unsigned int>data[at])
        | (<unsigned int>data[at + 1] << 8)
        | (<unsigned int>data[at + 2] << 16)
        | (<unsigned int>data[at + 3] << 24)
    )


cdef Py_ssize_t _string_end(const unsigned char* data, Py_ssize_t start, Py_ssize_t limit) noexcept nogil:
    """Just behind the NUL at or after ``start``; -1 where there is none."""
    cdef const void* found
    if start >= limit:
        return -1
    found = memchr(data + start, 0, limit - start)
    if found == NULL:
        return -1
    return <const unsigned char*>found - data + 1


cdef Py_ssize_t _value_end(const unsigned char* data, unsigned char kind, Py_ssize_t start, Py_ssize_t limit) noexcept nogil:
    """Where a value ends; -1 where it is malformed, -2 for an unknown type."""
    cdef Py_ssize_t size, after
    if kind == 0x10:
        after = start + 4
    elif kind == 0x01 or kind == 0x09 or kind == 0x11 or kind == 0x12:
        after = start + 8
    elif kind == 0x08:
        after = start + 1
    elif kind == 0x07:
        after = start + 12
    elif kind == 0x13:
        after = start + 16
    elif kind == 0x06 or kind == 0x0A or kind == 0xFF or kind == 0x7F:
        after = start
    elif kind == 0x0B:
        after = _string_end(data, start, limit)
        if after >= 0:
            after = _string_end(data, after, limit)
        return after
    elif kind in (0x02, 0x03, 0x04, 0x05, 0x0C, 0x0D, 0x0E, 0x0F):
        if limit - start < 4:
            return -1
        size = _int32(data, start)
        if size < 0:
            return -1
        if kind == 0x03 or kind == 0x04 or kind == 0x0F:
            if size < 5:
                return -1
            after = start + size
        elif kind == 0x05:
            after = start + 5 + size
        elif kind == 0x0C:
            after = start + 4 + size + 12
        else:
            after = start + 4 + size
    else:
        return -2
    return after if after <= limit else -1


cdef Py_ssize_t _document_end(const unsigned char* data, Py_ssize_t start, Py_ssize_t limit) noexcept nogil:
    """Where the terminating NUL is; -1 where the document is malformed."""
    cdef Py_ssize_t size
    if limit - start < 5:
        return -1
    size = _int32(data, start)
    if size < 5 or size > limit - start or data[start + size - 1] != 0:
        return -1
    return start + size - 1


def elements(bytes data, Py_ssize_t start, Py_ssize_t limit):
    """(type, name, begin, end) of each element of the document at ``start``; ``RemoteProtocolError``."""
    cdef const unsigned char* raw = data
    cdef Py_ssize_t end, position, value, after
    cdef unsigned char kind
    cdef list found = []
    if limit > len(data):
        limit = len(data)
    end = _document_end(raw, start, limit)
    if end < 0:
        raise RemoteProtocolError("a document's length is impossible")
    position = start + 4
    while position < end:
        kind = raw[position]
        value = _string_end(raw, position + 1, end)
        if value < 0:
            raise RemoteProtocolError("an element's name has no end")
        after = _value_end(raw, kind, value, end)
        if after < 0:
            raise RemoteProtocolError("an element is malformed, or of an unknown type")
        found.append((kind, raw[position + 1 : value - 1], value, after))
        position = after
    return found


def count_elements(bytes data, Py_ssize_t start, Py_ssize_t limit):
    """How many elements a document or array has; ``RemoteProtocolError``."""
    cdef const unsigned char* raw = data
    cdef Py_ssize_t end, position, count = 0
    cdef unsigned char kind
    if limit > len(data):
        limit = len(data)
    end = _document_end(raw, start, limit)
    if end < 0:
        raise RemoteProtocolError("a document's length is impossible")
    position = start + 4
    while position < end:
        kind = raw[position]
        position = _string_end(raw, position + 1, end)
        if position < 0:
            raise RemoteProtocolError("an element's name has no end")
        position = _value_end(raw, kind, position, end)
        if position < 0:
            raise RemoteProtocolError("an element is malformed, or of an unknown type")
        count += 1
    return count


cdef Py_ssize_t _extent(const unsigned char* data, Py_ssize_t position, Py_ssize_t size, Py_ssize_t end) noexcept nogil:
    """Bytes of an element, 0 where they do not say yet, -1 where it is malformed."""
    cdef Py_ssize_t limit = end if end < size else size
    cdef Py_ssize_t undecided = -1 if end <= size else 0
    cdef Py_ssize_t value, after
    cdef unsigned char kind = data[position]
    value = _string_end(data, position + 1, limit)
    if value < 0:
        return undecided
    if kind == 0x0B:
        after = _value_end(data, kind, value, limit)
        if after < 0:
            return undecided
    else:
        if kind in (0x02, 0x03, 0x04, 0x05, 0x0C, 0x0D, 0x0E, 0x0F) and limit - value < 4:
            return undecided
        after = _value_end(data, kind, value, end)
        if after < 0:
            return -1
    return after - position


def element_size(bytes data, Py_ssize_t position, Py_ssize_t end):
    """Bytes of the element at ``position``, 0 where they do not say yet; ``RemoteProtocolError``."""
    cdef const unsigned char* raw = data
    cdef Py_ssize_t size = _extent(raw, position, len(data), end)
    if size < 0:
        raise RemoteProtocolError("an element is malformed, or of an unknown type")
    return size


def skip_elements(bytes data, Py_ssize_t position, Py_ssize_t end):
    """Jump over elements: where that led to, and how many they were; ``RemoteProtocolError``."""
    cdef const unsigned char* raw = data
    cdef Py_ssize_t size = len(data), extent, value
    cdef Py_ssize_t limit = end if end < size else size
    cdef Py_ssize_t count = 0
    while position < limit:
        if raw[position] == 0x03:
            # Nearly always: documents, under numbers of a few digits.
            value = position + 1
            while value < limit and raw[value] != 0:
                value += 1
            value += 1
            if limit - value >= 4:
                extent = _int32(raw, value)
                if 5 <= extent <= end - value:
                    position = value + extent
                    count += 1
                    continue
        extent = _extent(raw, position, size, end)
        if extent < 0:
            raise RemoteProtocolError("an element is malformed, or of an unknown type")
        if extent == 0:
            break
        position += extent
        count += 1
    return position, count
