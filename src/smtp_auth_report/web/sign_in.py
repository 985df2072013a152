"""
Signing in and out, and who a request is from.

    known             middleware: the site as whoever asks may see it; a page asks for sign-in, a program gets 401
    /sign-in          the form; afterwards the page that was asked for
    /sign-out         ends the session
    needs(area)       a view for those only who may see a part of the site
    exported          rows left the site, for the page of people
    address_of        of the client, for the page of people

Where nobody was added, nobody signs in: the pages are open to this machine, and refused to whoever comes from elsewhere.
A program shows a token: `Authorization: Bearer …`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from ipaddress import ip_address
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from django.contrib.auth import get_user, login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from smtp_auth_report.web.errors import answer, is_for_programs, problem
from smtp_auth_report.web.models import Deed, Person
from smtp_auth_report.web.people import HeldUpError, note, reader_of, recognised
from smtp_auth_report.web.reader import EVERYONE, NOBODY, Area, Reader
from smtp_auth_report.web.site import ENVIRON_KEY, site_of

FORM = "/sign-in"
OPEN = (FORM, "/language")
OPEN_BY_LINK = "/unsubscribe/"  # its token says whom it is of
BEARER = "bearer"

NOBODY_YET = gettext_lazy(
    "Nobody may sign in yet. On the server, add an administrator: smtp-auth-report user add NAME --role administrator"
)

Parameters = ParamSpec("Parameters")
Answered = TypeVar("Answered")
View = Callable[Concatenate[HttpRequest, Parameters], Answered]


def known(respond: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: nothing is answered before it is known who asks."""

    def middleware(request: HttpRequest) -> HttpResponse:
        reader = _reader(request)
        if reader is None and not Person.objects.exists():
            return answer(request, HTTPStatus.FORBIDDEN, str(NOBODY_YET))
        if reader is None and request.path not in OPEN and not request.path.startswith(OPEN_BY_LINK):
            return _asked_to_sign_in(request)
        site = site_of(request)
        request.META[ENVIRON_KEY] = site.as_seen_by(reader or NOBODY)
        try:
            return respond(request)
        finally:
            request.META[ENVIRON_KEY] = site

    return middleware


def _reader(request: HttpRequest) -> Reader | None:
    """Who asks; None where they have to say so first."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == BEARER:
        return reader_of(token.strip(), site_of(request).clock())
    person = get_user(request)
    if isinstance(person, Person):
        return person.reader
    return EVERYONE if is_from_here(request) and not Person.objects.exists() else None


def _asked_to_sign_in(request: HttpRequest) -> HttpResponse:
    if is_for_programs(request):
        refused = problem(HTTPStatus.UNAUTHORIZED, "sign in, or give a token: Authorization: Bearer …")
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused
    if "HX-Request" in request.headers:
        return HttpResponse(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Refresh": "true"})
    return HttpResponseRedirect(f"{FORM}?next={quote(request.get_full_path(), safe='')}")


def needs(area: Area) -> Callable[[View[Parameters, Answered]], View[Parameters, Answered | HttpResponse]]:
    """A view of a part of the site that is not for all."""

    def decorate(view: View[Parameters, Answered]) -> View[Parameters, Answered | HttpResponse]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answered | HttpResponse:
            if not site_of(request).reader.may(area):
                return answer(request, HTTPStatus.FORBIDDEN, gettext("Your role does not include this page."))
            return view(request, *args, **kwargs)

        return guarded

    return decorate


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The form; sent, it begins a session."""
    site = site_of(request)
    there = request.POST.get("next") or request.GET.get("next") or "/"
    if not url_has_allowed_host_and_scheme(there, allowed_hosts=None):
        there = "/"
    if not Person.objects.exists():
        return HttpResponseRedirect("/")
    said, status = "", HTTPStatus.OK
    if request.method == "POST":
        name = request.POST.get("name", "")
        try:
            person = recognised(site, name, request.POST.get("password", ""), address_of(request))
        except HeldUpError:
            said, status = gettext("Too many attempts. Wait a quarter of an hour, then try again."), HTTPStatus.TOO_MANY_REQUESTS
        else:
            if person is not None:
                login(request, person, "smtp_auth_report.web.people.Passwords")
                note(Deed.SIGNED_IN, site.clock(), name=person.name, address=address_of(request))
                return HttpResponseRedirect(there)
            said, status = gettext("Name and password do not belong together."), HTTPStatus.FORBIDDEN
    context = {"title": gettext("Sign in"), "next": there, "said": said, "name": request.POST.get("name", "")}
    return render(request, "sign_in.html", context, status=status)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    site = site_of(request)
    if site.reader.name:
        note(Deed.SIGNED_OUT, site.clock(), name=site.reader.name, address=address_of(request))
    logout(request)
    return HttpResponseRedirect(FORM)


def exported(request: HttpRequest, what: str) -> None:
    """For the page of people: rows left the site."""
    site = site_of(request)
    note(Deed.EXPORTED, site.clock(), name=site.reader.name, address=address_of(request), detail=what)


def address_of(request: HttpRequest) -> str:
    """Where the request comes from."""
    return str(request.META["REMOTE_ADDR"])


def is_from_here(request: HttpRequest) -> bool:
    """Whether it comes from this machine, and no proxy says that it was handed on."""
    return "X-Forwarded-For" not in request.headers and ip_address(address_of(request)).is_loopback
