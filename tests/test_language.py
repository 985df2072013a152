"""
The pages in each language that has a catalog: nothing is left in English, figures and dates are as the language has them,
the reader's choice counts, and what programs read stays as it is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po
from django.http import HttpResponse
from django.test import Client
from django.utils.formats import number_format
from django.utils.translation import get_language, override

from ingesting import Site as CommandLine
from reading import log, session
from rows import NOON, row
from sites import DAY, NOW, ZONE, Page, client_of, make_site, person, unread, week
from smtp_auth_report import words
from smtp_auth_report.cli import commands as commands_of
from smtp_auth_report.user_commands import user
from smtp_auth_report.web import configuration, wording
from smtp_auth_report.web.detail import Detail
from smtp_auth_report.web.digests import claim, subscribe, token_of
from smtp_auth_report.web.models import Deed, Mail, Person, RequestedReport, Sending, Subscription
from smtp_auth_report.web.people import add, note
from smtp_auth_report.web.reader import Role
from smtp_server import SETTINGS
from strings import SHOWN, WEB, Marked, details, errors, marked, modules, of_python, unmarked

CATALOGS = sorted(words.LOCALE.glob("*/LC_MESSAGES/django.po"))
STRINGS = marked()
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%|\{\w+(?:!r)?\}")
ENTRY = re.compile(r'^(?:msgctxt ".*"\n)?msgid ".*"\n(?:".*"\n)*', re.MULTILINE)
TAG = re.compile(r"</?\w+[^>]*>")
PASSWORD = "correct horse battery"
PARIS = ZoneInfo(ZONE)
SPACE, NARROW = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"

PAGES = (
    "/", "/flyout", "/ingest", "/exchange-online", "/requests", "/views", "/arrange", "/nowhere", "/status",
    "/arrange?card=old-tls&do=up", "/arrange?do=reset",
    "/report", "/report?by=tls-usage", "/report?by=auth-methods", "/report?by=failures", "/report?view=table&tls=legacy&q=scan",
    "/report?by=tls-usage&view=table", "/report?by=auth-methods&view=table", "/report?by=clients", "/report?by=failures&view=table",
    "/report?days=30&domain=contoso.example&domain=fabrikam.example", "/report?account=nobody", "/report?from=2020-01-01&to=2020-01-02",
    "/report?from=2026-11-20T10:00:00&to=2026-11-20T12:00:00", "/account?name=printer%40contoso.example",
)  # fmt: skip

SAME = {
    "Messages", "messages", "Total", "Clients", "Client", "Service", "Format", "HELO", "OAuth", "Exchange Online", "Pages", "Domain",
    "SSL 3", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3", "SMTP (25)", "Submission (587)", "Submissions (465)",
}  # fmt: skip
"""Strings that French may have as English does, or that are part of such a word."""


def catalog(path: Path) -> Catalog:
    with path.open("rb") as opened:
        return read_po(opened, locale=path.parent.parent.name)


def entries(path: Path) -> dict[tuple[str | None, str], Message]:
    return {(entry.context, entry.id if isinstance(entry.id, str) else entry.id[0]): entry for entry in catalog(path) if entry.id}


def forms(text: Any) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return client_of(make_site(tmp_path, *week(), changes=unread()))


def french(client: Client, address: str, **options: Any) -> HttpResponse:
    return cast("HttpResponse", client.get(address, headers={"Accept-Language": "fr"}, **options))


# The catalog


def test_there_are_strings_and_catalogs() -> None:
    assert len(STRINGS) > 300
    assert "fr" in [path.parent.parent.name for path in CATALOGS]


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parent.parent.name)
def test_every_string_is_translated(path: Path) -> None:
    known = entries(path)
    missing = [f"{text.place}: {text.single}" for text in STRINGS if text.key not in known]
    assert missing == []
    assert [text.single for text in STRINGS if text.plural and forms(known[text.key].id) != (text.single, text.plural)] == []
    assert [entry.id for entry in known.values() if not all(forms(entry.string)) or entry.fuzzy] == []


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parent.parent.name)
def test_no_entry_is_stale(path: Path) -> None:
    assert sorted(set(entries(path)) - {text.key for text in STRINGS}, key=str) == []
    assert list(catalog(path).obsolete) == []


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parent.parent.name)
def test_no_entry_stands_twice(path: Path) -> None:
    counted = Counter(ENTRY.findall(path.read_text(encoding="utf-8")))
    assert len(counted) > len(STRINGS) / 2
    assert [entry for entry, times in counted.items() if times > 1] == []


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parent.parent.name)
def test_a_translation_keeps_placeholders_and_tags(path: Path) -> None:
    for entry in entries(path).values():
        for number, translated in enumerate(forms(entry.string)):
            original = forms(entry.id)[min(number, len(forms(entry.id)) - 1)]
            for pattern in (PLACEHOLDER, TAG):
                assert sorted(pattern.findall(translated)) == sorted(pattern.findall(original)), translated


@pytest.mark.parametrize("text", ["a: b", "a : b", "a ; b", "really ?", "« a »"])
def test_a_french_space_that_can_break_is_found(text: str) -> None:
    assert breakable(text)


def breakable(text: str) -> bool:
    """Whether a French text has a mark without the space that belongs before it, or with one at which a line may end."""
    places = r"\w+://\S+|journal:(?=(?:,| et) graph:)|(?:graph|mail|https|postgresql):|[A-Z]+:PORT"
    without_codes = re.sub(rf"{places}|\d+(?::\d+)+|H:i(:s)?|\w:\d+|!r|\S*::\S*", "", text)
    return bool(re.search(rf"[^{SPACE}{NARROW}][;:?!»]|«[^{SPACE}{NARROW}]", without_codes)) or "'" in text


def test_french_has_its_spaces_and_apostrophes() -> None:
    path = words.LOCALE / "fr" / "LC_MESSAGES" / "django.po"
    assert [text for entry in entries(path).values() for text in forms(entry.string) if breakable(text)] == []


TERMS = {
    "SMTP AUTH clients report": "Rapport de clients d\N{RIGHT SINGLE QUOTATION MARK}authentification SMTP",
    "Sending volume": "Volume d\N{RIGHT SINGLE QUOTATION MARK}envoi",
    "TLS usage": "Utilisation de TLS",
    "View details table": "Afficher la table des détails",
    "View report": "Afficher le rapport",
    "View data by": "Afficher les données par",
    "Show data for": "Afficher les données pour",
    "Request report": "Demander un rapport",
    "Filters": "Filtres",
    "Mail flow": "Flux de messagerie",
    "Dashboard": "Tableau de bord",
    "Sender": "Expéditeur",
}
"""
Of Microsoft's page of July 2019 that this report is modelled on, "SMTP AUTH clients report" or "Rapport de clients
d'authentification SMTP", in both languages: who knew it finds the same words.
"""


def test_terms_are_those_that_administrators_know() -> None:
    known = entries(words.LOCALE / "fr" / "LC_MESSAGES" / "django.po")
    assert {text: known[None, text].string for text in TERMS} == TERMS


def test_pages_have_these_terms(client: Client) -> None:
    told = " ".join(french(client, path).text for path in ("/", "/report", "/report?view=table", "/requests"))
    assert [term for term in TERMS.values() if term not in told] == []


def test_a_string_that_no_catalog_could_have_is_refused(tmp_path: Path) -> None:
    module = tmp_path / "page.py"
    module.write_text('gettext("one")\nngettext("one", "many", 2)\ngettext(name)\n', encoding="utf-8")
    found = of_python(module)
    assert next(found) == Marked("one", None, None, "page.py:1")
    assert next(found) == Marked("one", "many", None, "page.py:2")
    with pytest.raises(AssertionError, match=r"page\.py:3"):
        next(found)


def test_words_that_are_shown_are_marked() -> None:
    """What errors say, commands print, and notes of reading tell."""
    shown = errors() | SHOWN
    assert {"InputError", "GraphError", "PeopleError"} <= shown
    assert [text for path in modules() for text in unmarked(path, shown)] == []


def test_words_without_a_mark_are_found(tmp_path: Path) -> None:
    module = tmp_path / "page.py"
    lines = (
        'raise InputError(f"{path}: no such file")',
        'click.echo(worded("{n} rows: {words}", n=count(rows), words="or so"))',
        'self.notes.append("odd" if odd else worded("even"))',
        'self.problem = "broken"',
        'echo(f"{place}: {words}" + table["rows"] + worded("{n} rows", n=count(rows)) + f"{part:>3.0f} %")',
    )
    module.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert sorted(text.split(":")[1] for text in unmarked(module, {"InputError", "echo"})) == ["1", "2", "3", "4"]


def test_words_in_templates_are_marked() -> None:
    """Between tags and in attributes that are read out stands nothing but tags of Django."""
    unmarked = []
    for path in sorted((WEB / "templates").glob("*.html")):
        source = path.read_text(encoding="utf-8")
        source = re.sub(r"(?s)\{% blocktranslate.*?endblocktranslate %\}|<(script|code|svg|defs)\b.*?</\1>", "", source)
        shown = re.sub(r"(?s)\{%.*?%\}|\{\{.*?\}\}", "", source)
        texts = [*re.sub(r"(?s)<[^>]*>", "\n", shown).split("\n"), *re.findall(r'(?:aria-label|title|placeholder|alt)="([^"]*)"', shown)]
        unmarked += [f"{path.name}: {text.strip()}" for text in texts if re.search(r"[A-Za-z]{2}", text)]
    assert unmarked == []


def test_a_language_is_one_file(tmp_path: Path) -> None:
    for name in ("de", "pt_BR"):
        folder = tmp_path / name / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / "django.mo").touch()
    (tmp_path / "it" / "LC_MESSAGES").mkdir(parents=True)
    assert configuration._translated(tmp_path) == [("de", "Deutsch"), ("pt-br", "Portugu\u00eas brasileiro")]


# The pages


@pytest.mark.parametrize("address", PAGES)
def test_no_page_has_english_left(client: Client, address: str) -> None:
    check_french(french(client, address))


def test_pages_of_an_empty_site_have_no_english_left(tmp_path: Path) -> None:
    empty = client_of(make_site(tmp_path))
    for address in ("/", "/flyout", "/report", "/ingest", "/exchange-online", "/requests"):
        check_french(french(empty, address))


def test_what_a_log_does_not_tell_is_said_in_the_language(tmp_path: Path) -> None:
    told = client_of(make_site(tmp_path, row(time=NOON, service="unknown", mechanism="unknown")))
    pages = [f"/report?by={by}&view=table" for by in ("clients", "auth-methods")]
    for address in (*pages, "/report?by=auth-methods", "/account?name=anna%40contoso.example"):
        text = Page(french(told, address)).text
        assert ("inconnu" in text.lower(), "unknown" in text) == (True, False), address


def test_pages_of_people_have_no_english_left(client: Client) -> None:
    add("anna", Role.ADMINISTRATOR, PASSWORD, NOW)
    check_french(french(client, "/sign-in"))
    sent = {"name": "anna", "password": "wrong"}
    check_french(client.post("/sign-in", sent, headers={"Accept-Language": "fr"}))
    client.post("/sign-in", {"name": "anna", "password": PASSWORD}, headers={"Accept-Language": "fr"})
    check_french(french(client, "/people"))
    for shared in ({}, {"shared": "on"}):
        client.post("/views", {"name": f"Vue {shared}", "by": "failures"} | shared)
    for do in ("hide", "show"):
        client.post("/arrange", {"card": "ingest", "do": do})
        check_french(french(client, f"/arrange?card=ingest&do={do}"))
    for address in ("/views", "/report", "/"):
        check_french(french(client, address))
    check_french(french(client, "/me"))
    client.post("/me/second-factor/new")
    check_french(french(client, "/me/second-factor"))
    check_french(client.post("/me/second-factor", {"code": "1"}, headers={"Accept-Language": "fr"}))
    Person.objects.update(factor_salt="ab" * 16)
    client.post("/sign-in", sent | {"password": PASSWORD})
    check_french(french(client, "/sign-in/code"))
    check_french(client.post("/sign-in/code", {"code": "1"}, headers={"Accept-Language": "fr"}))


def test_what_people_did_has_no_english_left(client: Client) -> None:
    client.force_login(person("anna", Role.ADMINISTRATOR))
    values = {"period": {"first": "2026-11-16", "last": "2026-11-22"}, "limit": 1000, "left": 9}
    for text, given in details().items():
        assert re.findall(r"{(\w+)", text) == given
        note(Deed.CHANGED, NOW, Detail(text, {name: values.get(name, "contoso") for name in given}))
    answer = french(client, "/people")
    check_french(answer)
    assert answer.text.count("</bdi></td></tr>") == len(details()) > 40


def test_pages_of_a_provider_have_no_english_left(tmp_path: Path) -> None:
    client = client_of(make_site(tmp_path, oidc_issuer="https://login.contoso.example", oidc_client_id="report"))
    add("anna", Role.ADMINISTRATOR, PASSWORD, NOW)
    check_french(french(client, "/sign-in"))
    check_french(french(client, "/sign-in/openid/back"))


def test_pages_of_mail_have_no_english_left(tmp_path: Path) -> None:
    site = make_site(tmp_path, *week(), mail_server="localhost:25", **SETTINGS)
    client = client_of(site)
    names = ("anna@contoso.example", "ben@contoso.example")
    for name in names:
        subscribe(site.as_seen_by(person(name, Role.ADMINISTRATOR).reader), "week", name, "fr", ZONE)
    client.force_login(Person.objects.get(name=names[0]))
    token = token_of(Subscription.objects.latest("pk"))
    for sent in (Sending.WAITING, Sending.SENT, Sending.FAILED):
        claim(replace(site, clock=lambda: NOW + 7 * DAY))
        Mail.objects.update(state=sent, sent=NOW, failure="535" if sent == Sending.FAILED else "")
        for address in ("/requests", "/digests", f"/unsubscribe/{token}"):
            check_french(french(client, address))
    check_french(client.post(f"/unsubscribe/{token}", headers={"Accept-Language": "fr"}))


@pytest.mark.parametrize(
    ("address", "status", "french"),
    [
        ("/report?from=2026-99-99", 400, "from '2026-99-99' n\u2019est pas une date"),
        ("/report?by=nothing", 400, "il n\u2019y a pas de rapport 'nothing'"),
        ("/report?tls=nothing", 400, "tls 'nothing' est inconnu"),
        ("/report?from=2026-11-20&to=2026-11-01", 400, "la période se termine avant de commencer"),
    ],
)
def test_an_error_is_in_the_readers_language(client: Client, address: str, status: int, french: str) -> None:
    answer = client.get(address, headers={"Accept-Language": "fr"})
    assert answer.status_code == status
    assert french in Page(answer).text
    check_french(cast("HttpResponse", answer))


def test_a_question_asked_beside_speaks_the_pages_language(tmp_path: Path) -> None:
    with make_site(tmp_path).store.snapshot() as seen, words.speaking("fr"):
        assert seen.beside(lambda _: words.language())() == "fr"


def test_a_process_that_speaks_french_answers_each_in_its_own(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_of_process", ["fr"])
    assert client.get("/api/reports/tls-usage?from=x").json()["detail"].startswith("from 'x' is not a date")
    assert "is not a date" in Page(client.get("/report?from=x")).text
    assert "n\u2019est pas une date" in Page(french(client, "/report?from=x")).text


def check_french(answer: HttpResponse) -> None:
    """Neither the text nor what is read out has a string of the catalog in English."""
    page = Page(answer)
    attributes = ("title", "aria-label", "placeholder", "data-label", "data-auto", "data-light", "data-dark")
    spoken = [
        *(word for word in page.words if word not in page.typed),
        *(tag[1][name] for tag in page.tags for name in attributes if name in tag[1]),
    ]
    shown = {" ".join(text.split()) for text in spoken} - {""}
    left = [text for text in shown for english in ENGLISH if english.fullmatch(text)]
    assert left == []
    if "html" in (name for name, _ in page.tags):
        assert [tag["lang"] for tag in page.named("html")] == ["fr"]
        assert answer.headers["Content-Language"] == "fr"


def _expression(text: str) -> re.Pattern[str]:
    """A string with anything in place of its placeholders."""
    pieces = [re.escape(re.sub(r"\s+", " ", piece)) for piece in re.split(r"%\(\w+\)[sd]|\{\w+(?:!r)?\}", text.strip().replace("%%", "%"))]
    return re.compile(".+".join(pieces).replace(r"\ ", " "))


def _english() -> list[re.Pattern[str]]:
    """What French says otherwise, and has words of its own beside the placeholders."""
    known = entries(words.LOCALE / "fr" / "LC_MESSAGES" / "django.po")
    pairs = [
        pair
        for entry in known.values()
        for pair in zip(forms(entry.id), forms(entry.string), strict=True)
        if pair[0] != pair[1] and re.search(r"[A-Za-z]{2}", PLACEHOLDER.sub("", pair[0]))
    ]
    return [_expression(single) for single, _ in pairs if single not in SAME]


ENGLISH = _english()


# Figures and dates


@pytest.mark.parametrize(
    ("say", "english", "french"),
    [
        (lambda: wording.count(1234567), "1,234,567", f"1{NARROW}234{NARROW}567"),
        (lambda: wording.share(0.0123), f"1.2{SPACE}%", f"1,2{NARROW}%"),
        (lambda: wording.share(0.0001), f"<0.1{SPACE}%", f"<{SPACE}0,1{NARROW}%"),
        (lambda: wording.ratio(3.25), "\N{MULTIPLICATION SIGN}3.2", "\N{MULTIPLICATION SIGN}3,2"),
        (lambda: wording.size(1_500_000), f"1.5{SPACE}MB", f"1,5{SPACE}Mo"),
        (lambda: wording.day_range(date(2026, 11, 16), date(2026, 11, 23)), "16\N{EN DASH}23 Nov 2026", "16\N{EN DASH}23 nov. 2026"),
        (lambda: wording.day_range(date(2026, 7, 30), date(2026, 8, 2)), "30 Jul\N{EN DASH}2 Aug 2026", "30 juil.\N{EN DASH}2 août 2026"),
        (lambda: wording.dated(datetime(2026, 11, 20, 12, 5, tzinfo=PARIS), wording.TIME), "12:05", "12:05"),
        (lambda: wording.Moment.of(NOON, PARIS).exact, "Wed 18 Nov 2026 13:00:00 CET", "mer. 18 nov. 2026 13:00:00 CET"),
        (lambda: wording.Moment.of(NOON, PARIS).short(NOW), "18 Nov 13:00", "18 nov. 13:00"),
        (lambda: wording.Moment.of(NOON, PARIS).ago(NOON + DAY), "1 day ago", "il y a 1 jour"),
        (lambda: wording.Moment.of(NOON, PARIS).ago(NOON), "0 seconds ago", f"il y a 0{SPACE}s"),
    ],
)
def test_figures_and_dates_follow_the_language(say: Callable[[], str], english: str, french: str) -> None:
    said = []
    for language in ("en", "fr"):
        with override(language):
            said.append(say())
    assert said == [english, french]


@pytest.mark.parametrize("language", ["en", *words.languages()])
def test_figures_below_the_pages_are_the_same(language: str) -> None:
    with words.speaking(language), override(language):
        assert [words.count(number) for number in (0, 999, 1234567)] == [wording.count(number) for number in (0, 999, 1234567)]
        assert words.count(1234.5) == wording.count(1234) + number_format(0.5, decimal_pos=1)[1:]


def test_the_chart_has_dates_words_and_the_sign_of_the_language(client: Client) -> None:
    figures = [json.loads(tag["data-figures"]) for tag in Page(french(client, "/report")).named("div") if "data-figures" in tag]
    (chart,) = figures
    assert [chart["slots"][0][name] for name in ("label", "title", "first")] == ["16 nov.", "lun. 16 nov. 2026", "2026-11-16"]
    assert chart["words"]["per_cent"] == f"#{NARROW}%"


def machine_values(answer: HttpResponse) -> list[str]:
    """Without the token against forged forms, which is another one each time."""
    tags = [tag for kind in ("input", "option", "a", "time") for tag in Page(answer).named(kind)]
    return [tag[name] for tag in tags if tag.get("name") != "csrfmiddlewaretoken" for name in ("value", "href", "datetime") if name in tag]


def test_what_machines_read_is_the_same(client: Client) -> None:
    """Values of fields, addresses, CSV, JSON, problems."""
    for address in PAGES:
        assert machine_values(client.get(address)) == machine_values(french(client, address)), address
    api = ("/api/reports/tls-usage", "/api/ingest", "/api/nowhere", "/api/reports/tls-usage?days=x")
    for address in ("/report.csv?by=tls-usage", "/metrics", *api):
        assert client.get(address).content == french(client, address).content, address


def test_a_bar_of_progress_is_a_number_of_html(client: Client) -> None:
    RequestedReport.objects.create(format="csv", progress="running", done=1, total=8, asked=NOW, start=NOON, end=NOW, zone=ZONE)
    assert [bar["value"] for bar in Page(french(client, "/requests/progress")).named("progress")] == ["0.1250"]


# The choice


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("fr", "fr"),
        ("FR-ca", "fr"),
        ("eo, fr;q=0.5, en;q=0.4", "fr"),
        ("en-GB, fr;q=0.9", "en"),
        ("fr;q=0, en", "en"),
        ("eo", "en"),
        ("*", "en"),
        ("", "en"),
        ("fr;q=many", "en"),
        ("../../fr", "en"),
        ("fr\x00", "en"),
        ("\u00e9\u202e", "en"),
        (",;=" * 400, "en"),
        ("xx-" * 400 + ",fr", "en"),
    ],
)
def test_the_browser_says_the_language(client: Client, asked: str, language: str) -> None:
    answer = client.get("/nowhere", headers={"Accept-Language": asked})
    assert [tag["lang"] for tag in Page(answer).named("html")] == [language]
    assert {"Accept-Language", "Cookie"} <= set(answer.headers["Vary"].split(", "))


def test_a_page_leaves_the_language_of_the_thread_alone(client: Client) -> None:
    with override("en"):
        french(client, "/")
        assert get_language() == "en"


def test_the_foot_offers_the_other_language(client: Client) -> None:
    for language, other in (("en", "fr"), ("fr", "en")):
        page = Page(client.get("/", headers={"Accept-Language": language}))
        offered = [tag for tag in page.named("button") if tag.get("name") == "language"]
        assert other in [tag["value"] for tag in offered if tag["value"] == tag["lang"]]
        assert language not in [tag["value"] for tag in offered]
        assert {"en": "English", "fr": "Fran\u00e7ais"}[other] in page.words


def choose(client: Client, language: str, page: str | None = None) -> HttpResponse:
    headers = {"Accept-Language": "en"} | ({"Referer": page} if page else {})
    return cast("HttpResponse", client.post("/language", {"language": language}, headers=headers))


def test_the_choice_is_kept_and_leads_back(client: Client) -> None:
    answer = choose(client, "fr", "http://localhost/report?by=tls-usage")
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://localhost/report?by=tls-usage")
    cookie = answer.cookies["language"]
    assert (cookie.value, cookie["samesite"], cookie["httponly"], cookie["path"]) == ("fr", "Lax", True, "/")
    assert "Tableau de bord" in Page(client.get("/", headers={"Accept-Language": "en"})).text
    choose(client, "en")
    assert "Tableau de bord" not in Page(french(client, "/")).text


@pytest.mark.parametrize("language", ["", "../fr", "fr\r\nX: y", "x" * 5000])
def test_a_language_that_is_not_there_is_not_chosen(client: Client, language: str) -> None:
    assert "language" not in choose(client, language).cookies


@pytest.mark.parametrize("language", ["", "eo", "../fr", "x" * 3000])
def test_a_cookie_of_another_language_says_nothing(client: Client, language: str) -> None:
    client.cookies["language"] = language
    assert [tag["lang"] for tag in Page(french(client, "/nowhere")).named("html")] == ["fr"]


def test_only_a_form_of_ours_chooses(tmp_path: Path) -> None:
    strict = client_of(make_site(tmp_path), enforce_csrf_checks=True)
    assert strict.get("/language?language=fr").status_code == 405
    assert choose(strict, "fr").status_code == 403


def test_whoever_has_to_sign_in_may_choose_before(client: Client) -> None:
    add("anna", Role.ADMINISTRATOR, PASSWORD, NOW)
    assert choose(client, "fr", "http://localhost/sign-in").cookies["language"].value == "fr"
    assert "Mot de passe" in Page(client.get("/sign-in")).text


# The command line


class Told(NamedTuple):
    status: int
    lines: list[str]


@pytest.fixture
def commands(tmp_path: Path) -> Callable[..., Told]:
    """The program, for somebody whose machine speaks French, or as the environment says."""
    site = CommandLine(tmp_path, begun=False)

    def run(*arguments: str | Path, given: bytes | None = None, **environment: str) -> Told:
        site.environment |= {"LC_ALL": "fr_FR.UTF-8", "LANGUAGE": "", "PYTHONIOENCODING": "utf-8"} | environment
        ran = site.run(*arguments, given=given)
        return Told(ran.returncode, (ran.stdout + ran.stderr).decode().splitlines())

    return run


def check_no_english(lines: list[str]) -> None:
    shown = [" ".join(line.split()).removeprefix("smtp-auth-report: ") for line in lines]
    assert [line for line in shown for english in ENGLISH if english.fullmatch(line)] == []


def test_what_reading_tells_is_in_the_language(commands: Callable[..., Told], tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(log(*session(), *["postfix/qmgr[1]: statistics"] * 1100, f"postfix/smtpd[1]: {'x' * 9000}"))
    told = commands("ingest", "--timezone", "UTC", path)
    assert told.status == 0
    assert told.lines[0] == f"Nouveaux enregistrements\u00a0: 1 acceptés{NARROW}; 0 révisés, 0 déjà connus."
    assert told.lines[1].startswith(f"Lignes\u00a0: 1{NARROW}1")
    assert told.lines[1].endswith("1 non interprétées; 1 ligne de plus de 8 Kio.")
    assert any(line.startswith(f"Note\u00a0: {path}\u00a0: ses horodatages") for line in told.lines)
    check_no_english(told.lines)
    check_no_english(commands("doctor", "--timezone", "UTC", path).lines)


def test_refusals_are_in_the_language(commands: Callable[..., Told], tmp_path: Path) -> None:
    for arguments, status, french in (
        (("export",), 1, f"smtp-auth-report: {tmp_path / 'mail.duckdb'}\u00a0: base inexistante{NARROW};"),
        (("ingest", tmp_path / "none.log"), 1, f"smtp-auth-report: {tmp_path / 'none.log'}\u00a0: fichier inexistant"),
        (("ingest",), 2, "Erreur\u00a0: Argument manquant 'FICHIER...'."),
        (("report", "summary", "--from", "soon"), 2, "smtp-auth-report: from 'soon' n\u2019est pas une date"),
        (("user", "list"), 1, f"smtp-auth-report: {tmp_path / 'state.sqlite3'}\u00a0: personne n\u2019y a encore été ajouté{NARROW};"),
        (("user", "add", "anna"), 1, "smtp-auth-report: le mot de passe ne convient pas\u00a0: Ce mot de passe est trop court."),
        (("serve", "--listen", "here"), 1, "smtp-auth-report: --listen: listen 'here' n\u2019est pas une adresse avec un port"),
    ):
        told = commands(*arguments, given=b"short\n")
        assert told.status == status
        assert told.lines[-1].startswith(french)
        check_no_english(told.lines)


HELP = [("--help",), *((name, "--help") for name in commands_of.commands), *(("user", name, "--help") for name in user.commands)]
GIVEN_AWAY = re.compile(r"\b(the|of|and|is|with|for|who|which|what|that|default|row|file|name)\b|\b(FILE|NAME|VALUE|COMMAND)\b")
"""Words that no French help has."""


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_help_is_in_the_language(commands: Callable[..., Told], arguments: tuple[str, ...]) -> None:
    told, english = commands(*arguments), commands(*arguments, LC_ALL="C")
    assert (told.status, english.status) == (0, 0)
    check_no_english(told.lines)
    assert [line for line in told.lines if GIVEN_AWAY.search(line)] == []
    assert [line for line in english.lines if GIVEN_AWAY.search(line)]


def test_a_table_has_headings_of_the_language_and_json_has_not(commands: Callable[..., Told], tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(log(*session()))
    commands("ingest", "--year", "2026", path)
    period = ("report", "sending-volume", "--from", "2026-11-01", "--to", "2026-11-30")
    assert commands(*period).lines[0].split("  ")[0] == "expéditeur"
    assert commands(*period, "--format", "csv").lines[0].startswith("sender,sender_domain,account,messages")
    assert commands(*period).lines != commands(*period, LC_ALL="C").lines
    assert commands(*period, "--format", "json").lines == commands(*period, "--format", "json", LC_ALL="C").lines


@pytest.mark.parametrize("environment", [{"LC_ALL": "C"}, {"LC_ALL": "eo"}, {"PYTHONIOENCODING": "latin-1"}])
def test_elsewhere_commands_speak_english(commands: Callable[..., Told], tmp_path: Path, environment: dict[str, str]) -> None:
    told = commands("ingest", tmp_path / "none.log", **environment)
    assert told.lines == [f"smtp-auth-report: {tmp_path / 'none.log'}: no such file"]
