"""
Stopped behind any line and started again, whatever the clock of the log did: rows as without.

Each log is followed to one of its lines, what a commit keeps is kept, and another reader goes on with it. Real logs are
long: of those, chance takes some places. RESUMING says how many, 6 unless it is set; `make proof` takes three hundred.
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reading import ANNA, CIPHER, NOW, PC, log, session
from samples import SAMPLES
from smtp_auth_report.changes import Changes, Position, Remembered
from smtp_auth_report.checkpoint import Evidence
from smtp_auth_report.follow import FileStream, Known
from smtp_auth_report.ingest import Ingest, Reading
from smtp_auth_report.resuming import Kept, by_server, resume
from smtp_auth_report.sources import LogReader
from smtp_auth_report.store import open_store
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.submission import Identity, Outcome, Submission
from test_envelope import SHAPES, in_shape

LOGS = Path(__file__).parent / "logs"
REAL = sorted(path for path in LOGS.glob("*/*/*.log") if path.stat().st_size < 600_000)
PLACES = int(os.environ.get("RESUMING", "6"))
SMTPD = "postfix/submission/smtpd[701]"
FAILED = f"{SMTPD}: warning: {PC}: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username={ANNA}"
EVER = Selection(0, 2**52, "UTC")


class Follower:
    """What reads a log, and what it leaves to the one after it."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path = path
        self.reading = reading
        self.positions: list[Position] = []
        self.remembered: Kept = {}
        self.changes = Changes()
        self.start()

    def start(self) -> None:
        self.stream = FileStream(str(self.path), Known(self.positions), lambda: NOW)
        self.reader: LogReader | None = None

    def read(self) -> None:
        """What has come, and a commit; as Tail does it."""
        if self.reader is None:
            self.reader = self._begun()
        for batch in self.stream.read():
            self.changes.take(self.reader.feed(batch))
        self.changes.take(self.reader.finish())
        self.remembered |= by_server(entry._replace(stream=self.stream.name) for entry in self.reader.remember())
        self.positions += self.stream.positions(self.reading.text, self.reading.evidence(self.reader, self.remembered, self.stream.name))

    def recalled(self, source: str) -> list[Remembered]:
        """As the store tells it."""
        return [entry for entry in self.remembered.values() if entry.source == source]

    def _begun(self) -> LogReader:
        start = self.stream.begin()
        assert start is not None
        reader = self.reading.reader(start.reference, NOW, start.year)
        reader.settle(start.sample, start.start, start.head)
        resume(reader, self.recalled, self.reading.kinds, self.stream.name, start.place, start.before)
        return reader


def rows(changes: Changes) -> dict[Identity, Submission]:
    """As the store will have them; a name that failed to sign in is not remembered, but its row keeps it."""
    found = changes.rows | {row.identity: row for messages in changes.messages for row in messages.rows()}
    return {key: row._replace(account=None) if row.outcome == Outcome.AUTH_FAILED else row for key, row in found.items()}


