"""Pareto fronts: the models that no other beats in quality without costing more."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness_reports.columns import COSTS, HEADINGS, IMAGES, METRICS, Better, column

COST_DIRECTIONS: dict[str, Better] = {
    **{column("images_per_second", kind).heading: "higher" for kind in (IMAGES, *HEADINGS)},
    **{column("flops_per_image", kind).heading: "lower" for kind in (IMAGES, *HEADINGS)},
    METRICS["nfe"].heading: "lower",
    **{cost.heading: "lower" for cost in COSTS.values()},
}
"""The direction of each cost of a leaderboard, by heading."""


def pareto_front(figures: pd.DataFrame, better: Mapping[str, Better]) -> pd.Series[bool]:
    """Return which lines no other line dominates: as good in all columns, and better in one.

    A line with a missing figure is not on the front, and dominates none.

    Args:
        figures: one line per model, for example a leaderboard.
        better: the columns to weigh, each with its direction.
    """
    signs = [1.0 if direction == "higher" else -1.0 for direction in better.values()]
    values = figures[list(better)].to_numpy(float) * signs
    known: NDArray[np.bool_] = np.all(np.isfinite(values), axis=1)
    values = np.where(known[:, None], values, -np.inf)
    as_good = (values[:, None] >= values[None]).all(axis=2)
    strictly = (values[:, None] > values[None]).any(axis=2)
    return pd.Series(known & ~(as_good & strictly).any(axis=0), index=figures.index)


def trade_off(leaderboard: pd.DataFrame, quality: str, cost: str) -> pd.DataFrame:
    """Return quality against a cost for the models of a leaderboard, and which are on the front.

    Args:
        leaderboard: see ``harness_reports.leaderboard``.
        quality: heading of a ranked metric, for example "FID"; its direction is that of "FID
            better".
        cost: heading of a cost, of ``COST_DIRECTIONS``, for example "images/s" or "Training FLOPs".

    Returns:
        ``Dataset``, ``Table``, ``Model``, both headings and ``front``, which is found for each
        table by itself, and for device time for each machine; sorted by cost.

    Raises:
        KeyError: one of the headings has no direction.
    """
    better = {quality: _direction(leaderboard, quality), cost: COST_DIRECTIONS[cost]}
    models = leaderboard[leaderboard["Role"] == "model"].dropna(subset=[quality, cost])
    points = models[["Dataset", "Table", "Model", quality, cost]].copy()
    machine = models.get(f"{cost} note", pd.Series(index=models.index, dtype=object)).fillna("")
    apart = points.groupby(["Table", machine], sort=False)
    fronts = [pareto_front(group, better) for _, group in apart]
    points["front"] = pd.concat(fronts) if fronts else pd.Series(dtype=bool)
    return points.sort_values(["Table", cost], ignore_index=True)


def _direction(leaderboard: pd.DataFrame, heading: str) -> Better:
    known = leaderboard.get(f"{heading} better", pd.Series(dtype=object)).dropna()
    if not known.empty:
        direction: Better = known.iloc[0]
        return direction
    return {column.heading: column.better for column in METRICS.values() if column.better}[heading]
