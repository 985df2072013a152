"""
The API of what belongs to whoever asks: kept, listed and forgotten by its own token alone, and no other page makes a browser
change anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client

from sites import ADMIN, NOW, OWNER, READER, ZONE, client_of, in_a_file, make_site, one_of_each_role, someone, until, week
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.arrangement import move
from smtp_auth_report.web.models import Event, Mail, Person, RequestedReport, SavedView, Subscription
from smtp_auth_report.web.people import named, new_token
from smtp_auth_report.web.postbox import post
from smtp_auth_report.web.query import Query
from smtp_auth_report.web.saved import save
from smtp_server import SETTINGS, SmtpServer

pytestmark = pytest.mark.usefixtures("state")

OLD_TLS = {"name": "Old TLS", "report": "tls-usage", "view": "table", "days": 30, "filters": {"tls": ["legacy"]}, "sort": "-messages"}
WEEK = {"from": "2026-11-16", "to": "2026-11-22"}


@pytest.fixture
def site(tmp_path: Path, server: SmtpServer) -> Site:
    site = make_site(tmp_path, *week(), mail_server=server.address, **SETTINGS)
    client_of(site)
    one_of_each_role()
    return site


def program(site: Site, name: str) -> Client:
    """A program of somebody's."""
    client = client_of(site)
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {new_token(named(name), str(uuid4()), NOW)}"
    return client


def sent(client: Client, address: str, content: Any, **options: Any) -> HttpResponse:
    return client.post(address, content, content_type="application/json", **options)


def test_who_asks(site: Site) -> None:
    told = {name: program(site, name).get("/api/me").json() for name in (ADMIN, OWNER)}
    assert told[ADMIN] == {"name": ADMIN, "role": "administrator", "domains": None}
    assert told[OWNER] == {"name": OWNER, "role": "domains", "domains": ["fabrikam.example"]}


def test_a_view_is_kept_listed_and_forgotten(site: Site) -> None:
    client = program(site, READER)
    answer = sent(client, "/api/views", OLD_TLS | {"shared": True})
    assert (answer.status_code, answer.headers["Content-Type"]) == (201, "application/json")
    [view] = client.get("/api/views").json()
    assert view == answer.json()
    number = view.pop("number")
    assert view == {
        "name": "Old TLS",
        "own": True,
        "shared": True,
        "shared_by": None,
        "may_change": True,
        "problem": "",
        "report": "tls-usage",
        "view": "table",
        "from": "",
        "to": "",
        "days": 30,
        "filters": {"tls": ["legacy"]},
        "q": "",
        "sort": "-messages",
        "address": "/report?by=tls-usage&view=table&days=30&tls=legacy&sort=-messages",
        "table": "/api/reports/tls-usage?days=30&tls=legacy&sort=-messages",
    }
    assert client.get(view["table"]).json()["totals"]["tls_1_0"] == 21
    assert someone(site, READER).get(view["address"]).status_code == 200
    again = sent(client, "/api/views", OLD_TLS)
    assert (again.status_code, "already" in again.json()["detail"]) == (400, True)
    assert client.delete(f"/api/views/{number}").status_code == 204
    assert (client.get("/api/views").json(), client.delete(f"/api/views/{number}").status_code) == ([], 404)


def test_views_of_others_are_there_as_far_as_they_are_shared(site: Site) -> None:
    client = program(site, READER)
    sent(client, "/api/views", OLD_TLS | {"shared": True})
    sent(client, "/api/views", OLD_TLS | {"name": "Mine", "filters": {"account": ["anna@contoso.example"]}})
    sent(client, "/api/views", OLD_TLS | {"name": "Of anna", "filters": {"account": ["anna@contoso.example"]}, "shared": True})
    SavedView.objects.create(person=named(READER), name="Later", state="country=FR", shared=True)
    admin, owner = (program(site, name).get("/api/views").json() for name in (ADMIN, OWNER))
    assert [(view["name"], view["shared_by"], view["may_change"]) for view in admin] == [
        ("Later", READER, True),
        ("Of anna", READER, True),
        ("Old TLS", READER, True),
    ]
    assert (admin[0]["problem"], admin[0]["address"]) == ("This version does not know country.", None)
    assert [(view["name"], view["shared_by"], view["may_change"]) for view in owner] == [("TLS usage, TLS version: Below 1.2", None, False)]
    mine = SavedView.objects.get(name="Mine").pk
    for name in (ADMIN, OWNER):
        assert program(site, name).delete(f"/api/views/{mine}").status_code == 404
    assert program(site, OWNER).delete(f"/api/views/{owner[0]['number']}").status_code == 404
    assert sent(program(site, OWNER), "/api/views", {"name": "Own", "shared": True}).json()["shared"] is False


