"""
The JSON API of what belongs to whoever asks: requested files, saved views, the digest, the dashboard.

    GET /api/me                  who asks, and what they see
    GET /api/requests            files that the reader asked for; POST asks for one, DELETE /api/requests/{identifier} forgets it
    GET /api/views               saved views that the reader may open; POST keeps one, DELETE /api/views/{number} forgets it
    GET /api/digests             who gets a digest; POST sets the reader's own, DELETE ends it
    GET /api/cards               cards of the dashboard, as the reader has arranged them

What changes something takes a token, since a browser sends its session along with whatever another page makes it ask for.
A token has mail sent to its person's own address alone.

See also
    api.py, which has the reports; saved.py, requested.py and digests.py, which do what is asked for here
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Annotated, Any, Concatenate, ParamSpec
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from ninja import Path, Router
from ninja.decorators import decorate_view

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.exports.interface import NAMES, read_columns
from smtp_auth_report.moments import rfc3339
from smtp_auth_report.reports.render import period as period_of
from smtp_auth_report.store.filters import clean
from smtp_auth_report.web.api_shapes import (
    PROBLEMS,
    CardSchema,
    DigestIn,
    DigestSchema,
    MeSchema,
    ProblemSchema,
    RequestedIn,
    RequestedSchema,
    ViewIn,
    ViewSchema,
)
from smtp_auth_report.web.api_site import selection_of, values_of
from smtp_auth_report.web.arrangement import cards
from smtp_auth_report.web.digests import others, own, subscribe, unsubscribe
from smtp_auth_report.web.errors import problem
from smtp_auth_report.web.mailed_report import addresses, own_address
from smtp_auth_report.web.models import Mail, RequestedReport, Sending, Subscription
from smtp_auth_report.web.query import read
from smtp_auth_report.web.requested import ask_for, cancel, host_of, is_here, remove, requests_of
from smtp_auth_report.web.saved import Opened, save, views
from smtp_auth_report.web.saved import remove as remove_view
from smtp_auth_report.web.sign_in import is_by_token
from smtp_auth_report.web.site import Site, site_of
from smtp_auth_report.words import worded

router = Router()

JSON = "application/json"
TAKING = PROBLEMS | {HTTPStatus.UNSUPPORTED_MEDIA_TYPE.value: ProblemSchema}
"""What a route that takes JSON may answer besides."""

LARGEST = 2**63 - 1  # of a number in the state database

Parameters = ParamSpec("Parameters")
View = Callable[Concatenate[HttpRequest, Parameters], HttpResponse]


def by_token(view: View[Parameters]) -> View[Parameters]:
    """A route that changes something: a program asks, and what it sends is JSON."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> HttpResponse:
        if not is_by_token(request):
            return problem(HTTPStatus.FORBIDDEN, "what changes something takes a token: Authorization: Bearer …")
        if request.method == "POST" and request.content_type != JSON:
            return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"give it as JSON, with Content-Type: {JSON}")
        return view(request, *args, **kwargs)

    return guarded


@router.get("/me", summary="Who asks, and what they see", response={200: MeSchema, **PROBLEMS})
def me(request: HttpRequest) -> dict[str, Any]:
    reader = site_of(request).reader
    return {"name": reader.name or None, "role": reader.role, "domains": None if reader.scope is None else sorted(reader.scope)}


# Requested files


@router.get(
    "/requests",
    summary="Files that the reader asked for, the latest first",
    response={200: list[RequestedSchema], **PROBLEMS},
    by_alias=True,
)
def requests(request: HttpRequest) -> list[dict[str, Any]]:
    site = site_of(request)
    return [_requested(site, asked) for asked in requests_of(site).prefetch_related("mails")]


@router.post(
    "/requests",
    summary="Ask for a file of every submission of a period; it is made in the background",
    response={201: RequestedSchema, **TAKING},
    by_alias=True,
)
@decorate_view(by_token)
def ask(request: HttpRequest, wanted: RequestedIn) -> HttpResponse:
    site = site_of(request)
    selection = selection_of(site, wanted, values_of(wanted.filters))
    columns = read_columns(wanted.columns)
    site.seen.count(selection)  # refuses a filter that cannot be used
    to = addresses(site, _own_address(site)) if wanted.mail else []
    return JsonResponse(_requested(site, ask_for(site, selection, wanted.format, columns, to)), status=HTTPStatus.CREATED)


@router.delete(
    "/requests/{identifier}", summary="Forget a requested file; one that is being made is cancelled", response={204: None, **PROBLEMS}
)
@decorate_view(by_token)
def forget(request: HttpRequest, identifier: UUID) -> HttpResponse:
    site = site_of(request)
    asked = requests_of(site).filter(pk=identifier).first()
    if asked is None:
        raise Http404("there is no such request of yours")
    cancel(asked)
    remove(site.settings, asked)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def _requested(site: Site, asked: RequestedReport) -> dict[str, Any]:
    return {
        "id": str(asked.pk),
        "asked": rfc3339(asked.asked),
        "period": period_of(asked.selection),
        "filters": {name: list(values) for name, values in asked.selection.filters.items()},
        "format": asked.format,
        "columns": asked.columns or list(NAMES),
        "progress": asked.progress,
        "rows": asked.done,
        "total": asked.total,
        "size": asked.size,
        "rows_from": rfc3339(asked.rows_from) if asked.rows_from else None,
        "failure": asked.failure,
        "address": f"/requests/{asked.pk}/file" if is_here(site.settings, asked) else None,
        "host": host_of(site, asked) or None,
        "mails": [_mail(mail) for mail in asked.mails.all()],
    }


