"""
Courier 0.6 to 2.0: submissions from the lines of courierd and of its SMTP server.

    courierd: newmsg,id=00000000002587A6.000000006B072153.000001ED, auth=anna@contoso.example: dns; pc ([::ffff:192.0.2.10])
    courierd: started,id=00000000002587A6.…,from=<anna@contoso.example>,module=local,host=…,addr=<bob@contoso.example>
    courierlocal: id=00000000002587A6.…,from=<anna@contoso.example>,addr=<bob@contoso.example>,size=908,success: Message delivered.
    courierd: completed,id=00000000002587A6.…
    courieresmtpd: error,relay=::ffff:192.0.2.10,port=57653,msg="535 Authentication failed.",cmd: AUTH LOGIN anna@contoso.example

A message is told by its id. Courier names account, client and HELO when it has taken the message; sender and recipients when
it begins to deliver it, and its size when it has. TLS is told only to the recipient, in a header.

What goes wrong
    A line that begins like one of ours and matches no expression is Unread. `cmd:` of a failed sign-in holds the first 20
    characters of what the client sent, often its password in base64: they are never taken for a name.

See also
    joining.py; courier: courier/cdmsgq.C, courier/module.esmtp/courieresmtpd.C, courier/libs/lcclog.c
"""

from __future__ import annotations

import base64
import re
from hashlib import blake2b
from typing import ClassVar

from smtp_auth_report.sources import values
from smtp_auth_report.sources.interface import Remedy
from smtp_auth_report.sources.joining import Line, Session, SessionSource
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Outcome

#     0038C081.4D026173.000051A4, with 16 digits for 8 in newer versions
_ID = rb"(?P<id>[0-9A-F]{8,16}\.[0-9A-F]{8,16}\.[0-9A-F]{8})"

# newmsg,id=00000000002587A6.000000006B072153.000001ED, auth=dana, x: dns; pc_1 (pc.example [::ffff:192.0.2.10])
#     Courier makes blanks in HELO underscores, and cuts the whole at 128 characters
NEW = re.compile(
    rb"newmsg,id="
    + _ID
    + rb", auth=(?P<user>.*?): dns; (?P<helo>.*?)(?: \((?:(?P<name>[^\s\[\]()]+) )?\[(?P<ip>[0-9A-Fa-f.:]+)\]\)|(?P<cut>\.\.\.))",
    re.DOTALL,
)
# started,id=…,from=<anna@contoso.example>,module=esmtp,host=example.com,addr=<a@example.com>
STARTED = re.compile(rb"started,id=" + _ID + rb",from=<(?P<sender>.*?)>,module=(?P<module>\w+),host=.*,addr=<(?P<recipient>.*)>", re.DOTALL)
# id=…,from=<anna@contoso.example>,addr=<bob@contoso.example>,size=908,success: Message delivered.
DELIVERED = re.compile(rb"id=" + _ID + rb",from=<.*>,addr=<.*>,size=(?P<size>\d{1,18}),", re.DOTALL)
# completed,id=…
COMPLETED = re.compile(rb"completed,id=" + _ID)

# error,relay=::ffff:192.0.2.10,port=57653,ident="x",msg="535 Authentication failed.",cmd: AUTH PLAIN AGFubmEAeA== anna
FAILED = re.compile(
    rb"error,relay=(?P<ip>[0-9A-Fa-f.:]+)(?:,port=(?P<port>\d+))?(?:,ident=\".*\")?,msg=\"535 Authentication (?P<why>failed|rejected)\.?\""
    rb",cmd: AUTH ?(?P<mechanism>\S*)(?: (?P<rest>.*))?",
    re.DOTALL,
)
# AGFubmEAaHVudGVyMg==       the first 20 characters of an initial response
INITIAL = re.compile(rb"(?=.{1,20}$)[A-Za-z0-9+/]*={0,2}")

PROGRAMS = frozenset("courierd courieresmtpd courieresmtp courierlocal esmtpd esmtpd-msa esmtpd-ssl courieruucp courierfax".split())

REMEDIES = (
    Remedy(
        "sessions",
        'ESMTPAUTH="PLAIN LOGIN CRAM-MD5"',
        "esmtpd, and esmtpd-ssl, in Courier's folder of settings; then restart esmtpd, esmtpd-msa and esmtpd-ssl",
        "clients can sign in here; if they do already, another log is theirs",
    ),
)


