"""
How a failure is answered: a page for people, problem details (RFC 9457) for programs.

    SelectionError              400   the address asks for something that does not exist
    nobody has signed in        401   a program; a person is asked to (sign_in.py)
    not for this role           403   and forms that did not come from here
    DataError                   400   text that the state database cannot hold, such as a NUL
    DatabaseError               503   of the state database, which is locked or down; one line goes to the log
    any other ReportError       503   the store cannot answer; the sentence says how to mend it
    Http404                     404
    anything else               500   the traceback goes to the log, never to the reader
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import DatabaseError, DataError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext

from smtp_auth_report.errors import ReportError, SelectionError, one_line
from smtp_auth_report.moments import rfc3339
from smtp_auth_report.waiting import waiting_of
from smtp_auth_report.web.site import site_of

logger = logging.getLogger(__name__)

API = "/api/"
PROGRAMS = (API, "/metrics")


def answer_errors(respond: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: what a view raises becomes an answer."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = respond(request)
        if response.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
            return response
        if request.path.startswith(API):
            refused: HttpResponse = problem(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.method} is not answered here")
        else:
            refused = answer(request, HTTPStatus.METHOD_NOT_ALLOWED, gettext("This address takes what a form sends, and is no page."))
        refused.headers["Allow"] = response.headers.get("Allow", "GET")
        return refused

    middleware.process_exception = failed  # type: ignore[attr-defined]  # Django's hook of a function
    return middleware


def failed(request: HttpRequest, error: Exception) -> HttpResponse:
    """The answer in place of one that could not be given."""
    status, detail = _meaning(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s %s", request.method, one_line(request.path), exc_info=error)
    if isinstance(error, DatabaseError) and status == HTTPStatus.SERVICE_UNAVAILABLE:
        logger.error("the state database cannot be used: %s", one_line(str(error)))
    return answer(request, status, detail)


def answer(request: HttpRequest, status: HTTPStatus, detail: str) -> HttpResponse:
    """A page or problem details."""
    if is_for_programs(request):
        return unavailable(request, detail) if status == HTTPStatus.SERVICE_UNAVAILABLE else problem(status, detail)
    told: dict[str, object] = {"title": _title(status), "detail": detail, "waiting": None}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        told |= {"waiting": waiting_of(site_of(request).settings.state_path), "freshness": None}  # the store is not asked once more
    return render(request, "error.html", told, status=status)


def is_for_programs(request: HttpRequest) -> bool:
    """Whether a program asks, which reads no page."""
    return request.path.startswith(PROGRAMS)


def unavailable(request: HttpRequest, detail: str) -> JsonResponse:
    """That the store cannot answer, and since when reading on this host waits for it."""
    wait = waiting_of(site_of(request).settings.state_path)
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, **({"waiting_since": rfc3339(wait.since)} if wait else {}))


def problem(status: HTTPStatus, detail: str, **more: str) -> JsonResponse:
    """RFC 9457."""
    content = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail, **more}
    return JsonResponse(content, status=status, content_type="application/problem+json")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    return answer(request, HTTPStatus.NOT_FOUND, gettext("There is no page at this address."))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """Before any page can be made."""
    detail = "The request cannot be read."
    return (
        problem(HTTPStatus.BAD_REQUEST, detail)
        if request.path.startswith(API)
        else HttpResponse(detail, "text/plain", HTTPStatus.BAD_REQUEST)
    )


def refused_form(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - Django's signature
    """The form was not one that this site sent out (CSRF)."""
    return answer(
        request,
        HTTPStatus.FORBIDDEN,
        gettext("The form is too old or did not come from this page. Open the page again and send it once more."),
    )


def _meaning(error: Exception) -> tuple[HTTPStatus, str]:
    if isinstance(error, Http404):
        return HTTPStatus.NOT_FOUND, gettext("There is no page at this address.")
    if isinstance(error, SelectionError):
        return HTTPStatus.BAD_REQUEST, str(error)
    if isinstance(error, (DataError, SuspiciousOperation, BadRequest)):
        return HTTPStatus.BAD_REQUEST, gettext("The request cannot be read.")
    if isinstance(error, ReportError):
        return HTTPStatus.SERVICE_UNAVAILABLE, str(error)
    if isinstance(error, DatabaseError):
        return HTTPStatus.SERVICE_UNAVAILABLE, gettext("The state database cannot be used just now. Try again.")
    return HTTPStatus.INTERNAL_SERVER_ERROR, gettext("The server failed to answer. Its log says why.")


def _title(status: HTTPStatus) -> str:
    return {
        HTTPStatus.BAD_REQUEST: gettext("This cannot be shown"),
        HTTPStatus.FORBIDDEN: gettext("This is not allowed"),
        HTTPStatus.NOT_FOUND: gettext("Nothing here"),
        HTTPStatus.METHOD_NOT_ALLOWED: gettext("Nothing here"),
        HTTPStatus.SERVICE_UNAVAILABLE: gettext("The store cannot answer"),
    }.get(status, gettext("The server failed"))
