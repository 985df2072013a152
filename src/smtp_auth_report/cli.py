"""
The command line: one function per command, each building its objects in reading order.

    smtp-auth-report ingest /var/log/mail.log
    smtp-auth-report doctor /var/log/mail.log
    smtp-auth-report serve
    smtp-auth-report report sending-volume --from 2026-11-01 --format csv
    smtp-auth-report export --format xlsx --output submissions.xlsx
    smtp-auth-report user add anna@contoso.example --role administrator          user_commands.py

What goes wrong
    Every ReportError becomes one line on stderr and exit status 1; wrong usage, a wrong filter among it, exits with 2.
    Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import click

from smtp_auth_report import __version__
from smtp_auth_report.errors import AwayError, InputError, InUseError, ReportError, SelectionError, one_line
from smtp_auth_report.migrate_command import migrate
from smtp_auth_report.moments import now
from smtp_auth_report.output import standard_output, write_file
from smtp_auth_report.settings import Settings, database_password, load
from smtp_auth_report.user_commands import telling_of_export, user
from smtp_auth_report.words import ENGLISH, count, language, speak_as, translated, worded

if TYPE_CHECKING:
    from smtp_auth_report.changes import Position
    from smtp_auth_report.ingest import Reading, Summary
    from smtp_auth_report.reports.findings import Finding
    from smtp_auth_report.store.interface import Selection, Store

REPORT_NAMES = ("summary", "sending-volume", "tls-usage", "auth-methods", "clients", "failures")
EXPORT_NAMES = ("csv", "jsonl", "parquet", "xlsx")
FILTERS = {
    "domain": "Domain of the envelope sender.",
    "account": "Account that signed in.",
    "sender": "Envelope sender; <> for the null sender.",
    "client": "Client address or network, for example 192.0.2.0/24.",
    "service": "submission, submissions, smtp or unknown.",
    "tls": "TLS version, none, tls, unknown, or legacy for all below 1.2.",
    "mechanism": "SASL mechanism, for example PLAIN.",
    "auth-class": "basic, challenge, oauth, other or unknown.",
    "server": "Host that logged it.",
    "outcome": "accepted, rejected, no_mail, auth_failed or tls_failed.",
}

Command = Callable[..., Any]
ENGINE_MEMORY = "200MB"  # of the database engine: reading a log and writing all rows fit a small server, sorting spills to disk
SERVING_MEMORY = "4%"  # of the machine's: pages of a hundred million rows take a tenth longer with 256 MB than with 1 GB
COLLECTED_SELDOM = (100_000, 20, 20)  # of gc.set_threshold: reading makes many objects, and few in circles
HANDED_ON = 0.0005  # seconds until a thread that comes out of compiled code may go on: it has little to do there, and often
GRAPH = "graph:"  # graph.GRAPH, which costs an import
PATIENCE = 10.0  # seconds that a database may be in use by a report before that is an error
WIDTH = 240  # of a table that is not on a terminal


def with_database(command: Command) -> Command:
    """The options of every command that reads or writes a database."""
    command = click.option("--config", metavar="FILE", help="Configuration file; default /etc/smtp-auth-report.toml.")(command)
    return click.option(
        "--database", metavar="D", help="DuckDB file, or clickhouse://…; default ~/.local/share/smtp-auth-report/mail.duckdb."
    )(command)


def with_selection(command: Command) -> Command:
    """Period and filters."""
    for name, text in reversed(FILTERS.items()):
        command = click.option(f"--{name}", name.replace("-", "_"), metavar="VALUE", multiple=True, help=f"{text} Repeatable.")(command)
    command = click.option("--to", "until", metavar="DATE", help="Last day, or a moment (RFC 3339).")(command)
    return click.option("--from", "since", metavar="DATE", help="First day, or a moment (RFC 3339).")(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="smtp-auth-report")
def commands() -> None:
    """Who still submits mail with SMTP AUTH: which account, from which device, how much, with which TLS version."""


commands.add_command(user)
commands.add_command(migrate)


def with_reading(command: Command) -> Command:
    """How logs are to be read."""
    years = click.IntRange(1990, 2100)
    command = click.option("--server", metavar="NAME", help="Host name for logs that carry none.")(command)
    command = click.option("--year", type=years, metavar="YYYY", help="Year of the first stamp that lacks one; default: found.")(command)
    command = click.option("--timezone", metavar="TZ", help="Zone of stamps that carry none; default the machine's.")(command)
    return click.option("--source", default="auto", metavar="NAME", help="Kind of log (see docs/sources.md), or auto.", show_default=True)(
        command
    )


@commands.command()
@with_database
@with_reading
@click.option("--follow", is_flag=True, help="Go on with what is written to them, until stopped; also directories, journal: and graph:.")
@click.option("--child-of", type=int, hidden=True, help="End when the process with this id, which started this one, has ended.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def ingest(files: tuple[str, ...], source: str, year: int | None, child_of: int | None, *, follow: bool, **flags: str | None) -> None:
    """Read logs: plain, gz, xz, bz2 or zst files, or - for standard input. Reading a file twice adds nothing."""
    os.umask(0o077)
    settings = load(flags)

    from smtp_auth_report.ingest import Ingest
    from smtp_auth_report.site_key import site_key

    reading = reading_of(settings, source, year)
    if follow:
        follow_logs(settings, reading, files, child_of)
        return
    if GRAPH in files:
        raise click.UsageError(worded("{name} is followed: add --follow", name=GRAPH))
    gc.set_threshold(*COLLECTED_SELDOM)
    sys.setswitchinterval(HANDED_ON)
    store = open_for(settings, memory_limit=ENGINE_MEMORY)
    with progress_bar(worded("Reading")) as show:
        run = Ingest(store, site_key(settings.state_path), reading, now(), show)
        try:
            run.run(files)
            store.seal()
            found = missing_from(store, settings)
        except InputError:
            if run.summary.files:
                print_summary(run.summary)
            raise
        finally:
            store.close()
    print_summary(run.summary)
    for finding in (finding for finding in found if finding.remedy.lacks in {"sessions", "tls_version"}):
        remedy = finding.remedy
        told = {"title": finding.title, "server": finding.server, "missing": finding.missing, "where": remedy.where}
        remark(worded("{title} on {server}: {missing}; set {setting} in {where}", setting=remedy.setting, **told))


@commands.command()
@click.option("--config", metavar="FILE", help="Configuration file; default /etc/smtp-auth-report.toml.")
@with_reading
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def doctor(files: tuple[str, ...], source: str, year: int | None, **flags: str | None) -> None:
    """Say what a report cannot know from these logs, and which setting of the mail server changes it. Keeps nothing."""
    from tempfile import TemporaryDirectory

    from smtp_auth_report.ingest import Ingest
    from smtp_auth_report.site_key import site_key
    from smtp_auth_report.sources.own_form import UNDATED

    os.umask(0o077)
    with TemporaryDirectory(prefix="smtp-auth-report-") as folder:
        settings = load(flags | {"database": f"{folder}/doctor.duckdb"})
        store = open_for(settings, memory_limit=ENGINE_MEMORY)
        try:
            with progress_bar(worded("Reading")) as show:
                run = Ingest(store, site_key(Path(folder, "state.sqlite3")), reading_of(settings, source, year), now(), show)
                run.run(files)
            found = missing_from(store, settings)
        finally:
            store.close()
    print_summary(run.summary)
    for finding in found:
        remedy = finding.remedy
        title = worded("{title} on {server}: {missing}.", title=finding.title, server=finding.server, missing=finding.missing)
        click.echo(one_line(title))
        click.echo(f"    {remedy.setting}")
        click.echo(f"  {worded('in {where}.', where=remedy.where)}")
        click.echo(f"  {worded('Gain: {gain}.', gain=remedy.gain)}")
    if undated := run.summary.unread[UNDATED]:
        told = worded(
            "{n} lines have no time, so nothing is known of them; give the log as docker logs --timestamps or journalctl has it.",
            n=count(undated),
        )
        click.echo(told)
    elif not found:
        click.echo(worded("Nothing is missing that a setting would bring."))


def reading_of(settings: Settings, source: str, year: int | None) -> Reading:
    """How logs are to be read, as the options say."""
    from smtp_auth_report.ingest import Reading
    from smtp_auth_report.sources import SOURCES

    if source not in {"auto", *(kind.name for kind in SOURCES)}:
        kinds = ", ".join(kind.name for kind in SOURCES)
        raise click.BadParameter(worded("{source!r} is none of auto, {kinds}", source=source, kinds=kinds), param_hint="--source")
    return Reading(settings.log_zone, settings.timezone_given, year, settings.server, source, settings.authenticators)


def missing_from(store: Store, settings: Settings) -> list[Finding]:
    """What the last days' logs do not tell."""
    from smtp_auth_report.reports.findings import findings, recent
    from smtp_auth_report.sources import SOURCES

    return findings(store, SOURCES, recent(store, settings.display_timezone))


