"""Output that grows before each write, so that no bound on its size has to be known. Included into the kernels that write."""

cimport cython
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy


cdef class Output:
    cdef unsigned char* data
    cdef Py_ssize_t size
    cdef Py_ssize_t room

    def __cinit__(self, Py_ssize_t room):
        self.data = <unsigned char*>malloc(room)
        if self.data == NULL:
            raise MemoryError
        self.size = 0
        self.room = room

    def __dealloc__(self):
        free(self.data)

    @cython.final
    cdef inline int put(self, const unsigned char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t room
        cdef unsigned char* grown
        if self.size + size > self.room:
            room = 2 * self.room + size
            grown = <unsigned char*>realloc(self.data, room)
            if grown == NULL:
                raise MemoryError
            self.data = grown
            self.room = room
        memcpy(self.data + self.size, data, size)
        self.size += size
        return 0
