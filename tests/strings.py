"""
Every string of the pages that is marked for translation, as Django itself will look it up.

    for text in marked(): text.single, text.plural, text.context, text.place

Templates are read by Django's own parser, Python by its syntax tree. A string that is not written out where it is marked
fails, since no catalog could have it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from django.template import Context, engines
from django.template.base import FilterExpression, Node, Variable
from django.templatetags.i18n import BlockTranslateNode, TranslateNode

WEB = Path(__file__).resolve().parent.parent / "src" / "smtp_auth_report" / "web"
FUNCTIONS = {"gettext": 1, "gettext_lazy": 1, "gettext_noop": 1, "_": 1, "ngettext": 2, "ngettext_lazy": 2}


class Marked(NamedTuple):
    """One string, with its plural and its context where it has them."""

    single: str
    plural: str | None
    context: str | None
    place: str

    @property
    def key(self) -> tuple[str | None, str]:
        return self.context, self.single


def marked() -> list[Marked]:
    """All of them, in the order of their places."""
    modules = [path for path in sorted(WEB.rglob("*.py")) if "migrations" not in path.parts]
    templates = sorted((WEB / "templates").glob("*.html"))
    return [text for path in modules for text in of_python(path)] + [text for path in templates for text in of_template(path.name)]


def of_python(path: Path) -> Iterator[Marked]:
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    for call in calls:
        number = FUNCTIONS.get(call.func.id, 0) if isinstance(call.func, ast.Name) else 0
        if number:
            place = f"{path.name}:{call.lineno}"
            single, *plural = [_written_out(argument, place) for argument in call.args[:number]]
            yield Marked(single, plural[0] if plural else None, None, place)


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
