"""
Postfix: what each shape of session gives, exactly, and what a client can write changes nothing else.
"""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reading import ANNA, CIPHER, NOW, PC, START, line_ends, log, read, reader, run, session
from smtp_auth_report.sources import postfix_lines
from smtp_auth_report.submission import Submission

SMTPD = "postfix/submission/smtpd[701]"
QUEUED = "4F1A022C8A9"
TLS = f"{SMTPD}: Anonymous TLS connection established from {PC}: TLSv1.3 with cipher {CIPHER}"
CLIENT = f"{SMTPD}: {QUEUED}: client={PC}, sasl_method=PLAIN, sasl_username={ANNA}"
ACTIVE = f"postfix/qmgr[803]: {QUEUED}: from=<a.berg@contoso.example>, size=1253, nrcpt=2 (queue active)"
CLEANUP = f"postfix/cleanup[802]: {QUEUED}"
ENVELOPE = "from=<a@b> to=<c@d> proto=ESMTP helo=<pc>"
CONNECT = f"{SMTPD}: connect from {PC}"


def end(counts: str, smtpd: str = SMTPD) -> str:
    return f"{smtpd}: disconnect from {PC} {counts}"


def refusal(recipient: str, queue_id: str = "NOQUEUE", text: str = "550 5.1.1 <%s>: Recipient address rejected: User unknown") -> str:
    words = text % recipient if "%s" in text else text
    return f"{SMTPD}: {queue_id}: reject: RCPT from {PC}: {words}; from=<a@b.example> to=<{recipient}> proto=ESMTP helo=<pc>"


def only(*lines: str) -> Submission:
    (row,) = read(log(*lines))
    return row


def outcomes(*lines: str) -> list[str]:
    return [row.outcome for row in read(log(*lines))]


def test_a_whole_session() -> None:
    row = only(*session())
    assert (row.outcome, row.account, row.mechanism, row.tls_version) == ("accepted", ANNA, "PLAIN", "TLSv1.2")
    assert (row.client_ip, row.client_name, row.service, row.server) == ("192.0.2.10", "pc.contoso.example", "submission", "mail")
    assert (row.sender, row.size, row.recipients) == ("a.berg@contoso.example", 1253, 2)
    assert (row.queue_id, row.message_id, row.tls_cipher) == (QUEUED, "<one@contoso.example>", "ECDHE-RSA-AES256-GCM-SHA384")


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("TLS connection established from {pc}: TLSv1 with cipher DHE-RSA-AES256-SHA (256/256 bits)", "TLSv1.0"),
        ("Trusted TLS connection established from {pc}: TLSv1.1 with cipher AES128-SHA (128/128 bits)", "TLSv1.1"),
        ("Verified TLS connection established from {pc}: TLSv1.2 with cipher X (1/1 bits)", "TLSv1.2"),
        (
            "Untrusted TLS connection established from {pc} to mail.example: TLSv1.3 with cipher X (256/256 bits) key-exchange X25519",
            "TLSv1.3",
        ),
        ("Anonymous TLS connection established from {pc}: SSLv3 with cipher X (1/1 bits)", "SSLv3"),
        ("Anonymous TLS connection established from {pc}: TLSv9 with cipher X (1/1 bits)", "tls"),
        ("Anonymous TLS connection established from other[192.0.2.99]: TLSv1.3 with cipher X (1/1 bits)", "unknown"),
        ("Anonymous TLS connection established to {pc}: TLSv1.3 with cipher X (1/1 bits)", "unknown"),
    ],
)
def test_tls_lines(line: str, version: str) -> None:
    assert only(CONNECT, f"{SMTPD}: {line.format(pc=PC)}", CLIENT, ACTIVE).tls_version == version


@pytest.mark.parametrize(
    ("smtpd", "counts", "version"),
    [
        (SMTPD, "ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8", "tls"),
        (SMTPD, "ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6", "none"),
        (SMTPD, "", "unknown"),
        ("postfix/smtps/smtpd[701]", "ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6", "tls"),
        ("postfix/465/smtpd[701]", "", "tls"),
        ("postfix/smtpd[701]", "ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6", "unknown"),
    ],
)
def test_sessions_without_a_tls_line(smtpd: str, counts: str, version: str) -> None:
    lines = [line.replace(SMTPD, smtpd) for line in (CONNECT, CLIENT, ACTIVE, end(counts).rstrip())]
    assert only(*lines).tls_version == version


