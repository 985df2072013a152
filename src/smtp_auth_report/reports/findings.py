"""
What the report cannot know from the logs as they are, and the setting of the mail server that changes it.

    for finding in findings(store, SOURCES, recent(store, zone)): ...

Rows tell what is missing, for each kind of server and each host; the sources know the remedies. What a server never logs
is no finding.

See also
    sources/interface.py for `Remedy`; docs/sources.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

from smtp_auth_report.moments import DAY
from smtp_auth_report.sources.interface import Remedy, Source
from smtp_auth_report.store.interface import Question, Selection, Snapshot
from smtp_auth_report.words import count, marked, translated, worded

FIGURES = (
    "accepted", "rejected", "failed", "no_mail", "no_tls_version", "no_tls_version_nor_mechanism", "no_mechanism", "no_service",
    "no_service_nor_mechanism", "no_account", "no_client_ip", "no_helo", "failed_account", "recipients", "bytes",
)  # fmt: skip

SIGN_INS = ("accepted", "rejected", "failed", "no_mail")

Figures = Mapping[str, int]


class Finding(NamedTuple):
    """One thing that is missing."""

    source: str
    title: str  # of the server, with its version where the log tells it
    server: str
    missing: str  # a sentence without its full stop
    remedy: Remedy


def _of_messages(name: str, words: str) -> Callable[[Figures], str]:
    def say(figures: Figures) -> str:
        number, accepted = figures[f"no_{name}"], figures["accepted"]
        return translated(words).format(n=count(number), messages=count(accepted)) if number else ""

    return say


def _none(name: str, words: str) -> Callable[[Figures], str]:
    return lambda figures: translated(words) if figures["accepted"] and not figures[name] else ""


LACKS: Mapping[str, Callable[[Figures], str]] = {
    "sessions": lambda figures: "" if any(figures[kind] for kind in SIGN_INS) else worded("no sign-in is in the log"),
    "messages": lambda figures: (
        worded("no message of {n} sessions that signed in is in the log", n=count(figures["no_mail"]))
        if figures["no_mail"] and not figures["accepted"]
        else ""
    ),
    "tls_version": _of_messages("tls_version", marked("the TLS version of {n} of {messages} messages is not in the log")),
    "mechanism": _of_messages("mechanism", marked("the mechanism of {n} of {messages} messages is not in the log")),
    "service": _of_messages("service", marked("the service (port 587, 465 or 25) of {n} of {messages} messages is not in the log")),
    "account": _of_messages("account", marked("the account of {n} of {messages} messages is not in the log")),
    "client_ip": _of_messages("client_ip", marked("the client's address of {n} of {messages} messages is not in the log")),
    "helo": _of_messages("helo", marked("the HELO name of {n} of {messages} messages is not in the log")),
    "recipients": _none("recipients", marked("no number of recipients is in the log")),
    "size": _none("bytes", marked("no size is in the log")),
    "no_mail": _none("no_mail", marked("no session that signed in and sent nothing is in the log")),
    "failures": _none("failed", marked("no failed sign-in is in the log")),
    "failed_account": lambda figures: (
        worded(
            "the name tried in {n} of {failed} failed sign-ins is not in the log",
            n=count(figures["failed_account"]),
            failed=count(figures["failed"]),
        )
        if figures["failed_account"]
        else ""
    ),
}
"""What a remedy is for -> the sentence that says how much is missing, "" where nothing is."""


WINDOW = 7 * DAY


def recent(store: Snapshot, zone: str) -> Selection:
    """The last days that any log was read of."""
    newest = max((progress.newest for progress in store.progress()), default=0)
    return Selection(newest - WINDOW, newest + 1, zone)


def findings(store: Snapshot, kinds: Sequence[type[Source]], selection: Selection) -> list[Finding]:
    """Of every server that the selection's rows, or the progress of reading, know. On a host with sign-ins one server need have none."""
    sql = files(__package__).joinpath("findings.sql").read_text(encoding="utf-8")
    answer = store.ask(Question(sql, ("source", "server", *FIGURES)), selection)
    figures = {(str(row[0]), str(row[1])): dict(zip(FIGURES, (int(number or 0) for number in row[2:]), strict=True)) for row in answer.rows}
    for progress in store.progress():
        if progress.newest >= selection.start:
            figures.setdefault((progress.source, progress.server), dict.fromkeys(FIGURES, 0))
    versions = {(progress.source, progress.server): progress.version for progress in store.progress()}
    in_use = {server for (_, server), told in figures.items() if not LACKS["sessions"](told)}
    by_name = {kind.name: kind for kind in kinds}
    return [
        Finding(source, f"{by_name[source].title} {versions.get((source, server), '')}".rstrip(), server, missing, _told(remedy))
        for (source, server), told in sorted(figures.items())
        if source in by_name
        for remedy in by_name[source].remedies
        if remedy.fits(versions.get((source, server), ""))
        if not (remedy.lacks == "sessions" and server in in_use) and (missing := LACKS[remedy.lacks](_within_reach(remedy, told)))
    ]


def _within_reach(remedy: Remedy, told: Figures) -> Figures:
    """The figures without what this remedy cannot change."""
    if not remedy.needs_mechanism:
        return told
    lacking = f"no_{remedy.lacks}"
    return {**told, lacking: told[lacking] - told[f"{lacking}_nor_mechanism"]}


def _told(remedy: Remedy) -> Remedy:
    """In the reader's language, the setting too where that is words."""
    return remedy._replace(setting=translated(remedy.setting), where=translated(remedy.where), gain=translated(remedy.gain))
