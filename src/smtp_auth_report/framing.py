"""
How a log tells where one of its entries ends: nearly always by the end of a line, else in one of these ways.

    made_of_lines(beginning)                False: what is cut into lines may be cut in the midst of an entry
    cutter = cutter_of(beginning)           None: it is made of lines, or of JSON, which json_log.py cuts
    for line in cutter.cut(batch):          whole entries, each as a line that the envelopes know
    cutter.cut(batch, last=True)            the log ends here, and with it its last entry
    cutter.damaged                          entries so far that are not as they were written, and were not given
    cutter.behind(before)                   reading goes on behind this; the whole entries in it

Ways
    [{"id": …}, {"id": …}]                  JSON that need not have line ends
    __CURSOR=…\\n_HOSTNAME=mail\\nMESSAGE=text\\n\\n           journalctl -o export: a field a line, an entry up to a blank line
    MESSAGE\\n + 8 bytes of its length + text\\n             the same of a field that is no plain text, and may hold line ends
    43 <22>1 2026-11-23T16:06:06Z mail …43 <22>1 …       syslog over TCP, as RFC 6587 counts it, with line ends or without

An entry of the journal becomes its JSON, as journalctl -o json gives it, so that both are read alike.

What goes wrong
    A length or count that cannot be true is not followed: the entry is counted as damaged, and reading goes on behind it.
"""

from __future__ import annotations

import json
import re
from typing import ClassVar, Protocol

from smtp_auth_report.words import marked

LONGEST = 1 << 20
"""Bytes of a field, or of what has no end, that are kept; a longer one is none that matters."""

MOST = 768 << 20
"""Bytes of a field, as journald allows."""

FIELDS = ("MESSAGE", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "_PID", "_COMM", "_HOSTNAME", "_SOURCE_REALTIME_TIMESTAMP")
"""Of the journal, those that matter."""

