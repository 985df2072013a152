"""
Files as they are found: packed, renamed, grown, cut, read again, in any order.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ingesting import Row, Site
from reading import NOW, START, line_ends, log, session
from smtp_auth_report.checkpoint import position
from smtp_auth_report.errors import InputError
from smtp_auth_report.log_file import Log

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = log(*session(), *session("bob", queue_id="5B1A022C8A9", version="TLSv1"), *session("eve", queue_id="6C1A022C8A9", version=None))
PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress, ".zst": zstd.compress}
YEAR = ("--year", "2026")


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def essence(rows: list[Row]) -> list[tuple[object, ...]]:
    return sorted((row["queue_id"], row["account"], row["outcome"], row["tls_version"], row["size"], row["time"]) for row in rows)


@pytest.fixture
def whole(tmp_path: Path) -> list[tuple[object, ...]]:
    """What the undivided text gives."""
    folder = tmp_path / "whole"
    folder.mkdir()
    site = Site(folder)
    site.ingest(*YEAR, put(folder / "mail.log", TEXT))
    return essence(site.rows())


def batches(path: Path) -> tuple[bytes, bytes]:
    with Log(str(path), NOW) as found:
        return b"".join(found.batches(7)), found.tail


def test_a_line_behind_what_a_crash_left_is_read(tmp_path: Path, whole: list[tuple[object, ...]]) -> None:
    """File systems fill with NUL bytes what was not written yet when the power failed; the next line begins behind them."""
    ends = line_ends(TEXT)
    holes = b"".join(b"\0" * 4096 + line for line in TEXT.splitlines(keepends=True))
    site = Site(tmp_path)
    log_file = put(tmp_path / "mail.log", holes)
    assert "0 unread" in site.ingest(*YEAR, log_file)
    assert essence(site.rows()) == whole
    assert batches(put(tmp_path / "short", b"\0\0" + TEXT[: ends[0]] + b"a\0b\n\0")) == (TEXT[: ends[0]] + b"a\0b\n", b"\0")


@pytest.mark.parametrize("ending", PACKERS)
def test_packed_files_give_what_plain_ones_give(tmp_path: Path, ending: str) -> None:
    assert batches(put(tmp_path / f"mail.log{ending}", PACKERS[ending](TEXT))) == (TEXT, b"")


@pytest.mark.parametrize("ending", PACKERS)
def test_a_damaged_archive_gives_what_can_be_unpacked(tmp_path: Path, ending: str) -> None:
    packed = PACKERS[ending](TEXT * 3000)
    path = put(tmp_path / "mail.log", packed[: len(packed) * 2 // 3])
    given: list[bytes] = []
    with Log(str(path), NOW) as found, pytest.raises(InputError, match=r"damaged .*; what came before was read"):
        given.extend(found.batches())
    assert (TEXT * 3000).startswith(b"".join(given))


def test_a_line_without_an_end_is_left_over(tmp_path: Path) -> None:
    assert batches(put(tmp_path / "mail.log", TEXT + b"half a line")) == (TEXT, b"half a line")


def test_a_line_without_any_end_is_given_up(tmp_path: Path) -> None:
    content = TEXT + b"x" * (40 << 20) + b"\n" + TEXT
    with Log(str(put(tmp_path / "mail.log", content)), NOW) as found:
        given = list(found.batches())
        assert found.offset == len(content)
    assert b"".join(part for part in given if not part.startswith(b"x")).replace(TEXT, b"") == b""
    assert b"".join(given).count(TEXT) == 2


@pytest.mark.parametrize(
    ("name", "day"),
    [("mail.log-20260830", "2026-08-30"), ("mail.log-20260830.gz", "2026-08-30"), ("maillog-2026083012.xz", "2026-08-30")],
)
def test_a_rotation_name_tells_when_the_file_ended(tmp_path: Path, name: str, day: str) -> None:
    with Log(str(put(tmp_path / name, TEXT)), NOW) as found:
        assert found.reference // 86_400_000_000 == (START.fromisoformat(day).timestamp()) // 86_400


def test_gzip_tells_when_its_content_was_written(tmp_path: Path) -> None:
    path = tmp_path / "old.gz"
    with gzip.GzipFile(path, "wb", mtime=1_600_000_000) as packed:
        packed.write(TEXT)
    with Log(str(path), NOW) as found:
        assert found.reference == 1_600_000_000_000_000


def test_else_the_time_of_the_file(tmp_path: Path) -> None:
    path = put(tmp_path / "mail.log", TEXT)
    os.utime(path, (1_500_000_000, 1_500_000_000))
    with Log(str(path), NOW) as found:
        assert found.reference == 1_500_000_000_000_000


def test_reading_again_renamed_or_packed_adds_nothing(tmp_path: Path, whole: list[tuple[object, ...]]) -> None:
    site = Site(tmp_path)
    path = put(tmp_path / "mail.log", TEXT)
    assert "New rows: 3 accepted" in site.ingest(*YEAR, path)
    assert "nothing new" in site.ingest(*YEAR, path)
    assert "nothing new" in site.ingest(*YEAR, path.rename(tmp_path / "mail.log.1"))
    assert "nothing new" in site.ingest(*YEAR, put(tmp_path / "mail.log.1.gz", gzip.compress(TEXT)))
    assert essence(site.rows()) == whole


def test_a_file_that_grew_is_read_from_where_it_stopped(tmp_path: Path, whole: list[tuple[object, ...]]) -> None:
    site = Site(tmp_path)
    for cut in (*line_ends(TEXT)[3::5], len(TEXT)):
        site.ingest(*YEAR, put(tmp_path / "mail.log", TEXT[:cut]))
    assert essence(site.rows()) == whole


def test_a_file_truncated_and_written_anew_is_read_from_its_beginning(tmp_path: Path, whole: list[tuple[object, ...]]) -> None:
    site = Site(tmp_path)
    cut = line_ends(TEXT)[7]
    site.ingest(*YEAR, put(tmp_path / "mail.log", TEXT[:cut]))
    site.ingest(*YEAR, put(tmp_path / "mail.log", TEXT[cut:]))
    assert essence(site.rows()) == whole


def test_a_last_line_without_an_end_counts_once(tmp_path: Path, whole: list[tuple[object, ...]]) -> None:
    site = Site(tmp_path)
    for cut in (TEXT.index(b", nrcpt"), TEXT.index(b"sasl_username=bob") + 15, len(TEXT) - 1, len(TEXT)):
        site.ingest(*YEAR, put(tmp_path / "mail.log", TEXT[:cut]))
    assert essence(site.rows()) == whole


def test_a_log_whose_last_line_has_no_end_is_read_whole(tmp_path: Path) -> None:
    site = Site(tmp_path)
    content = TEXT[: TEXT.index(b"(queue active)") + len("(queue active)")]
    site.ingest(*YEAR, put(tmp_path / "mail.log", content))
    assert [row["outcome"] for row in site.rows()] == ["accepted"]


def test_standard_input(tmp_path: Path, whole: list[tuple[object, ...]]) -> None:
    site = Site(tmp_path)
    site.ingest(*YEAR, "-", given=TEXT)
    assert essence(site.rows()) == whole


@pytest.mark.parametrize("cut", line_ends(TEXT)[2::6])
def test_two_files_in_either_order(tmp_path: Path, whole: list[tuple[object, ...]], cut: int) -> None:
    older, newer = put(tmp_path / "mail.log.1", TEXT[:cut]), put(tmp_path / "mail.log", TEXT[cut:])
    together = Site(tmp_path)
    together.ingest(*YEAR, newer, older)
    assert essence(together.rows()) == whole
    apart_folder = tmp_path / "apart"
    apart_folder.mkdir()
    apart = Site(apart_folder)
    apart.ingest(*YEAR, older)
    apart.ingest(*YEAR, newer)
    assert essence(apart.rows()) == whole


def test_a_pipe_that_goes_on_otherwise_is_read_whole(tmp_path: Path) -> None:
    """It begins like one that was read before, and cannot go back once it turns out to be another."""
    filler = b"Nov 23 16:00:00 mail postfix/anvil[1]: statistics: max cache size 1 at Nov 23 16:00:00\n" * 20_000
    site = Site(tmp_path)
    site.ingest(*YEAR, "-", given=filler + filler)
    assert "New rows: 3 accepted" in site.ingest(*YEAR, "-", given=filler + TEXT + filler)


def test_a_named_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", 'cat >"$0"', pipe], stdin=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        writer.stdin.write(gzip.compress(TEXT))
        writer.stdin.close()
        assert "New rows: 3 accepted" in Site(tmp_path).ingest(*YEAR, pipe)


@pytest.mark.parametrize("ending", ["", *PACKERS])
@pytest.mark.parametrize("lines", [1, 2, 50, 40_000])
def test_the_lines_before_the_place_where_reading_goes_on(tmp_path: Path, ending: str, lines: int) -> None:
    """Also far behind what is read ahead."""
    text = b"".join(b"line %06d %s\n" % (number, b"x" * 50) for number in range(lines + 1))
    path = put(tmp_path / f"mail.log{ending}", PACKERS[ending](text) if ending else text)
    read = text[: text.rfind(b"\n", 0, -1) + 1]
    place = position(read, len(read), read, "", "", "")
    with Log(str(path), NOW) as found:
        assert found.last_lines == b""
        assert found.stands_at(place)
        assert found.last_lines[-67:] == read[-67:]
        assert b"".join(found.batches()) == text[len(read) :]


def test_a_line_that_is_too_long_to_look_at_again(tmp_path: Path) -> None:
    read = b"x" * 100_000 + b"\n"
    path = put(tmp_path / "mail.log", read + b"next\n")
    with Log(str(path), NOW) as found:
        assert found.stands_at(position(read, len(read), read, "", "", ""))
        assert found.last_lines == b""
