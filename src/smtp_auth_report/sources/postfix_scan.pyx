# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Postfix: the lines of a batch, looked at as bytes, by compiled code.

    scan = Scan(learn)
    scan.read(batch)                        False: the batch has shapes that are not plain, every line is to be read
    scan.decide(pending, shown, filtered)   which lines cannot matter
    scan.sessions(columns, doors, times)    messages of whole sessions that went as most do
    scan.kept()                             what is left to be read, in its order

See postfix_sieve.py for what is passed over and why that changes nothing. Here are the loops that look at every byte:
they keep numbers in C structures, touch Python objects only for what becomes a row or is left, and look at no byte
beyond the end of the line they are in.

What goes wrong
    Nothing. `read` gives False where lines are not plain.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memset

from smtp_auth_report.sources.log_bytes cimport begins, digit, ends, has, hashed, memmem
from smtp_auth_report.sources.log_lines cimport KEPT, NOWHERE, Line, LogLines, Prefix
from smtp_auth_report.sources.postfix_columns cimport Columns, Door, Numbers, plain_queue_id

cpdef enum:                 # what wrote a line that is not of the kind KEPT
    OTHER = 1               # nothing of interest
    SMTPD = 2
    QUEUE = 3               # cleanup or qmgr

# What a line of smtpd is to its session: one that may matter, `connect`, `disconnect`, one without consequence, a message
# of a stranger, a message after a sign-in, and one without consequence even in a session with messages
cdef enum:
    SAYS = 0
    BEGINS = 1
    ENDS = 2
    NEUTRAL = 3
    CLIENT = 4
    SIGNED = 5
    QUIET = 6

cdef enum:
    LONGEST_ID = 24
    PROCESSES = 1 << 17


cdef struct Run:
    int32_t first
    int32_t last
    int32_t process         # its place in the table
    int32_t group
    int32_t instance
    int32_t ends
    int32_t tls             # line, or NOWHERE
    int32_t tls_lines
    int32_t signed          # messages
    int32_t first_signed
    int8_t begins
    int8_t behind           # the process was between two sessions
    int8_t says             # has a line that may matter
    int8_t unusual          # has a line that sessions with messages usually do not have


cdef struct Process:
    uint64_t key
    int32_t run
    int8_t used
    int8_t idle


cdef struct Mail:
    uint64_t key
    int32_t clients         # `client=` lines with this queue id
    int32_t message_id      # line, or NOWHERE
    int32_t active
    int8_t used
    int8_t under_way        # signed in, or already waited for
    int8_t odd              # has other lines than most messages have


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


