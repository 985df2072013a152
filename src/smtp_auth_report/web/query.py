"""
The state of a page, all of it in the address.

    query = read(request.GET)
    query.selection(zone, now)                what the store is asked
    query.address("/report", view="table")    the same page, otherwise
    query.state                               the same as text, to be kept
    kept(text, zone, now)                     the state that such a text gives
    query.with_value("tls", "legacy")         the same state with one more filter

The names are those of the API and the command line: from, to, days, the filters, q, sort. `by` says which report,
`view` chart or table, `page` which page of the table. A sort that starts with a hyphen is descending.

What goes wrong
    SelectionError: a date, number or report that cannot be used, or a kept state of another version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.reports import REPORTS, periods
from smtp_auth_report.store.dialects import DUCKDB
from smtp_auth_report.store.filters import read_filters as conditions
from smtp_auth_report.store.interface import FILTERS, Selection
from smtp_auth_report.words import worded

PIVOTS = ("sending-volume", "tls-usage", "auth-methods", "clients", "failures")
"""Reports of the report page, in the order of *View data by*."""

CHARTED = ("sending-volume", "tls-usage", "auth-methods", "failures")
"""Of these, the ones that have a chart."""

PARAMETERS = ("by", "view", "from", "to", "days", *FILTERS, "q", "sort", "page")
"""Names that an address may have."""

MOST_DAYS = 3660
PAGE_ROWS = 50
LONGEST_TEXT = 1000


class Parameters(Protocol):
    """Values by name, as Django gives those of an address."""

    def get(self, key: str, /) -> Any: ...

    def getlist(self, key: str, /) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class Query:
    """What a page shows."""

    report: str = PIVOTS[0]
    view: Literal["chart", "table"] = "chart"
    first: str = ""  # date or time, as stated
    last: str = ""
    days: int = periods.DEFAULT_DAYS
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    search: str = ""
    sort: str = ""
    page: int = 1

    @property
    def stated(self) -> bool:
        """Whether the reader chose the period."""
        return bool(self.first or self.last) or self.days != periods.DEFAULT_DAYS

    @property
    def column(self) -> str:
        return self.sort.removeprefix("-") or REPORTS[self.report].sort

    @property
    def descending(self) -> bool:
        return self.sort.startswith("-") if self.sort else REPORTS[self.report].descending

    def selection(self, zone: str, now: int) -> Selection:
        if self.first or self.last:
            start, end = periods.parse(self.first, self.last, zone, now)
        else:
            start, end = periods.preset(self.days, zone, now)
        return Selection(start, end, zone, self.filters)

    def with_value(self, name: str, value: str) -> Query:
        values = self.filters.get(name, ())
        return self.with_filter(name, values if value in values else (*values, value))

    def without_value(self, name: str, value: str) -> Query:
        return self.with_filter(name, tuple(kept for kept in self.filters.get(name, ()) if kept != value))

    def with_filter(self, name: str, values: tuple[str, ...]) -> Query:
        others = {key: kept for key, kept in self.filters.items() if key != name}
        return replace(self, filters=others | ({name: values} if values else {}), page=1)

    def period_pairs(self) -> list[tuple[str, str]]:
        if self.first or self.last:
            return [(name, text) for name, text in (("from", self.first), ("to", self.last)) if text]
        return [("days", str(self.days))] if self.days != periods.DEFAULT_DAYS else []

    def filter_pairs(self) -> list[tuple[str, str]]:
        return [(name, value) for name in FILTERS for value in self.filters.get(name, ())]

    def pairs(self) -> list[tuple[str, str]]:
        """The state as an address has it; what is as usual is left out."""
        pairs = [("by", self.report)]
        pairs += [("view", self.view)] if self.view != "chart" else []
        pairs += self.period_pairs() + self.filter_pairs()
        pairs += [("q", self.search)] if self.search else []
        pairs += [("sort", self.sort)] if self.sort else []
        pairs += [("page", str(self.page))] if self.page > 1 else []
        return pairs

    @property
    def state(self) -> str:
        """The state as a text; it has no page, since rows come and go."""
        return urlencode(replace(self, page=1).pairs(), errors="surrogateescape")

    def address(self, path: str = "/report", **changes: Any) -> str:
        """Address of the state with some changes; a change of what the table has leads to its first page."""
        changes = changes if "page" in changes or "view" in changes else changes | {"page": 1}
        return f"{path}?{urlencode(replace(self, **changes).pairs(), errors='surrogateescape')}"

    def table_address(self, path: str) -> str:
        """Address of the same table elsewhere, as in the API."""
        pairs = self.period_pairs() + self.filter_pairs()
        pairs += [("q", self.search)] if self.search else []
        pairs += [("sort", self.sort)] if self.sort else []
        return f"{path}?{urlencode(pairs, errors='surrogateescape')}" if pairs else path


def read(parameters: Parameters) -> Query:
    """The state that an address gives."""
    report = parameters.get("by") or PIVOTS[0]
    if report not in PIVOTS:
        raise SelectionError(worded("there is no report {report!r}; data can be viewed by {known}", report=report, known=", ".join(PIVOTS)))
    return Query(
        report=report,
        view="table" if parameters.get("view") == "table" or report not in CHARTED else "chart",
        first=_text(parameters, "from"),
        last=_text(parameters, "to"),
        days=_number(parameters, "days", periods.DEFAULT_DAYS, MOST_DAYS),
        filters=read_filters(parameters),
        search=_text(parameters, "q"),
        sort=read_sort(parameters, report),
        page=_number(parameters, "page", 1, 1_000_000),
    )


def kept(state: str, zone: str, now: int) -> Query:
    """The state that was kept, when a page can be made of it; what this version does not know is named."""
    parameters = QueryDict(state)
    if unknown := [name for name in parameters if name not in PARAMETERS]:
        raise SelectionError(gettext("This version does not know %(names)s.") % {"names": ", ".join(unknown)})
    query = read(parameters)
    conditions(query.selection(zone, now), DUCKDB)
    return query


def read_filters(parameters: Parameters) -> dict[str, tuple[str, ...]]:
    """Filters that have a value."""
    found = {}
    for name in FILTERS:
        values = dict.fromkeys(value.strip()[:LONGEST_TEXT] for value in parameters.getlist(name))
        values.pop("", None)
        if values:
            found[name] = tuple(values)
    return found


def read_sort(parameters: Parameters, report: str) -> str:
    """The column to sort by, with its hyphen; it must be one of the report's."""
    stated = _text(parameters, "sort")
    known = [*(column.name for column in REPORTS[report].columns), *REPORTS[report].orders]
    if stated and stated.removeprefix("-") not in known:
        raise SelectionError(
            worded(
                "{report} cannot be sorted by {stated!r}; it can be by {known}, with a hyphen before for descending",
                report=report,
                stated=stated,
                known=", ".join(known),
            )
        )
    return stated


def _text(parameters: Parameters, name: str) -> str:
    return str(parameters.get(name) or "").strip()[:LONGEST_TEXT]


def _number(parameters: Parameters, name: str, default: int, most: int) -> int:
    text = _text(parameters, name)
    if not text:
        return default
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
        raise SelectionError(worded("{name} {text!r} is not a number from 1 to {most}", name=name, text=text, most=most))
    return int(text)
