"""
Both engines with the same rows, for tests that ask each and compare.

    with clickhouse() as clients: ...           an empty database, of the server that CLICKHOUSE_URL names, else of chDB
    with both(duck) as clients: ...             with what a DuckDB store has
    stir(client)                                the same, with much that was replaced or is gone in parts of its own
    merge(client)                               the same, as the server has it once nobody has written for an hour
    with looking(clients) as click: assert duck.ask(...) == click.ask(...)
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from engines import chdb_folder, empty
from rows import NOON
from smtp_auth_report.store.clickhouse_client import Client, Clients
from smtp_auth_report.store.clickhouse_copying import ClickEnd
from smtp_auth_report.store.clickhouse_opening import prepare
from smtp_auth_report.store.clickhouse_place import placed
from smtp_auth_report.store.copying import migrate
from smtp_auth_report.store.duckdb import DuckStore
from smtp_auth_report.store.duckdb_copying import DuckEnd
from smtp_auth_report.store.reading_state import ReadingState


@contextmanager
def clickhouse() -> Iterator[Clients]:
    """An empty database with its tables."""
    url = os.environ.get("CLICKHOUSE_URL", "")
    if url:
        place = placed(url)._replace(database=f"test_{secrets.token_hex(4)}")
        server = Clients(placed(url))
        with server.client() as client:
            on = f"ON CLUSTER '{place.cluster}'" if place.cluster else ""
            client.run(f"CREATE DATABASE {place.database} {on}")
    else:
        place = placed(f"chdb://{chdb_folder()}")
    clients = Clients(place)
    try:
        with clients.client() as client:
            empty(client)
            prepare(client.rows, place, read_only=False, zone="UTC", now=NOON)
        yield clients
    finally:
        clients.close()
        if url:
            with server.client() as client:
                client.run(f"DROP DATABASE {place.database} {on} SYNC")
            server.close()


@contextmanager
def both(duck: DuckStore) -> Iterator[Clients]:
    """A database with what a store of DuckDB has."""
    with clickhouse() as clients:
        with clients.client() as client, duck._connection.cursor() as cursor, TemporaryDirectory() as folder:
            click = ClickEnd(client, ReadingState(Path(folder, "reading"), "store"), NOON)
            migrate(DuckEnd(cursor, "duckdb"), click, lambda *_: None)
        yield clients


JOINED = ("submissions", "hourly", "subjects", "manners", "clients")
"""Tables that questions read together."""

STIRRED = (
    "submissions SELECT * REPLACE (written - 2 AS written, 7 AS recipients, reverse(queue_id) AS queue_id) FROM submissions",
    "submissions SELECT * REPLACE (bitXor(key, 1099511627776) AS key, written + 1 AS written, 1 AS gone) FROM submissions",
    "submissions SELECT * REPLACE (bitXor(key, 1099511627776) AS key) FROM submissions WHERE key % 2 = 0",
    "hourly SELECT * REPLACE (written - 1 AS written, messages + 9 AS messages) FROM hourly",
    "subjects SELECT * REPLACE (written - 2 AS written, NULL AS account, NULL AS account_id, 'x' AS sender) FROM subjects",
    "manners SELECT * REPLACE (written - 2 AS written, 'rejected' AS outcome) FROM manners",
    "clients SELECT * REPLACE (written - 2 AS written, '192.0.2.99' AS client_ip) FROM clients",
)


def stir(client: Client) -> None:
    """Earlier versions of all rows are written after the later ones, and rows that are gone before they were there."""
    for insert in STIRRED:
        client.run(f"INSERT INTO {insert}")


def merge(client: Client) -> None:
    """One part for each month."""
    for table in JOINED:
        client.merge(table)
