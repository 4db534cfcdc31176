"""Mean ranks over data sets and seeds, and which of them differ (J. Demsar, JMLR 7, 2006).

A block is one seed of one table: within it the models are ranked, 1 the best, ties averaged, and a
trial without a figure comes last (several share the last places). Nothing else is imputed: a block
in which some model has not been run is left out, and counted. A model whose trials all ended well
and none of which has the figure (a GAN's likelihood) takes no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from harness_reports.statistics.intervals import LEVEL
from harness_reports.statistics.observations import direction

BLOCK = ["table", "dataset", "heading", "kind", "seed"]


@dataclass(frozen=True)
class Ranks:
    """Mean ranks and the tests on them.

    Attributes:
        mean: mean rank by label, the best first.
        blocks: rank of each label (columns) in each block (lines).
        left_out: blocks in which some model has no trial yet.
        failed: how often a label has no figure and was ranked last, by label.
        p_value: of Friedman's test that all models rank alike, in Iman and Davenport's form.
        critical_difference: Nemenyi's: mean ranks at least so far apart differ; NaN without blocks.
        bars: the largest runs of labels whose mean ranks lie closer together than that.
    """

    mean: pd.Series[float]
    blocks: pd.DataFrame
    left_out: int
    failed: pd.Series[int]
    p_value: float
    critical_difference: float
    bars: tuple[tuple[str, ...], ...]


def ranks(observations: pd.DataFrame, level: float = LEVEL) -> Ranks:
    """Rank the models of one metric over all tables and seeds of one budget.

    The verdict is on these data sets: blocks that differ only in the seed show how a model would do
    if trained again, not on other data.

    Args:
        observations: of one metric and budget; see ``observations``.
        level: of the critical difference.

    Raises:
        ValueError: there are several metrics or budgets, or the metric has no direction.
    """
    metrics, budgets = set(observations["metric"]), set(observations["budget"])
    if len(metrics) > 1 or len(budgets) > 1:
        raise ValueError(f"ranks are of one metric and budget, not of {metrics} and {budgets}")
    better = direction(observations, next(iter(metrics))) if metrics else "lower"
    if better is None:
        raise ValueError(f"{next(iter(metrics))} has no direction")
    figures, present = _figures(_participants(observations))
    complete = present.all(axis=1)
    figures = figures[complete]
    worst = np.inf if better == "lower" else -np.inf
    blocks = figures.fillna(worst).rank(axis=1, ascending=better == "lower")
    mean = blocks.mean().sort_values(kind="stable")
    distance = critical_difference(len(mean), len(blocks), level)
    return Ranks(
        mean=mean,
        blocks=blocks,
        left_out=int((~complete).sum()),
        failed=figures.isna().sum(),
        p_value=friedman(blocks.to_numpy(float)),
        critical_difference=distance,
        bars=bars(mean, distance),
    )


def friedman(blocks: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    """Return the p-value that all columns rank alike, corrected for ties; NaN without a test.

    Iman and Davenport's F, which is less conservative than Friedman's chi-squared.

    Args:
        blocks: (blocks, models) of ranks.
    """
    n, k = blocks.shape
    centre = n * k * (k + 1) ** 2 / 4
    spread = (blocks**2).sum() - centre
    if n < 2 or k < 2 or spread == 0:
        return float("nan")
    statistic = (k - 1) * ((blocks.sum(axis=0) ** 2).sum() - n * centre) / spread
    remaining = n * (k - 1) - statistic
    if remaining < 1e-9 * n * k:
        return 0.0
    return float(fdtrc(k - 1, (k - 1) * (n - 1), (n - 1) * statistic / remaining))


def critical_difference(models: int, blocks: int, level: float = LEVEL) -> float:
    """Return Nemenyi's q sqrt(k (k + 1) / 6N), q Student's range by sqrt(2); NaN for k or N < 2."""
    if models < 2 or blocks < 2:
        return float("nan")
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(level, models, np.inf)) / np.sqrt(2)
    return float(quantile * np.sqrt(models * (models + 1) / (6 * blocks)))


def bars(mean: pd.Series[float], distance: float) -> tuple[tuple[str, ...], ...]:
    """Return the largest runs of two or more labels within ``distance`` of each other."""
    labels, values = [str(label) for label in mean.index], mean.to_numpy(float)
    found: list[tuple[str, ...]] = []
    reached = 0
    for start in range(len(values)):
        end = int(np.searchsorted(values, values[start] + distance, side="left"))
        if np.isfinite(distance) and end - start > 1 and end > reached:
            found.append(tuple(labels[start:end]))
            reached = end
    return tuple(found)


def _participants(observations: pd.DataFrame) -> pd.DataFrame:
    """Leave out models whose successful trials never have the figure."""
    if observations.empty:
        return observations
    by_label = observations.groupby("label", sort=False)
    measured = by_label["value"].count() > 0
    ended_well = set(observations.loc[observations["status"] == "ok", "label"])
    taking_part = measured | ~measured.index.isin(ended_well)
    return observations[observations["label"].map(taking_part)]


def _figures(observations: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return mean figures, blocks by labels, NaN for none, and whether there is a trial at all."""
    cells = observations.groupby([*BLOCK, "label"], sort=False)["value"]
    means = cells.mean().unstack("label")
    present = cells.size().unstack("label").notna()
    return means, present
