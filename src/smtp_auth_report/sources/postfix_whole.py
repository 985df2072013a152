"""
Postfix: whole sessions that went as most do, read in one go.

    whole = WholeSessions(join, server_of)
    whole(scan, groups)                    a batch that was scanned, and host and tag of its groups

A session of one client that signed in, sent messages that were all accepted, and ended, gives the rows that its lines
would give one by one, and leaves behind what they would leave. Compiled code reads it (postfix_scan.pyx,
postfix_columns.pyx); whatever is not exactly as the server usually writes it is left to be read line by line: by `Join`,
which knows all there is to know.

What goes wrong
    Nothing: a session that is not taken is read as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from smtp_auth_report.changes import NUMBERS, Messages
from smtp_auth_report.sources import postfix_lines as lines
from smtp_auth_report.sources import postfix_sessions as sessions
from smtp_auth_report.sources.postfix_join import Join
from smtp_auth_report.sources.postfix_rows import NO_NAME, SOURCE, untold_failures
from smtp_auth_report.submission import Outcome, Submission

if TYPE_CHECKING:
    from smtp_auth_report.sources.postfix_columns import Door
    from smtp_auth_report.sources.postfix_scan import Failure, Scan


class WholeSessions:
    """Reads whole sessions of scanned batches into what the join has gathered."""

    def __init__(self, join: Join, server_of: Callable[[str | None], sessions.Server | None]) -> None:
        from smtp_auth_report.sources.postfix_columns import Columns  # noqa: PLC0415 - not there without a compiler

        self._join = join
        self._server_of = server_of
        self._columns = Columns(_client, _tls, _mechanism)
        self._doors: dict[tuple[int, bool], Door] = {}

    def __call__(self, scan: Scan, groups: list[tuple[str | None, str]]) -> None:
        times = self._times(scan)
        if times is None:
            return
        doors = [self._door(*group) for group in groups]
        for door in doors:
            if door is not None:
                door.begin()
        scan.sessions(self._columns, doors, times)
        messages = self._columns.count
        numbers, *common = self._columns.hand_over()  # where there are none, too: so that what was met is forgotten in time
        if messages:
            self._join.log.changes.messages.append(Messages(np.frombuffer(numbers, NUMBERS), *common))
        for door in doors:
            if door is not None and door.sessions:
                self._leave_behind(door)
        for failed in scan.failures(self._columns, doors, times):
            self._give_failures(*failed)

    def _times(self, scan: Scan) -> list[int] | None:
        """Of each minute of the batch; None where stamps may not mean the same in any order, near a change of clocks or years."""
        ends, minutes = scan.ends(), scan.minutes()
        if ends is None or minutes is None or not self._join.clock.steady(*ends):
            return None
        times = [self._join.clock.at(minute) for minute in minutes]
        return None if None in times else [time for time in times if time is not None]

    def _door(self, host: str | None, tag: str) -> Door | None:
        """A door that is known to take AUTH."""
        from smtp_auth_report.sources.postfix_columns import Door  # noqa: PLC0415 - as above

        server = self._server_of(host)
        door = server.doors.get(tag) if server else None
        if server is None or door is None or not door.sasl:
            return None
        found = self._doors.get((id(door), door.starttls))
        if found is None:
            place = (server.host, door.tag.service.value, SOURCE)
            hash_of_server = blake2b(server.prefix, digest_size=8)
            endings = _Endings(door)
            found = Door((server, door), place, Outcome.ACCEPTED.value, hash_of_server, endings.sent, endings.failed)
            self._doors[id(door), door.starttls] = found
        return found

    def _leave_behind(self, brought: Door) -> None:
        """What reading the lines one by one would leave behind."""
        server, door = brought.owner
        join, messages = self._join, len(brought.queue_ids)
        server.own_all(brought.queue_ids)
        server.newest = max(server.newest, brought.newest)
        server.queues.add(door.tag.instance)
        join.log.about += 2 * messages + brought.sessions + brought.encrypted

    def _give_failures(
        self,
        brought: Door,
        pid: bytes,
        address: bytes,
        client: tuple[str | None, str | None],
        tls: tuple[str, str | None],
        ended: int,
        failures: list[Failure],
    ) -> None:
        """The rows of a session in which nothing but sign-ins failed, and what reading its lines would leave behind."""
        server, door = brought.owner
        join, (ip, name), (version, cipher) = self._join, client, tls
        for time, mechanism, words, user, aborted in failures:
            identity = server.line_identity("auth_failed", pid.decode("ascii"), time, b"%b %b" % (address, mechanism))
            account = None if user in NO_NAME else lines.text(user)
            reason = lines.failure_reason(words, aborted=aborted)
            row = Submission(
                identity.key, identity.opened, ended, server.host, door.tag.service.value, SOURCE, ip, name, None, account, None,
                lines.mechanism(mechanism), version, cipher, None, None, None, None, None, Outcome.AUTH_FAILED.value, reason,
            )  # fmt: skip
            join.log.changes.put(row)
        server.newest = max(server.newest, ended, *(failure[0] for failure in failures))
        encrypted = cipher is not None
        join.log.about += len(failures) + 1 + encrypted


class _Endings:
    """Reads the counters of sessions of one door."""

    def __init__(self, door: sessions.Door) -> None:
        self._door = door

    def sent(self, counts: bytes, encrypted: bool) -> tuple[int, str] | None:
        """How often content was taken, and the TLS version where no line tells it; None where more may have happened."""
        session = self._session(counts, encrypted=encrypted)
        if session is None or untold_failures(session):
            return None
        return session.taken, "" if encrypted else session.version_for(b"")[0].value

    def failed(self, counts: bytes, encrypted: bool, failures: int) -> str | None:
        """The TLS version where no line tells it, of a session with failures; None where more may have happened."""
        session = self._session(counts, encrypted=encrypted)
        good, tried = (session.counts or {}).get(b"auth", (0, 0)) if session is not None else (0, 0)
        if session is None or good or tried > failures:
            return None
        return "" if encrypted else session.version_for(b"")[0].value

    def _session(self, counts: bytes, *, encrypted: bool) -> sessions.Session | None:
        """A session with these counters; None where they are no counters, or the door must show more before it has rows."""
        found = lines.DISCONNECT.fullmatch(b"disconnect from x[::1]" + counts)
        if found is None or not found["counts"]:
            return None
        session = sessions.Session(self._door, "")
        session.whole = True
        session.counts = lines.counts(found["counts"])
        session.tls = b"" if encrypted else None
        return None if session.waits or session.counts.get(b"xclient", (0, 0))[0] else session


def _client(client: bytes) -> tuple[str | None, str | None] | None:
    """Address and name; None for what is not plainly both."""
    found = lines.CONNECT.fullmatch(b"connect from " + client)
    return (lines.address(found["ip"]), lines.client_name(found["name"])) if found else None


def _tls(text: bytes) -> tuple[str, str | None] | None:
    """Version and cipher, from what stands behind the client."""
    found = lines.tls(b"TLS connection established from x[::1]" + text)
    return (found.version.value, found.cipher) if found else None


def _mechanism(text: bytes) -> str | None:
    """Its name; None for what may be more than a name."""
    return None if b"," in text or text.upper() == b"XCLIENT" else lines.mechanism(text)
