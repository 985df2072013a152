"""
Postfix: whole sessions that went as most do, read in one go.

    whole = WholeSessions(join, server_of)
    whole(scan, groups)                    a batch that was scanned, and host and tag of its groups

A session of one client that signed in, sent messages that were all accepted, and ended, gives the rows that its lines
would give one by one, and leaves behind what they would leave. So do sessions in which sign-ins failed, or TLS did, and
those that signed in and sent nothing. Compiled code reads it (postfix_scan.pyx,
postfix_columns.pyx); whatever is not exactly as the server usually writes it is left to be read line by line: by `Join`,
which knows all there is to know.

What goes wrong
    Nothing: a session that is not taken is read as any other.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

from smtp_auth_report.changes import NUMBERS, Messages
from smtp_auth_report.moments import DAY, SECOND
from smtp_auth_report.sources import postfix_lines as lines
from smtp_auth_report.sources import postfix_sessions as sessions
from smtp_auth_report.sources.postfix_join import Join
from smtp_auth_report.sources.postfix_rows import NO_NAME, SOURCE, untold_failures, why_no_tls
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Outcome, Submission, Tls

if TYPE_CHECKING:
    from smtp_auth_report.sources.postfix_scan import Failure, Scan

MINUTES = {b"%02d:00" % minute: 60 * minute * SECOND for minute in range(60)}
"""What follows the hour in a stamp without zone, and how much of the hour has passed."""

COUNTS = Struct("3i")
"""Before the counters of a session: door, whether it is encrypted, lines about what failed. See postfix_columns.pxd."""


class WholeSessions:
    """Reads whole sessions of scanned batches into what the join has gathered."""

    def __init__(self, join: Join, server_of: Callable[[str | None], sessions.Server | None]) -> None:
        from smtp_auth_report.sources.postfix_columns import Columns  # noqa: PLC0415 - not there without a compiler

        self._join = join
        self._server_of = server_of
        self._doors: list[tuple[sessions.Server, sessions.Door]] = []  # by their numbers in the columns
        self._numbers: dict[tuple[int, bool, bool], int] = {}
        self._columns = Columns(_client, _tls, _mechanism, self._sent, self._failed, self._silent)

    def __call__(self, scan: Scan, groups: list[tuple[str | None, str]]) -> None:
        times = self._times(scan)
        if times is None:
            return
        minutes = array("q", times).tobytes()
        doors = array("i", [self._door(*group) for group in groups]).tobytes()
        scan.sessions(self._columns, doors, minutes)
        (numbers, *common), brought = self._columns.hand_over()
        if numbers:
            self._join.log.changes.messages.append(Messages(np.frombuffer(numbers, NUMBERS), *common))
        for each in brought:
            self._leave_behind(*each)
        for failed in scan.failures(self._columns, doors, minutes):
            self._give_failures(*failed)
        for number, session in scan.others(self._columns, doors, minutes):
            if self._give_other(*session):
                scan.pass_over(number)

    def _times(self, scan: Scan) -> list[int] | None:
        """Of each minute of the batch; None where stamps may not mean the same in any order, near a change of clocks or years."""
        ends, minutes = scan.ends(), scan.minutes()
        if ends is None or minutes is None or not self._join.clock.steady(*ends):
            return None
        begin, end = map(self._join.clock.at, ends)
        if begin is None or end is None:
            return None
        near = range(begin - DAY, end + DAY)
        hours: dict[bytes, int] = {}  # when an hour of which no clock is changed begins
        times = []
        for minute in minutes:
            hour, passed = minute[:10], MINUTES.get(minute[10:])
            if passed is not None and hour in hours:
                times.append(hours[hour] + passed)
                continue
            time = self._join.clock.at(minute)
            if time is None:
                return None
            if passed is not None and time in near:
                hours[hour] = time - passed
            times.append(time)
        return times

    def _door(self, host: str | None, tag: str) -> int:
        """Number of a door that is known to take AUTH; -1 of another."""
        server = self._server_of(host)
        door = server.doors.get(tag) if server else None
        if server is None or door is None or not door.sasl:
            return -1
        number = self._numbers.get((id(door), door.starttls, door.told))
        if number is None:
            place = (server.host, door.tag.service.value, SOURCE, Outcome.ACCEPTED.value)
            number = self._numbers[id(door), door.starttls, door.told] = self._columns.door(place, server.prefix)
            if number >= 0:
                self._doors.append((server, door))
        return number

    def _leave_behind(self, number: int, whole: int, encrypted: int, messages: int, newest: int, queue_ids: bytes, opened: bytes) -> None:
        """What reading the lines one by one would leave behind."""
        server, door = self._doors[number]
        join = self._join
        server.own_all(queue_ids, opened)
        server.newest = max(server.newest, newest)
        server.queues.add(door.tag.instance)
        join.log.about += 2 * messages + whole + encrypted
        self._told(server, door, encrypted > 0)

    def _told(self, server: sessions.Server, door: sessions.Door, encrypted: bool) -> None:
        """As `Door.learn` does."""
        if encrypted and not door.told:
            door.told = True
            self._join.settle_waiting(server, door)

    def _give_failures(
        self,
        number: int,
        pid: bytes,
        address: bytes,
        client: tuple[str | None, str | None],
        tls: tuple[str, str | None],
        ended: int,
        failures: list[Failure],
    ) -> None:
        """The rows of a session in which nothing but sign-ins failed, and what reading its lines would leave behind."""
        server, door = self._doors[number]
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
        self._told(server, door, encrypted)

    def _give_other(
        self,
        number: int,
        pid: bytes,
        address: bytes,
        client: tuple[str | None, str | None],
        tls: tuple[str, str | None],
        ended: int,
        handshake: tuple[int, bytes, bytes] | None,
    ) -> bool:
        """The row of a session that signed in and sent nothing, or in which TLS could not be agreed on; whether it is one."""
        server, door = self._doors[number]
        join, (ip, name), reason = self._join, client, None
        if handshake is None:
            outcome = Outcome.NO_MAIL.value
            identity = server.line_identity(outcome, pid.decode("ascii"), ended, address)
            (version, cipher), time = tls, ended
        else:
            time, line, library = handshake
            found = lines.HANDSHAKE.fullmatch(line.rstrip())
            if found is None or found["ip"] != address or lines.client_name(found["name"]) != name:
                return False
            outcome, version, cipher = Outcome.TLS_FAILED.value, Tls.UNKNOWN.value, None
            identity = server.line_identity(outcome, pid.decode("ascii"), time, address)
            reason = why_no_tls(found["reason"], library if lines.LIBRARY.fullmatch(library.rstrip()) else b"")
        row = Submission(
            identity.key, identity.opened, ended, server.host, door.tag.service.value, SOURCE, ip, name, None, None, None,
            UNKNOWN_MECHANISM, version, cipher, None, None, None, None, None, outcome, reason,
        )  # fmt: skip
        join.log.changes.put(row)
        server.newest = max(server.newest, ended, time)
        join.log.about += 1 + (handshake is not None or tls[1] is not None)
        self._told(server, door, tls[1] is not None)
        return True

    # What texts mean, for the columns

    def _sent(self, counts: bytes) -> tuple[int, str] | None:
        """How often content was taken, and the TLS version where no line tells it; None where more may have happened."""
        session, encrypted, _ = self._session(counts)
        if session is None or untold_failures(session):
            return None
        return session.taken, "" if encrypted else session.version_for(b"")[0].value

    def _failed(self, counts: bytes) -> tuple[int, str] | None:
        """The TLS version where no line tells it, of a session with failures; None where more may have happened."""
        session, encrypted, failures = self._session(counts)
        good, tried = (session.counts or {}).get(b"auth", (0, 0)) if session is not None else (0, 0)
        if session is None or good or tried > failures:
            return None
        return 0, "" if encrypted else session.version_for(b"")[0].value

    def _silent(self, counts: bytes) -> tuple[int, str] | None:
        """
        The TLS version where no line tells it, of a session without a message in which someone signed in, or could not agree
        on TLS; None where both, or more, may have happened.
        """
        session, encrypted, said = self._session(counts)
        good, tried = (session.counts or {}).get(b"auth", (0, 0)) if session is not None else (0, 0)
        if session is None or (tried if said else not good or tried > good):
            return None
        if said and b"starttls" not in (session.counts or {}):
            return None  # the door may learn from it
        return 0, "" if encrypted else session.version_for(b"")[0].value

    def _session(self, counts: bytes) -> tuple[sessions.Session | None, bool, int]:
        """
        A session with these counters, whether it is encrypted, and how many lines tell what failed in it. No session where
        they are no counters, or the door must show more before it has rows.
        """
        number, encrypted, failures = COUNTS.unpack_from(counts)
        found = lines.DISCONNECT.fullmatch(b"disconnect from x[::1]" + counts[COUNTS.size :])
        if found is None or not found["counts"]:
            return None, encrypted, failures
        session = sessions.Session(self._doors[number][1], "")
        session.whole = True
        session.counts = lines.counts(found["counts"])
        session.tls = b"" if encrypted else None
        door = session.door
        if session.proves_cleartext and not door.tag.wrapper and not door.told:
            return None, encrypted, failures  # the batch may hold what raises a doubt
        return None if session.waits or session.counts.get(b"xclient", (0, 0))[0] else session, encrypted, failures


def _client(client: bytes) -> tuple[int, tuple[str | None, str | None]] | None:
    """Address and name; None for what is not plainly both."""
    found = lines.CONNECT.fullmatch(b"connect from " + client)
    return (0, (lines.address(found["ip"]), lines.client_name(found["name"]))) if found else None


def _tls(text: bytes) -> tuple[int, tuple[str, str | None]] | None:
    """Version and cipher, from what stands behind the client."""
    found = lines.tls(b"TLS connection established from x[::1]" + text)
    return (0, (found.version.value, found.cipher)) if found else None


def _mechanism(text: bytes) -> tuple[int, str] | None:
    """Its name; None for what may be more than a name."""
    return None if b"," in text or text.upper() == b"XCLIENT" else (0, lines.mechanism(text))
