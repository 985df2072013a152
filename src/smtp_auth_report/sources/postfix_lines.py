"""
Postfix: what each line says.

Above each pattern stands the line it reads. All of them begin at the program's own words; what a client can write is
matched last, between marks that the server sets. Versions 2.2 to 3.11.

See also
    postfix: smtpd/smtpd.c, smtpd/smtpd_sasl_glue.c, tls/tls_server.c, cleanup/cleanup_message.c, qmgr/qmgr_active.c
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from smtp_auth_report.sources import handshakes, values
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Service, Tls

#                mail.contoso.example[192.0.2.10]:51234
_CLIENT = rb"(?P<name>[^\s\[\]]*)\[(?P<ip>[0-9A-Fa-f:.%a-z]+)\](?::(?:\d+|unknown))?"
_QUEUE_ID = rb"(?P<qid>[0-9A-Za-z]{5,}|NOQUEUE)"
_ADDRESS = rb"(?:\"(?:[^\"\\]|\\.)*\"|[^<>\"])*"

# connect from desk11.contoso.example[127.0.1.11]
CONNECT = re.compile(rb"connect from " + _CLIENT)

# disconnect from unknown[127.0.3.8] ehlo=2 starttls=1 auth=1/2 mail=1 rcpt=1 data=1 quit=1 commands=8/9
DISCONNECT = re.compile(rb"disconnect from " + _CLIENT + rb"(?P<counts>(?: [a-z]+=\d{1,9}(?:/\d{1,9})?)*)(?: notes=\S*)?")

# Anonymous TLS connection established from unknown[127.0.1.20]: TLSv1.1 with cipher AES128-SHA (128/128 bits)
# Anonymous TLS connection established from unknown[127.0.1.20] to mail.example: TLSv1.3 with cipher … key-exchange …
TLS = re.compile(
    rb"(?:(?:Anonymous|Untrusted|Trusted|Verified) )?TLS connection established from " + _CLIENT + rb"(?: to \S+)?: "
    rb"(?P<version>SSLv[23]|TLSv1(?:\.[0123])?|\S+) with cipher (?P<cipher>\S+) \(.*",
    re.DOTALL,
)

# 1493522C8A9: client=unknown[127.0.1.22], sasl_method=SCRAM-SHA-256, sasl_username=anna.berg@contoso.example
# 3224E22C8A9: client=localhost[127.0.0.1], orig_queue_id=15A8022C8AA, orig_client=unknown[127.0.1.20]
MAIL = re.compile(
    _QUEUE_ID + rb": client=" + _CLIENT + rb"(?:, sasl_method=(?P<mechanism>[^,]*))?(?:, sasl_username=(?P<user>.*?))?"
    rb"(?:, sasl_sender=(?P<submitter>[!-~]*))?(?:, orig_queue_id=(?P<original>[0-9A-Za-z]*))?"
    rb"(?:, orig_client=(?P<origin>\S*\[\S+\](?::\S+)?))?",
    re.DOTALL,
)

# 41499 ADDR=127.0.3.9        behind a name that Dovecot gave with XCLIENT
SWALLOWED = re.compile(rb"\d{1,5} ADDR=(?:IPV6:)?(?P<ip>[0-9A-Fa-f:.]+)")

# warning: unknown[127.0.1.17]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=admin
# warning: unknown[127.0.1.17]: SASL LOGIN authentication aborted
FAILURE = re.compile(
    rb"(?:warning: )?" + _CLIENT + rb": SASL (?P<mechanism>.{0,110}?) authentication "
    rb"(?:failed(?:: ?(?P<reason>.*?))?(?:, sasl_username=(?P<user>.*))?|(?P<aborted>aborted))",
    re.DOTALL,
)

# 1493522C8A9: from=<anna.berg@contoso.example>, size=15253, nrcpt=1 (queue active)
ACTIVE = re.compile(
    _QUEUE_ID + rb": from=<(?P<sender>.*)>, size=(?P<size>\d{1,18}), nrcpt=(?P<recipients>\d{1,9}) \(queue active\)", re.DOTALL
)

# 4jdbvj6mC3zcrJQ: uid=103 from=<anna@contoso.example> orig_id=4jdbvg4w8RzcrJT
REQUEUED = re.compile(_QUEUE_ID + rb": uid=\d+ from=<(?P<sender>.*)> orig_id=(?P<original>[0-9A-Za-z]+)", re.DOTALL)

# proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as 4F1A022C8A9; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<pc>
PROXY_ACCEPT = re.compile(rb"(?:NOQUEUE: )?proxy-accept: END-OF-MESSAGE: 250 (?P<answer>.*?); from=<.*", re.DOTALL)
QUEUED_AS = re.compile(rb".*queued as (?P<qid>[0-9A-Za-z]+)", re.DOTALL)

# NOQUEUE: reject: RCPT from unknown[127.0.3.5]: 550 5.1.1 <x@y.example>: Recipient address rejected: User unknown; from=<a@b.example>
#     to=<x@y.example> proto=ESMTP helo=<pc> sasl_method=PLAIN sasl_username=anna
REFUSAL = re.compile(
    rb"(?:" + _QUEUE_ID + rb": )?(?P<action>reject|milter-reject|proxy-reject): (?P<stage>MAIL|RCPT|DATA|END-OF-MESSAGE)"
    rb"(?: from " + _CLIENT + rb")?: (?P<text>.*)",
    re.DOTALL,
)
# …; from=<a@b.example> to=<x@y.example> proto=ESMTP helo=<pc>
ENVELOPE = re.compile(
    rb".*; from=<(?P<sender>" + _ADDRESS + rb")>(?: to=<(?P<recipient>" + _ADDRESS + rb")>)? proto=E?SMTP"
    rb"(?: helo=<(?P<helo>[^<>]*)>)?(?P<suffix>(?: sasl_\w+=.*)?)",
    re.DOTALL,
)
SUFFIX_USER = re.compile(rb"(?: sasl_method=\S+)? sasl_username=<?(?P<user>.*?)>?(?: sasl_sender=[!-~]*)?", re.DOTALL)
# 553 5.7.1 <b@c.example>: Sender address rejected: not owned by user anna; from=<b@c.example> to=<…
NOT_OWNED = re.compile(
    rb"\d{3} [\d.]+ <(?P<sender>" + _ADDRESS + rb")>: Sender address rejected: not owned by user (?P<user>.*?); from=<(?P=sender)> to=<.*",
    re.DOTALL,
)
# 1493522C8A9: info: header Subject: report from unknown[127.0.1.22]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<pc>
HEADER = re.compile(_QUEUE_ID + rb": (?P<action>[a-z-]+): .*; from=<.*> proto=E?SMTP helo=<(?P<helo>[^<>]*)>(?:: .*)?", re.DOTALL)

# warning: Illegal address syntax from unknown[192.0.2.9] in MAIL command: <'; drop table x --@contoso.example>
ILLEGAL = re.compile(rb"warning: Illegal address syntax from (?P<client>" + _CLIENT + rb") in MAIL command: <(?P<sender>.*)>", re.DOTALL)

# warning: 1493522C8A9: queue file size limit exceeded
TOO_LARGE = re.compile(rb"warning: (?P<qid>[0-9A-Za-z]{5,}): queue file size limit exceeded")

# message repeated 3 times: [ warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6]
REPEATED = re.compile(rb"message repeated (\d{1,6}) times: \[ ?(.*)\]", re.DOTALL)

# lost connection after DATA (52 bytes) from unknown[127.0.1.12]
LOST = re.compile(rb"[a-z ]+ after (?:DATA|BDAT)(?: \(\d+ bytes\))? from " + _CLIENT)

# SSL_accept error from unknown[127.0.1.12]: -1
HANDSHAKE = re.compile(rb"SSL_accept error from " + _CLIENT + rb": (?P<reason>.*)", re.DOTALL)
# warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/statem/statem_srvr.c:2226:
LIBRARY = re.compile(rb"warning: TLS library problem: .*")

# daemon started -- version 3.7.11, configuration /etc/postfix        reload -- version 3.7.11, …
STARTED = re.compile(rb"(?:daemon started|reload) -- version (?P<version>\d[\w.-]{0,30}), ")

DAEMONS = frozenset(
    """
    anvil bounce cleanup defer discard dnsblog error flush lmtp local master nqmgr oqmgr pickup pipe postdrop postfix-script postlog
    postlogd postqueue postscreen postsuper proxymap proxywrite qmgr qmqpd relay retry scache sendmail showq smtp smtpd spawn tlsmgr
    tlsproxy trace trivial-rewrite verify virtual
    """.split()
)

CUT = 30  # a longer tag may have lost its end on the way

_FAILURES = (
    (b"invalid authentication mechanism", "mechanism_not_offered"),
    (b"no mechanism available", "mechanism_not_offered"),
    (b"connection lost to authentication server", "server_error"),
    (b"generic failure", "server_error"),
    (b"temporary", "server_error"),
    (b"bad protocol", "protocol_error"),
    (b"too many", "rate_limited"),
    (b"not offered", "not_offered"),
)
_REFUSALS = (
    (rb"sender address rejected: not owned by user", "sender_not_owned"),
    (rb"sender address rejected: not logged in", "sender_not_owned"),
    (rb"relay access denied|relaying denied", "relay_denied"),
    (rb"message size exceeds|size limit|552 5\.3\.4|5\.2\.3", "too_large"),
    (rb"user unknown|unknown user|mailbox unavailable|unknown in|550 5\.1\.1", "unknown_recipient"),
    (rb"too many recipients|too much mail|rate limit|quota|limit exceeded|4\.7\.1 .*limit", "rate_limited"),
    (rb"recipient address rejected|recipient", "recipient_refused"),
    (rb"sender address rejected|sender", "sender_refused"),
)
REASONS = tuple(
    sorted(
        {reason for _, reason in _FAILURES}
        | {reason for _, reason in _REFUSALS}
        | {"aborted", "bad_credentials", "content_refused", "deferred", "refused"}
        | handshakes.reasons(handshakes.OPENSSL)
    )
)
"""Every value of `Submission.reason` that this source gives."""

_VERSIONS: dict[bytes, Tls] = {b"TLSv1": Tls.TLS_1_0, b"SSLv2": Tls.SSLV3} | {
    tls.value.encode(): tls for tls in Tls if tls.value[:3] in {"TLS", "SSL"}
}
_MECHANISM = re.compile(r"[A-Z0-9_-]{1,20}")


class Tag(NamedTuple):
    """What a syslog tag of Postfix tells: `instance/service/daemon`."""

    instance: str
    service: Service
    wrapper: bool | None  # TLS from the first byte: the name says yes, no, or nothing
    daemon: str  # "" where the tag was cut


@lru_cache(maxsize=4096)
def tag(name: str) -> Tag | None:
    """Parts of a tag; None for another program's."""
    head, _, daemon = name.rpartition("/")
    if not head:
        return Tag(name, Service.UNKNOWN, None, "") if name.startswith("postfix") and "policy" not in name else None
    if daemon not in DAEMONS:
        if not name.startswith("postfix") or len(name) < CUT:
            return None
        daemon = ""
    instance, _, service = head.partition("/")
    return Tag(instance, *_service(service.lower()), daemon)


