"""
Sums of days answer as the rows do: whatever comes late, changes, is withdrawn, named, erased or expires, in any zone.

STORE_EXAMPLES in the environment says of how many examples a property is tried, five if nothing else. With it, weeks are
counted over periods of more lengths, from every day and not from every third.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rows import at, commit, key_of, row
from smtp_auth_report.changes import Changes, Commit
from smtp_auth_report.store import duckdb_sealing, open_store
from smtp_auth_report.store.dialects import DUCKDB
from smtp_auth_report.store.duckdb import DuckStore
from smtp_auth_report.store.duckdb_sealing import read_coverage
from smtp_auth_report.store.filters import read_filters
from smtp_auth_report.store.interface import Interval, Question, Selection, Store, Value
from smtp_auth_report.store.local_time import day_start, local_day
from smtp_auth_report.store.relations import Reader
from smtp_auth_report.store.sums import DIGESTS, SUMS, Coverage, Piece, pieces, usable
from smtp_auth_report.submission import Identity, Submission

EXAMPLES = int(os.environ.get("STORE_EXAMPLES", "5"))
HOUR = 3_600_000_000
DAY = 24 * HOUR
START = at("2026-09-01T00:00:00Z")  # before the clocks change in Paris, Lord Howe, St. John's and Havana
LATER = at("2030-01-01T00:00:00Z")
ZONES = ("UTC", "Europe/Paris", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe", "America/Havana")

COUNTED = "sum(messages) AS messages, sum(recipients) AS recipients, sum(bytes) AS bytes, min(first_seen) AS f, max(last_seen) AS l"
COUNTS = ("messages", "recipients", "bytes", "f", "l")
BY_NAME = ("account", "sender", "sender_domain", "tls_version", "outcome", "reason")
BY_CLIENT = (*BY_NAME, "client_ip", "client_name", "helo")


@pytest.fixture(scope="module", autouse=True)
def _every_sum_is_worth_it() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb_sealing, "FEW", 0)
        patch.setattr(duckdb_sealing, "WORTH", 0)
        yield


def memory_store(zone: str) -> DuckStore:
    store = open_store(":memory:", display_zone=zone, default_domain="contoso.example", clock=lambda: LATER)
    assert isinstance(store, DuckStore)
    return store


def question(relation: str, names: tuple[str, ...], interval: Interval = "day", outcomes: tuple[str, ...] = ()) -> Question:
    group = ", ".join(names)
    sql = f"SELECT {group}, {COUNTED} FROM {relation} GROUP BY {group}"
    return Question(sql, (*names, *COUNTS), interval=interval, outcomes=outcomes)


AGO = ("ago_1", "ago_2", "ago_3", "ago_4")
ASIDE = ", ".join(f"sum({name}) AS {name}" for name in AGO)

FACTS = (
    question("facts", BY_NAME),
    question("facts", ("slot", "outcome"), "hour"),
    question("facts", ("slot", "account", "mechanism"), "day"),
    question("facts", ("slot", "tls_version"), "week"),
    question("facts", ("sender_domain",), outcomes=("accepted",)),
    question("previous", ("account", "auth_class")),
    question("earlier", ("ago", "account", "outcome")),
    Question(f"SELECT account, {ASIDE}, sum(ever) AS ever FROM earlier GROUP BY account", ("account", *AGO, "ever")),
    Question(f"SELECT sender_domain, {ASIDE} FROM earlier GROUP BY sender_domain", ("sender_domain", *AGO)),
)
EVENTS = (question("events", BY_CLIENT), question("events", ("slot", "client_ip"), "week"), question("events", ("account", "helo")))


class Step(NamedTuple):
    """Something that happens to a store."""

    kind: str  # commit, withdraw, learn, seal, erase
    rows: tuple[Submission, ...] = ()


MOMENTS = st.one_of(
    st.integers(0, 60 * 24 * 4).map(lambda quarters: START + quarters * HOUR // 4),
    st.sampled_from([at("2026-10-25T00:59:59Z"), at("2026-10-25T01:00:00Z"), at("2026-11-01T05:30:00Z"), at("2026-10-03T15:30:00Z")]),
)
ROWS = st.builds(
    lambda key, time, fields: row(key=key, opened=START + key * DAY, time=time, **fields),
    st.integers(1, 12),
    MOMENTS,
    st.fixed_dictionaries(
        {
            "account": st.sampled_from([None, "anna@contoso.example", "Anna@contoso.example", "bob"]),
            "sender": st.sampled_from([None, "", "anna@fabrikam.example"]),
            "outcome": st.sampled_from(["accepted", "rejected", "auth_failed"]),
            "tls_version": st.sampled_from(["unknown", "TLSv1.0", "TLSv1.3"]),
            "client_ip": st.sampled_from([None, "192.0.2.1", "2001:db8::1"]),
            "helo": st.sampled_from([None, "a", "b"]),
            "size": st.sampled_from([None, 5]),
            "reason": st.sampled_from([None, "policy"]),
        }
    ),
)
UNNAMED = st.builds(
    lambda key, time: row(key=key, time=time, account=None, account_key=key_of("anna@contoso.example"), outcome="auth_failed"),
    st.integers(20, 25),
    MOMENTS,
)
STEPS = st.lists(
    st.one_of(
        st.builds(Step, st.sampled_from(["commit", "withdraw"]), st.lists(st.one_of(ROWS, UNNAMED), min_size=1, max_size=6).map(tuple)),
        st.sampled_from([Step("seal"), Step("seal"), Step("learn"), Step("erase")]),
    ),
    min_size=2,
    max_size=8,
)
EDGES = st.tuples(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0, 0, 0, HOUR, 12 * HOUR + 1]))
PROPERTY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def happen(store: DuckStore, step: Step) -> None:
    if step.kind == "commit":
        store.commit(commit(*step.rows))
    elif step.kind == "withdraw":
        store.commit(Commit(Changes(withdrawn={Identity(each.key, each.opened) for each in step.rows})))
    elif step.kind == "learn":
        store.commit(Commit(Changes(), learned={str(key_of("anna@contoso.example")): "anna@contoso.example"}))
    elif step.kind == "erase":
        store.erase("bob", str(key_of("bob")))


def answers(store: Store, selection: Selection, questions: tuple[Question, ...]) -> list[list[tuple[Value, ...]]]:
    with store.snapshot() as seen:  # which finds out once what the store has
        return [sorted(seen.ask(each, selection).rows, key=repr) for each in questions]


WAY = "service, tls_version, mechanism, way_id"
ALIKE = ("account, account_id", "account, sender, sender_id", "sender_domain, domain_id")


@PROPERTY
@given(STEPS)
def test_values_that_are_equal_have_one_number(steps: list[Step]) -> None:
    store = memory_store("UTC")
    for step in steps:
        happen(store, step)
        for table, columns in [*(("subjects", columns) for columns in ALIKE), ("clients", "client_ip, address_id"), ("manners", WAY)]:
            found = store._connection.execute(f"SELECT DISTINCT {columns} FROM {table}").fetchall()
            values, numbers = [entry[:-1] for entry in found], [entry[-1] for entry in found]
            assert len(set(values)) == len(set(numbers)) == len(found), "each value has one number, and each number one value"
            assert all((number is None) == (value == (None,)) for value, number in zip(values, numbers, strict=True))


@PROPERTY
@given(
    STEPS, st.sampled_from(ZONES), EDGES, st.sampled_from([{}, {"client": ("192.0.2.0/24", "unknown")}, {"account": ("bob", "unknown")}])
)
def test_sums_answer_as_rows_do(steps: list[Step], zone: str, edges: tuple[int, int, int], filters: dict[str, tuple[str, ...]]) -> None:
    sealed, plain = memory_store(zone), memory_store(zone)
    for step in (*steps, Step("seal")):
        for store in (sealed, plain):
            happen(store, step)
        if step.kind == "seal":
            sealed.seal()
    first = local_day(zone, START) + edges[0]
    selection = Selection(day_start(zone, first) + edges[2], day_start(zone, first + edges[1]) + edges[2], zone, filters)
    assert answers(sealed, selection, FACTS + EVENTS) == answers(plain, selection, FACTS + EVENTS)
    sealed.close()
    plain.close()


@PROPERTY
@given(
    st.lists(st.lists(st.one_of(ROWS, UNNAMED), min_size=1, max_size=8), min_size=1, max_size=3),
    st.sampled_from(ZONES),
    st.lists(st.integers(1, 60), min_size=1, max_size=3),
    st.booleans(),
)
def test_sums_stay_when_rows_expire(batches: list[list[Submission]], zone: str, days: list[int], between: bool) -> None:
    """Whether sums were made before rows expired, or after; of expired rows no client is left."""
    expiring, plain = memory_store(zone), memory_store(zone)
    for batch in batches:
        expiring.commit(commit(*batch))
        plain.commit(commit(*batch))
    for number in sorted(days):
        if between:
            expiring.seal()
        expiring.expire(day_start(zone, local_day(zone, START) + number) + HOUR)
    expiring.seal()
    ever = Selection(START - 10 * DAY, START + 70 * DAY, zone)
    by_name = tuple(each for each in FACTS if each.interval != "hour")
    assert answers(expiring, ever, by_name) == answers(plain, ever, by_name)
    kept = Selection(day_start(zone, local_day(zone, START) + max(days)), ever.end, zone)
    assert answers(expiring, ever, EVENTS) == answers(plain, kept, EVENTS)
    numbers = expiring._connection.execute("SELECT count(*) FROM clients WHERE id NOT IN (SELECT client FROM submissions)").fetchall()
    assert numbers == [(0,)]
    expiring.close()
    plain.close()


def test_days_of_another_zone_are_summed_up_anew(tmp_path: object) -> None:
    path = f"{tmp_path}/mail.duckdb"
    rows = [row(time=START + hours * HOUR) for hours in range(0, 24 * 40, 5)]
    found = {}
    for zone in ("Europe/Paris", "America/St_Johns"):
        store = open_store(path, display_zone=zone, clock=lambda: LATER)
        assert isinstance(store, DuckStore)
        store.commit(commit(*rows))
        selection = Selection(day_start(zone, local_day(zone, START) + 1), day_start(zone, local_day(zone, START) + 36), zone)
        before = answers(store, selection, FACTS)
        store.seal()
        assert answers(store, selection, FACTS) == before
        found[zone] = store._connection.execute("SELECT slot, sum(messages) FROM sums_1 GROUP BY slot ORDER BY slot").fetchall()
        assert store._connection.execute("SELECT count(*) > 30 FROM sealed WHERE sums = 'sums_1' AND kept").fetchall() == [(True,)]
        store.close()
    assert found["Europe/Paris"] != found["America/St_Johns"]


def test_a_late_row_makes_the_sums_of_its_day_void_and_no_others() -> None:
    store = memory_store("UTC")
    store.commit(commit(*(row(time=START + day * DAY) for day in range(30))))
    store.seal()
    before = sealed(store)
    store.commit(commit(row(time=START + 10 * DAY)))
    day = START // DAY + 10
    assert before - sealed(store) == {(each.table, slot) for each in SUMS for slot in each.slots(day)} & before
    store.seal()
    assert sealed(store) == before
    store.close()


def test_the_day_that_is_not_over_is_summed_up_so_far() -> None:
    day = START + 9 * DAY
    now = [day + 18 * HOUR]
    stores = [open_store(":memory:", default_domain="contoso.example", clock=lambda: now[0]) for _ in range(2)]
    sealed, plain = stores
    assert isinstance(sealed, DuckStore)
    asked = (FACTS[0], FACTS[2], FACTS[4], EVENTS[0])  # of names, of days, of domains, of clients

    def after(*rows: Submission) -> int:
        """The moment up to which the day is summed up after these rows have come."""
        for store in stores:
            store.commit(commit(*rows))
        for end in (day + DAY, day + 22 * HOUR, day + 12 * HOUR):
            selection = Selection(START, end, "UTC")
            assert answers(sealed, selection, asked) == answers(plain, selection, asked)
        return read_coverage(sealed._connection.execute, 60).so_far

    assert after(*(row(time=START + hours * HOUR) for hours in range(9 * 24 + 19))) == 0
    sealed.seal()
    assert after() == day + 18 * HOUR - HOUR // 4
    assert after(row(time=day + 18 * HOUR - HOUR // 4), row(time=START)) == day + 18 * HOUR - HOUR // 4
    assert after(row(time=day)) == 0
    sealed.seal()
    now[0] += HOUR
    assert after(row(time=now[0])) == day + 18 * HOUR - HOUR // 4
    sealed.seal()
    assert after() == now[0] - HOUR // 4
    now[0] = day + DAY + HOUR
    after(row(time=now[0]))
    sealed._writer.seal()
    assert after() == 0
    sealed.seal()
    assert after() == now[0] - HOUR // 4
    sealed.erase("anna@contoso.example", str(key_of("anna@contoso.example")))
    plain.erase("anna@contoso.example", str(key_of("anna@contoso.example")))
    assert after() == 0
    for store in stores:
        store.close()


def test_a_clock_that_goes_back_leaves_sums_of_whole_days_as_they_are() -> None:
    day = START + 9 * DAY
    now = [day + 18 * HOUR]
    store = open_store(":memory:", clock=lambda: now[0])
    store.commit(commit(*(row(time=START + hours * HOUR) for hours in range(9 * 24 + 18))))
    ever = Selection(START, day + DAY, "UTC")
    store.seal()
    before = answers(store, ever, FACTS[:3])
    now[0] -= 2 * DAY
    store.seal()
    assert answers(store, ever, FACTS[:3]) == before
    now[0] += 2 * DAY
    store.seal()
    assert answers(store, ever, FACTS[:3]) == before
    store.close()


def test_a_day_that_expires_before_it_is_over_stays_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_sealing, "WORTH", 3)
    now = START + 42 * HOUR
    store = open_store(":memory:", clock=lambda: now)
    store.commit(commit(*(row(time=START + n * HOUR // 60, client_ip=f"192.0.{n % 250}.{n % 253}") for n in range(42 * 60))))
    ever = Selection(START, START + 2 * DAY, "UTC")
    before = answers(store, ever, FACTS[:1])
    store.seal()
    store.expire(START + 2 * DAY)
    assert answers(store, ever, FACTS[:1]) == before
    store.close()


@pytest.mark.parametrize("days", [7, 8, 14, 21, 30, 41] if "STORE_EXAMPLES" in os.environ else [8, 21, 30])
def test_weeks_that_begin_on_any_day_are_counted_once(days: int) -> None:
    sealed, plain = memory_store("UTC"), memory_store("UTC")
    rows = [row(time=START + day * DAY, size=1 << day) for day in range(50)]
    for store in (sealed, plain):
        store.commit(commit(*rows))
    sealed.seal()
    for begun in range(0, 50 - days, 1 if "STORE_EXAMPLES" in os.environ else 3):  # any day of a week is among every third
        selection = Selection(START + begun * DAY, START + (begun + days) * DAY, "UTC")
        assert answers(sealed, selection, FACTS + EVENTS) == answers(plain, selection, FACTS + EVENTS)
    sealed.close()
    plain.close()


def test_sums_of_weeks_that_begin_on_any_day_begin_with_the_first_rows() -> None:
    store, day = memory_store("UTC"), START // DAY
    store.commit(commit(*(row(time=START + n * DAY) for n in range(9))))
    store.seal()
    assert {slot for table, slot in sealed(store) if table == "sums_7"} == {day, day + 1}
    store.commit(commit(row(time=START - 3 * DAY)))
    store.seal()
    assert {slot for table, slot in sealed(store) if table == "sums_7"} == {day - 3, day - 2, day - 1, day, day + 1}
    store.close()


def test_sums_that_would_be_nearly_as_many_as_the_rows_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_sealing, "WORTH", 3)
    store = memory_store("UTC")
    often = [row(time=START + n * 60_000_000) for n in range(30)]
    seldom = [row(time=START + DAY + n, account=f"user{n}@contoso.example") for n in range(30)]
    store.commit(commit(*often, *seldom, row(time=START + 2 * DAY)))
    store.seal()
    day = START // DAY
    assert sealed(store) == {("sums_1", day), ("client_sums_1", day)}
    assert store._connection.execute("SELECT slot, kept FROM sealed WHERE sums = 'sums_1' ORDER BY slot").fetchall()[:2] == [
        (day, True),
        (day + 1, False),
    ]
    store.close()


def test_sums_of_blocks_that_overlap_are_kept_where_all_of_them_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is in seven weeks: four rows to a sum would be seven sums to four rows."""
    monkeypatch.setattr(duckdb_sealing, "WORTH", 3)
    for accounts, kept in ((1, True), (7, False)):
        store, day = memory_store("UTC"), START // DAY
        rows = [row(time=START + n * DAY + k, account=f"user{n % accounts}@contoso.example") for n in range(7) for k in range(4)]
        store.commit(commit(*rows, row(time=START + 7 * DAY)))
        store.seal()
        assert {("sums_1", day + n) for n in range(7)} <= sealed(store)
        assert (("sums_7", day) in sealed(store)) == kept
        store.close()


