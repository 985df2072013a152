"""
Postfix 2.2 to 3.11: submissions from the lines of smtpd, cleanup and qmgr.

    connect from desk11.contoso.example[192.0.2.10]
    Anonymous TLS connection established from desk11.contoso.example[192.0.2.10]: TLSv1.3 with cipher …
    1493522C8A9: client=desk11.contoso.example[192.0.2.10], sasl_method=PLAIN, sasl_username=anna
    1493522C8A9: from=<anna@contoso.example>, size=2416, nrcpt=1 (queue active)          here the message is accepted
    disconnect from desk11.contoso.example[192.0.2.10] ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8

Most lines of a log say nothing about submission. They are passed over by their first characters, before any
expression and before their stamp is read; of a session that never tried to sign in nothing is kept.

What goes wrong
    A line that begins like one of ours and matches no expression is Unread. A session without an end gives its rows
    when its process meets the next client, at the end of the file, or after a day of log time.

See also
    postfix_lines.py for the lines, postfix_sessions.py for what belongs together, postfix_rows.py for the rows;
    docs/sources.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from smtp_auth_report.changes import Changes, Gap, Remembered, Unread
from smtp_auth_report.moments import DAY
from smtp_auth_report.sources import postfix_lines as lines
from smtp_auth_report.sources.envelope import LONGEST, LONGEST_MESSAGE, SOLARIS, Envelope, Parts, origin
from smtp_auth_report.sources.interface import NOT_LOOKED, Options
from smtp_auth_report.sources.masking import masked
from smtp_auth_report.sources.postfix_join import Join
from smtp_auth_report.sources.postfix_rows import accounts
from smtp_auth_report.sources.postfix_sessions import Process, Server, Session
from smtp_auth_report.sources.postfix_sieve import Sieve
from smtp_auth_report.sources.stamps import Clock

if TYPE_CHECKING:
    from smtp_auth_report.sources.postfix_scan import Scan

PROCESSES = 200_000
WORTH_SIFTING = 1 << 16
"""Bytes of a batch from which on the sieve is faster than reading every line."""

STRAGGLER = 2_000_000

_CLIENT = re.compile(rb"\[([0-9A-Fa-f.:]+)\]")
# unknown[192.0.2.1]: SASL LOGIN authentication failed: …     where the envelope keeps "warning" elsewhere
_BARE_FAILURE = re.compile(rb"[^\s\[\]]*\[[0-9A-Za-z.:%]+\](?::(?:\d+|unknown))?: SASL ")
# Nov 23 16:06:09 mail last message repeated 3 times
LAST_REPEATED = re.compile(rb"(?:<\d+>)?(?:[A-Z][a-z]{2} +\d+ [\d:.]+|\d{4}-\d\d-\S+) \S+ last message repeated (\d{1,6}) times?\s*$")
# Nov 23 16:06:09 mail syslogd: last message repeated 3 times
SAYS_REPEATED = re.compile(rb"last message repeated (\d{1,6}) times?\s*$")
# imuxsock lost 120 messages from pid 81 due to rate-limiting
# imuxsock[pid 81]: begin to drop messages due to rate-limiting
# Suppressed 120 messages from postfix@-.service
LOST = re.compile(
    rb"imuxsock.* lost (\d{1,12}) messages from pid \d+ due to rate-limiting|Suppressed (\d{1,12}) messages from \S*postfix|"
    rb"imuxsock.*begin to drop messages due to rate-limiting"
)
# Nov 23 16:06:06 mail postfix/smtpd[643]: 4fXyzb3nQkz1J0N: client=…
LONG_CLIENT = re.compile(rb"^[^\n]{10,200}: [0-9A-Za-z]{10}z[0-9A-Za-z]+: client=", re.MULTILINE)

_TLS_WORDS = (b"Anon", b"Untr", b"Trus", b"Veri", b"TLS ")
_ACTION_WORDS = (b"reje", b"milt", b"info", b"disc", b"hold", b"perm", b"filt", b"redi", b"warn", b"prep", b"repl")
_RARE_WORDS = (b"imux", b"Supp", b"[ID ", b"last")

NO_SESSION = (
    "no authenticated session: Postfix logs the account (sasl_username=) when a client signs in on a service with "
    "smtpd_sasl_auth_enable = yes; check that this is the log of such a service"
)
NO_TLS = "no TLS version: set smtpd_tls_loglevel = 1 in main.cf and reload Postfix; sessions from then on will show theirs"


class PostfixSource:
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "postfix"
    title: ClassVar[str] = "Postfix"

    def __init__(self, options: Options) -> None:
        self.recognised = 0
        self._options = options
        self._envelope = Envelope()
        self._join = join = Join(Clock(options), self.name)
        self._processes: dict[bytes, Process | None] = {}  # by how the envelope writes it; facilities make several of one
        self._by_key: dict[tuple[str, str], Process] = {}
        self._sieve = Sieve(self._shows_starttls, join, self._known_server)
        self._previous: Parts | None = None  # of the last line that has them
        self._month = b""  # first letters of its stamp: every month is told to the clock, so that no year is missed
        self._servers: dict[str, Server] = {}
        self._recalled: dict[str, Remembered] = {}
        self._swept = 0
        self._heads: dict[bytes, Callable[[Process, bytes, bytes], None]] = {
            b"conn": join.connect,
            b"disc": join.disconnect,
            b"warn": join.warning,
            b"SSL_": join.handshake,
            b"prox": join.proxy,
            b"reje": join.refused,
            b"milt": join.refused,
            b"mess": join.repeated,
            b"lost": join.lost,
            b"time": join.lost,
            **dict.fromkeys(_TLS_WORDS, join.tls),
            **dict.fromkeys(_RARE_WORDS, join.nothing),
        }
        self._actions: dict[bytes, Callable[[Process, bytes, bytes, bytes], None]] = {
            b"clie": join.client,
            b"from": join.active,
            b"mess": join.message_id,
            b"uid=": join.reused,
            **dict.fromkeys(_ACTION_WORDS, join.action),
        }

    @property
    def year(self) -> int:
        """Year of the next stamp that lacks one."""
        return self._join.clock.year

    @property
    def year_evidence(self) -> str:
        """Of the clock."""
        return self._join.clock.year_evidence

    def settle(self, sample: list[bytes], start: bytes) -> int:
        """A long queue id in the first block tells year and zone, else the sample does."""
        clock, split = self._join.clock, Envelope().split
        clock.settle(sample, self._options.reference or self._options.now)
        for found in LONG_CLIENT.finditer(start):
            parts = split(found[0])
            if parts:
                clock.evidence(parts[0], parts[2].partition(b":")[0])
                break
        first = next((parts for parts in map(split, [*start[:LONGEST].split(b"\n"), *sample]) if parts), None)
        return (clock.at(first[0]) or 0) if first else 0

    def recall(self, remembered: Iterable[Remembered]) -> None:
        """Sessions of older files, by host; taken over when the first line of the host is not older."""
        self._recalled = {entry.server: entry for entry in remembered}
        for entry in self._recalled.values():
            self._join.pending.update(list(Server.load(entry.server, entry.newest, json.loads(entry.sessions)).pending))

    def look(self, batch: bytes) -> Scan | None:
        """What can be told of a batch by its bytes."""
        if len(batch) >= WORTH_SIFTING:
            return self._sieve.look(batch)
        self._sieve.forget()
        return None

    def feed(self, batch: bytes, looked: object = NOT_LOOKED) -> Changes:
        """Read whole lines."""
        join = self._join
        changes = join.changes = Changes()
        about = join.about
        scan = self.look(batch) if looked is NOT_LOOKED else cast("Scan | None", looked)
        self.recognised = max(self.recognised, self._sieve.recognised)
        sifted = self._sieve.sift(scan, join.pending, filtered=join.filtered) if scan else None
        if sifted:
            changes.lines = sifted.total
            self._read(sifted.lines)
            join.about += sifted.tls
            join.tls_lines += sifted.tls
            self._end_of_batch(sifted.end)
        else:
            found = self._split(batch)
            changes.lines = len(found)
            if found and len(max(found, key=len)) > LONGEST_MESSAGE:
                found = self._without_long(found)
            self._read(found)
            self._end_of_batch(found[-50:])
        changes.other = changes.lines - (join.about - about) - len(changes.unread)
        return changes

    @staticmethod
    def _split(batch: bytes) -> list[bytes]:
        found = batch.split(b"\n")
        if found[-1] == b"":
            found.pop()
        return found

    def _known_server(self, host: str | None) -> Server | None:
        return self._servers.get(host or self._options.server)

    def _shows_starttls(self, host: str | None, tag: str) -> bool:
        server = self._known_server(host)
        door = server.doors.get(tag) if server else None
        return door is not None and door.starttls

    def _read(self, found: Sequence[bytes | Parts]) -> None:
        split, heads, actions, processes = self._envelope.split, self._heads, self._actions, self._processes
        join, pending = self._join, self._join.pending
        previous, month = self._previous, self._month
        for line in found:
            parts = line if isinstance(line, tuple) else split(line)
            if parts is None:
                assert isinstance(line, bytes)
                self._no_envelope(line, previous)
                continue
            stamp, raw, message = parts
            if stamp[:3] != month:
                month = stamp[:3]
                join.clock.at(stamp)
            handle = heads.get(message[:4])
            if handle is not None:
                process = processes.get(raw) or self._process(raw, stamp)
                if process is None or message[:4] in _RARE_WORDS:
                    self._rare(stamp, raw, message, previous)
                else:
                    handle(process if process.pid else self._by_client(process, message), stamp, message.rstrip())
            else:
                colon = message.find(b": ", 5, 32)
                act = actions.get(message[colon + 2 : colon + 6]) if colon > 0 else None
                if act is not None:
                    queue_id = message[:colon]
                    if queue_id in pending or b"sasl_" in message or queue_id == b"NOQUEUE" or join.filtered:
                        process = processes.get(raw) or self._process(raw, stamp)
                        if process is not None:
                            act(process if process.pid else self._by_client(process, message), stamp, message.rstrip(), queue_id)
                elif b": SASL " in message and _BARE_FAILURE.match(message):
                    process = processes.get(raw) or self._process(raw, stamp)
                    if process is not None:
                        join.failure(process if process.pid else self._by_client(process, message), stamp, message.rstrip())
                if not self.recognised:
                    self._process(raw, stamp)
            previous = parts
        self._previous, self._month = previous, month

    def finish(self) -> Changes:
        """Rows of sessions that have not ended; what may still follow keeps them open."""
        changes = self._join.changes = Changes()
        for process, session in self._serving():
            self._join.give_open(process.server, session)
        for server in self._servers.values():
            for session in server.open.values():
                self._join.give_open(server, session)
        return changes

    def remember(self) -> list[Remembered]:
        """Open sessions of each host. A host that older lines only were read of keeps what was remembered before."""
        kept = []
        for host, server in self._servers.items():
            recalled = self._recalled.get(host)
            if recalled is None or server.newest >= recalled.newest:
                now_open = {process.key: session for process, session in self._serving() if process.server is server}
                kept.append(Remembered(self.name, host, server.newest, json.dumps(server.dump(now_open), separators=(",", ":"))))
        return kept

    @staticmethod
    def without(remembered: Remembered, account: str) -> Remembered:
        """See `Source`."""
        server = Server.load(remembered.server, remembered.newest, json.loads(remembered.sessions))
        name = account.casefold()
        sender = b"from=<%b>" % name.encode("utf-8", "surrogateescape")
        server.forget(lambda session: name in accounts(session), lambda line: sender in line.lower())
        return remembered._replace(sessions=json.dumps(server.dump({}), separators=(",", ":")))

    def _serving(self) -> list[tuple[Process, Session]]:
        return [(process, process.session) for process in self._by_key.values() if process.session is not None]

    def advice(self) -> list[str]:
        """Settings whose lack shows in this log."""
        if not self._join.signed_in:
            return [NO_SESSION]
        return [] if self._join.tls_lines else [NO_TLS]

    def _process(self, raw: bytes, stamp: bytes) -> Process | None:
        """The process behind an origin; None for another program."""
        if raw in self._processes:
            return None
        where = origin(raw)
        tag = lines.tag(where.tag) if where else None
        if where is None or tag is None:
            self._processes[raw] = None
            return None
        self.recognised += 1
        server = self._server(where.host or self._options.server, stamp)
        key = f"{where.tag}[{where.pid or ''}"
        process = self._by_key.get((server.host, key))
        if process is None:
            process = self._by_key[server.host, key] = Process(server, server.door(where.tag, tag), key, where.pid or "")
        self._processes[raw] = process
        return process

    def _by_client(self, process: Process, message: bytes) -> Process:
        """A tag that was cut has no pid: its sessions are told apart by the client's address."""
        client = _CLIENT.search(message)
        if client is None or process.daemon not in {"smtpd", ""}:
            return process
        key = f"{process.key} {client[1].decode()}"
        found = self._by_key.get((process.server.host, key))
        if found is None:
            found = self._by_key[process.server.host, key] = Process(process.server, process.door, key, "")
        return found

    def _server(self, host: str, stamp: bytes) -> Server:
        server = self._servers.get(host)
        if server is None:
            recalled = self._recalled.get(host)
            time = self._join.clock.at(stamp)
            if recalled is not None and time is not None and time >= recalled.newest - STRAGGLER:
                server = Server.load(host, recalled.newest, json.loads(recalled.sessions))
                self._join.pending.update(list(server.pending))
                self._join.filtered = self._join.filtered or server.filtered
            else:
                server = Server(host)
            self._servers[host] = server
        return server

    def _rare(self, stamp: bytes, raw: bytes, message: bytes, previous: Parts | None) -> None:
        """Solaris puts an id between tag and text; other programs say when lines were lost or repeated."""
        rest = SOLARIS.sub(b"", message, count=1) if message.startswith(b"[ID ") else message
        if rest != message:
            self._read([(stamp, raw, rest)])
            return
        repeated = SAYS_REPEATED.match(message)
        if repeated:
            self._repeat(previous, int(repeated[1]))
            return
        lost = LOST.match(message)
        if lost:
            where = origin(raw)
            number = lost[1] or lost[2]
            host = (where.host if where else None) or self._options.server
            self._join.changes.gaps.append(Gap(host, self._join.clock.at(stamp) or 0, "rate_limit", int(number) if number else None))

    def _without_long(self, found: list[bytes]) -> list[bytes]:
        """Lines that fit: containers may pack much around a message, and may split it."""
        kept = []
        for line in found:
            parts = Envelope().split(line) if LONGEST_MESSAGE < len(line) <= LONGEST else None
            if len(line) <= LONGEST and (parts is None or len(parts[2]) <= LONGEST_MESSAGE):
                kept.append(line)
        entry = Unread(self.name, self._options.server, "line longer than 8 KiB", self._newest(), "")
        self._join.changes.unread += [entry] * (len(found) - len(kept))
        return kept

    def _no_envelope(self, line: bytes, previous: Parts | None) -> None:
        repeated = LAST_REPEATED.match(line)
        if repeated:
            self._repeat(previous, int(repeated[1]))
        elif b"sasl_username=" in line or (b": SASL " in line and b"authentication failed" in line):
            reason = "stamp, host or program not understood"
            before = self._join.clock.at(previous[0]) if previous else None
            self._join.changes.unread.append(Unread(self.name, self._options.server, reason, before or self._newest(), masked(line)))

    def _repeat(self, parts: Parts | None, times: int) -> None:
        process = self._processes.get(parts[1]) if parts else None
        if parts and process is not None and b": SASL " in parts[2]:
            process = process if process.pid else self._by_client(process, parts[2])
            self._join.repeat(process, parts[0], SOLARIS.sub(b"", parts[2].rstrip(), count=1), times)

    def _newest(self) -> int:
        return max((server.newest for server in self._servers.values()), default=self._options.now)

    def _end_of_batch(self, end: list[bytes]) -> None:
        """The time of the newest line; then what has grown old goes."""
        last = list(filter(None, map(Envelope().split, reversed(end))))
        if last:
            self._previous = last[0]
        for stamp, raw, _ in last:
            process = self._processes.get(raw) or self._process(raw, stamp)
            if process is not None:
                self._join.time(process.server, stamp)
                break
        for server in self._servers.values():
            self._join.changes.newest[server.host] = server.newest
        if len(self._processes) > PROCESSES:
            serving = {(process.server.host, process.key): process for process, _ in self._serving()}
            self._processes.clear()
            self._by_key.clear()
            self._by_key.update(serving)
        if self._newest() - self._swept > DAY // 24:
            self._swept = self._newest()
            for process, _ in self._serving():
                self._join.sweep_process(process)
            for server in self._servers.values():
                self._join.sweep(server)
