"""
Followed logs to rows to store, for as long as they are written.

    Following(open_store, key, reading, clock, ["/var/log/mail.log"], say, waiting=Waiting(settings.state_path)).run(stop)

What has come is committed a fraction of a second later: rows, positions and open sessions in one transaction, so that a
process that is killed at any moment goes on where it was. While a backlog is read, commits are as large as those of a
log that is read once, and no line is read before the ones before it are safe: a slow disk slows reading, not memory.

The kernel tells when a file changes (watchfiles); where it cannot, files are looked at twice a second.

What goes wrong
    A commit that fails is tried again, after a pause that grows to half a minute, and reading waits; so does a start while a
    server does not answer. `waiting` tells other processes of it. A log that cannot be read is said once and tried again.
    Where another process held the database and has ended, it is opened anew.
"""

from __future__ import annotations

import time as clocks
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from threading import Event
from typing import Protocol

from watchfiles import watch

from smtp_auth_report.changes import Applied, Changes, Commit, Intake, Position
from smtp_auth_report.errors import AwayError, StoreError
from smtp_auth_report.follow import DirectoryStream, FileStream, Known, Stream, streams_of
from smtp_auth_report.graph import GRAPH
from smtp_auth_report.ingest import BYTES_A_COMMIT, ROWS_A_COMMIT, Names, Reading, state_report
from smtp_auth_report.log_file import STDIN
from smtp_auth_report.pipes import JOURNAL, JournalStream, PipeStream
from smtp_auth_report.resuming import Kept, by_server, resume
from smtp_auth_report.sources import LogReader
from smtp_auth_report.store.interface import Store
from smtp_auth_report.waiting import Waiting
from smtp_auth_report.words import worded

EVERY = 0.25
"""Seconds between commits of a log that trickles."""

LOOK = 0.5
"""Seconds until files are looked at though the kernel said nothing."""

SLICE = 1.0
"""Seconds that one log may take before the next one's turn."""

TELL = 60.0
"""Seconds after which a log that is quiet is said to be followed still."""

RATED = 10.0
"""Seconds over which lines and rows a second are counted."""

LONGEST_PAUSE = 30.0
STRANGE = 1_000
"""Lines of no known kind after which a log is said to be the wrong one."""

Clock = Callable[[], int]


class Opener(Protocol):
    """Opens the store for as long as a block lasts, once or `again`."""

    def __call__(self, *, again: bool) -> AbstractContextManager[Store]: ...


