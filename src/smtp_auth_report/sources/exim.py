"""
Exim 4.7 to 4.99: submissions from its main log, by file or by syslog.

    2026-11-23 16:12:23 1xVWeV-0001UI-2o <= j.doe@tailspin.example H=(pc) [192.0.2.10] P=esmtpsa X=TLS1.2:… CV=no
        A=plain_server:j.doe@tailspin.example S=2315 id=1@pc
    2026-11-23 16:12:23 plain_server authenticator failed for (pc) [192.0.2.10]: 535 Incorrect authentication data (set_id=anna)

The line of an arrival tells all of a message, so nothing is joined. Recipients that were refused are told one by one: those
of one client, account and sender in a row are one transaction, and no row where its message arrives all the same.

What is refused is logged twice, in the main log and in the reject log. Both files tell of the same rows; in a syslog the
second line of two that are equal is passed over. A syslog's lines are cut at 870 characters, and put together here.

What goes wrong
    A line that begins like one of ours and matches no expression, or that can be read in two ways, is Unread. What the
    administrator's `logwrite` and `log_message` put into the log is taken for Exim's.

See also
    exim_lines.py for the lines, own_form.py; docs/sources.md
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, ClassVar

from smtp_auth_report.changes import Messages
from smtp_auth_report.moments import DAY, SECOND
from smtp_auth_report.sources import exim_lines as lines
from smtp_auth_report.sources.exim_columns import Columns, Failed, Sieve
from smtp_auth_report.sources.exim_lines import Arrival, Peer, Refusal, SignIn
from smtp_auth_report.sources.identities import Identities
from smtp_auth_report.sources.interface import Batch, Remedy
from smtp_auth_report.sources.joining import Line, Message, Session
from smtp_auth_report.sources.logbook import Logbook
from smtp_auth_report.sources.own_form import OwnFormSource
from smtp_auth_report.sources.stamps import exim_id_time
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Identity, Outcome, Service, Submission, Tls

MINUTE = 60 * SECOND
CUT_AT = 870
LONGEST = 8192
SUBMISSION_DOORS = frozenset({Service.SUBMISSION.value, Service.SUBMISSIONS.value})
WAITING = 200
MANY = 200
"""Lines of a batch for which columns are worth their while."""

WORTH_SIFTING = 1 << 14
"""Bytes of a batch from which on compiled code pays."""

FEW = 20
"""Lines of a log that need not be of all kinds."""

PATIENCE = 30 * SECOND
"""Between the commands of one transaction, where clients are made to wait for what they are told."""

PER_SECOND = 100_000
"""Bytes that a slow client sends, while the message behind refused recipients is still of their transaction."""

NEEDLES = (
    b" A=",
    b" authenticator failed for ",
    b"TLS error on connection ",
    b"SMTP protocol error in ",
    b"rejected AUTH ",
    b" daemon started: pid=",
)

# [5672] 1xVWeV-0001UG-2n <= …
PID = re.compile(rb"\[(\d{1,10})\] ")
# [1/3] 2026-11-23 16:12:23 1xVWeV-0001UG-2n H=…        [2\5] Envelope-from: <…>
PART = re.compile(rb"\[(?P<number>\d{1,4})(?P<ends>[/\\])(?P<of>\d{1,4})\] (?P<text>.*)", re.DOTALL)
# rsyslog writes #011 for a tab
_CONTROL = re.compile(rb"#0[0-3][0-7]|#177")
# A line of the reject log that is of a message, not of Exim
_OF_A_MESSAGE = re.compile(rb"Envelope-(?:from|to): <|    <|    \.\.\.|[ A-Z*] |[ \t]|-{20,}|\*\*\* truncated|$")
_OF_A_REJECT_LOG = re.compile(
    rb"(?:\[\d+\] )?(?:" + lines.ID + rb" )?(?:.* rejected |rejected |\S+ authenticator failed for |refused |.* dropped)"
)
_STAMPED = rb"(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?(?: [+-]\d{4})?) "
_ID = lines.ID.replace(b"?P<id>", b"?:")
_SURE = (
    rb"(?:\[\d+\] )?(?:"
    + _ID
    + rb" |exim \d\.\d+\S* daemon started: |(?:Start|End) queue run: pid=|\S+ authenticator failed for .*: \d{3} |no MAIL in "
    rb"|SMTP (?:connection|call|protocol error|syntax error|protocol synchronization error) |TLS error on connection "
    rb"|no (?:host name found for IP|IP) address |(?:unexpected disconnection|rejected (?:EHLO|HELO|MAIL)) |H=.* rejected )"
)
# 2026-11-23 16:12:23 1xVWeV-0001UG-2n <= …
ARRIVED = re.compile(_STAMPED + rb"(?:\[\d+\] )?" + lines.ID + rb" <= ")
_SELECTOR = "log_selector = +incoming_port +incoming_interface +received_recipients +smtp_no_mail +smtp_protocol_error"
IN_FORCE = "the main section of exim.conf (Debian: /etc/exim4/conf.d/main), joined with what stands there; then restart Exim"

REMEDIES = (
    Remedy(
        "sessions",
        "server_set_id = $auth2",
        "each authenticator of exim.conf ($auth1 for LOGIN and CRAM-MD5); then restart Exim",
        "accounts; if no client signs in here, another log is theirs",
    ),
    Remedy("tls_version", "log_selector = +tls_cipher", IN_FORCE, "the TLS version and cipher of every message; it is on by default"),
    Remedy("service", _SELECTOR, IN_FORCE, "which port a client uses"),
    Remedy("recipients", "log_selector = +received_recipients", IN_FORCE, "how many recipients a message has"),
    Remedy("no_mail", "log_selector = +smtp_no_mail", IN_FORCE, "who signs in and sends nothing, as stolen accounts are tried out"),
    Remedy(
        "account",
        "server_set_id = $auth2",
        "each authenticator of exim.conf ($auth1 for LOGIN and CRAM-MD5); then restart Exim",
        "the account of every message, and the name that was tried in failed sign-ins",
    ),
    Remedy(
        "mechanism",
        'exim_authenticators = "NAME=PLAIN, OTHER=LOGIN"',
        "the settings of this program, with the names that follow `begin authenticators` in exim.conf",
        "the mechanism, where an authenticator's name does not tell it",
    ),
)


class EximSource(OwnFormSource):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "exim"
    title: ClassVar[str] = "Exim"
    versions: ClassVar[str] = "4.7 to 4.99"
    sample: ClassVar[str] = (
        "1xVWeV-0001UI-2o <= j.doe@tailspin.example H=(pc) [192.0.2.10] P=esmtpsa X=TLS1.2:… A=plain_server:j.doe S=2315 id=1@pc"
    )
    tells: ClassVar[frozenset[str]] = frozenset(Submission._fields)
    reasons: ClassVar[tuple[str, ...]] = lines.REASONS
    remedies: ClassVar[tuple[Remedy, ...]] = REMEDIES
    worth: ClassVar[re.Pattern[bytes]] = re.compile(b"|".join(map(re.escape, NEEDLES)) + rb"|\A\[\d{1,4}[/\\]\d{1,4}\] ")
    form: ClassVar[re.Pattern[bytes]] = re.compile(rb"(?:" + _STAMPED + rb")?(?P<text>(?(stamp).*|" + _SURE + rb".*))", re.DOTALL)
    sure: ClassVar[re.Pattern[bytes]] = re.compile(_SURE)
    quiet: ClassVar[int] = 10 * MINUTE
    views: ClassVar[bool] = True

    def __init__(self, log: Logbook) -> None:
        super().__init__(log)
        self._doors: dict[str, dict[str, list[Submission] | None]] = {}  # host -> door -> failed handshakes; None: it takes AUTH
        self._columns = Columns(self._mechanism, self._takes_auth)
        self._sieve: Sieve | None = None
        self._refusing: set[str | None] = set()  # clients whose next message may be of a transaction with refused recipients
        self._reject_log = False
        self._twins: dict[str, dict[str, tuple[int, str]]] = {}  # host -> pid -> a line whose second is to be passed over

    @staticmethod
    def owns(tag: str) -> bool:
        """exim, exim4, or what syslog_processname makes of it."""
        return tag.startswith("exim")

    @classmethod
    def forms(cls, lines: Sequence[bytes], /) -> bool:
        """Whether most of these lines are Exim's; those of messages, in a reject log, stand between."""
        return super().forms([line for line in lines if cls.form.match(line) or not _OF_A_MESSAGE.match(line)])

    @staticmethod
    def stamp(written: bytes) -> bytes:
        """With its offset as stamps.py reads it."""
        return lines.stamp(written)

    def settle(self, sample: list[bytes], first: list[bytes]) -> int:
        """
        The time of its first line. A reject log is told by its lines: it does not say whether a message arrived all the same, of
        which recipients were refused, so these are left to the main log.
        """
        found = [*first, *sample]
        texts = [parts["text"] for parts in map(self.form.match, found) if parts]
        rejects = len(texts) >= FEW and all(map(_OF_A_REJECT_LOG.match, texts))
        self._tell_zone(first)
        self._reject_log = rejects or any(line.startswith(b"Envelope-from: <") for line in found)
        return super().settle(sample, first)

    def _tell_zone(self, first: list[bytes]) -> None:
        """An id is made when a message begins to come; of several, the one that was logged soonest tells the zone."""
        clock, told = self.log.clock, []
        for arrived in filter(None, map(ARRIVED.match, first)):
            stamp, made = self.stamp(arrived["stamp"]), exim_id_time(arrived["id"])
            time = clock.at(stamp)
            if made is not None and time is not None:
                told.append((time - made, stamp, made))
        if told:
            _, stamp, made = min(told)
            clock.evidence(stamp, made)

    def repeatable(self, text: bytes) -> bool:
        """A failed sign-in, or a refusal."""
        return b" authenticator failed for " in text or b"rejected " in text

    # Lines

    def look_ahead(self, batch: Batch) -> object:
        """Which lines can matter."""
        return Sieve.look(batch) if len(batch) >= WORTH_SIFTING else None

    def feed(self, batch: bytes) -> None:
        """Read whole lines of a main log."""
        self.feed_seen(batch, None)

    def feed_seen(self, batch: Batch, seen: object) -> None:
        """Most lines of a busy server are about deliveries: those that can matter are found in the batch as it is."""
        self.recognised += 1
        known = self._hosts.get(self.log.options.server)
        if known is not None and len(batch) >= WORTH_SIFTING and Sieve.takes(known):
            self._sift(batch, seen, known)
        else:
            found = _lines_with(bytes(batch), NEEDLES)
            if len(found) < MANY:
                self.unwrapped([(b"", line) for line in found])
            else:
                self._read_many(found)
        end = bytes(batch[-LONGEST:]).split(b"\n")[len(batch) > LONGEST :]
        self._pass([(b"", line) for line in end], self.log.options.server)

    def _sift(self, batch: Batch, seen: object, host: Identities) -> None:
        """Arrivals that are written as most are become columns, by compiled code; it reads failures, too."""
        if self._sieve is None:
            self._sieve = Sieve(self.log, host, self._mechanism, self._takes_auth)
        for line in self._sieve.left(batch, seen, self._refusing):
            if isinstance(line, tuple):
                self._failed_plainly(host, line)
            else:
                self._read_odd(host.host, line)
        self._keep(self._sieve.hand_over())

    def _read_many(self, found: list[bytes]) -> None:
        """The same line by line."""
        host, at, take = self.log.options.server, self.log.clock.at, self._columns.take
        identities = None
        for line in found:
            stamp, text = _stamp_of(line)
            time = at(stamp) if stamp else None
            if time is not None:
                identities = identities or self.host(host, time)
                if take(text, time, identities, self._refusing):
                    self.log.time(host, stamp)
                    continue
            self._read_odd(host, line)
        self._keep(self._columns.hand_over())

    def _read_odd(self, host: str, line: bytes) -> None:
        stamp, text = _stamp_of(line)
        failure = lines.plain_failure(text) if stamp and len(line) <= LONGEST else None
        if failure and self.log.clock.at(stamp) is not None:
            self._failed(Line(host, "", "", self.log.time(host, stamp), text, stamp), failure)
            return
        parts = self.form.match(line) if len(line) <= LONGEST else None
        if parts:
            self._read_own(host, b"", parts)
        elif len(line) > LONGEST:
            self.unwrapped([(b"", line)])

    def _keep(self, messages: Messages | None) -> None:
        if messages is not None:
            self.log.about += len(messages.numbers)
            self.log.changes.messages.append(messages)

    def line(self, line: Line) -> None:
        """What a line tells."""
        self.host(line.host, line.time)
        if line.tag and b"#" in line.text:
            line = line._replace(text=_CONTROL.sub(lambda code: bytes([int(code[0][1:], 8)]), line.text))
        part = PART.fullmatch(line.text) if line.tag else None
        if part:
            self._join_parts(line, part)
            return
        pid = PID.match(line.text) if line.text.startswith(b"[") else None
        if pid:
            line = line._replace(pid=pid[1].decode(), text=line.text[pid.end() :])
        try:
            self._read(line)
        except ValueError:
            self.unread(line, "line that Exim does not write so, or that can be read in two ways")

    def _read(self, line: Line) -> None:
        found = lines.KIND.match(line.text)
        kind = found.lastgroup if found else None
        if kind == "arrival":
            arrival = lines.arrival(line.text)
            if arrival:
                self._arrived(line, arrival)
        elif kind in {"refusal", "failure"}:
            self._refused_or_failed(line, kind)
        elif kind == "no_mail":
            signed_in = lines.no_mail(line.text)
            if signed_in:
                self._no_mail(line, signed_in)
        elif kind == "handshake":
            self._handshake(line)
        elif found and kind == "started":
            self.log.version(self.name, line.host, found["started"].decode())

    def _refused_or_failed(self, line: Line, kind: str) -> None:
        refusal = lines.refusal(line.text) if kind == "refusal" else None
        failure = None if refusal else lines.failure(line.text)
        rejects = not line.text.startswith(b"SMTP protocol error ")
        if (refusal or failure) and not (rejects and self._is_second(line)):
            if refusal:
                self._refusal(line, refusal)
            elif failure:
                self._failed(line, failure)

    def _is_second(self, line: Line) -> bool:
        """Whether it came by syslog as the reject log's after the main log's. The text may hold a password: its digest is kept."""
        if not line.tag or not line.pid:
            return False
        digest = blake2b(line.text, digest_size=8).hexdigest()
        twins = self._twins.setdefault(line.host, {})
        time, before = twins.pop(line.pid, (0, ""))
        if digest == before and abs(line.time - time) <= 2 * SECOND:
            return True
        if len(twins) > 2 * WAITING:
            self._twins[line.host] = twins = dict(list(twins.items())[-WAITING:])
        twins[line.pid] = line.time, digest
        return False

    def _join_parts(self, line: Line, part: re.Match[bytes]) -> None:
        """A line that was cut for syslog is read when the last part of its first line has come; those of the message follow."""
        session = self.session(line, f"{line.pid}/parts")
        number, whole = int(part["number"]), part["ends"] == b"\\" or part["number"] == part["of"]
        if number == 1:
            session.notes = {"text": "", "next": 1}
        if session.notes.get("next") != number:
            self.sessions.pop((session.host, session.key))
            return
        text = part["text"] if whole else part["text"].ljust(CUT_AT)
        session.notes = {"text": session.notes["text"] + text.decode("latin-1"), "next": number + 1}
        if whole:
            del self.sessions[session.host, session.key]
            joined = session.notes["text"].encode("latin-1")[:LONGEST]
            stamped = self.form.match(joined)
            joined = stamped["text"] if stamped else joined
            if self.worth.search(joined):
                self.line(line._replace(text=joined.rstrip()))

    # What they bring about

    def _arrived(self, line: Line, arrival: Arrival) -> None:
        self.log.about += 1
        self._takes_auth(line.host, arrival.peer.service)
        self._end_transaction(line, arrival)
        identity = self._message_identity(line, arrival.queue_id)
        mechanism, outcome = self._mechanism(arrival.authenticator), Outcome.REJECTED if arrival.refused else Outcome.ACCEPTED
        reason = "content_refused" if arrival.refused else None
        row = self._of(line, arrival.peer, identity, outcome, arrival.account, mechanism, reason)
        self.log.changes.put(
            row._replace(
                sender=arrival.sender,
                recipients=arrival.recipients,
                size=arrival.size,
                queue_id=arrival.queue_id.decode(),
                message_id=arrival.message_id,
            )
        )

    def _refusal(self, line: Line, refusal: Refusal) -> None:
        self.log.about += 1
        self._takes_auth(line.host, refusal.peer.service)
        if refusal.queue_id:
            self._refused_whole(line, refusal, refusal.queue_id)
            return
        if self._reject_log:
            return
        session = self.session(line, _key(line, refusal))
        known = session.notes.setdefault("recipients", [])
        recipient = blake2b(refusal.recipient or b"", digest_size=6).hexdigest()
        if recipient in known or line.time - session.notes.get("refused", line.time) > PATIENCE:
            self._begin_transaction(session)
            known = session.notes["recipients"]
        known.append(recipient)
        del known[:-WAITING]
        session.notes["refused"] = line.time
        self._refusing.add(refusal.peer.client_ip)
        if self._refused(session, refusal.sender) is None:
            self._learn(session, refusal.peer, refusal.account, self._mechanism(refusal.authenticator))
            self.refuse(session, line, refusal.sender, refusal.reason)

    def _refused_whole(self, line: Line, refusal: Refusal, queue_id: bytes) -> None:
        self._end_transaction(line, refusal)
        identity, mechanism = self._message_identity(line, queue_id), self._mechanism(refusal.authenticator)
        row = self._of(line, refusal.peer, identity, Outcome.REJECTED, refusal.account, mechanism, refusal.reason)
        self.log.changes.put(row._replace(sender=refusal.sender, queue_id=queue_id.decode()))

    def _begin_transaction(self, session: Session) -> None:
        session.notes["recipients"] = []
        self.open_transaction(session)

    def _end_transaction(self, line: Line, message: Arrival | Refusal) -> None:
        """Of a message that was received some recipients may have been refused: that is no row of its own."""
        if not self.sessions:
            return
        session = self.open_session(line, _key(line, message))
        if session is None:
            return
        refused = self._refused(session, message.sender)
        sending = message.size * SECOND // PER_SECOND if isinstance(message, Arrival) else 0
        if refused is not None and line.time - session.notes["refused"] <= PATIENCE + sending:
            self.withdraw(session, refused)
        self._begin_transaction(session)
        session.last = max(session.last, line.time)

    @staticmethod
    def _learn(session: Session, peer: Peer, account: str | None, mechanism: str) -> None:
        session.service, session.client_ip, session.client_name = peer.service, peer.client_ip, peer.client_name
        session.helo, session.tls_version, session.tls_cipher = peer.helo, peer.tls_version, peer.tls_cipher
        session.authenticated, session.account, session.mechanism = True, account, mechanism

    def message(self, session: Session, line: Line, queue_id: str | None) -> Message:
        """A transaction that was refused: the same row, whether the log tells pids or not."""
        message = Message(line.time, queue_id)
        message.identity = self._line_identity(line, "refused", session.client_ip, session.account)
        session.messages.append(message)
        return message

    def end(self, session: Session) -> None:
        """All its rows were given when they came."""
        self.sessions.pop((session.host, session.key), None)
        for message in session.messages:
            self._given.pop(self._identity(session, message), None)

    def _no_mail(self, line: Line, signed_in: SignIn) -> None:
        self.log.about += 1
        self._takes_auth(line.host, signed_in.peer.service)
        identity = self._line_identity(line, "no_mail", signed_in.peer.client_ip, signed_in.account)
        mechanism = self._mechanism(signed_in.authenticator)
        self.log.changes.put(self._of(line, signed_in.peer, identity, Outcome.NO_MAIL, signed_in.account, mechanism))

    def _failed(self, line: Line, failure: SignIn) -> None:
        self.log.about += 1
        identity = self._line_identity(line, "auth_failed", failure.peer.client_ip, failure.authenticator)
        mechanism = self._mechanism(failure.authenticator) if failure.authenticator else failure.mechanism
        row = self._of(line, failure.peer, identity, Outcome.AUTH_FAILED, failure.account, mechanism, failure.reason)
        self.log.changes.put(row)

    def _failed_plainly(self, host: Identities, failed: Failed) -> None:
        """The row that `_failed` gives of the same line."""
        time, (authenticator, mechanism, service, reason), (client_ip, client_name, helo), account = failed
        self.log.about += 1
        identity = host.line_identity("auth_failed", "", time, f"{client_ip} {authenticator}".encode())
        row = Submission(
            *identity, time, host.host, service, self.name, client_ip, client_name, helo, account, None, mechanism, Tls.UNKNOWN.value,
            None, None, None, None, None, None, Outcome.AUTH_FAILED.value, reason,
        )  # fmt: skip
        self.log.changes.put(row)

    def _handshake(self, line: Line) -> None:
        """On a door where clients sign in, as those for submission are; elsewhere it may be any server."""
        found = lines.handshake(line.text)
        if found is None:
            return
        self.log.about += 1
        peer, reason = found
        identity = self._line_identity(line, "tls_failed", peer.client_ip, None)
        row = self._of(line, peer, identity, Outcome.TLS_FAILED, None, UNKNOWN_MECHANISM, reason)
        waiting = self._doors.setdefault(line.host, {}).setdefault(peer.service, [])
        if waiting is None or peer.service in SUBMISSION_DOORS:
            self.log.changes.put(row)
        else:
            waiting.append(row)
            del waiting[:-WAITING]

    def _takes_auth(self, host: str, service: str) -> None:
        doors = self._doors.setdefault(host, {})
        if doors.get(service, ()) is not None:
            for row in doors.get(service) or ():
                self.log.changes.put(row)
            doors[service] = None

    # Rows

    def _message_identity(self, line: Line, queue_id: bytes) -> Identity:
        """An id tells when it was made, whatever zone the stamps are in."""
        made = exim_id_time(queue_id)
        opened = made if made and abs(made - line.time) < DAY else line.time
        return self.host(line.host, line.time).message_identity(queue_id, opened)

    def _line_identity(self, line: Line, kind: str, client_ip: str | None, name: str | None) -> Identity:
        text = f"{client_ip} {name}".encode("utf-8", "surrogateescape")
        return Identity(*self.host(line.host, line.time).line_identity(kind, "", line.time, text))

    def _mechanism(self, authenticator: str) -> str:
        """What the administrator says of it, else what its name says."""
        return self.log.options.authenticators.get(authenticator) or lines.mechanism(authenticator)

    def _of(
        self, line: Line, peer: Peer, identity: Identity, outcome: Outcome, account: str | None, mechanism: str, reason: str | None = None
    ) -> Submission:
        return Submission(
            *identity, line.time, line.host, peer.service, self.name, peer.client_ip, peer.client_name, peer.helo, account, None,
            mechanism, peer.tls_version, peer.tls_cipher, None, None, None, None, None, outcome.value, reason,
        )  # fmt: skip

    # From one file to the next

    def dump(self, session: Session) -> dict[str, Any]:
        """Without the beginning of a line that may hold a name which failed to sign in."""
        content = super().dump(session)
        if " authenticator failed for " in content["notes"].get("text", ""):
            content["notes"] = {}
        return content

    def sweep(self, now: int) -> None:
        """Give up refused transactions that nothing came of."""
        super().sweep(now)
        self._refusing = {session.client_ip for session in self.sessions.values()}

    def kept(self, host: str) -> dict[str, Any]:
        """What else of a host is remembered: no name that failed to sign in."""
        return {"doors": self._doors.get(host, {}), "twins": self._twins.get(host, {})}

    def _load(self, host: Identities, content: dict[str, Any]) -> None:
        super()._load(host, content)
        self._refusing = {session.client_ip for session in self.sessions.values()}
        doors = content["doors"].items()
        self._doors[host.host] = {door: None if rows is None else [Submission(*row) for row in rows] for door, rows in doors}
        self._twins[host.host] = {pid: (time, digest) for pid, (time, digest) in content["twins"].items()}


