"""
One process holds a DuckDB file, or a folder of chDB; others reach it through a Unix socket beside it.

    with sharing(store, socket_of(database)):       in the process that holds the file
        ...
    store = connect(database)                       in another: a Store, or None where nobody shares it

The socket has mode 0600: who may connect may read the file itself. Calls and answers are JSON, so neither side runs
what the other sends. Every connection has a thread of its own; the store orders the commits.

What goes wrong
    StoreError and SelectionError cross the socket as they are, in the language of the process that holds the file; a
    connection that breaks is a StoreError.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import numpy as np

from smtp_auth_report.changes import (
    NUMBERS,
    Applied,
    Changes,
    Commit,
    Counted,
    Gap,
    Intake,
    Messages,
    Position,
    Remembered,
    Unread,
    Withheld,
)
from smtp_auth_report.errors import ReportError, SelectionError, StoreError
from smtp_auth_report.store.interface import (
    Answer,
    Asked,
    CountedReport,
    Progress,
    Question,
    Selection,
    Snapshot,
    Store,
    StreamState,
    Told,
    UnreadCount,
    View,
    at_once,
)
from smtp_auth_report.submission import Identity, Submission
from smtp_auth_report.words import why, worded

LONGEST_ADDRESS = 100


def socket_of(database: str) -> Path | None:
    """Where the process that holds a database listens; None where each process opens it for itself."""
    kind, separator, folder = database.partition("://")
    if separator and kind != "chdb":
        return None
    return Path((folder.rstrip("/") if separator else database) + ".socket")


@contextmanager
def sharing(store: Store, path: Path | None) -> Iterator[None]:
    """Answer other processes until the block ends. The caller holds the database, so a socket left over is dead."""
    if path is None:
        yield
        return
    folder = os.open(path.parent, os.O_RDONLY)
    mask = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listener = Listener(_address(path, folder), family="AF_UNIX")
    except OSError as error:
        os.close(folder)
        raise StoreError(
            worded("{path}: cannot be made: {reason}; the database's folder must be one to write in", path=path, reason=why(error))
        ) from None
    finally:
        os.umask(mask)
    over = Event()
    Thread(target=_listen, args=(listener, store, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        with suppress(OSError):
            Client(_address(path, folder), family="AF_UNIX").close()  # wakes the thread, which would accept one more
        with suppress(OSError):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            listener.close()
        os.close(folder)


def connect(database: str) -> Store | None:
    """The store of a database that another process holds and shares."""
    path = socket_of(database)
    if path is None:
        return None
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError:
        return None
    try:
        return SharedStore(database, Client(_address(path, folder), family="AF_UNIX"))
    except OSError:
        return None
    finally:
        os.close(folder)


def _address(path: Path, folder: int) -> str:
    """Of a socket, whose own path may have some hundred bytes only; `folder` is a descriptor of where it stands."""
    return str(path) if len(os.fsencode(path)) < LONGEST_ADDRESS else f"/proc/self/fd/{folder}/{path.name}"


class SharedStore:
    """See `Store` in interface.py."""

    reads_rows = False

    def __init__(self, database: str, connection: Connection[Any, Any]) -> None:
        self._database = database
        self._connection = connection
        self._lock = Lock()
        self.bucket_minutes, self.default_domain = self._call("nature")

    def commit(self, commit: Commit) -> Applied:
        return Applied(*self._call("commit", _commit_out(commit)))

    def positions(self) -> list[Position]:
        return [Position(*entry) for entry in self._call("positions")]

    def remembered(self, source: str) -> list[Remembered]:
        return [Remembered(*entry) for entry in self._call("remembered", source)]

    def names(self) -> tuple[set[str], set[str]]:
        accounts, domains = self._call("names")
        return set(accounts), set(domains)

    def withheld(self) -> list[Withheld]:
        return [Withheld(*entry) for entry in self._call("withheld")]

    def expire(self, before: int) -> int:
        return int(self._call("expire", before))

    def erase(self, account: str, key: str, remembered: Sequence[Remembered] = ()) -> int:
        return int(self._call("erase", account, key, remembered))

    def seal(self) -> None:
        self._call("seal")

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Each question is of a state of its own."""
        yield self

    def beside(self, work: Callable[[Snapshot], Told]) -> Callable[[], Told]:
        return at_once(work, self)

    def ask(self, question: Question, selection: Selection, view: View = View()) -> Answer:  # noqa: B008 (frozen)
        return self.ask_all(selection, [Asked(question, view)])[0]

    def ask_all(self, selection: Selection, asked: Sequence[Asked]) -> list[Answer]:
        found = self._call("ask_all", _selection_out(selection), [[asdict(question), asdict(view)] for question, view in asked])
        return [Answer([tuple(row) for row in rows], total, sums) for rows, total, sums in found]

    def choices(self, column: str, selection: Selection, search: str = "", limit: int = 200) -> list[tuple[str, int]]:
        return [(value, messages) for value, messages in self._call("choices", column, _selection_out(selection), search, limit)]

    def submissions(self, selection: Selection, size: int = 10_000) -> Iterator[list[Submission]]:
        with self._lock:
            self._send("submissions", _selection_out(selection), size)
            while part := self._receive():
                yield [Submission(*row) for row in part]

    def count(self, selection: Selection) -> int:
        return int(self._call("count", _selection_out(selection)))

    def span(self, scope: frozenset[str] | None = None) -> tuple[int, int] | None:
        found = self._call("span", None if scope is None else sorted(scope))
        return None if found is None else (found[0], found[1])

    def expired_before(self) -> int:
        return int(self._call("expired_before"))

    def unread(self, start: int | None = None, end: int | None = None) -> list[UnreadCount]:
        return [UnreadCount(*entry) for entry in self._call("unread", start, end)]

    def gaps(self, start: int, end: int) -> int:
        return int(self._call("gaps", start, end))

    def progress(self) -> list[Progress]:
        return [Progress(*entry) for entry in self._call("progress")]

    def streams(self) -> list[StreamState]:
        return [StreamState(*entry) for entry in self._call("streams")]

    def counted_reports(self, scope: frozenset[str] | None = None) -> list[CountedReport]:
        return [CountedReport(*entry) for entry in self._call("counted_reports", None if scope is None else sorted(scope))]

    def counted(self, report: str, limit: int, scope: frozenset[str] | None = None) -> list[Counted]:
        return [Counted(*entry) for entry in self._call("counted", report, limit, None if scope is None else sorted(scope))]

    def close(self) -> None:
        self._connection.close()

    def _call(self, name: str, *arguments: object) -> Any:
        with self._lock:
            self._send(name, *arguments)
            return self._receive()

    def _send(self, name: str, *arguments: object) -> None:
        try:
            self._connection.send_bytes(json.dumps([name, arguments]).encode())
        except OSError:
            raise self._broken() from None

    def _receive(self) -> Any:
        try:
            answer = json.loads(self._connection.recv_bytes())
        except (OSError, EOFError):
            raise self._broken() from None
        if "error" in answer:
            raise SelectionError(answer["error"]) if answer["kind"] == "selection" else StoreError(answer["error"])
        return answer["result"]

    def _broken(self) -> StoreError:
        return StoreError(worded("{database}: the process that serves it has ended; run the same command again", database=self._database))


