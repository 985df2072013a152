"""
Your account: who you are here, and the second factor of your sign-in.

    /me                          what there is, and forms that take a code
    /me/second-factor/new        begins to switch it on; nothing is asked for at sign-in yet
    /me/second-factor            the QR code; a code of the app switches it on
    /me/second-factor/off        takes a code
    /me/recovery-codes           others, in place of those that are left; takes a code

They are for whoever has a session: a token opens none of them. Codes are refused and held up as at sign-in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus

import segno
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from smtp_auth_report.web.errors import answer
from smtp_auth_report.web.models import Person
from smtp_auth_report.web.people import HeldUpError
from smtp_auth_report.web.people_page import ROLES
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.second_factor import accepted, new_codes, new_salt, secret_of, switch_off, switched_on
from smtp_auth_report.web.second_factor import address_of as address_of_secret
from smtp_auth_report.web.sign_in import CODE_REFUSED, HELD_UP, address_of, by_hand, in_session
from smtp_auth_report.web.site import site_of

HERE = "/me"
SALT = "salt"
"""In a session: of a second factor that is not switched on yet."""

View = Callable[[HttpRequest, Person], HttpResponse]


def mine(view: View) -> Callable[[HttpRequest], HttpResponse]:
    """A view of somebody's own; it is given the person."""

    @by_hand
    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        person = in_session(request)
        if person is None:
            return answer(request, HTTPStatus.FORBIDDEN, gettext("This page is for somebody who has signed in here."))
        return view(request, person)

    return guarded


@require_safe
@mine
def me(request: HttpRequest, person: Person) -> HttpResponse:
    """The page."""
    return _page(request, person)


def _page(request: HttpRequest, person: Person, said: str = "", status: HTTPStatus = HTTPStatus.OK) -> HttpResponse:
    context = {
        "title": gettext("Your account"),
        "person": person,
        "role": ROLES[Role(person.role)],
        "domains": json.loads(person.domains),
        "codes_left": person.recoverycode_set.count(),
        "said": said,
    }
    return render(request, "me.html", context, status=status)


@require_POST
@mine
def begin(request: HttpRequest, person: Person) -> HttpResponse:  # noqa: ARG001 - as every view of somebody's own
    """Another secret, for this session to show."""
    request.session[SALT] = new_salt()
    return HttpResponseRedirect("/me/second-factor")


@require_http_methods(["GET", "HEAD", "POST"])
@mine
def second_factor(request: HttpRequest, person: Person) -> HttpResponse:
    """The secret; a code of the app switches it on."""
    site, salt = site_of(request), request.session.get(SALT)
    if person.factor_salt or not salt:
        return HttpResponseRedirect(HERE)
    said, status = "", HTTPStatus.OK
    if request.method == "POST":
        codes = switched_on(site, person, salt, request.POST.get("code", ""), address_of(request))
        if codes:
            del request.session[SALT]
            return _codes(request, person, codes)
        said, status = gettext("This code does not fit. Is the clock of your phone right?"), HTTPStatus.FORBIDDEN
    secret = secret_of(site, person, salt)
    context = {
        "title": gettext("Switch on the second factor"),
        "picture": segno.make(address_of_secret(site, person, salt), micro=False).svg_data_uri(scale=5, border=4, light="#fff"),
        "secret": [secret[start : start + 4] for start in range(0, len(secret), 4)],
        "said": said,
    }
    return render(request, "second_factor.html", context, status=status)


@require_POST
@mine
def off(request: HttpRequest, person: Person) -> HttpResponse:
    """No code is asked for any more."""
    refused = _refused(request, person)
    if refused is not None:
        return refused
    switch_off(person, site_of(request).clock(), address=address_of(request))
    _stay(request, person)
    return HttpResponseRedirect(HERE)


@require_POST
@mine
def recovery_codes(request: HttpRequest, person: Person) -> HttpResponse:
    """Other ones."""
    refused = _refused(request, person)
    return refused if refused is not None else _codes(request, person, new_codes(site_of(request), person, address_of(request)))


def _refused(request: HttpRequest, person: Person) -> HttpResponse | None:
    """The page again, unless a code of theirs came with the form."""
    if not person.factor_salt:
        return HttpResponseRedirect(HERE)
    try:
        if accepted(site_of(request), person, request.POST.get("code", ""), address_of(request)):
            return None
    except HeldUpError:
        return _page(request, person, str(HELD_UP), HTTPStatus.TOO_MANY_REQUESTS)
    return _page(request, person, str(CODE_REFUSED), HTTPStatus.FORBIDDEN)


def _codes(request: HttpRequest, person: Person, codes: list[str]) -> HttpResponse:
    """Shown once."""
    _stay(request, person)
    return render(request, "recovery_codes.html", {"title": gettext("Recovery codes"), "codes": codes})


def _stay(request: HttpRequest, person: Person) -> None:
    """In the session of the request, while the others end."""
    request.user = person
    update_session_auth_hash(request, person)
