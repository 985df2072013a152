"""
Each server's own form is known for what it is, by no other source, in a file, in a syslog and in any container's log; and the
same lines give the same rows in all of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reading import line_ends, log, options, read, run, session, survives
from samples import ANNA, CONTAINERS, SAMPLES, syslog, wrapped
from smtp_auth_report.sources import SOURCES, LogReader
from smtp_auth_report.submission import Submission

LOGS = Path(__file__).parent / "logs"
every_source = pytest.mark.parametrize("name", SAMPLES)
FILES = sorted(path for path in LOGS.rglob("*log*") if path.is_file())


def rows_of(text: bytes) -> list[Submission]:
    """Without what differs where the part of a second and the name of the host are not told."""
    return [row._replace(key=0, opened=0, time=row.time // 1_000_000, server="") for row in read(text)]


def text_of(name: str) -> bytes:
    sample = SAMPLES[name]
    return sample.file if sample.own else syslog(sample.program, sample.bare)


@every_source
def test_one_session(name: str) -> None:
    kind = next(kind for kind in SOURCES if kind.name == name)
    accepted, failed = sorted(read(text_of(name)), key=lambda row: row.outcome)
    assert (accepted.outcome, failed.outcome, accepted.source, failed.source) == ("accepted", "auth_failed", name, name)
    whole = {
        "client_ip": "192.0.2.10", "client_name": "pc.contoso.example", "helo": "pc", "account": ANNA, "sender": "a.berg@contoso.example",
        "recipients": 2, "size": 1253, "message_id": "<1@contoso.example>",
    }  # fmt: skip
    told = accepted._asdict()
    assert {field: told[field] for field in whole} == {field: value if field in kind.tells else None for field, value in whole.items()}
    assert (accepted.tls_version != "unknown") == ("tls_version" in kind.tells)
    assert (accepted.tls_cipher is not None) == ("tls_cipher" in kind.tells)
    assert (accepted.queue_id is not None) == ("queue_id" in kind.tells)
    assert (failed.client_ip, failed.reason) == ("192.0.2.10", "bad_credentials")
    assert failed.account in {"anna", None}


@every_source
def test_no_other_source_knows_it(name: str) -> None:
    source, _ = run(text_of(name))
    assert [kind.name for kind in source.recognised] == [name]
    lines = text_of(name).splitlines()
    assert [kind.name for kind in SOURCES if kind.forms(lines)] == ([name] if SAMPLES[name].own else [])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LOGS)))
def test_real_logs_are_of_their_own_server(path: Path) -> None:
    """A folder's name is its server's; Dovecot's is of a Postfix behind it as well."""
    lines = path.read_bytes()[:65_536].splitlines()
    folder = path.relative_to(LOGS).parts[0]
    assert {kind.name for kind in SOURCES if kind.forms(lines)} <= {folder}
    source, _ = run(path.read_bytes()[:200_000])
    assert folder.startswith("dovecot") or [kind.name for kind in source.recognised] == [folder]


def test_no_form_takes_a_syslog() -> None:
    iso = b"".join(b"2026-11-23T16:06:05.000Z mail " + line[21:] + b"\n" for line in log(*session()).splitlines())
    for text in (log(*session()), iso, syslog("maddy", SAMPLES["maddy"].bare), syslog("haraka", SAMPLES["haraka"].bare)):
        assert not any(kind.forms(text.splitlines()) for kind in SOURCES)


@every_source
@pytest.mark.parametrize("container", CONTAINERS)
def test_in_a_container(name: str, container: str) -> None:
    """With stamps of the server's own or without."""
    sample = SAMPLES[name]
    for lines in {sample.own, sample.bare} - {()}:
        text = wrapped(container, lines)
        assert rows_of(text) == rows_of(text_of(name))
        assert [row.key for row in read(text)] == [row.key for row in read(text, line_ends(text))]


@every_source
def test_shipped_by_filebeat(name: str) -> None:
    """Its own lines, each as the message of a JSON object that names their file."""
    lines = SAMPLES[name].own
    shipped = [json.dumps({"@timestamp": "2026-11-24T00:00:00.000Z", "log": {"file": {"path": "x"}}, "message": line}) for line in lines]
    assert rows_of("".join(f"{line}\n" for line in shipped).encode()) == (rows_of(text_of(name)) if lines else [])


@every_source
def test_in_a_syslog(name: str) -> None:
    sample = SAMPLES[name]
    if sample.program:
        text = syslog(sample.program, sample.bare)
        assert rows_of(text) == rows_of(text_of(name))
        assert rows_of(text.replace(b"\t", b"#011")) == rows_of(text)
        journal = "".join(entry(place, *line) for place, line in enumerate(_tags(sample.program, sample.bare))).encode()
        assert rows_of(journal) == rows_of(text)
    elif sample.own:
        assert read(syslog("haraka", sample.own)) == []


