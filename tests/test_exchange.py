"""
Exchange: what a session gives, and what hostile text in it cannot do.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_log import (
    BYE,
    HELLO,
    SECURED,
    TLS,
    challenged,
    denied,
    direct,
    front,
    login,
    mail,
    protocol,
    tls,
    vouched,
)
from reading import read, run
from smtp_auth_report.submission import Submission

ANNA = "anna@contoso.example"
SENT = direct(HELLO, TLS, login(), mail(), BYE)


def only(rows: list[Submission]) -> Submission:
    assert len(rows) == 1, rows
    return rows[0]


# What a session gives


def test_message_of_a_server_that_takes_clients_itself() -> None:
    row = only(read(protocol(SENT)))
    assert row._replace(key=0, opened=0) == Submission(
        key=0,
        opened=0,
        time=1_795_449_967_600_000,
        server="EX1",
        service="submission",
        source="exchange",
        client_ip="192.0.2.10",
        client_name=None,
        helo="pc.contoso.example",
        account=ANNA,
        account_key=None,
        mechanism="LOGIN",
        tls_version="TLSv1.2",
        tls_cipher="CALG_AES_256",
        sender=ANNA,
        recipients=2,
        size=1253,
        queue_id="4793",
        message_id="<1@contoso.example>",
        outcome="accepted",
        reason=None,
    )


def test_each_message_of_a_session_is_a_row() -> None:
    rows = read(protocol(direct(HELLO, TLS, login(), mail(1), mail(2, recipients=1, sender=""), mail(3), BYE)))
    assert [(row.queue_id, row.sender, row.recipients, row.account) for row in rows] == [
        ("4793", ANNA, 2, ANNA),
        ("4794", "", 1, ANNA),
        ("4795", ANNA, 2, ANNA),
    ]


@pytest.mark.parametrize(
    ("logged", "version"),
    [
        ("SP_PROT_TLS1_0_SERVER", "TLSv1.0"),
        ("SP_PROT_TLS1_SERVER", "TLSv1.0"),
        ("SP_PROT_TLS1_1_SERVER", "TLSv1.1"),
        ("SP_PROT_TLS1_2_SERVER", "TLSv1.2"),
        ("SP_PROT_TLS1_3_SERVER", "TLSv1.3"),
        ("SP_PROT_SSL3_SERVER", "SSLv3"),
        ("SP_PROT_NEWER", "tls"),
    ],
)
def test_tls_versions(logged: str, version: str) -> None:
    assert only(read(protocol(direct(HELLO, tls(logged), login(), mail(), BYE)))).tls_version == version


def test_cleartext_is_proven_by_a_whole_session() -> None:
    assert only(read(protocol(direct(HELLO, login(), mail(), BYE)))).tls_version == "none"


@pytest.mark.parametrize("missing", [0, 4, 6])
def test_cleartext_is_not_proven_by_a_session_of_which_rows_are_missing(missing: int) -> None:
    rows = direct(HELLO, login(), mail(), BYE)
    del rows[missing]
    assert only(read(protocol(rows))).tls_version == "unknown"


def test_encrypted_by_a_server_that_does_not_log_how() -> None:
    assert only(read(protocol(direct(HELLO, SECURED, HELLO[3:], login(), mail(), BYE)))).tls_version == "tls"


def test_starttls_that_the_server_refuses_is_no_encryption() -> None:
    refused = [("<", "STARTTLS", ""), (">", "454 4.7.0 TLS not available", "")]
    assert only(read(protocol(direct(HELLO, refused, login(), mail(), BYE)))).tls_version == "none"


@pytest.mark.parametrize(
    ("local", "connector", "service"),
    [
        ("10.0.0.5:587", "EX1\\Relay", "submission"),
        ("[2001:db8::5]:10587", "EX1\\Relay", "submission"),
        ("10.0.0.5:465", "EX1\\Relay", "submissions"),
        ("10.0.0.5:25", "EX1\\Default Frontend EX1", "smtp"),
        ("10.0.0.5:2525", "EX1\\Relay", "smtp"),
        ("10.0.0.5:717", "EX1\\Default EX1", "smtp"),
        ("10.0.0.5:7777", "EX1\\Client Frontend EX1", "submission"),
        ("10.0.0.5:7777", 'EX1\\Scanners, "floor 2"', "unknown"),
        ("", "EX1\\Relay", "unknown"),
    ],
)
def test_services(local: str, connector: str, service: str) -> None:
    row = only(read(protocol(direct(HELLO, TLS, login(), mail(), BYE, local=local, connector=connector))))
    assert (row.service, row.server) == (service, "EX1")


@pytest.mark.parametrize(
    ("remote", "address"),
    [("192.0.2.10:50100", "192.0.2.10"), ("[2001:db8::10]:50100", "2001:db8::10"), ("[::ffff:192.0.2.10%3]:1", "192.0.2.10"), ("x", None)],
)
def test_client_addresses(remote: str, address: str | None) -> None:
    assert only(read(protocol(direct(HELLO, TLS, login(), mail(), BYE, remote=remote)))).client_ip == address


@pytest.mark.parametrize(
    ("logged", "account"),
    [
        (ANNA, ANNA),
        ("CONTOSO\\anna", "CONTOSO\\anna"),
        ("CONTOSO/anna", "CONTOSO\\anna"),
        ("anna", "anna"),
        ("a/b@contoso.example", "a/b@contoso.example"),
        ('O\'Neil, "Shaq"\\jürgen', 'O\'Neil, "Shaq"\\jürgen'),
        ("anna\0", "anna"),
        ("SCANNER01$", "SCANNER01$"),
    ],
)
def test_accounts(logged: str, account: str) -> None:
    assert only(read(protocol(direct(HELLO, TLS, login(logged), mail(), BYE)))).account == account


@pytest.mark.parametrize(
    ("word", "mechanism"),
    [("LOGIN", "LOGIN"), ("login", "LOGIN"), ("NTLM", "NTLM"), ("GSSAPI", "GSSAPI"), ("XOAUTH2", "XOAUTH2"), ("", "unknown")],
)
def test_mechanisms(word: str, mechanism: str) -> None:
    assert only(read(protocol(direct(HELLO, TLS, login(mechanism=word), mail(), BYE)))).mechanism == mechanism


def test_sign_in_without_mail() -> None:
    row = only(read(protocol(direct(HELLO, TLS, login(), BYE))))
    assert (row.outcome, row.account, row.tls_version, row.reason) == ("no_mail", ANNA, "TLSv1.2", None)


@pytest.mark.parametrize("left_out", ["235", "authenticated", "AUTH"])
def test_what_proves_a_sign_in(left_out: str) -> None:
    """The server's answer does; without the row that names the account it is unknown."""
    kept = [event for event in login() if left_out not in event[1] + event[2]]
    rows = read(protocol(direct(HELLO, TLS, kept, mail(), BYE)))
    expected = {"235": [], "authenticated": [(None, "LOGIN")], "AUTH": [(ANNA, "unknown")]}
    assert [(row.account, row.mechanism) for row in rows] == expected[left_out]


