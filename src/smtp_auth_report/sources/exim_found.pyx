# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Exim: lines of a file that can matter, found by compiled code, and what those that are written as most are say.

    found = Found(batch)            of no log in particular, so that it may be done ahead; see exim_scan.pyx
    found.lines[number]             see exim_found.pxd

What a line can matter by is what exim.py asks of it: its needles and how its text begins. Arrivals are those of exim_columns.PLAIN
that are ASCII, and failures those of exim_lines.PLAIN_FAILURE. No object is made of them. What holds the batch is not to
change as long as this is used.

What goes wrong
    ValueError for a batch of a gigabyte.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memchr, memcmp

from smtp_auth_report.sources.log_bytes cimport alphanumeric, begins, digit

cdef enum:
    LONGEST = 8192

cdef int64_t SECOND = 1000000
cdef uint8_t KINDS[256]


def _fill():
    cdef int byte
    for byte in range(256):
        character = chr(byte)
        word = byte < 128 and (character.isalnum() or character == "_")
        KINDS[byte] = (
            WORD * word
            | NAME * (word or character in ".-")
            | HELO * (word or character in ".-:[]")
            | ADDRESS * (character in "0123456789abcdefABCDEF.:")
            | TEXT * (33 <= byte <= 126 and character not in '"\\')
            | USER * (33 <= byte <= 126 and character not in '"\\:')
            | SENDER * (33 <= byte <= 126 and character not in '"\\<>')
            | TRIED * (33 <= byte <= 126 and character not in '"\\()')
        )


_fill()

cdef class Found:
    """Lines of a batch that can matter."""

    def __init__(self, batch):
        PyObject_GetBuffer(batch, &self.batch, PyBUF_SIMPLE)
        if self.batch.len >= 1 << 30:
            raise ValueError("larger than a batch can be")
        with nogil:
            self._find(<const char *>self.batch.buf, self.batch.len)

    def __dealloc__(self):
        PyMem_RawFree(self.lines)
        PyBuffer_Release(&self.batch)

    cdef int _find(self, const char *start, Py_ssize_t size) except -1 nogil:
        cdef const char *at = start
        cdef const char *stop = start + size
        cdef const char *end
        cdef const char *text
        cdef int32_t stamp
        cdef Line *line
        while at < stop:
            end = <const char *>memchr(at, 10, stop - at)
            if end == NULL:
                end = stop
            stamp = stamp_size(at, end)
            text = at + stamp + 1 if stamp else at
            if (not stamp or of_a_kind(text, end)) and has_needle(text, end):
                line = self._next()
                line.start, line.end, line.stamp = <int32_t>(at - start), <int32_t>(end - start), stamp
                line.timed = stamp and end - at <= LONGEST and seconds_of(line, at)
                line.kind = ODD
                if line.timed and read_arrival(line, start, text, end):
                    line.kind = ARRIVAL
                elif line.timed and read_failure(line, start, text, end):
                    line.kind = FAILURE
            at = end + 1
        return 0

    cdef Line *_next(self) except NULL nogil:
        cdef void *grown
        if self.total == self.room:
            self.room = max(1024, 2 * self.room)
            grown = PyMem_RawRealloc(self.lines, self.room * sizeof(Line))
            if not grown:
                with gil:
                    raise MemoryError
            self.lines = <Line *>grown
        self.total += 1
        return &self.lines[self.total - 1]


# What a line begins with

cdef int32_t stamp_size(const char *at, const char *end) noexcept nogil:
    """2026-11-23 16:12:23, .123 or not,  +0100 or not, and a blank behind it; 0 for what is none. Nothing else begins so."""
    cdef int32_t place, size = 19
    if end - at < 21 or not digit(at[0]) or at[4] != 45 or at[7] != 45 or at[10] != 32 or at[13] != 58 or at[16] != 58:
        return 0
    if at[19] == 46:
        size = 20
        while size < 26 and at + size < end and digit(at[size]):
            size += 1
        if size == 20:
            return 0
    if at + size + 7 < end and at[size] == 32 and (at[size + 1] == 43 or at[size + 1] == 45):
        for place in range(size + 2, size + 6):
            if not digit(at[place]):
                return 0
        size += 6
    return size if at + size < end and at[size] == 32 else 0


cdef bint seconds_of(Line *line, const char *at) noexcept nogil:
    """Whether a stamp is one that stamps.py reads by its hour."""
    cdef int32_t place, zone = 19
    for place in range(19):
        if not digit(at[place]) and place != 4 and place != 7 and place != 10 and place != 13 and place != 16:
            return False
    if at[14] > 53 or at[17] > 53:
        return False
    line.micros = ((at[14] - 48) * 600 + (at[15] - 48) * 60 + (at[17] - 48) * 10 + at[18] - 48) * SECOND
    if at[19] == 46:
        line.micros += ((at[20] - 48) * 100 + (at[21] - 48) * 10 + at[22] - 48) * 1000
        zone = 23
    return line.stamp == zone or line.stamp == zone + 6


