"""
Stalwart 0.9 and newer: submissions from the lines of its text log, in a file, on stdout or in a syslog.

    2026-11-23T16:06:06Z INFO TLS handshake (tls.handshake) listenerId = "submission", localPort = 587, remoteIp = 192.0.2.10,
        remotePort = 51234, listenerId = "submission", version = "TLSv1_3", details = "TLS13_AES_256_GCM_SHA384"
    2026-11-23T16:06:06Z INFO Authentication successful (auth.success) listenerId = …, accountName = "anna", accountId = 7
    2026-11-23T16:06:06Z INFO Queued message submission for delivery (queue.authenticated-message-queued) listenerId = …,
        queueId = 313394020497752067, from = "anna@contoso.example", to = ["a@b.example"], size = 1543, nextRetry = …

Each line names its event in brackets, then the session: listener, port and the client's address and port. Strings may hold
quotes as they are, so what a client can write is read last. IMAP, JMAP and the web interface sign in with the same event;
only sessions that speak SMTP count.

What goes wrong
    A line of one of our events without a session, or with fields that were not understood, is Unread. At level trace
    smtp.raw-input holds credentials; it is passed over.

See also
    own_form.py; stalwart: crates/trc/src/serializers/text.rs, crates/smtp/src/inbound
"""

from __future__ import annotations

import re
from typing import ClassVar

from smtp_auth_report.sources import handshakes, values
from smtp_auth_report.sources.interface import Remedy
from smtp_auth_report.sources.joining import Line, Session
from smtp_auth_report.sources.own_form import OwnFormSource
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Outcome, Service, Tls

_NAMED = rb"(?:ERROR|WARN|INFO|DEBUG|TRACE) [^(]{1,120}\((?P<event>[a-z0-9-]+\.[a-z0-9-]+)\)"
NAMED = re.compile(_NAMED)
# INFO SMTP EHLO command (smtp.ehlo) listenerId = "submission", localPort = 587, remoteIp = 192.0.2.10, remotePort = 51234, domain = "pc"
EVENT = re.compile(
    _NAMED + rb" listenerId = \"(?P<listener>[^\"]*)\", "
    rb"(?:localIp = \S+, )?localPort = (?P<port>\d+), remoteIp = (?P<ip>[0-9A-Fa-f.:]+), remotePort = (?P<remote>\d+)(?:, (?P<rest>.*))?",
    re.DOTALL,
)

# listenerId = "submission", version = "TLSv1_3", details = "TLS13_AES_256_GCM_SHA384"
HANDSHAKE = re.compile(rb".*version = \"(?P<version>[^\"]*)\", details = \"(?P<cipher>[^\"]*)\"", re.DOTALL)
# accountName = "anna", accountId = 7       remoteIp = 192.0.2.10, accountName = "whatever the client wrote"
ACCOUNT = re.compile(rb".*?accountName = \"(?P<name>.*?)\"(?:, [a-zA-Z]+ = (?:\"[^\"]*\"|[^\"]*))*", re.DOTALL)
# domain = "pc.contoso.example"
DOMAIN = re.compile(rb"domain = \"(?P<name>.*)\"", re.DOTALL)
# from = "anna@contoso.example"
FROM = re.compile(rb"from = \"(?P<sender>.*?)\"(?:, details = \[.*)?", re.DOTALL)
# queueId = 313394020497752067, from = "anna@contoso.example", to = ["a@b.example", "c@d.example"], size = 1543, nextRetry = …
QUEUED = re.compile(
    rb"queueId = (?P<id>\d+), (?:queueName = \"[^\"]*\", )?from = \"(?P<sender>.*)\", to = \[(?P<recipients>.*)\], "
    rb"size = (?P<size>\d{1,18})(?:, [^\"]*)?",
    re.DOTALL,
)
RECIPIENT = re.compile(rb"\"(?:, |$)")

PORTS = {"587": Service.SUBMISSION, "465": Service.SUBMISSIONS, "25": Service.SMTP}
LISTENERS = {"submission": Service.SUBMISSION, "submissions": Service.SUBMISSIONS, "smtp": Service.SMTP}

