"""
What DuckDB forgets: raw rows that have grown old, and accounts that are erased.

    expire(connection.execute, before, minutes)   rows older than that go, their sums by the hour stay
    erase(connection.execute, account, key, now)  one account goes, from rows and sums
    Forgotten.read(execute)                       tells of incoming rows which were forgotten before

Neither comes back when its log is read again: the moment up to which rows have expired is kept, and so is the key of an
erased account with the time of the erasure, which is the trace that it was done. Clients are kept as long as a row
names them.
"""

# ruff: noqa: S608 (SQL is put together from names of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import duckdb
import numpy as np

from smtp_auth_report.changes import Messages, Remembered
from smtp_auth_report.moments import SECOND
from smtp_auth_report.store import duckdb_told as told
from smtp_auth_report.store.duckdb_counted import erase_counted
from smtp_auth_report.store.duckdb_digests import forget_digests, forget_so_far
from smtp_auth_report.store.duckdb_notes import write_remembered
from smtp_auth_report.store.local_time import day_start
from smtp_auth_report.store.sums import HOURLY, ROWS, SUMS
from smtp_auth_report.submission import Submission

Execute = Callable[..., duckdb.DuckDBPyConnection]
EXPIRED = "expired_before"
NAMED_NOWHERE = "id NOT IN (SELECT client FROM submissions UNION ALL SELECT client FROM second_hand)"


def expire(run: Execute, before: int, bucket_minutes: int, zone: str) -> int:
    """Keep rows of times before this by the hour only; how many."""
    rows = _number(run, "SELECT count(*) FROM submissions WHERE time < make_timestamp(?)", before)
    told.forget(run, before)
    if rows:
        width = bucket_minutes * 60 * SECOND
        run(
            f"""
            INSERT INTO hourly
            SELECT make_timestamp(epoch_us(time) - epoch_us(time) % {width}) AS bucket, subject, manner, count(*),
                   coalesce(sum(recipients), 0), coalesce(sum(size), 0), min(time), max(time)
            FROM submissions WHERE time < make_timestamp(?) GROUP BY bucket, subject, manner ORDER BY bucket, subject
            """,
            [before],
        )
        run("DELETE FROM submissions WHERE time < make_timestamp(?)", [before])
        told.forget(run)
        forget_so_far(run)
    _forget_clients(run, before, zone)
    run("INSERT OR REPLACE INTO meta VALUES (?, ?)", [EXPIRED, str(max(before, expired_before(run)))])
    return rows


def _forget_clients(run: Execute, before: int, zone: str) -> None:
    """Whatever no row names any more: clients, with sums by client of blocks that began before, and keys without a name."""
    for each in (each for each in SUMS if each.clients and zone):
        slots = run(f"SELECT DISTINCT slot FROM {each.table}").fetchall()
        for slot in (slot for (slot,) in slots if day_start(zone, slot) < before):
            run(f"DELETE FROM {each.table} WHERE slot = ?", [slot])
            run("DELETE FROM sealed WHERE sums = ? AND slot = ?", [each.table, slot])
    run(f"DELETE FROM clients WHERE {NAMED_NOWHERE}")
    run(
        "UPDATE subjects SET account_key = NULL "
        "WHERE account IS NULL AND account_key IS NOT NULL AND id NOT IN (SELECT subject FROM submissions)"
    )


def expired_before(run: Execute) -> int:
    """Microseconds UTC up to which rows have expired; 0 while none has."""
    found = run("SELECT value FROM meta WHERE name = ?", [EXPIRED]).fetchone()
    return int(found[0]) if found else 0


def erase(run: Execute, account: str, key: str, now: int, remembered: Iterable[Remembered]) -> int:
    """Delete the rows and sums of an account, failed attempts with its name among them; how many rows."""
    write_remembered(run, remembered)
    folded = account.casefold()
    numbers = [row[0] for row in run("SELECT id FROM subjects WHERE account = ? OR account_key = ?", [folded, key]).fetchall()]
    rows = 0
    if numbers:
        rows = int(run("SELECT count(*) FROM submissions WHERE subject IN (SELECT unnest(?))", [numbers]).fetchall()[0][0])
        for table in (ROWS, HOURLY, "second_hand", *(each.table for each in SUMS)):
            run(f"DELETE FROM {table} WHERE subject IN (SELECT unnest(?))", [numbers])
        forget_digests(run)
        run("DELETE FROM subjects WHERE id IN (SELECT unnest(?))", [numbers])
        told.forget(run)
        run(f"DELETE FROM clients WHERE {NAMED_NOWHERE}")
    run("DELETE FROM accounts WHERE account = ?", [folded])
    run("DELETE FROM withheld WHERE account_key = ?", [key])
    erase_counted(run, account, key)
    run("INSERT OR REPLACE INTO erased VALUES (?, ?)", [key, now])
    return rows


class Forgotten(NamedTuple):
    """What does not come back."""

    before: int  # microseconds UTC
    erased: Mapping[str, int]  # account key -> when

    @classmethod
    def read(cls, run: Execute) -> Forgotten:
        """As it stands in this transaction."""
        return cls(expired_before(run), dict(run("SELECT account_key, time FROM erased").fetchall()))

    def kept(self, rows: list[Submission]) -> list[Submission]:
        """Rows that have not been forgotten."""
        if not self.before and not self.erased:
            return rows
        return [row for row in rows if row.time >= self.before and row.time > self.erased.get(row.account_key or "", 0)]

    def kept_messages(self, messages: Messages, keys: Mapping[str, str]) -> Messages:
        """Messages that have not been forgotten; `keys` are those of accounts."""
        if not self.before and not self.erased:
            return messages
        erased = np.array([self.erased.get(keys.get(account, ""), 0) for account, _ in messages.parties], dtype=np.int64)
        time = messages.numbers["time"]
        return messages.where((time >= self.before) & (time > erased[messages.numbers["party"]]))


def _number(run: Execute, sql: str, *parameters: int | str) -> int:
    return int(run(sql, list(parameters)).fetchall()[0][0])
