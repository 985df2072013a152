"""
Writes a log as a busy machine does, in a process of its own: in pieces that end anywhere, and rotated all the while.

    python tests/rotating_writer.py SOURCE TARGET STYLE SECONDS SEED [PORTIONS]

The whole takes so many seconds. It is written in so many portions of equal size; each begins when a line comes on standard
input, so that whoever reads the log can be sure that it is not at its end yet. Without PORTIONS it is written at once.

Styles, as logrotate has them
    rename          mail.log.1, mail.log.2, …; the writer goes on in the renamed file until it is told to reopen
    compress        the same, and everything but the newest is compressed
    compressnow     the same, and the newest is compressed too, as soon as its writer has let go of it
    date            mail.log-20261124-000001
    datexz          the same, and everything is compressed with xz
    copytruncate    copied to mail.log.1, then cut; no line is written between the two
    copycompress    the same, and the copy is compressed
    copylose        copied and cut, and what is written between the two is lost, as it is on a busy machine
"""

from __future__ import annotations

import gzip
import lzma
import random
import shutil
import sys
import time
from pathlib import Path

PIECE = (20, 4_000)
ROTATIONS = 8


class Rotating:
    """One log under one style of rotation."""

    def __init__(self, path: Path, style: str) -> None:
        self.path = path
        self.style = style
        self.file = path.open("ab", buffering=0)
        self._old: list[Path] = []  # newest first
        self._serial = 0

    def rotate(self, lost: bytes = b"") -> None:
        """Move on; a renamed file is still written to until `reopen`."""
        if self.style.startswith("date"):
            self._serial += 1
            self._old.insert(0, self.path.rename(f"{self.path}-20261124-{self._serial:06}"))
            return
        self._shift()
        first = Path(f"{self.path}.1")
        if self.style.startswith("copy"):
            shutil.copyfile(self.path, first)
            if self.style == "copylose":
                self.file.write(lost)
            self.file.truncate(0)
        else:
            self.path.rename(first)
        self._old.insert(0, first)
        if self.style == "copycompress":
            self._old[0] = compress(first)

    def reopen(self) -> None:
        """What the postrotate script makes the syslog daemon do."""
        if not self.style.startswith("copy"):
            self.file.close()
            self.file = self.path.open("ab", buffering=0)
        if self.style in {"compressnow", "datexz"}:
            self._old[0] = compress(self._old[0], ".xz" if self.style == "datexz" else ".gz")

    def _shift(self) -> None:
        for number in range(len(self._old), 0, -1):
            old = self._old[number - 1]
            suffix = ".gz" if old.suffix == ".gz" else ""
            moved = old.rename(f"{self.path}.{number + 1}{suffix}")
            self._old[number - 1] = compress(moved) if self.style == "compress" and not suffix else moved


def compress(path: Path, suffix: str = ".gz") -> Path:
    """As gzip and xz do: the new file is whole before the old one goes."""
    packed = Path(f"{path}{suffix}")
    with path.open("rb") as plain, gzip.open(packed, "wb", 1) if suffix == ".gz" else lzma.open(packed, "wb", preset=0) as target:
        shutil.copyfileobj(plain, target)
    path.unlink()
    return packed


class Portions:
    """How fast the content is written, and how far before it waits to be told."""

    def __init__(self, size: int, seconds: float, count: int) -> None:
        self._size = size
        self._seconds = seconds
        self._count = count
        self._told = 0
        self._begun = time.monotonic()
        self._from = 0

    def await_turn(self, done: int) -> None:
        """Return when there may be written more, so much being done."""
        while self._count and done >= self._size * self._told // self._count:
            if not sys.stdin.readline():
                sys.exit("nobody tells the next portion")
            self._told += 1
            self._begun, self._from = time.monotonic(), done
        ahead = self._seconds * (done - self._from) / self._size - (time.monotonic() - self._begun)
        time.sleep(max(0.0, ahead))


def main(source: str, target: str, style: str, seconds: str, seed: str, portions: str = "0") -> None:
    rng = random.Random(int(seed))
    content = Path(source).read_bytes()
    log = Rotating(Path(target), style)
    borders = sorted(rng.randrange(len(content)) for _ in range(ROTATIONS))
    turns = Portions(len(content), float(seconds), int(portions))
    done = 0
    while done < len(content):
        turns.await_turn(done)
        piece = content[done : done + rng.randint(*PIECE)]
        log.file.write(piece)
        done += len(piece)
        if borders and done >= borders[0] and log.path.stat().st_size:
            borders.pop(0)
            # as a rule a line is whole when a daemon reopens its log
            end = content.find(b"\n", done) + 1 or len(content)
            log.file.write(content[done:end])
            done = end
            late = content.find(b"\n", done) + 1 or len(content)
            log.rotate(content[done:late])
            if style == "copylose":
                done = late
            if not style.startswith("copy"):
                log.file.write(content[done:late])
                done = late
            log.reopen()


if __name__ == "__main__":
    main(*sys.argv[1:])