def test_nobody_signed_in() -> None:
    assert read(protocol(direct(HELLO, TLS, mail(), BYE))) == []


# Failures


def test_failed_sign_in() -> None:
    row = only(read(protocol(direct(HELLO, TLS, denied(ANNA), BYE))))
    assert (row.outcome, row.reason, row.account, row.mechanism, row.tls_version) == (
        "auth_failed",
        "bad_credentials",
        ANNA,
        "LOGIN",
        "TLSv1.2",
    )


def test_each_failed_sign_in_counts_and_then_the_right_one() -> None:
    rows = read(protocol(direct(HELLO, TLS, denied("x"), denied("y"), login(), BYE)))
    assert [(row.outcome, row.account) for row in rows] == [("auth_failed", "x"), ("auth_failed", "y"), ("no_mail", ANNA)]


def test_failed_sign_in_of_which_the_log_breaks_off() -> None:
    """The row with the user name is the last, and there are two of the row before it, with the same number."""
    rows = direct(HELLO, TLS, denied(ANNA))[:-2]
    text = protocol([*rows[:-1], rows[-2], rows[-1]])
    assert [(row.outcome, row.account) for row in read(text)] == [("auth_failed", ANNA)]


@pytest.mark.parametrize("name", ["NULL", ""])
def test_failed_sign_in_without_a_name(name: str) -> None:
    assert only(read(protocol(direct(HELLO, TLS, denied(name), BYE)))).account is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("535 5.7.3 Authentication unsuccessful", "bad_credentials"),
        ("504 5.7.4 Unrecognized authentication type", "mechanism_not_offered"),
        ("501 5.5.4 Authentication cancelled", "aborted"),
        ("501 5.5.2 Cannot decode", "protocol_error"),
        ("454 4.7.0 Temporary authentication failure", "server_error"),
        ("421 4.7.0 Too many errors on this connection, closing transmission channel", "rate_limited"),
        ("550 5.7.1 Submission has been disabled for this account", "refused"),
    ],
)
def test_reasons_of_failed_sign_ins(answer: str, reason: str) -> None:
    row = only(read(protocol(direct(HELLO, challenged(), [(">", answer, "")], BYE))))
    assert (row.outcome, row.reason, row.tls_version) == ("auth_failed", reason, "none")


