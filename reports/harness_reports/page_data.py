"""Data of the page's scripts: leaderboards, trials and pictures, as compact JSON.

Ten thousand rows fit because texts and settings that many rows share are written once, and because
a browser reads ``trials`` and ``pictures`` only when a reader asks for a model.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.frame import flatten
from harness.results import Media, Results
from harness.row import Measurement, Row, Usage
from harness_reports.captions import KINDS, MEANINGS, WITHIN
from harness_reports.columns import Group, flop, seconds
from harness_reports.numbers import count, prefixed
from harness_reports.table import Cell, Line, Table
from harness_reports.text import plain

GROUPS: dict[Group, str] = {
    "quality": "Quality",
    "model": "Model",
    "used": "Used in training",
    "samples": "Samples",
    "copies": "Copies of the training data",
    "further": "Further",
    "details": "Details",
}
CAPABILITIES = {
    "HasLikelihood": "likelihood",
    "HasLatent": "latent variable",
    "HasEncoder": "encoder",
    "HasSteps": "sampling steps",
    "takes label": "class labels",
}
THINGS = {"image": "images", "video": "videos", "audio": "sounds", "text": "texts"}
"""What the data are called, by their kind."""
PICTURE_BYTES = 12 * 2**20
"""Of all pictures, sounds and texts on a page; those of the best models come first."""


class Pool:
    """Values that are written once and referenced by number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: Any) -> int:
        """Return the number of a value, which is added if it is new."""
        key = json.dumps(value, sort_keys=True)
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(value)
        return self._numbers[key]


def leaderboards(tables: Sequence[Table], results: Results) -> dict[str, Any]:
    """Return the tables; trials by their position among the rows, protocols by number."""
    rows = {row.trial: (i, row) for i, row in enumerate(results.rows)}
    texts = Pool()
    return {
        "tables": [
            {
                "title": table.title,
                "headline": table.headline,
                "things": THINGS.get(table.data_kind, "examples"),
                "groups": list(GROUPS.values()),
                "columns": [
                    {
                        "heading": heading,
                        "group": GROUPS[column.group],
                        "better": column.better,
                        "caption": texts.number(table.captions.get(heading, "")),
                    }
                    for heading, column in table.columns.items()
                ],
                "notes": table.notes,
                "lines": [_line(line, rows, results, texts) for line in table.lines],
            }
            for table in tables
        ],
        "texts": texts.values,
        "kinds": {KINDS.get(kind, ""): meaning for kind, meaning in MEANINGS.items()},
    }


def _line(
    line: Line, rows: Mapping[str, tuple[int, Row]], results: Results, texts: Pool
) -> dict[str, Any]:
    index, row = rows[line.trials[0]]
    return {
        "model": line.model,
        "type": line.type,
        "role": line.role,
        "dataset": plain(row.dataset),
        "status": line.status,
        "seeds": line.seeds,
        "reason": line.brief[:300],
        "warning": line.warning,
        "capabilities": sorted(capabilities(row, results)),
        "trials": [rows[trial][0] for trial in line.trials],
        "cells": [_cell(cell, texts) for cell in line.cells.values()],
    }


def capabilities(row: Row, results: Results) -> set[str]:
    """Return the capabilities of a row's model, as text."""
    found = {CAPABILITIES.get(name, name) for name in row.capabilities}
    likelihood = row.metrics.get("bits_per_dim")
    if likelihood is not None and likelihood.kind is not None:
        found.add(CAPABILITIES["HasLikelihood"])
    if row.trial in results.interpolations:
        found.add(CAPABILITIES["HasLatent"])
    return found


def _cell(cell: Cell, texts: Pool) -> list[Any]:
    """Return the parts of a cell by position, for the script; nothing for an empty cell."""
    if cell.value is None and not cell.mark:
        return []
    value = cell.value if cell.value is not None and math.isfinite(cell.value) else None
    place = 1 if cell.best else 2 if cell.second else 0
    error = f"{cell.error}{WITHIN * cell.within}" if cell.error else ""
    parts = [cell.text, cell.prefix, error, cell.mark, cell.interval, cell.group]
    return [value, place, texts.number(cell.protocol), *parts]


def trials(results: Results) -> dict[str, Any]:
    """Return every row in full: figures, what was used, settings, machine, provenance, log."""
    pool = Pool()
    return {
        "trials": [_trial(row, results.logs, pool) for row in results.rows],
        "pool": pool.values,
    }


