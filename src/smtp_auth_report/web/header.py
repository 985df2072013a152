"""
What every page shows around its own content: how fresh the data is, the zone, the notice, the places to go.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import Promise, SimpleLazyObject
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from smtp_auth_report.errors import ReportError
from smtp_auth_report.web.mailed_report import own_address, sends_to_any
from smtp_auth_report.web.reader import EVERYONE, NOBODY, Area
from smtp_auth_report.web.sign_in import proxy_user
from smtp_auth_report.web.site import Site, site_of
from smtp_auth_report.web.wording import HOUR, MICROSECONDS

LATE_AFTER = HOUR * MICROSECONDS
"""A log whose newest line is older than this is said to be late."""

PLACES = (
    ("/", _("Dashboard")),
    ("/report", _("SMTP AUTH clients")),
    ("/ingest", _("Ingest")),
    ("/digests", _("Mail to you")),
    ("/people", _("People")),
)
AREAS = {"/ingest": Area.INGEST, "/people": Area.PEOPLE}


class Freshness(NamedTuple):
    """How far reading got, of all servers together."""

    newest: int | None  # microseconds UTC
    late: bool


class Place(NamedTuple):
    """One entry of the navigation."""

    address: str
    label: str | Promise
    current: bool


def freshness(site: Site) -> Freshness:
    """Of the server that was read last; of a store that was written without reading a log, its last row."""
    newest = max((progress.newest for progress in site.seen.progress()), default=None)
    if newest is None:
        _, newest = site.seen.span() or (None, None)
    return Freshness(newest, newest is not None and site.clock() - newest > LATE_AFTER)


def _known(site: Site) -> Freshness | None:
    """None where the store cannot answer."""
    try:
        return freshness(site)
    except ReportError:
        return None


def _shown(site: Site, address: str) -> bool:
    """Whether a place is for the reader."""
    reader = site.reader
    if address == "/digests":
        return bool(own_address(site)) or sends_to_any(site)
    return reader != NOBODY and (address not in AREAS or reader.may(AREAS[address])) and (address != "/people" or bool(reader.name))


def header(request: HttpRequest) -> dict[str, Any]:
    """Context of every template."""
    site = site_of(request)
    here = {"/arrange": "/", "/account": "/report", "/requests": "/report", "/views": "/report", "/exchange-online": "/ingest"}.get(
        request.path, request.path
    )
    return {
        "places": [Place(address, label, address == here) for address, label in PLACES if _shown(site, address)],
        "reader": site.reader,
        "by_session": bool(site.reader.name) and not proxy_user(request),
        "bare": site.reader == NOBODY,
        "sees_ingest": site.reader.may(Area.INGEST),
        "open_to_all": site.reader == EVERYONE,
        "freshness": SimpleLazyObject(lambda: _known(site)),  # a page that has no header asks nothing
        "zone": site.settings.display_timezone,
        "notice": site.settings.notice,
        "languages": [(code, name) for code, name in settings.LANGUAGES if code != get_language()],
    }
