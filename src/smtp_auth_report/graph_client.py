"""
Sign-ins out of Microsoft Graph: one page at a time, with the tokens of an app registration.

    client = client_of(settings, ready(settings, os.environ))
    page = client.page(client.first(since))      its sign-ins, and the address of the next page

Tokens are got by msal, which the extra "graph" brings, and renewed before they expire, or when Graph refuses one. The
secret is in the environment or in a file, goes to the sign-in of Microsoft alone, and is in no message. A token goes to
the host of `graph_url` alone: an answer that leads elsewhere is not followed.

What goes wrong
    SettingError for what is not set. GraphError, one line, for all else: with how long to wait where Graph says so, and
    whether the same page can be asked for again.

See also
    graph.py for polling; docs/sources.md
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from smtp_auth_report import __version__
from smtp_auth_report.errors import ReportError, SettingError
from smtp_auth_report.moments import SECOND, micros, now, rfc3339
from smtp_auth_report.settings import PREFIX, Settings, secret_in
from smtp_auth_report.words import marked, translated, worded

SECRET = f"{PREFIX}GRAPH_SECRET"
PAGE = 1000
TIMEOUT = 60
LARGEST = 64 << 20
CLIENTS = ("Authenticated SMTP", "SMTP")
# Authorization_RequestDenied     invalid_client
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,80}")
NO_LICENCE = "Authentication_RequestFromNonPremiumTenantOrB2CTenant"

REFUSALS = {
    400: marked("{host} does not understand the question; check graph_url"),
    401: marked("{host} does not accept the token; check graph_tenant and graph_client"),
    403: marked(
        "{host} does not let this app registration read sign-ins; it needs the application permission AuditLog.Read.All, with admin consent"
    ),
    404: marked("{host} has nothing at this address; check graph_url"),
}


class GraphError(ReportError):
    """Why no page came."""

    def __init__(self, words: str, *, wait: float | None = None, anew: bool = False) -> None:
        super().__init__(words)
        self.wait = wait  # seconds, where the server says so
        self.anew = anew  # the same page will not come; the first may


class Page(NamedTuple):
    """Some sign-ins."""

    sign_ins: list[Any]
    following: str  # address of the next page; "" where there is none


class TokenSource(Protocol):
    """Gives tokens."""

    def __call__(self, *, fresh: bool = False) -> str:
        """One that should be good; `fresh` where the last one was not."""


def ready(settings: Settings, environment: Mapping[str, str]) -> str:
    """The secret, when all is there that polling needs; raises SettingError for what is not."""
    if find_spec("msal") is None:
        raise SettingError(worded("graph: needs msal: install the package as smtp-auth-report[graph]"))
    for name in ("graph_tenant", "graph_client"):
        if not getattr(settings, name):
            raise SettingError(worded("graph: {name} is not set; it is an id that the overview of the app registration shows", name=name))
    return secret_of(settings, environment)


def secret_of(settings: Settings, environment: Mapping[str, str]) -> str:
    """The app registration's secret: of the file, else of the environment."""
    if settings.graph_secret_file:
        return secret_in("graph: graph_secret_file", settings.graph_secret_file)
    if not environment.get(SECRET):
        raise SettingError(
            worded("graph: there is no secret; set graph_secret_file to the file that holds it, or {variable}", variable=SECRET)
        )
    return environment[SECRET]


class Tokens:
    """Tokens of an app registration, by its secret."""

    def __init__(self, settings: Settings, secret: str) -> None:
        self._client, self._secret = settings.graph_client, secret
        self._authority = f"{settings.graph_authority.rstrip('/')}/{quote(settings.graph_tenant, safe='')}"
        host = urlsplit(settings.graph_url)
        self._scope = f"{host.scheme}://{host.netloc}/.default"
        self._application: Any = None

    def __call__(self, *, fresh: bool = False) -> str:
        application, self._application = self._application, None  # what a failure leaves behind is of no use
        try:
            application = application or self._made()
            if fresh:
                application.remove_tokens_for_client()
            answer = application.acquire_token_for_client([self._scope])
            token = answer.get("access_token")
        except Exception as error:  # noqa: BLE001 - msal has no error of its own for answers that make no sense
            host, kind = urlsplit(self._authority).netloc, type(error).__name__
            raise GraphError(
                worded(
                    "no token from {host}: it cannot be reached, or does not know the tenant ({kind}); check graph_tenant",
                    host=host,
                    kind=kind,
                )
            ) from None
        if not isinstance(token, str):
            raise GraphError(
                worded(
                    "no token: the sign-in of the app registration was refused ({words}); check graph_client and its secret",
                    words=_refusal(answer),
                )
            )
        self._application = application
        return token

    def _made(self) -> Any:
        import msal  # noqa: PLC0415 (of an extra that may be missing)

        return msal.ConfidentialClientApplication(
            self._client, authority=self._authority, client_credential=self._secret, instance_discovery=False, timeout=TIMEOUT
        )


