"""
The site's key: one key whoever comes first, and none that is half there.
"""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smtp_auth_report.errors import ReportError
from smtp_auth_report.site_key import hand_on, site_key


def test_all_who_begin_at_once_have_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        for number in range(100):
            state = tmp_path / str(number) / "state.sqlite3"
            assert len(set(threads.map(site_key, [state] * 8))) == 1
    assert stat.S_IMODE((tmp_path / "0" / "state.sqlite3.key").stat().st_mode) == 0o600


def test_a_key_that_nobody_wrote_to_its_file_is_made(tmp_path: Path) -> None:
    """Who made the file was killed just then."""
    file = tmp_path / "state.sqlite3.key"
    file.touch(0o600)
    key = site_key(tmp_path / "state.sqlite3")
    assert (len(key), bytes.fromhex(file.read_text(encoding="ascii"))) == (32, key)


@pytest.mark.parametrize("content", [b"ab" * 31, b"ab" * 33, b"\xff" * 64, b"no key\n", b"\n"])
def test_a_damaged_key_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "state.sqlite3.key"
    file.write_bytes(content)
    with pytest.raises(ReportError, match="the site's key"):
        site_key(tmp_path / "state.sqlite3")
    assert file.read_bytes() == content


def test_another_state_gets_the_same_key_unless_it_has_one(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one.sqlite3", "two.sqlite3", "three.sqlite3"))
    hand_on(one, two)
    assert not list(tmp_path.iterdir())
    key = site_key(one)
    for _ in range(2):
        hand_on(one, two)
        assert site_key(two) == key
    other = site_key(three)
    with pytest.raises(ReportError, match="another key"):
        hand_on(one, three)
    assert site_key(three) == other != key
