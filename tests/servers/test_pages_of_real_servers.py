"""What a person reads from the pages in a browser is what the client really sent."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from script import Played

from ingesting import PROGRAM, Site
from truth import accepted, failed_sign_ins

pytestmark = [pytest.mark.servers, pytest.mark.browser]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TLS = {
    "none": "No TLS",
    "TLSv1.0": "TLS 1.0",
    "TLSv1.1": "TLS 1.1",
    "TLSv1.2": "TLS 1.2",
    "TLSv1.3": "TLS 1.3",
    "tls": "TLS, version not logged",
}
READ = """
table => [[...table.querySelectorAll("thead th")].map(heading => heading.textContent.trim()),
    ...[...table.querySelectorAll("tbody tr")].map(line => [...line.querySelectorAll("th, td")].map(cell => {
        const shown = cell.cloneNode(true)
        shown.querySelectorAll(".share").forEach(share => share.remove())
        return shown.textContent.trim()
    }))]
"""
"""A table's headings and lines as texts, shares left out."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(site: Site) -> Iterator[str]:
    """The pages of the real log."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([*PROGRAM, "serve", "--listen", f"127.0.0.1:{port}"], env=site.environment)
    until = time.monotonic() + 150
    while not listens(port):
        assert process.poll() is None, "serve ended"
        assert time.monotonic() < until, "serve does not listen"
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def page(browser: Browser, served: str) -> Iterator[Page]:
    context = browser.new_context(base_url=served, locale="en-GB", timezone_id="UTC")
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert wrong == [], "scripts of the page complained"


def told_tls(entry: dict[str, str]) -> str:
    return "tls" if entry["service"] == "quiet" else entry["tls_version"]


def table(page: Page, number: int = 0) -> list[dict[str, str]]:
    """Lines of a table on the page, by heading."""
    headings, *lines = page.locator("table.details").nth(number).evaluate(READ)
    return [dict(zip(headings, line, strict=True)) for line in lines]


def test_dashboard_leads_to_the_week_by_version(page: Page, played: Played) -> None:
    messages = accepted(played.truth).values()
    page.goto("/")
    card = page.locator(".tile", has=page.get_by_role("heading", name="SMTP AUTH clients"))
    assert card.locator(".big").inner_text().split()[0] == str(len({entry["account"] for entry in messages}))
    failures = page.locator(".tile", has=page.get_by_role("heading", name="Failed sign-ins"))
    assert failures.locator(".big").inner_text().split()[0] == str(failed_sign_ins(played.truth))
    page.get_by_role("link", name="SMTP AUTH clients").and_(page.locator("#card-accounts")).click()
    versions = page.get_by_role("table", name="Messages by TLS version")
    versions.wait_for()
    lines = versions.evaluate(READ)[1:]
    shown = {label: int(number) for label, number, *_ in lines if int(number)}
    sent = Counter(told_tls(entry) for entry in messages)
    assert shown == {TLS[version]: number for version, number in sent.items()}


def test_report_says_how_many_and_the_table_adds_up(page: Page, played: Played) -> None:
    messages = accepted(played.truth).values()
    page.goto("/report")
    accounts = len({entry["account"] for entry in messages})
    assert page.locator(".said").inner_text().startswith(f"{len(messages)} messages from {accounts} accounts")
    page.get_by_role("link", name="TLS usage").click()
    page.wait_for_url("**by=tls-usage*")
    page.get_by_role("link", name="View details table").click()
    page.wait_for_url("**by=tls-usage*view=table*")
    page.locator("table.details").wait_for()
    lines = table(page)
    sent = Counter(told_tls(entry) for entry in messages)
    assert {version: sum(int(line[heading]) for line in lines) for version, heading in TLS.items()} == {
        version: sent[version] for version in TLS
    }
    assert sum(int(line["Messages"]) for line in lines) == len(messages)


def test_methods_of_each_account(page: Page, played: Played) -> None:
    page.goto("/report?by=auth-methods&view=table")
    shown = {(line["Account"], line["Mechanism"]): int(line["Messages"]) for line in table(page)}
    assert shown == Counter((entry["account"], entry["mechanism"]) for entry in accepted(played.truth).values())


def test_one_account_and_what_it_sent(page: Page, played: Played) -> None:
    page.goto("/report?by=clients&view=table&account=scanner")
    shown = Counter({(line["Address"], line["TLS version"], line["Mechanism"]): int(line["Messages"]) for line in table(page)})
    sent = Counter(
        (entry["client_ip"], TLS[entry["tls_version"]], entry["mechanism"])
        for entry in accepted(played.truth).values()
        if entry["account"] == "scanner"
    )
    assert shown == sent


def test_failures_show_no_password(page: Page, played: Played) -> None:
    page.goto("/report?by=failures&view=table")
    lines = table(page)
    failed = Counter(entry["client_ip"] for entry in played.truth if entry["result"] == "auth_failed")
    assert sum(int(line["Failed sign-ins"]) for line in lines) == sum(failed.values()) == failed_sign_ins(played.truth)
    assert sum(int(line["Failed handshakes"]) for line in lines) == 2
    assert "Hunter2" not in page.content()
