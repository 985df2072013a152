"""
Exchange Server: sessions from the rows of SMTP Receive protocol logs, and the submissions they tell of.

    sessions = Sessions(changes_of_now)
    sessions.take(rows)                   of one session, in the order of their numbers
    sessions.take_whole(outline)          all rows of one that went as most do
    sessions.settle()                     at the end of a file: what was read out of order finds together
    sessions.dump(), sessions.load(…)     those that the next file goes on with

A session is told by its id and begins with row 0. Of one whose beginning stands in a file that was not read yet, what
proves itself is given, and the rows are kept for a day: the older file may come later.

A front end signs clients in and hands them over to a mailbox server (XPROXY), in whose log their messages stand. Both
know the id of the front end's session, and the client's address and port. The first message has the identity of the
front end's own row, which says `no_mail` as long as nothing else is known; what the front end knows of the client is told
to all messages that name its session (see `Changes.told`). Sessions between servers of the site (X-EXPS, XPROXYFROM) are
no submissions: the log of the server that the client spoke to has them.

See also
    exchange_lines.py for the rows; exchange.py for the files
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

from smtp_auth_report.changes import Changes
from smtp_auth_report.moments import DAY, SECOND
from smtp_auth_report.sources import exchange_lines as lines
from smtp_auth_report.sources import values
from smtp_auth_report.sources.exchange_lines import Outline, Row
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Identity, Outcome, Service, Submission, Tls

FIRST = 0  # number of the row that begins a session
REPLAYED = 1_000
"""Rows of a session without its beginning that are kept at most."""

KEPT = 5_000
"""Sessions that one server's next file goes on with at most, the newest."""

CARRIED = 200_000
"""More rows than a commit has: in the store they are put together."""

TICKS_OF_1970 = 621_355_968_000_000_000
CENTURY = range(946_684_800 * SECOND, 4_102_444_800 * SECOND)


@dataclass(slots=True)
class Transaction:
    """From MAIL on."""

    number: int  # of the row of MAIL
    opened: int
    sender: str
    size: int | None
    recipients: int = 0
    refused: str = ""  # reason, when a recipient was refused
    time: int = 0  # of that


@dataclass(slots=True)
class Attempt:
    """To sign in, until the server has answered."""

    mechanism: str = UNKNOWN_MECHANISM
    between_servers: bool = False  # X-EXPS
    name: str | None = None  # may be a password, while the server has not vouched for it
    vouched: bool = False
    denied: tuple[int, int] | None = None  # number and time of the row that says so


@dataclass(slots=True)
class Session:
    """One connection, as far as its rows have told."""

    id: str
    server: str
    service: str
    client_ip: str | None
    client_port: str
    behind_front_end: bool  # by its connector
    number: int  # of its newest row
    last: int  # time of its newest row
    begun: bool  # its first row was read
    whole: bool  # and so were all since
    helo: str | None = None
    tls_version: str = Tls.UNKNOWN.value
    tls_cipher: str | None = None
    tls_begun: bool = False
    waiting: list[str] = field(default_factory=list)  # commands that were not answered yet
    attempt: Attempt | None = None
    signed_in: bool = False
    account: str | None = None
    mechanism: str = UNKNOWN_MECHANISM
    signed_tls: str = Tls.UNKNOWN.value
    signed_cipher: str | None = None
    between_servers: bool = False
    handed_over: bool = False
    claimed: str = ""  # XPROXY, not accepted yet
    origin: str = ""  # the front end's session, where that handed the client over
    messages: int = 0  # that were decided
    transaction: Transaction | None = None

    @property
    def reference(self) -> int:
        """What the servers of the site call the client's session."""
        return client_session(self.origin or self.id, self.client_ip, self.client_port)

    @property
    def is_submission(self) -> bool:
        return self.signed_in and not self.between_servers

    @property
    def encryption(self) -> str:
        """What is known of TLS now: none only where all rows were read and none speaks of it."""
        if self.tls_version != Tls.UNKNOWN:
            return self.tls_version
        if self.tls_begun:
            return Tls.UNVERSIONED.value
        return Tls.NONE.value if self.whole else Tls.UNKNOWN.value


