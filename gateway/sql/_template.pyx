# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""``strip_literals`` and ``strip_mysql_literals`` on raw memory; ``template.py`` is the specification.

The template is never longer than the text: a string has at least its two quotes, an integer at least one digit, and
any other number at least two characters. So one buffer of the text's size is enough.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy
from libc.stdlib cimport free, malloc

COMPILED = True

cdef enum:
    ON_STACK = 2048

cdef enum Class:
    REFUSED = 0
    SPACE = 1
    OPERATOR = 2     # an operator or punctuation that is copied whatever stands beside it
    LETTER = 3       # begins a name
    DIGIT = 4
    QUOTE = 5
    DOUBLE_QUOTE = 6
    DOLLAR = 7
    DOT = 8
    MINUS = 9
    SLASH = 10
    BACKTICK = 11

ctypedef const unsigned char* Bytes

cdef unsigned char postgres[256]
cdef unsigned char mysql[256]


cdef void fill(unsigned char* classes) noexcept:
    cdef int c
    for c in range(256):
        classes[c] = REFUSED
    for c in range(c"a", c"z" + 1):
        classes[c] = classes[c - 32] = LETTER
    classes[<int>c"_"] = LETTER
    for c in range(c"0", c"9" + 1):
        classes[c] = DIGIT
    for c in b" \t\n\r\f":
        classes[c] = SPACE
    for c in b"+*<>=~!%^&|?(),;:":
        classes[c] = OPERATOR
    classes[<int>c"'"] = QUOTE
    classes[<int>c'"'] = DOUBLE_QUOTE
    classes[<int>c"$"] = DOLLAR
    classes[<int>c"."] = DOT
    classes[<int>c"-"] = MINUS
    classes[<int>c"/"] = SLASH


cdef void fill_both() noexcept:
    cdef int c
    fill(postgres)
    for c in b"@#`[]":
        postgres[c] = OPERATOR
    fill(mysql)
    mysql[<int>c"`"] = BACKTICK
    mysql[<int>c"$"] = LETTER


fill_both()


cdef inline bint in_name(unsigned char c) noexcept nogil:
    """Letters, digits, underscore and dollar."""
    cdef unsigned char kind = postgres[c]
    return kind == LETTER or kind == DIGIT or kind == DOLLAR


cdef inline bint is_quote(unsigned char c, bint ticks) noexcept nogil:
    return c == c"'" or c == c'"' or (ticks and c == c"`")


cdef inline bint attached(Bytes text, Py_ssize_t size, Py_ssize_t at, bint ticks) noexcept nogil:
    """Whether what stands at ``at`` sticks to a number before it, or could."""
    if at >= size:
        return False
    return in_name(text[at]) or text[at] == c"." or is_quote(text[at], ticks)


