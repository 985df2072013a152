"""Logs that are followed: what is written to them is in the report a moment later."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import exchange_log
from ingesting import ZONES, Site, outcomes
from smtp_auth_report.sources.csv_log import fields

LOG = (Path(__file__).parent / "logs" / "postfix" / "maillog_file" / "mail.log").read_bytes()
ALL = {"accepted": 436, "auth_failed": 69, "no_mail": 21, "rejected": 89, "tls_failed": 6}
REMOTE = Path("/lib/systemd/systemd-journal-remote")
YEAR = ("--year", "2026")


class Running:
    """The program, until the test ends."""

    def __init__(self, site: Site, *arguments: str | Path) -> None:
        self.site = site
        self.process = site.start(*arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def rows(self) -> dict[str, int]:
        """By outcome; none while there is no database yet, or it is just opened anew."""
        ran = self.site.run("export", "--format", "jsonl")
        assert b"damaged" not in ran.stderr, ran.stderr.decode()
        return outcomes([json.loads(line) for line in ran.stdout.splitlines()]) if ran.returncode == 0 else {}

    def end(self) -> str:
        """Stop it as systemd does; what it said."""
        self.process.terminate()
        _, said = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, said.decode()
        return said.decode()


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(lambda: Site(tmp_path, begun=False)) as begin:
        yield begin


@contextmanager
def starting(site: Callable[[], Site]) -> Iterator[Start]:
    """Whatever is started ends with the block."""
    running: list[Running] = []

    def begin(*arguments: str | Path) -> Running:
        running.append(Running(site(), *arguments))
        return running[-1]

    yield begin
    for one in running:
        if one.process.returncode is None:
            one.process.kill()
            one.process.communicate()


def until(wanted: object, ask: Callable[[], object], seconds: float = 150) -> None:
    """Insist on an answer, sooner or later."""
    end = time.monotonic() + seconds
    while (found := ask()) != wanted:
        assert time.monotonic() < end, f"{found} instead of {wanted}"
        time.sleep(0.3)


def ready(running: Running) -> bool:
    return running.site.run("report", "summary").returncode == 0


def test_what_is_written_is_served(tmp_path: Path, start: Start) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(LOG[:300_000])
    served = start("serve", "--listen", "127.0.0.1:0", "--timezone", "UTC", "--follow", log)
    until(True, lambda: ready(served))
    until(True, lambda: served.rows().get("accepted", 0) > 50)
    with log.open("ab") as file:
        file.write(LOG[300_000:])
    until(ALL, served.rows)
    assert "following" in served.end()


def test_folders_in_which_a_file_begins_every_hour(tmp_path: Path, start: Start) -> None:
    """Each has its columns in its own order, stated where it begins; a restart goes on behind that."""
    fronts, hubs = tmp_path / "FrontEnd", tmp_path / "Hub"
    fronts.mkdir()
    hubs.mkdir()
    reversed_columns = ",".join(reversed(exchange_log.COLUMNS.split(",")))
    front = exchange_log.protocol(exchange_log.front())
    other = exchange_log.front(id="08DE2A7B4C5D6E80", remote="192.0.2.11:1")
    turned = [line._replace(text=",".join(f'"{field}"' for field in reversed(csv_fields(line.text)))) for line in other]
    hub = exchange_log.protocol(exchange_log.hub(exchange_log.mail(1), exchange_log.mail(2)))
    cut = hub.index(b"\r\n", hub.index(b"Queued mail")) + 2
    (fronts / "RECV2026112316-1.LOG").write_bytes(front)
    (hubs / "RECV2026112316-1.LOG").write_bytes(hub[:cut])
    arguments = ("ingest", "--timezone", "UTC", "--follow", hubs, fronts)
    reader = start(*arguments)
    until({"accepted": 1}, reader.rows)
    reader.end()
    reader = start(*arguments)
    with (hubs / "RECV2026112316-1.LOG").open("ab") as file:
        file.write(hub[cut:])
    (fronts / "RECV2026112317-1.LOG").write_bytes(exchange_log.protocol(turned, columns=reversed_columns))
    until({"accepted": 2, "no_mail": 1}, reader.rows)
    assert {(row["account"], row["tls_version"]) for row in reader.site.rows()} == {("anna@contoso.example", "TLSv1.2")}
    reader.end()


def csv_fields(text: str) -> list[str]:
    return [field.decode().replace('"', '""') for field in fields(text.encode())]


def test_a_reader_that_is_killed_is_started_again(tmp_path: Path, start: Start) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(LOG[:300_000])
    served = start("serve", "--listen", "127.0.0.1:0", "--timezone", "UTC", "--follow", log)
    until(True, lambda: bool(readers(served.process.pid)) and ready(served))
    os.kill(readers(served.process.pid)[0], signal.SIGKILL)
    with log.open("ab") as file:
        file.write(LOG[300_000:])
    until(ALL, served.rows)
    assert "starts again" in served.end()


def test_a_reader_ends_with_the_process_that_serves(tmp_path: Path, start: Start) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(LOG[:1000])
    served = start("serve", "--listen", "127.0.0.1:0", "--follow", log)
    until(True, lambda: bool(readers(served.process.pid)))
    reader = readers(served.process.pid)[0]
    served.process.kill()
    until(False, lambda: Path(f"/proc/{reader}").exists() and "Z" not in Path(f"/proc/{reader}/stat").read_text().split()[2])


def test_who_holds_the_database_is_said(start: Start) -> None:
    served = start("serve", "--listen", "127.0.0.1:0")
    until(True, lambda: ready(served))
    second = served.site.run("serve", "--listen", "127.0.0.1:0")
    assert second.returncode == 1
    assert str(served.process.pid) in second.stderr.decode()
    assert second.stderr.count(b"\n") == 1


def test_a_pipe_is_read_as_it_is_written(start: Start) -> None:
    reader = start("ingest", "--follow", *YEAR, *ZONES, "-")
    assert reader.process.stdin is not None
    reader.process.stdin.write(LOG[:300_000])
    reader.process.stdin.flush()
    until(True, lambda: reader.rows().get("accepted", 0) > 50)
    reader.process.stdin.write(LOG[300_000:])
    assert b"Traceback" not in reader.process.communicate(timeout=30)[1]
    assert reader.process.returncode == 0
    assert reader.rows() == ALL


def test_the_pages_read_a_pipe(start: Start) -> None:
    served = start("serve", "--listen", "127.0.0.1:0", "--timezone", "UTC", "--follow", "-")
    assert served.process.stdin is not None
    served.process.stdin.write(LOG)
    served.process.stdin.flush()
    until(True, lambda: served.rows().get("accepted", 0) > 400)
    served.process.stdin.close()
    served.process.stdin = None
    until(ALL, served.rows)
    assert served.process.stderr is not None
    assert any(b"standard input has ended" in line for line in served.process.stderr)
    served.end()


@pytest.mark.parametrize("command", [("ingest", "--follow", *ZONES), ("serve", "--listen", "127.0.0.1:0", "--timezone", "UTC", "--follow")])
def test_rows_expire_while_reading_goes_on(tmp_path: Path, command: tuple[str, ...]) -> None:
    """They are of the year 2001; their sums stay, and they do not come back."""
    log = tmp_path / "mail.log"
    log.write_bytes(LOG)
    site = Site(tmp_path)
    site.ingest("--year", "2001", log)
    site.environment["SMTP_AUTH_REPORT_RETENTION_DAYS"] = "30"
    running = Running(site, *command, log)
    until([], site.rows)
    running.end()
    assert site.report("summary", "--from", "2001-01-01", "--to", "2001-12-31")["totals"]["messages"] == ALL["accepted"]


def test_the_same_lines_from_two_files_count_once(tmp_path: Path, start: Start) -> None:
    for name in ("mail.log", "syslog"):
        (tmp_path / name).write_bytes(LOG)
    reader = start("ingest", "--follow", *YEAR, *ZONES, tmp_path / "mail.log", tmp_path / "syslog")
    until(ALL, reader.rows)
    time.sleep(2)
    assert reader.rows() == ALL


def test_a_log_that_appears_later_with_its_folder_and_half_a_line(tmp_path: Path, start: Start) -> None:
    """The reader is killed while half a line is there, and the other half comes before it is started again, or after."""
    log = tmp_path / "later" / "mail.log"
    arguments = ("ingest", "--follow", *YEAR, *ZONES, log)
    reader = start(*arguments)
    until(True, lambda: ready(reader))
    log.parent.mkdir()
    half, other = LOG.index(b"sasl_username=", 250_000), LOG.index(b"sasl_username=", 450_000) + 3
    log.write_bytes(LOG[:half])
    until(True, lambda: reader.rows().get("accepted", 0) > 30)
    reader.process.kill()
    _, said = reader.process.communicate()
    with log.open("ab") as file:
        file.write(LOG[half:other])
        second = start(*arguments)
        until(True, lambda: second.rows().get("accepted", 0) > 150)
        second.process.kill()
        second.process.communicate()
        third = start(*arguments)
        until(True, lambda: third.rows().get("accepted", 0) > 150)
        file.write(LOG[other:])
    until(ALL, third.rows)
    assert b"waiting for it" in said
    third.end()


def test_systemd_is_told(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        listener.settimeout(30)
        site = Site(tmp_path, begun=False)
        site.environment |= {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "400000"}
        served = Running(site, "serve", "--listen", "127.0.0.1:0")
        told = [listener.recv(100) for _ in range(3)]
        served.end()
        while told[-1] != b"STOPPING=1":
            told.append(listener.recv(100))
    assert told[0] == b"READY=1"
    assert set(told[1:-1]) == {b"WATCHDOG=1"}


@pytest.mark.skipif(not REMOTE.exists(), reason="systemd-journal-remote is not installed")
def test_the_journal_goes_on_behind_its_cursor(tmp_path: Path, start: Start) -> None:
    lines = LOG.splitlines()
    folder = tmp_path / "journal"
    folder.mkdir()
    journal(folder / "one.journal", lines[:3000])
    first = start("ingest", "--follow", f"journal:{folder}")
    until(True, lambda: first.rows().get("accepted", 0) > 100)
    first.end()
    journal(folder / "two.journal", lines[3000:], 3000)
    second = start("ingest", "--follow", f"journal:{folder}")
    until(ALL, second.rows)
    second.end()


def readers(parent: int) -> list[int]:
    """Processes that read for one that serves."""
    found = subprocess.run(["pgrep", "-P", str(parent), "-f", "child-of"], capture_output=True, check=False).stdout
    return [int(number) for number in found.split()]


def journal(path: Path, lines: list[bytes], first: int = 0) -> None:
    """A journal with these lines of a log, which has stamps of RFC 3164 and one host."""
    entries = []
    for number, line in enumerate(lines, first):
        tag, _, text = line[21:].partition(b": ")
        name, _, pid = tag.rstrip(b"]").partition(b"[")
        stamp = time.strptime(f"2026 {line[:15].decode()}", "%Y %b %d %H:%M:%S")
        micros = int(time.mktime(stamp) - time.timezone) * 1_000_000 + number % 1_000_000
        fields = {b"_HOSTNAME": line[16:20], b"SYSLOG_IDENTIFIER": name, b"SYSLOG_PID": pid, b"SYSLOG_FACILITY": b"2"}
        entry = b"__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n" % (micros, number, b"1" * 32)
        entry += b"".join(b"%s=%s\n" % pair for pair in fields.items())
        entries.append(entry + b"MESSAGE\n" + len(text).to_bytes(8, "little") + text + b"\n\n")
    subprocess.run([REMOTE, "--output", path, "-"], input=b"".join(entries), check=True, capture_output=True)
