"""
Submissions in one DuckDB file.

    store = DuckStore("mail.duckdb", display_zone="Europe/Paris", read_only=False, default_domain=None, clock=clock)

One process writes; its threads ask at the same time, each through a cursor of its own, and see the last commit.

What goes wrong
    StoreError when the file cannot be opened, read or written; SelectionError when a question is asked with a filter
    or sorted by a column that it does not have.

See also
    interface.py, what is promised; relations.py, what questions read; duckdb_writing.py, one commit
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

import duckdb

from smtp_auth_report.changes import Applied, Commit, Position, Remembered, Withheld
from smtp_auth_report.errors import SelectionError, StoreError
from smtp_auth_report.store import duckdb_notes as notes
from smtp_auth_report.store.dialects import DUCKDB
from smtp_auth_report.store.duckdb_errors import explained
from smtp_auth_report.store.duckdb_opening import connect, migrate
from smtp_auth_report.store.duckdb_sealing import read_coverage, read_span
from smtp_auth_report.store.duckdb_writing import Writer
from smtp_auth_report.store.filters import COLUMNS, NULL_SENDER, UNKNOWN, Conditions, like, read_filters, within
from smtp_auth_report.store.interface import Answer, Progress, Question, Selection, StreamState, UnreadCount, View
from smtp_auth_report.store.local_time import bucket_minutes
from smtp_auth_report.store.relations import answer, build, rows
from smtp_auth_report.submission import Submission

SPELLED = ", ".join(
    f"epoch_us(s.{name})" if name in ("opened", "time") else "coalesce(a.spelling, s.account)" if name == "account" else f"s.{name}"
    for name in Submission._fields
)
"""SQL for the fields of a Submission."""


class DuckStore:
    """See `Store` in interface.py."""

    def __init__(
        self,
        database: str,
        *,
        display_zone: str,
        read_only: bool,
        default_domain: str | None,
        clock: Callable[[], int],
        memory_limit: str = "",
    ) -> None:
        self._database = database
        self._read_only = read_only
        self.default_domain = default_domain
        self._connection = connect(database, read_only=read_only, memory_limit=memory_limit)
        self._writing = Lock()
        try:
            with explained(database):
                migrate(self._connection, database, read_only=read_only)
                self.bucket_minutes = self._bucket(display_zone, read_only=read_only)
                self._writer = Writer(
                    self._connection,
                    bucket_minutes=self.bucket_minutes,
                    display_zone=display_zone,
                    default_domain=default_domain,
                    clock=clock,
                )
        except BaseException:
            self._connection.close()
            raise

    def _bucket(self, display_zone: str, *, read_only: bool) -> int:
        """Width of the hourly sums; settled by the zone in which a database is first used."""
        if not read_only:
            self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('bucket_minutes', ?)", [str(bucket_minutes(display_zone))])
        return int(self._connection.execute("SELECT value FROM meta WHERE name = 'bucket_minutes'").fetchall()[0][0])

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with explained(self._database), self._connection.cursor() as cursor:
            yield cursor

    @contextmanager
    def _snapshot(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor that sees one state of the store."""
        with self._cursor() as cursor:
            cursor.execute("BEGIN TRANSACTION")
            yield cursor
            cursor.execute("COMMIT")

    def commit(self, commit: Commit) -> Applied:
        if self._read_only:
            raise StoreError(f"{self._database}: cannot be written: it was opened for reading only")
        with self._writing, explained(self._database):
            return self._writer.apply(commit)

    def close(self) -> None:
        with self._writing, explained(self._database):
            self._connection.close()

    # What is kept beside the rows

    def positions(self) -> list[Position]:
        with self._cursor() as cursor:
            return notes.read_positions(cursor.execute)

    def remembered(self, source: str) -> list[Remembered]:
        with self._cursor() as cursor:
            return notes.read_remembered(cursor.execute, source)

    def names(self) -> tuple[set[str], set[str]]:
        with self._cursor() as cursor:
            known = cursor.execute("SELECT account, account_domain FROM accounts").fetchall()
        return {account for account, _ in known}, {domain for _, domain in known if domain is not None}

    def withheld(self) -> list[Withheld]:
        with self._cursor() as cursor:
            return notes.read_withheld(cursor.execute)

    def expire(self, before: int) -> int:
        with self._writing, explained(self._database):
            return self._writer.expire(before)

    def erase(self, account: str, key: str, remembered: Sequence[Remembered] = ()) -> int:
        with self._writing, explained(self._database):
            return self._writer.erase(account, key, remembered)

    def seal(self) -> None:
        more = True
        while more:
            with self._writing, explained(self._database):
                more = self._writer.seal()

    def unread(self, start: int | None = None, end: int | None = None) -> list[UnreadCount]:
        with self._cursor() as cursor:
            return notes.read_unread(cursor.execute, start, end)

    def gaps(self, start: int, end: int) -> int:
        with self._cursor() as cursor:
            return notes.read_gaps(cursor.execute, start, end)

    def progress(self) -> list[Progress]:
        with self._cursor() as cursor:
            return notes.read_progress(cursor.execute)

    def streams(self) -> list[StreamState]:
        with self._cursor() as cursor:
            return notes.read_streams(cursor.execute)

    # Questions

    def ask(self, question: Question, selection: Selection, view: View = View()) -> Answer:  # noqa: B008 (frozen)
        with self._snapshot() as cursor:
            conditions = self._conditions(cursor, selection)
            relations = build(question, selection, conditions, read_coverage(cursor.execute, self.bucket_minutes), DUCKDB)
            query = answer(question, view, relations)
            found = cursor.execute(query.sql, query.parameters).fetchall()
        marked = 1 + len(question.sums)
        return Answer(
            rows=[row[marked + 1 :] for row in found if row[marked]],
            total=int(found[0][0]),
            sums={name: int(value) for name, value in zip(question.sums, found[0][1:marked], strict=True)},
        )

    def _conditions(self, cursor: duckdb.DuckDBPyConnection, selection: Selection) -> Conditions:
        """Filters of a selection, with networks resolved to the addresses that the store has in them."""
        conditions = read_filters(selection)
        for network in conditions.networks:
            near = cursor.execute("SELECT DISTINCT client_ip FROM clients WHERE client_ip LIKE ?", [like(network)]).fetchall()
            conditions.addresses |= within([network], (row[0] for row in near))
        return conditions

    def choices(self, column: str, selection: Selection, search: str = "", limit: int = 200) -> list[tuple[str, int]]:
        if column not in COLUMNS:
            raise SelectionError(f"there is no filter {column!r}; filters are {', '.join(COLUMNS)}")
        name = COLUMNS[column]
        value = f"CASE WHEN sender = '' THEN '{NULL_SENDER}' ELSE sender END" if name == "sender" else name
        shown = f"coalesce({value}, '{UNKNOWN}')"
        counted = "messages" if column == "outcome" else "CASE WHEN outcome = 'accepted' THEN messages ELSE 0 END"
        relation = "events" if column == "client" else "facts"
        question = Question(
            sql=f"SELECT {shown} AS {name}, sum({counted}) AS messages FROM {relation} GROUP BY {shown}",
            columns=(name, "messages"),
            searched=(name,),
        )
        found = self.ask(question, selection, View(sort="messages", search=search, limit=limit)).rows
        return [(str(value), int(messages or 0)) for value, messages in found]

    # The rows themselves

    def submissions(self, selection: Selection, size: int = 10_000) -> Iterator[list[Submission]]:
        with self._cursor() as cursor:
            query = rows(selection, self._conditions(cursor, selection), Submission._fields, DUCKDB)
            spelled = f"SELECT {SPELLED} FROM ({query.sql}) AS s LEFT JOIN accounts AS a ON a.account = s.account"
            cursor.execute(f"{spelled} ORDER BY s.time, s.key, s.opened", query.parameters)
            while part := cursor.fetchmany(size):
                yield [Submission(*row) for row in part]

    def count(self, selection: Selection) -> int:
        with self._cursor() as cursor:
            query = rows(selection, self._conditions(cursor, selection), ("key",), DUCKDB)
            return int(cursor.execute(f"SELECT count(*) FROM ({query.sql})", query.parameters).fetchall()[0][0])

    def span(self, scope: frozenset[str] | None = None) -> tuple[int, int] | None:
        with self._cursor() as cursor:
            if scope is None:
                return read_span(cursor.execute)
            subjects = "subject IN (SELECT id FROM subjects WHERE account_domain IN (SELECT unnest($scope)))"
            found = cursor.execute(
                f"""
                SELECT epoch_us(min(first)), epoch_us(max(last)) FROM (
                    SELECT min(time) AS first, max(time) AS last FROM submissions WHERE {subjects}
                    UNION ALL SELECT min(first_seen), max(last_seen) FROM hourly WHERE {subjects}
                ) AS spans
                """,
                {"scope": sorted(scope)},
            ).fetchall()[0]
        return None if found[0] is None else (int(found[0]), int(found[1]))
