"""
What a chart draws, and the same figures as a table: the series of a report, in the order and colours of readers.

    chart = volume(table, ranked, now, zoom)  ten domains and the rest
    chart.figures                             what chart.js draws, as JSON
    chart.lines                               the "as table" disclosure, also shown where no script runs

Domains keep their colour: it goes by their rank over the whole store, not over the period shown.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from django.utils.translation import gettext, ngettext

from smtp_auth_report.moments import EPOCH
from smtp_auth_report.reports.asking import slot_text
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.store.interface import Interval
from smtp_auth_report.store.local_time import slots
from smtp_auth_report.web import vocabulary, wording

BAR_POINTS = 14
"""Bars up to so many points; areas beyond."""

OTHER = "\0other"
WIDTHS: dict[Interval, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
_PATTERNS = ("plain", "rising", "dots", "flat", "falling", "upright", "plain", "rising", "dots", "flat")
FAILURES = {"auth_failed": ("failed-auth", "plain"), "tls_failed": ("failed-tls", "rising")}
"""Colour and pattern of each."""


class Series(NamedTuple):
    """One layer of the stack."""

    key: str
    label: str
    colour: str
    pattern: str
    values: list[int]

    @property
    def total(self) -> int:
        return sum(self.values)


class Slot(NamedTuple):
    """One hour, day or week on the axis."""

    label: str
    title: str
    first: str
    last: str
    weekend: bool
    partial: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Slots across, series upwards."""

    kind: Literal["volume", "share"]
    slots: list[Slot]
    series: list[Series]
    zoom: str

    @property
    def total(self) -> int:
        return sum(series.total for series in self.series)

    @property
    def lines(self) -> list[tuple[Slot, list[int], int]]:
        """Rows of the chart as a table, with their sum."""
        columns = [series.values for series in self.series]
        return [
            (slot, [values[index] for values in columns], sum(values[index] for values in columns)) for index, slot in enumerate(self.slots)
        ]

    @property
    def is_dense(self) -> bool:
        return len(self.slots) > BAR_POINTS

    @property
    def figures(self) -> str:
        """For chart.js, as JSON."""
        content: dict[str, Any] = {
            "kind": self.kind,
            "bars": not self.is_dense,
            "slots": [slot._asdict() for slot in self.slots],
            "series": [series._asdict() for series in self.series],
            "zoom": self.zoom,
            "words": {"total": gettext("Total"), "partial": gettext("Not over yet"), "per_cent": wording.per_cent_of("#")},
        }
        return json.dumps(content)


def volume(table: Table, ranked: Sequence[str], now: int, zoom: str) -> Chart:
    """Messages by sender domain: ten, and the rest as one."""
    figures = _pivot(table)
    order = sorted(figures, key=lambda domain: -sum(figures[domain].values()))
    shown = order if len(order) <= vocabulary.DOMAIN_COLOURS else order[: vocabulary.DOMAIN_COLOURS]
    colours = _domain_colours(shown, ranked)
    starts = _starts(table)
    series = [
        Series(name, _domain_words(name), f"domain-{colours[name]}", _PATTERNS[colours[name]], _values(figures[name], starts))
        for name in shown
    ]
    rest = order[len(shown) :]
    if rest:
        together = [sum(figures[name].get(start, 0) for name in rest) for start in starts]
        words = ngettext("%(n)s other domain", "%(n)s other domains", len(rest)) % {"n": wording.count(len(rest))}
        series.append(Series(OTHER, words, "other", "upright", together))
    return Chart("volume", _slots(table, starts, now), series, zoom)


def tls_share(table: Table, now: int, zoom: str) -> Chart:
    """Share of each TLS version, worst at the bottom."""
    figures = _pivot(table)
    starts = _starts(table)
    series = [
        Series(word.value, str(word.label), word.colour, word.pattern, _values(figures.get(word.value, {}), starts))
        for word in vocabulary.TLS
        if word.value in figures or word.column in vocabulary.ALWAYS_SHOWN
    ]
    return Chart("share", _slots(table, starts, now), series, zoom)


def mechanisms(table: Table, now: int, zoom: str) -> Chart:
    """Messages by mechanism, the most used at the bottom."""
    return _plain(table, now, zoom, mechanism_words, vocabulary.mechanism_colour)


