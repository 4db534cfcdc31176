"""Texts as lines of a file, one an example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.contract import ArraySpec
from harness.errors import visible

COLUMNS = 1
MOST = 30
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_CONTROL = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
"""Control characters with the symbols that Unicode has for them: a line feed is U+240A."""


def perceptible(x: NDArray[np.uint8], spec: ArraySpec) -> list[str]:
    """Return the lines of texts (N, L), in which every character is to be seen.

    Values are characters of the alphabet, or of Latin-1 without one.
    """
    alphabet = spec.alphabet or "".join(map(chr, range(256)))
    characters = alphabet.ljust(256, UNKNOWN)
    return [_seen("".join(characters[value] for value in text)) for text in x.tolist()]


def paired(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """Return pairs of texts, one below the other, with an empty line after each pair."""
    return [f"{above}\n{below}\n" for above, below in zip(left, right, strict=True)]


def files(lines: Sequence[str], spec: ArraySpec, columns: int) -> dict[str, bytes]:
    """Return lines as "txt", in UTF-8, with an empty line after so many if more than one."""
    rows = ["\n".join(lines[i : i + columns]) for i in range(0, len(lines), columns)]
    return {"txt": (("\n\n" if columns > 1 else "\n").join(rows) + "\n").encode()}


def captioned(captions: Sequence[str], text: bytes) -> bytes:
    """Return captions, a line each, before the lines of a text if there is one."""
    lines = text.decode().splitlines() or [""] * len(captions)
    pairs = zip(captions, lines, strict=True)
    return "".join(f"{caption}\t{line}".rstrip("\t") + "\n" for caption, line in pairs).encode()


def _seen(text: str) -> str:
    return visible(text.translate(_CONTROL))
