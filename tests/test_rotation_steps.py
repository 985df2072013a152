"""
A log that is rotated between any two steps of reading it: every line is read once, and in its order.

For each state a reader may be in, for each style of rotation and for each place in the reader's calls to the operating
system, the log is written, rotated and written again at just that place; a rotation is done in two steps, the second at
each place behind the first one's. The files are real.

ROTATION_STEPS says how many pairs of such places are tried for each state, style and size of what is written, 5 unless it
is set; `make proof` takes 200 of some two thousand.
"""

from __future__ import annotations

import gzip
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from stepping import Steps
from test_follow import Reader, numbered

PAIRS = int(os.environ.get("ROTATION_STEPS", "5"))
STATES = ("new", "following", "rotated", "restarted", "behind")
SIZES = (2, 300)
"""Lines that are written at a time: few, and more than is read at once."""


class Writer:
    """A log, and what its writer and its rotation do to it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.path = folder / "mail.log"
        self.first = Path(f"{self.path}.1")
        self.count = 0
        self.size = size

    def write(self, path: Path | None = None, times: int = 1) -> None:
        lines = numbered(range(self.count, self.count + times * self.size))
        self.count += len(lines)
        with (path or self.path).open("a") as file:
            file.write("\n".join([*lines, ""]))

    def shift(self) -> None:
        old = sorted(self.path.parent.glob("mail.log.*"), key=lambda path: -int(path.name.split(".")[2]))
        for path in old:
            words = path.name.split(".")
            path.rename(path.with_name(".".join(["mail", "log", str(int(words[2]) + 1), *words[3:]])))

    def rename(self) -> None:
        self.write()
        self.shift()
        self.path.rename(self.first)
        self.write(self.first)

    def create(self) -> None:
        """As the postrotate script has it done: the old file is let go of."""
        self.write()

    def touch(self) -> None:
        self.path.touch()

    def half_compress(self) -> None:
        packed = gzip.compress(self.first.read_bytes())
        Path(f"{self.first}.gz").write_bytes(packed[: len(packed) // 2])

    def compress(self) -> None:
        Path(f"{self.first}.gz").write_bytes(gzip.compress(self.first.read_bytes()))

    def remove(self) -> None:
        self.compress()
        self.first.unlink()

    def copy(self) -> None:
        self.write()
        self.shift()
        self.first.write_bytes(self.path.read_bytes())

    def cut(self) -> None:
        os.truncate(self.path, 0)

    def grow(self) -> None:
        """Beyond what it was before."""
        self.write(times=12)


Step = Callable[[Writer], None]
# first step, second step
STYLES: dict[str, tuple[list[Step], list[Step]]] = {
    "rename": ([Writer.rename], [Writer.create]),
    "touched": ([Writer.rename, Writer.touch], [Writer.create]),
    "two": ([Writer.rename, Writer.create], [Writer.rename, Writer.create]),
    "compressed": ([Writer.rename, Writer.create, Writer.compress], [Writer.remove]),
    "compressing": ([Writer.rename, Writer.create, Writer.half_compress], [Writer.remove]),
    "compressed away": ([Writer.rename, Writer.create], [Writer.remove, Writer.rename, Writer.create]),
    "copy": ([Writer.copy], [Writer.cut, Writer.write]),
    "copy grown": ([Writer.copy], [Writer.cut, Writer.grow]),
    "copied twice": ([Writer.copy, Writer.cut, Writer.write], [Writer.copy, Writer.cut, Writer.write]),
    "copied, grown twice": ([Writer.copy, Writer.cut, Writer.grow], [Writer.copy, Writer.cut, Writer.grow]),
    "copy compressed": ([Writer.copy, Writer.cut, Writer.write], [Writer.remove, Writer.write]),
}


class Run:
    """One log, one reader, steps at two places of what it does."""

    def __init__(self, folder: Path, state: str, size: int, *, again: bool = False) -> None:
        folder.mkdir()
        self.again = again  # it is started again behind what it has read
        self.writer = Writer(folder, size)
        self.reader = Reader(self.writer.path)
        self.state = state
        self.found: list[str] = []
        self.writer.write()
        if state != "new":
            self.read()
            self.writer.write()
        if state == "rotated":
            self.writer.rename()
            self.writer.create()
        elif state == "behind":
            for _ in range(2):
                self.writer.rename()
                self.writer.create()

    def read(self) -> None:
        self.found += self.reader.read()

    def work(self) -> None:
        if self.state in {"restarted", "behind"}:
            self.reader.start()
        self.read()
        self.read()

    def disturb(self, first: list[Step], second: list[Step], at: int, lag: int) -> None:
        """Both steps of a rotation, or one that is left over when the reader has done its work."""
        waiting = [first, second]

        def step() -> None:
            for do in waiting.pop(0):
                do(self.writer)

        def both() -> None:
            step()
            step()

        Steps().run(self.work, {at: both} if lag == 0 else {at: step, at + lag: step})
        while waiting:
            step()
        if self.again:
            self.reader.start()
        self.writer.write()
        for _ in range(3):
            self.read()
        self.reader.stream.close()


def places(count: int, seed: str) -> list[tuple[int, int]]:
    """Of the first step, and how much later the second comes: all pairs, or some that chance takes, always the same."""
    pairs = [(at, lag) for at in range(count) for lag in range(count - at + 1)]
    return pairs if len(pairs) <= PAIRS else random.Random(seed).sample(pairs, PAIRS)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("state", STATES)
def test_rotated_between_any_two_steps(tmp_path: Path, state: str, style: str, size: int) -> None:
    undisturbed = Run(tmp_path / "undisturbed", state, size)
    count = Steps().run(undisturbed.work)
    undisturbed.reader.stream.close()
    wrong = []
    for at, lag in places(count, f"{state} {style}"):
        run = Run(tmp_path / f"{at} {lag}", state, size, again=(at + lag) % 2 == 1)
        run.disturb(*STYLES[style], at, lag)
        if run.found != numbered(range(run.writer.count)):
            wrong.append((at, lag, *summary(run.found, run.writer.count)))
    assert not wrong


def summary(found: list[str], count: int) -> tuple[object, ...]:
    """Lines that are lost, come twice, or were never written; whether the others are in order."""
    written = set(numbered(range(count)))
    numbers = [int(line.rpartition(" ")[2]) for line in found if line in written]
    lost = sorted(set(range(count)) - set(numbers))
    twice = sorted(number for number, often in Counter(numbers).items() if often > 1)
    strange = [line for line in found if line not in written]
    return f"lost {lost[:3]}", f"twice {twice[:3]}", f"strange {strange[:1]}", f"in order {numbers == sorted(numbers)}"
