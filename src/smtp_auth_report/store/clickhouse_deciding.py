"""
What a commit changes, decided by the very writer of DuckDB over what ClickHouse holds of the same events.

    deciding = Deciding(default_domain)
    decision = deciding.decide(commit, held)       what is to be written, and what it replaces
    deciding.values(decision, CLIENTS)             what its rows have that is not known to be in ClickHouse, by number
    deciding.keep(CLIENTS, numbers)                it is now

The writer works on a database in memory with the rows that readings of this commit may meet, and nothing else. Its
numbers of subjects, manners and clients stay from one commit to the next, as it remembers them; what leaves here has the
numbers of clickhouse_numbers.py.

Where two hosts wrote readings of one event at the same moment, ClickHouse holds two rows of it. The first is taken for the
stored one, the others for readings that come with this commit, so they are put together as any others. Which is the first
is the same for everybody who looks.

See also
    duckdb_writing.py, which decides; clickhouse_writing.py, which reads and writes
"""

# ruff: noqa: S608 (SQL is put together from names of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import duckdb
import numpy as np

from smtp_auth_report.changes import Applied, Changes, Commit
from smtp_auth_report.store.clickhouse_numbers import number_of
from smtp_auth_report.store.dimensions import DIMENSIONS, SUBJECTS, Dimension, Values
from smtp_auth_report.store.duckdb_accounts import Accounts, Execute
from smtp_auth_report.store.duckdb_forgetting import EXPIRED, Forgotten
from smtp_auth_report.store.duckdb_opening import CONFIGURATION, migrate
from smtp_auth_report.store.duckdb_told import VALUES
from smtp_auth_report.store.duckdb_writing import APART, CAST, WIDEST, Writer
from smtp_auth_report.store.filters import clean
from smtp_auth_report.store.packing import Arrays, folded, joined, pack
from smtp_auth_report.submission import Identity, domain_of

MANY = 500_000
"""Subjects, manners and clients of the database in memory, together; with more it is made anew."""


class HeldRow(NamedTuple):
    """A row of ClickHouse, with its values."""

    key: int
    opened: int  # microseconds UTC, as all times here
    spread: int
    time: int
    subject: Values
    manner: Values
    client: Values
    recipients: int | None
    size: int | None
    queue_id: str | None
    message_id: str | None
    writer: int
    written: int

    @property
    def version(self) -> Version:
        return Version(self.key, self.opened, self.writer, self.written)


class HeldWord(NamedTuple):
    """What one log told of rows that another gives."""

    reference: int
    time: int
    subject: Values
    manner: Values
    client: Values
    recipients: int | None
    size: int | None


class Version(NamedTuple):
    """One version of a row."""

    key: int
    opened: int
    writer: int
    written: int


class Met(NamedTuple):
    """An account that signed in."""

    first_seen: int
    spelling: str
    account_key: str | None
    account_domain: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """What ClickHouse holds that a commit may meet."""

    rows: Sequence[HeldRow] = ()
    words: Sequence[HeldWord] = ()
    awaited: Sequence[tuple[int, int, int]] = ()  # reference, key, opened
    before: int = 0  # what is older has expired
    erased: Mapping[str, int] = field(default_factory=dict)
    widest: int = 0


@dataclass(slots=True)
class Decision:
    """What is to be written."""

    applied: Applied
    rows: Arrays | None  # with the numbers of ClickHouse
    stale: list[Version]
    heard: Arrays | None
    awaited: Arrays | None
    used: dict[Dimension, np.ndarray[Any, Any]]  # numbers in memory of what these have
    accounts: dict[str, Met]
    widest: int

    @property
    def tells(self) -> bool:
        """Whether something is told or awaited that was not before: another host may have the other half."""
        return any(arrays is not None and len(arrays["reference"]) for arrays in (self.heard, self.awaited))


class _Met(Accounts):
    """Accounts that are news to this run."""

    def __init__(self, run: Execute, default_domain: str | None) -> None:
        super().__init__(run, default_domain)
        self.news: dict[str, Met] = {}

    def _tell(self, news: dict[str, str | None]) -> None:
        for account, key in news.items():
            name = folded(account)
            told = Met(self._met[account], clean(account), key, domain_of(name, self._default_domain))
            self.news[name] = min(told, self.news.get(name, told), key=lambda met: met[:2])


