"""
Exchange: compiled code passes rows over, and cuts the others, and yet the same comes of a log as where each row is read.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_log import (
    BYE,
    CLIENT_FRONTEND,
    CLIENT_PROXY,
    DEFAULT,
    HANDED_OVER,
    HELLO,
    QUEUED,
    TAKEN,
    TLS,
    TRACKED,
    Event,
    denied,
    direct,
    from_front_end,
    front,
    hub,
    login,
    mail,
    protocol,
    received,
    session,
    tracking,
)
from reading import in_order, line_ends, reader
from smtp_auth_report.changes import Changes
from smtp_auth_report.sources import exchange, exchange_lines
from test_exchange_files import BUSY

pytestmark = pytest.mark.skipif(not exchange.COMPILED, reason="installed without a compiler")

RECEIVED = [
    received(1),
    received(2, directionality="Incoming", date_time="2026-11-23T16:06:09.301Z"),
    received(3, directionality="incoming", server_hostname="EX2"),
    received(4, message_subject='a "b", c', date_time="2026-11-23T16:07:09.201Z"),
    received(5, directionality="Incoming", message_subject="x,SMTP,RECEIVE,y", date_time="2026-11-23T16:08:09.201Z"),
    received(6, event_id="DELIVER", source="STOREDRIVER"),
    received(7, directionality="Incoming", date_time="2026-11-24T00:00:01.000Z", server_hostname='E"X3'),
    received(8, directionality="", server_hostname=""),
]
TRACKING = tracking(*RECEIVED, *RECEIVED[::-1])


class Log:
    """What reading a log brought about."""

    def __init__(self, text: bytes, ends: Sequence[int], *, compiled: bool) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exchange, "WORTH_SIFTING", 0)
            patch.setattr(exchange, "COMPILED", compiled)
            log = reader()
            log.settle(text.splitlines()[:10], text)
            batches = [text[begin:end] for begin, end in zip((0, *ends), (*ends, len(text)), strict=True)]
            seen = [log.look(batch) for batch in batches]
            self.changes = Changes()
            for batch, looked in zip(batches, seen, strict=True):
                self.changes.take(log.feed(batch, looked))
            self.changes.take(log.finish())
            self.newest = log.log.newest

    @property
    def told(self) -> tuple[Any, ...]:
        return in_order(self.changes.rows.values()), self.changes.told, self.changes.awaited


def both(text: bytes, ends: Sequence[int] = ()) -> tuple[Log, Log]:
    return Log(text, ends, compiled=True), Log(text, ends, compiled=False)


# Damage


def repeated(lines: list[bytes], place: int, other: int, _: bytes) -> None:
    lines[place] = lines[other]


def lost(lines: list[bytes], place: int, _other: int, _: bytes) -> None:
    del lines[place]


def swapped(lines: list[bytes], place: int, other: int, _: bytes) -> None:
    lines[place], lines[other] = lines[other], lines[place]


def overwritten(lines: list[bytes], place: int, other: int, noise: bytes) -> None:
    at = other % (len(lines[place]) + 1)
    lines[place] = lines[place][:at] + noise + lines[place][at + len(noise) // 2 :]


def other_field(lines: list[bytes], place: int, other: int, noise: bytes) -> None:
    cut = lines[place].split(b",")
    cut[other % len(cut)] = noise
    lines[place] = b",".join(cut)


def quoted_field(lines: list[bytes], place: int, other: int, _: bytes) -> None:
    cut = lines[place].split(b",")
    cut[other % len(cut)] = b'"' + cut[other % len(cut)] + b'"'
    lines[place] = b",".join(cut)


DAMAGE = [repeated, lost, swapped, overwritten, other_field, quoted_field]
NOISE = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [
            b'"',
            b'""',
            b"\r",
            b",,",
            b"1000000000",
            b"authenticated",
            b'"authenticated"',
            b"CONTOSO\\EX2$,authenticated",
            b" AUTH LOGIN",
            b"auth",
            b"XPROXY",
            b"2026-02-30T16:06:05.000Z",
            b"2026-11-23T16:06:60.000Z",
            b"2026-11-23T16:06:59.999Z",
            b"2026-11-23T16:06:05Z",
            b"#Fields: date-time",
            b"INCOMING",
        ]
    ),
)
EDITS = st.lists(st.tuples(st.sampled_from(DAMAGE), st.integers(0, 999), st.integers(0, 999), NOISE), max_size=6)


@pytest.mark.parametrize("text", [BUSY, TRACKING], ids=["protocol", "tracking"])
@given(edits=EDITS, cuts=st.lists(st.integers(0, 999), max_size=2))
@settings(max_examples=150, deadline=None)
def test_damaged_logs_are_read_to_the_same_rows(
    text: bytes, edits: list[tuple[Callable[[list[bytes], int, int, bytes], None], int, int, bytes]], cuts: list[int]
) -> None:
    lines = text.split(b"\n")
    for damage, place, other, noise in edits:
        damage(lines, place % len(lines), other % len(lines), noise)
    text = b"\n".join(lines)
    ends = line_ends(text)
    compiled, plain = both(text, sorted({ends[cut % len(ends)] for cut in cuts}))
    assert compiled.told == plain.told


@pytest.mark.parametrize("seed", range(10))
def test_made_up_sites_are_read_to_the_same_rows(seed: int) -> None:
    chance = random.Random(seed)
    sessions = []
    for number in range(30):
        accounts = chance.choice(["anna@contoso.example", 'O"Neil, Shaq', "CONTOSO\\jürgen", "EX2$"])
        parts = chance.choice([[HELLO, TLS, login(accounts), mail(number), BYE], [HELLO, TLS, mail(number), BYE], [HELLO, login(accounts)]])
        sessions.append(direct(*parts, id=f"08DE2A7B4C5E{number:04X}", remote=f"192.0.2.{number}:5"))
    text = protocol(front(), hub(mail(1)), *sessions)
    ends = line_ends(text)
    compiled, plain = both(text, sorted(chance.sample(ends, 3)))
    assert compiled.told == plain.told
    assert compiled.changes.rows


def outlined(*sessions: list[Any]) -> list[bool]:
    """Of each session whether it is read in one go."""
    _, _, rows = protocol(*sessions).partition(b"context\r\n")
    whole = exchange.Whole(exchange_lines.read_context, exchange_lines.is_proxy)
    found = exchange.Found(rows).rows(set(), reader().log.clock.hour, whole)
    return [isinstance(each, exchange_lines.Outline) for each in found]


@pytest.mark.parametrize(
    "rows",
    [
        front(),
        hub(mail(1)),
        hub(mail(1), mail(2, recipients=0)),
        hub(),
        direct(HELLO, TLS, login("CONTOSO\\anna"), mail(1), BYE),
        direct(HELLO, login(mechanism="PLAIN"), BYE),
    ],
)
def test_sessions_that_go_as_most_do_are_read_in_one_go(rows: list[Any]) -> None:
    assert outlined(rows) == [True]


@pytest.mark.parametrize(
    "rows",
    [
        direct(HELLO, TLS, denied(), BYE),
        direct(HELLO, TLS, login(), mail(1), [(">", "550 5.7.60 SMTP; no", "")], BYE),
        direct(HELLO, TLS, login(), TLS, mail(1), BYE),
        direct(HELLO, TLS, login(), login(), mail(1), BYE),
        hub([("<", "XPROXY SID=1 IP=192.0.2.7", "")], mail(1)),
    ],
)
def test_other_sessions_are_not(rows: list[Any]) -> None:
    assert not any(outlined(rows))


def one(*event: str) -> list[Event]:
    kind, data, context = event
    return [(kind, data, context)]


PARTS: list[list[Event]] = [
    HELLO,
    TLS,
    login("CONTOSO\\jürgen"),
    login("EX2$"),
    login(handed_over=True),
    mail(1),
    mail(2, recipients=0),
    mail(3, sender=""),
    denied(),
    BYE[:2],
    BYE,
    from_front_end(),
    from_front_end()[1:5],
    from_front_end()[5:8],
    from_front_end()[8:],
    HANDED_OVER,
    HANDED_OVER[1:],
    TAKEN,
    *(
        one("<", words, "")
        for words in ("EHLO", "ehlo x y", "RSET", "AUTH", "auth plain", "X-EXPS GSSAPI", "XPROXY x", "MAIL", "RCPT", "", " AUTH")
    ),
    *(one(">", words, "") for words in ("250 ok", "220 ok", "250-ok", "25", "354 go", "235 yes", "421 4.4.2 x", "550 5.7.1 no", "550", "")),
    *(
        one(">", f"250 {words}", "")
        for words in ("2.1.0 x", "2.1.5 x", "2.6.0 x", "2.6.0 Queued mail for delivery", f"2.6.0 <a@b> {QUEUED}")
    ),
    *(
        one("*", "x", context)
        for context in ("authenticated", "TLS x", "User Name: x", "Set y", "", "TLS negotiation failed with error Shutdown")
    ),
    one("<", "BDAT 5", ""),
    one("+", "", ""),
    one("-", "", "Remote"),
]
SESSIONS = [
    [*HELLO, *TLS, *login("CONTOSO\\anna", handed_over=True), *BYE[2:]],
    [*from_front_end(), *mail(1), *mail(2, recipients=0), *BYE],
    [*HELLO, *TLS, *login(), *mail(1), *mail(2), *BYE],
    [*HELLO, *login(mechanism="PLAIN"), *BYE],
]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(SESSIONS),
            st.lists(st.tuples(st.integers(0, 99), st.integers(0, 3), st.sampled_from(PARTS)), max_size=3),
            st.sampled_from([CLIENT_FRONTEND, CLIENT_PROXY, DEFAULT]),
            st.sampled_from(["10.0.0.5:587", "10.0.0.5:25", "x"]),
            st.sampled_from(["192.0.2.10:50100", "[2001:db8::1]:5", ""]),
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=int(os.environ.get("SESSIONS", "300")), deadline=None)
def test_any_sessions_are_read_to_the_same_rows(
    sessions: list[tuple[list[Event], list[tuple[int, int, list[Event]]], str, str, str]],
) -> None:
    """With other rows among those of usual ones, or instead of some."""
    written = []
    for number, (events, edits, connector, local, remote) in enumerate(sessions):
        edited = list(events)
        for place, gone, part in edits:
            edited[place % len(events) : place % len(events) + gone] = part
        written.append(session(edited, id=f"08DE2A7B4C5E{number:04X}", connector=connector, local=local, remote=remote))
    compiled, plain = both(protocol(*written))
    assert compiled.told == plain.told
    assert compiled.newest == plain.newest


@pytest.mark.parametrize(
    "event", ["<, AUTH LOGIN,", '*,bob,"authenticated"', "*,bob,authenticated,EX2$,authenticated", "*,x NT AUTHORITY\\bob,authenticated"]
)
def test_sign_ins_that_are_written_as_most_are_not(event: str) -> None:
    lines = protocol(direct(HELLO, [("@", "", "")], TAKEN, mail(), BYE)).replace(b"@,,", event.encode())
    compiled, plain = both(lines)
    assert compiled.told == plain.told
    assert compiled.changes.rows


@pytest.mark.parametrize("broken", [b",x,", b",0x,", b",5,"])
@pytest.mark.parametrize("place", [3, 5, 8])
def test_session_that_goes_on_behind_its_end(broken: bytes, place: int) -> None:
    """Its first row cannot be read, and its last one stands twice, once too early."""
    text = protocol(front())
    header, first, *rows = re.split(rb"(?<=\n)(?=2026)", text)
    rows.insert(place, rows[-1])
    damaged = header + first.replace(b",0,", broken) + b"".join(rows)
    cut = line_ends(damaged)[len(header.splitlines()) + place + 1]
    compiled, plain = both(damaged, [cut])
    assert compiled.told == plain.told
    assert compiled.changes.unread == plain.changes.unread


# Message tracking


def test_time_comes_as_far_by_receipts_that_are_passed_over() -> None:
    for cut in (0, 3, 6):
        compiled, plain = both(tracking(*RECEIVED[cut:]))
        assert compiled.newest == plain.newest
        assert compiled.told == plain.told


def test_receipts_of_more_servers_than_are_told_apart() -> None:
    rows = [received(number, directionality="Incoming", server_hostname=f"EX{number % 20}") for number in range(60)]
    compiled, plain = both(tracking(*rows, received()))
    assert compiled.newest == plain.newest
    assert set(compiled.newest) == {f"EX{number}" for number in range(20)}
    assert compiled.told == plain.told


def test_columns_that_change_behind_what_was_looked_at_ahead() -> None:
    names = TRACKED.split(",")
    moved = [*names[1:], names[0]]
    row = received(2, message_subject="plain", size=77).split(",")
    older, newer = tracking(received(1)), tracking(",".join([*row[1:], row[0]]), columns=",".join(moved))
    compiled, plain = both(older + newer, [len(older)])
    assert {row.size for row in compiled.changes.told.values()} == {1519, 77}
    assert compiled.told == plain.told
