"""
The shape of the project, held by a test: sizes, names, layers, and what must not be in a file.

A function or module that is longer for a good reason says so where it begins: `# long: reason`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "smtp_auth_report"
FUNCTION_LINES = 60
MODULE_LINES = 600
VAGUE_NAMES = {"core", "utils", "util", "common", "services", "handlers", "manager", "managers", "helpers", "misc"}
EXEMPT = re.compile(r"# long: \S")
FOREIGN = {
    "a package registry's address": re.compile(r"pypi\.org/simple|registry\.npmjs|files\.pythonhosted"),
    "a path of the machine it was made on": re.compile(r"(?<![\w.])/(?:work|farm)/"),
}


def listed_files() -> list[Path]:
    """Files under version control or about to be; all that lie there where it is no clone."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        folders = ("src", "tests", "examples", "bench", "docs", "etc")
        return [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


FILES = listed_files()
MODULES = [path for path in FILES if path.suffix == ".py"]
COMPILED = [path for path in FILES if path.suffix == ".pyx"]
OURS = [path for path in MODULES if "migrations" not in path.parts]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def long_functions(source: str) -> Iterator[str]:
    """Functions over the limit, decorators not counted."""
    lines = source.splitlines()
    for node in functions(ast.parse(source)):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES and not EXEMPT.search(lines[node.lineno - 1]):
            yield f"{node.name}: {length} lines"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_look_at() -> None:
    assert PACKAGE / "submission.py" in OURS
    assert ROOT / "pyproject.toml" in FILES


def test_a_long_function_is_found_and_one_with_a_reason_let_be() -> None:
    body = "    x = 1\n" * FUNCTION_LINES
    assert list(long_functions(f"def f():\n{body}")) == [f"f: {FUNCTION_LINES + 1} lines"]
    assert list(long_functions(f"def f():  # long: a table\n{body}")) == []


@pytest.mark.parametrize("path", OURS, ids=name)
def test_functions_and_modules_are_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert list(long_functions(source)) == []
    first, _, _ = source.partition("\n")
    assert source.count("\n") <= MODULE_LINES or EXEMPT.search(first)


@pytest.mark.parametrize("path", COMPILED, ids=name)
def test_compiled_modules_are_short_and_say_what_they_are(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= MODULE_LINES
    assert re.match(r'# cython: .*\n"""\n\w', source)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_say_what_they_are(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source)) or not source.strip()


def test_names_say_what_is_inside() -> None:
    vague = [name(path) for path in MODULES if VAGUE_NAMES & {path.stem, *path.relative_to(ROOT).parts[:-1]}]
    assert vague == []


def test_layers_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_imports_in_a_circle() -> None:
    graph = grimp.build_graph("smtp_auth_report", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 10
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail("imports in a circle: " + " -> ".join(error.args[1]))


@pytest.mark.parametrize("what", FOREIGN)
def test_files_hold_nothing_of_the_machine_they_were_made_on(what: str) -> None:
    found = []
    for path in FILES:
        content = path.read_bytes()
        if path != Path(__file__) and b"\0" not in content[:8000] and FOREIGN[what].search(content.decode("utf-8", "replace")):
            found.append(name(path))
    assert found == [], f"{what} in {', '.join(found)}"
