"""
The pages through the application, on a real store of known rows.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from hypothesis import given
from hypothesis import strategies as some

from rows import NOON, commit, row
from sites import DAY, HOSTILE, NOW, ROOT, Page, client_of, collected_assets, hostile, make_site, unread, week
from smtp_auth_report.changes import Changes
from smtp_auth_report.errors import ReportError
from smtp_auth_report.reports import REPORTS, ask
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.reports.render import as_csv
from smtp_auth_report.store.interface import FILTERS, View
from smtp_auth_report.web import cells, wording
from smtp_auth_report.web.application import Site, serve
from smtp_auth_report.web.query import PIVOTS, Query, read

COMPRESSED_BUDGET = 400_000
PAGES = (
    "/",
    "/flyout",
    "/ingest",
    "/exchange-online",
    "/requests",
    *(f"/report?by={by}&view={view}" for by in PIVOTS for view in ("chart", "table")),
    "/account?name=printer%40contoso.example",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = make_site(tmp_path_factory.mktemp("week"), *week(), changes=unread())
    yield made
    made.store.close()


@pytest.fixture
def client(site: Site) -> Client:
    return client_of(site)


@pytest.fixture
def site_of_rows(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(*rows: object, **options: object) -> Site:
        made.append(make_site(tmp_path, *rows, **options))  # type: ignore[arg-type]  # as make_site takes them
        return made[-1]

    yield make
    for each in made:
        each.store.close()


def table_of(site: Site, name: str, query: Query | None = None, view: View | None = None) -> Table:
    query = query or Query()
    return ask(REPORTS[name], site.store, query.selection(site.settings.display_timezone, site.clock()), view or View())


def shown(client: Client, address: str) -> Page:
    answer = client.get(address)
    assert answer.status_code == 200, answer.content.decode()
    return Page(answer)


@pytest.mark.parametrize("address", PAGES)
def test_a_page_has_nothing_within_that_its_policy_would_refuse(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    page = Page(answer)
    for tag, attributes in page.tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert tag != "style"
    assert all(script["src"].startswith("/static/") for script in page.named("script"))
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("address", ["/", "/flyout", "/report?by=tls-usage&view=table", PAGES[-1]])
def test_every_link_of_a_page_leads_somewhere(client: Client, address: str) -> None:
    links = {link["href"] for link in shown(client, address).named("a") if link["href"].startswith("/")}
    assert links
    for link in links:
        assert client.get(link).status_code == 200, link


def test_scripts_and_styles_stay_within_their_budget() -> None:
    collected_assets()
    manifest = json.loads((ROOT / "src/smtp_auth_report/web/assets/staticfiles.json").read_text())["paths"]
    files = [ROOT / "src/smtp_auth_report/web/assets" / name for original, name in manifest.items() if original.endswith((".js", ".css"))]
    assert len(files) >= 6
    assert sum(len(gzip.compress(path.read_bytes(), 9, mtime=0)) for path in files) < COMPRESSED_BUDGET


def test_files_are_cached_for_ever_by_their_hash(client: Client) -> None:
    (address,) = [link["href"] for link in shown(client, "/").named("link") if "site." in link["href"]]
    answer = client.get(address, headers={"accept-encoding": "gzip"})
    assert re.search(r"site\.[0-9a-f]{12}\.css$", address)
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Encoding"] == "gzip"
    answer.close()


def test_the_dashboard_says_what_the_summary_says(site: Site, client: Client) -> None:
    page = shown(client, "/")
    summary = table_of(site, "summary")
    figures = dict(zip((column.name for column in summary.columns), summary.rows[0], strict=True))
    assert figures["accounts"] == 4
    assert "SMTP AUTH clients 4" in page.text
    assert "1 account 33 % of messages below TLS 1.2; 1 account without TLS" in page.text
    assert "3 of 4 accounts" in page.text
    assert "Failed sign-ins 4 from 1 address" in page.text
    assert "2 lines could not be read" in page.text


def test_cards_lead_to_the_report_with_their_filter(client: Client) -> None:
    links = [link["href"] for link in shown(client, "/").named("a")]
    assert "/report?by=tls-usage&view=table&tls=legacy" in links
    assert "/report?by=auth-methods&view=table&auth-class=basic" in links
    assert "/report?by=failures&view=table" in links
    assert "/flyout" in links


def test_the_flyout_has_each_version_with_count_and_share(client: Client) -> None:
    rows = {cells[0].strip(): cells[1:] for cells in shown(client, "/flyout").rows if len(cells) == 3}
    assert rows["TLS 1.0"] == ["21", "33\u00a0%"]
    assert rows["TLS 1.3"] == ["35", "55\u00a0%"]
    assert rows["TLS 1.1"] == ["0", "0\u00a0%"]
    assert "Unknown" in rows


def test_the_line_in_words_says_what_is_shown(client: Client) -> None:
    assert "64 messages from 4 accounts, 16\u201322 Nov 2026, all domains" in shown(client, "/report").text
    assert "7 messages from 1 account, 16\u201322 Nov 2026, fabrikam.example" in shown(client, "/report?domain=fabrikam.example").text
    assert "4 failed sign-ins and 0 failed TLS handshakes" in shown(client, "/report?by=failures").text


@pytest.mark.parametrize("by", PIVOTS)
def test_details_hold_every_row_of_the_report(site: Site, client: Client, by: str) -> None:
    table = table_of(site, by)
    page = shown(client, f"/report?by={by}&view=table")
    body = [cells for cells in page.rows if cells][1:]
    assert len(body) == len(table.rows) == table.total_rows
    first = table.columns[0].name
    position = [column.name for column in table.columns].index(first)
    assert [cells[0].split()[0] for cells in body] == [str(values[position]) for values in table.rows]


def test_a_cell_has_the_count_first_and_its_share(client: Client) -> None:
    page = shown(client, "/report?by=tls-usage&view=table&sender=scan%40contoso.example")
    headings, line = [cells for cells in page.rows if cells][:2]
    assert line[[heading.strip() for heading in headings].index("TLS 1.0")] == "21100\u00a0%"


def test_the_chart_and_its_table_hold_the_series(site: Site, client: Client) -> None:
    page = shown(client, "/report")
    (plot,) = [box for box in page.named("div") if "data-figures" in box]
    figures = json.loads(plot["data-figures"])
    sums = {series["key"]: sum(series["values"]) for series in figures["series"]}
    assert sums == {"contoso.example": 57, "fabrikam.example": 7}
    assert len(figures["slots"]) == 7
    assert [slot["weekend"] for slot in figures["slots"]] == [False] * 5 + [True] * 2
    assert [slot["partial"] for slot in figures["slots"]] == [False] * 6 + [True]
    body = [cells for cells in page.rows if cells][1:]
    assert [int(cells[-1]) for cells in body] == [9, 9, 10, 9, 9, 9, 9]
    assert table_of(site, "sending-volume").totals["messages"] == 64


def test_a_domain_keeps_its_colour_when_the_range_changes(site_of_rows: Callable[..., Site]) -> None:
    old = [row(time=NOON - 60 * DAY, sender="a@b.example") for _ in range(9)]
    client = client_of(
        site_of_rows(*old, row(time=NOON, sender="a@a.example"), row(time=NOON, sender="a@a.example"), row(time=NOON, sender="a@b.example"))
    )

    def colours(address: str) -> dict[str, str]:
        (plot,) = [box for box in shown(client, address).named("div") if "data-figures" in box]
        return {series["key"]: series["colour"] for series in json.loads(plot["data-figures"])["series"]}

    assert colours("/report") == colours("/report?days=90") == {"a.example": "domain-1", "b.example": "domain-0"}


def test_more_than_ten_domains_are_ten_and_the_rest(site_of_rows: Callable[..., Site]) -> None:
    rows = [row(time=NOON, sender=f"a@{number:02}.example") for number in range(13) for _ in range(number + 1)]
    page = shown(client_of(site_of_rows(*rows)), "/report")
    (plot,) = [box for box in page.named("div") if "data-figures" in box]
    series = json.loads(plot["data-figures"])["series"]
    assert len(series) == 11
    assert series[-1]["label"] == "3 other domains"
    assert sum(series[-1]["values"]) == 1 + 2 + 3
    assert len({layer["colour"] for layer in series}) == 11


def test_switching_keeps_everything_else(client: Client) -> None:
    address = "/report?by=tls-usage&days=30&domain=contoso.example&tls=legacy"
    links = {link["href"] for link in shown(client, address).named("a")}
    assert "/report?by=tls-usage&view=table&days=30&domain=contoso.example&tls=legacy" in links
    assert "/report?by=sending-volume&days=30&domain=contoso.example&tls=legacy" in links


def test_a_chip_removes_one_filter(client: Client) -> None:
    page = shown(client, "/report?tls=legacy&tls=none&domain=contoso.example")
    chips = {link["aria-label"]: link["href"] for link in page.named("a") if link.get("aria-label", "").startswith("Remove")}
    assert chips == {
        "Remove the filter Sender domain: contoso.example": "/report?by=sending-volume&tls=legacy&tls=none",
        "Remove the filter TLS version: Below 1.2": "/report?by=sending-volume&domain=contoso.example&tls=none",
        "Remove the filter TLS version: No TLS": "/report?by=sending-volume&domain=contoso.example&tls=legacy",
    }


def test_headings_say_and_turn_the_order(client: Client) -> None:
    page = shown(client, "/report?view=table&sort=-recipients")
    sorted_by = [heading["aria-sort"] for heading in page.named("th") if "aria-sort" in heading]
    assert sorted_by == ["descending"]
    assert "/report?by=sending-volume&view=table&sort=recipients" in [link["href"] for link in page.named("a")]


def test_fifty_rows_a_page(site_of_rows: Callable[..., Site]) -> None:
    client = client_of(
        site_of_rows(
            *(row(time=NOON, account=f"u{number:03}@contoso.example", sender=f"u{number:03}@contoso.example") for number in range(120))
        )
    )
    first, last = shown(client, "/report?view=table"), shown(client, "/report?view=table&page=3")
    assert "120 rows" in first.text
    assert "1\u201350 of 120" in first.text
    assert "101\u2013120 of 120" in last.text
    assert len([cells for cells in last.rows if cells]) == 1 + 20


def test_search_finds_in_the_table(client: Client) -> None:
    page = shown(client, "/report?view=table&q=printer")
    assert [cells[0].split()[0] for cells in page.rows if cells][1:] == ["scan@contoso.example"]


def test_new_senders_are_marked_and_much_more_than_usual_is_set_apart(site_of_rows: Callable[..., Site]) -> None:
    before = [row(time=NOON - week * 7 * DAY, account="a@a.example", sender="a@a.example") for week in range(1, 6)]
    now = [row(time=NOON, account="a@a.example", sender="a@a.example") for _ in range(8)]
    client = client_of(site_of_rows(*before, *now, row(time=NOON, account="new@a.example", sender="new@a.example")))
    answer = client.get("/report?view=table&sort=-ratio")
    rows = [cells for cells in Page(answer).rows if cells][1:]
    assert {cells[0] for cells in rows} == {"a@a.example", "new@a.example New"}
    assert '<span class="above">\N{MULTIPLICATION SIGN}8.0</span>' in answer.content.decode()


def test_the_export_is_the_report_as_csv(site: Site, client: Client) -> None:
    answer = client.get("/report.csv?by=tls-usage&sort=-messages")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="tls-usage-2026-11-16-2026-11-22.csv"'
    assert answer.content.decode() == as_csv(table_of(site, "tls-usage", view=View("messages", descending=True)))


def test_the_export_has_the_columns_that_are_asked_for(client: Client) -> None:
    answer = client.get("/report.csv?by=tls-usage&columns=messages,account&sort=-messages")
    assert answer.content.decode().splitlines()[:2] == ["messages,account", "35,anna@contoso.example"]
    refused = client.get("/report.csv?by=tls-usage&columns=colour")
    assert (refused.status_code, "there is no column &#x27;colour&#x27;" in refused.content.decode()) == (400, True)


def test_the_account_page_has_all_of_one_account(client: Client) -> None:
    page = shown(client, "/account?name=PRINTER%40contoso.example")
    assert "recipients 21" in page.text
    assert "printer@contoso.example" in page.text
    assert "TLS 1.0 21 \u00b7 100 %" in page.text
    assert "PLAIN 21 \u00b7 100 %" in page.text
    assert "192.0.2.10" in page.text
    assert "scan@contoso.example" in page.text


MARKED = {
    "k.weiss@fabrikam.example": "<bdi>k.weiss@<wbr>fabrikam.<wbr>example</bdi>",
    "198.51.100.140": "<bdi>198.51.100.140</bdi>",
    "2001:db8::2f": "<bdi>2001:<wbr>db8::<wbr>2f</bdi>",
    "<wbr>@x.example&amp;": "<bdi>&lt;wbr&gt;@<wbr>x.example&amp;amp;</bdi>",
    "": "<bdi></bdi>",
}


@pytest.mark.parametrize("name", MARKED)
def test_a_name_says_where_its_line_may_end(name: str) -> None:
    assert cells.name(name) == MARKED[name]


def test_an_unknown_account_is_not_found(client: Client) -> None:
    answer = client.get("/account?name=nobody%40contoso.example")
    assert answer.status_code == 404
    assert "Nothing here" in Page(answer).text


def test_ingest_names_unread_lines_and_losses(client: Client) -> None:
    page = shown(client, "/ingest")
    assert "no expression matched" in page.text
    assert "sample 1: sasl_username=<masked>" in page.text
    assert "losses that the log reports, 16\u201322 Nov 2026 1" in page.text


def test_ingest_says_whose_log_was_read(tmp_path: Path) -> None:
    told = Changes(newest={"mail": NOON}, versions={("dovecot", "mail"): "2.4"})
    text = shown(client_of(make_site(tmp_path, changes=told)), "/ingest").text
    assert re.search(r"mail Dovecot submission 2\.4 \d+ Nov", text), text


def test_a_mark_says_why_figures_may_be_incomplete(client: Client) -> None:
    text = shown(client, "/report").text
    assert "2 lines could not be read; the ingest page shows samples." in text
    assert "The log itself says once that lines were lost. The figures are lower bounds." in text


def test_an_empty_store_says_how_to_fill_it(site_of_rows: Callable[..., Site]) -> None:
    client = client_of(site_of_rows())
    for address in ("/", "/report", "/flyout", "/ingest", "/report?view=table&by=failures"):
        assert "smtp-auth-report ingest /var/log/mail.log" in shown(client, address).text


def test_a_store_whose_rows_no_log_brought_is_shown(site_of_rows: Callable[..., Site]) -> None:
    site = site_of_rows()
    site.store.commit(commit(row(time=NOW - 2 * DAY, account="printer@contoso.example")))
    assert not site.store.progress()
    for address in PAGES:
        assert "2 days ago" in shown(client_of(site), address).text, address


def test_an_empty_period_leads_to_one_that_is_not(client: Client) -> None:
    page = shown(client, "/report?from=2026-01-01&to=2026-01-07")
    assert "no authenticated session for 1\u20137 Jan 2026" in page.text
    assert "/report?by=sending-volume&from=2026-11-16&to=2026-11-22" in [link["href"] for link in page.named("a")]


def test_filters_that_leave_nothing_can_be_left(client: Client) -> None:
    page = shown(client, "/report?account=nobody%40contoso.example&view=table")
    assert "Nothing in this period matches the filters" in page.text
    assert "/report?by=sending-volume&view=table" in [link["href"] for link in page.named("a")]


def test_a_log_without_tls_lines_says_which_setting_is_missing(site_of_rows: Callable[..., Site]) -> None:
    client = client_of(site_of_rows(row(time=NOON, tls_version="unknown", tls_cipher=None)))
    assert "a setting of the mail server brings them" in shown(client, "/report?by=tls-usage").text
    assert "smtpd_tls_loglevel = 1" in shown(client, "/ingest").text
    assert "Old TLS Unknown" in shown(client, "/").text


def test_failures_alone_are_said_and_linked(site_of_rows: Callable[..., Site]) -> None:
    page = shown(client_of(site_of_rows(row(time=NOON, outcome="auth_failed", account=None, sender=None))), "/report")
    assert "no message was accepted" in page.text
    assert "/report?by=failures" in [link["href"] for link in page.named("a")]


def test_an_older_log_is_shown_by_its_last_days(site_of_rows: Callable[..., Site]) -> None:
    page = shown(client_of(site_of_rows(*week(), now=NOW + 100 * DAY)), "/report")
    assert "Shown are 16\u201322 Nov 2026" in page.text
    assert "64 messages" in page.text


def test_hostile_names_are_text(site_of_rows: Callable[..., Site]) -> None:
    client = client_of(site_of_rows(*hostile()))
    links = [link["href"] for link in shown(client, "/report?view=table").named("a") if link["href"].startswith("/account")]
    assert len(links) == len(HOSTILE)
    for address in ("/", "/flyout", "/report", "/report?view=table", "/report?by=clients", *links, "/choices/account?account="):
        answer = client.get(address)
        assert answer.status_code == 200
        page = Page(answer)
        assert not [tag for tag, _attributes in page.tags if tag == "img"]
        assert all("src" in script for script in page.named("script"))
        assert b"\x1b" not in answer.content or address.startswith("/choices")
        assert "\u202e" not in answer.content.decode() or address.startswith("/choices")
    assert "eve\u241b[2J\u27e8U+202E\u27e9gnp.exe" in shown(client, "/report?view=table").text


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/report?from=yesterday", "is not a date"),
        ("/report?by=nothing", "there is no report"),
        ("/report?tls=TLSv9", "is not known"),
        ("/report?client=%3Cscript%3E", "is not an address or network"),
        ("/report?sort=colour", "cannot be sorted by"),
        ("/report?days=-3", "is not a number"),
        ("/report?days=%D9%A7&page=%C2%B2", "is not a number"),
        ("/report?from=2026-11-22&to=2026-11-01", "ends before it starts"),
    ],
)
def test_an_address_that_means_nothing_is_refused_in_one_line(client: Client, address: str, words: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 400
    assert words in Page(answer).text


def test_a_foreign_host_name_is_refused(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    answer = client_of(site).get("/", SERVER_NAME="attacker.example")
    assert answer.status_code == 400
    assert b"SMTP" not in answer.content
    assert answer.content.startswith(b"This name is not served here.")
    assert "Content-Security-Policy" in answer.headers
    assert not any(record.exc_info for record in caplog.records)  # no traceback for what anybody may send


def test_a_form_from_elsewhere_is_refused(site: Site) -> None:
    answer = client_of(site, enforce_csrf_checks=True).post("/requests", {"format": "csv", "from": "2026-11-16", "to": "2026-11-22"})
    assert answer.status_code == 403
    assert "did not come from this page" in Page(answer).text


def test_empty_fields_of_a_form_leave_the_address(client: Client) -> None:
    answer = client.get("/report?by=sending-volume&from=&to=&account=&days=30&tls=legacy")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/report?by=sending-volume&days=30&tls=legacy"


def finished(client: Client) -> Page:
    for _ in range(200):
        page = shown(client, "/requests/progress")
        if "hx-get" not in next(box for box in page.named("div") if box.get("id") == "requested"):
            return page
        time.sleep(0.05)
    pytest.fail("the requested report was never done")


@pytest.mark.usefixtures("state")
def test_a_requested_report_is_made_and_downloaded(site_of_rows: Callable[..., Site]) -> None:
    site = site_of_rows(*week())
    client = client_of(site)
    form = {"format": "csv", "from": "2026-11-16", "to": "2026-11-22", "outcome": "accepted", "domain": "fabrikam.example"}
    assert client.post("/requests", form).headers["Location"] == "/requests"
    page = finished(client)
    assert "7 rows" in page.text
    (link,) = [link["href"] for link in page.named("a")]
    answer = client.get(link)
    content = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]  # a file's answer streams
    answer.close()
    rows = list(csv.DictReader(io.StringIO(content.removeprefix("\ufeff"))))
    assert [values["account"] for values in rows] == ["crm@fabrikam.example"] * 7
    folder = site.settings.state_path.with_name(site.settings.state_path.name + ".files")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    if connection.vendor == "sqlite":
        assert stat.S_IMODE(site.settings.state_path.stat().st_mode) == 0o600
    assert client.post(link.replace("/file", "/remove")).status_code == 302
    assert client.get(link).status_code == 404
    assert not list(folder.iterdir())


def test_a_request_that_cannot_be_is_refused_at_once(client: Client) -> None:
    assert client.post("/requests", {"format": "exe"}).status_code == 400
    assert client.post("/requests", {"format": "csv", "client": "nowhere"}).status_code == 400


def test_a_download_is_named_by_its_identifier_alone(client: Client) -> None:
    assert client.get("/requests/../../etc/passwd/file").status_code == 404
    assert client.get("/requests/00000000-0000-0000-0000-000000000000/file").status_code == 404


def test_the_notice_is_on_every_page(site_of_rows: Callable[..., Site]) -> None:
    client = client_of(site_of_rows(*week(), notice="Sample data <b>only</b>"))
    for address in PAGES:
        assert "Sample data <b>only</b>" in shown(client, address).text


def test_a_port_in_use_is_one_line(site_of_rows: Callable[..., Site]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        site = site_of_rows(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ReportError, match="cannot listen there: Address already in use; choose another"):
            serve(site, list, pytest.fail)


@pytest.mark.parametrize("listen", ["0.0.0.0:8025", "192.0.2.1:8025", "mail.example:8025", "[::]:8025"])
def test_without_sign_in_only_loopback_is_served(site_of_rows: Callable[..., Site], listen: str) -> None:
    with pytest.raises(ReportError, match="add an administrator first"):
        serve(site_of_rows(listen=listen), list, pytest.fail)


texts = some.text(min_size=1, max_size=20).map(str.strip).filter(bool)


@given(
    some.sampled_from(PIVOTS),
    some.dictionaries(some.sampled_from(FILTERS), some.lists(texts, min_size=1, max_size=3, unique=True)),
    some.sampled_from(["", "q", "caf\u00e9 & co=1"]),
    some.integers(1, 90),
)
def test_an_address_gives_back_its_state(by: str, filters: dict[str, list[str]], search: str, days: int) -> None:
    query = Query(report=by, view="table", filters={name: tuple(values) for name, values in filters.items()}, search=search, days=days)
    again = read(QueryDict(urlsplit(query.address()).query))
    assert again == query
    assert parse_qs(urlsplit(query.table_address("/api")).query).get("q", [""])[0] == search


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.5308, "53 %"),
        (0.0731, "7.3 %"),
        (0.0001, "<0.1 %"),
        (0.9999, "99.9 %"),
        (0.996, "99.6 %"),
        (0.0996, "10 %"),
    ],
)
def test_shares_are_never_rounded_to_nothing_or_everything(client: Client, part: float, words: str) -> None:
    del client  # Django knows its language once there is an application
    assert wording.share(part).replace("\u00a0", " ") == words
