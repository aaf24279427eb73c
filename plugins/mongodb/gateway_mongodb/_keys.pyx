# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Keys of commands, compiled. ``_keys_reference.py`` is the specification; what both make is compared byte for byte."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from gateway_mongodb import _keys_reference as reference

include "plugins/mongodb/gateway_mongodb/wire/elements.pxi"
include "plugins/mongodb/gateway_mongodb/output.pxi"

COMPILED = True

cdef int _MAX_DEPTH = reference.MAX_DEPTH
cdef Py_ssize_t _MAX_KEY = reference.MAX_KEY
cdef dict _RULES = reference.RULES
cdef dict _NO_RULES = {}

cdef enum:
    EXACT = 0
    DROP = 1
    NAME = 2
    FILTER = 3
    PIPELINE = 4
    STATEMENTS = 5
    UPDATE = 6
    FIELD = 7
    VALUES = 8
    FILTERS = 9
    OPERATOR = 10
    STAGE = 11
    STATEMENT = 12
    TOP = 13

class _Unkeyed(Exception):
    pass


cdef Py_ssize_t _after_zero(const unsigned char* data, Py_ssize_t start, Py_ssize_t end) except -1:
    cdef Py_ssize_t after = after_zero(data, start, end)
    if after < 0:
        raise _Unkeyed
    return after


cdef Py_ssize_t _size(int kind, const unsigned char* data, Py_ssize_t start, Py_ssize_t end) except -1:
    cdef int32_t stated
    if SIZES[kind] >= 0:
        return SIZES[kind]
    if kind == T_REGEX:
        return _after_zero(data, _after_zero(data, start, end), end) - start
    if end - start < 4:
        raise _Unkeyed
    stated = int32_at(data + start)
    if stated < 0:
        raise _Unkeyed
    if kind == T_STRING or kind == T_CODE or kind == T_SYMBOL:
        return 4 + <Py_ssize_t>stated
    if kind == T_DOCUMENT or kind == T_ARRAY:
        return 5 if stated < 5 else stated
    if kind == T_BINARY:
        return 5 + <Py_ssize_t>stated
    if kind == T_DB_POINTER:
        return 16 + <Py_ssize_t>stated
    if kind == T_SCOPED and stated >= 14:
        return stated
    raise _Unkeyed


cdef int _document(
    const unsigned char* data, Py_ssize_t start, Py_ssize_t stop, int mode, int depth, Output out
) except -1:
    cdef Py_ssize_t position, end, value, following
    cdef int kind, rule
    cdef bint first = True
    cdef bint dollar
    cdef dict rules
    cdef object found
    if depth > _MAX_DEPTH or stop - start < 5 or data[stop - 1]:
        raise _Unkeyed
    found = _RULES.get(mode)
    rules = _NO_RULES if found is None else <dict>found
    position = start + 4
    end = stop - 1
    while position < end:
        kind = data[position]
        value = _after_zero(data, position + 1, end)
        following = value + _size(kind, data, value, end)
        if following > end:
            raise _Unkeyed
        dollar = data[position + 1] == 0x24
        rule = EXACT
        if mode == TOP and first:
            pass
        elif mode == FILTER and not dollar:
            rule = FIELD
        elif mode == OPERATOR:
            rule = NAME
        elif mode == STATEMENTS:
            rule = STATEMENT
        elif mode == FILTERS:
            rule = FILTER
        elif mode == PIPELINE:
            rule = STAGE
        elif mode == UPDATE and first and not dollar:
            _replacement(data, start, stop, out)
            return 0
        else:
            found = rules.get(PyBytes_FromStringAndSize(<const char*>data + position + 1, value - position - 2))
            if found is not None:
                rule = found
        first = False
        if rule != DROP:
            _element(data, position, value, following, kind, rule, depth, out)
        position = following
    out.put(b"\0", 1)
    return 0


