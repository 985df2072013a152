"""
The report page: one report as a chart or as a table, with its toolbar, filters and the line in words.

    /report?by=tls-usage&view=table&days=30&domain=contoso.example&tls=legacy&sort=-messages&page=2
    /report.csv?...                 the table shown, all its rows, as CSV at once; with columns=account,messages these columns
    /choices/account?account=an     values to choose from while typing

Everything works as links and forms; htmx only spares the reader the reload.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from smtp_auth_report.exports.interface import read_columns
from smtp_auth_report.reports import REPORTS, Wanted, ask_all, periods
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.reports.render import as_csv, only
from smtp_auth_report.store.interface import FILTERS, Selection, Snapshot, View
from smtp_auth_report.store.local_time import day_start, local_day
from smtp_auth_report.web import charts, spans, vocabulary, wording
from smtp_auth_report.web.detail import Detail, detail
from smtp_auth_report.web.doubts import doubts, emptiness
from smtp_auth_report.web.pictures import Part, parts
from smtp_auth_report.web.query import CHARTED, PAGE_ROWS, PIVOTS, Query, read
from smtp_auth_report.web.saved import NAME_CHARACTERS, may_share, views
from smtp_auth_report.web.sign_in import exported
from smtp_auth_report.web.site import Site, of_one_state, site_of
from smtp_auth_report.web.tables import Frame, details

PERIOD_NAMES = {7: _("Last 7 days"), 30: _("Last 30 days"), 90: _("Last 90 days"), 365: _("Last 365 days")}
OFFERED = 50
"""Values of a filter that are offered."""

COLLECTED = ("account", "sender", "client", "mechanism", "server")
"""Filters whose values are typed in or chosen from what there is."""


class Link(NamedTuple):
    """One of several choices, all of them addresses."""

    label: str | Promise
    address: str
    current: bool


class Chip(NamedTuple):
    """One filter in force and the address without it."""

    name: str | Promise
    value: str
    address: str


class Box(NamedTuple):
    """One value of a filter as a check box."""

    value: str
    label: str | Promise
    checked: bool


class Field(NamedTuple):
    """One filter whose values are collected."""

    name: str
    label: str | Promise
    boxes: list[Box]
    hint: str | Promise


class Named(NamedTuple):
    """What a form of a view's name has, and why it was refused."""

    name: str = ""
    shared: bool = False
    said: str = ""


HINTS = {"client": _("An address or a network, as 192.0.2.0/24"), "mechanism": _("PLAIN, XOAUTH2 or another")}


@require_safe
@of_one_state
def report(request: HttpRequest) -> HttpResponse:
    """The page."""
    query = read(request.GET)
    if "" in (value for values in request.GET.lists() for value in values[1]) and "HX-Request" not in request.headers:
        return HttpResponseRedirect(query.address(page=query.page))
    response = shown(request, query)
    if "HX-Request" in request.headers:
        response.headers["HX-Push-Url"] = query.address(page=query.page)
    return response


def shown(request: HttpRequest, query: Query, named: Named = Named(), status: int = HTTPStatus.OK) -> HttpResponse:  # noqa: B008 (frozen)
    """The page of a state, with what was entered to keep that under."""
    site = site_of(request)
    ranked = ranked_domains(site)
    table, moved = answer(site, query)
    return render(request, "report.html", page(site, query, table, ranked(), moved=moved) | {"named": named}, status=status)


@require_safe
@of_one_state
def report_csv(request: HttpRequest) -> HttpResponse:
    """All rows of the table shown."""
    query = read(request.GET)
    selection, _moved = settled(site_of(request), query)
    report = REPORTS[query.report]
    columns = read_columns(request.GET.getlist("columns"), [column.name for column in report.columns])
    wanted = Wanted(report, View(query.column, query.descending, query.search), series=False, columns=frozenset(columns))
    table = only(ask_all(site_of(request).seen, selection, [wanted])[0], columns)
    name = "-".join([query.report, *spans.dates(selection).values()]).replace(":", "")
    exported(request, detail("{report}, {period}, as CSV", report=Detail(report.title, {}), period=spans.dates(selection)))
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return HttpResponse(as_csv(table), content_type="text/csv; charset=utf-8", headers=headers)


@require_safe
@of_one_state
def choices(request: HttpRequest, name: str) -> HttpResponse:
    """Values of a filter, most used first, for what has been typed so far."""
    if name not in FILTERS:
        raise Http404
    query = read(request.GET)
    selection, _moved = settled(site_of(request), replace(query, filters={}))
    found = site_of(request).seen.choices(name, selection, query_text(request, name), OFFERED)
    return render(request, "_choices.html", {"choices": found})


