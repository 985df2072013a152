"""
What goes into the JSON API and what comes out, as its OpenAPI document says it.

Names are those of the pages and of the command line. Times are RFC 3339, shares 0 to 1, null is not known.

See also
    docs/api.md
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import ConfigDict, WithJsonSchema

from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.reports.periods import DEFAULT_DAYS
from smtp_auth_report.reports.rhythms import Every
from smtp_auth_report.submission import AuthClass, Outcome, Service, Tls
from smtp_auth_report.web.query import MOST_DAYS, PIVOTS

MOST_ROWS = 10_000
FARTHEST = 1_000_000_000


Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Day = Annotated[str, WithJsonSchema({"type": "string", "format": "date"})]
# Other words are refused where they are used, which says what is known there
ServiceWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [*Service]})]
TlsWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [*Tls, "legacy"]})]
ClassWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [*AuthClass]})]
OutcomeWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [*Outcome]})]
PivotWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [*PIVOTS]})]
FormatWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [*EXPORTS]})]
EveryWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [*Every]})]


class Period(Schema):
    """From when to when; the last seven days where nothing is stated."""

    from_: str = Field("", alias="from", description="Date (its whole local day) or RFC 3339 time")
    to: str = Field("", description="Date (inclusive) or RFC 3339 time (exclusive)")
    days: int | None = Field(
        None,
        ge=1,
        le=MOST_DAYS,
        description=f"Today and the days before it, instead of from and to; {DEFAULT_DAYS} where nothing is stated",
    )


class Filters(Schema):
    """Values of one name are alternatives, names all hold."""

    domain: list[str] = Field([], description="Sender domain")
    account: list[str] = Field([])
    sender: list[str] = Field([], description="Envelope sender; <> is the null sender")
    client: list[str] = Field([], description="Address or network")
    service: list[ServiceWord] = Field([])
    tls: list[TlsWord] = Field([], description="legacy is all below 1.2")
    mechanism: list[str] = Field([])
    auth_class: list[ClassWord] = Field([], alias="auth-class")
    server: list[str] = Field([])
    outcome: list[OutcomeWord] = Field([])


class Part(Schema):
    """Which rows, in which order."""

    q: str = Field("", description="Search in the report's text columns")
    sort: str = Field("", description="Column to sort by, with a hyphen before it for descending")
    limit: int = Field(1000, ge=0, le=MOST_ROWS)
    offset: int = Field(0, ge=0, le=FARTHEST)
    columns: list[str] = Field([], description="Columns of the rows, in this order, with commas between or one by one; default all")
    interval: Literal["auto", "hour", "day", "week"] = "auto"
    format: Literal["json", "csv"] = "json"
    series: bool = Field(default=False, description="With format=csv, the series instead of the rows")


class ProblemSchema(Schema):
    """RFC 9457. Where the database is away, `waiting_since` is since when reading on this host waits for it."""

    type: str
    title: str
    status: int
    detail: str
    waiting_since: Time | None = None


PROBLEMS = dict.fromkeys((400, 401, 403, 404, 429, 500, 503), ProblemSchema)


# Reports


class ColumnSchema(Schema):
    """One column of a table."""

    name: str
    type: str
    unit: str | None


class PeriodSchema(Schema):
    """`to` is exclusive."""

    from_: Time = Field(alias="from")
    to: Time
    timezone: str


class SeriesSchema(Schema):
    """What the chart draws."""

    columns: list[ColumnSchema]
    rows: list[dict[str, Any]]


class TableSchema(Schema):
    """A report's answer; `total_rows` counts what `limit` leaves out."""

    report: str
    period: PeriodSchema
    filters: dict[str, list[str]]
    columns: list[ColumnSchema]
    rows: list[dict[str, Any]]
    total_rows: int
    series: SeriesSchema
    totals: dict[str, int]
    unknown: dict[str, int]


class ReportSchema(Schema):
    """One report that there is."""

    name: str
    title: str
    columns: list[ColumnSchema]
    address: str


class AccountSchema(Schema):
    """One account."""

    account: str
    first_seen: Time
    last_seen: Time
    reports: dict[str, TableSchema]


class ChoiceSchema(Schema):
    """One value of a filter."""

    value: str
    messages: int


# Reading


class StatusSchema(Schema):
    """What every page has around its own content."""

    version: str
    now: Time
    timezone: str
    notice: str
    newest: Time | None
    late: bool
    first_row: Time | None
    last_row: Time | None


class LogSchema(Schema):
    """How far one server's log was read."""

    source: str
    server: str
    version: str
    newest: Time
    committed: Time
    lag_seconds: int


class StreamSchema(Schema):
    """How reading of a followed log goes."""

    stream: str
    lines: int
    other: int
    unread: int
    rows: int
    line_rate: float
    row_rate: float
    behind: int
    problem: str
    newest: Time | None
    committed: Time


class UnreadSchema(Schema):
    """Lines that could not be read, of one reason."""

    source: str
    server: str
    reason: str
    lines: int
    last: Time
    samples: list[str]


