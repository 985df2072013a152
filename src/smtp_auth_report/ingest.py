"""
Lines to rows to store.

    summary = Ingest(store, key, reading, now).run(["mail.log.1.gz", "mail.log"])

Files are read oldest first, so that sessions that straddle two of them join. Rows, read position and open sessions are
committed together, every few tens of thousands of rows: a run that is stopped at any moment goes on where it was. While
one commit is applied, the next is read.

Names of failed sign-ins are often passwords typed into the wrong box. Such a row keeps its name only when that name
has signed in here, or is an address in a domain that has; else only the keyed hash remains.

What goes wrong
    InputError for a file that cannot be read or holds no log that is known. Files before it are kept, what was read of
    it is kept, and the files after it are read before the error is raised.
"""

from __future__ import annotations

import re
import time as clocks
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from smtp_auth_report.changes import Applied, Changes, Commit, Messages, Position, Remembered, Withheld
from smtp_auth_report.checkpoint import HEAD, Evidence, candidates, digest, position
from smtp_auth_report.errors import InputError, StoreError
from smtp_auth_report.framing import made_of_lines
from smtp_auth_report.log_file import Log, Place
from smtp_auth_report.moments import DAY
from smtp_auth_report.resuming import Kept, by_server, mark_of, resume
from smtp_auth_report.site_key import account_key, seal, unseal
from smtp_auth_report.sources import NOT_LOOKED, SOURCES, Batch, LogReader, Options, Source
from smtp_auth_report.sources.envelope import Envelope
from smtp_auth_report.store.interface import Store
from smtp_auth_report.submission import Outcome, Submission
from smtp_auth_report.words import worded

ROWS_A_COMMIT = 100_000
BYTES_A_COMMIT = 256 << 20
FEWEST_BYTES = 64 << 20
"""A commit of fewer takes little less time."""
WITHHELD = 20_000
ASK_AGAIN = 60.0
"""Seconds after which it is asked who has signed in on other hosts."""

# Datum (UTC),Anforderungs-ID,Benutzer-Agent,Korrelations-ID
TABLE = re.compile(rb"(?:\xef\xbb\xbf)?[^\d,;\t\n:=\[\]{}]{1,60}(?:[,;\t][^\d,;\t\n:=\[\]{}]{1,60}){3,}\r?\n")
# {"version":"1.1","host":"mail","short_message":"…
MESSAGES = re.compile(rb"\{[^\n]*\"(?:short_message|message|msg|MESSAGE)\"[^\n]*\n")

Report = Callable[[str, int, int | None], None]
"""Called with a file's name, bytes done and bytes in all."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How logs are to be read."""

    zone: ZoneInfo
    zone_given: bool = False
    year: int | None = None
    server: str = "localhost"
    source: str = "auto"
    authenticators: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """For comparing with how a file was read before."""
        return f"timezone={self.zone.key if self.zone_given else 'machine'} server={self.server}"

    @property
    def kinds(self) -> list[type[Source]]:
        """The kinds of log that it may be."""
        return [kind for kind in SOURCES if self.source in {"auto", kind.name}]

    def reader(self, reference: int, now: int, year: int | None = None) -> LogReader:
        """Of a log last written at `reference`; `year` is the one that reading had got to."""
        options = Options(self.zone, self.zone_given, year or self.year, reference, now, self.server, self.authenticators)
        return LogReader(self.kinds, options)

    def evidence(self, reader: LogReader, kept: Kept, stream: str = "") -> str:
        """What is needed to go on with what was read so far, of which this is remembered."""
        return Evidence(reader.year, not self.year, mark_of(stream, kept.values()), reader.offset).text


