r"""
Exim: what each line says.

    arrival(b"1xVWeV-0001UG-2n <= anna@contoso.example H=(pc) [192.0.2.10] P=esmtpsa X=TLS1.3:… A=plain_server:anna S=5166 …")
    refusal(b"H=(pc) [192.0.2.10] X=… F=<anna@contoso.example> A=plain_server:anna rejected RCPT <x@y.example>: no such user")
    no_mail(b"no MAIL in SMTP connection from (pc) [192.0.2.10] D=0.3s A=plain_server:anna X=… C=EHLO,STARTTLS,EHLO,AUTH,QUIT")
    failure(b"plain_server authenticator failed for (pc) [192.0.2.10]: 535 Incorrect authentication data (set_id=anna)")

Above each pattern stands the line it reads. Exim writes HELO, sender, ident, SNI and names without quotes, so a client may
write what looks like fields. Every bracket that may be the client's address is tried with all that has to follow it, quotes
closed; a HELO stands before its address, so of several that fit the last is right, unless what fits stands in quotes. Where
what would follow is not Exim's alone, a HELO without blanks is taken, as Exim demands by default, and the first that fits.

Account names have octal escapes for what is not ASCII; a backslash of their own stays single (`CONTOSO\boss`).

See also
    exim: src/receive.c (the arrival), src/smtp_in.c (all others), src/host.c (host_build_sender_fullhost), src/string.c
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from smtp_auth_report.sources import handshakes, replies, values
from smtp_auth_report.submission import UNKNOWN_MECHANISM, Service, Tls

#    1xVWeV-0001UG-2n       1xVWeV-00000000UGx-2nAb since 4.97
ID = rb"(?P<id>[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4}))"

# A quoted string, an escaped character or any other but a blank: what a word is made of
_OF_A_WORD = rb"(?:\"(?:[^\"\\]|\\.)*+\"|\\.|\\$|[^ \"\\])"
_WORD = _OF_A_WORD + rb"++"
#    [192.0.2.10]:54321
_PEER = rb"\[(?P<ip>[0-9A-Fa-f.:]{2,45})\](?::(?P<port>\d{1,5}))?"
_BRACKET = re.compile(rb"(?<![^ =])\[")
#    pc.contoso.example (pc)
_NAMES = re.compile(rb"(?:(?P<name>[^\s()\[\]]+) )?(?:\((?P<helo>.*)\) )?", re.DOTALL)
_CLEAN_HOST = rb"(?:H=)?(?P<names>(?:[^\s()\[\]]+ )?(?:\(\S*\) )?)" + _PEER
#     I=[192.0.2.1]:587 U=anna Ci=Xq3
_DOOR = rb"(?: I=\[[^\]\s]{2,45}\](?::(?P<door>\d{1,5}))?)?(?: TFO\*?)?(?: U=(?P<ident>.*%b))?(?: Ci=(?P<connection>\S+))?"
_LONG_DOOR, _DOOR = _DOOR % b"", _DOOR % b"?"
#     X=TLS1.3:TLS_AES_256_GCM_SHA384:256* CV=no DN="CN=anna" SNI=mail.contoso.example
_TLS = rb"(?: X=(?P<tls>\S+?)\*?)?(?: CV=(?P<verified>\w+))?(?: DN=\"(?P<dn>.*)\")?(?: SNI=(?:\".*\"|\S*))?"
#     A=plain_server:anna
_AUTH = rb"(?: A=(?P<auth>[^ :]+)(?::(?P<user>.*%b))?)?"

MOST = 20
"""Brackets that may be the client's address. Nobody has a HELO with so many but to keep us busy."""

# What a line begins with
KIND = re.compile(
    rb"(?:" + ID + rb" )?(?:(?P<arrival>(?:<=|\(=) )|(?P<refusal>(?:DS )?H=)|(?P<no_mail>no MAIL in )"
    rb"|(?P<failure>[^ ]+ authenticator failed for |SMTP protocol error in )|(?P<handshake>TLS error on connection )"
    rb"|exim (?P<started>\d\.\d[\w.]{0,30}) daemon started: pid=)"
)

