"""
What surrounds a message: the stamp, the host and the program that logged it.

    envelope = Envelope()
    parts = envelope.split(line)            (stamp, origin, message), or None
    inside = envelope.inside(line)          (stamp, text) of a line in a container's log, or None
    origin(b"mail postfix/smtpd[643")       Origin(host="mail", tag="postfix/smtpd", pid="643")

Shapes
    Nov 23 16:06:06 mail postfix/smtpd[643]: text                       RFC 3164, journalctl's short forms
    Nov 23 16:06:06 mail mail.info postfix/smtpd[643]: text             with the facility, as BSD and busybox can
    2026-11-23T16:06:06.328226+00:00 mail postfix/smtpd[643]: text      rsyslog's ISO form
    <22>1 2026-11-23T16:06:06Z mail postfix/smtpd 643 - - text          RFC 5424; also behind a count of its bytes
    {"ts": "2026-11-23T…", "host": "mail", "tag": "postfix/smtpd[643]:", "msg": " text"}     rsyslog's JSON templates
    {"__REALTIME_TIMESTAMP": "1795…", "_HOSTNAME": "mail", "SYSLOG_IDENTIFIER": …, "MESSAGE": "text"}     journalctl -o json, export
    {"host": "mail", "short_message": "text", "timestamp": 1795449966.5, "_program": "postfix/smtpd", "_pid": 643}     GELF
    {"@timestamp": "2026-…Z", "message": "text", "host": {"name": "mail"}, "process": {"name": …, "pid": 643}}     ECS, also dotted
    {"message": "Nov 23 16:06:06 mail postfix/smtpd[643]: text", "log": {"file": {"path": …}}, …}     lines of a file as Filebeat ships them
    {"log": "Nov 23 16:06:06 mail postfix/smtpd[643]: text\\n", "stream": "stdout", "time": "2026-…Z"}    docker
    2026-11-23T16:06:06Z stdout F Nov 23 16:06:06 mail postfix/smtpd[643]: text                           CRI
    postfix-mailcow_1  | Nov 23 16:06:06 mail postfix/smtpd[643]: text                                    docker compose

Every shape becomes the same three parts, so that a source reads one text. Nothing behind the program's own tag is
ever taken for a tag: what a client can write stands there.

What goes wrong
    None for a line of no known shape. Parts of a line that docker split are joined; a part without an end is kept.

See also
    sources/stamps.py for what a stamp means
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

Parts = tuple[bytes, bytes, bytes]

_STAMP = (
    rb"[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d(?:\.\d{1,9})?(?: \d{4})?"
    rb"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
    rb"|[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? (?:[A-Z]{1,5}|[+-]\d\d)"
)
# Nov 23 16:06:06 mail mail.info postfix/smtpd[643]: [ID 197553 mail.info] connect from …
SYSLOG = re.compile(
    rb"(?:(?:\d{1,5} )?<\d{1,3}>)?(?P<stamp>" + _STAMP + rb") "
    rb"(?:(?:INFO|WARNING|ERROR|NOTICE|DEBUG|CRITICAL) +)?"
    rb"(?P<origin>(?:<[a-z0-9]+\.[a-z0-9]+> )?(?:[^\s\[\]]*[^\s\[\]:] (?:(?:[a-z0-9]+\.[a-z0-9]+|<[a-z0-9]+\.[a-z0-9]+>) )?)?"
    rb"[^\s\[\]:]+(?:\[\d+)?)\]?: "
    rb"(?P<text>.*)$",
    re.DOTALL,
)
# <22>1 2026-11-23T16:06:06.328226+00:00 mail postfix/smtpd 643 - - connect from …
RFC5424 = re.compile(
    rb"(?:\d{1,5} )?<\d{1,3}>1 (?P<stamp>\S+) (?P<host>\S+) (?P<app>[^\s\[\]:]+) (?P<pid>\S+) \S+ "
    rb"(?:-|(?:\[(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*\])+)(?: (?:\xef\xbb\xbf)?(?P<text>.*))?$",
    re.DOTALL,
)
# 2026-11-23T16:06:06.5Z stdout F text
CRI = re.compile(rb"(?P<stamp>\d{4}-\d\d-\d\dT\S+) (?P<stream>stdout|stderr) (?P<part>[FP])(?:\S*) (?P<text>.*)$", re.DOTALL)
# postfix-mailcow_1  | 2026-11-23T16:06:06.123456789Z text           2026-11-23T16:06:06.123456789Z mail.1.id@node1    | text
COMPOSE = re.compile(rb"[\w.@-]+ *\| (?P<text>.*)$", re.DOTALL)
DOCKER_STAMP = re.compile(rb"(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z) (?P<text>.*)$", re.DOTALL)
# Nov 23 16:06:06 mail postfix/submission-haproxy/smtpd connect from …     a relay cut the tag at 32 characters
CUT_TAG = re.compile(
    rb"(?:<\d{1,3}>)?(?P<stamp>" + _STAMP + rb") (?P<host>[^\s\[\]]+) (?=\S{32} )(?P<tag>[^\s\[\]:]+)"
    rb"(?:\[(?P<pid>\d*)(?P<whole>\])?)? (?P<text>.*)$",
    re.DOTALL,
)
# Nov 23 16:06:06 submission(scan user)<3212><1EsQ0vNgMYd/AAJk>: Info: …     Dovecot's own form: an account's name may be anything
OF_DOVECOT = re.compile(rb"(?:(?P<stamp>" + _STAMP + rb") )?(?P<text>submission\(.*)$", re.DOTALL)
ANSI = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
ORIGIN = re.compile(
    r"(?:<[a-z0-9]+\.[a-z0-9]+> )?(?:(?P<host>[^\s\[\]]+) (?:(?:[a-z0-9]+\.[a-z0-9]+|<[a-z0-9]+\.[a-z0-9]+>) )?)?"
    r"(?P<tag>[^\s\[\]:]+)(?:\[(?P<pid>\d+))?$",
    re.ASCII,
)
SOLARIS = re.compile(rb"\[ID \d+ [a-z0-9.]+\] ")

JSON_STAMPS = (
    "_SOURCE_REALTIME_TIMESTAMP",
    "__REALTIME_TIMESTAMP",
    "ts",
    "timestamp",
    "@timestamp",
    "timereported",
    "time",
    "timegenerated",
    "ISODATE",
    "DATE",
)
JSON_HOSTS = ("_HOSTNAME", "host", "hostname", "HOSTNAME", "fromhost", "HOST", "log.syslog.hostname", "host.hostname", "host.name")
JSON_TAGS = (
    *("SYSLOG_IDENTIFIER", "tag", "syslogtag", "syslog-tag", "programname", "program", "app-name", "appname", "_COMM", "PROGRAM"),
    *("_program", "log.syslog.appname", "process.name"),
)
JSON_PIDS = ("SYSLOG_PID", "_PID", "pid", "procid", "PID", "_pid", "log.syslog.procid", "process.pid")
JSON_TEXTS = ("MESSAGE", "msg", "message", "short_message")
NO_VALUE = {"", "-"}
SECONDS = re.compile(r"(\d{9,10})(?:\.(\d{1,6})\d*)?")
LONGEST = 65_536
LONGEST_MESSAGE = 8_192  # Postfix cuts its own at 2,000 characters


class Origin(NamedTuple):
    """Who logged a line; None where the envelope does not tell."""

    host: str | None
    tag: str
    pid: str | None


def origin(raw: bytes) -> Origin | None:
    """Parts of an origin; None for what is no program's tag."""
    parts = ORIGIN.match(raw.decode("utf-8", "replace"))
    return Origin(parts["host"], parts["tag"], parts["pid"]) if parts else None


