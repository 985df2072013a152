"""
A database that is being served is open to other processes through its socket.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rows import NOON, commit, row
from smtp_auth_report.changes import Changes, Commit, Gap, Position, Remembered, Unread
from smtp_auth_report.errors import SelectionError, StoreError
from smtp_auth_report.reports import REPORTS, ask, render
from smtp_auth_report.store import open_store, shared
from smtp_auth_report.store.interface import Selection, Store, View

DAY = 86_400_000_000
WEEK = Selection(NOON - 3 * DAY, NOON + 3 * DAY, "Europe/Paris")


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """The store itself, and the same one through the socket."""
    database = str(tmp_path / "mail.duckdb")
    store = open_store(database, default_domain="contoso.example")
    with shared.sharing(store, shared.socket_of(database)):
        other = shared.connect(database)
        assert other is not None
        yield store, other
        other.close()
    store.close()


def test_nobody_shares_a_database_that_is_not_served(tmp_path: Path) -> None:
    assert shared.connect(str(tmp_path / "mail.duckdb")) is None
    assert shared.connect(str(tmp_path / "missing" / "mail.duckdb")) is None


@pytest.mark.usefixtures("both")
def test_only_the_owner_may_connect(tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "mail.duckdb.socket").stat().st_mode) == 0o600


def test_a_commit_crosses_whole(both: tuple[Store, Store]) -> None:
    store, other = both
    lost = row(queue_id="4F1A022C8A9")
    store.commit(commit(lost))
    changes = Changes(lines=7, other=3, newest={"mail": NOON})
    changes.put(row(account="Jürgen\x1b@münchen.example", sender=""))
    changes.withdraw(lost.identity)
    changes.unread.append(Unread("postfix", "mail", "not understood", NOON, "sample"))
    changes.gaps.append(Gap("mail", NOON, "rate_limit", None))
    position = Position("aa", 4096, 5000, "bb", "mail.log", "timezone=UTC server=localhost", "2026 found")
    applied = other.commit(Commit(changes, [position], [Remembered("postfix", "mail", NOON, "{}")]))
    assert (applied.added, applied.withdrawn, applied.outcomes) == (1, 1, {})
    assert other.positions() == store.positions() == [position]
    assert other.remembered("postfix") == store.remembered("postfix")
    assert other.names() == store.names()
    assert "jürgen\x1b@münchen.example" in other.names()[0]
    assert other.unread() == store.unread() != []
    assert (other.gaps(NOON - 1, NOON + 1), other.progress(), other.span()) == (1, store.progress(), store.span())
    other.expire(NOON)
    assert other.expired_before() == store.expired_before() > 0
    assert (other.bucket_minutes, other.default_domain) == (60, "contoso.example")


def test_answers_are_the_same_either_way(both: tuple[Store, Store]) -> None:
    store, other = both
    store.commit(commit(*(row(time=NOON + n * 1_000_000, account=f"user{n % 7}@contoso.example") for n in range(500))))
    for report in REPORTS.values():
        view = View(limit=5, search="user3") if report.searched else View()
        assert render.as_json(ask(report, other, WEEK, view)) == render.as_json(ask(report, store, WEEK, view))
    assert list(other.submissions(WEEK, 120)) == list(store.submissions(WEEK, 120))
    assert other.count(WEEK) == 500
    assert other.choices("account", WEEK) == store.choices("account", WEEK)


def test_errors_keep_their_words_and_the_connection(both: tuple[Store, Store]) -> None:
    store, other = both
    wrong = Selection(WEEK.start, WEEK.end, WEEK.zone, {"client": ("not an address",)})
    with pytest.raises(SelectionError) as told:
        other.count(wrong)
    with pytest.raises(SelectionError) as expected:
        store.count(wrong)
    assert str(told.value) == str(expected.value)
    assert other.count(WEEK) == 0


def test_many_processes_write_at_a_time(both: tuple[Store, Store], tmp_path: Path) -> None:
    def write() -> None:
        mine = shared.connect(str(tmp_path / "mail.duckdb"))
        assert mine is not None
        for _ in range(10):
            mine.commit(commit(row(), row()))
        mine.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert both[0].count(WEEK) == 80


def test_the_end_of_the_server_is_one_line(tmp_path: Path) -> None:
    database = str(tmp_path / "mail.duckdb")
    store = open_store(database)
    with shared.sharing(store, shared.socket_of(database)):
        other = shared.connect(database)
        assert other is not None
        assert other.count(WEEK) == 0
    store.close()
    with pytest.raises(StoreError, match="has ended; run the same command again"):
        other.count(WEEK)
    other.close()
    assert not shared.socket_of(database).exists()
