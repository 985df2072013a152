"""
Every page for everybody: axe-core finds nothing against WCAG 2.2 AA on any of them, in both languages and themes, with an
administrator signed in; and the keyboard alone leads from sign-in to a downloaded file.

Pages are those that the program has routes for, so that a new one is covered by itself: as its plain address, or as
ADDRESSES says where it needs more.

ACCESSIBLE=all in the environment looks at each page in either theme in either language: twice the time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from uuid import uuid4

import pytest
from browsing import AXE, IN_A_BROWSER, WIDE, served
from django.db import connections
from django.test import Client

from rows import NOON, row
from sites import DAY, NOW, client_of, hostile, make_site, routes, unread, week
from smtp_auth_report.changes import Changes, Commit, Counted, Intake
from smtp_auth_report.reports.rhythms import Every
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.digests import token_of
from smtp_auth_report.web.models import Mail, Person, Progress, RequestedReport, SavedView, Sending, Subscription
from smtp_auth_report.web.people import add, named, new_token
from smtp_auth_report.web.query import CHARTED, PIVOTS
from smtp_auth_report.web.reader import Role
from smtp_server import SETTINGS

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = IN_A_BROWSER

ADMIN, CODED, PASSWORD = "admin@contoso.example", "coded@contoso.example", "correct horse battery"
STEPS = ("/sign-in/code", "/me/second-factor")
"""Pages that another one leads to, and no address by itself."""

ADDRESSES = {
    "/report": (
        *(f"/report?by={by}" for by in CHARTED),
        *(f"/report?by={by}&view=table" for by in PIVOTS[1:]),
        "/report?view=table&tls=legacy&tls=TLSv1.3&domain=contoso.example",
        "/report?account=nobody%40contoso.example",
    ),
    "/account": ("/account?name=printer%40contoso.example",),
    "/choices/{name}": ("/choices/account?account=",),
    "/requests/{identifier}/file": (),  # a file
    "/mailed/{token}": (),  # a file
    "/sign-in/openid": (),  # leads to a provider
    "/sign-in/openid/back": (),
    **dict.fromkeys(STEPS, ()),
    "/views/{number}": (),  # takes forms alone
    "/views/{number}/remove": (),
    "/arrange": ("/arrange", "/arrange?card=ingest&do=hide"),
}
"""What to open of a route that needs more than its address."""

LANGUAGES, THEMES = ("en", "fr"), ("light", "dark")
LOOKED_AT = list(product(LANGUAGES, THEMES) if os.environ.get("ACCESSIBLE") == "all" else zip(LANGUAGES, THEMES, strict=True))

MAIL = SETTINGS | {"mail_server": "localhost:25"}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"], "resultTypes": ["violations"]}


def pages(client: Client) -> list[str]:
    """Addresses that answer a whole page. Parts of one are looked at within it."""
    found = []
    for route in routes():
        if route.startswith("/api/"):
            continue
        plain = route.replace("{identifier}", str(uuid4())).replace("{token}", token_of(Subscription.objects.get()))
        for address in ADDRESSES.get(route, (plain,)):
            answer = client.get(address)
            if answer.status_code == 405 or not answer.headers["Content-Type"].startswith("text/html"):
                continue
            assert answer.status_code == 200, f"{address} cannot be looked at: say in ADDRESSES how it is opened"
            found += [address] if answer.content.lstrip().lower().startswith(b"<!doctype") else []
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With something in every box of every page."""
    entra = row(time=NOON, source="entra", outcome="no_mail", sender=None, mechanism="unknown")
    postfix = row(time=NOON, source="postfix", tls_version="unknown", tls_cipher=None)
    made = make_site(tmp_path_factory.mktemp("site"), *week(), *hostile(), entra, postfix, changes=unread(), notice="Sample data", **MAIL)
    counted = [
        Counted(file, line, f"scan{line}@contoso.example", "contoso.example", f"{line}", 10, None, 0.5, 0, 0.5, None, "Basic", day, day)
        for line, (file, day) in enumerate((("one", NOON - 9 * DAY), ("two", NOON)))
    ]
    for each in counted:
        made.store.commit(Commit(Changes(counted=[each]), file=f"{each.report}.csv"))
    made.store.commit(Commit(Changes(), intake=Intake("/var/log/mail.log", 100, 60, 2, 7, 10.0, 0.7, 4096, "no such file", NOW)))
    client_of(made)
    add(ADMIN, Role.ADMINISTRATOR, PASSWORD, NOW)
    add(CODED, Role.READER, PASSWORD, NOW)
    Person.objects.filter(name=CODED).update(factor_salt="ab" * 16)
    add("<img src=x onerror=alert(1)>", Role.DOMAINS, PASSWORD, NOW, ["fabrikam.example"])
    new_token(named(ADMIN), "backup script", NOW)
    asked = {"person": named(ADMIN), "asked": NOW - DAY, "start": NOON, "end": NOW, "zone": "Europe/Paris", "format": "csv"}
    for progress in (Progress.DONE, Progress.FAILED, Progress.CANCELLED):
        RequestedReport.objects.create(**asked, progress=progress, failure="The disk is full." if progress == Progress.FAILED else "")
    ready = RequestedReport.objects.get(progress=Progress.DONE)
    Mail.objects.create(request=ready, address=ADMIN, language="en", due=NOW, state=Sending.FAILED, failure="The server is away.")
    Subscription.objects.create(person=named(ADMIN), every=Every.WEEK, address=ADMIN, language="en", zone="Europe/Paris", told=NOW)
    SavedView.objects.create(person=named(ADMIN), name="Old TLS", state="by=tls-usage&tls=legacy", shared=True)
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def opened(site: Site) -> list[str]:
    client = client_of(site)
    client.force_login(Person.objects.get(name=ADMIN))
    found = pages(client)
    connections.close_all()
    return [*found, "/nothing-here"]


