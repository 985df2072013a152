"""
Opening a DuckDB file: its place, its lock, its version.

    connection = connect(path, read_only=False)
    migrate(connection, path, read_only=False)
    rewrite(path, memory_limit="200MB")             while nobody has it open

A migration is a numbered file of SQL. Each is applied in a transaction together with its record in the table
`migrations`, so a database is never between two versions.

What goes wrong
    StoreError: no such file or folder, no permission, a directory, locked by another process, not a DuckDB file, made
    by a newer version of this program.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import duckdb

from smtp_auth_report.errors import StoreError
from smtp_auth_report.store.duckdb_errors import explained, explanation
from smtp_auth_report.words import why, worded

CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,  # nothing is ever fetched from the network
    "autoload_known_extensions": False,
    "checkpoint_threshold": "64MB",  # of log, before the file itself is rewritten: some commits of a bulk load
    "storage_compatibility_version": "v1.4.0",  # the oldest version that pyproject.toml admits; its columns pack better
}

LEAST = 256_000_000
"""Bytes that a share of the machine's memory is at least."""

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def connect(database: str, *, read_only: bool, memory_limit: str = "") -> duckdb.DuckDBPyConnection:
    """
    A connection to the file, which is made with its folder unless `read_only`. `memory_limit` is a size, or "4%" of what the
    machine, or the control group that the process is in, has.
    """
    path = Path(database)
    with explained(database):
        try:
            if not database:
                raise StoreError(worded("no database is named; give the path of a file with --database"))
            if path.is_dir():
                raise StoreError(worded("{place}: {words}", place=database, words=explanation("Is a directory")))
            if read_only and not path.exists():
                raise StoreError(worded("{place}: {words}", place=database, words=explanation("No such file")))
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                worded(
                    "{database}: cannot use its folder: {reason}; choose another path with --database", database=database, reason=why(error)
                )
            ) from None
        configuration = CONFIGURATION | ({"memory_limit": memory_limit} if memory_limit else {})
        connection = duckdb.connect(database, read_only=read_only, config=configuration)
        if memory_limit.endswith("%") and memory_of(connection) < LEAST:
            connection.execute(f"SET memory_limit = '{LEAST} bytes'")
        return connection


def memory_of(connection: duckdb.DuckDBPyConnection) -> float:
    """Bytes that the engine may have."""
    ((said,),) = connection.execute("SELECT memory_limit FROM pragma_database_size()").fetchall()
    number, unit = str(said).split()  # "2.8 GiB"
    return float(number) * float(1024 ** UNITS.index(unit))


def rewrite(database: str, *, memory_limit: str) -> None:
    """Write the file anew: what was deleted is in no byte of it any more. It takes as much room again while it lasts."""
    path = Path(database).resolve()
    fresh = path.with_name(path.name + ".anew")
    fresh.unlink(missing_ok=True)
    try:
        with explained(database), duckdb.connect(":memory:", config=CONFIGURATION | {"memory_limit": memory_limit}) as connection:
            connection.execute(f"ATTACH {_quoted(path)} AS old")
            connection.execute(f"ATTACH {_quoted(fresh)} AS fresh (STORAGE_VERSION '{CONFIGURATION['storage_compatibility_version']}')")
            connection.execute("COPY FROM DATABASE old TO fresh")
            connection.execute("DETACH fresh")
            owner = path.stat()
            fresh.chmod(owner.st_mode & 0o777)
            os.chown(fresh, owner.st_uid, owner.st_gid)
            fresh.replace(path)
    except OSError as error:
        raise StoreError(
            worded("{database}: cannot be written anew: {reason}; run the same command again", database=database, reason=why(error))
        ) from None
    finally:
        fresh.unlink(missing_ok=True)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def migrations() -> list[tuple[int, str, str]]:
    """Number, name and SQL of every migration, in order."""
    folder = files(__package__) / "migrations"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return [(int(name[:4]), name.removesuffix(".sql"), (folder / name).read_text(encoding="utf-8")) for name in names]


def migrate(connection: duckdb.DuckDBPyConnection, database: str, *, read_only: bool) -> None:
    """Bring the database up to this version of the program."""
    tables = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()}
    if tables and "migrations" not in tables:
        raise StoreError(worded("{database}: is a database of another program; choose another path with --database", database=database))
    rows = connection.execute("SELECT number FROM migrations").fetchall() if tables else []
    applied, known = {row[0] for row in rows}, migrations()
    if max(applied, default=0) > known[-1][0]:
        raise StoreError(worded("{database}: was written by a newer version of smtp-auth-report; update the program", database=database))
    missing = [migration for migration in known if migration[0] not in applied]
    if missing and read_only:
        raise StoreError(
            worded(
                "{database}: was written by an older version of smtp-auth-report; run ingest once to bring it up to date", database=database
            )
        )
    for number, name, sql in missing:
        connection.execute("BEGIN TRANSACTION")
        connection.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name VARCHAR NOT NULL)")
        connection.execute(sql)
        connection.execute("INSERT INTO migrations VALUES (?, ?)", [number, name])
        connection.execute("COMMIT")
