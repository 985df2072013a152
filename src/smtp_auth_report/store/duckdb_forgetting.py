"""
What DuckDB forgets: raw rows that have grown old, and accounts that are erased.

    expire(connection.execute, before)            rows older than that go, their sums stay
    erase(connection.execute, account, key, now)  one account goes, from rows and sums
    kept(execute, rows)                           of incoming rows, those that were not forgotten before

Neither comes back when its log is read again: the moment up to which rows have expired is kept, and so is the key of an
erased account with the time of the erasure, which is the trace that it was done.
"""

from __future__ import annotations

from collections.abc import Callable

import duckdb

from smtp_auth_report.submission import Submission

Execute = Callable[..., duckdb.DuckDBPyConnection]
EXPIRED = "expired_before"


def expire(run: Execute, before: int) -> int:
    """Delete rows of times before this; how many."""
    rows = _number(run, "SELECT count(*) FROM submissions WHERE time < make_timestamp(?)", before)
    if rows:
        run("DELETE FROM submissions WHERE time < make_timestamp(?)", [before])
    run("INSERT OR REPLACE INTO meta VALUES (?, ?)", [EXPIRED, str(max(before, expired_before(run)))])
    return rows


def expired_before(run: Execute) -> int:
    """Microseconds UTC up to which rows have expired; 0 while none has."""
    found = run("SELECT value FROM meta WHERE name = ?", [EXPIRED]).fetchone()
    return int(found[0]) if found else 0


def erase(run: Execute, account: str, key: str, now: int) -> int:
    """Delete the rows and sums of an account, failed attempts with its name among them; how many rows."""
    folded = account.casefold()
    rows = _number(run, "SELECT count(*) FROM submissions WHERE account = ? OR account_key = ?", folded, key)
    run("DELETE FROM submissions WHERE account = ? OR account_key = ?", [folded, key])
    run("DELETE FROM hourly WHERE account = ?", [folded])
    run("DELETE FROM accounts WHERE account = ?", [folded])
    run("DELETE FROM withheld WHERE account_key = ?", [key])
    run("INSERT OR REPLACE INTO erased VALUES (?, ?)", [key, now])
    return rows


def kept(run: Execute, rows: list[Submission]) -> list[Submission]:
    """Rows that have not been forgotten."""
    before = expired_before(run)
    erased: dict[str, int] = dict(run("SELECT account_key, time FROM erased").fetchall())
    if not before and not erased:
        return rows
    return [row for row in rows if row.time >= before and row.time > erased.get(row.account_key or "", 0)]


def _number(run: Execute, sql: str, *parameters: int | str) -> int:
    return int(run(sql, list(parameters)).fetchall()[0][0])
