"""
What reading a log brings about: the one thing that passes from sources to the store.

A source turns a batch of bytes into `Changes`: rows that are new or revised, rows to withdraw, lines it could not
read, gaps the log itself reports. The store applies one `Commit`, changes and read position together, in one
transaction. All parts are values: they can be built in one process and applied in another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, NamedTuple

import numpy as np

from smtp_auth_report.submission import Identity, Submission

NUMBERS = np.dtype([("key", np.uint64), *((name, np.int64) for name in "opened time size recipients manner client party".split())])
"""What a message is told by: numbers of its own, and places in what messages have in common."""


UNTOLD = -1
"""Recipients that the log does not tell."""


class Messages(NamedTuple):
    """Accepted messages as columns, of which nothing more will be told."""

    numbers: np.ndarray[Any, Any]  # of type NUMBERS
    # Values of codes; lists that messages share, all three or none, and that grow
    manners: list[tuple[Any, ...]]  # server, service, source, mechanism, tls_version, tls_cipher, outcome, reason
    clients: list[tuple[str | None, str | None, str | None]]  # client_ip, client_name, helo
    parties: list[tuple[str, str]]  # account, sender
    # A line of text for each message, empty where there is none; see `each`
    queue_ids: str
    message_ids: str

    def accounts(self) -> dict[str, int]:
        """Accounts that sent one of them, with the time of the first; `parties` may name others."""
        never = np.iinfo(np.int64).max
        first = np.full(len(self.parties), never)
        np.minimum.at(first, self.numbers["party"], self.numbers["time"])
        parties = np.flatnonzero(first != never)
        found: dict[str, int] = {}
        for party, time in zip(parties.tolist(), first[parties].tolist(), strict=True):
            account = self.parties[party][0]
            found[account] = min(time, found.get(account, time))
        return found

    def where(self, chosen: np.ndarray[Any, Any]) -> Messages:
        """Those that are chosen."""
        queue_ids, message_ids = (
            "".join(f"{text}\n" for text in compress(each(texts), chosen)) for texts in (self.queue_ids, self.message_ids)
        )
        return self._replace(numbers=self.numbers[chosen], queue_ids=queue_ids, message_ids=message_ids)

    @classmethod
    def joined(cls, parts: Iterable[Messages]) -> list[Messages]:
        """Those whose codes mean the same as one, one behind the other."""
        alike: dict[int, list[Messages]] = {}
        for part in parts:
            alike.setdefault(id(part.parties), []).append(part)
        return [
            some[0]._replace(
                numbers=np.concatenate([part.numbers for part in some]),
                queue_ids="".join(part.queue_ids for part in some),
                message_ids="".join(part.message_ids for part in some),
            )
            for some in alike.values()
        ]

    def rows(self) -> Iterator[Submission]:
        """The same as rows."""
        for numbers, queue_id, message_id in zip(self.numbers.tolist(), each(self.queue_ids), each(self.message_ids), strict=True):
            key, opened, time, size, recipients, manner, client, party = numbers
            server, service, source, mechanism, tls_version, tls_cipher, outcome, reason = self.manners[manner]
            account, sender = self.parties[party]
            client_ip, client_name, helo = self.clients[client]
            told = None if recipients == UNTOLD else recipients
            yield Submission(
                key, opened, time, server, service, source, client_ip, client_name, helo, account, None, mechanism, tls_version,
                tls_cipher, sender, told, size, queue_id or None, message_id or None, outcome, reason,
            )  # fmt: skip


def each(texts: str) -> list[str]:
    """The texts of a column."""
    return texts.split("\n")[:-1]


class Unread(NamedTuple):
    """A line that looks like one of a source's own and that no expression matched."""

    source: str
    server: str
    reason: str  # fixed words of ours, never the line's
    time: int  # microseconds UTC; of the line before it where its own stamp is unreadable
    sample: str  # the line with names and secrets masked


class Gap(NamedTuple):
    """Lines that the log itself says were lost (rate limits); counts around it are lower bounds."""

    server: str
    time: int  # microseconds UTC
    reason: str
    lost: int | None  # lines, where the log tells


class Counted(NamedTuple):
    """One row of a report that somebody else counted. It is no row of ours, and is never added to one."""

    report: str  # which file it is of, by how that begins; "" until that is known
    line: int  # which row of it, by what that says
    sender: str
    sender_domain: str
    sender_key: str  # keyed hash of the sender; "" until it is made
    messages: int
    tls_none: float | None  # shares of the messages, 0 to 1; None is not told
    tls_1_0: float | None
    tls_1_1: float | None
    tls_1_2: float | None
    tls_1_3: float | None
    authentication: str  # as written; "" is not told
    first: int | None  # the days that it is about, microseconds UTC; None is not told
    last: int | None


