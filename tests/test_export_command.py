"""
`export` as a command beside what it is told of: who may see the page of people sees each, whole or broken off.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from pwd import getpwuid

import pytest

import forked
from forked import as_text
from sites import NOBODY, NOW, client_of, in_a_file, make_site, someone, week
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.people import add
from smtp_auth_report.web.reader import Role

pytestmark = pytest.mark.usefixtures("state")

ADMIN = "admin@contoso.example"
INTERRUPTED = "smtp-auth-report: interrupted before all rows were written; run the same command again"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with an administrator."""
    site = make_site(tmp_path, *week())
    client_of(site)
    add(ADMIN, Role.ADMINISTRATOR, None, NOW)
    return site


def exported(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return as_text(forked.run(["export", *arguments, "--database", str(folder / "mail.duckdb")], os.environ, None))


def test_exports_of_the_command_line_are_told_with_their_unix_user(site: Site, tmp_path: Path) -> None:
    admin = someone(site, ADMIN)
    site.store.close()
    done = exported(tmp_path, "--format", "xlsx", "--from", "2026-11-16", "--to", "2026-11-22", "--output", str(tmp_path / "rows.xlsx"))
    assert (done.returncode, "Note" in done.stderr) == (0, False), done.stderr
    told = [event for event in admin.get("/api/events").json()["rows"] if event["deed"] == "exported"]
    detail = "submissions, 16\N{EN DASH}22 Nov 2026, as Excel, on the command line (Unix user)"
    assert [(each["name"], each["address"], each["detail"]) for each in told] == [(getpwuid(os.getuid()).pw_name, "", detail)]
    refused = exported(tmp_path, "--output", str(tmp_path / "nowhere" / "rows.csv"))
    assert (refused.returncode, "cannot be written" in refused.stderr) == (1, True)
    full = exported(tmp_path, "--from", "2026-11-16", "--to", "2026-11-22", "--output", "/dev/full")
    assert (full.returncode, "No space left" in full.stderr) == (1, True)
    told = [event["detail"] for event in admin.get("/api/events").json()["rows"] if event["deed"] == "exported"]
    assert told == [detail.replace("Excel, on", "CSV, on") + ", broken off", detail]


@in_a_file
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_export_that_a_signal_ends_is_told_as_broken_off(site: Site, tmp_path: Path, number: signal.Signals) -> None:
    """Whoever reads has stopped reading, so it is in the midst of its rows."""
    admin = someone(site, ADMIN)
    site.store.close()
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    started = [sys.executable, "-m", "smtp_auth_report", "export", "--database", str(tmp_path / "mail.duckdb")]
    before = signal.signal(number, signal.SIG_DFL)  # what starts the tests may have it ignored, as nohup does, and that is handed down
    with subprocess.Popen(started, stdout=write, stderr=subprocess.PIPE, text=True) as export:
        signal.signal(number, before)
        os.close(write)
        select.select([read], [], [], 60)
        export.send_signal(number)
        try:
            _, said = export.communicate(timeout=60)
        finally:
            os.close(read)
    assert (export.returncode, said.split("\n")) == (1, [INTERRUPTED, ""])
    [told] = [event["detail"] for event in admin.get("/api/events").json()["rows"] if event["deed"] == "exported"]
    assert told.endswith("on the command line (Unix user), broken off")


def test_what_goes_to_standard_output_says_that_the_disk_is_full(tmp_path: Path) -> None:
    """Many rows fail while they are written, none when the last of the buffer is."""
    make_site(tmp_path, *week()).store.close()
    for command in (["export"], ["export", "--account", "nobody"], ["report", "clients"]):
        with Path("/dev/full").open("wb") as full:
            started = [sys.executable, "-m", "smtp_auth_report", *command, "--database", str(tmp_path / "mail.duckdb")]
            done = subprocess.run(started, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 1
        said = [line for line in done.stderr.splitlines() if not line.startswith("No rows in")]
        assert said == ["smtp-auth-report: standard output cannot be written: No space left on device; make room, or write elsewhere"]


@in_a_file
def test_an_export_needs_no_state_database_and_asks_only_one_with_people(tmp_path: Path) -> None:
    make_site(tmp_path, *week()).store.close()
    state = tmp_path / "mail.state.sqlite3"
    state.unlink(missing_ok=True)
    whole = exported(tmp_path)
    assert (whole.returncode, whole.stdout.count("contoso") > 0, state.exists()) == (0, True, False)
    state.write_bytes(NOBODY)
    command = [sys.executable, "-X", "importtime", "-m", "smtp_auth_report", "export", "--database", str(tmp_path / "mail.duckdb")]
    alone = as_text(subprocess.run(command, capture_output=True, check=True))
    assert (alone.stdout, "django" in alone.stderr) == (whole.stdout, False)
    assert state.read_bytes() == NOBODY
    state.write_bytes(b"no database, but long enough to be one" * 100)
    done = exported(tmp_path)
    assert (done.returncode, done.stdout) == (0, whole.stdout)
    assert f"Note: the page of people does not tell of this export: {state}: the state database cannot be used" in done.stderr
    assert "--state" not in done.stderr
