"""
The relations that questions read, as SQL for any engine.

    relations = build(question, selection, conditions, coverage, DUCKDB)
    relations.sql             "facts AS (...), earlier AS (...)": those that the question mentions
    query = answer(question, view, relations)         the whole query, searched, sorted and limited

A relation is the period cut into pieces, each read from the longest sums that lie within it and from rows where there
are none (sums.py), so that both give the same numbers. What the pieces give is added up by the numbers of subjects,
manners and clients, as far as the question tells them apart, before any text is looked up. Filters are conditions on
those dimensions. All arithmetic on days is on integers, so no engine needs a time zone database.

See also
    interface.py for the columns
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.moments import DAY
from smtp_auth_report.store.dialects import Dialect
from smtp_auth_report.store.dimensions import CLIENTS, DIMENSIONS, MANNERS, SUBJECTS, Dimension, logical
from smtp_auth_report.store.filters import Conditions, auth_class_case, clean
from smtp_auth_report.store.interface import Interval, Question, Selection, Value, View
from smtp_auth_report.store.local_time import MONDAY, WIDTHS, earlier_starts, segments
from smtp_auth_report.store.sums import HOURLY, ROWS, Coverage, Piece, pieces, usable

EARLIER = 4
"""How many equal periods before the period are told apart."""

LONGEST: Mapping[Interval, int] = {"hour": 0, "day": 1, "week": 7}
"""Days of the longest sums that lie within one slot."""

MEASURES = {"messages": "sum", "recipients": "sum", "bytes": "sum", "first_seen": "min", "last_seen": "max"}
"""Column -> how it adds up."""


OF_ROWS = {
    "messages": "1",
    "recipients": "coalesce(r.recipients, 0)",
    "bytes": "coalesce(r.size, 0)",
    "first_seen": "r.time",
    "last_seen": "r.time",
}

Parameters = dict[str, Value | list[str]]


@dataclass(slots=True)
class Relations:
    """Common table expressions, and the parameters of the whole query."""

    sql: str
    parameters: Parameters = field(default_factory=dict)


class Source(NamedTuple):
    """A table, what of it lies in a piece, and SQL for the local time of its rows in microseconds, `offset` to be added."""

    table: str
    within: str
    time: str


def measures(table: str, names: Iterable[str] = tuple(MEASURES)) -> str:
    """SQL for columns that add up, of any table."""
    return ", ".join(f"{OF_ROWS[name]} AS {name}" if table == ROWS else f"r.{name}" for name in names)


def totals(names: Iterable[str] = tuple(MEASURES)) -> str:
    """SQL for these columns added up."""
    added = {name: f"{adding}(r.{name})" for name, adding in MEASURES.items()}
    whole = {name: f"CAST({sql} AS BIGINT)" if MEASURES[name] == "sum" else sql for name, sql in added.items()}
    return ", ".join(f"{whole[name]} AS {name}" for name in names)


def sources(piece: Piece, number: int, coverage: Coverage, dialect: Dialect, *, clients: bool) -> Iterator[Source]:
    """What a piece is read from; its edges are the parameters $low and $high of this number."""
    low, high = f"$low_{number}", f"$high_{number}"
    if piece.table != ROWS:
        yield Source(piece.table, f"r.slot >= {low} AND r.slot < {high}", f"r.slot * {DAY}")
        return
    low, high = dialect.instant.format(low), dialect.instant.format(high)
    yield Source(ROWS, f"r.time >= {low} AND r.time < {high}", f"{dialect.micros.format('r.time')} + {{offset}}")
    if piece.low < coverage.expired_before and not clients:
        yield Source(HOURLY, f"r.bucket >= {low} AND r.bucket < {high}", f"{dialect.micros.format('r.bucket')} + {{offset}}")


def build(question: Question, selection: Selection, conditions: Conditions, coverage: Coverage, dialect: Dialect) -> Relations:
    """Relations that a question mentions, narrowed to the selection."""
    building = _Building(question, selection, conditions, coverage, dialect)
    found = {name: building.relation(name) for name in RELATIONS if re.search(rf"\b{name}\b", question.sql)}
    sql = ", ".join(f"{name} AS ({body})" for name, body in found.items())
    return Relations(sql, used({**building.parameters, **question.parameters}, sql, question.sql))


RELATIONS = ("facts", "events", "previous", "earlier")


class _Building:
    """One question's relations."""

    def __init__(self, question: Question, selection: Selection, conditions: Conditions, coverage: Coverage, dialect: Dialect) -> None:
        self._question = question
        self._selection = selection
        self._coverage = coverage
        self._dialect = dialect
        self._by_client = conditions.client
        self._named = frozenset(re.findall(r"\w+", question.sql))
        self._measures = [name for name in MEASURES if name in self._named] or ["messages"]
        self._pieces = 0
        self._offsets = segments(selection.zone, selection.start, selection.end)
        self.parameters: Parameters = dict(conditions.parameters) | {"clients": sorted(conditions.addresses)}
        self.parameters |= {f"change_{number}": segment.start for number, segment in enumerate(self._offsets)}
        self.parameters |= {f"offset_{number}": segment.offset for number, segment in enumerate(self._offsets)}
        self._where = "".join(f" AND {condition}" for condition in narrowing(conditions, dialect, question.outcomes))

    def relation(self, name: str) -> str:
        """SQL for one of them."""
        slots = "slot" in self._named and name in ("facts", "events")
        dimensions = [each for each in DIMENSIONS if (each is not CLIENTS or name == "events") and self._columns(each)]
        keys = [*(["slot"] if slots else []), *(["ago"] if name == "earlier" else []), *(each.column for each in dimensions)]
        clients = self._by_client or CLIENTS in dimensions
        parts = [
            self._part(source, keys, ago)
            for ago, start, end in self._periods(name)
            for source in self._sources(start, end, clients=clients, longest=LONGEST[self._question.interval] if slots else 112)
        ]
        added = " UNION ALL ".join(parts) or self._part(Source(ROWS, "FALSE", "0"), keys, 0)
        if keys and not (slots and SUBJECTS in dimensions):
            added = f"SELECT {', '.join(keys)}, {totals(self._measures)} FROM ({added}) AS r GROUP BY {', '.join(keys)}"
        joins = "".join(f" JOIN {each.table} ON {each.table}.id = r.{each.column}" for each in dimensions)
        columns = [f"r.{key} AS {key}" for key in keys if key in ("slot", "ago")]
        columns += [column for each in dimensions for column in self._columns(each)]
        columns += [f"{self._measure(measure)} AS {measure}" for measure in self._measures]
        return f"SELECT {', '.join(columns)} FROM ({added}) AS r{joins}"

    def _columns(self, dimension: Dimension) -> list[str]:
        """Columns of a dimension that the question names."""
        columns = [f"{dimension.table}.{name} AS {name}" for name in dimension.values if name in self._named]
        if dimension is MANNERS and "auth_class" in self._named:
            columns.append(f"{auth_class_case('manners.mechanism')} AS auth_class")
        return columns

    def _measure(self, name: str) -> str:
        return self._dialect.micros.format(f"r.{name}") if name.endswith("seen") else f"r.{name}"

    def _periods(self, name: str) -> list[tuple[int, int, int]]:
        """Which periods a relation is of: how many before the one asked for, start, end."""
        start, end = self._selection.start, self._selection.end
        if name in ("facts", "events"):
            return [(0, start, end)]
        starts = earlier_starts(self._selection.zone, start, end, EARLIER)
        found = list(zip(range(1, EARLIER + 1), starts, (start, *starts), strict=False))
        return found[:1] if name == "previous" else [*found, (EARLIER + 1, self._coverage.first, starts[-1])]

    def _sources(self, start: int, end: int, *, clients: bool, longest: int) -> Iterator[Source]:
        start, end = max(start, self._coverage.first), min(end, self._coverage.last + 1)
        if clients:
            start = max(start, self._coverage.expired_before)
        tables = usable(self._selection.zone, self._coverage, clients=clients, longest=longest)
        for piece in pieces(self._coverage, start, end, tables):
            self.parameters |= {f"low_{self._pieces}": piece.low, f"high_{self._pieces}": piece.high}
            yield from sources(piece, self._pieces, self._coverage, self._dialect, clients=clients)
            self._pieces += 1

    def _part(self, source: Source, keys: list[str], ago: int) -> str:
        """SQL for what one table gives."""
        columns = {"slot": self._slot(source), "ago": str(ago)}
        shown = ", ".join(f"{columns.get(key, 'r.' + key)} AS {key}" for key in keys)
        added = measures(source.table, self._measures)
        return f"SELECT {shown}{', ' if keys else ''}{added} FROM {source.table} AS r WHERE {source.within}{self._where}"

    def _slot(self, source: Source) -> str:
        """SQL for the local start of the hour, day or week."""
        time, count = source.time.partition(" + ")[0], len(self._offsets)
        offset = "$offset_0"
        if count > 1:
            branches = " ".join(f"WHEN {time} < $change_{number} THEN $offset_{number - 1}" for number in range(1, count))
            offset = f"CASE {branches} ELSE $offset_{count - 1} END"
        local = f"({source.time.format(offset=offset)})"
        since = f"({local} - {MONDAY})" if self._question.interval == "week" else local
        return f"{local} - {since} % {WIDTHS[self._question.interval]}"