def test_front_end_that_finds_no_mailbox_server() -> None:
    failed = [
        ("*", "", "Setting up client proxy session to destination(s)"),
        ("*", "", "Setting up client proxy session failed with error: x"),
        (">", "454 4.7.0 Temporary authentication failure", ""),
    ]
    row = only(read(protocol(front([*HELLO, *TLS, *challenged(), *vouched(ANNA), *failed, *BYE]))))
    assert (row.outcome, row.reason, row.account) == ("auth_failed", "server_error", ANNA)


@pytest.mark.parametrize(("error", "reason"), [("CertUnknown", "certificate_refused"), ("AlgorithmMismatch", "handshake_failed")])
def test_failed_handshakes(error: str, reason: str) -> None:
    failed = [*SECURED, ("*", "", f"TLS negotiation failed with error {error}"), ("-", "", "Local")]
    row = only(read(protocol(direct(HELLO, failed))))
    assert (row.outcome, row.reason, row.account, row.tls_version) == ("tls_failed", reason, None, "unknown")
    assert read(protocol(direct(HELLO, failed, local="10.0.0.5:25"))) == [], "strangers who deliver mail are no clients"


# Refused transactions


@pytest.mark.parametrize(
    ("stage", "answer", "reason"),
    [
        ("MAIL", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "sender_not_owned"),
        ("MAIL", "550 5.7.1 Sender denied", "sender_refused"),
        ("MAIL", "552 5.3.4 Message size exceeds fixed maximum message size", "too_large"),
        ("MAIL", "421 4.4.2 Message submission rate for this client has exceeded the configured limit", "rate_limited"),
        ("RCPT", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", "relay_denied"),
        ("RCPT", "550 5.7.1 Unable to relay", "relay_denied"),
        ("RCPT", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", "unknown_recipient"),
        ("RCPT", "452 4.5.3 Too many recipients", "rate_limited"),
        ("RCPT", "550 5.2.1 x", "recipient_refused"),
        ("DATA", "550 5.7.1 Message rejected as spam by Content Filtering.", "content_refused"),
        ("DATA", "552 5.3.4 Message size exceeds fixed maximum message size", "too_large"),
        ("DATA", "451 4.7.0 Temporary server error. Please try again later. PRX2", "deferred"),
        ("DATA", "554 5.6.0 Invalid message content", "refused"),
    ],
)
def test_rejected_transactions(stage: str, answer: str, reason: str) -> None:
    commands = [event for event in mail(recipients=1) if event[0] == "<"]
    kept = commands[: ["MAIL", "RCPT", "DATA"].index(stage) + 1]
    replies = {"MAIL": "250 2.1.0 Sender OK", "RCPT": "250 2.1.5 Recipient OK"}
    events = [part for command in kept for part in (command, (">", replies.get(command[1][:4], ""), ""))][:-1]
    row = only(read(protocol(direct(HELLO, TLS, login(), [*events, (">", answer, "")], BYE))))
    assert (row.outcome, row.reason, row.sender, row.account) == ("rejected", reason, ANNA, ANNA)
    assert (row.recipients, row.size) == (None, None)


def test_refused_recipient_of_a_message_that_was_accepted() -> None:
    refused = [("<", "RCPT TO:<nobody@x.example>", ""), (">", "550 5.1.1 User unknown", "")]
    begin, rest = mail()[:3], mail()[3:]
    row = only(read(protocol(direct(HELLO, TLS, login(), [*begin, *refused, *rest], BYE))))
    assert (row.outcome, row.recipients) == ("accepted", 2)


def test_pipelined_commands() -> None:
    commands = [("<", f"MAIL FROM:<{ANNA}>", ""), ("<", "RCPT TO:<a@x.example>", ""), ("<", "RCPT TO:<b@x.example>", "")]
    answers = [(">", "250 2.1.0 Sender OK", ""), (">", "550 5.1.1 User unknown", ""), (">", "250 2.1.5 Recipient OK", "")]
    row = only(read(protocol(direct(HELLO, TLS, login(), [*commands, *answers, *mail()[-3:]], BYE))))
    assert (row.outcome, row.recipients) == ("accepted", 1)


def test_chunks_of_bdat() -> None:
    chunks = [("<", "BDAT 100", ""), (">", "250 2.6.0 CHUNK received OK, 100 octets", ""), ("<", "BDAT 20 LAST", "")]
    done = [(">", "250 2.6.0 <1@contoso.example> Queued mail for delivery", "")]
    row = only(read(protocol(direct(HELLO, TLS, login(), [*mail()[:-3], *chunks, *done], BYE))))
    assert (row.outcome, row.queue_id, row.message_id) == ("accepted", None, "<1@contoso.example>")


# Damage and hostile text


@given(st.binary(max_size=2000), st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_reported(noise: bytes, place: int) -> None:
    lines = protocol(SENT).splitlines(keepends=True)
    lines.insert(min(place + 5, len(lines)), noise + b"\n")
    _, changes = run(b"".join(lines))
    assert len(changes.rows) <= 1 + noise.count(b"\n") + 1


HOSTILE = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            '"',
            '",,\r\n',
            "\n".join(row.text for row in direct(HELLO, TLS, login("ceo@contoso.example"), mail(3), BYE, id="08DE2A7B4C5D1111")),
            "x] [InternalId=1, Hostname=evil] Queued mail for delivery",
            "a,authenticated",
            "TLS protocol SP_PROT_TLS1_3_SERVER negotiation succeeded using bulk encryption algorithm X",
            "User Name: x",
            " SIZE=1 IP=9.9.9.9 SID=1",
        ]
    ),
)


