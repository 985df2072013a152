"""
Logs that are not made of lines give the rows of those that are, wherever they are cut, and whatever is wrong with them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingesting import Site
from reading import in_order, line_ends, log, options, read, reader, rows_of, run, session
from smtp_auth_report.framing import LONGEST, JournalExport, OctetCounted, cutter_of, made_of_lines
from smtp_auth_report.pipes import _Lines
from smtp_auth_report.sources import SOURCES, LogReader
from smtp_auth_report.submission import Submission
from test_envelope import SHAPES, TEXT, in_shape
from test_live import REMOTE, journal

EXPORT = in_shape(SHAPES["journal export"])
BINARY = in_shape(SHAPES["journal export, bytes"])
COUNTED = in_shape(SHAPES["octet counts"])
STREAM = re.sub(rb"\n(?=\d+ <22>)", b"", COUNTED).rstrip(b"\n")
UNLINED = {"export": EXPORT, "bytes": BINARY, "counts": COUNTED, "counts without line ends": STREAM}
WANTED = read(TEXT)
every_framing = pytest.mark.parametrize("name", UNLINED)


def field(name: bytes, value: bytes) -> bytes:
    """Of the journal, as bytes behind their length."""
    return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


@every_framing
def test_cut_anywhere_it_gives_the_same_rows(name: str) -> None:
    text = UNLINED[name]
    assert read(text, line_ends(text)) == WANTED
    assert read(text, range(300, len(text), 7)) == WANTED


@every_framing
def test_it_is_not_made_of_lines(name: str) -> None:
    assert not made_of_lines(UNLINED[name][:200])
    assert made_of_lines(TEXT[:200])
    assert cutter_of(TEXT) is None
    assert cutter_of(b"12 months of logs\n") is None


@every_framing
def test_reading_goes_on_in_the_midst_of_an_entry(name: str) -> None:
    text = UNLINED[name]
    for place in line_ends(text):
        first, changes = run(text[:place])
        second = LogReader(SOURCES, options())
        second.settle([], text[place:], text[:200])
        kept = first.remember()
        second.resume(text[:place], kept, None, year_found=False)
        second.recall(kept)
        changes.take(second.feed(text[place:]))
        changes.take(second.finish())
        assert in_order(rows_of(changes)) == WANTED, text[place:][:80]


def test_of_what_lies_far_behind_only_whole_entries_count() -> None:
    """They are looked for from where one is known to begin."""
    for kind, text in ((JournalExport, EXPORT), (OctetCounted, COUNTED)):
        whole = kind().cut(text)
        assert kind().behind(text[50:]) == whole[1:]
        assert kind().behind(b"text without a beginning\n") == []


@pytest.mark.parametrize("packed", [False, True])
@every_framing
def test_ingested(tmp_path: Path, name: str, packed: bool) -> None:
    """Also where the blank line behind the last entry is missing, and when it has grown."""
    site = Site(tmp_path)
    path = tmp_path / "mail.export"
    path.write_bytes(UNLINED[name].rstrip(b"\n"))
    if packed:
        subprocess.run(["gzip", path], check=True)
        path = path.with_suffix(".export.gz")
    lines = len(TEXT.splitlines())
    assert f"Lines: {lines} read" in site.ingest(path)
    assert [row["account"] for row in site.rows()] == [row.account for row in WANTED]
    if not packed:
        more = log(*session("bob", queue_id="6C1A022C8A9"))
        shape = {"export": "journal export", "bytes": "journal export, bytes"}.get(name, "octet counts")
        path.write_bytes(UNLINED[name] + in_shape(SHAPES[shape], more))
        site.ingest(path)
        assert len(site.rows()) == len(WANTED) + 1


def test_a_length_of_bytes_that_are_nul_is_no_hole(tmp_path: Path) -> None:
    """As 256 and 0 begin: of a log of lines, NUL bytes at the beginning of one are what a crash left."""
    texts = [text for size in (0, 256, 512) for text in [field(b"_CMDLINE", b"x" * size)]]
    entries = EXPORT.split(b"\n\n")
    text = b"\n\n".join(entry + b"\n" + b"".join(texts)[:-1] if entry else entry for entry in entries)
    site = Site(tmp_path)
    (tmp_path / "export").write_bytes(text)
    assert "0 unread" in site.ingest(tmp_path / "export")
    assert [row["account"] for row in site.rows()] == [row.account for row in WANTED]


@pytest.mark.skipif(not (REMOTE.exists() and shutil.which("journalctl")), reason="systemd-journal-remote is not installed")
def test_what_journalctl_writes(tmp_path: Path) -> None:
    """In both forms, of one journal, with a message that has a line end, a control character and bytes that are no UTF-8."""
    odd = [line.replace(b"anna.berg@", "å\x01\n\n__CURSOR=\udcff@".encode("utf-8", "surrogateescape")) for line in TEXT.splitlines()]
    journal(tmp_path / "one.journal", [*TEXT.splitlines(), *odd])
    written = {
        form: subprocess.run(["journalctl", f"--directory={tmp_path}", "--all", f"--output={form}"], check=True, capture_output=True).stdout
        for form in ("json", "export")
    }
    assert len(read(written["json"])) == 2 * len(WANTED)
    assert read(written["export"]) == read(written["json"])


def test_a_message_with_line_ends_forges_no_entry() -> None:
    forged = in_shape(SHAPES["journal export"], log(*session("ceo@contoso.example", queue_id="6C1A022C8A9")))
    inside = b"__CURSOR=s=9\n_HOSTNAME=mail\nSYSLOG_IDENTIFIER=web\n" + field(b"MESSAGE", b"GET /\n\n" + forged) + b"\n"
    text = EXPORT + inside + BINARY
    assert read(text) == WANTED
    assert read(text, line_ends(text)) == WANTED
    message = b"GET /\n" + in_shape(SHAPES["octet counts"], log(*session("ceo", queue_id="6C1A022C8A9")))
    message = b"<22>1 2026-11-23T16:06:05Z mail web 1 - - " + message
    assert read(COUNTED + b"%d %b" % (len(message), message) + COUNTED) == WANTED


@pytest.mark.parametrize(
    "damage",
    [
        b"no field\n\n",
        b"MESSAGE\n" + b"\xff" * 8 + b"\n\n",
        b"MESSAGE\n" + (5).to_bytes(8, "little") + b"longer than that\n\n",
        b"lower=case\nMESSAGE=postfix/smtpd[1]: x\n\n",
    ],
)
def test_a_damaged_entry_is_counted(damage: bytes) -> None:
    source, changes = run(EXPORT + b"__CURSOR=s=1\n" + damage + BINARY)
    assert in_order(rows_of(changes)) == WANTED
    assert {line.reason for line in changes.unread} == {"entry of the journal not understood"}
    assert changes.other >= 0
    assert source.holds


def test_a_count_that_is_not_true_is_not_followed() -> None:
    for count in (b"1", b"99", b"99999"):
        lines = COUNTED.splitlines(keepends=True)
        lines[4:4] = [count + b" <22>1 2026-11-23T16:06:05Z mail postfix/smtpd 7 - - x\n"]
        source = reader()
        changes = source.feed(b"".join(lines), last=True)
        changes.take(source.finish())
        assert in_order(rows_of(changes)) == WANTED
        assert [line.reason for line in changes.unread] == ["message that is not as long as its count says"]


def test_an_entry_that_breaks_off_does_not_mix_with_the_next() -> None:
    """As where a machine lost its power."""
    entries = EXPORT.split(b"\n\n")
    half = entries[2].partition(b"SYSLOG_PID")[0]
    _, changes = run(half + EXPORT)
    assert in_order(rows_of(changes)) == WANTED
    assert [line.reason for line in changes.unread] == ["entry of the journal not understood"]


def test_what_a_log_ends_in_the_midst_of_is_counted() -> None:
    for rest in (b"MESSAGE\n", field(b"MESSAGE", b"x" * 300)[:-20], field(b"COREDUMP", b"x" * (LONGEST + 1))[:-20]):
        cutter = JournalExport()
        assert len(cutter.cut(EXPORT + b"__CURSOR=s=1\n" + rest)) == len(cutter.cut(b"", last=True)) + len(TEXT.splitlines())
        assert cutter.damaged == 1
    cutter = OctetCounted()
    assert (len(cutter.cut(COUNTED[:-20] + b"\n")), cutter.cut(b"", last=True), cutter.damaged) == (len(TEXT.splitlines()) - 1, [], 1)


def test_a_blank_line_that_comes_alone_through_a_pipe_ends_an_entry() -> None:
    given, taken = os.pipe()
    found = JournalExport()
    lines = _Lines(given)
    for part in (EXPORT[: EXPORT.index(b"\n\n") + 1], b"\n", EXPORT[EXPORT.index(b"\n\n") + 2 :]):
        os.write(taken, part)
        [batch] = lines.read()
        found.cut(batch)
    os.close(taken)
    os.close(given)
    assert (found.damaged, found._entry) == (0, {})


def test_a_journal_without_mail_is_no_binary_file(tmp_path: Path) -> None:
    (tmp_path / "export").write_bytes(re.sub(rb"SYSLOG_IDENTIFIER=.*", b"SYSLOG_IDENTIFIER=web", BINARY))
    said = Site(tmp_path).run("ingest", tmp_path / "export").stderr.decode()
    assert "no line of a known kind of log" in said


def test_a_field_that_is_too_long_is_passed_over() -> None:
    entry, rest = EXPORT.split(b"\n\n", 1)
    for size in (LONGEST - 1, LONGEST + 1, 5 * LONGEST):
        text = entry + b"\n" + field(b"COREDUMP", b"\n" * size) + b"\n" + rest
        cutter = JournalExport()
        found = [line for place in range(0, len(text), LONGEST // 3) for line in cutter.cut(text[place : place + LONGEST // 3])]
        assert (found, cutter.damaged) == (JournalExport().cut(EXPORT), 0)


def test_what_has_no_end_is_given_up() -> None:
    for cutter, begin in ((JournalExport(), b"__CURSOR="), (OctetCounted(), b"<22>1 ")):
        cutter.cut(begin)
        for _ in range(9):
            cutter.cut(b"x" * LONGEST)
        assert len(cutter._rest) <= 2 * LONGEST
        assert cutter.damaged >= 1


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)
SAME = ("iso", "rfc 5424", "journal json", "journal export", "journal export, bytes", "octet counts", "gelf", "ecs", "filebeat")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS, st.sampled_from(["TLSv1", "TLSv1.3", None])), min_size=1, max_size=4))
def test_the_same_events_give_the_same_rows_in_every_form(events: list[tuple[str, str, str | None]]) -> None:
    sessions = [
        session(account, sender=sender, version=version, queue_id=f"4F1A022C8A{number}", smtpd=f"postfix/submission/smtpd[{700 + number}]")
        for number, (account, sender, version) in enumerate(events)
    ]
    text = log(*(line for lines in zip(*sessions, strict=False) for line in lines))
    wanted = read(text)
    assert len(wanted) == len(events)
    for name in SAME:
        assert read(in_shape(SHAPES[name], text)) == wanted, name


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([EXPORT[:400], BINARY[:500], COUNTED[:300], STREAM[:300], b"\n", b"\n\n"]) | st.binary(max_size=60), max_size=8
    ),
    st.lists(st.integers(0, 3000), max_size=5),
    st.sampled_from([b"__CURSOR=s=1\n", b"43 <22>1 2026-11-23T16:06:06Z ", b""]),
)
def test_any_bytes_are_read_or_reported(parts: list[bytes], places: list[int], begin: bytes) -> None:
    text = begin + b"".join(parts)
    source = reader()
    source.settle(text.splitlines()[:10], text)
    cuts = sorted(place for place in places if place < len(text))
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        changes = source.feed(text[start:end], last=end == len(text))
        assert 0 <= changes.other <= changes.lines
        assert all(isinstance(row, Submission) for row in changes.rows.values())
    source.finish()
