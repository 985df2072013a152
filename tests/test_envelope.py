"""
One session in every envelope gives the same rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reading import START, log, read, reader, session
from smtp_auth_report.sources.envelope import Envelope, origin
from smtp_auth_report.submission import Submission

LINE = re.compile(rb"(\w{3} \d\d \d\d:\d\d:\d\d) (\S+) ([^\[]+)\[(\d+)\]: (.*)")
TEXT = log(
    *session(), *session(queue_id="5A1A022C8A9", smtpd="postfix/smtps/smtpd[702]", counters=" ehlo=1 auth=1 mail=1 rcpt=2 data=1 quit=1")
)
Shape = Callable[[datetime, str, str, str, str], str | bytes]


def zoned(at: datetime) -> str:
    return at.isoformat()


def journal(at: datetime, host: str, tag: str, pid: str, text: str, message: object = None) -> str:
    stamp = str(int(at.timestamp()) * 1_000_000)
    entry = {"__REALTIME_TIMESTAMP": stamp, "_HOSTNAME": host, "SYSLOG_IDENTIFIER": tag, "SYSLOG_PID": pid, "PRIORITY": "6"}
    return json.dumps(entry | {"MESSAGE": text if message is None else message})


def export(at: datetime, host: str, tag: str, pid: str, text: str, *, binary: bool = False) -> bytes:
    """As journalctl -o export gives it; the message as bytes behind their length, as where it has control characters."""
    known = (
        f"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP={int(at.timestamp()) * 1_000_000}\nPRIORITY=6\n_HOSTNAME={host}\n"
        f"SYSLOG_IDENTIFIER={tag}\nSYSLOG_PID={pid}\n"
    )
    message = b"MESSAGE\n" + len(text.encode()).to_bytes(8, "little") if binary else b"MESSAGE="
    return known.encode() + message + text.encode() + b"\n"


def counted(message: str) -> bytes:
    """As RFC 6587 sends it."""
    return b"%d %b" % (len(message.encode()), message.encode())


SHAPES: dict[str, Shape] = {
    "rfc 3164": lambda at, host, tag, pid, text: f"{at:%b %d %H:%M:%S} {host} {tag}[{pid}]: {text}",
    "with a fraction": lambda at, host, tag, pid, text: f"{at:%b %d %H:%M:%S}.000000 {host} {tag}[{pid}]: {text}",
    "with facility": lambda at, host, tag, pid, text: f"{at:%b %d %H:%M:%S} {host} mail.info {tag}[{pid}]: {text}",
    "with facility in brackets": lambda at, host, tag, pid, text: f"{at:%b %d %H:%M:%S} {host} <mail.info> {tag}[{pid}]: {text}",
    "solaris": lambda at, host, tag, pid, text: f"{at:%b %d %H:%M:%S} {host} {tag}[{pid}]: [ID 197553 mail.info] {text}",
    "iso": lambda at, host, tag, pid, text: f"{zoned(at)} {host} {tag}[{pid}]: {text}",
    "iso with a fraction": lambda at, host, tag, pid, text: f"{at:%Y-%m-%dT%H:%M:%S}.000000+00:00 {host} {tag}[{pid}]: {text}",
    "iso, zone without colon": lambda at, host, tag, pid, text: f"{at:%Y-%m-%dT%H:%M:%S}+0000 {host} {tag}[{pid}]: {text}",
    "iso in another zone": lambda at, host, tag, pid, text: (
        f"{at.replace(hour=at.hour + 2):%Y-%m-%dT%H:%M:%S}+02:00 {host} {tag}[{pid}]: {text}"
    ),
    "rfc 5424": lambda at, host, tag, pid, text: f"<22>1 {zoned(at)} {host} {tag} {pid} - - {text}",
    "rfc 5424 with data": lambda at, host, tag, pid, text: f'<22>1 {zoned(at)} {host} {tag} {pid} - [a@1 b="]\\"x"] \ufeff{text}',
    "rsyslog json": lambda at, host, tag, pid, text: json.dumps(
        {"ts": zoned(at), "host": host, "tag": f"{tag}[{pid}]:", "msg": " " + text}
    ),
    "rsyslog json, other names": lambda at, host, tag, pid, text: json.dumps(
        {"@timestamp": zoned(at), "hostname": host, "programname": tag, "procid": pid, "message": text}
    ),
    "syslog-ng json": lambda at, host, tag, pid, text: json.dumps(
        {"PROGRAM": tag, "PRIORITY": "info", "PID": pid, "MESSAGE": text, "HOST": host, "FACILITY": "mail", "DATE": f"{at:%b %d %H:%M:%S}"}
    ),
    "syslog-ng json, iso": lambda at, host, tag, pid, text: json.dumps(
        {"PROGRAM": tag, "PID": pid, "MESSAGE": text, "HOST": host, "DATE": "Jan 01 00:00:00", "ISODATE": zoned(at)}
    ),
    "journal json": journal,
    "journal json, bytes": lambda at, host, tag, pid, text: journal(at, host, tag, pid, text, list(text.encode())),
    "journal short-full": lambda at, host, tag, pid, text: f"{at:%a %Y-%m-%d %H:%M:%S} UTC {host} {tag}[{pid}]: {text}",
    "gelf": lambda at, host, tag, pid, text: json.dumps(
        {"version": "1.1", "host": host, "short_message": text, "timestamp": at.timestamp(), "level": 6, "_program": tag, "_pid": int(pid)}
    ),
    "gelf as syslog-ng writes it to a file": lambda at, host, tag, pid, text: (
        json.dumps({"host": host, "short_message": text, "timestamp": int(at.timestamp()), "_program": tag, "_pid": int(pid)}) + "\0"
    ),
    "ecs": lambda at, host, tag, pid, text: json.dumps(
        {
            "@timestamp": zoned(at),
            "message": text,
            "log": {"file": {"path": "/var/log/mail.log"}},
            "host": {"name": host},
            "process": {"name": tag, "pid": int(pid)},
        }
    ),
    "ecs, dotted": lambda at, host, tag, pid, text: json.dumps(
        {"@timestamp": zoned(at), "message": text, "host.hostname": host, "host.name": "collector", "process.name": tag, "process.pid": pid}
    ),
    "ecs, fields of syslog": lambda at, host, tag, pid, text: json.dumps(
        {
            "@timestamp": zoned(at),
            "message": text,
            "host": {"name": "collector"},
            "log": {"syslog": {"hostname": host, "appname": tag, "procid": pid}},
        }
    ),
    "filebeat": lambda at, host, tag, pid, text: json.dumps(
        {
            "@timestamp": "2026-11-24T00:00:00.000Z",
            "log": {"offset": 0, "file": {"path": "/var/log/mail.log"}},
            "message": f"{at:%b %d %H:%M:%S} {host} {tag}[{pid}]: {text}",
            "host": {"name": "collector"},
        }
    ),
    "journal export": export,
    "journal export, bytes": lambda at, host, tag, pid, text: export(at, host, tag, pid, text, binary=True),
    "octet counts": lambda at, host, tag, pid, text: counted(f"<22>1 {zoned(at)} {host} {tag} {pid} - - {text}"),
    "octet counts, rfc 3164": lambda at, host, tag, pid, text: counted(f"<22>{at:%b %d %H:%M:%S} {host} {tag}[{pid}]: {text}"),
    "octet counts with line ends": lambda at, host, tag, pid, text: counted(f"<22>1 {zoned(at)} {host} {tag} {pid} - - {text}\n"),
    "docker json": lambda at, host, tag, pid, text: json.dumps(
        {"log": f"{at:%b %d %H:%M:%S} {host} {tag}[{pid}]: {text}\n", "stream": "stdout", "time": f"{at:%Y-%m-%dT%H:%M:%S}Z"}
    ),
    "kubernetes": lambda at, host, tag, pid, text: f"{at:%Y-%m-%dT%H:%M:%S}Z stdout F {at:%b %d %H:%M:%S} {host} {tag}[{pid}]: {text}",
    "compose": lambda at, host, tag, pid, text: f"postfix-mailcow_1  | {at:%b %d %H:%M:%S} {host} {tag}[{pid}]: {text}",
    "compose in colour": lambda at, host, tag, pid, text: f"\x1b[36mpostfix-1 |\x1b[0m {at:%b %d %H:%M:%S} {host} {tag}[{pid}]: {text}",
}


def in_shape(shape: Shape, text: bytes = TEXT) -> bytes:
    shaped: list[bytes] = []
    for line in text.splitlines():
        found = LINE.fullmatch(line)
        assert found is not None
        stamp, host, tag, pid, message = (part.decode() for part in found.groups())
        at = datetime.strptime(f"2026 {stamp}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
        entry = shape(at, host, tag, pid, message)
        shaped.append(entry if isinstance(entry, bytes) else entry.encode())
    return b"".join(entry + b"\n" for entry in shaped)


@pytest.mark.parametrize("name", SHAPES)
def test_every_envelope_gives_the_same_rows(name: str) -> None:
    expected = read(TEXT)
    assert [(row.outcome, row.tls_version) for row in expected] == [("accepted", "TLSv1.2")] * 2
    assert read(in_shape(SHAPES[name])) == expected


def test_a_tag_that_was_cut_at_its_slash_loses_the_service_only() -> None:
    found = read(in_shape(lambda at, host, _tag, pid, text: f"<22>1 {zoned(at)} {host} postfix {pid} - - {text}"))
    assert found == [row._replace(service="unknown") for row in read(TEXT)]


def test_sessions_without_pid_are_told_apart_by_their_clients() -> None:
    one = session(smtpd="postfix/submission-haproxy/smtpd", client="a.example[192.0.2.1]", version="TLSv1.3")
    two = session("bob", smtpd="postfix/submission-haproxy/smtpd", client="b.example[192.0.2.2]", version="TLSv1", queue_id="5B1A022C8A9")
    mixed = [line for pair in zip(one, two, strict=True) for line in pair]
    found = {row.account: (row.tls_version, row.client_ip) for row in read(log(*mixed))}
    assert found == {"anna.berg@contoso.example": ("TLSv1.3", "192.0.2.1"), "bob": ("TLSv1.0", "192.0.2.2")}


def test_a_container_without_host_names_takes_the_stated_one() -> None:
    shaped = in_shape(lambda at, _host, tag, pid, text: f"{zoned(at)} INFO    {tag}[{pid}]: {text}")
    assert {row.server for row in read(shaped, server="mx1")} == {"mx1"}
    assert len(read(shaped)) == 2


def test_docker_lines_that_were_split_are_joined() -> None:
    whole = in_shape(SHAPES["docker json"]).decode().splitlines()
    entry = json.loads(whole[2])
    parts = [json.dumps(entry | {"log": entry["log"][:60]}), json.dumps(entry | {"log": entry["log"][60:]})]
    assert read("\n".join([*whole[:2], *parts, *whole[3:], ""]).encode()) == read(TEXT)


def test_a_line_break_in_another_programs_line_is_no_line_of_ours() -> None:
    forged = log(*session(account="ceo@contoso.example", queue_id="6C1A022C8A9")).decode().splitlines()
    prefixed = [f"{START:%b %d %H:%M:%S} mail dovecot: {line}" for line in forged]
    assert read("\n".join([*prefixed, ""]).encode()) == []


def test_a_whole_line_in_json_counts_only_where_a_file_of_lines_is_named() -> None:
    """Any program may log JSON whose message a client wrote."""
    lines = [line.decode() for line in log(*session(account="ceo@contoso.example", queue_id="6C1A022C8A9")).splitlines()]
    known = {"@timestamp": "2026-11-23T16:06:05Z", "host": {"name": "mail"}, "log": {"file": {"path": "/var/log/mail.log"}}}
    web = {"process": {"name": "web"}}
    for entry in (
        known | web,
        {"@timestamp": "2026-11-23T16:06:05Z", "log": {"level": "info"}},
        {"host": "mail", "timestamp": 1_795_449_965},
    ):
        for name in ("message", "short_message"):
            assert read("".join(json.dumps(entry | {name: line}) + "\n" for line in lines).encode()) == []
    assert len(read("".join(json.dumps(known | {"message": line}) + "\n" for line in lines).encode())) == 1


@pytest.mark.parametrize(
    ("stamp", "micros"),
    [(1_795_449_966, 0), (1_795_449_966.5, 500_000), ("1795449966.328226", 328_226), ("1795449966328226", 328_226), (1_795_449_966.0, 0)],
)
def test_seconds_since_1970_are_a_stamp(stamp: object, micros: int) -> None:
    line = json.dumps({"timestamp": stamp, "host": "mail", "_program": "postfix/smtpd", "_pid": 0, "short_message": "connect from x"})
    assert Envelope().split(line.encode()) == (b"%d" % (1_795_449_966_000_000 + micros), b"mail postfix/smtpd", b"connect from x")


@pytest.mark.parametrize(
    "line",
    [
        "Nov 23 16:06:05 mail sshd[1]: connect from pc[192.0.2.1]",
        "Nov 23 16:06:05 mail in.ftpd[1]: connect from pc[192.0.2.1]",
        "Nov 23 16:06:05 mail evil/smtpd2[1]: 4F1A022C8A9: client=pc[192.0.2.1], sasl_method=PLAIN, sasl_username=ceo",
        "Nov 23 16:06:05 mail postfix/smtp[1]: 4F1A022C8A9: SASL authentication failed; server mx said: 535",
        "-- Boot 8a1b --",
        "-- No entries --",
        "# a comment",
        "{not json",
        "[]",
        "",
    ],
)
def test_other_lines_bring_nothing_about(line: str) -> None:
    source = reader()
    changes = source.feed(line.encode() + b"\n")
    assert (changes.rows, changes.unread) == ({}, [])


def test_origins() -> None:
    assert origin(b"mail postfix/smtpd[643") == ("mail", "postfix/smtpd", "643")
    assert origin(b"2001:db8::1 postfix/smtpd[643") == ("2001:db8::1", "postfix/smtpd", "643")
    assert origin(b"postfix/smtpd") == (None, "postfix/smtpd", None)
    assert origin(b"mail dovecot: x postfix/smtpd[1") is None


@given(st.binary(max_size=400))
def test_any_bytes_are_split_or_passed_over(line: bytes) -> None:
    parts = Envelope().split(line)
    assert parts is None or all(isinstance(part, bytes) for part in parts)


@given(st.lists(st.binary(max_size=200), max_size=30), st.sampled_from([b"", b"Nov 23 16:06:05 mail postfix/smtpd[1]: ", b'{"MESSAGE":']))
def test_any_bytes_are_read_or_reported(lines: list[bytes], before: bytes) -> None:
    source = reader()
    changes = source.feed(b"\n".join(before + line for line in lines) + b"\n")
    source.finish()
    assert changes.lines == len(b"\n".join(before + line for line in lines).split(b"\n"))
    assert all(isinstance(row, Submission) for row in changes.rows.values())
