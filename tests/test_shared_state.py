"""
Several servers with one state database: each requested report is made once, also where one of them is killed or held up,
from the rows that it was asked of, and whoever has not got its file says who has.

They are processes of their own that serve one database, which a DuckDB file lets them where nobody writes to it. They
look five times a second for what is to be made, not each five seconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connections

from postgresql_server import free_port
from rows import NOON, row
from sites import ADMIN, DAY, Page, client_of, make_site, one_of_each_role, someone, until
from smtp_auth_report.moments import now
from smtp_auth_report.settings import load
from smtp_auth_report.site_key import hand_on
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.web.application import Site, prepare
from smtp_auth_report.web.mailed_report import _signer
from smtp_auth_report.web.models import Mail, Person, Progress, RequestedReport
from smtp_auth_report.web.postbox import post
from smtp_auth_report.web.requested import _takeable, ask_for, file_of, folder, resume, sweep
from smtp_server import SETTINGS, SmtpServer

WEEK = Selection(NOON - 7 * DAY, NOON + DAY, "UTC")
ROWS = 20

SERVES = """
import sys, time
from pathlib import Path
from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.exports.csv_file import Csv
from smtp_auth_report.moments import now
from smtp_auth_report.settings import load
from smtp_auth_report.store import open_store
from smtp_auth_report.web.application import Site, prepare, serve

name, database, state, port = sys.argv[1:]
here = Path(database).parent

class Told(Csv):
    def write(self, store, selection, file, progress, *columns):
        def note(what):
            with here.joinpath("told").open("a") as told:
                told.write(f"{name} {what} {Path(file.name).name.partition('.')[0]}\\n")
        def held(done, total):
            note("begins")
            while here.joinpath(f"hold-{name}").exists():
                time.sleep(0.05)
            progress(done, total)
        rows = super().write(store, selection, file, held, *columns)
        note("ends")
        return rows

EXPORTS["csv"] = Told()
settings = load({"database": database, "state": state, "listen": f"127.0.0.1:{port}"})
site = Site(open_store(database, read_only=True), settings, now)
prepare(settings)
from smtp_auth_report.web import requested
requested.EVERY = 0.2
serve(site, list, lambda address: print(address, flush=True))
"""


class Shared:
    """One database that several processes serve, and what they tell."""

    def __init__(self, path: Path, state: str) -> None:
        self.path, self.database, self.state = path, path / "mail.duckdb", state
        make_site(path, *(row(time=NOON + n) for n in range(ROWS))).store.close()
        self.settings = load({"database": str(self.database), "state": state})
        prepare(self.settings)

    @contextmanager
    def server(self, name: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-c", SERVES, name, self.database, self.state, str(free_port())]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline().startswith("http://")
                yield process
            finally:
                process.kill()

    def asked(self, **fields: str) -> RequestedReport:
        """What nobody has claimed yet."""
        times = {"asked": now(), "start": WEEK.start, "end": WEEK.end}
        return RequestedReport.objects.create(**times, zone="UTC", format="csv", database=self.of, **fields)

    @property
    def of(self) -> str:
        return Site(None, self.settings, now).database  # type: ignore[arg-type]  # its store is not asked

    def hold(self, name: str) -> Path:
        """While this is there, the server stays in the midst of a file."""
        path = self.path / f"hold-{name}"
        path.touch()
        return path

    def told(self, *parts: object) -> int:
        told = self.path / "told"
        return told.read_text().splitlines().count(" ".join(map(str, parts))) if told.exists() else 0

    def whole(self, request: RequestedReport) -> bool:
        return len(file_of(self.settings, request).read_text().splitlines()) == ROWS + 1


@pytest.fixture
def shared(tmp_path: Path, state: str) -> Iterator[Shared]:
    yield Shared(tmp_path, os.environ["SMTP_AUTH_REPORT_STATE"] if state == "postgresql" else str(tmp_path / "state.sqlite3"))
    connections.close_all()


def is_done(request: RequestedReport) -> bool:
    request.refresh_from_db()
    return request.progress == Progress.DONE


def over(request: RequestedReport) -> None:
    """As if two minutes had passed without its server."""
    RequestedReport.objects.filter(pk=request.pk).update(claimed_until=now())


def test_of_two_servers_one_makes_each_report(shared: Shared) -> None:
    with shared.server("one"), shared.server("other"):
        requests = [shared.asked() for _ in range(6)]
        for request in requests:
            until(lambda request=request: is_done(request))
    assert [sum(shared.told(name, "ends", request.pk) for name in ("one", "other")) for request in requests] == [1] * 6
    assert all(shared.whole(request) for request in requests)


def test_what_a_killed_server_was_making_another_makes_once(shared: Shared) -> None:
    shared.hold("one")
    with shared.server("one") as one:
        lost = shared.asked()
        until(lambda: shared.told("one", "begins", lost.pk) == 1)
        with shared.server("other"):
            later = shared.asked()
            until(lambda: is_done(later))
            lost.refresh_from_db()
            assert (lost.progress, lost.claimed_until > now(), shared.told("other", "begins", lost.pk)) == (Progress.RUNNING, True, 0)
            one.kill()
            over(lost)
            until(lambda: is_done(lost))
    assert [shared.told(name, "ends", lost.pk) for name in ("one", "other")] == [0, 1]
    assert (shared.whole(lost), sorted(path.suffix for path in folder(shared.settings).iterdir())) == (True, [".csv", ".csv"])


def test_a_server_that_was_held_up_leaves_what_another_has_made(shared: Shared) -> None:
    go = shared.hold("one")
    with shared.server("one") as one:
        lost = shared.asked()
        until(lambda: shared.told("one", "begins", lost.pk) == 1)
        one.send_signal(signal.SIGSTOP)
        over(lost)
        with shared.server("other"):
            until(lambda: is_done(lost))
        made = file_of(shared.settings, lost).stat().st_ino
        go.unlink()
        one.send_signal(signal.SIGCONT)
        later = shared.asked()
        until(lambda: is_done(later))
    assert [shared.told(name, "ends", lost.pk) for name in ("one", "other")] == [0, 1]
    assert (file_of(shared.settings, lost).stat().st_ino, shared.whole(lost)) == (made, True)


def two_hosts(tmp_path: Path, **settings: str) -> tuple[Site, Site]:
    """Servers whose folders and rows are not the same; people, requests and the site's key are."""
    made: list[Site] = []
    for name, rows in (("one", ROWS), ("other", 3)):
        tmp_path.joinpath(name).mkdir()
        listen = f"127.0.0.1:{8026 + len(made)}"
        made.append(make_site(tmp_path / name, *(row(time=NOON + n) for n in range(rows)), listen=listen, **settings))
    one, other = made
    client_of(one)
    hand_on(one.settings.state_path, other.settings.state_path)
    return one, other


