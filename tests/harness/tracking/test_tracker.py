from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading

import pytest
from support.rows import digits_rows, failed, make_curves, make_row, reference
from support.tracked import finish, runs
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import UserError
from harness.frame import row_line, rows_frame
from harness.row import Measurement
from harness.tracking import (
    DATABASE,
    MARKER,
    BackgroundSender,
    Tracker,
    open_tracker,
    sync,
    tracked_frame,
)

FINGERPRINT = "f" * 64


@pytest.fixture
def results(tracked_results):
    return tracked_results


def history(tracker, run, key):
    points = tracker.client.get_metric_history(run.info.run_id, key)
    return [(point.step, point.value) for point in sorted(points, key=lambda p: p.timestamp)]


def test_a_trial_becomes_a_run_with_all_that_people_look_for(results):
    row = make_row("vae", 3.186, provenance={"commit": "abc123"})
    folder = finish(results, row)
    tracker = Tracker(results)
    assert tracker.log(row, folder)
    [run] = runs(tracker)
    assert run.info.run_name == "vae-0"
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == pytest.approx(24_100, abs=1)
    assert run.data.params == {
        "dataset": "digits",
        "budget": "20 device-seconds",
        "model": "vae",
        "label": "vae",
        "type": "variational autoencoder",
        "seed": "0",
        "config.batch_size": "64",
        "config.width": "32",
        "protocol.version": "1",
        "protocol.features.name": "digits-cnn",
        "protocol.features.digest": "ab12",
        "protocol.samples": "360",
    }
    tags = run.data.tags
    assert tags["genharness.trial"] == row.trial
    assert tags["genharness.status"] == "ok"
    assert tags["mlflow.source.git.commit"] == "abc123"
    metrics = run.data.metrics
    assert (metrics["is"], metrics["fid.error"]) == (5.799, 0.042)
    assert (metrics["flops"], metrics["wall"]) == (4.2e12, 24.1)
    assert metrics["parameters"] == 1_200_000
    [dataset] = run.inputs.dataset_inputs
    assert dataset.dataset.name == "digits"
    assert dataset.dataset.digest == FINGERPRINT[:12]
    assert json.loads(dataset.dataset.profile) == {"fingerprint": FINGERPRINT}
    names = {file.path for file in tracker.client.list_artifacts(run.info.run_id)}
    assert names == {
        "samples.png",
        "neighbours.wav",
        "row.json",
        "environment.json",
        "curve.parquet",
    }
    assert any((results / "mlartifacts").rglob("samples.png"))


def test_the_curve_has_images_seen_as_steps_and_ends_with_the_final_figure(results):
    row = make_row("vae", 3.0)
    folder = finish(results, row)
    curve = make_curves([row])
    raw = curve.assign(weights="raw", fid=7.0)
    raw.loc[0, "fid"] = None
    import pandas as pd

    curve["fid"] += 1  # with fewer samples than the final figure
    pd.concat([curve, raw]).to_parquet(folder / "curve.parquet")
    tracker = Tracker(results)
    assert tracker.log(row, folder)
    [run] = runs(tracker)
    points = list(zip(curve["images"], curve["fid"], strict=True))
    assert history(tracker, run, "fid") == [*points, (301_056, 3.0)]
    assert run.data.metrics["fid"] == 3.0
    assert history(tracker, run, "nfe") == [(0, 1.0)]
    assert history(tracker, run, "raw/fid") == [(step, 7.0) for step in curve["images"][1:]]


def test_sending_a_trial_again_changes_nothing(results):
    row = make_row()
    folder = finish(results, row)
    tracker = Tracker(results)
    assert tracker.log(row, folder)
    [before] = runs(tracker)
    curve = history(tracker, before, "fid")
    again = Tracker(results)
    assert again.log(row, folder)
    [after] = runs(again)
    assert after.info.run_id == before.info.run_id
    assert history(again, after, "fid") == curve
    assert len(after.inputs.dataset_inputs) == 1


def test_the_report_is_an_artifact_of_the_experiment(results):
    tracker = Tracker(results)
    report = results / "report"
    (report / "charts").mkdir(parents=True)
    (report / "charts" / "fid.svg").write_text("<svg/>")
    for content in ("first", "second"):
        (report / "report.html").write_text(content)
        assert tracker.log_report("digits", report)
    row = make_row()
    assert tracker.log(row, finish(results, row))
    [run] = [run for run in runs(tracker) if run.info.run_name == "report"]
    [stored] = (results / "mlartifacts").rglob("report.html")
    assert stored.read_text() == "second"
    assert (stored.parent / "charts" / "fid.svg").exists()
    assert run.info.status == "FINISHED"
    assert list(tracked_frame("digits", results)["trial"]) == [row.trial]


