"""
Kerio Connect 6 to 10 (Kerio MailServer before): submissions from mail.log, failed sign-ins from security.log and warning.log.

    [11/Mar/2026 11:40:39] Recv: Queue-ID: 65ee8b47-00000009, Service: SMTP, From: <anna@contoso.example>, To: <a@b.example>,
        Size: 985, Sender-Host: 192.0.2.10, User: anna@contoso.example, SSL: yes, Subject: …, Msg-Id: <…>
    [11/Mar/2026 11:40:40] Failed SMTP login from 192.0.2.10 with SASL method CRAM-MD5.
    [11/Mar/2026 11:40:41] SMTP: User bob@contoso.example doesn't exist. Attempt from IP address 192.0.2.10.

A message has a line for each of its recipients, told by its queue id. Addresses come before what the server knows, and the
subject behind it: the fields between are read.

What goes wrong
    A line that begins like one of ours and matches no expression is Unread. Mail that came by the web client or ActiveSync
    is no submission by SMTP, and is passed over.

See also
    own_form.py
"""

from __future__ import annotations

import re
from typing import ClassVar

from smtp_auth_report.sources import values
from smtp_auth_report.sources.interface import Remedy
from smtp_auth_report.sources.joining import Line, Session
from smtp_auth_report.sources.own_form import OwnFormSource
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Outcome, Service, Tls

_PATH = rb"(?:\"(?:[^\"\\]|\\.)*\"|[^<>\"])*"

# Recv: Queue-ID: 65ee8b47-00000009, Service: SMTP, From: <anna@contoso.example>, To: <a@b.example>, Size: 985, Sender-Host: …
RECEIVED = re.compile(
    rb"Recv: Queue-ID: (?P<id>[0-9A-Fa-f-]{8,40}), ?Service: (?P<service>[^,]*), ?From: <(?P<sender>"
    + _PATH
    + rb")>, ?To: <(?P<recipient>"
    + _PATH
    + rb")>"
    rb", ?Size: (?P<size>\d{1,18})(?P<rest>.*)",
    re.DOTALL,
)
# , Sender-Host: 192.0.2.10, User: anna@contoso.example, SSL: yes, Subject: …         , User: …, Sender-Host: …, SSL: yes before 7
HOST_FIRST = re.compile(
    rb", ?Sender-Host: (?P<ip>[^,\s]*)(?:, ?User: (?P<user>.*?))?(?:, ?SSL: (?P<ssl>yes|no))?(?:, ?(?:Subject|Msg-Id): .*)?", re.DOTALL
)
USER_FIRST = re.compile(
    rb", ?User: (?P<user>.*?), ?Sender-Host: (?P<ip>[^,\s]*)(?:, ?SSL: (?P<ssl>yes|no))?(?:, ?(?:Subject|Msg-Id): .*)?", re.DOTALL
)
# Failed SMTP login from 192.0.2.10 with SASL method CRAM-MD5.       Failed SMTP login from 192.0.2.10, user bob.
FAILED = re.compile(
    rb"Failed SMTP login from (?P<ip>[0-9A-Fa-f.:]+?)(?: with SASL method (?P<mechanism>[^\s.]+)|, user (?P<user>.*?))?\.?", re.DOTALL
)
# SMTP: User bob@contoso.example doesn't exist. Attempt from IP address 192.0.2.10.
# SMTP: Invalid password for user bob@contoso.example. Attempt from IP address 192.0.2.10.
UNKNOWN_USER = re.compile(
    rb"SMTP: (?:User (?P<unknown>.*) (?:doesn't|does not|doesn\xe2\x80\x99t) exist|Invalid password for user (?P<known>.*))\. "
    rb"Attempt from IP address (?P<ip>[0-9A-Fa-f.:]+?)\.?",
    re.DOTALL,
)
_MONTHS = {name: b"%02d" % number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}

# SMTP       SMTPS       Secure SMTP       SMTP Submission
SMTP = re.compile(rb"(?P<before>[^,]*)SMTP(?P<behind>[^,]*)|Submission", re.IGNORECASE)
TLS = {b"yes": Tls.UNVERSIONED, b"no": Tls.NONE, None: Tls.UNKNOWN}

REMEDIES = (
    Remedy(
        "sessions",
        "Enable logging to file",
        "Kerio Connect's administration, Logs, Mail, Log settings; messages are in store/logs/mail.log and in no other log",
        "accounts and their messages",
    ),
    Remedy(
        "failures",
        "Enable logging to file",
        "Kerio Connect's administration, Logs, Security and Warning, Log settings; they are read as well",
        "failed sign-ins",
    ),
)


