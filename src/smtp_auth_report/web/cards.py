"""
Saved views as cards of the dashboard: the main figure of each, for the dashboard's period.

    figure(view, table)        of the table that `wanted(view.query)` asks for

A view's own period counts where the view itself is opened, and so does what it sorts by.
"""

from __future__ import annotations

from typing import NamedTuple

from django.utils.translation import ngettext

from smtp_auth_report.reports import REPORTS, Wanted
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.store.interface import View
from smtp_auth_report.web import charts, wording
from smtp_auth_report.web.query import Query
from smtp_auth_report.web.saved import Opened


class Figure(NamedTuple):
    """A view with its main figure."""

    opened: Opened
    number: int = 0
    unit: str = ""
    words: str = ""
    by_day: list[int] = []  # noqa: RUF012 - never changed
    colour: str = "accent"


def wanted(query: Query) -> Wanted:
    """What the figure is taken from; a search counts in the rows alone."""
    return Wanted(REPORTS[query.report], View(search=query.search, limit=0), rows=bool(query.search), series=not query.search)


def figure(opened: Opened, table: Table) -> Figure:
    """Messages, or failed sign-ins."""
    report, totals = table.report, table.totals
    by_day = charts.daily(table, report.series[-1].name if report.name != "failures" else "auth_failed") if table.series else []
    if report.name == "failures":
        signs, hands = totals.get("auth_failed", 0), totals.get("tls_failed", 0)
        words = ngettext("%(n)s failed TLS handshake", "%(n)s failed TLS handshakes", hands) % {"n": wording.count(hands)}
        return Figure(opened, signs, ngettext("failed sign-in", "failed sign-ins", signs), words, by_day, "failed-auth")
    messages, accounts = totals["messages"], totals["accounts"]
    words = ngettext("from %(n)s account", "from %(n)s accounts", accounts) % {"n": wording.count(accounts)}
    return Figure(
        opened, messages, ngettext("message", "messages", messages), "" if opened.query and opened.query.search else words, by_day
    )
