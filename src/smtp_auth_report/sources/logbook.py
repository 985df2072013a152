"""
What the sources of one log share: its clock, what reading it has brought about, how far time has come on each host.

    log = Logbook(options)
    time = log.time("mail", b"Nov 23 16:06:06")      microseconds UTC; the newest of this host where a stamp is unreadable
    log.changes.put(row)
    log.unread("exim", "mail", time, "end of a session not understood", line)

Sources read one and the same log in turns, so time that one of them saw pass has passed for all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from smtp_auth_report.changes import Changes, Gap, Remembered, Unread
from smtp_auth_report.moments import SECOND
from smtp_auth_report.sources.interface import Options
from smtp_auth_report.sources.masking import masked
from smtp_auth_report.sources.stamps import Clock
from smtp_auth_report.submission import Identity

RELAYED = 5_000
STRAGGLER = 2 * SECOND


class Logbook:
    """Of one log, of one or more hosts."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.clock = Clock(options)
        self.changes = Changes()
        self.about = 0  # lines so far that were about submission
        self.newest: dict[str, int] = {}  # host -> time of its newest line that was about submission
        self.resumed: Collection[Remembered] = ()  # sessions that were open at the very place where reading goes on
        self.relayed: dict[bytes, int] = {}  # queue id -> when the server in front heard of it; the newest
        self.vouched: Callable[[int, str | None, str | None, Identity | None], None] = lambda *_: None
        """The server behind tells the one in front: time, account, client, and the message begun; None where it was refused."""

    def time(self, host: str, stamp: bytes) -> int:
        """Time of a line, microseconds UTC."""
        newest = self.newest.get(host, 0)
        time = self.clock.at(stamp)
        if time is None:
            return newest or self.options.now
        self.come_to(host, time)
        return time

    def come_to(self, host: str, time: int) -> None:
        """A line was of this time."""
        if time > self.newest.get(host, 0):
            self.newest[host] = time

    def take_over(self, remembered: Remembered, time: int | None) -> bool:
        """
        Let time go on from sessions that were open, with the first line of their host: always if they were remembered at
        this very place of the log, whatever its clock says; else where that line is not older. Whether they go on.
        """
        if remembered not in self.resumed and (time is None or time < remembered.newest - STRAGGLER):
            return False
        self.newest[remembered.server] = max(remembered.newest, self.newest.get(remembered.server, 0))
        return True

    def latest(self) -> int:
        """Time of the newest line of all hosts."""
        return max(self.newest.values(), default=self.options.now)

    def unread(self, source: str, host: str, time: int, reason: str, line: bytes) -> None:
        """Report a line that looks like a source's own and was not understood; its secrets are masked."""
        self.changes.unread.append(Unread(source, host, reason, time, masked(line)))

    def version(self, source: str, host: str, version: str) -> None:
        """A line tells the version of the server that wrote it: "3.7.11", or "2.4" where no more is known."""
        self.changes.versions[source, host] = version

    def gap(self, host: str, time: int, lost: int | None) -> None:
        """Report lines that the log itself says were dropped."""
        self.changes.gaps.append(Gap(host, time, "rate_limit", lost))

    def relay(self, queue_id: bytes, time: int) -> None:
        """The server in front heard that its message was queued so."""
        self.relayed[queue_id] = time
        if len(self.relayed) > 2 * RELAYED:
            self.relayed = dict(list(self.relayed.items())[RELAYED:])
