"""
People: who may sign in, and what they did.

    /people                       for administrators; people are added and removed on the command line
    /people/second-factor-off     for whoever has lost it
"""

from __future__ import annotations

import json
from typing import NamedTuple

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from smtp_auth_report.web.models import Event, Person, Token
from smtp_auth_report.web.reader import Area, Role
from smtp_auth_report.web.second_factor import switch_off
from smtp_auth_report.web.sign_in import address_of, by_hand, needs
from smtp_auth_report.web.site import site_of

SHOWN = 500
ROLES = {
    Role.ADMINISTRATOR: _("Administrator"),
    Role.READER: _("Reader of everything"),
    Role.DOMAINS: _("Reader of domains"),
}


class Listed(NamedTuple):
    """One person."""

    name: str
    role: str | Promise
    domains: list[str]
    signed_in: int | None  # microseconds UTC
    tokens: list[Token]
    second_factor: bool
    by_groups: bool


@require_safe
@needs(Area.PEOPLE)
def people(request: HttpRequest) -> HttpResponse:
    """The page."""
    listed = [
        Listed(
            person.name,
            ROLES[Role(person.role)],
            json.loads(person.domains),
            int(person.last_login.timestamp() * 1_000_000) if person.last_login else None,
            list(person.token_set.all()),
            bool(person.factor_salt),
            person.by_groups,
        )
        for person in Person.objects.prefetch_related("token_set")
    ]
    context = {"title": gettext("People"), "people": listed, "events": Event.objects.all()[:SHOWN], "shown": SHOWN, "json": "/api/people"}
    return render(request, "people.html", context)


@require_POST
@needs(Area.PEOPLE)
@by_hand
def second_factor_off(request: HttpRequest) -> HttpResponse:
    """Nobody asks them for a code any more."""
    person = Person.objects.filter(name=request.POST.get("name", "")).first()
    if person is None:
        raise Http404
    site = site_of(request)
    if person.factor_salt:
        switch_off(person, site.clock(), site.reader.name, address_of(request))
    return HttpResponseRedirect("/people")