# 1xVWeV-0001UG-2n <= "a b"@contoso.example R=… DS H=…
_ARRIVAL = re.compile(ID + rb" (?P<kind><=|\(=) (?P<sender>" + _WORD + rb")(?: R=\S+)?(?: DS)?(?P<host> H=)?", re.DOTALL)
#     I=[…]:587 U=… P=esmtpsa L X=… CV=no A=plain_server:anna PRDR PRX=192.0.2.9 K S=5166 id=1@pc for a@b.example c@d.example
_FOLLOWS = rb"(?: (?!(?:H|I|U|Ci|P|X|CV|DN|SNI|A|PRX|S)=|for )" + _WORD + rb")*+"
_RECEIVED = re.compile(
    _PEER
    + _LONG_DOOR
    + rb" P=(?P<protocol>[\w-]+)(?: L[.*]?-?)?(?: SPF(?:=\w+)?)?"
    + _TLS
    + _AUTH % b""
    + rb"(?: PRDR)?(?: PRX=\S+)?(?: K)? S=(?P<size>\d{1,18})(?P<rest>"
    + _FOLLOWS
    + rb")(?: for(?P<recipients>(?: "
    + _WORD
    + rb")++))?",
    re.DOTALL,
)
#     PRDR PRX=192.0.2.9 K      behind an account
_FLAGS = re.compile(rb"(?: PRDR)?(?: PRX=[0-9A-Fa-f.:]*)?(?: K)?\Z")
#     id=s00001.0@driver.example      id*="a b"@pc
_MESSAGE_ID = re.compile(rb" id\*?=(?P<id>" + _WORD + rb")", re.DOTALL)
_WORDS = re.compile(rb" " + _WORD, re.DOTALL)

# 1xVWed-0001bk-1G H=…
_REFUSES = re.compile(rb" rejected (?:RCPT|after DATA|during MIME ACL)")
_REFUSED_HEAD = re.compile(rb"(?:" + ID + rb" )?(?:DS )?H=")
#     X=… CV=no F=<anna@contoso.example> A=plain_server:anna temporarily rejected RCPT <x@y.example>: Greylisted
_REFUSED = re.compile(
    _PEER
    + _DOOR
    + _TLS
    + rb" F=<(?P<sender>(?:\"(?:[^\"\\]|\\.)*+\"|\\.|[^\"\\>])*+)>"
    + _AUTH % b"?"
    + rb"(?: SPF(?:=\w+)?)?(?: DMARC(?:=\w+)?)? (?P<soft>temporarily )?"
    + rb"rejected (?P<what>RCPT|after DATA PRDR|after DATA|during MIME ACL checks)"
    + rb"(?: (?P<recipient><(?:\"(?:[^\"\\]|\\.)*+\"|[^\">])*+>|\S+))?(?P<said>.*)",
    re.DOTALL,
)

# no MAIL in SMTP connection from (pc) [192.0.2.10] D=0.3s A=plain_server:anna X=… CV=no C=EHLO,STARTTLS,EHLO,AUTH,QUIT
_NO_MAIL_HEAD = re.compile(rb"no MAIL in (?:TFO\*? )?SMTP connection from ")
_NO_MAIL = re.compile(_PEER + _LONG_DOOR + rb" D=\S+" + _AUTH % b"?" + _TLS + rb"(?: C=(?P<commands>[A-Za-z.,?+-]*))?", re.DOTALL)

