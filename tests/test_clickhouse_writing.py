"""
Writing to ClickHouse, which has no transactions: by several hosts at once, stopped anywhere, cut in any way, the rows are
those of DuckDB.

Every third place to stop is tried, and all of them with CLICKHOUSE_STOPS=all, as `make proof` has it.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from clickhouse_connect.driver._chdbclient import ChdbClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engines import ClickHouse, DuckDb
from rows import NOON, commit, key_of, row
from smtp_auth_report import ingest
from smtp_auth_report.changes import Commit, Counted, Gap, Intake, Position, Remembered, Unread, Withheld
from smtp_auth_report.moments import DAY, HOUR, SECOND
from smtp_auth_report.store.dimensions import logical
from smtp_auth_report.store.interface import Question, Selection, Store
from smtp_auth_report.store.merging import COLUMNS
from smtp_auth_report.submission import Identity, Submission

LONG = os.environ.get("CLICKHOUSE_STOPS") == "all"
EACH = 1 if LONG else 3
EVER = Selection(NOON - 1000 * DAY, NOON + 1000 * DAY, "UTC")
ANNA = "anna@contoso.example"
EVE = "eve@fabrikam.example"
MOMENTS = (0, SECOND, 1_900_000, 2 * SECOND, 3_500_000, 10 * SECOND, HOUR)
MESSAGES = Question(
    "SELECT account, tls_version, sum(messages) AS messages FROM facts GROUP BY account, tls_version",
    ("account", "tls_version", "messages"),
)


@pytest.fixture(scope="module")
def click(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    engine = ClickHouse("", tmp_path_factory.mktemp("hosts"))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDb]:
    engine = DuckDb(tmp_path_factory.mktemp("duck"))
    yield engine
    engine.close()


def cells(engine: ClickHouse | DuckDb, store: Store) -> list[tuple[object, ...]]:
    """Every cell of every row, and every account."""
    micros = "toUnixTimestamp64Micro" if isinstance(engine, ClickHouse) else "epoch_us"
    names = ", ".join(f"{micros}(s.{name})" if name in ("opened", "time") else f"s.{name}" for name in COLUMNS)
    rows = engine.sql(store, f"SELECT {names} FROM ({logical('submissions', COLUMNS)}) AS s")
    accounts = engine.sql(store, f"SELECT account, spelling, {micros}(first_seen), account_key, account_domain FROM accounts")
    return sorted([*rows, *accounts], key=repr)


def a_row(chance: random.Random) -> Submission:
    """Of few events, so that readings meet."""
    return row(
        key=chance.randint(1, 3),
        opened=NOON + chance.choice(MOMENTS),
        time=NOON + chance.choice((0, 250_000, HOUR)),
        account=chance.choice((None, ANNA, "Anna@contoso.example", "bob")),
        sender=chance.choice((None, "", "anna@fabrikam.example")),
        outcome=chance.choice(("accepted", "rejected", "auth_failed")),
        tls_version=chance.choice(("unknown", "tls", "none", "TLSv1.0")),
        mechanism=chance.choice(("unknown", "PLAIN")),
        size=chance.choice((None, 0, 5)),
        reason=chance.choice((None, "policy")),
    )


def a_commit(chance: random.Random) -> Commit:
    """Rows, at times what was told of some, a withdrawal, a name that was learned."""
    made = commit(*(a_row(chance) for _ in range(chance.randint(1, 4))))
    if chance.random() < 0.3:
        made.changes.withdrawn = {Identity(chance.randint(1, 3), NOON + chance.choice(MOMENTS))} - made.changes.rows.keys()
    if chance.random() < 0.3:
        made.learned = {str(key_of(ANNA)): ANNA}
    if chance.random() < 0.3:
        made.changes.awaited = {identity: (7, 8) for identity in made.changes.rows if chance.random() < 0.5}
    if chance.random() < 0.3:
        word = a_row(chance)._replace(key=chance.choice((7, 8)))
        made.changes.told = {word.key: word}
    return made


@settings(max_examples=30 if LONG else 4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 1 << 30))
@example(292_338_385)  # what a commit takes back is near what it brings, and is decided twice
def test_commits_of_two_hosts_give_the_rows_of_one_store(click: ClickHouse, duck: DuckDb, seed: int) -> None:
    chance = random.Random(seed)
    one = duck.open()
    hosts = [click.open(), click.open_again("another")]
    for _ in range(chance.randint(1, 5)):
        made = a_commit(chance)
        for _ in range(chance.choice((1, 1, 2))):
            assert chance.choice(hosts).commit(deepcopy(made)) == one.commit(deepcopy(made))
        assert cells(click, hosts[0]) == cells(duck, one)


@settings(max_examples=30 if LONG else 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 1 << 30))
def test_two_hosts_at_the_same_moment(click: ClickHouse, duck: DuckDb, seed: int) -> None:
    chance = random.Random(seed)
    one = duck.open()
    hosts = [click.open(), click.open_again("another")]
    shares: list[list[Commit]] = [[], []]
    for _ in range(8):
        made = commit(*(a_row(chance) for _ in range(chance.randint(1, 3))))
        chance.choice(shares).append(deepcopy(made))
        one.commit(made)
    wrong: list[BaseException] = []

    def write(store: Store, commits: list[Commit]) -> None:
        try:
            for each in commits:
                store.commit(each)
        except BaseException as error:  # noqa: BLE001 - told by the test
            wrong.append(error)

    threads = [threading.Thread(target=write, args=pair) for pair in zip(hosts, shares, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cells(click, hosts[0]) == cells(duck, one)


class Stopped(BaseException):
    """The process has ended."""


def end() -> None:
    """The process."""
    raise Stopped


class Steps:
    """Counts inserts and statements of whatever client, and ends the process before one of them, or lets something else happen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.number = 0
        self.last = -1
        self.happens: Callable[[], object] = end
        for name in names:
            monkeypatch.setattr(ChdbClient, name, self._counted(getattr(ChdbClient, name)))

    def _counted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(client: ChdbClient, *arguments: Any, **named: Any) -> Any:
            self.number += 1
            if self.number == self.last:
                self.happens()
            return step(client, *arguments, **named)

        return counted


