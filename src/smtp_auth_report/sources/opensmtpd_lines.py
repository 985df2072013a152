"""
OpenSMTPD: what each line says.

Above each pattern stands the line it reads. User names are encoded by vis(3), so that they hold no blank; what else a client
can write stands before the last mark of the server. Three generations say the same in their own ways: 5.4 and 5.9, 5.7, and
6.0 to 7.8, the last of which changed twice.

See also
    OpenSMTPD: usr.sbin/smtpd/smtp_session.c, usr.sbin/smtpd/to.c; vis(3)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from smtp_auth_report.sources import values
from smtp_auth_report.submission import Tls

_SESSION = rb"(?P<session>[0-9a-f]{16})"
_ADDRESS = rb"(?:\"(?:[^\"\\]|\\.)*\"|[^<>\"])*"
_TLS = rb"version=(?P<version>[^,\"]*), cipher=(?P<cipher>[^,\"]*), bits=\d+"
# address=192.0.2.10 host=pc.contoso.example        between 6.0 and 6.4 in every line
_CLIENT = rb"(?:address=(?P<ip>\S+) host=(?P<name>.*) )?"
_RECIPIENT = rb"from=<(?P<sender>" + _ADDRESS + rb")>,? to=<.*>,? size=(?P<size>\d{1,18}),? ndest=(?P<recipients>\d{1,9}),? proto=\w+"

# 532b651e4e9b1a8b smtp connected address=127.0.1.22 host=<unknown>
# 532b651e4e9b1a8b smtp event=connected address=[2001:db8::1] host=pc.contoso.example
CONNECTED = rb"connected address=(?P<ip>\S+) host=(?P<name>.*)"
# smtp-in: session 532b651e4e9b1a8b: connection from host pc.contoso.example [192.0.2.10] established
CONNECTED_5_7 = rb"session " + _SESSION + rb": connection from host (?P<name>.*) \[(?P<ip>\S+)\] established"
# smtp-in: New session 532b651e4e9b1a8b from host pc.contoso.example [192.0.2.10]
CONNECTED_5 = rb"New session " + _SESSION + rb" from host (?P<name>.*) \[(?P<ip>\S+)\]"

# 532b651e4e9b1a8b smtp tls ciphers=TLSv1.3:TLS_AES_256_GCM_SHA384:256
# 532b651e4e9b1a8b smtp starttls address=192.0.2.10 host=pc ciphers="version=TLSv1.2, cipher=ECDHE-RSA-AES256-GCM-SHA384, bits=256"
ENCRYPTED = rb"(?:starttls|tls) " + _CLIENT + rb"ciphers=\"?(?:" + _TLS + rb"|(?P<version_7>[^:\s\"]+):(?P<cipher_7>[^:\s\"]+):\d+)\"?"
# smtp-in: session 532b651e4e9b1a8b: TLS started version=TLSv1.2, cipher=ECDHE-RSA-AES256-GCM-SHA384, bits=256
ENCRYPTED_5_7 = rb"session " + _SESSION + rb": TLS started " + _TLS
# smtp-in: Started TLS on session 532b651e4e9b1a8b: version=TLSv1.2, cipher=ECDHE-RSA-AES256-GCM-SHA384, bits=256
ENCRYPTED_5 = rb"Started TLS on session " + _SESSION + rb": " + _TLS

# 532b651e4e9b1a8b smtp authentication user=anna@contoso.example result=permfail
# 532b651e4e9b1a8b smtp event=authentication user=anna@contoso.example address=192.0.2.10 host=pc result=ok
AUTHENTICATION = rb"authentication user=(?P<user>\S*) " + _CLIENT + rb"result=(?P<result>ok|permfail|tempfail)"
# smtp-in: session 532b651e4e9b1a8b: authentication temporary failure for user anna@contoso.example
AUTHENTICATION_5_7 = rb"session " + _SESSION + rb": authentication (?P<result>successful|failure|temporary failure) for user (?P<user>\S*)"
# smtp-in: Accepted authentication for user anna@contoso.example on session 532b651e4e9b1a8b
AUTHENTICATION_5 = (
    rb"(?P<result>Accepted authentication|Authentication failed|Authentication temporarily failed) for user (?P<user>\S*)"
    rb" on session " + _SESSION
)
RESULTS: Mapping[bytes, str | None] = {
    **dict.fromkeys((b"ok", b"successful", b"Accepted authentication")),
    **dict.fromkeys((b"permfail", b"failure", b"Authentication failed"), "bad_credentials"),
    **dict.fromkeys((b"tempfail", b"temporary failure", b"Authentication temporarily failed"), "server_error"),
}
"""What a sign-in came to: the reason of a failure, None where it did not fail."""

# 532b651e4e9b1a8b smtp message msgid=e180c775 size=5227 nrcpt=1 proto=ESMTP
MESSAGE = rb"message msgid=(?P<message>[0-9a-f]{8}) size=(?P<size>\d{1,18}) nrcpt=(?P<recipients>\d{1,9}) proto=\w+"
# 532b651e4e9b1a8b smtp envelope evpid=e180c775c3ba0d1f from=<anna@contoso.example> to=<x32@proseware.example>
ENVELOPE = rb"envelope evpid=(?P<message>[0-9a-f]{8})[0-9a-f]{8} from=<(?P<sender>" + _ADDRESS + rb")> to=<.*>"
# 532b651e4e9b1a8b smtp event=message address=192.0.2.10 host=pc msgid=e180c775 from=<a@b> to=<c@d> size=5227 ndest=1 proto=ESMTP
RECIPIENT = rb"message " + _CLIENT + rb"msgid=(?P<message>[0-9a-f]{8}) " + _RECIPIENT
# smtp-in: session 532b651e4e9b1a8b: msgid=e180c775, status=Ok, from=<a@b>, to=<c@d>, size=5227, ndest=1, proto=ESMTP
RECIPIENT_5_7 = rb"session " + _SESSION + rb": msgid=(?P<message>[0-9a-f]{8}), status=Ok, " + _RECIPIENT
# smtp-in: Accepted message e180c775 on session 532b651e4e9b1a8b: from=<a@b>, to=<c@d>, size=5227, ndest=1, proto=ESMTP
RECIPIENT_5 = rb"Accepted message (?P<message>[0-9a-f]{8}) on session " + _SESSION + rb": " + _RECIPIENT

# 532b651e4e9b1a8b smtp failed-command command="AUTH LOGIN (password)" result="535 Authentication failed"
# 532b651e4e9b1a8b smtp event=failed-command address=192.0.2.10 host=pc command="RCPT TO:<x@y.example>" result="550 Invalid recipient"
REFUSED = rb"failed-command " + _CLIENT + rb"command=\"(?P<command>.*)\" result=\"(?P<answer>\d{3} .*)\""
# smtp-in: Failed command on session 532b651e4e9b1a8b: "AUTH [...]" => 535 Authentication failed
REFUSED_5 = rb"Failed command on session " + _SESSION + rb": \"(?P<command>.*)\" => (?P<answer>\d{3} .*)"

# 532b651e4e9b1a8b smtp disconnected reason=quit
# 532b651e4e9b1a8b smtp event=closed address=192.0.2.10 host=pc reason="io-error: Connection reset by peer"
CLOSED = rb"(?:disconnected|closed) .*"
# smtp-in: session 532b651e4e9b1a8b: connection from host pc.contoso.example [192.0.2.10] closed (client sent QUIT)
# smtp-in: session 532b651e4e9b1a8b: closing, too many failed RCPT
CLOSED_5_7 = rb"session " + _SESSION + rb": (?:connection from host .* closed \(.*\)|closing, .*)"
# smtp-in: Closing session 532b651e4e9b1a8b
# smtp-in: Received disconnect from session 532b651e4e9b1a8b
CLOSED_5 = rb"(?:Closing|Disconnecting|Ending|Received disconnect from) session " + _SESSION + rb"(?:: .*)?"


class Event(StrEnum):
    """What a line tells of its session."""

    CONNECTED = "connected"
    ENCRYPTED = "encrypted"
    AUTHENTICATION = "authentication"
    MESSAGE = "message"  # taken for all of its recipients
    RECIPIENT = "recipient"  # taken for one of its recipients
    ENVELOPE = "envelope"
    REFUSED = "refused"
    CLOSED = "closed"


def _patterns(**patterns: bytes) -> tuple[tuple[Event, re.Pattern[bytes]], ...]:
    return tuple((Event(name), re.compile(pattern, re.DOTALL)) for name, pattern in patterns.items())


_6: Mapping[bytes, tuple[tuple[Event, re.Pattern[bytes]], ...]] = {
    b"connected": _patterns(connected=CONNECTED),
    b"tls": _patterns(encrypted=ENCRYPTED),
    b"starttls": _patterns(encrypted=ENCRYPTED),
    b"authentication": _patterns(authentication=AUTHENTICATION),
    b"message": _patterns(message=MESSAGE, recipient=RECIPIENT),
    b"envelope": _patterns(envelope=ENVELOPE),
    b"failed-command": _patterns(refused=REFUSED),
    b"disconnected": _patterns(closed=CLOSED),
    b"closed": _patterns(closed=CLOSED),
}
"""Lines of 6.0 and newer, by the word behind "smtp "."""

_5_7 = _patterns(
    connected=CONNECTED_5_7,
    encrypted=ENCRYPTED_5_7,
    authentication=AUTHENTICATION_5_7,
    recipient=RECIPIENT_5_7,
    closed=CLOSED_5_7,
)
_5 = _patterns(
    connected=CONNECTED_5,
    encrypted=ENCRYPTED_5,
    authentication=AUTHENTICATION_5,
    recipient=RECIPIENT_5,
    refused=REFUSED_5,
    closed=CLOSED_5,
)


class Told(NamedTuple):
    """What a line tells."""

    event: Event
    session: str
    found: re.Match[bytes]


def read(text: bytes) -> Told | None:
    """What a line tells; None for one that tells nothing, or is of no known shape."""
    if text.startswith(b"smtp-in: "):
        for event, pattern in _5_7 if text.startswith(b"session ", 9) else _5:
            found = pattern.fullmatch(text, 9)
            if found is not None:
                return Told(event, found["session"].decode("ascii"), found)
        return None
    begins = 28 if text.startswith(b"event=", 22) else 22
    for event, pattern in _6.get(text[begins : text.find(b" ", begins)], ()):
        found = pattern.fullmatch(text, begins)
        if found is not None:
            return Told(event, text[:16].decode("ascii"), found)
    return None


def looks_ours(text: bytes) -> bool:
    """Whether a line that tells nothing begins as one that should."""
    words = (b" smtp authentication ", b" smtp event=authentication ", b" smtp message ", b" smtp event=message ")
    return text.startswith(words, 16) or text.startswith((b"smtp-in: Accepted ", b"smtp-in: Authentication "))


# MAIL FROM:<a@b.example> SIZE=120        RCPT TO:<x@y.example>        AUTH PLAIN (...)        DATA
COMMAND = re.compile(rb"(?P<verb>[A-Za-z]+)(?: (?:FROM|TO):\s*<?(?P<address>" + _ADDRESS + rb")>?| (?P<word>\S+))?", re.IGNORECASE)

# name\040with\040blanks    TAILSPIN\\backup_job    j\M-C\M-<rgen    a\^Ab    \M^@
_VIS = re.compile(rb"\\(?:(?P<octal>[0-3][0-7]{2})|M(?P<meta>[-^])(?P<high>.)|\^(?P<control>.)|(?P<plain>[\\\"nrbavtfs0]))", re.DOTALL)
_C_STYLE = dict(zip(b"nrbavtfs0", b"\n\r\b\a\v\t\f \0", strict=True))

OUT_OF_PLACE = (b"500", b"502", b"503")
"""Answers to commands that the server does not know, or not here: no transaction is refused by them."""

_SIGN_INS = (
    (b"504", "mechanism_not_offered"),
    (b"503 5.5.1 invalid command: already", "protocol_error"),
    (b"503", "not_offered"),
    (b"501", "protocol_error"),
    (b"4", "server_error"),
)
_REFUSALS = (
    (b"message too big", "too_large"),
    (b"too many", "rate_limited"),
    (b"sender rejected", "sender_not_owned"),
)
_STAGES = {b"MAIL": "sender_refused", b"RCPT": "recipient_refused"}
REASONS = tuple(
    sorted(
        {reason for table in (_SIGN_INS, _REFUSALS) for _, reason in table}
        | set(_STAGES.values())
        | {"bad_credentials", "content_refused", "deferred", "server_error"}
    )
)
"""Every value of `Submission.reason` that this source gives."""


def unvis(raw: bytes) -> str:
    """Text as it was before vis(3) encoded it."""
    return values.text(_VIS.sub(_decoded, raw) if b"\\" in raw else raw)


def _decoded(found: re.Match[bytes]) -> bytes:
    if found["octal"]:
        return bytes([int(found["octal"], 8)])
    if found["plain"]:
        return bytes([_C_STYLE.get(found["plain"][0], found["plain"][0])])
    character = (found["high"] or found["control"])[0]
    if found["meta"] != b"-":
        character = 127 if character == ord("?") else character & 31
    return bytes([character | 128 if found["meta"] else character])


def tls(found: re.Match[bytes]) -> tuple[Tls, str]:
    """Version and cipher of an encrypted connection."""
    groups = found.groupdict()
    return values.tls_version(values.text(groups["version"] or groups["version_7"])), values.text(groups["cipher"] or groups["cipher_7"])


def client_name(raw: bytes) -> str | None:
    """Reverse name of the client; None where the server found none."""
    return None if raw in {b"<unknown>", b""} else values.text(raw)


class Command(NamedTuple):
    """A command that was refused."""

    verb: bytes
    word: str  # the mechanism of AUTH
    address: str | None


def command(raw: bytes) -> Command:
    """Parts of a command as the client typed it, in the server's encoding."""
    found = COMMAND.match(raw)
    if found is None:
        return Command(b"", "", None)
    address = found["address"]
    return Command(found["verb"].upper(), values.text(found["word"] or b""), None if address is None else unvis(address))


def sign_in_reason(answer: bytes) -> str:
    """Why an AUTH command failed, in our words."""
    lower = answer.lower()
    return next((reason for begins, reason in _SIGN_INS if lower.startswith(begins)), "bad_credentials")


def refusal_reason(verb: bytes, answer: bytes) -> str:
    """Why a transaction was refused, in our words."""
    lower = answer.lower()
    found = next((reason for needle, reason in _REFUSALS if needle in lower), None)
    return found or ("deferred" if lower.startswith(b"4") else _STAGES.get(verb, "content_refused"))
