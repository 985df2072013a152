"""
Mail of our own, handed to the site's SMTP server by message submission (RFC 6409).

    ready(settings, os.environ)                   whether all is there that sending needs; "" or the password
    message = letter(settings, identifier, …)     with all headers; parts may be added
    hand_over(message, settings, os.environ)      signed in where there is a user

The connection is TLS from its first byte (RFC 8314) or by STARTTLS, and the server's certificate must be good for its name
by an authority that the machine trusts. Only on the loopback interface may it be plain.

What goes wrong
    SettingError for what is not set, or cannot be. DeliveryError, one line, where the server did not take the message.

See also
    web/postbox.py for when something is tried again; docs/mail.md
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from contextlib import closing, suppress
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime
from urllib.parse import urlsplit

from smtp_auth_report.errors import ReportError, SettingError, one_line
from smtp_auth_report.moments import moment
from smtp_auth_report.settings import PREFIX, Settings, is_loopback, secret_in
from smtp_auth_report.words import marked, translated, why, worded

PASSWORD = f"{PREFIX}MAIL_PASSWORD"
TIMEOUT = 30
LONGEST_REPLY = 200

REFUSED = {
    smtplib.SMTPAuthenticationError: marked("{where} refuses the sign-in; check mail_user and its password"),
    smtplib.SMTPSenderRefused: marked("{where} refuses the sender; check mail_from"),
    smtplib.SMTPDataError: marked("{where} refuses the message"),
}


class _Whole(UnstructuredHeader, BaseHeader):
    """A header of addresses that programs read: folded, a long one would become encoded words."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_headers = HeaderRegistry()
_headers.map_to_type("List-Unsubscribe", _Whole)
POLICY = SMTP.clone(header_factory=_headers)


class DeliveryError(ReportError):
    """Why the server did not take a message."""

    def __init__(self, words: str, *, final: bool = False) -> None:
        super().__init__(words)
        self.final = final  # it would say the same again


def ready(settings: Settings, environment: Mapping[str, str]) -> str:
    """The password of the mail server's user, when all is there that sending needs; raises SettingError for what is not."""
    if not settings.mail_server:
        return ""
    for name in ("mail_from", "public_url"):
        if not getattr(settings, name):
            raise SettingError(
                worded("mail: {name} is not set; sending mail through {server} needs it", name=name, server=settings.mail_server)
            )
    if settings.mail_security == "none" and not is_loopback(settings.mail_address[0]):
        raise SettingError(
            worded("mail: {server} is another machine; without TLS, mail goes to the loopback interface alone", server=settings.mail_server)
        )
    host = urlsplit(settings.public_url).hostname or ""
    if not is_loopback(host) and host not in {*settings.hosts, settings.listen_address[0]}:
        raise SettingError(worded("mail: pages are not answered under the name of public_url; add {host} to host_names", host=host))
    return _password(settings, environment) if settings.mail_user else ""


def _password(settings: Settings, environment: Mapping[str, str]) -> str:
    path = settings.mail_password_file
    password = secret_in("mail: mail_password_file", path) if path else environment.get(PASSWORD, "")
    if not password:
        raise SettingError(
            worded("mail: there is no password; set mail_password_file to the file that holds it, or {variable}", variable=PASSWORD)
        )
    if not (password + settings.mail_user).isascii():
        raise SettingError(worded("mail: mail_user and its password must be ASCII; others cannot be signed in with everywhere"))
    return password


def letter(settings: Settings, identifier: str, now: int, name: str, address: str, subject: str, text: str) -> EmailMessage:
    """A message of the report, from its `name`. The same identifier is the same message; no robot answers it (RFC 3834)."""
    message = EmailMessage(policy=POLICY)
    message["From"] = Address(name, addr_spec=settings.mail_from)
    message["To"] = Address(addr_spec=address)
    message["Subject"] = subject
    message["Date"] = format_datetime(moment(now))
    message["Message-ID"] = f"<{identifier}@{settings.mail_from.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


def hand_over(message: EmailMessage, settings: Settings, environment: Mapping[str, str]) -> None:
    """Once this returns, the server has the message."""
    password = ready(settings, environment)
    where = settings.mail_server
    try:
        with closing(_connected(settings)) as server:
            if settings.mail_user:
                server.login(settings.mail_user, password)
            server.send_message(message, settings.mail_from)
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
    except smtplib.SMTPRecipientsRefused as error:
        code, reply = next(iter(error.recipients.values()))
        raise DeliveryError(
            worded("{where} refuses the recipient: {words}", where=where, words=_said(code, reply)), final=code >= 500
        ) from None
    except smtplib.SMTPResponseException as error:
        words = translated(REFUSED.get(type(error), marked("{where} does not answer as it should"))).format(where=where)
        said = _said(error.smtp_code, error.smtp_error)
        raise DeliveryError(worded("{words}: {code}", words=words, code=said), final=error.smtp_code >= 500) from None
    except smtplib.SMTPNotSupportedError as error:
        raise DeliveryError(
            worded("{where} lacks what is needed: {words}", where=where, words=str(error).rstrip(".")), final=True
        ) from None
    except smtplib.SMTPException as error:
        raise DeliveryError(worded("{where} broke off: {words}", where=where, words=_line(str(error)))) from None
    except ssl.SSLCertVerificationError as error:
        raise DeliveryError(
            worded("{where} shows a certificate that is not accepted: {words}", where=where, words=error.verify_message.rstrip("."))
        ) from None
    except OSError as error:
        raise DeliveryError(
            worded(
                "{where} cannot be reached: {words}",
                where=where,
                words=_line(why(error) if error.strerror else str(error)) or type(error).__name__,
            )
        ) from None


def _connected(settings: Settings) -> smtplib.SMTP:
    host, port = settings.mail_address
    context = ssl.create_default_context()
    if settings.mail_security == "implicit":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=context)
    server = smtplib.SMTP(host, port, timeout=TIMEOUT)
    if settings.mail_security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _said(code: int, reply: bytes | str) -> str:
    return _line(f"{code} {reply.decode('utf-8', 'replace') if isinstance(reply, bytes) else reply}")


def _line(text: str) -> str:
    return one_line(text)[:LONGEST_REPLY]
