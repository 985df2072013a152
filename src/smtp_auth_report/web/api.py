"""
The JSON API: the same tables as the pages, under /api/.

    GET /api/reports                           names and columns
    GET /api/reports/tls-usage?days=30&tls=legacy&limit=50
    GET /api/reports/sending-volume?format=csv&series=1
    GET /api/accounts?name=anna@contoso.example
    GET /api/ingest
    GET /api/openapi.json

Parameters have the names of the pages and of the command line; `to` is inclusive when it is a date. Failures are
problem details (RFC 9457).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import Field, NinjaAPI, Query, Schema
from ninja.errors import ValidationError

from smtp_auth_report import __version__
from smtp_auth_report.errors import ReportError, SelectionError
from smtp_auth_report.moments import rfc3339
from smtp_auth_report.reports import REPORTS, Wanted, ask, ask_all, periods
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.reports.render import as_csv, as_json
from smtp_auth_report.store.interface import FILTERS, Selection, View
from smtp_auth_report.web.account_page import SHOWN, first_and_last
from smtp_auth_report.web.errors import problem
from smtp_auth_report.web.reader import Area
from smtp_auth_report.web.sign_in import exported, needs
from smtp_auth_report.web.site import Site, site_of
from smtp_auth_report.words import worded

MOST_ROWS = 10_000
FARTHEST = 1_000_000_000

api = NinjaAPI(
    title="SMTP AUTH clients report",
    version=__version__,
    description="The tables of the report, as JSON or CSV. Times are RFC 3339; shares are 0 to 1.",
    docs_url=None,
    urls_namespace="api",
)


class Period(Schema):
    """From when to when; the last seven days where nothing is stated."""

    from_: str = Field("", alias="from", description="Date (its whole local day) or RFC 3339 time")
    to: str = Field("", description="Date (inclusive) or RFC 3339 time (exclusive)")
    days: int | None = Field(None, ge=1, le=3660, description="Today and the days before it, instead of from and to")


class Filters(Schema):
    """Values of one name are alternatives, names all hold."""

    domain: list[str] = Field([], description="Sender domain")
    account: list[str] = Field([])
    sender: list[str] = Field([], description="Envelope sender; <> is the null sender")
    client: list[str] = Field([], description="Address or network")
    service: list[str] = Field([], description="submission, submissions, smtp, unknown")
    tls: list[str] = Field([], description="none, SSLv3, TLSv1.0, TLSv1.1, TLSv1.2, TLSv1.3, tls, unknown, or legacy for all below 1.2")
    mechanism: list[str] = Field([])
    auth_class: list[str] = Field([], alias="auth-class", description="basic, challenge, oauth, other, unknown")
    server: list[str] = Field([])
    outcome: list[str] = Field([])


class Part(Schema):
    """Which rows, in which order."""

    q: str = Field("", description="Search in the report's text columns")
    sort: str = Field("", description="Column to sort by, with a hyphen before it for descending")
    limit: int = Field(1000, ge=0, le=MOST_ROWS)
    offset: int = Field(0, ge=0, le=FARTHEST)
    interval: Literal["auto", "hour", "day", "week"] = "auto"
    format: Literal["json", "csv"] = "json"
    series: bool = Field(default=False, description="With format=csv, the series instead of the rows")


class ColumnSchema(Schema):
    """One column of a table."""

    name: str
    type: str
    unit: str | None


class PeriodSchema(Schema):
    """`to` is exclusive."""

    from_: str = Field(alias="from")
    to: str
    timezone: str


class SeriesSchema(Schema):
    """What the chart draws."""

    columns: list[ColumnSchema]
    rows: list[dict[str, Any]]


class TableSchema(Schema):
    """A report's answer; `total_rows` counts what `limit` leaves out."""

    report: str
    period: PeriodSchema
    filters: dict[str, list[str]]
    columns: list[ColumnSchema]
    rows: list[dict[str, Any]]
    total_rows: int
    series: SeriesSchema
    totals: dict[str, int]
    unknown: dict[str, int]


class ProblemSchema(Schema):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


