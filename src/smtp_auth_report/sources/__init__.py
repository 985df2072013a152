"""
The kinds of mail server whose logs this program reads.

A new one is one new file and one line here.
"""

from smtp_auth_report.sources.chasquid import ChasquidSource
from smtp_auth_report.sources.courier import CourierSource
from smtp_auth_report.sources.dovecot import DovecotSource
from smtp_auth_report.sources.entra import EntraSource
from smtp_auth_report.sources.exchange import ExchangeSource
from smtp_auth_report.sources.exchange_online import ExchangeOnlineSource
from smtp_auth_report.sources.exim import EximSource
from smtp_auth_report.sources.haraka import HarakaSource
from smtp_auth_report.sources.hmailserver import HmailserverSource
from smtp_auth_report.sources.interface import Batch, Options, Source
from smtp_auth_report.sources.kerio import KerioSource
from smtp_auth_report.sources.log_reader import NOT_LOOKED, LogReader
from smtp_auth_report.sources.maddy import MaddySource
from smtp_auth_report.sources.opensmtpd import OpenSmtpdSource
from smtp_auth_report.sources.postfix import PostfixSource
from smtp_auth_report.sources.sendmail import SendmailSource
from smtp_auth_report.sources.stalwart import StalwartSource

SOURCES: tuple[type[Source], ...] = (
    PostfixSource,
    EximSource,
    SendmailSource,
    OpenSmtpdSource,
    DovecotSource,
    ExchangeSource,
    HarakaSource,
    MaddySource,
    ChasquidSource,
    StalwartSource,
    CourierSource,
    HmailserverSource,
    KerioSource,
    EntraSource,
    ExchangeOnlineSource,
)

__all__ = ["NOT_LOOKED", "SOURCES", "Batch", "LogReader", "Options", "Source"]
