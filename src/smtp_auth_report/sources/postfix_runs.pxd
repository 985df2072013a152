# What postfix_scan.pyx builds on: the sessions of a batch.

from libc.stdint cimport int8_t, int32_t, uint8_t, uint64_t

from smtp_auth_report.sources.log_lines cimport Line, LogLines
from smtp_auth_report.sources.text_codes cimport Buffer

cpdef enum:                 # what wrote a line that is not of the kind KEPT
    OTHER = 1               # nothing of interest
    SMTPD = 2
    QUEUE = 3               # cleanup or qmgr

# A line is `noted` if it is a `disconnect` that counts sign-ins, or one of QUEUE that may matter whoever it is about.
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
    FAILED = 7              # a sign-in was refused


cdef struct Run:
    uint64_t pid            # as the table of processes has it
    int32_t first
    int32_t last
    int32_t host
    int32_t group
    int32_t instance
    int32_t ends
    int32_t tls             # line, or NOWHERE
    int32_t tls_lines
    int32_t signed          # messages
    int32_t first_signed
    int32_t failed          # sign-ins that were refused
    int32_t first_failed
    int32_t said            # lines that may matter, besides sign-ins
    int8_t begins
    int8_t behind           # the process was between two sessions
    int8_t says             # has a line that may matter
    int8_t unusual          # has a line that sessions with messages usually do not have
    int8_t more             # has a line that sessions in which nothing but sign-ins failed do not have
    int8_t sasl             # has a line that may tell of a failed sign-in
    int8_t odd              # has a line that sessions without a message and without failures do not have


cdef struct Process:
    uint64_t key
    int32_t batch           # in which it was last seen
    int32_t run             # of that batch
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


cdef class Processes:
    cdef Process *places
    cdef int32_t count
    cdef int32_t batch
    cdef bint all_known     # whether all processes that have logged are here

    cpdef void forget(self) noexcept
    cpdef void reopen(self, int32_t group, uint64_t pid) noexcept
    cdef void clear(self) noexcept nogil
    cdef void begin(self) noexcept nogil
    cdef Process *of(self, uint64_t key) noexcept nogil


cdef class Runs(LogLines):
    cdef Processes _processes
    cdef Run *_runs
    cdef int32_t _run_count
    cdef int32_t _run_room
    cdef Mail *_mails
    cdef int32_t _mail_slots
    cdef int32_t _mail_room         # of slots
    cdef Buffer _clients            # lines that say CLIENT or SIGNED, int32_t
    cdef bint _too_many             # processes
    cdef readonly bint filtered     # a before-queue filter shows in the batch

    cdef int _begin(self, Process *process, Line *line, int32_t number) except -1 nogil
    cdef void _add(self, Run *run, Process *process, Line *line, int32_t number) noexcept nogil
    cdef void _say(self, Line *line) noexcept nogil
    cdef void _find_id(self, Line *line) noexcept nogil
    cdef int _collect(self, pending) except -1
    cdef Mail *_mail(self, uint64_t key) noexcept nogil
    cdef Mail *_new_mail(self, uint64_t key) noexcept nogil
    cdef void _tell(self, Run *run, Line *line, int32_t number, const uint8_t *shown) noexcept nogil
    cdef void _queue_line(self, Line *line, int32_t number, bint filtered) noexcept nogil
    cdef bint _complete(self, Run *run) noexcept nogil
    cdef int32_t _decide(self, const uint8_t *shown, bint filtered) noexcept nogil
    cdef int32_t _pass_over(self) noexcept nogil
