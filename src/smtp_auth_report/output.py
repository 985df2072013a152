"""
Where a command writes a file to.

    rows = write_file("rows.csv", lambda file: write(store, selection, file))       "-" is standard output
    with standard_output(): click.echo(text)

What goes wrong
    ReportError when it cannot be written there. What was under the name stays.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from smtp_auth_report.errors import ReportError
from smtp_auth_report.words import why, worded


def write_file(output: str, write: Callable[[BinaryIO], int]) -> int:
    """
    Write to standard output, or to a file that appears under its name only when it is whole. A device or a pipe is written
    to as it is, and what a link names is replaced, not the link.
    """
    if output == "-":
        with standard_output() as file:
            return write(file)
    path = Path(output)
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as device:
                return write(device)
        return _write_whole(Path(os.path.realpath(path)), write)
    except OSError as error:
        raise ReportError(
            worded("{path}: cannot be written: {reason}; choose another place with --output", path=output, reason=why(error))
        ) from None


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """All that is written there is out when the block ends."""
    try:
        yield sys.stdout.buffer
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has enough
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes what is left in the buffer at its end
        raise ReportError(worded("standard output cannot be written: {reason}; make room, or write elsewhere", reason=why(error))) from None


def _write_whole(path: Path, write: Callable[[BinaryIO], int]) -> int:
    """Write a file beside the one that it replaces, whose permissions it gets."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            if path.exists():
                part.chmod(stat.S_IMODE(path.stat().st_mode))
            rows = write(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return rows
