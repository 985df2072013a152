"""
Signing in and out, and who a request is from.

    known             middleware: the site as whoever asks may see it; a page asks for sign-in, a program gets 401
    /sign-in          the form; afterwards the page that was asked for
    form              that form, for another way to sign in that failed
    begun             a session, for another way to sign in that did not
    /sign-in/code     before that, for whoever has a second factor: its code
    /sign-out         ends the session
    needs(area)       a view for those only who may see a part of the site
    by_hand           a view that no token opens
    exported          rows left the site, for the page of people
    address_of        of the client, for the page of people

Where nobody was added, nobody signs in: the pages are open to this machine, and refused to whoever comes from elsewhere.
A program shows a token: `Authorization: Bearer …`. Of whom a trusted proxy says that they signed in to it (`user_header`),
each request is theirs, without a session; the page of people tells of it once a day for each address (of IPv6, each network), and
of a token that is nobody's once in a quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from ipaddress import ip_address
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from django.contrib.auth import get_user, login, logout
from django.contrib.auth.models import update_last_login
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from smtp_auth_report.moments import DAY, SECOND
from smtp_auth_report.site_key import account_key, site_key
from smtp_auth_report.web.detail import Detail, detail
from smtp_auth_report.web.errors import answer, failed, is_for_programs, problem
from smtp_auth_report.web.guard import PROXY_USER
from smtp_auth_report.web.models import Deed, Event, Person
from smtp_auth_report.web.people import WINDOW, HeldUpError, counted_as, note, note_refusal, reader_of, recognised
from smtp_auth_report.web.reader import EVERYONE, NOBODY, Area, Reader
from smtp_auth_report.web.second_factor import accepted
from smtp_auth_report.web.site import ENVIRON_KEY, site_of

FORM = "/sign-in"
CODE = "/sign-in/code"
OPENID, OPENID_BACK = "/sign-in/openid", "/sign-in/openid/back"
OPEN = (FORM, CODE, OPENID, OPENID_BACK, "/language")
OPEN_BY_LINK = "/unsubscribe/"  # its token says whom it is of
BEARER = "bearer"
HANDED_ON = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
"""What proxies say of themselves and of whom they ask for."""

HALF = "half"
"""In a session: who has shown the password and not yet the code."""

HALF_LASTS = 600 * SECOND

NOBODY_YET = gettext_lazy(
    "Nobody may sign in yet. On the server, add an administrator: smtp-auth-report user add NAME --role administrator"
)

HELD_UP = gettext_lazy("Too many attempts. Wait a quarter of an hour, then try again.")
CODE_REFUSED = gettext_lazy("This code does not fit, or was used before.")

Parameters = ParamSpec("Parameters")
Answered = TypeVar("Answered")
View = Callable[Concatenate[HttpRequest, Parameters], Answered]


def known(respond: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: nothing is answered before it is known who asks."""

    def middleware(request: HttpRequest) -> HttpResponse:
        try:
            reader = _reader(request)
            nobody = reader is None and not Person.objects.exists()
        except DatabaseError as error:
            return failed(request, error)
        if nobody:
            return answer(request, HTTPStatus.FORBIDDEN, str(NOBODY_YET))
        if reader is None and proxy_user(request) and not is_by_token(request) and not request.path.startswith(OPEN_BY_LINK):
            return answer(request, HTTPStatus.FORBIDDEN, gettext("You have signed in, but nobody added you here. Ask an administrator."))
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
    if is_by_token(request):
        return _by_token(request)
    if proxy_user(request):
        return _by_proxy(request)
    person = in_session(request)
    if person is not None:
        return person.reader
    return EVERYONE if is_from_here(request) and not Person.objects.exists() else None


def _by_token(request: HttpRequest) -> Reader | None:
    """Whose token it is. One that is good for nothing is told of once in a while, and holds up no password."""
    now = site_of(request).clock()
    reader = reader_of(token_in(request), now)
    if reader is None and Person.objects.exists():
        note_refusal(detail("a token that is nobody's"), now, address_of(request))
    return reader


def in_session(request: HttpRequest) -> Person | None:
    """Who has signed in here."""
    person = None if is_by_token(request) or proxy_user(request) else get_user(request)
    return person if isinstance(person, Person) else None


def proxy_user(request: HttpRequest) -> str:
    """Who has signed in to a trusted proxy, as it says; "" where none says so."""
    return str(request.META.get(PROXY_USER, "")).strip().casefold()


def _by_proxy(request: HttpRequest) -> Reader | None:
    """Somebody who was added here. Every name is told once in a while, not at each request."""
    site, name, address = site_of(request), proxy_user(request), address_of(request)
    person, now = Person.objects.filter(name=name, out=False).first(), site.clock()
    deed, lately = (Deed.SIGNED_IN, now - DAY) if person else (Deed.REFUSED, now - WINDOW)
    key = account_key(site_key(site.settings.state_path), name)
    if not Event.objects.filter(deed=deed, name_key=key, network=counted_as(address), time__gt=lately).exists():
        by = detail("by the proxy, {header}", header=site.settings.user_header)
        note(deed, now, by, name=name if person else "", key=key, address=address)
        if person:
            update_last_login(Person, person)
    return person.reader if person else None


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


