"""
Submissions in ClickHouse: in a server that several hosts write to, or in a folder of this process (chDB).

    store = ClickStore("clickhouse://report@ch.example:8443/mail?secure=1", state=path, password="…", display_zone=…, …)

Every host has a state of its own (`--state`), in which it keeps how far it has read; the rows of all are in one database.

What goes wrong
    StoreError when the server or the folder cannot be opened, read or written, each with what to do about it;
    SettingError for a name that says neither; SelectionError for a question with a filter or a column that there is not.

See also
    interface.py, what is promised; clickhouse_snapshot.py, what is asked; clickhouse_writing.py, one commit
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from smtp_auth_report.changes import Applied, Commit, Position, Remembered, Withheld
from smtp_auth_report.errors import InUseError, StoreError
from smtp_auth_report.store import clickhouse_notes as notes
from smtp_auth_report.store.answering import AskedOneByOne
from smtp_auth_report.store.clickhouse_client import Client, Clients, Place, placed
from smtp_auth_report.store.clickhouse_errors import explained, holder, quiet
from smtp_auth_report.store.clickhouse_opening import prepare
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


class ClickStore(AskedOneByOne):
    """See `Store` in interface.py."""

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
    ) -> None:
        place = placed(database)
        self._name = place.name
        self.default_domain = default_domain
        self._writing = Lock()
        self._clients = connected(place, password, read_only=read_only)
        try:
            with explained(self._name), self._clients.client() as client:
                settled = prepare(client.rows, self._name, read_only=read_only, zone=display_zone, now=clock())
                refuse_part(self._name, settled)
                self.bucket_minutes = int(settled["bucket_minutes"])
                self._state = None if read_only else ReadingState(state, settled["store"])  # who only reads keeps nothing
                if self._state is not None:
                    register(client, self._state.writer, socket.gethostname(), clock())
            self._writer = None
            if self._state is not None:
                self._writer = ClickWriter(
                    self._clients,
                    self._state,
                    bucket_minutes=self.bucket_minutes,
                    display_zone=display_zone,
                    default_domain=default_domain,
                    clock=clock,
                    memory_limit=memory_limit,
                )
        except BaseException:
            self._clients.close()
            raise

    @contextmanager
    def _client(self) -> Iterator[Client]:
        with explained(self._name), self._clients.client() as client:
            yield client

    @contextmanager
    def _to_write(self) -> Iterator[ClickWriter]:
        if self._writer is None:
            raise StoreError(worded("{database}: cannot be written: it was opened for reading only", database=self._name))
        with explained(self._name):
            yield self._writer

    def commit(self, commit: Commit) -> Applied:
        with self._to_write() as writer, self._writing:
            return writer.apply(commit)

    def close(self) -> None:
        with self._writing, explained(self._name):
            if self._writer is not None:
                self._writer.close()
            self._clients.close()

    # What is kept beside the rows

    def positions(self) -> list[Position]:
        return self._state.positions() if self._state is not None else []

    def remembered(self, source: str) -> list[Remembered]:
        return self._state.remembered(source) if self._state is not None else []

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
        with explained(self._name), looking(self._clients) as seen:
            yield seen

    def streams(self) -> list[StreamState]:
        """Those of this host have their own names, those of others the host's before it where there are several of a name."""
        here = f"{socket.gethostname()}: "
        return [each._replace(stream=each.stream.removeprefix(here)) for each in super().streams()]

    # The rows themselves

    def submissions(self, selection: Selection, size: int = 10_000) -> Iterator[list[Submission]]:
        with self._client() as client:
            yield from read_submissions(client, selection, size)


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
