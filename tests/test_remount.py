"""
A file system that goes read-only while a log is followed, as ext4 does when its disk fails: what is said, and that nothing is lost.

A small ext4 file system of its own holds the database. It is made to give up (`remount,abort`), which it does also while
files on it are open for writing, as they are here; then it is checked and mounted again at the same place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingesting import Site
from smtp_auth_report.errors import StoreError
from smtp_auth_report.store import refuse_gone
from test_disk import FOLLOWING
from test_live import ALL, LOG, Running, until

SERVE, INGEST = FOLLOWING
SAYS = b"mail.duckdb: cannot be written: it is read-only"


class Volume:
    """A file system in a file."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image = image
        self.folder = folder
        self.mounted = False

    def make(self) -> bool:
        """Whether this test may."""
        self.image.write_bytes(b"")
        os.truncate(self.image, 64 << 20)
        try:
            made = subprocess.run(["mkfs.ext4", "-q", "-F", self.image], capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False
        return made and self.mount()

    def mount(self) -> bool:
        command = ["mount", "-o", "loop,errors=remount-ro", self.image, self.folder]
        self.mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        return self.mounted

    def give_up(self) -> None:
        subprocess.run(["mount", "-o", "remount,abort", self.folder], check=True)

    def mend(self) -> None:
        """
        As the administrator does; nobody has files open there. What is mended is a copy: a server of another test may run in
        a mount namespace of its own, in which the old one stays mounted, and as read-only as it became.
        """
        self.remove()
        self.image = Path(shutil.copy(self.image, self.image.with_name("mended")))
        subprocess.run(["e2fsck", "-p", "-f", self.image], check=False, capture_output=True)
        assert self.mount()

    def remove(self) -> None:
        """Whoever has files open there keeps them, as they are."""
        if self.mounted:
            subprocess.run(["umount", "--lazy", self.folder], check=True)
        self.mounted = False


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    folder = tmp_path / "volume"
    folder.mkdir()
    made = Volume(tmp_path / "image", folder)
    if not made.make():
        pytest.skip("no file system may be mounted here")
    yield made
    made.remove()


@pytest.mark.parametrize(("command", "stopped"), [(SERVE, True), (INGEST, True), (INGEST, False)], ids=["serve", "stopped", "ingest"])
def test_a_file_system_that_goes_read_only(tmp_path: Path, volume: Volume, command: tuple[str, ...], *, stopped: bool) -> None:
    """Whoever serves pages is stopped meanwhile: it holds files open there for as long as it runs. Whoever reads may go on."""
    log = tmp_path / "mail.log"
    log.write_bytes(LOG[:300_000])
    running = Running(Site(volume.folder, state=tmp_path / "state.sqlite3", begun=False), *command, log)
    try:
        until(True, lambda: running.rows().get("accepted", 0) > 50)
        before = running.rows()
        volume.give_up()
        with log.open("ab") as file:
            file.write(LOG[300_000:])
        assert running.process.stderr is not None
        said = next(line for line in running.process.stderr if b"read-only" in line)
        assert said.rstrip().endswith(SAYS), said
        assert running.rows() in ({}, before)
        if stopped:
            running.end()
        volume.remove()
        if not stopped:  # an empty folder is there now, in which no new database is to begin
            assert any(b"mail.duckdb: is gone; mount its disk again" in line for line in running.process.stderr)
        volume.mend()
        if stopped:
            running = Running(running.site, *command, log)
        until(ALL, running.rows)
        assert b"damaged" not in ended(running)
    finally:
        running.process.kill()
        running.process.communicate()


def test_the_folder_of_an_engine_of_clickhouse_is_not_made_anew(tmp_path: Path) -> None:
    """Its disk is away: an empty folder is there, and then none."""
    log, folder = tmp_path / "mail.log", tmp_path / "database"
    log.write_bytes(LOG[:300_000])
    running = Running(Site(tmp_path, database=f"chdb://{folder}"), *INGEST, log)
    try:
        until(True, lambda: running.rows().get("accepted", 0) > 50)
        folder.rename(tmp_path / "away")
        folder.mkdir()
        with log.open("ab") as file:
            file.write(LOG[300_000:])
        assert running.process.stderr is not None
        gone = f"chdb://{folder}: is gone; mount its disk again".encode()
        assert any(gone in line for line in running.process.stderr)
        assert not (folder / "metadata").exists()
        shutil.rmtree(folder)
        with pytest.raises(StoreError, match="is gone"):
            refuse_gone(f"chdb://{folder}")
        (tmp_path / "away").rename(folder)
        until(ALL, running.rows)
        ended(running)
    finally:
        running.process.kill()
        running.process.communicate()


def ended(running: Running) -> bytes:
    """Stopped as systemd does; what it said."""
    running.process.terminate()
    said = running.process.communicate(timeout=30)[1]
    assert running.process.returncode == 0, said
    return said
