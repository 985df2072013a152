"""
Pages and answers over ClickHouse are those over DuckDB, byte for byte.
"""

from __future__ import annotations

import re
from pathlib import Path

from engines import chdb_folder, empty
from sites import client_of, hostile, make_site, unread, week
from smtp_auth_report.reports import REPORTS
from smtp_auth_report.store.clickhouse_client import Clients
from smtp_auth_report.store.clickhouse_place import placed

TOKEN = re.compile(rb"\b[A-Za-z0-9]{64}\b")

ADDRESSES = (
    "/",
    "/report?days=30",
    "/report?by=clients&days=30&search=anna",
    "/report?tls=legacy&days=7",
    "/report.csv?days=30",
    "/flyout",
    "/status",
    "/choices/account?days=30",
    "/account?name=anna@contoso.example",
    "/ingest",
    "/exchange-online",
    "/metrics",
    *(f"/api/reports/{name}" for name in REPORTS),
)


def test_pages_are_the_same(tmp_path: Path) -> None:
    place = f"chdb://{chdb_folder()}"
    clients = Clients(placed(place))
    with clients.client() as client:
        empty(client)
    clients.close()
    rows = [*week(), *hostile()]
    duck = make_site(tmp_path, *rows, changes=unread(), state=str(tmp_path / "state.sqlite3"))
    click = make_site(tmp_path, *rows, changes=unread(), state=str(tmp_path / "state.sqlite3"), database=place)
    for address in ADDRESSES:
        one, other = (client_of(site).get(address) for site in (duck, click))
        assert (one.status_code, other.status_code) == (200, 200), address
        assert TOKEN.sub(b"", other.content) == TOKEN.sub(b"", one.content) != b"", address
    for site in (duck, click):
        site.store.close()
