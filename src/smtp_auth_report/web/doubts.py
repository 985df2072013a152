"""
Why a figure may be incomplete, and why a page is empty: the reason and what to do about it, never bare zeros.

    doubts(site, table)             sentences for the mark beside the figures
    emptiness(site, table, query)   what an empty report says, None when it is not empty
"""

from __future__ import annotations

from typing import NamedTuple

from django.utils.translation import gettext, ngettext

from smtp_auth_report.reports import periods
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.web import wording
from smtp_auth_report.web.query import Query
from smtp_auth_report.web.reader import Area
from smtp_auth_report.web.site import Site
from smtp_auth_report.web.spans import dates, in_words

COMMAND = "smtp-auth-report ingest /var/log/mail.log"


class Emptiness(NamedTuple):
    """What stands where the figures would."""

    title: str
    reasons: list[str]
    command: str = ""
    address: str = ""
    address_words: str = ""


def doubts(site: Site, table: Table) -> list[str]:
    """One sentence for each thing that the figures leave open. Of lines that are lost or unread nobody knows whose they were."""
    unknown, messages = table.unknown, table.totals["messages"]
    sentences = [tls_doubt(unknown["tls_version"], messages)] if unknown.get("tls_version") and messages else []
    if unknown.get("mechanism") and messages:
        sentences.append(
            gettext("The mechanism is unknown for %(share)s of the messages.") % {"share": wording.share(unknown["mechanism"] / messages)}
        )
    if unknown.get("account") and messages:
        sentences.append(
            gettext("The account is unknown for %(share)s of the messages.") % {"share": wording.share(unknown["account"] / messages)}
        )
    if lines := unknown.get("lines_unread", 0):
        sentences.append(unread(site, lines))
    if gaps := unknown.get("gaps", 0):
        words = ngettext("The log itself says once that lines were lost.", "The log itself says %(n)s times that lines were lost.", gaps)
        sentences.append(words % {"n": wording.count(gaps)} + " " + gettext("The figures are lower bounds."))
    return sentences


def tls_doubt(unknown: int, messages: int) -> str:
    """How much is unknown of TLS, and how to have it logged."""
    if unknown == messages:
        return gettext("The log has no TLS lines; a setting of the mail server brings them.")
    return gettext("TLS is unknown for %(share)s of the messages: the log does not tell.") % {"share": wording.share(unknown / messages)}


def unread(site: Site, lines: int) -> str:
    """Lines of the period that look like submission and were not understood."""
    if not site.reader.may(Area.INGEST):
        return ngettext("%(n)s line could not be read.", "%(n)s lines could not be read.", lines) % {"n": wording.count(lines)}
    words = ngettext(
        "%(n)s line could not be read; the ingest page shows a sample.",
        "%(n)s lines could not be read; the ingest page shows samples.",
        lines,
    )
    return words % {"n": wording.count(lines)}


def emptiness(site: Site, table: Table, query: Query) -> Emptiness | None:
    """None where the report has rows."""
    if not table.is_empty:
        return None
    span = site.seen.span()
    if span is None:
        return nothing_read(site)
    notes = [unread(site, lines)] if (lines := table.unknown.get("lines_unread", 0)) else []
    selection = table.selection
    if query.filters or query.search:
        if site.seen.count(Selection(selection.start, selection.end, selection.zone)):
            reason = gettext("Nothing in this period matches the filters and the search.")
            return Emptiness(
                gettext("Nothing matches"),
                [reason, *notes],
                address=query.address(filters={}, search=""),
                address_words=gettext("Show it without filters"),
            )
    elif site.seen.count(selection):
        return _other_rows(query, notes)
    shown = Selection(*periods.preset(periods.DEFAULT_DAYS, selection.zone, span[1]), selection.zone)
    return Emptiness(
        gettext("No sessions in this period"),
        [gettext("The logs that were read hold no authenticated session for %(period)s.") % {"period": in_words(selection)}, *notes],
        address=query.address(filters={}, search="", **dates(shown)),
        address_words=gettext("Show %(period)s, the last days that have some") % {"period": in_words(shown)},
    )


def nothing_read(site: Site) -> Emptiness:
    """The store has no rows that the reader may see."""
    if site.reader.scope is not None:
        return Emptiness(gettext("Nothing to show yet"), [gettext("No row of your domains has been read yet.")])
    reason = gettext("No log has been read yet. Read one with this command; the report shows it at once.")
    counted = bool(site.seen.counted_reports())
    address, words = ("/exchange-online", gettext("Show what Microsoft counted")) if counted else ("", "")
    return Emptiness(gettext("Nothing to show yet"), [reason], COMMAND, address, words)


def _other_rows(query: Query, notes: list[str]) -> Emptiness:
    """The period has rows, but none that this report is about."""
    if query.report == "failures":
        return Emptiness(
            gettext("No failed sign-ins"), [gettext("Every sign-in of this period succeeded, as far as the logs tell."), *notes]
        )
    return Emptiness(
        gettext("No messages in this period"),
        [gettext("Clients connected, but no message was accepted after authentication, as far as the logs tell."), *notes],
        address=query.address(report="failures", sort=""),
        address_words=gettext("Show failed sign-ins"),
    )
