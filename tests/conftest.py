"""
How the whole test run behaves: what was skipped is named at its end, and in continuous integration it is a failure. What
tests have counted is told before.

The fixture `state` runs a test of the state database on both of its kinds, `engine` one of a store on every engine.

CI=true in the environment says that every test must run: there all that tests need is installed, so that a skipped
test is one that nobody would miss. The modules in examples/ and bench/ are on the path, for the tests that use them.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import postgresql_server

if TYPE_CHECKING:
    from engines import Engine
    from smtp_server import SmtpServer

ROOT = Path(__file__).resolve().parent.parent
ALL_MUST_RUN = os.environ.get("CI") == "true"

LONGEST = (
    "test_store", "test_migrate", "test_people", "test_pages", "test_crash", "test_sums", "test_network", "test_accessible", "test_openid",
    "test_live", "test_clickhouse_writing", "test_soak", "test_language", "test_engines", "test_graph", "test_peers", "test_dovecot",
    "test_web", "test_golden", "test_bad_input", "test_exports", "test_shared_state", "test_second_factor", "test_real_servers",
    "test_golden_servers", "test_forgetting", "test_tables", "test_mail", "test_disk", "test_postgresql",
)  # fmt: skip
"""Files of tests that take long, the longest first: a process that still has one when the others are done leaves them idle."""

sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "bench")]
os.environ["LC_ALL"] = "C.UTF-8"  # tests read what commands say


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgresql_server.Server]:
    """One server for all tests that need it."""
    if reason := postgresql_server.lacking():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder, postgresql_server.running(Path(folder)) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where people and requests are kept: a test that uses it runs with a file, and once more with PostgreSQL."""
    if request.param == "postgresql":
        server: postgresql_server.Server = request.getfixturevalue("postgresql")
        monkeypatch.setenv("SMTP_AUTH_REPORT_STATE", server.new_database())
    yield request.param
    if request.param == "postgresql":
        from django.db import connections  # noqa: PLC0415 - not every test needs Django

        connections.close_all()


@pytest.fixture(scope="session")
def engines() -> dict[str, Engine]:
    """Those that were used: chDB has one folder open in a process, and a new one takes a second."""
    return {}


@pytest.fixture(params=["duckdb", "chdb", *(["clickhouse"] if "CLICKHOUSE_URL" in os.environ else [])])
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A test that uses it runs on every engine."""
    from engines import ClickHouse, DuckDb  # noqa: PLC0415 - not every test needs ClickHouse

    name = request.param
    if name not in engines:
        folder = tmp_path_factory.mktemp(name)
        url = os.environ.get("CLICKHOUSE_URL", "") if name == "clickhouse" else ""
        engines[name] = DuckDb(folder) if name == "duckdb" else ClickHouse(url, folder)
    yield engines[name]
    engines[name].close()


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    """A mail server without TLS, on the loopback interface."""
    from smtp_server import SmtpServer  # noqa: PLC0415 - not every test needs it

    with SmtpServer() as running:
        yield running


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, whatever the order within them."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_collection_finish() -> None:
    """What is there now stays: to look through it for garbage, again and again, takes a tenth of the time of many tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more process than cores: of ten seconds one or two are spent waiting, for a follower, a browser or a disk."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) + 1


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if ALL_MUST_RUN and session.exitstatus == pytest.ExitCode.OK and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """A thread that a test left behind would keep this process for ever; then tell where each is, and fail."""
    if hasattr(config, "workerinput"):
        return  # a process of pytest-xdist, which is ended whatever its threads do
    faulthandler.dump_traceback_later(30, exit=True, file=sys.__stderr__)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, number in _counted(terminalreporter).items():
        terminalreporter.line(f"{number} {name}")
    skipped = _skipped(terminalreporter.config)
    if not skipped:
        return
    terminalreporter.section("not run")
    for name, reason in skipped:
        terminalreporter.line(f"{name}: {reason}")
    if ALL_MUST_RUN:
        terminalreporter.line("CI=true: every test must run, so this run has failed", red=True)


def _counted(reporter: pytest.TerminalReporter) -> Counter[str]:
    """What tests have counted (`record_property`), summed over those that passed."""
    counted: Counter[str] = Counter()
    for report in reporter.getreports("passed"):
        counted.update({name: number for name, number in report.user_properties if isinstance(number, int)})
    return counted


def _skipped(config: pytest.Config) -> list[tuple[str, str]]:
    """Tests, or whole files, that did not run, with the reason each of them gave."""
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return [(report.nodeid, report.longrepr[2].removeprefix("Skipped: ")) for report in reports]
