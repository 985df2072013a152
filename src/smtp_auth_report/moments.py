"""
Time as this program keeps it: whole microseconds since 1970, UTC.

    now()                       the machine's clock
    DAY, HOUR, SECOND           in microseconds
    rfc3339(time)               2026-11-23T16:06:06.5Z, for programs
"""

from __future__ import annotations

import time as clocks
from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> int:
    """The machine's clock."""
    return clocks.time_ns() // 1000


def micros(moment: datetime) -> int:
    """Of an aware datetime."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(time: int) -> datetime:
    """The datetime, UTC."""
    return EPOCH + timedelta(microseconds=time)


def rfc3339(time: int) -> str:
    """As programs read it."""
    return moment(time).isoformat().removesuffix("+00:00") + "Z"