def _service(name: str) -> tuple[Service, bool | None]:
    """587, submission, submission-haproxy; 465, smtps, submissions; 25, smtp. An empty name may be any of them."""
    stem = name.partition("-")[0]
    if stem in {"smtps", "submissions", "ssmtp"} or re.fullmatch(r"1?0?465", stem):
        return Service.SUBMISSIONS, True
    if stem in {"submission", "msa"} or re.fullmatch(r"1?0?587", stem):
        return Service.SUBMISSION, False
    return (Service.SMTP, False) if name in {"smtp", "25"} else (Service.UNKNOWN, None)


def text(raw: bytes | None) -> str | None:
    """Text as logged; bytes that are not UTF-8 stay visible as \\xNN."""
    return None if raw is None else raw.decode("utf-8", "backslashreplace")


@lru_cache(maxsize=4096)
def mechanism(raw: bytes | None) -> str:
    """IANA name of what the client typed; a proxy's word (XCLIENT) is none."""
    name = (text(raw) or "").upper()
    return name if _MECHANISM.fullmatch(name) and name != "XCLIENT" else UNKNOWN_MECHANISM


@lru_cache(maxsize=65_536)
def address(raw: bytes) -> str | None:
    """Client address; None for "unknown"."""
    try:
        return values.address(raw.decode("ascii"))
    except ValueError:
        return None


