# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Postfix: accepted messages as columns, gathered by compiled code.

    columns = Columns(read_client, read_tls, read_mechanism)
    door = Door(owner, place, outcome, …)                     one for each service that takes AUTH
    ...                                                       postfix_scan.pyx adds messages
    messages = columns.hand_over()                            the arguments of `Messages`

A text that comes again and again is made once: names of clients, accounts and senders are kept by their bytes, and what
rows have in common is told by a number.

See also
    changes.py for `Messages`; postfix_rows.py for the same rows made one by one
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memcmp

from smtp_auth_report.sources.log_bytes cimport alphanumeric, digit, has, space

cdef extern from *:
    """
    static const char DIGITS[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
    """
    const char *DIGITS

cdef enum:
    TEXTS = 65536           # of one kind that are kept

cdef int64_t SECOND = 1000000
cdef int64_t APART = 600 * 1000000
"""A long queue id and the stamp of its line tell times no further apart, or zone and year are in doubt."""


cdef class Codes:
    """Numbers for tuples, in the order in which they are met."""

    def __init__(self):
        self._numbers, self.values = {}, []

    cdef object of(self, tuple value):
        """The number of a tuple, the next one if it has none."""
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
        return found


cdef class Door:
    """One service: what its messages have in common, and what its sessions have brought."""

    def __init__(self, owner, tuple place, str outcome, key, read_ending, read_failed_ending):
        self.owner = owner
        self._place = place                 # server, service, source
        self._outcome = outcome
        self._hash = key                    # hash of what stands before a queue id in the key of a message
        self._read_ending = read_ending
        self._read_failed_ending = read_failed_ending
        self._endings = {}
        self.begin()

    def begin(self):
        """Nothing was brought yet, and no code was given."""
        self.manners = {}
        self.sessions = self.encrypted = 0
        self.newest = 0
        self.queue_ids = []

    cdef tuple ending(self, bytes counts, bint encrypted):
        """How often content was taken, and the TLS version where no line tells it; None where more may have happened."""
        known = (counts, encrypted)
        found = self._endings.get(known, False)
        if found is False:
            if len(self._endings) >= TEXTS:
                self._endings.clear()
            found = self._endings[known] = self._read_ending(counts, encrypted)
        return found

    cdef object failed_ending(self, bytes counts, bint encrypted, int failures):
        """The TLS version where no line tells it, after so many failures; None where more may have happened."""
        known = (counts, encrypted, failures)
        found = self._endings.get(known, False)
        if found is False:
            if len(self._endings) >= TEXTS:
                self._endings.clear()
            found = self._endings[known] = self._read_failed_ending(counts, encrypted, failures)
        return found

    cdef uint64_t key(self, bytes queue_id) except? 0:
        hash = self._hash.copy()
        hash.update(queue_id)
        return int.from_bytes(hash.digest(), "big")


