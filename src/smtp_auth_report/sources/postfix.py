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

from smtp_auth_report.changes import Remembered
from smtp_auth_report.sources import postfix_lines as lines
from smtp_auth_report.sources.envelope import Parts, origin
from smtp_auth_report.sources.interface import Batch, Remedy, Source
from smtp_auth_report.sources.logbook import Logbook
from smtp_auth_report.sources.postfix_join import Join
from smtp_auth_report.sources.postfix_rows import accounts
from smtp_auth_report.sources.postfix_sessions import Process, Server, Session
from smtp_auth_report.sources.postfix_sieve import Sieve, Sifted
from smtp_auth_report.submission import Submission
from smtp_auth_report.words import marked

if TYPE_CHECKING:
    from smtp_auth_report.sources.postfix_scan import Scan

PROCESSES = 200_000
WORTH_SIFTING = 1 << 16
"""Bytes of a batch from which on the sieve is faster than reading every line."""

_CLIENT = re.compile(rb"\[([0-9A-Fa-f.:]+)\]")
# unknown[192.0.2.1]: SASL LOGIN authentication failed: …     where the envelope keeps "warning" elsewhere
_BARE_FAILURE = re.compile(rb"[^\s\[\]]*\[[0-9A-Za-z.:%]+\](?::(?:\d+|unknown))?: SASL ")

_KEY = re.compile(r"(.*)\[(\d{1,10})")  # of a process: postfix/smtpd[643
_TLS_WORDS = (b"Anon", b"Untr", b"Trus", b"Veri", b"TLS ")
_ACTION_WORDS = (b"reje", b"milt", b"info", b"disc", b"hold", b"perm", b"filt", b"redi", b"warn", b"prep", b"repl")


