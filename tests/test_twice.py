"""
The same lines from two logs at once: each counts once, also when the reader is killed and started again between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ingesting import ZONES, Row, Site
from test_live import ALL, LOG, REMOTE, YEAR, Running, journal, until

CUTS = (LOG.index(b"\n", 200_000) + 1, LOG.index(b"\n", 450_000) + 1)
SHORT_STAMP = re.compile(rb"^Nov (\d\d) (\S+)", re.MULTILINE)


def iso(text: bytes) -> bytes:
    """The same lines as rsyslog writes them by default, with a stamp that another moment of the second was taken for."""
    return SHORT_STAMP.sub(rb"2026-11-\1T\2.250000+00:00", text)


def copied(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def undisturbed(folder: Path) -> list[Row]:
    """Rows of one log alone, read once."""
    (folder / "alone").mkdir()
    site = Site(folder / "alone", state=folder / "state.sqlite3")
    (folder / "alone" / "mail.log").write_bytes(LOG)
    site.ingest(*YEAR, folder / "alone" / "mail.log")
    return site.rows()


def as_told(rows: list[Row]) -> list[tuple[object, ...]]:
    """But for the fraction of a second, which only one of the logs tells."""
    return sorted((row["outcome"], str(row["account"]), str(row["queue_id"]), row["tls_version"], row["time"][:19]) for row in rows)


def killed_when(reader: Running, accepted: int) -> None:
    """There are more such rows than this."""
    until(True, lambda: reader.rows().get("accepted", 0) > accepted)
    reader.process.kill()
    reader.process.communicate()


@pytest.mark.parametrize(
    ("form", "kind"), [(bytes, "duckdb"), (iso, "duckdb"), (iso, "chdb")], ids=["the same stamps", "other stamps", "in ClickHouse"]
)
def test_two_files_and_a_reader_that_is_killed(tmp_path: Path, form: Callable[[bytes], bytes], kind: str) -> None:
    """The one file is ahead when the reader is killed, the other when it is killed again."""
    mail, syslog = tmp_path / "mail.log", tmp_path / "syslog"
    site = Site(tmp_path, database=f"chdb://{tmp_path}/database" if kind == "chdb" else "")
    arguments = ("ingest", "--follow", *YEAR, *ZONES, mail, syslog)
    one, two = CUTS
    for first, second in ((LOG[:one], LOG[:100_000]), (LOG[one:two], LOG[100_000:])):
        copied(mail, first)
        copied(syslog, form(second))
        killed_when(Running(site, *arguments), 30)
    reader = Running(site, *arguments)
    copied(mail, LOG[two:])
    until(ALL, reader.rows)
    reader.end()
    assert as_told(site.rows()) == as_told(undisturbed(tmp_path))


@pytest.mark.skipif(not REMOTE.exists(), reason="systemd-journal-remote is not installed")
def test_the_journal_and_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    lines = LOG.splitlines()
    mail = tmp_path / "mail.log"
    site = Site(tmp_path)
    arguments = ("ingest", "--follow", *YEAR, *ZONES, mail, f"journal:{folder}")
    journal(folder / "one.journal", lines[:3000])
    copied(mail, LOG[: CUTS[0]])
    killed_when(Running(site, *arguments), 100)
    copied(mail, LOG[CUTS[0] :])
    journal(folder / "two.journal", lines[3000:], 3000)
    reader = Running(site, *arguments)
    until(ALL, reader.rows)
    reader.end()
    assert as_told(site.rows()) == as_told(undisturbed(tmp_path))
