"""
Time and memory of whole commands, as an administrator would run them.

    cost = run("smtp-auth-report", "ingest", path)
    cost.seconds, cost.memory           memory is the most that the command and its children held together, in bytes

What goes wrong
    The command fails: its last words, and exit status 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

PROGRAM = Path(sys.executable).with_name("smtp-auth-report")
PAUSE = 0.05  # seconds between two looks at memory
ENVIRONMENT = {**os.environ, "SMTP_AUTH_REPORT_DISPLAY_TIMEZONE": "UTC", "SMTP_AUTH_REPORT_RETENTION_DAYS": "0"}


class Cost(NamedTuple):
    seconds: float
    memory: int
    output: str


def run(*command: str | Path, read: str | Path = os.devnull) -> Cost:
    """Run a command to its end, with this file as its standard input."""
    with Path(read).open("rb") as given, TemporaryFile("w+") as output, TemporaryFile("w+") as messages:
        began = time.perf_counter()
        process = subprocess.Popen([*map(str, command)], stdin=given, stdout=output, stderr=messages, env=ENVIRONMENT)
        most = 0
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            most = max(most, held(process.pid))
            time.sleep(PAUSE)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        messages.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(map(str, command))}: exit status {process.returncode}\n{messages.read()[-2000:]}")
        return Cost(seconds, max(most, used.ru_maxrss * 1024), output.read())


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
