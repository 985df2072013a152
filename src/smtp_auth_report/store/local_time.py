"""
Local days, hours and weeks without an engine's time zone database.

    segments("Europe/Paris", start, end)       from when which offset holds, until `end`
    slots("Europe/Paris", start, end, "day")   the local starts of all days that the period touches
    shifted("Europe/Paris", start, -delta)     the same wall clock, another day
    local_day("Europe/Paris", time)            the number of the local day that an instant is in, from 1970-01-01 on
    day_start("Europe/Paris", number)          when that day starts

Instants are microseconds UTC. A slot is a local wall clock, as the microseconds it would be if it were UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from smtp_auth_report.moments import DAY, EPOCH, HOUR, SECOND
from smtp_auth_report.store.interface import Interval

WIDTHS: dict[Interval, int] = {"hour": HOUR, "day": DAY, "week": 7 * DAY}
MONDAY = 4 * DAY  # 1970-01-05, the first Monday that an instant counts from


class Segment(NamedTuple):
    """From `start` on, local time is UTC plus `offset`; both in microseconds."""

    start: int
    offset: int


def offset_at(zone: str, time: int) -> int:
    """What local time is ahead of UTC, in microseconds."""
    offset = (EPOCH + timedelta(microseconds=time)).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)


@lru_cache(maxsize=256)
def segments(zone: str, start: int, end: int) -> tuple[Segment, ...]:
    """Offsets in force from `start` to `end`, the first from `start` itself."""
    found = [Segment(start, offset_at(zone, start))]
    time = start
    while time < end:
        later = min(time + DAY, end)
        offset = offset_at(zone, later)
        if offset != found[-1].offset:
            found.append(Segment(_change(zone, time, later), offset))
        time = later
    return tuple(segment for segment in found if segment.start < end or segment is found[0])


def _change(zone: str, before: int, after: int) -> int:
    """The whole second between two instants at which the offset changes."""
    low, high = before // SECOND, -(-after // SECOND)
    offset = offset_at(zone, before)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if offset_at(zone, middle * SECOND) == offset else (low, middle)
    return high * SECOND


@cache
def bucket_minutes(zone: str) -> int:
    """Width of an aggregate whose edges meet every local hour: 15 where the zone has known parts of hours."""
    start, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * SECOND for year in (2000, 2040))
    weeks = range(start, end, 7 * DAY)  # no zone has had an offset for less
    return 60 if all(offset_at(zone, time) % HOUR == 0 for time in weeks) else 15


def slot(local: int, interval: Interval) -> int:
    """Start of the hour, day or week that a local wall clock is in."""
    return local - (local - (MONDAY if interval == "week" else 0)) % WIDTHS[interval]


def slots(zone: str, start: int, end: int, interval: Interval) -> list[int]:
    """Every slot of the period, in order; an hour that the clocks skip is none."""
    if start >= end:
        return []
    last = slot(end - 1 + offset_at(zone, end - 1), interval)
    if interval != "hour":
        return list(range(slot(start + offset_at(zone, start), interval), last + 1, WIDTHS[interval]))
    quarters = range(start, end, HOUR // 4)
    offsets = segments(zone, start, end)
    found, index = {last}, 0
    for time in quarters:
        while index + 1 < len(offsets) and offsets[index + 1].start <= time:
            index += 1
        found.add(slot(time + offsets[index].offset, interval))
    return sorted(found)


def shifted(zone: str, time: int, by: timedelta) -> int:
    """The instant whose wall clock is that of `time`, moved by so much."""
    here = ZoneInfo(zone)
    wall = (EPOCH + timedelta(microseconds=time)).astimezone(here).replace(tzinfo=None) + by
    return (wall.replace(tzinfo=here) - EPOCH) // timedelta(microseconds=1)


def earlier_starts(zone: str, start: int, end: int, count: int) -> list[int]:
    """Starts of the equal periods before, nearest first; equal by the calendar, so days with 23 hours are days."""
    length = timedelta(microseconds=(end + offset_at(zone, end)) - (start + offset_at(zone, start)))
    return [shifted(zone, start, -length * number) for number in range(1, count + 1)]


def local_day(zone: str, time: int) -> int:
    """Number of the local day that an instant is in."""
    return (time + offset_at(zone, time)) // DAY


@lru_cache(maxsize=16_384)
def day_start(zone: str, day: int) -> int:
    """First instant of a local day; of one whose midnight the clocks skip, the moment they do."""
    wall = EPOCH.replace(tzinfo=ZoneInfo(zone)) + timedelta(days=day)
    return (wall - EPOCH) // timedelta(microseconds=1)
