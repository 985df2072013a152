"""
What a mail server's log must be able to do to be a source.

    source = PostfixSource(options)                 one for each log file
    source.settle(sample, start)                    year and zone of its stamps, from its own evidence
    source.recall(remembered)                       sessions that an older file left open
    looked = source.look(lines)                     what can be told of them by themselves, ahead of reading
    changes = source.feed(lines, looked)            whole lines, as many as there are; they need not have been looked at
    changes = source.finish()                       at the end of the file
    remembered = source.remember()                  sessions that are still open

A source never raises because of what a log says: a line is read, not about submission, or `Unread`.
`feed` takes whole lines as bytes and keeps what it must between calls, so that another implementation may
split the work over vectors or processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol
from zoneinfo import ZoneInfo

from smtp_auth_report.changes import Changes, Remembered

NOT_LOOKED = object()
"""Instead of what `look` gives: nobody has looked at these lines yet."""


@dataclass(frozen=True, slots=True)
class Options:
    """How stamps and hosts that a log leaves open are to be read."""

    zone: ZoneInfo  # of stamps that carry none
    zone_given: bool = False  # the administrator stated it: evidence in the log does not overrule
    year: int | None = None  # of the first stamp that lacks one
    reference: int | None = None  # microseconds UTC: when the file was last written, as far as known
    now: int = 0  # microseconds UTC
    server: str = "localhost"  # name of the host, where the log tells none


class Source(Protocol):
    """One reader of one kind of log, for one file."""

    name: ClassVar[str]
    title: ClassVar[str]  # as people write it

    recognised: int
    """Lines so far that this source knows as its server's own, about submission or not."""

    def __init__(self, options: Options) -> None: ...

    def settle(self, sample: list[bytes], start: bytes) -> int:
        """Fix what the stamps leave out, from lines all over the file and its first block; returns the time of its first line, or 0."""

    @property
    def year(self) -> int:
        """Year of the next stamp that lacks one, to go on with later."""

    @property
    def year_evidence(self) -> str:
        """Year of stamps that have none, and what told it; "" where the log or the administrator states it."""

    def recall(self, remembered: Iterable[Remembered]) -> None:
        """Take over the sessions that earlier files left open. Lines older than their newest do not enter them."""

    def look(self, batch: bytes) -> object:
        """
        Look at whole lines before they are read. It may be done in another thread, batch by batch in their order, while the
        batch before is read; what comes of it goes to `feed` with the batch.
        """

    def feed(self, batch: bytes, looked: object = NOT_LOOKED) -> Changes:
        """Read whole lines."""

    def finish(self) -> Changes:
        """Give the rows of sessions that have not ended; they stay open in `remember`."""

    def remember(self) -> list[Remembered]:
        """What the next file needs to know."""

    @staticmethod
    def without(remembered: Remembered, account: str) -> Remembered:
        """What was remembered, but for sessions in which this account signed in, or was named."""

    def advice(self) -> list[str]:
        """Why this log had nothing, or not all, to report: the setting that is missing, one sentence each."""