# plain_server authenticator failed for H=(pc) [192.0.2.10] I=[192.0.2.1]:587: 535 Incorrect authentication data (set_id=anna)
_FAILS_HEAD = re.compile(rb"(?:" + ID + rb" )?[^ ]+ authenticator failed for ")
_FAILS = rb"(?:" + ID + rb" )?(?P<auth>[^ ]+) authenticator failed for %b" + _DOOR + rb": (?P<code>\d{3}) (?P<said>.*)"
_FAILED = re.compile(_FAILS % _CLEAN_HOST, re.DOTALL)
_FAILED_JUNK = re.compile(_FAILS % (rb"(?:H=)?(?P<names>(?:[^\s()\[\]]+ )?\(.*\) )" + _PEER), re.DOTALL)
# Incorrect authentication data (set_id=anna)        Unable to authenticate at present (set_id=anna): lookup deferred
_SET_ID = re.compile(
    rb"Incorrect authentication data \(set_id=(?P<wrong>.*)\)|(?:Unable to authenticate at present|Internal error) "
    rb"\(set_id=(?P<deferred>.*?)\): .*",
    re.DOTALL,
)
# [5672] plain_server authenticator failed for (pc) [192.0.2.10]:51234 I=[192.0.2.1]:587: 535 Incorrect authentication data (set_id=anna)
_PLAIN_FAILURE = re.compile(
    rb"(?:\[\d{1,10}\] )?([^\s\"\\:]+) authenticator failed for "
    rb"((?:[\w.-]+ )?(?:\([\w.:\[\]-]*\) )?)\[([0-9A-Fa-f.:]{2,45})\](?::(\d{1,5}))?(?: I=\[[0-9A-Fa-f.:]{2,45}\](?::(\d{1,5}))?)?"
    rb": (\d{3}) Incorrect authentication data \(set_id=([^\s\"\\()]+)\)"
)
# SMTP protocol error in "AUTH LOGIN" H=(pc) [192.0.2.10] AUTH command used when not advertised
_PROTOCOL = re.compile(
    rb"(?:"
    + ID
    + rb" )?SMTP protocol error in \"AUTH(?: (?P<mechanism>[A-Za-z0-9_-]{1,20})(?![A-Za-z0-9_-]))?.*\" "
    + _CLEAN_HOST
    + _DOOR
    + rb" (?P<said>AUTH command used when not advertised|\S+ authentication mechanism not supported)",
    re.DOTALL | re.IGNORECASE,
)
# H=(pc) [192.0.2.10] X=… rejected AUTH LOGIN: too many
_AUTH_REFUSED = re.compile(
    rb"(?:DS )?"
    + _CLEAN_HOST
    + _DOOR
    + _TLS
    + rb" (?P<soft>temporarily )?rejected AUTH (?P<mechanism>[A-Za-z0-9_-]{1,20})(?:: (?P<said>.*))?",
    re.DOTALL | re.IGNORECASE,
)
# TLS error on connection from (pc) [192.0.2.10] (gnutls_handshake): No supported cipher suites have been found.
# TLS error on connection from (pc) [192.0.2.10] (recv): A TLS fatal alert has been received: Certificate is bad
# TLS error on connection from [192.0.2.10] (SSL_accept): error:0A0000C1:SSL routines::no shared cipher
_HANDSHAKE = re.compile(
    rb"(?:" + ID + rb" )?TLS error on connection (?:Ci=\S+ )?from " + _CLEAN_HOST + _DOOR
    + rb" (?:\((?!recv|send|SSL_read|SSL_write)[^)]*\)|\((?:recv|SSL_read)\)(?=:.* alert )|SSL_accept)(?P<said>.*)",
    re.DOTALL,
)  # fmt: skip

_CODES = {b"535": "bad_credentials", b"435": "server_error", b"553": "protocol_error"}
_SAID = {b"Authentication cancelled": "aborted"}

REASONS = tuple(
    sorted(
        handshakes.reasons(handshakes.OPENSSL_OR_GNUTLS)
        | {*replies.REASONS, *_CODES.values(), *_SAID.values()}
        | {"mechanism_not_offered", "not_offered"}
    )
)
"""Every value of `Submission.reason` that this source gives."""

_MECHANISMS = (
    (re.compile(r"cram[-_]?md5"), "CRAM-MD5"),
    (re.compile(r"digest[-_]?md5"), "DIGEST-MD5"),
    (re.compile(r"scram[-_]?sha[-_]?512"), "SCRAM-SHA-512"),
    (re.compile(r"scram[-_]?sha[-_]?256[-_]?plus"), "SCRAM-SHA-256-PLUS"),
    (re.compile(r"scram[-_]?sha[-_]?256"), "SCRAM-SHA-256"),
    (re.compile(r"scram[-_]?sha[-_]?1[-_]?plus"), "SCRAM-SHA-1-PLUS"),
    (re.compile(r"scram[-_]?sha[-_]?1(?!\d)"), "SCRAM-SHA-1"),
    (re.compile(r"oauthbearer"), "OAUTHBEARER"),
    (re.compile(r"xoauth2?"), "XOAUTH2"),
    (re.compile(r"gssapi"), "GSSAPI"),
    (re.compile(r"ntlm|(?:^|_)spa(?:_|$)"), "NTLM"),
    (re.compile(r"external"), "EXTERNAL"),
    (re.compile(r"login"), "LOGIN"),
    (re.compile(r"plain(?!text)"), "PLAIN"),
)
_DOORS = {
    **dict.fromkeys((b"587", b"10587"), Service.SUBMISSION),
    **dict.fromkeys((b"465", b"10465"), Service.SUBMISSIONS),
    b"25": Service.SMTP,
}
#    essmtpa, with +tls_on_connect (4.99)
_FROM_THE_FIRST_BYTE = re.compile(rb"(?:utf8)?e?ssmtpa?")
_ENCRYPTED, _IN_CLEAR = re.compile(r"(?:utf8)?(?:e?smtpsa?|e?ssmtpa?)"), re.compile(r"(?:utf8)?(?:e?smtpa?|asmtp)")