FAILURES = {
    b"auth.failed": "bad_credentials",
    b"auth.token-expired": "bad_credentials",
    b"auth.error": "server_error",
    b"smtp.missing-auth-directory": "server_error",
    b"smtp.auth-mechanism-not-supported": "mechanism_not_offered",
    b"smtp.auth-not-allowed": "not_offered",
    b"smtp.auth-exchange-too-long": "protocol_error",
}
REFUSALS = {
    b"smtp.mail-from-unauthorized": "sender_not_owned",
    b"smtp.mail-from-not-allowed": "sender_refused",
    b"smtp.invalid-sender-address": "sender_refused",
    b"smtp.invalid-recipient-address": "recipient_refused",
    b"smtp.mailbox-does-not-exist": "unknown_recipient",
    b"smtp.relay-not-allowed": "relay_denied",
    b"smtp.rate-limit-exceeded": "rate_limited",
    b"smtp.too-many-recipients": "rate_limited",
    b"smtp.too-many-messages": "rate_limited",
    b"smtp.message-too-large": "too_large",
    b"smtp.loop-detected": "content_refused",
    b"smtp.message-parse-failed": "content_refused",
}
REFUSED_AT_MAIL = {b"smtp.mail-from-unauthorized", b"smtp.mail-from-not-allowed", b"smtp.invalid-sender-address"}
OUR_EVENTS = frozenset({*FAILURES, *REFUSALS, b"auth.success", b"queue.authenticated-message-queued"})

TEXT_LOG = (
    'tracer.log.level = "info"',
    "config.toml, for a tracer of type log or stdout; the one for the journal leaves accounts out",
)
REMEDIES = (
    Remedy("sessions", *TEXT_LOG, "accounts, messages, addresses and TLS versions"),
    Remedy("tls_version", *TEXT_LOG, "the TLS version and cipher of sessions that begin with STARTTLS; those of port 465 are not logged"),
    Remedy(
        "failures",
        'tracing.level.auth.failed = "info"',
        "config.toml: by default they are logged at level debug",
        "failed sign-ins and the names that were tried",
    ),
)


