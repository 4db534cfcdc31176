"""A store that is stuck, or takes nothing, costs a run its time limit once, and nobody else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.mlflow_servers import stuck_server
from support.rows import make_row
from support.tracked import finish, runs

from harness import api
from harness.doctor.tracking import tracking_findings
from harness.errors import UserError
from harness.files.locks import is_held
from harness.storage.store import Store
from harness.tracking import DATABASE, MARKER, BackgroundSender, Tracker, sync, tracked_frame
from harness.tracking.refusals import remedy


@pytest.fixture
def results(tracked_results):
    return tracked_results


@pytest.fixture(params=["silent", "drips", "too many requests"])
def stuck(request, monkeypatch):
    """A server that never answers, of which MLflow is as patient as its users let it be."""
    with stuck_server(request.param) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3600")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
        yield server


def write_report(results: Path) -> Path:
    folder = results / "digits" / "report"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("the report")
    return folder


def test_a_stuck_server_is_given_up_once_and_not_asked_again(stuck, tmp_path, caplog):
    rows = [make_row(seed=seed) for seed in range(3)]
    report = write_report(tmp_path)
    store = Store(tmp_path, "digits")
    store.prepare()
    tracker = Tracker(tmp_path, patience=0.2)
    with BackgroundSender(tracker, patience=30) as sender:
        for row in rows:
            sender.send(row, finish(tmp_path, row, curve=False))
        sender.send_report("digits", report)
    asked = stuck.asked
    assert tracker.gave_up
    assert not tracker.log(rows[0], finish(tmp_path, rows[0], curve=False))
    assert not tracker.log_report("digits", report)
    assert stuck.asked == asked
    assert not list(tmp_path.rglob(MARKER))
    assert "4 trials or reports are left to 'harness sync'" in caplog.text
    assert not is_held(store.locks / "report")


def test_sync_and_doctor_end_with_a_stuck_server_too(stuck, tmp_path, caplog, monkeypatch):
    row = make_row()
    finish(tmp_path, row, curve=False)
    assert sync(tmp_path, Tracker(tmp_path, patience=0.1)).unsent == [row.trial]
    monkeypatch.setattr("harness.doctor.tracking.PATIENCE", 0.1)
    found = tracking_findings(tmp_path)[1]
    assert found.verdict == "warning" and stuck.address in found.found
    monkeypatch.setattr("harness.tracking.frame.READING_SECONDS", 0.1)
    with pytest.raises(UserError, match="cannot be read"):
        tracked_frame("digits", tmp_path)


def test_a_report_is_sent_while_others_write_it(results, monkeypatch):
    """Publishing returns, and lets go of the report, whatever MLflow is at."""
    store, seen = Store(results, "digits"), []
    store.prepare()
    report = write_report(results)
    monkeypatch.setattr(api.report_folder, "write", lambda *_: {"html": report / "report.html"})

    def send(client, run, copy):
        seen.append(is_held(store.locks / "report"))
        (report / "report.html").unlink()  # as another run does that writes it anew
        client.log_artifacts(run, str(copy), "report")

    monkeypatch.setattr("harness.tracking.tracker.send_report", send)
    planned = SimpleNamespace(
        store=store, benchmark=SimpleNamespace(name="digits"), results=lambda: None
    )
    tracker = Tracker(results)
    with BackgroundSender(tracker) as sender:
        api.publish(planned, sender)
    assert seen == [False]
    [run] = runs(tracker)
    assert [f.path for f in tracker.client.list_artifacts(run.info.run_id, "report")] == [
        "report/report.html"
    ]


@pytest.mark.parametrize("fault", ["a folder", "no database", "locked"])
def test_a_file_that_cannot_be_opened_is_reported_at_once(results, monkeypatch, caplog, fault):
    monkeypatch.setattr("harness.tracking.database.BUSY_SECONDS", 0.01)
    database = results / DATABASE
    row = make_row()
    folder = finish(results, row, curve=False)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        if fault == "locked":
            other.execute("BEGIN EXCLUSIVE")
        else:
            database.rename(results / "kept")
            database.mkdir() if fault == "a folder" else database.write_text("no database" * 99)
        tracker = Tracker(results, patience=30)
        assert not tracker.log(row, folder)
    message = {"a folder": "is a folder", "no database": "not a database", "locked": "is locked"}
    assert message[fault] in caplog.text and "then 'harness sync' sends them" in caplog.text
    assert "no answer within" not in caplog.text
    if fault == "a folder":
        database.rmdir()
    if fault != "locked":
        (results / "kept").replace(database)
    assert sync(results, Tracker(results)).sent == [row.trial]


def test_a_file_that_is_locked_while_trials_run_is_reported_at_once(results, monkeypatch, caplog):
    monkeypatch.setattr("harness.tracking.database.BUSY_SECONDS", 0.01)
    rows = [make_row(seed=seed) for seed in range(2)]
    folders = [finish(results, row, curve=False) for row in rows]
    tracker = Tracker(results)
    assert tracker.log(rows[0], folders[0])
    with closing(sqlite3.connect(results / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert not tracker.log(rows[1], folders[1])
    assert "is locked" in caplog.text and not tracker.gave_up
    assert tracker.log(rows[1], folders[1])


def test_a_file_of_another_version_of_mlflow_is_reported_as_such(results, caplog):
    with closing(sqlite3.connect(results / DATABASE)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()
    row = make_row()
    assert not Tracker(results).log(row, finish(results, row, curve=False))
    assert "another version of MLflow" in caplog.text and "mlflow db upgrade" in caplog.text


@pytest.mark.parametrize(
    ("error", "help_"),
    [
        (sqlite3.OperationalError("attempt to write a readonly database"), "make that file"),
        (sqlite3.OperationalError("database or disk is full"), "free some space"),
        (ModuleNotFoundError("No module named 'psycopg'", name="psycopg"), "install psycopg"),
        (RuntimeError("The run 1 must be in the 'active' state."), "restore in MLflow"),
    ],
)
def test_what_helps_before_sync_is_said(error, help_):
    said = remedy(error, settings="", is_clear=True)
    assert said.startswith(f"; {help_}") and said.endswith("then 'harness sync' sends them")


def test_two_runs_may_make_the_file_at_once(results, empty_store, monkeypatch):
    """The second waits until the first has made all tables."""
    import mlflow

    making, connected = [], mlflow.MlflowClient

    def connect(uri):
        making.append(is_held(results / f".{DATABASE}.lock"))
        return connected(uri)

    monkeypatch.setattr(mlflow, "MlflowClient", connect)
    assert Tracker(results).client
    assert making == [True]
    assert not is_held(results / f".{DATABASE}.lock")