def narrowing(conditions: Conditions, dialect: Dialect, outcomes: Iterable[str] = ()) -> Iterator[str]:
    """Conditions on rows `r` of any table, by the numbers of what is asked for."""
    of = dict(conditions.of)
    if conditions.client:
        member = f"client_ip {dialect.member.format('$clients')}"
        of[CLIENTS.table] = f"({member} OR client_ip IS NULL)" if conditions.no_address else member
    if outcomes := sorted(outcomes):
        listed = ", ".join(f"'{outcome}'" for outcome in outcomes)
        of[MANNERS.table] = " AND ".join([*([of[MANNERS.table]] if MANNERS.table in of else []), f"outcome IN ({listed})"])
    for each in DIMENSIONS:
        if each.table in of:
            yield f"r.{each.column} IN (SELECT id FROM {each.table} WHERE {of[each.table]})"


def rows(selection: Selection, conditions: Conditions, columns: Iterable[str], dialect: Dialect) -> Relations:
    """The stored rows of a selection, with these columns."""
    start, end = dialect.instant.format("$start"), dialect.instant.format("$end")
    where = " AND ".join([f"r.time >= {start} AND r.time < {end}", *narrowing(conditions, dialect)])
    sql = f"{logical(ROWS, tuple(columns))} WHERE {where}"
    given: Parameters = {"start": selection.start, "end": selection.end, "clients": sorted(conditions.addresses)}
    return Relations(sql, used({**given, **conditions.parameters}, sql))


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
