"""
Going on where reading stopped, with the sessions that were open there.

    kept = resume(reader, store.remembered, kinds, stream, place, lines)      what the reader goes on with; see `resume`
    kept |= by_server(reader.remember())                                      after more was read
    mark_of(stream, kept.values())                                            goes into the evidence of the next position

A position and what is remembered are committed together, and the position has a mark of it: so it can be told which
sessions were open at a place, even where another stream that holds the same lines was read up to there.

See also
    checkpoint.py for the evidence; sources/log_reader.py for what a reader makes of it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from smtp_auth_report.changes import Position, Remembered
from smtp_auth_report.checkpoint import Evidence, digest
from smtp_auth_report.sources import LogReader, Source

Kept = dict[tuple[str, str], Remembered]
"""What is remembered of one stream, by kind and server."""

Recalled = Callable[[str], list[Remembered]]
"""What is remembered of all streams, of a kind of log."""


def resume(
    reader: LogReader,
    recalled: Recalled,
    kinds: Iterable[type[Source]],
    stream: str = "",
    place: Position | None = None,
    before: bytes = b"",
) -> Kept:
    """
    Go on with sessions that were open: those that were remembered with the very place where reading goes on, whatever the
    stamps say. It may be another stream that read the same lines up to there. Of each other kind and server, where the
    stamps fit, those of this stream, else the newest there are. Returns what is remembered of this stream.
    """
    entries = [entry for kind in kinds for entry in recalled(kind.name)]
    chosen = by_server(sorted(entries, key=lambda entry: (entry.stream == stream, entry.newest)))
    if place is not None:
        evidence = Evidence.read(place.evidence)
        there = _remembered_with(evidence.mark, entries)
        reader.resume(before, there, evidence.offset, year_found=evidence.found)
        chosen |= by_server(there)
    reader.recall(chosen.values())
    return by_server(entry for entry in entries if entry.stream == stream)


def by_server(remembered: Iterable[Remembered]) -> Kept:
    """The last of each kind and server."""
    return {(entry.source, entry.server): entry for entry in remembered}


def mark_of(stream: str, remembered: Iterable[Remembered]) -> str:
    """Tells what was remembered with one commit from what was with others."""
    newest = sorted(entry[:3] for entry in remembered)
    return digest(f"{stream} {newest}".encode("utf-8", "surrogateescape"))


def _remembered_with(mark: str, entries: Iterable[Remembered]) -> list[Remembered]:
    """What the one stream remembers that has this mark."""
    streams: dict[str, list[Remembered]] = {}
    for entry in entries:
        streams.setdefault(entry.stream, []).append(entry)
    return next((each for name, each in streams.items() if mark_of(name, each) == mark), [])