cdef int _replacement(const unsigned char* data, Py_ssize_t start, Py_ssize_t stop, Output out) except -1:
    cdef Py_ssize_t position = start + 4, end = stop - 1, value
    while position < end:
        value = _after_zero(data, position + 1, end)
        if data[position + 1] == 0x24:
            raise _Unkeyed
        position = value + _size(data[position], data, value, end)
    out.put(b"\xfd", 1)
    return 0


cdef int _element(
    const unsigned char* data,
    Py_ssize_t position,
    Py_ssize_t value,
    Py_ssize_t stop,
    int kind,
    int rule,
    int depth,
    Output out,
) except -1:
    if rule == NAME:
        out.put(data + position, value - position)
    elif rule == EXACT:
        out.put(data + position, stop - position)
    elif rule == VALUES:
        out.put(data + position, value - position)
        if kind != T_ARRAY:
            out.put(data + value, stop - value)
        else:
            _kinds(data, value, stop, out)
    elif kind == T_ARRAY and (rule == FILTERS or rule == PIPELINE or rule == STATEMENTS):
        out.put(data + position, value - position)
        _document(data, value, stop, rule, depth + 1, out)
    elif kind == T_DOCUMENT and rule == FIELD:
        out.put(data + position, value - position)
        if data[value + 4] and data[value + 5] == 0x24:
            _document(data, value, stop, FIELD, depth + 1, out)
        else:
            out.put(b"\xfe", 1)
    elif kind == T_DOCUMENT and (
        rule == FILTER or rule == UPDATE or rule == OPERATOR or rule == STATEMENT or rule == STAGE
    ):
        out.put(data + position, value - position)
        _document(data, value, stop, rule, depth + 1, out)
    elif rule == FIELD and kind != T_DOCUMENT and kind != T_REGEX:
        out.put(data + position, value - position)
    else:
        out.put(data + position, stop - position)
    return 0


cdef int _kinds(const unsigned char* data, Py_ssize_t start, Py_ssize_t stop, Output out) except -1:
    cdef bint seen[256]
    cdef int kind
    cdef unsigned char one
    cdef Py_ssize_t position = start + 4, end = stop - 1, value
    for kind in range(256):
        seen[kind] = False
    while position < end:
        kind = data[position]
        value = _after_zero(data, position + 1, end)
        position = value + _size(kind, data, value, end)
        seen[kind] = True
    if position > end or seen[T_REGEX]:
        out.put(data + start, stop - start)
        return 0
    for kind in range(256):
        if seen[kind]:
            one = kind
            out.put(&one, 1)
    out.put(b"\0", 1)
    return 0


cdef int _sequence(str name, bytes documents, Output out) except -1:
    cdef bytes raw = name.encode()
    cdef Py_ssize_t position = 0, length = PyBytes_GET_SIZE(documents)
    cdef int32_t size
    cdef const unsigned char* data = <const unsigned char*>PyBytes_AS_STRING(documents)
    out.put(b"\1", 1)
    out.put(<const unsigned char*>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
    out.put(b"\0", 1)
    if name == "documents":
        return 0
    if name != "updates" and name != "deletes":
        raise _Unkeyed
    while position < length:
        if length - position < 5:
            raise _Unkeyed
        size = int32_at(data + position)
        if size < 5 or size > length - position:
            raise _Unkeyed
        _document(data, position, position + size, STATEMENT, 1, out)
        position += size
    return 0


def cache_key(bytes body not None, sequences=()):
    """As the reference's."""
    cdef Output out = Output(512)
    try:
        _document(<const unsigned char*>PyBytes_AS_STRING(body), 0, PyBytes_GET_SIZE(body), TOP, 0, out)
        for sequence in sequences:
            if isinstance(sequence, str):
                if sequence != "documents":
                    return None
                out.put(b"\1documents\0", 11)
            else:
                _sequence(sequence[0], bytes(sequence[1]), out)
    except _Unkeyed:
        return None
    if out.size > _MAX_KEY:
        return None
    return PyBytes_FromStringAndSize(<char*>out.data, out.size)
