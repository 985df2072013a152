"""
Microsoft Graph as a log that is followed: sign-ins are asked for every five minutes, and come as one JSON object a line.

    GraphStream(client, tenant, positions, clock)

Sign-ins arrive late, so each question goes back some hours before the newest that is known. What came before is told by
its content, and after a restart by its identity in the store. The position is the time of the newest sign-in, kept when
the last page of a question was read: a question that was broken off is asked anew.

A thread of its own asks, so that no other log waits. It is at most some pages ahead of what is read.

What goes wrong
    Nothing is raised. Throttling, an expired token, a network that is down, an answer that makes no sense: `problem` says it
    in one line, and the same page is asked for again, after as long as Graph says, else after a pause that grows to ten minutes.

See also
    graph_client.py for one page; live.py for who reads this; sources/entra.py for what the lines mean
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, NamedTuple, Protocol

from smtp_auth_report.changes import Gap, Position
from smtp_auth_report.checkpoint import furthest
from smtp_auth_report.follow import Start
from smtp_auth_report.graph_client import GraphError, Page
from smtp_auth_report.moments import DAY, HOUR, SECOND, micros
from smtp_auth_report.words import worded

GRAPH = "graph:"
EVERY = 300.0
"""Seconds between questions."""

KEPT = 30 * DAY
"""How far back Entra remembers, at most."""

LATE = 6 * HOUR
"""How late a sign-in may arrive."""

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0
LONGEST_WAIT = 3600.0
AHEAD = 4

Clock = Callable[[], int]


class Client(Protocol):
    """See GraphClient."""

    def first(self, since: int) -> str: ...

    def page(self, address: str) -> Page: ...


class Part(NamedTuple):
    """Sign-ins of one page, as lines."""

    lines: bytes
    newest: int | None  # the position when they are committed; None while more of the same question is to come


class Fresh(NamedTuple):
    """Sign-ins of one page that did not come before."""

    lines: bytes
    seen: Mapping[bytes, int]  # their content -> their time
    newest: int  # time of the newest of the page; 0 where none tells


class GraphStream:
    """See `Stream` in follow.py."""

    name = GRAPH
    ended = False
    behind = 0

    def __init__(
        self,
        client: Client,
        tenant: str,
        positions: Iterable[Position],
        clock: Clock,
        *,
        every: float = EVERY,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._head = f"{GRAPH}{tenant}"
        found = furthest(positions, self._head)
        self._read = self._marked = found.offset if found else 0
        self._newest = int(found.tail) if found else None
        self._clock = clock
        self._stop = Event()
        self._parts: Queue[Part] = Queue(AHEAD)
        self._polling = _Polling(client, clock, self._newest, self._put, self._stop, every, first_pause)
        self._thread: Thread | None = None

    @property
    def problem(self) -> str:
        problem = self._polling.problem
        return f"{self.name} {problem}" if problem else ""

    def begin(self) -> Start | None:
        """The stamps of sign-ins leave nothing open."""
        if self._thread is None:
            self._thread = Thread(target=self._polling.run, name="graph", daemon=True)
            self._thread.start()
        return Start([], b"", self._clock(), None)

    def read(self) -> Iterator[bytes]:
        """Sign-ins that have come since, one JSON object a line."""
        while True:
            try:
                part = self._parts.get_nowait()
            except Empty:
                return
            self._read += part.lines.count(b"\n")
            self._newest = part.newest if part.newest is not None else self._newest
            yield part.lines

    def positions(self, options: str, evidence: str) -> list[Position]:
        """Where the next question begins; none while the first is not answered whole."""
        if self._marked == self._read or self._newest is None:
            return []
        self._marked = self._read
        return [Position(self._head, 0, self._read, str(self._newest), self.name, options, evidence)]

    def gaps(self) -> list[Gap]:
        return []

    def close(self) -> None:
        """The thread ends by itself."""
        self._stop.set()

    def _put(self, part: Part) -> None:
        while not self._stop.is_set():
            try:
                self._parts.put(part, timeout=0.5)
            except Full:
                continue
            return


class _Polling:
    """The thread that asks."""

    def __init__(
        self, client: Client, clock: Clock, newest: int | None, put: Callable[[Part], None], stop: Event, every: float, first_pause: float
    ) -> None:
        self.problem = ""
        self._client = client
        self._clock = clock
        self._newest = newest
        self._put = put
        self._stop = stop
        self._every = every
        self._first_pause = first_pause
        self._pause = first_pause
        self._seen: dict[bytes, int] = {}  # sign-ins by their content -> their time

    def run(self) -> None:
        """Ask until told to stop."""
        pause = 0.0
        while not self._stop.wait(pause):
            try:
                self._ask()
                pause = self._every
            except GraphError as problem:
                pause = self._told(problem)
            except Exception as error:  # noqa: BLE001 - a thread that dies is a log that stands still, and nobody is told
                pause = self._told(GraphError(worded("a mistake of this program: {name}; please report it", name=type(error).__name__)))

    def _ask(self) -> None:
        """All pages of one question."""
        now = self._clock()
        since = now - KEPT if self._newest is None else self._newest - LATE
        self._seen = {content: time for content, time in self._seen.items() if time >= since}
        newest, waiting = self._newest or 0, Fresh(b"", {}, 0)
        address = self._client.first(since)
        while address:
            page = self._page(address)
            if page is None:
                return
            fresh = self._fresh(page.sign_ins, waiting)
            newest = max(newest, min(fresh.newest, now))
            if fresh.lines:
                self._hand_over(waiting, None)
                waiting = fresh
            address = page.following
        if waiting.lines:
            self._newest = newest or self._newest
            self._hand_over(waiting, self._newest)

    def _hand_over(self, fresh: Fresh, newest: int | None) -> None:
        """From now on they have come before; what a broken question did not hand over has not."""
        if fresh.lines:
            self._put(Part(fresh.lines, newest))
            self._seen |= fresh.seen

    def _page(self, address: str) -> Page | None:
        """A page, however long it takes; None if told to stop."""
        while True:
            try:
                page = self._client.page(address)
            except GraphError as problem:
                if problem.anew:
                    raise
                if self._stop.wait(self._told(problem)):
                    return None
                continue
            self.problem, self._pause = "", self._first_pause
            return page

    def _told(self, problem: GraphError) -> float:
        """Say what is wrong; for how long to wait."""
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        if problem.wait is not None:
            pause = max(min(problem.wait, LONGEST_WAIT), self._first_pause / 5)
        self.problem = worded("{problem}; asking again in {pause} s", problem=problem, pause=max(1, round(pause)))
        return pause

    def _fresh(self, sign_ins: list[Any], waiting: Fresh) -> Fresh:
        """Those that did not come before, and are not among these that wait."""
        lines, newest = [], 0
        seen: dict[bytes, int] = {}
        for sign_in in sign_ins:
            line = json.dumps(sign_in, separators=(",", ":")).encode()
            content = blake2b(line, digest_size=16).digest()
            time = time_of(sign_in)
            newest = max(newest, time)
            if content in self._seen or content in waiting.seen or content in seen:
                continue
            seen[content] = time or self._clock()
            lines.append(line + b"\n")
        return Fresh(b"".join(lines), seen, newest)


def time_of(sign_in: Any) -> int:
    """When it was; 0 where it does not tell."""
    told = sign_in.get("createdDateTime") if isinstance(sign_in, dict) else None
    try:
        moment = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return 0
    if moment is None or moment.year < 2000:
        return 0
    whole = micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return whole - whole % SECOND
