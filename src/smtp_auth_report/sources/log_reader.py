"""
One log on its way through the sources.

    reader = LogReader(SOURCES, options)
    reader.settle(sample, start)                    its form; year and zone of its stamps, from its own evidence
    reader.resume(lines, remembered, …)             where reading goes on behind these
    reader.recall(remembered)                       sessions that an older file left open
    looked = reader.look(batch)                     what can be told of a batch by itself, ahead of reading
    changes = reader.feed(batch, looked)            whole lines, as many as there are; they need not have been looked at
    changes = reader.feed(tail, last=True)          what stands behind the last of them
    changes = reader.finish()                       at the end of the file
    remembered = reader.remember()

A log that is not made of lines is cut into them first (framing.py).

A file in a form of one server's own goes to that source as it is; where a container's log wraps its lines, they go there
unwrapped, with the container's stamps. Of a syslog each line goes to the source whose program wrote it, by its tag; so
servers may share a log, and so may hosts. What no server's program wrote goes to none, except what the logging daemons
themselves say: that a line was repeated, that lines were dropped.

Lines of most logs are Postfix's. Its source looks at whole batches by compiled code and leaves few of them to be read.

What goes wrong
    A line longer than 8 KiB is Unread. A line of no known shape is Unread if it looks like a sign-in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, cast

from smtp_auth_report.changes import Changes, Remembered
from smtp_auth_report.framing import Cutter, cutter_of
from smtp_auth_report.moments import HOUR
from smtp_auth_report.sources.envelope import LONGEST, LONGEST_MESSAGE, Envelope, Origin, Parts, origin
from smtp_auth_report.sources.interface import Batch, Options, Source
from smtp_auth_report.sources.logbook import Logbook
from smtp_auth_report.sources.postfix import PostfixSource
from smtp_auth_report.sources.stamps import exim_id_time, queue_id_time

try:
    from smtp_auth_report.sources.log_lines import line_feeds
except ImportError:  # installed without a compiler

    def line_feeds(content: Batch, /) -> int:
        """How many bytes of a batch end a line."""
        return bytes(content).count(b"\n")


NOT_LOOKED = object()
"""Instead of what `look` gives: nobody has looked at these lines yet."""

FIRST_LINES = 50
ORIGINS = 200_000

# Nov 23 16:06:09 mail last message repeated 3 times
LAST_REPEATED = re.compile(rb"(?:<\d+>)?(?:[A-Z][a-z]{2} +\d+ [\d:.]+|\d{4}-\d\d-\S+) \S+ last message repeated (\d{1,6}) times?\s*$")
# Nov 23 16:06:09 mail syslogd: last message repeated 3 times
SAYS_REPEATED = re.compile(rb"last message repeated (\d{1,6}) times?\s*$")
# imuxsock lost 120 messages from pid 81 due to rate-limiting
# imuxsock[pid 81]: begin to drop messages due to rate-limiting
# Suppressed 120 messages from postfix@-.service
LOST = re.compile(
    rb"imuxsock.* lost (\d{1,12}) messages from pid \d+ due to rate-limiting|Suppressed (\d{1,12}) messages from |"
    rb"imuxsock.*begin to drop messages due to rate-limiting"
)
# Nov 23 16:06:06 mail postfix/smtpd[643]: 4fXyzb3nQkz1J0N: client=…
# Nov 23 16:06:06 mail exim[643]: 1xVWeV-0001UG-2n <= …
QUEUED = re.compile(
    rb"(?P<postfix>[0-9A-Za-z]{10}z[0-9A-Za-z]+): client="
    rb"|(?:\d{4}-\d\d-\d\d [\d:.]+ )?(?:[+-]\d{4} )?(?:\[\d+\] )?(?P<exim>[0-9A-Za-z]{6})-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4} <= "
)
TELLING = re.compile(rb"^[^\n]{10,200}: [^\n]{11,70}?(?:: client=| <= )", re.MULTILINE)
SIGN_IN = re.compile(rb"sasl_username=|: SASL .*authentication failed|AUTH=server|AUTH failure|submission-login: ")


class _Looked(NamedTuple):
    """What was told ahead of a batch in a form of its own."""

    lines: int
    seen: object


class LogReader:
    """Reads one log, by those of the sources that it turns out to be of."""

    def __init__(self, kinds: Sequence[type[Source]], options: Options) -> None:
        self.log = Logbook(options)
        self.sources = [kind(self.log) for kind in kinds]
        self._sifting = next((source for source in self.sources if isinstance(source, PostfixSource)), None)
        self._form: Source | None = None  # whose files alone have this form
        self._formed = False  # its form is known, or it has none
        self._cutter: Cutter | None = None  # of what is not made of lines
        self._begun = False  # whether it is was asked
        self._wrapped = False  # a container's log wraps the lines of that form
        self._envelope = Envelope()
        self._owners: dict[bytes, Source | None] = {}  # by how the envelope writes the origin
        self._turn: Source | None = None  # whose lines wait to be read
        self._waiting: list[Parts] = []
        self._previous: Parts | None = None  # the line before
        self._month = b""  # first letters of its stamp: every month is told to the clock, so that no year is missed
        self._swept = 0

    @property
    def year(self) -> int:
        """Year of the next stamp that lacks one, to go on with later."""
        return self.log.clock.year

    @property
    def year_evidence(self) -> str:
        """Year of stamps that have none, and what told it; "" where the log or the administrator states it."""
        return self.log.clock.year_evidence

    @property
    def recognised(self) -> list[Source]:
        """Sources that lines of this log are of."""
        return [source for source in self.sources if source.recognised]

    def settle(self, sample: list[bytes], start: bytes, head: bytes = b"") -> int:
        """
        Fix the form of the log, and what its stamps leave out, from lines all over it and its first block; returns the time
        of its first line, or 0. A queue id of Exim, or a long one of Postfix, tells year and zone, else the sample does. Where
        reading goes on in the midst of a file, `head` is how that begins.
        """
        self._begin(head or start)
        cutter = cutter_of(head or start)
        first = cutter.cut(start[:LONGEST]) if cutter else start[:LONGEST].split(b"\n")
        form = first if start.startswith(head) else head.split(b"\n")[:-1] + first
        self._find_form(form)
        if self._form is not None:
            if self._wrapped:
                return self._settle_wrapped(self._form, sample, form)
            return self._form.settle(sample, form)
        clock, split = self.log.clock, Envelope().split
        clock.settle(sample, self.log.options.reference or self.log.options.now)
        for found in TELLING.finditer(b"\n".join(first) if cutter else start):
            parts = split(found[0])
            queued = QUEUED.match(parts[2]) if parts else None
            if parts and queued:
                clock.evidence(parts[0], exim_id_time(queued["exim"]) if queued["exim"] else queue_id_time(queued["postfix"]))
                break
        known = next((parts for parts in map(split, [*first, *sample]) if parts), None)
        return (clock.at(known[0]) or 0) if known else 0

    def _settle_wrapped(self, form: Source, sample: list[bytes], first: list[bytes]) -> int:
        inside = [found for found in map(Envelope().inside, [*first, *sample]) if found]
        begins = form.settle([text for _, text in inside], [])
        return begins or next((self.log.clock.at(stamp) or 0 for stamp, _ in inside if stamp), 0)

    def _begin(self, beginning: bytes) -> None:
        """What a cutter cuts can only be a syslog."""
        self._begun = True
        self._cutter = cutter_of(beginning)
        self._formed = self._cutter is not None

    def _find_form(self, first: list[bytes]) -> None:
        """Asked of every batch until lines of a server are known: a log may begin with what its server says of itself."""
        if self._cutter is not None:
            return
        lines = [line for line in first if line.strip()]
        self._form = self._form_of(lines)
        if self._form is None and not any(map(self._owned, lines)):
            self._form = self._form_of([found[1] for found in map(Envelope().inside, lines) if found])
            self._wrapped = self._form is not None
        self._formed = self._form is not None or bool(self.recognised)

    def _owned(self, line: bytes) -> bool:
        parts = Envelope().split(line)
        return parts is not None and self._owner(parts[1]) is not None

    def _form_of(self, lines: list[bytes]) -> Source | None:
        return next((source for source in self.sources if source.forms(lines)), None) if lines else None

    @property
    def refusal(self) -> str:
        """What is wrong with a log that is of a known server and none that can be read; "" where nothing is."""
        return self._form.refusal if self._form is not None else ""

    @property
    def offset(self) -> int | None:
        """What queue ids have told of the zone, to go on with later; see `resume`."""
        return self.log.clock.offset

    def resume(self, before: bytes, remembered: Collection[Remembered], offset: int | None, *, year_found: bool) -> None:
        """
        Go on just behind lines that were read, as many as are known; these sessions were open there, and will be recalled
        whatever the stamps say.
        """
        self.log.resumed = remembered
        newest = max((entry.newest for entry in remembered), default=0)
        lines = self._cutter.behind(before) if self._cutter is not None else before.split(b"\n")[:-1]
        if self._form is not None:
            self._form.behind([found[1] for found in map(Envelope().inside, lines) if found] if self._wrapped else lines)
        parts = self._envelope.split(lines[-1]) if lines else None
        self.log.clock.resume(parts[0] if parts else b"", newest, offset, year_found=year_found)
        if parts and self._owner(parts[1]) is not None:
            self._previous, self._month = parts, parts[0][:3]

    def recall(self, remembered: Iterable[Remembered]) -> None:
        """Take over the sessions that earlier files left open, of all sources."""
        entries = list(remembered)
        for source in self.sources:
            source.recall(entry for entry in entries if entry.source == source.name)

    @property
    def sifts(self) -> bool:
        """Whether `look` looks at bytes, whatever object has them."""
        if self._form is not None:
            return self._form.views and not self._wrapped
        return self._sifting is not None and self._cutter is None

    def look(self, batch: Batch) -> object:
        """
        Look at whole lines before they are read. It may be done in another thread, batch by batch in their order, while the
        batch before is read; what comes of it goes to `feed` with the batch.
        """
        if self._form is not None:
            return None if self._wrapped else _Looked(_lines(batch), self._form.look_ahead(batch if self._form.views else bytes(batch)))
        if self._sifting is None or self._cutter is not None:
            return None
        return self._sifting.look(batch, self._owned_elsewhere)

    @property
    def holds(self) -> bool:
        """Whether it may keep back an entry until it is told that the log has ended."""
        return self._cutter is not None

    def feed(self, batch: Batch, looked: object = NOT_LOOKED, *, last: bool = False) -> Changes:
        """Read whole lines; or the last of the log, which may have no end."""
        changes = self.log.changes = Changes()
        about = self.log.about
        if not self._begun:
            self._begin(bytes(batch))
        if not self._formed:
            self._find_form(bytes(batch[:LONGEST]).split(b"\n"))
        if self._form is not None:
            before = looked if isinstance(looked, _Looked) else _Looked(_lines(batch), NOT_LOOKED)
            changes.lines = before.lines
            if self._wrapped:
                self._form.unwrapped([found for found in map(self._envelope.inside, bytes(batch).split(b"\n")) if found])
            else:
                self._form.feed_seen(batch, before.seen)
        else:
            self._read_syslog(batch, self.look(batch) if looked is NOT_LOOKED else looked, last=last)
        changes.newest |= {host: max(time, changes.newest.get(host, 0)) for host, time in self.log.newest.items()}
        changes.other = changes.lines - (self.log.about - about) - len(changes.unread)
        latest = max(changes.newest.values(), default=0)
        if latest - self._swept > HOUR:
            self._swept = latest
            for source in self.sources:
                source.sweep(latest)
        return changes

    def finish(self) -> Changes:
        """Give the rows of sessions that have not ended; what may still follow keeps them open."""
        changes = self.log.changes = Changes()
        for source in self.sources:
            source.finish()
        return changes

    def remember(self) -> list[Remembered]:
        """What the next file needs to know, of the servers that this one is of."""
        return [entry for source in self.recognised for entry in source.remember()]

    # A syslog

    def _read_syslog(self, batch: Batch, looked: object, *, last: bool) -> None:
        sifted = self._sifting.sift(looked) if self._sifting is not None and looked is not None else None
        lines: Sequence[bytes | Parts]
        if sifted is not None:
            self.log.changes.lines = sifted.total
            lines, end = sifted.lines, sifted.end
        else:
            whole = bytes(batch)
            lines = found = self._cut(self._cutter, whole, last=last) if self._cutter is not None else self._split(whole)
            self.log.changes.lines += len(found)
            if found and len(max(found, key=len)) > LONGEST_MESSAGE:
                lines = self._without_long(found)
            end = list(lines[-FIRST_LINES:])
        if self._all_of_postfix(lines):
            assert self._sifting is not None
            self._sifting.read(cast("Sequence[Parts]", lines))
        else:
            self._hand_out(lines)
        self._end_of_batch(end)
        if len(self._owners) > ORIGINS:
            self._owners.clear()

    @staticmethod
    def _split(batch: bytes) -> list[bytes]:
        found = batch.split(b"\n")
        if found[-1] == b"":
            found.pop()
        return found

    def _cut(self, cutter: Cutter, batch: bytes, *, last: bool) -> list[bytes]:
        before = cutter.damaged
        found = cutter.cut(batch, last=last)
        self.log.changes.lines = damaged = cutter.damaged - before
        for _ in range(damaged):
            self._unread(cutter.trouble, b"")
        return found

    def _without_long(self, found: list[bytes]) -> list[bytes]:
        """Lines that fit: containers may pack much around a message, and may split it."""
        kept = []
        for line in found:
            parts = Envelope().split(line) if LONGEST_MESSAGE < len(line) <= LONGEST else None
            if len(line) <= LONGEST and (parts is None or len(parts[2]) <= LONGEST_MESSAGE):
                kept.append(line)
        for _ in range(len(found) - len(kept)):
            self._unread("line longer than 8 KiB", b"")
        return kept

    def _all_of_postfix(self, lines: Sequence[bytes | Parts]) -> bool:
        """Whether lines that were sifted are all in parts, all written by Postfix, and all of one month."""
        if not lines or self._sifting is None or not isinstance(lines[0], tuple) or not isinstance(lines[-1], tuple):
            return not lines
        if not lines[0][0][:3] == lines[-1][0][:3] == self._month:
            return False
        owners, source = self._owners, self._sifting
        return all(isinstance(raw, tuple) and owners.get(raw[0]) is source for raw in {line[1:2] for line in lines})

    def _hand_out(self, lines: Sequence[bytes | Parts]) -> None:
        """Give each line to the source whose program wrote it, all in their order: one server may tell of another's mail."""
        split, owners = self._envelope.split, self._owners
        for line in lines:
            parts = line if isinstance(line, tuple) else split(line)
            if parts is None:
                assert isinstance(line, bytes)
                self._strange(line)
                continue
            stamp, raw, _ = parts
            if stamp[:3] != self._month:
                self._flush()
                self._month = stamp[:3]
                self.log.clock.at(stamp)
            owner = owners[raw] if raw in owners else self._owner(raw)
            if owner is not None:
                if owner is not self._turn:
                    self._flush()
                    self._turn = owner
                self._waiting.append(parts)
            elif self._says(parts):
                continue
            self._previous = parts
        self._flush()

    def _flush(self) -> None:
        """Lines in a row of one source are read at once."""
        if self._turn is not None and self._waiting:
            self._turn.read(self._waiting)
            self._waiting.clear()

    def _owner(self, raw: bytes) -> Source | None:
        if raw not in self._owners:
            where = origin(raw)
            self._owners[raw] = next((source for source in self.sources if where and source.owns(where.tag)), None)
        return self._owners[raw]

    def _owned_elsewhere(self, tag: str) -> bytes | None:
        """With which words lines of a program begin that matter to a server other than Postfix; None where none do."""
        return next((source.begins(tag) for source in self.sources if source is not self._sifting and source.owns(tag)), None)

    def _says(self, parts: Parts) -> bool:
        """What the logging daemons say of lines: that one was repeated (then True), or that some were dropped."""
        stamp, raw, message = parts
        repeated = SAYS_REPEATED.match(message)
        if repeated:
            self._repeat(int(repeated[1]))
            return True
        lost = LOST.match(message)
        if lost:
            number = lost[1] or lost[2]
            self.log.gap(self._host(origin(raw)), self.log.clock.at(stamp) or 0, int(number) if number else None)
        return False

    def _host(self, where: Origin | None) -> str:
        return (where.host if where else None) or self.log.options.server

    def _strange(self, line: bytes) -> None:
        repeated = LAST_REPEATED.match(line)
        if repeated:
            self._repeat(int(repeated[1]))
        elif SIGN_IN.search(line):
            self._unread("stamp, host or program not understood", line)

    def _unread(self, reason: str, line: bytes) -> None:
        before = self.log.clock.at(self._previous[0]) if self._previous else None
        kind = next(iter(self.recognised or self.sources)).name
        self.log.unread(kind, self.log.options.server, before or self.log.latest(), reason, line)

    def _repeat(self, times: int) -> None:
        owner = self._owners.get(self._previous[1]) if self._previous else None
        if owner is not None and self._previous is not None:
            self._flush()
            owner.repeat(self._previous, times)

    def _end_of_batch(self, end: Sequence[bytes | Parts]) -> None:
        """Time has come as far as the last line of a server that is known."""
        split = Envelope().split
        last = (parts for parts in (line if isinstance(line, tuple) else split(line) for line in reversed(end)) if parts)
        for number, (stamp, raw, message) in enumerate(last):
            if not number:
                self._previous = stamp, raw, message
            owner = self._owner(raw)
            if owner is not None:
                host = self._host(origin(raw))
                self.log.time(host, stamp)
                owner.passed(host, stamp)
                return


def _lines(batch: Batch) -> int:
    """Its lines, whether or not the last one has an end."""
    return line_feeds(batch) + (batch[-1:] != b"\n")
