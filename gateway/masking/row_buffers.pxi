"""What the row kernels of several protocols share: where rows are read from, and where masked ones are written to.

Included into each (``include "gateway/masking/row_buffers.pxi"``), so that every kernel has a copy that its compiler sees
through: a call across modules would go through a table of pointers.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX

cdef enum:
    SCRATCH = 131072
    SCRATCH_KEPT = 1048576

ctypedef const unsigned char* Bytes


cdef inline bint is_ascii(Bytes p, Py_ssize_t size) noexcept nogil:
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, p, 8)
        if word & <uint64_t>0x8080808080808080:
            return False
        p += 8
        size -= 8
    while size > 0:
        if p[0] & 0x80:
            return False
        p += 1
        size -= 1
    return True


cdef class _Input:
    """Keeps a buffer from moving while its bytes are read; ``bytes`` never move and need no lock."""

    cdef Py_buffer view
    cdef bint locked
    cdef object owner
    cdef Bytes data

    def __dealloc__(self):
        if self.locked:
            PyBuffer_Release(&self.view)


cdef _Input lock(object buf, Py_ssize_t start, Py_ssize_t end):
    cdef _Input source = _Input.__new__(_Input)
    cdef Py_ssize_t size
    if PyBytes_CheckExact(buf):
        source.owner = buf
        source.data = <Bytes>PyBytes_AS_STRING(buf)
        size = PyBytes_GET_SIZE(buf)
    else:
        PyObject_GetBuffer(buf, &source.view, PyBUF_SIMPLE)
        source.locked = True
        source.data = <Bytes>source.view.buf
        size = source.view.len
    if not 0 <= start <= end <= size:
        raise ValueError("range outside the buffer")
    return source


# One spare output buffer for all calls, so that the allocator does not give memory back to the system and take it again
# for every burst. A call takes it out of the slot while it works, so calls can be nested.
cdef unsigned char* spare_data = NULL
cdef Py_ssize_t spare_size = 0


cdef class _Output:
    cdef unsigned char* data
    cdef Py_ssize_t size
    cdef Py_ssize_t used

    def __cinit__(self):
        global spare_data, spare_size
        if spare_data != NULL:
            self.data = spare_data
            self.size = spare_size
            spare_data = NULL
            spare_size = 0
        else:
            self.data = <unsigned char*>malloc(SCRATCH)
            if self.data == NULL:
                raise MemoryError()
            self.size = SCRATCH

    def __dealloc__(self):
        global spare_data, spare_size
        if self.data == NULL:
            return
        if spare_data == NULL and self.size <= SCRATCH_KEPT:
            spare_data = self.data
            spare_size = self.size
        else:
            free(self.data)

    cdef int reserve(self, Py_ssize_t more) except -1:
        """Make room for ``more`` bytes behind those in use."""
        cdef Py_ssize_t needed, size
        cdef unsigned char* moved
        if more <= self.size - self.used:
            return 0
        if more > PY_SSIZE_T_MAX // 4 - self.used:
            raise MemoryError()
        needed = self.used + more
        size = self.size
        while size < needed:
            size *= 2
        moved = <unsigned char*>realloc(self.data, size)
        if moved == NULL:
            raise MemoryError()
        self.data = moved
        self.size = size
        return 0

    cdef void put(self, Bytes source, Py_ssize_t size) noexcept:
        """Append; there must be room."""
        memcpy(self.data + self.used, source, size)
        self.used += size
