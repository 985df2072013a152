"""
How fast the pages come when there is much to show.

    python bench/pages.py                                  1,000,000 rows in 13 months
    python bench/pages.py --rows 1000000 100000000         the same, a hundred times as many, and how much slower that is

A store of so many rows is made (large_store.py) and kept. Then `serve` runs on it, every page is fetched for 7, 30 and 365
days, and the median and 95th percentile of its time are printed. Each fetch asks for another last day, so that no answer
is one that was kept. 100,000,000 rows take 6 GB of disk and ten minutes to make.

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

from large_store import large_store
from measure import CACHE, ENVIRONMENT, PROGRAM, held

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    "/report?by=sending-volume&view=table&sort=-client_addresses",
    "/report?by=sending-volume&view=table&sort=-ratio",
    "/report?by=sending-volume&view=table&domain=customer7.example",
    "/report?by=clients&client=10.0.0.0/20",
    "/account?name=user77%40customer77.example",
)


@contextmanager
def served(database: Path, *options: str) -> Iterator[tuple[int, int, float]]:
    """Port and process id of a running `serve`, and seconds until it listened."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [PROGRAM, "serve", "--database", database, "--listen", f"127.0.0.1:{port}", *options]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(3000):
            with closing(socket.socket()) as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            if process.poll() is not None:
                sys.exit(f"bench/pages.py: serve did not start: {process.communicate()[1].decode()}")
            time.sleep(0.01)
        yield port, process.pid, time.perf_counter() - began
    finally:
        process.terminate()
        process.communicate(timeout=30)


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


def measure(database: Path, repeat: int) -> dict[str, float]:
    """Print what every page costs; medians in milliseconds."""
    medians: dict[str, float] = {}
    with served(database) as (port, pid, started):
        print(f"first answer of serve after {started:.1f} s")
        fetch(port, DASHBOARD)
        print(f"{'page':<64} {'days':>4} {'median ms':>10} {'p95 ms':>8} {'kB':>6}")
        medians[DASHBOARD] = show(DASHBOARD, 7, [fetch(port, DASHBOARD) for _ in range(repeat)])
        for page in PAGES:
            for days in PERIODS:
                answers = [fetch(port, address(page, days, back)) for back in range(repeat)]
                medians[f"{page} {days}"] = show(page, days, answers)
        print(f"database {database.stat().st_size / 1e6:.1f} MB, memory of serve {held(pid) / 1e6:.0f} MB")
    return medians


def show(page: str, days: int, answers: list[tuple[float, int]]) -> float:
    times = [seconds * 1000 for seconds, _ in answers]
    p95 = quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]
    size = max(size for _, size in answers) / 1000
    print(f"{page:<64} {days:>4} {median(times):10.1f} {p95:8.1f} {size:6.0f}", flush=True)
    return median(times)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the time of the pages over large databases.")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000], help="rows of each database (default: 1000000)")
    parser.add_argument("--repeat", type=int, default=20, help="fetches of each page (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where databases are kept (default: %(default)s)")
    arguments = parser.parse_args()
    found = []
    for rows in sorted(arguments.rows):
        database = large_store(arguments.cache, rows)
        print(f"{rows:,} rows, {database.stat().st_size / rows:.1f} MB per million")
        found.append(measure(database, arguments.repeat))
    if len(found) > 1:
        growth = sorted(found[-1][page] / found[0][page] for page in found[0])
        print(f"from the fewest rows to the most, pages take {median(growth):.1f} times as long in the median, {growth[-1]:.1f} at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
