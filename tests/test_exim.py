"""Exim's lines with every setting of its log, in files and in syslogs, whole and cut, and those that try to be others."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingesting import Site
from reading import log, options, read, reader, rows_of, run
from smtp_auth_report.sources import SOURCES, LogReader, exim
from smtp_auth_report.sources.exim_lines import mechanism, printed
from smtp_auth_report.submission import Submission
from truth import failed_sign_ins, faults
from truth import read as read_truth

LOGS = Path(__file__).parent / "logs" / "exim" / "default"
ANNA = "anna@contoso.example"
CIPHER = "ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM"
X = f" X=TLS1.3:{CIPHER}:256 CV=no"
PC = "(pc) [192.0.2.10]"
ID = "1xVWeV-0001UI-2o"


def arrival(
    *,
    queue_id: str = ID,
    sender: str = ANNA,
    host: str = f"H={PC}",
    protocol: str = "esmtpsa",
    tls: str = X,
    auth: str = f" A=plain_server:{ANNA}",
    rest: str = " S=1253 id=1@contoso.example",
) -> str:
    return f"{queue_id} <= {sender} {host} P={protocol}{tls}{auth}{rest}"


def refused(
    recipient: str = "x@y.example", answer: str = "5.1.1 User unknown", *, sender: str = ANNA, user: str = ANNA, host: str = PC
) -> str:
    return f"H={host}{X} F=<{sender}> A=plain_server:{user} rejected RCPT <{recipient}>: {answer}"


def failed(user: str = "anna", host: str = PC) -> str:
    return f"plain_server authenticator failed for {host}: 535 Incorrect authentication data (set_id={user})"


def mainlog(*lines: str, form: str = "%Y-%m-%d %H:%M:%S ", every: int = 1) -> bytes:
    stamped = (
        f"{datetime.fromtimestamp(1_795_449_965 + place * every, ZoneInfo('UTC')):{form}}{line}\n" for place, line in enumerate(lines)
    )
    return "".join(stamped).encode("utf-8", "surrogateescape")


def only(*lines: str, **stated: Any) -> Submission:
    [row] = read(mainlog(*lines), **stated)
    return row


def told(row: Submission) -> dict[str, object]:
    """Without what differs from one form of the log to another."""
    return row._replace(key=0, opened=0, time=row.time // 1_000_000, server="")._asdict()


# Arrivals


def test_one_message() -> None:
    row = only(
        arrival(host="H=pc.contoso.example (pc) [192.0.2.10]:51234 I=[192.0.2.1]:587", rest=" S=1253 id=1@contoso.example for a@b c@d")
    )
    assert (row.outcome, row.account, row.mechanism, row.queue_id) == ("accepted", ANNA, "PLAIN", ID)
    assert (row.tls_version, row.tls_cipher) == ("TLSv1.3", CIPHER)
    assert (row.client_ip, row.client_name, row.helo, row.service) == ("192.0.2.10", "pc.contoso.example", "pc", "submission")
    assert (row.sender, row.size, row.recipients, row.message_id) == (ANNA, 1253, 2, "<1@contoso.example>")
    assert (row.source, row.time) == ("exim", 1_795_449_965_000_000)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("H=[192.0.2.10]", ("192.0.2.10", None, None)),
        ("H=(pc) [192.0.2.10]", ("192.0.2.10", None, "pc")),
        ("H=pc.example [192.0.2.10]", ("192.0.2.10", "pc.example", None)),
        ("H=pc.example (pc) [192.0.2.10]:51234", ("192.0.2.10", "pc.example", "pc")),
        ("H=([10.1.2.3]) [192.0.2.10]", ("192.0.2.10", None, "[10.1.2.3]")),
        ("H=([IPv6:::1]) [2001:db8::1]:51234", ("2001:db8::1", None, "[IPv6:::1]")),
        ("H=(pc) [::ffff:192.0.2.10]", ("192.0.2.10", None, "pc")),
        ("H=() [192.0.2.10]", ("192.0.2.10", None, "")),
        ("DS H=pc.example (pc) [192.0.2.10] I=[192.0.2.1]:25 TFO* U=root Ci=Xq3", ("192.0.2.10", "pc.example", "pc")),
        ("R=1xVWeV-0001UH-2o H=(pc) [192.0.2.10] U=two words", ("192.0.2.10", None, "pc")),
        ("H=(x sasl_username=ceo@contoso.example) [192.0.2.10]", ("192.0.2.10", None, "x sasl_username=ceo@contoso.example")),
        ("H=((ceo) [10.9.9.9] A=plain:ceo) [192.0.2.10]", ("192.0.2.10", None, "(ceo) [10.9.9.9] A=plain:ceo")),
    ],
)
def test_clients(host: str, wanted: tuple[str, str | None, str | None]) -> None:
    row = only(arrival(host=host))
    assert (row.client_ip, row.client_name, row.helo) == wanted
    assert (row.account, row.tls_version) == (ANNA, "TLSv1.3")


@pytest.mark.parametrize(
    ("protocol", "tls", "wanted"),
    [
        ("esmtpsa", " X=TLSv1.2:ECDHE-RSA-AES256-GCM-SHA384:256", ("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384")),
        ("esmtpsa", " X=TLSv1:DHE-RSA-AES256-SHA:256", ("TLSv1.0", "DHE-RSA-AES256-SHA")),
        ("esmtpsa", " X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=no", ("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
        ("esmtpsa", " X=TLS1.3:TLS_AES_256_GCM_SHA384:256* CV=no", ("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
        ("esmtpsa", " X=TLS1.3:TLS_AES_256_GCM_SHA384:256:X25519 CV=no", ("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
        ("utf8esmtpsa", " X=TLS1.0:RSA_AES_256_CBC_SHA1:256 CV=yes", ("TLSv1.0", "RSA_AES_256_CBC_SHA1")),
        ("esmtpsa", " X=TLS-1.1:RSA_ARCFOUR_MD5:16", ("TLSv1.1", "RSA_ARCFOUR_MD5")),
        ("esmtpsa", " X=SSLv3:RC4-SHA:128", ("SSLv3", "RC4-SHA")),
        ("esmtpsa", ' X=TLS1.2:A:256 CV=yes DN="CN=anna,O=A \\"b\\" A=x:y" SNI=mail\\040x', ("TLSv1.2", "A")),
        ("esmtpsa", ' X=TLS1.2:A:256 CV=no DN="/CN=anna" SNI="mail.contoso.example"', ("TLSv1.2", "A")),
        ("esmtpsa L", " X=TLS1.2:A:256", ("TLSv1.2", "A")),
        ("esmtpsa L.-", " X=TLS1.2:A:256", ("TLSv1.2", "A")),
        ("esmtpsa L* SPF=none", " X=TLS1.2:A:256", ("TLSv1.2", "A")),
        ("esmtpsa", "", ("tls", None)),
        ("esmtpsa", " CV=no", ("tls", None)),
        ("smtpsa", "", ("tls", None)),
        ("essmtpa", "", ("tls", None)),
        ("utf8esmtpsa", "", ("tls", None)),
        ("esmtpa", "", ("none", None)),
        ("utf8esmtpa", "", ("none", None)),
        ("smtpa", "", ("none", None)),
        ("asmtp", "", ("none", None)),
        ("odd", "", ("unknown", None)),
    ],
)
def test_tls(protocol: str, tls: str, wanted: tuple[str, str | None]) -> None:
    row = only(arrival(protocol=protocol, tls=tls))
    assert (row.tls_version, row.tls_cipher, row.account) == (*wanted, ANNA)


@pytest.mark.parametrize(
    ("auth", "sender", "account"),
    [
        (f":{ANNA}", ANNA, ANNA),
        ("", ANNA, None),
        (":j\\303\\274rgen@m\\303\\274nchen.example", "jürgen@münchen.example", "jürgen@münchen.example"),
        (":TAILSPIN\\backup_job", ANNA, "TAILSPIN\\backup_job"),
        (":CONTOSO\\nadia", ANNA, "CONTOSO\\nadia"),
        (":CONTOSO\\102", ANNA, "CONTOSO\\102"),
        (":eve result=ok user=ceo ciphers=TLSv1.3", ANNA, "eve result=ok user=ceo ciphers=TLSv1.3"),
        (":eve X=TLS1.0:x:1 A=plain:ceo S=1 id=2", ANNA, "eve X=TLS1.0:x:1 A=plain:ceo S=1 id=2"),
        (":tenant:anna", ANNA, "tenant:anna"),
        (":o'neil, pat@contoso.example", ANNA, "o'neil, pat@contoso.example"),
        (f":{ANNA}:{ANNA}", ANNA, ANNA),
        (f":{ANNA}:<>", "", ANNA),
        (":anna:anna@contoso.example", "x@y.example", "anna"),
        (":scanner:reports@contoso.example", "reports@contoso.example", "scanner"),
        (":anna@contoso.example:boss@contoso.example", "x@y.example", ANNA),
        (":eve:ceo@contoso.example", "eve@contoso.example", "eve:ceo@contoso.example"),
        (f":{ANNA} PRDR PRX=192.0.2.99 K", ANNA, ANNA),
        (f":{ANNA} K", ANNA, ANNA),
    ],
)
def test_accounts(auth: str, sender: str, account: str | None) -> None:
    row = only(arrival(auth=f" A=plain_server{auth}", sender=sender or "<>"))
    assert (row.account, row.sender, row.client_ip, row.size) == (account, sender, "192.0.2.10", 1253)


@pytest.mark.parametrize(
    "sender",
    [
        '"a b"@contoso.example',
        '"x H=(y) [1.2.3.4] P=esmtpsa X=TLS1.0:x:1 A=plain:ceo S=1 id=q"@contoso.example',
        '"quoted \\" H=(y) [1.2.3.4] P=esmtpa A=plain:ceo S=1"@contoso.example',
        "a\\ b@contoso.example",
        'x."y z"@[192.0.2.1]',
        "jürgen@münchen.example",
    ],
)
def test_senders(sender: str) -> None:
    row = only(arrival(sender=sender))
    assert (row.sender, row.client_ip, row.account, row.tls_version) == (sender, "192.0.2.10", ANNA, "TLSv1.3")
    assert read(mainlog(arrival(sender=sender, auth="", protocol="esmtps"))) == [], "nobody signed in"


@pytest.mark.parametrize(
    ("rest", "recipients", "message_id"),
    [
        (" S=1253", None, None),
        (" K S=1253 M8S=8 DKIM=contoso.example RT=0.123s Q=slow id*=1@x", None, "<1@x>"),
        (' S=1253 id="a b S=9 id=2"@x T="A=plain:ceo \\"S=1\\" for x" from <> for a@b "c d"@e', 2, '<"a b S=9 id=2"@x>'),
        (' S=1253 T="id=2 [1.2.3.4] P=esmtpa A=x:y S=1" for S=1@x', 1, None),
        (" S=1253 id=1@[192.0.2.1] from <anna@contoso.example> for a@[192.0.2.7]", 1, "<1@[192.0.2.1]>"),
        (" S=1253 id=j\\303\\274@x", None, "<jü@x>"),
    ],
)
def test_what_follows_the_size(rest: str, recipients: int | None, message_id: str | None) -> None:
    row = only(arrival(rest=rest))
    assert (row.size, row.recipients, row.message_id, row.account, row.client_ip) == (1253, recipients, message_id, ANNA, "192.0.2.10")


def test_other_mail_is_no_row() -> None:
    lines = (
        f"{ID} <= {ANNA} U=root P=local S=379",
        f"{ID} <= <> R=1xVWeV-0001UH-2o U=Debian-exim P=local S=379",
        f"{ID} <= {ANNA} U=anna P=local-esmtpa A=plain:anna S=379",
        arrival(auth="", protocol="esmtps"),
        f'{ID} => x@y.example R=smarthost T=smtp H=mx [198.51.100.7] X=TLS1.3:A:256 CV=yes A=plain C="250 OK A=plain:ceo"',
        f"{ID} plain authenticator failed H=mx [198.51.100.7] 535 Incorrect authentication data",
        f"{ID} ** x@y.example: A=plain:ceo <= {ANNA} H=(x) [1.2.3.4] P=esmtpa A=plain:ceo S=1",
        f"{ID} Completed",
    )
    _, changes = run(mainlog(*lines))
    assert (changes.rows, changes.unread) == ({}, [])


def test_taken_and_told_otherwise() -> None:
    row = only(arrival().replace(" <= ", " (= "))
    assert (row.outcome, row.reason, row.account, row.queue_id) == ("rejected", "content_refused", ANNA, ID)


def test_longer_ids() -> None:
    row = only(arrival(queue_id="1xVWeV-000000001UI-2oAb"))
    assert (row.queue_id, row.opened) == ("1xVWeV-000000001UI-2oAb", 1_795_450_343_000_000)


def test_doors() -> None:
    for port, service in {"587": "submission", "465": "submissions", "25": "smtp", "2525": "unknown"}.items():
        assert only(arrival(host=f"H={PC} I=[2001:db8::9]:{port}")).service == service
    assert only(arrival(host=f"H={PC} I=[192.0.2.1]")).service == "unknown"
    assert only(arrival(protocol="essmtpa")).service == "submissions", "with +tls_on_connect"


# Mechanisms


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("plain_server", "PLAIN"),
        ("PLAIN", "PLAIN"),
        ("fixed_plain", "PLAIN"),
        ("dovecot_plain", "PLAIN"),
        ("dovecot_login", "LOGIN"),
        ("LDAPLOGIN", "LOGIN"),
        ("cram_md5_server", "CRAM-MD5"),
        ("lookup_cram", "unknown"),
        ("scram_sha_256", "SCRAM-SHA-256"),
        ("gsasl_scram_sha_256_plus", "SCRAM-SHA-256-PLUS"),
        ("SCRAM-SHA-1", "SCRAM-SHA-1"),
        ("xoauth2_dovecot", "XOAUTH2"),
        ("oauthbearer", "OAUTHBEARER"),
        ("gssapi", "GSSAPI"),
        ("ntlm_server", "NTLM"),
        ("spa", "NTLM"),
        ("external", "EXTERNAL"),
        ("plain_login", "unknown"),
        ("plaintext", "unknown"),
        ("mail_auth", "unknown"),
    ],
)
def test_mechanism_of_a_name(name: str, wanted: str) -> None:
    assert mechanism(name) == wanted
    assert only(arrival(auth=f" A={name}:{ANNA}")).mechanism == wanted


def test_mechanism_that_the_administrator_says() -> None:
    said = {"mail_auth": "PLAIN", "plain_server": "LOGIN"}
    assert only(arrival(auth=" A=mail_auth:anna"), authenticators=said).mechanism == "PLAIN"
    assert only(arrival(), authenticators=said).mechanism == "LOGIN"


# Refusals


def test_recipients_that_were_refused_are_one_transaction() -> None:
    row = only(refused("a@b.example"), refused("c@d.example"))
    assert (row.outcome, row.reason, row.account, row.mechanism, row.sender) == ("rejected", "unknown_recipient", ANNA, "PLAIN", ANNA)
    assert (row.client_ip, row.helo, row.tls_version, row.tls_cipher, row.queue_id) == ("192.0.2.10", "pc", "TLSv1.3", CIPHER, None)
    assert len(read(mainlog(refused("a@b.example"), refused("a@b.example")))) == 2, "tried again"
    assert len(read(mainlog(refused("a@b.example"), refused("c@d.example"), every=60))) == 2
    assert len(read(mainlog(refused(sender="x@y.example"), refused("c@d.example")))) == 2
    assert len(read(mainlog(refused(), refused("c@d.example", host="(pc) [192.0.2.11]")))) == 2
    ports = [refused(f"{port}@y.example", host=f"(pc) [192.0.2.10]:{port}") for port in (40001, 40002)]
    assert len(read(mainlog(*ports))) == 2


def test_a_message_that_arrives_all_the_same() -> None:
    assert only(refused(), arrival()).outcome == "accepted"
    assert only(refused("<>", sender=""), arrival(sender="<>")).outcome == "accepted"
    rows = read(mainlog(refused(), arrival(), every=300))
    assert [row.outcome for row in rows] == ["rejected", "accepted"]
    rows = read(mainlog(refused(), arrival(auth=" A=login_server:bob")))
    assert sorted(row.outcome for row in rows) == ["accepted", "rejected"]
    rows = read(mainlog(arrival(), refused()))
    assert [row.outcome for row in rows] == ["accepted", "rejected"]


def test_a_large_message_takes_its_time() -> None:
    assert [row.outcome for row in read(mainlog(refused(), arrival(rest=" S=60000000"), every=300))] == ["accepted"]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("rejected RCPT <x@y.example>: Sender x@y not owned by anna", "sender_not_owned"),
        ("rejected RCPT <x@y.example>: relay not permitted", "recipient_refused"),
        ("rejected RCPT <x@y.example>", "recipient_refused"),
        ('rejected RCPT <"user unknown"@y.example>: no', "recipient_refused"),
        ("rejected RCPT <x@y.example> NOTIFY=SUCCESS: 5.1.1 User unknown", "unknown_recipient"),
        ("temporarily rejected RCPT <x@y.example>: Greylisted, try later", "deferred"),
        ("SPF=fail DMARC=reject rejected after DATA: content refused", "content_refused"),
        ("rejected during MIME ACL checks: bad extension", "content_refused"),
        ("rejected after DATA: message too large", "too_large"),
    ],
)
def test_reasons(what: str, reason: str) -> None:
    row = only(f"{'' if 'RCPT' in what else ID + ' '}H={PC}{X} F=<{ANNA}> A=plain_server:{ANNA} {what}")
    assert (row.outcome, row.reason, row.account, row.queue_id) == ("rejected", reason, ANNA, None if "RCPT" in what else ID)


def test_refusals_of_strangers_are_no_row() -> None:
    lines = (
        f"H={PC} F=<x@y.example> rejected RCPT <a@b.example>: A=plain_server:ceo is nobody",
        f'H={PC}{X} F=<"x> A=plain:ceo rejected RCPT <"@y.example> rejected RCPT <a@b.example>: no',
        f"H={PC} rejected MAIL <x@y.example>: A=plain_server:ceo",
        f"H={PC} Warning: A=plain_server:ceo",
    )
    assert read(mainlog(*lines)) == []


def test_without_tls_in_the_line() -> None:
    row = only(refused().replace(X, ""))
    assert (row.tls_version, row.tls_cipher) == ("unknown", None)


# Sign-ins that failed


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (failed(), ("anna", "PLAIN", "bad_credentials")),
        (failed(host=f"H={PC}:40001 I=[192.0.2.1]:587 U=x Ci=Yz"), ("anna", "PLAIN", "bad_credentials")),
        (failed("a b) [1.2.3.4]: 535 x (set_id=ceo"), ("a b) [1.2.3.4]: 535 x (set_id=ceo", "PLAIN", "bad_credentials")),
        (failed("j\\303\\274rgen"), ("jürgen", "PLAIN", "bad_credentials")),
        (f"login_server authenticator failed for {PC}: 535 Incorrect authentication data", (None, "LOGIN", "bad_credentials")),
        (f"cram_md5 authenticator failed for {PC}: 501 Authentication cancelled", (None, "CRAM-MD5", "aborted")),
        (f"cram_md5 authenticator failed for {PC}: 501 Invalid base64 data", (None, "CRAM-MD5", "protocol_error")),
        (
            f"plain authenticator failed for {PC}: 435 Unable to authenticate at present (set_id=anna): account suspended",
            ("anna", "PLAIN", "server_error"),
        ),
        (f"plain authenticator failed for {PC}: 435 Unable to authenticate at present: lookup", (None, "PLAIN", "server_error")),
        (f'SMTP protocol error in "AUTH LOGIN" H={PC} AUTH command used when not advertised', (None, "LOGIN", "not_offered")),
        (f'SMTP protocol error in "auth plain AGFubmEAeA==" H={PC} AUTH command used when not advertised', (None, "PLAIN", "not_offered")),
        (f'SMTP protocol error in "AUTH" H={PC} AUTH command used when not advertised', (None, "unknown", "not_offered")),
        (
            f'SMTP protocol error in "AUTH NTLM" H={PC} NTLM authentication mechanism not supported',
            (None, "NTLM", "mechanism_not_offered"),
        ),
        (f"H={PC}{X} rejected AUTH PLAIN: too many sign-ins", (None, "PLAIN", "rate_limited")),
        (f"H={PC}{X} temporarily rejected AUTH login", (None, "LOGIN", "deferred")),
    ],
)
def test_failures(line: str, wanted: tuple[str | None, str, str]) -> None:
    row = only(line)
    assert (row.account, row.mechanism, row.reason) == wanted
    assert (row.outcome, row.client_ip, row.helo) == ("auth_failed", "192.0.2.10", "pc")


def test_failures_are_told_apart_by_their_number() -> None:
    assert len(read(mainlog(failed(), failed(), every=0))) == 2
    row = only(failed(host="(a b) [192.0.2.10]:51234 I=[192.0.2.1]:587"))
    assert (row.helo, row.client_ip, row.service) == ("a b", "192.0.2.10", "submission")


def test_errors_that_are_no_sign_in() -> None:
    lines = (
        f'SMTP protocol error in "AUTH PLAIN x" H={PC} already authenticated',
        f'SMTP protocol error in "DATA A=plain:ceo" H={PC} valid RCPT command must precede DATA',
        "plain authenticator failed for U=root: 535 Incorrect authentication data (set_id=x)",
    )
    _, changes = run(mainlog(*lines))
    assert (changes.rows, changes.unread) == ({}, [])


def test_sessions_without_mail() -> None:
    row = only(f"no MAIL in SMTP connection from {PC} D=0.312s A=plain_server:anna b{X} C=EHLO,STARTTLS,EHLO,AUTH,QUIT")
    assert (row.outcome, row.account, row.mechanism, row.tls_version, row.tls_cipher) == ("no_mail", "anna b", "PLAIN", "TLSv1.3", CIPHER)
    row = only(f"no MAIL in TFO SMTP connection from {PC}:4001 I=[192.0.2.1]:587 D=1m2s A=login C=EHLO,AUTH,QUIT")
    assert (row.account, row.tls_version, row.service) == (None, "none", "submission")
    assert only(f"no MAIL in SMTP connection from {PC} D=0s A=login:x C=EHLO,AUTH").tls_version == "unknown"
    assert only(f"no MAIL in SMTP connection from {PC} D=0s A=login:x C=EHLO,STARTTLS,EHLO,AUTH").tls_version == "tls"
    assert read(mainlog(f"no MAIL in SMTP connection from {PC} D=0s{X} C=EHLO,STARTTLS,EHLO,QUIT")) == []


# TLS handshakes

SHAKE = f"TLS error on connection from {PC} (gnutls_handshake): No supported cipher suites have been found."


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("(gnutls_handshake): No supported cipher suites have been found.", "no_shared_cipher"),
        ("(SSL_accept): error:1417A0C1:SSL routines:tls_post_process_client_hello:no shared cipher", "no_shared_cipher"),
        ("(SSL_accept): error:1420918C:SSL routines:tls_early_post_process_client_hello:version too low", "version_refused"),
        ("(SSL_accept): error:0A000102:SSL routines::unsupported protocol", "version_refused"),
        ("(gnutls_handshake): A packet with illegal or unsupported version was received.", "version_refused"),
        ("(SSL_accept): error:1408F10B:SSL routines:ssl3_get_record:wrong version number", "not_tls"),
        ("(gnutls_handshake): timed out", "timeout"),
        ("(recv): A TLS fatal alert has been received: Certificate is bad", "certificate_refused"),
        ("SSL_accept: TCP connection closed by peer", "connection_lost"),
        ("(gnutls_handshake): strange", "handshake_failed"),
    ],
)
def test_handshakes(said: str, reason: str) -> None:
    accepted, row = read(mainlog(arrival(), f"TLS error on connection from {PC} I=[192.0.2.1] {said}"))
    assert (row.outcome, row.reason, row.account, row.tls_version, row.client_ip) == ("tls_failed", reason, None, "unknown", "192.0.2.10")
    assert accepted.outcome == "accepted"


def test_a_handshake_counts_where_clients_sign_in() -> None:
    assert read(mainlog(SHAKE)) == []
    assert sorted(row.outcome for row in read(mainlog(SHAKE, arrival()))) == ["accepted", "tls_failed"]
    elsewhere = SHAKE.replace("] (", "] I=[192.0.2.1]:25 (")
    assert [row.outcome for row in read(mainlog(elsewhere, arrival(host=f"H={PC} I=[192.0.2.1]:587")))] == ["accepted"]
    assert read(mainlog(arrival(), SHAKE.replace("gnutls_handshake", "recv")))[1:] == []


# Files and syslogs


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S.123 ",
        "%Y-%m-%d %H:%M:%S +0000 ",
        "%Y-%m-%d %H:%M:%S.123 +0000 ",
        "%Y-%m-%d %H:%M:%S [5672] ",
        "%Y-%m-%d %H:%M:%S.123 +0000 [5672] ",
    ],
)
def test_forms_of_the_main_log(form: str) -> None:
    lines = (failed(), refused(), arrival(), SHAKE, f"{ID} Completed")
    wanted = read(mainlog(*lines))
    rows = read(mainlog(*lines, form=form))
    assert [told(row) for row in rows] == [told(row) for row in wanted]
    assert [row.key for row in rows] == [row.key for row in wanted]


def test_zone() -> None:
    assert only(arrival(), zone=ZoneInfo("Europe/Paris")).time == 1_795_446_365_000_000
    paris = mainlog(arrival(), form="%Y-%m-%d %H:%M:%S +0100 ")
    assert [row.time for row in read(paris)] == [1_795_446_365_000_000]


def test_ids_tell_the_zone_that_nobody_stated() -> None:
    text = mainlog(arrival(queue_id="1xVWer-0001UI-2o"))  # 22 s after 16:06:05
    for zone in ("Europe/Paris", "Asia/Kolkata"):
        source = LogReader(SOURCES, options(zone=ZoneInfo(zone), zone_given=False))
        source.settle([], text)
        [row] = source.feed(text).rows.values()
        assert row.time == 1_795_449_965_000_000
    stated = LogReader(SOURCES, options(zone=ZoneInfo("Europe/Paris")))
    stated.settle([], text)
    [row] = stated.feed(text).rows.values()
    assert row.time == 1_795_446_365_000_000


def test_ids_tell_year_and_zone_of_a_syslog() -> None:
    text = log(f"exim[5672]: {arrival()}")
    source = LogReader(SOURCES, options(year=None, zone=ZoneInfo("Asia/Kolkata"), zone_given=False, now=1_900_000_000_000_000))
    source.settle([], text)
    [row] = source.feed(text).rows.values()
    assert (row.time, source.year_evidence) == (1_795_449_965_000_000, "2026, from queue ids")


def syslog(
    text: bytes, *, stamps: bool = True, pids: bool = True, twice: bool = True, form: str = "%b %d %H:%M:%S mail exim[{pid}]: "
) -> bytes:
    """A main log as Exim would have written it to syslog: cut at 870 characters, refusals a second time for the reject log."""
    written = []
    for number, entry in enumerate(re.split(rb"\n(?=\d{4}-)", text.rstrip(b"\n"))):
        line = entry.split(b"\n")[0]
        at = datetime.fromisoformat(line[:19].decode())
        said = line if stamps else line[20:]
        rejects = re.search(rb" authenticator failed for | (?:temporarily )?rejected ", line) and b" <= " not in line
        dump = b"\nEnvelope-from: <x@y>\nEnvelope-to: <a@b>\nP Received: from x A=plain:ceo\n\tby y; z\nF From: x\n"
        for copy in (said, said + (dump if b"after DATA" in line else b""))[: 2 if rejects and twice else 1]:
            head = f"{at:{form}}".replace("{pid}", str(7000 + number) if pids else "7").encode()
            written += [head + part for part in parts_of(copy.rstrip(b"\n"))]
    return b"\n".join(written) + b"\n"


def journal(line: bytes) -> bytes:
    """The same as journalctl -o json --all gives it; what is not ASCII as the numbers of its bytes."""
    found = re.match(rb"(.{15}) mail exim\[(\d+)\]: (.*)\n", line, re.DOTALL)
    assert found
    at = datetime.strptime(f"2026 {found[1].decode()}", "%Y %b %d %H:%M:%S").replace(tzinfo=ZoneInfo("UTC"))
    message = found[3].decode() if found[3].isascii() else list(found[3])
    stamp = str(int(at.timestamp()) * 1_000_000)
    fields = {"__REALTIME_TIMESTAMP": stamp, "_HOSTNAME": "mail", "SYSLOG_IDENTIFIER": "exim", "SYSLOG_PID": found[2].decode()}
    return json.dumps({**fields, "MESSAGE": message}).encode() + b"\n"


def parts_of(said: bytes) -> Iterator[bytes]:
    pieces = [(line[at : at + 870], at + 870 >= len(line)) for line in said.split(b"\n") for at in range(0, len(line), 870)]
    for number, (piece, ends) in enumerate(pieces, 1):
        sign = b"\\" if ends and number < len(pieces) else b"/"
        yield piece if len(pieces) == 1 else b"[%d%b%d] %b" % (number, sign, len(pieces), piece)


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"stamps": False},
        {"twice": False},
        {"form": "%Y-%m-%dT%H:%M:%S.250000+00:00 mail exim4[{pid}]: "},
        {"form": "<22>1 %Y-%m-%dT%H:%M:%SZ mail exim {pid} - - "},
        {"stamps": False, "form": "%Y-%m-%dT%H:%M:%S+00:00 mail exim[{pid}]: "},
        {"wrap": journal},
        {"wrap": lambda line: line.replace(b"\t", b"#011").replace(b"\x01", b"#001").replace(b"\x1b", b"#033")},
    ],
    ids=str,
)
def test_a_syslog_gives_the_same_rows_as_the_main_log(written: dict[str, Any]) -> None:
    text = (LOGS / "mainlog").read_bytes()
    wrap = written.pop("wrap", None)
    lines = syslog(text, **written)
    rows = read(b"".join(map(wrap, lines.splitlines(keepends=True))) if wrap else lines)
    truth = read_truth(LOGS / "truth.jsonl")
    assert faults(truth, [row._asdict() for row in rows]) == []
    assert abs(sum(row.outcome == "auth_failed" for row in rows) - failed_sign_ins(truth)) <= 1
    kept = {row.key: told(row) for row in rows if row.outcome != "rejected" or row.queue_id}
    main = {key: told(row) for key, row in keyed_like(text, host="mail").items() if row.outcome != "rejected" or row.queue_id}
    assert kept == main


def keyed_like(text: bytes, host: str) -> dict[int, Submission]:
    return {row.key: row for row in read(text, server=host)}


def test_a_line_that_was_cut() -> None:
    text = mainlog(
        arrival(
            rest=' S=1253 id=1@contoso.example T="' + "x " * 50 + '" for ' + " ".join(f"someone{n}@woodgrove.example" for n in range(60))
        )
    )
    cut = syslog(text)
    assert cut.count(b"\n") == 3
    [row] = read(cut)
    assert (row.recipients, row.account, row.time) == (60, ANNA, 1_795_449_965_000_000)
    lines = cut.splitlines(keepends=True)
    assert read(b"".join((*lines[:1], *lines[2:]))) == [], "a part is missing"
    other = syslog(mainlog(failed())).replace(b"[7000]", b"[99]")
    assert len(read(b"".join((lines[0], other, *lines[1:])))) == 2


def test_a_cut_at_a_blank() -> None:
    """rsyslog leaves blanks at the end of a line out."""
    line = mainlog(arrival(host=f"H=({'h' * 500}) [192.0.2.10]", sender="s" * 60 + "@contoso.example"))
    shift = 869 - line.rstrip().rfind(b" ", 0, 870) - 1
    text = mainlog(
        arrival(host=f"H=({'h' * (500 + shift)}) [192.0.2.10]", sender="s" * 60 + "@contoso.example", rest=" S=1253 id=" + "i" * 300)
    )
    wanted, got = read(text), read(b"\n".join(part.rstrip() for part in syslog(text).split(b"\n")))
    assert [told(row) for row in got] == [told(row) for row in wanted]


def test_equal_lines_of_one_process_in_a_syslog() -> None:
    once = log(*[f"exim[7]: {failed()}"] * 2, f"exim[7]: {failed('other')}", f"exim[8]: {failed()}")
    assert len(read(once)) == 3
    unadvertised = f'SMTP protocol error in "AUTH LOGIN" H={PC} AUTH command used when not advertised'
    assert len(read(log(*[f"exim[7]: {unadvertised}"] * 2))) == 2, "it is in the main log only"
    repeated = log(f"exim[7]: {failed()}", "last message repeated 3 times")
    assert len(read(repeated)) == 2


def test_the_reject_log() -> None:
    main, rejects = (LOGS / "mainlog").read_bytes(), (LOGS / "rejectlog").read_bytes()
    wanted = {row.identity: row for row in read(main)}
    source = reader()
    source.settle(rejects.splitlines()[::9], rejects[:65_536])
    _, changes = run(rejects, source=source)
    assert changes.rows.items() <= wanted.items()
    assert {row.outcome for row in changes.rows.values()} == {"auth_failed", "rejected"}
    assert changes.unread == []


def test_lines_of_a_message_in_the_reject_log_are_no_log_lines() -> None:
    dump = (
        "Envelope-from: <x@y.example>\nEnvelope-to: <a@b.example>\n"
        f"  Subject: x\n\t2026-11-23 16:06:05 {arrival()}\nI Message-ID: <2026-11-23 16:06:05 {failed()}>\n"
    )
    text = mainlog(f"{ID} {refused().replace('RCPT <x@y.example>', 'after DATA')}") + dump.encode()
    assert [row.outcome for row in read(text)] == ["rejected"]


def test_cut_anywhere_and_read_in_two_runs() -> None:
    lines = (SHAKE, failed(), refused("a@b.example"), refused("c@d.example"), arrival(), refused("e@f.example"), failed(), failed())
    for text in (mainlog(*lines, every=0), syslog(mainlog(*lines, every=0), pids=False)):
        wanted = {row.identity: row._replace(account=None) for row in read(text)}
        for place in (found.end() for found in re.finditer(rb"\n", text[:-1])):
            first, changes = run(text[:place])
            second = reader()
            second.recall(first.remember())
            changes.take(run(text[place:], source=second)[1])
            assert {key: row._replace(account=None) for key, row in changes.rows.items()} == wanted
            assert '"anna"' not in "".join(entry.sessions for entry in first.remember())


ODD = (
    arrival(auth=f" A=plain_server:{ANNA}:{ANNA}"),
    arrival(auth=" A=plain_server:a b", sender="<>", queue_id="1xVWeV-0001UI-2n"),
    arrival(auth=f" A=plain_server:{ANNA} K", rest=" S=1 id=1@x for a@b c@d", queue_id="1xVWeV-0001UI-2p"),
    arrival(auth=" A=mail_auth", host="H=pc.example ([10.1.2.3]) [2001:db8::1]:51234 I=[2001:db8::9]:587", queue_id="1xVWeV-0001UI-2q"),
    arrival(auth=" A=login:j\\303\\274", protocol="esmtpa", tls="", rest=" S=1", queue_id="1xVWeV-0001UI-2r"),
    arrival(host="H=() [192.0.2.12]", queue_id="1xVWeV-000000001UI-2oAb"),
)


@pytest.mark.parametrize("seed", range(3))
def test_many_arrivals_become_columns(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever is taken for columns, the rows are those that its lines give one by one."""
    lines = [*ODD, SHAKE, refused(), refused("z@y.example"), failed(), *(line.replace("1xVWeV", "1xVWeW") for line in ODD)]
    texts = [(LOGS / "mainlog").read_bytes(), mainlog(*lines), mainlog(*random.Random(seed).sample(lines, len(lines)))]
    texts += [mainlog(*lines, form=form) for form in ("%Y-%m-%d %H:%M:%S.123 +0100 [7] ", "%Y-%m-%d %H:%M:%S [7] ")]
    for text in texts:
        monkeypatch.setattr(exim, "MANY", 1 << 60)
        _, one_by_one = run(text)
        monkeypatch.setattr(exim, "MANY", 0)
        _, changes = run(text)
        wanted, got = ({row.identity: row for row in rows_of(each)} for each in (one_by_one, changes))
        assert got == wanted
        assert one_by_one.messages == []
        assert changes.messages
        assert (changes.other, changes.newest) == (one_by_one.other, one_by_one.newest)


