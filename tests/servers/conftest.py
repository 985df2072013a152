"""One run of the real servers for all tests here: the log they wrote and what the client knows it did."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mail_server import insist, lacking, running
from script import SCRIPT, Played
from smtp_client import Client

from ingesting import Site


@pytest.fixture(scope="session")
def played() -> Iterator[Played]:
    """Start the servers, play the script, stop them."""
    insist(lacking())
    with tempfile.TemporaryDirectory(prefix="postfix-", ignore_cleanup_errors=True) as name:
        with running(Path(name)) as server:
            client = Client(server)
            for attempt in SCRIPT:
                client.send(attempt)
            client.speak_in_clear_to_tls("127.0.5.3")
            client.distrust("127.0.5.4")
        yield Played(server.log, client.truth)


@pytest.fixture(scope="session")
def site(played: Played, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The log in a database of its own."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.ingest(played.log)
    return site
