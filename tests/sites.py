"""
Sites for tests of the pages: a real store of known rows, and a browser's side of it without a socket.

    site = make_site(tmp_path, row(...), row(...))
    client = client_of(site)                 someone(site, ADMIN) has a session, once one_of_each_role() was called
    page = Page(client.get("/report"))
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

import new_database
from rows import NOON, at, commit, row
from smtp_auth_report.changes import Changes, Commit, Gap, Unread
from smtp_auth_report.settings import PREFIX, load
from smtp_auth_report.store import open_store
from smtp_auth_report.submission import Submission
from smtp_auth_report.web.application import Site, prepare, tidy
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.site import ENVIRON_KEY

ROOT = Path(__file__).resolve().parent.parent
NOW = at("2026-11-22T15:00:00Z")
DAY = 86_400_000_000
ZONE = "Europe/Paris"
STATE = PREFIX + "STATE"
ADMIN, READER, OWNER = "admin@contoso.example", "reader@contoso.example", "owner@fabrikam.example"
HOSTILE = (
    "<img src=x onerror=alert(1)>@contoso.example",
    '"><script>alert(2)</script>@contoso.example',
    "eve\x1b[2J\u202egnp.exe@contoso.example",
)

in_a_file = pytest.mark.parametrize("state", ["sqlite"], indirect=True)
"""For a test whose fixtures use `state`, but that reads the file itself, or to which the kind makes no difference."""

PBKDF2PasswordHasher.iterations = 10_000  # of a site: a million, half a second for each password

with TemporaryDirectory() as _nowhere:
    _settings = load({"database": f"{_nowhere}/mail.duckdb"}, {})
    prepare(_settings)  # Django has to be set up before its models are imported
    NOBODY = _settings.state_path.read_bytes()
    """A state without people, which takes longer to make than most tests of a page."""

from smtp_auth_report.web.models import Person  # noqa: E402 - Django has to be set up before


@cache
def collected_assets() -> None:
    """Scripts and styles, collected once for a test run, and not at all when they are current."""
    subprocess.run([sys.executable, ROOT / "frontend.py"], cwd=ROOT, check=True, capture_output=True)


def make_site(folder: Path, *rows: Submission, changes: Changes | None = None, now: int = NOW, **settings: str) -> Site:
    """A site whose store has these rows. Its people are where the fixture `state` says."""
    collected_assets()
    flags = {"database": str(folder / "mail.duckdb"), "display_timezone": ZONE} | settings
    loaded = load(flags, {STATE: os.environ[STATE]} if STATE in os.environ else {})
    if "://" not in loaded.database:
        new_database.begin(Path(loaded.database))
    if not (loaded.state_url or loaded.state_path.exists()):
        new_database.for_its_owner(loaded.state_path, NOBODY)
    store = open_store(loaded.database, display_zone=loaded.display_timezone, clock=lambda: now)
    if rows:
        newest = Changes(newest={"mail": max(each.time for each in rows)})
        store.commit(commit(*rows))
        store.commit(Commit(newest))
    if changes is not None:
        store.commit(Commit(changes))
    return Site(store, loaded, lambda: now)


_PREPARED: list[object] = []
"""The site that Django was prepared for last, and the connection that this made: who prepares for another replaces it."""


def client_of(site: Site, **options: Any) -> Client:
    """Someone who asks a site that was just started. What takes longest of a start is done once for the same site."""
    if [site, connections["default"]] != _PREPARED:
        prepare(site.settings)
        _PREPARED[:] = [site, connections["default"]]
    tidy(site)
    return Client(SERVER_NAME="localhost", raise_request_exception=False, **options, **{ENVIRON_KEY: site})


def person(name: str, role: Role) -> Person:
    """Somebody without a password, which takes as long to hash as a whole test; of single domains theirs is fabrikam.example."""
    return Person.objects.create(name=name, role=role, password="!", domains='["fabrikam.example"]' if role == Role.DOMAINS else "[]")


def one_of_each_role() -> None:
    """ADMIN, READER and OWNER."""
    for name, role in ((ADMIN, Role.ADMINISTRATOR), (READER, Role.READER), (OWNER, Role.DOMAINS)):
        person(name, role)


def someone(site: Site, name: str = "") -> Client:
    """A browser, with the session of somebody where a name is given."""
    client = client_of(site)
    if name:
        client.force_login(Person.objects.get(name=name))
    return client


def is_in(client: Client) -> bool:
    """Whether a browser is let in."""
    return client.get("/requests").status_code == 200


def routes(resolver: Any = None, before: str = "/") -> Iterator[str]:
    """Every address that is answered, with what stands for its parts."""
    for entry in (resolver or get_resolver()).url_patterns:
        path = before + str(entry.pattern).lstrip("^").rstrip("$")
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        elif isinstance(entry, URLPattern):
            yield re.sub(r"<\w+:(\w+)>|<(\w+)>", lambda found: "{" + (found[1] or found[2]) + "}", path)


def week() -> list[Submission]:
    """Seven days of a small site: a person, a printer on TLS 1.0, a CRM with tokens, failures, two domains."""
    rows = []
    for day in range(7):
        noon = NOON + (day - 2) * DAY
        rows += [row(time=noon + minute, tls_version="TLSv1.3") for minute in range(5)]
        rows += [
            row(time=noon + minute, account="printer@contoso.example", sender="scan@contoso.example", tls_version="TLSv1.0")
            for minute in range(3)
        ]
        rows += [
            row(
                time=noon,
                account="crm@fabrikam.example",
                sender="crm@fabrikam.example",
                mechanism="XOAUTH2",
                tls_version="TLSv1.2",
                client_ip="198.51.100.7",
            )
        ]
    rows += [
        row(time=NOON, account=None, outcome="auth_failed", sender=None, client_ip="203.0.113.9", reason="credentials refused")
        for _ in range(4)
    ]
    rows += [row(time=NOON, account="relay@contoso.example", sender="relay@contoso.example", tls_version="none", mechanism="LOGIN")]
    return rows


def hostile() -> list[Submission]:
    """Names written by attackers, in every field that a client writes."""
    return [row(time=NOON, account=name, sender=name, helo=name[:60], client_name=name[:60]) for name in HOSTILE]


def unread() -> Changes:
    """Two lines that no expression knows, and a gap."""
    lines = [Unread("postfix", "mail", "no expression matched", NOON, f"sample {number}: sasl_username=<masked>") for number in range(2)]
    return Changes(unread=lines, gaps=[Gap("mail", NOON, "rate limit", 12)])


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def until(done: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if done():
            return
        time.sleep(0.05)
    pytest.fail("it never came to that")


class Page(HTMLParser):
    """What an answer's HTML holds: tags with attributes, text, tables as rows of text."""

    def __init__(self, answer: HttpResponse) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.typed: set[str] = set()  # names of the program itself, as <code> has them
        self.rows: list[list[str]] = []
        self._silent = 0
        self._in_code = 0
        self._in_cell = False
        self._goes_on = False
        self.feed(answer.content.decode())

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def named(self, tag: str) -> Iterable[dict[str, str]]:
        return (attributes for name, attributes in self.tags if name == tag)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._silent += tag in ("script", "style")
        self._in_code += tag == "code"
        self._goes_on = tag == "wbr"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")
        self._in_code -= tag == "code"
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._goes_on:
            self.words[-1] += data
            self._goes_on = False
        else:
            self.words.append(data)
        if self._in_code:
            self.typed.add(data)
        if self._in_cell:
            self.rows[-1][-1] += data
