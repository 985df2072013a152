"""
Exchange: front ends, mailbox servers and message tracking give the same rows in whatever order their files are read.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import new_database
from exchange_log import (
    BYE,
    COLUMNS,
    DEFAULT,
    DIRECT,
    FRONT,
    HANDED_OVER,
    HELLO,
    SECURED,
    TAKEN,
    TLS,
    TRACKED,
    challenged,
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
    vouched,
)
from reading import in_order, line_ends, read, run
from smtp_auth_report.errors import InputError
from smtp_auth_report.ingest import Ingest, Reading, Summary
from smtp_auth_report.reports.findings import findings, recent
from smtp_auth_report.site_key import account_key
from smtp_auth_report.sources import SOURCES, exchange
from smtp_auth_report.sources.csv_log import fields
from smtp_auth_report.store import open_store
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.submission import Submission

NOW = 1_795_500_000_000_000
ANNA = "anna@contoso.example"
SENT = direct(HELLO, TLS, login(), mail(), BYE)


class Site:
    """A database, and files that are read into it one by one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        new_database.begin(folder / "mail.duckdb")
        self.store = open_store(str(folder / "mail.duckdb"))
        self.number = itertools.count()

    def ingest(self, *texts: bytes) -> Summary:
        paths = []
        for text in texts:
            path = self.folder / f"{next(self.number)}.LOG"
            path.write_bytes(text)
            paths.append(str(path))
        return self.read(*paths)

    def read(self, *paths: str) -> Summary:
        return Ingest(self.store, b"k" * 32, Reading(ZoneInfo("UTC")), NOW).run(paths)

    def rows(self) -> list[Submission]:
        span = self.store.span()
        return [] if span is None else [row for part in self.store.submissions(Selection(span[0], span[1] + 1, "UTC")) for row in part]


@contextmanager
def site(folder: Path, name: str = "site") -> Iterator[Site]:
    (folder / name).mkdir()
    made = Site(folder / name)
    try:
        yield made
    finally:
        made.store.close()


def rows_of(folder: Path, *runs: Iterable[bytes]) -> list[Submission]:
    """What reading these files, run by run, leaves in a new database."""
    with site(folder, f"site{len(list(folder.iterdir()))}") as made:
        for texts in runs:
            made.ingest(*texts)
        return made.rows()


def only(rows: list[Submission]) -> Submission:
    assert len(rows) == 1, rows
    return rows[0]


# Front end and mailbox server


HANDED = (protocol(front()), protocol(hub(mail(1), mail(2, recipients=1, size=99))))
TRACKED_TOO = tracking(received(1), received(2, size=400, recipients=1))


