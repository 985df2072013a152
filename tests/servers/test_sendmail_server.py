"""Real Sendmail: what the program says about its log, at two levels, is what the client did."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mail_server import REFUSED_RECIPIENT, insist
from script import ANNA, BACKUP, CRM, PAT, Played
from sendmail_server import lacking, running
from smtp_client import VERSIONS, Attempt, Client

from ingesting import Site, outcomes
from truth import accepted, failed_sign_ins, faults

pytestmark = pytest.mark.servers

HOSTILE_SENDER = '"x, size=1, class=0, nrcpts=9, proto=ESMTP, relay=[10.9.9.9]"@contoso.example'
SCRIPT = (
    *(Attempt("submission", ANNA, tls=version, messages=2) for version in VERSIONS),
    *(Attempt("smtps", CRM, "LOGIN", tls=version, address="127.0.1.2") for version in VERSIONS),
    Attempt("submission", "scanner", "CRAM-MD5", tls="TLSv1.2", recipients=("a@woodgrove.example", "b@woodgrove.example")),
    Attempt("submission", BACKUP, "LOGIN", address="127.0.1.4"),
    Attempt("smtps", PAT, helo="x authid=ceo@contoso.example"),
    Attempt("submission", PAT, sender=HOSTILE_SENDER),
    Attempt("legacy", "scanner", "LOGIN", tls="none", sender="", address="127.0.1.5", messages=2),
    Attempt("legacy", ANNA, recipients=(REFUSED_RECIPIENT, "kept@woodgrove.example")),
    Attempt("submission", ANNA, messages=0),
    Attempt("submission", ANNA, recipients=(REFUSED_RECIPIENT,)),
    Attempt("submission", ANNA, "LOGIN", password="wrong", address="127.0.5.1"),
    Attempt("smtps", ANNA, password="wrong", address="127.0.5.1"),
    Attempt("submission", "Hunter2-typed-into-the-wrong-box", address="127.0.5.2"),
)


@pytest.fixture(scope="module", params=[9, 14])
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    """Start the server, play the script, stop it."""
    insist(lacking())
    with tempfile.TemporaryDirectory(prefix="sendmail-", ignore_cleanup_errors=True) as name:
        with running(Path(name), request.param) as server:
            client = Client(server)
            for attempt in SCRIPT:
                client.send(attempt)
        yield Played(server.log, client.truth)


def test_every_message_is_one_right_row(tmp_path: Path, played: Played) -> None:
    site = Site(tmp_path)
    site.ingest(played.log)
    rows = [row for row in site.rows() if row["client_ip"] != "127.0.0.1"]  # whether it listens was asked from there
    assert len(accepted(played.truth)) == 19
    assert faults(played.truth, rows) == [], played.log.read_text(encoding="utf-8")
    assert outcomes(rows) == {"accepted": 19, "auth_failed": failed_sign_ins(played.truth), "no_mail": 1, "rejected": 1}
    assert {row["source"] for row in rows} == {"sendmail"}
    assert site.report("summary")["unknown"]["lines_unread"] == 0
