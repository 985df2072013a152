# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
A batch of log lines, looked at as bytes, by compiled code: where each begins, its stamp, what wrote it, and its text.

    class Scan(LogLines): ...               a source's own scan, which decides what becomes of the lines
    self._read(batch)                       False: the batch has shapes that are not plain
    self._lines[number]                     see log_lines.pxd
    scan.kept()                             the lines that are marked to be kept, in their order

How lines begin is learned from the log: `learn` is asked about the first line behind each new beginning, and answers what
wrote it. All other lines that begin so are never made into objects.

    learn(line) -> (
        length of the stamp, what stands from there to pid or text, whether that is a pid, kind, group, instance, host,
        what a text begins with that is to be read whatever the kind, "" where none is
    )
                   STRANGE, where this line is to be read as it stands
                   ODD, where the whole batch is to be read line by line

The cuts are those of `Envelope.split`. What is looked at ends where the line ends.

What goes wrong
    Nothing. Lines that are not plain are left for others to read.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from smtp_auth_report.sources.log_bytes cimport begins, digit, hashed
from smtp_auth_report.sources.text_codes cimport append

cdef enum:
    LONGEST_LINE = 8192     # of the envelope and the message
    LONGEST_PREFIX = 300
    PREFIXES = 4096
    MANY = 1000             # strange lines, before a batch may be given up in its midst


def line_feeds(content):
    """How many bytes of a batch end a line."""
    cdef Py_buffer held
    cdef const char *at
    cdef Py_ssize_t place, left, some
    cdef int64_t found = 0
    cdef uint8_t of_some            # so small that many are added at once
    PyObject_GetBuffer(content, &held, PyBUF_SIMPLE)
    at, left = <const char *>held.buf, held.len
    with nogil:
        while left:
            some, of_some = min(left, 240), 0
            for place in range(some):
                of_some += at[place] == 10
            found += of_some
            at += some
            left -= some
    PyBuffer_Release(&held)
    return found


