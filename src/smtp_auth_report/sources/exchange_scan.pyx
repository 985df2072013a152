# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Exchange Server: rows of SMTP Receive protocol logs, looked at as bytes by compiled code, so that most are never read.

    found = Found(batch)              of no log in particular, so that it may be done ahead; what holds the batch is not to change
                                      as long as this is used
    found.plain                       whether its sessions can be told; else each of its rows is to be read
    found.rows(known, hour, whole)    what may matter, in its order: a `Row`, bytes for others to read, or an `Outline` of a session
                                      that went as most do (exchange_whole.pyx)

A session may matter if somebody tried to sign in, or was vouched for, in it (AUTH, X-EXPS, XPROXY, `authenticated`), if
something failed, if it is `known` from before, and if the batch has not all of it, from its beginning to its end. Nothing
would come of the others: servers of the site, which sign in with EXCHANGEAUTH or as machines, and strangers who deliver mail.

`hour` tells when the hour of a stamp begins, None where that cannot be read.

What goes wrong
    Nothing. A batch with other than nine plain columns in Exchange's order, or with a line break that may stand inside
    quotes, is left for others to read: a row that is passed over must be one.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memset
from posix.strings cimport strncasecmp

from smtp_auth_report.sources.exchange_whole cimport COLUMNS, Field, Whole, text_of
from smtp_auth_report.sources.log_bytes cimport balanced, begins, digit, ends, has, hashed, millisecond_stamp, number, space

from smtp_auth_report.sources.exchange_lines import Outline, Row
from smtp_auth_report.sources.values import text

cdef enum:
    BEGUN = 1
    ENDED = 2
    MATTERS = 4
    STRANGE = 8
    KNOWN = 16
    OUTLINED = 32
    BY_ROWS = 64

    NOWHERE = -1
    HOUR = 13               # 2026-11-23T16
    STAMP = 24              # 2026-11-23T16:06:05.377Z


cdef struct Line:
    int32_t start
    int32_t end             # without the line end
    int32_t session
    bint plain              # whether stamp, session and number are written as Exchange writes them
    int32_t next            # line of the same session


cdef struct Session:
    const char *id
    int32_t size
    uint32_t flags
    uint64_t hash
    int32_t last            # the highest number of its rows
    int32_t newest          # line
    Field door              # connector and session of its newest `Row`; NULL where there is none
    Field peers             # local and remote endpoint
    int32_t common          # place of these four values


cdef struct Table:
    Line *lines
    int32_t total, line_room
    Session *sessions
    int32_t count, session_room
    int32_t *places
    int32_t place_room


