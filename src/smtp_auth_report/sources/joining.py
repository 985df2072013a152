"""
Sources whose servers log a session line by line: what belongs together is told by a pid, or an id, in each line.

    class SendmailSource(SessionSource):
        name, title, reasons = …
        worth = re.compile(rb"AUTH=server|…")         lines without these words are never looked at
        def line(self, line): …                        what a line does to its session

    session = self.session(line, key)                  the session of this key on the line's host; begun where there is none
    self.end(session)                                  it is over
    message = self.message(session, line, queue_id)    a transaction
    self.decide(session, message, Outcome.ACCEPTED, line.time)     its rows can be seen from now on
    self.fail(session, line, account, mechanism, reason)

Rows are given as soon as they are certain, and again when more is known: same identity, better values. A session ends
where the log says so, where its key begins anew, or after a day of log time. One that signed in and brought nothing gives
a row at its end.

Open sessions can be written as JSON, so that a session that straddles two files goes on in the next.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from smtp_auth_report.changes import Remembered
from smtp_auth_report.moments import DAY
from smtp_auth_report.sources.envelope import Origin, Parts, origin
from smtp_auth_report.sources.identities import Identities
from smtp_auth_report.sources.interface import Source
from smtp_auth_report.sources.logbook import Logbook
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Identity, Outcome, Service, Submission, Tls, bare

REPEATS = 10_000
# message repeated 3 times: [ AUTH failure (PLAIN): …]
REPEATED = re.compile(rb"message repeated (\d{1,6}) times: \[ ?(.*)\]", re.DOTALL)


class Line(NamedTuple):
    """One line of a server's program."""

    host: str
    tag: str
    pid: str
    time: int  # microseconds UTC
    text: bytes
    stamp: bytes


@dataclass(slots=True)
class Message:
    """One transaction."""

    opened: int
    queue_id: str | None = None
    identity: tuple[int, int] | None = None  # where it has no queue id
    time: int = 0  # when it was decided
    outcome: str = ""  # "" while it is not
    reason: str | None = None
    sender: str | None = None
    recipients: int | None = None
    size: int | None = None
    message_id: str | None = None


@dataclass(slots=True)
class Failure:
    """One sign-in that failed."""

    identity: tuple[int, int]
    time: int
    account: str | None
    mechanism: str
    reason: str


@dataclass(slots=True)
class Session:
    """One connection, as far as its lines have told."""

    host: str
    key: str
    last: int  # time of its newest line
    service: str = Service.UNKNOWN.value
    client_ip: str | None = None
    client_name: str | None = None
    helo: str | None = None
    account: str | None = None
    mechanism: str = UNKNOWN_MECHANISM
    tls_version: str = Tls.UNKNOWN.value
    tls_cipher: str | None = None
    authenticated: bool = False
    messages: list[Message] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)  # what else its source keeps, as JSON can hold it


