"""
Sendmail 8.12 to 8.18: submissions from the lines of its listening daemon's children.

    STARTTLS=server, relay=desk11.contoso.example [192.0.2.10], version=TLSv1.3, verify=NO, cipher=…, bits=256/256
    AUTH=server, relay=desk11.contoso.example [192.0.2.10], authid=anna, mech=PLAIN, bits=0
    6ANGKaVY011771: from=<anna@contoso.example>, size=2416, class=0, nrcpts=1, msgid=<…>, proto=ESMTPSA, daemon=MSA, relay=…

One child serves one connection, so a session is what one pid logs for one client. Its end is logged only where it brought
no mail. The line with `from=` is logged for refused transactions as well: a message is accepted where it has recipients
and a message id, or where its delivery was begun.

What goes wrong
    A line that begins like one of ours and matches no expression is Unread.

See also
    sendmail_lines.py for the lines, joining.py for sessions; docs/sources.md
"""

from __future__ import annotations

import re
from typing import ClassVar

from smtp_auth_report.sources import sendmail_lines as lines
from smtp_auth_report.sources import values
from smtp_auth_report.sources.interface import Remedy
from smtp_auth_report.sources.joining import Line, Message, Session, SessionSource
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Outcome, Service, Submission, Tls

LONGEST = 8192
LOG_LEVEL = "define(`confLOG_LEVEL', `9')dnl"
LOG_LEVEL_10 = "define(`confLOG_LEVEL', `10')dnl"
IN_FORCE = "sendmail.mc; then make and restart Sendmail"


