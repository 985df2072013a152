"""
Stores of every engine, for tests that must come out the same on each.

    def test_something(engine: Engine) -> None:           runs once for each
        store = engine.open(lasting=True)                 a new, empty store; whatever the engine had before is gone
        another = engine.open_again("another host")       the same database; of ClickHouse, for a host with a state of its own
        store = engine.filled(fill, "Europe/Paris")       for tests that only read: what the test before had, where `fill` made that
        engine.sql(store, "SELECT count(*) FROM clients") what stands in its tables

A real server of ClickHouse is one more engine where CLICKHOUSE_URL names it; its database is emptied. Of chDB there is one
folder for all tests of a process, which can have no other open, and takes a second to open one.

STORE_EXAMPLES in the environment says of how many examples a property is tried, eight if nothing else; of ClickHouse it is a
quarter of them.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from rows import NOON
from smtp_auth_report.store import open_store
from smtp_auth_report.store.clickhouse import ClickStore
from smtp_auth_report.store.clickhouse_client import Client, Clients
from smtp_auth_report.store.clickhouse_cluster import altered
from smtp_auth_report.store.clickhouse_opening import LATEST, VERSION
from smtp_auth_report.store.clickhouse_place import placed
from smtp_auth_report.store.duckdb import DuckStore
from smtp_auth_report.store.interface import Store

Clock = Callable[[], int]
EXAMPLES = int(os.environ.get("STORE_EXAMPLES", "8"))


class Engine(ABC):
    """One engine, with one database at a time."""

    examples = EXAMPLES
    """Of a property."""

    def __init__(self) -> None:
        self._opened: list[Store] = []
        self._options: dict[str, Any] = {}
        self._filled: Callable[[Store], None] | None = None

    def open(
        self, zone: str = "UTC", default_domain: str | None = "contoso.example", clock: Clock = lambda: NOON, *, lasting: bool = False
    ) -> Store:
        """A new store; to be opened again where it is `lasting`."""
        self._filled = None
        self.close()
        self._empty()
        self._options = {"display_zone": zone, "default_domain": default_domain, "clock": clock, "lasting": lasting}
        return self.open_again("host")

    def open_again(self, host: str = "host", **changed: Any) -> Store:
        """The same store once more."""
        store = self._open(host, **(self._options | changed))
        self._opened.append(store)
        return store

    def filled(self, fill: Callable[[Store], None], zone: str) -> Store:
        """A store with what `fill` puts into it, which takes longer than to ask it."""
        if self._filled is fill:
            return self.open_again()
        store = self.open(zone, lasting=True)
        fill(store)
        self._filled = fill
        return store

    def close(self) -> None:
        """All stores that are open."""
        while self._opened:
            self._opened.pop().close()

    @abstractmethod
    def _empty(self) -> None: ...

    @abstractmethod
    def _open(self, host: str, **options: Any) -> Store: ...

    @abstractmethod
    def sql(self, store: Store, sql: str) -> list[tuple[Any, ...]]: ...


class DuckDb(Engine):
    """In memory, or in a file where a store is opened again. Several hosts are one process, which has it open."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._path = folder / "mail.duckdb"

    def _empty(self) -> None:
        self._path.unlink(missing_ok=True)

    def _open(self, host: str, *, lasting: bool = False, **options: Any) -> Store:
        del host
        return open_store(str(self._path) if lasting else ":memory:", **options)

    def sql(self, store: Store, sql: str) -> list[tuple[Any, ...]]:
        assert isinstance(store, DuckStore)
        return store._connection.execute(sql).fetchall()


class ClickHouse(Engine):
    """In a folder of chDB, or a server. States of hosts are in another folder."""

    examples = EXAMPLES // 4

    def __init__(self, database: str, folder: Path) -> None:
        super().__init__()
        self._database = database or f"chdb://{chdb_folder()}"
        self._folder = folder
        self._emptied = 0
        self._clients = Clients(placed(self._database), os.environ.get("CLICKHOUSE_PASSWORD", ""))

    def _empty(self) -> None:
        self._emptied += 1
        with self._clients.client() as client:
            empty(client)

    def _open(self, host: str, *, lasting: bool = True, **options: Any) -> Store:
        del lasting
        return open_store(
            self._database, state=self._folder / f"{self._emptied}-{host}", password=os.environ.get("CLICKHOUSE_PASSWORD", ""), **options
        )

    def sql(self, store: Store, sql: str) -> list[tuple[Any, ...]]:
        assert isinstance(store, ClickStore)
        with store._client() as client:
            return client.rows(sql)


FILLED = "SELECT DISTINCT table FROM system.parts WHERE database = currentDatabase() AND active"


def empty(client: Client) -> None:
    """Leave nothing but the tables, which take longer to make."""
    named = "SELECT name FROM system.tables WHERE database = currentDatabase() AND NOT is_temporary AND NOT endsWith(name, '_part')"
    filled = client.rows(named if client.place.cluster else FILLED)
    for (table,) in filled:
        client.run(f"TRUNCATE TABLE {altered(table, client.place)}")
    if ("meta",) in filled:
        client.insert("meta", {"name": ["schema"], "value": [str(VERSION)], "written": [LATEST], "gone": [0]})


@cache
def chdb_folder() -> Path:
    """The one of this process, which stays open."""
    folder = Path(tempfile.mkdtemp(prefix="chdb-"))
    kept = Clients(placed(f"chdb://{folder}"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(kept.close)
    return folder