@given(HOSTILE, st.sampled_from(["helo", "sender", "recipient", "mechanism", "message_id", "name", "account"]))
@settings(max_examples=300, deadline=None)
def test_hostile_text_changes_no_other_row(text: str, field: str) -> None:
    text = re.sub(r"[\ud800-\udfff]", "", text)
    events = direct_events(**{field: text})
    thief = direct(events, id="08DE2A7B4C5DBBBB", remote="198.51.100.9:1")
    honest = only(read(protocol(SENT)))
    rows = read(protocol(thief, SENT))
    assert honest in rows
    others = [row for row in rows if row != honest]
    assert {row.client_ip for row in others} <= {"198.51.100.9"}
    assert {row.tls_version for row in others} <= {"TLSv1.1"}
    if field != "account":
        assert {row.account for row in others if row.outcome == "accepted"} <= {"thief@contoso.example"}


def direct_events(**stated: str) -> list[tuple[str, str, str]]:
    told: dict[str, Any] = {
        "helo": "pc",
        "sender": "a@x.example",
        "recipient": "b@x.example",
        "mechanism": "LOGIN",
        "message_id": "<1@x>",
        "name": "n",
        "account": "thief@contoso.example",
    } | stated
    return [
        ("+", "", ""),
        ("<", f"EHLO {told['helo']}", ""),
        *tls("SP_PROT_TLS1_1_SERVER"),
        *denied(told["name"], told["mechanism"]),
        *login(told["account"]),
        ("<", f"MAIL FROM:<{told['sender']}> SIZE=5", ""),
        (">", "250 2.1.0 Sender OK", ""),
        ("<", f"RCPT TO:<{told['recipient']}>", ""),
        (">", "250 2.1.5 Recipient OK", ""),
        ("<", "DATA", ""),
        (">", f"250 2.6.0 {told['message_id']} [InternalId=5, Hostname=EX1] Queued mail for delivery", ""),
        *BYE,
    ]


def test_names_that_failed_are_not_remembered() -> None:
    text = protocol(direct(HELLO, TLS, denied("hunter2"))[:-2])
    reader, _ = run(text)
    assert "hunter2" not in "".join(entry.sessions for entry in reader.remember())
    headless = b"".join(text.splitlines(keepends=True)[12:])
    reader, changes = run(headless)
    assert changes.rows
    assert "hunter2" not in "".join(entry.sessions for entry in reader.remember())
