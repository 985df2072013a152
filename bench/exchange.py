"""
How fast logs of Exchange are read: ingest as one command, of protocol logs and message tracking.

    python bench/exchange.py                    1000 MB, three rounds
    python bench/exchange.py --size 300 --rounds 5

A made-up site writes, hour by hour, what its front end logs, what its mailbox server logs, and message tracking: nine of
ten sessions are strangers who deliver mail and servers among themselves, the tenth is a client that signs in on port 587
and is handed over. Each log is read by itself into a new database, then all of them into one, and the medians are printed
as MB/s and as times the speed of pflogsumm on a log of Postfix (pace.py). The number of accepted rows must be the number that was written.

What goes wrong
    A count is wrong, or a command fails: one line, exit status 1.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from measure import PROGRAM, Cost, check, compiled, options, run
from pace import Pace

START = datetime(2025, 1, 6, tzinfo=UTC)
PROTOCOL = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"
TRACKING = (
    "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,"
    "message-id,network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,"
    "message-subject,sender-address,return-path,message-info,directionality,tenant-id,original-client-ip,original-server-ip,custom-data,"
    "transport-traffic-type,log-id,schema-version"
)
FIRST_SESSION = 0x08DD2E1A00000000
BANNER = '"220 EX1.contoso.example Microsoft ESMTP MAIL Service ready at Mon, 6 Jan 2025 01:00:00 +0100",'
GREETING = (
    ">,250  EX1.contoso.example Hello SIZE 37748736 PIPELINING DSN ENHANCEDSTATUSCODES STARTTLS X-ANONYMOUSTLS AUTH NTLM 8BITMIME XRDST,"
)
AGREED = (
    '*,,"TLS protocol SP_PROT_TLS1_2_SERVER negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits, '
    'MAC hash algorithm CALG_SHA_384 with strength 0 bits and key exchange algorithm CALG_ECDH_EPHEM with strength 384 bits"'
)
PERMISSIONS = "*,SMTPSubmit SMTPAcceptAnySender SMTPAcceptAuthoritativeDomainSender AcceptRoutingHeaders,Set Session Permissions"
GREETED = ["+,,", PERMISSIONS, f">,{BANNER}", "<,EHLO {helo},", GREETING]
SECURED = [
    "<,STARTTLS,",
    ">,220 2.0.0 SMTP server ready,",
    "*, CN=EX1 CN=EX1 12DE 2024-01-17T15:15:33.000Z EX1,Sending certificate",
    AGREED,
]
MAIL = [
    "<,MAIL FROM:<{sender}> SIZE={size},",
    "*,{session};2025-01-06T00:00:00.000Z;1,receiving message",
    ">,250 2.1.0 Sender OK,",
    "<,RCPT TO:<office@contoso.example>,",
    ">,250 2.1.5 Recipient OK,",
    "<,BDAT {size} LAST,",
]
QUEUED = (
    '>,"250 2.6.0 {message_id} [InternalId={number}, Hostname=EX1.contoso.example] {size} bytes in 0.112, 13.250 KB/sec '
    'Queued mail for delivery",'
)
BYE = ["<,QUIT,", ">,221 2.0.0 Service closing transmission channel,", "-,,Local"]
CLIENT = [*GREETED, *SECURED, "<,EHLO {helo},", GREETING, "<,AUTH LOGIN,", *[">,334 <authentication response>,"] * 2, PERMISSIONS]
SIGNED_IN = ["*,{account},authenticated", "*,,Setting up client proxy session to destination(s)", ">,235 2.7.0 Authentication successful,"]
LINKED = ["+,,", "<,EHLO EX1.contoso.example,", GREETING, "<,X-ANONYMOUSTLS,", ">,220 2.0.0 SMTP server ready,", AGREED]
TRUSTED = ["<,X-EXPS EXCHANGEAUTH SHA256 ,", "*,NT AUTHORITY\\SYSTEM,authenticated", ">,235 <authentication response>,"]
PROXY = ["<,XPROXY SID={front} IP={client} PORT={port} DOMAIN={helo} CAPABILITIES=0 SECID=Uy0xLTUt,", ">,250 XProxy accepted,"]
PROXY_FROM = [
    "<,XPROXYFROM SID={front} IP={client} PORT={port} DOMAIN={helo} SEQNUM=1 PERMS=1 AUTHSRC=Anonymous,",
    ">,250 XProxyFrom accepted,",
]

EVENTS = (("SMTP", "HARECEIVE"), ("SMTP", "RECEIVE"), ("AGENT", "AGENTINFO"), ("STOREDRIVER", "DELIVER"))
TRACKED = (
    "10.0.0.5,EX1.contoso.example,10.0.0.5,EX1,{session};2025-01-06T00:00:00.000Z;0,{connector},{source},{event},{number},{message_id},"
    '1b4e28ba-2fa1-11d2-883f-0016d3cca427,office@contoso.example,,{size},1,,,"Report {number}, as asked",{sender},{sender},'
    "2025-01-06T00:00:00.000Z;LSRV=EX1:TOTAL-SUB=0.1,{direction},,{client},10.0.0.5,S:ProxiedClientIPAddress={client};"
    "S:ProxiedClientHostname={helo};S:DeliveryPriority=Normal;S:AccountForest=contoso.example,Email,"
    "9ed48152-b5a3-418f-8b90-722ab127348a,15.02.0986.005"
)

Row = tuple[int, str]


class Site:
    """What is written, session by session."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.number = 0
        self.accepted = 0
        self.clock = 0  # milliseconds
        self.front: list[Row] = []
        self.hub: list[Row] = []
        self.tracking: list[Row] = []

    def visit(self) -> None:
        self.clock += self.chance.randrange(20, 400)
        self.number += 1
        signs_in = self.chance.random() < 0.1
        told = self._client(signs_in)
        doors = "EX1\\Client Frontend EX1", "EX1\\Client Proxy EX1" if signs_in else "EX1\\Default EX1"
        if signs_in:
            self._log(
                self.front,
                doors[0],
                told["front"],
                "10.0.0.5:587",
                f"{told['client']}:{told['port']}",
                [*CLIENT, *SIGNED_IN, BYE[-1]],
                told,
            )
            between = [*LINKED, *TRUSTED, *PROXY]
            self.accepted += 1
        else:
            front = [*GREETED, *SECURED, "<,EHLO {helo},", GREETING, *MAIL, QUEUED, *BYE]
            self._log(
                self.front, "EX1\\Default Frontend EX1", told["front"], "10.0.0.5:25", f"{told['client']}:{told['port']}", front, told
            )
            between = [*LINKED, *TRUSTED, *PROXY_FROM]
        events = [*between, *MAIL, QUEUED, *BYE]
        self._log(self.hub, doors[1], told["session"], "10.0.0.5:465", "10.0.0.5:41500", events, told)
        self._track(told, doors[1], "Originating" if signs_in else "Incoming")

    def _client(self, signs_in: bool) -> dict[str, str]:
        chance, number = self.chance, self.number
        account = f"CONTOSO\\user{chance.randrange(20_000)}"
        address = f"{account.partition(chr(92))[2]}@contoso.example" if signs_in else f"contact{chance.randrange(90_000)}@partner.example"
        return {
            "front": f"{FIRST_SESSION + 2 * number:016X}",
            "session": f"{FIRST_SESSION + 2 * number + 1:016X}",
            "client": f"198.51.{chance.randrange(100)}.{chance.randrange(250)}",
            "port": str(chance.randrange(20_000, 65_000)),
            "helo": f"host{chance.randrange(9000)}.example",
            "account": account,
            "sender": address,
            "size": str(chance.randrange(2_000, 900_000)),
            "number": str(100_000 + number),
            "message_id": f"<{chance.getrandbits(96):024X}@contoso.example>",
        }

    def _log(self, rows: list[Row], connector: str, session: str, local: str, remote: str, events: list[str], told: dict[str, str]) -> None:
        time = self.clock
        for number, event in enumerate(events):
            time += self.chance.randrange(40)
            rows.append((time, f"{connector},{session},{number},{local},{remote},{event.format(**told) if '{' in event else event}"))

    def _track(self, told: dict[str, str], connector: str, direction: str) -> None:
        for step, (source, event) in enumerate(EVENTS):
            values = told | {"connector": connector, "source": source, "event": event, "direction": direction}
            self.tracking.append((self.clock + 400 + step, TRACKED.format(**values)))


