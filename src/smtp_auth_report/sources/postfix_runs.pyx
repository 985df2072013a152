# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Postfix: the sessions of a batch of lines, and which lines cannot matter, by compiled code.

    runs = Runs(learn, processes)           the Processes of a file, whose batches may be looked at by several in turn
    runs.read(batch)                        False: the batch has shapes that are not plain, every line is to be read
    runs.decide(pending, shown, filtered)   marks the lines to be kept
    runs.kept()                             what is left to be read, in its order

A run is what one process logs from one `connect` to the next. See postfix_sieve.py for what is passed over and why that
changes nothing. Here are the loops that look at every byte: they keep numbers in C structures, and look at no byte beyond
the end of the line they are in.

What goes wrong
    Nothing. `read` gives False where lines are not plain.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport int8_t, int32_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memset

from smtp_auth_report.sources.log_bytes cimport begins, digit, has, hashed
from smtp_auth_report.sources.log_lines cimport KEPT, LONGEST_ID, NOWHERE, Line, LogLines, Prefix
from smtp_auth_report.sources.text_codes cimport append

cdef enum:
    PROCESSES = 1 << 17


cdef inline bint heads(const char *at, const char *words, int count) noexcept nogil:
    """Whether four bytes are one of these words of four."""
    cdef int place
    for place in range(count):
        if memcmp(at, words + 4 * place, 4) == 0:
            return True
    return False


cdef bint said(const char *at, const char *end) noexcept nogil:
    """Whether a text begins as one that may matter whoever wrote it."""
    return end - at >= 4 and heads(at, "imuxSupp[ID lastmesswarnSSL_", 7)


cdef bint of_session(const char *at, const char *end) noexcept nogil:
    """Whether a text begins as those about a session do."""
    return end - at >= 4 and heads(at, "conndiscproxrejemiltlosttimeAnonUntrTrusVeriTLS ", 12)


cdef bint tls_established(const char *at, const char *end) noexcept nogil:
    """Anonymous TLS connection established from …"""
    cdef const char *rest
    cdef Py_ssize_t size
    if begins(at, end, "Anonymous ", 10) or begins(at, end, "Untrusted ", 10):
        size = 10
    elif begins(at, end, "Verified ", 9):
        size = 9
    elif begins(at, end, "Trusted ", 8):
        size = 8
    else:
        return False
    rest = at + size
    return begins(rest, end, "TLS connection established from ", 32)


cdef class Processes:
    """The processes of one file, whose batches are looked at one after another: which of them are between two sessions."""

    def __cinit__(self):
        self.places = <Process *>PyMem_Malloc(PROCESSES * sizeof(Process))
        if not self.places:
            raise MemoryError
        self.clear()
        self.all_known = True

    def __dealloc__(self):
        PyMem_Free(self.places)

    cpdef void forget(self) noexcept:
        """Lines were read that were not looked at: that is not known any more."""
        self.clear()
        self.all_known = False

    cpdef void reopen(self, int32_t group, uint64_t pid) noexcept:  # it calls nothing that could raise
        """A process, with its pid behind a 1, may have a session open from before."""
        cdef Process *process = self.of(<uint64_t>group << 40 | pid)
        if process == NULL:
            self.all_known = False
        else:
            process.idle = False

    cdef void clear(self) noexcept nogil:
        memset(self.places, 0, PROCESSES * sizeof(Process))
        self.count = 0

    cdef void begin(self) noexcept nogil:
        """No line of a batch was seen yet."""
        if self.count > PROCESSES // 2:
            self.clear()
            self.all_known = False
        self.batch += 1

    cdef Process *of(self, uint64_t key) noexcept nogil:
        """NULL where there are too many."""
        cdef int32_t slot = <int32_t>((key * 0x9E3779B97F4A7C15ULL) >> 40) & (PROCESSES - 1)
        cdef Process *found
        while self.places[slot].used and self.places[slot].key != key:
            slot = (slot + 1) & (PROCESSES - 1)
        found = &self.places[slot]
        if not found.used:
            if self.count > PROCESSES * 3 // 4:
                return NULL
            self.count += 1
            found[0] = Process(key, 0, NOWHERE, True, self.all_known)
        if found.batch != self.batch:
            found.batch, found.run = self.batch, NOWHERE
        return found


