"""
A real SMTP server on the loopback interface, for mail of the report.

    with SmtpServer(authority, implicit=True) as server:
        server.address                    localhost:40581
        server.taken                      messages that it took, with their envelopes
        server.replies["RCPT"] = "550 5.1.1 nobody of that name"
        server.slow.add(address)          takes a message to that address only once it is no longer there

It shows a certificate of a `trustme` authority, and signs in `USER` with `PASSWORD` where TLS is up. Without an authority it
speaks no TLS and asks nobody to sign in.
"""

from __future__ import annotations

import asyncio
import ssl
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, NamedTuple, Self

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from postgresql_server import free_port

USER, PASSWORD = "report", "S3cr3t of the report"
SETTINGS = {"mail_from": "report@contoso.example", "public_url": "https://report.example.org", "host_names": "report.example.org"}
"""What a site needs besides the server."""


def body(message: EmailMessage, kind: str = "plain") -> str:
    """What it says: as text, or as HTML."""
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


class Taken(NamedTuple):
    """One message."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    secure: bool
    signed_in: bool
    raw: bytes


class SmtpServer:
    """Takes whatever it is given, unless it was told otherwise."""

    def __init__(self, authority: trustme.CA | None = None, *, implicit: bool = False, name: str = "localhost") -> None:
        self.taken: list[Taken] = []
        self.replies: dict[str, str] = {}
        self.slow: set[str] = set()
        self.waiting: set[str] = set()
        port = free_port()
        self.address = f"localhost:{port}"
        options: dict[str, Any] = {}
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(name).configure_cert(context)
            options = {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": True}
            options |= {"authenticator": self._known, "auth_required": not implicit, "auth_require_tls": not implicit}
        self._controller = Controller(self, "127.0.0.1", port, **options)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def _known(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if "RCPT" not in self.replies:
            envelope.rcpt_tos.append(address)
        return self.replies.get("RCPT", "250 2.1.5 fine")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        while self.slow.intersection(envelope.rcpt_tos):
            self.waiting.update(envelope.rcpt_tos)
            await asyncio.sleep(0.02)
        if "DATA" not in self.replies:
            message = message_from_bytes(envelope.content, policy=default)
            secure = server.transport.get_extra_info("ssl_object") is not None
            self.taken.append(Taken(envelope.mail_from, envelope.rcpt_tos, message, secure, bool(session.authenticated), envelope.content))
        return self.replies.get("DATA", "250 2.0.0 taken")