def follow_logs(settings: Settings, reading: Reading, paths: tuple[str, ...], parent: int | None) -> None:
    """Read what is written, until a signal or the end of the process that started this one."""
    from contextlib import closing, contextmanager
    from threading import Event

    from smtp_auth_report.graph import GraphStream
    from smtp_auth_report.graph_client import client_of, ready
    from smtp_auth_report.live import Following
    from smtp_auth_report.site_key import site_key
    from smtp_auth_report.store import refuse_gone, shared
    from smtp_auth_report.supervisor import end_with, tidying
    from smtp_auth_report.waiting import Waiting

    secret = ready(settings, os.environ) if GRAPH in paths else ""

    open_files_allowed()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if parent is not None:
        end_with(parent, stop)

    @contextmanager
    def opened(*, again: bool) -> Iterator[Store]:
        if again:
            refuse_gone(settings.database)
        with closing(open_for(settings, memory_limit=ENGINE_MEMORY)) as store:
            if isinstance(store, shared.SharedStore):
                yield store
                return
            with shared.sharing(store, shared.socket_of(settings.database)), tidying(store, int(settings.retention_days), now):
                yield store

    def graph(positions: list[Position]) -> GraphStream:
        return GraphStream(client_of(settings, secret), settings.graph_tenant, positions, now)

    waiting = Waiting(settings.state_path)
    Following(opened, site_key(settings.state_path), reading, now, paths, say, graph, waiting).run(stop)
    os._exit(0)  # threads that answered others still hold the engine, which would complain of them on stderr