def test_cleartext_is_proven_when_the_door_shows_starttls_later_even_in_another_file() -> None:
    clear = [line.replace(SMTPD, "postfix/smtpd[701]") for line in (CONNECT, CLIENT, ACTIVE, end("ehlo=1 auth=1 mail=1 data=1 commands=4"))]
    proof = ["postfix/smtpd[702]: connect from x[192.0.2.77]", "postfix/smtpd[702]: disconnect from x[192.0.2.77] ehlo=2 starttls=1 quit=1"]
    assert [row.tls_version for row in read(log(*clear, *proof))] == ["none"]
    first, changes = run(log(*clear))
    assert [row.tls_version for row in changes.rows.values()] == ["unknown"]
    second = reader()
    second.recall(first.remember())
    _, later = run(log(*proof, start=START + timedelta(minutes=1)), source=second)
    assert [row.tls_version for row in later.rows.values()] == ["none"]
    assert set(later.rows) == set(changes.rows)


def test_tls_of_the_session_before_is_never_inherited() -> None:
    crashed = [CONNECT, TLS, CLIENT, ACTIVE]
    rows = read(log(*crashed, CONNECT, CLIENT.replace(QUEUED, "5B1A022C8A9"), ACTIVE.replace(QUEUED, "5B1A022C8A9")))
    assert [row.tls_version for row in rows] == ["TLSv1.3", "unknown"]


OTHER = "laptop.contoso.example[192.0.2.99]"
OTHERS_TLS = f"{SMTPD}: Anonymous TLS connection established from {OTHER}: TLSv1.2 with cipher AES128-SHA (128/128 bits)"
OTHERS_CLIENT = f"{SMTPD}: 5A1A022C8A9: client={OTHER}, sasl_method=LOGIN, sasl_username=otto"
OTHERS_ACTIVE = "postfix/qmgr[803]: 5A1A022C8A9: from=<otto@contoso.example>, size=99, nrcpt=1 (queue active)"
OTHERS_END = f"{SMTPD}: disconnect from {OTHER} ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8"
BOTH = [(QUEUED, "accepted", "TLSv1.3", ANNA), ("5A1A022C8A9", "accepted", "TLSv1.2", "otto")]
"""A session that goes well while the end of the one before, and its own beginning, were dropped by a rate limit."""


def told(*given: str) -> list[tuple[object, ...]]:
    return [(row.queue_id, row.outcome, row.tls_version, row.account) for row in read(log(*given))]


@pytest.mark.parametrize("word", ["Anonymous ", "Untrusted ", "Trusted ", "Verified ", ""])
def test_a_second_tls_line_is_another_session_s(word: str) -> None:
    """The counters at the end are the second's: what the first sent may still be taken, and is not refused for them."""
    tls = OTHERS_TLS.replace("Anonymous ", word)
    assert told(CONNECT, TLS, CLIENT, tls, OTHERS_CLIENT, OTHERS_ACTIVE, OTHERS_END, ACTIVE) in (BOTH, BOTH[::-1])


def test_a_second_session_of_the_same_client() -> None:
    """It ends without mail, and takes nothing from the one before."""
    again = [TLS, end("ehlo=2 starttls=1 auth=1 quit=1 commands=5")]
    assert sorted(outcomes(CONNECT, TLS, CLIENT, *again, ACTIVE)) == ["accepted", "no_mail"]


def test_a_session_without_tls_line_behind_one_whose_end_is_lost() -> None:
    rows = told(CONNECT, TLS, CLIENT, OTHERS_CLIENT, OTHERS_ACTIVE, OTHERS_END, ACTIVE)
    assert sorted(map(str, rows)) == sorted(map(str, [BOTH[0], ("5A1A022C8A9", "accepted", "tls", "otto")]))


def test_an_end_of_another_session_refuses_nothing() -> None:
    assert told(CONNECT, TLS, CLIENT, f"{SMTPD}: disconnect from {OTHER} ehlo=1 quit=1 commands=2", ACTIVE) == BOTH[:1]


def test_a_handshake_that_fails_behind_a_session_whose_end_is_lost() -> None:
    failed = f"{SMTPD}: SSL_accept error from {OTHER}: -1"
    lost = f"{SMTPD}: disconnect from {OTHER} ehlo=1 starttls=0/1 commands=1/2"
    found = read(log(CONNECT, TLS, CLIENT, failed, lost, ACTIVE))
    assert sorted((row.outcome, row.client_ip) for row in found) == [("accepted", "192.0.2.10"), ("tls_failed", "192.0.2.99")]