# What is missing


def test_findings(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (tmp_path / "mainlog").write_bytes(mainlog(arrival(tls="", auth=" A=mail_auth"), f"{ID} Completed"))
    said = site.done("doctor", "--year", "2026", tmp_path / "mainlog").stdout.decode()
    for setting in (
        "+tls_cipher",
        "+smtp_no_mail",
        "+received_recipients",
        "+incoming_interface",
        "server_set_id = $auth2",
        "exim_authenticators",
    ):
        assert setting in said


def test_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_AUTH_REPORT_EXIM_AUTHENTICATORS", "mail_auth=plain, other=LOGIN")
    site = Site(tmp_path)
    (tmp_path / "mainlog").write_bytes(mainlog(arrival(auth=" A=mail_auth:anna")))
    site.ingest(tmp_path / "mainlog")
    assert [row["mechanism"] for row in site.rows()] == ["PLAIN"]


# What clients write

HOSTILE = (
    "x) [1.2.3.4] P=esmtpsa X=TLS1.0:x:1 A=plain:ceo S=1 id=1",
    'x") [1.2.3.4] P=esmtpa A=plain:ceo S=1 T="',
    "x) [1.2.3.4] D=1s A=plain:ceo C=EHLO",
    "x) [1.2.3.4]: 535 Incorrect authentication data (set_id=ceo)",
    "x) [1.2.3.4] F=<a@b> A=plain:ceo rejected RCPT <y>: z",
)
TEXT = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\r\0"), max_size=40)
QUOTED = TEXT.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"@x.example')


def same_but_helo(rows: Iterable[Submission]) -> list[tuple[object, ...]]:
    return [(row.account, row.client_ip, row.tls_version, row.tls_cipher, row.outcome) for row in rows]


@settings(max_examples=300, deadline=None)
@given(TEXT, QUOTED, QUOTED, TEXT)
def test_hostile_names_change_no_field_of_an_arrival(helo: str, sender: str, message_id: str, ident: str) -> None:
    subject = helo.replace("\\", "\\\\").replace('"', '\\"')
    rest = f' S=1253 id={message_id} T="{subject}" from <{sender}> for {message_id} a@b.example'
    wanted = [(ANNA, "192.0.2.10", "TLSv1.3", CIPHER, "accepted")]
    assert same_but_helo(read(mainlog(arrival(sender=sender, host=f"H=({helo}) [192.0.2.10]", rest=rest)))) == wanted
    stranger = arrival(sender=sender, host=f"H=({helo}) [192.0.2.10]", auth="", protocol="esmtps", rest=rest)
    assert read(mainlog(stranger)) == []
    with_ident = arrival(sender=sender, host=f"H={PC} U={ident}", rest=rest)
    assert same_but_helo(read(mainlog(with_ident))) in (wanted, [])


@settings(max_examples=300, deadline=None)
@given(TEXT, QUOTED, QUOTED, TEXT)
def test_hostile_names_change_no_field_of_a_refusal(helo: str, sender: str, recipient: str, answer: str) -> None:
    lines = refused(recipient[:99], answer, sender=sender), refused(recipient, "no", sender=sender), refused(host=f"({helo}) [192.0.2.10]")
    for line in lines:
        assert same_but_helo(read(mainlog(line))) in ([(ANNA, "192.0.2.10", "TLSv1.3", CIPHER, "rejected")], [])
        assert read(mainlog(line.replace(f" A=plain_server:{ANNA}", ""))) == []
    assert len(read(mainlog(lines[1]))) == 1


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT)
def test_hostile_names_change_no_other_row(user: str, helo: str) -> None:
    ended = f"no MAIL in SMTP connection from ({helo}) [192.0.2.10] D=0s A=plain_server:bob{X} C=EHLO,AUTH"
    rows = read(mainlog(failed(user), arrival(), failed(user, f"({helo}) [192.0.2.11]"), ended))
    [accepted] = [row for row in rows if row.queue_id]
    assert (accepted.account, accepted.client_ip, accepted.tls_version) == (ANNA, "192.0.2.10", "TLSv1.3")
    [no_mail] = [row for row in rows if row.outcome == "no_mail"]
    assert (no_mail.account, no_mail.client_ip, no_mail.tls_version) == ("bob", "192.0.2.10", "TLSv1.3")
    first = next(row for row in rows if row.outcome == "auth_failed")
    assert (first.client_ip, first.account) == ("192.0.2.10", printed(user.encode()) or None)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=4))
