"""Real Exim: what the program says about both of its logs is what the client did."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from exim_server import lacking, running
from mail_server import REFUSED_RECIPIENT, insist
from script import ANNA, BACKUP, JUERGEN, PAT, Played
from smtp_client import VERSIONS, Attempt, Client

from ingesting import Row, Site, outcomes
from truth import accepted, failed_sign_ins, faults

pytestmark = pytest.mark.servers

HOSTILE_HELO = "x) [10.9.9.9] P=esmtpsa X=TLS1.0:x:1 A=plain:ceo S=1 id=1"
HOSTILE_SENDER = '"x H=(y) [10.9.9.9] P=esmtpa A=plain:ceo S=1"@contoso.example'
SCRIPT = (
    *(Attempt("submission", ANNA, tls=version, messages=2) for version in VERSIONS),
    *(Attempt("smtps", JUERGEN, "LOGIN", tls=version, address="127.0.1.2") for version in VERSIONS),
    Attempt("submission", ANNA, "CRAM-MD5", tls="TLSv1.2", recipients=("a@woodgrove.example", "b@woodgrove.example")),
    Attempt("submission", BACKUP, "LOGIN", address="127.0.1.4"),
    Attempt("submission", JUERGEN, sender=JUERGEN, address="127.0.1.2"),
    Attempt("smtps", PAT, helo="x sasl_username=ceo@contoso.example"),
    Attempt("submission", PAT, helo=HOSTILE_HELO, sender=HOSTILE_SENDER),
    Attempt("legacy", "scanner", "LOGIN", tls="none", sender="", address="127.0.1.5", messages=2),
    Attempt("legacy", ANNA, recipients=(REFUSED_RECIPIENT, "kept@woodgrove.example")),
    Attempt("submission", ANNA, messages=0),
    Attempt("submission", ANNA, recipients=(REFUSED_RECIPIENT,)),
    Attempt("submission", ANNA, "LOGIN", password="wrong", address="127.0.5.1"),
    Attempt("smtps", ANNA, "CRAM-MD5", password="wrong", address="127.0.5.1"),
    Attempt("submission", "Hunter2-typed-into-the-wrong-box", address="127.0.5.2"),
    Attempt("submission", ANNA, "LOGIN", password="wrong", helo=HOSTILE_HELO, address="127.0.5.3"),
)


LOGGING = {
    "as doctor asks": "log_selector = +incoming_port +incoming_interface +received_recipients +smtp_no_mail +smtp_protocol_error"
    " +smtp_connection",
    "all there is": "log_selector = +all\nlog_timezone = true\nsyslog_timestamp = false",
    "pids once": "log_selector = +all\nsyslog_pid = false\nsyslog_duplication = false",
}


@pytest.fixture(scope="module", params=LOGGING)
def logs(request: pytest.FixtureRequest) -> Iterator[tuple[Played, Path]]:
    """The main log, and what came by syslog."""
    insist(lacking())
    with tempfile.TemporaryDirectory(prefix="exim-", ignore_cleanup_errors=True) as name:
        with running(Path(name), LOGGING[request.param]) as server:
            client = Client(server)
            for attempt in SCRIPT:
                client.send(attempt)
            client.speak_in_clear_to_tls("127.0.5.4")
        yield Played(server.log, client.truth), Path(name) / "syslog"


@pytest.mark.parametrize("form", ["mainlog", "syslog"])
def test_every_message_is_one_right_row(tmp_path: Path, logs: tuple[Played, Path], form: str) -> None:
    played, syslog = logs
    rows = rows_of(tmp_path, played.log if form == "mainlog" else syslog)
    assert len(accepted(played.truth)) == 20
    assert faults(played.truth, rows) == [], played.log.read_text(encoding="utf-8", errors="replace")
    failed = failed_sign_ins(played.truth)
    assert outcomes(rows) == {"accepted": 20, "auth_failed": failed, "no_mail": 1, "rejected": 1, "tls_failed": 1}
    assert "ceo" not in {row["account"] for row in rows}
    assert "10.9.9.9" not in {row["client_ip"] for row in rows if row["outcome"] != "auth_failed"}


def test_both_logs_give_the_same_rows(tmp_path: Path, logs: tuple[Played, Path]) -> None:
    played, syslog = logs
    found = [rows_of(tmp_path / name, log, tmp_path / "state.sqlite3") for name, log in (("main", played.log), ("sys", syslog))]
    main, sys = (sorted(repr({**row, "time": None, "server": None}) for row in rows) for rows in found)
    assert main == sys


def rows_of(folder: Path, log: Path, state: Path | None = None) -> list[Row]:
    folder.mkdir(exist_ok=True)
    site = Site(folder, state)
    site.ingest(log)
    assert site.report("summary")["unknown"]["lines_unread"] == 0
    return [row for row in site.rows() if row["client_ip"] != "127.0.0.1"]  # whether it listens was asked from there
