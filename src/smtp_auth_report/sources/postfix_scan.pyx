# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Postfix: whole sessions of a batch that are as most are, read by compiled code.

    scan = Scan(learn)                      see log_lines.pyx; reads and decides as Runs does
    scan.sessions(columns, doors, times)    messages of whole sessions that went as most do
    scan.failures(columns, doors, times)    whole sessions in which nothing but sign-ins failed
    scan.others(columns, doors, times)      whole sessions besides that gave no message

`doors` and `times` are arrays as bytes: of each group the number of its door in `columns`, or NOWHERE where it is not known
to take AUTH; of each of `minutes` its time. Python objects are made only of what becomes a row, and of the messages none.

What goes wrong
    Nothing. A session that is not as usual is left to be read line by line.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memchr, memcmp

from smtp_auth_report.sources.log_bytes cimport alphanumeric, begins, digit, ends, memmem, space
from smtp_auth_report.sources.log_lines cimport NOWHERE, Line
from smtp_auth_report.sources.postfix_columns cimport (
    LONGEST_COUNTS, Columns, Counts, Manner, Mark, Numbers, plain_account, plain_queue_id,
)
from smtp_auth_report.sources.postfix_runs cimport FAILED, SAYS, SIGNED, Mail, Run, Runs
from smtp_auth_report.sources.text_codes cimport REFUSED, UNREAD, Meanings

cdef enum:                  # what became of a session or a message, besides UNREAD: it has a text that is to be read first
    LEFT = 0                # it is not as usual
    TAKEN = 1