cdef class Columns:
    """Messages of all doors of one file, since they were last handed over."""

    def __init__(self, read_client, read_tls, read_mechanism):
        self._read_client, self._read_tls, self._read_mechanism = read_client, read_tls, read_mechanism
        self._clients, self._tls, self._mechanisms, self._accounts, self._senders = {}, {}, {}, {}, {}
        self._begin()

    def __dealloc__(self):
        PyMem_Free(self._numbers)

    cdef int _begin(self) except -1:
        self.count = 0
        self._queue_ids, self._message_ids = [], []
        if self._manners is None or max(map(len, (self._manners.values, self._clients_met.values, self._parties.values))) > TEXTS:
            self._manners, self._clients_met, self._parties = Codes(), Codes(), Codes()
        return 0

    def hand_over(self):
        """Numbers, values of their codes, and texts of the messages; here only the values are left, which later codes go on from."""
        numbers = PyBytes_FromStringAndSize(<const char *>self._numbers, self.count * sizeof(Numbers))
        brought = (
            numbers, self._manners.values, self._clients_met.values, self._parties.values, self._queue_ids, self._message_ids,
        )
        self._begin()
        return brought

    # Texts

    cdef object _read(self, dict known, object read, const char *at, Py_ssize_t size):
        cdef bytes text = PyBytes_FromStringAndSize(at, size)
        found = known.get(text, False)
        if found is False:
            if len(known) >= TEXTS:
                known.clear()
            found = known[text] = read(text)
        return found

    cdef object client(self, const char *at, Py_ssize_t size):
        """Address and name, None for what is not plainly both: desk11.contoso.example[192.0.2.10]"""
        cdef const char *bracket = <const char *>memchr(at, 91, size)
        cdef const char *place = at
        if bracket == NULL or (at + size - 1)[0] != 93 or not ipv4(bracket + 1, at + size - 1):
            return self._read(self._clients, self._read_client, at, size)
        while place < bracket and 33 <= place[0] <= 126 and place[0] != 93:
            place += 1
        if place < bracket:
            return self._read(self._clients, self._read_client, at, size)
        size -= bracket - at + 2
        unknown = bracket == at or (bracket - at == 7 and memcmp(at, "unknown", 7) == 0)
        return PyUnicode_DecodeASCII(bracket + 1, size, NULL), None if unknown else PyUnicode_DecodeASCII(at, bracket - at, NULL)

    cdef object tls(self, const char *at, Py_ssize_t size):
        """Version and cipher, None for what is not plainly both."""
        return self._read(self._tls, self._read_tls, at, size)

    cdef object mechanism(self, const char *at, Py_ssize_t size):
        """None for what may be more than a name."""
        return self._read(self._mechanisms, self._read_mechanism, at, size)

    cdef object account(self, const char *at, Py_ssize_t size):
        """None for what may be more than a name."""
        if not size or space(at[0]) or space((at + size - 1)[0]):
            return None
        if memchr(at, 44, size) != NULL and (has(at, at + size, ", sasl_sender=", 14) or has(at, at + size, ", orig_", 7)):
            return None
        return self._read(self._accounts, decoded, at, size)

    cdef object sender(self, const char *at, Py_ssize_t size):
        return self._read(self._senders, decoded, at, size)

    cdef object message_id(self, const char *at, const char *end):
        """None where none is there."""
        cdef const char *place = at
        while end > at and space((end - 1)[0]):
            end -= 1
        if end == at:
            return None
        while place < end:
            if place[0] & 0x80:
                return decoded(PyBytes_FromStringAndSize(at, end - at))
            place += 1
        return PyUnicode_DecodeASCII(at, end - at, NULL)

    # Messages

    cdef int64_t code_of_client(self, tuple client) except -1:
        return self._clients_met.of(client)

    cdef Numbers *add(self, Door door, bytes queue_id, account, sender, mechanism, tuple tls, message_id) except NULL:
        """One more message, whose other numbers the caller writes."""
        cdef Numbers *numbers
        if self.count == self._room:
            self._room = max(1024, 2 * self._room)
            self._numbers = <Numbers *>PyMem_Realloc(self._numbers, self._room * sizeof(Numbers))
            if not self._numbers:
                self._room = 0
                raise MemoryError
        manner = (mechanism, tls)
        number = door.manners.get(manner)
        if number is None:
            number = self._manners.of((*door._place, mechanism, *tls, door._outcome, None))
            door.manners[manner] = number
        numbers = &self._numbers[self.count]
        numbers.key = door.key(queue_id)
        numbers.manner = number
        numbers.party = self._parties.of((account, sender))
        self._queue_ids.append(PyUnicode_DecodeASCII(PyBytes_AS_STRING(queue_id), PyBytes_GET_SIZE(queue_id), NULL))
        self._message_ids.append(message_id)
        door.queue_ids.append(queue_id)
        self.count += 1
        return numbers

    cdef int keep(self, Door door, Py_ssize_t begin, bint encrypted, int64_t ended) except -1:
        """The messages since `begin` are those of one session."""
        door.newest = max(door.newest, ended)
        for place in range(begin, self.count):
            door.newest = max(door.newest, self._numbers[place].opened, self._numbers[place].time)
        door.sessions += 1
        door.encrypted += encrypted
        return 0

    cdef int drop(self, Door door, Py_ssize_t begin) except -1:
        """The messages since `begin` are not to be kept."""
        if begin < self.count:
            del door.queue_ids[len(door.queue_ids) - (self.count - begin):]
            del self._queue_ids[begin:]
            del self._message_ids[begin:]
            self.count = begin
        return 0


def decoded(bytes text):
    """Text as logged; see `postfix_lines.text`."""
    return text.decode("utf-8", "backslashreplace")


cdef bint ipv4(const char *at, const char *end) noexcept nogil:
    """Whether a text is an IPv4 address; see `postfix_lines.address`."""
    cdef int part, dots = 0
    while True:
        if at == end or not digit(at[0]):
            return False
        part = at[0] - 48
        at += 1
        while at < end and digit(at[0]) and 0 < part < 26:
            part = 10 * part + at[0] - 48
            at += 1
        if part > 255:
            return False
        if dots == 3 or at == end or at[0] != 46:
            return dots == 3 and at == end
        dots += 1
        at += 1


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
