"""
Microsoft Graph, polled: what it answers is in the store once, whatever goes wrong on the way, and no secret is in any message.
"""

from __future__ import annotations

import json
import random
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from zoneinfo import ZoneInfo

import pytest
import trustme

import forked
from entra_log import ANNA, sign_in
from forked import Process
from graph_server import CLIENT, SECRET, TENANT, Graph, Refusal
from ingesting import PROGRAM, Site
from smtp_auth_report import cli, live
from smtp_auth_report.changes import Position
from smtp_auth_report.errors import SettingError
from smtp_auth_report.graph import GRAPH, LATE, GraphStream
from smtp_auth_report.graph_client import CLIENTS, GraphClient, GraphError, Page, Tokens, ready, secret_of
from smtp_auth_report.ingest import Reading
from smtp_auth_report.live import Following
from smtp_auth_report.moments import rfc3339
from smtp_auth_report.settings import load
from smtp_auth_report.sources.entra_lines import SMTP_CLIENTS
from smtp_auth_report.store import open_store
from smtp_auth_report.store.interface import Selection, Store

NOW = 1_795_450_000_000_000
EVER = Selection(0, NOW * 2, "UTC")
KEY = bytes(32)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a reader in this process."""
    monkeypatch.setattr(live, "LOOK", 0.02)
    monkeypatch.setattr(live, "EVERY", 0.02)


class FixedTokens:
    """token-0, then the next."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, *, fresh: bool = False) -> str:
        self.number += fresh
        return f"token-{self.number}"


@contextmanager
def following(store: Callable[[], Store], graph: Graph, said: list[str]) -> Iterator[Callable[[], bool]]:
    """The whole way from Graph to the store, in a thread; whether all that was handed over is taken, and so will be committed."""
    streams: list[GraphStream] = []

    def stream(positions: list[Position]) -> GraphStream:
        client = GraphClient(graph.address, FixedTokens())
        streams.append(GraphStream(client, TENANT, positions, lambda: NOW, every=0.05, first_pause=0.02))
        return streams[-1]

    run = Following(lambda **_: closing(store()), KEY, Reading(ZoneInfo("UTC")), lambda: NOW, ["graph:"], said.append, stream)
    stop = Event()
    thread = Thread(target=run.run, args=(stop,))
    thread.start()
    try:
        yield lambda: all(stream._parts.empty() for stream in streams)
    finally:
        stop.set()
        thread.join(20)


def until(met: Callable[[], bool], seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)


