"""
Sending mail that waits, requested reports and digests, and trying again what could not be sent.

    with posting(site): ...        whatever is due, every few seconds, until the block ends
    post(site)                     once
    try_again(mail, now)           one that was given up, or waits for its next attempt

A mail is claimed before it is sent, and so never sent twice without being asked: where the server was stopped between, nobody
knows whether it went out. Its row says so as soon as that server runs again, or once the claim is over. Several servers with one
state database leave each other's claims alone. What the mail server does not take now is tried five times more, with pauses that
grow from a minute to eight hours; what it refuses for good is not.

What goes wrong
    A failure ends in the row, as one line for the reader.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from threading import Event, Thread

from django.db import DatabaseError, connection
from django.db.models import F, Q

from smtp_auth_report.errors import ReportError
from smtp_auth_report.moments import SECOND
from smtp_auth_report.outgoing import DeliveryError, hand_over
from smtp_auth_report.web.digest_letter import digest_of
from smtp_auth_report.web.digests import claim
from smtp_auth_report.web.mailed_report import handed_out, message_of
from smtp_auth_report.web.models import Mail, Progress, Sending
from smtp_auth_report.web.requested import host_of
from smtp_auth_report.web.site import Site
from smtp_auth_report.words import marked, translated, why, worded

logger = logging.getLogger(__name__)

EVERY = 5.0
STOPPING = 10.0
"""Seconds between two rounds, and that the one under way may take to end."""

PAUSES = tuple(minutes * 60 * SECOND for minutes in (1, 5, 30, 120, 480))
"""Before the next attempt, after each that failed."""

CLAIMED = 600 * SECOND
"""How long a claim counts: longer than an attempt should take, with half a minute for each answer of the mail server."""

INTERRUPTED = marked("The server was stopped while it was being sent; whether it went out is not known.")


@contextmanager
def posting(site: Site) -> Iterator[None]:
    """Send what is due, again and again; where no mail server is set, nothing."""
    stop = Event()
    thread = Thread(target=_keep_posting, args=(site, stop), name="mail", daemon=True)
    if site.settings.mail_server:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if thread.ident:
            thread.join(STOPPING)


def _keep_posting(site: Site, stop: Event) -> None:
    begun = False
    try:
        while not stop.is_set():
            try:
                if not begun:
                    _give_up(Q(claimed_by=_this_server(site)))  # nothing of this server's is under way when it begins
                    begun = True
                post(site, stop)
            except DatabaseError:  # locked for long, or its disk is full: pages tell of it
                pass
            except Exception:
                logger.exception("mail")
            stop.wait(EVERY)
    finally:
        connection.close()


def post(site: Site, stop: Event | None = None) -> None:
    """Send what is due, what has waited longest first."""
    now = site.clock()
    _give_up(Q(claimed_until__lte=now) | Q(claimed_until__gt=now + 2 * CLAIMED))  # the latter by a clock that was far ahead
    claim(site)
    ready = Q(request__progress=Progress.DONE) | Q(request=None)
    due = Mail.objects.filter(ready, state=Sending.WAITING, due__lte=site.clock())
    for mail in due.select_related("request__person", "subscription__person"):
        if stop and stop.is_set():
            return
        if mail.request and host_of(site, mail.request):
            continue  # whoever has the file sends it
        claimed = {"state": Sending.UNDER_WAY, "claimed_by": _this_server(site), "claimed_until": site.clock() + CLAIMED}
        if Mail.objects.filter(pk=mail.pk, state=Sending.WAITING).update(attempts=F("attempts") + 1, **claimed):
            _send(site, mail)


def _give_up(which: Q) -> None:
    Mail.objects.filter(which, state=Sending.UNDER_WAY).update(state=Sending.FAILED, failure=translated(INTERRUPTED))


def _this_server(site: Site) -> str:
    """Which `serve` this is: at one address there is one at a time."""
    return f"{socket.gethostname()}:{site.settings.listen}:{Path(site.settings.database).absolute()}"


def try_again(mail: Mail, now: int) -> None:
    """Send it with the next round, as if it had never been tried."""
    open_or_failed = Mail.objects.filter(pk=mail.pk, state__in=(Sending.WAITING, Sending.FAILED))
    open_or_failed.update(state=Sending.WAITING, attempts=0, due=now, failure="")


def _send(site: Site, mail: Mail) -> None:
    try:
        hand_over(_message(site, mail), site.settings, os.environ)
    except Exception as error:
        _put_off(site, mail, error)
        if not isinstance(error, (ReportError, OSError)):
            logger.exception("mail %s", mail.pk)
        return
    Mail.objects.filter(pk=mail.pk).update(state=Sending.SENT, sent=site.clock(), failure="")
    if mail.request:
        handed_out(site, mail, mail.request)


def _message(site: Site, mail: Mail) -> EmailMessage:
    if mail.request:
        return message_of(site, mail, mail.request)
    assert mail.subscription, "a mail is of either"
    return digest_of(site, mail, mail.subscription)


def _put_off(site: Site, mail: Mail, error: Exception) -> None:
    """Note why it was not sent, and when it is tried again, if it is."""
    may_pass = isinstance(error, ReportError) and not (isinstance(error, DeliveryError) and error.final)
    row = Mail.objects.filter(pk=mail.pk)
    if may_pass and mail.attempts < len(PAUSES):
        row.update(state=Sending.WAITING, due=site.clock() + PAUSES[mail.attempts], failure=str(error))
    else:
        row.update(state=Sending.FAILED, failure=_failure(error))


def _failure(error: Exception) -> str:
    if isinstance(error, ReportError):
        return str(error)
    if isinstance(error, OSError):
        return worded("The file could not be read: {reason}.", reason=why(error))
    return worded("The mail could not be made; the server's log says why.")