class Sessions:
    """Of one log, of one or more servers."""

    def __init__(self, changes: Callable[[], Changes]) -> None:
        self._changes = changes
        self._open: dict[str, Session] = {}
        self._parts: dict[str, dict[Row, None]] = {}  # rows of sessions whose beginning was not read
        self._carried: set[Identity] = set()  # rows of front ends that have become those of messages

    def ids(self) -> set[str]:
        """Sessions that may go on."""
        return self._open.keys() | self._parts.keys()

    def take(self, rows: Iterable[Row]) -> None:
        """Read the next rows of a session."""
        for row in rows:
            session = self._open.get(row.session)
            if session is not None and row.number == FIRST and session.begun and row.time != session.last:
                self._end(session)
                session = None
            if session is None or (row.number == FIRST and not session.begun):
                session = self._open[row.session] = _begun(row)
            if not session.begun:
                part = self._parts.setdefault(row.session, {})
                if row in part:
                    continue
                if len(part) < REPLAYED:
                    part[row] = None
            self._read(session, row)

    def take_whole(self, told: Outline) -> None:
        """What its rows would give one by one."""
        session = _begun(Row(told.last, told.connector, told.session, FIRST, told.local, told.remote, b"", b"", b""))
        session.helo = values.text(told.helo)[:255] if told.helo is not None else None
        session.tls_begun, session.handed_over = told.secured, told.handed_over
        if told.tls is not None:
            self._agreed(session, told.tls)
        if told.proxy is not None:
            session.claimed = values.text(told.proxy)
            self._hand_over(session)
        elif told.signed_in:
            account = None if told.account is None else _account(told.account)
            self._signed_in(session, account, values.mechanism(values.text(told.mechanism)), told.told)
        for number, opened, mail, recipients, time, words in told.messages:
            session.transaction = _transaction(number, opened, mail)
            session.transaction.recipients = recipients
            self._accept(session, time, words)
        self._end(session)

    def _read(self, session: Session, row: Row) -> None:
        event, number, time = row.event, row.number, row.time
        if not session.number <= number <= session.number + 1:
            session.whole = False
        session.number = number
        if time > session.last:  # noqa: PLR1730 - max() takes longer, and this runs for every row
            session.last = time
        if event == b"<":
            self._command(session, row)
        elif event == b">":
            self._reply(session, row)
        elif event == b"*":
            self._information(session, row)
        elif event == b"-":
            self._end(session)

    def settle(self) -> None:
        """Sessions whose end was read before their beginning are read on; refused sign-ins need not wait for the answer."""
        for name in self._parts.keys() & self._open.keys():
            session = self._open[name]
            if session.begun:
                rows = sorted(self._parts.pop(name), key=lambda row: row.number)
                for row in (row for row in rows if row.number > session.number):
                    self._read(session, row)
        for session in self._open.values():
            self._give_up(session)

    def sweep(self, now: int) -> None:
        """Give up sessions that nothing was heard of for a day."""
        for session in [session for session in self._open.values() if session.last < now - DAY]:
            self._end(session)
        self._parts = {name: rows for name, rows in self._parts.items() if next(reversed(rows)).time >= now - DAY}

    # What the client said

    def _command(self, session: Session, row: Row) -> None:
        words = row.data.split(None, 2)
        verb = words[0].upper() if words else b""
        if verb in {b"EHLO", b"HELO"} and not session.origin:
            session.helo = values.text(words[1])[:255] if len(words) > 1 else None
        elif verb in {b"AUTH", b"X-EXPS"}:
            self._give_up(session)
            mechanism = values.mechanism(values.text(words[1])) if len(words) > 1 else UNKNOWN_MECHANISM
            session.attempt = Attempt(mechanism, between_servers=verb == b"X-EXPS")
        elif verb in {b"STARTTLS", b"X-ANONYMOUSTLS"}:
            session.waiting.append("STARTTLS")
        elif verb == b"XPROXY":
            session.claimed = values.text(row.data)
            session.waiting.append("XPROXY")
        elif verb == b"MAIL":
            if session.behind_front_end:
                self._hand_over(session)
            self._finish(session)
            session.transaction = _transaction(row.number, row.time, row.data)
            session.waiting.append("MAIL")
        elif verb == b"RCPT" and session.transaction:
            session.transaction.recipients += 1
            session.waiting.append("RCPT")
        elif verb in {b"DATA", b"BDAT"}:
            session.waiting.append("DATA")
        elif verb in {b"RSET", b"QUIT"}:
            self._finish(session)

    # What the server answered

    def _reply(self, session: Session, row: Row) -> None:
        found = lines.REPLY.match(row.data)
        if found is None or found[2] == b"-":
            return
        code, _, status, text = found.groups()
        if code == b"235":
            self._sign_in(session, row)
        elif status == b"2.6.0" and (queued := lines.QUEUED.match(row.data)):
            self._accept(session, row.time, queued[1].removesuffix(b" "))
        elif code[:1] in {b"4", b"5"}:
            self._refuse(session, row, code, status, text)
        elif status in {b"2.1.0", b"2.1.5"}:
            _answered(session, "MAIL" if status == b"2.1.0" else "RCPT")
        elif code in {b"220", b"250"} and session.waiting:
            self._went_well(session, code)

    def _went_well(self, session: Session, code: bytes) -> None:
        command = session.waiting[0]
        if command == "STARTTLS" and code == b"220":
            session.tls_begun = True
        elif command == "XPROXY" and code == b"250":
            self._hand_over(session)
        elif command != "DATA" or code != b"250":  # a chunk of BDAT
            return
        session.waiting.pop(0)

    def _sign_in(self, session: Session, row: Row) -> None:
        attempt, session.attempt = session.attempt, None
        if attempt is None:
            return  # it stands in a file that was not read yet
        if attempt.between_servers and (attempt.mechanism == "EXCHANGEAUTH" or _is_machine(attempt.name)):
            session.between_servers = True
            return
        self._signed_in(session, attempt.name, attempt.mechanism, row.time if session.handed_over else 0)

    def _signed_in(self, session: Session, account: str | None, mechanism: str, told_at: int) -> None:
        session.signed_in, session.between_servers = True, False
        session.account, session.mechanism = account, mechanism
        if session.origin:
            return  # the front end signs in for its client
        session.signed_tls, session.signed_cipher = session.encryption, session.tls_cipher
        if told_at:
            told = _row(session, Identity(session.reference, 0), Outcome.NO_MAIL, told_at)
            self._changes().told[told.key] = told

    def _accept(self, session: Session, time: int, words: bytes) -> None:
        _answered(session, "DATA")
        transaction, session.transaction = session.transaction, None
        if transaction is None or not session.is_submission:
            return
        internal = lines.INTERNAL_ID.search(words, max(words.rfind(b"[") - 1, 0))
        message_id = values.text(words[: internal.start()] if internal else words)
        queue_id = internal[1].decode("ascii") if internal else None
        references = [message_of_session(session.id, message_id)]
        if internal and queue_id:
            host = values.text(internal[2]) if internal[2] else session.server
            references.append(message_of_server(host, queue_id, message_id))
        if session.origin:
            references.append(session.reference)
        accepted = self._decided(
            session,
            transaction,
            Outcome.ACCEPTED,
            time,
            recipients=transaction.recipients if transaction.recipients > 0 else None,
            size=transaction.size,
            queue_id=queue_id,
            message_id=message_id or None,
        )
        self._changes().awaited[accepted.identity] = tuple(references)
        self._changes().put(accepted)

    def _refuse(self, session: Session, row: Row, code: bytes, status: bytes | None, text: bytes) -> None:
        attempt = session.attempt
        if attempt is not None:
            session.attempt = None
            reason = lines.sign_in_refusal(code, text, denied=attempt.denied is not None)
            number, time = attempt.denied or (row.number, row.time)
            self._put_failure(session, attempt, number, time, reason)
            return
        command = session.waiting.pop(0) if session.waiting else ""
        transaction = session.transaction
        if command == "XPROXY":
            session.claimed = ""
        elif command in lines.STAGES and transaction:
            reason = lines.refusal(command, code, status, text)
            if command == "RCPT":
                transaction.recipients -= 1
                transaction.refused, transaction.time = reason, row.time
            else:
                self._reject(session, reason, row.time)

    def _hand_over(self, session: Session) -> None:
        """A front end has signed the client in and speaks for it from now on."""
        found = lines.XPROXY.match(session.claimed.encode())
        session.claimed = ""
        if found is None:
            return
        told = {name.upper(): values.xtext(value) for name, value in reversed(lines.XPROXY_FIELD.findall(found[0]))}
        session.origin = told.get(b"SID", "")
        session.client_ip, session.client_port = values.address(told.get(b"IP", "")), told.get(b"PORT", "")
        session.helo = told.get(b"DOMAIN")
        session.service, session.between_servers, session.signed_in = Service.UNKNOWN.value, False, True
        session.account, session.mechanism = None, UNKNOWN_MECHANISM
        session.signed_tls, session.signed_cipher = Tls.UNKNOWN.value, None

    # What the server noted

    def _information(self, session: Session, row: Row) -> None:
        attempt, context = session.attempt, row.context
        if context.startswith(b"TLS "):
            self._tls(session, row)
        elif lines.PROXYING.match(context):
            session.handed_over = True
        elif context == lines.AUTHENTICATED:
            attempt = session.attempt = attempt or Attempt(between_servers=True)
            attempt.name, attempt.vouched = _account(row.data), True
        elif lines.DENIED.match(context):
            attempt = session.attempt = attempt or Attempt()
            attempt.denied = attempt.denied or (row.number, row.time)
        elif attempt and context.startswith(lines.USER_NAME):
            name = context.removeprefix(lines.USER_NAME)
            attempt.name = None if name == lines.NO_NAME else _account(name)
        elif found := lines.PROXIED.match(context):
            session.handed_over = True
            if attempt and attempt.name is None and found[1]:
                attempt.name = _account(found[1])

    def _tls(self, session: Session, row: Row) -> None:
        failed = lines.TLS_FAILED.match(row.context)
        if not self._agreed(session, row.context) and failed and session.service in {Service.SUBMISSION, Service.SUBMISSIONS}:
            reason = lines.HANDSHAKES.get(failed[1], "handshake_failed")
            identity = Identity(_number(f"tls_failed\0{session.server}\0{session.id}\0{row.number}"), row.time)
            refused = _row(session, identity, Outcome.TLS_FAILED, row.time, reason=reason)
            self._changes().put(refused._replace(account=None, mechanism=UNKNOWN_MECHANISM, tls_version=Tls.UNKNOWN.value, tls_cipher=None))

    @staticmethod
    def _agreed(session: Session, context: bytes) -> bool:
        agreed = lines.TLS.match(context)
        if agreed:
            session.tls_version = values.tls_version(values.text(agreed[1])).value
            session.tls_cipher = values.text(agreed[2])
        return agreed is not None

    # Rows

    def _put_failure(self, session: Session, attempt: Attempt, number: int, time: int, reason: str) -> None:
        if attempt.between_servers or session.origin:
            return
        identity = Identity(_number(f"auth_failed\0{session.server}\0{session.id}\0{number}"), time)
        failed = _row(session, identity, Outcome.AUTH_FAILED, time, reason=reason)
        failed = failed._replace(tls_version=session.encryption, tls_cipher=session.tls_cipher)
        self._changes().put(failed._replace(account=attempt.name, mechanism=attempt.mechanism))

    def _give_up(self, session: Session) -> None:
        """A refused sign-in need not wait for the answer, which an attacker may not stay for."""
        if session.attempt and session.attempt.denied:
            self._put_failure(session, session.attempt, *session.attempt.denied, "bad_credentials")

    def _finish(self, session: Session) -> None:
        """An attempt that was not answered, and a transaction of which nothing was accepted, are over."""
        self._give_up(session)
        transaction = session.transaction
        if transaction is not None and transaction.refused and transaction.recipients <= 0:
            self._reject(session, transaction.refused, transaction.time)
        session.transaction, session.attempt = None, None
        session.waiting.clear()

    def _reject(self, session: Session, reason: str, time: int) -> None:
        transaction, session.transaction = session.transaction, None
        if transaction is not None and session.is_submission:
            refused = self._decided(session, transaction, Outcome.REJECTED, time, reason=reason)
            if session.origin:
                self._changes().awaited[refused.identity] = (session.reference,)
            self._changes().put(refused)

    def _decided(self, session: Session, transaction: Transaction, outcome: Outcome, time: int, **told: Any) -> Submission:
        """The first of a client that was handed over is the same row as the front end's own."""
        session.messages += 1
        identity = Identity(_number(f"message\0{session.server}\0{session.id}\0{transaction.number}"), transaction.opened)
        if session.origin and session.messages == 1:
            identity = _first_message(session)
            if len(self._carried) > CARRIED:
                self._carried.clear()
            self._carried.add(identity)
        return _row(session, identity, outcome, time, sender=transaction.sender, **told)

    def _end(self, session: Session) -> None:
        self._finish(session)
        self._open.pop(session.id, None)
        if session.is_submission and not session.origin and not session.messages:
            identity = Identity(_number(f"no_mail\0{session.server}\0{session.id}"), session.last)
            row = _row(session, _first_message(session) if session.handed_over else identity, Outcome.NO_MAIL, session.last)
            if row.identity not in self._carried:
                self._changes().put(row)

    # From one file to the next

    def dump(self) -> dict[str, dict[str, Any]]:
        """What each server's next file goes on with, as JSON can hold it. Names that failed may be passwords, and are left out."""
        found: dict[str, dict[str, Any]] = {}
        for session in sorted(self._open.values(), key=lambda session: -session.last):
            kept = found.setdefault(session.server, {"open": [], "parts": []})
            entry = asdict(session)
            if session.attempt and not session.attempt.vouched:
                entry["attempt"]["name"] = None
            kept["open"].append(entry)
        for rows in self._parts.values():
            server = server_of(next(iter(rows)).connector)
            found.setdefault(server, {"open": [], "parts": []})["parts"].append([_as_text(row) for row in rows])
        return {server: {name: entries[:KEPT] for name, entries in kept.items()} for server, kept in found.items()}

    def load(self, kept: dict[str, Any]) -> None:
        """Go on with these."""
        for entry in kept["open"]:
            transaction, attempt = entry.pop("transaction"), entry.pop("attempt")
            session = Session(
                **entry,
                transaction=Transaction(**transaction) if transaction else None,
                attempt=Attempt(**attempt | {"denied": attempt["denied"] and tuple(attempt["denied"])}) if attempt else None,
            )
            self._open.setdefault(session.id, session)
        for part in kept["parts"]:
            rows = dict.fromkeys(Row(*entry[:4], *(text.encode("latin-1") for text in entry[4:])) for entry in part)
            self._parts.setdefault(next(iter(rows)).session, rows)


