"""
The pages in a real browser: nothing that the policy refuses, keyboard, no script. See also test_accessible.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from browsing import AXE, IN_A_BROWSER, NARROW, SHEET, WIDE, served
from pypdf import PdfReader

from sites import hostile, make_site, unread, week
from smtp_auth_report.reports import REPORTS, ask
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.query import PIVOTS, Query

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = IN_A_BROWSER

PAGES = (
    "/",
    "/flyout",
    "/ingest",
    "/exchange-online",
    "/requests",
    "/views",
    "/arrange",
    *(f"/report?by={by}" for by in PIVOTS),
    "/report?by=sending-volume&view=table",
    "/report?by=tls-usage&view=table&tls=legacy",
    "/report?by=failures&view=table",
    "/account?name=printer%40contoso.example",
    "/report?account=nobody%40contoso.example",
    "/nothing-here",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = make_site(tmp_path_factory.mktemp("site"), *week(), *hostile(), changes=unread())
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    server, base = served(site)
    yield base
    server.stop()


Opened = Callable[..., "playwright.Page"]


@pytest.fixture
def opened(browser: playwright.Browser, address: str) -> Iterator[Opened]:
    """Opens a page, and fails when the browser complained about anything but what was expected."""
    complaints: list[str] = []
    contexts = []

    def open_page(path: str, **options: object) -> playwright.Page:
        context = browser.new_context(**{"viewport": WIDE, "base_url": address} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(f"a script ran: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: complaints.append(request.url) if not request.url.startswith((address, "data:")) else None)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in complaints if "404 (Not Found)" not in text] == []


def rows_of(page: playwright.Page) -> list[list[str]]:
    """Text of the table's cells; of a figure with a share, the figure."""
    cell = "cell => (cell.classList.contains('n') ? cell.firstChild.textContent : cell.textContent).trim()"
    table: list[list[str]] = page.eval_on_selector_all("table.details tbody tr", f"rows => rows.map(row => [...row.cells].map({cell}))")
    return table


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_its_window_and_breaks_no_policy(opened: Opened, path: str) -> None:
    page = opened(path)
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@pytest.mark.parametrize(
    "path",
    ["/report?by=sending-volume", "/report?by=tls-usage", "/report?by=failures&days=90", "/", "/account?name=printer%40contoso.example"],
)
def test_a_chart_is_drawn(opened: Opened, path: str) -> None:
    page = opened(path)
    page.wait_for_selector("#chart[data-drawn] canvas")
    assert page.evaluate("echarts.getInstanceByDom(document.querySelector('.stage')).getOption().series.length") >= 3


def test_the_numbers_are_those_of_the_report(opened: Opened, site: Site) -> None:
    page = opened("/report?view=table")
    table = ask(REPORTS["sending-volume"], site.store, Query().selection(site.settings.display_timezone, site.clock()))
    messages = [column.name for column in table.columns].index("messages")
    assert [int(cells[2]) for cells in rows_of(page)] == [row[messages] for row in table.rows]
    assert f"{table.totals['messages']} messages from {table.totals['accounts']} accounts" in page.inner_text(".said")


def test_hovering_lists_what_is_there_largest_first(opened: Opened) -> None:
    page = opened("/report?by=tls-usage")
    page.wait_for_selector("#chart[data-drawn]")
    box = page.locator("#chart").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5)
    page.wait_for_selector(".chart-tip")
    counts = [
        int(text)
        for text in page.eval_on_selector_all(
            ".chart-tip tbody tr:not(.total) td:nth-child(2)", "cells => cells.map(cell => cell.textContent)"
        )
    ]
    assert counts == sorted(counts, reverse=True) == [5, 3, 1]


def test_a_legend_item_takes_its_layer_away_and_back(opened: Opened) -> None:
    page = opened("/report")
    page.wait_for_selector("#chart[data-drawn]")
    button = page.locator("#legend button").first
    selected = "echarts.getInstanceByDom(document.querySelector('.stage')).getOption().legend[0].selected['0']"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert page.evaluate(selected) is False
    button.click()
    assert page.evaluate(selected) is True


