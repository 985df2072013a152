"""
Exim: arrivals that are written as most are, read as columns, and failed sign-ins.

    columns = Columns(mechanism, met)
    columns.take(text, time, identities, but)   whether the line was such an arrival, and is taken; but for these clients
    columns.hand_over()                         Messages of all that were, since the last time

    sieve = Sieve(log, identities, mechanism, met)      the same for whole batches of a file, by compiled code (exim_scan.pyx)
    seen = Sieve.look(batch)                            may be done ahead, in another thread
    for line in sieve.left(batch, seen, but): ...       lines that can matter and were not taken, each when it is due, and
                                                        failed sign-ins, as `Failed`
    sieve.hand_over()

Where no client has written a blank, a quote or a backslash, a line can be read in one way only, and by one expression. What a
part of it means is asked of exim_lines.py when the part is met for the first time. All other lines are left to be read by
it, one by one.

What goes wrong
    Nothing: a line that is not taken is read as any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from smtp_auth_report.changes import NUMBERS, UNTOLD, Messages
from smtp_auth_report.moments import DAY
from smtp_auth_report.sources import exim_lines as lines
from smtp_auth_report.sources import values
from smtp_auth_report.sources.identities import Identities
from smtp_auth_report.sources.logbook import Logbook
from smtp_auth_report.sources.stamps import exim_id_time
from smtp_auth_report.submission import Outcome

if TYPE_CHECKING:
    from smtp_auth_report.sources.interface import Batch

try:
    from smtp_auth_report.sources.exim_found import Found
    from smtp_auth_report.sources.exim_scan import Scan

    COMPILED = True
except ImportError:  # installed without a compiler: lines are read one by one
    COMPILED = False

SOURCE = "exim"
KNOWN = 200_000
LONGEST_PREFIX = 100
"""What the key of a message is made of, as far as compiled code takes it."""

# 1xVWeV-0001UI-2o <= anna@contoso.example H=pc.example (pc) [192.0.2.10]:51234 I=[192.0.2.1]:587 P=esmtpsa X=TLS1.3:… CV=no
#     A=plain_server:anna K S=2315 id=1@pc for x@y.example
PLAIN = re.compile(
    rb"(?:\[\d+\] )?([0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})) <= (<>|[^\s\"\\<>]+) "
    rb"H=((?:[\w.-]+ )?(?:\([\w.:\[\]-]*\) )?)\[([0-9A-Fa-f.:]{2,45})\](?::\d{1,5})?"
    rb"((?: I=\[[0-9A-Fa-f.:]{2,45}\](?::\d{1,5})?)? P=\w+(?: X=[^\s\"]+)?(?: CV=\w+)? A=\w+):([^\s\"\\:]+)(?: K)? S=(\d{1,18})"
    rb"(?: id=([^\s\"\\]+))?(?: for ([^\s\"\\]+(?: [^\s\"\\]+)*+))?"
).fullmatch

Client: TypeAlias = tuple[str | None, str | None, str | None]
Failure: TypeAlias = tuple[str, str, str, str]
"""Authenticator, mechanism, service, reason."""

Failed: TypeAlias = tuple[int, Failure, Client, str]
"""A failed sign-in: time, what is alike of many, client, the name that was tried."""


class Columns:
    """Messages of one log."""

    def __init__(self, mechanism: Callable[[str], str], met: Callable[[str, str], None]) -> None:
        self._mechanism = mechanism
        self._met = met  # called with host and service of a door where a client has signed in
        self._taken: list[tuple[int, ...]] = []
        self._queue_ids: list[str] = []
        self._message_ids: list[str] = []
        self._made: dict[bytes, int | None] = {}
        self._begin()

    def _begin(self) -> None:
        self._manners: list[tuple[Any, ...]] = []
        self._clients: list[Client] = []
        self._parties: list[tuple[str, str]] = []
        self._manner_of: dict[tuple[str, bytes], int] = {}
        self._client_of: dict[tuple[bytes, bytes], int] = {}
        self._party_of: dict[tuple[bytes, bytes], int] = {}

    def take(self, text: bytes, time: int, identities: Identities, but: Container[str | None]) -> bool:
        """Whether the line is an arrival as most are; then it is kept."""
        found = PLAIN(text)
        if found is None:
            return False
        queue_id, sender, names, ip, how, user, size, message_id, recipients = found.groups()
        manner = self._manner_of.get((identities.host, how))
        if manner is None:
            manner = self._meet_manner(text[found.start(1) :], identities.host, how)
            if manner is None:
                return False
        client = self._client_of.get((names, ip))
        if client is None:
            client = _code(self._client_of, (names, ip), self._clients, lines.client(names, ip))
        party = self._party_of.get((user, sender))
        if party is None:
            party = _code(self._party_of, (user, sender), self._parties, (values.text(user), lines.path(sender)))
        if self._clients[client][0] in but:
            return False
        made = self._made[queue_id[:6]] if queue_id[:6] in self._made else self._second(queue_id[:6])
        opened = made if made and abs(made - time) < DAY else time
        key = int.from_bytes(blake2b(identities.prefix + queue_id, digest_size=8).digest(), "big")
        to = recipients.count(b" ") + 1 if recipients else UNTOLD
        self._taken.append((key, opened, time, int(size), to, manner, client, party))
        self._queue_ids.append(queue_id.decode())
        self._message_ids.append(f"<{lines.printed(message_id)}>" if message_id else "")
        return True

    def _second(self, begins: bytes) -> int | None:
        if len(self._made) > KNOWN:
            self._made.clear()
        made = self._made[begins] = exim_id_time(begins)
        return made

    def _meet_manner(self, text: bytes, server: str, how: bytes) -> int | None:
        manner = _manner(text, server, self._mechanism)
        if manner is None:
            return None
        self._met(server, manner[1])
        return _code(self._manner_of, (server, how), self._manners, manner)

    def hand_over(self) -> Messages | None:
        """All that was kept."""
        if not self._taken:
            return None
        numbers = np.array(self._taken, dtype=NUMBERS)
        queue_ids, message_ids = ("".join(f"{each}\n" for each in texts) for texts in (self._queue_ids, self._message_ids))
        messages = Messages(numbers, self._manners, self._clients, self._parties, queue_ids, message_ids)
        self._taken, self._queue_ids, self._message_ids = [], [], []
        if len(self._parties) + len(self._clients) > KNOWN:
            self._begin()
        return messages


class Sieve:
    """Messages of one host's own file."""

    def __init__(self, log: Logbook, identities: Identities, mechanism: Callable[[str], str], met: Callable[[str, str], None]) -> None:
        self._host = identities.host
        self._mechanism = mechanism
        self._met = met
        self._scan = Scan(identities.prefix, _Stamps(log, self._host), self._read_manner, _read_client, self._read_failure)

    @staticmethod
    def takes(identities: Identities) -> bool:
        """Whether there is compiled code, and it can make keys of this host's messages."""
        return COMPILED and len(identities.prefix) <= LONGEST_PREFIX

    @staticmethod
    def look(batch: Batch) -> object:
        """Lines of a batch that can matter; None where there is no compiled code."""
        return Found(batch) if COMPILED else None

    def left(self, batch: Batch, seen: object, but: Container[str | None]) -> Iterator[bytes | Failed]:
        """Lines that are to be read one by one, and failures; arrivals before each are taken when it is given, but for these clients."""
        self._scan.begin(seen if isinstance(seen, Found) else Found(batch))
        while (line := self._scan.next_line(but)) is not None:
            yield line

    def _read_manner(self, how: bytes) -> tuple[int, tuple[Any, ...]] | None:
        manner = _manner(b"000000-000000-00 <= <> H=[192.0.2.1]%b:x S=1" % how, self._host, self._mechanism)
        if manner is None:
            return None
        self._met(self._host, manner[1])
        return 0, manner

    def _read_failure(self, told: bytes) -> tuple[int, Failure] | None:
        """535587 plain_server: the answer's code, the port that the client came to, the authenticator."""
        door, _, authenticator = told[3:].partition(b" ")
        at = b" I=[192.0.2.1]:%b" % door if door else b""
        line = b"%b authenticator failed for [192.0.2.1]%b: %b Incorrect authentication data (set_id=x)" % (authenticator, at, told[:3])
        failure = lines.plain_failure(line)
        if failure is None:
            return None
        name = failure.authenticator
        return 0, (name, self._mechanism(name), failure.peer.service, failure.reason)

    def hand_over(self) -> Messages | None:
        """All that was taken."""
        numbers, *told = self._scan.hand_over()
        return Messages(np.frombuffer(numbers, dtype=NUMBERS), *told) if numbers else None