cdef class Found:
    """Sessions of a batch."""

    cdef Py_buffer _batch
    cdef Table _table
    cdef readonly bint plain
    cdef list _common       # connector, session, local, remote
    cdef const char *_hour  # of which it is known when it begins
    cdef int64_t _begins

    def __init__(self, batch):
        PyObject_GetBuffer(batch, &self._batch, PyBUF_SIMPLE)
        if self._batch.len < 1 << 30:
            with nogil:
                self.plain = _look(&self._table, <const char *>self._batch.buf, self._batch.len)

    def __dealloc__(self):
        PyMem_RawFree(self._table.lines)
        PyMem_RawFree(self._table.sessions)
        PyMem_RawFree(self._table.places)
        PyBuffer_Release(&self._batch)

    def rows(self, set known, hour, Whole whole):
        cdef Table *table = &self._table
        cdef Session *session
        cdef int32_t place
        cdef list given = []
        self._common, self._hour = [], NULL
        for place in range(table.count):
            session = &table.sessions[place]
            session.door = session.peers = Field(NULL, NULL)
            if session.flags & (BEGUN | ENDED) != (BEGUN | ENDED):
                session.flags |= MATTERS | BY_ROWS
            elif PyBytes_FromStringAndSize(session.id, session.size) in known:
                session.flags |= MATTERS | BY_ROWS
        for place in range(table.total):
            session = &table.sessions[table.lines[place].session]
            if not session.flags & MATTERS or session.flags & OUTLINED:
                continue
            if not session.flags & BY_ROWS:
                outline = self._outline(place, hour, whole)
                session.flags |= OUTLINED if outline is not None else BY_ROWS
                if outline is not None:
                    given.append(outline)
                    continue
            self._give(given, session, &table.lines[place], hour)
        return given

    cdef _outline(self, int32_t place, hour, Whole whole):
        """Of the session that begins with this line; None where it is to be read row by row."""
        cdef Field[COLUMNS] fields
        cdef const char *start = <const char *>self._batch.buf
        cdef Line *line
        cdef int64_t time
        cdef tuple told
        whole.begin()
        while place != NOWHERE:
            line = &self._table.lines[place]
            if not line.plain or not _split(fields, start + line.start, start + line.end):
                return None
            time = self._time(start + line.start, hour)
            if time < 0 or not whole.take(fields, time):
                return None
            place = line.next
        told = whole.outline()
        if told is None:
            return None
        return tuple.__new__(Outline, (text(told[0]), (<bytes>told[1]).decode("ascii"), *told[2:]))

    cdef int _give(self, list given, Session *session, Line *line, hour) except -1:
        """A row as others would read it; as bytes where it is not written as most are."""
        cdef const char *at = <const char *>self._batch.buf + line.start
        cdef const char *end = <const char *>self._batch.buf + line.end
        cdef Field[COLUMNS] fields
        cdef int64_t time = -1
        if line.plain and _split(fields, at, end):
            time = self._time(at, hour)
        if time < 0:
            given.append(PyBytes_FromStringAndSize(at, end - at))
        else:
            given.append(self._row(session, fields, time))
        return 0

    cdef _row(self, Session *session, Field *fields, int64_t time):
        """Most rows have connector and endpoints of the row before."""
        cdef bint same_door = _still(&session.door, fields[1].at, fields[2].end)
        cdef bint same_peers = _still(&session.peers, fields[4].at, fields[5].end)
        if not same_door or not same_peers:
            session.common = <int32_t>len(self._common)
            connector, name = text(text_of(fields[1])), text_of(fields[2]).decode("ascii")
            self._common.append((connector, name, text_of(fields[4]), text_of(fields[5])))
        connector, name, local, remote = <tuple>self._common[session.common]
        told = (
            time, connector, name, number(fields[3].at, fields[3].end - fields[3].at), local, remote,
            text_of(fields[6]), text_of(fields[7]), text_of(fields[8]),
        )
        return tuple.__new__(Row, told)

    cdef int64_t _time(self, const char *at, hour) except -2:
        """-1 where a stamp cannot be read."""
        if self._hour == NULL or memcmp(self._hour, at, HOUR) != 0:
            begins = hour(PyBytes_FromStringAndSize(at, STAMP))
            if begins is None:
                return -1
            self._hour, self._begins = at, begins
        return self._begins + 60000000 * number(at + 14, 2) + 1000000 * number(at + 17, 2) + 1000 * number(at + 20, 3)


cdef bint _split(Field *fields, const char *at, const char *end) noexcept nogil:
    """Cut a row into its fields; False where there are more or fewer, or quotes within one."""
    cdef int32_t column
    cdef const char *past
    for column in range(COLUMNS):
        fields[column].at = at
        if at < end and at[0] == 34:
            fields[column].at = at + 1
            past = <const char *>memchr(at + 1, 34, end - at - 1)
            if past == NULL:
                return False
            fields[column].end = past
            past += 1
            if past < end and past[0] != 44:
                return False
        else:
            past = <const char *>memchr(at, 44, end - at)
            if past == NULL:
                past = end
            fields[column].end = past
        if (past == end) != (column == COLUMNS - 1):
            return False
        at = past + 1
    return True


cdef bint _still(Field *known, const char *at, const char *end) noexcept nogil:
    """Whether a text is the one that was met before; if not, it is from now on."""
    cdef bint same = known.end - known.at == end - at and memcmp(known.at, at, end - at) == 0
    known.at, known.end = at, end
    return same


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
        if end > at and (end - 1)[0] == 13:
            line.end -= 1
        if not _read(table, line, at, start + line.end):
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
    cdef Field[6] fields    # before the event
    cdef Session *session
    cdef const char *at = begin
    cdef int32_t column
    cdef uint32_t flags
    if end - begin < 30 or not digit(begin[0]) or not balanced(begin, end):
        return False
    for column in range(6):
        fields[column] = Field(at, <const char *>memchr(at, 44, end - at))
        if fields[column].end == NULL or at[0] == 34:
            return False
        at = fields[column].end + 1
    if fields[2].end - fields[2].at > 64 or end - at < 2 or at[1] != 44:
        return False
    line.session = _session(table, fields[2].at, <int32_t>(fields[2].end - fields[2].at))
    line.plain, line.next = _is_row(fields), NOWHERE
    flags = _meaning(at[0], at + 2, end)
    if flags == STRANGE:
        return False
    session = &table.sessions[line.session]
    if session.newest != NOWHERE:
        table.lines[session.newest].next = table.total
    session.newest = table.total
    session.flags |= flags | (_order(session, fields, flags) if line.plain else MATTERS)
    return True


