# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Postfix: accepted messages as columns, gathered by compiled code without the interpreter's lock.

    columns = Columns(read_client, read_tls, read_mechanism, read_sent, read_failed, read_silent)
    number = columns.door(place, prefix)                      one for each service that takes AUTH
    ...                                                       postfix_scan.pyx adds messages
    brought, doors = columns.hand_over()                      the arguments of `Messages`, and what each door has brought

Texts that come again and again are numbers here (text_codes.pyx). Objects are made of each text once, when messages are
handed over, and never of a message.

See also
    changes.py for `Messages`; postfix_rows.py for the same rows made one by one
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from smtp_auth_report.sources.blake2 cimport BLOCK, blake2b_64
from smtp_auth_report.sources.log_bytes cimport alphanumeric, digit, has, ipv4, space
from smtp_auth_report.sources.log_lines cimport LONGEST_ID, NOWHERE
from smtp_auth_report.sources.text_codes cimport UNREAD, Codes, Meanings, append, taken

cdef extern from *:
    """
    static const char DIGITS[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
    """
    const char *DIGITS

cdef enum:
    TEXTS = 131072           # of one kind that are kept

cdef int64_t SECOND = 1000000
cdef int64_t APART = 600 * 1000000
"""A long queue id and the stamp of its line tell times no further apart, or zone and year are in doubt."""


cdef class Columns:
    """
    Messages of all doors of one file, since they were last handed over. Texts are read by: client -> address and name;
    TLS line -> version and cipher; mechanism -> its name; door, counters, whether encrypted and a number -> version.
    """

    def __init__(self, *readers):
        self._readers = readers
        self._places = []
        self._forget()

    def __dealloc__(self):
        cdef Py_ssize_t number
        for number in range(self._door_count):
            PyMem_RawFree(self._doors[number].queue_ids.bytes)
            PyMem_RawFree(self._doors[number].opened.bytes)
        PyMem_RawFree(self._doors)
        PyMem_RawFree(self._numbers.bytes)
        PyMem_RawFree(self._party.bytes)
        PyMem_RawFree(self._queue_ids.bytes)
        PyMem_RawFree(self._message_ids.bytes)

    cdef int _forget(self) except -1:
        """No text was met yet. Lists are made anew: those that were handed over stay as they are."""
        self.clients, self.tls, self.mechanisms, self.sent, self.failed, self.silent = map(Meanings, self._readers)
        self._manners, self._parties = Codes(), Codes()
        self._manner_values, self._client_values, self._party_values = [], [], []
        return 0

    def door(self, tuple place, bytes prefix):
        """Number of a door: its server, service, source and outcome, and what the keys of its messages are made of."""
        cdef Door *doors
        cdef Door *door
        if len(prefix) > BLOCK - LONGEST_ID:
            return NOWHERE
        doors = <Door *>PyMem_RawRealloc(self._doors, (self._door_count + 1) * sizeof(Door))
        if not doors:
            raise MemoryError
        self._doors = doors
        door = &doors[self._door_count]
        memset(door, 0, sizeof(Door))
        door.prefix_size = len(prefix)
        memcpy(door.prefix, <const char *>prefix, len(prefix))
        self._places.append(place)
        self._door_count += 1
        return self._door_count - 1

    # Texts

    cdef bint read_new(self) except -1:
        """Whether there were texts to read."""
        cdef bint read = False
        for texts in (self.clients, self.tls, self.mechanisms, self.sent, self.failed, self.silent):
            read |= (<Meanings>texts).read_new()
        return read

    cdef int32_t client(self, const char *at, Py_ssize_t size) except -1 nogil:
        """What is plainly a name and an address is known without being read."""
        cdef int32_t code = self.clients.meaning(at, size)
        if self.clients.sense(code) == UNREAD and plain_client(at, size):
            self.clients.mean(code, 0)
        return code

    cdef int32_t ending(self, Meanings known, Counts *counts, const char *at, Py_ssize_t size) except -1 nogil:
        """The counters at the end of a session."""
        memcpy(counts.text, at, size)
        return known.meaning(counts, sizeof(Counts) - LONGEST_COUNTS + size)

    # Messages

    cdef Mark mark(self, int32_t door) noexcept nogil:
        """How much there is."""
        return Mark(self._numbers.size, self._queue_ids.size, self._message_ids.size, self._doors[door].queue_ids.size)

    cdef void drop(self, int32_t door, Mark since) noexcept nogil:
        """The messages since then are not to be kept."""
        self._numbers.size, self._queue_ids.size, self._message_ids.size = since.numbers, since.queue_ids, since.message_ids
        self._doors[door].queue_ids.size = since.of_door

    cdef int32_t party(self, const char *account, Py_ssize_t size, const char *sender, Py_ssize_t length) except -1 nogil:
        """An account and a sender; neither has a line feed."""
        self._party.size = 0
        append(&self._party, account, size)
        append(&self._party, b"\n", 1)
        append(&self._party, sender, length)
        return self._parties.of(self._party.bytes, self._party.size)

    cdef Numbers *add(self, Manner *manner, int32_t party, const char *queue_id, Py_ssize_t size) except NULL nogil:
        """One more message, whose other numbers and message id the caller adds."""
        cdef Door *door = &self._doors[manner.door]
        cdef Numbers numbers
        numbers.manner = self._manners.of(manner, sizeof(Manner))
        numbers.party = party
        memcpy(door.prefix + door.prefix_size, queue_id, size)
        numbers.key = blake2b_64(door.prefix, door.prefix_size + size)
        append(&self._numbers, &numbers, sizeof(Numbers))
        append(&self._queue_ids, queue_id, size)
        append(&self._queue_ids, b"\n", 1)
        append(&door.queue_ids, queue_id, size)
        append(&door.queue_ids, b"\n", 1)
        return <Numbers *>(self._numbers.bytes + self._numbers.size) - 1

    cdef int message_id(self, const char *at, const char *end) except -1 nogil:
        """Of the message added last; empty where none is there."""
        while end > at and space((end - 1)[0]):
            end -= 1
        append(&self._message_ids, at, end - at)
        return append(&self._message_ids, b"\n", 1)

    cdef int keep(self, int32_t number, Mark since, bint encrypted, int64_t ended) except -1 nogil:
        """The messages since then are those of one session."""
        cdef Door *door = &self._doors[number]
        cdef Numbers *at = <Numbers *>(self._numbers.bytes + since.numbers)
        cdef Numbers *end = <Numbers *>(self._numbers.bytes + self._numbers.size)
        door.newest = max(door.newest, ended)
        door.sessions += 1
        door.encrypted += encrypted
        while at < end:
            door.newest = max(door.newest, at.opened, at.time)
            door.messages += 1
            append(&door.opened, &at.opened, sizeof(int64_t))
            at += 1
        return 0

    def hand_over(self):
        """
        Numbers, values of their codes, and texts of the messages; and of each door that has brought some: sessions,
        encrypted ones, messages, time of the newest line, queue ids, and when each was opened. Only the values stay, which later codes go on from.
        """
        cdef Py_ssize_t number
        cdef Door *door
        doors = []
        for number in range(self._door_count):
            door = &self._doors[number]
            if door.sessions:
                doors.append((number, door.sessions, door.encrypted, door.messages, door.newest, taken(&door.queue_ids), taken(&door.opened)))
                door.sessions = door.encrypted = door.messages = 0
                door.newest = 0
        self._make_values()
        brought = (
            taken(&self._numbers), self._manner_values, self._client_values, self._party_values,
            decoded(taken(&self._queue_ids)), decoded(taken(&self._message_ids)),
        )
        if max(self.clients.count, self.tls.count, self._parties.count) > TEXTS:
            self._forget()
        elif max(self.sent.count, self.failed.count, self.silent.count) > TEXTS:
            self._forget()
        return brought, doors

    cdef int _make_values(self) except -1:
        """Objects for the texts that were met since."""
        cdef Manner *manner
        cdef int32_t code
        self.read_new()
        for code in range(<int32_t>len(self._manner_values), self._manners.count):
            manner = <Manner *>self._manners.at(code)
            server, service, source, outcome = self._places[manner.door]
            told = (self.sent.values[manner.ending], None) if manner.tls == NOWHERE else self.tls.values[manner.tls]
            version, cipher = told or (None, None)  # none where the session was left after all, and no message has this manner
            mechanism = self.mechanisms.values[manner.mechanism]
            self._manner_values.append((server, service, source, mechanism, version, cipher, outcome, None))
        for code in range(<int32_t>len(self._client_values), self.clients.count):
            self._client_values.append((*self.client_value(code), None))
        for code in range(<int32_t>len(self._party_values), self._parties.count):
            account, _, sender = self._parties.text(code).partition(b"\n")
            self._party_values.append((decoded(account), decoded(sender)))
        return 0

    cdef tuple client_value(self, int32_t code):
        """Address and name of a client that was read or is plain; two times None for another."""
        cdef const char *at = self.clients.at(code)
        cdef Py_ssize_t size = self.clients.size(code)
        cdef const char *bracket
        if code < len(self.clients.values) and self.clients.values[code] is not None:
            return self.clients.values[code]
        if not plain_client(at, size):
            return None, None
        bracket = <const char *>memchr(at, 91, size)
        unknown = bracket == at or (bracket - at == 7 and memcmp(at, "unknown", 7) == 0)
        name = None if unknown else PyUnicode_DecodeASCII(at, bracket - at, NULL)
        return PyUnicode_DecodeASCII(bracket + 1, size - (bracket - at) - 2, NULL), name


