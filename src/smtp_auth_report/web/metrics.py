"""
Figures of reading for a monitoring system, as OpenMetrics.

    GET /metrics

    smtp_auth_report_lines_total{stream="/var/log/mail.log"}            lines read of a followed log
    smtp_auth_report_behind_bytes{stream="/var/log/mail.log"}           bytes on disk that were not read yet
    smtp_auth_report_newest_line_timestamp_seconds{source,server}       stamp of the newest line
    smtp_auth_report_database_up                                        0 while the database does not answer; the rest is missing then

No account, address or domain is in it. See docs/api.md for the whole list.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from smtp_auth_report import __version__
from smtp_auth_report.errors import StoreError
from smtp_auth_report.store.interface import Snapshot
from smtp_auth_report.waiting import waiting_of
from smtp_auth_report.web.reader import Area
from smtp_auth_report.web.sign_in import needs
from smtp_auth_report.web.site import Site, site_of

PREFIX = "smtp_auth_report_"
COUNTED = {
    "lines": "Lines read of a followed log.",
    "other": "Of these, lines that are not about submission.",
    "unread": "Of these, lines about submission that could not be understood.",
    "rows": "Rows given, revisions of earlier ones among them.",
}
MEASURED = {
    "line_rate": ("lines_per_second", "Lines a second, of late."),
    "row_rate": ("rows_per_second", "Rows a second, of late."),
    "behind": ("behind_bytes", "Bytes on disk that were not read yet."),
}


@require_safe
@needs(Area.INGEST)
def metrics(request: HttpRequest) -> HttpResponse:
    """What a monitoring system asks for."""
    site = site_of(request)
    registry = CollectorRegistry()
    registry.register(_Told(list(_figures(site))))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)  # type: ignore[no-untyped-call]


def _figures(site: Site) -> Iterator[Metric]:
    """All that can be told."""
    yield InfoMetricFamily(f"{PREFIX}build", "Version of the program.", {"version": __version__})
    wait = waiting_of(site.settings.state_path)
    told = "Seconds that reading of logs on this host waits for the database."
    yield GaugeMetricFamily(f"{PREFIX}waiting_seconds", told, value=max(0, site.clock() - wait.since) / 1e6 if wait else 0)
    try:
        figures = list(_Figures(site.seen, site.clock()).collect())
    except StoreError:
        figures = []
    yield GaugeMetricFamily(f"{PREFIX}database_up", "1 while the database answers.", value=float(bool(figures)))
    yield from figures


class _Told:
    """Figures, for a registry."""

    def __init__(self, figures: list[Metric]) -> None:
        self._figures = figures

    def collect(self) -> list[Metric]:
        return self._figures


class _Figures:
    """One answer of the store, in the words of OpenMetrics."""

    def __init__(self, store: Snapshot, now: int) -> None:
        self._store = store
        self._now = now

    def collect(self) -> Iterator[Metric]:
        yield from self._streams()
        yield from self._servers()
        unread = CounterMetricFamily(f"{PREFIX}unread_lines", "Lines that could not be understood.", labels=["source", "server", "reason"])
        for entry in self._store.unread():
            unread.add_metric([entry.source, entry.server, entry.reason], entry.lines)
        yield unread
        yield CounterMetricFamily(f"{PREFIX}gaps", "Losses of lines that are known of.", value=self._store.gaps(0, self._now))

    def _streams(self) -> Iterator[Metric]:
        states = self._store.streams()
        for name, text in COUNTED.items():
            counter = CounterMetricFamily(f"{PREFIX}{name}", text, labels=["stream"])
            for state in states:
                counter.add_metric([state.stream], getattr(state, name))
            yield counter
        for name, (metric, text) in MEASURED.items():
            gauge = GaugeMetricFamily(f"{PREFIX}{metric}", text, labels=["stream"])
            for state in states:
                gauge.add_metric([state.stream], getattr(state, name))
            yield gauge
        troubled = GaugeMetricFamily(f"{PREFIX}problem", "1 while a followed log cannot be read.", labels=["stream"])
        heard = GaugeMetricFamily(f"{PREFIX}heard_timestamp_seconds", "When its reader was last heard of.", labels=["stream"])
        for state in states:
            troubled.add_metric([state.stream], float(bool(state.problem)))
            heard.add_metric([state.stream], state.committed / 1e6)
        yield troubled
        yield heard

    def _servers(self) -> Iterator[Metric]:
        newest = GaugeMetricFamily(f"{PREFIX}newest_line_timestamp_seconds", "Stamp of the newest line.", labels=["source", "server"])
        for progress in self._store.progress():
            newest.add_metric([progress.source, progress.server], progress.newest / 1e6)
        yield newest
