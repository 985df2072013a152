"""
Every string that is for translation, as it will be looked up.

    for text in marked(): text.single, text.plural, text.context, text.place

Templates are read by Django's own parser, Python by its syntax tree. A string that is not written out where it is marked
fails, since no catalog could have it. Some need no mark, because of what they are: a remedy's place and gain, why a line
is unread, names of reports, columns, outcomes and rhythms, what commands and options say of themselves. What click says is
marked in click.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from django.template import Context, engines
from django.template.base import FilterExpression, Node, Variable
from django.templatetags.i18n import BlockTranslateNode, TranslateNode

from smtp_auth_report.cli import commands, words_of
from smtp_auth_report.reports import REPORTS
from smtp_auth_report.reports.rhythms import Every
from smtp_auth_report.sources import SOURCES
from smtp_auth_report.submission import Outcome

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "smtp_auth_report"
WEB = PACKAGE / "web"
MARKS = {"worded", "marked", "translated", "explanation", "gettext", "_"}
SHOWN = {
    "echo",
    "tell",
    "remark",
    "say",
    "_say",
    "give_up",
    "confirm",
    "prompt",
    "bar",
    "progress_bar",
    "UsageError",
    "BadParameter",
    "ValueError",
}
"""Functions that show people what they are given, besides the errors that are drawn in errors.py."""

NO_WORDS = re.compile(
    r"smtp-auth-report|journalctl|mail: |not a name of a header|a line that goes on from none|a header that may stand there once|"
    r"a length that is no number|a character that stands in no header"
)
FUNCTIONS = {
    "gettext": 1,
    "gettext_lazy": 1,
    "gettext_noop": 1,
    "_": 1,
    "ngettext": 2,
    "ngettext_lazy": 2,
    "worded": 1,
    "marked": 1,
    "detail": 1,
}


CLICK = (
    "Usage:", "Options", "Commands", "Show this message and exit.",
    "default: {default}", "required", "Error: {message}", "Try '{command} {option}' for help.", "Missing command.",
    "Missing argument", "Missing option", "Invalid value: {message}", "Invalid value for {param_hint}: {message}",
    "No such command {name!r}.", "No such option {name!r}.", "No such option: {name}", "Option {name!r} does not take a value.",
    "{value} is not in the range {range}.",
    "{value!r} is not a valid {number_type}.", "Repeat for confirmation", "Error: The two entered values do not match.",
    "Error: invalid input",
)  # fmt: skip
CLICK_PLURALS = (
    ("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    ("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
    ("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    ("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
)


class Marked(NamedTuple):
    """One string, with its plural and its context where it has them."""

    single: str
    plural: str | None
    context: str | None
    place: str

    @property
    def key(self) -> tuple[str | None, str]:
        return self.context, self.single


OF_CLICK = [Marked(*text, None, "click") for text in (*((single, None) for single in CLICK), *CLICK_PLURALS)]


def marked() -> list[Marked]:
    """All of them, in the order of their places."""
    templates = sorted((WEB / "templates").glob("*.html"))
    in_python = [text for path in modules() for text in (*of_python(path), *of_unread(path))]
    in_templates = [text for path in templates for text in of_template(path.name)]
    return [*in_python, *in_templates, *of_remedies(), *of_tables(), *of_help(), *OF_CLICK]


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "migrations" not in path.parts]


def calls_of(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    """The function's or method's own."""
    return call.func.id if isinstance(call.func, ast.Name) else call.func.attr if isinstance(call.func, ast.Attribute) else ""


def unmarked(path: Path, shown: Collection[str]) -> Iterator[str]:
    """Words that such functions show, that notes and problems are given, and that no catalog could have."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            listed = isinstance(node.func, ast.Attribute) and ast.unparse(node.func).endswith(("notes.append", "problems.append"))
            texts = node.args if listed or name_of(node) in shown else []
        else:
            texts = [node.value] if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith(".problem") else []
        yield from (f"{path.name}:{text.lineno}: {text.value!r}" for given in texts for text in _bare(given))


