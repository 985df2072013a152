"""
A table as JSON, CSV or text. Nothing is computed here.

    as_json(table)                   a dict, in the shape that docs/api.md gives
    only(table, ["account"])         the same with some of its columns, in that order
    as_csv(table)                    its rows; `series=True` for what the chart draws
    as_text(table, width=100)        for people at a terminal

Names in a table were written by whoever connected. In CSV a text that a spreadsheet would take for a formula gets an
apostrophe before it; on a terminal control characters are shown, not obeyed.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from smtp_auth_report.moments import EPOCH, rfc3339
from smtp_auth_report.reports.interface import Column, Table
from smtp_auth_report.store.interface import Selection, Value
from smtp_auth_report.words import count, translated, worded

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula; the last are full-width forms of the first."""

UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that a terminal obeys or hides: controls, formats, line and paragraph separators."""

NOTHING = (None, 0, "")


def local_rfc3339(time: int, zone: str) -> str:
    """The same with the zone's offset."""
    return (EPOCH + timedelta(microseconds=time)).astimezone(ZoneInfo(zone)).isoformat()


def only(table: Table, columns: Sequence[str]) -> Table:
    """The table with these of its columns."""
    places = [[column.name for column in table.columns].index(name) for name in columns]
    rows = [tuple(row[place] for place in places) for row in table.rows]
    return replace(table, columns=tuple(table.columns[place] for place in places), rows=rows)


def as_json(table: Table) -> dict[str, Any]:
    """Everything the table holds, as values that JSON has."""
    selection = table.selection
    shown: dict[str, Any] = {
        "report": table.report.name,
        "period": period(selection),
        "filters": {name: list(values) for name, values in selection.filters.items() if values},
        "columns": _columns(table.columns),
        "rows": _objects(table.columns, table.rows),
        "series": {"columns": _columns(table.series_columns), "rows": _objects(table.series_columns, table.series)},
        "totals": dict(table.totals),
        "unknown": dict(table.unknown),
    }
    return shown


def period(selection: Selection) -> dict[str, str]:
    """A selection's period; `to` is exclusive."""
    zone = selection.zone
    return {"from": local_rfc3339(selection.start, zone), "to": local_rfc3339(selection.end, zone), "timezone": zone}


def _columns(columns: Iterable[Column]) -> list[dict[str, str | None]]:
    return [{"name": column.name, "type": column.type, "unit": column.unit} for column in columns]


def _objects(columns: Sequence[Column], rows: Iterable[Sequence[Value]]) -> list[dict[str, Value]]:
    return [{column.name: _outside(column, value) for column, value in zip(columns, row, strict=True)} for row in rows]


def _outside(column: Column, value: Value) -> Value:
    return rfc3339(int(value)) if column.type == "time" and value is not None else value


def as_csv(table: Table, *, series: bool = False) -> str:
    """The rows under a line of names; what is not known is empty."""
    columns, rows = (table.series_columns, table.series) if series else (table.columns, table.rows)
    lines = _Lines()
    writer = csv.writer(lines)
    writer.writerow(column.name for column in columns)
    writer.writerows([_cell(column, value) for column, value in zip(columns, row, strict=True)] for row in rows)
    return "".join(lines.written)


class _Lines:
    """Takes lines that end in CR LF, so that a CR within a cell is quoted, and ends them in LF."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, line: str) -> None:
        self.written.append(line.removesuffix("\r\n") + "\n")


def _cell(column: Column, value: Value) -> Value:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return formula_safe(value)
    return _outside(column, value)


def formula_safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def visible(text: str) -> str:
    """Text with its control characters and invisible marks written out, as \\x1b or \\u202e."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) if unicodedata.category(character) in UNSEEN else character for character in text)


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


def as_text(table: Table, *, width: int = 100, colour: bool = False, series: bool = False) -> str:
    """A table for a terminal. One row is shown downwards; columns that say nothing in any row are left out."""
    from rich.console import Console  # noqa: PLC0415 (a tenth of a second that JSON and CSV need not wait for)

    columns, rows = (table.series_columns, table.series) if series else (table.columns, table.rows)
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=colour, no_color=not colour, highlight=False, emoji=False, markup=False)
    if not rows:
        console.print(worded("no rows"))
    elif len(rows) == 1 and table.report.name == "summary" and not series:
        names = [[translated(column.name), _shown(column, value, table)] for column, value in zip(columns, rows[0], strict=True)]
        console.print(_grid(["", ""], names, {1}))
    else:
        kept = [index for index, column in enumerate(columns) if column.type != "share" and any(row[index] not in NOTHING for row in rows)]
        numbers = {place for place, index in enumerate(kept) if columns[index].type in ("count", "bytes", "number")}
        cells = [[_shown(columns[index], row[index], table) for index in kept] for row in rows]
        console.print(_grid([translated(columns[index].name) for index in kept], cells, numbers))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _grid(names: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[int]) -> Any:
    from rich.table import Table as Grid  # noqa: PLC0415 (a tenth of a second that JSON and CSV need not wait for)
    from rich.text import Text  # noqa: PLC0415 (a tenth of a second that JSON and CSV need not wait for)

    grid = Grid(box=None, show_header=any(names), pad_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(names):
        grid.add_column(Text(name), justify="right" if place in numbers else "left", overflow="fold")
    for row in rows:
        grid.add_row(*map(Text, row))
    return grid


def _shown(column: Column, value: Value, table: Table) -> str:
    if value is None:
        return ""
    if column.type == "flag":
        return translated(column.name.removeprefix("is_")) if value else ""
    if column.type == "time":
        return local_rfc3339(int(value), table.selection.zone)[:16].replace("T", " ")
    if column.type == "share":
        return f"{float(value):.1%}"
    return count(value) if isinstance(value, int | float) else visible(value)
