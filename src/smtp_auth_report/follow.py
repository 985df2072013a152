"""
A path as one endless stream of lines, through rotation, truncation and compression.

    stream = FileStream("/var/log/mail.log", known, clock)
    stream.begin()                          what a source needs before its first line; None while there is nothing
    for lines in stream.read():             whole lines that have come since
        stream.positions(options, evidence) how far each file of the path has been read, for the next commit
    stream.gaps()                           what was lost meanwhile, as far as it can be known
    stream.behind                           bytes on disk that were not read yet
    stream.problem                          why nothing comes, "" where all is well

How a log moves on
    mail.log -> mail.log.1         renamed: the old file is read on until its writer has let go of it, then the new one
    mail.log copied, then cut      what the copy has beyond the place where reading stopped is read from the copy
    mail.log.1 -> mail.log.2.gz    known by its content
    several of these, unwatched    from the newest file that is known, all that are newer are read, oldest first

Of a path that was never read before, the rotated files that are still there are read first. Of a directory all files
are read, oldest first and a few at a time, and new ones as they come. A file has begun when its first line is whole:
what it shares with others is told by its beginning.

What goes wrong
    Nothing is raised for a file that is missing, empty, unreadable or damaged: `problem` says it, and it is tried again.
    Lines that a rotation may have lost, and those of a rotated file that cannot be read, are a Gap.

See also
    pipes.py for streams without a file
"""

from __future__ import annotations

import glob
import os
import re
import stat
import time as clocks
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from smtp_auth_report.changes import Gap, Position
from smtp_auth_report.checkpoint import Evidence, beginning, digest
from smtp_auth_report.checkpoint import position as position_of
from smtp_auth_report.errors import InputError
from smtp_auth_report.log_file import Log
from smtp_auth_report.words import why, worded

RETRIES = 20
"""How often the files of a path are looked at anew because they were rotated meanwhile."""

LINGER = 60.0
"""Seconds that a renamed file is still watched: its writer goes on until it is told to reopen."""

IDLE = 3600.0
"""Seconds after which an unchanged file of a directory is closed."""

OPEN = 32
"""Files of a directory that are open at a time, while others wait."""

LISTED = 1.0
"""Seconds for which a directory is not listed anew while files of it wait: one of 10,000 files is read in 300 turns."""

TRUNCATED = "log truncated"
MISSED = "rotated away before it was read"
UNREADABLE = "rotated file that cannot be read"
DAMAGED = "damaged file"

# mail.log.1, mail.log.2.gz, mail.log-20260830.zst, mail-20260830.log, mail.1.log.xz
_ROTATED = r"(?:{stem}[.-](?P<inner>\d[\d_T-]*){suffix}|{name}[.-](?P<outer>\d[\d_T-]*|old))(?:\.(?:gz|xz|bz2|zst))?"

Clock = Callable[[], int]


class Start(NamedTuple):
    """What a source needs to know of a stream before its first line."""

    sample: list[bytes]
    start: bytes
    reference: int  # microseconds UTC
    year: int | None  # where reading goes on, the year it had got to
    head: bytes = b""  # how the first file begins, where reading goes on behind that
    place: Position | None = None  # where reading goes on
    before: bytes = b""  # lines before that


class Stream(Protocol):
    """Lines that keep coming."""

    @property
    def name(self) -> str: ...

    @property
    def problem(self) -> str: ...

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
        self._positions: dict[tuple[str, int], Position] = {}
        self._sizes: set[int] = set()
        self.add(positions)

    def add(self, positions: Iterable[Position]) -> None:
        for position in positions:
            self._positions[position.head, position.head_size] = position
            self._sizes.add(position.head_size)

    def find(self, log: Log) -> Position | None:
        """Go, in a file, to the place where reading it stopped; None, and at its beginning, if it is new."""
        heads = ((digest(log.head[:size]), size) for size in self._sizes if 0 < size <= len(log.head))
        found = sorted((self._positions[head] for head in heads if head in self._positions), key=lambda p: p.offset, reverse=True)
        return next((p for p in found if log.stands_at(p)), None)


