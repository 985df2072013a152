"""
Making a requested file while the reader goes on reading.

    request = ask_for(site, selection, "csv", columns)     a row in the state database, and a thread at work
    ask_for(site, selection, "csv", columns, addresses)    the same, and postbox.py sends it there once it is made
    path = file_of(site.settings, request)        where the file is, once it is done; is_here() says whether it is
    cancel(request); retry(site, request)
    resume(site)                                  once, when the server starts
    with making(site): ...                        what waits, every few seconds, until the block ends

One file is made at a time, and holds what its person may see while it is made. It is written under another name first, so
that a download is always whole, and kept for ten days.

Several servers may use one state database. Whoever was asked has claimed the request, and renews the claim while it works.
Once a claim is over another server of the same rows makes the file; a server that has lost its claim gives up. Each has its
files beside its own state: host_of() says whose one is that is not here.

What goes wrong
    SelectionError: a format that there is not, or too many requests that wait.
    A failure ends in the row, as one line for the reader. What a stopped server left unfinished is made anew when it starts
    again, or two minutes later by another, and so is what the state database, gone meanwhile, could not be told of. What
    nobody makes, because the server with its rows is away, waits; host_of() says for whom.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from threading import Event, Lock, Thread
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import get_language

from smtp_auth_report.errors import ReportError, SelectionError, one_line
from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.exports.interface import NAMES, read_columns
from smtp_auth_report.moments import DAY, HOUR, SECOND
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

CLAIMED = 120 * SECOND
"""How long a claim counts."""

RENEWED = 20.0
EVERY = 5.0
"""Seconds between two renewals of a claim, and two looks at what waits."""

_THIS_PROCESS = token_hex(8)

_one_at_a_time = Lock()


def folder(settings: Settings) -> Path:
    """Where the files are: beside the state, for its owner alone."""
    path = settings.state_path.with_name(settings.state_path.name + ".files")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def file_of(settings: Settings, request: RequestedReport) -> Path:
    """Path of the finished file."""
    return folder(settings) / f"{request.id}.{EXPORTS[request.format].extension}"


def is_here(settings: Settings, request: RequestedReport) -> bool:
    """Whether the file that the row tells of is in this server's folder."""
    path = file_of(settings, request)
    return request.progress == Progress.DONE and path.is_file() and path.stat().st_size == request.size


def host_of(site: Site, request: RequestedReport) -> str:
    """Which other server made a finished file that is not here, or has the rows of what nobody makes; "" else."""
    if request.is_open:
        is_away = request.claimed_until <= site.clock() and request.database not in ("", site.database)
    else:
        made_here = request.claimed_by.startswith(f"{site.server} ")
        is_away = request.progress == Progress.DONE and not made_here and not is_here(site.settings, request)
    return request.host if is_away else ""


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
            **_claim(site),
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
    """Make one anew that failed or was cancelled, or whose file is not here."""
    again = [Progress.FAILED, Progress.CANCELLED, *([] if is_here(site.settings, request) else [Progress.DONE])]
    ended = RequestedReport.objects.filter(pk=request.pk, progress__in=again)
    if ended.update(progress=Progress.WAITING, done=0, total=0, size=0, failure="", **_claim(site)):
        _begin(site)


def resume(site: Site) -> None:
    """Go on where a server stopped."""
    sweep(site.settings, site.clock())
    before = RequestedReport.objects.filter(progress__in=OPEN, claimed_by__startswith=f"{site.server} ")
    before.exclude(claimed_by=_claimant(site)).update(claimed_until=0)
    if _takeable(site).exists():
        _begin(site)