COUNTED = ("sender", "sender_domain", "messages", "tls_none", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3", "authentication")

PROBLEMS = dict.fromkeys((400, 401, 403, 404, 503), ProblemSchema)


@api.get("/reports", summary="The reports there are")
def list_reports(request: HttpRequest) -> list[dict[str, Any]]:  # noqa: ARG001 - ninja's signature
    return [
        {
            "name": report.name,
            "title": report.title,
            "columns": [{"name": column.name, "type": column.type, "unit": column.unit} for column in report.columns],
            "address": f"/api/reports/{report.name}",
        }
        for report in REPORTS.values()
    ]


@api.get("/reports/{name}", summary="One report", response={200: TableSchema, **PROBLEMS}, by_alias=True)
def one_report(
    request: HttpRequest,
    name: str,
    period: Annotated[Period, Query()],
    filters: Annotated[Filters, Query()],
    part: Annotated[Part, Query()],
) -> HttpResponse:
    if name not in REPORTS:
        raise Http404(f"there is no report {name!r}; reports are {', '.join(REPORTS)}")
    site = site_of(request)
    report = REPORTS[name]
    view = View(
        part.sort.removeprefix("-") or report.sort,
        part.sort.startswith("-") if part.sort else report.descending,
        part.q,
        part.offset,
        part.limit,
    )
    table = ask(report, site.seen, _selection(site, period, _values(filters)), view, interval=part.interval)
    if part.format == "csv":
        exported(request, f"{name}, {part.limit} rows at most, as CSV")
        headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        return HttpResponse(as_csv(table, series=part.series), content_type="text/csv; charset=utf-8", headers=headers)
    return JsonResponse(_content(table))


@api.get("/accounts", summary="One account: its reports, and when it was seen first and last")
def one_account(request: HttpRequest, name: str, period: Annotated[Period, Query()]) -> dict[str, Any]:
    site = site_of(request)
    seen = first_and_last(site, name)
    if seen is None:
        raise Http404(f"there is no account {name!r} in the store")
    selection = _selection(site, period, {"account": (name,)})
    tables = ask_all(site.seen, selection, [Wanted(REPORTS[report], View(limit=MOST_ROWS)) for report in SHOWN])
    reports = dict(zip(SHOWN, map(_content, tables), strict=True))
    return {"account": name, "first_seen": rfc3339(seen[0]), "last_seen": rfc3339(seen[1]), "reports": reports}


@api.get("/ingest", summary="How far each log was read, and what could not be")
@needs(Area.INGEST)
def ingest(request: HttpRequest) -> dict[str, Any]:
    site = site_of(request)
    now = site.clock()
    return {
        "now": rfc3339(now),
        "logs": [
            {
                "source": log.source,
                "server": log.server,
                "version": log.version,
                "newest": rfc3339(log.newest),
                "committed": rfc3339(log.committed),
                "lag_seconds": max(0, now - log.newest) // 1_000_000,
            }
            for log in site.seen.progress()
        ],
        "streams": [
            state._asdict() | {"newest": rfc3339(state.newest) if state.newest else None, "committed": rfc3339(state.committed)}
            for state in site.seen.streams()
        ],
        "unread": [
            {
                "source": unread.source,
                "server": unread.server,
                "reason": unread.reason,
                "lines": unread.lines,
                "last": rfc3339(unread.last),
                "samples": unread.samples,
            }
            for unread in site.seen.unread()
        ],
    }


@api.get("/counted", summary="What Microsoft counted: reports of the Exchange admin center, in no figure of any other answer")
def counted(request: HttpRequest) -> list[dict[str, Any]]:
    seen = site_of(request).seen
    return [
        {
            "file": report.file,
            "read": rfc3339(report.read),
            "from": None if report.first is None else rfc3339(report.first)[:10],
            "to": None if report.last is None else rfc3339(report.last)[:10],
            "senders": report.rows,
            "messages": report.messages,
            "rows": [{name: getattr(row, name) for name in COUNTED} for row in seen.counted(report.report, MOST_ROWS)],
        }
        for report in seen.counted_reports()
    ]


def _selection(site: Site, period: Period, filters: dict[str, tuple[str, ...]]) -> Selection:
    zone, now = site.settings.display_timezone, site.clock()
    if period.days is not None and (period.from_ or period.to):
        raise SelectionError(worded("give either days, or from and to"))
    start, end = periods.preset(period.days, zone, now) if period.days else periods.parse(period.from_, period.to, zone, now)
    return Selection(start, end, zone, filters)


def _values(filters: Filters) -> dict[str, tuple[str, ...]]:
    found = {name: tuple(value.strip() for value in getattr(filters, name.replace("-", "_")) if value.strip()) for name in FILTERS}
    return {name: values for name, values in found.items() if values}


def _content(table: Table) -> dict[str, Any]:
    return as_json(table) | {"total_rows": table.total_rows}


@api.exception_handler(ReportError)
def _report_error(request: HttpRequest, error: ReportError) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    return problem(HTTPStatus.BAD_REQUEST if isinstance(error, SelectionError) else HTTPStatus.SERVICE_UNAVAILABLE, str(error))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    return problem(HTTPStatus.NOT_FOUND, str(error))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    first = error.errors[0]
    return problem(HTTPStatus.BAD_REQUEST, f"{first['loc'][-1]}: {first['msg']}")