def open_files_allowed() -> None:
    """As many open files as the machine lets this process have: every rotated file that was never read is one."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@commands.command()
@with_database
@click.option("--state", metavar="S", help="SQLite file of people and report requests, or postgresql://…; default beside the database.")
@click.option("--listen", metavar="ADDRESS:PORT", help="Where to serve; default 127.0.0.1:8025.")
@click.option("--timezone", metavar="TZ", help="Zone of days and times shown, and of stamps that carry none; default the machine's.")
@click.option(
    "--follow",
    multiple=True,
    metavar="FILE",
    help="Read this log as it is written: file, pattern, directory, journal:, graph:. Repeatable.",
)
def serve(follow: tuple[str, ...], **flags: str | None) -> None:
    """Serve the pages and the JSON API, and read logs as they are written."""
    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = load(flags | {"display_timezone": flags["timezone"]})

    from contextlib import nullcontext

    from smtp_auth_report.store import shared
    from smtp_auth_report.supervisor import reading_beside, tidying
    from smtp_auth_report.web.application import Site
    from smtp_auth_report.web.application import serve as serve_pages

    if GRAPH in follow:
        from smtp_auth_report.graph_client import ready

        ready(settings, os.environ)
    store = open_for(settings, memory_limit=SERVING_MEMORY, alone=True)
    site = Site(store=store, settings=settings, clock=now)
    try:
        reader = reading_beside(["--follow", "--", *follow], settings, say) if follow else nullcontext()
        with shared.sharing(store, shared.socket_of(settings.database)), reader, tidying(store, int(settings.retention_days), now):
            serve_pages(
                site,
                lambda: looked_at(store),
                lambda address: tell(worded("SMTP AUTH clients report at {address}", address=address)),
            )
    except ReportError:
        store.close()
        raise
    except (KeyboardInterrupt, SystemExit):
        pass  # the way it is meant to end
    store.close()
    os._exit(0)  # threads still hold answers; the engine would complain of them on stderr


def looked_at(store: Store) -> None:
    """That this process is alive; a server that does not answer would not answer the next one either."""
    from contextlib import suppress

    with suppress(AwayError):
        store.positions()


@commands.command()
@click.argument("name", type=click.Choice(REPORT_NAMES), metavar="NAME")
@with_database
@with_selection
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True, help="How to print it.")
@click.option("--series", is_flag=True, help="With csv and table: what the chart draws, instead of the rows.")
def report(name: str, since: str | None, until: str | None, form: str, *, series: bool, **flags: Any) -> None:
    """Print a report: summary, sending-volume, tls-usage, auth-methods, clients or failures."""
    settings = load({"config": flags["config"], "database": flags["database"]})

    from smtp_auth_report.reports import REPORTS, ask, render

    store = open_for(settings, read_only=True)
    try:
        selection = selected(store, settings, since, until, flags)
        table = ask(REPORTS[name], store, selection, interval="day")
    finally:
        store.close()
    if form == "json":
        import json

        text = json.dumps(render.as_json(table), ensure_ascii=False, indent=1) + "\n"
    elif form == "csv":
        text = render.as_csv(table, series=series)
    else:
        terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if terminal else WIDTH
        text = render.as_text(table, width=width, colour=terminal, series=series)
    with standard_output():
        click.echo(text, nl=False)


@commands.command()
@with_database
@with_selection
@click.option("--format", "form", type=click.Choice(EXPORT_NAMES), default="csv", show_default=True, help="Kind of file.")
@click.option("--output", metavar="FILE", default="-", help="Where to write it; default standard output.")
@click.option("--columns", metavar="NAMES", multiple=True, help="Columns, in this order, with commas between; default all. Repeatable.")
def export(since: str | None, until: str | None, form: str, output: str, columns: tuple[str, ...], **flags: Any) -> None:
    """Write one row per submission. Without a period, all of them."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: half a file is removed, and told as broken off
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, signal.default_int_handler)
    settings = load({"config": flags["config"], "database": flags["database"]})

    from smtp_auth_report.exports import EXPORTS
    from smtp_auth_report.exports.interface import read_columns

    chosen = read_columns(columns)
    store = open_for(settings, read_only=True, memory_limit=ENGINE_MEMORY)
    try:
        selection = selected(store, settings, since, until, flags, everything=True)

        def write(file: BinaryIO) -> int:
            with telling_of_export(settings, selection, form) as problem:
                if problem:
                    remark(problem)
                with progress_bar(worded("Writing"), shown=output != "-") as show:
                    rows = EXPORTS[form].write(store, selection, file, lambda done, total: show(output, done, total), chosen)
                file.flush()
            return rows

        rows = write_file(output, write)
    except KeyboardInterrupt:
        raise ReportError(worded("interrupted before all rows were written; run the same command again")) from None
    finally:
        store.close()
    tell(worded("{n} submissions written", n=count(rows)))


