"""
Exchange Server: what its logs say, and how it is recognised.

    kind = kind_of(first_lines)           PROTOCOL, TRACKING, or a log that looks alike and is refused by name
    row = Row(…)                          one row of an SMTP Receive protocol log
    tls(row), denial(row), name(row) …    what the server tells in a row; None where it tells something else

Every pattern stands under a row as Exchange writes it. What a client sent stands in rows of its own (`<`) and behind the
message id that it chose; the server's words are read from the side where only the server writes.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from smtp_auth_report.sources import values
from smtp_auth_report.sources.csv_log import BOM, fields
from smtp_auth_report.words import marked

REASONS = (
    "aborted",
    "bad_credentials",
    "certificate_refused",
    "connection_lost",
    "content_refused",
    "deferred",
    "handshake_failed",
    "mechanism_not_offered",
    "protocol_error",
    "rate_limited",
    "recipient_refused",
    "refused",
    "relay_denied",
    "sender_not_owned",
    "sender_refused",
    "server_error",
    "timeout",
    "too_large",
    "unknown_recipient",
)


class Kind(Enum):
    """A kind of log that Exchange writes."""

    PROTOCOL = "SMTP Receive Protocol Log"
    TRACKING = "Message Tracking Log"
    SEND = "SMTP Send Protocol Log"
    IMAP = "IMAP4 Log"
    POP = "POP3 Log"


REFUSED = {
    Kind.SEND: marked(
        "is Exchange's SMTP Send protocol log, which tells what the server sent; name its SMTP Receive protocol logs (SmtpReceive)"
    ),
    Kind.IMAP: marked("is Exchange's IMAP4 protocol log, in which nobody submits mail; name its SMTP Receive protocol logs (SmtpReceive)"),
    Kind.POP: marked("is Exchange's POP3 protocol log, in which nobody submits mail; name its SMTP Receive protocol logs (SmtpReceive)"),
}

PROTOCOL_COLUMNS = (
    "date-time", "connector-id", "session-id", "sequence-number", "local-endpoint", "remote-endpoint", "event", "data", "context",
)  # fmt: skip
TRACKING_COLUMNS = tuple(
    """
    date-time client-ip client-hostname server-ip server-hostname source-context connector-id source event-id internal-message-id
    message-id network-message-id recipient-address recipient-status total-bytes recipient-count related-recipient-address reference
    message-subject sender-address return-path message-info directionality tenant-id original-client-ip original-server-ip
    custom-data transport-traffic-type log-id schema-version
    """.split()
)

# #Software: Microsoft Exchange Server
SOFTWARE = b"#Software: Microsoft Exchange"
# #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context
HEADER = re.compile(rb"#Fields: (.*)", re.IGNORECASE)
# #Log-type: SMTP Receive Protocol Log
TITLE = re.compile(rb"#Log-type: (.*?)\s*", re.IGNORECASE)
# Lines before the rows of a file
HEADERS = re.compile(rb"(?:\xef\xbb\xbf)?(?:#[^\n]*\n)*")
# 2026-11-23T16:06:06.123Z,     or a header: what a file, or a row, begins with
BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?#|\d{4}-\d\d-\d\dT[\d:.]*Z?,")
# 2026-11-23T16:06:06.123Z
STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,7})?Z?$")
# 08DE2A7B4C5D6E7F
SESSION = re.compile(rb"[0-9A-Fa-f]{8,16}$")


def kind_of(lines: list[bytes]) -> Kind | None:
    """What these first lines are of, by their header, else by the shape of their rows; None where they are not Exchange's."""
    lines = [line.removeprefix(BOM).rstrip() for line in lines]
    titles = {kind.value.lower().encode(): kind for kind in Kind}
    for line in lines:
        title = TITLE.fullmatch(line)
        if title:
            return titles.get(title[1].lower())
    headers = [found[1].lower() for found in map(HEADER.match, lines) if found]
    return _by_columns(headers[0].split(b",")) if headers else _by_shape(lines)


