"""
What several requests do to the state database at once comes out as if they had come one after the other, on both its kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connections
from django.http import QueryDict

from sites import NOW, ZONE, client_of, make_site, week
from smtp_auth_report.errors import ReportError
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.arrangement import move
from smtp_auth_report.web.digests import send_now
from smtp_auth_report.web.models import Arrangement, Mail, Person, RecoveryCode, SavedView, Subscription
from smtp_auth_report.web.people import add
from smtp_auth_report.web.query import read
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.saved import save
from smtp_auth_report.web.second_factor import RECOVERY_CODES, new_codes

pytestmark = pytest.mark.usefixtures("state")

AT_ONCE = 8
ADMIN = "anna@contoso.example"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = make_site(tmp_path, *week())
    client_of(made)
    return made


def at_once(work: Callable[[], object]) -> None:
    def alone(_: int) -> None:
        try:
            work()
        except ReportError:
            pass  # one that came too late
        finally:
            connections.close_all()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(alone, range(AT_ONCE)))


def test_somebody_has_one_set_of_recovery_codes(site: Site) -> None:
    person = Person.objects.create(name=ADMIN, role=Role.ADMINISTRATOR, password="!", factor_salt="ab" * 16)
    at_once(lambda: new_codes(site, person, "127.0.0.1"))
    assert RecoveryCode.objects.filter(person=person).count() == RECOVERY_CODES


def test_a_digest_is_sent_once(site: Site) -> None:
    person = Person.objects.create(name=ADMIN, role=Role.ADMINISTRATOR, password="!")
    fields = {"every": "week", "address": ADMIN, "language": "en", "zone": ZONE, "told": NOW}
    subscription = Subscription.objects.create(person=person, **fields)
    at_once(lambda: send_now(site, subscription))
    assert Mail.objects.filter(subscription=subscription).count() == 1


def test_a_dashboard_is_arranged_once_and_goes_to_the_first_administrator(site: Site) -> None:
    at_once(lambda: move(site, "ingest", "hide"))
    assert Arrangement.objects.filter(person=None).count() == 1
    add(ADMIN, Role.ADMINISTRATOR, None, NOW)
    assert Arrangement.objects.get().person == Person.objects.get()


def test_a_view_is_saved_once_under_a_name(site: Site) -> None:
    at_once(lambda: save(site, "Old TLS", read(QueryDict()), shared=False))
    assert SavedView.objects.count() == 1


def test_somebody_is_added_once(site: Site) -> None:
    del site
    at_once(lambda: add(ADMIN, Role.ADMINISTRATOR, None, NOW))
    assert Person.objects.count() == 1