cdef bint _is_row(Field *fields) noexcept nogil:
    """Whether stamp, session and number are written as Exchange writes them."""
    cdef const char *at = fields[2].at
    if not millisecond_stamp(fields[0].at, fields[0].end) or not 8 <= fields[2].end - at <= 16:
        return False
    while at < fields[2].end:
        if not digit(at[0]) and not 65 <= at[0] <= 70 and not 97 <= at[0] <= 102:
            return False
        at += 1
    at = fields[3].at
    if not 1 <= fields[3].end - at <= 9:
        return False
    while at < fields[3].end and digit(at[0]):
        at += 1
    return at == fields[3].end


cdef uint32_t _order(Session *session, Field *fields, uint32_t flags) noexcept nogil:
    """What the number of a row means: nothing can be told where its session goes on behind its end."""
    cdef int32_t place = <int32_t>number(fields[3].at, fields[3].end - fields[3].at)
    cdef bint behind = (session.flags & ENDED and place >= session.last) or (flags & ENDED and place < session.last)
    session.last = max(session.last, place)
    return (MATTERS if behind else 0) | (BEGUN if place == 0 else 0)


cdef uint32_t _meaning(char event, const char *data, const char *end) noexcept nogil:
    if data < end and data[0] == 34:
        data += 1
    if event == 43:  # +
        return 0
    if event == 45:  # -
        return ENDED
    if event == 60:  # <
        return MATTERS if _signs_in(data, end) else 0
    if event == 62:  # >
        return 0
    if event == 42:  # *
        if has(data, end, "authenticated", 13):
            return 0 if _is_machine(data, end) else MATTERS
        return MATTERS if has(data, end, " failed ", 8) else 0
    return STRANGE


cdef bint _signs_in(const char *data, const char *end) noexcept nogil:
    """AUTH, X-EXPS but for EXCHANGEAUTH, XPROXY but not XPROXYFROM."""
    cdef Py_ssize_t size = end - data
    if size and space(data[0]):
        return True  # what it is takes a closer look
    if size >= 4 and strncasecmp(data, "auth", 4) == 0:
        return True
    if size >= 6 and strncasecmp(data, "x-exps", 6) == 0:
        return size < 19 or strncasecmp(data + 7, "exchangeauth", 12) != 0
    return size >= 6 and strncasecmp(data, "xproxy", 6) == 0 and (size == 6 or data[6] == 32)


cdef bint _is_machine(const char *data, const char *end) noexcept nogil:
    """SERVER$,authenticated and NT AUTHORITY\\SYSTEM,authenticated"""
    if not ends(data, end, ",authenticated", 14) or memchr(data, 44, end - 14 - data) != NULL:
        return False
    return (end - 15)[0] == 36 or begins(data, end, "NT AUTHORITY\\", 13)


cdef int32_t _session(Table *table, const char *id, int32_t size) except -1 nogil:
    """The number of a session in this batch."""
    cdef uint64_t hash = hashed(id, size)
    cdef int32_t mask, place
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
    if table.count == table.session_room:
        table.session_room = max(1024, 2 * table.session_room)
        table.sessions = <Session *>_grown(table.sessions, table.session_room * sizeof(Session))
    session = &table.sessions[table.count]
    session.id = id
    session.size = size
    session.hash = hash
    session.flags = 0
    session.last, session.newest = 0, NOWHERE
    table.places[place] = table.count
    table.count += 1
    return table.count - 1


cdef bint _rehash(Table *table) except -1 nogil:
    cdef int32_t session, place
    table.place_room = max(4096, 4 * table.place_room)
    table.places = <int32_t *>_grown(table.places, table.place_room * sizeof(int32_t))
    memset(table.places, 0xFF, table.place_room * sizeof(int32_t))
    for session in range(table.count):
        place = <int32_t>(table.sessions[session].hash & (table.place_room - 1))
        while table.places[place] >= 0:
            place = (place + 1) & (table.place_room - 1)
        table.places[place] = session
    return True
