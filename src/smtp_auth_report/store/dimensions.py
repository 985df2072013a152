"""
What rows have in common, kept once: who sent, how it went, from where.

    SUBJECTS    account, its domain and key, sender, its domain
    MANNERS     server, service, source, mechanism, TLS, outcome, reason
    CLIENTS     address, name, HELO

A row of `submissions`, and of every table of sums, names each by a number. Two numbers may stand for the same values:
a failed sign-in that was named later is one. Whoever compares, compares values; whoever groups, groups by values.

Numbers of values that are often told apart stand beside them: of two subjects the same `account_id` says that they have
the same account. An engine groups by numbers in half the time that texts take. Such a number is the id of one that has
the value, or had it.

    numbers.of(values)             numbers for distinct values, new ones where the store has none yet
    spelled.of(values)             the same for the values of many rows, as logs spell them
    number_alike(execute, SUBJECTS)     after values were changed
    logical("incoming", columns)   SQL for rows with their values instead of numbers

See also
    relations.py for what questions see of them
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import duckdb
import numpy as np

from smtp_auth_report.store.packing import texts

Execute = Callable[..., duckdb.DuckDBPyConnection]
Values = tuple[str | None, ...]

REMEMBERED = 200_000
"""Spellings whose numbers are remembered; that many take some 60 MB."""


class Dimension(NamedTuple):
    """One table of values with their numbers."""

    table: str
    column: str  # of rows, that holds the number
    values: tuple[str, ...]
    codes: tuple[tuple[str, tuple[str, ...]], ...] = ()  # columns with a number, and the values that it stands for

    @property
    def columns(self) -> tuple[str, ...]:
        """What a question may name."""
        return (self.column, *self.values, *(code for code, _ in self.codes))


SUBJECTS = Dimension(
    "subjects",
    "subject",
    ("account", "account_domain", "account_key", "sender", "sender_domain"),
    (("account_id", ("account",)), ("sender_id", ("account", "sender")), ("domain_id", ("sender_domain",))),
)
MANNERS = Dimension(
    "manners",
    "manner",
    ("server", "service", "source", "mechanism", "tls_version", "tls_cipher", "outcome", "reason"),
    (("way_id", ("service", "tls_version", "mechanism")),),
)
CLIENTS = Dimension("clients", "client", ("client_ip", "client_name", "helo"), (("address_id", ("client_ip",)),))
DIMENSIONS = (SUBJECTS, MANNERS, CLIENTS)

JOINS = " ".join(f"JOIN {each.table} ON {each.table}.id = r.{each.column}" for each in DIMENSIONS)
"""From rows `r` to their values."""

HOME = {name: each.table for each in DIMENSIONS for name in each.values}
"""Column -> the table that has it."""


def logical(rows: str, columns: Sequence[str]) -> str:
    """SQL for rows with these columns, whether they stand in the rows or in a dimension."""
    names = ", ".join(f"{HOME.get(name, 'r')}.{name}" for name in columns)
    return f"SELECT {names} FROM {rows} AS r {JOINS}"


def number_alike(run: Execute, dimension: Dimension) -> None:
    """Give the same number to all that have the same values, and none to those that have none."""
    lowest = ", ".join(f"{_unless_null(of, f'min(id) OVER (PARTITION BY {_list(of)})')} AS {code}" for code, of in dimension.codes)
    found = ", ".join(f"{code} = found.{code}" for code, _ in dimension.codes)
    run(f"UPDATE {dimension.table} SET {found} FROM (SELECT id AS of, {lowest} FROM {dimension.table}) AS found WHERE id = found.of")


def _list(names: Sequence[str], table: str = "") -> str:
    return ", ".join(f"{table}{name}" for name in names)


def _unless_null(values: Sequence[str], sql: str) -> str:
    """A single value that is null has no number: what is counted is counted as the values would be."""
    return f"CASE WHEN {values[0]} IS NOT NULL THEN {sql} END" if len(values) == 1 else sql


def _lowest(numbers: Sequence[int], values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Of each value the first of these rising numbers that has it."""
    first = dict(zip(reversed(values), reversed(numbers), strict=True))
    return np.array([first[value] for value in values], dtype=np.int32)


