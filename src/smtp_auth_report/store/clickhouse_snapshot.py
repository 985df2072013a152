"""
What is asked of ClickHouse.

    with looking(clients) as seen:                  a session of its own, for one thread
        answer = seen.ask(question, selection, view)
    for rows in read_submissions(client, selection, 10_000): ...

What a snapshot promises here
    One question is of one state: all parts of a query see the same. So is whatever several questions of one `ask_all` have
    in common, which is added up once. What the store covers, and how it is set up, is read once.
    Between two questions other hosts may write: a later one sees at least what an earlier one saw, and may see more. That
    cannot be mended by a bound on when a row was written: of a row that was revised since, the engine keeps the earlier
    version only until it next merges, so a bound would show fewer rows than there ever were.

See also
    interface.py, what is promised; answering.py, how a question is answered; clickhouse_notes.py, what is beside the rows
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cached_property
from typing import Any

from smtp_auth_report.changes import Counted
from smtp_auth_report.errors import ReportError
from smtp_auth_report.moments import DAY
from smtp_auth_report.store import clickhouse_notes as notes
from smtp_auth_report.store.answering import Answering
from smtp_auth_report.store.clickhouse_client import Client, Clients
from smtp_auth_report.store.clickhouse_opening import settled
from smtp_auth_report.store.dialects import CLICKHOUSE
from smtp_auth_report.store.duckdb_forgetting import EXPIRED
from smtp_auth_report.store.filters import read_filters
from smtp_auth_report.store.interface import CountedReport, Progress, Selection, Snapshot, StreamState, Told, UnreadCount
from smtp_auth_report.store.relations import Parameters, rows
from smtp_auth_report.store.sums import HOURLY, ROWS, Coverage
from smtp_auth_report.submission import Submission

SORTED_IN_MEMORY = 256 << 20
"""Bytes of rows that are sorted in memory; more go to disk."""

EVER = 1 << 60
"""Later than any moment, microseconds UTC."""

SPELLED = ", ".join(
    CLICKHOUSE.micros.format(f"s.{name}")
    if name in ("opened", "time")
    else "coalesce(a.spelling, s.account)"
    if name == "account"
    else f"s.{name}"
    for name in Submission._fields
)
"""SQL for the fields of a Submission."""


@contextmanager
def looking(clients: Clients) -> Iterator[ClickSnapshot]:
    """A snapshot, until the block ends."""
    with clients.client() as client, ThreadPoolExecutor(1) as thread:
        seen = ClickSnapshot(client, clients, thread)
        try:
            yield seen
        except ReportError:
            seen.forget()
            raise
        seen.forget()


def read_submissions(client: Client, selection: Selection, size: int) -> Iterator[list[Submission]]:
    """Rows one by one, oldest first, in lists of `size`."""
    since = int(settled(client.rows).get(EXPIRED, 0))
    query = rows(selection, read_filters(selection, CLICKHOUSE), Submission._fields, since)
    spelled = f"SELECT {SPELLED} FROM ({query.sql}) AS s LEFT JOIN accounts AS a ON a.account = s.account"
    order = f"ORDER BY s.time, s.key, s.opened SETTINGS max_bytes_before_external_sort = {SORTED_IN_MEMORY}"
    found: list[Submission] = []
    for batch in client.batches(f"{spelled} {order}", query.parameters):
        found += [Submission(*row) for row in batch]
        while len(found) >= size:
            yield found[:size]
            found = found[size:]
    if found:
        yield found


class ClickSnapshot(Answering):
    """See `Snapshot` in interface.py."""

    dialect = CLICKHOUSE
    reads_rows = True

    def __init__(self, client: Client, clients: Clients, thread: ThreadPoolExecutor) -> None:
        super().__init__()
        self._client = client
        self._clients = clients
        self._thread = thread
        self._made: list[str] = []

    def forget(self) -> None:
        """Drop what was made for its questions."""
        while self._made:
            self._client.run(f"DROP TEMPORARY TABLE {self._made.pop()}")

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        yield self

    def beside(self, work: Callable[[Snapshot], Told]) -> Callable[[], Told]:
        return self._thread.submit(copy_context().run, self._aside, work).result

    def _aside(self, work: Callable[[Snapshot], Told]) -> Told:
        with looking(self._clients) as another:
            return work(another)

    def _rows(self, sql: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        return self._client.rows(sql, parameters)

    def _make(self, table: str, sql: str, parameters: Parameters) -> None:
        self._client.run(sql, parameters)
        self._made.append(table)

    @cached_property
    def _settled(self) -> dict[str, str]:
        return settled(self._client.rows)

    @property
    def _expired_before(self) -> int:
        return int(self._settled.get(EXPIRED, 0))

    @cached_property
    def _covered(self) -> Coverage:
        """There are no sums, so rows are read of whatever time is asked for."""
        return Coverage("", int(self._settled["bucket_minutes"]), 0, EVER, self._expired_before)

    @cached_property
    def _span(self) -> tuple[int, int] | None:
        found = [edge for edge in (self._span_expired(), self._span_of_rows()) if edge]
        return (min(first for first, _ in found), max(last for _, last in found)) if found else None

    def _span_expired(self) -> tuple[int, int] | None:
        if not self._expired_before:
            return None
        edges = ", ".join(self.dialect.micros.format(edge) for edge in ("min(first_seen)", "max(last_seen)"))
        sql = f"SELECT count(), {edges} FROM {HOURLY} WHERE bucket < {self.dialect.instant.format('$expired')}"
        ((number, first, last),) = self._rows(sql, {"expired": self._expired_before})
        return (first, last) if number else None

    def _span_of_rows(self) -> tuple[int, int] | None:
        """
        Between which moments rows were opened stands beside the parts, whatever was replaced since. Rows of the first such day
        and of the last tell a time; rows of an earlier or a later one are found by the index of times.
        """
        micros = self.dialect.micros
        ((first, last),) = self._rows(
            f"SELECT {micros.format('min(opened)')}, {micros.format('max(opened)')} FROM {ROWS} SETTINGS final = 0", {}
        )
        near = [self._edges(f"opened < {_moment(first + DAY)}"), self._edges(f"opened > {_moment(last - DAY)}")]
        if not all(near):
            return self._edges("1 = 1")
        low, high = min(edge[0] for edge in near if edge), max(edge[1] for edge in near if edge)
        beyond = self._edges(f"(time < {_moment(low)} OR time > {_moment(high)})") or (low, high)
        return min(low, beyond[0]), max(high, beyond[1])

    def _edges(self, where: str) -> tuple[int, int] | None:
        """Times of the first and the last of rows that have not expired."""
        edges = ", ".join(self.dialect.micros.format(edge) for edge in ("min(time)", "max(time)"))
        sql = f"SELECT count(), {edges} FROM {ROWS} WHERE time >= {_moment(self._expired_before)} AND {where}"
        ((number, first, last),) = self._rows(sql, {})
        return (first, last) if number else None

    # What is kept beside the rows

    def unread(self, start: int | None = None, end: int | None = None) -> list[UnreadCount]:
        return notes.read_unread(self._client, start, end)

    def gaps(self, start: int, end: int) -> int:
        return notes.read_gaps(self._client, start, end)

    def progress(self) -> list[Progress]:
        return notes.read_progress(self._client)

    def streams(self) -> list[StreamState]:
        return notes.read_streams(self._client)

    def counted_reports(self, scope: frozenset[str] | None = None) -> list[CountedReport]:
        return notes.read_reports(self._client, scope)

    def counted(self, report: str, limit: int, scope: frozenset[str] | None = None) -> list[Counted]:
        return notes.read_counted(self._client, report, limit, scope)


def _moment(time: int) -> str:
    return CLICKHOUSE.instant.format(time)
