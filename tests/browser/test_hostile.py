"""
A log in which every name is an attack, in a browser that would run it: the policy is switched off, so that it is the pages
alone that keep names from being markup or script.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsing import IN_A_BROWSER, WIDE, served

from rows import NOON, row
from sites import NOW, make_site
from smtp_auth_report.changes import Changes, Commit, Counted, Gap, Intake, Unread
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.query import CHARTED, PIVOTS

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = IN_A_BROWSER

FIELDS = ("server", "client_name", "helo", "account", "mechanism", "tls_cipher", "sender", "queue_id", "message_id", "reason")
ATTACKS = (
    "<img src=x onerror=alert('{}')>",
    "\"'><svg onload=alert('{}')>",
    "</script></title></textarea><script>alert('{}')</script>",
    "\" autofocus onfocus=alert('{}') x=\"",
    "javascript:alert('{}')",
    "{{{{constructor.constructor('alert(\\'{}\\')')()}}}}",
)
MARKUP = "img[src=x], svg[onload], script:not([src]), [onfocus], [onerror], a[href^=javascript]"


def named(field: str, attack: str) -> str:
    name = attack.format(field)
    return f"{name}@{name}" if field in ("account", "sender") else name


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Each attack in all fields of a message, of a failure, and of what is told of reading."""
    rows, changes = [], Changes()
    for number, attack in enumerate(ATTACKS):
        fields = {field: named(field, attack) for field in FIELDS}
        address = f"192.0.2.{number}"
        rows += [row(time=NOON + number, client_ip=address, **fields), row(time=NOON, client_ip=address, outcome="auth_failed", **fields)]
        rows += [row(time=NOON, client_ip=address, source="entra", outcome="no_mail", **fields | {"sender": None})]
        changes.unread.append(Unread("postfix", named("server", attack), named("reason", attack), NOON, named("sample", attack)))
        changes.gaps.append(Gap(named("server", attack), NOON, named("reason", attack), 1))
        changes.versions["postfix", fields["server"]] = named("version", attack)
        changes.newest[fields["server"]] = NOON
        sender = named("sender", attack)
        counted = Counted("one", number, sender, named("domain", attack), f"{number}", 10, None, 0.5, 0, 0.5, None, attack, NOON, NOON)
        changes.counted.append(counted)
    made = make_site(tmp_path_factory.mktemp("site"), *rows, changes=changes)
    for attack in ATTACKS:
        told = Intake(named("stream", attack), 100, 60, 2, 7, 10.0, 0.7, 4096, named("problem", attack), NOW)
        made.store.commit(Commit(Changes(), intake=told, file=named("file", attack)))
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    server, base = served(site)
    yield base
    server.stop()


def test_no_name_of_a_log_is_markup_or_script(address: str, browser: playwright.Browser) -> None:
    context = browser.new_context(viewport=WIDE, base_url=address, bypass_csp=True)
    page = context.new_page()
    ran: list[str] = []
    page.on("dialog", lambda dialog: (ran.append(f"{page.url}: {dialog.message}"), dialog.dismiss()))
    looked_at = 0

    def look() -> None:
        nonlocal looked_at
        looked_at += page.content().count("alert(")
        assert page.locator(MARKUP).count() == 0, page.url

    addresses = [f"/report?by={by}&view=table" for by in PIVOTS] + ["/", "/flyout", "/ingest", "/exchange-online", "/requests"]
    for path in addresses:
        page.goto(path)
        look()
    for by in CHARTED:
        page.goto(f"/report?by={by}")
        page.wait_for_selector("#chart[data-drawn]")
        box = page.locator("#chart").bounding_box()
        for part in (0.3, 0.5, 0.7, 0.85, 0.95):
            page.mouse.move(box["x"] + box["width"] * part, box["y"] + box["height"] * 0.5)
        look()
    page.goto("/report?by=clients&view=table")
    accounts = page.eval_on_selector_all("a[href^='/account']", "links => [...new Set(links.map(link => link.getAttribute('href')))]")
    assert len(accounts) == len(ATTACKS)
    for path in accounts:
        page.goto(path)
        look()
    page.goto("/report")
    page.click("#filters-open")
    page.click("#filter-account")
    page.wait_for_selector("#choices-account option", state="attached")
    look()
    context.close()
    assert ran == []
    assert looked_at > 20 * len(ATTACKS)
