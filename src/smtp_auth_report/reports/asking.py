"""
Asking a report: its SQL to the store, and the typed table back.

    table = ask(REPORTS["tls-usage"], store, selection, View(limit=50))
    tables = ask_all(store, selection, [Wanted(REPORTS["tls-usage"], rows=False), ...])      several, of one selection
    tables = ask_each(store, selection, [({"tls": ("legacy",)}, Wanted(...)), ...])             each with filters of its own

Three questions make a table: its rows, its series, and what is said of the selection as a whole. A report's SQL lies
beside its module: `tls_usage.sql`, and `tls_usage.series.sql` where it has a chart. Some columns take long: what the SQL
has for them alone stands between two comments, and is left out where they are not wanted.

    -- [helo client_name
    ...
    -- ]

Where only the first rows are wanted, the question without such columns finds which rows that are, and they alone are asked
for in full. Rows that need more than the facts of the period are asked for beside the rest, so that two cores share the work,
unless the store would read the same rows for each: then all are asked for together.

Parameters that the SQL may name
    $covered    1 where the store's rows reach back to the fourth of the equal periods before
    $known      1 where they reach back to before the period
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from importlib.resources import files
from typing import Literal, NamedTuple

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.moments import DAY, EPOCH
from smtp_auth_report.reports.interface import Column, Report, Table
from smtp_auth_report.reports.periods import interval_for
from smtp_auth_report.store.filters import UNKNOWN
from smtp_auth_report.store.interface import Answer, Asked, Interval, Question, Selection, Snapshot, Value, View
from smtp_auth_report.store.local_time import earlier_starts, shifted, slots
from smtp_auth_report.submission import Outcome
from smtp_auth_report.words import worded

HOURS_AT_MOST = 93 * DAY

OVERALL = ("messages", "accounts", "tls_version", "mechanism", "account_unknown", "sender_unknown", "service")


@cache
def _sql(name: str, without: frozenset[str] = frozenset()) -> str:
    """The SQL of that name, but for what it has for these columns alone."""
    kept, left_out = [], [False]
    for line in _lines(name):
        words = line.split()
        if words[:2] == ["--", "]"]:
            left_out.pop()
        elif _opens(words):
            left_out.append(left_out[-1] or without.issuperset(_named(words)))
        elif not left_out[-1]:
            kept.append(line)
    return "\n".join(kept)


@cache
def _parts(name: str) -> list[frozenset[str]]:
    """Of each part that can be left out, the columns that need it."""
    return [frozenset(_named(words)) for words in map(str.split, _lines(name)) if _opens(words)]


def _costly(name: str) -> frozenset[str]:
    """Columns that can be left out."""
    return frozenset[str]().union(*_parts(name))


def _saved(name: str, without: frozenset[str]) -> frozenset[str]:
    """Those of these columns whose SQL is left out with them: where another column needs it all, a column costs nothing more."""
    return frozenset[str]().union(*(columns for columns in _parts(name) if columns <= without))


@cache
def _reads_more(name: str) -> bool:
    """Whether the SQL of that name reads other relations besides the facts."""
    return not {"earlier", "events"}.isdisjoint(re.findall(r"\w+", _sql(name)))


def _lines(name: str) -> list[str]:
    return (files(__package__) / f"{name.replace('-', '_')}.sql").read_text(encoding="utf-8").splitlines()


def _opens(words: Sequence[str]) -> bool:
    """Whether it is the first of two comments of the form above."""
    return len(words) > 1 and words[0] == "--" and words[1].startswith("[")


def _named(words: Sequence[str]) -> list[str]:
    """Columns that it names."""
    return [word.removeprefix("[") for word in words[1:]]


OVERALL_QUESTION = Question(_sql("overall"), OVERALL, outcomes=(Outcome.ACCEPTED,))

Width = Interval | Literal["auto"]
Filters = Mapping[str, tuple[str, ...]]


class Wanted(NamedTuple):
    """
    A report, and what is wanted of it. Totals come with the rows; without them, of the columns that the series has. Where
    only some columns are wanted, others may be null.
    """

    report: Report
    view: View = View()
    rows: bool = True
    series: bool = True
    columns: frozenset[str] = frozenset()

    @property
    def needed(self) -> frozenset[str]:
        """Columns without which the rows are not found."""
        return frozenset({_sorted(self.report, self.view).sort or "", *(self.report.searched if self.view.search else ())})

    @property
    def needs_more(self) -> bool:
        """Whether its rows need more than the facts of the period."""
        return _reads_more(self.report.name)

    @property
    def needless(self) -> frozenset[str]:
        """Columns that take long and may be left out."""
        return _costly(self.report.name) - self.columns - self.needed if self.columns else frozenset()


def ask(report: Report, store: Snapshot, selection: Selection, view: View = View(), *, interval: Width = "auto") -> Table:  # noqa: B008 (frozen)
    """The report's table for a selection; all rows unless the view limits them."""
    return ask_all(store, selection, [Wanted(report, view)], interval=interval)[0]


