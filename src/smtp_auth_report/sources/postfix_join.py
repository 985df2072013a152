"""
Postfix: what each line does to its session, and when that gives a row.

    join = Join(logbook, source_name)
    join.connect(process, stamp, message)         one method for each kind of line
    join.sweep(server)                            what has been open for a day of log time is given up

An accepted message gives its row when the queue manager takes it, and gives it again when the end of its session tells
more. All other rows are given at the end of the session. Rows may be given any number of times: their identity stays.

See also
    postfix_lines.py for the lines, postfix_sessions.py for what they are joined to, postfix_rows.py for the rows
"""

from __future__ import annotations

import re
from collections import Counter

from smtp_auth_report.moments import DAY, SECOND
from smtp_auth_report.sources import postfix_lines as lines
from smtp_auth_report.sources import postfix_rows as rows
from smtp_auth_report.sources.identities import relayed_identity
from smtp_auth_report.sources.logbook import Logbook
from smtp_auth_report.sources.postfix_sessions import Door, Message, Process, Server, Session
from smtp_auth_report.sources.stamps import queue_id_time
from smtp_auth_report.submission import Identity, Submission

REPEATS = 10_000
SAME = 2 * SECOND  # stamps of one event may differ so much
ACTIVE_KEPT = 4_000
NAMED = b"="  # before a queue id: its message-id line, not the queue manager's


