"""
Sign-in through an OpenID Connect provider, for people who are known here: authorization code, with PKCE.

    /sign-in/openid          leads to the provider
    /sign-in/openid/back     where the provider leads back to
    ready(settings)          raises SettingError for what is missing

The provider says by a claim whose sign-in it is; it is somebody's here if it is their name. An e-mail address counts if
the provider says that it was verified. Where `oidc_roles` gives groups a role, their people need not be added, and are at
each sign-in what their groups make them; who was added keeps the role that they were added with. A second factor that
somebody switched on here is asked for all the same.

State, nonce and PKCE belong to one session and one use. Of the provider's document nothing is taken but its endpoints,
which have to be HTTPS, and the algorithms of its signatures; those without a key of the provider's own do not count. It is
kept for ten minutes, or until a sign-in fails. No redirect is followed, for the client's secret and the code would follow it.

What goes wrong
    Whatever the provider answers, the sign-in page says one line, the page of people has the reason, and so has the log
    of the server where it is the provider's.

See also
    OpenID Connect Core 1.0 and Discovery 1.0, RFC 7636; docs/settings.md
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from importlib.util import find_spec
from threading import BoundedSemaphore
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from smtp_auth_report.errors import SettingError
from smtp_auth_report.moments import SECOND
from smtp_auth_report.settings import Settings, is_private, secret_in
from smtp_auth_report.web.detail import Detail, detail, in_words
from smtp_auth_report.web.models import Person
from smtp_auth_report.web.people import is_name, let_in_by_groups, note_refusal, shut_out
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.sign_in import OPENID_BACK, address_of, begun, form, wanted
from smtp_auth_report.web.site import Site, site_of
from smtp_auth_report.words import ENGLISH, speaking, worded

logger = logging.getLogger(__name__)

NAME = "openid"
TIMEOUT = 5  # seconds
LEEWAY = 60  # seconds that clocks may differ
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
AUTHENTICATIONS = ("client_secret_basic", "client_secret_post")
WORD = re.compile(r"[a-z_]{1,40}")
ASKING = BoundedSemaphore(3)
"""Sign-ins that wait for what the provider says of itself; more would keep the pages from others."""

DOCUMENT_LASTS = 600 * SECOND

documents: dict[str, tuple[int, Mapping[str, Any]]] = {}
"""What each issuer last said of itself, and when. Only what was checked is kept; each process asks for itself."""


class ProviderError(Exception):
    """What the provider answers cannot be used."""

    def __init__(self, reason: Detail) -> None:
        super().__init__(in_words(*reason))
        self.reason = reason


def ready(settings: Settings) -> None:
    """Raises SettingError unless all is there that sign-in through a provider needs."""
    if not settings.oidc_issuer:
        return
    if find_spec("authlib") is None or find_spec("requests") is None:
        raise SettingError(worded("oidc_issuer: needs Authlib: install the package as smtp-auth-report[oidc]"))
    if not settings.oidc_client_id:
        raise SettingError(worded("oidc_client_id is not set; it is the client id of this program at the provider"))
    _secret(settings)


def _secret(settings: Settings) -> str | None:
    path = settings.oidc_client_secret_file
    return secret_in("oidc_client_secret_file", path) if path else None


@require_safe
@speaking(ENGLISH)  # why it fails is for the log
def leave(request: HttpRequest) -> HttpResponse:
    """To the provider."""
    there = wanted(request)
    if not site_of(request).settings.oidc_issuer:
        raise Http404
    if not Person.objects.exists():
        return HttpResponseRedirect("/")
    back = request.build_absolute_uri(OPENID_BACK)
    try:
        client = _client(site_of(request))
        asked = client.create_authorization_url(back)
    except Exception as error:  # noqa: BLE001 - an answer that makes no sense can fail in any way
        return _failed(request, there, error)
    client.save_authorize_data(request, redirect_uri=back, there=there, **asked)
    return HttpResponseRedirect(asked["url"])


@require_safe
@speaking(ENGLISH)  # why it fails is for the log
def returned(request: HttpRequest) -> HttpResponse:
    """From the provider, with a code that it gives claims for."""
    site = site_of(request)
    settings = site.settings
    if not settings.oidc_issuer:
        raise Http404
    kept = _kept(request)
    if kept is None:
        return _refused(request, "/", detail("it was not begun here, or is over"))
    there = kept["there"]
    if "error" in request.GET:
        said = request.GET["error"]
        reason = detail("the provider said {word}", word=said) if WORD.fullmatch(said) else detail("the provider said no")
        return _refused(request, there, reason)
    try:
        claims = _claims(_client(site), request, {settings.oidc_claim, *([settings.oidc_groups_claim] if settings.oidc_roles else [])})
    except Exception as error:  # noqa: BLE001 - an answer that makes no sense can fail in any way
        return _failed(request, there, error)
    name = claims.get(settings.oidc_claim)
    if not isinstance(name, str) or not name.strip():
        return _refused(request, there, detail("the provider gave no {claim}", claim=settings.oidc_claim))
    if settings.oidc_claim == "email" and claims.get("email_verified") is not True:
        return _refused(request, there, detail("the e-mail address is not verified"))
    try:
        person = _person(site, name.strip().casefold(), claims.get(settings.oidc_groups_claim))
    except ProviderError as error:
        return _refused(request, there, error.reason)
    return begun(request, person, there, "OpenID Connect")


def _person(site: Site, name: str, groups: object) -> Person:
    """Who was added, as they were; of others, whom their groups give a role here."""
    if not is_name(name):
        raise ProviderError(detail("a name has 254 printable characters at most"))
    person = Person.objects.filter(name=name).first()
    if person is not None and not person.by_groups:
        return person
    if not site.settings.group_roles and person is None:
        raise ProviderError(detail("nobody here has this name"))
    listed = groups if isinstance(groups, list) else [groups]
    given = {role for group, role in site.settings.group_roles if group in listed}
    if not given:
        if person is not None:
            shut_out(person, site.clock())
        raise ProviderError(detail("none of their groups has a role here"))
    role = next((role for role in (Role.ADMINISTRATOR, Role.READER) if role in given), Role.DOMAINS)
    return let_in_by_groups(name, role, sorted(given) if role == Role.DOMAINS else [], site.clock())


def _kept(request: HttpRequest) -> Mapping[str, str] | None:
    """What the session has of the sign-in that the provider answers."""
    from authlib.integrations.django_client import DjangoIntegration  # noqa: PLC0415 (of an extra that may be missing)

    kept: Mapping[str, str] | None = DjangoIntegration(NAME).get_state_data(request.session, request.GET.get("state", ""))
    return kept


def _client(site: Site) -> Any:
    """Authlib's, for what the provider says of itself."""
    from authlib.integrations.django_client import DjangoIntegration, DjangoOAuth2App  # noqa: PLC0415 (of an extra that may be missing)

    settings = site.settings
    document, secret = _document(settings.oidc_issuer, site.clock()), _secret(settings)
    methods = document.get("token_endpoint_auth_methods_supported") or AUTHENTICATIONS
    method = next((each for each in AUTHENTICATIONS if each in methods), AUTHENTICATIONS[0]) if secret else "none"
    return DjangoOAuth2App(
        DjangoIntegration(NAME),
        NAME,
        client_id=settings.oidc_client_id,
        client_secret=secret,
        authorize_url=document["authorization_endpoint"],
        access_token_url=document["token_endpoint"],
        client_kwargs={
            "scope": settings.oidc_scope,
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": method,
            "default_timeout": TIMEOUT,
            "max_redirects": 0,
        },
        issuer=settings.oidc_issuer,
        jwks_uri=document["jwks_uri"],
        userinfo_endpoint=document.get("userinfo_endpoint"),
        id_token_signing_alg_values_supported=_algorithms(document),
    )


