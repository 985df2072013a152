"""
Saved views: the list of them, and what changes it.

    /views                what the reader may open; sent from the report page, keeps that page's state under a name
    /views/7              sent, another name, and whether others see it
    /views/7/remove       sent, forgets it
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.web.query import read
from smtp_auth_report.web.report_page import Named, period_words, shown
from smtp_auth_report.web.saved import NAME_CHARACTERS, Opened, change, in_words, may_share, remove, save, views
from smtp_auth_report.web.site import Site, of_one_state, site_of

LIST = "/views"
NOTHING: Mapping[int, Named] = MappingProxyType({})


@require_http_methods(["GET", "HEAD", "POST"])
def saved(request: HttpRequest) -> HttpResponse:
    """The list; sent from the report page, it keeps the state and leads back there, with what was entered where that is refused."""
    site = site_of(request)
    if request.method != "POST":
        return _list(request)
    query, entered = read(request.POST), _entered(request)
    try:
        save(site, entered.name, query, shared=entered.shared)
    except SelectionError as error:
        return of_one_state(shown)(request, query, entered._replace(said=str(error)), HTTPStatus.BAD_REQUEST)
    return HttpResponseRedirect(query.address())


@require_POST
def edited(request: HttpRequest, number: int) -> HttpResponse:
    """Another name, shared or not."""
    entered = _entered(request)
    try:
        change(site_of(request), number, entered.name, shared=entered.shared)
    except SelectionError as error:
        return _list(request, {number: entered._replace(said=str(error))}, HTTPStatus.BAD_REQUEST)
    return HttpResponseRedirect(LIST)


@require_POST
def removed(request: HttpRequest, number: int) -> HttpResponse:
    """No longer there."""
    remove(site_of(request), number)
    return HttpResponseRedirect(LIST)


def _list(request: HttpRequest, entered: Mapping[int, Named] = NOTHING, status: int = HTTPStatus.OK) -> HttpResponse:
    """The page of all views; the forms of some have what was entered."""
    site = site_of(request)
    context = {
        "title": gettext("Saved views"),
        "listed": [
            (opened, _shows(site, opened), entered.get(opened.view.pk) or Named(opened.view.name, opened.view.shared))
            for opened in views(site)
        ],
        "may_share": may_share(site.reader),
        "longest": NAME_CHARACTERS,
        "json": "/api/views",
    }
    return render(request, "views.html", context, status=status)


def _entered(request: HttpRequest) -> Named:
    return Named(request.POST.get("name", ""), "shared" in request.POST)


def _shows(site: Site, opened: Opened) -> str:
    """What a view shows, with its period; else why it shows nothing."""
    if opened.query is None:
        return opened.problem
    selection = opened.query.selection(site.settings.display_timezone, site.clock())
    return f"{in_words(opened.query)}, {period_words(opened.query, selection)}"