@pytest.mark.parametrize(
    ("sql", "filters", "outcomes", "read"),
    [
        ("SELECT tls_version, sum(messages) AS n FROM facts GROUP BY tls_version", {}, (), "manner"),
        ("SELECT slot, auth_class, sum(messages) AS n FROM facts GROUP BY slot, auth_class", {"tls": ("legacy",)}, ("accepted",), "manner"),
        ("SELECT slot, sender_domain, sum(messages) AS n FROM facts GROUP BY slot, sender_domain", {}, ("accepted",), "domain"),
        ("SELECT sum(bytes) AS n FROM facts", {"domain": ("contoso.example",)}, (), "domain"),
        ("SELECT sender_domain, tls_version, sum(bytes) AS n FROM facts GROUP BY sender_domain, tls_version", {}, (), ""),
        ("SELECT sender_domain, sum(bytes) AS n FROM facts GROUP BY sender_domain", {"mechanism": ("PLAIN",)}, (), ""),
        ("SELECT sum(messages) AS n FROM facts", {"account": ("bob",)}, (), ""),
    ],
)
def test_what_needs_neither_account_nor_sender_is_read_from_digests(
    sql: str, filters: dict[str, tuple[str, ...]], outcomes: tuple[str, ...], read: str
) -> None:
    day = local_day("UTC", START)
    days = frozenset(range(day, day + 3))
    coverage = Coverage(
        "UTC", 60, START, START + 3 * DAY, sealed={f"{name}_sums_1": days for name in ("manner", "domain")} | {"sums_1": days}
    )
    selection = Selection(START, START + 3 * DAY, "UTC", filters)
    relations = Reader(selection, read_filters(selection, DUCKDB), coverage).relations(Question(sql, (), outcomes=outcomes), {})
    assert re.findall(r"FROM (\w*sums_\w+)", relations.sql) == [f"{read}_sums_1" if read else "sums_1"]


