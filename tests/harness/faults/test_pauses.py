"""Real pauses, of a worker and its watcher together and of the worker alone; they take a while."""

import os
import signal
import time

import pytest
from support.forked_worker import fork

from harness.machine.heartbeat import read_progress


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "stop"), [(1, os.killpg), (2, os.kill)], ids=["all", "worker"])
def test_a_trial_that_is_paused_for_longer_than_its_patience_goes_on(planned, seed, stop):
    """And has trained for its budget, neither more nor less."""
    changes = {
        "seed": seed,
        "budget": "4 device-seconds",
        "patience_seconds": 6.0,
        "checkpoint_seconds": 60.0,
    }
    worker = fork(planned.store, planned.trials["steady"].model_copy(update=changes))
    while not ((said := read_progress(worker.folder)) and said.phase == "train"):
        time.sleep(0.01)
    time.sleep(0.5)  # until it is amid a window of steps
    stop(worker.pid, signal.SIGSTOP)
    time.sleep(8)
    stop(worker.pid, signal.SIGCONT)
    row = worker.row()
    assert row.status == "ok", worker.log
    usage = row.usage
    assert 7.5 < usage.paused < 8.5
    assert 4 <= usage.seconds < 4.5
    assert usage.phases["train"] > usage.seconds + usage.paused - 0.1
