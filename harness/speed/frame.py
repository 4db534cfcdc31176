"""Speeds as a tidy frame: one line per model and batch size."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import UserError
from harness.measurement.sampling import SamplingCost
from harness.metrics.speed import summarise
from harness.speed.sweep import Cost, Sweep

COLUMNS = (
    "model",
    "dataset",
    "device",
    "threads",
    "batch_size",
    "images_per_second",
    "spread",
    "seconds",
    "p95",
    "repetitions",
    "cold_start",
    "peak_memory",
    "nfe",
    "flops_per_image",
    "uncounted",
    "parameters",
    "ended",
)
"""Seconds, p95 (of one call) and cold_start in seconds; spread in images/s; memory in bytes;
uncounted operators as JSON, with their calls per batch."""


def sweeps_frame(sweeps: Iterable[Sweep]) -> pd.DataFrame:
    """Return the frame of sweeps; "ended" gives on the last line the reason why the sweep ended."""
    return pd.DataFrame([line for sweep in sweeps for line in _lines(sweep)], columns=COLUMNS)


def read_benchmarks(path: Path | str) -> pd.DataFrame:
    """Return the frame of a file of ``--benchmark-json``, or of a run saved for comparisons.

    Peak memory is missing, because all models share a process, and so is the cold start. Saved runs
    have the quartiles of their timings alone, unless ``--benchmark-save-data`` asked for more: then
    p95 is missing too.

    Raises:
        UserError: the file is not of that suite.
    """
    try:
        benchmarks = json.loads(Path(path).read_text(encoding="utf-8"))["benchmarks"]
        return pd.DataFrame([_benchmark(found) for found in benchmarks], columns=COLUMNS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not what 'pytest --pyargs harness.speed' writes: "
            f"{type(error).__name__}: {error}"
        ) from error


def costs(cost: SamplingCost | Cost) -> dict[str, Any]:
    """Return the columns of the cost of sampling."""
    uncounted = json.dumps(cost.uncounted) if cost.uncounted else None
    return {"nfe": cost.evaluations, "flops_per_image": cost.flops, "uncounted": uncounted}


def _lines(sweep: Sweep) -> list[dict[str, Any]]:
    request, cost = sweep.request, sweep.cost
    known: dict[str, Any] = {"model": request.model, "dataset": request.dataset}
    known["device"] = request.device
    if cost:
        known |= {"cold_start": cost.cold_start, "parameters": cost.parameters}
        known |= costs(cost)
    lines = [
        known | vars(step.speed) | {"peak_memory": step.peak_memory, "ended": ""}
        for step in sweep.steps
    ] or [known]
    lines[-1]["ended"] = sweep.ended
    return lines


def _benchmark(found: dict[str, Any]) -> dict[str, Any]:
    extra: dict[str, Any] = found["extra_info"]
    n, stats = extra["batch_size"], found["stats"]
    speed = vars(summarise(n, stats["data"])) if "data" in stats else _of_quartiles(n, stats)
    return speed | extra | {"ended": ""}


def _of_quartiles(n: int, stats: dict[str, Any]) -> dict[str, Any]:
    """Return the speed of ``n`` images per call; quartiles of times swap for images/s."""
    return {
        "seconds": stats["median"],
        "images_per_second": n / stats["median"],
        "spread": n / stats["q1"] - n / stats["q3"],
        "repetitions": stats["rounds"],
    }
