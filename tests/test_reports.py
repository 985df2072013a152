"""
The reports on a few known rows: whole tables, and every rendering of them.

STORE_EXAMPLES in the environment chooses the long form, as `make proof` has it: each column in each order.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path

import pytest

from engines import Engine
from rows import at, commit, row
from smtp_auth_report import reports
from smtp_auth_report.changes import Changes, Commit, Gap, Unread
from smtp_auth_report.errors import SelectionError
from smtp_auth_report.moments import rfc3339
from smtp_auth_report.reports import REPORTS, Wanted, ask, ask_all
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.reports.periods import parse
from smtp_auth_report.reports.render import as_csv, as_json, as_text, formula_safe, visible
from smtp_auth_report.store.interface import Selection, Store, Value, View

LONG = "STORE_EXAMPLES" in os.environ
PARIS = "Europe/Paris"
WEEK = Selection(*parse("2026-11-16", "2026-11-22", PARIS, 0), PARIS)

MON, TUE, SUN = at("2026-11-16T08:00:00Z"), at("2026-11-17T08:00:00Z"), at("2026-11-22T22:30:00Z")

ANNA = {"account": "Anna@contoso.example", "sender": "anna@contoso.example", "size": 1000, "recipients": 1}
SCAN = {
    "account": "scanner",
    "sender": "",
    "client_ip": "198.51.100.7",
    "client_name": None,
    "helo": "scan",
    "tls_version": "TLSv1.0",
    "mechanism": "LOGIN",
    "size": 50,
    "recipients": 2,
}

ROWS = (
    row(time=MON, **ANNA),
    row(time=TUE, **ANNA, client_ip="192.0.2.11", helo="phone", mechanism="XOAUTH2"),
    row(time=SUN, **ANNA, client_ip="192.0.2.11", helo="phone2", mechanism="XOAUTH2", tls_version="TLSv1.2"),
    row(time=MON, **SCAN),
    row(time=TUE, **SCAN | {"tls_version": "none"}),
    row(time=TUE, **ANNA | {"sender": "news@fabrikam.example"}, tls_version="unknown", mechanism="unknown", service="unknown"),
    row(time=TUE, account=None, sender=None, client_ip=None, client_name=None, helo=None, size=None, recipients=None, tls_version="tls"),
    row(time=TUE, **ANNA, outcome="rejected", reason="policy"),
    row(time=MON, account=None, sender=None, outcome="auth_failed", reason="bad credentials", client_ip="203.0.113.5", client_name=None),
    row(time=TUE, account=None, sender=None, outcome="auth_failed", reason="aborted", client_ip="203.0.113.5", client_name="bot.example"),
    row(time=TUE, account="scanner", sender=None, outcome="auth_failed", reason="bad credentials", client_ip="198.51.100.7"),
    row(time=SUN, account=None, sender=None, outcome="tls_failed", reason="no shared cipher", client_ip="203.0.113.5", client_name=None),
    # the four weeks before: anna 4, 1, 2, 0 messages; the week before those: one of the scanner
    *(row(time=at(f"2026-11-{day:02}T08:00:00Z"), **ANNA) for day in (9, 10, 11, 15, 2)),
    *(row(time=at(f"2026-10-{day:02}T08:00:00Z"), **ANNA) for day in (26, 27)),
    row(time=at("2026-10-19T12:00:00Z"), **SCAN),
)


@pytest.fixture
def store(engine: Engine) -> Store:
    return engine.filled(fill, PARIS)


def fill(store: Store) -> None:
    store.commit(commit(*ROWS))
    notes = Changes(
        unread=[Unread("postfix", "mail", "sasl", time, "masked") for time in (MON, TUE, SUN + 3_600_000_000)],
        gaps=[Gap("mail", MON, "rate limit", 5), Gap("mail", WEEK.end, "rate limit", 5)],
    )
    store.commit(Commit(notes))


def table(store: Store, name: str, view: View | None = None, **filters: str) -> Table:
    selection = Selection(WEEK.start, WEEK.end, PARIS, {filter_: (value,) for filter_, value in filters.items()})
    return ask(REPORTS[name], store, selection, view or View())


def columns(found: Table, *names: str) -> list[tuple[Value, ...]]:
    places = [[column.name for column in found.columns].index(name) for name in names]
    return [tuple(each[place] for place in places) for each in found.rows]


def test_summary(store: Store) -> None:
    found = table(store, "summary")
    assert dict(zip((column.name for column in found.columns), found.rows[0], strict=True)) == {
        "accounts": 2,
        "messages": 7,
        "recipients": 8,
        "previous_accounts": 1,
        "previous_messages": 4,
        "legacy_tls_accounts": 1,
        "cleartext_accounts": 1,
        "basic_auth_accounts": 2,
        "auth_failed": 3,
        "tls_failed": 1,
        "tls_none": 1,
        "tls_sslv3": 0,
        "tls_1_0": 1,
        "tls_1_1": 0,
        "tls_1_2": 1,
        "tls_1_3": 2,
        "tls_unversioned": 1,
        "tls_unknown": 1,
    }
    assert found.series == [
        ("2026-11-16", 2, 2),
        ("2026-11-17", 4, 2),
        ("2026-11-18", 0, 0),
        ("2026-11-19", 0, 0),
        ("2026-11-20", 0, 0),
        ("2026-11-21", 0, 0),
        ("2026-11-22", 1, 1),
    ]
    assert (found.totals["messages"], found.totals["accounts"]) == (7, 2)
    assert found.unknown == {
        "tls_version": 1,
        "mechanism": 1,
        "account": 1,
        "sender": 1,
        "service": 1,
        "lines_unread": 2,
        "gaps": 1,
    }


def test_summary_of_nothing_is_a_row_of_zeros(store: Store) -> None:
    found = table(store, "summary", domain="nobody.example")
    assert found.rows == [(0,) * len(found.columns)]
    assert set(found.totals.values()) == {0}
    assert found.series == [(f"2026-11-{day}", 0, 0) for day in range(16, 23)]


def test_sending_volume(store: Store) -> None:
    found = table(store, "sending-volume")
    assert found.rows == [
        ("anna@contoso.example", "contoso.example", "Anna@contoso.example", 3, 1.5, False, 3, 3000, MON, SUN, 2),
        ("<>", "contoso.example", "scanner", 2, 0.0, False, 4, 100, MON, TUE, 1),
        ("news@fabrikam.example", "fabrikam.example", "Anna@contoso.example", 1, 0.0, True, 1, 1000, TUE, TUE, 1),
        (None, None, None, 1, 0.0, True, 0, 0, TUE, TUE, 0),
    ]
    assert found.totals == {"messages": 7, "recipients": 8, "bytes": 4100, "accounts": 2}
    assert found.series == [
        ("2026-11-16", "contoso.example", 2),
        ("2026-11-17", "contoso.example", 2),
        ("2026-11-17", "fabrikam.example", 1),
        ("2026-11-17", None, 1),
        ("2026-11-22", "contoso.example", 1),
    ]
    by_ratio = columns(table(store, "sending-volume", View(sort="ratio", limit=1)), "account", "messages", "usual")
    assert by_ratio == [("scanner", 2, 0.0)]


def test_usual_is_not_known_before_the_history_covers_it(store: Store) -> None:
    selection = Selection(*parse("2026-11-09", "2026-11-15", PARIS, 0), PARIS)
    found = ask(REPORTS["sending-volume"], store, selection)
    assert columns(found, "sender", "messages", "usual", "is_new") == [("anna@contoso.example", 4, None, False)]


def test_tls_usage(store: Store) -> None:
    found = table(store, "tls-usage")
    names = "sender account tls_none tls_1_0 tls_1_2 tls_1_3 tls_unversioned tls_unknown messages last_legacy".split()
    assert columns(found, *names) == [
        ("<>", "scanner", 1, 1, 0, 0, 0, 0, 2, MON),
        ("anna@contoso.example", "Anna@contoso.example", 0, 0, 1, 2, 0, 0, 3, None),
        ("news@fabrikam.example", "Anna@contoso.example", 0, 0, 0, 0, 0, 1, 1, None),
        (None, None, 0, 0, 0, 0, 1, 0, 1, None),
    ]
    assert columns(found, "tls_none_share", "tls_1_0_share", "tls_sslv3_share", "tls_1_3_share") == [
        (0.5, 0.5, 0.0, 0.0),
        (0.0, 0.0, 0.0, pytest.approx(2 / 3)),
        (0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0),
    ]
    assert found.series[:2] == [("2026-11-16", "TLSv1.0", 1), ("2026-11-16", "TLSv1.3", 1)]
    once = {name for name, total in found.totals.items() if total == 1}
    assert once == {"tls_none", "tls_1_0", "tls_1_2", "tls_unversioned", "tls_unknown"}


def test_tls_columns_sum_to_messages(store: Store) -> None:
    found = table(store, "tls-usage")
    versions = [column.name for column in found.columns if column.type == "count" and column.name != "messages"]
    sums = [(sum(int(number or 0) for number in each),) for each in columns(found, *versions)]
    assert sums == columns(found, "messages")


def test_auth_methods(store: Store) -> None:
    found = table(store, "auth-methods")
    assert found.rows == [
        ("Anna@contoso.example", "XOAUTH2", "oauth", 2, SUN, MON),
        ("scanner", "LOGIN", "basic", 2, TUE, TUE),
        ("Anna@contoso.example", "PLAIN", "basic", 1, MON, MON),
        ("Anna@contoso.example", "unknown", "unknown", 1, TUE, MON),
        (None, "PLAIN", "basic", 1, TUE, TUE),
    ]
    assert found.series[-1] == ("2026-11-22", "XOAUTH2", 1)


def test_clients(store: Store) -> None:
    found = table(store, "clients", View(search="ANNA"))
    printer = "printer.contoso.example"
    assert sorted(found.rows, key=str) == sorted(
        [
            ("Anna@contoso.example", "192.0.2.11", "submission", "TLSv1.2", "XOAUTH2", printer, "phone2", 1, SUN, SUN),
            ("Anna@contoso.example", "192.0.2.11", "submission", "TLSv1.3", "XOAUTH2", printer, "phone", 1, TUE, TUE),
            ("Anna@contoso.example", "192.0.2.10", "submission", "TLSv1.3", "PLAIN", printer, "printer", 1, MON, MON),
            ("Anna@contoso.example", "192.0.2.10", "unknown", "unknown", "unknown", printer, "printer", 1, TUE, TUE),
        ],
        key=str,
    )
    assert found.totals == {"messages": 4, "accounts": 2}
    assert found.series == []


def test_clients_show_the_latest_name_that_the_log_tells(engine: Engine) -> None:
    store = engine.open(PARIS)
    names = (("old", None), ("new", "a"), (None, "b"))
    store.commit(commit(*(row(time=MON + n, client_name=name, helo=helo) for n, (name, helo) in enumerate(names))))
    assert columns(table(store, "clients"), "client_name", "helo", "messages") == [("new", "b", 3)]


def test_failures(store: Store) -> None:
    found = table(store, "failures")
    assert found.rows == [
        ("203.0.113.5", "bot.example", None, 2, 1, "no shared cipher", MON, SUN),
        ("198.51.100.7", "printer.contoso.example", "scanner", 1, 0, "bad credentials", TUE, TUE),
    ]
    assert found.totals == {"messages": 7, "auth_failed": 3, "tls_failed": 1, "accounts": 2}
    assert found.series == [
        ("2026-11-16", 1, 0),
        ("2026-11-17", 2, 0),
        ("2026-11-18", 0, 0),
        ("2026-11-19", 0, 0),
        ("2026-11-20", 0, 0),
        ("2026-11-21", 0, 0),
        ("2026-11-22", 0, 1),
    ]


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_is_the_same_from_sums_and_from_rows(store: Store, name: str) -> None:
    known = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "unknown")
    from_rows = ask(REPORTS[name], store, Selection(WEEK.start, WEEK.end, PARIS, {"client": known}))
    from_sums = ask(REPORTS[name], store, WEEK)
    assert (from_rows.rows, from_rows.series, from_rows.totals, from_rows.unknown) == (
        from_sums.rows,
        from_sums.series,
        from_sums.totals,
        from_sums.unknown,
    )


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_holds_to_the_scope(store: Store, name: str) -> None:
    found = ask(REPORTS[name], store, Selection(WEEK.start, WEEK.end, PARIS, scope=frozenset({"elsewhere.example"})))
    assert found.totals["messages"] == found.totals["accounts"] == 0
    assert found.total_rows == (1 if name == "summary" else 0)


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_sorts_by_each_of_its_columns(store: Store, name: str) -> None:
    for column in REPORTS[name].columns:
        (found,) = ask_all(store, WEEK, [Wanted(REPORTS[name], View(sort=column.name, descending=False), series=False)])
        values = [value for (value,) in columns(found, column.name) if value is not None]
        assert values == sorted(values, key=lambda value: value if isinstance(value, str) else (value or 0))
    with pytest.raises(SelectionError, match="no column 'password' to sort by"):
        table(store, name, View(sort="password"))


@pytest.mark.parametrize(
    ("place", "filters"),
    list(enumerate([{}, {"account": ("anna@contoso.example",)}, {"client": ("192.0.2.0/24",)}, {"tls": ("legacy",)}])),
)
def test_reports_asked_together_are_those_asked_one_by_one(store: Store, place: int, filters: dict[str, tuple[str, ...]]) -> None:
    """In one view for each of the filters, in the long form in every one."""
    selection = Selection(WEEK.start, WEEK.end, PARIS, filters)
    views = [View(limit=2), View(), View("messages", limit=1, offset=1)]
    for view in views if LONG else views[place % 3 :][:1]:
        together = ask_all(store, selection, [Wanted(report, view) for report in REPORTS.values() if report.name != "failures"])
        assert together == [ask(found.report, store, selection, view) for found in together]
    both = ask_all(store, selection, [Wanted(REPORTS["failures"]), Wanted(REPORTS["sending-volume"], View("ratio", limit=2))])
    assert both == [ask(REPORTS["failures"], store, selection), ask(REPORTS["sending-volume"], store, selection, View("ratio", limit=2))]


@pytest.mark.parametrize("name", ["sending-volume", "clients", "failures"])
@pytest.mark.parametrize("limit", [None, 2])
def test_columns_that_are_not_wanted_change_no_other(store: Store, name: str, limit: int | None) -> None:
    """In every order one column alone, each in its turn; in the long form each of them."""
    report = REPORTS[name]
    names = [*(column.name for column in report.columns), *report.orders]
    columns = sorted({"messages", "usual", "is_new", "client_addresses", "helo", "client_name", "last_reason"} & {*names})
    assert len(columns) <= len(names)
    for place, sort in enumerate(names):
        every = Wanted(report, View(sort, descending=True, limit=limit), series=False)
        (whole,) = ask_all(store, WEEK, [every])
        for wanted in columns if LONG else columns[(place + (limit or 0)) % len(columns) :][:1]:
            (found,) = ask_all(store, WEEK, [every._replace(columns=frozenset({wanted}))])
            for row_found, row_whole in zip(found.rows, whole.rows, strict=True):
                told = dict(zip(names, row_found, strict=False))
                assert all(value in (None, told_whole) for value, told_whole in zip(row_found, row_whole, strict=True))
                assert wanted not in told or told[wanted] == dict(zip(names, row_whole, strict=False))[wanted]
            assert found.totals == whole.totals


@pytest.mark.parametrize("name", [name for name, report in REPORTS.items() if report.series])
def test_a_chart_alone_has_the_same_figures(store: Store, name: str) -> None:
    whole = ask(REPORTS[name], store, WEEK)
    (chart,) = ask_all(store, WEEK, [Wanted(REPORTS[name], rows=False)])
    assert (chart.rows, chart.series, chart.unknown) == ([], whole.series, whole.unknown)
    assert chart.totals.items() <= whole.totals.items()
    assert not chart.is_empty
    empty = Selection(WEEK.end, WEEK.end + 1, PARIS)
    assert ask_all(store, empty, [Wanted(REPORTS[name], rows=False)])[0].is_empty


def test_search_leaves_totals_of_what_it_finds(store: Store) -> None:
    found = table(store, "sending-volume", View(search="SCAN"))
    assert columns(found, "account") == [("scanner",)]
    assert found.totals == {"messages": 2, "recipients": 4, "bytes": 100, "accounts": 2}


def test_pages_tell_how_many_rows_there_are(store: Store) -> None:
    found = table(store, "sending-volume", View(limit=1, offset=1))
    assert (len(found.rows), found.total_rows, found.totals["messages"]) == (1, 4, 7)


def test_hours_and_weeks(store: Store) -> None:
    day = Selection(*parse("2026-11-22", "2026-11-22", PARIS, 0), PARIS)
    found = ask(REPORTS["summary"], store, day)
    assert (found.interval, found.series_columns[0].name, len(found.series)) == ("hour", "hour", 24)
    assert found.series[-1] == ("2026-11-22T23:00", 1, 1)
    weeks = ask(REPORTS["summary"], store, Selection(*parse("2026-11-01", "2026-11-22", PARIS, 0), PARIS), interval="week")
    assert weeks.series == [("2026-10-26", 0, 0), ("2026-11-02", 1, 1), ("2026-11-09", 4, 1), ("2026-11-16", 7, 2)]
    with pytest.raises(SelectionError, match="hours are given for 93 days or less"):
        ask(REPORTS["summary"], store, Selection(*parse("2026-01-01", "2026-11-22", PARIS, 0), PARIS), interval="hour")


# Renderings


def test_json_has_the_documented_shape(store: Store) -> None:
    shown = json.loads(json.dumps(as_json(table(store, "auth-methods", View(limit=1), domain="contoso.example"))))
    assert shown == {
        "report": "auth-methods",
        "period": {"from": "2026-11-16T00:00:00+01:00", "to": "2026-11-23T00:00:00+01:00", "timezone": PARIS},
        "filters": {"domain": ["contoso.example"]},
        "columns": [
            {"name": "account", "type": "text", "unit": None},
            {"name": "mechanism", "type": "text", "unit": None},
            {"name": "auth_class", "type": "text", "unit": None},
            {"name": "messages", "type": "count", "unit": "accepted messages"},
            {"name": "last_seen", "type": "time", "unit": None},
            {"name": "last_basic", "type": "time", "unit": "the account's last message after PLAIN or LOGIN"},
        ],
        "rows": [
            {
                "account": "Anna@contoso.example",
                "mechanism": "XOAUTH2",
                "auth_class": "oauth",
                "messages": 2,
                "last_seen": "2026-11-22T22:30:00Z",
                "last_basic": "2026-11-16T08:00:00Z",
            }
        ],
        "series": {
            "columns": [
                {"name": "day", "type": "date", "unit": None},
                {"name": "mechanism", "type": "text", "unit": None},
                {"name": "messages", "type": "count", "unit": "accepted messages"},
            ],
            "rows": [
                {"day": "2026-11-16", "mechanism": "LOGIN", "messages": 1},
                {"day": "2026-11-16", "mechanism": "PLAIN", "messages": 1},
                {"day": "2026-11-17", "mechanism": "LOGIN", "messages": 1},
                {"day": "2026-11-17", "mechanism": "XOAUTH2", "messages": 1},
                {"day": "2026-11-22", "mechanism": "XOAUTH2", "messages": 1},
            ],
        },
        "totals": {"messages": 5, "accounts": 2},
        "unknown": {"tls_version": 0, "mechanism": 0, "account": 0, "sender": 0, "service": 0, "lines_unread": 2, "gaps": 1},
    }


def test_csv(store: Store) -> None:
    found = list(csv.reader(io.StringIO(as_csv(table(store, "sending-volume")))))
    assert found[0] == [column.name for column in REPORTS["sending-volume"].columns]
    assert found[1][3:] == ["3", "1.5", "false", "3", "3000", "2026-11-16T08:00:00Z", "2026-11-22T22:30:00Z", "2"]
    assert found[4][:6] == ["", "", "", "1", "0.0", "true"]
    assert as_csv(table(store, "summary"), series=True).splitlines()[:2] == ["day,messages,accounts", "2026-11-16,2,2"]


HOSTILE = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", 'a"b,c\nd', "[red]x[/red]", "\x1b[31mred", "\u202egpj.exe", "<b>")


def test_hostile_names_are_only_text(engine: Engine) -> None:
    store = engine.open(PARIS)
    store.commit(commit(*(row(time=MON, account=name, helo=name) for name in HOSTILE)))
    found = table(store, "clients")
    assert {each["account"] for each in as_json(found)["rows"]} == set(HOSTILE)
    cells = {each[0] for each in csv.reader(io.StringIO(as_csv(found), newline=""))}
    assert cells == {"account", *(f"'{name}" if name[0] in "=+-@\t\r" else name for name in HOSTILE)}
    text = as_text(found, width=300)
    assert text.replace("\n", "").isprintable()
    assert "\\x1b[31mred" in text
    assert "[red]x[/red]" in text
    assert "\\u202egpj.exe" in text
    assert len(text.splitlines()) == 1 + len(HOSTILE)


def test_text(store: Store) -> None:
    lines = as_text(table(store, "tls-usage"), width=160).splitlines()
    assert lines[0].split() == "sender account tls_none tls_1_0 tls_1_2 tls_1_3 tls_unversioned tls_unknown messages last_legacy".split()
    assert lines[1].split() == ["<>", "scanner", "1", "1", "0", "0", "0", "0", "2", "2026-11-16", "09:00"]
    assert as_text(table(store, "summary")).splitlines()[1].split() == ["messages", "7"]
    assert as_text(table(store, "clients", domain="nobody.example")) == "no rows\n"
    assert max(map(len, as_text(table(store, "clients"), width=60).splitlines())) <= 60


def test_small_parts() -> None:
    assert rfc3339(at("2026-11-22T10:00:05Z") + 250_000) == "2026-11-22T10:00:05.250000Z"
    assert formula_safe("anna@contoso.example") == "anna@contoso.example"
    assert visible("jürgen\x85\u2028") == "jürgen\\x85\\u2028"


@pytest.mark.parametrize("path", sorted(Path(reports.__file__).parent.glob("*.sql")), ids=lambda path: path.name)
def test_texts_are_looked_up_by_an_id_of_the_selection_alone(path: Path) -> None:
    """The tables that have them are not cut to what the reader may see."""
    sql = " ".join(path.read_text(encoding="utf-8").split())
    named = re.findall(r"\b(?:subjects|clients|manners)\b(?!\.id = )", sql)
    looked_up = re.findall(r"\bJOIN (subjects|clients|manners) ON \1\.id = sums\.\w+", sql)
    assert named == looked_up
