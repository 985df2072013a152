"""
Exchange Server: what message tracking tells of messages that protocol logs know.

    told(columns, fields, server, time)      by reference; {} for a row that tells of no submission

    2026-11-23T16:06:09.201Z,10.0.0.5,pc.contoso.example,10.0.0.5,EX1,08DE2A7B4C5D6E7F;2026-11-23T16:06:05.100Z;0,EX1\\Client Proxy EX1,
    SMTP,RECEIVE,4793,<1@contoso.example>,…,lena@contoso.example;tim@fabrikam.example,,1519,2,…

It does not say whether the client signed in, so that a row of its own never comes of it: only size and recipients of a row
that a protocol log gave. Mail that came in for the site's own users (`Incoming`) is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from smtp_auth_report.sources import values
from smtp_auth_report.sources.csv_log import Columns
from smtp_auth_report.sources.exchange_sessions import message_of_server, message_of_session
from smtp_auth_report.submission import Identity, Outcome, Submission, bare

RECEIVED = b",SMTP,RECEIVE,"
# 08DE2A7B4C5D6E7F;2026-11-23T16:06:05.100Z;0
CONTEXT = re.compile(rb"([0-9A-Fa-f]{8,16});[^;]*;\d+")
NUMBER = re.compile(rb"\d{1,15}")


def told(columns: Columns, record: Sequence[bytes], server: str, time: int) -> dict[int, Submission]:
    """What a row tells, by the references that rows of protocol logs await."""
    if columns.of(record, "source") != b"SMTP" or columns.of(record, "event-id") != b"RECEIVE":
        return {}
    if columns.of(record, "directionality").lower() == b"incoming":
        return {}
    message_id = values.text(columns.of(record, "message-id"))
    references = []
    context = CONTEXT.fullmatch(columns.of(record, "source-context"))
    if context:
        references.append(message_of_session(context[1].decode("ascii"), message_id))
    internal = columns.of(record, "internal-message-id")
    if NUMBER.fullmatch(internal):
        references.append(message_of_server(server, internal.decode("ascii"), message_id))
    size, recipients = (_number(columns.of(record, name)) for name in ("total-bytes", "recipient-count"))
    return {reference: _row(reference, time, size, recipients) for reference in references}


def _number(raw: bytes) -> int | None:
    return int(raw) if NUMBER.fullmatch(raw) else None


def _row(reference: int, time: int, size: int | None, recipients: int | None) -> Submission:
    server = ""  # the protocol log knows it
    return bare(Identity(reference, 0), time, server, "exchange", Outcome.NO_MAIL.value)._replace(size=size, recipients=recipients)
