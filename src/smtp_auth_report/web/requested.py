"""
Making a requested file while the reader goes on reading.

    request = ask_for(site, selection, "csv", columns)     a row in the state database, and a thread at work
    ask_for(site, selection, "csv", columns, addresses)    the same, and postbox.py sends it there once it is made
    path = file_of(site.settings, request)        where the file is, once it is done
    cancel(request); retry(site, request)
    resume(site)                                  once, when the server starts

One file is made at a time, and holds what its person may see while it is made. It is written under another name first, so
that a download is always whole, and kept for ten days.

What goes wrong
    SelectionError: a format that there is not, or too many requests that wait.
    A failure ends in the row, as one line for the reader. What a stopped server left unfinished is made anew when it starts
    again, and so is what the state database, gone meanwhile, could not be told of.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Lock, Thread

from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.utils.translation import get_language

from smtp_auth_report.errors import ReportError, SelectionError, one_line
from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.exports.interface import NAMES, read_columns
from smtp_auth_report.moments import DAY
from smtp_auth_report.settings import Settings
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.web import spans
from smtp_auth_report.web.models import OPEN, Mail, Person, Progress, RequestedReport, owned_by, person_of
from smtp_auth_report.web.reader import EVERYONE
from smtp_auth_report.web.site import Site
from smtp_auth_report.web.state_database import alone
from smtp_auth_report.words import why, worded

logger = logging.getLogger(__name__)

KEPT = 10 * DAY
"""How long a request stays, with its file."""

AT_ONCE = 20
"""Requests of one person that wait."""


_one_at_a_time = Lock()


def folder(settings: Settings) -> Path:
    """Where the files are: beside the state, for its owner alone."""
    path = settings.state_path.with_name(settings.state_path.name + ".files")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def file_of(settings: Settings, request: RequestedReport) -> Path:
    """Path of the finished file."""
    return folder(settings) / f"{request.id}.{EXPORTS[request.format].extension}"


def name_of(request: RequestedReport) -> str:
    """What the file is called where somebody keeps it."""
    days = "-".join(spans.dates(request.selection).values()).replace(":", "")
    return f"submissions-{days}.{EXPORTS[request.format].extension}"


class _CancelledError(Exception):
    """Nobody wants the file any more."""


def ask_for(
    site: Site, selection: Selection, format_name: str, columns: Sequence[str] = NAMES, addresses: Sequence[str] = ()
) -> RequestedReport:
    """Note the request, and where it is to be sent, and start on it."""
    if format_name not in EXPORTS:
        raise SelectionError(worded("there is no format {name!r}; formats are {known}", name=format_name, known=", ".join(EXPORTS)))
    sweep(site.settings, site.clock())
    with alone():
        if requests_of(site).filter(progress__in=OPEN).count() >= AT_ONCE:
            raise SelectionError(worded("{n} requested reports are waiting; wait for some of them, or cancel them", n=AT_ONCE))
        request = RequestedReport.objects.create(
            person=person_of(site.reader),
            asked=site.clock(),
            start=selection.start,
            end=selection.end,
            zone=selection.zone,
            filters=json.dumps({name: list(values) for name, values in selection.filters.items()}),
            format=format_name,
            columns=[] if tuple(columns) == NAMES else list(columns),
        )
        for address in addresses:
            Mail.objects.create(request=request, address=address, language=get_language() or "en", due=request.asked)
    _begin(site)
    return request


def requests_of(site: Site) -> QuerySet[RequestedReport]:
    """What the reader asked for; others' requests are nobody else's."""
    return RequestedReport.objects.filter(owned_by(site.reader))


def cancel(request: RequestedReport) -> None:
    """Make it no further."""
    RequestedReport.objects.filter(pk=request.pk, progress__in=OPEN).update(progress=Progress.CANCELLED)


def retry(site: Site, request: RequestedReport) -> None:
    """Make one anew that failed or was cancelled."""
    ended = RequestedReport.objects.filter(pk=request.pk, progress__in=(Progress.FAILED, Progress.CANCELLED))
    if ended.update(progress=Progress.WAITING, done=0, total=0, failure=""):
        _begin(site)


def resume(site: Site) -> None:
    """Go on where a server stopped."""
    sweep(site.settings, site.clock())
    if RequestedReport.objects.filter(progress__in=OPEN).update(progress=Progress.WAITING, done=0, total=0):
        _begin(site)


def remove(settings: Settings, request: RequestedReport) -> None:
    """Forget a request and its file."""
    for path in (file_of(settings, request), _partial(settings, request)):
        path.unlink(missing_ok=True)
    request.delete()


def sweep(settings: Settings, now: int) -> None:
    """Remove what is too old, files of people who are gone, and, once there are people, what was asked for by nobody."""
    gone = RequestedReport.objects.filter(asked__lt=now - KEPT).exclude(progress__in=OPEN)
    nobodys = RequestedReport.objects.filter(person=None) if Person.objects.exists() else RequestedReport.objects.none()
    for request in gone | nobodys:
        remove(settings, request)
    there = list(folder(settings).iterdir())  # before requests are looked up: each is noted before its file is begun
    wanted = {str(identifier) for identifier in RequestedReport.objects.values_list("pk", flat=True)}
    for path in (path for path in there if path.stem not in wanted):
        path.unlink(missing_ok=True)


def _partial(settings: Settings, request: RequestedReport) -> Path:
    """The file while it is written."""
    return file_of(settings, request).with_suffix(".part")


def _begin(site: Site) -> None:
    Thread(target=_work, args=(site.as_seen_by(EVERYONE),), name="requested reports", daemon=True).start()


def _work(site: Site) -> None:
    """Make what waits, the oldest first."""
    try:
        with _one_at_a_time:
            while request := RequestedReport.objects.filter(progress=Progress.WAITING).order_by("asked").first():
                _make(site.as_seen_by(request.person.reader if request.person else EVERYONE), request)
    except DatabaseError as error:
        logger.error("requested reports wait for the next start: %s", one_line(str(error)))  # noqa: TRY400 - the line says it all
    finally:
        connection.close()


def _make(site: Site, request: RequestedReport) -> None:
    path, partial = file_of(site.settings, request), _partial(site.settings, request)
    wanted = RequestedReport.objects.filter(pk=request.pk, progress__in=OPEN)

    def progress(done: int, total: int) -> None:
        if not wanted.update(progress=Progress.RUNNING, done=done, total=total):
            raise _CancelledError

    try:
        progress(0, 0)
        columns = read_columns(request.columns)
        with partial.open("wb") as file:
            rows = EXPORTS[request.format].write(site.store, request.selection, file, progress, columns)
        partial.rename(path)
        if not wanted.update(progress=Progress.DONE, done=rows, total=rows, size=path.stat().st_size):
            path.unlink(missing_ok=True)
    except _CancelledError:
        partial.unlink(missing_ok=True)
    except Exception as error:
        partial.unlink(missing_ok=True)
        wanted.update(progress=Progress.FAILED, failure=_failure(error))
        if not isinstance(error, (ReportError, OSError)):
            logger.exception("request %s", request.pk)


def _failure(error: Exception) -> str:
    if isinstance(error, ReportError):
        return str(error)
    if isinstance(error, OSError):
        return worded("The file could not be written: {reason}.", reason=why(error))
    return worded("The file could not be made; the server's log says why.")
