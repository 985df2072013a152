"""
The dashboard, its flyout and the ingest page.

The dashboard says at one glance whether an administrator must act: every card leads to the report with its filter
already set. The flyout says what the report is; it opens over the page, and is a page of its own where no script runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from smtp_auth_report.reports import REPORTS, Wanted, ask, ask_each
from smtp_auth_report.reports.asking import Filters
from smtp_auth_report.reports.findings import findings, recent
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.sources import SOURCES
from smtp_auth_report.store.interface import Progress, Question, Selection, Snapshot, StreamState, Value, View
from smtp_auth_report.submission import LEGACY_TLS, Outcome
from smtp_auth_report.waiting import waiting_of
from smtp_auth_report.web import cards, cells, charts, spans, vocabulary, wording
from smtp_auth_report.web.arrangement import Card, shown
from smtp_auth_report.web.doubts import COMMAND, doubts, nothing_read
from smtp_auth_report.web.header import LATE_AFTER
from smtp_auth_report.web.online_page import listed
from smtp_auth_report.web.pictures import Part, parts
from smtp_auth_report.web.query import Query
from smtp_auth_report.web.reader import Area
from smtp_auth_report.web.report_page import chart_of, ranked_domains, settled
from smtp_auth_report.web.saved import Opened
from smtp_auth_report.web.sign_in import needs
from smtp_auth_report.web.site import Site, of_one_state, site_of
from smtp_auth_report.web.tables import Frame, account_address, as_rows, excerpt

LISTED = 8
"""Senders of the dashboard's list."""

EXCERPT = ("sender", "messages", "usual", "ratio")
"""Columns of that list."""

UNUSUAL = Wanted(REPORTS["sending-volume"], View("ratio", limit=10 * LISTED), columns=frozenset((*EXCERPT, "is_new")))
"""What the list is taken from."""

FEWEST = 10
"""Messages that a sender of that list has at least; below it a ratio says little."""


FAILED_ADDRESSES = Question(
    sql="SELECT count(DISTINCT address_id) + max(CASE WHEN address_id IS NULL THEN 1 ELSE 0 END) AS addresses FROM events",
    columns=("addresses",),
    outcomes=(Outcome.AUTH_FAILED,),
)


class Reading(NamedTuple):
    """How far one server's log was read."""

    progress: Progress
    late: bool

    @property
    def kind(self) -> str:
        """Whose log it is."""
        return next((kind.title for kind in SOURCES if kind.name == self.progress.source), _("unknown"))


class Followed(NamedTuple):
    """How reading of one log goes."""

    state: StreamState
    silent: bool

    @property
    def problem(self) -> str:
        """Without the name, which stands beside it."""
        return self.state.problem.removeprefix(f"{self.state.stream}: ")


class Tile(NamedTuple):
    """One card, with the figure of its saved view."""

    template: str
    figure: cards.Figure | None


@require_safe
@of_one_state
def dashboard(request: HttpRequest) -> HttpResponse:
    """Cards as their reader has arranged them. What is hidden is not asked for."""
    site = site_of(request)
    query = Query()
    selection, moved = settled(site, query)
    query = spans.stated(query, selection) if moved else query
    there = shown(site)
    own = _wanted({card.key for card in there})
    saved = [card.opened.query for card in there if card.opened and card.opened.query]
    none: Filters = {}
    asked = [*((none, each) for each in own.values()), *((of.filters, cards.wanted(of)) for of in saved)]
    meanwhile = _meanwhile(site, selection, own)
    tables = iter(ask_each(site.seen, selection, asked))
    figures = _figures(site, query, {name: next(tables) for name in own}, meanwhile) | _reading(site, there)
    tiles = [Tile(card.template, card.opened and _figure(card.opened, tables)) for card in there if card.row == "tiles"]
    context = {
        "title": _("Dashboard"),
        "tiles": tiles,
        "panels": [Tile(card.template, None) for card in there if card.row == "panels"],
        "moved": spans.in_words(selection) if moved else "",
        "period": spans.in_words(selection),
        "empty": nothing_read(site) if site.seen.span() is None else None,
        "json": query.table_address("/api/reports/summary"),
        "old_tls": query.with_value("tls", vocabulary.LEGACY).address(report="tls-usage", view="table"),
        "cleartext": query.with_value("tls", "none").address(report="tls-usage", view="table"),
        "passwords": query.with_value("auth-class", "basic").address(report="auth-methods", view="table"),
        "failures": query.address(report="failures", view="table"),
        "volume_address": query.address(),
        "unusual_address": query.address(view="table", sort="-ratio"),
    }
    return render(request, "dashboard.html", context | figures)


