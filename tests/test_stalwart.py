"""Stalwart's text log: events of SMTP sessions, those of other protocols, and strings that hold quotes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reading import read, run
from samples import ANNA, SPAN, STALWART, stamped, syslog
from smtp_auth_report.submission import Submission

BEGIN, EHLO, TLS, FAILED, AUTH, MAIL, RECIPIENT, QUEUED, END = STALWART
STAMP = "%Y-%m-%dT%H:%M:%SZ "
IMPLICIT = 'listenerId = "submissions", localPort = 465'


def log(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in stamped(STAMP, lines)).encode()


def only(*lines: str) -> Submission:
    [row] = read(log(*lines))
    return row


def implicit(line: str) -> str:
    return line.replace('listenerId = "submission", localPort = 587', IMPLICIT)


def event(name: str, rest: str = "", level: str = "INFO") -> str:
    return f"{level} Something happened ({name}) {SPAN}{', ' if rest else ''}{rest}"


def test_one_message() -> None:
    row = only(BEGIN, EHLO, TLS, AUTH, MAIL, RECIPIENT, QUEUED, END)
    assert (row.account, row.client_ip, row.helo, row.service) == (ANNA, "192.0.2.10", "pc", "submission")
    assert (row.tls_version, row.tls_cipher, row.mechanism) == ("TLSv1.3", "TLS13_AES_256_GCM_SHA384", "unknown")
    assert (row.sender, row.recipients, row.size, row.queue_id) == ("a.berg@contoso.example", 2, 1253, "313394020497752067")
    assert only(TLS.replace("TLSv1_3", "TLSv1_2"), AUTH, QUEUED).tls_version == "TLSv1.2"
    assert only(AUTH, QUEUED.replace('from = "a.berg@contoso.example"', 'from = "<>"')).sender == ""
    assert only(*(line.replace("192.0.2.10", "2001:db8::1") for line in (AUTH, QUEUED))).client_ip == "2001:db8::1"


def test_at_level_info_neither_beginning_nor_end_is_logged() -> None:
    assert only(EHLO, TLS, AUTH, MAIL, QUEUED).tls_version == "TLSv1.3"
    row = only(QUEUED)
    assert (row.outcome, row.account, row.tls_version) == ("accepted", None, "unknown"), "its sign-in is in another file"


def test_doors() -> None:
    row = only(*map(implicit, (EHLO, AUTH, QUEUED)))
    assert (row.service, row.tls_version, row.tls_cipher) == ("submissions", "tls", None), "its handshake is not logged"
    assert only(EHLO, AUTH, QUEUED).tls_version == "unknown"
    for listener, port, service in (("smtp", 25, "smtp"), ("mail", 2525, "unknown"), ("submission", 10587, "submission")):
        span = f'listenerId = "{listener}", localPort = {port}'
        lines = [line.replace('listenerId = "submission", localPort = 587', span) for line in (EHLO, AUTH, QUEUED)]
        assert only(*lines).service == service


def test_other_protocols_sign_in_with_the_same_event() -> None:
    lines = [
        line.replace('listenerId = "submission", localPort = 587', 'listenerId = "imaptls", localPort = 993') for line in (AUTH, FAILED)
    ]
    assert read(log(*lines)) == []


def test_colours() -> None:
    coloured = (
        "\x1b[37m2026-11-23T16:06:05Z\x1b[0m \x1b[32;1mINFO\x1b[0m \x1b[37;1mAuthentication successful\x1b[0m (auth.success) "
        + AUTH.partition("(auth.success) ")[2]
        .replace("listenerId", "\x1b[36mlistenerId\x1b[0m")
        .replace("accountName", "\x1b[36maccountName\x1b[0m")
    )
    [row] = read(f"{coloured}\n".encode() + log(QUEUED))
    assert row.account == ANNA
    [row] = read(syslog("stalwart-mail", (coloured, QUEUED)))
    assert row.account == ANNA


def test_failures() -> None:
    row = only(EHLO, TLS, FAILED)
    assert (row.outcome, row.account, row.reason, row.tls_version) == ("auth_failed", "anna", "bad_credentials", "TLSv1.3")
    cases = {
        "auth.too-many-attempts": "rate_limited",
        "auth.error": "server_error",
        "auth.token-expired": "bad_credentials",
        "smtp.auth-mechanism-not-supported": "mechanism_not_offered",
        "smtp.auth-not-allowed": "not_offered",
    }
    for name, reason in cases.items():
        assert only(event(name)).reason == reason
    assert len(read(log(FAILED, FAILED, event("auth.too-many-attempts", level="WARN")))) == 2, "the last says the same again"
    assert only(event("auth.failed", 'accountName = "a", b", id = "x"')).account == 'a", b'


def test_handshakes() -> None:
    row = only(event("tls.handshake-error", 'listenerId = "submission", reason = "received corrupt message of type InvalidContentType"'))
    assert (row.outcome, row.reason, row.account, row.service) == ("tls_failed", "not_tls", None, "submission")
    assert read(log(event("tls.handshake-error", 'reason = "eof"').replace('submission", localPort = 587', 'smtp", localPort = 25'))) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("smtp.mail-from-unauthorized", "sender_not_owned"),
        ("smtp.mail-from-not-allowed", "sender_refused"),
        ("smtp.mailbox-does-not-exist", "unknown_recipient"),
        ("smtp.relay-not-allowed", "relay_denied"),
        ("smtp.rate-limit-exceeded", "rate_limited"),
        ("smtp.message-too-large", "too_large"),
        ("smtp.loop-detected", "content_refused"),
    ],
)
def test_refusals(name: str, reason: str) -> None:
    refused = event(name, 'from = "a.berg@contoso.example", details = ["anna"]' if "mail-from" in name else 'to = "x@y.example"')
    row = only(EHLO, AUTH, MAIL, refused)
    assert (row.outcome, row.reason, row.account, row.sender) == ("rejected", reason, ANNA, "a.berg@contoso.example")
    assert read(log(EHLO, MAIL, refused)) == [], "a stranger's"


def test_refused_recipients_of_a_message_that_was_accepted() -> None:
    refused = event("smtp.mailbox-does-not-exist", 'to = "x@y.example"')
    assert only(EHLO, AUTH, MAIL, refused, refused, QUEUED).outcome == "accepted"
    assert [row.outcome for row in read(log(EHLO, AUTH, MAIL, refused, MAIL, QUEUED))] == ["rejected", "accepted"]
    assert [row.outcome for row in read(log(EHLO, AUTH, MAIL, QUEUED, MAIL, refused))] == ["accepted", "rejected"]


def test_sessions_without_mail() -> None:
    assert only(EHLO, AUTH, END).outcome == "no_mail"
    rows = read(log(EHLO, AUTH, QUEUED, TLS, AUTH.replace("anna.berg", "bob"), END))
    assert [(row.account, row.outcome) for row in rows] == [(ANNA, "accepted"), ("bob@contoso.example", "no_mail")], "its port again"


def test_secrets_are_passed_over_and_other_lines_reported() -> None:
    raw = event("smtp.raw-input", 'size = 40, contents = "AUTH PLAIN AGFubmEAaHVudGVyMg=="', "TRACE")
    _, changes = run(
        log(
            AUTH.replace("accountName", "account"),
            raw,
            "INFO Queued (queue.authenticated-message-queued) queueId = 7",
            QUEUED.replace("size = ", "size = x"),
        )
    )
    assert [line.reason for line in changes.unread] == [
        "sign-in not understood",
        "session of an event not understood",
        "message not understood",
    ]
    assert (changes.lines, changes.other) == (4, 1)
    assert "AGFub" not in str(changes)


HOSTILE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=60) | st.sampled_from(
    ['", accountName = "ceo', '", to = ["x"], size = 9, next = "', f'(auth.success) {SPAN}, accountName = "ceo"', "\x1b[0m"]
)


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_text_changes_no_other_row(sender: str, helo: str, user: str) -> None:
    bob = [line.replace("192.0.2.10", "198.51.100.7").replace("anna.berg", "bob").replace("3133", "9999") for line in STALWART]
    hers = (
        EHLO.replace('"pc"', f'"{helo}"'), FAILED.replace('"anna"', f'"{user}"'), AUTH, MAIL.replace("a.berg@contoso.example", sender),
        RECIPIENT.replace("x@y.example", sender), QUEUED.replace("a.berg@contoso.example", sender).replace("x@y.example", sender),
    )  # fmt: skip
    rows = read(log(*bob[:3], *hers[:3], bob[4], *hers[3:5], *bob[5:8], hers[5]))
    [his] = [row for row in rows if row.queue_id and row.queue_id.startswith("9999")]
    assert (his.account, his.client_ip, his.tls_version, his.sender, his.recipients) == (
        "bob@contoso.example", "198.51.100.7", "TLSv1.3", "a.berg@contoso.example", 2,
    )  # fmt: skip
    assert {row.account for row in rows if row.outcome != "auth_failed"} <= {ANNA, "bob@contoso.example"}
    assert {row.client_ip for row in rows} == {"192.0.2.10", "198.51.100.7"}
