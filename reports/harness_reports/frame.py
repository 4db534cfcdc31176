"""Rows as a tidy frame: one line a trial, one column a figure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from harness.results import Results
from harness.row import Row
from harness_reports.boards import flatten, machine

LEADING = (
    "label",
    "model",
    "family",
    "dataset",
    "seed",
    "status",
    "reason",
    "parameters",
    "budget",
    "benchmark",
    "trial",
    "fingerprint",
)
USAGE = (
    "seconds",
    "flops",
    "images",
    "steps",
    "batches",
    "wall",
    "overrun",
    "peak_memory",
    "starts",
)
RESERVED = frozenset((*LEADING, *USAGE, "hardware", "uncounted"))


def rows_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Return one line a row, with flat columns.

    A metric ``fid`` gives ``fid``, ``fid.error``, ``fid.protocol``, ``fid.kind`` and ``fid.reason``
    (the last four only where some row has them); usage gives ``seconds``, ``flops``, ...,
    ``phases.train``; settings give ``config.*``, the protocol ``protocol.*``, and ``hardware`` is
    the machine's fingerprint.
    """
    frame = pd.DataFrame([_line(row) for row in rows])
    frame = frame.reindex(columns=[*dict.fromkeys((*LEADING, *frame.columns))])
    return frame.astype({"seed": "Int64", "parameters": "Int64"})


def write(results: Results, folder: Path) -> Path:
    """Write every row to ``rows.csv`` in ``folder``, figures in full precision."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.csv"
    rows_frame(results.rows).to_csv(path, index=False)
    return path


def _line(row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {name: getattr(row, name) for name in LEADING}
    for name, measurement in row.metrics.items():
        # A plugin may call its metric "seed".
        name = f"metric.{name}" if name in RESERVED else name
        line[name] = measurement.value
        satellites = measurement.model_dump(exclude={"value"}, exclude_defaults=True)
        line |= {f"{name}.{satellite}": value for satellite, value in satellites.items()}
    line |= {name: getattr(row.usage, name) for name in USAGE}
    line |= _prefixed("phases", row.usage.phases)
    line["uncounted"] = json.dumps(row.usage.uncounted) if row.usage.uncounted else None
    line["hardware"] = machine(row)
    for group in ("config", "protocol", "calibration", "digests", "provenance"):
        line |= _prefixed(group, getattr(row, group))
    return line


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{key}": value for key, value in flatten(values).items()}
