"""
Submissions as comma-separated values: RFC 4180, UTF-8, a line of names first.

Made for spreadsheets, so a text never is a formula. An empty field is null; the null sender is `<>`.
Who needs every byte as it was logged takes JSON lines.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import BinaryIO, ClassVar

from smtp_auth_report.exports.interface import (
    FIELDS,
    NAMES,
    NULL_SENDER,
    Cell,
    Column,
    Field,
    Progress,
    each,
    places,
    plain,
    records,
    stamp,
)
from smtp_auth_report.store.interface import Readable, Selection


class Csv:
    """Comma-separated values."""

    name: ClassVar[str] = "csv"
    title: ClassVar[str] = "CSV"
    extension: ClassVar[str] = "csv"
    content_type: ClassVar[str] = "text/csv; charset=utf-8"

    def write(self, store: Readable, selection: Selection, file: BinaryIO, progress: Progress, columns: Sequence[str] = NAMES) -> int:
        written, chosen = 0, places(columns)
        file.write(_lines([columns]))
        for batch in records(store, selection, progress):
            file.write(_lines(zip(*(_cells(FIELDS[place], batch[place]) for place in chosen), strict=True)))
            written += len(batch[0])
        return written


def _cells(field: Field, values: Column) -> Column:
    """As they stand between commas; of a count and None the csv module knows it."""
    if field.type == "count":
        return values
    nothing = NULL_SENDER if field.name == "sender" else ""

    def cell(value: Cell) -> str | None:
        if isinstance(value, int):
            return stamp(value)
        return value if value is None else plain(value) or nothing

    return each(values, cell)


def _lines(rows: Iterable[Sequence[Cell]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode(errors="replace")
