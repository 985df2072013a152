"""
How much memory files of every row take, by the command and by `serve`.

    python bench/files.py                                 1,000,000 rows
    python bench/files.py --rows 1000000 10000000         the same, ten times as many, and how much more memory that takes
    python bench/files.py --format csv --format jsonl     these kinds alone

A store of so many rows is made (large_store.py) and kept. `export` writes all of it as each kind of file; then the first
kind is asked for at a running `serve`, which makes it beside its pages. Memory is the most that was held together, looked at
ten times a second or more often. Files go into a temporary folder: 10,000,000 rows take 6 GB of it, an hour or more, and
1 GB for the store.

What goes wrong
    A command fails, or another number of rows is written than are in the store: one line, exit status 1.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from large_store import END, START, large_store
from measure import CACHE, ENVIRONMENT, PROGRAM, compiled, held, highest, run
from pages import served
from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.moments import rfc3339

PAUSE = 0.1  # seconds between two looks at memory
ROUND = 20  # looks at memory between two at the progress
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')


def by_command(database: Path, kind: str, rows: int) -> tuple[int, int]:
    """Bytes of memory and of the file."""
    with TemporaryDirectory(dir=database.parent) as folder:
        ENVIRONMENT["TMPDIR"] = folder  # where Parquet's rows wait
        path = Path(folder, f"all.{kind}")
        cost = run(PROGRAM, "export", "--database", database, "--format", kind, "--output", path)
        if cost.messages.split()[0] != f"{rows:,}":
            sys.exit(f"bench/files.py: {kind}: {cost.messages.strip()}, and there are {rows}")
        return cost.memory, path.stat().st_size


def by_server(database: Path, kind: str, rows: int) -> tuple[int, int]:
    """Bytes of memory of a `serve` that makes the file, and of the file."""
    with TemporaryDirectory(dir=database.parent) as folder:
        ENVIRONMENT["TMPDIR"] = folder
        with served(database, "--state", str(Path(folder, "state.sqlite3"))) as (port, pid, _):
            _ask(port, kind)
            most = 0
            while (asked := _asked(port))["progress"] in ("waiting", "running"):
                for _ in range(ROUND):
                    most = max(most, held(pid))
                    time.sleep(PAUSE)
            most = max(most, highest(pid))
        if (asked["progress"], asked["rows"]) != ("done", rows):
            sys.exit(f"bench/files.py: {kind}: {asked['progress']}, {asked['rows']} rows, and there are {rows} {asked['failure']}")
        return most, asked["size"]


def _ask(port: int, kind: str) -> None:
    """By the form, as a browser without a session does."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=600)) as connection:
        connection.request("GET", "/requests")
        answer = connection.getresponse()
        [token] = set(TOKEN.findall(answer.read().decode()))
        cookie = (answer.headers["Set-Cookie"] or "").partition(";")[0]
        form = {"csrfmiddlewaretoken": token, "format": kind, "from": rfc3339(START), "to": rfc3339(END)}
        headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/requests", urlencode(form), headers)
        answer = connection.getresponse()
        if answer.status != 302:
            sys.exit(f"bench/files.py: /requests: status {answer.status}")


def _asked(port: int) -> dict[str, Any]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=600)) as connection:
        connection.request("GET", "/api/requests")
        [asked] = json.load(connection.getresponse())
        return dict(asked)


def measure(database: Path, rows: int, kinds: list[str]) -> dict[str, int]:
    """Print what each way takes; memory in bytes."""
    ways = {kind: (by_command, kind) for kind in kinds} | {f"{kinds[0]}, by serve": (by_server, kinds[0])}
    taken: dict[str, int] = {}
    for name, (make, kind) in ways.items():
        taken[name], size = make(database, kind, rows)
        print(f"{rows:>12,} rows, {name:<16} {taken[name] / 1e6:6.0f} MB of memory, {size / 1e6:8.0f} MB of file", flush=True)
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the memory that files of every row take.")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000], help="rows of each database (default: 1000000)")
    parser.add_argument("--format", action="append", choices=list(EXPORTS), help="kind of file; repeatable (default: every kind)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where databases are kept (default: %(default)s)")
    arguments = parser.parse_args()
    compiled()
    found = []
    for rows in sorted(arguments.rows):
        database = large_store(arguments.cache, rows)
        found.append(measure(database, rows, arguments.format or list(EXPORTS)))
    if len(found) > 1:
        growth = [found[-1][name] / found[0][name] for name in found[0]]
        print(f"from the fewest rows to the most, memory grows to {min(growth):.2f} to {max(growth):.2f} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