class Held:
    """A database that is opened anew for each who reads or writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def opened(self) -> Store:
        return open_store(str(self.path), clock=lambda: NOW)

    def accounts(self) -> list[str | None]:
        store = self.opened()
        try:
            return [row.account for part in store.submissions(EVER) for row in part]
        finally:
            store.close()


def gathered(tmp_path: Path, graph: Graph, met: Callable[[list[str]], bool]) -> tuple[list[str | None], list[str]]:
    """Follow until something is met; the accounts of all rows, and what was said."""
    held, said = Held(tmp_path / "mail.duckdb"), list[str]()
    with graph, following(held.opened, graph, said) as taken:
        until(lambda: met(said))
        until(taken)
    return held.accounts(), said


def many(count: int) -> list[dict[str, object]]:
    return [sign_in(f"user{n}@contoso.example", n % 50, ipAddress=f"192.0.2.{n % 250}") for n in range(count)]


def test_all_pages_are_read_once(tmp_path: Path) -> None:
    graph = Graph(many(25), page=4)
    accounts, said = gathered(tmp_path, graph, lambda _: len(graph.asked) > 20)
    assert sorted(map(str, accounts)) == sorted(f"user{n}@contoso.example" for n in range(25))
    assert said == ["following graph:"]
    assert {asked.skip for asked in graph.asked} == {0, 4, 8, 12, 16, 20, 24}
    assert all("and (clientAppUsed eq 'Authenticated SMTP' or clientAppUsed eq 'SMTP')" in asked.filter for asked in graph.asked)


def test_what_stands_in_two_layers_is_the_same() -> None:
    """What Graph is asked for is what the source takes; and the command line does without importing the stream."""
    assert {name.casefold() for name in CLIENTS} == SMTP_CLIENTS
    assert cli.GRAPH == GRAPH


TROUBLE = {
    "throttled": (Refusal(429, "TooManyRequests", wait="0"), "asks to wait (429) (TooManyRequests); asking again in 1 s"),
    "throttled without a word": (Refusal(429, "", body=b""), "asks to wait (429); asking again in"),
    "a server's error": (Refusal(503, "ServiceUnavailable", wait="0"), "answered with an error: 503 (ServiceUnavailable)"),
    "a gateway's page": (Refusal(502, body=b"<html>Bad gateway</html>"), "answered with an error: 502"),
    "forbidden": (Refusal(403, "Authorization_RequestDenied"), "needs the application permission AuditLog.Read.All"),
    "no licence": (Refusal(403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant"), "a licence of Entra ID P1 or P2"),
    "malformed": (Refusal(200, body=b'{"value": [{"id": '), "something else than a page of sign-ins"),
    "no page": (Refusal(200, body=b"[]"), "something else than a page of sign-ins"),
    "deep": (Refusal(200, body=b"[" * 200_000), "something else than a page of sign-ins"),
    "elsewhere": (Refusal(302, location="http://127.0.0.1:9/"), "does not answer the question: 302"),
    "empty": (Refusal(200, body=b""), "something else than a page of sign-ins"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("after", [0, 2])
def test_trouble_is_one_line_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str, after: int) -> None:
    """In front of the first page, and in the midst of a question; it lasts until it was said."""
    refusal, words = TROUBLE[trouble]
    graph = Graph(many(10), page=3)
    matching, times = graph.matching, [0]

    def begins_again(asked: str) -> list[dict[str, object]]:
        times[0] += 1
        if times[0] == after:
            graph.trouble = refusal
        return matching(asked)

    def told(said: list[str]) -> list[str]:
        return [line for line in said if line.startswith("graph: 127.0.0.1")]

    def over(said: list[str]) -> bool:
        if told(said):
            graph.trouble = None
        return bool(told(said)) and times[0] > 8

    monkeypatch.setattr(graph, "matching", begins_again)
    graph.trouble = None if after else refusal
    accounts, said = gathered(tmp_path, graph, over)
    assert sorted(map(str, accounts)) == sorted(f"user{n}@contoso.example" for n in range(10))
    assert all(words in line and "\n" not in line for line in told(said))
    assert not any(SECRET in line or "token-" in line or "never shown" in line for line in said)


def test_trouble_is_said_and_its_end(tmp_path: Path) -> None:
    graph = Graph(many(1))
    graph.answers.extend([Refusal(500)] * 6)
    _, said = gathered(tmp_path, graph, lambda lines: lines[-1:] == ["graph: is read again"])
    assert any("127.0.0.1" in line and "answered with an error: 500; asking again in 1 s" in line for line in said)


def test_a_network_that_is_down(tmp_path: Path) -> None:
    graph = Graph(many(1))
    held, said = Held(tmp_path / "mail.duckdb"), list[str]()
    graph._server.server_close()
    with following(held.opened, graph, said):
        until(lambda: any("cannot be reached: [Errno 111] Connection refused" in line for line in said))


def test_an_expired_token_is_renewed_once(tmp_path: Path) -> None:
    graph = Graph(many(3))
    graph.good = {"token-1"}
    accounts, said = gathered(tmp_path, graph, lambda _: len(graph.asked) > 3)
    assert (len(accounts), said) == (3, ["following graph:"])
    assert [asked.token for asked in graph.asked[:3]] == ["token-0", "token-1", "token-1"]


def test_a_token_that_stays_refused() -> None:
    with Graph([]) as graph:
        graph.good = set()
        client = GraphClient(graph.address, FixedTokens())
        with pytest.raises(GraphError, match=r"does not accept the token; check graph_tenant and graph_client \(InvalidAuth"):
            client.page(client.first(NOW))
        assert len(graph.asked) == 2


def test_pauses_grow_and_what_graph_says_counts() -> None:
    stream = GraphStream(GraphClient("http://127.0.0.1:9", FixedTokens()), TENANT, [], lambda: NOW, first_pause=5)
    told = stream._polling._told
    assert [told(GraphError("x")) for _ in range(9)] == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert told(GraphError("x", wait=37)) == 37
    assert told(GraphError("x", wait=0)) == 1
    assert told(GraphError("x", wait=10**6)) == 3600


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    held, said, graph = Held(tmp_path / "mail.duckdb"), list[str](), Graph(many(30), page=7)
    with graph:
        with following(held.opened, graph, said) as taken:
            until(lambda: len(graph.asked) > 10)
            until(taken)
        first = held.accounts()
        store = held.opened()
        [position] = store.positions()
        store.close()
        newest = max(str(entry["createdDateTime"]) for entry in graph.sign_ins)[:19]
        assert rfc3339(int(position.tail)).startswith(newest)
        late = sign_in("late@contoso.example", 1, createdDateTime="2026-11-23T12:00:00Z")
        graph.sign_ins = [*graph.sign_ins, late, sign_in("newest@contoso.example", 51)]
        graph.asked.clear()
        with following(held.opened, graph, said) as taken:
            until(lambda: len(graph.asked) > 10)
            until(taken)
        since = rfc3339(int(position.tail) - LATE)
        assert graph.asked[0].filter.startswith(f"createdDateTime ge {since} and ")
    assert sorted(map(str, held.accounts())) == sorted([*map(str, first), "late@contoso.example", "newest@contoso.example"])
    assert len(first) == 30


def test_a_question_that_was_broken_off_is_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Graph gives the newest first: until its last page was read, the position stays."""
    held, said, graph = Held(tmp_path / "mail.duckdb"), list[str](), Graph(many(20), page=5)
    matching = graph.matching

    def dies(asked: str) -> list[dict[str, object]]:
        if len(graph.asked) > 2:
            graph.trouble = Refusal(500)
        return matching(asked)

    monkeypatch.setattr(graph, "matching", dies)
    with graph:
        with following(held.opened, graph, said) as taken:
            until(lambda: len(graph.asked) > 6)
            until(taken)
        store = held.opened()
        assert store.positions() == []
        store.close()
        assert 0 < len(held.accounts()) < 20
        monkeypatch.setattr(graph, "matching", matching)
        graph.trouble = None
        with following(held.opened, graph, said) as taken:
            until(lambda: len(graph.asked) > 20)
            until(taken)
    assert len(held.accounts()) == 20