class SendmailSource(SessionSource):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "sendmail"
    title: ClassVar[str] = "Sendmail"
    versions: ClassVar[str] = "8.12 to 8.18"
    sample: ClassVar[str] = "sm-mta[11771]: AUTH=server, relay=pc.example [192.0.2.10], authid=anna, mech=PLAIN, bits=0"
    tells: ClassVar[frozenset[str]] = frozenset(Submission._fields) - {"helo"}
    reasons: ClassVar[tuple[str, ...]] = lines.REASONS
    remedies: ClassVar[tuple[Remedy, ...]] = (
        Remedy("sessions", LOG_LEVEL, IN_FORCE, "accounts, mechanisms, TLS versions and failed sign-ins"),
        Remedy("account", LOG_LEVEL, IN_FORCE, "the account and mechanism of every session"),
        Remedy("tls_version", LOG_LEVEL, IN_FORCE, "the TLS version and cipher of every session; before 8.15 of few ciphers only"),
        Remedy("failures", LOG_LEVEL_10, IN_FORCE, "failed sign-ins, where Sendmail is older than 8.16.1", before=(8, 16, 1)),
        Remedy(
            "service",
            "DAEMON_OPTIONS(`Port=submission, Name=MSA, M=Ea')dnl",
            "sendmail.mc, with a Name for each port; then make and restart Sendmail",
            "which port a client uses: MSA is submission, TLSMTA submissions, MTA smtp",
        ),
    )
    worth: ClassVar[re.Pattern[bytes]] = re.compile(
        rb"=server, |: from=|AUTH failure|did not issue MAIL|, reject=|exceeds maximum|, stat=|\]: |\Astarting daemon "
    )

    @staticmethod
    def owns(tag: str) -> bool:
        """sendmail, sm-mta, sm-msp-queue, sm-acceptingconnections."""
        return tag == "sendmail" or tag.startswith("sm-")

    def line(self, line: Line) -> None:
        """What a line does to its session."""
        text = line.text
        part = lines.SPLIT.fullmatch(text) if b"]: " in text[:36] else None
        if part:
            self._join_parts(line, part)
        elif text.startswith(b"STARTTLS=server, "):
            self._tls(line)
        elif text.startswith(b"AUTH=server, "):
            self._auth(line)
        elif b": AUTH failure (" in text:
            self._failure(line)
        elif b": to=" in text[:32]:
            self._delivery(line)
        elif b": from=" in text[:32]:
            self._message(line)
        elif b", reject=" in text or b" exceeds maximum (" in text:
            self._refusal(line)
        elif b" did not issue MAIL" in text:
            self._no_mail(line)
        elif started := lines.STARTED.match(text):
            self.log.version(self.name, line.host, values.text(started["version"]))

    def repeatable(self, text: bytes) -> bool:
        """A failed sign-in."""
        return b": AUTH failure (" in text

    def _of(self, line: Line, relay: bytes, *, fresh: bool = False) -> Session:
        """The session of a line; a pid that another client, or a connection after this one, has got begins anew."""
        address, name = lines.relay(relay)
        session = self.open_session(line, line.pid)
        if session is None or fresh or (address and session.client_ip and address != session.client_ip):
            session = self.begin(line, line.pid)
        session.last = max(session.last, line.time)
        session.client_ip, session.client_name = address or session.client_ip, name or session.client_name
        return session

    def _tls(self, line: Line) -> None:
        found = lines.TLS.fullmatch(line.text)
        if found is None:
            self._handshake(line)
            return
        self.log.about += 1
        session = self._of(line, found["relay"], fresh=True)
        session.tls_version = values.tls_version(values.text(found["version"])).value
        session.tls_cipher = values.text(found["cipher"])

    def _handshake(self, line: Line) -> None:
        found = lines.HANDSHAKE.fullmatch(line.text)
        if found is None:
            if b", version=" in line.text:
                self.unread(line, "TLS of a session not understood")
            return
        self.log.about += 1
        session = self._of(line, found["relay"], fresh=True)
        session.notes["handshake"] = lines.handshake_reason(found["reason"])

    def _auth(self, line: Line) -> None:
        found = lines.AUTH.fullmatch(line.text)
        if found is None:
            self.unread(line, "sign-in not understood")
            return
        self.log.about += 1
        before = self.open_session(line, line.pid)
        session = self._of(line, found["relay"], fresh=before is not None and before.authenticated)
        self.sign_in(session, values.xtext(found["user"]), values.mechanism(values.text(found["mechanism"])))

    def _failure(self, line: Line) -> None:
        found = lines.FAILURE.fullmatch(line.text)
        if found is None:
            self.unread(line, "failed sign-in not understood")
            return
        self.log.about += 1
        session = self._of(line, found["relay"] or b"")
        account = lines.plain(found["user"]) if found["user"] else None
        mechanism = values.mechanism(values.text(found["mechanism"]))
        self.fail(session, line, account, mechanism, lines.failure_reason(found["error"]))

    def _message(self, line: Line) -> None:
        found = lines.MESSAGE.fullmatch(line.text)
        if found is None:
            if b", nrcpts=" in line.text and b", relay=" in line.text:
                self.unread(line, "sender of a message not understood")
            return
        proto = values.text(found["proto"] or b"").upper()
        before = self.open_session(line, line.pid)
        signed_in = before is not None and before.authenticated and lines.relay(found["relay"])[0] in {before.client_ip, None}
        if not proto.endswith("A") and (proto.endswith("SMTPS") or not signed_in):
            return
        self.log.about += 1
        session = self._of(line, found["relay"])
        if not session.authenticated:
            self.sign_in(session, None, UNKNOWN_MECHANISM)
        self._learn_tls(session, proto)
        session.service = lines.service(found["daemon"] or b"").value
        queue_id = values.text(found["qid"])
        message = self._message_of(session, queue_id) or self.message(session, line, queue_id)
        message.sender = lines.path(found["sender"])
        message.size, message.recipients = int(found["size"]), int(found["recipients"])
        told = lines.MESSAGE_ID.fullmatch(found["rest"])
        message.message_id = (lines.plain(told["id"]) or None) if told else None
        self._settle(session, message, line.time)

    @staticmethod
    def _learn_tls(session: Session, proto: str) -> None:
        """8.15 and newer tell TLS in the protocol's name, and the session's own version; an older one only its cipher's."""
        told = session.tls_cipher is not None
        if proto.endswith("SA"):
            session.tls_version = session.tls_version if told else Tls.UNVERSIONED.value
        elif proto.endswith("A"):
            session.tls_version, session.tls_cipher = Tls.NONE.value, None
        elif told:
            session.tls_version = lines.cipher_tells(Tls(session.tls_version), session.tls_cipher or "").value

    @staticmethod
    def _message_of(session: Session, queue_id: str) -> Message | None:
        return next((message for message in reversed(session.messages) if message.queue_id == queue_id), None)

    def _settle(self, session: Session, message: Message, time: int) -> None:
        """What the sender's line tells together with the refusals before it."""
        refused = session.notes.pop("refused", None)
        hard = session.notes.pop("hard", False)
        if refused and (hard or not message.recipients):
            self.decide(session, message, Outcome.REJECTED, time, refused)
        elif message.recipients and message.message_id:
            self.decide(session, message, Outcome.ACCEPTED, time)

    def _delivery(self, line: Line) -> None:
        """A message without an id was accepted all the same if its delivery is begun."""
        session = self._undecided(line)
        found = lines.DELIVERY.fullmatch(line.text) if session else None
        if (
            session is None
            or found is None
            or b"exceeds" in found["status"]
            or not found["status"].startswith((b"Sent", b"queued", b"Deferred"))
        ):
            return
        message = self._message_of(session, values.text(found["qid"]))
        if message is not None:
            self.log.about += 1
            self.decide(session, message, Outcome.ACCEPTED, message.opened)

    def _undecided(self, line: Line) -> Session | None:
        """The session whose message this line names, if it waits; the queue id ends with the pid that made it."""
        pid = line.text[8 : line.text.index(b":")].lstrip(b"0").decode("ascii", "replace")
        session = self.open_session(line, pid)
        waits = session is not None and any(message.recipients and not message.outcome for message in session.messages)
        return session if waits else None

    def _refusal(self, line: Line) -> None:
        """Of a recipient, a sender or the content; the sender's line may follow or stand before."""
        session = self.open_session(line, line.pid)
        if session is None or not session.authenticated:
            return
        found, large = lines.REFUSAL.fullmatch(line.text), lines.TOO_LARGE.fullmatch(line.text)
        named = found or large
        if named is None:
            return
        self.log.about += 1
        stage = (found["stage"] or b"") if found else b""
        recipient = found is not None and (found["ruleset"] == b"check_rcpt" or stage.startswith((b"to=", b"action=rcpt")))
        reason = lines.refusal_reason(found["ruleset"], found["text"]) if found else "too_large"
        message = self._message_of(session, values.text(named["qid"]))
        if message is not None and not recipient:
            self.decide(session, message, Outcome.REJECTED, line.time, reason)
        elif found is not None and found["ruleset"] == b"check_mail":
            refused = self.message(session, line, None)
            refused.sender = lines.path(found["argument"].partition(b", relay=")[0])
            self.decide(session, refused, Outcome.REJECTED, line.time, reason)
        else:
            session.notes["refused"], session.notes["hard"] = reason, not recipient

    def _no_mail(self, line: Line) -> None:
        found = lines.NO_MAIL.fullmatch(line.text)
        if found is None:
            return
        session = self.open_session(line, line.pid)
        if session is None:
            return
        self.log.about += 1
        session.service = lines.service(found["daemon"]).value
        reason = session.notes.get("handshake")
        if reason and session.service in {Service.SUBMISSION.value, Service.SUBMISSIONS.value}:
            self.fail_handshake(session, line, reason)
        session.last = max(session.last, line.time)
        self.end(session)

    def _join_parts(self, line: Line, part: re.Match[bytes]) -> None:
        """A line that was cut for syslog is read when its last part has come."""
        session = self.session(line, f"{line.pid}/parts")
        before = session.notes.get("text", "") if part["number"] != b"1" else ""
        session.notes["text"] = f"{before} {values.text(part['text'])}".strip()[:LONGEST]
        if not part["more"]:
            del self.sessions[line.host, session.key]
            self.line(line._replace(text=part["qid"] + b": " + session.notes["text"].encode()))