def _refusal(answer: Mapping[str, Any]) -> str:
    """Words of Microsoft's that can hold nothing secret."""
    told = answer.get("error_codes")
    codes = [f"AADSTS{code}" for code in told if isinstance(code, int)] if isinstance(told, list) else []
    error = answer.get("error")
    return ", ".join(([error] if isinstance(error, str) and WORD.fullmatch(error) else []) + codes) or worded("no reason was given")


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would carry the token elsewhere."""

    def redirect_request(self, *_: object) -> None:
        return None


class GraphClient:
    """Asks one Graph."""

    def __init__(self, base: str, tokens: TokenSource) -> None:
        self._base = base.rstrip("/")
        self._tokens = tokens
        self._open: Callable[..., Any] = build_opener(_NoRedirect).open

    def first(self, since: int) -> str:
        """Address of the first page of sign-ins from that time on."""
        clients = " or ".join(f"clientAppUsed eq '{client}'" for client in CLIENTS)
        asked = f"createdDateTime ge {rfc3339(since - since % SECOND)} and ({clients})"
        if self._base.endswith("/beta"):  # v1.0 gives interactive sign-ins, and has no such property
            asked += " and (signInEventTypes/any(t: t eq 'interactiveUser') or signInEventTypes/any(t: t eq 'nonInteractiveUser'))"
        return f"{self._base}/auditLogs/signIns?" + urlencode({"$filter": asked, "$top": PAGE}, quote_via=quote, safe="$")

    def page(self, address: str) -> Page:
        """One page. A token that is refused is renewed, once."""
        try:
            answer = self._get(address, self._tokens())
        except _TokenError:
            try:
                answer = self._get(address, self._tokens(fresh=True))
            except _TokenError as refused:
                raise GraphError(str(refused)) from None
        if not isinstance(answer, dict) or not isinstance(answer.get("value"), list):
            raise GraphError(worded("{host} answered with something else than a page of sign-ins", host=self._host))
        following = answer.get("@odata.nextLink") or ""
        if not isinstance(following, str) or (following and urlsplit(following)[:2] != urlsplit(self._base)[:2]):
            raise GraphError(worded("{host} names a next page at another host; it is not asked for", host=self._host), anew=True)
        return Page(answer["value"], following)

    @property
    def _host(self) -> str:
        return urlsplit(self._base).netloc

    def _get(self, address: str, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "User-Agent": f"smtp-auth-report/{__version__}"}
        try:
            with self._open(Request(address, headers=headers), timeout=TIMEOUT) as answer:  # noqa: S310 - of graph_url, which is checked
                content = answer.read(LARGEST + 1)
        except HTTPError as error:
            with error:
                raise self._refused(error) from None
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            words = " ".join(str(reason).split()) or type(reason).__name__
            raise GraphError(worded("{host} cannot be reached: {words}", host=self._host, words=words)) from None
        try:
            return json.loads(content) if len(content) <= LARGEST else None
        except (ValueError, RecursionError):
            return None

    def _refused(self, error: HTTPError) -> GraphError:
        wait = _seconds(error.headers.get("Retry-After", ""))
        code = _code_of(error)
        said = f" ({code})" if code else ""
        if error.code == 401:
            return _TokenError(translated(REFUSALS[401]).format(host=self._host) + said)
        if error.code == 429:
            return GraphError(worded("{host} asks to wait (429){code}", host=self._host, code=said), wait=wait)
        if code == NO_LICENCE:
            return GraphError(worded("{host} gives sign-ins to tenants with a licence of Entra ID P1 or P2 only", host=self._host))
        words = REFUSALS.get(
            error.code, marked("{host} answered with an error") if error.code >= 500 else marked("{host} does not answer the question")
        )
        refused = worded("{words}: {code}", words=translated(words).format(host=self._host), code=f"{error.code}{said}")
        return GraphError(refused, wait=wait, anew=error.code in {400, 404, 410})


class _TokenError(GraphError):
    """Another one may be accepted."""


def _code_of(error: HTTPError) -> str:
    """Graph's own word for what is wrong; never the text behind it."""
    try:
        code = json.loads(error.read(1 << 16))["error"]["code"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, http.client.HTTPException):
        return ""
    return code if isinstance(code, str) and WORD.fullmatch(code) else ""


def _seconds(written: str) -> float | None:
    """Of Retry-After: seconds, or a date."""
    if written.isascii() and written.isdigit() and len(written) < 7:
        return float(written)
    try:
        return max(0.0, (micros(parsedate_to_datetime(written)) - now()) / 1e6)
    except (TypeError, ValueError):
        return None


def client_of(settings: Settings, secret: str) -> GraphClient:
    """As the settings say."""
    return GraphClient(settings.graph_url, Tokens(settings, secret))
