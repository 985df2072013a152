"""
Haraka 2.8 to 3.3: submissions from its log, in the forms default, logfmt and json.

    [NOTICE] [D02E7D25-…] [core] connect ip=192.0.2.10 port=41251 local_ip=0.0.0.0 local_port=587
    [INFO] [D02E7D25-…] [tls] secured: cipher=TLS_AES_256_GCM_SHA384 version=TLSv1.3 verified=false
    [INFO] [D02E7D25-…] [core]  hook=unrecognized_command plugin=auth/flat_file function=… params=AUTH retval=OK msg=""
    [NOTICE] [D02E7D25-….1] [core] sender <anna@contoso.example> code=CONT msg=""
    [NOTICE] [D02E7D25-….1] [core] message mid=<1@contoso.example> size=1100 rcpts=1/0/0 delay=0 code=CONT msg=""
    [NOTICE] [D02E7D25-….1] [core] queue code=OK msg="Message Queued (D02E7D25-….1)"
    [NOTICE] [D02E7D25-…] [core] disconnect ip=192.0.2.10 rdns=pc.example helo=pc relay=Y … tls=Y … lr="" time=0.102

A session is told by its UUID, a transaction by the number behind it. An answer of a plugin to AUTH proves that someone tried
to sign in; that it went well shows in what follows: no delay for a failure before, and in the end relay=Y. Stock plugins log
neither account nor mechanism. What clients answer to AUTH is logged in base64, passwords too: it is never decoded.

What goes wrong
    A line of the session's that matches no expression is Unread. A session that turns out not to have signed in withdraws
    the rows that were given.

See also
    haraka_lines.py for the lines, own_form.py; haraka: connection.js, plugins/auth/auth_base.js
"""

from __future__ import annotations

import re
from typing import ClassVar

from smtp_auth_report.sources import haraka_lines as lines
from smtp_auth_report.sources import replies, values
from smtp_auth_report.sources.haraka_lines import Event
from smtp_auth_report.sources.interface import Remedy
from smtp_auth_report.sources.joining import Line, Message, Session
from smtp_auth_report.sources.own_form import OwnFormSource
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Outcome, Service, Tls

DOORS = {"587": Service.SUBMISSION, "465": Service.SUBMISSIONS, "25": Service.SMTP}
NO_NAME = frozenset({"", "NXDOMAIN", "DNSERROR", "Unknown"})
LEVEL = ("level=info", "config/log.ini, where it is the default; then restart Haraka")

REMEDIES = (
    Remedy("sessions", *LEVEL, "which sessions signed in, and their messages"),
    Remedy("tls_version", *LEVEL, "the TLS version and cipher of sessions that begin with STARTTLS; those of port 465 are not logged"),
)


