"""
The admin center's report of SMTP AUTH clients, exported as CSV: what Microsoft counted, never rows of ours.

    Sender address,Domain,TLS 1.0,TLS 1.1,TLS 1.2,Messages sent,Authentication Protocol
    anna@contoso.example,contoso.example,0%,0%,100%,472,Basic

Its columns have had other names in other years, so they are told by words in them. Shares are per cent, as the report
says, with the sign or without; where a row's shares add up to 1, they are parts of one.

What goes wrong
    A file whose header speaks of TLS versions and lacks the sender or the messages, as one in another language, is refused
    with the words that are looked for. A row whose numbers cannot be read is Unread.

See also
    docs/sources.md; csv_log.py for records; changes.py for `Counted`
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar

from smtp_auth_report.changes import Counted, Remembered
from smtp_auth_report.sources import values
from smtp_auth_report.sources.csv_log import BOM, Records, fields
from smtp_auth_report.sources.envelope import Parts
from smtp_auth_report.sources.interface import Remedy, Source
from smtp_auth_report.sources.portal_dates import day_comes_first, stamp_of
from smtp_auth_report.submission import domain_of
from smtp_auth_report.words import marked, translated

if TYPE_CHECKING:
    from smtp_auth_report.sources.logbook import Logbook

SERVER = "exchange-online"
HEADER_BYTES = 1 << 12
# TLS 1.0     TLS1.0%     TLS 1.2 (percentage)     TLS v1.1
VERSION = re.compile(r"tls ?v?1[._]([0-3])")
# 472     1,024     1 024
NUMBER = re.compile(r"\d{1,15}|\d{1,3}(?:[, ]\d{3}){1,4}")
# 100%     33.3 %     33,3     100%(472)
SHARE = re.compile(r"(\d{1,3}(?:[.,]\d{1,10})?) ?(%?) ?(?:\(\d+\))?")
ROUNDING = 0.02

REFUSED = marked(
    'is a table of TLS versions whose header has no column with {missing} in its name; of the report "SMTP AUTH clients" these are '
    "looked for: sender (or address), messages, TLS 1.0, TLS 1.1, TLS 1.2, separated by commas; export it again with the admin center "
    "in English"
)

Shares = tuple[float | None, float | None, float | None, float | None, float | None]
Test = Callable[[str], bool]
COLUMNS: dict[str, Test] = {
    "sender": lambda name: ("sender" in name and "domain" not in name) or name in {"address", "email address"},
    "messages": lambda name: "message" in name and "size" not in name,
    "domain": lambda name: "domain" in name,
    "authentication": lambda name: "auth" in name and "smtp" not in name,
    "day": lambda name: name in {"date", "day", "start date", "date (utc)"},
    "until": lambda name: name == "end date",
    "tls_none": lambda name: "no tls" in name or "without tls" in name,
}
"""Column -> whether a header's name, in lower case, is its."""

