"""
Who may see less than before, or asks by a token, takes nothing along; and what is too much of a request is refused as such.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rows import NOON
from sites import ADMIN, NOW, OWNER, READER, ZONE, client_of, make_site, one_of_each_role, someone, until, week
from smtp_auth_report.moments import DAY
from smtp_auth_report.reports.rhythms import Every
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.digests import claim, subscribe
from smtp_auth_report.web.models import Mail, Person, Progress, RequestedReport, SavedView, Sending, Subscription, Token
from smtp_auth_report.web.people import PeopleError, let_in_by_groups, named, new_token, remove, shut_out
from smtp_auth_report.web.postbox import INTERRUPTED, post
from smtp_auth_report.web.reader import Role
from smtp_server import SETTINGS

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A mail server is named, and nothing is sent to it."""
    made = make_site(tmp_path, *week(), **SETTINGS, mail_server="127.0.0.1:9")
    client_of(made)
    one_of_each_role()
    return made


def subscription_of(site: Site, name: str, address: str) -> Subscription:
    seen = site.as_seen_by(named(name).reader)
    subscribe(seen, Every.WEEK, address, "en", ZONE)
    return Subscription.objects.get(person__name=name)


def test_a_token_sends_no_mail(site: Site) -> None:
    client = client_of(site)
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {new_token(named(ADMIN), 'script', NOW)}"
    assert client.post("/digests", {"every": "week", "address": "eve@evil.example", "language": "en", "zone": ZONE}).status_code == 403
    assert client.post("/requests", {"format": "csv", "mail": "eve@evil.example"}).status_code == 400
    assert not Subscription.objects.exists()
    assert not RequestedReport.objects.exists()


def test_files_of_somebody_whom_groups_give_less_are_gone(site: Site) -> None:
    person = let_in_by_groups("greta@contoso.example", Role.READER, [], NOW)
    client = someone(site, person.name)
    client.post("/requests", {"format": "csv"})
    until(lambda: RequestedReport.objects.get().progress == Progress.DONE)
    client.post("/views", {"name": "Old TLS", "shared": "on"})
    address = f"/requests/{RequestedReport.objects.get().pk}/file"
    answer = client.get(address)
    assert answer.status_code == 200
    answer.close()
    let_in_by_groups(person.name, Role.DOMAINS, ["fabrikam.example"], NOW)
    assert client.get(address).status_code == 404
    assert [view.shared for view in SavedView.objects.all()] == [False]


def test_whom_no_group_gives_a_role_any_more_is_out(site: Site) -> None:
    person = let_in_by_groups("greta@contoso.example", Role.READER, [], NOW)
    new_token(person, "script", NOW)
    client = someone(site, person.name)
    assert client.get("/").status_code == 200
    client.post("/requests", {"format": "csv"})
    assert RequestedReport.objects.exists()
    shut_out(person, NOW)
    assert client.get("/").status_code == 302
    assert not Token.objects.exists()
    assert not RequestedReport.objects.exists()
    let_in_by_groups(person.name, Role.READER, [], NOW)
    assert not named(person.name).out


def test_an_administrator_who_is_out_does_not_count_as_one(site: Site) -> None:
    del site
    first = let_in_by_groups("greta@contoso.example", Role.ADMINISTRATOR, [], NOW)
    Person.objects.filter(role=Role.ADMINISTRATOR).exclude(pk=first.pk).update(role=Role.READER)
    shut_out(first, NOW)
    assert named(first.name).role == Role.ADMINISTRATOR
    second = let_in_by_groups("hugo@contoso.example", Role.ADMINISTRATOR, [], NOW)
    assert let_in_by_groups(second.name, Role.READER, [], NOW).role == Role.ADMINISTRATOR
    with pytest.raises(PeopleError, match="is the last administrator"):
        remove(second.name, NOW)
    remove(first.name, NOW)


def test_who_is_administrator_no_more_sends_digests_to_nobody_else(site: Site) -> None:
    person = let_in_by_groups("greta@contoso.example", Role.ADMINISTRATOR, [], NOW)
    subscription_of(site, person.name, "outside@else.example")
    let_in_by_groups(person.name, Role.READER, [], NOW)
    assert not Subscription.objects.filter(person=person).exists()


def test_nobody_is_removed_while_there_is_no_administrator(site: Site) -> None:
    del site
    Person.objects.filter(name=ADMIN).update(role=Role.READER)
    with pytest.raises(PeopleError, match="or there is none"):
        remove(READER, NOW)


def test_mail_to_somebody_who_sees_less_by_now_is_given_up(site: Site) -> None:
    subscription_of(site, ADMIN, "later@fabrikam.example")
    Person.objects.create(name="later@fabrikam.example", role=Role.DOMAINS, password="!", domains='["fabrikam.example"]')
    Subscription.objects.update(told=NOON - 30 * DAY)
    post(site)
    mail = Mail.objects.get()
    assert (mail.state, "sees single domains only" in mail.failure) == (Sending.FAILED, True)


def test_a_digest_that_waits_goes_when_another_is_chosen(site: Site) -> None:
    subscription_of(site, OWNER, OWNER)
    Subscription.objects.update(told=NOON - 30 * DAY)
    claim(site)
    assert Mail.objects.count() == 1
    subscription_of(site, OWNER, OWNER)
    assert Mail.objects.count() == 0


def test_a_clock_that_was_ahead_stops_no_digest(site: Site) -> None:
    subscription_of(site, OWNER, OWNER)
    Subscription.objects.update(told=NOW + 3650 * DAY)
    claim(site)
    assert Subscription.objects.get().told <= NOW


def test_a_mail_that_was_left_under_way_is_told(site: Site) -> None:
    subscription = subscription_of(site, OWNER, OWNER)
    Mail.objects.create(subscription=subscription, address=OWNER, language="en", due=NOW, state=Sending.UNDER_WAY)
    post(site)
    assert [(mail.state, mail.failure) for mail in Mail.objects.all()] == [(Sending.FAILED, INTERRUPTED)]


def test_too_many_parameters_are_refused(site: Site) -> None:
    many = "&".join(f"account=user{number}%40contoso.example" for number in range(1100))
    for address in ("/sign-in", "/report", "/api/reports/summary"):
        assert someone(site, READER).get(f"{address}?{many}").status_code == 400
    accounts = [f"user{number}@contoso.example" for number in range(600)]
    assert someone(site, READER).post("/views", {"name": "All", "account": accounts}).status_code == 400
    assert not SavedView.objects.exists()
