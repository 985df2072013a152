"""
What a kind of file must be able to do, and the record that all kinds write.

    export = EXPORTS["csv"]
    rows = export.write(store, selection, file, progress)      progress(done, total) after each batch
    rows = export.write(store, selection, file, progress, read_columns(["account,time"]))

One record per `Submission`, oldest first, under the names of `FIELDS`: those of the record, and what derives from
them. A kind decides how a value looks in its file, never which values there are. Rows pass through in batches, so
that memory does not grow with the file, and each batch column by column: `each` writes what is equal once.

Names in a log are written by attackers. `plain` is for cells that a spreadsheet opens: a text that would be a formula
gets an apostrophe before it, and characters that cannot be seen are replaced by ones that can.

What goes wrong
    SelectionError: a column that there is not, or none at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import BinaryIO, ClassVar, Literal, NamedTuple, Protocol, TypeVar

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.reports.render import FORMULA_STARTS
from smtp_auth_report.store.interface import Readable, Selection
from smtp_auth_report.submission import Submission, auth_class, domain_of
from smtp_auth_report.words import worded

Cell = str | int | None
Column = Sequence[Cell]
Progress = Callable[[int, int], None]
Given = TypeVar("Given")
Made = TypeVar("Made")


class Field(NamedTuple):
    """One field of the record. A time is microseconds UTC in a `Column` and whatever suits the file outside."""

    name: str
    type: Literal["text", "count", "time"]
    width: int  # in characters, where a file has columns with a width


FIELDS = (
    Field("time", "time", 20),
    Field("server", "text", 12),
    Field("service", "text", 13),
    Field("source", "text", 10),
    Field("client_ip", "text", 18),
    Field("client_name", "text", 28),
    Field("helo", "text", 22),
    Field("account", "text", 32),
    Field("account_domain", "text", 22),
    Field("account_key", "text", 19),
    Field("mechanism", "text", 16),
    Field("auth_class", "text", 12),
    Field("tls_version", "text", 12),
    Field("tls_cipher", "text", 30),
    Field("sender", "text", 32),
    Field("sender_domain", "text", 22),
    Field("recipients", "count", 12),
    Field("size", "count", 12),
    Field("queue_id", "text", 18),
    Field("message_id", "text", 40),
    Field("outcome", "text", 13),
    Field("reason", "text", 26),
)
"""Order of the record, each derived field after the one it derives from."""

NAMES = tuple(field.name for field in FIELDS)
NULL_SENDER = "<>"

AT_ONCE = 1_000
"""Records of a batch: few enough that a processor keeps near it what it works on."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - without a zone, so that the stamp ends where "Z" follows
_MICROSECOND = timedelta(microseconds=1)
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Export(Protocol):
    """One kind of file."""

    name: ClassVar[str]  # as in --format
    title: ClassVar[str]  # as people write it
    extension: ClassVar[str]  # without a dot
    content_type: ClassVar[str]

    def write(self, store: Readable, selection: Selection, file: BinaryIO, progress: Progress, columns: Sequence[str] = NAMES) -> int:
        """Write the selection's rows and tell how many; of each the columns in this order. `file` need not be seekable."""


def read_columns(stated: Iterable[str], known: Sequence[str] = NAMES) -> tuple[str, ...]:
    """Columns as somebody states them, each or several with commas between; all that are known where nothing is stated."""
    stated = list(stated)
    names = tuple(dict.fromkeys(name for each in stated for part in each.split(",") if (name := part.strip())))
    if unknown := [name for name in names if name not in known]:
        raise SelectionError(worded("there is no column {name!r}; columns are {known}", name=unknown[0], known=", ".join(known)))
    if stated and not names:
        raise SelectionError(worded("no column is chosen; columns are {known}", known=", ".join(known)))
    return names or tuple(known)


def places(columns: Sequence[str]) -> list[int]:
    """Where the columns are among all."""
    return [NAMES.index(name) for name in columns]


def records(store: Readable, selection: Selection, progress: Progress, at_once: int = AT_ONCE) -> Iterator[list[Column]]:
    """Batches of records, each as all its columns; tells the progress when the caller has dealt with a batch."""
    total, done = store.count(selection), 0
    for batch in store.submissions(selection):
        for low in range(0, len(batch), at_once):
            yield _columns(batch[low : low + at_once], store.default_domain)
        done += len(batch)
        progress(done, max(done, total))


def _columns(batch: list[Submission], default_domain: str | None) -> list[Column]:
    columns: dict[str, Column] = dict(zip(Submission._fields, zip(*batch, strict=True), strict=True))
    domains = each(columns["account"], lambda account: domain_of(str(account).casefold(), default_domain) if account else None)
    senders = columns["sender"]
    sender_domains = each(senders, lambda sender: domain_of(str(sender)) if sender else None)
    columns["account_domain"] = domains
    columns["auth_class"] = each(columns["mechanism"], lambda mechanism: auth_class(str(mechanism)).value)
    columns["sender_domain"] = [
        domain if sender == "" else sender_domain for sender, domain, sender_domain in zip(senders, domains, sender_domains, strict=True)
    ]
    return [columns[name] for name in NAMES]


def each(values: Sequence[Given], make: Callable[[Given], Made]) -> list[Made]:
    """What is made of each value; of those that are equal once."""
    made = {value: make(value) for value in set(values)}
    return [made[value] for value in values]


def utc(time: int) -> datetime:
    """The time as a datetime in UTC that carries no zone."""
    return _EPOCH + time * _MICROSECOND


def stamp(time: int) -> str:
    """RFC 3339 in UTC; six digits of a second where there is a part of a second, else none."""
    return utc(time).isoformat() + "Z"


def plain(text: str) -> str:
    """Text for a spreadsheet's cell: never a formula, nothing unseen."""
    cell = _UNSEEN.sub(_picture, text)
    return "'" + cell if text.startswith(FORMULA_STARTS) else cell


def _picture(found: re.Match[str]) -> str:
    """Unicode's own picture of a control character, where it has one."""
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else _REPLACEMENT
