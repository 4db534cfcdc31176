"""Errors that are the user's to mend, and the words that help."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """Something the user can put right; the command line prints it without a traceback."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the choice nearest to ``word``, or "" if none is near."""
    import difflib

    by_lower_case = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), by_lower_case, n=1)
    return f" (did you mean {by_lower_case[near[0]]!r}?)" if near else ""
