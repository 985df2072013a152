"""The stores that measurements ask are stores as this version makes them."""

from __future__ import annotations

from pathlib import Path

from large_store import END, START, large_store
from smtp_auth_report.reports import REPORTS
from smtp_auth_report.reports.asking import ask
from smtp_auth_report.store import open_store
from smtp_auth_report.store.interface import Selection

ROWS = 2_000


def test_a_store_of_made_up_rows_answers_every_report(tmp_path: Path) -> None:
    store = open_store(str(large_store(tmp_path, ROWS, accounts=50)))
    whole = Selection(START, END, "UTC")
    assert store.count(whole) == ROWS
    tables = {name: ask(report, store, whole) for name, report in REPORTS.items()}
    store.close()
    assert [name for name, table in tables.items() if not table.rows] == []
    messages = [tables[name].totals["messages"] for name in ("summary", "sending-volume", "tls-usage", "auth-methods", "clients")]
    assert ROWS * 0.85 < messages[0] < ROWS * 0.95
    assert set(messages) == {messages[0]}
