"""OpenSMTPD's lines, of each generation, and those that try to be others."""

from __future__ import annotations

from itertools import zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reading import in_order, line_ends, log, read, reader, run
from smtp_auth_report.sources import opensmtpd_lines as lines
from smtp_auth_report.submission import Submission

ID = "532b651f0dab36c9"
SMTPD = f"smtpd[9547]: {ID} smtp "
OLD = "smtpd[9547]: smtp-in: "
CIPHER = "TLS_AES_256_GCM_SHA384"
ECDHE = "ECDHE-RSA-AES256-GCM-SHA384"
CONNECTED = f"{SMTPD}connected address=192.0.2.10 host=pc.contoso.example"
TLS = f"{SMTPD}tls ciphers=TLSv1.3:{CIPHER}:256"
MESSAGE = f"{SMTPD}message msgid=e180c775 size=5227 nrcpt=2 proto=ESMTP"
ENVELOPE = f"{SMTPD}envelope evpid=e180c775c3ba0d1f from=<anna@contoso.example> to=<x@proseware.example>"
QUIT = f"{SMTPD}disconnected reason=quit"


def auth(user: str = "anna", result: str = "ok") -> str:
    return f"{SMTPD}authentication user={user} result={result}"


def refused(command: str, answer: str) -> str:
    return f'{SMTPD}failed-command command="{command}" result="{answer}"'


def only(*logged: str) -> Submission:
    [row] = read(log(*logged))
    return row


WHOLE = (CONNECTED, TLS, auth(), MESSAGE, ENVELOPE, ENVELOPE.replace("c3ba0d1f", "2a34378d"), QUIT)
CLIENT = "address=192.0.2.10 host=pc.contoso.example"
ONE = "from=<anna@contoso.example>{0} to=<{1}@proseware.example>{0} size=5227{0} ndest=1{0} proto=ESMTP"
GENERATIONS = {
    "5.4": (
        f"{OLD}New session {ID} from host pc.contoso.example [192.0.2.10]",
        f"{OLD}Started TLS on session {ID}: version=TLSv1.2, cipher={ECDHE}, bits=256",
        f"{OLD}Accepted authentication for user anna on session {ID}",
        f"{OLD}Accepted message e180c775 on session {ID}: {ONE.format(',', 'x')}",
        f"{OLD}Accepted message e180c775 on session {ID}: {ONE.format(',', 'y')}",
        f"{OLD}Closing session {ID}",
    ),
    "5.7": (
        f"{OLD}session {ID}: connection from host pc.contoso.example [192.0.2.10] established",
        f"{OLD}session {ID}: TLS started version=TLSv1.2, cipher={ECDHE}, bits=256",
        f"{OLD}session {ID}: authentication successful for user anna ",
        f"{OLD}session {ID}: msgid=e180c775, status=Ok, {ONE.format(',', 'x')}",
        f"{OLD}session {ID}: msgid=e180c775, status=Ok, {ONE.format(',', 'y')}",
        f"{OLD}session {ID}: connection from host pc.contoso.example [192.0.2.10] closed (client sent QUIT)",
    ),
    "6.0": (
        f"{SMTPD}event=connected {CLIENT}",
        f'{SMTPD}event=starttls {CLIENT} ciphers="version=TLSv1.2, cipher={ECDHE}, bits=256"',
        f"{SMTPD}event=authentication user=anna {CLIENT} result=ok",
        f"{SMTPD}event=message {CLIENT} msgid=e180c775 {ONE.format('', 'x')}",
        f"{SMTPD}event=message {CLIENT} msgid=e180c775 {ONE.format('', 'y')}",
        f"{SMTPD}event=closed {CLIENT} reason=quit",
    ),
    "6.4": (
        f"{SMTPD}connected {CLIENT}",
        f'{SMTPD}starttls {CLIENT} ciphers="version=TLSv1.2, cipher={ECDHE}, bits=256"',
        f"{SMTPD}authentication user=anna {CLIENT} result=ok",
        f"{SMTPD}message {CLIENT} msgid=e180c775 {ONE.format('', 'x')}",
        f"{SMTPD}message {CLIENT} msgid=e180c775 {ONE.format('', 'y')}",
        f"{SMTPD}disconnected {CLIENT} reason=quit",
    ),
    "6.6": (CONNECTED, TLS.replace(f"TLSv1.3:{CIPHER}", f"TLSv1.2:{ECDHE}"), *WHOLE[2:]),
}


