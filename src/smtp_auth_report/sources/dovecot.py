"""
Dovecot 2.3 and 2.4: submissions through its submission service.

    submission-login: Login: user=<anna>, method=PLAIN, rip=192.0.2.10, lip=192.0.2.1, mpid=3212, TLS, session=<1EsQ0vNgMYd/AAJk>
    submission(anna)<3212><1EsQ0vNgMYd/AAJk>: Successfully relayed message: from=<…>, size=4968, …, reply=`250 … queued as E2C1023A969'
    submission(anna)<3212><1EsQ0vNgMYd/AAJk>: Disconnected: Logged out (state=READY) in=5070 out=113

Dovecot signs the client in and hands its mail on. Where Postfix stands behind and believes it (XCLIENT), both tell of the same
message: both rows are then one, by the queue id (`identities.relayed_identity`). A message that Postfix refused, or that was
begun and dropped, has no queue id in Dovecot's lines; where both are in one log, it is found by account and client.

Lines of other services and of the authentication process are not read.

What goes wrong
    A line that begins like one of ours and matches no expression is Unread.

See also
    dovecot_lines.py for the lines, logbook.py for what Postfix tells, joining.py for sessions; docs/sources.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from smtp_auth_report.changes import Remembered
from smtp_auth_report.sources import dovecot_lines as lines
from smtp_auth_report.sources import values
from smtp_auth_report.sources.envelope import LONGEST_MESSAGE, Parts
from smtp_auth_report.sources.identities import Identities, relayed_identity
from smtp_auth_report.sources.interface import Remedy
from smtp_auth_report.sources.joining import Line, Message, Session, SessionSource
from smtp_auth_report.sources.logbook import Logbook
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Identity, Outcome, Submission, Tls

CLEAR_KEPT = 500
RELAYED_KEPT = 200
MOST = 1000  # failed sign-ins of one session

ELEMENTS = "login_log_format_elements = user=<%u> method=%m rip=%r lip=%l lport=%a mpid=%e %c %k session=<%{session}>"
ELEMENTS_2_4 = (
    "login_log_format_elements = user=<%{user}> method=%{mechanism} rip=%{remote_ip} lip=%{local_ip} lport=%{local_port} mpid=%{mail_pid} "
    "%{secured} %{ssl_security} session=<%{session}>"
)
IN_FORCE = "dovecot.conf of Dovecot {}; then doveadm reload"


def _by_elements(lacks: str, gain: str) -> tuple[Remedy, Remedy]:
    """The elements of a login line have other names since 2.4."""
    return (
        Remedy(lacks, ELEMENTS, IN_FORCE.format("2.3"), gain, before=(2, 4)),
        Remedy(lacks, ELEMENTS_2_4, IN_FORCE.format("2.4"), gain, since=(2, 4)),
    )


class DovecotSource(SessionSource):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "dovecot"
    title: ClassVar[str] = "Dovecot submission"
    versions: ClassVar[str] = "2.3 and 2.4"
    sample: ClassVar[str] = (
        "dovecot: submission-login: Login: user=<anna>, method=PLAIN, rip=192.0.2.10, lip=192.0.2.1, TLS, session=<1EsQ0vNg>"
    )
    tells: ClassVar[frozenset[str]] = frozenset(Submission._fields) - {"client_name", "helo", "message_id"}
    reasons: ClassVar[tuple[str, ...]] = lines.REASONS
    remedies: ClassVar[tuple[Remedy, ...]] = (
        Remedy(
            "sessions",
            "protocols = $protocols submission",
            "dovecot.conf; then doveadm reload",
            "clients can sign in here; if they do already, another log is theirs",
        ),
        *_by_elements("tls_version", "the TLS version and cipher of every session"),
        *_by_elements("service", "which port a client uses, by lport="),
        *_by_elements("client_ip", "the address of every client, by rip="),
        *_by_elements("mechanism", "the mechanism of every session, by method="),
    )
    worth: ClassVar[re.Pattern[bytes]] = re.compile(rb"\Asubmission")

    def __init__(self, log: Logbook) -> None:
        super().__init__(log)
        log.vouched = self._vouched
        self._clients: dict[tuple[str | None, str | None], Session] = {}  # by account and address, of open sessions
        self._telling: set[str] = set()  # hosts whose lines have told of TLS, so that one that does not means none
        self._clear: dict[str, list[Session]] = {}  # ended ones without TLS, as long as their host has told of none

    @staticmethod
    def owns(tag: str) -> bool:
        """dovecot, or its processes where Dovecot writes to a container's output."""
        return tag.startswith(("dovecot", "submission-login", "submission("))

    @staticmethod
    def begins(tag: str) -> bytes:
        """Behind Dovecot's own name stands that of its process."""
        return b"submission" if tag.startswith("dovecot") else b""

    # Lines

    def read(self, found: Sequence[Parts]) -> None:
        """Read lines of Dovecot; those of other services cannot matter."""
        ours = [
            (stamp, raw, text) if text.startswith(b"submission") else (stamp, b"dovecot", raw + b": " + text)
            for stamp, raw, text in found
            if text.startswith(b"submission") or raw.startswith(b"submission")
        ]
        if ours:
            super().read(ours)

    @staticmethod
    def forms(found: Sequence[bytes], /) -> bool:
        """Whether these are lines of a file that Dovecot itself writes; one may be cut, or be of a shape of its own."""
        return 10 * sum(lines.FILED.fullmatch(line) is not None for line in found) >= 9 * len(found)

    def settle(self, sample: list[bytes], first: list[bytes]) -> int:
        """The year of the first stamp, from sampled lines and from when the file was written."""
        clock, options = self.log.clock, self.log.options
        clock.settle(sample, options.reference or options.now)
        begins = next((found for found in map(lines.FILED.fullmatch, [*first, *sample]) if found), None)
        return (clock.at(begins["stamp"]) or 0) if begins else 0

    def feed(self, batch: bytes) -> None:
        """Read whole lines of a file that Dovecot itself writes."""
        server = self.log.options.server
        last = b""
        for text in batch.split(b"\n"):
            last = text or last
            found = lines.FILED.fullmatch(text) if b" submission" in text[:40] and len(text) <= LONGEST_MESSAGE else None
            if found:
                self.recognised += 1
                time = self.log.time(server, found["stamp"])
                self.line(Line(server, "dovecot", "", time, found["text"].rstrip(), found["stamp"]))
        ended = lines.FILED.fullmatch(last)
        if ended:
            self.log.time(server, ended["stamp"])

    def line(self, line: Line) -> None:
        """What a line does to its session."""
        if line.text.startswith(b"submission-login: "):
            self._login(line)
        elif line.text.startswith(b"submission("):
            self._served(line)

    # Signing in

    def _login(self, line: Line) -> None:
        told = lines.login(line.text)
        if told is None:
            if line.text.startswith((b"submission-login: Login: ", b"submission-login: Logged in: ")):
                self.unread(line, "sign-in not understood")
            return
        if version := lines.version(told.says):
            self.log.version(self.name, line.host, version)
        session = self.begin(line, told.session)
        session.client_ip, session.service = told.client, told.service.value
        self._learn_tls(session, told)
        if told.ok:
            self.log.about += 1
            self.sign_in(session, lines.name(told.account), told.mechanism)
            self._clients[session.account, session.client_ip] = session
            return
        attempts, reason = lines.failed(told)
        if told.handshaking:
            self.log.about += 1
            self.fail_handshake(session, line, lines.handshake_reason(told))
        elif attempts:
            self.log.about += 1
            for _ in range(min(attempts, MOST) - 1):
                self.fail(session, line, None, UNKNOWN_MECHANISM, "bad_credentials")
            self.fail(session, line, lines.name(told.account) or None, told.mechanism, reason)
        self.end(session)

    def _learn_tls(self, session: Session, told: lines.Login) -> None:
        """The elements say "TLS", or "secured", or nothing at all: that means clear where they are known to say it."""
        if told.encrypted:
            session.tls_version, session.tls_cipher = told.version.value, told.cipher
        elif told.secured:
            session.tls_version = Tls.NONE.value if told.from_here else Tls.UNKNOWN.value
        elif session.host in self._telling:
            session.tls_version = Tls.NONE.value
        else:
            session.notes["clear"] = True
        if (told.encrypted or told.secured or told.handshaking) and session.host not in self._telling:
            self._telling.add(session.host)
            self._prove_clear(session.host)

    def _prove_clear(self, host: str) -> None:
        for session in [session for session in self.sessions.values() if session.host == host and session.notes.pop("clear", False)]:
            session.tls_version = Tls.NONE.value
        for session in self._clear.pop(host, []):
            del session.notes["clear"]
            session.tls_version = Tls.NONE.value
            super().end(session)

    # Mail

    def _served(self, line: Line) -> None:
        ways = lines.served(line.text)
        told = next((told for told in ways if self._is_open(line, told)), ways[0] if len(ways) == 1 else None)
        if told is None:
            if ways:
                self.unread(line, "more than one way to read a line")
            return
        if told.says.startswith(lines.ENDS):
            session = self._open(line, told)
            if session is not None:
                session.last = max(session.last, line.time)
                self.end(session)
            return
        found = lines.RELAYED.fullmatch(told.says)
        if found is None:
            if told.says.startswith((b"Successfully relayed", b"Failed to relay")):
                self.unread(line, "message not understood")
            return
        self.log.about += 1
        session = self._open(line, told) or self._unseen(line, told)
        if session.account is None or session.account.endswith(lines.CUT):
            session.account = told.account
        if found["ok"] == b"Successfully relayed":
            self._queued(line, session, found)
        else:
            self._refused(line, session, found)

    def _is_open(self, line: Line, told: lines.Served) -> bool:
        session = self._open(line, told)
        return session is not None and lines.same_name(session.account or "", told.account)

    def _open(self, line: Line, told: lines.Served) -> Session | None:
        """The session of a line, by its id, by its process, or by its account where the prefix has neither."""
        for key in (told.session, told.pid):
            session = self.open_session(line, key) if key else None
            if session is not None or (key and key == told.pid):
                return session
        found = [each for each in self.sessions.values() if each.host == line.host and lines.same_name(each.account or "", told.account)]
        return found[0] if len(found) == 1 else None

    def _unseen(self, line: Line, told: lines.Served) -> Session:
        """A session that began before this log."""
        session = self.session(line, told.session or told.pid or f"?{told.account}".replace(" ", "?"))
        self.sign_in(session, told.account, UNKNOWN_MECHANISM)
        return session

    def _queued(self, line: Line, session: Session, found: re.Match[bytes]) -> None:
        queue_id, transaction = lines.queue_id(found["reply"]), found["id"] or b""
        message = self._message(line, session, found, values.text(queue_id or lines.other_id(found["reply"]) or transaction))
        if queue_id is not None:
            self.log.relay(queue_id, line.time)
            message.identity = relayed_identity(queue_id, line.time, front=True)
        elif transaction:
            message.identity = self.host(line.host, line.time).message_identity(transaction, line.time)
        self.decide(session, message, Outcome.ACCEPTED, line.time)

    def _refused(self, line: Line, session: Session, found: re.Match[bytes]) -> None:
        message = self._message(line, session, found, None)
        message.size = message.recipients = None
        if session.notes.get("behind"):
            message.identity = _beside(session.notes["behind"].pop())
        self.decide(session, message, Outcome.REJECTED, line.time, lines.refusal_reason(found["reply"]))

    def _message(self, line: Line, session: Session, found: re.Match[bytes], queue_id: str | None) -> Message:
        message = self.message(session, line, queue_id)
        message.sender = values.text(found["sender"])
        message.size, message.recipients = int(found["size"]), int(found["recipients"])
        return message

    # What the server behind tells

    def _vouched(self, time: int, account: str | None, client: str | None, begun: Identity | None) -> None:
        """Postfix has begun a message of this account and client, or refused one."""
        for name in self._recalled.keys() - self._hosts.keys():
            self.host(name, time)
        session = self._clients.get((account, client))
        if session is None:
            return
        if begun is None:
            session.notes["told"] = True
        else:
            session.notes.setdefault("behind", []).append(begun)
            del session.notes["behind"][:-MOST]

    def end(self, session: Session) -> None:
        """The connection is over."""
        if self._clients.get((session.account, session.client_ip)) is session:
            del self._clients[session.account, session.client_ip]
        if session.notes.get("told") and not session.messages:
            session.authenticated = False  # Postfix tells how it ended
        super().end(session)
        if session.notes.get("clear") and (session.authenticated or session.failures):
            self._clear.setdefault(session.host, []).append(session)
            del self._clear[session.host][:-CLEAR_KEPT]

    def _no_mail_row(self, session: Session) -> Submission:
        row = super()._no_mail_row(session)
        if session.notes.get("behind"):
            session.notes.setdefault("no_mail", _beside(session.notes["behind"][0]))
        identity = Identity(*session.notes.setdefault("no_mail", row.identity))
        return row._replace(key=identity.key, opened=identity.opened)

    # From one file to the next

    def recall(self, remembered: Iterable[Remembered]) -> None:
        """Sessions of older files, by host."""
        super().recall(remembered)
        for entry in self._recalled.values():
            self.log.relayed |= {queue_id.encode(): time for queue_id, time in json.loads(entry.sessions)["relayed"]}

    def kept(self, host: str) -> dict[str, Any]:
        """Whether it has told of TLS, and the sessions that wait for it; what Postfix may not have taken yet."""
        return {
            "telling": host in self._telling,
            "clear": [self.dump(session) for session in self._clear.get(host, [])],
            "relayed": [(queue_id.decode(), time) for queue_id, time in list(self.log.relayed.items())[-RELAYED_KEPT:]],
        }

    def _load(self, host: Identities, content: dict[str, Any]) -> None:
        super()._load(host, content)
        if content["telling"]:
            self._telling.add(host.host)
        self._clear[host.host] = [self.load(entry) for entry in content["clear"]]
        for session in self.sessions.values():
            if session.authenticated:
                self._clients[session.account, session.client_ip] = session

    def passed(self, _host: str, _stamp: bytes) -> None:
        """A line of whatever service: no evidence that this one submits mail."""


def _beside(begun: Identity | list[int]) -> Identity:
    """
    Identity of a row of ours that tells of the same message as Postfix's: the store puts them together, and until then
    neither replaces the other.
    """
    key, opened = begun
    return Identity(key, opened + 1)
