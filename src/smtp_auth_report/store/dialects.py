"""
What engines spell differently.

    DUCKDB.instant.format("$start")     make_timestamp($start)
"""

from __future__ import annotations

from typing import NamedTuple


class Dialect(NamedTuple):
    """Each a template of one argument."""

    micros: str  # a stored time as microseconds UTC
    instant: str  # microseconds UTC as a stored time
    member: str  # of a list that is a parameter


DUCKDB = Dialect(micros="epoch_us({})", instant="make_timestamp({})", member="IN (SELECT unnest({}))")
