"""
ClickHouse as one end of a copy.

    end = ClickEnd(client, ReadingState(path, store), now())

What is written replaces what was there of the same keys, so that a day that was written in part may be written again.
Everything that is copied has one writer of its own.

See also
    copying.py
"""

# ruff: noqa: S608 (SQL is put together from names of ours; values are always parameters)

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from smtp_auth_report.changes import Position, Remembered
from smtp_auth_report.moments import DAY
from smtp_auth_report.store.clickhouse_client import Client, listed
from smtp_auth_report.store.clickhouse_numbers import codes_of, number_of
from smtp_auth_report.store.clickhouse_opening import LATEST, settled
from smtp_auth_report.store.clickhouse_writing import register
from smtp_auth_report.store.copying import COPIED_FROM, Columns, Kept, Kind, Print
from smtp_auth_report.store.dialects import CLICKHOUSE
from smtp_auth_report.store.dimensions import DIMENSIONS, Dimension, Values
from smtp_auth_report.store.duckdb_told import VALUES
from smtp_auth_report.store.noting import SAMPLES
from smtp_auth_report.store.reading_state import ReadingState

COPIED = number_of("writer", ("copied",))
"""Who writes what is copied."""

BY_COLUMN = {each.column: each for each in DIMENSIONS}

RISING = ("expired_before", "widest_spread")
"""What only rises, of all that is settled."""

WITH_WRITER = ("submissions", "unread", "unread_samples", "progress", "streams")

PRINTED: Mapping[Kind, str] = {
    "number": "ifNull(toString({}), '-')",
    "time": "toUnixTimestamp64Micro({})",
    "text": "ifNull(toInt64(length({0})), -1), ifNull({0}, '')",
    "real": "ifNull(toString(toInt64(floor({} * 1000000))), '-')",
    "subject": "{}",
    "manner": "{}",
    "client": "{}",
}
"""A value as part of what is summed up, the same in both engines."""

ADDED_UP = {
    "unread": """
        SELECT source, server, reason, hour, sum(lines) AS lines, max(last) AS last FROM unread GROUP BY source, server, reason, hour
    """,
    "unread_samples": f"""
        SELECT source, server, reason, place AS number, sample FROM (
            SELECT source, server, reason, sample,
                   toInt32(row_number() OVER (PARTITION BY source, server, reason ORDER BY number, writer) - 1) AS place
            FROM unread_samples
        ) AS s WHERE place < {SAMPLES}
    """,
    "progress": """
        SELECT source, server, max(newest) AS newest, max(committed) AS committed, argMaxIf(version, committed, version <> '') AS version
        FROM progress GROUP BY source, server
    """,
    "streams": """
        SELECT stream, sum(lines) AS lines, sum(other) AS other, sum(unread) AS unread, sum(rows) AS rows,
               argMax(line_rate, committed) AS line_rate, argMax(row_rate, committed) AS row_rate, argMax(behind, committed) AS behind,
               argMax(problem, committed) AS problem, max(newest) AS newest, max(committed) AS committed
        FROM streams GROUP BY stream
    """,
}
"""Tables of which each writer has rows of its own -> SQL for them as one."""


def printed(columns: Mapping[str, Kind], table: str) -> str:
    """SQL for 64 bits that stand for a row."""
    parts = ", ".join(PRINTED[kind].format(f"{table}.{name}") for name, kind in columns.items())
    return f"reinterpretAsUInt64(substring(MD5(concatWithSeparator(',', {parts})), 9, 8))"


