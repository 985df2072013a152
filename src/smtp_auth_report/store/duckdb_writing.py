"""
One commit to DuckDB: rows by identity, accounts, read position, all or nothing.

    writer = Writer(connection, bucket_minutes=60, display_zone="UTC", default_domain=None, clock=clock)
    applied = writer.apply(commit)

What rows have in common becomes numbers (dimensions.py); the rest is scanned as numpy columns. Rows whose key the store
does not hold, which is nearly all of them, go in as they are. The others are *contested*: all readings of one event are
put together by taking, for each column, the largest value under a fixed order, so that neither the order of files nor
reading one twice changes the result. Sums of days of which rows came, changed or went are void (duckdb_sealing.py).

Readings of one event have the same key and chain by at most two seconds; a row keeps where its chain starts
(`opened`) and how far it reaches (`spread`).
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import duckdb
import numpy as np

from smtp_auth_report.changes import Applied, Changes, Commit, Messages, Remembered
from smtp_auth_report.moments import SECOND
from smtp_auth_report.store import duckdb_forgetting as forgetting
from smtp_auth_report.store import duckdb_told as told
from smtp_auth_report.store.dimensions import CLIENTS, DIMENSIONS, MANNERS, SUBJECTS, Numbers, Spelled, Values, number_alike
from smtp_auth_report.store.duckdb_accounts import Accounts
from smtp_auth_report.store.duckdb_counted import write_counted
from smtp_auth_report.store.duckdb_notes import write_notes
from smtp_auth_report.store.duckdb_sealing import Sealing, read_zone
from smtp_auth_report.store.filters import clean
from smtp_auth_report.store.local_time import day_start, local_day
from smtp_auth_report.store.merging import COLUMNS, DOUBTFUL, MERGED, STORED
from smtp_auth_report.store.packing import (
    Arrays,
    joined,
    pack,
    pack_identities,
    pack_learned,
    pack_messages,
    subjects_of,
    unzipped,
)
from smtp_auth_report.submission import Identity, Outcome, Submission

Result = TypeVar("Result")

APART = 2 * SECOND
"""How far the moments of opening of two readings may differ."""

WIDEST = "widest_spread"
SIGNED_IN = frozenset((Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NO_MAIL))
SPELLED = {SUBJECTS: ("account", "account_key", "sender"), MANNERS: MANNERS.values, CLIENTS: CLIENTS.values}
"""Columns of a submission that make the values of a dimension."""


class Writer:
    """Applies commits through one connection; not for two threads at a time."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        bucket_minutes: int,
        display_zone: str,
        default_domain: str | None,
        clock: Callable[[], int],
    ) -> None:
        self._run = connection.execute
        self._bucket_minutes = bucket_minutes
        self._display_zone = display_zone
        self._default_domain = default_domain
        self._clock = clock
        self._widest = self._number(f"SELECT coalesce(max(CAST(value AS BIGINT)), 0) FROM meta WHERE name = '{WIDEST}'")
        self._numbers = {each: Numbers(self._run, each) for each in DIMENSIONS}
        self._spelled = {
            each: Spelled(self._numbers[each], partial(subjects_of, default_domain=default_domain) if each is SUBJECTS else _cleaned)
            for each in DIMENSIONS
        }
        self._accounts = Accounts(self._run, default_domain)
        self._sealing = Sealing(self._run, bucket_minutes)
        self._touched: list[np.ndarray[Any, Any]] = []
        self._outcomes: Counter[str] = Counter()

    def apply(self, commit: Commit) -> Applied:
        """Write it all, or nothing."""
        self._touched.clear()
        self._outcomes.clear()
        return self._at_once(lambda: self._apply(commit))

    def expire(self, before: int) -> int:
        """See `Store`. Rows go by whole days, so that the sums of a day are made anew once."""
        before = day_start(self._display_zone, local_day(self._display_zone, before))
        if before <= forgetting.expired_before(self._run):
            return 0
        rows = self._at_once(lambda: forgetting.expire(self._run, before, self._bucket_minutes, read_zone(self._run)))
        self._forget()
        return rows

    def erase(self, account: str, key: str, remembered: Sequence[Remembered]) -> int:
        """See `Store`."""
        rows = self._at_once(lambda: forgetting.erase(self._run, account, key, self._clock(), remembered))
        self._forget()
        return rows

    def seal(self) -> bool:
        """Make some of the sums that are missing; whether there may be more."""
        return self._at_once(lambda: self._sealing.seal(self._display_zone, self._clock()))

    def _at_once(self, work: Callable[[], Result]) -> Result:
        """All of it, or nothing."""
        self._run("BEGIN TRANSACTION")
        try:
            result = work()
            self._run("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        return result

    def _roll_back(self) -> None:
        self._forget()
        try:
            self._run("ROLLBACK")
        except duckdb.Error:
            return  # a fatal error has ended the transaction already; the first error is the one to tell

    def _forget(self) -> None:
        """What is remembered of the store may have gone."""
        for spelled in self._spelled.values():
            spelled.forget()
        self._accounts.forget()
        self._sealing.forget()

    def _apply(self, commit: Commit) -> Applied:
        changes = commit.changes
        withdrawn = self._withdraw(changes.withdrawn) if changes.withdrawn else 0
        arrays = self._arrays(commit) if self._brings(commit) else None
        added, revised = self._store(arrays) if arrays is not None else (0, 0)
        if commit.learned:
            self._learn(commit.learned)
        if self._touched:
            self._sealing.unseal(self._touched)
        self._note(commit)
        outcomes = {outcome: number for outcome, number in self._outcomes.items() if number}
        return Applied(added, revised, withdrawn, max(0, changes.size - added - revised), outcomes)

    def _brings(self, commit: Commit) -> bool:
        """Whether there may be readings of rows."""
        return bool(commit.changes.size or commit.changes.told)

    def _note(self, commit: Commit) -> None:
        """Keep what is no row."""
        write_notes(self._run, commit, self._clock())
        if commit.changes.counted:
            write_counted(self._run, commit, forgetting.Forgotten.read(self._run).erased, self._clock())

    def _number(self, sql: str, parameters: dict[str, int] | None = None) -> int:
        row = self._run(sql, parameters or {}).fetchone()
        assert row is not None
        return int(row[0])

    def _load(self, table: str, arrays: Arrays, columns: str = "*") -> None:
        """Make a temporary table of arrays, which DuckDB finds by the name of the parameter."""
        assert arrays
        self._run(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {columns} FROM arrays")

    def _withdraw(self, identities: Collection[Identity]) -> int:
        self._load("gone", pack_identities(identities))
        self._run(
            f"""
            CREATE OR REPLACE TEMP TABLE stale AS
            SELECT DISTINCT {_columns("s")} FROM submissions AS s JOIN gone AS g ON s.key = g.key
            WHERE g.opened >= s.opened - to_microseconds($apart) AND g.opened <= s.opened + to_microseconds(s.spread + $apart)
              AND s.opened BETWEEN make_timestamp($low) AND make_timestamp($high)
            """,
            {"apart": APART} | self._reach(np.array([opened for _, opened in identities])),
        )
        return self._drop_stale()

    def _count(self, manners: Sequence[int] | np.ndarray[Any, Any], sign: int) -> None:
        """Rows that come or go, by outcome."""
        numbers, counts = np.unique(np.asarray(manners, dtype=np.int64), return_counts=True)
        outcome_of = dict(self._run("SELECT id, outcome FROM manners").fetchall())
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            self._outcomes[outcome_of[number]] += sign * count

    def _reach(self, opened: np.ndarray[Any, Any]) -> dict[str, int]:
        """Between which moments of opening a stored row must be to meet one of these."""
        return {"low": int(opened.min()) - APART - self._widest, "high": int(opened.max()) + APART}

    def _arrays(self, commit: Commit) -> Arrays | None:
        """All rows that come, one by one or as columns, but for those that were forgotten."""
        forgotten, keys = forgetting.Forgotten.read(self._run), commit.account_keys
        rows = forgotten.kept([_keyed(row, keys) for row in commit.changes.rows.values()])
        parts = [self._arrays_of_rows(rows)] if rows else []
        if commit.changes.messages:
            kept = (forgotten.kept_messages(messages, keys) for messages in Messages.joined(commit.changes.messages))
            parts += [self._arrays_of_messages(messages, keys) for messages in kept if len(messages.numbers)]
        parts += self._told(commit.changes, forgotten, keys, {row.identity for row in rows})
        return joined(parts) if parts else None

    def _told(self, changes: Changes, forgotten: forgetting.Forgotten, keys: Mapping[str, str], kept: set[Identity]) -> list[Arrays]:
        """Readings that other logs give of rows, these or earlier ones."""
        if not changes.told and not changes.awaited:
            return []
        rows = forgotten.kept([_keyed(row, keys) for row in changes.told.values()])
        awaited = {identity: references for identity, references in changes.awaited.items() if identity in kept}
        readings = told.meet(self._run, self._arrays_of_rows(rows) if rows else None, awaited, anew=bool(changes.withdrawn))
        return [readings] if readings is not None else []

    def _arrays_of_rows(self, rows: list[Submission]) -> Arrays:
        columns = unzipped(rows)
        arrays = pack(columns)
        for each, names in SPELLED.items():
            arrays[each.column] = self._spelled[each].of(list(zip(*(columns[name] for name in names), strict=True)))
        self._accounts.meet(
            (row.account, row.account_key, row.time) for row in rows if row.account is not None and row.outcome in SIGNED_IN
        )
        return arrays

    def _arrays_of_messages(self, messages: Messages, keys: Mapping[str, str]) -> Arrays:
        arrays = pack_messages(messages)

        def subject(account: str, sender: str) -> tuple[str | None, ...]:
            return account, keys.get(account), sender

        for each, code, values, spelled in (
            (SUBJECTS, "party", messages.parties, subject),
            (MANNERS, "manner", messages.manners, None),
            (CLIENTS, "client", messages.clients, None),
        ):
            arrays[each.column] = self._spelled[each].of_codes(messages.numbers[code], values, spelled)
        self._accounts.meet((account, keys.get(account), time) for account, time in messages.accounts().items())
        return arrays

    def _store(self, arrays: Arrays) -> tuple[int, int]:
        """Add or merge rows; how many were added and revised."""
        fresh = self._fresh(arrays)
        if fresh.any():
            self._insert(arrays if fresh.all() else {name: array[fresh] for name, array in arrays.items()})
        if fresh.all():
            return len(fresh), 0
        self._load("contested", {name: array[~fresh] for name, array in arrays.items()}, CAST)
        self._run(DOUBTFUL)
        merged, revised = self._merge() if self._number("SELECT count(*) FROM doubtful") else (0, 0)
        return int(fresh.sum()) + merged, revised

    def _fresh(self, arrays: Arrays) -> np.ndarray[Any, Any]:
        """Which rows are the only reading of their event: of the others, and of what the store holds, none is of it."""
        incoming = {name: arrays[name] for name in ("key", "opened")}
        assert incoming
        self._run(
            f"""
            CREATE OR REPLACE TEMP TABLE matched AS
            SELECT {_columns("s")} FROM submissions AS s
            SEMI JOIN incoming AS i ON s.key = i.key
                AND i.opened BETWEEN s.opened - to_microseconds($apart) AND s.opened + to_microseconds(s.spread + $apart)
            WHERE s.opened BETWEEN make_timestamp($low) AND make_timestamp($high)
            """,
            {"apart": APART} | self._reach(arrays["opened"].astype(np.int64)),
        )
        contested = np.isin(arrays["key"], self._run("SELECT key FROM matched").fetchnumpy()["key"])
        contested[_near_another(arrays["key"], arrays["opened"].astype(np.int64))] = True
        return ~contested

    def _insert(self, arrays: Arrays) -> None:
        """Add rows as they are."""
        assert arrays
        self._run(f"INSERT INTO submissions SELECT {CAST} FROM arrays")
        self._count(arrays["manner"], 1)
        self._touched.append(arrays["time"].astype(np.int64))

    def _merge(self) -> tuple[int, int]:
        """Put contested rows together with those they match; how many clusters are new and how many changed."""
        self._run(MERGED, {"apart": APART})
        names = ", ".join(f"epoch_us({name})" if name in ("opened", "time") else name for name in COLUMNS)
        merged = self._run(f"SELECT {names}, stored > 0 FROM merged").fetchall()
        if not merged:
            return 0, 0
        inside = "m.key = n.key AND m.opened BETWEEN n.opened AND n.opened + to_microseconds(n.spread)"
        self._run(f"CREATE OR REPLACE TEMP TABLE stale AS SELECT m.* FROM matched AS m SEMI JOIN merged AS n ON {inside}")
        self._drop_stale()
        columns = dict(zip((*COLUMNS, "stored"), zip(*merged, strict=True), strict=True))
        arrays = pack(columns)
        for each in DIMENSIONS:
            values = list(zip(*(columns[name] for name in each.values), strict=True))
            distinct = list(dict.fromkeys(values))
            number = dict(zip(distinct, self._numbers[each].of(distinct), strict=True))
            arrays[each.column] = np.array([number[value] for value in values], dtype=np.int32)
        self._insert(arrays)
        if max(columns["spread"]) > self._widest:
            self._widest = max(columns["spread"])
            self._run("INSERT OR REPLACE INTO meta VALUES (?, ?)", [WIDEST, str(self._widest)])
        revised = sum(columns["stored"])
        return len(merged) - revised, revised

    def _drop_stale(self) -> int:
        """Delete the rows of the table `stale`; how many."""
        rows = self._run("SELECT manner, epoch_us(time) FROM stale").fetchall()
        if rows:
            self._run(
                """
                DELETE FROM submissions AS s USING stale AS t WHERE s.key = t.key AND s.opened = t.opened
                AND s.opened BETWEEN (SELECT min(opened) FROM stale) AND (SELECT max(opened) FROM stale)
                """
            )
            self._count([manner for manner, _ in rows], -1)
            self._touched.append(np.array([time for _, time in rows], dtype=np.int64))
        return len(rows)

    def _learn(self, learned: dict[str, str]) -> None:
        """Name earlier failures of accounts that have authenticated since; their numbers, and so their sums, stay."""
        self._load("learned", pack_learned(learned, self._default_domain))
        named = self._run(
            """
            UPDATE subjects SET account = l.account, account_domain = l.account_domain
            FROM learned AS l WHERE subjects.account IS NULL AND subjects.account_key = l.account_key
            """
        ).fetchall()
        if named[0][0]:
            number_alike(self._run, SUBJECTS)
        self._spelled[SUBJECTS].drop(lambda values: values[0] is None and values[1] in learned)


CAST = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in STORED.items())
"""SQL for the stored columns of arrays; a column of nulls alone has no type of its own."""


def _near_another(keys: np.ndarray[Any, Any], opened: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Places of those that share their key with another of about the same time; short queue ids come again later."""
    distinct, often = np.unique(keys, return_counts=True)
    shared = np.flatnonzero(np.isin(keys, distinct[often > 1]))
    shared = shared[np.lexsort((opened[shared], keys[shared]))]
    near = (keys[shared][1:] == keys[shared][:-1]) & (np.diff(opened[shared]) <= APART)
    return np.concatenate((shared[1:][near], shared[:-1][near]))


def _cleaned(spelled: Sequence[Values]) -> Sequence[Values]:
    if all("".join(filter(None, column)).isascii() for column in zip(*spelled, strict=True)):
        return spelled
    return [tuple(value if value is None else clean(value) for value in values) for values in spelled]


def _keyed(row: Submission, keys: Mapping[str, str]) -> Submission:
    """The row with the key of its account."""
    return row if row.account_key or row.account is None else row._replace(account_key=keys.get(row.account))


def _columns(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in STORED)
