"""
The kinds of mail server whose logs this program reads.

A new one is one new file and one line here.
"""

from smtp_auth_report.sources.dovecot import DovecotSource
from smtp_auth_report.sources.exchange import ExchangeSource
from smtp_auth_report.sources.interface import Options, Source
from smtp_auth_report.sources.log_reader import NOT_LOOKED, LogReader
from smtp_auth_report.sources.opensmtpd import OpenSmtpdSource
from smtp_auth_report.sources.postfix import PostfixSource
from smtp_auth_report.sources.sendmail import SendmailSource

SOURCES: tuple[type[Source], ...] = (PostfixSource, SendmailSource, OpenSmtpdSource, DovecotSource, ExchangeSource)

__all__ = ["NOT_LOOKED", "SOURCES", "LogReader", "Options", "Source"]
