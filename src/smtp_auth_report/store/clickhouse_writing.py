"""
One commit to ClickHouse, which has no transactions: whoever stops in between reads the same lines again, and writes the same.

    writer = ClickWriter(clients, state, place, bucket_minutes=60, display_zone="UTC", default_domain=None, clock=clock)
    applied = writer.apply(commit)

What ClickHouse holds of the same events is read, the writer of DuckDB decides what changes (clickhouse_deciding.py), and
that is inserted: first subjects, manners and clients, then rows, with what they replace in the same insert, then names, then
notes. How far reading got is kept last, in a file of this host (reading_state.py).

Other hosts may do so at the same time. Each has rows of its own, and takes away only versions of rows that it has seen; so
nothing is lost, and of one event there may be two rows for a moment. Whoever writes looks afterwards whether others wrote
readings of the same events, and then puts them together: of two who write at once, the one who looks last sees both.
A host that is alone, as the table `writers` says, need not look.

See also
    clickhouse_holding.py, what is read; clickhouse_noting.py, what is no row; clickhouse_forgetting.py
"""

# ruff: noqa: S608 (SQL is put together from names and numbers of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from smtp_auth_report.changes import Applied, Commit, Remembered
from smtp_auth_report.errors import StoreError
from smtp_auth_report.store import clickhouse_forgetting as forgetting
from smtp_auth_report.store.clickhouse_client import Client, Clients, listed
from smtp_auth_report.store.clickhouse_deciding import Deciding, Decision, Met, Version
from smtp_auth_report.store.clickhouse_holding import Forgotten, Reach, among, read_held, read_others
from smtp_auth_report.store.clickhouse_naming import keep_accounts, name_subjects
from smtp_auth_report.store.clickhouse_noting import write_notes
from smtp_auth_report.store.clickhouse_numbers import codes_of, number_of
from smtp_auth_report.store.dimensions import DIMENSIONS, SUBJECTS, Dimension, Values
from smtp_auth_report.store.duckdb_writing import WIDEST
from smtp_auth_report.store.local_time import day_start, local_day
from smtp_auth_report.store.merging import STORED
from smtp_auth_report.store.packing import Arrays
from smtp_auth_report.store.reading_state import ReadingState, Step
from smtp_auth_report.words import worded

ROUNDS = 20
"""How often others may come between before that is an error."""

GONE = {"spread": 0, "time": 0, "subject": 0, "manner": 0, "client": 0}
"""What is written of a row that is gone, so that nothing of it stays."""


class ClickWriter:
    """Applies commits, one at a time."""

    def __init__(
        self,
        clients: Clients,
        state: ReadingState,
        *,
        bucket_minutes: int,
        display_zone: str,
        default_domain: str | None,
        clock: Callable[[], int],
        memory_limit: str = "",
    ) -> None:
        self._clients = clients
        self._state = state
        self._bucket_minutes = bucket_minutes
        self._display_zone = display_zone
        self._default_domain = default_domain
        self._clock = clock
        self._new_deciding = partial(Deciding, default_domain, memory_limit)
        self._deciding: Deciding | None = None
        self._forgotten = Forgotten("unknown", 0, 0, {})

    def close(self) -> None:
        if self._deciding is not None:
            self._deciding.close()
            self._deciding = None

    def apply(self, commit: Commit) -> Applied:
        """Write it all; what is left half is written again by who reads the same lines again."""
        try:  # no other process of this host commits meanwhile
            with self._state.committing(self._clock()) as step, self._clients.client() as client:
                return _Applying(self, client, step, commit).apply()
        except BaseException:
            self.close()  # nothing that was remembered of the store is certain
            raise

    def expire(self, before: int) -> int:
        """See `Store`. Rows go by whole days; commits go on meanwhile."""
        before = day_start(self._display_zone, local_day(self._display_zone, before))
        before -= before % (self._bucket_minutes * 60_000_000)
        with self._state.committing(self._clock()) as step:
            numbers = step.apart()
        with self._clients.client() as client:
            return forgetting.expire(client, before, self._bucket_minutes, numbers)

    def erase(self, account: str, key: str, remembered: Iterable[Remembered]) -> int:
        """See `Store`; commits go on meanwhile."""
        with self._state.committing(self._clock()) as step:
            step.keep_remembered(remembered)
            numbers = step.apart()
        with self._clients.client() as client:
            return forgetting.erase(client, account, key, self._clock(), numbers)

    def deciding(self, forgotten: Forgotten) -> Deciding:
        """What decides."""
        if self._deciding is not None and self._deciding.is_full:
            self.close()
        if self._deciding is None:
            self._deciding = self._new_deciding()
        self.notice(self._deciding, forgotten)
        return self._deciding

    def notice(self, deciding: Deciding, forgotten: Forgotten) -> None:
        """Let nothing be remembered that was forgotten since."""
        if forgotten.mark != self._forgotten.mark:
            deciding.forget()
        self._forgotten = forgotten

    @property
    def forgotten(self) -> Forgotten:
        """As of the last look."""
        return self._forgotten

    @property
    def writer(self) -> int:
        return self._state.writer

    @property
    def default_domain(self) -> str | None:
        return self._default_domain

    @property
    def clock(self) -> Callable[[], int]:
        return self._clock