@pytest.mark.parametrize("state", ["postgresql"], indirect=True)
def test_a_file_that_another_host_has(tmp_path: Path, state: str, server: SmtpServer) -> None:  # noqa: ARG001 - each host a folder of its own
    one, other = two_hosts(tmp_path, **SETTINGS | {"mail_server": server.address})
    one_of_each_role()
    asked = ask_for(one.as_seen_by(Person.objects.get(name=ADMIN).reader), WEEK, "csv", addresses=[ADMIN])
    until(lambda: is_done(asked))
    there, here = someone(one, ADMIN), someone(other, ADMIN)

    assert (host := one.host).endswith(" (127.0.0.1:8026)")
    told = Page(here.get("/requests"))
    assert f"The file is on {host}" in told.text
    assert f"/requests/{asked.pk}/file" not in [link.get("href") for link in told.named("a")]
    [listed] = here.get("/api/requests").json()
    assert (listed["address"], listed["host"]) == (None, host)
    answer = here.get(f"/requests/{asked.pk}/file")
    assert (answer.status_code, f"The file is on {host}. Open it there" in Page(answer).text) == (404, True)
    assert Page(there.get("/requests")).text.count("Download") == 1

    post(other)
    assert server.taken == []
    post(one)
    assert len(server.taken) == 1
    link = f"/mailed/{_signer().sign(str(Mail.objects.get().pk))}"
    assert f"The file is on {host}" in Page(here.get(link)).text

    here.post(f"/requests/{asked.pk}/retry")
    until(lambda: is_done(asked))
    assert b"".join(here.get(f"/requests/{asked.pk}/file")).count(b"\n") == 4
    assert f"The file is on {other.host}" in Page(there.get("/requests")).text
    here.post(f"/requests/{asked.pk}/remove")
    sweep(one.settings, one.clock())
    assert [*folder(one.settings).iterdir(), *folder(other.settings).iterdir()] == []


@pytest.mark.usefixtures("state")
def test_a_file_that_is_gone_is_made_again(tmp_path: Path) -> None:
    site = make_site(tmp_path, row())
    client = client_of(site)
    asked = ask_for(site, WEEK, "csv")
    until(lambda: is_done(asked))
    file_of(site.settings, asked).unlink()
    assert "The file is not there any more" in Page(client.get("/requests")).text
    answer = client.get(f"/requests/{asked.pk}/file")
    assert (answer.status_code, "The file is not there any more" in Page(answer).text) == (404, True)
    client.post(f"/requests/{asked.pk}/retry")
    until(lambda: is_done(asked))
    assert b"".join(client.get(f"/requests/{asked.pk}/file")).count(b"\n") == 2


@pytest.mark.parametrize("state", ["postgresql"], indirect=True)
def test_rows_of_another_database_are_left_to_it(tmp_path: Path, state: str) -> None:  # noqa: ARG001 - each host a database of its own
    one, other = two_hosts(tmp_path)
    fields = {"asked": one.clock(), "start": WEEK.start, "end": WEEK.end, "zone": "UTC", "format": "csv"}
    asked = RequestedReport.objects.create(**fields, database=one.database, host=one.host, claimed_by="gone", claimed_until=one.clock() + 1)
    resume(other)
    assert not _takeable(other).exists()
    assert "does not answer" not in Page(client_of(other).get("/requests")).text
    asked.refresh_from_db()
    late = replace(other, clock=lambda: one.clock() + 1)
    assert f"Waits for {one.host}, which has its rows and does not answer" in Page(client_of(late).get("/requests")).text
    resume(replace(one, clock=late.clock))
    until(lambda: is_done(asked))
    assert asked.total == ROWS
