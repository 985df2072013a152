"""
Postfix: which rows a session and its messages give.

    accepted(server, message)            the row of a message the queue manager took
    rejected(server, session)            rows of refused transactions
    ...

A row is made from what is known now, and made again when more is known: same identity, better values.

How refused transactions are counted: a refusal with a queue id belongs to that message. Refusals without one
(NOQUEUE) form a transaction as long as sender and recipients go on; the counter `mail=` of the session says how many
transactions there were, so that recipients refused within a transaction that was accepted in the end are not rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from smtp_auth_report.sources import postfix_lines as lines
from smtp_auth_report.sources.postfix_sessions import Message, Server, Session
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Identity, Outcome, Submission, bare

SOURCE = "postfix"

NO_NAME = frozenset({None, b"(unavailable)", b""})
"""What Postfix writes for the name of a failed sign-in that it does not know."""


def accepted(server: Server, message: Message) -> Submission:
    """The message as accepted; `message.accepted` is the time."""
    return _message_row(server, message, Outcome.ACCEPTED, message.accepted or message.opened, None)


def refused_message(server: Server, message: Message) -> Submission:
    """A message that got a queue id and was refused at DATA or after its content."""
    time, reason = message.refused or (message.opened, "refused")
    return _message_row(server, message, Outcome.REJECTED, time, reason)


def no_mail(server: Server, session: Session) -> Submission:
    """A session that signed in, and had nothing accepted or refused. A message begun and dropped gives it its identity."""
    dropped = next((m for m in session.messages if m.queue_id), None)
    time = session.ended or session.last
    if dropped:
        return _message_row(server, dropped, Outcome.NO_MAIL, time, None)
    identity = session.no_mail or server.line_identity("no_mail", session.pid, time, session.client)
    return _session_row(server, session, identity, Outcome.NO_MAIL, time, None)


def handshake_failed(server: Server, session: Session) -> Submission | None:
    """A failed TLS handshake; None on a door that is not known to take AUTH: there it may be any server on port 25."""
    if session.handshake is None or not session.door.sasl:
        return None
    time, error, identity = session.handshake
    reason = why_no_tls(error, session.library)
    row = _session_row(server, session, identity, Outcome.TLS_FAILED, session.ended or time, reason)
    return row._replace(account=None, mechanism=UNKNOWN_MECHANISM, tls_version="unknown", tls_cipher=None)


def why_no_tls(error: bytes, library: bytes) -> str:
    """Why a handshake failed: the library's words tell more."""
    reason = lines.handshake_reason(library)
    return lines.handshake_reason(error) if reason == "handshake_failed" else reason


def failed(server: Server, session: Session) -> Iterator[Submission]:
    """One row for each failed sign-in that the session logged, and for those that only its counters tell."""
    end = session.ended or session.last
    for _, line, identity in session.failures:
        found = lines.FAILURE.fullmatch(line)
        if found is None:
            continue
        user = found["user"]
        reason = lines.failure_reason(found["reason"], aborted=found["aborted"] is not None)
        row = _session_row(server, session, identity, Outcome.AUTH_FAILED, end, reason)
        yield row._replace(
            account=None if user in NO_NAME else lines.text(user),
            mechanism=lines.mechanism(found["mechanism"]),
            client_ip=lines.address(found["ip"]),
            client_name=lines.client_name(found["name"]),
        )


def untold_failures(session: Session) -> int:
    """Refused AUTH commands that the counters tell and no line explains, in a session seen from its start."""
    if not session.whole or session.counts is None:
        return 0
    good, tried = session.counts.get(b"auth", (0, 0))
    return max(0, tried - good - len(session.failures))


def rejected_any(session: Session) -> bool:
    """Whether `rejected` gives any row."""
    return bool(session.authenticated and session.refused and _standalone(session, _transactions(session)))


class _Transaction(NamedTuple):
    """Refusals of one transaction without queue id, or one more refusal that may have begun another."""

    time: int
    identity: Identity
    sender: bytes | None
    reason: str
    user: bytes | None
    before: int  # messages of the session that were opened before it
    mail: bool  # refused at MAIL already
    first: bool  # begins a transaction, as far as sender and recipients tell


def rejected(server: Server, session: Session) -> list[Submission]:
    """Rows of transactions that were refused without a queue id, for a session that signed in."""
    if not session.authenticated or not session.refused:
        return []
    rows = []
    for transaction in _standalone(session, _transactions(session)):
        row = _session_row(server, session, transaction.identity, Outcome.REJECTED, transaction.time, transaction.reason)
        if row.account is None and transaction.user is not None:
            row = row._replace(account=lines.text(transaction.user))
        rows.append(row._replace(sender=lines.text(transaction.sender)))
    return rows