def test_digests_are_made_anew_once_an_account_is_erased() -> None:
    store = memory_store("UTC")
    store.commit(commit(*(row(time=START + n * HOUR, account=("bob", "anna@fabrikam.example")[n % 2]) for n in range(24 * 120))))
    tables = [each.table for kind in DIGESTS.values() for each in kind]

    def numbers() -> list[int]:
        return [store._connection.execute(f"SELECT coalesce(sum(messages), 0) FROM {table}").fetchall()[0][0] for table in tables]

    store.seal()
    before = numbers()
    assert min(before) > 0
    store.erase("bob", str(key_of("bob")))
    assert set(numbers()) == {0}
    store.seal()
    assert numbers() == [number // 2 for number in before]
    store.close()


def sealed(store: DuckStore) -> set[tuple[str, int]]:
    return set(store._connection.execute("SELECT sums, slot FROM sealed WHERE kept").fetchall())


# A period as pieces


def test_a_period_is_read_from_the_longest_sums_that_lie_in_it() -> None:
    monday = 20_000 - (20_000 - 4) % 112
    days = frozenset(range(monday, monday + 200)) - {monday + 130}
    coverage = Coverage("UTC", sealed={"sums_1": days, "sums_7": frozenset({monday + 112, monday + 119}), "sums_112": frozenset({monday})})
    tables = usable("UTC", coverage, clients=False, longest=112)
    start, end = (monday - 1) * DAY + HOUR, (monday + 133) * DAY + 1
    assert pieces(coverage, start, end, tables) == [
        Piece("submissions", start, monday * DAY),
        Piece("sums_112", monday, monday + 112),
        Piece("sums_7", monday + 112, monday + 126, every=7),
        Piece("sums_1", monday + 126, monday + 130),
        Piece("submissions", (monday + 130) * DAY, (monday + 131) * DAY),
        Piece("sums_1", monday + 131, monday + 133),
        Piece("submissions", (monday + 133) * DAY, end),
    ]
    assert pieces(coverage, start, end, usable("Europe/Paris", coverage, clients=False, longest=112)) == [Piece("submissions", start, end)]
    assert pieces(coverage, end, start, tables) == []


def test_sums_of_the_day_so_far_give_way_to_rows_like_others() -> None:
    day = 20_000
    pairs = frozenset(range(day, day + 60)) - frozenset(range(day + 2, day + 60, 3))
    coverage = Coverage("UTC", sealed={"sums_1": pairs}, so_far=(day + 60) * DAY + HOUR, summed=frozenset({"sums_1"}))
    tables = usable("UTC", coverage, clients=False, longest=1)
    found = pieces(coverage, (day + 55) * DAY, (day + 60) * DAY + 2 * HOUR, tables)
    assert found[-2:] == [Piece("sums_1", day + 60, day + 61), Piece("submissions", coverage.so_far, coverage.so_far + HOUR)]
    found = pieces(coverage, day * DAY, (day + 60) * DAY + 2 * HOUR, tables)
    assert found[-1] == Piece("submissions", (day + 59) * DAY, coverage.so_far + HOUR)
    edges = [(piece.low, piece.high) if piece.table == "submissions" else (piece.low * DAY, piece.high * DAY) for piece in found]
    assert all(before[1] == after[0] for before, after in pairwise(edges))


def test_a_period_is_read_from_as_few_sums_as_there_can_be() -> None:
    monday = 20_000 - (20_000 - 4) % 28
    days = frozenset(range(monday - 50, monday + 50))
    coverage = Coverage("UTC", sealed={"sums_1": days, "sums_7": days, "sums_28": frozenset({monday - 28, monday})})
    tables = usable("UTC", coverage, clients=False, longest=112)
    start, end = (monday - 8) * DAY, (monday + 30) * DAY
    assert pieces(coverage, start, end, tables) == [
        Piece("sums_7", monday - 8, monday - 1, every=7),
        Piece("sums_1", monday - 1, monday),
        Piece("sums_28", monday, monday + 28),
        Piece("sums_1", monday + 28, monday + 30),
    ]
    assert pieces(coverage, start, (monday + 13) * DAY, tables) == [Piece("sums_7", monday - 8, monday + 13, every=7)]
    by_week = usable("UTC", coverage, clients=False, longest=7)
    assert pieces(coverage, start, (monday + 13) * DAY, by_week, calendar=True) == [
        Piece("sums_1", monday - 8, monday - 7),
        Piece("sums_7", monday - 7, monday + 7, every=7),
        Piece("sums_1", monday + 7, monday + 13),
    ]


def test_a_period_never_has_many_pieces() -> None:
    coverage = Coverage("UTC", sealed={"sums_1": frozenset(day for day in range(20_000, 20_400) if day % 7 < 5 or day > 20_390)})
    found = pieces(coverage, 20_000 * DAY, 20_400 * DAY, usable("UTC", coverage, clients=False, longest=1))
    assert len(found) <= 16
    assert found[-1] == Piece("sums_1", 20_391, 20_400)


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "America/Havana", "Pacific/Apia", "Asia/Beirut"])
def test_days_follow_each_other_without_gap_where_midnight_is_skipped(zone: str) -> None:
    for day in range(local_day(zone, at("2011-01-01T12:00:00Z")), local_day(zone, at("2013-01-01T12:00:00Z"))):
        start, end = day_start(zone, day), day_start(zone, day + 1)
        if start < end:  # Apia left one day out
            assert (local_day(zone, start), local_day(zone, end - 1)) == (day, day)
