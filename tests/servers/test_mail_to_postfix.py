"""Mail of the report, handed to a real Postfix: by both kinds of TLS, signed in through Dovecot, and what it refuses."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from mail_server import PASSWORD, REFUSED_RECIPIENT, MailServer, insist, lacking, running

from smtp_auth_report.moments import now
from smtp_auth_report.outgoing import PASSWORD as PASSWORD_VARIABLE
from smtp_auth_report.outgoing import DeliveryError, hand_over, letter
from smtp_auth_report.settings import load

pytestmark = pytest.mark.servers

USER = "anna.berg@contoso.example"


def test_postfix_takes_what_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    insist(lacking())
    with tempfile.TemporaryDirectory(prefix="postfix-", ignore_cleanup_errors=True) as name:
        with running(Path(name)) as server:
            _try_out(server, Path(name), monkeypatch)
        log = server.log.read_text(encoding="utf-8")
    assert sorted(re.findall(r"message-id=<([^@]*)@contoso\.example>", log)) == ["smtps-implicit", "submission-starttls"]


def _try_out(server: MailServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(service: str, tls: str, to: str = "ben@woodgrove.example", password: str = PASSWORD) -> None:
        flags = {"mail_server": f"localhost:{server.ports[service]}", "mail_tls": tls, "mail_user": USER, "mail_from": USER}
        settings = load(flags | {"public_url": "http://localhost:8025"}, {})
        message = letter(settings, f"{service}-{tls}", now(), "report", to, "Übersicht", "line\n" * 3)
        hand_over(message, settings, {PASSWORD_VARIABLE: password})

    with pytest.raises(DeliveryError, match="certificate"):
        send("smtps", "implicit")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "server.pem"))
    send("smtps", "implicit")
    send("submission", "starttls")
    with pytest.raises(DeliveryError, match="refuses the recipient: 554") as refused:
        send("submission", "starttls", to=REFUSED_RECIPIENT)
    assert refused.value.final
    with pytest.raises(DeliveryError, match="refuses the sign-in; check mail_user and its password: 535"):
        send("submission", "starttls", password="wrong")
    with pytest.raises(DeliveryError, match=r"lacks what is needed|broke off"):
        send("submission", "none")