def test_a_tls_line_that_the_log_holds_twice_is_one_session_s() -> None:
    text = log(CONNECT, TLS, CLIENT)
    lines = text.splitlines(keepends=True)
    assert [row.tls_version for row in read(b"".join([lines[0], lines[1], lines[1], *lines[2:]]) + log(ACTIVE))] == ["TLSv1.3"]


def test_a_proxy_that_names_its_clients_in_one_connection() -> None:
    """XCLIENT changes the address in the midst of a session."""
    proxy = "proxy.contoso.example[192.0.2.1]"
    lines = [f"{SMTPD}: connect from {proxy}", CLIENT, OTHERS_CLIENT, OTHERS_ACTIVE, ACTIVE]
    ends = f"{SMTPD}: disconnect from {OTHER} ehlo=3 xclient=2 mail=2 rcpt=2 data=2 quit=1 commands=12"
    assert {row[:2] for row in told(*lines, ends)} == {(QUEUED, "accepted"), ("5A1A022C8A9", "accepted")}


def test_several_messages_in_a_session_one_of_them_dropped() -> None:
    second, third = "5B1A022C8A9", "6C1A022C8A9"
    rows = read(
        log(
            CONNECT, TLS, CLIENT, ACTIVE,
            CLIENT.replace(QUEUED, second),
            f"{SMTPD}: lost connection after DATA (137 bytes) from {PC}",
            CLIENT.replace(QUEUED, third), ACTIVE.replace(QUEUED, third),
            end("ehlo=2 starttls=1 auth=1 mail=3 rcpt=3 data=2/3 commands=12"),
        )
    )  # fmt: skip
    assert [(row.queue_id, row.outcome, row.tls_version) for row in rows] == [
        (QUEUED, "accepted", "TLSv1.3"),
        (third, "accepted", "TLSv1.3"),
    ]


def test_a_message_dropped_in_data_is_no_mail() -> None:
    row = only(CONNECT, TLS, CLIENT, end("ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=0/1 commands=6/7"))
    assert (row.outcome, row.account, row.tls_version) == ("no_mail", ANNA, "TLSv1.3")


def test_signing_in_and_leaving_is_no_mail_of_nobody_known() -> None:
    row = only(CONNECT, TLS, end("ehlo=2 starttls=1 auth=1 quit=1 commands=5"))
    assert (row.outcome, row.account, row.mechanism) == ("no_mail", None, "unknown")


def test_refused_recipients_inside_an_accepted_message_are_no_rows() -> None:
    assert outcomes(CONNECT, refusal("x@y.example"), CLIENT, ACTIVE, end("ehlo=2 auth=1 mail=1 rcpt=1/2 data=1 quit=1")) == ["accepted"]
    assert outcomes(CONNECT, CLIENT, refusal("x@y.example", QUEUED), ACTIVE, end("auth=1 mail=1 rcpt=1/2 data=1 quit=1")) == ["accepted"]


def test_a_transaction_refused_as_a_whole_is_one_row() -> None:
    lines = (refusal("x@y.example"), refusal("z@y.example"), refusal("w@y.example"))
    assert outcomes(CONNECT, *lines, end("ehlo=2 auth=1 mail=1 rcpt=0/3 rset=1 quit=1")) == ["rejected"]
    assert outcomes(CONNECT, *lines, end("ehlo=2 auth=1 mail=2 rcpt=0/3 rset=2 quit=1")) == ["rejected", "rejected"]
    assert outcomes(CONNECT, *lines, end("ehlo=2 mail=1 rcpt=0/3 rset=1 quit=1")) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{CLEANUP}: reject: header Subject: VIRUS from {PC}; {ENVELOPE}: 5.7.1 no", "content_refused"),
        (f"{CLEANUP}: milter-reject: END-OF-MESSAGE from {PC}: 5.7.1 spam; {ENVELOPE}", "content_refused"),
        (f"{SMTPD}: {QUEUED}: reject: END-OF-MESSAGE from {PC}: 552 5.3.4 Message size exceeds limit; {ENVELOPE}", "too_large"),
        (f"{SMTPD}: warning: {QUEUED}: queue file size limit exceeded", "too_large"),
    ],
)  # fmt: skip
def test_messages_refused_after_their_content(line: str, reason: str) -> None:
    row = only(CONNECT, TLS, CLIENT, line, end("auth=1 mail=1 rcpt=1 data=0/1 quit=1"))
    assert (row.outcome, row.reason, row.queue_id, row.account) == ("rejected", reason, QUEUED, ANNA)


