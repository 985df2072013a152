"""Which address leads where."""

from __future__ import annotations

from django.urls import path
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from smtp_auth_report.web import (
    account_page,
    digest_pages,
    errors,
    metrics,
    online_page,
    pages,
    people_page,
    report_page,
    request_pages,
    sign_in,
)
from smtp_auth_report.web.api import api

urlpatterns = [
    path("", pages.dashboard),
    path("flyout", pages.flyout),
    path("status", pages.status),
    path("ingest", pages.ingest),
    path("exchange-online", online_page.online),
    path("metrics", metrics.metrics),
    path("report", report_page.report),
    path("report.csv", report_page.report_csv),
    path("choices/<str:name>", report_page.choices),
    path("account", account_page.account),
    path("requests", request_pages.requests),
    path("requests/progress", request_pages.progress),
    path("requests/<uuid:identifier>/file", request_pages.file),
    path("requests/<uuid:identifier>/remove", request_pages.forget),
    path("requests/<uuid:identifier>/cancel", request_pages.stop),
    path("requests/<uuid:identifier>/retry", request_pages.again),
    path("digests", digest_pages.digests),
    path("digests/now", digest_pages.now),
    path("digests/stop", digest_pages.stop),
    path("unsubscribe/<str:token>", digest_pages.by_link),
    path("mail/<uuid:identifier>/retry", request_pages.send_again),
    path("mailed/<str:token>", request_pages.mailed),
    path("sign-in", sign_in.sign_in),
    path("sign-out", sign_in.sign_out),
    path("people", people_page.people),
    path("language", require_POST(set_language)),
    path("api/", api.urls),
]

handler400 = errors.bad_request
handler404 = errors.not_found