class _Applying:
    """One commit on its way."""

    def __init__(self, writer: ClickWriter, client: Client, step: Step, commit: Commit) -> None:
        self._writer = writer
        self._client = client
        self._step = step
        self._commit = commit

    def apply(self) -> Applied:
        commit, client, step = self._commit, self._client, self._step
        forgotten = forgetting.read_forgotten(client, self._writer.forgotten)
        step.after(forgotten.latest)
        deciding = self._writer.deciding(forgotten)
        accounts: dict[str, Met] = {}
        applied: Applied | None = None
        for _ in range(ROUNDS):
            held, reach = read_held(client, commit, forgotten)
            decision = deciding.decide(commit, held)
            applied = applied or decision.applied
            accounts |= decision.accounts
            self._write(deciding, decision, forgotten)
            name_subjects(client, commit.learned, self._writer.default_domain, step.later())
            keep_accounts(client, accounts)
            others = {row.version for row in held.rows if row.writer != self._writer.writer} - set(decision.stale)
            before, (forgotten, again) = forgotten, self._look(deciding, decision, forgotten, reach, others)
            if forgotten.mark != before.mark:
                accounts.clear()  # of those that still signed in it is decided again
            if not again:
                break
            # What was to go has gone, and the rows of this commit stand now
            commit = replace(commit, changes=replace(commit.changes, withdrawn=set()))
        else:
            raise StoreError(worded("{place}: others write the same rows all the time; try again later", place=client.place.name))
        write_notes(client, commit, step, self._writer.writer, self._writer.clock(), forgotten.erased)
        step.keep_positions(commit.positions)
        step.keep_remembered(commit.remembered)
        return applied

    def _write(self, deciding: Deciding, decision: Decision, forgotten: Forgotten) -> None:
        client, written = self._client, self._step.later()
        if decision.widest > forgotten.widest:
            client.insert("meta", {"name": [WIDEST], "value": [str(decision.widest)], "written": [decision.widest], "gone": [0]})
        for each in DIMENSIONS:
            self._write_values(deciding, each, deciding.values(decision, each), written)
        if decision.heard is not None and len(decision.heard["reference"]):
            self._write_words(decision.heard, written)
        if decision.awaited is not None and len(decision.awaited["reference"]):
            self._insert("awaited", decision.awaited, written)
        rows = _rows(decision.rows, decision.stale, self._writer.writer, written)
        if rows["key"]:
            client.insert("submissions", rows)

    def _write_values(self, deciding: Deciding, dimension: Dimension, values: Mapping[int, Values], written: int) -> None:
        """Values by number. A subject without a name that is there already may have one by now, and keeps it."""
        fresh = dict(values)
        if dimension is SUBJECTS:
            unnamed = [number for number, each in fresh.items() if each[0] is None and each[2] is not None]
            for number, account, key in self._named(unnamed):
                if account is not None or key is not None:
                    del fresh[number]
        if fresh:
            columns = dict(zip(dimension.values, map(list, zip(*fresh.values(), strict=True)), strict=True))
            codes = zip(*(codes_of(dimension, each) for each in fresh.values()), strict=True)
            columns |= dict(zip((code for code, _ in dimension.codes), map(list, codes), strict=True))
            self._insert(dimension.table, {"id": list(fresh)} | columns, written)
        deciding.keep(dimension, values)

    def _named(self, numbers: Collection[int]) -> list[tuple[Any, ...]]:
        return self._client.rows(f"SELECT id, account, account_key FROM subjects WHERE id IN {among(numbers)}") if numbers else []

    def _write_words(self, heard: Arrays, written: int) -> None:
        columns = {name: listed(values) for name, values in heard.items()}
        told = zip(*(columns[name] for name in columns if name != "reference"), strict=True)
        reading = [number_of("second_hand", (None if value is None else str(value) for value in each)) for each in told]
        self._insert("second_hand", columns | {"reading": reading}, written)

    def _insert(self, table: str, columns: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]], written: int) -> None:
        number = len(next(iter(columns.values())))
        self._client.insert(table, {**columns, "written": [written] * number, "gone": [0] * number})

    def _look(
        self, deciding: Deciding, decision: Decision, before: Forgotten, reach: Reach | None, seen: set[Version]
    ) -> tuple[Forgotten, bool]:
        """What others did meanwhile; whether it is to be decided again."""
        client, writer = self._client, self._writer
        forgotten = forgetting.read_forgotten(client, before)
        if forgotten.mark != before.mark:
            self._step.after(forgotten.latest)
            writer.notice(deciding, forgotten)
            for each in DIMENSIONS:
                self._write_values(deciding, each, deciding.values(decision, each), self._step.later())
            forgetting.erase_rows(client, self._step, forgotten.erased.keys() - before.erased.keys(), forgotten.erased)
            return forgotten, True
        if reach is None or not client.rows(f"SELECT 1 FROM writers WHERE writer <> {writer.writer} LIMIT 1"):
            return forgotten, False
        return forgotten, decision.tells or not read_others(client, reach, forgotten.widest, writer.writer) <= seen


def _rows(rows: Arrays | None, stale: Sequence[Version], writer: int, written: int) -> dict[str, list[Any]]:
    """Rows that come, and those that go, but for versions that a row replaces anyway."""
    columns = {name: listed(rows[name]) if rows is not None else [] for name in STORED}
    number = len(columns["key"])
    replaced = set(zip(columns["key"], columns["opened"], strict=True)) if stale else set()
    gone = [row for row in stale if row.writer != writer or (row.key, row.opened) not in replaced]
    for name, values in columns.items():
        values += [getattr(row, name) if name in ("key", "opened") else GONE.get(name) for row in gone]
    columns["writer"] = [writer] * number + [row.writer for row in gone]
    columns["written"] = [written] * number + [row.written + 1 for row in gone]
    columns["gone"] = [0] * number + [1] * len(gone)
    return columns


def register(client: Client, writer: int, host: str, now: int) -> None:
    """Say that this host may write, before it reads anything."""
    known = client.rows("SELECT host FROM writers WHERE writer = $writer", {"writer": writer})
    if known != [(host,)]:
        client.insert("writers", {"writer": [writer], "host": [host], "written": [2 * now], "gone": [0]})