class Join:
    """Joins the lines of one file."""

    def __init__(self, log: Logbook, source: str) -> None:
        self.log = log
        self.clock = log.clock
        self.pending: Counter[bytes] = Counter()  # queue ids under way on any server: most lines fail this one test
        self.filtered = False  # a before-queue filter is in use somewhere
        self._source = source

    def time(self, server: Server, stamp: bytes) -> int:
        time = self.clock.at(stamp)
        if time is None:
            return server.newest or self.log.options.now
        if time > server.newest:  # noqa: PLR1730 - for every line
            server.newest = time
        return time

    def unread(self, process: Process, stamp: bytes, reason: str, message: bytes) -> None:
        self.log.unread(self._source, process.server.host, self.time(process.server, stamp), reason, message)

    # Lines about a connection

    def connect(self, process: Process, _stamp: bytes, message: bytes) -> None:
        if (process.daemon and process.daemon != "smtpd") or not message.startswith(b"connect from "):
            return
        if process.session is not None:
            self._break_off(process, process.session)
        process.session = session = Session(process.door, process.pid)
        session.whole = True
        session.opening = message

    def tls(self, process: Process, stamp: bytes, message: bytes) -> None:
        if b"established from " not in message or process.daemon not in {"smtpd", ""}:
            return
        self.log.about += 1
        session = process.session
        if session is not None and session.encrypted and not session.spoke_tls(message, stamp):
            self._break_off(process, session)
        session = self._session(process)
        session.tls, session.tls_stamp = message, stamp

    def disconnect(self, process: Process, stamp: bytes, message: bytes) -> None:
        if not message.startswith(b"disconnect from "):
            return  # discarding EHLO keywords: CHUNKING
        found = None
        if process.session is not None and process.session.account is not None:
            found = lines.DISCONNECT.fullmatch(message)
            if found is not None and process.session.belongs_to_another(found["ip"]):
                self._break_off(process, process.session)
        session, process.session = process.session, None
        door = process.door
        if not door.starttls and b" starttls=" in message and b" starttls=0" not in message:
            self._shows_starttls(process.server, door)
        if (session is None or not session.interesting) and b" auth=" not in message:
            return
        found = found or lines.DISCONNECT.fullmatch(message)
        if found is None:
            if session is not None and session.interesting:
                self.end(process.server, session)
            self.unread(process, stamp, "end of a session not understood", message)
            return
        self.log.about += 1
        session = session or Session(door, process.pid)
        session.last = self.time(process.server, stamp)
        session.ended = session.last
        session.client = session.client if session.account is not None else found["ip"]
        session.name = session.name if session.account is not None else found["name"]
        if found["counts"]:
            session.counts = lines.counts(found["counts"])
        self.end(process.server, session)

    def handshake(self, process: Process, stamp: bytes, message: bytes) -> None:
        found = lines.HANDSHAKE.fullmatch(message)
        if found is None:
            return
        if process.session is not None and process.session.tls is not None:
            self._break_off(process, process.session)
        session = self._session(process)
        session.client, session.name = found["ip"], found["name"]
        session.last = self.time(process.server, stamp)
        identity = process.server.line_identity("tls_failed", process.pid, session.last, found["ip"])
        session.handshake = session.last, found["reason"], identity
        session.interesting = True
        self.log.about += 1

    def warning(self, process: Process, stamp: bytes, message: bytes) -> None:
        if b"]: SASL " in message or (b": SASL " in message and not message.startswith(b"warning: SASL ")):
            self.failure(process, stamp, message)
        elif process.session is not None and process.session.handshake and lines.LIBRARY.fullmatch(message):
            process.session.library = message
        elif message.startswith(b"warning: Illegal address syntax from "):
            found = lines.ILLEGAL.fullmatch(message)
            if found:
                words = b"reject: MAIL from %s: 501 5.1.7 sender address rejected; from=<%s> proto=ESMTP"
                self.refused(process, stamp, words % (found["client"], found["sender"]))
        elif b"queue file size limit" in message:
            found = lines.TOO_LARGE.fullmatch(message)
            pending = process.server.pending.get(found["qid"]) if found else None
            if pending is not None and pending.accepted is None:
                self._refuse(process.server, pending, self.time(process.server, stamp), "too_large")

    def failure(self, process: Process, stamp: bytes, message: bytes) -> None:
        if process.daemon and process.daemon != "smtpd":
            return
        found = lines.FAILURE.fullmatch(message)
        if found is None:
            self.unread(process, stamp, "failed sign-in not understood", message)
            return
        session = self._session(process)
        session.interesting = True
        session.client, session.name = found["ip"], found["name"]
        session.last = self.time(process.server, stamp)
        self._takes_auth(process.server, process.door)
        server_side = b"%s %s" % (found["ip"], found["mechanism"])
        identity = process.server.line_identity("auth_failed", process.pid, session.last, server_side)
        session.failures.append((session.last, message, identity))
        self.log.about += 1

    def repeated(self, process: Process, stamp: bytes, message: bytes) -> None:
        found = lines.REPEATED.fullmatch(message)
        if found and b": SASL " in found[2]:
            self.repeat(process, stamp, found[2], int(found[1]))

    def repeat(self, process: Process, stamp: bytes, message: bytes, times: int) -> None:
        about = self.log.about
        for _ in range(min(times, REPEATS)):
            self.failure(process, stamp, message)
        self.log.about = about + 1

    # Lines about a transaction

    def client(self, process: Process, stamp: bytes, message: bytes, queue_id: bytes) -> None:
        server = process.server
        if b"sasl_" not in message:
            self.reused(process, stamp, message, queue_id)
            return
        found = lines.MAIL.fullmatch(lines.as_vouched(message, process.session.opening) if process.session else message)
        if found is None:
            self.unread(process, stamp, "client of a message not understood", message)
            return
        self.log.about += 1
        if found["original"] is not None and found["original"] in server.recent:
            server.returns = True
            return
        if found["mechanism"] is None and found["user"] is None:
            return
        if process.session is not None and process.session.belongs_to_another(found["ip"]):
            self._break_off(process, process.session)
        session = self._session(process)
        self._sign_in(session, found, self.time(process.server, stamp))
        self._takes_auth(server, session.door)
        mail = Message(session)
        mail.opened = session.last
        mail.client, mail.name = found["ip"], found["name"]
        mail.account, mail.mechanism = found["user"], found["mechanism"]
        session.messages.append(mail)
        if queue_id == b"NOQUEUE":
            server.filtered = self.filtered = True
            return
        self.clock.evidence(stamp, queue_id_time(queue_id))
        mail.opened = self.time(process.server, stamp)
        mail.queue_id = queue_id
        self.reused(process, stamp, message, queue_id)
        server.own(queue_id, mail.opened)
        self._await(server, mail)
        if session.proxied:
            self._tell_front(mail.opened, mail.account, mail.client, server.message_identity(queue_id, mail.opened))

    def _tell_front(self, time: int, account: bytes | None, client: bytes, begun: Identity | None) -> None:
        """A server in front may be in the same log, and needs to know what it does not log itself."""
        self.log.vouched(time, lines.text(account), lines.address(client), begun)

    def _sign_in(self, session: Session, found: re.Match[bytes], time: int) -> None:
        session.interesting = session.authenticated = True
        session.last = time
        session.client, session.name = found["ip"], found["name"]
        session.account, session.mechanism = found["user"], found["mechanism"]
        session.proxied = session.proxied or (found["mechanism"] or b"").upper() == b"XCLIENT"

    def reused(self, process: Process, _stamp: bytes, _message: bytes, queue_id: bytes) -> None:
        """A short queue id is given again: the message that had it will not be taken any more."""
        server = process.server
        server.active.pop(queue_id, None)
        server.active.pop(NAMED + queue_id, None)
        old = self._release(server, queue_id)
        if old is not None:
            self.settle(server, old.session, given_up=True)

    def picked_up(self, process: Process, stamp: bytes, message: bytes, queue_id: bytes) -> None:
        """Sent on this machine; or requeued by postsuper, which the queue manager may not have met under its first queue id."""
        self.reused(process, stamp, message, queue_id)
        found = lines.REQUEUED.fullmatch(message)
        mail = process.server.pending.get(found["original"]) if found else None
        if found and mail is not None and mail.accepted is None and self._same_queue(process.server, mail, process):
            mail.sender = found["sender"]
            self.log.about += 1
            self._taken_unsized(process, stamp, mail)

    def active(self, process: Process, stamp: bytes, message: bytes, queue_id: bytes) -> None:
        server = process.server
        mail = server.pending.get(queue_id)
        if mail is None or not self._same_queue(server, mail, process):
            if server.filtered and b"(queue active)" in message:
                self._keep(server, queue_id, message)
            return
        found = lines.ACTIVE.fullmatch(message)
        if found is None:
            if b"(queue active" in message:
                self.unread(process, stamp, "queue manager's line not understood", message)
            return
        self.log.about += 1
        self._sized(server, mail, found)
        if mail.accepted is None:
            mail.accepted = self.time(process.server, stamp)
            mail.refused = None
        self._take(server, mail)

    def _sized(self, server: Server, mail: Message, found: re.Match[bytes]) -> None:
        mail.sender, mail.size, mail.recipients = found["sender"], int(found["size"]), int(found["recipients"])
        mail.sized = True
        self._release(server, mail.queue_id)

    @staticmethod
    def _keep(server: Server, key: bytes, message: bytes) -> None:
        """What a queue id may have been said of before its filter answers."""
        server.active[key] = message
        if len(server.active) > 2 * ACTIVE_KEPT:
            server.active = dict(list(server.active.items())[ACTIVE_KEPT:])

    @staticmethod
    def _same_queue(server: Server, mail: Message, process: Process) -> bool:
        own = mail.session.door.tag.instance
        if process.instance == own:
            server.queues.add(own)
            return True
        return own not in server.queues

    def _take(self, server: Server, mail: Message) -> None:
        """The message is accepted: its row can be seen from now on."""
        session = mail.session
        row = self._accepted(server, mail)
        if session.no_mail is not None:
            if session.no_mail != row.identity:
                self.log.changes.withdraw(session.no_mail)
            session.no_mail = None
        self._put(mail, row)
        if session.ended is not None:
            self.settle(server, session)

    def _accepted(self, server: Server, mail: Message) -> Submission:
        """Its row. What a server in front handed on, that one tells of too; it may hear of it before the queue manager does."""
        if mail.session.proxied and mail.identity is None and mail.accepted is not None:
            heard = self.log.relayed.pop(mail.queue_id, 0)
            decided = heard if mail.opened <= heard <= mail.accepted + SAME else mail.accepted
            mail.identity = relayed_identity(mail.queue_id, decided, front=False)
        return rows.accepted(server, mail)

    def message_id(self, process: Process, _stamp: bytes, message: bytes, queue_id: bytes) -> None:
        server = process.server
        mail = server.pending.get(queue_id)
        if not message.startswith(b"message-id=", len(queue_id) + 2):
            return
        if mail is not None:
            mail.message_id = message[len(queue_id) + 13 :]
        elif server.filtered:
            self._keep(server, NAMED + queue_id, message)

    def action(self, process: Process, stamp: bytes, message: bytes, queue_id: bytes) -> None:
        """reject, milter-reject, discard, hold, info, permit, …, of smtpd or cleanup."""
        if queue_id == b"NOQUEUE":
            self.refused(process, stamp, message)
            return
        mail = process.server.pending.get(queue_id)
        if mail is None:
            return
        self.log.about += 1
        found = lines.HEADER.fullmatch(message)
        if found and mail.helo is None:
            mail.helo = mail.session.helo = found["helo"]
        if mail.sender is None:
            envelope = lines.ENVELOPE.fullmatch(message) or lines.ENVELOPE.fullmatch(message.rpartition(b": ")[0])
            mail.sender = envelope["sender"] if envelope else None
        word = message[len(queue_id) + 2 :]
        refusal = lines.REFUSAL.fullmatch(message)
        if refusal is not None:
            if refusal["stage"] == b"END-OF-MESSAGE" and mail.accepted is None:
                reason = lines.refusal_reason(refusal["action"], refusal["text"])
                self._refuse(process.server, mail, self.time(process.server, stamp), reason)
            elif refusal["stage"] == b"DATA" and mail.accepted is None:
                mail.refused = self.time(process.server, stamp), lines.refusal_reason(refusal["action"], refusal["text"])
        elif mail.accepted is not None:
            return
        elif word.startswith((b"reject: ", b"milter-reject: ")):
            self._refuse(process.server, mail, self.time(process.server, stamp), "content_refused")
        elif word.startswith((b"discard: ", b"milter-discard: ")):
            self._taken_unsized(process, stamp, mail)
        elif word.startswith((b"hold: ", b"milter-hold: ")):
            mail.held = self.time(process.server, stamp)

    def _refuse(self, server: Server, mail: Message, time: int, reason: str) -> None:
        """The content is refused: the queue id is free for another message."""
        mail.refused = time, reason
        self._leave(server, mail)

    def _leave(self, server: Server, mail: Message) -> None:
        if server.pending.get(mail.queue_id) is mail:
            self._release(server, mail.queue_id)

    def _taken_unsized(self, process: Process, stamp: bytes, mail: Message) -> None:
        """The client is told that the message was taken, and no queue manager will see it under this queue id."""
        mail.accepted = self.time(process.server, stamp)
        mail.sized = True
        self._release(process.server, mail.queue_id)
        self._take(process.server, mail)

    def refused(self, process: Process, stamp: bytes, message: bytes) -> None:
        """A refusal without queue id; it counts only if the session turns out to have signed in."""
        if process.daemon not in {"smtpd", ""}:
            return
        session = self._session(process)
        session.refusals.append((stamp, message, len(session.messages)))
        if session.proxied:
            self._tell_front(self.time(process.server, stamp), session.account, session.client, None)
        elif not session.interesting and (b"sasl_username=" in message or b"not owned by user" in message):
            found = lines.REFUSAL.fullmatch(message)
            user = rows.refused_user(found["text"]) if found else None
            session.interesting = session.authenticated = user is not None
            if found and found["ip"] and user is not None:
                self._tell_front(self.time(process.server, stamp), user, found["ip"], None)

    def _read_refusals(self, server: Server, session: Session) -> None:
        """Most sessions with refusals are strangers on port 25: only those that signed in are read."""
        unread, session.refusals = session.refusals, []
        for stamp, message, before in unread:
            found = lines.REFUSAL.fullmatch(message)
            envelope = lines.ENVELOPE.fullmatch(message)
            if envelope and envelope["helo"]:
                session.helo = envelope["helo"]
            if found is None:
                continue
            if session.account is None:
                session.account = rows.refused_user(found["text"])
            if found["ip"] is not None and not session.client:
                session.client, session.name = found["ip"], found["name"]
            time = self.time(server, stamp)
            session.last = max(session.last, time)
            server_side = b"%s %s %s %s" % (found["action"], found["stage"], found["ip"] or b"", found["text"][:3])
            session.refused.append((time, message, server.line_identity("rejected", session.pid, time, server_side), before))

    def proxy(self, process: Process, stamp: bytes, message: bytes) -> None:
        """A before-queue filter's answer, of the same smtpd."""
        session = process.session
        open_message = next((m for m in reversed(session.undecided) if not m.queue_id), None) if session else None
        if session is None or open_message is None:
            return
        if message.startswith(b"proxy-reject: "):
            self._filter_refused(process, stamp, message, open_message)
            return
        found = lines.PROXY_ACCEPT.fullmatch(message)
        if found is None:
            self.unread(process, stamp, "answer of a before-queue filter not understood", message)
            return
        self.log.about += 1
        server, mail = process.server, open_message
        mail.accepted = session.last = self.time(server, stamp)
        envelope = lines.ENVELOPE.fullmatch(message)
        mail.sender = envelope["sender"] if envelope else None
        if envelope and envelope["helo"]:
            session.helo = mail.helo = envelope["helo"]
        queued = lines.QUEUED_AS.match(found["answer"])
        if queued:
            self._filtered(server, mail, queued["qid"])
        else:
            mail.identity = server.line_identity("proxy_accept", session.pid, mail.accepted, mail.client)
        self._take(server, mail)

    def _filter_refused(self, process: Process, stamp: bytes, message: bytes, mail: Message) -> None:
        """The filter refused the content; of a recipient it is a refusal like others."""
        found = lines.REFUSAL.fullmatch(message)
        if found is None or found["stage"] not in {b"DATA", b"END-OF-MESSAGE"}:
            self.refused(process, stamp, message)
            return
        self.log.about += 1
        time = mail.session.last = self.time(process.server, stamp)
        envelope = lines.ENVELOPE.fullmatch(message)
        mail.sender = envelope["sender"] if envelope else None
        if envelope and envelope["helo"]:
            mail.session.helo = mail.helo = envelope["helo"]
        reason = lines.refusal_reason(found["action"], found["text"])
        mail.refused = time, "content_refused" if reason == "refused" else reason
        mail.identity = process.server.line_identity("proxy_reject", mail.session.pid, time, mail.client)

    def _filtered(self, server: Server, mail: Message, queue_id: bytes) -> None:
        """The filter gave the message back under this queue id; what that said may stand before the filter's answer."""
        mail.queue_id = queue_id
        server.own(queue_id, mail.opened)
        named, line = server.active.pop(NAMED + queue_id, None), server.active.pop(queue_id, None)
        mail.message_id = named[len(queue_id) + 13 :] if named else None
        active = lines.ACTIVE.fullmatch(line) if line is not None else None
        if active:
            self._sized(server, mail, active)
        else:
            self._await(server, mail)

    # Sessions

    def _await(self, server: Server, mail: Message) -> None:
        """Wait for the queue manager's line."""
        server.pending[mail.queue_id] = mail
        self.pending[mail.queue_id] += 1

    def _release(self, server: Server, queue_id: bytes) -> Message | None:
        """Wait no longer. Another host may have the same short queue id under way."""
        mail = server.pending.pop(queue_id, None)
        if mail is not None:
            self.pending[queue_id] -= 1
            if self.pending[queue_id] <= 0:
                del self.pending[queue_id]
        return mail

    def lost(self, process: Process, _stamp: bytes, message: bytes) -> None:
        """The connection broke while content was sent: that message is not taken."""
        session = process.session
        if session is not None and session.messages and session.undecided and lines.LOST.fullmatch(message):
            latest = session.messages[-1]
            if latest in session.undecided and latest.held is None:
                self._leave(process.server, latest)

    def _session(self, process: Process) -> Session:
        session = process.session
        if session is None:
            session = process.session = Session(process.door, process.pid)
        return session

    def _break_off(self, process: Process, session: Session) -> None:
        """The line that ended it is lost, and the one that began the next: what comes now is of another session."""
        process.session = None
        if session.interesting:
            self.end(process.server, session)

    def _put(self, mail: Message, row: Submission) -> None:
        if row != mail.given:
            mail.given = row
            self.log.changes.put(row)

    def end(self, server: Server, session: Session) -> None:
        """The connection is over."""
        session.ended = session.ended or session.last
        counts = session.counts
        if counts is not None and counts.get(b"auth", (0, 0))[0]:
            session.authenticated = True
        if session.authenticated:
            self._read_refusals(server, session)
        for _ in range(rows.untold_failures(session)):
            line = b"warning: %s[%s]: SASL  authentication failed: not offered" % (session.name, session.client)
            session.failures.append((session.ended, line, server.line_identity("auth_refused", session.pid, session.ended, session.client)))
        session.doubted = session.door.wrapped
        if session.door.learn(session):
            self.settle_waiting(server, session.door)
        if session.waits:
            session.door.wait(session)
        self.settle(server, session)

    def settle(self, server: Server, session: Session, *, given_up: bool = False) -> None:
        """Give the rows of an ended session as far as they are known; keep it while a message is undecided."""
        if session.ended is None:
            return
        self._accept_held(session)
        for mail in session.messages:
            if mail.accepted is not None:
                if mail.given is None or session.tls is None or (mail.given.helo is None and session.helo is not None):
                    self._put(mail, self._accepted(server, mail))
            elif mail.refused is not None and (mail.queue_id or mail.identity):
                self._put(mail, rows.refused_message(server, mail))
        self._give_others(server, session)
        undecided = self._still_possible(server, session)
        if undecided and not given_up:
            server.lingering[id(session)] = session
        else:
            server.lingering.pop(id(session), None)
        if session.authenticated and not self._something_happened(session, undecided):
            row = rows.no_mail(server, session)
            session.no_mail = row.identity
            self.log.changes.put(row)

    def _still_possible(self, server: Server, session: Session) -> list[Message]:
        """Messages the queue manager may still take; none when the counters say that no more content was taken."""
        undecided = [m for m in session.undecided if server.pending.get(m.queue_id) is m]
        if session.counts is not None and session.taken <= sum(m.accepted is not None for m in session.messages):
            for mail in undecided:
                self._leave(server, mail)
            return []
        return undecided

    @staticmethod
    def _accept_held(session: Session) -> None:
        """A held message has no queue manager's line; the counters tell whether its content was taken."""
        for mail in session.messages:
            if mail.held is not None and mail.accepted is None and mail.refused is None and session.taken:
                mail.accepted = mail.held

    def _something_happened(self, session: Session, undecided: list[Message]) -> bool:
        if any(m.accepted is not None or (m.refused is not None and (m.queue_id or m.identity)) for m in session.messages):
            return True
        if rows.rejected_any(session):
            return True
        if not undecided:
            return False
        return session.counts is None or session.taken > 0

    def _give_others(self, server: Server, session: Session) -> None:
        """Failures, refused transactions, a failed handshake. What an open session gave too early is taken back."""
        refused = rows.rejected(server, session)
        handshake = rows.handshake_failed(server, session)
        for row in (*rows.failed(server, session), *refused, *([handshake] if handshake else [])):
            self.log.changes.put(row)
        if session.given_early:
            given = {row.identity for row in refused}
            for _, _, identity, _ in session.refused:
                if identity not in given:
                    self.log.changes.withdraw(identity)

    def give_open(self, server: Server, session: Session) -> None:
        """What is known of a session that has not ended."""
        if session.authenticated:
            self._read_refusals(server, session)
        if session.interesting:
            self._give_others(server, session)
            session.given_early = True

    def _shows_starttls(self, server: Server, door: Door) -> None:
        """The door is not wrapper mode: what waited for that was in clear."""
        door.starttls = True
        self.settle_waiting(server, door)

    def _takes_auth(self, server: Server, door: Door) -> None:
        """Handshakes that failed here were those of clients that would have signed in."""
        if not door.sasl:
            door.sasl = True
            self.settle_waiting(server, door)

    def settle_waiting(self, server: Server, door: Door) -> None:
        waiting, door.waiting = door.waiting, []
        door.waiting = [session for session in waiting if session.waits]
        for session in waiting:
            self.settle(server, session)

    def sweep_process(self, process: Process) -> None:
        """Give up a session that has been open for a day of log time."""
        session = process.session
        if session is not None and session.interesting and 0 < session.last < process.server.newest - DAY:
            process.session = None
            self.end(process.server, session)

    def sweep(self, server: Server) -> None:
        """Give up what an ended session has waited for, for a day of log time."""
        edge = server.newest - DAY
        for session in [s for s in server.lingering.values() if s.last < edge]:
            for mail in session.undecided:
                self._release(server, mail.queue_id)
            self.settle(server, session, given_up=True)
        for queue_id in [q for q, m in server.pending.items() if m.opened < edge]:
            self._release(server, queue_id)
        for door in server.doors.values():
            door.waiting = [session for session in door.waiting if session.last >= edge]