def ask_all(store: Snapshot, selection: Selection, wanted: Sequence[Wanted], *, interval: Width = "auto") -> list[Table]:
    """Several tables of one selection, of one state of the store, in less time than each alone."""
    chosen = interval_for(selection) if interval == "auto" else interval
    if chosen == "hour" and selection.end - selection.start > HOURS_AT_MOST:
        raise SelectionError(worded("hours are given for {days} days or less; ask for days or weeks", days=HOURS_AT_MOST // DAY))
    with store.snapshot() as seen:
        history = _history(seen, selection)
        alone = [each.rows and each.needs_more and not seen.reads_rows for each in wanted]
        beside = [
            seen.beside(partial(_rows, selection, each, history)) if apart else None for each, apart in zip(wanted, alone, strict=True)
        ]
        together = [each for each, apart in zip(wanted, alone, strict=True) if each.rows and not apart]
        asked = [_first(each, selection, history) for each in together]
        charts = [each.report for each in wanted if each.series and each.report.series]
        waiting = iter([(number, _series_asked(report, chosen)) for number, report in enumerate(charts)])
        helped = seen.beside(partial(_asked_in_turn, selection, waiting))
        overall, *answers = seen.ask_all(selection, [Asked(OVERALL_QUESTION), *asked])
        drawn = _asked_in_turn(selection, waiting, seen)
        unread, gaps = seen.unread(selection.start, selection.end), seen.gaps(selection.start, selection.end)
        drawn |= helped()
        found, in_turn = iter(answers), iter(sorted(drawn.items()))
        firsts = [next(found) if each in together else None for each in wanted]
        series = [
            _series(each.report, selection, chosen, next(in_turn)[1]) if each.series and each.report.series else [] for each in wanted
        ]
        rows = [
            told() if told else _in_full(seen, selection, each, history, first) if first else None
            for each, told, first in zip(wanted, beside, firsts, strict=True)
        ]
        said = dict(zip(OVERALL, (int(number or 0) for number in overall.rows[0]), strict=True))
        unknown = {
            "tls_version": said["tls_version"],
            "mechanism": said["mechanism"],
            "account": said["account_unknown"],
            "sender": said["sender_unknown"],
            "service": said["service"],
            "lines_unread": sum(each.lines for each in unread),
            "gaps": gaps,
        }
    return [
        Table(
            report=each.report,
            selection=selection,
            columns=each.report.columns,
            rows=[_typed(each.report.columns, row) for row in answer.rows] if answer else [],
            total_rows=answer.total if answer else 0,
            totals={
                "messages": said["messages"],
                **(answer.sums if answer else _sums(each.report, drawn)),
                "accounts": said["accounts"],
            },
            unknown=unknown,
            interval=chosen,
            series_columns=_series_columns(each.report, chosen),
            series=drawn,
        )
        for each, answer, drawn in zip(wanted, rows, series, strict=True)
    ]


def _asked_in_turn(selection: Selection, waiting: Iterator[tuple[int, Asked]], seen: Snapshot) -> dict[int, Answer]:
    """Answers of questions that are left, by number. Two threads may share a list's iterator: whoever is free takes the next."""
    return {number: seen.ask(asked.question, selection, asked.view) for number, asked in waiting}


def ask_each(store: Snapshot, selection: Selection, wanted: Sequence[tuple[Filters, Wanted]]) -> list[Table]:
    """Tables of one period, each under filters of its own: those of the same filters together, the others beside the first."""
    keys = [tuple(sorted(filters.items())) for filters, _ in wanted]
    groups: dict[tuple[tuple[str, tuple[str, ...]], ...], list[Wanted]] = {key: [] for key in keys}
    for key, (_, each) in zip(keys, wanted, strict=True):
        groups[key].append(each)
    with store.snapshot() as seen:
        asked = [partial(_together, replace(selection, filters=dict(key)), group) for key, group in groups.items()]
        beside = [seen.beside(others) for others in asked[1:]]
        tables = [iter(first(seen)) for first in asked[:1]] + [iter(told()) for told in beside]
    found = dict(zip(groups, tables, strict=True))
    return [next(found[key]) for key in keys]


def _together(selection: Selection, wanted: Sequence[Wanted], seen: Snapshot) -> list[Table]:
    return ask_all(seen, selection, wanted)


def _rows(selection: Selection, wanted: Wanted, history: Mapping[str, Value], seen: Snapshot) -> Answer:
    """The rows of the view, asked for by themselves."""
    return _in_full(seen, selection, wanted, history, seen.ask_all(selection, [_first(wanted, selection, history)])[0])


def _first(wanted: Wanted, selection: Selection, history: Mapping[str, Value]) -> Asked:
    """What finds the rows of the view: the question without columns that take long, but for what they are sorted and searched by."""
    report, view = wanted.report, _sorted(wanted.report, wanted.view)
    if view.limit is None or "account" in selection.filters:
        return Asked(_question(report, history, wanted.needless), view)
    return Asked(_question(report, history, _costly(report.name) - wanted.needed), view)


def _in_full(seen: Snapshot, selection: Selection, wanted: Wanted, history: Mapping[str, Value], first: Answer) -> Answer:
    """The rows found, with all columns that are wanted."""
    report = wanted.report
    question, view = _first(wanted, selection, history)
    whole = _question(report, history)
    if first.rows and not {*whole.columns} - wanted.needless <= {*question.columns}:
        found = _costly(report.name) & {*question.columns}
        rest, full = (_question(report, history, without) for without in (wanted.needless | found, wanted.needless))
        keys = [tuple(row[question.columns.index(name)] for name, _ in report.found_by) for row in first.rows]
        more = _looked_up(seen, selection, report, rest, keys)
        if not more.keys() >= set(keys):  # a name that is a filter's own word, or, of another process, a commit that came between
            return _filled(seen.ask(full, selection, view), full.columns, whole.columns)
        rows = [(*row, *more[key]) for key, row in zip(keys, first.rows, strict=True)]
        return _filled(first._replace(rows=rows), (*question.columns, *rest.columns), whole.columns)
    return _filled(first, question.columns, whole.columns)


def _looked_up(
    seen: Snapshot, selection: Selection, report: Report, rest: Question, keys: Sequence[tuple[Value, ...]]
) -> dict[tuple[Value, ...], tuple[Value, ...]]:
    """What a question tells of rows that were found, by what tells them apart."""
    filters = {
        filter_: tuple({UNKNOWN if key[place] is None else str(key[place]) for key in keys})
        for place, (_, filter_) in enumerate(report.found_by)
        if filter_
    }
    rows = seen.ask(rest, replace(selection, filters={**selection.filters, **filters})).rows
    return {tuple(row[rest.columns.index(name)] for name, _ in report.found_by): row for row in rows}


def _filled(answer: Answer, there: Sequence[str], whole: Sequence[str]) -> Answer:
    """The same with all columns; those left out are null."""
    if list(there) == list(whole):
        return answer
    places = {name: place for place, name in enumerate(there)}
    rows = [tuple(row[places[name]] if name in places else None for name in whole) for row in answer.rows]
    return answer._replace(rows=rows)


def _question(report: Report, history: Mapping[str, Value], without: frozenset[str] = frozenset()) -> Question:
    names = (*(column.name for column in report.columns), *report.orders)
    saved = _saved(report.name, without)
    return Question(
        sql=_sql(report.name, without),
        columns=tuple(name for name in names if name not in saved),
        sums=tuple(column.name for column in report.columns if column.additive),
        searched=report.searched,
        outcomes=report.outcomes,
        parameters=history,
    )


def _history(store: Snapshot, selection: Selection) -> dict[str, Value]:
    """The periods before, and whether the store knows them: its first row is of the first day of the earliest."""
    starts = earlier_starts(selection.zone, selection.start, selection.end, 4)
    span = store.span()
    covered = span is not None and span[0] < min(starts[2], shifted(selection.zone, starts[3], timedelta(days=1)))
    return {"covered": int(covered), "known": int(span is not None and span[0] < selection.start)}


def _sorted(report: Report, view: View) -> View:
    return view if view.sort is not None else replace(view, sort=report.sort, descending=report.descending)


def _typed(columns: Sequence[Column], row: Sequence[Value]) -> tuple[Value, ...]:
    """Values as their columns say; engines differ in what they make of a flag or a share."""
    return tuple(_value(column, value) for column, value in zip(columns, row, strict=False))


def _value(column: Column, value: Value) -> Value:
    if value is None or column.type in ("text", "date"):
        return value
    if column.type == "flag":
        return bool(value)
    return float(value) if column.type in ("share", "number") else int(value)


def _series_columns(report: Report, interval: Interval) -> tuple[Column, ...]:
    return (report.series[0]._replace(name=interval), *report.series[1:]) if report.series else ()


def _series_asked(report: Report, interval: Interval) -> Asked:
    names = ("slot", *(column.name for column in report.series[1:]))
    question = Question(_sql(f"{report.name}.series"), names, interval=interval, outcomes=report.outcomes)
    return Asked(question, View(sort="slot", descending=False))


def _series(report: Report, selection: Selection, interval: Interval, answer: Answer) -> list[tuple[Value, ...]]:
    """Rows of the chart in order of time. Where it has one row for each slot, no slot is missing."""
    rows = [(int(row[0] or 0), *_typed(report.series[1:], row[1:])) for row in answer.rows]
    if all(column.type == "count" for column in report.series[1:]):
        there = {row[0]: row for row in rows}
        empty = (0,) * (len(report.series) - 1)
        rows = [there.get(slot, (slot, *empty)) for slot in slots(selection.zone, selection.start, selection.end, interval)]
    return [(slot_text(row[0], interval), *row[1:]) for row in rows]


def _sums(report: Report, series: list[tuple[Value, ...]]) -> dict[str, int]:
    """Totals of the columns of a series that add up."""
    adding = [(place, column.name) for place, column in enumerate(report.series) if column.additive]
    return {name: sum(int(row[place] or 0) for row in series) for place, name in adding}


@cache
def slot_text(slot: int, interval: Interval) -> str:
    """A local day or week as its date, an hour as date and time."""
    wall = (EPOCH + timedelta(microseconds=slot)).replace(tzinfo=None)
    return wall.isoformat(timespec="minutes") if interval == "hour" else wall.date().isoformat()
