"""
The last sheet of an Excel workbook: what its rows add up to, by day and by TLS version, with charts that Excel draws itself.

    sums = Sums(selection.zone)
    for columns in sums.added(records): ...         batches as they go by
    overview(workbook, sums, selection, heading)

Days are local ones of the selection's zone, all from the first with a row to the last. A message is an accepted submission.
Sums are all that is kept of the rows, so that memory does not grow with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from smtp_auth_report.exports.interface import NAMES, Cell, Column, plain
from smtp_auth_report.reports.render import period
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.store.local_time import day_start, local_day
from smtp_auth_report.submission import Outcome, Tls

NAME = "Overview"
EPOCH_DAY = 25_569  # 1970-01-01 as Excel counts days
FIRST = 8  # line of the first day, below the headings
WIDTHS = (14, 12, 12, 4, 14, 12, 4)
CHART = {"width": 760, "height": 320}

_TIME, _OUTCOME, _TLS = map(NAMES.index, ("time", "outcome", "tls_version"))


class Sums:
    """Of rows as they go by."""

    def __init__(self, zone: str) -> None:
        self.rows, self.newest = 0, 0
        self.messages: Counter[int] = Counter()  # by local day
        self.others: Counter[int] = Counter()
        self.versions: Counter[str] = Counter()
        self._zone = zone
        self._day, self._start, self._end = 0, 0, 0

    def added(self, batches: Iterable[list[Column]]) -> Iterator[list[Column]]:
        """The same batches, each counted."""
        for batch in batches:
            for time, outcome, version in zip(batch[_TIME], batch[_OUTCOME], batch[_TLS], strict=True):
                assert isinstance(time, int)
                self._add(time, outcome, version)
            yield batch

    def _add(self, time: int, outcome: Cell, version: Cell) -> None:
        if not self._start <= time < self._end:
            self._day = local_day(self._zone, time)
            self._start, self._end = day_start(self._zone, self._day), day_start(self._zone, self._day + 1)
        self.rows += 1
        self.newest = time
        if outcome == Outcome.ACCEPTED:
            self.messages[self._day] += 1
            self.versions[str(version)] += 1
        else:
            self.others[self._day] += 1

    @property
    def days(self) -> list[tuple[int, int, int]]:
        """Each day with its messages and its other rows."""
        there = self.messages.keys() | self.others.keys()
        return [(day, self.messages[day], self.others[day]) for day in range(min(there), max(there) + 1)] if there else []

    @property
    def tls(self) -> list[tuple[str, int]]:
        """Messages of each version that there was, worst first."""
        return [(version, self.versions[version]) for version in Tls if self.versions[version]]


def overview(workbook: Workbook, sums: Sums, selection: Selection, heading: Format) -> None:
    """The sheet, with the period and filters of the rows on its head."""
    sheet = workbook.add_worksheet(NAME)
    for column, width in enumerate(WIDTHS):
        sheet.set_column(column, column, width)
    asked = period(selection)
    filters = "; ".join(f"{name}: {', '.join(values)}" for name, values in selection.filters.items()) or "none"
    facts = (("From", asked["from"]), ("Until", asked["to"]), ("Days of", selection.zone), ("Filters", plain(filters)[:1000]))
    for line, (name, value) in enumerate(facts):
        sheet.write_string(line, 0, name, heading)
        sheet.write_string(line, 1, value)
    sheet.write_string(len(facts), 0, "Rows", heading)
    sheet.write_number(len(facts), 1, sums.rows)
    for column, name in enumerate(("Day", "Messages", "Other rows", "", "TLS version", "Messages")):
        if name:
            sheet.write_string(FIRST - 1, column, name, heading)
    date = workbook.add_format({"num_format": "yyyy-mm-dd", "align": "left"})
    for line, (of_day, of_version) in enumerate(zip_longest(sums.days, sums.tls), FIRST):
        if of_day:
            sheet.write_number(line, 0, of_day[0] + EPOCH_DAY, date)
            sheet.write_number(line, 1, of_day[1])
            sheet.write_number(line, 2, of_day[2])
        if of_version:
            sheet.write_string(line, 4, of_version[0])
            sheet.write_number(line, 5, of_version[1])
    if sums.days:
        _chart(workbook, sheet, "line", "Rows by day", (0, 1, 2), len(sums.days), "H1")
    if sums.tls:
        _chart(workbook, sheet, "column", "Messages by TLS version", (4, 5), len(sums.tls), "H18")


def _chart(workbook: Workbook, sheet: Worksheet, kind: str, title: str, columns: tuple[int, ...], lines: int, place: str) -> None:
    """A chart of the columns beside the first, which has the categories."""
    chart = workbook.add_chart({"type": kind})
    categories, *values = columns
    for column in values:
        chart.add_series(
            {
                "name": [NAME, FIRST - 1, column],
                "categories": [NAME, FIRST, categories, FIRST + lines - 1, categories],
                "values": [NAME, FIRST, column, FIRST + lines - 1, column],
            }
        )
    chart.set_title({"name": title, "name_font": {"size": 12}})
    chart.set_y_axis({"min": 0, "num_format": "#,##0"})
    chart.set_legend({"position": "bottom"} if len(values) > 1 else {"none": True})
    chart.set_size(CHART)
    sheet.insert_chart(place, chart)
