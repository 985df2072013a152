"""
Saved views: kept, opened, changed and removed by those who may; nobody learns a name from one that is not theirs to know; a view
of another version says what it is that this one does not know.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
from django.test import Client

from rows import NOON
from sites import ADMIN, DAY, NOW, OWNER, READER, Page, client_of, in_a_file, make_site, one_of_each_role, someone, week
from smtp_auth_report.errors import SelectionError
from smtp_auth_report.reports import REPORTS, Wanted, ask, ask_each
from smtp_auth_report.store.interface import Selection, View
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.arrangement import MOST_VIEWS
from smtp_auth_report.web.models import Person, SavedView
from smtp_auth_report.web.people import add, remove
from smtp_auth_report.web.query import Query, kept
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.saved import save, views

PASSWORD = "correct horse battery"
OWN = "fabrikam.example"
OLD_TLS = {"by": "tls-usage", "view": "table", "days": "30", "tls": "legacy"}


@pytest.fixture
def site(tmp_path: Path, state: str) -> Site:  # noqa: ARG001 - on each kind of state database
    site = make_site(tmp_path, *week())
    client_of(site)
    return site


@pytest.fixture
def people(site: Site) -> Site:
    """The site, with somebody of each role."""
    one_of_each_role()
    return site


def seen_by(site: Site, name: str) -> Site:
    return site.as_seen_by(Person.objects.get(name=name).reader)


def links(page: Page) -> list[str]:
    return [link["href"] for link in page.named("a")]


def tiles(client: Client) -> list[str]:
    """Words of the dashboard's cards, those of saved views last."""
    content = client.get("/").content.decode().partition('<div class="lower">')[0]
    return content.split('<section class="box tile">')[6:]


def test_a_view_is_saved_from_the_page_listed_opened_renamed_and_removed(site: Site) -> None:
    client = client_of(site)
    fields = [tag for tag in Page(client.get("/report", OLD_TLS | {"page": "2"})).named("input") if tag.get("type") == "hidden"]
    assert {tag["name"]: tag["value"] for tag in fields}.items() >= OLD_TLS.items()
    answer = client.post("/views", OLD_TLS | {"name": " Old TLS ", "page": "2"})
    address = "/report?by=tls-usage&view=table&days=30&tls=legacy"
    assert answer.headers["Location"] == address
    current = [tag["href"] for tag in Page(client.get(address)).named("a") if tag.get("aria-current") == "true"]
    assert current.count(address) == 3  # of its report, its period and the saved views
    assert [cells[:2] for cells in Page(client.get("/views")).rows][1:] == [["Old TLS", "TLS usage, TLS version: Below 1.2, Last 30 days"]]
    assert address in links(Page(client.get("/views")))
    number = SavedView.objects.get().pk
    assert client.post(f"/views/{number}", {"name": "Printers"}).headers["Location"] == "/views"
    assert [cells[0] for cells in Page(client.get("/views")).rows][1:] == ["Printers"]
    client.post(f"/views/{number}/remove")
    assert "None yet" in Page(client.get("/views")).text
    assert client.post(f"/views/{number}/remove").status_code == 404


REFUSED = [
    ({"name": "  "}, "needs a name of 80"),
    ({"name": "x" * 81}, "needs a name of 80"),
    ({"name": "a\x1b[2J"}, "needs a name of 80"),
    ({"name": "Taken"}, "“Taken” already"),
    ({"name": "x", "by": "nothing"}, "there is no report"),
    ({"name": "x", "tls": "TLSv9"}, "is not known"),
    ({"name": "x", "from": "yesterday"}, "is not a date"),
    ({"name": "x", "sort": "colour"}, "cannot be sorted by"),
]


@in_a_file
def test_what_cannot_be_saved_is_refused_in_one_line(site: Site) -> None:
    save(site, "Taken", Query(), shared=False)
    client = client_of(site)
    for form, words in REFUSED:
        answer = client.post("/views", form)
        assert (answer.status_code, words in Page(answer).text) == (400, True), form
    assert SavedView.objects.count() == 1


def form_of(page: Page, action: str) -> dict[str, str]:
    """What stands in a form, ticks among it."""
    tags = iter(page.tags)
    next(None for name, attributes in tags if name == "form" and attributes["action"] == action)
    fields = takewhile(lambda tag: tag[0] != "button", tags)
    entered = [attributes for name, attributes in fields if name == "input"]
    return {field["name"]: field.get("value", "on") for field in entered if field.get("type") != "checkbox" or "checked" in field}