def by_hand(view: View[Parameters, Answered]) -> View[Parameters, Answered | HttpResponse]:
    """A view that no token opens."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answered | HttpResponse:
        if is_by_token(request):
            return answer(request, HTTPStatus.FORBIDDEN, gettext("A token does not open this page."))
        return view(request, *args, **kwargs)

    return guarded


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The form; sent, it begins a session."""
    site, there = site_of(request), wanted(request)
    if not Person.objects.exists():
        return HttpResponseRedirect("/")
    said, status = "", HTTPStatus.OK
    if request.method == "POST":
        name = request.POST.get("name", "")
        try:
            person = recognised(site, name, request.POST.get("password", ""), address_of(request))
        except HeldUpError:
            said, status = str(HELD_UP), HTTPStatus.TOO_MANY_REQUESTS
        else:
            if person is not None:
                return begun(request, person, there)
            said, status = gettext("Name and password do not belong together."), HTTPStatus.FORBIDDEN
    return form(request, there, said, status)


def form(request: HttpRequest, there: str, said: str, status: HTTPStatus) -> HttpResponse:
    """The page, with what is said of the last attempt."""
    context = {
        "title": gettext("Sign in"),
        "next": there,
        "said": said,
        "name": request.POST.get("name", ""),
        "provider": site_of(request).settings.provider,
        "provider_address": f"{OPENID}?next={quote(there, safe='')}",
    }
    return render(request, "sign_in.html", context, status=status)


def wanted(request: HttpRequest) -> str:
    """Where to go after sign-in: a page of this site."""
    there = request.POST.get("next") or request.GET.get("next") or "/"
    return there if url_has_allowed_host_and_scheme(there, allowed_hosts=None) else "/"


def begun(request: HttpRequest, person: Person, there: str, how: str = "") -> HttpResponse:
    """A session of theirs, or first the question for a code. What the session before had is gone."""
    request.session.flush()
    if not person.factor_salt:
        return _signed_in(request, person, there, Detail(how, {}))
    request.session[HALF] = [person.pk, person.get_session_auth_hash(), site_of(request).clock(), there, how]
    return HttpResponseRedirect(CODE)


@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """The second step: the code of whoever has a second factor."""
    half = _half(request)
    if half is None:
        return HttpResponseRedirect(FORM)
    person, there, first = half
    said, status = "", HTTPStatus.OK
    if request.method == "POST":
        try:
            second = accepted(site_of(request), person, request.POST.get("code", ""), address_of(request))
        except HeldUpError:
            said, status = str(HELD_UP), HTTPStatus.TOO_MANY_REQUESTS
        else:
            if second:
                return _signed_in(request, person, there, detail("{first}, {second}", first=first, second=second) if first else second)
            said, status = str(CODE_REFUSED), HTTPStatus.FORBIDDEN
    return render(request, "sign_in_code.html", {"title": gettext("Sign in"), "said": said}, status=status)


def _half(request: HttpRequest) -> tuple[Person, str, str] | None:
    """Who has shown the password a short while ago, where they want to go, and how it was shown."""
    number, proof, since, there, how = request.session.get(HALF, (0, "", 0, "", ""))
    person = Person.objects.filter(pk=number).first()
    if person is None or site_of(request).clock() - since > HALF_LASTS or person.get_session_auth_hash() != proof:
        return None
    return person, there, how


def _signed_in(request: HttpRequest, person: Person, there: str, how: Detail) -> HttpResponse:
    request.session.flush()
    login(request, person, "smtp_auth_report.web.people.Passwords")
    note(Deed.SIGNED_IN, site_of(request).clock(), how, name=person.name, address=address_of(request))
    return HttpResponseRedirect(there)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    site = site_of(request)
    if site.reader.name:
        note(Deed.SIGNED_OUT, site.clock(), name=site.reader.name, address=address_of(request))
    logout(request)
    return HttpResponseRedirect(FORM)


def is_by_token(request: HttpRequest) -> bool:
    """Whether a program shows a token."""
    return request.headers.get("Authorization", "").partition(" ")[0].lower() == BEARER


def token_in(request: HttpRequest) -> str:
    """The token that it shows."""
    return request.headers["Authorization"].partition(" ")[2].strip()


def exported(request: HttpRequest, what: Detail) -> None:
    """For the page of people: rows left the site."""
    site = site_of(request)
    note(Deed.EXPORTED, site.clock(), what, name=site.reader.name, address=address_of(request))


def address_of(request: HttpRequest) -> str:
    """Where the request comes from."""
    return str(request.META["REMOTE_ADDR"])


def is_from_here(request: HttpRequest) -> bool:
    """Whether it comes from this machine, and no proxy says that it was handed on."""
    return not any(name in request.headers for name in HANDED_ON) and ip_address(address_of(request)).is_loopback
