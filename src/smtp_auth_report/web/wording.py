"""
Figures, times and hostile names as a reader sees them.

    count(11253)                 11,253
    share(0.1234)                12 %
    day_range(first, last)       16 to 22 Nov 2026, with a dash
    Moment(...).ago(now)         3 days ago
    visible("eve\\x1b[2J")        eve␛[2J

Everything here is text; markup is made in `cells` and in templates.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.utils.formats import date_format, number_format
from django.utils.translation import get_language, gettext, gettext_noop, ngettext
from django.utils.translation import gettext as translated  # of what is marked where it is written, and looked up elsewhere

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
UNITS = (gettext_noop("B"), gettext_noop("kB"), gettext_noop("MB"), gettext_noop("GB"), gettext_noop("TB"))
EN_DASH = "\N{EN DASH}"
MICROSECONDS = 1_000_000
MINUTE, HOUR, DAY = 60, 3600, 86400

DATE = gettext_noop("j M Y")
DATE_AND_TIME = gettext_noop("j M Y H:i")
SHORT_DATE = gettext_noop("j M")
SHORT_DATE_AND_TIME = gettext_noop("j M H:i")
WEEKDAY = gettext_noop("D j M Y")
WEEKDAY_AND_TIME = gettext_noop("D j M Y H:i")
EXACT = gettext_noop("D j M Y H:i:s")
TIME = gettext_noop("H:i")
"""Patterns of dates, after Django's `date` filter; a catalog says them as its language does."""

CLOCKS = {"H:i:s": "%H:%M:%S", "H:i": "%H:%M"}
"""Ends of such patterns that no language says otherwise, as Python has them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def count(number: float) -> str:
    """With the language's thousands separators; a space among them is narrow, as in charts."""
    return number_format(number, decimal_pos=0, use_l10n=True, force_grouping=True).replace(NO_BREAK_SPACE, NARROW_SPACE)


def dated(value: date, pattern: str) -> str:
    """By one of the patterns above, as the language has it."""
    whole = translated(pattern)
    if isinstance(value, datetime):
        for letters, clock in CLOCKS.items():
            if whole.endswith(letters):
                before = whole.removesuffix(letters)  # to Django an empty pattern is its own for dates
                return (_day(value.date(), before, get_language()) if before else "") + value.strftime(clock)
    return _day(value, whole, get_language())


@lru_cache(maxsize=4096)
def _day(value: date, pattern: str, _language: str | None) -> str:
    """Kept, since a table has few days and many times, and Django takes a tenth of a millisecond for each."""
    return date_format(value, pattern)


def share(part: float) -> str:
    """A share from 0 to 1 in per cent; never rounded to nothing, nor to everything."""
    per_cent = part * 100
    if per_cent in (0, 100) or 9.95 <= per_cent < 99.5:
        text = number_format(round(per_cent))
    elif per_cent >= 99.5:
        text = number_format(min(99.9, round(per_cent, 1)), decimal_pos=1)
    elif per_cent < 0.1:
        text = gettext("<%(share)s") % {"share": number_format(0.1, decimal_pos=1)}
    else:
        text = number_format(per_cent, decimal_pos=1)
    return per_cent_of(text)


def per_cent_of(figure: str) -> str:
    """The figure with the sign, and the space between them that the language wants."""
    return gettext("%(n)s\N{NO-BREAK SPACE}%%") % {"n": figure}


def ratio(number: float) -> str:
    """How many times the usual."""
    return "\N{MULTIPLICATION SIGN}" + (number_format(number, decimal_pos=1) if number < 9.95 else count(round(number)))


def size(number: float) -> str:
    """Bytes in the largest unit that leaves a figure before the point."""
    power = 0
    while number >= 1000 and power < len(UNITS) - 1:
        number, power = number / 1000, power + 1
    digits = 0 if power == 0 or number >= 99.5 else 1
    return f"{number_format(number, decimal_pos=digits)}{NO_BREAK_SPACE}{translated(UNITS[power])}"


def visible(text: str) -> str:
    """The text with characters that would steer a terminal or turn the writing round shown as what they are."""
    return _CONTROL.sub(_picture, text)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\N{MATHEMATICAL LEFT ANGLE BRACKET}U+{code:04X}\N{MATHEMATICAL RIGHT ANGLE BRACKET}"


def day_range(first: date, last: date) -> str:
    """Both days included, saying month and year once where they are the same."""
    if first == last:
        return dated(first, DATE)
    end = dated(last, DATE)
    if first.year != last.year:
        return f"{dated(first, DATE)}{EN_DASH}{end}"
    if first.month != last.month:
        return f"{dated(first, SHORT_DATE)}{EN_DASH}{end}"
    return f"{first.day}{EN_DASH}{end}"


class Moment(NamedTuple):
    """A time of the store in the zone in which it is shown."""

    local: datetime

    @classmethod
    def of(cls, microseconds: int, zone: ZoneInfo) -> Moment:
        return cls((_EPOCH + timedelta(microseconds=microseconds)).astimezone(zone))

    @property
    def machine(self) -> str:
        """RFC 3339."""
        return self.local.isoformat(timespec="seconds")

    @property
    def exact(self) -> str:
        return f"{dated(self.local, EXACT)} {self.local.tzname()}"

    def short(self, now: int) -> str:
        """22 Nov 14:03, with the year where it is another one."""
        this_year = Moment.of(now, ZoneInfo("UTC")).local.year
        return dated(self.local, SHORT_DATE_AND_TIME if self.local.year == this_year else DATE_AND_TIME)

    def ago(self, now: int) -> str:
        """How long before `now`, in the largest unit that fits."""
        seconds = int(now / MICROSECONDS - self.local.timestamp())
        if seconds < 0:
            return gettext("in the future")
        if seconds < MINUTE:
            return ngettext("%(n)d second ago", "%(n)d seconds ago", seconds) % {"n": seconds}
        if seconds < HOUR:
            return ngettext("%(n)d minute ago", "%(n)d minutes ago", seconds // MINUTE) % {"n": seconds // MINUTE}
        if seconds < DAY:
            return ngettext("%(n)d hour ago", "%(n)d hours ago", seconds // HOUR) % {"n": seconds // HOUR}
        days = seconds // DAY
        if days < 60:
            return ngettext("%(n)d day ago", "%(n)d days ago", days) % {"n": days}
        months = days // 30
        return ngettext("%(n)d month ago", "%(n)d months ago", months) % {"n": months}
