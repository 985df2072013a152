# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Exim: arrivals of a file as columns, and its failed sign-ins, by compiled code.

    found = Found(batch)                            see exim_found.pyx
    scan = Scan(prefix, clock, read_manner, read_client, read_failure)
    scan.begin(found)
    line = scan.next_line(but)                      one that is to be read as any other, or a failed sign-in: its time, what
                                                    was read of it, client, name; None at the end. Arrivals before it are
                                                    taken, but for these clients
    scan.hand_over()                                the arguments of `Messages`, of all that were taken

An arrival becomes no object here, but for a text that was not met before.

`clock` has `hour(stamp)`, when an hour begins whose stamps may be read in any order, else None; `at(stamp)`, None for one
that cannot be read; `note(stamp)`, called with the newest before a line is given out that does not tell as much.

What goes wrong
    Nothing. A line that is not as most are is given out.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawFree
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcmp, memcpy

from smtp_auth_report.sources.blake2 cimport BLOCK, blake2b_64
from smtp_auth_report.sources.exim_found cimport ARRIVAL, FAILURE, HELO, LONGEST_NAME, LONGEST_PARTY, NAME, Found, Line, Part, span
from smtp_auth_report.sources.log_bytes cimport ipv4
from smtp_auth_report.sources.postfix_columns cimport Numbers
from smtp_auth_report.sources.text_codes cimport REFUSED, Buffer, Codes, Meanings, append, taken

cdef enum:
    TEXTS = 65536           # of one kind that are kept

cdef int64_t SECOND = 1000000
cdef int64_t DAY = 86400 * SECOND


cdef inline Part part(const char *start, const char *at, const char *past) noexcept nogil:
    return Part(<int32_t>(at - start), <int32_t>(past - at))


