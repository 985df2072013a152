"""
Sums of whole local days and of blocks of 7, 28 and 112 days, and which of them answer a period.

    SUMS, DIGESTS                              their tables
    pieces(coverage, start, end, tables)       a period as pieces, each of one table

Sums are made from the rows of days that are over, where they make at least three rows into one: elsewhere the rows
themselves are as quick. A *sealed* block is one whose sums stand. Whoever changes rows of it unseals it in the same
transaction, and questions read what is below it again until it is sealed anew; so sums are never wrong, and a commit
has no upkeep for them. Days are those of one zone, the coverage's; a question in another zone reads rows.

*Digests* are sums that tell less apart, and so are few however many accounts there are: by manner alone, and by sender
domain and outcome alone. Most charts need no more. There are digests of every sealed day.

See also
    duckdb_sealing.py and duckdb_digests.py, which make them; relations.py, which reads them
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from smtp_auth_report.moments import SECOND
from smtp_auth_report.store.local_time import day_start, local_day

ROWS = "submissions"
HOURLY = "hourly"
MONDAY = 4  # 1970-01-05, as a day's number
PIECES = 16
"""Parts of a query at most; more would take longer to plan than to run."""


class Sum(NamedTuple):
    """One table of sums by subject and manner. A slot is the number of the local day that a block begins with."""

    table: str
    days: int
    clients: bool  # by client too, and so kept only as long as the rows

    def slot(self, day: int) -> int:
        """The block that a day is in; all begin on a Monday, but for single days."""
        return day - (day - MONDAY) % self.days


SUMS = (
    Sum("sums_1", 1, False),
    Sum("sums_7", 7, False),
    Sum("sums_28", 28, False),
    Sum("sums_112", 112, False),
    Sum("client_sums_7", 7, True),
    Sum("client_sums_28", 28, True),
    Sum("client_sums_112", 112, True),
)
"""Shorter blocks before the longer ones that may be made of them."""


BY_MANNER = "by manner"
BY_DOMAIN = "by sender domain and outcome"

LENGTHS = tuple(each.days for each in SUMS if not each.clients)

DIGESTS = {
    BY_MANNER: tuple(Sum(f"manner_sums_{days}", days, False) for days in LENGTHS),
    BY_DOMAIN: tuple(Sum(f"domain_sums_{days}", days, False) for days in LENGTHS),
}
"""What they tell apart -> their tables, each beside the table of sums with as many days. By domain, a subject stands for all
with its sender domain, and a manner for all with its outcome."""


class Piece(NamedTuple):
    """Part of a period that is read from one table: from `low` to before `high`, slots of sums, else microseconds UTC."""

    table: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a store has sums of."""

    zone: str = ""
    bucket_minutes: int = 60
    first: int = 0  # time of the first row, expired ones among them, microseconds UTC
    last: int = -1  # of the last
    expired_before: int = 0  # microseconds UTC; what was before it is kept by the hour, without clients
    sealed: Mapping[str, frozenset[int]] = field(default_factory=dict)  # table -> slots

    @property
    def since(self) -> int:
        """Start of the hour that the first row is in: expired rows are kept by the hour."""
        return self.first - self.first % (self.bucket_minutes * 60 * SECOND)


def usable(zone: str, coverage: Coverage, *, clients: bool, longest: int, digest: str = "") -> list[Sum]:
    """Tables that a question in this zone may read, longest blocks first, and the digest asked for before other sums."""
    if zone != coverage.zone:
        return []
    there = [*DIGESTS.get(digest, ()), *(each for each in SUMS if each.clients == clients)]
    return sorted((each for each in there if each.days <= longest and coverage.sealed.get(each.table)), key=lambda each: -each.days)


def pieces(coverage: Coverage, start: int, end: int, tables: Sequence[Sum]) -> list[Piece]:
    """The period, of blocks as long as there are."""
    if start >= end:
        return []
    if not tables:
        return [Piece(ROWS, start, end)]
    found = _joined(_steps(coverage, start, end, tables))
    days = {each.table for each in tables if each.days == 1}
    while len(found) > PIECES and (short := _shortest(found, days)) is not None:
        low, high = (day_start(coverage.zone, day) for day in found[short][1:])
        found[short] = Piece(ROWS, low, high)
        found = _joined(found)
    return found


def _steps(coverage: Coverage, start: int, end: int, tables: Sequence[Sum]) -> Iterator[Piece]:
    """A piece for each block, and for each day or part of a day without."""
    zone, time = coverage.zone, start
    while time < end:
        day = local_day(zone, time)
        whole = day_start(zone, day) == time
        fitting = (each for each in tables if whole and day in coverage.sealed[each.table] and day_start(zone, day + each.days) <= end)
        block = next(fitting, None)
        later = min(end, day_start(zone, day + (block.days if block else 1)))
        yield Piece(block.table, day, day + block.days) if block else Piece(ROWS, time, later)
        time = later


def _joined(steps: Iterator[Piece] | list[Piece]) -> list[Piece]:
    """Neighbours of one table as one piece."""
    found: list[Piece] = []
    for step in steps:
        if found and found[-1].table == step.table and found[-1].high == step.low:
            found[-1] = found[-1]._replace(high=step.high)
        else:
            found.append(step)
    return found


def _shortest(found: list[Piece], days: set[str]) -> int | None:
    """The shortest stretch of days that has sums: that, as at a site that is idle at weekends, rather than more parts."""
    lengths = [(piece.high - piece.low, place) for place, piece in enumerate(found) if piece.table in days]
    return min(lengths)[1] if lengths else None