class Peer(NamedTuple):
    """The other end of a connection, and what tells it from others."""

    client_ip: str | None
    client_name: str | None
    helo: str | None
    service: str
    connection: str  # its port, or id; "" where neither is told
    tls_version: str
    tls_cipher: str | None


class Arrival(NamedTuple):
    """A message that Exim took from a client that had signed in."""

    peer: Peer
    queue_id: bytes
    authenticator: str
    account: str | None
    sender: str
    size: int
    recipients: int | None
    message_id: str | None
    refused: bool  # taken, and the client was told otherwise


class Refusal(NamedTuple):
    """A recipient, or a whole message, that was refused to a client that had signed in."""

    peer: Peer
    queue_id: bytes | None
    authenticator: str
    account: str | None
    sender: str
    recipient: bytes | None  # None where the whole message was refused
    reason: str


class SignIn(NamedTuple):
    """A sign-in, by authenticator or mechanism."""

    peer: Peer
    authenticator: str
    mechanism: str
    account: str | None
    reason: str


def arrival(text: bytes) -> Arrival | None:
    """What a `<=` line says; None where nobody had signed in. Raises ValueError for one that cannot be read."""
    head = _ARRIVAL.match(text)
    if head is None:
        raise ValueError
    if not head["host"]:
        return None
    found = _last(text, head.end(), _RECEIVED)
    if not found["auth"]:
        return None
    sender, protocol = path(head["sender"]), found["protocol"].lower()
    peer = _peer(text[head.end() : found.start()], found, _tls(found["tls"], found["verified"], protocol))
    names = _MESSAGE_ID.search(found["rest"])
    return Arrival(
        peer._replace(service=Service.SUBMISSIONS.value) if _FROM_THE_FIRST_BYTE.fullmatch(protocol) else peer,
        head["id"],
        values.text(found["auth"]),
        account(_FLAGS.sub(b"", found["user"] or b"", count=1), sender),
        sender,
        int(found["size"]),
        len(_WORDS.findall(found["recipients"])) if found["recipients"] else None,
        f"<{printed(names['id'])}>" if names else None,
        head["kind"] == b"(=",
    )


def refusal(text: bytes) -> Refusal | None:
    """What a line of a refused transaction says; None where nobody had signed in. Raises ValueError for one that cannot be read."""
    head = _REFUSED_HEAD.match(text) if _REFUSES.search(text) else None
    if head is None:
        return None
    found = _only(text, head.end(), _REFUSED)
    if not found["auth"]:
        return None
    answer = values.text(found["said"])
    otherwise = "recipient_refused" if found["what"] == b"RCPT" else "content_refused"
    sender = values.text(found["sender"])
    return Refusal(
        _peer(text[head.end() : found.start()], found, _tls(found["tls"], found["verified"], None)),
        head["id"],
        values.text(found["auth"]),
        account(found["user"], sender),
        sender,
        (found["recipient"] or b"") if found["what"] == b"RCPT" else None,
        "deferred" if found["soft"] else replies.refusal(answer, otherwise),
    )


def no_mail(text: bytes) -> SignIn | None:
    """What the end of a session without mail says; None where nobody had signed in. Raises ValueError for one that cannot be read."""
    head = _NO_MAIL_HEAD.match(text)
    if head is None:
        return None
    found = _last(text, head.end(), _NO_MAIL)
    if not found["auth"]:
        return None
    peer = _peer(text[head.end() : found.start()], found, _tls(found["tls"], found["verified"], None))
    if peer.tls_version == Tls.UNKNOWN:
        peer = peer._replace(tls_version=_of_commands(found["commands"] or b"", peer.service).value)
    return SignIn(peer, values.text(found["auth"]), UNKNOWN_MECHANISM, account(found["user"], ""), "")


