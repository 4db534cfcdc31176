"""Anytime curves: quality after part of the budget, and the best model at each point.

All take the curves of one table (``Results.curves`` of its trials), and use averaged weights. Seeds
are measured at the same fractions, so they are averaged point by point. Between two points quality
is taken to be linear in the logarithm of the fraction, the scale on which points lie evenly.

A point at a fraction is the model on its way to the whole budget, with unfinished schedules. One
trained for only that fraction may be better.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness_reports.columns import column
from harness_reports.statistics.intervals import LEVEL, half_width

CURRENCIES = ("seconds", "flops", "images", "steps")


def progress(curves: pd.DataFrame, metric: str, level: float = LEVEL) -> pd.DataFrame:
    """Return quality at each fraction of the budget, over seeds: one line per label and fraction.

    Returns:
        ``label``, ``fraction``, ``mean``, ``error``, ``low``, ``high`` (NaN with one seed),
        ``seeds``, and the mean of each currency used so far. Where some seed of the label was not
        measured, ``seeds`` is smaller than elsewhere.
    """
    known = _measured(curves, metric)
    groups = known.groupby(["label", "fraction"], sort=True)
    found = groups[metric].agg(mean="mean", error="sem", seeds="size")
    margin = half_width(found["error"], found["seeds"] - 1, level)
    found = found.assign(low=found["mean"] - margin, high=found["mean"] + margin)
    used = groups[list(CURRENCIES)].mean()
    shown = found[["mean", "error", "low", "high", "seeds"]]
    points: pd.DataFrame = shown.join(used).reset_index()
    return points


def areas(curves: pd.DataFrame, metric: str, level: float = LEVEL) -> pd.DataFrame:
    """Return the normalised area under each curve: mean quality over log fraction.

    A = integral of q(f) d log f from f0 to f1, over log(f1 / f0), in the unit of the metric
    and with its direction, over the fractions that all trials which reached the end share.

    Returns:
        ``label``, ``mean``, ``error``, ``low``, ``high`` over seeds, ``seeds``, ``start``, ``end``,
        and ``left_out``: trials of the label that stopped on the way, and have no area.
    """
    known = _measured(curves, metric)
    columns = ["label", "mean", "error", "low", "high", "seeds", "start", "end", "left_out"]
    spans = known.groupby("trial")["fraction"].agg(["min", "max"])
    if spans.empty:
        return pd.DataFrame(columns=columns)
    end = spans["max"].max()
    whole = spans["max"] == end
    start = spans.loc[whole, "min"].max()
    if not start < end:
        return pd.DataFrame(columns=columns)
    ended = known["trial"].map(whole)
    within = known[ended & (known["fraction"] >= start)]
    trials = pd.DataFrame(
        [
            {"label": label, "area": _area(curve["fraction"], curve[metric])}
            for (label, _), curve in within.groupby(["label", "trial"], sort=False)
        ]
    )
    found = trials.groupby("label", sort=False)["area"].agg(mean="mean", error="sem", seeds="size")
    margin = half_width(found["error"], found["seeds"] - 1, level)
    found = found.assign(low=found["mean"] - margin, high=found["mean"] + margin)
    stopped = known[~ended].groupby("label")["trial"].nunique()
    found["left_out"] = stopped.reindex(found.index, fill_value=0)
    whole_areas: pd.DataFrame = found.reset_index().assign(start=start, end=end)
    return whole_areas[columns]


def crossings(curves: pd.DataFrame, metric: str, a: str, b: str) -> pd.DataFrame:
    """Return the fractions at which the mean curves of two labels cross, in order.

    Returns:
        ``fraction``, ``leader``, the label that is better from there on, and ``seeds``: of the
        seeds that both labels have, how many agree that it is better at the end of that stretch.
    """
    known = _measured(curves, metric)
    sign = -1.0 if column(metric).better == "lower" else 1.0
    tables = [
        known[known["label"] == label].pivot_table(index="fraction", columns="seed", values=metric)
        for label in (a, b)
    ]
    lead = (sign * (tables[0] - tables[1])).dropna(how="all").dropna(axis=1)
    fractions, mean = lead.index.to_numpy(float), lead.mean(axis=1).to_numpy(float)
    changes = _changes(mean)
    lines = []
    for position, (before, after) in enumerate(changes):
        end = changes[position + 1][0] if position + 1 < len(changes) else len(mean) - 1
        ahead = mean[after] > 0
        agree = (lead.iloc[end] > 0) == ahead
        x = np.log(fractions[[before, after]])
        share = mean[before] / (mean[before] - mean[after])
        crossed = float(np.exp(x[0] + share * (x[1] - x[0])))
        lines.append((crossed, a if ahead else b, int(agree.sum())))
    return pd.DataFrame(lines, columns=["fraction", "leader", "seeds"])


def staircase(curves: pd.DataFrame, metric: str, currency: str = "flops") -> pd.DataFrame:
    """Return the best model as a function of compute, one line per step of the staircase.

    With ``used`` of a currency a model is as good as its last measured point by then, the mean over
    its seeds; the best of all models so far leads until another is better.

    Args:
        curves: of one table; for seconds, of trials on one machine.
        metric: ranked.
        currency: "seconds", "flops", "images" or "steps".

    Returns:
        ``used``, from which on ``label`` leads with ``quality``, at its ``fraction``.
    """
    points = progress(curves, metric)
    lower = column(metric).better == "lower"
    points = points[points["seeds"] == points.groupby("label")["seeds"].transform("max")]
    points = points.sort_values([currency, "label"], kind="stable", ignore_index=True)
    so_far = points["mean"].cummin() if lower else points["mean"].cummax()
    leads = points["mean"].eq(so_far) & so_far.ne(so_far.shift())
    chosen = points[leads]
    names = {currency: "used", "mean": "quality"}
    steps = chosen[[currency, "label", "mean", "fraction"]].rename(columns=names)
    return steps.drop_duplicates("used", keep="last", ignore_index=True)


def _measured(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the points of the averaged weights with a finite figure."""
    if metric not in curves:
        return curves.iloc[:0].assign(**{metric: pd.Series(dtype=float)})
    figures = pd.to_numeric(curves[metric], errors="coerce").astype(float)
    known = np.isfinite(figures) & (curves["weights"] == "averaged") & (curves["fraction"] > 0)
    return curves[known].assign(**{metric: figures[known]})


def _area(fractions: pd.Series[float], quality: pd.Series[float]) -> float:
    order = np.argsort(fractions.to_numpy(float))
    x = np.log(fractions.to_numpy(float)[order])
    return float(np.trapezoid(quality.to_numpy(float)[order], x) / (x[-1] - x[0]))


def _changes(lead: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the points before and after each change of sign; ties go to the previous leader."""
    decided = np.flatnonzero(lead)
    flips = np.flatnonzero(np.diff(np.sign(lead[decided])))
    return [(int(decided[i]), int(decided[i + 1])) for i in flips]
