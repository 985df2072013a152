"""What goes wrong with ClickHouse is one line, that says what to do; a fault in our own SQL stays what it is."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from clickhouse_connect.driver.exceptions import DatabaseError

from engines import Engine
from ingesting import Site
from rows import commit, row
from smtp_auth_report.errors import InUseError, StoreError
from smtp_auth_report.store import open_store, shared
from smtp_auth_report.store.clickhouse import ClickStore
from smtp_auth_report.store.clickhouse_errors import explanation, holder
from smtp_auth_report.store.interface import Selection

HOLDER = """
import sys
from smtp_auth_report.store import open_store
store = open_store(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""

SHARING = """
import sys
from pathlib import Path
from smtp_auth_report.store import open_store, shared
database, state = sys.argv[1:]
with shared.sharing(open_store(database, state=Path(state)), shared.socket_of(database)):
    print("open", flush=True)
    sys.stdin.read()
"""

LOG = Path(__file__).parent / "logs" / "postfix" / "maillog_file" / "mail.log"
EVER = Selection(0, 1 << 60, "UTC")

SAID = [
    (
        "Code: 516. DB::Exception: report: Authentication failed: password is incorrect (AUTHENTICATION_FAILED)",
        "refuses the user or the password",
    ),
    ("Code: 497. DB::Exception: report: Not enough privileges. (ACCESS_DENIED)", "the user may not do this"),
    ("Code: 81. DB::Exception: Database mail does not exist. (UNKNOWN_DATABASE)", "there is no database of this name"),
    ("Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)", "the disk is full"),
    ("Code: 241. DB::Exception: Memory limit (total) exceeded (MEMORY_LIMIT_EXCEEDED)", "the server has not enough memory"),
    ("Code: 252. DB::Exception: Too many parts (300). (TOO_MANY_PARTS)", "the server has more to merge than it can"),
    ("Code: 242. DB::Exception: Table is in readonly mode (TABLE_IS_READ_ONLY)", "cannot be written: it is read-only"),
    ("Error Read timed out. (read timeout=300) executing HTTP request", "does not answer in time"),
    (
        "Code: 999. DB::Exception: Something else. Stack trace (when copying): 0. here",
        r"cannot be used \(Code: 999. DB::Exception: Something else.\)",
    ),
]


@pytest.mark.parametrize(("said", "told"), SAID)
def test_what_a_server_says_is_said_in_the_administrator_s_words(said: str, told: str) -> None:
    assert re.match(told, explanation(said))


def refused(database: str, tmp_path: Path) -> str:
    """What is said of a database that cannot be opened."""
    with pytest.raises(StoreError) as told:
        open_store(database, state=tmp_path / "state", password="S3cr3t")
    assert "\n" not in str(told.value)
    assert "S3cr3t" not in str(told.value)
    return str(told.value)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        name = f"clickhouse://report@127.0.0.1:{taken.getsockname()[1]}/mail"
        assert refused(name, tmp_path).startswith(f"{name}: no server answers there")
    assert "there is no host of this name" in refused("clickhouse://report@nowhere.invalid:8443/mail?secure=1", tmp_path)


@contextmanager
def speaking(context: ssl.SSLContext | None) -> Iterator[int]:
    """Something that listens, with TLS or without, and says nothing that is HTTP; the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                try:
                    spoken = context.wrap_socket(connection, server_side=True) if context else connection
                    spoken.sendall(b"220 mail.example ESMTP\r\n")
                    spoken.close()
                except OSError:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_tls_that_is_not_trusted_or_not_there(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with speaking(context) as port:
        assert "its TLS certificate is not trusted" in refused(f"clickhouse://report@127.0.0.1:{port}/mail?secure=1", tmp_path)
    with speaking(None) as port:
        assert "no TLS at this port" in refused(f"clickhouse://report@127.0.0.1:{port}/mail?secure=1", tmp_path)
        assert "the server has gone" in refused(f"clickhouse://report@127.0.0.1:{port}/mail", tmp_path)


def test_a_folder_that_another_process_has_open(tmp_path: Path) -> None:
    database = f"chdb://{tmp_path}/database"
    with subprocess.Popen([sys.executable, "-c", HOLDER, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(InUseError, match=rf"is in use by another process \(pid {process.pid}\)"):
            open_store(database)
        process.kill()
    assert holder(f"{tmp_path}/database") == ""


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    site = Site(tmp_path, database=f"chdb://{tmp_path}/database")
    assert (
        site.run("report", "summary")
        .stderr.decode()
        .startswith(f"smtp-auth-report: chdb://{tmp_path}/database: no such database; run ingest")
    )
    (tmp_path / "database").write_text("a file")
    ran = site.run("ingest", LOG)
    assert ran.returncode == 1
    assert "is not a folder of ClickHouse" in ran.stderr.decode()


def test_a_fault_of_ours_is_not_disguised(engine: Engine) -> None:
    store = engine.open()
    if isinstance(store, ClickStore):
        with pytest.raises(DatabaseError), store._client() as client:
            client.rows("SELECT nothing FROM submissions")
        store.commit(commit(row()))
        assert store.count(EVER) == 1


def test_for_reading_only(engine: Engine) -> None:
    store = engine.open(lasting=True)
    store.commit(commit(row()))
    store.close()
    reader = engine.open_again("reader", read_only=True)
    assert reader.count(EVER) == 1
    assert (reader.positions(), reader.remembered("postfix")) == ([], [])
    with pytest.raises(StoreError, match="opened for reading only"):
        reader.commit(commit(row()))


def test_where_reading_stopped_cannot_be_kept(tmp_path: Path) -> None:
    """Of a state that is no file of SQLite."""
    site = Site(tmp_path, database=f"chdb://{tmp_path}/database")
    (tmp_path / "state.sqlite3.reading").write_text("no database\n" * 1000)
    ran = site.run("ingest", "--year", "2026", LOG)
    assert ran.returncode == 1
    assert "where reading stopped cannot be kept or read: file is not a database" in ran.stderr.decode()
    assert ran.stderr.count(b"\n") == 1


def test_a_folder_is_shared_by_the_process_that_has_it_open(tmp_path: Path) -> None:
    site = Site(tmp_path, database=f"chdb://{tmp_path}/database")
    site.ingest("--year", "2026", LOG)
    alone = site.done("export").stdout
    assert shared.socket_of(f"chdb://{tmp_path}/database") == tmp_path / "database.socket"
    assert shared.socket_of("clickhouse://report@ch.example/mail") is None
    command = [sys.executable, "-c", SHARING, f"chdb://{tmp_path}/database", str(tmp_path / "state.sqlite3")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=site.environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        assert site.done("export").stdout == alone
        assert "nothing new since it was last read" in site.ingest("--year", "2026", LOG)
        process.communicate(b"")
