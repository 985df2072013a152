"""
Killed at any moment, over a log that is written and rotated meanwhile: the rows are those of an undisturbed run.

The short form has some twenty kills; `make proof` sets CRASH_KILLS to three hundred.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingesting import PROGRAM, ZONES, Site

LOG = Path(__file__).parent / "logs" / "postfix" / "maillog_file" / "mail.log"
WRITER = Path(__file__).parent / "rotating_writer.py"
STYLES = ("rename", "compress", "compressnow", "date", "datexz", "copytruncate", "copycompress")
KILLS = int(os.environ.get("CRASH_KILLS", "20"))
KILLS_A_RUN = 4
SECONDS = 4.0
YEAR = ("--from", "2026-01-01", "--to", "2027-12-31")
RUNS = [(STYLES[number % len(STYLES)], number) for number in range(max(len(STYLES), KILLS // KILLS_A_RUN))]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("undisturbed"))
    site.ingest("--year", "2026", LOG)
    return site


@pytest.mark.parametrize(("style", "seed"), RUNS)
def test_killed_at_any_moment_over_a_rotating_log(tmp_path: Path, undisturbed: Site, style: str, seed: int) -> None:
    log = tmp_path / "mail.log"
    site = Site(tmp_path, state=undisturbed.folder / "state.sqlite3")
    kill_while_written(site, log, style, seed)
    reader = follow(site, log)
    expected = undisturbed.run("export", "--format", "jsonl").stdout
    wait_until(lambda: site.run("export", "--format", "jsonl").stdout == expected)
    reader.terminate()
    assert reader.wait(20) == 0
    assert site.rows() == undisturbed.rows()
    assert site.report("sending-volume", *YEAR)["totals"] == undisturbed.report("sending-volume", *YEAR)["totals"]


@pytest.mark.parametrize("seed", range(max(1, KILLS // 50)))
def test_what_is_cut_away_is_a_gap_and_nothing_else_is_lost(tmp_path: Path, undisturbed: Site, seed: int) -> None:
    log = tmp_path / "mail.log"
    site = Site(tmp_path, state=undisturbed.folder / "state.sqlite3")
    kill_while_written(site, log, "copylose", seed, first=lambda: bool(site.run("export", "--format", "jsonl").stdout))
    (tmp_path / "remaining").mkdir()
    remaining = Site(tmp_path / "remaining", state=undisturbed.folder / "state.sqlite3")
    remaining.ingest("--year", "2026", *(path for path in tmp_path.glob("mail.log*") if path.stat().st_size))
    reader = follow(site, log)
    wait_until(lambda: messages(remaining) <= messages(site))
    reader.terminate()
    assert reader.wait(20) == 0
    assert messages(remaining) <= messages(site) <= messages(undisturbed)
    assert site.report("summary", "--from", "2026-01-01", "--to", "2099-12-31")["unknown"]["gaps"] > 0


def messages(site: Site) -> set[str]:
    """Queue ids of what was accepted."""
    return {row["queue_id"] for row in site.rows("--outcome", "accepted")}


def kill_while_written(site: Site, log: Path, style: str, seed: int, first: Callable[[], bool] | None = None) -> None:
    """Until the log is written to its end, not less often than promised, and not before `first`, with more time to write."""
    rng = random.Random(seed)
    seconds = SECONDS * (3 if first else 1)
    writer = subprocess.Popen([sys.executable, WRITER, LOG, log, style, str(seconds), str(seed)])
    kills = 0
    while kills < KILLS_A_RUN or writer.poll() is None:
        reader = follow(site, log)
        if first and not kills:
            wait_until(first)
        time.sleep(rng.uniform(0.3, 2 * SECONDS / KILLS_A_RUN))
        reader.send_signal(signal.SIGKILL)
        reader.wait()
        kills += 1
        if rng.random() < 0.3:
            time.sleep(0.7)  # long enough for the log to be rotated unwatched
    assert writer.returncode == 0


def follow(site: Site, log: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*PROGRAM, "ingest", "--follow", "--year", "2026", *ZONES, str(log)], env=site.environment)


def wait_until(reached: Callable[[], bool]) -> None:
    """For a minute at most; what is not reached then is for the caller to show."""
    until = time.monotonic() + 60
    while not reached() and time.monotonic() < until:
        time.sleep(0.5)
