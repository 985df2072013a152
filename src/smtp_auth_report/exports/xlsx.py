"""
Submissions as an Excel workbook: for people.

Times are dates in UTC, counts are numbers, and a text is a text even where it looks like a formula, a link or markup.
The null sender is `<>`. Rows beyond what one sheet holds go on in further sheets; the last one has sums and charts of them
all. The same rows give the same bytes.

Rows go into the archive as they come, so that nothing waits on a disk. Then XlsxWriter makes the same workbook without
rows, and what it has besides the sheets of rows follows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO, ClassVar
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from xlsxwriter import Workbook

from smtp_auth_report.exports.interface import FIELDS, NAMES, Column, Progress, places, records, utc
from smtp_auth_report.exports.xlsx_overview import Sums, overview
from smtp_auth_report.exports.xlsx_sheet import end, rows, start
from smtp_auth_report.store.interface import Readable, Selection

SHEET_ROWS = 1_048_576  # Excel's limit, the line of names included
ENTRY = "xl/worksheets/sheet{}.xml"


class Xlsx:
    """An Excel workbook."""

    name: ClassVar[str] = "xlsx"
    title: ClassVar[str] = "Excel"
    extension: ClassVar[str] = "xlsx"
    content_type: ClassVar[str] = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def __init__(self, sheet_rows: int = SHEET_ROWS) -> None:
        self._sheet_rows = sheet_rows

    def write(self, store: Readable, selection: Selection, file: BinaryIO, progress: Progress, columns: Sequence[str] = NAMES) -> int:
        chosen, sums = places(columns), Sums(selection.zone)
        parts = _parts(sums.added(records(store, selection, progress)), self._sheet_rows - 1)
        part, sheets = next(parts, None), list[int]()
        with ZipFile(file, "w") as archive:
            while part or not sheets:
                with archive.open(_entry(ENTRY.format(len(sheets) + 1)), "w", force_zip64=True) as sheet:
                    sheet.write(start(chosen, first=not sheets))
                    line = 1
                    while part and line + len(part[0]) <= self._sheet_rows:
                        sheet.write(rows(line + 1, part, chosen))
                        line += len(part[0])
                        part = next(parts, None)
                    sheet.write(end(chosen, line))
                sheets.append(line)
            with ZipFile(_frame(sums, selection, chosen, sheets)) as frame:
                written = {ENTRY.format(number + 1) for number in range(len(sheets))}
                for name in frame.namelist():
                    if name not in written:
                        archive.writestr(_entry(name), frame.read(name))
        return sums.rows


def _entry(name: str) -> ZipInfo:
    """Without the time at which it was written."""
    entry = ZipInfo(name)
    entry.compress_type = ZIP_DEFLATED
    return entry


def _parts(batches: Iterator[list[Column]], most: int) -> Iterator[list[Column]]:
    """Batches cut where a sheet is full."""
    room = most
    for batch in batches:
        low, rows = 0, len(batch[0])
        while low < rows:
            high = min(low + room, rows)
            yield [column[low:high] for column in batch]
            room = room - (high - low) or most
            low = high


def _frame(sums: Sums, selection: Selection, chosen: list[int], sheets: list[int]) -> io.BytesIO:
    """The workbook, its sheets of rows without rows; with the last line of each."""
    file = io.BytesIO()
    with Workbook(file, {"in_memory": True}) as workbook:
        day = workbook.add_format({"num_format": 'yyyy-mm-dd hh:mm:ss"Z"', "align": "left"})
        name = workbook.add_format({"bold": True, "bottom": 1})
        for number, last in enumerate(sheets, 1):
            sheet = workbook.add_worksheet("Submissions" if number == 1 else f"Submissions {number}")
            sheet.write_string(0, 0, FIELDS[chosen[0]].name, name)  # styles are numbered in the order of their use
            sheet.write_number(1, 0, 0, day)
            sheet.autofilter(0, 0, last - 1, len(chosen) - 1)
        overview(workbook, sums, selection, name)
        workbook.set_properties({"title": "SMTP AUTH submissions", "created": utc(sums.newest)})
    return file