@pytest.fixture(scope="module")
def address(site: Site, opened: list[str]) -> Iterator[str]:  # noqa: ARG001 - Django is asked before Playwright's loop runs
    server, base = served(site)
    yield base
    server.stop()


def signed_in(page: playwright.Page, name: str = ADMIN, leads_to: str = "**/") -> None:
    page.goto("/sign-in")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(leads_to)


def violations(page: playwright.Page) -> list[str]:
    found = page.evaluate("rules => axe.run(rules)", RULES)["violations"]
    return [f"{each['id']}: {node['html'][:200]}: {node['failureSummary']}" for each in found for node in each["nodes"][:1]]


def test_every_page_is_for_everybody(opened: list[str], address: str, browser: playwright.Browser) -> None:
    context = browser.new_context(viewport=WIDE, base_url=address, bypass_csp=True, color_scheme="light", reduced_motion="reduce")
    context.add_init_script(path=AXE)
    page = context.new_page()
    found: list[str] = []

    def look(path: str) -> None:
        for language, theme in LOOKED_AT:
            context.add_cookies([{"name": "language", "value": language, "url": address}])
            page.emulate_media(color_scheme=theme)
            page.goto(path)
            assert page.get_attribute("html", "lang") == language
            page.wait_for_selector(f"html[data-bs-theme={theme}]", state="attached")
            found.extend(f"{path} {language} {theme}: {told}" for told in violations(page))

    look("/sign-in")
    signed_in(page)
    for path in opened:
        look(path)
    page.goto("/me")
    page.click("form[action='/me/second-factor/new'] button")
    look("/me/second-factor")
    page.click("form[action='/sign-out'] button")
    signed_in(page, CODED, "**/sign-in/code")
    look("/sign-in/code")
    context.close()
    assert not found, "\n".join(found)
    assert {"/", "/flyout", "/ingest", "/exchange-online", "/people", "/requests", "/sign-in"} <= set(opened)


def test_a_page_that_is_new_is_looked_at_or_missed(site: Site, opened: list[str]) -> None:
    del site
    assert set(ADDRESSES) <= set(routes())
    assert len(opened) == len(set(opened)) > 15


# Keyboard alone


def tab_to(page: playwright.Page, selector: str, most: int = 80) -> None:
    """With the Tab key; whatever has the focus on the way shows it, and nothing lies over it."""
    for _ in range(most):
        page.keyboard.press("Tab")
        state = page.evaluate(
            """selector => {
                const it = document.activeElement, style = getComputedStyle(it), box = it.getBoundingClientRect();
                const drawn = [it, it.parentElement, it.closest("label")].filter(Boolean).map(near => getComputedStyle(near));
                const marked = drawn.some(near => near.outlineStyle !== "none" || near.boxShadow !== "none");
                const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
                return {there: it.matches(selector), what: it.outerHTML.slice(0, 150), marked,
                    free: !top || it.contains(top) || top.contains(it) || it === document.body};
            }""",
            selector,
        )
        assert state["marked"] or state["what"].startswith("<body"), f"the focus cannot be seen on {state['what']}"
        assert state["free"], f"something lies over {state['what']}"
        if state["there"]:
            return
    pytest.fail(f"Tab does not lead to {selector}")


def test_the_keyboard_alone_leads_from_sign_in_to_a_file(address: str, browser: playwright.Browser, tmp_path: Path) -> None:
    context = browser.new_context(viewport=WIDE, base_url=address)
    page = context.new_page()
    page.goto("/report?view=table")
    page.wait_for_url("**/sign-in?**")
    page.keyboard.type(ADMIN)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/report?**view=table")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    tab_to(page, "#filters-open")
    page.keyboard.press("Enter")
    tab_to(page, "#filters input[name=tls][value=legacy]")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**tls=legacy**")
    page.wait_for_selector(".chip")
    tab_to(page, "a[data-row]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/account?name=**")
    page.go_back()
    page.wait_for_selector(".chip")
    tab_to(page, "a[href^='/requests']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests?**")
    tab_to(page, "input[name=format]")
    page.keyboard.press("ArrowDown")
    tab_to(page, "form[action='/requests'] button[type=submit]")
    page.keyboard.press("Enter")
    newest = "#requested tbody tr:first-child a[download]"
    page.wait_for_selector(newest)
    tab_to(page, newest)
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    download.value.save_as(tmp_path / "rows")
    assert b"printer@contoso.example" in (tmp_path / "rows").read_bytes()
    context.close()
