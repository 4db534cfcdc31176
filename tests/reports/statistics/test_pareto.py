import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rows import digits_rows, failed, make_row

from harness_reports.leaderboard import leaderboard
from harness_reports.statistics.pareto import pareto_front, trade_off

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


@given(POINTS)
def test_the_front_is_what_nothing_dominates(points):
    frame = pd.DataFrame(points, columns=["fid", "speed"], dtype=float)
    front = pareto_front(frame, {"fid": "lower", "speed": "higher"})
    for (fid, speed), on_front in zip(points, front, strict=True):
        dominated = any(f <= fid and s >= speed and (f, s) != (fid, speed) for f, s in points)
        assert on_front == (not dominated)


def test_missing_figures_are_not_on_the_front_and_dominate_nothing():
    frame = pd.DataFrame({"fid": [1.0, np.nan, np.inf], "speed": [5.0, 9.0, 9.0]})
    front = pareto_front(frame, {"fid": "lower", "speed": "higher"})
    assert front.tolist() == [True, False, False]


def test_quality_against_speed():
    rows = [*digits_rows(), failed("glow", "error", "x")]
    found = trade_off(leaderboard(rows), "FID", "images/s")
    assert set(found.loc[found["front"], "Model"]) == {"sngan", "dcgan"}
    assert len(found) == 6 and found["images/s"].is_monotonic_increasing


def test_each_table_has_a_front_of_its_own():
    rows = [make_row("vae", 3.0), make_row("ddpm", 1.0, dataset="mnist", fingerprint="e")]
    assert trade_off(leaderboard(rows), "FID", "Training FLOPs")["front"].tolist() == [True, True]


def test_device_time_has_a_front_for_each_machine():
    steps = {"budget": "5k steps"}
    rows = [make_row("vae", 3.0, **steps), make_row("ddpm", 1.0, hardware={"id": "x"}, **steps)]
    board = leaderboard(rows)
    assert trade_off(board, "FID", "Device time")["front"].tolist() == [True, True]
    assert sorted(trade_off(board, "FID", "Steps")["front"]) == [False, True]


def test_what_has_no_direction_is_no_axis():
    with pytest.raises(KeyError):
        trade_off(leaderboard([make_row()]), "FID", "FID gap")