class ClickEnd:
    """See `End` in copying.py."""

    def __init__(self, client: Client, state: ReadingState, now: int) -> None:
        self.name = client.place.name
        self._client = client
        self._state = state
        self._written = 2 * now

    def settled(self) -> dict[str, str]:
        return settled(self._client.rows)

    def settle(self, said: Mapping[str, str]) -> None:
        for name, value in said.items():
            self._say(name, value, int(value) if name in RISING else LATEST)

    def begin(self, source: str) -> None:
        self._say(COPIED_FROM, source, self._written)
        register(self._client, COPIED, socket.gethostname(), self._written // 2)

    def end(self) -> None:
        self._say(COPIED_FROM, "", self._written + 1, gone=1)

    def _say(self, name: str, value: str, written: int, gone: int = 0) -> None:
        self._client.insert("meta", {"name": [name], "value": [value], "written": [written], "gone": [gone]})

    # What rows have in common

    def values(self, dimension: Dimension) -> Iterator[Mapping[int, Values]]:
        for batch in self._client.batches(f"SELECT id, {', '.join(dimension.values)} FROM {dimension.table}"):
            yield {number: tuple(values) for number, *values in batch}

    def add_values(self, dimension: Dimension, values: Mapping[int, Values]) -> None:
        columns: dict[str, Sequence[Any]] = {"id": list(values)}
        columns |= dict(zip(dimension.values, zip(*values.values(), strict=True), strict=True))
        codes = [codes_of(dimension, each) for each in values.values()]
        columns |= dict(zip((code for code, _ in dimension.codes), zip(*codes, strict=True), strict=True))
        self._insert(dimension.table, columns)

    def _insert(self, table: str, columns: Columns) -> None:
        rows = len(next(iter(columns.values())))
        whole = dict(columns)
        whole["written"] = [LATEST - time for time in columns["first_seen"]] if table == "accounts" else [self._written] * rows
        whole["gone"] = [0] * rows
        if table in WITH_WRITER:
            whole["writer"] = [COPIED] * rows
        if table == "second_hand":
            told = zip(*(listed(columns[name]) for name in VALUES), strict=True)
            whole["reading"] = [number_of(table, (None if value is None else str(value) for value in each)) for each in told]
        self._client.insert(table, whole)

    # Rows

    def prints(self, kept: Kept) -> dict[int, Print]:
        day = f"intDiv({CLICKHOUSE.micros.format(f'r.{kept.by_day}')}, {DAY})" if kept.by_day else "0"
        sql = f"SELECT {day} AS day, count(), sum({printed(kept.columns, 'r')}) FROM ({_rows(kept)}) AS r GROUP BY day"
        return {day: Print(rows, checksum) for day, rows, checksum in self._client.rows(sql)}

    def read(self, kept: Kept, days: range) -> Iterator[Columns]:
        times = kept.of_kind("time")
        names = (f"{CLICKHOUSE.micros.format(f'r.{name}')} AS {name}" if name in times else f"r.{name}" for name in kept.columns)
        yield from self._client.arrays(f"SELECT {', '.join(names)} FROM ({_source(kept)}) AS r WHERE {_within(kept, days)}")

    def replace(self, kept: Kept, days: range, rows: Iterable[Columns]) -> None:
        for columns in rows:
            self._insert(kept.table, columns)
        if kept.table != "accounts":
            self._forget_others(kept, days)

    def _forget_others(self, kept: Kept, days: range) -> None:
        """What was there of an earlier copy and is not part of this one."""
        ours = " AND r.writer = $writer" if kept.table in WITH_WRITER else ""
        earlier = f"FROM {kept.table} AS r WHERE {_within(kept, days)} AND r.written < $written{ours}"
        written = {"written": self._written, "writer": COPIED}
        if not self._client.rows(f"SELECT count() {earlier}", written)[0][0]:
            return
        names = self._client.rows(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = $table", {"table": kept.table}
        )
        lists = {name: f"r.{name}" for (name,) in names} | {"written": "r.written + 1", "gone": "1"}
        self._client.run(f"INSERT INTO {kept.table} ({', '.join(lists)}) SELECT {', '.join(lists.values())} {earlier}", written)

    # How far logs were read

    def positions(self) -> list[Position]:
        return self._state.positions()

    def remembered(self) -> list[Remembered]:
        return self._state.every_remembered()

    def keep_reading(self, positions: list[Position], remembered: list[Remembered]) -> None:
        with self._state.committing(self._written // 2) as step:
            step.keep_positions(positions)
            step.keep_remembered(remembered)


def _source(kept: Kept) -> str:
    """SQL for the rows of a table, whoever wrote them."""
    return ADDED_UP.get(kept.table, f"SELECT {', '.join(kept.columns)} FROM {kept.table}")


def _rows(kept: Kept) -> str:
    """The same with what is summed up of subjects, manners and clients instead of their numbers."""
    names = [f"{name}.print AS {name}" if name in BY_COLUMN else f"s.{name} AS {name}" for name in kept.columns]
    joins = "".join(
        f" JOIN (SELECT id, {printed(dict.fromkeys(BY_COLUMN[name].values, 'text'), 'd')} AS print FROM {BY_COLUMN[name].table} AS d) "
        f"AS {name} ON {name}.id = s.{name}"
        for name in kept.columns
        if name in BY_COLUMN
    )
    return f"SELECT {', '.join(names)} FROM ({_source(kept)}) AS s{joins}"


def _within(kept: Kept, days: range) -> str:
    """SQL for what of rows `r` is of these days."""
    if not kept.by_day:
        return "1 = 1"
    low, high = (CLICKHOUSE.instant.format(edge) for edge in (days.start * DAY, days.stop * DAY))
    return f"r.{kept.by_day} >= {low} AND r.{kept.by_day} < {high}"
