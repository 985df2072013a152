"""
Each defence of the pages, tried: headers, forms from elsewhere, sessions, redirects, files, formulas, our own log, guesses.

What a hostile log does in a browser is in browser/test_hostile.py, what each reader sees in test_people.py, and text in
exports in test_exports.py.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test import Client, RequestFactory

from rows import NOON, row
from sites import NOW, client_of, make_site, routes, unread, week
from smtp_auth_report.web import errors, own_log
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.models import Person
from smtp_auth_report.web.people import add
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.requested import folder
from smtp_auth_report.web.site import ENVIRON_KEY

PASSWORD = "correct horse battery"
FORGED = "FORGED: administrator signed in"
PROGRAM = Path(sys.executable).with_name("smtp-auth-report")


@pytest.fixture
def site(tmp_path: Path, state: str) -> Iterator[Site]:  # noqa: ARG001 - on each kind of state database
    made = make_site(tmp_path, *week(), changes=unread(), trusted_proxies="127.0.0.1")
    client_of(made)
    add("admin@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    add("reader@contoso.example", Role.READER, PASSWORD, NOW)
    yield made
    made.store.close()


@pytest.fixture
def client(site: Site) -> Client:
    client = client_of(site)
    client.force_login(Person.objects.get(name="admin@contoso.example"))
    return client


PARTS = {"identifier": "0b56b7d5-5c0e-4f0b-8a53-6a1d2a3e9d0f", "number": "1"}
BY_LINK = "/unsubscribe/clients"  # mail programs send it, and its token is what counts (RFC 8058)


def addresses() -> Iterator[str]:
    """Every address, with something in place of its parts."""
    for path in routes():
        yield re.sub(r"\{(\w+)\}", lambda part: PARTS.get(part[1], "clients"), path)


# Headers

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
ALWAYS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
BY_TLS = {"HTTP_X_FORWARDED_FOR": "192.0.2.9", "HTTP_X_FORWARDED_PROTO": "https"}


def test_every_answer_has_the_headers(client: Client) -> None:
    stylesheet = re.search(r"/static/site\.\w+\.css", client.get("/").content.decode())
    assert stylesheet
    asked = [(path, {}) for path in addresses()]
    asked += [
        (stylesheet[0], {}),
        ("/nothing", {}),
        ("/static/nothing", {}),
        ("/report?by=nothing", {}),
        ("/", {"HTTP_HOST": "evil.example"}),
    ]
    asked += [("/", {"HTTP_AUTHORIZATION": "Bearer wrong"}), ("/report.csv", {})]
    statuses = set()
    for path, more in asked:
        for tls in ({}, BY_TLS):
            answer = client.get(path, **more, **tls)
            statuses.add(answer.status_code)
            stated = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
            assert stated == POLICY, path
            assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS, path
            assert answer.headers.get("Strict-Transport-Security", "") == ("max-age=31536000" if tls else ""), path
            assert path.startswith("/static/") or answer.headers["Cache-Control"] == "no-store", path
            answer.close()
    assert statuses >= {200, 302, 400, 404, 405}


def test_cookies_are_out_of_reach_of_scripts_and_of_plain_http(site: Site) -> None:
    for tls in ({}, BY_TLS):
        client = client_of(site)
        answer = client.post("/sign-in", {"name": "admin@contoso.example", "password": PASSWORD}, **tls)
        answer.cookies.update(client.get("/", **tls).cookies)
        answer.cookies.update(client.post("/language", {"language": "fr"}, **tls).cookies)
        assert set(answer.cookies) == {"session", "csrftoken", "language"}
        for cookie in answer.cookies.values():
            assert (cookie["httponly"], bool(cookie["secure"])) == (True, bool(tls)), cookie
            assert cookie["samesite"] in ("Lax", "Strict")


# Forms


def test_no_form_from_elsewhere_is_taken(site: Site) -> None:
    """Of every route that takes one, also where its sender has a session."""
    client = Client(SERVER_NAME="localhost", enforce_csrf_checks=True, **{ENVIRON_KEY: site})
    client.force_login(Person.objects.get(name="admin@contoso.example"))
    taken = 0
    for path in set(addresses()) - {BY_LINK}:
        for more in ({}, {"HTTP_ORIGIN": "https://evil.example"}):
            answer = client.post(path, {"name": "admin@contoso.example", "password": PASSWORD, "format": "csv"}, **more)
            assert answer.status_code in ((403,) if not path.startswith("/api/") else (403, 405)), path
            taken += answer.status_code == HTTPStatus.FORBIDDEN
    assert taken > 20


# Sessions


def test_a_session_has_another_key_after_sign_in(site: Site) -> None:
    client = client_of(site)
    client.post("/sign-in", {"name": "reader@contoso.example", "password": PASSWORD})
    before = client.cookies["session"].value
    assert client.get("/").status_code == HTTPStatus.OK
    client.post("/sign-in", {"name": "admin@contoso.example", "password": PASSWORD})
    after = client.cookies["session"].value
    assert after != before
    thief = client_of(site)
    thief.cookies["session"] = before
    assert thief.get("/").status_code == HTTPStatus.FOUND
    client.post("/sign-out")
    thief.cookies["session"] = after
    assert thief.get("/").status_code == HTTPStatus.FOUND


ELSEWHERE = (
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "\\\\evil.example",
    "javascript:alert(1)",
    "http:///evil.example",
    "\t//evil.example",
    "\x00//evil.example/",
    "http://localhost.evil.example/",
)


def test_nothing_leads_elsewhere(site: Site, client: Client) -> None:
    forms = (("/sign-in", {"name": "admin@contoso.example", "password": PASSWORD}), ("/language", {"language": "fr"}))
    for there in ELSEWHERE:
        for path, form in forms:
            for answer in (client.post(path, form | {"next": there}), client.post(path, form, query_params={"next": there})):
                assert (answer.status_code, answer.headers["Location"]) == (302, "/"), (path, there)
        shown = client_of(site).get("/sign-in", {"next": there}).content.decode()
        assert '<input type="hidden" name="next" value="/">' in shown, there
        answer = client.post("/language", {"language": "fr"}, headers={"referer": there})
        assert answer.headers["Location"] == "/", there


# Files


UP = ("..", "%2e%2e", "..%2f..", "%2e%2e%2f%2e%2e", "..%5c..", "....//", "..;", "%c0%ae%c0%ae", "..%00")


def test_no_path_leads_out_of_its_folder(client: Client, site: Site) -> None:
    for place in (folder(site.settings).parent / "secret", folder(site.settings) / "secret.csv"):
        place.write_text("of nobody's business")
    paths = [place.format(up) for up in UP for place in ("/requests/{}/file", "/requests/{}/secret/file", "/static/{}/secret")]
    for path in (*paths, *(f"/static/{up}/configuration.py" for up in UP), "/requests/secret/file"):
        answer = client.get(path)
        assert answer.status_code == HTTPStatus.NOT_FOUND, path
        assert b"business" not in answer.content
        assert b"SECRET_KEY" not in answer.content


# Spreadsheets


FORMULAS = ("=", "+", "-", "@", "\t=", "\r=", "\n=", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings that a spreadsheet takes for a formula; the last are full-width forms."""


