"""
Programs may ask so often and no oftener: each token, person and address for itself, and refusals apart.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import Client

from sites import NOW, Clock, client_of, in_a_file, make_site, week
from smtp_auth_report.errors import SettingError
from smtp_auth_report.moments import SECOND
from smtp_auth_report.settings import load
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.models import Person
from smtp_auth_report.web.people import add, named, new_token
from smtp_auth_report.web.rate_limit import MINUTE, SWEPT, Spent
from smtp_auth_report.web.reader import Role

PASSWORD = "correct horse battery"
FEW = 6


pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(tmp_path: Path, clock: Clock) -> Site:
    return replace(make_site(tmp_path, *week(), api_requests=str(FEW)), clock=clock)


def asked(client: Client, **options: str) -> HttpResponse:
    return client.get("/api/reports", **options)


def test_as_many_as_are_allowed_and_then_one_whenever_there_is_one_again(site: Site, clock: Clock) -> None:
    client = client_of(site)
    assert [asked(client).status_code for _ in range(FEW)] == [200] * FEW
    refused = asked(client)
    assert (refused.status_code, refused.headers["Retry-After"], refused.headers["Content-Type"]) == (429, "10", "application/problem+json")
    assert refused.json() == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "more than 6 requests in a minute; ask again in 10 s",
    }
    assert refused.headers["Content-Security-Policy"]
    assert client.get("/metrics").status_code == 429
    assert client.get("/report").status_code == 200
    clock.now += 10 * SECOND
    assert [asked(client).status_code for _ in range(2)] == [200, 429]
    clock.now += MINUTE
    assert [asked(client).status_code for _ in range(FEW + 1)] == [200] * FEW + [429]


def test_each_token_person_and_address_has_its_own(site: Site) -> None:
    client = client_of(site)
    add("admin@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    one, other = ({"HTTP_AUTHORIZATION": f"Bearer {new_token(named('admin@contoso.example'), label, NOW)}"} for label in ("one", "other"))
    assert [asked(client, **one).status_code for _ in range(FEW + 1)] == [200] * FEW + [429]
    assert asked(client, **other).status_code == 200
    client.force_login(Person.objects.get())
    told = [asked(client, HTTP_AUTHORIZATION=f"Basic {number}").status_code for number in range(FEW + 1)]
    assert told == [200] * FEW + [429]
    assert client.get("/report").status_code == 200
    Person.objects.all().delete()
    client.logout()
    assert asked(client, REMOTE_ADDR="127.0.0.1").status_code == asked(client, REMOTE_ADDR="127.0.0.2").status_code == 200
    told = [asked(client, REMOTE_ADDR="127.0.0.3").status_code for _ in range(FEW + 1)]
    assert told == [200] * FEW + [429]


def test_tokens_that_are_tried_out_are_not_even_looked_up(site: Site) -> None:
    client = client_of(site)
    add("admin@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    good = {"HTTP_AUTHORIZATION": f"Bearer {new_token(named('admin@contoso.example'), 'good', NOW)}"}
    told = [asked(client, HTTP_AUTHORIZATION=f"Bearer {number}").status_code for number in range(FEW + 1)]
    assert told == [401] * FEW + [429]
    assert asked(client, **good).status_code == 429
    assert asked(client, **good, REMOTE_ADDR="192.0.2.7").status_code == 200


def test_addresses_of_one_ipv6_network_count_as_one(site: Site) -> None:
    client = client_of(site)
    add("admin@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    addresses = [f"2001:db8:0:1::{number}" for number in range(FEW)] + ["2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:2::1"]
    told = [asked(client, HTTP_AUTHORIZATION="Bearer x", REMOTE_ADDR=address).status_code for address in addresses]
    assert told == [401] * FEW + [429, 401]


@in_a_file
def test_nothing_is_a_limit_where_it_is_set_so(tmp_path: Path) -> None:
    client = client_of(make_site(tmp_path, api_requests="0"))
    assert {asked(client).status_code for _ in range(FEW)} == {200}
    for wrong in ("-1", "many", "1000001"):
        with pytest.raises(SettingError, match="requests in a minute"):
            load({"api_requests": wrong}, {})
    assert load({}, {}).api_requests == "600"


@in_a_file
def test_a_clock_that_is_set_back_holds_nobody_up_for_longer() -> None:
    spent = Spent()
    assert [spent.take("a", NOW, FEW) for _ in range(FEW + 1)][-1] == MINUTE // FEW
    assert spent.take("a", NOW - 1000 * MINUTE, FEW) == MINUTE // FEW


@in_a_file
def test_stores_that_are_full_again_are_forgotten() -> None:
    spent = Spent()
    for number in range(SWEPT + 1):
        spent.take(str(number), NOW + number * MINUTE, FEW)
    assert len(spent._full_at) == 1
