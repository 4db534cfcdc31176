"""The models of a family with their recipes, read from the source: nothing imports torch.

``<!-- models of harness_flow -->`` in a page becomes a section for each model of that package.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from griffe import Attribute, Class, Expr, ExprCall, ExprKeyword

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "plugins"
_PLACE = re.compile(r"^<!-- models of (\w+) -->$", re.MULTILINE)
_LINKS = (
    (re.compile(r"arXiv:(\d+\.\d+)"), r"[arXiv:\1](https://arxiv.org/abs/\1)"),
    (re.compile(r"doi:(\S+)"), r"[doi:\1](https://doi.org/\1)"),
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the places in a page."""
    return _PLACE.sub(lambda match: models_of(match[1]), markdown)


def models_of(package: str) -> str:
    """Return the sections of all models that a built-in package brings."""
    for path in (str(ROOT), str(PLUGINS)):
        if path not in sys.path:
            sys.path.insert(0, path)
    infos = importlib.import_module(package).harness_models()
    source = griffe.load(package, search_paths=[PLUGINS])
    return "\n".join(_section(info, source) for info in infos)


def _section(info: Any, source: Any) -> str:
    from harness.plugins.papers import paper  # found where the path leads

    reference = paper(info.target)
    for pattern, link in _LINKS:
        reference = pattern.sub(link, reference)
    module, _, name = info.target.partition(":")
    model = source[module.partition(".")[2]][name]
    lines = [f"### {info.name}", "", info.summary, "", reference, ""]
    lines += ["| setting | type | default | meaning |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(_cells(field))} |" for field in settings(model)]
    return "\n".join([*lines, ""])


def settings(model: Class) -> Iterator[Attribute]:
    """Yield the fields of a model's ``Config``, in the order of its dataclass."""
    config = model.members["Config"]
    fields: dict[str, Attribute] = {}
    for base in (*reversed(config.mro()), config):
        fields |= {n: a for n, a in base.attributes.items() if isinstance(a.value, ExprCall)}
    yield from fields.values()


def _cells(field: Attribute) -> list[str]:
    arguments = [a.value if isinstance(a, ExprKeyword) else a for a in field.value.arguments]
    default, meaning = (str(argument) for argument in arguments)
    words = (f"`{field.name}`", _choices(field.annotation), f"`{default}`")
    return [word.replace("|", r"\|") for word in (*words, ast.literal_eval(meaning))]


def _choices(annotation: Expr | str | None) -> str:
    """Return a type as people write it: Literal['a', 'b'] is `'a'` or `'b'`."""
    choices = re.fullmatch(r"Literal\[(.*)\]", str(annotation))
    return (
        " or ".join(f"`{each}`" for each in choices[1].split(", "))
        if choices
        else f"`{annotation}`"
    )