def test_a_file_is_asked_for_taken_and_forgotten(site: Site) -> None:
    client = program(site, OWNER)
    answer = sent(client, "/api/requests", WEEK | {"format": "jsonl", "columns": ["account", "sender"], "filters": {"tls": ["TLSv1.2"]}})
    asked = answer.json()
    assert (answer.status_code, asked["columns"], asked["filters"]) == (201, ["account", "sender"], {"tls": ["TLSv1.2"]})
    assert asked["period"]["to"] == "2026-11-23T00:00:00+01:00"
    until(lambda: client.get("/api/requests").json()[0]["progress"] == "done")
    [asked] = client.get("/api/requests").json()
    lines = b"".join(client.get(asked["address"])).splitlines()
    assert lines == [b'{"account":"crm@fabrikam.example","sender":"crm@fabrikam.example"}'] * 7
    assert program(site, ADMIN).delete(f"/api/requests/{asked['id']}").status_code == 404
    assert client.delete(f"/api/requests/{asked['id']}").status_code == 204
    assert (client.get("/api/requests").json(), client.get(asked["address"]).status_code) == ([], 404)
    assert client.delete(f"/api/requests/{asked['id']}").status_code == 404


def test_a_file_that_is_being_made_is_given_up(site: Site) -> None:
    client = program(site, READER)
    number = str(RequestedReport.objects.create(person=named(READER), asked=NOW, start=0, end=NOW, zone="UTC", format="csv").pk)
    assert client.delete(f"/api/requests/{number}").status_code == 204
    assert not RequestedReport.objects.exists()


def test_mail_of_a_token_goes_to_its_person_alone(site: Site, server: SmtpServer) -> None:
    client = program(site, ADMIN)
    sent(client, "/api/requests", WEEK | {"mail": True})
    until(lambda: client.get("/api/requests").json()[0]["progress"] == "done")
    assert client.get("/api/requests").json()[0]["mails"][0]["state"] == "waiting"
    post(site)
    [mail] = client.get("/api/requests").json()[0]["mails"]
    assert mail == {"address": ADMIN, "state": "sent", "sent": "2026-11-22T15:00:00Z", "due": None, "failure": ""}
    assert [taken.recipients for taken in server.taken] == [[ADMIN]]
    for address, content in (("/api/requests", WEEK | {"mail": "eve@evil.example"}), ("/api/digests", {"address": "eve@evil.example"})):
        assert sent(client, address, content).status_code == 400
    assert Mail.objects.count() == 1


def test_a_digest_is_begun_listed_and_ended(site: Site) -> None:
    client = program(site, READER)
    begun = sent(client, "/api/digests", {"every": "month", "language": "fr"})
    own = {"name": READER, "every": "month", "address": READER, "language": "fr", "zone": ZONE, "mail": None}
    assert (begun.status_code, begun.json(), client.get("/api/digests").json()) == (201, own, [own])
    sent(program(site, ADMIN), "/api/digests", {"zone": "Asia/Tokyo"})
    assert [digest["name"] for digest in program(site, ADMIN).get("/api/digests").json()] == [ADMIN, READER]
    assert program(site, OWNER).get("/api/digests").json() == []
    for wrong in ({"every": "hour"}, {"zone": "Mars/Olympus"}, {"language": "xx"}, {"adress": READER}):
        assert sent(client, "/api/digests", wrong).status_code == 400
    assert client.delete("/api/digests").status_code == 204
    assert (client.delete("/api/digests").status_code, Subscription.objects.get().person.name) == (404, ADMIN)
    assert [event.told for event in Event.objects.filter(name=READER)].count(f"no digest to {READER} any more") == 1


@in_a_file
def test_where_no_mail_is_sent_there_is_no_digest(tmp_path: Path) -> None:
    site = make_site(tmp_path, *week())
    client_of(site)
    one_of_each_role()
    for address, content in (("/api/digests", {}), ("/api/requests", {"mail": True})):
        answer = sent(program(site, ADMIN), address, content)
        assert (answer.status_code, "no mail is sent to you" in answer.json()["detail"]) == (400, True)
    assert not RequestedReport.objects.exists()


def test_cards_are_in_the_readers_order(site: Site) -> None:
    seen = site.as_seen_by(Person.objects.get(name=READER).reader)
    move(seen, "ingest", "hide")
    move(seen, "old-tls", "up")
    told = program(site, READER).get("/api/cards").json()
    assert [card["key"] for card in told] == ["old-tls", "accounts", "passwords", "failures", "ingest", "volume", "unusual"]
    assert [card["key"] for card in told if card["hidden"]] == ["ingest"]
    assert told[0] == {"key": "old-tls", "label": "Old TLS", "row": "tiles", "hidden": False}


CHANGES = (
    ("post", "/api/views", {"name": "x"}),
    ("post", "/api/requests", {}),
    ("post", "/api/digests", {}),
    ("delete", "/api/views/{view}", None),
    ("delete", "/api/requests/{request}", None),
    ("delete", "/api/digests", None),
)


