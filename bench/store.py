"""
How fast the store takes rows and answers, on synthetic submissions.

    python bench/store.py --rows 1000000 --days 90 --accounts 2000 --domains 20

Prints the rate of commits, the latency of a commit of five rows, the size of the database, and the time of each
report over the last 7 and 90 days.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from smtp_auth_report.changes import Changes, Commit
from smtp_auth_report.moments import DAY
from smtp_auth_report.reports import REPORTS, ask
from smtp_auth_report.store import open_store
from smtp_auth_report.store.interface import Selection, Store, View
from smtp_auth_report.submission import Identity, Submission

START = 1_790_000_000_000_000 // DAY * DAY
BATCH = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 1_000_000), ("days", 90), ("accounts", 2_000), ("domains", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.duckdb"
        store = open_store(str(path), display_zone="Europe/Paris")
        measure_commits(store, given)
        measure_reports(store, given)
        store.close()
        print(f"database: {path.stat().st_size / given.rows:.1f} MB per million submissions")
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")


def measure_commits(store: Store, given: argparse.Namespace) -> None:
    taken, rows = 0.0, list[Submission]()
    for rows in batches_of(given):
        commit = Commit(Changes(rows={row.identity: row for row in rows}))
        began = time.perf_counter()
        store.commit(commit)
        taken += time.perf_counter() - began
    print(f"commits of {BATCH} rows: {given.rows / taken:,.0f} rows/s")
    began = time.perf_counter()
    store.commit(Commit(Changes(rows={row.identity: row for row in rows})))
    print(f"the last of them again, nothing new: {len(rows) / (time.perf_counter() - began):,.0f} rows/s")
    revised = [row._replace(helo="revised", tls_version="TLSv1.3") for row in rows]
    began = time.perf_counter()
    store.commit(Commit(Changes(rows={row.identity: row for row in revised})))
    print(f"the last of them again, all revised: {len(rows) / (time.perf_counter() - began):,.0f} rows/s")
    later = START + (given.days + 1) * DAY
    small, times = [submission(given, 10_000_000 + number, later + number * 1000) for number in range(250)], []
    for place in range(0, 250, 5):
        began = time.perf_counter()
        store.commit(Commit(Changes(rows={row.identity: row for row in small[place : place + 5]})))
        times.append(time.perf_counter() - began)
    print(f"commits of 5 rows: {sorted(times)[len(times) // 2] * 1000:.1f} ms median, {max(times) * 1000:.1f} ms at most")
    times.clear()
    for place in range(0, 250, 5):
        began = time.perf_counter()
        revised = [row._replace(helo="revised", outcome="rejected", size=(row.size or 0) + 1) for row in small[place : place + 5]]
        store.commit(Commit(Changes(rows={row.identity: row for row in revised})))
        times.append(time.perf_counter() - began)
    print(f"revisions of 5 rows: {sorted(times)[len(times) // 2] * 1000:.1f} ms median, {max(times) * 1000:.1f} ms at most")


def measure_reports(store: Store, given: argparse.Namespace) -> None:
    end = START + given.days * DAY
    for days in (7, given.days):
        selection = Selection(end - days * DAY - 3600_000_000, end - 3600_000_000, "Europe/Paris")
        for report in REPORTS.values():
            times = []
            for _ in range(5):
                began = time.perf_counter()
                table = ask(report, store, selection, View(limit=50))
                times.append(time.perf_counter() - began)
            print(f"{report.name}, {days} days: {sorted(times)[2] * 1000:.0f} ms, {table.total_rows} rows")


def batches_of(given: argparse.Namespace) -> Iterator[list[Submission]]:
    step = given.days * DAY // given.rows
    for first in range(0, given.rows, BATCH):
        yield [submission(given, number, START + number * step) for number in range(first, min(first + BATCH, given.rows))]


def submission(given: argparse.Namespace, number: int, when: int) -> Submission:
    """A believable row: few accounts send most, each from a few addresses."""
    chance = random.Random(number)
    who = int(given.accounts * chance.random() ** 3)
    account = f"user{who}@domain{who % given.domains}.example"
    address = f"198.51.{who % 250}.{(who + chance.randrange(3)) % 250}"
    return Submission(
        *Identity(chance.getrandbits(64), when),
        time=when + 40_000,
        server="mail",
        service="submission" if who % 3 else "submissions",
        source="postfix",
        client_ip=address,
        client_name=f"host-{address}.isp.example",
        helo=f"[{address}]",
        account=account,
        account_key=f"{who:016x}",
        mechanism="PLAIN" if who % 4 else "XOAUTH2",
        tls_version="TLSv1.3" if who % 9 else "TLSv1.0",
        tls_cipher="TLS_AES_256_GCM_SHA384",
        sender=account,
        recipients=chance.choice((1, 1, 1, 2, 5)),
        size=chance.randrange(800, 200_000),
        queue_id=f"{chance.getrandbits(44):011X}",
        message_id=f"<{chance.getrandbits(96):024x}@domain{who % given.domains}.example>",
        outcome="accepted" if chance.random() < 0.97 else "rejected",
        reason=None,
    )


if __name__ == "__main__":
    main()
