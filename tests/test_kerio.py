"""Kerio Connect's logs: messages with a line for each recipient, failed sign-ins, and what a subject may hold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reading import read, run
from samples import ANNA, KERIO, stamped
from smtp_auth_report.submission import Submission

STAMP = "[%d/%b/%Y %H:%M:%S] "
FAILED, RECEIVED, SECOND, SENT = KERIO
UNKNOWN = "SMTP: User bob@contoso.example doesn't exist. Attempt from IP address 192.0.2.10."


def log(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in stamped(STAMP, lines)).encode()


def only(*lines: str) -> Submission:
    [row] = read(log(*lines))
    return row


def test_one_message() -> None:
    row = only(RECEIVED, SECOND, SENT)
    assert (row.account, row.client_ip, row.sender, row.recipients) == (ANNA, "192.0.2.10", "a.berg@contoso.example", 2)
    assert (row.size, row.queue_id, row.tls_version, row.service, row.outcome) == (1253, "65ee8b47-00000009", "tls", "unknown", "accepted")
    assert row.time // 1_000_000 == 1_795_449_965, "of the first of its lines"


def test_versions() -> None:
    old = (
        "Recv: Queue-ID: 438dd9ea-00000000,Service: SMTP, From: <a.berg@contoso.example>, To: <x@y.example>,Size: 1229, "
        f"User: {ANNA}, Sender-Host: 192.0.2.10,SSL: yes"
    )
    row = only(old)
    assert (row.account, row.client_ip, row.size, row.tls_version) == (ANNA, "192.0.2.10", 1229, "tls")
    assert only(RECEIVED.replace("SSL: yes", "SSL: no")).tls_version == "none"
    assert only(RECEIVED.replace(", SSL: yes", "")).tls_version == "unknown"
    doors = {
        "SMTPS": "submissions",
        "Secure SMTP": "submissions",
        "SMTP Submission": "submission",
        "Submission": "submission",
        "SMTP (25)": "unknown",
    }
    for service, door in doors.items():
        assert only(RECEIVED.replace("Service: SMTP,", f"Service: {service},")).service == door
    assert only(RECEIVED.replace("From: <a.berg@contoso.example>", "From: <>")).sender == ""


def test_what_is_no_submission() -> None:
    assert read(log(RECEIVED.replace("Service: SMTP,", "Service: Kerio Connect Client,"))) == []
    assert read(log(RECEIVED.replace("Service: SMTP,", "Service: DSN,"))) == []
    assert read(log(RECEIVED.replace(f", User: {ANNA}", ""))) == [], "a stranger's"


def test_failures() -> None:
    row = only(FAILED)
    assert (row.outcome, row.mechanism, row.client_ip, row.account) == ("auth_failed", "LOGIN", "192.0.2.10", None)
    assert only(FAILED.replace("LOGIN", "CRAM-MD5")).mechanism == "CRAM-MD5"
    assert only(FAILED.partition(" with")[0]).mechanism == "unknown"
    row = only(UNKNOWN)
    assert (row.account, row.client_ip, row.reason) == ("bob@contoso.example", "192.0.2.10", "bad_credentials")
    assert only(UNKNOWN.replace("User bob@contoso.example doesn't exist", "Invalid password for user anna")).account == "anna"
    assert only(UNKNOWN.replace("doesn't", "doesn\u2019t")).account == "bob@contoso.example"
    row = only("Failed SMTP login from 192.0.2.10, user bob@contoso.example.")
    assert (row.account, row.client_ip, row.mechanism) == ("bob@contoso.example", "192.0.2.10", "unknown")
    assert only("Failed SMTP login from 2001:db8::1, user x, user from 203.0.113.9.").client_ip == "2001:db8::1"
    assert read(log(UNKNOWN.replace("SMTP:", "IMAP:"), FAILED.replace("SMTP", "POP3"))) == []


def test_what_clients_write_is_not_what_the_server_wrote() -> None:
    row = only(RECEIVED.replace("Subject: report", "Subject: x, User: ceo, SSL: no, Sender-Host: 203.0.113.9, Subject: y"))
    assert (row.account, row.tls_version, row.client_ip) == (ANNA, "tls", "192.0.2.10")
    hostile = '"x>, To: <y>, Size: 7, Sender-Host: 203.0.113.9, User: ceo, SSL: no, Subject: z"@contoso.example'
    row = only(RECEIVED.replace("<a.berg@contoso.example>", f"<{hostile}>"))
    assert (row.account, row.client_ip, row.sender, row.size) == (ANNA, "192.0.2.10", hostile, 1253)
    assert only(UNKNOWN.replace("bob", "x doesn't exist. Attempt from IP address 203.0.113.9. y")).client_ip == "192.0.2.10"


def test_lines_that_are_not_understood_are_reported() -> None:
    _, changes = run(log(RECEIVED.replace("<x@y.example>", "<x<y>")))
    assert [line.reason for line in changes.unread] == ["received message not understood"]
    _, changes = run(log("Failed SMTP login from somewhere"))
    assert [line.reason for line in changes.unread] == ["failed sign-in not understood"]


HOSTILE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=60)


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_text_changes_no_other_row(sender: str, subject: str, user: str) -> None:
    quoted = '"' + sender.replace("\\", "\\\\").replace('"', '\\"') + '"@contoso.example'
    bob = [line.replace("65ee", "bbbb").replace("192.0.2.10", "198.51.100.7").replace("anna.berg", "bob") for line in (RECEIVED, SECOND)]
    hers = RECEIVED.replace("<a.berg@contoso.example>", f"<{quoted}>").replace("Subject: report", f"Subject: {subject}")
    rows = read(log(bob[0], hers, UNKNOWN.replace("bob@contoso.example", user), bob[1]))
    [his] = [row for row in rows if row.queue_id == "bbbb8b47-00000009"]
    assert (his.account, his.client_ip, his.sender, his.recipients) == ("bob@contoso.example", "198.51.100.7", "a.berg@contoso.example", 2)
    [her] = [row for row in rows if row.queue_id == "65ee8b47-00000009"]
    assert (her.account, her.client_ip, her.tls_version, her.sender) == (ANNA, "192.0.2.10", "tls", quoted)
