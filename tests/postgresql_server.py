"""
A real PostgreSQL on a Unix socket and on loopback, in a temporary folder.

    with running(folder) as server:
        load({"state": server.new_database()})

Databases of the tests are copies of one whose tables are made. Nothing is written to the disk in earnest, which no test
needs. Root may not start it, so then its user is `postgres`.

What goes wrong
    `lacking()` says why this machine cannot run it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from smtp_auth_report.settings import load

PATIENCE = 60.0
USER = "postgres"
PASSWORD = "correct-horse"  # of a server that exists for seconds
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB", "autovacuum=off")


def program(name: str) -> str | None:
    """Where it is installed; Debian has it on no path."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(newest[-1]) if newest else shutil.which(name)


def lacking() -> str | None:
    """Why this machine cannot run it, None if it can."""
    if program("initdb") is None:
        return "PostgreSQL is not installed (Debian and Ubuntu: apt-get install postgresql)"
    if os.geteuid() == 0 and USER not in (entry.pw_name for entry in pwd.getpwall()):
        return f"root may not start PostgreSQL, and there is no user {USER}"
    return None


class Server:
    """Where it listens, and new databases of it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._numbers = count()
        self._made = ""

    def url(self, database: str) -> str:
        """By the socket, where no password is asked for."""
        return f"postgresql:///{database}?host={self.folder}&port={self.port}&user=report"

    def loopback(self, database: str, password: str = PASSWORD) -> str:
        """By TCP, where one is."""
        return f"postgresql://report:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self, *, empty: bool = False) -> str:
        """URL of a database that nobody else uses, with its tables unless it is to be `empty`."""
        name = f"state{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}" + ("" if empty else f" TEMPLATE {self._template()}"))
        return self.url(name)

    def _template(self) -> str:
        from sites import prepare  # noqa: PLC0415 - sets up Django

        if not self._made:
            self.execute("CREATE DATABASE made")
            prepare(load({"database": str(self.folder / "mail.duckdb"), "state": self.url("made")}, {}))
            self._made = "made"
        return self._made

    def execute(self, statement: str) -> None:
        """As its administrator."""
        import psycopg  # noqa: PLC0415 - tests that need it are skipped elsewhere

        with closing(psycopg.connect(self.url("postgres"), autocommit=True)) as connection:
            connection.execute(statement)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Started, and stopped at the end."""
    user = USER if os.geteuid() == 0 else None
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    data, secret, log = folder / "data", folder / "password", folder / "log"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    made = ["--username=report", "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}", "--no-sync", "--locale=C.UTF-8"]
    subprocess.run([program("initdb") or "", f"--pgdata={data}", *made], user=user, check=True, capture_output=True, cwd=folder)
    server = Server(folder, free_port())
    places = (f"port={server.port}", f"unix_socket_directories={folder}", "listen_addresses=127.0.0.1")
    options = [part for option in (*FAST, *places) for part in ("-c", option)]
    with log.open("wb") as said:
        process = subprocess.Popen([program("postgres") or "", "-D", data, *options], user=user, stdout=said, stderr=said, cwd=folder)
    try:
        _wait(server, process, log)
        yield server
    finally:
        process.send_signal(3)  # SIGQUIT: at once
        process.wait(PATIENCE)


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    ready = [program("pg_isready") or "", "-h", server.folder, "-p", str(server.port)]
    while subprocess.run(ready, capture_output=True, check=False).returncode:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}")
        time.sleep(0.05)
