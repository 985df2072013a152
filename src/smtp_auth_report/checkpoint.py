"""
Where reading stopped, and whether a file is one that was read before.

    found = candidates(positions, first_bytes)         the positions whose file begins like this one
    found[0].offset, found[0].tail                     go on there, if what stands before it is the same
    position(first_bytes, offset, last_bytes, …)       where reading stopped
    beginning(first_bytes, path)                       of a file that was opened, and of which nothing was read

A file is known by the digest of its first bytes and of the bytes before the place where reading stopped, so a log that
was renamed, compressed or copied is not read twice, and one that was truncated and written anew is.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from smtp_auth_report.changes import Position

HEAD = 4096
TAIL = 256


class Evidence(NamedTuple):
    """What reading had found out up to a position, and needs to go on there."""

    year: int  # of the last stamp; 0 is not known
    found: bool = False  # it was found, not stated
    mark: str = ""  # tells the sessions that were open there; see resuming.py
    offset: int | None = None  # how far local time is from UTC, microseconds, where queue ids told it
    inode: int = 0  # of the file: one that was cut is told from one that was renamed

    @classmethod
    def read(cls, text: str) -> Evidence:
        """Of a position's `evidence`; earlier versions said less."""
        year, *words = text.split()
        told = dict(zip(words[1::2], words[2::2], strict=False))
        offset = int(told["offset"]) if "offset" in told else None
        return cls(int(year), words[:1] == ["found"], told.get("of", ""), offset, int(told.get("inode", 0)))

    @property
    def text(self) -> str:
        """2026 found of 9c1185a5… offset 3600000000 inode 1312."""
        words = [f"{self.year} {'found' if self.found else 'stated'}"]
        words += [f"of {self.mark}"] if self.mark else []
        words += [f"offset {self.offset}"] if self.offset is not None else []
        words += [f"inode {self.inode}"] if self.inode else []
        return " ".join(words)


def digest(content: bytes) -> str:
    """Short digest of content."""
    return blake2b(content, digest_size=16).hexdigest()


def candidates(positions: Iterable[Position], head: bytes) -> list[Position]:
    """Positions of files that begin like this one, the furthest read first."""
    found = [p for p in positions if 0 < p.head_size <= len(head) and digest(head[: p.head_size]) == p.head]
    return sorted(found, key=lambda p: p.offset, reverse=True)


def furthest(positions: Iterable[Position], head: str) -> Position | None:
    """Of a stream that is no file, and whose positions are told by its name instead of its content."""
    return max((p for p in positions if p.head == head), key=lambda p: p.offset, default=None)


def position(head: bytes, offset: int, tail: bytes, path: str, options: str, evidence: str) -> Position:
    """Position after `offset` bytes, of which `tail` are the last."""
    known = head[: min(HEAD, offset)]
    return Position(digest(known), len(known), offset, digest(tail[-TAIL:]), path, options, evidence)


def beginning(head: bytes, path: str) -> Position:
    """Position of a file that was opened, and of which nothing was read."""
    known = head[:HEAD]
    return Position(digest(known), len(known), 0, digest(b""), path, "", "0")
