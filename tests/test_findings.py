"""What a log does not tell is told: the sentence, the setting, the gain; and nothing where nothing is missing."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ingesting import Site
from reading import log, session
from samples import SAMPLES

FULL = (
    "postfix/submission/smtpd[701]: NOQUEUE: permit: RCPT from pc.contoso.example[192.0.2.10]: action=permit_sasl_authenticated for "
    "Client host=pc.contoso.example[192.0.2.10]; from=<a.berg@contoso.example> to=<x@y.example> proto=ESMTP helo=<pc>"
)
RELAYED = "dovecot: submission(anna)<3212><x>: Successfully relayed message: from=<a@b.example>, size=9, id=Q, nrcpt=1, reply=`250 ok'"


def doctor(folder: Path, text: bytes) -> str:
    path = folder / "mail.log"
    path.write_bytes(text)
    return Site(folder).done("doctor", "--year", "2026", "--timezone", "UTC", path).stdout.decode()


def test_each_thing_that_is_missing_with_its_setting(tmp_path: Path) -> None:
    told = doctor(tmp_path, log(*session(version=None, smtpd="postfix/smtpd[701]"), *session(queue_id="5B1A022C8A9")))
    assert "Postfix on mail: the TLS version of 1 of 2 messages is not in the log.\n    smtpd_tls_loglevel = 1\n  in main.cf" in told
    assert "the service (port 587, 465 or 25) of 1 of 2 messages" in told
    assert "the HELO name of 2 of 2 messages" in told
    assert "failed sign-ins" not in told


def test_nothing_is_missing(tmp_path: Path) -> None:
    assert doctor(tmp_path, log(*session(middle=[FULL]))) == "Nothing is missing that a setting would bring.\n"


def test_what_a_proxy_has_is_not_asked_of_postfix(tmp_path: Path) -> None:
    """As nginx in Mailu: it takes TLS and password, and Postfix hears of neither."""
    vouched = session(version=None, smtpd="postfix/10025/smtpd[701]", mechanism="XCLIENT")
    told = doctor(tmp_path, log(*vouched))
    assert "the HELO name of 1 of 1 messages" in told
    assert "TLS version" not in told
    assert "service" not in told
    beside = doctor(tmp_path, log(*vouched, *session(version=None, smtpd="postfix/smtpd[702]", queue_id="5B1A022C8A9")))
    assert "the TLS version of 1 of 2 messages" in beside
    assert "the service (port 587, 465 or 25) of 1 of 2 messages" in beside


def test_a_mechanism_that_is_not_logged_does_not_hide_what_else_is_missing(tmp_path: Path) -> None:
    signed_in = "dovecot: submission-login: Login: user=<anna>, rip=192.0.2.10, lip=192.0.2.1, mpid=3212, TLS, session=<x>"
    told = doctor(tmp_path, log(signed_in, RELAYED))
    assert "the mechanism of 1 of 1 messages" in told
    assert "the TLS version of 1 of 1 messages" in told


def test_a_host_without_sign_ins_and_one_whose_other_server_has_them(tmp_path: Path) -> None:
    daemon = "sm-mta[9]: starting daemon (8.17.1.9): SMTP"
    told = doctor(tmp_path, log(*session(middle=[FULL]), daemon) + log(daemon, host="relay"))
    assert "on mail" not in told
    assert "Sendmail 8.17.1.9 on relay: no sign-in is in the log.\n    define(`confLOG_LEVEL', `9')dnl" in told


def test_who_was_refused_has_signed_in(tmp_path: Path) -> None:
    smtpd, client = "postfix/submission/smtpd[701]", "pc.contoso.example[192.0.2.10]"
    refusal = (
        f"{smtpd}: NOQUEUE: reject: RCPT from {client}: 553 5.7.1 <ceo@x.example>: Sender address rejected: not owned by user anna; "
        "from=<ceo@x.example> to=<x@y.example> proto=ESMTP helo=<pc>"
    )
    counters = " ehlo=1 auth=1 mail=1 rcpt=0/1 quit=1 commands=4/5"
    assert "no sign-in" not in doctor(
        tmp_path, log(f"{smtpd}: connect from {client}", refusal, f"{smtpd}: disconnect from {client}{counters}")
    )


def test_dovecot_says_only_that_there_was_tls(tmp_path: Path) -> None:
    signed_in = "dovecot: submission-login: Login: user=<anna>, method=PLAIN, rip=192.0.2.10, lip=192.0.2.1, mpid=3212, TLS, session=<x>"
    told = doctor(tmp_path, log(signed_in, RELAYED))
    newer = doctor(tmp_path, log(signed_in.replace("Login:", "Logged in:"), RELAYED))
    assert "Dovecot submission 2.4 on mail" in newer
    assert "%c %k session" not in newer
    assert "%{secured} %{ssl_security}" in newer
    assert "Dovecot submission 2.3 on mail: the TLS version of 1 of 1 messages is not in the log." in told
    assert "%c %k session" in told
    assert "%{secured} %{ssl_security}" not in told


def test_names_of_failed_sign_ins(tmp_path: Path) -> None:
    failed = "postfix/smtpd[7]: warning: x[192.0.2.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6"
    told = doctor(tmp_path, log(*session(middle=[FULL]), failed, failed + ", sasl_username=guess"))
    assert "the name tried in 1 of 2 failed sign-ins is not in the log.\n    Postfix 3.9 or newer" in told


def test_no_upgrade_is_advised_to_who_has_it(tmp_path: Path) -> None:
    failed = "postfix/smtpd[7]: warning: x[192.0.2.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6"
    for version, advised in (("3.7.11", True), ("3.9.1", False), ("3.10.0", False), ("3.12-20261101", False)):
        started = f"postfix/master[1]: daemon started -- version {version}, configuration /etc/postfix"
        told = doctor(tmp_path, log(started, *session(middle=[FULL]), failed))
        assert (f"Postfix {version} on mail: the name tried" in told) == advised
        assert ("Postfix 3.9 or newer" in told) == advised


def test_a_start_tells_the_version_of_exim(tmp_path: Path) -> None:
    started = b"2026-11-23 16:12:22 exim 4.96 daemon started: pid=5672, no queue runs, listening for SMTP on port 25\n"
    assert "Exim 4.96 on " in doctor(tmp_path, started * 3)


def test_a_client_cannot_tell_a_version(tmp_path: Path) -> None:
    forged = session(middle=[FULL.replace("<pc>", "<daemon started -- version 3.9.1, configuration />")], version=None)
    assert "Postfix on mail: the TLS version" in doctor(tmp_path, log(*forged))


def test_lines_that_nothing_dates(tmp_path: Path) -> None:
    """As a container's log without its stamps has them: what else is missing is not known."""
    accepted = [f"mail-1  | {line}\n".encode() for line in SAMPLES["maddy"].bare]
    told = "lines have no time, so nothing is known of them; give the log as docker logs --timestamps or journalctl has it.\n"
    assert doctor(tmp_path, b"".join(accepted)) == f"5 {told}"


def test_nothing_is_kept(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.ingest("--year", "2026", "-", given=log(*session()))
    before = site.rows()
    doctor(tmp_path, log(*session("bob", queue_id="5B1A022C8A9")))
    assert site.rows() == before


def test_a_log_of_another_program_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(b"hello\n")
    ran: subprocess.CompletedProcess[bytes] = Site(tmp_path).run("doctor", path)
    assert ran.returncode == 1
    assert ran.stderr.count(b"\n") == 1
