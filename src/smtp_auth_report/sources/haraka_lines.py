"""
Haraka: what each line says, in any of its three forms.

    event(b'[NOTICE] [D02E7D25-….1] [core] queue code=OK msg="Message Queued (…)"')
    event(b'level=NOTICE uuid=D02E7D25-….1 origin=core message=queue code=OK msg="Message Queued (…)"')
    event(b'{"level":"NOTICE","uuid":"D02E7D25-….1","origin":"core","message":"queue","code":"OK","msg":"Message Queued (…)"}')

Each gives Event(kind="queue", session="D02E7D25-…", transaction="D02E7D25-….1", fields={"code": "OK", "msg": …}).

Above each pattern stands the line it reads. A value that holds a blank, a quote, a backslash or an equals sign is quoted, and
quotes and backslashes in it are escaped; only addresses stand bare in the default form, between `<` and the last `> code=`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from smtp_auth_report.sources import values

_LEVEL = rb"(?:DATA|PROTOCOL|DEBUG|INFO|NOTICE|WARN|ERROR|CRIT|ALERT|EMERG)"
_UUID = rb"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}"
_VALUE = rb"\"(?:[^\"\\]|\\.)*\"|[^\s\"\\=]*"

WORTH = re.compile(rb"connect|sender <|recipient <|mid|queue|unrecognized_command|secured: |delaying for ")
# 2026-11-23T16:06:06.489Z [NOTICE] …       2026-11-23 16:06:06.489090500  [NOTICE] …, as multilog and tai64nlocal write it
FORM = re.compile(
    rb"(?:(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9}(?= )) {1,2})?"
    rb"(?P<text>(?:\[" + _LEVEL + rb"\] \[|level=|\{\"level\":\"|log|Starting up Haraka|loaded ).*)",
    re.DOTALL,
)
SURE = re.compile(
    rb"\[" + _LEVEL + rb"\] \[(?:-|" + _UUID + rb"(?:\.\d+)*)\] \[[^\]]+\] "
    rb"|level=" + _LEVEL + rb" uuid=(?:-|" + _UUID + rb")|\{\"level\":\"" + _LEVEL + rb"\",\"uuid\":\""
)

# [NOTICE] [D02E7D25-73DE-4051-8E20-D4240EADD4E9.1] [core] queue code=OK msg="Message Queued (…)"
DEFAULT = re.compile(
    rb"\[" + _LEVEL + rb"\] \[(?P<uuid>" + _UUID + rb")(?P<number>\.\d+)?\] \[(?P<origin>[^\]]*)\] ?(?P<message>.*)", re.DOTALL
)
_PAIRS = rb"\w+=(?:" + _VALUE + rb")(?: +\w+=(?:" + _VALUE + rb"))*"
PAIR = re.compile(rb"(\w+)=(" + _VALUE + rb")", re.DOTALL)
# connect ip=192.0.2.10 port=41251 local_ip=0.0.0.0 local_port=587          hook=unrecognized_command plugin=… params=AUTH …
WORDS = re.compile(rb"(?P<word>connect|disconnect|message|queue)?(?: *(?P<pairs>" + _PAIRS + rb"))? *", re.DOTALL)
# sender <anna@contoso.example> code=CONT msg=""            recipient <a@b.example> code=OK msg="" sender=anna@contoso.example
ENVELOPE = re.compile(
    rb"(?P<word>sender|recipient) <(?P<address>.*)> (?P<pairs>code=\w+ msg=(?:" + _VALUE + rb")(?: sender=(?:" + _VALUE + rb"))?) *",
    re.DOTALL,
)
BARE_ENVELOPE = re.compile(rb"(?P<word>sender|recipient) <(?P<address>.*)>(?P<pairs>)", re.DOTALL)  # where the form keeps the rest apart
# secured: cipher=TLS_AES_256_GCM_SHA384 version=TLSv1.3 verified=false
SECURED = re.compile(rb"secured: cipher=(?P<cipher>\S+) version=(?P<version>\S+)(?: .*)?", re.DOTALL)
# delaying for 1 seconds
DELAYED = re.compile(rb"delaying for \d+ seconds")
ALL_PAIRS = re.compile(_PAIRS + rb" *", re.DOTALL)
UUID_LENGTH = 36
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


class Event(NamedTuple):
    """One line."""

    kind: str  # connect, disconnect, message, queue, sender, recipient, secured, delayed, auth
    session: str  # UUID
    transaction: str  # UUID with its number, "" outside of one
    fields: Mapping[str, str]  # `address` of sender and recipient among them


def event(text: bytes) -> Event | None:
    """What a line says; None for one that says nothing of a session."""
    found = DEFAULT.fullmatch(text)
    if found:
        return _event(found["uuid"] + (found["number"] or b""), found["origin"], found["message"], {})
    fields = _json(text) if text.startswith(b"{") else _pairs(text) if ALL_PAIRS.fullmatch(text) else {}
    uuid, origin, message = (fields.pop(name, "").encode() for name in ("uuid", "origin", "message"))
    return _event(uuid, origin, message, fields)


def _event(uuid: bytes, origin: bytes, message: bytes, fields: dict[str, str]) -> Event | None:
    """`fields` are those that the form keeps apart from the message."""
    session, _, number = uuid.decode().partition(".")
    if len(session) != UUID_LENGTH or "." in number:
        return None
    kind, told = _kind(origin, message, fields)
    return Event(kind, session, uuid.decode() if number else "", told) if kind else None


def _kind(origin: bytes, message: bytes, fields: dict[str, str]) -> tuple[str, dict[str, str]]:
    if origin == b"tls":
        secured = SECURED.fullmatch(message)
        return ("secured", {part: values.text(secured[part]) for part in ("cipher", "version")}) if secured else ("", {})
    if origin != b"core":
        return ("delayed" if DELAYED.fullmatch(message) else ""), {}
    envelope = (BARE_ENVELOPE if "code" in fields else ENVELOPE).fullmatch(message)
    if envelope:
        word, pairs = envelope["word"], envelope["pairs"]
        fields["address"] = values.text(envelope["address"])
    else:
        words = WORDS.fullmatch(message)
        word, pairs = (words["word"], words["pairs"]) if words else (None, None)
    told = fields | _pairs(pairs or b"")
    if word is None:
        hook = told.get("hook") == "unrecognized_command" and told.get("plugin") != "tls" and told.get("retval") == "OK"
        return ("auth" if hook else ""), {}
    return word.decode(), told


def _pairs(raw: bytes) -> dict[str, str]:
    """Values by name, whatever the names."""
    return {found[1].decode(): _value(found[2]) for found in PAIR.finditer(raw)}


def _value(raw: bytes) -> str:
    return values.text(_ESCAPED.sub(rb"\1", raw[1:-1]) if raw.startswith(b'"') else raw)


def _json(raw: bytes) -> dict[str, str]:
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return {name: values.plain(str(value)) for name, value in fields.items()} if isinstance(fields, dict) else {}
