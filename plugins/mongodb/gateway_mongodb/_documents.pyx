# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The document kernel, compiled. ``_documents_reference.py`` is its specification; what both do is compared byte for byte.

Every position is checked before it is read.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.string cimport memcmp

from gateway.errors import MaskingError
from gateway_mongodb.masks import Do

include "plugins/mongodb/gateway_mongodb/wire/elements.pxi"
include "plugins/mongodb/gateway_mongodb/output.pxi"

COMPILED = True
MAX_DEPTH = 200

cdef int _MAX_DEPTH = 200
cdef int _KEPT = 128
cdef Py_ssize_t _PIECE = 65536

cdef enum:
    PASS = 0
    WALK = 1
    MASK = 2
    BLANK = 3
    NULLED = 4
    BATCH = 5
    ONE = 6
    DROP = 7

assert [int(item) for item in (Do.PASS, Do.WALK, Do.MASK, Do.BLANK, Do.NULL, Do.BATCH, Do.ONE, Do.DROP)] == list(range(8))

cdef struct Known:
    # A field that documents had: its name, which ends with a NUL, and the node for it.
    const char* name
    Py_ssize_t size
    int do
    PyObject* fields


@cython.final
cdef class Fields:
    """A node of the tree with its children in the order in which documents had them."""

    cdef int do
    cdef object node
    cdef object cell
    cdef int slot
    cdef Fields inner
    cdef bint leaf
    cdef Known* known
    cdef int count
    cdef list owned
    cdef dict others
    # What every string becomes, or how it is shown in part.
    cdef bint text_constant
    cdef bint text_null
    cdef bytes text_payload
    cdef int first
    cdef int last
    cdef bytes run

    def __cinit__(self, node):
        self.node = node
        self.do = int(node.do)
        self.cell = node.cell
        self.slot = node.slot
        self.inner = None if node.inner is None else _fields(node.inner)
        self.leaf = node.is_leaf
        self.known = NULL
        self.count = 0
        self.owned = []
        self.others = {}
        self.text_constant = False
        self.text_null = False
        self.text_payload = b""
        self.first = -1
        self.last = 0
        self.run = b""
        if self.cell is not None:
            if T_STRING in self.cell.constants:
                self.text_constant = True
                payload = self.cell.constants[T_STRING]
                self.text_null = payload is None
                self.text_payload = payload or b""
            elif self.cell.partial is not None:
                self.first, self.last, self.run = self.cell.partial

    def __dealloc__(self):
        free(self.known)

    cdef Fields child(self, const unsigned char* name, Py_ssize_t size, int* hint):
        """The node of a field. ``hint`` is where to begin, and then where the next field is to be expected."""
        cdef int tried, index
        cdef bytes known
        cdef Fields found
        if self.leaf:
            return self
        index = hint[0]
        for tried in range(self.count):
            if index >= self.count:
                index = 0
            if self.known[index].size == size and memcmp(self.known[index].name, name, size) == 0:
                hint[0] = index + 1
                return <Fields>self.known[index].fields
            index += 1
        known = PyBytes_FromStringAndSize(<const char*>name, size)
        found = self.others.get(known)
        if found is None:
            found = _fields(self.node.child(known))
            if self.count < _KEPT:
                if self.known == NULL:
                    self.known = <Known*>malloc(_KEPT * sizeof(Known))
                    if self.known == NULL:
                        raise MemoryError
                self.owned.append((known, found))
                self.known[self.count].name = PyBytes_AS_STRING(known)
                self.known[self.count].size = size
                self.known[self.count].do = found.do
                self.known[self.count].fields = <PyObject*>found
                self.count += 1
            elif len(self.others) < 4096:
                self.others[known] = found
        return found


cdef Fields _fields(node):
    compiled = node.compiled
    if compiled is None:
        compiled = Fields(node)
        node.compiled = compiled
    return <Fields>compiled


