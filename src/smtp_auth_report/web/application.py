"""
The WSGI application and the server around it.

    site = Site(store, settings, clock)
    serve(site, store.positions, print)       until interrupted

The state database is state_database.py's. Django's secret key is derived from the site's own, which lives in a file that
only its owner can read.

What goes wrong
    ReportError: the port is in use, the address is not this machine's, the state database cannot be opened, what sending mail
    needs is not set, sign-in through a provider or a proxy lacks a setting, or the pages would be open to a network while
    nobody could sign in.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import django
from django.apps import AppConfig
from django.conf import settings as django_settings
from django.db import DatabaseError, connections

from smtp_auth_report import outgoing
from smtp_auth_report.errors import ReportError
from smtp_auth_report.settings import Settings, is_loopback
from smtp_auth_report.site_key import site_key
from smtp_auth_report.supervisor import service_told
from smtp_auth_report.web import configuration, own_log
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.site import ENVIRON_KEY, Site
from smtp_auth_report.web.state_database import database_of, migrate, unusable
from smtp_auth_report.words import why, worded

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Site", "application", "serve"]

LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
THREADS = 8
LARGEST_FORM = 1_000_000  # bytes
LARGEST_HEAD = 65_536  # bytes of a request's line and headers
BLANK = re.compile(rb"[\x00\x0b\x0c\r]")
"""What is no space to others (RFC 9110, 5.5), though Python strips most of it."""

TOKEN = re.compile(rb"[!#$%&'*+.^`|~0-9A-Za-z_-]+")  # RFC 9110, 5.6.2


class Pages(AppConfig):
    """The models of `web`, for Django."""

    name = "smtp_auth_report.web"
    label = "web"


def application(site: Site) -> WSGIApplication:
    """The pages of a site as a WSGI callable."""
    prepare(site.settings)
    tidy(site)
    from django.core.handlers.wsgi import WSGIHandler  # noqa: PLC0415 - needs Django configured

    handler = WSGIHandler()

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ[ENVIRON_KEY] = site
        answer = handler(environ, start_response)
        if environ["REQUEST_METHOD"] != "HEAD":
            return answer
        answer.close()
        return []

    return respond


def prepare(settings: Settings) -> None:
    """Django and the state database, ready for use."""
    _configure(settings)
    migrate(settings)


def tidy(site: Site) -> None:
    """What a start finds to do in a prepared state database: forget sessions that are over, and go on with requested reports."""
    from django.contrib.sessions.backends.db import SessionStore  # noqa: PLC0415 - needs Django configured

    from smtp_auth_report.web.requested import resume  # noqa: PLC0415 - needs Django configured

    try:
        SessionStore.clear_expired()
        resume(site)
    except (OSError, DatabaseError) as error:
        raise unusable(site.settings, error) from None


def serve(site: Site, alive: Callable[[], object], on_ready: Callable[[str], None]) -> None:
    """Answer requests until interrupted; `on_ready` gets the address once it is open, `alive` tries the store for the watchdog."""
    from cheroot.wsgi import Server  # noqa: PLC0415 - only `serve` needs it

    own_log.begin()
    host, port = site.settings.listen_address
    outgoing.ready(site.settings, os.environ)
    pages = application(site)
    from smtp_auth_report.web.postbox import posting  # noqa: PLC0415 - needs Django configured
    from smtp_auth_report.web.requested import making  # noqa: PLC0415 - needs Django configured

    _refuse_unready(site.settings)
    server = Server((host, port), pages, numthreads=THREADS, server_name=host)
    server.ConnectionClass, server.max_request_body_size = _connection_class(site.settings), LARGEST_FORM
    server.max_request_header_size = LARGEST_HEAD
    server.error_log = own_log.told  # type: ignore[method-assign,assignment]  # as cheroot says to
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
        server.prepare()
    except OSError as error:
        raise ReportError(
            worded(
                "{listen}: cannot listen there: {reason}; choose another address with --listen",
                listen=site.settings.listen,
                reason=why(error),
            )
        ) from None
    try:
        host, port = server.bind_addr[:2]
        with posting(site), making(site):
            on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
            with service_told(alive):
                server.serve()
    finally:
        server.stop()


def _connection_class(settings: Settings) -> type:
    """
    Connections that take no header for X-Forwarded-For that only looks alike: WSGI could not tell X_Forwarded_For from it.
    Headers that say who asks, whom, and how much, stand in a request once, on one line; the length is digits (RFC 9110, 8.6).
    """
    from cheroot.server import HeaderReader, HTTPConnection, HTTPRequest  # noqa: PLC0415 - only `serve` needs it

    once = {b"Host", b"Content-Length", b"Transfer-Encoding", settings.user_header.title().encode()}

    class Headers(dict[bytes, bytes]):
        def __setitem__(self, name: bytes, value: bytes) -> None:
            if name in once and name in self:
                raise ValueError("a header that may stand there once")  # of a request that is answered with 400
            if name == b"Content-Length" and not value.isdigit():  # "1_0" and "+5" are numbers to Python alone
                raise ValueError("a length that is no number")
            if name == b"X-Forwarded-For" and name in self:  # each proxy may add a line of its own
                value = self[name] + b", " + value
            super().__setitem__(name, value)

    class Lines:
        def __init__(self, rfile: Any) -> None:
            self._rfile = rfile

        def readline(self) -> bytes:
            line: bytes = self._rfile.readline()
            if BLANK.search(line.removesuffix(b"\r\n")):
                raise ValueError("a character that stands in no header")
            return line

    class Reader(HeaderReader):
        def __call__(self, rfile: Any, hdict: Any | None = None) -> Any:
            headers = {} if hdict is None else hdict
            try:
                headers.update(super().__call__(Lines(rfile), Headers()))
            except UnboundLocalError:  # cheroot's, of a first line that goes on from none
                raise ValueError("a line that goes on from none") from None
            return headers

        def _allow_header(self, name: bytes) -> bool:
            return b"_" not in name

        def _transform_key(self, name: bytes) -> bytes:
            # A space before the colon (RFC 9112, 5.1) a proxy may have taken for another header; of "ß" WSGI makes "SS"
            if not TOKEN.fullmatch(name):
                raise ValueError("not a name of a header")  # of a request that is answered with 400
            return name.title()

    class Request(HTTPRequest):
        header_reader = Reader()

    class Connection(HTTPConnection):
        RequestHandlerClass = Request

    return Connection


def _refuse_unready(settings: Settings) -> None:
    """Raises for what ways to sign in lack; and until somebody can, the pages are for this machine alone."""
    from smtp_auth_report.web import openid  # noqa: PLC0415 - needs Django configured
    from smtp_auth_report.web.models import Person  # noqa: PLC0415 - needs Django configured

    openid.ready(settings)
    if settings.user_header and not settings.proxies:
        raise ReportError(
            worded("user_header is taken from trusted_proxies alone, and that names none; name the proxy that sets the header")
        )

    open_to_network = not is_loopback(settings.listen_address[0]) or settings.hosts or settings.proxies
    if open_to_network and not Person.objects.filter(role=Role.ADMINISTRATOR).exists():
        raise ReportError(
            worded(
                "{listen}: nobody could sign in, and the pages are to be open to a network (listen, host_names, trusted_proxies); "
                "add an administrator first: smtp-auth-report user add NAME --role administrator",
                listen=settings.listen,
            )
        )


def _configure(settings: Settings) -> None:
    """Give Django its settings; a second site in one process replaces the first one's state."""
    host = settings.listen_address[0]
    values: dict[str, Any] = {name: getattr(configuration, name) for name in dir(configuration) if name.isupper()}
    values["SECRET_KEY"] = blake2b(site_key(settings.state_path), person=b"django", digest_size=32).hexdigest()
    values["ALLOWED_HOSTS"] = [*LOOPBACK, host, f"[{host}]", *settings.hosts]
    values["DATABASES"] = {"default": database_of(settings)}
    if not django_settings.configured:
        django_settings.configure(**values)
        django.setup()
        return
    connections.close_all()
    for name in ("SECRET_KEY", "ALLOWED_HOSTS"):
        setattr(django_settings, name, values[name])
    connections.databases.update(connections.configure_settings(values["DATABASES"]))
    connections["default"] = connections.create_connection("default")
