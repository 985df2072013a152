"""
The relations that questions read, as SQL for any engine.

    reader = Reader(selection, conditions, coverage)
    reader.base(Base("base_0", need))                 a table to be made of what several questions need
    relations = reader.relations(question, bases)     "facts AS (...), earlier AS (...)": those that the question mentions
    query = answer(question, view, relations)         the whole query, searched, sorted and limited

A relation is the period cut into pieces, each read from the longest sums that lie within it and from rows where there
are none (sums.py), so that both give the same numbers. What the pieces give is added up by the numbers of subjects,
manners and clients, as far as the question tells them apart, before any text is looked up. Filters are conditions on
those dimensions. All arithmetic on days is on integers, so no engine needs a time zone database.

An engine takes longer to plan a query than to run it where the query is long and its rows are few. So conditions stand
behind the pieces once, and what several questions need is added up once, into a table of its own. An engine without sums
(ClickHouse) reads rows instead: there facts are taken from events where both are needed, and rows by slot and sender's
domain are told apart by the domain's number, found for each row, for a text that is joined to each takes twice as long.

See also
    interface.py for the columns
"""

# ruff: noqa: S608 (SQL is put together from names and templates of ours; values are always parameters)

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.moments import DAY
from smtp_auth_report.store.dialects import Dialect
from smtp_auth_report.store.dimensions import CLIENTS, DIMENSIONS, MANNERS, SUBJECTS, Dimension, logical
from smtp_auth_report.store.filters import Conditions, auth_class_case, lowered
from smtp_auth_report.store.interface import Interval, Question, Selection, Value, View
from smtp_auth_report.store.local_time import MONDAY, WIDTHS, earlier_starts, segments
from smtp_auth_report.store.sums import BY_DOMAIN, BY_MANNER, HOURLY, ROWS, SUMS, Coverage, Piece, Sum, pieces, usable
from smtp_auth_report.words import worded

RELATIONS = ("facts", "events", "previous", "earlier")

EARLIER = 4
"""How many equal periods before the period are told apart."""

LONGEST: Mapping[Interval, int] = {"hour": 0, "day": 1, "week": 7}
"""Days of the longest sums that lie within one slot."""

MEASURES = {"messages": "sum", "recipients": "sum", "bytes": "sum", "first_seen": "min", "last_seen": "max"}
"""Column -> how it adds up."""

TOLD_APART = frozenset({"auth_class"}.union(*(each.columns for each in DIMENSIONS)))

BESIDE = {f"ago_{ago}": f"coalesce(sum(r.messages) FILTER (WHERE r.ago = {ago}), 0)" for ago in range(1, EARLIER + 1)} | {
    "ever": "sum(r.messages)"
}
"""Column of what was earlier -> the messages of which periods it adds up."""

TIMES = {"slot": ("facts", "events"), "ago": ("earlier",)}
"""Column -> relations that it tells rows of apart."""

OF_ROWS = {
    "messages": "1",
    "recipients": "coalesce(r.recipients, 0)",
    "bytes": "coalesce(r.size, 0)",
    "first_seen": "r.time",
    "last_seen": "r.time",
}

DOMAINS = Dimension("domains", "domain", ("sender_domain",))
"""Of the subjects no more than the domain of senders; its number is theirs, 0 where there is none."""

DOMAIN_OF = "(SELECT id, coalesce(domain_id, 0) AS domain FROM subjects) AS domain_of"
VALUES_OF = {DOMAINS: "(SELECT coalesce(domain_id, 0) AS id, min(sender_domain) AS sender_domain FROM subjects GROUP BY 1) AS domains"}

Parameters = dict[str, Value | list[str]]


@dataclass(slots=True)
class Relations:
    """Common table expressions, and the parameters of the whole query."""

    sql: str
    parameters: Parameters = field(default_factory=dict)


class Source(NamedTuple):
    """
    A table, what of it lies in a piece, SQL for the local time of its rows in microseconds, `offset` to be added, and the
    parameters of all that.
    """

    table: str
    within: str
    time: str
    edges: Mapping[str, int]


