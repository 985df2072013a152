"""
Logs that are tables: a record on each line, fields cut by commas, a header that names the columns.

    records = Records()
    for record in records.cut(batch):       whole records, line breaks inside quotes among them
        fields(record)                      its fields, as RFC 4180 quotes them
    records.rest                            a record that the batch ended in the midst of
    records.broken                          first lines of records whose quotes are never closed, since last taken

    Columns.named(fields)                   where each column stands, whatever the order
    columns.of(record_fields, "event-id")   b"" where this version of the server has no such column

A quote opens a field only where the field begins, so one in the midst of an unquoted field is a character like others.
A line that looks like a record of its own is none while the record before it is not closed: a client may have written it.

What goes wrong
    A record that is not closed within 64 KiB is given up with its first line; reading goes on with the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

LONGEST_RECORD = 1 << 16
BOM = b"\xef\xbb\xbf"
QUOTE, COMMA = b'"', b","


class Records:
    """Cuts batches of whole lines into records."""

    def __init__(self) -> None:
        self.rest = b""
        self.broken: list[bytes] = []

    def cut(self, batch: bytes) -> list[bytes]:
        """Records that end in this batch, without their line ends."""
        text = self.rest + batch
        self.rest = b""
        lines = text.split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        if plain(text):
            return [line.removesuffix(b"\r") for line in lines]
        return list(self._joined(lines))

    def _joined(self, lines: list[bytes]) -> Iterator[bytes]:
        begin, size, place, inside = 0, 0, 0, False
        while place < len(lines):
            inside = left_open(lines[place], inside=inside)
            size += len(lines[place]) + 1
            place += 1
            if not inside:
                yield b"\n".join(lines[begin:place]).removesuffix(b"\r")
            elif size > LONGEST_RECORD:
                self.broken.append(lines[begin])
                place, inside = begin + 1, False
            else:
                continue
            begin, size = place, 0
        if begin < len(lines):
            self.rest = b"\n".join(lines[begin:]) + b"\n"

    def give_up(self) -> None:
        """Nothing more will come: what was left open is broken."""
        if self.rest:
            self.broken.append(self.rest.partition(b"\n")[0])
            self.rest = b""


def plain(text: bytes) -> bool:
    """Whether every quote opens or closes a field on its own line; False also where that takes a closer look."""
    parts = text.split(QUOTE)
    return (
        len(parts) % 2 == 1
        and not any(b"\n" in inside for inside in parts[1::2])
        and all(not outside or outside[-1] in b",\n" for outside in parts[:-1:2])
    )


def left_open(line: bytes, *, inside: bool) -> bool:
    """Whether a line ends inside quotes; `inside` says whether it began so."""
    at = 0
    while True:
        if inside or line.startswith(QUOTE, at):
            at = _closing(line, at if inside else at + 1)
            if at < 0:
                return True
            inside = False
        at = line.find(COMMA, at) + 1
        if not at:
            return False


def _closing(text: bytes, at: int) -> int:
    """Behind the quote that closes what `at` is inside of; -1 where none does."""
    at = text.find(QUOTE, at)
    while at >= 0 and text.startswith(QUOTE, at + 1):
        at = text.find(QUOTE, at + 2)
    return at + 1 if at >= 0 else -1


def fields(record: bytes) -> list[bytes]:
    """Fields of a record, without the quotes around them."""
    if QUOTE not in record:
        return record.split(COMMA)
    parts = record.split(QUOTE)
    found = parts[0].split(COMMA)
    last = len(parts) - 1
    if found[-1] or last % 2:
        return _fields_one_by_one(record)
    for place in range(1, last, 2):
        outside = parts[place + 1].split(COMMA)
        found[-1] += parts[place]
        if place + 1 < last and outside == [b""]:
            found[-1] += QUOTE  # two in a row
        elif outside[0] or (place + 1 < last and outside[-1]):
            return _fields_one_by_one(record)
        else:
            found += outside[1:]
    return found


def _fields_one_by_one(record: bytes) -> list[bytes]:
    """Of a record with quotes where RFC 4180 has none."""
    found, at = [], 0
    while True:
        quoted = b""
        if record.startswith(QUOTE, at):
            end = _closing(record, at + 1)
            if end < 0:
                end = len(record) + 1
            quoted = record[at + 1 : end - 1].replace(b'""', QUOTE)
            at = end
        comma = record.find(COMMA, at)
        found.append(quoted + record[at : comma if comma >= 0 else None])
        if comma < 0:
            return found
        at = comma + 1


class Columns:
    """Where the columns of a table stand."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._places = {name: place for place, name in enumerate(names)}

    @classmethod
    def named(cls, header: Iterable[bytes]) -> Columns:
        """From the fields of a header; names are told apart in lower case, without blanks around them."""
        return cls([name.decode("utf-8", "replace").strip().lower() for name in header])

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def place(self, name: str) -> int:
        """Where a column stands, from 0 on; -1 where there is none."""
        return self._places.get(name, -1)

    def of(self, record: Sequence[bytes], name: str) -> bytes:
        """A field by its column's name; empty where there is no such column, or the record is too short."""
        place = self._places.get(name)
        return record[place] if place is not None and place < len(record) else b""

    def in_order(self, record: list[bytes], names: tuple[str, ...]) -> list[bytes]:
        """Fields of these columns."""
        return record if self.names == names and len(record) == len(names) else [self.of(record, name) for name in names]