def as_vouched(line: bytes, opening: bytes) -> bytes:
    """
    A `client=` line as the proxy meant it. Dovecot's XCLIENT leaves a "<" of the name as it is, and Postfix then takes for the
    name what stands behind it, the client's address too: it goes on to show the proxy's.

        client=localhost[127.0.0.1], sasl_method=XCLIENT, sasl_username=eve <x PORT=41499 ADDR=127.0.3.9
    """
    name, _, rest = line.rpartition(b" PORT=")
    found = SWALLOWED.fullmatch(rest) if name.rfind(b"<") > name.rfind(b">") else None
    head, between, tail = name.partition(b"], sasl_method=XCLIENT, sasl_username=")
    before, _, own = head.partition(b"[")
    if found is None or not between or not opening.endswith(b"[%b]" % own):
        return line
    return b"%b[%b%b%b" % (before, found["ip"], between, tail)


def client_name(raw: bytes) -> str | None:
    """Reverse name of the client; None where Postfix found none."""
    return None if raw in {b"unknown", b""} else text(raw)


class TlsLine(NamedTuple):
    """What the line about a TLS connection tells."""

    client: bytes  # address
    version: Tls
    cipher: str | None


def tls(line: bytes) -> TlsLine | None:
    """Parts of the line about a TLS connection; None for another."""
    found = TLS.fullmatch(line)
    return TlsLine(found["ip"], version(found["version"]), text(found["cipher"])) if found else None