class Numbers:
    """Numbers of one dimension, for the one who writes."""

    def __init__(self, run: Execute, dimension: Dimension) -> None:
        self._run = run
        self._dimension = dimension
        self._next: int | None = None

    def of(self, values: Sequence[Values]) -> list[int]:
        """A number for each of these distinct values."""
        if not values:
            return []
        found = self._known(values)
        if self._next is None:
            highest = self._run(f"SELECT coalesce(max(id), 0) FROM {self._dimension.table}").fetchall()
            self._next = int(highest[0][0]) + 1
        fresh = [place for place, number in enumerate(found) if number is None]
        for number, place in enumerate(fresh, self._next):
            found[place] = number
        if fresh:
            self._add(range(self._next, self._next + len(fresh)), [values[place] for place in fresh])
            self._next += len(fresh)
        return [number for number in found if number is not None]

    def forget(self) -> None:
        """What was given out is not certain: the transaction was rolled back."""
        self._next = None

    def _known(self, values: Sequence[Values]) -> list[int | None]:
        """The lowest number of each that the store has."""
        wanted = self._arrays(values) | {"place": np.arange(len(values))}
        assert wanted
        same = " AND ".join(f"d.{name} IS NOT DISTINCT FROM w.{name}" for name in self._dimension.values)
        texts = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in self._dimension.values)
        sql = (
            f"SELECT w.place, min(d.id) FROM {self._dimension.table} AS d "
            f"JOIN (SELECT place, {texts} FROM wanted) AS w ON {same} GROUP BY w.place"
        )
        found: list[int | None] = [None] * len(values)
        for place, number in self._run(sql).fetchall():
            found[place] = number
        return found

    def _add(self, numbers: Sequence[int], values: Sequence[Values]) -> None:
        fresh = {"id": np.array(numbers, dtype=np.int32)} | self._arrays(values)
        table, names = self._dimension.table, self._dimension.values
        codes, joins = [], ""
        for code, of in self._dimension.codes:
            places = [names.index(name) for name in of]
            fresh[code] = _lowest(numbers, list(map(itemgetter(*places), values)))
            same = " AND ".join(f"{code}.{name} IS NOT DISTINCT FROM f.{name}" for name in of)
            wanted = f"EXISTS (SELECT 1 FROM f WHERE {same})"
            known = f"SELECT {_list(of)}, min({code}) AS known FROM {table} AS {code} WHERE {wanted} GROUP BY {_list(of)}"
            joins += f" LEFT JOIN ({known}) AS {code} ON {same}"
            codes.append(_unless_null([f"f.{name}" for name in of], f"coalesce({code}.known, f.{code})"))
        assert fresh
        texts = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in names)
        self._run(
            f"INSERT INTO {table} WITH f AS (SELECT * REPLACE ({texts}) FROM fresh) "
            f"SELECT {', '.join(['f.id', _list(names, 'f.'), *codes])} FROM f{joins}"
        )

    def _arrays(self, values: Sequence[Values]) -> dict[str, np.ndarray[Any, Any]]:
        columns = zip(*values, strict=True)
        return {name: texts(column) for name, column in zip(self._dimension.values, columns, strict=True)}


class Spelled:
    """Numbers of values as logs spell them, remembered from commit to commit."""

    def __init__(self, numbers: Numbers, normal: Callable[[Sequence[Values]], Sequence[Values]]) -> None:
        self._numbers = numbers
        self._normal = normal
        self._known: dict[Values, int] = {}
        self._of_codes: tuple[list[Any], np.ndarray[Any, Any]] = [], np.zeros(0, dtype=np.int32)

    def of(self, spelled: Sequence[Values]) -> np.ndarray[Any, Any]:
        """A number for each, in their order."""
        if len(self._known) > REMEMBERED:
            self._known.clear()
        fresh = dict.fromkeys(values for values in spelled if values not in self._known)
        if fresh:
            self._known.update(zip(fresh, self._learn(list(fresh)), strict=True))
        return np.array(list(map(self._known.__getitem__, spelled)), dtype=np.int32)

    def of_codes(self, codes: np.ndarray[Any, Any], values: list[Any], spell: Callable[..., Values] | None) -> np.ndarray[Any, Any]:
        """
        A number for each code, whose value stands in this list, which may grow from one call to the next. `spell` makes of
        it what `of` takes.
        """
        last, known = self._of_codes
        if last is not values:
            known = np.zeros(0, dtype=np.int32)
        if len(known) < len(values):
            known = np.concatenate((known, np.zeros(len(values), dtype=np.int32)))
        self._of_codes = values, known
        found: np.ndarray[Any, Any] = known[codes]
        if not found.all():
            fresh = np.unique(codes[found == 0])
            spelled = [values[code] for code in fresh.tolist()]
            known[fresh] = self._learn([spell(*value) for value in spelled] if spell else spelled)
            found = known[codes]
        return found

    def _learn(self, spelled: Sequence[Values]) -> list[int]:
        normal = self._normal(spelled)
        distinct = list(dict.fromkeys(normal))
        numbers = dict(zip(distinct, self._numbers.of(distinct), strict=True))
        return [numbers[values] for values in normal]

    def drop(self, gone: Callable[[Values], bool]) -> None:
        """Look these up anew next time."""
        for values in [values for values in self._known if gone(values)]:
            del self._known[values]

    def forget(self) -> None:
        """Look all up anew: a transaction was rolled back, or values were deleted."""
        self._known.clear()
        self._of_codes = [], np.zeros(0, dtype=np.int32)
        self._numbers.forget()
