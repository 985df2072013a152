"""
Sign-in and what each reader sees: a reader of one domain finds nothing foreign on any route, nobody gets in without
password or token, refusals are held up, and what happened is on the page of people.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.http import HttpResponse
from django.test import Client

import forked
from forked import as_text
from sites import NOW, Clock, Page, client_of, in_a_file, make_site, routes, someone, unread, until, week
from smtp_auth_report.errors import ReportError
from smtp_auth_report.moments import SECOND
from smtp_auth_report.web.application import Site, serve
from smtp_auth_report.web.models import Event, Person, RequestedReport
from smtp_auth_report.web.people import OF_BOTH, OF_ONE_ADDRESS, PeopleError, add, change_password, named, new_token, remove, revoke_token
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.sign_in import CODE, FORM, OPENID, OPENID_BACK
from smtp_auth_report.web.site import ENVIRON_KEY

pytestmark = pytest.mark.usefixtures("state")

MINUTE = 60 * SECOND
PASSWORD = "correct horse battery"
OWN = "fabrikam.example"
OPEN = (FORM, CODE, OPENID, OPENID_BACK, "/sign-out", "/language")
FOREIGN_WORDS = re.compile(r"contoso|anna@|printer@|192\.0\.2\.|203\.0\.113\.")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site of two domains, with somebody of each role."""
    rows = [each._replace(client_name=None, helo=None, message_id=None) if OWN in str(each.account) else each for each in week()]
    site = make_site(tmp_path, *rows, changes=unread())
    client_of(site)
    add("admin@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    add("reader@contoso.example", Role.READER, PASSWORD, NOW)
    add("Owner@Fabrikam.example", Role.DOMAINS, PASSWORD, NOW, [OWN])
    return site


def interrupt(address: str) -> None:
    """As Ctrl+C does."""
    raise KeyboardInterrupt(address)


def without_token(content: bytes) -> bytes:
    """Forms have another token each time."""
    return re.sub(rb'(csrfmiddlewaretoken" value=")\w+', rb"\1", content)


def program(site: Site, token: str) -> Client:
    client = client_of(site)
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


REPORTS = ("summary", "sending-volume", "tls-usage", "auth-methods", "clients", "failures")
PERIOD = "days=30"


def filled(path: str, request: str) -> list[str]:
    """Addresses of a route, with all that its parts may be."""
    if path.startswith("/api/reports/{"):
        return [f"/api/reports/{name}?{PERIOD}{form}" for name in REPORTS for form in ("", "&format=csv", "&format=csv&series=1")]
    if path.endswith("/choices/{name}"):
        return [
            f"{path.partition('{')[0]}{name}?{PERIOD}"
            for name in ("domain", "account", "sender", "client", "mechanism", "server", "outcome")
        ]
    if path in ("/report", "/report.csv"):
        return [f"{path}?by={name}&view={view}&{PERIOD}" for name in REPORTS[1:] for view in ("chart", "table")]
    if path in ("/account", "/api/accounts"):
        return [f"{path}?name=crm@fabrikam.example&{PERIOD}"]
    return [path.replace("{identifier}", request)]


def test_a_reader_of_one_domain_finds_nothing_foreign_on_any_route(site: Site) -> None:
    admin, owner = someone(site, "admin@contoso.example"), someone(site, "owner@fabrikam.example")
    for client in (admin, owner):
        assert client.post("/requests", {"from": "2026-11-16", "to": "2026-11-22", "format": "jsonl"}).status_code == 302
    foreign, own = (str(each.pk) for each in RequestedReport.objects.order_by("asked", "person__name"))
    seen = 0
    for path in routes():
        if path in OPEN:
            continue
        for request in (foreign, own):
            for address in filled(path, request):
                answer = owner.get(address)
                content = b"".join(answer) if answer.streaming else answer.content
                text = content.decode().replace("192.0.2.0/24", "")  # the hint that a filter gives
                assert answer.status_code in (200, 302, 403, 404, 405), address
                found = FOREIGN_WORDS.search(text)
                assert found is None, f"{address}: {text[max(0, found.start() - 60) : found.end() + 60] if found else ''}"
                seen += answer.status_code == 200
    assert seen > 40
    for address in ("/account?name=", "/api/accounts?name="):
        there, nowhere = (owner.get(f"{address}{name}@contoso.example").content for name in ("anna", "nobody"))
        assert without_token(there).replace(b"anna", b"nobody") == without_token(nowhere)
    assert owner.post(f"/requests/{foreign}/remove").status_code == 404
    rows = owner.get(f"/api/reports/sending-volume?{PERIOD}").json()
    assert rows["totals"]["messages"] == 7
    assert [entry["sender_domain"] for entry in rows["rows"]] == [OWN]
    assert rows["totals"]["messages"] < admin.get(f"/api/reports/sending-volume?{PERIOD}").json()["totals"]["messages"]


@pytest.mark.parametrize(
    ("name", "people", "ingest"),
    [("admin@contoso.example", 200, 200), ("reader@contoso.example", 403, 200), ("owner@fabrikam.example", 403, 403)],
)
def test_each_role_has_its_pages(site: Site, name: str, people: int, ingest: int) -> None:
    client = someone(site, name)
    assert (client.get("/people").status_code, client.get("/ingest").status_code) == (people, ingest)
    assert (client.get("/api/ingest").status_code, client.get("/metrics").status_code) == (ingest, ingest)
    assert (client.get("/api/people").status_code, client.get("/api/events").status_code) == (people, people)
    places = {tag["href"] for tag in Page(client.get("/")).named("a")}
    assert ("/people" in places, "/ingest" in places) == (people == 200, ingest == 200)


def test_nobody_gets_in_without_signing_in(site: Site) -> None:
    client = someone(site)
    for path in routes():
        for address in filled(path, "0b56b7d5-5c0e-4f0b-8a53-6a1d2a3e9d0f"):
            if path in OPEN:
                continue
            answer = client.get(address)
            if path == "/unsubscribe/{token}":
                assert (answer.status_code, "Last line read" in Page(answer).text) == (404, False)
                continue
            program = address.startswith(("/api/", "/metrics"))
            assert answer.status_code == (401 if program else 302), address
            assert FOREIGN_WORDS.search(answer.content.decode()) is None
            if program:
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert answer.headers["Content-Type"] == "application/problem+json"
    answer = client.get("/status", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (401, "true")
    unmasked = Client(SERVER_NAME="localhost", enforce_csrf_checks=True, **{ENVIRON_KEY: site})
    refused = unmasked.post("/sign-in", {"name": "x"})
    assert (refused.status_code, "Last line read" in Page(refused).text) == (403, False)
    page = client.get("/sign-in")
    assert (page.status_code, FOREIGN_WORDS.search(page.content.decode())) == (200, None)


def test_sign_in_leads_to_the_page_that_was_asked_for(site: Site) -> None:
    client = someone(site)
    asked = client.get("/report?by=tls-usage&tls=legacy")
    assert asked.headers["Location"] == "/sign-in?next=%2Freport%3Fby%3Dtls-usage%26tls%3Dlegacy"
    [field] = [tag for tag in Page(client.get(asked.headers["Location"])).named("input") if tag.get("name") == "next"]
    answer = client.post("/sign-in", {"name": "ADMIN@contoso.example ", "password": PASSWORD, "next": field["value"]})
    assert answer.headers["Location"] == "/report?by=tls-usage&tls=legacy"
    assert client.get(answer.headers["Location"]).status_code == 200
    client.post("/sign-out")
    assert client.get("/report").status_code == 302


def test_a_session_begins_anew_with_sign_in(site: Site) -> None:
    client = someone(site)
    client.cookies["session"] = "a" * 32
    client.post("/sign-in", {"name": "admin@contoso.example", "password": PASSWORD})
    cookie = client.cookies["session"]
    assert cookie.value != "a" * 32
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    thief = client_of(site)
    thief.cookies["session"] = "a" * 32
    assert thief.get("/").status_code == 302


def test_refusals_are_held_up_and_told(site: Site) -> None:
    client = someone(site)
    for _ in range(OF_BOTH):
        answer = client.post("/sign-in", {"name": "admin@contoso.example", "password": "wrong"})
        assert (answer.status_code, "do not belong together" in Page(answer).text) == (403, True)
    for _ in range(3):
        held_up = client.post("/sign-in", {"name": "admin@contoso.example", "password": PASSWORD})
    assert (held_up.status_code, "quarter of an hour" in Page(held_up).text) == (429, True)
    other = {"REMOTE_ADDR": "192.0.2.44"}
    assert client.post("/sign-in", {"name": "Tr0ub4dor&3 (typed in the wrong box)", "password": ""}, **other).status_code == 403
    later = Site(site.store, site.settings, lambda: NOW + 16 * 60 * SECOND)
    admin = someone(later, "admin@contoso.example")
    told = admin.get("/people")
    assert Page(told).text.count("unknown 192.0.2.44") == 1
    assert "Tr0ub4dor" not in told.content.decode()
    assert PASSWORD not in told.content.decode()
    assert Page(told).text.count("Sign-in refused") == OF_BOTH + 1
    assert Page(told).text.count("Sign-in held up") == 1
    assert client_of(later).post("/sign-in", {"name": "admin@contoso.example", "password": PASSWORD}).status_code == 302
    assert "typed" not in str(list(Event.objects.values()))


def test_refusals_of_one_ipv6_network_count_as_one_address(site: Site) -> None:
    client = client_of(site)

    def guess(name: str, address: str) -> int:
        return client.post("/sign-in", {"name": name, "password": "wrong"}, REMOTE_ADDR=address).status_code

    of_one = [guess("admin@contoso.example", f"2001:db8:0:1::{number}") for number in range(OF_BOTH + 1)]
    assert of_one == [403] * OF_BOTH + [429]
    others = [guess(f"{number}", f"2001:db8:0:1:{number}::") for number in range(OF_ONE_ADDRESS - OF_BOTH + 1)]
    assert others == [403] * (OF_ONE_ADDRESS - OF_BOTH) + [429]
    assert guess("admin@contoso.example", "2001:db8:0:2::1") == 403
    assert Event.objects.filter(deed="refused", address="2001:db8:0:1::3").count() == 1


def test_guesses_at_once_are_counted_too(site: Site) -> None:
    def guess(_: int) -> int:
        try:
            return asking.post("/sign-in", {"name": "admin@contoso.example", "password": "wrong"}).status_code
        finally:
            connections.close_all()

    asking = client_of(site)

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(guess, range(16))) == [403] * OF_BOTH + [429] * (16 - OF_BOTH)


def test_programs_of_administrators_are_told_what_the_page_of_people_tells(site: Site) -> None:
    admin = someone(site, "admin@contoso.example")
    new_token(named("owner@fabrikam.example"), "script", NOW)
    admin.post("/sign-in", {"name": "nobody at all", "password": "wrong"})
    people = {person["name"]: person for person in admin.get("/api/people").json()}
    assert people["owner@fabrikam.example"] == {
        "name": "owner@fabrikam.example",
        "role": "domains",
        "domains": [OWN],
        "signed_in": None,
        "second_factor": False,
        "by_groups": False,
        "tokens": [{"label": "script", "made": "2026-11-22T15:00:00Z", "used": None}],
    }
    assert people["admin@contoso.example"]["signed_in"]
    events = admin.get("/api/events?limit=2").json()
    assert (events["total_rows"], [event["deed"] for event in events["rows"]]) == (5, ["refused", "changed"])
    assert events["rows"][0]["name"] is None
    assert admin.get("/api/events?limit=2&offset=4").json()["rows"][0]["detail"] == "added as administrator"
    assert "nobody at all" not in str(events)


def test_when_a_token_was_used_is_a_moment_when_it_was_and_written_once_an_hour(site: Site) -> None:
    clock = Clock()
    clock.now = made = NOW + 42 * MINUTE
    site = replace(site, clock=clock)
    client = client_of(site)
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {new_token(named('admin@contoso.example'), 'script', made)}"
    told = []
    for minutes in (0, 1, 59, 60, 61):
        clock.now = made + minutes * MINUTE
        (token,) = {person["name"]: person for person in client.get("/api/people").json()}["admin@contoso.example"]["tokens"]
        told.append((token["made"], token["used"]))
    assert [first for first, _used in told] == ["2026-11-22T15:42:00Z"] * 5
    assert [used for _made, used in told] == ["2026-11-22T15:42:00Z"] * 3 + ["2026-11-22T16:42:00Z"] * 2


def test_requests_of_others_are_in_no_answer(site: Site) -> None:
    admin, owner = someone(site, "admin@contoso.example"), someone(site, "owner@fabrikam.example")
    admin.post("/requests", {"from": "2026-11-16", "to": "2026-11-22", "format": "csv", "domain": "contoso.example"})
    assert owner.get("/api/requests").json() == []
    until(lambda: admin.get("/api/requests").json()[0]["address"] is not None)
    [asked] = admin.get("/api/requests").json()
    assert (asked["filters"], asked["format"], asked["progress"], asked["rows"]) == ({"domain": ["contoso.example"]}, "csv", "done", 57)
    assert asked["period"]["from"] == "2026-11-16T00:00:00+01:00"
    assert len(b"".join(admin.get(asked["address"])).splitlines()) == 58


def test_exports_are_told(site: Site) -> None:
    owner = someone(site, "owner@fabrikam.example")
    owner.get("/report.csv?by=clients")
    owner.get("/api/reports/clients?format=csv")
    told = Page(someone(site, "admin@contoso.example").get("/people")).text
    assert told.count("Rows exported owner@fabrikam.example 127.0.0.1 Clients,") == 2


def test_a_changed_password_ends_sessions(site: Site) -> None:
    client = someone(site, "reader@contoso.example")
    assert client.get("/").status_code == 200
    change_password(named("reader@contoso.example"), "another fine password", NOW)
    assert client.get("/").status_code == 302
    for password, status in ((PASSWORD, 403), ("another fine password", 302)):
        assert client.post("/sign-in", {"name": "reader@contoso.example", "password": password}).status_code == status


def test_tokens_see_what_their_person_sees_until_revoked(site: Site) -> None:
    owner = Person.objects.get(name="owner@fabrikam.example")
    token = new_token(owner, "script", NOW)
    assert program(site, token).get("/api/reports/sending-volume").json()["totals"]["messages"] == 7
    assert program(site, token).get("/api/ingest").status_code == 403
    assert program(site, token[:-1]).get("/api/reports").status_code == 401
    assert program(site, "").get("/api/reports").status_code == 401
    assert token not in str(list(Event.objects.values())) + str(list(owner.token_set.values()))
    revoke_token(owner, "script", NOW)
    assert program(site, token).get("/api/reports").status_code == 401


def test_a_token_that_is_nobodys_is_told_once_in_a_while(site: Site) -> None:
    for later in (0, 1, 16 * 60):
        at = replace(site, clock=lambda later=later: NOW + later * SECOND)
        for number in range(12):
            assert program(at, f"wrong {number}").get("/api/reports", REMOTE_ADDR=f"2001:db8::{number}").status_code == 401
    told = Event.objects.filter(deed="refused")
    assert [(event.name, event.name_key, event.told) for event in told] == [("", "", "a token that is nobody's")] * 2
    assert "wrong" not in str(list(Event.objects.values()))
    sign_in = {"name": "admin@contoso.example", "password": PASSWORD}
    assert client_of(site).post("/sign-in", sign_in, REMOTE_ADDR="2001:db8::1").status_code == 302


def test_without_people_the_pages_are_open_and_say_so(tmp_path: Path) -> None:
    client = client_of(make_site(tmp_path, *week()))
    assert "Nobody has to sign in" in Page(client.get("/")).text
    assert "People" not in Page(client.get("/")).text
    assert client.get("/sign-in").headers["Location"] == "/"
    add("admin@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    assert client.get("/").status_code == 302


@in_a_file
@pytest.mark.parametrize(
    "came",
    [
        {"REMOTE_ADDR": "192.0.2.1"},
        {"REMOTE_ADDR": "::ffff:192.0.2.1"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=192.0.2.1"},
        {"HTTP_VIA": "1.1 proxy"},
        {"HTTP_X_REAL_IP": "192.0.2.1"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
        {"HTTP_X_FORWARDED_HOST": "report.example"},
    ],
)
@pytest.mark.parametrize("address", ["/", "/sign-in", "/report.csv", "/api/reports/summary", "/metrics", "/requests"])
def test_without_people_nobody_from_elsewhere_sees_a_page(tmp_path: Path, came: dict[str, str], address: str) -> None:
    answer = client_of(make_site(tmp_path, *week())).get(address, **came)
    assert answer.status_code == 403
    assert FOREIGN_WORDS.search(answer.content.decode()) is None


@pytest.mark.parametrize("setting", [{"host_names": "report.example.org"}, {"trusted_proxies": "127.0.0.1"}, {"listen": "0.0.0.0:0"}])
def test_pages_for_a_network_are_not_served_until_there_is_an_administrator(tmp_path: Path, setting: dict[str, str]) -> None:
    site = make_site(tmp_path, *week(), **({"listen": "127.0.0.1:0"} | setting))
    client_of(site)
    add("reader@contoso.example", Role.READER, PASSWORD, NOW)
    with pytest.raises(ReportError, match="user add NAME --role administrator"):
        serve(site, list, pytest.fail)
    add("admin@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    with pytest.raises(KeyboardInterrupt):
        serve(site, list, interrupt)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("", Role.READER, PASSWORD, NOW), "needs a name"),
        (("a\x1b[2J", Role.READER, PASSWORD, NOW), "needs a name"),
        (("a@b.example", Role.READER, "short", NOW), "password will not do"),
        (("a@b.example", Role.READER, "password1", NOW), "password will not do"),
        (("a@b.example", Role.DOMAINS, PASSWORD, NOW), "needs one at least"),
        (("a@b.example", Role.DOMAINS, PASSWORD, NOW, ["not a domain"]), "is not a domain"),
        (("a@b.example", Role.READER, PASSWORD, NOW, ["b.example"]), "is for the role domains"),
        (("ADMIN@contoso.example", Role.READER, PASSWORD, NOW), "is there already"),
    ],
)
@pytest.mark.usefixtures("site")
def test_people_who_cannot_be_added(arguments: tuple[Any, ...], words: str) -> None:
    before = Person.objects.count()
    with pytest.raises(PeopleError, match=words):
        add(*arguments)
    assert Person.objects.count() == before


def test_the_last_administrator_stays(site: Site) -> None:
    remove("reader@contoso.example", NOW)
    remove("owner@fabrikam.example", NOW)
    with pytest.raises(PeopleError, match="last administrator"):
        remove("admin@contoso.example", NOW)
    add("another@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    remove("admin@contoso.example", NOW)
    assert someone(site).get("/").status_code == 302


def test_hostile_names_run_nothing(site: Site) -> None:
    add("<img src=x onerror=alert(1)>", Role.READER, PASSWORD, NOW)
    text = someone(site, "admin@contoso.example").get("/people").content.decode()
    assert "<img" not in text
    assert "&lt;img src=x" in text


def test_what_a_requested_file_holds_is_what_its_reader_sees(site: Site) -> None:
    owner = someone(site, "owner@fabrikam.example")
    owner.post("/requests", {"from": "2026-11-01", "to": "2026-11-30", "format": "jsonl"})
    asked = RequestedReport.objects.get()
    until = time.monotonic() + 30
    while asked.is_open and time.monotonic() < until:
        time.sleep(0.05)
        asked.refresh_from_db()
    answer: HttpResponse = owner.get(f"/requests/{asked.pk}/file")
    lines = b"".join(answer).decode().splitlines()
    assert len(lines) == 7
    assert {json.loads(line)["account_domain"] for line in lines} == {OWN}
    assert someone(site, "admin@contoso.example").get(f"/requests/{asked.pk}/file").status_code == 404


# Behind a proxy


def came_from(site: Site, **said: str) -> tuple[str, HttpResponse]:
    """What the audit page says of where a sign-in came from, and the answer to it."""
    client = client_of(site)
    answer = client.post("/sign-in", {"name": "admin@contoso.example", "password": PASSWORD}, **said)
    return Event.objects.filter(deed="signed in").first().address, answer


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("127.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("127.0.0.1", "192.0.2.66, 198.51.100.9", "198.51.100.9"),
        ("127.0.0.1", "192.0.2.66, 198.51.100.9, 10.0.0.7", "198.51.100.9"),
        ("127.0.0.1", "10.0.0.7", "10.0.0.7"),
        ("127.0.0.1", "192.0.2.66, 198.51.100.9:51234", "127.0.0.1"),
        ("127.0.0.1", "192.0.2.66, unknown, 10.0.0.7", "10.0.0.7"),
        ("127.0.0.1", "::ffff:198.51.100.9", "198.51.100.9"),
        ("::ffff:127.0.0.1", "2001:db8::9", "2001:db8::9"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("198.51.100.20", "192.0.2.66", "198.51.100.20"),
    ],
)
def test_a_trusted_proxy_alone_says_where_a_request_comes_from(site: Site, remote: str, forwarded: str, address: str) -> None:
    behind = Site(site.store, replace(site.settings, trusted_proxies="127.0.0.1, 10.0.0.0/24"), site.clock)
    said = {"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": forwarded, "HTTP_X_FORWARDED_PROTO": "https"}
    told, answer = came_from(behind, **said)
    assert told == address
    secure = remote.endswith("127.0.0.1")
    assert bool(answer.cookies["session"]["secure"]) == ("Strict-Transport-Security" in answer.headers) == secure
    told, answer = came_from(site, **said)
    assert (told, "Strict-Transport-Security" in answer.headers) == (remote.removeprefix("::ffff:"), False)


def test_pages_are_answered_under_the_names_that_were_stated(tmp_path: Path) -> None:
    site = make_site(tmp_path, *week(), host_names="report.example.org, Report.example.net")
    client = client_of(site)
    for name, status in (("report.example.org", 200), ("report.example.net", 200), ("evil.example", 400)):
        assert client.get("/", headers={"Host": name}).status_code == status


# The command line


def user(folder: Path, *arguments: str, typed: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    command = ["user", *arguments, "--database", str(folder / "mail.duckdb")]
    return as_text(forked.run(command, os.environ, f"{typed}\n".encode()))


@in_a_file
def test_people_are_added_changed_and_removed_on_the_command_line(tmp_path: Path) -> None:
    state = tmp_path / "mail.state.sqlite3"
    refused = user(tmp_path, "list")
    assert (refused.returncode, str(state) in refused.stderr, state.exists()) == (1, True, False)
    added = user(tmp_path, "add", "Anna@Contoso.example", "--role", "administrator")
    assert (added.returncode, added.stderr) == (0, f"anna@contoso.example may sign in; people are in {state}\n")
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert user(tmp_path, "add", "owner@fabrikam.example", "--role", "domains", "--domain", "Fabrikam.example.").returncode == 0
    token = user(tmp_path, "token", "anna@contoso.example", "backup").stdout.strip()
    listed = user(tmp_path, "list").stdout.splitlines()
    assert listed == ["anna@contoso.example\tadministrator\ttokens: backup", "owner@fabrikam.example\tdomains fabrikam.example"]
    site = make_site(tmp_path, *week())
    client = client_of(site)
    assert client.post("/sign-in", {"name": "anna@contoso.example", "password": PASSWORD}).status_code == 302
    assert program(site, token).get("/api/reports").status_code == 200
    assert user(tmp_path, "password", "anna@contoso.example", typed="another fine password").returncode == 0
    assert client.get("/").status_code == 302
    assert user(tmp_path, "revoke", "anna@contoso.example", "backup").returncode == 0
    assert program(site, token).get("/api/reports").status_code == 401
    assert user(tmp_path, "remove", "anna@contoso.example").stderr.count("last administrator") == 1
    for arguments, typed, status, words in (
        (("add", "x@y.example"), "short", 1, "password will not do"),
        (("add", "x@y.example", "--domain", "y.example"), "", 1, "is for the role domains"),
        (("add", "longname@y.example"), "longname@y.example", 1, "too similar"),
        (("remove", "nobody"), "", 1, "nobody has the name nobody"),
        (("add", "x@y.example"), "bell\a and nothing else", 1, "control characters"),
        (("add", "x@y.example", "--role", "king"), "", 2, "king"),
    ):
        done = user(tmp_path, *arguments, typed=typed)
        assert (done.returncode, words in done.stderr, done.stderr.count("Traceback")) == (status, True, 0), done.stderr


@in_a_file
def test_the_server_hears_no_headers_that_only_look_alike(tmp_path: Path) -> None:
    """Nor does it send a body that was not asked for, on a connection that goes on."""
    for name, role in (("anna@contoso.example", "administrator"),):
        assert user(tmp_path, "add", name, "--role", role).returncode == 0
    command = [Path(sys.executable).with_name("smtp-auth-report"), "serve", "--database", str(tmp_path / "mail.duckdb")]
    environment = os.environ | {"SMTP_AUTH_REPORT_TRUSTED_PROXIES": "127.0.0.1"}
    with subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True, env=environment) as served:
        try:
            assert served.stderr is not None
            port = int(served.stderr.readline().rsplit(":", 1)[1].strip("/\n"))
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                lines = ["HEAD /sign-in HTTP/1.1", "Host: localhost", "X-Forwarded-For: 198.51.100.1", "X_Forwarded_For: 192.0.2.66"]
                answers = connection.makefile("rb")
                for _ in range(2):
                    connection.sendall("\r\n".join([*lines, "X_Forwarded_Proto: https", "", ""]).encode())
                    head = list(iter(answers.readline, b"\r\n"))
                    assert head[0].startswith(b"HTTP/1.1 200")
                    assert not [line for line in head if line.startswith(b"Strict-Transport")]
        finally:
            served.terminate()


@in_a_file
def test_several_processes_may_make_the_state_database_at_once(tmp_path: Path) -> None:
    names = [f"anna{number}@contoso.example" for number in range(3)]
    with ThreadPoolExecutor(3) as threads:
        added = list(threads.map(lambda name: user(tmp_path, "add", name, "--role", "administrator"), names))
    assert [done.returncode for done in added] == [0, 0, 0], [done.stderr for done in added]
    assert [line.split("\t")[0] for line in user(tmp_path, "list").stdout.splitlines()] == names


PREPARES = """
import sys
from django.db import connection
from smtp_auth_report.settings import load
from smtp_auth_report.web.application import prepare
prepare(load(flags={"database": sys.argv[1]}))
connection.cursor().execute("SELECT count(*) FROM web_person")
print("open", flush=True)
sys.stdin.read()
"""


@in_a_file
def test_what_a_process_writes_stays_there_when_another_closes_the_state_database(tmp_path: Path) -> None:
    """The last one to close it removes the write-ahead log: whoever holds no lock any more does not count."""
    state = tmp_path / "mail.state.sqlite3"
    command = [sys.executable, "-c", PREPARES, str(tmp_path / "mail.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with closing(sqlite3.connect(state)) as another:
            another.execute("SELECT count(*) FROM web_person")
        assert state.with_name(state.name + "-wal").exists()
        process.communicate()
