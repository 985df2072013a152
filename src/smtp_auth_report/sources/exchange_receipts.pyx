# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Exchange Server: rows of message tracking that may tell of a submission, found by compiled code.

    receipts(batch, server, direction)      in their order; None where each row is to be read
                                            numbers of the columns that name the server, and whether mail came in or goes out;
                                            -1 where there is none

Most rows tell what became of a message later. Of those that tell that one was received (exchange_tracking.RECEIVED), most
tell of mail that came in: they are passed over, but for the newest of each server and day, which tells how far time has come.

What goes wrong
    Nothing. A batch with a line break that may stand inside quotes is left for others to read, and so is a row that is
    not written as most are.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawFree
from libc.stdint cimport int32_t
from libc.string cimport memchr, memcmp
from posix.strings cimport strncasecmp

from smtp_auth_report.sources.log_bytes cimport balanced, digit, has, millisecond_stamp
from smtp_auth_report.sources.text_codes cimport Buffer, append

cdef enum:
    SERVERS = 8             # whose newest rows are known
    DAY = 10                # 2026-11-23
    STAMP = 24              # 2026-11-23T16:06:09.201Z


cdef struct Line:
    int32_t start
    int32_t end             # without the line end
    bint given


cdef struct Server:
    const char *name
    Py_ssize_t size
    int32_t newest          # place of its newest line


cdef struct Found:
    const char *start
    Buffer lines            # Line
    int32_t total
    Server servers[SERVERS]
    int32_t count
    int32_t server, direction


def receipts(batch, int32_t server, int32_t direction):
    cdef Found found
    cdef Line *line
    cdef Py_buffer held
    cdef int32_t place
    cdef bint plain
    PyObject_GetBuffer(batch, &held, PyBUF_SIMPLE)
    found.start = <const char *>held.buf
    found.lines = Buffer(NULL, 0, 0)
    found.total = found.count = 0
    found.server, found.direction = server, direction
    try:
        with nogil:
            plain = held.len < 1 << 30 and _look(&found, found.start + held.len)
        if not plain:
            return None
        given = []
        for place in range(found.total):
            line = _line(&found, place)
            if line.given:
                given.append(PyBytes_FromStringAndSize(found.start + line.start, line.end - line.start))
        return given
    finally:
        PyMem_RawFree(found.lines.bytes)
        PyBuffer_Release(&held)


cdef bint _look(Found *found, const char *stop) except -1 nogil:
    """Find lines that tell of a receipt; False where a line may be part of a longer record, or is no row."""
    cdef const char *at = found.start
    cdef const char *end
    cdef const char *past
    cdef Line line
    while at < stop:
        end = <const char *>memchr(at, 10, stop - at)
        if end == NULL:
            end = stop
        past = end
        if end > at and (end - 1)[0] == 13:
            end -= 1
        if at == end or not digit(at[0]) or not balanced(at, end):
            return False
        if has(at, end, ",SMTP,RECEIVE,", 14):
            line = Line(<int32_t>(at - found.start), <int32_t>(end - found.start), True)
            append(&found.lines, &line, sizeof(Line))
            found.total += 1
            _pass_over(found, at, end)
        at = past + 1
    return True


cdef inline Line *_line(Found *found, int32_t place) noexcept nogil:
    return <Line *>found.lines.bytes + place


cdef void _pass_over(Found *found, const char *at, const char *end) noexcept nogil:
    """Pass over the last line if it tells of mail that came in, or another one where this is the newest."""
    cdef const char *name
    cdef const char *past
    cdef const char *word
    cdef const char *word_end
    cdef Server *server
    cdef Line *line = _line(found, found.total - 1)
    if end - at <= STAMP or at[STAMP] != 44 or not millisecond_stamp(at, at + STAMP) or not _field(&word, &word_end, at, end, found.direction):
        return
    if word_end - word != 8 or strncasecmp(word, "incoming", 8) != 0 or not _field(&name, &past, at, end, found.server):
        return
    server = _server(found, at, name, past - name)
    if server == NULL:
        return
    if server.newest >= 0:
        if memcmp(found.start + _line(found, server.newest).start, at, STAMP) >= 0:
            line.given = False
            return
        _line(found, server.newest).given = False
    server.newest = found.total - 1


cdef Server *_server(Found *found, const char *stamp, const char *name, Py_ssize_t size) noexcept nogil:
    """A server on one day; NULL where there are too many."""
    cdef Server *server
    cdef int32_t place
    for place in range(found.count):
        server = &found.servers[place]
        if server.size == size and memcmp(server.name, name, size) == 0:
            if memcmp(found.start + _line(found, server.newest).start, stamp, DAY) == 0:
                return server
    if found.count == SERVERS:
        return NULL
    found.count += 1
    server = &found.servers[found.count - 1]
    server.name, server.size, server.newest = name, size, -1
    return server


cdef bint _field(const char **begin, const char **past, const char *at, const char *end, int32_t column) noexcept nogil:
    """Where a field is, without its quotes; False where there is none, or quotes stand where RFC 4180 has none."""
    while True:
        if at < end and at[0] == 34:
            begin[0], past[0] = at + 1, _closing(at + 1, end)
            at = past[0] + 1
            if past[0] == NULL or (at < end and at[0] != 44):
                return False
        else:
            begin[0], past[0] = at, <const char *>memchr(at, 44, end - at)
            if past[0] == NULL:
                past[0] = end
            at = past[0]
        if column == 0:
            return True
        if at == end:
            return False
        at += 1
        column -= 1


cdef const char *_closing(const char *at, const char *end) noexcept nogil:
    """The quote that closes a field; NULL where none does."""
    while True:
        at = <const char *>memchr(at, 34, end - at)
        if at == NULL or at + 1 == end or at[1] != 34:
            return at
        at += 2
