"""
What bundles of a mail server write, by their own names of services and in their containers' logs. Each of them has Postfix
inside; what it is called and what stands around it differs.
"""

from __future__ import annotations

import pytest

from reading import ANNA, CIPHER, PC, log, read, session
from smtp_auth_report.submission import Submission

LOCAL = "localhost[127.0.0.1]"


def only(*lines: str) -> Submission:
    [row] = read(log(*lines))
    return row


def compose(service: str, text: bytes, *, colour: bool = False, stamps: bool = False) -> bytes:
    """As docker compose logs gives it."""
    head = f"{service}  | "
    head = f"\x1b[36m{head.rstrip()}\x1b[0m " if colour else head
    lines = text.decode().splitlines()
    return "".join(f"{head}{f'2026-11-23T16:06:{5 + place:02}.5Z ' if stamps else ''}{line}\n" for place, line in enumerate(lines)).encode()


def behind_a_filter(first: str, second: str = "5C1A022C8A9", smtpd: str = "postfix/10025/smtpd[911]") -> list[str]:
    """The same message comes back from an after-queue filter."""
    return [
        f"{smtpd}: connect from {LOCAL}",
        f"{smtpd}: {second}: client={LOCAL}, orig_queue_id={first}, orig_client={PC}",
        f"postfix/cleanup[912]: {second}: message-id=<one@contoso.example>",
        f"postfix/qmgr[803]: {second}: from=<a.berg@contoso.example>, size=1700, nrcpt=2 (queue active)",
        f"{smtpd}: disconnect from {LOCAL} ehlo=1 mail=1 rcpt=2 data=1 quit=1 commands=6",
    ]


@pytest.mark.parametrize(
    ("tag", "service", "version"),
    [
        ("postfix/submission/smtpd[364]", "submission", "TLSv1.3"),
        ("postfix/smtps/smtpd[364]", "submissions", "TLSv1.3"),
        ("postfix/submission-haproxy/smtpd[364]", "submission", "TLSv1.3"),
        ("postfix/smtps-haproxy/smtpd[364]", "submissions", "TLSv1.3"),
        ("postfix/sogo/smtpd[364]", "unknown", None),
    ],
)
def test_mailcow(tag: str, service: str, version: str | None) -> None:
    """The web mail client SOGo signs in from inside, without TLS."""
    counters = " ehlo=1 auth=1 mail=1 rcpt=2 data=1 quit=1 commands=7"
    lines = session(smtpd=tag, version=version, client="sogo[172.22.1.248]" if version is None else PC, counters=counters)
    outgoing = [
        "enforced-tls-smtp/smtp[402]: Verified TLS connection established to mx.example[198.51.100.7]:25: TLSv1.3 with cipher " + CIPHER,
        "enforced-tls-smtp/smtp[402]: 4F1A022C8A9: to=<x@y.example>, relay=mx.example[198.51.100.7]:25, status=sent (250 OK)",
    ]
    text = log(*lines, *outgoing, host="5d2e7f1c0a9b")
    [row] = read(compose("postfix-mailcow-1", text))
    assert (row.account, row.service, row.tls_version, row.recipients) == (ANNA, service, version or "unknown", 2)
    for other in (compose("postfix-mailcow-1", text, colour=True), compose("postfix-mailcow_1", text, stamps=True)):
        assert [again._replace(time=row.time, key=0, opened=0) for again in read(other)] == [row._replace(key=0, opened=0)]


def test_mailcow_with_its_other_services() -> None:
    text = log(*session())
    lines = text.splitlines(keepends=True)
    nginx = b'nginx-mailcow-1    | 192.0.2.9 - - [23/Nov/2026:16:06:05 +0000] "GET / HTTP/2.0" 200 "client=x, sasl_username=ceo"\n'
    dovecot = b"dovecot-mailcow-1  | Nov 23 16:06:05 5d2e dovecot: lmtp(anna)<1><x>: saved mail to INBOX\n"
    mixed = b"".join(nginx + dovecot + compose("postfix-mailcow-1", line) for line in lines)
    assert [row.account for row in read(mixed)] == [ANNA]


@pytest.mark.parametrize("tag", ["postfix/submission/smtpd[701]", "postfix/submissions/smtpd[701]"])
def test_docker_mailserver(tag: str) -> None:
    lines = [line.replace("postfix/cleanup", "postfix/sender-cleanup/cleanup") for line in session(smtpd=tag)]
    row = only(*lines, *behind_a_filter("4F1A022C8A9", smtpd="postfix/smtpd-amavis/smtpd[911]"))
    assert (row.account, row.message_id, row.size, row.tls_version) == (ANNA, "<one@contoso.example>", 1253, "TLSv1.2")
    assert row.service == tag.split("/")[1]


@pytest.mark.parametrize("tag", ["postfix/submission/smtpd[701]", "postfix/smtps/smtpd[701]", "postfix/smtpd[701]"])
def test_stock_daemons(tag: str) -> None:
    """Mail-in-a-Box, iRedMail, Modoboa and Plesk, with a content filter or without."""
    for lines in (session(smtpd=tag), [*session(smtpd=tag), *behind_a_filter("4F1A022C8A9")]):
        row = only(*lines)
        assert (row.account, row.tls_version, row.queue_id, row.outcome) == (ANNA, "TLSv1.2", "4F1A022C8A9", "accepted")


