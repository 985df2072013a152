"""
A web server's access log of a given size, made once and kept, for a reader of another kind of log to be measured on.

    path = access_log(Path(".run/bench"), 1_000_000_000)

The combined format, from 200,000 addresses for 20,000 pages. The same size gives the same text.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

AGENTS = ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "curl/8.5.0", "Mozilla/5.0 (compatible; Crawler/2.1)")
STATUSES = (200,) * 8 + (304, 404)
START = datetime(2025, 1, 6, tzinfo=UTC)
A_SECOND = 20
"""Lines of one second."""


def access_log(folder: Path, size: int) -> Path:
    """The log, from `folder` where it was made before."""
    path = folder / f"access-{size}.log"
    if not path.exists():
        unfinished = path.with_suffix(".new")
        _write(unfinished, size)
        unfinished.rename(path)
    return path


def _write(path: Path, size: int) -> None:
    draw = random.Random(size)
    written = second = 0
    with path.open("w", encoding="ascii") as file:
        while written < size:
            stamp = f"{START + timedelta(seconds=second):%d/%b/%Y:%H:%M:%S} +0000"
            written += sum(file.write(_line(draw, stamp)) for _ in range(A_SECOND))
            second += 1


def _line(draw: random.Random, stamp: str) -> str:
    client, page = draw.randrange(200_000), int(20_000 * draw.random() ** 3)
    return (
        f"10.{client >> 16}.{client >> 8 & 255}.{client & 255} - - [{stamp}] "
        f'"GET /pages/{page}.html HTTP/1.1" {draw.choice(STATUSES)} {page * 7 % 50_000} "-" "{draw.choice(AGENTS)}"\n'
    )
