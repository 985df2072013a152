"""
Clients: from which address each account submits, through which door, with which TLS version and mechanism.

`client_name` and `helo` are the latest that the log tells.
"""

from __future__ import annotations

from smtp_auth_report.reports.interface import Column, Report

CLIENTS = Report(
    name="clients",
    title="Clients",
    columns=(
        Column("account", "text"),
        Column("client_ip", "text"),
        Column("service", "text"),
        Column("tls_version", "text"),
        Column("mechanism", "text"),
        Column("client_name", "text"),
        Column("helo", "text"),
        Column("messages", "count", "accepted messages", additive=True),
        Column("first_seen", "time"),
        Column("last_seen", "time"),
    ),
    searched=("account", "client_ip", "client_name", "helo"),
    found_by=(("account", "account"), ("client_ip", "client"), ("service", ""), ("tls_version", ""), ("mechanism", "")),
)
