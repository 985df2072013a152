"""
What an engine must be able to do to keep submissions.

    store = open_store(settings.database)
    applied = store.commit(commit)                          rows, aggregates and read position: one transaction
    answer = store.ask(question, selection, view)           one question, written once for all engines
    with store.snapshot() as seen: ...                      several of one state: whatever is committed meanwhile
    for batch in store.submissions(selection): ...          the rows themselves, oldest first

A `Selection` says which rows count: period, filters, and the scope of the reader. The store applies it beneath
every question: a question's SQL reads from the relations below and cannot see anything else.

    facts     the selection's rows, added up. Columns:
              slot server service source account account_domain account_key sender sender_domain mechanism auth_class
              tls_version tls_cipher outcome reason messages recipients bytes first_seen last_seen
    events    the same with client_ip client_name helo besides, of the time of which rows are still kept
    previous  like facts without slot, of the equal period before, with the same filters and scope
    earlier   the same of everything before the period; `ago` is 1 to 4 in the equal periods before, nearest first, and 5
              in what was before those. Instead of it and of what adds up, `ago_1 ago_2 ago_3 ago_4` are the messages of the
              equal periods side by side, and `ever` those of everything before

`account_id sender_id domain_id address_id way_id` are numbers in place of texts that are often told apart: of the account;
of account and sender; of the sender's domain; of the address; of service, TLS version and mechanism. An engine groups by
numbers in half the time. `subject client manner` name an entry of the tables `subjects`, `clients` and `manners`, in which
a question may look up the texts of what it has grouped. These tables are not cut to the selection: they are only ever
joined by an `id` that `facts` or `events` gave.

A row of these stands for `messages` rows of the store, of whatever outcome, or of the question's `outcomes`. Only columns
that a question names are told apart. `slot` is the start of the local hour, day or week, as the question asks.
`account` in these relations is the case-folded name; the store shows the first spelling in answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeVar

from smtp_auth_report.changes import Applied, Commit, Counted, Position, Remembered, Withheld
from smtp_auth_report.submission import Submission

FILTERS = ("domain", "account", "sender", "client", "service", "tls", "mechanism", "auth-class", "server", "outcome")
"""Names of filters, the same on the command line, in URLs and in the API. OR within a name, AND across names."""

Value = str | int | float | bool | None
Told = TypeVar("Told")
Interval = Literal["hour", "day", "week"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows count. Times are microseconds UTC, `end` is exclusive, `zone` an IANA name that defines days."""

    start: int
    end: int
    zone: str
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scope: frozenset[str] | None = None  # account domains the reader may see; None is all


@dataclass(frozen=True, slots=True)
class Question:
    """SQL over the relations above, with the names of what it returns.

    Parameters are written `$name`. The SQL keeps to what all engines share, has no ORDER BY, and ends without a
    semicolon.
    """

    sql: str
    columns: tuple[str, ...]
    sums: tuple[str, ...] = ()  # columns whose total over all rows is wanted
    searched: tuple[str, ...] = ()  # text columns that a search looks into
    interval: Interval = "day"
    outcomes: tuple[str, ...] = ()  # of which rows the relations are; () is all
    parameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """Which part of an answer is wanted, and in which order."""

    sort: str | None = None
    descending: bool = True
    search: str = ""
    offset: int = 0
    limit: int | None = None


class Answer(NamedTuple):
    """Rows in the order asked; times are microseconds UTC. `total` and `sums` are over all rows that the search leaves."""

    rows: list[tuple[Value, ...]]
    total: int
    sums: dict[str, int]


class UnreadCount(NamedTuple):
    """Unread lines of one reason."""

    source: str
    server: str
    reason: str
    lines: int
    last: int  # microseconds UTC
    samples: list[str]  # masked


class Progress(NamedTuple):
    """How far reading got, for one server and kind of log."""

    source: str
    server: str
    newest: int  # time of the newest line, microseconds UTC
    committed: int  # when it was committed, microseconds UTC
    version: str = ""  # of the server, as far as its lines told