class HarakaSource(OwnFormSource):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "haraka"
    title: ClassVar[str] = "Haraka"
    versions: ClassVar[str] = "2.8 to 3.3"
    sample: ClassVar[str] = '[NOTICE] [D02E7D25-73DE-4051-8E20-D4240EADD4E9.1] [core] queue code=OK msg="Message Queued (…)"'
    tells: ClassVar[frozenset[str]] = frozenset(
        {
            "time", "server", "service", "client_ip", "client_name", "helo", "tls_version", "tls_cipher", "sender", "recipients", "size",
            "queue_id", "message_id", "outcome", "reason",
        }
    )  # fmt: skip
    reasons: ClassVar[tuple[str, ...]] = tuple(sorted({*replies.REASONS, "bad_credentials"}))
    remedies: ClassVar[tuple[Remedy, ...]] = REMEDIES
    worth: ClassVar[re.Pattern[bytes]] = lines.WORTH
    form: ClassVar[re.Pattern[bytes]] = lines.FORM
    sure: ClassVar[re.Pattern[bytes]] = lines.SURE

    @staticmethod
    def owns(tag: str) -> bool:
        """haraka."""
        return tag.lower() == "haraka"

    def line(self, line: Line) -> None:
        """What a line does to its session."""
        event = lines.event(line.text)
        if event is None:
            if lines.SURE.match(line.text) and b"[core] disconnect " in line.text:
                self.unread(line, "end of a session not understood")
            return
        if event.kind == "connect":
            self._connect(self.begin(line, event.session), event)
            return
        session = self.session(line, event.session)
        if event.kind == "secured":
            session.tls_version = values.tls_version(event.fields["version"]).value
            session.tls_cipher = event.fields["cipher"]
        elif event.kind == "auth":
            self._answered(session)
        elif event.kind == "delayed":
            self._failed(session, line)
        elif event.kind == "disconnect":
            self._disconnect(session, line, event)
        elif event.transaction:
            self._transaction(session, line, event)

    def _connect(self, session: Session, event: Event) -> None:
        session.client_ip = values.address(event.fields.get("ip", ""))
        session.service = DOORS.get(event.fields.get("local_port", ""), Service.UNKNOWN).value

    @staticmethod
    def _answered(session: Session) -> None:
        """A plugin dealt with AUTH, or with what a client sends after it. A failure is told before this line of its own."""
        session.notes["auth"] = not session.notes.pop("delayed", False)

    def _failed(self, session: Session, line: Line) -> None:
        self.log.about += 1
        session.notes["delayed"], session.notes["auth"] = True, False
        self.fail(session, line, None, UNKNOWN_MECHANISM, "bad_credentials")

    def _disconnect(self, session: Session, line: Line, event: Event) -> None:
        """The end proves what the lines before could only suggest."""
        told = event.fields
        self.log.about += 1
        session.last = max(session.last, line.time)
        session.client_ip = session.client_ip or values.address(told.get("ip", ""))
        session.client_name = None if told.get("rdns") in NO_NAME else told.get("rdns")
        session.helo = told.get("helo") or None
        if told.get("tls") == "N":
            session.tls_version = Tls.NONE.value
        elif told.get("tls") == "Y" and session.tls_version == Tls.UNKNOWN:
            session.tls_version = Tls.UNVERSIONED.value
        if told.get("relay") == "N":
            self._not_signed_in(session)
        elif session.notes.get("auth") and not session.authenticated:
            self.sign_in(session, None, UNKNOWN_MECHANISM)
        if told.get("lr", "").startswith("535") and not session.failures and not session.authenticated:
            self.fail(session, line, None, UNKNOWN_MECHANISM, "bad_credentials")
        self.end(session)

    def _not_signed_in(self, session: Session) -> None:
        for message in list(session.messages):
            self.withdraw(session, message)
        session.authenticated = False

    def _transaction(self, session: Session, line: Line, event: Event) -> None:
        message = next((message for message in reversed(session.messages) if message.queue_id == event.transaction), None)
        if message is None:
            self.settle_refusals(session)
            message = self.message(session, line, event.transaction)
        if session.notes.get("auth") and not session.authenticated:
            self.sign_in(session, None, UNKNOWN_MECHANISM)
        self.log.about += session.authenticated
        told, code = event.fields, event.fields.get("code", "")
        if event.kind == "sender":
            message.sender = told["address"]
        elif event.kind == "message":
            message.message_id = told.get("mid") or None
            message.size, message.recipients = _number(told.get("size", "")), _number(told.get("rcpts", "").partition("/")[0])
        if code.startswith("DENY"):
            self._note_refusal(message, line, event)
        elif event.kind == "queue" and code == "OK":
            self.decide(session, message, Outcome.ACCEPTED, line.time)

    @staticmethod
    def _note_refusal(message: Message, line: Line, event: Event) -> None:
        """A refusal is a row when the transaction is over and nothing of it was accepted."""
        otherwise = {"sender": "sender_refused", "recipient": "recipient_refused"}.get(event.kind, "content_refused")
        soft = "4 " if "SOFT" in event.fields["code"] else ""
        message.time, message.reason = line.time, replies.refusal(soft + event.fields.get("msg", ""), otherwise)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 19 else None
