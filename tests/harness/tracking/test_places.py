"""What a store has, wherever its folder is, and what ``harness sync`` makes of what it lacks."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
from support.rows import make_row
from support.tracked import finish, runs
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import UserError
from harness.publishing.manifest import Manifest
from harness.row import Measurement
from harness.tracking import DATABASE, MARKER, Tracker, sync, tracked_frame


@pytest.fixture
def results(tracked_results):
    return tracked_results


def artifacts(tracker, run):
    return {file.path for file in tracker.client.list_artifacts(run.info.run_id)}


@pytest.mark.parametrize("name", ["a?b=c #1", "50%20größe me@home"])
def test_the_store_is_in_the_results_folder_whatever_that_is_called(
    tmp_path, empty_store, monkeypatch, name
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    results = tmp_path / "here" / name
    results.mkdir(parents=True)
    shutil.copy(empty_store, results / DATABASE)
    row = make_row()
    tracker = Tracker(results)
    assert tracker.log(row, finish(results, row, curve=False))
    with closing(sqlite3.connect(results / DATABASE)) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert len(list(results.glob("mlartifacts/digits/*/artifacts/samples.png"))) == 1
    [run] = runs(tracker)
    assert "samples.png" in artifacts(tracker, run)
    assert [folder.name for folder in (tmp_path / "here").iterdir()] == [name]
    assert [folder.name for folder in tmp_path.iterdir()] == ["here"]


def track(row, folder, empty_store):
    """Make a results folder with a store of its own, and a trial in both."""
    folder.mkdir()
    shutil.copy(empty_store, folder / DATABASE)
    assert Tracker(folder).log(row, finish(folder, row, curve=False))


@pytest.mark.parametrize("copied", [False, True])
def test_a_results_folder_that_was_moved_shows_its_artifacts_and_keeps_new_ones(
    tmp_path, empty_store, monkeypatch, caplog, copied
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    old, new = tmp_path / "old", tmp_path / "new #2"
    first, second = make_row(), make_row(seed=1)
    track(first, old, empty_store)
    if copied:
        shutil.copytree(old, new)
    else:
        old.rename(new)
    finish(new, second, curve=False)
    tracker = Tracker(new)
    assert sync(new, tracker).sent == [second.trial]
    assert "was moved" in caplog.text
    for run in runs(tracker):
        assert run.info.artifact_uri.startswith(new.as_uri())
        assert "samples.png" in artifacts(tracker, run)
    assert len(list(new.rglob("mlartifacts/**/samples.png"))) == 2
    assert old.exists() == copied
    caplog.clear()
    assert sync(new, Tracker(new)) == ([], [])
    assert caplog.text == ""


def test_artifacts_that_stayed_behind_are_still_found(tmp_path, empty_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    old, new = tmp_path / "old", tmp_path / "new"
    first, second = make_row(), make_row(seed=1)
    track(first, old, empty_store)
    shutil.copytree(old, new, ignore=shutil.ignore_patterns("mlartifacts"))
    tracker = Tracker(new)
    assert tracker.log(second, finish(new, second, curve=False))
    found = {run.info.run_name: run for run in runs(tracker)}
    assert found["vae-0"].info.artifact_uri.startswith(old.as_uri())
    assert found["vae-1"].info.artifact_uri.startswith(new.as_uri())
    assert all("samples.png" in artifacts(tracker, run) for run in found.values())


def test_a_store_that_was_recreated_is_sent_all_and_asked_once(results, empty_store, monkeypatch):
    import mlflow

    for seed in range(2):
        finish(results, make_row(seed=seed), curve=False)
    assert len(sync(results, Tracker(results)).sent) == 2
    shutil.copy(empty_store, results / DATABASE)
    assert len(sync(results, Tracker(results)).sent) == 2
    assert len(runs(Tracker(results))) == 2
    asked, search = [], mlflow.MlflowClient.search_runs
    monkeypatch.setattr(
        mlflow.MlflowClient, "search_runs", lambda *a, **k: asked.append(a) or search(*a, **k)
    )
    assert sync(results, Tracker(results)) == ([], [])
    assert len(asked) == 1


def test_a_deleted_experiment_is_named_with_what_restores_it(results, caplog):
    row, changed = make_row(), make_row(seed=1)
    tracker = Tracker(results)
    assert tracker.log(row, finish(results, row, curve=False))
    experiment = tracker.client.get_experiment_by_name("digits").experiment_id
    tracker.client.delete_experiment(experiment)
    folder = finish(results, changed, curve=False)
    assert not tracker.log(changed, folder)
    assert f"mlflow experiments restore --experiment-id {experiment}" in caplog.text
    assert f"MLFLOW_TRACKING_URI={tracker.uri} mlflow" in caplog.text
    assert "another name" in caplog.text and "sends them later" not in caplog.text
    caplog.clear()
    answer = CliRunner().invoke(app, ["sync", "--results", str(results)])
    assert isinstance(answer.exception, UserError)
    assert "mlflow experiments restore" in caplog.text
    tracker.client.restore_experiment(experiment)
    assert sync(results, Tracker(results)).sent == [changed.trial]
    assert len(runs(tracker)) == 2


def test_a_deleted_run_is_named_with_what_restores_it(results, caplog):
    row = make_row()
    finish(results, row, curve=False)
    tracker = Tracker(results)
    assert sync(results, tracker).sent == [row.trial]
    [run] = runs(tracker)
    tracker.client.delete_run(run.info.run_id)
    assert sync(results, Tracker(results)) == ([], [])
    assert f"mlflow runs restore --run-id {run.info.run_id}" in caplog.text
    assert runs(tracker) == []
    tracker.client.restore_run(run.info.run_id)
    caplog.clear()
    assert sync(results, Tracker(results)) == ([], [])
    assert caplog.text == ""


def test_sync_sends_a_report_that_the_store_lacks(results):
    report = results / "digits" / "report"
    report.mkdir(parents=True)
    manifest = Manifest(
        benchmark="digits", summary="", formats={}, written_with={}, files={"a.txt": "0"}
    )
    manifest.write(report)
    (report / "a.txt").write_text("first")
    (report / "link.txt").symlink_to(results / DATABASE)
    arguments = ["sync", "--results", str(results)]
    printed = [CliRunner().invoke(app, arguments).output for _ in range(2)]
    assert ["reports sent: digits" in text for text in printed] == [True, False]
    tracker = Tracker(results)
    [run] = runs(tracker)
    files = {f.path for f in tracker.client.list_artifacts(run.info.run_id, "report")}
    assert files == {"report/MANIFEST.json", "report/a.txt"}
    assert (results / "digits" / MARKER).exists()


def test_variables_of_mlflow_that_users_have_set_change_nothing(results, monkeypatch):
    variables = {
        "EXPERIMENT_NAME": "mine",
        "EXPERIMENT_ID": "77",
        "RUN_ID": "0123456789abcdef",
        "ENABLE_SYSTEM_METRICS_LOGGING": "true",
        "ENABLE_ASYNC_LOGGING": "true",
        "TRACKING_USERNAME": "me",
        "TRUNCATE_LONG_VALUES": "false",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"MLFLOW_{name}", value)
    row = make_row(config={"long": "x" * 7000})
    tracker = Tracker(results)
    assert tracker.log(row, finish(results, row))
    [run] = runs(tracker)
    assert run.data.params["seed"] == "0" and run.data.tags["genharness.status"] == "ok"
    assert run.data.metrics["fid"] == 3.186
    assert [e.name for e in tracker.client.search_experiments()] == ["digits", "Default"]


def test_names_and_values_that_mlflow_refuses_are_written_in_another_way(results):
    names = ["not a name!", "a//b", "../up", "fid@256", "p(x|y)", "n" * 300]
    figures = {name: Measurement(value=float(place)) for place, name in enumerate(names)}
    row = make_row(
        trial="long",
        label="x" * 400,
        metrics=figures,
        status="error",
        reason="\0 \udc80" + "y" * 9000,
    )
    folder = finish(results, make_row(trial="long"), curve=False)
    assert Tracker(results).log(row, folder)
    [line] = tracked_frame("digits", results).to_dict("records")
    assert [line[name] for name in names[:-1]] == [0, 1, 2, 3, 4]
    assert [value for name, value in line.items() if name.startswith("nnn")] == [5]
    assert line["label"] == "x" * 400
    assert line["reason"].startswith(r"\x00 \udc80yyy")