def _mail(mail: Mail) -> dict[str, Any]:
    waits = mail.state == Sending.WAITING
    return {
        "address": mail.address,
        "state": mail.state,
        "sent": rfc3339(mail.sent) if mail.sent else None,
        "due": rfc3339(mail.due) if waits else None,
        "failure": mail.failure,
    }


def _own_address(site: Site) -> str:
    address = own_address(site)
    if not address:
        raise SelectionError(worded("no mail is sent to you: no mail server is set, or your name is not an e-mail address"))
    return address


# Saved views


@router.get("/views", summary="Saved views that the reader may open", response={200: list[ViewSchema], **PROBLEMS}, by_alias=True)
def saved(request: HttpRequest) -> list[dict[str, Any]]:
    site = site_of(request)
    return [_view(site, opened) for opened in views(site)]


@router.post("/views", summary="Keep a view of the report page under a name", response={201: ViewSchema, **TAKING}, by_alias=True)
@decorate_view(by_token)
def keep(request: HttpRequest, wanted: ViewIn) -> HttpResponse:
    site, parameters = site_of(request), QueryDict(mutable=True)
    stated = {"by": wanted.report, "view": wanted.view, "from": wanted.from_, "to": wanted.to, "q": wanted.q, "sort": wanted.sort}
    for name, text in (stated | {"days": str(wanted.days) if wanted.days else ""}).items():
        parameters[name] = clean(text)
    for name, values in values_of(wanted.filters).items():
        parameters.setlist(name, list(values))
    selection_of(site, wanted)  # refuses days beside from and to
    kept = save(site, wanted.name, read(parameters), shared=wanted.shared)
    return JsonResponse(_view(site, kept), status=HTTPStatus.CREATED)


@router.delete("/views/{number}", summary="Forget a saved view", response={204: None, **PROBLEMS})
@decorate_view(by_token)
def drop(request: HttpRequest, number: Annotated[int, Path(ge=1, le=LARGEST)]) -> HttpResponse:
    remove_view(site_of(request), number)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def _view(site: Site, opened: Opened) -> dict[str, Any]:
    query, by = opened.query, opened.view.person
    told = {
        "number": opened.view.pk,
        "name": opened.title,
        "own": opened.own,
        "shared": opened.view.shared,
        "shared_by": by.name if by and not opened.own and site.reader.scope is None else None,
        "may_change": opened.may_change,
        "problem": opened.problem,
    }
    if query is None:
        return told
    return told | {
        "report": query.report,
        "view": query.view,
        "from": query.first,
        "to": query.last,
        "days": None if query.first or query.last else query.days,
        "filters": {name: list(values) for name, values in query.filters.items()},
        "q": query.search,
        "sort": query.sort,
        "address": query.address(),
        "table": query.table_address(f"/api/reports/{query.report}"),
    }


# Digests


@router.get(
    "/digests", summary="The reader's digest; for administrators those of others besides", response={200: list[DigestSchema], **PROBLEMS}
)
def digests(request: HttpRequest) -> list[dict[str, Any]]:
    return [_digest(subscription) for subscription in (*own(site_of(request)), *others(site_of(request)))]


@router.post(
    "/digests", summary="Have a digest sent to one's own address, in place of the one before", response={201: DigestSchema, **TAKING}
)
@decorate_view(by_token)
def begin(request: HttpRequest, wanted: DigestIn) -> HttpResponse:
    site = site_of(request)
    zone = wanted.zone or site.settings.display_timezone
    return JsonResponse(_digest(subscribe(site, wanted.every, _own_address(site), wanted.language, zone)), status=HTTPStatus.CREATED)


@router.delete("/digests", summary="End one's own digest", response={204: None, **PROBLEMS})
@decorate_view(by_token)
def end(request: HttpRequest) -> HttpResponse:
    site = site_of(request)
    mine = own(site).first()
    if mine is None:
        raise Http404("you get no digest")
    unsubscribe(site, mine)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def _digest(subscription: Subscription) -> dict[str, Any]:
    last = next(iter(subscription.mails.all()), None)
    names = ("every", "address", "language", "zone")
    return {"name": subscription.person.name, "mail": last and _mail(last)} | {name: getattr(subscription, name) for name in names}


# The dashboard


@router.get("/cards", summary="Cards of the dashboard, in the reader's order", response={200: list[CardSchema], **PROBLEMS})
def arranged(request: HttpRequest) -> list[dict[str, Any]]:
    return [{"key": card.key, "label": str(card.label), "row": card.row, "hidden": card.hidden} for card in cards(site_of(request))]
