"""
What DuckDB keeps beside the rows: how far reading got, sessions left open, lines not read, lines lost.

    write_notes(connection.execute, commit, now)      inside the transaction of the rows
    read_unread(execute, start, end)                  and the other questions about them
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import duckdb

from smtp_auth_report.changes import Commit, Intake, Position, Remembered, Unread, Withheld
from smtp_auth_report.moments import HOUR
from smtp_auth_report.store.filters import clean
from smtp_auth_report.store.interface import Progress, StreamState, UnreadCount
from smtp_auth_report.store.noting import SAMPLES, WITHHELD, counted_by_hour, newest_of

Execute = Callable[..., duckdb.DuckDBPyConnection]


def write_notes(run: Execute, commit: Commit, now: int) -> None:
    """Everything of a commit that is not a row."""
    _insert(
        run, "OR REPLACE INTO positions", {(position.head, position.head_size, position.options): position for position in commit.positions}
    )
    write_remembered(run, commit.remembered)
    _insert(run, "OR IGNORE INTO gaps", {(clean(gap.server), gap.time, gap.reason): gap for gap in reversed(commit.changes.gaps)})
    if commit.changes.unread:
        _write_unread(run, commit.changes.unread)
    if commit.intake is not None:
        _write_intake(run, commit.intake, now)
    if commit.withheld:
        _write_withheld(run, commit.withheld)
    if commit.learned:
        run("DELETE FROM withheld WHERE account_key IN (SELECT unnest(?))", [list(commit.learned)])
    _write_progress(run, commit, now)


def write_remembered(run: Execute, remembered: Iterable[Remembered]) -> None:
    """Instead of what was remembered before."""
    _insert(run, "OR REPLACE INTO remembered", {(each.source, clean(each.server), clean(each.stream)): each for each in remembered})


def _insert(run: Execute, into: str, entries: Mapping[object, Sequence[Any]], otherwise: str = "") -> None:
    """All at once: one by one they take milliseconds each, and who attacks decides how many there are."""
    if entries:
        columns = [list(column) for column in zip(*map(_row, entries.values()), strict=True)]
        run(f"INSERT {into} SELECT {', '.join('unnest(?)' for _ in columns)} {otherwise}", columns)


def _row(values: Iterable[Any]) -> list[Any]:
    return [clean(value) if isinstance(value, str) else value for value in values]


def _write_unread(run: Execute, unread: list[Unread]) -> None:
    hours, samples = counted_by_hour(unread)
    for hour, (number, last) in hours.items():
        run(
            "INSERT INTO unread VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (source, server, reason, hour) "
            "DO UPDATE SET lines = unread.lines + excluded.lines, last = greatest(unread.last, excluded.last)",
            [*hour, number, last],
        )
    for kind, kept in samples.items():
        there = run("SELECT count(*) FROM unread_samples WHERE source = ? AND server = ? AND reason = ?", kind).fetchall()[0][0]
        for number, sample in enumerate(kept[: SAMPLES - there], there):
            run("INSERT INTO unread_samples VALUES (?, ?, ?, ?, ?)", [*kind, number, sample])


def _write_withheld(run: Execute, withheld: list[Withheld]) -> None:
    """The newest are kept."""
    _insert(run, "OR IGNORE INTO withheld", {entry.account_key: entry for entry in reversed(withheld)})
    run(f"DELETE FROM withheld WHERE account_key NOT IN (SELECT account_key FROM withheld ORDER BY time DESC LIMIT {WITHHELD})")  # noqa: S608


def _write_intake(run: Execute, intake: Intake, now: int) -> None:
    """Numbers of lines and rows add up; the rest is how it stands."""
    run(
        """
        INSERT INTO streams VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (stream) DO UPDATE SET
            lines = streams.lines + excluded.lines, other = streams.other + excluded.other,
            unread = streams.unread + excluded.unread, rows = streams.rows + excluded.rows,
            line_rate = excluded.line_rate, row_rate = excluded.row_rate, behind = excluded.behind,
            problem = excluded.problem, newest = greatest(streams.newest, excluded.newest), committed = excluded.committed
        """,
        [*_row(intake), now],
    )


def _write_progress(run: Execute, commit: Commit, now: int) -> None:
    def known() -> Iterable[tuple[str, str]]:
        found: list[tuple[str, str]] = run("SELECT source, server FROM progress").fetchall()
        return found

    versions = commit.changes.versions
    rows: dict[object, list[Any]] = {
        (source, clean(server)): [source, server, time, now, versions.get((source, server), "")]
        for (source, server), time in newest_of(commit, known).items()
    }
    _insert(
        run, "INTO progress", rows,
        "ON CONFLICT (source, server) DO UPDATE SET newest = greatest(progress.newest, excluded.newest), "
        "committed = excluded.committed, version = coalesce(nullif(excluded.version, ''), progress.version)",
    )  # fmt: skip


def read_positions(run: Execute) -> list[Position]:
    return [Position(*row) for row in run("FROM positions ORDER BY ALL").fetchall()]


def read_remembered(run: Execute, source: str) -> list[Remembered]:
    return [Remembered(*row) for row in run("FROM remembered WHERE source = ? ORDER BY server, newest", [source]).fetchall()]


def read_progress(run: Execute) -> list[Progress]:
    return [Progress(*row) for row in run("FROM progress ORDER BY source, server").fetchall()]


def read_withheld(run: Execute) -> list[Withheld]:
    return [Withheld(*row) for row in run("FROM withheld ORDER BY time").fetchall()]


def read_streams(run: Execute) -> list[StreamState]:
    return [StreamState(*row) for row in run("FROM streams ORDER BY stream").fetchall()]


def read_gaps(run: Execute, start: int, end: int) -> int:
    return int(run("SELECT count(*) FROM gaps WHERE time >= ? AND time < ?", [start, end]).fetchall()[0][0])


def read_unread(run: Execute, start: int | None, end: int | None) -> list[UnreadCount]:
    """Unread lines of the hours that the period touches, most first."""
    rows = run(
        """
        SELECT source, server, reason, sum(lines), max(last) FROM unread
        WHERE hour > coalesce($start, hour) - $hour AND ($end IS NULL OR hour < $end)
        GROUP BY source, server, reason ORDER BY sum(lines) DESC, source, server, reason
        """,
        {"start": start, "end": end, "hour": HOUR},
    ).fetchall()
    samples: dict[tuple[str, str, str], list[str]] = {}
    for source, server, reason, sample in run("SELECT source, server, reason, sample FROM unread_samples ORDER BY number").fetchall():
        samples.setdefault((source, server, reason), []).append(sample)
    return [
        UnreadCount(source, server, reason, int(lines), last, samples.get((source, server, reason), []))
        for source, server, reason, lines, last in rows
    ]
