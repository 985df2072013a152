"""
A batch of log lines as columns of numbers.

    batch = Batch(b"...\\n...\\n")
    batch.starts, batch.ends                    where each line begins, and where its line feed stands
    batch.words[places]                         eight bytes from each of these places, as one number
    batch.matches(places, b"connect from ")     where this text stands there
    batch.have(numbers, [b"sasl_"])             which of these lines have one of the needles

Looking at a few bytes of every line costs nanoseconds a line; making an object of it costs a hundred times as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

Numbers = np.ndarray[Any, Any]

PAD = b"\0" * 1024
"""Behind the batch, so that a place near its end can be looked at too."""

ONES = np.uint64(0x0101010101010101)
FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
MIX = np.uint64(0x9E3779B97F4A7C15)
_HIGH = np.uint64(0x8080808080808080)


class Batch:
    """Whole lines, with the bytes they are made of."""

    def __init__(self, content: bytes) -> None:
        self.bytes = content
        data = content + PAD
        self.words: Numbers = np.ndarray(shape=(len(data) - 7,), dtype="<u8", buffer=data, strides=(1,))
        self.ends: Numbers = np.flatnonzero(np.frombuffer(content, np.uint8) == 10)
        self.starts: Numbers = np.concatenate((np.zeros(1, np.int64), self.ends[:-1] + 1))

    def matches(self, places: Numbers, text: bytes) -> Numbers:
        """Where this text stands at these places."""
        found = np.ones(len(places), bool)
        for begin in range(0, len(text), 8):
            part, mask = word(text[begin : begin + 8])
            there = self.words[places + begin]
            found &= (there if mask == FULL else there & mask) == part
        return found

    def heads(self, places: Numbers, heads: Numbers) -> Numbers:
        """Where one of these texts of four bytes stands; see `heads_of`."""
        return np.isin(self.words[places].astype(np.uint32), heads)

    def texts(self, numbers: Numbers) -> list[bytes]:
        """These lines."""
        return [self.bytes[start:end] for start, end in zip(self.starts[numbers].tolist(), self.ends[numbers].tolist(), strict=True)]

    def have(self, numbers: Numbers, needles: Iterable[bytes]) -> Numbers:
        """Which of these lines have any of the needles."""
        find, found = self.bytes.find, np.zeros(len(numbers), bool)
        starts, ends = self.starts[numbers].tolist(), self.ends[numbers].tolist()
        for needle in needles:
            found |= np.array([find(needle, start, end) for start, end in zip(starts, ends, strict=True)], np.int64) >= 0
        return found


class Ids(NamedTuple):
    """The words before the first colon of texts."""

    key: Numbers  # two words may share theirs
    colon: Numbers  # where the colon stands, counted from the text; 0: nowhere near


def ids(batch: Batch, places: Numbers) -> Ids:
    """Of the texts at these places, as far as a colon stands among their first 24 bytes."""
    key, colon = np.zeros(len(places), np.uint64), np.zeros(len(places), np.int64)
    done = np.zeros(len(places), bool)
    for part in range(3):
        there = batch.words[places + 8 * part]
        found, mask = before(there, b":")
        key = np.where(done, key, (key * MIX) ^ (there & mask))
        colon = np.where(found & ~done, 8 * part + length(mask), colon)
        done |= found
        if done.all():
            break
    return Ids(key, np.where(done, colon, 0))


def keys(words: Iterable[bytes]) -> Numbers:
    """The numbers that `ids` gives these words."""
    texts = [text[:24] + b":\n" for text in words]
    if not texts:
        return np.zeros(0, np.uint64)
    begins = np.concatenate((np.zeros(1, np.int64), np.cumsum([len(text) for text in texts], dtype=np.int64)[:-1]))
    return ids(Batch(b"".join(texts)), begins).key


def word(text: bytes) -> tuple[np.uint64, np.uint64]:
    """Up to eight bytes as a number, and the mask of as many."""
    return np.uint64(int.from_bytes(text, "little")), np.uint64((1 << 8 * len(text)) - 1)


def heads_of(texts: Iterable[bytes]) -> Numbers:
    """Texts of four bytes as numbers."""
    return np.array([int.from_bytes(text, "little") for text in texts], np.uint32)


def before(words: Numbers, mark: bytes) -> tuple[Numbers, Numbers]:
    """Which words hold such a byte, and the mask of the bytes before the first; of all bytes where there is none."""
    x = words ^ (np.uint64(mark[0]) * ONES)
    high = (x - ONES) & ~x & _HIGH
    lowest = high & (~high + np.uint64(1))
    found = high != 0
    return found, np.where(found, (lowest >> np.uint64(7)) - np.uint64(1), FULL)


def length(mask: Numbers) -> Numbers:
    """How many bytes a mask has."""
    counted: Numbers = (np.bitwise_count(mask) >> 3).astype(np.int64)
    return counted


def digits(words: Numbers, mask: Numbers) -> Numbers:
    """Whether all bytes under the mask, and one at least, are digits."""
    high, threes, sixes = (np.uint64(byte) * ONES & mask for byte in (0xF0, 0x30, 0x06))
    good: Numbers = (mask != 0) & ((words & high) == threes) & (((words & mask) + sixes & high) == threes)
    return good
