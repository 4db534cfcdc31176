import numpy as np
import pandas as pd
import pytest
from support.rows import make_curves, make_row

from harness_reports.statistics.anytime import areas, crossings, progress, staircase

FRACTIONS = (0.125, 0.25, 0.5, 1.0)


def curve(label, fids, seed=0, speed=1.0, weights="averaged"):
    """Return points at the first of FRACTIONS; a budget is 800 images, of which ``speed`` pass."""
    return pd.DataFrame(
        {
            "trial": f"{label}-{seed}",
            "label": label,
            "model": label,
            "seed": seed,
            "weights": weights,
            "fraction": FRACTIONS[: len(fids)],
            "seconds": [20.0 * f for f in FRACTIONS[: len(fids)]],
            "flops": [1e9 * f for f in FRACTIONS[: len(fids)]],
            "images": [800 * speed * f for f in FRACTIONS[: len(fids)]],
            "steps": [8 * f for f in FRACTIONS[: len(fids)]],
            "fid": fids,
        }
    )


def test_progress_is_the_mean_over_seeds_at_each_fraction():
    curves = pd.concat([curve("a", [4, 3, 2, 1]), curve("a", [6, 5, 4], seed=1)])
    found = progress(curves, "fid")
    assert found["mean"].tolist() == [5.0, 4.0, 3.0, 1.0]
    assert found["seeds"].tolist() == [2, 2, 2, 1]
    # Half of the interval of two seeds: 12.706 standard errors, of 1.
    assert found["high"].iloc[0] == pytest.approx(5 + 12.706, abs=1e-3)
    assert np.isnan(found["high"].iloc[-1])


def test_raw_weights_and_points_without_a_figure_stay_out():
    curves = pd.concat([curve("a", [4, np.inf, 2, np.nan]), curve("a", [9] * 4, weights="raw")])
    assert progress(curves, "fid")["mean"].tolist() == [4.0, 2.0]
    assert progress(curves, "no such metric").empty


def test_the_area_of_a_constant_is_the_constant():
    found = areas(curve("a", [3, 3, 3, 3]), "fid")
    assert found["mean"].item() == 3.0 and (found["start"].item(), found["end"].item()) == (
        0.125,
        1,
    )


def test_the_area_is_the_mean_over_the_logarithm():
    found = areas(pd.concat([curve("a", [4, 3, 2, 1]), curve("a", [5, 4, 3, 2], seed=1)]), "fid")
    # Trapezoids of equal width in log f: (4/2 + 3 + 2 + 1/2) / 3 = 2.5, and one more.
    assert found["mean"].item() == pytest.approx(3.0) and found["seeds"].item() == 2
    assert found["error"].item() == pytest.approx(0.5)


def test_a_trial_that_stopped_has_no_area_and_is_counted():
    curves = pd.concat([curve("a", [4, 3, 2, 1]), curve("a", [1, 1], seed=1)])
    found = areas(curves, "fid")
    assert (found["seeds"].item(), found["left_out"].item()) == (1, 1)
    assert areas(curves[:0], "fid").empty


def test_crossings_are_found_in_the_logarithm_of_the_fraction():
    curves = pd.concat([curve("a", [8, 6, 2, 1]), curve("b", [4, 4, 4, 4])])
    found = crossings(curves, "fid", "a", "b")
    # a - b goes from 2 at 1/4 to -2 at 1/2: half way in log f.
    assert found["fraction"].tolist() == pytest.approx([2**-1.5])
    assert found["leader"].tolist() == ["a"] and found["seeds"].tolist() == [1]
    assert crossings(curves, "fid", "b", "a")["leader"].tolist() == ["a"]


def test_crossings_count_the_seeds_that_agree():
    curves = pd.concat(
        [
            curve("a", [8, 6, 1, 1]),
            curve("b", [4, 4, 4, 4]),
            curve("a", [8, 6, 5, 5], seed=1),
            curve("b", [4, 4, 4, 4], seed=1),
            curve("b", [0, 0, 0, 0], seed=2),
        ]
    )
    found = crossings(curves, "fid", "a", "b")
    assert found["leader"].tolist() == ["a"] and found["seeds"].tolist() == [1]


def test_curves_that_only_touch_do_not_cross():
    curves = pd.concat([curve("a", [5, 4, 5, 5]), curve("b", [4, 4, 4, 4])])
    assert crossings(curves, "fid", "a", "b").empty
    assert crossings(curves, "fid", "a", "no such label").empty


def test_the_staircase_goes_by_what_was_used():
    curves = pd.concat([curve("a", [8, 6, 2, 1]), curve("b", [5, 4, 4, 4], speed=0.1)])
    found = staircase(curves, "fid", "images")
    assert found["label"].tolist() == ["b", "b", "a", "a"]
    assert found["used"].tolist() == [10, 20, 400, 800]
    assert staircase(curves, "fid", "seconds")["label"].tolist() == ["b", "b", "a", "a"]
    assert found["quality"].is_monotonic_decreasing


def test_higher_may_be_better():
    curves = pd.concat([curve("a", [1, 2, 3, 4]), curve("b", [2, 2, 2, 2])])
    curves = curves.rename(columns={"fid": "is"})
    assert crossings(curves, "is", "a", "b")["leader"].tolist() == ["a"]
    assert staircase(curves, "is")["label"].tolist() == ["b", "a", "a"]


def test_curves_as_the_harness_writes_them():
    points = make_curves([make_row(seed=0), make_row(seed=1), make_row("ddpm", 1.0)])
    assert set(progress(points, "fid")["label"]) == {"vae", "ddpm"}
    assert set(areas(points, "fid")["label"]) == {"vae", "ddpm"}
    assert set(staircase(points, "fid")["label"]) == {"ddpm"}