def _bare(node: ast.expr) -> Iterator[ast.Constant]:
    """Texts with words in them that are no argument of a mark."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and re.search(r"[A-Za-z]{2}", NO_WORDS.sub("", node.value)):
            yield node
    elif isinstance(node, ast.Call) and name_of(node) in MARKS:
        yield from (text for keyword in node.keywords for text in _bare(keyword.value))
    elif isinstance(node, ast.Subscript | ast.FormattedValue):
        yield from _bare(node.value)
    elif isinstance(node, ast.Dict):
        yield from (text for value in node.values for text in _bare(value))
    else:
        yield from (text for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr) for text in _bare(child))


def errors() -> set[str]:
    """Names of the errors that are drawn in errors.py, and of those that are made from them."""
    found = {"ReportError"}
    classes = [
        node for path in modules() for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ClassDef)
    ]
    while more := {node.name for node in classes if {ast.unparse(base) for base in node.bases} & found} - found:
        found |= more
    return found


def of_unread(path: Path) -> Iterator[Marked]:
    """Why lines are unread, as they are stored."""
    for call in calls_of(path):
        if name_of(call).strip("_") == "unread":
            texts = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
            yield from (Marked(text, None, None, f"{path.name}:{call.lineno}") for text in texts if isinstance(text, str))


def of_remedies() -> Iterator[Marked]:
    for kind in SOURCES:
        for remedy in kind.remedies:
            yield from (Marked(text, None, None, f"{kind.name}: {remedy.setting}") for text in (remedy.where, remedy.gain))


def of_tables() -> Iterator[Marked]:
    """Outcomes, rhythms, reports, and columns as a terminal shows them."""
    yield from (Marked(str(outcome), None, None, "submission.py") for outcome in Outcome)
    yield from (Marked(str(every), None, None, "rhythms.py") for every in Every)
    for report in REPORTS.values():
        yield Marked(report.title, None, None, report.name)
        for column in (*report.columns, *report.series):
            if column.type != "share":
                yield Marked(column.name, None, None, report.name)
            if column.type == "flag":
                yield Marked(column.name.removeprefix("is_"), None, None, report.name)


def of_help() -> Iterator[Marked]:
    """What `--help` says of commands and options."""
    yield from (Marked(text, None, None, f"help of {of.name}") for of, _, text in words_of(commands))


def of_python(path: Path) -> Iterator[Marked]:
    for call in calls_of(path):
        number = FUNCTIONS.get(call.func.id, 0) if isinstance(call.func, ast.Name) else 0
        if number:
            place = f"{path.name}:{call.lineno}"
            single, *plural = [_written_out(argument, place) for argument in call.args[:number]]
            yield Marked(single, plural[0] if plural else None, None, place)


def details() -> dict[str, list[str]]:
    """Texts of what the page of people tells, with the names of the values that each is given."""
    calls = [call for path in modules() for call in calls_of(path) if name_of(call) == "detail"]
    return {_written_out(call.args[0], ast.unparse(call)): [str(keyword.arg) for keyword in call.keywords] for call in calls}


def of_template(name: str) -> Iterator[Marked]:
    template: Any = engines["django"].get_template(name)
    for node in template.template.nodelist.get_nodes_by_type(Node):
        place = f"{name}:{node.token.lineno if node.token else 0}"
        if isinstance(node, TranslateNode):
            yield Marked(_constant(node.filter_expression, place), None, _context(node), place)
        if isinstance(node, BlockTranslateNode):
            single, plural = (node.render_token_list(tokens)[0] if tokens else None for tokens in (node.singular, node.plural))
            yield Marked(str(single), plural, _context(node), place)


def _context(node: TranslateNode | BlockTranslateNode) -> str | None:
    return str(node.message_context.resolve(Context())) if node.message_context else None


def _written_out(argument: ast.expr, place: str) -> str:
    said = argument.value if isinstance(argument, ast.Constant) else None
    assert isinstance(said, str), f"{place}: not written out"
    return said


def _constant(expression: FilterExpression, place: str) -> str:
    said = expression.var.literal if isinstance(expression.var, Variable) else expression.var
    assert isinstance(said, str), f"{place}: not written out"
    return str(said)