class _Files:
    """Open files, in reading order."""

    ended = False

    def __init__(self, path: str, known: Known, clock: Clock) -> None:
        self.name = path
        self.problem = ""
        self._trouble = ""  # what is said as long as nothing worse is: a rotated file that is lost
        self._known = known
        self._clock = clock
        self._logs: list[Log] = []
        self._until: dict[Log, float] = {}  # files that nobody should write to any more, and when they are let go
        self._left: list[Log] = []  # let go since positions were told
        self._marked: dict[Log, int] = {}  # offset last told by `positions`
        self._told: set[tuple[int, int]] = set()  # files of which it was said that they are lost
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
        return Start(first.sample(), first.start, first.reference, self._year, first.head, first.resumed, first.last_lines)

    def read(self) -> Iterator[bytes]:
        """Whole lines that have come since, in order."""
        self._look()
        yield from self._batches()
        yield from self._let_go()

    def positions(self, options: str, evidence: str) -> list[Position]:
        """How far each file has been read, of those that have moved since this was last asked."""
        moved = [log for log in (*self._left, *self._logs) if log.offset and self._marked.get(log) != log.offset]
        self._marked.update((log, log.offset) for log in moved)
        positions = [_place(log, options, evidence) for log in moved]
        self._known.add(positions)
        for log in self._left:
            self._marked.pop(log, None)
        self._left.clear()
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

    def _batches(self) -> Iterator[bytes]:
        for log in list(self._logs):
            try:
                yield from log.batches()
            except InputError as error:
                self._given_up(log.file, str(error), DAMAGED)
                if log.packed:
                    self._leave(log)  # half a line before the damage is none
            else:
                if log.packed:
                    yield from self._finish(log)

    def _open(self, path: str, *, growing: bool = True) -> Log | None:
        """A file, at the place where reading it stopped; None for one that has not begun, or cannot be read."""
        try:
            found = Path(path).stat()
            if not stat.S_ISREG(found.st_mode):
                self.problem = worded("{path}: is not a file; hand its lines over on standard input, as -", path=path)
                return None
            if not found.st_size:
                return None
            log = Log(path, self._clock())
        except OSError as error:
            self.problem = worded("{path}: {reason}; waiting for it", path=path, reason=why(error))
            return None
        except InputError as error:
            self.problem = str(error)
            return None
        if growing and not log.begun:
            log.close()
            return None
        place = self._known.find(log)
        if place is not None:
            self._recall_year(place)
        return log

    def _take(self, logs: Iterable[Log]) -> None:
        """Read these from now on. What was opened is known from then on, even if it is cut before it is read."""
        for log in logs:
            if log not in self._logs:
                self._logs.append(log)
                if not log.offset:
                    self._known.add([beginning(log.head, log.path)])

    def _recall_year(self, place: Position) -> None:
        if place.offset:
            self._year = self._year or Evidence.read(place.evidence).year or None

    def _let_go(self) -> Iterator[bytes]:
        """Close files that are done with; a last line without an end is taken as it is."""
        now = clocks.monotonic()
        for log in [log for log, until in self._until.items() if now > until]:
            yield from self._finish(log)

    def _finish(self, log: Log) -> Iterator[bytes]:
        tail = log.tail
        self._leave(log)
        if tail:
            yield tail

    def _leave(self, log: Log) -> None:
        """Close a file; its position is told with the next ones."""
        self._left.append(log)
        if log.offset:
            self._known.add([_place(log, "", f"{self._year or 0}")])
        self._logs.remove(log)
        self._until.pop(log, None)
        log.close()

    def _cut(self, log: Log) -> None:
        """A file was truncated: what it held may stand in a copy, which is read from the place where this one stopped."""
        self._lost(TRUNCATED)
        self._leave(log)

    def _given_up(self, file: tuple[int, int], problem: str, reason: str) -> None:
        """What a file holds is lost; each is told once."""
        self._trouble = problem
        self.problem = self.problem or problem
        if file not in self._told:
            self._told.add(file)
            self._lost(reason)

    def _lost(self, reason: str) -> None:
        self._gaps.append(Gap(self.name, self._clock(), reason, None))