def test_a_client_that_was_handed_over_is_counted_once(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, HANDED)
    assert [(row.queue_id, row.account, row.mechanism, row.tls_version, row.service, row.client_ip, row.helo) for row in rows] == [
        ("4793", ANNA, "LOGIN", "TLSv1.2", "submission", "192.0.2.10", "pc.contoso.example"),
        ("4794", ANNA, "LOGIN", "TLSv1.2", "submission", "192.0.2.10", "pc.contoso.example"),
    ]
    assert [(row.recipients, row.size, row.outcome) for row in rows] == [(2, 1253, "accepted"), (1, 99, "accepted")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_order_of_files_and_runs_changes_nothing(tmp_path: Path, order: tuple[int, ...]) -> None:
    files = [*HANDED, TRACKED_TOO]
    wanted = rows_of(tmp_path, files)
    assert [(row.size, row.recipients) for row in wanted] == [(1519, 2), (400, 1)]
    chosen = [files[place] for place in order]
    assert rows_of(tmp_path, chosen) == wanted
    assert rows_of(tmp_path, *([text] for text in chosen)) == wanted
    assert rows_of(tmp_path, *([text] for text in [*chosen, *chosen])) == wanted


def test_front_end_alone() -> None:
    row = only(read(HANDED[0]))
    assert (row.outcome, row.account, row.tls_version) == ("no_mail", ANNA, "TLSv1.2")


def test_mailbox_server_alone() -> None:
    rows = read(HANDED[1])
    assert {(row.outcome, row.account, row.mechanism, row.tls_version, row.service, row.client_ip) for row in rows} == {
        ("accepted", None, "unknown", "unknown", "unknown", "192.0.2.10")
    }


@pytest.mark.parametrize(
    ("files", "lacking"),
    [(HANDED[:1], ["messages"]), (HANDED[1:], ["account", "tls_version"]), (HANDED, []), ([TRACKED_TOO], ["sessions"])],
    ids=["front end", "mailbox server", "both", "tracking"],
)
def test_what_is_missing_is_said(tmp_path: Path, files: Sequence[bytes], lacking: list[str]) -> None:
    with site(tmp_path) as made:
        made.ingest(*files)
        found = findings(made.store, SOURCES, recent(made.store, "UTC"))
    assert [finding.remedy.lacks for finding in found] == lacking


def test_front_end_whose_client_sent_nothing(tmp_path: Path) -> None:
    assert [row.outcome for row in rows_of(tmp_path, [HANDED[0], protocol(hub())])] == ["no_mail"]


def test_transaction_that_the_mailbox_server_refuses(tmp_path: Path) -> None:
    refused = [("<", f"MAIL FROM:<{ANNA}>", ""), (">", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "")]
    row = only(rows_of(tmp_path, [HANDED[0], protocol(hub(refused))]))
    assert (row.outcome, row.reason, row.account, row.tls_version) == ("rejected", "sender_not_owned", ANNA, "TLSv1.2")


def test_front_end_that_signs_in_again_for_its_client(tmp_path: Path) -> None:
    """As it does where the mailbox server does not know the client by its SID."""
    rows = rows_of(tmp_path, [HANDED[0], protocol(hub(login(), mail()))])
    assert [(row.outcome, row.account, row.tls_version) for row in rows] == [("accepted", ANNA, "TLSv1.2")]


def test_sessions_between_servers_are_no_submissions() -> None:
    for account, mechanism in (("CONTOSO\\EX2$", "GSSAPI"), ("NT AUTHORITY\\SYSTEM", "GSSAPI"), ("x", "EXCHANGEAUTH SHA256")):
        events = [("+", "", ""), ("<", f"X-EXPS {mechanism}", ""), ("*", account, "authenticated"), *TAKEN]
        assert read(protocol(direct(events, mail(), BYE, connector=DEFAULT))) == []


def test_client_that_signs_in_with_the_servers_own_verb() -> None:
    events = [*HELLO, ("<", "X-EXPS NTLM", ""), ("*", "CONTOSO\\anna", "authenticated"), *TAKEN]
    row = only(read(protocol(direct(events, mail(), BYE))))
    assert (row.account, row.mechanism) == ("CONTOSO\\anna", "NTLM")


@pytest.mark.parametrize("answer", ["550 5.7.1 Not authorized", "500 5.3.3 Unrecognized command"])
def test_stranger_who_says_that_he_speaks_for_a_client(answer: str) -> None:
    claim = [("<", f"XPROXY SID={FRONT} IP=192.0.2.10 PORT=50100 DOMAIN=x SECID=Uy0=", ""), (">", answer, "")]
    assert read(protocol(direct(HELLO, claim, mail(), BYE, connector="EX1\\Default Frontend EX1"))) == []


@pytest.mark.parametrize("words", ["XPROXYFROM SID=1 IP=1.2.3.4 PORT=1", "X-EXPS EXCHANGEAUTH SHA256 ", "X-EXPS GSSAPI"])
def test_thief_who_says_that_he_is_a_server(words: str) -> None:
    claim = [("<", words, ""), (">", "504 5.7.4 Unrecognized authentication type", "")]
    rows = read(protocol(direct(HELLO, TLS, claim, login(), mail(), BYE)))
    assert [row.account for row in rows if row.outcome == "accepted"] == [ANNA]


# Message tracking


def test_tracking_alone_gives_no_row(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.ingest(TRACKED_TOO)
        assert made.rows() == []


@pytest.mark.parametrize("columns", [COLUMNS, ",".join(reversed(COLUMNS.split(",")))])
def test_columns_by_the_header(columns: str) -> None:
    places = [COLUMNS.split(",").index(name) for name in columns.split(",")]
    lines = []
    for line in SENT:
        cut = fields(line.text.encode())
        lines.append(line._replace(text=",".join('"' + cut[place].decode().replace('"', '""') + '"' for place in places)))
    assert read(protocol(lines, columns=columns)) == read(protocol(SENT))


@pytest.mark.parametrize("number", [30, 24, 20])
def test_columns_missing_in_older_builds(tmp_path: Path, number: int) -> None:
    names = TRACKED.split(",")[:number]
    cut = ",".join(received(message_subject="plain").split(",")[:number])
    row = rows_of(tmp_path, [*HANDED, tracking(cut, columns=",".join(names))])[0]
    assert (row.size, row.recipients) == (1519, 2)


def test_tracking_joins_by_session_where_the_answer_has_no_number(tmp_path: Path) -> None:
    answer = (">", "250 2.6.0 <1@contoso.example> Queued mail for delivery", "")
    text = protocol(direct(HELLO, TLS, login(), [*mail()[:-1], answer], BYE))
    assert only(rows_of(tmp_path, [text, tracking(received(context=DIRECT))])).size == 1519


@pytest.mark.parametrize(
    "stated", [{"event_id": "DELIVER"}, {"source": "STOREDRIVER"}, {"directionality": "Incoming"}, {"message_id": "<2@x>"}]
)
def test_rows_of_tracking_that_tell_nothing(tmp_path: Path, stated: dict[str, str]) -> None:
    text = tracking(received(**stated), received(message_subject="a,SMTP,RECEIVE,b", **stated))
    assert rows_of(tmp_path, [*HANDED, text])[0].size == 1253


def test_line_breaks_in_a_subject_make_no_rows(tmp_path: Path) -> None:
    forged = received(size=999_999)
    text = tracking(received(9, message_subject=f"x\n{forged}\ny"), received())
    for end in line_ends(text):
        reader, changes = run(text, [end])
        assert 999_999 not in {row.size for row in changes.told.values()}
        assert len(changes.told) == 4
        assert reader.recognised
    assert rows_of(tmp_path, [*HANDED, text])[0].size == 1519


def test_what_is_told_goes_with_the_rows_that_are_erased(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.ingest(*HANDED)
        assert made.store.erase(ANNA, account_key(b"k" * 32, ANNA)) == 2
        made.ingest(TRACKED_TOO)
        made.ingest(HANDED[1].replace(b"\r\n", b"\n"))
        rows = made.rows()
    assert {row.account for row in rows} == {None}, "the mailbox server's log names nobody"


def test_what_is_told_goes_with_the_rows_that_expire(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.ingest(*HANDED)
        assert made.store.expire(NOW) == 2
        made.ingest(TRACKED_TOO)
        assert made.rows() == []


# Cut, shuffled, resumed


def test_file_with_a_byte_order_mark_and_many_batches() -> None:
    text = protocol(SENT, front(), hub(mail()), bom=True)
    assert read(text) == read(protocol(SENT, front(), hub(mail())))
    assert read(text, line_ends(text)) == read(text)


def busy() -> bytes:
    """Sessions of all kinds, side by side."""
    return protocol(
        SENT,
        front(),
        hub(mail(1), mail(2)),
        direct(HELLO, TLS, denied(), login("bob@contoso.example"), mail(7), BYE, id="08DE2A7B4C5DBBBB", remote="192.0.2.11:1"),
        direct(HELLO, TLS, mail(8), BYE, id="08DE2A7B4C5DCCCC", remote="192.0.2.12:1"),
        direct(HELLO, login("carl"), BYE, id="08DE2A7B4C5DDDDD", remote="192.0.2.13:1"),
        direct(HELLO, TLS, denied("x"), BYE, id="08DE2A7B4C5DEEEE", remote="192.0.2.14:1"),
        direct(HELLO, [*SECURED, ("*", "", "TLS negotiation failed with error InvalidToken"), ("-", "", "Local")], id="08DE2A7B4C5DFFFF"),
        direct(from_front_end()[:-2], [("<", "XPROXYFROM SID=1 IP=1.2.3.4", "")], mail(9), BYE, id="08DE2A7B4C5D0001", connector=DEFAULT),
        direct([("+", "", ""), ("<", "X-EXPS GSSAPI", "")], vouched("CONTOSO\\EX2$"), TAKEN, mail(9), BYE, id="08DE2A7B4C5D0002"),
    )


def halves(text: bytes, cut: int) -> tuple[bytes, bytes]:
    header = text[: text.index(b"\r\n2026") + 2]
    return text[:cut], header + text[cut:]


BUSY = busy()
FIRST_ROW = BUSY.index(b"\r\n2026") + 2
ROW_ENDS = [end for end in line_ends(BUSY) if end > FIRST_ROW]


@pytest.fixture(scope="module")
def busy_rows(tmp_path_factory: pytest.TempPathFactory) -> list[Submission]:
    return rows_of(tmp_path_factory.mktemp("whole"), [BUSY])


@pytest.mark.parametrize("cut", [*ROW_ENDS[40:160:13], *random.Random(5).sample(ROW_ENDS, 10)])
def test_cut_log_in_either_order_and_in_two_runs(tmp_path: Path, busy_rows: list[Submission], cut: int) -> None:
    older, newer = halves(BUSY, cut)
    assert rows_of(tmp_path, [older, newer]) == busy_rows
    assert rows_of(tmp_path, [older], [newer]) == busy_rows
    assert list(map(unnamed, rows_of(tmp_path, [newer], [older]))) == list(map(unnamed, busy_rows))


def unnamed(row: Submission) -> Submission:
    """A name that failed to sign in is not kept from one run to the next."""
    return row._replace(account=None, account_key=None) if row.outcome == "auth_failed" else row


def test_rows_of_one_session_in_any_order() -> None:
    rows = BUSY[FIRST_ROW:].splitlines(keepends=True)
    random.Random(7).shuffle(rows)
    assert sorted(read(BUSY[:FIRST_ROW] + b"".join(rows))) == sorted(read(BUSY))


def test_file_that_grows_is_read_on_without_its_header(tmp_path: Path, busy_rows: list[Submission]) -> None:
    with site(tmp_path) as made:
        path = tmp_path / "RECV.LOG"
        for end in [*ROW_ENDS[10::25], len(BUSY)]:
            path.write_bytes(BUSY[:end])
            made.read(str(path))
        assert made.rows() == busy_rows


def test_reading_that_stopped_inside_quotes_goes_on_there() -> None:
    text = tracking(received(9, message_subject=f"x\n{received(size=5)}\ny"), received())
    inside = text.index(b"\n", text.index(b'"x')) + 1
    reader, first = run(text[:inside])
    again, second = run(b"", source=None)
    again.settle([], b"", text[:4096])
    again.recall(reader.remember())
    second = again.feed(text[inside:])
    assert first.told == {}
    assert {row.size for row in second.told.values()} == {1519}


@pytest.mark.skipif(not exchange.COMPILED, reason="installed without a compiler")
@pytest.mark.parametrize("seed", range(20))
def test_passing_over_sessions_changes_nothing(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chance = random.Random(seed)
    feeds = sorted(chance.sample(ROW_ENDS, 4))
    monkeypatch.setattr(exchange, "WORTH_SIFTING", 0)
    sifted = run(BUSY, feeds)[1]
    monkeypatch.setattr(exchange, "COMPILED", False)
    assert in_order(run(BUSY, feeds)[1].rows.values()) == in_order(sifted.rows.values())
    assert run(BUSY, feeds)[1].told == sifted.told


def test_logs_of_two_servers_in_one_folder(tmp_path: Path) -> None:
    other = session(
        [*HELLO, *TLS, *login("bob@contoso.example"), *mail(5), *BYE],
        connector="EX2\\Client EX2",
        id=DIRECT,
        remote="192.0.2.99:1",
    )
    rows = rows_of(tmp_path, [protocol(SENT), protocol(other)])
    assert sorted((row.server, row.account) for row in rows) == [("EX1", ANNA), ("EX2", "bob@contoso.example")]


def test_handing_over_is_told_by_either_row() -> None:
    for kept in (HANDED_OVER[:1], HANDED_OVER[1:]):
        _, changes = run(protocol(front([*HELLO, *TLS, *challenged(), *vouched(ANNA), *kept, *TAKEN, *BYE])))
        assert [row.account for row in changes.told.values()] == [ANNA]


@pytest.mark.parametrize(
    ("title", "columns", "word"),
    [
        ("IMAP4 Log", "dateTime,sessionId,seqNumber,sIp,cIp,user,duration,rqsize,rpsize,command,parameters,context", "IMAP4"),
        ("POP3 Log", "dateTime,sessionId,seqNumber,sIp,cIp,user,duration,rqsize,rpsize,command,parameters,context", "POP3"),
        ("SMTP Send Protocol Log", COLUMNS, "SMTP Send"),
    ],
)
def test_logs_that_look_alike_are_refused_by_name(tmp_path: Path, title: str, columns: str, word: str) -> None:
    text = protocol(title=title, columns=columns) + (
        b"2026-11-23T16:06:05.123Z,0000000000000A1B,2,10.0.0.5:143,192.0.2.10:50100,anna,24,20,33,authenticate,plain,R=ok\r\n"
    )
    with site(tmp_path) as made, pytest.raises(InputError, match=f"is Exchange's {word} protocol log"):
        made.ingest(text)


def test_a_file_in_which_nothing_was_logged_yet(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.ingest(protocol(bom=True))
        assert made.rows() == []
        made.ingest(protocol(front([*HELLO, *TLS, *challenged(), *vouched(ANNA), *TAKEN, *BYE])))
        assert [row.account for row in made.rows()] == [ANNA]