def failure(text: bytes) -> SignIn | None:
    """A sign-in that failed; None for what is none. Raises ValueError for one that cannot be read."""
    if _FAILS_HEAD.match(text):
        return _failed(text)
    wrong = _PROTOCOL.fullmatch(text)
    if wrong:
        reason = "not_offered" if wrong["said"].startswith(b"AUTH command") else "mechanism_not_offered"
        return SignIn(_peer(wrong["names"], wrong), "", values.mechanism(values.text(wrong["mechanism"] or b"")), None, reason)
    refused = _AUTH_REFUSED.fullmatch(text) if b" rejected AUTH " in text else None
    if refused is None:
        return None
    reason = "deferred" if refused["soft"] else replies.refusal(values.text(refused["said"] or b""))
    peer = _peer(refused["names"], refused, _tls(refused["tls"], refused["verified"], None))
    return SignIn(peer, "", values.mechanism(values.text(refused["mechanism"])), None, reason)


def plain_failure(text: bytes) -> SignIn | None:
    """A sign-in with wrong credentials, written as most are, so that it can be read in one way only; None for any other line."""
    found = _PLAIN_FAILURE.fullmatch(text)
    if found is None:
        return None
    auth, names, ip, port, door, code, name = found.groups()
    service = _DOORS.get(door, Service.UNKNOWN)
    peer = Peer(*client(names, ip), service.value, values.text(port or b""), Tls.UNKNOWN.value, None)
    return SignIn(peer, values.text(auth), UNKNOWN_MECHANISM, printed(name), _CODES.get(code, "protocol_error"))


def handshake(text: bytes) -> tuple[Peer, str] | None:
    """A TLS handshake that failed, and why."""
    found = _HANDSHAKE.fullmatch(text)
    if found is None:
        return None
    return _peer(found["names"], found), handshakes.reason(found["said"], handshakes.OPENSSL_OR_GNUTLS)


def _failed(text: bytes) -> SignIn | None:
    found = _FAILED.fullmatch(text) or _FAILED_JUNK.fullmatch(text)
    if found is None:
        if b" authenticator failed for U=" in text:
            return None
        raise ValueError
    said, tried = found["said"], _SET_ID.fullmatch(found["said"])
    name = (tried["wrong"] if tried["wrong"] is not None else tried["deferred"]) if tried else None
    reason = _CODES.get(found["code"]) or _SAID.get(said, "protocol_error")
    peer = _peer(found["names"], found)
    return SignIn(peer, values.text(found["auth"]), UNKNOWN_MECHANISM, printed(name) if name else None, reason)


# Which bracket is the client's address


def _fits(text: bytes, start: int, tail: re.Pattern[bytes]) -> list[re.Match[bytes]]:
    """All that a line may be read as, from the address on. One that stands in quotes is read only if there is no other."""
    open_air: list[int] = []
    quoted: list[int] = []
    for bracket in _BRACKET.finditer(text, start):
        names = text[start : bracket.start()]
        if _NAMES.fullmatch(names):
            marks = names.replace(rb"\\", b"").replace(rb"\"", b"").count(b'"')
            (quoted if marks % 2 else open_air).append(bracket.start())
    for places in (open_air, quoted):
        if len(places) > MOST:
            raise ValueError
        found = [fit for fit in (tail.fullmatch(text, place) for place in places) if fit]
        if found:
            return found
    raise ValueError


def _last(text: bytes, start: int, tail: re.Pattern[bytes]) -> re.Match[bytes]:
    """A HELO may look like all that follows it. So may a certificate's name and an ident, which follow: then none is sure."""
    found = _fits(text, start, tail)
    if len(found) > 1 and (b' DN="' in text or b" U=" in text):
        raise ValueError
    return found[-1]


def _only(text: bytes, start: int, tail: re.Pattern[bytes]) -> re.Match[bytes]:
    """The server's words at the end may repeat a client's: what can be read in two ways is not read."""
    found = _fits(text, start, tail)
    if len({(fit["ip"], fit["auth"], fit["user"]) for fit in found}) > 1:
        raise ValueError
    return found[0]


# Values


