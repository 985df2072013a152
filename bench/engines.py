"""
How fast reports come from ClickHouse, beside DuckDB with the same rows.

    python bench/engines.py                          10,000,000 rows in 13 months
    python bench/engines.py --rows 100000000         ten times as many: 15 GB of disk, and an hour to make

A DuckDB store of so many rows is made (large_store.py) and copied into ClickHouse, inside this process (chDB), into the very
tables that the program makes; both are kept. `migrate` does the same by the day; here rows cross a month at a time as
Parquet, which takes a third of the time. With `--prove`, `migrate` then compares numbers and checksums of each day.
Each month is one part in the end, as a server leaves it an hour after its last row; with `--apart` it is three that have
rows of all hours, the worst that several hosts can do, and nothing merges them.

Then each report with its chart is asked of both in turn, for 7, 30 and 365 days, each time of another last day. Median and
95th percentile of the seconds that went by are printed, and the median of processor seconds, of all threads. Both must
answer the same.

What goes wrong
    The two do not hold the same, or do not answer the same: one line, exit status 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from large_store import DAY, END, START, large_store
from measure import CACHE
from smtp_auth_report.moments import now
from smtp_auth_report.reports import REPORTS, ask
from smtp_auth_report.store import copying, open_store
from smtp_auth_report.store.clickhouse import connected
from smtp_auth_report.store.clickhouse_copying import COPIED, ClickEnd
from smtp_auth_report.store.clickhouse_opening import prepare
from smtp_auth_report.store.clickhouse_place import placed
from smtp_auth_report.store.dialects import CLICKHOUSE, DUCKDB
from smtp_auth_report.store.dimensions import DIMENSIONS
from smtp_auth_report.store.duckdb_copying import DuckEnd
from smtp_auth_report.store.interface import Selection, Store, View
from smtp_auth_report.store.reading_state import ReadingState
from smtp_auth_report.store.sums import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smtp_auth_report.reports.interface import Report, Table
    from smtp_auth_report.store.clickhouse_client import Client

PERIODS = (7, 30, 365)
MEMORY = "2GB"  # of DuckDB, while rows are copied
OPENED = "opened >= {0} AND opened < {1}"

PARTS = 3
MONTH = 100_000_000  # rows, more than a month has
NEVER_MERGED = {
    "max_bytes_to_merge_at_max_space_in_pool": 1,
    "max_bytes_to_merge_at_min_space_in_pool": 1,
    "min_age_to_force_merge_seconds": 0,
}


class Cost(NamedTuple):
    """Of one answer."""

    seconds: float
    processor: float


def click_store(folder: Path, database: Path, *, prove: bool, apart: bool) -> str:
    """The name of a ClickHouse database with the rows of a DuckDB file, from `folder` where it was made before."""
    name = f"{database.stem}-apart" if apart else database.stem
    whole, unfinished = (folder / f"{name}{ending}" for ending in (".chdb", ".copying"))
    if not whole.exists():
        began = time.perf_counter()
        _copy(database, unfinished, prove=prove, apart=apart)
        unfinished.rename(whole)
        print(f"copied into ClickHouse in {time.perf_counter() - began:.0f} s", flush=True)
    return f"chdb://{whole}"


def _copy(database: Path, folder: Path, *, prove: bool, apart: bool) -> None:
    place = placed(f"chdb://{folder}")
    with (
        closing(duckdb.connect(str(database), read_only=True, config={"memory_limit": MEMORY})) as connection,
        closing(connected(place, "", read_only=False)) as clients,
        clients.client() as client,
    ):
        said = prepare(client.rows, place, read_only=False, zone="UTC", now=now())
        state = ReadingState(folder.with_suffix(".reading"), said["store"])
        source, target = DuckEnd(connection, str(database)), ClickEnd(client, state, now())
        target.begin(source.name)
        for dimension in DIMENSIONS:
            for values in source.values(dimension):
                target.add_values(dimension, values)
        for kept in copying.WHOLE:
            target.replace(kept, range(1), source.read(kept, range(1)))
        if apart:
            client.run(f"ALTER TABLE {ROWS} MODIFY SETTING {', '.join(f'{name} = {value}' for name, value in NEVER_MERGED.items())}")
        for low, high in _months():
            _copy_rows(connection, client, low, high, folder.with_suffix(".parquet"), PARTS if apart else 1)
        if prove:
            done = copying.migrate(source, target, lambda *_: None)
            print(f"migrate: numbers and checksums of {done.days} days agree, {done.copied} rows were missing", flush=True)
        else:
            target.settle({name: value for name, value in source.settled().items() if name in copying.SETTLED})
            target.end()
        for table in (*(each.table for each in DIMENSIONS), *([] if apart else [ROWS])):
            client.run(f"OPTIMIZE TABLE {table} FINAL SETTINGS optimize_skip_merged_partitions = 1")
        while client.rows("SELECT count() FROM system.merges")[0][0]:
            time.sleep(1)


def _months() -> Iterator[tuple[int, int]]:
    """Moments between which the rows of each month were opened."""
    day = datetime.fromtimestamp(START / 1e6 - 86_400, UTC).replace(day=1, hour=0, minute=0, second=0)
    while (low := int(day.timestamp()) * 1_000_000) < END:
        day = (day + timedelta(days=32)).replace(day=1)
        yield low, int(day.timestamp()) * 1_000_000


def _copy_rows(connection: duckdb.DuckDBPyConnection, client: Client, low: int, high: int, file: Path, parts: int) -> None:
    """The rows of a month, unless they are there."""
    there = OPENED.format(*(CLICKHOUSE.instant.format(edge) for edge in (low, high)))
    if client.rows(f"SELECT count() FROM {ROWS} WHERE {there}")[0][0]:
        return
    began = time.perf_counter()
    named = {name: f"s.{name}" for name in copying.SUBMISSIONS.columns}
    named |= {name: DUCKDB.micros.format(f"s.{name}") for name in copying.SUBMISSIONS.of_kind("time")}
    named |= {each.column: f"{each.column}.number" for each in DIMENSIONS}
    joins = " ".join(f"JOIN hash_of_{each.table} AS {each.column} ON {each.column}.id = s.{each.column}" for each in DIMENSIONS)
    here = OPENED.format(*(DUCKDB.instant.format(edge) for edge in (low, high)))
    lists = ", ".join(f"{sql} AS {name}" for name, sql in named.items())
    connection.execute(f"COPY (SELECT {lists} FROM submissions AS s {joins} WHERE {here}) TO '{file}' (COMPRESSION lz4)")
    taken = {name: CLICKHOUSE.instant.format(name) if name in copying.SUBMISSIONS.of_kind("time") else name for name in named}
    taken |= {"writer": f"toUInt64({COPIED})", "written": f"toUInt64({2 * now()})", "gone": "0"}
    blocks = f"SETTINGS max_insert_block_size = {MONTH}, min_insert_block_size_rows = {MONTH}" if parts > 1 else ""
    for part in range(parts):
        source = f"SELECT {', '.join(taken.values())} FROM file('{file}', 'Parquet') WHERE key % {parts} = {part}"
        client.run(f"INSERT INTO {ROWS} ({', '.join(taken)}) {source} {blocks}")
    file.unlink()
    print(f"{datetime.fromtimestamp(low / 1e6, UTC):%Y-%m} copied in {time.perf_counter() - began:.0f} s", flush=True)


def compare(duck: Store, click: Store, reports: Sequence[Report], periods: Sequence[int], repeat: int) -> None:
    """Print what each report costs on both."""
    heads = " ".join(f"{engine:>10} {'p95':>6} {'CPU':>6}" for engine in ("DuckDB", "ClickHouse"))
    print(f"{'report':<16} {'days':>4} {heads}  ratio of CPU")
    for days in periods:
        for report in reports:
            both: tuple[list[Cost], list[Cost]] = [], []
            for back in range(repeat):
                end = END - back * DAY
                selection = Selection(end - days * DAY, end, "UTC")
                first, second = (_asked(store, report, selection, costs) for store, costs in zip((duck, click), both, strict=True))
                if (first.rows, first.totals, first.series) != (second.rows, second.totals, second.series):
                    sys.exit(f"bench/engines.py: {report.name} of {days} days before {end}: the two do not answer the same")
            ratio = median(click.processor / duck.processor for duck, click in zip(*both, strict=True))
            print(f"{report.name:<16} {days:>4} {' '.join(map(_told, both))} {ratio:6.1f}", flush=True)


def _asked(store: Store, report: Report, selection: Selection, costs: list[Cost]) -> Table:
    began, worked = time.perf_counter(), time.process_time()
    table = ask(report, store, selection, View(limit=50))
    costs.append(Cost(time.perf_counter() - began, time.process_time() - worked))
    return table


def _told(costs: Sequence[Cost]) -> str:
    """Median and 95th percentile of seconds, median of processor seconds."""
    seconds = [cost.seconds for cost in costs]
    high = quantiles(seconds, n=20, method="inclusive")[-1] if len(costs) > 1 else seconds[0]
    return f"{median(seconds):10.2f} {high:6.2f} {median(cost.processor for cost in costs):6.2f}"


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure reports on ClickHouse beside DuckDB.")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of each database (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="answers to each question (default: %(default)s)")
    parser.add_argument("--days", type=int, nargs="+", default=PERIODS, help="lengths of the periods asked for (default: 7 30 365)")
    parser.add_argument("--reports", nargs="+", default=list(REPORTS), choices=list(REPORTS), help="which (default: all)")
    parser.add_argument("--prove", action="store_true", help="compare numbers and checksums of each day after copying")
    parser.add_argument("--apart", action="store_true", help="months of three parts in ClickHouse, never merged")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where databases are kept (default: %(default)s)")
    arguments = parser.parse_args()
    file = large_store(arguments.cache, arguments.rows)
    name = click_store(arguments.cache, file, prove=arguments.prove, apart=arguments.apart)
    state = arguments.cache / f"{file.stem}.copying"
    with (
        closing(open_store(str(file), read_only=True)) as duck,
        closing(open_store(name, read_only=True, state=state)) as click,
    ):
        folder = Path(name.removeprefix("chdb://"))
        print(
            f"bytes a row: {file.stat().st_size / arguments.rows:.0f} in DuckDB, {size(folder) / arguments.rows:.0f} in ClickHouse",
            flush=True,
        )
        compare(duck, click, [REPORTS[name] for name in arguments.reports], arguments.days, arguments.repeat)
    return 0


if __name__ == "__main__":
    sys.exit(main())