def query_text(request: HttpRequest, name: str) -> str:
    values = [value for value in request.GET.getlist(name) if value.strip()]
    return values[-1].strip() if values else ""


def settled(site: Site, query: Query) -> tuple[Selection, bool]:
    """The period asked for; the last days that have rows, where the reader stated none and the usual one is empty."""
    selection = query.selection(site.settings.display_timezone, site.clock())
    if query.stated:
        return selection, False
    period = periods.settle(site.seen, selection.start, selection.end, selection.zone)
    return Selection(period.start, period.end, selection.zone, selection.filters), period.moved


def answer(site: Site, query: Query) -> tuple[Table, bool]:
    """The table, of what its view shows, and whether its period is another one than usual."""
    selection, moved = settled(site, query)
    in_rows = query.view == "table"
    view = View(query.column, query.descending, query.search, (query.page - 1) * PAGE_ROWS, PAGE_ROWS)
    wanted = Wanted(REPORTS[query.report], view, rows=in_rows or bool(query.search), series=not in_rows)
    return ask_all(site.seen, selection, [wanted])[0], moved


def page(site: Site, query: Query, table: Table, ranked: list[str], *, moved: bool) -> dict[str, Any]:
    """Context of the template."""
    now = site.clock()
    context: dict[str, Any] = {
        "query": query,
        "title": gettext("SMTP AUTH clients report"),
        "pivots": [
            Link(vocabulary.PIVOT_NAMES[name], query.address(report=name, sort="", page=1, **_view_for(name, query)), name == query.report)
            for name in PIVOTS
        ],
        "switch": query.address(view="chart" if query.view == "table" else "table", page=1) if query.report in CHARTED else "",
        "export": query.address("/report.csv", page=1),
        "request_address": query.address("/requests", page=1),
        "json": query.table_address(f"/api/reports/{query.report}"),
        "period_words": period_words(query, table.selection),
        "periods": [
            Link(PERIOD_NAMES[days], query.address(days=days, first="", last=""), not query.first and query.days == days)
            for days in periods.PRESETS
        ],
        "domains": [Box(name, _words("domain", name), name in query.filters.get("domain", ())) for name in domain_choices(ranked, query)],
        "domain_words": domain_words(query),
        "all_domains": query.with_filter("domain", ()).address(),
        "views": [Link(opened.title, opened.address, opened.view.state == query.state) for opened in views(site) if opened.query],
        "state": query.pairs(),
        "may_share": may_share(site.reader),
        "longest": NAME_CHARACTERS,
        "chips": chips(query),
        "without_filters": query.address(filters={}),
        "said": said(query, table),
        "doubts": doubts(site, table),
        "moved": spans.in_words(table.selection) if moved else "",
        "empty": emptiness(site, table, query),
    } | filter_form(query, table.selection)
    if query.view == "table":
        context["details"] = details(table, Frame(query, ZoneInfo(site.settings.display_timezone), now, table.totals))
    else:
        context["chart"] = chart = chart_of(query, table, ranked, now)
        context["shares"] = shares(query, chart) if query.report == "tls-usage" else []
    return context


def chart_of(query: Query, table: Table, ranked: list[str], now: int) -> charts.Chart:
    """What the report's chart draws."""
    zoom = query.address(days=periods.DEFAULT_DAYS, first="", last="")
    if query.report == "tls-usage":
        return charts.tls_share(table, now, zoom)
    if query.report == "auth-methods":
        return charts.mechanisms(table, now, zoom)
    if query.report == "failures":
        return charts.failures(table, now, zoom)
    return charts.volume(table, ranked, now, zoom)


def shares(query: Query, chart: charts.Chart) -> list[Part]:
    """TLS versions of the whole period, worst first, each adding itself to the filters."""
    return parts(
        (series.label, series.total, (series.colour, series.pattern), query.with_value("tls", series.key).address(view="table"))
        for series in chart.series
    )


def ranked_domains(site: Site) -> Callable[[], list[str]]:
    """
    Sender domains by volume over the whole store, but for the last day, which goes on: their order is that of their colours.
    They are asked for meanwhile.
    """
    return site.seen.beside(partial(_ranked_domains, site.settings.display_timezone))


def _ranked_domains(zone: str, seen: Snapshot) -> list[str]:
    span = seen.span()
    if span is None:
        return []
    last = day_start(zone, local_day(zone, span[1]))
    whole = Selection(span[0], last if span[0] < last else span[1] + 1, zone)
    return [domain for domain, _messages in seen.choices("domain", whole)]