def stamped(rows: list[Row]) -> Iterator[str]:
    for time, text in sorted(rows):
        yield f"{(START + timedelta(milliseconds=time)).isoformat(timespec='milliseconds')[:-6]}Z,{text}\r\n"


def written(folder: Path, size: int, seed: int) -> tuple[dict[str, Path], int]:
    """The three logs, and how many messages clients sent; made once."""
    paths = {name: folder / f"exchange-{name}-{size}-{seed}.LOG" for name in ("front", "hub", "tracking")}
    count = folder / f"exchange-{size}-{seed}.count"
    if not count.exists():
        folder.mkdir(parents=True, exist_ok=True)
        site = Site(seed)
        with (
            paths["front"].open("w", newline="") as front,
            paths["hub"].open("w", newline="") as hub,
            paths["tracking"].open("w", newline="") as tracking,
        ):
            files = {"front": front, "hub": hub, "tracking": tracking}
            for name, file in files.items():
                title, columns = ("Message Tracking Log", TRACKING) if name == "tracking" else ("SMTP Receive Protocol Log", PROTOCOL)
                file.write(f"#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: {title}\r\n#Fields: {columns}\r\n")
            while sum(file.tell() for file in files.values()) < size:
                for _ in range(5_000):
                    site.visit()
                for name, file in files.items():
                    rows = getattr(site, name)
                    file.writelines(stamped(rows))
                    rows.clear()
                site.clock += 60_000
        count.write_text(str(site.accepted), encoding="ascii")
    return paths, int(count.read_text(encoding="ascii"))


