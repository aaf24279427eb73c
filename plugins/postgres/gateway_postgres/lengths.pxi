"""The lengths of messages and values: signed 32-bit, big-endian. Included into each kernel, as ``row_buffers.pxi`` is."""

from libc.stdint cimport int32_t, uint32_t


cdef inline int32_t read_length(Bytes p) noexcept nogil:
    return <int32_t>((<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | <uint32_t>p[3])


cdef inline void write_length(unsigned char* p, uint32_t value) noexcept nogil:
    p[0] = <unsigned char>(value >> 24)
    p[1] = <unsigned char>((value >> 16) & 0xFF)
    p[2] = <unsigned char>((value >> 8) & 0xFF)
    p[3] = <unsigned char>(value & 0xFF)
