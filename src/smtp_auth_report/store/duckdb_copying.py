"""
DuckDB as one end of a copy.

    end = DuckEnd(connection, "mail.duckdb")

Each day is written in a transaction of its own. Numbers of subjects, manners and clients are looked up by the hash of their
values in tables that last as long as the connection.

See also
    copying.py
"""

# ruff: noqa: S608 (SQL is put together from names of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np

from smtp_auth_report.changes import Position, Remembered
from smtp_auth_report.moments import DAY, HOUR
from smtp_auth_report.store import duckdb_notes as notes
from smtp_auth_report.store.clickhouse_numbers import number_of
from smtp_auth_report.store.copying import COPIED_FROM, HOURLY, Columns, Kept, Kind, Print
from smtp_auth_report.store.dimensions import DIMENSIONS, Dimension, Numbers, Values
from smtp_auth_report.store.packing import texts

AT_ONCE = 50_000
"""Values of a dimension that cross at a time."""

BY_COLUMN = {each.column: each for each in DIMENSIONS}

PRINTED: Mapping[Kind, str] = {
    "number": "coalesce(CAST({} AS VARCHAR), '-')",
    "time": "epoch_us({})",
    "text": "coalesce(strlen({0}), -1), coalesce({0}, '')",
    "real": "coalesce(CAST(CAST(floor({} * 1000000) AS BIGINT) AS VARCHAR), '-')",
    "subject": "{}",
    "manner": "{}",
    "client": "{}",
}
"""A value as part of what is summed up, the same in both engines."""


def printed(columns: Mapping[str, Kind], table: str) -> str:
    """SQL for 64 bits that stand for a row."""
    parts = ", ".join(PRINTED[kind].format(f"{table}.{name}") for name, kind in columns.items())
    return f"md5_number_lower(concat_ws(',', {parts}))"


SUMMED = "CAST(sum({}) % 18446744073709551616 AS UBIGINT)"
"""SQL for such numbers of many rows as one."""