def client_session(session: str, client_ip: str | None, client_port: str) -> int:
    """What a front end, and the mailbox server behind it, call a client's session."""
    return _number(f"client session\0{session.upper()}\0{client_ip or ''}\0{client_port}")


def message_of_session(session: str, message_id: str) -> int:
    """What protocol log and message tracking call a message: by its session."""
    return _number(f"message of session\0{session.upper()}\0{message_id}")


def message_of_server(host: str, queue_id: str, message_id: str) -> int:
    """And by the number that the server gave it."""
    label = host.partition(".")[0].lower()
    return _number(f"message of server\0{label}\0{queue_id}\0{message_id}")


def server_of(connector: str) -> str:
    """EX1 of EX1\\Client Frontend EX1."""
    return connector.partition("\\")[0]


def _number(text: str) -> int:
    content = f"exchange\0{text}".encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def _first_message(session: Session) -> Identity:
    """Of a client's session that two servers know; its id counts on from the moment at which the front end was started."""
    try:
        started = (int(session.origin or session.id, 16) - TICKS_OF_1970) // 10
    except ValueError:
        started = 0
    return Identity(_number(f"first message\0{session.reference}"), started if started in CENTURY else CENTURY.start)


def _begun(row: Row) -> Session:
    client, local = lines.ENDPOINT.match(row.remote), lines.ENDPOINT.match(row.local)
    return Session(
        id=row.session,
        server=server_of(row.connector),
        service=_service(int(local[2]) if local else 0, row.connector).value,
        client_ip=values.address(values.text(client[1])) if client else None,
        client_port=values.text(client[2]) if client else "",
        behind_front_end="client proxy" in row.connector.lower(),
        number=row.number,
        last=row.time,
        begun=row.number == FIRST,
        whole=row.number == FIRST,
    )


