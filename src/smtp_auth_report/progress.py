"""
A progress bar on a terminal.

    with bar("Reading") as show:
        show("mail.log", 1 << 20, 8 << 20)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text


@contextmanager
def bar(verb: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """One line for each name, on standard error; removed when done."""
    tasks: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def show(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(Text(f"{verb} {name}").plain, total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield show
