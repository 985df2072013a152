"""
Sign-in and what each reader sees: a reader of one domain finds nothing foreign on any route, nobody gets in without
password or token, refusals are held up, and what happened is on the page of people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from sites import NOW, Page, client_of, make_site, unread, week
from smtp_auth_report.moments import SECOND
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.models import Event, Person, RequestedReport
from smtp_auth_report.web.people import OF_BOTH, PeopleError, add, change_password, new_token, remove, revoke_token
from smtp_auth_report.web.reader import Role

PASSWORD = "correct horse battery"
OWN = "fabrikam.example"
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


def someone(site: Site, name: str = "") -> Client:
    """A browser, with the session of somebody where a name is given."""
    client = client_of(site)
    if name:
        client.force_login(Person.objects.get(name=name))
    return client


def program(site: Site, token: str) -> Client:
    client = client_of(site)
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def routes(resolver: Any = None, before: str = "/") -> Iterator[str]:
    """Every address that is answered, with what stands for its parts."""
    for entry in (resolver or get_resolver()).url_patterns:
        path = before + str(entry.pattern).lstrip("^").rstrip("$")
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        elif isinstance(entry, URLPattern):
            yield re.sub(r"<\w+:(\w+)>|<(\w+)>", lambda found: "{" + (found[1] or found[2]) + "}", path)


REPORTS = ("summary", "sending-volume", "tls-usage", "auth-methods", "clients", "failures")
PERIOD = "days=30"


def filled(path: str, request: str) -> list[str]:
    """Addresses of a route, with all that its parts may be."""
    if path.startswith("/api/reports/{"):
        return [f"/api/reports/{name}?{PERIOD}{form}" for name in REPORTS for form in ("", "&format=csv", "&format=csv&series=1")]
    if path == "/choices/{name}":
        return [f"/choices/{name}?{PERIOD}" for name in ("domain", "account", "sender", "client", "mechanism", "server", "outcome")]
    if path in ("/report", "/report.csv"):
        return [f"{path}?by={name}&view={view}&{PERIOD}" for name in REPORTS[1:] for view in ("chart", "table")]
    if path in ("/account", "/api/accounts"):
        return [f"{path}?name={name}&{PERIOD}" for name in ("crm@fabrikam.example", "anna@contoso.example", "printer@contoso.example")]
    return [path.replace("{identifier}", request)]


def test_a_reader_of_one_domain_finds_nothing_foreign_on_any_route(site: Site) -> None:
    admin, owner = someone(site, "admin@contoso.example"), someone(site, "owner@fabrikam.example")
    for client in (admin, owner):
        assert client.post("/requests", {"from": "2026-11-16", "to": "2026-11-22", "format": "jsonl"}).status_code == 302
    foreign, own = (str(each.pk) for each in RequestedReport.objects.order_by("asked", "person__name"))
    seen = 0
    for path in routes():
        if path in ("/sign-in", "/sign-out", "/language"):
            continue
        for request in (foreign, own):
            for address in filled(path, request):
                answer = owner.get(address)
                content = b"".join(answer) if answer.streaming else answer.content
                text = content.decode().replace("192.0.2.0/24", "")  # the hint that a filter gives
                for name in re.findall("name=([^&]+)", address):
                    text = text.replace(name, "")
                assert answer.status_code in (200, 403, 404, 405), address
                found = FOREIGN_WORDS.search(text)
                assert found is None, f"{address}: {text[max(0, found.start() - 60) : found.end() + 60] if found else ''}"
                seen += answer.status_code == 200
    assert seen > 40
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
    places = {tag["href"] for tag in Page(client.get("/")).named("a")}
    assert ("/people" in places, "/ingest" in places) == (people == 200, ingest == 200)


def test_nobody_gets_in_without_signing_in(site: Site) -> None:
    client = someone(site)
    for path in routes():
        for address in filled(path, "0b56b7d5-5c0e-4f0b-8a53-6a1d2a3e9d0f"):
            if path in ("/sign-in", "/sign-out", "/language"):
                continue
            answer = client.get(address)
            program = address.startswith(("/api/", "/metrics"))
            assert answer.status_code == (401 if program else 302), address
            assert FOREIGN_WORDS.search(answer.content.decode()) is None
            if program:
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert answer.headers["Content-Type"] == "application/problem+json"
    answer = client.get("/status", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (401, "true")
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


@pytest.mark.parametrize(
    "there",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "http:///evil.example", "\x00//evil.example"],
)
def test_sign_in_leads_nowhere_else(site: Site, there: str) -> None:
    answer = someone(site).post("/sign-in", {"name": "admin@contoso.example", "password": PASSWORD, "next": there})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


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
    held_up = client.post("/sign-in", {"name": "admin@contoso.example", "password": PASSWORD})
    assert (held_up.status_code, "quarter of an hour" in Page(held_up).text) == (429, True)
    assert client.post("/sign-in", {"name": "Tr0ub4dor&3 (typed in the wrong box)", "password": ""}).status_code == 403
    later = Site(site.store, site.settings, lambda: NOW + 16 * 60 * SECOND)
    admin = someone(later, "admin@contoso.example")
    told = admin.get("/people")
    assert "Tr0ub4dor" not in told.content.decode()
    assert PASSWORD not in told.content.decode()
    assert Page(told).text.count("Sign-in refused") == OF_BOTH + 1
    assert "Sign-in held up" in Page(told).text
    assert all(each.name == "" for each in Event.objects.all() if "typed" in each.name)


def test_exports_are_told(site: Site) -> None:
    owner = someone(site, "owner@fabrikam.example")
    owner.get("/report.csv?by=clients")
    owner.get("/api/reports/clients?format=csv")
    told = Page(someone(site, "admin@contoso.example").get("/people")).text
    assert told.count("Rows exported owner@fabrikam.example 127.0.0.1 clients,") == 2


def test_a_changed_password_ends_sessions(site: Site) -> None:
    client = someone(site, "reader@contoso.example")
    assert client.get("/").status_code == 200
    change_password("reader@contoso.example", "another fine password", NOW)
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


def test_without_people_the_pages_are_open_and_say_so(tmp_path: Path) -> None:
    client = client_of(make_site(tmp_path, *week()))
    assert "Nobody has to sign in" in Page(client.get("/")).text
    assert "People" not in Page(client.get("/")).text
    assert client.get("/sign-in").headers["Location"] == "/"
    add("admin@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    assert client.get("/").status_code == 302


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


def test_the_last_administrator_stays_while_there_are_others(site: Site) -> None:
    with pytest.raises(PeopleError, match="last administrator"):
        remove("admin@contoso.example", NOW)
    remove("reader@contoso.example", NOW)
    remove("owner@fabrikam.example", NOW)
    remove("admin@contoso.example", NOW)
    assert someone(site).get("/").status_code == 200


def test_hostile_names_run_nothing(site: Site) -> None:
    add("<img src=x onerror=alert(1)>", Role.READER, PASSWORD, NOW)
    text = someone(site, "admin@contoso.example").get("/people").content.decode()
    assert "<img" not in text
    assert "&lt;img src=x" in text


def test_what_a_requested_file_holds_is_what_its_reader_sees(site: Site) -> None:
    owner = someone(site, "owner@fabrikam.example")
    owner.post("/requests", {"from": "2026-11-01", "to": "2026-11-30", "format": "jsonl"})
    asked = RequestedReport.objects.get()
    for _ in range(200):
        asked.refresh_from_db()
        if not asked.is_open:
            break
        Event.objects.count()
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
        ("127.0.0.1", "10.0.0.7", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("198.51.100.20", "192.0.2.66", "198.51.100.20"),
    ],
)
def test_a_trusted_proxy_alone_says_where_a_request_comes_from(site: Site, remote: str, forwarded: str, address: str) -> None:
    behind = Site(site.store, replace(site.settings, trusted_proxies="127.0.0.1, 10.0.0.0/24"), site.clock)
    said = {"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": forwarded, "HTTP_X_FORWARDED_PROTO": "https"}
    told, answer = came_from(behind, **said)
    assert told == address
    secure = remote == "127.0.0.1"
    assert bool(answer.cookies["session"]["secure"]) == ("Strict-Transport-Security" in answer.headers) == secure
    told, answer = came_from(site, **said)
    assert (told, "Strict-Transport-Security" in answer.headers) == (remote, False)


def test_pages_are_answered_under_the_names_that_were_stated(tmp_path: Path) -> None:
    site = make_site(tmp_path, *week(), host_names="report.example.org, Report.example.net")
    client = client_of(site)
    for name, status in (("report.example.org", 200), ("report.example.net", 200), ("evil.example", 400)):
        assert client.get("/", headers={"Host": name}).status_code == status
