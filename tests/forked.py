"""
The program as a process of its own that need not load its modules first, which takes longer than most of its commands.

    ran = run(["ingest", "mail.log"], environment, None)        as subprocess.run does
    process = start(["serve"], environment, stderr=PIPE)        as subprocess.Popen does

A process that has loaded what the commands need waits for orders. For each it forks one that takes the order's environment,
standard files and arguments, and runs the module as `python -m` does: it has its own number, takes every signal, and no
thread is there when it begins. There are two that wait, each with a seed of its own for the hashes of texts, and they take
turns: what one command writes another must read.

To take all modules apart at the end lasts ten times as long as most commands. So the first run of a command ends as any
process ends, for each kind of database, and those that follow do all of that but for this: they wait for their threads, call
what is registered with atexit, and write out what was printed.

What goes wrong
    What Python itself or a library reads of the environment at its start cannot be changed later. The first order with
    another such environment is a start anew, and so are all of the fifth and more; those that follow wait as the others do.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import PIPE
from threading import Lock
from typing import IO, Any, NamedTuple, Self

LOADED = ("cli", "ingest", "progress", "exports", "reports.findings", "site_key", "store.duckdb", "store.duckdb_snapshot", "store.shared")
LOADED += ("live", "supervisor", "web.application")
SEEDS = 2
KINDS = 4
"""Of environments that processes wait with."""

SECONDS = 120
CHANGING = ("SMTP_AUTH_REPORT_", "PYTEST_", "NOTIFY_", "WATCHDOG_", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NO_PROXY", "TERM", "PGPASSFILE")
"""What is read when it is needed."""

STARTED_WITH = dict(os.environ)
Start = frozenset[tuple[str, str]]
Ends = Sequence[IO[Any] | None]


class Started:
    """A process of the program; of subprocess.Popen it has what tests use."""

    def __init__(self, arguments: Sequence[str], told: socket.socket, ends: Ends) -> None:
        self.args = list(arguments)
        self.stdin, self.stdout, self.stderr = ends
        self.returncode: int | None = None
        self._told = told
        self._read: dict[IO[Any], bytes | str] = {}
        self.pid = self._number()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self.stdin, self.stdout, self.stderr):
            if end is not None:
                with suppress(BrokenPipeError):
                    end.close()
        self.wait()

    def _number(self) -> int:
        return int(self._told.recv(16))

    def poll(self) -> int | None:
        with suppress(TimeoutError):
            self._wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        try:
            return self._wait(timeout)
        except TimeoutError:
            raise subprocess.TimeoutExpired(self.args, timeout or 0) from None

    def _wait(self, seconds: float | None) -> int:
        if self.returncode is None:
            if not select.select([self._told], [], [], seconds)[0]:
                raise TimeoutError
            self.returncode = self._number()
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing where it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, given: bytes | None = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Let it read what is given and nothing else, and wait for its end; what it wrote, once more where it was asked before."""
        until = None if timeout is None else time.monotonic() + timeout
        left = memoryview(given or b"")
        reading = {end.fileno(): (end, bytearray()) for end in (self.stdout, self.stderr) if end is not None and not end.closed}
        parts = dict(reading.values())
        while reading or left:
            writing = [self.stdin] if left else []
            if not left and self.stdin is not None:
                with suppress(BrokenPipeError):
                    self.stdin.close()
            seconds = None if until is None else max(0, until - time.monotonic())
            readable, writable, _ = select.select(list(reading), writing, [], seconds)
            if not readable and not writable:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            for end in readable:
                if part := os.read(end, 1 << 16):
                    reading[end][1].extend(part)
                else:
                    del reading[end]
            for end in writable:
                left = left[_written(end, left) :]
        self.wait(None if until is None else max(0, until - time.monotonic()))
        self._read |= {end: _as_read(end, bytes(part)) for end, part in parts.items()}
        output, error = (None if end is None else self._read.get(end) for end in (self.stdout, self.stderr))
        return output, error


Process = Started | subprocess.Popen[Any]


def _written(file: IO[Any], left: memoryview) -> int:
    """How much it took; all, where nobody reads it."""
    try:
        return os.write(file.fileno(), left[: select.PIPE_BUF])
    except BrokenPipeError:
        return len(left)


def _as_read(file: IO[Any], content: bytes) -> bytes | str:
    file.close()
    return content.decode() if isinstance(file, io.TextIOWrapper) else content


