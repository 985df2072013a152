# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Exchange Server: whole sessions that went as most do, from their rows to what is told of them, without an object for each row.

    whole = Whole(read_context, is_proxy)
    whole.begin()
    whole.take(fields, time)        for each row, from the first to the last; False: leave the session to be read row by row
    whole.outline()                 the fields of `exchange_lines.Outline`; None where it has not ended

What rows mean is told by exchange_sessions.py, which this follows step by step as long as nothing unusual happens: a client
signs in once, or a front end speaks for one, and what it sends is accepted. Whatever else may bring a row, an answer that
refuses above all, leaves the session to `Sessions`, which knows all there is to know.

`read_context` answers a number of `exchange_lines.CONTEXTS`, `is_proxy` whether a command hands a client over.

What goes wrong
    Nothing.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int8_t, int32_t, int64_t
from libc.string cimport memcmp, memmove
from posix.strings cimport strncasecmp

from smtp_auth_report.sources.log_bytes cimport begins, digit, ends, number, space

cdef enum:
    CONTEXTS = 4096         # that are remembered

    NOTHING = 0             # as in exchange_lines.CONTEXTS
    AGREED = 1
    PROXYING = 2
    VOUCHED = 3
    UNUSUAL = 4
    PROXIED = 5

    STARTTLS = 1            # commands that wait for an answer
    XPROXY = 2
    MAIL = 3
    RCPT = 4
    DATA = 5

cdef Field NONE = Field(NULL, NULL)


