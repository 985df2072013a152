"""
Logs that real servers of every other kind wrote, with what really happened beside them. In whatever form and order they are
read, the rows are the same, and they are right.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from ingesting import Row, Site
from truth import GOLDEN, Golden, accepted, failed_sign_ins, faults, read

LOGS = Path(__file__).parent / "logs"
YEAR = ("--year", "2026")


# Nov 23 16:06:06 mail postfix/smtpd[643]: text
SYSLOG = re.compile(rb"(?m)^([A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ [^\s\[\]:]+(?:\[\d+\])?: )")
SYSLOGS = ("postfix/maillog_file", "sendmail/loglevel-9", "opensmtpd/default", "dovecot-submission/ssl-version", "courier/default")

every_log = pytest.mark.parametrize("golden", GOLDEN, ids=str)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One key for all sites, so that their rows can be compared whole."""
    return tmp_path_factory.mktemp("state") / "state.sqlite3"


def rows_of(folder: Path, state: Path, *runs: tuple[Path, ...]) -> list[Row]:
    folder.mkdir(exist_ok=True)
    site = Site(folder, state)
    for files in runs:
        site.ingest(*YEAR, *files)
    return site.rows()


def whole_seconds(rows: list[Row]) -> list[Row]:
    return sorted(({**row, "time": row["time"][:19]} for row in rows), key=lambda row: [str(value) for value in row.values()])


@every_log
def test_log_holds_against_the_truth(tmp_path: Path, state: Path, golden: Golden) -> None:
    truth = read(LOGS / golden.folder / "truth.jsonl")
    assert len(accepted(truth)) > 200
    for form in golden.forms:
        rows = rows_of(tmp_path / form, state, (LOGS / golden.folder / form,))
        assert faults(truth, rows, golden.tells) == []
        failed = sum(row["outcome"] == "auth_failed" for row in rows)
        assert abs(failed - failed_sign_ins(truth)) <= failed_sign_ins(truth) // 4


@every_log
def test_every_form_of_one_log_gives_the_same_rows(tmp_path: Path, state: Path, golden: Golden) -> None:
    first, *others = (LOGS / golden.folder / form for form in golden.forms)
    rows = whole_seconds(rows_of(tmp_path / "first", state, (first,)))
    for form in others:
        assert whole_seconds(rows_of(tmp_path / form.name, state, (form,))) == rows
        assert whole_seconds(rows_of(tmp_path / "first", state, (form,))) == rows, "the same events from another file"


@pytest.mark.parametrize("folder", SYSLOGS)
def test_solaris_numbers_every_message(tmp_path: Path, state: Path, folder: str) -> None:
    log, numbered = LOGS / folder / "mail.log", tmp_path / "numbered.log"
    text, count = SYSLOG.subn(rb"\1[ID 197553 mail.info] ", log.read_bytes())
    assert count == text.count(b"\n")
    numbered.write_bytes(text)
    assert rows_of(tmp_path / "numbered", state, (numbered,)) == rows_of(tmp_path / "plain", state, (log,))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, state: Path) -> Callable[[Path], list[Row]]:
    """Rows of a log read as one file."""
    return cache(lambda log: rows_of(tmp_path_factory.mktemp("whole"), state, (log,)))


@every_log
@pytest.mark.parametrize("seed", range(4))
def test_cut_log_in_any_order(tmp_path: Path, state: Path, whole: Callable[[Path], list[Row]], golden: Golden, seed: int) -> None:
    log = LOGS / golden.folder / golden.forms[0]
    rows = whole(log)
    lines = log.read_bytes().splitlines(keepends=True)
    place = random.Random(seed).randrange(len(lines) // 4, len(lines))
    older, newer = tmp_path / "log.1", tmp_path / "log"
    older.write_bytes(b"".join(lines[:place]))
    newer.write_bytes(b"".join(lines[place:]))
    assert rows_of(tmp_path / "newer named first", state, (newer, older)) == rows
    assert rows_of(tmp_path / "two runs", state, (older,), (newer,)) == rows
