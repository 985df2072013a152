"""
Postfix: what sessions show of the service they came by, and what that says of those without a TLS line.

Mail-in-a-Box gives ports 465 and 587 one name, and logs no TLS: a session that is encrypted from its first byte and one
in clear have the same lines. That the name is shared shows where TLS fails before any STARTTLS.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ingesting import Site
from reading import CIPHER, START, line_ends, log, read, reader, run, session

SUBMISSION = "postfix/submission/smtpd[701]"
IN_CLEAR = " ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6"


def clear(smtpd: str = SUBMISSION) -> list[str]:
    """A message, of a session that shows neither STARTTLS nor TLS."""
    return session(smtpd=smtpd, version=None, counters=IN_CLEAR)


def another(smtpd: str, counts: str, *between: str) -> list[str]:
    """A session of another client at the same service."""
    smtpd, client = smtpd.replace("701", "702"), "unknown[192.0.2.77]"
    return [f"{smtpd}: {line}" for line in (f"connect from {client}", *between, f"disconnect from {client} {counts}")]


def handshake_failed(counts: str, smtpd: str = SUBMISSION) -> list[str]:
    """A client that cannot agree on TLS."""
    return another(smtpd, counts, "SSL_accept error from unknown[192.0.2.77]: -1")


def version(*lines: str) -> str:
    """Of the one message."""
    (row,) = [row for row in read(log(*lines)) if row.outcome == "accepted"]
    return row.tls_version


@pytest.mark.parametrize("smtpd", [SUBMISSION, "postfix/smtpd[701]"])
def test_a_port_with_tls_from_the_first_byte_under_the_name_of_another(smtpd: str) -> None:
    logged = clear(smtpd)
    starttls = another(smtpd, "ehlo=2 starttls=1 auth=1 quit=1 commands=5")
    refused, wrapped = handshake_failed("ehlo=1 starttls=0/1 commands=1/2", smtpd), handshake_failed("commands=0/0", smtpd)
    assert version(*starttls, *logged) == "none"
    assert version(*starttls, *refused, *logged) == "none"
    assert version(*starttls, *wrapped, *logged) == "unknown"
    assert version(*wrapped, *starttls, *logged) == "unknown"
    assert version(*starttls, *logged, *wrapped) == "none", "what was given stays: the store keeps what is known"
    tls = f"Anonymous TLS connection established from unknown[192.0.2.77]: TLSv1.3 with cipher {CIPHER}"
    encrypted = another(smtpd, "ehlo=1 auth=1 quit=1 commands=3", tls)
    for parts in ((wrapped, encrypted, logged), (encrypted, wrapped, logged), (wrapped, logged, encrypted)):
        assert version(*starttls, *(line for part in parts for line in part)) == "none", "TLS is logged here, and this session has none"


def test_the_name_itself_says_that_all_is_encrypted() -> None:
    smtpd = "postfix/smtps/smtpd[701]"
    assert version(*clear(smtpd), *handshake_failed("commands=0/0", smtpd)) == "tls"


def test_a_handshake_whose_session_was_not_seen_from_its_start_shows_nothing() -> None:
    assert version(*handshake_failed("commands=0/0")[1:], *clear()) == "none"
    assert version(*handshake_failed(""), *clear()) == "none", "before 3.0 there are no counters"


def test_that_a_name_is_shared_is_known_in_the_next_file_too() -> None:
    first, _ = run(log(*handshake_failed("commands=0/0")))
    second = reader()
    second.recall(first.remember())
    _, changes = run(log(*clear(), start=START + timedelta(minutes=1)), source=second)
    (row,) = changes.rows.values()
    assert (row.outcome, row.tls_version) == ("accepted", "unknown")
    third = reader()
    third.recall(second.remember())
    tls = f"Anonymous TLS connection established from unknown[192.0.2.77]: TLSv1.3 with cipher {CIPHER}"
    told = log(*another(SUBMISSION, "ehlo=1 auth=1 quit=1 commands=3", tls), start=START + timedelta(minutes=2))
    _, later = run(told, source=third)
    assert later.rows[row.identity].tls_version == "none", "the session waited for it"


def test_a_row_does_not_depend_on_where_reading_paused(tmp_path: Path) -> None:
    """The store keeps what is known: a version that is unknown comes first, or not at all."""
    lines = [*clear(), *handshake_failed("commands=0/0"), *(line.replace("4F1A022C8A9", "5B1A022C8A9") for line in clear())]
    text = log(*lines)
    at_once = {row.queue_id: row.tls_version for row in read(text) if row.queue_id}
    assert at_once == {"4F1A022C8A9": "none", "5B1A022C8A9": "unknown"}
    for place in line_ends(text)[2:-2:3]:
        folder = tmp_path / str(place)
        folder.mkdir()
        site = Site(folder)
        for name, part in (("1.log", text[:place]), ("2.log", text[place:])):
            (folder / name).write_bytes(part)
            site.ingest("--year", "2026", folder / name)
        assert {row["queue_id"]: row["tls_version"] for row in site.rows() if row["queue_id"]} == at_once
