"""
The reports, in the order in which pages show them.

    table = ask(REPORTS["sending-volume"], store, selection, View(limit=50))

See also
    interface.py, what a report is; asking.py, how its table is made; render.py, a table as JSON, CSV or text
"""

from __future__ import annotations

from smtp_auth_report.reports.asking import Wanted, ask, ask_all, ask_each
from smtp_auth_report.reports.auth_methods import AUTH_METHODS
from smtp_auth_report.reports.clients import CLIENTS
from smtp_auth_report.reports.failures import FAILURES
from smtp_auth_report.reports.sending_volume import SENDING_VOLUME
from smtp_auth_report.reports.summary import SUMMARY
from smtp_auth_report.reports.tls_usage import TLS_USAGE

__all__ = ["REPORTS", "Wanted", "ask", "ask_all", "ask_each"]

REPORTS = {report.name: report for report in (SUMMARY, SENDING_VOLUME, TLS_USAGE, AUTH_METHODS, CLIENTS, FAILURES)}
