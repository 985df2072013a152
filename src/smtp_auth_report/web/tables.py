"""
The details tables: which columns of a report are shown, in which order, and what a cell looks like.

    shown = details(table, query, frame)

A row leads to its account, a value adds a filter, a heading sorts. To show a column, add a line to its report's
tuple in `LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from smtp_auth_report.reports.interface import Table
from smtp_auth_report.store.filters import UNKNOWN
from smtp_auth_report.store.interface import Value
from smtp_auth_report.web import cells, vocabulary, wording
from smtp_auth_report.web.query import PAGE_ROWS, Query

Row = Mapping[str, Value]
CODES = ("service", "mechanism")
"""Columns whose values are words of the log, but for one that is the program's own."""

MUCH = 3.0
"""From this many times the usual on, a figure is set apart."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a cell is drawn in: the state of the page, the zone, the time, the totals of the table."""

    query: Query
    zone: ZoneInfo
    now: int
    totals: Mapping[str, int]

    def account_address(self, account: str) -> str:
        return account_address(account, self.query)

    def adds(self, name: str, value: str) -> str:
        return self.query.with_value(name, value).address()


class Shown(NamedTuple):
    """One column of a details table."""

    name: str
    label: str | Promise
    cell: Callable[[Row, Frame], SafeString]
    numeric: bool = False
    sort: str | None = None  # the report's column to sort by, where it is another one


class Heading(NamedTuple):
    """One heading as the template draws it."""

    label: str | Promise
    numeric: bool
    address: str
    sorted: Literal["ascending", "descending"] | None


class Cell(NamedTuple):
    """One cell as the template draws it."""

    content: SafeString
    numeric: bool


class Line(NamedTuple):
    """One row as the template draws it; the first cell names it."""

    head: SafeString
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Details:
    """A page of the table."""

    headings: list[Heading]
    lines: list[Line]
    total: int
    first: int
    last: int
    previous: str | None
    next: str | None


def account_address(account: str, query: Query) -> str:
    """The account's page, with the same period."""
    return "/account?" + urlencode([("name", account), *query.period_pairs()], errors="surrogateescape")


def as_rows(table: Table) -> list[dict[str, Value]]:
    """Rows by the names of their columns."""
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def details(table: Table, frame: Frame) -> Details:
    """A page of the table as the reader sees it."""
    return _drawn(table, frame, _layout(table), paged=True)


def excerpt(table: Table, frame: Frame, only: Collection[str]) -> Details:
    """Its first rows and some of its columns, as part of another page."""
    return _drawn(table, frame, tuple(shown for shown in _layout(table) if shown.name in only), paged=False)


def of_one_account(table: Table, frame: Frame) -> Details:
    """Its first rows without the account, which the page is about."""
    return _drawn(table, frame, OF_ONE_ACCOUNT[table.report.name], paged=False)


def _drawn(table: Table, frame: Frame, layout: tuple[Shown, ...], *, paged: bool) -> Details:
    query = frame.query
    lines = [_line(layout, row, frame) for row in as_rows(table)]
    first = (query.page - 1) * PAGE_ROWS + 1 if lines and paged else min(1, len(lines))
    last = first + len(lines) - 1 if lines else 0
    return Details(
        [_heading(shown, query, table) for shown in layout],
        lines,
        table.total_rows,
        first,
        last,
        query.address(page=query.page - 1) if paged and query.page > 1 else None,
        query.address(page=query.page + 1) if paged and last < table.total_rows else None,
    )


def _layout(table: Table) -> tuple[Shown, ...]:
    layout = LAYOUTS[table.report.name]
    if table.report.name != "tls-usage":
        return layout
    return tuple(
        shown
        for shown in layout
        if not shown.name.startswith("tls_") or shown.name in vocabulary.ALWAYS_SHOWN or table.totals.get(shown.name)
    )


def _line(layout: tuple[Shown, ...], row: Row, frame: Frame) -> Line:
    head, *others = layout
    return Line(head.cell(row, frame), [Cell(shown.cell(row, frame), shown.numeric) for shown in others])