class Deciding(Writer):
    """For one commit at a time."""

    def __init__(self, default_domain: str | None, memory_limit: str = "") -> None:
        configuration = CONFIGURATION | ({"memory_limit": memory_limit} if memory_limit else {})
        self._memory = duckdb.connect(":memory:", config=configuration)
        migrate(self._memory, ":memory:", read_only=False)
        super().__init__(self._memory, bucket_minutes=60, display_zone="UTC", default_domain=default_domain, clock=lambda: 0)
        self._met = self._accounts = _Met(self._run, default_domain)
        self._inserted: list[Arrays] = []
        self._removed: list[tuple[int, int]] = []
        self._extra: list[Arrays] = []
        self._words = False
        self._ids = {each: np.zeros(1, dtype=np.uint64) for each in DIMENSIONS}  # by the numbers in memory
        self._there = {each: set[int]() for each in DIMENSIONS}  # numbers of ClickHouse that are in their table

    @property
    def is_full(self) -> bool:
        """Whether it is time for a new one."""
        return sum(map(len, self._ids.values())) > MANY

    def close(self) -> None:
        self._memory.close()

    def forget(self) -> None:
        """What was written before may have gone."""
        self._forget()
        for there in self._there.values():
            there.clear()

    def decide(self, commit: Commit, held: Held) -> Decision:
        self._inserted, self._removed, self._extra = [], [], []
        self._met.news = {}
        self._words = False
        surplus = self._hold(held, commit.changes.withdrawn)
        renamed = self._about_to_be_named(commit.learned)
        applied = self.apply(commit)
        self._renumber(renamed)
        rows = joined(self._inserted) if self._inserted else None
        heard = self._fetched("heard", ("reference", *VALUES)) if self._words else None
        awaited = self._fetched("asked", ("reference", "key", "opened")) if self._words else None
        used = {each: _used([arrays[each.column] for arrays in (rows, heard) if arrays is not None]) for each in DIMENSIONS}
        for arrays in (rows, heard):
            if arrays is not None:
                arrays |= {each.column: self._ids[each][arrays[each.column]] for each in DIMENSIONS}
        versions: dict[tuple[int, int], list[Version]] = {}
        for row in held.rows:
            versions.setdefault((row.key, row.opened), []).append(row.version)
        stale = {version for identity in self._removed for version in versions[identity]}
        return Decision(applied, rows, sorted(stale | surplus), heard, awaited, used, self._met.news, self._widest)

    def values(self, decision: Decision, dimension: Dimension) -> dict[int, Values]:
        """What its rows have, by number, as far as that is not known to be in ClickHouse."""
        used, there = decision.used[dimension], self._there[dimension]
        ids = self._ids[dimension][used].tolist()
        fresh = [number for number, known in zip(used.tolist(), ids, strict=True) if known not in there]
        if not fresh:
            return {}
        sql = f"SELECT id, {', '.join(dimension.values)} FROM {dimension.table} WHERE id IN (SELECT unnest(?))"
        return {int(self._ids[dimension][number]): tuple(values) for number, *values in self._run(sql, [fresh]).fetchall()}

    def keep(self, dimension: Dimension, numbers: Iterable[int]) -> None:
        """These are in ClickHouse now."""
        self._there[dimension].update(numbers)

    # What the writer of DuckDB finds

    def _hold(self, held: Held, withdrawn: Collection[Identity]) -> set[Version]:
        """Make the database in memory hold just this; versions of rows that only come as readings."""
        for table in ("submissions", "second_hand", "awaited", "erased"):
            self._run(f"DELETE FROM {table}")
        self._run("INSERT OR REPLACE INTO meta VALUES (?, ?), (?, ?)", [EXPIRED, str(held.before), WIDEST, str(held.widest)])
        self._widest = held.widest
        if held.erased:
            self._run("INSERT INTO erased SELECT unnest(?), unnest(?)", [list(held.erased), list(held.erased.values())])
        stored, readings = told_apart(held.rows)
        if stored:
            arrays = self._arrays_of_held(stored)
            assert arrays
            self._run(f"INSERT INTO submissions SELECT {CAST} FROM arrays")
        kept = [row for row in readings if not any(_is_of(identity, row) for identity in withdrawn)]
        if kept:
            self._extra.append(self._arrays_of_held(kept))
        if held.words:
            self._hold_words(held.words)
        if held.awaited:
            references, keys, opened = zip(*held.awaited, strict=True)
            self._run(
                "INSERT INTO awaited SELECT unnest(?), unnest(?), make_timestamp(unnest(?))", [list(references), list(keys), list(opened)]
            )
        return {row.version for row in readings}

    def _arrays_of_held(self, rows: Sequence[HeldRow]) -> Arrays:
        columns = dict(zip(HeldRow._fields, zip(*rows, strict=True), strict=True))
        return pack(columns) | {each.column: self._numbers_of(each, columns[each.column]) for each in DIMENSIONS}

    def _hold_words(self, words: Sequence[HeldWord]) -> None:
        columns = dict(zip(HeldWord._fields, zip(*words, strict=True), strict=True))
        whole = pack(
            columns
            | {"key": columns["reference"], "opened": columns["time"]}
            | dict.fromkeys(("queue_id", "message_id"), [None] * len(words))
        )
        arrays = {"reference": whole["key"]} | {name: whole[name] for name in ("time", "recipients", "size")}
        arrays |= {each.column: self._numbers_of(each, columns[each.column]) for each in DIMENSIONS}
        assert arrays
        self._run(f"INSERT INTO second_hand SELECT reference, {', '.join(VALUES)} FROM arrays")

    def _numbers_of(self, dimension: Dimension, values: Sequence[Values]) -> np.ndarray[Any, Any]:
        distinct = list(dict.fromkeys(values))
        number = dict(zip(distinct, self._numbers[dimension].of(distinct), strict=True))
        return np.array([number[each] for each in values], dtype=np.int32)

    # What it does is noted instead of done

    def _brings(self, commit: Commit) -> bool:
        return super()._brings(commit) or bool(self._extra)

    def _told(self, changes: Changes, forgotten: Forgotten, keys: Mapping[str, str], kept: set[Identity]) -> list[Arrays]:
        self._words = bool(changes.told or changes.awaited)
        return super()._told(changes, forgotten, keys, kept)

    def _arrays(self, commit: Commit) -> Arrays | None:
        found = super()._arrays(commit)
        parts = [*([found] if found is not None else []), *self._extra]
        return joined(parts) if parts else None

    def _insert(self, arrays: Arrays) -> None:
        self._inserted.append(dict(arrays))
        self._count(arrays["manner"], 1)

    def _drop_stale(self) -> int:
        self._removed += self._run("SELECT key, epoch_us(opened) FROM stale").fetchall()
        return super()._drop_stale()

    def _note(self, commit: Commit) -> None:
        """Notes are written elsewhere."""

    # Its numbers become those of ClickHouse

    def _about_to_be_named(self, learned: Mapping[str, str]) -> list[int]:
        """Numbers of subjects whose values this commit changes."""
        if not learned:
            return []
        sql = "SELECT id FROM subjects WHERE account IS NULL AND account_key IN (SELECT unnest(?))"
        return [number for (number,) in self._run(sql, [list(learned)]).fetchall()]

    def _renumber(self, renamed: Sequence[int]) -> None:
        """Numbers of ClickHouse for all that is new in memory, and for what was renamed."""
        for each in DIMENSIONS:
            known = self._ids[each]
            changed = renamed if each is SUBJECTS else []
            rows = self._run(
                f"SELECT id, {', '.join(each.values)} FROM {each.table} WHERE id >= ? OR id IN (SELECT unnest(?)) ORDER BY id",
                [len(known), changed],
            ).fetchall()
            if rows:
                ids = np.zeros(max(len(known), rows[-1][0] + 1), dtype=np.uint64)
                ids[: len(known)] = known
                for number, *values in rows:
                    ids[number] = number_of(each.table, values)
                self._ids[each] = ids

    def _fetched(self, table: str, names: Sequence[str]) -> Arrays:
        """A table in memory as arrays, times as microseconds."""
        columns = ", ".join(f"epoch_us({name}) AS {name}" if name in ("time", "opened") else name for name in names)
        found: Arrays = self._run(f"SELECT {columns} FROM {table}").fetchnumpy()
        return found


def _is_of(identity: Identity, row: HeldRow) -> bool:
    """Whether a row is of the event that has this identity."""
    return identity.key == row.key and row.opened - APART <= identity.opened <= row.opened + row.spread + APART


def _used(numbers: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return np.unique(np.concatenate(numbers)) if numbers else np.zeros(0, dtype=np.int32)


def told_apart(rows: Sequence[HeldRow]) -> tuple[list[HeldRow], list[HeldRow]]:
    """Of each event the row that is taken for the stored one, and the others."""
    stored: list[HeldRow] = []
    readings: list[HeldRow] = []
    reach: dict[int, int] = {}
    for row in sorted(rows, key=lambda row: (row.key, row.opened, row.writer)):
        near = row.opened - reach.get(row.key, -(1 << 62)) <= APART
        (readings if near else stored).append(row)
        reach[row.key] = max(reach.get(row.key, row.opened), row.opened + row.spread) if near else row.opened + row.spread
    return stored, readings
