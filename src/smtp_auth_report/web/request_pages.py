"""
Request report: every submission of a range as a file, made in the background and downloaded.

    /requests                 the form, and what was asked for before
    /requests/progress        the list alone, while something is being made
    /requests/<id>/file       the file; nothing but its random identifier names it
    /requests/<id>/remove     forget it
    /requests/<id>/cancel     make it no further
    /requests/<id>/retry      make one anew that failed, was cancelled, or is not here
    /mail/<id>/retry          send one again that could not be sent
    /mailed/<token>           the file, by the link of a mail, for those whom the link is for
"""

from __future__ import annotations

from http import HTTPStatus
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.exports.interface import NAMES, read_columns
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.web import spans, vocabulary, wording
from smtp_auth_report.web.detail import detail
from smtp_auth_report.web.errors import answer
from smtp_auth_report.web.mailed_report import addresses, linked, own_address, sends_to_any
from smtp_auth_report.web.models import Mail, Progress, RequestedReport
from smtp_auth_report.web.postbox import try_again
from smtp_auth_report.web.query import Query, read
from smtp_auth_report.web.report_page import Box, filter_form, settled
from smtp_auth_report.web.requested import ask_for, cancel, file_of, host_of, is_here, name_of, remove, requests_of, retry, sweep
from smtp_auth_report.web.sign_in import by_hand, exported, is_by_token
from smtp_auth_report.web.site import Site, site_of
from smtp_auth_report.words import worded


class Asked(NamedTuple):
    """One request as the list shows it."""

    request: RequestedReport
    period: str
    filters: list[str]
    format: str
    columns: str  # how many, where not all
    expired: str  # from when on it has rows, where some of its period had expired
    share: float
    is_here: bool  # a finished file
    host: str  # which has the file that is not here, or the rows of what nobody makes
    mails: list[Mail]  # of a finished file


@require_http_methods(["GET", "HEAD", "POST"])
def requests(request: HttpRequest) -> HttpResponse:
    """The form; sent, it starts the work and comes back. What cannot be done is said above what was entered."""
    site = site_of(request)
    if request.method == "POST":
        try:
            _ask(request, site)
        except SelectionError as error:
            query = read(request.POST)
            context = _form(site, query, query.selection(site.settings.display_timezone, site.clock()), request.POST)
            return render(request, "requests.html", context | _asked(site) | {"said": str(error)}, status=HTTPStatus.BAD_REQUEST)
        return HttpResponseRedirect("/requests")
    sweep(site.settings, site.clock())
    query = read(request.GET)
    selection, _moved = settled(site, query)
    return render(request, "requests.html", _form(site, query, selection, request.GET) | _asked(site))


def _ask(request: HttpRequest, site: Site) -> None:
    if request.POST.getlist("mail") and is_by_token(request):
        raise SelectionError(worded("a token has no mail sent from this form; ask for it at /api/requests"))
    columns = read_columns(request.POST.getlist("columns"))
    selection = read(request.POST).selection(site.settings.display_timezone, site.clock())
    site.seen.count(selection)  # refuses a filter that cannot be used while the form is still there
    ask_for(site, selection, request.POST.get("format", ""), columns, addresses(site, _mail(request.POST)))


def _mail(sent: QueryDict) -> str:
    return ",".join(sent.getlist("mail"))


def _form(site: Site, query: Query, selection: Selection, sent: QueryDict) -> dict[str, Any]:
    """What the form offers, with what was chosen in it before."""
    chosen, columns = sent.get("format", next(iter(EXPORTS))), sent.getlist("columns") or NAMES
    return filter_form(query, selection) | {
        "title": gettext("Request report"),
        "query": query,
        "back": query.address(page=query.page),
        "dates": spans.dates(selection),
        "formats": [Box(export.name, export.title, checked=export.name == chosen) for export in EXPORTS.values()],
        "columns": [Box(name, name, checked=name in columns) for name in NAMES],
        "fewer": not set(NAMES) <= set(columns),
        "mail": _mail(sent),
        "outcome_boxes": [Box(value, label, value in query.filters.get("outcome", ())) for value, label in vocabulary.OUTCOMES.items()],
        "domain_boxes": [
            Box(value, wording.visible(vocabulary.filter_words("domain", value)), checked=True) for value in query.filters.get("domain", ())
        ],
        "sends_to_any": sends_to_any(site),
        "own_address": own_address(site),
        "most_attached": site.settings.mail_attachment_mb,
        "json": "/api/requests",
    }


