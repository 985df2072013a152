"""
ClickHouse answers as DuckDB does on logs that real servers wrote, and where there is nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ingesting import Site
from pairs import both
from smtp_auth_report.moments import DAY
from smtp_auth_report.reports import REPORTS
from smtp_auth_report.reports.asking import Wanted, ask, ask_all
from smtp_auth_report.reports.findings import findings, recent
from smtp_auth_report.sources import SOURCES
from smtp_auth_report.store import open_store
from smtp_auth_report.store.clickhouse_snapshot import looking, read_submissions
from smtp_auth_report.store.duckdb import DuckStore
from smtp_auth_report.store.interface import FILTERS, Selection, View

LOGS = Path(__file__).parent / "logs"
ZONE = "Europe/Paris"


def test_real_logs(tmp_path: Path) -> None:
    files = [path for path in sorted(LOGS.glob("*/*/*")) if path.name.endswith("log") and ".iso" not in path.name]
    Site(tmp_path).ingest("--year", "2026", *files)
    duck = open_store(str(tmp_path / "mail.duckdb"), read_only=True)
    assert isinstance(duck, DuckStore)
    first, last = duck.span() or (0, 0)
    whole = Selection(first, last + 1, ZONE)
    wanted = [Wanted(report) for report in REPORTS.values()]
    with both(duck) as clients, looking(clients) as click, clients.client() as client:
        tables = ask_all(duck, whole, wanted)
        assert ask_all(click, whole, wanted) == tables
        assert all(table.rows for table in tables)
        for column in FILTERS:
            assert click.choices(column, whole) == duck.choices(column, whole) != []
        narrowed = replace(whole, filters={column: (duck.choices(column, whole)[0][0],) for column in ("client", "tls")})
        assert ask(REPORTS["clients"], click, narrowed) == ask(REPORTS["clients"], duck, narrowed)
        assert list(read_submissions(client, whole, 1000)) == list(duck.submissions(whole, 1000)) != []
        assert click.unread() == duck.unread()
        assert click.progress() == duck.progress()
        assert findings(click, SOURCES, recent(click, ZONE)) == findings(duck, SOURCES, recent(duck, ZONE)) != []
    duck.close()


def test_an_empty_store() -> None:
    duck = open_store(":memory:")
    assert isinstance(duck, DuckStore)
    selection = Selection(0, 30 * DAY, ZONE)
    with both(duck) as clients, looking(clients) as click:
        assert click.span() is duck.span() is None
        assert click.span(frozenset({"contoso.example"})) is None
        for report in REPORTS.values():
            for view in (View(), View(limit=5)):
                assert ask(report, click, selection, view) == ask(report, duck, selection, view)
        assert click.choices("account", selection) == []
        assert (click.unread(), click.gaps(0, 1), click.progress(), click.streams(), click.counted_reports()) == ([], 0, [], [], [])
    duck.close()
