# What exchange_scan.pyx uses of exchange_whole.pyx.

from libc.stdint cimport int8_t, int32_t, int64_t

cdef enum:
    COLUMNS = 9             # stamp, connector, session, number, local, remote, event, data, context
    WAITING = 32


cdef struct Field:
    const char *at          # NULL where there is none
    const char *end


cdef struct Mail:
    int32_t number
    int32_t recipients
    int64_t opened
    Field data


cdef class Whole:
    cdef object _read_context, _is_proxy
    cdef dict _contexts
    cdef list _messages
    cdef Field _connector, _session, _local, _remote
    cdef Field _helo, _tls, _claimed, _proxy, _mechanism, _account
    cdef Field _tried, _name
    cdef Mail _mail
    cdef int8_t _waiting[WAITING]
    cdef int32_t _awaited, _rows
    cdef int64_t _newest, _told
    cdef bint _trying, _of_servers, _between, _signed_in, _fixed, _secured, _handed_over, _mailing, _ended

    cdef int begin(self) except -1
    cdef bint take(self, Field *fields, int64_t time) except -1
    cdef tuple outline(self)
    cdef bint _command(self, Field data, int32_t number, int64_t time) except -1
    cdef bint _reply(self, Field data, int64_t time) except -1
    cdef bint _went_well(self, bint is_250) except -1
    cdef bint _sign_in(self, int64_t time) except -1
    cdef bint _information(self, Field data, Field context) except -1
    cdef int _finish(self) except -1
    cdef bint _await(self, int8_t command) except -1
    cdef int _answered(self, int8_t command) except -1


cdef bytes text_of(Field field)