@require_safe
def progress(request: HttpRequest) -> HttpResponse:
    """The list alone."""
    return render(request, "_requested.html", _asked(site_of(request)))


@require_safe
def file(request: HttpRequest, identifier: UUID) -> HttpResponseBase:
    """The finished file."""
    return _download(request, get_object_or_404(requests_of(site_of(request)), pk=identifier, progress=Progress.DONE))


@require_safe
def mailed(request: HttpRequest, token: str) -> HttpResponseBase:
    """The finished file, while the link is good."""
    asked = linked(site_of(request), token)
    if asked is None:
        raise Http404
    return _download(request, asked)


def _download(request: HttpRequest, asked: RequestedReport) -> HttpResponseBase:
    site, export = site_of(request), EXPORTS[asked.format]
    if not is_here(site.settings, asked):
        return answer(request, HTTPStatus.NOT_FOUND, _where(host_of(site, asked)))
    content = file_of(site.settings, asked).open("rb")
    exported(request, detail("submissions, {period}, as {kind}", period=spans.dates(asked.selection), kind=export.title))
    return FileResponse(content, as_attachment=True, filename=name_of(asked), content_type=export.content_type)


def _where(host: str) -> str:
    if host:
        return gettext("The file is on %(host)s. Open it there, or have it made again here, on the page of requests.") % {"host": host}
    return gettext("The file is not there any more. Have it made again, on the page of requests.")


@require_POST
@by_hand
def send_again(request: HttpRequest, identifier: UUID) -> HttpResponse:
    """Try a mail of the reader's now that could not be sent."""
    site = site_of(request)
    theirs = Q(request__in=requests_of(site)) | Q(subscription__person__name=site.reader.name)
    mail = get_object_or_404(Mail.objects.filter(theirs), pk=identifier)
    try_again(mail, site.clock())
    return HttpResponseRedirect("/requests" if mail.request else "/digests")


@require_POST
def forget(request: HttpRequest, identifier: UUID) -> HttpResponse:
    """Remove a request and its file; one that is being made stays."""
    asked = get_object_or_404(requests_of(site_of(request)), pk=identifier)
    if not asked.is_open:
        remove(site_of(request).settings, asked)
    return HttpResponseRedirect("/requests")


@require_POST
def stop(request: HttpRequest, identifier: UUID) -> HttpResponse:
    """Make a file no further."""
    cancel(get_object_or_404(requests_of(site_of(request)), pk=identifier))
    return HttpResponseRedirect("/requests")


@require_POST
def again(request: HttpRequest, identifier: UUID) -> HttpResponse:
    """Make a file anew that failed, was cancelled, or is not here."""
    site = site_of(request)
    retry(site, get_object_or_404(requests_of(site), pk=identifier))
    return HttpResponseRedirect("/requests")


def _columns(asked: RequestedReport) -> str:
    chosen = {"n": wording.count(len(asked.columns)), "all": wording.count(len(NAMES))}
    return gettext("%(n)s of %(all)s columns") % chosen if asked.columns else ""


def _asked(site: Site) -> dict[str, Any]:
    found = [
        Asked(
            asked,
            spans.in_words(asked.selection),
            vocabulary.filters_in_words(asked.selection.filters),
            EXPORTS[asked.format].title,
            _columns(asked),
            spans.expired(asked.selection, asked.rows_from),
            asked.done / asked.total if asked.total else 0.0,
            is_here(site.settings, asked),
            host_of(site, asked),
            sorted(asked.mails.all(), key=attrgetter("address")) if asked.progress == Progress.DONE else [],
        )
        for asked in requests_of(site).prefetch_related("mails")
    ]
    sends = bool(site.settings.mail_server)
    soon = any(entry.request.is_open or (sends and any(mail.is_soon for mail in entry.mails)) for entry in found)
    return {"asked": found, "open": soon}
