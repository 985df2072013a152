"""
Making a requested file while the reader goes on reading.

    request = ask_for(site, selection, "csv")     a row in the state database, and a thread at work
    path = file_of(site, request)                 where the file is, once it is done

One file is made at a time. A file is written under another name first, so that a download is always whole.

What goes wrong
    A failure ends in the row, as one line for the reader. Files that a stopped server left unfinished are said to
    have been interrupted when it starts again.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from threading import Lock, Thread

from django.db import connection
from django.db.models import QuerySet

from smtp_auth_report.errors import ReportError
from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.settings import Settings
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.web.models import Person, Progress, RequestedReport
from smtp_auth_report.web.site import Site

logger = logging.getLogger(__name__)

KEPT = 50
"""Files of earlier requests; older ones are removed."""

_one_at_a_time = Lock()


def folder(settings: Settings) -> Path:
    """Where the files are: beside the state, for its owner alone."""
    path = settings.state_path.with_name(settings.state_path.name + ".files")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def file_of(settings: Settings, request: RequestedReport) -> Path:
    """Path of the finished file."""
    return folder(settings) / f"{request.id}.{EXPORTS[request.format].extension}"


def ask_for(site: Site, selection: Selection, format_name: str) -> RequestedReport:
    """Note the request and start on it."""
    request = RequestedReport.objects.create(
        person=Person.objects.filter(name=site.reader.name).first(),
        asked=site.clock(),
        start=selection.start,
        end=selection.end,
        zone=selection.zone,
        filters=json.dumps({name: list(values) for name, values in selection.filters.items()}),
        format=format_name,
    )
    _remove_old(site.settings)
    Thread(target=_work, args=(site, request), name=f"request-{request.id}", daemon=True).start()
    return request


def requests_of(site: Site) -> QuerySet[RequestedReport]:
    """What the reader asked for; others' requests are nobody else's."""
    whose = {"person__name": site.reader.name} if site.reader.name else {"person": None}
    return RequestedReport.objects.filter(**whose)


def interrupt_unfinished() -> None:
    """Say so where a server stopped before a file was done."""
    unfinished = RequestedReport.objects.filter(progress__in=(Progress.WAITING, Progress.RUNNING))
    unfinished.update(progress=Progress.FAILED, failure="The server was stopped before the file was ready; ask for it again.")


def remove(settings: Settings, request: RequestedReport) -> None:
    """Forget a request and its file."""
    for path in (file_of(settings, request), _partial(settings, request)):
        path.unlink(missing_ok=True)
    request.delete()


def _partial(settings: Settings, request: RequestedReport) -> Path:
    """The file while it is written."""
    return file_of(settings, request).with_suffix(".part")


def _remove_old(settings: Settings) -> None:
    for request in RequestedReport.objects.exclude(progress__in=(Progress.WAITING, Progress.RUNNING))[KEPT:]:
        remove(settings, request)


def _work(site: Site, request: RequestedReport) -> None:
    try:
        with _one_at_a_time:
            _make(site, request)
    finally:
        connection.close()


def _make(site: Site, request: RequestedReport) -> None:
    path = file_of(site.settings, request)
    partial = _partial(site.settings, request)

    def progress(done: int, total: int) -> None:
        RequestedReport.objects.filter(pk=request.pk).update(progress=Progress.RUNNING, done=done, total=total)

    try:
        with partial.open("wb") as file:
            rows = EXPORTS[request.format].write(site.store, request.selection, file, progress)
        partial.rename(path)
        RequestedReport.objects.filter(pk=request.pk).update(progress=Progress.DONE, done=rows, total=rows, size=path.stat().st_size)
    except Exception as error:
        partial.unlink(missing_ok=True)
        RequestedReport.objects.filter(pk=request.pk).update(progress=Progress.FAILED, failure=_failure(error))
        if not isinstance(error, (ReportError, OSError)):
            logger.exception("request %s", request.pk)


def _failure(error: Exception) -> str:
    if isinstance(error, ReportError):
        return str(error)
    if isinstance(error, OSError):
        return f"The file could not be written: {error.strerror}."
    return "The file could not be made; the server's log says why."
