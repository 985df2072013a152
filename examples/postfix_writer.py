"""
How Postfix logs what passes through it: sessions in, log lines out.

    server = Server(random.Random(1), release="3.9")
    for time, text in server.log(session): ...        microseconds UTC, and the line after stamp and host
    outcomes(session)                                 what a reader of these lines must find

Sessions must come in the order of their start: a process serves one client at a time, then the next one, and its
process id is used again after it has gone. Shapes follow what Postfix 3.7 and 3.9 write with smtpd_tls_loglevel = 1.

Used by
    demo.py, which writes thirteen months of a small site, and bench/ingest.py, which writes gigabytes of a large one
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

SECOND = 1_000_000
MAX_USE = 100  # clients that one process serves, postconf(5) max_use
MAX_IDLE = 100 * SECOND  # postconf(5) max_idle
LARGEST_PID = 32_768
FREE_INODES = 400

BASE_51 = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxy"
BASE_52 = BASE_51 + "z"

TLS = {
    "TLSv1": "TLSv1 with cipher ECDHE-RSA-AES256-SHA (256/256 bits)",
    "TLSv1.1": "TLSv1.1 with cipher ECDHE-RSA-AES256-SHA (256/256 bits)",
    "TLSv1.2": "TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)",
    "TLSv1.3": "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519"
    " server-signature RSA-PSS (2048 bits) server-digest SHA256",
}
"""How the end of the TLS line reads for each version that was negotiated."""

HANDSHAKE_FAILED = "failed"

COUNTED = ("ehlo", "starttls", "auth", "mail", "rcpt", "data", "rset", "quit")
"""Commands in the order of the disconnect line."""

TROUBLE = (
    "error:0A000102:SSL routines::unsupported protocol:../ssl/statem/statem_srvr.c:1657:",
    "error:0A0000C1:SSL routines::no shared cipher:../ssl/statem/statem_srvr.c:2226:",
    "error:0A000412:SSL routines::sslv3 alert bad certificate:../ssl/record/rec_layer_s3.c:1592:SSL alert number 42:",
)

Line = tuple[int, str]


class Client(NamedTuple):
    """Who connects: reverse name, address, and the name it gives with EHLO."""

    name: str
    address: str
    helo: str


class Message(NamedTuple):
    """One mail transaction."""

    sender: str
    recipients: tuple[str, ...]
    size: int
    refused: tuple[str, ...] = ()  # replies to further recipients, each with <> where the address belongs
    sent: bool = True  # False: the connection breaks while the content is sent

    @property
    def accepted(self) -> bool:
        return bool(self.recipients) and self.sent


@dataclass(frozen=True, slots=True)
class Session:
    """One connection. Without a `method` nobody signs in; `failures` are names whose password was refused before."""

    start: int  # microseconds UTC
    service: str  # "submission", "smtps", or "" for port 25
    client: Client
    tls: str = ""  # a key of TLS, HANDSHAKE_FAILED, or "" for cleartext
    method: str = ""
    account: str = ""
    failures: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    ending: str = "QUIT"  # or the stage after which the connection is lost


def outcomes(session: Session) -> Counter[str]:
    """Rows by outcome that the lines of this session stand for."""
    found: Counter[str] = Counter()
    if session.service and session.tls == HANDSHAKE_FAILED:
        found["tls_failed"] += 1
    found["auth_failed"] += len(session.failures)
    if session.method:
        accepted = sum(message.accepted for message in session.messages)
        rejected = sum(not message.recipients for message in session.messages)
        found["accepted"] += accepted
        found["rejected"] += rejected
        found["no_mail"] += not accepted and not rejected
    return +found


class Processes:
    """Daemons of one kind: each serves one client at a time, and many in turn."""

    def __init__(self, next_pid: Iterator[int]) -> None:
        self._next_pid = next_pid
        self._idle: list[tuple[int, int, int]] = []  # free since, pid, clients served

    def take(self, now: int) -> tuple[int, int]:
        """Process id, and how many clients it has served."""
        while self._idle and self._idle[0][0] <= now:
            free_since, pid, served = heapq.heappop(self._idle)
            if now - free_since < MAX_IDLE and served < MAX_USE:
                return pid, served
        return next(self._next_pid), 0

    def give_back(self, process: tuple[int, int], now: int) -> None:
        heapq.heappush(self._idle, (now, process[0], process[1] + 1))


@dataclass(slots=True)
class Server:
    """One Postfix instance. `release` is "3.7" (short queue ids) or "3.9" (long ones, and HELO names by permit lines)."""

    rng: random.Random
    release: str = "3.9"
    domains: frozenset[str] = frozenset()  # delivered here; mail for others is relayed
    log_permits: bool = False
    _pids: Iterator[int] = field(init=False)
    _processes: dict[str, Processes] = field(init=False, default_factory=dict)
    _queue_manager: int = field(init=False)

    def __post_init__(self) -> None:
        self._pids = self._count_pids()
        self._queue_manager = next(self._pids)

    def _count_pids(self) -> Iterator[int]:
        pid = self.rng.randrange(600, 2000)
        while True:
            yield pid
            pid += self.rng.randrange(1, 60)
            if pid > LARGEST_PID:
                pid = self.rng.randrange(600, 2000)

    def started(self, time: int) -> list[Line]:
        """The lines of a start or upgrade."""
        version = {"3.7": "3.7.11", "3.9": "3.9.1"}[self.release]
        return [
            (time, f"postfix/postfix-script[{next(self._pids)}]: starting the Postfix mail system"),
            (time + 20_000, f"postfix/master[{next(self._pids)}]: daemon started -- version {version}, configuration /etc/postfix"),
        ]

    def log(self, session: Session) -> list[Line]:
        """Lines of one session and of the delivery of its messages, by time but for the deliveries."""
        return _Conversation(self, session).lines()

    def queue_id(self, time: int) -> str:
        """Id of a queue file, as Postfix makes it from the time and an inode."""
        inode = 0x22C000 + self.rng.randrange(FREE_INODES)
        seconds, micros = divmod(time, SECOND)
        if self.release == "3.7":
            return f"{micros:05X}{inode:X}"
        return f"{_in_base(seconds, BASE_52, 6)}{_in_base(micros, BASE_52, 4)}z{_in_base(inode, BASE_51, 0)}"

    def process(self, daemon: str) -> Processes:
        found = self._processes.get(daemon)
        if found is None:
            found = self._processes[daemon] = Processes(self._pids)
        return found

    def once(self, daemon: str, now: int, busy: int) -> str:
        """Tag of a daemon that does one thing and is free again after `busy` microseconds."""
        processes = self.process(daemon)
        process = processes.take(now)
        processes.give_back(process, now + busy)
        return f"postfix/{daemon}[{process[0]}]: "

    @property
    def queue_manager(self) -> str:
        return f"postfix/qmgr[{self._queue_manager}]: "


def _in_base(number: int, alphabet: str, width: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, len(alphabet))
        digits = alphabet[digit] + digits
    return digits.rjust(width, "0")


class _Conversation:
    """The lines of one session while they are written."""

    def __init__(self, server: Server, session: Session) -> None:
        self.server = server
        self.session = session
        self.now = session.start
        self.peer = f"{session.client.name}[{session.client.address}]"
        self.good: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.out: list[Line] = []
        self.tag = ""

    def lines(self) -> list[Line]:
        daemon = f"{self.session.service}/smtpd" if self.session.service else "smtpd"
        processes = self.server.process(daemon)
        process = processes.take(self.now)
        self.tag = f"postfix/{daemon}[{process[0]}]: "
        self.say(f"connect from {self.peer}", 0)
        if self.greet():
            self.sign_in()
            for message in self.session.messages:
                self.submit(message)
        self.part()
        processes.give_back(process, self.now)
        return self.out

    def say(self, text: str, wait: int = 0) -> None:
        """Write a line of this smtpd, some milliseconds after the one before."""
        self.now += wait + 1 + self.server.rng.getrandbits(14)
        self.out.append((self.now, self.tag + text))

    def greet(self) -> bool:
        """EHLO and TLS; False when the handshake fails."""
        session = self.session
        wrapped = session.service == "smtps"
        if session.tls == HANDSHAKE_FAILED:
            self.say(f"SSL_accept error from {self.peer}: -1", 40_000)
            self.say(f"warning: TLS library problem: {self.server.rng.choice(TROUBLE)}")
            self.say(f"lost connection after {'CONNECT' if wrapped else 'STARTTLS'} from {self.peer}")
            if not wrapped:
                self.good["ehlo"] += 1
                self.bad["starttls"] += 1
            return False
        if session.tls:
            self.say(f"Anonymous TLS connection established from {self.peer}: {TLS[session.tls]}", 30_000)
            if not wrapped:
                self.good["ehlo"] += 1
                self.good["starttls"] += 1
        if session.ending not in {"CONNECT", "STARTTLS"}:
            self.good["ehlo"] += 1
        return True

    def sign_in(self) -> None:
        session = self.session
        for name in session.failures:
            self.bad["auth"] += 1
            told = f"(reason unavailable), sasl_username={name}" if self.server.release == "3.9" else "UGFzc3dvcmQ6"
            self.say(f"warning: {self.peer}: SASL LOGIN authentication failed: {told}", 2 * SECOND)
        if session.method:
            self.good["auth"] += 1
            self.now += 60_000

    def submit(self, message: Message) -> None:
        """One transaction: its recipients, its content, and what becomes of it."""
        self.good["mail"] += 1
        envelope = f"from=<{message.sender}> to=<{{}}> proto=ESMTP helo=<{self.session.client.helo}>"
        prefix = "NOQUEUE"
        for index, recipient in enumerate(message.recipients):
            self.good["rcpt"] += 1
            if self.server.log_permits and self.session.method:
                permit = f"{prefix}: permit: RCPT from {self.peer}: action=permit_sasl_authenticated for Client host={self.peer}; "
                self.say(permit + envelope.format(recipient))
            if not index:
                prefix = self.open_queue_file()
        for number, reply in enumerate(message.refused):
            self.bad["rcpt"] += 1
            address = f"no-such-user{number}@{message.sender.rpartition('@')[2]}"
            self.say(f"{prefix}: reject: RCPT from {self.peer}: {reply.replace('<>', f'<{address}>')}; {envelope.format(address)}")
        if not message.recipients:
            self.good["rset"] += 1
        elif message.sent:
            self.good["data"] += 1
            self.out.extend(self.deliver(message, prefix))
        else:
            self.bad["data"] += 1

    def open_queue_file(self) -> str:
        session = self.session
        self.now += 1 + self.server.rng.getrandbits(14)
        queue_id = self.server.queue_id(self.now)
        sasl = f", sasl_method={session.method}, sasl_username={session.account}" if session.method else ""
        self.out.append((self.now, f"{self.tag}{queue_id}: client={self.peer}{sasl}"))
        return queue_id

    def deliver(self, message: Message, queue_id: str) -> Iterator[Line]:
        """From cleanup to the last delivery; the session goes on meanwhile."""
        server, rng = self.server, self.server.rng
        opened = self.now
        self.now += 5000 + rng.getrandbits(17) + message.size // 20
        origin = message.sender.rpartition("@")[2] or "mail.contoso.example"
        cleanup, manager = server.once("cleanup", opened, self.now - opened), server.queue_manager
        yield self.now - 2000, f"{cleanup}{queue_id}: message-id=<{rng.getrandbits(64):016x}@{origin}>"
        recipients = len(message.recipients)
        yield self.now, f"{manager}{queue_id}: from=<{message.sender}>, size={message.size}, nrcpt={recipients} (queue active)"
        time = self.now
        for recipient in message.recipients:
            time += 4000 + rng.getrandbits(18)
            yield time, self.delivered(queue_id, recipient, time - opened)
        yield time + 900, f"{manager}{queue_id}: removed"
        self.now += 500

    def delivered(self, queue_id: str, recipient: str, delay: int) -> str:
        server, domain = self.server, recipient.rpartition("@")[2]
        if domain in server.domains:
            agent, relay = "lmtp", "mail.contoso.example[private/dovecot-lmtp]"
            reply = f"250 2.0.0 <{recipient}> {server.rng.getrandbits(80):020x} Saved"
        else:
            agent, relay = "smtp", f"mx.{domain}[192.0.2.{25 + len(domain)}]:25"
            reply = f"250 2.0.0 Ok: queued as {server.rng.getrandbits(40):010X}"
        tag = server.once(agent, self.now, delay)
        seconds = delay / SECOND
        delays = f"delay={seconds:.2g}, delays={seconds * 0.3:.2g}/0/{seconds * 0.3:.2g}/{seconds * 0.4:.2g}"
        return f"{tag}{queue_id}: to=<{recipient}>, relay={relay}, {delays}, dsn=2.0.0, status=sent ({reply})"

    def part(self) -> None:
        session = self.session
        if session.ending == "QUIT" and session.tls != HANDSHAKE_FAILED:
            self.good["quit"] += 1
        elif session.tls != HANDSHAKE_FAILED:
            received = " (1432 bytes)" if session.ending == "DATA" else ""
            self.say(f"lost connection after {session.ending}{received} from {self.peer}", SECOND)
        good, bad = self.good, self.bad
        counts = [_count(name, good[name], bad[name]) for name in COUNTED if name in good or name in bad]
        total = _count("commands", good.total(), bad.total()) if counts else "commands=0/0"
        self.say(" ".join((f"disconnect from {self.peer}", *counts, total)))


def _count(name: str, good: int, bad: int) -> str:
    return f"{name}={good}/{good + bad}" if bad else f"{name}={good}"
