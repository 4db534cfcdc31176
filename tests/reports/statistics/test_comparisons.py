import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support.observed import observed, trained
from support.rows import failed, make_row

from harness_reports.statistics.comparisons import compare, holm, moderated, pairwise
from harness_reports.statistics.observations import observations


def paired(tables, seeds, seed=0, shared=2.0):
    """Return figures of two models that are alike, with what a seed does to both."""
    rng = np.random.default_rng(seed)
    figures = trained(rng, (tables, 2, seeds, 2))
    return figures + shared * rng.standard_normal((tables, 1, seeds, 1))


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_alike_models_are_told_apart_5_times_in_100(seeds):
    found = compare(observed(paired(800, seeds)), "m0", "m1")
    four_errors = 4 * np.sqrt(0.95 * 0.05 / 800)
    false = (found["verdict"] != "cannot be told apart").mean()
    assert false == pytest.approx(0.05, abs=four_errors)
    held = ((found["low"] <= 0) & (found["high"] >= 0)).mean()
    assert held == pytest.approx(1 - false)


def false_families(models, seeds, spread, tables, seed=0):
    """Return the rate of tables of alike models in which any two are told apart."""
    rng = np.random.default_rng(seed)
    scales = np.exp(spread * rng.standard_normal((tables, models, 1, 1)))
    pairs = pairwise(observed(trained(rng, (tables, models, seeds, 1), 0.0, scales)))
    apart = pairs["verdict"] != "cannot be told apart"
    return apart.groupby(pairs["table"]).any().mean()


@pytest.mark.parametrize("spread", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("models", [3, 8])
def test_a_false_verdict_among_all_pairs_is_as_rare_as_stated(models, spread):
    three_errors = 3 * np.sqrt(0.05 * 0.95 / 150)
    assert false_families(models, 3, spread, 150) <= 0.05 + three_errors


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("models", [2, 3, 4, 6, 10, 30])
def test_a_false_verdict_among_all_pairs_is_as_rare_as_stated_thoroughly(models, seeds, spread):
    tables = 150 if models == 30 else 800
    three_errors = 3 * np.sqrt(0.05 * 0.95 / tables)
    assert false_families(models, seeds, spread, tables) <= 0.05 + three_errors


def test_six_models_that_differ_are_told_apart_with_three_seeds():
    """What variances of two degrees of freedom, unmoderated, see in one pair of four."""
    rng = np.random.default_rng(0)
    figures = trained(rng, (60, 6, 3, 1), 0.0) + 10 * np.arange(6)[:, None, None]
    assert (pairwise(observed(figures))["verdict"] == "better").mean() > 0.9


def test_what_a_seed_does_to_both_drops_out():
    lone = trained(np.random.default_rng(0), (1, 2, 3, 1), within=0.0, scale=0.1)
    lone[:, 0] += 1
    shared = lone + np.array([0.0, 50.0, -50.0])[:, None]
    first, second = (compare(observed(f), "m0", "m1").iloc[0] for f in (lone, shared))
    assert first["verdict"] == second["verdict"] == "worse"
    assert first["low"] == pytest.approx(second["low"])


def test_the_interval_and_the_test_are_the_paired_ones():
    figures = paired(1, 5, seed=7)
    line = compare(observed(figures), "m0", "m1").iloc[0]
    a, b = figures[0].mean(axis=2)
    expected = stats.ttest_rel(a, b)
    assert line["p_value"] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (line["low"], line["high"]) == pytest.approx((interval.low, interval.high))


def three(model, *fids, **changes):
    return [make_row(model, fid, seed=seed, **changes) for seed, fid in enumerate(fids)]


def verdict(rows, metric="fid"):
    return compare(observations(rows, metric), "vae", "ddpm")["verdict"].tolist()


def test_verdicts_are_of_the_first_and_know_the_direction():
    rows = [*three("vae", 3.0, 3.1, 3.2), *three("ddpm", 1.0, 1.1, 1.3)]
    assert verdict(rows) == ["worse"]
    assert compare(observations(rows, "fid"), "ddpm", "vae")["verdict"].tolist() == ["better"]
    assert verdict(three("vae", 1.0, 1.3, 0.9) + three("ddpm", 1.1, 1.2, 0.9)) == [
        "cannot be told apart"
    ]
    assert verdict(three("vae", 1.0, 2.0) + three("ddpm", 5.0, 6.0)) == ["too few seeds"]
    assert verdict(three("vae", 1, 1, 1) + three("ddpm", 1, 1, 1)) == ["cannot be told apart"]
    assert verdict(rows, "nfe") == ["cannot be told apart"]


def test_pairs_are_of_one_seed_and_one_table():
    rows = [
        *three("vae", 3.0, 3.1, 3.2, 3.3),
        *three("ddpm", 1.0, 1.1, 1.3),
        failed("ddpm", "killed", "-9", seed=3),
        *three("vae", 9.0, 9.1, 9.2, dataset="mnist", fingerprint="e"),
        *three("ddpm", 8.0, 8.1, dataset="mnist", fingerprint="e"),
        *three("ddpm", 0.0, 0.0, 0.0, budget="5k steps"),
    ]
    found = compare(observations(rows, "fid"), "vae", "ddpm").set_index("dataset")
    assert found["pairs"].to_dict() == {"digits": 3, "mnist": 2}
    assert found["unpaired"].to_dict() == {"digits": 1, "mnist": 1}
    assert found.loc["digits", "difference"] == pytest.approx((2.0 + 2.0 + 1.9) / 3)


def test_kinds_of_likelihood_are_never_compared():
    rows = [*three("vae", 1, 1, 1), *three("score-sde", 1, 1, 1)]
    assert compare(observations(rows, "bits_per_dim"), "vae", "score-sde").empty
    assert pairwise(observations(rows, "bits_per_dim")).empty


def test_holm_is_holms():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


def test_variances_move_towards_each_other_and_gain_freedom_for_it():
    variances = np.array([0.5, 1.0, 2.0, 1.1, 0.9, 1.4])
    shrunk, freedom = moderated(variances, np.full(6, 2.0), 5)
    assert np.ptp(np.log(shrunk)) < np.ptp(np.log(variances))
    assert freedom.tolist() == [4.0] * 6  # (5 - 1) / 2 more.
    assert moderated(variances[:1], np.full(1, 2.0), 2)[1].tolist() == [2.0]


def test_the_prior_of_variances_is_recovered_from_many():
    rng = np.random.default_rng(0)
    true = 9.0 * 6 / rng.chisquare(6, 20_000)
    variances = true * rng.chisquare(3, 20_000) / 3
    shrunk, freedom = moderated(variances, np.full(20_000, 3.0), 20_000)
    assert freedom[0] - 3 == pytest.approx(6, rel=0.1)
    prior = (shrunk[0] * freedom[0] - 3 * variances[0]) / (freedom[0] - 3)
    assert prior == pytest.approx(9.0, rel=0.05)


def test_nothing_to_compare_is_an_empty_frame():
    assert pairwise(observations([], "fid")).empty
    assert compare(observations([make_row()], "fid"), "vae", "ddpm").empty
    assert isinstance(pairwise(observations([make_row()], "fid")), pd.DataFrame)