def _by_columns(names: list[bytes]) -> Kind | None:
    if {b"session-id", b"sequence-number", b"event", b"data"} <= set(names):
        return Kind.PROTOCOL
    if {b"event-id", b"source-context"} <= set(names):
        return Kind.TRACKING
    return Kind.IMAP if {b"sessionid", b"seqnumber", b"command"} <= set(names) else None


def _by_shape(lines: list[bytes]) -> Kind | None:
    for record in map(fields, lines):
        if not STAMP.match(record[0]):
            continue
        if len(record) == len(PROTOCOL_COLUMNS) and SESSION.match(record[2]) and record[6] in EVENTS and record[3].isdigit():
            return Kind.PROTOCOL
        if len(record) >= 19 and record[8].isalpha() and record[8].isupper() and record[7].isalpha():
            return Kind.TRACKING
        if len(record) == 12 and SESSION.match(record[1]) and record[2].isdigit():
            return Kind.IMAP
    return None


EVENTS = (b"+", b"-", b">", b"<", b"*")


class Row(NamedTuple):
    """One row of an SMTP Receive protocol log."""

    time: int  # microseconds UTC
    connector: str  # EX1\\Client Frontend EX1
    session: str
    number: int
    local: bytes
    remote: bytes
    event: bytes  # one of EVENTS: connected, disconnected, sent, received, information
    data: bytes
    context: bytes


class Outline(NamedTuple):
    """A whole session that went as most do: what matters of its rows."""

    connector: str
    session: str
    local: bytes
    remote: bytes
    rows: int
    last: int  # time of its newest row
    helo: bytes | None
    tls: bytes | None  # context of the row that says what was agreed on
    secured: bool  # STARTTLS was answered
    proxy: bytes | None  # the command by which a front end handed its client over
    signed_in: bool  # the client, or a front end for it
    mechanism: bytes
    account: bytes | None
    told: int  # when it was signed in, if it was handed over by then
    handed_over: bool
    messages: list[tuple[int, int, bytes, int, int, bytes]]  # number and time of the row of MAIL, its data; recipients, time, words


# Connections

# 192.0.2.10:50100, [2001:db8::1]:50100
ENDPOINT = re.compile(rb"\[?([^\[\]]*)\]?:(\d{1,5})$")
# TLS protocol SP_PROT_TLS1_2_SERVER negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits, MAC …
TLS = re.compile(rb"TLS protocol (\S+) negotiation succeeded using bulk encryption algorithm (\S+)")
# TLS negotiation failed with error AlgorithmMismatch
TLS_FAILED = re.compile(rb"TLS negotiation failed with error (\w+)")
HANDSHAKES = {
    b"UntrustedRoot": "certificate_refused",
    b"CertUnknown": "certificate_refused",
    b"CertExpired": "certificate_refused",
    b"WrongPrincipal": "certificate_refused",
    b"ConnectionReset": "connection_lost",
    b"Shutdown": "connection_lost",
    b"TimedOut": "timeout",
}

# XPROXY SID=08DE2A7B4C5D6E7F IP=192.0.2.10 PORT=50100 DOMAIN=pc.contoso.example CAPABILITIES=0 SECID=Uy0xLTUt…
XPROXY = re.compile(rb"XPROXY (?:.* )?SID=(\S+)(?: .*)?$", re.IGNORECASE)
XPROXY_FIELD = re.compile(rb"(?<= )(\w+)=(\S*)")

# Signing in

# *,CONTOSO\anna,authenticated
AUTHENTICATED = b"authenticated"
# *,,User Name: anna
USER_NAME = b"User Name: "
NO_NAME = b"NULL"
# *,,Inbound AUTH LOGIN failed because of LogonDenied
# *,,Inbound authentication failed because of LogonDenied
# *,,Inbound Negotiate failed because of InvalidToken
DENIED = re.compile(rb"Inbound (?:AUTH \S+|authentication|Negotiate) failed ")
# *,,Proxy session was successfully set up. Session for anna@contoso.example will now be proxied
PROXIED = re.compile(rb"Proxy session was successfully set up\. (?:Session for *(.*?) )?will now be proxied$", re.DOTALL)
# *,,Setting up client proxy session to destination(s)
PROXYING = re.compile(rb"Setting up client proxy session (?!failed)")