@pytest.mark.parametrize("logged", GENERATIONS.values(), ids=GENERATIONS)
def test_one_message(logged: tuple[str, ...]) -> None:
    row = only(*logged)
    assert (row.outcome, row.account, row.mechanism, row.source, row.service) == ("accepted", "anna", "unknown", "opensmtpd", "unknown")
    assert (row.tls_version, row.tls_cipher, row.client_ip, row.client_name) == ("TLSv1.2", ECDHE, "192.0.2.10", "pc.contoso.example")
    assert (row.queue_id, row.sender, row.size, row.recipients) == ("e180c775", "anna@contoso.example", 5227, 2)


@pytest.mark.parametrize("logged", GENERATIONS.values(), ids=GENERATIONS)
def test_a_sign_in_without_tls_was_in_clear_if_the_session_was_seen_from_its_start(logged: tuple[str, ...]) -> None:
    assert only(logged[0], *logged[2:]).tls_version == "none"
    assert only(*logged[2:]).tls_version == "unknown"
    assert only(logged[0], logged[2], logged[1], *logged[3:]).tls_version == "none", "STARTTLS came after the password"


FAILURES = {
    "5.4": (f"{OLD}Authentication failed for user anna on session {ID}", f'{OLD}Failed command on session {ID}: "AUTH [...]" => 535 No'),
    "5.7": (
        f"{OLD}session {ID}: authentication failure for user anna",
        f'{OLD}Failed command on session {ID}: "AUTH LOGIN (password)" => 535 No',
    ),
    "6.0": (
        f"{SMTPD}event=authentication user=anna {CLIENT} result=permfail",
        f'{SMTPD}event=failed-command {CLIENT} command="AUTH PLAIN (...)" result="535 Authentication failed"',
    ),
    "6.6": (auth(result="permfail"), refused("AUTH LOGIN (password)", "535 Authentication failed")),
}


@pytest.mark.parametrize("generation", FAILURES)
def test_a_failed_sign_in_is_one_row_of_two_lines(generation: str) -> None:
    begin, tls, *_, end = GENERATIONS[generation]
    row = only(begin, tls, *FAILURES[generation], end)
    assert (row.outcome, row.account, row.reason, row.tls_version) == ("auth_failed", "anna", "bad_credentials", "TLSv1.2")
    assert row.mechanism == {"5.4": "unknown", "6.0": "PLAIN"}.get(generation, "LOGIN")
    assert len(read(log(begin, tls, *FAILURES[generation] * 3, end))) == 3
    assert only(begin, tls, FAILURES[generation][0], end).mechanism == "unknown", "the client left before the answer"


def test_reasons_of_failed_sign_ins() -> None:
    cases = {
        refused("AUTH LOGIN (username)", "501 5.5.2 Syntax error: Syntax error"): ("LOGIN", "protocol_error"),
        refused("AUTH PLAIN AGEAYg==", "503 5.5.1 Invalid command: Already authenticated"): ("PLAIN", "protocol_error"),
        refused("AUTH PLAIN", "503 5.5.1 Invalid command: Command not supported"): ("PLAIN", "not_offered"),
        refused("AUTH CRAM-MD5", '504 5.7.4 Security features not supported: AUTH method "CRAM-MD5" not supported'): (
            "CRAM-MD5",
            "mechanism_not_offered",
        ),
        auth(result="tempfail"): ("unknown", "server_error"),
    }
    for line, wanted in cases.items():
        row = only(CONNECTED, TLS, line, QUIT)
        assert (row.mechanism, row.reason, row.outcome) == (*wanted, "auth_failed")
    assert len(read(log(CONNECTED, auth(result="permfail"), "last message repeated 2 times"))) == 3


NAMES = {
    r"name\040with\040blanks": "name with blanks",
    r"TAILSPIN\\backup_job": r"TAILSPIN\backup_job",
    r"j\M-C\M-<rgen": "jürgen",
    r"tab\^Ihere\^?": "tab\there\x7f",
    r"\M^@\M-.": r"\x80\xae",
    r"eve\^Jx": "eve\nx",
    r"back\\040slash": r"back\040slash",
    r"a\240b": r"a\xa0b",
    "": "",
}


