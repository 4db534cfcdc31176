import math

import pandas as pd
import pytest
from support.rows import FID, SPEED, digits_rows, failed, make_row, reference

from harness.row import Measurement, Usage
from harness_reports.leaderboard import leaderboard


def test_the_best_fid_is_first_between_the_references():
    frame = leaderboard([*digits_rows(), failed("glow", "diverged", "loss is NaN")])
    assert list(frame["Model"]) == [
        "test set",
        "sngan",
        "score-sde",
        "ddpm",
        "realnvp",
        "dcgan",
        "vae",
        "glow",
        "noise",
    ]
    assert list(frame["Role"])[-2:] == ["failed", "null"]


def test_the_figures_are_the_rows_figures():
    frame = leaderboard(digits_rows()).set_index("Model")
    vae = frame.loc["vae"]
    assert (vae["FID"], vae["IS"], vae["bits/dim"], vae["images/s"]) == (3.186, 5.799, 3.21, 36_512)
    assert (vae["Parameters"], vae["NFE"], vae["FLOPs/image"]) == (1.2e6, 1, 3.4e6)
    assert (vae["Device time"], vae["Training FLOPs"]) == (20.01, 4.2e12)
    assert (vae["Images seen"], vae["Steps"]) == (301_056, 4704)
    assert vae["Type"] == "variational autoencoder" and vae["bits/dim kind"] == "lower_bound"
    assert frame.loc["test set", ["Parameters", "Steps", "Device time"]].isna().all()


def test_seeds_are_averaged_with_the_standard_error_of_the_mean():
    rows = [make_row("vae", fid, seed=seed) for seed, fid in enumerate((3.0, 3.6, 4.5))]
    (line,) = leaderboard(rows).to_dict("records")
    assert line["FID"] == pytest.approx(3.7)
    # s^2 = (0.49 + 0.01 + 0.64) / 2 = 0.57, and s / sqrt(3).
    assert line["FID error"] == pytest.approx(math.sqrt(0.57 / 3))
    assert line["Seeds"] == 3 and line["Status"] == "ok"


def test_one_seed_has_the_error_of_its_measurement():
    assert leaderboard([make_row()])["FID error"].item() == 0.042


def test_costs_are_means_over_seeds():
    rows = [make_row(seed=s, usage=Usage(seconds=20 + s, steps=100 + s)) for s in (0, 1)]
    line = leaderboard(rows).iloc[0]
    assert line["Device time"] == 20.5 and line["Steps"] == 100.5


def test_a_failed_seed_is_an_entry_of_its_own_and_not_in_the_mean():
    rows = [
        make_row("vae", 3.0),
        make_row("vae", 4.0, seed=1),
        failed("vae", "killed", "-9", seed=2),
    ]
    survivors, dead = leaderboard(rows).to_dict("records")
    assert survivors["FID"] == 3.5 and survivors["Status"] == "ok 2/3"
    assert dead["Status"] == "killed 1/3" and dead["Reason"] == "-9" and pd.isna(dead["FID"])


def test_configurations_are_not_averaged():
    rows = [
        make_row(),
        make_row(label="vae-wide", config={"width": 64}),
        make_row(config={"width": 8}),
    ]
    assert len(leaderboard(rows)) == 3


def test_every_trial_is_in_exactly_one_entry():
    rows = [*digits_rows(), make_row(seed=1), failed("vae", "error", "x", seed=2)]
    frame = leaderboard(rows)
    assert sorted(t for trials in frame["Trials"] for t in trials) == sorted(r.trial for r in rows)


def test_figures_by_other_protocols_get_a_column_of_their_own():
    few = {"fid": Measurement(value=0.1, protocol="10 samples")}
    rows = [make_row(), make_row("sngan", 0.487), make_row("ddpm", metrics=few)]
    frame = leaderboard(rows).set_index("Model")
    assert pd.isna(frame.loc["ddpm", "FID"]) and frame.loc["ddpm", "FID (2)"] == 0.1
    assert frame.loc["ddpm", "FID (2) protocol"] == "10 samples"
    assert frame.loc["vae", "FID protocol"] == FID and pd.isna(frame.loc["vae", "FID (2)"])
    assert list(frame.index) == ["sngan", "vae", "ddpm"]


def test_a_reference_measured_otherwise_says_so():
    rows = [make_row(), reference("real", 0.01, 9.4)]
    rows[1].metrics["fid"] = Measurement(value=0.01, protocol="540 samples")
    frame = leaderboard(rows).set_index("Model")
    assert frame.loc["test set", "FID"] == 0.01 and "FID (2)" not in frame
    assert frame.loc["test set", "FID note"] == "measured otherwise: 540 samples"


def test_speeds_of_different_machines_or_batches_share_no_column():
    def speed(value, protocol=SPEED):
        return {"images_per_second": Measurement(value=value, protocol=protocol)}

    rows = [
        make_row(budget="5k steps"),
        make_row("sngan", budget="5k steps", metrics=speed(5.0), hardware={"id": "gpu"}),
    ]
    frame = leaderboard(rows).set_index("Model")
    assert frame.loc["vae", "images/s"] == 36_512 and frame.loc["sngan", "images/s (2)"] == 5.0
    assert frame.loc["sngan", "FID"] == 3.186

    rows = [make_row(), make_row("sngan", metrics=speed(5.0, "batch 1, median of 5"))]
    assert "images/s (2)" in leaderboard(rows)


