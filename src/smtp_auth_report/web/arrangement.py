"""
The cards of the dashboard: which there are, in which order somebody has them, and which are hidden.

    cards(site)                        all of them, as their reader has arranged them
    shown(site)                        those that are not hidden, with so many saved views at most
    move(site, "old-tls", "up")        or down, hide, show
    reset(site)

A card that a reader has not arranged yet, because a later version brought it or because a view was just saved, is where it
would be without an arrangement: behind the card that then stands before it.

What goes wrong
    SelectionError: there is no such card, or nothing like that can be done with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.web.models import Arrangement, owned_by, person_of
from smtp_auth_report.web.saved import Opened, views
from smtp_auth_report.web.site import Site
from smtp_auth_report.web.state_database import alone
from smtp_auth_report.words import worded

MOST_VIEWS = 6
"""Saved views that are shown; each may be a question of its own to the store."""

Row = Literal["tiles", "panels"]


class Card(NamedTuple):
    """One card."""

    key: str
    label: str | Promise
    row: Row
    hidden: bool = False
    opened: Opened | None = None  # the saved view that it is of

    @property
    def template(self) -> str:
        return f"_card_{'view' if self.opened else self.key}.html"


TILES = (
    Card("accounts", _("SMTP AUTH clients"), "tiles"),
    Card("old-tls", _("Old TLS"), "tiles"),
    Card("passwords", _("Passwords"), "tiles"),
    Card("failures", _("Failed sign-ins"), "tiles"),
    Card("ingest", _("Ingest"), "tiles"),
)
PANELS = (
    Card("volume", _("Messages by sender domain"), "panels"),
    Card("unusual", _("Against their usual volume"), "panels"),
)


def cards(site: Site) -> list[Card]:
    """All of them, hidden ones included, in the order of their reader."""
    saved = [Card(f"view-{opened.view.pk}", opened.title, "tiles", opened=opened) for opened in views(site)]
    usual = {card.key: card for card in (*TILES, *saved, *PANELS)}
    arrangement = _of(site)
    order = arranged(list(usual), arrangement.order)
    return [usual[key]._replace(hidden=key in arrangement.hidden) for key in order]


def shown(site: Site) -> list[Card]:
    """What the dashboard has."""
    visible = [card for card in cards(site) if not card.hidden]
    left_out = {card.key for card in [card for card in visible if card.opened][MOST_VIEWS:]}
    return [card for card in visible if card.key not in left_out]


def arranged(usual: Sequence[str], stated: Sequence[str]) -> list[str]:
    """The usual keys in the order stated, those not stated behind what is usually before them."""
    order = [key for key in stated if key in usual]
    for place, key in enumerate(usual):
        if key not in order:
            order.insert(order.index(usual[place - 1]) + 1 if place else 0, key)
    return order


def move(site: Site, key: str, act: str) -> None:
    """One step up or down among cards of the same row; or hide it, or show it again."""
    with alone():
        _move(site, key, act)


def reset(site: Site) -> None:
    """All at their usual places, none hidden."""
    Arrangement.objects.filter(owned_by(site.reader)).delete()


def _of(site: Site) -> Arrangement:
    found = Arrangement.objects.filter(owned_by(site.reader)).first()
    return found or Arrangement(person=person_of(site.reader))


def _move(site: Site, key: str, act: str) -> None:
    there = cards(site)
    card = next((card for card in there if card.key == key), None)
    if card is None or act not in ("up", "down", "hide", "show"):
        raise SelectionError(worded("There is no such card any more, or it cannot be arranged like that."))
    order = [each.key for each in there]
    if act in ("up", "down"):
        row = [each.key for each in there if each.row == card.row]
        place = row.index(key) + (1 if act == "down" else -1)
        if 0 <= place < len(row):
            one, other = order.index(key), order.index(row[place])
            order[one], order[other] = order[other], order[one]
    hidden = {each.key for each in there if each.hidden} - {key} | ({key} if act == "hide" or (card.hidden and act != "show") else set())
    arrangement = _of(site)
    arrangement.order, arrangement.hidden = order, sorted(hidden)
    arrangement.save()
