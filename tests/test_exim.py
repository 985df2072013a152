"""Exim's lines with every setting of its log, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exim_log import ANNA, CIPHER, ID, PC, SHAKE, X, arrival, failed, mainlog, refused
from ingesting import Site
from reading import read, run
from smtp_auth_report.sources.exim_lines import mechanism
from smtp_auth_report.submission import Submission


def only(*lines: str, **stated: Any) -> Submission:
    [row] = read(mainlog(*lines), **stated)
    return row


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
        (f":{ANNA}:ceo@x.example:y@z.example", "x@y.example", ANNA),
        (f":tenant:{ANNA}:a b@contoso.example", "x@y.example", f"tenant:{ANNA}"),
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
        ("rejected RCPT <x@y.example>: relay not permitted", "relay_denied"),
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
        f"H={PC} F=<x@y.example> rejected RCPT <a@b.example>: {failed()}",
    )
    _, changes = run(mainlog(*lines))
    assert (changes.rows, changes.unread) == ({}, [])


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


def test_tls_of_a_sign_in_that_an_acl_refused() -> None:
    row = only(f"H={PC}{X} rejected AUTH PLAIN: no")
    assert (row.tls_version, row.tls_cipher) == ("TLSv1.3", CIPHER)


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
    for port, service in {"587": "submission", "465": "submissions"}.items():
        [row] = read(mainlog(SHAKE.replace("] (", f"] I=[192.0.2.1]:{port} (")))
        assert (row.outcome, row.service) == ("tls_failed", service), "nobody comes in by it"
    assert read(mainlog(arrival(), SHAKE.replace("gnutls_handshake", "recv")))[1:] == []


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
