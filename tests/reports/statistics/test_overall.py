import numpy as np
import pytest
from scipy import stats
from support.observed import observed, trained

from harness_reports.statistics.overall import overall


def figures(rng, tables, seeds):
    """Return figures of two models alike, on data sets whose scales and spreads differ."""
    logs = trained(rng, (tables, 2, seeds, 1), 0.0) * rng.uniform(0.02, 0.3, (tables, 1, 1, 1))
    return np.exp(logs) * rng.lognormal(0, 2, (tables, 1, 1, 1))


@pytest.mark.parametrize(
    "repetitions", [60, pytest.param(3000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_95_of_100_intervals_hold_the_truth(repetitions):
    rng = np.random.default_rng(0)
    found = [overall(observed(figures(rng, 4, 3)), "m0", "m1") for _ in range(repetitions)]
    held = np.mean([ratio.low <= 1 <= ratio.high for ratio in found])
    false = np.mean([ratio.verdict != "cannot be told apart" for ratio in found])
    # Satterthwaite's freedom is an approximation: the bound is three errors and one in a hundred.
    assert held > 0.94 - 3 * np.sqrt(0.05 * 0.95 / repetitions)
    assert false == pytest.approx(1 - held)


def test_two_tables_of_equal_spread_are_welchs_test():
    logs = np.array([[[0.1, 0.3, 0.2], [0.0, 0.0, 0.0]], [[0.5, 0.9, 0.4], [0.0, 0.0, 0.0]]])
    ratio = overall(observed(np.exp(logs)[..., None]), "m0", "m1")
    a, b = logs[0, 0], logs[1, 0]
    # The mean of two means has the error of half their sum, as Welch's test of a against -b has.
    interval = stats.ttest_ind(a, -b, equal_var=False).confidence_interval(0.95)
    assert ratio.ratio == pytest.approx(np.exp((a.mean() + b.mean()) / 2))
    assert (ratio.low, ratio.high) == pytest.approx(tuple(np.exp(np.array(interval) / 2)))
    assert (ratio.tables, ratio.pairs) == (2, 6)


def test_there_is_none_without_two_tables_positive_figures_and_two_seeds():
    rng = np.random.default_rng(0)
    assert overall(observed(figures(rng, 1, 3)), "m0", "m1") is None
    assert overall(observed(figures(rng, 2, 1)), "m0", "m1") is None
    assert overall(observed(-figures(rng, 2, 3)), "m0", "m1") is None
    assert overall(observed(figures(rng, 2, 3)), "m0", "m9") is None
