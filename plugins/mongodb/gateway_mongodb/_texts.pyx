# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Commands as text, compiled. ``_texts_reference.py`` is the specification; what both write is compared.

Common values are written here; a rare one is made a document of its own, which the reference writes.
"""

from json.encoder import encode_basestring_ascii

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.math cimport isfinite
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from gateway_mongodb import _texts_reference as reference

include "plugins/mongodb/gateway_mongodb/wire/elements.pxi"

COMPILED = True

cdef object _quoted = encode_basestring_ascii
cdef object _value_text = reference.value_text
cdef frozenset _LEFT_OUT = reference.LEFT_OUT
cdef frozenset _SECRETS = frozenset(reference.SECRETS)
cdef int _MAX_DEPTH = 150
class _Unusual(Exception):
    """For the reference: malformed, or nested too deep."""


cdef Py_ssize_t _after_zero(const unsigned char* data, Py_ssize_t start, Py_ssize_t end) except -1:
    cdef Py_ssize_t after = after_zero(data, start, end)
    if after < 0:
        raise _Unusual
    return after


cdef Py_ssize_t _size(int kind, const unsigned char* data, Py_ssize_t start, Py_ssize_t end) except -1:
    cdef int32_t stated
    if SIZES[kind] >= 0:
        return SIZES[kind]
    if kind == T_REGEX:
        return _after_zero(data, _after_zero(data, start, end), end) - start
    if end - start < 4:
        raise _Unusual
    stated = int32_at(data + start)
    if kind == T_STRING and stated >= 1:
        return 4 + <Py_ssize_t>stated
    if (kind == T_DOCUMENT or kind == T_ARRAY) and stated >= 5:
        return stated
    if kind == T_BINARY and stated >= 0:
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
    cdef int64_t large
    cdef double real
    cdef bytes raw
    if kind == T_STRING:
        out.append(_string(data + start + 4, stop - start - 5))
    elif kind == T_INT32:
        out.append(str(int32_at(data + start)))
    elif kind == T_INT64:
        memcpy(&large, data + start, 8)
        out.append(str(large))
    elif kind == T_DOCUMENT or kind == T_ARRAY:
        _document(data, start, stop, kind == T_ARRAY, depth + 1, out)
    elif kind == T_OBJECT_ID:
        raw = PyBytes_FromStringAndSize(<const char*>data + start, 12)
        out.append('{"$oid": "' + raw.hex() + '"}')
    elif kind == T_BOOLEAN and data[start] <= 1:
        out.append("true" if data[start] else "false")
    elif kind == T_DOUBLE:
        memcpy(&real, data + start, 8)
        out.append(repr(real) if isfinite(real) else _other(kind, data + start, 8))
    elif kind == T_NULL:
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
        size = int32_at(data + position)
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
    try:
        if length < 5 or int32_at(data) != length:
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