class DuckEnd:
    """See `End` in copying.py."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        self.name = name
        self._run = connection.execute
        self._numbers = {each: Numbers(self._run, each) for each in DIMENSIONS}
        for each in DIMENSIONS:
            self._run(f"CREATE TEMP TABLE {_hashes(each)} (id INTEGER PRIMARY KEY, number UBIGINT NOT NULL, print UBIGINT)")
            self._run(f"CREATE TEMP TABLE {_ids(each)} (number UBIGINT PRIMARY KEY, id INTEGER NOT NULL)")

    def settled(self) -> dict[str, str]:
        return dict(self._run("SELECT name, value FROM meta").fetchall())

    def settle(self, said: Mapping[str, str]) -> None:
        for name, value in said.items():
            self._run("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, value])

    def begin(self, source: str) -> None:
        self.settle({COPIED_FROM: source})

    def end(self) -> None:
        self._run("DELETE FROM meta WHERE name = ?", [COPIED_FROM])

    # What rows have in common

    def values(self, dimension: Dimension) -> Iterator[Mapping[int, Values]]:
        cursor = self._run(f"SELECT id, {', '.join(dimension.values)} FROM {dimension.table} ORDER BY id").fetchall()
        for start in range(0, len(cursor), AT_ONCE):
            some = {number: tuple(values) for number, *values in cursor[start : start + AT_ONCE]}
            hashes = {number: number_of(dimension.table, values) for number, values in some.items()}
            self._know(dimension, list(hashes), list(hashes.values()))
            yield {hashes[number]: values for number, values in some.items()}

    def add_values(self, dimension: Dimension, values: Mapping[int, Values]) -> None:
        distinct = list(dict.fromkeys(values.values()))
        self._run("BEGIN TRANSACTION")
        number = dict(zip(distinct, self._numbers[dimension].of(distinct), strict=True))
        self._run("COMMIT")
        self._know(dimension, [number[each] for each in values.values()], list(values))

    def _know(self, dimension: Dimension, numbers: Sequence[int], hashes: Sequence[int]) -> None:
        """Which numbers stand for which hashes."""
        known = {"id": np.array(numbers, dtype=np.int32), "number": np.array(hashes, dtype=np.uint64)}
        assert known
        values = printed(dict.fromkeys(dimension.values, "text"), "d")
        self._run(
            f"INSERT OR IGNORE INTO {_hashes(dimension)} SELECT k.id, k.number, {values} FROM known AS k "
            f"JOIN {dimension.table} AS d ON d.id = k.id"
        )
        self._run(f"INSERT OR IGNORE INTO {_ids(dimension)} SELECT number, id FROM known")

    # Rows

    def prints(self, kept: Kept) -> dict[int, Print]:
        self._know_all(kept)
        day = f"epoch_us(r.{kept.by_day}) // {DAY}" if kept.by_day else "0"
        checksum = SUMMED.format(printed(kept.columns, "r"))
        sql = f"SELECT {day} AS day, count(*), {checksum} FROM ({self._rows(kept, 'print')}) AS r GROUP BY day"
        return {day: Print(rows, checksum) for day, rows, checksum in self._run(sql).fetchall()}

    def _know_all(self, kept: Kept) -> None:
        """Numbers of all that is there: whoever only compares has not read them yet."""
        for dimension in (BY_COLUMN[name] for name in kept.columns if name in BY_COLUMN):
            lacking = f"SELECT count(*) FROM {dimension.table} WHERE id NOT IN (SELECT id FROM {_hashes(dimension)})"
            if self._run(lacking).fetchall()[0][0]:
                for _ in self.values(dimension):
                    pass

    def _rows(self, kept: Kept, shown: str, where: str = "TRUE") -> str:
        """SQL for rows with one of the two numbers of their subjects, manners and clients; sums by the hour are one row each."""
        names = [f"{name}.{shown} AS {name}" if name in BY_COLUMN else f"s.{name}" for name in kept.columns]
        joins = "".join(f" JOIN {_hashes(BY_COLUMN[name])} AS {name} ON {name}.id = s.{name}" for name in kept.columns if name in BY_COLUMN)
        rows = f"SELECT {', '.join(names)} FROM {kept.table} AS s{joins} WHERE {where}"
        if kept is not HOURLY:
            return rows
        added = ", ".join(SUMMED_BY_HOUR.get(name, name) for name in kept.columns)
        return f"SELECT {added} FROM ({rows}) AS s GROUP BY bucket, subject, manner"

    def read(self, kept: Kept, days: range) -> Iterator[Columns]:
        for where in _parts(kept, days):
            times = kept.of_kind("time")
            names = (f"epoch_us(r.{name}) AS {name}" if name in times else f"r.{name}" for name in kept.columns)
            found = self._run(f"SELECT {', '.join(names)} FROM ({self._rows(kept, 'number', where)}) AS r").fetchnumpy()
            if len(found[next(iter(kept.columns))]):
                yield {name: _plain(column) for name, column in found.items()}

    def replace(self, kept: Kept, days: range, rows: Iterable[Columns]) -> None:
        self._run("BEGIN TRANSACTION")
        try:
            self._run(f"DELETE FROM {kept.table} AS s WHERE {_within(kept, days.start * DAY, days.stop * DAY)}")
            for columns in rows:
                self._add(kept, columns)
            self._run("COMMIT")
        except BaseException:
            self._run("ROLLBACK")
            raise

    def _add(self, kept: Kept, columns: Columns) -> None:
        arriving = {name: _array(kind, columns[name]) for name, kind in kept.columns.items()}
        assert arriving
        types = dict(self._run(f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{kept.table}'").fetchall())
        lists = {name: f"CAST(r.{name} AS {types[name]})" for name in kept.columns}
        lists |= {name: f"make_timestamp(r.{name})" for name in kept.of_kind("time")}
        lists |= {name: f"{name}.id" for name in kept.columns if name in BY_COLUMN}
        joins = "".join(
            f" JOIN {_ids(BY_COLUMN[name])} AS {name} ON {name}.number = r.{name}" for name in kept.columns if name in BY_COLUMN
        )
        order = f" ORDER BY r.{kept.by_day}" if kept.by_day else ""
        self._run(f"INSERT INTO {kept.table} ({', '.join(lists)}) SELECT {', '.join(lists.values())} FROM arriving AS r{joins}{order}")

    # How far logs were read

    def positions(self) -> list[Position]:
        return notes.read_positions(self._run)

    def remembered(self) -> list[Remembered]:
        return [Remembered(*row) for row in self._run("FROM remembered").fetchall()]

    def keep_reading(self, positions: list[Position], remembered: list[Remembered]) -> None:
        for table, entries in (("positions", positions), ("remembered", remembered)):
            self._run(f"DELETE FROM {table}")
            for entry in entries:
                self._run(f"INSERT INTO {table} VALUES ({', '.join('?' for _ in entry)})", list(entry))


SUMMED_BY_HOUR = {
    "messages": "sum(messages) AS messages",
    "recipients": "sum(recipients) AS recipients",
    "bytes": "sum(bytes) AS bytes",
    "first_seen": "min(first_seen) AS first_seen",
    "last_seen": "max(last_seen) AS last_seen",
}
"""A group may stand in several rows of it."""


def _hashes(dimension: Dimension) -> str:
    """The table that has the hash of each number, and what is summed up of its values."""
    return f"hash_of_{dimension.table}"


def _ids(dimension: Dimension) -> str:
    """The table that has the number of each hash; two hashes may have one."""
    return f"id_of_{dimension.table}"


def _within(kept: Kept, low: int, high: int) -> str:
    """SQL for what of rows `s` is of a time."""
    return f"s.{kept.by_day} >= make_timestamp({low}) AND s.{kept.by_day} < make_timestamp({high})" if kept.by_day else "TRUE"


def _parts(kept: Kept, days: range) -> list[str]:
    """SQL for what is read at a time: a day alone may have many rows, and is read by the hour."""
    low, high = days.start * DAY, days.stop * DAY
    width = HOUR if len(days) == 1 and kept.by_day else high - low
    return [_within(kept, begun, begun + width) for begun in range(low, high, width)]


def _plain(column: Any) -> Sequence[Any]:
    """Values, what is masked as null."""
    found: Sequence[Any] = column.tolist() if isinstance(column, np.ma.MaskedArray) else column
    return found


def _array(kind: Kind, column: Sequence[Any]) -> Any:
    """As DuckDB reads it."""
    if kind == "text":
        return texts(list(column))
    if None in column:
        return np.ma.array([value or 0 for value in column], mask=[value is None for value in column])
    return np.array(column, dtype=np.uint64 if kind in BY_COLUMN else None)
