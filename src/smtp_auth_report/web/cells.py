"""
What stands in one cell of a table: names, figures, times, as safe markup.

Everything from a log passes through `format_html`, which escapes it, and through `visible`, which shows control
characters as what they are. `<bdi>` keeps a name that is written from right to left to itself. Where a line may end
in a name stands `<wbr>`, which is in nothing that is copied.
"""

from __future__ import annotations

import re

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from smtp_auth_report.web import wording

LONG = 34
TAIL = 14
NOTHING = SafeString('<span class="muted">\N{EN DASH}</span>')

# Before a word: behind @, _, : or a hyphen, and between two labels of a domain, but within no IPv4 address
LINE_MAY_END = re.compile(r"(?<=[@_:-])(?=\w)|(?<=\w\w\.)(?=[^\W\d])")


def breakable(text: str) -> SafeString:
    """A name or an address, whose line may end behind a mark in it where there is little room."""
    return format_html_join(SafeString("<wbr>"), "{}", ((part,) for part in LINE_MAY_END.split(text)))


def name(text: str) -> SafeString:
    """A name from a log; a long one is cut in the middle, its whole on hover and in what is copied."""
    shown = wording.visible(text)
    if len(shown) <= LONG:
        return format_html("<bdi>{}</bdi>", breakable(shown))
    at = shown.rfind("@")
    cut = at if 0 < len(shown) - at <= LONG * 2 // 3 else len(shown) - TAIL
    start, end = breakable(shown[:cut]), breakable(shown[cut:])
    return format_html('<bdi class="mid" title="{}"><span class="mid-start">{}</span>{}</bdi>', shown, start, end)


def host(text: str) -> SafeString:
    """The name of a machine, of which the beginning says most."""
    shown = wording.visible(text)
    return format_html('<bdi class="cut" title="{}">{}</bdi>', shown, breakable(shown))


def unknown() -> SafeString:
    """A value that was not logged."""
    return format_html('<span class="muted">{}</span>', gettext("unknown"))


def row_link(address: str, inner: SafeString) -> SafeString:
    """The link that a row leads to."""
    return format_html('<a data-row href="{}">{}</a>', address, inner)


def value_link(address: str, inner: SafeString, meaning: str) -> SafeString:
    """A value that adds itself to the filters."""
    return format_html('<a class="value" href="{}" title="{}">{}</a>', address, meaning, inner)


def figure(number: int, whole: int | None = None, colour: str = "accent") -> SafeString:
    """A count; with `whole`, its share after it and a thin bar beneath."""
    if whole is None:
        return SafeString(wording.count(number))
    if not number:
        return SafeString('0<span class="share"></span>')
    part = number / whole if whole else 0
    return format_html(
        '{}<span class="share">{}</span><svg class="bar" preserveAspectRatio="none" viewBox="0 0 100 3" aria-hidden="true">'
        '<rect width="100" height="3" class="fill-quiet"/><rect width="{}" height="3" class="fill-{}"/></svg>',
        wording.count(number),
        wording.share(part),
        f"{part * 100:.2f}",
        colour,
    )


def time_element(moment: wording.Moment, shown: str) -> SafeString:
    """A time with its exact stamp on hover."""
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.machine, moment.exact, shown)