class PostfixSource(Source):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "postfix"
    title: ClassVar[str] = "Postfix"
    versions: ClassVar[str] = "2.2 to 3.11"
    sample: ClassVar[str] = "postfix/smtpd[643]: 1493522C8A9: client=pc.example[192.0.2.10], sasl_method=PLAIN, sasl_username=anna"
    tells: ClassVar[frozenset[str]] = frozenset(Submission._fields)
    reasons: ClassVar[tuple[str, ...]] = lines.REASONS
    # Of whom a proxy vouches for (XCLIENT) Postfix has neither mechanism nor TLS nor port, whatever it is set to log
    remedies: ClassVar[tuple[Remedy, ...]] = (
        Remedy(
            "sessions",
            "smtpd_sasl_auth_enable = yes",
            "main.cf, or -o in master.cf for the submission services; then postfix reload",
            "clients can sign in here; if they do already, another log is theirs",
        ),
        Remedy(
            "tls_version",
            "smtpd_tls_loglevel = 1",
            "main.cf; then postfix reload",
            "the TLS version and cipher of every session",
            needs_mechanism=True,
        ),
        Remedy(
            "service",
            "-o syslog_name=postfix/submission",
            "master.cf, for the service submission, and postfix/submissions for submissions or smtps; then postfix reload",
            "which port a client uses",
            needs_mechanism=True,
        ),
        Remedy(
            "helo",
            "smtpd_log_access_permit_actions = permit_sasl_authenticated",
            "main.cf (2.10 and newer); then postfix reload",
            "the name a device gives of itself, by one more line for each recipient",
        ),
        Remedy(
            "failed_account",
            marked("Postfix 3.9 or newer"),
            "an upgrade: older versions do not log the name",
            "which accounts are attacked",
            before=(3, 9),
        ),
    )

    def __init__(self, log: Logbook) -> None:
        self.recognised = 0
        self._log = log
        self._join = join = Join(log, self.name)
        self._processes: dict[bytes, Process] = {}  # by how the envelope writes it; facilities make several of one
        self._by_key: dict[tuple[str, str], Process] = {}
        self._sieve = Sieve(self._shows_starttls, join, self._known_server)
        self._servers: dict[str, Server] = {}
        self._recalled: dict[str, Remembered] = {}
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
            b"daem": self._started,
            b"relo": self._started,
            **dict.fromkeys(_TLS_WORDS, join.tls),
        }
        self._actions: dict[bytes, Callable[[Process, bytes, bytes, bytes], None]] = {
            b"clie": join.client,
            b"from": join.active,
            b"mess": join.message_id,
            b"uid=": join.picked_up,
            **dict.fromkeys(_ACTION_WORDS, join.action),
        }

    @staticmethod
    def owns(tag: str) -> bool:
        """Whether a program of this name is Postfix's."""
        return lines.tag(tag) is not None

    def recall(self, remembered: Iterable[Remembered]) -> None:
        """Sessions of older files, by host; taken over when the first line of the host is not older."""
        self._recalled = {entry.server: entry for entry in remembered}
        for entry in self._recalled.values():
            server = Server.load(entry.server, entry.newest, json.loads(entry.sessions))
            self._join.pending.update(list(server.pending))
            self._sieve.reopen((found[1], found[2]) for found in map(_KEY.fullmatch, server.open) if found)

    def look(self, batch: Batch, owned: Callable[[str], bytes | None]) -> Scan | None:
        """What can be told of a batch by its bytes. Lines of programs that are another source's are kept for it (see sieve)."""
        if len(batch) >= WORTH_SIFTING:
            return self._sieve.look(batch, owned)
        self._sieve.forget()
        return None

    def sift(self, looked: object) -> Sifted:
        """Those lines of a batch that are to be read; what the others bring about is done."""
        join = self._join
        self.recognised = max(self.recognised, self._sieve.recognised)
        sifted = self._sieve.sift(cast("Scan", looked), join.pending, filtered=join.filtered)
        join.log.about += sifted.tls
        return sifted

    def _known_server(self, host: str | None) -> Server | None:
        return self._servers.get(host or self._log.options.server)

    def _shows_starttls(self, host: str | None, tag: str) -> bool:
        server = self._known_server(host)
        door = server.doors.get(tag) if server else None
        return door is not None and door.starttls

    def read(self, found: Sequence[Parts]) -> None:
        """Read lines of Postfix's programs."""
        heads, actions, processes = self._heads, self._actions, self._processes
        join, pending = self._join, self._join.pending
        self.recognised = self.recognised or len(found)
        for stamp, raw, message in found:
            handle = heads.get(message[:4])
            if handle is not None:
                process = processes.get(raw) or self._process(raw, stamp)
                handle(process if process.pid else self._by_client(process, message), stamp, message.rstrip())
                continue
            colon = message.find(b": ", 5, 32)
            act = actions.get(message[colon + 2 : colon + 6]) if colon > 0 else None
            if act is not None:
                queue_id = message[:colon]
                if queue_id in pending or b"sasl_" in message or queue_id == b"NOQUEUE" or b" orig_id=" in message or join.filtered:
                    process = processes.get(raw) or self._process(raw, stamp)
                    act(process if process.pid else self._by_client(process, message), stamp, message.rstrip(), queue_id)
            elif b": SASL " in message and _BARE_FAILURE.match(message):
                process = processes.get(raw) or self._process(raw, stamp)
                join.failure(process if process.pid else self._by_client(process, message), stamp, message.rstrip())

    def _started(self, process: Process, _stamp: bytes, message: bytes) -> None:
        found = lines.STARTED.match(message)
        if found and process.daemon == "master":
            self._log.version(self.name, process.server.host, lines.text(found["version"]) or "")

    def repeat(self, line: Parts, times: int) -> None:
        """A failed sign-in came so many times more."""
        stamp, raw, message = line
        if b": SASL " in message:
            process = self._processes.get(raw) or self._process(raw, stamp)
            process = process if process.pid else self._by_client(process, message)
            self._join.repeat(process, stamp, message.rstrip(), times)

    def finish(self) -> None:
        """Rows of sessions that have not ended; what may still follow keeps them open."""
        for process, session in self._serving():
            self._join.give_open(process.server, session)
        for server in self._servers.values():
            for session in server.open.values():
                self._join.give_open(server, session)

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

    def _process(self, raw: bytes, stamp: bytes) -> Process:
        """The process behind an origin."""
        where = origin(raw)
        tag = lines.tag(where.tag) if where else None
        assert where is not None
        assert tag is not None, "a line is given to the source that owns its tag"
        server = self._server(where.host or self._log.options.server, stamp)
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
            time = self._log.clock.at(stamp)
            if recalled is not None and self._log.take_over(recalled, time):
                server = Server.load(host, recalled.newest, json.loads(recalled.sessions))
                self._join.pending.update(list(server.pending))
                self._join.filtered = self._join.filtered or server.filtered
            else:
                server = Server(host)
            self._servers[host] = server
        return server

    def passed(self, host: str, stamp: bytes) -> None:
        """The time of the newest line."""
        self._join.time(self._server(host, stamp), stamp)
        for server in self._servers.values():
            self._log.changes.newest[server.host] = server.newest
        if len(self._processes) > PROCESSES:
            serving = {(process.server.host, process.key): process for process, _ in self._serving()}
            self._processes.clear()
            self._by_key.clear()
            self._by_key.update(serving)

    def sweep(self, _now: int) -> None:
        """Give up what has been open for a day of its host's time."""
        for process, _ in self._serving():
            self._join.sweep_process(process)
        for server in self._servers.values():
            self._join.sweep(server)
