"""
What really happened, held against what the program says.

    truth = read(folder / "truth.jsonl")
    assert faults(truth, rows, {"tls_version": 416}) == []

The client that sent the mail kept `truth`: one entry for each sign-in, message or failed connection, with the queue id
that the server answered. `rows` are those of an export in JSON lines. A value that the log does not tell is no fault,
a wrong one is; the numbers say of how many messages the log tells a field, all of them where they do not say.

GOLDEN are the logs of real servers that lie beside such records.

A server may log a name shorter than the client gave it, in lower case, or without control characters.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

Entry = dict[str, Any]
TLS = {None: "none", "TLSv1": "TLSv1.0"}
UNTOLD = (None, "unknown")
TOLD = ("tls_version", "mechanism", "account")


class Golden(NamedTuple):
    """A log, and of how many of its messages it tells a field; of all where it is not said."""

    folder: str
    forms: tuple[str, ...]
    tells: Mapping[str, int] = {}

    def __str__(self) -> str:
        return self.folder.partition("/")[0]


GOLDEN = (
    Golden("sendmail/loglevel-9", ("mail.log", "mail.iso.log")),
    Golden("opensmtpd/default", ("mail.log",), {"mechanism": 0}),
    Golden("dovecot-submission/ssl-version", ("mail.log", "mail.json.log")),
    Golden("exim/default", ("mainlog",)),
    Golden("haraka/default", ("haraka.log",), {"account": 0, "mechanism": 0, "tls_version": 107}),
    Golden("chasquid/default", ("mail.log",), {"mechanism": 0, "tls_version": 0}),
    Golden("courier/default", ("mail.log", "mail.iso.log"), {"mechanism": 0, "tls_version": 0}),
)


def read(path: Path) -> list[Entry]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def accepted(truth: Iterable[Entry]) -> dict[str, Entry]:
    """Messages that an authenticated client was told were taken, by queue id."""
    return {
        entry["queue_id"]: entry
        for entry in truth
        if entry["event"] == "message" and entry["result"] == "ok" and entry["account"] is not None
    }


def faults(truth: list[Entry], rows: list[Entry], tells: Mapping[str, int] | None = None) -> list[str]:
    """One line for each thing that is wrong."""
    wanted = accepted(truth)
    found: dict[str, list[Entry]] = defaultdict(list)
    for row in rows:
        if row["outcome"] == "accepted":
            found[row["queue_id"]].append(row)
    wrong = [f"extra: {queue_id} of {row['account']}" for queue_id in found.keys() - wanted.keys() for row in found[queue_id]]
    told: Counter[str] = Counter()
    for queue_id, entry in wanted.items():
        if len(found[queue_id]) != 1:
            wrong.append(f"{queue_id} of {entry['account']}: {len(found[queue_id])} rows")
            continue
        row = found[queue_id][0]
        wrong += (f"{queue_id}: {fault}" for fault in _differences(entry, row))
        told.update(field for field in TOLD if row[field] not in (*UNTOLD, "tls"))
    needed = dict.fromkeys(TOLD, len(wanted)) | dict(tells or {})
    return wrong + [f"{field} told of {told[field]} messages, not of {number}" for field, number in needed.items() if told[field] != number]


def _differences(entry: Entry, row: Entry) -> list[str]:
    version = TLS.get(entry["tls_version"], entry["tls_version"])
    same = {
        "tls_version": row["tls_version"] in (version, "unknown") or (row["tls_version"] == "tls" and version != "none"),
        "mechanism": row["mechanism"] in (entry["mechanism"], "unknown"),
        "account": row["account"] is None or _same_name(entry["account"], row["account"]),
        "client_ip": row["client_ip"] is None or ip_address(row["client_ip"]) == ip_address(entry["client_ip"]),
        "sender": row["sender"] is None or row["sender"].casefold() == entry["envelope_from"].casefold(),
    }
    return [
        f"{field} is {row[field]!r}, in truth {entry.get(field, entry['envelope_from'])!r}" for field, right in same.items() if not right
    ]


def _same_name(given: str, logged: str) -> bool:
    """Servers cut a long name at its end, or put dots for its middle."""
    wanted, got = _visible(given), _visible(logged)
    begins, _, ends = got.partition("...")
    return wanted == got or (len(got) >= 40 and wanted.startswith(begins) and wanted.endswith(ends))


def _visible(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isprintable() and character != "?")


def failed_sign_ins(truth: Iterable[Entry]) -> int:
    return sum(entry["event"] == "auth" and entry["result"] == "auth_failed" for entry in truth)