cdef class Whole:
    """One session at a time."""

    def __init__(self, read_context, is_proxy):
        self._read_context, self._is_proxy = read_context, is_proxy
        self._contexts = {}

    cdef int begin(self) except -1:
        self._connector = self._helo = self._tls = self._claimed = self._proxy = self._mechanism = self._account = NONE
        self._tried = self._name = NONE
        self._awaited = self._rows = 0
        self._newest = self._told = 0
        self._trying = self._of_servers = self._between = self._signed_in = self._fixed = False
        self._secured = self._handed_over = self._mailing = self._ended = False
        self._messages = []
        return 0

    cdef bint take(self, Field *fields, int64_t time) except -1:
        """Whether the next row is one of those that go as most do."""
        cdef int32_t place = <int32_t>number(fields[3].at, fields[3].end - fields[3].at)
        cdef char event
        if self._ended or place != self._rows or fields[6].end - fields[6].at != 1:
            return False
        if not place:
            self._connector, self._session, self._local, self._remote = fields[1], fields[2], fields[4], fields[5]
        elif not (_same(&self._connector, &fields[1]) and _same(&self._local, &fields[4]) and _same(&self._remote, &fields[5])):
            return False
        self._rows += 1
        self._newest = max(self._newest, time)
        event = fields[6].at[0]
        if event == 60:  # <
            return self._command(fields[7], place, time)
        if event == 62:  # >
            return self._reply(fields[7], time)
        if event == 42:  # *
            return self._information(fields[7], fields[8])
        if event == 45:  # -
            self._ended = True
            return True
        return event == 43  # +

    cdef tuple outline(self):
        if not self._ended:
            return None
        return (
            text_of(self._connector), text_of(self._session), text_of(self._local), text_of(self._remote), self._rows, self._newest,
            None if self._helo.at == NULL else text_of(self._helo), None if self._tls.at == NULL else text_of(self._tls),
            self._secured, None if self._proxy.at == NULL else text_of(self._proxy), self._signed_in,
            text_of(self._mechanism) if self._mechanism.at != NULL else b"", text_of(self._account) if self._account.at != NULL else None,
            self._told, self._handed_over, self._messages,
        )

    # What the client said

    cdef bint _command(self, Field data, int32_t number, int64_t time) except -1:
        cdef Field verb, word
        cdef const char *at = data.at
        if at == data.end:
            return True
        if space(at[0]):
            return False
        while at < data.end and not space(at[0]):
            at += 1
        verb = Field(data.at, at)
        while at < data.end and space(at[0]):
            at += 1
        word.at = at
        while at < data.end and not space(at[0]):
            at += 1
        word.end = at
        if _is(&verb, "EHLO", 4) or _is(&verb, "HELO", 4):
            self._helo = word
            return word.at < word.end and not self._fixed
        if _is(&verb, "AUTH", 4) or _is(&verb, "X-EXPS", 6):
            self._trying, self._of_servers, self._tried, self._name = True, verb.end - verb.at == 6, word, NONE
            return word.at < word.end and not self._fixed
        if _is(&verb, "STARTTLS", 8) or _is(&verb, "X-ANONYMOUSTLS", 14):
            return not self._fixed and self._await(STARTTLS)
        if _is(&verb, "XPROXY", 6):
            self._claimed = data
            return not self._fixed and self._await(XPROXY)
        if _is(&verb, "MAIL", 4):
            if self._claimed.at != NULL:
                return False
            self._finish()
            self._mailing, self._mail = True, Mail(number, 0, time, data)
            return self._await(MAIL)
        if _is(&verb, "RCPT", 4) and self._mailing:
            self._mail.recipients += 1
            return self._await(RCPT)
        if _is(&verb, "DATA", 4) or _is(&verb, "BDAT", 4):
            return self._await(DATA)
        if _is(&verb, "RSET", 4) or _is(&verb, "QUIT", 4):
            self._finish()
        return True

    cdef int _finish(self) except -1:
        self._mailing = self._trying = False
        self._awaited = 0
        return 0

    cdef bint _await(self, int8_t command) except -1:
        if self._awaited == WAITING:
            return False
        self._waiting[self._awaited] = command
        self._awaited += 1
        return True

    # What the server answered

    cdef bint _reply(self, Field data, int64_t time) except -1:
        cdef const char *at = data.at
        cdef const char *end = data.end
        cdef const char *words
        if end - at < 4 or not (digit(at[0]) and digit(at[1]) and digit(at[2])) or at[3] != 32:
            return True
        if memcmp(at, "235", 3) == 0:
            return self._sign_in(time)
        if at[0] == 52 or at[0] == 53:
            return False
        if begins(at, end, "250 2.6.0 ", 10) and ends(at + 10, end, "Queued mail for delivery", 24):
            self._answered(DATA)
            if self._mailing and self._signed_in and not self._between:
                words = end - 24
                if words > at + 10 and (words - 1)[0] == 32:
                    words -= 1
                self._fixed = True
                self._messages.append(
                    (self._mail.number, self._mail.opened, text_of(self._mail.data), self._mail.recipients, time, text_of(Field(at + 10, words)))
                )
            self._mailing = False
            return True
        if begins(at + 4, end, "2.1.0 ", 6):
            self._answered(MAIL)
        elif begins(at + 4, end, "2.1.5 ", 6):
            self._answered(RCPT)
        elif self._awaited and (memcmp(at, "220", 3) == 0 or memcmp(at, "250", 3) == 0):
            return self._went_well(at[1] == 53)
        return True

    cdef int _answered(self, int8_t command) except -1:
        cdef int32_t place
        for place in range(self._awaited):
            if self._waiting[place] == command:
                self._awaited -= place + 1
                memmove(self._waiting, self._waiting + place + 1, self._awaited)
                break
        return 0

    cdef bint _went_well(self, bint is_250) except -1:
        cdef int8_t command = self._waiting[0]
        if command == STARTTLS and not is_250:
            self._secured = True
        elif command == XPROXY and is_250:
            if not self._is_proxy(text_of(self._claimed)):
                return False
            self._proxy, self._claimed = self._claimed, NONE
            self._fixed, self._signed_in, self._between = True, True, False
        elif command != DATA or not is_250:
            return True
        self._answered(command)
        return True

    cdef bint _sign_in(self, int64_t time) except -1:
        if self._fixed or not self._trying:
            return False
        self._trying = False
        if self._of_servers:
            self._between = True
            return _is(&self._tried, "EXCHANGEAUTH", 12)
        self._signed_in, self._fixed, self._between = True, True, False
        self._mechanism, self._account = self._tried, self._name
        if self._handed_over:
            self._told = time
        return True

    # What the server noted

    cdef bint _information(self, Field data, Field context) except -1:
        cdef int32_t kind
        if context.at == context.end:
            return True
        words = text_of(context)
        meaning = self._contexts.get(words)
        if meaning is None:
            if len(self._contexts) > CONTEXTS:
                self._contexts.clear()
            meaning = self._contexts[words] = self._read_context(words)
        kind = meaning
        if kind == AGREED:
            self._tls = context
            return not self._fixed
        if kind == VOUCHED:
            self._name = data
            return self._trying
        if kind == PROXYING or (kind == PROXIED and not (self._trying and self._name.at == NULL)):
            self._handed_over = True
            return True
        return kind == NOTHING


cdef bytes text_of(Field field):
    return PyBytes_FromStringAndSize(field.at, field.end - field.at)


cdef inline bint _is(Field *word, const char *name, Py_ssize_t size) noexcept nogil:
    return word.end - word.at == size and strncasecmp(word.at, name, size) == 0


cdef inline bint _same(Field *one, Field *other) noexcept nogil:
    return one.end - one.at == other.end - other.at and memcmp(one.at, other.at, one.end - one.at) == 0
