"""
The second factor: switched on with a code, asked for after the password, no code good twice, recovery codes good once,
refusals held up, and switched off by whoever has it or by an administrator.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import sqlite3
import subprocess
import sys
from base64 import b32decode
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.db import connections
from django.http import HttpResponse
from django.test import Client

from sites import ADMIN, NOW, Clock, Page, client_of, in_a_file, is_in, make_site, someone, week
from smtp_auth_report.moments import SECOND
from smtp_auth_report.site_key import site_key
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.models import Event, Person, RecoveryCode
from smtp_auth_report.web.people import CODES_OF_ONE_NAME, OF_BOTH, PeopleError, add, change_password, new_token, recognised
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.second_factor import RECOVERY_CODES, secret_of, switch_off

PASSWORD = "correct horse battery"
ANNA = "anna@contoso.example"
MINUTE = 60 * SECOND


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(tmp_path: Path, clock: Clock, state: str) -> Site:  # noqa: ARG001 - on each kind of state database
    made = make_site(tmp_path, *week())
    client_of(made)
    add(ADMIN, Role.ADMINISTRATOR, PASSWORD, NOW)
    add(ANNA, Role.READER, PASSWORD, NOW)
    return Site(made.store, made.settings, clock)


def code_of(secret: str, time: int) -> str:
    """What an app shows (RFC 6238, and RFC 4226 for the cut), written anew here."""
    key = b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, (time // SECOND // 30).to_bytes(8, "big"), hashlib.sha1)
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def password(client: Client, name: str = ANNA, there: str = "/report") -> HttpResponse:
    return client.post("/sign-in", {"name": name, "password": PASSWORD, "next": there})


def step_two(client: Client, code: str, **options: Any) -> HttpResponse:
    return client.post("/sign-in/code", {"code": code}, **options)


def switched_on(site: Site, clock: Clock, client: Client | None = None) -> tuple[str, list[str]]:
    """Through the pages, as a person does: the secret, and recovery codes. Half a minute later the next code is good."""
    client = client or client_of(site)
    password(client)
    assert client.post("/me/second-factor/new").headers["Location"] == "/me/second-factor"
    page = client.get("/me/second-factor")
    [key] = re.findall(r'<code class="key">([A-Z2-7 ]+)</code>', page.content.decode())
    secret = key.replace(" ", "")
    answer = client.post("/me/second-factor", {"code": code_of(secret, clock.now)})
    codes = re.findall(r"<li><code>([A-Z2-7-]+)</code>", answer.content.decode())
    assert (answer.status_code, len(set(codes))) == (200, RECOVERY_CODES)
    clock.now += 30 * SECOND
    return secret, codes


def deeds(deed: str) -> list[Event]:
    return list(Event.objects.filter(deed=deed))


def test_codes_are_those_of_the_standard() -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # of appendix B, which has eight digits; these are the last six
    assert [code_of(secret, time * SECOND) for time in (59, 1111111109, 20000000000)] == ["287082", "081804", "353130"]


def test_a_code_is_asked_for_after_the_password(site: Site, clock: Clock) -> None:
    secret, _ = switched_on(site, clock)
    client = client_of(site)
    assert step_two(client, code_of(secret, clock.now)).headers["Location"] == "/sign-in"
    answer = password(client)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in/code")
    assert not is_in(client)
    assert client.get("/api/reports").status_code == 401
    form = client.get("/sign-in/code")
    assert (form.status_code, "last line read" in Page(form).text.lower()) == (200, False)
    before = client.cookies["session"].value
    answer = step_two(client, code_of(secret, clock.now))
    assert answer.headers["Location"] == "/report"
    assert client.cookies["session"].value != before
    assert is_in(client)
    assert deeds("signed in")[0].told == "code of the app"
    assert step_two(client, "000000").headers["Location"] == "/sign-in"


def test_no_code_is_good_twice_nor_one_that_is_older(site: Site, clock: Clock) -> None:
    secret, _ = switched_on(site, clock)
    code, earlier = code_of(secret, clock.now), code_of(secret, clock.now - 30 * SECOND)
    for client, typed, status in (
        (client_of(site), earlier, 403),  # it switched the factor on
        (client_of(site), f" {code[:3]} {code[3:]} ", 302),
        (client_of(site), code, 403),
        (client_of(site), earlier, 403),
    ):
        password(client)
        answer = step_two(client, typed)
        assert (answer.status_code, is_in(client)) == (status, status == 302), typed
        assert ("was used before" in Page(answer).text) == (status == 403)


@in_a_file
@pytest.mark.parametrize(("off", "good"), [(-61, False), (-30, True), (0, True), (30, True), (61, False)])
def test_clocks_may_differ_by_half_a_minute(site: Site, clock: Clock, off: int, good: bool) -> None:
    secret, _ = switched_on(site, clock)
    clock.now += 10 * MINUTE
    client = client_of(site)
    password(client)
    assert (step_two(client, code_of(secret, clock.now + off * SECOND)).status_code == 302) == good


def test_one_code_sent_many_times_at_once_is_good_once(site: Site, clock: Clock) -> None:
    def sent(client: Client, code: str) -> int:
        try:
            return step_two(client, code).status_code
        finally:
            connections.close_all()

    secret, codes = switched_on(site, clock)
    for code in (code_of(secret, clock.now), codes[0]):
        clients = [client_of(site) for _ in range(4)]
        for client in clients:
            password(client)
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(sent, clients, repeat(code)))
        assert answers.count(302) == 1
        assert set(answers) <= {302, 403, 429}
        clock.now += 16 * MINUTE


def test_a_recovery_code_signs_in_once(site: Site, clock: Clock) -> None:
    _, codes = switched_on(site, clock)
    for typed, status in ((codes[3].lower(), 302), (codes[3], 403), (codes[4].replace("-", " "), 302)):
        client = client_of(site)
        password(client)
        assert step_two(client, typed).status_code == status
    assert [event.told for event in deeds("signed in")][:2] == ["recovery code; 8 left", "recovery code; 9 left"]
    assert "8 recovery codes are left" in Page(client.get("/me")).text


def test_new_recovery_codes_take_a_code_and_replace_the_old(site: Site, clock: Clock) -> None:
    client = client_of(site)
    secret, codes = switched_on(site, clock, client)
    assert client.post("/me/recovery-codes", {"code": "123"}).status_code == 403
    answer = client.post("/me/recovery-codes", {"code": code_of(secret, clock.now)})
    fresh = re.findall(r"<li><code>([A-Z2-7-]+)</code>", answer.content.decode())
    assert len(set(fresh) - set(codes)) == RECOVERY_CODES
    other = client_of(site)
    password(other)
    assert step_two(other, codes[0]).status_code == 403
    assert step_two(other, fresh[0]).status_code == 302


def test_codes_are_held_up_from_one_address_and_from_many(site: Site, clock: Clock) -> None:
    secret, codes = switched_on(site, clock)
    client = client_of(site)
    password(client)
    statuses = [step_two(client, f"{number:06}").status_code for number in range(OF_BOTH)]
    assert statuses == [403] * OF_BOTH
    right = code_of(secret, clock.now)
    held_up = step_two(client, right)
    assert (held_up.status_code, "quarter of an hour" in Page(held_up).text) == (429, True)
    assert password(client_of(site)).status_code == 429  # the same name from the same address
    others = [{"REMOTE_ADDR": f"192.0.2.{number}"} for number in range(CODES_OF_ONE_NAME)]
    client = client_of(site)
    assert client.post("/sign-in", {"name": ANNA, "password": PASSWORD}, **others[-1]).status_code == 302
    for other in others[: CODES_OF_ONE_NAME - OF_BOTH]:
        assert step_two(client, "000000", **other).status_code == 403
    assert step_two(client, codes[0], **others[-1]).status_code == 429
    assert len(deeds("code refused")) == CODES_OF_ONE_NAME
    assert {event.name for event in deeds("code refused")} == {ANNA}
    clock.now += 16 * MINUTE
    password(client)
    assert step_two(client, code_of(secret, clock.now)).status_code == 302
    assert Page(someone(site, ADMIN).get("/people")).text.count("Code refused after the right password") == CODES_OF_ONE_NAME


def test_the_first_step_is_good_for_ten_minutes_and_one_password(site: Site, clock: Clock) -> None:
    secret, _ = switched_on(site, clock)
    client = client_of(site)
    password(client)
    clock.now += 11 * MINUTE
    assert step_two(client, code_of(secret, clock.now)).headers["Location"] == "/sign-in"
    password(client)
    change_password(Person.objects.get(name=ANNA), "another fine password", clock.now)
    assert step_two(client, code_of(secret, clock.now)).headers["Location"] == "/sign-in"
    assert not is_in(client)


def test_switching_on_and_off_ends_other_sessions(site: Site, clock: Clock) -> None:
    own, other = client_of(site), client_of(site)
    password(other)
    secret, _ = switched_on(site, clock, own)
    assert (is_in(own), is_in(other)) == (True, False)
    password(other)
    step_two(other, code_of(secret, clock.now))
    clock.now += 30 * SECOND
    assert own.post("/me/second-factor/off", {"code": "000000"}).status_code == 403
    assert own.post("/me/second-factor/off", {"code": code_of(secret, clock.now)}).status_code == 302
    assert (is_in(own), is_in(other)) == (True, False)
    assert password(other).headers["Location"] == "/report"
    assert RecoveryCode.objects.count() == 0
    assert [event.told for event in deeds("changed")][:2] == ["second factor switched off", "second factor switched on"]


def test_nothing_is_switched_on_without_a_code(site: Site, clock: Clock) -> None:
    client = client_of(site)
    password(client)
    assert client.get("/me/second-factor").headers["Location"] == "/me"
    answer = client.get("/me/second-factor/new")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert "is no page" in answer.content.decode()
    client.post("/me/second-factor/new")
    answer = client.post("/me/second-factor", {"code": "000000"})
    assert (answer.status_code, "does not fit" in Page(answer).text) == (403, True)
    assert not Person.objects.exclude(factor_salt="").exists()
    switched_on(site, clock)
    assert client_of(site).post("/me/second-factor/off").status_code == 302
    assert Person.objects.exclude(factor_salt="").count() == 1


def test_an_administrator_switches_it_off(site: Site, clock: Clock) -> None:
    client = client_of(site)
    switched_on(site, clock, client)
    assert client.post("/people/second-factor-off", {"name": ANNA}).status_code == 403
    admin = client_of(site)
    password(admin, ADMIN)
    assert [row[4].split() for row in Page(admin.get("/people")).rows[1:3]] == [["off"], ["on", "Switch", "off"]]
    assert admin.post("/people/second-factor-off", {"name": "nobody"}).status_code == 404
    assert admin.post("/people/second-factor-off", {"name": ANNA}).status_code == 302
    assert not is_in(client)
    assert password(client).headers["Location"] == "/report"
    event = deeds("changed")[0]
    assert (event.name, event.told, event.address) == (ANNA, f"second factor switched off by {ADMIN}", "127.0.0.1")
    with pytest.raises(PeopleError, match="no second factor"):
        switch_off(Person.objects.get(name=ANNA), NOW)


def test_a_token_changes_nothing_of_people(site: Site, clock: Clock) -> None:
    switched_on(site, clock)
    token = new_token(Person.objects.get(name=ADMIN), "script", NOW)
    program = client_of(site)
    program.defaults["HTTP_AUTHORIZATION"] = f"bearer {token}"
    assert program.get("/people").status_code == 200
    for address in ("/people/second-factor-off", "/me/second-factor/new", "/me/second-factor/off", "/me/recovery-codes"):
        assert program.post(address, {"name": ANNA}).status_code == 403
    assert program.get("/me").status_code == 403
    assert Person.objects.exclude(factor_salt="").count() == 1


@in_a_file
def test_the_state_database_alone_has_no_secret(site: Site, clock: Clock) -> None:
    secret, codes = switched_on(site, clock)
    person = Person.objects.get(name=ANNA)
    assert secret_of(site, person, person.factor_salt) == secret
    with sqlite3.connect(site.settings.state_path) as state:
        dumped = "\n".join(state.iterdump()).upper()
    state.close()
    assert person.factor_salt.upper() in dumped
    for kept in (secret, b32decode(secret).hex().upper(), *codes, *(code.replace("-", "") for code in codes)):
        assert kept not in dumped
    assert hashlib.sha256(codes[0].replace("-", "").encode()).hexdigest().upper() not in dumped
    key = site.settings.state_path.with_name(site.settings.state_path.name + ".key")
    key.write_text("ab" * 32 + "\n", encoding="ascii")
    assert site_key(site.settings.state_path).hex() == "ab" * 32
    assert secret_of(site, person, person.factor_salt) != secret


@in_a_file
def test_two_people_with_one_salt_have_two_secrets(site: Site) -> None:
    assert len({secret_of(site, person, "ab" * 16) for person in Person.objects.all()}) == 2


@in_a_file
def test_the_qr_code_is_a_picture_that_the_policy_allows(site: Site) -> None:
    client = client_of(site)
    password(client)
    client.post("/me/second-factor/new")
    answer = client.get("/me/second-factor")
    [picture] = [tag for tag in Page(answer).named("img") if tag.get("class") == "qr"]
    assert picture["src"].startswith("data:image/svg+xml")
    assert "img-src 'self' data:" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<style" not in answer.content.decode()


@in_a_file
def test_every_refusal_of_a_password_takes_the_same_work(site: Site, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether somebody has a name, and a second factor, is not told by how long an answer takes."""
    switched_on(site, clock)
    work: list[tuple[str, int]] = []
    derive = hashers.pbkdf2

    def counted(password: str, salt: str, iterations: int, **options: Any) -> bytes:
        work.append((password, iterations))
        return derive(password, salt, iterations, **options)

    monkeypatch.setattr(hashers, "pbkdf2", counted)
    spent = []
    for name in (ANNA, ADMIN, "nobody@contoso.example", ""):
        work.clear()
        assert recognised(site, name, "wrong", f"192.0.2.{len(spent)}") is None
        spent.append(list(work))
    assert spent[0] == [("wrong", hashers.PBKDF2PasswordHasher.iterations)]
    assert spent[1:] == spent[:1] * 3


def test_it_is_switched_off_on_the_command_line(site: Site, clock: Clock) -> None:
    switched_on(site, clock)
    program = [str(Path(sys.executable).with_name("smtp-auth-report")), "user"]
    where = ["--database", site.settings.database]

    def user(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*program, *arguments, *where], capture_output=True, text=True, check=False)

    assert user("list").stdout.splitlines()[1] == f"{ANNA}\treader\tsecond factor"
    done = user("second-factor-off", ANNA)
    assert (done.returncode, done.stderr) == (0, f"{ANNA} is asked for the password alone\n")
    again = user("second-factor-off", ANNA)
    assert (again.returncode, again.stderr.strip()) == (1, f"smtp-auth-report: {ANNA} has no second factor")
    assert password(client_of(site)).headers["Location"] == "/report"