def test_search_runs_gives_the_columns_of_the_page(results):
    rows = [
        reference("real", 0.01, 9.4),
        *digits_rows()[2:],
        make_row(seed=1, metrics={"kid": Measurement(value=0.5, error=0.1, sets=(0.4, 0.6))}),
        failed("glow", "diverged", "loss is NaN at step 7"),
    ]
    tracker = Tracker(results)
    for row in rows:
        assert tracker.log(row, finish(results, row))
    tracked = tracked_frame("digits", results).set_index("trial", drop=False)
    truth = rows_frame(rows)
    assert set(tracked) == set(truth.dropna(axis="columns", how="all"))
    for row in rows:
        for name, value in row_line(row).items():
            found = tracked.loc[row.trial, name] if value is not None else None
            text = name.startswith(("config.", "protocol.")) and value is not None
            assert found == (str(value) if text else value), name
    assert len(tracked) == len(rows)


def test_reading_an_experiment_that_is_not_there_is_an_error_for_people(results):
    with pytest.raises(UserError, match="no experiment 'nothing'"):
        tracked_frame("nothing", results)


def test_a_resumed_trial_brings_its_run_up_to_date(results):
    row = make_row()
    killed = failed("vae", "killed", "signal 9", trial=row.trial)
    tracker = Tracker(results)
    folder = finish(results, killed, curve=False)
    os.utime(folder / "row.json", (1e9, 1e9))
    assert tracker.log(killed, folder)
    [run] = runs(tracker)
    assert (run.info.status, run.data.tags["mlflow.note.content"]) == ("KILLED", "signal 9")
    finish(results, row)
    assert not tracker.holds(folder)
    assert tracker.log(row, folder)
    [run] = runs(tracker)
    assert (run.info.status, run.data.tags["mlflow.note.content"]) == ("FINISHED", "")
    assert run.data.metrics["fid"] == 3.186
    assert tracker.holds(folder)


@pytest.mark.parametrize(
    ("status", "expected"),
    [("diverged", "FAILED"), ("out_of_memory", "FAILED"), ("skipped", "FINISHED")],
)
def test_failures_are_runs_too(results, status, expected):
    row = failed("sngan", status, "loss is NaN at step 7")
    tracker = Tracker(results)
    assert tracker.log(row, finish(results, row, curve=False))
    [run] = runs(tracker)
    assert run.info.status == expected
    assert run.data.tags["genharness.status"] == status
    assert run.data.tags["mlflow.note.content"] == "loss is NaN at step 7"
    assert "fid" not in run.data.metrics


def test_what_mlflow_has_no_room_for_is_cut_and_the_row_keeps_it(results):
    config = {f"setting_{i}": i for i in range(150)} | {"long": "x" * 10_000}
    row = make_row(config=config, status="error", reason="y" * 10_000)
    tracker = Tracker(results)
    assert tracker.log(row, finish(results, row))
    [run] = runs(tracker)
    assert run.data.params["config.setting_149"] == "149"
    assert set(run.data.params["config.long"]) == {"x"}
    assert set(run.data.tags["mlflow.note.content"]) == {"y"}


def test_sync_sends_what_is_missing_and_nothing_else(results):
    rows = [reference("real", 0.01, 9.4), *digits_rows()[2:4]]
    other = make_row(benchmark="other", trial="elsewhere")
    folders = [finish(results, row) for row in (*rows, other)]
    unfinished = results / "digits" / "trials" / ".working"
    shutil.copytree(folders[0], unfinished)
    tracker = Tracker(results)
    assert tracker.log(rows[0], folders[0])
    assert len(sync(results, tracker).sent) == 3
    assert len(runs(tracker)) == 3 and len(runs(tracker, "other")) == 1
    assert sync(results, tracker) == ([], [])
    assert not (unfinished / MARKER).exists()
    (results / DATABASE).unlink()
    assert not Tracker(results).holds(folders[0])


def test_a_marker_that_cannot_be_read_marks_nothing(results):
    contents = [b"", b"null", b"{}", b'{"uri": "x"', b"\xff"]
    rows = [make_row(seed=seed) for seed in range(len(contents))]
    folders = [finish(results, row, curve=False) for row in rows]
    for folder, content in zip(folders, contents, strict=True):
        (folder / MARKER).write_bytes(content)
    tracker = Tracker(results)
    assert len(sync(results, tracker).sent) == len(rows)
    assert all(map(tracker.holds, folders))


def test_a_marker_that_cannot_be_written_stops_no_sender(results, caplog):
    rows = digits_rows()[2:5]
    folders = [finish(results, row) for row in rows]
    (folders[0] / MARKER).mkdir()
    tracker = Tracker(results)
    with BackgroundSender(tracker) as sender:
        for row, folder in zip(rows, folders, strict=True):
            sender.send(row, folder)
    assert [tracker.holds(folder) for folder in folders] == [False, True, True]
    assert os.listdir(folders[0] / MARKER) == []
    assert MARKER in caplog.text and "'harness sync'" in caplog.text
    (folders[0] / MARKER).rmdir()
    assert set(os.listdir(folders[0])) == set(os.listdir(folders[1])) - {MARKER}
    assert sync(results, tracker).sent == [rows[0].trial]
    assert len(runs(tracker)) == 3


