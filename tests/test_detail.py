"""
Details of what people did, on their page and in the API: in the language of whoever reads, and no longer or wilder than
what a page can show.
"""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from sites import NOW, client_of, make_site, person, week
from smtp_auth_report.web.detail import LONGEST, detail
from smtp_auth_report.web.models import Deed, Event, Person
from smtp_auth_report.web.people import let_in_by_groups, new_token, note, note_refusal
from smtp_auth_report.web.reader import Role

pytestmark = pytest.mark.usefixtures("state")

DASH, NARROW = "\N{EN DASH}", "\N{NARROW NO-BREAK SPACE}"


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """An administrator's."""
    made = client_of(make_site(tmp_path, *week()))
    made.force_login(person("anna", Role.ADMINISTRATOR))
    return made


def told(client: Client, language: str) -> list[str]:
    """Details on the page, the latest first."""
    rows = client.get("/people", headers={"Accept-Language": language}).text.rpartition("<tbody")[2].split("</bdi></td></tr>")[:-1]
    return [unescape(row.rpartition("<bdi>")[2]) for row in rows]


def in_api(client: Client) -> list[str]:
    return [event["detail"] for event in client.get("/api/events", headers={"Accept-Language": "fr"}).json()["rows"]]


def test_a_detail_is_in_the_language_of_whoever_reads(client: Client) -> None:
    let_in_by_groups("ben", Role.DOMAINS, ["contoso.example", "fabrikam.example"], NOW)
    for language, address in (
        ("fr", "/report.csv?days=30"),
        ("en", "/report.csv?by=clients&from=2026-11-20T10:00:00&to=2026-11-20T12:00:00"),
        ("fr", "/api/reports/auth-methods?format=csv&limit=2000"),
    ):
        assert client.get(address, headers={"Accept-Language": language}).status_code == 200
    assert told(client, "fr") == [
        f"Méthodes d\N{RIGHT SINGLE QUOTATION MARK}authentification, 16{DASH}22 nov. 2026, 2{NARROW}000 lignes au plus, au format CSV",
        f"Clients, 20 nov. 2026 10:00{DASH}12:00, au format CSV",
        f"Volume d\N{RIGHT SINGLE QUOTATION MARK}envoi, 24 oct.{DASH}22 nov. 2026, au format CSV",
        "ajouté comme lecteur de contoso.example, fabrikam.example",
    ]
    english = [
        f"Authentication methods, 16{DASH}22 Nov 2026, 2,000 rows at most, as CSV",
        f"Clients, 20 Nov 2026 10:00{DASH}12:00, as CSV",
        f"Sending volume, 24 Oct{DASH}22 Nov 2026, as CSV",
        "added as reader of contoso.example, fabrikam.example",
    ]
    assert told(client, "en") == in_api(client) == english


def test_what_an_earlier_version_put_together_is_told_as_it_is(client: Client) -> None:
    kept = [f"clients, 16{DASH}22 Nov 2026, as CSV", "token '{0.__class__}' made", "token {label!r} is no pattern", "100 %s {"]
    call_command("migrate", "web", "0012", verbosity=0)
    with connection.cursor() as cursor:
        for text in reversed(kept):
            fields = {"time": NOW, "deed": "changed", "detail": text, "name": "", "name_key": "", "address": "", "network": ""}
            cursor.execute(f"INSERT INTO web_event ({', '.join(fields)}) VALUES (%s, %s, %s, %s, %s, %s, %s)", list(fields.values()))
    call_command("migrate", "web", verbosity=0)
    assert told(client, "fr") == told(client, "en") == in_api(client) == kept


def test_a_value_is_told_as_it_is_and_shown_as_what_it_is(client: Client) -> None:
    new_token(Person.objects.get(), "{label} {0.__class__} %s <b>", NOW)
    note(Deed.CHANGED, NOW, detail("removed \x1b[2J{name}", name="\x00\x1b[2J\u202e\udcff{name}"), name="anna")
    for language in ("en", "fr"):
        hostile, token = told(client, language)
        assert hostile == "removed ␛[2J␀␛[2J⟨U+202E⟩\\xff{name}"
        assert "'{label} {0.__class__} %s <b>'" in token
    assert in_api(client)[0].endswith("{name}")


def test_a_value_is_cut(client: Client) -> None:
    note(Deed.CHANGED, NOW, detail("OpenID Connect: {reason}", reason=detail("reader of {domains}", domains="x" * 100_000)))
    assert told(client, "en") == [f"OpenID Connect: reader of {'x' * LONGEST}"]
    assert len(Event.objects.get().values) < 2 * LONGEST


def test_the_same_refusal_is_told_once_in_a_while_and_another_at_once(client: Client) -> None:
    for word in ("no", "no", "denied", "no"):
        note_refusal(detail("the provider said {word}", word=word), NOW, "192.0.2.1")
    assert told(client, "en") == ["the provider said denied", "the provider said no"]
