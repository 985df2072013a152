"""
Small pictures that need no script: sparklines, bars of shares, the flyout's ring.

They are SVG with classes and attributes only, so that the pages need no styles of their own. Each stands beside
the figures that it draws and is hidden from screen readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

HATCHED = frozenset({"unknown", "tls-unversioned"})
"""Colours that stand for what was not logged."""


class Part(NamedTuple):
    """One share of a whole, as legends and bars show it."""

    label: str
    value: int
    colour: str  # name of a colour in site.css, without "fill-"
    share: float
    url: str = ""
    pattern: str = "plain"


def parts(figures: Iterable[tuple[str, int, tuple[str, str], str]]) -> list[Part]:
    """(label, value, colour and pattern, address) of each part, with its share of them all."""
    figures = list(figures)
    whole = sum(value for _, value, _, _ in figures) or 1
    return [Part(label, value, colour, value / whole, url, pattern) for label, value, (colour, pattern), url in figures]


def sparkline(values: Sequence[int], colour: str = "accent") -> SafeString:
    """Bars, the tallest as high as the picture."""
    if not any(values):
        return SafeString("")
    top = max(values)
    width = 100 / len(values)
    bars = format_html_join(
        "",
        '<rect x="{}" y="{}" width="{}" height="{}" class="fill-{}"/>',
        (
            (f"{number * width:.2f}", f"{32 - height:.2f}", f"{width * 0.78:.2f}", f"{height:.2f}", colour)
            for number, height in enumerate(max(31 * value / top, 1) for value in values)
        ),
    )
    return format_html('<svg viewBox="0 0 100 32" height="32" preserveAspectRatio="none" aria-hidden="true">{}</svg>', bars)


def share_bar(shown: Sequence[Part]) -> SafeString:
    """One bar, cut into the parts, with the patterns of charts; what is not known is hatched."""
    pieces, left = [], 0.0
    for part in shown:
        place = (f"{left * 100:.3f}", f"{part.share * 100:.3f}")
        pieces.append((*place, f"fill-{part.colour}"))
        if over := _over(part.colour, part.pattern):
            pieces.append((*place, over))
        left += part.share
    bars = format_html_join("", '<rect x="{}%" width="{}%" height="18" class="{}"/>', pieces)
    return format_html('<svg class="share-bar" height="18" aria-hidden="true">{}</svg>', bars)


def donut(shown: Sequence[Part]) -> SafeString:
    """A ring of the parts, with their patterns; its circumference counts as 100."""
    arcs, left = [], 0.0
    for part in shown:
        place = (f"{part.share * 100:.3f} {100 - part.share * 100:.3f}", f"{25 - left * 100:.3f}")
        arcs.append((f"ring-{part.colour}", *place))
        if over := _over(part.colour, part.pattern):
            arcs.append((over, *place))
        left += part.share
    circles = format_html_join(
        "",
        '<circle class="ring {}" cx="63" cy="63" r="48" pathLength="100" stroke-dasharray="{}" stroke-dashoffset="{}"/>',
        arcs,
    )
    return format_html('<svg viewBox="0 0 126 126" aria-hidden="true">{}</svg>', circles)


def swatch(colour: str, pattern: str = "plain") -> SafeString:
    """The square of a legend, with the pattern that tells it apart without its colour."""
    over = _over(colour, pattern)
    overlay = format_html('<rect width="12" height="12" class="{}"/>', over) if over else ""
    return format_html(
        '<svg class="swatch" viewBox="0 0 12 12" aria-hidden="true"><rect width="12" height="12" class="fill-{}"/>{}</svg>', colour, overlay
    )


def _over(colour: str, pattern: str) -> str:
    """What is drawn over a colour."""
    return "hatched" if colour in HATCHED else "" if pattern == "plain" else f"pattern-{pattern}"
