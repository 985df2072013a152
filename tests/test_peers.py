"""
What other readers of Postfix logs get wrong, each as a small log.

Measured on the same logs they found between none and two thirds of the messages: stamps in RFC 3339, long queue ids,
ports other than 587, mechanisms other than PLAIN and LOGIN, a comma after the user name, failures that count as
messages, users that never existed.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from ingesting import Site, ingest, outcomes

ANNA = "anna.berg@contoso.example"


class Stamps(NamedTuple):
    """How the same second is written before each line."""

    name: str
    form: str
    fraction: str = ""


STAMPS = (
    Stamps("traditional", "Nov 23 16:06:{second:02} mail {tag}[{pid}]: {text}"),
    Stamps("rfc-3339", "2026-11-23T16:06:{second:02}.250000+00:00 mail {tag}[{pid}]: {text}", ".250000"),
    Stamps("rfc-3339-elsewhere", "2026-11-23T17:06:{second:02}.250000+01:00 mail {tag}[{pid}]: {text}", ".250000"),
    Stamps("rfc-5424", "<22>1 2026-11-23T16:06:{second:02}.250Z mail {tag} {pid} - - {text}", ".250000"),
    Stamps("journal", "2026-11-23T16:06:{second:02}+0000 mail {tag}[{pid}]: {text}"),
)
TRADITIONAL = STAMPS[0]


def logged(*lines: str, second: int, stamps: Stamps = TRADITIONAL) -> str:
    """Lines `tag[pid]: text`, one a second."""
    parts = (line.replace("]: ", "[", 1).split("[", 2) for line in lines)
    stamped = (stamps.form.format(second=second + place, tag=tag, pid=pid, text=text) for place, (tag, pid, text) in enumerate(parts))
    return "".join(line + "\n" for line in stamped)


def session(
    user: str = f"sasl_username={ANNA}",
    *,
    tag: str = "postfix/submission/smtpd",
    method: str = "PLAIN",
    queue_id: str = "4F1A022C8A9",
    version: str = "TLSv1.2",
    address: str = "192.0.2.10",
    pid: int = 701,
    stamps: Stamps = TRADITIONAL,
    second: int = 5,
) -> str:
    """One signed-in session with one message of 1253 bytes to two recipients."""
    client, instance = f"pc.contoso.example[{address}]", tag.partition("/")[0]
    starttls = "" if "smtps" in tag or "submissions" in tag or "465" in tag else "starttls=1 "
    cipher = "ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)"
    return logged(
        f"{tag}[{pid}]: connect from {client}",
        f"{tag}[{pid}]: Anonymous TLS connection established from {client}: {version} with cipher {cipher}",
        f"{tag}[{pid}]: {queue_id}: client={client}, sasl_method={method}, {user}",
        f"{instance}/cleanup[802]: {queue_id}: message-id=<one@contoso.example>",
        f"{instance}/qmgr[803]: {queue_id}: from=<a.berg@contoso.example>, size=1253, nrcpt=2 (queue active)",
        f"{tag}[{pid}]: disconnect from {client} ehlo=2 {starttls}auth=1 mail=1 rcpt=2 data=1 quit=1 commands=9",
        f"{instance}/qmgr[803]: {queue_id}: removed",
        second=second,
        stamps=stamps,
    )


def one(rows: list[dict[str, object]]) -> dict[str, object]:
    assert len(rows) == 1, rows
    assert rows[0]["outcome"] == "accepted"
    return rows[0]


@pytest.mark.parametrize("stamps", STAMPS, ids=lambda stamps: stamps.name)
def test_every_stamp(tmp_path: Path, stamps: Stamps) -> None:
    row = one(ingest(tmp_path, session(stamps=stamps)))
    wanted = f"2026-11-23T16:06:09{stamps.fraction}Z"
    told = {name: row[name] for name in ("time", "account", "tls_version", "service", "recipients", "size")}
    assert told == {"time": wanted, "account": ANNA, "tls_version": "TLSv1.2", "service": "submission", "recipients": 2, "size": 1253}


@pytest.mark.parametrize("queue_id", ["4jY9lz1mRhz9rxT", "4jY9lz0001znjll", "4F1A022C8A9", "DFADC"])
def test_long_and_short_queue_ids(tmp_path: Path, queue_id: str) -> None:
    row = one(ingest(tmp_path, session(queue_id=queue_id)))
    assert (row["queue_id"], row["size"], row["tls_version"]) == (queue_id, 1253, "TLSv1.2")


def test_submitter_is_no_part_of_the_user(tmp_path: Path) -> None:
    row = one(ingest(tmp_path, session(f"sasl_username={ANNA}, sasl_sender=boss@contoso.example")))
    assert row["account"] == ANNA


@pytest.mark.parametrize(
    ("tag", "service"),
    [
        ("postfix/submission/smtpd", "submission"),
        ("postfix/587/smtpd", "submission"),
        ("postfix/smtps/smtpd", "submissions"),
        ("postfix/submissions/smtpd", "submissions"),
        ("postfix/465/smtpd", "submissions"),
        ("postfix-out/submission/smtpd", "submission"),
        ("postfix/smtpd", "unknown"),
        ("postfix/2525/smtpd", "unknown"),
    ],
)
def test_every_port(tmp_path: Path, tag: str, service: str) -> None:
    row = one(ingest(tmp_path, session(tag=tag)))
    assert (row["service"], row["account"], row["tls_version"]) == (service, ANNA, "TLSv1.2")


@pytest.mark.parametrize(
    ("method", "mechanism", "auth_class"),
    [
        ("PLAIN", "PLAIN", "basic"),
        ("login", "LOGIN", "basic"),
        ("CRAM-MD5", "CRAM-MD5", "challenge"),
        ("DIGEST-MD5", "DIGEST-MD5", "challenge"),
        ("SCRAM-SHA-256", "SCRAM-SHA-256", "challenge"),
        ("NTLM", "NTLM", "challenge"),
        ("XOAUTH2", "XOAUTH2", "oauth"),
        ("OAUTHBEARER", "OAUTHBEARER", "oauth"),
        ("GSSAPI", "GSSAPI", "other"),
        ("EXTERNAL", "EXTERNAL", "other"),
        ("XCLIENT", "unknown", "unknown"),
    ],
)
def test_every_mechanism(tmp_path: Path, method: str, mechanism: str, auth_class: str) -> None:
    row = one(ingest(tmp_path, session(method=method)))
    assert (row["mechanism"], row["auth_class"], row["account"]) == (mechanism, auth_class, ANNA)


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("jürgen@münchen.example", "münchen.example"),
        ("田中@例え.example", "例え.example"),
        ("TAILSPIN\\backup_job", None),
        ("scanner", None),
        ("o'neil, pat@contoso.example", "contoso.example"),
        ("eve, sasl_method=PLAIN, sasl_username=ceo@contoso.example", "contoso.example"),
        ("Sales=EU+list@contoso.example", "contoso.example"),
        ("<script>alert(1)</script>@contoso.example", "contoso.example"),
    ],
)
def test_every_name(tmp_path: Path, name: str, domain: str | None) -> None:
    row = one(ingest(tmp_path, session(f"sasl_username={name}")))
    assert (row["account"], row["account_domain"], row["mechanism"]) == (name, domain, "PLAIN")


REFUSED = "warning: pc.contoso.example[192.0.2.10]: SASL"
FAILURES = (
    f"{REFUSED} LOGIN authentication failed: UGFzc3dvcmQ6",
    f"{REFUSED} PLAIN authentication failed: (reason unavailable), sasl_username={ANNA}",
    f"{REFUSED} PLAIN authentication failed: bad, sasl_username=x, sasl_username=ceo@woodgrove.example",
    f"{REFUSED} CRAM-MD5 authentication aborted",
)


@pytest.mark.parametrize("failure", FAILURES)
def test_failure_is_no_message(tmp_path: Path, failure: str) -> None:
    refused_session = logged(
        "postfix/submission/smtpd[704]: connect from pc.contoso.example[192.0.2.10]",
        f"postfix/submission/smtpd[704]: {failure}",
        "postfix/submission/smtpd[704]: disconnect from pc.contoso.example[192.0.2.10] ehlo=2 starttls=1 auth=0/1 quit=1 commands=4/5",
        second=40,
    )
    rows = ingest(tmp_path, session() + refused_session)
    assert outcomes(rows) == {"accepted": 1, "auth_failed": 1}
    refused = next(row for row in rows if row["outcome"] == "auth_failed")
    assert refused["account"] == (ANNA if failure.endswith(ANNA) else None)
    report = Site(tmp_path).report("sending-volume", "--from", "2026-11-23", "--to", "2026-11-23")
    assert report["totals"] | {"messages": 1, "accounts": 1} == report["totals"]


def test_no_phantom_users(tmp_path: Path) -> None:
    """Relayed mail without sign-in, the filter's second leg and the outgoing client stand between two real messages."""
    between = logged(
        "postfix/smtpd[900]: connect from mx.woodgrove.example[198.51.100.7]",
        "postfix/smtpd[900]: 5A1B022C8B0: client=mx.woodgrove.example[198.51.100.7]",
        "postfix/cleanup[802]: 5A1B022C8B0: info: header Subject: , sasl_method=PLAIN, sasl_username=ceo@contoso.example "
        "from mx.woodgrove.example[198.51.100.7]; from=<a@woodgrove.example> to=<b@contoso.example> proto=ESMTP helo=<mx>",
        "postfix/qmgr[803]: 5A1B022C8B0: from=<a@woodgrove.example>, size=900, nrcpt=1 (queue active)",
        "postfix/smtpd[900]: disconnect from mx.woodgrove.example[198.51.100.7] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
        "postfix/reinject/smtpd[901]: connect from localhost[127.0.0.1]",
        "postfix/reinject/smtpd[901]: 6C1D022C8B1: client=localhost[127.0.0.1], orig_queue_id=4F1A022C8A9, "
        "orig_client=pc.contoso.example[192.0.2.10]",
        "postfix/qmgr[803]: 6C1D022C8B1: from=<a.berg@contoso.example>, size=1400, nrcpt=2 (queue active)",
        "postfix/reinject/smtpd[901]: disconnect from localhost[127.0.0.1] ehlo=1 mail=1 rcpt=2 data=1 quit=1 commands=6",
        "postfix/smtp[902]: Untrusted TLS connection established to mx.woodgrove.example[198.51.100.7]:25: "
        "TLSv1 with cipher AES128-SHA (128/128 bits)",
        "postfix/smtp[902]: 6C1D022C8B1: SASL authentication failed; server mx.woodgrove.example[198.51.100.7] said: "
        "535 5.7.8 sasl_username=ceo@contoso.example",
        second=15,
    )
    second = session("sasl_username=crm@fabrikam.example", queue_id="7E1F022C8B2", version="TLSv1.3", pid=705, second=40)
    rows = ingest(tmp_path, session() + between + second)
    assert [(row["account"], row["tls_version"], row["queue_id"]) for row in rows] == [
        (ANNA, "TLSv1.2", "4F1A022C8A9"),
        ("crm@fabrikam.example", "TLSv1.3", "7E1F022C8B2"),
    ]


