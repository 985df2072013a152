# What exim_scan.pyx uses of exim_found.pyx.

from libc.stdint cimport int32_t, int64_t, uint8_t

cdef enum:
    LONGEST_PARTY = 512
    LONGEST_NAME = 100      # of an authenticator that fails

    ODD = 0
    ARRIVAL = 1
    FAILURE = 2

    WORD = 1                # A-Za-z0-9_
    NAME = 2                # and .-
    HELO = 4                # and :[]
    ADDRESS = 8             # 0-9A-Fa-f.:
    TEXT = 16               # what can be seen, but for quotes and backslashes
    USER = 32               # and colons
    SENDER = 64             # but <>
    TRIED = 128             # but parentheses


cdef struct Part:
    int32_t start
    int32_t size


cdef struct Line:
    int32_t start
    int32_t end
    int32_t stamp           # its length; 0 where it is written otherwise than most are
    bint timed              # whether `micros` tells its time
    int64_t micros          # of its hour
    int32_t kind            # ODD where it is not as most are; then it has none of what follows
    int32_t recipients      # UNTOLD where there is none
    int64_t size
    Part queue_id, sender, client, manner, account, message_id
    Part door, code         # of a failure, whose manner is the authenticator, and whose account is the name that was tried


cdef class Found:
    cdef Py_buffer batch
    cdef Line *lines
    cdef int32_t total, room

    cdef int _find(self, const char *start, Py_ssize_t size) except -1 nogil
    cdef Line *_next(self) except NULL nogil


cdef const char *span(const char *at, const char *end, uint8_t kind) noexcept nogil
