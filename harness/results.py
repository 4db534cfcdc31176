"""What a report is made from: the rows of a benchmark with their curves and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.row import Row

if TYPE_CHECKING:
    import pandas as pd

CURVE_COLUMNS = (
    "trial",
    "label",
    "model",
    "seed",
    "weights",
    "fraction",
    "seconds",
    "flops",
    "images",
    "steps",
)


# Each is itself alone: frames have no equality, and formats share what they make of one.
@dataclass(frozen=True, eq=False)
class Results:
    """Everything a report may show.

    Attributes:
        benchmark: its name.
        summary: what it measures, in one line.
        source: text of the benchmark file.
        rows: one for each planned trial that has ended.
        curves: evaluations during training, one line each: ``CURVE_COLUMNS`` (weights: "averaged"
            or "raw"; fraction: of the budget) and one column a metric ("fid", ...).
        pictures: PNG of a grid of samples for each trial that has one.
        neighbours: PNG of the samples that look most like copies, each beside the training image
            nearest to it, for each trial that has one.
        interpolations: PNG of images between latent variables, an arc a row, for each trial that
            has one.
        logs: how the log ends of each trial that has one and did not end well.
        environments: JSON of the environment (packages, commit, Python) of each trial that has it.
    """

    benchmark: str
    summary: str
    source: str
    rows: tuple[Row, ...]
    curves: pd.DataFrame
    pictures: Mapping[str, bytes]
    neighbours: Mapping[str, bytes] = field(default_factory=dict)
    interpolations: Mapping[str, bytes] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, bytes] = field(default_factory=dict)
