"""
How fast the pages come when there is much to show.

    python bench/pages.py                       1,000,000 messages in 13 months
    python bench/pages.py --messages 100000 --repeat 50

A log of so many messages is ingested once and its database kept. Then `serve` runs on it, every page is fetched for 7,
30 and 365 days, and the median and 95th percentile of its time are printed. Each fetch asks for another last day, so
that no answer is one that was kept.

What goes wrong
    `serve` does not start, or answers with anything but 200: one line, exit status 1.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

from large_log import Plan, large_log  # noqa: E402 - needs the path above
from measure import ENVIRONMENT, PROGRAM, held, run  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

MONTHS_13 = 396 * 86_400 * 1_000_000  # microseconds
SESSIONS_PER_MESSAGE = 0.93
LAST_DAY = datetime(2026, 2, 4, tzinfo=UTC)
PERIODS = (7, 30, 365)
DASHBOARD = "/"  # always of the last 7 days with rows
PAGES = (
    "/report?by=sending-volume",
    "/report?by=sending-volume&view=table",
    "/report?by=tls-usage",
    "/report?by=tls-usage&view=table",
    "/report?by=auth-methods",
    "/report?by=auth-methods&view=table",
    "/report?by=clients",
    "/report?by=failures",
    "/report?by=tls-usage&tls=legacy",
    "/api/reports/sending-volume?",
)


def database_of(cache: Path, messages: int) -> Path:
    """A database with so many messages, made where it is not there yet."""
    plan = Plan(messages=messages, envelope="iso", noise=0.02, pause=int(MONTHS_13 / (messages * SESSIONS_PER_MESSAGE)))
    database = cache / f"pages-{plan.name}.duckdb"
    if not database.exists():
        log = large_log(cache, plan)
        print(f"ingesting {log.found['accepted']:,} messages ...", flush=True)
        unfinished = database.with_suffix(".new.duckdb")
        unfinished.unlink(missing_ok=True)
        print(f"{run(PROGRAM, 'ingest', '--database', unfinished, log.path).seconds:.0f} seconds")
        unfinished.rename(database)
        log.path.unlink()
        log.path.with_suffix(".json").unlink()
    return database


@contextmanager
def served(database: Path) -> Iterator[tuple[int, int]]:
    """Port and process id of a running `serve`."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [PROGRAM, "serve", "--database", database, "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(300):
            with closing(socket.socket()) as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            if process.poll() is not None:
                sys.exit(f"bench/pages.py: serve did not start: {process.communicate()[1].decode()}")
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def fetch(port: int, address: str) -> tuple[float, int]:
    """Seconds and bytes of one answer."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        began = time.perf_counter()
        connection.request("GET", address)
        answer = connection.getresponse()
        content = answer.read()
        seconds = time.perf_counter() - began
    if answer.status != 200:
        sys.exit(f"bench/pages.py: {address}: status {answer.status}")
    return seconds, len(content)


def address(page: str, days: int, back: int) -> str:
    last = LAST_DAY - timedelta(days=back)
    return f"{page}&from={last - timedelta(days=days - 1):%Y-%m-%d}&to={last:%Y-%m-%d}".replace("?&", "?")


def show(page: str, days: int, answers: list[tuple[float, int]]) -> None:
    times = [seconds * 1000 for seconds, _ in answers]
    p95 = quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]
    size = max(size for _, size in answers) / 1000
    print(f"{page:<42} {days:>4} {median(times):10.1f} {p95:8.1f} {size:6.0f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the time of the pages over a large database.")
    parser.add_argument("--messages", type=int, default=1_000_000, help="accepted messages in the database (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=20, help="fetches of each page (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=ROOT / ".run" / "bench", help="where databases are kept (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    database = database_of(arguments.cache, arguments.messages)
    with served(database) as (port, pid):
        fetch(port, DASHBOARD)
        print(f"{'page':<42} {'days':>4} {'median ms':>10} {'p95 ms':>8} {'kB':>6}")
        show(DASHBOARD, 7, [fetch(port, DASHBOARD) for _ in range(arguments.repeat)])
        for page in PAGES:
            for days in PERIODS:
                show(page, days, [fetch(port, address(page, days, back)) for back in range(arguments.repeat)])
        print(f"database {database.stat().st_size / 1e6:.1f} MB, memory of serve {held(pid) / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
