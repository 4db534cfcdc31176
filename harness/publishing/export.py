"""Rows as tables for other programs: one line per trial, one line per figure; CSV and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import UserError
from harness.frame import machine, rows_frame
from harness.row import Row

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""Characters that start a formula in a spreadsheet, or may be skipped before one."""

FIGURE_COLUMNS = {
    "trial": "string",
    "benchmark": "string",
    "label": "string",
    "model": "string",
    "type": "string",
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
    """Return one line per figure of each trial, and one for each set of samples behind it.

    ``set`` is missing in the line of the figure itself, the mean over its sets; lines of sets,
    counted from 0, have no ``error``.
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
        UserError: there are no rows, or the folder cannot be written to.
    """
    rows, folder = list(rows), Path(folder)
    if not rows:
        raise UserError(
            "no trial has ended yet, so there is nothing to export; run the benchmark first"
        )
    frames = {"rows": rows_frame(rows), "figures": figures_frame(rows)}
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in frames.items():
            write_csv(frame, folder / f"{name}.csv")
            write_parquet(frame, folder / f"{name}.parquet")
            written += [folder / f"{name}.csv", folder / f"{name}.parquet"]
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None
    return written


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as CSV in which no untrusted text is a formula for a spreadsheet.

    Text and headings that begin like formulas are prefixed with an apostrophe, as OWASP advises;
    numbers, and text that is one, stay as they are. A line break is a line feed: readers take a
    carriage return for the end of a row, and the writer does not quote it.
    """
    words = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    inert = frame.assign(**{str(name): frame[name].map(_escape_formula) for name in words})
    inert.rename(columns=_escape_formula).to_csv(path, index=False)


def _escape_formula(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    lines = cell.replace("\r\n", "\n").replace("\r", "\n")
    if not cell.startswith(_FORMULA):
        return lines
    try:
        float(cell)
    except ValueError:
        return f"'{lines}"
    return cell


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as Parquet, each column of one type.

    Text stays text; a column of mixed types, such as a setting that two models share only by name,
    becomes JSON.
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
