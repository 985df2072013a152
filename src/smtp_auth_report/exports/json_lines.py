"""
Submissions as JSON lines: one object a line, UTF-8, every value as the store has it.

null is what the log does not tell; an empty `sender` is the null sender. Characters that could steer a terminal are
escaped as JSON escapes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import BinaryIO, ClassVar

from smtp_auth_report.exports.interface import FIELDS, NAMES, Cell, Column, Field, Progress, each, places, records, stamp
from smtp_auth_report.store.interface import Readable, Selection

_JSON = json.JSONEncoder(ensure_ascii=False)
_STEERING = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What JSON leaves alone and a terminal or an editor does not: C1 controls, line separators, changes of direction."""


class JsonLines:
    """One JSON object a line."""

    name: ClassVar[str] = "jsonl"
    title: ClassVar[str] = "JSON lines"
    extension: ClassVar[str] = "jsonl"
    content_type: ClassVar[str] = "application/x-ndjson"

    def write(self, store: Readable, selection: Selection, file: BinaryIO, progress: Progress, columns: Sequence[str] = NAMES) -> int:
        written, chosen = 0, places(columns)
        line = "{" + ",".join(f'"{name}":%s' for name in columns) + "}\n"
        for batch in records(store, selection, progress):
            rows = zip(*(_values(FIELDS[place], batch[place]) for place in chosen), strict=True)
            file.write("".join(line % row for row in rows).encode(errors="replace"))
            written += len(batch[0])
        return written


def _values(field: Field, values: Column) -> list[str]:
    """As JSON writes them."""
    return each(values, _stamped if field.type == "time" else _value)


def _stamped(time: Cell) -> str:
    assert isinstance(time, int)
    return f'"{stamp(time)}"'


def _value(value: Cell) -> str:
    text = _JSON.encode(value)
    return text if text.isascii() and "\x7f" not in text else _STEERING.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
