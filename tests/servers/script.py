"""
What the client does to the real servers: every version of TLS, every mechanism, and everything that goes wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from mail_server import REFUSED_RECIPIENT
from smtp_client import VERSIONS, Attempt

ANNA, JUERGEN, BACKUP, CRM, PAT = (
    "anna.berg@contoso.example",
    "jürgen@münchen.example",
    "TAILSPIN\\backup_job",
    "crm@fabrikam.example",
    "o'neil, pat@contoso.example",
)
SCRIPT = (
    *(Attempt("submission", ANNA, tls=version, messages=2) for version in VERSIONS),
    *(Attempt("smtps", JUERGEN, "LOGIN", tls=version, address="127.0.1.2") for version in VERSIONS),
    Attempt(
        "submission", ANNA, "CRAM-MD5", tls="TLSv1.2", recipients=("a@woodgrove.example", "b@woodgrove.example", "c@proseware.example")
    ),
    Attempt("submission", CRM, "XOAUTH2", sender="crm@fabrikam.example", address="127.0.1.3", messages=3),
    Attempt("submission", BACKUP, "LOGIN", address="127.0.1.4"),
    Attempt("submission", JUERGEN, sender=JUERGEN, address="127.0.1.2"),
    Attempt("smtps", PAT, helo="x sasl_username=ceo@contoso.example"),
    Attempt("legacy", "scanner", tls="TLSv1.0", address="127.0.1.5"),
    Attempt("legacy", "scanner", "LOGIN", tls="none", sender="", address="127.0.1.5", messages=2),
    Attempt("quiet", CRM, "XOAUTH2", sender="crm@fabrikam.example", recipients=(REFUSED_RECIPIENT, "kept@woodgrove.example")),
    Attempt("submission", ANNA, messages=0),
    Attempt("submission", ANNA, recipients=(REFUSED_RECIPIENT,)),
    Attempt("submission", ANNA, "LOGIN", password="wrong", address="127.0.5.1"),
    Attempt("smtps", ANNA, password="wrong", address="127.0.5.1"),
    Attempt("submission", "Hunter2-typed-into-the-wrong-box", address="127.0.5.2"),
)


class Played(NamedTuple):
    """What is left when the servers have stopped."""

    log: Path
    truth: list[dict[str, Any]]
