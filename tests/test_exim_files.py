"""Exim's main log in every form, in a syslog, beside the reject log, cut and read in any order: the rows are the same."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exim_log import ANNA, ID, PC, SHAKE, X, arrival, failed, mainlog, refused, syslog
from reading import log, options, read, reader, rows_of, run
from smtp_auth_report.changes import Changes
from smtp_auth_report.sources import SOURCES, LogReader, exim, exim_columns, log_reader
from smtp_auth_report.submission import Submission
from truth import failed_sign_ins, faults
from truth import read as read_truth

LOGS = Path(__file__).parent / "logs" / "exim" / "default"


def test_a_client_tells_no_year() -> None:
    forged = log(f"exim[5672]: {failed('x: 48rT2v1hQrz1J0N: client=')}", "postfix/smtpd[1]: warning: x: 10HmaX-0005vi-00 <= a@b.example")
    source = LogReader(SOURCES, options(year=None, zone_given=False))
    source.settle([], forged)
    assert source.log.clock.year == 2026


def told(row: Submission) -> dict[str, object]:
    """Without what differs from one form of the log to another."""
    return row._replace(key=0, opened=0, time=row.time // 1_000_000, server="")._asdict()


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
    assert [row.time for row in read(mainlog(arrival()), zone=ZoneInfo("Europe/Paris"))] == [1_795_446_365_000_000]
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


def journal(line: bytes) -> bytes:
    """The same as journalctl -o json --all gives it; what is not ASCII as the numbers of its bytes."""
    found = re.match(rb"(.{15}) mail exim\[(\d+)\]: (.*)\n", line, re.DOTALL)
    assert found
    at = datetime.strptime(f"2026 {found[1].decode()}", "%Y %b %d %H:%M:%S").replace(tzinfo=ZoneInfo("UTC"))
    message = found[3].decode() if found[3].isascii() else list(found[3])
    stamp = str(int(at.timestamp()) * 1_000_000)
    fields = {"__REALTIME_TIMESTAMP": stamp, "_HOSTNAME": "mail", "SYSLOG_IDENTIFIER": "exim", "SYSLOG_PID": found[2].decode()}
    return json.dumps({**fields, "MESSAGE": message}).encode() + b"\n"


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
    ids=["plain", "no stamps", "once", "ISO stamps", "RFC 5424", "one ISO stamp", "journal", "escaped"],
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


NOISE = (
    f'{ID} => x@y.example R=smarthost T=remote_smtp_smarthost H=mx.y.example [192.0.2.7] A=plain C="250 ok"',
    f"{ID} <= x@y.example H=mx.y.example [192.0.2.7] P=esmtps{X} S=7 id=1@y.example",
    f"{ID} Completed",
    "no host name found for IP address 192.0.2.9",
    "H=(x) [192.0.2.9] F=<a@b.example> rejected RCPT <c@d.example>: relay not permitted",
    "exim 4.96 daemon started: pid=17, -q30m, listening for SMTP on port 25",
    "no MAIL in SMTP connection from (pc) [192.0.2.10] D=0s A=plain_server:bob C=EHLO,AUTH,QUIT",
    "H=(pc) [192.0.2.10] rejected AUTH LOGIN: too many",
    'SMTP protocol error in "AUTH LOGIN" H=(pc) [192.0.2.10] AUTH command used when not advertised',
    "x authenticator failed for",
    "",
)
FORMS = (
    "%Y-%m-%d %H:%M:%S ",
    "%Y-%m-%d %H:%M:%S.123 +0100 [7] ",
    "%Y-%m-%d %H:%M:%S [7] ",
    "%Y-%m-%d %H:%M:%S -0330 ",
    "%Y-%m-%d %H:%M:%S.5 ",  # as Exim does not write it: no columns
)


def read_by(how: str, text: bytes, feeds: list[int], patch: pytest.MonkeyPatch, **stated: Any) -> tuple[LogReader, Changes]:
    """One by one; as columns, in Python; or by compiled code."""
    patch.setattr(exim, "MANY", 1 << 60 if how == "lines" else 0)
    patch.setattr(exim, "WORTH_SIFTING", 0 if how == "sieve" else 1 << 60)
    return run(text, feeds, reader(**stated))


def brought(changes: Changes) -> tuple[Any, ...]:
    """What else; a line without a time has that of any before it."""
    unread = [entry._replace(time=0) for entry in changes.unread]
    return changes.withdrawn, unread, changes.lines, changes.other, changes.versions


def alike(text: bytes, feeds: list[int], patch: pytest.MonkeyPatch, **stated: Any) -> list[Changes]:
    """What is brought about, each way; it is the same."""
    found = [read_by(how, text, feeds, patch, **stated) for how in ("lines", "columns", *(["sieve"] if exim_columns.COMPILED else []))]
    wanted = found[0]
    for source, changes in found[1:]:
        assert {row.identity: row for row in rows_of(changes)} == {row.identity: row for row in rows_of(wanted[1])}
        assert brought(changes) == brought(wanted[1])
        assert [entry.sessions for entry in source.remember()] == [entry.sessions for entry in wanted[0].remember()]
    return [changes for _, changes in found]


@pytest.mark.parametrize("seed", range(3))
def test_many_arrivals_become_columns(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever is taken for columns, the rows are those that its lines give one by one."""
    lines = [*ODD, SHAKE, refused(), refused("z@y.example"), failed(), *(line.replace("1xVWeV", "1xVWeW") for line in ODD)]
    texts = [(LOGS / "mainlog").read_bytes(), mainlog(*lines), mainlog(*random.Random(seed).sample(lines, len(lines)))]
    texts += [mainlog(*lines, form=form) for form in FORMS[:-1]]
    for text in texts:
        one_by_one, *others = alike(text, [text.index(b"\n") + 1], monkeypatch)
        assert one_by_one.messages == []
        assert all(changes.messages for changes in others)