@contextmanager
def making(site: Site) -> Iterator[None]:
    """Make what waits, again and again: of this server, and of those that have stopped."""
    stop = Event()
    Thread(target=_keep_making, args=(site, stop), name="requested reports", daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def _keep_making(site: Site, stop: Event) -> None:
    swept = 0
    while not stop.wait(EVERY):
        try:
            if site.clock() - swept >= HOUR:
                sweep(site.settings, site.clock())
                swept = site.clock()
            if _takeable(site).exists():
                _work(site)
        except (DatabaseError, OSError):  # locked for long, or its disk is full: pages tell of it
            pass
        except Exception:  # it is in the log, and what waits is looked at again: a thread that ended would make nothing any more
            logger.exception("requested reports")
        finally:
            connection.close()


def remove(settings: Settings, request: RequestedReport) -> None:
    """Forget a request and its file."""
    for path in folder(settings).glob(f"{request.pk}.*"):
        path.unlink(missing_ok=True)
    request.delete()


def sweep(settings: Settings, now: int) -> None:
    """Remove what is too old, files of people who are gone, and, once there are people, what was asked for by nobody."""
    gone = RequestedReport.objects.filter(asked__lt=now - KEPT).exclude(progress__in=OPEN)
    nobodys = RequestedReport.objects.filter(person=None) if Person.objects.exists() else RequestedReport.objects.none()
    for request in gone | nobodys:
        remove(settings, request)
    there = list(folder(settings).iterdir())  # before requests are looked up: each is noted before its file is begun
    wanted = {str(identifier): progress for identifier, progress in RequestedReport.objects.values_list("pk", "progress")}
    for path in there:
        progress = wanted.get(path.name.partition(".")[0])
        if progress is None or (path.suffix == ".part" and progress not in OPEN):
            path.unlink(missing_ok=True)


def _claimant(site: Site) -> str:
    return f"{site.server} {_THIS_PROCESS}"


def _claim(site: Site) -> dict[str, Any]:
    """What a row says that is this process's to make, of the rows that it has."""
    until = site.clock() + CLAIMED
    return {"database": site.database, "claimed_by": _claimant(site), "claimed_until": until, "host": site.host}


def _takeable(site: Site) -> QuerySet[RequestedReport]:
    """What this process may make: its own, and what nobody has claimed any more. Not for use while it makes one."""
    over = Q(claimed_until__lte=site.clock()) | Q(claimed_until__gt=site.clock() + DAY)  # the latter by a clock that was far ahead
    mine = Q(claimed_by=_claimant(site))
    return RequestedReport.objects.filter(mine | over, progress__in=OPEN, database__in=("", site.database))


def _begin(site: Site) -> None:
    Thread(target=_begun, args=(site,), name="requested reports", daemon=True).start()


def _begun(site: Site) -> None:
    try:
        _work(site)
    except DatabaseError as error:
        logger.error("requested reports wait for the state database: %s", one_line(str(error)))  # noqa: TRY400 - the line says it all
    finally:
        connection.close()


def _work(site: Site) -> None:
    """Make what waits, the oldest first."""
    with _one_at_a_time, _renewing(site):
        while request := _taken(site):
            _make(site.as_seen_by(request.person.reader if request.person else EVERYONE), request)


def _taken(site: Site) -> RequestedReport | None:
    """What is to be made next, claimed: of several servers one gets it."""
    for request in _takeable(site).order_by("asked"):
        if _takeable(site).filter(pk=request.pk).update(progress=Progress.RUNNING, done=0, total=0, **_claim(site)):
            return request
    return None


@contextmanager
def _renewing(site: Site) -> Iterator[None]:
    """Claims of this process last while it works, however long a step of it takes."""
    stop = Event()

    def renew() -> None:
        while not stop.wait(RENEWED):
            with suppress(DatabaseError):
                mine = RequestedReport.objects.filter(claimed_by=_claimant(site), progress__in=OPEN)
                mine.update(claimed_until=site.clock() + CLAIMED)
            connection.close()

    Thread(target=renew, name="claims of requested reports", daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def _make(site: Site, request: RequestedReport) -> None:
    path = file_of(site.settings, request)
    partial = path.with_suffix(f".{_THIS_PROCESS}.part")
    mine = RequestedReport.objects.filter(pk=request.pk, progress__in=OPEN, claimed_by=_claimant(site))

    def progress(done: int, total: int) -> None:
        if not mine.update(progress=Progress.RUNNING, done=done, total=total):
            raise _CancelledError

    try:
        for left in folder(site.settings).glob(f"{request.pk}.*"):
            left.unlink(missing_ok=True)
        columns, rows_from = read_columns(request.columns), _rows_from(site, request)
        with partial.open("wb") as file:
            rows = EXPORTS[request.format].write(site.store, request.selection, file, progress, columns)
        _finish(mine, partial, path, rows, rows_from)
    except _CancelledError:
        pass
    except (OperationalError, InterfaceError):  # the state database is away: made anew when it is back
        raise
    except Exception as error:
        mine.update(progress=Progress.FAILED, failure=_failure(error))
        if not isinstance(error, (ReportError, OSError)):
            logger.exception("request %s", request.pk)
    finally:
        partial.unlink(missing_ok=True)


def _rows_from(site: Site, request: RequestedReport) -> int:
    """From when on rows of the period are there, where the reader had some that have expired; 0 else."""
    with site.store.snapshot() as seen:
        kept, span = seen.expired_before(), seen.span()
    return kept if span and max(request.start, span[0]) < min(request.end, kept) else 0


def _finish(mine: QuerySet[RequestedReport], partial: Path, path: Path, rows: int, rows_from: int) -> None:
    """The file gets its name while nobody can take the request over."""
    with transaction.atomic():
        if not mine.update(progress=Progress.DONE, done=rows, total=rows, rows_from=rows_from, size=partial.stat().st_size):
            raise _CancelledError
        partial.rename(path)


def _failure(error: Exception) -> str:
    if isinstance(error, ReportError):
        return str(error)
    if isinstance(error, OSError):
        return worded("The file could not be written: {reason}.", reason=why(error))
    return worded("The file could not be made; the server's log says why.")
