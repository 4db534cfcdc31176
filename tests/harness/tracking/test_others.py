"""Results of others are sent to MLflow without trust: nothing outside their folder is sent."""

import json
import os
import shutil
from unittest.mock import MagicMock

import pytest
from support.rows import make_curves, make_row, png

from harness.tracking import MARKER, Tracker, sync

ARTIFACTS = ("samples.png", "environment.json", "curve.parquet")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An ended trial, handed over without its seal."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    row = make_row()
    folder = tmp_path / "results" / row.benchmark / "trials" / row.trial
    folder.mkdir(parents=True)
    (folder / "row.json").write_text(row.model_dump_json())
    (folder / "environment.json").write_text("{}")
    (folder / "samples.png").write_bytes(png(0))
    make_curves([row]).to_parquet(folder / "curve.parquet")
    return folder


@pytest.fixture
def tracker(folder, monkeypatch):
    """A tracker of a store that takes everything."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # as connecting would
    tracker = Tracker(folder.parents[2])
    tracker._client = MagicMock()
    tracker._client.search_runs.return_value = []
    return tracker


def sent(tracker):
    return [call.args[1] for call in tracker._client.log_artifact.call_args_list]


def test_what_is_sound_is_sent(folder, tracker):
    assert sync(tracker.results, tracker).sent == [folder.name]
    assert sorted(sent(tracker)) == sorted(str(folder / name) for name in ("row.json", *ARTIFACTS))


@pytest.mark.parametrize("name", ARTIFACTS)
def test_no_linked_file_is_sent(folder, tracker, tmp_path, name):
    (folder / name).rename(tmp_path / "secret")
    (folder / name).symlink_to(tmp_path / "secret")
    assert sync(tracker.results, tracker).unsent == [folder.name]
    assert str(folder / name) not in sent(tracker)


def test_a_trial_whose_files_were_sent_by_half_is_sent_again(folder, tracker):
    tracker._client.log_artifact.side_effect = [None, ConnectionResetError]
    assert sync(tracker.results, tracker).unsent == [folder.name]
    assert not (folder / MARKER).exists()
    tracker._client.log_artifact.side_effect = None
    assert sync(tracker.results, tracker).sent == [folder.name]


def test_no_linked_folder_is_sent(folder, tracker, tmp_path, caplog):
    folder.rename(tmp_path / "secret")
    folder.symlink_to(tmp_path / "secret")
    assert sync(tracker.results, tracker) == ([], [folder.name])
    assert "links are not followed" in caplog.text
    assert sent(tracker) == []


def test_a_damaged_row_is_named_and_the_others_are_sent(folder, tracker, caplog):
    shutil.copytree(folder, folder.with_name("damaged"))
    (folder.with_name("damaged") / "row.json").write_text('{"trial": 1}')
    assert sync(tracker.results, tracker) == ([folder.name], ["damaged"])
    assert str(folder.with_name("damaged") / "row.json") in caplog.text


@pytest.mark.parametrize("name", ["../../away", "/tmp/away", ""])
def test_a_row_of_a_benchmark_outside_the_results_is_not_sent(folder, tracker, caplog, name):
    row = make_row(benchmark=name, trial=folder.name)
    (folder / "row.json").write_text(row.model_dump_json())
    before = sorted(tracker.results.parents[1].glob("*"))
    assert sync(tracker.results, tracker) == ([], [folder.name])
    assert "not a name of a benchmark" in caplog.text
    assert tracker._client.mock_calls == []
    assert sorted(tracker.results.parents[1].glob("*")) == before


def test_the_marker_is_written_through_no_link(folder, tracker, tmp_path):
    (tmp_path / "profile").write_text("mine")
    (folder / MARKER).symlink_to(tmp_path / "profile")
    assert sync(tracker.results, tracker).sent == [folder.name]
    assert (tmp_path / "profile").read_text() == "mine"
    assert json.loads((folder / MARKER).read_text())["uri"] == tracker.address


@pytest.mark.parametrize("expected", ["", "[1]", "{}", '{"uri": 1}'])
def test_a_marker_that_says_nothing_does_not_count(folder, tracker, expected):
    (folder / MARKER).write_text(expected)
    (tracker.results / "mlflow.db").write_text("")
    assert not tracker.holds(folder)


def test_a_marker_that_never_ends_is_not_waited_for(folder, tracker):
    os.mkfifo(folder / MARKER)
    (tracker.results / "mlflow.db").write_text("")
    assert not tracker.holds(folder)
