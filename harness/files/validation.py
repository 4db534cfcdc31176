"""Validation errors as messages for users: the key, the value, the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError

from harness.errors import quoted

Location = tuple[int | str, ...]

_REMEDIES = {
    "missing": "this key is required",
    "string_type": "write text, in quotes",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "finite_number": "write a finite number",
    "bool_type": "write true or false",
    "tuple_type": "write a list, such as [1, 2]",
    "list_type": "write a list, such as [1, 2]",
    "dict_type": "write a table, such as {key = value}",
    "model_type": "write a table, such as {key = value}",
    "byte_size": "write for example '8 GiB'",
    "byte_size_unit": "write for example '8 GiB'",
}
_TOO_SHORT = "write at least one value"


def validation_messages(
    error: ValidationError,
    unknown_key: Callable[[Location], str] | None = None,
) -> list[str]:
    """Return one line per error: the path of the key, the value, what is expected.

    Args:
        error: what pydantic raised.
        unknown_key: message for a key that its section does not have.
    """
    found = error.errors()
    # pydantic drops an invalid item, and then also reports the list as too short.
    lists = {m["loc"][:depth] for m in found for depth in range(len(m["loc"]))}
    return [
        _line(mistake, unknown_key)
        for mistake in found
        if not (mistake["type"] == "too_short" and mistake["loc"] in lists)
    ]


def path_of(location: Iterable[int | str]) -> str:
    """Return a location as a dotted path, each part no longer than a line."""
    return ".".join(quoted(str(part))[1:-1] for part in location)


def _line(mistake: Any, unknown_key: Callable[[Location], str] | None) -> str:
    location: Location = mistake["loc"]
    path = path_of(location)
    if mistake["type"] == "extra_forbidden" and unknown_key:
        message = unknown_key(location)
    elif mistake["type"] == "missing":
        message = _REMEDIES["missing"]
    elif mistake["type"] == "value_error":
        message = mistake["msg"].removeprefix("Value error, ")
    else:
        message = f"{quoted(mistake['input'])}: {_remedy(mistake)}"
    return f"{path}: {message}" if path else message


def _remedy(mistake: Any) -> str:
    if mistake["type"] == "too_short" and mistake["ctx"]["min_length"] == 1:
        return _TOO_SHORT
    plain: str = mistake["msg"].replace("Input should be", "must be")
    return _REMEDIES.get(mistake["type"], plain)
