"""
Lines that another program hands over: standard input, and systemd's journal.

    PipeStream()                                until its writer closes it
    JournalStream("journal:", positions, clock)              mail of this machine's journal
    JournalStream("journal:postfix@-.service", …)            one unit
    JournalStream("journal:/var/log/journal/remote", …)      the files of a directory

The journal is read through `journalctl`, and its cursor is the position: after a restart reading goes on behind the
entry that was committed last. Standard input cannot be read again; what a writer sends twice is known by its identity.

What goes wrong
    Nothing is raised. A journalctl that is missing or ends is told in `problem` and started again after a pause.
"""

from __future__ import annotations

import errno
import json
import os
import select
import subprocess
import sys
import time as clocks
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from smtp_auth_report.changes import Gap, Position
from smtp_auth_report.checkpoint import furthest
from smtp_auth_report.follow import Start
from smtp_auth_report.framing import FIELDS
from smtp_auth_report.log_file import LONGEST
from smtp_auth_report.words import marked, why, worded

JOURNAL = "journal:"
CHUNK = 1 << 20
PATIENCE = 0.05
"""Seconds that the next piece of a pipe may take, for a writer that is busy writing."""

PAUSE = 5.0
MAIL = ("SYSLOG_FACILITY=2", "+", "SYSLOG_IDENTIFIER=systemd-journald")


class _Lines:
    """What can be read from a descriptor without waiting, as whole lines."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.rest = b""
        self.ended = False

    def read(self) -> Iterator[bytes]:
        patience = 0.0
        while not self.ended and select.select([self._descriptor], [], [], patience)[0]:
            patience = PATIENCE
            more = os.read(self._descriptor, CHUNK)
            self.ended = not more
            whole, end, rest = (self.rest + more).rpartition(b"\n")
            self.rest = rest if len(rest) <= LONGEST else b""
            if end:
                yield whole + end


class PipeStream:
    """Standard input."""

    name = "-"
    problem = ""
    behind = 0

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lines = _Lines(sys.stdin.fileno())
        self._first = b""

    @property
    def ended(self) -> bool:
        return self._lines.ended and not self._first

    def begin(self) -> Start | None:
        """What has come so far; None while nothing has."""
        self._first = next(self._lines.read(), b"")
        if self._lines.ended and not self._first:
            self._first, self._lines.rest = self._lines.rest, b""
        return Start([line[:200] for line in self._first.split(b"\n")[:1]], self._first, self._clock(), None) if self._first else None

    def read(self) -> Iterator[bytes]:
        """Whole lines that have come since."""
        first, self._first = self._first, b""
        if first:
            yield first
        yield from self._lines.read()
        if self._lines.ended and self._lines.rest:
            rest, self._lines.rest = self._lines.rest, b""
            yield rest

    def positions(self, _options: str, _evidence: str) -> list[Position]:
        return []

    def gaps(self) -> list[Gap]:
        return []

    def close(self) -> None:
        """Standard input is not ours to close."""


class JournalStream:
    """Entries of systemd's journal, as `journalctl -o json` writes them."""

    ended = False
    behind = 0

    def __init__(self, name: str, positions: Iterable[Position], clock: Callable[[], int]) -> None:
        self.name = name
        self.problem = ""
        self._clock = clock
        self._found = found = furthest(positions, name)
        self._cursor = found.tail if found else ""
        self._read = self._marked = found.offset if found else 0
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = _Lines(-1)
        self._again = 0.0

    def command(self) -> list[str]:
        """journalctl with what it is to show."""
        what = self.name.removeprefix(JOURNAL)
        chosen = [*MAIL] if not what else ["--directory", what] if what.startswith("/") else ["--unit", what]
        after = [f"--after-cursor={self._cursor}"] if self._cursor else []
        return ["journalctl", "--quiet", "--follow", "--no-tail", "--output=json", f"--output-fields={','.join(FIELDS)}", *after, *chosen]

    def begin(self) -> Start | None:
        """The stamps of a journal leave nothing open."""
        return Start([], b"", self._clock(), None, place=self._found)

    def read(self) -> Iterator[bytes]:
        """Entries that have come since, one JSON object a line."""
        if self._process is None and not self._started():
            return
        for batch in self._lines.read():
            self._cursor = _cursor(batch) or self._cursor
            self._read += batch.count(b"\n")
            yield batch
        if self._lines.ended:
            self._restart()

    def positions(self, options: str, evidence: str) -> list[Position]:
        if self._marked == self._read:
            return []
        self._marked = self._read
        return [Position(self.name, 0, self._read, self._cursor, self.name, options, evidence)]

    def gaps(self) -> list[Gap]:
        return []

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _started(self) -> bool:
        if clocks.monotonic() < self._again:
            return False
        folder = self.name.removeprefix(JOURNAL)
        try:
            if folder.startswith("/") and not Path(folder).is_dir():
                raise FileNotFoundError(errno.ENOENT, marked("no such directory"), folder)
            self._process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, pipesize=CHUNK)  # noqa: S603
        except OSError as error:
            self.problem = worded(
                "{path}: {file}: {reason}; waiting for it", path=self.name, file=error.filename or "journalctl", reason=why(error)
            )
            self._again = clocks.monotonic() + PAUSE
            return False
        assert self._process.stdout is not None
        self._lines = _Lines(self._process.stdout.fileno())
        self.problem = ""
        return True

    def _restart(self) -> None:
        """journalctl ended: say why, and start it again after a pause."""
        assert self._process is not None
        said = self._process.communicate()[1].decode("utf-8", "replace").strip().splitlines()
        self.problem = worded(
            "{path}: journalctl ended: {words}; starting it again",
            path=self.name,
            words=said[-1] if said else worded("status {number}", number=self._process.returncode),
        )
        self._process = None
        self._again = clocks.monotonic() + PAUSE


def _cursor(batch: bytes) -> str:
    """Of the last entry."""
    try:
        entry = json.loads(batch.rstrip(b"\n").rpartition(b"\n")[2])
    except ValueError:
        return ""
    return str(entry.get("__CURSOR", "")) if isinstance(entry, dict) else ""
