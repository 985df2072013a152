"""ClickHouse, where it differs from DuckDB: its tables, and the numbers that stand for values."""

from __future__ import annotations

import pytest

from pairs import clickhouse
from rows import NOON
from smtp_auth_report.errors import StoreError
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