@pytest.mark.parametrize(("logged", "name"), NAMES.items())
def test_names_as_vis_encodes_them(logged: str, name: str) -> None:
    assert only(CONNECTED, TLS, auth(logged), MESSAGE).account == name


@given(st.binary(max_size=40))
def test_what_vis_encodes_is_decoded(name: bytes) -> None:
    def vis(byte: int) -> bytes:
        if byte == ord("\\"):
            return b"\\\\"
        if 33 <= byte < 127:
            return bytes([byte])
        if byte & 127 == 32:
            return b"\\%03o" % byte
        meta, low = (b"M" if byte & 128 else b""), byte & 127
        return b"\\" + meta + (b"^" + bytes([low ^ 64]) if low < 32 or low == 127 else b"-" + bytes([low]))

    assert lines.unvis(b"".join(map(vis, name))) == name.decode("utf-8", "backslashreplace")


def test_refused_transactions() -> None:
    sender = only(CONNECTED, TLS, auth(), refused("MAIL FROM:<a@b.example> SIZE=20", "530 Sender rejected"), QUIT)
    assert (sender.outcome, sender.reason, sender.sender, sender.account) == ("rejected", "sender_not_owned", "a@b.example", "anna")
    nobody = refused("RCPT TO:<x@y.example>", "550 Invalid recipient: <x@y.example>")
    row = only(CONNECTED, TLS, auth(), nobody, nobody.replace("x@", "z@"), QUIT)
    assert (row.outcome, row.reason) == ("rejected", "recipient_refused")
    assert len(read(log(CONNECTED, TLS, auth(), nobody, nobody, QUIT))) == 2, "the same recipient again is another transaction"
    assert only(CONNECTED, TLS, auth(), nobody, MESSAGE, QUIT).outcome == "accepted", "one of its recipients was refused"
    large = refused("DATA", "554 5.3.4 Message too big for system: Transaction failed, message too big")
    row = only(CONNECTED, TLS, auth(), nobody, large, QUIT)
    assert (row.outcome, row.reason) == ("rejected", "too_large")
    later = refused("MAIL FROM:<a@b.example>", "421 4.3.0 Temporary Error")
    assert only(CONNECTED, TLS, auth(), later, QUIT).reason == "deferred"
    assert only(CONNECTED, TLS, auth(), refused("MAIL FROM:<a>", "503 5.5.1 Invalid command"), QUIT).outcome == "no_mail"


def test_strangers_mail_is_no_row() -> None:
    assert read(log(CONNECTED, TLS, MESSAGE, ENVELOPE, QUIT)) == []
    assert read(log(MESSAGE, refused("RCPT TO:<x@y.example>", "550 Invalid recipient"))) == []
    assert read(log(f"smtpd[1]: {ID} mta delivery evpid=e180c775c3ba0d1f from=<a@b> to=<c@d> rcpt=<-> delay=0s stat=ok")) == []


def test_a_session_without_mail() -> None:
    row = only(CONNECTED, TLS, auth(), QUIT)
    assert (row.outcome, row.account, row.tls_version, row.queue_id) == ("no_mail", "anna", "TLSv1.3", None)


def test_clients() -> None:
    for written, wanted in (("[2001:db8::1]", "2001:db8::1"), ("IPv6:2001:db8::1", "2001:db8::1"), ("local", None)):
        assert only(CONNECTED.replace("192.0.2.10", written), *WHOLE[1:]).client_ip == wanted
    assert only(CONNECTED.replace("pc.contoso.example", "<unknown>"), *WHOLE[1:]).client_name is None


def test_the_other_servers_program_of_that_name() -> None:
    assert read(log(*WHOLE).replace(b"smtpd[", b"postfix/submission/smtpd[")) == []


@pytest.mark.parametrize("generation", ["6.0", "6.4"])
def test_the_client_of_a_session_that_began_before_the_log(generation: str) -> None:
    logged = GENERATIONS[generation]
    for begun in (logged[1:], logged[2:]):
        row = only(*begun)
        assert (row.client_ip, row.client_name, row.account, row.outcome) == ("192.0.2.10", "pc.contoso.example", "anna", "accepted")
        nameless = only(*(line.replace(CLIENT, "address=[2001:db8::1] host=<unknown>") for line in begun))
        assert (nameless.client_ip, nameless.client_name) == ("2001:db8::1", None)
    failed = [line.replace("result=ok", "result=permfail") for line in logged]
    whole, begun = (only(*failed[start:3], failed[-1]) for start in (0, 2))
    assert whole.client_ip == begun.client_ip
    assert only(*WHOLE[2:]).client_ip is None, "since 6.6 the first line alone tells"


