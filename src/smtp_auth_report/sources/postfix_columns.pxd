# What postfix_scan.pyx calls of postfix_columns.pyx.

from libc.stdint cimport int64_t, uint64_t

cdef struct Numbers:
    uint64_t key
    int64_t opened
    int64_t time
    int64_t size
    int64_t recipients
    int64_t manner
    int64_t client
    int64_t party


cdef class Codes:
    cdef dict _numbers
    cdef list values

    cdef object of(self, tuple value)


cdef class Door:
    cdef readonly object owner
    cdef tuple _place
    cdef str _outcome
    cdef object _hash
    cdef object _read_ending
    cdef object _read_failed_ending
    cdef dict _endings
    cdef dict manners
    cdef readonly int sessions
    cdef readonly int encrypted
    cdef readonly int64_t newest
    cdef readonly list queue_ids

    cdef tuple ending(self, bytes counts, bint encrypted)
    cdef object failed_ending(self, bytes counts, bint encrypted, int failures)
    cdef uint64_t key(self, bytes queue_id) except? 0


cdef class Columns:
    cdef object _read_client
    cdef object _read_tls
    cdef object _read_mechanism
    cdef dict _clients
    cdef dict _tls
    cdef dict _mechanisms
    cdef dict _accounts
    cdef dict _senders
    cdef Numbers *_numbers
    cdef Py_ssize_t _room
    cdef readonly Py_ssize_t count
    cdef list _queue_ids
    cdef list _message_ids
    cdef Codes _manners
    cdef Codes _clients_met
    cdef Codes _parties

    cdef int _begin(self) except -1
    cdef object _read(self, dict known, object read, const char *at, Py_ssize_t size)
    cdef object client(self, const char *at, Py_ssize_t size)
    cdef object tls(self, const char *at, Py_ssize_t size)
    cdef object mechanism(self, const char *at, Py_ssize_t size)
    cdef object account(self, const char *at, Py_ssize_t size)
    cdef object sender(self, const char *at, Py_ssize_t size)
    cdef object message_id(self, const char *at, const char *end)
    cdef int64_t code_of_client(self, tuple client) except -1
    cdef Numbers *add(self, Door door, bytes queue_id, account, sender, mechanism, tuple tls, message_id) except NULL
    cdef int keep(self, Door door, Py_ssize_t begin, bint encrypted, int64_t ended) except -1
    cdef int drop(self, Door door, Py_ssize_t begin) except -1


cdef bint plain_queue_id(const char *at, Py_ssize_t size, int64_t opened) noexcept nogil
