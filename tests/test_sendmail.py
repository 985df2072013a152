"""Sendmail's lines, old and new, whole and cut, and those that try to be others."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reading import log, read, run
from smtp_auth_report.submission import Submission

PC = "pc.contoso.example [192.0.2.10]"
MTA = "sm-mta[701]"
CIPHER = "TLS_AES_256_GCM_SHA384"


def tls(version: str = "TLSv1.3", cipher: str = CIPHER, relay: str = PC) -> str:
    return f"{MTA}: STARTTLS=server, relay={relay}, version={version}, verify=NO, cipher={cipher}, bits=256/256"


def auth(user: str = "anna", relay: str = PC, mechanism: str = "PLAIN") -> str:
    return f"{MTA}: AUTH=server, relay={relay}, authid={user}, mech={mechanism}, bits=0"


def mail(
    sender: str = "<anna@contoso.example>",
    *,
    queue_id: str = "6ANGKaVY000701",
    recipients: int = 2,
    message_id: str = ", msgid=<1@contoso.example>",
    proto: str = "ESMTPSA",
    daemon: str = "MSA",
    relay: str = PC,
) -> str:
    head = f"{MTA}: {queue_id}: from={sender}, size=1253, class=0, nrcpts={recipients}{message_id}"
    return f"{head}, proto={proto}, daemon={daemon}, relay={relay}"


def only(*lines: str) -> Submission:
    [row] = read(log(*lines))
    return row


def test_one_message() -> None:
    row = only(tls(), auth("jonas+2Blist@contoso.example"), mail("<j\\303\\266nas@contoso.example>"))
    assert (row.account, row.mechanism, row.tls_version, row.tls_cipher) == ("jonas+list@contoso.example", "PLAIN", "TLSv1.3", CIPHER)
    assert (row.sender, row.size, row.recipients, row.message_id) == ("jönas@contoso.example", 1253, 2, "<1@contoso.example>")
    assert (row.client_ip, row.client_name, row.service, row.source) == ("192.0.2.10", "pc.contoso.example", "submission", "sendmail")
    assert (row.outcome, row.queue_id) == ("accepted", "6ANGKaVY000701")


def test_doors_and_protocols() -> None:
    cases = {
        ("MSA", "ESMTPSA"): ("submission", "TLSv1.3"),
        ("TLSMTA", "ESMTPSA"): ("submissions", "TLSv1.3"),
        ("MTA-v4", "UTF8SMTPSA"): ("smtp", "TLSv1.3"),
        ("Odd", "ESMTPA"): ("unknown", "none"),
    }
    for (daemon, proto), wanted in cases.items():
        row = only(tls(), auth(), mail(daemon=daemon, proto=proto))
        assert (row.service, row.tls_version) == wanted
    row = only(auth(), mail(proto="ESMTPSA"))
    assert (row.tls_version, row.tls_cipher) == ("tls", None), "its STARTTLS line is not in the log"


def test_before_8_15_the_version_is_that_of_the_cipher() -> None:
    cases = {
        ("TLSv1/SSLv3", "ECDHE-RSA-AES256-GCM-SHA384"): "TLSv1.2",
        ("TLSv1/SSLv3", "DHE-RSA-AES256-SHA"): "tls",
        ("TLSv1.0", "ECDHE-RSA-AES256-SHA"): "tls",
        ("TLSv1.3", CIPHER): "TLSv1.3",
    }
    for (version, cipher), wanted in cases.items():
        row = only(tls(version, cipher), auth(), mail(proto="ESMTP"))
        assert (row.tls_version, row.tls_cipher) == (wanted, cipher)
    assert only(auth(), mail(proto="ESMTP")).tls_version == "unknown"


def test_strangers_mail_is_no_row() -> None:
    assert read(log(tls(), mail(proto="ESMTPS"))) == []
    assert read(log(mail(proto="ESMTP"))) == []
    assert len(read(log(auth(), mail(), mail(proto="ESMTP", relay="mx.example [198.51.100.7]", queue_id="6ANGKaVZ000701")))) == 1


def test_clients() -> None:
    cases = {
        "[192.0.2.10]": ("192.0.2.10", None),
        "[IPv6:2001:db8:0:0:0:0:0:1]": ("2001:db8::1", None),
        "pc.example [192.0.2.10] (may be forged)": ("192.0.2.10", None),
        "anna@pc.example [192.0.2.10]": ("192.0.2.10", "pc.example"),
        "[IPv6:::ffff:192.0.2.10]": ("192.0.2.10", None),
    }
    for relay, wanted in cases.items():
        row = only(tls(relay=relay), auth(relay=relay), mail(relay=relay))
        assert (row.client_ip, row.client_name, row.account) == (*wanted, "anna")


def test_a_pid_that_another_client_has_got() -> None:
    other = "mx.example [198.51.100.7]"
    rows = read(log(tls(), auth(), mail(), auth("bob", other), mail(relay=other, queue_id="6ANGKaVZ000701", proto="ESMTPA")))
    assert [(row.account, row.tls_version) for row in rows] == [("anna", "TLSv1.3"), ("bob", "none")]


def test_refusals() -> None:
    refusal = f"{MTA}: 6ANGKaVY000701: ruleset=check_rcpt, arg1=<x@y.example>, relay={PC}, reject=550 5.1.1 <x@y.example>... User unknown"
    row = only(tls(), auth(), refusal, mail(recipients=0, message_id=""))
    assert (row.outcome, row.reason, row.account) == ("rejected", "unknown_recipient", "anna")
    assert only(tls(), auth(), refusal, mail()).outcome == "accepted", "one of its recipients was refused"
    row = only(tls(), auth(), mail(), f"{MTA}: 6ANGKaVY000701: message size (68998) exceeds maximum (60000)")
    assert (row.outcome, row.reason) == ("rejected", "too_large")
    row = only(tls(), auth(), mail(), f"{MTA}: 6ANGKaVY000701: Milter: data, reject=550 5.7.1 Command rejected")
    assert (row.outcome, row.reason) == ("rejected", "content_refused")
    check = f"{MTA}: 6ANGKaVY000701: ruleset=check_mail, arg1=<a@b.example>, relay={PC}, reject=553 5.1.8 <a@b.example>... Domain"
    row = only(tls(), auth(), check)
    assert (row.outcome, row.reason, row.sender) == ("rejected", "sender_refused", "a@b.example")


def test_a_milter_refuses_one_of_the_recipients() -> None:
    refused = [f"{MTA}: 6ANGKaVY000701: {words}, reject=550 5.7.1 no" for words in ("milter=spam, action=rcpt", "Milter: to=<x@y.example>")]
    assert only(tls(), auth(), *refused, mail()).outcome == "accepted"
    row = only(tls(), auth(), *refused, mail(recipients=0, message_id=""))
    assert (row.outcome, row.reason, row.account) == ("rejected", "content_refused", "anna")


def test_a_message_without_an_id_is_accepted_when_its_delivery_begins() -> None:
    begun = [tls(), auth(), mail(message_id="")]
    assert read(log(*begun)) == []
    sent = "sm-mta[733]: 6ANGKaVY000701: to=<x@y.example>, delay=00:00:00, mailer=relay, pri=1, dsn=2.0.0, stat=Sent (Ok)"
    assert only(*begun, sent).outcome == "accepted"
    of_many_processes = [line.replace("000701", "3107701").replace("[701]", "[3107701]") for line in (*begun, sent)]
    assert only(*of_many_processes).queue_id == "6ANGKaVY3107701", "kernel.pid_max is 4194304 by default"


def test_failures() -> None:
    failed = f"{MTA}: 6ANGKaob000701: AUTH failure (LOGIN): user not found (-20) SASL(-13): user not found: checkpass failed"
    row = only(tls(), f"{failed}, user=a\\303\\266b, relay=x, relay={PC}")
    assert (row.outcome, row.account, row.mechanism, row.client_ip) == ("auth_failed", "aöb, relay=x", "LOGIN", "192.0.2.10")
    assert (row.tls_version, row.reason) == ("TLSv1.3", "bad_credentials")
    assert only(failed).account is None, "before 8.16 without name, before 8.14 without client"
    assert len(read(log(failed, "last message repeated 2 times"))) == 3
    rows = read(log(failed, f"{MTA}: message repeated 2 times: [ 6ANGKaob000701: AUTH failure (LOGIN): x (-20) y]"))
    assert len(rows) == 3


def test_sessions_without_mail() -> None:
    end = f"{MTA}: 6ANGKaob000701: {PC} did not issue MAIL/EXPN/VRFY/ETRN during connection to MSA"
    row = only(tls(), auth(), end)
    assert (row.outcome, row.service, row.account, row.tls_version) == ("no_mail", "submission", "anna", "TLSv1.3")
    shake = f"{MTA}: STARTTLS=server, error: accept failed=-1, reason=no shared cipher, SSL_error=1, errno=0, retry=-1, relay={PC}"
    row = only(shake, end)
    assert (row.outcome, row.reason, row.client_ip, row.account) == ("tls_failed", "no_shared_cipher", "192.0.2.10", None)
    assert read(log(shake, end.replace("to MSA", "to MTA"))) == [], "any server may fail on port 25"


def test_a_line_that_was_cut_for_syslog() -> None:
    whole = mail().partition(": ")[2].partition(": ")[2]
    first, second = whole[:60].rpartition(" ")[0], whole[:60].rpartition(" ")[2] + whole[60:]
    row = only(tls(), auth(), f"{MTA}: 6ANGKaVY000701[1]: {first} ...", f"{MTA}: 6ANGKaVY000701[2]: {second}")
    assert (row.sender, row.recipients, row.outcome) == ("anna@contoso.example", 2, "accepted")


FORGED = ", proto=ESMTPSA, daemon=MSA, relay=ceo.example [203.0.113.9]"


def test_what_clients_write_is_not_what_the_server_wrote() -> None:
    for hostile in (f'<"x, size=9, class=0, nrcpts=9, msgid=<y>{FORGED}"@contoso.example>', "<a=b, authid=ceo@contoso.example>"):
        row = only(tls(), auth(), mail(hostile, daemon="MTA"))
        assert (row.client_ip, row.service, row.size, row.account) == ("192.0.2.10", "smtp", 1253, "anna")
    row = only(tls(), auth(), mail(message_id=f", msgid=<x{FORGED}>", daemon="MTA"))
    assert (row.client_ip, row.service, row.recipients) == ("192.0.2.10", "smtp", 2)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([tls(), auth(), mail(), FORGED, "x"]), max_size=6), st.binary(max_size=80), st.integers(0, 400))
def test_any_bytes_are_read_or_reported(lines: list[str], noise: bytes, place: int) -> None:
    text = log(*lines)
    place = min(place, len(text))
    _, changes = run(text[:place] + noise + text[place:] + b"\n")
    assert changes.other <= changes.lines
    assert all(row.tls_version for row in changes.rows.values())


HOSTILE = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\r\0"), max_size=60)


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_text_changes_no_other_row(sender: str, message_id: str, user: str) -> None:
    bob = [line.replace("[701]", "[702]").replace("000701", "000702") for line in (tls("TLSv1.2"), auth("bob"), mail())]
    failed = f"{MTA}: 6ANGKaob000701: AUTH failure (LOGIN): bad (-20) x, user={user}, relay={PC}"
    rows = read(log(tls(), bob[0], failed, auth(), bob[1], mail(f"<{sender}>", message_id=f", msgid={message_id}"), bob[2]))
    [his] = [row for row in rows if row.queue_id == "6ANGKaVY000702"]
    assert (his.account, his.client_ip, his.tls_version, his.sender) == ("bob", "192.0.2.10", "TLSv1.2", "anna@contoso.example")
    assert {row.account for row in rows if row.outcome == "accepted"} <= {"anna", "bob"}
