"""
The digest that somebody gets by mail, chosen and ended.

    /digests                  the reader's own; for administrators, those of others besides
    /digests/now              the one of the newest period, at once
    /digests/stop             no digest any more
    /unsubscribe/<token>      the same by the link of a mail, without sign-in; mail programs send it at one click (RFC 8058)
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

from django.conf import settings
from django.core.signing import BadSignature
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.reports.rhythms import Every
from smtp_auth_report.web.digests import ZONES, named_by, others, own, send_now, subscribe, unsubscribe
from smtp_auth_report.web.mailed_report import own_address, sends_to_any
from smtp_auth_report.web.models import Mail, Subscription
from smtp_auth_report.web.report_page import Box
from smtp_auth_report.web.sign_in import by_hand
from smtp_auth_report.web.site import Site, site_of

RHYTHMS: dict[str, Promise] = {
    Every.DAY: _("Every day, of the day before"),
    Every.WEEK: _("Every Monday, of the week before"),
    Every.MONTH: _("On the first of each month, of the month before"),
}


class Listed(NamedTuple):
    """One subscription as the page shows it."""

    subscription: Subscription
    every: str | Promise
    language: str
    mail: Mail | None  # the last


@require_http_methods(["GET", "HEAD", "POST"])
@by_hand
def digests(request: HttpRequest) -> HttpResponse:
    """The form; sent, it holds from the next period on. What cannot be done is said above what was entered."""
    site = site_of(request)
    mine = own(site).first()
    if request.method == "POST":
        fields = [request.POST.get(name, "").strip() for name in ("every", "address", "language", "zone")]
        try:
            subscribe(site, *fields)
        except SelectionError as error:
            context = _page(site, mine, *fields) | {"said": str(error)}
            return render(request, "digests.html", context, status=HTTPStatus.BAD_REQUEST)
        return HttpResponseRedirect("/digests")
    if mine:
        return render(request, "digests.html", _page(site, mine, mine.every, mine.address, mine.language, mine.zone))
    zone = site.settings.display_timezone
    return render(request, "digests.html", _page(site, mine, Every.WEEK, own_address(site), get_language() or "", zone))


def _page(site: Site, mine: Subscription | None, every: str, address: str, language: str, zone: str) -> dict[str, Any]:
    """What the page shows, and what is chosen in its form."""
    return {
        "rhythms": [Box(value, str(words), checked=value == every) for value, words in RHYTHMS.items()],
        "spoken": [Box(code, name, checked=code == language) for code, name in settings.LANGUAGES],
        "zones": sorted(ZONES),
        "chosen_zone": zone,
        "address": address if sends_to_any(site) else own_address(site),
        "title": gettext("Mail to you"),
        "own": _listed(mine) if mine else None,
        "others": [_listed(each) for each in others(site)],
        "sends_to_any": sends_to_any(site),
        "can_send": sends_to_any(site) or bool(own_address(site)),
        "json": "/api/digests",
    }


@require_POST
@by_hand
def now(request: HttpRequest) -> HttpResponse:
    """Send the reader's own at once."""
    site = site_of(request)
    for subscription in own(site):
        send_now(site, subscription)
    return HttpResponseRedirect("/digests")


@require_POST
@by_hand
def stop(request: HttpRequest) -> HttpResponse:
    """End the reader's own."""
    site = site_of(request)
    for subscription in own(site):
        unsubscribe(site, subscription)
    return HttpResponseRedirect("/digests")


@csrf_exempt  # programs send it, and its token is the proof
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """A page with one button, and what it does. A link of mail to an earlier address ends nothing, and tells of no other."""
    try:
        subscription = named_by(token)
    except BadSignature:
        raise Http404 from None
    if subscription and request.method == "POST":
        unsubscribe(site_of(request), subscription)
        subscription = None
    return render(request, "unsubscribe.html", {"title": gettext("Unsubscribe"), "subscription": subscription})


def _listed(subscription: Subscription) -> Listed:
    language = dict(settings.LANGUAGES).get(subscription.language, subscription.language)
    return Listed(subscription, RHYTHMS[subscription.every], language, next(iter(subscription.mails.all()), None))