def test_device_time_names_its_machine_and_is_not_averaged_over_two():
    steps = {"budget": "5k steps"}
    rows = [
        make_row("vae", **steps),
        make_row("vae", seed=1, hardware={"id": "gpu"}, **steps),
        make_row("sngan", hardware={"id": "gpu"}, **steps),
    ]
    frame = leaderboard(rows).set_index("Model")
    assert pd.isna(frame.loc["vae", "Device time"]) and frame.loc["vae", "Steps"] == 4704
    assert "several are not averaged" in frame.loc["vae", "Device time note"]
    assert frame.loc["sngan", "Device time"] == 20.01
    assert frame.loc["sngan", "Device time note"] == "machine gpu"
    assert leaderboard(rows[1:])["Device time note"].isna().all()


def test_device_time_that_was_interrupted_says_so():
    usage = Usage(seconds=60.0, steps=10)
    changes = {
        "vae": {"usage": usage},
        "sngan": {"usage": usage.model_copy(update={"paused": 14.04, "idle": 5.0})},
        "dcgan": {"usage": usage.model_copy(update={"idle": 15.0})},
        "ddpm": {"usage": usage, "provenance": {"machines": ["ab", "cd"]}},
    }
    frame = leaderboard([make_row(model, **change) for model, change in changes.items()])
    notes = frame.set_index("Model")["Device time note"]
    assert pd.isna(notes["vae"])
    assert notes["sngan"] == "the trial was paused for 14.0 s, which are not charged"
    assert notes["dcgan"] == "the trial had no CPU time in 25% of its seconds"
    assert notes["ddpm"] == "the trial went on elsewhere: its seconds are of several machines"


def test_a_mean_has_the_interval_of_student_and_says_over_what():
    rows = [make_row("vae", fid, seed=seed) for seed, fid in enumerate((3.0, 3.6, 4.5))]
    sets = Measurement(value=1.0, protocol=FID, sets=(0.9, 1.1))
    frame = leaderboard([*rows, make_row("ddpm", metrics={"fid": sets}), make_row("sngan", 9.0)])
    frame = frame.set_index("Model")
    assert list(frame["FID basis"]) == ["sets", "seeds", "measurement"]
    # Student's quantile with two degrees of freedom is 4.303.
    half = 4.303 * math.sqrt(0.57 / 3)
    assert frame.loc["vae", "FID high"] == pytest.approx(3.7 + half, abs=1e-3)
    assert frame.loc["ddpm", "FID low"] == pytest.approx(1 - 12.706 * 0.1, abs=1e-3)
    assert frame.loc["sngan", ["FID low", "FID high"]].isna().all()


def test_how_often_a_timing_was_repeated_is_no_other_protocol():
    def speed(times):
        protocol = f"median of {times} batches of 64, warm"
        return {"images_per_second": Measurement(value=5.0, protocol=protocol)}

    frame = leaderboard([make_row(metrics=speed(90)), make_row("ddpm", metrics=speed(3))])
    assert "images/s (2)" not in frame
    assert set(frame["images/s protocol"]) == {"median of batches of 64, warm"}


def test_why_there_is_no_figure():
    none = {"bits_per_dim": Measurement(value=None, reason="the model has no likelihood")}
    line = leaderboard([make_row("dcgan", metrics=none)]).iloc[0]
    assert pd.isna(line["bits/dim"]) and line["bits/dim note"] == "the model has no likelihood"


def test_a_mean_over_some_of_the_seeds_says_so():
    none = {"fid": Measurement(value=None, reason="features hold NaN")}
    line = leaderboard([make_row(), make_row(seed=1, metrics=none)]).iloc[0]
    assert line["FID"] == 3.186
    assert line["FID note"] == "mean of 1 of 2 seeds; features hold NaN"


def test_an_entry_without_fid_comes_after_those_with_one():
    none = {"fid": Measurement(value=None, reason="features hold NaN")}
    infinite = {"fid": Measurement(value=math.inf, protocol=FID)}
    rows = [
        make_row("glow", metrics=none),
        make_row("nice", metrics=infinite),
        failed("a", "error", "x"),
        make_row(),
    ]
    assert list(leaderboard(rows)["Model"]) == ["vae", "glow", "nice", "a"]


def test_metrics_of_plugins_are_columns():
    frame = leaderboard([make_row(metrics={"sharpness": Measurement(value=0.02, protocol="p")})])
    assert frame["sharpness"].item() == 0.02


def test_tables_are_numbered_and_empty_rows_make_an_empty_frame():
    frame = leaderboard([make_row(), make_row("ddpm", dataset="mnist", fingerprint="e")])
    assert list(frame["Table"]) == [0, 1] and list(frame["Dataset"]) == ["digits", "mnist"]
    assert leaderboard([]).empty


def test_a_mean_of_sets_and_the_one_set_of_a_reference_share_a_column():
    sets = ", mean and standard deviation of 3 sets"
    rows = [
        make_row("real", metrics={"kid": Measurement(value=0.0, protocol="k, 360 samples")}),
        make_row("vae", metrics={"kid": Measurement(value=2.0, protocol="k, 360 samples" + sets)}),
        make_row(
            "null",
            metrics={
                "kid": Measurement(
                    value=9.0, protocol="k, 360 samples; uniform noise (better than mean image 10)"
                )
            },
        ),
    ]
    frame = leaderboard(rows)
    assert frame["KID"].tolist() == [0.0, 2.0, 9.0]
    assert frame["KID note"].isna().all()
    assert frame.set_index("Model").loc["vae", "KID protocol"].endswith(sets)


def test_a_task_has_a_column_where_a_model_with_a_condition_has_a_figure():
    accuracy = Measurement(value=0.9, protocol="539 samples")
    rows = [reference("real", 0.1, 9.0), make_row("vae"), make_row("cgan")]
    rows[0].metrics["label_accuracy"] = accuracy
    assert "accuracy" not in leaderboard(rows)
    rows[2].metrics["label_accuracy"] = accuracy
    assert leaderboard(rows)["accuracy"].notna().tolist().count(True) == 2
