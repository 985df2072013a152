"""
Sending volume: who sends as whom, how much, and how much that is beside what is usual for him.

`usual` is the median of the four equal periods before; `ratio`, to sort by, is what `messages` is to it. A ratio far
above 1 from a sender that is not new is the first look for a stolen account.
"""

from __future__ import annotations

from smtp_auth_report.reports.interface import Column, Report

SENDING_VOLUME = Report(
    name="sending-volume",
    title="Sending volume",
    columns=(
        Column("sender", "text"),
        Column("sender_domain", "text"),
        Column("account", "text"),
        Column("messages", "count", "accepted messages", additive=True),
        Column("usual", "number", "accepted messages, median of the four equal periods before"),
        Column("is_new", "flag", "no accepted message before the period"),
        Column("recipients", "count", "recipients of accepted messages", additive=True),
        Column("bytes", "bytes", "size of accepted messages", additive=True),
        Column("first_seen", "time"),
        Column("last_seen", "time"),
        Column("client_addresses", "count", "client addresses"),
    ),
    series=(
        Column("day", "date"),
        Column("sender_domain", "text"),
        Column("messages", "count", "accepted messages", additive=True),
    ),
    searched=("sender", "account"),
    orders=("ratio",),
    found_by=(("sender", "sender"), ("sender_domain", ""), ("account", "account")),
)