def test_nothing_is_changed_without_a_token(site: Site) -> None:
    """A browser sends its session along with what a page of somebody else makes it ask for."""
    owner = site.as_seen_by(named(ADMIN).reader)
    save(owner, "Mine", Query(), shared=False)
    sent(program(site, ADMIN), "/api/digests", {})
    request = RequestedReport.objects.create(person=named(ADMIN), asked=NOW, start=0, end=NOW, zone="UTC", format="csv")
    before = (SavedView.objects.count(), RequestedReport.objects.count(), Subscription.objects.count())
    for method, address, content in CHANGES:
        path = address.format(view=SavedView.objects.latest("pk").pk, request=request.pk)
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            answer = getattr(someone(site, ADMIN), method)(path, content or "", content_type=kind)
            assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")
        assert getattr(client_of(site), method)(path).status_code == 401
    assert (SavedView.objects.count(), RequestedReport.objects.count(), Subscription.objects.count()) == before


@in_a_file
def test_nothing_is_changed_by_the_word_of_a_proxy(tmp_path: Path) -> None:
    """A browser sends its session with the proxy along, too."""
    site = make_site(tmp_path, *week(), trusted_proxies="10.0.0.0/24", user_header="Remote-User")
    client = client_of(site, REMOTE_ADDR="10.0.0.7", HTTP_REMOTE_USER=ADMIN)
    one_of_each_role()
    assert client.get("/api/me").json()["name"] == ADMIN
    for method, address, content in CHANGES:
        answer = getattr(client, method)(address.format(view=1, request=uuid4()), content or "", content_type="application/json")
        assert (answer.status_code, "takes a token" in answer.json()["detail"]) == (403, True)


@in_a_file
def test_where_nobody_signs_in_nothing_is_changed(tmp_path: Path) -> None:
    client = client_of(make_site(tmp_path, *week()))
    assert client.get("/api/me").json() == {"name": None, "role": "administrator", "domains": None}
    for method, address, content in CHANGES:
        answer = getattr(client, method)(address.format(view=1, request=uuid4()), content or "", content_type="application/json")
        assert (answer.status_code, "takes a token" in answer.json()["detail"]) == (403, True)


@in_a_file
@pytest.mark.parametrize(
    ("content", "kind", "status", "words"),
    [
        ('{"name": "x"}', "text/plain", 415, "Content-Type: application/json"),
        ("{", "application/json", 400, "Cannot parse request body"),
        ('{"name": "x", "colour": "red"}', "application/json", 400, "colour: Extra inputs are not permitted"),
        ('{"name": "x", "filters": {"color": []}}', "application/json", 400, "color: Extra inputs are not permitted"),
        ('{"name": "x", "filters": {"tls": ["TLSv9"]}}', "application/json", 400, "is not known"),
        ('{"name": "x", "report": "summary"}', "application/json", 400, "report"),
        ('{"name": "x", "days": 3, "from": "2026-11-01"}', "application/json", 400, "either days"),
        ('{"name": "x", "sort": "colour"}', "application/json", 400, "cannot be sorted by"),
        ('{"name": " "}', "application/json", 400, "needs a name"),
        ("{}", "application/json", 400, "name: Field required"),
    ],
)
def test_what_cannot_be_taken_is_a_problem_detail(site: Site, content: str, kind: str, status: int, words: str) -> None:
    answer = program(site, READER).post("/api/views", content, content_type=kind)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]
    assert not SavedView.objects.exists()


@in_a_file
@pytest.mark.parametrize(
    ("address", "content", "words"),
    [
        ("requests", {"format": "pdf"}, "there is no format 'pdf'; formats are csv"),
        ("digests", {"every": "year"}, "those of every day, week, month"),
    ],
)
def test_a_word_that_is_not_known_is_refused(site: Site, address: str, content: dict[str, str], words: str) -> None:
    answer = sent(program(site, READER), f"/api/{address}", content)
    assert (answer.status_code, words in answer.json()["detail"]) == (400, True)
    assert (RequestedReport.objects.exists(), Subscription.objects.exists()) == (False, False)


@in_a_file
def test_a_view_that_is_none_is_refused(site: Site) -> None:
    client = program(site, READER)
    for address in ("/api/views/0", f"/api/views/{2**63}", "/api/views/x", "/api/requests/x"):
        assert client.delete(address).status_code == 400, address
    gone = client.delete(f"/api/views/{2**63 - 1}")
    assert (gone.status_code, gone.json()["detail"]) == (404, "there is nothing like that here")


def test_as_many_filters_as_an_address_may_have_are_enough(site: Site) -> None:
    client = program(site, ADMIN)
    asked = sent(client, "/api/requests", {"filters": {"client": [f"10.0.{number // 256}.{number % 256}" for number in range(1001)]}})
    assert (asked.status_code, "too many filters" in asked.json()["detail"]) == (400, True)


def test_half_a_character_is_kept_as_one_that_is_not_known(site: Site) -> None:
    client = program(site, ADMIN)
    kept = sent(client, "/api/views", {"name": "x", "report": "clients", "q": "\ud800", "filters": {"account": ["\ud800"]}})
    assert kept.status_code == 201
    assert client.get("/api/views").status_code == 200


def test_a_token_sends_no_mail_again(site: Site) -> None:
    client = program(site, ADMIN)
    assert client.post("/mail/00000000-0000-0000-0000-000000000000/retry").status_code == 403
