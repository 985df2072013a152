"""
What makes two readings of one event the same row, for one host and one kind of server.

    identities = Identities("mail.contoso.example", b"postfix", b"smtpd")
    identities.message_identity(b"1493522C8A9", opened)                    a message, by its queue id
    identities.line_identity("auth_failed", "701", time, b"192.0.2.1")     a row without one, by its line
    relayed_identity(b"1493522C8A9", decided, front=True)                  a message that two servers of the site tell of

Only the first label of a host's name counts, so that a log by syslog and a log by the journal tell of the same rows.
Equal lines of one second are told apart by their number.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from hashlib import blake2b

from smtp_auth_report.moments import SECOND
from smtp_auth_report.sources.values import address
from smtp_auth_report.submission import Identity

REMEMBERED_LINES = 5_000
STRAGGLING = 60  # seconds that a line may come late


class Identities:
    """Makes the identities of one host's rows."""

    def __init__(self, host: str, queue: bytes, daemon: bytes) -> None:
        self.host = host
        self.label = host.lower() if address(host) else host.partition(".")[0].lower()
        label = self.label.encode("utf-8", "surrogateescape")
        self.prefix = b"%b\0%b\0" % (label, queue)  # what the key of a message is made of, before its queue id
        self._daemon = b"%b\0%b\0" % (label, daemon)
        self._seen: dict[bytes, int] = {}  # texts of the newest seconds -> how often

    def message_identity(self, queue_id: bytes, opened: int) -> Identity:
        """Of a message that the server gave a queue id at `opened`, microseconds UTC."""
        return Identity(int.from_bytes(blake2b(self.prefix + queue_id, digest_size=8).digest(), "big"), opened)

    def line_identity(self, kind: str, pid: str, time: int, text: bytes) -> Identity:
        """Of a row without queue id: its line, and the how-manieth such line in its second."""
        second = time // SECOND
        base = f"{kind} {pid} {second} ".encode("utf-8", "surrogateescape") + text[:500]
        if len(self._seen) > REMEMBERED_LINES:
            self._seen = {seen: number for seen, number in self._seen.items() if _second(seen) >= second - STRAGGLING}
        number = self._seen[base] = self._seen.get(base, 0) + 1
        digest = blake2b(b"%b%b %d" % (self._daemon, base, number), digest_size=8).digest()
        return Identity(int.from_bytes(digest, "big"), second * SECOND)

    def seen(self) -> dict[str, int]:
        """Lines of the newest seconds, to go on numbering them later."""
        edge = max(map(_second, self._seen), default=0) - 2
        return {base64.b64encode(seen).decode("ascii"): number for seen, number in self._seen.items() if _second(seen) >= edge}

    def recall(self, seen: Iterable[tuple[str, int]]) -> None:
        """Go on where `seen` was."""
        self._seen = {base64.b64decode(text): number for text, number in seen}


def relayed_identity(queue_id: bytes, decided: int, *, front: bool) -> Identity:
    """
    Of a message that a server in front took from the client, and the server behind it queued: both tell of it, perhaps in
    logs of their own, perhaps on hosts of their own. What both know is the queue id, and when it was taken: its content may
    have come for minutes. They never name the same microsecond, so that neither row replaces the other before the store has
    put them together.
    """
    key = int.from_bytes(blake2b(b"relayed\0" + queue_id, digest_size=8).digest(), "big")
    return Identity(key, decided & ~1 | front)


def _second(seen: bytes) -> int:
    return int(seen.split(b" ", 3)[2])
