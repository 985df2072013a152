"""
Submissions in ClickHouse: in a server that several hosts write to, or in a folder of this process (chDB).

    store = ClickStore("clickhouse://report@ch.example:8443/mail?secure=1", state=path, password="…", display_zone=…, …)

Every host has a state of its own (`--state`), in which it keeps how far it has read; the rows of all are in one database.

What goes wrong
    AwayError when the server does not answer, or not as it should, StoreError when a folder cannot be opened, read or written,
    each with what to do about it;
    SettingError for a name that says neither; SelectionError for a question with a filter or a column that there is not.

See also
    interface.py, what is promised; clickhouse_snapshot.py, what is asked; clickhouse_writing.py, one commit
"""

from __future__ import annotations

import socket
import time as clocks
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from smtp_auth_report.changes import Applied, Commit, Position, Remembered, Withheld
from smtp_auth_report.errors import AwayError, InUseError, StoreError
from smtp_auth_report.store import clickhouse_notes as notes
from smtp_auth_report.store.answering import AskedOneByOne
from smtp_auth_report.store.clickhouse_client import Client, Clients
from smtp_auth_report.store.clickhouse_errors import explained, holder, is_refused, quiet
from smtp_auth_report.store.clickhouse_opening import prepare
from smtp_auth_report.store.clickhouse_place import Place, placed
from smtp_auth_report.store.clickhouse_snapshot import looking, read_submissions
from smtp_auth_report.store.clickhouse_writing import ClickWriter, register
from smtp_auth_report.store.copying import refuse_part
from smtp_auth_report.store.interface import (
    Selection,
    Snapshot,
    StreamState,
)
from smtp_auth_report.store.reading_state import ReadingState
from smtp_auth_report.submission import Submission
from smtp_auth_report.words import worded

ASK_AGAIN = 2.0
"""Seconds after which a server that did not answer is tried again by whoever asks something."""


class Given(NamedTuple):
    """What opening takes besides its place."""

    display_zone: str
    default_domain: str | None
    clock: Callable[[], int]
    password: str
    memory_limit: str
    read_only: bool
    serving: bool


class _Open(NamedTuple):
    """A database that answers."""

    clients: Clients
    bucket_minutes: int
    state: ReadingState | None  # who only reads keeps nothing
    writer: ClickWriter | None


