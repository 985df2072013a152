# What columns of messages are built on: texts by number, and bytes one behind the other.

from libc.stdint cimport int32_t, uint64_t

cdef enum:
    UNREAD = -2
    REFUSED = -1


cdef struct Buffer:
    char *bytes
    Py_ssize_t size
    Py_ssize_t room


cdef struct Slot:
    uint64_t hash
    Py_ssize_t start
    int32_t size
    int32_t code                # plus one; 0 where it is free


cdef int append(Buffer *buffer, const void *at, Py_ssize_t size) except -1 nogil
cdef bytes taken(Buffer *buffer)


cdef class Codes:
    cdef Buffer _texts
    cdef Buffer _ends           # Py_ssize_t, where each text ends
    cdef Slot *_slots
    cdef int32_t _room          # of slots
    cdef readonly int32_t count

    cdef int32_t of(self, const void *at, Py_ssize_t size) except -1 nogil
    cdef int _grow(self) except -1 nogil
    cdef const char *at(self, int32_t code) noexcept nogil
    cdef Py_ssize_t size(self, int32_t code) noexcept nogil
    cdef bytes text(self, int32_t code)


cdef class Meanings(Codes):
    cdef object _read
    cdef readonly list values
    cdef Buffer _senses         # int32_t

    cdef int32_t meaning(self, const void *at, Py_ssize_t size) except -1 nogil
    cdef int32_t sense(self, int32_t code) noexcept nogil
    cdef void mean(self, int32_t code, int32_t sense) noexcept nogil
    cdef bint read_new(self) except -1