cdef class LogLines:
    """The lines of one batch; how lines begin is remembered from one batch to the next."""

    def __cinit__(self, learn, *_):
        self._learn = learn
        self._prefix_bytes = b""
        self._prefixes = <Prefix *>PyMem_Malloc(PREFIXES * sizeof(Prefix))
        self._prefix_places = <int32_t *>PyMem_Malloc(2 * PREFIXES * sizeof(int32_t))
        if not self._prefixes or not self._prefix_places:
            raise MemoryError
        memset(self._prefix_places, 0xFF, 2 * PREFIXES * sizeof(int32_t))
        memset(self._recent, 0xFF, RECENT * sizeof(int32_t))

    def __dealloc__(self):
        PyMem_Free(self._prefixes)
        PyMem_Free(self._prefix_places)
        PyMem_RawFree(self._lines)
        PyMem_RawFree(self._minutes.bytes)
        PyBuffer_Release(&self._content)

    cdef bint _read(self, content) except -1:
        """
        Find the lines of a batch that ends with a line feed, and what wrote them; False where they are not plain. What
        holds the batch is not to change before the next is read.
        """
        cdef int32_t strange = 0
        cdef int found
        cdef Py_ssize_t size
        PyBuffer_Release(&self._content)
        PyObject_GetBuffer(content, &self._content, PyBUF_SIMPLE)
        self._bytes = <const char *>self._content.buf
        size = self._content.len
        if not size or size >= 1 << 30 or self._bytes[size - 1] != 10:
            return False
        self.total, self._done = 0, 0
        self._minutes.size, self._minute_count, self._stamped, self._plain_stamps = 0, 0, NOWHERE, True
        while True:
            with nogil:
                found = self._go_on(size)
            if found == STRANGE:
                found = self._meet(self.total)
            elif found != ODD:
                break
            if found == ODD:
                return False
            if found == STRANGE:
                with nogil:
                    self._settle(&self._lines[self.total])
                strange += 1
                if strange > MANY and strange > self.total // 4:
                    return False
        return strange <= self.total // 4

    cdef int _go_on(self, Py_ssize_t size) except -3 nogil:
        """Go on up to a line whose prefix is not known (STRANGE) or that is too long (ODD); 0 at the end."""
        cdef const char *at = self._bytes + self._done
        cdef const char *stop = self._bytes + size
        cdef const char *end
        cdef Line *line
        while at < stop:
            end = <const char *>memchr(at, 10, stop - at)
            if end - at > LONGEST_LINE:
                return ODD
            if self.total == self._room:
                self._room = max(4096, 2 * self._room)
                self._lines = <Line *>PyMem_RawRealloc(self._lines, self._room * sizeof(Line))
                if not self._lines:
                    self._room = 0
                    with gil:
                        raise MemoryError
            line = &self._lines[self.total]
            line[0] = Line(0, <int32_t>(at - self._bytes), <int32_t>(end - self._bytes), 0, 0, 0, 0, NOWHERE, NOWHERE, 0, NOWHERE, 0, KEPT, 0, 0, 0, 0)
            if not self._split(line):
                return STRANGE
            self._settle(line)
            at = end + 1
        return 0

    cdef int _settle(self, Line *line) except -1 nogil:
        """The next line is known as far as it can be: see what it is to the one before."""
        cdef Line *before = line - 1 if self.total else NULL
        if line.prefix != NOWHERE and self._plain_stamps:
            self._find_minute(line)
        line.bound = line.kind == KEPT or before == NULL or memcmp(self._bytes + line.start, self._bytes + before.start, 3) != 0
        line.keep = line.bound
        if before != NULL and (line.prefix == NOWHERE or self._looks_back(line)):
            before.bound = before.keep = True
        self._note(line, self.total)
        self.total += 1
        self._done = line.end + 1
        return 0

    cdef int _note(self, Line *line, int32_t number) except -1 nogil:
        """For a source to note what it needs; lines come in their order."""
        return 0

    cdef bint _split(self, Line *line) noexcept nogil:
        """Cut the envelope from a line; False where it is strange or not known yet. The cuts are those of `Envelope.split`."""
        cdef const char *begin = self._bytes + line.start
        cdef const char *end = self._bytes + line.end
        cdef const char *at
        cdef const char *stop
        cdef Prefix *prefix
        if end - begin < 18:
            return False
        if begin[9] == 58 and begin[12] == 58 and begin[15] == 32:
            line.blank = 15
        elif begin[10] == 84 and begin[4] == 45:
            at = <const char *>memchr(begin + 19, 32, min(end - begin, 40) - 19) if end - begin > 19 else NULL
            if at == NULL:
                return False
            line.blank = <int16_t>(at - begin)
        else:
            return False
        at = begin + line.blank + 1
        line.prefix = <int16_t>self._met(at, end, line.blank)
        if line.prefix == NOWHERE:
            return False
        prefix = &self._prefixes[line.prefix]
        stop = at + prefix.size
        line.raw = <int32_t>(stop - self._bytes) - 2
        if prefix.pid:
            at = stop
            line.key = 1   # so that 07 is not 7
            while stop < end and digit(stop[0]) and stop - at < 10:
                line.key = line.key * 10 + <uint64_t>(stop[0] - 48)
                stop += 1
            if stop == at or not begins(stop, end, "]: ", 3):
                line.prefix = NOWHERE
                return False
            line.raw = <int32_t>(stop - self._bytes)
            stop += 3
        line.text = <int32_t>(stop - self._bytes)
        line.kind = KEPT if prefix.first_size and begins(stop, end, prefix.first, prefix.first_size) else prefix.kind
        return True

    cdef int32_t _met(self, const char *at, const char *end, int32_t blank) noexcept nogil:
        """Place of the prefix that a line has behind its stamp; most have that of a line shortly before."""
        cdef const char *stop = at
        cdef Prefix *prefix
        cdef int32_t place, found
        cdef uint64_t ending
        for place in range(RECENT):
            found = self._recent[place]
            prefix = &self._prefixes[found]
            if found == NOWHERE or prefix.blank != blank or end - at < prefix.size:
                continue
            if prefix.size >= 8:
                memcpy(&ending, at + prefix.size - 8, 8)
                if ending != prefix.ending:
                    continue
            if memcmp(at, self._known_bytes + prefix.offset, prefix.size) == 0:
                if place:
                    self._recent[place], self._recent[place - 1] = self._recent[place - 1], found
                return found
        while stop < end and stop[0] != 91 and not (stop[0] == 58 and stop + 1 < end and stop[1] == 32):
            stop += 1
        if stop == end or stop - at > LONGEST_PREFIX:
            return NOWHERE
        found = self._known(at, <int32_t>(stop - at) + (1 if stop[0] == 91 else 2), blank)
        if found != NOWHERE:
            self._recent[RECENT - 1] = found
        return found

    cdef int32_t _known(self, const char *at, int32_t size, int32_t blank) noexcept nogil:
        """Place of a prefix among all."""
        cdef Prefix *prefix
        cdef const char *known = self._known_bytes
        cdef uint64_t value = hashed(at, size) ^ <uint64_t>blank
        cdef int32_t slot = <int32_t>(value & (2 * PREFIXES - 1))
        while self._prefix_places[slot] != NOWHERE:
            prefix = &self._prefixes[self._prefix_places[slot]]
            if prefix.hash == value and prefix.blank == blank and prefix.size == size:
                if memcmp(known + prefix.offset, at, size) == 0:
                    return self._prefix_places[slot]
            slot = (slot + 1) & (2 * PREFIXES - 1)
        return NOWHERE

    cdef int32_t _meet(self, int32_t number) except -3:
        """Learn the prefix of a line: then it is found; or the line is strange, or the batch is odd."""
        cdef Line *line = &self._lines[number]
        cdef bytes text = self._cut(line.start, line.end)
        cdef Prefix *prefix
        cdef int32_t slot
        found = self._learn(text)
        if found == STRANGE or found == ODD:
            line.text = 0
            line.prefix = NOWHERE
            line.kind = KEPT
            return found
        if self._prefix_count == PREFIXES:
            return ODD
        blank, learned, pid, kind, group, instance, host, first = found
        prefix = &self._prefixes[self._prefix_count]
        prefix.offset = PyBytes_GET_SIZE(self._prefix_bytes)
        prefix.size = len(learned)
        prefix.blank = blank
        prefix.pid = pid
        prefix.kind, prefix.group, prefix.instance, prefix.host = kind, group, instance, host
        prefix.first_size = min(len(first), sizeof(prefix.first))
        memcpy(prefix.first, PyBytes_AS_STRING(first), prefix.first_size)
        if prefix.size >= 8:
            memcpy(&prefix.ending, PyBytes_AS_STRING(learned) + prefix.size - 8, 8)
        prefix.hash = hashed(PyBytes_AS_STRING(learned), prefix.size) ^ <uint64_t>prefix.blank
        self._prefix_bytes += learned
        self._known_bytes = PyBytes_AS_STRING(self._prefix_bytes)
        slot = <int32_t>(prefix.hash & (2 * PREFIXES - 1))
        while self._prefix_places[slot] != NOWHERE:
            slot = (slot + 1) & (2 * PREFIXES - 1)
        self._prefix_places[slot] = self._prefix_count
        self._prefix_count += 1
        return 0

    cdef int _find_minute(self, Line *line) except -1 nogil:
        """Lines of one minute have stamps that differ in their seconds only, and many of them not even there."""
        cdef Line *before = &self._lines[self._stamped]
        cdef const char *one = self._bytes + line.start
        if self._stamped != NOWHERE and line.blank == 15 and before.blank == 15 and memcmp(one, self._bytes + before.start, 15) == 0:
            line.minute, line.micros = before.minute, before.micros
        elif not self._seconds(line):
            self._plain_stamps = False
        elif self._stamped != NOWHERE and self._same_minute(line, before):
            line.minute = before.minute
        else:
            line.minute = self._minute_count
            self._minute_count += 1
            append(&self._minutes, &self.total, sizeof(int32_t))
        self._stamped = self.total
        return 0

    cdef bint _seconds(self, Line *line) noexcept nogil:
        cdef const char *at = self._bytes + line.start
        cdef const char *blank = at + line.blank
        cdef int32_t place, part = 0
        at += 13 if line.blank == 15 else 17
        if not (48 <= at[0] <= 53 and digit(at[1])):
            return False
        line.micros = ((at[0] - 48) * 10 + at[1] - 48) * 1000000
        at += 2
        if line.blank > 15 and at < blank and at[0] == 46:
            if blank - at < 7 or (blank - at > 7 and digit(at[7])):
                return False
            for place in range(1, 7):
                if not digit(at[place]):
                    return False
                part = part * 10 + at[place] - 48
            line.micros += part
        return True

    cdef bint _same_minute(self, Line *line, Line *before) noexcept nogil:
        cdef const char *one = self._bytes + line.start
        cdef const char *other = self._bytes + before.start
        cdef int32_t rest
        if line.blank != before.blank:
            return False
        if line.blank == 15:
            return memcmp(one, other, 13) == 0
        rest = 26 if one[19] == 46 else 19
        return memcmp(one, other, 17) == 0 and one[19] == other[19] and memcmp(one + rest, other + rest, line.blank - rest) == 0

    def minutes(self):
        """The stamps of all minutes, at their beginning; None where stamps are not plain."""
        cdef Line *line
        cdef int32_t number, rest
        cdef list found = []
        if not self._plain_stamps:
            return None
        for number in range(self._minute_count):
            line = &self._lines[(<int32_t *>self._minutes.bytes)[number]]
            stamp = self._cut(line.start, line.start + line.blank)
            if line.blank == 15:
                found.append(stamp[:13] + b"00")
            else:
                rest = 26 if stamp[19] == 46 else 19
                found.append(stamp[:17] + b"00" + stamp[rest:])
        return found

    def ends(self):
        """Stamps of the first and the last line."""
        cdef Line *first = &self._lines[0]
        cdef Line *last = &self._lines[self.total - 1]
        if first.prefix == NOWHERE or last.prefix == NOWHERE:
            return None
        return self._cut(first.start, first.start + first.blank), self._cut(last.start, last.start + last.blank)

    cdef bint _looks_back(self, Line *line) noexcept nogil:
        """Whether it is the line before that counts: syslogd: last message repeated 3 times"""
        cdef const char *at = self._bytes + line.text
        cdef const char *end = self._bytes + line.end
        return begins(at, end, "last", 4) or begins(at, end, "[ID ", 4)

    # What is left

    def kept(self):
        """What is left, in its order: each line in its parts, or as it stands."""
        cdef int32_t number
        cdef Line *line
        cdef list found = []
        for number in range(self.total):
            line = &self._lines[number]
            if not line.keep:
                continue
            if line.text == 0:
                found.append(self._cut(line.start, line.end))
                continue
            found.append((
                self._cut(line.start, line.start + line.blank),
                self._cut(line.start + line.blank + 1, line.raw),
                self._cut(line.text, line.end),
            ))
        return found

    def last(self, int32_t number):
        """The last lines as they stand."""
        cdef int32_t first = max(0, self.total - number)
        return [self._cut(self._lines[place].start, self._lines[place].end) for place in range(first, self.total)]

    cdef bytes _cut(self, int32_t start, int32_t end):
        return PyBytes_FromStringAndSize(self._bytes + start, end - start)
