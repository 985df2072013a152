"""
What a report is: a question with named, typed columns, and the table that answers it.

    table = ask(REPORTS["sending-volume"], store, selection, View(limit=50))

A report is declared in one .py beside one .sql. Everything that shows it, be it a page, JSON, CSV or a terminal,
renders the `Table` and computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from smtp_auth_report.store.interface import Interval, Selection, Value
from smtp_auth_report.submission import Outcome

Type = Literal["text", "count", "bytes", "share", "number", "time", "date", "flag"]
"""time is microseconds UTC in a Table and RFC 3339 outside; date is a local day, hour or week; share is 0 to 1."""


class Column(NamedTuple):
    """One column. `unit` says what is counted, or of what a share is a share."""

    name: str
    type: Type
    unit: str | None = None
    additive: bool = False  # its sum over rows means something


@dataclass(frozen=True, slots=True)
class Report:
    """One question of an administrator."""

    name: str
    title: str
    columns: tuple[Column, ...]
    series: tuple[Column, ...] = ()  # the first is the day, hour or week
    sort: str = "messages"  # worst or largest first
    descending: bool = True
    searched: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()  # what else the SQL returns, only to sort by
    found_by: tuple[tuple[str, str], ...] = ()  # columns that tell rows apart, each with the filter that finds them, or ""
    outcomes: tuple[str, ...] = (Outcome.ACCEPTED,)  # of which rows; () is all


@dataclass(frozen=True, slots=True)
class Table:
    """The answer. Rows follow `columns`; `total_rows` counts what the view's limit leaves out. What was not asked for is empty."""

    report: Report
    selection: Selection
    columns: tuple[Column, ...]
    rows: list[tuple[Value, ...]]
    total_rows: int
    totals: dict[str, int]
    unknown: dict[str, int]
    interval: Interval = "day"
    series_columns: tuple[Column, ...] = ()
    series: list[tuple[Value, ...]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether neither the rows nor the series, as far as they were asked for, have anything."""
        counted = (value for row in self.series for value in row[1:] if isinstance(value, int))
        return not self.total_rows and not any(counted)
