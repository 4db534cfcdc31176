"""Trackers of many drivers at once, on servers that stay and on servers that die."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from support.mlflow_servers import POSTGRES, free_port, mlflow_server, postgresql
from support.rows import make_row
from support.tracked import finish

from harness.row import Row
from harness.tracking import Tracker, sync, tracked_frame

pytestmark = pytest.mark.slow

DRIVERS, TRIALS = 16, 8
PUBLISHED = Path(__file__).parents[2] / "reports" / "published" / "digits"
SEND = """
import sys, time
from pathlib import Path
from harness.row import Row
from harness.tracking import BackgroundSender, Tracker
results = Path(sys.argv[1])
tracker = Tracker(results)
assert tracker.client
before = time.process_time()
with BackgroundSender(tracker, patience=300) as sender:
    for folder in sorted(results.glob("*/trials/*")):
        sender.send(Row.model_validate_json((folder / "row.json").read_text()), folder)
print(before, time.process_time() - before)
"""


def send(results: Path) -> subprocess.Popen[str]:
    """Start a driver that sends all trials; it prints CPU-seconds before the first and since."""
    command = [sys.executable, "-c", SEND, str(results)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def publish(results: Path) -> list[Row]:
    """Write the trained trials of the published report as the store would; return their rows."""
    curves = pd.read_parquet(PUBLISHED / "curves.parquet")
    lines = (PUBLISHED / "rows.jsonl").read_text().splitlines()
    rows = [row for row in map(Row.model_validate_json, lines) if row.usage.steps]
    for row in rows:
        folder = finish(results, row, curve=False)
        curves[curves["trial"] == row.trial].to_parquet(folder / "curve.parquet")
    return rows


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
        senders = [send(tmp_path / f"driver{driver}") for driver in range(DRIVERS)]
        used = [float(sender.communicate(timeout=600)[0].split()[1]) for sender in senders]
        print(
            f"{len(rows)} trials by {DRIVERS} drivers: {time.perf_counter() - start:.1f} s, "
            f"of which {sum(used) / len(rows):.3f} CPU-seconds of a driver for each trial"
        )
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


def spent(results: Path) -> tuple[float, float]:
    """Send the trials of the published report; return CPU-seconds and seconds of a trial's own."""
    rows = publish(results)
    output, _ = send(results).communicate(timeout=600)
    before, since = map(float, output.split())
    cost, wall = since / len(rows), sum(row.usage.wall for row in rows) / len(rows)
    print(f"{cost:.3f} CPU-seconds for a trial of {wall:.0f} s, after {before:.1f} at the start")
    assert sync(results, Tracker(results)) == ([], [])
    return cost, wall


def test_a_file_costs_the_driver_less_than_a_hundredth_of_its_trials(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    cost, wall = spent(tmp_path)
    assert cost < 0.01 * wall


def test_a_server_costs_the_driver_less_than_a_hundredth_of_its_trials(
    store, tmp_path, monkeypatch
):
    with mlflow_server(tmp_path, store) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        cost, wall = spent(tmp_path / "results")
    assert cost < 0.01 * wall
