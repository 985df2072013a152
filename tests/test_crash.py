"""
Killed at any moment, over a log that is written and rotated meanwhile: the rows are those of an undisturbed run.

Each run has a log of its own, which another process writes in portions and rotates eight times, in one of seven styles.
For each kill a reader is started, and once it follows the log the next portion is begun; the reader is killed by SIGKILL at
a moment of chance while that is written. The last portion is begun after the last kill, so every kill that is counted met a
reader that followed a log still being written. Some readers are killed as soon as they are started besides, before they say
that they follow; those are counted apart. At times the log goes on unwatched for as long as a rotation takes. In the end a
reader is started that is not killed, and the whole export must come to be that of reading the log once.

CRASH_KILLS says how many kills there are in all runs together, 20 unless it is set; `make proof` sets it to three hundred.
How many there were is told at the end. One more test has the log cut with lines that no copy has; its kills are added.

What goes wrong
    A reader that ends by itself fails the test at once, with what it said.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from ingesting import ZONES, Row, Site

LOG = Path(__file__).parent / "logs" / "postfix" / "maillog_file" / "mail.log"
WRITER = Path(__file__).parent / "rotating_writer.py"
STYLES = ("rename", "compress", "compressnow", "date", "datexz", "copytruncate", "copycompress")
KILLS = max(1, int(os.environ.get("CRASH_KILLS", "20")))
KILLS_A_RUN = 4
PORTION = 1.0
"""Seconds that a portion is written for."""

EXPORTING = 0.5
"""Seconds between two exports, which keep the reader from its work."""

YEAR = ("--from", "2026-01-01", "--to", "2027-12-31")

Count = Callable[[str, object], None]


def runs() -> list[tuple[str, int, int]]:
    """Style, seed and kills of each run: every style, if there are kills for it, and all kills together as many as promised."""
    number = min(KILLS, max(len(STYLES), KILLS // KILLS_A_RUN))
    return [(STYLES[run % len(STYLES)], run, KILLS // number + (run < KILLS % number)) for run in range(number)]


class Reader:
    """The program that follows the log, and what it says."""

    def __init__(self, site: Site, log: Path) -> None:
        self._said = site.folder / "said"
        with self._said.open("wb") as said:
            self._process = site.start("ingest", "--follow", "--year", "2026", *ZONES, log, stderr=said)

    def until(self, reached: Callable[[], bool], seconds: float, pause: float = 0.02) -> bool:
        """Wait so long at most, and look after each pause; whether it was reached. A reader that ends by itself fails the test."""
        end = time.monotonic() + seconds
        while not reached():
            if self._process.poll() is not None:
                pytest.fail(f"the reader ended with status {self._process.returncode} and said: {self.said}")
            if time.monotonic() > end:
                return False
            time.sleep(pause)
        return True

    @property
    def said(self) -> str:
        return self._said.read_text()

    def follows(self) -> bool:
        return "following" in self.said

    def lives(self, seconds: float) -> None:
        self.until(lambda: False, seconds)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait() == -signal.SIGKILL, self.said

    def end(self) -> None:
        self._process.terminate()
        assert self._process.wait(20) == 0, self.said


class Writer:
    """The process that writes the log, each portion when it is told to."""

    def __init__(self, log: Path, style: str, seed: int, portions: int) -> None:
        command = [sys.executable, WRITER, LOG, log, style, str(PORTION * portions), str(seed), str(portions)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        self._left = portions

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._left -= 1

    @property
    def writes(self) -> bool:
        return self._process.poll() is None

    def finish(self) -> None:
        while self._left:
            self.go_on()
        self._process.communicate()
        assert self._process.returncode == 0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("undisturbed"))
    site.ingest("--year", "2026", LOG)
    return site


@pytest.mark.parametrize(("style", "seed", "kills"), runs())
def test_killed_at_any_moment_over_a_rotating_log(
    tmp_path: Path, undisturbed: Site, record_property: Count, style: str, seed: int, kills: int
) -> None:
    site = Site(tmp_path, state=undisturbed.folder / "state.sqlite3", begun=False)
    killed_and_nothing_lost(site, undisturbed, record_property, style, seed, kills)


@pytest.mark.parametrize("seed", range(max(1, KILLS // 30)))
def test_killed_while_clickhouse_is_written_to(tmp_path: Path, undisturbed: Site, record_property: Count, seed: int) -> None:
    """It has no transactions. How far reading got is a file of the state, so this site has the key of the other alone."""
    (tmp_path / "state.sqlite3.key").write_bytes((undisturbed.folder / "state.sqlite3.key").read_bytes())
    site = Site(tmp_path, database=f"chdb://{tmp_path}/database")
    killed_and_nothing_lost(site, undisturbed, record_property, STYLES[seed % len(STYLES)], seed, 2)


class Expected(NamedTuple):
    """What a site has to say."""

    exported: bytes
    rows: list[Row]
    totals: Row


@cache
def expected_of(undisturbed: Site) -> Expected:
    exported = undisturbed.done("export", "--format", "jsonl").stdout
    return Expected(exported, undisturbed.rows(), undisturbed.report("sending-volume", *YEAR)["totals"])


def killed_and_nothing_lost(site: Site, undisturbed: Site, count: Count, style: str, seed: int, kills: int) -> None:
    log = site.folder / "mail.log"
    kill_while_written(site, log, style, seed, kills, count)
    reader = Reader(site, log)
    expected = expected_of(undisturbed)
    reader.until(lambda: site.run("export", "--format", "jsonl").stdout == expected.exported, 60, EXPORTING)
    reader.end()
    assert site.rows() == expected.rows
    assert site.report("sending-volume", *YEAR)["totals"] == expected.totals


@pytest.mark.parametrize("seed", range(max(1, KILLS // 50)))
def test_what_is_cut_away_is_a_gap_and_nothing_else_is_lost(tmp_path: Path, undisturbed: Site, record_property: Count, seed: int) -> None:
    log = tmp_path / "mail.log"
    site = Site(tmp_path, state=undisturbed.folder / "state.sqlite3", begun=False)
    kill_while_written(
        site, log, "copylose", seed, KILLS_A_RUN, record_property, lambda: b"\n" in site.run("export", "--format", "jsonl").stdout
    )
    (tmp_path / "remaining").mkdir()
    remaining = Site(tmp_path / "remaining", state=undisturbed.folder / "state.sqlite3")
    remaining.ingest("--year", "2026", *(path for path in tmp_path.glob("mail.log*") if path.stat().st_size))
    there = messages(remaining)
    reader = Reader(site, log)
    reader.until(lambda: there <= messages(site), 60, EXPORTING)
    reader.end()
    assert there <= messages(site) <= messages(undisturbed)
    assert site.report("summary", "--from", "2026-01-01", "--to", "2099-12-31")["unknown"]["gaps"] > 0


def messages(site: Site) -> set[str]:
    """Queue ids of what was accepted."""
    return {row["queue_id"] for row in site.rows("--outcome", "accepted")}


def kill_while_written(
    site: Site, log: Path, style: str, seed: int, kills: int, count: Count, first: Callable[[], bool] = lambda: True
) -> None:
    """So many kills, not before `first`, and then the rest of the log unwatched."""
    rng = random.Random(seed)
    early = 0
    with Writer(log, style, seed, kills + 1) as writer:
        for _ in range(kills):
            if rng.random() < 0.3:
                early += killed_early(Reader(site, log), rng.uniform(0, 0.5))
            reader = Reader(site, log)
            assert reader.until(reader.follows, 60), f"the reader does not follow: {reader.said}"
            writer.go_on()
            assert reader.until(first, 60), reader.said
            reader.lives(rng.uniform(0, PORTION))
            assert writer.writes
            reader.kill()
            if rng.random() < 0.3:
                time.sleep(0.7 * PORTION)
        writer.finish()
    count("kills of a reader that followed a log still being written", kills)
    count("kills of a reader that was just starting", early)


def killed_early(reader: Reader, seconds: float) -> bool:
    """After so long; whether it was not yet following."""
    reader.lives(seconds)
    starting = not reader.follows()
    reader.kill()
    return starting


def test_a_reader_that_dies_at_its_start_is_told(tmp_path: Path) -> None:
    """It must not be taken for one that was killed."""
    site = Site(tmp_path, begun=False)
    (tmp_path / "mail.duckdb").write_text("no database\n" * 1000)
    with pytest.raises(pytest.fail.Exception, match=r"ended with status 1 .*is not a DuckDB database"):
        kill_while_written(site, tmp_path / "mail.log", "rename", 0, 1, lambda *_: None)
