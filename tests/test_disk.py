"""
Disks that fill, folders that cannot be written, pages that are damaged: what is said, and that nothing committed is lost.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ingesting import Site
from rows import at, commit, row
from smtp_auth_report.errors import StoreError
from smtp_auth_report.store import open_store, shared
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.waiting import waiting_of
from test_live import ALL, LOG, YEAR, ZONES, Running, until

EVER = Selection(at("2000-01-01T00:00:00Z"), at("2040-01-01T00:00:00Z"), "UTC")
PAGE = 4096
NOBODY = 65_534
SMALL = ("mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs")
FOLLOWING = (("serve", "--listen", "127.0.0.1:0", "--timezone", "UTC", "--follow"), ("ingest", "--follow", *YEAR, *ZONES))


class Disk:
    """A folder of a small file system where this test may mount one; else of files that may not grow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounted = subprocess.run([*SMALL, folder], capture_output=True, check=False).returncode == 0
        self._filler = folder / "filler"

    def fill(self, *processes: int) -> None:
        if self.mounted:
            with self._filler.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(PAGE)):
                        pass
                except OSError:
                    return
        for process in processes:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (PAGE, -1))

    def free(self, *processes: int) -> None:
        if self.mounted:
            self._filler.unlink()
            return
        for process in processes:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (-1, -1))

    def remove(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", self.folder], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    made = Disk(folder)
    yield made
    made.remove()


@pytest.mark.parametrize("command", FOLLOWING)
def test_reading_waits_while_the_disk_is_full(tmp_path: Path, disk: Disk, command: tuple[str, ...]) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(LOG[:300_000])
    running = Running(Site(disk.folder, begun=False), *command, log)
    try:
        until(True, lambda: running.rows().get("accepted", 0) > 50)
        before = running.rows()
        disk.fill(running.process.pid)
        with log.open("ab") as file:
            file.write(LOG[300_000:])
        assert running.process.stderr is not None
        said = next(line for line in running.process.stderr if b"the disk is full" in line)
        assert said.count(b"mail.duckdb") == 1
        until(before, running.rows)
        until(True, lambda: "the disk is full" in str(waiting_of(running.site.folder / "state.sqlite3")))
        disk.free(running.process.pid)
        until(ALL, running.rows)
        until(None, lambda: waiting_of(running.site.folder / "state.sqlite3"))
        running.end()
    finally:
        running.process.kill()
        running.process.communicate()


def test_killed_on_a_full_disk(tmp_path: Path, disk: Disk) -> None:
    """Half a commit may stand at the end of the write-ahead log; with room again, what was not committed is read again."""
    log = tmp_path / "mail.log"
    log.write_bytes(LOG[:300_000])
    command = ("ingest", "--follow", *YEAR, *ZONES, log)
    running = Running(Site(disk.folder, begun=False), *command)
    try:
        until(True, lambda: running.rows().get("accepted", 0) > 50)
        disk.fill(running.process.pid)
        with log.open("ab") as file:
            file.write(LOG[300_000:])
        assert running.process.stderr is not None
        assert any(b"the disk is full" in line for line in running.process.stderr)
        running.process.kill()
        running.process.communicate()
        disk.free()
        running = Running(running.site, *command)
        until(ALL, running.rows)
        running.end()
    finally:
        running.process.kill()
        running.process.communicate()


def test_a_folder_that_cannot_be_written() -> None:
    """With a database in it that may be read and written, and without."""
    open_store(":memory:").close()  # what it imports may not be there for somebody else
    me = os.geteuid()
    with TemporaryDirectory() as place:
        folder = Path(place) / "folder"
        folder.mkdir()
        os.chown(folder, me or NOBODY, -1)
        Path(place).chmod(0o755)
        try:
            os.seteuid(me or NOBODY)
            store = open_store(str(folder / "mail.duckdb"))
            store.commit(commit(row()))
            store.close()
            folder.chmod(0o500)
            with pytest.raises(StoreError, match="permission denied"):
                open_store(str(folder / "new.duckdb"))
            store = open_store(str(folder / "mail.duckdb"))
            with (
                pytest.raises(StoreError, match=r"mail\.duckdb\.socket: cannot be made: Permission denied"),
                shared.sharing(store, shared.socket_of(str(folder / "mail.duckdb"))),
            ):
                pass
            with pytest.raises(StoreError, match="permission denied"):
                store.commit(commit(row()))
            store.close()
            assert readers_count(folder / "mail.duckdb") == 1
        finally:
            folder.chmod(0o700)
            os.seteuid(me)


def readers_count(path: Path) -> int:
    """Rows, every column of which is read."""
    store = open_store(str(path), read_only=True)
    try:
        return sum(len(part) for part in store.submissions(EVER))
    finally:
        store.close()


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_damaged_last_page_is_said(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "mail.duckdb"
    store = open_store(str(path))
    for _ in range(6):
        store.commit(commit(*(row(message_id=os.urandom(50).hex()) for _ in range(3000))))
    store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        if damage == "cut":
            file.truncate(size - PAGE)
        else:
            file.seek(size - PAGE)
            file.write(os.urandom(PAGE))
    with pytest.raises(StoreError, match=r"is damaged or cannot be read .* restore it from a backup, or move it away"):
        readers_count(path)


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from rows import commit, row
from smtp_auth_report.store import open_store
store = open_store(sys.argv[1])
for _ in range(5):
    store.commit(commit(*(row() for _ in range(100))))
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(("cut", "rows"), [(0, 500), (1, 400), (-PAGE, 500)])
def test_the_end_of_the_write_ahead_log(tmp_path: Path, cut: int, rows: int) -> None:
    """Half a commit is none, with its read position: it is read again. What a crash of the machine adds is passed over."""
    path, log = tmp_path / "mail.duckdb", tmp_path / "mail.duckdb.wal"
    ran = subprocess.run([sys.executable, "-c", KILLED, str(path), str(Path(__file__).parent)], check=False)
    assert ran.returncode == -signal.SIGKILL
    os.truncate(log, log.stat().st_size - cut)
    store = open_store(str(path))
    assert store.count(EVER) == rows
    store.close()