@cython.final
cdef class _Output(Output):
    cdef Py_ssize_t* masked  # values by slot
    cdef Py_ssize_t slots
    cdef Py_ssize_t rows

    def __cinit__(self, Py_ssize_t room):
        self.masked = NULL
        self.slots = 0
        self.rows = 0

    def __dealloc__(self):
        free(self.masked)

    cdef inline int hide(self, Py_ssize_t slot) except -1:
        """Count a value that is masked."""
        if slot >= self.slots:
            self.more_slots(slot + 1)
        self.masked[slot] += 1
        return 0

    cdef int more_slots(self, Py_ssize_t slots) except -1:
        cdef Py_ssize_t* grown = <Py_ssize_t*>realloc(self.masked, slots * sizeof(Py_ssize_t))
        if grown == NULL:
            raise MemoryError
        self.masked = grown
        while self.slots < slots:
            grown[self.slots] = 0
            self.slots += 1
        return 0

    cdef tuple hidden(self):
        return tuple([self.masked[slot] for slot in range(self.slots)])

cdef int _malformed() except -1:
    raise MaskingError("a document is malformed")


cdef inline Py_ssize_t _size(int kind, const unsigned char* data, Py_ssize_t start, Py_ssize_t end) except -1:
    """Bytes of the value that begins at ``start``; it must end before ``end``."""
    cdef Py_ssize_t size = SIZES[kind]
    cdef int32_t stated
    cdef const void* first
    cdef const void* second
    cdef Py_ssize_t here
    if size == -1:
        if kind == T_REGEX:
            first = memchr(data + start, 0, end - start)
            if first == NULL:
                _malformed()
            here = <const unsigned char*>first - data + 1
            second = memchr(data + here, 0, end - here)
            if second == NULL:
                _malformed()
            size = <const unsigned char*>second - data + 1 - start
        else:
            if end - start < 4:
                _malformed()
            stated = int32_at(data + start)
            if kind == T_STRING or kind == T_CODE or kind == T_SYMBOL or kind == T_DB_POINTER:
                if stated < 1 or stated > end - start - 4 or data[start + 3 + stated] != 0:
                    _malformed()
                size = 4 + <Py_ssize_t>stated
                if kind == T_DB_POINTER:
                    size += 12
            elif kind == T_DOCUMENT or kind == T_ARRAY:
                if stated < 5:
                    _malformed()
                size = stated
            elif kind == T_SCOPED:
                if stated < 14:
                    _malformed()
                size = stated
            else:
                if stated < 0:
                    _malformed()
                size = 5 + <Py_ssize_t>stated
    elif size == -2:
        if end - start < 4:
            _malformed()
        raise MaskingError("a document has a value of a type that is not known")
    if size > end - start:
        _malformed()
    return size


cdef int _document(
    const unsigned char* data, Py_ssize_t start, Py_ssize_t stop, Fields node, int depth, bint array, _Output output
) except -1:
    cdef Py_ssize_t begin, position, end, value, following
    cdef int kind, do, hint = 0
    cdef int32_t length
    cdef const void* found
    cdef Known* known
    cdef Fields below
    cdef Py_ssize_t pending
    if depth > _MAX_DEPTH:
        raise MaskingError("a document is nested too deeply")
    if stop - start < 5 or int32_at(data + start) != stop - start or data[stop - 1] != 0:
        raise MaskingError("a document states a wrong length")
    begin = output.size
    output.put(data + start, 4)
    position = start + 4
    # What passes is copied in one piece with what passes beside it.
    pending = position
    end = stop - 1
    while position < end:
        kind = data[position]
        known = node.known + hint
        if (
            not array
            and hint < node.count
            and end - position > known.size + 1
            and memcmp(data + position + 1, known.name, known.size + 1) == 0
            and kind != 0
        ):
            # Documents of a collection mostly have the same fields in the same order.
            hint += 1
            value = position + known.size + 2
            do = known.do
            below = <Fields>known.fields if do != PASS else node
        else:
            found = memchr(data + position + 1, 0, end - position - 1) if end - position > 1 else NULL
            if kind == 0 or found == NULL:
                _malformed()
            value = <const unsigned char*>found - data + 1
            below = node if array else node.child(data + position + 1, value - position - 2, &hint)
            do = below.do
        following = value + SIZES[kind] if SIZES[kind] >= 0 else value + _size(kind, data, value, end)
        if following > end:
            _malformed()
        if do != PASS:
            output.put(data + pending, position - pending)
            _element(kind, data, position, value, following, below, depth, output)
            pending = following
        position = following
    output.put(data + pending, stop - pending)
    if output.size - begin > 0x7FFFFFFF:
        raise MaskingError("a masked document is too long")
    length = <int32_t>(output.size - begin)
    memcpy(output.data + begin, &length, 4)
    return 0