cdef class Scan(LogLines):
    """Scans the batches of one file, one after another."""

    cdef Process *_processes
    cdef int32_t _process_count
    cdef Run *_runs
    cdef int32_t _run_count
    cdef int32_t _run_room
    cdef Mail *_mails
    cdef int32_t _mail_slots
    cdef readonly bint filtered     # a before-queue filter shows in the batch

    def __cinit__(self, learn):
        self._processes = <Process *>PyMem_Malloc(PROCESSES * sizeof(Process))
        if not self._processes:
            raise MemoryError
        self.forget()

    def __dealloc__(self):
        PyMem_Free(self._processes)
        PyMem_Free(self._runs)
        PyMem_Free(self._mails)

    def forget(self):
        """Lines were read that were not scanned: which processes are between two sessions is not known any more."""
        memset(self._processes, 0, PROCESSES * sizeof(Process))
        self._process_count = 0

    def read(self, bytes content):
        """Find the lines of a batch and the sessions they belong to; False where it is to be read line by line."""
        return self._read(content) and self._find_runs()

    # Sessions

    cdef bint _find_runs(self) except -1:
        """Put each line of smtpd to the run of its process that it belongs to; False where there are too many processes."""
        cdef int32_t number, slot
        cdef Line *line
        cdef Process *process
        if self._process_count > PROCESSES // 2:
            self.forget()
        for slot in range(PROCESSES):
            self._processes[slot].run = NOWHERE
        self._run_count = 0
        self.filtered = False
        for number in range(self.total):
            line = &self._lines[number]
            if line.kind == SMTPD:
                self._say(line)
                process = self._process(line)
                if process == NULL:
                    self.forget()
                    return False
                if process.run == NOWHERE or line.says == BEGINS:
                    self._begin(process, line, number)
                self._add(&self._runs[process.run], process, line, number)
            elif line.kind == QUEUE:
                self._find_id(line)
        return True

    cdef Process *_process(self, Line *line) noexcept nogil:
        cdef Prefix *prefix = &self._prefixes[line.prefix]
        cdef const char *at = self._bytes + line.start + line.blank + 1 + prefix.size
        cdef uint64_t pid = 0
        cdef uint64_t key
        cdef int32_t slot
        while digit(at[0]):
            pid = pid * 10 + <uint64_t>(at[0] - 48)
            at += 1
        key = (<uint64_t>prefix.group << 40) | pid
        slot = <int32_t>((key * 0x9E3779B97F4A7C15ULL) >> 40) & (PROCESSES - 1)
        while self._processes[slot].used:
            if self._processes[slot].key == key:
                return &self._processes[slot]
            slot = (slot + 1) & (PROCESSES - 1)
        if self._process_count > PROCESSES * 3 // 4:
            return NULL
        self._process_count += 1
        self._processes[slot] = Process(key, NOWHERE, True, False)
        return &self._processes[slot]

    cdef int _begin(self, Process *process, Line *line, int32_t number) except -1:
        cdef Run *run
        cdef Prefix *prefix = &self._prefixes[line.prefix]
        if self._run_count == self._run_room:
            self._run_room = max(1024, 2 * self._run_room)
            self._runs = <Run *>PyMem_Realloc(self._runs, self._run_room * sizeof(Run))
            if not self._runs:
                raise MemoryError
        run = &self._runs[self._run_count]
        run.first = run.last = number
        run.group, run.instance = prefix.group, prefix.instance
        run.ends = run.tls_lines = run.signed = 0
        run.tls = run.first_signed = NOWHERE
        run.begins = line.says == BEGINS
        run.behind = process.idle
        run.says = run.unusual = False
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
        elif begins(at, end, "lost con", 8) or begins(at, end, "timeout ", 8):
            line.says = NEUTRAL
        elif begins(at, end, "discardi", 8) or tls_established(at, end):
            line.says = QUIET
        elif begins(at, end, "warning: hostname ", 18):
            line.says = SAYS if has(at, end, "SASL", 4) else NEUTRAL
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
            line.id_size = <int32_t>(colon - at)
            line.key = hashed(at, colon - at)

    # Which lines cannot matter

    def decide(self, pending, const uint8_t[:] shown, bint filtered):
        """
        Mark what is to be kept; how many lines about TLS are not. `pending` are queue ids under way; `shown` tells of each
        group whether it is known not to be wrapper mode; where mail is `filtered`, every queue id matters.
        """
        filtered = filtered or self.filtered
        self._collect(pending)
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
            elif line.kind == OTHER and not line.keep:
                line.keep = said(self._bytes + line.text, self._bytes + line.end)
        return self._pass_over()

    cdef int _collect(self, pending) except -1:
        """A table of queue ids that matter."""
        cdef int32_t number, clients = 0
        cdef Line *line
        cdef Mail *mail
        for number in range(self.total):
            clients += self._lines[number].says == SIGNED
        self._mail_slots = 64
        while self._mail_slots < 2 * (clients + <int32_t>len(pending)):
            self._mail_slots *= 2
        PyMem_Free(self._mails)
        self._mails = <Mail *>PyMem_Malloc(self._mail_slots * sizeof(Mail))
        if not self._mails:
            raise MemoryError
        memset(self._mails, 0, self._mail_slots * sizeof(Mail))
        for queue_id in pending:
            mail = self._new_mail(hashed(PyBytes_AS_STRING(queue_id), PyBytes_GET_SIZE(queue_id)))
            mail.under_way = mail.odd = True
        for number in range(self.total):
            line = &self._lines[number]
            if line.says == SIGNED:
                mail = self._new_mail(line.key)
                mail.under_way = True
                mail.clients += 1
        for number in range(self.total):
            line = &self._lines[number]
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

    cdef void _tell(self, Run *run, Line *line, int32_t number, const uint8_t[:] shown) noexcept nogil:
        """Note what a line tells of its session."""
        cdef const char *at = self._bytes + line.text
        cdef const char *end = self._bytes + line.end
        if line.bound or line.says == SAYS:
            run.says = run.unusual = True
        elif line.says == NEUTRAL or line.says == CLIENT:
            run.unusual = True
        elif line.says == SIGNED:
            run.says = True
            run.signed += 1
            if run.first_signed == NOWHERE:
                run.first_signed = number
        elif line.says == ENDS:
            if has(at, end, " auth=", 6) or (not shown[run.group] and has(at, end, " starttls=", 10)):
                run.says = True
        elif line.says == QUIET and at[0] != 100:
            run.tls_lines += 1
            run.tls = number

    cdef void _queue_line(self, Line *line, int32_t number, bint filtered) noexcept nogil:
        """A line of cleanup or of the queue manager."""
        cdef const char *at = self._bytes + line.text
        cdef const char *end = self._bytes + line.end
        cdef Mail *mail
        if filtered or not line.id_size or said(at, end) or of_session(at, end):
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
        cdef int32_t number, tls = 0
        cdef Line *line
        cdef Run *run
        for number in range(self.total):
            line = &self._lines[number]
            if line.kind == SMTPD:
                run = &self._runs[line.run]
                if run.says or not self._complete(run):
                    line.keep = True
                elif line.says == QUIET and run.tls_lines and self._bytes[line.text] != 100:
                    tls += 1
        return tls

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
        columns.keep(door, begin, encrypted)
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
