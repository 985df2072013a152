"""
A database of ClickHouse that is backed up and restored as docs/scale.md says: rows as without.

The engine inside this process makes the backup, by the statements that a server is given. Only one process at a time has its
folder open, so each statement is run by one of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingesting import Row, Site

LOG = Path(__file__).parent / "logs" / "postfix" / "maillog_file" / "mail.log"
READING = ("ingest", "--year", "2026", "--timezone", "UTC")
RUN = "import sys, chdb.session; print(chdb.session.Session(sys.argv[1]).query(sys.argv[2]))"


class Backups:
    """A host that reads a log into a folder of the engine, and where its backups go."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "database"
        self.place = folder / "backups"
        self.site = Site(folder, database=f"chdb://{self.database}")
        self.log = folder / "mail.log"
        self._configuration = folder / "backups.xml"
        allowed = f"<clickhouse><backups><allowed_path>{self.place}</allowed_path></backups></clickhouse>"
        self._configuration.write_text(allowed, encoding="utf-8")

    def read(self, until: int) -> list[Row]:
        """Read the log as far as it was written by then; all rows."""
        self.log.write_bytes(LOG.read_bytes()[:until])
        self.site.done(*READING, self.log)
        return self.site.rows()

    def run(self, statement: str) -> str:
        place = f"{self.database}?config-file={self._configuration}"
        return subprocess.run([sys.executable, "-c", RUN, place, statement], check=True, capture_output=True, text=True, timeout=120).stdout

    def host_kept(self) -> Iterator[Path]:
        return self.site.folder.glob("state.sqlite3.reading*")


@pytest.mark.parametrize("reading", ["of the same day", "there is none"])
def test_what_was_read_since_a_backup_is_read_again(tmp_path: Path, reading: str) -> None:
    host = Backups(tmp_path)
    size = LOG.stat().st_size
    kept = tmp_path / "kept"
    kept.mkdir()
    early = host.read(size // 3)
    for file in host.host_kept():
        shutil.copy(file, kept)
    between = host.read(size // 2)
    assert "BACKUP_CREATED" in host.run(f"BACKUP DATABASE default TO File('{host.place}/mail')")
    whole = host.read(size)
    assert 0 < len(early) < len(between) < len(whole)
    host.run("DROP DATABASE default")
    assert "RESTORED" in host.run(f"RESTORE DATABASE default FROM File('{host.place}/mail')")
    for file in host.host_kept():
        file.unlink()
    if reading == "of the same day":
        for file in kept.iterdir():
            shutil.copy(file, tmp_path)
    assert host.site.rows() == between
    assert host.read(size) == whole
