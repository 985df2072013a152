"""
TLS usage: which versions each sender's messages came over, those most in need of action first.

Worst first means most messages without TLS or over a version that RFC 8996 forbids (`weak`).
"""

from __future__ import annotations

from smtp_auth_report.reports.interface import Column, Report
from smtp_auth_report.reports.tls_columns import TLS_COLUMNS, TLS_SHARES

TLS_USAGE = Report(
    name="tls-usage",
    title="TLS usage",
    columns=(
        Column("sender", "text"),
        Column("account", "text"),
        *TLS_COLUMNS,
        *TLS_SHARES,
        Column("messages", "count", "accepted messages", additive=True),
        Column("last_legacy", "time", "last message over SSL 3.0, TLS 1.0 or TLS 1.1"),
    ),
    series=(
        Column("day", "date"),
        Column("tls_version", "text"),
        Column("messages", "count", "accepted messages", additive=True),
    ),
    sort="weak",
    searched=("sender", "account"),
    orders=("weak",),
)
