"""
Tables of a cluster: which parts of them stand where.

    made(statement, place)              SQL that makes a table: of a cluster, its parts on all hosts and what reads them as one
    altered("submissions", place)       what to name in ALTER, OPTIMIZE and TRUNCATE

With `?cluster=NAME` a table is in two: `submissions_part` on each host, replicated within its shard, and `submissions`, which
is Distributed over them. Rows that replace each other are on one shard, because what their shard is told by is part of what
they are ordered by; so `final` is right on each shard, and therefore in the sum of them.

Subjects, manners and clients are whole on every host, replicated across all shards: rows are joined with them where they are.
Where such an entry has not reached a host yet, rows that name it are not counted there until it has, a moment later.

Everybody reads and writes the first replica of a shard that lives (`in_order`), and none that is behind; so whoever looks
last sees what others wrote. What is inserted counts as written when most replicas have it.

The servers need the macros `shard` and `replica`, as ClickHouse's own guides have them, and `internal_replication` in the
definition of the cluster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from smtp_auth_report.store.clickhouse_place import Place

SHARDED_BY = {
    "meta": "cityHash64(name)",
    "submissions": "key",
    "hourly": "subject",
    "accounts": "cityHash64(account)",
    "second_hand": "reference",
    "awaited": "reference",
    "erased": "cityHash64(account_key)",
    "withheld": "cityHash64(account_key)",
    "writers": "writer",
    "progress": "cityHash64(server)",
    "unread": "cityHash64(server)",
    "unread_samples": "cityHash64(server)",
    "gaps": "cityHash64(server)",
    "streams": "cityHash64(stream)",
    "counted_reports": "cityHash64(report)",
    "counted": "cityHash64(report)",
}
"""Table -> what tells the shard of a row: always something of its ORDER BY."""

WHOLE = ("subjects", "manners", "clients")
"""Tables that every host has whole."""

SETTINGS: Mapping[str, int | str] = {
    "distributed_foreground_insert": 1,  # what was written is on its shard
    "insert_quorum": "auto",  # and on most of its replicas
    "insert_deduplicate": 0,  # rows replace themselves; of two equal blocks both may be meant
    "load_balancing": "in_order",
    "prefer_localhost_replica": 0,  # else each host would look at its own
    "max_replica_delay_for_distributed_queries": 2,
    "fallback_to_stale_replicas_for_distributed_queries": 0,
    "skip_unavailable_shards": 0,  # an answer lacks nothing
    "distributed_product_mode": "global",  # what is looked up in another table is looked up in all of it
    "parallel_distributed_insert_select": 0,  # sums over all shards, not one for each
}
"""What a client sets besides, where its tables are those of a cluster."""

PATH = "/clickhouse/smtp-auth-report/{database}/{table}"
"""In Keeper. Names in braces are the server's to fill in."""

CREATE = re.compile(r"CREATE TABLE (?P<name>\w+) (?P<columns>\(.*\)) ENGINE = ReplacingMergeTree\((?P<of>[\w, ]+)\)(?P<rest>.*)", re.DOTALL)


def made(statement: str, place: Place) -> list[str]:
    """A statement of clickhouse_schema.sql as it is run, any number of times, at this place."""
    if not place.cluster:
        return [statement.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1)]
    found = CREATE.fullmatch(statement)
    assert found is not None, statement
    name = found["name"]
    path, replica = (PATH, "{shard}-{replica}") if name in WHOLE else (PATH + "/{shard}", "{replica}")
    engine = f"ReplicatedReplacingMergeTree('{path}', '{replica}', {found['of']})"
    own = _part(name)
    tables = [f"CREATE TABLE IF NOT EXISTS {own} {_on(place)} {found['columns']} ENGINE = {engine}{found['rest']}"]
    if name not in WHOLE:
        of = f"Distributed('{place.cluster}', '{place.database}', '{own}', {SHARDED_BY[name]})"
        tables.append(f"CREATE TABLE IF NOT EXISTS {name} {_on(place)} AS {own} ENGINE = {of}")
    return tables


def altered(table: str, place: Place) -> str:
    """What stands for a table in statements that change what is there instead of adding to it."""
    return f"{_part(table)} {_on(place)}" if place.cluster else table


def _part(table: str) -> str:
    return table if table in WHOLE else f"{table}_part"


def _on(place: Place) -> str:
    return f"ON CLUSTER '{place.cluster}'"
