"""
A large Postfix log with a known number of submissions, made once and kept.

    log = large_log(Path(".run/bench"), Plan(bytes=1_000_000_000))
    log.path, log.found["accepted"]

A provider's mail host: 20,000 accounts of 200 domains that write 60 % less than strangers on port 25 do. Some 4.2 % of
the lines name a SASL user. The same plan gives the same text.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

import demo
import postfix_writer
from postfix_writer import HANDSHAKE_FAILED, SECOND, Client, Line, Message, Server, Session, outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator

START = 1_736_121_600 * SECOND  # 2025-01-06 00:00 UTC
ACCOUNTS = 20_000
DOMAINS = 200
BLOCK = 600 * SECOND
SERVICES = ("submission",) * 18 + ("smtps",) * 6 + ("",)
VERSIONS = ("TLSv1.3",) * 12 + ("TLSv1.2",) * 6 + ("TLSv1.1", "TLSv1")
MECHANISMS = ("PLAIN",) * 9 + ("LOGIN",) * 7 + ("XOAUTH2",) * 3 + ("CRAM-MD5",)
RECIPIENTS = (1, 1, 1, 1, 1, 2, 2, 3, 4, 8)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write. It ends when both `bytes` and `messages` (accepted, after signing in) are reached."""

    bytes: int = 0
    messages: int = 0
    seed: int = 1
    envelope: str = "rfc3164"
    noise: float = 0.77  # of the connections; these are 60 % of the lines
    pause: int = 650_000  # mean microseconds from one connection to the next

    @property
    def name(self) -> str:
        """Another one when the plan, or what writes it, has changed."""
        digest = blake2b(json.dumps(asdict(self)).encode(), digest_size=6)
        for module in (__file__, demo.__file__, postfix_writer.__file__):
            digest.update(Path(module).read_bytes())
        return digest.hexdigest()


class LargeLog(NamedTuple):
    """The file, and the rows by outcome that a reader must find in it."""

    path: Path
    found: dict[str, int]
    lines: int
    start: int  # microseconds UTC
    end: int


def large_log(folder: Path, plan: Plan) -> LargeLog:
    """The log of this plan, from `folder` where it was written before."""
    path, facts = folder / f"{plan.name}.log", folder / f"{plan.name}.json"
    if not facts.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"writing {path} ...", flush=True)
        facts.write_text(json.dumps(_write(path, plan)), encoding="utf-8")
    return LargeLog(path, **json.loads(facts.read_text(encoding="utf-8")))


def _write(path: Path, plan: Plan) -> dict[str, object]:
    found: Counter[str] = Counter()
    lines, end = 0, START
    dress = demo.ENVELOPES[plan.envelope]
    with path.open("w", encoding="utf-8") as file:
        for block in _blocks(plan, found):
            for midnight, part in _by_day(block):
                file.writelines(dress(midnight, part))
            lines += len(block)
            end = block[-1][0]
            if file.tell() >= plan.bytes and found["accepted"] >= plan.messages:
                found["done"] = 1  # the next block is the last: what is open is written to its end
    del found["done"]
    return {"found": found, "lines": lines, "start": START, "end": end}


def _blocks(plan: Plan, found: Counter[str]) -> Iterator[list[Line]]:
    """Lines in order, ten minutes at a time."""
    rng = random.Random(plan.seed)
    server = Server(rng, "3.7", frozenset(_domain(number) for number in range(DOMAINS)))
    lines: list[Line] = []
    for border in count(START + BLOCK, BLOCK):
        now = border - BLOCK
        while not found["done"] and (now := now + 1 + int(rng.expovariate(1) * plan.pause)) < border:
            session = _stranger(rng, now) if rng.random() < plan.noise else _client(rng, now)
            found.update(outcomes(session))
            lines += server.log(session)
        lines.sort()
        ready = [line for line in lines if line[0] < border]
        lines = lines[len(ready) :]
        if ready:
            yield ready
        elif found["done"] and not lines:
            return


def _by_day(block: list[Line]) -> Iterator[tuple[int, list[Line]]]:
    first, last = block[0][0] // demo.DAY, block[-1][0] // demo.DAY
    for day in range(first, last + 1):
        yield day * demo.DAY, [line for line in block if line[0] // demo.DAY == day] if first != last else block


def _domain(number: int) -> str:
    return f"customer{number}.example"


def _account(rng: random.Random) -> str:
    """Few send much, many send little."""
    number = int(ACCOUNTS * rng.random() ** 2)
    return f"user{number}@{_domain(number % DOMAINS)}"


def _client(rng: random.Random, now: int) -> Session:
    """Someone who signs in, or tries to."""
    account = _account(rng)
    number = hash_of(account)
    service = SERVICES[number % len(SERVICES)]
    address = f"10.{number >> 8 & 255}.{number & 255}.{rng.randrange(1, 5)}"
    client = Client("unknown" if number % 3 else f"host{number}.access.example", address, f"[192.168.1.{number % 200}]")
    tls = VERSIONS[number % len(VERSIONS)] if service == "smtps" or number % 97 else ""
    kind = rng.randrange(100)
    if kind < 6:
        return Session(now, service, client, tls, failures=(account,) * rng.choice((1, 1, 3)), ending="AUTH")
    if kind == 6 and service:
        return Session(now, service, client, HANDSHAKE_FAILED)
    sender = account if rng.randrange(12) else f"noreply@{account.partition('@')[2]}"
    messages = tuple(
        Message(sender, tuple(_recipient(rng) for _ in range(rng.choice(RECIPIENTS))), rng.randrange(800, 60_000))
        for _ in range(rng.choice((1, 1, 1, 1, 2)) if kind > 8 else 0)
    )
    return Session(now, service, client, tls, MECHANISMS[number % len(MECHANISMS)], account, messages=messages)


def _stranger(rng: random.Random, now: int) -> Session:
    """Another mail server, or a machine that only looks."""
    number = rng.randrange(60_000)
    client = Client(f"mx{number}.partner.example", f"198.{18 + number % 2}.{number >> 8}.{number & 255}", f"mx{number}.partner.example")
    kind = rng.randrange(10)
    if kind < 3:
        return Session(now, "", client, ending=rng.choice(("CONNECT", "EHLO")))
    if kind < 6:
        blocked = f"554 5.7.1 Service unavailable; Client host [{client.address}] blocked using dnsbl.example"
        return Session(now, "", client, messages=(Message(f"offer{number}@wingtip.example", (), 0, (blocked,)),))
    message = Message(f"someone{number}@partner{number % 900}.example", (_account(rng),), rng.randrange(1500, 90_000))
    return Session(now, "", client, rng.choice(("TLSv1.3", "TLSv1.2", "")), messages=(message,))


def _recipient(rng: random.Random) -> str:
    return _account(rng) if rng.randrange(4) == 0 else f"contact{rng.randrange(90_000)}@partner{rng.randrange(900)}.example"


def hash_of(text: str) -> int:
    """A number that is the same in every run."""
    return int.from_bytes(blake2b(text.encode(), digest_size=3).digest())
