"""Comparison of models: differences paired by data set and seed, with tests.

A single pair chosen beforehand has Student's paired interval and test (``compare``). All pairs of a
table (``pairwise``) are a family: Holm's step-down procedure keeps the chance of even one false
verdict in the family below 1 - level (S. Holm, Scandinavian Journal of Statistics 6, 1979). With
three seeds and many pairs a variance of two degrees of freedom each would separate almost nothing,
so variances are moderated towards what the pairs have in common (G. Smyth, Statistical Applications
in Genetics and Molecular Biology 3, 2004).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import polygamma, psi, stdtr

from harness_reports.columns import Better
from harness_reports.statistics.intervals import LEVEL, half_width, seed_means
from harness_reports.statistics.observations import COMPARABLE, direction

Array = NDArray[np.float64]
FEWEST_PAIRS = 3
BETTER, WORSE, HIGHER, LOWER = "better", "worse", "higher", "lower"
ALIKE = "cannot be told apart"
TOO_FEW = "too few seeds"
PAIRS = (*COMPARABLE, "dataset", "a", "b")
MEANS = ("mean_a", "mean_b")
RESULTS = ("difference", "error", "low", "high", "p_value", "pairs", "unpaired", "verdict")


@dataclass(frozen=True)
class Values:
    """Figures that may be compared with each other.

    Attributes:
        identity: metric, table, heading, kind and data set.
        labels: of the entries.
        figures: (entries, seeds), means over sets, NaN if missing.
        better: the direction of the metric; None if it has none.
    """

    identity: dict[str, Any]
    labels: NDArray[Any]
    figures: Array
    better: Better | None


@dataclass(frozen=True)
class Differences:
    """Differences of pairs of entries over seeds; arrays have one element per pair.

    Attributes:
        a: index of the first entry.
        b: index of the second.
        mean: of a - b over the seeds that both have.
        variance: of a - b, with n - 1 degrees of freedom.
        seeds: n.
        unpaired: seeds that only one of them has.
    """

    a: NDArray[np.intp]
    b: NDArray[np.intp]
    mean: Array
    variance: Array
    seeds: Array
    unpaired: NDArray[np.intp]


def compare(observations: pd.DataFrame, a: str, b: str, level: float = LEVEL) -> pd.DataFrame:
    """Return how entry ``a`` differs from ``b``, one line for each set of comparable figures.

    Returns:
        Columns ``PAIRS``, ``MEANS`` and ``RESULTS``: ``difference`` is the mean of a - b over the
        seeds that both have a figure for, and ``mean_a`` and ``mean_b`` are of the same seeds;
        ``unpaired`` counts the seeds that only one of them has;
        ``verdict`` is of ``a``: "better" or "worse" ("higher" or "lower" where neither is),
        "cannot be told apart", or "too few seeds" with fewer than three pairs. ``p_value`` is of
        this pair alone: see ``pairwise`` for a family of them.
    """
    chosen = observations[observations["label"].isin([a, b])]
    lines = [_compare(values, a, b, level) for values in _comparable(chosen)]
    return pd.DataFrame([line for line in lines if line], columns=[*PAIRS, *MEANS, *RESULTS])


def pairwise(observations: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Return how each entry differs from each other one, one line per pair, as ``compare`` does.

    All pairs of one table, column and kind are a family. ``p_adjusted`` is Holm's, and the verdicts
    follow it; ``low`` and ``high`` are of the one pair, unadjusted. Variances are moderated.
    """
    frames = [_pairwise(values, level) for values in _comparable(observations)]
    if not frames:
        return pd.DataFrame(columns=[*PAIRS, *RESULTS, "p_adjusted"])
    return pd.concat(frames, ignore_index=True)


def verdicts(
    better: Better | None, difference: Array, p_value: Array, seeds: Array, level: float = LEVEL
) -> list[str]:
    """Return the verdict for the first of each pair, by the direction of the metric."""
    more, less = {"higher": (BETTER, WORSE), "lower": (WORSE, BETTER)}.get(
        better or "", (HIGHER, LOWER)
    )
    words = np.where(difference > 0, more, less)
    words = np.where(p_value < 1 - level, words, ALIKE)
    return [str(word) for word in np.where(seeds < FEWEST_PAIRS, TOO_FEW, words)]


