"""
Talking to ClickHouse: names of databases, parameters, values that come back as they went in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pairs import clickhouse
from smtp_auth_report.errors import SettingError, StoreError
from smtp_auth_report.store.clickhouse_client import Client, Clients, bound
from smtp_auth_report.store.clickhouse_place import Place, is_clickhouse, placed

NASTY = "a\tb\n'\\\0\"`\r\x1b é \N{PILE OF POO} ]["


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    with clickhouse() as clients:
        yield clients


@pytest.fixture
def client(clients: Clients) -> Iterator[Client]:
    with clients.client() as client:
        yield client


def test_a_name_says_where_the_database_is() -> None:
    assert placed("chdb:///var/lib/mail%20log") == Place("chdb:///var/lib/mail%20log", folder="/var/lib/mail log")
    name = "clickhouse://report:s%40cret@ch.example:8443/mail?secure=1&ca_cert=/etc/ca.pem&cluster=main"
    place = placed(name)
    assert place == Place(
        name="clickhouse://report@ch.example:8443/mail?secure=1&ca_cert=/etc/ca.pem&cluster=main",
        host="ch.example",
        port=8443,
        user="report",
        password="s@cret",
        database="mail",
        secure=True,
        options=(("ca_cert", "/etc/ca.pem"),),
        cluster="main",
    )
    assert placed("clickhouse://ch.example")[2:8] == ("ch.example", 8123, "default", "", "default", False)
    assert placed("clickhouse://ch.example?secure=1").port == 8443
    assert placed("clickhouse://ch.example:8443/mail").secure
    assert placed("clickhouse://[2001:db8::1]:8123/mail").host == "2001:db8::1"
    assert placed("clickhouse://ch.example?verify=0").options == (("verify", "false"),)
    assert [is_clickhouse(name) for name in ("chdb:///x", "clickhouse://x", "/x", "x.duckdb")] == [True, True, False, False]


@pytest.mark.parametrize(
    "name",
    [
        "chdb://folder", "chdb:///", "clickhouse://", "clickhouse://h:port/mail", "clickhouse://h/a/b", "clickhouse://h?nothing=1",
        "clickhouse://h?secure=maybe", "mysql://h/mail",
    ],
)  # fmt: skip
def test_a_name_that_says_no_place_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(SettingError, match=r"^[^\n]+$"):
        placed(name)


def test_a_password_is_never_told() -> None:
    with pytest.raises(SettingError) as error:
        placed("clickhouse://me:secret@h/a/b")
    assert "secret" not in str(error.value)


def test_parameters_have_the_types_of_their_values() -> None:
    sql = "$a $b $c $d $e $f"
    values = {"a": 1, "b": 2**63, "c": "x", "d": ["x"], "e": None, "f": [], "g": 1}
    assert bound(sql, values) == (
        "{a:Int64} {b:UInt64} {c:String} {d:Array(String)} {e:Nullable(String)} {f:Array(String)}",
        {name: value for name, value in values.items() if name != "g"},
    )


def test_values_come_back_as_they_went_in(client: Client) -> None:
    ((text, texts, nothing, number, big, many),) = client.rows(
        "SELECT $text, $texts, $nothing, $number, $big, $many",
        {"text": NASTY, "texts": [NASTY, ""], "nothing": None, "number": -5, "big": 2**64 - 1, "many": [1, 2**64 - 1]},
    )
    assert (text, texts, nothing, number, big, many) == (NASTY, [NASTY, ""], None, -5, 2**64 - 1, [1, 2**64 - 1])


def test_what_was_replaced_or_deleted_is_never_seen(client: Client) -> None:
    client.run(
        "CREATE OR REPLACE TABLE seen (a UInt64, b DateTime64(6, 'UTC'), c LowCardinality(Nullable(String)), d Nullable(Int64), "
        "version UInt64, gone UInt8) ENGINE = ReplacingMergeTree(version, gone) ORDER BY a"
    )
    masked = np.ma.array([1, 2, 3], mask=[True, False, False])
    moments = np.array([5, 1_700_000_000_123_456, 7]).view("datetime64[us]")
    first = {"a": np.array([2**64 - 1, 1, 2], dtype=np.uint64), "b": moments, "c": ["x", None, NASTY], "d": masked}
    client.insert("seen", first | {"version": [1, 1, 1], "gone": [0, 0, 0]})
    client.insert("seen", {"a": [1, 2], "b": [9, 9], "c": ["y", "y"], "d": [7, 7], "version": [2, 2], "gone": [0, 1]})
    shown = "SELECT a, toUnixTimestamp64Micro(b), c, d FROM seen ORDER BY a"
    expected = [(1, 9, "y", 7), (2**64 - 1, 5, "x", None)]
    assert client.rows(shown) == expected
    assert [row for batch in client.batches(shown) for row in batch] == expected
    assert [list(column["a"]) for column in client.arrays(shown)] == [[1, 2**64 - 1]]


def test_a_session_is_for_one_thread_and_kept_for_the_next(clients: Clients) -> None:
    with clients.client() as one, clients.client() as another:
        assert one is not another
        one.run("CREATE TEMPORARY TABLE own AS SELECT 1 AS x")
        assert one.rows("SELECT x FROM own") == [(1,)]
        one.run("DROP TABLE own")
    with clients.client() as next_one:
        assert next_one in (one, another)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "chdb", None)
    with pytest.raises(StoreError, match=r"needs chdb; run pip install 'clickhouse-connect\[chdb\]'"):
        Clients(placed(f"chdb://{tmp_path}"))
