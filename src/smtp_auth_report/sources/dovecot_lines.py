"""
Dovecot's submission service: what each line says.

Above each pattern stands the line it reads. Elements of a login line are as `login_log_format_elements` orders them: what a
client can write is the user's name alone, so they are taken from both ends of the line up to it. A name of more than 80
characters is cut there, and whole in the prefix of later lines.

See also
    dovecot: src/login-common/client-common.c, src/submission/submission-backend-relay.c, src/submission/submission-client.c
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from smtp_auth_report.sources import handshakes, values
from smtp_auth_report.submission import Service, Tls

# submission-login: Login: user=<anna>, method=PLAIN, rip=192.0.2.10, lip=192.0.2.1, mpid=3212, TLS, session=<1EsQ0vNgMYd/AAJk>
# submission-login: Logged in: user=<anna>, …                       2.4
# submission-login: Disconnected: Connection closed (auth failed, 2 attempts in 4 secs): user=<anna>, method=PLAIN, …
# submission-login: Aborted login (auth failed, 1 attempts in 2 secs): user=<anna>, …                       before 2.3.15
# submission-login: Client has quit the connection (auth failed, 1 attempts in 2 secs): user=<anna>, …      2.3 of 2020
# submission-login: Remote closed connection (auth failed, 1 attempts in 2 secs): user=<anna>, …            2.3 of 2020
# submission-login: Login aborted: Connection closed (auth failed, 1 attempts in 2 secs) (auth_failed): user=<anna>, …        2.4
LOGIN = re.compile(
    rb"submission-login: (?:Info: )?(?P<says>(?P<ok>Login|Logged in)|(?:Disconnected|Aborted login|Login aborted"
    rb"|Client has quit the connection|(?:Remote|Server) closed (?:the )?connection|(?:Read|Write) failure)\b.*?)"
    rb": (?P<elements>[a-z_]+=.*)",
    re.DOTALL,
)
# (auth failed, 2 attempts in 4 secs)        (internal failure, 1/3 successful auths in 4 secs)
ATTEMPTS = re.compile(rb"(?P<attempts>\d{1,4}) attempts in |(?P<good>\d{1,4})/(?P<all>\d{1,4}) successful auths in ")

# TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)
SECURITY = re.compile(rb"(?:[a-z_]+=<?)?(?P<version>[A-Za-z]+v[\d.]+) with cipher (?P<cipher>\S+) \(\d+/\d+ bits\).*", re.DOTALL)

# submission(anna)<3212><1EsQ0vNgMYd/AAJk>: Disconnected: Logged out (state=READY) in=5070 out=113
# submission(anna)<3212><1EsQ0vNgMYd/AAJk>: relay: Successfully relayed message: …        2.4
PREFIX = re.compile(rb"\)<(?P<pid>\d+)><(?P<session>[^<>\s]+)>: (?:Info: )?(?:relay: )?")
# submission(anna): Disconnected: …        mail_log_prefix has neither pid nor session
BARE_PREFIX = re.compile(rb"\)[^\s:]*: (?:Info: )?(?:relay: )?(?=Successfully relayed message: |Failed to relay message: |Disconnect)")
# Successfully relayed message: from=<a@b.example>, size=4968, id=D6iFNEFlBGuMDAAAg+zDdQ, nrcpt=1, reply=`250 2.0.0 Ok: queued as …'
# Failed to relay message: from=<a@b.example>, size=368, nrcpt=1, reply=`550 5.7.1 content refused'
RELAYED = re.compile(
    rb"(?P<ok>Successfully relayed|Failed to relay) message: from=<(?P<sender>.*)>, size=(?P<size>\d{1,18})(?:, id=(?P<id>\S+))?, "
    rb"nrcpt=(?P<recipients>\d{1,9}), reply=`(?P<reply>.*)'",
    re.DOTALL,
)
# 250 2.0.0 Ok: queued as 4F1A022C8A9
QUEUED = re.compile(rb".*\bqueued as (?P<qid>[0-9A-Za-z]{5,40})", re.DOTALL)
# 250 OK id=1rKf3b-000ABC-2E        250 2.0.0 6ANGKaVY011771 Message accepted for delivery
TAKEN = re.compile(rb"250 (?:[\d.]+ )?(?:OK id=(?P<exim>\S+)|(?P<other>[0-9A-Za-z]+) Message accepted for delivery).*", re.DOTALL)

# Nov 23 16:09:37 submission-login: Info: Login: user=<anna>, …        log_path is a file
FILED = re.compile(
    rb"(?P<stamp>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?) "
    rb"(?P<text>[a-z][a-z0-9-]*(?:\(.*\))?(?:<[^<>\s]*>)*: (?:Debug|Info|Warning|Error|Fatal|Panic): .*)",
    re.DOTALL,
)

ENDS = (b"Disconnected: ", b"Disconnect from ")  # the second until 2.3.14
CUT = "..."
_CONTROL = re.compile(rb"#0[0-3][0-7]|[\x00-\x1f\x7f]")  # rsyslog writes #011 for a tab
_PORTS = {b"587": Service.SUBMISSION, b"465": Service.SUBMISSIONS}
_PORT_KEYS = frozenset({b"lport", b"port", b"local_port"})

_FAILURES = (
    (b"no auth attempts", ""),
    (b"auth failed", "bad_credentials"),
    (b"authorization failed", "bad_credentials"),
    (b"authentication failure", "bad_credentials"),
    (b"user disabled", "bad_credentials"),
    (b"password expired", "bad_credentials"),
    (b"login disabled", "bad_credentials"),
    (b"logins disabled", "bad_credentials"),
    (b"temporary", "server_error"),
    (b"communication failure", "server_error"),
    (b"internal failure", "server_error"),
    (b"invalid base64", "protocol_error"),
    (b"unsupported auth mechanism", "mechanism_not_offered"),
    (b"disallowed plaintext auth", "not_offered"),
    (b"disallowed cleartext auth", "not_offered"),
    (b"connection limit", "rate_limited"),
    (b"finish sasl auth", "aborted"),
    (b"disconnected while", "aborted"),
    (b"aborted authentication", "aborted"),
    (b"auth aborted", "aborted"),
)
_REFUSALS = (
    (rb"message size|size limit|too large|5\.2\.3|5\.3\.4|^552", "too_large"),
    (rb"rate limit|too many|too much|quota", "rate_limited"),
    (rb"^4", "deferred"),
)
REASONS = tuple(
    sorted(
        {reason for _, reason in _FAILURES if reason}
        | {reason for _, reason in _REFUSALS}
        | {"content_refused"}
        | handshakes.reasons(handshakes.OPENSSL)
    )
)
"""Every value of `Submission.reason` that this source gives."""


@dataclass(slots=True)
class Login:
    """What a line of submission-login tells of one client."""

    ok: bool
    says: bytes
    account: bytes = b""
    fields: dict[bytes, bytes] = field(default_factory=dict)
    encrypted: bool = False
    secured: bool = False  # in clear, and from an address that is trusted
    handshaking: bool = False  # the connection ended before TLS was agreed on
    trouble: bytes = b""  # why, where the elements tell
    version: Tls = Tls.UNVERSIONED
    cipher: str | None = None

    def take(self, element: bytes) -> None:
        """An element that the server wrote."""
        key, is_pair, value = element.partition(b"=")
        security = SECURITY.fullmatch(element)
        if security:
            self.encrypted = True
            self.version, self.cipher = values.tls_version(values.text(security["version"])), values.text(security["cipher"])
        elif element.startswith(b"TLS handshak"):
            self.handshaking, self.trouble = True, element
        elif element in {b"TLS", b"TSL"} or element.startswith(b"TLS:"):  # one of them as 2.4 writes it where a proxy spoke TLS
            self.encrypted = True
        elif element == b"secured":
            self.secured = True
        elif is_pair:
            self.fields.setdefault(key, value.removeprefix(b"<").removesuffix(b">"))

    @property
    def session(self) -> str:
        """Its id; where the elements lack it, the pid of the process that goes on with the client."""
        return values.text(self.fields.get(b"session") or self.fields.get(b"mpid") or b"").replace(" ", "")

    @property
    def client(self) -> str | None:
        """Address of the client."""
        return values.address(values.text(self.fields.get(b"rip", b"")))

    @property
    def from_here(self) -> bool:
        """The client is on the server itself."""
        return self.client is not None and self.client == values.address(values.text(self.fields.get(b"lip", b"")))

    @property
    def mechanism(self) -> str:
        """IANA name."""
        return values.mechanism(values.text(self.fields.get(b"method", b"")))

    @property
    def service(self) -> Service:
        """The door, where the elements tell the port."""
        return next((_PORTS[self.fields[key]] for key in _PORT_KEYS & self.fields.keys() if self.fields[key] in _PORTS), Service.UNKNOWN)


def login(text: bytes) -> Login | None:
    """Parts of a line of submission-login that tells how signing in went; None for another."""
    found = LOGIN.fullmatch(text)
    if found is None:
        return None
    told = Login(found["ok"] is not None, found["says"], handshaking=b"during TLS handshake" in found["says"])
    before, has_user, behind = found["elements"].partition(b"user=<")
    for element in before.split(b", ") if before else ():
        told.take(element)
    if has_user:
        told.account = _account(told, behind.split(b", "))
    return told


def _account(told: Login, elements: list[bytes]) -> bytes:
    """
    The user's name, up to the last `>` that is not the server's; what follows is. The server writes each of its keys once,
    and brackets around few values: none behind the name's own once it has written the usual keys.
    """
    while elements:
        key, _, value = elements[-1].partition(b"=")
        if elements[-1].endswith(b">"):
            usual = {b"rip", b"method"} <= told.fields.keys() and key != b"session"
            if usual or key in told.fields or not value.startswith(b"<"):
                break
        told.take(elements.pop())
    return b", ".join(elements)[:-1]


def version(says: bytes) -> str:
    """Which Dovecot words it so; "" where all do."""
    if says.startswith((b"Logged in", b"Login aborted")):
        return "2.4"
    return "" if says.startswith(b"Disconnected") else "2.3"


def failed(told: Login) -> tuple[int, str]:
    """How many sign-ins failed, and why the last did; none where none was tried."""
    lower = told.says.lower()
    reason = next((reason for needle, reason in _FAILURES if needle in lower), "")
    found = ATTEMPTS.search(told.says)
    if not reason or found is None:
        return (1, reason) if reason else (0, "")
    if found["attempts"]:
        return int(found["attempts"]), reason
    return max(1, int(found["all"]) - int(found["good"])), reason


class Served(NamedTuple):
    """What the process that serves a client says of it."""

    account: str
    pid: str | None
    session: str | None
    says: bytes


def served(text: bytes) -> list[Served]:
    """
    Every way to read a line of the submission process, the last first: a user's name, or a sender, may look like what the
    server puts behind the name.
    """
    ways = []
    for found in reversed([*PREFIX.finditer(text)] or [*BARE_PREFIX.finditer(text)]):
        pid, session = (values.text(each) if each else None for each in (found.groups() or (None, None)))
        ways.append(Served(name(text[len(b"submission(") : found.start()]), pid, session, text[found.end() :]))
    return ways


def same_name(told: str, whole: str) -> bool:
    """Whether the name of a login line, which cuts it, is this one."""
    return told == whole or (told.endswith(CUT) and whole.startswith(told.removesuffix(CUT)))


def name(raw: bytes) -> str:
    """A user's name as Dovecot writes it to be shown: control characters are "?"."""
    return values.text(_CONTROL.sub(b"?", raw))


def queue_id(reply: bytes) -> bytes | None:
    """Under which Postfix queued the message; None where the answer is another server's."""
    found = QUEUED.fullmatch(reply)
    return found["qid"] if found else None


def other_id(reply: bytes) -> bytes | None:
    """Under which another server took the message."""
    found = TAKEN.fullmatch(reply)
    return (found["exim"] or found["other"]) if found else None


def refusal_reason(reply: bytes) -> str:
    """Why the server behind refused a message, in our words."""
    lower = reply.lower()
    return next((reason for pattern, reason in _REFUSALS if re.search(pattern, lower)), "content_refused")


def handshake_reason(told: Login) -> str:
    """Why a TLS handshake failed, in our words; a client that left said nothing. Before 2.3.15 the elements alone tell."""
    says = told.says if b"SSL" in told.says else told.trouble
    if b"SSL" not in says or b"unexpected eof" in says:
        return "connection_lost"
    return handshakes.reason(says, handshakes.OPENSSL)
