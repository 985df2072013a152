"""
That reading of logs waits for the database, told to other processes of this host: a file beside people and requests.

    told = Waiting(settings.state_path)         of the process that reads
    told.since(1_795_003_200_000_000, "clickhouse://…: no server answers there; …")
    told.over()
    waiting_of(settings.state_path)             of whoever asks; None while nothing waits

The file is locked while it counts. Of a process that has ended, however that was, nothing is told any more.
Where the file cannot be written nothing is told, and reading goes on as it would.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


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

    def since(self, since: int, words: str) -> None:
        """Say so, or say what else is the matter now."""
        with suppress(OSError):
            if self._file is None:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # another process of this host waits too, and says so
                    os.close(file)
                    return
                self._file = file
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps([since, words]).encode(), 0)

    def over(self) -> None:
        """It goes on."""
        file, self._file = self._file, None
        if file is not None:
            self._path.unlink(missing_ok=True)
            os.close(file)


def waiting_of(state: Path) -> Wait | None:
    """What a process of this host waits for."""
    try:
        with _beside(state).open("rb") as file:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None  # of a process that has ended
            since, words = json.loads(file.read())
            return Wait(since, words)
    except (OSError, ValueError):
        return None