@pytest.fixture
def dead_server(monkeypatch):
    """The address of a server that is not there."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        uri = f"http://user:secret@127.0.0.1:{reserved.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        yield uri


def test_a_server_that_is_down_hurts_no_trial_and_is_reported_once(
    dead_server, empty_store, tmp_path, caplog, monkeypatch
):
    rows = digits_rows()[2:4]
    folders = [finish(tmp_path, row) for row in rows]
    tracker = open_tracker("auto", tmp_path)
    assert tracker.uri == dead_server
    assert [tracker.log(*pair) for pair in zip(rows, folders, strict=True)] == [False, False]
    [record] = [record for record in caplog.records if record.name == "harness.tracking.tracker"]
    assert rows[0].trial in record.getMessage() and "harness sync" in record.getMessage()
    assert "secret" not in record.getMessage()
    assert not any((folder / MARKER).exists() for folder in folders)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    shutil.copy(empty_store, tmp_path / DATABASE)
    assert len(sync(tmp_path, Tracker(tmp_path)).sent) == 2


def test_a_store_that_takes_nothing_does_not_hold_up_a_run(results, caplog):
    asked, never = threading.Event(), threading.Event()

    class Stuck(Tracker):
        def log(self, row, folder):
            asked.set()
            return never.wait()

    rows = digits_rows()
    with BackgroundSender(Stuck(results), patience=0.05) as sender:
        for row in rows:
            sender.send(row, results)
        assert asked.wait(10)
    never.set()
    assert f"{len(rows)} trials or reports are left to 'harness sync'" in caplog.text


def test_the_end_has_one_limit_however_many_trials_a_slow_store_takes_within_it(results, caplog):
    over = threading.Event()

    class Slow(Tracker):
        def log(self, row, folder):
            over.wait(0.02)
            return not self.gave_up

    row = make_row()
    with BackgroundSender(Slow(results), patience=0.1) as sender:
        for _ in range(10_000):
            sender.send(row, results)
    over.set()
    assert "needs more than 0.1 s" in caplog.text


def test_what_a_busy_store_refuses_is_tried_once_more(results):
    attempts = []

    class Busy(Tracker):
        def log(self, row, folder):
            attempts.append(row.label)
            return attempts.count(row.label) > 1 or row.label != "vae"

    rows = digits_rows()[2:5]
    with BackgroundSender(Busy(results)) as sender:
        for row in rows:
            sender.send(row, results)
    assert attempts == ["vae", "dcgan", "sngan", "vae"]


def test_one_refused_trial_does_not_stop_the_others(results, caplog):
    bad, good = make_row(label="bad"), make_row(label="good")
    tracker = Tracker(results)
    folder = finish(results, bad)
    (folder / "curve.parquet").write_text("no curve")
    assert not tracker.log(bad, folder)
    assert tracker.log(good, finish(results, good))
    assert bad.trial in caplog.text and not tracker.gave_up


def test_reading_a_store_leaves_mlflow_and_later_trackers_where_they_were(results, monkeypatch):
    import mlflow

    row = make_row()
    assert Tracker(results).log(row, finish(results, row))
    before = mlflow.get_tracking_uri()
    tracked_frame("digits", results)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert mlflow.get_tracking_uri() == before
    assert Tracker(results / "elsewhere").uri != Tracker(results).uri


def test_a_store_of_the_user_is_respected(results, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{results / DATABASE}")
    elsewhere = tmp_path / "elsewhere"
    row = make_row()
    folder = finish(elsewhere, row)
    monkeypatch.chdir(tmp_path)
    tracker = Tracker(elsewhere)
    assert tracker.log(row, folder)
    assert not (elsewhere / DATABASE).exists()
    assert json.loads((folder / MARKER).read_text())["uri"] == f"sqlite:///{results / DATABASE}"


def test_without_mlflow_or_switched_off_there_is_no_tracker(tmp_path, monkeypatch, caplog):
    assert open_tracker("off", tmp_path) is None
    assert caplog.text == ""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert open_tracker("auto", tmp_path) is None
    assert "MLflow is not installed" in caplog.text
    assert not any(tmp_path.iterdir())


def test_the_command_line_syncs(results):
    row = make_row()
    folder = finish(results, row)
    arguments = ["sync", "--results", str(results)]
    where = f"sqlite:///{results / DATABASE}"
    expected = [CliRunner().invoke(app, arguments).output for _ in range(2)]
    assert expected == [f"trials sent to MLflow at {where}: {n}\n" for n in (1, 0)]
    assert Tracker(results).holds(folder)


def test_the_command_line_says_what_it_could_not_send(dead_server, tmp_path):
    row = make_row()
    finish(tmp_path, row)
    answer = CliRunner().invoke(app, ["sync", "--results", str(tmp_path)])
    assert isinstance(answer.exception, UserError)
    assert row.trial in str(answer.exception)
    assert "secret" not in answer.output


def test_looking_for_results_does_not_open_a_store(tmp_path):
    tracker = open_tracker("auto", tmp_path)
    assert sync(tmp_path, tracker) == ([], [])
    assert not any(tmp_path.iterdir())
