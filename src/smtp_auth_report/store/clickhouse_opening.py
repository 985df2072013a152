"""
Opening a ClickHouse database: its tables, its version.

    prepare(run, placed("chdb:///var/lib/report"), read_only=False)     makes what is missing; `run` takes SQL and parameters

Tables are made one by one, each only where there is none, and what is settled once is so by the earliest: whoever stops
in between, or does it at the same time as another host, leaves nothing half.

What goes wrong
    StoreError: nobody has made the tables yet and this is for reading only; made by a newer version of this program.

See also
    clickhouse_schema.sql
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from smtp_auth_report.errors import StoreError
from smtp_auth_report.store.clickhouse_cluster import made
from smtp_auth_report.store.clickhouse_place import Place
from smtp_auth_report.store.local_time import bucket_minutes
from smtp_auth_report.words import worded

Run = Callable[[str, Mapping[str, Any]], Sequence[tuple[Any, ...]]]

VERSION = 1
"""Of the tables. A later version of the program that needs others raises it."""

LATEST = 1 << 62
"""Less a time: the earlier it is, the longer it stands."""

SETTLE = "INSERT INTO meta (name, value, written, gone) SELECT $name, $value, $written, 0"


def statements() -> list[str]:
    """SQL that makes the tables."""
    text = (files(__package__) / "clickhouse_schema.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [statement.strip() for statement in "\n".join(lines).split(";\n") if statement.strip()]


def settled(run: Run) -> dict[str, str]:
    """All that the table `meta` says."""
    return dict(run("SELECT name, value FROM meta", {}))


def prepare(run: Run, place: Place, *, read_only: bool, zone: str, now: int) -> dict[str, str]:
    """Make the tables where there are none; what is settled of this database."""
    known = settled(run) if run("EXISTS TABLE meta", {})[0][0] else {}
    if "schema" not in known:
        if read_only:
            words = worded("no such database; run ingest first, or choose another path with --database")
            raise StoreError(worded("{place}: {words}", place=place.name, words=words))
        for statement in (each for table in statements() for each in made(table, place)):
            run(statement, {})
    stated = {"store": secrets.token_hex(8), "bucket_minutes": str(bucket_minutes(zone)), "schema": str(VERSION)}
    missing = stated.keys() - known.keys()
    for name in (name for name in stated if name in missing):
        run(SETTLE, {"name": name, "value": stated[name], "written": LATEST - now})
    known = settled(run) if missing else known
    if int(known["schema"]) > VERSION:
        raise StoreError(worded("{database}: was written by a newer version of smtp-auth-report; update the program", database=place.name))
    return known