class Envelope:
    """Splits the lines of one file."""

    def __init__(self) -> None:
        self._partial: dict[str, str] = {}  # docker stream -> beginning of a line that was split
        self._cri: dict[bytes, bytes] = {}

    def split(self, line: bytes) -> Parts | None:
        """Stamp, origin and message of a line. The two commonest shapes are cut without an expression."""
        if line[9:10] == b":" and line[12:13] == b":" and line[15:16] == b" ":
            blank = 15
        elif line[10:11] == b"T" and line[4:5] == b"-":
            blank = line.find(b" ", 19, 40)
            if blank < 0 or line.startswith((b"stdout ", b"stderr "), blank + 1):
                return self._other(line)
        else:
            return self._other(line)
        colon = line.find(b": ", blank)
        if colon > 0 and line.count(b" ", blank + 1, colon) < 2:
            return line[:blank], line[blank + 1 : colon - 1 if line[colon - 1] == 93 else colon], _unmarked(line[colon + 2 :])
        return self._other(line)

    def _other(self, line: bytes) -> Parts | None:
        line = line.rstrip(b"\r\n\0")
        if line.startswith(b"{"):
            return self._json(line)
        found = RFC5424.match(line)
        if found:
            return found["stamp"], _origin(found["host"], found["app"], found["pid"]), found["text"] or b""
        if CRI.match(line):
            return self._syslog_inside(line)
        found = SYSLOG.match(line)
        if found:
            return found["stamp"], found["origin"], _unmarked(found["text"])
        found = CUT_TAG.match(line)
        if found:
            return found["stamp"], _origin(found["host"], found["tag"], found["pid"] if found["whole"] else b""), found["text"]
        if COMPOSE.match(line) or DOCKER_STAMP.match(line):
            return self._syslog_inside(line)
        plain = ANSI.sub(b"", line)
        return self._other(plain) if plain != line else None

    def inside(self, line: bytes) -> tuple[bytes, bytes] | None:
        """
        Stamp and text of a line that a container's log wraps, the stamp b"" where it has none; None for any other line, and
        for the beginning of one that was split.
        """
        line = line.rstrip(b"\r\n")
        if line.startswith(b"{"):
            entry = _json_object(line)
            if entry is None:
                return None
            if _of_docker(entry):
                return self._docker(entry)
            shipped = _shipped(entry)
            return (b"", shipped) if shipped else None
        found = CRI.match(line)
        if found:
            text = self._cri.pop(found["stream"], b"") + found["text"]
            if found["part"] == b"P":
                self._cri[found["stream"]] = text[:LONGEST]
                return None
            return found["stamp"], text
        if line.startswith(b"\x1b["):
            line = ANSI.sub(b"", line)
        stamp, text = b"", line
        for pattern in (COMPOSE, DOCKER_STAMP, COMPOSE):  # docker compose names the service before the stamp, swarm behind it
            found = pattern.match(text)
            if found:
                stamp, text = found.groupdict().get("stamp", stamp), found["text"]
        return None if text is line else (stamp, text)

    def _syslog_inside(self, line: bytes) -> Parts | None:
        """A syslog line inside a container's. Its own stamp lacks zone and year, the container's does not."""
        found = self.inside(line)
        return self._inner(*found) if found else None

    @staticmethod
    def _inner(stamp: bytes, text: bytes) -> Parts | None:
        if len(text) > LONGEST_MESSAGE:
            return None
        text = ANSI.sub(b"", text)
        found = OF_DOVECOT.match(text)
        if found and (stamp or found["stamp"]):
            return stamp or found["stamp"], b"dovecot", found["text"]
        found = SYSLOG.match(text)
        if found:
            return stamp or found["stamp"], found["origin"], _unmarked(found["text"])
        bare = re.match(rb"(?P<origin>[^\s\[\]:]+(?:\[\d+)?)\]?: (?P<text>.*)$", text, re.DOTALL)
        return (stamp, bare["origin"], bare["text"]) if stamp and bare else None

    def _json(self, line: bytes) -> Parts | None:
        entry = _json_object(line)
        if entry is None:
            return None
        if _of_docker(entry):
            found = self._docker(entry)
            return self._inner(*found) if found else None
        stamp, host, tag, pid = (_field(entry, names) for names in (JSON_STAMPS, JSON_HOSTS, JSON_TAGS, JSON_PIDS))
        text = _message(next((entry[name] for name in JSON_TEXTS if name in entry), None))
        if text is None or not tag:
            shipped = _shipped(entry)
            return self._inner(b"", shipped) if shipped else None
        seconds = SECONDS.fullmatch(stamp)
        if seconds:
            stamp = seconds[1] + (seconds[2] or "").ljust(6, "0")
        tag, pid = tag.rstrip(":"), pid if pid != "0" else ""
        if "[" in tag:
            tag, _, pid = tag.rstrip("]").partition("[")
        return _bytes(stamp), _origin(_bytes(host), _bytes(tag), _bytes(pid)), text

    def _docker(self, entry: dict[str, Any]) -> tuple[bytes, bytes] | None:
        stream, text, stamp = str(entry.get("stream", "")), entry["log"], entry["time"]
        if not isinstance(text, str) or not isinstance(stamp, str):
            return None
        text = self._partial.pop(stream, "") + text
        if not text.endswith("\n"):
            self._partial[stream] = text[:LONGEST]
            return None
        return _bytes(stamp), _bytes(text.rstrip("\r\n"))


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _of_docker(entry: dict[str, Any]) -> bool:
    return isinstance(entry.get("log"), str) and "time" in entry


