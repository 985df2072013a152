"""
The columns that count messages by TLS version, in order from worst to best. They sum to `messages`.
"""

from __future__ import annotations

from smtp_auth_report.reports.interface import Column

TLS_COLUMNS = tuple(
    Column(name, "count", f"messages {what}", additive=True)
    for name, what in (
        ("tls_none", "without TLS"),
        ("tls_sslv3", "over SSL 3.0"),
        ("tls_1_0", "over TLS 1.0"),
        ("tls_1_1", "over TLS 1.1"),
        ("tls_1_2", "over TLS 1.2"),
        ("tls_1_3", "over TLS 1.3"),
        ("tls_unversioned", "over TLS of a version not logged"),
        ("tls_unknown", "of which the log does not tell"),
    )
)

TLS_SHARES = tuple(Column(f"{column.name}_share", "share", "of the row's messages") for column in TLS_COLUMNS)