class StreamState(NamedTuple):
    """A followed log: what was read of it in all, and how reading it goes."""

    stream: str
    lines: int
    other: int
    unread: int
    rows: int
    line_rate: float  # a second, when it was committed
    row_rate: float
    behind: int  # bytes on disk that were not read yet
    problem: str
    newest: int  # microseconds UTC, 0 while no line was read
    committed: int  # microseconds UTC


class CountedReport(NamedTuple):
    """A report that somebody else counted, as a whole."""

    report: str
    file: str  # for people
    read: int  # microseconds UTC
    first: int | None  # the days that it is about, microseconds UTC; None where the file does not tell
    last: int | None
    rows: int
    messages: int


class Asked(NamedTuple):
    """One question about a selection, and what is wanted of its answer."""

    question: Question
    view: View = View()


class Snapshot(Protocol):
    """What may be asked of a store. Raises StoreError, with one line that says how to mend it."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """The store as it is now, for one thread, until the block ends; a snapshot gives itself."""

    @property
    def reads_rows(self) -> bool:
        """Whether each question reads all rows of its period: few are to be asked then, together rather than beside each other."""

    def beside(self, work: Callable[[Snapshot], Told]) -> Callable[[], Told]:
        """Ask the same state meanwhile, in a thread of its own where the engine can; a function that waits for what it told."""

    def ask(self, question: Question, selection: Selection, view: View = View()) -> Answer: ...

    def ask_all(self, selection: Selection, asked: Sequence[Asked]) -> list[Answer]:
        """The same as asking each; what several of them read is read and added up once."""

    def choices(self, column: str, selection: Selection, search: str = "", limit: int = 200) -> list[tuple[str, int]]:
        """Values of a filter with their accepted messages, most first: what a list of choices offers. `column` names the filter."""

    def count(self, selection: Selection) -> int:
        """How many rows there are, of those that have not expired."""

    def span(self, scope: frozenset[str] | None = None) -> tuple[int, int] | None:
        """Time of the first and the last row in the scope, None for an empty store."""

    def expired_before(self) -> int:
        """The moment up to which rows have expired, microseconds UTC; 0 while none has."""

    def unread(self, start: int | None = None, end: int | None = None) -> list[UnreadCount]: ...

    def gaps(self, start: int, end: int) -> int: ...

    def progress(self) -> list[Progress]: ...

    def streams(self) -> list[StreamState]: ...

    def counted_reports(self, scope: frozenset[str] | None = None) -> list[CountedReport]:
        """Reports that somebody else counted, the newest first: no question about rows ever sees them."""

    def counted(self, report: str, limit: int, scope: frozenset[str] | None = None) -> list[Counted]:
        """Rows of one of them, most messages first."""


def at_once(work: Callable[[Snapshot], Told], seen: Snapshot) -> Callable[[], Told]:
    """`beside` of an engine that does one thing after another."""
    told = work(seen)
    return lambda: told


class Readable(Snapshot, Protocol):
    """What a reader needs of a store: answers, and the rows themselves."""

    default_domain: str | None  # of accounts that sign in with a bare name

    def submissions(self, selection: Selection, size: int = 10_000) -> Iterator[list[Submission]]:
        """Rows one by one, oldest first, in lists of `size` at most. `account` is the first spelling."""


class Store(Readable, Protocol):
    """Submissions at rest."""

    @property
    def bucket_minutes(self) -> int: ...

    def commit(self, commit: Commit) -> Applied: ...

    def positions(self) -> list[Position]: ...

    def remembered(self, source: str) -> list[Remembered]: ...

    def names(self) -> tuple[set[str], set[str]]:
        """Case-folded accounts that have authenticated here, and their domains."""

    def withheld(self) -> list[Withheld]:
        """Names that wait for their domain to sign in, oldest first."""

    def expire(self, before: int) -> int:
        """Keep rows of the days before this one by the hour only; how many. They do not come back when a log is read again."""

    def erase(self, account: str, key: str, remembered: Sequence[Remembered] = ()) -> int:
        """
        Delete an account from rows and sums; how many rows. Of the time until now it does not come back. `remembered` replaces
        open sessions that are remembered, where nobody reads a log meanwhile.
        """

    def seal(self) -> None:
        """Make the sums of days that are over. Answers are the same without, and slower."""

    def close(self) -> None: ...
