"""
The one record: a submission after SMTP AUTH, or an attempt that ended without one.

Sources make `Submission` rows from log lines, the store keeps them, reports count them. Values that a
server does not log are None or "unknown", never guessed.

Times are integers: microseconds since 1970-01-01 UTC. Names follow RFC 5321, 4954, 6409 and 8314.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """How the attempt ended."""

    ACCEPTED = "accepted"  # the server took the message
    REJECTED = "rejected"  # authenticated, transaction refused: one row per transaction
    NO_MAIL = "no_mail"  # authenticated, nothing accepted or refused in the session
    AUTH_FAILED = "auth_failed"  # the credentials were refused
    TLS_FAILED = "tls_failed"  # the handshake failed, so no account is known


class Service(StrEnum):
    """The door the client came through."""

    SUBMISSION = "submission"  # port 587, RFC 6409
    SUBMISSIONS = "submissions"  # port 465, TLS from the first byte, RFC 8314
    SMTP = "smtp"  # port 25
    UNKNOWN = "unknown"


class Tls(StrEnum):
    """Version of TLS, worst to best; "tls" is encrypted with a version that was not logged."""

    NONE = "none"
    SSLV3 = "SSLv3"
    TLS_1_0 = "TLSv1.0"
    TLS_1_1 = "TLSv1.1"
    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"
    UNVERSIONED = "tls"
    UNKNOWN = "unknown"


LEGACY_TLS = (Tls.SSLV3, Tls.TLS_1_0, Tls.TLS_1_1)
"""Versions that RFC 8996 forbids; what the filter value "legacy" means."""


class AuthClass(StrEnum):
    """What a mechanism does with the secret."""

    BASIC = "basic"  # the password itself crosses the wire
    CHALLENGE = "challenge"  # a proof of the password does
    OAUTH = "oauth"  # a token does
    OTHER = "other"
    UNKNOWN = "unknown"


AUTH_CLASSES: dict[AuthClass, tuple[str, ...]] = {
    AuthClass.BASIC: ("PLAIN", "LOGIN", "BASIC"),
    AuthClass.CHALLENGE: ("CRAM-MD5", "DIGEST-MD5", "NTLM", "SCRAM-*"),
    AuthClass.OAUTH: ("XOAUTH2", "OAUTHBEARER", "OAUTH"),
    AuthClass.UNKNOWN: ("unknown",),
}
"""Mechanisms of each class; a name that ends in "*" is a prefix. All others are AuthClass.OTHER. BASIC and OAUTH
are no names of IANA: so are called sign-ins of which a log tells the class, and by which of its mechanisms not."""

UNKNOWN_MECHANISM = "unknown"


class Identity(NamedTuple):
    """What makes two readings of one event the same row: equal keys, opened at most 2 seconds apart."""

    key: int  # unsigned 64 bits
    opened: int  # microseconds UTC


class Submission(NamedTuple):
    """One row. `key` and `opened` are its identity (see `Identity`); the other fields are what reports show."""

    key: int
    opened: int
    time: int
    server: str
    service: str
    source: str
    client_ip: str | None
    client_name: str | None
    helo: str | None
    account: str | None
    account_key: str | None
    mechanism: str
    tls_version: str
    tls_cipher: str | None
    sender: str | None  # "" is the null sender, None is not logged
    recipients: int | None
    size: int | None
    queue_id: str | None
    message_id: str | None
    outcome: str
    reason: str | None

    @property
    def identity(self) -> Identity:
        return Identity(self.key, self.opened)


def bare(identity: Identity, time: int, server: str, source: str, outcome: str) -> Submission:
    """A row of which nothing else is known."""
    return Submission(
        key=identity.key,
        opened=identity.opened,
        time=time,
        server=server,
        service=Service.UNKNOWN.value,
        source=source,
        client_ip=None,
        client_name=None,
        helo=None,
        account=None,
        account_key=None,
        mechanism=UNKNOWN_MECHANISM,
        tls_version=Tls.UNKNOWN.value,
        tls_cipher=None,
        sender=None,
        recipients=None,
        size=None,
        queue_id=None,
        message_id=None,
        outcome=outcome,
        reason=None,
    )


def domain_of(address: str | None, default: str | None = None) -> str | None:
    """Lower-cased domain of an address or account; `default` for a name without one.

    `DOMAIN\\user` (as Windows clients sign in) belongs to `default`: a NetBIOS name is no mail domain.
    """
    if not address:
        return None
    local, at, domain = address.rpartition("@")
    return domain.strip().lower() or default if at and local else default


def auth_class(mechanism: str) -> AuthClass:
    """Class of an IANA mechanism name."""
    for kind, names in AUTH_CLASSES.items():
        if mechanism in names or any(name.endswith("*") and mechanism.startswith(name[:-1]) for name in names):
            return kind
    return AuthClass.OTHER
