"""
A source as tests use it: log text in, rows out, without a store.

    rows = read(log("postfix/smtpd[1]: connect from ..."))      lines of one log, a second apart
    rows = read(text, feeds=[100, 200])                          the same bytes in three batches
    reader, changes = run(text)                                  what else a log brings about

Names of the parts of a session: `session()` gives the lines of one message sent after signing in, each part stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from smtp_auth_report.changes import Changes
from smtp_auth_report.sources import SOURCES, LogReader, Options
from smtp_auth_report.submission import Submission

START = datetime(2026, 11, 23, 16, 6, 5, tzinfo=UTC)
NOW = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp()) * 1_000_000
ANNA = "anna.berg@contoso.example"
PC = "pc.contoso.example[192.0.2.10]"
CIPHER = "ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)"


def log(*lines: str, start: datetime = START, host: str = "mail") -> bytes:
    """Lines `tag[pid]: text` as a file of RFC 3164 lines, one a second."""
    stamped = (f"{start + timedelta(seconds=place):%b %d %H:%M:%S} {host} {line}\n" for place, line in enumerate(lines))
    return "".join(stamped).encode("utf-8", "surrogateescape")


def session(
    account: str = ANNA,
    *,
    smtpd: str = "postfix/submission/smtpd[701]",
    queue_id: str = "4F1A022C8A9",
    version: str | None = "TLSv1.2",
    mechanism: str = "PLAIN",
    client: str = PC,
    sender: str = "a.berg@contoso.example",
    counters: str = " ehlo=2 starttls=1 auth=1 mail=1 rcpt=2 data=1 quit=1 commands=9",
    middle: Sequence[str] = (),
) -> list[str]:
    """Lines of one signed-in session with one message of 1253 bytes to two recipients."""
    instance = smtpd.partition("/")[0]
    encrypted = [f"{smtpd}: Anonymous TLS connection established from {client}: {version} with cipher {CIPHER}"] if version else []
    return [
        f"{smtpd}: connect from {client}",
        *encrypted,
        f"{smtpd}: {queue_id}: client={client}, sasl_method={mechanism}, sasl_username={account}",
        f"{instance}/cleanup[802]: {queue_id}: message-id=<one@contoso.example>",
        *middle,
        f"{instance}/qmgr[803]: {queue_id}: from=<{sender}>, size=1253, nrcpt=2 (queue active)",
        f"{smtpd}: disconnect from {client}{counters}",
        f"{instance}/qmgr[803]: {queue_id}: removed",
    ]


def options(**stated: Any) -> Options:
    """How most tests read: in UTC, in the year of the sample."""
    return Options(**{"zone": ZoneInfo("UTC"), "zone_given": True, "year": 2026, "now": NOW, "reference": NOW} | stated)


def reader(**stated: Any) -> LogReader:
    """For one log, of any kind."""
    return LogReader(SOURCES, options(**stated))


def run(text: bytes, feeds: Iterable[int] = (), source: LogReader | None = None, **stated: Any) -> tuple[LogReader, Changes]:
    """Read a whole text, cut into batches at these bytes."""
    source = source or reader(**stated)
    changes = Changes()
    begin = 0
    for end in (*feeds, len(text)):
        changes.take(source.feed(text[begin:end]))
        begin = end
    changes.take(source.finish())
    return source, changes


def survives(text: bytes) -> Changes:
    """Read any bytes as a file is read; what holds whatever they are."""
    source = reader()
    source.settle(text.splitlines()[:10], text)
    changes = run(text, source=source)[1]
    source.remember()
    assert 0 <= changes.other <= changes.lines
    return changes


def read(text: bytes, feeds: Iterable[int] = (), source: LogReader | None = None, **stated: Any) -> list[Submission]:
    """Rows in the order of their time."""
    return in_order(rows_of(run(text, feeds, source, **stated)[1]))


def rows_of(changes: Changes) -> list[Submission]:
    """Rows, and those that came as columns."""
    return [*changes.rows.values(), *(row for messages in changes.messages for row in messages.rows())]


def in_order(rows: Iterable[Submission]) -> list[Submission]:
    return sorted(rows, key=lambda row: (row.time, row.key))


def line_ends(text: bytes) -> list[int]:
    """Where a text can be cut into whole lines."""
    return [place + 1 for place, byte in enumerate(text[:-1]) if byte == 10]
