"""
ClickHouse over a network that fails: nothing is lost, nothing is twice, and it goes on by itself.

The server is one of HTTP in front of chDB (clickhouse_bridge.py), or none.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.error import HTTPError

import pytest
import trustme

from clickhouse_bridge import PASSWORD, READER, Bridge
from ingesting import Site
from measure import highest
from rows import NOON, commit, row
from smtp_auth_report import live
from smtp_auth_report.errors import AwayError, StoreError
from smtp_auth_report.moments import HOUR
from smtp_auth_report.reports import REPORTS, ask
from smtp_auth_report.store import open_store
from smtp_auth_report.store.clickhouse_client import NEEDED
from smtp_auth_report.store.clickhouse_errors import explanation
from smtp_auth_report.store.interface import Selection, Store
from smtp_auth_report.waiting import Wait, Waiting, waiting_of
from test_live import ALL, LOG, YEAR, Running, Start, starting
from test_live import until as soon

PATIENCE = 150
"""Seconds until an attempt is made again at the latest, and the server has started."""

EVER = Selection(NOON - 10**15, NOON + 10**15, "UTC")


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    with Bridge(tmp_path / "server") as running:
        yield running


@pytest.fixture
def store(bridge: Bridge, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(bridge.url(), state=tmp_path / "state", clock=lambda: NOON, default_domain="contoso.example")
    yield opened
    with suppress(AwayError):
        opened.close()


def test_rows_go_over_http_and_come_back(store: Store) -> None:
    """Compressed, in blocks, with parameters and temporary tables of a session."""
    rows = [row(key=number, opened=NOON + number, time=NOON + number, helo="ä'\n") for number in range(3000)]
    assert store.commit(commit(*rows)).added == 3000
    assert [each for part in store.submissions(EVER) for each in part] == rows
    assert store.choices("account", EVER) == [("anna@contoso.example", 3000)]


EVERY = ("subjects", "manners", "clients", "submissions", "accounts", "progress")


@pytest.mark.parametrize(("kind", "tables"), [("lost answer", EVERY), ("down before", EVERY[3:4]), ("disk full", EVERY[3:4])])
def test_a_commit_that_failed_anywhere_is_done_once(bridge: Bridge, store: Store, kind: str, tables: Sequence[str]) -> None:
    """Each insert fails in its turn, and then the same commit is written again."""
    store.commit(commit(row(key=1)))
    expected = 1
    for table in tables:
        expected += 1
        name = f"user{expected}@contoso.example"
        made = commit(row(key=expected, account=name, client_ip=f"192.0.2.{expected}", server=f"mx{expected}", mechanism=f"X{expected}"))
        made.changes.newest = {f"mx{expected}": NOON}
        bridge.trouble(kind, f"INSERT INTO {table}")
        with pytest.raises(AwayError, match="the disk is full" if kind == "disk full" else "the server has gone"):
            store.commit(made)
        assert any(each.startswith(f"INSERT INTO {table}") for each in bridge.asked())
        bridge.well()
        store.commit(made)
        assert store.count(EVER) == expected
    assert len(store.names()[0]) == expected


def test_a_server_that_is_ended_and_comes_back(bridge: Bridge, store: Store) -> None:
    """Connections that were kept are those of the server before."""
    store.commit(commit(row(key=1)))
    bridge.stop()
    with pytest.raises(AwayError, match="no server answers there"):
        store.count(EVER)
    bridge.start()
    assert store.commit(commit(row(key=1), row(key=2))).added == 1
    assert store.count(EVER) == 2


def test_a_slow_server_is_waited_for_as_long_as_is_set(bridge: Bridge, store: Store, tmp_path: Path) -> None:
    store.commit(commit(row()))
    hasty = open_store(bridge.url(options="?timeout=10"), state=tmp_path / "hasty")
    bridge.trouble("slow", "SELECT count(")
    with pytest.raises(AwayError, match="does not answer in time"):
        hasty.count(EVER)
    bridge.well()
    assert hasty.count(EVER) == 1
    hasty.close()


def test_who_may_only_read_has_every_answer_and_writes_nothing(bridge: Bridge, store: Store, tmp_path: Path) -> None:
    """Pages are served to such a user too; a reader of logs is told which grants it lacks."""
    store.commit(commit(*(row(key=number, time=NOON - number * HOUR, opened=NOON - number * HOUR) for number in range(30))))
    url, state = bridge.url(user=READER), tmp_path / "reader"
    asked = ("span", "progress", "streams", "unread", "names", "withheld", "counted_reports")

    def answers(of: Store) -> list[object]:
        reports = [ask(report, of, EVER, interval="day") for report in REPORTS.values()]
        return [reports, list(of.submissions(EVER)), [getattr(of, each)() for each in asked]]

    expected = answers(store)
    for options in ({"read_only": True}, {"serving": True}):
        reader = open_store(url, state=state, clock=lambda: NOON, default_domain="contoso.example", **options)
        assert answers(reader) == expected
        for change in (lambda reader=reader: reader.commit(commit(row(key=99))), lambda reader=reader: reader.expire(NOON)):
            with pytest.raises(StoreError, match="cannot be written: it was opened for reading only"):
                change()
        reader.close()
    with pytest.raises(AwayError, match=r"the user may not do this; see the grants in docs/scale\.md"):
        open_store(url, state=state, clock=lambda: NOON)
    assert store.count(EVER) == 30


def refused(database: str, tmp_path: Path) -> str:
    with pytest.raises(AwayError) as told:
        open_store(database, state=tmp_path / "refused")
    assert "\n" not in str(told.value)
    assert PASSWORD not in str(told.value)
    return str(told.value)


def test_what_a_server_refuses_is_one_line(bridge: Bridge, tmp_path: Path) -> None:
    assert "refuses the user or the password" in refused(bridge.url(password="another"), tmp_path)
    bridge.trouble("old")
    needed = ".".join(map(str, NEEDED))
    told = f"the server is too old: it is ClickHouse 24.3.18.7, and {needed} or newer is needed; update it"
    assert told in refused(bridge.url(), tmp_path)
    # Of Debian's 18.16, to the first thing that clickhouse-connect asks
    said = "Code: 47, e.displayText() = DB::Exception: Unknown identifier: readonly, e.what() = DB::Exception"
    assert explanation(said) == f"the server is too old: ClickHouse {needed} or newer is needed; update it"


def test_a_certificate_is_trusted_only_where_its_authority_is_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, roots = tmp_path / "server.pem", tmp_path / "ca.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(roots)
    with Bridge(tmp_path / "server", certificate=certificate) as bridge:
        assert "its TLS certificate is not trusted" in refused(bridge.url(options="?secure=1"), tmp_path)
        store = open_store(bridge.url(options=f"?secure=1&ca_cert={roots}"), state=tmp_path / "state")
        assert store.count(EVER) == 0
        store.close()


# The whole program


def until(wanted: object, ask: Callable[[], object]) -> None:
    soon(wanted, ask, PATIENCE)


@pytest.fixture
def start(bridge: Bridge, tmp_path: Path) -> Iterator[Start]:
    with starting(lambda: Site(tmp_path, database=bridge.url())) as begin:
        yield begin


def waits(running: Running) -> Callable[[], str]:
    """What it says that it waits for."""

    def ask() -> str:
        wait = waiting_of(running.site.folder / "state.sqlite3")
        found = re.search("no server answers|the disk is full|refuses the user", wait.words) if wait else None
        return found[0] if found else ""

    return ask


CUT = LOG.index(b"\n", 400_000) + 1
OTHER = LOG[CUT : CUT + 15] + b" mail kernel: eth0: link is up\n"
MEGABYTES = 128
"""Of such lines, that are written meanwhile."""


def test_reading_waits_for_a_server_and_goes_on(bridge: Bridge, start: Start, tmp_path: Path) -> None:
    """Down when it starts, full in the middle, down again; every row once, and what is written meanwhile stays where it is."""
    log = tmp_path / "mail.log"
    log.write_bytes(LOG[:200_000])
    bridge.stop()
    reader = start("ingest", "--follow", *YEAR, "--timezone", "UTC", log)
    until("no server answers", waits(reader))
    bridge.start()
    until("", waits(reader))
    until(True, lambda: sum(reader.rows().values()) > 50)
    bridge.trouble("disk full", "INSERT INTO submissions")
    with log.open("ab") as file:
        file.write(LOG[200_000:CUT])
    until("the disk is full", waits(reader))
    bridge.stop()
    until("no server answers", waits(reader))
    before = highest(reader.process.pid)
    with log.open("ab") as file:
        for _ in range(MEGABYTES):
            file.write(OTHER * ((1 << 20) // len(OTHER)))
        file.write(LOG[CUT:])
    bridge.start()
    until(ALL, reader.rows)
    until("", waits(reader))
    assert (highest(reader.process.pid) - before) >> 20 < MEGABYTES // 2
    said = reader.end()
    assert said.count("the disk is full") == 1
    assert said.count("the database answers again; reading goes on") == 2


def test_files_that_are_read_once_end_with_one_line(bridge: Bridge, tmp_path: Path) -> None:
    """And the next run goes on there."""
    log = tmp_path / "mail.log"
    log.write_bytes(LOG[:100_000])
    site = Site(tmp_path, database=bridge.url())
    for kind, told in (("disk full", "the disk is full"), ("lost answer", "the server has gone")):
        bridge.trouble(kind, "INSERT INTO submissions")
        ran = site.run("ingest", *YEAR, "--timezone", "UTC", log)
        assert (ran.returncode, ran.stderr.count(b"\n")) == (1, 1)
        assert told in ran.stderr.decode()
        bridge.well()
    site.ingest(*YEAR, log)
    undisturbed = Site(tmp_path)
    undisturbed.ingest(*YEAR, log)
    assert site.rows() == undisturbed.rows()


def answered(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_pages_tell_that_the_server_is_away(bridge: Bridge, start: Start, tmp_path: Path) -> None:
    """From the start on, and while it is full; a monitoring system is told too."""
    log = tmp_path / "mail.log"
    log.write_bytes(LOG[:200_000])
    bridge.stop()
    served = start("serve", "--listen", "127.0.0.1:0", "--timezone", "UTC", "--follow", log)
    assert served.process.stderr is not None
    lines = iter(served.process.stderr.readline, b"")
    address = next(found[0].decode() for line in lines if (found := re.search(rb"http://\S+(?=/)", line)))
    until("no server answers", waits(served))
    for page in ("/", "/ingest", "/report", "/api/ingest"):
        status, text = answered(address + page)
        assert status == 503
        assert text.count("no server answers there; see whether ClickHouse runs") == 1
    assert "Logs of this host are not read just now" in answered(address + "/ingest")[1]
    since = json.loads(answered(address + "/api/ingest")[1])["waiting_since"]
    status, metrics = answered(address + "/metrics")
    assert status == 200
    assert "smtp_auth_report_database_up 0.0" in metrics
    assert re.search(r"smtp_auth_report_waiting_seconds [1-9]", metrics)
    bridge.start()
    until(200, lambda: answered(address + "/ingest")[0])
    until("", waits(served))
    assert "smtp_auth_report_database_up 1.0" in answered(address + "/metrics")[1]
    bridge.trouble("disk full", "INSERT INTO submissions")
    with log.open("ab") as file:
        file.write(LOG[200_000:])
    until("the disk is full", waits(served))
    status, text = answered(address + "/ingest")
    assert (status, "the disk is full" in text) == (200, True)
    waiting = json.loads(answered(address + "/api/ingest")[1])["waiting"]
    assert "the disk is full" in waiting["reason"]
    assert waiting["since"] > since
    bridge.well()
    until("", waits(served))
    assert json.loads(answered(address + "/api/ingest")[1])["waiting"] is None
    assert "not read just now" not in answered(address + "/ingest")[1]


def test_only_a_process_that_lives_is_said_to_wait(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first, second = Waiting(state), Waiting(state)
    assert waiting_of(state) is None
    first.since(5, "one")
    second.since(6, "another")
    assert waiting_of(state) == Wait(5, "one")
    first.since(5, "what else")
    assert waiting_of(state) == Wait(5, "what else")
    first.over()
    second.over()
    assert waiting_of(state) is None
    (tmp_path / "state.waiting").write_text(json.dumps([5, "of one that was killed"]))
    assert waiting_of(state) is None
    nowhere = Waiting(tmp_path / "nowhere" / "state")
    nowhere.since(5, "not told")
    nowhere.over()


def test_pauses_grow_up_to_half_a_minute() -> None:
    assert list(islice(live.pauses(), 9)) == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
