"""
Postfix: lines that cannot matter, passed over by the thousand.

    sieve = Sieve(shows_starttls, join, server_of)
    looked = sieve.look(batch)                   None: every line is to be read
    sifted = sieve.sift(looked, pending, filtered)
    sieve.forget()                               other lines were read in between
    sieve.reopen(processes)                      before any line: these may have sessions open from before

A batch may be looked at in another thread, while the one before it is sifted, but not the one after that.

Most lines of a busy server are about inbound mail and delivery. They are told by the bytes behind their stamp, by
compiled code over a whole batch (log_lines.pyx, postfix_runs.pyx), and are never made into objects:

    mail postfix/smtp[989]: …                   a daemon that takes no mail
    mail postfix/qmgr[875]: A32F722C101: …      a queue id under which no signed-in client sent
    mail postfix/smtpd[1053]: connect … disconnect     a whole session without a sign-in, or an attempt at one

Of what is left most are whole sessions that went as most do. Those are read at once where all about them is as usual
(postfix_whole.py). Only the lines of the others, and all that is out of the ordinary, are read one by one.

What is passed over would have changed nothing: the rows, and what is remembered, are those of reading every line. That
holds for any bytes, so only lines of a shape that was learned from the log itself are passed over, and only sessions
seen from end to end, of a process of which it is known that it was between two: behind another such end, or where all
lines were looked at from the first.

What goes wrong
    Nothing. Where lines do not have the plain shapes, or a batch is odd in another way, `look` gives None; and always
    where the package was installed without a compiler, so that there is no postfix_scan.

See also
    postfix_whole.py for whole sessions; postfix.py for what becomes of the lines that are kept
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import NamedTuple

from smtp_auth_report.sources import postfix_lines as lines
from smtp_auth_report.sources.envelope import Envelope, Parts, origin
from smtp_auth_report.sources.interface import Batch
from smtp_auth_report.sources.postfix_join import Join
from smtp_auth_report.sources.postfix_sessions import Server
from smtp_auth_report.sources.postfix_whole import WholeSessions

try:
    from smtp_auth_report.sources.log_lines import KEPT, ODD, STRANGE
    from smtp_auth_report.sources.postfix_runs import OTHER, QUEUE, SMTPD, Processes
    from smtp_auth_report.sources.postfix_scan import Scan

    COMPILED = True
except ImportError:  # installed without a compiler: every line is read
    COMPILED = False

LONGEST_PREFIX = 300
END = 50  # last lines of a batch that are given whole
QUEUE_DAEMONS = frozenset({"cleanup", "qmgr", "oqmgr", "nqmgr"})


class Sifted(NamedTuple):
    """What is left of a batch."""

    lines: list[bytes | Parts]  # to be read, in their order; those of plain shapes in their parts
    end: list[bytes]  # the last lines of the batch as they stand
    total: int
    tls: int  # lines about TLS that were passed over


class Sieve:
    """Learns how the lines of one file begin, and passes over those that cannot matter."""

    def __init__(
        self, shows_starttls: Callable[[str | None, str], bool], join: Join, server_of: Callable[[str | None], Server | None]
    ) -> None:
        self._shows_starttls = shows_starttls  # whether this host's tag is known not to be wrapper mode
        self.recognised = 0  # beginnings of lines that are Postfix's
        self._owned: Callable[[str], bytes | None] = lambda _tag: None
        self._scans: list[Scan] = []  # that looks next, and that looked last
        self._groups: dict[tuple[str | None, str], int] = {}
        self._hosts: dict[str | None, int] = {}
        self._instances: dict[tuple[str | None, str], int] = {}
        self._open: list[tuple[str, str]] = []  # tag and pid
        if COMPILED:
            self._whole = WholeSessions(join, server_of)
            self._processes = Processes()
            self._scans = [Scan(partial(self._learn, set()), self._processes) for _ in range(2)]

    def forget(self) -> None:
        """Lines were read that the sieve did not see."""
        if self._scans:
            self._processes.forget()

    def reopen(self, processes: Iterable[tuple[str, str]]) -> None:
        """Sessions of these processes, told by tag and pid, may be open from before; whatever their host is."""
        self._open += processes
        if self._groups:
            self.forget()

    def look(self, content: Batch, owned: Callable[[str], bytes | None]) -> Scan | None:
        """
        Find the lines and sessions of a batch. Of programs that are another source's, those are kept whose text begins as
        `owned` says; of a program that is no source's, it says None.
        """
        if not self._scans:
            return None
        self._owned = owned
        self._scans.reverse()
        found = self._scans[1]
        if found.read(content):
            return found
        self.forget()
        return None

    def sift(self, batch: Scan, pending: Collection[bytes], *, filtered: bool) -> Sifted:
        """Lines that may matter; `pending` are the queue ids under way, all others matter too where mail is `filtered`."""
        groups = list(self._groups)
        shown = bytes(self._shows_starttls(*name) for name in groups)
        tls = batch.decide(pending, shown, filtered)
        if not filtered and not batch.filtered:
            self._whole(batch, groups)
        return Sifted(batch.kept(), batch.last(END), batch.total, tls)

    def _learn(self, known: set[tuple[int, bytes]], line: bytes) -> tuple[int, bytes, bool, int, int, int, int, bytes] | int:
        """
        How a line begins as none before it did: length of its stamp, what stands from there to pid or text, who wrote it, and
        with which words of his it matters to another source.
        """
        parts = Envelope().split(line)
        if parts is None:
            return ODD if b"postfix" in line else STRANGE
        stamp, raw, message = parts
        where = origin(raw)
        if where is None:
            return STRANGE  # postfix/smtpd[x]: with another pid, what begins so may be a program's
        tag = lines.tag(where.tag)
        first = self._owned(where.tag) if tag is None else None
        if b": [ID " in line and not line.endswith(b": " + message):
            return STRANGE if tag is None and first is None else ODD  # Solaris: each message stands behind a number
        pid = b"[" in raw
        text = raw[: raw.rindex(b"[") + 1] if pid else raw + b": "
        blank = len(stamp)
        plain = line.startswith(b"%b %b" % (stamp, text)) and (blank == 15 or line[10:11] == b"T")
        if not plain or len(text) > LONGEST_PREFIX or (blank, text) in known:
            return STRANGE if tag is None else ODD  # known, and yet not recognised: it is not plain
        known.add((blank, text))
        self.recognised += tag is not None
        name = where.host, where.tag
        if name not in self._groups:
            self._meet_group(len(self._groups), where.tag)
        group = self._groups.setdefault(name, len(self._groups))
        instance = self._instances.setdefault((name[0], tag.instance if tag else ""), len(self._instances))
        host = self._hosts.setdefault(name[0], len(self._hosts))
        kind = KEPT if first == b"" else _kind(tag, pid=pid)
        return blank, text, pid, kind, group, instance, host, first or b""

    def _meet_group(self, group: int, tag: str) -> None:
        for _, pid in (each for each in self._open if each[0] == tag):
            self._processes.reopen(group, int(f"1{pid}"))


def _kind(tag: lines.Tag | None, *, pid: bool) -> int:
    if tag is None:
        return OTHER
    if not pid or tag.daemon in {"", "pickup", "tlsproxy", "master"}:
        return KEPT
    if tag.daemon == "smtpd":
        return SMTPD
    return QUEUE if tag.daemon in QUEUE_DAEMONS else OTHER
