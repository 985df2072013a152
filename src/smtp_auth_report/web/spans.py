"""
A selection's period, in words and as the dates of an address.

    in_words(selection)      16 to 22 Nov 2026, with a dash
    dates(selection)         {"first": "2026-11-16", "last": "2026-11-22"}
    of_dates(first, last)    such dates in words
    expired(selection, time) Rows from before 27 Oct 2025 have expired
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext

from smtp_auth_report.moments import EPOCH
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.web import wording
from smtp_auth_report.web.query import Query


def in_words(selection: Selection) -> str:
    """Days where the period is made of whole days, else times."""
    return of_dates(**dates(selection))


def of_dates(first: str, last: str) -> str:
    """The same of a period that was kept as its dates."""
    start, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    if "T" not in first:
        return wording.day_range(start.date(), end.date())
    pattern = wording.TIME if start.date() == end.date() else wording.DATE_AND_TIME
    return f"{wording.dated(start, wording.DATE_AND_TIME)}{wording.EN_DASH}{wording.dated(end, pattern)}"


def dates(selection: Selection) -> dict[str, str]:
    """First and last, as `Query` names them."""
    start, end = _walls(selection)
    if start.time() == end.time() == time():
        return {"first": start.date().isoformat(), "last": (end - timedelta(microseconds=1)).date().isoformat()}
    return {"first": start.isoformat(timespec="seconds"), "last": end.isoformat(timespec="seconds")}


def expired(selection: Selection, before: int) -> str:
    """That rows of the period are there from a moment on, in words; "" where that is 0."""
    if not before:
        return ""
    wall = (EPOCH + timedelta(microseconds=before)).astimezone(ZoneInfo(selection.zone))
    time_of = wording.dated(wall.date(), wording.DATE) if wall.time() == time() else wording.dated(wall, wording.DATE_AND_TIME)
    return gettext("Rows from before %(time)s have expired") % {"time": time_of}


def stated(query: Query, selection: Selection) -> Query:
    """The state with the selection's period spelled out."""
    first_and_last = dates(selection)
    return replace(query, first=first_and_last["first"], last=first_and_last["last"])


def _walls(selection: Selection) -> tuple[datetime, datetime]:
    zone = ZoneInfo(selection.zone)
    start, end = ((EPOCH + timedelta(microseconds=at)).astimezone(zone).replace(tzinfo=None) for at in (selection.start, selection.end))
    return start, end
