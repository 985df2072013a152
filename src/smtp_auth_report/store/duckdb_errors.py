"""
What DuckDB says, in the administrator's words.

    with explained("/var/lib/smtp-auth-report/mail.duckdb"):
        connection.execute(...)

What goes wrong
    InUseError for a file that another process holds; StoreError for what else the machine or the file can cause: no
    permission, disk full, damaged, out of memory.
    A fault in our own SQL is not disguised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from smtp_auth_report.errors import InUseError, StoreError
from smtp_auth_report.words import marked, translated, worded

ENVIRONMENT = (
    duckdb.IOException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.OutOfMemoryException,
    duckdb.SerializationException,
    duckdb.TransactionException,
    duckdb.ConnectionException,
    duckdb.PermissionException,
    duckdb.InterruptException,
)
"""Errors that are nobody's fault in the program."""

LOCKED = r"Could not set lock|already open|different configuration"

CAUSES = (
    (r"Could not set lock.*?\(PID (\d+)", marked("is in use by another process (pid {0}); wait until it has ended, or stop it")),
    (LOCKED, marked("is in use by another process; wait until it has ended, or stop it")),
    (r"not a valid DuckDB database", marked("is not a DuckDB database; choose another path with --database")),
    (r"newer version of DuckDB|version number", marked("was written by a newer version of DuckDB; update the duckdb package")),
    (r"[Ii]s a directory", marked("is a directory; give the path of a file with --database")),
    (
        r"[Pp]ermission denied|not permitted",
        marked("permission denied; run as the owner of the file, or choose another path with --database"),
    ),
    (r"[Rr]ead-only file system|read-only mode", marked("cannot be written: it is read-only")),
    (
        r"No space left|[Dd]isk quota|File too large|not enough space",
        marked("the disk is full; make room, and run the same command again; what follows a log goes on by itself"),
    ),
    (r"does not exist|No such file", marked("no such database; run ingest first, or choose another path with --database")),
    (r"[Oo]ut of [Mm]emory|could not allocate", marked("not enough memory for this; choose a shorter period")),
)
"""What DuckDB's words contain -> what to tell, the first that matches."""

DAMAGED = marked("is damaged or cannot be read ({0}); restore it from a backup, or move it away and ingest the logs again")


@contextmanager
def explained(database: str) -> Iterator[None]:
    """Turn what the environment did into one line."""
    try:
        yield
    except duckdb.Error as error:
        if isinstance(error, ENVIRONMENT) or type(error) is duckdb.Error:  # a damaged file has no class of its own
            kind = InUseError if re.search(LOCKED, str(error)) else StoreError
            raise kind(worded("{place}: {words}", place=database, words=explanation(str(error)))) from error
        raise
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # what DuckDB makes of a signal's KeyboardInterrupt
            raise KeyboardInterrupt from None
        raise


def explanation(words: str) -> str:
    """One line for what DuckDB said."""
    for pattern, text in CAUSES:
        found = re.search(pattern, words, re.DOTALL)
        if found:
            return translated(text).format(*found.groups())
    return translated(DAMAGED).format(" ".join(words.partition("\n")[0].split())[:200])
