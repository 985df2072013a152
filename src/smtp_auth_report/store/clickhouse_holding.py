"""
What ClickHouse holds that a commit may meet, read before it is decided what changes.

    held = read_held(client, commit, forgotten)      rows of the same keys at about the same time, and what is told of them
    values_of(client, SUBJECTS, numbers)             values by number
    among(numbers)                                   SQL for a set of numbers, however many there are

See also
    clickhouse_deciding.py, which takes it
"""

# ruff: noqa: S608 (SQL is put together from names and numbers of ours; values are always parameters)

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from smtp_auth_report.changes import Changes, Commit
from smtp_auth_report.store.clickhouse_client import Client, Row
from smtp_auth_report.store.clickhouse_deciding import Held, HeldRow, HeldWord, Version
from smtp_auth_report.store.dimensions import DIMENSIONS, Dimension, Values
from smtp_auth_report.store.duckdb_writing import APART

MICROS = "toUnixTimestamp64Micro({})"
INSTANT = "fromUnixTimestamp64Micro({}, 'UTC')"


class Forgotten(NamedTuple):
    """What does not come back, and how far a row reaches at most."""

    mark: str  # another one once something else was forgotten
    before: int  # microseconds UTC
    widest: int
    erased: Mapping[str, int]  # account key -> when
    latest: int = 0  # what was taken away had been written until then, in steps of half a microsecond


class Reach(NamedTuple):
    """Keys of rows, and between which moments of opening."""

    keys: np.ndarray[Any, Any]
    low: int
    high: int

    def sql(self, widest: int) -> str:
        """SQL for what is within it."""
        low, high = (INSTANT.format(moment) for moment in (self.low - APART - widest, self.high + APART))
        hours = f"toStartOfHour(opened) >= toStartOfHour({low}) AND toStartOfHour(opened) <= toStartOfHour({high})"
        return f"key IN {among(self.keys)} AND {hours} AND opened >= {low} AND opened <= {high}"


def among(numbers: Collection[int] | np.ndarray[Any, Any]) -> str:
    """SQL for a set of numbers of 64 bits."""
    array = np.asarray(numbers if isinstance(numbers, np.ndarray) else list(numbers), dtype=np.uint64)
    text = b64encode(np.unique(array).astype("<u8").tobytes()).decode("ascii")
    return f"(SELECT reinterpretAsUInt64(substring(base64Decode('{text}'), number * 8 + 1, 8)) FROM numbers({len(np.unique(array))}))"


def read_held(client: Client, commit: Commit, forgotten: Forgotten) -> tuple[Held, Reach | None]:
    """All of it, and where it was looked for."""
    words, awaited = _read_words(client, commit.changes)
    reach = reach_of(commit.changes, awaited)
    rows = read_rows(client, f"{reach.sql(forgotten.widest)} AND time >= {INSTANT.format(forgotten.before)}") if reach else []
    return Held(rows, words, awaited, forgotten.before, forgotten.erased, forgotten.widest), reach


def reach_of(changes: Changes, awaited: Iterable[tuple[int, int, int]]) -> Reach | None:
    """Where readings of a commit may meet rows."""
    identities = [*changes.rows, *changes.withdrawn, *((key, opened) for _, key, opened in awaited)]
    keys = [np.array([key for key, _ in identities], dtype=np.uint64), *(messages.numbers["key"] for messages in changes.messages)]
    opened = [
        np.array([opened for _, opened in identities], dtype=np.int64),
        *(messages.numbers["opened"] for messages in changes.messages),
    ]
    every = np.concatenate(opened)
    return Reach(np.concatenate(keys), int(every.min()), int(every.max())) if len(every) else None


def read_rows(client: Client, where: str, parameters: Mapping[str, Any] | None = None) -> list[HeldRow]:
    """Rows with their values."""
    rows = client.rows(
        f"""
        SELECT key, {MICROS.format("opened")}, spread, {MICROS.format("time")}, subject, manner, client, recipients, size,
               queue_id, message_id, writer, written
        FROM submissions WHERE {where}
        """,
        parameters,
    )
    values = _values_in(client, rows, 4)
    return [HeldRow(*(*row[:4], *found, *row[7:])) for row in rows if (found := _of_row(values, row[4:7])) is not None]


def _values_in(client: Client, rows: Collection[Row], place: int) -> list[dict[int, Values]]:
    """Values of all subjects, manners and clients of rows; their numbers begin at this place."""
    return [values_of(client, each, {row[place + number] for row in rows}) for number, each in enumerate(DIMENSIONS)]


def _of_row(values: list[dict[int, Values]], numbers: Row) -> tuple[Values, ...] | None:
    """The values of one row; None where they have just been erased, and the row with them."""
    found = tuple(each[number] for each, number in zip(values, numbers, strict=True) if number in each)
    return found if len(found) == len(numbers) else None


def values_of(client: Client, dimension: Dimension, numbers: Collection[int]) -> dict[int, Values]:
    """Values of subjects, manners or clients by number."""
    if not numbers:
        return {}
    rows = client.rows(f"SELECT id, {', '.join(dimension.values)} FROM {dimension.table} WHERE id IN {among(numbers)}")
    return {number: tuple(values) for number, *values in rows}


def read_others(client: Client, reach: Reach, widest: int, writer: int) -> set[Version]:
    """Rows of others that are there now."""
    where = f"{reach.sql(widest)} AND writer <> {writer}"
    return {Version(*row) for row in client.rows(f"SELECT key, {MICROS.format('opened')}, writer, written FROM submissions WHERE {where}")}


def _read_words(client: Client, changes: Changes) -> tuple[list[HeldWord], list[tuple[int, int, int]]]:
    """What was told of references that are awaited or told, and which rows await them."""
    references = {*changes.told, *(reference for some in changes.awaited.values() for reference in some)}
    if not references:
        return [], []
    among_them = f"reference IN {among(references)}"
    columns = f"reference, {MICROS.format('time')}, subject, manner, client, recipients, size"
    told = client.rows(f"SELECT {columns} FROM second_hand WHERE {among_them}")
    values = _values_in(client, told, 2)
    words = [HeldWord(*(*row[:2], *found, *row[5:])) for row in told if (found := _of_row(values, row[2:5])) is not None]
    rows = client.rows(f"SELECT reference, key, {MICROS.format('opened')} FROM awaited WHERE {among_them}")
    return words, [(reference, key, opened) for reference, key, opened in rows]
