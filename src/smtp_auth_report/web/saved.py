"""
Saved views: states of the report page under a name.

    save(site, "Old printers", query, shared=True)
    views(site)                    what the reader may open: own ones first, then those that others share
    change(site, 7, "Printers", shared=False); remove(site, 7)

Whoever sees everything may share. Readers of domains keep views of their own, and see of those that are shared the ones
whose filters name nothing but what is theirs, or nobody's; the figures are cut as all others. Names of these are free text of
somebody who sees everything, so that readers of domains are told what they show instead. An administrator may change what
others share.

What goes wrong
    SelectionError: a name that is taken, missing or too long, or too many views; one line says which.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from django.db import IntegrityError
from django.db.models import Q
from django.http import Http404
from django.utils.translation import gettext

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.store.filters import NULL_SENDER, UNKNOWN
from smtp_auth_report.submission import domain_of
from smtp_auth_report.web import vocabulary, wording
from smtp_auth_report.web.models import SavedView, owned_by, person_of
from smtp_auth_report.web.query import Query, kept
from smtp_auth_report.web.reader import Area, Reader
from smtp_auth_report.web.site import Site
from smtp_auth_report.web.state_database import alone
from smtp_auth_report.words import count, worded

MOST = 100
"""Views of one person."""

NAME_CHARACTERS = 80

LONGEST_STATE = 8_000
"""Characters of a view's address; more could not be led to."""

CLOSED = ("service", "tls", "auth-class", "outcome")
"""Filters whose values are words of this program."""

MECHANISM = re.compile(r"[A-Za-z0-9_-]{1,20}")
"""RFC 4422, section 3.1; neither an address nor a domain is one."""


class Opened(NamedTuple):
    """A saved view as its reader sees it."""

    view: SavedView
    title: str
    query: Query | None  # None where this version cannot show it
    problem: str
    own: bool
    may_change: bool

    @property
    def address(self) -> str:
        """Of what it shows."""
        return self.query.address() if self.query else ""


def may_share(reader: Reader) -> bool:
    """Whether others see what somebody shares; where nobody signs in there are no others."""
    return bool(reader.name) and reader.scope is None


def views(site: Site) -> list[Opened]:
    """What the reader may open, by name: their own, then what others share."""
    own = [_opened(site, view, own=True) for view in SavedView.objects.filter(owned_by(site.reader))]
    others = SavedView.objects.filter(shared=True).exclude(owned_by(site.reader)) if site.reader.name else SavedView.objects.none()
    return own + [opened for view in others if _may_see(site, opened := _opened(site, view, own=False))]


def save(site: Site, name: str, query: Query, *, shared: bool) -> Opened:
    """Keep a state under a name."""
    if len(query.state) > LONGEST_STATE:
        raise SelectionError(worded("There are too many filters to keep; take some of them away."))
    _shown(site, query.state)  # refuses what cannot be, while its reader is still there
    with alone():
        if SavedView.objects.filter(owned_by(site.reader)).count() >= MOST:
            raise SelectionError(worded("There are {n} saved views; remove one first.", n=count(MOST)))
        view = SavedView(person=person_of(site.reader), state=query.state)
        _write(view, name, shared=shared and may_share(site.reader))
    return _opened(site, view, own=True)


def change(site: Site, number: int, name: str, *, shared: bool) -> None:
    """Another name, and whether others see it."""
    _write(_changeable(site, number), name, shared=shared and may_share(site.reader))


def remove(site: Site, number: int) -> None:
    """For good."""
    _changeable(site, number).delete()


def in_words(query: Query) -> str:
    """What a view shows, without its period."""
    filters = vocabulary.filters_in_words(query.filters)
    searched = [gettext("Search: %(text)s") % {"text": wording.visible(query.search)}] if query.search else []
    return ", ".join([str(vocabulary.PIVOT_NAMES[query.report]), *filters, *searched])


def _opened(site: Site, view: SavedView, *, own: bool) -> Opened:
    query, problem = None, ""
    try:
        query = _shown(site, view.state)
    except SelectionError as error:
        problem = str(error)
    title = in_words(query) if query and not own and site.reader.scope is not None else wording.visible(view.name)
    return Opened(view, title, query, problem, own, own or site.reader.may(Area.PEOPLE))


def _shown(site: Site, state: str) -> Query:
    return kept(state, site.settings.display_timezone, site.clock())


def _may_see(site: Site, opened: Opened) -> bool:
    """Whether a shared view tells the reader of nobody else's names."""
    scope = site.reader.scope
    if scope is None:
        return True
    return (
        opened.query is not None
        and not opened.query.search
        and all(_is_within(name, value, scope, site.store.default_domain) for name, value in opened.query.filter_pairs())
    )


def _is_within(name: str, value: str, scope: frozenset[str], default_domain: str | None) -> bool:
    """Whether a filter's value is in the domains of the scope, or is a word that is in no domain."""
    if value.count("@") > 1:
        return False
    if name in CLOSED or value in (UNKNOWN, NULL_SENDER):
        return True
    if name == "mechanism":
        return MECHANISM.fullmatch(value) is not None
    domain = {"domain": value.casefold(), "account": domain_of(value.casefold(), default_domain), "sender": domain_of(value.casefold())}
    return domain.get(name) in scope


def _changeable(site: Site, number: int) -> SavedView:
    """A view that the reader may change; one that they may not is not there for them."""
    shared = Q(shared=True) if site.reader.may(Area.PEOPLE) else Q(pk=None)
    view = SavedView.objects.filter(owned_by(site.reader) | shared, pk=number).first()
    if view is None:
        raise Http404
    return view


def _write(view: SavedView, name: str, *, shared: bool) -> None:
    view.name, view.shared = name.strip(), shared
    if not view.name or len(view.name) > NAME_CHARACTERS or not view.name.isprintable():
        raise SelectionError(worded("A view needs a name of {n} printable characters at most.", n=count(NAME_CHARACTERS)))
    try:
        view.save()
    except IntegrityError:
        words = worded("There is a view “{name}” already; choose another name, or rename that one.", name=view.name)
        raise SelectionError(words) from None