def _trial(row: Row, logs: Mapping[str, str], pool: Pool) -> dict[str, Any]:
    shared: dict[str, dict[str, Any]] = {
        "Settings": row.config,
        "Protocol": row.protocol,
        "Machine": row.hardware,
        "Provenance": row.provenance,
    }
    own: dict[str, dict[str, Any]] = {
        "Used": _usage(row.usage) if row.usage.batches else {},
        "Operators without a FLOP count": row.usage.uncounted,
        "Calibration": row.calibration,
        "Digests": row.digests,
        "Identity": {"trial": row.trial, "data": row.fingerprint},
    }
    return {
        "id": row.trial,
        "label": plain(row.label),
        "dataset": plain(row.dataset),
        "seed": row.seed,
        "status": row.status.replace("_", " "),
        "reason": row.reason or "",
        "log": logs.get(row.trial, ""),
        "figures": [_figure(name, m, pool) for name, m in row.metrics.items()],
        "shared": {title: pool.number(_pairs(values)) for title, values in shared.items()},
        "own": {title: _pairs(values) for title, values in own.items() if values},
    }


def _figure(name: str, measured: Measurement, pool: Pool) -> list[Any]:
    """Return name, value, error, kind, and the number of how it was measured or why it was not."""
    parts = [measured.reason or "", measured.protocol]
    how = ". ".join(text for text in parts if text)
    kind = (measured.kind or "").replace("_", " ")
    return [plain(name), _number(measured.value), _number(measured.error), kind, pool.number(how)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _usage(usage: Usage) -> dict[str, str]:
    return {
        "device time": seconds(usage.seconds),
        "training FLOPs": f"{KINDS['at_least']} " * bool(usage.uncounted) + flop(usage.flops),
        "images seen": count(usage.images),
        "optimizer steps": count(usage.steps),
        "training steps": count(usage.batches),
        "overrun": str(usage.overrun),
        "wall time": seconds(usage.wall),
        **{name: seconds(value) for name, value in usage.phases.items()},
        **{f"eval, {name}": seconds(value) for name, value in usage.evaluation.items()},
        "peak memory": prefixed(usage.peak_memory, "B"),
        "processes": str(usage.starts),
    } | {
        name: seconds(lost)
        for name, lost in (("paused, not charged", usage.paused), ("no CPU time", usage.idle))
        if lost
    }


def _pairs(values: Mapping[str, Any]) -> dict[str, str]:
    return {plain(key): str(value) for key, value in flatten(values).items()}


def curve_points(results: Results, metric: str) -> dict[int, list[list[Any]]]:
    """Return the evaluations of each trial by its position: fraction, quality, weights."""
    points = results.curves
    if metric not in points:
        return {}
    position = {row.trial: i for i, row in enumerate(results.rows)}
    known = points.assign(position=points["trial"].map(position)).dropna(
        subset=["position", metric]
    )
    known = known[known[metric].astype(float).abs() < math.inf]
    found: dict[int, list[list[Any]]] = {}
    columns = (known[name] for name in ("position", "fraction", metric, "weights"))
    for trial, fraction, quality, weights in zip(*columns, strict=True):
        found.setdefault(int(trial), []).append([float(fraction), float(quality), str(weights)])
    return found


def pictures(tables: Sequence[Table], results: Results) -> dict[int, dict[str, dict[str, str]]]:
    """Return what trials show by the trial's position among the rows: what of, then by suffix.

    Pictures and recordings are in base64, texts as they are.

    The first seed of every entry comes before second ones, and the best entries before others,
    until ``PICTURE_BYTES`` are full.
    """
    kinds = {
        "samples": results.pictures,
        "neighbours": results.neighbours,
        "interpolation": results.interpolations,
    }
    position = {row.trial: i for i, row in enumerate(results.rows)}
    chosen: dict[int, dict[str, dict[str, str]]] = {}
    room = PICTURE_BYTES
    for trial in _by_importance(tables):
        media = {name: of[trial] for name, of in kinds.items() if trial in of}
        room -= sum(len(content) for files in media.values() for content in files.values())
        if room < 0:
            break
        if media:
            chosen[position[trial]] = {name: _encoded(files) for name, files in media.items()}
    return chosen


def _encoded(files: Media) -> dict[str, str]:
    return {
        suffix: content.decode("utf-8", "replace")
        if suffix == "txt"
        else base64.b64encode(content).decode()
        for suffix, content in files.items()
    }


def _by_importance(tables: Sequence[Table]) -> Iterable[str]:
    ranked = [
        (seed, place, trial)
        for table in tables
        for place, line in enumerate(table.lines)
        for seed, trial in enumerate(line.trials)
    ]
    return dict.fromkeys(trial for _, _, trial in sorted(ranked, key=lambda each: each[:2]))
