"""
Failures: which addresses could not sign in, for which account where one is known, and why.

A handshake that fails comes before any name, so it has no account. `failed`, to sort by, counts both kinds.
"""

from __future__ import annotations

from smtp_auth_report.reports.interface import Column, Report
from smtp_auth_report.submission import Outcome

FAILURES = Report(
    name="failures",
    title="Failed sign-ins",
    columns=(
        Column("client_ip", "text"),
        Column("client_name", "text"),
        Column("account", "text"),
        Column("auth_failed", "count", "failed sign-ins", additive=True),
        Column("tls_failed", "count", "failed TLS handshakes", additive=True),
        Column("last_reason", "text"),
        Column("first_seen", "time"),
        Column("last_seen", "time"),
    ),
    series=(
        Column("day", "date"),
        Column("auth_failed", "count", "failed sign-ins", additive=True),
        Column("tls_failed", "count", "failed TLS handshakes", additive=True),
    ),
    sort="failed",
    searched=("client_ip", "client_name", "account"),
    orders=("failed",),
    found_by=(("client_ip", "client"), ("account", "account")),
    outcomes=(Outcome.AUTH_FAILED, Outcome.TLS_FAILED),
)
