"""
Logs that real servers wrote, with what really happened beside them: in whatever form and order they are read, the rows
are the same, and they are right.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from ingesting import Row, Site
from truth import failed_sign_ins, faults, read

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LOGS = Path(__file__).parent / "logs"
POSTFIX = LOGS / "postfix" / "maillog_file"
YEAR = ("--year", "2026")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One key for all sites, so that their rows can be compared whole."""
    return tmp_path_factory.mktemp("state") / "state.sqlite3"


@pytest.fixture(scope="module")
def postfix(tmp_path_factory: pytest.TempPathFactory, state: Path) -> list[Row]:
    """Rows of Postfix's own log, read as one file."""
    return rows_of(Site(tmp_path_factory.mktemp("postfix"), state), POSTFIX / "mail.log")


def rows_of(site: Site, *files: Path) -> list[Row]:
    site.ingest(*YEAR, *files)
    return site.rows()


def whole_seconds(rows: list[Row]) -> list[Row]:
    """Rows without what only one of two forms of a log tells: the part of a second."""
    return sorted(({**row, "time": row["time"][:19]} for row in rows), key=lambda row: [str(value) for value in row.values()])


def test_postfix_log_holds_against_the_truth(postfix: list[Row]) -> None:
    truth = read(POSTFIX / "truth.jsonl")
    assert faults(truth, postfix, {"tls_version": 416}) == [], "20 messages came through a door that logs no TLS version"
    counts = Counter(row["outcome"] for row in postfix)
    assert counts["accepted"] == 436
    assert abs(counts["auth_failed"] - failed_sign_ins(truth)) <= failed_sign_ins(truth) // 20


def test_account_is_shown_only_where_it_signed_in(postfix: list[Row]) -> None:
    signed_in = {row["account"].casefold() for row in postfix if row["account"] and row["outcome"] != "auth_failed"}
    domains = {name.rpartition("@")[2] for name in signed_in if "@" in name}
    shown = {row["account"].casefold() for row in postfix if row["account"] and row["outcome"] == "auth_failed"}
    assert shown
    assert all(name in signed_in or name.rpartition("@")[2] in domains for name in shown)
    assert all(row["account_key"] for row in postfix if row["account"])


def test_reading_again_adds_nothing(tmp_path: Path, state: Path, postfix: list[Row]) -> None:
    site = Site(tmp_path, state)
    for _ in range(2):
        site.ingest(*YEAR, POSTFIX / "mail.log")
    copy = tmp_path / "mail.log.1"
    copy.write_bytes((POSTFIX / "mail.log").read_bytes())
    site.ingest(*YEAR, copy)
    assert site.rows() == postfix


@pytest.mark.parametrize("form", ["gz", "bz2", "xz", "zst", "-"])
def test_every_compression_and_standard_input(tmp_path: Path, state: Path, postfix: list[Row], form: str) -> None:
    content = (POSTFIX / "mail.log").read_bytes()
    site = Site(tmp_path, state)
    if form == "-":
        site.ingest(*YEAR, "-", given=content)
    else:
        compress = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd.compress}[form]
        (tmp_path / f"mail.log.{form}").write_bytes(compress(content))
        site.ingest(*YEAR, tmp_path / f"mail.log.{form}")
    assert site.rows() == postfix


CUTS = (
    "Anonymous TLS connection established",
    ": client=",
    ": message-id=",
    "(queue active)",
    "disconnect from",
    *range(3),
)
"""A log is cut before the first such line after its middle, or before a line of chance."""


@pytest.mark.parametrize("cut", CUTS)
def test_split_log_in_either_order(tmp_path: Path, state: Path, postfix: list[Row], cut: str | int) -> None:
    older, newer = split(tmp_path, cut)
    for name, files in (("older first", (older, newer)), ("newer first", (newer, older))):
        folder = tmp_path / name
        folder.mkdir()
        rows = rows_of(Site(folder, state), *files)
        assert rows == postfix, name


@pytest.mark.parametrize("cut", CUTS)
def test_split_log_in_two_runs(tmp_path: Path, state: Path, postfix: list[Row], cut: str | int) -> None:
    site = Site(tmp_path, state)
    for half in split(tmp_path, cut):
        site.ingest(*YEAR, half)
    assert site.rows() == postfix


def split(folder: Path, cut: str | int) -> tuple[Path, Path]:
    lines = (POSTFIX / "mail.log").read_bytes().splitlines(keepends=True)
    place = random.Random(cut).randrange(1, len(lines)) if isinstance(cut, int) else _inside_a_session(lines, cut.encode())
    older, newer = folder / "mail.log.1", folder / "mail.log"
    older.write_bytes(b"".join(lines[:place]))
    newer.write_bytes(b"".join(lines[place:]))
    return older, newer


def _inside_a_session(lines: list[bytes], words: bytes) -> int:
    """The first line with these words that belongs to the first message after the middle that someone signed in for."""
    begins = next(
        place for place in range(len(lines) // 2, len(lines)) if b"/submission/" in lines[place] and b"sasl_username=" in lines[place]
    )
    server, queue_id = lines[begins].split()[4], lines[begins].split()[5]
    if words in lines[begins]:
        return begins
    if words.startswith(b"Anonymous"):
        return next(place for place in range(begins, 0, -1) if server in lines[place] and words in lines[place])
    mark = server if words.startswith(b"disconnect") else b" " + queue_id
    return next(place for place in range(begins, len(lines)) if mark in lines[place] and words in lines[place])
