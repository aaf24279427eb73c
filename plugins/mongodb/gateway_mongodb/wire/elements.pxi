"""What the kernels for BSON share: the types of elements, the sizes that they fix, and where a text ends.

Included into each, as ``gateway/masking/row_buffers.pxi`` is into the kernels for rows.
"""

from libc.stdint cimport int32_t, uint32_t
from libc.string cimport memchr

from gateway_mongodb.wire.types import FIXED_SIZES

cdef enum:
    T_DOUBLE = 0x01
    T_STRING = 0x02
    T_DOCUMENT = 0x03
    T_ARRAY = 0x04
    T_BINARY = 0x05
    T_UNDEFINED = 0x06
    T_OBJECT_ID = 0x07
    T_BOOLEAN = 0x08
    T_NULL = 0x0A
    T_REGEX = 0x0B
    T_DB_POINTER = 0x0C
    T_CODE = 0x0D
    T_SYMBOL = 0x0E
    T_SCOPED = 0x0F
    T_INT32 = 0x10
    T_INT64 = 0x12

# Size of a value by its type; -1: told by the value; -2: no such type.
cdef int SIZES[256]
cdef int _kind, _fixed
for _kind in range(256):
    SIZES[_kind] = -2
for _kind in (T_STRING, T_DOCUMENT, T_ARRAY, T_BINARY, T_REGEX, T_DB_POINTER, T_CODE, T_SYMBOL, T_SCOPED):
    SIZES[_kind] = -1
for _kind, _fixed in FIXED_SIZES.items():
    SIZES[_kind] = _fixed


cdef inline int32_t int32_at(const unsigned char* data) noexcept nogil:
    return <int32_t>(
        <uint32_t>data[0] | (<uint32_t>data[1] << 8) | (<uint32_t>data[2] << 16) | (<uint32_t>data[3] << 24)
    )


cdef inline Py_ssize_t after_zero(const unsigned char* data, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Just behind the NUL at or after ``start``; -1 where there is none before ``end``."""
    cdef const void* found = memchr(data + start, 0, end - start) if end > start else NULL
    return <const unsigned char*>found - data + 1 if found != NULL else -1
