"""maddy's lines: transactions, refusals, endpoints, and what clients may write into them."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from reading import read, run
from samples import ISO, MADDY, SAMPLES, stamped
from smtp_auth_report.submission import Submission

LISTENING, FAILED, INCOMING, RECIPIENT, _, ACCEPTED = MADDY
ABORTED = 'submission: aborted\t{"msg_id":"161c8b61"}'


def log(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in stamped(ISO, (LISTENING, *lines))).encode("utf-8", "surrogatepass")


def event(name: str, endpoint: str = "submission", **fields: object) -> str:
    return f"{endpoint}: {name}\t{json.dumps({'msg_id': '161c8b61'} | fields, separators=(',', ':'))}"


def only(*lines: str) -> Submission:
    [row] = read(log(*lines))
    return row


def test_one_message() -> None:
    row = only(INCOMING, RECIPIENT, RECIPIENT, ACCEPTED)
    assert (row.account, row.client_ip, row.helo, row.sender) == ("anna.berg@contoso.example", "192.0.2.10", "pc", "a.berg@contoso.example")
    assert (row.recipients, row.queue_id, row.outcome, row.service) == (2, "161c8b61", "accepted", "unknown")
    assert (row.mechanism, row.tls_version, row.size) == ("unknown", "unknown", None)


def test_endpoints() -> None:
    assert only(*(line.replace("submission: ", "smtp: ") for line in (INCOMING, ACCEPTED))).service == "smtp"
    assert read(log(FAILED.replace("submission/sasl", "imap/sasl"))) == [], "IMAP signs in with the same words"
    assert only(FAILED.replace("submission/sasl", "submission")).outcome == "auth_failed", "before 0.6"
    assert only(INCOMING.replace("192.0.2.10:", "[2001:db8::1]:"), ACCEPTED).client_ip == "2001:db8::1"


def test_strangers_mail_is_no_row() -> None:
    assert read(log(INCOMING.replace(',"username":"anna.berg@contoso.example"', ""), RECIPIENT, ACCEPTED)) == []
    assert read(log(RECIPIENT, ACCEPTED)) == []


def test_refusals() -> None:
    cases = {
        event("RCPT error", smtp_code=550, smtp_msg="User does not exist"): "unknown_recipient",
        event("RCPT error", smtp_code=451, smtp_msg="greylisted"): "deferred",
        event("MAIL FROM error (deferred)", smtp_code=501, smtp_msg="Sender not allowed"): "sender_refused",
        event("MAIL FROM error", smtp_code=552, smtp_msg="Message size exceeds limit"): "too_large",
        event("DATA error", smtp_code=554, smtp_msg="spam"): "content_refused",
        event("DATA error", reason="disk full"): "server_error",
        event("DATA error", reason="I/O error while writing buffer: SMTP error 552: Maximum message size exceeded"): "too_large",
    }
    for line, reason in cases.items():
        row = only(INCOMING, line, ABORTED)
        assert (row.outcome, row.reason, row.account) == ("rejected", reason, "anna.berg@contoso.example"), line
    refused = event("RCPT error", smtp_code=550, smtp_msg="User does not exist")
    assert only(INCOMING, refused, RECIPIENT, ACCEPTED).outcome == "accepted"
    assert only(INCOMING, RECIPIENT, refused, ACCEPTED).outcome == "accepted"
    assert only(INCOMING, RECIPIENT, refused, ABORTED).outcome == "rejected"


def test_what_was_broken_off_is_no_row_until_the_session_is_over() -> None:
    broken = event("DATA error", reason="I/O error while parsing header: EOF")
    assert read(log(INCOMING, RECIPIENT, ABORTED)) == []
    assert read(log(INCOMING, RECIPIENT, broken)) == []
    later = "2026-11-23T18:06:05.000Z " + INCOMING.replace("20725", "20999").replace("161c", "aaaa") + "\n"
    rows = read(log(INCOMING, RECIPIENT, broken) + later.encode() + later.replace("T18", "T19").encode())
    assert [row.outcome for row in rows] == ["no_mail"]


def test_a_port_that_another_client_has_got() -> None:
    other = [INCOMING.replace("anna.berg", "bob").replace("161c", "aaaa"), ACCEPTED.replace("161c", "aaaa")]
    assert [row.account for row in read(log(INCOMING, ACCEPTED, *other))] == ["anna.berg@contoso.example", "bob@contoso.example"]


def test_traces_are_passed_over() -> None:
    trace = ["submission: AUTH PLAIN AGFubmEAaHVudGVyMg==", "[debug] submission: reset\t", f"[debug] {INCOMING}"]
    _, changes = run(log(*trace))
    assert (dict(changes.rows), changes.unread) == ({}, [])


def test_fields_that_cannot_be_read_are_reported() -> None:
    _, changes = run(log("submission: accepted\t{nonsense}", "submission: accepted\t{}", 'submission: accepted\t{"msg_id":7}'))
    assert [line.reason for line in changes.unread] == ["fields of a line not understood"]


def test_escapes() -> None:
    name = 'a"b\\c\u003cd\u00e9\ud800'
    row = only(event("incoming message", sender="", src_ip="192.0.2.10:1", username=name), ACCEPTED)
    assert (row.account, row.sender, row.helo) == ('a"b\\c<dé\\ud800', "", None)


HOSTILE = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_text_changes_no_other_row(sender: str, helo: str, user: str) -> None:
    bob = [line.replace("161c", "bbbb").replace("192.0.2.10", "198.51.100.7").replace("anna.berg", "bob") for line in (INCOMING, ACCEPTED)]
    hers = event("incoming message", sender=sender, src_host=helo, src_ip="192.0.2.10:20725", username="anna")
    failed = event("authentication failed", "submission/sasl", src_ip="192.0.2.10:20726", username=user)
    rows = read(log(bob[0], hers, failed, event("RCPT ok", rcpt=sender), ACCEPTED, bob[1]))
    [his] = [row for row in rows if row.queue_id == "bbbb8b61"]
    assert (his.account, his.client_ip, his.recipients) == ("bob@contoso.example", "198.51.100.7", 0)
    [her] = [row for row in rows if row.queue_id == "161c8b61"]
    assert (her.account, her.client_ip, her.sender, her.recipients) == ("anna", "192.0.2.10", sender, 1)


def test_sample_is_of_a_file() -> None:
    assert SAMPLES["maddy"].file.startswith(b"2026-11-23T16:06:05.000Z submission: listening")
