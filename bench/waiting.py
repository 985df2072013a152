"""
What people wait for besides pages: the answer to --help, and a line of the log until it is in the report.

    python bench/waiting.py
    python bench/waiting.py --messages 200

`serve --follow` reads a log to which a session is appended, then another. After each the summary is asked for again and
again, until it counts one message more. What is printed is the time from the write to that answer.

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

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))

from measure import PROGRAM, run  # noqa: E402 - needs the path above
from pages import served  # noqa: E402

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


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how long --help takes, and a line until it is in the report.")
    parser.add_argument("--messages", type=int, default=100, help="how many are written (default: %(default)s)")
    arguments = parser.parse_args()
    helps = [run(PROGRAM, "--help").seconds for _ in range(11)]
    print(f"--help: {median(helps) * 1e3:.0f} ms in the median, {max(helps) * 1e3:.0f} ms at most")
    waits = visible(arguments.messages)
    rarely = quantiles(waits, n=20)[-1]
    print(f"a line in the report: after {median(waits) * 1e3:.0f} ms in the median, {rarely * 1e3:.0f} ms in 95 of 100 cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