def entry(place: int, tag: str, message: str) -> str:
    """As journalctl -o json gives it."""
    stamp = str(1_795_449_965_000_000 + place * 1_000_000)
    return json.dumps({"__REALTIME_TIMESTAMP": stamp, "_HOSTNAME": "mail", "SYSLOG_IDENTIFIER": tag, "MESSAGE": message}) + "\n"


def _tags(program: str, lines: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(line.partition(": ")[0], line.partition(": ")[2]) if program == "courierd" else (program, line) for line in lines]


@pytest.mark.parametrize("name", [name for name in SAMPLES if SAMPLES[name].own and SAMPLES[name].program])
def test_its_own_stamp_counts_where_it_states_the_zone(name: str) -> None:
    """As systemd keeps what a server wrote for a file."""
    wanted = {row.time for row in read(text_of(name))}
    text = syslog(SAMPLES[name].program, SAMPLES[name].own).replace(b" 16:06:", b" 16:07:")
    later = 0 if name in {"chasquid", "exim"} else 60_000_000  # their stamps do not
    assert len(read(text)) == len(wanted)
    assert {row.time - 60_000_000 + later for row in read(text)} == wanted


def test_a_syslog_line_in_a_container_is_no_servers_own() -> None:
    """As Dovecot's, whose own files have the same look: the container's stamp states the zone."""
    lines = (
        "Nov 23 17:06:05 submission-login: Info: Login: user=<anna>, method=PLAIN, rip=192.0.2.10, lip=192.0.2.1, mpid=7, TLS, session=<x>",
        "Nov 23 17:06:06 submission(anna)<7><x>: Info: Disconnected: Logged out (state=READY) in=7 out=9",
    )
    [row] = read(wrapped("docker", lines))
    assert (row.source, row.time) == ("dovecot", 1_795_449_966_000_000)


def test_a_container_without_stamps_is_told() -> None:
    text = b"".join(b"mail-1  | " + line.encode() + b"\n" for line in SAMPLES["maddy"].bare)
    source, changes = run(text)
    assert [kind.name for kind in source.recognised] == ["maddy"]
    assert changes.rows == {}
    assert {line.reason for line in changes.unread} == {"line without a time: read the container's log with its time stamps"}


def test_a_log_may_begin_with_other_lines() -> None:
    text = b"Setting up volume\nUsing defaults\nReady\n"
    source = LogReader(SOURCES, options())
    source.settle([], text)
    source.feed(text)
    assert len(source.feed(SAMPLES["stalwart"].file).rows) == 2


@every_source
@pytest.mark.parametrize("feeds", ["whole", "line by line"])
def test_cut_anywhere_and_read_in_two_runs(name: str, feeds: str) -> None:
    """Only a name that hMailServer's log gave, and that was not yet accepted, is not remembered."""
    text = text_of(name)
    ends = line_ends(text)
    wanted = {row.identity: row for row in read(text, ends if feeds == "line by line" else ())}
    for place in ends:
        rows = two_runs(text[:place], text[place:])
        if name == "hmailserver":
            rows = {identity: row._replace(account=row.account or wanted[identity].account) for identity, row in rows.items()}
        failed = {identity for identity, row in wanted.items() if row.outcome == "auth_failed"}
        assert {identity: row for identity, row in rows.items() if identity not in failed} == {
            identity: row for identity, row in wanted.items() if identity not in failed
        }, text[place : place + 200]
        assert failed <= rows.keys()


def two_runs(older: bytes, newer: bytes) -> dict[object, Submission]:
    first, changes = run(older)
    second = LogReader(SOURCES, options())
    second.settle([], newer)
    second.recall(first.remember())
    changes.take(run(newer, source=second)[1])
    return dict(changes.rows)


@every_source
def test_names_that_failed_are_not_remembered(name: str) -> None:
    text = text_of(name)
    for place in (*line_ends(text), len(text)):
        source, _ = run(text[:place])
        kept = "".join(entry.sessions for entry in source.remember())
        assert '"anna"' not in kept


@every_source
def test_read_twice_it_gives_the_same_rows(name: str) -> None:
    text = text_of(name)
    assert [row.identity for row in read(text)] == [row.identity for row in read(text)]
    assert read(text, line_ends(text)) == read(text)


LINES = [line for name in SAMPLES for line in text_of(name).splitlines(keepends=True)]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(SAMPLES)),
    st.lists(st.sampled_from(LINES) | st.binary(max_size=60), max_size=8),
    st.binary(max_size=80),
    st.integers(0, 4000),
    st.sampled_from(["", *CONTAINERS]),
)
def test_any_bytes_are_read_or_reported(name: str, lines: list[bytes], noise: bytes, place: int, container: str) -> None:
    text = text_of(name) + b"".join(lines)
    place = min(place, len(text))
    text = text[:place] + noise + text[place:]
    if container:
        text = wrapped(container, text.decode("utf-8", "replace").split("\n"))
    changes = survives(text)
    assert all(row.tls_version and row.outcome and row.time > 0 for row in changes.rows.values())
