"""
Submissions as Parquet: for DuckDB, Spark, pandas and the like.

Times are timestamps in UTC, counts are integers, everything else is text; null is what the log does not tell. The rows
wait in a temporary DuckDB file, beside which DuckDB writes the Parquet file with little memory; both are removed.

What goes wrong
    ReportError when the temporary folder is full or cannot be written.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import duckdb
import numpy as np

from smtp_auth_report.errors import ReportError
from smtp_auth_report.exports.interface import FIELDS, NAMES, Progress, Record, places, records
from smtp_auth_report.store.interface import Readable, Selection
from smtp_auth_report.words import worded

TYPES = {"text": "VARCHAR", "count": "BIGINT", "time": "TIMESTAMPTZ"}
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "256MB",
    "threads": "2",
    "autoinstall_known_extensions": "false",
}


class Parquet:
    """Columns, compressed."""

    name: ClassVar[str] = "parquet"
    title: ClassVar[str] = "Parquet"
    extension: ClassVar[str] = "parquet"
    content_type: ClassVar[str] = "application/vnd.apache.parquet"

    def write(self, store: Readable, selection: Selection, file: BinaryIO, progress: Progress, columns: Sequence[str] = NAMES) -> int:
        with _folder() as folder:
            made = folder / "rows.parquet"
            with _temporary(folder), duckdb.connect(folder / "rows.duckdb", config=_CONFIG) as connection:
                written = _collect(connection, records(store, selection, progress), places(columns))
                connection.execute("COPY submissions TO $path (FORMAT parquet, COMPRESSION zstd)", {"path": str(made)})
            with made.open("rb") as content:
                shutil.copyfileobj(content, file)
        return written


def _collect(connection: duckdb.DuckDBPyConnection, batches: Iterator[list[Record]], chosen: list[int]) -> int:
    written, fields = 0, [FIELDS[place] for place in chosen]
    connection.execute(f"CREATE TABLE submissions ({', '.join(f'{field.name} {TYPES[field.type]}' for field in fields)})")
    selected = ", ".join(f"make_timestamptz({field.name})" if field.type == "time" else field.name for field in fields)
    for batch in batches:
        connection.register("batch", _columns(batch, chosen))
        connection.execute(f"INSERT INTO submissions SELECT {selected} FROM batch")  # noqa: S608 - fixed names
        connection.unregister("batch")
        written += len(batch)
    return written


def _columns(batch: list[Record], chosen: list[int]) -> dict[str, np.ndarray[Any, Any]]:
    values = list(zip(*batch, strict=True))
    return {FIELDS[place].name: np.array(values[place], dtype=np.int64 if FIELDS[place].type == "time" else object) for place in chosen}


@contextmanager
def _temporary(folder: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise ReportError(
            worded(
                "{folder}: cannot hold the rows on their way to Parquet: {reason}; free space or set TMPDIR",
                folder=folder.parent,
                reason=reason,
            )
        ) from None


@contextmanager
def _folder() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="smtp-auth-report-")
    except OSError as error:
        raise ReportError(worded("cannot make a temporary folder: {error}; set TMPDIR to one that can be written", error=error)) from None
    with folder as path:
        yield Path(path)
