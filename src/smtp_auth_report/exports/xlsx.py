"""
Submissions as an Excel workbook: for people.

Times are dates in UTC, counts are numbers, and a text is a text even where it looks like a formula, a link or markup.
The null sender is `<>`. Rows beyond what one sheet holds go on in further sheets; the last one has sums and charts of them
all. The same rows give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from smtp_auth_report.exports.interface import FIELDS, NAMES, NULL_SENDER, Progress, Record, places, plain, records, utc
from smtp_auth_report.exports.xlsx_overview import EPOCH_DAY, Sums, overview
from smtp_auth_report.moments import DAY
from smtp_auth_report.store.interface import Readable, Selection

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

SHEET_ROWS = 1_048_576  # Excel's limit, the line of names included
CELL_CHARACTERS = 32_767  # as well
_OPTIONS = {"constant_memory": True, "strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}


class Xlsx:
    """An Excel workbook."""

    name: ClassVar[str] = "xlsx"
    title: ClassVar[str] = "Excel"
    extension: ClassVar[str] = "xlsx"
    content_type: ClassVar[str] = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def __init__(self, sheet_rows: int = SHEET_ROWS) -> None:
        self._sheet_rows = sheet_rows

    def write(self, store: Readable, selection: Selection, file: BinaryIO, progress: Progress, columns: Sequence[str] = NAMES) -> int:
        workbook = Workbook(_Output(file), _OPTIONS)
        workbook.use_zip64()
        day = workbook.add_format({"num_format": 'yyyy-mm-dd hh:mm:ss"Z"', "align": "left"})
        name = workbook.add_format({"bold": True, "bottom": 1})
        chosen, sums = places(columns), Sums(selection.zone)
        sheet, line, newest = _sheet(workbook, name, chosen), 0, 0
        for record in _rows(store, selection, progress):
            if line + 1 == self._sheet_rows:
                _filter(sheet, line, chosen)
                sheet, line = _sheet(workbook, name, chosen), 0
            line += 1
            newest = sums.add(record)
            _write(sheet, line, record, chosen, day)
        _filter(sheet, line, chosen)
        overview(workbook, sums, selection, name)
        workbook.set_properties({"title": "SMTP AUTH submissions", "created": utc(newest)})
        try:
            workbook.close()
        except FileCreateError as error:
            raise OSError(*error.args[0].args) from None  # what XlsxWriter caught
        return sums.rows


class _Output(io.RawIOBase):
    """The file; once it has failed, nowhere. XlsxWriter leaves an archive open that would fail again where nobody hears it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._place = file.tell() if file.seekable() else 0
        self._failed = False

    def write(self, data: ReadableBuffer) -> int:
        self._try(lambda: self._file.write(data))
        size = memoryview(data).nbytes
        self._place += size
        return size

    def seek(self, place: int, whence: int = 0) -> int:
        assert whence == 0
        self._try(lambda: self._file.seek(place))
        self._place = place
        return place

    def seekable(self) -> bool:
        return self._failed or self._file.seekable()

    def tell(self) -> int:
        if not self.seekable():
            raise io.UnsupportedOperation("tell")
        return self._place

    def _try(self, act: Callable[[], object]) -> None:
        try:
            if not self._failed:
                act()
        except io.UnsupportedOperation:
            raise
        except OSError:
            self._failed = True
            raise


def _rows(store: Readable, selection: Selection, progress: Progress) -> Iterator[Record]:
    return chain.from_iterable(records(store, selection, progress))


def _sheet(workbook: Workbook, name: Format, chosen: list[int]) -> Worksheet:
    number = len(workbook.worksheets()) + 1
    sheet = workbook.add_worksheet("Submissions" if number == 1 else f"Submissions {number}")
    for column, place in enumerate(chosen):
        sheet.set_column(column, column, FIELDS[place].width)
        sheet.write_string(0, column, FIELDS[place].name, name)
    sheet.freeze_panes(1, 0)
    return sheet


def _filter(sheet: Worksheet, last: int, chosen: list[int]) -> None:
    sheet.autofilter(0, 0, last, len(chosen) - 1)


def _write(sheet: Worksheet, line: int, record: Record, chosen: list[int], day: Format) -> None:
    for column, place in enumerate(chosen):
        value = record[place]
        if isinstance(value, int):
            if FIELDS[place].type == "time":
                sheet.write_number(line, column, value / DAY + EPOCH_DAY, day)
            else:
                sheet.write_number(line, column, value)
        elif value is not None:
            sheet.write_string(line, column, _text(value) or (NULL_SENDER if FIELDS[place].name == "sender" else ""))


def _text(value: str) -> str:
    text = plain(value)
    if len(text) > CELL_CHARACTERS:
        text = text[: CELL_CHARACTERS - 1] + "…"
    return "'" + text if text.startswith("<r>") and text.endswith("</r>") else text  # XlsxWriter would take it for markup of its own