@lru_cache(maxsize=65_536)
def client(names: bytes, ip: bytes) -> tuple[str | None, str | None, str | None]:
    """Address, name and HELO of `pc.example (pc) ` and `192.0.2.10`."""
    told = _NAMES.fullmatch(names)
    name, helo = (told["name"], told["helo"]) if told else (None, None)
    address = values.address(ip.decode("ascii", "replace"))
    return address, values.text(name) if name else None, None if helo is None else values.text(helo)


def _peer(names: bytes, found: re.Match[bytes], tls: tuple[Tls, str | None] = (Tls.UNKNOWN, None)) -> Peer:
    service = _DOORS.get(found["door"] or b"", Service.UNKNOWN)
    connection = values.text(found["connection"] or found["port"] or b"")
    return Peer(*client(names, found["ip"]), service.value, connection, tls[0].value, tls[1])


@lru_cache(maxsize=4096)
def _tls(written: bytes | None, verified: bytes | None, protocol: bytes | None) -> tuple[Tls, str | None]:
    """TLS1.2:ECDHE_RSA_AES_256_GCM_SHA384:256, or what the name of the protocol tells."""
    if written:
        version, _, rest = values.text(written).partition(":")
        cipher = re.sub(r":\d+(?::[^:]*)?$", "", rest)
        return values.tls_version(version.replace("TLS-", "TLS")), cipher or None
    name = values.text(protocol or b"").lower()
    if _ENCRYPTED.fullmatch(name) or verified:
        return Tls.UNVERSIONED, None
    return Tls.NONE if _IN_CLEAR.fullmatch(name) else Tls.UNKNOWN, None


def _of_commands(commands: bytes, service: str) -> Tls:
    """Whether there was TLS, of unknown version, by all commands of a session."""
    if b"STARTTLS" in commands or service == Service.SUBMISSIONS:
        return Tls.UNVERSIONED
    whole = commands and not commands.startswith(b"...") and service in {Service.SUBMISSION, Service.SMTP}
    return Tls.NONE if whole else Tls.UNKNOWN


@lru_cache(maxsize=4096)
def mechanism(authenticator: str) -> str:
    """The mechanism that an authenticator's name tells; "unknown" where it tells none, or more than one."""
    name = authenticator.lower()
    found = [mechanism for pattern, mechanism in _MECHANISMS if pattern.search(name)]
    if found[:1] in (["LOGIN"], ["PLAIN"]) and len(found) > 1:
        return UNKNOWN_MECHANISM
    return found[0] if found else UNKNOWN_MECHANISM


_ESCAPED = re.compile(rb"(?:\\[0-3][0-7]{2})+")


@lru_cache(maxsize=65_536)
def printed(raw: bytes) -> str:
    r"""
    A text that Exim made fit to print: j\303\274rgen is jürgen. Characters that can be printed are not escaped, so \102 and
    \n, as in CONTOSO\nadia, are what was written.
    """
    return values.text(_ESCAPED.sub(_unescaped, raw) if b"\\" in raw else raw)


def _unescaped(found: re.Match[bytes]) -> bytes:
    codes = [int(code, 8) for code in found[0].split(b"\\")[1:]]
    return found[0] if any(32 <= code < 127 or code == 0 for code in codes) else bytes(codes)


def account(user: bytes | None, sender: str) -> str | None:
    """
    Who signed in. With +smtp_mailauth the sender that the client vouched for (MAIL FROM:<…> AUTH=…) follows a colon; a name
    may have colons of its own.
    """
    if not user:
        return None
    told = printed(user)
    for colon in (place for place, character in enumerate(told) if character == ":"):
        name, vouched = told[:colon].casefold(), told[colon + 1 :].casefold()
        addresses = "@" in vouched and ("@" in name or vouched == sender.casefold() or vouched.partition("@")[0] == name)
        if name and (addresses or vouched in {"<>", name}):
            return told[:colon]
    return told


def stamp(written: bytes) -> bytes:
    """2026-11-23 16:12:23.123 +0100 is what stamps.py reads without its blank."""
    return written[:-6] + written[-5:-2] + b":" + written[-2:] if written[-6:-5] == b" " else written


def path(raw: bytes) -> str:
    """Address of an envelope; the null sender is written <>."""
    return "" if raw == b"<>" else values.text(raw)
