"""
A path as one endless stream of lines, through rotation, truncation and compression.

    stream = FileStream("/var/log/mail.log", known, clock)
    stream.begin()                          what a source needs before its first line; None while there is nothing
    for lines in stream.read():             whole lines that have come since
        stream.positions(options, year)     how far each file of the path has been read, for the next commit
    stream.gaps()                           what was lost meanwhile, as far as it can be known
    stream.behind                           bytes on disk that were not read yet
    stream.problem                          why nothing comes, "" where all is well

How a log moves on
    mail.log -> mail.log.1         renamed: the old file is read on until its writer has let go of it, then the new one
    mail.log copied, then cut      what the copy has beyond the place where reading stopped is read from the copy
    mail.log.1 -> mail.log.2.gz    known by its content
    several of these, unwatched    from the newest file that is known, all that are newer are read, oldest first

Of a path that was never read before, the rotated files that are still there are read first. Of a directory all files
are read, oldest first, and new ones as they come.

What goes wrong
    Nothing is raised for a file that is missing, empty, unreadable or damaged: `problem` says it, and it is tried again.
    Lines that a rotation has lost are a Gap.

See also
    pipes.py for streams without a file
"""

from __future__ import annotations

import glob
import os
import re
import time as clocks
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from smtp_auth_report.changes import Gap, Position
from smtp_auth_report.checkpoint import beginning, candidates
from smtp_auth_report.checkpoint import position as position_of
from smtp_auth_report.errors import InputError
from smtp_auth_report.log_file import Log

RETRIES = 20
"""How often the files of a path are looked at anew because they were rotated meanwhile."""

LINGER = 60.0
"""Seconds that a renamed file is still watched: its writer goes on until it is told to reopen."""

IDLE = 3600.0
"""Seconds after which an unchanged file of a directory is closed."""

# mail.log.1, mail.log.2.gz, mail.log-20260830.zst, mail-20260830.log, mail.1.log.xz
_ROTATED = r"(?:{stem}[.-](?P<inner>\d[\d_T-]*){suffix}|{name}[.-](?P<outer>\d[\d_T-]*|old))(?:\.(?:gz|xz|bz2|zst))?"

Clock = Callable[[], int]


class Start(NamedTuple):
    """What a source needs to know of a stream before its first line."""

    sample: list[bytes]
    start: bytes
    reference: int  # microseconds UTC
    year: int | None  # where reading goes on, the year it had got to


class Stream(Protocol):
    """Lines that keep coming."""

    name: str
    problem: str

    @property
    def ended(self) -> bool:
        """Nothing will come any more."""

    @property
    def behind(self) -> int: ...

    def begin(self) -> Start | None: ...

    def read(self) -> Iterator[bytes]: ...

    def positions(self, options: str, evidence: str) -> list[Position]: ...

    def gaps(self) -> list[Gap]: ...

    def close(self) -> None: ...


class Known:
    """How far every file was read, whichever stream read it."""

    def __init__(self, positions: Iterable[Position]) -> None:
        self._positions = {(p.head, p.head_size): p for p in positions}

    def add(self, positions: Iterable[Position]) -> None:
        self._positions.update({(p.head, p.head_size): p for p in positions})

    def find(self, log: Log) -> Position | None:
        """Go, in a file, to the place where reading it stopped; None, and at its beginning, if it is new."""
        return next((p for p in candidates(self._positions.values(), log.head) if log.stands_at(p)), None)