NEEDED = ("sender", "messages")
TLS_COLUMNS = ("tls_none", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3")


class ExchangeOnlineSource(Source):
    """Reads one file."""

    name: ClassVar[str] = "exchange-online"
    title: ClassVar[str] = "Exchange Online"
    versions: ClassVar[str] = "admin center of 2019 to 2026"
    sample: ClassVar[str] = "anna@contoso.example,contoso.example,0%,0%,100%,472,Basic"
    tells: ClassVar[frozenset[str]] = frozenset()
    reasons: ClassVar[tuple[str, ...]] = ()
    remedies: ClassVar[tuple[Remedy, ...]] = ()
    columns: ClassVar[str] = "Sender address, Messages sent, TLS 1.0, TLS 1.1, TLS 1.2"

    def __init__(self, log: Logbook) -> None:
        self.recognised = 0
        self.log = log
        self._records = Records()
        self._columns: dict[str, int] | None = None
        self._day_first: bool | None = None
        self._same: Counter[bytes] = Counter()  # how often a row came

    @staticmethod
    def owns(_tag: str) -> bool:
        """Nothing of this is in a syslog."""
        return False

    @staticmethod
    def forms(first: Sequence[bytes]) -> bool:
        """A first line that names two versions of TLS, and is no line of a log: it holds no digits but theirs."""
        text = ",".join(_names(first[0]))
        cut = any(sign in text for sign in ",;\t")
        return cut and len(set(VERSION.findall(text))) > 1 and not re.search(r"\d", VERSION.sub("", text))

    def settle(self, sample: list[bytes], first: list[bytes]) -> int:
        """Its columns, and which number of a date is the day. It is of no moment."""
        self._header(first[0])
        place = (self._columns or {}).get("day")
        if place is not None:
            dates = [values.text(_field(fields(line), place)) for line in (*first[1:], *sample)]
            self._day_first = day_comes_first(dates)
        return 0

    def _header(self, line: bytes) -> None:
        names = _names(line)
        self._columns = {column: place for column, test in COLUMNS.items() if (place := _place(names, test)) is not None}
        for place, name in enumerate(names):
            version = VERSION.search(name)
            if version:
                self._columns[f"tls_1_{version[1]}"] = place
        missing = [column for column in NEEDED if column not in self._columns or len(names) < len(TLS_COLUMNS)]
        self.refusal = translated(REFUSED).format(missing=" or ".join(f'"{column}"' for column in missing)) if missing else ""

    def feed(self, batch: bytes) -> None:
        """Read whole lines."""
        if self._columns is None:
            self._header(batch[:HEADER_BYTES].partition(b"\n")[0])
        if self.refusal:
            return
        for record in self._records.cut(batch):
            if record.strip() and not self.forms([record]):
                self._row(record)
        self.recognised += 1
        for record in self._records.broken:
            self._unread("quotes that are not closed", record)
        self._records.broken.clear()

    def _row(self, record: bytes) -> None:
        columns = self._columns or {}
        row = [values.text(field).strip() for field in fields(record)]

        def of(column: str) -> str:
            place = columns.get(column, len(row))
            return row[place] if place < len(row) else ""

        messages, sender = _number(of("messages")), of("sender")
        shares = _shares([of(column) for column in TLS_COLUMNS])
        if messages is None or not sender or shares is None:
            self._unread("row of a report not understood", record)
            return
        first = self.log.clock.at(stamp_of(of("day"), self._day_first)) if of("day") else None
        last = self.log.clock.at(stamp_of(of("until"), self._day_first)) if of("until") else first
        domain = of("domain").lower() or domain_of(sender) or ""
        self.log.about += 1
        self._same[record] += 1
        digest = blake2b(b"%d %b" % (self._same[record], record), digest_size=7).digest()
        line = int.from_bytes(digest, "big")
        self.log.changes.counted.append(Counted("", line, sender, domain, "", messages, *shares, of("authentication"), first, last))

    def _unread(self, reason: str, record: bytes) -> None:
        self.log.unread(self.name, SERVER, self.log.latest(), reason, record)

    def finish(self) -> None:
        """What was left open is broken."""
        self._records.give_up()
        for record in self._records.broken:
            self._unread("quotes that are not closed", record)
        self._records.broken.clear()

    def read(self, lines: Sequence[Parts]) -> None:
        """There are none."""

    def repeat(self, line: Parts, times: int) -> None:
        """There are none."""

    def recall(self, remembered: Iterable[Remembered]) -> None:
        """Nothing is remembered."""

    def remember(self) -> list[Remembered]:
        """Each file is whole."""
        return []


def _names(line: bytes) -> list[str]:
    header = fields(line[:HEADER_BYTES].removeprefix(BOM).rstrip(b"\r"))
    return [" ".join(values.text(name).lower().split()) for name in header]


def _place(names: Sequence[str], test: Test) -> int | None:
    return next((place for place, name in enumerate(names) if test(name)), None)


def _field(record: Sequence[bytes], place: int) -> bytes:
    return record[place] if place < len(record) else b""


def _number(written: str) -> int | None:
    text = " ".join(written.split())  # with one plain blank for any
    return int(text.replace(",", "").replace(" ", "")) if NUMBER.fullmatch(text) else None


def _shares(written: Sequence[str]) -> Shares | None:
    """Parts of one for each version; None for one that is not told, and None in all where one is no share."""
    found = [SHARE.fullmatch(" ".join(text.split())) if text else None for text in written]
    if any(text and match is None for text, match in zip(written, found, strict=True)):
        return None
    numbers = [float(match[1].replace(",", ".")) if match else None for match in found]
    signed = any(match[2] for match in found if match)
    total = sum(number for number in numbers if number is not None)
    whole = 1 if not signed and abs(total - 1) <= ROUNDING else 100
    none, zero, one, two, three = (None if number is None else number / whole for number in numbers)
    shares = none, zero, one, two, three
    return shares if all(share is None or share <= 1 for share in shares) else None