cdef class Scan:
    """
    Arrivals and failures of one log. A manner is read as a number and its value, a client and a failure as 0 and its value;
    None for what is none.
    """

    cdef object _hour, _at, _note, _read_failure
    cdef tuple _readers
    cdef Meanings _manners, _clients, _failures
    cdef Codes _parties
    cdef list _party_values
    cdef Buffer _numbers, _queue_ids, _message_ids
    cdef char _prefix[BLOCK]
    cdef Py_ssize_t _prefix_size
    cdef Found _found
    cdef const char *_bytes
    cdef int32_t _place, _newest, _of_hour
    cdef int64_t _newest_time, _begins

    def __init__(self, bytes prefix, clock, read_manner, read_client, read_failure):
        if len(prefix) > BLOCK - 24:
            raise ValueError("a name longer than a key can be made of")
        self._hour, self._at, self._note = clock.hour, clock.at, clock.note
        self._readers = read_manner, read_client
        self._read_failure, self._failures = read_failure, Meanings(read_failure)
        self._prefix_size = len(prefix)
        memcpy(self._prefix, <const char *>prefix, len(prefix))
        self._forget()

    def __dealloc__(self):
        PyMem_RawFree(self._numbers.bytes)
        PyMem_RawFree(self._queue_ids.bytes)
        PyMem_RawFree(self._message_ids.bytes)

    cdef int _forget(self) except -1:
        """No text was met yet. Lists are made anew: those that were handed over stay as they are."""
        self._manners, self._clients = map(Meanings, self._readers)
        self._parties, self._party_values = Codes(), []
        return 0

    def begin(self, Found found):
        """Go on with a batch."""
        self._found, self._bytes = found, <const char *>found.batch.buf
        self._place, self._newest, self._of_hour = 0, -1, -1

    def next_line(self, but):
        cdef Line *line
        while self._place < self._found.total:
            line = &self._found.lines[self._place]
            self._place += 1
            if line.kind == ARRIVAL and self._take(line, self._place - 1, but):
                continue
            failure = self._failure(line, self._place - 1) if line.kind == FAILURE else None
            if failure is not None:
                return failure
            if not self._tells_as_much(line):
                self._tell_newest()
            return PyBytes_FromStringAndSize(self._bytes + line.start, line.end - line.start)
        self._tell_newest()
        return None

    cdef bint _take(self, Line *line, int32_t place, but) except -1:
        """Whether an arrival is taken."""
        cdef int32_t manner, client
        cdef int64_t time = self._time(line, place)
        if time < 0:
            return False
        manner = self._meaning(self._manners, line.manner)
        client = self._client(line.client)
        if self._manners.sense(manner) == REFUSED or (but and self._clients.values[client][0] in but):
            return False
        self._come_to(time, place)
        self._add(line, time, manner, client)
        return True

    cdef tuple _failure(self, Line *line, int32_t place):
        """None where it cannot be told."""
        cdef char text[LONGEST_NAME + 10]
        cdef int32_t code, size = line.manner.size + line.door.size + 4
        cdef int64_t time = self._time(line, place)
        if time < 0:
            return None
        memcpy(text, self._bytes + line.code.start, 3)
        memcpy(text + 3, self._bytes + line.door.start, line.door.size)
        text[3 + line.door.size] = 32
        memcpy(text + size - line.manner.size, self._bytes + line.manner.start, line.manner.size)
        code = self._failures.meaning(text, size)
        if code >= <int32_t>len(self._failures.values):
            self._failures.read_new()
        if self._failures.sense(code) == REFUSED:
            return None
        self._come_to(time, place)
        client = self._clients.values[self._client(line.client)]
        return time, self._failures.values[code], client, self._text(line.account)

    cdef int _come_to(self, int64_t time, int32_t place) except -1:
        if time > self._newest_time or self._newest < 0:
            self._newest_time, self._newest = time, place
        return 0

    cdef int32_t _meaning(self, Meanings known, Part part) except -1:
        cdef int32_t code = known.meaning(self._bytes + part.start, part.size)
        if code >= <int32_t>len(known.values):
            known.read_new()
        return code

    cdef int32_t _client(self, Part told) except -1:
        """Of those with a plain address nothing but the parts is to be read: pc.example (pc) [192.0.2.10"""
        cdef Meanings known = self._clients
        cdef const char *start = self._bytes
        cdef const char *at = start + told.start
        cdef const char *end = at + told.size
        cdef const char *past = span(at, end, NAME)
        cdef int32_t code = known.meaning(at, told.size)
        if code < <int32_t>len(known.values):
            return code
        name = helo = None
        if past > at:
            name, at = self._text(part(start, at, past)), past + 1
        if at[0] == 40:
            past = span(at + 1, end, HELO)
            helo, at = self._text(part(start, at + 1, past)), past + 2
        if not ipv4(at + 1, end):
            known.read_new()
        else:
            known.mean(code, 0)
            known.values.append((self._text(part(start, at + 1, end)), name, helo))
        return code

    cdef str _text(self, Part part):
        return PyUnicode_DecodeASCII(self._bytes + part.start, part.size, NULL)

    cdef int _add(self, Line *line, int64_t time, int32_t manner, int32_t client) except -1:
        cdef char text[BLOCK]
        cdef Numbers numbers
        cdef const char *queue_id = self._bytes + line.queue_id.start
        cdef int64_t made = made_at(queue_id)
        memcpy(text, self._prefix, self._prefix_size)
        memcpy(text + self._prefix_size, queue_id, line.queue_id.size)
        numbers.key = blake2b_64(text, self._prefix_size + line.queue_id.size)
        numbers.opened = made if made and -DAY < made - time < DAY else time
        numbers.time, numbers.size, numbers.recipients = time, line.size, line.recipients
        numbers.manner, numbers.client = manner, client
        numbers.party = self._party(line)
        append(&self._numbers, &numbers, sizeof(Numbers))
        append(&self._queue_ids, queue_id, line.queue_id.size)
        append(&self._queue_ids, "\n", 1)
        if line.message_id.size:
            append(&self._message_ids, "<", 1)
            append(&self._message_ids, self._bytes + line.message_id.start, line.message_id.size)
            append(&self._message_ids, ">", 1)
        append(&self._message_ids, "\n", 1)
        return 0

    cdef int32_t _party(self, Line *line) except -1:
        """Of account and sender, a blank between them."""
        cdef char text[LONGEST_PARTY + 1]
        memcpy(text, self._bytes + line.account.start, line.account.size)
        text[line.account.size] = 32
        memcpy(text + line.account.size + 1, self._bytes + line.sender.start, line.sender.size)
        return self._parties.of(text, line.account.size + 1 + line.sender.size)

    # Time

    cdef int64_t _time(self, Line *line, int32_t place) except -2:
        """-1 where its stamp cannot be read."""
        if self._of_hour < 0 or not self._same_hour(line, &self._found.lines[self._of_hour]):
            begins = self._hour(self._stamp(line))
            if begins is None:
                self._tell_newest()
                time = self._at(self._stamp(line))
                return -1 if time is None else time
            self._of_hour, self._begins = place, begins
        return self._begins + line.micros

    cdef bint _tells_as_much(self, Line *line) noexcept:  # nothing here can raise: numbers and bytes are compared
        """Whether the time of a line that is given out is none before the newest."""
        if self._newest < 0 or not line.timed or self._of_hour < 0:
            return False
        return self._same_hour(line, &self._found.lines[self._of_hour]) and self._begins + line.micros >= self._newest_time

    cdef bint _same_hour(self, Line *line, Line *other) noexcept:  # nothing here can raise: bytes are compared
        cdef const char *one = self._bytes + line.start
        cdef const char *another = self._bytes + other.start
        if line.stamp != other.stamp or memcmp(one, another, 14) != 0:
            return False
        return line.stamp < 25 or memcmp(one + line.stamp - 6, another + other.stamp - 6, 6) == 0

    cdef bytes _stamp(self, Line *line):
        return PyBytes_FromStringAndSize(self._bytes + line.start, line.stamp)

    cdef int _tell_newest(self) except -1:
        if self._newest >= 0:
            self._note(self._stamp(&self._found.lines[self._newest]))
            self._newest = -1
        return 0

    # What was taken

    def hand_over(self):
        """Only the values stay, which later codes go on from."""
        cdef int32_t code
        for code in range(<int32_t>len(self._party_values), self._parties.count):
            account, _, sender = self._parties.text(code).decode("ascii").partition(" ")
            self._party_values.append((account, "" if sender == "<>" else sender))
        self._found = None
        brought = (
            taken(&self._numbers), self._manners.values, self._clients.values, self._party_values,
            taken(&self._queue_ids).decode("ascii"), taken(&self._message_ids).decode("ascii"),
        )
        if max(self._clients.count, self._parties.count, self._manners.count) > TEXTS:
            self._forget()
        if self._failures.count > TEXTS:
            self._failures = Meanings(self._read_failure)
        return brought


cdef int64_t made_at(const char *queue_id) noexcept nogil:
    """See `stamps.exim_id_time`; 0 where an id does not tell it."""
    cdef int64_t seconds = 0
    cdef int32_t place
    cdef char byte
    for place in range(6):
        byte = queue_id[place]
        seconds = 62 * seconds + (byte - 48 if byte < 65 else byte - 55 if byte < 97 else byte - 61)
    return seconds * SECOND if 946684800 <= seconds <= 4102444800LL else 0
