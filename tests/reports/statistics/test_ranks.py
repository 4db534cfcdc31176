import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support.rows import failed, make_row

from harness.row import Measurement
from harness_reports.statistics.observations import observations
from harness_reports.statistics.ranks import bars, critical_difference, friedman, ranks


def trials(figures, **changes):
    return [
        make_row(model, fid, seed=seed, **changes)
        for model, fids in figures.items()
        for seed, fid in enumerate(fids)
    ]


def test_ranks_are_means_over_data_sets_and_seeds():
    rows = [
        *trials({"vae": (3.0, 1.0), "ddpm": (1.0, 2.0), "dcgan": (2.0, 3.0)}),
        *trials({"vae": (9.0,), "ddpm": (8.0,), "dcgan": (7.0,)}, dataset="mnist", fingerprint="e"),
    ]
    found = ranks(observations(rows, "fid"))
    assert found.mean.to_dict() == pytest.approx({"ddpm": 5 / 3, "dcgan": 2.0, "vae": 7 / 3})
    assert len(found.blocks) == 3 and found.left_out == 0


def test_ties_are_averaged_and_higher_is_better_where_it_is():
    rows = trials({"vae": (2.0,), "ddpm": (2.0,), "dcgan": (5.0,)})
    assert ranks(observations(rows, "fid")).mean.to_dict() == {
        "vae": 1.5,
        "ddpm": 1.5,
        "dcgan": 3.0,
    }
    best = make_row(
        "nice", metrics={"is": Measurement(value=9, protocol=rows[0].metrics["is"].protocol)}
    )
    assert ranks(observations([*rows, best], "is")).mean["nice"] == 1.0


def test_trials_without_a_figure_come_last_and_are_counted():
    rows = [
        *trials({"vae": (3.0, 3.0), "ddpm": (1.0,), "dcgan": (2.0,)}),
        failed("ddpm", "diverged", "NaN", seed=1),
        make_row("dcgan", seed=1, metrics={"fid": Measurement(value=None, reason="NaN")}),
    ]
    found = ranks(observations(rows, "fid"))
    assert found.blocks.iloc[1].to_dict() == {"vae": 1.0, "ddpm": 2.5, "dcgan": 2.5}
    assert found.failed.to_dict() == {"vae": 0, "ddpm": 1, "dcgan": 1}


def test_a_model_that_never_ends_well_is_last_everywhere():
    rows = [*trials({"vae": (3.0,), "ddpm": (1.0,)}), failed("glow", "error", "x")]
    assert ranks(observations(rows, "fid")).mean.to_dict() == {"ddpm": 1, "vae": 2, "glow": 3}


def test_a_model_that_never_has_the_figure_takes_no_part():
    rows = trials({"vae": (3.0,), "realnvp": (1.0,), "dcgan": (1.0,)})
    assert set(ranks(observations(rows, "bits_per_dim")).mean.index) == {"vae", "realnvp"}


def test_blocks_that_lack_a_trial_are_left_out_and_counted():
    rows = trials({"vae": (3.0, 3.0), "ddpm": (1.0,)})
    found = ranks(observations(rows, "fid"))
    assert len(found.blocks) == 1 and found.left_out == 1


def test_budgets_and_metrics_without_direction_are_not_ranked_together():
    rows = [*trials({"vae": (3.0,)}), make_row(budget="5k steps")]
    with pytest.raises(ValueError, match="one metric and budget"):
        ranks(observations(rows, "fid"))
    with pytest.raises(ValueError, match="no direction"):
        ranks(observations(rows[:1], "nfe"))
    empty = ranks(observations([], "fid"))
    assert empty.mean.empty and np.isnan(empty.critical_difference)


def test_friedman_is_friedmans_in_iman_and_davenports_form():
    blocks = stats.rankdata(np.random.default_rng(0).integers(6, size=(7, 4)), axis=1)
    chi2 = stats.friedmanchisquare(*blocks.T).statistic
    f = 6 * chi2 / (7 * 3 - chi2)
    assert friedman(blocks) == pytest.approx(stats.f.sf(f, 3, 18))
    assert friedman(np.tile([1.0, 2.0, 3.0], (4, 1))) == 0.0
    assert np.isnan(friedman(np.tile([2.0, 2.0, 2.0], (4, 1))))


def test_friedman_is_false_5_times_in_100():
    blocks = stats.rankdata(np.random.default_rng(0).random((1000, 12, 5)), axis=2)
    false = np.mean([friedman(block) < 0.05 for block in blocks])
    assert false == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 1000))


def test_the_critical_difference_is_demsars():
    # Table 5 and the example of section 3.2.2: q = 2.569 of 4 models, CD = 1.25 on 14 data sets.
    assert critical_difference(4, 14, 0.95) == pytest.approx(2.569 * np.sqrt(20 / 84), abs=2e-3)
    assert critical_difference(10, 30, 0.95) == pytest.approx(3.164 * np.sqrt(110 / 180), abs=2e-3)


def test_bars_join_what_lies_within_the_distance():
    mean = ranks(observations(trials({"vae": (1.0,)}), "fid")).mean
    assert bars(mean, np.nan) == ()
    spread = pd.Series({"a": 1.0, "b": 1.5, "c": 2.4, "d": 4.0})
    assert bars(spread, 1.0) == (("a", "b"), ("b", "c"))
    assert bars(spread, 5.0) == (("a", "b", "c", "d"),)
