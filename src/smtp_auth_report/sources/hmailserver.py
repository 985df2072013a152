"""
hMailServer 5.x: submissions from its log of SMTP conversations and of TCP/IP.

    "TCPIP"  4532       "2026-11-23 16:06:06.970"  "TCP - 192.0.2.10 connected to 10.0.0.1:587."
    "SMTPD"  4532  154  "2026-11-23 16:06:06.970"  "192.0.2.10"  "SENT: 220 mail ESMTP"
    "TCPIP"  4512       "2026-11-23 16:06:07.204"  "TCPConnection - TLS/SSL handshake completed. Session Id: 154, …, Version: TLSv1.2, …"
    "SMTPD"  4512  154  "2026-11-23 16:06:07.304"  "192.0.2.10"  "RECEIVED: AUTH LOGIN"
    "SMTPD"  4512  154  "2026-11-23 16:06:07.404"  "192.0.2.10"  "SENT: 235 authenticated."

Fields are kept apart by tabs. A conversation is told by its number; each answer is to the command before it. The thread that
accepts a connection without TLS greets the client at once, so its two lines tell the port, and that TLS did not begin there.

What goes wrong
    A client's line break stands in the log as it is. Where the log's own lines end in CR and LF, what follows one that ends
    in LF alone is left out up to the next CR and LF. Names are in base64, next to `***` for the password; a name is not kept
    from one file to the next before the server has accepted it.

See also
    own_form.py; hmailserver: Common/Application/Logger.cpp, SMTP/SMTPConnection.cpp, Common/TCPIP
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from smtp_auth_report.sources import replies, values
from smtp_auth_report.sources.identities import Identities
from smtp_auth_report.sources.interface import Remedy
from smtp_auth_report.sources.joining import Line, Message, Session
from smtp_auth_report.sources.logbook import Logbook
from smtp_auth_report.sources.own_form import OwnFormSource
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Outcome, Service, Tls

# "SMTPD"\t4532\t154\t"2026-11-23 16:06:06.970"\t"192.0.2.10"\t"SENT: 220 mail ESMTP"
SMTPD = re.compile(
    rb"\"SMTPD\"\t(?P<thread>\d+)\t(?P<session>\d+)\t\"[^\"]*\"\t\"(?P<ip>[^\"\t]*)\"\t\"(?P<way>SENT|RECEIVED): ?(?P<said>.*)\"", re.DOTALL
)
# "TCPIP"\t4532\t"2026-11-23 16:06:06.970"\t"TCP - 192.0.2.10 connected to 10.0.0.1:587."
CONNECTED = re.compile(rb"\"TCPIP\"\t(?P<thread>\d+)\t\"[^\"]*\"\t\"TCP - (?P<ip>\S+) connected to \S+:(?P<port>\d+)\.\"")
# "TCPIP"\t4512\t"2026-11-23 16:06:07.204"\t"TCPConnection - TLS/SSL handshake completed. Session Id: 154, Remote IP: 192.0.2.10,
#     Version: TLSv1.2, Cipher: AES128-SHA, Bits: 128"
HANDSHAKE = re.compile(
    rb"\"TCPIP\"\t\d+\t\"[^\"]*\"\t\"TCPConnection - TLS/SSL handshake completed\. Session Id: (?P<session>\d+), "
    rb"Remote IP: (?P<ip>[^,\"]*), Version: (?P<version>[^,\"]*), Cipher: (?P<cipher>[^,\"]*), Bits: \d+\""
)
# AUTH LOGIN        AUTH LOGIN YW5uYQ==        AUTH PLAIN YW5uYQ== ***
AUTH = re.compile(rb"AUTH +(?P<mechanism>\S+)(?: +(?P<user>\S+?))?(?P<masked> \*\*\*)?", re.IGNORECASE | re.DOTALL)
# MAIL FROM:<anna@contoso.example> SIZE=1253
MAIL = re.compile(rb"MAIL FROM: *(?:<(?P<path>.*)>|(?P<bare>\S*))(?P<parameters>[^<>]*)", re.IGNORECASE | re.DOTALL)
SIZE = re.compile(rb" SIZE=(\d{1,18})(?: |$)", re.IGNORECASE)
ASKS_USER, ASKS_PLAIN = b"334 VXNlcm5hbWU6", b"334 Log on"

FAILURES = {b"535": "bad_credentials", b"504": "mechanism_not_offered", b"530": "not_offered"}
DOORS = {"587": Service.SUBMISSION, "465": Service.SUBMISSIONS, "25": Service.SMTP}

REMEDIES = (
    Remedy("sessions", "SMTP", "hMailServer Administrator, Settings, Logging", "accounts, mechanisms, messages and failed sign-ins"),
    Remedy(
        "tls_version", "TCP/IP", "hMailServer Administrator, Settings, Logging", "the TLS version and cipher, and which sessions had none"
    ),
    Remedy("service", "TCP/IP", "hMailServer Administrator, Settings, Logging", "which port a client uses, where TLS begins with STARTTLS"),
)


class HmailserverSource(OwnFormSource):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "hmailserver"
    title: ClassVar[str] = "hMailServer"
    versions: ClassVar[str] = "5.3 to 5.7"
    sample: ClassVar[str] = '"SMTPD" 4512 154 "2026-11-23 16:06:07.404" "192.0.2.10" "SENT: 235 authenticated."'
    tells: ClassVar[frozenset[str]] = frozenset(
        {
            "time", "server", "service", "client_ip", "helo", "account", "mechanism", "tls_version", "tls_cipher", "sender", "recipients",
            "size", "outcome", "reason",
        }
    )  # fmt: skip
    reasons: ClassVar[tuple[str, ...]] = tuple(sorted({*replies.REASONS, "bad_credentials", "mechanism_not_offered", "not_offered"}))
    remedies: ClassVar[tuple[Remedy, ...]] = REMEDIES
    worth: ClassVar[re.Pattern[bytes]] = re.compile(rb"\A\"(?:SMTPD|TCPIP)\"\t")
    form: ClassVar[re.Pattern[bytes]] = re.compile(
        rb"(?P<text>\"[A-Z0-9]{4,12}\"\t\d+\t(?:\d+\t)?\"(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})\"\t.*\")\s*$", re.DOTALL
    )
    sure: ClassVar[re.Pattern[bytes]] = re.compile(rb"\"(?:SMTPD|SMTPC|POP3D|IMAPD|TCPIP|APPLICATION|DEBUG|ERROR)\"\t")

    def __init__(self, log: Logbook) -> None:
        super().__init__(log)
        self._ends_in_cr: bool | None = None
        self._broken = False  # a client's line break was met, and the end of what it wrote was not
        self._asking: dict[str, str] = {}  # session -> name of a sign-in that was not answered when reading stopped

    @staticmethod
    def owns(_tag: str) -> bool:
        """It does not write to a syslog."""
        return False

    def lines(self, batch: bytes) -> list[bytes]:
        """Lines as the server ended them."""
        if self._ends_in_cr is None:
            self._ends_in_cr = b'"\r\n' in batch
        found = batch.split(b"\n")
        if not self._ends_in_cr:
            return found
        kept = []
        for line in found[:-1] if found[-1] == b"" else found:
            if line.endswith(b"\r"):
                if not self._broken:
                    kept.append(line)
                self._broken = False
            else:
                self._broken = True
        return kept

    def line(self, line: Line) -> None:
        """What a line does to its session."""
        said = SMTPD.fullmatch(line.text)
        if said:
            session = self._session(line, said)
            if said["way"] == b"SENT":
                self._answered(session, line, said["said"])
            else:
                self._asked(session, line, said["said"])
            return
        connected = CONNECTED.fullmatch(line.text)
        handshake = None if connected else HANDSHAKE.fullmatch(line.text)
        if connected:
            accepted = self.begin(line, f"thread:{connected['thread'].decode()}")
            accepted.client_ip = values.address(connected["ip"].decode("ascii", "replace"))
            accepted.service = DOORS.get(connected["port"].decode(), Service.UNKNOWN).value
        elif handshake:
            self._tls(line, handshake)
        elif b'"SMTPD"\t' in line.text[:8]:
            self.unread(line, "line of a conversation not understood")

    # What belongs together

    def _session(self, line: Line, said: re.Match[bytes]) -> Session:
        """Numbers begin anew with the service, so a greeting begins a conversation. TLS may have begun before it."""
        session = self.connection(line, said["session"].decode())
        greets = said["way"] == b"SENT" and said["said"].startswith(b"220 ") and session.notes.get("asked") != "STARTTLS"
        if greets and session.notes.get("greeted"):
            session = self.begin(line, session.key)
        session.client_ip = values.address(said["ip"].decode("ascii", "replace"))
        if greets:
            self._greeted(session, line, said["thread"].decode())
        session.notes["greeted"] = True
        return session

    def _greeted(self, session: Session, line: Line, thread: str) -> None:
        accepted = self.open_session(line, f"thread:{thread}")
        if accepted is not None and accepted.client_ip == session.client_ip and session.tls_version == Tls.UNKNOWN:
            del self.sessions[line.host, accepted.key]
            session.service, session.notes["clear"] = accepted.service, True

    def _tls(self, line: Line, handshake: re.Match[bytes]) -> None:
        session = self.connection(line, handshake["session"].decode())
        if session.notes.get("greeted") and session.notes.get("asked") != "STARTTLS":
            session = self.begin(line, session.key)
        session.client_ip = values.address(handshake["ip"].decode("ascii", "replace"))
        session.tls_version = values.tls_version(values.text(handshake["version"])).value
        session.tls_cipher = values.text(handshake["cipher"])

    # A conversation

    def _asked(self, session: Session, line: Line, said: bytes) -> None:
        """What the next answer is to."""
        awaited = session.notes.pop("awaits", None)
        if awaited:
            session.notes["asked"] = "AUTH"
            if awaited != "password":
                session.notes["user"] = decoded(said if awaited == "user" else said.partition(b" ***")[0] if b" ***" in said else b"")
            return
        word = values.text(re.split(rb"[ :]", said[:9], maxsplit=1)[0]).upper()
        session.notes["asked"] = word
        if word in {"EHLO", "HELO"}:
            session.helo = values.text(said[5:].strip()) or None
        elif word == "AUTH":
            found = AUTH.fullmatch(said)
            named = found is not None and found["user"] and (found["masked"] or found["mechanism"].upper() == b"LOGIN")
            session.notes["mechanism"] = values.mechanism(values.text(found["mechanism"])) if found else UNKNOWN_MECHANISM
            session.notes["user"] = decoded(found["user"]) if found and named else None
        elif word == "MAIL" and session.authenticated:
            self.settle_refusals(session)
            self._mail(self.message(session, line, None), said)

    @staticmethod
    def _mail(message: Message, said: bytes) -> None:
        found = MAIL.fullmatch(said)
        size = SIZE.search(found["parameters"]) if found else None
        message.sender = values.text(found["path"] if found["path"] is not None else found["bare"]) if found else None
        message.size, message.recipients = int(size[1]) if size else None, 0

    def _answered(self, session: Session, line: Line, said: bytes) -> None:
        asked, code = session.notes.get("asked", ""), said[:3]
        message = session.messages[-1] if session.messages else None
        if code == b"334":
            session.notes["awaits"] = "user" if said == ASKS_USER else "plain" if said == ASKS_PLAIN else "password"
        elif asked == "AUTH":
            self._auth_answered(session, line, code)
        elif asked == "STARTTLS" and code == b"220" and session.tls_version == Tls.UNKNOWN:
            session.tls_version = Tls.UNVERSIONED.value
        elif asked == "QUIT" or code == b"421":
            self.end(session)
        elif message is not None and not message.outcome and asked in {"MAIL", "RCPT", "DATA"}:
            self._transaction(session, message, line, said)

    def _auth_answered(self, session: Session, line: Line, code: bytes) -> None:
        user, mechanism = session.notes.pop("user", None), session.notes.pop("mechanism", UNKNOWN_MECHANISM)
        if code == b"235":
            self.log.about += 1
            if session.notes.get("clear") and session.tls_version == Tls.UNKNOWN:
                session.tls_version = Tls.NONE.value
            self.sign_in(session, user, mechanism)
        elif code in FAILURES:
            self.log.about += 1
            self.fail(session, line, user, mechanism, FAILURES[code])

    def _transaction(self, session: Session, message: Message, line: Line, said: bytes) -> None:
        self.log.about += 1
        asked = session.notes["asked"]
        if said.startswith(b"250 Queued"):
            self.decide(session, message, Outcome.ACCEPTED, line.time)
        elif said.startswith((b"4", b"5")):
            otherwise = {"MAIL": "sender_refused", "RCPT": "recipient_refused"}.get(asked, "content_refused")
            message.time, message.reason = line.time, replies.refusal(values.text(said), otherwise)
            if asked == "DATA":
                self.settle_refusals(session)
        elif asked == "RCPT" and said.startswith(b"2"):
            message.recipients = (message.recipients or 0) + 1

    def behind(self, lines: Sequence[bytes]) -> None:
        """See `Source`: names that `dump` leaves out."""
        before = HmailserverSource(Logbook(self.log.options))
        before.feed(b"".join(line.rstrip(b"\r") + b"\r\n" for line in lines))
        self._asking = {session.key: name for session in before.sessions.values() if (name := session.notes.get("user"))}

    def _load(self, host: Identities, content: dict[str, Any]) -> None:
        super()._load(host, content)
        for session in self.sessions.values():
            if session.notes.get("mechanism") and session.key in self._asking:
                session.notes["user"] = self._asking[session.key]

    def dump(self, session: Session) -> dict[str, Any]:
        """Without the name that a sign-in under way gave: it may fail, and be a password."""
        content = super().dump(session)
        content["notes"].pop("user", None)
        return content


def decoded(said: bytes) -> str | None:
    """The name that was sent in base64."""
    try:
        return values.text(base64.b64decode(said, validate=True)) or None
    except binascii.Error:
        return None
