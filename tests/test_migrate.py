"""
A store copied to the other engine and back is the same store; a copy that was stopped goes on, and answers nothing before.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from engines import chdb_folder, empty
from ingesting import PROGRAM, Site
from rows import NOON, commit, key_of, row
from smtp_auth_report.changes import Changes, Commit, Position
from smtp_auth_report.errors import StoreError
from smtp_auth_report.moments import DAY
from smtp_auth_report.store import open_store
from smtp_auth_report.store.clickhouse_client import Clients
from smtp_auth_report.store.clickhouse_place import placed
from smtp_auth_report.store.copying import COPIED_FROM, TABLES, End, Telling, migrate
from smtp_auth_report.store.duckdb import DuckStore
from smtp_auth_report.store.duckdb_copying import DuckEnd
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.store.migrating import Circumstances, opened
from smtp_auth_report.submission import Submission
from test_engines import filled, random_rows

SEED = 6
KILLS = int(os.environ.get("MIGRATE_KILLS", "1"))
"""Of each copy; both ways where it is more than one."""

LOGS = tuple(Path(__file__).parent / "logs" / name / "default" / "mail.log" for name in ("chasquid", "opensmtpd"))


class StoppedError(Exception):
    pass


class Places:
    """A store of DuckDB, a folder for ClickHouse, and a file to copy back into."""

    def __init__(self, folder: Path, click: Path | None = None) -> None:
        self.duck, self.back, self.click = str(folder / "mail.duckdb"), str(folder / "back.duckdb"), f"chdb://{click or folder / 'chdb'}"
        self.given = Circumstances(folder / "reading", "", "UTC", lambda: NOON)

    def copy(self, source: str, target: str, told: Telling = lambda *_: None) -> tuple[int, int, int]:
        with opened(source, self.given, new=False) as here, opened(target, self.given, new=True) as there:
            return migrate(here, there, told)


def stop_half_way(what: str, done: int, every: int) -> None:
    if what == "rows" and done > every // 2:
        raise StoppedError


def stop_at_checksums(what: str, done: int, every: int) -> None:
    if what == "checksums" and done < every:
        raise StoppedError


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """In this process, which has one folder for ClickHouse."""
    places = Places(tmp_path, chdb_folder())
    with closing(Clients(placed(places.click))) as clients, clients.client() as client:
        empty(client)
    return places


def keep(path: str, rows: list[Submission]) -> None:
    """A store with much in it."""
    store = filled(rows, path)
    positions = [Position("h", 10, 5, "t", "/var/log/mail.log", "UTC", "{}")]
    changes = Changes(told={7: row(key=7, size=99)}, awaited={rows[0].identity: (8,)})
    changes.put(rows[0]._replace(time=NOON))
    store.commit(Commit(changes, positions=positions))
    store.erase("printer", key_of("printer") or "")
    store.close()


def content(end: End) -> dict[str, object]:
    """All that one of them holds, as far as both engines have it."""
    tables: dict[str, object] = {kept.table: end.prints(kept) for kept in TABLES}
    said = {name: value for name, value in end.settled().items() if name in ("bucket_minutes", "expired_before", "widest_spread")}
    return tables | {"meta": said, "positions": end.positions(), "remembered": end.remembered()}


def test_there_and_back_is_the_same(places: Places) -> None:
    keep(places.duck, random_rows(random.Random(SEED)))
    copied, rows, days = places.copy(places.duck, places.click)
    assert copied == rows > 300
    assert days > 50
    assert places.copy(places.click, places.back) == (copied, rows, days)
    with opened(places.duck, places.given, new=False) as here, opened(places.back, places.given, new=False) as there:
        assert content(here) == content(there)
        assert [kept.table for kept in TABLES if not content(here)[kept.table]] == []
    one, other = (open_store(path, read_only=True) for path in (places.duck, places.back))
    everything = whole(one)
    assert everything == whole(other)
    assert one.names() == other.names()
    one.close()
    other.close()


def whole(store: object) -> list[Submission]:
    assert isinstance(store, DuckStore)
    return [each for batch in store.submissions(Selection(0, NOON + DAY, "UTC")) for each in batch]


@pytest.mark.parametrize("back", [False, True], ids=["to ClickHouse", "to DuckDB"])
def test_a_copy_that_was_stopped_goes_on(places: Places, monkeypatch: pytest.MonkeyPatch, *, back: bool) -> None:
    monkeypatch.setattr("smtp_auth_report.store.copying.AT_ONCE", 50)
    keep(places.duck, random_rows(random.Random(SEED)))
    source, target = places.duck, places.click
    if back:
        places.copy(source, target)
        source, target = places.click, places.back

    with pytest.raises(StoppedError):
        places.copy(source, target, stop_half_way)
    with pytest.raises(StoreError, match=r"holds only part of .*; run migrate .* again"):
        open_store(target, state=places.given.state)
    copied, rows, _ = places.copy(source, target)
    assert 0 < copied < rows
    with opened(source, places.given, new=False) as here, opened(target, places.given, new=False) as there:
        assert {**content(here), "positions": 0, "remembered": 0} == {**content(there), "positions": 0, "remembered": 0}
        assert COPIED_FROM not in there.settled()


def test_what_is_not_empty_is_left_alone(places: Places, tmp_path: Path) -> None:
    keep(places.duck, [row()])
    keep(places.back, [row()])
    with pytest.raises(StoreError, match=r"back.duckdb: is not empty \(submissions, "):
        places.copy(places.duck, places.back)
    places.copy(places.duck, places.click)
    with pytest.raises(StoreError, match=r"chdb://.*: is not empty \(submissions, "):
        places.copy(places.duck, places.click)
    with pytest.raises(StoreError, match="no such database"):
        places.copy(str(tmp_path / "nothing.duckdb"), places.click)


def test_a_copy_of_another_store_is_left_alone(places: Places) -> None:
    keep(places.duck, [row()])
    keep(places.back, [row()])
    with opened(places.click, places.given, new=True) as there:
        there.begin(places.duck)
    with pytest.raises(StoreError, match=r"holds part of .*/mail.duckdb already; give an empty database"):
        places.copy(places.back, places.click)
    with pytest.raises(StoreError, match=r"holds only part of"):
        places.copy(places.click, str(Path(places.back).with_name("third.duckdb")))


def test_what_changed_in_the_source_since_is_copied_anew(places: Places) -> None:
    """Rows revised and withdrawn between two runs of the same copy."""
    rows = [row(time=NOON - number * DAY) for number in range(5)]
    store = open_store(places.duck, clock=lambda: NOON)
    store.commit(commit(*rows))
    store.close()
    with pytest.raises(StoppedError):
        places.copy(places.duck, places.click, stop_at_checksums)
    store = open_store(places.duck, clock=lambda: NOON)
    changes = Changes()
    changes.withdraw(rows[1].identity)
    changes.put(rows[2]._replace(helo="zz", time=rows[2].time - 1))
    store.commit(Commit(changes))
    store.close()
    places.given = places.given._replace(clock=lambda: NOON + 1)
    assert places.copy(places.duck, places.click)[:2] == (1, 4)


def test_a_difference_is_told(places: Places) -> None:
    keep(places.duck, [row(), row(time=NOON - DAY)])

    def meddle(what: str, done: int, every: int) -> None:
        if what == "checksums" and not done:
            del every
            target[0]._run("UPDATE submissions SET size = 3 WHERE time = make_timestamp(?)", [NOON])

    target: list[DuckEnd] = []

    def copy() -> None:
        with opened(places.duck, places.given, new=False) as here, opened(places.back, places.given, new=True) as there:
            assert isinstance(there, DuckEnd)
            target.append(there)
            migrate(here, there, meddle)

    with pytest.raises(StoreError, match=r"is not what .* holds: submissions 2026-11-18 \(1 rows instead of 1\); see that nothing else"):
        copy()


# The command


def test_the_command_copies_there_and_back(tmp_path: Path) -> None:
    site, places = Site(tmp_path), Places(tmp_path)
    read = ("ingest", "--year", "2026", "--timezone", "UTC", *LOGS)
    site.done(*read)
    told = site.done("migrate", places.duck, places.click).stderr.decode()
    assert re.fullmatch(r"chdb://\S+ holds all [\d,]+ rows of \d+ days, [\d,]+ of them copied now; numbers and checksums agree.\n", told)
    again = site.run("migrate", places.duck, places.click)
    assert (again.returncode, b"is not empty" in again.stderr) == (1, True)
    site.done("migrate", places.click, places.back)
    exported = [site.done("export", "--database", name).stdout for name in (places.duck, places.click, places.back)]
    assert exported[0] == exported[1] == exported[2] != b""
    for name in (places.click, places.back):
        summary = site.done(*read, "--database", name).stderr.decode()
        assert summary.startswith("New rows: none; 0 earlier rows revised, 0 known already.\nLines: 0 read")


def test_a_terminal_is_shown_how_far_it_is(tmp_path: Path) -> None:
    site, places = Site(tmp_path), Places(tmp_path)
    site.ingest("--year", "2026", LOGS[0])
    terminal, end = os.openpty()
    shown = b""
    with subprocess.Popen([*PROGRAM, "migrate", places.duck, places.back], env=site.environment | {"TERM": "xterm"}, stderr=end) as process:
        os.close(end)
        with suppress(OSError):  # nobody writes to it any more
            while part := os.read(terminal, 4096):
                shown += part
    os.close(terminal)
    assert process.returncode == 0
    for what in (b"what is to be copied", b"rows", b"checksums"):
        assert re.search(rb"Copying: " + what + rb"[^\r\n]* 100 %", shown), shown


def test_the_key_goes_along(tmp_path: Path) -> None:
    """By it accounts are told apart."""
    site = Site(tmp_path)
    del site.environment["SMTP_AUTH_REPORT_STATE"]
    site.ingest("--year", "2026", LOGS[0])
    key = (tmp_path / "mail.state.sqlite3.key").read_text()
    (tmp_path / "there").mkdir()
    told = site.done("migrate", tmp_path / "mail.duckdb", tmp_path / "there" / "mail.duckdb").stderr.decode()
    other = tmp_path / "there" / "mail.state.sqlite3.key"
    assert (other.read_text(), other.stat().st_mode & 0o777) == (key, 0o600)
    assert f"Note: people and report requests stay in {tmp_path}/mail.state.sqlite3; " in told
    other.write_text("0" * 64)
    refused = site.run(
        "migrate", tmp_path / "mail.duckdb", tmp_path / "there" / "another.duckdb", "--state", tmp_path / "mail.state.sqlite3"
    )
    assert refused.returncode == 0
    refused = site.run("migrate", tmp_path / "mail.duckdb", tmp_path / "there" / "mail.duckdb")
    assert (refused.returncode, refused.stderr.count(b"\n")) == (1, 1)
    assert b"is another key than" in refused.stderr


def test_the_same_database_twice_is_wrong_usage(tmp_path: Path) -> None:
    assert Site(tmp_path).run("migrate", tmp_path / "mail.duckdb", tmp_path / "mail.duckdb").returncode == 2


@pytest.mark.parametrize("back", [False, *([True] if KILLS > 1 else [])])
def test_a_copy_that_is_killed_goes_on(tmp_path: Path, *, back: bool) -> None:
    site, places, chance = Site(tmp_path), Places(tmp_path), random.Random(SEED)
    filled(random_rows(chance), places.duck).close()
    source, target = places.duck, places.click
    if back:
        site.done("migrate", source, target)
        source, target = places.click, places.back
    for _ in range(KILLS):
        with subprocess.Popen([*PROGRAM, "migrate", source, target], env=site.environment, stderr=subprocess.PIPE) as process:
            time.sleep(1 + chance.random())
            process.send_signal(signal.SIGKILL)
    ended = site.run("migrate", source, target)
    assert ended.returncode == 0 or b"is not empty" in ended.stderr, ended.stderr
    assert site.done("export", "--database", source).stdout == site.done("export", "--database", target).stdout != b""
