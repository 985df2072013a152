"""
How far this host has read, where the rows are in ClickHouse: an SQLite file beside the people and requests of the state.

    state = ReadingState(path, store)          `store` tells one ClickHouse database from another
    with state.committing() as step:           one commit at a time, of whatever process; kept only if nothing goes wrong
        step.written                           of what is written now: later than all before
        step.add_unread(hour, 3, last)         what this host has counted in all
        step.keep_positions(positions)
    state.positions()                          as of the last commit

The file is written last, when everything else has been: who stops before reads the same lines again, writes the same rows,
and counts from the same totals. Lost, it is made anew: logs are read again from their beginning, rows stay what they are,
and unread lines count twice.

What goes wrong
    StoreError: the file cannot be made, read or written; another process of this host commits for longer than a minute.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from smtp_auth_report.changes import Intake, Position, Remembered
from smtp_auth_report.errors import InUseError, StoreError
from smtp_auth_report.store.filters import clean
from smtp_auth_report.store.noting import Hour, Kind
from smtp_auth_report.words import worded

PATIENCE = 60.0
"""Seconds that another commit of this host may take."""

ROOM = 2000
"""Numbers that work beside commits takes at most."""

TABLES = """
CREATE TABLE IF NOT EXISTS writers (
    store TEXT PRIMARY KEY, writer INTEGER NOT NULL, written INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS positions (
    store TEXT, head TEXT, head_size INTEGER, "offset" INTEGER, tail TEXT, path TEXT, options TEXT, evidence TEXT,
    PRIMARY KEY (store, head, head_size, options)
);
CREATE TABLE IF NOT EXISTS remembered (
    store TEXT, source TEXT, server TEXT, newest INTEGER, sessions TEXT, stream TEXT, PRIMARY KEY (store, source, server, stream)
);
CREATE TABLE IF NOT EXISTS unread (
    store TEXT, source TEXT, server TEXT, reason TEXT, hour INTEGER, lines INTEGER, last INTEGER,
    PRIMARY KEY (store, source, server, reason, hour)
);
CREATE TABLE IF NOT EXISTS samples (
    store TEXT, source TEXT, server TEXT, reason TEXT, number INTEGER, PRIMARY KEY (store, source, server, reason)
);
CREATE TABLE IF NOT EXISTS progress (
    store TEXT, source TEXT, server TEXT, newest INTEGER, version TEXT, PRIMARY KEY (store, source, server)
);
CREATE TABLE IF NOT EXISTS streams (
    store TEXT, stream TEXT, lines INTEGER, other INTEGER, unread INTEGER, rows INTEGER, newest INTEGER, PRIMARY KEY (store, stream)
);
"""

ADD_STREAM = """
INSERT INTO streams VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    lines = lines + excluded.lines, other = other + excluded.other, unread = unread + excluded.unread,
    rows = rows + excluded.rows, newest = max(newest, excluded.newest)
RETURNING lines, other, unread, rows, newest
"""

ADD_UNREAD = """
INSERT INTO unread VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    lines = lines + excluded.lines, last = max(last, excluded.last)
RETURNING lines, last
"""

ADD_SAMPLES = """
INSERT INTO samples VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number RETURNING number
"""

ADD_PROGRESS = """
INSERT INTO progress VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    newest = max(newest, excluded.newest), version = coalesce(nullif(excluded.version, ''), version)
RETURNING newest, version
"""


class ReadingState:
    """Of one host, for one database."""

    def __init__(self, path: Path, store: str) -> None:
        self._path = path
        self._store = store
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection:
                connection.execute("PRAGMA journal_mode = WAL")  # whoever asks for positions does not wait for a commit
                connection.executescript(TABLES)
                known = (store, secrets.randbits(63), 0)
                connection.execute("INSERT INTO writers VALUES (?, ?, ?) ON CONFLICT DO NOTHING", known)
                self.writer = int(connection.execute("SELECT writer FROM writers WHERE store = ?", [store]).fetchone()[0])

    @contextmanager
    def committing(self, now: int) -> Iterator[Step]:
        """What is written last, once nothing went wrong; until then no other process of this host commits."""
        with self._told(), closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            step = Step(connection.execute, self._store, now)
            yield step
            connection.execute("UPDATE writers SET written = ? WHERE store = ?", [step.written, self._store])
            connection.execute("COMMIT")

    def positions(self) -> list[Position]:
        rows = self._read('SELECT head, head_size, "offset", tail, path, options, evidence FROM positions WHERE store = ? ORDER BY 1, 2, 3')
        return [Position(*row) for row in rows]

    def remembered(self, source: str) -> list[Remembered]:
        sql = "SELECT source, server, newest, sessions, stream FROM remembered WHERE store = ? AND source = ? ORDER BY server, newest"
        return [Remembered(*row) for row in self._read(sql, source)]

    def every_remembered(self) -> list[Remembered]:
        """Of all kinds of logs."""
        return [Remembered(*row) for row in self._read("SELECT source, server, newest, sessions, stream FROM remembered WHERE store = ?")]

    def streams(self) -> set[str]:
        """Logs that this host has followed."""
        return {row[0] for row in self._read("SELECT stream FROM streams WHERE store = ?")}

    def _read(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self._told(), closing(self._connect()) as connection:
            return connection.execute(sql, [self._store, *parameters]).fetchall()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # of sessions that are erased no byte stays
        return connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.DatabaseError) as error:
            kind = InUseError if "locked" in str(error) else StoreError
            words = worded("where reading stopped cannot be kept or read: {error}; see to the file and its folder", error=error)
            raise kind(worded("{place}: {words}", place=self._path, words=words)) from None


class Rising:
    """Numbers for what is written, in steps of half a microsecond: each later than those before."""

    def __init__(self, written: int) -> None:
        self.written = written

    def later(self) -> int:
        """Of what is written after something else."""
        self.written += 2
        return self.written

    def after(self, written: int) -> None:
        """What follows is written later than this."""
        self.written = max(self.written, (written + 1) // 2 * 2)


class Step(Rising):
    """One commit."""

    def __init__(self, run: Callable[..., sqlite3.Cursor], store: str, now: int) -> None:
        last = int(run("SELECT written FROM writers WHERE store = ?", [store]).fetchone()[0])
        super().__init__(max(2 * now, last + 2))
        self._run = run
        self._store = store

    def apart(self) -> Rising:
        """Numbers for work that takes long, while other commits go on."""
        numbers = Rising(self.written)
        self.written += ROOM
        return numbers

    def keep_positions(self, positions: Iterable[Position]) -> None:
        self._replace("positions", positions)

    def keep_remembered(self, remembered: Iterable[Remembered]) -> None:
        """Instead of what was remembered before."""
        self._replace("remembered", remembered)

    def add_unread(self, hour: Hour, lines: int, last: int) -> tuple[int, int]:
        """All lines of this kind and hour that this host could not read, and the last."""
        found: tuple[int, int] = self._run(ADD_UNREAD, [self._store, *hour, lines, last]).fetchone()
        return found

    def add_samples(self, kind: Kind, number: int, most: int) -> range:
        """Numbers for so many more samples of a kind, as far as there is room for them."""
        after = int(self._run(ADD_SAMPLES, [self._store, *kind, number]).fetchone()[0])
        return range(after - number, min(after, most))

    def add_progress(self, source: str, server: str, newest: int, version: str) -> tuple[int, str]:
        """The newest line that was read of a server's log, and the version of the server."""
        found: tuple[int, str] = self._run(ADD_PROGRESS, [self._store, source, server, newest, version]).fetchone()
        return found

    def add_intake(self, intake: Intake) -> Sequence[int]:
        """Lines, those not about submission, unread ones, rows and the newest, of a log in all."""
        values = (clean(intake.stream), intake.lines, intake.other, intake.unread, intake.rows, intake.newest)
        found: Sequence[int] = self._run(ADD_STREAM, [self._store, *values]).fetchone()
        return found

    def kinds(self) -> list[tuple[str, str]]:
        """Source and server of all that was read."""
        return self._run("SELECT source, server FROM progress WHERE store = ?", [self._store]).fetchall()

    def _replace(self, table: str, entries: Iterable[Sequence[Any]]) -> None:
        for entry in entries:
            values = [self._store, *(clean(value) if isinstance(value, str) else value for value in entry)]
            self._run(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' for _ in values)})", values)  # noqa: S608 - names of ours
