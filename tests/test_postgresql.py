"""
People and requests in PostgreSQL: by socket and by password, made and used by several processes at once, and one line where
the server is down, refuses, is too old or was written to by a newer version.

That people and requests are the same there as in SQLite is tested where they are, see `state` in conftest.py.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from django.db import connections

import forked
from forked import Process, as_text
from postgresql_server import PASSWORD as SERVER_PASSWORD
from postgresql_server import Server, free_port
from sites import DAY, NOW, Page, client_of, make_site, until, week
from smtp_auth_report.errors import ReportError, SettingError
from smtp_auth_report.moments import micros
from smtp_auth_report.settings import PREFIX, load
from smtp_auth_report.web.application import Site, prepare
from smtp_auth_report.web.models import Mail, Person, Sending, Subscription
from smtp_auth_report.web.people import add
from smtp_auth_report.web.postbox import INTERRUPTED
from smtp_auth_report.web.reader import Role
from smtp_server import SETTINGS, SmtpServer

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    connections.close_all()


def refused(tmp_path: Path, url: str) -> str:
    """What is said of a state database that cannot be used: one line that tells no password."""
    with pytest.raises(ReportError) as raised:
        prepare(load({"database": str(tmp_path / "mail.duckdb"), "state": url}, {}))
    said = str(raised.value)
    assert "\n" not in said
    assert SERVER_PASSWORD not in said
    assert "wrong-horse" not in said
    return said


def user(folder: Path, state: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"SMTP_AUTH_REPORT_STATE": state} | environment
    return as_text(forked.run(["user", *arguments, "--database", str(folder / "mail.duckdb")], variables, f"{PASSWORD}\n".encode()))


def test_several_processes_may_make_its_tables_at_once(tmp_path: Path, postgresql: Server) -> None:
    state = postgresql.new_database(empty=True)
    names = [f"anna{number}@contoso.example" for number in range(2)]
    with ThreadPoolExecutor(2) as threads:
        added = list(threads.map(lambda name: user(tmp_path, state, "add", name, "--role", "administrator"), names))
    assert [done.stderr for done in added] == [f"{name} may sign in; people are in {state}\n" for name in names]
    prepare(load({"database": str(tmp_path / "mail.duckdb"), "state": state}, {}))
    assert [person.name for person in Person.objects.all()] == names
    assert [path.name for path in tmp_path.iterdir()] == ["mail.state.sqlite3.key"]


def test_a_password_may_be_in_a_file_and_is_never_told(tmp_path: Path, postgresql: Server) -> None:
    name = postgresql.new_database().split("/")[3].split("?")[0]
    secrets = tmp_path / "pgpass"
    secrets.write_text(f"127.0.0.1:{postgresql.port}:{name}:report:{SERVER_PASSWORD}\n")
    secrets.chmod(0o600)
    without = postgresql.loopback(name).replace(f":{SERVER_PASSWORD}@", "@")
    for state, variables in ((postgresql.loopback(name), {}), (without, {"PGPASSFILE": str(secrets)})):
        listed = user(tmp_path, state, "list", **variables)
        assert (listed.returncode, listed.stderr) == (0, "")
    for state in (without, postgresql.loopback(name, "wrong-horse")):
        listed = user(tmp_path, state, "list", PGPASSFILE="")
        assert (listed.returncode, listed.stderr.count("\n")) == (1, 1)
        assert listed.stderr.startswith(f"smtp-auth-report: {without}: the state database cannot be used: ")
        assert "wrong-horse" not in listed.stderr


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    said = refused(tmp_path, f"postgresql://report:wrong-horse@127.0.0.1:{free_port()}/state")
    assert said.endswith("Connection refused; see that the server runs and lets this user in, or give another place as `state`")
    assert "No such file or directory" in refused(tmp_path, f"postgresql:///state?host={tmp_path}&password=wrong-horse")


def test_a_server_that_refuses_is_one_line(tmp_path: Path, postgresql: Server) -> None:
    assert "password authentication failed" in refused(tmp_path, postgresql.loopback("postgres", "wrong-horse"))
    assert 'database "nothing" does not exist' in refused(tmp_path, postgresql.url("nothing"))


def test_a_server_that_is_too_old_is_one_line(tmp_path: Path, postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db.backends.postgresql.features import DatabaseFeatures  # noqa: PLC0415 - needs psycopg

    monkeypatch.setattr("django.db.backends.base.base.RAN_DB_VERSION_CHECK", set())
    monkeypatch.setattr(DatabaseFeatures, "minimum_database_version", (99,))
    assert "PostgreSQL 99 or later is required" in refused(tmp_path, postgresql.new_database(empty=True))


@contextmanager
def serving(folder: Path, state: str, mail: SmtpServer) -> Iterator[Process]:
    """The program, with a database of its own."""
    folder.mkdir(exist_ok=True)
    settings = SETTINGS | {"database": str(folder / "mail.duckdb"), "state": state, "mail_server": mail.address, "listen": "127.0.0.1:0"}
    variables = os.environ | {PREFIX + name.upper(): value for name, value in settings.items()}
    with forked.start(["serve"], variables, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "http://" in process.stderr.readline()
            yield process
        finally:
            process.kill()


def to_be_sent(name: str, now: int) -> None:
    """The digest of somebody, in a week without rows."""
    person = Person.objects.create(name=name, role=Role.ADMINISTRATOR, password="!")
    fields = {"address": name, "language": "en"}
    subscription = Subscription.objects.create(person=person, every="week", zone="UTC", told=now, **fields)
    Mail.objects.create(subscription=subscription, start=now - 8 * DAY, end=now - DAY, planned=now, due=now, **fields)


def test_of_two_servers_neither_gives_up_what_the_other_sends(tmp_path: Path, postgresql: Server, server: SmtpServer) -> None:
    state, now = postgresql.new_database(), micros(datetime.now(UTC))
    prepare(load({"database": str(tmp_path / "mail.duckdb"), "state": state}, {}))

    def told(name: str) -> tuple[str, str]:
        mail = Mail.objects.get(address=name)
        return mail.state, mail.failure

    server.slow |= {"slow@contoso.example", "lost@contoso.example"}
    to_be_sent("slow@contoso.example", now)
    with serving(tmp_path / "one", state, server) as one:
        until(lambda: "slow@contoso.example" in server.waiting)
        to_be_sent("quick@contoso.example", now)
        with serving(tmp_path / "other", state, server):
            until(lambda: told("quick@contoso.example")[0] == Sending.SENT)
            assert told("slow@contoso.example") == (Sending.UNDER_WAY, "")
        server.slow.remove("slow@contoso.example")
        until(lambda: told("slow@contoso.example")[0] == Sending.SENT)
        to_be_sent("lost@contoso.example", now)
        until(lambda: "lost@contoso.example" in server.waiting)
        one.kill()
    to_be_sent("later@contoso.example", now)
    with serving(tmp_path / "other", state, server):
        until(lambda: told("later@contoso.example")[0] == Sending.SENT)
        assert told("lost@contoso.example") == (Sending.UNDER_WAY, "")  # the one that stopped may still be there
    with serving(tmp_path / "one", state, server):
        until(lambda: told("lost@contoso.example") == (Sending.FAILED, INTERRUPTED))
    sent = sorted(taken.recipients[0].partition("@")[0] for taken in server.taken)
    assert sent == ["later", "quick", "slow"]


@pytest.mark.usefixtures("state")
def test_tables_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    client_of(site)
    with connections["default"].cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('web', '9999_later', '2027-01-01 00:00:00+00:00')")
    with pytest.raises(ReportError, match=r"a newer version .* \(9999_later\); install that version"):
        prepare(site.settings)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://report:wrong-horse@db/state", "neither a path nor a database of PostgreSQL"),
        ("postgresql://report:wrong-horse@db", "neither a path nor a database of PostgreSQL"),
        ("postgresql://report:wrong-horse@db:port/state", "neither a path nor a database of PostgreSQL"),
        ("postgresql://report:wrong-horse@db/state?colour=red", "is not a URL that PostgreSQL knows"),
        ("postgresql://report:wrong/horse@db/state?password=wrong-horse", "neither a path nor a database of PostgreSQL"),
        ("postgresql://report@db,[::1]:5432/state?password=wrong-horse&colour=red", "is not a URL that PostgreSQL knows"),
    ],
)
def test_what_is_no_url_of_it_is_said_without_its_password(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises((SettingError, ReportError), match=words) as raised:
        prepare(load({"database": str(tmp_path / "mail.duckdb"), "state": url}, {}))
    assert "horse" not in str(raised.value)


@pytest.fixture
def site(tmp_path: Path, postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("SMTP_AUTH_REPORT_STATE", postgresql.new_database())
    site = make_site(tmp_path, *week())
    client_of(site)
    add("anna@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    return site


def test_while_the_server_is_away_pages_say_so_and_afterwards_they_go_on(
    site: Site, postgresql: Server, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(site)
    assert client.post("/sign-in", {"name": "anna@contoso.example", "password": PASSWORD}).status_code == 302
    name = site.settings.state_url.split("/")[3].split("?")[0]
    connections.close_all()
    postgresql.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    for address in ("/", "/sign-in", "/report"):
        answer = client.get(address)
        assert (answer.status_code, "The state database cannot be used just now" in Page(answer).text) == (503, True)
    assert client.get("/api/reports").headers["Content-Type"] == "application/problem+json"
    assert client.post("/sign-in", {"name": "anna@contoso.example", "password": PASSWORD}).status_code == 503
    told = [record for record in caplog.records if "the state database cannot be used: " in record.getMessage()]
    assert (len(told), {record.exc_info for record in told}) == (5, {None})
    assert "Traceback" not in caplog.text + capfd.readouterr().err
    connections.close_all()
    postgresql.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert client.get("/").status_code == 200


def test_text_that_it_cannot_hold_is_refused_as_such(site: Site) -> None:
    client = client_of(site)
    assert client.post("/sign-in", {"name": "anna\0@contoso.example", "password": PASSWORD}).status_code == 400
    client.cookies["session"] = '"' + "\\000" * 9 + '"'
    assert client.get("/").status_code in (302, 400)


def test_files_and_the_key_stay_beside_the_database(site: Site, tmp_path: Path) -> None:
    client = client_of(site)
    client.force_login(Person.objects.get())
    assert client.get("/requests").status_code == 200
    there = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if ".state." in path.name}
    assert there == {"mail.state.sqlite3.key": 0o600, "mail.state.sqlite3.files": 0o700}


def test_names_of_people_are_in_the_server(site: Site) -> None:
    with closing(psycopg.connect(site.settings.state_url)) as connection:
        assert connection.execute("SELECT name FROM web_person").fetchall() == [("anna@contoso.example",)]
