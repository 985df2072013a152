"""
The details tables in a real browser: names of an ordinary length leave room for every column on a wide screen.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsing import IN_A_BROWSER, WIDE, served

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
