"""
The details tables in a real browser: names of an ordinary length leave room for every column on a wide screen, on a
phone for what the table is sorted by, and on paper they are broken at their marks alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsing import IN_A_BROWSER, NARROW, SHEET, WIDE, served

from rows import NOON, row
from sites import make_site
from smtp_auth_report.web.query import PIVOTS

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = IN_A_BROWSER

HOST = "printer-lobby.fabrikam.example"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    sends = {"account": "printer-lobby-2@fabrikam.example", "client_name": HOST, "helo": HOST, "service": "submissions"}
    site = make_site(
        tmp_path_factory.mktemp("site"),
        *(row(time=NOON + n, mechanism="SCRAM-SHA-256", tls_version="TLSv1.3", **sends) for n in range(1000)),
        *(row(time=NOON + n, client_ip="2001:db8:6:1::2f:10", mechanism="LOGIN", tls_version="none", **sends) for n in range(40)),
        *(
            row(time=NOON + n, outcome="auth_failed", account=None, sender=None, reason="bad_credentials", client_name=HOST)
            for n in range(9)
        ),
    )
    server, base = served(site)
    yield base
    server.stop()
    site.store.close()


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("by", PIVOTS)
def test_no_column_is_cut_off(browser: playwright.Browser, address: str, by: str, language: str) -> None:
    context = browser.new_context(viewport=WIDE, base_url=address, locale=language)
    page = context.new_page()
    page.goto(f"/report?by={by}&view=table")
    there, needed = page.eval_on_selector(".table-frame", "frame => [frame.clientWidth, frame.scrollWidth]")
    context.close()
    assert needed <= there


@pytest.mark.parametrize("language", ["en", "fr"])
def test_on_a_phone_what_the_table_is_sorted_by_is_in_sight(browser: playwright.Browser, address: str, language: str) -> None:
    context = browser.new_context(viewport=NARROW, base_url=address, locale=language)
    page = context.new_page()
    page.goto("/report?view=table")
    there, right = page.eval_on_selector(
        ".table-frame", "frame => [frame, frame.querySelector('[aria-sort]')].map(each => each.getBoundingClientRect().right)"
    )
    context.close()
    assert right <= there


# Pieces of names that stand on more than one line
BROKEN = """names => names.flatMap(name => [...name.childNodes]).filter(node => {
    const piece = document.createRange();
    piece.selectNodeContents(node);
    return new Set([...piece.getClientRects()].map(line => line.top)).size > 1;
}).map(node => node.textContent)"""


@pytest.mark.parametrize("by", PIVOTS)
def test_on_paper_a_name_is_broken_between_its_words(browser: playwright.Browser, address: str, by: str) -> None:
    context = browser.new_context(viewport=SHEET, base_url=address)
    page = context.new_page()
    page.goto(f"/report?by={by}&view=table")
    page.emulate_media(media="print")
    broken = page.eval_on_selector_all(".details tbody bdi", BROKEN)
    there, needed = page.eval_on_selector(".table-frame", "frame => [frame.clientWidth, frame.scrollWidth]")
    context.close()
    assert broken == []
    assert needed <= there