@dataclass(slots=True)
class Summary:
    """What a run did."""

    outcomes: Counter[str] = field(default_factory=Counter)
    revised: int = 0
    unchanged: int = 0
    lines: int = 0
    other: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    future: int = 0
    counted: int = 0
    files: int = 0
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Names:
    """Whose names may be shown. `store` gives the store as it is open now: others may write to it, and learn of more."""

    def __init__(self, store: Callable[[], Store], key: bytes) -> None:
        self._store = store
        self._key = key
        self._accounts, self._domains = store().names()
        self._asked = clocks.monotonic()
        self._keys: dict[str, str] = {}
        self._withheld: OrderedDict[str, str] = OrderedDict()  # account key -> name, of those whose domain may sign in yet
        for entry in store().withheld():
            self._withheld[entry.account_key] = unseal(key, entry.account_key, entry.sealed)

    def apply(self, changes: Changes) -> Commit:
        """Learn who signed in, take names from failures that may not keep them, name those that now may; key every account."""
        commit = Commit(changes)
        if clocks.monotonic() - self._asked > ASK_AGAIN:
            self._ask(commit)
        failures = []
        signed_in = dict.fromkeys(row.account for row in changes.told.values() if row.account)
        for identity, row in changes.rows.items():
            if row.account and row.outcome == Outcome.AUTH_FAILED:
                failures.append((identity, row))
            elif row.account:
                signed_in[row.account] = None
        changes.messages = Messages.joined(changes.messages)
        for messages in changes.messages:
            signed_in |= dict.fromkeys(messages.accounts())
        changes.counted = [row._replace(sender_key=self._hash(row.sender)) for row in changes.counted]
        for account in signed_in:
            commit.account_keys[account] = key = self._hash(account)
            if account.casefold() not in self._accounts:
                commit.learned[key] = account
                self._learn(account, commit)
        for identity, row in failures:
            changes.rows[identity] = self._withheld_or_keyed(row, commit)
        return commit

    def _ask(self, commit: Commit) -> None:
        """Learn who has signed in elsewhere since."""
        self._asked = clocks.monotonic()
        with suppress(StoreError):  # what writes tells of it
            accounts, domains = self._store().names()
            for account in accounts - self._accounts:
                commit.learned[self._hash(account)] = account
                self._learn(account, commit)
            self._domains |= domains

    def _withheld_or_keyed(self, row: Submission, commit: Commit) -> Submission:
        name = row.account or ""
        key = self._hash(name)
        if self._known(name):
            return row._replace(account_key=key)
        if "@" in name and key not in self._withheld:
            self._withheld[key] = name
            commit.withheld.append(Withheld(key, seal(self._key, key, name), row.time))
            if len(self._withheld) > WITHHELD:
                self._withheld.popitem(last=False)
        return row._replace(account=None, account_key=key)

    def _known(self, name: str) -> bool:
        folded = name.casefold()
        return folded in self._accounts or ("@" in folded and folded.rpartition("@")[2] in self._domains)

    def _learn(self, name: str, commit: Commit) -> None:
        folded = name.casefold()
        self._accounts.add(folded)
        domain = folded.rpartition("@")[2] if "@" in folded else ""
        if not domain or domain in self._domains:
            return
        self._domains.add(domain)
        for key, waiting in list(self._withheld.items()):
            if waiting.casefold().rpartition("@")[2] == domain:
                commit.learned[key] = self._withheld.pop(key)

    def _hash(self, name: str) -> str:
        found = self._keys.get(name)
        if found is None:
            if len(self._keys) > 100_000:
                self._keys.clear()
            found = self._keys[name] = account_key(self._key, name)
        return found


def state_report(commit: Commit, path: str, head: bytes) -> None:
    """Which report counted rows are of: the file that begins so."""
    changes = commit.changes
    if changes.counted:
        report = digest(head[:HEAD])
        commit.file = Path(path).name
        changes.counted = [row._replace(report=report) for row in changes.counted]


