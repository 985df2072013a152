"""
chasquid 1.0 to 1.18: submissions from its mail log, by file or by syslog.

    2026-11-23 16:06:06.544315 192.0.2.10:44649 auth succeeded for anna.berg@contoso.example
    2026-11-23 16:06:06.547801 192.0.2.10:44649 rejected from=anna@contoso.example to=[x@y.example] - local user does not exist
    2026-11-23 16:06:06.550005 xLj9LHu3KzM from=anna@contoso.example queued ip=192.0.2.10:44649 to=[a@b.example c@d.example]

A session is what one address and port do. Neither its beginning nor its end is logged; chasquid itself ends one that is
silent for minutes, so an hour's silence is taken for the end. It takes one sign-in a session: a second begins another.

What goes wrong
    A line that begins like one of ours and matches no expression is Unread. chasquid writes line breaks in the domain of a
    user name as they are: what follows one in the file looks like a line of its own. A syslog escapes them.

See also
    own_form.py; chasquid: internal/maillog/maillog.go
"""

from __future__ import annotations

import re
from typing import ClassVar

from smtp_auth_report.sources import replies, values
from smtp_auth_report.sources.interface import Remedy
from smtp_auth_report.sources.joining import Line, Session
from smtp_auth_report.sources.own_form import OwnFormSource
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Outcome

#         192.0.2.10:44649       [2001:db8::1]:44649
_PEER = rb"(?P<peer>(?P<ip>[\d.]+|\[[0-9A-Fa-f:.]+(?:%[^\]\s]+)?\]):\d{1,5})"

PEER = re.compile(_PEER + rb" (?:auth|rejected) ")

# 192.0.2.10:44649 auth succeeded for anna.berg@contoso.example
AUTH = re.compile(_PEER + rb" auth (?P<result>succeeded|failed) for (?P<user>.*)", re.DOTALL)

# xLj9LHu3KzM from=anna@contoso.example queued ip=192.0.2.10:44649 to=[a@b.example c@d.example]     no address has a blank
QUEUED = re.compile(rb"(?P<id>[\w-]{4,40}) from=(?P<sender>\S*) queued ip=" + _PEER + rb" to=\[(?P<recipients>[^\]]*)\]", re.DOTALL)

# 192.0.2.10:44649 rejected from=anna@contoso.example to=[x@y.example] - local user does not exist
REJECTED = re.compile(_PEER + rb" rejected(?: from=(?P<sender>\S*))?(?: to=\[[^\]]*\])? - (?P<error>.*)", re.DOTALL)

REMEDIES = (
    Remedy(
        "sessions",
        'mail_log_path: "<syslog>"',
        "chasquid.conf, where it is the default; then restart chasquid. The log to read is that one, not chasquid's own",
        "accounts, messages and failed sign-ins",
    ),
)


class ChasquidSource(OwnFormSource):
    """Reads one log, of one or more hosts."""

    name: ClassVar[str] = "chasquid"
    title: ClassVar[str] = "chasquid"
    versions: ClassVar[str] = "1.0 to 1.18"
    sample: ClassVar[str] = "chasquid[643]: 192.0.2.10:44649 auth succeeded for anna.berg@contoso.example"
    tells: ClassVar[frozenset[str]] = frozenset(
        {"time", "server", "client_ip", "account", "sender", "recipients", "queue_id", "outcome", "reason"}
    )
    reasons: ClassVar[tuple[str, ...]] = tuple(sorted({*replies.REASONS, "bad_credentials"}))
    remedies: ClassVar[tuple[Remedy, ...]] = REMEDIES
    worth: ClassVar[re.Pattern[bytes]] = re.compile(rb" auth (?:succ|fail)| queued ip=| rejected ")
    form: ClassVar[re.Pattern[bytes]] = re.compile(
        rb"(?:(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}) )?(?P<text>\S+ (?:auth|rejected|from=|listening).*)", re.DOTALL
    )
    # daemon listening on 127.0.0.1:587
    sure: ClassVar[re.Pattern[bytes]] = re.compile(
        rb"daemon listening on \S+$|[\d.]+:\d+ (?:auth (?:succeeded|failed) for |rejected )|\[[\w:.%]+\]:\d+ (?:auth|rejected) "
        rb"|[\w-]{4,40} from=\S* (?:queued ip=|to=|completed loop|all done)"
    )

    @staticmethod
    def owns(tag: str) -> bool:
        """chasquid."""
        return tag == "chasquid"

    def line(self, line: Line) -> None:
        """What a line does to its session."""
        auth = AUTH.fullmatch(line.text)
        queued = None if auth else QUEUED.fullmatch(line.text)
        rejected = None if auth or queued else REJECTED.fullmatch(line.text)
        found = auth or queued or rejected
        if found is None:
            if PEER.match(line.text) or b" queued ip=" in line.text:
                self.unread(line, "line of the mail log not understood")
            return
        self.log.about += 1
        session = self.connection(line, found["peer"].decode())
        session.client_ip = values.address(found["ip"].decode())
        if auth:
            self._auth(session, line, auth)
        elif session.authenticated and queued:
            message = self.take(session, line, values.text(queued["id"]), path(queued["sender"]))
            message.recipients = len(queued["recipients"].split())
            self.decide(session, message, Outcome.ACCEPTED, line.time)
        elif session.authenticated and rejected:
            sender = rejected["sender"]
            reason = replies.refusal(values.text(rejected["error"]))
            self.refuse(session, line, None if sender is None else path(sender), reason)

    def _auth(self, session: Session, line: Line, found: re.Match[bytes]) -> None:
        account = values.text(found["user"]).removesuffix("@")
        if found["result"] == b"failed":
            self.fail(session, line, account, UNKNOWN_MECHANISM, "bad_credentials")
            return
        if session.authenticated:
            session = self.begin(line, session.key)
            session.client_ip = values.address(found["ip"].decode())
        self.sign_in(session, account, UNKNOWN_MECHANISM)

    def repeatable(self, text: bytes) -> bool:
        """A failed sign-in."""
        return b" auth failed for " in text


def path(raw: bytes) -> str:
    """Address of an envelope; the null sender is written <>."""
    return "" if raw == b"<>" else values.text(raw)