def test_dragging_over_the_chart_narrows_the_period(opened: Opened) -> None:
    page = opened("/report?by=tls-usage")
    page.wait_for_selector("#chart[data-drawn]")
    box = page.locator("#chart").bounding_box()
    chart = "echarts.getInstanceByDom(document.querySelector('.stage'))"
    left, right = (box["x"] + page.evaluate(f"{chart}.convertToPixel({{xAxisIndex: 0}}, {slot})") for slot in (2, 3))
    page.mouse.move(left, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(right, box["y"] + 100, steps=5)
    page.mouse.up()
    page.wait_for_url("**from=2026-11-18&to=2026-11-19**")
    assert "18\u201319 Nov 2026" in page.inner_text(".said")


def test_the_keyboard_opens_and_closes_the_flyout(opened: Opened) -> None:
    page = opened("/")
    page.focus("#card-accounts")
    page.keyboard.press("Enter")
    page.wait_for_selector("#flyout[open]")
    assert page.url.endswith("/flyout")
    assert "Messages by TLS version" in page.inner_text("#flyout")
    page.keyboard.press("Escape")
    page.wait_for_selector("#flyout:not([open])", state="attached")
    assert page.evaluate("document.activeElement.id") == "card-accounts"
    page.wait_for_url(lambda url: not url.endswith("/flyout"))


def test_the_keyboard_searches_filters_and_moves_over_rows(opened: Opened) -> None:
    page = opened("/report?view=table")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("printer")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=printer**")
    page.wait_for_selector("table.details tbody tr >> nth=1", state="detached")
    page.goto("/report?view=table")
    page.keyboard.press("f")
    assert page.evaluate("document.getElementById('filters').open") is True
    page.keyboard.press("Escape")
    assert page.evaluate("document.getElementById('filters').open") is False
    assert page.evaluate("document.activeElement.id") == "filters-open"
    page.focus(".table-frame")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    first = page.locator("a[data-row]").first
    assert page.evaluate("document.activeElement.href").endswith(first.get_attribute("href"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/account?name=**")


def test_filters_are_chosen_shown_and_removed(opened: Opened) -> None:
    page = opened("/report?by=clients")
    page.click("#filters-open")
    page.check("#filters input[name=tls][value=legacy]")
    page.fill("#filter-account", "printer@contoso.example")
    page.click("#filters button[type=submit]")
    page.wait_for_selector(".chip >> nth=1")
    assert page.url.endswith("/report?by=clients&view=table&account=printer%40contoso.example&tls=legacy")
    assert {cells[0] for cells in rows_of(page)} == {"printer@contoso.example"}
    page.click(".chip a >> nth=0")
    page.wait_for_selector(".chip >> nth=1", state="detached")
    assert "account=" not in page.url


def test_values_are_offered_while_typing(opened: Opened) -> None:
    page = opened("/report")
    page.click("#filters-open")
    page.click("#filter-account")
    page.wait_for_selector("#choices-account option[value='printer@contoso.example']", state="attached")
    page.locator("#filter-account").press_sequentially("relay")
    page.wait_for_selector("#choices-account option[value='printer@contoso.example']", state="detached")
    assert page.eval_on_selector_all("#choices-account option", "options => options.map(option => option.value)") == [
        "relay@contoso.example"
    ]


def test_show_data_for_one_domain(opened: Opened) -> None:
    page = opened("/report")
    page.click("#domains summary")
    page.fill("#domains input[type=search]", "fabrikam")
    assert page.locator("#domain-list li:visible").count() == 1
    page.check("#domain-list input[value='fabrikam.example']")
    page.click("#domains button[type=submit]")
    page.wait_for_url("**domain=fabrikam.example**")
    assert "7 messages from 1 account" in page.inner_text(".said")


def test_going_back_shows_what_was_there(opened: Opened) -> None:
    page = opened("/report")
    page.click("#pivot-2")
    page.wait_for_url("**by=tls-usage**")
    page.go_back()
    page.wait_for_selector("#pivot-1[aria-current]")


def test_hostile_names_run_nothing_and_are_text(opened: Opened) -> None:
    for path in ("/report?view=table", "/report?by=clients", "/report", "/"):
        page = opened(path)
        assert page.locator("main img").count() == 0
    page = opened("/report?view=table")
    assert any(cells[0].startswith("<img src=x onerror=alert(1)>@contoso.example") for cells in rows_of(page))
    page.locator("a[data-row]", has_text="<img").click()
    page.wait_for_url("**/account?name=**")
    assert page.inner_text("h1") == "<img src=x onerror=alert(1)>@contoso.example"


@pytest.mark.parametrize("window", [WIDE, NARROW])
@pytest.mark.parametrize("name", ['"><script>alert(2)</script>@contoso.example', "scan@contoso.example"])
def test_a_name_is_cut_for_the_eye_and_copied_whole(opened: Opened, name: str, window: dict[str, int]) -> None:
    page = opened("/report?view=table", viewport=window)
    copied = page.evaluate(
        "name => { const cell = [...document.querySelectorAll('th bdi')].find(it => it.textContent === name);"
        " getSelection().selectAllChildren(cell); return String(getSelection()); }",
        name,
    )
    assert copied == name


@pytest.mark.parametrize("path", [path for path in PAGES if "nothing" not in path])
def test_pages_work_without_script(opened: Opened, path: str) -> None:
    page = opened(path, java_script_enabled=False)
    assert page.locator("h1").count() == 1
    assert page.locator(".plot:visible").count() == 0


def test_filters_and_tables_work_without_script(opened: Opened) -> None:
    page = opened("/report?by=tls-usage", java_script_enabled=False)
    page.click("#filters-open")
    page.check("#filters input[name=tls][value=legacy]")
    page.click("#filters button[type=submit]")
    assert page.inner_text(".chip") == "TLS version: Below 1.2"
    page.click("text=As table")
    assert page.locator(".as-table td >> nth=0").is_visible()
    page.click("text=View details table")
    assert "scan@contoso.example" in page.inner_text("table.details")


@pytest.mark.parametrize("script", [True, False])
def test_cards_are_arranged_with_the_keyboard(opened: Opened, script: bool) -> None:
    """The focus stays at the card, so that it can be moved on."""
    page = opened("/arrange", java_script_enabled=script)
    first, second = page.locator("li .label").nth(0), page.locator("li .label").nth(1)
    page.focus("button[aria-label='Down: SMTP AUTH clients, 1 of 5']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/arrange?card=accounts&do=down")
    assert (first.inner_text(), second.inner_text()) == ("Old TLS", "SMTP AUTH clients")
    assert page.locator("button[aria-label='Down: SMTP AUTH clients, 2 of 5']").evaluate("it => it === document.activeElement")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.wait_for_url("**/arrange?card=accounts&do=hide")
    assert page.inner_text("[role=status]") == "SMTP AUTH clients is hidden."
    page.goto("/")
    assert page.eval_on_selector_all(".tile h2", "all => all.map(it => it.innerText)") == [
        "Old TLS",
        "Passwords",
        "Failed sign-ins",
        "Ingest",
    ]
    page.click("text=Arrange")
    page.click("text=Reset")
    page.goto("/")
    assert page.locator(".tile").count() == 5


def test_a_view_is_saved_and_changed_without_script(opened: Opened) -> None:
    page = opened("/report?by=tls-usage&tls=legacy", java_script_enabled=False)
    page.click("#views summary")
    page.fill("#views input[name=name]", "Old TLS")
    page.press("#views input[name=name]", "Enter")
    page.click("#views summary")
    assert page.inner_text("#views a[aria-current]") == "Old TLS"
    page.goto("/")
    page.click("text=Old TLS >> nth=-1")
    page.wait_for_url("**/report?by=tls-usage&tls=legacy")
    page.goto("/views")
    page.click("td summary")
    page.fill("td input[name=name]", "Below 1.2")
    page.press("td input[name=name]", "Enter")
    assert page.inner_text("tbody th") == "Below 1.2"
    page.click("td summary")
    page.click("text=Remove")
    assert "None yet" in page.inner_text("main")


def test_a_view_is_saved_with_script_too(opened: Opened) -> None:
    page = opened("/report", bypass_csp=True)
    page.click("#pivot-2")
    page.wait_for_url("**by=tls-usage**")
    page.click("#views summary")
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run('main', {resultTypes: ['violations']})")
    assert [each["id"] for each in found["violations"] if each["impact"] in ("serious", "critical")] == []
    page.keyboard.type("TLS")
    page.keyboard.press("Enter")
    page.wait_for_selector("#views a[aria-current]", state="attached")
    page.goto("/views")
    page.click("td summary")
    page.click("text=Remove")
    page.wait_for_selector("text=None yet")


PRINTED = {
    "/": ("Dashboard", "16\u201322Nov2026", "Messages by sender domain", "16Nov", "Against their usual volume"),
    "/report?by=tls-usage&days=30&tls=legacy": (
        "24Oct\u201322Nov2026",
        "TLS version: Below 1.2",
        "TLS 1.0",
        "75%",
        "21Nov",
        "lower bounds",
    ),
    "/report?by=sending-volume&view=table": (
        "16\u201322Nov2026",
        "all domains",
        "scan@contoso.example",
        "First seen",
        "Last seen",
        "1\u20137of7",
    ),
    "/report?by=clients&view=table": ("HELO", "alert(2)</script>@contoso.example", "192.0.2.10", "Last seen"),
}
"""Addresses, and what is to be read on paper, labels of charts among it."""

NOT_FOR_PAPER = ("Ingest", "Arrange", "Export view", "Saved views", "Filters", "View data by", "As table", "Previous", "Keys:", "Fran")


@pytest.mark.parametrize("path", PRINTED)
def test_a_page_is_printed_whole_and_light(opened: Opened, path: str) -> None:
    page = opened(path, color_scheme="dark")
    if "view=table" not in path:
        page.wait_for_selector("#chart[data-drawn]")
    printed = PdfReader(BytesIO(page.pdf(prefer_css_page_size=True)))
    text, right = "", 0.0

    def read(piece: str, outer: list[float], inner: list[float], *_: object) -> None:
        nonlocal text, right
        text += "".join(piece.split())
        right = max(right, outer[0] * inner[4] + outer[2] * inner[5] + outer[4]) if piece.strip() else right

    for sheet in printed.pages:
        sheet.extract_text(visitor_text=read)
    assert [words for words in PRINTED[path] if words.replace(" ", "") not in text] == []
    assert [words for words in NOT_FOR_PAPER if words.replace(" ", "") in text.replace("IngestNonew", "").replace("theingest", "")] == []
    assert right < printed.pages[0].mediabox.width > printed.pages[0].mediabox.height
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    assert page.locator(".paper").count() == 0


def test_the_flyout_is_printed_on_one_sheet(opened: Opened) -> None:
    printed = PdfReader(BytesIO(opened("/flyout").pdf(prefer_css_page_size=True)))
    assert len(printed.pages) == 1


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_dashboard_is_printed_on_one_sheet(opened: Opened, language: str) -> None:
    page = opened("/", locale=language)
    page.wait_for_selector("#chart[data-drawn]")
    page.eval_on_selector(".unusual tbody th bdi", "name => name.innerHTML = 'alarm-<wbr>panel@<wbr>tailspin.<wbr>example'")
    page.eval_on_selector(".unusual tbody", "rows => rows.replaceChildren(...Array(8).fill(rows.rows[0]).map(row => row.cloneNode(true)))")
    assert len(PdfReader(BytesIO(page.pdf(prefer_css_page_size=True))).pages) == 1
    page.set_viewport_size(SHEET)
    page.emulate_media(media="print")
    assert page.eval_on_selector(".table-frame:has(.unusual)", "frame => frame.scrollWidth - frame.clientWidth") == 0


def test_the_theme_is_kept(opened: Opened) -> None:
    page = opened("/", color_scheme="light")
    page.click("#theme")
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    page.goto("/ingest")
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    assert page.get_attribute("#theme", "aria-label") == "Theme: dark"


def test_a_sixth_card_has_no_row_of_its_own(opened: Opened) -> None:
    page = opened("/")
    page.evaluate("cards => cards.append(cards.lastElementChild.cloneNode(true))", page.query_selector(".cards"))
    tops = page.evaluate("[...document.querySelectorAll('.cards > *')].map(card => card.getBoundingClientRect().top)")
    assert (len(tops), len(set(tops))) == (6, 1)


def test_figures_of_cards_stand_at_one_height(opened: Opened) -> None:
    page = opened("/")
    page.eval_on_selector(".tile h2 a", "title => title.textContent = 'A title of several words '.repeat(3)")
    tops = page.eval_on_selector_all(".tile .big", "figures => figures.map(figure => figure.getBoundingClientRect().top)")
    assert (len(tops), len(set(tops))) == (5, 1)


def test_on_a_phone_the_figures_that_a_card_is_about_are_in_sight(opened: Opened) -> None:
    page = opened("/")
    page.set_viewport_size(NARROW)
    page.eval_on_selector(".unusual tbody th bdi", "name => name.textContent = 'n'.repeat(60)")
    assert page.is_visible(".unusual tbody td:last-child")
    assert page.eval_on_selector(".table-frame:has(.unusual)", "frame => frame.scrollWidth - frame.clientWidth") == 0


# What is drawn of the first day and of the second, which has a thousandth of its messages
FEW_BESIDE_MANY = """() => {
    const box = document.getElementById('chart'), other = box.cloneNode(false), figures = JSON.parse(box.dataset.figures);
    figures.series.forEach(series => series.values.splice(0, 2, 5000, 5));
    other.dataset.figures = JSON.stringify(figures);
    box.replaceWith(other);
    document.dispatchEvent(new Event('htmx:after:swap'));
    const drawn = echarts.getInstanceByDom(document.querySelector('.stage')).getOption().series.filter(series => series.stack);
    return drawn.map(series => series.data.slice(0, 2));
}"""


def test_the_line_between_the_parts_of_a_bar_covers_no_bar_of_few_messages(opened: Opened) -> None:
    page = opened("/report")
    page.wait_for_selector("#chart[data-drawn]")
    drawn = page.evaluate(FEW_BESIDE_MANY)
    assert drawn
    assert all(days == [5000, {"value": 5, "itemStyle": {"borderWidth": 0}}] for days in drawn)


TEXT_TOP = """selector => {
    const words = document.createTreeWalker(document.querySelector(selector), NodeFilter.SHOW_TEXT), place = document.createRange();
    while (words.nextNode() && !words.currentNode.data.trim());
    place.selectNodeContents(words.currentNode);
    return place.getBoundingClientRect().top;
}"""


def test_a_requested_report_shows_its_progress_and_is_downloaded(opened: Opened, tmp_path: Path) -> None:
    page = opened("/requests")
    page.check("input[name=format][value=jsonl]")
    page.click("form[action='/requests'] button[type=submit]")
    page.wait_for_selector("#requested a[download]")
    with page.expect_download() as download:
        page.click("#requested a[download]")
    download.value.save_as(tmp_path / "rows.jsonl")
    texts = ("th time, th", "a[download]")
    tops = [page.evaluate(TEXT_TOP, f"#requested tbody tr:first-child :is({text})") for text in texts]
    assert abs(tops[0] - tops[1]) < 2, "what is done with a file stands in the line that tells of it"
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == len(week()) + len(hostile())
