# cython: language_level=3, boundscheck=False, wraparound=False
"""Putting lines on the disk in a thread that never needs the interpreter. ``_disk_reference`` is the specification."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint64_t

COMPILED = True

cdef extern from "<sys/types.h>" nogil:
    ctypedef long long off_t
    ctypedef Py_ssize_t ssize_t

cdef extern from "<unistd.h>" nogil:
    ssize_t pwrite(int fd, const void* data, size_t size, off_t offset)
    ssize_t write(int fd, const void* data, size_t size)
    int fdatasync(int fd)

cdef extern from "<sys/stat.h>" nogil:
    struct stat_result "stat":
        unsigned long long st_nlink
    int fstat(int fd, stat_result* status)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    int SIG_SETMASK
    int sigfillset(sigset_t*)
    int pthread_sigmask(int, const sigset_t*, sigset_t*)

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_create(pthread_t*, const void*, void* (*)(void*) noexcept nogil, void*)
    int pthread_join(pthread_t, void**)
    int pthread_mutex_init(pthread_mutex_t*, const void*)
    int pthread_mutex_lock(pthread_mutex_t*)
    int pthread_mutex_unlock(pthread_mutex_t*)
    int pthread_mutex_destroy(pthread_mutex_t*)
    int pthread_cond_init(pthread_cond_t*, const void*)
    int pthread_cond_wait(pthread_cond_t*, pthread_mutex_t*)
    int pthread_cond_signal(pthread_cond_t*)
    int pthread_cond_destroy(pthread_cond_t*)

cdef enum State:
    IDLE
    ASKED
    OVER
    CLOSING


cdef struct Desk:
    pthread_mutex_t lock
    pthread_cond_t asked
    State state
    int wake
    int descriptor
    const char* data
    Py_ssize_t size
    off_t offset
    # What became of it:
    Py_ssize_t written
    bint synced
    bint linked
    int failed


cdef void _put(Desk* desk) noexcept nogil:
    cdef ssize_t more
    cdef stat_result status
    desk.written = 0
    desk.synced = desk.linked = False
    desk.failed = 0
    while desk.written < desk.size:
        more = pwrite(desk.descriptor, desk.data + desk.written, desk.size - desk.written, desk.offset + desk.written)
        if more > 0:
            desk.written += more
        elif more == 0:
            return
        elif errno != EINTR:
            desk.failed = errno
            return
    while fdatasync(desk.descriptor) != 0:
        if errno != EINTR:
            desk.failed = errno
            return
    desk.synced = True
    if fstat(desk.descriptor, &status) == 0:
        desk.linked = status.st_nlink > 0
    else:
        desk.failed = errno


cdef void* _work(void* argument) noexcept nogil:
    cdef Desk* desk = <Desk*>argument
    cdef uint64_t one = 1
    pthread_mutex_lock(&desk.lock)
    while True:
        while desk.state == IDLE or desk.state == OVER:
            pthread_cond_wait(&desk.asked, &desk.lock)
        if desk.state == CLOSING:
            break
        pthread_mutex_unlock(&desk.lock)
        _put(desk)
        pthread_mutex_lock(&desk.lock)
        if desk.state == ASKED:
            desk.state = OVER
        # Without the lock, or whoever wakes up would wait for it at once.
        pthread_mutex_unlock(&desk.lock)
        write(desk.wake, &one, 8)
        pthread_mutex_lock(&desk.lock)
    pthread_mutex_unlock(&desk.lock)
    return NULL


cdef class Putter:
    """See ``_disk_reference.Putter``."""

    cdef Desk desk
    cdef pthread_t thread
    cdef bint running
    cdef bytes data

    def __cinit__(self, int wake):
        cdef sigset_t everything, before
        cdef int failed
        self.running = False
        self.desk.state = IDLE
        self.desk.wake = wake
        pthread_mutex_init(&self.desk.lock, NULL)
        pthread_cond_init(&self.desk.asked, NULL)
        # Signals are the interpreter's: its own threads are to get them.
        sigfillset(&everything)
        pthread_sigmask(SIG_SETMASK, &everything, &before)
        failed = pthread_create(&self.thread, NULL, _work, &self.desk)
        pthread_sigmask(SIG_SETMASK, &before, NULL)
        if failed:
            raise RuntimeError("no thread can be started")
        self.running = True

    def __dealloc__(self):
        self._stop()
        pthread_cond_destroy(&self.desk.asked)
        pthread_mutex_destroy(&self.desk.lock)

    cdef void _stop(self) noexcept:
        if not self.running:
            return
        self.running = False
        with nogil:
            pthread_mutex_lock(&self.desk.lock)
            self.desk.state = CLOSING
            pthread_cond_signal(&self.desk.asked)
            pthread_mutex_unlock(&self.desk.lock)
            pthread_join(self.thread, NULL)

    def begin(self, int descriptor, bytes data not None, off_t offset):
        cdef bint free
        # Held for a few instructions only, by either thread.
        pthread_mutex_lock(&self.desk.lock)
        free = self.running and self.desk.state == IDLE
        if free:
            self.data = data
            self.desk.descriptor = descriptor
            self.desk.data = PyBytes_AS_STRING(data)
            self.desk.size = PyBytes_GET_SIZE(data)
            self.desk.offset = offset
            self.desk.state = ASKED
        pthread_mutex_unlock(&self.desk.lock)
        if free:
            pthread_cond_signal(&self.desk.asked)
        else:
            raise RuntimeError("one at a time")

    def result(self):
        cdef bint over
        pthread_mutex_lock(&self.desk.lock)
        over = self.desk.state == OVER
        if over:
            self.desk.state = IDLE
        pthread_mutex_unlock(&self.desk.lock)
        if not over:
            return None
        self.data = None
        return self.desk.written, bool(self.desk.synced), bool(self.desk.linked), self.desk.failed

    def close(self):
        self._stop()
