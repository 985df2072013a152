"""
The JSON API: what the pages show, under /api/.

    GET /api/reports                           names and columns
    GET /api/reports/tls-usage?days=30&tls=legacy&limit=50
    GET /api/reports/sending-volume?format=csv&series=1
    GET /api/accounts?name=anna@contoso.example
    GET /api/choices/account?q=an
    GET /api/openapi.json
    the rest                                   api_site.py, and api_own.py, which has what can be changed

Parameters have the names of the pages and of the command line; `to` is inclusive when it is a date. Failures are
problem details (RFC 9457).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, wraps
from http import HTTPStatus
from typing import Annotated, Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI, Query
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema

from smtp_auth_report import __version__
from smtp_auth_report.errors import ReportError, SelectionError
from smtp_auth_report.exports.interface import read_columns
from smtp_auth_report.moments import rfc3339
from smtp_auth_report.reports import REPORTS, Wanted, ask_all
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.reports.render import as_csv, as_json, only
from smtp_auth_report.store.interface import FILTERS, View
from smtp_auth_report.web import api_own, api_site, spans
from smtp_auth_report.web.account_page import SHOWN, first_and_last
from smtp_auth_report.web.api_shapes import (
    MOST_ROWS,
    PROBLEMS,
    AccountSchema,
    ChoiceSchema,
    Filters,
    Part,
    Period,
    ReportSchema,
    TableSchema,
)
from smtp_auth_report.web.api_site import selection_of, values_of
from smtp_auth_report.web.detail import Detail, detail
from smtp_auth_report.web.errors import problem, unavailable
from smtp_auth_report.web.report_page import OFFERED
from smtp_auth_report.web.sign_in import exported
from smtp_auth_report.web.site import site_of
from smtp_auth_report.words import worded

WAYS_IN = {"token": {"type": "http", "scheme": "bearer"}, "session": {"type": "apiKey", "in": "cookie", "name": "session"}}
TELLING = {"401": "WWW-Authenticate", "429": "Retry-After"}
"""Headers of refusals that say what to do."""


class Api(NinjaAPI):
    """Says in its document how failures look and what is shown to be let in."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        schema["components"]["securitySchemes"] = WAYS_IN
        schema["security"] = [{name: []} for name in WAYS_IN]
        for operation in (operation for methods in schema["paths"].values() for operation in methods.values()):
            for status, answer in ((str(status), answer) for status, answer in operation["responses"].items()):
                if status >= "400":
                    answer["content"] = {"application/problem+json": answer["content"]["application/json"]}
                if status in TELLING:
                    answer["headers"] = {TELLING[status]: {"required": True, "schema": {"type": "string"}}}
        return schema


api = Api(
    title="SMTP AUTH clients report",
    version=__version__,
    description="What the pages show, as JSON or CSV. Times are RFC 3339; shares are 0 to 1.",
    docs_url=None,
    urls_namespace="api",
)
for router in (api_site.router, api_own.router):
    api.add_router("", router)


@cache
def _parameters() -> dict[tuple[str, str], dict[str, bool]]:
    """Of each route and method, the names that may stand behind the question mark, and whether one may stand there several times."""
    return {
        (path, method.upper()): {
            parameter["name"]: parameter["schema"].get("type") == "array"
            for parameter in operation.get("parameters", [])
            if parameter["in"] == "query"
        }
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method, operation in methods.items()
    }


def _strict(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A misspelt filter must not give the figures of all."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        route = re.sub(r"<(\w+)>", r"{\1}", str(request.resolver_match and request.resolver_match.route))
        known = _parameters()[f"/{route}", str(request.method)]
        for name, values in request.GET.lists():
            if name not in known:
                raise SelectionError(
                    worded("there is no parameter {name!r} here; there are {known}", name=name, known=", ".join(known) or worded("none"))
                )
            if len(values) > 1 and not known[name]:
                raise SelectionError(worded("{name} is given more than once", name=name))
        return view(request, *args, **kwargs)

    return checked


api.add_decorator(_strict, mode="view")


@api.get("/reports", summary="The reports there are", response={200: list[ReportSchema], **PROBLEMS})
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


@api.get(
    "/reports/{name}",
    summary="One report",
    response={200: TableSchema, **PROBLEMS},
    openapi_extra={"responses": {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}},
)
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
    columns = read_columns(part.columns, [column.name for column in report.columns])
    wanted = Wanted(report, view, columns=frozenset(columns))
    selection = selection_of(site, period, values_of(filters))
    table = only(ask_all(site.seen, selection, [wanted], interval=part.interval)[0], columns)
    if part.format == "csv":
        title, dates = Detail(report.title, {}), spans.dates(selection)
        exported(request, detail("{report}, {period}, {limit} rows at most, as CSV", report=title, period=dates, limit=part.limit))
        headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        return HttpResponse(as_csv(table, series=part.series), content_type="text/csv; charset=utf-8", headers=headers)
    return JsonResponse(_content(table))


@api.get(
    "/accounts",
    summary="One account: its reports, and when it was seen first and last",
    response={200: AccountSchema, **PROBLEMS},
)
def one_account(request: HttpRequest, name: str, period: Annotated[Period, Query()]) -> HttpResponse:
    site = site_of(request)
    seen = first_and_last(site, name)
    if seen is None:
        raise Http404(f"there is no account {name!r} in the store")
    selection = selection_of(site, period, {"account": (name,)})
    tables = ask_all(site.seen, selection, [Wanted(REPORTS[report], View(limit=MOST_ROWS)) for report in SHOWN])
    reports = dict(zip(SHOWN, map(_content, tables), strict=True))
    return JsonResponse({"account": name, "first_seen": rfc3339(seen[0]), "last_seen": rfc3339(seen[1]), "reports": reports})


@api.get("/choices/{name}", summary="Values of a filter, those of most messages first", response={200: list[ChoiceSchema], **PROBLEMS})
def choices(request: HttpRequest, name: str, period: Annotated[Period, Query()], q: str = "") -> list[dict[str, Any]]:
    if name not in FILTERS:
        raise Http404(f"there is no filter {name!r}; filters are {', '.join(FILTERS)}")
    site = site_of(request)
    found = site.seen.choices(name, selection_of(site, period), q.strip(), OFFERED)
    return [{"value": value, "messages": messages} for value, messages in found]


def _content(table: Table) -> dict[str, Any]:
    return as_json(table) | {"total_rows": table.total_rows}


@api.exception_handler(ReportError)
def _report_error(request: HttpRequest, error: ReportError) -> HttpResponse:
    return problem(HTTPStatus.BAD_REQUEST, str(error)) if isinstance(error, SelectionError) else unavailable(request, str(error))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    return problem(HTTPStatus.NOT_FOUND, str(error) or "there is nothing like that here")


@api.exception_handler(HttpError)
def _unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    return problem(HTTPStatus(error.status_code), str(error))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    first = error.errors[0]
    return problem(HTTPStatus.BAD_REQUEST, f"{first['loc'][-1]}: {first['msg']}")
