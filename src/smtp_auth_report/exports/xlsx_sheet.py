"""
A worksheet of rows as XML, made while they come.

    yield start(chosen, first=True)                 with the line of names
    yield rows(2, columns, chosen)                  a batch of rows, the first of them on line 2
    yield end(chosen, 10_001)                       after the last line

A workbook of XlsxWriter holds everything else; it numbers HEADING and TIME, see `xlsx.py`. A text is an inline string,
escaped for XML and for Excel, which takes `_x0041_` for a character.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from smtp_auth_report.exports.interface import FIELDS, NULL_SENDER, Cell, Column, Field, each, plain
from smtp_auth_report.exports.xlsx_overview import EPOCH_DAY
from smtp_auth_report.moments import DAY

HEADING, TIME = 1, 2
"""Styles of the line of names, and of times."""

CELL_CHARACTERS = 32_767  # Excel's limit

_ESCAPED = re.compile("(?=_x[0-9A-Fa-f]{4}_)")
_SPACE = 0.7109375  # beside the characters of a column, in widths of one

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_HEAD = f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<worksheet xmlns="{_MAIN}">'
_VIEW = '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/><selection pane="bottomLeft"/>'
_MARGINS = '<pageMargins left="0.7" right="0.7" top="0.75" bottom="0.75" header="0.3" footer="0.3"/>'


def start(chosen: list[int], *, first: bool) -> bytes:
    """Everything before the rows; the first sheet of a workbook is the one that is shown."""
    selected = ' tabSelected="1"' if first else ""
    view = f'<sheetViews><sheetView{selected} workbookViewId="0">{_VIEW}</sheetView></sheetViews><sheetFormatPr defaultRowHeight="15"/>'
    widths = "".join(
        f'<col min="{number}" max="{number}" width="{FIELDS[place].width + _SPACE}" customWidth="1"/>'
        for number, place in enumerate(chosen, 1)
    )
    names = "".join(f'<c r="{letter(number)}1" s="{HEADING}"{_text(FIELDS[place].name)}' for number, place in enumerate(chosen))
    return f'{_HEAD}{view}<cols>{widths}</cols><sheetData><row r="1">{names}</row>'.encode()


def rows(line: int, columns: list[Column], chosen: list[int]) -> bytes:
    """Rows from this line on."""
    lines = range(line, line + len(columns[0]))
    cells = [_cells(letter(number), lines, FIELDS[place], columns[place]) for number, place in enumerate(chosen)]
    return "".join([f'<row r="{line}">{"".join(row)}</row>' for line, row in zip(lines, zip(*cells, strict=True), strict=True)]).encode()


def end(chosen: list[int], last: int) -> bytes:
    """Everything behind the rows."""
    return f'</sheetData><autoFilter ref="A1:{letter(len(chosen) - 1)}{last}"/>{_MARGINS}</worksheet>'.encode()


def letter(column: int) -> str:
    """What a column is called; there are fewer than there are letters."""
    return chr(ord("A") + column)


def _cells(name: str, lines: range, field: Field, values: Column) -> list[str]:
    """Cells of one column; what is not known is none."""

    def content(value: Cell) -> str:
        if value is None:
            return ""
        if isinstance(value, int):
            return f' s="{TIME}"><v>{value / DAY + EPOCH_DAY:.16G}</v></c>' if field.type == "time" else f"><v>{value:.16G}</v></c>"
        return _text(value or (NULL_SENDER if field.name == "sender" else ""))

    contents = each(values, content)
    return [f'<c r="{name}{line}"{content}' if content else "" for line, content in zip(lines, contents, strict=True)]


def _text(value: str) -> str:
    """The end of a cell that holds a text."""
    text = plain(value)
    if len(text) > CELL_CHARACTERS:
        text = text[: CELL_CHARACTERS - 1] + "…"
    space = ' xml:space="preserve"' if text != text.strip() else ""
    return f' t="inlineStr"><is><t{space}>{escape(_ESCAPED.sub("_x005F", text))}</t></is></c>'