def _listen(listener: Listener, store: Store, over: Event) -> None:
    while True:
        try:
            connection = listener.accept()
        except OSError:
            return
        if over.is_set():
            connection.close()
            return
        Thread(target=_answer, args=(connection, store, over), daemon=True).start()


def _answer(connection: Connection[Any, Any], store: Store, over: Event) -> None:
    """Serve one connection until it ends, or the store is no longer shared."""
    with connection, suppress(OSError, EOFError):
        while True:
            name, arguments = json.loads(connection.recv_bytes())
            try:
                if name == "submissions":
                    for part in store.submissions(_selection_in(arguments[0]), arguments[1]):
                        _reply(connection, result=part)
                    _reply(connection, result=[])
                else:
                    _reply(connection, result=CALLS[name](store, *arguments))
            except ReportError as error:
                if over.is_set():
                    return
                _reply(connection, error=str(error), kind="selection" if isinstance(error, SelectionError) else "store")
            except (KeyError, TypeError, ValueError) as error:
                _reply(
                    connection,
                    error=worded(
                        "the serving process could not answer: {kind}; use the same version of the program", kind=type(error).__name__
                    ),
                    kind="store",
                )


def _reply(connection: Connection[Any, Any], **answer: object) -> None:
    connection.send_bytes(json.dumps(answer).encode())


def _sets(names: tuple[set[str], set[str]]) -> list[list[str]]:
    return [sorted(part) for part in names]