def test_a_discarded_message_was_accepted() -> None:
    line = f"postfix/cleanup[802]: {QUEUED}: discard: header Subject: x from {PC}; from=<a@b.example> to=<c@d> proto=ESMTP helo=<pc>"
    row = only(CONNECT, TLS, CLIENT, line, end("auth=1 mail=1 rcpt=1 data=1 quit=1"))
    assert (row.outcome, row.sender, row.size, row.helo) == ("accepted", "a@b.example", None, "pc")


def test_a_held_message_was_accepted_if_its_content_was_taken() -> None:
    line = f"postfix/cleanup[802]: {QUEUED}: hold: header Subject: x from {PC}; from=<a@b.example> to=<c@d> proto=ESMTP helo=<pc>"
    assert outcomes(CONNECT, TLS, CLIENT, line, end("auth=1 mail=1 rcpt=1 data=1 quit=1")) == ["accepted"]
    assert outcomes(CONNECT, TLS, CLIENT, line, end("auth=1 mail=1 rcpt=1 data=0/1")) == ["no_mail"]


def test_a_message_requeued_before_the_queue_manager_met_it_was_accepted() -> None:
    requeued = ["postfix/pickup[805]: 60B1B22C8A9: uid=103 from=<a@b.example> orig_id=%s", ACTIVE.replace(QUEUED, "60B1B22C8A9")]
    whole = [CONNECT, TLS, CLIENT, end("auth=1 mail=1 rcpt=1 data=1 quit=1")]
    for at in (3, 4):
        row = only(*whole[:at], *(line.replace("%s", QUEUED) for line in requeued), *whole[at:])
        assert (row.outcome, row.queue_id, row.sender, row.tls_version) == ("accepted", QUEUED, "a@b.example", "TLSv1.3")
    assert outcomes(*whole, *(line.replace("%s", "4F1A022C8AA") for line in requeued)) == []
    assert only(*session(), *(line.replace("%s", QUEUED) for line in requeued)).size == 1253


def test_a_before_queue_filter_gives_one_row_with_the_inner_queue_id() -> None:
    front = CLIENT.replace(QUEUED, "NOQUEUE")
    inner = [
        "postfix/inner/smtpd[900]: connect from localhost[127.0.0.1]",
        f"postfix/inner/smtpd[900]: {QUEUED}: client=localhost[127.0.0.1], orig_client={PC}",
        f"postfix/cleanup[802]: {QUEUED}: message-id=<one@contoso.example>",
    ]
    done = f"{SMTPD}: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as {QUEUED}; {ENVELOPE}"
    for order in ([*inner, ACTIVE, done], [*inner, done, ACTIVE]):
        (row,) = read(log(CONNECT, TLS, front, *order, end("auth=1 mail=1 rcpt=1 data=1 quit=1")))
        assert (row.queue_id, row.size, row.account, row.tls_version, row.helo) == (QUEUED, 1253, ANNA, "TLSv1.3", "pc")
        assert row.message_id == "<one@contoso.example>"


def test_a_message_that_a_before_queue_filter_refuses_is_a_row() -> None:
    front = CLIENT.replace(QUEUED, "NOQUEUE")
    refused = f"{SMTPD}: proxy-reject: END-OF-MESSAGE: {{}}; {ENVELOPE}"
    row = only(CONNECT, TLS, front, refused.format("554 5.7.1 spam"), end("auth=1 mail=1 rcpt=1 data=0/1 quit=1"))
    assert (row.outcome, row.reason, row.account, row.helo, row.queue_id) == ("rejected", "content_refused", ANNA, "pc", None)
    assert row.sender is not None
    again = [front, refused.format("451 4.3.0 later"), front, refused.format("554 5.7.1 spam")]
    accepted = [front, f"{SMTPD}: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as {QUEUED}; {ENVELOPE}", ACTIVE]
    rows = read(log(CONNECT, TLS, *again, *accepted, end("auth=1 mail=3 rcpt=3 data=1/3 quit=1")))
    assert [(row.outcome, row.reason) for row in rows] == [("rejected", "deferred"), ("rejected", "content_refused"), ("accepted", None)]


