"""
What people wait for besides the pages of a large store: the answer to --help, a line of the log until it is in the report,
and pages while a backlog is read.

    python bench/waiting.py
    python bench/waiting.py --messages 200 --backlog 10000       megabytes

`serve --follow` reads a log to which a session is appended, then another. After each the summary is asked for again and
again, until it counts one message more. What is printed is the time from the write to that answer. Then `serve --follow`
finds a large log that was never read, and pages are asked for until it has been.

What goes wrong
    `serve` does not start, or a message is not counted within a minute: one line, exit status 1.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from large_log import Plan, large_log
from measure import CACHE, PROGRAM, compiled, held, run
from pages import fetch, served

PATIENCE = 60.0
PAUSE = 0.01


def session(number: int) -> str:
    """Lines of one session with one message, written now."""
    stamp, queue_id = f"{datetime.now(UTC):%b %e %H:%M:%S} mail", f"4{number:09X}F"
    client, who = "pc.contoso.example[192.0.2.10]", "anna@contoso.example"
    lines = (
        f"postfix/submission/smtpd[7]: connect from {client}",
        f"postfix/submission/smtpd[7]: {queue_id}: client={client}, sasl_method=PLAIN, sasl_username={who}",
        f"postfix/qmgr[8]: {queue_id}: from=<{who}>, size=1000, nrcpt=1 (queue active)",
        f"postfix/submission/smtpd[7]: disconnect from {client} ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6",
    )
    return "".join(f"{stamp} {line}\n" for line in lines)


def visible(messages: int) -> list[float]:
    """Seconds from the write of each message to the answer that counts it."""
    with TemporaryDirectory() as folder:
        log = Path(folder, "mail.log")
        log.write_text(session(0), encoding="ascii")
        options = ("--follow", str(log), "--timezone", "UTC")
        with served(Path(folder, "mail.duckdb"), *options) as (port, *_):
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            wait_for(connection, 1)
            return [_seen(connection, log, number) for number in range(1, messages + 1)]


def _seen(connection: HTTPConnection, log: Path, number: int) -> float:
    time.sleep(random.random())
    with log.open("a", encoding="ascii") as file:
        file.write(session(number))
    began = time.perf_counter()
    wait_for(connection, number + 1)
    return time.perf_counter() - began


def wait_for(connection: HTTPConnection, messages: int) -> None:
    """Ask until the report has so many messages."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        connection.request("GET", "/api/reports/summary")
        if json.loads(connection.getresponse().read())["totals"]["messages"] == messages:
            return
        time.sleep(PAUSE)
    sys.exit(f"bench/waiting.py: message {messages} is not in the report after {PATIENCE:.0f} s")


def during_backlog(path: Path) -> tuple[float, list[float], int]:
    """Seconds until a log is read, seconds of each page meanwhile, and the most memory in bytes of all processes."""
    pages = ("/", "/report?by=sending-volume", "/report?by=sending-volume&view=table", "/report?by=clients", "/ingest")
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        with served(Path(folder, "mail.duckdb"), "--follow", str(path), "--timezone", "UTC") as (port, pid, _):
            waits: list[float] = []
            most = 0
            while not _is_read(port):
                waits.append(fetch(port, pages[len(waits) % len(pages)])[0])
                most = max(most, held(pid))
            return time.perf_counter() - began, waits, most


def _is_read(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", "/api/ingest")
    streams = json.loads(connection.getresponse().read())["streams"]
    connection.close()
    return bool(streams and streams[0]["lines"] and not streams[0]["behind"])


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how long --help takes, and a line until it is in the report.")
    parser.add_argument("--messages", type=int, default=100, help="how many are written (default: %(default)s)")
    parser.add_argument("--backlog", type=float, default=1000, help="megabytes of log found unread (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where logs are kept (default: %(default)s)")
    arguments = parser.parse_args()
    compiled()
    helps = [run(PROGRAM, "--help").seconds for _ in range(11)]
    print(f"--help: {median(helps) * 1e3:.0f} ms in the median, {max(helps) * 1e3:.0f} ms at most")
    waits = visible(arguments.messages)
    rarely = quantiles(waits, n=20)[-1]
    print(f"a line in the report: after {median(waits) * 1e3:.0f} ms in the median, {rarely * 1e3:.0f} ms in 95 of 100 cases")
    log = large_log(arguments.cache, Plan(bytes=int(arguments.backlog * 1e6)))
    seconds, waits, memory = during_backlog(log.path)
    rarely = quantiles(waits, n=20)[-1]
    print(f"a backlog of {log.path.stat().st_size / 1e6:.0f} MB: read in {seconds:.0f} s, with {memory / 1e6:.0f} MB of memory at most")
    print(f"{len(waits)} pages meanwhile: {median(waits) * 1e3:.0f} ms in the median, {rarely * 1e3:.0f} ms in 95 of 100 cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
