"""Rows as a tidy frame: one line per trial, one column per figure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from harness.row import Row

LEADING = (
    "label",
    "model",
    "type",
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
RESERVED = frozenset((*LEADING, *USAGE, "data_kind", "hardware", "uncounted"))


def rows_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Return one line per row, with flat columns.

    A metric ``fid`` gives ``fid``, ``fid.error``, ``fid.protocol``, ``fid.kind``, ``fid.reason``
    and ``fid.sets``, the figures of its sets of samples as JSON (the last five only where some row
    has them), and a column for each of its details, such as ``bits_per_dim.k``; usage gives
    ``seconds``, ``flops``, ..., ``phases.train``; settings give ``config.*``, the protocol
    ``protocol.*``, and ``hardware`` is the machine's fingerprint.
    """
    frame = pd.DataFrame([row_line(row) for row in rows])
    frame = frame.reindex(columns=[*dict.fromkeys((*LEADING, *frame.columns))])
    return frame.astype({"seed": "Int64", "parameters": "Int64"})


def row_line(row: Row) -> dict[str, Any]:
    """Return the line of a row in ``rows_frame``."""
    line: dict[str, Any] = {name: getattr(row, name) for name in LEADING}
    for name, measurement in row.metrics.items():
        # A plugin may call its metric "seed".
        name = f"metric.{name}" if name in RESERVED else name
        line[name] = measurement.value
        apart = {"value", "sets", "details", "label", "lower_is_better"}
        satellites = measurement.details | measurement.model_dump(
            exclude=apart, exclude_defaults=True
        )
        if measurement.sets:
            satellites["sets"] = json.dumps(measurement.sets)
        line |= {f"{name}.{satellite}": value for satellite, value in satellites.items()}
    line |= {name: getattr(row.usage, name) for name in USAGE}
    line |= _prefixed("phases", row.usage.phases)
    # Rarely set: every table would have a column of zeros otherwise.
    line |= {name: lost for name in ("paused", "idle") if (lost := getattr(row.usage, name))}
    line["uncounted"] = json.dumps(row.usage.uncounted) if row.usage.uncounted else None
    line["hardware"] = machine(row)
    if row.data_kind:
        line["data_kind"] = row.data_kind
    for group in ("config", "protocol", "calibration", "digests", "provenance"):
        line |= _prefixed(group, getattr(row, group))
    return line


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{key}": value for key, value in flatten(values).items()}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one level, keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def machine(row: Row) -> str:
    """Return the fingerprint of the row's machine: its own, or a digest of its description.

    For a trial that resumed on another machine, it covers all its machines.
    """
    if machines := row.provenance.get("machines"):
        return " + ".join(map(str, machines))
    for key in ("id", "fingerprint"):
        if row.hardware.get(key):
            return str(row.hardware[key])
    if not row.hardware:
        return ""
    text = json.dumps(row.hardware, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
