"""
Submissions as comma-separated values: RFC 4180, UTF-8, a line of names first.

Made for spreadsheets, so a text never is a formula. An empty field is null; the null sender is `<>`.
Who needs every byte as it was logged takes JSON lines.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import BinaryIO, ClassVar

from smtp_auth_report.exports.interface import FIELDS, NAMES, NULL_SENDER, Cell, Progress, Record, places, plain, records, stamp
from smtp_auth_report.store.interface import Readable, Selection

_SENDER = NAMES.index("sender")
_COUNTS = frozenset(place for place, field in enumerate(FIELDS) if field.type == "count")


class Csv:
    """Comma-separated values."""

    name: ClassVar[str] = "csv"
    title: ClassVar[str] = "CSV"
    extension: ClassVar[str] = "csv"
    content_type: ClassVar[str] = "text/csv; charset=utf-8"

    def write(self, store: Readable, selection: Selection, file: BinaryIO, progress: Progress, columns: Sequence[str] = NAMES) -> int:
        written, chosen = 0, places(columns)
        file.write(_lines([list(columns)]))
        for batch in records(store, selection, progress):
            file.write(_lines([_cells(record, chosen) for record in batch]))
            written += len(batch)
        return written


def _cells(record: Record, chosen: list[int]) -> list[str]:
    return [_cell(place, record[place]) for place in chosen]


def _cell(place: int, value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value) if place in _COUNTS else stamp(value)
    return plain(value) or (NULL_SENDER if place == _SENDER else "")


def _lines(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode(errors="replace")