def read_to(folder: Path, text: bytes, places: list[int], reading: Reading, *, stopping: bool) -> Changes:
    """Rows of a log that is written up to each of these places, with a new reader from each of them on."""
    path = folder / "mail.log"
    path.unlink(missing_ok=True)
    follower = Follower(path, reading)
    for begin, end in zip([0, *places], [*places, len(text)], strict=True):
        with path.open("ab") as file:
            file.write(text[begin:end])
        os.utime(path, (NOW // 1_000_000, NOW // 1_000_000))
        follower.read()
        if stopping:
            follower.stream.close()
            follower.start()
    follower.stream.close()
    return follower.changes


def check(folder: Path, text: bytes, places: list[int], **stated: object) -> None:
    reading = Reading(**{"zone": ZoneInfo("UTC"), "zone_given": True, "year": 2026} | stated)  # type: ignore[arg-type]
    for place in places:
        without = read_to(folder, text, [place], reading, stopping=False)
        again = read_to(folder, text, [place], reading, stopping=True)
        assert rows(again) == rows(without), text[:place].splitlines()[-1]
        assert (again.lines, len(again.unread)) == (without.lines, len(without.unread))


def ends(text: bytes) -> list[int]:
    """Where a text can be cut into whole lines."""
    return [place + 1 for place, byte in enumerate(text[:-1]) if byte == 10]


@pytest.mark.parametrize("path", REAL, ids=lambda path: str(path.relative_to(LOGS)))
def test_real_logs(tmp_path: Path, path: Path) -> None:
    text = path.read_bytes()
    places = ends(text)
    check(tmp_path, text, random.Random(str(path.relative_to(LOGS))).sample(places, min(PLACES, len(places))))


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_of_all_servers(tmp_path: Path, name: str) -> None:
    text = SAMPLES[name].file or log(*(f"{SAMPLES[name].program}[1]: {line}" for line in SAMPLES[name].bare))
    check(tmp_path, text, ends(text))


@pytest.mark.parametrize("shape", ["journal export", "journal export, bytes", "octet counts", "octet counts with line ends"])
def test_logs_that_are_not_made_of_lines(tmp_path: Path, shape: str) -> None:
    """Stopped in the midst of an entry too."""
    text = in_shape(SHAPES[shape], log(*session(middle=[FAILED]), *session("bob", queue_id="5B1A022C8A9")))
    check(tmp_path, text, ends(text))


JUMP = session(middle=[FAILED])


@pytest.mark.parametrize("hours", [-5, -0.01, 3, -26])
def test_the_clock_of_the_log_is_set(tmp_path: Path, hours: float) -> None:
    """At any line of a session; the reader is stopped at any line too."""
    begin = datetime(2026, 11, 20, 16, tzinfo=UTC)
    for jump in range(1, len(JUMP)):
        text = log(*JUMP[:jump], start=begin) + log(*JUMP[jump:], start=begin + timedelta(hours=hours))
        check(tmp_path, text, ends(text))


def test_the_year_turns_while_nothing_is_read(tmp_path: Path) -> None:
    text = log(*JUMP, *JUMP, start=datetime(2025, 12, 31, 23, 59, 50, tzinfo=UTC))
    check(tmp_path, text, ends(text), year=2025)
    check(tmp_path, text, ends(text), year=None)


def test_the_hour_that_autumn_repeats(tmp_path: Path) -> None:
    begin = datetime(2026, 10, 25, 2, 50, tzinfo=UTC)
    text = log(*JUMP, start=begin) + log(*(line.replace("4F1A", "4F1B") for line in JUMP), start=begin - timedelta(minutes=45))
    check(tmp_path, text, ends(text), zone=ZoneInfo("Europe/Paris"))


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("0", Evidence(0)),
        ("2026 stated", Evidence(2026)),
        ("2025 found inode 1312", Evidence(2025, found=True, inode=1312)),
        ("2026 found of 9c11 offset -18000000000 inode 7", Evidence(2026, found=True, mark="9c11", offset=-18_000_000_000, inode=7)),
        ("2026 stated of 9c11 offset 0", Evidence(2026, mark="9c11", offset=0)),
    ],
)
def test_evidence_is_read_as_it_is_written_and_as_it_was(text: str, evidence: Evidence) -> None:
    assert Evidence.read(text) == evidence
    assert Evidence.read(evidence.text) == evidence


def test_long_queue_ids_tell_the_zone(tmp_path: Path) -> None:
    """The machine's is another: what comes before the next message is of the right hour too."""
    begin = datetime(2020, 3, 30, 12, 19, 17, tzinfo=UTC)
    text = log(*session(queue_id="48rT2v1hQrz1J0N"), FAILED, *session(), start=begin)
    check(tmp_path, text, ends(text), zone=ZoneInfo("America/Lima"), zone_given=False, year=None)


@pytest.mark.parametrize("says", ["syslogd: last message repeated 3 times", "last message repeated 3 times"])
def test_a_line_is_said_to_be_repeated(tmp_path: Path, says: str) -> None:
    text = log(f"{SMTPD}: connect from {PC}", FAILED, says, f"{SMTPD}: disconnect from {PC} ehlo=1 auth=0/4 commands=1/5")
    check(tmp_path, text, ends(text))


def test_tls_is_not_agreed_on_twice(tmp_path: Path) -> None:
    """The end of the one session, and the beginning of the next, are lost."""
    other = f"{SMTPD}: Anonymous TLS connection established from x[192.0.2.99]: TLSv1.3 with cipher {CIPHER}"
    text = log(*session()[:3], other, *session(queue_id="5A1B022C8A9")[2:], session()[-3])
    check(tmp_path, text, ends(text))


@pytest.mark.parametrize("hours", [-5, 3])
def test_files_that_are_read_once(tmp_path: Path, hours: float) -> None:
    """A run that was stopped behind any line goes on where it was, though its sessions are not its own."""
    begin = datetime(2026, 11, 20, 16, tzinfo=UTC)
    text = log(*JUMP[:3], start=begin) + log(*JUMP[3:], start=begin + timedelta(hours=hours))
    reading = Reading(ZoneInfo("UTC"), zone_given=True, year=2026)
    path = tmp_path / "mail.log"
    found = []
    for number, place in enumerate([len(text), *ends(text)]):
        store = open_store(str(tmp_path / f"{number}.duckdb"))
        for part in (text[:place], text):
            path.write_bytes(part)
            Ingest(store, b"key", reading, NOW).run([str(path)])
        found.append(sorted(row for part in store.submissions(EVER) for row in part))
        store.close()
    assert [each for each in found if each != found[0]] == []
