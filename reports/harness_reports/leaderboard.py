"""The leaderboard as a frame of numbers: one line an entry, its seeds averaged, best FID first."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from harness.row import Measurement, Row
from harness_reports.boards import REFERENCES, Board, boards
from harness_reports.columns import ANCHORS, COSTS, METRICS
from harness_reports.readings import Reading, readings

LEADING = ("Dataset", "Table", "Role", "Model", "Type")
CLOSING = ("Seeds", "Status", "Reason", "Trials")
SATELLITES = ("error", "kind", "protocol", "note", "warning")
_ROLES = ("real", "model", "failed", "null")


def leaderboard(rows: Iterable[Row]) -> pd.DataFrame:
    """Return the leaderboards of all tables, one line an entry, in the order of the ranking.

    An entry is a model with one configuration; its figures are means over seeds. "FID error" is
    the standard error of that mean, s / sqrt(n), or with one seed the error of the measurement
    itself. Trials that did not end well are entries of their own, after all others; nothing is
    imputed for them. The references stand first (real) and last (null).

    Figures taken by different protocols get columns of their own: "FID", "FID (2)", ...
    """
    frames = [board_frame(board).assign(Table=i) for i, board in enumerate(boards(rows))]
    if not frames:
        return pd.DataFrame(columns=[*LEADING, *CLOSING])
    return pd.concat(frames, ignore_index=True)


def board_frame(board: Board) -> pd.DataFrame:
    """Return the leaderboard of one table; see ``leaderboard``."""
    entries = _entries(board.rows)
    lines = [_identity(entry, board) | _costs(entry) for entry in entries]
    figures: list[str] = []
    for metric in _metrics(board):
        for heading, taken in readings(metric, board).items():
            figures.append(heading)
            for line, entry in zip(lines, entries, strict=True):
                line |= _figure(heading, [taken[id(row)] for row in entry if id(row) in taken])
    lines.sort(key=_rank)
    costs = [cost.heading for cost in COSTS.values()]
    satellites = [f"{heading} {name}" for heading in figures for name in SATELLITES]
    return pd.DataFrame(lines, columns=[*LEADING, *figures, *costs, *CLOSING, *satellites])


def _entries(rows: Sequence[Row]) -> list[list[Row]]:
    """Group rows that differ in nothing but the seed."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        likelihood = row.metrics.get("bits_per_dim")
        kind = likelihood.kind if likelihood else None
        sources = [row.provenance.get(name) for name in ("version", "source")]
        key = (row.label, row.model, row.config, row.status, kind, sources)
        groups.setdefault(json.dumps(key, sort_keys=True, default=str), []).append(row)
    return list(groups.values())


def _identity(entry: Sequence[Row], board: Board) -> dict[str, Any]:
    row = entry[0]
    seeds = {other.seed for other in entry}
    planned = {other.seed for other in board.rows if other.label == row.label}
    count = f" {len(seeds)}/{len(planned)}" if len(seeds) < len(planned) else ""
    reasons = dict.fromkeys(other.reason for other in entry if other.reason)
    return {
        "Dataset": board.dataset,
        "Role": row.model
        if row.model in REFERENCES
        else "model"
        if row.status == "ok"
        else "failed",
        "Model": row.label,
        "Type": row.family,
        "Seeds": len(seeds),
        "Status": row.status.replace("_", " ") + count,
        "Reason": "; ".join(reasons) or None,
        "Trials": tuple(other.trial for other in entry),
    }


def _costs(entry: Sequence[Row]) -> dict[str, float | None]:
    """Return the means of what was used; a reference uses nothing."""
    if entry[0].model in REFERENCES:
        return {}
    parameters = entry[0].parameters
    used = {
        cost.heading: fmean(getattr(row.usage, name) for row in entry)
        for name, cost in COSTS.items()
        if name != "parameters"
    }
    return {COSTS["parameters"].heading: parameters, **used}


def _metrics(board: Board) -> list[str]:
    """Return the metrics to show: always those of the reference table, others where measured."""
    measured = {
        name for row in board.rows for name, m in row.metrics.items() if m.value is not None
    }
    always = ("quality", "model", "used")
    known = [name for name in METRICS if METRICS[name].group in always or name in measured]
    return [*known, *sorted(measured - {*METRICS, *ANCHORS})]


def _figure(heading: str, readings: Sequence[Reading]) -> dict[str, Any]:
    """Return the mean of an entry's readings with what is to be known of it."""
    taken = [r for r in readings if r.measurement.value is not None]
    value, error = _mean([r.measurement for r in taken])
    reasons = dict.fromkeys(r.measurement.reason for r in readings if r.measurement.reason)
    notes = list(reasons)
    warnings = dict.fromkeys(r.measurement.reason for r in taken if r.measurement.reason)
    if taken and len(taken) < len(readings):
        notes.insert(0, f"mean of {len(taken)} of {len(readings)} seeds")
    if taken and taken[0].otherwise:
        notes.append(f"measured otherwise: {taken[0].ruler}")
    if value is not None and math.isnan(value):
        notes.append("not a number")
    return {
        heading: value,
        f"{heading} error": error,
        f"{heading} kind": taken[0].measurement.kind if taken else None,
        f"{heading} protocol": (taken[0].ruler or taken[0].measurement.protocol) if taken else None,
        f"{heading} note": "; ".join(notes) or None,
        f"{heading} warning": "; ".join(warnings) or None,
    }


def _mean(measurements: Sequence[Measurement]) -> tuple[float | None, float | None]:
    """Return the mean over seeds and its standard error, s / sqrt(n); of one, its own error."""
    values = [m.value for m in measurements if m.value is not None]
    if not values:
        return None, None
    if len(values) == 1:
        return values[0], measurements[0].error
    if not all(map(math.isfinite, values)):
        return fmean(values), None
    return fmean(values), stdev(values) / math.sqrt(len(values))


def _rank(line: dict[str, Any]) -> tuple[int, bool, float]:
    """Order by role, then by FID; entries without one come after those with one."""
    fid = line[METRICS["fid"].heading]
    known = fid is not None and math.isfinite(fid)
    return _ROLES.index(line["Role"]), not known, fid if known else 0.0
