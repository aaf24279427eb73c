# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The elements of a BSON document, compiled. ``_elements_reference`` is the specification; both must agree on every input."""

from gateway.errors import RemoteProtocolError

include "plugins/mongodb/gateway_mongodb/wire/elements.pxi"

COMPILED = True


cdef Py_ssize_t _value_end(const unsigned char* data, unsigned char kind, Py_ssize_t start, Py_ssize_t limit) noexcept nogil:
    """Where a value ends; -1 where it is malformed, -2 for an unknown type."""
    cdef Py_ssize_t size, after = SIZES[kind]
    if after >= 0:
        after += start
    elif after == -2:
        return -2
    elif kind == T_REGEX:
        after = after_zero(data, start, limit)
        return after_zero(data, after, limit) if after >= 0 else -1
    else:
        if limit - start < 4:
            return -1
        size = int32_at(data + start)
        if size < 0:
            return -1
        if kind == T_DOCUMENT or kind == T_ARRAY or kind == T_SCOPED:
            if size < 5:
                return -1
            after = start + size
        elif kind == T_BINARY:
            after = start + 5 + size
        elif kind == T_DB_POINTER:
            after = start + 4 + size + 12
        else:
            after = start + 4 + size
    return after if after <= limit else -1


cdef Py_ssize_t _document_end(const unsigned char* data, Py_ssize_t start, Py_ssize_t limit) noexcept nogil:
    """Where the terminating NUL is; -1 where the document is malformed."""
    cdef Py_ssize_t size
    if limit - start < 5:
        return -1
    size = int32_at(data + start)
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
        value = after_zero(raw, position + 1, end)
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
        position = after_zero(raw, position + 1, end)
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
    value = after_zero(data, position + 1, limit)
    if value < 0:
        return undecided
    if kind == T_REGEX:
        after = _value_end(data, kind, value, limit)
        if after < 0:
            return undecided
    else:
        if SIZES[kind] == -1 and limit - value < 4:
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
        if raw[position] == T_DOCUMENT:
            # Nearly always: documents, under numbers of a few digits.
            value = position + 1
            while value < limit and raw[value] != 0:
                value += 1
            value += 1
            if limit - value >= 4:
                extent = int32_at(raw + value)
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
