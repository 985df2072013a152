"""
The API does what its OpenAPI document says: schemathesis asks a served site whatever the document allows, and what it does
not, and holds the answers against it: status, headers, shape, who is let in, which methods there are.

    pytest tests/test_openapi.py            a few examples of each route, the same every time
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from cheroot.wsgi import Server
from django.db import connections
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from sites import NOW, hostile, make_site, unread, week
from smtp_auth_report.web.api import api
from smtp_auth_report.web.application import application
from smtp_auth_report.web.people import add, named, new_token
from smtp_auth_report.web.reader import Role
from smtp_server import SETTINGS

EXAMPLES = 8
ROUTES = api.get_openapi_schema()["paths"]
ASKED = [
    (route, method, mode)
    for route in sorted(ROUTES)
    for method, operation in ROUTES[route].items()
    for mode in GenerationMode
    if mode.is_positive or operation.get("parameters") or "requestBody" in operation
]
"""Each route as the document allows, and as it does not where it has anything that could be wrong."""

EXCLUDED = [positive_data_acceptance]  # a text may have the form of a date, a network or a column and be none; that is 400

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # connections that its own client leaves open


@pytest.fixture(scope="module")
def token() -> list[str]:
    return []


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory, token: list[str]) -> Iterator[Any]:
    """As a served site gives it."""
    mail = SETTINGS | {"mail_server": "localhost:25"}
    site = make_site(tmp_path_factory.mktemp("api"), *week(), *hostile(), changes=unread(), api_requests="0", **mail)
    server = Server(("127.0.0.1", 0), application(site), numthreads=4)
    add("admin@contoso.example", Role.ADMINISTRATOR, "correct horse battery", NOW)
    token.append(new_token(named("admin@contoso.example"), "tests", NOW))
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    address = f"http://127.0.0.1:{server.bind_addr[1]}/api/openapi.json"
    yield schemathesis.openapi.from_url(address, headers={"Authorization": f"Bearer {token[0]}"})
    server.stop()
    thread.join()
    site.store.close()
    connections.close_all()


@pytest.mark.parametrize(("route", "method", "mode"), ASKED)
def test_a_route_does_what_the_document_says(document: Any, token: list[str], route: str, method: str, mode: GenerationMode) -> None:
    asked = 0

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(document[route][method.upper()].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal asked
        asked += 1
        case.call_and_validate(headers={"Authorization": f"Bearer {token[0]}"}, excluded_checks=EXCLUDED)

    ask()
    assert asked
