"""
A store, of every engine: what is committed is there once, sums agree with rows, filters and scope hold, errors are one line.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import Engine
from rows import NOON, at, commit, key_of, row
from smtp_auth_report.changes import Changes, Commit, Gap, Position, Remembered, Unread
from smtp_auth_report.errors import SelectionError
from smtp_auth_report.store import open_store
from smtp_auth_report.store.dimensions import logical
from smtp_auth_report.store.filters import auth_class_case
from smtp_auth_report.store.interface import FILTERS, Asked, Interval, Progress, Question, Selection, Store, UnreadCount, View
from smtp_auth_report.store.merging import COLUMNS
from smtp_auth_report.submission import Identity, Submission, auth_class

SECOND = 1_000_000
INTERVALS: tuple[Interval, ...] = ("hour", "day", "week")
DAY = Selection(at("2026-11-18T00:00:00Z"), at("2026-11-19T00:00:00Z"), "UTC")
EVER = Selection(at("2000-01-01T00:00:00Z"), at("2040-01-01T00:00:00Z"), "UTC")
COUNT = Question("SELECT coalesce(sum(messages), 0) AS messages FROM facts", ("messages",))


@pytest.fixture
def store(engine: Engine) -> Store:
    return engine.open()


def rows_of(store: Store, selection: Selection = EVER) -> list[Submission]:
    return [row for batch in store.submissions(selection) for row in batch]


def filtered(**filters: str | tuple[str, ...]) -> Selection:
    values = {name.replace("_", "-"): (value,) if isinstance(value, str) else value for name, value in filters.items()}
    return Selection(DAY.start, DAY.end, "UTC", values)


def same_question(store: Store, selection: Selection) -> int:
    """How many rows a selection has, asked of sums and of rows."""
    number = store.ask(COUNT, selection).rows[0][0]
    assert number == store.count(selection)
    assert isinstance(number, int)
    return number


# Commits


def test_what_a_commit_did_is_told_by_outcome(store: Store) -> None:
    accepted = row()
    assert store.commit(commit(accepted, row(outcome="auth_failed"))).outcomes == {"accepted": 1, "auth_failed": 1}
    assert store.commit(commit(accepted)).outcomes == {}
    changes = Changes()
    changes.withdraw(accepted.identity)
    assert store.commit(Commit(changes)).outcomes == {"accepted": -1}


def test_a_row_comes_back_as_it_went_in(store: Store) -> None:
    rows = [
        row(key=2**64 - 1, time=NOON + 123_456, account="Jürgen@Contoso.example", sender="", size=None, helo="ev\x1b[31mil\x00"),
        row(time=NOON + SECOND, client_ip=None, client_name=None, helo=None, account=None, sender=None, tls_cipher=None, recipients=None),
    ]
    assert store.commit(commit(*rows))[:4] == (2, 0, 0, 0)
    assert rows_of(store) == rows


def test_columns_that_are_null_in_the_first_thousand_rows_keep_later_values(store: Store) -> None:
    late = row(time=NOON + 5000 * SECOND, reason="late", size=2**40, recipients=7)
    store.commit(commit(*(row(time=NOON + n * SECOND, reason=None, size=None) for n in range(3000)), late))
    assert rows_of(store)[-1] == late


def test_text_that_is_not_utf_8_is_kept_readable(store: Store) -> None:
    store.commit(commit(row(account="a\udcffb@contoso.example", helo="\udc80x")))
    (found,) = rows_of(store)
    assert (found.account, found.helo) == ("a\N{REPLACEMENT CHARACTER}b@contoso.example", "\N{REPLACEMENT CHARACTER}x")


def test_reading_again_changes_nothing(store: Store) -> None:
    rows = [row(), row(sender=""), row(account=None, outcome="auth_failed")]
    store.commit(commit(*rows))
    assert store.commit(commit(*rows))[:4] == (0, 0, 0, 3)
    assert rows_of(store) == sorted(rows, key=lambda each: each.key)


def test_readings_two_seconds_apart_are_one_event_and_longer_apart_are_not(store: Store) -> None:
    first = row(time=NOON)
    store.commit(commit(first))
    assert store.commit(commit(first._replace(opened=NOON + 2 * SECOND, helo=None)))[:4] == (0, 1, 0, 0)
    assert store.commit(commit(first._replace(opened=NOON - 2 * SECOND - 1)))[:4] == (1, 0, 0, 0)
    assert store.commit(commit(first._replace(opened=NOON + 4 * SECOND + 1)))[:4] == (1, 0, 0, 0)
    assert len(rows_of(store)) == 3


@pytest.mark.parametrize("number", [455, 1000])
def test_many_readings_of_the_same_moments_are_revised(store: Store, number: int) -> None:
    rows = [row(time=NOON + 1000 * place, helo=None) for place in range(number)]
    store.commit(commit(*rows))
    applied = store.commit(commit(*(each._replace(helo="pc") for each in rows)))
    assert (applied.added, applied.revised) == (0, number)
    assert store.count(EVER) == number


def test_two_readings_in_one_commit_are_one_event(store: Store) -> None:
    first = row(helo=None)
    assert store.commit(commit(first, first._replace(opened=first.opened + SECOND, helo="printer")))[:4] == (1, 0, 0, 1)
    assert [found.helo for found in rows_of(store)] == ["printer"]


MERGED = [
    ("tls_version", "unknown", "tls", "tls"),
    ("tls_version", "tls", "none", "none"),
    ("tls_version", "none", "TLSv1.0", "TLSv1.0"),
    ("tls_version", "TLSv1.3", "TLSv1.2", "TLSv1.3"),
    ("mechanism", "unknown", "LOGIN", "LOGIN"),
    ("service", "unknown", "smtp", "smtp"),
    ("outcome", "accepted", "rejected", "accepted"),
    ("outcome", "rejected", "no_mail", "rejected"),
    ("outcome", "no_mail", "auth_failed", "no_mail"),
    ("outcome", "auth_failed", "tls_failed", "auth_failed"),
    ("time", NOON, NOON + 250_000, NOON + 250_000),
    ("time", NOON, NOON + SECOND, NOON),
    ("recipients", None, 0, 0),
    ("recipients", 2, 3, 3),
    ("size", 10, None, 10),
    ("helo", None, "", ""),
    ("helo", "a", "b", "b"),
    ("account", None, "bob", "bob"),
    ("sender", None, "", ""),
    ("server", "mail", "mail2", "mail2"),
]


@pytest.mark.parametrize("turned", [False, True])
def test_each_column_keeps_what_is_known(store: Store, *, turned: bool) -> None:
    readings, expected = [], {}
    for name, one, other, kept in MERGED:
        first, second = row()._replace(**{name: one}), row()._replace(**{name: other})
        readings.append((first, second._replace(key=first.key, opened=first.opened)))
        expected[first.key] = (name, kept)
    for reading in zip(*(reversed(both) if turned else both for both in readings), strict=True):
        store.commit(commit(*reading))
    found = {each.key: (expected[each.key][0], getattr(each, expected[each.key][0])) for each in rows_of(store)}
    assert found == expected


def test_time_and_reason_are_those_of_the_winning_outcome(store: Store) -> None:
    refused = row(outcome="rejected", reason="policy", time=NOON + 500_000)
    taken = refused._replace(outcome="accepted", reason=None, time=NOON + 3 * SECOND)
    store.commit(commit(refused))
    store.commit(commit(taken))
    assert rows_of(store) == [taken]


def test_domains_follow_what_is_merged(store: Store) -> None:
    bare = row(account=None, sender="")
    store.commit(commit(bare))
    store.commit(commit(bare._replace(account="Printer")))
    assert same_question(store, filtered(domain="contoso.example")) == 1
    assert same_question(store, Selection(DAY.start, DAY.end, "UTC", scope=frozenset({"contoso.example"}))) == 1


def test_withdrawn_rows_are_gone_from_rows_and_sums(store: Store) -> None:
    kept, gone = row(), row(outcome="rejected")
    store.commit(commit(kept, gone))
    changes = Changes()
    changes.withdraw(Identity(gone.key, gone.opened + SECOND))
    changes.withdraw(Identity(999, NOON))
    assert store.commit(Commit(changes))[:4] == (0, 0, 1, 0)
    assert rows_of(store) == [kept]
    assert same_question(store, DAY) == 1
    assert store.choices("outcome", DAY) == [("accepted", 1)]


def test_failures_are_named_when_their_account_is_learned(store: Store) -> None:
    key = key_of("anna@contoso.example")
    failed = row(account=None, account_key=key, outcome="auth_failed", sender=None)
    stranger = row(account=None, account_key="0" * 16, outcome="auth_failed", sender=None)
    store.commit(commit(failed, stranger))
    learned = commit(row(account="Anna@contoso.example"))
    learned.learned = {str(key): "Anna@contoso.example"}
    store.commit(learned)
    names = {found.key: found.account for found in rows_of(store, filtered(outcome="auth_failed"))}
    assert names == {failed.key: "Anna@contoso.example", stranger.key: None}
    assert same_question(store, filtered(outcome="auth_failed", account="anna@contoso.example")) == 1
    assert store.commit(commit(failed))[:4] == (0, 0, 0, 1)


def test_the_earliest_spelling_is_shown_whatever_the_order(store: Store) -> None:
    failed = row(time=NOON - SECOND, account="aNNa@x", outcome="auth_failed")
    store.commit(commit(row(time=NOON + SECOND, account="ANNA@contoso.example"), failed))
    store.commit(commit(row(time=NOON, account="Anna@contoso.example"), row(time=NOON + 2 * SECOND, account="anna@contoso.example")))
    assert {found.account for found in rows_of(store)} == {"Anna@contoso.example", "anna@x"}
    assert store.choices("account", DAY) == [("Anna@contoso.example", 3), ("anna@x", 0)]
    assert store.names() == ({"anna@contoso.example"}, {"contoso.example"})


def test_a_commit_that_fails_leaves_nothing_in_a_file() -> None:
    store = open_store(":memory:")
    bad = commit(row())
    bad.positions = [Position("head", 1, "not a number", "", "", "", "")]  # type: ignore[arg-type]  # what must fail
    with pytest.raises(duckdb.ConversionException):
        store.commit(bad)
    assert rows_of(store) == []
    assert store.commit(commit(row()))[:4] == (1, 0, 0, 0)
    store.close()


# Sums and rows agree, in any order

MOMENTS = st.sampled_from([0, SECOND, 1_900_000, 2 * SECOND, 3_500_000, 10 * SECOND, 3600 * SECOND])
ROWS = st.builds(
    lambda key, apart, time, fields: row(key=key, opened=NOON + apart, time=NOON + time, **fields),
    st.integers(1, 3),
    MOMENTS,
    st.sampled_from([0, 250_000, 3600 * SECOND]),
    st.fixed_dictionaries(
        {
            "account": st.sampled_from([None, "anna@contoso.example", "Anna@contoso.example", "bob"]),
            "sender": st.sampled_from([None, "", "anna@fabrikam.example"]),
            "outcome": st.sampled_from(["accepted", "rejected", "auth_failed"]),
            "tls_version": st.sampled_from(["unknown", "tls", "none", "TLSv1.0", "TLSv1.3"]),
            "mechanism": st.sampled_from(["unknown", "PLAIN"]),
            "size": st.sampled_from([None, 0, 5]),
            "reason": st.sampled_from([None, "policy"]),
        }
    ),
)
BATCHES = st.lists(st.lists(ROWS, min_size=1, max_size=3), min_size=1, max_size=3)
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_numbers_agree(store: Store) -> None:
    """Whatever is counted is what the rows, one by one, say."""
    counted: Counter[tuple[object, ...]] = Counter()
    for each in rows_of(store):
        account = None if each.account is None else each.account.casefold()
        counted[account, each.sender, each.outcome, each.tls_version, each.mechanism, each.client_ip] += 1
    names = ("account", "sender", "outcome", "tls_version", "mechanism", "client_ip")
    question = Question(f"SELECT {', '.join(names)}, sum(messages) AS n FROM events GROUP BY {', '.join(names)}", (*names, "n"))
    folded = ((None if name is None else str(name).casefold(), *rest) for name, *rest in store.ask(question, EVER).rows)
    assert {tuple(found[:-1]): found[-1] for found in folded} == counted


def test_sums_are_those_of_the_rows(engine: Engine) -> None:
    @settings(PROPERTY, max_examples=engine.examples)
    @given(BATCHES, st.lists(st.tuples(st.integers(1, 3), MOMENTS), max_size=3))
    def hold(batches: list[list[Submission]], withdrawn: list[tuple[int, int]]) -> None:
        store = engine.open()
        for number, batch in enumerate(batches):
            changes = commit(*batch).changes
            if number == len(batches) - 1:
                changes.withdrawn = {Identity(key, NOON + apart) for key, apart in withdrawn} - changes.rows.keys()
            store.commit(Commit(changes, learned={str(key_of("anna@contoso.example")): "anna@contoso.example"}))
            assert_numbers_agree(store)

    hold()


def test_the_order_of_commits_does_not_matter(engine: Engine) -> None:
    @settings(PROPERTY, max_examples=engine.examples)
    @given(BATCHES, st.randoms(use_true_random=False))
    def holds(batches: list[list[Submission]], random: Random) -> None:
        found = []
        shuffled = [[each] for batch in batches for each in batch]
        random.shuffle(shuffled)
        for order in (batches, shuffled, shuffled[::-1] + shuffled):
            store = engine.open()
            for batch in order:
                once: dict[Identity, Submission] = {}
                for each in batch:
                    if each.identity in once:
                        store.commit(commit(*once.values()))
                        once.clear()
                    once[each.identity] = each
                store.commit(commit(*once.values()))
            assert_numbers_agree(store)
            found.append(stored(engine, store))
        assert found[0] == found[1] == found[2]

    holds()


def stored(engine: Engine, store: Store) -> list[tuple[object, ...]]:
    """Every cell of every row, and how its account is spelled."""
    rows = f"SELECT s.*, a.spelling FROM ({logical('submissions', COLUMNS)}) AS s LEFT JOIN accounts AS a ON a.account = s.account"
    return sorted(engine.sql(store, rows), key=repr)


# Filters and scope


def mixed(store: Store) -> None:
    store.commit(
        commit(
            row(account="Anna@contoso.example", sender="Anna@Contoso.example", client_ip="192.0.2.10"),
            row(account="bob@fabrikam.example", sender="", client_ip="2001:db8::1", service="submissions", tls_version="none"),
            row(account="anna@contoso.example", sender="news@fabrikam.example", mechanism="XOAUTH2", tls_version="TLSv1.0", server="MX2"),
            row(account="scanner", sender="100%_off@contoso.example", mechanism="unknown", tls_version="SSLv3", client_ip=None),
            row(account=None, sender=None, outcome="auth_failed", mechanism="SCRAM-SHA-256", client_ip="192.0.2.200"),
            row(account=None, sender=None, outcome="tls_failed", mechanism="unknown", service="unknown", tls_version="unknown"),
        )
    )


FILTERED = [
    ({}, 6),
    ({"domain": "FABRIKAM.example"}, 2),
    ({"domain": "unknown"}, 2),
    ({"domain": ("contoso.example", "fabrikam.example")}, 4),
    ({"account": "ANNA@CONTOSO.EXAMPLE"}, 2),
    ({"account": ("scanner", "unknown")}, 3),
    ({"sender": "anna@contoso.example"}, 1),
    ({"sender": "<>"}, 1),
    ({"sender": "unknown"}, 2),
    ({"client": "192.0.2.10"}, 3),
    ({"client": "::ffff:192.0.2.10"}, 3),
    ({"client": "192.0.2.0/24"}, 4),
    ({"client": "192.0.2.99/24"}, 4),
    ({"client": "2001:0db8::/32"}, 1),
    ({"client": "2001:0db8::0:1"}, 1),
    ({"client": ("192.0.2.200", "2001:db8::/32", "unknown")}, 3),
    ({"client": "203.0.113.0/24"}, 0),
    ({"service": "submissions"}, 1),
    ({"service": "unknown"}, 1),
    ({"tls": "legacy"}, 2),
    ({"tls": "below-1.2"}, 2),
    ({"tls": "none"}, 1),
    ({"tls": "tlsv1.0"}, 1),
    ({"tls": ("none", "legacy")}, 3),
    ({"mechanism": "plain"}, 2),
    ({"mechanism": "unknown"}, 2),
    ({"mechanism": "UNKNOWN"}, 2),
    ({"client": "::ffff:192.0.2.128/121"}, 1),
    ({"auth_class": "basic"}, 2),
    ({"auth_class": "challenge"}, 1),
    ({"auth_class": ("oauth", "unknown")}, 3),
    ({"server": "mx2"}, 1),
    ({"outcome": "auth_failed"}, 1),
    ({"outcome": ("accepted", "tls_failed")}, 5),
    ({"domain": "contoso.example", "tls": "legacy"}, 1),
    ({"domain": ()}, 6),
    ({"sender": "100%_off@contoso.example"}, 1),
    ({"sender": "' OR 1=1 --"}, 0),
    ({"account": "a\udcff"}, 0),
]


def test_filters(store: Store) -> None:
    mixed(store)
    for filters, expected in FILTERED:
        assert same_question(store, filtered(**filters)) == expected, filters  # type: ignore[arg-type]  # one value or several


REFUSED = [
    ({"color": "red"}, "there is no filter 'color'; filters are domain, account,"),
    ({"tls": "TLSv9"}, "tls 'TLSv9' is not known; it is one of none, SSLv3, .* legacy"),
    ({"service": "pop3"}, "service 'pop3' is not known"),
    ({"outcome": "lost"}, "outcome 'lost' is not known"),
    ({"auth_class": "magic"}, "auth-class 'magic' is not known"),
    ({"client": "printer"}, "client 'printer' is not an address or network; give it as"),
    ({"client": "192.0.2.0/33"}, "is not an address or network"),
]


def test_a_filter_that_cannot_be_is_refused(store: Store) -> None:
    for filters, says in REFUSED:
        with pytest.raises(SelectionError, match=says):
            store.ask(COUNT, filtered(**filters))


def test_every_filter_offers_choices(store: Store) -> None:
    mixed(store)
    assert {name: store.choices(name, DAY)[0] for name in FILTERS} == {
        "domain": ("contoso.example", 2),
        "account": ("Anna@contoso.example", 2),
        "sender": ("100%_off@contoso.example", 1),
        "client": ("192.0.2.10", 2),
        "service": ("submission", 3),
        "tls": ("SSLv3", 1),
        "mechanism": ("PLAIN", 2),
        "auth-class": ("basic", 2),
        "server": ("mail", 3),
        "outcome": ("accepted", 4),
    }
    assert ("<>", 1) in store.choices("sender", DAY)
    assert store.choices("account", DAY, search="SCAN") == [("scanner", 1)]
    assert store.choices("sender", DAY, search="%_") == [("100%_off@contoso.example", 1)]
    assert len(store.choices("sender", DAY, limit=2)) == 2
    with pytest.raises(SelectionError, match="no filter 'reason'"):
        store.choices("reason", DAY)


def test_scope_is_beneath_everything(store: Store) -> None:
    mixed(store)
    fabrikam = frozenset({"fabrikam.example"})
    seen = Selection(DAY.start, DAY.end, "UTC", scope=fabrikam)
    later = Selection(DAY.end, EVER.end, "UTC", scope=fabrikam)
    assert same_question(store, seen) == 1
    assert [found.account for found in rows_of(store, seen)] == ["bob@fabrikam.example"]
    for relation, selection in (("facts", seen), ("events", seen), ("earlier", later)):
        question = Question(f"SELECT DISTINCT account FROM {relation}", ("account",))
        assert store.ask(question, selection).rows == [("bob@fabrikam.example",)]
    assert store.choices("account", seen) == [("bob@fabrikam.example", 1)]
    assert same_question(store, Selection(DAY.start, DAY.end, "UTC", scope=frozenset())) == 0
    assert same_question(store, Selection(DAY.start, DAY.end, "UTC", {"client": ("192.0.2.0/24",)}, fabrikam)) == 0
    assert store.span(frozenset({"nobody.example"})) is None
    assert store.span(fabrikam) == (NOON, NOON)


def test_the_class_of_a_mechanism_is_the_same_in_sql(engine: Engine, store: Store) -> None:
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "NTLM", "XOAUTH2", "OAUTHBEARER", "GSSAPI", "unknown", "SCRAM"):
        sql = f"SELECT {auth_class_case('m')} FROM (SELECT '{mechanism}' AS m) AS r"
        assert engine.sql(store, sql) == [(auth_class(mechanism),)]


# Views


def test_views_sort_search_and_page(store: Store) -> None:
    store.commit(commit(*(row(account=f"Account{n}@contoso.example", size=n // 2) for n in range(6)), row(account=None, size=9)))
    question = Question(
        "SELECT account, sum(bytes) AS bytes FROM facts GROUP BY account", ("account", "bytes"), sums=("bytes",), searched=("account",)
    )
    answer = store.ask(question, DAY, View(sort="bytes", offset=1, limit=2))
    assert answer == ([("Account4@contoso.example", 2), ("Account5@contoso.example", 2)], 7, {"bytes": 15})
    assert store.ask(question, DAY, View(sort="bytes", offset=50, limit=2)) == ([], 7, {"bytes": 15})
    assert store.ask(question, DAY, View(limit=0)) == ([], 7, {"bytes": 15})
    assert store.ask(question, DAY, View(search="ACCOUNT5")) == ([("Account5@contoso.example", 2)], 1, {"bytes": 2})
    assert store.ask(question, DAY, View(search="%")) == ([], 0, {"bytes": 0})
    assert store.ask(question, DAY, View(search="x' OR '1'='1")).total == 0
    assert store.ask(question, DAY, View(sort="account", descending=False)).rows[-1] == (None, 9)
    with pytest.raises(SelectionError, match="no column 'nothing' to sort by; columns are account, bytes"):
        store.ask(question, DAY, View(sort="nothing"))


# Local time


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe"])
@pytest.mark.parametrize("made_in", ["own", "UTC"])
def test_slots_are_local_and_sums_give_what_rows_give(engine: Engine, zone: str, made_in: str) -> None:
    store = engine.open(zone if made_in == "own" else "UTC")
    start, end = (round(datetime(2026, month, 20, tzinfo=ZoneInfo(zone)).timestamp()) * SECOND for month in (3, 11))
    times = range(start - 7 * 3600 * SECOND, end + 7 * 3600 * SECOND, 5 * 3600 * SECOND + 1_234_567)
    store.commit(commit(*(row(time=time) for time in times)))
    question = "SELECT slot, sum(messages) AS messages FROM {} GROUP BY slot"
    for interval, relation in itertools.product(INTERVALS, ("facts", "events")):
        asked = Question(question.format(relation), ("slot", "messages"), interval=interval)
        answer = store.ask(asked, Selection(start, end, zone), View(sort="slot", descending=False))
        found = {datetime.fromtimestamp(int(slot or 0) // SECOND, UTC).replace(tzinfo=None): number for slot, number in answer.rows}
        assert found == by_wall_clock([time for time in times if start <= time < end], zone, interval)
    before = store.ask(Question("SELECT sum(messages) AS messages FROM earlier", ("messages",)), Selection(start, end, zone))
    assert before.rows == [(sum(time < start for time in times),)]


def by_wall_clock(times: list[int], zone: str, interval: Interval) -> dict[datetime, int]:
    """How many are in each local hour, day or week."""
    counted: Counter[datetime] = Counter()
    for time in times:
        wall = datetime.fromtimestamp(time // SECOND, ZoneInfo(zone)).replace(tzinfo=None, minute=0, second=0)
        counted[wall if interval == "hour" else wall.replace(hour=0) - timedelta(days=wall.weekday() if interval == "week" else 0)] += 1
    return dict(counted)


def test_the_width_of_sums_is_the_zone_s_and_stays(engine: Engine) -> None:
    assert engine.open("Asia/Kolkata", lasting=True).bucket_minutes == 15
    assert engine.open_again(display_zone="UTC").bucket_minutes == 15
    assert engine.open("Europe/Paris").bucket_minutes == 60
    assert engine.open("Australia/Lord_Howe").bucket_minutes == 15


def test_a_period_within_an_hour_is_exact(store: Store) -> None:
    store.commit(commit(row(time=NOON), row(time=NOON + 60 * SECOND)))
    assert same_question(store, Selection(NOON + SECOND, NOON + 60 * SECOND, "UTC")) == 0
    assert same_question(store, Selection(NOON, NOON + 60 * SECOND + 1, "UTC")) == 2


# What is kept beside the rows


def test_position_sessions_and_progress(store: Store) -> None:
    first = Position("aa", 4096, 10, "t", "/var/log/mail.log", "UTC", "none")
    moved = first._replace(offset=20, path="/var/log/mail.log.1")
    sessions = Remembered("postfix", "mail", NOON, '{"pid": 1}')
    store.commit(Commit(Changes(newest={"mail": NOON}), [first], [sessions]))
    store.commit(Commit(Changes(newest={"mail": NOON + 5}), [moved], [sessions._replace(sessions="{}", newest=NOON + 5)]))
    assert store.positions() == [moved]
    assert store.remembered("postfix") == [Remembered("postfix", "mail", NOON + 5, "{}")]
    assert store.remembered("exim") == []
    assert store.progress() == [Progress("postfix", "mail", NOON + 5, NOON)]


def test_progress_knows_the_kind_from_rows_and_never_goes_back(store: Store) -> None:
    read = commit(row())
    read.changes.newest["mail"] = NOON
    store.commit(read)
    store.commit(Commit(Changes(newest={"mail": NOON - 5})))
    assert store.progress() == [Progress("postfix", "mail", NOON, NOON)]


def test_unread_lines_are_counted_by_reason_with_samples(store: Store) -> None:
    for hour in range(3):
        lines = [Unread("postfix", "mail", "sasl", NOON + hour * 3600 * SECOND + n, f"sample {hour}.{n}") for n in range(4)]
        store.commit(Commit(Changes(unread=lines)))
    samples = ["sample 0.0", "sample 0.1", "sample 0.2", "sample 0.3", "sample 1.0"]
    assert store.unread() == [UnreadCount("postfix", "mail", "sasl", 12, NOON + 7200 * SECOND + 3, samples)]
    assert [unread.lines for unread in store.unread(NOON, NOON + 3600 * SECOND)] == [4]
    assert [unread.lines for unread in store.unread(NOON + 1800 * SECOND)] == [12]
    assert store.unread(NOON + 4 * 3600 * SECOND) == []


def test_gaps_are_counted_once(store: Store) -> None:
    gap = Gap("mail", NOON, "rate limit", 17)
    for _ in range(2):
        store.commit(Commit(Changes(gaps=[gap, gap._replace(time=NOON + SECOND, lost=None)])))
    assert store.gaps(NOON, NOON + 2 * SECOND) == 2
    assert store.gaps(NOON + 1, NOON + 2 * SECOND) == 1


def test_a_snapshot_of_a_file_is_of_one_state() -> None:
    store = open_store(":memory:")
    store.commit(commit(row()))
    with store.snapshot() as seen:
        assert seen.count(DAY) == 1
        store.commit(commit(row(time=NOON + SECOND), row(time=NOON + 2 * SECOND)))
        assert (seen.count(DAY), seen.ask(COUNT, DAY).rows, seen.span()) == (1, [(1,)], (NOON, NOON))
        with seen.snapshot() as same:
            assert same.ask(COUNT, DAY).rows == [(1,)]
    assert same_question(store, DAY) == 3
    assert store.span() == (NOON, NOON + 2 * SECOND)
    store.close()


def test_questions_asked_together_are_answered_as_one_by_one(store: Store) -> None:
    accounts = ("anna@contoso.example", "bob", None)
    outcomes = ("accepted", "auth_failed")
    store.commit(
        commit(
            *(
                row(
                    time=NOON + n * SECOND, account=accounts[n % 3], outcome=outcomes[n % 2], tls_version=("TLSv1.0", "TLSv1.3")[n % 5 == 0]
                )
                for n in range(40)
            )
        )
    )
    questions = (
        Question("SELECT account, sum(messages) AS messages FROM facts GROUP BY account", ("account", "messages"), sums=("messages",)),
        Question("SELECT count(DISTINCT account) AS n FROM facts", ("n",), outcomes=("accepted",)),
        Question(
            "SELECT tls_version, max(last_seen) AS l FROM facts GROUP BY tls_version", ("tls_version", "l"), outcomes=("auth_failed",)
        ),
        Question("SELECT slot, sum(messages) AS n FROM facts GROUP BY slot", ("slot", "n"), interval="hour"),
        Question("SELECT count(DISTINCT client_ip) AS n, count(DISTINCT reason) AS m FROM events", ("n", "m")),
        Question("SELECT sum(bytes) AS n FROM events", ("n",), outcomes=("accepted", "auth_failed")),
    )
    views = (View(), View(limit=1), View(limit=0), View(limit=1, offset=1), View(offset=1))
    asked = [Asked(question, view) for question in questions for view in views]
    for selection in (DAY, filtered(account="bob"), filtered(tls="legacy"), filtered(client="192.0.2.0/24")):
        assert store.ask_all(selection, asked) == [store.ask(question, selection, view) for question, view in asked]


def test_threads_ask_while_another_commits(store: Store) -> None:
    wrong: list[object] = []

    def look() -> None:
        for _ in range(30):
            number = store.ask(COUNT, DAY).rows[0][0]
            if not isinstance(number, int) or number % 10:
                wrong.append(number)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        store.commit(commit(*(row() for _ in range(10))))
    for thread in threads:
        thread.join()
    assert wrong == []
    assert same_question(store, DAY) == 200