def test_an_after_queue_filter_gives_no_second_row() -> None:
    again = [
        "postfix/reinject/smtpd[900]: connect from localhost[127.0.0.1]",
        f"postfix/reinject/smtpd[900]: 7D1A022C8A9: client=localhost[127.0.0.1], orig_queue_id={QUEUED}, orig_client={PC}",
        ACTIVE.replace(QUEUED, "7D1A022C8A9"),
    ]
    sasl = f"sasl_method=PLAIN, sasl_username=filter, orig_queue_id={QUEUED}"
    signed_in = f"postfix/reinject/smtpd[900]: 8E1A022C8A9: client=localhost[127.0.0.1], {sasl}"
    assert [row.queue_id for row in read(log(*session(), *again, signed_in, ACTIVE.replace(QUEUED, "8E1A022C8A9")))] == [QUEUED]


@pytest.mark.parametrize(
    "other",
    [
        "postfix/smtpd[999]: 4F1A022C8A9: client=stranger[198.51.100.1]",
        "postfix/pickup[999]: 4F1A022C8A9: uid=0 from=<root>",
    ],
)
def test_a_short_queue_id_that_is_given_again_is_not_ours(other: str) -> None:
    lost = [CONNECT, TLS, CLIENT, end("auth=1 mail=1 rcpt=1 data=0/1 commands=4/5")]
    row = only(*lost, other, "postfix/qmgr[803]: 4F1A022C8A9: from=<stranger@x.example>, size=9, nrcpt=1 (queue active)")
    assert (row.outcome, row.sender) == ("no_mail", None)


def test_only_the_first_line_of_the_queue_manager_counts() -> None:
    retried = ACTIVE.replace("size=1253, nrcpt=2", "size=1253, nrcpt=1")
    assert only(*session(), retried).recipients == 2


def test_a_proxy_that_vouches_hides_mechanism_and_tls() -> None:
    lines = [
        "postfix/relay/smtpd[701]: connect from localhost[127.0.0.1]",
        CLIENT.replace(SMTPD, "postfix/relay/smtpd[701]").replace("PLAIN", "XCLIENT"),
        ACTIVE,
    ]
    row = only(*lines, f"postfix/relay/smtpd[701]: disconnect from {PC} ehlo=2 xclient=0/1 mail=1 rcpt=1 data=1 quit=1")
    assert (row.account, row.mechanism, row.tls_version, row.helo) == (ANNA, "unknown", "unknown", None)


@pytest.mark.parametrize(
    ("name", "client", "account"),
    [
        ("eve <x PORT=41499 ADDR=127.0.3.9", "127.0.3.9", "eve <x"),
        ("eve <x PORT=41499 ADDR=IPV6:2001:db8::1", "2001:db8::1", "eve <x"),
        ("eve <x PORT=1 ADDR=9.9.9.9 PORT=2 ADDR=127.0.3.9", "127.0.3.9", "eve <x PORT=1 ADDR=9.9.9.9"),
        ("eve <x> PORT=1 ADDR=9.9.9.9", "127.0.0.1", "eve <x> PORT=1 ADDR=9.9.9.9"),
        ("ceo PORT=1 ADDR=9.9.9.9", "127.0.0.1", "ceo PORT=1 ADDR=9.9.9.9"),
    ],
)
def test_a_name_behind_which_postfix_hides_the_client(name: str, client: str, account: str) -> None:
    smtpd = "postfix/relay/smtpd[701]"
    mail = f"{smtpd}: {QUEUED}: client=localhost[127.0.0.1], sasl_method=%s, sasl_username={name}"
    ends = f"{smtpd}: disconnect from localhost[127.0.0.1] ehlo=2 xclient=1 mail=1 rcpt=1 data=1 quit=1"
    row = only(f"{smtpd}: connect from localhost[127.0.0.1]", mail % "XCLIENT", ACTIVE, ends)
    assert (row.client_ip, row.account) == (client, account)
    assert only(f"{smtpd}: connect from localhost[127.0.0.1]", mail % "PLAIN", ACTIVE).account == name
    assert only(f"{smtpd}: connect from nginx[192.0.2.1]", mail % "XCLIENT", ACTIVE).account == name


