"""
What a mail server's log must be able to do to be a source.

    source = PostfixSource(logbook)                 one for each log and kind of server
    source.recall(remembered)                       sessions that an older file left open
    source.read(lines)                              lines of a syslog that its server's programs wrote
    source.feed(batch)                              whole lines of a file in a form of its server's own
    source.unwrapped(lines)                         the same where a container's log wraps them
    source.finish()                                 at the end of the file
    remembered = source.remember()                  sessions that are still open

A server logs to syslog, to files in a form of its own, or to either. `owns` tells its programs' tags in the one, and
`forms` knows the other. What reading brings about goes into the logbook (see logbook.py). A source never raises because of
what a log says: a line is read, not about submission, or unread.

See also
    log_reader.py for who calls these
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from smtp_auth_report.changes import Remembered
from smtp_auth_report.sources.envelope import Parts

if TYPE_CHECKING:
    from smtp_auth_report.sources.logbook import Logbook

Batch = bytes | memoryview
"""Whole lines; what compiled code looks at need not be copied into an object of its own."""


@dataclass(frozen=True, slots=True)
class Options:
    """How stamps and hosts that a log leaves open are to be read."""

    zone: ZoneInfo  # of stamps that carry none
    zone_given: bool = False  # the administrator stated it: evidence in the log does not overrule
    year: int | None = None  # of the first stamp that lacks one
    reference: int | None = None  # microseconds UTC: when the file was last written, as far as known
    now: int = 0  # microseconds UTC
    server: str = "localhost"  # name of the host, where the log tells none
    authenticators: Mapping[str, str] = field(default_factory=dict)  # Exim's by name: the mechanism of each


class Remedy(NamedTuple):
    """A setting of the mail server that makes its log tell more; `where` and `gain` are translated where they are shown."""

    lacks: str  # what is missing without it: a key of LACKS in reports/findings.py
    setting: str  # the line of configuration, as it is written
    where: str  # which file or command it belongs to, and what puts it in force
    gain: str  # what the report shows from then on
    since: tuple[int, ...] = ()  # the versions of the server that it is for, where they differ: from this one
    before: tuple[int, ...] = ()  # and below this one
    needs_mechanism: bool = False  # it changes nothing of messages whose mechanism the log does not tell either

    def fits(self, version: str) -> bool:
        """Whether it is for a server of this version; "" is a version that is not known."""
        numbers = tuple(map(int, re.findall(r"\d+", version)))
        return not numbers or (numbers >= self.since and (not self.before or numbers < self.before))


class Source(Protocol):
    """One reader of one kind of server, for one log."""

    name: ClassVar[str]
    title: ClassVar[str]  # as people write it
    versions: ClassVar[str]  # of its server that it can read
    sample: ClassVar[str]  # a line it reads, for people
    tells: ClassVar[frozenset[str]]  # fields of `Submission` that its log can tell; all others it never tells
    reasons: ClassVar[tuple[str, ...]]  # every value of `Submission.reason` that it gives
    remedies: ClassVar[tuple[Remedy, ...]]  # most useful first

    columns: ClassVar[str] = ""
    """Of a table that it reads, those that are needed, as its header names them; for people."""

    views: ClassVar[bool] = False
    """Whether it looks at lines of its server's own form whatever object holds them, so that none need be copied."""

    recognised: int
    """Lines, or programs, so far that this source knows as its server's own, about submission or not."""

    refusal: str = ""
    """What is wrong with a file that is its server's own and none that it reads; "" where nothing is."""

    def __init__(self, log: Logbook) -> None: ...

    @staticmethod
    def owns(tag: str) -> bool:
        """Whether a program of this name, in a syslog, is its server's."""

    @staticmethod
    def begins(_tag: str) -> bytes:
        """What every line of this program begins with that can matter, up to 16 bytes; "" where there are no such words."""
        return b""

    @staticmethod
    def forms(_lines: Sequence[bytes], /) -> bool:
        """Whether these first lines of a file are in a form of its server's own, and not a syslog's."""
        return False

    def behind(self, _lines: Sequence[bytes]) -> None:
        """
        Reading goes on behind these lines, of a file in its server's own form: what sessions that are recalled had told in
        them, and is not remembered because it may be secret, can be looked up again.
        """

    def recall(self, remembered: Iterable[Remembered]) -> None:
        """Take over the sessions that earlier files left open. Lines older than their newest do not enter them."""

    def read(self, lines: Sequence[Parts]) -> None:
        """Read lines of a syslog that its server's programs wrote."""

    def repeat(self, line: Parts, times: int) -> None:
        """The syslog daemon says that this line of its server came so many times more."""

    def settle(self, sample: list[bytes], first: list[bytes]) -> int:
        """
        Of a file in its server's own form: fix what its stamps leave out, from lines all over it and its first ones; returns
        the time of the first, or 0.
        """
        raise NotImplementedError  # asked only of a source whose `forms` has said yes

    def feed(self, batch: bytes) -> None:
        """Read whole lines of a file in its server's own form."""
        raise NotImplementedError  # asked only of a source whose `forms` has said yes

    def look_ahead(self, _batch: Batch) -> object:
        """What can be told of such lines by themselves, perhaps in another thread while those before are read."""
        return None

    def feed_seen(self, batch: Batch, _seen: object) -> None:
        """Read whole lines, with what looking ahead gave; also None, or what another source saw in them."""
        self.feed(bytes(batch))

    def unwrapped(self, lines: Sequence[tuple[bytes, bytes]]) -> None:
        """Read such lines out of a container's log: its stamp, or b"", and the line, for servers whose own lines have none."""
        self.feed(b"\n".join(line for _, line in lines))

    def passed(self, host: str, stamp: bytes) -> None:
        """A line of its server, logged then, was the last of a batch; it need not have been read."""

    def sweep(self, now: int) -> None:
        """Log time has come to `now`, microseconds UTC: give up what has waited for a day."""

    def finish(self) -> None:
        """Give the rows of sessions that have not ended; they stay open in `remember`."""

    def remember(self) -> list[Remembered]:
        """What the next file needs to know."""

    @staticmethod
    def without(remembered: Remembered, account: str) -> Remembered:
        """
        What was remembered, but for sessions in which this account signed in, or was named. As it stands here it is for
        sources that remember lists of sessions, and texts not yet read.
        """
        content, name = json.loads(remembered.sessions), account.casefold()
        for key, value in content.items():
            if isinstance(value, list):
                content[key] = [session for session in value if name not in _texts(session)]
            elif isinstance(value, str) and name in value.casefold():
                content[key] = ""
        return remembered._replace(sessions=json.dumps(content, separators=(",", ":")))


def _texts(value: object) -> Iterator[str]:
    """Every text in what JSON can hold, case-folded."""
    if isinstance(value, str):
        yield value.casefold()
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