def as_text(ran: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[str]:
    """What it wrote, read as text."""
    return subprocess.CompletedProcess(ran.args, ran.returncode, ran.stdout.decode(), ran.stderr.decode())


class _Waiting:
    """A process that waits for orders."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        orders, theirs = socket.socketpair()
        command = [sys.executable, __file__, str(theirs.fileno())]
        self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        self._orders = orders
        self._one_by_one = Lock()
        self._ended_whole: set[tuple[str | bool, ...]] = set()

    def begin(self, arguments: Sequence[str], environment: Mapping[str, str], files: Sequence[int], ends: Ends) -> Started:
        """A command with these standard files."""
        kind = (*arguments[:1], "://" in environment.get("SMTP_AUTH_REPORT_DATABASE", ""))
        whole = kind not in self._ended_whole
        self._ended_whole.add(kind)
        order = json.dumps([arguments, dict(environment), str(Path.cwd()), whole]).encode() + b"\n"
        told, telling = socket.socketpair(type=socket.SOCK_SEQPACKET)  # its number and its end are two messages
        with self._one_by_one:
            with telling:
                socket.send_fds(self._orders, [order], [*files, telling.fileno()])
            return Started(arguments, told, ends)

    def end(self) -> None:
        """There are no more orders."""
        self._orders.close()
        self._process.wait()


_WAITING: dict[Start, deque[_Waiting]] = {}
_ONE_BY_ONE = Lock()
_ASKED: set[Start] = {frozenset(STARTED_WITH.items())}


def _waiting(environment: Mapping[str, str]) -> _Waiting | None:
    """The next that was started with such an environment."""
    began = {name: value for name, value in environment.items() if not name.startswith(CHANGING)}
    began |= {name: value for name, value in STARTED_WITH.items() if name.startswith(CHANGING)}
    kind = frozenset(began.items())
    if kind not in _ASKED:
        _ASKED.add(kind)
        return None
    if kind not in _WAITING and len(_WAITING) >= KINDS:
        return None
    with _ONE_BY_ONE:
        of_kind = _WAITING.setdefault(kind, deque())
        if len(of_kind) < SEEDS:
            of_kind.appendleft(_Waiting(began))
            atexit.register(of_kind[0].end)
        of_kind.rotate(-1)
        return of_kind[-1]


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    text: bool = False,
) -> Process:
    """Begin a command."""
    waiting = _waiting(environment)
    if waiting is None:
        command = [sys.executable, "-m", "smtp_auth_report", *arguments]
        return subprocess.Popen(command, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, text=text)
    with ExitStack() as closed:
        files: list[int] = []
        ends: list[IO[Any] | None] = []
        for number, given in enumerate((stdin, stdout, stderr)):
            file, end = _file(number, given, text=text)
            if file != number and given in (PIPE, subprocess.DEVNULL):
                closed.callback(os.close, file)
            files.append(file)
            ends.append(end)
        return waiting.begin(arguments, environment, files, ends)


def _file(number: int, given: int | IO[bytes] | None, *, text: bool) -> tuple[int, IO[Any] | None]:
    """What stands for a standard file, and the end of it that is kept here where it is a pipe."""
    if given == PIPE:
        read, write = os.pipe()
        file, kept = (read, os.fdopen(write, "wb")) if number == 0 else (write, os.fdopen(read, "rb"))
        return file, io.TextIOWrapper(kept) if text else kept
    if given == subprocess.DEVNULL:
        return os.open(os.devnull, os.O_RDWR), None
    if given is None:
        return number, None
    return given if isinstance(given, int) else given.fileno(), None


def run(arguments: Sequence[str], environment: Mapping[str, str], given: bytes | None) -> subprocess.CompletedProcess[bytes]:
    """Run a command, whatever comes of it."""
    process = start(arguments, environment, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    with process:
        try:
            output, error = process.communicate(given, SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(list(arguments), process.wait(), output, error)


class _Running:
    """What was started, in a process that waits, and who is to be told of its end."""

    def __init__(self) -> None:
        self._told: dict[int, socket.socket] = {}
        self.ended, writes = os.pipe()
        os.set_blocking(writes, False)
        os.set_blocking(self.ended, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writes)
        self._writes = writes

    def began(self, number: int, told: socket.socket) -> None:
        told.send(str(number).encode())
        self._told[number] = told

    def look(self) -> None:
        """Tell of each that has ended."""
        os.read(self.ended, 1 << 10)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                with self._told.pop(ended[0]) as told, suppress(BrokenPipeError):
                    told.send(str(os.waitstatus_to_exitcode(ended[1])).encode())

    def forget(self) -> None:
        """In a process that was forked."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (self.ended, self._writes):
            os.close(end)
        for told in self._told.values():
            told.close()


class _Order(NamedTuple):
    """What a process is to do."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    whole: bool  # end as any process ends


def _wait(orders: socket.socket) -> _Order:
    """Carry orders out until there are none; returns in the process that is to run a command."""
    running = _Running()
    while True:
        readable, _, _ = select.select([orders, running.ended], [], [])
        if running.ended in readable:
            running.look()
        if orders not in readable:
            continue
        order, files, _, _ = socket.recv_fds(orders, 1 << 20, 4)
        while order and not order.endswith(b"\n"):
            order += orders.recv(1 << 20)
        if not order:
            sys.exit()
        told = socket.socket(fileno=files.pop())
        if number := os.fork():
            for file in files:
                os.close(file)
            running.began(number, told)
            continue
        running.forget()
        told.close()
        orders.close()
        taken = _Order(*json.loads(order))
        for place, file in enumerate(files):
            os.dup2(file, place)
            os.close(file)
        os.environ.clear()
        os.environ.update(taken.environment)
        os.chdir(taken.folder)
        return taken


class _End:
    """Registered before all others, so that it is called when they have been."""

    status: int | None = None

    def __call__(self) -> None:
        if self.status is not None:
            for file in (sys.stdout, sys.stderr):
                file.flush()
            os._exit(self.status)

    def of(self, error: BaseException | None) -> None:
        """After this; what is printed of it is Python's own affair."""
        if isinstance(error, SystemExit):
            code = error.code
            self.status = 0 if code is None else code & 0xFF if isinstance(code, int) else 1
        elif error is None:
            self.status = 0
        elif isinstance(error, Exception):
            self.status = 1


def _run(order: _Order) -> None:
    sys.argv = ["smtp-auth-report", *order.arguments]
    end = _End()
    if order.whole:
        gc.unfreeze()
    else:
        atexit.register(end)
    try:
        runpy.run_module("smtp_auth_report", run_name="__main__", alter_sys=True)
        end.of(None)
    except BaseException as error:
        end.of(error)
        raise


if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the program has it: there must be no thread where a process is forked
    for module in LOADED:
        importlib.import_module(f"smtp_auth_report.{module}")
    gc.freeze()
    _run(_wait(socket.socket(fileno=int(sys.argv[1]))))
