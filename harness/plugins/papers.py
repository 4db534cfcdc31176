"""The paper of a system, from the docstring of its module, which is read and not imported."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from harness.plugins.source_files import find_module

_NAME_AND_PAPER = re.compile(r"[^:]*: (.*?(?:arXiv|doi):\S*\w)")


def paper(target: str) -> str:
    """Return the reference that the module of an import string begins with; "" if it has none.

    The first paragraph of a docstring is the system's name, a colon, and its paper with an arXiv
    number or a DOI: "DCGAN: Radford, Metz and Chintala, 2016, arXiv:1511.06434."
    """
    paragraph = " ".join(_docstring(target.partition(":")[0]).partition("\n\n")[0].split())
    match = _NAME_AND_PAPER.match(paragraph)
    return match[1] if match else ""


def _docstring(module: str) -> str:
    try:
        spec = find_module(module)
        if spec is None or not spec.has_location or spec.origin is None:
            return ""
        return ast.get_docstring(ast.parse(Path(spec.origin).read_bytes())) or ""
    except (
        OSError,
        SyntaxError,
        ValueError,
    ):  # native, damaged, no name at all: whoever loads it says so
        return ""
