"""Two models over several data sets with different scales: by ratios."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtr

from harness_reports.statistics.comparisons import verdicts
from harness_reports.statistics.intervals import LEVEL, half_width, seed_means
from harness_reports.statistics.observations import COMPARABLE, direction


@dataclass(frozen=True)
class Ratio:
    """The geometric mean over data sets of a's figure over b's.

    Attributes:
        ratio: above 1 where a's is larger.
        low: of the interval.
        high: of the interval.
        tables: how many data sets.
        pairs: seeds of all of them.
        verdict: of a, as ``compare`` has it.
    """

    ratio: float
    low: float
    high: float
    tables: int
    pairs: int
    verdict: str


def overall(observations: pd.DataFrame, a: str, b: str, level: float = LEVEL) -> Ratio | None:
    """Return the ratio of a to b over all tables that have both, or None if it is undefined.

    With d_t the mean over seeds of log a - log b in table t, paired by seed, the estimate is the
    mean of all d_t and its variance is sum_t (s_t^2 / n_t) / T^2, with Welch and Satterthwaite's
    degrees of freedom. The tables are these, not a sample of all there might be.

    It is undefined for fewer than two tables, figures that are not all positive, or a table with
    a single pair.

    Args:
        observations: of one metric and budget.
        a: an entry.
        b: another.
        level: of the interval.
    """
    means = seed_means(observations[observations["label"].isin([a, b])])
    figures = means.pivot_table(index=[*COMPARABLE, "seed"], columns="label", values="mean")
    if not {a, b} <= set(figures.columns):
        return None
    both = figures[np.isfinite(figures[a]) & np.isfinite(figures[b])]
    if (both[a] <= 0).any() or (both[b] <= 0).any():
        return None
    logs = (np.log(both[a]) - np.log(both[b])).groupby(COMPARABLE)
    seeds, variances = logs.size().to_numpy(float), logs.var().to_numpy(float)
    if len(seeds) < 2 or (seeds < 2).any():
        return None
    shares = variances / seeds / len(seeds) ** 2
    error = np.sqrt(shares.sum())
    freedom = shares.sum() ** 2 / (shares**2 / (seeds - 1)).sum() if error > 0 else np.inf
    mean = float(logs.mean().mean())
    margin = float(half_width(error, freedom, level)) if error > 0 else 0.0
    p_value = 2 * stdtr(freedom, -abs(mean) / error) if error > 0 else float(mean == 0)
    verdict = verdicts(
        direction(observations, str(observations["metric"].iloc[0])),
        np.array([mean]),
        np.array([p_value]),
        np.array([seeds.sum()]),
        level,
    )
    low, high = np.exp([mean - margin, mean + margin])
    return Ratio(
        float(np.exp(mean)), float(low), float(high), len(seeds), int(seeds.sum()), verdict[0]
    )
