"""The unit of systemd: what it starts exists, it is hardened, and its program tells systemd how it is (see test_live.py)."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ingesting import PROGRAM
from smtp_auth_report.settings import load

UNIT = Path(__file__).resolve().parent.parent / "etc" / "smtp-auth-report.service"
EXPOSURE = 20
"""Tenths that `systemd-analyze security` may give at most; 100 is a service without any limit."""


@pytest.fixture
def unit() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, strict=False, delimiters="=")
    parsed.optionxform = str  # type: ignore[assignment,method-assign]  # configparser's own way to keep case
    parsed.read(UNIT)
    return parsed


def test_its_command_is_one_that_the_program_has(unit: configparser.ConfigParser) -> None:
    program, command, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "smtp-auth-report"
    told = subprocess.run([*PROGRAM, command, "--help"], capture_output=True, text=True, check=True).stdout
    assert all(argument in told for argument in arguments if argument.startswith("--"))
    assert (unit["Service"]["Type"], unit["Service"]["NotifyAccess"]) == ("notify", "main")


def test_its_database_is_in_the_folder_that_it_is_given(unit: configparser.ConfigParser) -> None:
    stated = dict(re.findall(r"^Environment=(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))
    assert load({}, stated).database.startswith(f"/var/lib/{unit['Service']['StateDirectory']}/")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_finds_it_well_formed_and_hardened(tmp_path: Path) -> None:
    """Verified with a program that exists in the place of the installed one."""
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text(), flags=re.MULTILINE))
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    assert UNIT.name not in verified.stderr
    security = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", copy]
    assert subprocess.run(security, capture_output=True, check=False).returncode == 0
