"""Trackers of many drivers at once, on servers that stay and on servers that die."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.mlflow_servers import POSTGRES, free_port, mlflow_server, postgresql
from support.rows import make_row
from support.tracked import finish

from harness.tracking import Tracker, sync, tracked_frame

pytestmark = pytest.mark.slow

DRIVERS, TRIALS = 16, 8
SEND = """
import sys
from pathlib import Path
from harness.row import Row
from harness.tracking import Courier, Tracker
results = Path(sys.argv[1])
with Courier(Tracker(results), patience=300) as courier:
    for folder in sorted(results.glob("*/trials/*")):
        courier.send(Row.model_validate_json((folder / "row.json").read_text()), folder)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'server.db'}"
        return
    if POSTGRES is None or not shutil.which("setpriv") or os.geteuid() != 0:
        pytest.skip("needs PostgreSQL's server, and root to run it as its own user")
    if find_spec("psycopg2") is None:
        pytest.skip("needs psycopg2-binary")
    # pytest's own folders are closed to other users.
    folder = Path("/var/tmp") / f"genharness-postgresql-{os.getpid()}"
    folder.mkdir()
    try:
        with postgresql(folder) as uri:
            yield uri
    finally:
        shutil.rmtree(folder)


def test_sixteen_drivers_at_once_lose_nothing_and_double_nothing(store, tmp_path, monkeypatch):
    rows = {}
    for driver in range(DRIVERS):
        for seed in range(TRIALS):
            row = make_row(label=f"model{driver}", seed=seed)
            finish(tmp_path / f"driver{driver}", row)
            rows[row.trial] = row
    with mlflow_server(tmp_path, store) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        start = time.perf_counter()
        senders = [
            subprocess.Popen([sys.executable, "-c", SEND, str(tmp_path / f"driver{driver}")])
            for driver in range(DRIVERS)
        ]
        assert [sender.wait(600) for sender in senders] == [0] * DRIVERS
        print(f"{len(rows)} trials by {DRIVERS} drivers: {time.perf_counter() - start:.1f} s")
        found = tracked_frame("digits", tmp_path)
        folders = [tmp_path / f"driver{driver}" for driver in range(DRIVERS)]
        unsent = [sync(folder, Tracker(folder)) for folder in folders]
        again = tracked_frame("digits", tmp_path)
    assert sorted(found["trial"]) == sorted(rows)
    assert all(found.set_index("trial")["fid"] == 3.186)
    assert unsent == [([], [])] * DRIVERS
    assert sorted(again["trial"]) == sorted(rows)


def test_what_a_dying_server_missed_is_delivered_once(tmp_path, monkeypatch):
    store, port = f"sqlite:///{tmp_path / 'server.db'}", free_port()
    rows = [make_row(seed=seed) for seed in range(4)]
    trials = [(row, finish(tmp_path / "results", row)) for row in rows]
    with mlflow_server(tmp_path, store, port) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        tracker = Tracker(tmp_path / "results")
        assert tracker.log(*trials[0])
        # Dies while a trial is under way: its run is there, and is not finished.
        send = tracker.client.log_inputs
        monkeypatch.setattr(tracker.client, "log_inputs", lambda *_: (_ for _ in ()).throw(OSError))
        assert not tracker.log(*trials[1])
        monkeypatch.setattr(tracker.client, "log_inputs", send)
    assert [tracker.log(*trial) for trial in trials[2:]] == [False, False]
    with mlflow_server(tmp_path, store, port):
        outcome = sync(tmp_path / "results", Tracker(tmp_path / "results"))
        found = tracked_frame("digits", tmp_path / "results")
    assert sorted(outcome.sent) == sorted(row.trial for row, _ in trials[1:])
    assert sorted(found["trial"]) == sorted(row.trial for row, _ in trials)
    assert found["status"].eq("ok").all() and found["fid"].eq(3.186).all()