class SessionSource(Source):
    """Joins the lines of one log into sessions."""

    name: ClassVar[str]
    worth: ClassVar[re.Pattern[bytes]]
    """Found in every line that can matter."""

    def __init__(self, log: Logbook) -> None:
        self.recognised = 0
        self.log = log
        self.sessions: dict[tuple[str, str], Session] = {}  # by host and key
        self._hosts: dict[str, Identities] = {}
        self._recalled: dict[str, Remembered] = {}
        self._given: dict[Identity, Submission] = {}  # of open sessions, as last given

    @abstractmethod
    def line(self, line: Line) -> None:
        """What a line does to its session."""

    # Lines

    def read(self, lines: Sequence[Parts]) -> None:
        """Read lines of a syslog that its server's programs wrote."""
        self.recognised += len(lines)
        search = self.worth.search
        for parts in lines:
            if search(parts[2]):
                line = self._line(parts)
                repeated = REPEATED.fullmatch(line.text)
                if repeated:
                    self._repeat(line._replace(text=repeated[2]), int(repeated[1]))
                else:
                    self.line(line)
        last = self._line(lines[-1])
        self.host(last.host, last.time)

    def _line(self, parts: Parts) -> Line:
        stamp, raw, message = parts
        where, host = _origin(raw), self.host_of(raw)
        time = self.log.time(host, stamp)
        return Line(host, where.tag, where.pid or "", time, message.rstrip(), stamp)

    def host_of(self, raw: bytes) -> str:
        """The host that a line's origin names."""
        return _origin(raw).host or self.log.options.server

    def repeat(self, line: Parts, times: int) -> None:
        """Only a failed sign-in is a row of its own each time."""
        if self.worth.search(line[2]):
            self._repeat(self._line(line), times)

    def _repeat(self, line: Line, times: int) -> None:
        if self.repeatable(line.text):
            about = self.log.about
            for _ in range(min(times, REPEATS)):
                self.line(line)
            self.log.about = about + 1

    def repeatable(self, _text: bytes) -> bool:
        """Whether a line like this, said to be repeated, tells of one more event each time."""
        return False

    def unread(self, line: Line, reason: str) -> None:
        """A line that looks like one of this server's and was not understood."""
        self.log.unread(self.name, line.host, line.time, reason, line.text)

    # Sessions

    def host(self, name: str, time: int) -> Identities:
        """A host of this log; sessions that an older file left open go on if this one is not older."""
        found = self._hosts.get(name)
        if found is None:
            family = self.name.encode()
            found = self._hosts[name] = Identities(name, family, family)
            recalled = self._recalled.get(name)
            if recalled is not None and self.log.take_over(recalled, time):
                self._load(found, json.loads(recalled.sessions))
        return found

    def open_session(self, line: Line, key: str) -> Session | None:
        """The session of this key, if there is one."""
        self.host(line.host, line.time)
        return self.sessions.get((line.host, key))

    def session(self, line: Line, key: str) -> Session:
        """The session of this key; begun where there is none."""
        found = self.open_session(line, key)
        if found is None:
            found = self.sessions[line.host, key] = Session(line.host, key, line.time)
        found.last = max(found.last, line.time)
        return found

    def begin(self, line: Line, key: str) -> Session:
        """A new session; whatever had its key before is over."""
        before = self.open_session(line, key)
        if before is not None:
            self.end(before)
        return self.session(line, key)

    def sign_in(self, session: Session, account: str | None, mechanism: str) -> None:
        """The credentials were accepted."""
        session.authenticated = True
        session.account, session.mechanism = account, mechanism

    def message(self, session: Session, line: Line, queue_id: str | None) -> Message:
        """A transaction that begins with this line, or was never heard of before."""
        message = Message(line.time, queue_id)
        if queue_id is None:
            server_side = f"{session.client_ip} {len(session.messages)}".encode()
            message.identity = self.host(line.host, line.time).line_identity("message", session.key, line.time, server_side)
        session.messages.append(message)
        return message

    def decide(self, session: Session, message: Message, outcome: Outcome, time: int, reason: str | None = None) -> None:
        """
        The server took the message, or refused it; rows of sessions that have not signed in are none. One that was given
        as accepted, and is refused after all, is withdrawn: a row once accepted stays so.
        """
        if message.outcome == Outcome.ACCEPTED and outcome != Outcome.ACCEPTED:
            self.log.changes.withdraw(self._identity(session, message))
            server_side = f"{session.client_ip} {message.queue_id}".encode()
            message.identity = self.host(session.host, time).line_identity("refused", session.key, time, server_side)
        message.outcome, message.time, message.reason = outcome.value, time, reason
        session.last = max(session.last, time)
        if session.authenticated:
            self._put(self._message_row(session, message))

    def withdraw(self, session: Session, message: Message) -> None:
        """It was no transaction of its own after all."""
        session.messages.remove(message)
        identity = self._identity(session, message)
        self._given.pop(identity, None)
        self.log.changes.withdraw(identity)

    def fail(self, session: Session, line: Line, account: str | None, mechanism: str, reason: str) -> None:
        """A sign-in failed."""
        server_side = f"{session.client_ip} {mechanism}".encode()
        identity = self.host(line.host, line.time).line_identity("auth_failed", session.key, line.time, server_side)
        failure = Failure(identity, line.time, account, mechanism, reason)
        session.failures.append(failure)
        session.last = max(session.last, line.time)
        self._put(self._failure_row(session, failure, line.time))

    def fail_handshake(self, session: Session, line: Line, reason: str) -> None:
        """TLS could not be agreed on, at a door that takes AUTH."""
        identity = self.host(line.host, line.time).line_identity("tls_failed", session.key, line.time, str(session.client_ip).encode())
        row = self._row(session, identity, Outcome.TLS_FAILED.value, line.time, reason)
        self._put(row._replace(account=None, mechanism=UNKNOWN_MECHANISM, tls_version=Tls.UNKNOWN.value, tls_cipher=None))

    def end(self, session: Session) -> None:
        """The connection is over: its rows are given as it was known in the end."""
        self.sessions.pop((session.host, session.key), None)
        if session.authenticated:
            rows = [self._message_row(session, message) for message in session.messages if message.outcome]
            for row in rows or [self._no_mail_row(session)]:
                self._put(row)
        for failure in session.failures:
            self._put(self._failure_row(session, failure, session.last))
        for message in session.messages:
            self._given.pop(self._identity(session, message), None)
        for failure in session.failures:
            self._given.pop(Identity(*failure.identity), None)

    def passed(self, _host: str, _stamp: bytes) -> None:
        """The reader keeps the time."""
        self.recognised += 1

    def sweep(self, now: int) -> None:
        """Give up sessions that nothing was heard of for a day."""
        for session in [session for session in self.sessions.values() if session.last < now - DAY]:
            self.end(session)

    def finish(self) -> None:
        """All rows have been given when they were certain."""

    # Rows

    def _put(self, row: Submission) -> None:
        if self._given.get(row.identity) != row:
            self._given[row.identity] = row
            self.log.changes.put(row)

    def _identity(self, session: Session, message: Message) -> Identity:
        if message.identity is not None:
            return Identity(*message.identity)
        queue_id = (message.queue_id or "").encode("utf-8", "surrogateescape")
        return self._hosts[session.host].message_identity(queue_id, message.opened)

    def _message_row(self, session: Session, message: Message) -> Submission:
        row = self._row(session, self._identity(session, message), message.outcome, message.time, message.reason)
        return row._replace(
            sender=message.sender,
            recipients=message.recipients,
            size=message.size,
            queue_id=message.queue_id,
            message_id=message.message_id,
        )

    def _no_mail_row(self, session: Session) -> Submission:
        host = self.host(session.host, session.last)
        identity = host.line_identity("no_mail", session.key, session.last, (session.client_ip or "").encode())
        return self._row(session, identity, Outcome.NO_MAIL.value, session.last, None)

    def _failure_row(self, session: Session, failure: Failure, time: int) -> Submission:
        row = self._row(session, Identity(*failure.identity), Outcome.AUTH_FAILED.value, time, failure.reason)
        return row._replace(account=failure.account, mechanism=failure.mechanism)

    def _row(self, session: Session, identity: Identity, outcome: str, time: int, reason: str | None) -> Submission:
        return bare(identity, time, session.host, self.name, outcome)._replace(
            service=session.service,
            client_ip=session.client_ip,
            client_name=session.client_name,
            helo=session.helo,
            account=session.account,
            mechanism=session.mechanism,
            tls_version=session.tls_version,
            tls_cipher=session.tls_cipher,
            reason=reason,
        )

    # From one file to the next

    def recall(self, remembered: Iterable[Remembered]) -> None:
        """Sessions of older files, by host; taken over when the first line of the host is not older."""
        self._recalled = {entry.server: entry for entry in remembered}

    def remember(self) -> list[Remembered]:
        """Open sessions of each host. A host that older lines only were read of keeps what was remembered before."""
        kept = []
        for name, host in self._hosts.items():
            recalled, newest = self._recalled.get(name), self.log.newest.get(name, 0)
            if recalled is None or newest >= recalled.newest:
                sessions = [self.dump(session) for session in self.sessions.values() if session.host == name]
                content = {"seen": host.seen(), "sessions": sessions, **self.kept(name)}
                kept.append(Remembered(self.name, name, newest, json.dumps(content, separators=(",", ":"))))
        return kept

    def kept(self, _host: str) -> dict[str, Any]:
        """What else of a host is remembered, as JSON can hold it."""
        return {}

    def dump(self, session: Session) -> dict[str, Any]:
        """A session as JSON can hold it. Names that failed to sign in may be passwords, and are not kept."""
        content = asdict(session)
        for failure in content["failures"]:
            failure["account"] = None
        return content

    def _load(self, host: Identities, content: dict[str, Any]) -> None:
        host.recall(content["seen"].items())
        for entry in content["sessions"]:
            session = self.load(entry)
            self.sessions[session.host, session.key] = session

    @staticmethod
    def load(entry: dict[str, Any]) -> Session:
        """A session that was dumped."""
        messages = [Message(**message) for message in entry.pop("messages")]
        failures = [Failure(**failure) for failure in entry.pop("failures")]
        return Session(**entry, messages=messages, failures=failures)


@lru_cache(maxsize=65_536)
def _origin(raw: bytes) -> Origin:
    found = origin(raw)
    assert found is not None, "a line is given to the source that owns its tag"
    return found
