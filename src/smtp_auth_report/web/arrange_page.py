"""
Arranging the dashboard's cards, with buttons that need no script.

    /arrange                         every card with its buttons; sent, it moves, hides or shows one
    /arrange?card=old-tls&do=up      the same afterwards: says what was done, with the focus where it was
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from smtp_auth_report.web.arrangement import MOST_VIEWS, Card, cards, move, reset, shown
from smtp_auth_report.web.site import site_of

PAGE = "/arrange"
RESET = "reset"


class Placed(NamedTuple):
    """One card as the page has it."""

    card: Card
    number: int
    last: int
    left_out: bool  # a view too many
    focused: str  # the button that has the focus

    @property
    def is_first(self) -> bool:
        return self.number == 1

    @property
    def is_last(self) -> bool:
        return self.number == self.last


@require_http_methods(["GET", "HEAD", "POST"])
def arrange(request: HttpRequest) -> HttpResponse:
    """The page; sent, it changes one thing and comes back."""
    site = site_of(request)
    if request.method == "POST":
        card, act = request.POST.get("card", ""), request.POST.get("do", "")
        if act == RESET:
            reset(site)
        else:
            move(site, card, act)
        return HttpResponseRedirect(f"{PAGE}?{urlencode({'card': card, 'do': act})}")
    done, act = request.GET.get("card", ""), request.GET.get("do", "")
    there, visible = cards(site), {card.key for card in shown(site)}
    rows = [_placed([card for card in there if card.row == row], visible, done, act) for row in ("tiles", "panels")]
    moved = next((placed for row in rows for placed in row if placed.focused), None)
    context = {
        "title": gettext("Arrange the dashboard"),
        "rows": rows,
        "most_views": MOST_VIEWS,
        "said": _said(moved, act),
        "json": "/api/cards",
    }
    return render(request, "arrange.html", context)


def _placed(row: list[Card], visible: set[str], done: str, act: str) -> list[Placed]:
    last = len(row)
    return [
        Placed(card, number, last, not card.hidden and card.key not in visible, _focus(act, number, last) if card.key == done else "")
        for number, card in enumerate(row, 1)
    ]


def _focus(act: str, number: int, last: int) -> str:
    """The button that was pressed; where it can be pressed no more, its counterpart."""
    if act in ("up", "down"):
        return "down" if number == 1 else "up" if number == last else act
    return "hide" if act == "show" else "show"


def _said(moved: Placed | None, act: str) -> str:
    """What was done."""
    if act == RESET:
        return gettext("All cards are at their usual places.")
    if moved is None:
        return ""
    words = {"label": moved.card.label, "number": moved.number, "last": moved.last}
    if act in ("up", "down"):
        return gettext("%(label)s is now number %(number)s of %(last)s.") % words
    return (gettext("%(label)s is hidden.") if moved.card.hidden else gettext("%(label)s is shown.")) % words