@in_a_file
def test_a_refused_name_is_said_in_the_form_which_keeps_what_was_entered(people: Site) -> None:
    client = someone(people, READER)
    for name in ("Alte Drucker\u200f", "x" * 81):
        answer = client.post("/views", OLD_TLS | {"name": name, "shared": "on"})
        page = Page(answer)
        assert (answer.status_code, "A view needs a name of 80" in page.text) == (400, True)
        assert form_of(page, "/views").items() >= (OLD_TLS | {"name": name, "shared": "on"}).items()
        assert [tag["id"] for tag in page.named("details") if "open" in tag] == ["views"]
    save(seen_by(people, READER), "Old TLS", Query(), shared=False)
    save(seen_by(people, READER), "Taken", Query(), shared=False)
    number, other = SavedView.objects.get(name="Old TLS").pk, SavedView.objects.get(name="Taken").pk
    answer = client.post(f"/views/{number}", {"name": " Taken", "shared": "on"}, headers={"Accept-Language": "fr"})
    page = Page(answer)
    assert (answer.status_code, "Il y a déjà une vue « Taken »" in page.text) == (400, True)
    assert form_of(page, f"/views/{number}").items() >= {"name": " Taken", "shared": "on"}.items()
    assert form_of(page, f"/views/{other}").get("shared") is None
    assert page.text.count("Il y a déjà") == sum("open" in tag for tag in page.named("details")) == 1


