"""What a report is made from: the rows of a benchmark with their curves and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.row import Row

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Results:
    """Everything a report may show.

    Attributes:
        benchmark: its name.
        summary: what it measures, in one line.
        source: text of the benchmark file.
        rows: one for each planned trial that has ended.
        curves: evaluations during training, one line each, with columns trial, label, model, seed,
            weights ("averaged" or "raw"), fraction (of the budget), seconds, flops, images, steps,
            and one column a metric ("fid", ...). Empty with these columns where there are none.
        pictures: PNG of a grid of samples for each trial that has one.
    """

    benchmark: str
    summary: str
    source: str
    rows: tuple[Row, ...]
    curves: pd.DataFrame
    pictures: dict[str, bytes]
