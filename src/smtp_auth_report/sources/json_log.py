"""
Logs that are JSON, in whatever way their objects are packed: one a line, in an array, or in pages.

    objects = Objects()
    for text in objects.cut(batch):         whole objects of the log, as text
    objects.rest                            an object that the batch ended in the midst of
    objects.broken                          beginnings of what is no JSON, since last taken

    {"id": …}                               one object a line, each read by itself: a broken line is no more than that
    [{"id": …}, {"id": …}]                  an array, on one line or many
    {"@odata.context": …, "value": [{"id": …}], "@odata.nextLink": …}       a page; Azure calls the array "records"

A string of JSON never spans lines, and what looks like an object inside one is none.

What goes wrong
    An object that is not closed within 1 MiB is given up; reading goes on behind that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from smtp_auth_report.sources.csv_log import BOM

LONGEST_OBJECT = 1 << 20
SHOWN = 200
ARRAYS = ("value", "records")
# "a \"name\""     {     [
TOKEN = re.compile(rb'"(?:[^"\\\n]|\\.)*+"?|[{}\[\]]')
# "value": [
PAGE = re.compile(rb'"(?:value|records)"\s*:\s*\Z')


class Objects:
    """Cuts batches of whole lines into objects."""

    def __init__(self) -> None:
        self.rest = b""
        self.broken: list[bytes] = []
        self._by_line: bool | None = None  # None until the first line is known

    def cut(self, batch: bytes) -> list[bytes]:
        """Objects that end in this batch."""
        if self._by_line is None and batch.strip():
            first = batch.lstrip().removeprefix(BOM).partition(b"\n")[0]
            self._by_line = not self.rest and first.startswith(b"{") and parsed(first) is not None
        if self._by_line:
            return [line for line in map(bytes.strip, batch.removeprefix(BOM).split(b"\n")) if line]
        return list(self._objects(self.rest + batch))

    def _objects(self, text: bytes) -> Iterator[bytes]:
        begin, depth, place = -1, 0, 0
        while (token := TOKEN.search(text, place)) is not None:
            sign, place = token[0][:1], token.end()
            if begin < 0:
                if sign == b"{":
                    begin, depth = token.start(), 1
            elif sign in b"{[":
                depth += 1
                if sign == b"[" and depth == 2 and PAGE.search(text, max(begin, token.start() - 40), token.start()):
                    begin = -1
            elif sign != b'"':
                depth -= 1
                if not depth:
                    yield text[begin:place]
                    begin = -1
            if begin >= 0 and place - begin > LONGEST_OBJECT:
                self.broken.append(text[begin : begin + SHOWN])
                begin = -1
        self.rest = text[begin:] if begin >= 0 else b""
        if len(self.rest) > LONGEST_OBJECT:
            self.give_up()

    def give_up(self) -> None:
        """Nothing more will come: what was left open is broken."""
        if self.rest:
            self.broken.append(self.rest[:SHOWN])
            self.rest = b""


def parsed(text: bytes) -> Any:
    """What JSON says; None where it is none."""
    try:
        return json.loads(text.decode("utf-8", "backslashreplace"))
    except (ValueError, RecursionError):
        return None


def entries(text: bytes) -> list[dict[str, Any]] | None:
    """What one object is about: itself, or those that it is a page of; None where it is no JSON."""
    found = parsed(text)
    if isinstance(found, dict):
        inside = next((found[name] for name in ARRAYS if isinstance(found.get(name), list)), [found])
    elif isinstance(found, list):
        inside = found
    else:
        return None
    return [entry for entry in inside if isinstance(entry, dict)]
