"""
An OpenID Connect provider: a process of its own on the loopback interface, with keys of its own.

    with provider() as idp:                      python openid_provider.py
        idp.issuer                                http://127.0.0.1:40581
        idp.says(claims={…}, fault="nonce")       who signs in next, and what is wrong with it
        idp.sent_back(address)                    as a browser that follows: where the provider leads it

It does what OpenID Connect Core 1.0 asks of a provider for the authorization code flow, and refuses what it has to: a client,
an address to lead back to, or a secret that it does not know, a code that was used, PKCE that does not fit.
"""

from __future__ import annotations

import hmac
import json
import subprocess
import sys
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

CLIENT, SECRET = "smtp-auth-report", "S3cr3t~of.the-client"
BACK = "http://localhost/sign-in/openid/back"


def _part(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


class Provider:
    """Its state, in its own process."""

    def __init__(self) -> None:
        self.keys = [RSAKey.generate_key(2048, {"kid": "one"}), ECKey.generate_key("P-256", {"kid": "two"})]
        self.strange = RSAKey.generate_key(2048, {"kid": "one"})  # of somebody else, who says the same of it
        self.small = ECKey.generate_key("P-256")
        self.issuer = ""
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: dict[str, str] = {}
        self.said: dict[str, Any] = {}
        self.documents = 0

    def fault(self, name: str) -> bool:
        return bool(self.said.get("fault") == name)

    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
        } | self.said.get("document", {})

    def claims(self) -> dict[str, Any]:
        return {"sub": "248289761001"} | self.said.get("claims", {})

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce} | self.claims()
        claims |= {
            "nonce": {"nonce": "another"},
            "expired": {"iat": now - 900, "exp": now - 600},
            "audience": {"aud": "another-client"},
            "audience, though for us": {"aud": "another-client", "azp": CLIENT},
            "audiences": {"aud": [CLIENT, "another-client"], "azp": "another-client"},
            "issuer": {"iss": "https://evil.example"},
            "early": {"iat": now + 900, "nbf": now + 900, "exp": now + 1200},
        }.get(self.said.get("fault", ""), {})
        for name in self.said.get("without", []):
            claims.pop(name)
        return self.signed(claims)

    def signed(self, claims: dict[str, Any]) -> str:
        if self.fault("no signature"):
            return f"{_part(json.dumps({'alg': 'none'}).encode())}.{_part(json.dumps(claims).encode())}."
        if self.fault("secret as key"):
            return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
        if self.fault("public key as secret"):
            content = f"{_part(json.dumps({'alg': 'HS256', 'kid': 'one'}).encode())}.{_part(json.dumps(claims).encode())}"
            return f"{content}.{_part(hmac.digest(self.keys[0].as_pem(private=False), content.encode(), 'sha256'))}"
        if self.fault("another key"):
            return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.strange)
        if self.fault("key in the header"):
            return jwt.encode({"alg": "ES256", "kid": "two", "jwk": self.small.as_dict(private=False)}, claims, self.small)
        if self.said.get("alg") == "ES256":
            return jwt.encode({"alg": "ES256", "kid": "two"}, claims, self.keys[1])
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.keys[0])


class Handler(BaseHTTPRequestHandler):
    provider: Provider
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quietly."""

    def do_GET(self) -> None:
        provider, parts = self.provider, urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if provider.fault(f"redirect of {parts.path}"):
            self.answer(302, {}, f"{provider.issuer}/elsewhere")
        elif parts.path == "/.well-known/openid-configuration":
            provider.documents += 1
            self.answer(200, provider.document())
        elif parts.path == "/documents":  # no part of the protocol: how often it was asked for the one above
            self.answer(200, {"asked": provider.documents})
        elif parts.path == "/keys":
            self.answer(200, {"keys": [key.as_dict(private=False) for key in provider.keys]})
        elif parts.path == "/authorize":
            self.authorize(asked)
        elif parts.path == "/userinfo":
            known = provider.tokens.get((self.headers["Authorization"] or "").removeprefix("Bearer "))
            claims = {"sub": known} | provider.said.get("userinfo", {})
            self.answer(200 if known else 401, claims if known else {"error": "invalid_token"})
        else:
            self.answer(404, {})

    def authorize(self, asked: dict[str, str]) -> None:
        if asked.get("client_id") != CLIENT or asked.get("redirect_uri") != BACK:
            self.answer(400, {"error": "unknown client, or address to lead back to"})
            return
        good = asked.get("response_type") == "code" and "openid" in asked.get("scope", "").split() and asked.get("nonce")
        if not good or asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
            self.answer(302, {}, f"{BACK}?{urlencode({'error': 'invalid_request', 'state': asked.get('state', '')})}")
            return
        if self.provider.fault("denied"):
            self.answer(302, {}, f"{BACK}?{urlencode({'error': 'access_denied', 'state': asked['state']})}")
            return
        code = token_urlsafe()
        self.provider.codes[code] = asked
        self.answer(302, {}, f"{BACK}?{urlencode({'code': code, 'state': asked['state']})}")

    def do_POST(self) -> None:
        provider = self.provider
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/next":  # no part of the protocol: the test says what comes next
            provider.said = json.loads(body)
            self.answer(200, {})
            return
        if provider.fault(f"redirect of {self.path}"):
            self.answer(307, {}, f"{provider.issuer}/elsewhere")
            return
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if b64decode((self.headers["Authorization"] or "").removeprefix("Basic ")) != f"{CLIENT}:{SECRET}".encode():
            self.answer(401, {"error": "invalid_client"})
            return
        asked = provider.codes.pop(form.get("code", ""), None)
        proof = _part(sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"] or proof != asked["code_challenge"]:
            self.answer(400, {"error": "invalid_grant"})
            return
        token = token_urlsafe()
        provider.tokens[token] = provider.claims()["sub"]
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": 300}
        self.answer(200, answer if provider.fault("no ID token") else answer | {"id_token": provider.id_token(asked["nonce"])})

    def answer(self, status: int, content: dict[str, Any], location: str = "") -> None:
        body = b"<html>" if self.provider.fault(f"no JSON of {urlsplit(self.path).path}") else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)


# What a test has of it


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


class Remote:
    """The process, as a browser and a test reach it."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._open = build_opener(_NoRedirect, ProxyHandler({})).open

    def says(self, **said: Any) -> None:
        """What it says from now on."""
        self._open(Request(f"{self.issuer}/next", json.dumps(said).encode())).close()

    def asked_for_document(self) -> int:
        """How often the document about itself was asked for."""
        with self._open(f"{self.issuer}/documents") as answer:
            return int(json.load(answer)["asked"])

    def sent_back(self, address: str) -> str:
        """Where it leads a browser that comes from this site."""
        with pytest.raises(HTTPError) as answer:
            self._open(address).close()
        with answer.value as told:
            assert told.code == 302, told.read()
            return str(told.headers["Location"])


@contextmanager
def provider() -> Iterator[Remote]:
    """One that runs, and is gone afterwards."""
    with subprocess.Popen([sys.executable, str(Path(__file__))], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Remote(process.stdout.readline().strip())
        finally:
            process.terminate()


if __name__ == "__main__":
    Handler.provider = Provider()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.provider.issuer = f"http://127.0.0.1:{server.server_port}"
        print(Handler.provider.issuer, flush=True)
        server.serve_forever()
