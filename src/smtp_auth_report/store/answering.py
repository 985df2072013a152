"""
Answers of one state, whatever the engine: a question becomes SQL, its rows an answer.

    class OfMyEngine(Answering):          says how SQL is run, and what the store covers
        dialect = MY_DIALECT

    class MyStore(AskedOneByOne):         says what a snapshot is

What several questions of one `ask_all` need is added up into a table that lasts as long as the connection.

See also
    interface.py, what is promised; relations.py, what questions read; duckdb_snapshot.py and clickhouse_snapshot.py
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from smtp_auth_report.changes import Counted
from smtp_auth_report.errors import SelectionError
from smtp_auth_report.store.dialects import Dialect
from smtp_auth_report.store.filters import COLUMNS, NULL_SENDER, UNKNOWN, Conditions, read_filters
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
from smtp_auth_report.store.relations import Base, Need, Parameters, Reader, answer, in_common, is_whole, number_of_rows
from smtp_auth_report.store.sums import HOURLY, ROWS, Coverage
from smtp_auth_report.words import worded


class Answering(ABC):
    """The part of `Snapshot` that is the same for all engines."""

    dialect: ClassVar[Dialect]
    reads_rows = False

    def __init__(self) -> None:
        self._tables = 0

    @abstractmethod
    def _rows(self, sql: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        """What a query gives."""

    @abstractmethod
    def _make(self, table: str, sql: str, parameters: Parameters) -> None:
        """Run the SQL that makes a table of this name."""

    @property
    @abstractmethod
    def _covered(self) -> Coverage:
        """What the store has of which time."""

    @property
    @abstractmethod
    def _span(self) -> tuple[int, int] | None:
        """Times of the first and the last row, those that expired among them."""

    @property
    @abstractmethod
    def _expired_before(self) -> int:
        """The moment up to which rows have expired, microseconds UTC; 0 while none has."""

    def _conditions(self, selection: Selection) -> Conditions:
        """What its filters mean."""
        return read_filters(selection, self.dialect)

    def ask(self, question: Question, selection: Selection, view: View = View()) -> Answer:  # noqa: B008 (frozen)
        return self.ask_all(selection, [Asked(question, view)])[0]

    def ask_all(self, selection: Selection, asked: Sequence[Asked]) -> list[Answer]:
        reader = Reader(selection, self._conditions(selection), self._covered)
        facts_of_events = self.dialect.works_twice and self._expired_before <= selection.start
        bases: dict[str, Base] = {}
        for relation, need in in_common([each.question for each in asked], facts_of_events=facts_of_events).items():
            known = next((base for base in bases.values() if base.need == need), None)
            bases[relation] = known or self._base(reader, need)
        return [self._answer(reader, each, bases) for each in asked]

    def _base(self, reader: Reader, need: Need) -> Base:
        """The table of what is needed, made now."""
        base = Base(f"base_{self._tables}", need)
        self._tables += 1
        made = reader.base(base)
        self._make(base.table, made.sql, made.parameters)
        return base

    def _answer(self, reader: Reader, asked: Asked, bases: dict[str, Base]) -> Answer:
        question, view = asked
        *before, query = answer(question, view, reader.relations(question, bases), self.dialect, f"asked_{self._tables}")
        for made in before:
            self._make(f"asked_{self._tables}", made.sql, made.parameters)
            self._tables += 1
        found = self._rows(query.sql, query.parameters)
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
        query = number_of_rows(selection, self._conditions(selection), self._expired_before)
        return int(self._rows(query.sql, query.parameters)[0][0])

    def expired_before(self) -> int:
        return self._expired_before

    def span(self, scope: frozenset[str] | None = None) -> tuple[int, int] | None:
        if scope is None:
            return self._span
        within = f"subject IN (SELECT id FROM subjects WHERE account_domain {self.dialect.member.format('$scope')})"
        expired = self.dialect.instant.format("$expired")
        first, last = (self.dialect.micros.format(edge) for edge in ("min(first)", "max(last)"))
        found = self._rows(
            f"""
            SELECT {first}, {last}, sum(rows) FROM (
                SELECT min(time) AS first, max(time) AS last, count(*) AS rows FROM {ROWS} WHERE time >= {expired} AND {within}
                UNION ALL
                SELECT min(first_seen), max(last_seen), count(*) FROM {HOURLY} WHERE bucket < {expired} AND {within}
            ) AS spans WHERE rows > 0
            """,
            {"scope": sorted(scope), "expired": self._expired_before},
        )[0]
        return (int(found[0]), int(found[1])) if found[2] else None


class AskedOneByOne(ABC):
    """The part of `Readable` that is the same for all engines: each question is asked of a snapshot of its own."""

    reads_rows = False

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """See `Snapshot` in interface.py."""

    def beside(self, work: Callable[[Snapshot], Told]) -> Callable[[], Told]:
        return at_once(work, self)

    def ask(self, question: Question, selection: Selection, view: View = View()) -> Answer:  # noqa: B008 (frozen)
        with self.snapshot() as seen:
            return seen.ask(question, selection, view)

    def ask_all(self, selection: Selection, asked: Sequence[Asked]) -> list[Answer]:
        with self.snapshot() as seen:
            return seen.ask_all(selection, asked)

    def choices(self, column: str, selection: Selection, search: str = "", limit: int = 200) -> list[tuple[str, int]]:
        with self.snapshot() as seen:
            return seen.choices(column, selection, search, limit)

    def count(self, selection: Selection) -> int:
        with self.snapshot() as seen:
            return seen.count(selection)

    def span(self, scope: frozenset[str] | None = None) -> tuple[int, int] | None:
        with self.snapshot() as seen:
            return seen.span(scope)

    def expired_before(self) -> int:
        with self.snapshot() as seen:
            return seen.expired_before()

    def unread(self, start: int | None = None, end: int | None = None) -> list[UnreadCount]:
        with self.snapshot() as seen:
            return seen.unread(start, end)

    def gaps(self, start: int, end: int) -> int:
        with self.snapshot() as seen:
            return seen.gaps(start, end)

    def progress(self) -> list[Progress]:
        with self.snapshot() as seen:
            return seen.progress()

    def streams(self) -> list[StreamState]:
        with self.snapshot() as seen:
            return seen.streams()

    def counted_reports(self, scope: frozenset[str] | None = None) -> list[CountedReport]:
        with self.snapshot() as seen:
            return seen.counted_reports(scope)

    def counted(self, report: str, limit: int, scope: frozenset[str] | None = None) -> list[Counted]:
        with self.snapshot() as seen:
            return seen.counted(report, limit, scope)