cdef class Runs(LogLines):
    """Batches of one file."""

    def __cinit__(self, learn, Processes processes):
        self._processes = processes

    def __dealloc__(self):
        PyMem_RawFree(self._runs)
        PyMem_RawFree(self._clients.bytes)
        PyMem_Free(self._mails)

    def read(self, content):
        """Find the lines of a batch and the sessions they belong to; False where it is to be read line by line."""
        self._processes.begin()
        self._run_count = 0
        self._clients.size = 0
        self.filtered = self._too_many = False
        return self._read(content) and not self._too_many

    # Sessions

    cdef int _note(self, Line *line, int32_t number) except -1 nogil:
        """Put each line of smtpd to the run of its process that it belongs to."""
        cdef Process *process
        cdef const char *at = self._bytes + line.text
        cdef const char *end = self._bytes + line.end
        cdef uint64_t pid = line.key
        line.key = 0
        if line.kind == SMTPD:
            process = self._processes.of((<uint64_t>self._prefixes[line.prefix].group << 40) | pid)
            if process == NULL:
                self._too_many = True
                return 0
            self._say(line)
            if process.run == NOWHERE or line.says == BEGINS:
                self._begin(process, line, number)
            self._add(&self._runs[process.run], process, line, number)
        elif line.kind == KEPT and line.text:
            self._say(line)  # a tag that was cut may be smtpd's
        elif line.kind == QUEUE:
            self._find_id(line)
            line.noted = said(at, end) or of_session(at, end)
        elif line.kind == OTHER and said(at, end):
            line.keep = True
        if line.says == CLIENT or line.says == SIGNED:
            append(&self._clients, &number, sizeof(int32_t))
        return 0

    cdef int _begin(self, Process *process, Line *line, int32_t number) except -1 nogil:
        cdef Run *run
        cdef Prefix *prefix = &self._prefixes[line.prefix]
        if self._run_count == self._run_room:
            self._run_room = max(1024, 2 * self._run_room)
            self._runs = <Run *>PyMem_RawRealloc(self._runs, self._run_room * sizeof(Run))
            if not self._runs:
                self._run_room = 0
                with gil:
                    raise MemoryError
        run = &self._runs[self._run_count]
        run.first = run.last = number
        run.group, run.instance = prefix.group, prefix.instance
        run.pid = process.key & ((1ULL << 40) - 1)
        run.host = prefix.host
        run.ends = run.tls_lines = run.signed = run.failed = run.said = 0
        run.tls = run.first_signed = run.first_failed = NOWHERE
        run.begins = line.says == BEGINS
        run.behind = process.idle
        run.says = run.unusual = run.more = run.sasl = run.odd = False
        process.run = self._run_count
        self._run_count += 1
        return 0

    cdef void _add(self, Run *run, Process *process, Line *line, int32_t number) noexcept nogil:
        if number != run.first:
            self._lines[run.last].next = number
            run.last = number
        line.run = process.run
        process.idle = line.says == ENDS
        if line.says == ENDS:
            run.ends += 1

    cdef void _say(self, Line *line) noexcept nogil:
        """What a line of smtpd is to its session."""
        cdef const char *at = self._bytes + line.text
        cdef const char *end = self._bytes + line.end
        if begins(at, end, "connect from ", 13):
            line.says = BEGINS
        elif begins(at, end, "disconnect from ", 16):
            line.says = ENDS
            line.noted = has(at, end, " auth=", 6)
        elif begins(at, end, "lost con", 8) or begins(at, end, "timeout ", 8):
            line.says = NEUTRAL
        elif begins(at, end, "discardi", 8) or tls_established(at, end):
            line.says = QUIET
        elif begins(at, end, "warning: hostname ", 18):
            line.says = SAYS if has(at, end, "SASL", 4) else NEUTRAL
        elif begins(at, end, "warning: ", 9):
            line.says = FAILED if has(at + 8, end, ": SASL ", 7) else SAYS
        elif begins(at, end, "NOQUEUE: ", 9):
            if begins(at + 9, end, "client=", 7) and has(at, end, "sasl_", 5):
                self.filtered = True
            elif begins(at + 9, end, "client=", 7):
                line.says = CLIENT
            elif begins(at + 9, end, "reject: ", 8) and not has(at, end, "sasl_", 5) and not has(at, end, "not owned by user", 17):
                line.says = NEUTRAL
        else:
            self._find_id(line)
            if line.id_size and begins(at + line.id_size + 2, end, "client=", 7):
                line.says = SIGNED if has(at, end, "sasl_", 5) else CLIENT

    cdef void _find_id(self, Line *line) noexcept nogil:
        """The queue id that a text begins with."""
        cdef const char *at = self._bytes + line.text
        cdef const char *end = self._bytes + line.end
        cdef const char *colon = <const char *>memchr(at, 58, min(end - at, LONGEST_ID))
        if colon != NULL and colon > at and begins(colon, end, ": ", 2):
            line.id_size = <int8_t>(colon - at)
            line.key = hashed(at, colon - at)

    # Which lines cannot matter

    def decide(self, pending, bytes shown, bint filtered):
        """
        Mark what is to be kept; how many lines about TLS are not. `pending` are queue ids under way; `shown` tells of each
        group whether it is known not to be wrapper mode; where mail is `filtered`, every queue id matters.
        """
        cdef int32_t tls
        cdef const uint8_t *known = <const uint8_t *>PyBytes_AS_STRING(shown)
        self._collect(pending)
        with nogil:
            tls = self._decide(known, filtered or self.filtered)
        return tls

    cdef int32_t _decide(self, const uint8_t *shown, bint filtered) noexcept nogil:
        cdef int32_t number
        cdef Line *line
        cdef Mail *mail
        for number in range(self.total):
            line = &self._lines[number]
            if line.kind == SMTPD:
                if line.says == CLIENT:
                    mail = self._mail(line.key)
                    if filtered or (mail != NULL and mail.under_way):
                        line.says = SAYS
                self._tell(&self._runs[line.run], line, number, shown)
            elif line.kind == QUEUE:
                self._queue_line(line, number, filtered)
        return self._pass_over()

    cdef int _collect(self, pending) except -1:
        """A table of queue ids that matter."""
        cdef int32_t place, clients = <int32_t>(self._clients.size // sizeof(int32_t))
        cdef const int32_t *numbers = <const int32_t *>self._clients.bytes
        cdef Line *line
        cdef Mail *mail
        self._mail_slots = 64
        while self._mail_slots < 2 * (clients + <int32_t>len(pending)):
            self._mail_slots *= 2
        if self._mail_slots > self._mail_room:
            PyMem_Free(self._mails)
            self._mails = <Mail *>PyMem_Malloc(self._mail_slots * sizeof(Mail))
            self._mail_room = self._mail_slots if self._mails else 0
            if not self._mails:
                raise MemoryError
        memset(self._mails, 0, self._mail_slots * sizeof(Mail))
        for queue_id in pending:
            mail = self._new_mail(hashed(PyBytes_AS_STRING(queue_id), PyBytes_GET_SIZE(queue_id)))
            mail.under_way = mail.odd = True
        for place in range(clients):
            line = &self._lines[numbers[place]]
            if line.says == SIGNED:
                mail = self._new_mail(line.key)
                mail.under_way = True
                mail.odd = mail.odd or line.kind == KEPT
                mail.clients += 1
        for place in range(clients):
            line = &self._lines[numbers[place]]
            if line.says == CLIENT:
                mail = self._mail(line.key)
                if mail != NULL:
                    mail.clients += 1
        return 0

    cdef Mail *_mail(self, uint64_t key) noexcept nogil:
        cdef int32_t slot = <int32_t>(key & (self._mail_slots - 1))
        while self._mails[slot].used:
            if self._mails[slot].key == key:
                return &self._mails[slot]
            slot = (slot + 1) & (self._mail_slots - 1)
        return NULL

    cdef Mail *_new_mail(self, uint64_t key) noexcept nogil:
        cdef int32_t slot
        cdef Mail *mail = self._mail(key)
        if mail != NULL:
            return mail
        slot = <int32_t>(key & (self._mail_slots - 1))
        while self._mails[slot].used:
            slot = (slot + 1) & (self._mail_slots - 1)
        self._mails[slot] = Mail(key, 0, NOWHERE, NOWHERE, True, False, False)
        return &self._mails[slot]

    cdef void _tell(self, Run *run, Line *line, int32_t number, const uint8_t *shown) noexcept nogil:
        """Note what a line tells of its session."""
        cdef const char *at = self._bytes + line.text
        cdef const char *end = self._bytes + line.end
        if line.bound or line.says == SAYS or line.says == FAILED:
            run.says = run.unusual = True
        if line.says == FAILED or (line.says == SAYS and has(at, end, ": SASL ", 7)):
            run.sasl = True
        if line.says == FAILED:
            run.failed += 1
            if run.first_failed == NOWHERE:
                run.first_failed = number
        if line.says == SAYS:
            run.said += 1
        if line.bound or line.says == CLIENT or line.says == SIGNED or line.says == FAILED:
            run.odd = True
        if line.bound or line.says == SAYS or line.says == CLIENT or line.says == SIGNED:
            run.more = True
        if line.says == NEUTRAL or line.says == CLIENT:
            run.unusual = True
        elif line.says == SIGNED:
            run.says = True
            run.signed += 1
            if run.first_signed == NOWHERE:
                run.first_signed = number
        elif line.says == ENDS:
            if not shown[run.group] and has(at, end, " starttls=", 10):
                run.says = run.more = run.unusual = run.odd = True
            elif line.noted:
                run.says = True
        elif line.says == QUIET and at[0] != 100:
            run.tls_lines += 1
            run.tls = number

    cdef void _queue_line(self, Line *line, int32_t number, bint filtered) noexcept nogil:
        """A line of cleanup or of the queue manager."""
        cdef const char *at = self._bytes + line.text
        cdef const char *end = self._bytes + line.end
        cdef Mail *mail
        if filtered or not line.id_size or line.noted:
            line.keep = True
            return
        mail = self._mail(line.key)
        if mail == NULL or not mail.under_way:
            return
        if line.bound:
            mail.odd = True
        at += line.id_size + 2
        if begins(at, end, "removed", 7):
            return
        line.keep = True
        if begins(at, end, "message-", 8):
            mail.odd = mail.odd or mail.message_id != NOWHERE
            mail.message_id = number
        elif begins(at, end, "from=<", 6):
            mail.odd = mail.odd or mail.active != NOWHERE
            mail.active = number
        else:
            mail.odd = True

    cdef bint _complete(self, Run *run) noexcept nogil:
        """From `connect` to the only `disconnect`, of a process that was between two sessions."""
        return run.begins and run.behind and run.ends == 1 and self._lines[run.last].says == ENDS

    cdef int32_t _pass_over(self) noexcept nogil:
        """Keep the lines of sessions that may matter; how many lines about TLS are not kept."""
        cdef int32_t place, number, tls = 0
        cdef Run *run
        for place in range(self._run_count):
            run = &self._runs[place]
            if not run.says and self._complete(run):
                tls += run.tls_lines
                continue
            number = run.first
            while number != NOWHERE:
                self._lines[number].keep = True
                number = self._lines[number].next
        return tls
