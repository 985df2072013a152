"""
Who gets a digest, and when the next is due.

    subscribe(site, Every.WEEK, address, "fr", "Europe/Paris")      the reader's own, in place of what they had
    send_now(site, subscription)    the one of the newest period, besides
    own(site), others(site)         who gets one, as far as the reader may see it
    unsubscribe(site, subscription)
    claim(site)                     a mail for each that is due; postbox.py sends it
    token_of(subscription)          for links that unsubscribe without sign-in
    named_by(token)                 whose it is, while it goes to the address that the link was sent to

A period is claimed in the transaction that makes its mail, so there is one mail for it, whatever is stopped when. Of several
that were missed while the server was down, the newest is sent, and says that it is late.

What goes wrong
    SelectionError: a zone, a language or an address that cannot be used.
"""

from __future__ import annotations

import logging
from zoneinfo import ZoneInfoNotFoundError, available_timezones

from django.conf import settings
from django.core.signing import Signer
from django.db import transaction
from django.db.models import QuerySet
from django.utils.crypto import salted_hmac

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.reports.rhythms import Every, Over, latest
from smtp_auth_report.web.detail import Detail, detail
from smtp_auth_report.web.mailed_report import addresses
from smtp_auth_report.web.models import Deed, Mail, Person, Sending, Subscription, owned_by
from smtp_auth_report.web.people import note
from smtp_auth_report.web.reader import Area
from smtp_auth_report.web.site import Site
from smtp_auth_report.web.state_database import alone
from smtp_auth_report.words import worded

logger = logging.getLogger(__name__)

ZONES = frozenset(available_timezones() - {"Factory", "localtime"})
"""Zones that a digest may be of: those that mean the same everywhere."""


def subscribe(site: Site, every: str, address: str, language: str, zone: str) -> Subscription:
    """From the next period on that ends."""
    if every not in list(Every):
        raise SelectionError(
            worded("there is no digest of every {every!r}; there are those of every {known}", every=every, known=", ".join(Every))
        )
    if zone not in ZONES:
        raise SelectionError(worded("{zone!r} is not a time zone; give an IANA name such as Europe/Paris", zone=zone))
    if language not in dict(settings.LANGUAGES):
        raise SelectionError(
            worded("there is no language {language!r}; there are {known}", language=language, known=", ".join(dict(settings.LANGUAGES)))
        )
    if len(allowed := addresses(site, address)) != 1:
        raise SelectionError(worded("a digest is sent to one address"))
    subscription, _ = Subscription.objects.update_or_create(
        person=Person.objects.get(name=site.reader.name),
        defaults={
            "every": every,
            "address": allowed[0],
            "language": language,
            "zone": zone,
            "told": latest(Every(every), zone, site.clock()).end,
        },
    )
    subscription.mails.exclude(state=Sending.UNDER_WAY).delete()  # of what was asked for before
    said = detail("digest of every {every} to {address}", every=Detail(every, {}), address=allowed[0])
    note(Deed.CHANGED, site.clock(), said, name=site.reader.name)
    return subscription


def own(site: Site) -> QuerySet[Subscription]:
    """The reader's: one or none."""
    return _there().filter(owned_by(site.reader))


def others(site: Site) -> QuerySet[Subscription]:
    """Those of other people, for administrators; for others none."""
    return _there().exclude(person__name=site.reader.name) if site.reader.may(Area.PEOPLE) else _there().none()


def _there() -> QuerySet[Subscription]:
    return Subscription.objects.select_related("person").prefetch_related("mails")


def unsubscribe(site: Site, subscription: Subscription) -> None:
    """No digest any more, and none that waits."""
    subscription.delete()
    said = detail("no digest to {address} any more", address=subscription.address)
    note(Deed.CHANGED, site.clock(), said, name=subscription.person.name)


def claim(site: Site) -> None:
    """Make a mail of what is due and was not yet claimed."""
    now = site.clock()
    for subscription in Subscription.objects.all():
        try:
            over = latest(Every(subscription.every), subscription.zone, now)
        except ZoneInfoNotFoundError:
            words = "the digest %s waits: the machine has no time zone %s"
            logger.error(words, subscription, subscription.zone)  # noqa: TRY400 - the line says it all
            continue
        if subscription.told > now:  # the clock was ahead
            Subscription.objects.filter(pk=subscription.pk).update(told=over.end)
        if over.end <= subscription.told:
            continue
        with transaction.atomic():
            if Subscription.objects.filter(pk=subscription.pk, told__lt=over.end).update(told=over.end):
                _put_in(subscription, over, now)


def send_now(site: Site, subscription: Subscription) -> None:
    """So that somebody sees what comes, and that it comes. One that is being sent is waited for."""
    now = site.clock()
    over = latest(Every(subscription.every), subscription.zone, now)
    with alone():
        if not any(mail.is_soon for mail in subscription.mails.all()):
            _put_in(subscription, over._replace(told=now), now)


def _put_in(subscription: Subscription, over: Over, now: int) -> None:
    """It replaces the last one."""
    subscription.mails.all().delete()
    Mail.objects.create(
        subscription=subscription,
        start=over.start,
        end=over.end,
        planned=over.told,
        address=subscription.address,
        language=subscription.language,
        due=now,
    )


def token_of(subscription: Subscription) -> str:
    """What names a subscription to whoever got mail of it, and nobody's address."""
    return _signer().sign(f"{subscription.pk}.{_keyed(subscription.address)}")


def named_by(token: str) -> Subscription | None:
    """None where it has ended, or goes to another address by now. Raises BadSignature for what is no token."""
    number, _, digest = _signer().unsign(token).partition(".")
    found = Subscription.objects.select_related("person").filter(pk=number).first()
    return found if found and digest == _keyed(found.address) else None


def _keyed(address: str) -> str:
    """A keyed hash, so that the link names no address."""
    return salted_hmac("address of a digest", address).hexdigest()[:16]


def _signer() -> Signer:
    return Signer(salt="unsubscribe from a digest")
