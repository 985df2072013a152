"""
What can go wrong with a DuckDB file: one line each, and nothing that was committed is lost.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from rows import at, commit, row
from smtp_auth_report.errors import StoreError
from smtp_auth_report.store import open_store
from smtp_auth_report.store.duckdb import DuckStore
from smtp_auth_report.store.duckdb_errors import explanation
from smtp_auth_report.store.duckdb_opening import LEAST, connect, memory_of
from smtp_auth_report.store.interface import Selection
from test_store import assert_numbers_agree

SECOND = 1_000_000
DAY = Selection(at("2026-11-18T00:00:00Z"), at("2026-11-19T00:00:00Z"), "UTC")
NOBODY = 65_534
EVER = Selection(at("2000-01-01T00:00:00Z"), at("2040-01-01T00:00:00Z"), "UTC")


def assert_one_line(error: pytest.ExceptionInfo[StoreError], path: object) -> None:
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text


def test_what_is_stored_is_there_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "mail.duckdb"
    first = row()
    for added, unchanged in ((1, 0), (0, 1)):
        store = open_store(str(path))
        assert store.commit(commit(first))[:4] == (added, 0, 0, unchanged)
        store.close()
    readers = [open_store(str(path), read_only=True) for _ in range(2)]
    assert [reader.count(EVER) for reader in readers] == [1, 1]
    with pytest.raises(StoreError, match="opened for reading only"):
        readers[0].commit(commit(row()))
    for reader in readers:
        reader.close()


def test_a_share_of_memory_is_of_the_machine_and_never_too_small(tmp_path: Path) -> None:
    limits = []
    for share in ("0.01%", "20%", "40%"):
        with connect(str(tmp_path / "mail.duckdb"), read_only=False, memory_limit=share) as connection:
            limits.append(memory_of(connection))
    assert limits[0] == pytest.approx(LEAST, rel=0.01)
    assert limits[2] == pytest.approx(2 * limits[1], rel=0.1)
    assert limits[1] > LEAST


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"Nov 22 10:00:00 mail postfix/smtpd[1]: connect\n" * 500, "is not a DuckDB database; choose another path"),
        (None, "is a directory"),
    ],
)
def test_a_path_that_is_no_database(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "mail.duckdb"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(StoreError, match=says) as error:
        open_store(str(path))
    assert_one_line(error, path)


def test_reading_what_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such database; run ingest first") as error:
        open_store(str(tmp_path / "none.duckdb"), read_only=True)
    assert_one_line(error, tmp_path / "none.duckdb")


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot use its folder: (Not a directory|File exists)"):
        open_store(str(tmp_path / "file" / "mail.duckdb"))


def test_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "mail.duckdb"
    store = open_store(str(path))
    store.commit(commit(*(row() for _ in range(500))))
    store.close()
    path.write_bytes(path.read_bytes()[:4096] + os.urandom(100_000))
    with pytest.raises(StoreError, match="is damaged or cannot be read") as error:
        open_store(str(path))
    assert_one_line(error, path)


def test_a_database_of_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "mail.duckdb"
    open_store(str(path)).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO migrations VALUES (9999, '9999-from-the-future')")
    for read_only in (False, True):
        with pytest.raises(StoreError, match="written by a newer version of smtp-auth-report; update the program") as error:
            open_store(str(path), read_only=read_only)
        assert_one_line(error, path)


def test_a_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE customers (name VARCHAR)")
    with pytest.raises(StoreError, match="is a database of another program"):
        open_store(str(path))


@pytest.mark.parametrize("name", ["postgresql://anna:s3cret@localhost/mail", "s3://mail"])
def test_an_engine_that_there_is_not(name: str) -> None:
    with pytest.raises(StoreError, match="databases are not known; give the path of a file, or clickhouse://, chdb://") as told:
        open_store(name)
    assert "s3cret" not in str(told.value)


HOLDER = """
import sys
from smtp_auth_report.store import open_store
store = open_store(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_a_database_that_another_process_holds(tmp_path: Path) -> None:
    path = tmp_path / "mail.duckdb"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        for read_only in (False, True):
            with pytest.raises(StoreError, match=rf"is in use by another process \(pid {holder.pid}\)") as error:
                open_store(str(path), read_only=read_only)
            assert_one_line(error, path)
        holder.communicate()


FILLER = """
import random, resource, sys
sys.path.insert(0, sys.argv[2])
from rows import commit, row
from smtp_auth_report.errors import StoreError
from smtp_auth_report.store import open_store
store = open_store(sys.argv[1])
store.commit(commit(row(key=1)))
store.close()
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, -1))
try:
    for _ in range(20):
        store.commit(commit(*(row(message_id=random.randbytes(400).hex()) for _ in range(2000))))
        print("committed", flush=True)
except StoreError as error:
    print(error, flush=True)
import os
os._exit(0)
"""


def test_a_full_disk_loses_nothing_committed(tmp_path: Path) -> None:
    path = tmp_path / "mail.duckdb"
    command = [sys.executable, "-c", FILLER, str(path), str(Path(__file__).parent)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[-1] == f"{path}: the disk is full; make room, and run the same command again; what follows a log goes on by itself"
    store = open_store(str(path))
    assert store.count(EVER) == 1 + 2000 * (len(lines) - 1)
    store.close()


def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "mail.duckdb"
    open_store(str(path)).close()
    path.chmod(0)
    me = os.geteuid()
    try:
        os.seteuid(me or NOBODY)  # root may read everything
        with pytest.raises(StoreError, match="ermission denied; "):
            open_store(str(path))
    finally:
        os.seteuid(me)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ('IO Error: Cannot open file "/var/lib/mail.duckdb": Permission denied', "permission denied; run as the owner"),
        ('IO Error: Cannot open file "/mnt/mail.duckdb": Read-only file system', "cannot be written: it is read-only"),
        ("IO Error: Could not write file: No space left on device", "the disk is full; make room"),
        ("Out of Memory Error: failed to pin block of size 256.0 KiB", "not enough memory"),
        ("FATAL Error: something\nStack Trace:\n0x1", "is damaged or cannot be read (FATAL Error: something);"),
    ],
)
def test_what_duckdb_says_in_the_administrator_s_words(words: str, says: str) -> None:
    assert explanation(words).startswith(says)


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from rows import commit, row
from smtp_auth_report.store import open_store
store = open_store(sys.argv[1])
for number in range(5):
    store.commit(commit(*(row() for _ in range(100))))
os.kill(os.getpid(), 9)
"""


def test_kill_loses_nothing_committed(tmp_path: Path) -> None:
    path = tmp_path / "mail.duckdb"
    subprocess.run([sys.executable, "-c", KILLED, str(path), str(Path(__file__).parent)], check=False)
    store = open_store(str(path))
    assert isinstance(store, DuckStore)
    assert store.count(EVER) == 500
    assert_numbers_agree(store)
    store.close()
