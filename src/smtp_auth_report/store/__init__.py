"""
Where submissions are kept: one engine for each kind of database name.

    store = open_store(settings.database, display_zone=settings.display_timezone, default_domain=settings.default_domain)

    rewrite(settings.database, memory_limit="200MB")      while nobody has it open

A path is a DuckDB file.

What goes wrong
    StoreError when the database cannot be opened, or its kind is not available.
"""

from __future__ import annotations

from collections.abc import Callable

from smtp_auth_report.errors import StoreError
from smtp_auth_report.moments import now
from smtp_auth_report.store.interface import Store
from smtp_auth_report.words import worded

__all__ = ["open_store", "rewrite"]


def open_store(
    database: str,
    *,
    display_zone: str = "UTC",
    read_only: bool = False,
    default_domain: str | None = None,
    clock: Callable[[], int] = now,
    memory_limit: str = "",
) -> Store:
    """The store of that name, made when it does not exist, brought up to this version when it is older.

    `memory_limit` ("256MB") bounds what the engine keeps in memory; without it, that is most of the machine's.
    """
    kind, separator, _ = database.partition("://")
    if separator:
        raise StoreError(
            worded(
                "{database}: {kind} databases are not available yet; give the path of a file with --database", database=database, kind=kind
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


def rewrite(database: str, *, memory_limit: str) -> None:
    """Write a database anew, so that nothing of what was deleted from it is left. Nobody may have it open."""
    from smtp_auth_report.store import duckdb_opening  # noqa: PLC0415 (a command that needs no store starts without DuckDB)

    duckdb_opening.rewrite(database, memory_limit=memory_limit)
