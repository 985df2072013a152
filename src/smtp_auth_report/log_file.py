"""
A log as batches of whole lines, whatever it is packed in.

    with Log(path, now) as log:
        log.reference                       when it was last written, microseconds UTC
        log.sample()                        first stamps of blocks all over it, in file order
        for batch in log.batches():         whole lines as bytes
            log.offset                      decompressed bytes given so far
        log.tail                            a last line without an end

`batches` may be called again, and gives what was written since.

Plain files, gzip, xz, bzip2 and zstd are told apart by their first bytes; "-" is standard input.

What goes wrong
    InputError for a file that is missing, empty, a directory, not readable, or damaged. A damaged archive gives all
    that can be unpacked before the error is raised.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self, cast

from smtp_auth_report.changes import Position
from smtp_auth_report.checkpoint import HEAD, TAIL, digest
from smtp_auth_report.errors import InputError
from smtp_auth_report.framing import made_of_lines
from smtp_auth_report.words import why, worded

if TYPE_CHECKING:
    from io import BufferedReader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BATCH = 4 << 20
BLOCK = 1 << 20
SPARE = 64 << 10  # of memory for a batch: there begins the line that the one before ended in
LONGEST = 16 << 20
LAST = 16 << 10
"""Bytes before the place where reading goes on that are looked at for the lines there."""

STDIN = "-"

_GZIP, _XZ, _BZIP2, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"BZh", b"\x28\xb5\x2f\xfd"
# mail.log-20260830.gz
_ROTATED = re.compile(r"-(\d{4})(\d\d)(\d\d)(?:-?\d{2,10})?(?:\.\w+)?$")
# A machine that lost its power leaves NUL bytes at the end of a log, and the next line begins behind them
_HOLE = re.compile(rb"^\0+", re.MULTILINE)
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)


class Place(NamedTuple):
    """How far a log was given."""

    offset: int  # bytes of decompressed content
    before: bytes  # the last of them


class Log:
    """One file, or standard input."""

    def __init__(self, path: str, now: int) -> None:
        self.path = path
        self.offset = 0
        self._rest = b""  # a line whose end has not been written
        self._looked = (0, 0)  # size and time of change when `rewritten` was last asked
        self._cut = False  # that it was rewritten was found while it was read
        self._overlong = False  # the midst of a line that is too long for one batch; what comes up to its end is passed over
        self._before = b""  # the last bytes before `offset`
        self._preceding = b""  # more of them, where reading went on
        self.resumed: Position | None = None  # where reading went on, behind what was read before
        self._damage: Exception | None = None  # raised when what was unpacked before it has been given
        self._now = now
        self._begin()
        while self.live and not self._intact():  # cut while its beginning was read, which is of two files then
            self.close()
            self._begin()
        self.reference = self._reference()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        """Open it, and read ahead."""
        self._raw = self._open()
        self._once = self.path == STDIN or not self._raw.seekable()  # a pipe can be read but once
        self.file = self._identity()
        self.packed = self._magic()
        self._stream = self._unpack()
        try:
            self.head = self._read_head()
        except InputError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return "standard input" if self.path == STDIN else self.path

    @property
    def size(self) -> int | None:
        """Bytes on disk, None for standard input."""
        return None if self._once else os.fstat(self._raw.fileno()).st_size

    @property
    def done(self) -> int:
        """Bytes on disk read so far."""
        return self.offset if self._once else self._raw.tell()

    @property
    def live(self) -> bool:
        """A plain file may still grow, so a last line without an end may be half a line."""
        return not self._once and not self.packed

    @property
    def start(self) -> bytes:
        """What was read ahead: the first block, before `batches` gives it."""
        return self._start

    @property
    def tail(self) -> bytes:
        """A last line without an end."""
        return b"" if self._overlong and self._made_of_lines else self._rest

    @property
    def _made_of_lines(self) -> bool:
        """Whether it is made of lines; else the whole of it may be one, and is given in pieces, as it is."""
        return made_of_lines(self.head[:200])

    @property
    def begun(self) -> bool:
        """Whether its first line is whole, before which it cannot be told from others."""
        return bool(self.packed) or b"\n" in self._start or len(self._start) >= BLOCK

    def wait(self) -> None:
        """Hold nothing of it in memory until it is read: back to the place where reading goes on."""
        if not self.packed:
            self._raw.seek(self.offset)
        elif not self.offset:
            self._raw.seek(0)
            self._damage = None
            self._stream = self._unpack()
        else:
            return
        self._start = b""

    def _identity(self) -> tuple[int, int]:
        """Device and inode: the same after it is renamed."""
        status = os.fstat(self._raw.fileno())
        return status.st_dev, status.st_ino

    @property
    def rewritten(self) -> bool:
        """A plain file no longer holds what was read of it."""
        if not self.live:
            return False
        status = os.fstat(self._raw.fileno())
        if not self._cut and (status.st_size, status.st_mtime_ns) != self._looked:
            self._looked = status.st_size, status.st_mtime_ns
            self._cut = not self._intact()
        return self._cut

    def _intact(self) -> bool:
        """Whether a plain file is as long as it was, begins as it did, and holds the same before the place where reading stopped."""
        descriptor = self._raw.fileno()
        before = self._before + self._rest[:TAIL]
        if os.fstat(descriptor).st_size < self._raw.tell() or os.pread(descriptor, len(self.head), 0) != self.head:
            return False
        return os.pread(descriptor, len(before), self.offset - len(self._before)) == before

    @property
    def place(self) -> Place:
        """Where the log stands."""
        return Place(self.offset, self._before)

    @property
    def before(self) -> bytes:
        """The last bytes before `offset`."""
        return self._before

    def _open(self) -> BinaryIO:
        if self.path == STDIN:
            return cast("BinaryIO", sys.stdin.buffer)
        try:
            if stat.S_ISDIR(Path(self.path).stat().st_mode):
                raise InputError(worded("{path}: is a directory; name the log files in it", path=self.path))
            return Path(self.path).open("rb")
        except FileNotFoundError:
            raise InputError(worded("{path}: no such file", path=self.path)) from None
        except PermissionError:
            raise InputError(
                worded(
                    "{path}: no permission to read it; run as a user of the group that owns the log (often adm), or with sudo",
                    path=self.path,
                )
            ) from None
        except OSError as error:
            raise InputError(worded("{path}: cannot be opened: {reason}", path=self.path, reason=why(error))) from None

    def _magic(self) -> str:
        start = cast("BufferedReader", self._raw).peek(6)[:6]
        kinds = {"gzip": _GZIP, "xz": _XZ, "bzip2": _BZIP2, "zstd": _ZSTD}
        return next((kind for kind, magic in kinds.items() if start.startswith(magic)), "")

    def _unpack(self) -> BinaryIO:
        if self.packed == "gzip":
            return cast("BinaryIO", gzip.GzipFile(fileobj=self._raw))
        if self.packed == "xz":
            return cast("BinaryIO", lzma.LZMAFile(self._raw))
        if self.packed == "bzip2":
            return cast("BinaryIO", bz2.BZ2File(self._raw))
        if self.packed == "zstd":
            return cast("BinaryIO", zstd.ZstdFile(self._raw))
        return self._raw

    def _read_head(self) -> bytes:
        try:
            head = self._unpacked(BLOCK)
        except _DAMAGE as error:
            raise InputError(
                worded("{path}: damaged {kind}: {error}", path=self.name, kind=self.packed or worded("file"), error=error)
            ) from None
        if not head:
            raise InputError(worded("{path}: is empty; is this the log your mail server writes to?", path=self.name))
        self._start = head
        return head[:HEAD]

    def _reference(self) -> int:
        """Rotation name, else gzip's own header, else the file's time."""
        rotated = _ROTATED.search(self.path)
        if rotated:
            try:
                day = datetime(int(rotated[1]), int(rotated[2]), int(rotated[3]), 23, 59, tzinfo=UTC)
                return int(day.timestamp()) * 1_000_000
            except ValueError:
                pass
        if self.packed == "gzip" and (written := cast("gzip.GzipFile", self._stream).mtime):
            return written * 1_000_000
        return self._now if self._once else os.fstat(self._raw.fileno()).st_mtime_ns // 1000

    def sample(self) -> list[bytes]:
        """The beginnings of first whole lines of blocks all over the file, and of its last line; a packed file is read once for it."""
        if self._once:
            return self._lines_of([self._start])
        if self.packed:
            with Log(self.path, self._now) as again:
                try:
                    return self._lines_of(again.batches())
                except InputError:
                    return self._lines_of([self._start])
        blocks = [self._start[:8192]]
        size, descriptor = self.size or 0, self._raw.fileno()
        places = (*range(BLOCK, size, BLOCK), max(0, size - 8192))
        blocks += [os.pread(descriptor, 8192, place).partition(b"\n")[2] for place in places]
        return self._lines_of(blocks, ends=True)

    @staticmethod
    def _lines_of(blocks: Iterator[bytes] | list[bytes], *, ends: bool = False) -> list[bytes]:
        found: list[bytes] = []
        last = b""
        for block in blocks:
            found.append(block[:200].partition(b"\n")[0])
            last = block
        lines = last.rstrip(b"\n").rpartition(b"\n")
        found.append(lines[2][:200] if lines[2] and not ends else last.rstrip(b"\n").split(b"\n")[-1][:200])
        return [line for line in found if line]

    @property
    def last_lines(self) -> bytes:
        """Whole lines before the place where reading went on, as far as they were looked at."""
        if self.resumed is not None and len(self._preceding) < self.resumed.offset:
            return self._preceding.partition(b"\n")[2]
        return self._preceding

    def stands_at(self, position: Position) -> bool:
        """
        Go to where reading stopped before; False, and back at the beginning, if what stands before it differs. A pipe
        cannot go back, so it goes no further than what was read ahead: its lines are told by their identity.
        """
        stands = self._go_to(position)
        self.resumed = position if stands and position.offset else None
        return stands

    def _go_to(self, position: Position) -> bool:
        content = self._start
        if position.offset > len(content) and self._once:
            return False
        if position.offset > len(content):
            if self.packed:
                return self._skip(position)
            self._raw.seek(max(0, position.offset - LAST))
            before = self._raw.read(min(LAST, position.offset))
            if len(before) < min(LAST, position.offset) or digest(before[-TAIL:]) != position.tail:
                self._raw.seek(len(self._start))
                return False
            return self._stand(position, before, b"")
        before = content[max(0, position.offset - LAST) : position.offset]
        return digest(before[-TAIL:]) == position.tail and self._stand(position, before, content[position.offset :])

    def _stand(self, position: Position, before: bytes, ahead: bytes) -> bool:
        self._start, self.offset, self._before, self._preceding = ahead, position.offset, before[-TAIL:], before
        return True

    def _skip(self, position: Position) -> bool:
        """Unpack up to a position; a stream cannot go back, so a difference opens it anew."""
        content = self._start
        before = b""
        passed = 0
        while passed + len(content) < position.offset:
            passed += len(content)
            before = (before + content)[-LAST:]
            try:
                content = self._unpacked(BLOCK)
            except _DAMAGE:
                content = b""
            if not content:
                return self._rewind()
        cut = position.offset - passed
        before = (before + content[:cut])[-LAST:]
        if digest(before[-TAIL:]) != position.tail:
            return self._rewind()
        return self._stand(position, before, content[cut:])

    def _rewind(self) -> bool:
        self._raw.seek(0)
        self._damage = None
        self._stream = self._unpack()
        self._read_head()
        return False

    def batches(self, size: int = BATCH) -> Iterator[bytes]:
        """
        Whole lines from where the log stands. A line without an end is left in `tail`, to go on from; one that is longer than
        a batch can be is cut off. What is not made of lines is given in pieces, as it is.
        """
        return map(bytes, self.views(size))

    def views(self, size: int = BATCH) -> Iterator[memoryview]:
        """The same without a copy: each is good until the one after the next is asked for, whose memory it has."""
        this, other = bytearray(), bytearray()
        while True:
            begin = len(self._rest)
            room = max(size, len(self._start))
            if len(this) < begin + room:
                this = bytearray(begin + room + SPARE)
            view = memoryview(this)
            view[:begin] = self._rest
            end = begin + self._more(view[begin : begin + room])
            if end == begin:
                return
            cut = this.rfind(b"\n", begin, end) + 1
            self._rest = bytes(view[cut:end])
            if cut:
                overlong, self._overlong = self._overlong, False
                self._advance(view[:cut])
                yield self._given(this, this.find(b"\n") + 1 if overlong else 0, cut)
                this, other = other, this
            if len(self._rest) > LONGEST:
                rest, self._rest = self._rest, b""
                overlong, self._overlong = self._overlong, True
                self._advance(rest)
                if not overlong or not self._made_of_lines:
                    yield memoryview(rest)

    def _given(self, buffer: bytearray, begin: int, end: int) -> memoryview:
        """A batch as it is given, without the end of an overlong line up to where others begin, and without holes."""
        if not self._made_of_lines:
            return memoryview(buffer)[:end]
        lines = memoryview(buffer)[begin:end]
        return memoryview(_HOLE.sub(b"", lines)) if buffer.find(b"\0", begin, end) >= 0 else lines

    def _more(self, room: memoryview) -> int:
        """
        Put there what was read ahead, or what is read now; how much it is. A file may be cut, and grow anew, between two
        calls: what is read behind a place counts only if the file is intact up to there when it has been read.
        """
        if ahead := self._start:
            room[: len(ahead)], self._start = ahead, b""
            return len(ahead)
        filled = self._whole(room)
        if filled and self.live and not self._intact():
            self._cut = True
            return 0
        return filled

    def _whole(self, room: memoryview) -> int:
        try:
            return self._unpack_into(room)
        except _DAMAGE as error:
            raise InputError(
                worded(
                    "{path}: damaged {kind} after {offset} bytes: {error}; what came before was read",
                    path=self.name,
                    kind=self.packed or worded("file"),
                    offset=self.offset,
                    error=error,
                )
            ) from None

    def _unpacked(self, size: int) -> bytes:
        """So many bytes, fewer at the end."""
        room = bytearray(size)
        return bytes(memoryview(room)[: self._unpack_into(memoryview(room))])

    def _unpack_into(self, room: memoryview) -> int:
        """Fill this, less at the end. A damaged archive gives what can be unpacked before the error is raised."""
        if self._damage is not None:
            raise self._damage
        filled = 0
        try:
            while filled < len(room) and (more := cast("BufferedReader", self._stream).readinto1(room[filled:])):
                filled += more
        except _DAMAGE as error:
            if not filled:
                raise
            self._damage = error
        return filled

    def _advance(self, batch: bytes | memoryview) -> None:
        if len(self.head) < HEAD:  # it was short when it was opened
            self.head += batch[len(self.head) - self.offset :][: HEAD - len(self.head)]
        self.offset += len(batch)
        self._before = (self._before + batch[-TAIL:])[-TAIL:]
