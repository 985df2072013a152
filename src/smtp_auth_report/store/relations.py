"""
The relations that questions read: facts, events and earlier, as SQL for any engine.

    relations = build(question, selection, conditions, bucket_minutes=60, dialect=DUCKDB)
    relations.sql             "facts AS (...), earlier AS (...)": those that the question mentions
    query = answer(question, view, relations)         the whole query, searched, sorted and limited

`facts` reads the hourly sums where the period, and every change of the clocks in it, meets the edges of buckets, and
no client is asked for; else it reads the rows themselves. Both give the same numbers. All arithmetic on days is on
integers, so no engine needs a time zone database.

See also
    interface.py for the columns
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.moments import SECOND
from smtp_auth_report.store.filters import Conditions, auth_class_case, clean
from smtp_auth_report.store.interface import Interval, Question, Selection, Value, View
from smtp_auth_report.store.local_time import MONDAY, WIDTHS, Segment, earlier_starts, segments

DIMENSIONS = ("server", "service", "source", "account", "account_domain", "sender", "sender_domain", "mechanism", "tls_version", "outcome")
"""What the hourly sums are kept by, besides their bucket."""

Parameters = dict[str, Value | list[str]]


class Dialect(NamedTuple):
    """What engines spell differently; each a template of one argument."""

    micros: str  # a stored time as microseconds UTC
    instant: str  # microseconds UTC as a stored time
    member: str  # of a list that is a parameter


@dataclass(slots=True)
class Relations:
    """Common table expressions, and the parameters of the whole query."""

    sql: str
    parameters: Parameters = field(default_factory=dict)


def build(question: Question, selection: Selection, conditions: Conditions, *, bucket_minutes: int, dialect: Dialect) -> Relations:
    """Relations that a question mentions, narrowed to the selection."""
    offsets = segments(selection.zone, selection.start, selection.end)
    aggregated = not conditions.client and _aligned(selection, bucket_minutes)
    where = _where(conditions, dialect)
    parts = {
        "facts": _facts("during", aggregated, _slot(offsets, question.interval, aggregated, dialect), where, dialect),
        "events": _events(_slot(offsets, question.interval, False, dialect), where, dialect),
        "earlier": _facts("before", aggregated, "0", where, dialect),
    }
    sql = ", ".join(f"{name} AS ({body})" for name, body in parts.items() if re.search(rf"\b{name}\b", question.sql))
    given: Parameters = {"start": selection.start, "end": selection.end, "clients": sorted(conditions.addresses)}
    given |= conditions.parameters
    given |= {f"change_{number}": segment.start for number, segment in enumerate(offsets)}
    given |= {f"offset_{number}": segment.offset for number, segment in enumerate(offsets)}
    given |= question.parameters
    return Relations(sql, used(given, sql, question.sql))


def rows(selection: Selection, conditions: Conditions, dialect: Dialect) -> Relations:
    """The stored rows of a selection, with all their columns."""
    sql = f"SELECT s.* FROM submissions AS s WHERE {_period('s.time', 'during', dialect)} AND {_where(conditions, dialect)}"
    given: Parameters = {"start": selection.start, "end": selection.end, "clients": sorted(conditions.addresses)}
    given |= conditions.parameters
    return Relations(sql, used(given, sql))


def answer(question: Question, view: View, relations: Relations) -> Relations:
    """The whole query: rows of the view, each behind the count and the sums of all rows, and a mark that it is one.

    Without a row in the view there is one without the mark.
    """
    sums = ", ".join(f"coalesce(sum({name}), 0) AS total_{number}" for number, name in enumerate(("1", *question.sums)))
    limit = "" if view.limit is None else " LIMIT $limit"
    part = f"SELECT 1 AS present, {_quoted(question.columns)} FROM found ORDER BY {_order(question, view)}{limit} OFFSET $offset"
    sql = (
        f"WITH {relations.sql}, asked AS ({question.sql}), {_found(question, view)} "
        f"SELECT * FROM (SELECT {sums} FROM found) AS t LEFT JOIN ({part}) AS q ON TRUE ORDER BY {_order(question, view)}"
    )
    given = relations.parameters | {"needle": clean(view.search).lower(), "offset": view.offset, "limit": view.limit}
    return Relations(sql, used(given, sql))


def _found(question: Question, view: View) -> str:
    """The question's rows that the search leaves, with accounts as they were first spelled."""
    shown = [f'coalesce(a.spelling, asked.account) AS "{name}"' if name == "account" else f'asked."{name}"' for name in question.columns]
    spelled = "LEFT JOIN accounts AS a ON a.account = asked.account" if "account" in question.columns else ""
    sql = f"found AS (SELECT {', '.join(shown)} FROM asked {spelled})"
    if view.search and question.searched:
        tests = " OR ".join(f'position($needle IN lower("{name}")) > 0' for name in question.searched)
        sql = f"{sql.replace('found', 'unsearched', 1)}, found AS (SELECT * FROM unsearched WHERE {tests})"
    return sql


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _order(question: Question, view: View) -> str:
    """The order asked for; ties are settled by messages, most first, then by the other columns."""
    if view.sort is not None and view.sort not in question.columns:
        raise SelectionError(f"there is no column {view.sort!r} to sort by; columns are {', '.join(question.columns)}")
    first = [f'"{view.sort}" {"DESC" if view.descending else "ASC"} NULLS LAST'] if view.sort is not None else []
    most = ['"messages" DESC NULLS LAST'] if view.sort is not None and "messages" in question.columns and view.sort != "messages" else []
    others = (name for name in question.columns if name != view.sort and not (most and name == "messages"))
    return ", ".join([*first, *most, *(f'"{name}" ASC NULLS LAST' for name in others)])