def test_there_are_only_so_many(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smtp_auth_report.web.saved.MOST", 2)
    for number in range(2):
        save(site, str(number), Query(), shared=False)
    with pytest.raises(SelectionError, match="remove one first"):
        save(site, "3", Query(), shared=False)


def test_a_view_of_another_version_says_what_this_one_does_not_know(site: Site) -> None:
    for state in ("by=tls-usage&country=FR&tls=legacy", "by=retirement", "by=tls-usage&tls=TLSv1.4"):
        SavedView.objects.create(name=state, state=state)
    client = client_of(site)
    words = ("This version does not know country.", "there is no report 'retirement'", "tls 'TLSv1.4' is not known")
    for address in ("/", "/views"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert [text for text in words if text not in Page(answer).text] == []
    assert client.get("/report").status_code == 200
    with pytest.raises(SelectionError, match="does not know country"):
        kept("country=FR", "UTC", NOW)


def test_what_is_not_shared_is_nobody_elses(people: Site) -> None:
    save(seen_by(people, READER), "Private one", Query(), shared=False)
    number = SavedView.objects.get().pk
    for name in (ADMIN, OWNER):
        client = someone(people, name)
        for address in ("/", "/views", "/report"):
            assert "Private one" not in client.get(address).content.decode()
        assert client.post(f"/views/{number}", {"name": "Mine"}).status_code == 404
        assert client.post(f"/views/{number}/remove").status_code == 404
    assert SavedView.objects.get().name == "Private one"


def test_who_sees_everything_shares_and_administrators_tidy_up(people: Site) -> None:
    client = someone(people, READER)
    client.post("/views", OLD_TLS | {"name": "Old TLS", "shared": "on"})
    number = SavedView.objects.get().pk
    assert "everybody, shared by reader@contoso.example" in Page(someone(people, ADMIN).get("/views")).text
    assert someone(people, OWNER).post(f"/views/{number}", {"name": "Mine"}).status_code == 404
    save(seen_by(people, ADMIN), "Admin's", Query(), shared=True)
    other = SavedView.objects.get(name="Admin's").pk
    assert client.post(f"/views/{other}/remove").status_code == 404
    someone(people, ADMIN).post(f"/views/{number}", {"name": "Old TLS of all", "shared": "on"})
    assert [opened.title for opened in views(seen_by(people, READER))] == ["Old TLS of all", "Admin's"]
    someone(people, ADMIN).post(f"/views/{number}/remove")
    assert not SavedView.objects.filter(pk=number).exists()


def test_a_reader_of_domains_shares_nothing(people: Site) -> None:
    client = someone(people, OWNER)
    assert "shared" not in [tag.get("name") for tag in Page(client.get("/report")).named("input")]
    client.post("/views", {"name": "Mine", "shared": "on"})
    assert not SavedView.objects.get().shared
    assert views(seen_by(people, ADMIN)) == []
    assert [opened.title for opened in views(seen_by(people, OWNER))] == ["Mine"]


SHARED: list[tuple[dict[str, tuple[str, ...]], bool]] = [
    ({"tls": ("legacy",), "outcome": ("accepted",), "service": ("smtp",), "auth-class": ("basic",), "mechanism": ("PLAIN",)}, True),
    ({"account": ("CRM@fabrikam.example",), "sender": ("<>", "x@Fabrikam.example"), "domain": (OWN, "unknown")}, True),
    ({"account": ("printer@contoso.example",)}, False),
    ({"account": ("crm@fabrikam.example", "printer@contoso.example")}, False),
    ({"account": ("printer",)}, False),
    ({"sender": ("scan@contoso.example",)}, False),
    ({"domain": ("contoso.example",)}, False),
    ({"domain": ("sub.fabrikam.example",)}, False),
    ({"client": ("192.0.2.10",)}, False),
    ({"server": ("contoso",)}, False),
    ({"mechanism": ("contoso.example",)}, False),
]
"""Filters, and whether a reader of fabrikam.example alone sees a shared view of them."""


@in_a_file
def test_a_shared_view_tells_a_reader_of_domains_nothing_foreign(people: Site) -> None:
    for filters, seen in SHARED:
        SavedView.objects.all().delete()
        save(seen_by(people, ADMIN), "printer@contoso.example, the contoso one", Query(filters=filters), shared=True)
        assert len(views(seen_by(people, OWNER))) == seen, filters
        assert len(views(seen_by(people, READER))) == 1
        client = someone(people, OWNER)
        for address in ("/", "/views", "/report"):
            text = client.get(address).content.decode()
            assert [word for word in ("contoso", "printer", "192.0.2.10") if word in text] == []


def test_neither_a_search_nor_a_state_of_another_version_is_shown_to_a_reader_of_domains(people: Site) -> None:
    save(seen_by(people, ADMIN), "Search", Query(search="contoso"), shared=True)
    SavedView.objects.create(person=Person.objects.get(name="admin@contoso.example"), name="Later", state="company=contoso", shared=True)
    assert views(seen_by(people, OWNER)) == []
    assert len(views(seen_by(people, READER))) == 2


def test_figures_of_a_shared_view_are_cut_to_the_readers_domains(people: Site) -> None:
    save(seen_by(people, ADMIN), "All", Query(), shared=True)
    assert ">64<" in tiles(someone(people, READER))[0]
    own = tiles(someone(people, OWNER))[0]
    assert ">7<" in own
    assert "Sending volume" in own
    assert "from 1 account<" in own


def test_views_of_nobody_go_to_the_first_administrator_and_with_their_person(site: Site) -> None:
    save(site, "Early", Query(), shared=True)
    add("reader@contoso.example", Role.READER, PASSWORD, NOW)
    assert views(seen_by(site, READER)) == []
    add("admin@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    assert [opened.title for opened in views(seen_by(site, ADMIN))] == ["Early"]
    assert views(seen_by(site, READER)) == []
    save(seen_by(site, READER), "Gone", Query(), shared=True)
    remove("reader@contoso.example", NOW)
    assert [opened.title for opened in views(seen_by(site, ADMIN))] == ["Early"]


@in_a_file
def test_cards_have_the_figures_of_the_dashboards_period(site: Site) -> None:
    save(site, "1 old", Query(report="tls-usage", days=90, filters={"tls": ("legacy",)}), shared=False)
    save(site, "2 failures", Query(report="failures"), shared=False)
    save(site, "3 search", Query(report="clients", view="table", search="crm@"), shared=False)
    save(site, "4 long ago", Query(first="2020-01-01", last="2020-01-02"), shared=False)
    old, failures, search, ago = tiles(client_of(site))
    for card, figure, words in (
        (old, ">21<", "from 1 account<"),
        (failures, ">4<", "0 failed TLS handshakes<"),
        (search, ">7<", ">messages<"),
        (ago, ">64<", "from 4 accounts<"),
    ):
        assert figure in card
        assert words in card
    assert "/report?by=tls-usage&amp;days=90&amp;tls=legacy" in old


@in_a_file
def test_only_so_many_views_have_a_card(site: Site) -> None:
    for number in range(MOST_VIEWS + 2):
        save(site, f"view {number}", Query(), shared=False)
    assert len(tiles(client_of(site))) == MOST_VIEWS


@in_a_file
def test_tables_of_several_filters_are_those_of_each(site: Site) -> None:
    week_of = Selection(NOON - 7 * DAY, NOON + 5 * DAY, "UTC")
    filters: list[dict[str, tuple[str, ...]]] = [{}, {"tls": ("legacy",)}, {}, {"domain": (OWN,)}, {"tls": ("legacy",)}]
    names = ["summary", "tls-usage", "failures", "clients", "sending-volume"]
    wanted = [(each, Wanted(REPORTS[name], View())) for each, name in zip(filters, names, strict=True)]
    alone = [ask(REPORTS[name], site.store, replace(week_of, filters=each)) for each, name in zip(filters, names, strict=True)]
    assert ask_each(site.store, week_of, wanted) == alone
    assert ask_each(site.store, week_of, []) == []