def _transactions(session: Session) -> list[_Transaction]:
    found: list[_Transaction] = []
    recipients: set[bytes | None] = set()
    for time, line, identity, before in session.refused:
        refusal = lines.REFUSAL.fullmatch(line)
        if refusal is None:
            continue
        envelope = lines.ENVELOPE.fullmatch(refusal["text"])
        sender = envelope["sender"] if envelope else None
        recipient = envelope["recipient"] if envelope else None
        stage = refusal["stage"]
        last = found[-1] if found else None
        first = (
            last is None
            or last.mail
            or stage == b"MAIL"
            or last.before != before
            or (stage == b"RCPT" and (last.sender != sender or recipient in recipients))
        )
        recipients = {recipient} if first else recipients | {recipient}
        if first or stage == b"RCPT":
            reason = lines.refusal_reason(refusal["action"], refusal["text"])
            found.append(_Transaction(time, identity, sender, reason, refused_user(refusal["text"]), before, stage == b"MAIL", first))
    return found


def _standalone(session: Session, transactions: list[_Transaction]) -> list[_Transaction]:
    """Transactions that were refused as a whole. Where `mail=` counts more than can be told apart, later refusals stand for them."""
    at_mail = [t for t in transactions if t.mail]
    begun = [t for t in transactions if t.first and not t.mail]
    last = [t for t in begun if t.before == len(session.messages)]
    more = [t for t in transactions if not t.first and t.before == len(session.messages)]
    if session.counts is None:
        chosen = last
    else:
        spare = max(0, session.counts.get(b"mail", (0, 0))[0] - len(session.messages))
        within = [t for t in begun if t.before < len(session.messages)]
        chosen = (last[::-1] + within[::-1] + more[::-1])[:spare]
    return sorted(at_mail + chosen, key=lambda t: t.time)


def accounts(session: Session) -> set[str]:
    """Case-folded names that signed in, or that a refusal names."""
    said = [*(line for _, line, _ in session.refusals), *(line for _, line, _, _ in session.refused)]
    named = (refused_user(refusal["text"]) for refusal in map(lines.REFUSAL.fullmatch, said) if refusal)
    found = map(lines.text, (session.account, *(message.account for message in session.messages), *named))
    return {name.casefold() for name in found if name is not None}


def refused_user(text: bytes) -> bytes | None:
    """The account that Postfix names in a refusal, where no other text can be mistaken for it."""
    owner = lines.NOT_OWNED.fullmatch(text)
    if owner:
        return owner["user"]
    if text.count(b"; from=<") != 1:
        return None
    envelope = lines.ENVELOPE.fullmatch(text)
    if not envelope or not envelope["suffix"] or b"> proto=" in envelope["suffix"]:
        return None
    suffix = lines.SUFFIX_USER.fullmatch(envelope["suffix"])
    return suffix["user"] if suffix else None


def _message_row(server: Server, message: Message, outcome: Outcome, time: int, reason: str | None) -> Submission:
    session = message.session
    version, cipher = session.version_for(message.client)
    identity = message.identity or server.message_identity(message.queue_id, message.opened)
    helo = None if session.speaks_for_another(message.client) else message.helo or session.helo
    return Submission(
        key=identity.key,
        opened=identity.opened,
        time=time,
        server=server.host,
        service=session.door.tag.service.value,
        source=SOURCE,
        client_ip=lines.address(message.client),
        client_name=lines.client_name(session.name_of(message.client, message.name)),
        helo=lines.text(helo),
        account=lines.text(message.account),
        account_key=None,
        mechanism=lines.mechanism(message.mechanism),
        tls_version=version.value,
        tls_cipher=cipher,
        sender=lines.text(message.sender),
        recipients=message.recipients,
        size=message.size,
        queue_id=lines.text(message.queue_id) or None,
        message_id=lines.text(message.message_id) or None,
        outcome=outcome.value,
        reason=reason,
    )


def _session_row(server: Server, session: Session, identity: Identity, outcome: Outcome, time: int, reason: str | None) -> Submission:
    version, cipher = session.version_for(session.client)
    return bare(identity, time, server.host, SOURCE, outcome.value)._replace(
        service=session.door.tag.service.value,
        client_ip=lines.address(session.client),
        client_name=lines.client_name(session.name_of(session.client, session.name)),
        helo=None if session.speaks_for_another(session.client) else lines.text(session.helo),
        account=lines.text(session.account),
        mechanism=lines.mechanism(session.mechanism),
        tls_version=version.value,
        tls_cipher=cipher,
        reason=reason,
    )
