"""
maddy 0.5 to 0.9: submissions from the lines of its submission and smtp endpoints.

    submission: incoming message\t{"msg_id":"161c8b61","sender":"anna@contoso.example","src_host":"pc",
        "src_ip":"192.0.2.10:20725","username":"anna"}
    submission: RCPT ok\t{"msg_id":"161c8b61","rcpt":"a@b.example"}
    submission: accepted\t{"msg_id":"161c8b61"}

maddy writes to stderr, which systemd and containers take, to files, with stamps, and to a syslog, which may write the tab as
#011. Everything a client wrote stands in JSON. A transaction is told by its message id, a session by address and port; the
end of a session is not logged, so an hour's silence is taken for it.

What goes wrong
    A line that begins like one of ours and has no JSON that can be read is Unread. Traces of the protocol (`io_debug`)
    hold credentials and are passed over.

See also
    own_form.py; maddy: internal/endpoint/smtp/session.go, internal/auth/sasl.go, framework/log
"""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from smtp_auth_report.sources import replies, values
from smtp_auth_report.sources.identities import Identities
from smtp_auth_report.sources.interface import Remedy
from smtp_auth_report.sources.joining import Line, Message, Session
from smtp_auth_report.sources.logbook import Logbook
from smtp_auth_report.sources.own_form import OwnFormSource
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Outcome, Service

EVENTS = rb"incoming message|RCPT ok|RCPT error|accepted|aborted|DATA error|MAIL FROM error(?: \(deferred\))?|authentication failed"
# submission/sasl: authentication failed\t{"reason":"…","src_ip":"192.0.2.10:20725","username":"anna"}
EVENT = re.compile(rb"(?P<endpoint>submission|smtp)(?:/[\w-]+)?: (?P<event>" + EVENTS + rb")(?:\t|#011)(?P<fields>\{.*\})", re.DOTALL)
# 192.0.2.10:20725       [2001:db8::1]:20725
PEER = re.compile(r"(?P<ip>.*):\d{1,5}")

MODULES = rb"smtp|submission|lmtp|imap|queue|remote|pipeline|dovecot_sasl|openmetrics"
ENDPOINTS = {"smtp": Service.SMTP, "submission": Service.UNKNOWN}  # submission may serve ports 465 and 587 at once
BROKEN_OFF = "I/O error"  # how the reason begins where the client went away
# I/O error while writing buffer: buffer: failed to write file: SMTP error 552: Maximum message size exceeded
ANSWERED = re.compile(r"\bSMTP error (?P<reply>[45]\d\d: .*)", re.DOTALL)

REMEDIES = (
    Remedy(
        "sessions",
        "auth &local_authdb",
        "the submission endpoint in maddy.conf, as maddy's own example has it; then restart maddy",
        "the account of every message; if clients sign in already, another log is theirs",
    ),
)


