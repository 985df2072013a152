"""What is forgotten, and does not come back: rows that grew old, erased accounts. And names that wait for their domain."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import Engine
from ingesting import Site
from reading import PC, START, log, session
from rows import NOON, commit, row
from smtp_auth_report.site_key import seal, unseal
from smtp_auth_report.store import open_store, shared
from smtp_auth_report.store.clickhouse_client import Clients
from smtp_auth_report.store.clickhouse_place import placed
from smtp_auth_report.store.interface import Question, Selection

DAY = 86_400_000_000
EVER = Selection(NOON - 1000 * DAY, NOON + 1000 * DAY, "UTC")
MESSAGES = Question("SELECT coalesce(sum(messages), 0) AS messages FROM facts", ("messages",))
YEAR = ("--year", "2026")
SMTPD = "postfix/submission/smtpd[703]"


def failure(name: str) -> list[str]:
    """Lines of a session that tried one name and went."""
    smtpd = "postfix/submission/smtpd[702]"
    failed = f"{smtpd}: warning: {PC}: SASL PLAIN authentication failed: (reason unavailable), sasl_username={name}"
    return [f"{smtpd}: connect from {PC}", failed, f"{smtpd}: disconnect from {PC} ehlo=1 auth=0/1 quit=1 commands=2/3"]


def test_old_rows_expire_their_sums_stay_and_they_do_not_come_back(engine: Engine) -> None:
    store = engine.open()
    old, new = row(time=NOON - 500 * DAY), row(time=NOON)
    store.commit(commit(old, new))
    assert store.expire(NOON - 400 * DAY) == 1
    assert store.count(EVER) == 1
    assert store.ask(MESSAGES, EVER).rows == [(2,)]
    store.commit(commit(old, new))
    assert store.count(EVER) == 1
    assert store.ask(MESSAGES, EVER).rows == [(2,)]


def test_a_client_that_no_row_names_any_more_goes_though_no_row_expires(engine: Engine) -> None:
    store = engine.open()
    store.commit(commit(row(key=1, opened=NOON, helo=None)))
    store.commit(commit(row(key=1, opened=NOON, helo="pc")))
    assert store.expire(NOON - 30 * DAY) == 0
    assert engine.sql(store, "SELECT helo FROM clients") == [("pc",)]


def test_an_erased_account_is_gone_and_does_not_come_back(tmp_path: Path) -> None:
    site = Site(tmp_path)
    path = tmp_path / "mail.log"
    path.write_bytes(log(*session("anna"), *session("bob", queue_id="5B1A022C8A9"), *failure("anna")))
    site.ingest(*YEAR, path)
    assert site.report("summary", "--from", "2026-01-01", "--to", "2026-12-31")["totals"]["messages"] == 2
    assert b"2 rows erased" in site.done("erase", "ANNA", "--yes").stderr
    again = tmp_path / "again.log"
    again.write_bytes(log(*failure("zoe")) + path.read_bytes())
    site.ingest(*YEAR, again)
    assert {each["account"] for each in site.rows()} == {"bob", None}
    assert "anna" not in str(site.rows())
    assert site.report("summary", "--from", "2026-01-01", "--to", "2026-12-31")["totals"]["messages"] == 1


def traces(site: Site, name: str) -> int:
    """How often a name stands in the files of a site, in the clear or as open sessions are remembered."""
    forms = [name.encode(), *(b64encode(b" " * before + name.encode()).strip(b"=")[4:-4] for before in range(3))]
    return sum(path.read_bytes().count(form) for path in files(site) for form in forms)


def files(site: Site) -> list[Path]:
    """Of ClickHouse but the parts that count: it deletes replaced ones some minutes later."""
    database = site.environment["SMTP_AUTH_REPORT_DATABASE"]
    every = [path for path in site.folder.rglob("*") if path.is_file()]
    if "://" not in database:
        return every
    clients = Clients(placed(database))
    with clients.client() as client:
        parts = [Path(path) for (path,) in client.rows("SELECT path FROM system.parts WHERE active AND database = currentDatabase()")]
    clients.close()
    return [path for path in every if "store" not in path.parts or path.name.startswith("mutation") or path.parent in parts]


TRACES = """
import sys
from pathlib import Path
from ingesting import Site
from test_forgetting import traces
folder, database, name = sys.argv[1:]
print(traces(Site(Path(folder), database=database), name))
"""


def traces_of(site: Site, name: str) -> int:
    """In a process of its own: it opens a folder of chDB."""
    command = [sys.executable, "-c", TRACES, str(site.folder), site.environment["SMTP_AUTH_REPORT_DATABASE"], name]
    return int(subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parent).stdout)


@pytest.mark.parametrize("kind", ["duckdb", "chdb"])
def test_of_an_erased_account_no_byte_stays(tmp_path: Path, kind: str) -> None:
    """Its rows, its spelling, HELO and message id, and a session that was open when reading stopped; those of others go on."""
    name = "zwiebel.kuchen@contoso.example"
    many = [line for number in range(40) for line in session(f"user{number}", queue_id=f"4F1A022C{number:03}")]
    refusal = f"{SMTPD}: NOQUEUE: reject: RCPT from {PC}: 554 5.7.1 <x@y.example>: Relay access denied; from=<{name}> to=<x@y.example>"
    opened = session(name, queue_id="5C1A022C8A9", smtpd=SMTPD, sender=name, middle=[f"{refusal} proto=ESMTP helo=<{name}>"])[:5]
    others = session("bob", queue_id="6C1A022C8A9", smtpd="postfix/submission/smtpd[704]")
    logs = tmp_path / "logs"
    site = Site(tmp_path / "site", database=f"chdb://{tmp_path}/site/database" if kind == "chdb" else "")
    for folder in (logs, site.folder):
        folder.mkdir(exist_ok=True)
    first, second = logs / "mail.log.1", logs / "mail.log"
    first.write_bytes(log(*many, *session(name, queue_id="5B1A022C8A9", sender=name), *failure(name), *opened, *others[:4]))
    second.write_bytes(log(*others[4:], start=START + timedelta(hours=1)))
    site.ingest(*YEAR, first)
    assert traces_of(site, name) > 3
    site.done("erase", name.upper(), "--yes")
    assert traces_of(site, name) == 0
    site.ingest(*YEAR, second)
    rows = site.rows("--outcome", "accepted")
    assert [row["account"] for row in rows] == [*(f"user{number}" for number in range(40)), "bob"]


def test_while_a_database_is_held_erasing_says_what_stays(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (tmp_path / "mail.log").write_bytes(log(*session("anna"), *session("bob", queue_id="5B1A022C8A9")))
    site.ingest(*YEAR, tmp_path / "mail.log")
    database = site.environment["SMTP_AUTH_REPORT_DATABASE"]
    store = open_store(database)
    with shared.sharing(store, shared.socket_of(database)):
        said = site.done("erase", "anna", "--yes").stderr
    store.close()
    assert said.startswith(b"1 rows erased")
    assert b"once more while none does" in said
    assert [each["account"] for each in site.rows()] == ["bob"]


def test_erasing_asks_before(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (tmp_path / "mail.log").write_bytes(log(*session("anna")))
    site.ingest(*YEAR, tmp_path / "mail.log")
    assert site.run("erase", "anna", given=b"n\n").returncode == 1
    assert [each["account"] for each in site.rows()] == ["anna"]


@pytest.mark.parametrize("together", [True, False])
def test_a_failure_is_named_once_its_domain_signs_in(tmp_path: Path, *, together: bool) -> None:
    """However the runs are cut; until then the name is nowhere in the clear."""
    site = Site(tmp_path)
    first, second = tmp_path / "mail.log.1", tmp_path / "mail.log"
    first.write_bytes(log(*failure("bob@corp.example")))
    second.write_bytes(log(*session("anna@corp.example")))
    if together:
        site.ingest(*YEAR, first, second)
    else:
        site.ingest(*YEAR, first)
        assert [each["account"] for each in site.rows()] == [None]
        assert b"bob@corp" not in (tmp_path / "mail.duckdb").read_bytes()
        site.ingest(*YEAR, second)
    assert {each["account"] for each in site.rows()} == {"bob@corp.example", "anna@corp.example"}


@given(st.text(), st.binary(min_size=32, max_size=32))
def test_a_sealed_name_is_opened_by_its_site_alone(name: str, key: bytes) -> None:
    sealed = seal(key, "0123456789abcdef", name)
    assert unseal(key, "0123456789abcdef", sealed) == name
    if len(name) > 8:
        assert seal(bytes(32) if any(key) else b"1" * 32, "0123456789abcdef", name) != sealed
