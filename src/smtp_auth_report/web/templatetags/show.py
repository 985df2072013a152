"""
What templates say figures, times and pictures with.

    {{ messages|count }}   {{ part|share_of:whole }}   {% stamp time %}   {% ago time %}   {% icon "chart" %}
    {{ name|visible }}     {% sparkline values %}      {% share_bar parts %}   {{ reason|translated }}
    {{ name|breakable }}
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from smtp_auth_report.web import cells, pictures, wording
from smtp_auth_report.web.site import site_of
from smtp_auth_report.words import translated

register = template.Library()
register.filter("breakable", cells.breakable)
register.filter("count", wording.count)
register.filter("size", wording.size)
register.filter("share", wording.share)
register.filter("visible", wording.visible)
register.filter("translated", translated)
register.simple_tag(pictures.sparkline, name="sparkline")
register.simple_tag(pictures.share_bar, name="share_bar")
register.simple_tag(pictures.donut, name="donut")
register.simple_tag(pictures.swatch, name="swatch")


@register.filter
def share_of(part: int, whole: int) -> str:
    """A part in per cent of the whole."""
    return wording.share(part / whole) if whole else ""


@register.simple_tag
def icon(name: str) -> SafeString:
    """A picture of the sprite; the words beside it say what it means."""
    return format_html('<svg class="icon" aria-hidden="true" viewBox="0 0 24 24"><use href="{}#{}"></use></svg>', static("icons.svg"), name)


@register.simple_tag(takes_context=True)
def stamp(context: dict[str, Any], microseconds: int) -> SafeString:
    """22 Nov 14:03, the exact stamp on hover."""
    site = site_of(context["request"])
    moment = wording.Moment.of(microseconds, ZoneInfo(site.settings.display_timezone))
    return cells.time_element(moment, moment.short(site.clock()))


@register.simple_tag(takes_context=True)
def ago(context: dict[str, Any], microseconds: int) -> SafeString:
    """3 days ago, the exact stamp on hover."""
    site = site_of(context["request"])
    moment = wording.Moment.of(microseconds, ZoneInfo(site.settings.display_timezone))
    return cells.time_element(moment, moment.ago(site.clock()))


@register.simple_tag
def swaps(selector: str) -> SafeString:
    """Links and forms within exchange only that part of the page and update the address."""
    return format_html(
        'hx-boost:inherited="true" hx-target:inherited="{0}" hx-select:inherited="{0}" hx-swap:inherited="outerHTML show:none"',
        selector,
    )
