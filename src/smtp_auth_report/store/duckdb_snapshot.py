"""
What is asked of a DuckDB file, all of one state.

    seen = DuckSnapshot(cursor, bucket_minutes)      of a cursor in a transaction; for one thread
    seen = DuckSnapshot(cursor, bucket_minutes, Aside(another, thread))     the same, with another snapshot of the same state
    answer = seen.ask(question, selection, view)

What there are sums of is read once.

See also
    interface.py, what is promised; answering.py, how a question is answered
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cached_property
from typing import Any, NamedTuple

import duckdb

from smtp_auth_report.changes import Counted
from smtp_auth_report.store import duckdb_notes as notes
from smtp_auth_report.store.answering import Answering
from smtp_auth_report.store.dialects import DUCKDB
from smtp_auth_report.store.duckdb_counted import read_counted, read_reports
from smtp_auth_report.store.duckdb_forgetting import expired_before
from smtp_auth_report.store.duckdb_sealing import read_coverage
from smtp_auth_report.store.filters import Conditions, like, read_filters, within
from smtp_auth_report.store.interface import (
    CountedReport,
    Progress,
    Selection,
    Snapshot,
    StreamState,
    Told,
    UnreadCount,
    at_once,
)
from smtp_auth_report.store.relations import Parameters
from smtp_auth_report.store.sums import Coverage

Execute = Callable[..., duckdb.DuckDBPyConnection]

NEAR = "SELECT DISTINCT client_ip FROM clients, (SELECT unnest($1) AS pattern) WHERE client_ip LIKE pattern"


def read_conditions(run: Execute, selection: Selection) -> Conditions:
    """Filters of a selection, with networks resolved to the addresses that the store has in them."""
    conditions = read_filters(selection, DUCKDB)
    if conditions.networks:
        near = run(NEAR, [sorted(set(map(like, conditions.networks)))]).fetchall()
        conditions.addresses |= within(conditions.networks, (row[0] for row in near))
    conditions.networks.clear()
    return conditions


class Aside(NamedTuple):
    """A second snapshot of the same state, and the thread that it is for."""

    seen: DuckSnapshot
    thread: Executor


class DuckSnapshot(Answering):
    """See `Snapshot` in interface.py."""

    dialect = DUCKDB

    def __init__(self, cursor: duckdb.DuckDBPyConnection, bucket_minutes: int, aside: Aside | None = None) -> None:
        super().__init__()
        self._run = cursor.execute
        self._bucket_minutes = bucket_minutes
        self._aside = aside

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        yield self

    def beside(self, work: Callable[[Snapshot], Told]) -> Callable[[], Told]:
        if not self._aside:
            return at_once(work, self)
        self._aside.seen._covered = self._covered  # noqa: SLF001 (it is of the same state)
        return self._aside.thread.submit(copy_context().run, work, self._aside.seen).result

    def _rows(self, sql: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        return self._run(sql, parameters).fetchall()

    def _make(self, table: str, sql: str, parameters: Parameters) -> None:  # noqa: ARG002 (it ends with the cursor)
        self._run(sql, parameters)

    @cached_property
    def _covered(self) -> Coverage:
        return read_coverage(self._run, self._bucket_minutes)

    @property
    def _span(self) -> tuple[int, int] | None:
        return None if self._covered.last < 0 else (self._covered.first, self._covered.last)

    @property
    def _expired_before(self) -> int:
        return expired_before(self._run)

    def _conditions(self, selection: Selection) -> Conditions:
        return read_conditions(self._run, selection)

    # What is kept beside the rows

    def unread(self, start: int | None = None, end: int | None = None) -> list[UnreadCount]:
        return notes.read_unread(self._run, start, end)

    def gaps(self, start: int, end: int) -> int:
        return notes.read_gaps(self._run, start, end)

    def progress(self) -> list[Progress]:
        return notes.read_progress(self._run)

    def streams(self) -> list[StreamState]:
        return notes.read_streams(self._run)

    def counted_reports(self, scope: frozenset[str] | None = None) -> list[CountedReport]:
        return read_reports(self._run, scope)

    def counted(self, report: str, limit: int, scope: frozenset[str] | None = None) -> list[Counted]:
        return read_counted(self._run, report, limit, scope)
