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
# {"@odata.context": "https://…", "value": [
PAGE = re.compile(rb'\{\s*(?:"@?[\w.]{1,40}"\s*:\s*(?:"[^"\\]{0,2000}"|\d{1,20})\s*,\s*){0,10}"(?:value|records)"\s*:\s*\[')
OPENING, CLOSING = {b"{", b"["}, {b"}", b"]"}
DECODER = json.JSONDecoder()


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
        alike = text.decode("latin-1")  # the same length; what is no ASCII stands inside strings
        place, self.rest = 0, b""
        while (token := TOKEN.search(text, place)) is not None:
            begin, place = token.start(), token.end()
            if token[0] != b"{":
                continue
            page = PAGE.match(text, begin)
            end = page.end() if page else _decoded(alike, begin) or _closed(text, begin)
            if end is None:
                if len(text) - begin <= LONGEST_OBJECT:
                    self.rest = text[begin:]
                    return
                self.broken.append(text[begin : begin + SHOWN])
                place = begin + LONGEST_OBJECT
                continue
            if page is None:
                yield text[begin:end]
            place = end


def _decoded(text: str, begin: int) -> int | None:
    """Where an object ends that is whole and right; quick."""
    try:
        return DECODER.raw_decode(text, begin)[1]
    except (ValueError, RecursionError):
        return None


def _closed(text: bytes, begin: int) -> int | None:
    """Where an object ends by its brackets, right or not."""
    depth, place = 0, begin
    while (token := TOKEN.search(text, place, begin + LONGEST_OBJECT)) is not None:
        place = token.end()
        if token[0] in OPENING:
            depth += 1
        elif token[0] in CLOSING:
            depth -= 1
            if not depth:
                return place
    return None


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
