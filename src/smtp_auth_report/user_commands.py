"""
The commands about people: who may sign in to the pages.

    smtp-auth-report user add anna@contoso.example --role domains --domain contoso.example
    smtp-auth-report user list
    smtp-auth-report user password anna@contoso.example
    smtp-auth-report user token anna@contoso.example "backup script"
    smtp-auth-report user revoke anna@contoso.example "backup script"
    smtp-auth-report user second-factor-off anna@contoso.example
    smtp-auth-report user remove anna@contoso.example

They write to the state database, also while `serve` runs. A password is asked for on a terminal, and read from standard
input where that is none; it is never an argument, which other people of the machine could see.

`export` tells the page of people through here who has written rows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtp_auth_report.errors import ReportError
from smtp_auth_report.moments import now
from smtp_auth_report.settings import Settings, load
from smtp_auth_report.web.reader import Role
from smtp_auth_report.words import language, worded

if TYPE_CHECKING:
    from smtp_auth_report.store.interface import Selection

ROLES = [role.value for role in Role]

Command = Callable[..., Any]


def with_state(command: Command) -> Command:
    """Where people are kept."""
    command = click.option("--config", metavar="FILE", help="Configuration file; default /etc/smtp-auth-report.toml.")(command)
    command = click.option(
        "--state", metavar="S", help="SQLite file of people and report requests, or postgresql://…; default beside the database."
    )(command)
    return click.option(
        "--database", metavar="D", help="DuckDB file, or clickhouse://…; default ~/.local/share/smtp-auth-report/mail.duckdb."
    )(command)


@click.group()
def user() -> None:
    """Say who may sign in to the pages. Until somebody may, they are open to this machine, and to it alone."""


@user.command()
@click.argument("name", metavar="NAME")
@click.option("--role", type=click.Choice(ROLES), default=Role.READER.value, show_default=True, help="What they may see.")
@click.option("--domain", "domains", metavar="DOMAIN", multiple=True, help="With --role domains: account domain they see. Repeatable.")
@click.option("--no-password", is_flag=True, help="They sign in another way alone, as through OpenID Connect.")
@with_state
def add(name: str, role: str, domains: tuple[str, ...], no_password: bool, **flags: str | None) -> None:
    """Let NAME sign in: an administrator, a reader of everything, or a reader of single domains."""
    settings = load(flags)
    person = _people(settings, new=True).add(name, Role(role), None if no_password else _password, now(), domains)
    click.echo(worded("{name} may sign in; people are in {path}", name=person.name, path=settings.state_place), err=True)


@user.command(name="list")
@with_state
def listed(**flags: str | None) -> None:
    """Say who may sign in, with role, domains, tokens and second factor."""
    _people(load(flags))

    import json

    from smtp_auth_report.web.models import Person

    for person in Person.objects.prefetch_related("token_set"):
        domains, tokens = json.loads(person.domains), [token.label for token in person.token_set.all()]
        of = f" {', '.join(domains)}" if domains else ""
        click.echo(
            f"{person.name}\t{person.role}{of}"
            + ("\t" + worded("tokens: {labels}", labels=", ".join(tokens)) if tokens else "")
            + ("\t" + worded("second factor") if person.factor_salt else "")
            + ("\t" + worded("by groups") if person.by_groups else "")
        )


@user.command()
@click.argument("name", metavar="NAME")
@with_state
def password(name: str, **flags: str | None) -> None:
    """Change the password of NAME, whose sessions end."""
    people = _people(load(flags))
    person = people.named(name)
    people.change_password(person, _password(), now())
    click.echo(worded("the password of {name} was changed", name=person.name), err=True)


@user.command(name="second-factor-off")
@click.argument("name", metavar="NAME")
@with_state
def second_factor_off(name: str, **flags: str | None) -> None:
    """Ask NAME, who has lost their app and its recovery codes, for a password alone. Their sessions end."""
    person = _people(load(flags)).named(name)

    from smtp_auth_report.web.second_factor import switch_off

    switch_off(person, now())
    click.echo(worded("{name} is asked for the password alone", name=person.name), err=True)


@user.command()
@click.argument("name", metavar="NAME")
@with_state
def remove(name: str, **flags: str | None) -> None:
    """Let NAME sign in no more. Their sessions, tokens and requested files go."""
    settings = load(flags)
    _people(settings).remove(name, now())

    from smtp_auth_report.web.requested import sweep

    sweep(settings, now())
    click.echo(worded("{name} may sign in no more", name=name), err=True)


@user.command()
@click.argument("name", metavar="NAME")
@click.argument("label", metavar="LABEL")
@with_state
def token(name: str, label: str, **flags: str | None) -> None:
    """Make a token for a program of NAME, which then sees what NAME sees. It is shown once."""
    people = _people(load(flags))
    click.echo(people.new_token(people.named(name), label, now()))


@user.command()
@click.argument("name", metavar="NAME")
@click.argument("label", metavar="LABEL")
@with_state
def revoke(name: str, label: str, **flags: str | None) -> None:
    """Make a token of NAME good for nothing."""
    people = _people(load(flags))
    people.revoke_token(people.named(name), label, now())
    click.echo(worded("the token {label!r} of {name} is revoked", label=label, name=name), err=True)


@contextmanager
def telling_of_export(settings: Settings, selection: Selection, form: str) -> Iterator[str]:
    """
    Note on the page of people that rows are written, and by which Unix user, where people were added. That is done before the
    first row: who breaks an export off, or kills it, has those before. One that fails is then said to have been broken off.
    Gives why it cannot be noted: whoever can read the rows may go on without.
    """
    if not settings.state_url and not _somebody_is_in(settings.state_path):
        yield ""
        return

    from django.db import Error

    from smtp_auth_report.exports import EXPORTS
    from smtp_auth_report.web.application import prepare

    try:
        prepare(settings)

        from smtp_auth_report.web import people, spans
        from smtp_auth_report.web.detail import detail
        from smtp_auth_report.web.models import Deed

        period, kind = spans.dates(selection), EXPORTS[form].title
        written = detail("submissions, {period}, as {kind}, on the command line (Unix user)", period=period, kind=kind)
        event, problem = people.note(Deed.EXPORTED, now(), written, name=_unix_user()), ""
    except (ReportError, Error) as error:
        event, problem = None, worded("the page of people does not tell of this export: {problem}", problem=error)
    try:
        yield problem
    except BaseException:
        if event is not None:
            with suppress(Error):
                people.amend(event, detail("{what}, broken off", what=written))
        raise


def _somebody_is_in(state: Path) -> bool:
    """Whether people were added, asked of SQLite itself: Django takes half a second. A file that does not tell is left to it."""
    import sqlite3

    if not state.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{state.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute("SELECT 1 FROM web_person").fetchone() is not None
    except sqlite3.Error:
        return True


def _unix_user() -> str:
    """Whose process this is."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _people(settings: Settings, *, new: bool = False) -> Any:
    """The module that knows of people, once their database is ready."""
    os.umask(0o077)
    if not new and not settings.state_url and not settings.state_path.exists():
        raise ReportError(
            worded("{path}: nobody was added there yet; name the right one with --database or --state", path=settings.state_path)
        )

    from smtp_auth_report.web.application import prepare

    prepare(settings)

    from django.utils.translation import activate

    activate(language())

    from smtp_auth_report.web import people

    return people


def _password() -> str:
    """Asked for twice on a terminal, else the first line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(worded("Password"), hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")
