"""
Requested reports by mail, through a real SMTP server: who may send to whom, over which connections, once, tried again when
it fails, and a link in place of a large file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from rows import NOON, row
from sites import ADMIN, DAY, NOW, OWNER, READER, Page, client_of, in_a_file, make_site, one_of_each_role, person, someone, until, week
from smtp_auth_report.errors import ReportError, SelectionError, SettingError
from smtp_auth_report.moments import SECOND
from smtp_auth_report.outgoing import PASSWORD as PASSWORD_VARIABLE
from smtp_auth_report.outgoing import DeliveryError, hand_over, letter, ready
from smtp_auth_report.settings import load
from smtp_auth_report.web.application import Site, serve
from smtp_auth_report.web.mailed_report import addresses, linked
from smtp_auth_report.web.models import Event, Mail, Person, Progress, RequestedReport, Sending
from smtp_auth_report.web.people import remove
from smtp_auth_report.web.postbox import CLAIMED, INTERRUPTED, PAUSES, _this_server, post, posting
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.requested import KEPT, file_of
from smtp_server import PASSWORD, SETTINGS, USER, SmtpServer, body

PERIOD = {"from": "2026-11-16", "to": "2026-11-22", "format": "csv"}


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """One that this machine trusts."""
    made = trustme.CA()
    path = tmp_path / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return made


@pytest.fixture
def site(tmp_path: Path, server: SmtpServer, state: str) -> Site:  # noqa: ARG001 - on each kind of state database
    return with_people(tmp_path, server)


def with_people(tmp_path: Path, server: SmtpServer, **settings: str) -> Site:
    """A site that sends through this server, with somebody of each role."""
    site = make_site(tmp_path, *week(), **(SETTINGS | {"mail_server": server.address, "listen": "127.0.0.1:0"} | settings))
    client_of(site)
    one_of_each_role()
    return site


def signed_in(site: Site, tmp_path: Path) -> Site:
    """The site with what signing in to its mail server needs."""
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return replace(site, settings=replace(site.settings, mail_user=USER, mail_password_file=str(path)))


def asked(site: Site, name: str, **sent: Any) -> RequestedReport:
    """A finished report that somebody asked for by the form."""
    answer = someone(site, name).post("/requests", PERIOD | sent)
    assert answer.status_code == 302, answer.content
    until(lambda: not RequestedReport.objects.exclude(progress=Progress.DONE).exists())
    return RequestedReport.objects.filter(person__name=name).latest("asked")


def at(site: Site, now: int) -> Site:
    return replace(site, clock=lambda: now)


# What is sent, and over what


@pytest.mark.parametrize("implicit", [True, False])
def test_a_finished_file_is_attached_and_sent_once(tmp_path: Path, authority: trustme.CA, implicit: bool) -> None:
    with SmtpServer(authority, implicit=implicit) as server:
        site = signed_in(with_people(tmp_path, server, mail_tls="implicit" if implicit else "starttls"), tmp_path)
        request = asked(site, READER, mail=READER)
        for _ in range(3):
            post(site)
        [taken] = server.taken
    assert (taken.sender, taken.recipients, taken.secure, taken.signed_in) == ("report@contoso.example", [READER], True, True)
    message = taken.message
    assert (message["From"], message["To"]) == ("SMTP AUTH clients report <report@contoso.example>", READER)
    assert message["Subject"] == "Requested report, 16\N{EN DASH}22 Nov 2026"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == f"<{Mail.objects.get().pk}@contoso.example>"
    assert "The report that you requested on Sun 22 Nov 2026 16:00:00 CET is ready." in body(message)
    [file] = message.iter_attachments()
    assert file.get_filename() == "submissions-2026-11-16-2026-11-22.csv"
    client = someone(site, READER)
    assert file.get_payload(decode=True) == b"".join(client.get(f"/requests/{request.pk}/file"))
    assert f"Sent to {READER}" in Page(client.get("/requests")).text
    told = [event.told for event in Event.objects.filter(name=READER)]
    assert sum(each.endswith(f"as CSV, mailed to {READER}") for each in told) == 1


EXPIRED = {
    "en": "Rows from before 18 Nov 2026 have expired",
    "fr": "Les lignes d\N{RIGHT SINGLE QUOTATION MARK}avant le 18 nov. 2026 ont expiré",
}


def test_a_file_whose_period_has_partly_expired_says_from_when_it_has_rows(site: Site, server: SmtpServer) -> None:
    def told(language: str, first: str) -> tuple[int, str | None, bool, bool]:
        """Of a new request: how many rows, and from when on they are there by API, page and mail."""
        RequestedReport.objects.all().delete()
        client = someone(site, READER)
        speaks = {"Accept-Language": language}
        assert client.post("/requests", PERIOD | {"from": first, "mail": READER}, headers=speaks).status_code == 302
        until(lambda: RequestedReport.objects.get().progress == Progress.DONE)
        post(site)
        [answer] = client.get("/api/requests").json()
        said = "expir" in Page(client.get("/requests", headers=speaks)).text, "expir" in body(server.taken[-1].message)
        if any(said):
            assert EXPIRED[language] in Page(client.get("/requests", headers=speaks)).text
            assert f"\n{EXPIRED[language]}\n" in body(server.taken[-1].message)
        return answer["total"], answer["rows_from"], *said

    site.store.expire(NOON - 9 * DAY)  # before there were rows
    assert told("en", "2026-11-01") == (68, None, False, False)
    site.store.expire(NOON)
    for language in EXPIRED:
        assert told(language, "2026-11-01") == (50, "2026-11-17T23:00:00Z", True, True)
    assert told("en", "2026-11-18") == (50, None, False, False)


def test_an_administrator_sends_to_others_each_of_whom_sees_no_other(site: Site, server: SmtpServer) -> None:
    asked(site, ADMIN, mail="ben@example.org, chris@example.net,, ben@example.org")
    post(site)
    assert sorted((taken.recipients, taken.message["To"]) for taken in server.taken) == [
        (["ben@example.org"], "ben@example.org"),
        (["chris@example.net"], "chris@example.net"),
    ]
    assert f"The report that {ADMIN} requested on" in body(server.taken[0].message)


@in_a_file
def test_what_a_reader_of_domains_is_sent_is_cut_to_them(site: Site, server: SmtpServer) -> None:
    asked(site, OWNER, mail=OWNER)
    post(site)
    content = server.taken[0].message.as_bytes() + b"".join(
        bytes(file.get_payload(decode=True)) for file in server.taken[0].message.iter_attachments()
    )
    assert (b"crm@fabrikam.example" in content, b"anna@" in content, b"printer@" in content) == (True, False, False)


@in_a_file
def test_mail_is_in_the_language_of_whoever_asked(site: Site, server: SmtpServer) -> None:
    client = someone(site, READER)
    client.post("/requests", PERIOD | {"mail": READER, "tls": "legacy"}, headers={"Accept-Language": "fr"})
    until(lambda: RequestedReport.objects.get().progress == Progress.DONE)
    post(site)
    message = server.taken[0].message
    assert message["Subject"].startswith("Rapport demandé, 16\N{EN DASH}22 nov")
    assert "Version de TLS\N{NO-BREAK SPACE}: Antérieure à 1.2" in body(message)
    assert "attached" not in body(message)


# Links


def test_a_large_file_is_a_link_for_those_whom_it_was_sent_to(site: Site, server: SmtpServer) -> None:
    site = replace(site, settings=replace(site.settings, mail_attachment_mb="0"))
    asked(site, ADMIN, mail=READER)
    post(site)
    message = server.taken[0].message
    assert list(message.iter_attachments()) == []
    [link] = [line for line in body(message).splitlines() if "/mailed/" in line]
    path = link.removeprefix("https://report.example.org")
    reader, token = Person.objects.get(name=READER).reader, path.removeprefix("/mailed/")
    assert client_of(site).get(path).headers["Location"].startswith("/sign-in?next=%2Fmailed%2F")
    for name in (READER, ADMIN):
        assert b"".join(someone(site, name).get(path)).count(b"\n") > 10
    assert Event.objects.filter(name=READER, deed="exported").count() == 1
    person("other@contoso.example", Role.READER)
    assert someone(site, "other@contoso.example").get(path).status_code == 404
    assert someone(site, READER).get(path[:-1]).status_code == 404
    assert linked(at(site, NOW + KEPT).as_seen_by(reader), token) is not None
    assert linked(at(site, NOW + KEPT + 1).as_seen_by(reader), token) is None
    remove(READER, NOW)
    person(READER, Role.DOMAINS)
    assert someone(site, READER).get(path).status_code == 404


# Who may send to whom


@in_a_file
def test_addresses_that_nothing_is_sent_to(site: Site) -> None:
    for name, sent, words in (
        (READER, ADMIN, "only administrators"),
        (OWNER, READER, "only administrators"),
        (ADMIN, OWNER, "sees single domains only"),
        (ADMIN, "nobody", "is not an e-mail address"),
        (ADMIN, "x@contoso.example\r\nBcc: eve@evil.example", "is not an e-mail address"),
        (ADMIN, '"x\x01"@contoso.example', "is not an e-mail address"),
        (ADMIN, ",".join(f"a{n}@contoso.example" for n in range(11)), "10 addresses at most"),
    ):
        answer = someone(site, name).post("/requests", PERIOD | {"mail": sent})
        assert (answer.status_code, words in Page(answer).text) == (400, True), sent
    assert not RequestedReport.objects.exists()


@in_a_file
def test_the_form_offers_what_the_reader_may(site: Site) -> None:
    def offered(name: str) -> list[tuple[str, str]]:
        fields = Page(someone(site, name).get("/requests")).named("input")
        return [(field.get("type", "text"), field.get("value", "")) for field in fields if field.get("name") == "mail"]

    person("plain name", Role.READER)
    assert (offered(ADMIN), offered(READER), offered("plain name")) == ([("text", "")], [("checkbox", READER)], [])
    silent = replace(site, settings=replace(site.settings, mail_server=""))
    assert Page(someone(silent, ADMIN).get("/requests")).text.count("By mail") == 0
    assert someone(silent, ADMIN).post("/requests", PERIOD | {"mail": ADMIN}).status_code == 400


def test_what_was_entered_comes_back_with_what_is_wrong(site: Site) -> None:
    sent = PERIOD | {"format": "xlsx", "columns": ["", "time", "account"], "tls": ["legacy"], "client": "192.0.2.0/24", "mail": "anna, ben"}
    answer = someone(site, ADMIN).post("/requests", sent)
    page = Page(answer)
    assert (answer.status_code, "'anna' is not an e-mail address" in page.text) == (400, True)
    fields = [field for field in page.named("input") if field.get("type") not in ("radio", "checkbox") or "checked" in field]
    kept = [(field["name"], field["value"]) for field in fields if field.get("value") and field.get("name") in sent]
    entered = [(name, value) for name, values in sent.items() for value in ([values] if isinstance(values, str) else values) if value]
    assert sorted(kept) == sorted(entered)


def test_where_nobody_signs_in_nothing_is_sent(tmp_path: Path, server: SmtpServer) -> None:
    site = make_site(tmp_path, *week(), **(SETTINGS | {"mail_server": server.address}))
    client = client_of(site)
    assert "By mail" not in Page(client.get("/requests")).text
    assert client.post("/requests", PERIOD | {"mail": "anna@contoso.example"}).status_code == 400


def test_a_name_puts_nothing_into_a_header(site: Site, server: SmtpServer) -> None:
    """Names that no command would let in, as if written into the state database by hand."""
    for name in ('"a\\\r\nBcc: eve@evil.example"@x.example', "eve@evil.example\nx", "a\r\n\r\nbody"):
        hostile = person(name, Role.ADMINISTRATOR)
        seen = site.as_seen_by(hostile.reader)
        with pytest.raises(SelectionError):
            addresses(seen, name)
        assert addresses(seen, READER) == [READER]
        request = asked(site, ADMIN, mail=READER)
        RequestedReport.objects.filter(pk=request.pk).update(person=hostile)
        post(site)
        taken = server.taken.pop()
        assert taken.recipients == [READER]
        assert (taken.message["Bcc"], taken.message["To"]) == (None, READER)
    with pytest.raises(ValueError, match="linefeed"):
        letter(site.settings, "1", NOW, "report", READER, "subject\r\nBcc: eve@evil.example", "")


# What goes wrong


def test_a_certificate_that_is_not_trusted_gets_neither_password_nor_mail(authority: trustme.CA) -> None:
    for made, name, words in ((trustme.CA(), "localhost", "unable to get local issuer"), (authority, "mail.other.example", "mismatch")):
        with SmtpServer(made, name=name) as server:
            settings = load(SETTINGS | {"mail_server": server.address, "mail_tls": "starttls"}, {})
            with pytest.raises(DeliveryError, match=words) as refused:
                hand_over(letter(settings, "1", NOW, "report", READER, "subject", "text"), settings, {})
            assert (refused.value.final, server.taken) == (False, [])


def test_a_server_without_starttls_gets_nothing(server: SmtpServer) -> None:
    settings = load(SETTINGS | {"mail_server": server.address, "mail_tls": "starttls"}, {})
    with pytest.raises(DeliveryError, match="STARTTLS"):
        hand_over(letter(settings, "1", NOW, "report", READER, "subject", "text"), settings, {})
    assert server.taken == []


def test_a_refused_password_is_told_at_once_and_mended(tmp_path: Path, authority: trustme.CA) -> None:
    with SmtpServer(authority) as server:
        site = signed_in(with_people(tmp_path, server, mail_tls="starttls"), tmp_path)
        Path(site.settings.mail_password_file).write_text("wrong S3cr3t")
        asked(site, READER, mail=READER)
        post(site)
        page = someone(site, READER).get("/requests")
        text = Page(page).text
        assert f"Not sent to {READER} : {server.address} refuses the sign-in; check mail_user and its password: 535" in text
        assert "S3cr3t" not in page.content.decode() + str(list(Mail.objects.values()))
        Path(site.settings.mail_password_file).write_text(PASSWORD)
        post(site)
        assert server.taken == []
        answer = someone(site, READER).post(f"/mail/{Mail.objects.get().pk}/retry")
        assert answer.headers["Location"] == "/requests"
        post(site)
        assert len(server.taken) == 1


def test_a_server_that_is_down_is_tried_again_with_growing_pauses(tmp_path: Path) -> None:
    down = SmtpServer()
    site = with_people(tmp_path, down)
    asked(site, READER, mail=READER)
    now = NOW
    for number, pause in enumerate(PAUSES, 1):
        post(at(site, now))
        mail = Mail.objects.get()
        assert (mail.state, mail.attempts, mail.due) == (Sending.WAITING, number, now + pause)
        post(at(site, mail.due - 1))
        assert Mail.objects.get().attempts == number
        now = mail.due
    text = Page(someone(site, READER).get("/requests")).text
    assert f"Not sent yet to {READER} : {down.address} cannot be reached: Connection refused" in text
    assert "Next attempt:" in text
    post(at(site, now))
    assert (Mail.objects.get().state, sorted(PAUSES)) == (Sending.FAILED, list(PAUSES))
    someone(site, ADMIN).post(f"/mail/{mail.pk}/retry")
    assert Mail.objects.get().state == Sending.FAILED
    someone(site, READER).post(f"/mail/{mail.pk}/retry")
    with down as server:
        post(site)
        assert len(server.taken) == 1
    assert Mail.objects.get().state == Sending.SENT


@in_a_file
@pytest.mark.parametrize(
    ("command", "reply", "becomes", "words"),
    [
        ("RCPT", "550 5.1.1 nobody <b>of that name</b>", Sending.FAILED, "refuses the recipient: 550 5.1.1 nobody <b>of that name</b>"),
        ("RCPT", "451 4.7.1 greylisted", Sending.WAITING, "refuses the recipient: 451"),
        ("DATA", "552 5.3.4 too large", Sending.FAILED, "refuses the message: 552 5.3.4 too large"),
        ("DATA", "452 4.3.1 disk full", Sending.WAITING, "refuses the message: 452"),
    ],
)
def test_what_the_server_refuses(site: Site, server: SmtpServer, command: str, reply: str, becomes: Sending, words: str) -> None:
    server.replies[command] = reply
    asked(site, READER, mail=READER)
    post(site)
    assert Mail.objects.get().state == becomes
    page = someone(site, READER).get("/requests")
    assert (words in Page(page).text, "<b>" in page.content.decode()) == (True, False)


def test_a_restart_sends_what_waited_and_not_what_may_have_gone_out(site: Site, server: SmtpServer) -> None:
    asked(site, READER, mail=READER)
    asked(at(site, NOW + SECOND), ADMIN, mail=ADMIN)
    Mail.objects.filter(address=ADMIN).update(state=Sending.UNDER_WAY, claimed_by=_this_server(site), claimed_until=NOW + CLAIMED)
    with posting(site):
        until(lambda: Mail.objects.get(address=READER).state == Sending.SENT)
    with posting(site):
        pass
    assert [taken.recipients for taken in server.taken] == [[READER]]
    mail = Mail.objects.get(address=ADMIN)
    assert (mail.state, mail.failure) == (Sending.FAILED, INTERRUPTED)


def test_a_claim_is_over_after_a_while(site: Site, server: SmtpServer) -> None:
    asked(site, READER, mail=READER)
    for until_when, state in ((NOW + 1, Sending.UNDER_WAY), (NOW + CLAIMED + SECOND, Sending.UNDER_WAY), (NOW, Sending.FAILED)):
        Mail.objects.update(state=Sending.UNDER_WAY, claimed_by="another", claimed_until=until_when)
        post(site)
        assert Mail.objects.get().state == state
    Mail.objects.update(state=Sending.UNDER_WAY, claimed_until=NOW + 3 * CLAIMED)  # by a clock that was far ahead
    post(site)
    assert (server.taken, Mail.objects.get().failure) == ([], INTERRUPTED)


def test_serve_sends_what_is_ready(site: Site, server: SmtpServer) -> None:
    asked(site, READER, mail=READER)

    def leave(_: str) -> None:
        until(lambda: bool(server.taken))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(site, list, leave)
    assert Mail.objects.get().state == Sending.SENT


def test_a_file_that_is_not_ready_is_not_sent(site: Site, server: SmtpServer) -> None:
    request = asked(site, READER, mail=READER)
    RequestedReport.objects.filter(pk=request.pk).update(progress=Progress.CANCELLED)
    post(site)
    assert server.taken == []
    assert "To be sent" not in Page(someone(site, READER).get("/requests")).text


def test_a_file_that_has_gone_is_told(site: Site, server: SmtpServer) -> None:
    file_of(site.settings, asked(site, READER, mail=READER)).unlink()
    post(site)
    assert (server.taken, Mail.objects.get().state) == ([], Sending.FAILED)
    assert "The file could not be read: No such file or directory." in Page(someone(site, READER).get("/requests")).text


def test_one_mail_that_cannot_be_made_stops_no_other(site: Site, server: SmtpServer) -> None:
    asked(site, READER, mail=READER)
    asked(at(site, NOW + SECOND), ADMIN, mail=ADMIN)
    Mail.objects.filter(address=READER).update(address="no address")
    post(at(site, NOW + SECOND))
    assert [taken.recipients for taken in server.taken] == [[ADMIN]]
    assert "the server's log says why" in Page(someone(site, READER).get("/requests")).text


# Settings


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"mail_from": ""}, "mail_from is not set"),
        ({"public_url": ""}, "public_url is not set"),
        ({"mail_server": "mail.example.org:25", "mail_tls": "none"}, "without TLS, mail goes to the loopback interface alone"),
        ({"host_names": ""}, "add report.example.org to host_names"),
        ({"mail_user": USER}, "set mail_password_file"),
        ({"mail_user": USER, "mail_password_file": "/nowhere"}, "mail_password_file /nowhere cannot be read"),
    ],
)
def test_what_sending_needs(changed: dict[str, str], words: str) -> None:
    settings = SETTINGS | {"mail_server": "127.0.0.1:25"} | changed
    with pytest.raises(SettingError, match=words):
        ready(load(settings, {}), {})


def test_serve_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="mail_from is not set"):
        serve(make_site(tmp_path, row(time=NOON), mail_server="127.0.0.1:25"), list, pytest.fail)


def test_how_mail_goes_out_by_host_and_port() -> None:
    def told(server: str, tls: str = "") -> str:
        return load({"mail_server": server, "mail_tls": tls}, {}).mail_security

    assert [told(f"mail.example.org:{port}") for port in (465, 587, 25)] == ["implicit", "starttls", "starttls"]
    assert [told("localhost:25"), told("[::1]:465"), told("127.0.0.2:587", "starttls")] == ["none", "implicit", "starttls"]


def test_the_password_is_ascii_and_may_be_of_the_environment() -> None:
    settings = load(SETTINGS | {"mail_server": "127.0.0.1:25", "mail_user": USER}, {})
    assert ready(settings, {PASSWORD_VARIABLE: PASSWORD}) == PASSWORD
    with pytest.raises(SettingError, match="ASCII"):
        ready(settings, {PASSWORD_VARIABLE: "pässword"})
    assert ready(load({}, {}), {}) == ""