class FileStream(_Files):
    """One path and the files that were rotated away from it."""

    def __init__(self, path: str, known: Known, clock: Clock, *, followed_before: bool = False) -> None:
        super().__init__(path, known, clock)
        self._followed_before = followed_before
        self._current: Log | None = None
        self._stood: Stands | None = None  # where nothing could be opened yet

    def _look(self) -> None:
        """Is the path still the file that was read, and does that still hold what was read of it?"""
        current = self._current
        if current is not None and current.rewritten:
            self._cut(current)
            self._current = self._stood = current = None
        try:
            stands = _stands(Path(self.name).stat())
        except OSError as error:
            self.problem = worded("{path}: {reason}; waiting for it", path=self.name, reason=why(error))
            if self._stood == NOWHERE or self._logs:
                return
            stands = NOWHERE
        if current is not None and current.file == stands[:2]:
            self.problem = self._trouble
        elif stands != self._stood:
            if current is not None:
                self._until[current] = clocks.monotonic() + LINGER
            self._catch_up(stands)
            self._stood = stands if self._current is None else None

    def _catch_up(self, stands: Stands) -> None:
        """Open the path, and before it what was rotated away and holds lines that were not read."""
        self.problem = self._trouble = ""
        current: Log | None = None
        missed: dict[Log, Position | None] = {}
        for _ in range(RETRIES):
            for log in (*missed, *([current] if current else [])):
                log.close()  # a rotation came between: the same file may be there twice, another not at all
            stood = self._standing()
            current = self._open(self.name)
            missed = self._missed(current)
            if self._standing() == stood:
                break
        self._current = current
        self._tell_losses(current, missed, current.file[1] if current else stands[1])
        for log in missed:
            self._until[log] = clocks.monotonic() + LINGER
        for log in [*missed][1:]:
            log.wait()
        self._take([*missed, *([current] if current else [])])

    def _tell_losses(self, current: Log | None, missed: dict[Log, Position | None], inode: int) -> None:
        """Of a log that was followed before, tell what rotations have lost while nobody looked."""
        if not self._followed_before or not (current or missed):
            return
        self._followed_before = False
        places = [place for place in missed.values() if place is not None]
        if current is not None and current.offset:
            return  # it is the file that was read
        if not places:
            self._lost(MISSED)
        elif any(Evidence.read(place.evidence).inode == inode for place in places):
            self._lost(TRUNCATED)  # copied and cut: the path is the file still that it was

    def _standing(self) -> list[tuple[str, int]]:
        """The path and what was rotated away from it, each with its inode."""
        paths = [path for path in (self.name, *rotated(self.name)) if Path(path).exists()]
        try:
            return [(path, Path(path).stat().st_ino) for path in paths]
        except FileNotFoundError:
            return []

    def _missed(self, current: Log | None) -> dict[Log, Position | None]:
        """
        Rotated files from the newest that is known on, oldest first, each with the place where reading it stopped.
        Of one that is just being copied or compressed, one of both. While the path itself is new, also what is known of the
        file before: its writer may have gone on in it after the next was begun.
        """
        held = {log.file for log in self._logs}
        missed: dict[Log, Position | None] = {}
        seen = 0
        wanted = 1 if current is not None and current.offset else 2
        for path in rotated(self.name):
            log = self._rotated(path)
            if log is None:
                continue
            if log.file in held or _same_start(log, self._logs):
                log.close()  # perhaps compressed meanwhile, and still read from the file that it was
                break
            if _same_start(log, [*missed, *([current] if current else [])]):
                log.close()  # a copy of the path is about to become all there is of it
                continue
            place = self._known.find(log)
            if place is None and seen:
                log.close()
                break
            missed[log] = place
            if place is not None:
                seen += 1
                self._recall_year(place)
                if seen == wanted:
                    break
        return dict(reversed(missed.items()))

    def _rotated(self, path: str) -> Log | None:
        """One of the rotated files; None for one that has gone, has nothing or cannot be read, which is said."""
        try:
            found = Path(path).stat()
        except OSError:
            return None
        try:
            return Log(path, self._clock()) if found.st_size else None
        except InputError as error:
            if Path(path).exists():
                self._given_up((found.st_dev, found.st_ino), str(error), UNREADABLE)
            return None


