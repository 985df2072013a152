"""
Days, weeks and months that are over, for what is told of them regularly.

    over = latest(Every.WEEK, "Europe/Paris", now)      the newest that is to be told of by now
    over.start, over.end, over.told                     instants; a week begins on Monday, and is told of the next Monday at 7
    before(Every.WEEK, "Europe/Paris", over)            start and end of the one before it

All of it is by the wall clock of the zone: a day has 23 to 25 hours, and where the clock goes forward at 7 it is told of at 8.
A day that a zone has skipped is never told of.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

from smtp_auth_report.reports.periods import day, instant, midnight

TOLD_AT = time(7)
ONE = timedelta(days=1)


class Every(StrEnum):
    """How long what is told of lasts."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Over(NamedTuple):
    """A period that is over, `end` exclusive, and when it is told of."""

    start: int
    end: int
    told: int


def latest(every: Every, zone: str, now: int) -> Over:
    """The newest that is to be told of by now."""
    today = day(now, zone)
    if now < instant(datetime.combine(today, TOLD_AT), zone):
        today -= ONE
    while True:
        first, after = _last(every, today)
        over = Over(midnight(first, zone), midnight(after, zone), instant(datetime.combine(after, TOLD_AT), zone))
        if over.start < over.end:
            return over
        today -= ONE


def before(every: Every, zone: str, over: Over) -> tuple[int, int]:
    """The same kind of period, up to where this one begins."""
    first, _ = _last(every, day(over.start, zone))
    return midnight(first, zone), over.start


def _last(every: Every, today: date) -> tuple[date, date]:
    """Days of the last whole period before a day, the second exclusive."""
    if every == Every.DAY:
        return today - ONE, today
    if every == Every.WEEK:
        monday = today - today.weekday() * ONE
        return monday - 7 * ONE, monday
    first = today.replace(day=1)
    return (first - ONE).replace(day=1), first
