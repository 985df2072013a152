"""Filters that are networks: found as one would find them address by address, in one question however many they are."""

from __future__ import annotations

import random
from contextlib import closing
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import duckdb

from rows import commit, row
from sites import DAY
from smtp_auth_report.store import open_store
from smtp_auth_report.store.dialects import DUCKDB
from smtp_auth_report.store.duckdb_snapshot import read_conditions
from smtp_auth_report.store.filters import read_filters, within
from smtp_auth_report.store.interface import Selection

ADDRESSES = ["10.0.0.1", "10.0.1.255", "10.1.0.0", "11.0.0.1", "192.0.2.10", "::1", "::a00:1", "2001:db8::1", "fe80::1%eth0", "no address"]


def of(*networks: str) -> Selection:
    return Selection(0, DAY, "UTC", {"client": networks})


def test_addresses_are_those_that_are_in_any_of_them() -> None:
    chance = random.Random(7)
    for _ in range(300):
        near = [ip_address(int(ip_address(chance.choice(ADDRESSES[:8]))) + chance.choice((0, 0, 1, 256))) for _ in range(4)]
        stated = [str(ip_network((address, chance.randrange(address.max_prefixlen)), strict=False)) for address in near]
        networks = read_filters(of(*stated), DUCKDB).networks
        expected = {text for text in ADDRESSES[:9] if any(ip_address(text) in ip_network(network) for network in stated)}
        assert within(networks, ADDRESSES) == expected, stated


def test_a_store_is_asked_once_for_all(tmp_path: Path) -> None:
    path, asked = str(tmp_path / "mail.duckdb"), []
    with closing(open_store(path)) as store:
        store.commit(commit(*(row(time=n, client_ip=f"10.{n}.0.1") for n in range(200))))

    def run(*question: Any) -> Any:
        asked.append(question)
        return connection.execute(*question)

    with duckdb.connect(path) as connection:
        found = read_conditions(run, of(*(f"10.{n}.0.0/24" for n in range(0, 400, 2) if n < 256), "192.0.2.1")).addresses
    assert found == {f"10.{n}.0.1" for n in range(0, 200, 2)} | {"192.0.2.1"}
    assert len(asked) == 1