def measured(folder: Path, paths: list[Path], accepted: int) -> Cost:
    database = folder / "bench.duckdb"
    for old in folder.glob("bench.*"):
        old.unlink()
    cost = run(PROGRAM, "ingest", "--database", database, *paths)
    check(database, accepted)
    return cost


def main() -> int:
    arguments = options("Measure ingest of large logs of Exchange, three of them together so large.", megabytes=1000).parse_args()
    compiled()
    paths, accepted = written(arguments.cache, int(arguments.size * 1e6), arguments.seed)
    runs = {name: ([path], accepted if name == "hub" else 0) for name, path in paths.items()} | {"all": (list(paths.values()), accepted)}
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    pace = Pace(arguments.cache)
    for done in range(arguments.rounds):
        print(f"round {done + 1} of {arguments.rounds} ...", flush=True)
        for name, (files, expected) in runs.items():
            costs[name].append(measured(arguments.cache, files, expected))
        pace.run()
    print(f"{'log':<10} {'MB':>6} {'seconds':>8} {'MB/s':>8} {'x pflogsumm':>12} {'memory MB':>10}")
    for name, (files, _) in runs.items():
        size, seconds = sum(path.stat().st_size for path in files), median(cost.seconds for cost in costs[name])
        ratio, memory = pace.times(size, seconds), max(cost.memory for cost in costs[name]) / 1e6
        print(f"{name:<10} {size / 1e6:6.0f} {seconds:8.2f} {size / seconds / 1e6:8.1f} {ratio:>12} {memory:10.0f}")
    print(pace)
    return 0


if __name__ == "__main__":
    sys.exit(main())