@pytest.mark.parametrize(
    ("text", "mechanism", "reason", "account"),
    [
        ("SASL LOGIN authentication failed: UGFzc3dvcmQ6", "LOGIN", "bad_credentials", None),
        ("SASL plain authentication failed:", "PLAIN", "bad_credentials", None),
        ("SASL PLAIN authentication failed: (reason unavailable), sasl_username=bob", "PLAIN", "bad_credentials", "bob"),
        ("SASL PLAIN authentication failed: generic failure, sasl_username=(unavailable)", "PLAIN", "server_error", None),
        ("SASL PLAIN authentication failed: Connection lost to authentication server", "PLAIN", "server_error", None),
        ("SASL LOGIN authentication aborted", "LOGIN", "aborted", None),
        ("SASL x authentication failed: y authentication failed: z", "X", "bad_credentials", None),
    ],
)
def test_failed_sign_ins(text: str, mechanism: str, reason: str, account: str | None) -> None:
    row = only(CONNECT, TLS, f"{SMTPD}: warning: {PC}: {text}", end("ehlo=2 starttls=1 auth=0/1 quit=1 commands=4/5"))
    assert (row.outcome, row.mechanism, row.reason, row.account) == ("auth_failed", mechanism, reason, account)
    assert (row.tls_version, row.client_ip) == ("TLSv1.3", "192.0.2.10")


def test_failures_that_only_the_counters_tell() -> None:
    rows = read(log(CONNECT, end("ehlo=1 auth=0/3 quit=1 commands=2/5")))
    assert [(row.outcome, row.reason, row.mechanism) for row in rows] == [("auth_failed", "not_offered", "unknown")] * 3
    assert len({row.key for row in rows}) == 3


def test_repeated_lines_are_counted() -> None:
    failure = f"{SMTPD}: warning: {PC}: SASL LOGIN authentication failed: UGFzc3dvcmQ6"
    told = f"{SMTPD}: message repeated 3 times: [ warning: {PC}: SASL LOGIN authentication failed: UGFzc3dvcmQ6]"
    assert outcomes(CONNECT, failure, told, end("auth=0/4 quit=1")) == ["auth_failed"] * 4
    plain = log(CONNECT, failure) + b"Nov 23 16:06:08 mail last message repeated 2 times\n"
    assert [row.outcome for row in read(plain)] == ["auth_failed"] * 3


def test_failed_handshakes_count_on_doors_that_take_auth() -> None:
    lines = [
        CONNECT,
        f"{SMTPD}: SSL_accept error from {PC}: -1",
        f"{SMTPD}: warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/statem/statem_srvr.c:2226:",
        f"{SMTPD}: lost connection after STARTTLS from {PC}",
        end("ehlo=1 starttls=0/1 commands=1/2"),
    ]
    row = only(*lines)
    assert (row.outcome, row.reason, row.account, row.tls_version) == ("tls_failed", "no_shared_cipher", None, "unknown")
    assert outcomes(*(line.replace("/submission/", "/") for line in lines)) == []


def test_the_suffix_of_3_10_names_the_account_of_a_refusal() -> None:
    line = refusal("x@y.example") + " sasl_method=PLAIN sasl_username=anna"
    assert only(CONNECT, line, end("auth=1 mail=1 rcpt=0/1 quit=1")).account == "anna"
    owned = refusal("x@y.example", text="553 5.7.1 <a@b.example>: Sender address rejected: not owned by user anna")
    row = only(CONNECT, owned, end("auth=1 mail=1 rcpt=0/1 quit=1"))
    assert (row.account, row.reason, row.sender, row.helo) == ("anna", "sender_not_owned", "a@b.example", "pc")


def test_two_hosts_in_one_log_do_not_mix() -> None:
    one, two = log(*session(), host="mx1.example").splitlines(), log(*session("bob", version="TLSv1"), host="mx2.example").splitlines()
    mixed = b"\n".join(line for pair in zip(one, two, strict=True) for line in pair) + b"\n"
    assert {(row.server, row.account, row.tls_version) for row in read(mixed)} == {
        ("mx1.example", ANNA, "TLSv1.2"),
        ("mx2.example", "bob", "TLSv1.0"),
    }


def test_gaps_that_the_log_reports() -> None:
    _, changes = run(log("rsyslogd: imuxsock lost 120 messages from pid 81 due to rate-limiting", *session()))
    assert [(gap.reason, gap.lost) for gap in changes.gaps] == [("rate_limit", 120)]


def test_an_unread_line_is_counted_and_shows_no_secret() -> None:
    _, changes = run(log(f"{SMTPD}: warning: {PC}: SASL what is this: hunter2, sasl_username=hunter2"))
    assert [(entry.source, entry.server, entry.reason) for entry in changes.unread] == [
        ("postfix", "mail", "failed sign-in not understood")
    ]
    assert "hunter2" not in changes.unread[0].sample
    assert "192.0.2" not in changes.unread[0].sample