def test_what_a_broken_question_did_not_hand_over_is_asked_for_again() -> None:
    """The page that waits for the one behind it was seen by nobody yet."""
    pages = [Page([sign_in(number=number)], following) for number, following in ((3, "1"), (2, "2"), (1, ""))]
    gone = [GraphError("410", anew=True)]

    class Gone:
        def first(self, _since: int) -> str:
            return "0"

        def page(self, address: str) -> Page:
            if address == "2" and gone:
                raise gone.pop()
            return pages[int(address)]

    stream = GraphStream(Gone(), TENANT, [], lambda: NOW)
    with pytest.raises(GraphError, match="410"):
        stream._polling._ask()
    stream._polling._ask()
    told = [json.loads(line) for part in stream.read() for line in part.splitlines()]
    assert told == [page.sign_ins[0] for page in pages]
    assert [position.tail for position in stream.positions("", "")] == ["1795449967000000"]


def test_sign_ins_that_make_no_sense_stop_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph([sign_in(), sign_in("x@contoso.example", 2, createdDateTime="never"), sign_in("y@contoso.example", 3, status=None)])
    monkeypatch.setattr(graph, "matching", lambda _: [*graph.sign_ins, 7, "x", None, {}, {"createdDateTime": 5}])
    accounts, said = gathered(tmp_path, graph, lambda _: len(graph.asked) > 3)
    assert ANNA in accounts
    assert said == ["following graph:"]


def test_a_token_goes_to_no_other_host() -> None:
    with Graph(many(9), page=2) as graph, Graph([]) as other:
        graph.next_link = f"{other.address}/auditLogs/signIns?$skiptoken=2"
        client = GraphClient(graph.address, FixedTokens())
        with pytest.raises(GraphError, match="names a next page at another host; it is not asked for"):
            client.page(client.first(0))
        graph.answers.append(Refusal(302, location=f"{other.address}/auditLogs/signIns"))
        with pytest.raises(GraphError, match="302"):
            client.page(client.first(0))
        assert other.asked == []