def _service(port: int, connector: str) -> Service:
    """By the port, also where that is forwarded (10587); else by what Exchange names its connectors."""
    if port % 1000 == 587:
        return Service.SUBMISSION
    if port % 1000 == 465:
        return Service.SUBMISSIONS
    if port in {25, 2525} or port % 1000 == 25:
        return Service.SMTP
    name = connector.lower()
    if "client frontend" in name:
        return Service.SUBMISSION
    return Service.SMTP if "\\default " in name else Service.UNKNOWN


def _transaction(number: int, opened: int, data: bytes) -> Transaction:
    found = lines.MAIL.match(data)
    size = lines.SIZE.search(found["rest"]) if found else None
    return Transaction(number, opened, values.text(found["sender"]) if found else "", int(size[1]) if size else None)


def _answered(session: Session, command: str) -> None:
    """It is no longer waited for, nor are commands before it."""
    if command in session.waiting:
        del session.waiting[: session.waiting.index(command) + 1]


def _account(raw: bytes) -> str | None:
    """A name as the client wrote it; of DOMAIN\\user Exchange makes DOMAIN/user where it signs in with LOGIN."""
    name = values.text(raw.rstrip(b"\0"))
    if "/" in name and "\\" not in name and "@" not in name:
        name = name.replace("/", "\\", 1)
    return name or None


def _is_machine(name: str | None) -> bool:
    return name is None or name.endswith("$") or name.upper().startswith("NT AUTHORITY\\")


def _as_text(row: Row) -> list[Any]:
    """A row as JSON can hold it, byte by byte; a name that failed is left out."""
    context = lines.USER_NAME + lines.NO_NAME if row.context.startswith(lines.USER_NAME) else row.context
    return [*row[:4], *(part.decode("latin-1") for part in row._replace(context=context)[4:])]


def _row(
    session: Session,
    identity: Identity,
    outcome: Outcome,
    time: int,
    *,
    sender: str | None = None,
    recipients: int | None = None,
    size: int | None = None,
    queue_id: str | None = None,
    message_id: str | None = None,
    reason: str | None = None,
) -> Submission:
    return Submission(
        *identity, time, session.server, session.service, "exchange", session.client_ip, None, session.helo, session.account, None,
        session.mechanism, session.signed_tls, session.signed_cipher, sender, recipients, size, queue_id, message_id, outcome.value, reason,
    )  # fmt: skip
