"""
What is asked of a DuckDB file, all of one state.

    seen = DuckSnapshot(cursor, bucket_minutes)      of a cursor in a transaction; for one thread
    seen = DuckSnapshot(cursor, bucket_minutes, Aside(another, thread))     the same, with another snapshot of the same state
    answer = seen.ask(question, selection, view)

What there are sums of is read once, and so is what several questions of one `ask_all` need: it is added up into a table
that lasts as long as the cursor.

See also
    interface.py, what is promised; relations.py, what questions read
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cached_property
from typing import NamedTuple

import duckdb

from smtp_auth_report.changes import Counted
from smtp_auth_report.errors import SelectionError
from smtp_auth_report.store import duckdb_notes as notes
from smtp_auth_report.store.dialects import DUCKDB
from smtp_auth_report.store.duckdb_counted import read_counted, read_reports
from smtp_auth_report.store.duckdb_sealing import read_coverage
from smtp_auth_report.store.filters import COLUMNS, NULL_SENDER, UNKNOWN, Conditions, like, read_filters, within
from smtp_auth_report.store.interface import (
    Answer,
    Asked,
    CountedReport,
    Progress,
    Question,
    Selection,
    Snapshot,
    StreamState,
    Told,
    UnreadCount,
    View,
    at_once,
)
from smtp_auth_report.store.relations import Base, Reader, answer, in_common, is_whole, number_of_rows
from smtp_auth_report.store.sums import Coverage
from smtp_auth_report.words import worded

Execute = Callable[..., duckdb.DuckDBPyConnection]


def read_conditions(run: Execute, selection: Selection) -> Conditions:
    """Filters of a selection, with networks resolved to the addresses that the store has in them."""
    conditions = read_filters(selection, DUCKDB)
    for network in conditions.networks:
        near = run("SELECT DISTINCT client_ip FROM clients WHERE client_ip LIKE ?", [like(network)]).fetchall()
        conditions.addresses |= within([network], (row[0] for row in near))
    return conditions


class Aside(NamedTuple):
    """A second snapshot of the same state, and the thread that it is for."""

    seen: DuckSnapshot
    thread: Executor


class DuckSnapshot:
    """See `Snapshot` in interface.py."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, bucket_minutes: int, aside: Aside | None = None) -> None:
        self._run = cursor.execute
        self._bucket_minutes = bucket_minutes
        self._bases = 0
        self._aside = aside

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        yield self

    def beside(self, work: Callable[[Snapshot], Told]) -> Callable[[], Told]:
        return self._aside.thread.submit(copy_context().run, work, self._aside.seen).result if self._aside else at_once(work, self)

    @cached_property
    def _coverage(self) -> Coverage:
        return read_coverage(self._run, self._bucket_minutes)

    def ask(self, question: Question, selection: Selection, view: View = View()) -> Answer:  # noqa: B008 (frozen)
        return self.ask_all(selection, [Asked(question, view)])[0]

    def ask_all(self, selection: Selection, asked: Sequence[Asked]) -> list[Answer]:
        reader = Reader(selection, read_conditions(self._run, selection), self._coverage)
        bases = {}
        for need in in_common([each.question for each in asked]):
            bases[need.relation] = base = Base(f"base_{self._bases}", need)
            self._bases += 1
            made = reader.base(base)
            self._run(made.sql, made.parameters)
        return [self._answer(reader, each, bases) for each in asked]

    def _answer(self, reader: Reader, asked: Asked, bases: dict[str, Base]) -> Answer:
        question, view = asked
        query = answer(question, view, reader.relations(question, bases))
        found = self._run(query.sql, query.parameters).fetchall()
        if is_whole(view):
            places = {name: question.columns.index(name) for name in question.sums}
            return Answer(found, len(found), {name: sum(int(row[place] or 0) for row in found) for name, place in places.items()})
        marked = 1 + len(question.sums)
        return Answer(
            rows=[row[marked + 1 :] for row in found if row[marked]],
            total=int(found[0][0]),
            sums={name: int(value) for name, value in zip(question.sums, found[0][1:marked], strict=True)},
        )

    def choices(self, column: str, selection: Selection, search: str = "", limit: int = 200) -> list[tuple[str, int]]:
        if column not in COLUMNS:
            raise SelectionError(worded("there is no filter {column!r}; filters are {known}", column=column, known=", ".join(COLUMNS)))
        name = COLUMNS[column]
        value = f"CASE WHEN sender = '' THEN '{NULL_SENDER}' ELSE sender END" if name == "sender" else name
        shown = f"coalesce({value}, '{UNKNOWN}')"
        counted = "messages" if column == "outcome" else "CASE WHEN outcome = 'accepted' THEN messages ELSE 0 END"
        relation = "events" if column == "client" else "facts"
        question = Question(
            sql=f"SELECT {shown} AS {name}, sum({counted}) AS messages FROM {relation} GROUP BY {shown}",
            columns=(name, "messages"),
            searched=(name,),
        )
        found = self.ask(question, selection, View(sort="messages", search=search, limit=limit)).rows
        return [(str(value), int(messages or 0)) for value, messages in found]

    def count(self, selection: Selection) -> int:
        query = number_of_rows(selection, read_conditions(self._run, selection))
        return int(self._run(query.sql, query.parameters).fetchall()[0][0])

    def span(self, scope: frozenset[str] | None = None) -> tuple[int, int] | None:
        if scope is None:
            return None if self._coverage.last < 0 else (self._coverage.first, self._coverage.last)
        subjects = "subject IN (SELECT id FROM subjects WHERE account_domain IN (SELECT unnest($scope)))"
        found = self._run(
            f"""
            SELECT epoch_us(min(first)), epoch_us(max(last)) FROM (
                SELECT min(time) AS first, max(time) AS last FROM submissions WHERE {subjects}
                UNION ALL SELECT min(first_seen), max(last_seen) FROM hourly WHERE {subjects}
            ) AS spans
            """,
            {"scope": sorted(scope)},
        ).fetchall()[0]
        return None if found[0] is None else (int(found[0]), int(found[1]))

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
