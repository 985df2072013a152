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
from smtp_auth_report.exports.interface import FIELDS, NAMES, Column, Field, Progress, places, records
from smtp_auth_report.store.interface import Readable, Selection
from smtp_auth_report.words import worded

TYPES = {"text": "VARCHAR", "count": "BIGINT", "time": "TIMESTAMPTZ"}
INSERTED = 10_000  # rows at once: DuckDB takes as long to begin with some as to take some hundred
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
                written = _collect(connection, records(store, selection, progress, INSERTED), places(columns))
                connection.execute("COPY submissions TO $path (FORMAT parquet, COMPRESSION zstd)", {"path": str(made)})
            with made.open("rb") as content:
                shutil.copyfileobj(content, file)
        return written


def _collect(connection: duckdb.DuckDBPyConnection, batches: Iterator[list[Column]], chosen: list[int]) -> int:
    written, fields = 0, [FIELDS[place] for place in chosen]
    connection.execute(f"CREATE TABLE submissions ({', '.join(f'{field.name} {TYPES[field.type]}' for field in fields)})")
    selected = ", ".join(f"make_timestamptz({field.name})" if field.type == "time" else field.name for field in fields)
    for batch in batches:
        connection.register("batch", {FIELDS[place].name: _array(FIELDS[place], batch[place]) for place in chosen})
        connection.execute(f"INSERT INTO submissions SELECT {selected} FROM batch")  # noqa: S608 - fixed names
        connection.unregister("batch")
        written += len(batch[0])
    return written


def _array(field: Field, values: Column) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.int64 if field.type == "time" else object)


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
