"""Passing over lines changes nothing: with the sieve or without, rows and what is remembered are the same."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from reading import log, options, session
from smtp_auth_report.changes import Remembered
from smtp_auth_report.sources import LogReader, postfix
from smtp_auth_report.sources.postfix import PostfixSource

LOGS = Path(__file__).parent / "logs"
REAL = [
    path.read_bytes() for path in (LOGS / "postfix" / "maillog_file" / "mail.log", LOGS / "dovecot-submission" / "ssl-version" / "mail.log")
]
NOISE = [
    "postfix/smtpd[{pid}]: connect from mx.partner.example[198.18.0.7]",
    "postfix/smtpd[{pid}]: disconnect from mx.partner.example[198.18.0.7] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
    "postfix/smtpd[{pid}]: discarding EHLO keywords: CHUNKING",
    "postfix/smtpd[{pid}]: {qid}: client=mx.partner.example[198.18.0.7]",
    "postfix/smtpd[{pid}]: NOQUEUE: reject: RCPT from mx.partner.example[198.18.0.7]: 554 5.7.1 no; from=<a@b.c> to=<c@d.e> proto=ESMTP",
    "postfix/smtpd[{pid}]: warning: hostname x.example does not resolve to address 198.18.0.7",
    "postfix/smtpd[{pid}]: warning: unknown[198.18.0.7]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
    "postfix/smtpd[{pid}]: lost connection after RCPT from mx.partner.example[198.18.0.7]",
    "postfix/cleanup[90]: {qid}: message-id=<1@partner.example>",
    "postfix/qmgr[91]: {qid}: from=<a@partner.example>, size=100, nrcpt=1 (queue active)",
    "postfix/qmgr[91]: {qid}: removed",
    "postfix/smtp[92]: {qid}: to=<c@d.example>, relay=none, status=sent (250 ok)",
    "dovecot: imap-login: Login: user=<anna>",
    "last message repeated 2 times",
]


class Counting(PostfixSource):
    """Counts the lines that were read one by one."""

    count = 0

    def read(self, found: Any) -> None:
        self.count += len(found)
        super().read(found)


def outcome(
    text: bytes, cuts: Iterable[int], monkeypatch: pytest.MonkeyPatch, *, sieve: bool, before: Iterable[Remembered] = ()
) -> tuple[list[Any], Any, int]:
    """What reading brings about, batch by batch; what it leaves; how many lines were read one by one."""
    monkeypatch.setattr(postfix, "WORTH_SIFTING", 1 if sieve else 1 << 60)
    source = LogReader([Counting], options())
    source.recall(before)
    [counting] = source.sources
    assert isinstance(counting, Counting)
    brought = []
    begin = 0
    for end in (*cuts, len(text)):
        changes = source.feed(text[begin:end])
        newest = {host: time for host, time in changes.newest.items() if time}
        rows = changes.rows | {row.identity: row for messages in changes.messages for row in messages.rows()}
        brought.append((rows, changes.withdrawn, changes.unread, changes.gaps, changes.lines, changes.other, newest))
        begin = end
    kept = {entry._replace(sessions=""): comparable(entry.sessions) for entry in source.remember() if entry.newest}
    return brought, kept, counting.count


def comparable(sessions: str) -> Any:
    """Without what is nobody's business: in which order things were met, and tags that have shown nothing."""
    content = json.loads(sessions)
    return content | {
        "own": sorted(content["own"].split()),
        "sessions": sorted(map(str, content["sessions"])),
        "doors": {tag: shown for tag, shown in content["doors"].items() if any(shown)},
    }


def borders(text: bytes, rng: random.Random, number: int) -> list[int]:
    ends = [match.end() for match in re.finditer(rb"\n", text)]
    return sorted(rng.sample(ends, min(number, len(ends))))


def busy(rng: random.Random, sessions: int, refused: float = 0.3) -> bytes:
    """Sessions of many clients and much else, interleaved."""
    streams = []
    for number in range(sessions):
        smtpd = f"postfix/{rng.choice(['smtpd', 'submission/smtpd', 'smtps/smtpd'])}[{700 + number % 7}]"
        version = rng.choice(["TLSv1.2", "TLSv1.3", None])
        client = rng.choice(["pc.contoso.example[192.0.2.10]", "unknown[2001:db8::7]", "pc.contoso.example[192.0.2.10]:4711"])
        queue_id = f"4F1A022{number:05X}" if rng.random() < 0.97 else "4F1A0220000"
        account = rng.choice(["anna", "ab@contoso.example", "x, sasl_sender=y", "o'neil <x>", "\udcff"])
        if rng.random() < refused:
            streams.append((smtpd, rng.choice([refused_session, silent_session])(rng, smtpd, client, version)))
        streams.append((smtpd, session(account, smtpd=smtpd, queue_id=queue_id, version=version, client=client)))
    by_process: dict[str, list[str]] = {}
    for smtpd, lines in streams:
        by_process.setdefault(smtpd, []).extend(lines)
    queues = [
        *by_process.values(),
        [rng.choice(NOISE).format(pid=800 + rng.randrange(3), qid=f"4F1A0{rng.randrange(4096):05X}") for _ in range(sessions * 5)],
    ]
    mixed = []
    while queues := [queue for queue in queues if queue]:
        mixed.append(rng.choice(queues).pop(0))
    return log(*mixed)