@require_safe
@of_one_state
def flyout(request: HttpRequest) -> HttpResponse:
    """What the report is, and the week by TLS version."""
    site = site_of(request)
    query = Query()
    selection, moved = settled(site, query)
    query = spans.stated(query, selection) if moved else query
    summary = ask(REPORTS["summary"], site.seen, selection)
    row = as_rows(summary)[0]
    context = {
        "title": _("SMTP AUTH clients"),
        "summary": row,
        "period": spans.in_words(selection),
        "tls": tls_parts(row, query),
        "doubts": doubts(site, summary),
        "empty": nothing_read(site) if site.seen.span() is None else None,
        "report_address": query.address(),
        "details_address": query.address(view="table"),
        "tls_address": query.address(report="tls-usage", view="table"),
        "old_tls": query.with_value("tls", vocabulary.LEGACY).address(report="tls-usage", view="table"),
        "json": query.table_address("/api/reports/summary"),
        "legacy": _legacy(site, selection, query),
    }
    return render(request, "flyout.html", context)


@require_safe
@needs(Area.INGEST)
@of_one_state
def ingest(request: HttpRequest) -> HttpResponse:
    """How far each log was read, and what could not be."""
    site = site_of(request)
    selection, _moved = settled(site, Query())
    now = site.clock()
    progresses = site.seen.progress()
    context = {
        "title": _("Ingest"),
        "waiting": waiting_of(site.settings.state_path),
        "readings": [Reading(progress, now - progress.newest > LATE_AFTER) for progress in progresses],
        "online": any(progress.source == "entra" for progress in progresses),
        "streams": [Followed(state, now - state.committed > LATE_AFTER) for state in site.seen.streams()],
        "unread": site.seen.unread(),
        "findings": findings(site.seen, SOURCES, recent(site.seen, site.settings.display_timezone)),
        "reports": listed(site.seen.counted_reports()),
        "gaps": site.seen.gaps(selection.start, selection.end),
        "period": spans.in_words(selection),
        "span": site.seen.span(),
        "command": COMMAND,
        "json": "/api/ingest",
    }
    return render(request, "ingest.html", context)


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """The header's "last line read", asked for again while a page is open."""
    return render(request, "_status.html")


def tls_parts(row: dict[str, Value], query: Query) -> list[Part]:
    """Messages of each TLS version, worst first; the rare ones only where there are some."""
    figures = ((word, int(row.get(word.column) or 0)) for word in vocabulary.TLS)
    return parts(
        (
            str(word.label),
            number,
            (word.colour, word.pattern),
            query.with_value("tls", word.value).address(report="tls-usage", view="table"),
        )
        for word, number in figures
        if number or word.column in vocabulary.ALWAYS_SHOWN
    )


def _frame(site: Site, query: Query) -> Frame:
    return Frame(query, ZoneInfo(site.settings.display_timezone), site.clock(), {})


def _wanted(keys: set[str]) -> dict[str, Wanted]:
    """What the cards of these keys are made of, by report."""
    wanted = {}
    if keys & {"accounts", "old-tls", "passwords", "failures"}:
        wanted["summary"] = Wanted(REPORTS["summary"], series="accounts" in keys)
    if "failures" in keys:
        wanted["failures"] = Wanted(REPORTS["failures"], rows=False)
    if "old-tls" in keys:
        wanted["tls-usage"] = Wanted(REPORTS["tls-usage"], rows=False)
    if keys & {"volume", "unusual"}:
        wanted["sending-volume"] = UNUSUAL._replace(rows="unusual" in keys, series="volume" in keys)
    return wanted


def _figure(opened: Opened, tables: Iterator[Table]) -> cards.Figure:
    return cards.figure(opened, next(tables)) if opened.query else cards.Figure(opened)


