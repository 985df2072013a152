"""
What the pages' server says of itself, on stderr, where systemd and containers look for it.

    begin()                     once, when it starts
    server.error_log = told     what the HTTP server could not do

A message is one line, and lines of a traceback stand behind it with an indent: an address, a header or a name that
somebody sent neither forges an entry nor steers a terminal.
"""

from __future__ import annotations

import logging

from smtp_auth_report.errors import one_line

INDENT = "    "

logger = logging.getLogger(__name__)


class OneLine(logging.Formatter):
    """An entry as above."""

    def format(self, record: logging.LogRecord) -> str:
        trace = self.formatException(record.exc_info).splitlines() if record.exc_info else []
        indents = (line[: len(line) - len(line.lstrip(" "))] for line in trace)
        lines = (INDENT + indent + one_line(line) for indent, line in zip(indents, trace, strict=True))
        return "\n".join([f"smtp-auth-report: {one_line(record.getMessage())}", *lines])


def begin() -> None:
    """Warnings and errors from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def told(message: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
    """As cheroot calls it."""
    logger.log(level, "%s", message, exc_info=traceback)
