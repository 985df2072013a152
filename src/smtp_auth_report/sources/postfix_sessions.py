"""
Postfix: which lines belong together.

One smtpd process serves one client at a time, so a session is what one (host, tag, pid) logs from `connect` to
`disconnect`. A message is opened by `client=` in its session and taken by the queue manager under its queue id, often
after the session has ended. What these objects hold can be written as JSON (`Server.dump`), so that a session that
straddles two files goes on in the next.

    Server          one host: its processes' sessions, its doors, its messages under way
      Door          one syslog tag: what its sessions have shown about TLS and AUTH
      Session       one connection
        Message     one transaction that got a queue id, or a place in a before-queue filter
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from itertools import compress
from operator import itemgetter
from typing import Any

import numpy as np

from smtp_auth_report.sources import postfix_lines as lines
from smtp_auth_report.sources.identities import Identities
from smtp_auth_report.submission import Identity, Service, Submission, Tls

REMEMBERED_IDS = 5_000
WAITING = 20_000
DUMPED = 200
"""Of what may be many, how many are written with every commit: what is under way, and not all of a day."""


class Door:
    """One tag, one service of master.cf as far as the log tells."""

    def __init__(self, tag: lines.Tag) -> None:
        self.tag = tag
        self.starttls = tag.wrapper is False  # has shown STARTTLS in some session, so it is not wrapper mode
        self.sasl = tag.service in {Service.SUBMISSION, Service.SUBMISSIONS}  # takes AUTH
        self.wrapped = False  # TLS failed in a session without STARTTLS, so a port of this name is wrapper mode
        self.told = False  # TLS of someone who tried to sign in was logged, so that of others is too
        self.waiting: list[Session] = []  # sessions without a TLS line, until the door shows what that means

    def learn(self, session: Session) -> bool:
        """What a session that has ended shows; whether it is the first that tells of TLS."""
        before = self.told
        self.told = self.told or (session.tls is not None and bool(session.authenticated or session.failures))
        self.wrapped = self.wrapped or bool(session.handshake and session.whole and session.counts and b"starttls" not in session.counts)
        return self.told and not before

    def wait(self, session: Session) -> None:
        """Keep an ended session until more is known."""
        self.waiting.append(session)
        del self.waiting[:-WAITING]


class Message:
    """One transaction that the server gave a queue id, or passed through a before-queue filter."""

    queue_id: bytes = b""
    opened: int = 0
    client: bytes = b""
    name: bytes = b""
    account: bytes | None = None
    mechanism: bytes | None = None
    sender: bytes | None = None
    size: int | None = None
    recipients: int | None = None
    helo: bytes | None = None
    accepted: int | None = None  # time
    refused: tuple[int, str] | None = None  # time, reason
    held: int | None = None  # time
    sized: bool = False  # the queue manager's line was seen
    message_id: bytes | None = None
    given: Submission | None = None  # the row as it was last given
    identity: Identity | None = None  # where a filter's answer told no queue id, or a server in front tells of it too

    def __init__(self, session: Session) -> None:
        self.session = session


class Session:
    """One connection. Plain class attributes are the values of a session that nothing was said about."""

    whole = False  # its `connect` was seen
    opening: bytes = b""  # the `connect` line
    ended: int | None = None  # time
    counts: Mapping[bytes, tuple[int, int]] | None = None
    last: int = 0  # time of its newest line
    client: bytes = b""
    name: bytes = b""
    account: bytes | None = None
    mechanism: bytes | None = None
    authenticated = False
    proxied = False  # a proxy vouched for the login: TLS and HELO here are the proxy's
    tls: bytes | None = None  # the TLS line
    tls_stamp: bytes = b""
    doubted = False  # at its end its door was known to be wrapper mode for others: a row that was given as clear stays so
    helo: bytes | None = None
    handshake: tuple[int, bytes, Identity] | None = None  # time, error of a failed one
    library: bytes = b""
    interesting = False
    given_early = False  # rows were given before its end
    no_mail: Identity | None = None  # of the row given

    def __init__(self, door: Door, pid: str) -> None:
        self.door = door
        self.pid = pid
        self.messages: list[Message] = []
        self.failures: list[tuple[int, bytes, Identity]] = []  # time, line, identity
        self.refusals: list[tuple[bytes, bytes, int]] = []  # stamp, line, messages opened before
        self.refused: list[tuple[int, bytes, Identity, int]] = []  # the same once read: time, line, identity, messages opened before

    def version_for(self, client: bytes) -> tuple[Tls, str | None]:
        """Version and cipher of TLS between this client and the server, as far as it is known now."""
        if self.speaks_for_another(client):
            return Tls.UNKNOWN, None
        found = lines.tls(self.tls) if self.tls is not None else None
        if found:
            if found.client != client and lines.address(found.client) != lines.address(client):
                return Tls.UNKNOWN, None
            return found.version, found.cipher
        if self.door.tag.wrapper or self.starttls_worked:
            return Tls.UNVERSIONED, None
        clear = self.proves_cleartext and self.door.starttls and (self.door.told or not self.doubted)
        return (Tls.NONE if clear else Tls.UNKNOWN), None

    def speaks_for_another(self, client: bytes) -> bool:
        """A proxy gave another address than its own (XCLIENT): what the client itself spoke is not in this log."""
        if self.proxied or (self.counts or {}).get(b"xclient", (0, 0))[0]:
            return True
        if self.opening.endswith(b"[%b]" % client):
            return False
        found = lines.CONNECT.fullmatch(self.opening)
        return found is not None and lines.address(found["ip"]) != lines.address(client)

    @property
    def encrypted(self) -> bool:
        """TLS was agreed on, or could not be; either happens once."""
        return self.tls is not None or self.handshake is not None

    def spoke_tls(self, line: bytes, stamp: bytes) -> bool:
        """Whether this is its own TLS line, which the log holds twice."""
        return self.tls == line and self.tls_stamp == stamp

    def belongs_to_another(self, client: bytes) -> bool:
        """Who signed in has another address, and no proxy speaks for its clients here."""
        if self.account is None or self.client == client or self.speaks_for_another(self.client):
            return False
        return lines.address(self.client) != lines.address(client)

    def name_of(self, client: bytes, name: bytes) -> bytes:
        """Reverse name of a client; a proxy that gives an address alone leaves its own name standing."""
        proxys_own = self.opening.startswith(b"connect from %b[" % name) and not self.opening.endswith(b"[%b]" % client)
        return b"" if proxys_own and self.speaks_for_another(client) else name

    @property
    def starttls_worked(self) -> bool:
        return self.counts is not None and self.counts.get(b"starttls", (0, 0))[0] > 0

    @property
    def proves_cleartext(self) -> bool:
        """A whole session with counters, without a TLS line or STARTTLS: in clear, if the door is not wrapper mode."""
        return bool(self.whole and self.counts and b"starttls" not in self.counts and self.tls is None and not self.proxied)

    @property
    def waits(self) -> bool:
        """Whether the door must show more: that it is not wrapper mode, that it logs TLS, or that it takes AUTH."""
        unsure = not self.door.tag.wrapper and (not self.door.starttls or (self.doubted and not self.door.told))
        return (self.proves_cleartext and unsure) or (self.handshake is not None and not self.door.sasl)

    @property
    def taken(self) -> int:
        """How often content was taken, as the counters tell; BDAT counts each chunk."""
        return sum((self.counts or {}).get(name, (0, 0))[0] for name in (b"data", b"bdat"))

    @property
    def undecided(self) -> list[Message]:
        return [m for m in self.messages if m.accepted is None and m.refused is None]


class Server(Identities):
    """What one host has under way."""

    def __init__(self, host: str) -> None:
        super().__init__(host, b"postfix", b"smtpd")
        self.newest = 0
        self.doors: dict[str, Door] = {}
        self.open: dict[str, Session] = {}  # "tag[pid" -> session
        self.pending: dict[bytes, Message] = {}  # queue id -> message not yet taken, or not yet sized
        self.queues: set[str] = set()  # instances whose queue manager was seen
        self._recent: dict[bytes, int] = {}  # queue id of a message of our own -> when it was opened
        self._batches: list[tuple[bytes, bytes]] = []  # more of them, as batches told them
        self._batched = 0
        self.returns = False  # a content filter gives messages back, under another queue id
        self.filtered = False  # a before-queue filter is in use
        self.active: dict[bytes, bytes] = {}  # queue id -> queue manager's line of messages that may be a filter's; cleanup's too
        self.lingering: dict[int, Session] = {}  # ended, with messages undecided

    def door(self, tag: str, parts: lines.Tag) -> Door:
        door = self.doors.get(tag)
        if door is None:
            door = self.doors[tag] = Door(parts)
        return door

    @property
    def recent(self) -> Mapping[bytes, int]:
        """Queue ids of our own messages that were opened last, and when."""
        self._take_batches()
        return self._recent

    def own(self, queue_id: bytes, opened: int) -> None:
        """Remember the queue id of a message of our own."""
        self._recent[queue_id] = opened
        if len(self._recent) > 4 * REMEMBERED_IDS:
            self._recent = dict(self._opened_last(REMEMBERED_IDS))

    def own_all(self, queue_ids: bytes, opened: bytes) -> None:
        """Remember many, each a line; these are when they were opened, as 64-bit numbers."""
        self._batches.append((queue_ids, opened))
        self._batched += len(opened) // 8
        if self._batched > 4 * REMEMBERED_IDS:
            self._take_batches()

    def _take_batches(self) -> None:
        """Of what batches told, those that were opened last; batches do not tell them in the order of their lines."""
        if not self._batches:
            return
        opened = np.frombuffer(b"".join(times for _, times in self._batches), np.int64)
        queue_ids = b"".join(told for told, _ in self._batches).split()
        self._batches, self._batched = [], 0
        if len(opened) > REMEMBERED_IDS:
            last = opened >= np.partition(opened, -REMEMBERED_IDS)[-REMEMBERED_IDS]
            opened, queue_ids = opened[last], list(compress(queue_ids, last.tolist()))
        self._recent.update(zip(queue_ids, opened.tolist(), strict=True))
        if len(self._recent) > 4 * REMEMBERED_IDS:
            self._recent = dict(self._opened_last(REMEMBERED_IDS))

    def _opened_last(self, number: int) -> list[tuple[bytes, int]]:
        since = min(sorted(self.recent.values())[-number:], default=0)  # sorted fast, and few pairs are left
        return sorted((each for each in self.recent.items() if each[1] >= since), key=itemgetter(1, 0))[-number:]

    def _live(self, serving: dict[str, Session]) -> Iterator[tuple[str, Session]]:
        """Sessions that a later line may still change, with the key they are open under."""
        yield from (self.open | serving).items()
        for session in self.lingering.values():
            yield "", session
        for door in self.doors.values():
            for session in door.waiting[-DUMPED:]:
                if id(session) not in self.lingering:
                    yield "", session

    def dump(self, serving: dict[str, Session]) -> dict[str, Any]:
        """Everything as JSON can hold it; `serving` are the sessions of processes, by key."""
        tags = {id(door): tag for tag, door in self.doors.items()}
        waiting = {id(session) for door in self.doors.values() for session in door.waiting}
        return {
            "doors": {tag: [door.starttls, door.sasl, door.wrapped, door.told] for tag, door in sorted(self.doors.items())},
            "queues": sorted(self.queues),
            "filtered": self.filtered,
            "active": [[_to_json(queue_id), _to_json(line)] for queue_id, line in list(self.active.items())[-DUMPED:]],
            "returns": self.returns,
            "own": b" ".join(queue_id for queue_id, _ in self._opened_last(REMEMBERED_IDS if self.returns else DUMPED)).decode("ascii"),
            "seen": self.seen(),
            "sessions": [
                {"key": key, "tag": tags[id(session.door)], "waiting": id(session) in waiting, **_dump(session, self.pending)}
                for key, session in self._live(serving)
            ],
        }

    def forget(self, gone: Callable[[Session], bool], gone_line: Callable[[bytes], bool]) -> None:
        """Of a server that was just loaded, keep nothing of these sessions, and of these lines of the queue manager."""
        self.active = {queue_id: line for queue_id, line in self.active.items() if not gone_line(line)}
        self.open = {key: session for key, session in self.open.items() if not gone(session)}
        self.lingering = {key: session for key, session in self.lingering.items() if not gone(session)}
        for door in self.doors.values():
            door.waiting = [session for session in door.waiting if not gone(session)]

    @classmethod
    def load(cls, host: str, newest: int, content: dict[str, Any]) -> Server:
        server = cls(host)
        server.newest = newest
        for tag, shown in content["doors"].items():
            parts = lines.tag(tag)
            if parts:
                door = server.door(tag, parts)
                door.starttls, door.sasl, door.wrapped, door.told = (*shown, False, False)[:4]  # earlier versions kept two
        server.queues = set(content["queues"])
        server.filtered = content["filtered"]
        server.active = {_from_json(queue_id): _from_json(line) for queue_id, line in content["active"]}
        server.returns = content.get("returns", True)  # an earlier version did not tell
        own = content["own"].encode("ascii").split() if "own" in content else map(_from_json, content["recent"])
        server._recent = dict.fromkeys(own, newest)
        server.recall(content["seen"].items())
        for entry in content["sessions"]:
            session, awaited = _load(server.doors[entry["tag"]], entry)
            if entry["key"]:
                server.open[entry["key"]] = session
            else:
                server.lingering[id(session)] = session
            if entry["waiting"]:
                session.door.waiting.append(session)
            server.pending |= {message.queue_id: message for message in awaited}
        return server


class Process:
    """One host, tag and pid; it serves one client at a time."""

    __slots__ = ("daemon", "door", "instance", "key", "pid", "server", "session")

    def __init__(self, server: Server, door: Door, key: str, pid: str) -> None:
        self.server = server
        self.door = door
        self.key = key
        self.pid = pid
        self.daemon = door.tag.daemon
        self.instance = door.tag.instance
        self.session: Session | None = server.open.pop(key, None)


_SESSION = tuple(
    "whole opening ended last client name account mechanism authenticated proxied tls helo library interesting tls_stamp doubted".split()
)
_MESSAGE = tuple("queue_id opened client name account mechanism sender size recipients helo accepted held sized message_id".split())


def _dump(session: Session, pending: Mapping[bytes, Message]) -> dict[str, Any]:
    return {
        "pid": session.pid,
        "session": [_to_json(getattr(session, name)) for name in _SESSION],
        "counts": None if session.counts is None else {name.decode("ascii"): both for name, both in session.counts.items()},
        "handshake": session.handshake and [session.handshake[0], _to_json(session.handshake[1]), session.handshake[2]],
        "no_mail": session.no_mail,
        "failures": [[time, _to_json(_nameless(line)), identity] for time, line, identity in session.failures],
        "refusals": [[_to_json(stamp), _to_json(line), before] for stamp, line, before in session.refusals],
        "refused": [[time, _to_json(line), identity, before] for time, line, identity, before in session.refused],
        "messages": [
            [*(_to_json(getattr(m, name)) for name in _MESSAGE), m.refused, pending.get(m.queue_id) is m, m.identity]
            for m in session.messages
        ],
    }


def _nameless(line: bytes) -> bytes:
    """A failed sign-in without the name, which may be a password: its row, given already, keeps what may be kept."""
    return line.partition(b", sasl_username=")[0]


def _load(door: Door, entry: dict[str, Any]) -> tuple[Session, list[Message]]:
    """A session, and those of its messages that the queue manager may still take."""
    session = Session(door, entry["pid"])
    session.given_early = True
    for name, value in zip(_SESSION, entry["session"], strict=False):  # what was remembered before `tls_stamp` was has none
        setattr(session, name, _from_json(value))
    if entry["counts"] is not None:
        session.counts = {name.encode("ascii"): tuple(both) for name, both in entry["counts"].items()}
    if entry["handshake"]:
        time, error, identity = entry["handshake"]
        session.handshake = time, _from_json(error), Identity(*identity)
    session.no_mail = entry["no_mail"] and Identity(*entry["no_mail"])
    session.failures = [(time, _from_json(line), Identity(*identity)) for time, line, identity in entry["failures"]]
    session.refusals = [(_from_json(stamp), _from_json(line), before) for stamp, line, before in entry["refusals"]]
    session.refused = [(time, _from_json(line), Identity(*identity), before) for time, line, identity, before in entry["refused"]]
    awaited = []
    for values in entry["messages"]:
        message = Message(session)
        for name, value in zip(_MESSAGE, values, strict=False):
            setattr(message, name, _from_json(value))
        more: list[Any] = values[len(_MESSAGE) :]
        refused, is_awaited, identity = more + [None, True, None][len(more) :]  # earlier versions kept fewer
        message.refused, message.identity = refused and tuple(refused), identity and Identity(*identity)
        session.messages.append(message)
        if is_awaited:
            awaited.append(message)
    return session, awaited


def _to_json(value: Any) -> Any:
    return ["b", base64.b64encode(value).decode("ascii")] if isinstance(value, bytes) else value


def _from_json(value: Any) -> Any:
    return base64.b64decode(value[1]) if isinstance(value, list) else value