def test_modoboa() -> None:
    """Its installer lets amavis read mail before the queue, and checks that the sender belongs to the account."""
    door, way_back = "postfix/submission/smtpd[701]", "postfix/smtpd[911]"
    row = only(
        f"{door}: connect from {PC}",
        f"{door}: Anonymous TLS connection established from {PC}: TLSv1.3 with cipher {CIPHER}",
        f"{door}: NOQUEUE: client={PC}, sasl_method=PLAIN, sasl_username={ANNA}",
        f"{way_back}: connect from {LOCAL}",
        f"{way_back}: 4F1A022C8A9: client={LOCAL}, orig_client={PC}",
        "postfix/cleanup[802]: 4F1A022C8A9: message-id=<one@contoso.example>",
        "postfix/qmgr[803]: 4F1A022C8A9: from=<a.berg@contoso.example>, size=1253, nrcpt=2 (queue active)",
        f"{way_back}: disconnect from {LOCAL} ehlo=1 xforward=1 mail=1 rcpt=2 data=1 quit=1 commands=7",
        "amavis[3100]: (03100-01) Passed CLEAN {RelayedOutbound}, ORIGINATING LOCAL [192.0.2.10]:4711 <a.berg@contoso.example>",
        f"{door}: proxy-accept: END-OF-MESSAGE: 250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4F1A022C8A9; "
        f"from=<a.berg@contoso.example> to=<x@y.example> proto=ESMTP helo=<[192.168.1.10]> sasl_username=<{ANNA}>",
        f"{door}: disconnect from {PC} ehlo=2 starttls=1 auth=1 mail=1 rcpt=2 data=1 quit=1 commands=9",
    )
    assert (row.account, row.service, row.tls_version, row.client_ip) == (ANNA, "submission", "TLSv1.3", "192.0.2.10")
    assert (row.queue_id, row.size, row.recipients, row.helo) == ("4F1A022C8A9", 1253, 2, "[192.168.1.10]")


def test_zimbra() -> None:
    zimbra = [
        "saslauthd[3021]: auth_zimbra: anna.berg@contoso.example auth OK",
        "zmmailboxdmgr[400]: status requested",
        *session(smtpd="postfix/submission/smtpd[701]"),
        "amavis[3100]: (03100-01) Passed CLEAN {RelayedOutbound}, MYNETS LOCAL [192.0.2.10]:4711 <a.berg@contoso.example> -> <x@y.example>",
        *behind_a_filter("4F1A022C8A9", smtpd="postfix/amavisd/smtpd[911]"),
        *behind_a_filter("4F1A022C8A9", "5D1A022C8A9", smtpd="postfix/dkimmilter/smtpd[913]"),
    ]
    row = only(*zimbra)
    assert (row.account, row.service, row.client_ip, row.size) == (ANNA, "submission", "192.0.2.10", 1253)


def mailu(*, login: str = "") -> bytes:
    """The front's nginx has taken TLS and password; its hop names the account if it vouches for it."""
    front = "front[172.18.0.5]"
    mail = f", sasl_method=XCLIENT, sasl_username={login}" if login else ""
    lines = log(
        f"postfix/smtpd[77]: connect from {front}",
        f"postfix/smtpd[77]: 4F1A022C8A9: client={PC}{mail}",
        "postfix/cleanup[78]: 4F1A022C8A9: message-id=<one@contoso.example>",
        "postfix/qmgr[79]: 4F1A022C8A9: from=<a.berg@contoso.example>, size=1253, nrcpt=2 (queue active)",
        f"postfix/smtpd[77]: disconnect from {PC} ehlo=2 xclient=1 mail=1 rcpt=2 data=1 quit=1 commands=8",
        host="smtp",
    )
    return compose("smtp-1", lines)


def test_mailu() -> None:
    assert read(mailu()) == [], "whether someone signed in, only the front knows"
    [row] = read(mailu(login=ANNA))
    assert (row.account, row.client_ip, row.mechanism, row.tls_version) == (ANNA, "192.0.2.10", "unknown", "unknown")


def exim_mainlog(*lines: str) -> bytes:
    return "".join(f"2026-11-23 16:06:{5 + place:02} [5672] {line}\n" for place, line in enumerate(lines)).encode()


def test_cpanel_and_directadmin() -> None:
    """Exim with Dovecot's sign-in, a log of their own and custom lines of their ACLs; mail of scripts is local."""
    peer = "H=pc.example (pc) [192.0.2.10]:51234"
    rows = read(
        exim_mainlog(
            "cwd=/var/spool/exim 3 args: /usr/sbin/exim -Mc 1xVWeV-0001UI-2o",
            "SMTP connection identification H=pc A=192.0.2.10 P=51234 M=1xVWeV-0001UI-2o U=contoso ID=1003 S=contoso B=identified",
            f"dovecot_login authenticator failed for {peer}: 535 Incorrect authentication data (set_id=info@contoso.example)",
            f"1xVWeV-0001UI-2o <= {ANNA} {peer} P=esmtpsa X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=no A=dovecot_plain:{ANNA} S=1253 "
            'id=1@contoso.example T="Invoice A=dovecot_plain:ceo" for x@y.example',
            f"1xVWeV-0001UI-2o Sender identification U=contoso D=contoso.example S={ANNA}",
            "1xVWeV-0001UI-2o SMTP connection outbound 1795449967 1xVWeV-0001UI-2o contoso.example x@y.example",
            '1xVWeV-0001UI-2o => x@y.example R=dkim_lookuphost T=dkim_remote_smtp H=mx.y.example [198.51.100.7] A=plain C="250 OK"',
            '1xVWeW-0001UJ-2o <= contoso@web.example U=contoso P=local S=700 id=2@web.example T="order" for x@y.example',
            "1xVWeV-0001UI-2o Completed",
        )
    )
    accepted, failed = sorted(rows, key=lambda row: row.outcome)
    assert (accepted.account, accepted.mechanism, accepted.client_name, accepted.recipients) == (ANNA, "PLAIN", "pc.example", 1)
    assert (failed.account, failed.mechanism, failed.client_ip) == ("info@contoso.example", "LOGIN", "192.0.2.10")
