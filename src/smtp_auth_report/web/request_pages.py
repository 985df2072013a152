"""
Request report: every submission of a range as a file, made in the background and downloaded.

    /requests                 the form, and what was asked for before
    /requests/progress        the list alone, while something is being made
    /requests/<id>/file       the file; nothing but its random identifier names it
    /requests/<id>/remove     forget it
    /requests/<id>/cancel     make it no further
    /requests/<id>/retry      make one anew that failed or was cancelled
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.web import spans, vocabulary, wording
from smtp_auth_report.web.models import Progress, RequestedReport
from smtp_auth_report.web.query import read
from smtp_auth_report.web.report_page import Box, filter_form, settled
from smtp_auth_report.web.requested import ask_for, cancel, file_of, remove, requests_of, retry, sweep
from smtp_auth_report.web.sign_in import exported
from smtp_auth_report.web.site import Site, site_of
from smtp_auth_report.words import worded


class Asked(NamedTuple):
    """One request as the list shows it."""

    request: RequestedReport
    period: str
    filters: list[str]
    format: str
    share: float


@require_http_methods(["GET", "HEAD", "POST"])
def requests(request: HttpRequest) -> HttpResponse:
    """The form; sent, it starts the work and comes back."""
    site = site_of(request)
    if request.method == "POST":
        query = read(request.POST)
        name = request.POST.get("format", "")
        if name not in EXPORTS:
            raise SelectionError(worded("there is no format {name!r}; formats are {known}", name=name, known=", ".join(EXPORTS)))
        selection = query.selection(site.settings.display_timezone, site.clock())
        site.seen.count(selection)  # refuses a filter that cannot be used while the form is still there
        ask_for(site, selection, name)
        return HttpResponseRedirect("/requests")
    sweep(site.settings, site.clock())
    query = read(request.GET)
    selection, _moved = settled(site, query)
    context = filter_form(query, selection) | {
        "title": gettext("Request report"),
        "query": query,
        "back": query.address(page=query.page),
        "dates": spans.dates(selection),
        "formats": [Box(export.name, export.title, checked=index == 0) for index, export in enumerate(EXPORTS.values())],
        "outcome_boxes": [Box(value, label, value in query.filters.get("outcome", ())) for value, label in vocabulary.OUTCOMES.items()],
        "domain_boxes": [
            Box(value, wording.visible(vocabulary.filter_words("domain", value)), checked=True) for value in query.filters.get("domain", ())
        ],
    }
    return render(request, "requests.html", context | _asked(site))


@require_safe
def progress(request: HttpRequest) -> HttpResponse:
    """The list alone."""
    return render(request, "_requested.html", _asked(site_of(request)))


@require_safe
def file(request: HttpRequest, identifier: UUID) -> HttpResponseBase:
    """The finished file."""
    asked = get_object_or_404(requests_of(site_of(request)), pk=identifier, progress=Progress.DONE)
    export = EXPORTS[asked.format]
    path = file_of(site_of(request).settings, asked)
    if not path.is_file():
        raise Http404
    exported(request, f"submissions, {spans.in_english(asked.selection)}, as {export.title}")
    days = "-".join(spans.dates(asked.selection).values()).replace(":", "")
    return FileResponse(
        path.open("rb"), as_attachment=True, filename=f"submissions-{days}.{export.extension}", content_type=export.content_type
    )


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
    """Make a file anew that failed or was cancelled."""
    site = site_of(request)
    retry(site, get_object_or_404(requests_of(site), pk=identifier))
    return HttpResponseRedirect("/requests")


def _asked(site: Site) -> dict[str, Any]:
    found = [
        Asked(
            asked,
            spans.in_words(asked.selection),
            [
                gettext("%(name)s: %(value)s")
                % {"name": vocabulary.FILTER_NAMES[name], "value": wording.visible(vocabulary.filter_words(name, value))}
                for name, values in asked.selection.filters.items()
                for value in values
            ],
            EXPORTS[asked.format].title,
            asked.done / asked.total if asked.total else 0.0,
        )
        for asked in requests_of(site)
    ]
    return {"asked": found, "open": any(entry.request.is_open for entry in found)}
