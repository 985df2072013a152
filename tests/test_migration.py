"""
A database of an earlier schema, with rows in it, is brought up to date when it is opened, and answers as before.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from rows import at, commit, row
from smtp_auth_report.errors import StoreError
from smtp_auth_report.store import duckdb_sealing, open_store
from smtp_auth_report.store.duckdb import DuckStore
from smtp_auth_report.store.duckdb_opening import migrations
from smtp_auth_report.store.interface import Question, Selection
from smtp_auth_report.submission import Identity, Submission, domain_of

HOUR = 3_600_000_000
NOON = at("2026-11-18T12:00:00Z")
EXPIRED = NOON - 10 * HOUR + 1800 * 1_000_000  # within an hour
EVER = Selection(NOON - 1000 * HOUR, NOON + 1000 * HOUR, "UTC")
NAMES = ("account", "account_domain", "sender", "sender_domain", "outcome", "tls_version", "mechanism", "service", "server")

KEPT = (
    row(time=EXPIRED + 60_000_000, size=None),
    row(time=NOON, account="Anna@Contoso.example", sender="", recipients=3),
    row(time=NOON + 1, account=None, account_key="0123456789abcdef", sender=None, outcome="auth_failed", reason="bad credentials"),
    row(time=NOON + 2, account=None, sender=None, client_ip=None, client_name=None, helo=None, tls_cipher=None, outcome="tls_failed"),
    row(time=NOON + 3, queue_id=None, message_id=None, client_ip="2001:db8::1"),
)
GONE = (
    row(time=EXPIRED - 60_000_000),
    row(time=EXPIRED - 120_000_000, sender="news@fabrikam.example", size=None),
    row(time=EXPIRED - 30 * HOUR, account=None, sender=None, outcome="auth_failed", reason="aborted"),
)


def before_dimensions(path: Path) -> None:
    """A database as the version before wrote it: whole rows, sums by the hour of all rows, some of which have expired."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, name VARCHAR NOT NULL)")
        for number, name, sql in migrations()[:3]:
            connection.execute(sql)
            connection.execute("INSERT INTO migrations VALUES (?, ?)", [number, name])
        for each in (*KEPT, *GONE):
            names = ("spread", "account_domain", "sender_domain", *Submission._fields)
            places = ", ".join("make_timestamp(?)" if name in ("opened", "time") else "?" for name in names)
            account = None if each.account is None else each.account.casefold()
            domain = domain_of(account)
            derived = (0, domain, domain if each.sender == "" else domain_of(each.sender))
            connection.execute(
                f"INSERT INTO submissions ({', '.join(names)}) VALUES ({places})", [*derived, *each._replace(account=account)]
            )
        connection.execute(
            """
            INSERT INTO hourly SELECT time_bucket(INTERVAL 1 HOUR, time), server, service, source, account, account_domain, sender,
                sender_domain, mechanism, tls_version, outcome, count(*), coalesce(sum(recipients), 0), coalesce(sum(size), 0),
                min(time), max(time) FROM submissions GROUP BY ALL
            """
        )
        connection.execute(
            "INSERT INTO accounts SELECT account, 'Anna@contoso.example', min(time), max(account_key), max(account_domain) "
            "FROM submissions WHERE account IS NOT NULL GROUP BY account"
        )
        connection.execute("DELETE FROM submissions WHERE time < make_timestamp(?)", [EXPIRED])
        connection.execute("INSERT INTO meta VALUES ('bucket_minutes', '60'), ('expired_before', ?)", [str(EXPIRED)])


def test_rows_and_sums_of_the_schema_before_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "mail.duckdb"
    before_dimensions(path)
    with pytest.raises(StoreError, match="was written by an older version of smtp-auth-report; run ingest once"):
        open_store(str(path), read_only=True)
    store = open_store(str(path), display_zone="UTC", clock=lambda: NOON)
    assert isinstance(store, DuckStore)
    shown = [each._replace(account=each.account and "Anna@contoso.example") for each in KEPT]
    assert [each for batch in store.submissions(EVER) for each in batch] == shown
    assert counted(store) == expected((*KEPT, *GONE))
    assert store.span() == (EXPIRED - 30 * HOUR, NOON + 3)
    store.seal()
    assert counted(store) == expected((*KEPT, *GONE))
    store.close()


