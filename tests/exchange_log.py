"""
Logs of Exchange as tests use them: sessions in, files out.

    front = session(HELLO + TLS + LOGIN + HANDED_OVER)                    rows of a front end's session on port 587
    hub = session(FROM_FRONT_END + MAIL, connector=CLIENT_PROXY, …)       and of the mailbox server behind it
    text = protocol(front, hub)                                           a file of both, its rows in the order of their time
    text = tracking(received(size=1519))

A row is an event, its data and its context; numbers and stamps are given to them one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

START = datetime(2026, 11, 23, 16, 6, 5, tzinfo=UTC)
CLIENT_FRONTEND = "EX1\\Client Frontend EX1"
CLIENT_PROXY = "EX1\\Client Proxy EX1"
DEFAULT = "EX1\\Default EX1"
FRONT, HUB, DIRECT = "08DE2A7B4C5D6E7F", "08DE2A7B4C5D9999", "08DE2A7B4C5DAAAA"
COLUMNS = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"
TRACKED = (
    "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,"
    "message-id,network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,"
    "message-subject,sender-address,return-path,message-info,directionality,tenant-id,original-client-ip,original-server-ip,custom-data,"
    "transport-traffic-type,log-id,schema-version"
)
BOM = "\ufeff"

Event = tuple[str, str, str]

HELLO: list[Event] = [
    ("+", "", ""),
    ("*", "SMTPSubmit SMTPAcceptAnyRecipient AcceptRoutingHeaders", "Set Session Permissions"),
    (">", "220 EX1.contoso.example Microsoft ESMTP MAIL Service ready at Mon, 23 Nov 2026 17:06:05 +0100", ""),
    ("<", "EHLO pc.contoso.example", ""),
    (">", "250  EX1.contoso.example Hello [192.0.2.10] SIZE 37748736 PIPELINING DSN STARTTLS AUTH NTLM 8BITMIME", ""),
]
SECURED = [
    ("<", "STARTTLS", ""),
    (">", "220 2.0.0 SMTP server ready", ""),
    ("*", "CN=EX1 CN=EX1 12DEABC6 2026-01-17T15:15:33.000Z EX1;EX1.contoso.example", "Sending certificate Subject Issuer name"),
]


def tls(protocol: str = "SP_PROT_TLS1_2_SERVER") -> list[Event]:
    agreed = (
        f"TLS protocol {protocol} negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits, "
        "MAC hash algorithm CALG_SHA_384 with strength 0 bits and key exchange algorithm CALG_ECDH_EPHEM with strength 384 bits"
    )
    return [*SECURED, ("*", "", agreed), ("<", "EHLO pc.contoso.example", ""), (">", "250  EX1.contoso.example Hello [192.0.2.10]", "")]


TLS = tls()


def challenged(mechanism: str = "LOGIN") -> list[Event]:
    return [("<", f"AUTH {mechanism}", ""), (">", "334 <authentication response>", ""), (">", "334 <authentication response>", "")]


def vouched(account: str) -> list[Event]:
    return [("*", "SMTPSubmit SMTPAcceptAnyRecipient BypassAntiSpam", "Set Session Permissions"), ("*", account, "authenticated")]


TAKEN: list[Event] = [(">", "235 2.7.0 Authentication successful", "")]
HANDED_OVER: list[Event] = [
    ("*", "", "Setting up client proxy session to destination(s)"),
    ("*", "", "Proxy session was successfully set up. Session for anna@contoso.example will now be proxied"),
]


def login(account: str = "anna@contoso.example", mechanism: str = "LOGIN", *, handed_over: bool = False) -> list[Event]:
    return [*challenged(mechanism), *vouched(account), *(HANDED_OVER if handed_over else []), *TAKEN]


def denied(name: str = "hunter2", mechanism: str = "LOGIN") -> list[Event]:
    return [
        *challenged(mechanism),
        ("*", "", f"Inbound AUTH {mechanism} failed because of LogonDenied"),
        ("*", "", f"User Name: {name}"),
        ("*", "Tarpit for '0.00:00:05' due to '535 5.7.3 Authentication unsuccessful'", ""),
        (">", "535 5.7.3 Authentication unsuccessful", ""),
    ]


def from_front_end(front: str = FRONT, client: str = "192.0.2.10", port: int = 50100, helo: str = "pc.contoso.example") -> list[Event]:
    return [
        ("+", "", ""),
        ("<", "EHLO EX1.contoso.example", ""),
        ("<", "X-ANONYMOUSTLS", ""),
        (">", "220 2.0.0 SMTP server ready", ""),
        ("*", "", TLS[3][2].replace("TLS1_2", "TLS1_3")),
        ("<", "X-EXPS EXCHANGEAUTH SHA256 ", ""),
        ("*", "NT AUTHORITY\\SYSTEM", "authenticated"),
        (">", "235 <authentication response>", ""),
        ("<", f"XPROXY SID={front} IP={client} PORT={port} DOMAIN={helo} CAPABILITIES=0 SECID=Uy0xLTUtMjE=", ""),
        (">", "250 XProxy accepted and authenticated", ""),
    ]


QUEUED = "1519 bytes in 0.112, 13.2 KB/sec Queued mail for delivery"


def mail(number: int = 1, recipients: int = 2, size: int = 1253, sender: str = "anna@contoso.example") -> list[Event]:
    return [
        ("<", f"MAIL FROM:<{sender}> SIZE={size}", ""),
        ("*", f"{HUB};2026-11-23T16:06:05.000Z;{number}", "receiving message"),
        (">", "250 2.1.0 Sender OK", ""),
        *[row for place in range(recipients) for row in (("<", f"RCPT TO:<r{place}@x.example>", ""), (">", "250 2.1.5 Recipient OK", ""))],
        ("<", "DATA", ""),
        (">", "354 Start mail input; end with <CRLF>.<CRLF>", ""),
        (">", f"250 2.6.0 <{number}@contoso.example> [InternalId={4792 + number}, Hostname=EX1.contoso.example] {QUEUED}", ""),
    ]


BYE: list[Event] = [("<", "QUIT", ""), (">", "221 2.0.0 Service closing transmission channel", ""), ("-", "", "Local")]


class Line(NamedTuple):
    time: str
    text: str


def quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if any(sign in field for sign in ',"\n\r') else field


def session(
    events: Iterable[Event],
    *,
    id: str = FRONT,  # noqa: A002 - what Exchange calls it
    connector: str = CLIENT_FRONTEND,
    local: str = "10.0.0.5:587",
    remote: str = "192.0.2.10:50100",
    start: datetime = START,
) -> list[Line]:
    """Rows of one session, a tenth of a second apart."""
    rows = []
    for number, event in enumerate(events):
        time = f"{start + timedelta(seconds=number / 10):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        rows.append(Line(time, ",".join(map(quoted, (time, connector, id, str(number), local, remote, *event)))))
    return rows


def front(events: Iterable[Event] | None = None, **stated: Any) -> list[Line]:
    """A client signs in with a front end, which hands it over."""
    return session([*HELLO, *TLS, *login(handed_over=True), ("-", "", "Remote")] if events is None else events, **stated)


def hub(*parts: list[Event], **stated: Any) -> list[Line]:
    """What the mailbox server logs of it, a second later."""
    given: dict[str, Any] = {
        "id": HUB,
        "connector": CLIENT_PROXY,
        "local": "10.0.0.5:465",
        "remote": "10.0.0.5:41500",
        "start": START + timedelta(seconds=2),
    }
    events = [*from_front_end(), *[event for part in parts for event in part], *BYE]
    return session(events, **given | stated)


def direct(*parts: list[Event], **stated: Any) -> list[Line]:
    """A server that takes clients itself: Exchange 2010, or an Edge server."""
    return session([event for part in parts for event in part], **{"id": DIRECT, "connector": "EX1\\Client EX1"} | stated)


def protocol(*sessions: list[Line], columns: str = COLUMNS, bom: bool = False, title: str = "SMTP Receive Protocol Log") -> bytes:
    """A file; its rows in the order of their time."""
    header = ["#Software: Microsoft Exchange Server", "#Version: 15.0.0.0", f"#Log-type: {title}", "#Date: 2026-11-23T16:00:00.000Z"]
    rows = sorted((line for lines in sessions for line in lines), key=lambda line: line.time)
    text = "\r\n".join([*header, f"#Fields: {columns}", *(row.text for row in rows), ""])
    return ((BOM if bom else "") + text).encode("utf-8", "surrogateescape")


def received(number: int = 1, *, context: str = HUB, size: int = 1519, recipients: int = 2, **stated: str) -> str:
    """A row of message tracking."""
    row = dict.fromkeys(TRACKED.split(","), "") | {
        "date-time": "2026-11-23T16:06:09.201Z",
        "client-ip": "10.0.0.5",
        "server-hostname": "EX1",
        "source-context": f"{context};2026-11-23T16:06:05.000Z;{number - 1}",
        "connector-id": CLIENT_PROXY,
        "source": "SMTP",
        "event-id": "RECEIVE",
        "internal-message-id": str(4792 + number),
        "message-id": f"<{number}@contoso.example>",
        "recipient-address": "r0@x.example;r1@x.example",
        "total-bytes": str(size),
        "recipient-count": str(recipients),
        "message-subject": "Report, as asked",
        "sender-address": "anna@contoso.example",
        "directionality": "Originating",
    }
    return ",".join(quoted(value) for value in (row | {name.replace("_", "-"): value for name, value in stated.items()}).values())


def tracking(*rows: str, columns: str = TRACKED) -> bytes:
    header = ["#Software: Microsoft Exchange Server", "#Version: 15.02.0986.005", "#Log-type: Message Tracking Log"]
    return "\r\n".join([*header, f"#Fields: {columns}", *rows, ""]).encode()
