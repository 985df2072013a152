"""
Digests of sealed days: made where they are missing.

    while make_digests(execute, coverage): ...            some days at a time, each time in a transaction of its own
    make_digests_of(execute, coverage, days, until)       of these days, the last one up to some moment
    forget_digests(execute)                               subjects were deleted: all are to be made anew

Those of days are made from the sums of the day, or from its rows; those of longer blocks from those of days.

See also
    sums.py for what they are
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import duckdb

from smtp_auth_report.moments import DAY
from smtp_auth_report.store.dialects import DUCKDB
from smtp_auth_report.store.dimensions import MANNERS, SUBJECTS
from smtp_auth_report.store.filters import Conditions
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.store.local_time import day_start
from smtp_auth_report.store.relations import MEASURES, Need, Reader, totals
from smtp_auth_report.store.sums import BY_DOMAIN, BY_MANNER, DIGESTS, SUMS, Coverage, Sum

Execute = Callable[..., duckdb.DuckDBPyConnection]

SO_FAR = "so_far"
"""Name in `meta` of the moment up to which the day that is not over is summed up, and of the tables with its sums."""

AT_ONCE = 28
"""Days that one transaction makes digests of; commits wait for it."""

STAND_INS = """
CREATE OR REPLACE TEMP TABLE domain_of AS
SELECT s.id, d.id AS stands
FROM subjects AS s
JOIN (SELECT sender_domain, min(id) AS id FROM subjects GROUP BY sender_domain) AS d
    ON d.sender_domain IS NOT DISTINCT FROM s.sender_domain;

CREATE OR REPLACE TEMP TABLE outcome_of AS
SELECT m.id, o.id AS stands
FROM manners AS m
JOIN (SELECT outcome, min(id) AS id FROM manners GROUP BY outcome) AS o ON o.outcome = m.outcome;
"""
"""SQL for which subject and manner stands for each."""


def make_digests(run: Execute, coverage: Coverage) -> bool:
    """Make some of those that are missing; whether there may be more."""
    days = _missing(run, SUMS[0])
    if days:
        for _, some in groupby(enumerate(days[:AT_ONCE]), lambda numbered: numbered[1] - numbered[0]):
            follow = [day for _, day in some]
            make_digests_of(run, coverage, follow, day_start(coverage.zone, follow[-1] + 1))
        _mark(run, SUMS[0], days[:AT_ONCE])
        return True
    for each in SUMS:
        blocks = [] if each.clients else _missing(run, each)
        if blocks:
            _make_longer(run, each.days, blocks)
            _mark(run, each, blocks)
    return False


def forget_digests(run: Execute) -> None:
    """Delete them all; they are to be made anew."""
    for each in (each for kind in DIGESTS.values() for each in kind):
        run(f"DELETE FROM {each.table}")
    run("UPDATE sealed SET digested = NULL")
    forget_so_far(run)


def forget_so_far(run: Execute) -> None:
    """Sums of the day that is not over no longer stand."""
    run("DELETE FROM meta WHERE name = ?", [SO_FAR])


def _missing(run: Execute, each: Sum) -> list[int]:
    """Slots of sealed blocks of which there are no digests yet."""
    found = run("SELECT slot FROM sealed WHERE sums = ? AND digested IS NULL ORDER BY slot", [each.table]).fetchall()
    return [slot for (slot,) in found]


def _mark(run: Execute, each: Sum, slots: Sequence[int]) -> None:
    run("UPDATE sealed SET digested = TRUE WHERE sums = ? AND slot IN (SELECT unnest(?))", [each.table, slots])


def make_digests_of(run: Execute, coverage: Coverage, days: Sequence[int], until: int) -> None:
    """Digests of days that follow each other, of rows before a moment, microseconds UTC."""
    run(STAND_INS)
    selection = Selection(day_start(coverage.zone, days[0]), until, coverage.zone)
    reader = Reader(selection, Conditions(DUCKDB), coverage)
    every = frozenset((*SUBJECTS.values, *MANNERS.values))
    read = reader.added(
        Need("facts", time="slot", dimensions=(SUBJECTS, MANNERS), measures=tuple(MEASURES), outcomes=(), columns=every), "day"
    )
    run(f"CREATE OR REPLACE TEMP TABLE day_sums AS {read.sql}", read.parameters)
    for digest, keys, joins in (
        (DIGESTS[BY_MANNER][0], "r.manner", ""),
        (DIGESTS[BY_DOMAIN][0], "d.stands, o.stands", "JOIN domain_of AS d ON d.id = r.subject JOIN outcome_of AS o ON o.id = r.manner"),
    ):
        run(f"DELETE FROM {digest.table} WHERE slot BETWEEN ? AND ?", [days[0], days[-1]])
        run(f"INSERT INTO {digest.table} SELECT slot // {DAY}, {keys}, {totals()} FROM day_sums AS r {joins} GROUP BY slot, {keys}")
    run("DROP TABLE day_sums")


def _make_longer(run: Execute, days: int, blocks: Sequence[int]) -> None:
    """Digests of blocks, from those of their days."""
    for kind, keys in ((BY_MANNER, "manner"), (BY_DOMAIN, "subject, manner")):
        daily, longer = (each.table for each in DIGESTS[kind] if each.days in (1, days))
        run(f"DELETE FROM {longer} WHERE slot IN (SELECT unnest(?))", [blocks])
        run(
            f"""
            INSERT INTO {longer}
            SELECT block, {keys}, {totals()} FROM {daily} AS r
            JOIN (SELECT unnest(?) AS block) AS blocks ON r.slot >= block AND r.slot < block + {days}
            GROUP BY block, {keys}
            """,
            [blocks],
        )