cdef bint of_a_kind(const char *at, const char *end) noexcept nogil:
    """Whether a text begins as one that matters; see `exim_lines.KIND`. That more do does no harm."""
    cdef const char *past = behind_pid(at, end)
    cdef int32_t id_size = queue_id_size(past, end)
    return begins_so(past, end) or (id_size and begins_so(past + id_size + 1, end))


cdef bint begins_so(const char *at, const char *end) noexcept nogil:
    cdef const char *blank
    if end - at < 10:
        return False
    if begins(at + 1, end, "= ", 2):
        return at[0] == 60 or at[0] == 40  # <= (=
    if begins(at, end, "H=", 2) or begins(at, end, "DS H=", 5) or begins(at, end, "no MAIL in ", 11):
        return True
    if begins(at, end, "SMTP pro", 8) or begins(at, end, "TLS erro", 8) or begins(at, end, "exim ", 5):
        return True
    blank = <const char *>memchr(at, 32, end - at)
    return blank != NULL and begins(blank, end, " authenticator failed for ", 26)


cdef bint has_needle(const char *at, const char *end) noexcept nogil:
    """Whether a text holds one of exim.NEEDLES; all are told by what stands around a blank."""
    cdef const char *begin = at
    while True:
        at = <const char *>memchr(at, 32, end - at)
        if at == NULL or end - at < 3:
            return False
        at += 1
        if at[0] == 65:
            if at[1] == 61 or (begins(at, end, "AUTH ", 5) and before(begin, at - 1, "rejected", 8)):
                return True
        elif at[0] == 97:
            if begins(at, end, "authenticator failed for ", 25):
                return True
        elif at[0] == 101:
            if begins(at, end, "error on connection ", 20) and before(begin, at - 1, "TLS", 3):
                return True
        elif at[0] == 112:
            if begins(at, end, "protocol error in ", 18) and before(begin, at - 1, "SMTP", 4):
                return True
        elif at[0] == 100 and begins(at, end, "daemon started: pid=", 20):
            return True


cdef inline bint before(const char *begin, const char *at, const char *text, Py_ssize_t size) noexcept nogil:
    return at - begin >= size and memcmp(at - size, text, size) == 0


cdef const char *behind_pid(const char *at, const char *end) noexcept nogil:
    """[5672] """
    cdef const char *past = at + 1
    if at == end or at[0] != 91:
        return at
    while past < end and past - at <= 10 and digit(past[0]):
        past += 1
    return past + 2 if past > at + 1 and begins(past, end, "] ", 2) else at


cdef int32_t queue_id_size(const char *at, const char *end) noexcept nogil:
    """1xVWeV-0001UG-2n, 1xVWeV-00000000UGx-2nAb, and a blank behind it; 0 for what is none."""
    cdef int32_t place, middle, size
    if end - at < 17 or at[6] != 45:
        return 0
    if at[13] == 45:
        middle, size = 13, 16
    elif end - at > 23 and at[18] == 45:
        middle, size = 18, 23
    else:
        return 0
    if at[size] != 32:
        return 0
    for place in range(size):
        if place != 6 and place != middle and not alphanumeric(at[place]):
            return 0
    return size


# Arrivals

cdef const char *span(const char *at, const char *end, uint8_t kind) noexcept nogil:
    """Where bytes of this kind end."""
    while at < end and KINDS[<uint8_t>at[0]] & kind:
        at += 1
    return at


cdef inline const char *told(const char *at, const char *end, const char *field, Py_ssize_t size, uint8_t kind) noexcept nogil:
    """Behind a field and its value; NULL where it is not there, or has none."""
    cdef const char *past
    if not begins(at, end, field, size):
        return NULL
    past = span(at + size, end, kind)
    return past if past > at + size else NULL


cdef inline const char *maybe(const char *at, const char *past) noexcept nogil:
    return at if past == NULL else past


cdef inline Part part(const char *start, const char *at, const char *past) noexcept nogil:
    return Part(<int32_t>(at - start), <int32_t>(past - at))


cdef const char *behind_peer(const char *at, const char *end, const char *field, Py_ssize_t size) noexcept nogil:
    """[192.0.2.10]:51234, behind what it begins with"""
    cdef const char *past = told(at, end, field, size, ADDRESS)
    cdef const char *port
    if past == NULL or not 2 <= past - at - size <= 45 or past == end or past[0] != 93:
        return NULL
    past += 1
    if past == end or past[0] != 58:
        return past
    port = past + 1
    while port < end and port - past <= 5 and digit(port[0]):
        port += 1
    return port if port > past + 1 else past