class _Stamps:
    """The clock of a log, for stamps as Exim writes them."""

    def __init__(self, log: Logbook, host: str) -> None:
        self._log = log
        self._host = host

    def hour(self, written: bytes) -> int | None:
        return self._log.clock.hour(lines.stamp(written))

    def at(self, written: bytes) -> int | None:
        return self._log.clock.at(lines.stamp(written))

    def note(self, written: bytes) -> None:
        self._log.time(self._host, lines.stamp(written))


def _manner(text: bytes, server: str, mechanism: Callable[[str], str]) -> tuple[Any, ...] | None:
    """What messages that arrive so have in common; None where it cannot be read."""
    try:
        arrival = lines.arrival(text)
    except ValueError:
        return None
    if arrival is None:
        return None
    peer = arrival.peer
    told = (peer.service, SOURCE, mechanism(arrival.authenticator), peer.tls_version, peer.tls_cipher)
    return server, *told, Outcome.ACCEPTED.value, None


def _read_client(text: bytes) -> tuple[int, tuple[str | None, str | None, str | None]]:
    names, _, ip = text.rpartition(b"[")
    return 0, lines.client(names, ip)


def _code(codes: dict[Any, int], key: object, known: list[Any], value: object) -> int:
    """Code of what is met for the first time."""
    code = codes[key] = len(known)
    known.append(value)
    return code
