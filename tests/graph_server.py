"""
A server on the loopback interface that answers as Microsoft documents Graph and the sign-in of app registrations.

    with Graph([sign_in()], page=2) as graph:         answers GET /v1.0/auditLogs/signIns
        graph.address                                  http://127.0.0.1:40581/v1.0
        graph.answers.append(Refusal(429, wait="1"))   what it says next, before it answers again
        graph.asked                                    what was asked of it: filter, token, page

With `tls` it speaks HTTPS, and gives tokens at /TENANT/oauth2/v2.0/token to whoever knows the secret.
"""

from __future__ import annotations

import json
import ssl
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlencode, urlsplit

TENANT, CLIENT, SECRET = "72f988bf-0000-4000-8000-2d7cd011db47", "0c5ffd1d-0000-4000-8000-6f0f34b0a3f8", "S3cr3t~of.the-registration"
CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#auditLogs/signIns"


class Refusal(NamedTuple):
    """An answer that is no page."""

    status: int
    code: str = ""
    wait: str = ""
    body: bytes | None = None
    location: str = ""


class Asked(NamedTuple):
    """One question."""

    filter: str
    token: str
    skip: int


class Graph:
    """Some sign-ins, and what goes wrong before they are given."""

    def __init__(self, sign_ins: list[dict[str, Any]], *, page: int = 1000, tls: ssl.SSLContext | None = None) -> None:
        self.sign_ins = sign_ins
        self.page = page
        self.answers: deque[Refusal] = deque()
        self.trouble: Refusal | None = None  # what it says for as long as this is set
        self.asked: list[Asked] = []
        self.tokens_given = 0
        self.token_answers: deque[Refusal] = deque()  # what the sign-in says before it gives tokens
        self.good = {"token-0"}  # tokens that are accepted
        self.next_link = ""  # where it leads instead
        handler = type("Handler", (_Handler,), {"graph": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.origin = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{self._server.server_port}"
        self.address = f"{self.origin}/v1.0"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def matching(self, asked: str) -> list[dict[str, Any]]:
        """Newest first, as Graph gives them."""
        since = asked.partition("createdDateTime ge ")[2].partition(" ")[0]
        found = [entry for entry in self.sign_ins if str(entry.get("createdDateTime", ""))[:19] >= since[:19]]
        return sorted(found, key=lambda entry: str(entry.get("createdDateTime")), reverse=True)


class _Handler(BaseHTTPRequestHandler):
    graph: Graph
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quietly."""

    def do_GET(self) -> None:
        graph, parts = self.graph, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/.well-known/openid-configuration"):
            endpoint = f"{graph.origin}/{TENANT}/oauth2/v2.0"
            self._json(
                200, {"token_endpoint": f"{endpoint}/token", "authorization_endpoint": f"{endpoint}/authorize", "issuer": graph.origin}
            )
            return
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        asked = Asked(query.get("$filter", ""), token, int(query.get("$skiptoken", "0")))
        graph.asked.append(asked)
        refusal = graph.trouble or (graph.answers.popleft() if graph.answers else None)
        if refusal is not None:
            self._refuse(refusal)
        elif token not in graph.good:
            self._refuse(Refusal(401, "InvalidAuthenticationToken"))
        elif not parts.path.endswith("/auditLogs/signIns") or "clientAppUsed eq 'Authenticated SMTP'" not in asked.filter:
            self._refuse(Refusal(400, "BadRequest"))
        else:
            self._page(asked)

    def _page(self, asked: Asked) -> None:
        graph = self.graph
        found = graph.matching(asked.filter)
        content: dict[str, Any] = {"@odata.context": CONTEXT, "value": found[asked.skip : asked.skip + graph.page]}
        if asked.skip + graph.page < len(found):
            more = urlencode({"$filter": asked.filter, "$skiptoken": asked.skip + graph.page})
            content["@odata.nextLink"] = graph.next_link or f"{graph.address}/auditLogs/signIns?{more}"
        self._json(200, content)

    def _refuse(self, refusal: Refusal) -> None:
        body = refusal.body
        if body is None:
            body = json.dumps({"error": {"code": refusal.code, "message": f"never shown: {SECRET}"}}).encode()
        headers = {name: value for name, value in (("Retry-After", refusal.wait), ("Location", refusal.location)) if value}
        self._answer(refusal.status, body, headers)

    def do_POST(self) -> None:
        """The sign-in of an app registration."""
        form = {name: values[0] for name, values in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()}
        graph = self.graph
        if graph.token_answers:
            self._refuse(graph.token_answers.popleft())
            return
        if form.get("client_secret") != SECRET or form.get("client_id") != CLIENT:
            self._json(401, {"error": "invalid_client", "error_codes": [7000215], "error_description": f"never shown: {form}"})
            return
        graph.tokens_given += 1
        token = f"token-{graph.tokens_given}"
        graph.good.add(token)
        self._json(200, {"token_type": "Bearer", "expires_in": 3599, "access_token": token, "scope": form["scope"]})

    def _json(self, status: int, content: Mapping[str, Any]) -> None:
        self._answer(status, json.dumps(content).encode(), {})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