def test_what_was_read_before_is_recognised_after(tmp_path: Path) -> None:
    path = tmp_path / "mail.duckdb"
    before_dimensions(path)
    store = open_store(str(path), display_zone="UTC", clock=lambda: NOON)
    assert store.commit(commit(*KEPT, *GONE))[:4] == (0, 0, 0, len(KEPT) + len(GONE))
    assert store.commit(commit(KEPT[0]._replace(helo="revised")))[:4] == (0, 1, 0, 0)
    gone = commit()
    gone.changes.withdrawn.add(Identity(KEPT[4].key, KEPT[4].opened))
    assert store.commit(gone)[:4] == (0, 0, 1, 0)
    assert store.erase("anna@contoso.example", str(KEPT[0].account_key)) == 2
    assert store.count(EVER) == 2
    store.close()


def test_digests_are_made_of_the_days_that_were_sealed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of the schema without them has sums already."""
    monkeypatch.setattr(duckdb_sealing, "FEW", 0)
    monkeypatch.setattr(duckdb_sealing, "WORTH", 0)
    path = tmp_path / "mail.duckdb"
    store = open_store(str(path), display_zone="UTC", clock=lambda: NOON + 40 * 24 * HOUR)
    store.commit(commit(*(row(time=NOON + n * HOUR, account=f"user{n % 5}@contoso.example") for n in range(24 * 20))))
    store.seal()
    store.close()
    with duckdb.connect(str(path)) as connection:
        for (table,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE regexp_matches(table_name, '^(manner|domain)_')"
        ).fetchall():
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP TABLE sums_336; DROP TABLE client_sums_336; ALTER TABLE sealed DROP COLUMN digested")
        connection.execute("DELETE FROM migrations WHERE number IN (5, 11, 12)")
    store = open_store(str(path), display_zone="UTC", clock=lambda: NOON + 40 * 24 * HOUR)
    assert isinstance(store, DuckStore)
    before, sums = counted(store), store._connection.execute("SELECT count(*) FROM sums_1").fetchall()
    store.seal()
    assert counted(store) == before
    assert store.ask(
        Question("SELECT tls_version, sum(messages) AS n FROM facts GROUP BY tls_version", ("tls_version", "n")), EVER
    ).rows == [("TLSv1.3", 480)]
    assert store._connection.execute("SELECT count(*) FROM sums_1").fetchall() == sums
    assert store._connection.execute("SELECT sum(messages) > 400 FROM domain_sums_1").fetchall() == [(True,)]
    store.close()


def test_a_database_of_the_schema_before_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its tables and numbers are made when it is opened, and its rows stay; the version before refuses what this one has opened."""
    path = tmp_path / "mail.duckdb"
    store = open_store(str(path), display_zone="UTC", clock=lambda: NOON)
    assert isinstance(store, DuckStore)
    store.commit(commit(*KEPT))
    ways = store._connection.execute("SELECT id, way_id FROM manners ORDER BY id").fetchall()
    store.close()
    with duckdb.connect(str(path)) as connection:
        for table in ("client_sums_1", "sums_336", "client_sums_336", "manner_sums_336", "domain_sums_336"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE manners DROP COLUMN way_id")
        connection.execute("DELETE FROM migrations WHERE number >= 10")
    with pytest.raises(StoreError, match="older version of smtp-auth-report; run ingest once"):
        open_store(str(path), read_only=True)
    store = open_store(str(path), display_zone="UTC", clock=lambda: NOON)
    assert isinstance(store, DuckStore)
    assert store.count(EVER) == len(KEPT)
    assert store._connection.execute("SELECT id, way_id FROM manners ORDER BY id").fetchall() == ways
    store.seal()
    store.close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO migrations VALUES (?, 'of-a-newer-version')", [migrations()[-1][0] + 1])
    with pytest.raises(StoreError, match="written by a newer version of smtp-auth-report; update the program"):
        open_store(str(path))


def counted(store: DuckStore) -> list[tuple[object, ...]]:
    sql = f"SELECT {', '.join(NAMES)}, sum(messages) AS n, sum(recipients) AS r, sum(bytes) AS b FROM facts GROUP BY {', '.join(NAMES)}"
    return sorted(store.ask(Question(sql, (*NAMES, "n", "r", "b")), EVER).rows, key=repr)


def expected(rows: tuple[Submission, ...]) -> list[tuple[object, ...]]:
    found: dict[tuple[object, ...], list[int]] = {}
    for each in rows:
        account = each.account and "Anna@contoso.example"
        domain = domain_of(account)
        sender_domain = domain if each.sender == "" else domain_of(each.sender)
        key = (account, domain, each.sender, sender_domain, each.outcome, each.tls_version, each.mechanism, each.service, each.server)
        sums = found.setdefault(key, [0, 0, 0])
        for place, number in enumerate((1, each.recipients or 0, each.size or 0)):
            sums[place] += number
    return sorted(((*key, *sums) for key, sums in found.items()), key=repr)
