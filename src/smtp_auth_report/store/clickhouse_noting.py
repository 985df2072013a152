"""
What ClickHouse keeps beside the rows: lines not read, lines lost, how reading goes, names that wait, counted reports.

    write_notes(client, commit, step, writer, now, erased)     after the rows

Each host keeps rows of its own, with all that it has counted so far; how much that is stands in the state of the host
(reading_state.py), so that a commit that is written twice counts once, however it was cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smtp_auth_report.changes import Commit, Counted, Gap
from smtp_auth_report.store.clickhouse_client import Client
from smtp_auth_report.store.filters import clean
from smtp_auth_report.store.noting import SAMPLES, counted_by_hour, newest_of
from smtp_auth_report.store.reading_state import Step


def write_notes(client: Client, commit: Commit, step: Step, writer: int, now: int, erased: Mapping[str, int]) -> None:
    """Everything of a commit that is not a row."""
    notes = _Notes(client, step.later(), writer)
    changes = commit.changes
    notes.insert("gaps", Gap._fields, {(clean(gap.server), gap.time, gap.reason): gap for gap in reversed(changes.gaps)}.values())
    if changes.unread:
        _write_unread(notes, step, commit)
    if commit.intake is not None:
        lines, other, unread, rows, newest = step.add_intake(commit.intake)
        told = commit.intake._replace(lines=lines, other=other, unread=unread, rows=rows, newest=newest)
        notes.insert_own("streams", (*told._fields, "committed"), [(*told, now)])
    _write_withheld(client, notes, commit)
    progress = []
    for (source, server), time in newest_of(commit, step.kinds).items():
        newest, version = step.add_progress(source, clean(server), time, changes.versions.get((source, server), ""))
        progress.append((source, server, newest, now, version))
    notes.insert_own("progress", ("source", "server", "newest", "committed", "version"), progress)
    if changes.counted:
        _write_counted(notes, commit, now, erased)


def _write_unread(notes: _Notes, step: Step, commit: Commit) -> None:
    hours, samples = counted_by_hour(commit.changes.unread)
    lines = [(*hour, *step.add_unread(hour, number, last)) for hour, (number, last) in hours.items()]
    notes.insert_own("unread", ("source", "server", "reason", "hour", "lines", "last"), lines)
    kept = [
        (*kind, number, sample)
        for kind, some in samples.items()
        for number, sample in zip(step.add_samples(kind, len(some), SAMPLES), some, strict=False)
    ]
    notes.insert_own("unread_samples", ("source", "server", "reason", "number", "sample"), kept)


def _write_withheld(client: Client, notes: _Notes, commit: Commit) -> None:
    """A name waits from when it was first tried until it is learned."""
    sql = "SELECT account_key, sealed, time, written FROM withheld WHERE account_key IN $keys"
    fresh = {entry.account_key: entry for entry in reversed(commit.withheld)}
    known = {row[0] for row in client.rows(sql, {"keys": list(fresh)})} if fresh else set()
    notes.insert("withheld", ("account_key", "sealed", "time"), [entry for key, entry in fresh.items() if key not in known])
    if commit.learned:
        learned = client.rows(sql, {"keys": list(commit.learned)})
        gone = {"account_key": [], "sealed": [], "time": [], "written": [], "gone": []} | dict[str, list[Any]]()
        for key, _, time, written in learned:
            for name, value in zip(gone, (key, "", time, written + 1, 1), strict=True):
                gone[name].append(value)
        if learned:
            client.insert("withheld", gone)


def _write_counted(notes: _Notes, commit: Commit, now: int, erased: Mapping[str, int]) -> None:
    """Senders that were erased do not come back, but for times that are known to be later."""
    counted = commit.changes.counted
    kept = [row for row in counted if row.sender_key not in erased or (row.first or 0) > erased[row.sender_key]]
    notes.insert("counted_reports", ("report", "file", "read"), [(report, commit.file, now) for report in {row.report for row in counted}])
    notes.insert("counted", Counted._fields, kept)


class _Notes:
    """Inserts of one commit."""

    def __init__(self, client: Client, written: int, writer: int) -> None:
        self._client = client
        self._written = written
        self._writer = writer

    def insert(self, table: str, names: Sequence[str], rows: Any) -> None:
        """Rows of a table that all hosts share."""
        cleaned = [[clean(value) if isinstance(value, str) else value for value in row] for row in rows]
        if cleaned:
            columns = dict(zip(names, map(list, zip(*cleaned, strict=True)), strict=True))
            self._client.insert(table, {**columns, "written": [self._written] * len(cleaned), "gone": [0] * len(cleaned)})

    def insert_own(self, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Rows that this host has for itself."""
        self.insert(table, (*names, "writer"), [(*row, self._writer) for row in rows])
