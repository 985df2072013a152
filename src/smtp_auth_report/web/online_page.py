"""
Exchange Online: what Microsoft counted, out of the admin center's report of SMTP AUTH clients; who signed in, out of
Entra's sign-in logs.

    /exchange-online                    the report that was read last
    /exchange-online?report=5f3a…       another one

What Microsoft counted is in no other page: it counts in its own way, and says neither who signed in nor from where. Entra
says that, and nothing of messages. Neither is added to the other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from smtp_auth_report.changes import Counted
from smtp_auth_report.moments import moment
from smtp_auth_report.store.interface import CountedReport, Question, View
from smtp_auth_report.submission import Outcome
from smtp_auth_report.web import cells, spans, vocabulary, wording
from smtp_auth_report.web.query import Query
from smtp_auth_report.web.report_page import settled
from smtp_auth_report.web.site import Site, of_one_state, site_of
from smtp_auth_report.web.tables import account_address

SHOWN = 500
VERSIONS = tuple(word for word in vocabulary.TLS if word.column in Counted._fields)
COMMON = ("tls_1_0", "tls_1_1", "tls_1_2")
"""Versions that a report always has."""


SIGN_INS = Question(
    sql="SELECT account, client_ip, auth_class, sum(messages) AS sign_ins, max(last_seen) AS last_seen FROM events "
    "WHERE source = 'entra' GROUP BY account, client_ip, auth_class",
    columns=("account", "client_ip", "auth_class", "sign_ins", "last_seen"),
    sums=("sign_ins",),
    outcomes=(Outcome.NO_MAIL,),
)
DAYS = 30


class SignedIn(NamedTuple):
    """One account at one address."""

    account: SafeString
    client_ip: SafeString
    authentication: str
    sign_ins: int
    last_seen: int


class Line(NamedTuple):
    """One sender."""

    row: Counted
    shares: list[str]  # of each version shown; "" where it is not told


class Listed(NamedTuple):
    """One report among others."""

    report: CountedReport
    days: str
    current: bool


@require_safe
@of_one_state
def online(request: HttpRequest) -> HttpResponse:
    """One report, and which others there are."""
    site = site_of(request)
    seen = site.seen
    reports = seen.counted_reports()
    wanted = request.GET.get("report") or (reports[0].report if reports else "")
    shown = next((report for report in reports if report.report == wanted), None)
    if wanted and shown is None:
        raise Http404("there is no such report")
    rows = seen.counted(wanted, SHOWN) if shown else []
    versions = [word for word in VERSIONS if word.column in COMMON or any(getattr(row, word.column) is not None for row in rows)]
    context = {
        "title": _("Exchange Online"),
        "report": shown,
        "days": days_of(shown) if shown else "",
        "lines": [Line(row, [_share(getattr(row, word.column)) for word in versions]) for row in rows],
        "versions": [word.label for word in versions],
        "reports": listed(reports, wanted) if len(reports) > 1 else [],
        "json": "/api/counted",
    } | signed_in(site)
    return render(request, "online.html", context)


def signed_in(site: Site) -> dict[str, Any]:
    """Who was let in of late, by account and address."""
    query = Query(days=DAYS)
    selection, _moved = settled(site, query)
    answer = site.seen.ask(SIGN_INS, selection, View(sort="sign_ins", limit=SHOWN))
    rows = [
        SignedIn(
            cells.unknown() if account is None else cells.row_link(account_address(str(account), query), cells.name(str(account))),
            cells.unknown() if client_ip is None else cells.host(str(client_ip)),
            str(vocabulary.SHORT_CLASSES[str(auth_class)]),
            int(sign_ins or 0),
            int(last_seen or 0),
        )
        for account, client_ip, auth_class, sign_ins, last_seen in answer.rows
    ]
    return {"sign_ins": rows, "sign_ins_in_all": answer.sums["sign_ins"], "pairs": answer.total, "period": spans.in_words(selection)}


def listed(reports: list[CountedReport], current: str = "") -> list[Listed]:
    """Reports with their days in words."""
    return [Listed(report, days_of(report), report.report == current) for report in reports]


def days_of(report: CountedReport) -> str:
    """The days that it is about; "" where the file does not tell."""
    if report.first is None:
        return ""
    first, last = (_day(at) for at in (report.first, report.last or report.first))
    return wording.day_range(first.date(), last.date())


def _day(at: int) -> datetime:
    return moment(at).astimezone(UTC)  # days of Microsoft's


def _share(part: float | None) -> str:
    return "" if part is None else wording.share(part)