cdef int _element(
    int kind,
    const unsigned char* data,
    Py_ssize_t position,
    Py_ssize_t value,
    Py_ssize_t following,
    Fields node,
    int depth,
    _Output output,
) except -1:
    """An element that does not just pass."""
    cdef Py_ssize_t mark
    if node.do == DROP:
        output.hide(node.slot)
    else:
        mark = output.size
        output.put(data + position, value - position)
        _value(kind, data, value, following, node, depth, mark, output)
    return 0


cdef int _value(
    int kind,
    const unsigned char* data,
    Py_ssize_t start,
    Py_ssize_t stop,
    Fields node,
    int depth,
    Py_ssize_t mark,
    _Output output,
) except -1:
    cdef Py_ssize_t count
    if node.do == ONE and node.inner is not None:
        if kind != T_NULL and kind != T_UNDEFINED:
            output.rows += 1
        node = node.inner
    if node.do == PASS or kind == T_NULL or kind == T_UNDEFINED:
        output.put(data + start, stop - start)
    elif node.do == BATCH:
        if kind != T_ARRAY or node.inner is None:
            raise MaskingError("a reply has no array where its results should be")
        count = _count(data, start, stop)
        _document(data, start, stop, node.inner, depth + 1, True, output)
        output.rows += count
    elif node.do == NULLED or node.do == DROP:
        output.hide(node.slot)
        output.data[mark] = T_NULL
    elif kind == T_DOCUMENT or kind == T_ARRAY:
        if node.do == BLANK:
            output.hide(node.slot)
            output.put(b"\x05\0\0\0\0", 5)
        else:
            _document(data, start, stop, node, depth + 1, kind == T_ARRAY, output)
    elif node.do == WALK:
        if node.inner is None:
            output.put(data + start, stop - start)
        else:
            _value(kind, data, start, stop, node.inner, depth, mark, output)
    elif node.cell is None:
        raise MaskingError("a mask has no function")
    else:
        _scalar(kind, data, start, stop, node, mark, output)
    return 0


cdef Py_ssize_t _count(const unsigned char* data, Py_ssize_t start, Py_ssize_t stop) except -1:
    cdef Py_ssize_t position = start + 4, end = stop - 1, found = 0
    cdef const void* name_end
    while position < end:
        name_end = memchr(data + position + 1, 0, end - position - 1) if end - position > 1 else NULL
        if name_end == NULL:
            _malformed()
        start = <const unsigned char*>name_end - data + 1
        position = start + _size(data[position], data, start, end)
        found += 1
    return found


cdef int _scalar(
    int kind, const unsigned char* data, Py_ssize_t start, Py_ssize_t stop, Fields node, Py_ssize_t mark, _Output output
) except -1:
    cdef Py_ssize_t size, index
    cdef int32_t length
    cdef bint ascii = True
    cdef object payload
    output.hide(node.slot)
    if kind == T_STRING:
        if node.text_constant:
            if node.text_null:
                output.data[mark] = T_NULL
            else:
                output.put(<const unsigned char*>PyBytes_AS_STRING(node.text_payload), PyBytes_GET_SIZE(node.text_payload))
            return 0
        if node.first >= 0:
            size = stop - start - 5
            for index in range(start + 4, stop - 1):
                if data[index] & 0x80:
                    ascii = False
                    break
            if ascii:
                if 2 * (node.first + node.last) > size:
                    length = <int32_t>PyBytes_GET_SIZE(node.run) + 1
                    output.put(<const unsigned char*>&length, 4)
                    output.put(<const unsigned char*>PyBytes_AS_STRING(node.run), PyBytes_GET_SIZE(node.run))
                else:
                    length = node.first + <int32_t>PyBytes_GET_SIZE(node.run) + node.last + 1
                    output.put(<const unsigned char*>&length, 4)
                    output.put(data + start + 4, node.first)
                    output.put(<const unsigned char*>PyBytes_AS_STRING(node.run), PyBytes_GET_SIZE(node.run))
                    output.put(data + stop - 1 - node.last, node.last)
                output.put(b"\0", 1)
                return 0
    payload = node.cell.mask(kind, PyBytes_FromStringAndSize(<const char*>data + start, stop - start))
    if payload is None:
        output.data[mark] = T_NULL
    elif type(payload) is bytes:
        output.put(<const unsigned char*>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))
    else:
        raise MaskingError("a masking function returned something else than bytes")
    return 0


