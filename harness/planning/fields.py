"""Types of values in a benchmark file: nothing is converted silently."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from harness.errors import quoted

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LINE = 100


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{quoted(value)} appears twice; write it once")
    return values


def _names_a_folder(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{quoted(name)} cannot name a results folder; use letters, digits, '-', '_' and "
            f"'.', a letter or digit first, at most {_LINE}"
        )
    return name


def _fits_a_table(label: str) -> str:
    if label and not (label.isprintable() and label.strip() and len(label) <= _LINE):
        raise ValueError(
            f"{quoted(label)} does not fit into a table; write one line, at most {_LINE} letters"
        )
    return label


Switch = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Seconds = Annotated[float, Field(strict=True, gt=0)]
Fraction = Annotated[float, Field(strict=True, gt=0, lt=1)]
FolderName = Annotated[str, AfterValidator(_names_a_folder)]
Label = Annotated[str, AfterValidator(_fits_a_table)]

Distinct = AfterValidator(_distinct)
"""Refuses a list with duplicates."""