@dataclass(slots=True)
class Changes:
    """Rows by identity, the newest version of each; a row that is revised again replaces itself."""

    rows: dict[Identity, Submission] = field(default_factory=dict)
    withdrawn: set[Identity] = field(default_factory=set)
    told: dict[int, Submission] = field(default_factory=dict)
    """
    What one log tells of rows that another gives, by reference (also its `key`). No row comes of it: rows that await the
    reference are put together with it, whichever came first.
    """
    awaited: dict[Identity, tuple[int, ...]] = field(default_factory=dict)  # row -> references by which others may tell of it
    messages: list[Messages] = field(default_factory=list)  # rows besides, whose identities are not among those of `rows`
    unread: list[Unread] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    lines: int = 0  # lines in the batch
    other: int = 0  # of these, lines that are not about submission
    newest: dict[str, int] = field(default_factory=dict)  # server -> time of its newest line
    versions: dict[tuple[str, str], str] = field(default_factory=dict)  # source and server -> the version that its lines told last

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.rows) + sum(len(messages.numbers) for messages in self.messages)

    def after(self, time: int) -> int:
        """How many rows are of a later time."""
        messages = sum(int(np.count_nonzero(messages.numbers["time"] > time)) for messages in self.messages)
        return messages + sum(row.time > time for row in self.rows.values())

    def put(self, row: Submission) -> None:
        """Add a row or revise it."""
        self.rows[row.identity] = row
        self.withdrawn.discard(row.identity)

    def put_all(self, rows: Mapping[Identity, Submission]) -> None:
        """Add many rows or revise them."""
        self.rows.update(rows)
        self.withdrawn.difference_update(rows)

    def withdraw(self, identity: Identity) -> None:
        """Take a row back."""
        self.rows.pop(identity, None)
        self.withdrawn.add(identity)

    def take(self, later: Changes) -> None:
        """Add what a later batch brought."""
        for identity in later.withdrawn:
            self.withdraw(identity)
        self.put_all(later.rows)
        self.told |= later.told
        self.awaited |= later.awaited
        self.messages += later.messages
        self.unread += later.unread
        self.gaps += later.gaps
        self.counted += later.counted
        self.lines += later.lines
        self.other += later.other
        self.versions |= later.versions
        for server, time in later.newest.items():
            self.newest[server] = max(time, self.newest.get(server, time))


class Position(NamedTuple):
    """How far one file was read. A file is known by its content, so renaming or compressing it changes nothing."""

    head: str  # digest of the first `head_size` bytes
    head_size: int  # at most checkpoint.HEAD bytes
    offset: int  # bytes of decompressed content read, whole lines only
    tail: str  # digest of the last bytes before `offset`
    path: str  # where it was last seen, for people
    options: str  # zone and server name it was read with
    evidence: str  # what is needed to go on there; see checkpoint.Evidence


class Remembered(NamedTuple):
    """Sessions of one server that were open when reading stopped."""

    source: str
    server: str
    newest: int  # microseconds UTC
    sessions: str  # JSON, of the source's own making
    stream: str = ""  # the log that is followed; sessions of files that are read once are one stream


class Intake(NamedTuple):
    """What reading a followed log has brought since it was last told, and how it stands now."""

    stream: str
    lines: int
    other: int
    unread: int
    rows: int
    line_rate: float  # a second, of late
    row_rate: float
    behind: int  # bytes on disk that were not read yet
    problem: str  # one line, "" where all is well
    newest: int  # time of its newest line, microseconds UTC; 0 while none was read


class Withheld(NamedTuple):
    """A name that failed to sign in, and is shown once its domain has signed in here."""

    account_key: str
    sealed: str  # the name, under the site's key
    time: int  # microseconds UTC, of the attempt


@dataclass(slots=True)
class Commit:
    """What the store applies in one transaction."""

    changes: Changes
    positions: list[Position] = field(default_factory=list)
    remembered: list[Remembered] = field(default_factory=list)
    learned: dict[str, str] = field(default_factory=dict)
    """account_key -> account, for names that authenticated for the first time: earlier failures may now be named."""
    account_keys: dict[str, str] = field(default_factory=dict)
    """account -> account_key, for every account of the rows."""
    withheld: list[Withheld] = field(default_factory=list)
    file: str = ""
    """Where the lines are from, for people; stated where something was counted in it."""
    intake: Intake | None = None


class Applied(NamedTuple):
    """What a commit did to the rows of the store."""

    added: int
    revised: int
    withdrawn: int
    unchanged: int
    outcomes: Mapping[str, int]  # how many rows more, or fewer, the store has of each outcome
