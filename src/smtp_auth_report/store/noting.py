"""
What a commit says beside its rows, put together for any engine.

    hours, samples = counted_by_hour(changes.unread)     unread lines by kind and hour, and some of them
    newest_of(commit, known)                             the newest line of each server and kind of log
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from smtp_auth_report.changes import Commit, Unread
from smtp_auth_report.moments import HOUR
from smtp_auth_report.store.filters import clean

WITHHELD = 20_000
"""Names that wait for their domain at most."""

SAMPLES = 5
"""How many unread lines are kept for each reason and server."""

Kind = tuple[str, str, str]
"""Source, server and reason of unread lines."""

Hour = tuple[str, str, str, int]


def counted_by_hour(unread: Iterable[Unread]) -> tuple[dict[Hour, tuple[int, int]], dict[Kind, list[str]]]:
    """Of each kind and hour how many there are and when the last was; of each kind the first of them."""
    hours: dict[Hour, tuple[int, int]] = {}
    samples: dict[Kind, list[str]] = {}
    for line in unread:
        kind = (line.source, clean(line.server), line.reason)
        hour = (*kind, line.time - line.time % HOUR)
        number, last = hours.get(hour, (0, line.time))
        hours[hour] = number + 1, max(last, line.time)
        kept = samples.setdefault(kind, [])
        if len(kept) < SAMPLES:
            kept.append(clean(line.sample))
    return hours, samples


def newest_of(commit: Commit, known: Callable[[], Iterable[tuple[str, str]]]) -> dict[tuple[str, str], int]:
    """By source and server, as the log spells it. A server's kind is known from what its lines gave, else from what is `known`."""
    changes = commit.changes
    newest = {(remembered.source, remembered.server): remembered.newest for remembered in commit.remembered if remembered.newest}
    kinds: dict[str, set[str]] = {}
    for source, server in newest:
        kinds.setdefault(server, set()).add(source)
    for row in changes.rows.values() if changes.newest.keys() - kinds.keys() else ():
        kinds.setdefault(row.server, set()).add(row.source)
    for server, _, source, *_ in (manner for messages in changes.messages for manner in messages.manners):
        kinds.setdefault(server, set()).add(source)
    for line in changes.unread:
        kinds.setdefault(line.server, set()).add(line.source)
    for source, server in changes.versions:
        kinds.setdefault(server, set()).add(source)
    untold = changes.newest.keys() - kinds.keys()
    before: dict[str, set[str]] = {}
    for source, server in known() if untold else ():
        before.setdefault(server, set()).add(source)
    kinds |= {server: before.get(clean(server), {"unknown"}) for server in untold}
    for server, time in changes.newest.items():
        for source in kinds[server]:
            newest[source, server] = max(time, newest.get((source, server), time))
    return newest
