"""
Time and memory of whole commands, as an administrator would run them.

    cost = run("smtp-auth-report", "ingest", path)
    cost.seconds, cost.memory           memory is the most that the command and its children held together, in bytes
    compiled()                          first: what is measured shall start as an installed program does
    check(database, 278_150)            so many accepted messages are in it
    options("Measure …", megabytes=500) a parser with what is asked of every bench of a log

What goes wrong
    The command fails, or the count is another: its last words, and exit status 1.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import smtp_auth_report

CACHE = Path(__file__).resolve().parent.parent / ".run" / "bench"
PROGRAM = Path(sys.executable).with_name("smtp-auth-report")
PAUSE = 0.05  # seconds between two looks at memory
ENVIRONMENT = {**os.environ, "SMTP_AUTH_REPORT_DISPLAY_TIMEZONE": "UTC", "SMTP_AUTH_REPORT_RETENTION_DAYS": "0"}


class Cost(NamedTuple):
    seconds: float
    memory: int
    output: str
    messages: str


def run(*command: str | Path, read: str | Path = os.devnull) -> Cost:
    """Run a command to its end, with this file as its standard input."""
    with Path(read).open("rb") as given, TemporaryFile("w+") as output, TemporaryFile("w+") as messages:
        began = time.perf_counter()
        process = subprocess.Popen([*map(str, command)], stdin=given, stdout=output, stderr=messages, env=ENVIRONMENT)
        most = 0
        while True:
            pid, status, _ = os.wait4(process.pid, os.WNOHANG)  # its ru_maxrss begins with what this process holds
            if pid:
                break
            most = max(most, held(process.pid), highest(process.pid))
            time.sleep(PAUSE)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        messages.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(map(str, command))}: exit status {process.returncode}\n{messages.read()[-2000:]}")
        return Cost(seconds, most, output.read(), messages.read())


def held(pid: int) -> int:
    """Memory of a process and its children in bytes, what they share counted once."""
    total = 0
    with suppress(OSError):  # it has just ended
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(held(int(child)) for child in (task / "children").read_text(encoding="ascii").split())
    return total


def highest(pid: int) -> int:
    """The most that a process held itself until now, in bytes: between two looks too."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def compiled() -> None:
    """Compile the package to bytecode, as pip does with what it installs, but for an editable installation."""
    compileall.compile_dir(Path(smtp_auth_report.__file__).parent, quiet=1)


def check(database: Path, accepted: int) -> None:
    """End here unless so many accepted messages are in the database, of whatever day."""
    dates = ("--from", "2025-01-01", "--to", "2026-12-31")
    answer = json.loads(run(PROGRAM, "report", "summary", "--database", database, *dates, "--format", "json").output)
    counted = answer["totals"]["messages"]
    if counted != accepted:
        sys.exit(f"{sys.argv[0]}: {counted} accepted messages counted, {accepted} written")


def options(what: str, *, megabytes: int) -> argparse.ArgumentParser:
    """Size of the log, rounds, seed, and the folder where logs are kept."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--size", type=float, default=megabytes, help="megabytes of log (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, interleaved (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives another log (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where logs are kept (default: %(default)s)")
    return parser