class CourierSource(SessionSource):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "courier"
    title: ClassVar[str] = "Courier"
    versions: ClassVar[str] = "0.6 to 2.0"
    sample: ClassVar[str] = "courierd: newmsg,id=0038C081.4D026173.000051A4, auth=anna: dns; pc (pc.example [::ffff:192.0.2.10])"
    tells: ClassVar[frozenset[str]] = frozenset(
        {
            "time", "server", "client_ip", "client_name", "helo", "account", "mechanism", "sender", "recipients", "size", "queue_id",
            "outcome", "reason",
        }
    )  # fmt: skip
    reasons: ClassVar[tuple[str, ...]] = ("bad_credentials", "not_offered")
    remedies: ClassVar[tuple[Remedy, ...]] = REMEDIES
    worth: ClassVar[re.Pattern[bytes]] = re.compile(rb", auth=|started,id=|,size=|completed,id=|535 Authentication")

    @staticmethod
    def owns(tag: str) -> bool:
        """courierd, its SMTP servers and the programs that deliver."""
        return tag in PROGRAMS

    def line(self, line: Line) -> None:
        """What a line does to its message."""
        text = line.text.removeprefix(b"INFO: ")  # as it is on stderr
        if text.startswith(b"newmsg,"):
            self._new(line, text)
        elif text.startswith(b"started,"):
            self._started(line, STARTED.fullmatch(text))
        elif text.startswith(b"id="):
            self._delivered(line, DELIVERED.match(text))
        elif text.startswith(b"completed,"):
            self._completed(line, COMPLETED.match(text))
        elif text.startswith(b"error,"):
            self._failed(line, text)

    def repeatable(self, text: bytes) -> bool:
        """A failed sign-in."""
        return FAILED.match(text) is not None

    def _new(self, line: Line, text: bytes) -> None:
        found = NEW.fullmatch(text)
        if found is None:
            self.unread(line, "new message not understood")
            return
        self.log.about += 1
        queue_id = found["id"].decode()
        session = self.begin(line, queue_id)
        if not found["cut"]:
            session.client_ip = values.address(found["ip"].decode())
            session.client_name = values.text(found["name"]) if found["name"] else None
            session.helo = values.text(found["helo"])
        self.sign_in(session, values.text(found["user"]), UNKNOWN_MECHANISM)
        self.decide(session, self.message(session, line, queue_id), Outcome.ACCEPTED, line.time)

    def _of(self, line: Line, found: re.Match[bytes] | None) -> Session | None:
        """The message that a line names, if someone signed in for it."""
        session = self.open_session(line, found["id"].decode()) if found else None
        if session is not None:
            self.log.about += 1
            session.last = max(session.last, line.time)
        return session

    def _started(self, line: Line, found: re.Match[bytes] | None) -> None:
        session = self._of(line, found)
        if session is None or found is None or found["module"] == b"dsn":
            return
        [message] = session.messages
        recipient = blake2b(found["recipient"], digest_size=6).hexdigest()
        known = session.notes.setdefault("recipients", [])
        if recipient not in known:
            known.append(recipient)
        message.sender, message.recipients = values.text(found["sender"]), len(known)
        self.decide(session, message, Outcome.ACCEPTED, message.time)

    def _delivered(self, line: Line, found: re.Match[bytes] | None) -> None:
        session = self._of(line, found)
        if session is not None and found is not None:
            [message] = session.messages
            message.size = int(found["size"])
            self.decide(session, message, Outcome.ACCEPTED, message.time)

    def _completed(self, line: Line, found: re.Match[bytes] | None) -> None:
        session = self._of(line, found)
        if session is not None:
            self.end(session)

    def _failed(self, line: Line, text: bytes) -> None:
        found = FAILED.fullmatch(text)
        if found is None:
            if b'msg="535 Authentication failed' in text:
                self.unread(line, "failed sign-in not understood")
            return
        self.log.about += 1
        key = f"{found['ip'].decode()}/{(found['port'] or b'').decode()}"
        session = self.session(line, key)
        session.client_ip = values.address(found["ip"].decode())
        reason = "bad_credentials" if found["why"] == b"failed" else "not_offered"
        self.fail(session, line, tried(found["rest"]), values.mechanism(values.text(found["mechanism"])), reason)


def tried(rest: bytes | None) -> str | None:
    """The name that a failed sign-in was for: what stands behind an initial response, or all where there was none."""
    first, _, behind = (rest or b"").partition(b" ")
    name = behind if _is_response(first, behind) else rest
    return values.text(name) if name else None


def _is_response(word: bytes, name: bytes) -> bool:
    """
    Whether it is what the client sent in base64: credentials for PLAIN, the name itself for LOGIN. A word of the full 20
    characters is taken for one: it may be a password.
    """
    if not INITIAL.fullmatch(word):
        return False
    sent = base64.b64decode(word + b"==") if len(word.rstrip(b"=")) % 4 != 1 else b""
    return len(word) == 20 or word.endswith(b"=") or b"\0" in sent or bool(name and sent and name.startswith(sent))
