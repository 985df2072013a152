"""
The JSON API gives the tables of the reports, and problem details where it cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from rows import NOON, commit, row
from sites import NOW, ROOT, ZONE, Page, client_of, make_site, unread, week
from smtp_auth_report.changes import Changes, Commit, Intake
from smtp_auth_report.moments import rfc3339
from smtp_auth_report.reports import REPORTS, ask, periods
from smtp_auth_report.reports.render import as_csv, as_json
from smtp_auth_report.store.interface import FILTERS, Selection, View
from smtp_auth_report.waiting import Waiting
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.query import PIVOTS


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = make_site(tmp_path_factory.mktemp("week"), *week(), changes=unread())
    yield made
    made.store.close()


@pytest.fixture
def client(site: Site) -> Client:
    return client_of(site)


def selection(**filters: tuple[str, ...]) -> Selection:
    return Selection(*periods.preset(7, ZONE, NOW), ZONE, filters)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_the_table(site: Site, client: Client, name: str) -> None:
    answer = client.get(f"/api/reports/{name}")
    table = ask(REPORTS[name], site.store, selection())
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == as_json(table) | {"total_rows": table.total_rows}


def test_reports_are_listed_with_their_columns(client: Client) -> None:
    listed = {report["name"]: [column["name"] for column in report["columns"]] for report in client.get("/api/reports").json()}
    assert listed == {name: [column.name for column in report.columns] for name, report in REPORTS.items()}


def test_filters_order_and_part_are_those_of_the_store(site: Site, client: Client) -> None:
    answer = client.get("/api/reports/clients?days=7&auth-class=basic&auth-class=oauth&q=contoso&sort=account&limit=1&offset=1").json()
    table = ask(REPORTS["clients"], site.store, selection(**{"auth-class": ("basic", "oauth")}), View("account", False, "contoso", 1, 1))
    assert answer == as_json(table) | {"total_rows": table.total_rows}
    assert len(answer["rows"]) == 1


def test_csv_has_rows_or_series(site: Site, client: Client) -> None:
    table = ask(REPORTS["tls-usage"], site.store, selection())
    rows = client.get("/api/reports/tls-usage?format=csv")
    assert rows.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert rows.content.decode() == as_csv(table)
    assert client.get("/api/reports/tls-usage?format=csv&series=true").content.decode() == as_csv(table, series=True)


def test_an_account_has_its_reports_and_when_it_was_seen(client: Client) -> None:
    answer = client.get("/api/accounts?name=printer@contoso.example").json()
    assert answer["last_seen"] == "2026-11-22T12:00:00.000002Z"
    assert answer["reports"]["tls-usage"]["totals"]["tls_1_0"] == 21
    assert {row["account"] for row in answer["reports"]["clients"]["rows"]} == {"printer@contoso.example"}


def test_ingest_says_how_far_reading_got(client: Client) -> None:
    answer = client.get("/api/ingest").json()
    assert answer["logs"][0]["server"] == "mail"
    assert answer["logs"][0]["lag_seconds"] == (NOW - NOON - 4 * 86_400_000_000) // 1_000_000 - 1
    assert (answer["unread"][0]["lines"], answer["unread"][0]["reason"]) == (2, "no expression matched")
    assert (answer["period"]["to"], answer["gaps"]) == ("2026-11-23T00:00:00+01:00", 1)
    assert client.get("/api/ingest?from=2026-11-22").json()["gaps"] == 0


def test_ingest_says_that_reading_waits(client: Client, site: Site) -> None:
    reader = Waiting(site.settings.state_path)
    assert client.get("/api/ingest").json()["waiting"] is None
    reader.since(NOW, "the disk is full")
    assert client.get("/api/ingest").json()["waiting"] == {"since": rfc3339(NOW), "reason": "the disk is full"}
    reader.over()
    assert client.get("/api/ingest").json()["waiting"] is None


def test_what_logs_do_not_tell_has_the_setting_that_changes_it(tmp_path: Path) -> None:
    site = make_site(tmp_path, row(time=NOON, source="postfix", tls_version="unknown", tls_cipher=None))
    found = client_of(site).get("/api/ingest").json()["findings"]
    assert ("the TLS version of 1 of 1 messages is not in the log", "smtpd_tls_loglevel = 1") in {
        (finding["missing"], finding["setting"]) for finding in found
    }
    site.store.close()


def test_status_is_what_every_page_has_around_it(client: Client, site: Site) -> None:
    answer = client.get("/api/status").json()
    first, last = site.store.span() or (0, 0)
    assert (answer["first_row"], answer["last_row"]) == (rfc3339(first), rfc3339(last))
    assert (answer["now"], answer["timezone"], answer["late"], answer["notice"]) == (rfc3339(NOW), ZONE, True, "")


def test_choices_are_those_of_the_filters(client: Client) -> None:
    assert client.get("/api/choices/domain").json()[:2] == [
        {"value": "contoso.example", "messages": 57},
        {"value": "fabrikam.example", "messages": 7},
    ]
    assert client.get("/api/choices/account?q=print&days=7").json() == [{"value": "printer@contoso.example", "messages": 21}]


def test_who_entra_let_in_is_told(tmp_path: Path) -> None:
    rows = [row(time=NOON + n, source="entra", outcome="no_mail", sender=None, mechanism="unknown") for n in range(3)]
    site = make_site(tmp_path, *rows, row(time=NOON))
    answer = client_of(site).get("/api/exchange-online").json()
    assert (answer["sign_ins"], answer["total_rows"]) == (3, 1)
    assert (answer["rows"][0]["account"], answer["rows"][0]["sign_ins"]) == (rows[0].account, 3)
    site.store.close()


@pytest.mark.parametrize("name", REPORTS)
def test_some_columns_of_a_report(client: Client, name: str) -> None:
    """What is left out changes nothing in what is there."""
    whole = client.get(f"/api/reports/{name}?days=30").json()
    names = [column["name"] for column in whole["columns"]][::-2]
    some = client.get(f"/api/reports/{name}?days=30&columns={names[0]}&columns={','.join(names[1:])}").json()
    assert [column["name"] for column in some["columns"]] == names
    assert some["rows"] == [{name: row[name] for name in names} for row in whole["rows"]]
    assert {key: some[key] for key in ("series", "totals", "total_rows")} == {key: whole[key] for key in ("series", "totals", "total_rows")}
    lines = client.get(f"/api/reports/{name}?days=30&format=csv&columns={','.join(names)}").content.decode().splitlines()
    assert (lines[0], len(lines)) == (",".join(names), 1 + len(whole["rows"]))


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/api/reports/nothing", 404, "there is no report 'nothing'"),
        ("/api/reports/clients?from=yesterday", 400, "is not a date"),
        ("/api/reports/clients?tls=TLSv9", 400, "is not known"),
        ("/api/reports/clients?limit=-1", 400, "limit"),
        ("/api/reports/clients?columns=account,colour", 400, "there is no column 'colour'; columns are account, client_ip"),
        ("/api/reports/clients?limit=many", 400, "limit"),
        ("/api/reports/clients?offset=99999999999999999999", 400, "offset"),
        ("/api/reports/clients?interval=year", 400, "interval"),
        ("/api/reports/clients?sort=colour", 400, "colour"),
        ("/api/reports/clients?days=3&from=2026-11-22", 400, "either days"),
        ("/api/reports/clients?acount=anna", 400, "there is no parameter 'acount' here; there are from, to, days, domain"),
        ("/api/reports/clients?days=x&days=3", 400, "days is given more than once"),
        ("/api/reports?format=csv", 400, "there are none"),
        ("/api/choices/colour", 404, "there is no filter 'colour'; filters are domain"),
        ("/api/accounts?name=nobody@contoso.example", 404, "there is no account"),
        ("/api/nothing", 404, "no page"),
    ],
)
def test_failures_are_problem_details(client: Client, address: str, status: int, words: str) -> None:
    answer = client.get(address)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    content = answer.json()
    assert set(content) == {"type", "title", "status", "detail"}
    assert content["status"] == status
    assert words in content["detail"]


def test_what_is_not_asked_for_rightly_is_a_problem_detail_too(client: Client) -> None:
    posted = client.post("/api/reports")
    assert (posted.status_code, posted.headers["Content-Type"]) == (405, "application/problem+json")
    assert "GET" in posted.headers["Allow"]
    foreign = client.get("/api/reports", headers={"host": "evil.localhost"})
    assert (foreign.status_code, foreign.headers["Content-Type"]) == (400, "application/problem+json")


def test_an_account_whose_mail_was_always_refused_has_a_page(client: Client, site: Site) -> None:
    site.store.commit(commit(row(time=NOON, account="bulk@contoso.example", outcome="rejected", reason="rate_limited")))
    answer = client.get("/api/accounts", {"name": "bulk@contoso.example"})
    assert answer.status_code == 200
    assert answer.json()["first_seen"] == answer.json()["last_seen"]
    assert client.get("/api/accounts", {"name": "unknown"}).status_code == 404


def test_the_openapi_document_names_every_filter(client: Client) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    names = {parameter["name"] for parameter in paths["/api/reports/{name}"]["get"]["parameters"]}
    assert names >= {*FILTERS, "from", "to", "days", "q", "sort", "limit", "offset", "interval", "format"}
    operations = [operation for methods in paths.values() for operation in methods.values()]
    for operation in operations:
        assert "204" in operation["responses"] or "$ref" in str({code: operation["responses"].get(code) for code in ("200", "201")})


def test_the_api_has_no_page_that_loads_from_elsewhere(client: Client) -> None:
    assert client.get("/api/docs").status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/flyout",
        "/ingest",
        "/exchange-online",
        "/requests",
        "/views",
        "/digests",
        "/arrange",
        "/people",
        *(f"/report?by={by}&view=table&tls=legacy" for by in PIVOTS),
        "/account?name=printer@contoso.example",
    ],
)
def test_every_page_has_its_json_beside_it(client: Client, address: str) -> None:
    (link,) = [link["href"] for link in Page(client.get(address)).named("a") if link.get("id") == "json"]
    answer = client.get(link)
    assert answer.status_code == 200
    if address.startswith("/report"):
        assert answer.json()["filters"] == {"tls": ["legacy"]}
        assert answer.json()["report"] == parse_qs(urlsplit(address).query)["by"][0]


def test_metrics_tell_how_reading_goes(client: Client, site: Site) -> None:
    site.store.commit(Commit(Changes(), intake=Intake("/var/log/mail.log", 100, 60, 2, 7, 10.0, 0.7, 4096, "", NOW)))
    site.store.commit(Commit(Changes(), intake=Intake("/var/log/mail.log", 10, 6, 0, 1, 1.0, 0.1, 0, "no such file", NOW)))
    answer = client.get("/metrics")
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    families = {family.name: family for family in text_string_to_metric_families(answer.content.decode())}
    values = {name: family.samples[0].value for name, family in families.items() if len(family.samples) == 1}
    assert values["smtp_auth_report_lines"] == 110
    assert values["smtp_auth_report_unread"] == 2
    assert values["smtp_auth_report_behind_bytes"] == 0
    assert values["smtp_auth_report_problem"] == 1
    documented = (ROOT / "docs" / "api.md").read_text()
    for name, family in families.items():
        kind = {"counter": "_total", "info": "_info"}.get(family.type, "")
        assert f"`{name.removeprefix('smtp_auth_report_')}{kind}`" in documented
    assert "no such file" in client.get("/ingest").content.decode()
