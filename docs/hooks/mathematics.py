"""Formulas as MathML, written when the site is built: pages need neither scripts nor a network.

In Markdown, ``$...$`` stands in a line and ``$$...$$`` on lines of its own.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

# As the extension pymdownx.arithmatex marks them.
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
# Names of functions keep a distance from their argument; a minus after an operator is a sign; the
# tilde of a distribution is a relation, not an accent.
_SPACING = (
    (
        re.compile(r"<mi>(cos|det|exp|ln|log|max|min)</mi>"),
        r'<mo lspace="0.12em" rspace="0.17em">\1</mo>',
    ),
    (
        re.compile(r"(<mo[^>]*>(?:&#x00028;|&#x0007C;|\[)</mo>)<mo lspace=\"0.12em\""),
        r'\1<mo lspace="0"',
    ),
    (
        re.compile(r"(<mo[^>]*>(?:&#x0003D;|&#x00028;|&#x0002C;|\[)</mo>)<mo>&#x02212;</mo>"),
        r'\1<mo form="prefix" lspace="0" rspace="0">&#x02212;</mo>',
    ),
    (re.compile(r"<m[io]>&#x0007E;</m[io]>"), "<mo>&#x0223C;</mo>"),
    (re.compile(r"<m[io]>;</m[io]>"), '<mo lspace="0" rspace="0.25em">;</mo>'),
)


def on_page_content(content: str, **_: Any) -> str:
    """Replace the formulas of a page."""
    return _FORMULA.sub(_mathml, content)


def _mathml(match: re.Match[str]) -> str:
    display = "inline" if match[1] == "span" else "block"
    written = convert(html.unescape(match[2]).strip(), display=display)
    for pattern, replacement in _SPACING:
        written = pattern.sub(replacement, written)
    return written
