"""
A client that knows what it did: each attempt becomes one entry of its own truth.

    client = Client(server)
    client.send(Attempt("submission", "anna.berg@contoso.example", mechanism="PLAIN", tls="TLSv1.2", messages=2))
    client.truth

An entry says `event` (`auth`, `message` or `connect`), `result`, the service, and what was negotiated in words of the
record. It comes from the server's answers to this client, never from a log.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import smtplib
import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from mail_server import PASSWORD, TOKEN_KEY, MailServer

VERSIONS = {
    "TLSv1.0": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
QUEUED = re.compile(rb"(?:queued as |OK id=)([\w-]+)|(\w+) Message accepted")
TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One session."""

    service: str
    account: str
    mechanism: str = "PLAIN"
    tls: str = "TLSv1.3"  # "none": in clear
    sender: str = "info@contoso.example"
    recipients: tuple[str, ...] = ("someone@woodgrove.example",)
    messages: int = 1
    address: str = "127.0.1.1"
    helo: str = "client.contoso.example"
    password: str = PASSWORD
    body: str = "hello\r\n"
    pause: float = 0  # seconds between the recipients and the content


@dataclass(slots=True)
class Client:
    """Keeps the truth of what it sent."""

    server: MailServer
    truth: list[dict[str, Any]] = field(default_factory=list)

    def send(self, attempt: Attempt) -> None:
        """Sign in, send as many messages as asked, quit."""
        with self._session(attempt) as session:
            if not self._sign_in(session, attempt):
                return
            for _ in range(attempt.messages):
                self._message(session, attempt)

    def speak_in_clear_to_tls(self, address: str) -> None:
        """What a device does that is set to port 465 without TLS."""
        with socket.create_connection(("127.0.0.1", self.server.ports["smtps"]), TIMEOUT, (address, 0)) as connection:
            connection.sendall(b"EHLO device.contoso.example\r\n")
            with suppress(ConnectionResetError):
                while connection.recv(4096):
                    pass
        self.truth.append({"event": "connect", "result": "tls_failed", "service": "smtps", "client_ip": address})

    def distrust(self, address: str) -> None:
        """What a client does that does not know who signed the certificate."""
        context = ssl.create_default_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with smtplib.SMTP("127.0.0.1", self.server.ports["submission"], "careful.contoso.example", TIMEOUT, (address, 0)) as session:
            try:
                session.starttls(context=context)
            except ssl.SSLCertVerificationError:
                self.truth.append({"event": "connect", "result": "tls_failed", "service": "submission", "client_ip": address})
            finally:
                session.close()

    @contextmanager
    def _session(self, attempt: Attempt) -> Iterator[smtplib.SMTP]:
        port, source = self.server.ports[attempt.service], (attempt.address, 0)
        if attempt.service == "smtps":
            context = unchecked(attempt.tls)
            with smtplib.SMTP_SSL("127.0.0.1", port, attempt.helo, timeout=TIMEOUT, source_address=source, context=context) as session:
                session.ehlo()
                yield session
            return
        with smtplib.SMTP("127.0.0.1", port, attempt.helo, TIMEOUT, source) as session:
            session.ehlo()
            if attempt.tls != "none":
                session.starttls(context=unchecked(attempt.tls))
                session.ehlo()
            yield session

    def _sign_in(self, session: smtplib.SMTP, attempt: Attempt) -> bool:
        code, _ = _AUTHENTICATE[attempt.mechanism](session, attempt)
        self._note(attempt, "auth", "ok" if code == 235 else "auth_failed", attempted_account=attempt.account)
        return code == 235

    def _message(self, session: smtplib.SMTP, attempt: Attempt) -> None:
        session.command_encoding = "utf-8"
        session.docmd("MAIL", f"FROM:<{attempt.sender}>" + ("" if attempt.sender.isascii() else " SMTPUTF8"))
        taken = sum(session.docmd("RCPT", f"TO:<{recipient}>")[0] == 250 for recipient in attempt.recipients)
        sent = {"envelope_from": attempt.sender, "recipients": taken}
        if not taken:
            session.docmd("RSET")
            self._note(attempt, "message", "rejected", queue_id=None, **sent)
            return
        time.sleep(attempt.pause)
        code, answer = session.data(f"Subject: test\r\n\r\n{attempt.body}".encode())
        found = QUEUED.search(answer)
        assert code == 250, answer
        assert found, answer
        self._note(attempt, "message", "ok", queue_id=(found[1] or found[2]).decode(), **sent)

    def _note(self, attempt: Attempt, event: str, result: str, **more: Any) -> None:
        known = {"service": attempt.service, "client_ip": attempt.address, "helo": attempt.helo, "tls_version": attempt.tls}
        signed_in = result != "auth_failed"
        who = {"account": attempt.account if signed_in else None, "mechanism": attempt.mechanism}
        self.truth.append({"event": event, "result": result, **known, **who, **more})


def unchecked(version: str) -> ssl.SSLContext:
    """Speaks one version, with whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are the point
        context.minimum_version = context.maximum_version = VERSIONS[version]
    return context


def _base64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def _plain(session: smtplib.SMTP, attempt: Attempt) -> tuple[int, bytes]:
    return session.docmd("AUTH", "PLAIN " + _base64(f"\0{attempt.account}\0{attempt.password}"))


def _login(session: smtplib.SMTP, attempt: Attempt) -> tuple[int, bytes]:
    session.docmd("AUTH", "LOGIN")
    session.docmd(_base64(attempt.account))
    return session.docmd(_base64(attempt.password))


def _cram_md5(session: smtplib.SMTP, attempt: Attempt) -> tuple[int, bytes]:
    _, challenge = session.docmd("AUTH", "CRAM-MD5")
    proof = hmac.new(attempt.password.encode(), base64.b64decode(challenge), hashlib.md5).hexdigest()
    return session.docmd(_base64(f"{attempt.account} {proof}"))


def _xoauth2(session: smtplib.SMTP, attempt: Attempt) -> tuple[int, bytes]:
    code, answer = session.docmd("AUTH", "XOAUTH2 " + _base64(f"user={attempt.account}\1auth=Bearer {_token(attempt.account)}\1\1"))
    return session.docmd("") if code == 334 else (code, answer)


def _token(account: str) -> str:
    now = int(time.time())
    claims = {"email": account, "sub": account, "iat": now - 10, "nbf": now - 10, "exp": now + 600}
    signed = ".".join(_url_safe(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "HS256"}, claims))
    return signed + "." + _url_safe(hmac.new(TOKEN_KEY, signed.encode(), hashlib.sha256).digest())


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


_AUTHENTICATE = {"PLAIN": _plain, "LOGIN": _login, "CRAM-MD5": _cram_md5, "XOAUTH2": _xoauth2}
