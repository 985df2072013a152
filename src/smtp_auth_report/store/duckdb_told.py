"""
What one log tells of rows that another log gives: kept until both were read, in whatever order.

    readings = meet(execute, told, awaited, anew=False)     readings of rows, that are put together with them as any other
    forget(execute)                              of rows that are gone nothing is told any more

A front end knows how a client came in, a mailbox server what it sent; message tracking knows sizes. A row names the
references by which others may tell of it (`Changes.awaited`); what is told (`Changes.told`) makes no row by itself.
"""

# ruff: noqa: S608 (SQL is put together from names of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Callable, Mapping

import duckdb
import numpy as np

from smtp_auth_report.moments import DAY
from smtp_auth_report.store.packing import Arrays, times
from smtp_auth_report.submission import Identity

Execute = Callable[..., duckdb.DuckDBPyConnection]

UNCLAIMED = 31 * DAY
"""How long, before the newest, what is told of no account is kept for a row that may still come."""

VALUES = ("time", "subject", "manner", "client", "recipients", "size")


def meet(run: Execute, told: Arrays | None, awaited: Mapping[Identity, tuple[int, ...]], *, anew: bool) -> Arrays | None:
    """
    Keep what is told and awaited now; readings of all rows for which one of both is new. Where rows may have been taken away
    and come again, `anew`, all that await something now are told it once more.
    """
    run("CREATE OR REPLACE TEMP TABLE heard AS FROM second_hand LIMIT 0")
    run("CREATE OR REPLACE TEMP TABLE asked AS FROM awaited LIMIT 0")
    run("CREATE OR REPLACE TEMP TABLE whoever AS FROM awaited LIMIT 0")
    if told is not None:
        _keep(run, {"reference": told["key"]} | {name: told[name] for name in VALUES}, "heard", "second_hand")
    pairs = [(reference, *identity) for identity, references in awaited.items() for reference in references]
    if pairs:
        references, keys, opened = zip(*pairs, strict=True)
        numbers = {"reference": np.array(references, dtype=np.uint64), "key": np.array(keys, dtype=np.uint64)}
        arrays = numbers | {"opened": times(opened)}
        _keep(run, arrays, "asked", "awaited")
        run("INSERT INTO whoever SELECT reference, key, opened FROM arrays")
    told_of = "a.key, a.opened, CAST(0 AS INTEGER) AS spread, " + ", ".join(f"t.{name}" for name in VALUES)
    nothing = "CAST(NULL AS VARCHAR) AS queue_id, CAST(NULL AS VARCHAR) AS message_id"
    readings: Arrays = run(
        f"""
        SELECT {told_of}, {nothing} FROM heard AS t JOIN awaited AS a USING (reference)
        UNION SELECT {told_of}, {nothing} FROM second_hand AS t JOIN {"whoever" if anew else "asked"} AS a USING (reference)
        """
    ).fetchnumpy()
    return readings if len(readings["key"]) else None


def _keep(run: Execute, arrays: Arrays, fresh: str, table: str) -> None:
    """Add to a table what it does not hold; `fresh` is to have that."""
    names = ", ".join(arrays)
    held = f"SELECT {names} FROM {table} WHERE reference IN (SELECT reference FROM arrays)"
    run(f"INSERT INTO {fresh} SELECT {names} FROM arrays EXCEPT {held}")
    run(f"INSERT INTO {table} FROM {fresh}")


def forget(run: Execute, before: int = 0) -> None:
    """Of rows that are gone nothing is told any more, nor what was told of times before."""
    run("DELETE FROM awaited WHERE NOT EXISTS (FROM submissions AS s WHERE s.key = awaited.key AND s.opened = awaited.opened)")
    run(
        """
        DELETE FROM second_hand WHERE time < make_timestamp($before) OR (
            time < (SELECT max(time) FROM second_hand) - to_microseconds($unclaimed)
            AND subject IN (SELECT id FROM subjects WHERE account IS NULL)
        )
        """,
        {"before": before, "unclaimed": UNCLAIMED},
    )