def decoded(bytes text):
    """Text as logged; see `postfix_lines.text`."""
    return text.decode("utf-8", "backslashreplace")


cdef bint plain_client(const char *at, Py_ssize_t size) noexcept nogil:
    """Whether it is a name and an address, and nothing else: desk11.contoso.example[192.0.2.10]"""
    cdef const char *bracket = <const char *>memchr(at, 91, size)
    if bracket == NULL or (at + size - 1)[0] != 93 or not ipv4(bracket + 1, at + size - 1):
        return False
    while at < bracket and 33 <= at[0] <= 126 and at[0] != 93:
        at += 1
    return at == bracket


cdef bint plain_account(const char *at, Py_ssize_t size) noexcept nogil:
    """Whether what stands behind sasl_username= is a name and nothing else."""
    if not size or space(at[0]) or space((at + size - 1)[0]):
        return False
    if memchr(at, 44, size) == NULL:
        return True
    return not has(at, at + size, ", sasl_sender=", 14) and not has(at, at + size, ", orig_", 7)


cdef bint plain_queue_id(const char *at, Py_ssize_t size, int64_t opened) noexcept nogil:
    """Whether a queue id can be nothing else, and was made when its line was logged if it tells when; see `queue_id_time`."""
    cdef Py_ssize_t place
    cdef int64_t seconds = 0
    cdef const char *value
    if size < 5:
        return False
    for place in range(size):
        if not alphanumeric(at[place]):
            return False
    if size < 12 or at[10] != 122:
        return True
    for place in range(size):
        value = <const char *>memchr(DIGITS, at[place], 51)
        if value == NULL and place != 10:
            return True
        if place < 6:
            seconds = seconds * 52 + (value - DIGITS)
    if seconds < 946684800 or seconds > 4102444800LL:
        return True
    opened -= seconds * SECOND
    return -APART < opened and opened < APART
