"""
What ClickHouse says, in the administrator's words.

    with explained("clickhouse://report@ch.example:8443/mail"):
        client.run(...)

    holder("/var/lib/smtp-auth-report/mail")       which other process has this folder open; chDB tells it on stderr alone

What goes wrong
    InUseError for a folder that another process has open; AwayError for what a server or the way there can cause, StoreError
    for what a folder can. A fault in our own SQL is not disguised.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smtp_auth_report.errors import AwayError, InUseError, StoreError
from smtp_auth_report.words import marked, translated, worded

PACKAGES = ("clickhouse_connect", "chdb", "urllib3")
SERVER = "clickhouse://"
NOT_ALLOWED = r"Code: (164|497)\b"
"""Not granted, or not to a user whose setting is `readonly`."""
HELD = r"EmbeddedServer: \."
"""What chDB says of a folder that another process has open."""

OURS = r"Code: (44|46|47|53|60|62|70|386|6)\b"
"""Of errors that are a fault in SQL: names and types that do not fit, syntax. A table that is missing (60) is one but for the first."""

TOO_OLD = r"e\.displayText\(\)"
"""In whatever a server of before 2022 says; its faults in SQL are no faults."""

CAUSES = (
    (TOO_OLD, marked("the server is too old: ClickHouse 25.8 or newer is needed; update it")),
    (HELD, marked("is in use by another process; wait until it has ended, or stop it")),
    (
        r"in create_directories: (File exists|Not a directory)",
        marked("is not a folder of ClickHouse; choose another with --database chdb:///folder"),
    ),
    (r"[Pp]ermission denied", marked("permission denied; run as the owner of the folder, or choose another with --database")),
    (
        r"certificate verify failed|CERTIFICATE_VERIFY_FAILED",
        marked("its TLS certificate is not trusted; name the authority with ?ca_cert=FILE"),
    ),
    (r"SSLError|WRONG_VERSION_NUMBER|EOF occurred in violation", marked("no TLS at this port; choose the port of HTTPS, or ?secure=0")),
    (r"NameResolutionError|Failed to resolve", marked("there is no host of this name; see to --database")),
    (r"Connection refused", marked("no server answers there; see whether ClickHouse runs, and to host and port in --database")),
    (r"timed? ?out|TimeoutError|Code: (159|209)\b", marked("does not answer in time; try again later")),
    (r"Code: (516|192|194)\b", marked("refuses the user or the password; see to --database and its password")),
    (NOT_ALLOWED, marked("the user may not do this; see the grants in docs/scale.md")),
    (r"Code: 81\b", marked("there is no database of this name on the server; create it, or see to --database")),
    (r"Code: (241|173)\b|Cannot allocate memory", marked("the server has not enough memory for this; choose a shorter period")),
    (
        r"No space left|Code: 243\b|[Dd]isk quota",
        marked("the disk is full; make room, and run the same command again; what follows a log goes on by itself"),
    ),
    (r"Code: 242\b|[Rr]ead-only", marked("cannot be written: it is read-only")),
    (r"Code: (285|286|289|319|369|225)\b", marked("replicas of the cluster are missing or behind; see to them, it goes on then")),
    (r"Code: (252|364)\b", marked("the server has more to merge than it can; try again later")),
    (r"Connection aborted|RemoteDisconnected|Connection reset|BrokenPipe|ProtocolError", marked("the server has gone; try again later")),
)
"""What its words contain -> what to tell, the first that matches."""

OTHER = marked("cannot be used ({0})")


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turn what the environment did into one line."""
    try:
        yield
    except Exception as error:  # of three packages, whose errors have nothing else in common; what is none of theirs goes on
        said = str(error)
        ours = re.search(OURS, said) and not re.search(TOO_OLD, said)
        if type(error).__module__.partition(".")[0] not in PACKAGES or ours:
            raise
        told = worded("{place}: {words}", place=place, words=explanation(said))
        if place.startswith(SERVER):
            raise AwayError(told) from error
        raise (InUseError if re.search(HELD, said) else StoreError)(told) from error


def is_refused(error: Exception) -> bool:
    """Whether the user may not do what it tried."""
    return bool(re.search(NOT_ALLOWED, str(error)))


def explanation(said: str) -> str:
    """One line for what ClickHouse said."""
    for pattern, text in CAUSES:
        if re.search(pattern, said, re.DOTALL):
            return translated(text)
    return translated(OTHER).format(" ".join(said.partition("Stack trace")[0].split())[:200])


def holder(folder: str) -> str:
    """The other process that has the folder of chDB open, "" where none has; "?" where it is not known which."""
    try:
        with (Path(folder) / "status").open("r+b") as status:
            try:
                fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                found = re.search(rb"PID: (\d+)", status.read())
                pid = found[1].decode() if found else "?"
                return "" if pid == str(os.getpid()) else pid
    except OSError:
        return ""
    return ""


def quiet() -> None:
    """What went wrong is told once, by us."""
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL + 1)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
