"""
A busy log that is rotated all the while, and pages that are read meanwhile: nothing is lost, and memory stays flat.

The short form takes some seconds; `make proof` sets SOAK_SECONDS to an hour.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import pytest

from ingesting import Site
from reading import session

SECONDS = float(os.environ.get("SOAK_SECONDS", "8"))
RATE = 2_000
ROTATED_EVERY = min(60.0, SECONDS / 3)
LONG = 600
"""Seconds after which memory must have settled."""

FAR_BEHIND = 20 << 20
"""Bytes: more than a minute of lines."""

PAGES = ("/", "/report?by=sending-volume&days=7", "/ingest", "/api/ingest")


def lines(start: datetime) -> Iterator[bytes]:
    """A session of eight lines, again and again, from twenty clients."""
    number = 0
    while True:
        number += 1
        stamp = f"{start + timedelta(seconds=number * 8 / RATE):%Y-%m-%dT%H:%M:%S.%f+00:00} mail "
        parts = session(
            f"user{number % 500}@contoso.example", smtpd=f"postfix/submission/smtpd[{700 + number % 20}]", queue_id=f"{number:010X}"
        )
        noise = f"postfix/smtp[99]: {number:010X}: to=<x@fabrikam.example>, relay=none, status=sent (250 ok)"
        yield "".join(f"{stamp}{line}\n" for line in (*parts, noise)).encode()


def resident(pid: int) -> int:
    """Megabytes of a process and its children."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    status = [Path(f"/proc/{number}/status").read_text() for number in (str(pid), *children) if Path(f"/proc/{number}").exists()]
    return sum(int(found[1]) for text in status if (found := re.search(r"VmRSS:\s+(\d+)", text))) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_busy_log_is_followed_while_pages_are_read(tmp_path: Path) -> None:
    site = Site(tmp_path)
    log = tmp_path / "mail.log"
    log.touch()
    serving = site.start("serve", "--listen", "127.0.0.1:0", "--timezone", "UTC", "--follow", log, stderr=subprocess.PIPE)
    try:
        assert serving.stderr is not None
        heard = next(found for line in serving.stderr if (found := re.search(rb"http://\S+", line)))
        address = heard[0].decode().rstrip("/")
        written, answers, memory, behind = write_and_ask(log, address, serving.pid)
        until = time.monotonic() + 60
        while accepted(site) < written and time.monotonic() < until:
            time.sleep(0.5)
        assert accepted(site) == written
    finally:
        serving.terminate()
        serving.communicate(timeout=30)
    quarters = [max(memory[part * len(memory) // 4 : (part + 1) * len(memory) // 4]) for part in range(4)]
    print(
        f"\nsoak: {SECONDS:.0f} s, {written:,} messages of {RATE:,} lines/s, rotated every {ROTATED_EVERY:.0f} s; memory at most "
        f"{', '.join(map(str, quarters))} MB in its quarters; at most {max(behind):,} bytes behind; pages {median(answers) * 1000:.0f} ms, "
        f"at most {max(answers) * 1000:.0f} ms"
    )
    # what was written since the database's last checkpoint is in memory: a saw whose teeth are some 50 MB
    assert quarters[3] < (1.25 * quarters[1] if SECONDS >= LONG else 2 * max(quarters[:2]))
    assert max(behind) < FAR_BEHIND


def accepted(site: Site) -> int:
    """Messages that the report counts."""
    return int(site.report("summary", "--from", "2020-01-01", "--to", "2030-01-01")["totals"]["messages"])


def write_and_ask(log: Path, address: str, pid: int) -> tuple[int, list[float], list[int], list[int]]:
    """Write at the rate for as long as it takes; messages written, seconds of answers, megabytes, bytes behind."""
    rng, written = random.Random(1), 0
    answers: list[float] = []
    memory: list[int] = []
    behind: list[int] = []
    began = rotated = asked = time.monotonic()
    file = log.open("ab", buffering=0)
    for text in lines(datetime.now(UTC)):
        cut = rng.randrange(len(text))
        file.write(text[:cut])
        file.write(text[cut:])
        written += 1
        now = time.monotonic()
        if now - asked > 0.5:
            asked = now
            answers.append(ask(address + rng.choice(PAGES)))
            memory.append(resident(pid))
            behind.append(waiting(address))
        if now - rotated > ROTATED_EVERY:
            rotated = now
            file.close()
            for number in range(5, 0, -1):
                old = Path(f"{log}.{number}")
                if old.exists():
                    old.rename(f"{log}.{number + 1}")
            log.rename(f"{log}.1")
            file = log.open("ab", buffering=0)
        if now - began > SECONDS:
            break
        time.sleep(max(0.0, began + written * 8 / RATE - now))
    file.close()
    return written, answers, memory, behind


def ask(address: str) -> float:
    began = time.monotonic()
    with urllib.request.urlopen(address, timeout=30) as answer:
        answer.read()
    return time.monotonic() - began


def waiting(address: str) -> int:
    with urllib.request.urlopen(address + "/metrics", timeout=30) as answer:
        found = re.search(r"behind_bytes\S* (\d+)", answer.read().decode())
    return int(found[1]) if found else 0