def measures(table: str, names: Iterable[str] = tuple(MEASURES)) -> str:
    """SQL for columns that add up, of any table."""
    return ", ".join(f"{OF_ROWS[name]} AS {name}" if table == ROWS else f"r.{name}" for name in names)


def totals(names: Iterable[str] = tuple(MEASURES)) -> str:
    """SQL for these columns added up."""
    added = {name: f"{adding}(r.{name})" for name, adding in MEASURES.items()} | BESIDE
    whole = {name: sql if name.endswith("seen") else f"CAST({sql} AS BIGINT)" for name, sql in added.items()}
    return ", ".join(f"{whole[name]} AS {name}" for name in names)


def sources(piece: Piece, number: int, coverage: Coverage, dialect: Dialect, *, clients: bool) -> Iterator[Source]:
    """
    What a piece is read from; its edges are parameters of this number. What has expired is read by the hour and never from
    rows: an engine may be just about to delete them.
    """
    if piece.table != ROWS:
        if piece.every > 1:
            edges = {f"slot_{number}_{place}": slot for place, slot in enumerate(range(piece.low, piece.high, piece.every))}
            within = f"r.slot IN ({', '.join(f'${edge}' for edge in edges)})"  # what lies between them is not even read
        else:
            edges = {f"low_{number}": piece.low, f"high_{number}": piece.high}
            within = f"r.slot >= $low_{number} AND r.slot < $high_{number}"
        yield Source(piece.table, within, f"r.slot * {DAY}", edges)
        return
    kept_since = max(piece.low, coverage.expired_before)
    if kept_since < piece.high:
        yield _between(ROWS, "r.time", kept_since, piece.high, number, dialect)
    if piece.low < coverage.expired_before and not clients:
        yield _between(HOURLY, "r.bucket", piece.low, min(piece.high, coverage.expired_before), number, dialect)


def _between(table: str, time: str, low: int, high: int, number: int, dialect: Dialect) -> Source:
    """What of a table lies between two moments."""
    edges = {f"{table}_low_{number}": low, f"{table}_high_{number}": high}
    since, until = (dialect.instant.format(f"${edge}") for edge in edges)
    return Source(table, f"{time} >= {since} AND {time} < {until}", f"{dialect.micros.format(time)} + {{offset}}", edges)


@dataclass(frozen=True, slots=True)
class Need:
    """What is read of a relation: what is told apart, and what adds up."""

    relation: str
    time: str  # "slot" or "ago" where rows are told apart by it
    dimensions: tuple[Dimension, ...]
    measures: tuple[str, ...]
    outcomes: tuple[str, ...]  # of which rows; () is all
    columns: frozenset[str]  # of the dimensions

    @property
    def keys(self) -> list[str]:
        """Columns that tell apart what is added up."""
        return [*([self.time] if self.time else []), *(each.column for each in self.dimensions)]


class Base(NamedTuple):
    """A table of what several questions need of one relation."""

    table: str
    need: Need


def needs(question: Question) -> list[Need]:
    """What a question reads."""
    named = _words(question)
    found = []
    for relation in (relation for relation in RELATIONS if relation in named):
        dimensions = tuple(each for each in DIMENSIONS if _columns(each, named) and (each is not CLIENTS or relation == "events"))
        time = next((time for time, told_apart in TIMES.items() if time in named and relation in told_apart), "")
        beside = tuple(name for name in BESIDE if name in named and relation == "earlier")
        measures = beside or tuple(name for name in MEASURES if name in named) or ("messages",)
        found.append(Need(relation, time, dimensions, measures, tuple(sorted(question.outcomes)), named & TOLD_APART))
    return found


