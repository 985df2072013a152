"""
The documentation says what the code has: names, defaults, types, units, routes and `--help` texts.

    pytest tests/test_docs.py
    python tests/test_docs.py            write the --help texts in docs/cli.md anew

All that must be documented is asked of the code, so that whatever is added is missed here until it is explained. Tables
are read as tables: a name counts as documented where it stands in backticks in the first cell of a row.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from click import Group
from click.testing import CliRunner

from smtp_auth_report.cli import commands
from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.exports.interface import FIELDS
from smtp_auth_report.reports import REPORTS, ask
from smtp_auth_report.reports.findings import FIGURES, LACKS
from smtp_auth_report.reports.interface import Column, Report
from smtp_auth_report.settings import PREFIX, SETTINGS, load
from smtp_auth_report.sources import SOURCES, Source
from smtp_auth_report.store import open_store
from smtp_auth_report.store.interface import FILTERS, Selection
from smtp_auth_report.submission import LEGACY_TLS, AuthClass, Outcome, Service, Submission, Tls

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "examples" / "README.md", *sorted(DOCS.glob("*.md"))]
SETTINGS_FILE = ROOT / "etc" / "smtp-auth-report.toml"
PROGRAM = "smtp-auth-report"

Row = list[str]

# <!-- help: smtp-auth-report ingest -->
# …
# <!-- end -->
HELP = re.compile(r"<!-- help: (?P<command>[\w -]+) -->\n(?P<text>.*?)<!-- end -->", re.DOTALL)
NAME = re.compile(r"`([^`]+)`")
LINK = re.compile(r"(?<!`)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
ENUMERATIONS = {"service": Service, "tls_version": Tls, "auth_class": AuthClass, "outcome": Outcome}


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,{level(text, title)}}} |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"no heading {title!r}"
    return found[2]


def level(text: str, title: str) -> int:
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    return len(found[1]) if found else 1


def table(text: str, heading: str) -> list[Row]:
    """Cells of the table whose first column has that heading."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            next(lines)
            return list(_rows(lines))
    raise AssertionError(f"no table of {heading!r}")


def _rows(lines: Iterator[str]) -> Iterator[Row]:
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def names(cell: str) -> list[str]:
    return NAME.findall(cell)


def first_cells(rows: list[Row]) -> list[str]:
    """Names that the rows are about; a row may be about several."""
    return [name for row in rows for name in names(row[0])]


def all_commands() -> list[str]:
    """Every command as it is typed."""
    typed = [PROGRAM, *(f"{PROGRAM} {name}" for name in sorted(commands.commands))]
    groups = {name: command for name, command in commands.commands.items() if isinstance(command, Group)}
    return typed + [f"{PROGRAM} {group} {name}" for group, command in groups.items() for name in sorted(command.commands)]


def help_text(typed: str) -> str:
    """What the program prints on a terminal 100 characters wide."""
    done = CliRunner().invoke(commands, [*typed.split()[1:], "--help"], prog_name=PROGRAM, terminal_width=100)
    assert done.exit_code == 0, done.output
    return done.output


def regenerated(text: str) -> str:
    """The page with every --help text as it is now."""
    return HELP.sub(lambda block: f"<!-- help: {block['command']} -->\n```text\n{help_text(block['command'])}```\n<!-- end -->", text)


def words(text: str) -> list[str]:
    """Without the line breaks, which differ from one version of click to the next, as do words broken at a hyphen."""
    return re.sub(r"-\s+", "-", text).replace("```text", "").replace("```", "").split()


# Command line


@pytest.mark.parametrize("typed", all_commands())
def test_help_in_docs_is_that_of_the_program(typed: str) -> None:
    blocks = {block["command"]: block["text"] for block in HELP.finditer(page("cli.md"))}
    assert typed in blocks, f"docs/cli.md has no help of {typed}; add <!-- help: {typed} --> and <!-- end -->"
    assert words(blocks[typed]) == words(help_text(typed)), "mend it with: .venv/bin/python tests/test_docs.py"


def test_help_of_commands_that_are_gone_is_found() -> None:
    assert {block["command"] for block in HELP.finditer(page("cli.md"))} == set(all_commands())


def test_commands_are_listed() -> None:
    assert set(first_cells(table(page("cli.md"), "Command"))) == set(commands.commands)
    for name in commands.commands:
        said = HELP.sub("", section(page("cli.md"), f"`{name}`"))
        assert said.strip(), f"docs/cli.md says nothing on {name} but its help"


def test_filters_and_their_values() -> None:
    rows = {row[0].strip("`"): row[1] for row in table(section(page("cli.md"), "Filters"), "Filter")}
    assert list(rows) == [f"--{name}" for name in FILTERS]
    assert set(names(rows["--service"])) == set(Service)
    assert {*Tls, "legacy"} <= set(names(rows["--tls"]))
    assert all(version in rows["--tls"].partition(" for ")[2] for version in LEGACY_TLS)
    assert set(names(rows["--auth-class"])) == set(AuthClass)
    assert set(names(rows["--outcome"])) == set(Outcome)


