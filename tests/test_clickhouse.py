"""ClickHouse, where it differs from DuckDB: its tables, and the numbers that stand for values."""

from __future__ import annotations

import pytest

from pairs import JOINED, clickhouse, merge
from rows import NOON
from smtp_auth_report.errors import StoreError
from smtp_auth_report.store.clickhouse_client import Client
from smtp_auth_report.store.clickhouse_numbers import codes_of, number_of
from smtp_auth_report.store.clickhouse_opening import prepare
from smtp_auth_report.store.clickhouse_place import placed
from smtp_auth_report.store.dimensions import CLIENTS, SUBJECTS

X = placed("chdb:///x")


def test_a_number_is_the_same_on_every_host_and_tells_values_apart() -> None:
    assert number_of("clients", ("192.0.2.10", None, "pc")) == 1511407398286763878
    values = [("a", "b"), ("ab", ""), ("", "ab"), ("a", None), (None, "a"), ('a","b',), ("a\x00", "b")]
    assert len({number_of("clients", each) for each in values}) == len(values)
    assert number_of("clients", ("a",)) != number_of("subjects", ("a",))


def test_what_is_often_told_apart_has_the_same_number_in_all_that_have_it() -> None:
    one = codes_of(SUBJECTS, ("anna", "contoso.example", "k", "anna@contoso.example", "contoso.example"))
    other = codes_of(SUBJECTS, ("anna", None, None, None, None))
    assert one[0] == other[0]
    assert one[1] != other[1]
    assert other[2] is None
    assert codes_of(CLIENTS, (None, "pc", None)) == [None]


def test_tables_are_made_once_and_say_what_was_settled_first() -> None:
    with clickhouse() as clients, clients.client() as client:
        client.run("DROP TABLE meta")
        with pytest.raises(StoreError, match="no such database; run ingest first"):
            prepare(client.rows, X, read_only=True, zone="UTC", now=NOON)
        first = prepare(client.rows, X, read_only=False, zone="Asia/Kolkata", now=NOON)
        assert (first["bucket_minutes"], first["schema"]) == ("15", "1")
        assert prepare(client.rows, X, read_only=False, zone="UTC", now=NOON + 1) == first
        client.insert("meta", {"name": ["schema"], "value": ["2"], "written": [2**63], "gone": [0]})
        with pytest.raises(StoreError, match="written by a newer version"):
            prepare(client.rows, X, read_only=False, zone="UTC", now=NOON)


def test_of_months_that_are_merged_nothing_is_sorted_again() -> None:
    """What was replaced is left out while rows are read, unless a month has one part. The server sees to that, by itself."""
    columns = ("key", "opened", "spread", "time", "subject", "manner", "client", "writer", "written", "gone")
    months = ("2026-10-03 10:00:00", "2026-11-18 12:00:00")

    def plan(client: Client) -> str:
        sql = "EXPLAIN PIPELINE SELECT subject, count() FROM submissions WHERE time > '2020-01-01' GROUP BY subject"
        return "\n".join(row[0] for row in client.rows(sql))

    with clickhouse() as clients, clients.client() as client:
        made = client.rows("SELECT name, engine_full FROM system.tables WHERE name IN $names", {"names": list(JOINED)})
        forced = "min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1"
        assert {name for name, engine in made if forced in engine} == set(JOINED)
        client.run("SYSTEM STOP MERGES submissions")
        for written in (1, 3):
            rows = f"SELECT number, '$', 0, '$', number, 1, 1, 1, {written}, number % 2 FROM numbers(100)"
            for month in months:
                client.run(f"INSERT INTO submissions ({', '.join(columns)}) {rows.replace('$', month)}")
        sql = "SELECT count(), sum(subject), min(written) FROM submissions"
        before = client.rows(sql)
        assert "Replacing" in plan(client)
        client.run("SYSTEM START MERGES submissions")
        merge(client)
        assert client.rows(sql) == before == [(100, 4900, 3)]
        assert "Replacing" not in plan(client)
        client.run("TRUNCATE TABLE submissions")
