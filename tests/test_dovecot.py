"""Dovecot's submission service, alone and in front of Postfix: its lines, and those that try to be others."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ingesting import Row, Site
from reading import START, line_ends, log, read, reader, run
from smtp_auth_report.sources import dovecot_lines as lines
from smtp_auth_report.sources import postfix
from smtp_auth_report.submission import Submission

REAL = Path(__file__).parent / "logs" / "dovecot-submission" / "ssl-version" / "mail.log"
S = "1EsQ0vNgMYd/AAJk"
T = "kAsS0vNgT71/AAMH"
CIPHER = "TLS_AES_256_GCM_SHA384"
SECURE = f"TLS, TLSv1.3 with cipher {CIPHER} (256/256 bits), "
QUEUED = "250 2.0.0 Ok: 5195 bytes queued as E2C1023A969"


def login(
    user: str = "anna", *, says: str = "Login", tls: str = SECURE, session: str = S, method: str = "PLAIN", rip: str = "192.0.2.10"
) -> str:
    elements = f"user=<{user}>, method={method}, rip={rip}, lip=192.0.2.1, mpid=3212, {tls}session=<{session}>"
    return f"dovecot: submission-login: {says}: {elements}"


def served(says: str, user: str = "anna", session: str = S, pid: int = 3212) -> str:
    return f"dovecot: submission({user})<{pid}><{session}>: {says}"


def relayed(reply: str = QUEUED, sender: str = "anna@contoso.example", transaction: str = "D6iFNEFlBGuMDAAAg+zDdQ") -> str:
    return f"Successfully relayed message: from=<{sender}>, size=4968, id={transaction}, nrcpt=2, reply=`{reply}'"


END = served("Disconnected: Logged out (state=READY) in=5070 out=113")
WHOLE = (login(), served(relayed()), END)


def only(*logged: str) -> Submission:
    [row] = read(log(*logged))
    return row


# Signing in


def test_one_message() -> None:
    row = only(*WHOLE)
    assert (row.outcome, row.account, row.mechanism, row.source) == ("accepted", "anna", "PLAIN", "dovecot")
    assert (row.tls_version, row.tls_cipher, row.client_ip, row.helo) == ("TLSv1.3", CIPHER, "192.0.2.10", None)
    assert (row.queue_id, row.sender, row.size, row.recipients) == ("E2C1023A969", "anna@contoso.example", 4968, 2)
    assert only(login(says="Logged in"), served("relay: " + relayed()), END) == row, "2.4"


CLEAR = login(tls="")
ENCRYPTION = {
    SECURE: "TLSv1.3",
    "TLS, TLSv1 with cipher AES128-SHA (128/128 bits), ": "unknown",  # no such name has a version of its own
    "TLS, ": "tls",
    "TLS: SSL_read() failed: error:0A000126:SSL routines::unexpected eof, ": "tls",
    "TLS, (proxied), ": "tls",
    "TLSv1.2 with cipher AES128-SHA (128/128 bits) ANY, ": "TLSv1.2",
    f"secure=<TLSv1.3 with cipher {CIPHER} (256/256 bits)>, ": "TLSv1.3",
    "secured, ": "unknown",
    "": "unknown",
}


@pytest.mark.parametrize(("elements", "wanted"), ENCRYPTION.items())
def test_encryption(elements: str, wanted: str) -> None:
    wanted = "TLSv1.0" if "TLSv1 with" in elements else wanted
    assert only(login(tls=elements), *WHOLE[1:]).tls_version == wanted


def test_secured_is_clear_where_the_client_is_the_server_itself() -> None:
    assert only(login(tls="secured, ", rip="192.0.2.1"), *WHOLE[1:]).tls_version == "none"
    assert only(login(tls="secured, ", rip="::ffff:192.0.2.1"), *WHOLE[1:]).tls_version == "none"


@pytest.mark.parametrize("other", [login("bob", session=T), login("bob", session=T, tls="secured, ")])
def test_nothing_about_encryption_is_clear_where_the_elements_are_known_to_tell_of_it(other: str) -> None:
    for place in range(4):
        logged = [CLEAR, served(relayed()), END]
        logged.insert(place, other)
        found = {row.account: row.tls_version for row in read(log(*logged))}
        assert found["anna"] == "none", place
    assert only(CLEAR, served(relayed()), END).tls_version == "unknown"


ELEMENTS = {
    "user=<{0}>, method=LOGIN, rip=192.0.2.10, lip=192.0.2.1, mpid=3212, TLS, session=<{1}>": "TLS",
    "rip=192.0.2.10, method=LOGIN, session=<{1}>, user=<{0}>": "user last",
    "method=LOGIN, user=<{0}>, rip=192.0.2.10, session=<{1}>": "user in the middle",
    "user=<{0}>, method=LOGIN, rip=192.0.2.10, lport=587, ja3=<abc>, origin, session=<{1}>": "of the administrator's own",
}
HOSTILE_NAMES = (
    "anna",
    "",
    "name with spaces",
    "eve>, method=PLAIN, rip=10.0.0.1, TLS, TLSv1.3 <x",
    "eve>, method=PLAIN, rip=10.0.0.1, session=<abc",
    "eve>, ja3=<x",
    "a, b> c",
    'user=<ceo>, "q"',
)


@pytest.mark.parametrize("user", HOSTILE_NAMES)
@pytest.mark.parametrize("elements", ELEMENTS, ids=ELEMENTS.values())
def test_elements_in_any_order(elements: str, user: str) -> None:
    told = lines.login(f"submission-login: Login: {elements.format(user, S)}".encode())
    assert told is not None
    assert (lines.name(told.account), told.mechanism, told.client, told.session) == (user, "LOGIN", "192.0.2.10", S)
    assert told.service == ("submission" if "lport" in elements else "unknown")


def test_a_name_that_is_cut_is_whole_in_later_lines() -> None:
    long = "l" * 300 + "@contoso.example"
    assert only(login("l" * 80 + "..."), served(relayed(), long), END.replace("(anna)", f"({long})")).account == long
    assert only(login("tab?here"), served(relayed(), "tab#011here"), END).account == "tab?here"


FAILED = {
    "Disconnected: Connection closed (auth failed, 1 attempts in 2 secs)": (1, "bad_credentials"),
    "Aborted login (auth failed, 3 attempts in 9 secs)": (3, "bad_credentials"),
    "Client has quit the connection (auth failed, 1 attempts in 2 secs)": (1, "bad_credentials"),
    "Remote closed connection (auth failed, 2 attempts in 2 secs)": (2, "bad_credentials"),
    "Remote closed connection unexpectedly during AUTH (client didn't finish SASL auth, waited 2 secs)": (1, "aborted"),
    "Server closed the connection: 421 4.7.0 Too many invalid commands. (auth failed, 1 attempts in 5 secs)": (1, "bad_credentials"),
    "Client has quit the connection (no auth attempts in 0 secs)": (0, ""),
    "Login aborted: Connection closed (auth failed, 2 attempts in 4 secs) (auth_failed)": (2, "bad_credentials"),
    "Login aborted: Logged out (auth aborted by client, 1 attempts in 1 secs) (auth_aborted_by_client)": (1, "aborted"),
    "Login aborted: Logged out (internal failure, 1/3 successful auths in 4 secs) (internal_failure)": (2, "server_error"),
    "Login aborted: x (connection limit reached, 1/1 successful auths in 0 secs) (connection_limit)": (1, "rate_limited"),
    "Disconnected (tried to use disallowed plaintext auth)": (1, "not_offered"),
    "Disconnected: Inactivity (client didn't finish SASL auth, waited 180 secs)": (1, "aborted"),
    "Disconnected (auth service reported temporary failure)": (1, "server_error"),
    "Disconnected: x (tried to use unsupported auth mechanism)": (1, "mechanism_not_offered"),
    "Disconnected: x (sent invalid base64 in response)": (1, "protocol_error"),
    "Disconnected: Connection closed (no auth attempts in 0 secs)": (0, ""),
    "Login aborted: Connection closed (no auth attempts in 0 secs) (no_auth_attempts)": (0, ""),
    "Disconnected: Shutting down": (0, ""),
}


@pytest.mark.parametrize(("says", "wanted"), FAILED.items())
def test_failed_sign_ins_are_counted(says: str, wanted: tuple[int, str]) -> None:
    number, reason = wanted
    rows = read(log(login(says=says, method="LOGIN")))
    assert len(rows) == number
    assert all(row.outcome == "auth_failed" and row.tls_version == "TLSv1.3" for row in rows)
    if rows:
        [last] = [row for row in rows if row.mechanism == "LOGIN"]
        assert (last.reason, last.account) == (reason, "anna"), "the line tells of the last attempt"
        assert [row.account for row in rows if row is not last] == [None] * (number - 1)


def test_a_failed_handshake() -> None:
    says = (
        "Disconnected: Connection closed: SSL_accept() failed: error:0A0000C1:SSL routines::no shared cipher (no auth attempts in 0 secs)"
    )
    row = only(login("", says=says, tls="TLS handshaking: SSL_accept() failed, "))
    assert (row.outcome, row.reason, row.account, row.tls_version) == ("tls_failed", "no_shared_cipher", None, "unknown")
    left = "Login aborted: Connection closed (disconnected during TLS handshake) (tls_handshake_not_finished)"
    assert only(login("", says=left, tls="TLS handshaking, ")).reason == "connection_lost"
    older = login("", says="Disconnected (no auth attempts in 0 secs)", tls="TLS handshaking: SSL_accept() failed: error:{}, ")
    for words, reason in (
        ("1408F10B:SSL routines:ssl3_get_record:wrong version number", "not_tls"),
        ("14209102:SSL routines:tls_early_post_process_client_hello:unsupported protocol", "version_refused"),
        ("0A000126:SSL routines::unexpected eof while reading", "connection_lost"),
    ):
        assert only(older.replace("{}", words)).reason == reason


def test_lines_of_other_services_and_of_the_authentication_process_are_not_ours() -> None:
    others = [WHOLE[0].replace("submission-login", f"{service}-login") for service in ("imap", "pop3", "managesieve")]
    others += [
        f"dovecot: auth: passwd-file(anna,192.0.2.10,<{S}>): unknown user",
        "dovecot: auth: passwd-file(anna,192.0.2.10): Password mismatch (given password: secret)",
        f"dovecot: auth(anna,192.0.2.10,sasl:plain)<{S}>: passwd-file: Password mismatch",
        "dovecot: auth: Error: submission-login: Login: user=<ceo>, method=PLAIN, rip=10.0.0.1, session=<x>",
        "dovecot: imap(anna)<1><x>: Disconnected: Logged out",
        "dovecot: submission-login: proxy(anna): started proxying to 192.0.2.2:587: user=<anna>, method=PLAIN, rip=192.0.2.10",
        f"dovecot: submission(anna)<3212><{S}>: Warning: Username `anna' is not a valid SMTP address",
    ]
    _, changes = run(log(*others))
    assert changes.rows == {}
    assert changes.unread == []


def test_what_the_authentication_process_says_of_a_failed_sign_in_adds_nothing() -> None:
    """With `auth_verbose` a line for each passdb it asked, and with `auth_verbose_passwords` what the client gave, whatever that is."""
    failed = login(says="Disconnected: Connection closed (auth failed, 1 attempts in 2 secs)")
    given = f"hunter2): x,192.0.2.10,<{S}>): unknown user (given password: hunter2"
    told = [
        f"dovecot: auth: pam(anna,192.0.2.10,<{S}>): unknown user (given password: {given}) - trying the next passdb",
        f"dovecot: auth-worker(41): conn unix:auth-worker (pid=40,uid=0): auth-worker<1>: sql(anna,192.0.2.10,<{S}>): Password mismatch",
        f"dovecot: auth(anna,192.0.2.10,sasl:plain)<{S}>: passwd-file: Password mismatch (given password: {given})",
        f"auth: Info: passwd-file(anna,192.0.2.10,<{S}>): Password mismatch (given password: {given})",
    ]
    source, changes = run(log(told[0], told[1], failed, *told[2:]))
    (row,) = changes.rows.values()
    assert (row.outcome, row.account, row.reason) == ("auth_failed", "anna", "bad_credentials")
    assert row._replace(time=0, key=0, opened=0) == only(failed)._replace(time=0, key=0, opened=0)
    assert changes.unread == []
    assert "hunter2" not in " ".join(entry.sessions for entry in source.remember())
    postfix = "postfix/submission/smtpd[7]: warning: pc.example[192.0.2.10]: SASL PLAIN authentication failed: , sasl_username=anna"
    assert len(read(log(told[0], postfix, told[2]))) == 1, "Postfix tells of it, whatever its authentication server says"


# Mail


def test_what_stands_behind() -> None:
    cases = {
        "250 2.0.0 Ok: queued as E2C1023A969": "E2C1023A969",
        "250 2.0.0 Ok: queued as 4fXyzb3nQkz1J0N": "4fXyzb3nQkz1J0N",
        "250 OK id=1rKf3b-000ABC-2E": "1rKf3b-000ABC-2E",
        "250 2.0.0 6ANGKaVY011771 Message accepted for delivery": "6ANGKaVY011771",
        "250 2.0.0 e180c775 Message accepted for delivery": "e180c775",
        "250 2.6.0 <1@x> [InternalId=12] Queued mail for delivery": "D6iFNEFlBGuMDAAAg+zDdQ",
    }
    for reply, queue_id in cases.items():
        row = only(login(), served(relayed(reply)), END)
        assert (row.queue_id, row.account, row.tls_version, row.outcome) == (queue_id, "anna", "TLSv1.3", "accepted")


def test_a_message_that_was_refused() -> None:
    refused = "Failed to relay message: from=<anna@contoso.example>, size=368, nrcpt=1, reply=`{}'"
    cases = {
        "550 5.7.1 content refused": "content_refused",
        "552 5.3.4 Message size exceeds": "too_large",
        "451 4.3.0 try later": "deferred",
        "450 4.7.1 rate limit": "rate_limited",
    }
    for reply, reason in cases.items():
        row = only(login(), served(refused.format(reply)), END)
        assert (row.outcome, row.reason, row.sender, row.size, row.queue_id) == ("rejected", reason, "anna@contoso.example", None, None)


def test_the_end_of_a_session_in_older_versions() -> None:
    end = served("Disconnect from 192.0.2.10: Logged out in=5070 out=113 (state=READY)")
    assert only(login(), end).outcome == "no_mail"
    assert only(login(), end.replace(f"<3212><{S}>", "")).outcome == "no_mail"


def test_a_session_without_mail() -> None:
    row = only(login(), END)
    assert (row.outcome, row.account, row.mechanism, row.tls_version) == ("no_mail", "anna", "PLAIN", "TLSv1.3")


def test_a_session_that_began_before_the_log() -> None:
    row = only(served(relayed(), "o'neil, pat"), END)
    assert (row.account, row.mechanism, row.tls_version, row.outcome) == ("o'neil, pat", "unknown", "unknown", "accepted")


def test_prefixes_and_elements_that_lack_the_session() -> None:
    bare = [line.replace(f"<3212><{S}>", "") for line in WHOLE]
    assert only(*bare).mechanism == "PLAIN", "found by the account"
    other = login(session=T)
    assert {row.mechanism for row in read(log(other, *bare)) if row.outcome == "accepted"} == {"unknown"}, "which of two is not told"
    assert only(login().replace(f", session=<{S}>", ""), *WHOLE[1:]).mechanism == "PLAIN", "found by the process"


@pytest.mark.parametrize(
    "user", ["anna", "scan user", "a b: [1] c", f"a vm dovecot: submission-login: Login: user=<ceo>, mpid=1, session=<{S}>"]
)
def test_forms_of_a_log(user: str) -> None:
    text = log(login(user), served(relayed(), user), END.replace("(anna)", f"({user})"))
    wanted = read(text)
    assert [row.account for row in wanted] == [user]
    contained = (
        text.replace(b" mail dovecot: ", b" ")
        .replace(b"-login: L", b"-login: Info: L", 1)
        .replace(f"<{S}>: ".encode(), f"<{S}>: Info: ".encode())
    )
    for same in (contained, b"".join(b'{"log":%b,"stream":"stderr","time":"%b"}\n' % each for each in _contained(contained))):
        assert [row._replace(server="mail") for row in read(same)] == wanted


def _contained(text: bytes) -> list[tuple[bytes, bytes]]:
    stamps = [f"2026-11-23T16:06:{second:02}Z".encode() for second in range(5, 9)]
    return [(json.dumps(line.decode() + "\n").encode(), stamp) for line, stamp in zip(text.splitlines(), stamps, strict=False)]


# Postfix behind

POSTFIX = "postfix/relay-in/smtpd[3213]"
XCLIENT = f"{POSTFIX}: E2C1023A969: client=localhost[192.0.2.10], sasl_method=XCLIENT, sasl_username=anna"
ACTIVE = "postfix/qmgr[3150]: E2C1023A969: from=<anna@contoso.example>, size=5488, nrcpt=3 (queue active)"
TRUSTED = [
    login(),
    f"{POSTFIX}: connect from localhost[127.0.0.1]",
    XCLIENT,
    "postfix/cleanup[3216]: E2C1023A969: message-id=<1@contoso.example>",
    served(relayed()),
    ACTIVE,
    f"{POSTFIX}: disconnect from localhost[192.0.2.10] ehlo=2 xclient=0/1 mail=1 rcpt=1 bdat=1 quit=1 commands=6/7",
    END,
]


def rows_of(folder: Path, *logs: bytes, flags: tuple[str, ...] = ()) -> list[Row]:
    """What the store makes of them, each read in a run of its own."""
    folder.mkdir(exist_ok=True)
    site = Site(folder, folder.parent / "state.sqlite3")
    for number, content in enumerate(logs):
        path = folder / f"{number}.log"
        path.write_bytes(content)
        site.ingest("--year", "2026", *flags, path)
    return site.rows()


def one(rows: list[Row]) -> Row:
    [row] = rows
    return row


def late(logged: list[str], place: int, seconds: int) -> bytes:
    """The lines a second apart, those from `place` on so much later: the content took its time."""
    return log(*logged[:place]) + log(*logged[place:], start=START + timedelta(seconds=place + seconds))


def of(text: bytes, program: bytes) -> bytes:
    """The lines of one program."""
    return b"".join(line for line in text.splitlines(keepends=True) if b" mail " + program in line)


def test_one_message_of_two_servers_is_one_row(tmp_path: Path) -> None:
    text = late(TRUSTED, 4, 90)
    both = one(rows_of(tmp_path / "one log", text))
    assert (both["account"], both["mechanism"], both["tls_version"], both["client_ip"]) == ("anna", "PLAIN", "TLSv1.3", "192.0.2.10")
    assert (both["queue_id"], both["message_id"], both["size"], both["recipients"]) == ("E2C1023A969", "<1@contoso.example>", 5488, 3)
    assert (both["helo"], both["client_name"], both["outcome"]) == (None, None, "accepted")
    halves = of(text, b"dovecot"), of(text, b"postfix")
    assert rows_of(tmp_path / "two logs", *halves)[0] == both
    assert rows_of(tmp_path / "the other way round", *halves[::-1])[0] == both
    assert len(rows_of(tmp_path / "again", text, halves[1], halves[0])) == 1


def test_logs_of_two_hosts(tmp_path: Path) -> None:
    text = log(*TRUSTED)
    apart = of(text, b"postfix").replace(b" mail ", b" relay "), of(text, b"dovecot")
    assert one(rows_of(tmp_path, *apart))["mechanism"] == "PLAIN"


def test_a_queue_manager_that_takes_its_time(tmp_path: Path) -> None:
    text = late(TRUSTED, 5, 600)
    assert one(rows_of(tmp_path / "whole", text))["mechanism"] == "PLAIN"
    cut = text.index(b"\n", text.index(b"Successfully")) + 1
    assert one(rows_of(tmp_path / "cut", text[:cut], text[cut:]))["mechanism"] == "PLAIN"


def test_a_relay_that_is_not_trusted(tmp_path: Path) -> None:
    lines = [line.replace(", sasl_method=XCLIENT, sasl_username=anna", "") for line in TRUSTED]
    row = one(rows_of(tmp_path, late(lines, 4, 90)))
    assert (row["account"], row["mechanism"], row["tls_version"], row["queue_id"]) == ("anna", "PLAIN", "TLSv1.3", "E2C1023A969")
    assert (row["source"], row["size"]) == ("dovecot", 4968)


def test_mail_that_postfix_signed_in_itself_is_not_mixed_with_it(tmp_path: Path) -> None:
    """submission_relay_user: to Postfix Dovecot is a client like any other."""
    lines = [line.replace("XCLIENT, sasl_username=anna", "PLAIN, sasl_username=relay") for line in TRUSTED]
    rows = rows_of(tmp_path, log(*lines))
    assert sorted((row["account"], row["tls_version"]) for row in rows) == [("anna", "TLSv1.3"), ("relay", "unknown")]


NOT_OWNED = (
    "553 5.7.1 <b@c.example>: Sender address rejected: not owned by user anna; from=<b@c.example> to=<d@e.example> proto=ESMTP helo=<mail>"
)
CONTENT = "postfix/cleanup[1]: E2C1023A969: reject: header X from localhost[192.0.2.10]; from=<a> to=<b> proto=ESMTP helo=<x>"
REFUSALS = {
    "content": ([XCLIENT, CONTENT], "rejected"),
    "dropped": ([XCLIENT], "no_mail"),
    "not owned": ([f"{POSTFIX}: NOQUEUE: reject: RCPT from localhost[192.0.2.10]: {NOT_OWNED}"], "rejected"),
}


@pytest.mark.parametrize(("middle", "outcome"), REFUSALS.values(), ids=REFUSALS)
def test_what_was_not_taken_is_one_row_too(tmp_path: Path, middle: list[str], outcome: str) -> None:
    failed = served("Failed to relay message: from=<a>, size=368, nrcpt=1, reply=`550 5.7.1 content refused'")
    quit_line = f"{POSTFIX}: disconnect from localhost[192.0.2.10] ehlo=2 mail=1 rcpt=1 quit=1 commands=5"
    logged = [*TRUSTED[:2], *middle, *([failed] if "cleanup" in middle[-1] else []), quit_line, END]
    text = log(*logged)
    row = one(rows_of(tmp_path / "whole", text))
    assert (row["outcome"], row["account"], row["client_ip"]) == (outcome, "anna", "192.0.2.10")
    if "not owned" not in middle[0]:
        assert (row["mechanism"], row["tls_version"]) == ("PLAIN", "TLSv1.3")
    for place in line_ends(text)[1:4]:
        assert rows_of(tmp_path / str(place), text[:place], text[place:]) == [row], text[place:]


@pytest.mark.parametrize("step", [1 << 60, 40_000])
def test_lines_passed_over_by_the_sieve_change_nothing(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """IMAP's lines are told from ours before they are made into objects, where Postfix's are."""
    imap = "Nov 23 16:09:37 vm dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, TLS, session=<x>\n"
    text = b"".join(line + imap.encode() for line in REAL.read_bytes().splitlines(keepends=True))
    cuts = [text.rindex(b"\n", 0, place) + 1 for place in range(step, len(text), step)]
    found = []
    for worth in (1, 1 << 60):
        monkeypatch.setattr(postfix, "WORTH_SIFTING", worth)
        source, changes = run(text, cuts)
        found.append((changes.rows, changes.lines, changes.other, source.remember()))
    assert found[0] == found[1]
    assert len(found[0][0]) > 400


# Text that tries to be a line of the server

FORGED = "victim)<3221><" + T + ">: Successfully relayed message: from=<x>, size=1, id=y, nrcpt=1, reply=`250 Ok: queued as FFFFFFFFFFF'"


def test_a_name_that_is_a_line() -> None:
    victim = [login("victim", session=T, method="LOGIN"), served(relayed("250 Ok: queued as AAAAAAAAAAA"), "victim", T, 3221)]
    rows = read(log(victim[0], login(FORGED), served(relayed(), FORGED), *victim[1:]))
    assert {row.queue_id: row.account for row in rows} == {"AAAAAAAAAAA": "victim", "E2C1023A969": FORGED}
    ends = f"victim)<3221><{T}>: Disconnected: x"
    rows = read(log(victim[0], login(ends), served("Warning: Username is not valid", ends), *victim[1:]))
    assert [row.mechanism for row in rows if row.account == "victim"] == ["LOGIN"]
    rows = read(log(victim[0], login(), served(relayed(sender=f'"anna)<3221><{T}>: Disconnected: "@x.example')), *victim[1:]))
    assert {row.account: row.mechanism for row in rows} == {"anna": "PLAIN", "victim": "LOGIN"}


def test_a_name_with_a_line_break_that_is_a_line_of_postfix() -> None:
    second = "postfix/submission/smtpd[1]: BBBBBBBBBB: client=unknown[10.9.9.9], sasl_method=PLAIN, sasl_username=ceo@contoso.example"
    assert (
        read(log(f"dovecot: auth: oauth2(eve?{second[:60]}...,192.0.2.10,<{S}>): oauth2 failed: 'eve", f"dovecot: auth: Error: {second}"))
        == []
    )


def test_names_that_failed_to_sign_in_are_not_remembered() -> None:
    source, _ = run(log(login("hunter2", says="Disconnected (auth failed, 1 attempts in 2 secs)", tls=""), login(session=T, tls="")))
    remembered = " ".join(entry.sessions for entry in source.remember())
    assert "hunter2" not in remembered
    assert T in remembered


def test_sessions_go_on_in_the_next_file() -> None:
    text = log(CLEAR, served(relayed()), END, login("bob", session=T))
    whole = read(text)
    for place in line_ends(text):
        first, before = run(text[:place])
        second = reader()
        second.recall(first.remember())
        _, after = run(text[place:], source=second)
        merged = {row.identity: row.tls_version for row in (*before.rows.values(), *after.rows.values())}
        assert merged == {row.identity: row.tls_version for row in whole}


LINES = [*TRUSTED, CLEAR, login(FORGED), served(relayed(), FORGED), login(says="Disconnected (auth failed, 2 attempts in 2 secs)")]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=8), st.binary(max_size=80), st.integers(0, 1500))
def test_any_bytes_are_read_or_reported(logged: list[str], noise: bytes, place: int) -> None:
    text = log(*logged)
    place = min(place, len(text))
    source, changes = run(text[:place] + noise + text[place:] + b"\n")
    assert 0 <= changes.other <= changes.lines
    reader().recall(source.remember())


HOSTILE = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\r\0"), max_size=70)
PIECES = st.lists(
    st.sampled_from([FORGED, f">, session=<{T}", ">, rip=10.0.0.1", "victim", f")<3221><{T}>: Disconnected: ", "'"]), max_size=3
)


@settings(max_examples=300, deadline=None)
@given(HOSTILE, HOSTILE, PIECES)
def test_hostile_text_changes_no_other_row(name: str, sender: str, pieces: list[str]) -> None:
    name, sender = name + "".join(pieces), "".join(pieces) + sender
    assume(name != "victim")
    victim = [login("victim", session=T, method="LOGIN"), served(relayed("250 Ok: queued as AAAAAAAAAAA"), "victim", T, 3221)]
    rows = read(log(victim[0], login(name), served(relayed(sender=sender), name), served("Disconnected: x", name), victim[1]))
    [his] = [row for row in rows if row.queue_id == "AAAAAAAAAAA"]
    assert (his.account, his.client_ip, his.tls_version, his.mechanism) == ("victim", "192.0.2.10", "TLSv1.3", "LOGIN")
    assert all(row.account != "victim" for row in rows if row is not his)
