"""What is forgotten, and does not come back: rows that grew old, erased accounts. And names that wait for their domain."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingesting import Site
from reading import PC, log, session
from rows import NOON, commit, row
from smtp_auth_report.site_key import seal, unseal
from smtp_auth_report.store import open_store
from smtp_auth_report.store.interface import Question, Selection

DAY = 86_400_000_000
EVER = Selection(NOON - 1000 * DAY, NOON + 1000 * DAY, "UTC")
MESSAGES = Question("SELECT coalesce(sum(messages), 0) AS messages FROM facts", ("messages",))
YEAR = ("--year", "2026")


def failure(name: str) -> list[str]:
    """Lines of a session that tried one name and went."""
    smtpd = "postfix/submission/smtpd[702]"
    failed = f"{smtpd}: warning: {PC}: SASL PLAIN authentication failed: (reason unavailable), sasl_username={name}"
    return [f"{smtpd}: connect from {PC}", failed, f"{smtpd}: disconnect from {PC} ehlo=1 auth=0/1 quit=1 commands=2/3"]


def test_old_rows_expire_their_sums_stay_and_they_do_not_come_back() -> None:
    store = open_store(":memory:", display_zone="UTC", clock=lambda: NOON)
    old, new = row(time=NOON - 500 * DAY), row(time=NOON)
    store.commit(commit(old, new))
    assert store.expire(NOON - 400 * DAY) == 1
    assert store.count(EVER) == 1
    assert store.ask(MESSAGES, EVER).rows == [(2,)]
    store.commit(commit(old, new))
    assert store.count(EVER) == 1
    assert store.ask(MESSAGES, EVER).rows == [(2,)]
    store.close()


def test_an_erased_account_is_gone_and_does_not_come_back(tmp_path: Path) -> None:
    site = Site(tmp_path)
    path = tmp_path / "mail.log"
    path.write_bytes(log(*session("anna"), *session("bob", queue_id="5B1A022C8A9"), *failure("anna")))
    site.ingest(*YEAR, path)
    assert site.report("summary", "--from", "2026-01-01", "--to", "2026-12-31")["totals"]["messages"] == 2
    assert b"2 rows erased" in site.done("erase", "ANNA", "--yes").stderr
    again = tmp_path / "again.log"
    again.write_bytes(log(*failure("zoe")) + path.read_bytes())
    site.ingest(*YEAR, again)
    assert {each["account"] for each in site.rows()} == {"bob", None}
    assert "anna" not in str(site.rows())
    assert site.report("summary", "--from", "2026-01-01", "--to", "2026-12-31")["totals"]["messages"] == 1


def test_erasing_asks_before(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (tmp_path / "mail.log").write_bytes(log(*session("anna")))
    site.ingest(*YEAR, tmp_path / "mail.log")
    assert site.run("erase", "anna", given=b"n\n").returncode == 1
    assert [each["account"] for each in site.rows()] == ["anna"]


@pytest.mark.parametrize("together", [True, False])
def test_a_failure_is_named_once_its_domain_signs_in(tmp_path: Path, *, together: bool) -> None:
    """However the runs are cut; until then the name is nowhere in the clear."""
    site = Site(tmp_path)
    first, second = tmp_path / "mail.log.1", tmp_path / "mail.log"
    first.write_bytes(log(*failure("bob@corp.example")))
    second.write_bytes(log(*session("anna@corp.example")))
    if together:
        site.ingest(*YEAR, first, second)
    else:
        site.ingest(*YEAR, first)
        assert [each["account"] for each in site.rows()] == [None]
        assert b"bob@corp" not in (tmp_path / "mail.duckdb").read_bytes()
        site.ingest(*YEAR, second)
    assert {each["account"] for each in site.rows()} == {"bob@corp.example", "anna@corp.example"}


@given(st.text(), st.binary(min_size=32, max_size=32))
def test_a_sealed_name_is_opened_by_its_site_alone(name: str, key: bytes) -> None:
    sealed = seal(key, "0123456789abcdef", name)
    assert unseal(key, "0123456789abcdef", sealed) == name
    if len(name) > 8:
        assert seal(bytes(32) if any(key) else b"1" * 32, "0123456789abcdef", name) != sealed
