"""
What a page needs to know of the site that it belongs to.

    site_of(request).store.ask(...)

`application` puts the site into each request; there is no global one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest

from smtp_auth_report.settings import Settings
from smtp_auth_report.store.interface import Store

ENVIRON_KEY = "smtp_auth_report.site"


@dataclass(frozen=True, slots=True)
class Site:
    """One store, shown to one organisation."""

    store: Store
    settings: Settings
    clock: Callable[[], int]  # microseconds UTC


def site_of(request: HttpRequest) -> Site:
    """The site that a request is for."""
    site: Site = request.META[ENVIRON_KEY]
    return site