HOSTILE = [
    "eve, sasl_method=PLAIN, sasl_username=ceo@contoso.example",
    "eve@x, orig_queue_id=4F1A022C8A9, orig_client=a[192.0.2.1]",
    "x; from=<a> to=<b> proto=ESMTP helo=<evil> sasl_method=PLAIN sasl_username=ceo",
    "name with spaces",
    "TAILSPIN\\backup",
    "jürgen@münchen.example",
    "Nov 23 16:06:05 mail postfix/smtpd[1]: connect from x[192.0.2.9]",
    "]: client=",
    "\"q\" 'q'",
    "%s%n$(x)",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_that_really_signed_in_are_one_name(name: str) -> None:
    rows = read(log(*session(name), *session(queue_id="9F1A022C8A9", smtpd="postfix/submission/smtpd[702]")))
    assert [row.account for row in rows] == [name.partition(", orig_queue_id=")[0], ANNA]


@given(
    st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=80),
    st.sampled_from(["helo", "subject", "sender", "recipient", "failed name", "mechanism", "client name"]),
)
def test_what_a_client_writes_changes_no_other_row(text: str, place: str) -> None:
    honest = session(queue_id="9F1A022C8A9", smtpd="postfix/submission/smtpd[702]")
    hostile = {
        "helo": [f"{SMTPD}: NOQUEUE: reject: RCPT from {PC}: 550 5.1.1 no; from=<a@b> to=<c@d> proto=ESMTP helo=<{text}>"],
        "subject": [
            f"postfix/cleanup[802]: 9F1A022C8A9: info: header Subject: {text} from {PC}; from=<a@b> to=<c@d> proto=ESMTP helo=<pc>"
        ],
        "sender": [f"{SMTPD}: NOQUEUE: reject: RCPT from {PC}: 550 5.1.1 no; from=<{text}> to=<c@d> proto=ESMTP helo=<pc>"],
        "recipient": [f"{SMTPD}: NOQUEUE: reject: RCPT from {PC}: 550 5.1.1 <{text}>: no; from=<a@b> to=<{text}> proto=ESMTP helo=<pc>"],
        "failed name": [f"{SMTPD}: warning: {PC}: SASL PLAIN authentication failed: (reason unavailable), sasl_username={text}"],
        "mechanism": [f"{SMTPD}: warning: {PC}: SASL {text} authentication failed: x"],
        "client name": [f"{SMTPD}: connect from {text}[192.0.2.66]"],
    }[place]
    lines = [*honest[:3], CONNECT, *hostile, end("auth=1/2 mail=1 rcpt=0/1 quit=1"), *honest[3:]]
    (row,) = [row for row in read(log(*lines)) if row.queue_id == "9F1A022C8A9"]
    assert (row.account, row.client_ip, row.tls_version, row.outcome) == (ANNA, "192.0.2.10", "TLSv1.2", "accepted")


def test_any_split_into_batches_gives_the_same_rows() -> None:
    text = log(*session(), CONNECT, refusal("x@y.example"), end("auth=1 mail=1 rcpt=0/1"), *session(queue_id="5B1A022C8A9", version=None))
    whole = read(text)
    ends = line_ends(text)
    assert all(read(text, [cut]) == whole for cut in ends)
    assert read(text, ends) == whole


TWO_SESSIONS = [*session(), CONNECT, refusal("x@y.example"), end("auth=1 mail=1 rcpt=0/1"), *session(queue_id="5B1A022C8A9", version=None)]
DROPPED = [
    CONNECT,
    CLIENT,
    f"{SMTPD}: lost connection after DATA (138 bytes) from {PC}",
    f"{CLEANUP}: info: header Subject: x from {PC}; {ENVELOPE}",
    end("ehlo=1 auth=1 mail=1 rcpt=2 data=0/1 commands=5/6"),
    f"{CLEANUP}: message-id=<one@contoso.example>",
    ACTIVE,
]
"""Of a message that nobody awaits any more, later lines under its queue id say nothing."""


