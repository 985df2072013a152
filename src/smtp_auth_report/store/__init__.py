"""
Where submissions are kept: one engine for each kind of database name.

    store = open_store(settings.database, display_zone=settings.display_timezone, default_domain=settings.default_domain)
    store = open_store("clickhouse://report@ch.example:8443/mail", state=settings.state_path, password=database_password(…))

    refuse_gone(settings.database)                        before it is opened once more
    rewrite(settings.database, memory_limit="200MB")      while nobody has it open

A path is a DuckDB file. clickhouse://user@host:8443/database is a server of ClickHouse, chdb:///folder its engine inside this
process; there, `state` is where this host keeps how far it has read.

What goes wrong
    StoreError when the database cannot be opened, or its kind is not available.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from smtp_auth_report.errors import StoreError
from smtp_auth_report.moments import now
from smtp_auth_report.settings import without_password
from smtp_auth_report.store.clickhouse_place import SCHEMES, is_clickhouse, placed
from smtp_auth_report.store.interface import Store
from smtp_auth_report.words import worded

__all__ = ["open_store", "refuse_gone", "rewrite"]


def open_store(
    database: str,
    *,
    display_zone: str = "UTC",
    read_only: bool = False,
    default_domain: str | None = None,
    clock: Callable[[], int] = now,
    memory_limit: str = "",
    state: Path | None = None,
    password: str = "",
    serving: bool = False,
) -> Store:
    """The store of that name, made when it does not exist, brought up to this version when it is older.

    `memory_limit` ("256MB", or "4%" of the machine's, but no less than 256 MB) bounds what the engine keeps in memory; without
    it, that is most of the machine's. A store for `serving` pages is there though its server does not answer, or lets nobody
    write: it says so to whoever asks or writes.
    """
    kind, separator, rest = database.partition("://")
    if is_clickhouse(database):
        from smtp_auth_report.store.clickhouse import ClickStore  # noqa: PLC0415 (only where such a database is named)

        return ClickStore(
            database,
            state=reading_state_of(state or Path(rest)),
            display_zone=display_zone,
            read_only=read_only,
            default_domain=default_domain or None,
            clock=clock,
            password=password,
            memory_limit=memory_limit,
            serving=serving,
        )
    if separator:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise StoreError(
            worded(
                "{database}: {kind} databases are not known; give the path of a file, or {known}",
                database=without_password(database),
                kind=kind,
                known=known,
            )
        )
    from smtp_auth_report.store.duckdb import DuckStore  # noqa: PLC0415 (a command that needs no store starts without DuckDB)

    return DuckStore(
        database,
        display_zone=display_zone,
        read_only=read_only,
        default_domain=default_domain or None,
        clock=clock,
        memory_limit=memory_limit,
    )


def reading_state_of(state: Path) -> Path:
    """Where this host keeps how far it has read, beside its people and requests."""
    return state.with_name(state.name + ".reading")


def refuse_gone(database: str) -> None:
    """For who had it open: what was there is not made anew, for its disk may be about to be mounted again."""
    if is_clickhouse(database):
        folder = placed(database).folder  # "" of a server
        there = not folder or Path(folder, "metadata").exists()  # only a start makes that; the engine may put others where nothing is
    else:
        there = Path(database).exists()
    if not there:
        raise StoreError(worded("{database}: is gone; mount its disk again, or start anew for a new database", database=database))


def rewrite(database: str, *, memory_limit: str) -> None:
    """Write a file anew, so that nothing of what was deleted from it is left. Nobody may have it open."""
    if "://" in database:
        return  # ClickHouse writes anew what it deletes from
    from smtp_auth_report.store import duckdb_opening  # noqa: PLC0415 (a command that needs no store starts without DuckDB)

    duckdb_opening.rewrite(database, memory_limit=memory_limit)
