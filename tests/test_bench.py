"""The stores that measurements ask are stores as this version makes them, and files of all their rows are measured whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from files import measure
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


def test_files_of_all_rows_are_made_by_the_command_and_by_serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = measure(large_store(tmp_path, ROWS, accounts=50), ROWS, ["jsonl"])
    assert list(taken) == ["jsonl", "jsonl, by serve"]
    assert all(memory > 50_000_000 for memory in taken.values())
    assert capsys.readouterr().out.count(f"{ROWS:,} rows, jsonl") == 2
    assert [path.suffix for path in tmp_path.iterdir()] == [".duckdb"]
