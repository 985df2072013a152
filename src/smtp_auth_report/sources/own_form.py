"""
Sources whose servers write files in a form of their own, which may reach a syslog or a container's log as well.

    class ChasquidSource(OwnFormSource):
        name, title, reasons, worth = …         as for every SessionSource
        form = re.compile(…)                    a line of the server's own form: `stamp`, which may be missing, and `text`
        sure = re.compile(…)                    texts that no other program writes
        def line(self, line): …

    session = self.connection(line, "192.0.2.10:40581")     what an address and port are used for now
    self.refuse(session, line, sender, reason)              a transaction that the server refused, as far as is known
    self.take(session, line, queue_id, sender)              one that it accepted, refused recipients or not

A line has the time of its own stamp where that states the zone. Else it has the time of the container's line or the
syslog's that wraps it, else of its own stamp, read in the administrator's zone.

What goes wrong
    A line without any stamp cannot be dated. It is Unread if it could have mattered.

See also
    log_reader.py for how lines come here, joining.py for sessions
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from smtp_auth_report.moments import HOUR
from smtp_auth_report.sources.envelope import ANSI, LONGEST, Parts
from smtp_auth_report.sources.joining import Line, Message, Session, SessionSource
from smtp_auth_report.submission import Outcome
from smtp_auth_report.words import marked

UNDATED = marked("line without a time: read the container's log with its time stamps")
SIGNS = (b"+", b"-")  # of the offset that may end a stamp: +01:00


class OwnFormSource(SessionSource):
    """Joins the lines of one log, whatever it is packed in."""

    form: ClassVar[re.Pattern[bytes]]
    sure: ClassVar[re.Pattern[bytes]]
    quiet: ClassVar[int] = HOUR
    """Microseconds after which a connection that nothing is heard of is over."""

    @classmethod
    def forms(cls, lines: Sequence[bytes], /) -> bool:
        """Whether most of these lines have this form, and one of them could be no other program's."""
        texts = [found["text"] for line in lines if (found := cls.form.match(_plain(line)))]
        return 2 * len(texts) > len(lines) and any(map(cls.sure.match, texts))

    @staticmethod
    def stamp(written: bytes) -> bytes:
        """A stamp of the server's own as stamps.py reads it."""
        return written

    def settle(self, sample: list[bytes], first: list[bytes]) -> int:
        """Its stamps leave nothing out but the zone; the time of the first."""
        found = (self.form.match(_plain(line)) for line in (*first, *sample))
        stamps = (self.stamp(parts["stamp"]) for parts in found if parts and parts["stamp"])
        return next((time for stamp in stamps if (time := self.log.clock.at(stamp))), 0)

    def feed(self, batch: bytes) -> None:
        """Read whole lines of a file."""
        self.unwrapped([(b"", line) for line in self.lines(batch)])

    def lines(self, batch: bytes) -> list[bytes]:
        """A batch's lines."""
        return batch.split(b"\n")

    def unwrapped(self, lines: Sequence[tuple[bytes, bytes]]) -> None:
        """Read lines of a file, or those that a container's log wraps, with its stamps."""
        search, match = self.worth.search, self.form.match
        host = self.log.options.server
        self.recognised += len(lines)
        for stamp, line in lines:
            if not search(line):
                continue
            if len(line) > LONGEST:
                self.log.unread(self.name, host, self.log.latest(), "line longer than 64 KiB", b"")
                continue
            found = match(_plain(line))
            if found:
                self._read_own(host, stamp, found)
        self._pass(lines, host)

    def _pass(self, lines: Sequence[tuple[bytes, bytes]], host: str) -> None:
        """Time has come as far as the last line that tells it, though it be about nothing."""
        for stamp, line in reversed(lines):
            found = self.form.match(_plain(line[:LONGEST]))
            told = _time_of(stamp, self.stamp(found["stamp"] or b"") if found else b"")
            if told and self.log.clock.at(told) is not None:
                self.host(host, self.log.time(host, told))
                return

    def _line(self, parts: Parts) -> Line:
        """A line of a syslog, which may have a stamp of its server's own besides."""
        line = super()._line(parts)
        found = self.form.match(_plain(line.text))
        if found is None:
            return line
        told = _time_of(line.stamp, self.stamp(found["stamp"] or b""))
        return line._replace(text=found["text"].rstrip(), stamp=told, time=self.log.time(line.host, told))

    def _read_own(self, host: str, stamp: bytes, found: re.Match[bytes]) -> None:
        told = _time_of(stamp, self.stamp(found["stamp"] or b""))
        if not told:
            self.log.unread(self.name, host, self.log.latest(), UNDATED, found["text"])
            return
        self.line(Line(host, "", "", self.log.time(host, told), found["text"].rstrip(), told))

    # Sessions that are told by address and port

    def connection(self, line: Line, key: str) -> Session:
        """The session of this key; where it was quiet for long, another connection has got the key since."""
        before = self.open_session(line, key)
        if before is not None and line.time - before.last > self.quiet:
            self.end(before)
        return self.session(line, key)

    def sweep(self, now: int) -> None:
        """Give up sessions that nothing was heard of for longer than a client may keep silent."""
        for session in [session for session in self.sessions.values() if session.last < now - self.quiet]:
            self.end(session)

    # Transactions that are told by their sender, or by where they begin

    def open_transaction(self, session: Session) -> None:
        """What follows is another transaction than what went before, though its sender be the same."""
        session.notes["first"] = len(session.messages)

    def refuse(self, session: Session, line: Line, sender: str | None, reason: str) -> None:
        """One row for each transaction, however many of its recipients were refused."""
        message = self._refused(session, sender)
        if message is None:
            message = self.message(session, line, None)
            message.sender = sender
        self.decide(session, message, Outcome.REJECTED, line.time, reason)

    def take(self, session: Session, line: Line, queue_id: str, sender: str | None) -> Message:
        """The message that a transaction brought; that recipients of it were refused is no row."""
        refused = self._refused(session, sender)
        if refused is not None:
            self.withdraw(session, refused)
        message = self.message(session, line, queue_id)
        message.sender = sender
        return message

    def settle_refusals(self, session: Session) -> None:
        """Transactions up to here are over: those with a refusal, of which nothing was accepted, are rows."""
        for message in session.messages:
            if message.reason and not message.outcome:
                self.decide(session, message, Outcome.REJECTED, message.time, message.reason)

    def end(self, session: Session) -> None:
        """The connection is over, and its last transaction with it."""
        self.settle_refusals(session)
        super().end(session)

    @staticmethod
    def _refused(session: Session, sender: str | None) -> Message | None:
        last = session.messages[-1] if len(session.messages) > session.notes.get("first", 0) else None
        return last if last and last.outcome == Outcome.REJECTED and last.sender == sender else None


def _plain(line: bytes) -> bytes:
    """Without the colours that a server writes for a terminal; those in what a client wrote stay."""
    return ANSI.sub(b"", line) if line.startswith(b"\x1b[") else line


def _time_of(wrapped: bytes, own: bytes) -> bytes:
    """The stamp that counts."""
    zoned = own[-1:] == b"Z" or own[-6:-5] in SIGNS
    return own if zoned or not wrapped else wrapped
