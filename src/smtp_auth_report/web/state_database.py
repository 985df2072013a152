"""
The state database: an SQLite file, or a PostgreSQL database that is named by its URL.

    database_of(settings)       for Django's DATABASES
    migrate(settings)           made, and brought up to date, by one process at a time
    with alone(): ...           a transaction beside which no other of these runs

Write transactions of SQLite exclude each other by themselves; those of PostgreSQL do where they take the same advisory
lock. A password may be in the URL, in the file that $PGPASSFILE names, or wherever else libpq looks for it; it is in no
message.

What goes wrong
    ReportError: the file cannot be opened, the server is down, refuses, or is too old, psycopg is missing, or a newer
    version of this program has changed the tables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, flock
from importlib.util import find_spec
from typing import Any

from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.migrations.loader import MigrationLoader

from smtp_auth_report.errors import ReportError, one_line
from smtp_auth_report.settings import Settings
from smtp_auth_report.web import configuration
from smtp_auth_report.words import worded

ADVISORY_LOCK = 0x534D5450
KEPT_OPEN = 60  # seconds that a thread keeps its connection to PostgreSQL
PATIENCE = 10  # seconds for the server to answer
ADVICE = re.compile(r"\n\t.*")
"""What PostgreSQL's client asks in a line of its own behind what went wrong; ours comes instead."""


def database_of(settings: Settings) -> dict[str, Any]:
    """Django's description of it."""
    if not settings.state_url:
        return configuration.DATABASES["default"] | {"NAME": str(settings.state_path)}
    if find_spec("psycopg") is None:
        raise ReportError(worded("{place}: needs psycopg: install the package as smtp-auth-report[postgresql]", place=settings.state_place))
    from psycopg import ProgrammingError  # noqa: PLC0415 - an extra
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - an extra

    try:
        parts = conninfo_to_dict(settings.state_url, connect_timeout=PATIENCE, application_name="smtp-auth-report")
    except ProgrammingError:  # its words may have the password
        raise ReportError(
            worded("{place}: is not a URL that PostgreSQL knows; see `state` in docs/settings.md", place=settings.state_place)
        ) from None
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": str(parts.pop("dbname")),
        "OPTIONS": parts,
        "CONN_MAX_AGE": KEPT_OPEN,
        "CONN_HEALTH_CHECKS": True,
    }


def migrate(settings: Settings) -> None:
    """The tables as this version has them."""
    try:
        with _one_process(settings):
            loader = MigrationLoader(connection)
            _refuse_newer(settings, loader)
            if loader.disk_migrations.keys() - loader.applied_migrations.keys():  # the command takes a tenth of a second to do nothing
                call_command("migrate", verbosity=0, interactive=False)
    except (OSError, DatabaseError) as error:
        raise unusable(settings, error) from None


def unusable(settings: Settings, error: Exception) -> ReportError:
    """One line for what the database's own words say."""
    words = one_line(ADVICE.sub("", str(error))).rstrip(".")
    if settings.state_url:
        return ReportError(
            worded(
                "{place}: the state database cannot be used: {words}; see that the server runs and lets this user in, "
                "or give another place as `state`",
                place=settings.state_place,
                words=words,
            )
        )
    return ReportError(
        worded("{path}: the state database cannot be used: {error}; give another place as `state`", path=settings.state_place, error=words)
    )


@contextmanager
def alone() -> Iterator[None]:
    """A transaction that counts what others of its kind have written, and is counted by them."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            _lock("pg_advisory_xact_lock")
        yield


@contextmanager
def _one_process(settings: Settings) -> Iterator[None]:
    """The connection ends before the lock does: who closes a file lets go of what SQLite in the same process has locked of it."""
    with ExitStack() as held:
        if not settings.state_url:
            file = held.enter_context(os.fdopen(os.open(settings.state_path, os.O_RDWR | os.O_CREAT, 0o600)))
            flock(file, LOCK_EX)  # SQLite's own locks are of another kind
        held.callback(connection.close)
        if settings.state_url:
            _lock("pg_advisory_lock")
        yield


def _lock(function: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [ADVISORY_LOCK])


def _refuse_newer(settings: Settings, loader: MigrationLoader) -> None:
    newer = sorted(name for app, name in loader.applied_migrations if app == "web" and (app, name) not in loader.disk_migrations)
    if newer:
        raise ReportError(
            worded(
                "{place}: a newer version of this program has changed the state database ({migration}); install that version, "
                "or give another place as `state`",
                place=settings.state_place,
                migration=newer[-1],
            )
        )
