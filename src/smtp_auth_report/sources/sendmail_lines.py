"""
Sendmail: what each line says.

Above each pattern stands the line it reads. `from=` and `msgid=` are the client's; what follows the last `, proto=` is the
server's. Account names come in xtext (RFC 3461), everything else with octal escapes for what is not ASCII.

See also
    sendmail: sendmail/srvrsmtp.c, sendmail/tls.c, sendmail/envelope.c (logsender), sendmail/conf.c (sm_syslog)
"""

from __future__ import annotations

import re
from functools import lru_cache

from smtp_auth_report.sources import handshakes, values
from smtp_auth_report.submission import Service, Tls

_QUEUE_ID = rb"(?P<qid>[0-9A-Za-z]{8,24})"

#                desk11.contoso.example [192.0.2.10] (may be forged)        [IPv6:2001:db8::1]        anna@pc.example [192.0.2.10]
_RELAY = re.compile(r"(?:(?P<name>\S+) )?\[(?P<ip>[^\[\]]+)\](?P<forged> \(may be forged\))?")

# STARTTLS=server, relay=desk11.contoso.example [192.0.2.10], version=TLSv1.3, verify=NO, cipher=…, bits=256/256
TLS = re.compile(
    rb"STARTTLS=server, relay=(?P<relay>.*), version=(?P<version>[^,]*), verify=[^,]*, cipher=(?P<cipher>[^,]*), bits=[\d/]*(?:, \w+=\S*)*",
    re.DOTALL,
)
# STARTTLS=server, error: accept failed=-1, reason=no shared cipher, SSL_error=1, errno=0, retry=-1, relay=[192.0.2.10]
HANDSHAKE = re.compile(rb"STARTTLS=server, error: accept failed=-?\d+(?P<reason>.*), relay=(?P<relay>[^,]*)", re.DOTALL)

# AUTH=server, relay=desk11.contoso.example [192.0.2.10], authid=jonas+2Blist@contoso.example, mech=PLAIN, bits=0
AUTH = re.compile(rb"AUTH=server, relay=(?P<relay>.*), authid=(?P<user>[^=]*), mech=(?P<mechanism>[^,]*), bits=\d+", re.DOTALL)

# 6ANGKaob011785: AUTH failure (PLAIN): authentication failure (-13) SASL(-13): …, user=anna, relay=[192.0.2.10]
FAILURE = re.compile(
    _QUEUE_ID + rb": AUTH failure \((?P<mechanism>[^)]*)\): (?P<error>.*?)(?:, user=(?P<user>.*?))?"
    rb"(?:, relay=(?P<relay>(?:(?!, relay=).)*))?",
    re.DOTALL,
)

# 6ANGKaVY011771: from=<anna@contoso.example>, size=14896, class=0, nrcpts=2, msgid=<1@contoso.example>, proto=ESMTPSA, daemon=MSA, relay=…
_PATH = rb"(?:<(?:\"(?:[^\"\\]|\\.)*\"|[^<>\"])*>|[^,<>]*)"
MESSAGE = re.compile(
    _QUEUE_ID + rb": from=(?P<sender>" + _PATH + rb"|.*), size=(?P<size>\d{1,18}), class=-?\d+, nrcpts=(?P<recipients>\d{1,9})"
    rb"(?P<rest>.*?)(?:, proto=(?P<proto>\w+))?(?:, daemon=(?P<daemon>[^,]*))?(?:, tls_verify=[^,]*)?(?:, auth=[^,]*)?"
    rb", relay=(?P<relay>(?:(?!, relay=).)*)",
    re.DOTALL,
)
MESSAGE_ID = re.compile(rb", msgid=(?P<id>.*?)(?:, bodytype=\w+)?", re.DOTALL)

# 6ANGKajA011767: ruleset=check_rcpt, arg1=<x@contoso.example>, relay=[192.0.2.10], reject=550 5.1.1 <x@contoso.example>... User unknown
# 6ANGKajA011767: Milter: data, reject=550 5.7.1 Command rejected
# 6ANGKajA011767: milter=spam, action=rcpt, reject=550 5.7.1 Command rejected          LogLevel 11 and higher
REFUSAL = re.compile(
    _QUEUE_ID + rb": (?:ruleset=(?P<ruleset>\w+), arg1=(?P<argument>.*)|[Mm]ilter(?:=[^,]*)?[:,] (?P<stage>.*)), reject=(?P<text>\d{3} .*)",
    re.DOTALL,
)
# 6ANGKm5l012520: message size (68998) exceeds maximum (60000)
TOO_LARGE = re.compile(_QUEUE_ID + rb": message size \(\d+\) exceeds maximum \(\d+\)")

