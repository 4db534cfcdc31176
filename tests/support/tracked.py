"""Trials as a store of MLflow has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.rows import make_curves, png

from harness.row import Row
from harness.tracking import Tracker


def finish(results: Path, row: Row, curve: bool = True) -> Path:
    """Write a trial's folder as the store would, and return it."""
    folder = results / row.benchmark / "trials" / row.trial
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "row.json").write_text(row.model_dump_json())
    (folder / "environment.json").write_text("{}")
    (folder / "samples.png").write_bytes(png(0))
    (folder / "neighbours.wav").write_bytes(b"RIFF....WAVE")
    if curve:
        make_curves([row]).to_parquet(folder / "curve.parquet")
    return folder


def runs(tracker: Tracker, benchmark: str = "digits") -> list[Any]:
    """Return the runs that a store has of a benchmark."""
    client = tracker.client
    experiment = client.get_experiment_by_name(benchmark)
    return client.search_runs([experiment.experiment_id])
