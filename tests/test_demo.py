"""
Logs that are written, not collected: the sample of `make demo` and the large log of the bench.

Both count what they write, so that every row a reader finds can be held against it.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

import demo
from demo_site import DOMAINS, STOLEN
from ingesting import ingest, outcomes
from large_log import Plan, large_log

END = datetime(2026, 11, 23, 17, 45, tzinfo=UTC)
DAYS = 60
SUBMITTED = re.compile(r"(\S+) mail postfix/(\S+)/smtpd\[\d+\]: \w+: client=\S+\[(\S+)\], sasl_method=(\S+), sasl_username=(\S+)")
CONNECTION = re.compile(r"mail (postfix/\S*smtpd\[\d+\]): (connect|disconnect) from (\S+)")


class Submitted(NamedTuple):
    """A message that somebody signed in for, as its `client=` line has it."""

    time: datetime
    service: str
    address: str
    method: str
    account: str


def written(seed: int = demo.SEED, envelope: str = "iso", end: datetime = END) -> tuple[str, Counter[str]]:
    file = io.StringIO()
    found = demo.write(file, end, seed, envelope, DAYS)
    return file.getvalue(), found


@pytest.fixture(scope="module")
def text() -> str:
    return written()[0]


@pytest.fixture(scope="module")
def messages(text: str) -> list[Submitted]:
    found = filter(None, map(SUBMITTED.match, text.splitlines()))
    return [Submitted(datetime.fromisoformat(one[1]), one[2], one[3], one[4], one[5]) for one in found]


def test_same_seed_same_text(text: str) -> None:
    assert written()[0] == text
    assert written(seed=demo.SEED + 1)[0] != text


def test_lines_are_in_order_and_end_with_the_end(text: str) -> None:
    stamps = [line[:32] for line in text.splitlines()]
    assert stamps == sorted(stamps)
    assert datetime.fromisoformat(stamps[-1]) < END
    assert END - datetime.fromisoformat(stamps[-1]) < timedelta(hours=3)
    assert (END - datetime.fromisoformat(stamps[0])).days == DAYS - 1


def test_a_process_serves_one_client_at_a_time_and_several_in_turn(text: str) -> None:
    serving: dict[str, str] = {}
    served, meanwhile = Counter[str](), 0
    for process, event, client in CONNECTION.findall(text):
        if event == "connect":
            assert process not in serving
            serving[process] = client
            served[process] += 1
            meanwhile += len(serving) > 1
        else:
            assert serving.pop(process) == client
    assert serving == {}
    assert max(served.values()) > 3
    assert meanwhile > 20


def test_forty_accounts_of_three_domains_work_on_weekdays(messages: list[Submitted]) -> None:
    accounts = {one.account for one in messages}
    assert len(accounts) == 40
    assert {account.partition("@")[2] for account in accounts} == set(DOMAINS)
    usual = [one for one in messages if one.account != STOLEN]
    days = Counter(one.time.weekday() for one in usual)
    assert days[2] > 2 * days[6]
    people = [one for one in usual if one.address.startswith("10.10.")]
    assert sum(7 <= one.time.hour < 18 for one in people) > 0.9 * len(people)


def test_people_move_to_oauth_one_by_one(messages: list[Submitted]) -> None:
    first: dict[str, datetime] = {}
    for one in messages:
        if one.method == "XOAUTH2":
            first.setdefault(one.account, one.time)
    moved = sorted(first.values())
    assert 20 <= len(moved) <= 26
    assert moved[-1] - moved[0] > timedelta(days=DAYS // 6)
    assert moved[0] > END - timedelta(days=DAYS * 0.65)
    last_week = {one.account for one in messages if one.time > END - timedelta(days=7) and one.method in {"PLAIN", "LOGIN"}}
    assert "office@contoso.example" in last_week


def test_old_tls_and_cleartext_have_their_devices(text: str) -> None:
    assert re.search(r"established from printer-hall3\S+: TLSv1 with cipher", text)
    assert re.search(r"established from nas\.\S+: TLSv1\.1 with cipher", text)
    assert re.search(r"disconnect from alarm-panel\S+ ehlo=1 auth=1 mail=1", text)
    assert not re.search(r"established from alarm-panel", text)
    assert re.search(r"TLSv1\.3 with cipher TLS_AES_256_GCM_SHA384 \(256/256 bits\) key-exchange X25519 server-signature RSA-PSS", text)


def test_one_account_is_stolen_in_the_last_week(text: str, messages: list[Submitted]) -> None:
    week = END - timedelta(days=7)
    before = {one.address for one in messages if one.account == STOLEN and one.time < week}
    since = {one.address for one in messages if one.account == STOLEN and one.time >= week}
    assert len(before) < 5
    assert len(since - before) > 80
    assert f"Sender address rejected: not owned by user {STOLEN}" in text
    assert "sending rate exceeded" in text
    assert max(map(int, re.findall(rf"from=<{STOLEN}>, size=\d+, nrcpt=(\d+)", text))) > 30


@pytest.mark.parametrize(
    "line",
    [
        r"postfix/submission/smtpd\[\d+\]: warning: \S+: SASL LOGIN authentication failed: UGFzc3dvcmQ6$",
        r"postfix/smtps/smtpd\[\d+\]: warning: \S+: SASL LOGIN authentication failed: \(reason unavailable\), sasl_username=\S+$",
        r"SSL_accept error from \S+: -1\n.* lost connection after STARTTLS from",
        r"SSL_accept error from \S+: -1\n(?:.*\n)?.* lost connection after CONNECT from",
        r"postfix/smtpd\[\d+\]: NOQUEUE: reject: RCPT from \S+: 554 5\.7\.1 Service unavailable; Client host",
        r"lost connection after DATA \(\d+ bytes\) from",
        r"ehlo=2 starttls=1 auth=1 quit=1 commands=5$",
        r"postfix/lmtp\[\d+\]: \w+: to=<\S+>, relay=.*, status=sent \(250 ",
        r"daemon started -- version 3\.9",
    ],
)
def test_what_happens_beside_mail_is_there(text: str, line: str) -> None:
    text = re.sub(r"(?m)^.*TLS library problem.*\n", "", text)
    assert re.search(line, text, re.MULTILINE)


@pytest.mark.parametrize("envelope", ["iso", "rfc3164"])
def test_a_reader_finds_every_row_that_was_written(tmp_path: Path, envelope: str) -> None:
    log, found = written(envelope=envelope)
    rows = ingest(tmp_path, log)
    assert outcomes(rows) == dict(found)
    versions = Counter(row["tls_version"] for row in rows if row["outcome"] == "accepted")
    assert set(versions) == {"none", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"}


def test_the_large_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    log = large_log(tmp_path / "cache", Plan(bytes=2_000_000, messages=900))
    assert log.path.stat().st_size > 2_000_000
    lines = log.path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == log.lines
    assert 0.03 < sum("sasl_username=" in line for line in lines) / len(lines) < 0.055
    assert outcomes(ingest(tmp_path, log.path.read_bytes())) == log.found
    assert large_log(tmp_path / "cache", Plan(bytes=2_000_000, messages=900)) == log