class KerioSource(OwnFormSource):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "kerio"
    title: ClassVar[str] = "Kerio Connect"
    versions: ClassVar[str] = "6 to 10"
    sample: ClassVar[str] = "[11/Mar/2026 11:40:39] Recv: Queue-ID: 65ee8b47-00000009, Service: SMTP, From: <…>, …, User: anna, SSL: yes"
    tells: ClassVar[frozenset[str]] = frozenset(
        {
            "time", "server", "service", "client_ip", "account", "mechanism", "tls_version", "sender", "recipients", "size", "queue_id",
            "outcome", "reason",
        }
    )  # fmt: skip
    reasons: ClassVar[tuple[str, ...]] = ("bad_credentials",)
    remedies: ClassVar[tuple[Remedy, ...]] = REMEDIES
    worth: ClassVar[re.Pattern[bytes]] = re.compile(rb"\] (?:Recv: |Failed SMTP|SMTP: )")
    form: ClassVar[re.Pattern[bytes]] = re.compile(rb"\[(?P<stamp>\d\d/[A-Z][a-z]{2}/\d{4} \d\d:\d\d:\d\d)\] (?P<text>.*)", re.DOTALL)
    sure: ClassVar[re.Pattern[bytes]] = re.compile(
        rb"(?:Recv|Sent): Queue-ID: |(?:Failed (?:SMTP|IMAP|POP3|HTTP\S*) login from |(?:SMTP|IMAP|POP3): (?:User |Invalid password)"
        rb"|SMTP Spam attack detected|IP address \S+ found in DNS blacklist|Relay attempt from IP address"
        rb"|Attempt to deliver to unknown recipient|Client with IP address|Message from IP address)"
    )

    @staticmethod
    def owns(_tag: str) -> bool:
        """It does not write these lines to a syslog."""
        return False

    @staticmethod
    def stamp(written: bytes) -> bytes:
        """11/Mar/2026 11:40:39 in the order that all read."""
        if not written:
            return b""
        day, month, rest = written.split(b"/")
        return b"%b-%b-%b %b" % (rest[:4], _MONTHS.get(month, b"00"), day, rest[5:])

    def line(self, line: Line) -> None:
        """What a line does to its message."""
        if line.text.startswith(b"Recv: "):
            self._received(line)
            return
        failed = FAILED.fullmatch(line.text)
        unknown = None if failed else UNKNOWN_USER.fullmatch(line.text)
        if failed:
            tried, mechanism = (values.text(failed[name] or b"") for name in ("user", "mechanism"))
            self._failed(line, failed["ip"], tried or None, values.mechanism(mechanism))
        elif unknown:
            name = unknown["unknown"] if unknown["unknown"] is not None else unknown["known"]
            self._failed(line, unknown["ip"], values.text(name), UNKNOWN_MECHANISM)
        elif line.text.startswith(b"Failed SMTP login from "):
            self.unread(line, "failed sign-in not understood")

    def _received(self, line: Line) -> None:
        found = RECEIVED.fullmatch(line.text)
        if found is None:
            if b"SMTP" in line.text[:80]:
                self.unread(line, "received message not understood")
            return
        service = service_of(found["service"])
        told = HOST_FIRST.fullmatch(found["rest"]) or USER_FIRST.fullmatch(found["rest"])
        if service is None or told is None or not told["user"]:
            return
        self.log.about += 1
        session = self.session(line, found["id"].decode())
        if not session.authenticated:
            session.client_ip = values.address(told["ip"].decode("ascii", "replace"))
            session.service, session.tls_version = service.value, TLS[told["ssl"]].value
            self.sign_in(session, values.text(told["user"]), UNKNOWN_MECHANISM)
            message = self.message(session, line, session.key)
            message.sender, message.size, message.recipients = values.text(found["sender"]), int(found["size"]), 0
        [message] = session.messages
        message.recipients = (message.recipients or 0) + 1
        self.decide(session, message, Outcome.ACCEPTED, message.time or line.time)

    def _failed(self, line: Line, ip: bytes, account: str | None, mechanism: str) -> None:
        self.log.about += 1
        session: Session = self.connection(line, f"from:{ip.decode()}")
        session.client_ip = values.address(ip.decode())
        self.fail(session, line, account, mechanism, "bad_credentials")


def service_of(name: bytes) -> Service | None:
    """What a service of this name takes mail on; None where it is none for SMTP, as the web client."""
    found = SMTP.fullmatch(name)
    if found is None:
        return None
    if b"submission" in name.lower():
        return Service.SUBMISSION
    secure = b"secure" in (found["before"] or b"").lower() or (found["behind"] or b"")[:1] in {b"S", b"s"}
    return Service.SUBMISSIONS if secure else Service.UNKNOWN
