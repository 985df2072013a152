"""
Authentication methods: which mechanisms each account uses, and when it last sent its password itself.

`last_basic` is the account's, not the row's: an account that has moved to OAuth shows when it last did not.
"""

from __future__ import annotations

from smtp_auth_report.reports.interface import Column, Report

AUTH_METHODS = Report(
    name="auth-methods",
    title="Authentication methods",
    columns=(
        Column("account", "text"),
        Column("mechanism", "text"),
        Column("auth_class", "text"),
        Column("messages", "count", "accepted messages", additive=True),
        Column("last_seen", "time"),
        Column("last_basic", "time", "the account's last message after PLAIN or LOGIN"),
    ),
    series=(
        Column("day", "date"),
        Column("mechanism", "text"),
        Column("messages", "count", "accepted messages", additive=True),
    ),
    searched=("account", "mechanism"),
)
