"""Real Dovecot in front of real Postfix: each message is one row, whether Postfix believes Dovecot or not, and in one log or two."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mail_server import REFUSED_RECIPIENT, insist
from relay_server import lacking, relaying
from script import ANNA, BACKUP, CRM, PAT, Played
from smtp_client import VERSIONS, Attempt, Client

from ingesting import Row, Site
from truth import accepted, failed_sign_ins, faults

pytestmark = pytest.mark.servers

SCRIPT = (
    *(Attempt("submission", ANNA, tls=version, messages=2) for version in VERSIONS),
    *(Attempt("smtps", PAT, "LOGIN", tls=version, address="127.0.1.2") for version in VERSIONS),
    Attempt("submission", "scanner", "LOGIN", tls="none", sender="", address="127.0.1.5"),
    Attempt("submission", CRM, "XOAUTH2", sender="crm@fabrikam.example", address="127.0.1.3"),
    Attempt("submission", ANNA, "CRAM-MD5", recipients=("a@woodgrove.example", "b@woodgrove.example", "c@proseware.example")),
    Attempt("submission", BACKUP, "LOGIN", address="127.0.1.4", pause=3),
    Attempt("submission", ANNA, recipients=(REFUSED_RECIPIENT,)),
    Attempt("submission", ANNA, messages=0),
    Attempt("submission", ANNA, "LOGIN", password="wrong", address="127.0.5.1"),
    Attempt("smtps", "Hunter2-typed-into-the-wrong-box", address="127.0.5.2"),
)
MESSAGES = 16


@pytest.fixture(scope="module", params=[True, False], ids=["trusted", "not trusted"])
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    """Start both servers, play the script, stop them."""
    insist(lacking())
    with tempfile.TemporaryDirectory(prefix="dovecot-", ignore_cleanup_errors=True) as name:
        with relaying(Path(name), trusted=request.param) as server:
            client = Client(server)
            for attempt in SCRIPT:
                client.send(attempt)
        assert (b"sasl_method=XCLIENT" in server.log.read_bytes()) == request.param
        yield Played(server.log, client.truth)


def rows_of(folder: Path, *logs: bytes) -> list[Row]:
    folder.mkdir()
    site = Site(folder)
    for number, content in enumerate(logs):
        (folder / f"{number}.log").write_bytes(content)
        site.ingest(folder / f"{number}.log")
    return site.rows()


def told(rows: list[Row]) -> Counter[tuple[Any, ...]]:
    """Messages without what Postfix alone tells of them."""
    names = ("queue_id", "account", "mechanism", "tls_version", "client_ip", "sender", "outcome", "source")
    return Counter(tuple(row[name] for name in names) for row in rows if row["outcome"] == "accepted")


def test_every_message_is_one_right_row(tmp_path: Path, played: Played) -> None:
    rows = rows_of(tmp_path / "whole", played.log.read_bytes())
    assert len(accepted(played.truth)) == MESSAGES
    assert faults(played.truth, rows) == [], played.log.read_text(encoding="utf-8")
    failed = [row for row in rows if row["outcome"] == "auth_failed"]
    assert len(failed) == failed_sign_ins(played.truth)
    assert {row["account"] for row in failed} == {ANNA, None}, "a name that never signed in may be a password"
    assert {row["source"] for row in rows} == {"dovecot"}, "the client spoke to Dovecot"


def test_one_log_or_two_in_any_order(tmp_path: Path, played: Played) -> None:
    text = played.log.read_bytes()
    lines = text.splitlines(keepends=True)
    dovecot = b"".join(line for line in lines if b" dovecot: " in line)
    postfix = b"".join(line for line in lines if b" dovecot: " not in line)
    whole = told(rows_of(tmp_path / "whole", text))
    assert told(rows_of(tmp_path / "front first", dovecot, postfix)) == whole
    assert told(rows_of(tmp_path / "behind first", postfix, dovecot)) == whole
    assert told(rows_of(tmp_path / "all of them", text, postfix, dovecot)) == whole


def test_nothing_is_unread(tmp_path: Path, played: Played) -> None:
    (tmp_path / "mail.log").write_bytes(played.log.read_bytes())
    site = Site(tmp_path)
    site.ingest(tmp_path / "mail.log")
    assert site.report("summary")["unknown"]["lines_unread"] == 0
