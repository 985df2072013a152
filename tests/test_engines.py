"""
ClickHouse answers as DuckDB does: every report and every other question, cell by cell and in the same order, on random rows
and on logs of real servers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pairs import both, merge, stir
from rows import NOON, key_of, row
from smtp_auth_report.changes import Changes, Commit, Counted, Gap, Intake, Remembered, Unread, Withheld
from smtp_auth_report.errors import SelectionError
from smtp_auth_report.moments import DAY, HOUR, SECOND
from smtp_auth_report.reports import REPORTS
from smtp_auth_report.reports.asking import HOURS_AT_MOST, Wanted, ask, ask_all, ask_each
from smtp_auth_report.reports.findings import findings, recent
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.sources import SOURCES
from smtp_auth_report.store import open_store
from smtp_auth_report.store.clickhouse_client import Client, Clients
from smtp_auth_report.store.clickhouse_snapshot import ClickSnapshot, looking, read_submissions
from smtp_auth_report.store.duckdb import DuckStore
from smtp_auth_report.store.interface import FILTERS, Selection, View
from smtp_auth_report.store.relations import Parameters
from smtp_auth_report.submission import Outcome, Service, Submission, Tls

SEED = 20261130
ROWS = 700
DAYS = 430

ACCOUNTS = (
    "anna@contoso.example",
    "Bob@Contoso.example",
    "bob@contoso.example",
    "jürgen@fabrikam.example",
    "printer",
    None,
    "ζ'%_\\@x.example",
)
SENDERS = ("anna@contoso.example", "Anna@Contoso.example", "", None, "news@fabrikam.example", "ΣΑΣ@X.example")
ADDRESSES = ("192.0.2.1", "192.0.2.200", "198.51.100.7", "2001:db8::1", "2001:db8:1::5", None)
MECHANISMS = ("PLAIN", "LOGIN", "SCRAM-SHA-256", "XOAUTH2", "GSSAPI", "unknown")
REASONS = (None, "authentication failed", "relay access denied")
DOMAINS = ("contoso.example", "fabrikam.example", "x.example", "nobody.example")
SEVERAL = frozenset(DOMAINS[1:3])
ZONES = ("UTC", "Europe/Paris", "Asia/Kolkata", "America/New_York")

VALUES = {
    "domain": (*DOMAINS, "unknown"),
    "account": ("anna@contoso.example", "BOB@contoso.example", "printer", "unknown", "ζ'%_\\@x.example"),
    "sender": ("Anna@contoso.example", "<>", "unknown", "news@fabrikam.example"),
    "client": ("192.0.2.0/24", "192.0.2.1", "2001:db8::/32", "::ffff:198.51.100.0/120", "0.0.0.0/0", "::/0", "unknown", "203.0.113.9"),
    "service": tuple(Service),
    "tls": (*Tls, "legacy"),
    "mechanism": MECHANISMS,
    "auth-class": ("basic", "challenge", "oauth", "other", "unknown"),
    "server": ("mail", "MAIL2", "nowhere"),
    "outcome": tuple(Outcome),
}
"""Filter -> what it may be asked for."""


def random_rows(chance: random.Random) -> list[Submission]:
    """Rows of all kinds, most of few moments, some of many days, as many as there are."""
    found = []
    for number in range(ROWS):
        time = NOON - chance.choice((chance.randrange(DAYS * DAY), chance.randrange(9) * HOUR, chance.randrange(40) * DAY))
        account = chance.choice(ACCOUNTS)
        address = chance.choice(ADDRESSES)
        found.append(
            row(
                key=2**64 - 1 - number,
                time=time,
                opened=time - chance.randrange(2) * SECOND,
                server=chance.choice(("mail", "mail2")),
                service=chance.choice([*Service]),
                source=chance.choice(("postfix", "exim")),
                client_ip=address,
                client_name=chance.choice((None, "pc.contoso.example", "Drucker Süd")),
                helo=chance.choice((None, "", "pc", "\x1b[31m")),
                account=account,
                account_key=key_of(account) or chance.choice((None, key_of("late@contoso.example"))),
                mechanism=chance.choice(MECHANISMS),
                tls_version=chance.choice([*Tls]),
                tls_cipher=chance.choice((None, "AES")),
                sender=chance.choice(SENDERS),
                recipients=chance.choice((None, 0, 1, 30)),
                size=chance.choice((None, 0, 2**40, 1000)),
                outcome=chance.choice((*Outcome, "accepted", "accepted")),
                reason=chance.choice(REASONS),
            )
        )
    return found


def filled(rows: list[Submission], path: str = ":memory:") -> DuckStore:
    """A store in which more happened than that rows came."""
    store = open_store(path, display_zone="Asia/Kolkata", default_domain="contoso.example", clock=lambda: NOON)
    assert isinstance(store, DuckStore)
    changes = Changes(newest={"mail": NOON, "mail2": NOON - DAY}, versions={("postfix", "mail"): "3.9"})
    for each in rows:
        changes.put(each)
    changes.unread += [
        Unread("postfix", server, reason, NOON - number * HOUR, f"sample {number} é")
        for number, (server, reason) in enumerate([("mail", "a"), ("mail", "a"), ("mail2", "b"), ("mail", "b")] * 4)
    ]
    changes.gaps += [Gap("mail", NOON - number * DAY, "rate limit", number or None) for number in range(5)]
    changes.counted += [
        Counted("report", line, f"s{line}@{domain}", domain, f"k{line}", line * 7, 0.1 * line, None, 0.3, 1.0, 0.0, "", NOON, None)
        for line, domain in enumerate(DOMAINS)
    ]
    intake = Intake("/var/log/mail.log", 10, 2, 1, 3, 1.5, 0.25, 77, "", NOON)
    remembered = [Remembered("postfix", "mail", NOON, "{}")]
    withheld = [Withheld("k", "sealed", NOON)]
    keys = {each.account: key_of(each.account) or "" for each in rows if each.account}
    store.commit(Commit(changes, remembered=remembered, withheld=withheld, account_keys=keys, file="report.csv", intake=intake))
    store.commit(Commit(Changes(), learned={key_of("late@contoso.example") or "": "Late@contoso.example"}))
    store.expire(NOON - 300 * DAY)
    return store


@pytest.fixture(scope="module")
def duck() -> Iterator[DuckStore]:
    store = filled(random_rows(random.Random(SEED)))
    yield store
    store.close()


@pytest.fixture(scope="module")
def click(duck: DuckStore) -> Iterator[Clients]:
    """Its parts have much that was replaced, or is gone."""
    with both(duck) as clients:
        with clients.client() as client:
            stir(client)
        yield clients


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    """A period, filters and a scope."""
    start = NOON - draw(st.integers(0, DAYS + 30)) * DAY - draw(st.sampled_from((0, 12 * HOUR, 5 * HOUR + 30 * 60 * SECOND, 1)))
    length = draw(st.sampled_from((HOUR, DAY, 7 * DAY, 30 * DAY, 100 * DAY, 365 * DAY)))
    names = draw(st.lists(st.sampled_from(FILTERS), max_size=3, unique=True))
    filters = {name: tuple(draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=3, unique=True))) for name in names}
    scope = draw(st.sampled_from((None, None, None, frozenset(DOMAINS[:1]), SEVERAL, frozenset[str]())))
    return Selection(start, start + length, draw(st.sampled_from(ZONES)), filters, scope)


@st.composite
def views(draw: st.DrawFn, columns: tuple[str, ...]) -> View:
    return View(
        sort=draw(st.sampled_from((None, *columns))),
        descending=draw(st.booleans()),
        search=draw(st.sampled_from(("", "", "Bob", "ΣΑΣ", "jür", "'%_\\", "192.", "late", "süd", "zzz"))),
        offset=draw(st.sampled_from((0, 0, 2, 1000))),
        limit=draw(st.sampled_from((None, 3, 50))),
    )


@pytest.mark.parametrize("name", sorted(REPORTS))
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_reports_are_the_same(name: str, duck: DuckStore, click: Clients, data: st.DataObject) -> None:
    report = REPORTS[name]
    selection, view = data.draw(selections()), data.draw(views(tuple(column.name for column in report.columns)))
    interval = data.draw(st.sampled_from(("auto", "day", "week", *(["hour"] if selection.end - selection.start <= HOURS_AT_MOST else []))))
    with looking(click) as seen:
        assert ask(report, seen, selection, view, interval=interval) == ask(report, duck, selection, view, interval=interval)


@pytest.mark.parametrize("name", FILTERS)
def test_choices_are_the_same(name: str, duck: DuckStore, click: Clients) -> None:
    selections = (
        Selection(NOON - 60 * DAY, NOON, "UTC"),
        Selection(NOON - 400 * DAY, NOON, "UTC", {"tls": ("legacy",)}, SEVERAL),
    )
    with looking(click) as seen, duck.snapshot() as expected:
        for selection in selections:
            assert seen.choices(name, selection) == expected.choices(name, selection)
        assert seen.choices(name, selections[0], "A", limit=2) == expected.choices(name, selections[0], "A", limit=2)


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(selection=selections())
def test_rows_and_their_number_are_the_same(duck: DuckStore, click: Clients, selection: Selection) -> None:
    with looking(click) as seen, duck.snapshot() as expected, click.client() as client:
        assert seen.count(selection) == expected.count(selection)
        assert seen.span(selection.scope) == expected.span(selection.scope)
        assert list(read_submissions(client, selection, 7)) == list(duck.submissions(selection, 7))


def test_what_is_beside_the_rows_is_the_same(duck: DuckStore, click: Clients) -> None:
    with looking(click) as seen, duck.snapshot() as expected:
        for start, end in ((None, None), (NOON - 3 * HOUR, NOON), (NOON - HOUR - 1, None), (None, NOON - 5 * HOUR)):
            assert seen.unread(start, end) == expected.unread(start, end) != []
        assert seen.gaps(NOON - 2 * DAY, NOON) == expected.gaps(NOON - 2 * DAY, NOON) == 2
        assert seen.expired_before() == expected.expired_before() > 0
        assert seen.progress() == expected.progress() != []
        assert seen.streams() == expected.streams() != []
        assert seen.counted_reports() == expected.counted_reports() != []
        assert seen.counted_reports(SEVERAL) == expected.counted_reports(SEVERAL) != []
        assert seen.counted("report", 2, SEVERAL) == expected.counted("report", 2, SEVERAL) != []
        assert findings(seen, SOURCES, recent(seen, "UTC")) == findings(expected, SOURCES, recent(expected, "UTC")) != []


def test_several_questions_at_once_are_the_same(duck: DuckStore, click: Clients) -> None:
    """What they have in common is added up once, and what takes long is asked beside the rest."""
    selection = Selection(NOON - 30 * DAY, NOON, "Europe/Paris")
    wanted = [Wanted(report, View(limit=5)) for report in REPORTS.values()]
    asked = [({}, wanted[0]), ({"tls": ("legacy",)}, wanted[1]), ({}, wanted[1])]
    with looking(click) as seen:
        assert ask_all(seen, selection, wanted) == ask_all(duck, selection, wanted)
        assert ask_each(seen, selection, asked) == ask_each(duck, selection, asked)
        assert ask_all(seen, selection, wanted) == ask_all(duck, selection, wanted)
    with looking(click) as seen:
        assert ask_all(seen, selection, wanted[:2]) == ask_all(duck, selection, wanted[:2])


class Watched(ClickSnapshot):
    """One that keeps what it asks."""

    def __init__(self, client: Client, clients: Clients, thread: ThreadPoolExecutor) -> None:
        super().__init__(client, clients, thread)
        self.asked: list[str] = []

    def _rows(self, sql: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        self.asked.append(sql)
        return super()._rows(sql, parameters)

    def _make(self, table: str, sql: str, parameters: Parameters) -> None:
        self.asked.append(sql)
        super()._make(table, sql, parameters)


PASSES = {
    "summary": 1,
    "tls-usage": 1,
    "auth-methods": 1,
    "sending-volume": 2,  # all senders, then those of the view by client
    "clients": 2,
    "failures": 3,  # overall, it is of other outcomes
}
"""Report -> how often the rows of its period are read for its table, where they are all there is."""


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_rows_of_a_period_are_read_as_seldom_as_can_be(name: str, duck: DuckStore, click: Clients) -> None:
    with click.client() as client, ThreadPoolExecutor(1) as thread:
        seen = Watched(client, click, thread)
        selection = Selection(seen._expired_before, NOON + 1, "Asia/Kolkata")
        wanted = [Wanted(REPORTS[name], View(limit=5), series=False)]
        assert ask_all(seen, selection, wanted) == ask_all(duck, selection, wanted)
        seen.forget()
    assert sum(sql.count("FROM submissions AS r") for sql in seen.asked) == PASSES[name]


def test_a_question_that_cannot_be_asked_leaves_the_session_as_it_was(click: Clients) -> None:
    selection = Selection(NOON - DAY, NOON, "UTC")
    wanted = [Wanted(report) for report in REPORTS.values()]

    def ask_in_vain() -> None:
        with looking(click) as seen:
            ask_all(seen, selection, wanted)
            ask(REPORTS["summary"], seen, selection, View(sort="nothing"))

    with pytest.raises(SelectionError):
        ask_in_vain()
    with looking(click) as seen:
        assert len(ask_all(seen, selection, wanted)) == len(wanted)


def test_a_letter_with_two_small_forms_is_found_by_either(duck: DuckStore, click: Clients) -> None:
    selection = Selection(NOON - 400 * DAY, NOON + 1, "UTC")
    small = "ΣΑΣ".lower()
    names = ("ΣΑΣ", small, small[:-1] + small[0])
    with looking(click) as seen:
        for store in (duck, seen):
            found = [ask(REPORTS["sending-volume"], store, selection, View(search=name)).rows for name in names]
            narrowed = [replace(selection, filters={"sender": (f"{name}@X.example",)}) for name in names]
            found += [ask(REPORTS["sending-volume"], store, each).rows for each in narrowed]
            assert found[0] != []
            assert all(rows == found[0] for rows in found)


def test_merging_changes_no_answer(duck: DuckStore, click: Clients) -> None:
    """The last test of the module: nothing that was replaced is left."""
    selections = [Selection(NOON - 400 * DAY, NOON + 1, zone) for zone in ("Asia/Kolkata", "America/New_York")]
    selections.append(Selection(NOON - 40 * DAY, NOON, "UTC", {"tls": ("legacy",)}, SEVERAL))
    wanted = [Wanted(report) for report in REPORTS.values()]
    expected = [ask_all(duck, selection, wanted) for selection in selections]

    def told() -> list[list[Table]]:
        with looking(click) as seen:
            return [ask_all(seen, selection, wanted) for selection in selections]

    with click.client() as client:
        client.run("INSERT INTO submissions SELECT * REPLACE (written - 3 AS written, 8 AS size) FROM submissions")
        assert told() == expected
        merge(client)
        assert told() == expected
