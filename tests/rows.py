"""
Rows for tests: a believable submission, with whatever a test is about stated.

    row(account="anna@contoso.example", tls_version="TLSv1.0")
    commit(row(), row(time=at("2026-11-22T10:00:05Z")))
"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from itertools import count
from typing import Any

from smtp_auth_report.changes import Changes, Commit
from smtp_auth_report.submission import Submission

KEYS = count(1)

ORDINARY = Submission(
    key=0,
    opened=0,
    time=0,
    server="mail",
    service="submission",
    source="postfix",
    client_ip="192.0.2.10",
    client_name="printer.contoso.example",
    helo="printer",
    account="anna@contoso.example",
    account_key=None,
    mechanism="PLAIN",
    tls_version="TLSv1.3",
    tls_cipher="TLS_AES_256_GCM_SHA384",
    sender="anna@contoso.example",
    recipients=1,
    size=1000,
    queue_id="4B3F2A1C0D",
    message_id="<1@contoso.example>",
    outcome="accepted",
    reason=None,
)


def at(text: str) -> int:
    """Microseconds of an RFC 3339 time."""
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


NOON = at("2026-11-18T12:00:00Z")


def key_of(account: str | None) -> str | None:
    """An account key, as a site would make one."""
    return None if account is None else blake2b(account.casefold().encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def row(**fields: Any) -> Submission:
    """A submission of its own identity; its session opened when `time` is, unless stated."""
    stated = {"time": NOON, "key": next(KEYS)} | fields
    stated.setdefault("opened", stated["time"])
    stated.setdefault("account_key", key_of(stated.get("account", ORDINARY.account)))
    return ORDINARY._replace(**stated)


def commit(*rows: Submission) -> Commit:
    """A commit of these rows and nothing else."""
    changes = Changes()
    for each in rows:
        changes.put(each)
    return Commit(changes)
