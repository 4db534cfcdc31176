"""What a report is made from: the rows of a benchmark with their curves and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.row import Row

if TYPE_CHECKING:
    import pandas as pd

Media = Mapping[str, bytes]
"""Files that show examples, by suffix: a grid of images or a spectrogram "png", moving pictures
"gif", a recording "wav", texts or the conditions of samples "txt", in UTF-8."""

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
            or "raw"; fraction: of the budget) and one column per metric ("fid", ...).
        pictures: samples of each trial that has them, as ``Media``.
        neighbours: the same of the samples that look most like copies, each beside the training
            example nearest to it.
        interpolations: the same of examples between latent variables, one arc per row.
        logs: how the log ends of each trial that has one and did not end well.
        environments: JSON of the environment (packages, commit, Python) of each trial that has it.
    """

    benchmark: str
    summary: str
    source: str
    rows: tuple[Row, ...]
    curves: pd.DataFrame
    pictures: Mapping[str, Media]
    neighbours: Mapping[str, Media] = field(default_factory=dict)
    interpolations: Mapping[str, Media] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, bytes] = field(default_factory=dict)
