"""hMailServer's log: conversations, what the thread that accepts tells, and clients that break lines."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st

from reading import read, run
from samples import ANNA, HANDSHAKE, hmailserver
from smtp_auth_report.submission import Submission

Line = tuple[str, str]
CONNECTED: Line = ("TCPIP", "TCP - 192.0.2.10 connected to 10.0.0.1:587.")
SHAKEN: Line = ("TCPIP", HANDSHAKE)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def said(*texts: str) -> list[Line]:
    """What client (<) and server (>) said."""
    return [("SMTPD", ("RECEIVED: " if text.startswith("<") else "SENT: ") + text[1:]) for text in texts]


GREETING = said(">220 mail ESMTP", "<EHLO pc", ">250-mail[nl]250 HELP")
STARTTLS = [*said("<STARTTLS", ">220 Ready to start TLS"), SHAKEN]
AUTH = said("<AUTH LOGIN", ">334 VXNlcm5hbWU6", f"<{b64(ANNA)}", ">334 UGFzc3dvcmQ6", "<***", ">235 authenticated.")
MAIL = said(
    "<MAIL FROM:<a.berg@contoso.example> SIZE=1253", ">250 OK", "<RCPT TO:<x@y.example>", ">250 OK", "<DATA", ">354 OK, send.",
    ">250 Queued (0.016 seconds)",
)  # fmt: skip
QUIT = said("<QUIT", ">221 goodbye")


def log(*lines: Line, ends: str = "\r\n") -> bytes:
    return "".join(line + ends for line in hmailserver(*lines)).encode()


def only(*lines: Line) -> Submission:
    [row] = read(log(*lines))
    return row


def test_one_message() -> None:
    row = only(CONNECTED, *GREETING, *STARTTLS, *AUTH, *MAIL, *QUIT)
    assert (row.account, row.mechanism, row.client_ip, row.helo) == (ANNA, "LOGIN", "192.0.2.10", "pc")
    assert (row.tls_version, row.tls_cipher, row.service) == ("TLSv1.2", "AES128-SHA", "submission")
    assert (row.sender, row.recipients, row.size, row.queue_id, row.outcome) == ("a.berg@contoso.example", 1, 1253, None, "accepted")
    assert read(log(CONNECTED, *GREETING, *STARTTLS, *AUTH, *MAIL, *QUIT, ends="\n")) == [row], "a copy with other line ends"


def test_every_way_to_sign_in() -> None:
    ways = {
        "LOGIN": [AUTH, said(f"<AUTH LOGIN {b64(ANNA)}", ">334 UGFzc3dvcmQ6", "<***", ">235 authenticated.")],
        "PLAIN": [
            said(f"<AUTH PLAIN {b64(ANNA)} ***", ">235 authenticated."),
            said("<AUTH PLAIN", ">334 Log on", f"<{b64(ANNA)} ***", ">235 authenticated."),
        ],
    }
    for mechanism, all_of in ways.items():
        for way in all_of:
            row = only(*GREETING, *way, *MAIL)
            assert (row.account, row.mechanism) == (ANNA, mechanism)


def test_credentials_that_are_not_masked_are_not_read() -> None:
    secret = b64("\0anna\0hunter2")
    for way in (
        said(f"<AUTH PLAIN {secret}", ">235 authenticated."),
        said("<AUTH PLAIN", ">334 Log on", f"<{secret}", ">235 authenticated."),
    ):
        row = only(*GREETING, *way, *MAIL)
        assert (row.account, row.mechanism) == (None, "PLAIN")
    source, changes = run(log(*GREETING, *said("<AUTH LOGIN", ">334 VXNlcm5hbWU6", f"<{b64('hunter2')}")))
    assert "hunter2" not in str(source.remember()) + str(changes)
    assert b64("hunter2") not in str(source.remember())


def test_tls() -> None:
    assert only(CONNECTED, *GREETING, *AUTH, *MAIL).tls_version == "none", "TCP/IP is logged, and no handshake is"
    assert only(*GREETING, *AUTH, *MAIL).tls_version == "unknown", "TCP/IP is not logged: TLS may have begun at once"
    assert only(*GREETING, *STARTTLS[:2], *AUTH, *MAIL).tls_version == "tls"
    row = only(("TCPIP", CONNECTED[1].replace("587", "465")), SHAKEN, *GREETING, *AUTH, *MAIL)
    assert (row.tls_version, row.service) == ("TLSv1.2", "unknown"), "another thread may greet when TLS has begun"
    other = ("TCPIP", CONNECTED[1].replace("192.0.2.10", "198.51.100.7"))
    assert (only(other, *GREETING, *AUTH, *MAIL).tls_version, only(other, *GREETING, *AUTH, *MAIL).service) == ("unknown", "unknown")


def test_numbers_begin_anew_with_the_service() -> None:
    bob = said(f"<AUTH LOGIN {b64('bob')}", ">334 UGFzc3dvcmQ6", "<***", ">235 authenticated.")
    rows = read(log(*GREETING, *AUTH, *MAIL, *GREETING, *bob, *QUIT))
    assert [(row.account, row.outcome) for row in rows] == [(ANNA, "accepted"), ("bob", "no_mail")]
    rows = read(log(*GREETING, *AUTH, *MAIL, SHAKEN, *GREETING, *bob, *QUIT))
    assert [(row.account, row.tls_version) for row in rows] == [(ANNA, "unknown"), ("bob", "TLSv1.2")]


def test_failures() -> None:
    failed = said(*(text for text in ("<AUTH LOGIN", ">334 VXNlcm5hbWU6", "<aHVudGVyMg==", ">334 UGFzc3dvcmQ6", "<***")))
    row = only(*GREETING, *failed, *said(">535 Authentication failed. Restarting authentication process."), *QUIT)
    assert (row.outcome, row.account, row.mechanism, row.reason) == ("auth_failed", "hunter2", "LOGIN", "bad_credentials")
    assert only(*GREETING, *said("<AUTH CRAM-MD5", ">504 Authentication mechanism not supported.")).reason == "mechanism_not_offered"
    assert only(*GREETING, *said("<AUTH LOGIN", ">530 A SSL/TLS-connection is required for authentication.")).reason == "not_offered"
    rows = read(log(*GREETING, *failed, *said(">535 Authentication failed. Too many invalid logon attempts."), *GREETING, *AUTH, *MAIL))
    assert sorted(row.outcome for row in rows) == ["accepted", "auth_failed"]


def test_refusals() -> None:
    cases = [
        (said("<MAIL FROM:<a.berg@contoso.example>", ">550 Not allowed."), "sender_refused"),
        (said("<MAIL FROM:<a.berg@contoso.example>", ">250 OK", "<RCPT TO:<x@y.example>", ">550 Unknown user"), "unknown_recipient"),
        (said("<MAIL FROM:<a.berg@contoso.example>", ">250 OK", "<RCPT TO:<x@y.example>", ">452 Later"), "deferred"),
        (MAIL[:-1] + said(">554 Rejected - Message size exceeds fixed maximum message size. Size: 9 KB, Max size: 5 KB"), "too_large"),
    ]
    for lines, reason in cases:
        row = only(*GREETING, *AUTH, *lines, *QUIT)
        assert (row.outcome, row.reason, row.sender, row.account) == ("rejected", reason, "a.berg@contoso.example", ANNA)
        assert [row.outcome for row in read(log(*GREETING, *AUTH, *lines, *said("<RSET", ">250 OK"), *MAIL))] == ["rejected", "accepted"]
    partly = [*MAIL[:2], *said("<RCPT TO:<x@z.example>", ">550 Unknown user"), *MAIL[2:]]
    assert (only(*GREETING, *AUTH, *partly).outcome, only(*GREETING, *AUTH, *partly).recipients) == ("accepted", 1)


def test_strangers_mail_and_other_protocols_are_no_rows() -> None:
    other: list[Line] = [("POP3D", "RECEIVED: USER anna"), ("IMAPD", "SENT: OK"), ("APPLICATION", "started"), ("DEBUG", "x"), SHAKEN]
    assert read(log(CONNECTED, *GREETING, *MAIL, *QUIT, *other)) == []


FORGED = '"SMTPD"\t4532\t154\t"2026-11-23 16:06:30.000"\t"192.0.2.10"\t"SENT: 235 authenticated."'


def test_a_clients_line_break_ends_no_line() -> None:
    hostile = said("<AUTH LOGIN", ">334 VXNlcm5hbWU6", f"<{b64('ceo')}", f'<x"\n{FORGED[:-1]}', ">535 Authentication failed.")
    rows = read(log(*GREETING, *hostile, *MAIL))
    assert [row.outcome for row in rows] == ["auth_failed"]
    text = log(*GREETING, *hostile, *MAIL)
    place = text.index(b"\n" + FORGED[:10].encode()) + 1
    assert [row.outcome for row in read(text, [place])] == ["auth_failed"], "also where a batch ends there"


def test_lines_that_are_not_understood_are_reported() -> None:
    text = log(*GREETING).replace(b'"RECEIVED: ', b'"CAUGHT: ')
    _, changes = run(text)
    assert [line.reason for line in changes.unread] == ["line of a conversation not understood"]


HOSTILE = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\0"), max_size=60) | st.sampled_from(
    [f"x\n{FORGED}", '"\t"']
)


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_text_changes_no_other_row(sender: str, helo: str, recipient: str) -> None:
    hers = [
        *GREETING[:1],
        *said(f"<EHLO {helo}", ">250 HELP"),
        *AUTH,
        *said(f"<MAIL FROM:<{sender}> SIZE=7", ">250 OK", f"<RCPT TO:<{recipient}>"),
        *MAIL[3:],
    ]
    theirs = [*hmailserver(CONNECTED, *GREETING, *STARTTLS, *AUTH, *MAIL)]
    his = [
        line.replace("\t154\t", "\t155\t")
        .replace("Id: 154", "Id: 155")
        .replace("192.0.2.10", "198.51.100.7")
        .replace(b64(ANNA), b64("bob"))
        for line in theirs
    ]
    mixed = [line for pair in zip(his, [*hmailserver(*hers), *[""] * len(his)], strict=False) for line in pair if line]
    rows = read("".join(line + "\r\n" for line in [mixed[0], *mixed[1:]]).encode())
    [row] = [row for row in rows if row.account == "bob"]
    assert (row.client_ip, row.tls_version, row.sender, row.size) == ("198.51.100.7", "TLSv1.2", "a.berg@contoso.example", 1253)
    assert {row.account for row in rows} <= {ANNA, "bob"}