def test_user_and_tls_are_joined_through_interleaved_sessions(tmp_path: Path) -> None:
    """Two sessions at once, line by line in turn: each keeps its own version."""
    first = session(version="TLSv1", pid=711, queue_id="AAAAA11111").splitlines(keepends=True)
    other = session(
        "sasl_username=crm@fabrikam.example", version="TLSv1.3", pid=712, queue_id="BBBBB22222", address="192.0.2.77"
    ).splitlines(keepends=True)
    rows = ingest(tmp_path, "".join(line for pair in zip(first, other, strict=True) for line in pair))
    told = {row["account"]: (row["tls_version"], row["client_ip"], row["queue_id"]) for row in rows}
    assert told == {ANNA: ("TLSv1.0", "192.0.2.10", "AAAAA11111"), "crm@fabrikam.example": ("TLSv1.3", "192.0.2.77", "BBBBB22222")}


def test_log_of_two_years(tmp_path: Path) -> None:
    """December goes before January where a stamp has no year."""
    old = session().replace("Nov 23", "Dec 31")
    new = session(queue_id="7E1F022C8B2", pid=705).replace("Nov 23", "Jan  1")
    rows = ingest(tmp_path, old + new, "--year", "2025")
    assert [row["time"] for row in rows] == ["2025-12-31T16:06:09Z", "2026-01-01T16:06:09Z"]


@pytest.mark.parametrize("order", [("failed.log", "good.log"), ("good.log", "failed.log")])
def test_failure_is_named_once_its_domain_has_signed_in(tmp_path: Path, order: tuple[str, str]) -> None:
    """An address of a domain that signs in here is no password; whichever file is read first."""
    (tmp_path / "good.log").write_text(session(second=40), encoding="utf-8")
    failed = logged(
        "postfix/submission/smtpd[704]: connect from unknown[192.0.2.66]",
        "postfix/submission/smtpd[704]: warning: unknown[192.0.2.66]: SASL PLAIN authentication failed: , "
        "sasl_username=ceo@contoso.example",
        "postfix/submission/smtpd[704]: disconnect from unknown[192.0.2.66] ehlo=2 starttls=1 auth=0/1 quit=1 commands=4/5",
        second=10,
    )
    (tmp_path / "failed.log").write_text(failed, encoding="utf-8")
    site = Site(tmp_path)
    site.ingest("--year", "2026", *(tmp_path / name for name in order))
    assert {row["outcome"]: row["account"] for row in site.rows()} == {"accepted": ANNA, "auth_failed": "ceo@contoso.example"}