class StalwartSource(OwnFormSource):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "stalwart"
    title: ClassVar[str] = "Stalwart"
    versions: ClassVar[str] = "0.9 and newer"
    sample: ClassVar[str] = (
        'INFO Authentication successful (auth.success) listenerId = "submission", localPort = 587, remoteIp = 192.0.2.10, …'
    )
    tells: ClassVar[frozenset[str]] = frozenset(
        {
            "time", "server", "service", "client_ip", "helo", "account", "tls_version", "tls_cipher", "sender", "recipients", "size",
            "queue_id", "outcome", "reason",
        }
    )  # fmt: skip
    reasons: ClassVar[tuple[str, ...]] = tuple(
        sorted({*FAILURES.values(), *REFUSALS.values(), *handshakes.reasons(handshakes.RUSTLS), "rate_limited"})
    )
    remedies: ClassVar[tuple[Remedy, ...]] = REMEDIES
    worth: ClassVar[re.Pattern[bytes]] = re.compile(rb" \((?:smtp\.(?!raw)|auth\.|tls\.handshake|queue\.auth)")
    form: ClassVar[re.Pattern[bytes]] = re.compile(
        rb"(?:(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) )?(?P<text>" + _NAMED + rb".*)", re.DOTALL
    )
    sure: ClassVar[re.Pattern[bytes]] = NAMED

    @staticmethod
    def owns(tag: str) -> bool:
        """stalwart, stalwart-mail, stalwart-smtp."""
        return tag in {"stalwart", "stalwart-mail", "stalwart-smtp"}

    def line(self, line: Line) -> None:
        """What a line does to its session."""
        found = EVENT.fullmatch(line.text)
        if found is None:
            named = NAMED.match(line.text)
            if named and named["event"] in OUR_EVENTS and not named["event"].startswith(b"auth."):
                self.unread(line, "session of an event not understood")
            return
        event, rest = found["event"], found["rest"] or b""
        session = self._session(line, found, event)
        if event.startswith((b"smtp.", b"queue.")):
            session.notes["smtp"] = True
        if event == b"tls.handshake":
            self._tls(session, line, rest)
        elif event == b"tls.handshake-error":
            self._handshake(session, line, rest)
        elif event == b"smtp.ehlo":
            told = DOMAIN.fullmatch(rest)
            session.helo = values.text(told["name"]) if told else None
        elif event == b"smtp.mail-from":
            told = FROM.fullmatch(rest)
            session.notes["from"] = path(told["sender"]) if told else None
            self.open_transaction(session)
        elif event == b"smtp.connection-end":
            self.end(session)
        elif session.notes.get("smtp") or session.service != Service.UNKNOWN:
            self._submission(session, line, event, rest)

    def _session(self, line: Line, found: re.Match[bytes], event: bytes) -> Session:
        listener, port = found["listener"].decode("utf-8", "replace"), found["port"].decode()
        key = f"{'_'.join(listener.split())}/{found['ip'].decode()}/{found['remote'].decode()}"
        session = self.connection(line, key)
        if event == b"smtp.connection-start" or (session.authenticated and event in {b"tls.handshake", b"auth.success"}):
            session = self.begin(line, key)
        session.client_ip = values.address(found["ip"].decode())
        session.service = (PORTS.get(port) or LISTENERS.get(listener) or Service.UNKNOWN).value
        return session

    def _tls(self, session: Session, line: Line, rest: bytes) -> None:
        told = HANDSHAKE.fullmatch(rest)
        if told is None:
            self.unread(line, "TLS of a session not understood")
            return
        session.tls_version = values.tls_version(values.text(told["version"])).value
        session.tls_cipher = values.text(told["cipher"])

    def _handshake(self, session: Session, line: Line, rest: bytes) -> None:
        if session.service in {Service.SUBMISSION.value, Service.SUBMISSIONS.value}:
            self.log.about += 1
            self.fail_handshake(session, line, handshakes.reason(rest, handshakes.RUSTLS))
        self.end(session)

    def _submission(self, session: Session, line: Line, event: bytes, rest: bytes) -> None:
        if event in {b"auth.success", b"queue.authenticated-message-queued"}:
            if session.service == Service.SUBMISSIONS and session.tls_version == Tls.UNKNOWN:
                session.tls_version = Tls.UNVERSIONED.value
            if event == b"auth.success":
                self._signed_in(session, line, rest)
            else:
                self._queued(session, line, rest)
        elif event in FAILURES or event == b"auth.too-many-attempts":
            self._failed(session, line, event, rest)
        elif event in REFUSALS and session.authenticated:
            self.log.about += 1
            if event in REFUSED_AT_MAIL:
                told = FROM.fullmatch(rest)
                session.notes["from"] = path(told["sender"]) if told else None
                self.open_transaction(session)
            self.refuse(session, line, session.notes.get("from"), REFUSALS[event])

    def _signed_in(self, session: Session, line: Line, rest: bytes) -> None:
        told = ACCOUNT.fullmatch(rest)
        if told:
            self.log.about += 1
        else:
            self.unread(line, "sign-in not understood")
        self.sign_in(session, values.text(told["name"]) if told else None, UNKNOWN_MECHANISM)

    def _failed(self, session: Session, line: Line, event: bytes, rest: bytes) -> None:
        """That there were too many says the same again, unless what went before is not logged."""
        if event not in FAILURES and session.failures:
            return
        self.log.about += 1
        told = ACCOUNT.fullmatch(rest)
        self.fail(session, line, values.text(told["name"]) if told else None, UNKNOWN_MECHANISM, FAILURES.get(event, "rate_limited"))

    def _queued(self, session: Session, line: Line, rest: bytes) -> None:
        told = QUEUED.fullmatch(rest)
        if told is None:
            self.unread(line, "message not understood")
            return
        self.log.about += 1
        if not session.authenticated:
            self.sign_in(session, None, UNKNOWN_MECHANISM)
        message = self.take(session, line, told["id"].decode(), session.notes.get("from"))
        message.sender, message.size = path(told["sender"]), int(told["size"])
        message.recipients = len(RECIPIENT.findall(told["recipients"]))
        self.decide(session, message, Outcome.ACCEPTED, line.time)
        self.open_transaction(session)


def path(raw: bytes) -> str:
    """Address of an envelope; the null sender is written <> or as nothing."""
    return "" if raw == b"<>" else values.text(raw)
