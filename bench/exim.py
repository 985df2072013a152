"""
How fast logs of Exim are read: ingest as one command, beside eximstats on the same file, and pflogsumm on one of Postfix.

    python bench/exim.py                        500 MB, three rounds
    python bench/exim.py --size 1000 --rounds 5

A made-up site writes its main log: six of ten connections are strangers who are refused, and few of them fail to sign in, three of ten
deliver mail, and the tenth is a client that signs in and sends. The log is read into a new database, then the same lines
from another file into that one, and the medians are printed as MB/s, as times the speed of eximstats, and as times the
speed of pflogsumm on its own kind of log (pace.py). The number of accepted rows must be the number that was written.

What goes wrong
    A count is wrong, or a command fails: one line, exit status 1. A peer that cannot be had is left out.
"""

from __future__ import annotations

import random
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from measure import PROGRAM, Cost, check, compiled, options, run
from pace import Pace, program

START = datetime(2025, 1, 6, tzinfo=UTC)
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CIPHERS = ("TLS1.3:TLS_AES_256_GCM_SHA384:256", "TLS1.2:ECDHE_SECP256R1__RSA_SHA256__AES_256_GCM:256", "TLS1.0:RSA__AES_256_CBC__SHA1:256")


def base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = DIGITS[digit] + digits
    return digits


class Site:
    """What is written, connection by connection."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clock = START
        self.number = 0
        self.accepted = 0

    def visit(self) -> str:
        self.clock += timedelta(milliseconds=self.chance.randrange(20, 900))
        stamp, kind = f"{self.clock:%Y-%m-%d %H:%M:%S} ", self.chance.random()
        lines = self._refused() if kind < 0.6 else self._mail(signs_in=kind > 0.9)
        return "".join(f"{stamp}{line}\n" for line in lines)

    def _refused(self) -> list[str]:
        chance = self.chance
        host = f"(host{chance.randrange(9000)}.example) [203.0.{chance.randrange(100)}.{chance.randrange(250)}]"
        if chance.random() < 0.02:
            name = f"user{chance.randrange(20_000)}@contoso.example"
            return [f"login_server authenticator failed for {host}: 535 Incorrect authentication data (set_id={name})"]
        return [
            f"no host name found for IP address 203.0.113.{chance.randrange(250)}",
            f"H={host} F=<news@partner.example> rejected RCPT <office{chance.randrange(500)}@contoso.example>: relay not permitted",
        ]

    def _mail(self, *, signs_in: bool) -> list[str]:
        chance = self.chance
        self.number += 1
        self.accepted += signs_in
        queue_id = f"{base62(int(self.clock.timestamp()), 6)}-{base62(self.number, 6)}-{base62(chance.randrange(3844), 2)}"
        user = chance.randrange(20_000)
        tls = f"X={CIPHERS[user % 50 % 3]} CV=no"
        if signs_in:
            name = f"user{user}@contoso.example"
            peer = f"H=(pc{user}) [198.51.{user % 100}.{user % 250}] P=esmtpsa {tls} A=plain_server:{name}"
        else:
            name = f"contact{chance.randrange(90_000)}@partner.example"
            peer = f"H=mx{user % 900}.partner.example [192.0.2.{user % 250}] P=esmtps {tls}"
        size, message_id = chance.randrange(2_000, 900_000), f"{chance.getrandbits(96):024X}@contoso.example"
        delivered = [
            f"{queue_id} => office{chance.randrange(500)}@woodgrove.example R=dnslookup T=remote_smtp H=mx.woodgrove.example [192.0.2.7] "
            f'X={CIPHERS[0]} CV=yes C="250 2.0.0 Ok: queued as 4XyzABC123"'
            for _ in range(chance.choice((1, 1, 1, 2, 4)))
        ]
        return [f"{queue_id} <= {name} {peer} S={size} id={message_id}", *delivered, f"{queue_id} Completed"]


def written(folder: Path, size: int, seed: int) -> tuple[Path, int]:
    """The log, and how many messages clients sent; made once."""
    path, count = folder / f"exim-{size}-{seed}.log", folder / f"exim-{size}-{seed}.count"
    if not count.exists():
        folder.mkdir(parents=True, exist_ok=True)
        site = Site(seed)
        with path.open("w") as log:
            while log.tell() < size:
                log.writelines(site.visit() for _ in range(5_000))
        count.write_text(str(site.accepted), encoding="ascii")
    return path, int(count.read_text(encoding="ascii"))


def another(path: Path) -> Path:
    """The same lines behind one more, so that it is another file."""
    twin = path.with_suffix(".twin")
    if not twin.exists():
        with path.open("rb") as log, twin.open("wb") as copy:
            copy.write(f"{START - timedelta(1):%Y-%m-%d %H:%M:%S} Start queue run: pid=1\n".encode())
            shutil.copyfileobj(log, copy)
    return twin


def main() -> int:
    arguments = options("Measure ingest of a large log of Exim.", megabytes=500).parse_args()
    compiled()
    path, accepted = written(arguments.cache, int(arguments.size * 1e6), arguments.seed)
    twin, database, peer = another(path), arguments.cache / "bench.duckdb", program("exim4-base", "usr/sbin/eximstats")
    pace = Pace(arguments.cache)
    costs: dict[str, list[Cost]] = {"new": [], "again": []} | ({"eximstats": []} if peer else {})
    for done in range(arguments.rounds):
        print(f"round {done + 1} of {arguments.rounds} ...", flush=True)
        for old in arguments.cache.glob("bench.*"):
            old.unlink()
        for name, file in (("new", path), ("again", twin)):
            costs[name].append(run(PROGRAM, "ingest", "--database", database, "--timezone", "UTC", file))
            check(database, accepted)
        if peer:
            costs["eximstats"].append(run(peer, path))
        pace.run()
    show(path.stat().st_size, costs, pace)
    return 0


def show(size: int, costs: dict[str, list[Cost]], pace: Pace) -> None:
    medians = {name: median(cost.seconds for cost in runs) for name, runs in costs.items()}
    print(f"{'run':<10} {'seconds':>8} {'MB/s':>8} {'x eximstats':>12} {'x pflogsumm':>12} {'memory MB':>10}")
    for name, seconds in medians.items():
        ratio = f"{medians['eximstats'] / seconds:.1f}" if "eximstats" in medians else "-"
        memory = max(cost.memory for cost in costs[name]) / 1e6
        print(f"{name:<10} {seconds:8.2f} {size / seconds / 1e6:8.1f} {ratio:>12} {pace.times(size, seconds):>12} {memory:10.0f}")
    print(pace)


if __name__ == "__main__":
    sys.exit(main())