# Settings


def test_settings_are_documented() -> None:
    rows = {name: row for row in table(page("settings.md"), "Name") for name in names(row[0])}
    assert list(rows) == [setting.name for setting in SETTINGS]
    for setting in SETTINGS:
        _, variable, default, meaning = rows[setting.name]
        assert variable == f"`{PREFIX}{setting.name.upper()}`"
        assert default.strip("`") == setting.default
        assert meaning == setting.help
        assert section(page("settings.md"), f"`{setting.name}`").strip(), f"docs/settings.md says nothing more on {setting.name}"


def test_settings_file_states_every_default() -> None:
    text = SETTINGS_FILE.read_text(encoding="utf-8")
    assert tomllib.loads(text) == {}, "every setting is commented out"
    stated = {name: tomllib.loads(f"x = {value}")["x"] for name, value in re.findall(r"^# (\w+) = (.*)$", text, re.MULTILINE)}
    assert stated == {setting.name: setting.default for setting in SETTINGS}


def test_settings_file_can_be_used(tmp_path: Path) -> None:
    used = tmp_path / "used.toml"
    used.write_text(re.sub(r"^# (\w+ = )", r"\1", SETTINGS_FILE.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8")
    empty = tmp_path / "empty.toml"
    empty.write_text("", encoding="utf-8")
    assert load({"config": str(used)}, {}) == load({"config": str(empty)}, {})


# Sources

DERIVED = {"source", "account_key", "account_domain", "auth_class", "sender_domain"}


def code(text: str) -> str:
    return f"``{text}``" if "`" in text else f"`{text}`"


def source_row(source: type[Source]) -> list[str]:
    """A source as the table of docs/sources.md has it."""
    fields = [field.name for field in FIELDS if field.name not in DERIVED]
    needed = "; ".join(code(setting) for setting in dict.fromkeys(remedy.setting for remedy in source.remedies))
    told, untold = (", ".join(f"`{name}`" for name in fields if (name in source.tells) is wanted) or "nothing" for wanted in (True, False))
    return [f"`{source.name}`", source.title, source.versions, needed or "nothing", code(source.sample), told, untold]


def test_table_of_sources_is_that_of_the_code() -> None:
    rows = table(page("sources.md"), "Name")
    assert rows == [source_row(source) for source in SOURCES], "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in source_row(source))} |" for source in SOURCES
    )


def test_remedies_are_for_something_that_can_be_missing() -> None:
    remedies = [remedy for source in SOURCES for remedy in source.remedies]
    assert {remedy.lacks for remedy in remedies} <= LACKS.keys()
    assert {f"no_{remedy.lacks}_nor_mechanism" for remedy in remedies if remedy.needs_mechanism} <= set(FIGURES)
    assert all(source.tells <= set(Submission._fields) for source in SOURCES)


def test_sources_and_their_reasons() -> None:
    text = page("sources.md")
    for source in SOURCES:
        chapter = section(text, source.title)
        documented = table(section(chapter, "Reasons"), "Reason")
        assert first_cells(documented) == list(source.reasons)
        assert all(row[1] for row in documented)


def test_each_source_says_where_fields_come_from() -> None:
    wanted = {field.name for field in FIELDS} - DERIVED
    for source in SOURCES:
        assert set(first_cells(table(section(page("sources.md"), source.title), "Field"))) == wanted


# Reports and exports


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_every_column_of_a_report(report: Report) -> None:
    chapter = section(page("reports.md"), f"`{report.name}`")
    rows = {name: row for row in table(chapter, "Column") for name in names(row[0])}
    assert list(rows) == [column.name for column in report.columns]
    for column in report.columns:
        _, kind, meaning = rows[column.name]
        assert kind == column.type, column.name
        assert meaning, column.name
        assert says_unit(column, meaning), f"{column.name}: the meaning does not say {column.unit!r}"


def says_unit(column: Column, meaning: str) -> bool:
    return all(word in meaning.lower() for word in re.findall(r"[\w.]+", (column.unit or "").lower()))


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_series_order_and_search_of_a_report(report: Report) -> None:
    chapter = section(page("reports.md"), f"`{report.name}`")
    assert names(line(chapter, "Series:")) == [column.name for column in report.series]
    assert names(line(chapter, "Sorted by"))[0] == report.sort
    assert set(report.orders) <= set(names(line(chapter, "Sorted by")))
    if report.searched:
        assert names(line(chapter, "A search looks into")) == list(report.searched)


def line(text: str, start: str) -> str:
    found = [each for each in text.splitlines() if each.startswith(start)]
    assert found, f"no line that begins {start!r}"
    return found[0]


def test_totals_and_unknown(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "empty.duckdb"))
    try:
        answer = ask(next(iter(REPORTS.values())), store, Selection(0, 1, "UTC"))
    finally:
        store.close()
    assert first_cells(table(section(page("reports.md"), "Unknown"), "Name")) == list(answer.unknown)
    assert set(first_cells(table(section(page("reports.md"), "Totals"), "Name"))) == {"messages", "accounts"} & answer.totals.keys()


