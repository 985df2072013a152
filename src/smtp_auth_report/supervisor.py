"""
Reading in a process of its own, beside the one that serves.

    with reading_beside(["--follow", "/var/log/mail.log"], settings, say):
        ...                             ends with the block, and with this process if that is killed
    with tidying(store, days, clock):       rows that have grown old go, days that are over are summed up, once an hour
        ...
    with service_told(alive):           systemd hears that the service is ready, and that it is alive
        ...

Pages stay quick while a backlog is read: the reader has an interpreter of its own, and hands what it read to the
process that holds the database. A reader that ends is started again, after a pause that grows to half a minute; one
that has read standard input to its end is not.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time as clocks
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from smtp_auth_report.errors import StoreError
from smtp_auth_report.log_file import STDIN
from smtp_auth_report.settings import Settings
from smtp_auth_report.store.interface import Store
from smtp_auth_report.words import worded

LONGEST_PAUSE = 30.0
STEADY = 60.0
"""Seconds that a reader must have run for the next pause to be a short one."""

STOPPING = 10.0
TIDY_EVERY = 3600.0
TIDY_SOON = 5.0
"""Seconds after the start, for a program that seldom runs for an hour."""


@contextmanager
def reading_beside(arguments: list[str], settings: Settings, say: Callable[[str], None]) -> Iterator[None]:
    """Run `ingest` with these arguments until the block ends."""
    stop = Event()
    thread = Thread(target=_keep_reading, args=(arguments, settings, say, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOPPING + 1)


def _keep_reading(arguments: list[str], settings: Settings, say: Callable[[str], None], stop: Event) -> None:
    command = [sys.executable, "-m", "smtp_auth_report", "ingest", "--child-of", str(os.getpid()), *arguments]
    pause = 1.0
    while not stop.is_set():
        began = clocks.monotonic()
        given = None if STDIN in arguments else subprocess.DEVNULL
        reader = subprocess.Popen(command, env=os.environ | settings.environment, stdin=given)  # noqa: S603 - ourselves
        while reader.poll() is None and not stop.wait(0.2):
            pass
        if stop.is_set():
            _end(reader)
            return
        if reader.returncode == 0 and arguments[-1:] == [STDIN]:
            say(worded("standard input has ended; what was read is served"))
            return
        pause = 1.0 if clocks.monotonic() - began > STEADY else min(2 * pause, LONGEST_PAUSE)
        say(
            worded(
                "reading ended with status {returncode}; it starts again in {pause} seconds",
                returncode=reader.returncode,
                pause=format(pause, ".0f"),
            )
        )
        stop.wait(pause)


def _end(reader: subprocess.Popen[bytes]) -> None:
    reader.terminate()
    try:
        reader.wait(STOPPING)
    except subprocess.TimeoutExpired:
        reader.kill()
        reader.wait()


@contextmanager
def service_told(alive: Callable[[], object]) -> Iterator[None]:
    """Tell systemd that the service is ready, and twice in each watchdog period that `alive` answers."""
    _notify("READY=1")
    stop = Event()
    period = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
    if period:
        Thread(target=_reassure, args=(alive, period, stop), daemon=True).start()
    try:
        yield
    finally:
        stop.set()
        _notify("STOPPING=1")


def _reassure(alive: Callable[[], object], period: float, stop: Event) -> None:
    while not stop.wait(period):
        alive()
        _notify("WATCHDOG=1")


def _notify(state: str) -> None:
    """One datagram to the socket that systemd names; see sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
        messenger.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


@contextmanager
def tidying(store: Store, days: int, clock: Callable[[], int]) -> Iterator[None]:
    """Let rows older than this expire, now and then, where 0 days keeps them for ever; sum up days that are over."""
    stop = Event()

    def work() -> None:
        pause = TIDY_SOON
        while not stop.wait(pause):
            pause = TIDY_EVERY
            with suppress(StoreError):  # a full disk, say: what writes new rows tells of it
                if days:
                    store.expire(clock() - days * 86_400_000_000)
                store.seal()

    Thread(target=work, daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def end_with(parent: int, stop: Event) -> None:
    """Set `stop` when the process that started this one is gone."""

    def watch() -> None:
        while os.getppid() == parent and not stop.wait(1):
            pass
        stop.set()

    Thread(target=watch, daemon=True).start()
