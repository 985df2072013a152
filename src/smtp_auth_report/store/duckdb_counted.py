"""
Reports that somebody else counted, as DuckDB keeps them: beside the rows, and in no sum of them.

    write_counted(execute, commit, erased, now)     reading a report twice keeps it once
    read_reports(execute, scope)                    which there are, the newest first
    read_counted(execute, report, limit, scope)     the rows of one, most messages first
    erase_counted(execute, account, key)            the rows of one sender
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import duckdb

from smtp_auth_report.changes import Commit, Counted
from smtp_auth_report.store.filters import clean
from smtp_auth_report.store.interface import CountedReport

Execute = Callable[..., duckdb.DuckDBPyConnection]

IN_SCOPE = "($scope IS NULL OR sender_domain IN (SELECT unnest($scope)))"


def write_counted(run: Execute, commit: Commit, erased: Mapping[str, int], now: int) -> None:
    """Senders that were erased do not come back, but for times that are known to be later."""
    kept = [row for row in commit.changes.counted if row.sender_key not in erased or (row.first or 0) > erased[row.sender_key]]
    for report in {row.report for row in commit.changes.counted}:
        run("INSERT OR REPLACE INTO counted_reports VALUES (?, ?, ?)", [report, clean(commit.file), now])
    if kept:
        columns = [[clean(value) if isinstance(value, str) else value for value in column] for column in zip(*kept, strict=True)]
        run("CREATE OR REPLACE TEMP TABLE counting AS FROM counted LIMIT 0")
        run(f"INSERT INTO counting SELECT {', '.join('unnest(?)' for _ in columns)}", columns)
        run("DELETE FROM counted USING counting AS c WHERE counted.report = c.report AND counted.line = c.line")
        run("INSERT INTO counted FROM counting")


def erase_counted(run: Execute, account: str, key: str) -> None:
    """Whether the account is what a report calls a sender is not known; its address is the same."""
    run("DELETE FROM counted WHERE sender_key = ? OR lower(sender) = ?", [key, account.casefold()])


def read_reports(run: Execute, scope: frozenset[str] | None) -> list[CountedReport]:
    rows = run(
        f"""
        SELECT report, file, read, min(first), max(last), count(*), coalesce(sum(messages), 0)
        FROM counted_reports JOIN counted USING (report) WHERE {IN_SCOPE}
        GROUP BY report, file, read ORDER BY read DESC, report
        """,  # noqa: S608 - words of ours
        {"scope": None if scope is None else sorted(scope)},
    ).fetchall()
    return [CountedReport(*(*row[:6], int(row[6]))) for row in rows]


def read_counted(run: Execute, report: str, limit: int, scope: frozenset[str] | None) -> list[Counted]:
    rows = run(
        f"FROM counted WHERE report = $report AND {IN_SCOPE} ORDER BY messages DESC, sender, line LIMIT $limit",
        {"report": report, "limit": limit, "scope": None if scope is None else sorted(scope)},
    ).fetchall()
    return [Counted(*row) for row in rows]