CURSOR = "__CURSOR"
_WANTED = {name.encode(): name for name in (CURSOR, "__REALTIME_TIMESTAMP", *FIELDS)}
_NAME = re.compile(rb"[A-Z0-9_]{1,64}")
# [{"id": …     {"@odata.context": …     {"records": [
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\[\s*\{|\[\s*$|\{\s*\"(?:@odata|value\"|records\"))")
# __CURSOR=s=2b4f…
_EXPORT = re.compile(rb"\s*__(?:CURSOR|REALTIME_TIMESTAMP|MONOTONIC_TIMESTAMP|SEQNUM|SEQNUM_ID)=")
_ENTRY = re.compile(rb"(?:\A|\n\n)(?=__[A-Z_]{5,40}=)")
# 43 <22>1 2026-11-23T16:06:06Z mail …     43 <22>Nov 23 16:06:06 mail …
_COUNT = re.compile(rb"([1-9]\d{0,4}) (?=<\d{1,3}>(?:1 |[A-Z][a-z]{2} ))")
_MESSAGE = re.compile(rb"(?:\A|\n)(?=" + _COUNT.pattern + rb")")
_BETWEEN = re.compile(rb"[\r\n\0]+")


class Cutter(Protocol):
    """Cuts batches of one log, in their order."""

    trouble: ClassVar[str]
    """What to say of a damaged entry."""

    damaged: int

    def cut(self, batch: bytes, *, last: bool = False) -> list[bytes]: ...

    def behind(self, before: bytes, /) -> list[bytes]: ...


def made_of_lines(beginning: bytes) -> bool:
    """Whether a log that begins so has an entry a line."""
    return not any(way.match(beginning) for way in (_JSON, _EXPORT, _COUNT))


def cutter_of(beginning: bytes) -> Cutter | None:
    """What cuts a log that begins so."""
    if _EXPORT.match(beginning):
        return JournalExport()
    return OctetCounted() if _COUNT.match(beginning) else None


class JournalExport:
    """The journal's export format."""

    trouble: ClassVar[str] = marked("entry of the journal not understood")

    def __init__(self) -> None:
        self.damaged = 0
        self._rest = b""  # a field that has not ended
        self._passing = 0  # bytes still to come of one that is too long
        self._entry: dict[str, str] = {}
        self._sound = True

    def cut(self, batch: bytes, *, last: bool = False) -> list[bytes]:
        """Entries that end in this batch."""
        text, found = self._rest + batch + (b"\n\n" if last else b""), []
        place = min(self._passing, len(text))
        self._passing -= place
        while (end := text.find(b"\n", place)) >= 0:
            if end > place:
                following = self._field(text, place, end)
                if following is None:
                    break
                place = following
                continue
            place = end + 1
            if self._entry and self._sound:
                found.append(json.dumps(self._entry).encode())
            self._entry, self._sound = {}, True
        self._rest = text[place:]
        if len(self._rest) > 2 * LONGEST or (last and (self._rest or self._passing)):
            self._rest = b""
            self._doubt()
        return found

    def behind(self, before: bytes) -> list[bytes]:
        """Begin with the first entry that is known to begin there."""
        begin = _ENTRY.search(before)
        return self.cut(before[begin.end() :]) if begin else []

    def _field(self, text: bytes, begin: int, end: int) -> int | None:
        """Take the field on the line that ends here; where the next begins, None where this one has not ended."""
        name, equals, value = text[begin:end].lstrip(b"\0").partition(b"=")
        if not _NAME.fullmatch(name):
            return self._doubt(end + 1)
        if not equals:
            begin, size = end + 9, int.from_bytes(text[end + 1 : end + 9], "little")
            if len(text) < begin:
                return None
            if size > MOST:
                return self._doubt(end + 1)
            end = begin + size
            if size > LONGEST:
                self._passing = max(0, end + 1 - len(text))
                return min(end + 1, len(text))
            if len(text) <= end:
                return None
            if text[end : end + 1] != b"\n":
                return self._doubt(begin)
            value = text[begin:end]
        wanted = _WANTED.get(name)
        if wanted == CURSOR and CURSOR in self._entry:  # another entry begins, and this one has not ended
            self._doubt()
            self._entry, self._sound = {}, True
        if wanted is not None:
            self._entry.setdefault(wanted, value.decode("utf-8", "surrogateescape"))
        return end + 1

    def _doubt(self, place: int = 0) -> int:
        """The entry is not as it was written; where its next field may begin."""
        self.damaged += self._sound
        self._sound = False
        return place


class OctetCounted:
    """Messages of a syslog, each behind the number of its bytes."""

    trouble: ClassVar[str] = marked("message that is not as long as its count says")

    def __init__(self) -> None:
        self.damaged = 0
        self._rest = b""  # a message that has not ended

    def cut(self, batch: bytes, *, last: bool = False) -> list[bytes]:
        """Messages that end in this batch."""
        text, found, place = self._rest + batch, [], 0
        while place < len(text):
            between = _BETWEEN.match(text, place)
            if between:
                place = between.end()
                continue
            count = _COUNT.match(text, place)
            end = count.end() + int(count[1]) if count else 0
            if count and _ends(text, end):
                found.append(text[count.end() : end].rstrip(b"\r\n"))
                place = end
                continue
            if end > len(text) and not last:
                break
            end = text.find(b"\n", place)
            if end < 0 and not last and len(text) - place <= LONGEST:
                break
            self.damaged += 1
            place = end if end >= 0 else len(text)
        self._rest = text[place:]
        return found

    def behind(self, before: bytes) -> list[bytes]:
        """Begin with the first message that begins a line."""
        begin = _MESSAGE.search(before)
        return self.cut(before[begin.end() :]) if begin else []


def _ends(text: bytes, end: int) -> bool:
    """Whether a message may end here: with a line, or before another."""
    if end >= len(text):
        return end == len(text)
    return text[end] in b"\r\n" or text[end - 1] in b"\r\n" or _COUNT.match(text, end) is not None
