"""Microsoft Entra's sign-in logs: one sign-in is one row in whatever form it comes, and what a client wrote changes no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entra_log import ANNA, FORMS, HEADER, array, diagnostic, flat_page, lines, page, portal, pretty, sign_in
from ingesting import Site
from reading import in_order, line_ends, log, options, read, run, session, survives
from smtp_auth_report.log_file import LONGEST
from smtp_auth_report.sources import SOURCES, LogReader
from smtp_auth_report.sources.json_log import LONGEST_OBJECT
from smtp_auth_report.store import open_store
from smtp_auth_report.submission import Submission, auth_class

BOB = "bob@contoso.example"
every_form = pytest.mark.parametrize("form", FORMS)


def only(**stated: Any) -> Submission:
    [row] = read(lines(sign_in(**stated)))
    return row


@every_form
def test_a_success_and_a_failure(form: str) -> None:
    done, failed = read(FORMS[form](sign_in(), sign_in(BOB, 2, code=50126)))
    assert (done.outcome, done.account, done.client_ip, done.mechanism, done.reason) == ("no_mail", ANNA, "192.0.2.10", "BASIC", None)
    assert (done.source, done.server, done.service, done.tls_version) == ("entra", "exchange-online", "unknown", "unknown")
    assert done.time // 1_000_000 == 1_795_449_965
    assert (done.helo, done.client_name, done.sender, done.recipients, done.size, done.queue_id) == (None,) * 6
    assert (failed.outcome, failed.account, failed.reason) == ("auth_failed", BOB, "bad_credentials")


def test_it_is_the_same_row_in_every_form() -> None:
    found = {form: read(text(sign_in(), sign_in(BOB, 2, code=50126))) for form, text in FORMS.items()}
    assert len({tuple(row.key for row in rows) for rows in found.values()}) == 1
    assert all(abs(row.opened - 1_795_449_965_123_456) < 1_000_000 for row in (rows[0] for rows in found.values()))


@every_form
def test_other_clients_are_passed_over(form: str) -> None:
    others = [sign_in(number=number, clientAppUsed=app) for number, app in enumerate(("Browser", "IMAP4", "Exchange ActiveSync", ""), 1)]
    source, changes = run(FORMS[form](*others))
    assert [kind.name for kind in source.recognised] == ["entra"]
    assert (changes.rows, changes.unread) == ({}, [])


@every_form
def test_nothing_happened(form: str) -> None:
    """A page or a table without sign-ins is known for what it is; an empty array could be of anything."""
    source, changes = run(FORMS[form]())
    assert changes.rows == {}
    assert changes.unread == []
    if form in {"page", "flat_page", "portal"}:
        assert [kind.name for kind in source.recognised] == ["entra"]


def test_basic_or_oauth_where_the_log_tells() -> None:
    told = {
        only().mechanism,
        only(userAgent="", authenticationProtocol="ropc").mechanism,
        only(userAgent="x", authenticationProtocol="oAuth2").mechanism,
        only(userAgent=None, authenticationProtocol="none").mechanism,
    }
    assert told == {"BASIC", "OAUTH", "unknown"}
    assert {auth_class(mechanism) for mechanism in told} == {"basic", "oauth", "unknown"}
    [row] = read(portal(sign_in(userAgent='Mozilla, "BAV2ROPC"', authenticationProtocol="Resource Owner Password Credential")))
    assert row.mechanism == "BASIC"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (50126, "bad_credentials"), (50053, "account_locked"), (53003, "policy_refused"), (50057, "account_disabled"),
        (50055, "password_expired"), (50076, "second_factor_needed"), (700082, "token_expired"), (90033, "server_error"),
        (999999, "sign_in_refused"), ("50126", "bad_credentials"), (-7, "sign_in_refused"),
    ],
)  # fmt: skip
def test_reasons(code: object, reason: str) -> None:
    assert (only(code=code).outcome, only(code=code).reason) == ("auth_failed", reason)


@pytest.mark.parametrize("status", [{"errorCode": None}, {"errorCode": "x"}, {}, None, "Success"])
def test_a_result_that_is_not_told_is_none(status: object) -> None:
    _, changes = run(lines(sign_in(status=status), sign_in(BOB, 2)))
    assert [row.account for row in changes.rows.values()] == [BOB]
    assert [line.reason for line in changes.unread] == ["sign-in whose result is not told"]


def test_a_failure_of_the_portal_without_a_code() -> None:
    [row] = read(portal(sign_in(code="0"), header=HEADER.replace("Sign-in error code,", "")))
    assert (row.outcome, row.reason) == ("auth_failed", "sign_in_refused")


@pytest.mark.parametrize(
    "date",
    [
        "2026-11-23 16:06:05", "11/23/2026, 4:06:05 PM", "11/23/2026, 4:06:05\u202fPM", "23/11/2026 16:06:05", "23.11.2026, 16:06:05",
        "2026/11/23 16:06:05", "23-11-2026 16:06:05", "2026-11-23, 4:06:05 p.m.", "2026-11-23T17:06:05+01:00",
    ],
)  # fmt: skip
def test_dates_of_other_cultures(date: str) -> None:
    """Always UTC, whatever zone the administrator stated for logs."""
    text = portal(sign_in(), date=lambda _: date)
    source = LogReader(SOURCES, options())
    begins = source.settle([], text)
    _, changes = run(text, source=source)
    [row] = changes.rows.values()
    assert row.time == begins == 1_795_449_965_000_000


def test_a_date_that_could_be_two_is_not_guessed() -> None:
    first, second = "03/04/2026, 4:06:05 PM", "03/14/2026, 4:06:05 PM"
    text = portal(sign_in(), date=lambda _: first)
    source = LogReader(SOURCES, options())
    source.settle([], text)
    _, changes = run(text, source=source)
    assert changes.rows == {}
    assert [line.reason for line in changes.unread] == ["sign-in whose time cannot be read, or could be two"]
    told = portal(sign_in(), sign_in(number=2), date=lambda stamp: first if ":05" in stamp else second)
    source = LogReader(SOURCES, options())
    source.settle([], told)
    assert len(run(told, source=source)[1].rows) == 2


def test_addresses_are_written_in_many_ways() -> None:
    told = {"::ffff:192.0.2.7": "192.0.2.7", "2001:DB8::1": "2001:db8::1", "": None, "198.51.100.xxx": None}
    assert {written: only(ipAddress=written).client_ip for written in told} == told


def test_a_failure_names_nobody_where_nobody_is_named() -> None:
    assert only(userPrincipalName="", code=50034).account is None


# Files


@every_form
def test_cut_anywhere_and_read_in_two_runs(form: str) -> None:
    text = FORMS[form](*(sign_in(number=number, userAgent="a\nb" if form == "portal" else "BAV2ROPC") for number in range(1, 5)))
    wanted = {row.identity for row in read(text)}
    assert len(wanted) == 4
    ends = line_ends(text)
    whole = LogReader(SOURCES, options())
    whole.settle([], text)
    assert {row.identity for row in read(text, ends, source=whole)} == wanted
    for place in ends:
        first = LogReader(SOURCES, options())
        first.settle([], text)
        changes = first.feed(text[:place])
        changes.take(first.finish())
        second = LogReader(SOURCES, options())
        second.settle([], text[place:], text[: min(place, 4096)])
        second.recall(first.remember())
        changes.take(run(text[place:], source=second)[1])
        assert set(changes.rows) == wanted, text[place : place + 80]


def test_what_another_file_left_open_is_no_beginning_of_this_one() -> None:
    first, _ = run(pretty(sign_in(), sign_in(BOB, 2))[:-200])
    for text in (array(sign_in()), pretty(sign_in()), page(sign_in()), lines(sign_in()), diagnostic(sign_in()), portal(sign_in())):
        source = LogReader(SOURCES, options())
        source.settle([], text)
        source.recall(first.remember())
        _, changes = run(text, source=source)
        assert len(changes.rows) == 1
        assert changes.unread == []


def test_a_download_that_was_broken_off_is_told() -> None:
    for text in (pretty(sign_in(), sign_in(BOB, 2))[:-200], array(sign_in(), sign_in(BOB, 2))[:-200]):
        _, changes = run(text)
        assert len(changes.rows) == 1
        assert [line.reason for line in changes.unread] == ["no JSON, or not the whole of it"]


def test_a_broken_line_is_no_more_than_that() -> None:
    text = lines(sign_in()) + b'{"id": "x", "createdDateTime": {[\n' + lines(sign_in(BOB, 2))
    _, changes = run(text)
    assert [row.account for row in in_order(changes.rows.values())] == [ANNA, BOB]
    assert [line.reason for line in changes.unread] == ["no JSON, or not the whole of it"]
    assert changes.other == 0


def test_of_a_line_no_more_is_told_than_that_it_is_one() -> None:
    """Found by fuzzing: two broken objects on one line."""
    for text in (b'{"createdDateTime": x}, {"userPrincipalName": y}, {"z"} \n', array(*(sign_in(number=n) for n in range(9))) + b"{x}{y}"):
        _, changes = run(text)
        assert (changes.other, len(changes.unread)) == (0, 1)


def test_an_object_without_end_is_given_up() -> None:
    endless = b'[{"createdDateTime": "2026-11-23T16:06:05Z", "clientAppUsed": "x", "x": [\n' + b'"y",\n' * (LONGEST_OBJECT // 4)
    _, changes = run(endless + b"}}}\n" + pretty(sign_in()))
    assert [row.account for row in changes.rows.values()] == [ANNA]
    assert len(changes.unread) == 1


def test_other_json_is_not_taken_for_it() -> None:
    audit = {"id": "x", "activityDateTime": "2026-11-23T16:06:05Z", "activityDisplayName": "Add user"}
    syslog = json.dumps({"timestamp": "2026-11-23T16:06:05Z", "host": "mail", "tag": "postfix/smtpd[1]:", "msg": '"createdDateTime": "'})
    for text in (lines(audit), pretty(audit), syslog.encode() + b"\n", log(*session())):
        assert not any(kind.name == "entra" and kind.forms(text.splitlines()) for kind in SOURCES)
        assert "entra" not in [kind.name for kind in run(text)[0].recognised]


# As the administrator reads them


def test_ingested_in_every_form_they_are_there_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for form, text in FORMS.items():
        path = tmp_path / f"{form}.log"
        path.write_bytes(text(sign_in(), sign_in(BOB, 2), sign_in("ceo@contoso.example", 3, code=50126), sign_in("hunter2", 4, code=50034)))
        site.ingest(path)
    rows = site.rows()
    assert [(row["account"], row["outcome"]) for row in rows] == [
        (ANNA, "no_mail"), (BOB, "no_mail"), ("ceo@contoso.example", "auth_failed"), (None, "auth_failed"),
    ]  # fmt: skip
    assert {row["auth_class"] for row in rows} == {"basic"}
    assert {row["server"] for row in rows} == {"exchange-online"}
    summary = site.report("summary", "--from", "2026-11-23")
    assert (summary["totals"]["messages"], summary["rows"][0]["auth_failed"]) == (0, 2)


def test_a_log_without_a_time_is_not_of_1970(tmp_path: Path) -> None:
    """Nothing happened, or the download was broken off in the midst of its first sign-in."""
    site = Site(tmp_path)
    for name, text in (("empty.json", page()), ("cut.json", pretty(sign_in())[:-200])):
        (tmp_path / name).write_bytes(text)
        site.ingest(tmp_path / name)
    store = open_store(str(tmp_path / "mail.duckdb"), read_only=True)
    assert store.progress() == []
    store.close()


def test_a_file_of_one_long_line_is_read_to_its_end(tmp_path: Path) -> None:
    """As some downloads are, however many sign-ins they hold."""
    site = Site(tmp_path)
    filler = "x" * 30_000
    entries = [sign_in(f"user{number}@contoso.example", number % 50, resourceDisplayName=filler) for number in range(700)]
    for name, text in (("array.json", array(*entries)), ("page.json", flat_page(*entries).rstrip())):
        path = tmp_path / name
        path.write_bytes(text)
        said = site.ingest(path)
        assert len(text) > LONGEST
        assert "0 unread" in said
    assert len({row["account"] for row in site.rows()}) == len(site.rows()) == 700


def test_a_table_in_another_language_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "InteractiveSignIns.csv"
    path.write_bytes(portal(sign_in(), header=HEADER.replace("Client app", "Client-App").replace("Date (UTC)", "Datum (UTC)")))
    ran = Site(tmp_path).run("ingest", path)
    said = ran.stderr.decode().splitlines()
    assert ran.returncode == 1
    assert 'has some columns of Entra\'s sign-in logs, and lacks "date (utc)", "client app"' in said[-1]


# Hostile text

NOISE = st.text(st.characters(codec="utf-8"), max_size=60)
FORM = st.sampled_from(list(FORMS))


@settings(max_examples=200, deadline=None)
@given(FORM, NOISE, NOISE, NOISE, NOISE)
def test_hostile_text_changes_no_other_row(form: str, account: str, agent: str, address: str, identifier: str) -> None:
    hers = sign_in(account, 2, userAgent=agent, ipAddress=address, resourceDisplayName=identifier, id="bbbbbbbb")
    text = FORMS[form](sign_in(), hers, sign_in(BOB, 3))
    rows = {row.account: row for row in read(text)}
    for name in {ANNA, BOB} - {account.strip()}:
        assert (rows[name].client_ip, rows[name].mechanism, rows[name].outcome) == ("192.0.2.10", "BASIC", "no_mail")
    assert len(read(text)) == 3


@settings(max_examples=300, deadline=None)
@given(FORM, st.binary(max_size=80), st.integers(0, 4000), st.integers(0, 60))
def test_any_bytes_are_read_or_reported(form: str, noise: bytes, place: int, cut: int) -> None:
    whole = FORMS[form](sign_in(), sign_in(BOB, 2, code=50126))
    place = min(place, len(whole))
    text = whole[:place] + noise + whole[place + cut :]
    changes = survives(text)
    assert all(row.outcome in {"no_mail", "auth_failed"} and row.time > 0 for row in changes.rows.values())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_at_all(noise: bytes) -> None:
    for begin in (b"", flat_page(sign_in()), portal(sign_in())):
        run(begin + noise + b"\n" + begin)
