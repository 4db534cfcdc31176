"""A trial has one run in MLflow, however slow its server and however many send it."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from support.rows import make_row
from support.tracked import finish, runs
from werkzeug.serving import make_server

from harness.tracking import DATABASE, BackgroundSender, Tracker, sync, tracked_frame
from harness.tracking.tracker import TRIAL_TAG


@pytest.fixture
def results(tracked_results):
    return tracked_results


@pytest.fixture
def slow_server(results, monkeypatch):
    """A server that makes runs at once and says so too late; yields what it was asked to make."""
    from mlflow import server
    from mlflow.server import handlers

    asked, over = [], threading.Event()

    def application(environment, start_response):
        answer = server.app.wsgi_app(environment, start_response)
        if environment["PATH_INFO"].endswith("runs/create"):
            asked.append(environment["PATH_INFO"])
            over.wait(10)
        return answer

    monkeypatch.setattr(handlers, "_tracking_store", None)
    monkeypatch.setenv(server.BACKEND_STORE_URI_ENV_VAR, f"sqlite:///{results / DATABASE}")
    monkeypatch.setenv(server.ARTIFACT_ROOT_ENV_VAR, str(results / "artifacts"))
    http = make_server("127.0.0.1", 0, application, threaded=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield asked
    over.set()
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_server_that_answers_too_late_makes_one_run_of_a_trial(slow_server, results):
    row = make_row()
    folder = finish(results, row)
    tracker = Tracker(results)
    with BackgroundSender(tracker) as sender:
        sender.send(row, folder)
    assert len(slow_server) == 1
    assert tracker.holds(folder)
    [run] = runs(tracker)
    assert run.info.status == "FINISHED"
    assert list(tracked_frame("digits", results)["fid"]) == [3.186]


def test_two_that_send_a_trial_at_once_make_one_run_of_it(results):
    row = make_row()
    finish(results, row)
    both_looked = threading.Barrier(2)

    def send():
        tracker = Tracker(results)
        search = tracker.client.search_runs

        def look(*arguments, **named):
            found = search(*arguments, **named)
            # Where the one waits for the other, this ends without it.
            with suppress(threading.BrokenBarrierError):
                both_looked.wait(0.5)
            return found

        tracker.client.search_runs = look
        sync(results, tracker)

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert len(runs(Tracker(results))) == 1


def test_a_run_that_nobody_knew_of_is_no_trial_and_goes_when_the_trial_is_sent_again(results):
    row = make_row()
    folder = finish(results, row)
    tracker = Tracker(results)
    assert tracker.log(row, folder)
    [sent] = runs(tracker)
    # By a server that made it after its client had given up.
    for start in (0, sent.info.start_time + 1):
        tracker.client.create_run(
            sent.info.experiment_id, start_time=start, tags={TRIAL_TAG: row.trial}
        )
    assert list(tracked_frame("digits", results)["fid"]) == [3.186]
    assert tracker.log(row, folder)
    [run] = runs(tracker)
    assert run.info.run_id == sent.info.run_id