def refused_session(rng: random.Random, smtpd: str, client: str, version: str | None) -> list[str]:
    """A session in which sign-ins failed, and now and then a little more."""
    number = rng.choice([1, 1, 1, 2, 3])
    tls = f"{smtpd}: Anonymous TLS connection established from {client}: {version} with cipher AES (256/256 bits)"
    words = [": UGFzc3dvcmQ6", "", ":", ": a, sasl_username=x", ": Connection lost to authentication server"]
    names = ["", ", sasl_username=eve", ", sasl_username=(unavailable)", ", sasl_username=a, sasl_username=b"]
    failures = []
    for _ in range(number):
        how = rng.choice([f"failed{rng.choice(words)}{rng.choice(names)}", "failed: x", "aborted"])
        mechanism = rng.choice(["LOGIN", "plain", "x authentication failed: y"])
        failures.append(f"{smtpd}: warning: {client}: SASL {mechanism} authentication {how}")
    counts = (
        f"ehlo=1{' starttls=1' if version else ''} auth={rng.choice([0, 0, 0, 1])}/{rng.choice([number, number, number + 1])} commands=4"
    )
    extra = rng.choice([[], [], [f"{smtpd}: lost connection after AUTH from {client}"], [f"{smtpd}: warning: TLS library problem: x"]])
    return [
        f"{smtpd}: connect from {client}",
        *([tls] if version else []),
        *failures,
        *extra,
        f"{smtpd}: disconnect from {client} {counts}",
    ]


def silent_session(rng: random.Random, smtpd: str, client: str, version: str | None) -> list[str]:
    """A session that signed in and sent nothing, or could not agree on TLS, and now and then a little more or less."""
    tls = f"{smtpd}: Anonymous TLS connection established from {client}: {version} with cipher AES (256/256 bits)"
    hostname = f"{smtpd}: warning: hostname pc.contoso.example does not resolve to address 192.0.2.10"
    refusal = f"{smtpd}: NOQUEUE: reject: RCPT from {client}: 554 5.7.1 no; from=<a@b.c> to=<c@d.e> proto=ESMTP"
    counts = f"ehlo=1{' starttls=1' if version else ''} auth={rng.choice(['1', '1', '1', '1/2', '0/1', '2', '0'])} quit=1 commands=4"
    said = [*([tls] if version else []), *rng.choice([[], [], [hostname], [refusal]])]
    if rng.random() < 0.5:
        error = rng.choice(["-1", "lost connection", "Connection reset by peer", ""])
        library = f"{smtpd}: warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../x.c:1: "
        said = rng.choice([[], [], [], [hostname]])
        said += [f"{smtpd}: SSL_accept error from {client}: {error}", *rng.choice([[library], [library], [], [library, library]])]
        said += [f"{smtpd}: lost connection after STARTTLS from {client}"]
        counts = rng.choice(["ehlo=1 starttls=0/1 commands=1/2"] * 3 + ["commands=0/0", "auth=1 commands=2", "xclient=1 commands=1"])
    return [f"{smtpd}: connect from {client}", *said, f"{smtpd}: disconnect from {client} {counts}"]


def mutated(text: bytes, rng: random.Random) -> bytes:
    """Bytes changed, lines dropped, doubled and moved."""
    lines = text.splitlines(keepends=True)
    for _ in range(rng.randrange(60)):
        place = rng.randrange(len(lines))
        kind = rng.randrange(5)
        if kind == 0:
            line = bytearray(lines[place])
            line[rng.randrange(len(line))] = rng.choice(b"\0 :[]\r\n,=<>\xff9A")
            lines[place] = bytes(line)
        elif kind == 1 and len(lines) > 1:
            del lines[place]
        elif kind == 2:
            lines.insert(place, lines[rng.randrange(len(lines))])
        elif kind == 3:
            lines.insert(place, lines.pop(min(len(lines) - 1, place + rng.randrange(20))))
        else:
            lines[place] = lines[place][: rng.randrange(len(lines[place]))] + b"\n"
    return b"".join(lines)


FOUND = (572, 947)
"""Seeds that told something: ids of one second remembered in another order, a session left whose TLS line has no meaning."""


@pytest.mark.parametrize("seed", sorted({*range(int(os.environ.get("SIEVE_SEEDS", "40"))), *FOUND}))
def test_the_sieve_changes_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    text = REAL[seed % 2] if seed % 4 < 2 else busy(rng, 200)
    if seed >= 8:
        text = mutated(text, rng)
    cuts = borders(text, rng, rng.randrange(6))
    with_it = outcome(text, cuts, monkeypatch, sieve=True)
    without = outcome(text, cuts, monkeypatch, sieve=False)
    assert with_it[0] == without[0]
    assert with_it[1] == without[1]


