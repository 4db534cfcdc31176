"""Standard output: in any encoding, and reserved for JSON when programs read it.

All code in the process shares standard output: plugins print when they are imported, native code
writes to descriptor 1. So ``reserved_stdout`` redirects the descriptor, and only ``print_json``
writes to the original.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import os
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from harness.errors import UserError

_PLAIN = {
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "∞": "inf",
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "×": "x",
    "·": "-",
    "•": "*",
    "²": "^2",
    "†": "*",
    "⚠": "!",
    "→": "->",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
}
_ERRORS = "harness-plain"
_OUTPUT, _ERROR = 1, 2

_reserved: list[int] = []
"""Descriptors of the standard output that is reserved for answers; the last one counts."""


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    """Return a replacement for characters that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    failed = error.object[error.start : error.end]
    return "".join(map(_plain, failed)), error.end


def _plain(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    if 0x2500 <= ord(character) < 0x2580:  # lines of tables and bars
        name = unicodedata.name(character)
        upright = "VERTICAL" in name or " UP" in name or " DOWN" in name
        level = "HORIZONTAL" in name or " LEFT" in name or " RIGHT" in name
        return "+" if upright and level else "|" if upright else "-"
    if 0x2580 <= ord(character) < 0x25A0 or 0x2800 <= ord(character) < 0x2900:  # blocks, spinners
        return "#"
    return character.encode("ascii", "backslashreplace").decode()


codecs.register_error(_ERRORS, _in_plain_characters)


def print_in_any_encoding() -> None:
    """Have standard output and error replace characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def print_in_utf8() -> None:
    """Have standard output and error write UTF-8, whatever the locale: they go to a file."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


@contextmanager
def reserved_stdout() -> Iterator[None]:
    """Reserve standard output for ``print_json``; everything else goes to standard error.

    It stays so if the process exits within the block, exit handlers included.
    """
    flush_output()
    nothing = os.open(os.devnull, os.O_WRONLY)
    # Python has no stream if a descriptor was closed; a file may have its number by now.
    kept = os.dup(_OUTPUT if sys.__stdout__ else nothing)
    if sys.__stdout__:
        os.dup2(_ERROR if sys.__stderr__ else nothing, _OUTPUT)
    os.close(nothing)
    _reserved.append(kept)
    try:
        yield
    finally:
        flush_output()
        _reserved.remove(kept)
        if sys.__stdout__:
            os.dup2(kept, _OUTPUT)
        os.close(kept)


def print_json(answer: Any) -> None:
    """Print a value as strict JSON: in ASCII, without NaN and infinity.

    Raises:
        UserError: standard output cannot be written to.
    """
    text = json.dumps(_strict(answer), indent=2, allow_nan=False, default=str)
    if not _reserved:
        print(text)
        return
    with _write_errors(), open(_reserved[-1], "w", encoding="ascii", closefd=False) as output:
        print(text, file=output)


def flush_output() -> bool:
    """Flush standard output; return whether its reader is still there.

    Raises:
        UserError: it cannot be written to.
    """
    try:
        with _write_errors():
            sys.stdout.flush()
    except BrokenPipeError:  # its reader has closed it, as head(1) does
        return False
    return True


@contextmanager
def _write_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"standard output cannot be written to: {error.strerror}") from None


def _strict(value: Any) -> Any:
    """Return a value with non-finite numbers as text, and text for all keys."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {
            str(key) if not isinstance(key, str) else key: _strict(of) for key, of in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_strict(part) for part in value]
    return value
