"""
A made-up site: who sends mail from where, when, and what goes wrong.

    site = Site(random.Random(1), end)
    for session in site.day(midnight): ...        everything that connects on that day, in no order

Three domains, 28 people and twelve devices and programs. People work on weekdays, less around the holidays; a printer
speaks TLS 1.0, a NAS TLS 1.1, an alarm panel sends in clear. From the middle of the time on, people move one by one
from passwords to XOAUTH2. In the last week a password is stolen and used from many addresses.

Times are microseconds UTC, days start at midnight UTC. The same seed and end give the same site.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from postfix_writer import HANDSHAKE_FAILED, SECOND, Client, Message, Session

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

HOUR = 3600 * SECOND
DAY = 24 * HOUR
DAYS = 396  # thirteen months

DOMAINS = ("contoso.example", "fabrikam.example", "tailspin.example")
PARTNERS = ("proseware.example", "woodgrove.example", "litware.example", "adatum.example", "northwind.example", "wingtip.example")

PEOPLE = {
    "contoso.example": (
        "anna.berg j.lindqvist m.fischer o.haddad l.moreau t.nakamura c.okafor s.ivanova r.delgado e.brandt d.costa h.yilmaz info office"
    ),
    "fabrikam.example": "k.weiss p.novak elena.rossi b.johansson f.dubois g.papadakis n.kaya sales support",
    "tailspin.example": "a.meyer j.doe v.horvat i.santos accounts",
}
STOLEN = "k.weiss@fabrikam.example"
SALES = ("sales@contoso.example", "sales@contoso.example", "offers@fabrikam.example")
ORDERS = ("orders@fabrikam.example",)
STAYED_WITH_PASSWORDS = {"office@contoso.example", "d.costa@contoso.example", "support@fabrikam.example", "accounts@tailspin.example"}

WORKING_HOURS = (0, 0, 0, 0, 0, 1, 4, 22, 60, 92, 100, 84, 50, 66, 88, 90, 72, 40, 14, 8, 6, 4, 2, 1)
SHOPPING_HOURS = (12, 6, 3, 2, 2, 4, 10, 25, 40, 50, 55, 60, 66, 60, 55, 55, 60, 66, 80, 95, 100, 85, 50, 25)
ALL_HOURS = (1,) * 24
NIGHT = (0, 40, 100, 60) + (0,) * 20

UNKNOWN_USER = "550 5.1.1 <>: Recipient address rejected: User unknown in virtual mailbox table"
GUESSED = ("admin", "info", "test", "scanner", "office", "contact", "postmaster", "user", "backup", "sales", "root", "noreply", "webmaster")


class Sender(NamedTuple):
    """One account and its habits."""

    account: str
    service: str
    clients: tuple[Client, ...]
    tls: str
    method: str
    a_day: float  # messages on a usual day
    hours: tuple[int, ...] = WORKING_HOURS
    weekend: float = 0.04  # of a usual day
    senders: tuple[str, ...] = ()  # envelope addresses; the account where empty
    size: int = 30_000
    moves: int = 0  # when XOAUTH2 takes the place of `method`
    replaced: int = 0  # when a newer device with TLS 1.3 takes its place


def device(name: str, number: int, domain: str) -> tuple[Client, ...]:
    return (Client(f"{name}.{domain}", f"10.20.{number}.{number + 7}", f"{name}.{domain}"),)


class Site:
    """The accounts, and what they and others do on a day."""

    def __init__(self, rng: random.Random, end: int, days: int = DAYS) -> None:
        self.rng = rng
        self.end = end
        self.days = days
        self.start = (end - 1) // DAY * DAY - (days - 1) * DAY
        self.middle = (self.start + end) // 2
        self.theft = (end // DAY - 6) * DAY + 2 * HOUR
        self.senders = (*self._people(), *self._devices())
        self.guessers = [self._far_away(number) for number in range(60)]
        self.thieves = [self._far_away(number) for number in range(1000, 1140)]
        self.holidays = {sender.account: self.start + rng.randrange(days) * DAY for sender in self.senders}

    def _far_away(self, number: int) -> Client:
        address = f"{('198.51.100', '203.0.113')[number % 2]}.{self.rng.randrange(2, 254)}"
        if number % 9 == 4:
            address = f"2001:db8:{number:x}:{self.rng.getrandbits(16):x}::{self.rng.getrandbits(8):x}"
        return Client("unknown", address, self.rng.choice(("User", "localhost", "[127.0.0.1]", "WIN-8K2PQ71", "mail.adatum.example")))

    def _people(self) -> Iterator[Sender]:
        rng, number = self.rng, 0
        for domain, names in PEOPLE.items():
            for name in names.split():
                number += 1
                account = f"{name}@{domain}"
                desk = Client(f"pc-{number:02}.{domain}", f"10.10.{number % 4}.{20 + number}", f"[10.10.{number % 4}.{20 + number}]")
                home = Client("unknown", f"2001:db8:40:{number:x}::{rng.getrandbits(16):x}", f"[192.168.1.{rng.randrange(20, 90)}]")
                phone = Client(f"m{number}.mobile.example", f"100.64.{number}.{rng.randrange(2, 250)}", "iPhone")
                moves = 0 if account in STAYED_WITH_PASSWORDS else self.middle + int(rng.uniform(-0.11, 0.19) * self.days * DAY)
                yield Sender(
                    account,
                    rng.choice(("submission", "submission", "smtps")),
                    (desk, desk, desk, desk, home, phone)[: rng.randrange(4, 7)],
                    rng.choice(("TLSv1.3", "TLSv1.3", "TLSv1.2")),
                    rng.choice(("PLAIN", "PLAIN", "LOGIN")),
                    rng.uniform(2, 8.5),
                    moves=moves,
                )

    def _devices(self) -> Iterator[Sender]:
        contoso, fabrikam, tailspin = DOMAINS
        older = self.end - self.days // 4 * DAY
        for name, domain, service, tls, method, a_day, hours, weekend, senders, size, replaced in (
            ("printer-hall3", contoso, "submission", "TLSv1", "LOGIN", 24, WORKING_HOURS, 0.02, (), 240_000, 0),
            ("scanner-og2", contoso, "smtps", "TLSv1.2", "LOGIN", 19, WORKING_HOURS, 0.02, ("scan@contoso.example",), 900_000, 0),
            ("crm", contoso, "submission", "TLSv1.3", "PLAIN", 45, WORKING_HOURS, 0.1, SALES, 42_000, 0),
            ("newsletter", contoso, "smtps", "TLSv1.3", "PLAIN", 0, WORKING_HOURS, 0, ("news@contoso.example",), 61_000, 0),
            ("monitoring", contoso, "submission", "TLSv1.3", "CRAM-MD5", 20, ALL_HOURS, 1, (), 2_400, 0),
            ("nas", fabrikam, "submission", "TLSv1.1", "PLAIN", 6, NIGHT, 1, ("nas@fabrikam.example", "backup@fabrikam.example"), 8_000, 0),
            ("printer-lobby", fabrikam, "submission", "TLSv1.2", "LOGIN", 13, WORKING_HOURS, 0.02, (), 310_000, 0),
            ("webshop", fabrikam, "submission", "TLSv1.2", "SCRAM-SHA-256", 30, SHOPPING_HOURS, 1.3, ORDERS, 18_000, 0),
            ("alarm-panel", tailspin, "submission", "", "LOGIN", 9, ALL_HOURS, 1, (), 900, 0),
            ("printer-yard", tailspin, "submission", "TLSv1", "LOGIN", 11, WORKING_HOURS, 0.02, (), 180_000, older),
            ("meters", tailspin, "smtps", "TLSv1.2", "PLAIN", 16, ALL_HOURS, 1, (), 5_500, 0),
            ("tickets", tailspin, "submission", "TLSv1.3", "PLAIN", 16, WORKING_HOURS, 0.2, ("help@tailspin.example",), 12_000, 0),
        ):  # fmt: skip  # a table
            number = sum(map(ord, name)) % 90
            yield Sender(
                f"{name}@{domain}",
                service,
                device(name, number, domain),
                tls,
                method,
                a_day,
                hours,
                weekend,
                senders,
                size,
                replaced=replaced,
            )

    def day(self, midnight: int) -> Iterator[Session]:
        """All sessions of the day that begins at `midnight`."""
        for sender in self.senders:
            yield from self.usual(sender, midnight)
        yield from self.newsletter(midnight)
        yield from self.probes(midnight)
        yield from self.guessing(midnight)
        yield from self.mistakes(midnight)
        yield from self.inbound(midnight)
        yield from self.thief(midnight)

    def usual(self, sender: Sender, midnight: int) -> Iterator[Session]:
        """What an account sends on a day as any other."""
        left = self._poisson(sender.a_day * self._mood(sender, midnight))
        while left > 0:
            count = min(left, self.rng.choice((1, 1, 1, 1, 1, 1, 2, 2, 3)))
            left -= count
            start = self._moment(midnight, sender.hours)
            messages = tuple(self._message(sender) for _ in range(count))
            ending = "QUIT"
            if not self.rng.randrange(700):
                messages, ending = (messages[0]._replace(sent=False),), "DATA"
            yield self._session(sender, start, messages, ending)

    def newsletter(self, midnight: int) -> Iterator[Session]:
        """Every second Tuesday morning, some hundred messages in few sessions."""
        day = midnight // DAY
        if day % 14 != 5:
            return
        sender = next(sender for sender in self.senders if sender.account.startswith("newsletter@"))
        for batch in range(16):
            messages = tuple(
                Message("news@contoso.example", (f"reader{batch * 20 + number}@{self.rng.choice(PARTNERS)}",), sender.size)
                for number in range(20)
            )
            yield self._session(sender, midnight + 9 * HOUR + batch * 40 * SECOND, messages)

    def probes(self, midnight: int) -> Iterator[Session]:
        """A monitoring program that signs in and leaves, and one that only greets."""
        monitoring = next(sender for sender in self.senders if sender.account.startswith("monitoring@"))
        for hour in range(0, 24, 4):
            yield self._session(monitoring, midnight + hour * HOUR + 90 * SECOND, ())
            yield Session(midnight + hour * HOUR + 95 * SECOND, "submission", monitoring.clients[0])

    def guessing(self, midnight: int) -> Iterator[Session]:
        """Passwords tried by strangers, most days a few, some days many; and what they do to TLS."""
        rng = self.rng
        burst = not rng.randrange(40)
        for _ in range(self._poisson(160 if burst else 18)):
            known = rng.choice(self.senders).account
            name = rng.choice((*(f"{guess}@{rng.choice(DOMAINS)}" for guess in rng.sample(GUESSED, 3)), rng.choice(GUESSED), known))
            service = rng.choice(("submission", "submission", "smtps"))
            tls = "TLSv1.2" if service == "smtps" or rng.randrange(3) else ""
            names = (name,) * rng.choice((1, 1, 1, 2, 3))
            ending = rng.choice(("AUTH", "AUTH", "QUIT"))
            yield Session(self._moment(midnight), service, rng.choice(self.guessers), tls, failures=names, ending=ending)
        for _ in range(self._poisson(3)):
            yield Session(self._moment(midnight), rng.choice(("submission", "smtps")), rng.choice(self.guessers), HANDSHAKE_FAILED)
        for stage in ("CONNECT", "EHLO"):
            yield Session(self._moment(midnight), "submission", rng.choice(self.guessers), ending=stage)

    def mistakes(self, midnight: int) -> Iterator[Session]:
        """People who mistype a password or an address, and a device too old for the server."""
        rng = self.rng
        for _ in range(self._poisson(1.5)):
            sender = rng.choice(self.senders[:28])
            plain = self._session(sender, self._moment(midnight, WORKING_HOURS), (self._message(sender),))
            yield Session(
                plain.start, plain.service, plain.client, plain.tls, plain.method, plain.account, (sender.account,), plain.messages
            )
        for _ in range(self._poisson(0.8)):
            sender = rng.choice(self.senders[:28])
            message = Message(sender.account, (), 0, (UNKNOWN_USER,))
            if rng.randrange(2):
                message = self._message(sender)._replace(refused=(UNKNOWN_USER,))
            yield self._session(sender, self._moment(midnight, WORKING_HOURS), (message,))
        if not rng.randrange(3):
            old_copier = device("copier-basement", 77, DOMAINS[1])[0]
            yield Session(self._moment(midnight, WORKING_HOURS), "submission", old_copier, HANDSHAKE_FAILED)

    def inbound(self, midnight: int) -> Iterator[Session]:
        """Port 25: mail from other servers, and spam refused."""
        rng = self.rng
        for _ in range(self._poisson(30)):
            partner = rng.choice(PARTNERS)
            client = Client(f"mx.{partner}", f"192.0.2.{25 + len(partner)}", f"mx.{partner}")
            recipient = rng.choice(self.senders[:28]).account
            message = Message(f"someone{rng.randrange(90)}@{partner}", (recipient,), self._size(40_000))
            yield Session(self._moment(midnight, SHOPPING_HOURS), "", client, rng.choice(("TLSv1.3", "TLSv1.2", "")), messages=(message,))
        for _ in range(self._poisson(25)):
            client = rng.choice(self.guessers)
            blocked = f"554 5.7.1 Service unavailable; Client host [{client.address}] blocked using dnsbl.example"
            message = Message(f"offer{rng.randrange(10_000)}@wingtip.example", (), 0, (blocked,))
            yield Session(self._moment(midnight), "", client, messages=(message,), ending=rng.choice(("RCPT", "QUIT")))

    def thief(self, midnight: int) -> Iterator[Session]:
        """The stolen account: three days of spam from many addresses, then refused passwords."""
        rng = self.rng
        owner = next(sender for sender in self.senders if sender.account == STOLEN)
        day = (midnight - self.theft) // DAY + 1
        for _ in range((0, 20, 120, 180, 60, 20, 9)[day] if 0 <= day < 7 else 0):
            start = midnight + (2 * HOUR if day == 0 else 0) + rng.randrange(20 * HOUR)
            client = rng.choice(self.thieves)
            if start > self.theft + 3 * DAY + 7 * HOUR:
                yield Session(start, owner.service, client, "TLSv1.2", failures=(STOLEN,), ending="AUTH")
                continue
            messages = tuple(self._spam() for _ in range(rng.choice((1, 1, 2, 3))))
            yield Session(start, owner.service, client, "TLSv1.2", "LOGIN", STOLEN, messages=messages)

    def _spam(self) -> Message:
        rng, recipients = (
            self.rng,
            tuple(f"u{self.rng.getrandbits(28)}@{self.rng.choice(PARTNERS)}" for _ in range(self.rng.randrange(8, 45))),
        )
        kind = rng.randrange(12)
        if kind == 0:
            forged = f"ceo@{rng.choice(DOMAINS)}"
            return Message(forged, (), 0, (f"553 5.7.1 <{forged}>: Sender address rejected: not owned by user {STOLEN}",) * 3)
        if kind < 4:
            return Message(STOLEN, (), 0, ("450 4.7.1 <>: Recipient address rejected: sending rate exceeded, try again later",) * 5)
        return Message(STOLEN, recipients, self._size(6_000))

    def _session(self, sender: Sender, start: int, messages: tuple[Message, ...], ending: str = "QUIT") -> Session:
        method = "XOAUTH2" if sender.moves and start >= sender.moves else sender.method
        tls = "TLSv1.3" if sender.replaced and start >= sender.replaced else sender.tls
        client = self.rng.choice(sender.clients)
        return Session(start, sender.service, client, tls, method, sender.account, messages=messages, ending=ending)

    def _message(self, sender: Sender) -> Message:
        rng = self.rng
        envelope = rng.choice(sender.senders) if sender.senders else sender.account
        if sender.size == 30_000 and not rng.randrange(80):
            envelope = ""  # a read receipt
        count = rng.choice((1, 1, 1, 1, 1, 2, 2, 3, 6)) if sender.size == 30_000 and envelope else 1
        recipients = tuple(
            self.senders[rng.randrange(28)].account if rng.randrange(5) < 2 else f"contact{rng.randrange(300)}@{rng.choice(PARTNERS)}"
            for _ in range(count)
        )
        return Message(envelope, recipients, self._size(sender.size))

    def _mood(self, sender: Sender, midnight: int) -> float:
        """Share of a usual day's mail that is sent on this day."""
        date = datetime.fromtimestamp(midnight // SECOND, UTC)
        mood = sender.weekend if date.weekday() > 4 else 1 + 0.12 * (date.weekday() in {0, 1})
        if sender.hours is WORKING_HOURS:
            if (date.month, date.day) >= (12, 23) or (date.month, date.day) <= (1, 3):
                mood *= 0.12
            mood *= {7: 0.8, 8: 0.6}.get(date.month, 1)
            away = self.holidays[sender.account]
            mood *= 0.05 if sender.size == 30_000 and away <= midnight < away + 12 * DAY else 1
        return mood

    def _moment(self, midnight: int, hours: tuple[int, ...] = ALL_HOURS) -> int:
        hour = self.rng.choices(range(24), hours)[0]
        return midnight + hour * HOUR + self.rng.randrange(HOUR)

    def _size(self, usual: int) -> int:
        return 600 + int(usual * self.rng.lognormvariate(-0.5, 1))

    def _poisson(self, mean: float) -> int:
        if mean > 30:
            return max(0, round(self.rng.gauss(mean, math.sqrt(mean))))
        limit, product, count = math.exp(-mean), self.rng.random(), 0
        while product > limit:
            product *= self.rng.random()
            count += 1
        return count
