"""Rows as tables for other programs: a line a trial, and a line a figure; CSV and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import UserError
from harness.frame import machine, rows_frame
from harness.row import Row

FIGURE_COLUMNS = {
    "trial": "string",
    "benchmark": "string",
    "label": "string",
    "model": "string",
    "family": "string",
    "dataset": "string",
    "seed": "Int64",
    "status": "string",
    "budget": "string",
    "hardware": "string",
    "metric": "string",
    "set": "Int64",
    "value": "Float64",
    "error": "Float64",
    "kind": "string",
    "protocol": "string",
    "reason": "string",
}
"""Columns of ``figures_frame`` with their types; ``error`` and ``reason`` are of the figure."""


def figures_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Return one line a figure of each trial, and one for each set of samples behind it.

    ``set`` is missing in the line of the figure itself, which is the mean over its sets; lines of
    sets, counted from 0, have no ``error``.
    """
    lines: dict[str, list[Any]] = {name: [] for name in FIGURE_COLUMNS}
    for row in rows:
        own = [getattr(row, name) for name in list(FIGURE_COLUMNS)[:9]] + [machine(row)]
        for metric, m in row.metrics.items():
            values = [(None, m.value, m.error), *((i, v, None) for i, v in enumerate(m.sets))]
            for number, value, error in values:
                line = (*own, metric, number, value, error, m.kind, m.protocol, m.reason)
                for name, cell in zip(FIGURE_COLUMNS, line, strict=True):
                    lines[name].append(cell)
    return pd.DataFrame(lines).astype(FIGURE_COLUMNS)


def export(rows: Iterable[Row], folder: Path | str) -> list[Path]:
    """Write ``rows`` and ``figures``, each as CSV and Parquet, to a folder; return the paths.

    Raises:
        UserError: there are no rows, or the folder cannot be written.
    """
    rows, folder = list(rows), Path(folder)
    if not rows:
        raise UserError("no trial has ended yet, so there is nothing to export; run one first")
    frames = {"rows": rows_frame(rows), "figures": figures_frame(rows)}
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in frames.items():
            frame.to_csv(folder / f"{name}.csv", index=False)
            write_parquet(frame, folder / f"{name}.parquet")
            written += [folder / f"{name}.csv", folder / f"{name}.parquet"]
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None
    return written


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as Parquet, each column of one type.

    Text stays text; a column that mixes types, as a setting may that two models share by name
    alone, becomes JSON.
    """
    mixed = [name for name in frame.columns if frame[name].dtype == object]
    frame.assign(**{str(name): _of_one_type(frame[name]) for name in mixed}).to_parquet(
        path, index=False
    )


def _of_one_type(column: pd.Series[Any]) -> pd.Series[Any]:
    present = column.dropna()
    kinds = {type(value) for value in present}
    if kinds == {bool}:
        return column.astype("boolean")
    if not kinds <= {str}:
        column = column.map(lambda value: json.dumps(value, default=str), na_action="ignore")
    return column.astype("string")