def mask_document(bytes data not None, node):
    """A whole document masked: its new bytes, masked values by slot, counted results. Raises ``MaskingError``."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef _Output output = _Output(size + 256)
    _document(<const unsigned char*>PyBytes_AS_STRING(data), 0, size, _fields(node), 0, False, output)
    return PyBytes_FromStringAndSize(<char*>output.data, output.size), output.hidden(), output.rows


cdef Py_ssize_t _whole(const unsigned char* data, Py_ssize_t position, Py_ssize_t size, Py_ssize_t end) except -1:
    """Where the value of the element at ``position`` begins if all of it is there, otherwise 0."""
    cdef Py_ssize_t limit = end if end < size else size
    cdef Py_ssize_t value, after
    cdef int kind = data[position]
    cdef const void* found = memchr(data + position + 1, 0, limit - position - 1) if limit - position > 1 else NULL
    if found != NULL:
        value = <const unsigned char*>found - data + 1
        after = SIZES[kind]
        if after >= 0:
            after += value
        elif after == -2:
            raise MaskingError("a document has a value of a type that is not known")
        elif kind == T_REGEX:
            found = memchr(data + value, 0, limit - value)
            if found != NULL:
                after = <const unsigned char*>found - data + 1
                found = memchr(data + after, 0, limit - after)
            if found != NULL:
                after = <const unsigned char*>found - data + 1
        elif limit - value < 4:
            found = NULL
        else:
            after = value + <Py_ssize_t>int32_at(data + value)
            if after < value:
                _malformed()
            if kind == T_STRING or kind == T_CODE or kind == T_SYMBOL:
                after += 4
            elif kind == T_BINARY:
                after += 5
            elif kind == T_DB_POINTER:
                after += 16
        if found != NULL:
            if after > end:
                _malformed()
            return value if after <= size else 0
    if end <= size:
        _malformed()
    return 0


@cython.final
cdef class BatchMask:
    """Masks results as they come in. ``_documents_reference.BatchMask`` says what each thing is."""

    cdef Fields node
    cdef _Output output
    cdef list pieces
    cdef readonly Py_ssize_t size

    def __cinit__(self, node):
        self.node = _fields(node)
        self.output = _Output(_PIECE + 8192)
        self.pieces = []
        self.size = 0

    @property
    def masked(self):
        return self.output.hidden()

    def take(self, bytes data not None, Py_ssize_t position, Py_ssize_t end):
        cdef const unsigned char* raw = <const unsigned char*>PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), count = 0
        cdef Py_ssize_t limit = end if end < size else size
        cdef Py_ssize_t value, following
        cdef int kind
        while position < limit:
            value = _whole(raw, position, size, end)
            if value == 0:
                break
            kind = raw[position]
            following = value + _size(kind, raw, value, limit)
            _element(kind, raw, position, value, following, self.node, 2, self.output)
            position = following
            count += 1
            if self.output.size >= _PIECE:
                self._cut()
        return position, count

    cdef int _cut(self) except -1:
        self.pieces.append(PyBytes_FromStringAndSize(<char*>self.output.data, self.output.size))
        self.size += self.output.size
        self.output.size = 0
        return 0

    def results(self):
        if self.output.size:
            self._cut()
        return self.pieces
