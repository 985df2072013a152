"""
Microsoft Entra: sign-ins to Exchange Online by SMTP, out of the sign-in logs.

    {"id": "66ea54eb-…", "createdDateTime": "2026-11-23T16:06:05Z", "userPrincipalName": "anna@contoso.example",
     "clientAppUsed": "Authenticated SMTP", "ipAddress": "192.0.2.10", "userAgent": "BAV2ROPC", "status": {"errorCode": 0}}

Read are what Graph answers, what diagnostic settings write, and what the portal downloads, as JSON or CSV. Sign-ins of
other clients are passed over. One sign-in is one row, known by its id in whatever form it comes; that it succeeded says
nothing about mail, so the outcome is no_mail.

What goes wrong
    Unread: an object that is no JSON; a sign-in without a time that can be read, or without a result; a row whose quotes are
    not closed.
    A CSV with other columns, as of a portal in another language, is refused with the names of those that are needed.

See also
    entra_lines.py for one sign-in; json_log.py and csv_log.py for how they are packed
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar

from smtp_auth_report.changes import Remembered
from smtp_auth_report.sources import entra_lines as lines
from smtp_auth_report.sources import values
from smtp_auth_report.sources.csv_log import BOM, Columns, Records, fields
from smtp_auth_report.sources.entra_lines import SignIn
from smtp_auth_report.sources.envelope import Parts
from smtp_auth_report.sources.interface import Remedy, Source
from smtp_auth_report.sources.json_log import Objects, entries
from smtp_auth_report.sources.portal_dates import day_comes_first, stamp_of
from smtp_auth_report.submission import Identity, Outcome, Submission, bare
from smtp_auth_report.words import marked, translated

if TYPE_CHECKING:
    from smtp_auth_report.sources.logbook import Logbook

SERVER = "exchange-online"
DEFAULT_SERVER = "localhost"  # of Options: nobody named another
# "createdDateTime": "2026-…     "@odata.context":"https://graph.microsoft.com/v1.0/$metadata#auditLogs/signIns"
JSON = re.compile(rb'"createdDateTime"\s*:|metadata#auditLogs/signIns"', re.IGNORECASE)
CLIENT = re.compile(rb'"(?:clientAppUsed|userPrincipalName)"\s*:|metadata#auditLogs/signIns"', re.IGNORECASE)
HEADER_BYTES = 1 << 13
REFUSED = marked(
    "has some columns of Entra's sign-in logs, and lacks {missing}; the portal has them when its language is English: "
    "download the sign-in logs again as CSV, or as JSON, which is the same in all languages"
)


class EntraSource(Source):
    """Reads one log."""

    name: ClassVar[str] = "entra"
    title: ClassVar[str] = "Microsoft Entra"
    versions: ClassVar[str] = "Graph v1.0 and beta, portal of 2026"
    sample: ClassVar[str] = (
        '{"id": "66ea54eb-…", "createdDateTime": "2026-11-23T16:06:05Z", "clientAppUsed": "Authenticated SMTP", "userAgent": "BAV2ROPC", …}'
    )
    tells: ClassVar[frozenset[str]] = frozenset({"time", "server", "client_ip", "account", "mechanism", "outcome", "reason"})
    reasons: ClassVar[tuple[str, ...]] = lines.REASONS
    remedies: ClassVar[tuple[Remedy, ...]] = ()
    columns: ClassVar[str] = "Date (UTC), Request ID, Username, IP address, Status, Client app"

    def __init__(self, log: Logbook) -> None:
        self.recognised = 0
        self.log = log
        self.server = SERVER if log.options.server == DEFAULT_SERVER else log.options.server
        self._objects = Objects()
        self._records = Records()
        self._columns: Columns | None = None  # of a table
        self._day_first: bool | None = None  # in its dates
        self._first = b""  # line of the file
        self._rest = b""  # in the midst of which reading stopped before
        self._newest = 0  # of what was read before
        self._told = b""  # the open end that was reported last

    @staticmethod
    def owns(_tag: str) -> bool:
        """Entra writes to no syslog."""
        return False

    @staticmethod
    def forms(first: Sequence[bytes]) -> bool:
        """JSON with the names of a sign-in's fields; a table with at least two of its columns."""
        begin = first[0].removeprefix(BOM).lstrip()[:1]
        if begin in {b"{", b"["}:
            text = b"\n".join(first)
            return JSON.search(text) is not None and CLIENT.search(text) is not None
        return _known(first[0]) > 1

    def settle(self, sample: list[bytes], first: list[bytes]) -> int:
        """Its columns, and which number of a date is the day; time of the first sign-in."""
        begin = first[0].removeprefix(BOM) if first else b""
        self._first = begin[:HEADER_BYTES]
        if begin.lstrip()[:1] in {b"{", b"["}:
            found = re.search(rb'"createdDateTime"\s*:\s*"([^"]{1,40})"', b"\n".join(first), re.IGNORECASE)
            return self.log.clock.at(stamp_of(values.text(found[1]), None)) or 0 if found else 0
        self._table(begin)
        if self._columns is None or lines.DATE not in self._columns:
            return 0
        dates = [values.text(self._columns.of(fields(line), lines.DATE)).strip() for line in (*first[1:], *sample)]
        self._day_first = day_comes_first(dates)
        stamps = (stamp_of(date, self._day_first) for date in dates)
        return next((time for stamp in stamps if stamp and (time := self.log.clock.at(stamp))), 0)

    def _table(self, header: bytes) -> None:
        self._columns = _header(header)
        missing = [name for name in lines.NEEDED if name not in self._columns]
        if missing:
            self.refusal = translated(REFUSED).format(missing=", ".join(f'"{name}"' for name in missing))

    def feed(self, batch: bytes) -> None:
        """Read whole lines."""
        if self.refusal:
            return
        before = self.log.about
        self.recognised += 1
        if self._columns is not None or self._is_table(batch):
            self._read_rows(batch)
        else:
            self._read_objects(batch)
        self._count_lines(before, batch.count(b"\n") + (not batch.endswith(b"\n")))

    def _count_lines(self, before: int, lines: int) -> None:
        """One line may hold many sign-ins, and one sign-in may take many lines: of each kind no more than there are lines."""
        unread = self.log.changes.unread
        del unread[lines:]
        self.log.about = min(self.log.about, before + lines - len(unread))

    def _is_table(self, batch: bytes) -> bool:
        if batch.removeprefix(BOM).lstrip()[:1] in {b"{", b"["} or self._rest:
            return False
        header = batch[:HEADER_BYTES].partition(b"\n")[0]
        if _known(header) > 1:
            self._table(header)
        return self._columns is not None

    def _read_rows(self, batch: bytes) -> None:
        columns = self._columns
        assert columns is not None
        if self._rest and _known(batch[:HEADER_BYTES].partition(b"\n")[0]) < len(lines.NEEDED):
            self._records.rest = self._rest
        self._rest = b""
        for record in self._records.cut(batch):
            row = fields(record.removeprefix(BOM))
            if not record.strip() or columns.of(row, lines.DATE).strip().lower() == lines.DATE.encode():
                continue
            self._sign_in(lines.of_row(columns, row, self._day_first), record)
        for record in self._records.broken:
            self._unread("quotes that are not closed", record)
        self._records.broken.clear()

    def _read_objects(self, batch: bytes) -> None:
        if self._rest and not self._begins(batch):
            self._objects.rest = self._rest
        self._rest = b""
        for text in self._objects.cut(batch):
            found = entries(text)
            if found is None:
                self._unread("no JSON, or not the whole of it", text)
                continue
            for entry in found:
                sign_in = lines.of_entry(entry)
                if sign_in is not None:
                    self._sign_in(sign_in, text)
        for text in self._objects.broken:
            self._unread("no JSON, or not the whole of it", text)
        self._objects.broken.clear()

    def _begins(self, batch: bytes) -> bool:
        """Whether this is where a log begins, or a sign-in that needs nothing before it."""
        text = batch.removeprefix(BOM)
        if self._first and text.startswith(self._first):
            return True
        return any(lines.of_entry(entry) for entry in entries(text.partition(b"\n")[0]) or [])

    def _sign_in(self, sign_in: SignIn, text: bytes) -> None:
        if not sign_in.stamp or self.log.clock.at(sign_in.stamp) is None:
            if sign_in.by_smtp:
                self._unread("sign-in whose time cannot be read, or could be two", text)
            return
        time = self.log.time(self.server, sign_in.stamp)
        if sign_in.by_smtp and sign_in.code is None:
            self._unread("sign-in whose result is not told", text)
        elif sign_in.by_smtp:
            self.log.about += 1
            self.log.changes.put(self._row(sign_in, time))

    def _row(self, sign_in: SignIn, time: int) -> Submission:
        known = sign_in.id or f"{time} {sign_in.account} {sign_in.address} {sign_in.code}"
        key = int.from_bytes(blake2b(b"entra\0" + known.casefold().encode(), digest_size=8).digest(), "big")
        outcome = Outcome.NO_MAIL if sign_in.code == 0 else Outcome.AUTH_FAILED
        return bare(Identity(key, time), time, self.server, self.name, outcome.value)._replace(
            client_ip=values.address(sign_in.address),
            account=sign_in.account or None,
            mechanism=sign_in.mechanism,
            reason=sign_in.reason,
        )

    def _unread(self, reason: str, text: bytes) -> None:
        self.log.unread(self.name, self.server, self.log.latest(), reason, text)

    @property
    def _open(self) -> bytes:
        return self._objects.rest or self._records.rest

    def finish(self) -> None:
        """An open end is told, once: a download may have been broken off. More may come all the same."""
        rest = self._open
        if rest and rest != self._told:
            self._told = rest
            self._unread("no JSON, or not the whole of it" if self._objects.rest else "quotes that are not closed", rest)

    def read(self, lines: Sequence[Parts]) -> None:
        """There are none."""

    def repeat(self, line: Parts, times: int) -> None:
        """There are none."""

    def recall(self, remembered: Iterable[Remembered]) -> None:
        """The beginning of a sign-in in the midst of which reading stopped."""
        for entry in remembered:
            self._newest = max(self._newest, entry.newest)
            self._rest = json.loads(entry.sessions)["rest"].encode("latin-1")

    def remember(self) -> list[Remembered]:
        """Nothing but the beginning of a sign-in in the midst of which the log ends."""
        content = json.dumps({"rest": self._open.decode("latin-1")}, separators=(",", ":"))
        return [Remembered(self.name, self.server, max(self._newest, self.log.newest.get(self.server, 0)), content)]


def _header(line: bytes) -> Columns:
    return Columns.named(fields(line.removeprefix(BOM).rstrip(b"\r")[:HEADER_BYTES]))


def _known(line: bytes) -> int:
    """How many of the needed columns a header names."""
    columns = _header(line)
    return sum(name in columns for name in lines.NEEDED)
