# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Texts by number, without an object for each, for compiled code that runs without the interpreter's lock.

    codes.of(at, size)              number of a text, in the order in which they are met
    codes.text(code)                as it was given
    meanings.meaning(at, size)      the same, of a text that Python is to read
    meanings.sense(code)            UNREAD, REFUSED, or the number that it was read as
    meanings.read_new()             read what was met since, into `values`

What is told apart here is written by strangers, so where a text stands in the table depends on a number of this process.

What goes wrong
    MemoryError.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memcmp, memcpy

import os

from smtp_auth_report.sources.log_bytes cimport hashed_from

cdef uint64_t SEED = int.from_bytes(os.urandom(8), "little")


cdef int append(Buffer *buffer, const void *at, Py_ssize_t size) except -1 nogil:
    """Add bytes at the end."""
    cdef Py_ssize_t room = buffer.room
    cdef void *found
    if buffer.size + size > room:
        room = max(4096, 2 * (buffer.size + size))
        found = PyMem_RawRealloc(buffer.bytes, room)
        if not found:
            with gil:
                raise MemoryError
        buffer.bytes, buffer.room = <char *>found, room
    memcpy(buffer.bytes + buffer.size, at, size)
    buffer.size += size
    return 0


cdef bytes taken(Buffer *buffer):
    """What is in a buffer, and no more."""
    found = PyBytes_FromStringAndSize(buffer.bytes, buffer.size)
    buffer.size = 0
    return found


cdef class Codes:
    """Numbers of texts."""

    def __dealloc__(self):
        PyMem_RawFree(self._texts.bytes)
        PyMem_RawFree(self._ends.bytes)
        PyMem_RawFree(self._slots)

    cdef int32_t of(self, const void *at, Py_ssize_t size) except -1 nogil:
        """Number of a text, the next one where it is new."""
        cdef uint64_t hash = hashed_from(SEED, <const char *>at, size)
        cdef Slot *slot
        cdef int32_t place
        if 3 * self.count >= 2 * self._room:
            self._grow()
        place = <int32_t>(hash & <uint64_t>(self._room - 1))
        while self._slots[place].code:
            slot = &self._slots[place]
            if slot.hash == hash and slot.size == size and memcmp(self._texts.bytes + slot.start, at, size) == 0:
                return slot.code - 1
            place = (place + 1) & (self._room - 1)
        self._slots[place] = Slot(hash, self._texts.size, <int32_t>size, self.count + 1)
        append(&self._texts, at, size)
        append(&self._ends, &self._texts.size, sizeof(Py_ssize_t))
        self.count += 1
        return self.count - 1

    cdef int _grow(self) except -1 nogil:
        cdef int32_t room = max(256, 2 * self._room)
        cdef int32_t old, slot
        cdef Slot *slots = <Slot *>PyMem_RawCalloc(room, sizeof(Slot))
        if not slots:
            with gil:
                raise MemoryError
        for old in range(self._room):
            if self._slots[old].code:
                slot = <int32_t>(self._slots[old].hash & <uint64_t>(room - 1))
                while slots[slot].code:
                    slot = (slot + 1) & (room - 1)
                slots[slot] = self._slots[old]
        PyMem_RawFree(self._slots)
        self._slots, self._room = slots, room
        return 0

    cdef const char *at(self, int32_t code) noexcept nogil:
        """Where a text is kept, until another is added."""
        return self._texts.bytes + ((<Py_ssize_t *>self._ends.bytes)[code - 1] if code else 0)

    cdef Py_ssize_t size(self, int32_t code) noexcept nogil:
        return self._texts.bytes + (<Py_ssize_t *>self._ends.bytes)[code] - self.at(code)

    cdef bytes text(self, int32_t code):
        return PyBytes_FromStringAndSize(self.at(code), self.size(code))


cdef class Meanings(Codes):
    """Texts that mean a number and a value, or nothing that can be taken: then `read` answers None."""

    def __init__(self, read):
        self._read = read
        self.values = []

    def __dealloc__(self):
        PyMem_RawFree(self._senses.bytes)

    cdef int32_t meaning(self, const void *at, Py_ssize_t size) except -1 nogil:
        cdef int32_t unread = UNREAD
        cdef int32_t code = self.of(at, size)
        if (code + 1) * <Py_ssize_t>sizeof(int32_t) > self._senses.size:
            append(&self._senses, &unread, sizeof(int32_t))
        return code

    cdef int32_t sense(self, int32_t code) noexcept nogil:
        return (<int32_t *>self._senses.bytes)[code]

    cdef void mean(self, int32_t code, int32_t sense) noexcept nogil:
        """It is known without being read, and has no value."""
        (<int32_t *>self._senses.bytes)[code] = sense

    cdef bint read_new(self) except -1:
        """Whether something was read."""
        cdef int32_t code
        cdef bint read = False
        for code in range(<int32_t>len(self.values), self.count):
            value = None
            if self.sense(code) == UNREAD:
                found = self._read(self.text(code))
                sense, value = (REFUSED, None) if found is None else found
                self.mean(code, sense)
                read = True
            self.values.append(value)
        return read
