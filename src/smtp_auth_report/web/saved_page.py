"""
Saved views: the list of them, and what changes it.

    /views                what the reader may open; sent from the report page, keeps that page's state under a name
    /views/7              sent, another name, and whether others see it
    /views/7/remove       sent, forgets it
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from smtp_auth_report.web.query import read
from smtp_auth_report.web.report_page import period_words
from smtp_auth_report.web.saved import NAME_CHARACTERS, Opened, change, in_words, may_share, remove, save, views
from smtp_auth_report.web.site import Site, site_of

LIST = "/views"


@require_http_methods(["GET", "HEAD", "POST"])
def saved(request: HttpRequest) -> HttpResponse:
    """The list; sent from the report page, it keeps the state and leads back there."""
    site = site_of(request)
    if request.method == "POST":
        query = read(request.POST)
        save(site, request.POST.get("name", ""), query, shared="shared" in request.POST)
        return HttpResponseRedirect(query.address())
    context = {
        "title": gettext("Saved views"),
        "listed": [(opened, _shows(site, opened)) for opened in views(site)],
        "may_share": may_share(site.reader),
        "longest": NAME_CHARACTERS,
        "json": "/api/views",
    }
    return render(request, "views.html", context)


@require_POST
def edited(request: HttpRequest, number: int) -> HttpResponse:
    """Another name, shared or not."""
    change(site_of(request), number, request.POST.get("name", ""), shared="shared" in request.POST)
    return HttpResponseRedirect(LIST)


@require_POST
def removed(request: HttpRequest, number: int) -> HttpResponse:
    """No longer there."""
    remove(site_of(request), number)
    return HttpResponseRedirect(LIST)


def _shows(site: Site, opened: Opened) -> str:
    """What a view shows, with its period; else why it shows nothing."""
    if opened.query is None:
        return opened.problem
    selection = opened.query.selection(site.settings.display_timezone, site.clock())
    return f"{in_words(opened.query)}, {period_words(opened.query, selection)}"
