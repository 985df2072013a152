"""
That reading of logs waits for the database, told to other processes of this host: a file beside people and requests.

    told = Waiting(settings.state_path)         of the process that reads
    told.since(1_795_003_200_000_000, "clickhouse://…: no server answers there; …")
    told.over()
    waiting_of(settings.state_path)             of whoever asks; None while nothing waits

The file is locked while it counts. Of a process that has ended, however that was, nothing is told any more.
It has its size from the beginning and stays, so that what it tells can be that the disk is full.
Where the file cannot be written nothing is told, and reading goes on as it would.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOM = 4096
"""Bytes of the file."""


class Wait(NamedTuple):
    """Since when it waits, microseconds UTC, and what for."""

    since: int
    words: str


def _beside(state: Path) -> Path:
    return state.with_name(state.name + ".waiting")


class Waiting:
    """Of one process."""

    def __init__(self, state: Path) -> None:
        self._path = _beside(state)
        self._file: int | None = None
        self._told = False
        self._open()

    def since(self, since: int, words: str) -> None:
        """Say so, or say what else is the matter now."""
        file = self._open()
        if file is None:
            return
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where another process of this host waits too, and says so
            self._told = True
            os.pwrite(file, json.dumps([since, words]).encode().ljust(ROOM), 0)

    def over(self) -> None:
        """It goes on."""
        if self._file is not None and self._told:
            self._told = False
            with suppress(OSError):
                os.pwrite(self._file, bytes(ROOM), 0)
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _open(self) -> int | None:
        """The file, with room for what is to be told."""
        if self._file is None:
            with suppress(OSError):
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
                size = os.fstat(self._file).st_size
                os.pwrite(self._file, bytes(max(0, ROOM - size)), size)
        return self._file


def waiting_of(state: Path) -> Wait | None:
    """What a process of this host waits for."""
    try:
        with _beside(state).open("rb") as file:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None  # of a process that has ended
            since, words = json.loads(file.read().rstrip(b"\0 "))
            return Wait(since, words)
    except (OSError, ValueError):
        return None
