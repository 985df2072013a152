"""
The two ends of a copy, opened by the names of their databases.

    with opened("mail.duckdb", place, new=False) as source, opened("chdb:///folder", place, new=True) as target:
        migrate(source, target, told)

Nobody else has either of them open, as far as an engine can tell: a DuckDB file or a folder of chDB is held, a server is not.

What goes wrong
    StoreError: a database that cannot be opened, or is in use; one to copy from that does not exist or is of an older version.

See also
    copying.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from smtp_auth_report.store.clickhouse_place import is_clickhouse, placed
from smtp_auth_report.store.copying import End
from smtp_auth_report.store.duckdb_copying import DuckEnd
from smtp_auth_report.store.duckdb_errors import explained
from smtp_auth_report.store.duckdb_opening import connect, migrate


class Circumstances(NamedTuple):
    """What else opening takes."""

    state: Path  # how far this host has read, where the rows are in ClickHouse
    password: str
    zone: str
    clock: Callable[[], int]
    memory_limit: str = ""


@contextmanager
def opened(database: str, given: Circumstances, *, new: bool) -> Iterator[End]:
    """One end; a `new` one is made where there is none."""
    if is_clickhouse(database):
        with _clickhouse(database, given, new=new) as end:
            yield end
        return
    with closing(connect(database, read_only=not new, memory_limit=given.memory_limit)) as connection, explained(database):
        migrate(connection, database, read_only=not new)
        yield DuckEnd(connection, database)


@contextmanager
def _clickhouse(database: str, given: Circumstances, *, new: bool) -> Iterator[End]:
    from smtp_auth_report.store.clickhouse import connected  # noqa: PLC0415 (only where such a database is named)
    from smtp_auth_report.store.clickhouse_copying import ClickEnd  # noqa: PLC0415 (only where such a database is named)
    from smtp_auth_report.store.clickhouse_errors import explained as said_by_clickhouse  # noqa: PLC0415 (only where such a database is named)
    from smtp_auth_report.store.clickhouse_opening import prepare  # noqa: PLC0415 (only where such a database is named)
    from smtp_auth_report.store.reading_state import ReadingState  # noqa: PLC0415 (only where such a database is named)

    place = placed(database)
    with (
        closing(connected(place, given.password, read_only=not new)) as clients,
        said_by_clickhouse(place.name),
        clients.client() as client,
    ):
        settled = prepare(client.rows, place, read_only=not new, zone=given.zone, now=given.clock())
        yield ClickEnd(client, ReadingState(given.state, settled["store"]), given.clock())