def _shipped(entry: dict[str, Any]) -> bytes | None:
    """A line of a file that Filebeat ships as it is; its stamp says only when the line was read. None for any other message."""
    return _message(entry.get("message")) if _value(entry, "log.file.path") and not _field(entry, JSON_TAGS) else None


def _unmarked(text: bytes) -> bytes:
    """Without the number of the message that the syslog of Solaris puts before each."""
    marked = SOLARIS.match(text) if text.startswith(b"[ID ") else None
    return text[marked.end() :] if marked else text


def _origin(host: bytes, tag: bytes, pid: bytes) -> bytes:
    head = host + b" " + tag if host and host != b"-" else tag
    return head + b"[" + pid if pid.isdigit() else head


def _bytes(text: str) -> bytes:
    """Bytes that were not UTF-8 come back as they were; half a surrogate pair, which only JSON can hold, is kept too."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _field(entry: dict[str, Any], names: tuple[str, ...]) -> str:
    """The first of these names that has a value; journald gives a list where a field was set more than once."""
    for name in names:
        value = _value(entry, name)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, (str, int, float)) and value not in NO_VALUE:
            return str(value)
    return ""


def _value(entry: dict[str, Any], name: str) -> Any:
    """A field by its name, which may be that of one inside others."""
    if name in entry or "." not in name:
        return entry.get(name)
    value: Any = entry
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _message(value: object) -> bytes | None:
    """journald gives a text, or a list of bytes where it is not UTF-8; of a field that was set more than once, a list of these."""
    if isinstance(value, list) and value and not isinstance(value[0], int):
        value = value[0]
    if isinstance(value, str):
        return _bytes(value.removeprefix(" "))
    if isinstance(value, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return bytes(value).removeprefix(b" ")
    return None
