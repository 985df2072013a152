"""
People: who may sign in, with what, and what they did. Nothing here knows of pages.

    add("anna@contoso.example", Role.DOMAINS, password, now, domains=["contoso.example"])
    person = recognised(site, name, password, address)         None where name and password do not belong together
    guess = attempt(site, name, address)                        counted as a refusal until it is taken back
    token = new_token(person, "backup script", now)            shown once, kept nowhere
    reader_of(token, now)                                       whose token it is
    note(Deed.CHANGED, now, detail("removed"), name=…)         for the page of people
    note_refusal(detail(…), now, address)                       the same once in a while, of nobody's name
    counted_as(address)                                         what its refusals count for

Refusals of the last quarter of an hour are counted: after five of one name from one address, twenty from one address, or
a hundred of one name, even the right password is not looked at until some of them are older. Addresses of one IPv6 network
(/64) count as one, since whoever has one of them has them all. Refused codes of a second factor count with them, and after
ten of one name nothing is looked at either: whoever is asked for one has shown the password.

What goes wrong
    PeopleError: a name that is there already, or is not; a password that is too weak; domains that are missing.
    HeldUpError: too many refusals.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import QuerySet

from smtp_auth_report.errors import ReportError
from smtp_auth_report.moments import DAY, HOUR, SECOND
from smtp_auth_report.site_key import account_key, site_key
from smtp_auth_report.web.detail import NONE, Detail, detail
from smtp_auth_report.web.models import Arrangement, Deed, Event, Person, SavedView, Subscription, Token
from smtp_auth_report.web.reader import Reader, Role
from smtp_auth_report.web.site import Site
from smtp_auth_report.web.state_database import alone
from smtp_auth_report.words import worded

WINDOW = 15 * 60 * SECOND
OF_BOTH, OF_ONE_ADDRESS, OF_ONE_NAME, CODES_OF_ONE_NAME = 5, 20, 100, 10
"""Refusals within the window after which nothing is looked at."""

KEPT = 400 * DAY
"""How long the page of people tells of something."""

DOMAIN = re.compile(r"[\w-]+(\.[\w-]+)*")
TOKEN_BYTES = 32


class PeopleError(ReportError):
    """What was asked for of people cannot be done; one line says why."""


class HeldUpError(PeopleError):
    """Too many refusals, of whatever name; whether the name is known is not told."""


class Passwords:
    """What Django asks for who a session is of."""

    def get_user(self, number: int) -> Person | None:
        return Person.objects.filter(pk=number).first()


def recognised(site: Site, name: str, password: str, address: str) -> Person | None:
    """Whose name and password these are. Every refusal is noted."""
    name = name.strip().casefold()
    guess = attempt(site, name, address)
    person = _whose(name, password)
    if person is not None:
        guess.delete()
    return person


def attempt(site: Site, name: str, address: str, deed: Deed = Deed.REFUSED) -> Event:
    """A guess, noted as a refusal before it is looked at, so that many at once are counted too. One that was right is deleted."""
    key, now = account_key(site_key(site.settings.state_path), name), site.clock()
    with alone():
        held_up = _held_up(key, address, now)
        if not (held_up and _since(now).filter(deed=Deed.HELD_UP, network=counted_as(address)).exists()):
            known = name if Person.objects.filter(name=name).exists() else ""
            guess = note(Deed.HELD_UP if held_up else deed, now, name=known, key=key, address=address)
    if held_up:
        raise HeldUpError(worded("there were too many refusals; wait a quarter of an hour"))
    return guess


def _whose(name: str, password: str) -> Person | None:
    """Takes as long for a name that nobody has."""
    person = Person.objects.filter(name=name).first()
    if person is None:
        make_password(password)
        return None
    return person if person.check_password(password) else None


def _since(now: int) -> QuerySet[Event]:
    return Event.objects.filter(time__gt=now - WINDOW)


def _held_up(key: str, address: str, now: int) -> bool:
    recent = _since(now).filter(deed__in=(Deed.REFUSED, Deed.CODE_REFUSED)).exclude(name_key="")
    network = counted_as(address)
    of_name, of_address = recent.filter(name_key=key), recent.filter(network=network)
    return (
        of_name.filter(network=network).count() >= OF_BOTH
        or of_address.count() >= OF_ONE_ADDRESS
        or of_name.count() >= OF_ONE_NAME
        or of_name.filter(deed=Deed.CODE_REFUSED).count() >= CODES_OF_ONE_NAME
    )


def note(deed: Deed, now: int, told: Detail = NONE, *, name: str = "", key: str = "", address: str = "") -> Event:
    """For the page of people."""
    Event.objects.filter(time__lt=now - KEPT).delete()
    network = counted_as(address)
    return Event.objects.create(time=now, deed=deed, name=name, name_key=key, address=address, network=network, **_kept(told))


def amend(event: Event, told: Detail) -> None:
    """What became of it, instead of what was told."""
    Event.objects.filter(id=event.id).update(**_kept(told))


def note_refusal(told: Detail, now: int, address: str) -> None:
    """Of no name. The same from one network is told once in a while."""
    if not _since(now).filter(deed=Deed.REFUSED, network=counted_as(address), **_kept(told)).exists():
        note(Deed.REFUSED, now, told, address=address)


def _kept(told: Detail) -> dict[str, str]:
    return {"detail": told.text, "values": json.dumps(told.values)}


def counted_as(address: str) -> str:
    """An address of IPv6 counts as its network, which is what one customer has; others as themselves."""
    parsed = ip_address(address) if address else None
    return str(IPv6Network((int(parsed), 64), strict=False)) if isinstance(parsed, IPv6Address) else address


# Changes, as the command line makes them


def is_name(text: str) -> bool:
    """Whether somebody can have it here."""
    return 0 < len(text) <= 254 and text.isprintable()


def add(name: str, role: Role, password: str | Callable[[], str] | None, now: int, domains: Sequence[str] = ()) -> Person:
    """Somebody more who may sign in. A password may be asked for once the rest is right; None is none, for other ways to sign in."""
    name = name.strip().casefold()
    if not is_name(name):
        raise PeopleError(worded("a person needs a name of printable characters; an e-mail address is best"))
    folded = sorted({domain.strip().rstrip(".").lower() for domain in domains})
    if role == Role.DOMAINS and not folded:
        raise PeopleError(worded("a reader of domains needs one at least; name them with --domain"))
    if role != Role.DOMAINS and folded:
        raise PeopleError(worded("--domain is for the role {role}", role=Role.DOMAINS))
    for domain in folded:
        if not DOMAIN.fullmatch(domain):
            raise PeopleError(worded("{domain!r} is not a domain; give it as the log has it, such as contoso.example", domain=domain))
    if Person.objects.filter(name=name).exists():
        raise PeopleError(worded("{name} is there already; remove it first, or choose another name", name=name))
    person = Person(name=name, role=role, domains=json.dumps(folded))
    if password is None:
        person.set_unusable_password()
    else:
        set_password(person, password if isinstance(password, str) else password())
    with alone():
        if Person.objects.filter(name=name).exists():
            raise PeopleError(worded("{name} was added by somebody else meanwhile", name=name))
        person.save(force_insert=True)
        if role == Role.ADMINISTRATOR:
            for kept in (SavedView, Arrangement):  # what was saved while nobody had to sign in
                kept.objects.filter(person=None).update(person=person)
        note(Deed.CHANGED, now, detail("added as {role}", role=_in_words(role, folded)), name=name)
    return person


def let_in_by_groups(name: str, role: Role, domains: Sequence[str], now: int) -> Person:
    """Somebody whom groups of the provider give a role; who is here already gets the role that they give now."""
    with alone():
        person = Person.objects.filter(name=name).first()
        if person is None:
            person = add(name, role, None, now, domains)
            person.by_groups = True
            person.save(update_fields=["by_groups"])
            return person
        if person.out:
            person.out = False
            person.save(update_fields=["out"])
        if _is_last_administrator(person) and role != Role.ADMINISTRATOR:
            still = detail("still administrator, as the last one, though groups make them {role}", role=_in_words(role, domains))
            note(Deed.CHANGED, now, still, name=name)
        elif (person.role, person.domains) != (role, json.dumps(sorted(domains))):
            person.role, person.domains = role, json.dumps(sorted(domains))
            person.save(update_fields=["role", "domains"])
            if role != Role.ADMINISTRATOR:  # who alone has mail sent to others
                Subscription.objects.filter(person=person).exclude(address__iexact=name).delete()
            if role == Role.DOMAINS:  # what was made for somebody who saw more
                person.requestedreport_set.all().delete()
                person.savedview_set.update(shared=False)
            note(Deed.CHANGED, now, detail("now {role}, by groups", role=_in_words(role, domains)), name=name)
    return person


def _in_words(role: Role, domains: Sequence[str]) -> Detail:
    if domains:
        return detail("reader of {domains}", domains=", ".join(sorted(domains)))
    return detail("administrator") if role == Role.ADMINISTRATOR else detail("reader")


def shut_out(person: Person, now: int) -> None:
    """
    Ends sessions, tokens, requests and digests of somebody whom groups give no role any more; they stay known, and may come back.
    The last administrator keeps the role, and does not count as one while there is another.
    """
    with alone():
        person.set_unusable_password()
        if person.role == Role.ADMINISTRATOR and not _is_last_administrator(person):
            person.role = Role.READER
        person.out = True
        person.save(update_fields=["password", "role", "out"])
        person.token_set.all().delete()
        person.requestedreport_set.all().delete()  # with mail that waits
        Subscription.objects.filter(person=person).delete()
        note(Deed.CHANGED, now, detail("shut out: no group gives a role"), name=person.name)


def named(name: str) -> Person:
    """Who has this name."""
    person = Person.objects.filter(name=name.strip().casefold()).first()
    if person is None:
        raise PeopleError(worded("nobody has the name {name}; `user list` shows who is there", name=name))
    return person


def remove(name: str, now: int) -> None:
    """With sessions, tokens and requests. The last administrator stays: without people the pages would be open again."""
    with alone():
        person = named(name)
        if not _other_administrators(person).exists():
            raise PeopleError(worded("{name} is the last administrator, or there is none; add another one first", name=person.name))
        person.delete()
        note(Deed.CHANGED, now, detail("removed"), name=person.name)


def _other_administrators(person: Person) -> QuerySet[Person]:
    return Person.objects.filter(role=Role.ADMINISTRATOR, out=False).exclude(pk=person.pk)


def _is_last_administrator(person: Person) -> bool:
    return person.role == Role.ADMINISTRATOR and not _other_administrators(person).exists()


def change_password(person: Person, password: str, now: int) -> None:
    """Ends every session of theirs."""
    set_password(person, password)
    person.save(update_fields=["password"])
    note(Deed.CHANGED, now, detail("password changed"), name=person.name)


def set_password(person: Person, password: str) -> None:
    """Where it is strong enough."""
    if not password.isprintable():
        raise PeopleError(worded("the password will not do: it has control characters, or is not UTF-8"))
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise PeopleError(worded("the password will not do: {words}", words=" ".join(error.messages))) from None
    person.set_password(password)


# Tokens


def new_token(person: Person, label: str, now: int) -> str:
    """A token; whoever has it sees what the person sees."""
    label = label.strip()
    if not label or len(label) > 64 or not label.isprintable():
        raise PeopleError(worded("a token needs a label of 64 printable characters at most, so that it can be told from others"))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    try:
        Token.objects.create(person=person, label=label, digest=digest_of(token), made=now)
    except IntegrityError:
        raise PeopleError(worded("{name} has a token {label!r} already; revoke it first", name=person.name, label=label)) from None
    note(Deed.CHANGED, now, detail("token {label!r} made", label=label), name=person.name)
    return token


def revoke_token(person: Person, label: str, now: int) -> None:
    """It is good for nothing from now on."""
    if not Token.objects.filter(person=person, label=label).delete()[0]:
        raise PeopleError(worded("{name} has no token {label!r}; `user list` shows which there are", name=person.name, label=label))
    note(Deed.CHANGED, now, detail("token {label!r} revoked", label=label), name=person.name)


def reader_of(token: str, now: int) -> Reader | None:
    """Whose it is."""
    found = Token.objects.select_related("person").filter(digest=digest_of(token)).first()
    if found is None:
        return None
    if found.used <= now - HOUR:
        Token.objects.filter(pk=found.pk).update(used=now)
    return found.person.reader


def digest_of(token: str) -> str:
    """Tokens are long and random, so that a plain digest tells nothing of them."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
