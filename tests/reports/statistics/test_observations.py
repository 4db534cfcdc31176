import math

from support.rows import FID, digits_rows, failed, make_row

from harness.row import Measurement
from harness_reports.statistics.observations import COLUMNS, observations


def test_a_line_is_a_set_of_samples():
    sets = Measurement(value=3.0, protocol=FID, sets=(2.9, 3.0, 3.1))
    frame = observations([make_row(metrics={"fid": sets}), make_row("ddpm", seed=4)], "fid")
    assert list(frame.columns) == COLUMNS
    lines = frame[["label", "seed", "set", "value"]].to_numpy().tolist()
    assert lines == [
        ["vae", 0, 0, 2.9],
        ["vae", 0, 1, 3.0],
        ["vae", 0, 2, 3.1],
        ["ddpm", 4, 0, 3.186],
    ]


def test_trials_without_a_figure_are_lines_beside_those_of_their_entry():
    rows = [
        make_row("ddpm", metrics={"fid": Measurement(value=1.0, protocol="other")}),
        make_row("vae"),
        make_row("sngan"),
        failed("ddpm", "killed", "-9", seed=1),
        failed("glow", "error", "x"),
        failed("vae", "timeout", "slow", seed=1, metrics={"fid": Measurement(value=9.0)}),
    ]
    frame = observations(rows, "fid")
    missing = frame[frame["value"].isna()]
    assert missing[["label", "heading", "status"]].to_numpy().tolist() == [
        ["ddpm", "FID (2)", "killed"],
        ["glow", "FID", "error"],
        ["vae", "FID", "timeout"],
    ]
    assert frame["value"].notna().sum() == 3


def test_what_was_measured_otherwise_is_set_apart():
    rows = [
        make_row("vae"),
        make_row("score-sde"),
        make_row("vae", dataset="mnist", fingerprint="e"),
        make_row("vae", fingerprint="0" * 64),
        make_row("vae", hardware={"id": "gpu-1"}),
    ]
    frame = observations(rows, "bits_per_dim")
    assert frame[["table", "dataset", "kind"]].to_numpy().tolist() == [
        [0, "digits", "lower_bound"],
        [0, "digits", "estimate"],
        [1, "digits", "lower_bound"],
        [2, "digits", "lower_bound"],
        [3, "mnist", "lower_bound"],
    ]


def test_two_configurations_of_one_label_are_two_entries():
    rows = [make_row(), make_row(config={"width": 8}), make_row(config={"width": 8}, seed=1)]
    assert list(observations(rows, "fid")["label"]) == ["vae", "vae (2)", "vae (2)"]


def test_references_have_no_lines_and_nothing_is_an_empty_frame():
    assert set(observations(digits_rows(), "fid")["label"]).isdisjoint({"test set", "noise"})
    assert observations([], "fid").empty and list(observations([], "fid").columns) == COLUMNS
    assert math.isnan(observations([make_row()], "no such metric")["value"].item())