def test_columns_take_nothing_that_can_be_read_otherwise(names: list[tuple[str, str, str, str]]) -> None:
    lines = [
        arrival(
            queue_id=f"1xVWe{number}-0001UI-2o",
            sender=sender,
            host=f"H=({helo}) [192.0.2.10]",
            auth=f" A=plain:{user}",
            rest=f" S=7 id={message_id}",
        )
        for number, (helo, sender, user, message_id) in enumerate(names)
    ]
    text = mainlog(*lines)
    found = []
    for many in (1 << 60, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exim, "MANY", many)
            found.append({row.identity: row for row in rows_of(run(text)[1])})
    assert found[0] == found[1]


LINES = (arrival(), refused(), failed(), SHAKE, f"{ID} Completed", "[1/2] x", HOSTILE[0])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=6), st.binary(max_size=80), st.integers(0, 900), st.booleans())
def test_any_bytes_are_read_or_reported(lines: Sequence[str], noise: bytes, place: int, in_syslog: bool) -> None:
    text = syslog(mainlog(*lines)) if in_syslog and lines else mainlog(*lines)
    place = min(place, len(text))
    _, changes = run(text[:place] + noise + text[place:] + b"\n")
    assert 0 <= changes.other <= changes.lines
    assert all(row.tls_version and row.time > 0 for row in changes.rows.values())
