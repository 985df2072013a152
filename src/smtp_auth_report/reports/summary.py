"""
Summary: one row that says whether an administrator must act.
"""

from __future__ import annotations

from smtp_auth_report.reports.interface import Column, Report
from smtp_auth_report.reports.tls_columns import TLS_COLUMNS

SUMMARY = Report(
    name="summary",
    title="Summary",
    columns=(
        Column("accounts", "count", "accounts with an accepted message"),
        Column("messages", "count", "accepted messages", additive=True),
        Column("recipients", "count", "recipients of accepted messages", additive=True),
        Column("previous_accounts", "count", "accounts in the equal period before"),
        Column("previous_messages", "count", "accepted messages in the equal period before", additive=True),
        Column("legacy_tls_accounts", "count", "accounts that used SSL 3.0, TLS 1.0 or TLS 1.1"),
        Column("cleartext_accounts", "count", "accounts that used no TLS"),
        Column("basic_auth_accounts", "count", "accounts that used PLAIN or LOGIN"),
        Column("auth_failed", "count", "failed sign-ins", additive=True),
        Column("tls_failed", "count", "failed TLS handshakes", additive=True),
        *TLS_COLUMNS,
    ),
    series=(
        Column("day", "date"),
        Column("messages", "count", "accepted messages", additive=True),
        Column("accounts", "count", "accounts with an accepted message"),
    ),
    outcomes=(),
)
