"""Which address leads where."""

from __future__ import annotations

from django.urls import path
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from smtp_auth_report.web import (
    account_page,
    arrange_page,
    digest_pages,
    errors,
    me_page,
    metrics,
    online_page,
    openid,
    pages,
    people_page,
    report_page,
    request_pages,
    saved_page,
    sign_in,
)
from smtp_auth_report.web.api import api

urlpatterns = [
    path("", pages.dashboard),
    path("arrange", arrange_page.arrange),
    path("flyout", pages.flyout),
    path("status", pages.status),
    path("ingest", pages.ingest),
    path("exchange-online", online_page.online),
    path("metrics", metrics.metrics),
    path("report", report_page.report),
    path("report.csv", report_page.report_csv),
    path("choices/<str:name>", report_page.choices),
    path("account", account_page.account),
    path("views", saved_page.saved),
    path("views/<int:number>", saved_page.edited),
    path("views/<int:number>/remove", saved_page.removed),
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
    path("sign-in/code", sign_in.code),
    path("sign-in/openid", openid.leave),
    path("sign-in/openid/back", openid.returned),
    path("sign-out", sign_in.sign_out),
    path("people", people_page.people),
    path("people/second-factor-off", people_page.second_factor_off),
    path("me", me_page.me),
    path("me/second-factor", me_page.second_factor),
    path("me/second-factor/new", me_page.begin),
    path("me/second-factor/off", me_page.off),
    path("me/recovery-codes", me_page.recovery_codes),
    path("language", require_POST(set_language)),
    path("api/", api.urls),
]

handler400 = errors.bad_request
handler404 = errors.not_found
