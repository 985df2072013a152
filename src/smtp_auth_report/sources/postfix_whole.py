"""
Postfix: whole sessions that went as most do, read in one go.

    take = WholeSessions(join, server_of)
    taken = take(lines, sessions)          of each, whether it was taken

A session of one client that signed in, sent messages that were all accepted, and ended, gives the rows that its lines
would give one by one, and leaves behind what they would leave. Whatever is not exactly as the server usually writes it
is left to be read line by line: by `Join`, which knows all there is to know.

What goes wrong
    Nothing: a session that is not taken is read as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from smtp_auth_report.moments import SECOND
from smtp_auth_report.sources import postfix_lines as lines
from smtp_auth_report.sources.postfix_join import Join
from smtp_auth_report.sources.postfix_rows import SOURCE, untold_failures
from smtp_auth_report.sources.postfix_runs import Whole
from smtp_auth_report.sources.postfix_sessions import Door, Server, Session
from smtp_auth_report.sources.postfix_sieve import Lines
from smtp_auth_report.sources.stamps import queue_id_time
from smtp_auth_report.submission import Identity, Outcome, Submission

ACCEPTED = Outcome.ACCEPTED.value
MISSING = -1 << 62
ACTIVE_END = b" (queue active)"
APART = 600 * SECOND
"""A long queue id and the stamp of its line tell times no further apart, or zone and year are in doubt."""


class _Ending(NamedTuple):
    """What the counters of a session without doubts tell."""

    taken: int  # how often content was taken
    tls_version: str  # where no line tells it


class _Places(NamedTuple):
    """The lines of a batch: its bytes, and of each line where its stamp and its text begin and end."""

    content: bytes
    starts: list[int]
    stamped: list[int]
    texts: list[int]
    ends: list[int]

    def text(self, line: int) -> bytes:
        return self.content[self.texts[line] : self.ends[line]]


class _At(NamedTuple):
    """What the messages of a session have in common."""

    server: Server
    service: str
    client: bytes
    ip: str | None
    name: str | None
    tls_version: str
    tls_cipher: str | None


class WholeSessions:
    """See `Take` in postfix_sieve.py."""

    def __init__(self, join: Join, server_of: Callable[[str | None], Server | None]) -> None:
        self._join = join
        self._server_of = server_of
        self._times: dict[bytes, int | None] = {}
        self._minutes: dict[tuple[bytes, bytes], int | None] = {}
        self._endings: dict[tuple[int, bytes, bool], _Ending | None] = {}
        self._rows: dict[Identity, Submission] = {}

    def __call__(self, found: Lines, sessions: list[Whole]) -> list[bool]:
        self._endings.clear()
        self._times.clear()
        self._minutes.clear()
        if not sessions or not self._steady(found):
            return [False] * len(sessions)
        doors = [self._door(*name) for name in found.names]
        batch = found.batch
        columns = (batch.starts, batch.starts + found.blank, found.text, batch.ends)
        places = _Places(batch.bytes, *(column.tolist() for column in columns))
        self._rows = {}
        taken = [self._session(places, doors[session.group], session) for session in sessions]
        self._join.changes.put_all(self._rows)
        return taken

    def _steady(self, found: Lines) -> bool:
        """Whether stamps mean the same in any order: nowhere near a change of clocks or years."""
        content, batch = found.batch.bytes, found.batch
        ends = (0, len(batch.starts) - 1)
        first, last = (content[batch.starts[line] : batch.starts[line] + found.blank[line]] for line in ends)
        clock = self._join.clock
        if not first or not last or not clock.steady(first, last):
            return False
        minutes = found.minutes()
        return minutes is not None and all(clock.at(minute) is not None for minute in minutes)

    def _door(self, host: str | None, tag: str) -> tuple[Server, Door] | None:
        """A door that is known to take AUTH."""
        server = self._server_of(host)
        door = server.doors.get(tag) if server else None
        return (server, door) if server is not None and door is not None and door.sasl else None

    def _session(self, found: _Places, where: tuple[Server, Door] | None, session: Whole) -> bool:
        if where is None:
            return False
        server, door = where
        connect, disconnect = found.text(session.connect), found.text(session.disconnect)
        client = connect[13:]
        who = _client(client)
        if who is None or not connect.startswith(b"connect from ") or not disconnect.startswith(b"disconnect from " + client):
            return False
        tls = None
        if session.tls >= 0:
            head, _, rest = found.text(session.tls).partition(b" from " + client + b": ")
            tls = _tls(rest) if head.endswith(b"TLS connection established") else None
            if tls is None:
                return False
        ending = self._ending(door, disconnect[16 + len(client) :], encrypted=tls is not None)
        if ending is None or ending.taken < len(session.messages):
            return False
        at = _At(server, door.tag.service.value, client, *who, *(tls or (ending.tls_version, None)))
        rows = [self._message(found, at, message) for message in session.messages]
        if None in rows:
            return False
        self._apply(server, door, [row for row in rows if row is not None], encrypted=tls is not None)
        return True

    def _ending(self, door: Door, counts: bytes, *, encrypted: bool) -> _Ending | None:
        """None where more than the messages may have happened, or the door must show more."""
        known = (id(door), counts, encrypted)
        if known not in self._endings:
            self._endings[known] = _ending(door, counts, encrypted=encrypted)
        return self._endings[known]

    def _message(self, found: _Places, at: _At, message: tuple[int, int, int]) -> Submission | None:
        """The row of a message whose lines are written as they usually are."""
        opened, accepted = self._time(found, message[0]), self._time(found, message[2])
        queue_id, _, rest = found.text(message[0]).partition(b": client=")
        client, _, rest = rest.partition(b", sasl_method=")
        mechanism, told, account = rest.partition(b", sasl_username=")
        if opened is None or accepted is None or not told or client != at.client or not _plain(queue_id, mechanism, account, opened):
            return None
        taken = _taken(found.text(message[2]), queue_id)
        message_id = _message_id(found.text(message[1]), queue_id) if message[1] >= 0 else b""
        if taken is None or message_id is None:
            return None
        sender, size, recipients = taken
        identity = at.server.message_identity(queue_id, opened)
        return Submission(
            identity.key,
            opened,
            accepted,
            at.server.host,
            at.service,
            SOURCE,
            at.ip,
            at.name,
            None,
            lines.text(account),
            None,
            lines.mechanism(mechanism),
            at.tls_version,
            at.tls_cipher,
            lines.text(sender),
            recipients,
            size,
            queue_id.decode("ascii"),
            lines.text(message_id) or None,
            ACCEPTED,
            None,
        )

    def _apply(self, server: Server, door: Door, rows: list[Submission], *, encrypted: bool) -> None:
        """What reading the lines one by one would leave behind."""
        join = self._join
        for row in rows:
            self._rows[row.identity] = row
            server.own((row.queue_id or "").encode("ascii"))
            server.newest = max(server.newest, row.time)
        server.queues.add(door.tag.instance)
        join.signed_in += len(rows)
        join.about += 2 * len(rows) + 1 + encrypted
        join.tls_lines += encrypted

    def _time(self, found: _Places, line: int) -> int | None:
        """Of a line, by way of its minute: stamps of one minute differ in their seconds only."""
        stamp = found.content[found.starts[line] : found.stamped[line]]
        time = self._times.get(stamp, MISSING)
        if time == MISSING:
            time = self._times[stamp] = self._by_minute(stamp)
        return time

    def _by_minute(self, stamp: bytes) -> int | None:
        if len(stamp) == 15:
            minute, seconds, fraction, rest = stamp[:13], stamp[13:], b"0", b""
        elif len(stamp) > 26 and stamp[19:20] == b".":
            minute, seconds, fraction, rest = stamp[:17], stamp[17:19], stamp[20:26], stamp[26:]
        else:
            return self._join.clock.at(stamp)
        if not seconds.isdigit() or seconds > b"59" or not fraction.isdigit() or rest[:1].isdigit():
            return self._join.clock.at(stamp)
        if (minute, rest) not in self._minutes:
            self._minutes[minute, rest] = self._join.clock.at(minute + b"00" + rest)
        begins = self._minutes[minute, rest]
        return None if begins is None else begins + int(seconds) * SECOND + int(fraction)


def _plain(queue_id: bytes, mechanism: bytes, account: bytes, opened: int) -> bool:
    """Whether these can be nothing but what they seem."""
    return (
        queue_id.isalnum()
        and len(queue_id) >= 5
        and (len(queue_id) < 12 or _agrees(queue_id, opened))
        and b"," not in mechanism
        and mechanism.upper() != b"XCLIENT"
        and account.strip() == account != b""
        and b", sasl_sender=" not in account
        and b", orig_" not in account
    )


def _taken(text: bytes, queue_id: bytes) -> tuple[bytes, int, int] | None:
    """Sender, size and recipients: 1493522C8A9: from=<anna@contoso.example>, size=15253, nrcpt=1 (queue active)"""
    if not text.startswith(queue_id + b": from=<") or not text.endswith(ACTIVE_END):
        return None
    sender, told, rest = text[len(queue_id) + 8 : -len(ACTIVE_END)].rpartition(b">, size=")
    size, _, recipients = rest.partition(b", nrcpt=")
    if not told or not size.isdigit() or not recipients.isdigit() or len(size) > 18 or len(recipients) > 9:
        return None
    return sender, int(size), int(recipients)


def _message_id(text: bytes, queue_id: bytes) -> bytes | None:
    return text[len(queue_id) + 13 :].rstrip() if text.startswith(queue_id + b": message-id=") else None


def _ending(door: Door, counts: bytes, *, encrypted: bool) -> _Ending | None:
    found = lines.DISCONNECT.fullmatch(b"disconnect from x[::1]" + counts)
    if found is None or not found["counts"]:
        return None
    session = Session(door, "")
    session.whole = True
    session.counts = lines.counts(found["counts"])
    session.tls = b"" if encrypted else None
    if session.waits or untold_failures(session) or session.counts.get(b"xclient", (0, 0))[0]:
        return None
    return _Ending(session.taken, "" if encrypted else session.version_for(b"")[0].value)


@lru_cache(maxsize=65_536)
def _client(client: bytes) -> tuple[str | None, str | None] | None:
    """Address and name; None for what is not plainly both."""
    found = lines.CONNECT.fullmatch(b"connect from " + client)
    return (lines.address(found["ip"]), lines.client_name(found["name"])) if found else None


@lru_cache(maxsize=4096)
def _tls(text: bytes) -> tuple[str, str | None] | None:
    """Version and cipher, from what stands behind the client."""
    found = lines.tls(b"TLS connection established from x[::1]: " + text)
    return (found.version.value, found.cipher) if found else None


def _agrees(queue_id: bytes, opened: int) -> bool:
    """A long queue id tells when it was made; a short one nothing."""
    made = queue_id_time(queue_id)
    return made is None or abs(made - opened) < APART