def failures(table: Table, now: int, zoom: str) -> Chart:
    """Failed sign-ins and handshakes."""
    starts = _starts(table)
    by_start = {str(row[0]): row[1:] for row in table.series}
    words = {"auth_failed": gettext("Failed sign-ins"), "tls_failed": gettext("Failed TLS handshakes")}
    series = [
        Series(name, words[name], *FAILURES[name], [int(by_start[start][index] or 0) if start in by_start else 0 for start in starts])
        for index, name in enumerate(column.name for column in table.series_columns[1:])
    ]
    return Chart("volume", _slots(table, starts, now), series, zoom)


def daily(table: Table, column: str) -> list[int]:
    """One column of a series by day, days without rows included: what a sparkline draws."""
    position = next(index for index, known in enumerate(table.series_columns) if known.name == column)
    by_start: Counter[str] = Counter()
    for row in table.series:
        by_start[str(row[0])] += int(row[position] or 0)
    return [by_start[start] for start in _starts(table)]


def _plain(table: Table, now: int, zoom: str, words: Callable[[str], str], look: Callable[[str], tuple[str, str]]) -> Chart:
    figures = _pivot(table)
    starts = _starts(table)
    order = sorted(figures, key=lambda name: -sum(figures[name].values()))
    series = [Series(name, words(name), *look(name), _values(figures[name], starts)) for name in order]
    return Chart("volume", _slots(table, starts, now), series, zoom)


def _pivot(table: Table) -> dict[str, dict[str, int]]:
    """Second column of the series -> slot -> messages."""
    figures: dict[str, dict[str, int]] = {}
    for start, name, messages in table.series:
        figures.setdefault("unknown" if name is None else str(name), {})[str(start)] = int(messages or 0)
    return figures


def _values(figures: Mapping[str, int], starts: Sequence[str]) -> list[int]:
    return [figures.get(start, 0) for start in starts]


def _starts(table: Table) -> list[str]:
    """Every slot of the period, as the series names it."""
    selection = table.selection
    return [slot_text(start, table.interval) for start in slots(selection.zone, selection.start, selection.end, table.interval)]


def _domain_colours(shown: Sequence[str], ranked: Sequence[str]) -> dict[str, int]:
    """Rank over the whole store, wrapped; a clash takes the next free colour, so that ten domains have ten."""
    ranks = {name: rank for rank, name in enumerate(ranked)}
    colours: dict[str, int] = {}
    for name in sorted(shown, key=lambda name: ranks.get(name, len(ranks))):
        wanted = ranks.get(name, len(ranks)) % vocabulary.DOMAIN_COLOURS
        free = [colour % vocabulary.DOMAIN_COLOURS for colour in range(wanted, wanted + vocabulary.DOMAIN_COLOURS)]
        colours[name] = next(colour for colour in free if colour not in colours.values())
    return colours


def _domain_words(name: str) -> str:
    return gettext("Unknown domain") if name == "unknown" else wording.visible(name)


def mechanism_words(name: str) -> str:
    """A mechanism as people read it."""
    return gettext("Unknown") if name == "unknown" else wording.visible(name)


def _slots(table: Table, starts: Sequence[str], now: int) -> list[Slot]:
    here = (EPOCH + timedelta(microseconds=now)).astimezone(ZoneInfo(table.selection.zone)).replace(tzinfo=None)
    return [_slot(datetime.fromisoformat(start), table.interval, here) for start in starts]


def _slot(start: datetime, interval: Interval, here: datetime) -> Slot:
    """Times are wall clocks of the zone."""
    end = start + WIDTHS[interval]
    first, last = start.date(), (end - timedelta(minutes=1)).date()
    hourly = interval == "hour"
    if hourly:
        title = wording.dated(start, wording.WEEKDAY_AND_TIME)
    else:
        title = wording.dated(start, wording.WEEKDAY) if interval == "day" else wording.day_range(first, last)
    return Slot(
        label=wording.dated(start, wording.TIME if hourly and start.hour else wording.SHORT_DATE),
        title=title,
        first=start.isoformat(timespec="minutes") if hourly else first.isoformat(),
        last=end.isoformat(timespec="minutes") if hourly else last.isoformat(),
        weekend=interval != "week" and start.weekday() >= 5,
        partial=start <= here < end,
    )