class _Committing:
    """Commits in their order, beside reading: one at a time, so that reading is never more than one ahead."""

    def __init__(self, store: Store, applied: Callable[[Applied], None]) -> None:
        self._store = store
        self._applied = applied
        self._thread = ThreadPoolExecutor(1, "commit")
        self._under_way: Future[Applied] | None = None

    def submit(self, made: Callable[[], Commit]) -> None:
        """Make this one and apply it when those before are safe. Raises what went wrong with the one before."""
        self.settle()
        self._under_way = self._thread.submit(lambda: self._store.commit(made()))

    def settle(self) -> None:
        """Wait until all is safe."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            self._applied(under_way.result())


class Ingest:
    """One run over files."""

    def __init__(self, store: Store, key: bytes, reading: Reading, now: int, progress: Report = lambda *_: None) -> None:
        self._store = store
        self._names = Names(lambda: store, key)
        self._reading = reading
        self._now = now
        self._progress = progress
        self.summary = Summary()
        self._kept: Kept = {}
        self._committing = _Committing(store, self._count_applied)

    def run(self, paths: Iterable[str]) -> Summary:
        """Read every file, oldest first. Raises InputError in the end if one could not be read."""
        opened: list[tuple[int, Log, list[bytes]]] = []
        once = dict.fromkeys(paths)
        try:
            for path in once:
                try:
                    log = Log(path, self._now)
                except InputError as error:
                    self.summary.problems.append(str(error))
                    continue
                sample = log.sample()
                begins = self._reader(log).settle(sample, log.start) if len(once) > 1 else 0
                opened.append((begins, log, sample))
            for _, log, sample in sorted(opened, key=lambda entry: entry[0]):
                try:
                    self._file(log, sample)
                except InputError as error:
                    self.summary.problems.append(str(error))
        finally:
            for _, log, _ in opened:
                log.close()
        if self.summary.problems:
            raise InputError("; ".join(self.summary.problems))
        return self.summary

    def _reader(self, log: Log, year: int | None = None) -> LogReader:
        return self._reading.reader(log.reference, self._now, year)

    def _file(self, log: Log, sample: list[bytes]) -> None:
        known = candidates(self._store.positions(), log.head)
        found = next((p for p in known if log.stands_at(p)), None)
        if found is not None and found.options != self._reading.text:
            raise InputError(
                worded(
                    "{path}: was read before with {options}; with {now} its rows would be kept twice: use another --database",
                    path=log.name,
                    options=found.options,
                    now=self._reading.text,
                )
            )
        reader = self._reader(log, Evidence.read(found.evidence).year if found else None)
        reader.settle(sample, log.start, log.head)
        self._kept = resume(reader, self._store.remembered, self._reading.kinds, place=found, before=log.last_lines)
        run = _Run(log, reader, self)
        damage = run.batches()
        self.summary.files += 1
        if damage is not None:
            raise damage
        if found is not None:
            if run.lines == 0:
                self.summary.notes.append(worded("{path}: nothing new since it was last read", path=log.name))
            return
        if not reader.recognised:
            raise InputError(
                worded("{place}: {words}", place=log.name, words=reader.refusal) if reader.refusal else self._not_recognised(log)
            )
        if reader.year_evidence:
            self.summary.notes.append(
                worded("{path}: its stamps have no year; the last was taken for {year}", path=log.name, year=reader.year_evidence)
            )

    def _not_recognised(self, log: Log) -> str:
        kinds = ", ".join(kind.title for kind in self._reading.kinds)
        if _in_utf_16(log.head):
            return worded(
                "{path}: is UTF-16; convert it, with iconv -f UTF-16 -t UTF-8, or write it with PowerShell's Out-File -Encoding utf8",
                path=log.name,
            )
        if b"\0" in log.head and made_of_lines(log.head):
            return worded("{path}: is a binary file, not a log; name the mail server's log, for example /var/log/mail.log", path=log.name)
        if TABLE.match(log.head):
            known = "; ".join(f"{kind.columns} ({kind.title})" for kind in self._reading.kinds if kind.columns)
            return worded(
                "{path}: is a table without the columns that are looked for: {known}; export it from a portal in English, with commas",
                path=log.name,
                known=known,
            )
        messages = MESSAGES.match(log.head)
        if messages and Envelope().split(messages[0]) is None:
            return worded(
                "{path}: its messages do not say which program logged them; let the JSON tell it, as programname, _program (GELF) "
                "or process.name (ECS)",
                path=log.name,
            )
        return worded(
            "{path}: no line of a known kind of log ({kinds}); name the mail server's log, for example /var/log/mail.log",
            path=log.name,
            kinds=kinds,
        )

    def commit(self, changes: Changes, log: Log, reader: LogReader, place: Place | None) -> None:
        """Apply what was read, with the place where reading stopped, in one transaction; without a place it has not."""
        summary = self.summary
        summary.counted += len(changes.counted)
        summary.unread.update(entry.reason for entry in changes.unread)
        summary.future += changes.after(self._now + DAY)
        remembered, positions = [], []
        if place is not None:
            remembered = reader.remember()
            self._kept |= by_server(remembered)
            evidence = self._reading.evidence(reader, self._kept)
            if place.offset:
                positions.append(position(log.head, place.offset, place.before, log.path, self._reading.text, evidence))
        self._committing.submit(partial(self._made, changes, log, remembered, positions))

    def _made(self, changes: Changes, log: Log, remembered: list[Remembered], positions: list[Position]) -> Commit:
        commit = self._names.apply(changes)
        state_report(commit, log.path, log.head)
        commit.remembered += remembered
        commit.positions += positions
        return commit

    def settle(self) -> None:
        """Wait until all that was read is safe."""
        self._committing.settle()

    def _count_applied(self, applied: Applied) -> None:
        summary = self.summary
        summary.revised += applied.revised
        summary.unchanged += applied.unchanged
        summary.outcomes.update(applied.outcomes)

    def count(self, lines: int, other: int) -> None:
        """Lines read, and of these lines that are not about submission."""
        self.summary.lines += lines
        self.summary.other += other

    def show(self, log: Log) -> None:
        """Tell how far reading got."""
        self._progress(log.name, log.done, log.size)


class _Run:
    """One file on its way through the sources."""

    def __init__(self, log: Log, reader: LogReader, ingest: Ingest) -> None:
        self._log = log
        self._reader = reader
        self._ingest = ingest
        self._changes = Changes()
        self._bytes = 0
        self._place = log.place
        self._shown = 0.0
        self.lines = 0

    def batches(self) -> InputError | None:
        """Read all; the error of a damaged file is given back when what came before it is safe."""
        log, ingest = self._log, self._ingest
        damage = None
        try:
            for batch, place, looked in self._looked_at():
                self._feed(batch, looked)
                self._place = place
                if self._changes.size >= ROWS_A_COMMIT or self._bytes >= self._due():
                    self._commit()
        except InputError as error:
            damage = error
        if not log.live:
            self._end()
        self._commit()
        if log.live:
            self._end()
        self._changes.take(self._reader.finish())
        ingest.commit(self._changes, log, self._reader, None)
        ingest.settle()
        ingest.show(log)
        return damage

    def _due(self) -> int:
        """Bytes that are to be committed. Nothing is read beside the last commit, so towards the end they become fewer."""
        size = self._log.size
        left = BYTES_A_COMMIT if size is None else size - self._log.done
        return max(FEWEST_BYTES, min(left, BYTES_A_COMMIT))

    def _looked_at(self) -> Iterator[tuple[Batch, Place, object]]:
        """Each batch, where it ends, and what was seen in it; another thread takes and looks at the next while one is read."""
        batches = self._log.views()
        with ThreadPoolExecutor(1, "look") as thread:
            coming = thread.submit(self._look, batches)
            while (looked := coming.result()) is not None:
                coming = thread.submit(self._look, batches)
                yield looked

    def _look(self, batches: Iterator[memoryview]) -> tuple[Batch, Place, object] | None:
        view = next(batches, None)
        if view is None:
            return None
        batch = view if self._reader.sifts else bytes(view)
        return batch, self._log.place, self._reader.look(batch)

    def _end(self) -> None:
        """What stands behind the last whole line; of a file that may grow it is read anew when there is more."""
        if self._log.tail or self._reader.holds:
            self._feed(self._log.tail, last=True)

    def _feed(self, batch: Batch, looked: object = NOT_LOOKED, *, last: bool = False) -> None:
        self._bytes += len(batch)
        found = self._reader.feed(batch, looked, last=last)
        self._changes.take(found)
        self.lines += found.lines
        self._ingest.count(found.lines, found.other)
        if clocks.monotonic() - self._shown > 0.1:
            self._shown = clocks.monotonic()
            self._ingest.show(self._log)

    def _commit(self) -> None:
        if self._changes.lines or self._changes.size:
            self._ingest.commit(self._changes, self._log, self._reader, self._place)
        self._changes = Changes()
        self._bytes = 0


def _in_utf_16(head: bytes) -> bool:
    """Whether a file begins as text in UTF-16, with a byte order mark or without: nearly every other byte is 0."""
    even, odd = head[0:512:2].count(0), head[1:512:2].count(0)
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or 10 * max(even, odd) > 9 * (len(head[:512]) // 2) > 100 * min(even, odd)
