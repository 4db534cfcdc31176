"""The leaderboard as a frame of numbers: one line per entry, its seeds averaged, the best first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from harness.frame import machine
from harness.row import Measurement, Row
from harness_reports.boards import REFERENCES, Board, boards
from harness_reports.columns import ANCHORS, COSTS, METRICS, TASKS, Column
from harness_reports.entries import entry_names
from harness_reports.interruptions import interruptions
from harness_reports.readings import Reading, readings
from harness_reports.statistics.groups import groups
from harness_reports.statistics.intervals import intervals
from harness_reports.statistics.observations import observe

LEADING = ("Dataset", "Table", "Role", "Model", "Type")
CLOSING = ("Seeds", "Status", "Reason", "Trials")
SATELLITES = (
    *("error", "low", "high", "basis", "group"),
    *("kind", "protocol", "note", "warning", "better"),
)
MEASUREMENT = "measurement"
DEVICE_TIME = COSTS["seconds"].heading
FLOPS = COSTS["flops"].heading
_ROLES = ("real", "model", "failed", "null")


class Statistics(NamedTuple):
    """Statistics of entries, by metric, table, heading, kind and label.

    Attributes:
        intervals: the lines of ``intervals``.
        groups: letters.
    """

    intervals: Mapping[Any, Mapping[Any, Any]]
    groups: Mapping[Any, str]


def leaderboard(rows: Iterable[Row]) -> pd.DataFrame:
    """Return the leaderboards of all tables, one line per entry, in the order of the ranking.

    An entry is a model with one configuration; its figures are means over seeds. Failed trials are
    separate entries, after all others; nothing is imputed for them. The references stand first
    (real) and last (null).

    Figures taken by different protocols get columns of their own: "FID", "FID (2)", ... Beside each
    stand its satellites: "FID error", the standard error; "FID low" and "FID high", the interval of
    95%; "FID basis", what both are over: "seeds", "sets" of samples of a single seed, or the one
    "measurement", whose own error it is, without an interval; "FID group", letters that are shared
    by models that cannot be told apart; "FID kind", "FID protocol", "FID note", "FID warning"; and
    "FID better": "lower", "higher" or None.
    """
    frames = board_frames(boards(rows))
    if not frames:
        return pd.DataFrame(columns=[*LEADING, *CLOSING])
    return pd.concat(frames, ignore_index=True)


def board_frames(tables: Sequence[Board]) -> list[pd.DataFrame]:
    """Return the leaderboard of each table; see ``leaderboard``."""
    metrics = dict.fromkeys(metric for board in tables for metric in _metrics(board))
    observed = observe(tables, metrics)
    found = Statistics(intervals(observed).to_dict("index"), groups(observed))
    return [_board_frame(board, i, found) for i, board in enumerate(tables)]


def _board_frame(board: Board, table: int, found: Statistics) -> pd.DataFrame:
    names = entry_names(board.rows)
    entries = _entries(board.rows, names)
    planned = _planned(board.rows, names)
    models = [row for row in board.rows if row.model not in REFERENCES and row.usage.steps]
    several = len({machine(row) for row in models}) > 1
    lines = [
        _identity(entry, board, table, name, planned[name]) | _costs(entry, several)
        for name, entry in entries
    ]
    figures: list[str] = []
    for metric in _metrics(board):
        better = board.column(metric).better
        for heading, readings_of in readings(metric, board).items():
            figures.append(heading)
            for line, (name, entry) in zip(lines, entries, strict=True):
                taken = [readings_of[id(row)] for row in entry if id(row) in readings_of]
                kind = next((r.measurement.kind for r in taken if r.measurement.kind), None)
                key = (metric, table, heading, kind or "", name)
                line |= _figure(heading, taken, key if line["Role"] == "model" else (), found)
                line[f"{heading} better"] = better
    lines.sort(key=partial(_rank, by=board.column(board.headline)))
    costs = [cost.heading for cost in COSTS.values()]
    satellites = [f"{heading} {name}" for heading in figures for name in SATELLITES]
    satellites += [f"{DEVICE_TIME} note", f"{FLOPS} kind"]
    return pd.DataFrame(lines, columns=[*LEADING, *figures, *costs, *CLOSING, *satellites])


def _entries(rows: Sequence[Row], names: Mapping[int, str]) -> list[tuple[str, list[Row]]]:
    """Group rows that differ only in the seed; failed ones separately."""
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        likelihood = row.metrics.get("bits_per_dim")
        kind = likelihood.kind if likelihood else None
        found.setdefault((names[id(row)], row.status, kind), []).append(row)
    return [(str(name), entry) for (name, *_), entry in found.items()]


def _planned(rows: Iterable[Row], names: Mapping[int, str]) -> dict[str, int]:
    """Return the number of seeds with a trial of each entry, whatever its status."""
    seeds: dict[str, set[int]] = {}
    for row in rows:
        seeds.setdefault(names[id(row)], set()).add(row.seed)
    return {name: len(found) for name, found in seeds.items()}


def _identity(
    entry: Sequence[Row], board: Board, table: int, name: str, planned: int
) -> dict[str, Any]:
    row = entry[0]
    seeds = len({other.seed for other in entry})
    count = f" {seeds}/{planned}" if seeds < planned else ""
    reasons = dict.fromkeys(other.reason for other in entry if other.reason)
    role = "model" if row.status == "ok" else "failed"
    return {
        "Dataset": board.dataset,
        "Table": table,
        "Role": row.model if row.model in REFERENCES else role,
        "Model": name,
        "Type": row.type,
        "Seeds": seeds,
        "Status": row.status.replace("_", " ") + count,
        "Reason": "; ".join(reasons) or None,
        "Trials": tuple(other.trial for other in entry),
    }


def _costs(entry: Sequence[Row], several: bool) -> dict[str, Any]:
    """Return mean usage; references have none.

    Where a table has several machines, device time is noted with its own, and no mean of seconds is
    taken over two of them.
    """
    if entry[0].model in REFERENCES:
        return {}
    used: dict[str, Any] = {
        cost.heading: fmean(getattr(row.usage, name) for row in entry)
        for name, cost in COSTS.items()
        if name != "parameters"
    }
    used[COSTS["parameters"].heading] = entry[0].parameters
    if any(row.usage.uncounted for row in entry):
        used[f"{FLOPS} kind"] = "at_least"
    machines = sorted({machine(row) or "not recorded" for row in entry})
    if several:
        used[f"{DEVICE_TIME} note"] = f"machine {', '.join(machines)}"
    if len(machines) > 1:
        used[DEVICE_TIME] = None
        used[f"{DEVICE_TIME} note"] += ": seconds of several are not averaged"
    if note := "; ".join([used.get(f"{DEVICE_TIME} note") or "", *interruptions(entry)]).strip(
        "; "
    ):
        used[f"{DEVICE_TIME} note"] = note
    return used


def _metrics(board: Board) -> list[str]:
    """Return the metrics to show: those of the reference table if requested, others if measured.

    Where no trial has a figure, nor a reason why it has none, nothing says what was asked for.
    Of a task, which only models with a condition have, a figure of the references alone is none.
    """
    measured = {
        name
        for row in board.rows
        for name, m in row.metrics.items()
        if m.value is not None and not (name in TASKS and row.model in REFERENCES)
    }
    asked = board.columns.keys() or METRICS.keys()
    known = [
        name
        for name, shown in METRICS.items()
        if name in measured or (shown.group in ("quality", "model") and name in asked)
    ]
    return [*known, *sorted(measured - {*METRICS, *ANCHORS})]


def _figure(
    heading: str, readings: Sequence[Reading], key: tuple[object, ...], found: Statistics
) -> dict[str, Any]:
    """Return the mean of an entry's readings with its notes."""
    taken = [r for r in readings if r.measurement.value is not None]
    reasons = dict.fromkeys(r.measurement.reason for r in readings if r.measurement.reason)
    notes = list(reasons)
    warnings = dict.fromkeys(r.measurement.reason for r in taken if r.measurement.reason)
    if taken and len(taken) < len(readings):
        notes.insert(0, f"mean of {len(taken)} of {len(readings)} seeds")
    if taken and taken[0].otherwise:
        notes.append(f"measured otherwise: {taken[0].protocol}")
    uncertain = _uncertain([r.measurement for r in taken], found.intervals.get(key))
    if uncertain["value"] is not None and math.isnan(uncertain["value"]):
        notes.append("not a number")
    return {
        heading: uncertain.pop("value"),
        **{f"{heading} {name}": figure for name, figure in uncertain.items()},
        f"{heading} group": found.groups.get(key),
        f"{heading} kind": taken[0].measurement.kind if taken else None,
        f"{heading} protocol": (taken[0].protocol or taken[0].measurement.protocol)
        if taken
        else None,
        f"{heading} note": "; ".join(notes) or None,
        f"{heading} warning": "; ".join(warnings) or None,
    }


def _uncertain(taken: Sequence[Measurement], found: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return value, error, low, high and basis: of seeds or sets, or of the one measurement."""
    if found is not None and found["basis"]:
        return {"value": found["mean"]} | {k: found[k] for k in ("error", "low", "high", "basis")}
    values = [m.value for m in taken if m.value is not None]
    error = taken[0].error if len(values) == 1 else None
    return {
        "value": fmean(values) if values else None,
        "error": error,
        "low": None,
        "high": None,
        "basis": MEASUREMENT if error is not None else None,
    }


def _rank(line: dict[str, Any], by: Column) -> tuple[int, bool, float]:
    """Order by role, then by one figure; entries without it come after those with it."""
    figure = line.get(by.heading)
    if figure is None or not math.isfinite(figure):
        return _ROLES.index(line["Role"]), True, 0.0
    return _ROLES.index(line["Role"]), False, -figure if by.better == "higher" else figure