@pytest.mark.parametrize("lines", [TWO_SESSIONS, DROPPED])
def test_open_sessions_go_on_in_the_next_file_wherever_it_is_cut(lines: list[str]) -> None:
    text = log(*lines)
    whole = {row.identity: row for row in read(text)}
    for cut in line_ends(text):
        first, early = run(text[:cut])
        remembered = first.remember()
        assert "hunter2" not in json.dumps(remembered)
        second = reader()
        second.recall(remembered)
        _, late = run(text[cut:], source=second)
        early.take(late)
        assert early.rows == whole, cut


def handshake(number: int) -> list[str]:
    """A stranger on a door that is not known to take AUTH."""
    smtpd, client = f"postfix/smtpd[{number % 90}]", f"unknown[203.0.113.{number % 250}]"
    return [f"{smtpd}: connect from {client}", f"{smtpd}: SSL_accept error from {client}: -1", f"{smtpd}: disconnect from {client} ehlo=1"]


def test_what_is_remembered_does_not_grow_with_the_log() -> None:
    """It is written with every commit of a followed log."""
    sizes = []
    for number in (400, 1600):
        lines = [line for each in range(number) for line in (*handshake(each), *session(queue_id=f"4F1A022{each:04X}"))]
        source, _ = run(log(*lines))
        sizes.append(sum(len(entry.sessions) for entry in source.remember()))
    assert sizes[1] < 1.1 * sizes[0]


def test_of_a_filter_that_returns_mail_more_is_remembered() -> None:
    """Mail may lie in an after-queue filter for long; one that was seen to sign in for it gives no second row, also then."""
    again = "postfix/reinject/smtpd[900]: {}: client=localhost[127.0.0.1], sasl_method=PLAIN, sasl_username=filter, orig_queue_id={}"
    first, _ = run(log(*session(), again.format("7D1A022C8A9", QUEUED), *(s for n in range(900) for s in session(queue_id=f"AF1A{n:05X}"))))
    second = reader()
    second.recall(first.remember())
    text = log(again.format("8E1A022C8A9", "AF1A00003"), ACTIVE.replace(QUEUED, "8E1A022C8A9"), start=START + timedelta(hours=3))
    assert not run(text, source=second)[1].rows


def test_a_failed_handshake_waits_a_day_for_its_door() -> None:
    """Until then it is not known whether the client would have signed in there."""
    for hours, failed in ((2, 2), (30, 1)):
        later = START + timedelta(hours=hours)
        begin, then = log(*handshake(1)), log(*handshake(2), start=later)
        text = begin + then + log(*session(smtpd="postfix/smtpd[95]"), start=later + timedelta(minutes=1))
        rows = read(text, [len(begin), len(begin) + len(then)])
        assert [row.outcome for row in rows].count("tls_failed") == failed


def test_names_of_failures_are_not_remembered() -> None:
    source, _ = run(log(CONNECT, f"{SMTPD}: warning: {PC}: SASL PLAIN authentication failed: x, sasl_username=hunter2"))
    assert "hunter2" not in json.dumps(source.remember())
    assert not re.search("aHVudGVyM|h1bnRlcj|odW50ZXIy", json.dumps(source.remember()))


EXPRESSIONS = [name for name in vars(postfix_lines) if isinstance(getattr(postfix_lines, name), re.Pattern)]
NASTY = [
    b'"' * 8192,
    b"<" * 8192,
    b"; from=<" * 4096,
    b" helo=<" * 4096,
    b"a" * 32768,
    b", sasl_username=" * 2048,
    b'\\"' * 8192,
    b"x[" * 8192,
]


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_no_expression_takes_more_than_linear_time(name: str) -> None:
    pattern = getattr(postfix_lines, name)
    heads = [
        "NOQUEUE: reject: RCPT from x[192.0.2.1]: ",
        "4F1A022C8A9: client=x[192.0.2.1], sasl_username=",
        "",
        "4F1A022C8A9: from=<",
        "warning: x[1]: SASL ",
    ]
    subject = (lambda head, body: head.encode() + body) if isinstance(pattern.pattern, bytes) else (lambda head, body: head + body.decode())
    slowest = 0.0
    for head in heads:
        for body in NASTY:
            began = time.process_time()
            pattern.fullmatch(subject(head, body))
            slowest = max(slowest, time.process_time() - began)
    assert slowest < 2  # an expression that backtracks takes hours


def test_a_first_line_whose_stamp_cannot_be_read() -> None:
    line = b"Nov 99 16:06:05 mail postfix/submission/smtpd[701]: warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: x\n"
    assert [(row.outcome, row.time) for row in read(line)] == [("auth_failed", NOW)]
