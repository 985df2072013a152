"""
The kinds of log this program reads, in the order they are asked.

A new mail server is one new file and one line here.
"""

from smtp_auth_report.sources.interface import NOT_LOOKED, Options, Source
from smtp_auth_report.sources.postfix import PostfixSource

SOURCES: tuple[type[Source], ...] = (PostfixSource,)

__all__ = ["NOT_LOOKED", "SOURCES", "Options", "Source"]