def in_common(questions: Sequence[Question], *, facts_of_events: bool = False) -> dict[str, Need]:
    """
    Of each relation that the questions read several times, what is enough for all of them. Facts may be those of events, where
    nothing is known without its client.
    """
    every = [need for question in questions for need in needs(question) if not need.time]
    times = Counter(need.relation for need in every)
    found = {relation: _together([need for need in every if need.relation == relation]) for relation in times}
    often = {relation for relation, number in times.items() if number > 1}
    facts, events = found.get("facts"), found.get("events")
    if facts_of_events and facts and events and facts.outcomes == events.outcomes:
        found["facts"] = found["events"] = _together([events, facts])
        often |= {"facts", "events"}
    return {relation: need for relation, need in found.items() if relation in often}


def _together(some: Sequence[Need]) -> Need:
    outcomes = {need.outcomes for need in some}
    dimensions = {each for need in some for each in need.dimensions} | ({MANNERS} if len(outcomes) > 1 else set())
    return Need(
        relation=some[0].relation,
        time="",
        dimensions=tuple(each for each in DIMENSIONS if each in dimensions),
        measures=tuple(name for name in (*MEASURES, *BESIDE) if any(name in need.measures for need in some)),
        outcomes=some[0].outcomes if len(outcomes) == 1 else (),
        columns=frozenset[str]().union(*(need.columns for need in some)),
    )


def _words(question: Question) -> frozenset[str]:
    return _words_of(question.sql)