def test_a_line_that_is_not_understood() -> None:
    _, changes = run(log(CONNECTED, f"{SMTPD}authentication user=anna", MESSAGE))
    assert [entry.reason for entry in changes.unread] == ["sign-in or message not understood"]


def test_a_log_cut_anywhere_is_the_same_log() -> None:
    text = log(*WHOLE)
    whole = read(text)
    for end in line_ends(text):
        assert read_in_two(text, end) == whole


def read_in_two(text: bytes, end: int) -> list[Submission]:
    first, before = run(text[:end])
    second = reader()
    second.recall(first.remember())
    before.take(run(text[end:], source=second)[1])
    return in_order(before.rows.values())


@pytest.mark.parametrize("ahead", range(len(WHOLE) + 1))
def test_hosts_whose_sessions_have_the_same_id(ahead: int) -> None:
    bob = [line.replace("anna", "bob").replace("192.0.2.10", "192.0.2.20").replace("e180c775", "f291d886") for line in WHOLE]
    first, second = log(*WHOLE, host="mx1").splitlines(keepends=True), log(*bob, host="mx2").splitlines(keepends=True)
    wanted = in_order([*read(b"".join(first)), *read(b"".join(second))])
    assert [row.account for row in wanted] == ["anna", "bob"]
    for one, other in ((first, second), (second, first)):
        text = b"".join([*one[:ahead], *(line for pair in zip_longest(other, one[ahead:], fillvalue=b"") for line in pair)])
        assert in_order(read(text)) == wanted
        assert all(read_in_two(text, end) == wanted for end in line_ends(text))


LINES = [*WHOLE, *GENERATIONS["5.4"], *FAILURES["6.6"], "x"]
FORGED = f'" result="235" x>, to=<y>, size=9, ndest=9, proto=ESMTP on session {ID} ciphers=TLSv1.0:RC4:1'


def test_what_clients_write_is_not_what_the_server_wrote() -> None:
    hostile = f'from=<"{FORGED}"@contoso.example>'.replace('" result="', "result=")
    row = only(*(line.replace("from=<anna@contoso.example>", hostile) for line in WHOLE))
    assert (row.size, row.recipients, row.tls_version, row.account) == (5227, 2, "TLSv1.3", "anna")
    row = only(CONNECTED, TLS, refused(f"EHLO {FORGED}", "501 no"), *WHOLE[2:])
    assert (row.size, row.recipients, row.tls_version, row.outcome) == (5227, 2, "TLSv1.3", "accepted")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*WHOLE, *GENERATIONS["5.4"], *FAILURES["6.6"], FORGED, "x"]), max_size=8),
    st.binary(max_size=80),
    st.integers(0, 600),
)
def test_any_bytes_are_read_or_reported(logged: list[str], noise: bytes, place: int) -> None:
    text = log(*logged)
    place = min(place, len(text))
    _, changes = run(text[:place] + noise + text[place:] + b"\n")
    assert 0 <= changes.other <= changes.lines
    assert all(row.tls_version for row in changes.rows.values())


HOSTILE = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\r\0"), max_size=60)


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_text_changes_no_other_row(sender: str, command: str, host: str) -> None:
    bob = [line.replace(ID, "532b652024da433c").replace("e180c775", "f180c775").replace("user=anna", "user=bob") for line in WHOLE]
    mine = [line.replace("anna@contoso.example", sender).replace("pc.contoso.example", host) for line in WHOLE]
    mixed = [mine[0], bob[0], refused(command, f"550 {command}"), mine[1], bob[1], mine[2], bob[2], *mine[3:], *bob[3:]]
    rows = read(log(*mixed))
    [his] = [row for row in rows if row.queue_id == "f180c775"]
    assert (his.account, his.client_ip, his.tls_version, his.sender) == ("bob", "192.0.2.10", "TLSv1.3", "anna@contoso.example")
    assert {row.account for row in rows if row.outcome == "accepted"} == {"anna", "bob"}
