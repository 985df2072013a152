"""
Asking a report: its SQL to the store, and the typed table back.

    table = ask(REPORTS["tls-usage"], store, selection, View(limit=50))

Three questions make a table: its rows, its series, and what is said of the selection as a whole. A report's SQL lies
beside its module: `tls_usage.sql`, and `tls_usage.series.sql` where it has a chart. Where some columns take long and only
the first rows are wanted, `clients.brief.sql` without these columns finds which rows that are, and they alone are asked
for in full.

Parameters that the SQL may name
    $covered    1 where the store's rows reach back to the fourth of the equal periods before
    $known      1 where they reach back to before the period
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Literal

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.moments import DAY, EPOCH
from smtp_auth_report.reports.interface import Column, Report, Table
from smtp_auth_report.reports.periods import interval_for
from smtp_auth_report.store.filters import UNKNOWN
from smtp_auth_report.store.interface import Answer, Interval, Question, Selection, Store, Value, View
from smtp_auth_report.store.local_time import earlier_starts, shifted, slots
from smtp_auth_report.submission import Outcome

HOURS_AT_MOST = 93 * DAY

OVERALL = ("messages", "accounts", "tls_version", "mechanism", "account_unknown", "sender_unknown", "service")


def ask(report: Report, store: Store, selection: Selection, view: View = View(), *, interval: Interval | Literal["auto"] = "auto") -> Table:  # noqa: B008 (frozen)
    """The report's table for a selection; all rows unless the view limits them."""
    chosen = interval_for(selection) if interval == "auto" else interval
    if chosen == "hour" and selection.end - selection.start > HOURS_AT_MOST:
        raise SelectionError(f"hours are given for {HOURS_AT_MOST // DAY} days or less; ask for days or weeks")
    answer = _rows(report, store, selection, _sorted(report, view))
    (overall,) = store.ask(Question(_sql("overall"), OVERALL, outcomes=(Outcome.ACCEPTED,)), selection).rows
    said = dict(zip(OVERALL, (int(number or 0) for number in overall), strict=True))
    return Table(
        report=report,
        selection=selection,
        columns=report.columns,
        rows=[_typed(report.columns, row) for row in answer.rows],
        total_rows=answer.total,
        totals={"messages": said["messages"]} | answer.sums | {"accounts": said["accounts"]},
        unknown={
            "tls_version": said["tls_version"],
            "mechanism": said["mechanism"],
            "account": said["account_unknown"],
            "sender": said["sender_unknown"],
            "service": said["service"],
            "lines_unread": sum(unread.lines for unread in store.unread(selection.start, selection.end)),
            "gaps": store.gaps(selection.start, selection.end),
        },
        interval=chosen,
        series_columns=_series_columns(report, chosen),
        series=_series(report, store, selection, chosen),
    )


@cache
def _sql(name: str) -> str:
    return (files(__package__) / f"{name.replace('-', '_')}.sql").read_text(encoding="utf-8")


def _rows(report: Report, store: Store, selection: Selection, view: View) -> Answer:
    """Rows of the view, with all columns."""
    whole = _question(report, store, selection)
    names = tuple(name for name in whole.columns if name in _brief(report.name))
    if view.limit is None or view.sort not in names or (view.search and not set(report.searched) <= set(names)):
        return store.ask(whole, selection, view)
    brief = store.ask(replace(whole, sql=_sql(f"{report.name}.brief"), columns=names), selection, view)
    told_apart = [name for name, _ in report.found_by]
    wanted = [tuple(row[names.index(name)] for name in told_apart) for row in brief.rows]
    filters = {
        filter_: tuple({UNKNOWN if key[place] is None else str(key[place]) for key in wanted})
        for place, (_, filter_) in enumerate(report.found_by)
        if filter_ and wanted
    }
    found = store.ask(whole, replace(selection, filters={**selection.filters, **filters})).rows if wanted else []
    full = {tuple(row[whole.columns.index(name)] for name in told_apart): row for row in found}
    if not full.keys() >= set(wanted):
        return store.ask(whole, selection, view)  # a name that is a filter's own word, or a commit that came between
    return brief._replace(rows=[full[key] for key in wanted])


@cache
def _brief(report_name: str) -> frozenset[str]:
    """Words of a report's brief question, none where it has no such."""
    path = files(__package__) / f"{report_name.replace('-', '_')}.brief.sql"
    return frozenset(re.findall(r"\w+", path.read_text(encoding="utf-8"))) if path.is_file() else frozenset()


def _question(report: Report, store: Store, selection: Selection) -> Question:
    return Question(
        sql=_sql(report.name),
        columns=(*(column.name for column in report.columns), *report.orders),
        sums=tuple(column.name for column in report.columns if column.additive),
        searched=report.searched,
        outcomes=report.outcomes,
        parameters=_history(store, selection),
    )


def _history(store: Store, selection: Selection) -> dict[str, Value]:
    """The periods before, and whether the store knows them: its first row is of the first day of the earliest."""
    starts = earlier_starts(selection.zone, selection.start, selection.end, 4)
    span = store.span()
    covered = span is not None and span[0] < min(starts[2], shifted(selection.zone, starts[3], timedelta(days=1)))
    return {"covered": int(covered), "known": int(span is not None and span[0] < selection.start)}


def _sorted(report: Report, view: View) -> View:
    return view if view.sort is not None else replace(view, sort=report.sort, descending=report.descending)


def _typed(columns: Sequence[Column], row: Sequence[Value]) -> tuple[Value, ...]:
    """Values as their columns say; engines differ in what they make of a flag or a share."""
    return tuple(_value(column, value) for column, value in zip(columns, row, strict=False))


def _value(column: Column, value: Value) -> Value:
    if value is None or column.type in ("text", "date"):
        return value
    if column.type == "flag":
        return bool(value)
    return float(value) if column.type in ("share", "number") else int(value)


def _series_columns(report: Report, interval: Interval) -> tuple[Column, ...]:
    return (report.series[0]._replace(name=interval), *report.series[1:]) if report.series else ()


def _series(report: Report, store: Store, selection: Selection, interval: Interval) -> list[tuple[Value, ...]]:
    """Rows of the chart in order of time. Where it has one row for each slot, no slot is missing."""
    if not report.series:
        return []
    names = ("slot", *(column.name for column in report.series[1:]))
    answer = store.ask(
        Question(_sql(f"{report.name}.series"), names, interval=interval, outcomes=report.outcomes),
        selection,
        View(sort="slot", descending=False),
    )
    rows = [(int(row[0] or 0), *_typed(report.series[1:], row[1:])) for row in answer.rows]
    if all(column.type == "count" for column in report.series[1:]):
        there = {row[0]: row for row in rows}
        empty = (0,) * (len(names) - 1)
        rows = [there.get(slot, (slot, *empty)) for slot in slots(selection.zone, selection.start, selection.end, interval)]
    return [(slot_text(row[0], interval), *row[1:]) for row in rows]


@cache
def slot_text(slot: int, interval: Interval) -> str:
    """A local day or week as its date, an hour as date and time."""
    wall = (EPOCH + timedelta(microseconds=slot)).replace(tzinfo=None)
    return wall.isoformat(timespec="minutes") if interval == "hour" else wall.date().isoformat()
