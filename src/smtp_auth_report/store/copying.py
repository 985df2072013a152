"""
A whole store copied from one engine to another, in steps that may be stopped anywhere.

    migrated = migrate(source, target, told)       what the target lacks; `told` is called with what, done, in all
    refuse_part("mail.duckdb", settled)            whoever opens a store in which a copy was stopped is told so

Rows go by the day (UTC) on which they were opened, what has expired by the day of its hours; everything else is small and
goes whole. Of each day both ends give the number of rows and a checksum over every cell, worked out by each engine from what
it holds itself. Days that agree are done, others are written anew: so a copy that was stopped goes on where it was. When all
is written the target is asked once more, and only if every day agrees is it taken for a store.

Subjects, manners and clients have numbers of each engine's own. What crosses has the hash of their values instead, as
ClickHouse keeps it, and what is checked are the values.

What goes wrong
    StoreError: the target holds something else; the two differ when all was written, because something wrote meanwhile.

See also
    duckdb_copying.py and clickhouse_copying.py, the two ends; migrating.py, which opens them
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple, Protocol

from smtp_auth_report.changes import Position, Remembered
from smtp_auth_report.errors import StoreError
from smtp_auth_report.moments import EPOCH
from smtp_auth_report.store.dimensions import DIMENSIONS, Dimension, Values
from smtp_auth_report.words import count, worded

Kind = Literal["number", "time", "text", "real", "subject", "manner", "client"]
Columns = Mapping[str, Sequence[Any]]


class Kept(NamedTuple):
    """A table of which both engines have the same columns."""

    table: str
    columns: Mapping[str, Kind]
    by_day: str = ""  # column by which it is cut into days

    def of_kind(self, kind: Kind) -> list[str]:
        return [name for name, known in self.columns.items() if known == kind]


def _kept(table: str, by_day: str = "", **columns: Kind) -> Kept:
    return Kept(table, columns, by_day)


SUBMISSIONS = _kept(
    "submissions", "opened",
    key="number", opened="time", spread="number", time="time", subject="subject", manner="manner", client="client",
    recipients="number", size="number", queue_id="text", message_id="text",
)  # fmt: skip

HOURLY = _kept(
    "hourly", "bucket",
    bucket="time", subject="subject", manner="manner", messages="number", recipients="number", bytes="number",
    first_seen="time", last_seen="time",
)  # fmt: skip

BY_DAY = (SUBMISSIONS, HOURLY)

WHOLE = (
    _kept("accounts", account="text", spelling="text", first_seen="time", account_key="text", account_domain="text"),
    _kept(
        "second_hand",
        reference="number", time="time", subject="subject", manner="manner", client="client", recipients="number", size="number",
    ),
    _kept("awaited", reference="number", key="number", opened="time"),
    _kept("erased", account_key="text", time="number"),
    _kept("withheld", account_key="text", sealed="text", time="number"),
    _kept("gaps", server="text", time="number", reason="text", lost="number"),
    _kept("unread", source="text", server="text", reason="text", hour="number", lines="number", last="number"),
    _kept("unread_samples", source="text", server="text", reason="text", number="number", sample="text"),
    _kept("progress", source="text", server="text", newest="number", committed="number", version="text"),
    _kept(
        "streams",
        stream="text", lines="number", other="number", unread="number", rows="number", line_rate="real", row_rate="real",
        behind="number", problem="text", newest="number", committed="number",
    ),
    _kept("counted_reports", report="text", file="text", read="number"),
    _kept(
        "counted",
        report="text", line="number", sender="text", sender_domain="text", sender_key="text", messages="number",
        tls_none="real", tls_1_0="real", tls_1_1="real", tls_1_2="real", tls_1_3="real", authentication="text",
        first="number", last="number",
    ),
)  # fmt: skip

TABLES = (*BY_DAY, *WHOLE)

SETTLED = ("bucket_minutes", "expired_before", "widest_spread")
"""What both say of themselves in the table `meta`."""

COPIED_FROM = "copied_from"
"""Name in `meta` of where a copy comes from, while it lasts."""


class Print(NamedTuple):
    """How many rows there are, and a checksum of all their cells, whatever their order."""

    rows: int
    checksum: int


class End(Protocol):
    """One of the two stores, held by nobody else."""

    name: str

    def settled(self) -> dict[str, str]:
        """All that it says of itself."""

    def settle(self, said: Mapping[str, str]) -> None:
        """Say what another said of itself."""

    def begin(self, source: str) -> None:
        """Say that it holds part of a copy from there."""

    def end(self) -> None:
        """Say that it holds a whole one."""

    def values(self, dimension: Dimension) -> Iterator[Mapping[int, Values]]:
        """What rows have in common, by hash, some at a time."""

    def add_values(self, dimension: Dimension, values: Mapping[int, Values]) -> None:
        """Whatever of these it has not."""

    def prints(self, kept: Kept) -> dict[int, Print]:
        """Of each day that has rows; of a table that is not cut, of all as day 0."""

    def read(self, kept: Kept, days: range) -> Iterator[Columns]:
        """Rows of these days, times as microseconds, subjects, manners and clients as hashes."""

    def replace(self, kept: Kept, days: range, rows: Iterable[Columns]) -> None:
        """Instead of what it has of these days."""

    def positions(self) -> list[Position]: ...

    def remembered(self) -> list[Remembered]: ...

    def keep_reading(self, positions: list[Position], remembered: list[Remembered]) -> None:
        """How far logs were read, and the sessions that were open there."""


AT_ONCE = 200_000
"""Rows of several days that are written in one step; a day is never parted."""


class Difference(NamedTuple):
    """A day, or a table that is not cut into days, of which the two ends do not hold the same."""

    kept: Kept
    day: int
    here: Print
    there: Print

    def __str__(self) -> str:
        day = f" {EPOCH + timedelta(days=self.day):%Y-%m-%d}" if self.kept.by_day else ""
        numbers = worded("{n} rows instead of {expected}", n=count(self.there.rows), expected=count(self.here.rows))
        return f"{self.kept.table}{day} ({numbers})"


class Migrated(NamedTuple):
    """What a copy came to."""

    copied: int  # rows that were written now
    rows: int  # that both have
    days: int


NOTHING = Print(0, 0)

Prints = Mapping[str, Mapping[int, Print]]
Telling = Callable[[str, int, int], None]


def migrate(source: End, target: End, told: Telling) -> Migrated:
    """Copy what the target lacks, and prove that it has all."""
    _begin(source, target)
    here = _examined(source, worded("what is to be copied"), told)
    copied = _copy(source, target, here, told)
    there = _examined(target, worded("checksums"), told)
    differing = list(_differences(here, there))
    if differing:
        some = ", ".join(map(str, differing[:3]))
        raise StoreError(
            worded(
                "{target}: is not what {source} holds: {some}; see that nothing else writes to either, and run the same command again",
                target=target.name,
                source=source.name,
                some=some,
            )
        )
    target.keep_reading(source.positions(), source.remembered())
    target.end()
    return Migrated(copied, sum(each.rows for each in here[SUBMISSIONS.table].values()), len(here[SUBMISSIONS.table]))


def refuse_part(database: str, settled: Mapping[str, str]) -> None:
    """A store in which a copy was stopped answers nothing."""
    if COPIED_FROM in settled:
        raise StoreError(
            worded(
                "{database}: holds only part of {source}; run migrate {source} {database} again",
                database=database,
                source=settled[COPIED_FROM],
            )
        )


def _begin(source: End, target: End) -> None:
    """The target is empty, or holds part of this very copy."""
    refuse_part(source.name, source.settled())
    begun = target.settled().get(COPIED_FROM)
    if begun not in (None, source.name):
        raise StoreError(worded("{target}: holds part of {source} already; give an empty database", target=target.name, source=begun))
    if begun is None:
        filled = [kept.table for kept in TABLES if target.prints(kept)]
        if filled:
            raise StoreError(
                worded("{target}: is not empty ({tables}); give a database that is", target=target.name, tables=", ".join(filled))
            )
        target.begin(source.name)
    target.settle({name: value for name, value in source.settled().items() if name in SETTLED})


def _examined(end: End, what: str, told: Telling) -> Prints:
    """Of each table and day what there is."""
    found = {}
    for number, kept in enumerate(TABLES):
        told(what, number, len(TABLES))
        found[kept.table] = end.prints(kept)
    told(what, len(TABLES), len(TABLES))
    return found


def _differences(here: Prints, there: Prints) -> Iterator[Difference]:
    """The earliest day first."""
    for kept in TABLES:
        left, right = here[kept.table], there[kept.table]
        for day in sorted(left.keys() | right.keys()):
            if left.get(day) != right.get(day):
                yield Difference(kept, day, left.get(day, NOTHING), right.get(day, NOTHING))


def _copy(source: End, target: End, here: Prints, told: Telling) -> int:
    """Write what differs; how many rows."""
    for dimension in DIMENSIONS:
        for values in source.values(dimension):
            target.add_values(dimension, values)
    steps = list(_steps(_differences(here, {kept.table: target.prints(kept) for kept in TABLES})))
    every, done = sum(rows for _, _, rows in steps), 0
    told(worded("rows"), done, every)
    for kept, days, rows in steps:
        target.replace(kept, days, source.read(kept, days))
        done += rows
        told(worded("rows"), done, every)
    return sum(rows for kept, _, rows in steps if kept is SUBMISSIONS)


def _steps(differing: Iterable[Difference]) -> Iterator[tuple[Kept, range, int]]:
    """Neighbouring days of a table together, and how many rows they have."""
    days: list[int] = []
    of, rows = SUBMISSIONS, 0
    for kept, day, here, _ in differing:
        if days and (kept is not of or rows + here.rows > AT_ONCE):
            yield of, range(days[0], days[-1] + 1), rows
            days, rows = [], 0
        days, of, rows = [*days, day], kept, rows + here.rows
    if days:
        yield of, range(days[0], days[-1] + 1), rows
