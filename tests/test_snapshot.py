"""
What is asked beside a snapshot is of its state, in a thread of its own where no commit is just being made.
All rows of a selection are read in parts, and are of one state too.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Thread, current_thread

import pytest

from rows import NOON, at, commit, row
from smtp_auth_report.errors import SelectionError
from smtp_auth_report.moments import DAY, HOUR
from smtp_auth_report.store import open_store
from smtp_auth_report.store.duckdb import DuckStore
from smtp_auth_report.store.interface import Question, Selection, Snapshot
from smtp_auth_report.submission import Submission

SECOND = 1_000_000
NOVEMBER_18 = Selection(at("2026-11-18T00:00:00Z"), at("2026-11-19T00:00:00Z"), "UTC")
EVER = Selection(at("2000-01-01T00:00:00Z"), at("2040-01-01T00:00:00Z"), "UTC")
COUNT = Question("SELECT coalesce(sum(messages), 0) AS messages FROM facts", ("messages",))


def seen(snapshot: Snapshot) -> tuple[Thread, int, object, tuple[int, int] | None]:
    return current_thread(), snapshot.count(NOVEMBER_18), snapshot.ask(COUNT, NOVEMBER_18).rows, snapshot.span()


def test_what_is_asked_beside_a_snapshot_sees_its_state() -> None:
    store = open_store(":memory:", display_zone="UTC", clock=lambda: NOON)
    assert isinstance(store, DuckStore)
    store.commit(commit(row()))
    with store.snapshot() as snapshot:
        store.commit(commit(row(time=NOON + SECOND), row(time=NOON + 2 * SECOND)))
        told = snapshot.beside(seen)
        assert seen(snapshot)[1:] == told()[1:] == (1, [(1,)], (NOON, NOON))
        assert told()[0] is not current_thread()
    with store._writing, store.snapshot() as snapshot:  # as while a commit is made
        assert snapshot.beside(seen)() == (current_thread(), 3, [(3,)], (NOON, NOON + 2 * SECOND))
    assert store.beside(seen)()[1] == 3
    with store.snapshot() as snapshot, pytest.raises(SelectionError):
        snapshot.beside(lambda beside: beside.choices("nothing", NOVEMBER_18))()
    store.close()


def test_rows_of_much_time_are_read_in_parts_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of all rows takes no more memory than one of a few, and is of one state."""
    store = open_store(":memory:", display_zone="UTC", clock=lambda: NOON)
    times = [NOON + number * HOUR // 3 for number in range(40)] + [NOON + HOUR] * 9 + [NOON - 300 * DAY, NOON + 300 * DAY]
    store.commit(commit(*(row(time=time, queue_id=f"4{number:010X}") for number, time in enumerate(times))))

    def read(selection: Selection = EVER) -> list[Submission]:
        return [row for part in store.submissions(selection) for row in part]

    whole = read()
    narrow = replace(EVER, filters={"account": ("anna@contoso.example",)})
    some = read(narrow)
    monkeypatch.setattr("smtp_auth_report.store.duckdb.AT_ONCE", 4)
    parts = list(store.submissions(EVER, 1000))
    assert [row for part in parts for row in part] == whole
    assert [each.time for each in whole] == sorted(times)
    assert max(map(len, parts)) == 10  # of one instant, which nothing divides
    assert sorted(map(len, parts))[-2] <= 4
    assert read(narrow) == some
    reading = store.submissions(EVER, 1000)
    first = next(reading)
    store.commit(commit(row(time=NOON + 299 * DAY, queue_id="4FFFFFFFFFF")))
    assert [row for part in (first, *reading) for row in part] == whole
    assert len(read()) == len(whole) + 1
    store.close()
