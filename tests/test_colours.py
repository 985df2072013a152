"""
Series of one chart are told apart also by people who see colours otherwise: by their patterns, else by colours that are at least
`APART` from each other, in light and in dark.

Colours are taken from the style sheet, and seen as Machado, Oliveira and Fernandes (2009) say that somebody sees them who
lacks one kind of cone; distances are those of CIELAB.
"""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from sites import ROOT
from smtp_auth_report.submission import AUTH_CLASSES
from smtp_auth_report.web import vocabulary
from smtp_auth_report.web.charts import _PATTERNS, FAILURES
from smtp_auth_report.web.pictures import Part, donut, share_bar, swatch

STYLE = (ROOT / "src" / "smtp_auth_report" / "web" / "static" / "site.css").read_text(encoding="utf-8")
THEMES = {"light": STYLE.partition('[data-bs-theme="light"] {')[2], "dark": STYLE.partition('[data-bs-theme="dark"] {')[2]}
APART = 15.0
"""Of CIELAB; black and white are 100 apart, and two that differ by less than 2.3 are taken for the same."""

ALIKE = {"hatched": "rising"}
"""Patterns that are the same at a glance."""

SEEN = {
    "all colours": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)
MECHANISMS = tuple(vocabulary._MECHANISM_COLOURS)
CHARTS = {
    "TLS versions": [(word.colour, word.pattern) for word in vocabulary.TLS],
    "domains": [(f"domain-{number}", _PATTERNS[number]) for number in range(vocabulary.DOMAIN_COLOURS)],
    "mechanisms": [vocabulary.mechanism_colour(mechanism) for mechanism in MECHANISMS],
    "failures": list(FAILURES.values()),
}

Three = tuple[float, float, float]


def linear(theme: str, name: str) -> Three:
    """A colour of the style sheet as light."""
    found = re.search(rf"--{name}: #([0-9a-f]{{6}});", THEMES[theme])
    assert found, f"the style sheet has no --{name}"
    red, green, blue = (int(found[1][place : place + 2], 16) / 255 for place in (0, 2, 4))
    return _light(red), _light(green), _light(blue)


def _light(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def times(matrix: tuple[Three, ...], colour: Three) -> Three:
    first, second, third = (sum(one * other for one, other in zip(row, colour, strict=True)) for row in matrix)
    return first, second, third


def lab(colour: Three) -> Three:
    within = (min(max(part, 0.0), 1.0) for part in colour)
    x, y, z = (_cube(part / white) for part, white in zip(times(XYZ, (next(within), next(within), next(within))), WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _cube(value: float) -> float:
    return value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116


def distance(theme: str, seen: str, one: str, other: str) -> float:
    pairs = zip(lab(times(SEEN[seen], linear(theme, one))), lab(times(SEEN[seen], linear(theme, other))), strict=True)
    return sum((a - b) ** 2 for a, b in pairs) ** 0.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("chart", CHARTS)
def test_series_are_told_apart_by_pattern_or_by_colour(chart: str, theme: str) -> None:
    near = [
        (one, other, seen, round(apart))
        for (one, pattern), (other, another) in combinations(CHARTS[chart], 2)
        for seen in SEEN
        if ALIKE.get(pattern, pattern) == ALIKE.get(another, another) and (apart := distance(theme, seen, one, other)) < APART
    ]
    assert near == []


def test_pictures_carry_the_pattern() -> None:
    for pattern in ("flat", "plain"):
        part = Part("x", 1, "tls-1-0", 1.0, "", pattern)
        for picture in (share_bar([part]), donut([part]), swatch(part.colour, pattern)):
            assert ("pattern-flat" in picture, "pattern-plain" in picture) == (pattern == "flat", False)
    for picture in (share_bar([Part("x", 1, "unknown", 1.0)]), donut([Part("x", 1, "unknown", 1.0)]), swatch("unknown")):
        assert "hatched" in picture


def test_mechanisms_that_are_often_met_are_known() -> None:
    named = {name for names in AUTH_CLASSES.values() for name in names if not name.endswith("*")}
    assert named <= set(vocabulary._MECHANISM_COLOURS)
