"""
OpenSMTPD 5.4 to 7.8: submissions from the lines of smtpd.

    532b651f0dab36c9 smtp connected address=192.0.2.10 host=desk11.contoso.example
    532b651f0dab36c9 smtp tls ciphers=TLSv1.3:TLS_AES_256_GCM_SHA384:256
    532b651f0dab36c9 smtp authentication user=anna@contoso.example result=ok
    532b651f0dab36c9 smtp message msgid=e180c775 size=5227 nrcpt=1 proto=ESMTP          here the message is accepted
    532b651f0dab36c9 smtp envelope evpid=e180c775c3ba0d1f from=<anna@contoso.example> to=<x@proseware.example>
    532b651f0dab36c9 smtp disconnected reason=quit

Each line names its session. TLS is always logged, so a session seen from its start that signs in without such a line is in
clear. Of a failed sign-in there are two lines, and the second tells its mechanism.

What goes wrong
    A line that begins like one of ours and matches no expression is Unread. Recipients refused before another message of the
    session was taken are not told from those of that message: they give no row.

See also
    opensmtpd_lines.py for the lines, joining.py for sessions; docs/sources.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from smtp_auth_report.changes import Remembered
from smtp_auth_report.sources import opensmtpd_lines as lines
from smtp_auth_report.sources import values
from smtp_auth_report.sources.envelope import Parts
from smtp_auth_report.sources.interface import Remedy
from smtp_auth_report.sources.joining import Line, Session, SessionSource
from smtp_auth_report.sources.logbook import Logbook
from smtp_auth_report.sources.opensmtpd_lines import Event
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Outcome, Submission, Tls

OTHERS = (b"smtp-in: ", b"message repeated ")  # that do not begin with their session
ENCRYPTED = frozenset({b"tls ", b"star"})
ENDED = frozenset({b"disc", b"clos"})
Key = tuple[str, bytes]  # host and session
BEGUN = 20_000
BEGUN_KEPT = 2_000


class OpenSmtpdSource(SessionSource):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "opensmtpd"
    title: ClassVar[str] = "OpenSMTPD"
    versions: ClassVar[str] = "5.4 to 7.8"
    sample: ClassVar[str] = "smtpd[9547]: 532b651f0dab36c9 smtp authentication user=anna@contoso.example result=ok"
    tells: ClassVar[frozenset[str]] = frozenset(Submission._fields) - {"service", "helo", "message_id"}
    reasons: ClassVar[tuple[str, ...]] = lines.REASONS
    remedies: ClassVar[tuple[Remedy, ...]] = (
        Remedy(
            "sessions",
            "listen on all port submission tls-require pki mail auth",
            "smtpd.conf; then restart smtpd",
            "clients can sign in here; if they do already, another log is theirs",
        ),
    )
    worth: ClassVar[re.Pattern[bytes]] = re.compile(rb"\A(?:[0-9a-f]{16} smtp |smtp-in: |message repeated )")

    def __init__(self, log: Logbook) -> None:
        super().__init__(log)
        self._tried: set[Key] = set()  # sessions that have tried to sign in
        self._begun: dict[Key, list[Parts]] = {}  # of the others, the lines about their connection
        self._acts: dict[Event, Callable[[Line, str, re.Match[bytes]], None]] = {
            Event.CONNECTED: self._connected,
            Event.ENCRYPTED: self._encrypted,
            Event.AUTHENTICATION: self._authentication,
            Event.MESSAGE: self._message,
            Event.RECIPIENT: self._message,
            Event.ENVELOPE: self._envelope,
            Event.REFUSED: self._refused,
            Event.CLOSED: self._closed,
        }

    @staticmethod
    def owns(tag: str) -> bool:
        """smtpd; Postfix's program of that name has the name of its instance before it."""
        return tag == "smtpd"

    def read(self, found: Sequence[Parts]) -> None:
        """Read lines of smtpd. Those of sessions that never try to sign in, as all that bring mail here, are not looked into."""
        self.recognised += len(found)
        ours: list[Parts] = []
        tried, begun = self._tried, self._begun
        origin, host = b"", ""
        for parts in found:
            text = parts[2]
            if text[16:22] != b" smtp ":
                if text.startswith(OTHERS):
                    ours.append(parts)
                continue
            if parts[1] != origin:
                origin = parts[1]
                host = self.host_of(origin)
                if host not in self._hosts:
                    self.host(host, self.log.time(host, parts[0]))
            key = host, text[:16]
            if key in tried:
                ours.append(parts)
                continue
            word = text[28:32] if text.startswith(b"event=", 22) else text[22:26]
            if word == b"conn":
                begun[key] = [parts]
            elif word in ENCRYPTED:
                begun.setdefault(key, []).append(parts)
            elif word in ENDED:
                begun.pop(key, None)
            elif word == b"auth" or (word == b"fail" and b'command="AUTH' in text):
                tried.add(key)
                ours += [*begun.pop(key, ()), parts]
        if len(begun) > 2 * BEGUN:
            self._begun = dict(list(begun.items())[BEGUN:])
        if ours:
            super().read(ours)
        else:
            last = self._line(found[-1])
            self.host(last.host, last.time)

    def line(self, line: Line) -> None:
        """What a line does to its session."""
        told = lines.read(line.text)
        if told is not None:
            self._acts[told.event](line, told.session, told.found)
        elif lines.looks_ours(line.text):
            self.unread(line, "sign-in or message not understood")

    def repeatable(self, text: bytes) -> bool:
        """A failed sign-in."""
        told = lines.read(text)
        return told is not None and told.event is Event.AUTHENTICATION and lines.RESULTS[told.found["result"]] is not None

    # A connection

    def _connected(self, line: Line, key: str, found: re.Match[bytes]) -> None:
        session = self.begin(line, key)
        session.client_ip, session.client_name = values.address(values.text(found["ip"])), lines.client_name(found["name"])
        session.notes["whole"] = True

    @staticmethod
    def _learn_client(session: Session, found: re.Match[bytes]) -> None:
        """Of a session that began before the log, where other lines than the first name its client."""
        told = found.groupdict()
        if session.client_ip is None and told.get("ip"):
            session.client_ip, session.client_name = values.address(values.text(told["ip"])), lines.client_name(told["name"])

    def _encrypted(self, line: Line, key: str, found: re.Match[bytes]) -> None:
        session = self.session(line, key)
        self._learn_client(session, found)
        if not session.authenticated:  # one that signed in before STARTTLS did so in clear
            version, cipher = lines.tls(found)
            session.tls_version, session.tls_cipher = version.value, cipher

    def _closed(self, line: Line, key: str, _found: re.Match[bytes]) -> None:
        session = self.open_session(line, key)
        if session is not None:
            session.last = max(session.last, line.time)
            for time, reason in session.notes.pop("refused", []):
                self._reject(session, line._replace(time=time), None, reason)
            self.end(session)

    # Signing in

    def _authentication(self, line: Line, key: str, found: re.Match[bytes]) -> None:
        self.log.about += 1
        session = self.session(line, key)
        self._learn_client(session, found)
        self._prove_cleartext(session)
        account, reason = lines.unvis(found["user"]), lines.RESULTS[found["result"]]
        if reason is None:
            self.sign_in(session, account, UNKNOWN_MECHANISM)
        else:
            self.fail(session, line, account, UNKNOWN_MECHANISM, reason)
            session.notes["answer"] = True  # is still to come

    @staticmethod
    def _prove_cleartext(session: Session) -> None:
        if session.tls_version == Tls.UNKNOWN and session.notes.get("whole"):
            session.tls_version = Tls.NONE.value

    def _sign_in_refused(self, line: Line, session: Session, command: lines.Command, answer: bytes) -> None:
        """The answer to the attempt before, or to an AUTH command that got no further."""
        self.log.about += 1
        mechanism = values.mechanism(command.word)
        if session.notes.pop("answer", False):
            failure = session.failures[-1]
            failure.mechanism = mechanism
            self._put(self._failure_row(session, failure, line.time))
        else:
            self._prove_cleartext(session)
            self.fail(session, line, None, mechanism, lines.sign_in_reason(answer))

    # Transactions

    def _message(self, line: Line, key: str, found: re.Match[bytes]) -> None:
        """Taken: one line for all recipients, or one for each."""
        session = self.open_session(line, key)
        if session is None or not session.authenticated:
            return
        self.log.about += 1
        self._begin_transaction(session)
        session.notes.pop("refused", None)
        queue_id = values.text(found["message"])
        last = session.messages[-1] if session.messages else None
        message = last if last and last.queue_id == queue_id else self.message(session, line, queue_id)
        message.size, message.recipients = int(found["size"]), (message.recipients or 0) + int(found["recipients"])
        sender = found.groupdict().get("sender")
        message.sender = message.sender if sender is None else values.text(sender)
        self.decide(session, message, Outcome.ACCEPTED, message.time or line.time)

    def _envelope(self, line: Line, key: str, found: re.Match[bytes]) -> None:
        session = self.open_session(line, key)
        last = session.messages[-1] if session and session.messages else None
        if session and last and last.sender is None and last.queue_id == values.text(found["message"]):
            self.log.about += 1
            last.sender = values.text(found["sender"])
            self.decide(session, last, Outcome.ACCEPTED, last.time)

    def _refused(self, line: Line, key: str, found: re.Match[bytes]) -> None:
        command, answer = lines.command(found["command"]), found["answer"]
        session = self.open_session(line, key)
        if command.verb == b"AUTH":
            self._sign_in_refused(line, session or self.session(line, key), command, answer)
        elif session is not None and session.authenticated and not answer.startswith(lines.OUT_OF_PLACE):
            self._transaction_refused(line, session, command, answer)

    def _transaction_refused(self, line: Line, session: Session, command: lines.Command, answer: bytes) -> None:
        reason = lines.refusal_reason(command.verb, answer)
        if command.verb == b"MAIL":
            self._begin_transaction(session)
            self._reject(session, line, command.address, reason)
        elif command.verb == b"RCPT":
            self._recipient_refused(session, line.time, command.address, reason)
        elif command.verb == b"DATA":
            if session.notes.get("recipients"):
                session.notes["refused"].pop()
            self._begin_transaction(session)
            self._reject(session, line, None, reason)

    @staticmethod
    def _begin_transaction(session: Session) -> None:
        session.notes.pop("recipients", None)

    @staticmethod
    def _recipient_refused(session: Session, time: int, recipient: str | None, reason: str) -> None:
        """A transaction is refused where no recipient of it was taken; one that names a recipient again is another."""
        refused, recipients = session.notes.setdefault("refused", []), session.notes.setdefault("recipients", [])
        if not recipients or recipient in recipients:
            refused.append([time, reason])
            recipients.clear()
        recipients.append(recipient)

    def _reject(self, session: Session, line: Line, sender: str | None, reason: str) -> None:
        self.log.about += 1
        message = self.message(session, line, None)
        message.sender = sender
        self.decide(session, message, Outcome.REJECTED, line.time, reason)

    def end(self, session: Session) -> None:
        """The connection is over."""
        super().end(session)
        self._tried.discard((session.host, session.key.encode()))

    # From one file to the next

    def recall(self, remembered: Iterable[Remembered]) -> None:
        """Sessions of older files, by host; lines of those that have tried to sign in are told from others by their id."""
        super().recall(remembered)
        for host, entry in self._recalled.items():
            content = json.loads(entry.sessions)
            self._tried |= {(host, session["key"].encode()) for session in content["sessions"]}
            for key, lines_of in content["begun"]:
                self._begun[host, _bytes(key)] = [(_bytes(stamp), _bytes(raw), _bytes(text)) for stamp, raw, text in lines_of]

    def kept(self, host: str) -> dict[str, Any]:
        """Connections that have not tried to sign in yet."""
        begun = [(key, lines_of) for (of, key), lines_of in self._begun.items() if of == host]
        return {"begun": [[_text(key), [[_text(part) for part in parts] for parts in lines_of]] for key, lines_of in begun[-BEGUN_KEPT:]]}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