cdef inline bint fits_integer(Bytes digits, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t at = 0
    cdef unsigned long long value = 0
    while at < size and digits[at] == c"0":
        at += 1
    if size - at > 10:
        return False
    while at < size:
        value = value * 10 + (digits[at] - c"0")
        at += 1
    return value <= 2147483647


cdef inline Py_ssize_t exponent(Bytes text, Py_ssize_t size, Py_ssize_t at) noexcept nogil:
    """The position behind the exponent at ``at``, or ``at`` where there is none."""
    cdef Py_ssize_t ahead = at
    if ahead >= size or (text[ahead] | 0x20) != c"e":
        return at
    ahead += 1
    if ahead < size and (text[ahead] == c"+" or text[ahead] == c"-"):
        ahead += 1
    if ahead >= size or postgres[text[ahead]] != DIGIT:
        return at
    while ahead < size and postgres[text[ahead]] == DIGIT:
        ahead += 1
    return ahead


cdef Py_ssize_t strip(
    Bytes text, Py_ssize_t size, unsigned char* output, const unsigned char* classes
) noexcept nogil:
    """Write the template; returns its size, or -1 for a text that has none."""
    cdef Py_ssize_t at = 0, used = 0, begin, ahead, copied = 0
    cdef unsigned char kind, before
    cdef bint ticks = classes == mysql
    # Everything in [copied, at) is still to be copied as it is.
    while at < size:
        kind = classes[text[at]]
        if kind == SPACE or kind == OPERATOR:
            at += 1
        elif kind == LETTER:
            at += 1
            while at < size and in_name(text[at]):
                at += 1
            if at < size and is_quote(text[at], ticks):
                return -1
        elif kind == DIGIT or (kind == DOT and at + 1 < size and classes[text[at + 1]] == DIGIT):
            begin = at
            if kind == DOT and at > 0:
                before = text[at - 1]
                if in_name(before) or is_quote(before, ticks) or before in (c".", c")", c"]"):
                    return -1
            while at < size and classes[text[at]] == DIGIT:
                at += 1
            ahead = at
            if at < size and text[at] == c".":
                at += 1
                while at < size and classes[text[at]] == DIGIT:
                    at += 1
            at = exponent(text, size, at)
            if attached(text, size, at, ticks):
                return -1
            memcpy(output + used, text + copied, begin - copied)
            used += begin - copied
            if kind == DOT:
                output[used] = c"."
                used += 1
            output[used] = c"0"
            used += 1
            if kind == DIGIT and (at != ahead or not fits_integer(text + begin, at - begin)):
                output[used] = c"."
                used += 1
            copied = at
        elif kind == QUOTE:
            if at > 0 and (in_name(text[at - 1]) or text[at - 1] == c"&" or is_quote(text[at - 1], ticks)):
                return -1
            begin = at
            at += 1
            while True:
                if at >= size or text[at] == 0 or text[at] == c"\\":
                    return -1
                if text[at] == c"'":
                    at += 1
                    if at >= size or text[at] != c"'":
                        break
                at += 1
            memcpy(output + used, text + copied, begin - copied)
            used += begin - copied
            output[used] = c"'"
            output[used + 1] = c"'"
            used += 2
            copied = at
        elif kind == DOUBLE_QUOTE or kind == BACKTICK:
            before = text[at]
            if at > 0 and (in_name(text[at - 1]) or text[at - 1] == c"&" or is_quote(text[at - 1], ticks)):
                return -1
            at += 1
            while True:
                if at >= size or text[at] == 0 or (ticks and text[at] == c"\\"):
                    return -1
                if text[at] == before:
                    at += 1
                    if at >= size or text[at] != before:
                        break
                at += 1
        elif kind == DOLLAR:
            at += 1
            begin = at
            while at < size and classes[text[at]] == DIGIT:
                at += 1
            if at == begin or attached(text, size, at, ticks):
                return -1
        elif kind == DOT:
            if at + 1 < size and text[at + 1] == c".":
                return -1
            at += 1
        elif kind == MINUS:
            if at + 1 < size and text[at + 1] == c"-":
                return -1
            at += 1
        elif kind == SLASH:
            if at + 1 < size and text[at + 1] == c"*":
                return -1
            at += 1
        else:
            return -1
    memcpy(output + used, text + copied, size - copied)
    return used + size - copied


cdef object template(bytes text, const unsigned char* classes):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
    cdef unsigned char small[ON_STACK]
    cdef unsigned char* output = small
    if size > ON_STACK:
        output = <unsigned char*>malloc(size)
        if output == NULL:
            raise MemoryError()
    cdef Py_ssize_t used = strip(<Bytes>PyBytes_AS_STRING(text), size, output, classes)
    try:
        return None if used < 0 else PyBytes_FromStringAndSize(<char*>output, used)
    finally:
        if output != small:
            free(output)


def strip_literals(bytes text not None):
    """The template of a statement text of PostgreSQL's, or None; see ``template.py``."""
    return template(text, postgres)


def strip_mysql_literals(bytes text not None):
    """The template of a statement text of MySQL's, or None; see ``template.py``."""
    return template(text, mysql)