@pytest.mark.parametrize("seed", range(int(os.environ.get("SIEVE_SEEDS", "40"))))
def test_the_sieve_changes_nothing_behind_open_sessions(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    text = REAL[seed % 2] if seed % 4 == 0 else busy(rng, 100)
    [end] = borders(text, rng, 1)
    earlier = LogReader([PostfixSource], options())
    earlier.feed(text[:end])
    before = earlier.remember()
    later = mutated(text[end:], rng) if seed % 3 == 0 and text[end:].count(b"\n") else text[end:]
    cuts = borders(later, rng, rng.randrange(3))
    with_it = outcome(later, cuts, monkeypatch, sieve=True, before=before)
    without = outcome(later, cuts, monkeypatch, sieve=False, before=before)
    assert with_it[0] == without[0]
    assert with_it[1] == without[1]
    assert with_it[2] <= without[2]


@pytest.mark.parametrize("seed", range(int(os.environ.get("SIEVE_SEEDS", "40"))))
def test_the_sieve_changes_nothing_where_little_tls_is_logged(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    lines = busy(rng, 150).splitlines(keepends=True)
    text = b"".join(line for line in lines if b"TLS connection established" not in line or rng.random() < (seed % 3) / 100)
    cuts = borders(text, rng, rng.randrange(6))
    with_it = outcome(text, cuts, monkeypatch, sieve=True)
    without = outcome(text, cuts, monkeypatch, sieve=False)
    assert with_it[0] == without[0]
    assert with_it[1] == without[1]


def test_the_next_session_ends_one_that_was_open_before(monkeypatch: pytest.MonkeyPatch) -> None:
    smtpd = "postfix/submission/smtpd[700]"
    client = "unknown[192.0.2.7]"
    earlier = LogReader([PostfixSource], options())
    earlier.feed(log(f"{smtpd}: connect from {client}", f"{smtpd}: warning: {client}: SASL LOGIN authentication failed: x"))
    before = earlier.remember()
    later = log("postfix/qmgr[1]: x", f"{smtpd}: connect from {client}", f"{smtpd}: disconnect from {client} ehlo=1 quit=1 commands=2")
    with_it = outcome(later, [], monkeypatch, sieve=True, before=before)
    without = outcome(later, [], monkeypatch, sieve=False, before=before)
    assert [row.outcome for row in with_it[0][0][0].values()] == ["auth_failed"]
    assert with_it[0] == without[0]
    assert with_it[1] == without[1]


def test_the_sieve_leaves_little_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = busy(random.Random(1), 2000, refused=0).replace(b"SASL LOGIN", b"something")
    cuts = [text.index(b"\n", len(text) // 20) + 1]
    with_it = outcome(text, cuts, monkeypatch, sieve=True)
    without = outcome(text, cuts, monkeypatch, sieve=False)
    assert with_it[0] == without[0]
    assert with_it[2] < without[2] * 0.5


def test_the_sieve_leaves_little_of_an_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = session(smtpd="postfix/submission/smtpd[700]")
    for number in range(2000):
        smtpd, client = f"postfix/submission/smtpd[{700 + number % 7}]", f"unknown[192.0.2.{number % 200}]"
        failure = f"{smtpd}: warning: {client}: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=user{number}"
        ending = [f"{smtpd}: lost connection after AUTH from {client}", f"{smtpd}: disconnect from {client} ehlo=1 auth=0/1 commands=1/2"]
        lines += [f"{smtpd}: connect from {client}", failure, *ending]
    text = log(*lines)
    cuts = [text.index(b"\n", len(text) // 20) + 1]
    with_it = outcome(text, cuts, monkeypatch, sieve=True)
    without = outcome(text, cuts, monkeypatch, sieve=False)
    assert with_it[0] == without[0]
    assert with_it[2] < without[2] * 0.1


def test_discarded_keywords_do_not_end_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = session()
    lines.insert(2, "postfix/submission/smtpd[701]: discarding EHLO keywords: CHUNKING")
    for sieve in (True, False):
        rows = outcome(log(*lines), [], monkeypatch, sieve=sieve)[0][0][0]
        assert [row.tls_version for row in rows.values()] == ["TLSv1.2"]


def test_what_syslogd_says_was_repeated_is_the_line_before(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = "warning: unknown[192.0.2.7]: SASL LOGIN authentication failed: x, sasl_username=eve"
    smtpd = "postfix/smtpd[701]"
    passed_over = ["postfix/qmgr[91]: 4F1A0220001: removed", "syslogd: last message repeated 3 times"]
    text = log(*session(), f"{smtpd}: connect from unknown[192.0.2.7]", f"{smtpd}: {failure}", *passed_over)
    cuts = [text.index(b": removed\n") + len(b": removed\n")]
    with_it = outcome(text, cuts, monkeypatch, sieve=True)
    without = outcome(text, cuts, monkeypatch, sieve=False)
    assert with_it[:2] == without[:2]
