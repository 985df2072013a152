"""
Submissions in one DuckDB file.

    store = DuckStore("mail.duckdb", display_zone="Europe/Paris", read_only=False, default_domain=None, clock=clock)

One process writes; its threads ask at the same time, each through a cursor of its own, and see the last commit.

What goes wrong
    StoreError when the file cannot be opened, read or written; SelectionError when a question is asked with a filter
    or sorted by a column that it does not have.

See also
    interface.py, what is promised; duckdb_snapshot.py, what is asked; duckdb_writing.py, one commit
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock

import duckdb

from smtp_auth_report.changes import Applied, Commit, Position, Remembered, Withheld
from smtp_auth_report.errors import StoreError
from smtp_auth_report.store import duckdb_notes as notes
from smtp_auth_report.store.answering import AskedOneByOne
from smtp_auth_report.store.copying import refuse_part
from smtp_auth_report.store.duckdb_errors import explained
from smtp_auth_report.store.duckdb_opening import connect, migrate
from smtp_auth_report.store.duckdb_snapshot import Aside, DuckSnapshot, read_conditions
from smtp_auth_report.store.duckdb_writing import Writer
from smtp_auth_report.store.filters import Conditions
from smtp_auth_report.store.interface import (
    Selection,
    Snapshot,
)
from smtp_auth_report.store.local_time import bucket_minutes
from smtp_auth_report.store.relations import number_of_rows, rows
from smtp_auth_report.submission import Submission
from smtp_auth_report.words import worded

SPELLED = ", ".join(
    f"epoch_us(s.{name})" if name in ("opened", "time") else "coalesce(a.spelling, s.account)" if name == "account" else f"s.{name}"
    for name in Submission._fields
)
"""SQL for the fields of a Submission."""

AT_ONCE = 100_000
"""Rows that are sorted at once where all rows of a selection are read: some 50 MB."""


class DuckStore(AskedOneByOne):
    """See `Store` in interface.py."""

    def __init__(
        self,
        database: str,
        *,
        display_zone: str,
        read_only: bool,
        default_domain: str | None,
        clock: Callable[[], int],
        memory_limit: str = "",
    ) -> None:
        self._database = database
        self._read_only = read_only
        self.default_domain = default_domain
        self._connection = connect(database, read_only=read_only, memory_limit=memory_limit)
        self._writing = Lock()
        try:
            with explained(database):
                migrate(self._connection, database, read_only=read_only)
                refuse_part(database, dict(self._connection.execute("SELECT name, value FROM meta").fetchall()))
                self.bucket_minutes = self._bucket(display_zone, read_only=read_only)
                self._writer = Writer(
                    self._connection,
                    bucket_minutes=self.bucket_minutes,
                    display_zone=display_zone,
                    default_domain=default_domain,
                    clock=clock,
                )
        except BaseException:
            self._connection.close()
            raise

    def _bucket(self, display_zone: str, *, read_only: bool) -> int:
        """Width of the hourly sums; settled by the zone in which a database is first used."""
        settled = self._connection.execute("SELECT value FROM meta WHERE name = 'bucket_minutes'").fetchall()
        if settled or read_only:
            return int(settled[0][0])
        width = bucket_minutes(display_zone)
        self._connection.execute("INSERT INTO meta VALUES ('bucket_minutes', ?)", [str(width)])
        return width

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with explained(self._database), self._connection.cursor() as cursor:
            yield cursor

    def commit(self, commit: Commit) -> Applied:
        if self._read_only:
            raise StoreError(worded("{database}: cannot be written: it was opened for reading only", database=self._database))
        with self._writing, explained(self._database):
            return self._writer.apply(commit)

    def close(self) -> None:
        with self._writing, explained(self._database):
            self._connection.close()

    # What is kept beside the rows

    def positions(self) -> list[Position]:
        with self._cursor() as cursor:
            return notes.read_positions(cursor.execute)

    def remembered(self, source: str) -> list[Remembered]:
        with self._cursor() as cursor:
            return notes.read_remembered(cursor.execute, source)

    def names(self) -> tuple[set[str], set[str]]:
        with self._cursor() as cursor:
            known = cursor.execute("SELECT account, account_domain FROM accounts").fetchall()
        return {account for account, _ in known}, {domain for _, domain in known if domain is not None}

    def withheld(self) -> list[Withheld]:
        with self._cursor() as cursor:
            return notes.read_withheld(cursor.execute)

    def expire(self, before: int) -> int:
        with self._writing, explained(self._database):
            return self._writer.expire(before)

    def erase(self, account: str, key: str, remembered: Sequence[Remembered] = ()) -> int:
        with self._writing, explained(self._database):
            return self._writer.erase(account, key, remembered)

    def seal(self) -> None:
        more = True
        while more:
            with self._writing, explained(self._database):
                more = self._writer.seal()

    # Questions

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        with self._cursor() as cursor, self._cursor() as another, ThreadPoolExecutor(1) as thread:
            same = self._writing.acquire(blocking=False)  # no commit comes between the two
            try:
                for each in (cursor, another) if same else (cursor,):
                    each.execute("BEGIN TRANSACTION")
                    each.execute("SELECT count(*) FROM meta")  # a transaction sees the state in which it first reads
            finally:
                if same:
                    self._writing.release()
            yield DuckSnapshot(cursor, self.bucket_minutes, Aside(DuckSnapshot(another, self.bucket_minutes), thread) if same else None)

    # The rows themselves

    def submissions(self, selection: Selection, size: int = 10_000) -> Iterator[list[Submission]]:
        with self._cursor() as cursor:
            cursor.execute("BEGIN TRANSACTION")  # all of them are of one state, however long it takes
            conditions = read_conditions(cursor.execute, selection)
            for span in _spans(cursor, selection, conditions):
                query = rows(span, conditions, Submission._fields)
                spelled = f"SELECT {SPELLED} FROM ({query.sql}) AS s LEFT JOIN accounts AS a ON a.account = s.account"
                cursor.execute(f"{spelled} ORDER BY s.time, s.key, s.opened", query.parameters)
                while part := cursor.fetchmany(size):
                    yield [Submission(*row) for row in part]


def _spans(cursor: duckdb.DuckDBPyConnection, selection: Selection, conditions: Conditions) -> Iterator[Selection]:
    """The selection cut into spans of time, in their order, whose rows are few enough to be sorted in little memory."""
    waiting = [selection]
    while waiting:
        span = waiting.pop()
        query = number_of_rows(span, conditions)
        number = cursor.execute(query.sql, query.parameters).fetchall()[0][0]
        if number > AT_ONCE and span.end - span.start > 1:
            middle = (span.start + span.end) // 2
            waiting += [replace(span, start=middle), replace(span, end=middle)]
        elif number:
            yield span