def holm(p_values: Array) -> Array:
    """Return p-values adjusted for their number: the largest (m - i) p_(i) so far, at most 1."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return adjusted


def moderated(variances: Array, freedom: Array, entries: int) -> tuple[Array, Array]:
    """Return variances shrunk towards what they have in common, with their degrees of freedom.

    With s^2 ~ s0^2 F(d, d0), the posterior is (d0 s0^2 + d s^2) / (d0 + d) with d0 + d degrees of
    freedom; d0 and s0^2 are fitted to the mean and the variance of log s^2. Smyth fits them to
    thousands of genes. Here they rest on k entries, so d0 is at most (k - 1) / 2: with more,
    simulation shows more false verdicts than nominal.

    Args:
        variances: s^2 of each pair.
        freedom: d of each pair.
        entries: k, how many entries the pairs are of.
    """
    usable = (variances > 0) & (freedom > 0)
    if entries < 3 or usable.sum() < 3:
        return variances, freedom
    s2, d = variances[usable], freedom[usable]
    logs = np.log(s2) - psi(d / 2) + np.log(d / 2)
    excess = logs.var(ddof=1) - polygamma(1, d / 2).mean()
    prior = 2 * _inverse_trigamma(excess) if excess > 0 else np.inf
    centre = logs.mean() + (psi(prior / 2) - np.log(prior / 2) if np.isfinite(prior) else 0.0)
    prior = min(prior, (entries - 1) / 2)
    total = prior + freedom
    shrunk = (prior * np.exp(centre) + freedom * variances) / total
    return np.where(freedom > 0, shrunk, variances), np.where(freedom > 0, total, freedom)


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value by Newton's method on 1 / trigamma, which is nearly linear."""
    x = 0.5 + 1 / value
    for _ in range(50):
        slope = polygamma(1, x)
        step = slope * (1 - slope / value) / polygamma(2, x)
        x += step
        if abs(step) < 1e-10 * x:
            break
    return float(x)


def _comparable(observations: pd.DataFrame) -> Iterator[Values]:
    names = [*COMPARABLE, "dataset"]
    for key, group in seed_means(observations).groupby(names, sort=False):
        entry, labels = pd.factorize(group["label"])
        seed, seeds = pd.factorize(group["seed"])
        figures = np.full((len(labels), len(seeds)), np.nan)
        figures[entry, seed] = group["mean"]
        identity = dict(zip(names, key, strict=True))
        better = direction(observations, str(identity["metric"]))
        yield Values(identity, np.asarray(labels, object), figures, better)


def _differences(values: Array) -> Differences:
    """Return the differences of all pairs of rows of ``values`` (entries, seeds), NaN for none."""
    a, b = np.triu_indices(len(values), 1)
    apart = values[a] - values[b]
    both = np.isfinite(apart)
    seeds = both.sum(axis=1).astype(float)
    mean = _divide(np.where(both, apart, 0.0).sum(axis=1), seeds)
    squares = np.where(both, apart - mean[:, None], 0.0) ** 2
    known = np.isfinite(values)
    unpaired = (known[a] ^ known[b]).sum(axis=1)
    return Differences(a, b, mean, _divide(squares.sum(axis=1), seeds - 1), seeds, unpaired)


def _divide(numerator: Array, denominator: Array) -> Array:
    nothing = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=nothing, where=denominator > 0)


def _compare(values: Values, a: str, b: str, level: float) -> dict[str, Any]:
    places = {label: i for i, label in enumerate(values.labels)}
    if a not in places or b not in places:
        return {}
    figures = values.figures[[places[a], places[b]]]
    found = _differences(figures)
    lines = _results(found, found.variance, found.seeds - 1, level)
    lines["verdict"] = verdicts(values.better, found.mean, lines["p_value"], found.seeds, level)
    paired = figures[:, np.isfinite(figures).all(axis=0)]
    mean_a, mean_b = paired.mean(axis=1) if paired.size else (np.nan, np.nan)
    means = {"a": a, "b": b, "mean_a": mean_a, "mean_b": mean_b}
    return values.identity | means | {name: line[0] for name, line in lines.items()}


def _pairwise(values: Values, level: float) -> pd.DataFrame:
    found = _differences(values.figures)
    variance, freedom = moderated(found.variance, found.seeds - 1, len(values.labels))
    lines = _results(found, variance, freedom, level)
    tested = found.seeds >= FEWEST_PAIRS
    adjusted = np.full(len(tested), np.nan)
    adjusted[tested] = holm(lines["p_value"][tested])
    lines["p_adjusted"] = adjusted
    lines["verdict"] = verdicts(values.better, found.mean, adjusted, found.seeds, level)
    names = {"a": values.labels[found.a], "b": values.labels[found.b]}
    return pd.DataFrame(values.identity | names | lines, columns=[*PAIRS, *RESULTS, "p_adjusted"])


def _results(found: Differences, variance: Array, freedom: Array, level: float) -> dict[str, Any]:
    error = np.sqrt(_divide(variance, found.seeds))
    margin = half_width(error, freedom, level)
    return {
        "difference": found.mean,
        "error": error,
        "low": found.mean - margin,
        "high": found.mean + margin,
        "p_value": _p_values(found.mean, error, freedom),
        "pairs": found.seeds.astype(int),
        "unpaired": found.unpaired,
    }


def _p_values(difference: Array, error: Array, freedom: Array) -> Array:
    """Return two-sided p-values of Student; without any spread 0, or 1 if nothing differs."""
    exact = np.where(difference == 0, 1.0, 0.0)
    ratio = np.divide(-abs(difference), error, out=np.zeros_like(error), where=error > 0)
    degrees = np.where(freedom > 0, freedom, np.nan)
    p = np.where(error > 0, 2 * stdtr(degrees, ratio), exact)
    return np.where(np.isfinite(error) & (freedom > 0), p, np.nan)
