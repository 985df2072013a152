"""
One commit to DuckDB: rows by identity, hourly sums, accounts, read position, all or nothing.

    writer = Writer(connection, bucket_minutes=60, default_domain=None, clock=clock)
    applied = writer.apply(commit)

A batch is scanned as numpy columns into a temporary table. Rows whose key the store does not hold, which is nearly
all of them, go in as they are, and their sums are appended to `hourly`. The others are *contested*: all readings of one
event are put together by taking, for each column, the largest value under a fixed order, so that neither the order of
files nor reading one twice changes the result. Of rows that changed, the hourly groups they left and joined are
computed anew from the rows.

Readings of one event have the same key and chain by at most two seconds; a row keeps where its chain starts
(`opened`) and how far it reaches (`spread`).
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import TypeVar

import duckdb

from smtp_auth_report.changes import Applied, Commit
from smtp_auth_report.moments import SECOND
from smtp_auth_report.store import duckdb_forgetting as forgetting
from smtp_auth_report.store.duckdb_notes import write_notes
from smtp_auth_report.store.merging import COLUMNS, CONTESTED, GROUP, MERGED
from smtp_auth_report.store.packing import Arrays, pack_identities, pack_learned, pack_rows
from smtp_auth_report.submission import Identity, Submission

Result = TypeVar("Result")

APART = 2 * SECOND
"""How far the moments of opening of two readings may differ."""

SMALL_COMMIT = 1_000
LOOSE = 20_000
"""Rows that small commits may append to `hourly` before their groups are put together."""


class Writer:
    """Applies commits through one connection; not for two threads at a time."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, *, bucket_minutes: int, default_domain: str | None, clock: Callable[[], int]
    ) -> None:
        self._run = connection.execute
        self._width = bucket_minutes * 60 * SECOND
        self._default_domain = default_domain
        self._clock = clock
        self._widest = self._number("SELECT coalesce(max(spread), 0) FROM submissions")
        self._touched = False
        self._outcomes: Counter[str] = Counter()
        self._loose: list[tuple[int, int, int]] = []

    def apply(self, commit: Commit) -> Applied:
        """Write it all, or nothing."""
        self._touched = False
        self._outcomes.clear()
        return self._at_once(lambda: self._apply(commit))

    def _roll_back(self) -> None:
        try:
            self._run("ROLLBACK")
        except duckdb.Error:
            return  # a fatal error has ended the transaction already; the first error is the one to tell

    def expire(self, before: int) -> int:
        """See `Store`."""
        return self._at_once(lambda: forgetting.expire(self._run, before))

    def erase(self, account: str, key: str) -> int:
        """See `Store`."""
        return self._at_once(lambda: forgetting.erase(self._run, account, key, self._clock()))

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

    def _apply(self, commit: Commit) -> Applied:
        changes = commit.changes
        withdrawn = self._withdraw(changes.withdrawn) if changes.withdrawn else 0
        rows = forgetting.kept(self._run, _rows(commit)) if changes.size else []
        added, revised = self._store(rows) if rows else (0, 0)
        if commit.learned:
            self._learn(commit.learned)
        if self._touched:
            self._recompute()
        write_notes(self._run, commit, self._clock())
        outcomes = {outcome: number for outcome, number in self._outcomes.items() if number}
        return Applied(added, revised, withdrawn, changes.size - added - revised, outcomes)

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
            {"apart": APART} | self._reach([opened for _, opened in identities]),
        )
        self._touch("stale")
        self._count("stale", -1)
        self._drop_stale()
        return self._number("SELECT count(*) FROM stale")

    def _count(self, rows: str, sign: int) -> None:
        """Rows that come or go, by outcome."""
        for outcome, number in self._run(f"SELECT outcome, count(*) FROM {rows} GROUP BY outcome").fetchall():
            self._outcomes[outcome] += sign * number

    def _reach(self, opened: list[int]) -> dict[str, int]:
        """Between which moments of opening a stored row must be to meet one of these."""
        return {"low": min(opened) - APART - self._widest, "high": max(opened) + APART}

    def _store(self, rows: list[Submission]) -> tuple[int, int]:
        """Add or merge rows; how many were added and revised."""
        self._load("incoming", pack_rows(rows, self._default_domain), INCOMING)
        self._run(
            f"""
            CREATE OR REPLACE TEMP TABLE matched AS
            SELECT {_columns("s")} FROM submissions AS s
            WHERE s.opened BETWEEN make_timestamp($low) AND make_timestamp($high) AND s.key IN (SELECT key FROM incoming)
            """,
            self._reach([row.opened for row in rows]),
        )
        contested = len({row.key for row in rows}) < len(rows) or self._number("SELECT count(*) FROM matched") > 0
        if contested:
            self._run(CONTESTED)
        added = self._insert_fresh(rows)
        merged, revised = self._merge() if contested else (0, 0)
        self._meet_accounts()
        return added + merged, revised

    def _insert_fresh(self, rows: list[Submission]) -> int:
        added = self._number(f"INSERT INTO submissions SELECT {_columns('i')} FROM incoming AS i WHERE fresh")
        if added:
            self._count("incoming WHERE fresh", 1)
            self._run(f"INSERT INTO hourly {self._sums('incoming', 'WHERE fresh')}")
            if added <= SMALL_COMMIT:
                self._put_together(added, min(row.time for row in rows), max(row.time for row in rows))
        return added

    def _put_together(self, added: int, first: int, last: int) -> None:
        """Now and then, make one row of the many that small commits leave for one group."""
        self._loose.append((added, first - first % self._width, last))
        if sum(number for number, _, _ in self._loose) < LOOSE:
            return
        period = {"low": min(low for _, low, _ in self._loose), "high": max(high for _, _, high in self._loose)}
        self._loose.clear()
        where = "bucket BETWEEN make_timestamp($low) AND make_timestamp($high)"
        self._run(
            f"""
            CREATE OR REPLACE TEMP TABLE summed AS
            SELECT {", ".join(GROUP)}, sum(messages), sum(recipients), sum(bytes), min(first_seen), max(last_seen)
            FROM hourly WHERE {where} GROUP BY {", ".join(GROUP)}
            """,
            period,
        )
        self._run(f"DELETE FROM hourly WHERE {where}", period)
        self._run("INSERT INTO hourly FROM summed")

    def _merge(self) -> tuple[int, int]:
        """Put contested rows together with those they match; how many clusters are new and how many changed."""
        self._run(MERGED, {"apart": APART})
        new = self._number("SELECT count(*) FROM merged WHERE stored = 0")
        revised = self._number("SELECT count(*) FROM merged WHERE stored > 0")
        if new + revised:
            inside = "m.key = n.key AND m.opened BETWEEN n.opened AND n.opened + to_microseconds(n.spread)"
            self._run(f"CREATE OR REPLACE TEMP TABLE stale AS SELECT m.* FROM matched AS m SEMI JOIN merged AS n ON {inside}")
            self._touch("stale")
            self._touch("merged")
            self._count("stale", -1)
            self._count("merged", 1)
            self._drop_stale()
            self._run(f"INSERT INTO submissions SELECT {_columns('m')} FROM merged AS m")
            self._widest = max(self._widest, self._number("SELECT max(spread) FROM merged"))
        return new, revised

    def _drop_stale(self) -> None:
        self._run(
            """
            DELETE FROM submissions AS s USING stale AS t WHERE s.key = t.key AND s.opened = t.opened
            AND s.opened BETWEEN (SELECT min(opened) FROM stale) AND (SELECT max(opened) FROM stale)
            """
        )

    def _meet_accounts(self) -> None:
        """Keep how an account that authenticated was first spelled."""
        self._run(
            """
            INSERT INTO accounts
            SELECT account, min((time, spelling))[2], min(time), max(account_key), max(account_domain) FROM incoming
            WHERE account IS NOT NULL AND outcome IN ('accepted', 'rejected', 'no_mail') GROUP BY account
            ON CONFLICT (account) DO UPDATE SET spelling = excluded.spelling, first_seen = excluded.first_seen
            WHERE (excluded.first_seen, excluded.spelling) < (accounts.first_seen, accounts.spelling)
            """
        )

    def _learn(self, learned: dict[str, str]) -> None:
        """Name earlier failures of accounts that have authenticated since."""
        self._load("learned", pack_learned(learned, self._default_domain))
        failures = "s.outcome = 'auth_failed' AND s.account IS NULL AND s.account_key = l.account_key"
        self._run(
            f"""
            CREATE OR REPLACE TEMP TABLE named AS
            SELECT {_columns("s")}, l.account AS name, l.account_domain AS domain FROM submissions AS s JOIN learned AS l ON {failures}
            """
        )
        if self._number("SELECT count(*) FROM named"):
            self._touch("named")
            self._touch("(SELECT * REPLACE (name AS account, domain AS account_domain) FROM named)")
            name = "account = l.account, account_domain = l.account_domain"
            self._run(f"UPDATE submissions AS s SET {name} FROM learned AS l WHERE {failures}")

    def _bucket(self, time: str) -> str:
        return f"make_timestamp(epoch_us({time}) - epoch_us({time}) % {self._width})"

    def _sums(self, table: str, where: str) -> str:
        """Hourly groups of rows."""
        dimensions = ", ".join(f"s.{name}" for name in GROUP[1:])
        return f"""
            SELECT {self._bucket("s.time")} AS bucket, {dimensions},
                   count(*), coalesce(sum(s.recipients), 0), coalesce(sum(s.size), 0), min(s.time), max(s.time)
            FROM {table} AS s {where} GROUP BY bucket, {dimensions}
        """

    def _touch(self, table: str) -> None:
        """Remember the groups of these rows, to compute them anew."""
        dimensions = ", ".join(f"s.{name}" for name in GROUP[1:])
        select = f"SELECT DISTINCT {self._bucket('s.time')} AS bucket, {dimensions} FROM {table} AS s"
        self._run(f"INSERT INTO touched {select}" if self._touched else f"CREATE OR REPLACE TEMP TABLE touched AS {select}")
        self._touched = True

    def _recompute(self) -> None:
        """Make the touched groups what the rows say."""
        same = " AND ".join(f"s.{name} IS NOT DISTINCT FROM t.{name}" for name in GROUP[1:])
        period = "BETWEEN (SELECT min(bucket) FROM touched) AND (SELECT max(bucket) FROM touched)"
        self._run(f"DELETE FROM hourly AS s USING touched AS t WHERE s.bucket = t.bucket AND {same} AND s.bucket {period}")
        since, until = "(SELECT min(bucket) FROM touched)", f"(SELECT max(bucket) FROM touched) + to_microseconds({self._width})"
        span = f"s.time >= {since} AND s.time < {until}"
        groups = f"SEMI JOIN touched AS t ON {self._bucket('s.time')} = t.bucket AND {same}"
        self._run(f"INSERT INTO hourly {self._sums('submissions', f'{groups} WHERE {span}')}")


INCOMING = ", ".join(
    [*(f"CAST({name} AS {kind}) AS {name}" for name, kind in COLUMNS.items()), "CAST(spelling AS VARCHAR) AS spelling", "TRUE AS fresh"]
)
"""SQL for the columns of the temporary table of incoming rows; a column of nulls alone has no type of its own."""


def _rows(commit: Commit) -> list[Submission]:
    """All rows, each with the key of its account."""
    changes, keys = commit.changes, commit.account_keys
    found = [*changes.rows.values(), *(row for messages in changes.messages for row in messages.rows())]
    return [row._replace(account_key=keys[row.account]) if row.account in keys and not row.account_key else row for row in found]


def _columns(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in COLUMNS)