def _meanwhile(site: Site, selection: Selection, wanted: Mapping[str, Wanted]) -> dict[str, Callable[[], Any]]:
    """What the cards need besides the tables, by report; it is asked for beside them."""
    asked: dict[str, Callable[[], Any]] = {}
    if "failures" in wanted:
        asked["failures"] = site.seen.beside(partial(_failed_addresses, selection))
    if "sending-volume" in wanted and wanted["sending-volume"].series:
        asked["sending-volume"] = ranked_domains(site)
    return asked


def _failed_addresses(selection: Selection, seen: Snapshot) -> int:
    return int(seen.ask(FAILED_ADDRESSES, selection).rows[0][0] or 0)


def _figures(site: Site, query: Query, tables: Mapping[str, Table], meanwhile: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Figures of the cards, as far as they are there."""
    figures: dict[str, Any] = {}
    if summary := tables.get("summary"):
        figures |= _counts(site, summary)
    if tls := tables.get("tls-usage"):
        figures |= {"legacy_by_day": _legacy_by_day(tls)}
    if failures := tables.get("failures"):
        figures |= {"failed_by_day": charts.daily(failures, "auth_failed"), "failed_addresses": meanwhile["failures"]()}
    if volume := tables.get("sending-volume"):
        figures |= _lower(site, query, volume, meanwhile["sending-volume"]() if volume.series else [])
    return figures


def _reading(site: Site, there: Iterable[Card]) -> dict[str, Any]:
    """Figures of the card of reading."""
    return {"unread": sum(unread.lines for unread in site.seen.unread())} if "ingest" in {card.key for card in there} else {}


def _counts(site: Site, summary: Table) -> dict[str, Any]:
    """Figures that the summary has."""
    counts = {name: int(value or 0) for name, value in as_rows(summary)[0].items()}
    legacy = sum(counts[name] for name in ("tls_sslv3", "tls_1_0", "tls_1_1"))
    return {
        "summary": counts,
        "change": counts["accounts"] - counts["previous_accounts"],
        "change_size": abs(counts["accounts"] - counts["previous_accounts"]),
        "legacy_share": wording.share(legacy / counts["messages"] if counts["messages"] else 0),
        "tls_all_unknown": bool(counts["messages"]) and counts["tls_unknown"] == counts["messages"],
        "passwords_bar": parts(
            [
                ("", counts["basic_auth_accounts"], ("password", "plain"), ""),
                ("", counts["accounts"] - counts["basic_auth_accounts"], ("quiet", "plain"), ""),
            ]
        ),
        "accounts_by_day": charts.daily(summary, "accounts"),
        "doubts": doubts(site, summary),
    }


def _legacy_by_day(tls: Table) -> list[int]:
    columns = [series.values for series in charts.tls_share(tls, 0, "").series if series.key in LEGACY_TLS]
    return [sum(values) for values in zip(*columns, strict=True)]


def _filtered(selection: Selection, name: str, *values: str) -> Selection:
    return Selection(selection.start, selection.end, selection.zone, {**selection.filters, name: values}, selection.scope)


def _legacy(site: Site, selection: Selection, query: Query) -> list[tuple[SafeString, int]]:
    """Accounts with a version below 1.2, those with most messages first."""
    found = site.seen.choices("account", _filtered(selection, "tls", vocabulary.LEGACY), limit=LISTED)
    return [(cells.row_link(account_address(name, query), cells.name(name)), messages) for name, messages in found if messages]


def _lower(site: Site, query: Query, volume: Table, ranked: list[str]) -> dict[str, Any]:
    """The week's chart, and senders far above their usual volume."""
    column = [known.name for known in volume.columns].index("messages")
    listed = [row for row in volume.rows if int(row[column] or 0) >= FEWEST][:LISTED]
    unusual = excerpt(replace(volume, rows=listed), _frame(site, query), EXCERPT)
    label = _("Messages by sender domain, %(period)s") % {"period": spans.in_words(volume.selection)}
    return {"chart": chart_of(query, volume, ranked, site.clock()), "chart_label": label, "unusual": unusual.lines}