cdef class Scan(Runs):
    """Scans the batches of one file, one after another."""

    # Whole sessions

    def sessions(self, Columns columns, bytes doors, bytes times):
        """Add the messages of sessions that went as most do, and pass over their lines."""
        cdef const int32_t *door_of = <const int32_t *>PyBytes_AS_STRING(doors)
        cdef const int64_t *minutes = <const int64_t *>PyBytes_AS_STRING(times)
        cdef bint unread = True
        while unread:
            with nogil:
                unread = self._sessions(columns, door_of, minutes)
            if unread:
                columns.read_new()

    cdef bint _sessions(self, Columns columns, const int32_t *doors, const int64_t *times) except -1 nogil:
        """Whether some have texts that are to be read first."""
        cdef int32_t number
        cdef int found
        cdef Run *run
        cdef bint unread = False
        for number in range(self._run_count):
            run = &self._runs[number]
            if run.unusual or not run.signed or run.tls_lines > 1 or not self._complete(run):
                continue
            if run.tls < run.first_signed and doors[run.group] != NOWHERE:
                found = self._session(run, columns, doors[run.group], times)
                if found == TAKEN:
                    self._leave(run)
                unread = unread or found == UNREAD
                run.unusual = found != UNREAD   # so that it is not looked at again
        return unread

    cdef int _session(self, Run *run, Columns columns, int32_t door, const int64_t *times) except -1 nogil:
        """The messages of one session, unless something about it is not as usual."""
        cdef Line *first = &self._lines[run.first]
        cdef Line *last = &self._lines[run.last]
        cdef const char *client = self._bytes + first.text + 13
        cdef const char *at = self._bytes + last.text + 16
        cdef const char *end = self._bytes + last.end
        cdef Py_ssize_t size = first.end - first.text - 13
        cdef bint encrypted = run.tls != NOWHERE
        cdef Counts counts
        cdef Manner manner = Manner(door, NOWHERE, NOWHERE, NOWHERE)
        cdef Mark since = columns.mark(door)
        cdef int32_t code, ending, taken, number = first.next
        cdef bint unread
        if not begins(at, end, client, size) or end - at - size > LONGEST_COUNTS:
            return LEFT
        counts.door, counts.encrypted, counts.failures = door, encrypted, 0
        code = columns.client(client, size)
        ending = columns.ending(columns.sent, &counts, at + size, end - at - size)
        taken = columns.sent.sense(ending)
        unread = columns.clients.sense(code) == UNREAD or taken == UNREAD
        if columns.clients.sense(code) == REFUSED or (taken != UNREAD and taken < run.signed):
            return LEFT
        if encrypted:
            manner.tls = self._tls(&self._lines[run.tls], columns, client, size)
            if manner.tls == NOWHERE or columns.tls.sense(manner.tls) == REFUSED:
                return LEFT
            unread = unread or columns.tls.sense(manner.tls) == UNREAD
        else:
            manner.ending = ending
        while number != NOWHERE:
            if self._lines[number].says == SIGNED:
                taken = self._message(number, run, columns, &manner, size, times, code)
                unread = unread or taken == UNREAD
                if taken == LEFT:
                    columns.drop(door, since)
                    return LEFT
            number = self._lines[number].next
        if unread:
            columns.drop(door, since)
            return UNREAD
        columns.keep(door, since, encrypted, times[last.minute] + last.micros)
        return TAKEN

    cdef int32_t _tls(self, Line *line, Columns columns, const char *client, Py_ssize_t size) except -2 nogil:
        """Version and cipher, NOWHERE where another client is named: Anonymous TLS connection established from …: TLSv1.3 with cipher …"""
        cdef const char *end = self._bytes + line.end
        cdef const char *at = <const char *>memchr(self._bytes + line.text, 32, end - self._bytes - line.text) + 33
        return columns.tls.meaning(at + size, end - at - size) if begins(at, end, client, size) else NOWHERE

    cdef int _message(
        self, int32_t number, Run *run, Columns columns, Manner *manner, Py_ssize_t client_size, const int64_t *times, int32_t client
    ) except -1 nogil:
        """Add a message whose lines are written as they usually are."""
        cdef Line *line = &self._lines[number]
        cdef const char *end = self._bytes + line.end
        cdef const char *queue_id = self._bytes + line.text
        cdef const char *at = queue_id + line.id_size + 9
        cdef const char *name
        cdef Mail *mail = self._mail(line.key)
        cdef Line *active
        cdef Numbers *numbers
        cdef const char *account
        cdef Py_ssize_t account_size
        cdef int64_t opened = times[line.minute] + line.micros
        cdef int64_t recipients, size
        if mail == NULL or mail.odd or mail.clients != 1 or not self._follow(mail, line, number):
            return LEFT
        active = &self._lines[mail.active]
        if not begins(at, end, self._bytes + self._lines[run.first].text + 13, client_size):
            return LEFT
        at += client_size
        name = <const char *>memchr(at + 14, 44, end - at - 14) if begins(at, end, ", sasl_method=", 14) else NULL
        if name == NULL or not begins(name, end, ", sasl_username=", 16):
            return LEFT
        if not plain_queue_id(queue_id, line.id_size, opened) or not plain_account(name + 16, end - name - 16):
            return LEFT
        manner.mechanism = columns.mechanisms.meaning(at + 14, name - at - 14)
        account, account_size = name + 16, end - name - 16
        at, end = self._bytes + active.text + line.id_size + 8, self._bytes + active.end
        if columns.mechanisms.sense(manner.mechanism) == REFUSED or not ends(at, end, " (queue active)", 15):
            return LEFT
        end = number_before(end - 15, at, ", nrcpt=", 8, 9, &recipients)
        end = number_before(end, at, ">, size=", 8, 18, &size) if end != NULL else NULL
        if end == NULL:
            return LEFT
        if columns.mechanisms.sense(manner.mechanism) == UNREAD:
            return UNREAD
        numbers = columns.add(manner, columns.party(account, account_size, at, end - at), queue_id, line.id_size)
        numbers.opened, numbers.time = opened, times[active.minute] + active.micros
        numbers.size, numbers.recipients, numbers.client = size, recipients, client
        self._add_message_id(mail, columns)
        return TAKEN

    cdef int _add_message_id(self, Mail *mail, Columns columns) except -1 nogil:
        cdef Line *line = &self._lines[mail.message_id]
        if mail.message_id == NOWHERE:
            return columns.message_id(self._bytes, self._bytes)
        return columns.message_id(self._bytes + line.text + line.id_size + 13, self._bytes + line.end)

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

    def failures(self, Columns columns, bytes doors, bytes times):
        """
        Sessions in which nothing but sign-ins failed, and pass over their lines. Each is: door, pid, client's address as
        logged, client, TLS version and cipher, time of its end, and its failures: time, mechanism, reason, name.
        """
        cdef const int32_t *door_of = <const int32_t *>PyBytes_AS_STRING(doors)
        cdef const int64_t *minutes = <const int64_t *>PyBytes_AS_STRING(times)
        cdef int32_t number
        cdef Run *run
        cdef list found = [], taken = []
        cdef set elsewhere = set()      # process and second of failures that are read line by line, and so counted later
        for number in range(self._run_count):
            run = &self._runs[number]
            if run.sasl:
                session = None
                if run.failed and not run.more and self._complete(run) and run.tls_lines < 2 and run.tls < run.first_failed:
                    session = self._failed_session(run, columns, door_of[run.group], minutes)
                if session is None:
                    elsewhere.update(self._seconds_of(run, minutes))
                else:
                    found.append((number, session))
        for number, session in found:
            run = &self._runs[number]
            if elsewhere and not elsewhere.isdisjoint(self._seconds_of(run, minutes)):
                elsewhere.update(self._seconds_of(run, minutes))
            else:
                self._leave(run)
                taken.append(session)
        return taken

    cdef list _seconds_of(self, Run *run, const int64_t *times):
        """In which seconds a process of this number wrote the lines of a session."""
        cdef int32_t number = run.first
        cdef Line *line
        cdef list found = []
        while number != NOWHERE:
            line = &self._lines[number]
            found.append((run.host, run.pid, (times[line.minute] + line.micros) // 1000000))
            number = line.next
        return found

    cdef tuple _failed_session(self, Run *run, Columns columns, int32_t door, const int64_t *times):
        """None where something about a session is not as usual."""
        cdef Line *line = &self._lines[run.first]
        cdef const char *client = self._bytes + line.text + 13
        cdef Py_ssize_t size = line.end - line.text - 13
        cdef int32_t number = line.next
        cdef list failures = []
        cdef tuple outline = self._outline(run, columns, columns.failed, door, times)
        if outline is None:
            return None
        while number != NOWHERE:
            line = &self._lines[number]
            if line.says == FAILED:
                failure = self._failure(line, client, size, times[line.minute] + line.micros)
                if failure is None:
                    return None
                failures.append(failure)
            number = line.next
        return *outline, failures

    cdef tuple _outline(self, Run *run, Columns columns, Meanings known, int32_t door, const int64_t *times):
        """
        Door, pid, client's address as logged, client, TLS version and cipher, and time of its end, of a session whose
        counters are `known`; None where one of these is not as usual.
        """
        cdef Line *line = &self._lines[run.first]
        cdef Line *last = &self._lines[run.last]
        cdef const char *client = self._bytes + line.text + 13
        cdef const char *at = self._bytes + last.text + 16
        cdef const char *end = self._bytes + last.end
        cdef const char *bracket
        cdef Py_ssize_t size = line.end - line.text - 13
        cdef Counts counts
        cdef int32_t code, ending, tls = NOWHERE
        bracket = <const char *>memchr(client, 91, size)
        if door == NOWHERE or bracket == NULL or (client + size - 1)[0] != 93:
            return None
        if not begins(at, end, client, size) or end - at - size > LONGEST_COUNTS:
            return None
        counts.door, counts.encrypted, counts.failures = door, run.tls != NOWHERE, run.failed + run.said
        code = columns.client(client, size)
        ending = columns.ending(known, &counts, at + size, end - at - size)
        if run.tls != NOWHERE:
            tls = self._tls(&self._lines[run.tls], columns, client, size)
            if tls == NOWHERE:
                return None
        if columns.clients.sense(code) == UNREAD or known.sense(ending) == UNREAD or (
            tls != NOWHERE and columns.tls.sense(tls) == UNREAD
        ):
            columns.read_new()
        if columns.clients.sense(code) == REFUSED or known.sense(ending) == REFUSED:
            return None
        if tls != NOWHERE and columns.tls.sense(tls) == REFUSED:
            return None
        spoken = (known.values[ending], None) if tls == NOWHERE else columns.tls.values[tls]
        at = self._bytes + last.raw
        while digit((at - 1)[0]):
            at -= 1
        return (
            door, PyBytes_FromStringAndSize(at, self._bytes + last.raw - at), PyBytes_FromStringAndSize(bracket + 1, client + size - bracket - 2),
            columns.client_value(code), spoken, times[last.minute] + last.micros,
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

    # Whole sessions without a message and without a failed sign-in

    def others(self, Columns columns, bytes doors, bytes times):
        """
        Sessions that signed in and sent nothing, and those in which TLS could not be agreed on. Each has its number, for
        `pass_over`, and is: door, pid, client's address as logged, client, TLS version and cipher, time of its end; and of
        a failed handshake time, line, and the line of the library, else None.
        """
        cdef const int32_t *door_of = <const int32_t *>PyBytes_AS_STRING(doors)
        cdef const int64_t *minutes = <const int64_t *>PyBytes_AS_STRING(times)
        cdef int32_t number
        cdef Run *run
        cdef dict found = {}, seconds = {}
        cdef set processes = set(), shared = set()
        for number in range(self._run_count):
            run = &self._runs[number]
            if not run.says or run.odd or run.said > 2 or run.tls_lines > 1 or door_of[run.group] == NOWHERE or not self._complete(run):
                continue
            session = self._other_session(run, columns, door_of[run.group], minutes)
            if session is not None:
                found[number] = session
                processes.add((run.host, run.pid))
                for second in self._seconds_of(run, minutes):
                    if seconds.setdefault(second, run.group) != run.group:
                        shared.add(second)
        if not found:
            return []
        for number in range(self._run_count):       # what is read line by line is counted later
            run = &self._runs[number]
            if self._lines[run.first].keep and (run.host, run.pid) in processes and number not in found:
                shared.update(self._seconds_of(run, minutes))
        for number in list(found):
            run = &self._runs[number]
            if shared and not shared.isdisjoint(self._seconds_of(run, minutes)):
                shared.update(self._seconds_of(run, minutes))
                del found[number]
        return list(found.items())

    def pass_over(self, int32_t number):
        """The lines of this session need not be read."""
        self._leave(&self._runs[number])

    cdef tuple _other_session(self, Run *run, Columns columns, int32_t door, const int64_t *times):
        """None where something about a session is not as usual."""
        cdef int32_t number = run.first
        cdef Line *line
        cdef tuple outline
        cdef list said = []
        while number != NOWHERE:
            line = &self._lines[number]
            if begins(self._bytes + line.text, self._bytes + line.end, "NOQUEUE: ", 9):
                return None
            if line.says == SAYS:
                said.append(line.start)
                if len(said) == 1:
                    handshake = times[line.minute] + line.micros, self._cut(line.text, line.end)
                else:
                    library = self._cut(line.text, line.end)
            number = line.next
        if said and run.tls_lines:
            return None
        outline = self._outline(run, columns, columns.silent, door, times)
        if outline is None:
            return None
        if not said:
            return *outline, None
        return *outline, (*handshake, library if len(said) > 1 else b"")

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
