"""
People: who may sign in, and what they did.

    /people       for administrators; people are added and removed on the command line
"""

from __future__ import annotations

import json
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from smtp_auth_report.web.models import Event, Person, Token
from smtp_auth_report.web.reader import Area, Role
from smtp_auth_report.web.sign_in import needs

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
        )
        for person in Person.objects.prefetch_related("token_set")
    ]
    context = {"title": gettext("People"), "people": listed, "events": Event.objects.all()[:SHOWN], "shown": SHOWN}
    return render(request, "people.html", context)
