"""
Any bytes, cut anywhere, rotated and compressed at any moment, damaged: what is read is what was written.

The short form takes seconds; `make proof` sets FOLLOW_SEEDS to a thousand.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from smtp_auth_report import follow
from smtp_auth_report.changes import Position
from smtp_auth_report.errors import InputError
from smtp_auth_report.follow import DirectoryStream, FileStream, Known
from smtp_auth_report.log_file import Log, zstd

SEEDS = int(os.environ.get("FOLLOW_SEEDS", "60"))
STEPS = 60
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "zst": zstd.compress}


def clock() -> int:
    return time.time_ns() // 1000


class Machine:
    """A log with its writer and its reader, whose every step is told by chance."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.copies = self.rng.random() < 0.4
        self.packer = self.rng.choice(sorted(PACKERS))
        self.delay = self.rng.choice([0, 1, 9])  # how many rotated files are left as they are
        self.path = folder / "mail.log"
        self.numbers = 0
        self.pending = b""
        self.found: list[bytes] = []
        self.safe = 0
        self.committed: dict[tuple[str, int], Position] = {}
        self.stream = FileStream(str(self.path), Known([]), clock)

    def line(self) -> bytes:
        """No two are the same, but they may begin alike for longer than a file's head."""
        self.numbers += 1
        filler = bytes(self.rng.choice(b"ab\0\xff\r\x1f\x8b") for _ in range(self.rng.choice([0, 3, 50, 6000])))
        return b"%012d %s\n" % (self.numbers, filler)

    def write(self) -> None:
        """Some lines, the last of which may be half a line."""
        text = self.pending + b"".join(self.line() for _ in range(self.rng.randint(1, 8)))
        cut = self.rng.choice([len(text), self.rng.randint(0, len(text))])
        with self.path.open("ab") as file:
            file.write(text[:cut])
        self.pending = text[cut:]

    def read(self) -> None:
        if self.stream.begin() is not None:
            for batch in self.stream.read():
                self.found += batch.splitlines(keepends=True) if b"\r" not in batch else [line + b"\n" for line in batch.split(b"\n")[:-1]]

    def commit(self) -> None:
        self.committed.update(((p.head, p.head_size), p) for p in self.stream.positions("timezone=UTC", "2026 found"))
        self.safe = len(self.found)

    def crash(self) -> None:
        """What was not committed is read again."""
        self.stream.close()
        del self.found[self.safe :]
        self.stream = FileStream(str(self.path), Known(self.committed.values()), clock)

    def rotate(self) -> None:
        if not self.path.exists() or not self.path.stat().st_size:
            return
        with self.path.open("ab") as file:
            file.write(self.pending)
            self.pending = b""
        old = sorted(self.path.parent.glob("mail.log.*"), key=lambda path: -int(path.name.split(".")[2]))
        for path in old:
            words = path.name.split(".")
            path.rename(path.with_name(".".join(["mail", "log", str(int(words[2]) + 1), *words[3:]])))
        first = Path(f"{self.path}.1")
        if self.copies:
            first.write_bytes(self.path.read_bytes())
            os.truncate(self.path, 0)
        else:
            self.path.rename(first)
            self.late()
        if self.rng.random() < 0.8:
            self.compress()

    def late(self) -> None:
        """The writer goes on in the file that was renamed."""
        first = Path(f"{self.path}.1")
        if first.exists() and not self.copies and self.rng.random() < 0.5:
            with first.open("ab") as file:
                file.write(self.line())

    def compress(self) -> None:
        """At once, with both files there, or whole."""
        for path in self.path.parent.glob("mail.log.*"):
            words = path.name.split(".")
            if len(words) == 3 and int(words[2]) > self.delay:
                Path(f"{path}.{self.packer}").write_bytes(PACKERS[self.packer](path.read_bytes()))
                if self.rng.random() < 0.3:
                    self.read()
                path.unlink()

    def run(self) -> list[bytes]:
        """All steps, and what has been read in the end."""
        steps = [self.write] * 6 + [self.read] * 4 + [self.commit] * 2 + [self.rotate] * 2 + [self.late, self.crash]
        for _ in range(STEPS):
            self.rng.choice(steps)()
        with self.path.open("ab") as file:
            file.write(self.pending + self.line())
        for _ in range(2):
            self.read()
        return self.found


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_line_is_read_once(tmp_path: Path, seed: int) -> None:
    machine = Machine(tmp_path, seed)
    found = machine.run()
    machine.stream.close()
    numbers = [int(line[:12]) for line in found]
    assert sorted(numbers) == list(range(1, machine.numbers + 1))
    assert all(line.endswith(b"\n") for line in found)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_of_a_damaged_archive_what_comes_before_is_read(tmp_path: Path, seed: int) -> None:
    """Never another line than was written, never half of one; that something is damaged is told."""
    rng = random.Random(seed)
    lines = [b"%06d %s" % (number, rng.randbytes(rng.randint(0, 300)).replace(b"\n", b"")) for number in range(2000)]
    name = rng.choice(sorted(PACKERS))
    packed = bytearray(PACKERS[name](b"\n".join([*lines, b""])))
    place = rng.randrange(6, len(packed))
    if seed % 2:
        del packed[place:]
    else:
        packed[place : place + 3] = rng.randbytes(3)
    path = tmp_path / f"mail.log.{name}"
    path.write_bytes(packed)
    found = b""
    told = False
    try:
        with Log(str(path), clock()) as log:
            for batch in log.batches():
                found += batch
    except InputError as error:
        told = "damaged" in str(error)
    assert told or name == "zst" or found == b"\n".join([*lines, b""])  # zstd keeps no checksum unless asked
    if seed % 2:
        assert lines[: found.count(b"\n")] == found.split(b"\n")[:-1]
    stream = DirectoryStream(str(tmp_path), Known([]), clock)
    again = b"".join(stream.read()) if stream.begin() is not None else b""
    stream.close()
    assert again == found
    assert not found or [gap.reason for gap in stream.gaps()] == [follow.DAMAGED] * told
