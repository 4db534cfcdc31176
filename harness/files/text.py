"""Text that a row can hold: valid UTF-8 of bounded length."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

LONGEST = 4_000
"""Maximum characters of a text in a row; of a longer one, the beginning and the end are kept."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def storable(value: Any) -> Any:
    r"""Return a value with all text in it valid and of bounded length, at any depth.

    Bytes of a path that are not UTF-8, which Python holds as lone surrogates, become ``\xff``.

    Args:
        value: text, numbers, mappings, sequences and records of these.
    """
    if isinstance(value, str):
        return shortened(_SURROGATE.sub(_written_out, value))
    if isinstance(value, Mapping):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if isinstance(value, BaseModel):
        changes = {name: storable(getattr(value, name)) for name in type(value).model_fields}
        return type(value).model_validate(changes)
    return value


def shortened(text: str, most: int = LONGEST) -> str:
    """Return a text, or its beginning and end with the number of characters omitted between."""
    if len(text) <= most:
        return text
    half = most // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]} ... {left_out:,} characters are left out here ... {text[-half:]}"


def _written_out(match: re.Match[str]) -> str:
    code = ord(match.group())
    # Python's "surrogateescape" puts the byte b at U+DC00 + b.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
