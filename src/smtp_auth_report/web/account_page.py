"""
One account: how much it sends over time, with which TLS and mechanism, from where, as whom, and what failed.

    /account?name=printer%40contoso.example&days=30
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from smtp_auth_report.reports import REPORTS, Wanted, ask_all, periods
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.store.filters import UNKNOWN
from smtp_auth_report.store.interface import Question, Selection, View
from smtp_auth_report.web import charts, spans, vocabulary, wording
from smtp_auth_report.web.doubts import doubts
from smtp_auth_report.web.pictures import Part, parts
from smtp_auth_report.web.query import PAGE_ROWS, Query, read
from smtp_auth_report.web.report_page import PERIOD_NAMES, Link, ranked_domains, settled
from smtp_auth_report.web.site import Site, of_one_state, site_of
from smtp_auth_report.web.tables import Details, Frame, account_address, as_rows, of_one_account

CHARTED = "sending-volume"
SHOWN = (CHARTED, "tls-usage", "auth-methods", "clients", "failures")


@require_safe
@of_one_state
def account(request: HttpRequest) -> HttpResponse:
    """The page; an account that was never seen has none."""
    site = site_of(request)
    name = request.GET.get("name", "").strip()
    query = replace(read(request.GET), filters={"account": (name,)})
    ever = first_and_last(site, name)
    if not name or ever is None:
        raise Http404
    selection, moved = settled(site, query)
    wanted = [Wanted(REPORTS[report], View(limit=PAGE_ROWS), series=report == CHARTED) for report in SHOWN]
    ranked = ranked_domains(site)
    tables = dict(zip(SHOWN, ask_all(site.seen, selection, wanted), strict=True))
    context = _context(site, query, selection, tables, ranked()) | {
        "title": wording.visible(_first_spelling(tables) or name),
        "ever": ever,
        "moved": spans.in_words(selection) if moved else "",
        "json": "/api/accounts?" + account_address(name, query).partition("?")[2],
        "periods": [_period(name, query, days) for days in periods.PRESETS],
    }
    return render(request, "account.html", context)


def _first_spelling(tables: dict[str, Table]) -> str | None:
    """The name as the store shows it, where the period has rows."""
    rows = (row for table in tables.values() for row in as_rows(table))
    return next((str(row["account"]) for row in rows if row["account"] is not None), None)


SIGNED_IN = "CASE WHEN outcome IN ('accepted', 'rejected', 'no_mail') THEN {} END"
SEEN = Question(
    sql=f"SELECT coalesce(min({SIGNED_IN.format('first_seen')}), min(first_seen)) AS first_seen, "  # noqa: S608 - our own names
    f"coalesce(max({SIGNED_IN.format('last_seen')}), max(last_seen)) AS last_seen FROM facts",
    columns=("first_seen", "last_seen"),
)


def first_and_last(site: Site, name: str) -> tuple[int, int] | None:
    """When the account signed in first and last, or, if it never did, tried to, over the whole store."""
    if name == UNKNOWN:
        return None  # the filter's word for rows without an account
    span = site.seen.span()
    if span is None:
        return None
    whole = Selection(span[0], span[1] + 1, site.settings.display_timezone, {"account": (name,)})
    first, last = site.seen.ask(SEEN, whole).rows[0]
    return None if first is None or last is None else (int(first), int(last))


def _period(name: str, query: Query, days: int) -> Link:
    address = account_address(name, replace(query, days=days, first="", last=""))
    return Link(PERIOD_NAMES[days], address, not query.first and query.days == days)


def _context(site: Site, query: Query, selection: Selection, tables: dict[str, Table], ranked: list[str]) -> dict[str, Any]:
    now = site.clock()
    volume, tls, methods = tables["sending-volume"], tables["tls-usage"], tables["auth-methods"]
    return {
        "query": query,
        "period": spans.in_words(selection),
        "totals": volume.totals,
        "doubts": doubts(site, volume),
        "failed": tables["failures"].totals.get("auth_failed", 0),
        "back": query.address(filters={}),
        "chart_label": gettext("Messages by sender domain, %(period)s") % {"period": spans.in_words(selection)},
        "chart": charts.volume(volume, ranked, now, ""),
        "tls": _tls(tls, query),
        "mechanisms": _mechanisms(methods, query),
        "tables": [
            (_title(report), _details(site, query, tables[report], now), query.address(report=report, view="table"))
            for report in ("clients", "sending-volume", "failures")
        ],
        "report_address": query.address(view="table"),
    }


def _title(report: str) -> str:
    return {"clients": gettext("Clients"), "sending-volume": gettext("Senders"), "failures": gettext("Failed sign-ins")}[report]


def _details(site: Site, query: Query, table: Table, now: int) -> Details:
    """Links of a table that is part of this page go to the report with the account as a filter."""
    there = replace(query, report=table.report.name, view="table")
    return of_one_account(table, Frame(there, ZoneInfo(site.settings.display_timezone), now, table.totals))


def _tls(table: Table, query: Query) -> list[Part]:
    figures = ((word, table.totals.get(word.column, 0)) for word in vocabulary.TLS)
    there = replace(query, report="clients")
    return parts(
        (str(word.label), number, (word.colour, word.pattern), there.with_value("tls", word.value).address(view="table"))
        for word, number in figures
        if number
    )


def _mechanisms(table: Table, query: Query) -> list[Part]:
    there = replace(query, report="clients")
    return parts(
        (
            charts.mechanism_words(str(row["mechanism"])),
            int(row["messages"] or 0),
            vocabulary.mechanism_colour(str(row["mechanism"])),
            there.with_value("mechanism", str(row["mechanism"])).address(view="table"),
        )
        for row in as_rows(table)
    )
