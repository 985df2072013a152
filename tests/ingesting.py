"""
The command line as tests use it: logs in, exported rows out.

    site = Site(tmp_path)                               a database in a folder
    site.ingest(path, "--year", "2026")                 as the administrator would
    site.rows()                                         every row of `export --format jsonl`
    site.report("summary", "--from", "2026-11-01")      the JSON of a report

    rows = ingest(tmp_path, "Nov 23 16:06:05 mail postfix/smtpd[1]: connect from ...")

Each call is a process of its own, as it is for the administrator; it is forked from one that has the modules loaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import forked
import new_database
from forked import Process

Row = dict[str, Any]
PROGRAM = (sys.executable, "-m", "smtp_auth_report")
ZONES = ("--timezone", "UTC")


class Site:
    """
    One database and what is asked of it: a file, unless another is named; where it has not `begun`, there is none yet. Sites
    with the same state hash accounts alike.
    """

    def __init__(self, folder: Path, state: Path | None = None, database: str = "", *, begun: bool = True) -> None:
        self.folder = folder
        if begun and not database:
            new_database.begin(folder / "mail.duckdb")
        settings: dict[str, object] = {
            "DATABASE": database or folder / "mail.duckdb",
            "STATE": state or folder / "state.sqlite3",
            "DISPLAY_TIMEZONE": "UTC",
        }
        settings["RETENTION_DAYS"] = 0  # logs of tests grow old
        self.environment = os.environ | {f"SMTP_AUTH_REPORT_{name}": str(value) for name, value in settings.items()}

    def run(self, *arguments: str | Path, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run the program whatever comes of it."""
        return forked.run([str(each) for each in arguments], self.environment, given)

    def start(self, *arguments: str | Path, **files: Any) -> Process:
        """Begin a run, with standard files as subprocess.Popen takes them."""
        return forked.start([str(each) for each in arguments], self.environment, **files)

    def done(self, *arguments: str | Path, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run the program and insist that it did what it was asked."""
        ran = self.run(*arguments, given=given)
        assert ran.returncode == 0, ran.stderr.decode()
        return ran

    def ingest(self, *files: str | Path, given: bytes | None = None) -> str:
        """Read files, or what is given as standard input; the summary."""
        return self.done("ingest", *ZONES, *files, given=given).stderr.decode()

    def rows(self, *filters: str) -> list[Row]:
        """Every row, oldest first."""
        return [json.loads(line) for line in self.done("export", "--format", "jsonl", *filters).stdout.splitlines()]

    def report(self, name: str, *filters: str) -> Row:
        answer: Row = json.loads(self.done("report", name, "--format", "json", *filters).stdout)
        return answer


def ingest(folder: Path, text: str | bytes, *flags: str, name: str = "mail.log") -> list[Row]:
    """Rows that a log of this text gives in a new database."""
    log = folder / name
    log.write_bytes(text.encode() if isinstance(text, str) else text)
    site = Site(folder)
    site.ingest("--year", "2026", *flags, log)
    return site.rows()


def outcomes(rows: list[Row]) -> dict[str, int]:
    """How many rows of each outcome."""
    return {outcome: sum(row["outcome"] == outcome for row in rows) for outcome in sorted({row["outcome"] for row in rows})}