# Transactions

# MAIL FROM:<anna@contoso.example> SIZE=1253
MAIL = re.compile(rb'MAIL FROM: ?<?(?P<sender>(?:"(?:[^"\\]|\\.)*"|[^\s>"]+)*)>?(?P<rest>.*)', re.IGNORECASE | re.DOTALL)
SIZE = re.compile(rb" SIZE=(\d{1,15})(?: |$)", re.IGNORECASE)
# 250 2.6.0 <1@contoso.example> [InternalId=4793, Hostname=ex1.contoso.example] 1519 bytes in 0.112, 13.2 KB/sec Queued mail for delivery
QUEUED = re.compile(rb"250 2\.6\.0 (.*)Queued mail for delivery$", re.DOTALL)
INTERNAL_ID = re.compile(rb" ?\[InternalId=(\d+)(?:, Hostname=([^\[\],\s]+))?\][^\[\]]*$")
# 550 5.7.60 SMTP; Client does not have permissions to send as this sender
REPLY = re.compile(rb"(\d{3})([ -])(?:(\d\.\d{1,3}\.\d{1,3}) )?(.*)", re.DOTALL)
CODES = {
    b"5.7.60": "sender_not_owned",
    b"5.7.54": "relay_denied",
    b"5.1.1": "unknown_recipient",
    b"5.1.10": "unknown_recipient",
    b"5.3.4": "too_large",
    b"5.2.3": "too_large",
    b"4.5.3": "rate_limited",
    b"5.5.3": "rate_limited",
    b"4.4.2": "rate_limited",
    b"4.7.28": "rate_limited",
}
STAGES = {"MAIL": "sender_refused", "RCPT": "recipient_refused", "DATA": "content_refused"}


CONTEXTS = ("nothing", "agreed", "proxying", "vouched", "unusual", "proxied")
"""What a row of information may mean, as exchange_whole.pyx numbers it."""


def read_context(context: bytes) -> int:
    """What the server's words say of a session that goes as most do: see CONTEXTS."""
    if context.startswith(b"TLS "):
        if TLS.match(context):
            return CONTEXTS.index("agreed")
        return CONTEXTS.index("unusual" if TLS_FAILED.match(context) else "nothing")
    if PROXYING.match(context):
        return CONTEXTS.index("proxying")
    if context == AUTHENTICATED:
        return CONTEXTS.index("vouched")
    if DENIED.match(context) or context.startswith(USER_NAME):
        return CONTEXTS.index("unusual")
    return CONTEXTS.index("proxied" if PROXIED.match(context) else "nothing")


def is_proxy(command: bytes) -> bool:
    """Whether a command hands a client over."""
    return XPROXY.match(values.text(command).encode()) is not None


def refusal(stage: str, code: bytes, status: bytes | None, text: bytes) -> str:
    """Reason of a refused command of a transaction."""
    if b"nable to relay" in text:
        return "relay_denied"
    if b"send as this sender" in text:
        return "sender_not_owned"
    reason = CODES.get(status or b"")
    if reason is None and code[:1] == b"4":
        return "deferred"
    return reason or (STAGES[stage] if (status or b"").startswith(b"5.7.") or stage != "DATA" else "refused")


def sign_in_refusal(code: bytes, text: bytes, *, denied: bool) -> str:
    """Reason of a sign-in that ended with this reply."""
    if code == b"535" or (denied and code == b"421"):
        return "bad_credentials"
    if code in {b"504", b"530"}:
        return "mechanism_not_offered"
    if code[:2] == b"50":
        return "aborted" if b"cancel" in text.lower() else "protocol_error"
    if code == b"421" and b"oo many" in text:
        return "rate_limited"
    return "server_error" if code[:1] == b"4" else "refused"