def test_formats_and_columns_of_an_export() -> None:
    chapter = section(page("reports.md"), "Export")
    assert [(names(row[0])[0], row[1]) for row in table(chapter, "Format")] == [(export.name, export.title) for export in EXPORTS.values()]
    rows = table(chapter, "Column")
    assert [(names(row[0])[0], row[1]) for row in rows] == [(field.name, field.type) for field in FIELDS]
    meanings = {names(row[0])[0]: row[2] for row in rows}
    for field, values in ENUMERATIONS.items():
        assert set(names(meanings[field])) >= set(values), f"{field}: a value is missing"


# API


@pytest.fixture(scope="module")
def openapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a running server says of its API."""
    database = tmp_path_factory.mktemp("api") / "mail.duckdb"
    command = [sys.executable, "-m", "smtp_auth_report", "serve", "--database", str(database), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            printed = server.stderr.readline()
            address = re.search(r"http://\S+", printed)
            assert address, printed
            with urlopen(f"{address[0]}api/openapi.json", timeout=20) as answer:
                yield json.load(answer)
        finally:
            server.terminate()


def test_routes_of_the_api(openapi: dict[str, Any]) -> None:
    routes = {f"{method.upper()} {path}" for path, methods in openapi["paths"].items() for method in methods}
    documented = first_cells(table(section(page("api.md"), "Routes"), "Route"))
    assert set(documented) == routes | {"GET /api/openapi.json"}


def test_parameters_of_the_api(openapi: dict[str, Any]) -> None:
    operations = [operation for methods in openapi["paths"].values() for operation in methods.values()]
    parameters = {parameter["name"] for operation in operations for parameter in operation.get("parameters", [])}
    assert set(first_cells(table(section(page("api.md"), "Parameters"), "Parameter"))) == parameters


def test_shape_of_answers(openapi: dict[str, Any]) -> None:
    shapes = {name: set(schema["properties"]) for name, schema in openapi["components"]["schemas"].items()}
    report, failures = section(page("api.md"), "A report"), section(page("api.md"), "Failures")
    assert set(first_cells(table(report, "Name"))) == shapes["TableSchema"] == set(example(report))
    assert set(first_cells(table(failures, "Name"))) == shapes["ProblemSchema"] == set(example(failures))
    inner = {name: {key for part in _listed(example(report)[name]) for key in part} for name in ("columns", "period", "series")}
    assert inner == {"columns": shapes["ColumnSchema"], "period": shapes["PeriodSchema"], "series": shapes["SeriesSchema"]}


def _listed(value: dict[str, Any] | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else [value]


def example(text: str) -> dict[str, Any]:
    """The JSON shown in a chapter."""
    found = re.search(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found
    content: dict[str, Any] = json.loads(found[1])
    return content


# The pages themselves


def test_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    assert "test" in targets
    rows = table((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), "Command")
    assert sorted(first_cells([[row[0]] for row in rows])) == sorted(f"make {target}" for target in targets)


def test_readme_has_the_two_commands_on_its_first_screen() -> None:
    screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40])
    typed = re.findall(r"^\$ (make \w+)", screen, re.MULTILINE)
    assert set(typed) == {"make run", "make test"}


def test_every_page_is_in_the_contents() -> None:
    linked = {match["target"].partition("#")[0] for match in LINK.finditer(page("index.md"))}
    assert {path.name for path in DOCS.glob("*.md")} - {"index.md"} <= linked


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(path: Path) -> None:
    broken = []
    for match in LINK.finditer(FENCE.sub("", path.read_text(encoding="utf-8"))):
        target, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = (path.parent / target).resolve() if target else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(match["target"])
    assert broken == []


def anchors(path: Path) -> set[str]:
    """Headings as forges name them in links."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*PAGES, SETTINGS_FILE], ids=lambda path: str(path.relative_to(ROOT)))
def test_the_tone_is_calm(path: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text(encoding="utf-8")))
    prose = re.sub(r"<!--.*?-->|!(?=\[)", "", prose)
    assert "\N{EM DASH}" not in prose
    assert "!" not in prose


if __name__ == "__main__":
    cli = DOCS / "cli.md"
    cli.write_text(regenerated(cli.read_text(encoding="utf-8")), encoding="utf-8")
