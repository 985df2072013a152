# Small questions about bytes, for the compiled code of sources. Each looks at nothing beyond the end it is given.

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

cdef extern from "string.h" nogil:
    void *memmem(const void *haystack, size_t size, const void *needle, size_t length)


cdef inline bint begins(const char *at, const char *end, const char *text, Py_ssize_t size) noexcept nogil:
    return end - at >= size and memcmp(at, text, size) == 0


cdef inline bint ends(const char *at, const char *end, const char *text, Py_ssize_t size) noexcept nogil:
    return end - at >= size and memcmp(end - size, text, size) == 0


cdef inline bint has(const char *at, const char *end, const char *text, Py_ssize_t size) noexcept nogil:
    """Lines are short: memmem, which prepares a table first, takes longer."""
    cdef const char *last = end - size
    while at <= last:
        at = <const char *>memchr(at, text[0], last - at + 1)
        if at == NULL:
            return False
        if memcmp(at, text, size) == 0:
            return True
        at += 1
    return False


cdef inline bint digit(char byte) noexcept nogil:
    return 48 <= byte <= 57


cdef inline bint alphanumeric(char byte) noexcept nogil:
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122


cdef inline bint space(char byte) noexcept nogil:
    return byte == 32 or 9 <= byte <= 13


cdef inline int64_t number(const char *at, Py_ssize_t size) noexcept nogil:
    """Of so many digits."""
    cdef int64_t value = 0
    cdef Py_ssize_t place
    for place in range(size):
        value = 10 * value + at[place] - 48
    return value


cdef inline bint millisecond_stamp(const char *at, const char *end) noexcept nogil:
    """2026-11-23T16:06:05.377Z; whether there is such a day is left open."""
    cdef const char *shape = "0000-00-00T00:00:00.000Z"
    cdef int32_t place
    if end - at != 24:
        return False
    for place in range(24):
        if not digit(at[place]) if shape[place] == 48 else at[place] != shape[place]:
            return False
    return number(at + 11, 2) < 24 and at[14] < 54 and at[17] < 54


cdef inline bint ipv4(const char *at, const char *end) noexcept nogil:
    """Whether a text is an IPv4 address; see `values.address`."""
    cdef int part, dots = 0
    while True:
        if at == end or not digit(at[0]):
            return False
        part = at[0] - 48
        at += 1
        while at < end and digit(at[0]) and 0 < part < 26:
            part = 10 * part + at[0] - 48
            at += 1
        if part > 255:
            return False
        if dots == 3 or at == end or at[0] != 46:
            return dots == 3 and at == end
        dots += 1
        at += 1


cdef inline bint balanced(const char *at, const char *end) noexcept nogil:
    """Whether every quote opens or closes a field of a table's row."""
    cdef const char *begin = at
    cdef const char *quote
    cdef bint inside = False
    while True:
        quote = <const char *>memchr(at, 34, end - at)
        if quote == NULL:
            return not inside
        if not inside and quote > begin and (quote - 1)[0] != 44 and (quote - 1)[0] != 34:
            return False
        inside = not inside
        at = quote + 1


cdef inline uint64_t hashed(const char *at, Py_ssize_t size) noexcept nogil:
    """A number that few other texts have."""
    return hashed_from(0x9E3779B97F4A7C15ULL, at, size)


cdef inline uint64_t hashed_from(uint64_t seed, const char *at, Py_ssize_t size) noexcept nogil:
    """Another one for each seed."""
    cdef uint64_t value = seed ^ <uint64_t>size
    cdef uint64_t part
    while size >= 8:
        memcpy(&part, at, 8)
        value = (value ^ part) * 0xFF51AFD7ED558CCDULL
        value ^= value >> 32
        at += 8
        size -= 8
    part = 0
    memcpy(&part, at, size)
    value = (value ^ part) * 0xC4CEB9FE1A85EC53ULL
    return value ^ (value >> 29)