def _document(issuer: str, now: int) -> Mapping[str, Any]:
    """What the provider says of itself, or has said not long ago."""
    since, document = documents.get(issuer, (now, None))
    if document is None or not 0 <= now - since < DOCUMENT_LASTS:
        document = _asked_for(issuer)
        documents[issuer] = now, document
    return document


def _asked_for(issuer: str) -> Mapping[str, Any]:
    """The provider's document, fetched, with every address in it checked."""
    import requests  # noqa: PLC0415 (of an extra that may be missing)

    if not ASKING.acquire(blocking=False):
        raise ProviderError(detail("several sign-ins ask it just now; it may be slow to answer"))
    try:
        answer = requests.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", timeout=TIMEOUT, allow_redirects=False)
    finally:
        ASKING.release()
    if answer.status_code != HTTPStatus.OK:
        raise ProviderError(detail("its discovery document is not there: {status}", status=answer.status_code))
    document: Any = answer.json()
    if document["issuer"] != issuer:
        itself = repr(document["issuer"])
        raise ProviderError(detail("it calls itself {itself}; oidc_issuer has to be the same, to the last slash", itself=itself))
    for name in (*ENDPOINTS, *(["userinfo_endpoint"] if document.get("userinfo_endpoint") else [])):
        if not is_private(document[name]):
            raise ProviderError(detail("its {name} is no https:// address", name=name))
    result: Mapping[str, Any] = document
    return result


def _algorithms(document: Mapping[str, Any]) -> list[str]:
    """Of signatures that nobody but the provider can make."""
    algorithms = [each for each in document.get("id_token_signing_alg_values_supported", ["RS256"]) if each in ALGORITHMS]
    if not algorithms:
        raise ProviderError(detail("it signs with no algorithm of a key of its own"))
    return algorithms


def _claims(client: Any, request: HttpRequest, needed: set[str]) -> Mapping[str, Any]:
    """Claims of an ID token that is the provider's, for us, for this sign-in, and not over; else of UserInfo, for the same subject."""
    options = {"iss": {"essential": True, "value": client.server_metadata["issuer"]}, "aud": {"essential": True, "value": client.client_id}}
    token = client.authorize_access_token(request, claims_options=options, leeway=LEEWAY)
    claims: dict[str, Any] = dict(token["userinfo"])
    if needed <= claims.keys() or not client.server_metadata["userinfo_endpoint"]:
        return claims
    more = client.userinfo(token=token)
    if more["sub"] != claims["sub"]:
        raise ProviderError(detail("UserInfo is of another subject than the ID token"))
    return dict(more) | claims


def _failed(request: HttpRequest, there: str, error: Exception) -> HttpResponse:
    """The provider cannot be asked, or its answer cannot be believed."""
    if isinstance(error, ProviderError):
        reason = error.reason
    elif isinstance(error, SettingError):
        reason = Detail(str(error), {})
    else:
        reason = detail(
            "the provider cannot be asked or its answer not be believed ({error}); the server's log has more", error=type(error).__name__
        )
    documents.pop(site_of(request).settings.oidc_issuer, None)  # it may have moved, or have other keys
    logger.warning("OpenID Connect: %s: %.300r", site_of(request).settings.oidc_issuer, error)
    return _refused(request, there, reason)


def _refused(request: HttpRequest, there: str, reason: Detail) -> HttpResponse:
    site = site_of(request)
    note_refusal(detail("OpenID Connect: {reason}", reason=reason), site.clock(), address_of(request))
    said = gettext("%(provider)s did not sign you in here. Try again; if it stays so, ask an administrator.")
    return form(request, there, said % {"provider": site.settings.provider}, HTTPStatus.FORBIDDEN)