def _heading(shown: Shown, query: Query, table: Table) -> Heading:
    column = shown.sort or shown.name
    is_current = query.column == column
    numeric = next((known.type != "text" for known in table.columns if known.name == column), True)
    descending = not query.descending if is_current else numeric
    direction: Literal["ascending", "descending"] = "descending" if query.descending else "ascending"
    address = query.address(view="table", page=1, sort=("-" if descending else "") + column)
    return Heading(shown.label, shown.numeric, address, direction if is_current else None)


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value)


def _number(row: Row, name: str) -> int:
    value = row.get(name)
    return int(value) if isinstance(value, (int, float)) else 0


def _to_account(shown: str) -> Callable[[Row, Frame], SafeString]:
    def cell(row: Row, frame: Frame) -> SafeString:
        account = _text(row, "account")
        inner = cells.name(_text(row, shown)) if row.get(shown) is not None else cells.unknown()
        return cells.row_link(frame.account_address(account), inner) if account else inner

    return cell


def _account_link(row: Row, frame: Frame) -> SafeString:
    account = _text(row, "account")
    return format_html('<a href="{}">{}</a>', frame.account_address(account), cells.name(account)) if account else cells.unknown()


def _client(row: Row, frame: Frame) -> SafeString:
    client = _text(row, "client_ip")
    return cells.row_link(frame.adds("client", client or UNKNOWN), cells.name(client) if client else cells.unknown())


def _sender(row: Row, frame: Frame) -> SafeString:
    link = _to_account("sender")(row, frame)
    return format_html('{} <span class="new">{}</span>', link, gettext("New")) if row.get("is_new") else link


def _account(row: Row, frame: Frame) -> SafeString:
    del frame
    account = row.get("account")
    if account is None:
        return cells.unknown()
    return format_html('<span class="{}">{}</span>', "muted" if account == row.get("sender") else "", cells.name(str(account)))


def _filtering(name: str, column: str, words: Callable[[str], str] = wording.visible) -> Callable[[Row, Frame], SafeString]:
    def cell(row: Row, frame: Frame) -> SafeString:
        if row.get(column) is None:
            return cells.unknown()
        value = _text(row, column)
        if value == UNKNOWN and column in CODES:
            shown = cells.unknown()
        else:
            shown = cells.name(value) if words is wording.visible else format_html("{}", words(value))
        return cells.value_link(frame.adds(name, value), shown, gettext("Show only this"))

    return cell


def _named(column: str) -> Callable[[Row, Frame], SafeString]:
    def cell(row: Row, frame: Frame) -> SafeString:
        del frame
        return cells.host(_text(row, column)) if row.get(column) else cells.NOTHING

    return cell


def _count(column: str, whole: str | None = None, colour: str = "accent") -> Callable[[Row, Frame], SafeString]:
    def cell(row: Row, frame: Frame) -> SafeString:
        return cells.figure(_number(row, column), frame.totals.get(whole) if whole else None, colour)

    return cell


def _size(row: Row, frame: Frame) -> SafeString:
    del frame
    return format_html("{}", wording.size(_number(row, "bytes")))


def _time(column: str, *, ago: bool = False) -> Callable[[Row, Frame], SafeString]:
    def cell(row: Row, frame: Frame) -> SafeString:
        if row.get(column) is None:
            return cells.NOTHING
        moment = wording.Moment.of(_number(row, column), frame.zone)
        return cells.time_element(moment, moment.ago(frame.now) if ago else moment.short(frame.now))

    return cell


def _usual(row: Row, frame: Frame) -> SafeString:
    del frame
    return cells.NOTHING if row.get("usual") is None else format_html("{}", wording.count(float(str(row["usual"]))))


def _ratio(row: Row, frame: Frame) -> SafeString:
    del frame
    usual = row.get("usual")
    if not isinstance(usual, (int, float)):
        return cells.NOTHING
    if not usual:
        return format_html('<span class="muted">{}</span>', gettext("none before"))
    times = _number(row, "messages") / usual
    return format_html('<span class="{}">{}</span>', "above" if times >= MUCH else "", wording.ratio(times))