def domain_choices(ranked: list[str], query: Query) -> list[str]:
    """What *Show data for* offers: the chosen ones, should they not be among the largest, and the largest."""
    return list(dict.fromkeys([*(domain for domain in query.filters.get("domain", ()) if domain not in ranked), *ranked]))


def domain_words(query: Query) -> str:
    """What *Show data for* says."""
    chosen = query.filters.get("domain", ())
    if not chosen:
        return gettext("All sender domains")
    if len(chosen) == 1:
        return _words("domain", chosen[0])
    return gettext("%(n)s sender domains") % {"n": wording.count(len(chosen))}


def _words(name: str, value: str) -> str:
    """A filter's value as people read it."""
    return wording.visible(vocabulary.filter_words(name, value))


def chips(query: Query) -> list[Chip]:
    """Filters in force, in the order of their names."""
    return [
        Chip(
            vocabulary.FILTER_NAMES[name],
            _words(name, value),
            query.without_value(name, value).address(page=1),
        )
        for name, value in query.filter_pairs()
    ]


def said(query: Query, table: Table) -> str:
    """What is shown, in words, numbers first."""
    totals = table.totals
    period = spans.in_words(table.selection)
    domains = gettext("all domains") if not query.filters.get("domain") else domain_words(query)
    if query.report == "failures":
        signs, hands = totals.get("auth_failed", 0), totals.get("tls_failed", 0)
        failed = ngettext("%(n)s failed sign-in", "%(n)s failed sign-ins", signs) % {"n": wording.count(signs)}
        shakes = ngettext("%(n)s failed TLS handshake", "%(n)s failed TLS handshakes", hands) % {"n": wording.count(hands)}
        return gettext("%(failed)s and %(shakes)s, %(period)s") % {"failed": failed, "shakes": shakes, "period": period}
    messages = ngettext("%(n)s message", "%(n)s messages", totals["messages"]) % {"n": wording.count(totals["messages"])}
    accounts = ngettext("%(n)s account", "%(n)s accounts", totals["accounts"]) % {"n": wording.count(totals["accounts"])}
    sentence = gettext("%(messages)s from %(accounts)s, %(period)s, %(domains)s")
    sentence %= {"messages": messages, "accounts": accounts, "period": period, "domains": domains}
    if unknown := table.unknown.get("tls_version"):
        share = wording.share(unknown / (totals["messages"] or 1))
        return gettext("%(sentence)s; TLS unknown for %(share)s") % {"sentence": sentence, "share": share}
    return sentence


def filter_form(query: Query, selection: Selection) -> dict[str, Any]:
    """What the filters panel offers."""
    chosen = {name: query.filters.get(name, ()) for name in FILTERS}
    tls = [Box(vocabulary.LEGACY, _("Below 1.2"), vocabulary.LEGACY in chosen["tls"])]
    tls += [Box(word.value, word.label, word.value in chosen["tls"]) for word in vocabulary.TLS]
    return {
        "presets": [Box(str(days), label, not query.first and query.days == days) for days, label in PERIOD_NAMES.items()],
        "dates": spans.dates(selection) if query.first or query.last else {"first": "", "last": ""},
        "kept": [(name, value) for name, value in query.pairs() if name in ("by", "view", "q", "sort", "domain", "outcome")],
        "carried": [(name, value) for name, value in query.pairs() if name not in ("domain", "page")],
        "searched": [(name, value) for name, value in query.pairs() if name not in ("q", "page")],
        "tls_boxes": tls,
        "service_boxes": [Box(value, label, value in chosen["service"]) for value, label in vocabulary.SERVICES.items()],
        "class_boxes": [Box(value, label, value in chosen["auth-class"]) for value, label in vocabulary.CLASSES.items()],
        "fields": [
            Field(
                name,
                vocabulary.FILTER_NAMES[name],
                [Box(value, _words(name, value), checked=True) for value in chosen[name]],
                HINTS.get(name, ""),
            )
            for name in COLLECTED
        ],
        "filters_set": len(query.filter_pairs()),
    }


def _view_for(name: str, query: Query) -> dict[str, Any]:
    return {"view": query.view} if name in CHARTED else {"view": "table"}


def period_words(query: Query, selection: Selection) -> str:
    """A period of the menu by its name, any other by its days."""
    if not query.first and not query.last and query.days in PERIOD_NAMES:
        return str(PERIOD_NAMES[query.days])
    return spans.in_words(selection)