def test_beta_is_asked_for_sign_ins_that_are_not_interactive_too() -> None:
    with Graph([sign_in()]) as graph:
        for version, asked in (("v1.0", False), ("beta", True)):
            client = GraphClient(f"{graph.origin}/{version}/", FixedTokens())
            assert len(client.page(client.first(0)).sign_ins) == 1
            assert ("signInEventTypes/any(t: t eq 'nonInteractiveUser')" in graph.asked[-1].filter) is asked


def test_retry_after_may_be_a_date() -> None:
    with Graph([]) as graph:
        graph.answers += [Refusal(429, wait="Wed, 21 Oct 2015 07:28:00 GMT"), Refusal(429, wait="soon"), Refusal(429, wait="9")]
        client = GraphClient(graph.address, FixedTokens())
        waits = []
        for _ in range(3):
            with pytest.raises(GraphError) as told:
                client.page(client.first(0))
            waits.append(told.value.wait)
        assert waits == [0, None, 9]


# Settings and secrets


def test_secrets_are_of_the_environment_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    given = {"graph_tenant": TENANT, "graph_client": CLIENT}
    assert ready(load(given, {}), {"SMTP_AUTH_REPORT_GRAPH_SECRET": SECRET}) == SECRET
    filed = load(given | {"graph_secret_file": str(path)}, {})
    for content, mode, words in (
        (None, 0, "cannot be read: No such file or directory"),
        (" \n", 0o600, "is empty"),
        (SECRET, 0o604, "is open to everybody; chmod 600 it"),
    ):
        if content is not None:
            path.write_text(content)
            path.chmod(mode)
        with pytest.raises(SettingError, match=words):
            secret_of(filed, {})
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    assert secret_of(filed, {}) == SECRET
    with pytest.raises(SettingError, match="there is no secret; set graph_secret_file"):
        ready(load(given, {}), {})
    with pytest.raises(SettingError, match="graph_client is not set"):
        ready(load({"graph_tenant": TENANT}, {}), {})


@pytest.mark.parametrize("address", ["http://graph.microsoft.com/v1.0", "ftp://x", "https://user@x", "https://x?y", "graph"])
def test_a_secret_goes_to_no_address_in_clear(address: str) -> None:
    with pytest.raises(SettingError, match="is not an address"):
        load({"graph_url": address}, {})


