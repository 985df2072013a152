"""
The words and colours for what reports name: TLS versions, services, classes, outcomes, filters, columns.

Identifiers are those of the record and of DESIGN; words are for readers and are translated. Order matters: TLS goes
from worst to best.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from smtp_auth_report.store.filters import UNKNOWN
from smtp_auth_report.submission import AuthClass, Outcome, Service, Tls, auth_class
from smtp_auth_report.web import wording

Words = str | Promise


class TlsWord(NamedTuple):
    """One version: its column in reports, its words, its colour and pattern."""

    value: Tls
    column: str
    label: Words
    colour: str
    pattern: str


TLS = (
    TlsWord(Tls.NONE, "tls_none", _("No TLS"), "tls-none", "rising"),
    TlsWord(Tls.SSLV3, "tls_sslv3", _("SSL 3"), "tls-ssl3", "falling"),
    TlsWord(Tls.TLS_1_0, "tls_1_0", _("TLS 1.0"), "tls-1-0", "flat"),
    TlsWord(Tls.TLS_1_1, "tls_1_1", _("TLS 1.1"), "tls-1-1", "dots"),
    TlsWord(Tls.TLS_1_2, "tls_1_2", _("TLS 1.2"), "tls-1-2", "plain"),
    TlsWord(Tls.TLS_1_3, "tls_1_3", _("TLS 1.3"), "tls-1-3", "plain"),
    TlsWord(Tls.UNVERSIONED, "tls_unversioned", _("TLS, version not logged"), "tls-unversioned", "upright"),
    TlsWord(Tls.UNKNOWN, "tls_unknown", _("Unknown"), "unknown", "hatched"),
)
"""Worst to best, then what the log does not tell."""

ALWAYS_SHOWN = ("tls_none", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3", "tls_unknown")
"""TLS columns that are shown even when all of them are nothing."""

SERVICES: dict[str, Words] = {
    Service.SUBMISSION: _("Submission (587)"),
    Service.SUBMISSIONS: _("Submissions (465)"),
    Service.SMTP: _("SMTP (25)"),
    Service.UNKNOWN: _("Unknown"),
}

CLASSES: dict[str, Words] = {
    AuthClass.BASIC: _("Basic: the password itself"),
    AuthClass.CHALLENGE: _("Challenge: a proof of it"),
    AuthClass.OAUTH: _("OAuth: a token"),
    AuthClass.OTHER: _("Other"),
    AuthClass.UNKNOWN: _("Unknown"),
}

SHORT_CLASSES: dict[str, Words] = {
    AuthClass.BASIC: _("Basic"),
    AuthClass.CHALLENGE: _("Challenge"),
    AuthClass.OAUTH: _("OAuth"),
    AuthClass.OTHER: _("Other"),
    AuthClass.UNKNOWN: _("Unknown"),
}

OUTCOMES: dict[str, Words] = {
    Outcome.ACCEPTED: _("Accepted"),
    Outcome.REJECTED: _("Refused after sign-in"),
    Outcome.NO_MAIL: _("Signed in, no mail"),
    Outcome.AUTH_FAILED: _("Failed sign-in"),
    Outcome.TLS_FAILED: _("Failed TLS handshake"),
}

PIVOT_NAMES: dict[str, Words] = {
    "sending-volume": _("Sending volume"),
    "tls-usage": _("TLS usage"),
    "auth-methods": _("Authentication"),
    "clients": _("Clients"),
    "failures": _("Failed sign-ins"),
}
"""Reports as *View data by* has them."""

FILTER_NAMES: dict[str, Words] = {
    "domain": _("Sender domain"),
    "account": _("Account"),
    "sender": _("Sender"),
    "client": _("Client"),
    "service": _("Service"),
    "tls": _("TLS version"),
    "mechanism": _("Mechanism"),
    "auth-class": _("Authentication"),
    "server": _("Server"),
    "outcome": _("Outcome"),
}

LEGACY = "legacy"
DOMAIN_COLOURS = 10
_MECHANISM_COLOURS = {
    "PLAIN": ("mechanism-plain", "plain"),
    "LOGIN": ("mechanism-login", "flat"),
    "BASIC": ("mechanism-plain", "rising"),
    "XOAUTH2": ("mechanism-xoauth2", "plain"),
    "OAUTHBEARER": ("mechanism-oauthbearer", "falling"),
    "OAUTH": ("mechanism-xoauth2", "falling"),
    "CRAM-MD5": ("mechanism-challenge", "dots"),
    "DIGEST-MD5": ("mechanism-challenge", "upright"),
    "NTLM": ("mechanism-challenge", "flat"),
    "SCRAM-SHA-256": ("mechanism-challenge", "plain"),
    "GSSAPI": ("other", "falling"),
    "unknown": ("unknown", "hatched"),
}


def tls_words(value: str) -> str:
    """Label of a stored TLS version."""
    return next((str(word.label) for word in TLS if word.value == value), value)


def filter_words(name: str, value: str) -> str:
    """A filter's value as people say it."""
    if name == "tls":
        return str(_("Below 1.2")) if value.lower() in (LEGACY, "below-1.2") else tls_words(value)
    words = {"service": SERVICES, "auth-class": SHORT_CLASSES, "outcome": OUTCOMES}.get(name, {})
    return str(words.get(value, _("unknown") if value == UNKNOWN else value))


def filters_in_words(filters: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Each value with the name of its filter."""
    return [
        gettext("%(name)s: %(value)s") % {"name": FILTER_NAMES[name], "value": wording.visible(filter_words(name, value))}
        for name, values in filters.items()
        for value in values
    ]


def mechanism_colour(mechanism: str) -> tuple[str, str]:
    """
    Colour of a mechanism, by its class, and a pattern: its own where it is often met.

    The rest look like NTLM where they answer a challenge, else like GSSAPI: every other pattern is taken by a colour too near.
    """
    if mechanism in _MECHANISM_COLOURS:
        return _MECHANISM_COLOURS[mechanism]
    return ("mechanism-challenge", "flat") if auth_class(mechanism) == AuthClass.CHALLENGE else ("other", "falling")
