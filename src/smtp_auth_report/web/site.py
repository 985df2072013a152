"""
What a page needs to know of the site that it belongs to.

    site_of(request).seen.ask(...)

    @of_one_state
    def page(request): ...          whatever it asks is of the state that the store is in when it begins

`application` puts the site into each request; there is no global one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from socket import gethostname
from typing import Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse

from smtp_auth_report.settings import Settings, without_password
from smtp_auth_report.store.interface import Readable, Snapshot
from smtp_auth_report.store.scoped import ScopedStore
from smtp_auth_report.web.reader import NOBODY, Reader

ENVIRON_KEY = "smtp_auth_report.site"

Parameters = ParamSpec("Parameters")
View = Callable[Concatenate[HttpRequest, Parameters], HttpResponse]


@dataclass(frozen=True, slots=True)
class Site:
    """One store, shown to one organisation; in a request, as its reader may see it."""

    store: Readable
    settings: Settings
    clock: Callable[[], int]  # microseconds UTC
    snapshot: Snapshot | None = None
    reader: Reader = NOBODY

    def as_seen_by(self, reader: Reader) -> Site:
        """The site as another reader may see it."""
        whole = self.store.whole if isinstance(self.store, ScopedStore) else self.store
        return replace(self, store=whole if reader.scope is None else ScopedStore(whole, reader.scope), reader=reader)

    @property
    def database(self) -> str:
        """What tells its rows from those of others that use the same state database: several hosts where that is a server."""
        if (name := self.settings.database).startswith("clickhouse://"):
            return without_password(name)
        path = str(Path(name.removeprefix("chdb://")).absolute())
        return f"{gethostname()}:{path}" if self.settings.state_url else path

    @property
    def server(self) -> str:
        """What tells this `serve` from others that use the same state database; it is the same after a restart."""
        return f"{gethostname()}:{self.settings.listen}" if self.settings.state_url else self.settings.listen

    @property
    def host(self) -> str:
        """The same for people."""
        return f"{gethostname()} ({self.settings.listen})"

    @property
    def seen(self) -> Snapshot:
        """What is asked: one state of the store where the page is of one."""
        return self.snapshot or self.store


def site_of(request: HttpRequest) -> Site:
    """The site that a request is for."""
    site: Site = request.META[ENVIRON_KEY]
    return site


def of_one_state(view: View[Parameters]) -> View[Parameters]:
    """A view that asks several things, none of which is newer than another."""

    @wraps(view)
    def page(request: HttpRequest, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> HttpResponse:
        site = site_of(request)
        with site.store.snapshot() as seen:
            request.META[ENVIRON_KEY] = replace(site, snapshot=seen)
            try:
                return view(request, *args, **kwargs)
            finally:
                request.META[ENVIRON_KEY] = site

    return page
