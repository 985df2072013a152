"""What a commit has beside its rows: one statement however many there are, for who attacks decides how many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smtp_auth_report.changes import Changes, Commit, Gap, Position, Remembered, Withheld
from smtp_auth_report.store import duckdb_notes, open_store

MANY = 500


def everything() -> Commit:
    """Each entry stands there twice; of positions and sessions the second counts, of gaps and names the first."""
    numbers = [*range(MANY), *range(MANY)]
    return Commit(
        Changes(gaps=[Gap(f"mail{number}", 1, "lost", place) for place, number in enumerate(numbers)]),
        positions=[Position(f"{number}", 10, place, "tail", "mail.log", "", "2026") for place, number in enumerate(numbers)],
        remembered=[Remembered("postfix", f"mail{number}", place, "{}", "mail.log") for place, number in enumerate(numbers)],
        withheld=[Withheld(f"{number:016x}", f"sealed {place}", place) for place, number in enumerate(numbers)],
    )


def test_as_few_statements_for_many_as_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    write = duckdb_notes.write_notes

    def counted(run: duckdb_notes.Execute, *arguments: Any) -> None:
        def counting(sql: str, *values: Any) -> Any:
            statements.append(sql)
            return run(sql, *values)

        write(counting, *arguments)

    monkeypatch.setattr("smtp_auth_report.store.duckdb_writing.write_notes", counted)
    store = open_store(str(tmp_path / "mail.duckdb"))
    store.commit(everything())
    assert len(statements) < 20
    store.commit(everything())
    assert sorted(position.offset for position in store.positions()) == [*range(MANY, 2 * MANY)]
    assert sorted(entry.newest for entry in store.remembered("postfix")) == [*range(MANY, 2 * MANY)]
    assert sorted(entry.time for entry in store.withheld()) == [*range(MANY)]
    store.close()
