# What a source's own scan builds on.

from libc.stdint cimport int8_t, int16_t, int32_t, uint64_t

from smtp_auth_report.sources.text_codes cimport Buffer

cdef enum:
    NOWHERE = -1
    LONGEST_ID = 24
    RECENT = 8

cpdef enum:
    KEPT = 0                # the kind of lines that are all to be read; other kinds are a source's own
    STRANGE = -1            # what `learn` may answer instead
    ODD = -2


cdef struct Line:           # there are many: it is small, so that they stay near
    uint64_t key            # pid where it has one, behind a 1, until a source puts another here
    int32_t start
    int32_t end             # without the line feed
    int32_t raw             # where the origin ends
    int32_t text            # where the text begins; 0 where the envelope is strange
    int32_t minute
    int32_t micros          # within the minute
    int32_t run
    int32_t next            # line of the same run
    int16_t blank           # length of the stamp
    int16_t prefix
    int8_t id_size          # of the queue id, 0 where there is none
    int8_t kind
    int8_t says
    int8_t keep
    int8_t bound            # kept whatever it says
    int8_t noted            # a source's own


cdef struct Prefix:
    int32_t offset          # among the bytes of all prefixes
    int32_t size
    int32_t blank
    int32_t kind
    int32_t group           # of one host and tag
    int32_t instance        # of one host and instance of Postfix
    int32_t host
    int8_t pid
    int8_t first_size
    char first[16]          # a text that begins so is to be read, whatever the kind
    uint64_t hash
    uint64_t ending         # its last bytes: prefixes of one host begin alike


cdef class LogLines:
    cdef object _learn
    cdef Py_buffer _content
    cdef const char *_bytes
    cdef Line *_lines
    cdef readonly int32_t total
    cdef int32_t _room
    cdef Prefix *_prefixes
    cdef int32_t _prefix_count
    cdef bytes _prefix_bytes
    cdef const char *_known_bytes
    cdef int32_t *_prefix_places
    cdef int32_t _recent[RECENT]    # prefixes, about in the order in which they are most common; NOWHERE of those not met
    cdef Buffer _minutes            # number of the first line of each, int32_t
    cdef int32_t _minute_count
    cdef int32_t _stamped           # the last line with a known stamp, or NOWHERE
    cdef bint _plain_stamps
    cdef Py_ssize_t _done           # bytes that were looked at

    cdef bint _read(self, content) except -1
    cdef bytes _cut(self, int32_t start, int32_t end)
    cdef int _go_on(self, Py_ssize_t size) except -3 nogil
    cdef int _settle(self, Line *line) except -1 nogil
    cdef int _note(self, Line *line, int32_t number) except -1 nogil
    cdef bint _split(self, Line *line) noexcept nogil
    cdef int32_t _met(self, const char *at, const char *end, int32_t blank) noexcept nogil
    cdef int32_t _known(self, const char *at, int32_t size, int32_t blank) noexcept nogil
    cdef int32_t _meet(self, int32_t number) except -3
    cdef int _find_minute(self, Line *line) except -1 nogil
    cdef bint _seconds(self, Line *line) noexcept nogil
    cdef bint _same_minute(self, Line *line, Line *before) noexcept nogil
    cdef bint _looks_back(self, Line *line) noexcept nogil
