"""
Every defence is one: taken out of a copy of the package, the test that tells of it fails.

The quickest of defences.py are taken out here, and all of them with DEFENCES=all, as `make proof` has it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import smtp_auth_report
from browser.browsing import IN_A_BROWSER
from defences import DEFENCES, Defence

TESTS = Path(__file__).resolve().parent
PACKAGE = Path(smtp_auth_report.__file__).parent
TAKEN_OUT = [each for each in DEFENCES if each.quick or os.environ.get("DEFENCES") == "all"]


@pytest.mark.parametrize("defence", [pytest.param(each, id=each.name, marks=IN_A_BROWSER if each.browser else ()) for each in TAKEN_OUT])
def test_without_it_its_test_fails(defence: Defence, tmp_path: Path) -> None:
    done = tried(defence, tmp_path)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, f"{defence.name}: {done.stdout[-2000:]}"
    assert " failed" in done.stdout.splitlines()[-1]
    assert not any(word in done.stdout for word in ("ImportError", "SyntaxError", "NameError")), done.stdout[-2000:]


def test_with_all_of_them_a_test_of_a_copy_passes(tmp_path: Path) -> None:
    """So that what fails above fails for what is missing."""
    whole = DEFENCES[0]._replace(instead=DEFENCES[0].there, test="test_security.py::test_no_argument_forges_a_line_on_the_terminal")
    assert tried(whole, tmp_path).returncode == pytest.ExitCode.OK


@pytest.mark.parametrize("defence", [pytest.param(each, id=each.name) for each in DEFENCES])
def test_it_stands_where_it_is_said_to(defence: Defence) -> None:
    for file, there, _ in edits(defence):
        assert (PACKAGE / file).read_text(encoding="utf-8").count(there) == 1
    path, name = defence.test.split("::")
    assert f"def {name}(" in (TESTS / path).read_text(encoding="utf-8")


def edits(defence: Defence) -> list[tuple[str, str, str]]:
    """File, what is there, and what comes instead."""
    return [(defence.file, defence.there, defence.instead), *([defence.along] if defence.along else [])]


def tried(defence: Defence, folder: Path) -> subprocess.CompletedProcess[str]:
    """Its test, with a package that lacks it."""
    package = folder / "package" / PACKAGE.name
    shutil.copytree(PACKAGE, package, copy_function=os.symlink, ignore=shutil.ignore_patterns("__pycache__"))
    for name, there, instead in edits(defence):
        file = package / name
        text = file.read_text(encoding="utf-8")
        file.unlink()  # a link until now
        file.write_text(text.replace(there, instead), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--basetemp", str(folder / "tests")]
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    return subprocess.run([*command, defence.test], cwd=TESTS, env=environment, capture_output=True, text=True, check=False)
