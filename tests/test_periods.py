"""
Periods: dates are whole local days, also on those with 23 or 25 hours.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from engines import Engine
from rows import NOON, at, commit, row
from smtp_auth_report.errors import SelectionError
from smtp_auth_report.reports.periods import Period, interval_for, parse, preset, settle
from smtp_auth_report.store.interface import Selection, Store
from smtp_auth_report.store.local_time import Segment, bucket_minutes, earlier_starts, segments, shifted, slots

HOUR = 3600 * 1_000_000


@pytest.fixture
def store(engine: Engine) -> Store:
    return engine.open()


@pytest.mark.parametrize(
    ("first", "last", "zone", "start", "end"),
    [
        ("2026-11-16", "2026-11-22", "Europe/Paris", "2026-11-16T00:00:00+01:00", "2026-11-23T00:00:00+01:00"),
        ("2026-11-18", "2026-11-18", "UTC", "2026-11-18T00:00:00Z", "2026-11-19T00:00:00Z"),
        ("2026-10-25", "2026-10-25", "Europe/Paris", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        ("2026-03-08", "2026-03-08", "America/St_Johns", "2026-03-08T00:00:00-03:30", "2026-03-09T00:00:00-02:30"),
        ("2026-11-18", "2026-11-18", "Asia/Kolkata", "2026-11-18T00:00:00+05:30", "2026-11-19T00:00:00+05:30"),
        ("2026-11-18T10:00:00Z", "2026-11-18T11:30:00+01:00", "Asia/Kolkata", "2026-11-18T10:00:00Z", "2026-11-18T10:30:00Z"),
        ("2026-11-18T10:00", "2026-11-18T11:00:00.5", "Europe/Paris", "2026-11-18T10:00:00+01:00", "2026-11-18T11:00:00.5+01:00"),
        (None, None, "Europe/Paris", "2026-11-12T00:00:00+01:00", "2026-11-19T00:00:00+01:00"),
        (None, None, "Pacific/Auckland", "2026-11-13T00:00:00+13:00", "2026-11-20T00:00:00+13:00"),
        ("2026-11-01", None, "UTC", "2026-11-01T00:00:00Z", "2026-11-19T00:00:00Z"),
        (None, "2026-10-26", "Europe/Paris", "2026-10-20T00:00:00+02:00", "2026-10-27T00:00:00+01:00"),
        ("", "", "UTC", "2026-11-12T00:00:00Z", "2026-11-19T00:00:00Z"),
    ],
)
def test_parse(first: str | None, last: str | None, zone: str, start: str, end: str) -> None:
    assert parse(first, last, zone, NOON) == (at(start), at(end))


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ("yesterday", None, "from 'yesterday' is not a date; give it as 2026-11-22 or"),
        (None, "2026-11-31", "to '2026-11-31' is not a date"),
        ("22/11/2026", None, "is not a date"),
        ("0001-01-01", None, "out of range; years go from 1971 to 2199"),
        (None, "9999-12-31", "out of range"),
        ("2026-11-19", "2026-11-18", "the period ends before it starts: from 2026-11-19 to 2026-11-18"),
        ("2027-01-01", None, "the period ends before it starts: from 2027-01-01 to today"),
        ("2026-11-18T10:00Z", "2026-11-18T10:00Z", "the period ends before it starts"),
    ],
)
def test_a_period_that_cannot_be_is_refused(first: str | None, last: str | None, says: str) -> None:
    with pytest.raises(SelectionError, match=says):
        parse(first, last, "UTC", NOON)


def test_presets_end_today() -> None:
    assert preset(30, "Europe/Paris", NOON) == (at("2026-10-20T00:00:00+02:00"), at("2026-11-19T00:00:00+01:00"))


def test_the_default_period_moves_to_where_the_rows_are(store: Store) -> None:
    start, end = parse(None, None, "Europe/Paris", NOON)
    assert settle(store, start, end, "Europe/Paris") == Period(start, end)
    store.commit(commit(row(time=at("2026-10-26T23:30:00Z"))))
    moved = Period(at("2026-10-21T00:00:00+02:00"), at("2026-10-28T00:00:00+01:00"), moved=True)
    assert settle(store, start, end, "Europe/Paris") == moved
    store.commit(commit(row(account="bob@fabrikam.example", time=end - 1)))
    assert settle(store, start, end, "Europe/Paris") == Period(start, end)
    assert settle(store, start, end, "Europe/Paris", frozenset({"contoso.example"})) == moved
    assert settle(store, start, end, "Europe/Paris", frozenset({"nobody.example"})) == Period(start, end)


@pytest.mark.parametrize(
    ("first", "last", "interval"),
    [
        ("2026-11-18", "2026-11-19", "hour"),
        ("2026-10-25", "2026-10-26", "hour"),
        ("2026-11-18", "2026-11-20", "day"),
        ("2026-01-01", "2026-07-09", "day"),
        ("2026-01-01", "2026-07-10", "week"),
    ],
)
def test_intervals(first: str, last: str, interval: str) -> None:
    assert interval_for(Selection(*parse(first, last, "Europe/Paris", NOON), "Europe/Paris")) == interval


def test_offsets_change_at_the_very_second() -> None:
    start, end = at("2026-10-20T00:00:00Z"), at("2026-11-20T00:00:00Z")
    assert segments("Europe/Paris", start, end) == (Segment(start, 2 * HOUR), Segment(at("2026-10-25T01:00:00Z"), HOUR))
    assert segments("Asia/Kolkata", start, end) == (Segment(start, 11 * HOUR // 2),)
    change = at("2026-10-25T01:00:00Z")
    assert segments("Europe/Paris", change - 1, change) == (Segment(change - 1, 2 * HOUR),)
    assert segments("Europe/Paris", change, change + 1) == (Segment(change, HOUR),)


@pytest.mark.parametrize(
    ("zone", "minutes"),
    [("UTC", 60), ("Europe/Paris", 60), ("America/St_Johns", 15), ("Asia/Kathmandu", 15), ("Asia/Pyongyang", 15), ("America/New_York", 60)],
)
def test_zones_with_parts_of_hours_need_quarters(zone: str, minutes: int) -> None:
    assert bucket_minutes(zone) == minutes


def test_hours_that_the_clocks_skip_or_repeat() -> None:
    spring = slots("Europe/Paris", *parse("2026-03-29", "2026-03-29", "Europe/Paris", NOON), "hour")
    assert [slot // HOUR % 24 for slot in spring] == [0, 1, *range(3, 24)]
    autumn = slots("Europe/Paris", *parse("2026-10-25", "2026-10-25", "Europe/Paris", NOON), "hour")
    assert [slot // HOUR % 24 for slot in autumn] == list(range(24))
    assert len(slots("America/St_Johns", *parse("2026-03-01", "2026-03-31", "America/St_Johns", NOON), "day")) == 31
    assert [slot // HOUR // 24 for slot in slots("UTC", at("2026-11-18T00:00:00Z"), at("2026-11-24T00:00:00Z"), "week")] == [
        at("2026-11-16T00:00:00Z") // HOUR // 24,
        at("2026-11-23T00:00:00Z") // HOUR // 24,
    ]


def test_earlier_periods_are_equal_by_the_calendar() -> None:
    start, end = parse("2026-10-26", "2026-11-01", "Europe/Paris", NOON)
    assert earlier_starts("Europe/Paris", start, end, 2) == [at("2026-10-19T00:00:00+02:00"), at("2026-10-12T00:00:00+02:00")]
    assert shifted("Europe/Paris", start, timedelta(days=-1)) == at("2026-10-25T00:00:00+02:00")
