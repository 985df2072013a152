"""Logs that move on while they are read: one stream for each path, every line of it once."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from smtp_auth_report import follow
from smtp_auth_report.changes import Position
from smtp_auth_report.follow import DirectoryStream, FileStream, Known, rotated, streams_of


def clock() -> int:
    return time.time_ns() // 1000


class Reader:
    """What a process reads of a path, and what it knows when it is started again."""

    def __init__(self, path: Path, kind: type[FileStream | DirectoryStream] = FileStream) -> None:
        self.path = path
        self.kind = kind
        self.committed: list[Position] = []
        self.stream = kind(str(path), Known([]), clock)

    def start(self) -> None:
        """Again, with what was committed."""
        self.stream.close()
        self.stream = self.kind(str(self.path), Known(self.committed), clock)

    def read(self) -> list[str]:
        """What has come."""
        if self.stream.begin() is None:
            return []
        lines = [line for batch in self.stream.read() for line in batch.decode().splitlines()]
        self.committed += self.stream.positions("timezone=UTC", "2026 found")
        return lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "mail.log"


Reading = Callable[..., Reader]


@pytest.fixture
def reading() -> Iterator[Reading]:
    made: list[Reader] = []

    def make(*arguments: Any) -> Reader:
        made.append(Reader(*arguments))
        return made[-1]

    yield make
    for reader in made:
        reader.stream.close()


def write(path: Path, *lines: str, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("\n".join(lines) + end)


def numbered(numbers: Iterable[int]) -> list[str]:
    return [f"2026-11-24T10:00:00.{number:06}+00:00 mail postfix/smtpd[1]: line {number}" for number in numbers]


def test_half_a_line_waits_for_its_other_half(log: Path, reading: Reading) -> None:
    write(log, "one", "two", end="")
    reader = reading(log)
    assert reader.read() == ["one"]
    write(log, "", "three")
    assert reader.read() == ["two", "three"]
    assert reader.read() == []


def test_a_file_that_appears_later(log: Path, reading: Reading) -> None:
    reader = reading(log)
    assert reader.read() == []
    assert "waiting for it" in reader.stream.problem
    write(log, "one")
    assert reader.read() == ["one"]
    assert reader.stream.problem == ""


def test_renamed_and_written_on_until_reopened(log: Path, reading: Reading) -> None:
    write(log, *numbered(range(3)))
    reader = reading(log)
    reader.read()
    moved = log.rename(log.with_name("mail.log.1"))
    write(moved, *numbered([3]))
    write(log, *numbered([4]))
    assert reader.read() == numbered([3, 4])
    write(moved, *numbered([5]))
    assert reader.read() == numbered([5])


def test_rotated_and_compressed_several_times_unwatched(log: Path, reading: Reading) -> None:
    write(log, *numbered(range(300)))
    reader = reading(log)
    reader.read()
    write(log, *numbered(range(300, 310)))
    log.with_name("mail.log.3.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.with_name("mail.log.2.gz").write_bytes(gzip.compress("\n".join([*numbered(range(310, 320)), ""]).encode()))
    write(log.with_name("mail.log.1"), *numbered(range(320, 330)))
    log.unlink()
    write(log, *numbered(range(330, 340)))
    reader.start()
    assert reader.read() == numbered(range(300, 340))
    reader.start()
    assert reader.read() == []
    assert reader.stream.gaps() == []


def test_copied_and_cut(log: Path, reading: Reading) -> None:
    write(log, *numbered(range(50)))
    reader = reading(log)
    reader.read()
    write(log, *numbered(range(50, 60)))
    log.with_name("mail.log.1").write_bytes(log.read_bytes())
    log.write_bytes(b"")
    write(log, *numbered(range(60, 65)))
    assert reader.read() == numbered(range(50, 65))
    assert [gap.reason for gap in reader.stream.gaps()] == ["log truncated"]


def test_a_copy_is_not_read_beside_its_original(log: Path, reading: Reading) -> None:
    write(log, *numbered(range(50)))
    reader = reading(log)
    reader.read()
    write(log, *numbered([50]))
    log.with_name("mail.log.1").write_bytes(log.read_bytes())
    reader.start()
    assert reader.read() == numbered([50])


def test_cut_and_grown_beyond_where_it_was(log: Path, reading: Reading) -> None:
    write(log, *numbered(range(5)))
    reader = reading(log)
    reader.read()
    log.write_text("\n".join([*numbered(range(100, 150)), ""]))
    assert reader.read() == numbered(range(100, 150))


def test_rotated_away_before_it_was_read_is_a_gap(log: Path) -> None:
    write(log, *numbered(range(5)))
    write(log.with_name("mail.log.1"), *numbered(range(5)))
    stream = FileStream(str(log), Known([]), clock, followed_before=True)
    stream.begin()
    stream.close()
    assert [gap.reason for gap in stream.gaps()] == ["rotated away before it was read"]


def test_of_a_new_path_the_rotated_files_are_read_first(log: Path, reading: Reading) -> None:
    write(log, *numbered([2]))
    write(log.with_name("mail.log.1"), *numbered([1]))
    assert reading(log).read() == numbered([1, 2])


def test_a_renamed_file_is_let_go(log: Path, monkeypatch: pytest.MonkeyPatch, reading: Reading) -> None:
    write(log, *numbered([1]), "without an end", end="")
    reader = reading(log)
    reader.read()
    log.rename(log.with_name("mail.log.1"))
    write(log, *numbered([2]))
    assert reader.read() == numbered([2])
    now = time.monotonic()
    monkeypatch.setattr(follow.clocks, "monotonic", lambda: now + follow.LINGER + 1)
    assert reader.read() == ["without an end"]
    assert reader.stream.behind == 0


def test_a_directory_of_dated_files(tmp_path: Path, reading: Reading) -> None:
    folder = tmp_path / "receive"
    folder.mkdir()
    write(folder / "RECV2026112310-1.LOG", "one")
    time.sleep(0.02)
    write(folder / "RECV2026112311-1.LOG", "two")
    reader = reading(folder, DirectoryStream)
    assert reader.read() == ["one", "two"]
    write(folder / "RECV2026112312-1.LOG", "three")
    write(folder / "RECV2026112311-1.LOG", "late")
    assert sorted(reader.read()) == ["late", "three"]
    reader.start()
    assert reader.read() == []


def test_rotated_files_newest_first(tmp_path: Path) -> None:
    names = ["mail.log.2.gz", "mail.log.10.gz", "mail.log.1", "mail.log.0", "mail.log-20261101.xz", "mail-20261102.log", "mail.log.gz"]
    others = ["mail.log", "mail.logger.1", "mail.err.1", "mail.log.1.part", "mail.log.swp"]
    for name in [*names[:-1], *others]:
        (tmp_path / name).touch()
    found = [Path(path).name for path in rotated(str(tmp_path / "mail.log"))]
    assert found == ["mail.log.0", "mail.log.1", "mail.log.2.gz", "mail.log.10.gz", "mail-20261102.log", "mail.log-20261101.xz"]


def test_patterns_stand_for_the_files_there_are(tmp_path: Path) -> None:
    for host in ("mx2", "mx1"):
        (tmp_path / host).mkdir()
        (tmp_path / host / "mail.log").touch()
    assert list(streams_of([str(tmp_path / "*" / "mail.log"), "journal:"])) == [
        str(tmp_path / "mx1" / "mail.log"),
        str(tmp_path / "mx2" / "mail.log"),
        "journal:",
    ]


def test_a_file_that_is_just_being_compressed_is_read_once(log: Path, reading: Reading) -> None:
    write(Path(f"{log}.2"), *numbered(range(10)))
    write(Path(f"{log}.1"), *numbered(range(10, 20)))
    write(log, *numbered(range(20, 30)))
    for name in (".1", ".2"):
        Path(f"{log}{name}.gz").write_bytes(gzip.compress(Path(f"{log}{name}").read_bytes()))
    assert reading(log).read() == numbered(range(30))


def test_a_rotation_while_files_are_being_opened_is_noticed(log: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path(f"{log}.1"), *numbered(range(10)))
    write(log, *numbered(range(10, 20)))
    listed = follow.rotated
    rotations = iter([True])

    def rotating(path: str) -> list[str]:
        found = listed(path)
        if Path(path) == log and next(rotations, False):
            Path(f"{log}.1").rename(f"{log}.2")
            log.rename(f"{log}.1")
            write(log, *numbered(range(20, 30)))
        return found

    monkeypatch.setattr(follow, "rotated", rotating)
    assert reading(log).read() == numbered(range(30))


def test_a_file_that_is_compressed_while_it_is_read_is_not_read_again(log: Path, reading: Reading) -> None:
    write(log, *numbered(range(10)))
    reader = reading(log)
    found = reader.read()
    write(log, *numbered(range(10, 20)))
    Path(f"{log}.2.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    write(Path(f"{log}.1"), *numbered(range(20, 30)))
    write(log, *numbered(range(30, 40)))
    for _ in range(3):
        found += reader.read()
    assert found == numbered(range(40))


def test_a_file_that_was_opened_when_it_was_short_is_known_by_more(log: Path, reading: Reading) -> None:
    """Two files may begin alike; the one is not taken for the other, nor for its copy."""
    first = "2026-11-24T10:00:00.000000+00:00 mail rsyslogd: start"
    log.write_text(f"{first[:20]}")
    reader = reading(log)
    assert reader.read() == []
    write(log, first[20:], *numbered(range(100)))
    assert reader.read() == [first, *numbered(range(100))]
    log.rename(f"{log}.2")
    write(Path(f"{log}.1"), first, *numbered(range(200, 300)))
    log.write_text(first[:30])
    reader.start()
    assert reader.read() == [first, *numbered(range(200, 300))]
    write(log, first[30:], *numbered(range(300, 310)))
    assert reader.read() == [first, *numbered(range(300, 310))]


def test_lines_written_to_the_file_before_while_nobody_read(log: Path, reading: Reading) -> None:
    write(log, *numbered(range(5)))
    reader = reading(log)
    reader.read()
    log.rename(f"{log}.1")
    write(log, *numbered([6]))
    assert reader.read() == numbered([6])
    reader.stream.close()
    write(Path(f"{log}.1"), *numbered([5]))
    Path(f"{log}.1").rename(f"{log}.2")
    log.rename(f"{log}.1")
    write(log, *numbered([7]))
    reader.start()
    assert reader.read() == numbered([5, 7])


@pytest.fixture
def nobody() -> Iterator[None]:
    """Rights of someone who owns nothing; root may read everything."""
    me = os.geteuid()
    os.seteuid(me or 65_534)
    yield
    os.seteuid(me)


@pytest.mark.usefixtures("nobody")
def test_a_file_that_may_be_read_later(reading: Reading) -> None:
    with TemporaryDirectory() as folder:
        log = Path(folder) / "mail.log"
        write(log, *numbered([1]))
        log.chmod(0)
        reader = reading(log)
        assert reader.read() == reader.read() == []
        assert "no permission to read it" in reader.stream.problem
        log.chmod(0o600)
        assert reader.read() == numbered([1])
        assert reader.stream.problem == ""


def test_a_rotated_file_that_cannot_be_read_is_said_and_is_a_gap(log: Path, reading: Reading) -> None:
    write(log, *numbered(range(500)))
    reader = reading(log)
    reader.read()
    log.rename(f"{log}.3")
    packed = gzip.compress("\n".join([*numbered(range(500, 9000)), ""]).encode())
    Path(f"{log}.2.gz").write_bytes(packed[: len(packed) // 2])
    Path(f"{log}.1.gz").write_bytes(b"\x1f\x8b" + bytes(50))
    write(log, *numbered([9001]))
    reader.start()
    found = reader.read()
    assert found[0] == numbered([500])[0]
    assert found[-1] == numbered([9001])[0]
    assert "damaged" in reader.stream.problem
    assert sorted(gap.reason for gap in reader.stream.gaps()) == [follow.DAMAGED, follow.UNREADABLE]
    assert reader.read() == []
    assert reader.stream.gaps() == []


def test_moved_to_where_nobody_looks_is_a_gap(log: Path) -> None:
    write(log, *numbered(range(5)))
    stream = FileStream(str(log), Known([]), clock, followed_before=True)
    stream.begin()
    stream.close()
    assert [gap.reason for gap in stream.gaps()] == [follow.MISSED]


@pytest.mark.parametrize("after", [[6], []])
@pytest.mark.parametrize("cut", [True, False])
def test_copied_and_cut_while_nobody_read_may_have_lost_lines(log: Path, after: list[int], *, cut: bool) -> None:
    known = Known([])
    stream = FileStream(str(log), known, clock)
    write(log, *numbered(range(5)))
    stream.begin()
    list(stream.read())
    stream.positions("timezone=UTC", "2026 found")
    stream.close()
    if cut:
        Path(f"{log}.1").write_bytes(log.read_bytes())
        os.truncate(log, 0)
    else:
        log.rename(f"{log}.1")
        log.touch()
    if after:
        write(log, *numbered(after))
    stream = FileStream(str(log), known, clock, followed_before=True)
    stream.begin()
    assert b"".join(stream.read()).decode().splitlines() == numbered(after)
    stream.close()
    assert [gap.reason for gap in stream.gaps()] == [follow.TRUNCATED] * cut


def test_a_large_directory_is_read_a_few_files_at_a_time(tmp_path: Path, reading: Reading) -> None:
    folder = tmp_path / "receive"
    folder.mkdir()
    count = 5 * follow.OPEN + 1
    for number in range(count):
        path = folder / f"RECV{number:04}.LOG"
        write(path, *numbered(range(2 * number, 2 * number + 2)), "half", end="")
        os.utime(path, (number + 1, number + 1))
    reader = reading(folder, DirectoryStream)
    opened = len([*Path("/proc/self/fd").iterdir()])
    assert [line for line in reader.read() if line != "half"] == numbered(range(2 * count))
    assert len([*Path("/proc/self/fd").iterdir()]) <= opened + follow.OPEN + 2
    write(folder / "RECV0000.LOG", " and half", *numbered([999]))
    write(folder / "new.LOG", *numbered([1000]))
    assert sorted(reader.read()) == sorted(["half and half", *numbered([999, 1000])])
    reader.start()
    assert [line for line in reader.read() if line != "half"] == []


def test_a_directory_is_not_listed_for_every_few_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: Reading) -> None:
    folder = tmp_path / "receive"
    folder.mkdir()
    count = 10 * follow.OPEN
    for number in range(count):
        write(folder / f"RECV{number:04}.LOG", *numbered([number]))
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(follow, "LISTED", 3600.0)
    monkeypatch.setattr(follow.os, "scandir", lambda path: listed.append(path) or scandir(path))
    reader = reading(folder, DirectoryStream)
    assert len(reader.read()) == count
    assert len(listed) == 1
    write(folder / "new.LOG", *numbered([1000]))
    assert reader.read() == numbered([1000])


def test_what_is_no_file_hides_no_file_of_a_directory(tmp_path: Path, reading: Reading) -> None:
    folder = tmp_path / "receive"
    (folder / "folder.LOG").mkdir(parents=True)
    (folder / "itself.LOG").symlink_to("itself.LOG")
    (folder / "nowhere.LOG").symlink_to("nothing")
    (folder / "around.LOG").symlink_to(".")
    os.mkfifo(folder / "pipe.LOG")
    write(folder / "RECV.LOG", *numbered(range(3)))
    assert reading(folder, DirectoryStream).read() == numbered(range(3))


def test_a_pattern_leaves_rotated_files_to_their_path(tmp_path: Path) -> None:
    for name in ("mail.log", "mail.log.1", "mail.log.2.gz", "mail.err"):
        (tmp_path / name).touch()
    assert [Path(name).name for name in streams_of([str(tmp_path / "mail.*")])] == ["mail.err", "mail.log"]


def test_what_is_no_file_is_said(tmp_path: Path, reading: Reading) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = reading(tmp_path / "pipe")
    assert reader.read() == []
    assert "is not a file" in reader.stream.problem
