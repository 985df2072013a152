"""
What can go wrong, drawn first.

    ReportError                 anything that the program itself foresaw; exit status 1
      + InputError              a file that cannot be read, or is not a log this program knows
      + StoreError              the database: locked, newer than this program, damaged, disk full
        + AwayError             a server, or the way to it; it may be over by itself
      + SettingError            a setting whose value cannot be used
      + SelectionError          a filter, period or column that a report does not have; exit status 2

Every message is one line for the administrator: what is wrong, where, and how to mend it.
The command line prints it after its own name; the web answers with it; neither shows a traceback.

    one_line(text)              for a log or a terminal: what others wrote forges no second line and steers nothing
"""

from __future__ import annotations

import re


class ReportError(Exception):
    """One line for the administrator: what is wrong, where, how to mend it."""


class InputError(ReportError):
    """A file that cannot be read, or that holds nothing this program knows."""


class StoreError(ReportError):
    """The database cannot be opened, read or written."""


class SettingError(ReportError):
    """A setting has a value that cannot be used."""


class SelectionError(ReportError):
    """A report was asked for something that it does not have."""


class InUseError(StoreError):
    """Another process holds the database."""


class AwayError(StoreError):
    """A server does not do just now what it is asked for: later it may."""


BREAKS = re.compile(r"[ \t-\r\x1c-\x1f\x85\u2028\u2029]+")
UNBROKEN = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
"""Spaces that French writes before some marks."""


def one_line(text: str) -> str:
    """The text on one line, with control characters and invisible marks written out, as \\x1b or \\u202e."""
    return "".join(map(_written_out, BREAKS.sub(" ", text).strip(" ")))


def _written_out(character: str) -> str:
    return character if character.isprintable() or character in UNBROKEN else character.encode("unicode_escape").decode("ascii")
