"""
The middleware around every answer: what a browser may do with it.

    PROXY_USER     in request.META: who has signed in to a trusted proxy, in its words

A request without an address is refused.
Where a trusted proxy says that the reader came by TLS, cookies and addresses are for TLS alone from then on.

The policy allows scripts and styles from this server alone, none within a page, so that a name from a log which
slipped through as markup could still run nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponseBadRequest, HttpResponseBase

from smtp_auth_report.web.errors import API, problem
from smtp_auth_report.web.site import site_of

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}

HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


PROXY_USER = "smtp_auth_report.proxy_user"

YEAR = 365 * 24 * 3600  # seconds

NOWHERE = (
    "The server before this program does not say where the request comes from (REMOTE_ADDR), so that it is refused. "
    "Let it pass the address of the client on.\n"
)
NOT_US = "This name is not served here. Open the pages under the address that `serve` printed, or add the name to `host_names`.\n"


def guard(respond: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: only for our own host names, with the headers in every answer."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        address = _address_of(request)
        if address is None:
            response = _refused(request, NOWHERE)
        else:
            _believe_proxy(request, address)
            response = respond(request) if _asked_for_us(request) else _refused(request, NOT_US)
        for name, value in HEADERS.items():
            response.headers[name] = value
        if request.is_secure():
            response.headers["Strict-Transport-Security"] = f"max-age={YEAR}"
            for cookie in response.cookies.values():
                cookie["secure"] = True
        if not request.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return middleware


def _address_of(request: HttpRequest) -> IPv4Address | IPv6Address | None:
    """Who has connected; None where that is not known."""
    try:
        return _plain(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return None


def _believe_proxy(request: HttpRequest, address: IPv4Address | IPv6Address) -> None:
    """What trusted proxies say: who it is, whether by TLS, and from where, which is the nearest address that is none of theirs."""
    request.META["REMOTE_ADDR"] = str(address)
    settings = site_of(request).settings
    proxies = settings.proxies
    if not _among(address, proxies):
        return
    if settings.user_header:
        request.META[PROXY_USER] = _as_meant(request.headers.get(settings.user_header, ""))
    for stated in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        try:
            address = _plain(stated.strip())
        except ValueError:
            break
        request.META["REMOTE_ADDR"] = str(address)
        if not _among(address, proxies):
            break
    if request.headers.get("X-Forwarded-Proto", "").lower() == "https":
        request.META["wsgi.url_scheme"] = "https"


def _as_meant(text: str) -> str:
    """A header's text: WSGI hands bytes on as Latin-1, while proxies write UTF-8."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _plain(text: str) -> IPv4Address | IPv6Address:
    """An address; an IPv4 one that is written as IPv6 is what it is."""
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def _among(address: IPv4Address | IPv6Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


def _refused(request: HttpRequest, said: str) -> HttpResponseBase:
    if request.path.startswith(API):
        return problem(HTTPStatus.BAD_REQUEST, said.strip())
    return HttpResponseBadRequest(said, content_type="text/plain; charset=utf-8")


def _asked_for_us(request: HttpRequest) -> bool:
    """Names that are not this server's are refused before anything is answered."""
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True
