"""
The program as a process of its own that need not load its modules first, which takes longer than most of its commands.

    ran = run(["ingest", "mail.log"], environment, None)     as subprocess.run does; None where only a start anew will do

A process that has loaded what the commands need waits for orders. For each it forks one that takes the order's environment,
standard files and arguments, runs the module as `python -m` does, and ends as any process ends. There are two that wait,
each with a seed of its own for the hashes of texts, and they take turns: what one command writes another must read.

What goes wrong
    What Python itself or a library reads of the environment at its start cannot be changed later: such an order is not taken.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LOADED = ("cli", "ingest", "progress", "exports", "reports.findings", "site_key", "store.duckdb", "store.duckdb_snapshot", "store.shared")
SEEDS = 2
SECONDS = 120
CHANGING = ("SMTP_AUTH_REPORT_", "PYTEST_")
STARTED_WITH = dict(os.environ)


class _Waiting:
    """A process that waits for orders."""

    def __init__(self) -> None:
        orders, theirs = socket.socketpair()
        orders.settimeout(SECONDS)
        command = [sys.executable, __file__, str(theirs.fileno())]
        self._process = subprocess.Popen(command, env=STARTED_WITH, pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        self._orders = orders

    def run(self, order: bytes, given: bytes | None) -> tuple[int, bytes, bytes]:
        """Exit status, and what was written to standard output and standard error."""
        pipes = [os.pipe() for _ in range(3)]
        (its_input, to_input), (from_output, its_output), (from_error, its_error) = pipes
        with ThreadPoolExecutor(3) as threads:
            socket.send_fds(self._orders, [order], [its_input, its_output, its_error])
            for end in (its_input, its_output, its_error):
                os.close(end)
            threads.submit(_write, to_input, given or b"")
            written = [threads.submit(_read, end) for end in (from_output, from_error)]
            try:
                status = int(self._orders.recv(16))
            except (TimeoutError, ValueError):
                os.killpg(self._process.pid, 9)  # so that the threads end too
                raise
            return status, written[0].result(), written[1].result()

    def end(self) -> None:
        """There are no more orders."""
        self._orders.close()
        self._process.wait()


_WAITING: deque[_Waiting] = deque()
_STARTED: list[_Waiting] = []


def run(arguments: Sequence[str], environment: Mapping[str, str], given: bytes | None) -> subprocess.CompletedProcess[bytes] | None:
    """Run a command, whatever comes of it."""
    differing = {name for name, _ in environment.items() ^ STARTED_WITH.items()}
    if not all(name.startswith(CHANGING) for name in differing):
        return None
    if len(_STARTED) < SEEDS or not _WAITING:
        _STARTED.append(_Waiting())
        atexit.register(_STARTED[-1].end)
        _WAITING.append(_STARTED[-1])
    waiting = _WAITING.popleft()
    order = json.dumps([arguments, dict(environment), str(Path.cwd())]).encode() + b"\n"
    status, output, error = waiting.run(order, given)
    _WAITING.append(waiting)
    return subprocess.CompletedProcess(list(arguments), status, output, error)


def _write(end: int, given: bytes) -> None:
    with os.fdopen(end, "wb") as file:
        file.write(given)


def _read(end: int) -> bytes:
    with os.fdopen(end, "rb") as file:
        return file.read()


def _wait(orders: socket.socket) -> list[str]:
    """Carry orders out until there are none; returns in the process that is to run a command, with its arguments."""
    while True:
        order, files, _, _ = socket.recv_fds(orders, 1 << 20, 3)
        while order and not order.endswith(b"\n"):
            order += orders.recv(1 << 20)
        if not order:
            sys.exit()
        if os.fork():
            for file in files:
                os.close(file)
            _, status = os.wait()
            orders.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        orders.close()
        arguments, environment, folder = json.loads(order)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        return [str(each) for each in arguments]


if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the program has it: there must be no thread where a process is forked
    for module in LOADED:
        importlib.import_module(f"smtp_auth_report.{module}")
    gc.freeze()
    sys.argv = ["smtp-auth-report", *_wait(socket.socket(fileno=int(sys.argv[1])))]
    gc.unfreeze()
    runpy.run_module("smtp_auth_report", run_name="__main__", alter_sys=True)
