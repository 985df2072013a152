"""
What engines spell differently.

    DUCKDB.instant.format("$start")     make_timestamp($start)
    CLICKHOUSE.instant.format("$start") fromUnixTimestamp64Micro($start, 'UTC')
"""

from __future__ import annotations

from typing import NamedTuple


class Dialect(NamedTuple):
    """Each a template of one argument, or of a name and SQL."""

    micros: str  # a stored time as microseconds UTC
    instant: str  # microseconds UTC as a stored time
    member: str  # of a list that is a parameter
    lower: str  # a text in lower case, of whatever alphabet, as `filters.lowered` has it
    lasting: str  # a table that lasts as long as the connection
    works_twice: bool = False  # whether what a query reads in two places is worked out in each
    looks_up: bool = False  # whether a number that stands beside a subject is quickly found for each row
    within: str = ""  # of an address and a network, whether it is in there; "" where that is found out beforehand


SAME_LETTER = (
    ("\N{GREEK SMALL LETTER FINAL SIGMA}", "\N{GREEK SMALL LETTER SIGMA}"),
    ("i\N{COMBINING DOT ABOVE}", "i"),
)
"""Letters that engines, and Python, do not all make of the same capital."""


def _alike(replace: str, lower: str) -> str:
    """SQL for a text in lower case, in which each of these is the second."""
    for one, other in SAME_LETTER:
        lower = f"{replace}({lower}, '{one}', '{other}')"
    return lower


DUCKDB = Dialect(
    micros="epoch_us({})",
    instant="make_timestamp({})",
    member="IN (SELECT unnest({}))",
    lower=_alike("replace", "lower({})"),
    lasting="CREATE TEMP TABLE {} AS {}",
)

CLICKHOUSE = Dialect(
    micros="toUnixTimestamp64Micro({})",
    instant="fromUnixTimestamp64Micro({}, 'UTC')",
    member="IN {}",
    lower=_alike("replaceAll", "lowerUTF8({})"),
    lasting="CREATE TEMPORARY TABLE {} AS {}",
    works_twice=True,
    looks_up=True,
    within="(isIPv4String({0}) OR isIPv6String({0})) AND isIPAddressInRange(if(isIPv4String({0}) OR isIPv6String({0}), {0}, '::'), {1})",
)
