"""
A requested report by mail: to whom it may go, what the mail says, and the link in place of a large file.

    addresses(site, "anna@contoso.example, …")     whom the reader may send to; own_address and sends_to for the form
    message_of(site, mail, request)                the message; the file is attached up to `mail_attachment_mb`
    linked(site, token)                            the request that a link leads to

An administrator sends to any address, everybody else to their own, which is their name. Where nobody signs in nothing is
sent. A link is signed, good for as long as the file is kept, and for those alone whom it was sent to or who asked: they
sign in first. Nobody who sees single domains gets the file of somebody who sees more.

What goes wrong
    SelectionError: an address that is none, or that the reader may not send to.
"""

from __future__ import annotations

from email.message import EmailMessage
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.core.validators import validate_email
from django.utils.translation import gettext, ngettext, override

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.outgoing import DeliveryError, letter
from smtp_auth_report.web import spans, vocabulary, wording
from smtp_auth_report.web.detail import detail
from smtp_auth_report.web.models import Deed, Mail, Person, Progress, RequestedReport
from smtp_auth_report.web.people import note
from smtp_auth_report.web.reader import Reader, Role
from smtp_auth_report.web.requested import KEPT, file_of, name_of, requests_of
from smtp_auth_report.web.site import Site
from smtp_auth_report.words import worded

MEGABYTE = 1_000_000
MOST_ADDRESSES = 10


def sends_to_any(site: Site) -> bool:
    """Whether the reader chooses the addresses."""
    return bool(site.settings.mail_server and site.reader.name) and site.reader.role == Role.ADMINISTRATOR


def own_address(site: Site) -> str:
    """Where the reader may always send to; "" where no mail is sent, or their name is no address."""
    return site.reader.name if site.settings.mail_server and _is_address(site.reader.name) else ""


def addresses(site: Site, text: str) -> list[str]:
    """Of a list as somebody wrote it, those that it names; each of them is checked."""
    wanted = list(dict.fromkeys(address.strip() for address in text.split(",") if address.strip()))
    if len(wanted) > MOST_ADDRESSES:
        raise SelectionError(worded("a report is sent to {most} addresses at most; these are {n}", most=MOST_ADDRESSES, n=len(wanted)))
    for address in wanted:
        if not _is_address(address):
            raise SelectionError(
                worded("{address!r} is not an e-mail address; give them as anna@example.org, ben@example.org", address=address)
            )
        if not sends_to_any(site) and address.casefold() != own_address(site):
            raise SelectionError(
                worded(
                    "{address}: only administrators send to addresses other than their own, and only where mail is set up", address=address
                )
            )
        if _sees_less(address, site.reader):
            raise SelectionError(
                worded(
                    "{address} sees single domains only, and gets nothing that another sees; let them request it themselves",
                    address=address,
                )
            )
    return wanted


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return text.isprintable()


def _sees_less(address: str, reader: Reader) -> bool:
    name = address.casefold()
    return name != reader.name and Person.objects.filter(name=name, role=Role.DOMAINS).exists()


def still_allowed(mail: Mail, person: Person | None) -> None:
    """Raises where the address has become that of somebody who sees less than who sends to it."""
    if person is not None and _sees_less(mail.address, person.reader):
        raise DeliveryError(
            worded("{address} sees single domains only, and gets nothing that another sees", address=mail.address), final=True
        )


def message_of(site: Site, mail: Mail, request: RequestedReport) -> EmailMessage:
    """What is sent, in the language in which the report was asked for."""
    still_allowed(mail, request.person)
    settings = site.settings
    attached = _is_attached(site, request)
    with override(mail.language):
        title = gettext("SMTP AUTH clients report")
        subject = gettext("Requested report, %(period)s") % {"period": spans.in_words(request.selection)}
        where = gettext("It is attached.") if attached else _link(site, mail, request)
        text = "\n".join([_intro(mail, request), "", *_facts(request), "", where, "", "-- ", title, settings.public_url, ""])
        message = letter(settings, str(mail.pk), site.clock(), title, mail.address, subject, text)
    if attached:
        main, _, sub = EXPORTS[request.format].content_type.partition(";")[0].partition("/")
        message.add_attachment(file_of(settings, request).read_bytes(), maintype=main, subtype=sub, filename=name_of(request))
    return message


def handed_out(site: Site, mail: Mail, request: RequestedReport) -> None:
    """Rows left the site, for the page of people. What is behind a link leaves it when it is downloaded."""
    if request.person and _is_attached(site, request):
        kind = EXPORTS[request.format].title
        period = spans.dates(request.selection)
        mailed = detail("submissions, {period}, as {kind}, mailed to {address}", period=period, kind=kind, address=mail.address)
        note(Deed.EXPORTED, site.clock(), mailed, name=request.person.name)


def linked(site: Site, token: str) -> RequestedReport | None:
    """The request that a link is for, where it is good, and for the reader."""
    try:
        identifier = _signer().unsign(token)
    except BadSignature:
        return None
    mail = Mail.objects.select_related("request").filter(pk=identifier, request__progress=Progress.DONE).first()
    if mail is None or mail.request is None or site.clock() > mail.request.asked + KEPT:
        return None
    for_them = site.reader.scope is None and site.reader.name == mail.address.casefold()
    return mail.request if for_them or requests_of(site).filter(pk=mail.request.pk).exists() else None


def _signer() -> Signer:
    return Signer(salt="link to a requested report")


def _is_attached(site: Site, request: RequestedReport) -> bool:
    return request.size <= int(site.settings.mail_attachment_mb) * MEGABYTE


def _intro(mail: Mail, request: RequestedReport) -> str:
    time = wording.Moment.of(request.asked, ZoneInfo(request.zone)).exact
    if request.person is None or request.person.name == mail.address.casefold():
        return gettext("The report that you requested on %(time)s is ready.") % {"time": time}
    name = wording.visible(request.person.name)
    return gettext("The report that %(name)s requested on %(time)s is ready.") % {"name": name, "time": time}


def _facts(request: RequestedReport) -> list[str]:
    rows = ngettext("%(shown)s row", "%(shown)s rows", request.total) % {"shown": wording.count(request.total)}
    facts = (
        (gettext("Period"), spans.in_words(request.selection)),
        (gettext("Format"), f"{EXPORTS[request.format].title}, {rows}, {wording.size(request.size)}"),
    )
    lines = [gettext("%(name)s: %(value)s") % {"name": name, "value": value} for name, value in facts]
    lines += [words] if (words := spans.expired(request.selection, request.rows_from)) else []
    return [*lines, *vocabulary.filters_in_words(request.selection.filters)]


def _link(site: Site, mail: Mail, request: RequestedReport) -> str:
    until = request.asked + KEPT
    time = wording.Moment.of(until, ZoneInfo(request.zone)).exact
    words = gettext("It is too large to be attached. Until %(time)s it is here, for those who may sign in:") % {"time": time}
    return f"{words}\n{site.settings.public_url}/mailed/{_signer().sign(str(mail.pk))}"