def _tls(word: vocabulary.TlsWord) -> Callable[[Row, Frame], SafeString]:
    def cell(row: Row, frame: Frame) -> SafeString:
        number = _number(row, word.column)
        inner = cells.figure(number, _number(row, "messages"), word.colour)
        if not number:
            return format_html('<span class="muted">{}</span>', inner)
        return cells.value_link(frame.adds("tls", word.value), inner, gettext("Show only this"))

    return cell


_LAST_SEEN = Shown("last_seen", _("Last seen"), _time("last_seen", ago=True))
_FIRST_SEEN = Shown("first_seen", _("First seen"), _time("first_seen"))
_MESSAGES = Shown("messages", _("Messages"), _count("messages", "messages"), numeric=True)

_CONNECTION = (
    Shown("client_name", _("Name"), _named("client_name")),
    Shown("helo", _("HELO"), _named("helo")),
    Shown("service", _("Service"), _filtering("service", "service")),
    Shown("tls_version", _("TLS version"), _filtering("tls", "tls_version", vocabulary.tls_words)),
    Shown("mechanism", _("Mechanism"), _filtering("mechanism", "mechanism")),
    _MESSAGES,
    _FIRST_SEEN,
    _LAST_SEEN,
)

LAYOUTS: dict[str, tuple[Shown, ...]] = {
    "sending-volume": (
        Shown("sender", _("Sender"), _sender),
        Shown("account", _("Account"), _account),
        _MESSAGES,
        Shown("usual", _("Usual"), _usual, numeric=True),
        Shown("ratio", _("Against usual"), _ratio, numeric=True),
        Shown("recipients", _("Recipients"), _count("recipients"), numeric=True),
        Shown("bytes", _("Size"), _size, numeric=True),
        Shown("client_addresses", _("Clients"), _count("client_addresses"), numeric=True),
        _FIRST_SEEN,
        _LAST_SEEN,
    ),
    "tls-usage": (
        Shown("sender", _("Sender"), _sender),
        Shown("account", _("Account"), _account),
        *(Shown(word.column, word.label, _tls(word), numeric=True) for word in vocabulary.TLS),
        _MESSAGES,
        Shown("last_legacy", _("Last below 1.2"), _time("last_legacy", ago=True)),
    ),
    "auth-methods": (
        Shown("account", _("Account"), _to_account("account")),
        Shown("mechanism", _("Mechanism"), _filtering("mechanism", "mechanism")),
        Shown("auth_class", _("Class"), _filtering("auth-class", "auth_class", lambda value: vocabulary.filter_words("auth-class", value))),
        _MESSAGES,
        Shown("last_basic", _("Last with a password"), _time("last_basic", ago=True)),
        _LAST_SEEN,
    ),
    "clients": (
        Shown("account", _("Account"), _to_account("account")),
        Shown("client_ip", _("Address"), _filtering("client", "client_ip")),
        *_CONNECTION,
    ),
    "failures": (
        Shown("client_ip", _("Address"), _client),
        Shown("client_name", _("Name"), _named("client_name")),
        Shown("account", _("Account"), _account_link),
        Shown("auth_failed", _("Failed sign-ins"), _count("auth_failed", "auth_failed", "failed-auth"), numeric=True),
        Shown("tls_failed", _("Failed handshakes"), _count("tls_failed", "tls_failed", "failed-tls"), numeric=True),
        Shown("last_reason", _("Last reason"), _named("last_reason")),
        _FIRST_SEEN,
        _LAST_SEEN,
    ),
}
"""Columns of each report's details table; the first names the row."""

OF_ONE_ACCOUNT: dict[str, tuple[Shown, ...]] = {
    "clients": (Shown("client_ip", _("Address"), _client), *_CONNECTION),
    "sending-volume": tuple(shown for shown in LAYOUTS["sending-volume"] if shown.name != "account"),
    "failures": tuple(shown for shown in LAYOUTS["failures"] if shown.name != "account"),
}
"""The same where all rows are of one account."""