@commands.command()
@with_database
@click.argument("account", metavar="ACCOUNT")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(account: str, *, yes: bool, **flags: str | None) -> None:
    """Erase ACCOUNT from rows and sums. What happened until now does not come back when a log is read again."""
    if not yes:
        click.confirm(worded("Erase this account from rows and sums for good?"), abort=True)
    os.umask(0o077)
    settings = load(flags)

    from smtp_auth_report.site_key import account_key, site_key
    from smtp_auth_report.sources import SOURCES
    from smtp_auth_report.store import rewrite
    from smtp_auth_report.store.shared import SharedStore

    store = open_for(settings, memory_limit=ENGINE_MEMORY)
    shared = isinstance(store, SharedStore)
    try:
        open_sessions = [] if shared else [kind.without(entry, account) for kind in SOURCES for entry in store.remembered(kind.name)]
        rows = store.erase(account, account_key(site_key(settings.state_path), account), open_sessions)
    finally:
        store.close()
    tell(worded("{n} rows erased, with their sums", n=count(rows)))
    if shared:
        tell(
            worded("Another process holds the database: run the same command once more while none does, and no trace is left in its file.")
        )
    else:
        rewrite(settings.database, memory_limit=ENGINE_MEMORY)


def open_for(settings: Settings, *, read_only: bool = False, memory_limit: str = "", alone: bool = False) -> Store:
    """
    The store of these settings: through the process that holds the file where there is one, unless it is to be held
    `alone`, else the file itself. A report that is just being made holds it too, for a moment: that is waited for.
    """
    from smtp_auth_report.store import open_store, shared

    until = time.monotonic() + PATIENCE
    while True:
        held = shared.connect(settings.database)
        if held is not None and not alone:
            return held
        try:
            return open_store(
                settings.database,
                display_zone=settings.display_timezone,
                default_domain=settings.default_domain,
                clock=now,
                read_only=read_only,
                memory_limit=memory_limit,
                state=settings.state_path,
                password=database_password(settings, os.environ),
                serving=alone,
            )
        except InUseError:
            if held is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)


