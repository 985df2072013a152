"""Real OpenSMTPD: what the program says about the log is what the client did."""

from __future__ import annotations

import base64
import smtplib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mail_server import PASSWORD, REFUSED_RECIPIENT, MailServer, insist
from opensmtpd_server import lacking, running, speaks_tls
from script import ANNA, BACKUP, CRM, JUERGEN, Played
from smtp_client import Attempt, Client

from ingesting import Site, outcomes
from truth import accepted, failed_sign_ins, faults

pytestmark = pytest.mark.servers

VERSIONS = ("TLSv1.2", "TLSv1.3")  # newer builds have no others
SCRIPT = (
    *(Attempt("submission", ANNA, tls=version, messages=2) for version in VERSIONS),
    *(Attempt("smtps", JUERGEN, "LOGIN", tls=version, address="127.0.1.2") for version in VERSIONS),
    Attempt("legacy", BACKUP, "LOGIN", sender="", recipients=("a@woodgrove.example", "b@woodgrove.example"), address="127.0.1.4"),
    Attempt("submission", CRM, recipients=(REFUSED_RECIPIENT,)),
    Attempt("submission", ANNA, messages=0),
    Attempt("submission", ANNA, "LOGIN", password="wrong", address="127.0.5.1"),
    Attempt("smtps", ANNA, password="wrong", address="127.0.5.1"),
    Attempt("submission", "Hunter2-typed-into-the-wrong-box", address="127.0.5.2"),
)
IN_CLEAR = base64.b64encode(f"\0{ANNA}\0{PASSWORD}".encode())


def in_clear(server: MailServer) -> None:
    """What a device does that is set to no encryption: it signs in all the same, and then sends without having signed in."""
    with smtplib.SMTP("127.0.0.1", server.ports["legacy"], "device.contoso.example", 20, ("127.0.5.9", 0)) as session:
        session.ehlo()
        assert session.docmd("AUTH", f"PLAIN {IN_CLEAR.decode()}")[0] == 503
        session.sendmail("device@contoso.example", ["someone@woodgrove.example"], b"Subject: test\r\n\r\nhello\r\n")


@pytest.fixture(scope="module")
def refused() -> Iterator[Site]:
    """The log of a device that spoke in clear, in a database of its own."""
    insist(lacking())
    with tempfile.TemporaryDirectory(prefix="opensmtpd-", ignore_cleanup_errors=True) as name, tempfile.TemporaryDirectory() as own:
        with running(Path(name)) as server:
            in_clear(server)
        assert IN_CLEAR in server.log.read_bytes(), "OpenSMTPD logs what was refused as the client wrote it"
        site = Site(Path(own))
        site.ingest(server.log)
        yield site


def test_a_sign_in_that_was_refused_in_clear(refused: Site) -> None:
    [row] = refused.rows()
    assert (row["outcome"], row["reason"], row["mechanism"], row["tls_version"]) == ("auth_failed", "not_offered", "PLAIN", "none")
    assert (row["client_ip"], row["account"], row["source"]) == ("127.0.5.9", None, "opensmtpd")


def test_the_password_is_nowhere(refused: Site) -> None:
    assert not any(IN_CLEAR in path.read_bytes() for path in refused.folder.iterdir())


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    """
    Start the server, play the script, stop it. Debian 12's build completes no TLS handshake, and takes no AUTH without: there is
    nothing to play then, and its failed handshakes must give no row.
    """
    insist(lacking())
    with tempfile.TemporaryDirectory(prefix="opensmtpd-", ignore_cleanup_errors=True) as name:
        with running(Path(name)) as server:
            client = Client(server)
            for attempt in SCRIPT if speaks_tls(server) else ():
                client.send(attempt)
        yield Played(server.log, client.truth)


def test_every_message_is_one_right_row(tmp_path: Path, played: Played) -> None:
    site = Site(tmp_path)
    site.ingest(played.log)
    rows = site.rows()
    if not played.truth:
        assert rows == []
        return
    assert len(accepted(played.truth)) == 7
    assert faults(played.truth, rows, {"mechanism": 0}) == [], played.log.read_text(encoding="utf-8")
    assert outcomes(rows) == {"accepted": 7, "auth_failed": failed_sign_ins(played.truth), "no_mail": 1, "rejected": 1}
    assert {row["mechanism"] for row in rows if row["outcome"] == "auth_failed"} == {"LOGIN", "PLAIN"}
    assert site.report("summary")["unknown"]["lines_unread"] == 0
