"""
What time it was: years and zones that a stamp leaves out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from reading import options
from smtp_auth_report.sources.stamps import Clock, queue_id_time

PARIS = ZoneInfo("Europe/Paris")


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def read(clock: Clock, *stamps: str) -> list[str | None]:
    found = [clock.at(stamp.encode()) for stamp in stamps]
    return [None if time is None else datetime.fromtimestamp(time / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") for time in found]


def settled(sample: list[str], reference: str, **stated: object) -> Clock:
    clock = Clock(options(**{"year": None, "now": micros("2026-11-24T00:00:00Z")} | stated))
    clock.settle([f"{stamp} mail postfix/smtpd[1]: connect from x[192.0.2.1]".encode() for stamp in sample], micros(reference))
    return clock


@pytest.mark.parametrize("stamp", ["Nov  7 01:02:03", "Nov 7 01:02:03", "Nov 07 01:02:03", "Nov 07 01:02:03.25", "Nov  7 01:02:03 2026"])
def test_days_in_every_spelling(stamp: str) -> None:
    assert read(Clock(options()), stamp) == ["2026-11-07T01:02:03"]


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("2026-11-07T01:02:03Z", "2026-11-07T01:02:03"),
        ("2026-11-07 01:02:03,5+0130", "2026-11-06T23:32:03"),
        ("2026-11-07T01:02:03-05:00", "2026-11-07T06:02:03"),
        ("1794013323000000", "2026-11-07T01:02:03"),
        ("Sat 2026-11-07 01:02:03 UTC", "2026-11-07T01:02:03"),
        ("Nov 31 01:02:03", None),
        ("2026-13-07T01:02:03Z", None),
        ("0026-11-07T01:02:03Z", None),
        ("2026-11-07T25:02:03Z", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_stamps_that_say_all(stamp: str, time: str | None) -> None:
    assert read(Clock(options()), stamp) == [time]


def test_the_year_is_the_latest_in_which_the_file_does_not_end_in_the_future() -> None:
    assert read(settled(["Nov 23 16:00:00"], "2026-11-23T17:00:00Z"), "Nov 23 16:00:00") == ["2026-11-23T16:00:00"]
    assert read(settled(["Dec 24 16:00:00"], "2026-11-23T17:00:00Z"), "Dec 24 16:00:00") == ["2025-12-24T16:00:00"]
    assert read(settled(["Mar 1 16:00:00", "Mar 9 16:00:00"], "2024-03-09T17:00:00Z"), "Mar 1 16:00:00") == ["2024-03-01T16:00:00"]


def test_turns_of_year_inside_a_file() -> None:
    stamps = ["Nov 1 00:00:00", "Dec 30 00:00:00", "Jan 2 00:00:00", "Dec 30 00:00:00", "Jan 3 00:00:00"]
    found = read(settled(stamps, "2026-01-03T01:00:00Z"), *stamps)
    assert [str(time)[:4] for time in found] == ["2024", "2024", "2025", "2025", "2026"]


def test_a_straggler_of_december_belongs_to_the_old_year() -> None:
    clock = settled(["Dec 31 23:59:58", "Jan 1 00:00:02"], "2026-01-01T01:00:00Z")
    found = read(clock, "Dec 31 23:59:58", "Jan 1 00:00:01", "Dec 31 23:59:59", "Jan 1 00:00:02")
    assert found == ["2025-12-31T23:59:58", "2026-01-01T00:00:01", "2025-12-31T23:59:59", "2026-01-01T00:00:02"]


def test_29_february_is_of_a_leap_year() -> None:
    assert read(settled(["Feb 29 12:00:00"], "2026-11-23T17:00:00Z"), "Feb 29 12:00:00") == ["2024-02-29T12:00:00"]


def test_a_stated_year_wins() -> None:
    assert read(settled(["Nov 23 16:00:00"], "2026-11-23T17:00:00Z", year=2019), "Nov 23 16:00:00") == ["2019-11-23T16:00:00"]


def test_the_hour_that_autumn_repeats_is_read_twice() -> None:
    clock = Clock(options(zone=PARIS))
    stamps = ["Oct 25 02:10:00", "Oct 25 02:50:00", "Oct 25 02:10:00", "Oct 25 02:50:00", "Oct 25 03:10:00"]
    assert read(clock, *stamps) == [f"2026-10-25T{time}:00" for time in ("00:10", "00:50", "01:10", "01:50", "02:10")]


def test_local_stamps_in_summer_and_winter() -> None:
    assert read(Clock(options(zone=PARIS)), "Jul 1 12:00:00", "Nov 1 12:00:00") == ["2026-07-01T10:00:00", "2026-11-01T11:00:00"]


def test_iso_stamps_without_a_zone_through_a_change_of_clocks() -> None:
    """The hour that autumn repeats is read twice, minute by minute."""
    night = [
        f"2026-10-25 {hour}:{minute:02}:{second:02}"
        for hour in ("01", "02", "02", "03")
        for minute in range(0, 60, 3)
        for second in (0, 59)
    ]
    clock = Clock(options(zone=PARIS))
    wanted = [f"{hour}:{minute:02}:{second:02}" for hour in ("23", "00", "01", "02") for minute in range(0, 60, 3) for second in (0, 59)]
    assert [time[11:] for time in read(clock, *night)] == wanted
    assert read(clock, "2026-10-25 03:59:7x", "2026-10-25 03:59:77", "2026-10-25 03:59:60")[:2] == [None, None]


def test_long_queue_ids_tell_year_and_zone() -> None:
    made = queue_id_time(b"48rT2v1hQrz1J0N")
    assert made is not None
    assert datetime.fromtimestamp(made / 1_000_000, UTC).isoformat() == "2020-03-30T10:19:19+00:00"
    clock = Clock(options(year=None, zone_given=False))
    clock.evidence(b"Mar 30 12:19:19", queue_id_time(b"48rT2v1hQrz1J0N"))
    assert read(clock, "Mar 30 12:19:20") == ["2020-03-30T10:19:20"]
    stated = Clock(options(year=None, zone_given=True))
    stated.evidence(b"Mar 30 12:19:19", queue_id_time(b"48rT2v1hQrz1J0N"))
    assert read(stated, "Mar 30 12:19:20") == ["2020-03-30T12:19:20"]


@pytest.mark.parametrize("queue_id", [b"4F1A022C8A9", b"NOQUEUE", b"0000000000zB", b"48rT2v1hQra1J0N", b""])
def test_short_queue_ids_tell_no_time(queue_id: bytes) -> None:
    assert queue_id_time(queue_id) is None
