"""
Periods: what an administrator asks for, as instants.

    start, end = parse("2026-11-16", "2026-11-22", "Europe/Paris", now)     both days included
    start, end = parse(None, None, "Europe/Paris", now)                     today and the six days before
    period = settle(store, start, end, zone, scope)                         or the last days that have rows

A date means its whole local day, so `--to` is inclusive when it is a date; a time as RFC 3339 is an instant, and one
without an offset is local. Days with 23 or 25 hours are days.

What goes wrong
    SelectionError: not a date, out of range, or a period that ends before it starts.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.moments import DAY, EPOCH
from smtp_auth_report.store.interface import Interval, Selection, Snapshot
from smtp_auth_report.store.local_time import offset_at
from smtp_auth_report.words import worded

PRESETS = (7, 30, 90, 365)
"""Lengths, in days, that pages offer."""

DEFAULT_DAYS = PRESETS[0]
YEARS = range(1971, 2200)
HOURS_UP_TO = 2 * DAY
WEEKS_FROM = 190 * DAY


class Period(NamedTuple):
    """Microseconds UTC, `end` exclusive; `moved` when it is not the one asked for, because that has no rows."""

    start: int
    end: int
    moved: bool = False


def parse(text_from: str | None, text_to: str | None, zone: str, now: int) -> tuple[int, int]:
    """The period that two dates or times state; what is missing makes it seven days long, up to today."""
    first, last = _read("from", text_from), _read("to", text_to)
    if last is None:
        end = midnight(day(now, zone) + timedelta(days=1), zone)
    else:
        end = instant(last, zone) if isinstance(last, datetime) else midnight(last + timedelta(days=1), zone)
    if first is None:
        start = midnight(day(end - 1, zone) - timedelta(days=DEFAULT_DAYS - 1), zone)
    else:
        start = instant(first, zone) if isinstance(first, datetime) else midnight(first, zone)
    if start >= end:
        raise SelectionError(
            worded(
                "the period ends before it starts: from {start} to {end}",
                start=text_from or worded("seven days before"),
                end=text_to or worded("today"),
            )
        )
    return start, end


def preset(days: int, zone: str, now: int) -> tuple[int, int]:
    """Today and the days before it, so many in all."""
    today = day(now, zone)
    return midnight(today - timedelta(days=days - 1), zone), midnight(today + timedelta(days=1), zone)


def settle(store: Snapshot, start: int, end: int, zone: str, scope: frozenset[str] | None = None) -> Period:
    """The default period, or, where that has no rows and the store has some, the same days up to the last row."""
    span = store.span(scope)
    if span is None or store.count(Selection(start, end, zone, scope=scope)):
        return Period(start, end)
    return Period(*preset(DEFAULT_DAYS, zone, span[1]), moved=True)


def interval_for(selection: Selection) -> Interval:
    """Hours for two days or less, weeks for more than half a year, else days."""
    length = selection.end + offset_at(selection.zone, selection.end) - selection.start - offset_at(selection.zone, selection.start)
    return "hour" if length <= HOURS_UP_TO else "week" if length > WEEKS_FROM else "day"


def _read(name: str, text: str | None) -> date | datetime | None:
    """A date or a time, as stated."""
    if not text:
        return None
    try:
        stated = date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else datetime.fromisoformat(text)
    except ValueError:
        raise SelectionError(
            worded("{name} {text!r} is not a date; give it as 2026-11-22 or 2026-11-22T14:00:00Z", name=name, text=text)
        ) from None
    if stated.year not in YEARS:
        raise SelectionError(
            worded("{name} {text!r} is out of range; years go from {first} to {last}", name=name, text=text, first=YEARS[0], last=YEARS[-1])
        )
    return stated


def day(time: int, zone: str) -> date:
    """Local day of an instant."""
    return (EPOCH + timedelta(microseconds=time)).astimezone(ZoneInfo(zone)).date()


def midnight(day: date, zone: str) -> int:
    """When a local day starts."""
    return instant(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001 (the zone is added there)


def instant(wall: datetime, zone: str) -> int:
    """Of a wall clock; one without a zone is local. Where the clock jumps over it, as long after the jump as it is behind it."""
    aware = wall if wall.tzinfo else wall.replace(tzinfo=ZoneInfo(zone))
    return (aware - EPOCH) // timedelta(microseconds=1)
