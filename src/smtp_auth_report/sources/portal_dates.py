"""
Times as the web portals of Microsoft write them into files: in UTC, and in the manner of whoever downloaded the file.

    stamp_of("11/23/2026, 4:06:05 PM", None)     b"2026-11-23T16:06:05Z"
    stamp_of("03/04/2026", None)                 b"": could be two days
    stamp_of("03/04/2026", True)                 b"2026-04-03T00:00:00Z": the day comes first
    day_comes_first(["03/04/2026", "23/11/2026"])    True: one of them tells it of all; None where none does

What goes wrong
    What is no time, or could be two, is b"".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# 2026-11-23T16:06:05.1234567Z     2026-11-23 16:06:05     2026-11-23
ISO = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ,]{1,2}(\d\d:\d\d:\d\d(?:\.\d{1,9})?)(Z|[+-]\d\d:?\d\d)?)?")
# 11/23/2026, 4:06:05 PM     23.11.2026 16:06:05     2026/11/23 16:06     23/11/2026
LOCAL = re.compile(
    r"(?P<a>\d{1,4})(?P<sign>[./-])(?P<b>\d{1,2})[./-](?P<c>\d{1,4})"
    r"(?:[ ,]{1,2}(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?)?"
)


def stamp_of(written: str, day_first: bool | None) -> bytes:
    """A time as all stamps are read, in UTC."""
    text = _plain(written)
    found = ISO.fullmatch(text)
    if found:
        return f"{found[1]}T{found[2] or '00:00:00'}{found[3] or 'Z'}".encode()
    parts = LOCAL.fullmatch(text)
    order = _order(parts, day_first) if parts else None
    if parts is None or order is None:
        return b""
    year, month, day = (int(parts[name]) for name in order)
    hour = int(parts["hour"] or 0)
    if parts["half"]:
        hour = hour % 12 + (12 if parts["half"] in "Pp" else 0)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{parts['minute'] or '00'}:{parts['second'] or '00'}Z".encode()


def day_comes_first(dates: Iterable[str]) -> bool | None:
    """Whether the day comes first in the dates of one file; None where both could be in all of them."""
    return next((told for told in map(_tells_order, dates) if told is not None), None)


def _tells_order(written: str) -> bool | None:
    parts = LOCAL.fullmatch(_plain(written))
    if parts is None or len(parts["c"]) != 4:
        return None
    a, b = int(parts["a"]), int(parts["b"])
    return None if (a > 12) == (b > 12) else a > 12


def _order(parts: re.Match[str], day_first: bool | None) -> str | None:
    """Which of the numbers are year, month and day."""
    if len(parts["a"]) == 4:
        return "abc"
    if len(parts["c"]) != 4:
        return None
    if parts["sign"] != "/":
        day_first = True
    return None if day_first is None else "cba" if day_first else "cab"


def _plain(written: str) -> str:
    """With one plain blank for any: browsers write narrow ones."""
    return " ".join(written.split())
