"""Errors that the user can fix, and helpers for their messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from reprlib import Repr
from typing import Any

_short = Repr()
_short.maxstring = _short.maxother = 60
_short.maxlong = 30


ELSEWHERE = "'harness report ... --out DIR' writes it elsewhere"
"""Remedy where a report cannot be written."""


class UserError(Exception):
    """An error that the user can fix; the command line prints it without a traceback."""


class Unwritable(UserError):
    """Results or a report cannot be written; the message states where and why."""


def quoted(value: Any) -> str:
    """Return a value as written in a file, shortened: ``true``, ``'text'``, ``5``."""
    return str(value).lower() if isinstance(value, bool) else _short.repr(value)


@contextmanager
def error_prefix(where: str) -> Iterator[None]:
    """Prefix ``where`` to the message of a ``UserError`` raised inside."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error.__cause__


def for_terminal(message: str) -> str:
    r"""Return a message with control characters escaped (``\x1b``) and long lines cut.

    Names and values in it come from untrusted files and arguments.
    """
    return "\n".join(_cut(visible(line)) for line in message.splitlines())


def visible(text: str) -> str:
    r"""Return text with all but its line breaks printable: ESC is ``\x1b``, U+202E ``\u202e``.

    So are other control characters (C0, DEL, C1), bidirectional overrides and isolates, zero-width
    characters, line and paragraph separators, unusual spaces, and lone surrogates.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line if line.isprintable() else "".join(map(_visible, line)) for line in lines)


def _visible(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def _cut(line: str, most: int = 1_500) -> str:
    half = most // 2
    return line if len(line) <= most else f"{line[:half]} ... {line[-half:]}"


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the choice nearest to ``word``, or "" if none is near."""
    import difflib

    if len(word) > 100:  # too long for a name, and the search is quadratic in its length
        return ""
    by_lower_case = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), by_lower_case, n=1)
    return f" (did you mean {by_lower_case[near[0]]!r}?)" if near else ""