def version(raw: bytes) -> Tls:
    """Version of TLS as Postfix and OpenSSL write it."""
    return _VERSIONS.get(raw, Tls.UNVERSIONED)


@lru_cache(maxsize=4096)
def counts(raw: bytes) -> Mapping[bytes, tuple[int, int]]:
    """Commands of a session: name -> (good, all)."""
    found = {}
    for word in raw.split():
        name, _, number = word.partition(b"=")
        good, _, total = number.partition(b"/")
        found[name] = (int(good), int(total or good))
    return found


@lru_cache(maxsize=4096)
def failure_reason(words: bytes | None, *, aborted: bool) -> str:
    """Why a sign-in failed, in our words."""
    if aborted:
        return "aborted"
    lower = (words or b"").lower()
    return next((reason for needle, reason in _FAILURES if needle in lower), "bad_credentials")


def refusal_reason(action: bytes, words: bytes) -> str:
    """Why a transaction was refused, in our words."""
    lower = words.partition(b"; from=<")[0].lower()
    if action == b"milter-reject":
        return "content_refused"
    found = next((reason for needle, reason in _REFUSALS if re.search(needle, lower)), None)
    return found or ("deferred" if lower.startswith(b"4") else "refused")


def handshake_reason(words: bytes) -> str:
    """Why a TLS handshake failed, in our words."""
    return handshakes.reason(words, handshakes.OPENSSL)
