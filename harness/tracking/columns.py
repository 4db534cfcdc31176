"""Where a run of MLflow keeps the columns of ``rows_frame``: by their names, in three places."""

from __future__ import annotations

from typing import NamedTuple

from harness.frame import row_line
from harness.row import Row

TAG_PREFIX = "genharness."
"""Of the tags that are ours, among those of MLflow and of its users."""

SETTINGS = ("label", "model", "family", "dataset", "seed", "budget")
_SETTING_GROUPS = ("config.", "protocol.")


class RunColumns(NamedTuple):
    """The columns of one row: what was measured, what was asked for, and what is to be known."""

    metrics: dict[str, float]
    parameters: dict[str, str]
    tags: dict[str, str]


def run_columns(row: Row) -> RunColumns:
    """Sort the columns of a row: settings are parameters, other numbers metrics, the rest tags."""
    columns = RunColumns({}, {}, {})
    for name, value in row_line(row).items():
        if name in SETTINGS or name.startswith(_SETTING_GROUPS):
            columns.parameters[name] = str(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            columns.metrics[name] = float(value)
        elif value is not None:
            columns.tags[TAG_PREFIX + name] = str(value)
    return columns