def used(given: Parameters, *texts: str) -> Parameters:
    """Those parameters that the SQL names: engines refuse others."""
    names = {name for text in texts for name in re.findall(r"\$(\w+)", text)}
    return {name: value for name, value in given.items() if name in names}


def _aligned(selection: Selection, bucket_minutes: int) -> bool:
    """Whether buckets, local hours and the period share their edges, in the four periods before too."""
    width = bucket_minutes * 60 * SECOND
    first = earlier_starts(selection.zone, selection.start, selection.end, 4)[-1]
    changes = segments(selection.zone, first, selection.end)
    edges = [selection.start, selection.end, *(segment.offset for segment in changes), *(segment.start for segment in changes[1:])]
    return all(edge % width == 0 for edge in edges)


def _slot(offsets: Iterable[Segment], interval: Interval, aggregated: bool, dialect: Dialect) -> str:
    """SQL for the local start of the hour, day or week."""
    time = dialect.micros.format("bucket" if aggregated else "s.time")
    count = len(tuple(offsets))
    offset = "$offset_0"
    if count > 1:
        branches = " ".join(f"WHEN {time} < $change_{number} THEN $offset_{number - 1}" for number in range(1, count))
        offset = f"CASE {branches} ELSE $offset_{count - 1} END"
    local = f"({time} + {offset})"
    since = f"({local} - {MONDAY})" if interval == "week" else local
    return f"{local} - {since} % {WIDTHS[interval]}"


def _where(conditions: Conditions, dialect: Dialect) -> str:
    sql = conditions.sql
    if conditions.client:
        member = dialect.member.format("s.client_ip", "$clients")
        sql += f" AND ({member} OR s.client_ip IS NULL)" if conditions.no_address else f" AND {member}"
    return sql


def _period(column: str, when: str, dialect: Dialect) -> str:
    start, end = dialect.instant.format("$start"), dialect.instant.format("$end")
    return f"{column} < {start}" if when == "before" else f"{column} >= {start} AND {column} < {end}"


def _facts(when: str, aggregated: bool, slot: str, where: str, dialect: Dialect) -> str:
    columns = f"{slot} AS slot, {', '.join(DIMENSIONS)}, {auth_class_case('mechanism')} AS auth_class"
    if aggregated:
        first, last = dialect.micros.format("s.first_seen"), dialect.micros.format("s.last_seen")
        return (
            f"SELECT {columns}, messages, recipients, bytes, {first} AS first_seen, {last} AS last_seen "
            f"FROM hourly AS s WHERE {_period('bucket', when, dialect)} AND {where}"
        )
    seen = dialect.micros.format("s.time")
    return (
        f"SELECT {columns}, 1 AS messages, coalesce(s.recipients, 0) AS recipients, coalesce(s.size, 0) AS bytes, "
        f"{seen} AS first_seen, {seen} AS last_seen FROM submissions AS s WHERE {_period('s.time', when, dialect)} AND {where}"
    )


def _events(slot: str, where: str, dialect: Dialect) -> str:
    seen = dialect.micros.format("s.time")
    return (
        f"SELECT {slot} AS slot, {', '.join(DIMENSIONS)}, {auth_class_case('mechanism')} AS auth_class, 1 AS messages, "
        "coalesce(s.recipients, 0) AS recipients, coalesce(s.size, 0) AS bytes, client_ip, client_name, helo, reason, "
        f"{seen} AS time, {seen} AS first_seen, {seen} AS last_seen "
        f"FROM submissions AS s WHERE {_period('s.time', 'during', dialect)} AND {where}"
    )
