"""
A digest by mail: the figures of a period beside those of the one before, and who an administrator would look at.

    message = digest_of(site, mail)          text, and the same as HTML

It is asked of the reports as its person may see them when it is sent, in their language and zone. The HTML has its style with
each element and no pictures, as mail programs want it. Links unsubscribe without sign-in, the header of it at one click
(RFC 8058).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from email.message import EmailMessage
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from smtp_auth_report.moments import HOUR
from smtp_auth_report.outgoing import letter
from smtp_auth_report.reports import REPORTS, Wanted, ask_all
from smtp_auth_report.reports.interface import Table
from smtp_auth_report.reports.rhythms import Every, Over, before
from smtp_auth_report.store.interface import Selection, View
from smtp_auth_report.web import spans, vocabulary, wording
from smtp_auth_report.web.digests import token_of
from smtp_auth_report.web.doubts import doubts
from smtp_auth_report.web.mailed_report import still_allowed
from smtp_auth_report.web.models import Mail, Subscription
from smtp_auth_report.web.query import Query
from smtp_auth_report.web.site import Site
from smtp_auth_report.web.tables import as_rows

LISTED = 10
"""Rows of each list."""

LOOKED_AT = 100_000
"""New senders of which those with most messages are listed."""

WEAK = ("legacy", "none")
LATE_AFTER = HOUR


class Section(NamedTuple):
    """One list. The last of its columns are figures."""

    title: str
    address: str
    headings: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    more: str
    nothing: str = ""  # said in place of no rows, where that is not that there are none


def digest_of(site: Site, mail: Mail, subscription: Subscription) -> EmailMessage:
    """What is sent, as the subscriber may see it now."""
    still_allowed(mail, subscription.person)
    seen_by_them = site.as_seen_by(subscription.person.reader)
    with override(mail.language), seen_by_them.store.snapshot() as seen:
        told = _told(replace(seen_by_them, snapshot=seen), mail, subscription)
        name = _("SMTP AUTH clients report")
        message = letter(site.settings, str(mail.pk), site.clock(), name, mail.address, told["title"], _as_text(told))
        message.add_alternative(render_to_string("mail_digest.html", told), subtype="html")
    message["List-Unsubscribe"] = f"<{told['unsubscribe']}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return message


def _told(site: Site, mail: Mail, subscription: Subscription) -> dict[str, Any]:
    """Everything that text and HTML say."""
    selection = Selection(mail.start, mail.end, subscription.zone)
    every = Every(subscription.every)
    earlier = Selection(*before(every, subscription.zone, Over(mail.start, mail.end, mail.planned)), subscription.zone)
    summary, volume, failures = ask_all(
        site.seen,
        selection,
        [
            Wanted(REPORTS["summary"], series=False),
            Wanted(REPORTS["sending-volume"], View("is_new", limit=LOOKED_AT), series=False, columns=frozenset({"is_new"})),
            Wanted(REPORTS["failures"], View("failed", limit=LISTED), series=False, columns=frozenset({"client_name"})),
        ],
    )
    [past] = ask_all(site.seen, earlier, [Wanted(REPORTS["summary"], series=False)])
    query = spans.stated(Query(), replace(selection, zone=site.settings.display_timezone))
    public = site.settings.public_url
    return {
        "title": _subject(every, spans.in_words(selection)),
        "late": _late(site, mail, subscription),
        "periods": ("", spans.in_words(selection), spans.in_words(earlier), _("Difference")),
        "figures": _figures(_rows(summary)[0], _rows(past)[0]),
        "sections": [
            _new_senders(volume, public + query.address(view="table", sort="-is_new")),
            _weak_tls(site, selection, public + query.with_filter("tls", WEAK).address(report="tls-usage", view="table")),
            _passwords(site, selection, public + query.with_value("auth-class", "basic").address(report="auth-methods", view="table")),
            _failures(failures, public + query.address(report="failures", view="table")),
        ],
        "doubts": doubts(site, summary),
        "public_url": public,
        "settings": f"{public}/digests",
        "unsubscribe": f"{public}/unsubscribe/{token_of(subscription)}",
    }


def _subject(every: Every, period: str) -> str:
    words = {
        Every.DAY: _("SMTP AUTH clients, day: %(period)s"),
        Every.WEEK: _("SMTP AUTH clients, week: %(period)s"),
        Every.MONTH: _("SMTP AUTH clients, month: %(period)s"),
    }
    return words[every] % {"period": period}


def _late(site: Site, mail: Mail, subscription: Subscription) -> str:
    if site.clock() - mail.planned <= LATE_AFTER:
        return ""
    planned = wording.Moment.of(mail.planned, ZoneInfo(subscription.zone)).exact
    return _("This mail is late: it was to be sent on %(time)s, and could not be then.") % {"time": planned}


def _figures(now: dict[str, Any], past: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    names = (
        ("messages", _("Accepted messages")),
        ("accounts", _("Accounts that sent")),
        ("legacy_tls_accounts", _("Accounts below TLS 1.2")),
        ("cleartext_accounts", _("Accounts without TLS")),
        ("basic_auth_accounts", _("Accounts with basic authentication")),
        ("auth_failed", _("Failed sign-ins")),
        ("tls_failed", _("Failed handshakes")),
    )
    return [(words, wording.count(now[name]), wording.count(past[name]), _change(now[name], past[name])) for name, words in names]


def _change(now: int, past: int) -> str:
    if now == past:
        return _("no change")
    sign, difference = "+" if now > past else "\N{MINUS SIGN}", abs(now - past)
    if not past or now >= 10 * past:
        return sign + wording.count(difference)
    part = difference / past
    return sign + (wording.share(part) if part < 1 else wording.per_cent_of(wording.count(round(100 * part))))


def _new_senders(volume: Table, address: str) -> Section:
    new = sorted((row for row in _rows(volume) if row["is_new"]), key=lambda row: -row["messages"])
    rows = [(_name(row["sender"]), _name(row["account"]), wording.count(row["messages"])) for row in new[:LISTED]]
    nothing = _("Nothing was read of the time before.") if volume.rows and all(row["is_new"] is None for row in _rows(volume)) else ""
    return Section(
        _("New clients: they had sent nothing before"), address, (_("Sender"), _("Account"), _("Messages")), rows, _more(len(new)), nothing
    )


def _weak_tls(site: Site, selection: Selection, address: str) -> Section:
    weak = replace(selection, filters={"tls": WEAK})
    [table] = ask_all(site.seen, weak, [Wanted(REPORTS["tls-usage"], View(limit=LISTED), series=False)])
    rows = [
        (
            _name(row["sender"]),
            _name(row["account"]),
            ", ".join(str(word.label) for word in vocabulary.TLS if row[word.column]),
            wording.count(row["messages"]),
        )
        for row in _rows(table)
    ]
    headings = (_("Sender"), _("Account"), _("TLS version"), _("Messages"))
    return Section(_("Without TLS, or below 1.2"), address, headings, rows, _more(table.total_rows))


def _passwords(site: Site, selection: Selection, address: str) -> Section:
    basic = replace(selection, filters={"auth-class": ("basic",)})
    [table] = ask_all(site.seen, basic, [Wanted(REPORTS["auth-methods"], View(limit=LISTED), series=False)])
    rows = [(_name(row["account"]), _name(row["mechanism"]), wording.count(row["messages"])) for row in _rows(table)]
    return Section(_("Basic authentication"), address, (_("Account"), _("Mechanism"), _("Messages")), rows, _more(table.total_rows))


def _failures(table: Table, address: str) -> Section:
    rows = [
        (
            _name(row["client_ip"]),
            _name(row["client_name"], ""),
            _name(row["account"]),
            wording.count(row["auth_failed"] + row["tls_failed"]),
        )
        for row in _rows(table)
    ]
    return Section(
        _("Failed sign-ins and handshakes"), address, (_("Address"), _("Name"), _("Account"), _("Failures")), rows, _more(table.total_rows)
    )


def _rows(table: Table) -> list[dict[str, Any]]:
    return [dict(row) for row in as_rows(table)]


def _name(value: Any, nothing: str | None = None) -> str:
    """A name from a log, as text."""
    return wording.visible(str(value)) if value is not None else _("unknown") if nothing is None else nothing


def _more(rows: int) -> str:
    hidden = max(0, rows - LISTED)
    return ngettext("and %(n)s more", "and %(n)s more", hidden) % {"n": wording.count(hidden)} if hidden else ""


def _as_text(told: dict[str, Any]) -> str:
    """The same for programs that show no HTML."""
    parts = [told["late"], "\n".join(_aligned([told["periods"], *told["figures"]], left=1))]
    for section in told["sections"]:
        rows = [*_aligned([section.headings, *section.rows]), section.more] if section.rows else [section.nothing or _("None")]
        parts.append("\n".join([section.title, "-" * len(section.title), *filter(None, rows), section.address]))
    parts += ["\n".join(told["doubts"]), _("Another rhythm, address or language") + f"\n{told['settings']}"]
    parts.append(_("Unsubscribe") + f"\n{told['unsubscribe']}")
    return "\n\n".join(filter(None, parts)) + "\n"


def _aligned(rows: Iterable[Sequence[str]], left: int | None = None) -> list[str]:
    """Cells under each other: so many to the left, all but the last unless said, the others to the right."""
    rows = [tuple(row) for row in rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    left = len(widths) - 1 if left is None else left
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
