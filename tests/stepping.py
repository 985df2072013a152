"""
Something that happens between any two steps of a piece of work, as another process would do it.

    steps = Steps()
    steps.run(work)                                  how many calls to the operating system it makes
    steps.run(work, {3: rotate, 5: compress})        the same, with `rotate` before the fourth of them

A step is a call of a built-in that asks the operating system about a file: stat, open, read, list a directory, seek. What
happens is done in this process, while nothing of it is counted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

ASKING = frozenset("stat lstat fstat open scandir listdir pread read read1 readinto peek seek tell is_file is_dir".split())


class Steps:
    """Counts the steps of a piece of work, and lets things happen between them."""

    def __init__(self) -> None:
        self._happens: Mapping[int, Callable[[], None]] = {}
        self._count = 0

    def run(self, work: Callable[[], None], happens: Mapping[int, Callable[[], None]] | None = None) -> int:
        """Do the work; how many steps it took."""
        self._count, self._happens = 0, happens or {}
        sys.setprofile(self._event)
        try:
            work()
        finally:
            sys.setprofile(None)
        return self._count

    def _event(self, _frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call" or called.__name__ not in ASKING:
            return
        step, self._count = self._count, self._count + 1
        happens = self._happens.get(step)
        if happens is not None:
            sys.setprofile(None)
            try:
                happens()
            finally:
                sys.setprofile(self._event)