CALLS: Mapping[str, Callable[..., object]] = {
    "nature": lambda store: [store.bucket_minutes, store.default_domain],
    "commit": lambda store, commit: store.commit(_commit_in(commit)),
    "positions": lambda store: store.positions(),
    "remembered": lambda store, source: store.remembered(source),
    "withheld": lambda store: store.withheld(),
    "expire": lambda store, before: store.expire(before),
    "erase": lambda store, account, key, remembered: store.erase(account, key, [Remembered(*entry) for entry in remembered]),
    "seal": lambda store: store.seal(),
    "names": lambda store: _sets(store.names()),
    "ask_all": lambda store, selection, asked: store.ask_all(_selection_in(selection), [_asked_in(*each) for each in asked]),
    "choices": lambda store, column, selection, search, limit: store.choices(column, _selection_in(selection), search, limit),
    "count": lambda store, selection: store.count(_selection_in(selection)),
    "span": lambda store, scope: store.span(None if scope is None else frozenset(scope)),
    "expired_before": lambda store: store.expired_before(),
    "unread": lambda store, start, end: store.unread(start, end),
    "gaps": lambda store, start, end: store.gaps(start, end),
    "progress": lambda store: store.progress(),
    "streams": lambda store: store.streams(),
    "counted_reports": lambda store, scope: store.counted_reports(None if scope is None else frozenset(scope)),
    "counted": lambda store, report, limit, scope: store.counted(report, limit, None if scope is None else frozenset(scope)),
}
"""What may be asked for, and how its arguments become what they were. Named tuples cross as lists."""


def _selection_out(selection: Selection) -> dict[str, Any]:
    filters = {name: list(values) for name, values in selection.filters.items()}
    return {
        "start": selection.start,
        "end": selection.end,
        "zone": selection.zone,
        "filters": filters,
        "scope": None if selection.scope is None else sorted(selection.scope),
    }


def _selection_in(entry: dict[str, Any]) -> Selection:
    filters = {name: tuple(values) for name, values in entry["filters"].items()}
    return Selection(entry["start"], entry["end"], entry["zone"], filters, None if entry["scope"] is None else frozenset(entry["scope"]))


def _asked_in(question: dict[str, Any], view: dict[str, Any]) -> Asked:
    return Asked(Question(**question), View(**view))


def _commit_out(commit: Commit) -> dict[str, Any]:
    changes = commit.changes
    return {
        "rows": list(changes.rows.values()),
        "messages": [[b64encode(numbers.tobytes()).decode(), *common] for numbers, *common in changes.messages],
        "account_keys": commit.account_keys,
        "withdrawn": list(changes.withdrawn),
        "told": list(changes.told.values()),
        "awaited": list(changes.awaited.items()),
        "unread": changes.unread,
        "gaps": changes.gaps,
        "counted": changes.counted,
        "lines": changes.lines,
        "other": changes.other,
        "newest": changes.newest,
        "versions": [[*which, version] for which, version in changes.versions.items()],
        "positions": commit.positions,
        "remembered": commit.remembered,
        "learned": commit.learned,
        "withheld": commit.withheld,
        "file": commit.file,
        "intake": commit.intake,
    }


def _commit_in(entry: dict[str, Any]) -> Commit:
    changes = Changes(lines=entry["lines"], other=entry["other"], newest=entry["newest"])
    for values in entry["rows"]:
        changes.put(Submission(*values))
    changes.messages += [_messages_in(*values) for values in entry["messages"]]
    changes.withdrawn.update(Identity(*values) for values in entry["withdrawn"])
    changes.told |= {values[0]: Submission(*values) for values in entry["told"]}
    changes.awaited |= {Identity(*identity): tuple(references) for identity, references in entry["awaited"]}
    changes.unread += [Unread(*values) for values in entry["unread"]]
    changes.gaps += [Gap(*values) for values in entry["gaps"]]
    changes.versions |= {(source, server): version for source, server, version in entry["versions"]}
    changes.counted += [Counted(*values) for values in entry["counted"]]
    return Commit(
        changes,
        positions=[Position(*values) for values in entry["positions"]],
        remembered=[Remembered(*values) for values in entry["remembered"]],
        learned=entry["learned"],
        account_keys=entry["account_keys"],
        withheld=[Withheld(*values) for values in entry["withheld"]],
        file=entry["file"],
        intake=Intake(*entry["intake"]) if entry["intake"] else None,
    )


def _messages_in(numbers: str, manners: Any, clients: Any, parties: Any, queue_ids: str, message_ids: str) -> Messages:
    manners, clients, parties = ([tuple(entry) for entry in entries] for entries in (manners, clients, parties))
    return Messages(np.frombuffer(b64decode(numbers), NUMBERS), manners, clients, parties, queue_ids, message_ids)
