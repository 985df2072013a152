"""
Bad input gets one clear line that says how to mend it, and nothing that was read before is lost.
"""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer

import duckdb
import pytest

from ingesting import PROGRAM, Site
from reading import log, session
from smtp_auth_report.settings import load
from smtp_auth_report.sources import SOURCES
from smtp_auth_report.store.duckdb_errors import explained

TEXT = log(*session(), *session("bob", queue_id="5B1A022C8A9", version="TLSv1"))
KINDS = ", ".join(source.title for source in SOURCES)
NGINX = b'192.0.2.1 - - [23/Nov/2026:16:06:05 +0000] "GET / HTTP/1.1" 200 12\n' * 50
SSHD = log(*["sshd[12]: Failed password for root from 192.0.2.1 port 22 ssh2"] * 20)
DOVECOT = log(*["dovecot: imap-login: Login: user=<anna>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, TLS, session=<x>"] * 20)
NOBODY = 65_534


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, begun=False)


def refused(site: Site, *arguments: str | Path, status: int = 1, given: bytes | None = None) -> str:
    """The one line of a command that could not do it."""
    ran = site.run(*arguments, given=given)
    told = ran.stderr.decode()
    assert ran.returncode == status, told
    assert "Traceback" not in told
    line = told.rstrip("\n").splitlines()[-1]
    assert line.startswith(("smtp-auth-report: ", "Error: "))
    return line


def test_a_missing_file(site: Site) -> None:
    assert refused(site, "ingest", "missing.log") == "smtp-auth-report: missing.log: no such file"


def test_a_directory(site: Site, tmp_path: Path) -> None:
    assert "is a directory; name the log files in it" in refused(site, "ingest", tmp_path)


def test_a_file_nobody_may_read(site: Site, tmp_path: Path) -> None:
    from smtp_auth_report.errors import InputError  # noqa: PLC0415 (before the rights are given up)
    from smtp_auth_report.log_file import Log  # noqa: PLC0415 (before the rights are given up)

    path = tmp_path / "mail.log"
    path.write_bytes(TEXT)
    path.chmod(0)
    me = os.geteuid()
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o755)
    try:
        os.seteuid(me or NOBODY)  # root may read everything
        with pytest.raises(InputError, match="no permission to read it; run as a user of the group"):
            Log(str(path), 0)
    finally:
        os.seteuid(me)
    assert site.run("report", "summary").returncode == 1


def test_a_column_that_there_is_not(site: Site) -> None:
    """Before the database is opened, or a file is written."""
    words = "smtp-auth-report: there is no column 'colour'; columns are time, server, "
    assert refused(site, "export", "--columns", "account,colour", "--output", "rows.csv", status=2).startswith(words)


