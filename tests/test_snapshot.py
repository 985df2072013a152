"""
What is asked beside a snapshot is of its state, in a thread of its own where no commit is just being made.
"""

from __future__ import annotations

from threading import Thread, current_thread

import pytest

from rows import NOON, at, commit, row
from smtp_auth_report.errors import SelectionError
from smtp_auth_report.store import open_store
from smtp_auth_report.store.duckdb import DuckStore
from smtp_auth_report.store.interface import Question, Selection, Snapshot

SECOND = 1_000_000
DAY = Selection(at("2026-11-18T00:00:00Z"), at("2026-11-19T00:00:00Z"), "UTC")
COUNT = Question("SELECT coalesce(sum(messages), 0) AS messages FROM facts", ("messages",))


def seen(snapshot: Snapshot) -> tuple[Thread, int, object, tuple[int, int] | None]:
    return current_thread(), snapshot.count(DAY), snapshot.ask(COUNT, DAY).rows, snapshot.span()


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
        snapshot.beside(lambda beside: beside.choices("nothing", DAY))()
    store.close()
