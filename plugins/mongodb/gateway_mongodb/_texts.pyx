# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Commands as text, compiled. ``_texts_reference.py`` is the specification; what both write is compared.

Common values are written here; a rare one is made a document of its own, which the reference writes.
"""

from json.encoder import encode_basestring_ascii

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memchr, memcpy

from gateway_mongodb import _texts_reference as reference
from gateway_mongodb._keys_reference import SIZES

COMPILED = True

cdef object _quoted = encode_basestring_ascii
cdef object _value_text = reference.value_text
cdef frozenset _LEFT_OUT = reference.LEFT_OUT
cdef frozenset _SECRETS = frozenset(reference.SECRETS)
cdef int _MAX_DEPTH = 150
cdef int _SIZES[256]
cdef int _index
for _index in range(256):
    _SIZES[_index] = -1
for _index, _fixed in SIZES.items():
    _SIZES[_index] = _fixed


class _Unusual(Exception):
    """For the reference: malformed, or nested too deep."""


cdef Py_ssize_t _after_zero(const unsigned char* data, Py_ssize_t start, Py_ssize_t end) except -1:
    cdef const void* found = memchr(data + start, 0, end - start) if end > start else NULL
    if found == NULL:
        raise _Unusual
    return <const unsigned char*>found - data + 1


cdef Py_ssize_t _size(int kind, const unsigned char* data, Py_ssize_t start, Py_ssize_t end) except -1:
    cdef int32_t stated
    if _SIZES[kind] >= 0:
        return _SIZES[kind]
    if kind == 11:
        return _after_zero(data, _after_zero(data, start, end), end) - start
    if end - start < 4:
        raise _Unusual
    memcpy(&stated, data + start, 4)
    if stated < 0:
        raise _Unusual
    if kind == 2:
        if stated < 1:
            raise _Unusual
        return 4 + <Py_ssize_t>stated
    if kind == 3 or kind == 4:
        if stated < 5:
            raise _Unusual
        return stated
    if kind == 5:
        return 5 + <Py_ssize_t>stated
    raise _Unusual


cdef str _string(const unsigned char* data, Py_ssize_t size):
    return _quoted(PyUnicode_DecodeUTF8(<const char*>data, size, NULL))


cdef str _other(int kind, const unsigned char* data, Py_ssize_t size):
    cdef bytes value = PyBytes_FromStringAndSize(<const char*>data, size)
    return _value_text((size + 8).to_bytes(4, "little") + bytes((kind,)) + b"v\0" + value + b"\0")


cdef int _value(
    int kind, const unsigned char* data, Py_ssize_t start, Py_ssize_t stop, int depth, list out
) except -1:
    cdef int32_t small
    cdef int64_t large
    cdef double real
    cdef bytes raw
    if kind == 2:
        out.append(_string(data + start + 4, stop - start - 5))
    elif kind == 16:
        memcpy(&small, data + start, 4)
        out.append(str(small))
    elif kind == 18:
        memcpy(&large, data + start, 8)
        out.append(str(large))
    elif kind == 3 or kind == 4:
        _document(data, start, stop, kind == 4, depth + 1, out)
    elif kind == 7:
        raw = PyBytes_FromStringAndSize(<const char*>data + start, 12)
        out.append('{"$oid": "' + raw.hex() + '"}')
    elif kind == 8 and data[start] <= 1:
        out.append("true" if data[start] else "false")
    elif kind == 1:
        memcpy(&real, data + start, 8)
        out.append(repr(real) if isfinite(real) else _other(kind, data + start, 8))
    elif kind == 10:
        out.append("null")
    else:
        out.append(_other(kind, data + start, stop - start))
    return 0


cdef int _document(
    const unsigned char* data, Py_ssize_t start, Py_ssize_t stop, bint array, int depth, list out
) except -1:
    cdef Py_ssize_t position = start + 4, end = stop - 1, value, following
    cdef int kind
    cdef bint first = True
    cdef bint top = depth == 0
    cdef str name
    if depth > _MAX_DEPTH or stop - start < 5 or data[end] != 0:
        raise _Unusual
    if not top:
        out.append("[" if array else "{")
    while position < end:
        kind = data[position]
        value = _after_zero(data, position + 1, end)
        following = value + _size(kind, data, value, end)
        if following > end:
            raise _Unusual
        if not array:
            name = PyUnicode_DecodeUTF8(<const char*>data + position + 1, value - position - 2, NULL)
            if top and name in _LEFT_OUT:
                position = following
                continue
        if not first or (top and out):
            out.append(", ")
        if not array:
            out.append(_quoted(name))
            out.append(": ")
        first = False
        _value(kind, data, value, following, depth, out)
        position = following
    if not top:
        out.append("]" if array else "}")
    return 0


cdef int _sequence(str name, bytes documents, list out) except -1:
    cdef const unsigned char* data = <const unsigned char*>PyBytes_AS_STRING(documents)
    cdef Py_ssize_t position = 0, length = PyBytes_GET_SIZE(documents)
    cdef int32_t size
    if out:
        out.append(", ")
    out.append(_quoted(name))
    out.append(": [")
    while position < length:
        if length - position < 5:
            raise _Unusual
        memcpy(&size, data + position, 4)
        if size < 5 or size > length - position:
            raise _Unusual
        if position:
            out.append(", ")
        _document(data, position, position + size, False, 1, out)
        position += size
    out.append("]")
    return 0


def command_text(bytes body, sequences=()):
    """As ``_texts_reference.command_text``; names that occur twice are shown twice."""
    cdef const unsigned char* data = <const unsigned char*>PyBytes_AS_STRING(body)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(body)
    cdef list out = []
    cdef int32_t stated
    try:
        if length < 5:
            raise _Unusual
        memcpy(&stated, data, 4)
        if stated != length:
            raise _Unusual
        if length > 5:
            end = _after_zero(data, 5, length)
            if body[5 : end - 1].decode().lower() in _SECRETS:
                return reference.command_text(body, sequences)
        _document(data, 0, length, False, 0, out)
        for name, documents in sequences:
            _sequence(name, documents, out)
    except (_Unusual, UnicodeDecodeError):
        return reference.command_text(body, sequences)
    return "{" + "".join(out) + "}"