def busy(chance: random.Random, lines: int) -> bytes:
    """Lines of a server in any order, some with other bytes, or cut."""
    entries = []
    for number in range(lines):
        made = f"1xVW{chance.choice('abcd')}V-{number:06d}-2o" if chance.random() < 0.9 else f"1xVWeV-{number:011d}-2oAb"
        user = f"user{chance.randrange(9)}@contoso.example"
        host = f"H=({chance.choice(['pc', '[192.0.2.1]', 'a b', ''])}) [192.0.2.{chance.randrange(9)}]"
        common = arrival(
            queue_id=made, sender=user, host=host, auth=f" A=login:{user}", rest=f" S={number} id={number}@x for {user} {user}"
        )
        some = (common, common, common, refused(user, host=host[2:]), failed(user), SHAKE, *ODD, *NOISE)
        entries.append(re.sub(r"^1xVW\S+", made, chance.choice(some)))
    written = mainlog(*entries, form=chance.choice(FORMS), every=chance.choice([0, 1, 7, 40])).splitlines(keepends=True)
    return b"".join(line if chance.random() < 0.7 or b" => " in line else other(line, chance) for line in written)


def other(line: bytes, chance: random.Random) -> bytes:
    """With one other byte, which leaves the zone as it is: of what matters to nobody the time may be seen or not."""
    place = chance.randrange(min(30, len(line) - 1), len(line)) - 1 if chance.random() < 0.8 else chance.randrange(17)
    return line[:place] + chance.choice((b"", *(bytes([byte]) for byte in b'\0 :[]\r\n,=<>\xffA"\\.-+'))) + line[place + 1 :]


@pytest.mark.parametrize("seed", range(int(os.environ.get("SIEVE_SEEDS", "40"))))
def test_compiled_code_changes_nothing(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chance = random.Random(seed)
    text = (LOGS / "mainlog").read_bytes() if seed % 8 == 0 else busy(chance, 200)
    ends = [found.end() for found in re.finditer(rb"\n", text)]
    alike(text, sorted(chance.sample(ends, 4)), monkeypatch, zone=ZoneInfo(chance.choice(["UTC", "Europe/Paris"])))


def test_batches_that_were_looked_at_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    text = busy(random.Random(5), 400)
    ends = [0, *(found.end() for found in re.finditer(rb"\n", text))][::100]
    _, wanted = read_by("sieve", text, ends[1:], monkeypatch)
    source = reader()
    source.settle([], text)
    batches = [text[begin:end] for begin, end in itertools.pairwise([*ends, len(text)])]
    seen = [source.look(batch) for batch in batches]
    changes = Changes()
    for batch, looked in zip(batches, seen, strict=True):
        changes.take(source.feed(batch, looked))
    changes.take(source.finish())
    assert all(seen) is exim_columns.COMPILED
    assert {row.identity: row for row in rows_of(changes)} == {row.identity: row for row in rows_of(wanted)}


def test_compiled_code_and_times_that_there_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = mainlog(*(arrival(queue_id=f"1xVWeV-{number:06d}-2o") for number in range(9))).splitlines(keepends=True)
    for number, stamp in ((3, b"2026-13-45 16:06:05"), (5, b"2026-11-23 24:06:05"), (7, b"2026-11-23 16:06:60")):
        lines[number] = stamp + lines[number][19:]
    alike(b"".join(lines), [len(lines[0])], monkeypatch)


def test_compiled_code_in_the_hour_that_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [arrival(queue_id=f"1xVWeV-{number:06d}-2o") for number in range(240)]
    stamps = [f"2026-10-25 {2 + place // 180:02d}:{place % 60:02d}:17" for place in range(240)]
    text = "".join(f"{stamp} {line}\n" for stamp, line in zip(stamps, lines, strict=True)).encode()
    alike(text, [text.index(b"\n") + 1], monkeypatch, zone=ZoneInfo("Europe/Paris"))


@pytest.mark.parametrize("size", [0, 1, 239, 240, 241, 500, 5000])
def test_line_ends_are_counted_whatever_holds_them(size: int) -> None:
    for text in (b"\n" * size, random.Random(size).randbytes(size)):
        assert log_reader.line_feeds(text) == log_reader.line_feeds(memoryview(text)) == text.count(b"\n")
