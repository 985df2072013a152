"""
Tables of a cluster, as far as that can be seen without one: what is made, and that the engine takes it.

Whether answers are right across shards is proven against a cluster alone, by the tests of the engines (`CLICKHOUSE_URL`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from pairs import clickhouse
from smtp_auth_report.errors import SettingError
from smtp_auth_report.store.clickhouse_client import Client
from smtp_auth_report.store.clickhouse_cluster import SETTINGS, SHARDED_BY, WHOLE, altered, made
from smtp_auth_report.store.clickhouse_opening import statements
from smtp_auth_report.store.clickhouse_place import placed

PLACE = placed("clickhouse://report@ch.example:8443/mail?cluster=main")
ALONE = placed("clickhouse://report@ch.example:8443/mail")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with clickhouse() as clients, clients.client() as client:
        yield client


def name_of(statement: str) -> str:
    found = re.match(r"CREATE TABLE (\w+)", statement)
    assert found
    return found[1]


def test_rows_that_replace_each_other_are_on_one_shard() -> None:
    """What tells the shard is part of what tells rows apart, and every table is of one kind or the other."""
    assert {name_of(statement) for statement in statements()} == {*SHARDED_BY, *WHOLE}
    for statement in statements():
        name = name_of(statement)
        if name in SHARDED_BY:
            ordered = statement[statement.index("ORDER BY") :]
            column = re.sub(r"cityHash64\((\w+)\)", r"\1", SHARDED_BY[name])
            assert re.search(rf"\b{column}\b", re.sub(r"toStartOfHour\(opened\)", "", ordered)), name


def test_what_is_made() -> None:
    (meta,) = (statement for statement in statements() if name_of(statement) == "meta")
    columns = "(\n    name LowCardinality(String),\n    value String,\n    written UInt64,\n    gone UInt8\n)"
    path = "/clickhouse/smtp-auth-report/{database}/{table}/{shard}"
    assert made(meta, PLACE) == [
        (
            f"CREATE TABLE IF NOT EXISTS meta_part ON CLUSTER 'main' {columns} "
            f"ENGINE = ReplicatedReplacingMergeTree('{path}', '{{replica}}', written, gone) ORDER BY name"
        ),
        (
            "CREATE TABLE IF NOT EXISTS meta ON CLUSTER 'main' AS meta_part "
            "ENGINE = Distributed('main', 'mail', 'meta_part', cityHash64(name))"
        ),
    ]
    (clients,) = (statement for statement in statements() if name_of(statement) == "clients")
    (whole,) = made(clients, PLACE)
    assert whole.startswith("CREATE TABLE IF NOT EXISTS clients ON CLUSTER 'main' (")
    assert "ReplicatedReplacingMergeTree('/clickhouse/smtp-auth-report/{database}/{table}', '{shard}-{replica}', written, gone)" in whole
    assert made(meta, ALONE) == [meta.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")]
    assert altered("meta", PLACE) == "meta_part ON CLUSTER 'main'"
    assert altered("clients", PLACE) == "clients ON CLUSTER 'main'"
    assert altered("meta", ALONE) == "meta"


def test_the_engine_understands_it(client: Client) -> None:
    tables = [each for statement in statements() for each in made(statement, PLACE)]
    assert len(tables) == 2 * len(SHARDED_BY) + len(WHOLE)
    changing = [
        f"ALTER TABLE {altered('accounts', PLACE)} DELETE WHERE account = 'a' SETTINGS mutations_sync = 2",
        f"OPTIMIZE TABLE {altered('subjects', PLACE)} FINAL",
        f"TRUNCATE TABLE {altered('meta', PLACE)}",
    ]
    for statement in (*tables, *changing):
        text = "\n".join(row[0] for row in client.rows(f"EXPLAIN AST {statement}"))
        assert text


def test_the_engine_knows_the_settings(client: Client) -> None:
    known = {name for (name,) in client.rows("SELECT name FROM system.settings WHERE name IN $names", {"names": list(SETTINGS)})}
    assert known == set(SETTINGS)


@pytest.mark.parametrize("name", ["a'b", "a b", "é"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="is the name of a cluster"):
        placed(f"clickhouse://ch.example/mail?cluster={name}")