class Following:
    """Several logs, one store."""

    def __init__(
        self,
        open_store: Opener,
        key: bytes,
        reading: Reading,
        clock: Clock,
        paths: Iterable[str],
        say: Callable[[str], None],
        graph: Callable[[list[Position]], Stream] | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        self._open_store = open_store
        self._key = key
        self.reading = reading
        self.clock = clock
        self._paths = list(paths)
        self._say = say
        self._graph = graph
        self._waiting = waiting
        self._held = ExitStack()
        self._was_open = False
        self._tails: dict[str, Tail] = {}
        self.stop = Event()

    def run(self, stop: Event) -> None:
        """Read until told to stop, or until every log has ended."""
        self.stop = stop
        try:
            if not self._begin():
                return
            for _ in self._wakes():
                while not stop.is_set() and self._round():
                    pass
                if stop.is_set() or all(tail.ended for tail in self._tails.values()):
                    return
        finally:
            for tail in self._tails.values():
                tail.close()
            self._held.close()

    def _begin(self) -> bool:
        """Open the store, however long a server takes; whether that was done before being told to stop."""
        trouble = _Trouble(self)
        while True:
            try:
                self._open()
                self.names = Names(lambda: self.store, self._key)
                self.known = Known(self.store.positions())
                self._before = {state.stream for state in self.store.streams() if state.lines}
            except AwayError as error:
                with suppress(StoreError):
                    self._held.close()
                trouble.meet(error)
            else:
                trouble.over()
                return True
            if trouble.wait():
                return False

    def commit(self, commit: Commit) -> Applied | None:
        """Apply it, however long that takes; None if told to stop before it could be done. What hinders it is said once."""
        trouble, is_open = _Trouble(self), True
        while True:
            try:
                if is_open:
                    applied = self.store.commit(commit)
                    trouble.over()
                    return applied
            except StoreError as error:
                trouble.meet(error)
            is_open = False
            try:
                if self._again(commit):
                    trouble.over()
                    return Applied(0, 0, 0, 0, {})
                is_open = True
            except StoreError as error:
                trouble.meet(error)
            if trouble.wait():
                return None

    def say_waiting(self, since: int, words: str) -> None:
        """To other processes of this host; "" once it is over."""
        if self._waiting is not None:
            if words:
                self._waiting.since(since, words)
            else:
                self._waiting.over()

    def say(self, what: str) -> None:
        self._say(what)

    def _again(self, commit: Commit) -> bool:
        """Open the store anew; whether it holds the commit already, of which only the answer was lost."""
        with suppress(StoreError):
            self._held.close()
        self._open()
        return bool(commit.positions) and set(commit.positions) <= set(self.store.positions())

    def _open(self) -> None:
        self.store = self._held.enter_context(self._open_store(again=self._was_open))
        self._was_open = True

    def _round(self) -> bool:
        """Give every log its turn; whether one of them has more."""
        for name in streams_of(self._paths):
            if name not in self._tails:
                self._tails[name] = Tail(self._stream(name), self)
                self._say(worded("following {name}", name=name))
        more = [tail.turn() for tail in list(self._tails.values())]
        for tail in self._tails.values():
            if tail.said != tail.problem:
                tail.said = tail.problem
                self._say(tail.problem or worded("{path}: is read again", path=tail.name.removesuffix(":")))
        return any(more)

    def _stream(self, name: str) -> Stream:
        if name == STDIN:
            return PipeStream(self.clock)
        if name.startswith(JOURNAL):
            return JournalStream(name, self.store.positions(), self.clock)
        if name == GRAPH and self._graph is not None:
            return self._graph(self.store.positions())
        if Path(name).is_dir():
            return DirectoryStream(name, self.known, self.clock)
        return FileStream(name, self.known, self.clock, followed_before=name in self._before)

    def _wakes(self) -> Iterator[object]:
        """Each time something may have come."""
        while not self.stop.is_set():
            paths = [path for path in self._paths if path not in {STDIN, GRAPH} and not path.startswith(JOURNAL)]
            folders = {str(folder) for folder in map(_folder, paths) if folder.is_dir()}
            yield None
            if not folders:
                self.stop.wait(LOOK)
                continue
            pause = int(LOOK * 1000)
            try:
                yield from watch(
                    *folders, recursive=False, step=20, debounce=50, rust_timeout=pause, yield_on_timeout=True,
                    stop_event=self.stop, raise_interrupt=True,
                )  # fmt: skip
            except OSError:
                self.stop.wait(LOOK)


def pauses() -> Iterator[float]:
    """Seconds between attempts."""
    pause = EVERY
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


class _Trouble:
    """What hinders one thing from being done, while it is tried again and again."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._since = following.clock()
        self._said: set[str] = set()
        self._pauses = pauses()

    def meet(self, error: StoreError) -> None:
        """Say it, once."""
        what = str(error)
        if what not in self._said:
            self._said.add(what)
            self._following.say(what)
        self._following.say_waiting(self._since, what)

    def wait(self) -> bool:
        """For a while, longer each time; whether to stop altogether."""
        stopped = self._following.stop.wait(next(self._pauses))
        if stopped:
            self._following.say_waiting(self._since, "")
        return stopped

    def over(self) -> None:
        """It was done."""
        if self._said:
            self._following.say(worded("the database answers again; reading goes on"))
            self._following.say_waiting(self._since, "")


class Tail:
    """One log on its way through the sources."""

    def __init__(self, stream: Stream, following: Following) -> None:
        self._stream = stream
        self._following = following
        self._reader: LogReader | None = None
        self._head = b""  # how the log begins
        self._changes = Changes()
        self._kept: Kept = {}
        self._bytes = 0
        self._read = 0
        self._committed = clocks.monotonic() - EVERY
        self._told: tuple[int, str] | None = None
        self._rates: deque[tuple[float, int, int]] = deque()
        self.said = ""

    @property
    def name(self) -> str:
        return self._stream.name

    @property
    def ended(self) -> bool:
        return self._stream.ended and not self._changes.lines

    @property
    def problem(self) -> str:
        """Why nothing comes of this log, "" where all is well."""
        if self._stream.problem:
            return self._stream.problem
        if self._reader is not None and self._reader.refusal:
            return worded("{place}: {words}", place=self.name, words=self._reader.refusal)
        if self._reader is not None and self._read >= STRANGE and not self._reader.recognised:
            kinds = ", ".join(kind.title for kind in self._following.reading.kinds)
            return worded("{path}: no line of a known kind of log ({kinds}); name the mail server's log", path=self.name, kinds=kinds)
        return ""

    def turn(self) -> bool:
        """Read what has come, for a while; whether there is more."""
        reader = self._reader = self._reader or self._begun()
        if reader is None:
            self._tell()
            return False
        until = clocks.monotonic() + SLICE
        for batch in self._stream.read():
            self._feed(batch, reader)
            if self._changes.size >= ROWS_A_COMMIT or self._bytes >= BYTES_A_COMMIT:
                self._commit(reader)
            if clocks.monotonic() > until:
                return True
        if self._changes.lines and clocks.monotonic() - self._committed >= EVERY:
            self._changes.take(reader.finish())
            self._commit(reader)
        self._tell()
        return False

    def close(self) -> None:
        """Keep what was read, if the store takes it at once: of a pipe it cannot be read again."""
        if self._reader is not None and self._changes.lines:
            self._commit(self._reader)
        self._stream.close()

    def _begun(self) -> LogReader | None:
        start = self._stream.begin()
        if start is None:
            return None
        following = self._following
        self._head = start.head or start.start
        reader = following.reading.reader(start.reference, following.clock(), start.year)
        reader.settle(start.sample, start.start, start.head)
        self._kept = resume(reader, following.store.remembered, following.reading.kinds, self.name, start.place, start.before)
        return reader

    def _feed(self, batch: bytes, reader: LogReader) -> None:
        self._bytes += len(batch)
        found = reader.feed(batch)
        self._read += found.lines
        self._changes.take(found)

    def _commit(self, reader: LogReader) -> None:
        following, changes = self._following, self._changes
        changes.gaps += self._stream.gaps()
        commit = following.names.apply(changes)
        commit.remembered += [entry._replace(stream=self.name) for entry in reader.remember()]
        self._kept |= by_server(commit.remembered)
        evidence = following.reading.evidence(reader, self._kept, self.name)
        commit.positions += self._stream.positions(following.reading.text, evidence)
        commit.intake = self._intake()
        state_report(commit, self.name, self._head)
        following.commit(commit)
        self._changes = Changes()
        self._bytes = 0
        self._committed = clocks.monotonic()

    def _tell(self) -> None:
        """Say how reading stands, where nothing else is committed that would."""
        now = clocks.monotonic()
        state = self._stream.behind, self.problem
        rated = bool(self._rates) and now - self._rates[-1][0] > RATED
        if self._told is not None and state[1] == self._told[1] and not rated and now - self._committed < TELL:
            return
        if rated:
            self._rates.clear()
        self._following.commit(Commit(Changes(gaps=self._stream.gaps()), intake=self._intake()))
        self._committed = now

    def _intake(self) -> Intake:
        changes, now = self._changes, clocks.monotonic()
        if changes.lines:
            self._rates.append((now, changes.lines, changes.size))
        while len(self._rates) > 1 and now - self._rates[0][0] > RATED:
            self._rates.popleft()
        lines, rows = (sum(entry[place] for entry in self._rates) / RATED for place in (1, 2))
        behind, problem = self._told = self._stream.behind, self.problem
        unread, added, newest = len(changes.unread), changes.size, max(changes.newest.values(), default=0)
        return Intake(self.name, changes.lines, changes.other, unread, added, lines, rows, behind, problem, newest)


def _folder(path: str) -> Path:
    """Where to watch for a path or a pattern."""
    found = Path(path)
    if found.is_dir():
        return found
    while any(sign in str(found) for sign in "*?["):
        found = found.parent
    return found if found.is_dir() else found.parent