# 6ANGKat6011778: to=<office16@fabrikam.example>, delay=00:00:00, xdelay=…, stat=Sent (Ok)
DELIVERY = re.compile(_QUEUE_ID + rb": to=.*, stat=(?P<status>(?:(?!, stat=).)*)", re.DOTALL)

# 6ANGKaa3011779: [192.0.2.10] did not issue MAIL/EXPN/VRFY/ETRN during connection to MSA
NO_MAIL = re.compile(_QUEUE_ID + rb": (?P<relay>.*) did not issue MAIL/EXPN/VRFY/ETRN during connection to (?P<daemon>\S+)", re.DOTALL)

# 6ANGKaVY011771[1]: from=<…>, size=14896, class=0, nrcpts=2, ...         a line too long for syslog goes on in [2]
SPLIT = re.compile(rb"(?P<qid>[0-9A-Za-z]{8,24}|NOQUEUE)\[(?P<number>\d{1,3})\]: (?P<text>.*?)(?P<more> \.\.\.)?", re.DOTALL)

# starting daemon (8.17.1.9): SMTP+queueing@00:10:00
STARTED = re.compile(rb"starting daemon \((?P<version>\d[\d.]{0,30})")

_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")

_FAILURES = (
    (b"no mechanism", "mechanism_not_offered"),
    (b"not available", "mechanism_not_offered"),
    (b"generic failure", "server_error"),
    (b"temporary", "server_error"),
    (b"bad protocol", "protocol_error"),
    (b"too many", "rate_limited"),
)
_REFUSALS = (
    (rb"relaying|relay access denied", "relay_denied"),
    (rb"size|5\.2\.3|552", "too_large"),
    (rb"user unknown|unknown user|mailbox|550 5\.1\.1", "unknown_recipient"),
    (rb"rate limit|too many|quota|connections", "rate_limited"),
)
_HANDSHAKES = handshakes.OPENSSL + handshakes.LEFT
_STAGES = {b"check_mail": "sender_refused", b"check_rcpt": "recipient_refused"}
REASONS = tuple(
    sorted(
        {reason for _, reason in _FAILURES}
        | {reason for _, reason in _REFUSALS}
        | set(_STAGES.values())
        | handshakes.reasons(_HANDSHAKES)
        | {"bad_credentials", "content_refused", "deferred", "refused"}
    )
)
"""Every value of `Submission.reason` that this source gives."""


@lru_cache(maxsize=65_536)
def relay(raw: bytes) -> tuple[str | None, str | None]:
    """Address and reverse name of a client; a name that may be forged is none."""
    found = _RELAY.fullmatch(values.text(raw))
    if found is None:
        return None, None
    name = (found["name"] or "").rpartition("@")[2]
    return values.address(found["ip"]), None if found["forged"] else name or None


def plain(raw: bytes) -> str:
    """Text whose bytes outside ASCII were logged in octal."""
    return values.text(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), raw))


def path(raw: bytes) -> str:
    """Address of an envelope, without its brackets."""
    return plain(raw[1:-1] if raw.startswith(b"<") and raw.endswith(b">") else raw)


@lru_cache(maxsize=4096)
def service(daemon: bytes) -> Service:
    """Of a daemon's name, as DAEMON_OPTIONS states it: MSA, MTA-v4, TLSMTA."""
    name = daemon.upper()
    if b"TLS" in name or b"SMTPS" in name or b"SUBMISSIONS" in name:
        return Service.SUBMISSIONS
    if name.startswith((b"MSA", b"SUBMISSION", b"MSP")):
        return Service.SUBMISSION
    return Service.SMTP if name.startswith((b"MTA", b"SMTP")) else Service.UNKNOWN


def cipher_tells(version: Tls, cipher: str) -> Tls:
    """What the log of a Sendmail before 8.15 proves: it names the oldest version that has the cipher, not the session's."""
    if version is Tls.TLS_1_3:
        return version
    return Tls.TLS_1_2 if re.search(r"GCM|SHA256|SHA384|CHACHA|CCM", cipher) else Tls.UNVERSIONED


def failure_reason(words: bytes) -> str:
    """Why a sign-in failed, in our words."""
    lower = words.lower()
    return next((reason for needle, reason in _FAILURES if needle in lower), "bad_credentials")


def refusal_reason(ruleset: bytes | None, words: bytes) -> str:
    """Why a transaction was refused, in our words."""
    lower = words.lower()
    if ruleset is None:
        return "content_refused"
    found = next((reason for pattern, reason in _REFUSALS if re.search(pattern, lower)), None)
    return found or ("deferred" if lower.startswith(b"4") else _STAGES.get(ruleset, "refused"))


def handshake_reason(words: bytes) -> str:
    """Why a TLS handshake failed, in our words."""
    return handshakes.reason(words, _HANDSHAKES)