def selected(
    store: Store, settings: Settings, since: str | None, until: str | None, flags: dict[str, Any], *, everything: bool = False
) -> Selection:
    """Period and filters of the command line. A default period without rows gives way to the last one that has some."""
    from smtp_auth_report.reports import periods
    from smtp_auth_report.store.interface import Selection

    zone = settings.display_timezone
    filters = {name: flags[name.replace("-", "_")] for name in FILTERS if flags[name.replace("-", "_")]}
    if everything and not since and not until:
        first, last = store.span() or (0, 0)
        return Selection(first, last + 1, zone, filters)
    start, end = periods.parse(since, until, zone, now())
    if not since and not until:
        start, end, moved = periods.settle(store, start, end, zone)
        if moved:
            day = periods.day(end - 1, zone)
            tell(worded("No rows in the last 7 days; shown are the 7 days up to {day}, the last with rows.", day=day))
    return Selection(start, end, zone, filters)


def progress_bar(verb: str, *, shown: bool = True) -> Any:
    """A bar on a terminal, nothing elsewhere; gives a function of name, done and total."""
    from contextlib import nullcontext

    if not shown or not sys.stderr.isatty():
        return nullcontext(lambda *_: None)
    from smtp_auth_report.progress import bar

    return bar(verb)


def print_summary(summary: Summary) -> None:
    """One block on stderr."""
    outcomes = [(translated(outcome), number) for outcome, number in sorted(summary.outcomes.items())]
    rows = ", ".join(f"{count(number)} {outcome}" for outcome, number in outcomes if number > 0) or worded("none")
    fewer = "".join(", " + worded("{n} {outcome} fewer", n=count(-number), outcome=outcome) for outcome, number in outcomes if number < 0)
    known = {"revised": count(summary.revised), "known": count(summary.unchanged)}
    tell(worded("New rows: {rows}; {revised} earlier rows revised, {known} known already.", rows=rows + fewer, **known))
    reasons = "".join(f"; {count(number)} {translated(reason)}" for reason, number in summary.unread.most_common())
    lines = {"lines": count(summary.lines), "other": count(summary.other), "unread": count(sum(summary.unread.values()))}
    tell(worded("Lines: {lines} read, {other} not about submission, {unread} unread{reasons}.", reasons=reasons, **lines))
    if summary.counted:
        tell(
            worded(
                "Counted by Microsoft: {n} senders; they are no rows, and in no figure but on the page /exchange-online.",
                n=count(summary.counted),
            )
        )
    if summary.future:
        future = count(summary.future)
        remark(worded("{n} rows lie in the future: check the server's clock, or give --year and --timezone", n=future))
    for text in summary.notes:
        remark(text)


def remark(text: str) -> None:
    """Something to know, on stderr."""
    tell(worded("Note: {text}.", text=text))


def tell(text: str) -> None:
    """What was done, one line on stderr, whatever a log or an argument has put into it."""
    click.echo(one_line(text), err=True)


def say(text: str) -> None:
    """One line on stderr."""
    tell(f"smtp-auth-report: {text}")


def give_up(message: str, status: int) -> NoReturn:
    """One line on stderr, then the end."""
    say(message)
    sys.exit(status)


def words_of(command: click.Command) -> Iterator[tuple[click.Command | click.Parameter, str, str]]:
    """
    What a command and those below it say of themselves: the command or option, the attribute, the English text.

    An argument's name counts only where its metavar is written out.
    """
    speaking: tuple[click.Command | click.Parameter, ...] = (command, *command.params)
    for of in speaking:
        texts = ((name, getattr(of, name, None)) for name in ("help", "metavar", "options_metavar", "subcommand_metavar"))
        yield from ((of, name, text) for name, text in texts if text and not getattr(of, "hidden", False))
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from words_of(below)


def speak() -> None:
    """Speak the language of the process, in the help of commands and options too."""
    speak_as(os.environ, sys.stderr.encoding)
    if language() != ENGLISH:
        for of, name, text in words_of(commands):
            setattr(of, name, translated(text))


def main() -> None:
    """Run a command; every foreseen error is one line."""
    speak()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here multiplies matrices; numpy's threads would wait, and not idly
    try:
        commands.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.Abort:
        give_up(worded("interrupted; what is in the database is kept, and reading a log goes on there"), 1)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except SelectionError as error:
        give_up(str(error), 2)
    except ReportError as error:
        give_up(str(error), 1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if os.environ.get("SMTP_AUTH_REPORT_TRACEBACK"):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
        give_up(
            worded("a mistake of this program: {where}; please report it, with what SMTP_AUTH_REPORT_TRACEBACK=1 shows", where=where), 1
        )
    finally:
        gc.freeze()  # what is left goes with the process: to look for circles in it would take a tenth of a second


if __name__ == "__main__":
    main()
