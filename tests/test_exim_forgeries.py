"""What clients write into Exim's log, and what it must not change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exim_log import ANNA, CIPHER, ID, PC, SHAKE, X, arrival, failed, mainlog, refused, syslog
from reading import read, rows_of, run
from smtp_auth_report.sources import exim
from smtp_auth_report.sources.exim_lines import printed
from smtp_auth_report.submission import Submission

HOSTILE = (
    "x) [1.2.3.4] P=esmtpsa X=TLS1.0:x:1 A=plain:ceo S=1 id=1",
    'x") [1.2.3.4] P=esmtpa A=plain:ceo S=1 T="',
    "x) [1.2.3.4] D=1s A=plain:ceo C=EHLO",
    "x) [1.2.3.4]: 535 Incorrect authentication data (set_id=ceo)",
    "x) [1.2.3.4] F=<a@b> A=plain:ceo rejected RCPT <y>: z",
)
TEXT = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\r\0"), max_size=40)
QUOTED = TEXT.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"@x.example')


def same_but_helo(rows: Iterable[Submission]) -> list[tuple[object, ...]]:
    return [(row.account, row.client_ip, row.tls_version, row.tls_cipher, row.outcome) for row in rows]


@settings(max_examples=300, deadline=None)
@given(TEXT, QUOTED, QUOTED, TEXT)
def test_hostile_names_change_no_field_of_an_arrival(helo: str, sender: str, message_id: str, ident: str) -> None:
    subject = helo.replace("\\", "\\\\").replace('"', '\\"')
    rest = f' S=1253 id={message_id} T="{subject}" from <{sender}> for {message_id} a@b.example'
    wanted = [(ANNA, "192.0.2.10", "TLSv1.3", CIPHER, "accepted")]
    assert same_but_helo(read(mainlog(arrival(sender=sender, host=f"H=({helo}) [192.0.2.10]", rest=rest)))) == wanted
    stranger = arrival(sender=sender, host=f"H=({helo}) [192.0.2.10]", auth="", protocol="esmtps", rest=rest)
    assert read(mainlog(stranger)) == []
    with_ident = arrival(sender=sender, host=f"H={PC} U={ident}", rest=rest)
    assert same_but_helo(read(mainlog(with_ident))) in (wanted, [])


@settings(max_examples=300, deadline=None)
@given(TEXT, QUOTED, QUOTED, TEXT)
def test_hostile_names_change_no_field_of_a_refusal(helo: str, sender: str, recipient: str, answer: str) -> None:
    lines = refused(recipient[:99], answer, sender=sender), refused(recipient, "no", sender=sender), refused(host=f"({helo}) [192.0.2.10]")
    for line in lines:
        assert same_but_helo(read(mainlog(line))) in ([(ANNA, "192.0.2.10", "TLSv1.3", CIPHER, "rejected")], [])
        assert read(mainlog(line.replace(f" A=plain_server:{ANNA}", ""))) == []
    assert len(read(mainlog(lines[1]))) == 1


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT)
def test_hostile_names_change_no_other_row(user: str, helo: str) -> None:
    ended = f"no MAIL in SMTP connection from ({helo}) [192.0.2.10] D=0s A=plain_server:bob{X} C=EHLO,AUTH"
    rows = read(mainlog(failed(user), arrival(), failed(user, f"({helo}) [192.0.2.11]"), ended))
    [accepted] = [row for row in rows if row.queue_id]
    assert (accepted.account, accepted.client_ip, accepted.tls_version) == (ANNA, "192.0.2.10", "TLSv1.3")
    [no_mail] = [row for row in rows if row.outcome == "no_mail"]
    assert (no_mail.account, no_mail.client_ip, no_mail.tls_version) == ("bob", "192.0.2.10", "TLSv1.3")
    first = next(row for row in rows if row.outcome == "auth_failed")
    assert (first.client_ip, first.account) == ("192.0.2.10", printed(user.encode()) or None)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=4))
def test_columns_take_nothing_that_can_be_read_otherwise(names: list[tuple[str, str, str, str]]) -> None:
    lines = [
        arrival(
            queue_id=f"1xVWe{number}-0001UI-2o",
            sender=sender,
            host=f"H=({helo}) [192.0.2.10]",
            auth=f" A=plain:{user}",
            rest=f" S=7 id={message_id}",
        )
        for number, (helo, sender, user, message_id) in enumerate(names)
    ]
    text = mainlog(*lines)
    found = []
    for many, sifting in ((1 << 60, 1 << 60), (0, 1 << 60), (0, 0)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exim, "MANY", many)
            patch.setattr(exim, "WORTH_SIFTING", sifting)
            found.append({row.identity: row for row in rows_of(run(text, [text.index(b"\n") + 1])[1])})
    assert found[0] == found[1] == found[2]


LINES = (arrival(), refused(), failed(), SHAKE, f"{ID} Completed", "[1/2] x", HOSTILE[0])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=6), st.binary(max_size=80), st.integers(0, 900), st.booleans())
def test_any_bytes_are_read_or_reported(lines: Sequence[str], noise: bytes, place: int, in_syslog: bool) -> None:
    text = syslog(mainlog(*lines)) if in_syslog and lines else mainlog(*lines)
    place = min(place, len(text))
    _, changes = run(text[:place] + noise + text[place:] + b"\n")
    assert 0 <= changes.other <= changes.lines
    assert all(row.tls_version and row.time > 0 for row in changes.rows.values())
