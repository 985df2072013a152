"""
A store of many submissions, made without a log: rows are written by SQL into the tables of a store that the program made.

    database = large_store(Path(".run/bench"), 100_000_000)
    database = large_store(Path(".run/bench"), 1_000_000, accounts=2_000)

Thirteen months of a provider: 20,000 accounts in 200 domains, of which few send much and many send little, each from one
to four addresses, mostly under its own name. 7 % of the rows are failed sign-ins, 1 % failed handshakes. Then the program
itself makes the sums of days, as it does after `ingest`.
"""

from __future__ import annotations

import time
from pathlib import Path

import duckdb

from smtp_auth_report.store import open_store
from smtp_auth_report.store.dimensions import DIMENSIONS, number_alike

DAYS = 396
DAY = 86_400_000_000
END = 1_770_249_600_000_000  # 2026-02-05 00:00 UTC
START = END - DAYS * DAY
ACCOUNTS = 20_000
DOMAINS = 200
STEP = 5_000_000
SENDERS = 3  # subjects of an account: its own name, another of its domain, none
OUTCOMES = ("accepted", "auth_failed", "no_mail", "rejected", "tls_failed")
SERVICES = ("submission", "submissions", "smtp")
VERSIONS = ("TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1.0", "none")
MECHANISMS = ("PLAIN", "LOGIN", "XOAUTH2", "CRAM-MD5")

ENTRIES = f"""
INSERT INTO accounts
SELECT 'user' || a || '@customer' || a % {DOMAINS} || '.example', 'user' || a || '@customer' || a % {DOMAINS} || '.example',
       make_timestamp({START}), substr(md5(CAST(a AS VARCHAR)), 1, 16), 'customer' || a % {DOMAINS} || '.example'
FROM range($accounts) AS t(a);
INSERT INTO subjects (id, account, account_domain, account_key, sender, sender_domain)
SELECT a * {SENDERS} + s, 'user' || a || '@customer' || a % {DOMAINS} || '.example', 'customer' || a % {DOMAINS} || '.example',
       substr(md5(CAST(a AS VARCHAR)), 1, 16),
       CASE s WHEN 0 THEN 'user' || a || '@customer' || a % {DOMAINS} || '.example'
              WHEN 1 THEN 'noreply@customer' || a % {DOMAINS} || '.example' END,
       CASE WHEN s < 2 THEN 'customer' || a % {DOMAINS} || '.example' END
FROM range($accounts) AS t(a), range({SENDERS}) AS u(s);
INSERT INTO progress (source, server, newest, committed) VALUES ('postfix', 'mail', {END}, {END});
INSERT INTO subjects (id) VALUES ($accounts * {SENDERS});
INSERT INTO manners (id, server, service, source, mechanism, tls_version, tls_cipher, outcome, reason)
SELECT ((v * 5 + t) * 4 + m) * 5 + o, 'mail', {list(SERVICES)}[v + 1], 'postfix',
       CASE WHEN o = 4 THEN 'unknown' ELSE {list(MECHANISMS)}[m + 1] END,
       CASE WHEN o = 4 THEN 'unknown' ELSE {list(VERSIONS)}[t + 1] END,
       CASE WHEN t < 4 AND o < 4 THEN 'TLS_AES_256_GCM_SHA384' END, {list(OUTCOMES)}[o + 1],
       CASE o WHEN 1 THEN 'bad credentials' WHEN 3 THEN 'policy' WHEN 4 THEN 'no shared cipher' END
FROM range({len(SERVICES)}) AS a(v), range({len(VERSIONS)}) AS b(t), range({len(MECHANISMS)}) AS c(m), range({len(OUTCOMES)}) AS d(o);
INSERT INTO clients (id, client_ip, client_name, helo)
SELECT a * 4 + k, '10.' || a // 256 || '.' || a % 256 || '.' || k + 1, CASE WHEN a % 3 > 0 THEN 'host' || a || '.access.example' END,
       '[192.168.1.' || a % 200 || ']'
FROM range($accounts) AS t(a), range(4) AS u(k);
"""

