import numpy as np
import pytest
from scipy import stats
from support.observed import observed, trained
from support.rows import failed, make_row

from harness.row import Measurement
from harness_reports.statistics.intervals import intervals
from harness_reports.statistics.observations import observations


def coverage(seeds, sets, within, repetitions, seed=0):
    figures = trained(np.random.default_rng(seed), (1, repetitions, seeds, sets), within)
    found = intervals(observed(figures))
    return ((found["low"] <= 0) & (found["high"] >= 0)).mean()


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("sets", "within"), [(1, 0.5), (3, 0.5), (5, 2.0)])
def test_95_of_100_intervals_hold_the_truth(seeds, sets, within):
    repetitions = 2000
    four_errors = 4 * np.sqrt(0.95 * 0.05 / repetitions)
    assert coverage(seeds, sets, within, repetitions) == pytest.approx(0.95, abs=four_errors)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize(("sets", "within"), [(1, 0.5), (2, 1.0), (3, 0.5), (5, 2.0)])
def test_95_of_100_intervals_hold_the_truth_to_the_third_decimal(seeds, sets, within):
    assert coverage(seeds, sets, within, 100_000) == pytest.approx(0.95, abs=0.003)


def test_percentiles_of_a_bootstrap_over_three_seeds_would_not():
    """Why there is none: 75 of 100, and drawing sets too does not mend it."""
    rng = np.random.default_rng(0)
    figures = trained(rng, (1, 1000, 3, 3))[0]
    drawn = rng.integers(3, size=(400, 3))
    means = figures.mean(axis=2)[:, drawn].mean(axis=2)
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    assert 0.7 < ((low <= 0) & (high >= 0)).mean() < 0.8
    drawn_sets = rng.integers(3, size=(400, 3, 3))
    means = figures[:, drawn[:, :, None], drawn_sets].mean(axis=(2, 3))
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    assert 0.7 < ((low <= 0) & (high >= 0)).mean() < 0.82


def test_the_interval_is_students_on_the_means_of_seeds():
    figures = trained(np.random.default_rng(1), (1, 1, 4, 3))
    line = intervals(observed(figures)).iloc[0]
    means = figures[0, 0].mean(axis=1)
    expected = stats.t.interval(0.95, 3, means.mean(), stats.sem(means))
    assert (line["low"], line["high"]) == pytest.approx(expected)
    assert line["error"] == pytest.approx(stats.sem(means))
    assert (line["basis"], line["seeds"], line["sets"]) == ("seeds", 4, 12)


def test_its_standard_error_is_the_corrected_bootstraps():
    figures = trained(np.random.default_rng(2), (1, 1, 5, 2))
    means = figures[0, 0].mean(axis=1)
    drawn = np.random.default_rng(0).integers(5, size=(200_000, 5))
    spread = means[drawn].mean(axis=1).std() * np.sqrt(5 / 4)
    assert intervals(observed(figures))["error"].item() == pytest.approx(spread, rel=0.01)


def test_one_seed_has_an_interval_over_its_sets_and_says_so():
    line = intervals(observed(np.array([[[[1.0, 2.0, 4.0]]]]))).iloc[0]
    expected = stats.t.interval(0.95, 2, 7 / 3, stats.sem([1, 2, 4]))
    assert (line["low"], line["high"]) == pytest.approx(expected)
    assert line["basis"] == "sets" and np.isnan(line["between"])


def test_one_set_of_one_seed_has_none():
    line = intervals(observed(np.array([[[[1.0]]]]))).iloc[0]
    assert line["mean"] == 1.0 and line["basis"] == ""
    assert np.isnan([line["low"], line["high"], line["error"]]).all()


def test_components_of_the_variance_are_unbiased():
    figures = trained(np.random.default_rng(3), (1, 20_000, 4, 3), within=1.5, scale=2.0)
    found = intervals(observed(figures))
    assert found["within"].mean() == pytest.approx(1.5**2, rel=0.02)
    assert found["between"].mean() == pytest.approx(2.0**2, rel=0.03)


def test_no_spread_between_seeds_is_nought_not_negative():
    figures = trained(np.random.default_rng(4), (1, 500, 3, 3), within=1.0, scale=0.0)
    found = intervals(observed(figures))
    assert (found["between"] >= 0).all() and (found["between"] == 0).mean() > 0.4


def test_seeds_of_unequal_numbers_of_sets_weigh_alike():
    rows = [
        make_row(metrics={"fid": Measurement(value=2.0, sets=(1.0, 3.0))}),
        make_row(seed=1, metrics={"fid": Measurement(value=5.0)}),
        make_row(seed=2, metrics={"fid": Measurement(value=5.0, sets=(4.0, 5.0, 6.0))}),
        failed("vae", "killed", "-9", seed=3),
    ]
    line = intervals(observations(rows, "fid")).iloc[0]
    assert line["mean"] == 4.0 and line["seeds"] == 3 and line["sets"] == 6
    assert line["error"] == pytest.approx(1.0)
    # (2 + 0 + 2) / (1 + 0 + 2) degrees of freedom.
    assert line["within"] == pytest.approx(4 / 3)
    assert line["between"] == pytest.approx(3 - 4 / 3 * (1 / 2 + 1 + 1 / 3) / 3)


def test_what_is_not_finite_has_no_interval():
    rows = [make_row(fid=np.inf), make_row(fid=1.0, seed=1), make_row("ddpm", 2.0)]
    found = intervals(observations(rows, "fid")).reset_index("label").set_index("label")
    assert np.isnan(found.loc["vae", ["low", "high"]].astype(float)).all()
    assert found.loc["ddpm", "mean"] == 2.0
