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

from smtp_auth_report.changes import Position

HEAD = 4096
TAIL = 256


def digest(content: bytes) -> str:
    """Short digest of content."""
    return blake2b(content, digest_size=16).hexdigest()


def candidates(positions: Iterable[Position], head: bytes) -> list[Position]:
    """Positions of files that begin like this one, the furthest read first."""
    found = [p for p in positions if 0 < p.head_size <= len(head) and digest(head[: p.head_size]) == p.head]
    return sorted(found, key=lambda p: p.offset, reverse=True)


def position(head: bytes, offset: int, tail: bytes, path: str, options: str, evidence: str) -> Position:
    """Position after `offset` bytes, of which `tail` are the last."""
    known = head[: min(HEAD, offset)]
    return Position(digest(known), len(known), offset, digest(tail[-TAIL:]), path, options, evidence)


def beginning(head: bytes, path: str) -> Position:
    """Position of a file that was opened, and of which nothing was read."""
    known = head[:HEAD]
    return Position(digest(known), len(known), 0, digest(b""), path, "", "0")
