"""
The dashboard's cards: arranged and hidden by each reader for themselves, hidden ones ask for nothing, new ones have their place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from sites import ADMIN, NOW, READER, Page, client_of, in_a_file, make_site, person, someone, week
from smtp_auth_report.store.duckdb_snapshot import DuckSnapshot
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.arrangement import MOST_VIEWS, PANELS, TILES, arranged
from smtp_auth_report.web.models import Arrangement, SavedView
from smtp_auth_report.web.people import add
from smtp_auth_report.web.query import Query
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.saved import save

USUAL = ["SMTP AUTH clients", "Old TLS", "Passwords", "Failed sign-ins", "Ingest"]
LOWER = ["Messages by sender domain", "Against their usual volume"]


@pytest.fixture
def site(tmp_path: Path, state: str) -> Site:  # noqa: ARG001 - on each kind of state database
    site = make_site(tmp_path, *week())
    client_of(site)
    return site


def headings(client: Client) -> list[str]:
    """Of the dashboard's cards."""
    found = re.findall(r"<h2>(.*?)</h2>", client.get("/").content.decode())
    return [re.sub("<[^>]*>", "", heading) for heading in found]


def sent(client: Client, card: str, act: str) -> Page:
    """The page that comes back."""
    answer = client.post("/arrange", {"card": card, "do": act})
    assert answer.status_code == 302
    return Page(client.get(answer.headers["Location"]))


def focused(page: Page) -> str:
    [button] = [tag for tag in page.named("button") if "autofocus" in tag]
    assert "disabled" not in button
    return button["aria-label"]


def test_cards_move_hide_and_come_back(site: Site) -> None:
    client = client_of(site)
    assert headings(client) == USUAL + LOWER
    page = sent(client, "failures", "up")
    assert (focused(page), "Failed sign-ins is now number 3 of 5." in page.text) == ("Up: Failed sign-ins, 3 of 5", True)
    sent(client, "failures", "up")
    page = sent(client, "failures", "up")
    assert focused(page) == "Down: Failed sign-ins, 1 of 5"
    sent(client, "failures", "up")  # further than it goes
    sent(client, "volume", "down")
    page = sent(client, "old-tls", "hide")
    assert (focused(page), "Old TLS is hidden." in page.text) == ("Show: Old TLS", True)
    arranged_so = ["Failed sign-ins", "SMTP AUTH clients", "Passwords", "Ingest", *reversed(LOWER)]
    assert headings(client) == arranged_so
    sent(client, "old-tls", "down")  # is still hidden
    assert headings(client) == arranged_so
    assert focused(sent(client, "old-tls", "show")) == "Hide: Old TLS"
    assert headings(client) == ["Failed sign-ins", "SMTP AUTH clients", "Passwords", "Old TLS", "Ingest", *reversed(LOWER)]
    assert "usual places" in sent(client, "", "reset").text
    assert headings(client) == USUAL + LOWER


@in_a_file
@pytest.mark.parametrize(("card", "act"), [("nothing", "up"), ("old-tls", "away"), ("old-tls", ""), ("", "hide"), ("view-7", "up")])
def test_what_cannot_be_done_is_refused_in_one_line(site: Site, card: str, act: str) -> None:
    answer = client_of(site).post("/arrange", {"card": card, "do": act})
    assert (answer.status_code, "no such card" in Page(answer).text) == (400, True)
    assert not Arrangement.objects.exists()


@in_a_file
def test_an_address_alone_arranges_nothing(site: Site) -> None:
    client = client_of(site)
    for address in ("/arrange?card=old-tls&do=hide", "/arrange?card=<b>&do=up", "/arrange?card=old-tls&do=x"):
        assert client.get(address).status_code == 200
    assert headings(client) == USUAL + LOWER


def test_each_arranges_for_themselves_and_the_first_administrator_takes_over(site: Site) -> None:
    sent(client_of(site), "old-tls", "hide")
    add(ADMIN, Role.ADMINISTRATOR, "correct horse battery", NOW)
    person(READER, Role.READER)
    admin, reader = someone(site, ADMIN), someone(site, READER)
    sent(reader, "passwords", "hide")
    assert "Old TLS" not in headings(admin)
    assert "Passwords" in headings(admin)
    assert "Old TLS" in headings(reader)
    assert "Passwords" not in headings(reader)
    sent(reader, "", "reset")
    assert "Old TLS" not in headings(admin)


@pytest.mark.parametrize(
    ("usual", "stated", "order"),
    [
        ("abcd", "", "abcd"),
        ("abcd", "dcba", "dcba"),
        ("abcd", "cb", "acdb"),
        ("abcd", "ca", "cdab"),
        ("ab", "zbya", "ba"),
        ("", "ab", ""),
    ],
)
def test_a_new_card_is_behind_what_is_usually_before_it(usual: str, stated: str, order: str) -> None:
    """Of the third, d follows c wherever that has gone, and a, before which nothing is, comes first."""
    assert "".join(arranged(usual, stated)) == order


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """SQL of what is asked of the store."""
    seen: list[str] = []
    ask_all = DuckSnapshot.ask_all

    def asked(self: DuckSnapshot, selection: Any, wanted: Any) -> Any:
        seen.extend(each.question.sql for each in wanted)
        return ask_all(self, selection, wanted)

    monkeypatch.setattr(DuckSnapshot, "ask_all", asked)
    return seen


@in_a_file
def test_hidden_cards_ask_for_nothing(site: Site, questions: list[str]) -> None:
    client = client_of(site)
    save(site, "Legacy", Query(filters={"tls": ("legacy",)}), shared=False)
    keys = [*(card.key for card in (*TILES, *PANELS)), f"view-{SavedView.objects.get().pk}"]
    client.get("/")
    numbers = [len(questions)]
    for key in keys:
        sent(client, key, "hide")
        questions.clear()
        page = Page(client.get("/"))
        numbers.append(len(questions))
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[-1] == 0
    assert "All cards are hidden." in page.text
    sent(client, "old-tls", "show")
    questions.clear()
    assert headings(client) == ["Old TLS"]
    assert len(questions) == 3  # the summary, TLS by day, and what is said of them all


@in_a_file
def test_hidden_views_make_room_for_others(site: Site) -> None:
    client = client_of(site)
    for number in range(MOST_VIEWS + 1):
        save(site, f"view {number}", Query(), shared=False)
    last = f"view {MOST_VIEWS}"
    assert last not in headings(client)
    assert f"{last} saved view not shown: the first {MOST_VIEWS} views are" in Page(client.get("/arrange")).text
    sent(client, f"view-{SavedView.objects.get(name='view 0').pk}", "hide")
    assert last in headings(client)


def test_a_view_that_is_gone_leaves_its_place(site: Site) -> None:
    client = client_of(site)
    save(site, "Gone", Query(), shared=False)
    view = SavedView.objects.get()
    sent(client, f"view-{view.pk}", "up")
    assert headings(client) == [*USUAL[:-1], "Gone", "Ingest", *LOWER]
    client.post(f"/views/{view.pk}/remove")
    assert headings(client) == USUAL + LOWER