def _key(line: Line, told: Arrival | Refusal) -> str:
    """What tells a connection from others, as far as it is logged."""
    peer = told.peer
    known = (peer.client_ip, told.authenticator, told.account, peer.tls_version, peer.tls_cipher)
    digest = blake2b(repr((*known, peer.connection or line.pid or peer.helo)).encode(), digest_size=8)
    return digest.hexdigest()


def _stamp_of(line: bytes) -> tuple[bytes, bytes]:
    """The stamp of a line, as stamps.py reads it, and the rest; b"" for a stamp that is written otherwise."""
    end = 19 if line[19:20] == b" " else 23 if line[19:20] == b"." and line[23:24] == b" " else 0
    if not end or line[4:5] != b"-" or line[10:11] != b" ":
        return b"", line
    if line[end + 1 : end + 2] in {b"+", b"-"}:
        if line[end + 6 : end + 7] != b" ":
            return b"", line
        return lines.stamp(line[: end + 6]), line[end + 7 :]
    return line[:end], line[end + 1 :]


def _lines_with(batch: bytes, needles: tuple[bytes, ...]) -> list[bytes]:
    """Lines of a batch that hold one of these, in their order."""
    starts = set()
    for needle in needles:
        at = batch.find(needle)
        while at >= 0:
            starts.add(batch.rfind(b"\n", 0, at) + 1)
            end = batch.find(b"\n", at)
            at = batch.find(needle, end) if end >= 0 else -1
    return [batch[start : end if (end := batch.find(b"\n", start)) >= 0 else len(batch)] for start in sorted(starts)]
