# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Growing the Merkle tree without the interpreter. ``gateway.audit.tree.Frontier`` is the specification.

The hash is OpenSSL's SHA-256, the library that ``hashlib`` uses, found at run time: a call by way of ``hashlib`` costs
several times what the hash does, and keeps everybody else from the interpreter. Where the library is not to be had, the
import fails and the specification does the work.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memcpy

from hashlib import sha256

cdef extern from "dlfcn.h" nogil:
    void* dlopen(const char*, int)
    void* dlsym(void*, const char*)
    int RTLD_NOW

ctypedef int (*init_function)(void*) noexcept nogil
ctypedef int (*update_function)(void*, const void*, size_t) noexcept nogil
ctypedef int (*final_function)(unsigned char*, void*) noexcept nogil

cdef enum:
    HASH = 32
    LEVELS = 64
    CONTEXT_WORDS = 32  # 256 bytes; SHA256_CTX has 112
    SMALL = 16384  # bytes that are hashed sooner than two threads agree on who holds the interpreter

cdef init_function sha_init
cdef update_function sha_update
cdef final_function sha_final

cdef unsigned char LEAF = 0
cdef unsigned char NODE = 1


cdef bint _load() noexcept:
    global sha_init, sha_update, sha_final
    cdef void* library = dlopen(b"libcrypto.so.3", RTLD_NOW)
    if library == NULL:
        library = dlopen(b"libcrypto.so.1.1", RTLD_NOW)
    if library == NULL:
        return False
    sha_init = <init_function>dlsym(library, b"SHA256_Init")
    sha_update = <update_function>dlsym(library, b"SHA256_Update")
    sha_final = <final_function>dlsym(library, b"SHA256_Final")
    return sha_init != NULL and sha_update != NULL and sha_final != NULL


cdef void _leaf(void* context, const char* data, size_t size, unsigned char* out) noexcept nogil:
    sha_init(context)
    sha_update(context, &LEAF, 1)
    sha_update(context, data, size)
    sha_final(out, context)


cdef void _node(void* context, const unsigned char* left, unsigned char* right) noexcept nogil:
    """The node above two hashes, in the place of the right one."""
    sha_init(context)
    sha_update(context, &NODE, 1)
    sha_update(context, left, HASH)
    sha_update(context, right, HASH)
    sha_final(right, context)


cdef void _add(
    unsigned char (*stack)[HASH],
    Py_ssize_t* depth,
    unsigned long long bits,
    const char* line,
    size_t size,
) noexcept nogil:
    """Append one line to a tree of ``bits`` leaves."""
    cdef unsigned long long context[CONTEXT_WORDS]
    cdef unsigned char leaf[HASH]
    _leaf(context, line, size, leaf)
    while bits & 1:
        depth[0] -= 1
        _node(context, stack[depth[0]], leaf)
        bits >>= 1
    memcpy(stack[depth[0]], leaf, HASH)
    depth[0] += 1


def grow(unsigned long long size, list peaks, list lines):
    """The peaks after the tree of ``size`` leaves, which has ``peaks``, has grown by ``lines``.

    ``lines`` must not be changed meanwhile. Raises ``TypeError`` for lines that are not bytes, ``ValueError`` for peaks
    that cannot be.
    """
    cdef Py_ssize_t count = len(lines), depth = len(peaks), index
    cdef size_t total = 0
    cdef unsigned char stack[LEVELS + 1][HASH]
    cdef const char** starts
    cdef size_t* sizes
    if depth > LEVELS - 1:
        raise ValueError("too many peaks")
    for index in range(depth):
        if not PyBytes_CheckExact(peaks[index]) or PyBytes_GET_SIZE(peaks[index]) != HASH:
            raise ValueError("a peak has 32 bytes")
        memcpy(stack[index], PyBytes_AS_STRING(peaks[index]), HASH)
    if bin(size).count("1") != depth:
        raise ValueError("not the peaks of such a tree")
    starts = <const char**>PyMem_Malloc((count + 1) * sizeof(char*))
    sizes = <size_t*>PyMem_Malloc((count + 1) * sizeof(size_t))
    try:
        if starts == NULL or sizes == NULL:
            raise MemoryError
        for index in range(count):
            if not PyBytes_CheckExact(lines[index]):
                raise TypeError("a line must be bytes")
            starts[index] = PyBytes_AS_STRING(lines[index])
            sizes[index] = PyBytes_GET_SIZE(lines[index])
            total += sizes[index]
        if total <= SMALL:
            for index in range(count):
                _add(stack, &depth, size + index, starts[index], sizes[index])
        else:
            with nogil:
                for index in range(count):
                    _add(stack, &depth, size + index, starts[index], sizes[index])
    finally:
        PyMem_Free(starts)
        PyMem_Free(sizes)
    return [PyBytes_FromStringAndSize(<const char*>stack[index], HASH) for index in range(depth)]


def _works():
    """Whether the functions that were found are the ones that were looked for."""
    cdef unsigned long long context[CONTEXT_WORDS]
    cdef unsigned char out[HASH]
    cdef bytes text = b"querygate" * 40
    _leaf(context, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), out)
    return PyBytes_FromStringAndSize(<const char*>out, HASH) == sha256(b"\0" + text).digest()


if not _load() or not _works():
    raise ImportError("no usable libcrypto")
