"""
A database without rows, as a first start leaves it: it takes longer to make than most tests to run.

    begin(tmp_path / "mail.duckdb")         where there is none
    for_its_owner(path, content)            a file as the program makes one

Its days are cut into hours, as of a zone whose offset is whole hours.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from smtp_auth_report.store import open_store


def begin(path: Path) -> None:
    """Write one, with its folder, unless it is there."""
    if not path.exists():
        for_its_owner(path, _content())


def for_its_owner(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_bytes(content)


@cache
def _content() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mail.duckdb"
        open_store(str(path)).close()
        return path.read_bytes()
