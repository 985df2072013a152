"""
What ClickHouse keeps beside the rows, as it is read: each host has written for itself, and what they wrote is added up.

    read_unread(client, start, end)             and the other questions of `Snapshot`
    read_withheld(client)                       names that wait for their domain

See also
    clickhouse_noting.py, which writes it
"""

# ruff: noqa: S608 (SQL is put together from names of ours; values are always parameters)

from __future__ import annotations

from smtp_auth_report.changes import Counted, Withheld
from smtp_auth_report.moments import HOUR
from smtp_auth_report.store.clickhouse_client import Client
from smtp_auth_report.store.interface import CountedReport, Progress, StreamState, UnreadCount
from smtp_auth_report.store.noting import SAMPLES

EVER = 1 << 62
"""After every moment, microseconds UTC."""


def read_unread(client: Client, start: int | None, end: int | None) -> list[UnreadCount]:
    """Unread lines of the hours that the period touches, most first."""
    found = client.rows(
        """
        SELECT source, server, reason, sum(lines) AS number, max(last) FROM unread WHERE hour > $start AND hour < $end
        GROUP BY source, server, reason ORDER BY number DESC, source, server, reason
        """,
        {"start": -EVER if start is None else start - HOUR, "end": EVER if end is None else end},
    )
    samples: dict[tuple[str, str, str], list[str]] = {}
    sql = "SELECT source, server, reason, sample FROM unread_samples ORDER BY number, writer"
    for source, server, reason, sample in client.rows(sql):
        samples.setdefault((source, server, reason), []).append(sample)
    return [
        UnreadCount(source, server, reason, lines, last, samples.get((source, server, reason), [])[:SAMPLES])
        for source, server, reason, lines, last in found
    ]


def read_gaps(client: Client, start: int, end: int) -> int:
    return int(client.rows("SELECT count() FROM gaps WHERE time >= $start AND time < $end", {"start": start, "end": end})[0][0])


def read_progress(client: Client) -> list[Progress]:
    """Of each server and kind; the version is the one that was told last."""
    found = client.rows(
        """
        SELECT source, server, max(newest), max(committed), argMaxIf(version, committed, version <> '')
        FROM progress GROUP BY source, server ORDER BY source, server
        """
    )
    return [Progress(*row) for row in found]


def read_streams(client: Client) -> list[StreamState]:
    """Of each host's logs; where several hosts follow one of the same name, its host stands before it."""
    found = client.rows(
        """
        SELECT stream, any(host), sum(lines), sum(other), sum(unread), sum(rows),
               argMax(line_rate, committed), argMax(row_rate, committed), argMax(behind, committed), argMax(problem, committed),
               max(newest), max(committed) AS latest
        FROM streams LEFT JOIN writers ON writers.writer = streams.writer GROUP BY stream, coalesce(host, '') ORDER BY stream, any(host)
        """
    )
    names = [stream for stream, *_ in found]
    return [StreamState(f"{host}: {stream}" if names.count(stream) > 1 else stream, *told) for stream, host, *told in found]


def read_withheld(client: Client) -> list[Withheld]:
    return [Withheld(*row) for row in client.rows("SELECT account_key, sealed, time FROM withheld ORDER BY time")]


def read_reports(client: Client, scope: frozenset[str] | None) -> list[CountedReport]:
    within, parameters = _in_scope(scope)
    found = client.rows(
        f"""
        SELECT report, file, read, min(first), max(last), count(), sum(messages)
        FROM counted_reports JOIN counted USING (report) WHERE {within}
        GROUP BY report, file, read ORDER BY read DESC, report
        """,
        parameters,
    )
    return [CountedReport(*row) for row in found]


def read_counted(client: Client, report: str, limit: int, scope: frozenset[str] | None) -> list[Counted]:
    within, parameters = _in_scope(scope)
    found = client.rows(
        f"""
        SELECT {", ".join(Counted._fields)} FROM counted WHERE report = $report AND {within}
        ORDER BY messages DESC, sender, line LIMIT $limit
        """,
        {"report": report, "limit": limit, **parameters},
    )
    return [Counted(*row) for row in found]


def _in_scope(scope: frozenset[str] | None) -> tuple[str, dict[str, list[str]]]:
    return ("1 = 1", {}) if scope is None else ("sender_domain IN $scope", {"scope": sorted(scope)})
