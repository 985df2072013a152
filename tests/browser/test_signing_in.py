"""
A second factor in a real browser.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyotp
import pytest
from browsing import IN_A_BROWSER, NARROW, served

from sites import NOW, make_site, week
from smtp_auth_report.web.people import add
from smtp_auth_report.web.reader import Role

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = IN_A_BROWSER


def test_a_second_factor_is_switched_on_and_asked_for(browser: playwright.Browser, tmp_path: Path) -> None:
    """Under the policy, with its picture drawn, and without script."""
    site = make_site(tmp_path, *week())
    server, base = served(site)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(add, "anna@contoso.example", Role.ADMINISTRATOR, "correct horse battery", NOW).result()
    context = browser.new_context(viewport=NARROW, base_url=base, java_script_enabled=False)
    try:
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        sign_in(page)
        page.click("footer a[href='/me']")
        page.click("text=Switch on")
        page.wait_for_selector("img.qr")
        assert page.eval_on_selector("img.qr", "image => image.naturalWidth") > 100
        code = pyotp.TOTP(page.inner_text(".key").replace(" ", "")).at(NOW // 1_000_000)
        page.fill("[name=code]", code)
        page.click("main button")
        recovery = page.inner_text(".codes li >> nth=0")
        page.click("text=Sign out")
        sign_in(page)
        page.fill("[name=code]", recovery)
        page.click("main button")
        assert page.url == f"{base}/me"
        assert "9 recovery codes are left" in page.inner_text("main")
        assert complaints == []
    finally:
        context.close()
        server.stop()
        site.store.close()


def sign_in(page: playwright.Page) -> None:
    page.goto("/sign-in?next=/me")
    page.fill("[name=name]", "anna@contoso.example")
    page.fill("[name=password]", "correct horse battery")
    page.click("main button")
