"""What one log tells of rows that another gives, in the store: put together in any order, and never a row by itself."""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import Any

import pytest

from engines import Engine
from rows import NOON, commit, row
from smtp_auth_report.changes import Commit
from smtp_auth_report.moments import DAY, SECOND
from smtp_auth_report.store.interface import Selection, Store
from smtp_auth_report.submission import Submission

EVER = Selection(NOON - 1000 * DAY, NOON + 1000 * DAY, "UTC")
MESSAGE = row(account=None, account_key=None, tls_version="unknown", mechanism="unknown", size=None, client_name=None)
SIGN_IN = row(key=7, size=None, sender=None, recipients=None, queue_id=None, message_id=None, outcome="no_mail", tls_version="TLSv1.1")
SIZE = SIGN_IN._replace(account=None, account_key=None, mechanism="unknown", tls_version="unknown", size=99, recipients=3)


@pytest.fixture
def store(engine: Engine) -> Store:
    return engine.open(default_domain=None)


def told(*rows: Submission) -> Commit:
    made = commit()
    made.changes.told |= {each.key: each for each in rows}
    return made


def awaiting(each: Submission, *references: int) -> Commit:
    made = commit(each)
    made.changes.awaited[each.identity] = references
    return made


def rows_in(store: Store) -> list[Submission]:
    return [each for part in store.submissions(EVER) for each in part]


def count(engine: Engine, store: Store, table: str) -> int:
    return int(engine.sql(store, f"SELECT count(*) FROM {table}")[0][0])


COMMITS: list[Any] = [lambda: told(SIGN_IN), lambda: told(SIZE._replace(key=8)), lambda: awaiting(MESSAGE, 7, 8)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_whatever_comes_first(engine: Engine, store: Store, order: tuple[int, ...]) -> None:
    for place in (*order, *order):
        store.commit(COMMITS[place]())
    (found,) = rows_in(store)
    assert (found.account, found.tls_version, found.size, found.recipients, found.outcome) == (
        SIGN_IN.account,
        "TLSv1.1",
        99,
        3,
        "accepted",
    )
    assert found.time == MESSAGE.time
    assert (count(engine, store, "second_hand"), count(engine, store, "awaited")) == (2, 2)


def test_all_at_once(store: Store) -> None:
    made = awaiting(MESSAGE, 7, 8)
    made.changes.told |= {7: SIGN_IN, 8: SIZE._replace(key=8)}
    applied = store.commit(made)
    assert (applied.added, applied.revised, applied.unchanged) == (1, 0, 0)
    assert [found.account for found in rows_in(store)] == [SIGN_IN.account]


def test_several_rows_await_one_word(store: Store) -> None:
    for number in range(3):
        store.commit(awaiting(row(account=None, account_key=None, time=NOON + number), 7))
    assert store.commit(told(SIGN_IN)).revised == 3
    assert {found.account for found in rows_in(store)} == {SIGN_IN.account}


def test_what_is_told_is_no_row(store: Store) -> None:
    store.commit(told(SIGN_IN, SIZE._replace(key=8)))
    assert rows_in(store) == []


def test_more_is_told_later(store: Store) -> None:
    store.commit(awaiting(MESSAGE, 7))
    store.commit(told(SIGN_IN._replace(tls_version="tls")))
    store.commit(told(SIGN_IN))
    assert rows_in(store)[0].tls_version == "TLSv1.1"


def test_a_row_that_is_taken_back_and_comes_again_is_told_the_same(store: Store) -> None:
    """The very commit once more, as after a crash: what is awaited and told is not new then."""
    made = awaiting(MESSAGE, 7)
    made.changes.withdrawn = {MESSAGE.identity._replace(opened=NOON + SECOND)}
    store.commit(told(SIGN_IN))
    for _ in range(3):
        store.commit(deepcopy(made))
        (found,) = rows_in(store)
        assert (found.account, found.tls_version) == (SIGN_IN.account, "TLSv1.1")


def test_erased_accounts_do_not_come_back_by_it(engine: Engine, store: Store) -> None:
    store.commit(awaiting(MESSAGE, 7))
    store.commit(told(SIGN_IN))
    assert store.erase(SIGN_IN.account or "", SIGN_IN.account_key or "") == 1
    assert (count(engine, store, "second_hand"), count(engine, store, "awaited"), count(engine, store, "clients")) == (0, 0, 0)
    store.commit(told(SIGN_IN))
    assert rows_in(store) == []
    assert count(engine, store, "second_hand") == 0


def test_expired_rows_do_not_come_back_by_it(engine: Engine, store: Store) -> None:
    store.commit(awaiting(MESSAGE, 7, 8))
    store.commit(told(SIGN_IN))
    store.expire(NOON + 2 * DAY)
    store.commit(told(SIZE._replace(key=8, time=NOON + 3 * DAY)))
    assert rows_in(store) == []
    assert count(engine, store, "awaited") == 0


def test_sizes_that_nobody_asked_for_are_not_kept_for_long(engine: Engine, store: Store) -> None:
    store.commit(told(SIGN_IN, SIZE._replace(key=8), SIZE._replace(key=9, time=NOON + 32 * DAY)))
    store.expire(NOON - 2 * DAY)
    assert count(engine, store, "second_hand") == 2, "what names an account stays as long as rows do"