class ClickStore(AskedOneByOne):
    """
    See `Store` in interface.py. One that is `serving` takes a server as it is: it is opened once that answers, and read-only
    where no more is allowed.
    """

    def __init__(
        self,
        database: str,
        *,
        state: Path,
        display_zone: str,
        read_only: bool,
        default_domain: str | None,
        clock: Callable[[], int],
        password: str = "",
        memory_limit: str = "",
        serving: bool = False,
    ) -> None:
        self._place = placed(database)
        self.default_domain = default_domain
        self._state_path = state
        self._given = Given(display_zone, default_domain, clock, password, memory_limit, read_only, serving)
        self._writing = Lock()
        self._opening = Lock()
        self._open: _Open | None = None
        self._away: tuple[float, str] | None = None
        try:
            self._opened()
        except AwayError:
            if not serving:
                raise

    def _opened(self) -> _Open:
        """What is open; opened now where the server did not answer before. All who ask meanwhile are told the same."""
        if self._open is not None:
            return self._open
        with self._opening:
            if self._away is not None and clocks.monotonic() - self._away[0] < ASK_AGAIN:
                raise AwayError(self._away[1])
            try:
                self._open = self._open or opened(self._place, self._state_path, self._given)
            except AwayError as error:
                self._away = clocks.monotonic(), str(error)
                raise
            return self._open

    @property
    def bucket_minutes(self) -> int:
        return self._opened().bucket_minutes

    @contextmanager
    def _client(self) -> Iterator[Client]:
        with explained(self._place.name), self._opened().clients.client() as client:
            yield client

    @contextmanager
    def _to_write(self) -> Iterator[ClickWriter]:
        writer = self._opened().writer
        if writer is None:
            raise StoreError(worded("{database}: cannot be written: it was opened for reading only", database=self._place.name))
        with explained(self._place.name):
            yield writer

    def commit(self, commit: Commit) -> Applied:
        with self._to_write() as writer, self._writing:
            return writer.apply(commit)

    def close(self) -> None:
        if self._open is None:
            return
        with self._writing, explained(self._place.name):
            if self._open.writer is not None:
                self._open.writer.close()
            self._open.clients.close()

    # What is kept beside the rows

    def positions(self) -> list[Position]:
        state = self._opened().state
        return state.positions() if state is not None else []

    def remembered(self, source: str) -> list[Remembered]:
        state = self._opened().state
        return state.remembered(source) if state is not None else []

    def names(self) -> tuple[set[str], set[str]]:
        with self._client() as client:
            known = client.rows("SELECT account, account_domain FROM accounts")
        return {account for account, _ in known}, {domain for _, domain in known if domain is not None}

    def withheld(self) -> list[Withheld]:
        with self._client() as client:
            return notes.read_withheld(client)

    def expire(self, before: int) -> int:
        with self._to_write() as writer:
            return writer.expire(before)

    def erase(self, account: str, key: str, remembered: Sequence[Remembered] = ()) -> int:
        with self._to_write() as writer:
            return writer.erase(account, key, remembered)

    def seal(self) -> None:
        """There are no sums besides the rows: ClickHouse adds them up as they are."""

    # Questions

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        with explained(self._place.name), looking(self._opened().clients) as seen:
            yield seen

    def streams(self) -> list[StreamState]:
        """Those of this host have their own names, those of others the host's before it where there are several of a name."""
        here = f"{socket.gethostname()}: "
        return [each._replace(stream=each.stream.removeprefix(here)) for each in super().streams()]

    # The rows themselves

    def submissions(self, selection: Selection, size: int = 10_000) -> Iterator[list[Submission]]:
        with self._client() as client:
            yield from read_submissions(client, selection, size)


def opened(place: Place, state_path: Path, given: Given) -> _Open:
    """The database, its tables made where there are none."""
    clients = connected(place, given.password, read_only=given.read_only)
    try:
        with explained(place.name), clients.client() as client:
            settled = prepare(client.rows, place, read_only=given.read_only, zone=given.display_zone, now=given.clock())
            refuse_part(place.name, settled)
            minutes = int(settled["bucket_minutes"])
            if given.read_only:
                return _Open(clients, minutes, None, None)
            state = ReadingState(state_path, settled["store"])
            if not _registered(client, state, given):
                return _Open(clients, minutes, None, None)
        writer = ClickWriter(
            clients,
            state,
            bucket_minutes=minutes,
            display_zone=given.display_zone,
            default_domain=given.default_domain,
            clock=given.clock,
            memory_limit=given.memory_limit,
        )
    except BaseException:
        clients.close()
        raise
    return _Open(clients, minutes, state, writer)


def _registered(client: Client, state: ReadingState, given: Given) -> bool:
    """Whether this host may write; one that only serves need not."""
    try:
        register(client, state.writer, socket.gethostname(), given.clock())
    except Exception as error:  # of an extra's classes, and refusals have no class of their own; what is none is raised again
        if given.serving and is_refused(error):
            return False
        raise
    return True


def connected(place: Place, password: str, *, read_only: bool) -> Clients:
    """Connections to a server, or to a folder that this process alone has open."""
    quiet()
    if place.folder:
        if pid := holder(place.folder):
            words = worded("is in use by another process (pid {0}); wait until it has ended, or stop it").format(pid)
            raise InUseError(worded("{place}: {words}", place=place.name, words=words))
        if read_only and not Path(place.folder).exists():
            words = worded("no such database; run ingest first, or choose another path with --database")
            raise StoreError(worded("{place}: {words}", place=place.name, words=words))
    with explained(place.name):
        return Clients(place, password)
