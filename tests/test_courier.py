"""Courier's lines: messages of those who signed in, and failed sign-ins without their secrets."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reading import read, run
from samples import ANNA, COURIER, ID, syslog
from smtp_auth_report.submission import Submission

FAILED, STARTED_SESSION, NEW, STARTED, STARTED_SECOND, DELIVERED, COMPLETED = COURIER


def only(*lines: str) -> Submission:
    [row] = read(syslog("courierd", lines))
    return row


def test_one_message() -> None:
    row = only(STARTED_SESSION, NEW, STARTED, STARTED_SECOND, STARTED, DELIVERED, COMPLETED)
    assert (row.account, row.client_ip, row.client_name, row.helo) == (ANNA, "192.0.2.10", "pc.contoso.example", "pc")
    assert (row.sender, row.recipients, row.size, row.queue_id) == ("a.berg@contoso.example", 2, 1253, ID)
    assert (row.outcome, row.mechanism, row.tls_version, row.service, row.server) == ("accepted", "unknown", "unknown", "unknown", "mail")


def test_it_is_accepted_as_soon_as_it_is_named() -> None:
    row = only(NEW)
    assert (row.outcome, row.account, row.sender, row.recipients, row.size) == ("accepted", ANNA, None, None, None)


def test_clients() -> None:
    def client(words: str) -> tuple[str | None, ...]:
        row = only(NEW.partition("dns; ")[0] + "dns; " + words)
        return row.helo, row.client_name, row.client_ip

    assert client("[127.0.0.1] ([::ffff:192.0.2.10])") == ("[127.0.0.1]", None, "192.0.2.10")
    assert client("pc (2001.example [2001:db8::1])") == ("pc", "2001.example", "2001:db8::1")
    assert client("x:_dns;_y_(ceo_[1.2.3.4]) ([::ffff:192.0.2.10])") == ("x:_dns;_y_(ceo_[1.2.3.4])", None, "192.0.2.10")
    assert client("x" * 123 + "...") == (None, None, None), "cut at 128 characters, and with it the address"
    assert only(NEW.replace(ANNA, "dana, x")).account == "dana, x"
    assert only(NEW.replace(ID, "0038C081.4D026173.000051A4")).queue_id == "0038C081.4D026173.000051A4"


def test_strangers_mail_is_no_row() -> None:
    stranger = NEW.replace(f", auth={ANNA}", "")
    assert read(syslog("courierd", (stranger, STARTED, DELIVERED, COMPLETED))) == []


def test_a_bounce_is_no_recipient() -> None:
    bounce = f"courierd: started,id={ID},from=<>,module=dsn,host=,addr=<a.berg@contoso.example>"
    assert only(NEW, STARTED, bounce).recipients == 1


RESPONSE = base64.b64encode(b"\0bob\0Secret12").decode()
SHORT = base64.b64encode(b"\0bob\0Secr").decode()


@pytest.mark.parametrize(
    ("command", "mechanism", "account"),
    [
        ("AUTH LOGIN anna", "LOGIN", "anna"),
        ("AUTH LOGIN anna berg", "LOGIN", "anna berg"),
        ("AUTH LOGIN YW5uYQ== anna", "LOGIN", "anna"),
        ("AUTH LOGIN YW5uYTEy anna12", "LOGIN", "anna12"),
        ("AUTH CRAM-MD5 anna", "CRAM-MD5", "anna"),
        (f"AUTH PLAIN {RESPONSE} bob", "PLAIN", "bob"),
        (f"AUTH PLAIN {RESPONSE}", "PLAIN", None),
        (f"AUTH PLAIN {SHORT} bob@contoso.example", "PLAIN", "bob@contoso.example"),
        (f"AUTH PLAIN {SHORT}", "PLAIN", None),
        ("AUTH PLAIN AGFubmEuYmVyZ0Bjb250 anna.berg@contoso.example", "PLAIN", ANNA),
        ("AUTH PLAIN AGFubmEuYmVyZ0Bjb250", "PLAIN", None),
        ("AUTH PLAIN = anna", "PLAIN", "anna"),
        ("AUTH XOAUTH2", "XOAUTH2", None),
        ("AUTH ", "unknown", None),
    ],
)
def test_failures(command: str, mechanism: str, account: str | None) -> None:
    row = only(FAILED.partition("AUTH ")[0] + command)
    assert (row.outcome, row.mechanism, row.account, row.client_ip) == ("auth_failed", mechanism, account, "192.0.2.10")


def test_failures_of_other_versions() -> None:
    assert only(FAILED.replace(",port=57653", "")).client_ip == "192.0.2.10"
    assert only(FAILED.replace(",msg=", ',ident="x\\",msg=\\"535 Authentication failed.",msg=')).account == "anna"
    assert only(FAILED.replace("courieresmtpd:", "esmtpd-ssl:")).outcome == "auth_failed"
    assert only(FAILED.replace("failed.", "rejected")).reason == "not_offered"
    assert read(syslog("courierd", (FAILED.replace("failed", "required"),))) == [], "mail without a sign-in"
    assert len(read(syslog("courierd", (FAILED, FAILED)))) == 2


def test_secrets_are_in_no_sample_and_not_remembered() -> None:
    lines = (FAILED.replace("anna", f"{RESPONSE} bob"), FAILED.replace(",cmd: ", f",{RESPONSE}: "))
    source, changes = run(syslog("courierd", lines))
    assert [line.reason for line in changes.unread] == ["failed sign-in not understood"]
    assert RESPONSE not in str(changes) + json.dumps([entry.sessions for entry in source.remember()])


HOSTILE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=60)


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_text_changes_no_other_row(sender: str, helo: str, command: str) -> None:
    """Blanks in HELO come as underscores."""
    bob = [
        line.replace(ID, ID.replace("258B42", "AAAAAA")).replace("anna.berg", "bob").replace("192.0.2.10", "198.51.100.7")
        for line in COURIER
    ]
    hers = (
        NEW.replace("dns; pc ", f"dns; {helo.replace(' ', '_')} "),
        STARTED.replace("a.berg@contoso.example", sender),
        DELIVERED.replace("a.berg@contoso.example", sender),
        FAILED.replace("LOGIN anna", command),
    )
    rows = read(syslog("courierd", (bob[2], hers[0], bob[3], *hers[1:], bob[4], *bob[5:])))
    [his] = [row for row in rows if row.account == "bob@contoso.example"]
    assert (his.client_ip, his.sender, his.recipients, his.size) == ("198.51.100.7", "a.berg@contoso.example", 2, 1253)
    [her] = [row for row in rows if row.queue_id == ID]
    assert (her.account, her.client_ip) == (ANNA, "192.0.2.10")
