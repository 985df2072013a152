"""
How often a program may ask: requests a minute, by token, else by person, else by address.

    limited         middleware, outside `known`: 429 with Retry-After where too many came

Each has a store of requests that fills up evenly over a minute, so that a script which asks for all it needs at once is
answered, and one that never stops is slowed down. Refusals (401) count for the address they came from, and are not even
looked up once there are too many of them; addresses of one IPv6 network (/64) count as one. Counts are in this process and
begin anew with it. Pages are not limited.

See also
    docs/api.md and the setting `api_requests`
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from threading import Lock
from typing import Any

from django.http import HttpRequest, HttpResponse

from smtp_auth_report.moments import SECOND
from smtp_auth_report.web.errors import is_for_programs, problem
from smtp_auth_report.web.people import counted_as, digest_of
from smtp_auth_report.web.sign_in import address_of, is_by_token, token_in
from smtp_auth_report.web.site import site_of

MINUTE = 60 * SECOND
SWEPT = 10_000  # keys after which those whose store is full again are forgotten


class Spent:
    """When the store of each key will be full again, in microseconds UTC."""

    def __init__(self) -> None:
        self._full_at: dict[str, int] = {}
        self._lock = Lock()

    def take(self, key: str, now: int, a_minute: int, *, requests: int = 1) -> int:
        """Microseconds to wait before there is something to take; 0 where it was taken."""
        each = MINUTE // a_minute
        with self._lock:
            full_at = min(max(self._full_at.get(key, now), now), now + MINUTE)  # also where the clock was set back
            wait = full_at + each - (now + MINUTE)
            if wait > 0:
                return wait
            self._full_at[key] = full_at + requests * each
            if len(self._full_at) > SWEPT:
                self._full_at = {other: when for other, when in self._full_at.items() if when > now}
        return 0


def limited(respond: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware."""
    spent = Spent()

    def taken(request: HttpRequest, key: str, requests: int = 1) -> HttpResponse | None:
        """The refusal, where there is nothing left to take."""
        site = site_of(request)
        a_minute = int(site.settings.api_requests)
        wait = spent.take(key, site.clock(), a_minute, requests=requests) if a_minute else 0
        if not wait:
            return None
        seconds = -(-wait // SECOND)
        refused = problem(HTTPStatus.TOO_MANY_REQUESTS, f"more than {a_minute} requests in a minute; ask again in {seconds} s")
        refused.headers["Retry-After"] = str(seconds)
        return refused

    def middleware(request: HttpRequest) -> HttpResponse:
        if not is_for_programs(request):
            return respond(request)
        address = f"refused {counted_as(address_of(request))}"
        response = taken(request, address, requests=0) or respond(request)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            taken(request, address)
        return response

    def process_view(request: HttpRequest, *_view: Any) -> HttpResponse | None:
        return taken(request, _asker(request)) if is_for_programs(request) else None

    middleware.process_view = process_view  # type: ignore[attr-defined]  # Django's hook of a function
    return middleware


def _asker(request: HttpRequest) -> str:
    """Whose store it is. The token has been found good by now."""
    if is_by_token(request):
        return f"token {digest_of(token_in(request))}"
    name = site_of(request).reader.name
    return f"person {name}" if name else f"address {counted_as(address_of(request))}"
