"""
Any bytes as a log of one kind of server: read or reported, never raised, and no row that could not be.

    python bench/fuzz.py sendmail                ten minutes, guided by what the input makes the code do
    python bench/fuzz.py sendmail FILE...        these inputs once, as they were found

The first bytes of an input say how it is cut into batches, whether compiled code looks at them though they are small, and
whether its lines stand behind a syslog's stamp and a tag of the server's or as they are. It starts from lines of the real
logs in tests/logs, from the samples in docs/sources.md, and from a line in the journal's export format, behind a count, and
in JSON.

What goes wrong
    A find is written to .run/fuzz/SOURCE and told; it becomes a test of that source.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import atheris

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 600
NOW = 1_795_500_000_000_000
LONGEST = 4096
TAGS = {
    "postfix": (b"postfix/submission/smtpd", b"postfix/cleanup", b"postfix/qmgr"),
    "sendmail": (b"sm-mta",),
    "opensmtpd": (b"smtpd",),
    "dovecot": (b"dovecot",),
    "exim": (b"exim",),
    "courier": (b"courieresmtpd", b"courierd"),
    "haraka": (b"haraka",),
    "maddy": (b"maddy",),
    "chasquid": (b"chasquid",),
    "stalwart": (b"stalwart",),
}

with atheris.instrument_imports(include=["smtp_auth_report.framing", "smtp_auth_report.sources"]):
    from smtp_auth_report.changes import Changes
    from smtp_auth_report.sources import SOURCES, LogReader, Options, Source, exchange, exim, postfix
    from smtp_auth_report.submission import Outcome, Service, Submission, Tls

VALUES = {"outcome": set(Outcome), "service": set(Service), "tls_version": set(Tls)}
TEXTS = [name for name in Submission._fields if name not in {"key", "opened", "time", "recipients", "size"}]


def lines_of(kind: type[Source], content: bytes) -> bytes:
    """The log that an input stands for."""
    tags = TAGS.get(kind.name, ())
    if len(content) < 3 or not tags or content[1] % 4 == 0:
        return content[2:]
    heads = [b"Nov 23 16:06:%02d mail %b[%d]: " % (number % 60, tags[number % len(tags)], 7 + number % 3) for number in range(60)]
    return b"".join(heads[(content[1] + number) % 60] + line + b"\n" for number, line in enumerate(content[2:].split(b"\n")))


def read(kind: type[Source], content: bytes) -> None:
    """Read an input, in two batches and with a second reader that goes on; everything that must hold is asserted."""
    text = lines_of(kind, content)
    for module in (exchange, exim, postfix):
        module.WORTH_SIFTING = 0 if content[:1] and content[0] % 2 else LONGEST + 1
    cut = text.find(b"\n", len(text) * content[0] // 256) + 1 if content else 0
    options = Options(ZoneInfo("Europe/Paris"), True, 2026, NOW, NOW, "mail")
    first, second = LogReader(SOURCES, options), LogReader(SOURCES, options)
    remembered = []
    for reader, batch in ((first, text[:cut]), (second, text[cut:])):
        reader.settle(batch.split(b"\n")[:50], batch[:65_536])
        reader.recall(remembered)
        changes = reader.feed(batch)
        assert 0 <= changes.other <= changes.lines
        check(changes)
        check(reader.finish())
        remembered = reader.remember()


def check(changes: Changes) -> None:
    """Every row can be stored, and says only what a row may say."""
    reasons = {kind.name: {None, *kind.reasons} for kind in SOURCES}
    for row in rows_of(changes):
        for name in TEXTS:
            value = getattr(row, name)
            assert value is None or value.encode("utf-8") is not None
        assert all(getattr(row, name) in allowed for name, allowed in VALUES.items())
        assert row.reason in reasons[row.source], row.reason
        assert 0 < row.time < 1 << 62
        assert row.account is None or row.outcome != Outcome.TLS_FAILED


def rows_of(changes: Changes) -> Iterator[Submission]:
    yield from changes.rows.values()
    for messages in changes.messages:
        yield from messages.rows()


def in_forms(tag: str, text: str) -> Iterator[bytes]:
    """A message in the journal's export format, twice, behind a count, and in JSON."""
    known = f"__CURSOR=s=1\n__REALTIME_TIMESTAMP={NOW}\n_HOSTNAME=mail\nSYSLOG_IDENTIFIER={tag}\n_PID=7\nMESSAGE".encode()
    yield known + b"=" + text.encode() + b"\n\n" + known + b"\n" + len(text.encode()).to_bytes(8, "little") + text.encode() + b"\n\n"
    message = f"<22>1 2026-11-23T16:06:06Z mail {tag} 7 - - {text}".encode()
    yield 2 * (b"%d %b" % (len(message), message))
    gelf = {"host": "mail", "short_message": text, "timestamp": NOW / 1e6, "_program": tag, "_pid": 7}
    ecs = {"@timestamp": "2026-11-23T16:06:06Z", "message": text, "host": {"name": "mail"}, "process": {"name": tag, "pid": 7}}
    shipped = {"message": f"Nov 23 16:06:06 mail {tag}[7]: {text}", "log": {"file": {"path": "x"}}}
    yield b"\n".join(json.dumps(entry).encode() for entry in (gelf, ecs, shipped))


def seeds(kind: type[Source]) -> Iterator[bytes]:
    """Lines of real logs and of the docs."""
    text = kind.sample.partition(": ")[2]
    yield b"\x80\x01" + text.encode()
    yield from (b"\x80\x00" + form for tag in TAGS.get(kind.name, ())[:1] for form in in_forms(tag.decode(), text))
    docs = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    chapter = re.search(rf"^## {re.escape(kind.title)}\n(.*?)(?=^## |\Z)", docs, re.DOTALL | re.MULTILINE)
    for block in re.findall(r"```\w*\n(.*?)```", chapter[1] if chapter else "", re.DOTALL):
        yield b"\x80\x00" + block.encode()
        yield b"\x80\x01" + b"\n".join(line.partition(b": ")[2] for line in block.encode().splitlines())
    for path in (ROOT / "tests" / "logs").glob(f"{kind.name}*/*/*log*"):
        lines = path.read_bytes().splitlines()
        for start in range(0, len(lines), max(1, len(lines) // 200)):
            yield b"\x80\x00" + b"\n".join(lines[start : start + 12])


def main() -> None:
    """Fuzz one source."""
    kind = next(kind for kind in SOURCES if kind.name == sys.argv[1])
    if files := sys.argv[2:]:
        for name in files:
            read(kind, Path(name).read_bytes())
        return
    folder = ROOT / ".run" / "fuzz" / kind.name
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(kind)):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={SECONDS}", f"-max_len={LONGEST}", f"-artifact_prefix={folder}/", "-timeout=20"]
    atheris.Setup([sys.argv[0], *limits, str(folder / "corpus")], lambda content: read(kind, content))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