def test_what_is_missing_is_said_before_anything_is_served(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for command in (("ingest", "--follow", "graph:"), ("serve", "--follow", "graph:")):
        ran = site.run(*command)
        assert ran.returncode == 1
        assert ran.stderr.decode().startswith("smtp-auth-report: graph: graph_tenant is not set")
    ran = site.run("ingest", "graph:")
    assert ran.returncode == 2
    assert b"graph: is followed: add --follow" in ran.stderr


# With msal, over TLS


@pytest.fixture
def trusted(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return context, str(path)


def program(tmp_path: Path, graph: Graph, ca: str, secret: str) -> tuple[Site, dict[str, str]]:
    file = tmp_path / "secret"
    file.write_text(secret)
    file.chmod(0o600)
    site = Site(tmp_path)
    settings = {"TENANT": TENANT, "CLIENT": CLIENT, "SECRET_FILE": str(file), "URL": graph.address, "AUTHORITY": graph.origin}
    graphs = {f"SMTP_AUTH_REPORT_GRAPH_{name}": value for name, value in settings.items()}
    return site, site.environment | graphs | {"SSL_CERT_FILE": ca, "REQUESTS_CA_BUNDLE": ca, "NO_PROXY": "*"}


@contextmanager
def running(environment: dict[str, str], said: list[str]) -> Iterator[Process]:
    process = forked.start(["ingest", "--follow", "graph:"], environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    thread = Thread(target=said.extend, args=(process.stderr,))
    thread.start()
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(20)
        thread.join(20)
        process.stderr.close()


def test_with_tokens_of_msal(tmp_path: Path, trusted: tuple[ssl.SSLContext, str]) -> None:
    with Graph(many(5), page=2, tls=trusted[0]) as graph:
        site, environment = program(tmp_path, graph, trusted[1], SECRET)
        said: list[str] = []
        with running(environment, said):
            until(lambda: graph.tokens_given > 0 and len(graph.asked) >= 3)
            until(lambda: site.run("report", "summary").returncode == 0 and len(site.rows()) == 5)
        assert {asked.token for asked in graph.asked} == {"token-1"}
        with running(environment, said) as process:
            until(lambda: len(graph.asked) >= 6)
            process.kill()
        assert len(site.rows()) == 5
    content = "".join(said) + (tmp_path / "mail.duckdb").read_bytes().decode("latin-1")
    assert "following graph:" in content
    assert SECRET not in content
    assert "token-1" not in content


def test_killed_at_any_moment(tmp_path: Path, trusted: tuple[ssl.SSLContext, str]) -> None:
    """More than one page is under way whenever it is killed; new sign-ins come meanwhile, some of them late."""
    entries = many(600)
    with Graph(entries[:200], page=20, tls=trusted[0]) as graph:
        site, environment = program(tmp_path, graph, trusted[1], SECRET)
        said: list[str] = []
        for number in range(4):
            asked = len(graph.asked)
            with running(environment, said) as process:
                until(lambda asked=asked: len(graph.asked) > asked)  # type: ignore[misc]
                time.sleep(random.uniform(0, 1))
                process.kill()
            graph.sign_ins = entries[: 200 + 100 * (number + 1)]
        with running(environment, said):
            until(lambda: len(site.rows()) >= 600)
            time.sleep(1)
            assert sorted(row["account"] for row in site.rows()) == sorted(str(entry["userPrincipalName"]) for entry in entries)


def test_a_wrong_secret_is_one_line_without_it(tmp_path: Path, trusted: tuple[ssl.SSLContext, str]) -> None:
    with Graph([], tls=trusted[0]) as graph:
        site, environment = program(tmp_path, graph, trusted[1], "wr0ng~secret")
        said: list[str] = []
        with running(environment, said):
            until(lambda: any("refused (invalid_client, AADSTS7000215)" in line for line in said))
    assert "wr0ng" not in "".join(said)
    assert "never shown" not in "".join(said)
    assert site.run("export").stdout.count(b"\n") <= 1


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Refusal(503), "no token"),
        (Refusal(502, body=b"<html>"), "no token"),
        (Refusal(200, body=b"{"), "no token"),
        (Refusal(200, body=b"[]"), "no token"),
        (Refusal(200, body=b'{"access_token": 7}'), "no token"),
        (Refusal(400, body=b'{"error": "unauthorized_client", "error_codes": [700016]}'), "(unauthorized_client, AADSTS700016)"),
        (Refusal(400, body=b'{"error": "x <y>", "error_codes": 7, "error_description": "w"}'), "(no reason was given)"),
    ],
)
def test_a_sign_in_that_fails(trusted: tuple[ssl.SSLContext, str], monkeypatch: pytest.MonkeyPatch, refusal: Refusal, words: str) -> None:
    """One line, and the next attempt may succeed."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted[1])
    monkeypatch.setenv("NO_PROXY", "*")
    with Graph([], tls=trusted[0]) as graph:
        flags = {"graph_tenant": TENANT, "graph_client": CLIENT, "graph_url": graph.address, "graph_authority": graph.origin}
        tokens = Tokens(load(flags, {}), SECRET)
        graph.token_answers.append(refusal)
        with pytest.raises(GraphError) as told:
            tokens()
        assert words in str(told.value)
        assert SECRET not in str(told.value)
        assert tokens() == tokens() == "token-1"
        assert tokens(fresh=True) == "token-2"


def test_a_certificate_that_is_not_trusted(tmp_path: Path, trusted: tuple[ssl.SSLContext, str]) -> None:
    with Graph([], tls=trusted[0]) as graph:
        _, environment = program(tmp_path, graph, trusted[1], SECRET)
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            environment.pop(name)
        said: list[str] = []
        with running(environment, said):
            until(lambda: any("no token from localhost:" in line for line in said))
        assert graph.tokens_given == 0


def test_without_the_extra(tmp_path: Path) -> None:
    """A folder in front of all others hides msal."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['msal'] = None\n")
    site = Site(tmp_path)
    environment = site.environment | {"PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(
        [*PROGRAM, "ingest", "--follow", "graph:"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 1
    assert ran.stderr == "smtp-auth-report: graph: needs msal: install the package as smtp-auth-report[graph]\n"
