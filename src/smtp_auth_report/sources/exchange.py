"""
Exchange Server 2010 to SE: submissions from SMTP Receive protocol logs, sizes from message tracking.

    2026-11-23T16:06:05.102Z,EX1\\Client Frontend EX1,08DE2A7B4C5D6E7F,0,10.0.0.5:587,192.0.2.10:50100,+,,
    2026-11-23T16:06:05.301Z,EX1\\Client Frontend EX1,08DE2A7B4C5D6E7F,9,10.0.0.5:587,192.0.2.10:50100,<,AUTH LOGIN,
    2026-11-23T16:06:05.377Z,EX1\\Client Frontend EX1,08DE2A7B4C5D6E7F,13,10.0.0.5:587,192.0.2.10:50100,*,CONTOSO\\anna,authenticated

A log is a table with its columns named in `#Fields:`. A file may go on where reading stopped before, behind its header:
columns are then those of the file before, else those that Exchange 2013 and later write.

Most rows are about mail between servers. Whole sessions in which nobody tried to sign in are passed over by compiled code
(exchange_scan.pyx), and so is what tracking tells of mail that came in (exchange_receipts.pyx). Sessions that went as most do
are read in one go (exchange_whole.pyx). All are read to the same result where there is none.

What goes wrong
    Unread: a record whose quotes are not closed; a row of a session that has too few fields, or no number or stamp.

See also
    csv_log.py for records; exchange_lines.py for rows; exchange_sessions.py for what belongs together; exchange_tracking.py
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from smtp_auth_report.changes import Remembered
from smtp_auth_report.sources import exchange_lines as lines
from smtp_auth_report.sources import values
from smtp_auth_report.sources.csv_log import BOM, LONGEST_RECORD, Columns, Records, fields
from smtp_auth_report.sources.exchange_lines import Kind, Outline, Row
from smtp_auth_report.sources.exchange_sessions import Sessions, server_of
from smtp_auth_report.sources.exchange_tracking import RECEIVED, told
from smtp_auth_report.sources.interface import Batch, Remedy, Source
from smtp_auth_report.submission import Submission
from smtp_auth_report.words import translated

if TYPE_CHECKING:
    from smtp_auth_report.sources.logbook import Logbook

try:
    from smtp_auth_report.sources.exchange_receipts import receipts
    from smtp_auth_report.sources.exchange_scan import Found
    from smtp_auth_report.sources.exchange_whole import Whole

    COMPILED = True
except ImportError:  # installed without a compiler: every row is read
    COMPILED = False

WORTH_SIFTING = 1 << 14
"""Bytes of a batch from which on compiled code pays."""

SHELL = "the Exchange Management Shell, for each connector on which clients sign in; it is in force at once"
FRONT_END = 'Set-ReceiveConnector "SERVER\\Client Frontend SERVER" -ProtocolLoggingLevel Verbose'
BEHIND_IT = 'Set-ReceiveConnector "SERVER\\Client Proxy SERVER" -ProtocolLoggingLevel Verbose'


class Seen(NamedTuple):
    """What compiled code saw in the rows of a batch."""

    kind: Kind | None  # that they were taken for
    columns: tuple[str, ...]
    found: Found | list[bytes] | None  # sessions, or receipts; None where each row is to be read


class ExchangeSource(Source):
    """Reads one log, of one or more servers."""

    name: ClassVar[str] = "exchange"
    title: ClassVar[str] = "Microsoft Exchange Server"
    versions: ClassVar[str] = "2010 to SE"
    sample: ClassVar[str] = (
        "2026-11-23T16:06:05.377Z,EX1\\Client Frontend EX1,08DE2A7B4C5D6E7F,16,10.0.0.5:587,192.0.2.10:50100,*,CONTOSO\\anna,authenticated"
    )
    tells: ClassVar[frozenset[str]] = frozenset(Submission._fields) - {"client_name"}
    reasons: ClassVar[tuple[str, ...]] = lines.REASONS
    views: ClassVar[bool] = True
    remedies: ClassVar[tuple[Remedy, ...]] = (
        Remedy("sessions", FRONT_END, SHELL, "who signs in, with which TLS version and mechanism, and from which address"),
        Remedy(
            "messages",
            BEHIND_IT,
            "the Exchange Management Shell; then read Hub\\ProtocolLog\\SmtpReceive too",
            "what signed-in clients send",
        ),
        Remedy(
            "account", FRONT_END, "the Exchange Management Shell; then read FrontEnd\\ProtocolLog\\SmtpReceive too", "who sent each message"
        ),
        Remedy(
            "tls_version",
            FRONT_END,
            "the Exchange Management Shell; then read FrontEnd\\ProtocolLog\\SmtpReceive too",
            "TLS of each client",
        ),
    )

    def __init__(self, log: Logbook) -> None:
        self.recognised = 0
        self.log = log
        self.kind: Kind | None = None
        self._records = Records()
        self._rest = b""  # of a record in the midst of which reading stopped before
        self._columns = {Kind.PROTOCOL: Columns(lines.PROTOCOL_COLUMNS), Kind.TRACKING: Columns(lines.TRACKING_COLUMNS)}
        self._sessions = Sessions(lambda: log.changes)
        self._whole: Whole | None = None
        self._recalled: dict[str, int] = {}  # server -> time of its newest row

    @staticmethod
    def owns(_tag: str) -> bool:
        """Exchange writes to no syslog."""
        return False

    @staticmethod
    def forms(first: Sequence[bytes]) -> bool:
        """By the header of a log, of which more may be to come, or by rows that go on behind one."""
        return first[0].removeprefix(BOM).startswith(lines.SOFTWARE) or lines.kind_of(list(first)) is not None

    def settle(self, _sample: list[bytes], first: list[bytes]) -> int:
        """Its kind and columns; time of the first row."""
        self._be(lines.kind_of(first))
        for line in first:
            self._header(line)
        stamps = (line.partition(b",")[0] for line in first)
        return next((time for time in map(self.log.clock.at, filter(lines.STAMP.match, stamps)) if time), 0)

    def _be(self, kind: Kind | None) -> None:
        self.kind = kind
        self.refusal = translated(lines.REFUSED.get(kind, "")) if kind else ""

    def _header(self, line: bytes) -> None:
        line = line.removeprefix(BOM).rstrip()
        title, header = lines.TITLE.fullmatch(line), lines.HEADER.match(line)
        if title:
            self._be(lines.kind_of([line]) or self.kind)
            self.recognised += not self.refusal  # a file in which nothing was logged yet
        if header and self.kind in self._columns:
            self._columns[self.kind] = Columns.named(fields(header[1]))

    def look_ahead(self, batch: Batch) -> object:
        """Rows that may matter, by what is known of the columns before those ahead of this batch are read."""
        return self._seen(_behind_headers(batch))

    def feed(self, batch: bytes) -> None:
        """Read whole lines."""
        self.feed_seen(batch, None)

    def feed_seen(self, batch: Batch, seen: object) -> None:
        """Read whole lines, with what looking ahead gave."""
        if self.kind is None:
            self._be(lines.kind_of(bytes(batch[: 1 << 16]).split(b"\n")))
        if self._rest and not lines.BEGINNING.match(batch):
            self._records.rest = self._rest
        self._rest = b""
        records = None
        if not self._records.rest:
            rows = _behind_headers(batch)
            for line in bytes(batch[: len(batch) - len(rows)]).split(b"\n"):
                self._header(line)
            batch, records = rows, self._sifted(rows, seen)
        self._read(self._records.cut(bytes(batch)) if records is None else records)
        self._come_to_end(batch)
        for line in self._records.broken:
            self._unread("quotes that are not closed", line)
        self._records.broken.clear()

    def _sifted(self, rows: Batch, seen: object) -> Sequence[Row | bytes | Outline] | None:
        """Rows that may matter, where they can be told without reading them all."""
        if not isinstance(seen, Seen) or (seen.kind, seen.columns) != (self.kind, self._names):
            seen = self._seen(rows)
        if isinstance(seen.found, list) or seen.found is None:
            return seen.found
        if self._whole is None:
            self._whole = Whole(lines.read_context, lines.is_proxy)
        return seen.found.rows({session.encode() for session in self._sessions.ids()}, self.log.clock.hour, self._whole)

    def _seen(self, rows: Batch) -> Seen:
        found: Found | list[bytes] | None = None
        kind, names = self.kind, self._names
        if COMPILED and len(rows) >= WORTH_SIFTING:
            if kind is Kind.PROTOCOL and names == lines.PROTOCOL_COLUMNS:
                sessions = Found(rows)
                found = sessions if sessions.plain else None
            elif kind is Kind.TRACKING and self._tells_receipt:
                columns = self._columns[kind]
                if columns.place("date-time") == 0:
                    found = receipts(rows, columns.place("server-hostname"), columns.place("directionality"))
        return Seen(kind, names, found)

    @property
    def _names(self) -> tuple[str, ...]:
        return self._columns[self.kind].names if self.kind in self._columns else ()

    @property
    def _tells_receipt(self) -> bool:
        """Whether the columns of RECEIVED stand side by side."""
        return ("source", "event-id") in pairwise(self._columns[Kind.TRACKING].names)

    def _read(self, records: Iterable[Row | bytes | Outline]) -> None:
        rows: dict[str, list[Row]] = defaultdict(list)
        outlines: dict[str, Outline] = {}
        for record in records:
            if isinstance(record, Row):
                self.log.come_to(server_of(record.connector), record.time)
                rows[record.session].append(record)
            elif isinstance(record, Outline):
                self.log.come_to(server_of(record.connector), record.last)
                outlines[record.session], rows[record.session] = record, []
            elif record.startswith(b"#"):
                self._header(record)
            elif self.kind is Kind.PROTOCOL:
                row = self._row(record)
                if row is not None:
                    rows[row.session].append(row)
            elif self.kind is Kind.TRACKING:
                self._track(record)
        for name, of_session in rows.items():
            if name in outlines:
                self._sessions.take_whole(outlines[name])
                self.log.about += outlines[name].rows
            else:
                self._sessions.take(sorted(of_session, key=attrgetter("number")))
                self.log.about += len(of_session)
        self.recognised += len(rows)

    def _row(self, record: bytes) -> Row | None:
        stamp, connector, session, number, *rest = self._columns[Kind.PROTOCOL].in_order(fields(record), lines.PROTOCOL_COLUMNS)
        if not lines.SESSION.match(session) or not number.isdigit() or len(number) > 9 or self.log.clock.at(stamp) is None:
            if record:
                self._unread("row not understood", record)
            return None
        name, server = _connector(connector)
        return Row(self.log.time(server, stamp), name, session.decode("ascii"), int(number), *rest)

    def _track(self, record: bytes) -> None:
        if RECEIVED not in record and self._tells_receipt:
            return
        columns = self._columns[Kind.TRACKING]
        record_fields = fields(record)
        stamp = columns.of(record_fields, "date-time")
        if self.log.clock.at(stamp) is None:
            return
        server = values.text(columns.of(record_fields, "server-hostname"))
        found = told(columns, record_fields, server, self.log.time(server, stamp))
        self.log.changes.told |= found
        self.log.about += bool(found)

    def _come_to_end(self, batch: Batch) -> None:
        """Time has come as far as the last row."""
        if self.kind not in self._columns:
            return
        last = fields(bytes(batch[-LONGEST_RECORD:]).rstrip().rpartition(b"\n")[2])
        columns = self._columns[self.kind]
        if self.log.clock.at(columns.of(last, "date-time")) is None:
            return
        self.recognised += 1
        name = "connector-id" if self.kind is Kind.PROTOCOL else "server-hostname"
        _, server = _connector(columns.of(last, name))
        self.log.time(server, columns.of(last, "date-time"))

    def _unread(self, reason: str, record: bytes) -> None:
        server = next(iter(self.log.newest), self.log.options.server)
        self.log.unread(self.name, server, self.log.latest(), reason, record)

    def sweep(self, now: int) -> None:
        """Give up sessions that nothing was heard of for a day."""
        self._sessions.sweep(now)

    def finish(self) -> None:
        """Sessions of which an end was read first find together."""
        self._sessions.settle()

    def recall(self, remembered: Iterable[Remembered]) -> None:
        """Sessions of other files go on whatever their order: their ids are never used twice."""
        for entry in remembered:
            self._recalled[entry.server] = entry.newest
            content = json.loads(entry.sessions)
            self._rest = self._rest or content["rest"].encode("latin-1")
            self._sessions.load(content)

    def remember(self) -> list[Remembered]:
        """Sessions that may go on, by server."""
        kept = self._sessions.dump()
        rest = self._records.rest.decode("latin-1")
        entries = []
        for server in kept.keys() | self.log.newest.keys() | self._recalled.keys():
            newest = max(self.log.newest.get(server, 0), self._recalled.get(server, 0))
            content = kept.get(server, {"open": [], "parts": []}) | {"rest": rest}
            entries.append(Remembered(self.name, server, newest, json.dumps(content, separators=(",", ":"))))
        return entries


@lru_cache(maxsize=4096)
def _connector(raw: bytes) -> tuple[str, str]:
    """Its name, and the server's."""
    name = values.text(raw)
    return name, server_of(name)


def _behind_headers(batch: Batch) -> Batch:
    header = lines.HEADERS.match(batch)
    assert header, "it may be empty"
    return batch[header.end() :]
