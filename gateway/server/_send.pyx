# cython: language_level=3, boundscheck=False, wraparound=False
"""``gateway.server.send`` without the interpreter; that module is the specification."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

cdef extern from "<sys/types.h>" nogil:
    ctypedef Py_ssize_t ssize_t

cdef extern from "<sys/socket.h>" nogil:
    ssize_t send(int fd, const void* data, size_t size, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef enum:
    SMALL = 32768  # bytes that the kernel copies sooner than two threads agree on who holds the interpreter


def send_now(int fd, object data):
    cdef Py_buffer view
    cdef ssize_t sent
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        if view.len <= SMALL:
            sent = send(fd, view.buf, view.len, MSG_DONTWAIT | MSG_NOSIGNAL)
        else:
            with nogil:
                sent = send(fd, view.buf, view.len, MSG_DONTWAIT | MSG_NOSIGNAL)
    finally:
        PyBuffer_Release(&view)
    return sent if sent > 0 else 0
