"""
Digests by mail: which period is told of when, in every zone; once each, late where it had to be; what they say, to whom; and
how somebody ends them.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from threading import Barrier
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import pytest
from django.db import connection
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from rows import row
from sites import (
    ADMIN,
    DAY,
    HOSTILE,
    NOW,
    OWNER,
    READER,
    ZONE,
    Page,
    client_of,
    hostile,
    in_a_file,
    make_site,
    one_of_each_role,
    someone,
    week,
)
from smtp_auth_report.errors import SelectionError
from smtp_auth_report.moments import HOUR, micros, moment
from smtp_auth_report.reports import REPORTS, ask
from smtp_auth_report.reports.rhythms import Every, before, latest
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.digests import claim, subscribe
from smtp_auth_report.web.models import Event, Mail, Person, Sending, Subscription
from smtp_auth_report.web.postbox import INTERRUPTED, post, posting
from smtp_auth_report.web.site import ENVIRON_KEY
from smtp_server import SETTINGS, SmtpServer, body

ZONES = sorted(available_timezones() - {"Factory", "localtime"})
FIRST, LAST = (micros(datetime(year, 1, 1, tzinfo=ZoneInfo("UTC"))) for year in (1990, 2037))
MONDAY = micros(datetime(2026, 11, 23, 7, tzinfo=ZoneInfo(ZONE)))  # when the week of `week` is told of


# Periods


def local(time: int, zone: str) -> datetime:
    return moment(time).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def day_begins(time: int, zone: str) -> bool:
    """Whether no earlier instant has the same local date."""
    return local(time, zone).date() > local(time - 1, zone).date()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(Every)), st.sampled_from(ZONES), st.integers(FIRST, LAST))
def test_a_period_is_whole_local_days_and_the_newest_that_is_due(every: Every, zone: str, now: int) -> None:
    over = latest(every, zone, now)
    assert over.start < over.end < over.told <= now
    assert day_begins(over.start, zone)
    assert day_begins(over.end, zone)
    first, after, told = (local(time, zone) for time in over)
    if every == Every.WEEK:
        assert (first.weekday(), after.weekday()) in ((0, 0), (0, 1), (1, 0))  # a Monday that a zone has skipped
    if every == Every.MONTH:
        assert after.day == 1 or not day_begins(micros(datetime(after.year, after.month, 1, tzinfo=ZoneInfo(zone))), zone)
    assert timedelta(hours=3) <= told - after <= timedelta(hours=9)
    assert latest(every, zone, over.told) == over
    assert latest(every, zone, over.told - 1).end < over.end
    start, end = before(every, zone, over)
    assert (end, latest(every, zone, over.told - 1)[:2]) == (over.start, (start, end))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(list(Every)), st.sampled_from(ZONES), st.integers(FIRST, LAST))
def test_a_clock_that_goes_on_meets_every_period_once(every: Every, zone: str, now: int) -> None:
    met = [latest(every, zone, now + hours * HOUR) for hours in range(0, 40 * 24, 3)]
    told = list(dict.fromkeys(met))
    assert [over.end for over in told] == sorted({over.end for over in met})
    assert [one.end for one in told[:-1]] == [other.start for other in told[1:]]


@pytest.mark.parametrize(
    ("every", "zone", "now", "first", "last"),
    [
        (Every.DAY, "Europe/Paris", "2026-03-30T07:00", date(2026, 3, 29), date(2026, 3, 29)),
        (Every.DAY, "Europe/Paris", "2026-03-30T06:59", date(2026, 3, 28), date(2026, 3, 28)),
        (Every.WEEK, "Europe/Paris", "2026-10-26T07:00", date(2026, 10, 19), date(2026, 10, 25)),
        (Every.WEEK, "Asia/Kathmandu", "2026-11-23T06:59", date(2026, 11, 9), date(2026, 11, 15)),
        (Every.MONTH, "Europe/Paris", "2028-03-01T07:00", date(2028, 2, 1), date(2028, 2, 29)),
        (Every.MONTH, "Europe/Paris", "2027-01-31T23:00", date(2026, 12, 1), date(2026, 12, 31)),
        (Every.DAY, "Africa/Cairo", "2026-04-25T08:00", date(2026, 4, 24), date(2026, 4, 24)),  # its midnight is skipped
        (Every.DAY, "Pacific/Apia", "2011-12-31T08:00", date(2011, 12, 29), date(2011, 12, 29)),  # the 30th is skipped
    ],
)
def test_periods_that_are_known(every: Every, zone: str, now: str, first: date, last: date) -> None:
    over = latest(every, zone, micros(datetime.fromisoformat(now).replace(tzinfo=ZoneInfo(zone))))
    assert (local(over.start, zone).date(), local(over.end - 1, zone).date()) == (first, last)


# Who gets what


@pytest.fixture
def site(tmp_path: Path, server: SmtpServer, state: str) -> Site:  # noqa: ARG001 - on each kind of state database
    earlier = [each._replace(time=each.time - 7 * DAY) for each in week() if each.account == "anna@contoso.example"]
    new = [row(time=NOW, account="new@contoso.example", sender="new@contoso.example")]
    site = make_site(tmp_path, *week(), *earlier, *new, *hostile(), mail_server=server.address, **SETTINGS)
    client_of(site)
    one_of_each_role()
    return site


def seen_by(site: Site, name: str, now: int = NOW) -> Site:
    return replace(site, clock=lambda: now).as_seen_by(Person.objects.get(name=name).reader)


def sent_at(site: Site, server: SmtpServer, now: int = MONDAY) -> list[EmailMessage]:
    """What goes out at that time."""
    already = len(server.taken)
    post(replace(site, clock=lambda: now))
    return [taken.message for taken in server.taken[already:]]


def figures(text: str) -> dict[str, list[str]]:
    """Lines of the first table by their names."""
    lines = (re.split(r"\s{2,}", line.strip()) for line in text.partition("\n\n")[0].splitlines())
    return {name: cells for name, *cells in lines}


@in_a_file
def test_a_digest_has_the_figures_of_the_reports(site: Site, server: SmtpServer) -> None:
    subscribe(seen_by(site, READER), Every.WEEK, READER, "en", ZONE)
    [message] = sent_at(site, server)
    assert (message["To"], message["Subject"]) == (READER, "SMTP AUTH clients, week: 16\N{EN DASH}22 Nov 2026")
    text = body(message)
    over = latest(Every.WEEK, ZONE, MONDAY)
    weeks = (over[:2], before(Every.WEEK, ZONE, over))
    now, past = (dict(zip(_names(), ask(REPORTS["summary"], site.store, Selection(*span, ZONE)).rows[0], strict=True)) for span in weeks)
    told = figures(text)
    assert told["Accepted messages"] == [str(now["messages"]), str(past["messages"]), "+94 %".replace(" ", "\N{NO-BREAK SPACE}")]
    assert told["Accounts that sent"] == ["8", "1", "+700 %".replace(" ", "\N{NO-BREAK SPACE}")]
    assert told["Accounts below TLS 1.2"] == [str(now["legacy_tls_accounts"]), "0", "+1"]
    assert told["Accounts with basic authentication"][:2] == [str(now["basic_auth_accounts"]), str(past["basic_auth_accounts"])]
    assert told["Failed sign-ins"] == ["4", "0", "+4"]
    assert told["Failed handshakes"] == ["0", "0", "no change"]
    new, weak, basic, failed = re.split(r"\n-+\n", text)[1:]
    assert "new@contoso.example" in new
    assert "anna@contoso.example" not in new
    assert re.search(r"scan@contoso\.example +printer@contoso\.example +TLS 1\.0 +21\n", weak)
    assert re.search(r"relay@contoso\.example +relay@contoso\.example +No TLS +1\n", weak)
    assert re.search(r"anna@contoso\.example +PLAIN +\d+\n", basic)
    assert re.search(r"203\.0\.113\.9 .* unknown +4\n", failed)
    assert "late" not in text


def _names() -> list[str]:
    return [column.name for column in REPORTS["summary"].columns]


@in_a_file
def test_html_says_the_same_and_needs_nothing_else(site: Site, server: SmtpServer) -> None:
    subscribe(seen_by(site, ADMIN), Every.WEEK, ADMIN, "en", ZONE)
    [message] = sent_at(site, server)
    html = body(message, "html")
    parsed = _Tags(html)
    assert {"img", "script", "style", "link"} & {tag for tag, _ in parsed.tags} == set()
    assert not any(name.startswith("on") or name == "src" for _, attributes in parsed.tags for name in attributes)
    client, links = someone(site, ADMIN), [str(attributes["href"]) for tag, attributes in parsed.tags if tag == "a"]
    assert all(link.startswith(SETTINGS["public_url"]) for link in links)
    assert {client.get(link.removeprefix(SETTINGS["public_url"]) or "/").status_code for link in links} == {200}
    for cells in figures(body(message)).values():
        assert all(cell in html for cell in cells)
    assert HOSTILE[0] not in html.replace("<wbr>", "")
    assert "&lt;img src=x" in html
    assert "printer@<wbr>contoso.<wbr>example" in html
    assert "\x1b" not in html + body(message)


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@in_a_file
def test_a_reader_of_domains_is_told_of_those_alone(site: Site, server: SmtpServer) -> None:
    subscribe(seen_by(site, OWNER), Every.WEEK, OWNER, "en", ZONE)
    [message] = sent_at(site, server)
    text = body(message) + body(message, "html").replace("<wbr>", "")
    assert figures(body(message))["Accepted messages"][0] == "7"
    assert re.search(r"contoso\.example|anna@|printer@|192\.0\.2\.|203\.0\.113\.", text.replace(message["From"], "")) is None


@in_a_file
def test_each_has_their_own_language_and_zone(site: Site, server: SmtpServer) -> None:
    subscribe(seen_by(site, READER), Every.DAY, READER, "fr", "America/New_York")
    assert sent_at(site, server, MONDAY) == []
    [message] = sent_at(site, server, MONDAY + 6 * HOUR)
    assert message["Subject"] == "Clients d\N{RIGHT SINGLE QUOTATION MARK}authentification SMTP, jour\N{NO-BREAK SPACE}: 22 nov. 2026"
    assert "Messages acceptés" in body(message)
    assert "from=2026-11-22T06%3A00%3A00" in body(message)
    assert '<html lang="fr">' in body(message, "html")


# Once each


def test_a_digest_is_sent_once_and_begins_with_the_next_period(site: Site, server: SmtpServer) -> None:
    subscribe(seen_by(site, READER), Every.WEEK, READER, "en", ZONE)
    assert sent_at(site, server, MONDAY - 1) == []
    assert len(sent_at(site, server, MONDAY)) == 1
    assert sent_at(site, server, MONDAY + DAY) == []
    subscribe(seen_by(site, READER, MONDAY + DAY), Every.DAY, READER, "en", ZONE)
    assert sent_at(site, server, MONDAY + DAY) == []
    assert [message["Subject"] for message in sent_at(site, server, MONDAY + 2 * DAY)] == ["SMTP AUTH clients, day: 24 Nov 2026"]


def test_two_that_claim_at_once_make_one_mail(site: Site) -> None:
    subscribe(seen_by(site, READER), Every.WEEK, READER, "en", ZONE)
    later = replace(site, clock=lambda: MONDAY)

    together = Barrier(8)

    def work(_: int) -> set[UUID]:
        try:
            together.wait()
            claim(later)
            return set(Mail.objects.values_list("pk", flat=True))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        seen = set[UUID]().union(*threads.map(work, range(8)))
    assert len(seen) == 1


def test_what_was_missed_is_sent_late_and_the_newest_alone(site: Site, server: SmtpServer) -> None:
    subscribe(seen_by(site, READER, MONDAY - 30 * DAY), Every.WEEK, READER, "en", ZONE)
    messages = sent_at(site, server, MONDAY + 2 * DAY)
    assert [message["Subject"] for message in messages] == ["SMTP AUTH clients, week: 16\N{EN DASH}22 Nov 2026"]
    assert "This mail is late: it was to be sent on Mon 23 Nov 2026 07:00:00 CET" in body(messages[0])
    assert "This mail is late" in body(messages[0], "html")


def test_one_that_may_have_gone_out_is_not_sent_again_by_itself(site: Site, server: SmtpServer) -> None:
    subscribe(seen_by(site, READER), Every.WEEK, READER, "en", ZONE)
    later = replace(site, clock=lambda: MONDAY)
    claim(later)
    Mail.objects.update(state=Sending.UNDER_WAY, claimed_until=MONDAY)
    with posting(later):
        pass
    assert (server.taken, Mail.objects.get().failure) == ([], INTERRUPTED)
    client = someone(later, READER)
    assert "whether it went out is not known" in Page(client.get("/digests")).text
    assert client.post(f"/mail/{Mail.objects.get().pk}/retry").headers["Location"] == "/digests"
    assert len(sent_at(site, server)) == 1


# The page


def test_the_page_keeps_what_was_chosen_and_ends_it(site: Site) -> None:
    client = someone(site, READER)
    chosen = {"every": "month", "address": READER, "language": "fr", "zone": "Asia/Tokyo"}
    assert client.post("/digests", chosen).status_code == 302
    subscription = Subscription.objects.get()
    assert {name: getattr(subscription, name) for name in chosen} == chosen
    page = Page(client.get("/digests"))
    fields = {tag["name"]: tag["value"] for tag in page.named("input") if "checked" in tag or tag.get("name") in ("address", "zone")}
    assert fields == {"every": "month", "address": READER, "zone": "Asia/Tokyo"}
    assert [tag["value"] for tag in page.named("option") if "selected" in tag] == ["fr"]
    client.post("/digests/stop")
    assert not Subscription.objects.exists()
    assert [event.told for event in Event.objects.filter(name=READER)] == [
        f"no digest to {READER} any more",
        f"digest of every month to {READER}",
    ]


def test_the_newest_is_sent_at_once_when_asked_for(site: Site, server: SmtpServer) -> None:
    subscribe(seen_by(site, READER), Every.WEEK, READER, "en", ZONE)
    client = someone(site, READER)
    for _ in range(3):
        assert client.post("/digests/now").headers["Location"] == "/digests"
    assert f"To be sent to {READER}" in Page(client.get("/digests")).text
    [message] = sent_at(site, server, NOW)
    assert message["Subject"] == "SMTP AUTH clients, week: 9\N{EN DASH}15 Nov 2026"
    assert "late" not in body(message)
    assert len(sent_at(site, server, MONDAY)) == 1
    assert someone(site, OWNER).post("/digests/now").status_code == 302
    assert sent_at(site, server, MONDAY) == []


@in_a_file
def test_what_cannot_be_chosen(site: Site) -> None:
    good = {"every": "week", "address": READER, "language": "en", "zone": ZONE}
    for name, changed, words in (
        (READER, {"address": "eve@evil.example"}, "only administrators"),
        (READER, {"address": ""}, "one address"),
        (ADMIN, {"address": f"{ADMIN},{READER}"}, "one address"),
        (ADMIN, {"address": OWNER}, "sees single domains only"),
        (READER, {"zone": "Mars/Olympus"}, "is not a time zone"),
        (READER, {"zone": "../../etc/passwd"}, "is not a time zone"),
        (READER, {"language": "xx"}, "there is no language"),
        (READER, {"every": "hour"}, "there is no digest"),
    ):
        answer = someone(site, name).post("/digests", good | changed)
        assert (answer.status_code, words in Page(answer).text) == (400, True), changed
        fields = {field.get("name"): field.get("value") for field in Page(answer).named("input")}
        entered = good | changed | ({"address": name} if name == READER else {})
        assert {"address": fields["address"], "zone": fields["zone"]}.items() <= entered.items()
    assert not Subscription.objects.exists()


def test_an_administrator_sees_all_and_others_their_own(site: Site) -> None:
    for name in (READER, OWNER):
        subscribe(seen_by(site, name), Every.WEEK, name, "en", ZONE)
    texts = {name: Page(someone(site, name).get("/digests")).text.replace(f" {name} Sign out", "") for name in (ADMIN, READER, OWNER)}
    assert (READER in texts[ADMIN], OWNER in texts[ADMIN]) == (True, True)
    assert (OWNER in texts[READER], READER in texts[OWNER]) == (False, False)
    claim(replace(site, clock=lambda: MONDAY))
    mail = Mail.objects.get(address=READER)
    assert someone(site, OWNER).post(f"/mail/{mail.pk}/retry").status_code == 404


def test_without_mail_there_is_nothing_to_choose(tmp_path: Path) -> None:
    site = make_site(tmp_path, *week())
    client = client_of(site)
    assert "Mail to you" not in Page(client.get("/")).text
    assert "No mail is sent to you" in Page(client.get("/digests")).text
    with pytest.raises(SelectionError, match="only administrators"):
        subscribe(site, Every.WEEK, READER, "en", ZONE)


# Unsubscribing


def test_one_click_ends_it_without_sign_in(site: Site, server: SmtpServer) -> None:
    subscribe(seen_by(site, READER), Every.WEEK, READER, "en", ZONE)
    [message] = sent_at(site, server)
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = message["List-Unsubscribe"].removeprefix("<").removesuffix(">")
    assert link in body(message)
    assert f"\r\nList-Unsubscribe: <{link}>\r\n".encode() in server.taken[0].raw
    path = link.removeprefix("https://report.example.org")
    program = Client(SERVER_NAME="localhost", enforce_csrf_checks=True, **{ENVIRON_KEY: site})
    page = Page(program.get(path))
    assert (READER in page.text, "Last line read" in page.text) == (True, False)
    assert program.head(path).status_code == 200
    assert Subscription.objects.exists()
    for other in (path[:-1], "/unsubscribe/1", "/unsubscribe/x:y"):
        assert program.get(other).status_code == 404
        program.post(other)
    assert Subscription.objects.exists()
    sent = program.post(path, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded")
    assert (sent.status_code, Subscription.objects.exists()) == (200, False)
    assert program.post(path).status_code == 200
    subscribe(seen_by(site, READER), Every.WEEK, READER, "en", ZONE)
    program.post(path)
    assert Subscription.objects.exists()


def test_a_link_of_mail_to_an_earlier_address_tells_of_no_other_and_ends_nothing(site: Site, server: SmtpServer) -> None:
    subscribe(seen_by(site, ADMIN), Every.WEEK, "before@example.org", "en", ZONE)
    [message] = sent_at(site, server)
    path = message["List-Unsubscribe"].strip("<>").removeprefix("https://report.example.org")
    assert ("before" in path, "before@example.org" in Page(client_of(site).get(path)).text) == (False, True)
    subscribe(seen_by(site, ADMIN), Every.WEEK, "now@example.org", "en", ZONE)
    for answer in (client_of(site).get(path), client_of(site).post(path)):
        text = Page(answer).text
        assert (answer.status_code, "No digest is sent to you any more." in text, "now@" in text) == (200, True, False)
    assert Subscription.objects.get().address == "now@example.org"


def test_who_is_removed_gets_no_more(site: Site, server: SmtpServer) -> None:
    subscribe(seen_by(site, READER), Every.WEEK, READER, "en", ZONE)
    claim(replace(site, clock=lambda: MONDAY))
    Person.objects.get(name=READER).delete()
    assert sent_at(site, server) == []
    assert not Mail.objects.exists()
