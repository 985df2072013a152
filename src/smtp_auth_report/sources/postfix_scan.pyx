# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Postfix: whole sessions of a batch that are as most are, read by compiled code.

    scan = Scan(learn)                      see log_lines.pyx; reads and decides as Runs does
    scan.sessions(columns, doors, times)    messages of whole sessions that went as most do
    scan.failures(columns, doors, times)    whole sessions in which nothing but sign-ins failed

Python objects are made only of what becomes a row.

What goes wrong
    Nothing. A session that is not as usual is left to be read line by line.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memchr, memcmp

from smtp_auth_report.sources.log_bytes cimport alphanumeric, begins, digit, ends, memmem, space
from smtp_auth_report.sources.log_lines cimport NOWHERE, Line
from smtp_auth_report.sources.postfix_columns cimport Columns, Door, Numbers, plain_queue_id
from smtp_auth_report.sources.postfix_runs cimport FAILED, SIGNED, Mail, Run, Runs


cdef class Scan(Runs):
    """Scans the batches of one file, one after another."""

    # Whole sessions

    def sessions(self, Columns columns, list doors, list times):
        """
        Add the messages of sessions that went as most do, and pass over their lines. `doors` are those of each group, None
        for one that is not known to take AUTH; `times` are those of `minutes`.
        """
        cdef int32_t number
        cdef Run *run
        for number in range(self._run_count):
            run = &self._runs[number]
            if run.unusual or not run.signed or run.tls_lines > 1 or not self._complete(run):
                continue
            if run.tls < run.first_signed and doors[run.group] is not None:
                self._session(run, columns, doors[run.group], times)

    cdef int _session(self, Run *run, Columns columns, Door door, list times) except -1:
        """The messages of one session, unless something about it is not as usual."""
        cdef Line *first = &self._lines[run.first]
        cdef Line *last = &self._lines[run.last]
        cdef const char *client = self._bytes + first.text + 13
        cdef const char *at = self._bytes + last.text + 16
        cdef Py_ssize_t size = first.end - first.text - 13
        cdef Py_ssize_t begin = columns.count
        cdef bint encrypted = run.tls != NOWHERE
        cdef int32_t number
        cdef int64_t code
        who = columns.client(client, size)
        if who is None or not begins(at, self._bytes + last.end, client, size):
            return 0
        at += size
        ending = door.ending(PyBytes_FromStringAndSize(at, self._bytes + last.end - at), encrypted)
        if ending is None or <int32_t>ending[0] < run.signed:
            return 0
        tls = self._tls(&self._lines[run.tls], columns, client, size) if encrypted else (ending[1], None)
        if tls is None:
            return 0
        code = columns.code_of_client((*who, None))
        number = first.next
        while number != NOWHERE:
            if self._lines[number].says == SIGNED and not self._message(number, run, columns, door, size, times, tls, code):
                columns.drop(door, begin)
                return 0
            number = self._lines[number].next
        columns.keep(door, begin, encrypted, <int64_t>times[last.minute] + last.micros)
        self._leave(run)
        return 0

    cdef object _tls(self, Line *line, Columns columns, const char *client, Py_ssize_t size):
        """Version and cipher: Anonymous TLS connection established from …: TLSv1.3 with cipher …"""
        cdef const char *end = self._bytes + line.end
        cdef const char *at = <const char *>memchr(self._bytes + line.text, 32, end - self._bytes - line.text) + 33
        return columns.tls(at + size, end - at - size) if begins(at, end, client, size) else None

    cdef bint _message(
        self, int32_t number, Run *run, Columns columns, Door door, Py_ssize_t client_size, list times, tuple tls, int64_t client
    ) except -1:
        """Add a message whose lines are written as they usually are; whether it is."""
        cdef Line *line = &self._lines[number]
        cdef const char *end = self._bytes + line.end
        cdef const char *queue_id = self._bytes + line.text
        cdef const char *at = queue_id + line.id_size + 9
        cdef const char *name
        cdef Mail *mail = self._mail(line.key)
        cdef Line *active
        cdef Numbers *numbers
        cdef int64_t opened = <int64_t>times[line.minute] + line.micros
        cdef int64_t recipients, size
        if mail == NULL or mail.odd or mail.clients != 1 or not self._follow(mail, line, number):
            return False
        active = &self._lines[mail.active]
        if not begins(at, end, self._bytes + self._lines[run.first].text + 13, client_size):
            return False
        at += client_size
        name = <const char *>memmem(at, end - at, ", sasl_username=", 16) if begins(at, end, ", sasl_method=", 14) else NULL
        if name == NULL or not plain_queue_id(queue_id, line.id_size, opened):
            return False
        mechanism = columns.mechanism(at + 14, name - at - 14)
        account = columns.account(name + 16, end - name - 16)
        at, end = self._bytes + active.text + line.id_size + 8, self._bytes + active.end
        if mechanism is None or account is None or not ends(at, end, " (queue active)", 15):
            return False
        end = number_before(end - 15, at, ", nrcpt=", 8, 9, &recipients)
        end = number_before(end, at, ">, size=", 8, 18, &size) if end != NULL else NULL
        if end == NULL:
            return False
        sender = columns.sender(at, end - at)
        numbers = columns.add(
            door, PyBytes_FromStringAndSize(queue_id, line.id_size), account, sender, mechanism, tls, self._message_id(mail, columns)
        )
        numbers.opened, numbers.time = opened, <int64_t>times[active.minute] + active.micros
        numbers.size, numbers.recipients, numbers.client = size, recipients, client
        return True

    cdef bint _follow(self, Mail *mail, Line *line, int32_t number) noexcept nogil:
        """Whether the lines of a message are of one queue and follow one another: client=, message-id=, from="""
        cdef Line *active = &self._lines[mail.active]
        cdef Line *noted = &self._lines[mail.message_id]
        cdef const char *queue_id = self._bytes + line.text
        if mail.active < number or self._prefixes[active.prefix].instance != self._prefixes[line.prefix].instance:
            return False
        if active.id_size != line.id_size or memcmp(self._bytes + active.text, queue_id, line.id_size) != 0:
            return False
        if mail.message_id == NOWHERE or self._prefixes[noted.prefix].host != self._prefixes[line.prefix].host:
            mail.message_id = NOWHERE
            return True
        if noted.id_size != line.id_size or memcmp(self._bytes + noted.text, queue_id, line.id_size) != 0:
            return False
        if mail.message_id < number or mail.message_id > mail.active:
            return False
        return begins(self._bytes + noted.text + noted.id_size + 2, self._bytes + noted.end, "message-id=", 11)

    cdef object _message_id(self, Mail *mail, Columns columns):
        cdef Line *line = &self._lines[mail.message_id]
        if mail.message_id == NOWHERE:
            return None
        return columns.message_id(self._bytes + line.text + line.id_size + 13, self._bytes + line.end)

    def failures(self, Columns columns, list doors, list times):
        """
        Sessions in which nothing but sign-ins failed, and pass over their lines. Each is: door, pid, client's address as
        logged, client, TLS version and cipher, time of its end, and its failures: time, mechanism, reason, name.
        """
        cdef int32_t number
        cdef Run *run
        cdef list found = [], taken = []
        cdef set elsewhere = set()      # process and second of failures that are read line by line, and so counted later
        for number in range(self._run_count):
            run = &self._runs[number]
            if run.sasl:
                session = None
                if run.failed and not run.more and self._complete(run) and run.tls_lines < 2 and run.tls < run.first_failed:
                    session = self._failed_session(run, columns, doors[run.group], times)
                if session is None:
                    elsewhere.update(self._seconds_of(run, times))
                else:
                    found.append((number, session))
        for number, session in found:
            run = &self._runs[number]
            if elsewhere and not elsewhere.isdisjoint(self._seconds_of(run, times)):
                elsewhere.update(self._seconds_of(run, times))
            else:
                self._leave(run)
                taken.append(session)
        return taken

    cdef list _seconds_of(self, Run *run, list times):
        """In which seconds a process of this number wrote the lines of a session."""
        cdef int32_t number = run.first
        cdef Line *line
        cdef list found = []
        while number != NOWHERE:
            line = &self._lines[number]
            found.append((run.host, run.pid, (<int64_t>times[line.minute] + line.micros) // 1000000))
            number = line.next
        return found

    cdef tuple _failed_session(self, Run *run, Columns columns, Door door, list times):
        """None where something about a session is not as usual."""
        cdef Line *line = &self._lines[run.first]
        cdef Line *last = &self._lines[run.last]
        cdef const char *client = self._bytes + line.text + 13
        cdef const char *at = self._bytes + last.text + 16
        cdef const char *bracket
        cdef Py_ssize_t size = line.end - line.text - 13
        cdef int32_t number = line.next
        cdef list failures = []
        bracket = <const char *>memchr(client, 91, size)
        who = columns.client(client, size)
        if door is None or who is None or bracket == NULL or (client + size - 1)[0] != 93:
            return None
        if not begins(at, self._bytes + last.end, client, size):
            return None
        at += size
        tls = self._tls(&self._lines[run.tls], columns, client, size) if run.tls != NOWHERE else None
        version = door.failed_ending(PyBytes_FromStringAndSize(at, self._bytes + last.end - at), run.tls != NOWHERE, run.failed)
        if version is None or (tls is None and run.tls != NOWHERE):
            return None
        while number != NOWHERE:
            line = &self._lines[number]
            if line.says == FAILED:
                failure = self._failure(line, client, size, <int64_t>times[line.minute] + line.micros)
                if failure is None:
                    return None
                failures.append(failure)
            number = line.next
        at = self._bytes + last.raw
        while digit((at - 1)[0]):
            at -= 1
        return (
            door, PyBytes_FromStringAndSize(at, self._bytes + last.raw - at), PyBytes_FromStringAndSize(bracket + 1, client + size - bracket - 2),
            who, tls or (version, None), <int64_t>times[last.minute] + last.micros, failures,
        )

    cdef tuple _failure(self, Line *line, const char *client, Py_ssize_t size, int64_t time):
        """warning: unknown[192.0.2.7]: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=anna"""
        cdef const char *at = self._bytes + line.text + 9
        cdef const char *end = self._bytes + line.end
        cdef const char *word
        cdef const char *name
        while end > at and space((end - 1)[0]):
            end -= 1
        if not begins(at, end, client, size) or not begins(at + size, end, ": SASL ", 7):
            return None
        word = at = at + size + 7
        while word < end and word - at <= 20 and (alphanumeric(word[0]) or word[0] == 45 or word[0] == 95):
            word += 1
        mechanism = PyBytes_FromStringAndSize(at, word - at)
        if word == at or word - at > 20 or not begins(word, end, " authentication ", 16):
            return None
        at = word + 16
        if begins(at, end, "aborted", 7):
            return (time, mechanism, None, None, True) if end - at == 7 else None
        if not begins(at, end, "failed", 6):
            return None
        at += 6
        name = <const char *>memmem(at, end - at, ", sasl_username=", 16)
        user = None if name == NULL else PyBytes_FromStringAndSize(name + 16, end - name - 16)
        end = end if name == NULL else name
        if at == end:
            return time, mechanism, None, user, False
        if at[0] != 58:
            return None
        at += 2 if at + 1 < end and at[1] == 32 else 1
        return time, mechanism, PyBytes_FromStringAndSize(at, end - at), user, False

    cdef void _leave(self, Run *run) noexcept nogil:
        """Nothing is left to read of this session."""
        cdef int32_t number = run.first
        cdef Mail *mail
        cdef Line *line
        while number != NOWHERE:
            line = &self._lines[number]
            line.keep = False
            if line.says == SIGNED:
                mail = self._mail(line.key)
                self._lines[mail.active].keep = False
                if mail.message_id != NOWHERE:
                    self._lines[mail.message_id].keep = False
            number = line.next


cdef const char *number_before(
    const char *end, const char *begin, const char *mark, Py_ssize_t size, int most, int64_t *number
) noexcept nogil:
    """Where the mark stands before the number that ends here; NULL where no such number does."""
    cdef int64_t unit = 1
    cdef int digits = 0
    number[0] = 0
    while end > begin and digit((end - 1)[0]) and digits < most:
        end -= 1
        number[0] += unit * (end[0] - 48)
        unit *= 10
        digits += 1
    return end - size if digits and ends(begin, end, mark, size) else NULL