@cache
def _words_of(sql: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", sql))


def _columns(dimension: Dimension, named: frozenset[str]) -> list[str]:
    """Columns of a dimension that are named, as SQL."""
    columns = [f"{dimension.table}.{'id' if name == dimension.column else name} AS {name}" for name in dimension.columns if name in named]
    if dimension is MANNERS and "auth_class" in named:
        columns.append(f"{auth_class_case('manners.mechanism')} AS auth_class")
    return columns


class Reader:
    """What questions about one selection read."""

    def __init__(self, selection: Selection, conditions: Conditions, coverage: Coverage) -> None:
        self._selection = selection
        self._conditions = conditions
        self._coverage = coverage
        self._dialect = conditions.dialect
        self._offsets = segments(selection.zone, selection.start, selection.end)
        self._parameters = _given(conditions)
        self._parameters |= {f"change_{number}": segment.start for number, segment in enumerate(self._offsets)}
        self._parameters |= {f"offset_{number}": segment.offset for number, segment in enumerate(self._offsets)}
        self._pieces = 0
        self._cut: dict[tuple[int, int, tuple[Sum, ...], bool], list[Piece]] = {}

    def base(self, base: Base) -> Relations:
        """SQL that makes its table, for as long as the connection lasts."""
        added = self.added(base.need)
        return Relations(self._dialect.lasting.format(base.table, added.sql), added.parameters)

    def added(self, need: Need, interval: Interval = "day") -> Relations:
        """SQL for what is needed, with numbers instead of values."""
        sql = self._added(need, interval)
        return Relations(sql, used(self._parameters, sql))

    def relations(self, question: Question, bases: Mapping[str, Base]) -> Relations:
        """Relations that a question mentions, each read from a base where there is one of its name."""
        sql = ", ".join(f"{need.relation} AS ({self._relation(need, question, bases)})" for need in needs(question))
        return Relations(sql, used({**self._parameters, **question.parameters}, sql, question.sql))

    def _relation(self, need: Need, question: Question, bases: Mapping[str, Base]) -> str:
        """SQL for one of them."""
        if self._is_by_domain(need):
            need = replace(need, dimensions=tuple(DOMAINS if each is SUBJECTS else each for each in need.dimensions))
        base = None if need.time else bases.get(need.relation)
        where = f" WHERE {_outcome(need.outcomes)}" if base and need.outcomes != base.need.outcomes else ""
        added = base.table if base else f"({self._added(need, question.interval)})"
        joined = [*need.dimensions, *([MANNERS] if where and MANNERS not in need.dimensions else [])]
        joins = "".join(f" JOIN {VALUES_OF.get(each, each.table)} ON {each.table}.id = r.{each.column}" for each in joined)
        columns = [f"r.{need.time} AS {need.time}"] if need.time else []
        columns += [column for each in need.dimensions for column in _columns(each, _words(question))]
        columns += [f"{self._measure(measure)} AS {measure}" for measure in need.measures]
        return f"SELECT {', '.join(columns)} FROM {added} AS r{joins}{where}"

    def _measure(self, name: str) -> str:
        return self._dialect.micros.format(f"r.{name}") if name.endswith("seen") else f"r.{name}"

    def _added(self, need: Need, interval: Interval) -> str:
        """SQL for what the pieces of its periods give, added up."""
        clients = self._conditions.client or CLIENTS in need.dimensions
        longest = LONGEST[interval] if need.time == "slot" else SUMS[-1].days
        narrowed = narrowing(self._conditions, need.outcomes)
        beside = not set(BESIDE).isdisjoint(need.measures)
        told_apart = ["subject" if key == DOMAINS.column else key for key in need.keys]
        shown = list(dict.fromkeys([*told_apart, *narrowed, *(["ago"] if beside else [])]))
        adding = ("messages",) if beside else need.measures
        parts = [
            self._part(source, shown, adding, ago, interval)
            for ago, start, end in self._periods(need)
            for source in self._sources(start, end, need, clients=clients, longest=longest)
        ]
        union = " UNION ALL ".join(parts) or self._part(Source(ROWS, "FALSE", "0", {}), shown, adding, 0, interval)
        looked_up = f" JOIN {DOMAIN_OF} ON domain_of.id = r.subject" if DOMAINS in need.dimensions else ""
        where = f"{looked_up} WHERE {' AND '.join(narrowed.values())}" if narrowed else looked_up
        keys = ", ".join(need.keys)
        if not (keys or beside) or (need.time == "slot" and SUBJECTS in need.dimensions):  # adding up would leave nearly as many
            return f"SELECT {', '.join([*need.keys, *need.measures])} FROM ({union}) AS r{where}"
        by = f" GROUP BY {keys}" if keys else ""
        return f"SELECT {', '.join([*need.keys, totals(need.measures)])} FROM ({union}) AS r{where}{by}"

    def _is_by_domain(self, need: Need) -> bool:
        """Whether rows of each slot are told apart by no more of who sent than the domain, and it pays to look that up first."""
        return self._dialect.looks_up and need.time == "slot" and need.columns & {*SUBJECTS.columns} == {"sender_domain"}

    def _periods(self, need: Need) -> list[tuple[int, int, int]]:
        """Which periods a relation is of: how many before the one asked for, start, end."""
        start, end = self._selection.start, self._selection.end
        if need.relation in ("facts", "events"):
            return [(0, start, end)]
        if need.measures == ("ever",):
            return [(1, self._coverage.since, start)]
        starts = earlier_starts(self._selection.zone, start, end, EARLIER)
        found = list(zip(range(1, EARLIER + 1), starts, (start, *starts), strict=False))
        if need.relation == "previous":
            return found[:1]
        return found if set(need.measures) <= set(BESIDE) - {"ever"} else [*found, (EARLIER + 1, self._coverage.since, starts[-1])]

    def _digest(self, need: Need) -> str:
        """Which digests tell enough apart."""
        columns = need.columns | self._conditions.columns | ({"outcome"} if need.outcomes else set())
        if columns.isdisjoint({*SUBJECTS.columns, *CLIENTS.columns}):
            return BY_MANNER
        return BY_DOMAIN if columns <= {"sender_domain", "outcome"} else ""

    def _sources(self, start: int, end: int, need: Need, *, clients: bool, longest: int) -> Iterator[Source]:
        start, end = max(start, self._coverage.since), min(end, self._coverage.last + 1)
        if clients:
            start = max(start, self._coverage.expired_before)
        tables = usable(self._selection.zone, self._coverage, clients=clients, longest=longest, digest=self._digest(need))
        for piece in self._pieces_of(start, end, tuple(tables), calendar=need.time == "slot"):
            for source in sources(piece, self._pieces, self._coverage, self._dialect, clients=clients):
                self._parameters |= source.edges
                yield source
            self._pieces += 1

    def _pieces_of(self, start: int, end: int, tables: tuple[Sum, ...], *, calendar: bool) -> list[Piece]:
        """Of a period; the questions of a page ask for the same again and again."""
        key = start, end, tables, calendar
        if key not in self._cut:
            self._cut[key] = pieces(self._coverage, start, end, tables, calendar=calendar)
        return self._cut[key]

    def _part(self, source: Source, shown: Sequence[str], names: Sequence[str], ago: int, interval: Interval) -> str:
        """SQL for what one table gives."""
        columns = {"slot": f"{self._slot(source, interval)} AS slot", "ago": f"{ago} AS ago"}
        listed = ", ".join([*(columns.get(key, f"r.{key}") for key in shown), measures(source.table, names)])
        return f"SELECT {listed} FROM {source.table} AS r WHERE {source.within}"

    def _slot(self, source: Source, interval: Interval) -> str:
        """SQL for the local start of the hour, day or week."""
        time, count = source.time.partition(" + ")[0], len(self._offsets)
        offset = "$offset_0"
        if count > 1:
            branches = " ".join(f"WHEN {time} < $change_{number} THEN $offset_{number - 1}" for number in range(1, count))
            offset = f"CASE {branches} ELSE $offset_{count - 1} END"
        local = f"({source.time.format(offset=offset)})"
        since = f"({local} - {MONDAY})" if interval == "week" else local
        return f"{local} - {since} % {WIDTHS[interval]}"


def narrowing(conditions: Conditions, outcomes: Iterable[str] = ()) -> dict[str, str]:
    """Conditions on rows `r` of any table, by the columns with the numbers of what is asked for."""
    of = dict(conditions.of)
    if conditions.client:
        tests = [f"client_ip {conditions.dialect.member.format('$clients')}"]
        tests += [f"{conditions.dialect.within.format('client_ip', f'${name}')}" for name in _networks(conditions)]
        tests += ["client_ip IS NULL"] if conditions.no_address else []
        of[CLIENTS.table] = f"({' OR '.join(tests)})"
    if outcomes:
        of[MANNERS.table] = " AND ".join([*([of[MANNERS.table]] if MANNERS.table in of else []), _outcome(outcomes)])
    narrowed = (each for each in DIMENSIONS if each.table in of)
    return {each.column: f"r.{each.column} IN (SELECT id FROM {each.table} WHERE {of[each.table]})" for each in narrowed}


def _networks(conditions: Conditions) -> dict[str, str]:
    """Parameters that are networks."""
    return {f"network_{number}": str(network) for number, network in enumerate(conditions.networks)}


def _given(conditions: Conditions) -> Parameters:
    """All parameters of conditions."""
    return {**conditions.parameters, **_networks(conditions), "clients": sorted(conditions.addresses)}


def _outcome(outcomes: Iterable[str]) -> str:
    return f"outcome IN ({', '.join(repr(str(outcome)) for outcome in sorted(outcomes))})"


def rows(selection: Selection, conditions: Conditions, columns: Iterable[str], since: int = 0) -> Relations:
    """The stored rows of a selection, with these columns; none of before `since`, up to when they have expired."""
    return _stored(logical(ROWS, tuple(columns)), selection, conditions, since)


def number_of_rows(selection: Selection, conditions: Conditions, since: int = 0) -> Relations:
    """How many they are."""
    return _stored(f"SELECT count(*) FROM {ROWS} AS r", selection, conditions, since)


def _stored(select: str, selection: Selection, conditions: Conditions, since: int) -> Relations:
    start, end = (conditions.dialect.instant.format(edge) for edge in ("$start", "$end"))
    where = " AND ".join([f"r.time >= {start} AND r.time < {end}", *narrowing(conditions).values()])
    sql = f"{select} WHERE {where}"
    given = _given(conditions) | {"start": max(selection.start, since), "end": selection.end}
    return Relations(sql, used(given, sql))


def is_whole(view: View) -> bool:
    """Whether a view leaves out no row, so that rows alone tell count and sums."""
    return view.limit is None and not view.offset


def answer(question: Question, view: View, relations: Relations, dialect: Dialect, table: str) -> list[Relations]:
    """The whole query: the rows of the view. Before it may stand one that makes a table of this name for it.

    Where the view leaves out rows, each is behind the count and the sums of all rows, and a mark that it is one; without
    a row in the view there is one without the mark.
    """
    parts = [("asked", question.sql), *_found(question, view, dialect)]
    found = parts[-1][0]
    before = f"WITH {', '.join([relations.sql, *(f'{name} AS ({sql})' for name, sql in parts)])}"
    given = relations.parameters | {"needle": lowered(view.search), "offset": view.offset, "limit": view.limit}
    if is_whole(view):
        shown, join = _spelled(question)
        sql = [f"{before} SELECT {shown} FROM {found} AS q{join} ORDER BY {_order(question, view)}"]
    elif dialect.works_twice:
        sql = [dialect.lasting.format(table, f"{before} SELECT * FROM {found}"), _part_of(table, question, view)]
    else:
        sql = [f"{before} {_part_of(found, question, view)}"]
    return [Relations(each, used(given, each)) for each in sql]


def _part_of(table: str, question: Question, view: View) -> str:
    """SQL for the view's rows of a table, and what is said of all of them."""
    order, (shown, join) = _order(question, view), _spelled(question)
    sums = ", ".join(f"coalesce(sum({name}), 0) AS total_{number}" for number, name in enumerate(("1", *question.sums)))
    limit = "" if view.limit is None else " LIMIT $limit"
    part = f"SELECT 1 AS present, {_quoted(question.columns)} FROM {table} AS q ORDER BY {order}{limit} OFFSET $offset"
    return f"SELECT t.*, q.present, {shown} FROM (SELECT {sums} FROM {table}) AS t LEFT JOIN ({part}) AS q ON TRUE{join} ORDER BY {order}"


def _found(question: Question, view: View, dialect: Dialect) -> list[tuple[str, str]]:
    """What leaves the rows searched for: its name and SQL."""
    if not (view.search and question.searched):
        return []
    tests = [_holds(f'q."{name}"', dialect) for name in question.searched]
    if "account" in question.searched:
        tests.append(f"account IN (SELECT account FROM accounts WHERE {_holds('spelling', dialect)})")
    return [("found", f"SELECT * FROM asked AS q WHERE {' OR '.join(tests)}")]


def _holds(text: str, dialect: Dialect) -> str:
    return f"position($needle IN {dialect.lower.format(text)}) > 0"


def _spelled(question: Question) -> tuple[str, str]:
    """SQL for the columns of `q`, with accounts as they were first spelled, and for what tells that."""
    if "account" not in question.columns:
        return ", ".join(f'q."{name}"' for name in question.columns), ""
    spelled = {"account": 'coalesce(a.spelling, q.account) AS "account"'}
    return ", ".join(spelled.get(name, f'q."{name}"') for name in question.columns), " LEFT JOIN accounts AS a ON a.account = q.account"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _order(question: Question, view: View) -> str:
    """The order asked for; ties are settled by messages, most first, then by the other columns."""
    if view.sort is not None and view.sort not in question.columns:
        raise SelectionError(
            worded("there is no column {sort!r} to sort by; columns are {known}", sort=view.sort, known=", ".join(question.columns))
        )
    first = [f'q."{view.sort}" {"DESC" if view.descending else "ASC"} NULLS LAST'] if view.sort is not None else []
    most = ['q."messages" DESC NULLS LAST'] if view.sort is not None and "messages" in question.columns and view.sort != "messages" else []
    others = (name for name in question.columns if name != view.sort and not (most and name == "messages"))
    return ", ".join([*first, *most, *(f'q."{name}" ASC NULLS LAST' for name in others)])


def used(given: Parameters, *texts: str) -> Parameters:
    """Those parameters that the SQL names: engines refuse others."""
    names = {name for text in texts for name in re.findall(r"\$(\w+)", text)}
    return {name: value for name, value in given.items() if name in names}
