"""The columns of ``rows_frame`` in a run of MLflow: as metrics, parameters and tags."""

from __future__ import annotations

import hashlib
import posixpath
import re
from typing import NamedTuple

from harness.frame import row_line
from harness.row import Row

TAG_PREFIX = "genharness."
"""Prefix of the harness's tags, among those of MLflow and of its users."""

SETTINGS = ("label", "model", "type", "dataset", "seed", "budget")
_SETTING_GROUPS = ("config.", "protocol.")
_REFUSED = re.compile(r"[^/\w.\- :]")
_ESCAPED = re.compile(r"_x([0-9a-f]+)_")
_NAME_LENGTH = 250 - len(TAG_PREFIX)


class RunColumns(NamedTuple):
    """The columns of one row as metrics, parameters and tags."""

    metrics: dict[str, float]
    parameters: dict[str, str]
    tags: dict[str, str]


def run_columns(row: Row) -> RunColumns:
    """Divide a row's columns: settings are parameters, other numbers metrics, the rest tags."""
    columns = RunColumns({}, {}, {})
    for name, value in row_line(row).items():
        key = tracked_name(name)
        if name in SETTINGS or name.startswith(_SETTING_GROUPS):
            columns.parameters[key] = str(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            columns.metrics[key] = float(value)
        elif value is not None:
            columns.tags[TAG_PREFIX + key] = str(value)
    return columns


def tracked_name(name: str) -> str:
    """Return a name that MLflow accepts: other characters as ``_x21_``, a long one truncated.

    Names that would be another path as a file name (``a//b``, ``../a``) have their slashes and dots
    escaped too.
    """
    name = _REFUSED.sub(_escaped, name)
    if posixpath.normpath(name) != name or name.startswith(("/", ".")):
        name = re.sub(r"[/.]", _escaped, name)
    if len(name) > _NAME_LENGTH:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        name = f"{name[: _NAME_LENGTH - 17]}_{digest}"
    return name


def column_name(name: str) -> str:
    """Return the name of the column that ``tracked_name`` returned this for, unless it was cut."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)


def _escaped(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):x}_"