class _Files:
    """Open files, in reading order."""

    ended = False

    def __init__(self, path: str, known: Known, clock: Clock) -> None:
        self.name = path
        self.problem = ""
        self._known = known
        self._clock = clock
        self._logs: list[Log] = []
        self._until: dict[Log, float] = {}  # files that nobody should write to any more, and when they are let go
        self._marked: dict[Log, int] = {}  # offset last told by `positions`
        self._gaps: list[Gap] = []
        self._year: int | None = None

    @property
    def behind(self) -> int:
        """Bytes on disk that were not read yet."""
        return sum(max(0, (log.size or 0) - log.done) for log in self._logs)

    def begin(self) -> Start | None:
        """Open what there is; None while there is nothing to read."""
        self._look()
        if not self._logs:
            return None
        first = self._logs[0]
        return Start(first.sample(), first.start, first.reference, self._year)

    def read(self) -> Iterator[bytes]:
        """Whole lines that have come since, in order."""
        self._look()
        for log in list(self._logs):
            try:
                yield from log.batches()
            except InputError as error:
                self.problem = str(error)
        yield from self._let_go()

    def positions(self, options: str, evidence: str) -> list[Position]:
        """How far each file has been read, of those that have moved since this was last asked."""
        moved = [log for log in self._logs if log.offset and self._marked.get(log) != log.offset]
        self._marked.update((log, log.offset) for log in moved)
        positions = [position_of(log.head, log.offset, log.before, log.path, options, evidence) for log in moved]
        self._known.add(positions)
        return positions

    def gaps(self) -> list[Gap]:
        """What was lost since this was last asked."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def close(self) -> None:
        for log in self._logs:
            log.close()
        self._logs.clear()

    def _look(self) -> None:
        """Open what is new."""
        raise NotImplementedError

    def _open(self, path: str) -> Log | None:
        """A file, at the place where reading it stopped; None for one that has nothing to read, or cannot be read."""
        try:
            if not Path(path).stat().st_size:
                return None
            log = Log(path, self._clock())
        except OSError as error:
            self.problem = f"{path}: {error.strerror}; waiting for it"
            return None
        except InputError as error:
            self.problem = str(error)
            return None
        found = self._known.find(log)
        if found is None:
            self._known.add([beginning(log.head, path)])
        elif found.offset and self._year is None:
            self._year = int(found.evidence.split()[0]) or None
        return log

    def _let_go(self) -> Iterator[bytes]:
        """Close files that are done with, once their position is told; a last line without an end is taken as it is."""
        now = clocks.monotonic()
        done = [log for log, until in self._until.items() if now > until or log.packed]
        for log in done:
            if self._marked.get(log, 0) == log.offset:
                if log.tail:
                    yield log.tail
                self._drop(log)

    def _drop(self, log: Log) -> None:
        self._logs.remove(log)
        self._until.pop(log, None)
        self._marked.pop(log, None)
        log.close()

    def _cut(self, log: Log) -> None:
        """A file was truncated: what it held may stand in a copy, which is read from the place where this one stopped."""
        self._lost("log truncated")
        self._known.add([position_of(log.head, log.offset, log.before, log.path, "", f"{self._year or 0}")])
        self._drop(log)

    def _lost(self, reason: str) -> None:
        self._gaps.append(Gap(self.name, self._clock(), reason, None))


class FileStream(_Files):
    """One path and the files that were rotated away from it."""

    def __init__(self, path: str, known: Known, clock: Clock, *, followed_before: bool = False) -> None:
        super().__init__(path, known, clock)
        self._followed_before = followed_before
        self._current: Log | None = None
        self._found = False  # among the rotated files one that was read before
        self._stood: tuple[int, int, bool] | None = None  # device, inode, whether empty: of the path when last looked at

    def _look(self) -> None:
        """Is the path still the file that was read, and does that still hold what was read of it?"""
        current = self._current
        if current is not None and current.rewritten:
            self._cut(current)
            self._current = self._stood = current = None
        try:
            found = Path(self.name).stat()
        except OSError as error:
            self.problem = f"{self.name}: {error.strerror}; waiting for it"
            if self._stood is not None or self._logs:
                return
            stands = (0, 0, True)
        else:
            stands = (found.st_dev, found.st_ino, not found.st_size)
            self.problem = ""
        if stands == self._stood or (current is not None and current.file == stands[:2]):
            return
        if current is not None:
            self._until[current] = clocks.monotonic() + LINGER
        self._catch_up()
        self._stood = stands if self._current is None else None

    def _catch_up(self) -> None:
        """Open the path, and before it what was rotated away and holds lines that were not read."""
        for _ in range(RETRIES):
            stood = self._standing()
            missed = self._missed()
            self._current = self._open(self.name)
            if self._standing() == stood:
                break
            for log in (*missed, *([self._current] if self._current else [])):
                log.close()  # a rotation came between: the same file may be there twice, another not at all
        if not self._found and missed and self._followed_before:
            self._lost("rotated away before it was read")
        self._followed_before = False
        if self._current is not None:
            begin = self._current.head
            for copy in [log for log in missed if begin.startswith(log.head) or log.head.startswith(begin)]:
                missed.remove(copy)  # the path is about to be truncated
                copy.close()
        self._logs += [*missed, *([self._current] if self._current else [])]
        for log in missed:
            self._until[log] = clocks.monotonic() + LINGER

    def _standing(self) -> list[tuple[str, int]]:
        """The path and what was rotated away from it, each with its inode."""
        paths = [path for path in (self.name, *rotated(self.name)) if Path(path).exists()]
        try:
            return [(path, Path(path).stat().st_ino) for path in paths]
        except FileNotFoundError:
            return []

    def _missed(self) -> list[Log]:
        """Rotated files from the newest that is known on, oldest first; of one that is just being compressed, one of both."""
        held = {log.file for log in self._logs}
        missed: list[Log] = []
        self._found = False
        for path in rotated(self.name):
            try:
                found = Path(path).stat()
                if (found.st_dev, found.st_ino) in held:
                    self._found = True
                    break
                log = Log(path, self._clock())
            except (OSError, InputError):
                continue
            if _same_start(log, self._logs):
                self._found = True  # compressed meanwhile, and still read from the file that it was
                log.close()
                break
            if _same_start(log, missed):
                log.close()
                continue
            place = self._known.find(log)
            missed.append(log)
            if place is not None:
                self._year = self._year or int(place.evidence.split()[0]) or None
                self._found = True
                break
        return missed[::-1]


def _same_start(log: Log, others: Iterable[Log]) -> bool:
    """Whether one of the others begins as this one does, as far as both are known."""
    return any(log.head.startswith(other.head) or other.head.startswith(log.head) for other in others)


class DirectoryStream(_Files):
    """All files of a directory, for servers that begin a new file every hour or day."""

    def __init__(self, path: str, known: Known, clock: Clock) -> None:
        super().__init__(path, known, clock)
        self._done: dict[tuple[int, int], tuple[int, int]] = {}  # device, inode -> size, time of change when it was closed

    def _look(self) -> None:
        self.problem = ""
        now = clocks.monotonic()
        for cut in [log for log in self._logs if log.rewritten]:
            self._cut(cut)
        held = {log.file: log for log in self._logs}
        for path, found in self._files():
            key, state = (found.st_dev, found.st_ino), (found.st_size, found.st_mtime_ns)
            if key in held:
                if self._done.get(key) != state:
                    self._until[held[key]] = now + IDLE
            elif self._done.get(key) != state and (log := self._open(path)):
                self._logs.append(log)
                self._until[log] = now + IDLE
            self._done[key] = state

    def _files(self) -> list[tuple[str, os.stat_result]]:
        """What there is to read, oldest first."""
        try:
            entries = [(entry.path, entry.stat()) for entry in os.scandir(self.name) if entry.is_file() and not entry.name.startswith(".")]
        except OSError as error:
            self.problem = f"{self.name}: {error.strerror}; waiting for it"
            return []
        return sorted(entries, key=lambda entry: (entry[1].st_mtime_ns, entry[0]))


def rotated(path: str) -> list[str]:
    """The files that were rotated away from a path, newest first: by number, else by date, else by time of change."""
    name = Path(path)
    pattern = re.compile(_ROTATED.format(stem=re.escape(name.stem), suffix=re.escape(name.suffix), name=re.escape(name.name)))
    found: list[tuple[tuple[int, int], str]] = []
    try:
        entries = [entry.name for entry in os.scandir(name.parent)]
    except OSError:
        return []
    for entry in entries:
        parts = pattern.fullmatch(entry)
        if parts and entry != name.name:
            words = parts["inner"] or parts["outer"]
            digits = re.sub(r"\D", "", words)
            order = (1, -int(digits)) if len(digits) >= 6 else (0, int(digits or 0))
            found.append((order, str(name.with_name(entry))))
    return [entry for _, entry in sorted(found)]


def streams_of(paths: Iterable[str]) -> Iterator[str]:
    """Paths that patterns stand for now; a path without wildcards stands for itself."""
    for path in paths:
        if any(sign in path for sign in "*?[") and not Path(path).exists():
            yield from sorted(found for found in glob.glob(path) if Path(found).is_file())  # noqa: PTH207 - a pattern may be absolute
        else:
            yield path
