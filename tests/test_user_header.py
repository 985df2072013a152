"""
Who somebody is, as a trusted proxy says it: believed of that proxy alone, of people who were added here, and never of a
header that only looks alike.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from django.test import RequestFactory

from sites import ADMIN, NOW, OWNER, Page, client_of, in_a_file, make_site, week
from smtp_auth_report.errors import ReportError, SettingError
from smtp_auth_report.moments import DAY, SECOND
from smtp_auth_report.settings import load
from smtp_auth_report.web.application import Site, application, serve
from smtp_auth_report.web.models import Event, Person
from smtp_auth_report.web.people import add
from smtp_auth_report.web.reader import Role

pytestmark = pytest.mark.usefixtures("state")

PASSWORD = "correct horse battery"
PROXY, ELSEWHERE = {"REMOTE_ADDR": "10.0.0.7", "HTTP_X_FORWARDED_FOR": "198.51.100.9"}, {"REMOTE_ADDR": "192.0.2.66"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = make_site(tmp_path, *week(), trusted_proxies="10.0.0.0/24", user_header="Remote-User")
    client_of(made)
    add(ADMIN, Role.ADMINISTRATOR, PASSWORD, NOW)
    add(OWNER, Role.DOMAINS, None, NOW, ["fabrikam.example"])
    add("zoé@contoso.example", Role.READER, None, NOW)
    return made


def test_each_request_is_of_whom_the_proxy_names(site: Site) -> None:
    client = client_of(site, **PROXY)
    for name, status in ((OWNER, 403), (f" {ADMIN.upper()} ", 200), ("zo\u00e9@contoso.example".encode().decode("latin-1"), 403)):
        assert client.get("/people", HTTP_REMOTE_USER=name).status_code == status
    assert client.get("/api/reports/sending-volume", HTTP_REMOTE_USER=OWNER).json()["totals"]["messages"] == 7
    assert "session" not in client.cookies
    page = client.get("/", HTTP_REMOTE_USER=OWNER)
    assert (OWNER in Page(page).text, "Sign out" in Page(page).text, "/me" in page.content.decode()) == (True, False, False)
    assert client.get("/").status_code == 302
    assert client.get("/", HTTP_REMOTE_USER="").status_code == 302


@pytest.mark.parametrize(
    "came",
    [ELSEWHERE, ELSEWHERE | {"HTTP_X_FORWARDED_FOR": "10.0.0.7"}, {"REMOTE_ADDR": "127.0.0.1"}, {"REMOTE_ADDR": "::ffff:192.0.2.66"}],
)
def test_nobody_else_is_believed(site: Site, came: dict[str, str]) -> None:
    client = client_of(site, **came)
    assert client.get("/", HTTP_REMOTE_USER=ADMIN).status_code == 302
    assert client.get("/api/reports", HTTP_REMOTE_USER=ADMIN).status_code == 401
    assert not Event.objects.filter(deed__in=("signed in", "refused")).exists()


def test_the_header_is_nothing_unless_it_is_named(site: Site) -> None:
    unset = Site(site.store, replace(site.settings, user_header=""), site.clock)
    other = Site(site.store, replace(site.settings, user_header="X-Webauth-User"), site.clock)
    for each in (unset, other):
        assert client_of(each, **PROXY).get("/", HTTP_REMOTE_USER=ADMIN, REMOTE_USER=ADMIN).status_code == 302
    assert client_of(other, **PROXY).get("/people", HTTP_X_WEBAUTH_USER=ADMIN).status_code == 200


def test_a_name_that_nobody_has_is_refused_and_told(site: Site) -> None:
    client = client_of(site, **PROXY)
    for name in ("nobody@contoso.example", "nobody@contoso.example", "\xff\xfe", f"{ADMIN}, {OWNER}"):
        for address in ("/", "/sign-in", "/api/reports", "/people"):
            assert client.get(address, HTTP_REMOTE_USER=name).status_code == 403
    assert client.get("/api/reports", HTTP_REMOTE_USER="nobody").headers["Content-Type"] == "application/problem+json"
    told = Event.objects.filter(deed="refused")
    assert [(event.name, event.address, event.told) for event in told] == [("", "198.51.100.9", "by the proxy, Remote-User")] * 4
    assert "nobody" not in str(list(Event.objects.values()))


def test_a_token_that_is_good_for_nothing_is_that_to_whoever_is_proxied_too(site: Site) -> None:
    few = Site(site.store, replace(site.settings, api_requests="3"), site.clock)
    client = client_of(few, **PROXY)
    for name in (ADMIN, "nobody@contoso.example"):
        address = PROXY | {"HTTP_X_FORWARDED_FOR": f"198.51.100.{len(name)}", "HTTP_REMOTE_USER": name}
        told = [client.get("/api/reports", HTTP_AUTHORIZATION="Bearer x", **address) for _ in range(4)]
        assert [answer.status_code for answer in told] == [401, 401, 401, 429]
        assert told[0].headers["WWW-Authenticate"] == "Bearer"
        assert client.get("/report", HTTP_AUTHORIZATION="Bearer x", **address).headers["Location"].startswith("/sign-in")


@in_a_file
@pytest.mark.parametrize("nowhere", ["", "unix:", "198.51.100.9:4711"])
@pytest.mark.parametrize("address", ["/", "/sign-in", "/api/reports", "/static/favicon.svg"])
def test_a_request_from_nowhere_is_refused(site: Site, nowhere: str, address: str) -> None:
    asked = RequestFactory(SERVER_NAME="localhost", HTTP_X_FORWARDED_FOR="10.0.0.7", HTTP_REMOTE_USER=ADMIN).get(address).environ
    environ = {name: value for name, value in asked.items() if name != "REMOTE_ADDR"} | ({"REMOTE_ADDR": nowhere} if nowhere else {})
    told: list[tuple[str, dict[str, str]]] = []
    body = b"".join(application(site)(environ, lambda status, headers, *_: told.append((status, dict(headers))) or bytes))
    [(status, headers)] = told
    assert (status, b"does not say where the request comes from" in body) == ("400 Bad Request", True)
    assert headers["Content-Security-Policy"]


def test_a_sign_in_is_told_once_a_day_for_each_address(site: Site) -> None:
    for now, forwarded in (
        (NOW, "198.51.100.9"),
        (NOW + SECOND, "198.51.100.9"),
        (NOW, "198.51.100.10"),
        (NOW + DAY + SECOND, "198.51.100.9"),
    ):
        later = Site(site.store, site.settings, lambda now=now: now)
        client = client_of(later, REMOTE_ADDR="10.0.0.7", HTTP_X_FORWARDED_FOR=forwarded)
        assert client.get("/", HTTP_REMOTE_USER=OWNER).status_code == 200
    told = Event.objects.filter(deed="signed in", name=OWNER)
    assert [event.address for event in told] == ["198.51.100.9", "198.51.100.10", "198.51.100.9"]
    assert Person.objects.get(name=OWNER).last_login is not None


def test_the_header_wins_over_a_session(site: Site) -> None:
    client = client_of(site, **PROXY)
    assert client.post("/sign-in", {"name": ADMIN, "password": PASSWORD}).status_code == 302
    assert client.get("/people").status_code == 200
    assert client.get("/people", HTTP_REMOTE_USER=OWNER).status_code == 403
    assert client.get("/me").status_code == 200
    for address in ("/me", "/me/second-factor"):
        assert client.get(address, HTTP_REMOTE_USER=OWNER).status_code == 403
    assert client.post("/me/second-factor/new", HTTP_REMOTE_USER=OWNER).status_code == 403


def test_forms_need_their_token_all_the_same(site: Site) -> None:
    strict = client_of(site, enforce_csrf_checks=True, **PROXY)
    assert strict.post("/people/second-factor-off", {"name": ADMIN}, HTTP_REMOTE_USER=ADMIN).status_code == 403
    assert strict.post("/requests", {"format": "csv"}, HTTP_REMOTE_USER=OWNER).status_code == 403


@in_a_file
def test_it_takes_a_proxy_to_believe(tmp_path: Path) -> None:
    site = make_site(tmp_path, *week(), listen="127.0.0.1:0", user_header="Remote-User")
    client_of(site)
    add(ADMIN, Role.ADMINISTRATOR, PASSWORD, NOW)
    with pytest.raises(ReportError, match="taken from trusted_proxies alone"):
        serve(site, list, pytest.fail)
    for name in ("Remote_User", "Remote-User: x", "X User"):
        with pytest.raises(SettingError, match="is not the name of a header"):
            load({"user_header": name}, {})


def test_the_server_takes_no_header_that_looks_alike_or_stands_twice(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("smtp-auth-report"))
    where = ["--database", str(tmp_path / "mail.duckdb")]
    subprocess.run([program, "user", "add", ADMIN, "--role", "administrator", "--no-password", *where], check=True, capture_output=True)
    environment = os.environ | {"SMTP_AUTH_REPORT_TRUSTED_PROXIES": "127.0.0.1", "SMTP_AUTH_REPORT_USER_HEADER": "Remote-User"}
    command = [program, "serve", *where, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as served:
        try:
            assert served.stderr is not None
            port = int(served.stderr.readline().rsplit(":", 1)[1].strip("/\n"))
            statuses = [
                status_of(port, *lines)
                for lines in (
                    [f"Remote-User: {ADMIN}"],
                    [f"REMOTE-USER: {ADMIN}"],
                    [f"Remote_User: {ADMIN}"],
                    [f"Remote-User: {OWNER}", f"Remote_User: {ADMIN}"],
                    [f"Remote-User : {ADMIN}"],
                    [f"Remote-User: {OWNER}", f"Remote-User : {ADMIN}"],
                    [f"X-Remote-User: {ADMIN}"],
                    [],
                    [f"Remote-User: {OWNER}", f"Remote-User: {ADMIN}"],
                    [f"Remote-User: {ADMIN}", f"remote-user: {OWNER}"],
                    [f"Remote-User: {ADMIN}", f"Remote-User: {ADMIN}"],
                    ["Remote-User:", f"Remote-User: {ADMIN}"],
                    [f"Remote-User: {OWNER}", f" {ADMIN}"],
                    [f"Remote-User: {ADMIN}", "Acce\xdf: x"],  # of which WSGI would make ACCESS
                    [f"Remote-User: {ADMIN}", "Content-Length: 0", "Content-Length: 60"],
                    ["Host: localhost", f"Remote-User: {ADMIN}"],
                    [f"Remote-User: {ADMIN}", "Accept: text/html", "Accept: */*"],
                )
            ]
        finally:
            served.terminate()
    assert statuses == [200, 200, 302, 403, 400, 400, 302, 302, 400, 400, 400, 400, 400, 400, 400, 400, 200]


def status_of(port: int, *lines: str) -> int:
    """Of the page of people, asked for with these lines."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall("\r\n".join(["GET /people HTTP/1.1", "Host: localhost", "Connection: close", *lines, "", ""]).encode("latin-1"))
        with connection.makefile("rb") as answer:
            return int(answer.readline().split()[1])
