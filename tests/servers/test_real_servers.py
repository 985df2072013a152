"""Real Postfix with Dovecot: what the program says about the log is what the client did."""

from __future__ import annotations

from collections import Counter

import pytest
from script import ANNA, CRM, JUERGEN, Played

from ingesting import Site, outcomes
from truth import accepted, failed_sign_ins, faults

pytestmark = pytest.mark.servers

MESSAGES = 23
SERVICES = {"submission": "submission", "quiet": "submission", "smtps": "submissions", "legacy": "unknown"}


def told_tls(entry: dict[str, object]) -> object:
    """What the log can tell: the quiet service logs that there was TLS, not which."""
    return "tls" if entry["service"] == "quiet" else entry["tls_version"]


def test_script_played_as_written(played: Played) -> None:
    events = Counter((entry["event"], entry["result"]) for entry in played.truth)
    assert events == {
        ("auth", "ok"): 18,
        ("auth", "auth_failed"): 3,
        ("message", "ok"): MESSAGES,
        ("message", "rejected"): 1,
        ("connect", "tls_failed"): 2,
    }


def test_every_message_is_one_right_row(played: Played, site: Site) -> None:
    quiet = sum(entry["service"] == "quiet" for entry in accepted(played.truth).values())
    assert faults(played.truth, site.rows(), {"tls_version": MESSAGES - quiet}) == []


def test_each_field_of_a_message(played: Played, site: Site) -> None:
    rows = {row["queue_id"]: row for row in site.rows() if row["outcome"] == "accepted"}
    for queue_id, entry in accepted(played.truth).items():
        row = rows[queue_id]
        told = {name: row[name] for name in ("service", "tls_version", "mechanism", "account", "client_ip", "sender", "recipients")}
        assert told == {
            "service": SERVICES[entry["service"]],
            "tls_version": told_tls(entry),
            "mechanism": entry["mechanism"],
            "account": entry["account"],
            "client_ip": entry["client_ip"],
            "sender": entry["envelope_from"],
            "recipients": entry["recipients"],
        }
        assert (row["server"], row["source"]) == ("mail", "postfix")
        assert row["size"] > 100


def test_what_ended_without_a_message(played: Played, site: Site) -> None:
    rows = site.rows()
    assert outcomes(rows) == {
        "accepted": MESSAGES,
        "auth_failed": failed_sign_ins(played.truth),
        "no_mail": 1,
        "rejected": 1,
        "tls_failed": 2,
    }
    refused = {(row["client_ip"], row["service"], row["account"]) for row in rows if row["outcome"] == "auth_failed"}
    known = {("127.0.5.1", "submission", ANNA), ("127.0.5.1", "submissions", ANNA)}
    assert refused == {*known, ("127.0.5.2", "submission", None)}, "a name that never signed in may be a password"
    assert {(row["client_ip"], row["reason"]) for row in rows if row["outcome"] == "tls_failed"} == {
        ("127.0.5.3", "not_tls"),
        ("127.0.5.4", "certificate_refused"),
    }


def test_typed_password_is_nowhere(played: Played, site: Site) -> None:
    assert b"Hunter2" in played.log.read_bytes(), "Postfix logs it"
    assert not any(b"Hunter2" in path.read_bytes() for path in site.folder.rglob("*") if path.is_file())
    assert b"Hunter2" not in site.done("export", "--format", "csv").stdout


def test_reports_count_what_was_sent(played: Played, site: Site) -> None:
    messages = accepted(played.truth).values()
    usage = site.report("tls-usage")["totals"]
    versions = Counter(told_tls(entry) for entry in messages)
    columns = {
        "tls_none": "none",
        "tls_1_0": "TLSv1.0",
        "tls_1_1": "TLSv1.1",
        "tls_1_2": "TLSv1.2",
        "tls_1_3": "TLSv1.3",
        "tls_unversioned": "tls",
    }
    assert {column: usage[column] for column in columns} == {column: versions[version] for column, version in columns.items()}
    assert usage["accounts"] == len({entry["account"] for entry in messages})
    methods = site.report("auth-methods")
    told = {(row[0], row[1]): row for row in (_named(methods, line, "account", "mechanism", "messages") for line in methods["rows"])}
    sent = Counter((entry["account"], entry["mechanism"]) for entry in messages)
    assert {pair: row[2] for pair, row in told.items()} == sent


def _named(report: dict[str, object], line: object, *names: str) -> tuple[object, ...]:
    assert isinstance(line, list | dict)
    if isinstance(line, dict):
        return tuple(line[name] for name in names)
    columns = report["columns"]
    assert isinstance(columns, list)
    places = [column["name"] for column in columns]
    return tuple(line[places.index(name)] for name in names)


def test_filters_select_what_was_sent(played: Played, site: Site) -> None:
    messages = accepted(played.truth).values()
    by_juergen = site.report("sending-volume", "--account", JUERGEN)["totals"]["messages"]
    assert by_juergen == sum(entry["account"] == JUERGEN for entry in messages)
    legacy = site.report("sending-volume", "--tls", "legacy")["totals"]["messages"]
    assert legacy == sum(told_tls(entry) in ("TLSv1.0", "TLSv1.1") for entry in messages)
    oauth = site.report("sending-volume", "--auth-class", "oauth", "--account", CRM)["totals"]["messages"]
    assert oauth == sum(entry["mechanism"] == "XOAUTH2" for entry in messages)


def test_reading_again_adds_nothing(played: Played, site: Site) -> None:
    before = site.rows()
    site.ingest(played.log)
    assert site.rows() == before


def test_unread_lines(site: Site, played: Played) -> None:
    """Everything that this Postfix wrote is understood."""
    unread = site.report("summary")["unknown"]["lines_unread"]
    assert unread == 0, played.log.read_text(encoding="utf-8")