def lines(number: int) -> Commit:
    """Some lines of a log: everything that a commit may have."""
    time = NOON + number * SECOND
    made = commit(
        row(key=1, opened=NOON, time=NOON + 250_000, helo=None if number == 0 else "pc"),
        row(
            key=10 + number,
            opened=time,
            time=time,
            account=None if number % 2 else f"user{number}@contoso.example",
            client_ip=f"192.0.2.{number}",
        ),
        row(key=20 + number, opened=time, time=time, account=EVE if number > 2 else None, account_key=key_of(EVE), outcome="auth_failed"),
    )
    changes = made.changes
    changes.lines, changes.other, changes.newest = 10, 1, {"mail": time}
    changes.unread = [Unread("postfix", "mail", "sasl", time + each, f"line {number}.{each}") for each in range(2)]
    changes.gaps = [Gap("mail", time, "rate limit", number)]
    changes.counted = [Counted("r", number, "a@b.example", "b.example", "k", 3, None, None, None, None, None, "", None, None)]
    if number == 1:
        changes.withdraw(Identity(20, NOON))
        made.withheld = [Withheld("k1", "sealed", time)]
    if number == 2:
        changes.awaited = {Identity(12, time): (7,)}
        made.learned = {str(key_of(EVE)): EVE}
    if number == 3:
        changes.told = {7: row(key=7, opened=time, time=time, tls_version="TLSv1.0", outcome="no_mail")}
        made.learned = {"k1": "zoe@contoso.example"}
    made.positions = [Position("head", 4096, number + 1, "tail", "mail.log", "UTC", "2026")]
    made.remembered = [Remembered("postfix", "mail", time, f'{{"read": {number}}}', "mail.log")]
    made.intake = Intake("mail.log", 10, 1, 2, 3, 1.0, 1.0, 0, "", time)
    return made


def together(commits: list[Commit]) -> Commit:
    """The same lines, cut in another way."""
    one, *rest = deepcopy(commits)
    for each in rest:
        one.changes.take(each.changes)
        one.learned |= each.learned
        one.withheld += each.withheld
        one.positions, one.remembered = each.positions, each.remembered
        assert one.intake is not None
        assert each.intake is not None
        added = {name: getattr(one.intake, name) + getattr(each.intake, name) for name in ("lines", "other", "unread", "rows")}
        one.intake = each.intake._replace(**added)
    return one


def told(engine: ClickHouse | DuckDb, store: Store) -> list[object]:
    """All that a store can tell of what it holds."""
    return [
        cells(engine, store),
        sorted(store.ask(MESSAGES, EVER).rows, key=repr),
        *(ask() for ask in (store.unread, store.progress, store.streams, store.names, store.withheld, store.positions)),
        store.remembered("postfix"),
        store.gaps(EVER.start, EVER.end),
        store.counted("r", 10),
    ]


CUTS = ([[1, 2, 3]], [[1], [2, 3]], [[1, 2], [3]])


