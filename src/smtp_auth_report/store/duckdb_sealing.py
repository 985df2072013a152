"""
Sums of days that are over: made where they are missing, void once a row of them changes.

    sealing = Sealing(connection.execute)
    sealing.unseal(times)                  inside the transaction that changes rows of these times
    while sealing.seal(zone, now): ...     makes missing sums, some at a time, each in a transaction of its own
    read_coverage(execute)                 what questions may read, as of the transaction that asks

The day that is not over is summed up so far, and again each time; a row of that part voids these sums.

A block of few rows, or one whose sums would be nearly as many as its rows, is noted and passed over; digests are made of
it nevertheless (duckdb_digests.py).
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import duckdb
import numpy as np

from smtp_auth_report.moments import DAY, HOUR
from smtp_auth_report.store.dialects import DUCKDB
from smtp_auth_report.store.duckdb_digests import SO_FAR, forget_digests, forget_so_far, make_digests, make_digests_of
from smtp_auth_report.store.duckdb_forgetting import EXPIRED, expired_before
from smtp_auth_report.store.local_time import day_start, local_day
from smtp_auth_report.store.relations import measures, sources, totals
from smtp_auth_report.store.sums import BY_DOMAIN, BY_MANNER, DIGESTS, SUMS, Coverage, Sum, pieces, usable

Block = tuple[Sum, int]
Execute = Callable[..., duckdb.DuckDBPyConnection]

FEW = 50_000
"""Rows of a block that are read as quickly as its sums."""

AT_ONCE = 1_000_000
"""Rows, or sums of them, that one transaction reads; commits wait for it."""

WORTH = 3
"""Rows that all rows of sums which a row is in stand for at least, on average: of blocks that overlap there are so many."""

LATE = HOUR // 4
"""By how much a row may come after others and leave the sums of the day so far as they are."""

LONGEST = max(each.days for each in SUMS)

ZONE = "days_zone"


def read_coverage(run: Execute, bucket_minutes: int) -> Coverage:
    """What there are sums of."""
    sealed = run("SELECT sums, list(slot) FILTER (kept), list(slot) FILTER (digested) FROM sealed GROUP BY sums").fetchall()
    said = dict(run("SELECT name, value FROM meta WHERE name IN (?, ?, ?)", [ZONE, EXPIRED, SO_FAR]).fetchall())
    first, last = read_span(run) or (0, -1)
    slots = {table: frozenset(kept or ()) for table, kept, _ in sealed}
    digested = {table: frozenset(made or ()) for table, _, made in sealed}
    for each in (each for kind in DIGESTS.values() for each in kind):
        slots[each.table] = digested.get(f"sums_{each.days}", frozenset())
    so_far, *summed = said.get(SO_FAR, "0").split()
    expired = int(said.get(EXPIRED, 0))
    return Coverage(said.get(ZONE, ""), bucket_minutes, first, last, expired, slots, int(so_far), frozenset(summed))


def read_span(run: Execute) -> tuple[int, int] | None:
    """Times of the first and the last row, those that expired among them; hours of these where that is as good."""
    found = run(
        """
        SELECT epoch_us(min(first)), epoch_us(max(last)) FROM (
            SELECT min(time) AS first, max(time) AS last FROM submissions
            UNION ALL SELECT min(first_seen), max(last_seen) FROM hourly
        ) AS spans
        """
    ).fetchall()[0]
    return None if found[0] is None else (int(found[0]), int(found[1]))


def read_zone(run: Execute) -> str:
    return _settled(run)[0]


def _settled(run: Execute) -> tuple[str, int]:
    """Zone of the days that there are sums of, and the moment up to which the one that is not over is summed up."""
    said = dict(run("SELECT name, value FROM meta WHERE name IN (?, ?)", [ZONE, SO_FAR]).fetchall())
    return said.get(ZONE, ""), int(said.get(SO_FAR, "0").split()[0])


class Sealing:
    """For the one who writes."""

    def __init__(self, run: Execute, bucket_minutes: int) -> None:
        self._run = run
        self._bucket_minutes = bucket_minutes
        self._last: int | None = None  # day up to which blocks may be sealed; None while it is not known

    def unseal(self, times: Sequence[np.ndarray[Any, Any]]) -> None:
        """Sums of the days that these are in no longer stand."""
        zone, so_far = _settled(self._run)
        if not zone:
            return
        begun = day_start(zone, local_day(zone, so_far - 1))
        if any(((some >= begun) & (some < so_far)).any() for some in times):
            forget_so_far(self._run)
        if self._last is None:
            self._last = int(self._run("SELECT coalesce(max(slot), -1) + ? FROM sealed", [LONGEST]).fetchall()[0][0])
        since = day_start(zone, self._last)
        quarters = {int(quarter) for some in times for quarter in np.unique(some[some < since] // (HOUR // 4))}
        days = {local_day(zone, quarter * (HOUR // 4)) for quarter in quarters}
        if days:
            touched = sorted({(each.table, slot) for each in SUMS for day in days for slot in each.slots(day)})
            self._run("DELETE FROM sealed WHERE (sums, slot) IN (SELECT unnest($tables), unnest($slots))", _lists(touched))

    def forget(self) -> None:
        """A transaction was rolled back."""
        self._last = None

    def seal(self, zone: str, now: int) -> bool:
        """Seal what belongs together; whether there may be more."""
        coverage = partial(read_coverage, self._run, self._bucket_minutes)
        if self._make_sums(zone, now) or make_digests(self._run, coverage()):
            return True
        self._sum_so_far(coverage(), now)
        return False

    def _make_sums(self, zone: str, now: int) -> bool:
        self._last = None
        if read_zone(self._run) != zone:
            self._begin(zone)
        missing = self._missing(zone, now)
        if not missing:
            return False
        forget_so_far(self._run)
        rows = self._rows(missing)
        few = [(each.table, slot) for each, slot in missing if rows[each, slot] < FEW]
        if few:
            self._mark(few, kept=False)
        many = [block for block in missing if rows[block] >= FEW]
        done = 0
        for number, (each, slot) in enumerate(many, 1):
            self._make(each, slot)
            done += rows[each, slot] // each.days
            if done >= AT_ONCE:
                return number < len(many)
        return False

    def _begin(self, zone: str) -> None:
        """Days are those of another zone from now on."""
        for each in SUMS:
            self._run(f"DELETE FROM {each.table}")
        forget_digests(self._run)
        self._run("DELETE FROM sealed")
        self._run("INSERT OR REPLACE INTO meta VALUES (?, ?)", [ZONE, zone])

    def _missing(self, zone: str, now: int) -> list[Block]:
        """Blocks that are over and not decided on, the shortest first."""
        span = read_span(self._run)
        if span is None:
            return []
        first, last = span
        expired, over = expired_before(self._run), min(local_day(zone, last), local_day(zone, now))
        decided = set(self._run("SELECT sums, slot FROM sealed").fetchall())
        missing = []
        for each in SUMS:
            since = local_day(zone, max(first, expired) if each.clients else first)
            if each.step > 1:  # one that begins on any day gains little before the first row, where it is of fewer days
                since = each.slots(since)[0]
            if each.clients and day_start(zone, since) < expired:
                since += each.step
            slots = range(since, over - each.days + 1, each.step)
            missing += [(each, slot) for slot in slots if (each.table, slot) not in decided]
        return missing

    def _rows(self, missing: list[Block]) -> dict[Block, int]:
        """About how many rows are in each: days are counted in UTC."""
        since = min(slot for _, slot in missing)
        counted: dict[int, int] = dict(
            self._run(
                """
                SELECT day, sum(rows) FROM (
                    SELECT epoch_us(time) // $day AS day, 1 AS rows FROM submissions WHERE time >= make_timestamp($since)
                    UNION ALL SELECT epoch_us(bucket) // $day, messages FROM hourly WHERE bucket >= make_timestamp($since)
                ) AS r GROUP BY day
                """,
                {"day": DAY, "since": since * DAY},
            ).fetchall()
        )
        return {(each, slot): sum(int(counted.get(day, 0)) for day in range(slot, slot + each.days)) for each, slot in missing}

    def _make(self, each: Sum, slot: int) -> None:
        """Sum up a block that is over."""
        coverage = read_coverage(self._run, self._bucket_minutes)
        kept = self._sum_up(coverage, each, slot, day_start(coverage.zone, slot + each.days))
        self._mark([(each.table, slot)], kept=kept)

    def _sum_so_far(self, coverage: Coverage, now: int) -> None:
        """Sum up the day that is not over."""
        day = local_day(coverage.zone, min(coverage.last, now))
        begun, until = day_start(coverage.zone, day), min(coverage.last, now) // LATE * LATE - LATE
        if until == coverage.so_far:
            return
        forget_so_far(self._run)
        tables = [each.table for each in (*SUMS, *DIGESTS[BY_MANNER], *DIGESTS[BY_DOMAIN]) if each.days == 1]
        is_over = any(day in coverage.sealed.get(table, ()) for table in tables)  # where the clock, or the last row, went back
        if is_over or until <= begun or begun < coverage.expired_before:
            return
        within = "SELECT count(*) FROM submissions WHERE time >= make_timestamp(?) AND time < make_timestamp(?)"
        if self._run(within, [begun, until]).fetchall()[0][0] < FEW:
            return
        coverage = replace(coverage, so_far=0)
        not_kept = {each.table for each in SUMS if each.days == 1 and not self._sum_up(coverage, each, day, until)}
        make_digests_of(self._run, coverage, [day], until)
        tables = [table for table in tables if table not in not_kept]
        self._run("INSERT INTO meta VALUES (?, ?)", [SO_FAR, " ".join([str(until), *tables])])

    def _sum_up(self, coverage: Coverage, each: Sum, slot: int, end: int) -> bool:
        """Make sums of a block up to some moment, from shorter blocks where there are some; whether they are worth keeping."""
        start = day_start(coverage.zone, slot)
        shorter = usable(coverage.zone, coverage, clients=each.clients, longest=each.days - 1)
        keys = "subject, manner, client" if each.clients else "subject, manner"
        parts: list[str] = []
        parameters: dict[str, int] = {}
        for number, piece in enumerate(pieces(coverage, start, end, shorter)):
            for source in sources(piece, number, coverage, DUCKDB, clients=each.clients):
                parts.append(f"SELECT {keys}, {measures(source.table)} FROM {source.table} AS r WHERE {source.within}")
                parameters |= source.edges
        self._run(f"DELETE FROM {each.table} WHERE slot = ?", [slot])
        self._run(
            f"""
            CREATE OR REPLACE TEMP TABLE made AS
            SELECT {keys}, {totals()} FROM ({" UNION ALL ".join(parts)}) AS r GROUP BY {keys} ORDER BY manner, subject
            """,
            parameters,
        )
        made, rows = self._run("SELECT count(*), coalesce(sum(messages), 0) FROM made").fetchall()[0]
        kept = bool(made * WORTH * each.times <= rows)
        if kept:
            self._run(f"INSERT INTO {each.table} SELECT {slot}, * FROM made")
        return kept

    def _mark(self, blocks: list[tuple[str, int]], *, kept: bool) -> None:
        sql = "INSERT INTO sealed (sums, slot, kept) SELECT unnest($tables), unnest($slots), $kept"
        self._run(sql, _lists(blocks) | {"kept": kept})


def _lists(blocks: list[tuple[str, int]]) -> dict[str, Any]:
    return {"tables": [table for table, _ in blocks], "slots": [slot for _, slot in blocks]}
