"""
A store as a reader of some domains may see it.

    seen = ScopedStore(store, frozenset({"contoso.example"}))

Whatever is asked through it is cut to these account domains, so no page, export or answer can forget to. How far logs
were read is the same for every reader; samples of lines that could not be read are shown to none of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from smtp_auth_report.changes import Counted
from smtp_auth_report.store.interface import (
    Answer,
    Asked,
    CountedReport,
    Progress,
    Question,
    Readable,
    Selection,
    Snapshot,
    StreamState,
    Told,
    UnreadCount,
    View,
)
from smtp_auth_report.submission import Submission


class ScopedSnapshot:
    """See `Snapshot` in interface.py."""

    def __init__(self, seen: Snapshot, scope: frozenset[str]) -> None:
        self._seen = seen
        self._scope = scope

    def _cut(self, selection: Selection) -> Selection:
        return replace(selection, scope=self._within(selection.scope))

    def _within(self, scope: frozenset[str] | None) -> frozenset[str]:
        return self._scope if scope is None else self._scope & scope

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        with self._seen.snapshot() as seen:
            yield ScopedSnapshot(seen, self._scope)

    @property
    def reads_rows(self) -> bool:
        return self._seen.reads_rows

    def beside(self, work: Callable[[Snapshot], Told]) -> Callable[[], Told]:
        return self._seen.beside(lambda seen: work(ScopedSnapshot(seen, self._scope)))

    def ask(self, question: Question, selection: Selection, view: View = View()) -> Answer:  # noqa: B008 (frozen)
        return self._seen.ask(question, self._cut(selection), view)

    def ask_all(self, selection: Selection, asked: Sequence[Asked]) -> list[Answer]:
        return self._seen.ask_all(self._cut(selection), asked)

    def choices(self, column: str, selection: Selection, search: str = "", limit: int = 200) -> list[tuple[str, int]]:
        return self._seen.choices(column, self._cut(selection), search, limit)

    def count(self, selection: Selection) -> int:
        return self._seen.count(self._cut(selection))

    def span(self, scope: frozenset[str] | None = None) -> tuple[int, int] | None:
        return self._seen.span(self._within(scope))

    def expired_before(self) -> int:
        return self._seen.expired_before()

    def unread(self, start: int | None = None, end: int | None = None) -> list[UnreadCount]:
        return [entry._replace(samples=[]) for entry in self._seen.unread(start, end)]

    def gaps(self, start: int, end: int) -> int:
        return self._seen.gaps(start, end)

    def progress(self) -> list[Progress]:
        return self._seen.progress()

    def streams(self) -> list[StreamState]:
        return self._seen.streams()

    def counted_reports(self, scope: frozenset[str] | None = None) -> list[CountedReport]:
        return self._seen.counted_reports(self._within(scope))

    def counted(self, report: str, limit: int, scope: frozenset[str] | None = None) -> list[Counted]:
        return self._seen.counted(report, limit, self._within(scope))


class ScopedStore(ScopedSnapshot):
    """See `Readable` in interface.py."""

    def __init__(self, store: Readable, scope: frozenset[str]) -> None:
        super().__init__(store, scope)
        self.whole = store
        self.default_domain = store.default_domain

    def submissions(self, selection: Selection, size: int = 10_000) -> Iterator[list[Submission]]:
        return self.whole.submissions(self._cut(selection), size)
