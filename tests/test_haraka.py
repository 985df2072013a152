"""Haraka's lines in its three forms, of its versions, whole and cut, and those that try to be others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reading import read, run
from samples import HARAKA, ISO, SAMPLES, UUID, stamped
from smtp_auth_report.submission import Submission
from truth import faults
from truth import read as read_truth

LOGS = Path(__file__).parent / "logs" / "haraka"
CONNECT, SECURED, DELAYED, OWN, AUTH, SENDER, RECIPIENT, MESSAGE, QUEUE, END = HARAKA
FORGED = '> code=OK msg="x'


def log(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in stamped(ISO, lines)).encode()


def only(*lines: str) -> Submission:
    [row] = read(log(*lines))
    return row


def end(**fields: str) -> str:
    """The last line with some of its fields changed."""
    line = END
    for name, value in fields.items():
        before = line.partition(f" {name}=")[2].partition(" ")[0]
        line = line.replace(f" {name}={before}", f" {name}={value}")
    return line


@pytest.mark.parametrize(("form", "tells"), [("default", 107), ("logfmt", 14), ("json", 9)])
def test_real_logs_hold_against_the_truth(form: str, tells: int) -> None:
    """TLS versions are told of sessions that began with STARTTLS; in clear is told of all."""
    truth = read_truth(LOGS / form / "truth.jsonl")
    rows = read((LOGS / form / "haraka.log").read_bytes())
    assert faults(truth, [row._asdict() for row in rows], {"account": 0, "mechanism": 0, "tls_version": tells}) == []
    for outcome, event, result in (("rejected", "message", "rejected"), ("auth_failed", "auth", "auth_failed")):
        really = sum(e["event"] == event and e["result"] == result and (event == "auth" or bool(e["account"])) for e in truth)
        assert sum(row.outcome == outcome for row in rows) == really


def test_one_message() -> None:
    row = only(CONNECT, SECURED, AUTH, SENDER, RECIPIENT, MESSAGE, QUEUE, END)
    assert (row.service, row.client_ip, row.client_name, row.helo) == ("submission", "192.0.2.10", "pc.contoso.example", "pc")
    assert (row.tls_version, row.tls_cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert (row.sender, row.recipients, row.size, row.message_id) == ("a.berg@contoso.example", 2, 1253, "<1@contoso.example>")
    assert (row.queue_id, row.account, row.mechanism, row.outcome) == (f"{UUID}.1", None, "unknown", "accepted")


def test_doors_and_tls() -> None:
    for port, service in {"587": "submission", "465": "submissions", "25": "smtp", "2525": "unknown"}.items():
        assert only(CONNECT.replace("=587", f"={port}"), AUTH, SENDER, QUEUE, END).service == service
    assert only(CONNECT, AUTH, SENDER, QUEUE, END).tls_version == "tls"
    assert only(CONNECT, AUTH, SENDER, QUEUE, end(tls="N")).tls_version == "none"
    assert only(CONNECT, AUTH, SENDER, QUEUE).tls_version == "unknown", "its end is not in the log"
    assert only(CONNECT, AUTH, SENDER, QUEUE, end(rdns="NXDOMAIN", helo='""')).client_name is None


def test_the_end_proves_whether_someone_signed_in() -> None:
    assert read(log(CONNECT, SENDER, MESSAGE, QUEUE, END)) == [], "a relay for its address alone"
    assert read(log(CONNECT, AUTH, SENDER, MESSAGE, QUEUE, end(relay="N"))) == [], "broken off after AUTH LOGIN"
    _, changes = run(log(CONNECT, AUTH, SENDER, MESSAGE, QUEUE, end(relay="N")))
    assert len(changes.withdrawn) == 1
    assert only(CONNECT, AUTH, AUTH, AUTH, END).outcome == "no_mail"
    assert read(log(CONNECT, END)) == []
    assert only(SENDER.replace(SENDER, AUTH), SENDER, QUEUE, END).outcome == "accepted", "the beginning is in another file"


def test_failures() -> None:
    assert only(CONNECT, DELAYED, OWN, end(relay="N")).outcome == "auth_failed"
    rows = read(log(CONNECT, DELAYED, OWN, DELAYED, OWN, AUTH, SENDER, QUEUE, END))
    assert sorted(row.outcome for row in rows) == ["accepted", "auth_failed", "auth_failed"]
    row = only(CONNECT, end(relay="N", lr='"535"'))
    assert (row.outcome, row.reason, row.account) == ("auth_failed", "bad_credentials", None), "a plugin that does not delay"


def test_refusals() -> None:
    cases = {
        SENDER.replace('CONT msg=""', 'DENY msg="not wanted here"'): "sender_refused",
        RECIPIENT.replace('OK msg=""', 'DENY msg="User unknown"'): "unknown_recipient",
        RECIPIENT.replace('OK msg=""', 'DENY msg="I cannot deliver mail for <x@y.example>"'): "relay_denied",
        RECIPIENT.replace('OK msg=""', "DENYSOFT msg=later"): "deferred",
        MESSAGE.replace('CONT msg=""', 'DENY msg="no"'): "content_refused",
        MESSAGE.replace('CONT msg=""', 'DENYSOFT msg="too many today"'): "rate_limited",
        QUEUE.replace("code=OK", "code=DENYSOFTDISCONNECT"): "deferred",
    }
    for line, reason in cases.items():
        row = only(CONNECT, AUTH, SENDER, line, END)
        assert (row.outcome, row.reason, row.sender) == ("rejected", reason, "a.berg@contoso.example"), line
        assert only(CONNECT, AUTH, SENDER, line, RECIPIENT, MESSAGE, QUEUE, END).outcome == "accepted"
    second = [line.replace(f"{UUID}.1", f"{UUID}.2") for line in (SENDER, MESSAGE, QUEUE)]
    refused = RECIPIENT.replace('OK msg=""', 'DENY msg="User unknown"')
    assert [row.outcome for row in read(log(CONNECT, AUTH, SENDER, refused, *second, END))] == ["rejected", "accepted"]


def test_other_forms_give_the_same_rows() -> None:
    logfmt = [
        f"level=NOTICE uuid={UUID} origin=core message=connect ip=192.0.2.10 port=41251 local_ip=:: local_port=587",
        f'level=INFO uuid={UUID} origin=tls message="secured: cipher=TLS_AES_256_GCM_SHA384 version=TLSv1.3 verified=false"',
        f'level=INFO uuid={UUID} origin=core message="" hook=unrecognized_command plugin=auth/x function=f params=AUTH retval=OK msg=""',
        f'level=NOTICE uuid={UUID}.1 origin=core message="sender <\\"a b\\"@contoso.example>" code=CONT msg=""',
        f'level=NOTICE uuid={UUID}.1 origin=core message=message mid=<1@contoso.example> size=1253 rcpts=2/0/0 code=CONT msg=""',
        f'level=NOTICE uuid={UUID}.1 origin=core message=queue code=OK msg="Message Queued"',
        END.replace(f"[NOTICE] [{UUID}.1] [core] ", f"level=NOTICE uuid={UUID}.1 origin=core message="),
    ]
    helo = '"helo":"pc","relay":"Y","tls":"Y"'
    as_json = [
        f'{{"level":"NOTICE","uuid":"{UUID}","origin":"core","message":"connect","ip":"192.0.2.10","local_port":587}}',
        f'{{"level":"INFO","uuid":"{UUID}","origin":"tls","message":"secured: cipher=TLS_AES_256_GCM_SHA384 version=TLSv1.3 verified=x"}}',
        f'{{"level":"INFO","uuid":"{UUID}","origin":"core","message":"","hook":"unrecognized_command","plugin":"auth/x","retval":"OK"}}',
        f'{{"level":"NOTICE","uuid":"{UUID}.1","origin":"core","message":"sender <\\"a b\\"@contoso.example>","code":"CONT","msg":""}}',
        f'{{"level":"NOTICE","uuid":"{UUID}.1","origin":"core","message":"message","mid":"<1@contoso.example>","size":1253,"rcpts":"2/0/0"}}',
        f'{{"level":"NOTICE","uuid":"{UUID}.1","origin":"core","message":"queue","code":"OK","msg":"Message Queued"}}',
        f'{{"level":"NOTICE","uuid":"{UUID}.1","origin":"core","message":"disconnect","rdns":"pc.contoso.example",{helo}}}',
    ]
    sender = SENDER.replace("a.berg", '"a b"')
    wanted = only(CONNECT, SECURED, AUTH, sender, MESSAGE, QUEUE, END)
    assert (only(*logfmt), only(*as_json)) == (wanted, wanted)
    assert wanted.sender == '"a b"@contoso.example'


def test_stamps_of_multilog_and_none_at_all() -> None:
    text = "".join(f"{line}\n" for line in stamped("%Y-%m-%d %H:%M:%S.000000000  ", HARAKA)).encode()
    assert [row.key for row in read(text)] == [row.key for row in read(SAMPLES["haraka"].file)]


def test_what_clients_write_is_not_what_the_server_wrote() -> None:
    for hostile in (f"x{FORGED}", '"> code=DENY msg=x" sender=y', "a> code=OK msg=b"):
        row = only(CONNECT, AUTH, SENDER.replace("a.berg@contoso.example", hostile), MESSAGE, QUEUE, end(helo='"x\\" relay=N tls=N"'))
        assert (row.sender, row.outcome, row.tls_version) == (hostile, "accepted", "tls")
    folded = MESSAGE.replace("<1@contoso.example>", f'"<1@x\n {stamped(ISO, [END])[0]}"')
    assert only(CONNECT, AUTH, SENDER, folded, QUEUE, END).outcome == "accepted", "a header that goes on in a second line"


def test_credentials_are_in_no_sample_and_not_remembered() -> None:
    password = "U2VjcmV0MTIz"
    answer = AUTH.replace("params=AUTH", f"params={password}")
    source, changes = run(log(CONNECT, AUTH, answer, answer, SENDER))
    assert changes.unread == []
    assert password not in str(changes.rows) + str(source.remember())


HOSTILE = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\r\0"), max_size=60)


def quoted(value: str) -> str:
    """As Haraka writes values."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_text_changes_no_other_row(sender: str, helo: str, message_id: str) -> None:
    other = UUID.replace("D02E", "AAAA")
    bob = [line.replace(UUID, other).replace("192.0.2.10", "198.51.100.7") for line in (CONNECT, SECURED, AUTH, SENDER, QUEUE, END)]
    hers = (
        CONNECT, AUTH, SENDER.replace("a.berg@contoso.example", sender), RECIPIENT.replace("x@y.example", sender),
        MESSAGE.replace("<1@contoso.example>", quoted(message_id)), QUEUE, end(helo=quoted(helo)),
    )  # fmt: skip
    rows = read(log(bob[0], hers[0], bob[1], *hers[1:4], bob[2], bob[3], *hers[4:], *bob[4:]))
    [his] = [row for row in rows if row.queue_id == f"{other}.1"]
    assert (his.client_ip, his.tls_version, his.sender, his.outcome) == ("198.51.100.7", "TLSv1.3", "a.berg@contoso.example", "accepted")
    assert {row.client_ip for row in rows} == {"192.0.2.10", "198.51.100.7"}
    assert [row.message_id for row in rows if row is not his] == [message_id or None]
