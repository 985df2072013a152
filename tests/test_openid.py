"""
Sign-in through an OpenID Connect provider: a provider of its own process, real HTTP, tokens signed by real keys, and
everything that must not sign anybody in.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.http import HttpResponse
from django.test import Client

from openid_provider import BACK, CLIENT, SECRET, Remote, provider
from sites import NOW, Clock, Page, client_of, in_a_file, is_in, make_site, week
from smtp_auth_report.errors import ReportError, SettingError
from smtp_auth_report.settings import load
from smtp_auth_report.web.application import Site, serve
from smtp_auth_report.web.models import Event, Person
from smtp_auth_report.web.openid import DOCUMENT_LASTS, documents, ready
from smtp_auth_report.web.people import add, recognised
from smtp_auth_report.web.reader import Role

pytestmark = pytest.mark.usefixtures("state")

ANNA = {"email": "Anna@Contoso.example", "email_verified": True}
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def running() -> Iterator[Remote]:
    with provider() as remote:
        yield remote


@pytest.fixture
def idp(running: Remote) -> Remote:
    running.says(claims=ANNA)
    documents.clear()
    return running


def made(folder: Path, idp: Remote, **settings: str) -> Site:
    secret = folder / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    given = {"oidc_issuer": idp.issuer, "oidc_client_id": CLIENT, "oidc_client_secret_file": str(secret)} | settings
    site = make_site(folder, *week(), **given)
    client_of(site)
    add("admin@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    add("anna@contoso.example", Role.READER, None, NOW)
    return site


@pytest.fixture
def site(tmp_path: Path, idp: Remote) -> Site:
    return made(tmp_path, idp)


def left(client: Client, there: str = "/report") -> str:
    """The address of the provider that sign-in leads to."""
    answer = client.get("/sign-in/openid", {"next": there})
    assert answer.status_code == 302
    return answer.headers["Location"]


def came_back(client: Client, idp: Remote, there: str = "/report", **changed: str) -> HttpResponse:
    """The whole way; `changed` is what somebody changes of what the provider sends back."""
    back = urlsplit(idp.sent_back(left(client, there)))
    assert f"{back.scheme}://{back.netloc}{back.path}" == BACK
    query = {name: values[0] for name, values in parse_qs(back.query).items()}
    return client.get(back.path, query | changed)


UNBELIEVED = "the provider cannot be asked or its answer not be believed ({}); the server's log has more"


def refusals() -> list[str]:
    return [event.told for event in Event.objects.filter(deed="refused")]


def test_the_provider_signs_in_whoever_was_added(site: Site, idp: Remote) -> None:
    client = client_of(site)
    link = next(tag for tag in Page(client.get("/sign-in?next=%2Freport%3Fby%3Dclients")).named("a") if tag["href"].startswith("/sign-in/"))
    assert link["href"] == "/sign-in/openid?next=%2Freport%3Fby%3Dclients"
    answer = came_back(client, idp, "/report?by=clients")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/report?by=clients")
    assert is_in(client)
    event = Event.objects.filter(deed="signed in").get()
    assert (event.name, event.told, event.address) == ("anna@contoso.example", "OpenID Connect", "127.0.0.1")


def test_what_is_asked_of_the_provider(site: Site) -> None:
    asked = {name: values[0] for name, values in parse_qs(urlsplit(left(client_of(site))).query).items()}
    assert {name: asked[name] for name in ("response_type", "client_id", "redirect_uri", "scope", "code_challenge_method")} == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": BACK,
        "scope": "openid email profile",
        "code_challenge_method": "S256",
    }
    other = {name: values[0] for name, values in parse_qs(urlsplit(left(client_of(site))).query).items()}
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name]) >= 20
        assert asked[name] != other[name]


def test_a_key_of_another_kind_signs_as_well(site: Site, idp: Remote) -> None:
    idp.says(claims=ANNA, alg="ES256")
    assert came_back(client_of(site), idp).headers["Location"] == "/report"


WRONG = {
    "nonce": "InvalidClaimError",
    "expired": "ExpiredTokenError",
    "early": "InvalidClaimError",
    "audience": "InvalidClaimError",
    "audience, though for us": "InvalidClaimError",
    "audiences": "InvalidClaimError",
    "issuer": "InvalidClaimError",
    "no signature": "UnsupportedAlgorithmError",
    "secret as key": "UnsupportedAlgorithmError",
    "public key as secret": "UnsupportedAlgorithmError",
    "another key": "BadSignatureError",
    "key in the header": "BadSignatureError",
    "no ID token": "KeyError",
    "no JSON of /token": "ValueError",
    "no JSON of /keys": "JSONDecodeError",
    "redirect of /token": "TooManyRedirects",
    "redirect of /keys": "TooManyRedirects",
}
"""What is wrong with an answer of the provider, and why nobody is signed in."""


def test_an_answer_that_is_not_right_signs_nobody_in(site: Site, idp: Remote) -> None:
    told = {}
    for fault in WRONG:
        idp.says(claims=ANNA, fault=fault)
        client = client_of(site)
        answer = came_back(client, idp)
        assert (answer.status_code, "did not sign you in here" in Page(answer).text, is_in(client)) == (403, True, False), fault
        [said] = refusals()
        Event.objects.filter(deed="refused").delete()  # the same would not be noted again so soon
        told[fault] = said.removeprefix("OpenID Connect: ")
        for secret in (SECRET, "Anna", "eyJ"):
            assert secret not in answer.content.decode() + told[fault]
    assert told == {fault: UNBELIEVED.format(error) for fault, error in WRONG.items()}
    assert not Event.objects.filter(deed="signed in").exists()


def test_a_refusal_that_comes_again_and_again_is_noted_once_in_a_while(site: Site) -> None:
    for _ in range(3):
        assert client_of(site).get("/sign-in/openid/back?state=x").status_code == 403
    assert refusals() == ["OpenID Connect: it was not begun here, or is over"]


def test_a_token_without_a_claim_signs_nobody_in(site: Site, idp: Remote) -> None:
    for missing in ("nonce", "exp", "iat", "aud", "iss", "sub"):
        idp.says(claims=ANNA, without=[missing])
        client = client_of(site)
        assert (came_back(client, idp).status_code, is_in(client), refusals()[0]) == (
            403,
            False,
            f"OpenID Connect: {UNBELIEVED.format('MissingClaimError')}",
        ), missing


def test_nobody_is_signed_in_as_somebody_they_may_not_be(site: Site, idp: Remote) -> None:
    for claims, reason in (
        ({"email": "anna@contoso.example", "email_verified": False}, "the e-mail address is not verified"),
        ({"email": "anna@contoso.example", "email_verified": "yes"}, "the e-mail address is not verified"),
        ({"email": "anna@contoso.example"}, "the e-mail address is not verified"),
        ({"email": "nobody@contoso.example", "email_verified": True}, "nobody here has this name"),
        ({"email": ["anna@contoso.example"], "email_verified": True}, "the provider gave no email"),
        ({"email": "", "email_verified": True}, "the provider gave no email"),
        ({"email_verified": True}, "the provider gave no email"),
    ):
        idp.says(claims=claims)
        client = client_of(site)
        assert (came_back(client, idp).status_code, is_in(client)) == (403, False)
        assert refusals()[0] == f"OpenID Connect: {reason}"
    assert Person.objects.count() == 2


def test_state_belongs_to_one_session_and_one_use(site: Site, idp: Remote) -> None:
    client, other = client_of(site), client_of(site)
    answer = came_back(client, idp, state="another")
    assert (answer.status_code, refusals()) == (403, ["OpenID Connect: it was not begun here, or is over"])
    back = idp.sent_back(left(client)).removeprefix("http://localhost")
    left(other)
    assert other.get(back).status_code == 403  # as a link that somebody else sent
    assert not is_in(other)
    assert client.get(back).status_code == 302
    assert client.get(back).status_code == 403
    assert client.get("/sign-in/openid/back").status_code == 403


def test_a_code_of_another_sign_in_does_not_fit(site: Site, idp: Remote) -> None:
    """PKCE: a code that was stolen on its way is of no use in another session."""
    victim, thief = client_of(site), client_of(site)
    stolen = parse_qs(urlsplit(idp.sent_back(left(victim))).query)["code"][0]
    assert came_back(thief, idp, code=stolen).status_code == 403
    assert not is_in(thief)


ELSEWHERE = (
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "javascript:alert(1)",
    "http:///evil.example",
    "\x00//evil.example",
)


def test_sign_in_leads_nowhere_else(site: Site, idp: Remote) -> None:
    assert [came_back(client_of(site), idp, there).headers["Location"] for there in ELSEWHERE] == ["/"] * len(ELSEWHERE)


def test_what_the_provider_refuses_is_told(site: Site, idp: Remote) -> None:
    idp.says(fault="denied")
    client = client_of(site)
    assert came_back(client, idp).status_code == 403
    left(client)
    state = next(key for key, _ in client.session.items() if key.startswith("_state_")).rpartition("_")[2]
    assert client.get("/sign-in/openid/back", {"state": state, "error": "<b>\x1b[2J"}).status_code == 403
    assert refusals() == ["OpenID Connect: the provider said no", "OpenID Connect: the provider said access_denied"]


def test_a_provider_that_cannot_be_believed_is_not_gone_to(site: Site, idp: Remote) -> None:
    for said, reason in (
        ({"document": {"issuer": "https://evil.example"}}, "it calls itself 'https://evil.example'"),
        ({"document": {"token_endpoint": "http://192.0.2.1/token"}}, "its token_endpoint is no https:// address"),
        ({"document": {"jwks_uri": "file:///etc/passwd"}}, "its jwks_uri is no https:// address"),
        ({"document": {"authorization_endpoint": "javascript:alert(1)"}}, "its authorization_endpoint is no https:// address"),
        ({"document": {"userinfo_endpoint": "ftp://x"}}, "its userinfo_endpoint is no https:// address"),
        ({"document": {"id_token_signing_alg_values_supported": ["none", "HS256"]}}, "it signs with no algorithm"),
        ({"fault": "redirect of /.well-known/openid-configuration"}, "its discovery document is not there: 302"),
        ({"fault": "no JSON of /.well-known/openid-configuration"}, "JSONDecodeError"),
    ):
        documents.clear()
        idp.says(**said)
        assert client_of(site).get("/sign-in/openid").status_code == 403
        assert not documents
        assert reason in refusals()[0]


def test_a_provider_that_is_away_is_one_line(tmp_path: Path) -> None:
    with provider() as gone:
        site = made(tmp_path, gone)
    answer = client_of(site).get("/sign-in/openid")
    assert (answer.status_code, refusals()) == (403, [f"OpenID Connect: {UNBELIEVED.format('ConnectionError')}"])
    assert client_of(site).post("/sign-in", {"name": "admin@contoso.example", "password": PASSWORD}).status_code == 302


def test_a_secret_that_cannot_be_read_any_more_is_told(site: Site) -> None:
    path = Path(site.settings.oidc_client_secret_file)
    path.chmod(0o644)
    assert client_of(site).get("/sign-in/openid").status_code == 403
    [said] = refusals()
    assert said.startswith(f"OpenID Connect: oidc_client_secret_file {path} ")


def test_what_the_provider_says_of_itself_is_kept_for_minutes(site: Site, idp: Remote) -> None:
    clock = Clock()
    there = replace(site, clock=clock)
    before = idp.asked_for_document()
    for _ in range(2):
        assert came_back(client_of(there), idp).status_code == 302
    assert idp.asked_for_document() == before + 1
    clock.now += DOCUMENT_LASTS
    left(client_of(there))
    assert idp.asked_for_document() == before + 2
    idp.says(claims=ANNA, fault="another key")
    assert came_back(client_of(there), idp).status_code == 403  # it may have moved
    assert idp.asked_for_document() == before + 2
    left(client_of(there))
    assert idp.asked_for_document() == before + 3
    clock.now -= DOCUMENT_LASTS  # a clock that was set back
    left(client_of(there))
    assert idp.asked_for_document() == before + 4


def test_another_claim_says_who_it_is(tmp_path: Path, idp: Remote) -> None:
    site = made(tmp_path, idp, oidc_claim="preferred_username")
    idp.says(claims={"preferred_username": "ANNA@contoso.example"})
    assert came_back(client_of(site), idp).headers["Location"] == "/report"
    idp.says(claims=ANNA)
    assert came_back(client_of(site), idp).status_code == 403


def test_claims_of_userinfo_count_for_the_same_subject(site: Site, idp: Remote) -> None:
    idp.says(userinfo=ANNA)
    assert came_back(client_of(site), idp).headers["Location"] == "/report"
    idp.says(userinfo=ANNA | {"sub": "another"})
    assert came_back(client_of(site), idp).status_code == 403
    idp.says(claims={"email": "nobody@contoso.example", "email_verified": True}, userinfo=ANNA)
    assert came_back(client_of(site), idp).status_code == 403


ROLES = "mail-team=administrator, /help desk=reader, contoso=contoso.example, fabrikam=fabrikam.example, contoso=contoso.net"
IVAN = {"email": "ivan@contoso.example", "email_verified": True}


def test_groups_give_roles_at_each_sign_in(tmp_path: Path, idp: Remote) -> None:
    site = made(tmp_path, idp, oidc_roles=ROLES)
    for groups, role, domains in (
        (["contoso", "staff"], "domains", ["contoso.example", "contoso.net"]),
        ("fabrikam", "domains", ["fabrikam.example"]),
        (["contoso", "fabrikam"], "domains", ["contoso.example", "contoso.net", "fabrikam.example"]),
        (["contoso", "/help desk"], "reader", []),
        (["/help desk", "mail-team"], "administrator", []),
        (["fabrikam"], "domains", ["fabrikam.example"]),
    ):
        idp.says(claims=IVAN | {"groups": groups})
        client = client_of(site)
        assert came_back(client, idp).headers["Location"] == "/report"
        person = Person.objects.get(name="ivan@contoso.example")
        assert (person.role, json.loads(person.domains), person.by_groups) == (role, domains, True)
        assert client.get("/people").status_code == (200 if role == "administrator" else 403)
    assert client.get("/api/reports/sending-volume").json()["totals"]["messages"] == 7
    told = [event.told for event in Event.objects.filter(deed="changed", name="ivan@contoso.example")]
    assert told[-1] == "added as reader of contoso.example, contoso.net"
    assert told[0] == "now reader of fabrikam.example, by groups"
    assert recognised(site, "ivan@contoso.example", PASSWORD, "192.0.2.1") is None


def test_without_a_group_that_has_a_role_nobody_gets_in(tmp_path: Path, idp: Remote) -> None:
    site = made(tmp_path, idp, oidc_roles=ROLES)
    idp.says(claims=IVAN | {"groups": ["mail-team"]})
    came_back(client_of(site), idp)
    for groups in (["mail-team-2"], ["MAIL-TEAM"], [], "", None, {"mail-team": True}, [["mail-team"]], ["mail-team=administrator"]):
        idp.says(claims=IVAN | {"groups": groups})
        client = client_of(site)
        assert (came_back(client, idp).status_code, is_in(client)) == (403, False), groups
        assert refusals()[0] == "OpenID Connect: none of their groups has a role here"
    unset = Site(site.store, replace(site.settings, oidc_roles=""), site.clock)
    idp.says(claims=IVAN | {"groups": ["mail-team"]})
    assert came_back(client_of(unset), idp).status_code == 403


def changes(name: str) -> list[str]:
    return [event.told for event in Event.objects.filter(deed="changed", name=name)]


def test_groups_leave_one_administrator(tmp_path: Path, idp: Remote) -> None:
    """Without any the pages would have nobody who lets others in, and `serve` would not start on a network."""
    site = made(tmp_path, idp, oidc_roles=ROLES)
    name = IVAN["email"]
    idp.says(claims=IVAN | {"groups": ["mail-team"]})
    came_back(client_of(site), idp)
    Person.objects.filter(name="admin@contoso.example").update(role="reader")
    idp.says(claims=IVAN | {"groups": ["fabrikam"]})
    client = client_of(site)
    assert came_back(client, idp).headers["Location"] == "/report"
    told = "still administrator, as the last one, though groups make them reader of fabrikam.example"
    assert (Person.objects.get(name=name).role, changes(str(name))[0]) == ("administrator", told)
    assert told in Page(client.get("/people")).text
    idp.says(claims=IVAN | {"groups": []})
    assert came_back(client_of(site), idp).status_code == 403
    assert (is_in(client), Person.objects.get(name=name).role) == (False, "administrator")
    Person.objects.filter(name="admin@contoso.example").update(role="administrator")
    came_back(client_of(site), idp)
    assert Person.objects.get(name=name).role == "reader"  # who is out is not the one that is left
    idp.says(claims=IVAN | {"groups": ["fabrikam"]})
    came_back(client_of(site), idp)
    assert (Person.objects.get(name=name).role, changes(str(name))[0]) == ("domains", "now reader of fabrikam.example, by groups")


def test_who_was_added_keeps_their_role(tmp_path: Path, idp: Remote) -> None:
    site = made(tmp_path, idp, oidc_roles=ROLES)
    for groups in (["mail-team"], []):
        idp.says(claims=ANNA | {"groups": groups})
        client = client_of(site)
        assert came_back(client, idp).headers["Location"] == "/report"
        assert client.get("/people").status_code == 403
    idp.says(claims=IVAN | {"email": "a\nb", "groups": ["mail-team"]})
    assert came_back(client_of(site), idp).status_code == 403
    assert "printable characters" in refusals()[0]


def test_groups_of_userinfo_count(tmp_path: Path, idp: Remote) -> None:
    site = made(tmp_path, idp, oidc_roles=ROLES, oidc_groups_claim="teams")
    idp.says(claims=IVAN, userinfo={"teams": ["mail-team"]})
    assert came_back(client_of(site), idp).headers["Location"] == "/report"
    assert Person.objects.get(name="ivan@contoso.example").role == "administrator"


def test_a_second_factor_is_asked_for_all_the_same(site: Site, idp: Remote) -> None:
    Person.objects.filter(name="anna@contoso.example").update(factor_salt="ab" * 16)
    client = client_of(site)
    assert came_back(client, idp).headers["Location"] == "/sign-in/code"
    assert not is_in(client)


def test_many_refusals_hold_up_no_password(site: Site, idp: Remote) -> None:
    idp.says(claims={})
    client = client_of(site)
    for _ in range(25):
        client.get("/sign-in/openid/back")
    assert client.post("/sign-in", {"name": "admin@contoso.example", "password": PASSWORD}).status_code == 302


def test_whoever_has_no_password_signs_in_by_none(site: Site) -> None:
    for guess in ("", "!", "None", PASSWORD, Person.objects.get(name="anna@contoso.example").password):
        assert recognised(site, "anna@contoso.example", guess, f"192.0.2.{len(guess)}") is None


def test_it_is_off_unless_it_is_set(tmp_path: Path) -> None:
    site = make_site(tmp_path, *week())
    client = client_of(site)
    assert client.get("/sign-in/openid").status_code == 404
    add("admin@contoso.example", Role.ADMINISTRATOR, PASSWORD, NOW)
    assert "/sign-in/openid" not in client.get("/sign-in").content.decode()
    for address in ("/sign-in/openid", "/sign-in/openid/back?state=x"):
        assert client.get(address).status_code == 404


@in_a_file
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"oidc_client_id": ""}, "oidc_client_id is not set"),
        ({"oidc_client_secret_file": "/nowhere/secret"}, "oidc_client_secret_file /nowhere/secret cannot be read"),
        ({"oidc_scope": "email"}, "openid"),
        ({"oidc_roles": "mail-team=king"}, "is not a list of groups"),
        ({"oidc_roles": "reader"}, "is not a list of groups"),
        ({"oidc_issuer": "http://login.example.org"}, "https://"),
        ({"oidc_issuer": "https://login.example.org/?x=1"}, "is not an address"),
    ],
)
def test_settings_that_cannot_be_used_are_one_line(changed: dict[str, str], words: str) -> None:
    with pytest.raises(SettingError, match=re.escape(words)):
        ready(load({"oidc_issuer": "https://login.example.org", "oidc_client_id": "x"} | changed, {}))


@in_a_file
def test_serve_says_what_is_missing(tmp_path: Path) -> None:
    site = make_site(tmp_path, *week(), listen="127.0.0.1:0", oidc_issuer="https://login.example.org")
    with pytest.raises(ReportError, match="oidc_client_id is not set"):
        serve(site, list, pytest.fail)


def test_people_without_a_password_are_added_on_the_command_line(tmp_path: Path) -> None:
    program = [str(Path(sys.executable).with_name("smtp-auth-report")), "user", "add", "anna@contoso.example", "--no-password"]
    done = subprocess.run([*program, "--database", str(tmp_path / "mail.duckdb")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    client_of(make_site(tmp_path, *week()))
    assert not Person.objects.get().has_usable_password()


def test_a_provider_that_others_wrote_understands_this_program(tmp_path: Path) -> None:
    claims = {"sub": "anna", "email": "anna@contoso.example", "email_verified": True}
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", "0", "--require-nonce", "true", "--require-registration", "true"]
    with subprocess.Popen([*command, "--user-claims", json.dumps(claims)], stderr=subprocess.PIPE, text=True) as other:
        try:
            assert other.stderr is not None
            issuer = next(line.split()[-5] for line in other.stderr if "running on" in line)
            registered = requests.post(f"{issuer}/oauth2/clients", json={"redirect_uris": [BACK]}, timeout=30).json()
            site = made(tmp_path, Remote(issuer), oidc_client_id=registered["client_id"])
            (tmp_path / "secret").write_text(registered["client_secret"])
            client = client_of(site)
            form = requests.post(left(client), data={"sub": "anna"}, allow_redirects=False, timeout=30)
            assert client.get(form.headers["Location"].removeprefix("http://localhost")).headers["Location"] == "/report"
            assert is_in(client)
        finally:
            other.terminate()
            other.stderr.close()
