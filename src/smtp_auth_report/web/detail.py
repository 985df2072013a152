"""
What the page of people tells of a deed besides its kind: kept as a text that catalogs have, with what stands in its
places, and worded in the language of whoever reads.

    detail("token {label!r} made", label=label)                    a text is marked where it is written
    detail("submissions, {period}", period=dates(selection))       a period is kept as its dates
    detail("added as {role}", role=detail("administrator"))        words within words
    Detail(REPORTS[name].title, {})                                of what is marked elsewhere
    in_words(text, values)                                         as it was kept

A text without values is never taken for a pattern, so one that an earlier version put together is told as it is. One that
no catalog has any more is told in English.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from smtp_auth_report.web.spans import of_dates
from smtp_auth_report.words import count, translated

LONGEST = 500
"""Characters of a value; a text has places for few."""

Value: TypeAlias = "str | int | Mapping[str, str] | Detail"


class Detail(NamedTuple):
    """As JSON it is a list of both."""

    text: str
    values: Mapping[str, Value]


NONE = Detail("", {})


def detail(text: str, /, **values: Value) -> Detail:
    """A text, with `{name}` in it for what is given for it."""
    return Detail(text, {name: value[:LONGEST] if isinstance(value, str) else value for name, value in values.items()})


def in_words(text: str, values: Mapping[str, Any]) -> str:
    """In the language of whoever reads."""
    found = translated(text)
    return found.format(**{name: _said(value) for name, value in values.items()}) if values else found


def _said(value: Any) -> str:
    match value:
        case [text, values]:
            return in_words(text, values)
        case {"first": first, "last": last}:
            return of_dates(first, last)
        case int():
            return count(value)
        case _:
            return str(value)