class MaddySource(OwnFormSource):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "maddy"
    title: ClassVar[str] = "maddy"
    versions: ClassVar[str] = "0.5 to 0.9"
    sample: ClassVar[str] = 'submission: incoming message {"msg_id":"161c8b61","sender":"…","src_ip":"192.0.2.10:20725","username":"anna"}'
    tells: ClassVar[frozenset[str]] = frozenset(
        {"time", "server", "service", "client_ip", "helo", "account", "sender", "recipients", "queue_id", "outcome", "reason"}
    )
    reasons: ClassVar[tuple[str, ...]] = tuple(sorted({*replies.REASONS, "bad_credentials", "server_error"}))
    remedies: ClassVar[tuple[Remedy, ...]] = REMEDIES
    worth: ClassVar[re.Pattern[bytes]] = re.compile(
        rb": (?:incoming message|RCPT |accepted|aborted|DATA error|MAIL FROM error|authentication failed)"
    )
    # 2026-11-23T16:06:06.123Z submission: accepted\t{"msg_id":"161c8b61"}
    form: ClassVar[re.Pattern[bytes]] = re.compile(
        rb"(?:(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) )?"
        rb"(?P<text>(?:\[debug\] )?(?:[\w./ -]{1,60}: )?[^\t{]*(?:\t|#011)(?:\{.*\})?\s*)$",
        re.DOTALL,
    )
    # submission: listening on tcp://0.0.0.0:587\t
    sure: ClassVar[re.Pattern[bytes]] = re.compile(
        rb"(?:\[debug\] )?(?:(?:" + MODULES + rb")(?:/[\w./-]+)?: [^\t]*|server started)(?:\t|#011)"
    )

    def __init__(self, log: Logbook) -> None:
        super().__init__(log)
        self.transactions: dict[tuple[str, str], str] = {}  # host and message id -> key of the session

    @staticmethod
    def owns(tag: str) -> bool:
        """maddy."""
        return tag == "maddy"

    def line(self, line: Line) -> None:
        """What a line does to its session."""
        found = EVENT.fullmatch(line.text)
        if found is None:
            return
        fields = _fields(found["fields"])
        if fields is None:
            self.unread(line, "fields of a line not understood")
            return
        event, told = found["event"].decode(), {name: values.plain(value) for name, value in fields.items() if isinstance(value, str)}
        if event == "incoming message":
            self._incoming(line, ENDPOINTS[found["endpoint"].decode()], told)
        elif event == "authentication failed":
            self._failed(line, ENDPOINTS[found["endpoint"].decode()], told)
        else:
            session, message = self._of(line, told.get("msg_id", ""))
            if session is not None and message is not None:
                self.log.about += 1
                session.last = max(session.last, line.time)
                self._transaction(session, message, line, event, fields)

    def _session(self, line: Line, service: Service, peer: str) -> Session:
        session = self.connection(line, "_".join(peer.split()))
        found = PEER.fullmatch(peer)
        session.client_ip = values.address(found["ip"]) if found else None
        session.service = service.value
        return session

    def _incoming(self, line: Line, service: Service, told: dict[str, str]) -> None:
        account, message_id = told.get("username"), told.get("msg_id")
        if not account or not message_id:
            return
        self.log.about += 1
        session = self._session(line, service, told.get("src_ip", ""))
        if session.account not in {account, None}:
            self.end(session)
            session = self._session(line, service, told.get("src_ip", ""))
        self.sign_in(session, account, UNKNOWN_MECHANISM)
        session.helo = told.get("src_host") or None
        message = self.message(session, line, message_id)
        message.sender, message.recipients = told.get("sender"), 0
        self.transactions[line.host, message_id] = session.key

    def _failed(self, line: Line, service: Service, told: dict[str, str]) -> None:
        self.log.about += 1
        session = self._session(line, service, told.get("src_ip", ""))
        self.fail(session, line, told.get("username") or None, UNKNOWN_MECHANISM, "bad_credentials")

    def _of(self, line: Line, message_id: str) -> tuple[Session | None, Message | None]:
        """The session and transaction that a message id names."""
        self.host(line.host, line.time)
        session = self.sessions.get((line.host, self.transactions.get((line.host, message_id), "")))
        found = (message for message in reversed(session.messages if session else []) if message.queue_id == message_id)
        return session, next(found, None)

    def _transaction(self, session: Session, message: Message, line: Line, event: str, fields: dict[str, Any]) -> None:
        """A refusal is a row unless the message is accepted after all; one that was broken off is none."""
        if event == "RCPT ok":
            message.recipients = (message.recipients or 0) + 1
        elif event == "accepted":
            self.decide(session, message, Outcome.ACCEPTED, line.time)
        elif event == "aborted":
            if message.reason and not message.outcome:
                self.decide(session, message, Outcome.REJECTED, message.time, message.reason)
        elif refused := reason(fields):
            if event == "RCPT error" and message.recipients:
                message.time, message.reason = line.time, refused
            else:
                self.decide(session, message, Outcome.REJECTED, line.time, refused)

    def end(self, session: Session) -> None:
        """The connection is over."""
        super().end(session)
        for message in session.messages:
            self.transactions.pop((session.host, message.queue_id or ""), None)

    def _load(self, host: Identities, content: dict[str, Any]) -> None:
        super()._load(host, content)
        for session in self.sessions.values():
            for message in session.messages:
                self.transactions[session.host, message.queue_id or ""] = session.key

    def repeatable(self, text: bytes) -> bool:
        """A failed sign-in."""
        return b": authentication failed" in text


def reason(fields: dict[str, Any]) -> str:
    """Why a transaction was refused; without a code of SMTP it is the server's own trouble. "" where the client went away."""
    told = str(fields.get("reason"))
    answered = ANSWERED.search(told)
    if answered is None and told.startswith(BROKEN_OFF):
        return ""
    if code := fields.get("smtp_code"):
        return replies.refusal(f"{code} {fields.get('smtp_msg', '')}")
    return replies.refusal(answered["reply"].replace(":", "", 1)) if answered else "server_error"


def _fields(raw: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None