class FindingSchema(Schema):
    """What a log does not tell, and the setting of the mail server that changes it."""

    source: str
    title: str
    server: str
    missing: str
    setting: str
    where: str
    gain: str


class WaitingSchema(Schema):
    """Since when reading on this host waits for the database, and why."""

    since: Time
    reason: str


class IngestSchema(Schema):
    """How reading goes; `waiting` is null while none does."""

    now: Time
    period: PeriodSchema
    waiting: WaitingSchema | None
    logs: list[LogSchema]
    streams: list[StreamSchema]
    unread: list[UnreadSchema]
    gaps: int
    findings: list[FindingSchema]


# Exchange Online


class CountedRowSchema(Schema):
    """What Microsoft counted of one sender; parts of its messages are 0 to 1."""

    sender: str
    sender_domain: str
    messages: int
    tls_none: float | None
    tls_1_0: float | None
    tls_1_1: float | None
    tls_1_2: float | None
    tls_1_3: float | None
    authentication: str


class CountedSchema(Schema):
    """One imported report."""

    file: str
    read: Time
    from_: Day | None = Field(alias="from")
    to: Day | None
    senders: int
    messages: int
    rows: list[CountedRowSchema]


class SignInSchema(Schema):
    """One account at one address that Entra let in."""

    account: str | None
    client_ip: str | None
    auth_class: str
    sign_ins: int
    last_seen: Time


class SignInsSchema(Schema):
    """Who was let in to Exchange Online; `total_rows` counts what is left out."""

    period: PeriodSchema
    rows: list[SignInSchema]
    total_rows: int
    sign_ins: int


# People


class TokenSchema(Schema):
    """What a program of somebody's shows; the token itself is kept nowhere."""

    label: str
    made: Time
    used: Time | None


class PersonSchema(Schema):
    """Who may sign in."""

    name: str
    role: str
    domains: list[str]
    signed_in: Time | None
    second_factor: bool
    by_groups: bool
    tokens: list[TokenSchema]


class EventSchema(Schema):
    """What somebody did; of a name that nobody has, nothing is told."""

    time: Time
    deed: str
    name: str | None
    address: str
    detail: str


class EventsSchema(Schema):
    """The latest first; `total_rows` counts what `limit` leaves out."""

    rows: list[EventSchema]
    total_rows: int


# What belongs to whoever asks. FiltersIn() would do, but mypy sees no default that Field is given by position


class MeSchema(Schema):
    """Who asks; without a name where nobody signs in. They see accounts of these domains, of all where there are none stated."""

    name: str | None
    role: str
    domains: list[str] | None


class MailSchema(Schema):
    """One mail to one address; `due` is when it is tried, while it waits."""

    address: str
    state: str
    sent: Time | None
    due: Time | None
    failure: str


class Strict(Schema):
    """What is sent: a name that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class FiltersIn(Filters, Strict):
    """`Filters`, in what is sent."""


class RequestedIn(Period, Strict):
    """A file that is to be made, and whether it is mailed to whoever asks."""

    format: FormatWord = "csv"
    filters: FiltersIn = FiltersIn.model_validate({})
    columns: list[str] = Field([], description="Columns of the rows, in this order; default all")
    mail: bool = False


class RequestedSchema(Schema):
    """A file that the reader asked for; `address` once it is ready, `host` where another server has the file, or the rows."""

    id: str
    asked: Time
    period: PeriodSchema
    filters: dict[str, list[str]]
    format: str
    columns: list[str]
    progress: str
    rows: int
    total: int
    size: int
    rows_from: Time | None
    failure: str
    address: str | None
    host: str | None
    mails: list[MailSchema]


class ViewIn(Period, Strict):
    """A state of the report page, and the name that it is kept under."""

    name: str
    shared: bool = False
    report: PivotWord = PIVOTS[0]
    view: Literal["chart", "table"] = "chart"
    filters: FiltersIn = FiltersIn.model_validate({})
    q: str = ""
    sort: str = Field("", description="Column to sort by, with a hyphen before it for descending")


class ViewSchema(Schema):
    """A saved view; `address` is its page, `table` its rows. One that this version cannot show says why in `problem`."""

    number: int
    name: str
    own: bool
    shared: bool
    shared_by: str | None
    may_change: bool
    problem: str
    report: str | None = None
    view: str | None = None
    from_: str = Field("", alias="from")
    to: str = ""
    days: int | None = None
    filters: dict[str, list[str]] = Field({})
    q: str = ""
    sort: str = ""
    address: str | None = None
    table: str | None = None


class DigestIn(Strict):
    """A digest to one's own address."""

    every: EveryWord = Every.WEEK
    language: str = "en"
    zone: str = Field("", description="IANA name; that of the pages where it is empty")


class DigestSchema(Schema):
    """Who gets a digest, and the last mail of it."""

    name: str
    every: str
    address: str
    language: str
    zone: str
    mail: MailSchema | None


class CardSchema(Schema):
    """One card of the dashboard."""

    key: str
    label: str
    row: str
    hidden: bool
