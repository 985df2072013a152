# What postfix_scan.pyx calls of postfix_columns.pyx.

from libc.stdint cimport int32_t, int64_t, uint64_t

from smtp_auth_report.sources.blake2 cimport BLOCK
from smtp_auth_report.sources.text_codes cimport Buffer, Codes, Meanings

cdef struct Numbers:
    uint64_t key
    int64_t opened
    int64_t time
    int64_t size
    int64_t recipients
    int64_t manner
    int64_t client
    int64_t party


cdef enum:
    LONGEST_COUNTS = 400


cdef struct Door:
    char prefix[BLOCK]          # what stands before a queue id in the key of a message, and room for one
    Py_ssize_t prefix_size
    int32_t sessions
    int32_t encrypted
    int32_t messages
    int64_t newest
    Buffer queue_ids
    Buffer opened           # as many times


cdef struct Manner:
    int32_t door
    int32_t mechanism
    int32_t tls                 # NOWHERE where no line tells it
    int32_t ending              # where the counters tell it instead, else NOWHERE


cdef struct Counts:             # the counters of a session, with what they are read by
    int32_t door
    int32_t encrypted
    int32_t failures
    char text[LONGEST_COUNTS]


cdef struct Mark:               # how much there was
    Py_ssize_t numbers
    Py_ssize_t queue_ids
    Py_ssize_t message_ids
    Py_ssize_t of_door


cdef class Columns:
    cdef readonly Meanings clients, tls, mechanisms, sent, failed, silent
    cdef Codes _manners
    cdef Codes _parties         # account and sender, a line feed between them
    cdef Buffer _party
    cdef tuple _readers
    cdef list _places           # of doors: server, service, source, outcome
    cdef Door *_doors
    cdef Py_ssize_t _door_count
    cdef Buffer _numbers
    cdef Buffer _queue_ids
    cdef Buffer _message_ids
    cdef list _manner_values
    cdef list _client_values
    cdef list _party_values

    cdef int _forget(self) except -1
    cdef bint read_new(self) except -1
    cdef int32_t client(self, const char *at, Py_ssize_t size) except -1 nogil
    cdef int32_t ending(self, Meanings known, Counts *counts, const char *at, Py_ssize_t size) except -1 nogil
    cdef Mark mark(self, int32_t door) noexcept nogil
    cdef void drop(self, int32_t door, Mark since) noexcept nogil
    cdef int32_t party(self, const char *account, Py_ssize_t size, const char *sender, Py_ssize_t length) except -1 nogil
    cdef Numbers *add(self, Manner *manner, int32_t party, const char *queue_id, Py_ssize_t size) except NULL nogil
    cdef int message_id(self, const char *at, const char *end) except -1 nogil
    cdef int keep(self, int32_t number, Mark since, bint encrypted, int64_t ended) except -1 nogil
    cdef int _make_values(self) except -1
    cdef tuple client_value(self, int32_t code)


cdef bint plain_account(const char *at, Py_ssize_t size) noexcept nogil
cdef bint plain_queue_id(const char *at, Py_ssize_t size, int64_t opened) noexcept nogil
