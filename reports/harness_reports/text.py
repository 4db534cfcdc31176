"""Text that every format can hold."""

from __future__ import annotations

import unicodedata


def plain(text: object) -> str:
    """Return text on one line, without control characters, which no format supports."""
    visible = (c if unicodedata.category(c)[0] != "C" else " " for c in str(text))
    return " ".join("".join(visible).split())
