# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Exchange Server: rows of SMTP Receive protocol logs, looked at as bytes by compiled code, so that most are never read.

    select(batch, known)      rows of the sessions that may matter, in their order; None where each is to be read

A session may matter if somebody tried to sign in, or was vouched for, in it (AUTH, X-EXPS, XPROXY, `authenticated`), if
something failed, if it is `known` from before, and if the batch has not both its beginning and its end. Nothing would come
of the others: servers of the site, which sign in with EXCHANGEAUTH or as machines, and strangers who deliver mail.

What goes wrong
    Nothing. A batch with other than nine plain columns in Exchange's order, or with a line break that may stand inside
    quotes, is left for others to read: a row that is passed over must be one.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memset
from posix.strings cimport strncasecmp

from smtp_auth_report.sources.log_bytes cimport begins, digit, ends, has, hashed

cdef enum:
    BEGUN = 1
    ENDED = 2
    MATTERS = 4
    STRANGE = 8


cdef struct Line:
    int32_t start
    int32_t end
    int32_t session


cdef struct Session:
    const char *id
    int32_t size
    uint32_t flags
    uint64_t hash


cdef struct Table:
    Line *lines
    int32_t total, line_room
    Session *sessions
    int32_t count, session_room
    int32_t *places
    int32_t place_room


def select(bytes batch, set known):
    cdef Table table
    cdef Session *session
    cdef Py_ssize_t size = PyBytes_GET_SIZE(batch)
    cdef const char *start = PyBytes_AS_STRING(batch)
    cdef const char *at
    cdef const char *end
    cdef int32_t number
    cdef bint plain
    if size >= 1 << 30:
        return None
    memset(&table, 0, sizeof(Table))
    try:
        with nogil:
            plain = _look(&table, start, size)
        if not plain:
            return None
        for number in range(table.count):
            session = &table.sessions[number]
            if session.flags & (BEGUN | ENDED) != (BEGUN | ENDED) or PyBytes_FromStringAndSize(session.id, session.size) in known:
                session.flags |= MATTERS
        found = []
        for number in range(table.total):
            if table.sessions[table.lines[number].session].flags & MATTERS:
                at, end = start + table.lines[number].start, start + table.lines[number].end
                if (end - 1)[0] == 13:
                    end -= 1
                found.append(PyBytes_FromStringAndSize(at, end - at))
        return found
    finally:
        PyMem_RawFree(table.lines)
        PyMem_RawFree(table.sessions)
        PyMem_RawFree(table.places)


cdef bint _look(Table *table, const char *start, Py_ssize_t size) except -1 nogil:
    """Cut a batch into rows and rows into sessions; False where that is not plain."""
    cdef const char *at = start
    cdef const char *stop = start + size
    cdef const char *end
    cdef Line *line
    while at < stop:
        end = <const char *>memchr(at, 10, stop - at)
        if end == NULL:
            end = stop
        if table.total == table.line_room:
            table.line_room = max(4096, 2 * table.line_room)
            table.lines = <Line *>_grown(table.lines, table.line_room * sizeof(Line))
        line = &table.lines[table.total]
        line.start = <int32_t>(at - start)
        line.end = <int32_t>(end - start)
        if not _read(table, line, at, end):
            return False
        table.total += 1
        at = end + 1
    return True


cdef void *_grown(void *old, size_t size) except NULL nogil:
    cdef void *grown = PyMem_RawRealloc(old, size)
    if not grown:
        with gil:
            raise MemoryError
    return grown


cdef bint _read(Table *table, Line *line, const char *begin, const char *end) except -1 nogil:
    """The session of a row, and what the row means for it."""
    cdef const char *at = begin
    cdef const char *session
    cdef const char *comma
    cdef int32_t column
    cdef uint32_t flags
    if end - begin < 30 or not digit(begin[0]):
        return False
    if not _balanced(begin, end):
        return False
    for column in range(2):
        comma = <const char *>memchr(at, 44, end - at)
        if comma == NULL or at[0] == 34:
            return False
        at = comma + 1
    session = at
    comma = <const char *>memchr(at, 44, end - at)
    if comma == NULL or at[0] == 34 or comma - at > 64:
        return False
    line.session = _session(table, session, <int32_t>(comma - session))
    at = comma + 1
    for column in range(3):
        comma = <const char *>memchr(at, 44, end - at)
        if comma == NULL or at[0] == 34:
            return False
        at = comma + 1
    if end - at < 2 or at[1] != 44:
        return False
    flags = _meaning(at[0], at + 2, end)
    if flags == STRANGE:
        return False
    table.sessions[line.session].flags |= flags
    return True


cdef bint _balanced(const char *begin, const char *end) noexcept nogil:
    """Whether every quote opens or closes a field in this row."""
    cdef const char *at = begin
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


cdef uint32_t _meaning(char event, const char *data, const char *end) noexcept nogil:
    if end > data and (end - 1)[0] == 13:
        end -= 1
    if data < end and data[0] == 34:
        data += 1
    if event == 43:  # +
        return BEGUN
    if event == 45:  # -
        return ENDED
    if event == 60:  # <
        return MATTERS if _signs_in(data, end) else 0
    if event == 62:  # >
        return 0
    if event == 42:  # *
        if ends(data, end, ",authenticated", 14):
            return 0 if (end - 15)[0] == 36 or has(data, end, "NT AUTHORITY\\", 13) else MATTERS  # of a machine: SERVER$
        return MATTERS if has(data, end, " failed ", 8) else 0
    return STRANGE


cdef bint _signs_in(const char *data, const char *end) noexcept nogil:
    """AUTH, X-EXPS but for EXCHANGEAUTH, XPROXY but not XPROXYFROM."""
    cdef Py_ssize_t size = end - data
    if size >= 4 and strncasecmp(data, "auth", 4) == 0:
        return True
    if size >= 6 and strncasecmp(data, "x-exps", 6) == 0:
        return size < 19 or strncasecmp(data + 7, "exchangeauth", 12) != 0
    return size >= 6 and strncasecmp(data, "xproxy", 6) == 0 and (size == 6 or data[6] == 32)


cdef int32_t _session(Table *table, const char *id, int32_t size) except -1 nogil:
    """The number of a session in this batch."""
    cdef uint64_t hash = hashed(id, size)
    cdef int32_t mask, place, number
    cdef Session *session
    if 2 * table.count >= table.place_room:
        _rehash(table)
    mask = table.place_room - 1
    place = <int32_t>(hash & mask)
    while table.places[place] >= 0:
        session = &table.sessions[table.places[place]]
        if session.hash == hash and session.size == size and memcmp(session.id, id, size) == 0:
            return table.places[place]
        place = (place + 1) & mask
    number = table.count
    if number == table.session_room:
        table.session_room = max(1024, 2 * table.session_room)
        table.sessions = <Session *>_grown(table.sessions, table.session_room * sizeof(Session))
    session = &table.sessions[number]
    session.id = id
    session.size = size
    session.hash = hash
    session.flags = 0
    table.places[place] = number
    table.count += 1
    return number


cdef bint _rehash(Table *table) except -1 nogil:
    cdef int32_t number, place
    table.place_room = max(4096, 4 * table.place_room)
    table.places = <int32_t *>_grown(table.places, table.place_room * sizeof(int32_t))
    memset(table.places, 0xFF, table.place_room * sizeof(int32_t))
    for number in range(table.count):
        place = <int32_t>(table.sessions[number].hash & (table.place_room - 1))
        while table.places[place] >= 0:
            place = (place + 1) & (table.place_room - 1)
        table.places[place] = number
    return True
