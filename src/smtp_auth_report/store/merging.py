"""
Putting several readings of one event together, in SQL.

Each column takes the largest of its values under a fixed order, so it does not matter which reading came first, or
how often: what is known wins over what is not; TLS: unknown, encrypted, none, versions; source: the server in front over
Postfix behind it; outcome: `accepted` over `rejected` over the rest. `time` and `reason` are those of the winning outcome;
a time with parts of a second wins over one without, else the earlier; but an attempt that brought no mail ends with its
session, so there the latest wins.

    COLUMNS     of a submission with its values
    STORED      of the table of submissions, with their types
    DOUBTFUL    makes the table of contested rows that are not stored as they are
    MERGED      makes of these, and of the stored rows with the same keys, the table of rows that change
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Mapping

from smtp_auth_report.store.dimensions import DIMENSIONS, HOME, logical
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Outcome, Service, Tls

STORED: Mapping[str, str] = {
    "key": "UBIGINT",
    "opened": "TIMESTAMP",
    "spread": "INTEGER",
    "time": "TIMESTAMP",
    "subject": "INTEGER",
    "manner": "INTEGER",
    "client": "INTEGER",
    "recipients": "BIGINT",
    "size": "BIGINT",
    "queue_id": "VARCHAR",
    "message_id": "VARCHAR",
}

COLUMNS = (*(name for name in STORED if name not in {each.column for each in DIMENSIONS}), *HOME)

OUTCOMES = (Outcome.TLS_FAILED, Outcome.AUTH_FAILED, Outcome.NO_MAIL, Outcome.REJECTED, Outcome.ACCEPTED)
"""Least to most."""


def _rank(column: str, low: tuple[str, ...]) -> str:
    """SQL for the place of a value: those of `low` in order, then all others."""
    branches = " ".join(f"WHEN '{value}' THEN {place}" for place, value in enumerate(low))
    return f"CASE {column} {branches} ELSE {len(low)} END"


def _largest(column: str, low: tuple[str, ...]) -> str:
    """SQL for the value of highest place, the lexically larger of equals. A place has one digit."""
    return f"substr(max(({_rank(column, low)}) || {column}), 2)"


WON = "CASE WHEN outcome_rank = best THEN {} END"
EXACT = "CASE WHEN outcome_rank = best AND epoch_us(time) % 1000000 <> 0 THEN time END"

MERGE: Mapping[str, str] = {name: f"max({name})" for name in COLUMNS} | {
    "key": "key",
    "opened": "min(opened)",
    "spread": "CAST(max(epoch_us(opened) + spread) - min(epoch_us(opened)) AS INTEGER)",
    "time": f"CASE WHEN max(best) >= {OUTCOMES.index(Outcome.REJECTED)} THEN coalesce(min({EXACT}), min({WON.format('time')})) "
    f"ELSE max({WON.format('time')}) END",
    "service": _largest("service", (Service.UNKNOWN,)),
    "source": _largest("source", ("postfix",)),  # the server that a client spoke to wins over the one behind it
    "mechanism": _largest("mechanism", (UNKNOWN_MECHANISM,)),
    "tls_version": _largest("tls_version", (Tls.UNKNOWN, Tls.UNVERSIONED, Tls.NONE)),
    "outcome": _largest("outcome", OUTCOMES),
    "reason": f"max({WON.format('reason')})",
    "account_domain": "arg_max_null(account_domain, account)",
    "sender_domain": "CASE WHEN max(sender) = '' THEN arg_max_null(account_domain, account) ELSE arg_max_null(sender_domain, sender) END",
}
"""Column -> its value among all readings of one event."""

DOUBTFUL = f"""
CREATE OR REPLACE TEMP TABLE doubtful AS
SELECT {", ".join(STORED)} FROM contested EXCEPT SELECT {", ".join(STORED)} FROM matched
"""

_NAMES = ", ".join(COLUMNS)

MERGED = f"""
CREATE OR REPLACE TEMP TABLE merged AS
WITH held AS (
    {logical("matched", COLUMNS)} WHERE r.key IN (SELECT key FROM doubtful)
), readings AS (
    SELECT {_NAMES}, 0 AS stored FROM ({logical("doubtful", COLUMNS)}) AS d
    UNION ALL
    SELECT {_NAMES}, 1 AS stored FROM held
), reached AS (
    SELECT *, max(epoch_us(opened) + spread) OVER (
        PARTITION BY key ORDER BY epoch_us(opened) RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS reach FROM readings
), chained AS (
    SELECT *, sum(CASE WHEN epoch_us(opened) - reach <= $apart THEN 0 ELSE 1 END) OVER (
        PARTITION BY key ORDER BY epoch_us(opened) RANGE UNBOUNDED PRECEDING
    ) AS cluster FROM reached
), ranked AS (
    SELECT *, {_rank("outcome", OUTCOMES[:-1])} AS outcome_rank FROM chained
), rated AS (
    SELECT *, max(outcome_rank) OVER (PARTITION BY key, cluster) AS best FROM ranked
), merged AS (
    SELECT {", ".join(f"{value} AS {name}" for name, value in MERGE.items())}, sum(stored) AS stored
    FROM rated GROUP BY key, cluster
)
SELECT * FROM merged AS m ANTI JOIN held AS s
ON {" AND ".join(f"s.{name} IS NOT DISTINCT FROM m.{name}" for name in COLUMNS)}
"""
