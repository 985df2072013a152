"""
The command that copies a store from one engine to another.

    smtp-auth-report migrate mail.duckdb clickhouse://report@ch.example:8443/mail?secure=1
    smtp-auth-report migrate clickhouse://report@ch.example:8443/mail?secure=1 mail.duckdb

What it has written when it is stopped stays, and the same command goes on there.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from smtp_auth_report.moments import now
from smtp_auth_report.settings import Settings, database_password, load
from smtp_auth_report.words import count, worded

if TYPE_CHECKING:
    from smtp_auth_report.store.migrating import Circumstances

ENGINE_MEMORY = "1GB"  # of DuckDB: a day of many rows is sorted


@click.command()
@click.option("--config", metavar="FILE", help="Configuration file; default /etc/smtp-auth-report.toml.")
@click.option("--state", metavar="S", help="People, report requests and how far logs were read; default beside each database.")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def migrate(source: str, target: str, **flags: str | None) -> None:
    """Copy all of database FROM into the empty database TO, and prove that both hold the same."""
    from smtp_auth_report.site_key import hand_on
    from smtp_auth_report.store import migrating
    from smtp_auth_report.store.copying import migrate as copied

    os.umask(0o077)
    here, there = (load(flags | {"database": database}) for database in (source, target))
    if here.database == there.database:
        raise click.UsageError(worded("FROM and TO are the same database"))
    with (
        _bar() as show,
        migrating.opened(here.database, _given(here), new=False) as first,
        migrating.opened(there.database, _given(there), new=True) as second,
    ):
        hand_on(here.state_path, there.state_path)
        done = copied(first, second, show)
    if here.state_place != there.state_place:
        click.echo(
            worded(
                "Note: people and report requests stay in {here}; {target} has its own in {there}. To go on with these, set state.",
                here=here.state_place,
                there=there.state_place,
                target=there.database,
            ),
            err=True,
        )
    told = {"rows": count(done.rows), "days": count(done.days), "copied": count(done.copied), "target": there.database}
    click.echo(
        worded("{target} holds all {rows} rows of {days} days, {copied} of them copied now; numbers and checksums agree.", **told), err=True
    )


def _given(settings: Settings) -> Circumstances:
    """What opening a database takes."""
    from smtp_auth_report.store import reading_state_of
    from smtp_auth_report.store.migrating import Circumstances

    password = database_password(settings, os.environ)
    return Circumstances(reading_state_of(settings.state_path), password, settings.display_timezone, now, ENGINE_MEMORY)


def _bar() -> Any:
    """On a terminal."""
    if not sys.stderr.isatty():
        return nullcontext(lambda *_: None)
    from smtp_auth_report.progress import bar

    return bar(worded("Copying:"))