@pytest.mark.parametrize("content", [b"", b"\n", b"   \n\n"])
def test_an_empty_file(site: Site, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(content)
    line = refused(site, "ingest", path)
    assert "is empty" in line or f"no line of a known kind of log ({KINDS})" in line


@pytest.mark.parametrize("content", [NGINX, SSHD, DOVECOT, b"hello\n"])
def test_a_log_of_another_program(site: Site, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.log"
    path.write_bytes(content)
    assert f"no line of a known kind of log ({KINDS}); name the mail server's log" in refused(site, "ingest", path)


def test_json_that_names_no_program(site: Site, tmp_path: Path) -> None:
    """As rsyslog's guide to GELF has it; where it is named, and is no mail server's, the log is another program's."""
    path = tmp_path / "gelf.json"
    entry = '{"version": "1.1", "host": "mail", "short_message": "connect from pc[192.0.2.1]", "timestamp": "1795449966", "level": "6"}\n'
    path.write_text(entry * 20)
    assert "its messages do not say which program logged them; let the JSON tell it" in refused(site, "ingest", path)
    path.write_text(entry.replace("}", ', "_program": "sshd"}') * 20)
    assert "no line of a known kind of log" in refused(site, "ingest", path)


def test_a_binary_file(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF\0\0\1\2\n" + bytes(range(256)) * 500)
    assert "is a binary file, not a log" in refused(site, "ingest", path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_as_powershell_writes_it(site: Site, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(TEXT.decode().replace("\n", "\r\n").encode(encoding))
    assert "is UTF-16; convert it, with iconv" in refused(site, "ingest", path)


def test_what_came_before_the_damage_is_kept(site: Site, tmp_path: Path) -> None:
    noise = b"".join(log(f"postfix/smtp[{n}]: {os.urandom(40).hex()}: to=<x>, status=sent") for n in range(20_000))
    packed = gzip.compress(TEXT + noise)
    path = tmp_path / "mail.log.gz"
    path.write_bytes(packed[: len(packed) // 2])
    assert "damaged gzip after" in refused(site, "ingest", "--year", "2026", "--timezone", "UTC", path)
    assert [row["account"] for row in site.rows()] == ["anna.berg@contoso.example", "bob"]


def test_gzip_in_name_and_magic_only(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mail.log.gz"
    path.write_bytes(b"\x1f\x8bnothing")
    assert "damaged gzip" in refused(site, "ingest", path)


def test_other_files_are_read_all_the_same(site: Site, tmp_path: Path) -> None:
    good, other = tmp_path / "mail.log", tmp_path / "other.log"
    good.write_bytes(TEXT)
    other.write_bytes(SSHD)
    line = refused(site, "ingest", "--year", "2026", "missing.log", other, good)
    assert "missing.log: no such file" in line
    assert "other.log: no line of a known kind" in line
    assert len(site.rows()) == 2


def test_long_lines_nul_bytes_and_invalid_utf_8_between_good_lines(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    cut = TEXT.index(b"\n") + 1
    bad = b"Nov 23 16:06:05 mail postfix/smtpd[1]: " + b"A" * (1 << 20) + b"\n" + b"\0" * 99 + b"\n" + b"\xff\xfe\xfa\n"
    path.write_bytes(TEXT[:cut] + bad + TEXT[cut:])
    told = site.ingest("--year", "2026", path)
    assert "1 unread; 1 line longer than 8 KiB" in told
    assert len(site.rows()) == 2


def test_what_told_the_year_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(TEXT)
    written = datetime(2026, 11, 24, tzinfo=UTC).timestamp()
    os.utime(path, (written, written))
    said = Site(tmp_path).ingest(path)
    assert "mail.log: its stamps have no year; the last was taken for 2026, from " in said
    assert "no year" not in Site(tmp_path / "stated").ingest("--year", "2026", path)


def test_rows_in_the_future_are_told(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(TEXT)
    assert "2 rows lie in the future: check the server's clock" in site.ingest("--year", "2099", path)


def test_a_log_without_tls_lines_says_which_setting_is_missing(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(log(*session(version=None)))
    assert "set smtpd_tls_loglevel = 1" in site.ingest("--year", "2026", path)
    stranger = ("postfix/smtpd[1]: connect from x[192.0.2.1]", "postfix/smtpd[1]: disconnect from x[192.0.2.1] ehlo=1 quit=1")
    path.write_bytes(log(*stranger, host="relay"))
    assert "Postfix on relay: no sign-in is in the log; set smtpd_sasl_auth_enable = yes" in site.ingest("--year", "2026", path)


def test_the_same_log_in_another_zone_is_refused(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(TEXT)
    site.ingest("--year", "2026", path)
    assert "was read before with timezone=UTC" in refused(site, "ingest", "--timezone", "Europe/Paris", path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ingest", "--timezone", "Mars/Olympus", "x"), "--timezone: timezone 'Mars/Olympus' is not a time zone"),
        (("report", "summary", "--config", "missing.toml"), "missing.toml: no such configuration file"),
        (("serve", "--listen", "nowhere"), "--listen: listen 'nowhere' is not an address and port"),
        (("report", "summary"), "no such database; run ingest first"),
    ],
)
def test_settings_that_cannot_be_used(site: Site, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(site, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("ingest",),
        ("ingest", "--year", "26", "x"),
        ("ingest", "--source", "carrier-pigeon", "x"),
        ("report", "nonsense"),
        ("export", "--format", "pdf"),
        ("unknown",),
        ("report", "summary", "--from", "yesterday"),
        ("report", "summary", "--from", "2026-11-20", "--to", "2026-11-01"),
        ("report", "clients", "--client", "not-an-address"),
    ],
)
def test_wrong_usage(site: Site, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(TEXT)
    site.ingest("--year", "2026", path)
    refused(site, *arguments, status=2)


def test_a_settings_file_with_an_unknown_name(site: Site, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('databse = "x"\n')
    assert "unknown setting 'databse'; known are api_requests, database" in refused(site, "report", "summary", "--config", config)


def test_a_database_that_is_none(site: Site, tmp_path: Path) -> None:
    log_file, database = tmp_path / "mail.log", tmp_path / "mail.duckdb"
    log_file.write_bytes(TEXT)
    database.write_bytes(b"not a database" * 1000)
    assert "is not a DuckDB database" in refused(site, "ingest", log_file)


def test_a_database_of_a_newer_version(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(TEXT)
    site.ingest("--year", "2026", path)
    with duckdb.connect(str(tmp_path / "mail.duckdb")) as connection:
        connection.execute("INSERT INTO migrations VALUES (9999, 'later')")
    assert "newer version of smtp-auth-report; update the program" in refused(site, "report", "summary")


def test_a_database_that_another_process_holds(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(TEXT)
    site.ingest("--year", "2026", path)
    with duckdb.connect(str(tmp_path / "mail.duckdb")):
        assert f"in use by another process (pid {os.getpid()})" in refused(site, "ingest", path)


def test_commands_work_while_the_pages_are_served(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(TEXT)
    alone = Site(tmp_path / "alone", tmp_path / "state.sqlite3")
    alone.ingest("--year", "2026", path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    with site.start("serve", "--listen", listen, stderr=subprocess.PIPE) as served:
        assert served.stderr is not None
        try:
            served.stderr.readline()
            site.ingest("--year", "2026", path)
            assert site.rows() == alone.rows()
            assert site.report("summary") == alone.report("summary")
            assert "in use by another process" in refused(site, "serve", "--listen", "127.0.0.1:0")
            served.send_signal(signal.SIGTERM)
            assert served.wait(20) == 0
            assert served.stderr.read() == b""
        finally:
            served.kill()
    assert not (tmp_path / "mail.duckdb.socket").exists()
    assert site.rows() == alone.rows()


def test_a_run_that_is_killed_goes_on_where_it_was(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    parts = [log(*session(f"user{n}", queue_id=f"{n:09X}A")) for n in range(40_000)]
    path.write_bytes(b"".join(parts))
    killed = site.start("ingest", "--year", "2026", "--timezone", "UTC", path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "mail.duckdb.wal").exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    site.ingest("--year", "2026", path)
    rows = site.rows()
    assert len(rows) == 40_000
    assert len({row["queue_id"] for row in rows}) == 40_000


def test_a_reader_that_goes_away_is_no_mistake(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(TEXT)
    site.ingest("--year", "2026", path)
    command = f"{' '.join(PROGRAM)} export --format jsonl | true"
    ran = subprocess.run(["bash", "-c", command], env=site.environment, capture_output=True, check=False)
    assert b"Traceback" not in ran.stderr


def test_databases_of_one_folder_share_no_state(tmp_path: Path) -> None:
    names = [load({"database": str(tmp_path / name)}).state_path.name for name in ("logs.2025", "logs.2026", "mail.duckdb")]
    assert names == ["logs.2025.state.sqlite3", "logs.2026.state.sqlite3", "mail.state.sqlite3"]


HEAVY = {"duckdb", "django", "numpy", "smtp_auth_report.sources", "smtp_auth_report.store", "smtp_auth_report.ingest", "watchfiles", "rich"}


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--help",), ("--version",), ("nonsense",), ("report", "nonsense"), ("ingest",), ("export", "--format", "none")),
        *((command, "--help") for command in ("ingest", "doctor", "serve", "report", "export", "erase")),
        *((command, "--config", "missing.toml") for command in ("serve", "export")),
        *(
            ("ingest", "--timezone", "nowhere", "mail.log"),
            ("serve", "--listen", "nowhere"),
            ("report", "summary", "--config", "missing.toml"),
        ),
    ],
)
def test_help_and_wrong_usage_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "smtp_auth_report", *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}
    assert "click" in imported
    assert not imported & HEAVY


def test_a_signal_that_ends_a_question_is_no_fault_of_the_program() -> None:
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with duckdb.connect() as connection:
            Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            with pytest.raises(KeyboardInterrupt), explained("mail.duckdb"):
                connection.execute("SELECT sum(hash(a.range, b.range)) FROM range(30_000) a, range(30_000) b").fetchall()
    finally:
        signal.signal(signal.SIGUSR1, before)