@pytest.mark.parametrize("cut", range(len(CUTS)))
def test_stopped_before_any_insert(click: ClickHouse, duck: DuckDb, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """And then the lines are read again, cut in whatever way."""
    undisturbed = duck.open()
    for number in range(4):
        undisturbed.commit(lines(number))
    expected = told(duck, undisturbed)
    steps = Steps(monkeypatch, "insert")
    for last in range(cut + 1, 100, len(CUTS) * EACH):
        store = click.open()
        store.commit(lines(0))
        steps.number, steps.last = 0, last
        try:
            store.commit(together([lines(1), lines(2)]))
        except Stopped:
            again = click.open_again()
            assert again.positions() == lines(0).positions
            for numbers in CUTS[cut]:
                again.commit(together([lines(number) for number in numbers]))
            assert told(click, again) == expected
        else:
            break
    assert 10 < last < 100


def test_expiring_stopped_anywhere_changes_no_number(click: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    old = NOON - 100 * DAY
    edge = old - old % DAY
    moved = row(key=2, opened=edge - SECOND, time=edge - SECOND + 1, outcome="accepted")
    steps = Steps(monkeypatch, "insert", "command")
    for last in range(2, 100, EACH):
        store = click.open()
        store.commit(commit(row(time=old), row(time=NOON), row(time=edge - 7, account=None, account_key="k", outcome="auth_failed")))
        store.commit(commit(moved._replace(outcome="rejected", time=edge + 5)))  # of the day that stays, until it is read again
        store.commit(commit(moved))
        expected = sorted(store.ask(MESSAGES, EVER).rows, key=repr)
        steps.number, steps.last = 0, last
        try:
            store.expire(edge)
        except Stopped:
            steps.last = -1
            again = click.open_again()
            assert sorted(again.ask(MESSAGES, EVER).rows, key=repr) == expected, last
            again.expire(edge)
            again.expire(edge + DAY)
            store = again
        assert sorted(store.ask(MESSAGES, EVER).rows, key=repr) == expected, last
        assert store.count(EVER) == (1 if steps.last < 0 else 2)
        if steps.last > 0:
            break
    assert 5 < last < 100


@pytest.mark.parametrize("ahead", [0, HOUR], ids=["clocks agree", "one clock is ahead"])
def test_what_another_host_forgot_is_written_again(click: ClickHouse, ahead: int) -> None:
    """Clients that no row named any more, and an account that was erased and signs in again."""
    first = click.open(clock=lambda: NOON + ahead)
    second = click.open_again("another", clock=lambda: NOON)
    old, again = row(time=NOON - 50 * DAY), row(time=NOON)
    first.commit(commit(old))
    assert first.expire(NOON - 10 * DAY) == 1
    assert click.sql(first, "SELECT count() FROM clients") == [(0,)]
    second.commit(commit(again))
    assert first.ask(Question("SELECT client_ip FROM events", ("client_ip",)), EVER).rows == [(again.client_ip,)]
    assert first.erase(ANNA, str(key_of(ANNA))) == 1
    assert first.names() == (set(), set())
    later = row(time=NOON + 2 * HOUR)
    second.commit(commit(again, later))
    assert [found for part in first.submissions(EVER) for found in part] == [later]
    assert second.names() == ({ANNA}, {"contoso.example"})


def test_a_host_forgets_what_it_wrote_of_an_account_that_is_erased_meanwhile(click: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever in its commit that happens."""
    steps = Steps(monkeypatch, "insert")
    for last in range(1, 100, EACH):
        store, another = click.open(), click.open_again("another")
        steps.number, steps.last = 0, last
        steps.happens = lambda another=another: another.erase(ANNA, str(key_of(ANNA)))
        store.commit(commit(row(), row(account="bob", sender="")))
        if steps.number < last:
            break
        assert {found.account for part in store.submissions(EVER) for found in part} == {"bob"}, last
        assert store.ask(MESSAGES, EVER).rows == [("bob", "TLSv1.3", 1)], last
        assert store.names() == ({"bob"}, {"contoso.example"}), last
    assert 4 < last < 100


def test_a_name_that_was_learned_waits_no_more(click: ClickHouse) -> None:
    """Also where the process ended before that was noted."""
    store = click.open()
    waiting = commit(row(account=None, account_key="k1", outcome="auth_failed"))
    waiting.withheld = [Withheld("k1", "sealed", NOON), Withheld("k2", "sealed too", NOON)]
    store.commit(waiting)
    named = commit(row(account="zoe@contoso.example", account_key="k1", outcome="auth_failed"))
    store.commit(named)
    store.expire(NOON - DAY)
    assert store.withheld() == [Withheld("k2", "sealed too", NOON)]


def test_a_host_learns_who_signed_in_on_another(click: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures that it read before, of that account and of its domain, have their names then."""
    monkeypatch.setattr(ingest, "ASK_AGAIN", 0)
    first, second = click.open(), click.open_again("another")
    here, there = (ingest.Names(lambda store=store: store, bytes(32)) for store in (first, second))
    for name in (ANNA, "bob@contoso.example", "eve@fabrikam.example"):
        first.commit(here.apply(commit(row(account=name, account_key=None, outcome="auth_failed")).changes))
    assert {found.account for part in first.submissions(EVER) for found in part} == {None}
    second.commit(there.apply(commit(row(account=ANNA, account_key=None)).changes))
    first.commit(here.apply(commit(row(account="zoe@contoso.example", account_key=None, outcome="auth_failed")).changes))
    names = {ANNA, "bob@contoso.example", "zoe@contoso.example", None}
    assert {found.account for part in first.submissions(EVER) for found in part} == names
