"""
The JSON API beside the reports: how reading goes, what Microsoft says, people.

    GET /api/status              how fresh the data is, and in which zone
    GET /api/ingest              how far each log was read, what could not be, and what it does not tell
    GET /api/counted             what Microsoft counted
    GET /api/exchange-online     who was let in to Exchange Online
    GET /api/people              who may sign in; for administrators
    GET /api/events              what they did; for administrators

See also
    api.py, which has the reports; api_own.py for what belongs to whoever asks
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Query, Router
from ninja.decorators import decorate_view

from smtp_auth_report import __version__
from smtp_auth_report.errors import SelectionError
from smtp_auth_report.moments import micros, rfc3339
from smtp_auth_report.reports import periods
from smtp_auth_report.reports.findings import findings, recent
from smtp_auth_report.reports.render import period as period_of
from smtp_auth_report.sources import SOURCES
from smtp_auth_report.store.filters import clean
from smtp_auth_report.store.interface import Selection, View
from smtp_auth_report.waiting import waiting_of
from smtp_auth_report.web.api_shapes import (
    FARTHEST,
    MOST_ROWS,
    PROBLEMS,
    CountedRowSchema,
    CountedSchema,
    EventsSchema,
    Filters,
    IngestSchema,
    Period,
    PersonSchema,
    SignInsSchema,
    StatusSchema,
)
from smtp_auth_report.web.header import freshness
from smtp_auth_report.web.models import Event, Person
from smtp_auth_report.web.online_page import SIGN_INS
from smtp_auth_report.web.reader import Area
from smtp_auth_report.web.sign_in import needs
from smtp_auth_report.web.site import Site, site_of
from smtp_auth_report.words import worded

router = Router()

MOST_VALUES = 1000
"""Of filters in one request: as many as an address may have."""


def selection_of(site: Site, period: Period, filters: dict[str, tuple[str, ...]] | None = None) -> Selection:
    """What the store is asked."""
    zone, now = site.settings.display_timezone, site.clock()
    if period.days is not None and (period.from_ or period.to):
        raise SelectionError(worded("give either days, or from and to"))
    start, end = periods.preset(period.days, zone, now) if period.days else periods.parse(period.from_, period.to, zone, now)
    return Selection(start, end, zone, filters or {})


def values_of(filters: Filters) -> dict[str, tuple[str, ...]]:
    """Filters that have a value."""
    found = {name: tuple(clean(value.strip()) for value in values if value.strip()) for name, values in filters.dict(by_alias=True).items()}
    if sum(map(len, found.values())) > MOST_VALUES:
        raise SelectionError(worded("There are too many filters to keep; take some of them away."))
    return {name: values for name, values in found.items() if values}


def _time(time: int | None) -> str | None:
    return rfc3339(time) if time else None


@router.get("/status", summary="How fresh the data is, and in which zone days are", response={200: StatusSchema, **PROBLEMS})
def status(request: HttpRequest) -> dict[str, Any]:
    site = site_of(request)
    fresh, span = freshness(site), site.seen.span() or (None, None)
    return {
        "version": __version__,
        "now": rfc3339(site.clock()),
        "timezone": site.settings.display_timezone,
        "notice": site.settings.notice,
        "newest": _time(fresh.newest),
        "late": fresh.late,
        "first_row": _time(span[0]),
        "last_row": _time(span[1]),
    }


@router.get(
    "/ingest",
    summary="How far each log was read, what could not be, and what it does not tell",
    response={200: IngestSchema, **PROBLEMS},
    by_alias=True,
)
@decorate_view(needs(Area.INGEST))
def ingest(request: HttpRequest, period: Annotated[Period, Query()]) -> dict[str, Any]:
    site = site_of(request)
    now, selection = site.clock(), selection_of(site, period)
    wait = waiting_of(site.settings.state_path)
    return {
        "now": rfc3339(now),
        "period": period_of(selection),
        "waiting": {"since": rfc3339(wait.since), "reason": wait.words} if wait else None,
        "logs": [
            log._asdict()
            | {"newest": rfc3339(log.newest), "committed": rfc3339(log.committed), "lag_seconds": max(0, now - log.newest) // 1_000_000}
            for log in site.seen.progress()
        ],
        "streams": [
            state._asdict() | {"newest": _time(state.newest), "committed": rfc3339(state.committed)} for state in site.seen.streams()
        ],
        "unread": [unread._asdict() | {"last": rfc3339(unread.last)} for unread in site.seen.unread()],
        "gaps": site.seen.gaps(selection.start, selection.end),
        "findings": [
            finding._asdict() | finding.remedy._asdict()
            for finding in findings(site.seen, SOURCES, recent(site.seen, site.settings.display_timezone))
        ],
    }


@router.get(
    "/counted",
    summary="What Microsoft counted: reports of the Exchange admin center, in no figure of any other answer",
    response={200: list[CountedSchema], **PROBLEMS},
    by_alias=True,
)
def counted(request: HttpRequest) -> list[dict[str, Any]]:
    seen = site_of(request).seen
    return [
        {
            "file": report.file,
            "read": rfc3339(report.read),
            "from": None if report.first is None else rfc3339(report.first)[:10],
            "to": None if report.last is None else rfc3339(report.last)[:10],
            "senders": report.rows,
            "messages": report.messages,
            "rows": [
                {name: getattr(row, name) for name in CountedRowSchema.model_fields} for row in seen.counted(report.report, MOST_ROWS)
            ],
        }
        for report in seen.counted_reports()
    ]


@router.get(
    "/exchange-online",
    summary="Who was let in to Exchange Online, out of Entra's sign-in logs",
    response={200: SignInsSchema, **PROBLEMS},
    by_alias=True,
)
def exchange_online(request: HttpRequest, period: Annotated[Period, Query()]) -> dict[str, Any]:
    site = site_of(request)
    selection = selection_of(site, period)
    answer = site.seen.ask(SIGN_INS, selection, View(sort="sign_ins", limit=MOST_ROWS))
    rows = [dict(zip(SIGN_INS.columns, row, strict=True)) for row in answer.rows]
    return {
        "period": period_of(selection),
        "rows": [row | {"last_seen": rfc3339(int(row["last_seen"] or 0))} for row in rows],
        "total_rows": answer.total,
        "sign_ins": answer.sums["sign_ins"],
    }


@router.get("/people", summary="Who may sign in, and what they see", response={200: list[PersonSchema], **PROBLEMS})
@decorate_view(needs(Area.PEOPLE))
def people(request: HttpRequest) -> list[dict[str, Any]]:  # noqa: ARG001 - ninja's signature
    return [
        {
            "name": person.name,
            "role": person.role,
            "domains": json.loads(person.domains),
            "signed_in": _moment(person.last_login),
            "second_factor": bool(person.factor_salt),
            "by_groups": person.by_groups,
            "tokens": [{"label": token.label, "made": rfc3339(token.made), "used": _time(token.used)} for token in person.token_set.all()],
        }
        for person in Person.objects.prefetch_related("token_set")
    ]


@router.get("/events", summary="What people did, the latest first", response={200: EventsSchema, **PROBLEMS})
@decorate_view(needs(Area.PEOPLE))
def events(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Annotated[int, Field(ge=0, le=MOST_ROWS)] = 1000,
    offset: Annotated[int, Field(ge=0, le=FARTHEST)] = 0,
) -> dict[str, Any]:
    return {
        "rows": [
            {
                "time": rfc3339(event.time),
                "deed": event.deed,
                "name": event.name or None,
                "address": event.address,
                "detail": event.told,
            }
            for event in Event.objects.all()[offset : offset + limit]
        ],
        "total_rows": Event.objects.count(),
    }


def _moment(at: datetime | None) -> str | None:
    return rfc3339(micros(at)) if at else None
