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

from smtp_auth_report.exports.interface import NAMES, Progress, Record, places, records, stamp
from smtp_auth_report.store.interface import Readable, Selection

_STEERING = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What JSON leaves alone and a terminal or an editor does not: C1 controls, line separators, changes of direction."""


class JsonLines:
    """One JSON object a line."""

    name: ClassVar[str] = "jsonl"
    title: ClassVar[str] = "JSON lines"
    extension: ClassVar[str] = "jsonl"
    content_type: ClassVar[str] = "application/x-ndjson"

    def write(self, store: Readable, selection: Selection, file: BinaryIO, progress: Progress, columns: Sequence[str] = NAMES) -> int:
        written, chosen = 0, list(zip(columns, places(columns), strict=True))
        for batch in records(store, selection, progress):
            file.write("".join(_line(record, chosen) for record in batch).encode(errors="replace"))
            written += len(batch)
        return written


def _line(record: Record, chosen: list[tuple[str, int]]) -> str:
    values = {name: record[place] for name, place in chosen}
    if isinstance(time := values.get("time"), int):
        values["time"] = stamp(time)
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return (text if text.isascii() and "\x7f" not in text else _STEERING.sub(_escaped, text)) + "\n"


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
