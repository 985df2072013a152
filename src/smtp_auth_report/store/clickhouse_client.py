"""
Talking to ClickHouse: a server, or the engine inside this process (chDB).

    clients = Clients(placed("clickhouse://report@ch.example:8443/mail?secure=1"), password="…")
    with clients.client() as client:                    for one thread; a session of its own
        client.rows("SELECT … WHERE time < $end", {"end": 5})      rows, each a tuple
        client.run("CREATE TEMPORARY TABLE …")
        client.insert("hourly", {"bucket": [0], "subject": np.array([7])})
        client.delete("accounts", "account = $name", {"name": "anna"})     it is done when this ends
    clients.close()

SQL names parameters as everywhere here, `$name`; what crosses is `{name:Type}`, of a type that the value tells, so that no
value ever becomes part of the SQL. Moments go in and come out as microseconds UTC.

The settings that make ClickHouse answer as DuckDB does are in one place, below. What is read is always as if all parts had
been merged (`final`), so that an answer never depends on when that happens.

What goes wrong
    StoreError: the package clickhouse-connect, or chdb, is not installed.
    AwayError: the server is older than `NEEDED`.
    What the server says is raised as clickhouse-connect has it; clickhouse_errors.py says it in the administrator's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np

from smtp_auth_report.errors import AwayError, ReportError, StoreError
from smtp_auth_report.store import clickhouse_cluster
from smtp_auth_report.store.clickhouse_cluster import altered
from smtp_auth_report.store.clickhouse_place import Place
from smtp_auth_report.words import worded

SETTINGS: Mapping[str, int | str] = {
    "final": 1,  # what was replaced or deleted is never seen, merged or not
    "do_not_merge_across_partitions_select_final": 1,  # partitions are cut by what identifies a row
    "join_use_nulls": 1,  # as DuckDB, and every standard, has it
    "cast_keep_nullable": 1,
    "prefer_column_name_to_alias": 1,
    "union_default_mode": "DISTINCT",
    "count_distinct_implementation": "uniqExact",  # a count of distinct accounts is exact
    "max_query_size": 64 << 20,  # a commit names the keys of its rows
}

NEWER_SETTINGS: Mapping[str, int | str] = {
    "use_skip_indexes_if_final_exact_mode": 1,  # an index never hides that a row was replaced
    "enable_shared_storage_snapshot_in_query": 1,  # all parts of one query see one state
    "least_greatest_legacy_null_behavior": 0,
    "query_plan_join_swap_table": "false",  # what is looked up is the smaller side; guessed otherwise, a join takes six times as long
}
"""What not every version knows, and is set where it does."""

NEEDED = (25, 8)
"""The oldest version that knows all settings on which answers depend, of those that are maintained for long."""

BIGGEST = 2**63

Parameters = Mapping[str, Any]
Row = tuple[Any, ...]


class Clients:
    """Connections to one database: each is lent to one thread at a time, and kept for the next."""

    def __init__(self, place: Place, password: str = "") -> None:
        self.place = place
        self._open = _opener(place, password)
        self._lock = Lock()
        self._idle: list[Client] = [Client(self._open(), place)]

    @contextmanager
    def client(self) -> Iterator[Client]:
        """One that nobody else has. After an error of its own it is not used again: what it is in the middle of is not known."""
        with self._lock:
            held = self._idle.pop() if self._idle else None
        client = held or Client(self._open(), self.place)
        try:
            yield client
        except ReportError:
            self._give_back(client)
            raise
        except BaseException:
            client.close()
            raise
        self._give_back(client)

    def _give_back(self, client: Client) -> None:
        with self._lock:
            self._idle.append(client)

    def close(self) -> None:
        """Those that nobody has."""
        with self._lock:
            idle, self._idle = self._idle, []
        for client in idle:
            client.close()


def _opener(place: Place, password: str) -> Callable[[], Any]:
    """What makes a connection."""
    try:
        import clickhouse_connect  # noqa: PLC0415 - only where such a database is named

        if place.folder:
            import chdb  # noqa: F401, PLC0415 - so that it is missed here, and by name
    except ModuleNotFoundError as error:
        raise StoreError(
            worded("{database}: needs {package}; run pip install '{extra}'", database=place.name, package=error.name, extra=_extra(place))
        ) from None
    if place.folder:
        return lambda: clickhouse_connect.get_client(interface="chdb", path=place.folder)
    options: dict[str, Any] = dict(place.options)

    def connect() -> Any:
        connection = clickhouse_connect.get_client(
            host=place.host,
            port=place.port,
            username=place.user,
            password=password or place.password,
            database=place.database,
            interface="https" if place.secure else "http",
            **options,
        )
        _refuse_old(place, connection.server_version or "")
        return connection

    return connect


def _refuse_old(place: Place, version: str) -> None:
    """Raises for a server that would not answer as others do."""
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < NEEDED:
        needed = ".".join(map(str, NEEDED))
        told = worded(
            "the server is too old: it is ClickHouse {version}, and {needed} or newer is needed; update it", version=version, needed=needed
        )
        raise AwayError(worded("{place}: {words}", place=place.name, words=told))


def _extra(place: Place) -> str:
    return "clickhouse-connect[chdb]" if place.folder else "smtp-auth-report[clickhouse]"


class Client:
    """One connection, for one thread at a time."""

    def __init__(self, connection: Any, place: Place) -> None:
        self._connection = connection
        self.place = place
        self._types: dict[str, dict[str, str]] = {}
        known = connection.server_settings
        newer = {name: value for name, value in NEWER_SETTINGS.items() if name in known}
        for name, value in {**SETTINGS, **newer, **(clickhouse_cluster.SETTINGS if place.cluster else {})}.items():
            connection.set_client_setting(name, value)

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """What a query gives."""
        typed, values = bound(sql, parameters or {})
        return [tuple(row) for row in self._connection.query(typed, parameters=values).result_rows]

    def batches(self, sql: str, parameters: Parameters | None = None) -> Iterator[list[Row]]:
        """The same, some rows at a time, as they come."""
        typed, values = bound(sql, parameters or {})
        with self._connection.query_row_block_stream(typed, parameters=values) as stream:
            for block in stream:
                yield [tuple(row) for row in block]

    def arrays(self, sql: str, parameters: Parameters | None = None) -> Iterator[dict[str, Sequence[Any]]]:
        """The same as columns."""
        typed, values = bound(sql, parameters or {})
        with self._connection.query_column_block_stream(typed, parameters=values) as stream:
            names = stream.source.column_names
            for block in stream:
                yield dict(zip(names, block, strict=True))

    def run(self, sql: str, parameters: Parameters | None = None) -> None:
        """A statement that gives nothing."""
        typed, values = bound(sql, parameters or {})
        self._connection.command(typed, parameters=values)

    def delete(self, table: str, where: str, parameters: Parameters | None = None) -> None:
        """Rows go from all parts, on every host that has some."""
        self.run(f"ALTER TABLE {altered(table, self.place)} DELETE WHERE {where} SETTINGS mutations_sync = 2", parameters)

    def merge(self, table: str) -> None:
        """Of what was replaced nothing stays."""
        self.run(f"OPTIMIZE TABLE {altered(table, self.place)} FINAL")

    def insert(self, table: str, columns: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]], token: str = "") -> None:
        """Add rows. The same rows with the same `token` are added once, as far as the server remembers tokens."""
        types = self._types.get(table) or self._types.setdefault(table, dict(self.rows(TYPES, {"table": table})))
        self._connection.insert(
            table,
            [listed(column) for column in columns.values()],
            column_names=list(columns),
            column_type_names=[types[name] for name in columns],
            column_oriented=True,
            settings={"insert_deduplication_token": token} if token else None,
        )

    def close(self) -> None:
        self._connection.close()


TYPES = "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = $table"


def listed(column: Sequence[Any] | np.ndarray[Any, Any]) -> list[Any]:
    """Values as they are inserted: what is masked is null, moments are microseconds."""
    if not isinstance(column, np.ndarray):
        return list(column)
    plain: list[Any] = (column.view(np.int64) if column.dtype.kind == "M" else column).tolist()
    return plain


def bound(sql: str, parameters: Parameters) -> tuple[str, dict[str, Any]]:
    """The SQL with typed parameters, and those that it names."""
    named = {name for name in re.findall(r"\$(\w+)", sql) if name in parameters}
    typed = re.sub(r"\$(\w+)", lambda found: f"{{{found[1]}:{type_of(parameters[found[1]])}}}", sql)
    return typed, {name: _crossing(parameters[name]) for name in named}


def type_of(value: Any) -> str:
    """ClickHouse's type for a parameter."""
    if isinstance(value, list | tuple | set | frozenset):
        return f"Array({_type_of_all(list(value))})"
    return "Nullable(String)" if value is None else _type_of_all([value])


def _type_of_all(values: Sequence[Any]) -> str:
    if not values or isinstance(values[0], str):
        return "String"
    if isinstance(values[0], float):
        return "Float64"
    return "UInt64" if max(values) >= BIGGEST else "Int64"


def _crossing(value: Any) -> Any:
    if isinstance(value, list | tuple | set | frozenset):
        return list(map(_crossing, value))
    return int(value) if isinstance(value, bool) else value
