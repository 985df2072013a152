"""chasquid's mail log: sign-ins, messages and refusals of one address and port."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from reading import read, run
from samples import ANNA, CHASQUID, stamped
from smtp_auth_report.submission import Submission

STAMP = "%Y-%m-%d %H:%M:%S.000000 "
LISTENING, FAILED, AUTH, QUEUED, SENT, _ = CHASQUID
REJECTED = "192.0.2.10:44649 rejected from=a.berg@contoso.example to=[x@y.example] - local user does not exist"


def log(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in stamped(STAMP, (LISTENING, *lines))).encode()


def only(*lines: str) -> Submission:
    [row] = read(log(*lines))
    return row


def test_one_message() -> None:
    row = only(AUTH, QUEUED, SENT)
    assert (row.account, row.client_ip, row.sender, row.recipients) == (ANNA, "192.0.2.10", "a.berg@contoso.example", 2)
    assert (row.queue_id, row.outcome, row.mechanism, row.tls_version, row.service) == (
        "xLj9LHu3KzM",
        "accepted",
        "unknown",
        "unknown",
        "unknown",
    )
    assert only(AUTH, QUEUED.replace("from=a.berg@contoso.example", "from=<>")).sender == ""
    assert only(*(line.replace("192.0.2.10:", "[2001:db8::1%eth0]:") for line in (AUTH, QUEUED))).client_ip == "2001:db8::1"


def test_stamps_are_local_and_repeat_an_hour_in_autumn() -> None:
    auth, queued = (line.replace("2026-11-23 16:06", "2026-10-25 02:56") for line in stamped(STAMP, (AUTH, QUEUED)))
    again = queued.replace("02:56", "02:02").replace("xLj9", "aaaa")
    first, second = read(f"{auth}\n{queued}\n{again}\n".encode(), zone=ZoneInfo("Europe/Berlin"))
    assert (second.time - first.time) // 1_000_000 == 6 * 60, "its clock went back an hour between the two"


def test_failures() -> None:
    row = only(FAILED)
    assert (row.outcome, row.account, row.client_ip, row.reason) == ("auth_failed", "anna", "192.0.2.10", "bad_credentials")
    assert sorted(row.outcome for row in read(log(FAILED, FAILED, AUTH, QUEUED))) == ["accepted", "auth_failed", "auth_failed"]


def test_strangers_mail_is_no_row() -> None:
    assert read(log(QUEUED, REJECTED)) == []
    other = QUEUED.replace("192.0.2.10", "198.51.100.7")
    assert read(log(AUTH, other, REJECTED.replace("192.0.2.10", "198.51.100.7"))) == []


def test_refusals() -> None:
    row = only(AUTH, REJECTED)
    assert (row.outcome, row.reason, row.sender, row.account) == ("rejected", "unknown_recipient", "a.berg@contoso.example", ANNA)
    assert only(AUTH, REJECTED, REJECTED).outcome == "rejected", "two recipients of one transaction"
    assert only(AUTH, REJECTED, QUEUED).outcome == "accepted", "the other recipients were taken"
    other = REJECTED.replace("from=a.berg", "from=b.berg")
    assert [row.outcome for row in read(log(AUTH, other, QUEUED))] == ["rejected", "accepted"]
    assert [row.outcome for row in read(log(AUTH, QUEUED, REJECTED))] == ["accepted", "rejected"]
    for words, reason in {"failed SPF: x": "sender_refused", "relay not allowed": "relay_denied", "hook says no": "refused"}.items():
        assert only(AUTH, REJECTED.replace("local user does not exist", words)).reason == reason
    assert only(AUTH, "192.0.2.10:44649 rejected from=x@y - security level check failed").sender == "x@y"


def test_a_second_sign_in_is_another_connection() -> None:
    rows = read(log(AUTH, AUTH.replace("anna.berg", "bob"), QUEUED))
    assert [(row.account, row.outcome) for row in rows] == [(ANNA, "no_mail"), ("bob@contoso.example", "accepted")]


def test_an_hour_of_silence_ends_a_session() -> None:
    late = QUEUED.replace("xLj9", "aaaa")
    quiet = "".join(f"{line}\n" for line in stamped(STAMP.replace("%H", "18"), (late, AUTH.replace("44649", "1"), late)))
    rows = read(log(AUTH) + quiet.encode())
    assert [row.outcome for row in rows] == ["no_mail"], "whoever has the port now did not sign in"


def test_lines_that_are_not_understood_are_reported() -> None:
    _, changes = run(log("192.0.2.10:44649 auth maybe for x", "x from=a b queued ip=192.0.2.10:1 to=[c]", "192.0.2.10:1 rejected - x"))
    assert [line.reason for line in changes.unread] == ["line of the mail log not understood"]
    _, changes = run(log(FAILED.replace("failed for", "failed  for")))
    assert all("anna" not in line.sample for line in changes.unread)


ADDRESS = st.from_regex(re.compile(r"[!-~\u00a1-\u024f]{1,40}"), fullmatch=True).filter(lambda text: text.isprintable() and " " not in text)


@settings(max_examples=200, deadline=None)
@given(ADDRESS, st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=60))
def test_hostile_text_changes_no_other_row(sender: str, words: str) -> None:
    """chasquid takes no address with a blank in it; names of accounts and reasons may have some."""
    bob = [line.replace("192.0.2.10", "198.51.100.7").replace("anna.berg", "bob").replace("xLj9", "bbbb") for line in (AUTH, QUEUED)]
    hers = QUEUED.replace("a.berg@contoso.example", sender)
    refused = f"192.0.2.10:44649 rejected from={sender} to=[{sender}] - {words}"
    failed = f"192.0.2.10:44650 auth failed for {words}@{sender}"
    rows = read(log(bob[0], AUTH, refused, failed, hers, bob[1]))
    [his] = [row for row in rows if row.queue_id == "bbbbLHu3KzM"]
    assert (his.account, his.client_ip, his.sender) == ("bob@contoso.example", "198.51.100.7", "a.berg@contoso.example")
    assert {(row.account, row.client_ip) for row in rows if row.outcome != "auth_failed"} <= {
        (ANNA, "192.0.2.10"),
        ("bob@contoso.example", "198.51.100.7"),
    }
