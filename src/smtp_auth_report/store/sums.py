"""
Sums of whole local days and of blocks of 7, 28, 112 and 336 days, and which of them answer a period.

Blocks begin on a Monday, those of 336 days on every fourth, so that a year holds one wherever it begins; those of 7 days that
are not by client begin on any day, as most periods asked for do.

    SUMS, DIGESTS                              their tables
    pieces(coverage, start, end, tables)       a period as pieces, each of one table, of as few blocks as there can be

Sums are made from the rows of days that are over, where they make at least three rows into one: elsewhere the rows
themselves are as quick. Of blocks that overlap, which a row is in several of, they must make as many times three into one,
or the sums would take more room than the rows. A *sealed* block is one whose sums stand. Whoever changes rows of it unseals
it in the same transaction, and questions read what is below it again until it is sealed anew; so sums are never wrong, and
a commit has no upkeep for them. Days are those of one zone, the coverage's; a question in another zone reads rows.

Of the last day, which is not over, there are sums up to some moment; what came after it is read from rows.

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

ROWS_OF_A_DAY = 4
"""Blocks that take about as long to read as the rows of one day."""


class Piece(NamedTuple):
    """Part of a period that is read from one table: from `low` to before `high`, slots of sums, else microseconds UTC."""

    table: str
    low: int
    high: int
    every: int = 1  # of the slots there, where blocks overlap


class Sum(NamedTuple):
    """One table of sums by subject and manner. A slot is the number of the local day that a block begins with."""

    table: str
    days: int
    clients: bool  # by client too, and so kept only as long as the rows
    step: int  # days from the beginning of one block to that of the next

    @property
    def times(self) -> int:
        """In how many blocks each row is."""
        return self.days // self.step

    def slots(self, day: int) -> list[int]:
        """The blocks that a day is in, the earliest first."""
        return [begun for begun in range(day - self.days + 1, day + 1) if (begun - MONDAY) % self.step == 0]

    def piece(self, slot: int) -> Piece:
        """One block."""
        return Piece(self.table, slot, slot + self.days, self.days if self.step < self.days else 1)

    def splits_a_week(self, slot: int) -> bool:
        """Whether a block of several days holds parts of calendar weeks."""
        return self.days > 1 and (slot - MONDAY) % 7 != 0


SUMS = (
    Sum("sums_1", 1, clients=False, step=1),
    Sum("sums_7", 7, clients=False, step=1),
    Sum("sums_28", 28, clients=False, step=28),
    Sum("sums_112", 112, clients=False, step=112),
    Sum("sums_336", 336, clients=False, step=28),
    Sum("client_sums_1", 1, clients=True, step=1),
    Sum("client_sums_7", 7, clients=True, step=7),
    Sum("client_sums_28", 28, clients=True, step=28),
    Sum("client_sums_112", 112, clients=True, step=112),
    Sum("client_sums_336", 336, clients=True, step=28),
)
"""Shorter blocks before the longer ones that may be made of them."""


BY_MANNER = "by manner"
BY_DOMAIN = "by sender domain and outcome"

DIGESTS = {
    BY_MANNER: tuple(each._replace(table=f"manner_{each.table}") for each in SUMS if not each.clients),
    BY_DOMAIN: tuple(each._replace(table=f"domain_{each.table}") for each in SUMS if not each.clients),
}
"""What they tell apart -> their tables, each beside the table of sums with as many days. By domain, a subject stands for all
with its sender domain, and a manner for all with its outcome."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a store has sums of."""

    zone: str = ""
    bucket_minutes: int = 60
    first: int = 0  # time of the first row, expired ones among them, microseconds UTC
    last: int = -1  # of the last
    expired_before: int = 0  # microseconds UTC; what was before it is kept by the hour, without clients
    sealed: Mapping[str, frozenset[int]] = field(default_factory=dict)  # table -> slots
    so_far: int = 0  # microseconds UTC up to which the day that is not over is summed up; 0 where it is not
    summed: frozenset[str] = frozenset()  # tables with sums of it

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


def pieces(coverage: Coverage, start: int, end: int, tables: Sequence[Sum], *, calendar: bool = False) -> list[Piece]:
    """The period, of as few blocks as there can be; where it is to be told by the `calendar`, of none that parts a week."""
    if start >= end:
        return []
    if not tables:
        return [Piece(ROWS, start, end)]
    found = _joined(_steps(coverage, start, end, tables, calendar=calendar))
    days = {each.table for each in tables if each.days == 1}
    while len(found) > PIECES and (short := _shortest(found, days)) is not None:
        low, high = (day_start(coverage.zone, day) for day in (found[short].low, found[short].high))
        rest = found[short + 1 : short + 2]
        found[short] = Piece(ROWS, low, min([high, *(piece.low for piece in rest if piece.table == ROWS)]))
        found = _joined(found)
    return found


def _steps(coverage: Coverage, start: int, end: int, tables: Sequence[Sum], *, calendar: bool) -> Iterator[Piece]:
    """A piece for each block, and for each day or part of a day without."""
    zone, first = coverage.zone, local_day(coverage.zone, start)
    if day_start(zone, first) < start:
        first += 1
        yield Piece(ROWS, start, min(end, day_start(zone, first)))
    last = local_day(zone, end)
    for day, block in _fewest(coverage, range(first, last), tables, calendar=calendar):
        yield block.piece(day) if block else Piece(ROWS, day_start(zone, day), day_start(zone, day + 1))
    if first <= last and (begun := day_start(zone, last)) < end:
        table = next((each.table for each in tables if each.table in coverage.summed), None)
        if table and begun < coverage.so_far < end:
            yield Piece(table, last, last + 1)
            begun = coverage.so_far
        yield Piece(ROWS, begun, end)


def _fewest(coverage: Coverage, days: range, tables: Sequence[Sum], *, calendar: bool) -> Iterator[tuple[int, Sum | None]]:
    """From which day on to take which block of those that lie in these days, None where the rows of a day are to be read."""
    cost = {days.stop: 0}
    taken: dict[int, Sum | None] = {}
    for day in reversed(days):
        cost[day], taken[day] = cost[day + 1] + ROWS_OF_A_DAY, None
        for each in (each for each in tables if day in coverage.sealed[each.table] and not (calendar and each.splits_a_week(day))):
            whole = cost.get(day + each.days, cost[day]) + 1
            if whole < cost[day]:
                cost[day], taken[day] = whole, each
    day = days.start
    while day in days:
        yield day, (best := taken[day])
        day += best.days if best else 1


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
