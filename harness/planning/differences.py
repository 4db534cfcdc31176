"""Where two trials, or what they ran on, differ: key by key, with both values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.frame import flatten

CODE = "plugin."
"""Parts of an identity that depend on the code: with other code a row may still be reproduced."""


@dataclass(frozen=True)
class Difference:
    """A difference between then and now.

    Attributes:
        key: dotted name.
        then: value in the row; None if it has none.
        now: value here.
        note: additional explanation.
    """

    key: str
    then: Any
    now: Any
    note: str = ""

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{self.key}: {_show(self.then)} then, {_show(self.now)} now{note}"


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Return where two nested mappings differ, key by key."""
    before, after = flatten(then), flatten(now)
    return [
        Difference(key, before.get(key), after.get(key))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    ]


def _show(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