def test_no_table_that_a_spreadsheet_opens_has_a_formula(tmp_path: Path) -> None:
    names = [f"{start}cmd|' /C calc'!A{number}@contoso.example" for number, start in enumerate(FORMULAS)]
    rows = [
        row(time=NOON, account=name, sender=name, client_name=name, helo=name, client_ip=f"192.0.2.{n}") for n, name in enumerate(names)
    ]
    site = make_site(tmp_path, *rows)
    client = client_of(site)
    for address in (
        "/report.csv?by=sending-volume",
        "/report.csv?by=clients",
        "/api/reports/clients?format=csv",
        "/api/reports/tls-usage?format=csv",
    ):
        cells = [cell for line in list(csv.reader(io.StringIO(client.get(address).content.decode())))[1:] for cell in line]
        assert len([cell for cell in cells if "calc" in cell]) >= len(names), address
        assert [cell for cell in cells if cell.startswith(FORMULAS)] == [], address
    site.store.close()


# Our own log


@pytest.fixture
def entries() -> Iterator[io.StringIO]:
    """What the server's log would be."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(own_log.OneLine())
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def test_nothing_that_is_sent_forges_an_entry_of_our_log(site: Site, entries: io.StringIO) -> None:
    client = client_of(site)
    hostile = f"/x%0a{FORGED}%0d%1b[2J%e2%80%ae%c2%9b"
    client.get(hostile)
    client.get("/", HTTP_HOST=f"evil.example\n{FORGED}")
    own_log.told(f"a thread ended: \x1b[2J\n{FORGED}", logging.ERROR)
    request = RequestFactory().get(f"/api{hostile}", **{ENVIRON_KEY: site})
    error = ValueError(f"cannot read \x1b[2J\n{FORGED}\u2028{FORGED}\x85{FORGED}")
    assert errors.failed(request, error).status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    written = entries.getvalue()
    assert "ValueError: cannot read \\x1b" in written
    assert written.count(FORGED) >= 4
    lines = written.split("\n")
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if line and not line.startswith(("smtp-auth-report: ", own_log.INDENT))] == []


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, list[str]]]:
    """The port of a running `serve`, and what it said, once it has ended with the block."""
    command = [PROGRAM, "serve", "--database", str(folder / "mail.duckdb"), "--listen", "127.0.0.1:0"]
    said: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield int(process.stderr.readline().rsplit(":", 1)[1].strip("/\n")), said
        finally:
            process.terminate()
        said += process.stderr.read().splitlines()


def test_a_served_site_writes_its_log_so(tmp_path: Path) -> None:
    with served(tmp_path) as (port, said), socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        request = f"GET /x%0a{FORGED.replace(' ', '%20')}%1b[2J HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        assert b"404" in connection.makefile("rb").readline()
    assert [line.startswith("smtp-auth-report: ") and line.isprintable() and FORGED in line for line in said] == [True]


LENGTHS = {
    b"10": b"403",  # a form without what it needs to be taken
    b" 010\t": b"403",
    b"1_0": b"400",
    b"+10": b"400",
    b"-0": b"400",
    b"1 0": b"400",
    b"10,10": b"400",
    b"0x10": b"400",
    b"": b"400",
    b"\x0b10": b"400",
    b"10\x0c": b"400",
    b"10\x00": b"400",
    b"1\r0": b"400",
    "１０".encode(): b"400",  # noqa: RUF001 - digits that are no ASCII
    "\N{NO-BREAK SPACE}10".encode("latin-1"): b"400",
}
"""What a length may be written as, and how a request with it is answered."""


def test_a_length_is_what_every_server_takes_for_one(tmp_path: Path) -> None:
    """A proxy before this one that takes a number for another would see another request begin."""
    answered = {}
    with served(tmp_path) as (port, _):
        for length in LENGTHS:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                head = b"POST /requests HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %b\r\n\r\n" % length
                connection.sendall(head + b"0123456789")
                answered[length] = connection.makefile("rb").readline().split()[1]
    assert answered == LENGTHS


def test_no_argument_forges_a_line_on_the_terminal(tmp_path: Path) -> None:
    name = f"no\x1b[2J\n{FORGED}\u202e.log"
    done = subprocess.run([PROGRAM, "ingest", "--database", tmp_path / "mail.duckdb", name], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.isprintable()
    assert FORGED in line


# Guesses


def test_a_name_that_nobody_has_costs_as_much_as_one_that_somebody_has(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of hashing, which are the time that sign-in takes."""
    rounds: list[int] = []
    hashed = PBKDF2PasswordHasher.encode

    def encode(self: PBKDF2PasswordHasher, password: str, salt: str, iterations: int | None = None) -> str:
        rounds.append(iterations or self.iterations)
        return hashed(self, password, salt, iterations)

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", encode)
    spent = []
    for name in ("admin@contoso.example", "nobody@contoso.example", "", "x" * 300):
        rounds.clear()
        answer = client_of(site).post("/sign-in", {"name": name, "password": "wrong"})
        spent.append((answer.status_code, sum(rounds)))
    assert spent == [(403, PBKDF2PasswordHasher.iterations)] * 4