ROWS = f"""
INSERT INTO submissions
WITH drawn AS (
    SELECT n, CAST(floor({{accounts}} * pow(random(), 2)) AS INTEGER) AS a, random() AS sending, random() AS ending,
           CAST(floor(random() * 4) AS INTEGER) AS k, {START} + n * {DAYS * DAY // 1000} // {{rows}} * 1000 AS t
    FROM range({{low}}, {{high}}) AS r(n)
), told AS (
    SELECT *, CASE WHEN ending < 0.07 THEN 1 WHEN ending < 0.08 THEN 4 WHEN ending < 0.085 THEN 2 WHEN ending < 0.09 THEN 3 ELSE 0 END AS o,
           (((CASE WHEN a % 24 < 18 THEN 0 WHEN a % 24 < 23 THEN 1 ELSE 2 END) * 5
             + CASE WHEN a % 97 = 0 THEN 4 WHEN a % 20 < 12 THEN 0 WHEN a % 20 < 18 THEN 1 WHEN a % 20 = 18 THEN 2 ELSE 3 END) * 4
             + CASE WHEN a % 20 < 9 THEN 0 WHEN a % 20 < 16 THEN 1 WHEN a % 20 < 19 THEN 2 ELSE 3 END) * 5 AS manner
    FROM drawn
)
SELECT hash(n), make_timestamp(t - 1_000_000 - n % 500_000), 0, make_timestamp(t),
       CASE WHEN o = 4 THEN {{accounts}} * {SENDERS} WHEN o IN (1, 2) THEN a * {SENDERS} + 2 WHEN sending < 0.08 THEN a * {SENDERS} + 1
            ELSE a * {SENDERS} END,
       manner + o, a * 4 + k % (1 + a % 4), CASE WHEN o = 0 THEN 1 + n % 3 END, CASE WHEN o = 0 THEN 800 + hash(n) % 60_000 END,
       CASE WHEN o IN (0, 3) THEN '4' || substr(upper(md5(CAST(n AS VARCHAR))), 1, 10) || 'z' END,
       CASE WHEN o = 0 THEN '<' || substr(md5(CAST(n + 7 AS VARCHAR)), 1, 20) || '@customer' || a % {DOMAINS} || '.example>' END
FROM told
"""


def large_store(folder: Path, rows: int, accounts: int = ACCOUNTS) -> Path:
    """The database with so many rows, from `folder` where it was made before."""
    database = folder / f"store-{rows}-{accounts}.duckdb"
    if not database.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = database.with_suffix(".new")
        for old in folder.glob(f"{unfinished.name}*"):
            old.unlink()
        _make(unfinished, rows, accounts)
        unfinished.rename(database)
    return database


def _make(path: Path, rows: int, accounts: int) -> None:
    open_store(str(path), display_zone="UTC").close()
    began = time.perf_counter()
    with duckdb.connect(str(path), config={"memory_limit": "2GB"}) as connection:
        for statement in ENTRIES.split(";\n"):
            if statement.strip():
                connection.execute(statement, {"accounts": accounts} if "$accounts" in statement else {})
        for dimension in DIMENSIONS:
            number_alike(connection.execute, dimension)
        for low in range(0, rows, STEP):
            connection.execute(ROWS.format(low=low, high=min(low + STEP, rows), rows=rows, accounts=accounts))
    print(f"{rows:,} rows written in {time.perf_counter() - began:.0f} s", flush=True)
    began = time.perf_counter()
    store = open_store(str(path), display_zone="UTC", memory_limit="2GB")
    store.seal()
    store.close()
    print(f"days summed up in {time.perf_counter() - began:.1f} s; {path.stat().st_size / rows:.1f} MB per million rows", flush=True)
