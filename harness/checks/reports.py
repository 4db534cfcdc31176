"""Checks of a report format: it writes whatever rows there are, and the same bytes each time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from harness.checks.outcome import BoundCheck
from harness.publishing.manifest import sha256
from harness.results import CURVE_COLUMNS, Results
from harness.row import Measurement, Row, Usage

Write = Callable[[Results, Path], Path]
ENDINGS = ("skipped", "diverged", "out_of_memory", "timeout", "error", "killed")
MODELS, SEEDS = 4, 2
# Names that people give their models, with characters that formats have to escape.
ODD = "a/b|c_{c}<d> & 100% $x^2$ \\ \u221e"


def report_checks(write: Write) -> list[BoundCheck]:
    """Return the checks of the format that ``write`` renders."""
    functions = (check_no_rows, check_one_row, check_many_rows, check_names, check_bytes)
    return [
        BoundCheck(
            function.__name__.removeprefix("check_"),
            (function.__doc__ or "").partition("\n")[0],
            partial(function, write),
            write,
        )
        for function in functions
    ]


def check_no_rows(write: Write) -> None:
    """A report of a benchmark without finished trials is written."""
    _written(write, results_of([]))


def check_one_row(write: Write) -> None:
    """A single trial, without a curve or a picture, is written; so is one that failed."""
    for row in (_row("first", 0), _failed("first", 0, "diverged")):
        _written(write, results_of([row]))


def check_many_rows(write: Write) -> None:
    """Seeds, data sets, references and every way for a trial to end are written together."""
    _written(write, results_of(_many()))


def check_names(write: Write) -> None:
    """Names and reasons with marks of HTML, LaTeX, Markdown and Unicode are written."""
    rows = [_row(ODD, 0), _failed(ODD, 1, "error", reason=f"{ODD}\n\x1b[31mred\x07" * 50)]
    _written(write, results_of(rows))


def check_bytes(write: Write) -> None:
    """The same results give the same bytes, with no time, path or random order in them."""
    results = results_of(_many())
    assert _written(write, results) == _written(write, results), (
        "the same results were written twice with different bytes: leave out the time and the "
        "folder, and sort unordered collections"
    )


def results_of(rows: list[Row]) -> Results:
    """Return results of ``rows``, with a curve for all that are ok except the first."""
    lines = [
        [row.trial, row.label, row.model, row.seed, "averaged", fraction, 20 * fraction]
        + [4e12 * fraction, int(3e5 * fraction), int(5000 * fraction), 300 / fraction]
        for row in rows[1:]
        if row.status == "ok"
        for fraction in (0.25, 0.5, 1.0)
    ]
    curves = pd.DataFrame(lines, columns=[*CURVE_COLUMNS, "fid"])
    return Results("checked", "Results that a format is checked with.", "", tuple(rows), curves, {})


def _written(write: Write, results: Results) -> dict[str, str]:
    """Write; return the SHA-256 of every file."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = write(results, folder)
        assert isinstance(path, Path), (
            f"it returned {path!r}; expected the path of the file that it wrote"
        )
        assert path.is_relative_to(folder), f"it wrote {path}, outside the folder that it was given"
        assert path.exists(), f"it returned {path.name}, and wrote no such file"
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): sha256(path.read_bytes()) for path in files}


def _many() -> list[Row]:
    rows = [
        _row(f"model-{i}", seed, dataset=dataset, fid=300 - 20 * i + seed)
        for dataset in ("first", "second")
        for i in range(MODELS)
        for seed in range(SEEDS)
    ]
    failed = [_failed(f"failed-{i}", 0, status) for i, status in enumerate(ENDINGS)]
    reference: dict[str, Any] = {
        "model": "real",
        "type": "",
        "budget": "",
        "usage": Usage(),
        "parameters": None,
    }
    return [*rows, *failed, _row("test set", 0, **reference)]


def _row(label: str, seed: int, dataset: str = "first", fid: float = 300.0, **changes: Any) -> Row:
    metrics = {
        "fid": Measurement(value=fid, error=2.5, protocol="1000 samples against train"),
        "bits_per_dim": Measurement(value=2.5, error=0.01, kind="lower_bound", protocol="ELBO"),
        "recall": Measurement(value=None, reason="there were too few samples"),
    }
    fields: dict[str, Any] = {
        "trial": hashlib.sha256(f"{label} {seed} {dataset}".encode()).hexdigest()[:16],
        "benchmark": "checked",
        "dataset": dataset,
        "fingerprint": "f" * 64,
        "model": "model",
        "label": label,
        "type": "autoregressive",
        "seed": seed,
        "budget": "20 device-seconds",
        "config": {"batch_size": 64},
        "status": "ok",
        "parameters": 1_200_000,
        "usage": Usage(seconds=20.0, flops=4e12, images=300_000, steps=5000, batches=5000, wall=24),
        "metrics": metrics,
        "protocol": {"features": "pixels", "samples": 1000},
        "hardware": {"fingerprint": "cpu-2", "device": "cpu"},
    }
    return Row(**fields | changes)


def _failed(label: str, seed: int, status: str, reason: str = "a loss was NaN") -> Row:
    return _row(label, seed, status=status, reason=reason, metrics={})