cdef bint read_arrival(Line *line, const char *start, const char *at, const char *end) noexcept nogil:
    """Whether a text is an arrival that can be read in one way only: exim_columns.PLAIN."""
    cdef const char *past
    at = behind_pid(at, end)
    line.queue_id = Part(<int32_t>(at - start), queue_id_size(at, end))
    at += line.queue_id.size
    if not line.queue_id.size or not begins(at, end, " <= ", 4):
        return False
    at += 4
    past = at + 2 if begins(at, end, "<>", 2) else span(at, end, SENDER)
    line.sender = part(start, at, past)
    if past == at or past - at > LONGEST_PARTY // 2 or not begins(past, end, " H=", 3):
        return False
    at = read_client(line, start, past + 3, end)
    if at != NULL:
        at = read_manner(line, start, at, end)
    return at != NULL and read_rest(line, start, at, end)


cdef const char *read_client(Line *line, const char *start, const char *at, const char *end) noexcept nogil:
    """pc.example (pc) [192.0.2.10]:51234"""
    cdef const char *begin = at
    cdef const char *past = span(at, end, NAME)
    if past > at:
        if past == end or past[0] != 32:
            return NULL
        at = past + 1
    if at < end and at[0] == 40:
        past = span(at + 1, end, HELO)
        if not begins(past, end, ") ", 2):
            return NULL
        at = past + 2
    past = behind_peer(at, end, "[", 1)
    if past != NULL:
        line.client = part(start, begin, span(at + 1, end, ADDRESS))
    return past


cdef const char *read_manner(Line *line, const char *start, const char *at, const char *end) noexcept nogil:
    """ I=[192.0.2.1]:587 P=esmtpsa X=TLS1.3:… CV=no A=plain_server"""
    cdef const char *begin = at
    at = maybe(at, behind_peer(at, end, " I=[", 4))
    at = told(at, end, " P=", 3, WORD)
    if at == NULL:
        return NULL
    at = maybe(at, told(at, end, " X=", 3, TEXT))
    at = maybe(at, told(at, end, " CV=", 4, WORD))
    at = told(at, end, " A=", 3, WORD)
    if at == NULL or at == end or at[0] != 58:
        return NULL
    line.manner = part(start, begin, at)
    return at + 1


cdef bint read_rest(Line *line, const char *start, const char *at, const char *end) noexcept nogil:
    """anna K S=2315 id=1@pc for x@y.example"""
    cdef const char *past = span(at, end, USER)
    line.account = part(start, at, past)
    if past == at or past - at > LONGEST_PARTY // 2:
        return False
    at = past + 2 if begins(past, end, " K ", 3) else past
    if not begins(at, end, " S=", 3):
        return False
    at, past = at + 3, at + 3
    line.size = 0
    while past < end and past - at < 18 and digit(past[0]):
        line.size = 10 * line.size + past[0] - 48
        past += 1
    if past == at:
        return False
    at = past
    past = told(at, end, " id=", 4, TEXT)
    line.message_id = Part(0, 0) if past == NULL else part(start, at + 4, past)
    at = maybe(at, past)
    line.recipients = -1
    if begins(at, end, " for ", 5):
        line.recipients, at = 0, at + 4
        while at < end:
            at = told(at, end, " ", 1, TEXT)
            if at == NULL:
                return False
            line.recipients += 1
    return at == end


cdef bint read_failure(Line *line, const char *start, const char *at, const char *end) noexcept nogil:
    """Whether a text is a failed sign-in that can be read in one way only: exim_lines.PLAIN_FAILURE."""
    cdef const char *past
    at = behind_pid(at, end)
    past = span(at, end, USER)
    line.manner = part(start, at, past)
    if past == at or past - at > LONGEST_NAME or not begins(past, end, " authenticator failed for ", 26):
        return False
    at = read_client(line, start, past + 26, end)
    if at == NULL:
        return False
    past = behind_peer(at, end, " I=[", 4)
    line.door = Part(0, 0)
    if past != NULL:
        at = past
        while digit((at - 1)[0]):
            at -= 1
        line.door = part(start, at, past)
        at = past
    if not begins(at, end, ": ", 2) or end - at < 45 or not (digit(at[2]) and digit(at[3]) and digit(at[4])):
        return False
    line.code = part(start, at + 2, at + 5)
    if not begins(at + 5, end, " Incorrect authentication data (set_id=", 39):
        return False
    past = span(at + 44, end, TRIED)
    line.account = part(start, at + 44, past)
    return line.account.size and past + 1 == end and past[0] == 41