Stands = tuple[int, int, int, int]
NOWHERE: Stands = (0, 0, 0, 0)


def _stands(found: os.stat_result) -> Stands:
    """What tells whether a path is another file than it was, or could be opened now."""
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns


def _place(log: Log, options: str, evidence: str) -> Position:
    """Where reading a file stands."""
    known = Evidence.read(evidence)._replace(inode=log.file[1])
    return position_of(log.head, log.offset, log.before, log.path, options, known.text)


def _same_start(log: Log, others: Iterable[Log]) -> bool:
    """Whether one of the others begins as this one does, as far as both are known."""
    return any(log.head.startswith(other.head) or other.head.startswith(log.head) for other in others)


class DirectoryStream(_Files):
    """All files of a directory, for servers that begin a new file every hour or day."""

    def __init__(self, path: str, known: Known, clock: Clock) -> None:
        super().__init__(path, known, clock)
        self._seen: dict[tuple[int, int], tuple[int, int]] = {}  # device, inode -> size, time of change when last opened
        self._waiting = 0
        self._listed: list[tuple[str, os.stat_result]] = []
        self._listed_at = 0.0

    @property
    def behind(self) -> int:
        """Bytes on disk that were not read yet, of files that wait for their turn too."""
        return super().behind + self._waiting

    def read(self) -> Iterator[bytes]:
        """Whole lines that have come since, a few files at a time."""
        while True:
            self._look()
            yield from self._batches()
            were_open = len(self._logs)
            yield from self._let_go()
            if not self._waiting or len(self._logs) == were_open:
                return

    def _look(self) -> None:
        self.problem = ""
        now = clocks.monotonic()
        for cut in [log for log in self._logs if log.rewritten]:
            self._cut(cut)
        held = {log.file: log for log in self._logs}
        seen: dict[tuple[int, int], tuple[int, int]] = {}
        if not self._waiting or now - self._listed_at > LISTED:
            self._listed, self._listed_at = self._files(), now
        self._waiting = 0
        for path, found in self._listed:
            key, state = (found.st_dev, found.st_ino), (found.st_size, found.st_mtime_ns)
            log = held.get(key)
            if self._seen.get(key) == state:
                seen[key] = state
                continue
            if log is None and len(self._logs) >= OPEN:
                self._waiting += found.st_size
            elif log or (log := self._open(path, growing=self._clock() - found.st_mtime_ns // 1000 < IDLE * 1e6)):
                if key not in held and self._logs:
                    log.wait()
                self._take([log])
                self._until[log] = now + IDLE
                seen[key] = state
        self._seen = seen

    def _let_go(self) -> Iterator[bytes]:
        """All that were read make room for those that wait; of half a line the rest may come yet."""
        yield from super()._let_go()
        half = self._clock() - int(LINGER * 1e6)
        for log in list(self._logs) if self._waiting else ():
            if not log.tail or self._seen.get(log.file, (0, 0))[1] // 1000 < half:
                yield from self._finish(log)

    def _files(self) -> list[tuple[str, os.stat_result]]:
        """What there is to read, oldest first. One that has gone since, or a link to itself, hides no other."""
        entries = []
        try:
            for entry in os.scandir(self.name):
                with suppress(OSError):
                    if entry.is_file() and not entry.name.startswith("."):
                        entries.append((entry.path, entry.stat()))
        except OSError as error:
            self.problem = worded("{path}: {reason}; waiting for it", path=self.name, reason=why(error))
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
    """Paths that patterns stand for now, rotated files left to the path they come from; without wildcards it is itself."""
    for path in paths:
        if any(sign in path for sign in "*?[") and not Path(path).exists():
            found = [name for name in glob.glob(path) if Path(name).is_file()]  # noqa: PTH207 - a pattern may be absolute
            yield from sorted(set(found).difference(*(rotated(name) for name in found)))
        else:
            yield path
